"""The panels without a browser: what filters leave, what a plan holds, what they show, and that their code does the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxops as vx
from voxops.sandbox import Fault, Sandbox
from voxops.views import _panel_html as draw
from voxops.views._choice import Choice, days_of, load_code, option_counts, quoted, rows_code
from voxops.views._panel_parts import Board, Desk, Rows

HOSTILE = "<script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=1>\u202e\x1b[31m$x^{$ =1+1"


@pytest.fixture
def ws(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    """A workspace whose clock stands still until somebody waits."""
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger") as workspace:
        yield workspace


@pytest.fixture
def triaged(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))


def until(condition: Callable[[], Any], patience: float = 30.0) -> None:
    """The panels work beside the caller: look again and again."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


# -- choosing ---------------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["twitter", "linkedin", "it's", 'say "x"', "naïve ☕", "a\\b", "\n"])
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@st.composite
def frames(make: st.DrawFn) -> pd.DataFrame:
    rows = make(st.lists(st.tuples(WORDS | st.none(), WORDS | st.none(), st.integers(0, 200) | st.none()), max_size=12))
    times = [pd.NaT if hours is None else NOON - timedelta(hours=hours) for *_, hours in rows]
    return pd.DataFrame(
        {
            "platform": pd.array([row[0] for row in rows], dtype="string"),
            "cause": pd.array([row[1] for row in rows], dtype="string"),
            "updated_at": pd.DatetimeIndex(times, dtype="datetime64[us, UTC]"),
            "id": pd.array([f"id{number}" for number in range(len(rows))], dtype="string"),
        }
    )


@given(
    frames(),
    st.lists(WORDS, max_size=2),
    st.lists(WORDS, max_size=2),
    st.none() | st.tuples(st.integers(-9, 1), st.integers(0, 9)),
)
def test_the_code_of_a_choice_keeps_the_same_rows(frame, platforms, causes, span) -> None:
    first = None if span is None else NOON.date() + timedelta(days=span[0])
    days = None if span is None else (first, first + timedelta(days=span[1]))
    choice = Choice({"platform": tuple(platforms), "cause": tuple(causes)}, "updated_at", days)
    world = {"frame": frame}
    exec("\n".join(choice.code("frame")), world)
    assert list(world["frame"]["id"]) == list(frame[choice.mask(frame)]["id"])


@given(frames(), st.sets(st.integers(0, 11)), st.booleans())
def test_the_code_of_rows_keeps_the_rows_ticked(frame, unticked, single) -> None:
    columns = ("id",) if single else ("platform", "cause", "id")
    left_out = frame[frame.index.isin(list(unticked))]
    kept = frame.drop(left_out.index)
    world = {"frame": frame}
    exec("\n".join(rows_code("frame", columns, kept, left_out)), world)
    assert list(world["frame"]["id"]) == list(kept["id"])


@given(st.text() | st.integers() | st.booleans() | st.lists(st.text()) | st.tuples(st.text()))
def test_quoted_values_are_the_values(value) -> None:
    assert eval(quoted(value)) == value
    assert quoted(value).isascii()


def test_options_say_how_many_the_commonest_first() -> None:
    values = pd.Series(["b", "a", "a", None], dtype="string")
    assert option_counts(values, {"a": "Alpha"}) == [("Alpha  (2)", "a"), ("b  (1)", "b")]


def test_days_are_all_from_first_to_last() -> None:
    times = pd.Series(pd.to_datetime(["2026-03-02T23:59Z", None, "2026-02-28T00:00Z"]))
    assert days_of(times) == [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]
    assert days_of(times[times.isna()]) == []


def test_a_frame_put_together_by_hand_can_only_be_named() -> None:
    assert load_code({}, "posts") is None
    assert load_code({"kind": "posts", "filters": {"since": "7D"}}, "posts") is None  # nobody knows before when
    said = {
        "kind": "targets",
        "filters": {"status": ["failed"], "since": "7D", "limit": None},
        "fetched_at": "2026-03-02T12:00:00+00:00",
    }
    noon = "2026-03-02T12:00:00+00:00"
    assert load_code(said, "posts") == f'ws.posts(status="failed", since="2026-02-23T12:00:00+00:00", until="{noon}")'
    assert 'until="2026-03-02T12:00:01.000001+00:00")' in str(
        load_code(said, "posts", pd.Timestamp(noon) + pd.Timedelta("1s"))
    )


# -- the triage panel -------------------------------------------------------------------------------------------------------


