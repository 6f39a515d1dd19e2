"""The panels without a browser: what a page shows, what its messages plan and send, and that their code does the same.

Every test talks to a panel as a page does (`tests/views/page.py`), reads what the page is shown, and counts at the server.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.views.page import Page
from tests.virtual import until

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop, safe
from voxops.acts.act import key_of
from voxops.views import _plan_runner, delivery_panel, triage_panel
from voxops.views._row_filter import RowFilter, load_code, quoted, rows_code
from voxops.views._rows import PageColumn, RowTable, pack
from voxops.views._tasks import TaskQueue
from voxops.views._widget import LiveWidget

Keys = list[str]
NOTHING_SENT = "nothing was sent"


@pytest.fixture
def ws(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    """A workspace whose clock stands still until somebody waits."""
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger") as workspace:
        yield workspace


@pytest.fixture
def posts(ws: vx.Workspace) -> pd.DataFrame:
    return ws.posts(status=["failed", "partial"], since="30D")


@pytest.fixture
def triaged(posts: pd.DataFrame) -> pd.DataFrame:
    return vx.triage(vx.targets(posts))


@pytest.fixture
def page(ws: vx.Workspace, triaged: pd.DataFrame) -> Page:
    """A page of the triage panel."""
    return Page(ws.panel(triaged))


@pytest.fixture
def log_page(ws: vx.Workspace) -> Page:
    """A page of the delivery panel with failures in its window."""
    page = Page(ws.panel(ws.deliveries(since="7D")))
    page.press("select", name="window", value="30D")
    until(lambda: page.panel.frame.attrs["filters"]["since"] == "30D" and page.state["busy"] == "")
    page.idle()
    return page


def retryable(page: Page, most: int | None = None) -> np.ndarray:
    """The rows of a triage panel that can be retried, or the first of them."""
    return page.flags(*np.flatnonzero(page.panel.frame["verdict"].eq("retry"))[:most])


def sent(sandbox: Sandbox) -> int:
    return len(sandbox.requests(acting=True))


class Gate:
    """Something that is under way until a test lets it go on."""

    def __init__(self) -> None:
        self._begun, self._open = threading.Event(), threading.Event()

    def hold(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def held(*args: Any, **more: Any) -> Any:
            self._begun.set()
            assert self._open.wait(60)
            return work(*args, **more)

        return held

    def begun(self) -> None:
        assert self._begun.wait(60)

    def open(self) -> None:
        self._open.set()


# -- choosing, and the same as code ------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["twitter", "linkedin", "it's", 'say "x"', "naïve ☕", "a\\b", "\n"])
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@st.composite
def frames(make: st.DrawFn) -> pd.DataFrame:
    rows = make(st.lists(st.tuples(WORDS | st.none(), WORDS | st.none(), st.integers(0, 200) | st.none()), max_size=12))
    times = [pd.NaT if hours is None else NOON - timedelta(hours=hours) for *_, hours in rows]
    texts = {name: pd.array([row[at] for row in rows], dtype="string") for at, name in enumerate(("platform", "cause"))}
    ids = pd.array([f"id{number}" for number in range(len(rows))], dtype="string")
    return pd.DataFrame({**texts, "updated_at": pd.DatetimeIndex(times, dtype="datetime64[us, UTC]"), "id": ids})


SPANS = st.none() | st.tuples(st.integers(-9, 1), st.integers(0, 9))
SOME = st.lists(WORDS, max_size=2)


@given(frames(), SOME, SOME, SPANS, st.sets(st.integers(0, 11)), st.booleans())
def test_the_code_of_a_choice_keeps_the_same_rows(frame, platforms, causes, span, unticked, single) -> None:
    first = None if span is None else NOON.date() + timedelta(days=span[0])
    days = None if span is None else (first, first + timedelta(days=span[1]))
    choice = RowFilter({"platform": tuple(platforms), "cause": tuple(causes)}, "updated_at", days)
    chosen = frame[choice.mask(frame)]
    out = chosen[chosen.index.isin(list(unticked))]
    kept = chosen.drop(out.index)
    columns = ("id",) if single else ("platform", "cause", "id")
    world = {"frame": frame}
    exec("\n".join([*choice.code("frame"), *rows_code("frame", columns, kept, out)]), world)
    assert list(world["frame"]["id"]) == list(kept["id"])


@given(st.text() | st.integers() | st.booleans() | st.lists(st.text()) | st.tuples(st.text()))
def test_quoted_values_are_the_values(value) -> None:
    assert eval(quoted(value)) == value
    assert quoted(value).isascii()


def test_a_frame_put_together_by_hand_can_only_be_named(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    noon = "2026-03-02T12:00:00+00:00"
    said = {"kind": "targets", "complete": True, "fetched_at": noon, "filters": {"status": ["failed"], "since": "7D", "limit": None}}  # fmt: skip
    assert load_code(said, "posts") == f'ws.posts(status="failed", since="2026-02-23T12:00:00+00:00", until="{noon}")'
    later = load_code(said, "posts", pd.Timestamp(noon) + pd.Timedelta("1s"))
    assert 'until="2026-03-02T12:00:01.000001+00:00")' in str(later)
    injected = said | {"filters": {"x=__import__('os')) #": 1, "status": "failed"}}
    assert "__import__" not in str(load_code(injected, "posts")), "a file may name filters that are none"
    for missing in ("kind", "complete", "fetched_at", "filters"):  # such as an archive's
        assert load_code({name: value for name, value in said.items() if name != missing}, "posts") is None
    bare = triaged.copy()
    bare.attrs = {}
    lost = pd.DataFrame(ws.deliveries(since="30D").head(3).to_dict("list"))
    assert "triaged = ...  # the frame" in ws.panel(bare).code()
    assert "vx.triage(...)  # the frame" in ws.panel(bare.drop(columns="cause")).code()
    assert "log = ...  # the deliveries that were passed" in ws.panel(lost).code()


def keys_of(plan: vx.Plan) -> Keys:
    """Key of every item, in the order of sending."""
    return [key_of([item]) for item in plan.items]


@pytest.fixture
def made_by(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Keys]:
    """Run code as in another notebook; gives the keys of the plan that it makes."""
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))

    def keys(code: str) -> Keys:
        names: dict[str, Any] = {}
        exec(code, names)
        names["ws"].close()
        return keys_of(names["plan"])

    return keys


def filtered(posts: pd.DataFrame) -> pd.DataFrame:
    triaged = vx.triage(vx.targets(posts))
    return triaged[triaged["platform"] == "twitter"]


def by_hand(posts: pd.DataFrame) -> pd.DataFrame:
    triaged = vx.triage(vx.targets(posts))
    triaged.loc[triaged["error_code"] == "PUBLISH_ERROR", "retryable"] = True
    triaged.loc[triaged.index[triaged["cause"].notna()][:3], "retryable"] = False
    return triaged


def by_rules(posts: pd.DataFrame) -> pd.DataFrame:
    triaged = vx.triage(vx.targets(posts), rules={"PUBLISH_ERROR": "retry"})
    return triaged[triaged["platform"] != "twitter"].assign(attempt=2)


@pytest.mark.parametrize(
    "make",
    [filtered, lambda posts: vx.triage(vx.targets(posts[posts["status"] == "failed"])), by_hand, by_rules, lambda posts: posts.head(40)],
    ids=["platform", "status", "by hand", "rules", "posts"],
)  # fmt: skip
def test_the_code_says_what_was_filtered_and_changed_before_the_panel(
    ws: vx.Workspace, posts: pd.DataFrame, made_by: Any, make: Any
) -> None:
    page = Page(ws.panel(make(posts)))
    plan = page.plan(~page.flags(0))
    assert plan.eligible > 1
    assert made_by(page.panel.code()) == keys_of(plan)


def test_the_code_gives_the_same_keys_in_a_fresh_process(page: Page, sandbox: Sandbox, made_by: Any) -> None:
    """Of filters, days, unticked rows and canaries."""
    frame = page.panel.frame
    first, last = frame["updated_at"].min().date() + timedelta(days=1), frame["updated_at"].max().date()
    platforms = list(frame["platform"].value_counts().index[:4])
    page.look(facets={"platform": platforms}, days=[first.isoformat(), last.isoformat()], form={"canary": 2})
    days = frame["updated_at"].dt.date
    rows = (frame["platform"].isin(platforms) & days.ge(first) & days.le(last)).fillna(False).to_numpy(bool, copy=True)
    rows[np.flatnonzero(rows)[[0, 2]]] = False
    plan = page.plan(rows, canary=2)
    assert plan.eligible > 1
    assert "not_a_canary" in set(plan.frame["reason_code"])
    code = page.panel.code()
    assert sandbox.api_key not in code
    more = "\nfrom voxops.acts.act import key_of\nprint([key_of([item]) for item in plan.items])\n"
    done = subprocess.run([sys.executable, "-c", code + more], capture_output=True, text=True, check=True, timeout=60)
    assert eval(done.stdout) == keys_of(plan)  # our own list


def test_the_code_of_the_newest_posts_and_after_a_run_gives_the_same_keys(
    ws: vx.Workspace, page: Page, tmp_path: Path, made_by: Any
) -> None:
    newest = Page(ws.panel(ws.posts(status="failed", limit=12)))
    plan = newest.plan()
    assert "limit" not in newest.panel.code(), "the newest rows of another day are others"
    assert made_by(newest.panel.code()) == keys_of(plan)
    page.plan(retryable(page, 12))
    page.run()
    names = ["post_id", "platform", "account_id"]
    failed = pd.MultiIndex.from_frame(ws.attach(ws.runs().index[0]).failed()[names])
    plan = page.plan(pd.MultiIndex.from_frame(page.panel.frame[names]).isin(failed))
    assert plan.eligible
    place = f"ledger={str(tmp_path / 'ledger')!r})"
    code = page.panel.code().replace(f'"{ws.client.url}")', f'"{ws.client.url}", {place}')
    assert "ws.attach(" in code
    page.plan()
    assert "panel.frame" in page.panel.code(), "of all rows, which that run may have moved"
    ws.close()
    assert made_by(code) == keys_of(plan)


def test_the_code_tab_follows_the_choice_and_is_turned_to_when_it_is_asked_for(page: Page) -> None:
    page.press("code")
    until(lambda: page.state["stage"] == "code")
    page.look(facets={"platform": ["twitter"]})
    until(lambda: "twitter" in page.tab("code"))
    page.plan()
    assert page.state["stage"] == "plan", "the plan after it"
    page.look(facets={"platform": ["linkedin"]})
    until(lambda: page.state["plan"] is None and "linkedin" in page.tab("code"))
    assert "twitter" not in page.panel.code()
    assert '"post_' not in page.panel.code(), "all that match, and no rows of the plan before"
    page.press("code")
    until(lambda: not page.tab("code"))


# -- the triage panel: from rows to a plan to a run ---------------------------------------------------------------------------


def test_a_page_names_the_rows_that_are_planned(page: Page, triaged: pd.DataFrame) -> None:
    panel, failed = page.panel, triaged[triaged["cause"].notna()].reset_index(drop=True)
    assert vx.report(failed).headline.split(":")[0] in repr(panel)
    page.look(facets={"verdict": ["retry"], "platform": ["twitter", "facebook"]})
    wanted = (failed["verdict"].eq("retry") & failed["platform"].isin(["twitter", "facebook"])).to_numpy(bool)
    plan = page.plan(wanted & ~page.flags(int(wanted.argmax())))
    assert list(plan.frame["post_id"]) == list(failed[wanted]["post_id"])[1:]
    assert page.state["stage"] == "plan"
    assert "Plan to retry" in repr(panel)


CHOOSING = [{"facets": {"verdict": ["retry"]}}, {"search": "a"}, {"days": ["2026-03-01", None]}, {"form": {"canary": 2}}]  # fmt: skip


@pytest.mark.parametrize("late", CHOOSING)
def test_what_chooses_otherwise_takes_the_plan_away_unless_the_plan_was_asked_for_so(
    page: Page, made_by: Any, late: dict[str, Any]
) -> None:
    """Front ends hold changes of a model back while the kernel works; the message of a button overtakes them."""
    page.look(facets={"verdict": ["fix content"]})
    page.press_plan(retryable(page), view={**page.widget.view, **late})
    until(lambda: page.state["plan"])
    page.idle()
    plan = page.panel.plan
    assert ("not_a_canary" in set(plan.frame["reason_code"])) == ("form" in late)
    assert made_by(page.panel.code()) == keys_of(plan)
    page.look(**late)  # as the page said when it asked
    assert page.panel.plan is plan
    page.look(**{name: None for name in late})
    until(lambda: page.state["plan"] is None)  # shown by whoever noticed first
    assert (page.panel.plan, page.state["stage"]) == (None, "rows")


def test_what_only_looks_otherwise_leaves_the_plan_and_ticking_does_not(page: Page) -> None:
    page.look(facets={})
    plan = page.plan()
    for view in ({"sort": {"column": "cause"}}, {"hidden": ["cause"]}, {"form": {"reason": "so"}}):
        page.look(**view)
        assert page.panel.plan is plan
    page.tick(0)
    assert page.panel.plan is None


def test_a_choice_after_pressing_plan_takes_that_plan_away(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the plan is ready, and also where nothing was typed or chosen before."""
    gate = Gate()
    monkeypatch.setattr(triage_panel, "plan_retry", gate.hold(triage_panel.plan_retry))
    page.press_plan(~page.flags(), view={})
    gate.begun()
    page.look(facets={"platform": ["twitter"]})
    gate.open()
    page.idle()
    assert (page.panel.plan, page.state["stage"]) == (None, "rows")


