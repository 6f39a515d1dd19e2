"""The panels without a browser: what filters leave, what a plan holds, what they show, and that their code does the same."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop, safe
from voxops._support.blocks import static_html
from voxops.acts.act import key_of
from voxops.analysis.statistics import delivery_state
from voxops.views._plan_runner import plan_fingerprint
from voxops.views._row_filter import RowFilter, load_code, quoted, rows_code
from voxops.views._rows import COPIED, Column, RowTable, pack
from voxops.views._snapshot import snapshot_blocks
from voxops.views._tasks import TaskQueue
from voxops.views.delivery_panel import _answers, _series
from voxops.views.triage_panel import cause_blocks

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


class Page:
    """A page that shows a panel: what the widget's module sends, and what it gets."""

    def __init__(self, panel: Any, name: str = "page") -> None:
        self.panel, self.name = panel, name
        self.got: list[dict[str, Any]] = []
        panel._live.begin()
        self.widget = panel._live.widget
        self.widget.send = lambda content, buffers=None: self.got.append(content)

    @property
    def state(self) -> dict[str, Any]:
        """What the page shows."""
        return self.widget.state

    def send(self, do: str, **more: Any) -> None:
        """Send a message, as the browser does: a button sends what it is about."""
        shown = [each for part in (self.state, *self.state["tabs"]) for each in part["buttons"]]
        about = next((each["about"] for each in shown if each["do"] == do), None)
        self.panel._live._heard(None, {"do": do, "page": self.name, "about": about, **more}, None)

    def look(self, **view: Any) -> None:
        """Filter, search, or type."""
        self.widget.view = {**self.widget.view, **view}

    def plan(self, rows: np.ndarray | None = None, **form: Any) -> vx.Plan:
        """Press Plan; the page names the rows, all that its facets leave if none are named."""
        before, frame = self.panel._runner._plans, self.panel._rows.frame
        if rows is None:
            rows = np.ones(len(frame), bool)
            for name, wanted in self.widget.view.get("facets", {}).items():
                rows &= self.panel._rows.shown(name).isin(wanted).to_numpy()
        self.look(form=form)
        self.ask(rows, self.widget.view)
        # The page shows it, and not the last.
        until(lambda: self.state["plan"] and self.state["plan"]["number"] > before)
        return self.panel.plan

    def ask(self, rows: np.ndarray, view: Any) -> None:
        """Send what Plan sends: the rows, and how they were chosen."""
        self.send("plan", rows=pack(rows), version=self.panel._rows.version, view=view, ticks=self.widget.ticks)

    def hush(self) -> None:
        """Let the page say no longer what could not be done: what it says next is new."""
        self.panel._runner.complain("")
        assert self.state["problem"] == ""

    def idle(self) -> None:
        """Wait until the panel has done what it had begun; what is still to come must have been asked for."""
        until(lambda: not self.panel._tasks._turn.locked())

    def run(self, reason: str = "the platforms are back") -> None:
        """Press Run: what the page shows is what it asks for."""
        self.send("run", plan=self.state["plan"]["fingerprint"], reason=reason)


def flags(panel: Any, *rows: int) -> np.ndarray:
    """The rows with these numbers."""
    chosen = np.zeros(len(panel._rows.frame), bool)
    chosen[list(rows)] = True
    return chosen


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
    choice = RowFilter({"platform": tuple(platforms), "cause": tuple(causes)}, "updated_at", days)
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


def test_a_frame_put_together_by_hand_can_only_be_named() -> None:
    assert load_code({}, "posts") is None
    strange = {
        "kind": "posts",
        "complete": True,
        "fetched_at": "2026-03-02T09:00:00Z",
        "filters": {"x=__import__('os')) #": 1, "status": "failed"},
    }
    assert "__import__" not in str(load_code(strange, "posts")), "a file may name filters that are none"
    assert load_code({"kind": "posts", "filters": {"since": "7D"}}, "posts") is None  # nobody knows before when
    said = {
        "kind": "targets",
        "complete": True,
        "filters": {"status": ["failed"], "since": "7D", "limit": None},
        "fetched_at": "2026-03-02T12:00:00+00:00",
    }
    noon = "2026-03-02T12:00:00+00:00"
    assert (
        load_code({name: value for name, value in said.items() if name != "complete"}, "posts") is None
    )  # an archive's
    assert load_code(said, "posts") == f'ws.posts(status="failed", since="2026-02-23T12:00:00+00:00", until="{noon}")'
    assert 'until="2026-03-02T12:00:01.000001+00:00")' in str(
        load_code(said, "posts", pd.Timestamp(noon) + pd.Timedelta("1s"))
    )


# -- the triage panel -------------------------------------------------------------------------------------------------------