def test_filters_and_ticks_decide_what_is_planned(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    panel = vx.triage_panel(ws, triaged)
    failed = triaged[triaged["cause"].notna()]
    assert f"{len(failed)} of {len(failed)} failed targets" in repr(panel)
    panel._lists["verdict"].value = ("retry",)
    panel._lists["platform"].value = ("twitter", "facebook")
    wanted = failed[failed["verdict"].eq("retry") & failed["platform"].isin(["twitter", "facebook"])]
    until(lambda: len(panel._rows.chosen) == len(wanted))  # what is shown comes first, then its rows
    panel._rows._ticks[0].value = False
    panel._act.plan_button.click()
    until(lambda: panel.plan is not None)
    assert list(panel.plan.frame["post_id"]) == list(wanted["post_id"])[1:]
    assert "Plan to retry" in repr(panel)
    panel._lists["verdict"].value = ()
    until(lambda: panel.plan is None)  # what was planned no longer holds


def test_days_filter(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    panel = vx.triage_panel(ws, triaged)
    first, last = panel._all_days
    panel._days.value = (first + timedelta(days=2), last - timedelta(days=1))
    times = triaged[triaged["cause"].notna()]["updated_at"].dt.date
    until(lambda: len(panel._shown) == times.between(first + timedelta(days=2), last - timedelta(days=1)).sum())
    panel._reset.click()
    until(lambda: len(panel._shown) == len(times))


def test_nothing_runs_without_plan_and_reason(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    panel = vx.triage_panel(ws, triaged)
    act = panel._act
    assert act.run_button.disabled
    act.reason.value = "because"
    assert act.run_button.disabled
    act.plan_button.click()
    until(lambda: panel.plan is not None)
    assert not act.run_button.disabled
    act.reason.value = "  "
    assert act.run_button.disabled
    act.run_button.click()  # a click that was under way when the button was disabled
    time.sleep(0.2)
    assert panel.run is None
    assert sandbox.requests(acting=True) == []


def test_from_filter_to_before_and_after(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    panel = vx.triage_panel(ws, triaged)
    act = panel._act
    panel._lists["verdict"].value = ("retry",)
    act.canary.value = 1
    until(lambda: set(panel._shown["verdict"]) == {"retry"})
    act.plan_button.click()
    until(lambda: panel.plan is not None)
    assert panel.plan.canaries == 1
    act.reason.value = "the platforms are back"
    act.run_button.click()
    until(lambda: act.verified is not None, 60)
    assert panel.run.snapshot.phase == "done"
    assert act.verified["tried"].sum() == panel.plan.eligible
    assert "Before and after" in panel._repr_html_()
    assert set(ws.ledger()["reason"]) == {"the platforms are back"}
    assert sandbox.duplicates() == []
    sent = len(sandbox.requests(acting=True))
    act.again_button.click()
    until(lambda: panel.run is None)
    assert set(panel.plan.frame["attempt"]) == {2}
    assert "run.failed()" in panel.code()
    assert len(sandbox.requests(acting=True)) == sent, "a plan was sent by itself"


def test_the_code_gives_the_same_keys_in_a_fresh_process(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame, tmp_path: Path
) -> None:
    panel = vx.triage_panel(ws, triaged)
    panel._lists["platform"].value = tuple(value for _, value in panel._lists["platform"].options[:4])
    first, last = panel._all_days
    panel._days.value = (first + timedelta(days=1), last)
    panel._act.canary.value = 2
    until(lambda: len(panel._shown) < len(panel._failed))
    for number in (0, 2):
        panel._rows._ticks[number].value = False
    panel._act.plan_button.click()
    until(lambda: panel.plan is not None)
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(panel.plan)


def by_platform(posts: pd.DataFrame) -> pd.DataFrame:
    triaged = vx.triage(vx.targets(posts))
    return triaged[triaged["platform"] == "twitter"]


def by_status(posts: pd.DataFrame) -> pd.DataFrame:
    return vx.triage(vx.targets(posts[posts["status"] == "failed"]))


def by_hand(posts: pd.DataFrame) -> pd.DataFrame:
    triaged = vx.triage(vx.targets(posts))
    triaged.loc[triaged["error_code"] == "PUBLISH_ERROR", "retryable"] = True
    triaged.loc[triaged.index[triaged["cause"].notna()][:3], "retryable"] = False
    return triaged


def by_rules(posts: pd.DataFrame) -> pd.DataFrame:
    triaged = vx.triage(vx.targets(posts), rules={"PUBLISH_ERROR": "retry"})
    return triaged[triaged["platform"] != "twitter"].assign(attempt=2)


@pytest.mark.parametrize("make", [by_platform, by_status, by_hand, by_rules])
def test_the_code_says_what_was_filtered_and_changed_before_the_panel(
    ws: vx.Workspace, sandbox: Sandbox, tmp_path: Path, make: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    panel = vx.triage_panel(ws, make(ws.posts(status=["failed", "partial"], since="30D")))
    panel._rows._ticks[0].value = False
    panel._act.plan_button.click()
    until(lambda: panel.plan is not None)
    assert panel.plan.eligible > 1
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(panel.plan)


def test_the_code_of_the_newest_posts_names_them(ws: vx.Workspace, sandbox: Sandbox, tmp_path: Path) -> None:
    panel = vx.triage_panel(ws, ws.posts(status="failed", limit=12))
    panel._act.plan_button.click()
    until(lambda: panel.plan is not None)
    assert "limit" not in panel.code()
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(panel.plan)


def test_the_code_of_a_frame_of_unknown_origin_begins_with_that_frame(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    bare = triaged.copy()
    bare.attrs = {}
    assert "triaged = ...  # the frame that the panel was given" in vx.triage_panel(ws, bare).code()
    assert "vx.triage(...)  # the frame" in vx.triage_panel(ws, bare.drop(columns="cause")).code()


def test_the_code_of_deliveries_gives_the_same_keys(ws: vx.Workspace, sandbox: Sandbox, tmp_path: Path) -> None:
    panel = failures(ws)
    panel._event.value, panel._which.value, panel._force.value = "post.published", "all", True
    until(lambda: len(panel._shown) > 20)
    until(lambda: set(panel._shown["event_type"]) == {"post.published"})
    panel._rows._ticks[0].value = False
    panel._act.plan_button.click()
    until(lambda: panel.plan is not None)
    assert panel.plan.eligible > 0
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(panel.plan)


def failures(ws: vx.Workspace) -> Any:
    """A delivery panel with failures in its window."""
    panel = vx.delivery_panel(ws)
    panel._window.value = "30D"
    until(lambda: panel._log is not None and len(panel._shown))
    return panel


def keys_of(plan: vx.Plan) -> list[str]:
    """Key and canary of every operation, in the order of sending."""
    return [f"{operation.key} {operation.canary}" for operation in plan.operations]


def fresh(code: str, sandbox: Sandbox, folder: Path) -> list[str]:
    """Run code in a new process; return the keys of the plan that it makes."""
    code += (
        "\nprint(*(f'{operation.key} {operation.canary}' for operation in plan.operations), sep='\\n')\nws.close()\n"
    )
    env = {**os.environ, "VOXBURST_API_KEY": sandbox.api_key, "XDG_DATA_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + code
    return done.stdout.split("\n")[:-1]


def test_posts_and_targets_are_triaged_here(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    posts = ws.posts(status=["failed", "partial"], since="30D")
    for frame in (posts, vx.targets(posts)):
        assert len(vx.triage_panel(ws, frame)._failed) == triaged["cause"].notna().sum()
    with pytest.raises(vx.PlanError, match="status"):
        vx.triage_panel(ws, triaged.drop(columns="status"))


def test_a_panel_of_nothing(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    panel = vx.triage_panel(ws, triaged.head(0))
    assert "Nothing failed" in panel._repr_html_()
    panel._act.plan_button.click()
    until(lambda: panel.plan is not None)
    assert panel._act.run_button.disabled


# -- the delivery panel -----------------------------------------------------------------------------------------------------


def test_deliveries_are_shown_and_sent_again(ws: vx.Workspace, sandbox: Sandbox) -> None:
    panel = failures(ws)
    assert not panel._shown["success"].any()
    assert "deliveries per day" in panel._repr_html_()
    panel._open(panel._shown["delivery_id"].iloc[0])
    assert "response_body" not in panel._repr_html_()
    assert panel._shown["delivery_id"].iloc[0] in panel._details
    panel._act.plan_button.click()
    until(lambda: panel.plan is not None)
    panel._act.reason.value = "the receiver is back"
    panel._act.run_button.click()
    until(lambda: panel._act.verified is not None, 60)
    assert panel._act.verified["tried"].sum() == panel.plan.eligible
    assert sandbox.duplicates() == []


def test_a_panel_that_is_still_reading_says_so(ws: vx.Workspace) -> None:
    panel = vx.delivery_panel(ws)
    panel._log = None
    panel._code_shown = True
    assert "reading the deliveries" in panel._repr_html_()
    with pytest.raises(vx.PlanError, match="not loaded yet"):
        panel.code()


def test_a_webhook_and_a_window_are_picked(ws: vx.Workspace) -> None:
    panel = vx.delivery_panel(ws)
    until(lambda: panel._log is not None and len(panel._webhook.options) > 2)
    seven = len(panel._log)
    one = panel._webhook.options[1][1]
    panel._window.value = "30D"
    until(lambda: len(panel._log) > seven)
    panel._webhook.value = one
    until(lambda: set(panel._log["webhook_id"]) == {one})


def test_a_failure_to_load_is_said(ws: vx.Workspace, sandbox: Sandbox) -> None:
    sandbox.add_fault(
        Fault("status", method="GET", path="/v1/webhooks", status=403, code="AUTHORIZATION_ERROR", times=None)
    )
    panel = vx.delivery_panel(ws)
    until(lambda: "403" in panel._repr_html_() or "AUTHORIZATION" in panel._repr_html_())


# -- what is shown ----------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Every tag and attribute of some markup."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}


def assert_harmless(markup: str) -> None:
    found = Tags(markup)
    assert not {"script", "img", "iframe", "a", "style", "link", "object", "form"} & found.tags
    assert not any(name.startswith("on") or name in {"href", "src"} for name in found.names)
    assert "\u202e" not in markup
    assert "\x1b" not in markup


def test_hostile_text_is_only_ever_text(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    evil = triaged.assign(
        **{
            name: pd.array([HOSTILE] * len(triaged), dtype="string")
            for name in ("cause", "remedy", "content", "account_name", "error_code", "error_message")
        }
    )
    evil.attrs = triaged.attrs
    panel = vx.triage_panel(ws, evil)
    panel._act.reason.value = HOSTILE
    panel._act.plan_button.click()
    until(lambda: panel.plan is not None)
    panel._toggle_code()
    panel._act.complain(HOSTILE)
    assert_harmless(panel._repr_html_())
    for line in panel._rows._lines:
        assert_harmless(line.value)
    row = {name: HOSTILE for name in ("delivery_id", "event_type", "url", "error", "response_body")}
    assert_harmless(draw.delivery_details(row))


def test_that_nothing_failed_is_not_put_down_to_the_filters(triaged: pd.DataFrame) -> None:
    assert "Nothing failed." in draw.cause_table(triaged.head(0), 0)
    assert "No failed target matches these filters." in draw.cause_table(triaged.head(0), 3)


def test_the_same_state_is_the_same_html(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    assert vx.triage_panel(ws, triaged)._repr_html_() == vx.triage_panel(ws, triaged)._repr_html_()


def test_no_key_in_the_code(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    assert sandbox.api_key not in vx.triage_panel(ws, triaged).code()


# -- parts ------------------------------------------------------------------------------------------------------------------


def test_a_board_speaks_twice_a_second_at_most() -> None:
    now, timers, said = [0.0], [], []
    board = Board(
        lambda: f"at {now[0]}", lambda: "text", publish=lambda bundle, _, update: said.append((now[0], update, bundle["text/html"])),
        later=lambda wait, function: timers.append((now[0] + wait, function)), clock=lambda: now[0],
    )  # fmt: skip
    board.refresh()
    assert said == []  # not shown yet
    board.show()
    for step in range(1, 5):
        now[0] = step / 10
        board.refresh()
    assert len(timers) == 1
    now[0] = timers[0][0]
    timers[0][1]()
    assert said == [(0.0, False, "at 0.0"), (0.5, True, "at 0.5")]


def test_a_desk_does_one_thing_after_another_and_tells_of_failures() -> None:
    said, done = [], []
    desk = Desk(said.append)

    def work(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    def fail() -> None:
        raise ZeroDivisionError("oh")

    desk.later(lambda: work(1))
    desk.later(fail)
    desk.later(lambda: work(2))
    until(lambda: len(done) == 2)
    assert done == [1, 2]
    assert said == ["the panel broke down: ZeroDivisionError: oh"]


def test_rows_are_ticked_page_by_page() -> None:
    changes: list[int] = []
    rows = Rows("<b>head</b>", lambda: changes.append(len(rows.chosen)))
    rows.fill([f"k{number}" for number in range(20)], [f"row {number}" for number in range(20)])
    assert rows._lines[0].value == "row 0"
    rows._ticks[1].value = False
    rows._next.click()
    assert rows._lines[0].value == "row 8"
    assert rows._ticks[1].value is True  # another row on this page
    rows._next.click()
    assert [box.layout.display for box in rows._boxes] == ["flex"] * 4 + ["none"] * 4
    assert rows._next.disabled
    rows.fill([f"k{number}" for number in range(3)], ["a", "b", "c"])
    assert rows.chosen == ["k0", "k2"]  # what was unticked stays so
    assert changes == [19]