def test_what_runs_is_what_was_seen(page: Page, sandbox: Sandbox) -> None:
    other = Page(page.panel, "second")
    page.plan(retryable(page, 1))
    seen = page.state["plan"]["fingerprint"]
    for stale in (seen, None, "", "0" * 32, 7, ["x"]):
        page.plan()
        assert page.state["problem"] == ""
        page.refused(NOTHING_SENT, "run", plan=stale, reason="an old page")
    page.refused("needs a reason", "run", plan=page.state["plan"]["fingerprint"], reason="   ")
    page.plan(retryable(page, 1))
    other.press_plan(~page.flags())
    page.refused(NOTHING_SENT, "run", plan=seen, reason="only this one")  # behind the other plan in the queue
    assert page.panel.run is None
    assert sent(sandbox) == 0


def test_a_fingerprint_is_of_all_that_is_sent_and_planning_the_same_again_is_heard_of(
    page: Page, ws: vx.Workspace
) -> None:
    """A page that asked for a plan waits for it, and nothing else would be new."""

    def seen(page: Page, rows: np.ndarray, **form: Any) -> str:
        page.plan(rows, **form)
        return page.state["plan"]["fingerprint"]

    rows = retryable(page)
    again = Page(ws.panel(page.panel.frame.assign(attempt=2)))
    prints = [seen(page, rows), seen(page, retryable(page, 5)), seen(page, rows, canary=1), seen(again, rows)]
    assert len(set(prints)) == 4
    assert seen(page, rows) == seen(page, rows) == prints[0]