def test_a_page_names_the_rows_that_are_planned(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    failed = triaged[triaged["cause"].notna()].reset_index(drop=True)
    assert vx.report(failed).headline.split(":")[0] in repr(panel)
    page.look(facets={"verdict": ["retry"], "platform": ["twitter", "facebook"]})
    wanted = failed["verdict"].eq("retry") & failed["platform"].isin(["twitter", "facebook"])
    rows = wanted.to_numpy(bool, copy=True)
    rows[rows.argmax()] = False
    plan = page.plan(rows)
    assert list(plan.frame["post_id"]) == list(failed[wanted]["post_id"])[1:]
    assert page.state["stage"] == "plan"
    assert "Plan to retry" in repr(panel)
    page.look(facets={"verdict": ["retry"]})
    assert panel.plan is None  # what was planned does not hold any more
    until(lambda: page.state["plan"] is None)  # shown by whoever noticed first


def test_what_is_heard_after_a_plan_of_what_failed_and_was_chosen_before_leaves_it(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    page.plan(flags(panel, *np.flatnonzero(panel._rows.frame["verdict"].eq("retry"))[:12]))
    page.run()
    until(lambda: panel._runner.verified is not None and panel._runs, 60)
    page.send("retry", view={**page.widget.view, "search": "a"}, ticks=page.widget.ticks)
    until(lambda: page.state["plan"])
    page.look(search="a")
    assert panel.plan is not None
    page.look(search="b")
    assert panel.plan is None


@pytest.mark.parametrize("late", [{"facets": {"verdict": ["retry"]}}, {"form": {"canary": 2}}, {"search": "a"}])
def test_what_was_chosen_before_a_plan_and_is_heard_after_it_leaves_the_plan(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame, tmp_path: Path, late: Any
) -> None:
    """Front ends hold changes of a model back while the kernel works; the message of a button overtakes them."""
    panel = ws.panel(triaged)
    page = Page(panel)
    page.look(facets={"verdict": ["fix content"]})
    rows = panel._failed["verdict"].eq("retry").to_numpy(bool)
    page.ask(rows, {**page.widget.view, **late})
    until(lambda: page.state["plan"])
    page.idle()
    assert panel.plan.canaries == late.get("form", {}).get("canary", 0)
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(panel.plan)
    page.look(**late)  # as the page said when it asked
    assert panel.plan is not None
    page.look(facets={"verdict": ["reconnect"]})
    assert panel.plan is None


def test_the_code_is_turned_to_when_it_is_asked_for_and_the_plan_after_it(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    page = Page(ws.panel(triaged))
    page.look(facets={})
    page.send(do="code")
    until(lambda: page.state["stage"] == "code")
    assert page.state["tabs"][-1]["name"] == "code"
    page.plan()
    assert page.state["stage"] == "plan"
    page.send(do="code")
    until(lambda: all(tab["name"] != "code" for tab in page.state["tabs"]))
    assert page.state["stage"] == "plan"


@pytest.mark.parametrize("view", [{"search": "x"}, {"days": ["2026-03-01", None]}, {"form": {"canary": 3}}])
def test_whatever_chooses_otherwise_takes_the_plan_away(ws: vx.Workspace, triaged: pd.DataFrame, view: Any) -> None:
    page = Page(ws.panel(triaged))
    page.look(facets={})
    page.plan()
    page.look(**view)
    assert page.panel.plan is None


@pytest.mark.parametrize("view", [{"sort": {"column": "cause"}}, {"hidden": ["cause"]}, {"form": {"reason": "so"}}])
def test_what_only_looks_otherwise_leaves_the_plan(ws: vx.Workspace, triaged: pd.DataFrame, view: Any) -> None:
    page = Page(ws.panel(triaged))
    page.look(facets={})
    plan = page.plan()
    page.look(**view)
    assert page.panel.plan is plan


def test_ticking_takes_the_plan_away(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    page = Page(ws.panel(triaged))
    page.look(facets={})
    page.plan()
    page.widget.ticks = pack(flags(page.panel, 0))
    assert page.panel.plan is None


def test_what_runs_is_what_was_seen(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    one = page.plan(flags(panel, int(panel._rows.frame["verdict"].eq("retry").to_numpy().argmax())))
    seen = page.state["plan"]["fingerprint"]
    many = page.plan()
    assert (one.eligible, seen) != (many.eligible, page.state["plan"]["fingerprint"])
    for stale in (seen, None, "", "0" * 32, 7, ["x"]):
        page.send("run", plan=stale, reason="an old page")
        until(lambda: "nothing was sent" in page.state["problem"])
        page.hush()
    page.send("run", plan=page.state["plan"]["fingerprint"], reason="   ")
    until(lambda: "needs a reason" in page.state["problem"])
    assert panel.run is None
    assert sandbox.requests(acting=True) == []


def test_planning_the_same_again_is_heard_of(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    """A page that asked for a plan waits for it, and within the same second nothing else would be new."""
    page = Page(ws.panel(triaged))
    page.plan()
    first = page.state["plan"]
    page.plan()
    until(lambda: page.state["plan"]["number"] == first["number"] + 1)
    assert page.state["plan"]["fingerprint"] == first["fingerprint"]


def test_pressing_run_twice_runs_once(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    page = Page(ws.panel(triaged))
    page.plan()
    seen = page.state["plan"]["fingerprint"]
    for _ in range(3):
        page.send("run", plan=seen, reason="twice")
    until(lambda: page.panel._runs, 60)  # in its turn, after all presses
    assert len(ws.runs()) == 1
    assert page.state["problem"] == "", "a second press asks for nothing else"
    page.send("run", plan=seen, reason="a page that lags")
    page.send("run", plan="another", reason="a page that shows another plan")
    until(lambda: "nothing was sent" in page.state["problem"])
    assert len(ws.runs()) == 1
    assert sandbox.duplicates() == []


def test_a_fingerprint_is_of_all_that_is_sent(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    retried = triaged[triaged["verdict"].eq("retry")]
    plans = [
        vx.plan_retry(retried),
        vx.plan_retry(retried.iloc[1:]),
        vx.plan_retry(retried).canary(1),
        vx.plan_retry(retried.assign(attempt=2)),
    ]
    assert len({plan_fingerprint(plan) for plan in plans}) == len(plans)
    assert plan_fingerprint(plans[0]) == plan_fingerprint(vx.plan_retry(retried.copy()))


def test_from_plan_to_before_and_after(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    page.widget.ticks = pack(flags(panel, 0, 1))
    before = len(panel._failed)
    plan = page.plan(panel._rows.frame["verdict"].eq("retry").to_numpy(bool), canary=1)
    assert plan.canaries == 1
    page.run()
    act = panel._runner
    until(lambda: act.verified is not None and page.state["tabs"][-1]["buttons"][-1]["enabled"], 60)
    assert panel.run.snapshot.phase in {"done", "blocked"}  # canaries that failed hold the others of their cause
    assert act.verified["tried"].sum() == plan.eligible
    assert "Before and after" in panel._repr_html_()
    assert set(ws.ledger()["reason"]) == {"the platforms are back"}
    assert sandbox.duplicates() == []
    # The list shows the state after it.
    until(lambda: len(panel._failed) == before - panel.run.snapshot.count("succeeded"))
    until(lambda: page.widget.ticks == "")
    sent = len(sandbox.requests(acting=True))
    page.send("retry")
    until(lambda: panel.run is None and panel.plan is not None)
    assert set(panel.plan.frame["attempt"]) <= {1, 2}, (
        "a new failure starts at one, one that was not tried stays as it was"
    )
    assert "failed()" in panel.code()
    assert len(sandbox.requests(acting=True)) == sent, "a plan was sent by itself"


# -- under attack, or only out of step: what a page sends is checked here -----------------------------------------------------


def update(widget: Any, **state: Any) -> None:
    """What a page says its model is, as the kernel gets it from the network."""
    widget._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def test_a_page_cannot_change_what_the_others_show(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    page.plan()
    shown, table, code = dict(page.state), page.widget.table, page.widget._esm
    forged = {**shown, "plan": {"fingerprint": shown["plan"]["fingerprint"], "eligible": 1}, "tabs": []}
    update(page.widget, state=forged, table={}, _esm="export default {}", _css="", view={"search": "coffee"})
    assert (page.state["facts"], page.widget.table, page.widget._esm) == (shown["facts"], table, code)
    assert page.widget.view == {"search": "coffee"}  # this is the page's to write, and takes the plan away
    until(lambda: page.state["plan"] is None)  # by whoever notices first: this message, or who has just made the plan
    assert (panel.plan, page.state["plan"], page.state["stage"]) == (None, None, "rows")
    page.plan()
    update(page.widget, state=forged)
    assert page.state["plan"]["eligible"] == panel.plan.eligible
    assert [tab["name"] for tab in page.state["tabs"]] == ["rows", "causes", "plan"]


def test_what_another_thread_shows_is_not_undone_by_a_page_that_speaks_just_then(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    """At the end of a message traitlets writes again what others wrote meanwhile, as it has read it just before."""
    page = Page(ws.panel(triaged))
    others: list[threading.Thread] = []

    def show(problem: str) -> None:
        others.append(threading.Thread(target=page.panel._runner.complain, args=(problem,)))
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
    update(page.widget, view={"search": "coffee"})
    for other in others:
        other.join()
    assert page.state["problem"] == page.panel._runner.problem != ""


def test_what_is_asked_for_is_sent_before_what_comes_after_it(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    """A page that asks for the present must not be left with what another thread has changed while it was read."""
    page = Page(ws.panel(triaged))
    sent: list[dict[str, Any]] = []
    page.widget._send = lambda message, buffers=None: sent.append(message)
    read, racing = page.widget.get_state, threading.Thread(target=page.panel._runner.complain, args=("so",))

    def then_it_changes(*args: Any, **more: Any) -> dict[str, Any]:
        found = read(*args, **more)
        if racing.ident is None:
            racing.start()
            racing.join(0.1)  # no longer: it may have to wait until the answer is on its way
        return found

    page.widget.get_state = then_it_changes
    page.widget._handle_msg({"content": {"data": {"method": "request_state"}}, "buffers": []})
    racing.join()
    assert sent[-1]["state"]["state"]["problem"] == "so"


def test_a_page_that_is_there_hears_of_what_changed_while_it_loaded(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    """What the kernel sends to a page that does not listen yet is lost."""
    page = Page(ws.panel(triaged))
    sent: list[dict[str, Any]] = []
    page.panel._runner.complain("said to nobody")
    page.widget._send = lambda message, buffers=None: sent.append(message["state"])
    page.send("hello", version=page.panel._rows.version)
    assert [set(state) for state in sent] == [{"state"}]  # the rows are large, and the page has them
    page.send("hello", version=0)
    assert set(sent[-1]) == {"state", "table", "view", "ticks"}
    assert {state["state"]["problem"] for state in sent} == {"said to nobody"}
    assert sent[-1]["table"]["version"] == page.panel._rows.version


def others(panel: Any) -> None:
    """Let another thread show other rows."""
    panel._failed = panel._failed.iloc[1:]
    thread = threading.Thread(target=panel._set_rows, args=(panel._table(panel._failed),))
    thread.start()
    thread.join(30)


def test_rows_that_come_while_the_page_is_drawn_are_what_it_shows(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    panel = ws.panel(triaged)
    facts = panel._facts

    def slowly() -> Any:
        panel._facts = facts
        said = facts()
        others(panel)
        return said

    panel._facts = slowly
    panel._repr_html_()
    assert panel._say() in json.dumps(Page(panel).state["facts"])


def test_an_answer_names_the_rows_that_it_is_about(
    ws: vx.Workspace, triaged: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where others come while it is looked up: else a page would show one post's text beside another."""
    page = Page(ws.panel(triaged))

    def then_others(found: Any) -> Any:
        def look_up(*args: Any) -> Any:
            answer = found(*args)
            others(page.panel)
            return answer

        return look_up

    page.panel._details = then_others(page.panel._details)
    monkeypatch.setattr(RowTable, "texts", then_others(RowTable.texts))
    monkeypatch.setattr(RowTable, "search", then_others(RowTable.search))
    send_details, send_found = page.panel._send_details, page.panel._send_found
    for do, send in {"details": send_details, "texts": send_found, "search": send_found}.items():
        before = page.panel._rows.version
        send({"do": do, "row": 3, "rows": [3], "text": "coffee", "version": before})
        assert page.panel._rows.version != before
        assert [message["version"] for message in page.got] in ([], [before])
        page.got.clear()


def test_a_display_is_of_one_moment(ws: vx.Workspace, triaged: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that is made while the run before it is drawn takes that run away; the display must not break at it."""
    panel = ws.panel(triaged)
    page = Page(panel)
    plan = page.plan()
    page.run()
    until(lambda: panel._runner.verified is not None and len(panel._runs) == 1, 60)
    page.idle()
    racing = threading.Thread(target=panel._runner.make, args=(lambda: plan, {}))

    def meanwhile(*args: Any, **more: Any) -> Any:
        if racing.ident is None:
            racing.start()
            racing.join(30)
        return snapshot_blocks(*args, **more)

    monkeypatch.setattr("voxops.views._plan_runner.snapshot_blocks", meanwhile)
    assert "Before and after" in panel._repr_html_()
    assert panel.run is None


def test_a_run_that_is_no_longer_shown_says_nothing_and_moves_its_rows(
    ws: vx.Workspace, triaged: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry is planned while the run before it is still compared: the plan stays, and the comparison is of no interest."""
    panel = ws.panel(triaged)
    page = Page(panel)
    begun, goes_on = threading.Event(), threading.Event()
    verify = vx.Run.verify

    def slowly(run: vx.Run) -> pd.DataFrame:
        begun.set()
        assert goes_on.wait(30)
        return verify(run)

    monkeypatch.setattr(vx.Run, "verify", slowly)
    before = len(panel._failed)
    page.widget.ticks = pack(flags(panel, 0))
    page.plan(panel._rows.frame["verdict"].eq("retry").to_numpy(bool))
    page.run()
    assert begun.wait(60)
    run = panel.run
    page.send("retry")
    until(lambda: page.state["plan"])
    plan = panel.plan
    assert f"ws.attach({run.id!r}).failed()".replace("'", '"') in panel.code().replace("'", '"')
    goes_on.set()
    until(lambda: page.widget.ticks == "" and not panel._tasks._turn.locked())
    assert len(panel._failed) == before - run.snapshot.count("succeeded")
    assert panel._runner.verified is None
    assert panel.plan is plan


def test_a_run_that_was_resumed_is_compared_once(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    page.plan(flags(panel, *np.flatnonzero(panel.frame["verdict"].eq("retry"))[:2]))
    page.run()
    until(lambda: len(panel._runs) == 1, 60)

    async def twice() -> None:
        await asyncio.gather(panel._runner._follow(panel.run), panel._runner._follow(panel.run))

    eventloop.run(twice())
    assert len(panel._runs) == 2


@pytest.mark.parametrize("otherwise", [False, True])
def test_a_plan_that_could_not_be_started_comes_back_unless_something_else_was_chosen(
    ws: vx.Workspace, triaged: pd.DataFrame, otherwise: bool
) -> None:
    page = Page(ws.panel(triaged))
    begun, goes_on = threading.Event(), threading.Event()

    async def refuse(*_: object, **__: object) -> None:
        begun.set()
        await asyncio.to_thread(goes_on.wait, 30)
        raise vx.errors.LedgerError("the disk is full")

    page.look(facets={})
    plan = page.plan()
    page.panel._runner._ws = SimpleNamespace(aio=SimpleNamespace(run=refuse), settings=ws.settings)
    page.run()
    assert begun.wait(30)
    if otherwise:
        page.look(search="coffee")
    goes_on.set()
    until(lambda: "the disk is full" in page.state["problem"])
    assert page.panel.plan is (None if otherwise else plan)


def test_a_choice_after_pressing_plan_takes_that_plan_away(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    """However late the plan is ready, and also where nothing was typed or chosen before."""
    panel = ws.panel(triaged)
    page = Page(panel)
    everything = pack(np.ones(len(panel.frame), bool))
    begun, goes_on = threading.Event(), threading.Event()
    make = panel._plan_of

    def slowly(chosen: pd.DataFrame, form: Any) -> vx.Plan:
        begun.set()
        assert goes_on.wait(30)
        return make(chosen, form)

    panel._plan_of = slowly
    page.send("plan", rows=everything, version=panel._rows.version, view={}, ticks="")
    assert begun.wait(30)
    page.look(facets={"platform": ["twitter"]})
    goes_on.set()
    until(lambda: page.state["stage"] == "rows" and panel._tasks._turn.locked() is False)
    assert panel.plan is None

    panel._plan_of = make
    page.plan()
    page.widget.ticks = pack(flags(panel, 0))
    assert panel.plan is None


def test_a_run_of_the_panel_leaves_the_next_plan_as_careful(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    page = Page(ws.panel(triaged))
    page.look(form={"reason": "so", "canary": 0})
    page.plan(canary=0, reason="so")
    page.run()
    until(
        lambda: page.panel._runner.verified is not None and page.widget.ticks == "" and not page.panel._runner.acting,
        60,
    )
    until(lambda: len(page.panel._runs) == 1)
    page.plan(canary=0, reason="so")
    page.widget.ticks = pack(flags(page.panel, 0))
    assert page.panel.plan is None
    page.plan()
    page.look(form={"reason": "another reason", "canary": 0})
    assert page.panel.plan is not None


def test_the_reason_of_a_run_is_not_left_for_the_next(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame
) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    page.look(form={"reason": "the platforms are back ", "canary": 0})
    page.plan(canary=0, reason="the platforms are back ")
    page.send("run", plan="of another plan", reason="the platforms are back ")
    until(lambda: "nothing was sent" in page.state["problem"])
    assert page.widget.view["form"]["reason"] == "the platforms are back "  # nothing has begun
    page.run("the platforms are back ")
    until(lambda: panel.run is not None and page.widget.view["form"]["reason"] == "")
    assert page.widget.view["form"]["canary"] == 0
    until(lambda: panel._runner.verified is not None and len(panel._runs) == 1, 60)
    assert "reason='the platforms are back'" in panel.code().replace('"', "'")  # of the run that is shown
    sent = len(sandbox.requests(acting=True))
    page.send("retry")
    until(lambda: panel.run is None and page.state["plan"])
    assert "the platforms are back" not in panel.code()
    assert "reason: the platforms are back" not in panel._repr_html_()
    page.send("run", plan=page.state["plan"]["fingerprint"], reason=page.widget.view["form"]["reason"])
    until(lambda: "needs a reason" in page.state["problem"])
    assert len(sandbox.requests(acting=True)) == sent
    page.plan()
    page.look(form={"reason": "typed since"})
    page.run("typed before")
    until(lambda: panel.run is not None)
    until(lambda: panel._runner.verified is not None, 60)
    assert page.widget.view["form"]["reason"] == "typed since"


def test_a_display_is_as_of_the_servers_time(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    sandbox.advance(40 * 86400)  # no clock of this machine says so
    ws.accounts()  # an answer tells the time
    for panel in (ws.panel(triaged), ws.panel()):
        assert f"As of {ws.client.now():%Y-%m-%d %H:%M}" in panel._repr_html_()
        ws.accounts()
        panel._changed(True)
        assert f"As of {ws.client.now():%Y-%m-%d %H:%M}" in panel._repr_html_()
    read = pd.Timestamp(triaged.attrs["fetched_at"])
    assert f"As of {read:%Y-%m-%d %H:%M:%S} UTC" in vx.view(triaged, live=True).grid.live.html()
    by_hand = pd.DataFrame({"post_id": ["p"], "platform": ["twitter"], "status": ["failed"]})
    assert "As of" not in vx.view(by_hand, live=True).grid.live.html()


def test_a_plan_that_was_replaced_between_look_and_run_is_not_sent(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame
) -> None:
    """Two pages: the first has looked, the second plans, the first presses Run before it has heard of that."""
    panel = ws.panel(triaged)
    first, second = Page(panel, "first"), Page(panel, "second")
    first.plan(flags(panel, *np.flatnonzero(panel.frame["verdict"].eq("retry"))[:1]))
    seen = first.state["plan"]["fingerprint"]
    second.send("plan", rows=pack(np.ones(len(panel.frame), bool)), version=panel._rows.version, form={})
    first.send("run", plan=seen, reason="only this one")  # behind the other plan in the queue
    until(lambda: "nothing was sent" in first.state["problem"])
    assert panel.run is None
    assert sandbox.requests(acting=True) == []


def two_runs(ws: vx.Workspace, triaged: pd.DataFrame) -> list[vx.Run]:
    """Two retries of one target each, both at their end."""
    retried = triaged[triaged["verdict"].eq("retry")]
    return [ws.run(vx.plan_retry(part), reason="so").wait(60) for part in (retried.iloc[:1], retried.iloc[1:2])]


def test_a_button_acts_on_the_run_that_its_page_showed(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame
) -> None:
    runs = two_runs(ws, triaged)
    panel = ws.panel()
    page = Page(panel)
    page.send("open", about=runs[0].id)
    until(lambda: panel.run is not None)
    until(lambda: panel._runner.verified is not None)
    for do, about in (("resume", runs[1].id), ("pause", None), ("cancel", "run_0"), ("retry", runs[1].id)):
        page.hush()
        page.send(do, about=about)
        until(lambda: "nothing was done" in page.state["problem"] or "nothing is planned" in page.state["problem"])
    for about in ("run_of_somebody_else", "", None, 7, ["x"]):
        page.hush()
        page.send("open", about=about)
        until(lambda: "nothing was opened" in page.state["problem"])
    assert panel.run.id == runs[0].id


@pytest.mark.parametrize(
    "view",
    [
        {"facets": ["x"]},
        {"facets": {"platform": 7, "verdict": {"a": 1}, "nothing": ["x"]}},
        {"facets": {"platform": [None, 7, ["x"]]}},
        {"days": ["2026-99-99", "x"]},
        {"days": 7, "search": 7, "form": "x", "sort": 7, "hidden": 7},
    ],
)
def test_a_view_that_makes_no_sense_breaks_nothing(ws: vx.Workspace, triaged: pd.DataFrame, view: Any) -> None:
    page = Page(ws.panel(triaged))
    page.send("code")
    update(page.widget, view=view)
    page.send("code")
    page.send("code")
    assert "vx.plan_retry(chosen)" in page.panel.code()
    page.plan(np.ones(len(page.panel.frame), bool))
    assert page.state["problem"] == ""


def test_rows_of_another_table_are_refused(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    page = Page(ws.panel(triaged))
    old = page.panel._rows.version
    page.panel._set_rows(page.panel._table(page.panel._failed))
    everything = pack(np.ones(len(page.panel._failed), bool))
    for rows, version in (
        (everything, old),
        ("", page.panel._rows.version),
        ("%%%", page.panel._rows.version),
        (None, None),
    ):
        page.hush()
        page.send("plan", rows=rows, version=version, form={})
        until(lambda: "choose again" in page.state["problem"])
    assert page.panel.plan is None


def test_texts_and_details_come_when_they_are_asked_for(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    page = Page(ws.panel(triaged))
    frame, version = page.panel._rows.frame, page.panel._rows.version
    secret = str(frame["content"].iloc[3])
    assert secret[:40] not in json.dumps(page.state)
    assert secret[:40].encode() not in b"".join(
        part for column in page.widget.table["columns"] for part in column.values() if isinstance(part, bytes)
    )
    page.send("texts", rows=[3, 10**9, -1, "x"], version=version)
    until(lambda: any("texts" in message for message in page.got))
    texts = next(message["texts"] for message in page.got if "texts" in message)
    assert list(texts) == ["3"]
    assert texts["3"]["content"].startswith(secret[:40].split("\n")[0])
    page.send("details", row=3, version=version)
    until(lambda: any("details" in message for message in page.got))
    assert secret[:40] in json.dumps(page.got, ensure_ascii=False)
    word = max(secret.split(), key=len)
    page.send("search", text=word)
    until(lambda: any("found" in message for message in page.got))
    found = page.panel._rows.rows(next(m["found"] for m in page.got if "found" in m), version)
    assert found[3]
    assert found.sum() == frame["content"].str.lower().str.contains(word.lower(), regex=False).sum()


def test_the_code_gives_the_same_keys_in_a_fresh_process(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame, tmp_path: Path
) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    times = panel._failed["updated_at"].dropna()
    first, last = times.min().date() + timedelta(days=1), times.max().date()
    platforms = list(panel._failed["platform"].value_counts().index[:4])
    page.look(facets={"platform": platforms}, days=[first.isoformat(), last.isoformat()], form={"canary": 2})
    rows = panel._choice().mask(panel._rows.frame).to_numpy(bool, copy=True)
    rows[np.flatnonzero(rows)[[0, 2]]] = False
    plan = page.plan(rows, canary=2)
    assert plan.eligible > 1
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(plan)


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
    panel = ws.panel(make(ws.posts(status=["failed", "partial"], since="30D")))
    plan = Page(panel).plan(~flags(panel, 0))
    assert plan.eligible > 1
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(plan)


def test_the_code_after_a_run_gives_the_same_keys(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame, tmp_path: Path
) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    retried = np.flatnonzero(panel._rows.frame["verdict"].eq("retry"))
    page.plan(flags(panel, *retried[:12]))
    page.run()
    until(lambda: panel._runner.verified is not None and panel._runs, 60)
    names = ["post_id", "platform", "account_id"]
    failed = pd.MultiIndex.from_frame(panel.run.failed()[names])
    plan = page.plan(pd.MultiIndex.from_frame(panel._rows.frame[names]).isin(failed))
    assert plan.eligible
    place = f"ledger={str(tmp_path / 'ledger')!r})"
    code = panel.code().replace(f'"{ws.client.url}")', f'"{ws.client.url}", {place}')
    assert "ws.attach(" in code
    page.plan()
    assert "panel.frame" in panel.code(), "of all rows, which that run may have moved"
    ws.close()
    assert fresh(code, sandbox, tmp_path) == keys_of(plan)


def test_the_code_of_the_newest_posts_names_them(ws: vx.Workspace, sandbox: Sandbox, tmp_path: Path) -> None:
    panel = ws.panel(ws.posts(status="failed", limit=12))
    plan = Page(panel).plan()
    assert "limit" not in panel.code()
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(plan)


def test_the_code_of_a_frame_of_unknown_origin_begins_with_that_frame(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    bare = triaged.copy()
    bare.attrs = {}
    assert "triaged = ...  # the frame that was passed to the panel" in ws.panel(bare).code()
    assert "vx.triage(...)  # the frame" in ws.panel(bare.drop(columns="cause")).code()


def test_the_code_of_deliveries_gives_the_same_keys(ws: vx.Workspace, sandbox: Sandbox, tmp_path: Path) -> None:
    page = failures(ws)
    panel = page.panel
    page.look(facets={"event_type": ["post.published"]}, form={"force": True})
    rows = panel._rows.frame["event_type"].eq("post.published").to_numpy(bool, copy=True)
    rows[rows.argmax()] = False
    plan = page.plan(rows, force=True)
    assert plan.eligible > 0
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(plan)


def test_the_code_of_deliveries_that_a_filter_heard_of_later_has_chosen(
    ws: vx.Workspace, sandbox: Sandbox, tmp_path: Path
) -> None:
    page = failures(ws)
    panel = page.panel
    late = {"facets": {"event_type": ["post.published"]}, "form": {"force": True}}
    page.look(facets={"event_type": ["post.failed"]})
    page.ask(panel._rows.frame["event_type"].eq("post.published").to_numpy(bool), late)
    until(lambda: page.state["plan"])
    page.idle()
    page.look(**late)
    assert panel.plan.eligible > 0
    assert fresh(panel.code(), sandbox, tmp_path) == keys_of(panel.plan)


def test_a_log_in_which_one_delivery_has_failed_is_shown(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="30D")
    alone = pd.concat([log[log["success"].eq(True)].head(3), log[log["success"].eq(False)].head(1)])
    alone.attrs = log.attrs
    (row,) = _answers(alone)["rows"]
    assert "1" in str(row)


def test_a_log_whose_deliveries_show_no_time_is_shown(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="30D")
    one = log.assign(created_at=log["created_at"].where(log["delivery_id"] == log["delivery_id"].iloc[0]))
    for span in ("hour", "day"):
        assert _series(one.iloc[1:], span)["text"] == "No delivery shows when it was created."
        assert len(_series(one, span)["labels"]) == 1
    assert {row[-1]["text"] for row in _answers(one.iloc[1:])["rows"]} == {"–"}


def failures(ws: vx.Workspace) -> Page:
    """A page of the delivery panel with failures in its window."""
    panel = ws.panel(ws.deliveries(since="7D"))
    page = Page(panel)
    page.idle()
    page.send("select", name="window", value="30D")
    until(lambda: panel._rows.frame.attrs["filters"]["since"] == "30D")
    page.idle()  # all of it is shown
    assert page.widget.table["version"] == panel._rows.version
    return page


def keys_of(plan: vx.Plan) -> list[str]:
    """Key of every item and whether it is a canary, in the order of sending."""
    return [f"{key_of([item])} {item.row in plan.first}" for item in plan.items]


def fresh(code: str, sandbox: Sandbox, folder: Path) -> list[str]:
    """Run code in a new process; return the keys of the plan that it makes."""
    code += (
        "\nfrom voxops.acts.act import key_of"
        "\nprint(*(f'{key_of([item])} {item.row in plan.first}' for item in plan.items), sep='\\n')\nws.close()\n"
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
        assert len(ws.panel(frame)._failed) == triaged["cause"].notna().sum()
    with pytest.raises(vx.errors.PlanError, match="status"):
        ws.panel(triaged.drop(columns="status"))


def test_the_frame_decides_which_panel_it_is_and_one_of_something_else_is_refused(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    log = ws.deliveries(since="7D")
    kinds = {"RunsPanel": None, "DeliveryPanel": vx.deliveries.lost(log), "TriagePanel": triaged}
    for name, frame in kinds.items():
        assert ws.panel(frame).__class__.__name__ == name
    for wrong in (ws.accounts(), ws.webhooks(), ws.runs(), pd.DataFrame({"x": [1]}), [], ws):
        with pytest.raises(vx.errors.PlanError, match=r"takes a triaged frame, vx\.triage.*ws\.deliveries.*the runs"):
            ws.panel(wrong)  # type: ignore[arg-type]
    for frame in (None, triaged):
        with pytest.raises(vx.errors.PlanError, match=r"posts= and events= are for a panel of deliveries"):
            ws.panel(frame, posts=ws.posts(limit=1))
    with pytest.raises(vx.errors.PlanError, match=r"ws\.panel\(\) needs deliveries; missing: url"):
        ws.panel(log.drop(columns="url"))


def test_a_panel_of_nothing(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    bare = triaged.head(0)
    bare.attrs = {}
    assert "Nothing failed" in ws.panel(bare)._repr_html_()
    panel = ws.panel(triaged.head(0))  # such as by a filter with a typing mistake
    assert "No rows: the frame is empty, though 67 posts were loaded" in panel._repr_html_()
    assert "Nothing failed" not in panel._repr_html_()
    assert vx.report(triaged.head(0)).headline == "No rows: the frame is empty, though 67 posts were loaded."
    plan = Page(panel).plan()
    assert plan.eligible == 0


# -- the delivery panel -----------------------------------------------------------------------------------------------------


def test_deliveries_are_shown_and_sent_again(ws: vx.Workspace, sandbox: Sandbox) -> None:
    page = failures(ws)
    panel = page.panel
    assert page.widget.view["facets"] == {"success": ["failed"]}
    assert "deliveries per day" in panel._repr_html_()
    page.send("details", row=0, version=panel._rows.version)
    until(lambda: any("details" in message for message in page.got))
    assert panel._log["delivery_id"].iloc[0] in json.dumps(page.got)
    plan = page.plan()
    page.run("the receiver is back")
    until(lambda: panel._runner.verified is not None, 60)
    assert panel._runner.verified["tried"].sum() == plan.eligible
    assert sandbox.duplicates() == []


def test_details_say_which_post_a_delivery_is_about_or_why_not(ws: vx.Workspace) -> None:
    posts = ws.posts(since="30D")
    bare, linked = ws.panel(ws.deliveries(since="7D")), ws.panel(ws.deliveries(since="7D"), posts=posts)
    assert "ws.panel(log, posts=ws.posts(...)) estimates it" in json.dumps(bare._details(0))
    said = {json.dumps(linked._details(row)) for row in range(len(linked._log))}
    assert any("is unknown: " in one for one in said)
    with pytest.raises(vx.errors.PlanError, match="posts="):
        ws.panel(ws.deliveries(since="7D"), posts=posts[["post_id"]])


def test_the_code_of_deliveries_that_were_filtered_or_put_together_says_which(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="30D")
    lost = log[log["success"].eq(False).fillna(False)].head(3)
    code = ws.panel(lost).code()
    assert 'chosen = log[log["delivery_id"].isin(rows)]' in code
    assert all(one in code for one in lost["delivery_id"])
    assert ws.panel(log.assign()).code().count("del_") == 0
    assert "log = ...  # the deliveries that were passed" in ws.panel(pd.DataFrame(lost.to_dict("list"))).code()


def test_deliveries_of_no_usual_window_are_shown_as_passed_and_read_again(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="2D")
    panel = ws.panel(log)
    assert panel._windows[0] == ("as passed", log["created_at"].min().isoformat())
    page = Page(panel)
    page.idle()
    page.send("reload")
    until(lambda: panel._log is not log and page.state["busy"] == "")
    assert set(log["delivery_id"]) <= set(panel._log["delivery_id"])
    assert ws.panel(ws.deliveries(since="30D"))._window == "30D"


def test_a_webhook_and_a_window_are_picked(ws: vx.Workspace) -> None:
    panel = ws.panel(ws.deliveries(since="7D"))
    page = Page(panel)
    seven, one = len(panel._log), panel._webhooks[1][1]
    page.send("select", name="window", value="30D")
    until(lambda: len(panel._log) > seven)
    page.send("select", name="webhook", value=one)
    until(lambda: set(panel._log["webhook_id"]) == {one})
    page.send("select", name="webhook", value="somebody else's")
    assert panel._webhook == one


def test_while_another_window_is_read_the_page_says_so(ws: vx.Workspace, sandbox: Sandbox) -> None:
    page = Page(ws.panel(ws.deliveries(since="7D")))
    page.idle()
    take, goes_on = page.panel._take, threading.Event()
    page.panel._take = lambda *log: take(*log) if goes_on.wait(30) else None
    page.send("select", name="window", value="24h")
    until(lambda: page.state["busy"] == "Reading the deliveries of the last 24 hours …")
    assert page.panel._log.attrs["filters"]["since"] != "24h"  # these rows are not yet those
    goes_on.set()
    until(lambda: page.state["busy"] == "")
    assert page.panel._log.attrs["filters"]["since"] == "24h"
    sandbox.add_fault(Fault("status", method="GET", path="/v1/webhooks/*/deliveries", status=403, code="FORBIDDEN"))
    page.send("select", name="window", value="3D")
    until(lambda: page.state["problem"])
    until(lambda: page.state["busy"] == "")
    selects = {each["name"]: each["value"] for each in page.state["selects"]}
    assert selects["window"] == page.panel._log.attrs["filters"]["since"] == "24h", "the rows are those of before"
    page.send("reload")
    until(lambda: page.state["problem"] == "" and page.state["busy"] == "")


def test_the_answer_of_a_receiver_is_shown_and_found_without_the_token_that_it_repeats(ws: vx.Workspace) -> None:
    page = failures(ws)
    log = page.panel._log.copy()
    log.attrs = page.panel._log.attrs
    log["response_body"] = "moved to https://hooks.slack.com/services/T000/B000/SecretToken"
    page.panel._take(log, True)
    page.send("texts", rows=[0], version=page.panel._rows.version)
    until(lambda: any("texts" in message for message in page.got))
    assert "hooks.slack.com/services/T…" in str(page.got)
    assert "SecretToken" not in str(page.got)
    assert "SecretToken" not in str(page.panel._rows.copy())
    none = pack(np.zeros(len(log), bool))
    assert (page.panel._rows.search("secrettoken"), page.panel._rows.search("moved to") != none) == (none, True)


def test_after_a_run_the_code_is_still_that_of_its_rows(ws: vx.Workspace, sandbox: Sandbox) -> None:
    """The rows are read anew then; a code of them all would send the whole history again."""
    page = failures(ws)
    panel, log = page.panel, page.panel._rows.frame
    rows = flags(panel, *np.flatnonzero(log["success"].eq(False).fillna(False))[:2])
    page.plan(rows, force=True)
    before = panel.code()
    named = set(re.findall(r"del_\w+", before))
    page.run("the receiver is back")
    until(lambda: panel.run is not None and panel._runner.verified is not None, 60)
    until(lambda: panel._rows.frame is not log)
    page.idle()
    after = panel.code()
    assert f"sent since, by run {panel.run.id}" in after
    assert set(re.findall(r"del_\w+", after)) == named
    assert after.splitlines()[4:-4] == before.splitlines()[3:-4]
    page.send("retry")
    until(lambda: panel.run is None and panel.plan is not None)
    assert "chosen = ws.attach(" in panel.code()
    assert "chosen = log" not in panel.code()


def test_the_code_of_what_facets_leave_tells_what_is_in_flight_from_what_has_failed(ws: vx.Workspace) -> None:
    """The API may say `false` of both."""
    page = failures(ws)
    log = page.panel._log.copy()
    log.attrs = page.panel._log.attrs
    first = log.index[0]
    log.loc[first, "success"] = False
    log.loc[first, ["status_code", "latency_ms", "error"]] = pd.NA
    page.panel._take(log, True)
    page.look(facets={"success": ["pending"]})
    assert log["delivery_id"].iloc[0] in page.panel.code()
    page.look(facets={"success": ["failed"]})
    assert page.panel._left().sum() == (delivery_state(log) == "failed").sum()
    assert len(re.findall("del_", page.panel.code())) == 1, "all that failed but the one in flight"


def test_the_code_that_is_open_says_what_is_chosen_now(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    panel = ws.panel(triaged)
    page = Page(panel)
    page.send("code")

    def code() -> str:
        return str(next(tab for tab in page.state["tabs"] if tab["name"] == "code"))

    until(lambda: any(tab["name"] == "code" for tab in page.state["tabs"]))
    page.look(facets={"platform": ["twitter"]})
    page.send("changed")
    until(lambda: "twitter" in code())
    page.plan()
    page.look(facets={"platform": ["linkedin"]})
    page.send("changed")
    until(lambda: panel.plan is None and "linkedin" in code())
    assert "twitter" not in panel.code()
    assert len(re.findall(r'"post_', panel.code())) == 0, "all that match, and no rows of the plan before"


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_frame_that_went_through_parquet_is_shown(ws: vx.Workspace, triaged: pd.DataFrame, missing: Any) -> None:
    tags = [np.array(["a", "b"], object), missing, np.array([], object)]
    frame = triaged.assign(tags=pd.Series([tags[row % 3] for row in range(len(triaged))], triaged.index, dtype=object))
    shown = ws.panel(frame)._rows.shown("tags")
    assert set(shown) == {"a, b", "–"}
    with pytest.raises(vx.errors.PlanError, match="updated_at has dtype str, not times with a zone"):
        ws.panel(triaged.assign(updated_at=triaged["updated_at"].astype("string").astype("str")))


def test_what_has_no_error_shows_none(ws: vx.Workspace) -> None:
    stuck = vx.triage(vx.targets(ws.posts(status="publishing", since="30D")))
    panel = ws.panel(stuck)
    row = int(np.flatnonzero(panel._rows.frame["error_code"].isna() & panel._rows.frame["error_message"].isna())[0])
    assert not any(block and block["kind"] == "note" for block in panel._details(row))


def test_a_failure_to_load_is_said(ws: vx.Workspace, sandbox: Sandbox) -> None:
    log = ws.deliveries(since="7D")
    sandbox.add_fault(
        Fault("status", method="GET", path="/v1/webhooks", status=403, code="AUTHORIZATION_ERROR", times=None)
    )
    panel = ws.panel(log)
    until(lambda: "403" in panel._repr_html_() or "AUTHORIZATION" in panel._repr_html_())


# -- the runs panel ---------------------------------------------------------------------------------------------------------


def test_lists_of_runs_and_deliveries_say_when_they_were_read(ws: vx.Workspace, sandbox: Sandbox) -> None:
    """Before, only the panel of a triage did: a list that was read before a run looked like one of now."""
    pages = [Page(ws.panel(ws.deliveries(since="7D"))), Page(ws.panel())]
    for page in pages:
        until(lambda page=page: "read 2026-03-02 09:00:00 UTC" in page.state["facts"][0]["text"])
    sandbox.advance(3600)
    for page in pages:  # an answer of the API says what time it is there
        page.send("reload")
        until(lambda page=page: "read 2026-03-02 10:00:00 UTC" in page.state["facts"][0]["text"])


def test_a_run_is_opened_and_resumed_from_the_list(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    plan = vx.plan_retry(triaged)
    run = ws.run(plan, reason="it was paused")
    run.pause()
    sent = len(sandbox.requests(acting=True))
    panel = ws.panel()
    page = Page(panel)
    assert list(panel._rows.frame["run"]) == [run.id]
    assert "it was paused" in panel._repr_html_()
    page.send("details", row=0, version=panel._rows.version)
    until(lambda: any(button["about"] == run.id for button in page.state["buttons"]))
    page.send("open")
    until(lambda: panel.run is not None and page.state["tabs"][-1]["name"] == "run")
    assert len(sandbox.requests(acting=True)) == sent, "opening a run sent something"
    page.send("resume")
    until(lambda: panel.run.snapshot.phase == "done", 60)
    assert sandbox.duplicates() == []
    assert len(ws.runs()) == 1
    assert "ws.attach(" in panel.code()


def test_a_run_of_creates_is_shown_by_error(ws: vx.Workspace) -> None:
    accounts = ws.accounts()
    one_that_is_not_active, one_that_is = accounts.groupby(accounts["status"] == "active")["account_id"].first()
    campaign = pd.DataFrame({"row_id": [f"r{n}" for n in range(4)], "content": "coffee"})
    campaign["accounts"] = [one_that_is_not_active, one_that_is] * 2
    campaign = campaign.assign(scheduled_for="2026-04-01T09:00:00Z", media="", first_comment="", tags="")
    run = ws.run(vx.plan_create(campaign, key="row_id"), reason="spring").wait(60)
    page = Page(ws.panel())
    page.send("open", about=run.id)
    failed = run.results()["error_code"].value_counts()
    assert len(failed)
    until(lambda: page.panel._runner.errors == failed.to_dict())
    until(lambda: "failed with" in repr(page.state["tabs"][-1]))


def refuse_changes(sandbox: Sandbox) -> None:
    """Let the API refuse the next two changes."""
    sandbox.add_fault(Fault("status", method="PATCH", path="/v1/posts/*", status=400, code="VALIDATION_ERROR", times=2))


def made_of_no_account(ws: vx.Workspace) -> vx.Plan:
    """Two creates that the API refuses."""
    closed = ws.accounts().query("status != 'active'")["account_id"].iloc[0]
    rows = pd.DataFrame({"row_id": ["a", "b"], "content": ["coffee", "tea"], "accounts": closed})
    return vx.plan_create(rows.assign(scheduled_for="2026-04-01T09:00:00Z"), key="row_id", campaign="spring")


FAILING = {
    "move": lambda ws: vx.plan_update(ws.posts(status="scheduled").head(2), by="3D", change="later"),
    "update": lambda ws: vx.plan_update(ws.posts(status="scheduled").head(2).assign(new_content="fresh coffee")),
    "create": made_of_no_account,
}


@pytest.mark.parametrize("action", FAILING)
def test_what_failed_is_planned_again_from_the_list_as_from_the_run(
    ws: vx.Workspace, sandbox: Sandbox, action: str
) -> None:
    plan = FAILING[action](ws)
    refuse_changes(sandbox)
    run = ws.run(plan, reason="later").wait(60)
    assert run.results()["outcome"].to_list() == ["failed"] * 2
    page = Page(ws.panel())
    page.send("open", about=run.id)
    until(lambda: page.panel.run is not None and page.panel.run.snapshot.phase == "done")
    page.send("retry", about=run.id)
    until(lambda: page.panel.plan is not None)
    again, expected = page.panel.plan, run._job.replan()
    assert (again.action, again.eligible) == (plan.action, 2)
    keys = [set(one.table["idempotency_key"].dropna()) for one in (again, expected, plan)]
    assert keys[0] == keys[1]
    assert not keys[0] & keys[2], "a deliberate second attempt has new keys"


def test_the_code_of_the_list_is_about_the_run_that_is_open(
    ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame
) -> None:
    runs = two_runs(ws, triaged)
    panel = ws.panel()
    page = Page(panel)
    assert panel.code().endswith("\nws.runs()\n"), "no run is looked at"
    listed = list(panel._rows.frame["run"])
    for run in runs:
        page.send("details", row=listed.index(run.id), version=panel._rows.version)
        until(lambda run=run: f"ws.attach({run.id!r})" in panel.code())
    page.send("open", about=runs[0].id)
    until(lambda: panel.run is not None and panel.run.id == runs[0].id)
    page.send("details", row=listed.index(runs[1].id), version=panel._rows.version)
    until(lambda: any(button["about"] == runs[1].id for button in page.state["buttons"]))
    assert f"ws.attach({runs[0].id!r})" in panel.code(), "the other one is only looked at"


def test_a_list_of_no_runs(ws: vx.Workspace) -> None:
    panel = ws.panel()
    assert "0 runs" in panel._repr_html_()
    assert "ws.attach" not in panel.code()
    Page(panel).send("open")
    assert panel.run is None


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


def test_the_module_sets_text_as_text_and_fetches_nothing() -> None:
    from voxops.views._widget import LiveWidget

    code = re.sub(r"/\*\*.*?\*/", "", re.sub(r"(?m)^\s*//.*$| // .*$", "", LiveWidget._esm), flags=re.DOTALL)
    assert "class Live" in code
    words = (
        r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|document\.write|srcdoc|setHTML"
        r"|\beval\b|\bFunction\b|\bfetch\s*\(|XMLHttpRequest|WebSocket|sendBeacon|\bimport\b|https?://"
    )
    assert re.findall(words, code) == []
    assert re.findall(r"url\(|@import", LiveWidget._css) == []


def test_hostile_text_is_only_ever_text(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    evil = triaged.assign(
        **{
            name: pd.array([HOSTILE] * len(triaged), dtype="string")
            for name in ("cause", "remedy", "content", "account_name", "error_code", "error_message")
        }
    )
    evil.attrs = triaged.attrs
    panel = ws.panel(evil)
    page = Page(panel)
    page.plan(reason=HOSTILE)
    page.send("code")
    panel._runner.complain(HOSTILE)
    assert_harmless(panel._repr_html_())
    details = [block for block in panel._details(0) if block is not None]
    assert_harmless(static_html(details))


def test_that_nothing_failed_is_said(triaged: pd.DataFrame) -> None:
    assert "Nothing failed." in json.dumps(cause_blocks(triaged.head(0), "Nothing failed."))


def test_the_bar_of_a_cause_with_two_verdicts_shows_what_its_count_says(triaged: pd.DataFrame) -> None:
    rows = triaged[triaged["cause"].notna()].head(6).assign(cause="BUSY", platform="facebook", remedy="")
    rows["verdict"] = ["retry"] * 4 + ["ask support"] * 2
    table = cause_blocks(rows, "")[0]
    lines = [(line[0]["bar"], line[1]["text"]) for line in table["rows"]]
    assert [([part["count"] for part in bar], count) for bar, count in lines] == [([4], "4"), ([2], "2")]


def test_the_same_state_is_the_same_html(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    one, two = (re.sub(r"As of [^.]*", "", ws.panel(triaged)._repr_html_()) for _ in range(2))
    assert one == two


def test_no_key_in_the_code(ws: vx.Workspace, sandbox: Sandbox, triaged: pd.DataFrame) -> None:
    assert sandbox.api_key not in ws.panel(triaged).code()


# -- parts ------------------------------------------------------------------------------------------------------------------


def test_a_desk_does_one_thing_after_another_and_tells_of_failures() -> None:
    said, done = [], []
    desk = TaskQueue(said.append)

    def work(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    def fail() -> None:
        raise ZeroDivisionError("oh")

    desk.run_blocking(lambda: work(1))
    desk.run_blocking(fail)
    desk.run_blocking(lambda: work(2))
    until(lambda: len(done) == 2)
    assert done == [1, 2]
    assert said == ["the panel failed: ZeroDivisionError: oh"]


def test_works_that_wait_leave_the_loop_the_threads_that_they_wait_for() -> None:
    """Somebody presses Pause again and again, and the requests that all these presses wait for ask for an address."""
    desk, goes_on, done = TaskQueue(print), threading.Event(), []
    for _ in range(64):
        desk.at_once(lambda: done.append(goes_on.wait(20)))
    eventloop.run(asyncio.to_thread(goes_on.set))
    until(lambda: len(done) == 64, 60)
    assert all(done)


WIDE = st.lists(
    st.tuples(
        st.text(max_size=8) | st.none(), st.integers(0, 2**31) | st.none(), st.floats(allow_nan=False) | st.none()
    ),
    max_size=30,
)


@given(WIDE)
def test_compact_columns_are_the_columns(rows: list[tuple[Any, ...]]) -> None:
    frame = pd.DataFrame(
        {
            "word": pd.array([row[0] for row in rows], dtype="string"),
            "time": pd.to_datetime(pd.array([row[1] for row in rows], dtype="Int64"), unit="s", utc=True).astype(
                "datetime64[us, UTC]"
            ),
            "size": pd.array([row[2] for row in rows], dtype="Float64"),
        }
    )
    columns = (
        Column("word", "Word"),
        Column("time", "Time", kind="time"),
        Column("size", "Size", kind="number"),
        Column("none", "None"),
    )
    model = RowTable(frame, columns).model()
    word, time_, size, none = model["columns"]
    codes = np.frombuffer(word["codes"], f"<u{word['width']}")
    assert [word["values"][code] for code in codes] == [
        safe.plain("–" if row[0] is None else row[0], 120) or "–" for row in rows
    ]
    assert [None if at == 2**32 - 1 else at for at in np.frombuffer(time_["seconds"], "<u4")] == [
        row[1] for row in rows
    ]
    assert [None if np.isnan(at) else at for at in np.frombuffer(size["numbers"], "<f8")] == [row[2] for row in rows]
    assert none["values"] == (["–"] if rows else [])


@given(st.lists(st.booleans(), max_size=40))
def test_bits_name_the_rows(wanted: list[bool]) -> None:
    table = RowTable(pd.DataFrame({"a": range(len(wanted))}), ())
    assert list(table.rows(pack(np.array(wanted, bool)), table.version)) == wanted
    assert table.rows(pack(np.ones(len(wanted) + 8, bool)), table.version) is None


def test_what_is_blank_and_what_is_missing_look_the_same() -> None:
    frame = pd.DataFrame({"reason": pd.array(["", None, "x"], dtype="string")})
    table = RowTable(frame, [Column("reason", "Reason", facet=True)])
    assert table.shown("reason").to_list() == ["–", "–", "x"]
    assert [row[0]["text"] for row in table.copy()[0]["rows"]] == ["–", "–", "x"]


def test_fifty_thousand_rows_are_small_and_their_copy_is_short() -> None:
    count = 50_000
    frame = pd.DataFrame(
        {
            "post_id": pd.array([f"post_{number:024}" for number in range(count)], dtype="string"),
            "cause": pd.array([f"CODE_{number % 40} twitter: words" for number in range(count)], dtype="string"),
            "content": pd.array(["a long text " * 20] * count, dtype="string"),
            "updated_at": pd.Series(pd.date_range("2026-01-01", periods=count, freq="min", tz="UTC")).astype(
                "datetime64[us, UTC]"
            ),
        }
    )
    columns = (
        Column("post_id", "Post", kind="id"),
        Column("cause", "Cause", facet=True),
        Column("updated_at", "Changed", kind="time"),
        Column("content", "Text", kind="text"),
    )
    table = RowTable(frame, columns)
    model = table.model()
    size = sum(len(part) for column in model["columns"] for part in column.values() if isinstance(part, bytes))
    assert size < 5_000_000
    copy = table.copy()
    assert len(copy[0]["rows"]) == COPIED == 200
    assert copy[1]["text"] == f"The first 200 of {count:,} rows."


def test_two_joined_frames_are_shown_once(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    joined = pd.concat([triaged, triaged], ignore_index=True)
    one, both = (ws.panel(frame)._live.html() for frame in (triaged, joined))
    assert both.count("<tr") == one.count("<tr") > 10


def test_the_static_copy_of_many_rows_shows_two_hundred_and_says_how_many_there_are(
    ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    many = pd.concat([triaged[triaged["cause"].notna()]] * 6, ignore_index=True)
    many["post_id"] = pd.array([f"post_{number}" for number in range(len(many))], dtype="string")
    markup = ws.panel(many)._live.html()
    assert f"The first 200 of {len(many):,} rows." in markup
    assert "As of " in markup
    rows = markup[: markup.index("The first 200 of")].rindex("<tbody>")
    assert markup[rows : markup.index("The first 200 of")].count("<tr") == 200