def test_pressing_run_twice_runs_once(ws: vx.Workspace, page: Page, sandbox: Sandbox) -> None:
    page.plan()
    seen, version = page.state["plan"]["fingerprint"], page.version
    for _ in range(3):
        page.press("run", plan=seen, reason="twice")
    until(lambda: page.version != version)  # in its turn, after all presses
    assert page.state["problem"] == "", "a second press asks for nothing else"
    page.press("run", plan=seen, reason="a page that lags")
    page.refused(NOTHING_SENT, "run", plan="another", reason="a page that shows another plan")
    assert len(ws.runs()) == 1
    assert sandbox.duplicates() == []


def test_from_plan_to_before_and_after(ws: vx.Workspace, sandbox: Sandbox, page: Page) -> None:
    panel, before = page.panel, page.widget.table["length"]
    page.tick(0, 1)
    plan = page.plan(retryable(page), canary=1, reason="the platforms are back ")
    assert "not_a_canary" in set(plan.frame["reason_code"])
    page.refused(NOTHING_SENT, "run", plan="of another plan", reason="the platforms are back ")
    assert page.widget.view["form"]["reason"] == "the platforms are back ", "nothing has begun"
    sandbox.advance(3600)
    page.run("the platforms are back ")
    assert page.widget.view["form"] == {"canary": 1, "reason": ""}, "the reason of a run is not left for the next"
    run = panel.run
    assert run.snapshot.phase == "done"
    assert len(run.results()) == plan.eligible
    assert set(ws.ledger()["reason"]) == {"the platforms are back"}
    assert "reason='the platforms are back'" in panel.code().replace('"', "'")
    assert page.widget.table["length"] == before - run.snapshot.count("succeeded"), "the list shows the state after it"
    assert f"as run {run.id} has left them" in page.state["facts"][0]["text"]
    assert page.state["at"] >= "2026-03-02 10:00", "the instant of what is shown"
    assert page.state["attach"] == f"ws.attach({run.id!r})", "for a kernel that is restarted"
    assert page.widget.ticks == ""
    acts = sent(sandbox)
    page.press("retry", view={**page.widget.view, "search": "a"}, ticks="")
    until(lambda: page.state["plan"])
    page.look(search="a")  # as the page said when it asked
    assert set(panel.plan.frame["attempt"]) <= {1, 2}, "one that was not tried stays as it was"
    assert "failed()" in panel.code()
    assert "the platforms are back" not in panel.code() + panel._repr_html_()
    page.refused("needs a reason", "run", plan=page.state["plan"]["fingerprint"], reason="")
    assert sent(sandbox) == acts, "a plan was sent by itself"
    page.plan(reason="typed since")
    page.run("typed before")
    assert page.widget.view["form"]["reason"] == "typed since"
    plan = page.plan(
        reason="so"
    )  # after a run, too, a plan is taken away by what is chosen otherwise, and by nothing else
    page.look(form={"reason": "another"})
    assert panel.plan is plan
    page.tick(0)
    assert panel.plan is None
    assert sandbox.duplicates() == []


@pytest.mark.parametrize("otherwise", [False, True])
def test_a_plan_that_could_not_be_started_comes_back_unless_something_else_was_chosen(
    ws: vx.Workspace, page: Page, monkeypatch: pytest.MonkeyPatch, otherwise: bool
) -> None:
    gate = Gate()

    async def refuse(*_: object, **__: object) -> None:
        await asyncio.to_thread(gate.hold(lambda: None))
        raise vx.errors.LedgerError("the disk is full")

    page.look(facets={})
    plan = page.plan()
    monkeypatch.setattr(type(ws.aio), "run", refuse)
    page.run(ended=False)
    gate.begun()
    if otherwise:
        page.look(search="coffee")
    gate.open()
    until(lambda: "the disk is full" in page.state["problem"])
    assert page.panel.plan is (None if otherwise else plan)


MENDED = {"fix content": ("new_content", "a shorter text"), "fix media": ("new_media_url", "https://x.example/b.png")}


@pytest.mark.parametrize("verdict", MENDED)
def test_a_row_is_mended_in_its_panel_as_a_plan_that_is_seen_first(
    page: Page, sandbox: Sandbox, made_by: Any, verdict: str
) -> None:
    frame = page.panel.frame
    field, text = MENDED[verdict]
    row, other = (int(np.flatnonzero(frame["verdict"].eq(each))[0]) for each in (verdict, "reconnect account"))
    (form,) = (block for block in page.details(row) if block["kind"] == "form")
    assert [each["name"] for each in form["fields"]] == [field]
    assert not any(block["kind"] == "form" for block in page.details(other)), "only where it would help"
    values = {each["name"]: each["value"] for each in form["fields"]}
    page.refused("nothing was planned", form["do"], row=row, values=values)
    page.refused("choose again", form["do"], row=row, values={field: text}, version=-1)
    page.refused("choose again", form["do"], row=10**6, values={field: text})
    assert page.panel.plan is None
    page.press(form["do"], row=row, values={field: text})
    until(lambda: page.state["plan"])
    plan = page.panel.plan
    assert (plan.action, plan.eligible, plan.frame["post_id"].tolist()) == ("fix", 1, [frame["post_id"][row]])
    assert sent(sandbox) == 0
    assert made_by(page.panel.code()) == keys_of(plan)
    page.run("mended")
    assert len(page.panel.run.results()) == sent(sandbox) == 1


def test_only_what_can_be_planned_is_offered_and_causes_are_picked(page: Page, log_page: Page) -> None:
    frame = page.panel.frame
    assert page.widget.table["plans"] == pack(frame["retryable"].to_numpy(bool))
    assert log_page.widget.table["plans"] == pack(
        log_page.panel.frame["success"].eq(False).fillna(False).to_numpy(bool)
    )
    for each in (page, log_page):
        assert all("values" in column for column in each.columns.values() if column["facet"]), "else no page draws it"
    (facts,) = (block for block in page.state["facts"] if block["kind"] == "facts")
    assert facts["picks"] == "verdict"
    assert {fact["label"] for fact in facts["facts"]} <= set(page.columns["verdict"]["values"])
    (table,) = (block for block in page.blocks("causes") if block["kind"] == "table")
    assert {row[0]["picks"] for row in table["rows"]} == {"cause"}
    assert {row[0]["text"] for row in table["rows"]} <= set(page.columns["cause"]["values"])


# -- under attack, or only out of step: what a page sends is checked here -----------------------------------------------------


def test_a_page_cannot_change_what_the_others_show(page: Page) -> None:
    page.plan()
    shown, table, code = dict(page.state), page.widget.table, page.widget._esm
    forged = {**shown, "plan": {"fingerprint": shown["plan"]["fingerprint"], "eligible": 1}, "tabs": []}
    page.update(state=forged, table={}, _esm="export default {}", _css="", view=dict(page.widget.view))
    assert (page.state, page.widget.table, page.widget._esm) == (shown, table, code)


def test_what_another_thread_shows_is_not_undone_by_a_page_that_speaks_just_then(page: Page) -> None:
    """At the end of a message traitlets writes again what others wrote meanwhile, as it has read it just before."""
    others: list[threading.Thread] = []

    def show(problem: str) -> None:
        others.append(threading.Thread(target=page.panel._complain, args=(problem,)))
        others[-1].start()
        others[-1].join(0.1)  # no longer: it may have to wait until the message is taken in

    def read(value: object, _: object) -> object:
        show("no longer so")
        return value

    def written_again(_: object, proposal: Any) -> object:
        if threading.current_thread() is threading.main_thread():
            show("as it is")
        return proposal["value"]

    page.widget._trait_from_json = read
    page.widget._register_validator(written_again, ("state",))
    page.look(search="coffee")
    for other in others:
        other.join()
    assert page.state["problem"] != ""
    assert page.state["problem"] in page.panel._repr_html_()


def test_a_page_gets_the_present_when_it_asks_and_what_changed_while_it_loaded(page: Page) -> None:
    """Also where another thread changes it while it is read; what the kernel sends to a page that does not listen yet is lost."""
    out: list[dict[str, Any]] = []
    page.widget._send = lambda message, buffers=None: out.append(message["state"])
    read, racing = page.widget.get_state, threading.Thread(target=page.panel._complain, args=("so",))

    def then_it_changes(*args: Any, **more: Any) -> dict[str, Any]:
        found = read(*args, **more)
        if racing.ident is None:
            racing.start()
            racing.join(0.1)  # no longer: it may have to wait until the answer is on its way
        return found

    page.widget.get_state = then_it_changes
    page.receive("request_state")
    racing.join()
    assert out[-1]["state"]["problem"] == "so"
    out.clear()
    page.press("hello")
    assert [set(state) for state in out] == [{"state"}], "the rows are large, and the page has them"
    page.press("hello", version=0)
    assert set(out[-1]) == {"state", "table", "view", "ticks"}
    assert {state["state"]["problem"] for state in out} == {"so"}
    assert out[-1]["table"]["version"] == page.version


def test_an_answer_names_the_rows_that_it_is_about(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where others come while it is looked up: else a page would show one post's text beside another."""
    panel, replaced = page.panel, []

    def then_others(found: Any) -> Any:
        def look_up(*args: Any, **more: Any) -> Any:
            answer = found(*args, **more)
            panel._set_rows(RowTable(panel.frame.iloc[1:], ()))
            replaced.append(answer)
            return answer

        return look_up

    monkeypatch.setattr(vx.Workspace, "ledger", then_others(vx.Workspace.ledger))  # which details are looked up in
    for name in ("texts", "search"):
        monkeypatch.setattr(RowTable, name, then_others(getattr(RowTable, name)))
    for key, more in (("texts", {"do": "texts", "rows": [3]}), ("found", {"do": "search", "text": "coffee"})):
        before = page.version
        assert page.ask(key, **more)["version"] == before != page.version
    page.press("details", row=3)
    until(lambda: len(replaced) == 3)
    page.idle()
    time.sleep(0.2)  # it would come in a few milliseconds
    assert not any("details" in message for message in page.got)


def test_a_display_is_of_one_moment(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that is made while the run before it is drawn takes that run away; the display must not break at it."""
    from voxops.views import _plan_runner

    page.plan(retryable(page, 2))
    page.run()
    draw, drawn = _plan_runner.snapshot_document, []

    def meanwhile(*args: Any, **more: Any) -> Any:
        if not drawn:
            drawn.append(1)
            page.press_plan(~page.flags())
            until(lambda: page.panel.run is None)
        return draw(*args, **more)

    monkeypatch.setattr(_plan_runner, "snapshot_document", meanwhile)
    assert "✓ done" in page.panel._repr_html_()
    assert page.panel.run is None


JSON = st.recursive(st.none() | st.integers() | st.text(max_size=3) | st.booleans(), lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(max_size=3), each, max_size=2), max_leaves=4)  # fmt: skip
FACETS = JSON | st.dictionaries(st.sampled_from(["platform", "verdict", "nothing"]), JSON, max_size=3)
DAYS = JSON | st.lists(st.sampled_from(["2026-03-01", "2026-99-99", "x"]), min_size=2, max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional={"facets": FACETS, "days": DAYS, "search": JSON, "form": JSON, "sort": JSON, "hidden": JSON}))  # fmt: skip
def test_a_view_that_makes_no_sense_breaks_nothing(page: Page, view: Any) -> None:
    page.update(view=view)
    assert "vx.plan_retry(chosen)" in page.panel.code()
    assert page.state["problem"] == ""


def test_rows_of_another_table_are_refused(page: Page) -> None:
    asked = {"rows": pack(~page.flags()), "view": {}, "ticks": ""}
    for more in ({"version": page.version - 1}, {"version": None}, {"rows": ""}, {"rows": "%%%"}, {"rows": None}):
        page.refused("choose again", "plan", **{**asked, **more})
        assert page.panel.plan is None
        page.plan()
        assert page.state["problem"] == ""
        page.tick(0)
        page.tick()


def test_texts_details_and_files_come_when_they_are_asked_for(page: Page) -> None:
    frame = page.panel.frame
    secret = str(frame["content"].iloc[3])
    parts = [part for column in page.columns.values() for part in column.values() if isinstance(part, bytes)]
    assert secret[:40] not in json.dumps(page.state)
    assert secret[:40].encode() not in b"".join(parts)
    texts = page.ask("texts", "texts", rows=[3, 10**9, -1, "x"])["texts"]
    assert list(texts) == ["3"]
    assert texts["3"]["content"].startswith(secret[:40].split("\n")[0])
    assert secret[:40] in json.dumps(page.details(3), ensure_ascii=False)
    word = max(secret.split(), key=len)
    found = page.ask("found", "search", text=word)["found"]
    assert found == pack(frame["content"].str.lower().str.contains(word.lower(), regex=False).to_numpy(bool))
    for tabs, between, end in ((False, ",", "\r\n"), (True, "\t", "\n")):
        lines = page.ask("csv", "csv", rows=pack(page.flags(0, 3)), tabs=tabs)["csv"].split(end)
        assert lines[0].split(between)[:3] == ["verdict", "cause", "remedy"]
        assert all(identifier in "".join(lines[1:]) for identifier in frame["post_id"].iloc[[0, 3]])


def test_details_show_an_error_only_where_there_is_one_and_whose_the_post_is(ws: vx.Workspace) -> None:
    frame = vx.triage(vx.targets(ws.posts(status="publishing", since="30D"))).assign(owner="maria.k")
    page = Page(ws.panel(frame))
    shown = page.panel.frame
    row = int(np.flatnonzero(shown["error_code"].isna() & shown["error_message"].isna())[0])
    details = page.details(row)
    assert not any(block["kind"] == "note" for block in details)
    assert "maria.k" in json.dumps(details)


# -- which panel, of which frame ----------------------------------------------------------------------------------------------


def test_the_frame_decides_which_panel_it_is_and_one_of_something_else_is_refused(
    ws: vx.Workspace, posts: pd.DataFrame, triaged: pd.DataFrame
) -> None:
    log = ws.deliveries(since="7D")
    kinds = {"RunsPanel": None, "DeliveryPanel": vx.deliveries.lost(log), "TriagePanel": triaged}
    for name, frame in kinds.items():
        assert ws.panel(frame).__class__.__name__ == name
    for frame in (posts, vx.targets(posts)):
        assert len(ws.panel(frame).frame) == triaged["cause"].notna().sum(), "triaged here"
    for wrong in (ws.accounts(), ws.webhooks(), ws.runs(), pd.DataFrame({"x": [1]}), [], ws):
        with pytest.raises(vx.errors.PlanError, match=r"takes a triaged frame, vx\.triage.*ws\.deliveries.*the runs"):
            ws.panel(wrong)  # type: ignore[arg-type]
    text = triaged["updated_at"].astype("string").astype("str")
    for frame, missing in (
        (log.drop(columns="url"), r"needs deliveries; missing: url"),
        (triaged.drop(columns="status"), "status"),
        (triaged.assign(updated_at=text), "updated_at has dtype str, not times with a zone"),
    ):
        with pytest.raises(vx.errors.PlanError, match=missing):
            ws.panel(frame)


def test_a_panel_of_nothing(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    bare = triaged.head(0)
    bare.attrs = {}
    assert "Nothing failed" in ws.panel(bare)._repr_html_()
    panel = ws.panel(triaged.head(0))  # such as by a filter with a typing mistake
    assert "No rows: the frame is empty, though 67 posts were loaded" in panel._repr_html_()
    assert "Nothing failed" not in panel._repr_html_()
    assert Page(panel).plan().eligible == 0
    runs = ws.panel()
    assert "0 runs" in runs._repr_html_()
    assert runs.code().endswith("\nws.runs()\n")


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_frame_that_went_through_parquet_is_shown(ws: vx.Workspace, triaged: pd.DataFrame, missing: Any) -> None:
    tags = [np.array(["a", "b"], object), missing, np.array([], object)]
    frame = triaged.assign(tags=pd.Series([tags[row % 3] for row in range(len(triaged))], triaged.index, dtype=object))
    assert set(Page(ws.panel(frame)).columns["tags"]["values"]) == {"a, b", "–"}


def test_a_display_and_its_lists_are_as_of_the_servers_time(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame
) -> None:
    pages = [Page(ws.panel(ws.deliveries(since="7D"))), Page(ws.panel())]
    for page in pages:
        until(lambda page=page: "read 2026-03-02 09:00:00 UTC" in page.state["facts"][0]["text"])
    sandbox.advance(40 * 86400)  # no clock of this machine says so
    for page in pages:  # an answer of the API says what time it is there
        page.press("reload")
        until(lambda page=page: "read 2026-04-11 09:00:00 UTC" in page.state["facts"][0]["text"])
    for panel in (ws.panel(triaged), ws.panel()):
        assert "As of 2026-04-11 09:00" in panel._repr_html_()


# -- the delivery panel -------------------------------------------------------------------------------------------------------


def test_deliveries_are_shown_and_sent_again(log_page: Page, sandbox: Sandbox) -> None:
    page, panel = log_page, log_page.panel
    assert page.widget.view["facets"] == {"success": ["failed"]}
    assert "deliveries per day" in panel._repr_html_()
    log = panel.frame
    states = delivery_panel.delivery_state(log).value_counts()
    share = 100 * states["succeeded"] / states[["succeeded", "failed"]].sum()
    counts = {name: str(states[state]) for name, state in (("failed", "failed"), ("in flight", "pending")) if state in states}  # fmt: skip
    assert {f"delivered, of {len(log):,}": f"{share:.1f} %", **counts}.items() <= page.facts.items()
    assert log["delivery_id"].iloc[0] in json.dumps(page.details(0))
    rows = page.flags(*np.flatnonzero(log["success"].eq(False).fillna(False))[:2])
    plan = page.plan(rows, force=True)
    before = panel.code()
    named = set(re.findall(r"del_\w+", before))
    page.run("the receiver is back")
    assert len(panel.run.results()) == plan.eligible == 2
    assert sandbox.duplicates() == []
    after = panel.code()  # the rows are read anew; a code of them all would send the whole history again
    assert f"sent since, by run {panel.run.id}" in after
    assert set(re.findall(r"del_\w+", after)) == named
    assert after.splitlines()[4:-4] == before.splitlines()[3:-4]
    page.press("retry")
    until(lambda: panel.run is None and page.state["plan"])
    assert "chosen = ws.attach(" in panel.code()
    assert "chosen = log" not in panel.code()


@pytest.mark.parametrize("late", [False, True])
def test_the_code_of_deliveries_gives_the_same_keys(log_page: Page, made_by: Any, late: bool) -> None:
    page = log_page
    choice = {"facets": {"event_type": ["post.published"]}, "form": {"force": True}}
    page.look(**({"facets": {"event_type": ["post.failed"]}} if late else choice))
    rows = page.panel.frame["event_type"].eq("post.published").to_numpy(bool, copy=True)
    rows[rows.argmax()] = late
    page.press_plan(rows, view=choice)
    until(lambda: page.state["plan"])
    page.idle()
    page.look(**choice)
    assert page.panel.plan.eligible > 0
    assert made_by(page.panel.code()) == keys_of(page.panel.plan)


def test_the_code_of_deliveries_that_were_filtered_says_which(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="30D")
    lost = log[log["success"].eq(False).fillna(False)].head(3)
    code = ws.panel(lost).code()
    assert 'chosen = log[log["delivery_id"].isin(rows)]' in code
    assert all(one in code for one in lost["delivery_id"])
    assert ws.panel(log.assign()).code().count("del_") == 0


def test_what_is_in_flight_is_told_from_what_has_failed_and_no_token_is_shown(ws: vx.Workspace) -> None:
    """The API may say `false` of both; a receiver may repeat the address that it moved to."""
    moved = "moved to https://hooks.slack.com/services/T0/B0/SecretToken"
    log = ws.deliveries(since="30D").assign(response_body=moved, error=moved)
    first = log.index[0]
    log.loc[first, "success"] = False
    log.loc[first, ["status_code", "latency_ms", "error"]] = pd.NA
    page = Page(ws.panel(log))
    page.look(facets={"success": ["pending"]})
    assert log["delivery_id"].iloc[0] in page.panel.code()
    page.look(facets={"success": ["failed"]})
    assert len(re.findall("del_", page.panel.code())) == 1, "all that failed but the one in flight"
    texts, details = page.ask("texts", "texts", rows=[0]), page.details(0)
    csv = page.ask("csv", "csv", rows=pack(~page.flags()))
    assert "hooks.slack.com/services/…" in str(texts)
    assert "SecretToken" not in str((texts, details, csv, page.state, page.widget.table)) + page.panel._repr_html_()
    none = pack(page.flags())
    assert page.ask("found", "search", text="secrettoken")["found"] == none
    assert page.ask("found", "search", text="moved to")["found"] != none


def test_a_webhook_and_a_window_are_picked_and_the_page_says_what_is_read(
    ws: vx.Workspace, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, gate = ws.deliveries(since="2D"), Gate()
    page = Page(ws.panel(log))
    page.idle()
    assert page.picked == {"webhook": "", "window": log["created_at"].min().isoformat()}, "no usual window: as passed"
    version = page.version
    page.press("reload")
    until(lambda: page.version != version)
    page.idle()
    assert set(log["delivery_id"]) <= set(page.panel.frame["delivery_id"])
    monkeypatch.setattr(delivery_panel, "delivery_state", gate.hold(delivery_panel.delivery_state))
    page.press("select", name="window", value="30D")
    until(lambda: page.state["busy"] == "Reading the deliveries of the last 30 days …")
    assert page.widget.table["length"] < 300  # these rows are not yet those
    gate.open()
    until(lambda: page.panel.frame.attrs["filters"]["since"] == "30D" and page.state["busy"] == "")
    assert page.picked["window"] == "30D"
    hook = page.state["selects"][0]["options"][1][1]
    page.press("select", name="webhook", value=hook)
    until(lambda: set(page.panel.frame["webhook_id"]) == {hook})
    page.idle()
    page.press("select", name="webhook", value="somebody else's")
    sandbox.add_fault(Fault("status", method="GET", path="/v1/webhooks/*/deliveries", status=403, code="FORBIDDEN"))
    page.press("select", name="window", value="3D")
    until(lambda: page.state["problem"] and page.state["busy"] == "")
    assert page.picked == {"webhook": hook, "window": "30D"}, "the rows are those of before"
    page.press("reload")
    until(lambda: page.state["problem"] == "" and page.state["busy"] == "")


def test_a_failure_to_load_is_said(ws: vx.Workspace, sandbox: Sandbox) -> None:
    log = ws.deliveries(since="7D")
    sandbox.add_fault(Fault("status", method="GET", path="/v1/webhooks", status=403, code="ODD_CODE", times=None))
    panel = ws.panel(log)
    until(lambda: "ODD_CODE" in panel._repr_html_())


def test_a_log_of_one_failure_or_without_times_is_shown_and_answers_are_counted(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="30D")
    down = log.head(5).assign(success=False, status_code=503, url=[f"https://{host}.example/" for host in "aaaab"])
    (row,) = Page(ws.panel(down)).blocks("causes")[1]["rows"]
    assert [cell["text"] for cell in row[:3]] == ["HTTP 503", "5", "2"], "five failures of two endpoints"
    alone = pd.concat([log[log["success"].eq(True)].head(3), log[log["success"].eq(False)].head(1)])
    for frame in (alone, alone.assign(created_at=pd.Series(pd.NaT, alone.index, "datetime64[us, UTC]"))):
        frame.attrs = log.attrs
        causes = Page(ws.panel(frame)).tab("causes")
        assert '"count": 1' in causes
        assert ("No delivery shows when it was created." in causes) == frame["created_at"].isna().all()


# -- the runs panel -----------------------------------------------------------------------------------------------------------


def test_a_button_and_the_code_are_about_the_run_that_their_page_showed(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    retried = triaged[triaged["verdict"].eq("retry")]
    runs = [ws.run(vx.plan_retry(part), reason="so").wait(60) for part in (retried.iloc[:1], retried.iloc[1:2])]
    page = Page(ws.panel())
    panel, listed = page.panel, list(page.panel.frame["run"])
    totals = {name: str(panel.frame[name].sum()) for name in ("succeeded", "failed") if panel.frame[name].sum()}
    assert (page.facts, len(listed)) == (totals, 2), "of both runs"
    assert panel.code().endswith("\nws.runs()\n"), "no run is looked at"
    for run in runs:
        page.press("details", row=listed.index(run.id))
        until(lambda run=run: f"ws.attach({run.id!r})" in panel.code())
    page.press("open", about=runs[0].id)
    until(lambda: "✓ done" in page.tab("run"))
    page.idle()  # the list is read anew, too, which takes a complaint away
    others = [("resume", runs[1].id), ("pause", None), ("cancel", "run_0"), ("retry", runs[1].id)]
    strange = [("open", about) for about in ("run_of_somebody_else", "", None, 7, ["x"])]
    for do, about in others + strange:
        page.press(do, about=about)
        until(lambda: re.search("nothing (was done|is planned|was opened)", page.state["problem"]))
        page.press("reload")
        until(lambda: page.state["problem"] == "")
    assert panel.run.snapshot.phase == "done"
    page.press("details", row=listed.index(runs[1].id))
    until(lambda: any(button["about"] == runs[1].id for button in page.state["buttons"]))
    assert f"ws.attach({runs[0].id!r})" in panel.code(), "the other one is only looked at"
    assert panel.run.id == runs[0].id


def test_a_run_is_opened_and_resumed_from_the_list_and_its_rows_are_reread_once(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    reread, original = [], _plan_runner.PlanRunner._reread

    def counted(self: _plan_runner.PlanRunner, run: vx.Run) -> Any:
        reread.extend([run.id] if run.snapshot.phase == "done" else [])
        return original(self, run)

    monkeypatch.setattr(_plan_runner.PlanRunner, "_reread", counted)
    run = ws.run(vx.plan_retry(triaged), reason="it was paused")
    run.pause()
    acts = sent(sandbox)
    page = Page(ws.panel())
    panel = page.panel
    assert list(panel.frame["run"]) == [run.id]
    assert "it was paused" in panel._repr_html_()
    page.press("details", row=0)
    until(lambda: any(button["about"] == run.id for button in page.state["buttons"]))
    page.press("open")
    until(lambda: panel.run is not None and page.tab("run"))
    assert sent(sandbox) == acts, "opening a run sent something"
    version = page.version
    page.press("resume")
    page.press("resume")
    until(lambda: panel.run.snapshot.phase == "done" and page.version != version)
    page.idle()
    assert reread == [run.id]
    assert sandbox.duplicates() == []
    assert len(ws.runs()) == 1


def failing_create(ws: vx.Workspace, sandbox: Sandbox) -> vx.Plan:
    rows = {"row_id": ["a", "b"], "content": ["coffee", "tea"], "scheduled_for": "2026-04-01T09:00:00Z"}
    account = ws.accounts().query("status != 'active'")["account_id"].iloc[0]
    ready = next(each.id for each in sandbox.world.media.values() if each.status == "ready")
    sheet = pd.DataFrame(rows).assign(accounts=account, force=True, media=ready)
    return vx.plan_create(sheet, key="row_id", campaign="spring")


FAILING: dict[str, Callable[[vx.Workspace, Sandbox], vx.Plan]] = {
    "move": lambda ws, _: vx.plan_update(ws.posts(status="scheduled").head(2), by="3D", change="later"),
    "update": lambda ws, _: vx.plan_update(ws.posts(status="scheduled").head(2).assign(new_content="fresh coffee")),
    "create": failing_create,
}


@pytest.mark.parametrize("action", FAILING)
def test_what_failed_is_shown_by_error_and_planned_again_from_the_list(
    ws: vx.Workspace, sandbox: Sandbox, action: str
) -> None:
    plan = FAILING[action](ws, sandbox)
    sandbox.add_fault(Fault("status", method="PATCH", path="/v1/posts/*", status=400, code="VALIDATION_ERROR", times=2))
    run = ws.run(plan, reason="later").wait(60)
    assert run.results()["outcome"].to_list() == ["failed"] * 2
    page = Page(ws.panel())
    page.press("open", about=run.id)
    until(lambda: page.tab("run") and not page.state["acting"])
    if action == "create":
        until(lambda: "failed with" in page.tab("run"))
        assert run.results()["error_code"].iloc[0] in page.tab("run")
    page.press("retry", about=run.id)
    until(lambda: page.state["plan"])
    again = page.panel.plan
    assert (again.action, again.eligible) == (plan.action, 2)
    keys = [set(one.frame["idempotency_key"].dropna()) for one in (again, plan)]
    assert not keys[0] & keys[1], "a deliberate second attempt has new keys"


# -- what is shown ------------------------------------------------------------------------------------------------------------


def test_the_module_sets_text_as_text_and_fetches_nothing() -> None:
    code = re.sub(r"/\*\*.*?\*/", "", re.sub(r"(?m)^\s*//.*$| // .*$", "", LiveWidget._esm), flags=re.DOTALL)
    assert "class Live" in code
    words = (
        r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|document\.write|srcdoc|setHTML"
        r"|\beval\b|\bFunction\b|\bfetch\s*\(|XMLHttpRequest|WebSocket|sendBeacon|\bimport\b|https?://"
    )
    assert re.findall(words, code) == []
    assert re.findall(r"url\(|@import", LiveWidget._css) == []


def test_the_bar_of_a_cause_with_two_verdicts_shows_what_its_count_says(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    rows = triaged[triaged["cause"].notna()].head(6).assign(cause="BUSY", platform="facebook", remedy="")
    rows["verdict"] = ["retry"] * 4 + ["ask support"] * 2
    lines = [(line[0]["bar"], line[1]["text"]) for line in Page(ws.panel(rows)).blocks("causes")[0]["rows"]]
    assert [([part["count"] for part in bar], count) for bar, count in lines] == [([4], "4"), ([2], "2")]
    named = {"cause": [f"C{n}" for n in range(27)], "post_id": [f"p{n}" for n in range(27)]}
    many = pd.concat([rows.head(1)] * 27).assign(**named)
    assert "and 2 rarer causes" in Page(ws.panel(many)).tab("causes")


def test_the_static_copy_is_the_same_each_time_and_shows_two_hundred_rows_at_most(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    frames = (triaged, triaged, pd.concat([triaged, triaged], ignore_index=True))
    one, two, joined = (re.sub(r"As of [^.]*", "", ws.panel(frame)._repr_html_()) for frame in frames)
    assert one == two
    assert joined.count("<tr") == one.count("<tr") > 10, "joined frames are shown once"
    many = pd.concat([triaged[triaged["cause"].notna()]] * 6, ignore_index=True)
    many["post_id"] = pd.array([f"post_{number}" for number in range(len(many))], dtype="string")
    rows, said, _ = ws.panel(many)._repr_html_().partition(f"The first 200 of {len(many):,} rows.")
    assert said
    assert rows[rows.rindex("<tbody>") :].count("<tr") == 200


# -- parts --------------------------------------------------------------------------------------------------------------------


def test_a_queue_does_one_thing_after_another_and_tells_of_failures() -> None:
    said, done = [], []
    queue = TaskQueue(said.append)

    def work(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    def fail() -> None:
        raise ZeroDivisionError("oh")

    for task in (lambda: work(1), fail, lambda: work(2)):
        queue.run_blocking(task)
    until(lambda: len(done) == 2)
    assert done == [1, 2]
    assert said == ["the panel failed: ZeroDivisionError: oh"]


def test_works_that_wait_leave_the_loop_the_threads_that_they_wait_for() -> None:
    """Somebody presses Pause again and again, and the requests that all these presses wait for ask for an address."""
    queue, goes_on, done = TaskQueue(print), threading.Event(), []
    for _ in range(64):
        queue.at_once(lambda: done.append(goes_on.wait(20)))
    eventloop.run(asyncio.to_thread(goes_on.set))
    until(lambda: len(done) == 64)
    assert all(done)


CELLS = st.tuples(
    st.text(max_size=8) | st.none(), st.integers(0, 2**31) | st.none(), st.floats(allow_nan=False) | st.none()
)


@given(st.lists(CELLS, max_size=30), st.lists(st.booleans(), min_size=30, max_size=30))
def test_compact_columns_are_the_columns_and_bits_name_their_rows(
    rows: list[tuple[Any, ...]], wanted: list[bool]
) -> None:
    times = pd.to_datetime(pd.array([row[1] for row in rows], dtype="Int64"), unit="s", utc=True)
    frame = pd.DataFrame(
        {
            "word": pd.array([row[0] for row in rows], dtype="string"),
            "time": times.astype("datetime64[us, UTC]"),
            "size": pd.array([row[2] for row in rows], dtype="Float64"),
        }
    )
    kinds = {"word": "code", "time": "time", "size": "number", "none": "code"}
    table = RowTable(frame, [PageColumn(name, name, kind=kind) for name, kind in kinds.items()])
    word, time_, size, none = table.model()["columns"]
    codes = np.frombuffer(word["codes"], f"<u{word['width']}")
    texts = [safe.plain("–" if row[0] is None else row[0], 120) or "–" for row in rows]
    assert [word["values"][code] for code in codes] == texts
    seconds = [None if at == 2**32 - 1 else at for at in np.frombuffer(time_["seconds"], "<u4")]
    assert seconds == [row[1] for row in rows]
    assert [None if np.isnan(at) else at for at in np.frombuffer(size["numbers"], "<f8")] == [row[2] for row in rows]
    assert none["values"] == (["–"] if rows else [])
    bits = np.array(wanted[: len(rows)], bool)
    assert list(table.rows(pack(bits), table.version)) == list(bits)
    assert table.rows(pack(np.ones(len(rows) + 8, bool)), table.version) is None


def test_fifty_thousand_rows_are_small() -> None:
    count = 50_000
    words = {
        "post_id": [f"post_{n:024}" for n in range(count)],
        "cause": [f"CODE_{n % 40} twitter: words" for n in range(count)],
        "content": ["a long text " * 20] * count,
    }
    frame = pd.DataFrame({name: pd.array(values, dtype="string") for name, values in words.items()})
    frame["updated_at"] = pd.date_range("2026-01-01", periods=count, freq="min", tz="UTC").as_unit("us")
    kinds = {"post_id": "id", "cause": "code", "updated_at": "time", "content": "text"}
    columns = RowTable(frame, [PageColumn(name, name, kind=kind) for name, kind in kinds.items()]).model()["columns"]
    assert sum(len(part) for column in columns for part in column.values() if isinstance(part, bytes)) < 5_000_000
