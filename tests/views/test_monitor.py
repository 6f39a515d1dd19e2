"""The monitor: what it says in text and HTML alike, how often it speaks, and which buttons it takes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pandas as pd
import pytest
from tests.views.payloads import INVISIBLE, PAYLOADS, Reader, assert_only_text

import voxops as vx
from voxops.acts.plan import Plan
from voxops.engine.progress import Progress
from voxops.errors import LedgerError
from voxops.model import Cell, Outcome, PaceInfo, Snapshot, Transition
from voxops.run import Run
from voxops.views.monitor import INTERVAL, Live, Monitor, Painter
from voxops.views.snapshot import render_html, render_text

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def snapshot(**more: Any) -> Snapshot:
    """A run in the middle: three platforms, all four outcomes, waits, transitions, a pace and a note."""
    counts = [("linkedin", Outcome.SUCCEEDED, 40), ("linkedin", Outcome.FAILED, 4), ("linkedin", Outcome.PENDING, 16)]
    counts += [("threads", Outcome.PENDING, 9), ("twitter", Outcome.SUCCEEDED, 20), ("twitter", Outcome.UNKNOWN, 1)]
    at = NOON + timedelta(seconds=64)
    changes = (
        Transition(at, "post_7", "linkedin", "pending", "failed", "TOKEN_EXPIRED"),
        Transition(NOON + timedelta(seconds=61), "post_9", "twitter", "pending", "unknown", "connection lost"),
    )
    pace = PaceInfo(limit=120, remaining=87, resets_in=23)
    waits = {"the platform's queue": 16, "rate limit": 9}
    cells = tuple(Cell(*count) for count in counts)
    heads = ("8c1f02", "retry", "Retry what failed", "sending", NOON, at)
    more = {"seconds_left": 26.0, **more}
    return replace(Snapshot(*heads, cells, 8, waits, changes, 12, pace, "Going well.", "ticket 7", "anna"), **more)


def of(*counts: tuple[Outcome, int], **more: Any) -> Snapshot:
    """A run on one platform."""
    return snapshot(cells=tuple(Cell("a", *count) for count in counts), **more)


def numbered(index: int, **more: Any) -> Snapshot:
    return snapshot(note=f"state {index}", **more)


class Fake:
    """A run that only says that it was told something; `plans` are the answers to who plans what failed."""

    id, tz, plan = "8c1f02", "UTC", None

    def __init__(self, shown: Snapshot, *plans: Any) -> None:
        self.snapshot, self.told, self._plans, self._observers = shown, list[str](), list(plans), list[Any]()
        self.pause, self.resume, self.cancel = (self._note(name) for name in ("pause", "resume", "cancel"))

    def _note(self, name: str) -> Callable[[], None]:
        return lambda: self.told.append(name)

    def observe(self, observer: Any) -> None:
        self._observers.append(observer)
        observer.notice(self.snapshot)

    def notice(self, shown: Snapshot) -> None:
        self.snapshot = shown
        for observer in self._observers:
            observer.notice(shown)

    def replan(self) -> Any:
        self.told.append("plan")
        answer = self._plans.pop(0) if self._plans else None
        if isinstance(answer, Exception):
            raise answer
        return answer


class Workspace:
    """A workspace that starts fake runs."""

    def __init__(self) -> None:
        self.aio, self.began = self, list[tuple[Plan, str]]()

    async def run(self, plan: Plan, *, reason: str) -> Any:
        self.began.append((plan, reason))
        return Fake(snapshot())


class Desk:
    """A monitor of a fake run, and a record of what was published; a painter that draws only when a test lets it."""

    def __init__(self, shown: Snapshot | None = None, *plans: Any) -> None:
        self.run, self.workspace = Fake(shown or snapshot(), *plans), Workspace()
        self.published: list[tuple[bool, dict[str, Any]]] = []
        self.asked = 0
        publish = lambda bundle, _, update: self.published.append((update, bundle))  # noqa: E731
        self.live = Live(lambda: render_text(self.run.snapshot), cast("Any", self), publish)
        self.live.hold(Monitor(self.run, self.workspace, cast("Any", self.live.ask)))
        self.monitor = cast("Monitor", self.live.part)
        self.live.html()

    def ask(self, _: Live) -> None:
        self.asked += 1

    def press(self, name: str) -> None:
        """Press a button, as a page does, and wait for its thread."""
        self.monitor.buttons[name].click()
        for thread in threading.enumerate():
            if thread.name == "voxops-button":
                thread.join(60)
        self.live.draw()

    @property
    def shown(self) -> str:
        return Reader.of(self.live.html()).text


# -- what it says -------------------------------------------------------------------------------------------------------------

TEXT = """\
Retry what failed · run 8c1f02 · ▶ sending · 2026-11-03 12:01:04 UTC
started 2026-11-03 12:00:00 by anna · reason: ticket 7
64 of 90 done (71 %) · 1 needs you · 8 not eligible
✓ 60 succeeded · ✗ 4 failed · … 25 pending · ? 1 unknown · ⊘ 0 blocked
ends about 12:01:30, in 26 s
Not done, and why
- 16 · the platform's queue
- 9 · rate limit
Last changes
- 12:01:04 ✗ post_7 · pending → failed on linkedin: TOKEN_EXPIRED
- 12:01:01 ? post_9 · pending → unknown on twitter: connection lost
Going well."""


def test_the_text_of_a_snapshot_and_html_that_says_the_same():
    assert render_text(snapshot()) == TEXT
    assert render_text(snapshot(run_id="run_8c1f02")).startswith("Retry what failed · run_8c1f02 · ▶ sending")
    words = " ".join(Reader.of(render_html(snapshot())).text.split())
    for said in re.split(r" · |\n-? ?", TEXT):
        assert said in words


LIMIT = PaceInfo(limit=120, remaining=0, paused_for=57)


@pytest.mark.parametrize(
    ("shown", "said", "unsaid"),
    [
        (snapshot(waits={f"reason {chr(97 + n)}": 1 for n in range(20)}), "and 8 more kinds; run.results() has the reason of each row", "reason t"),
        (of((Outcome.SUCCEEDED, 9_999), (Outcome.PENDING, 1)), "9,999 of 10,000 done (99 %)", "100 %"),
        (Snapshot("r", "retry", "", "sending", NOON, NOON), "0 of 0 done", "platform"),
        (snapshot(pace=LIMIT), "waits for the rate limit until 12:02:01", "ends about"),
        (snapshot(pace=replace(LIMIT, paused_for=None, resets_in=57)), "waits for the rate limit until 12:02:01", "ends about"),
        *((snapshot(pace=LIMIT, phase=phase), "64 of 90 done", "waits for the rate limit") for phase in ("paused", "done", "stopped")),
        *((snapshot(phase=phase), f"{shown}, 4 failed · 2026-11-03", "✗ sending") for phase, shown in (("done", "✓ done"), ("cancelled", "cancelled"), ("blocked", "needs you"))),
        (of((Outcome.SUCCEEDED, 3), phase="done"), "✓ done · 2026", " failed · 2026"),
        *((snapshot(phase=phase), "64 of 90 done", "ends about") for phase in ("paused", "stopped", "done", "cancelled", "blocked")),
        (of((Outcome.SUCCEEDED, 78), (Outcome.FAILED, 9), (Outcome.BLOCKED, 20), withdrawn=20, at_rest=20), "87 of 107 done (81 %) · 20 withdrawn", "need"),
        (of((Outcome.SUCCEEDED, 98), (Outcome.BLOCKED, 7), (Outcome.UNKNOWN, 2)), "98 of 107 done (91 %) · 9 need you", "settled"),
        (of((Outcome.PENDING, 2), phase="watching", sends=False, note=""), "run.resume() goes on", "rate limit 87"),
        (of((Outcome.PENDING, 2), phase="paused", note="Still in flight: post_1; recorded when answered"), "Still in flight: post_1", "ends about"),
        (of((Outcome.PENDING, 2), phase="stopped", note="no; run.resume() goes on"), "no; run.resume() goes on", "ends about"),
        (of((Outcome.PENDING, 2), action="watch", note="no; run.resume() watches on"), "run.resume() watches on", "ws.attach"),
        (snapshot(cells=(), phase="done"), "○ nothing was sent", "✓ done"),
        (snapshot(seconds_left=90_000.0), "ends about 2026-11-04 13:01:04", "about 13:01"),
        (snapshot(recent=(Transition(NOON - timedelta(days=2), "post_7", "", "", "failed", ""),)), "2026-11-01 12:00:00", "- 12:00:00"),
    ],
)  # fmt: skip
def test_it_says_what_matters_in_each_state(shown, said, unsaid):
    text, words = render_text(shown), Reader.of(render_html(shown)).text
    assert said in text
    assert all(part in words for part in said.split(" · "))
    assert unsaid not in text
    assert unsaid not in words


@pytest.mark.parametrize("text", PAYLOADS, ids=range(len(PAYLOADS)))
def test_hostile_text_is_only_ever_text(text):
    change = Transition(NOON, text, text, text, text, text)
    cells = (Cell(text, Outcome.FAILED, 1), Cell("x", Outcome.FAILED, 1))
    heads = dict.fromkeys(("title", "run_id", "phase", "note", "reason", "who"), text)
    shown = snapshot(**heads, waits={text: 1}, cells=cells, recent=(change,))
    assert_only_text(render_html(shown))
    assert not INVISIBLE & set(render_text(shown))
    assert len(render_text(snapshot(note=text or "x")).splitlines()) == len(TEXT.splitlines())


# -- how often it speaks ------------------------------------------------------------------------------------------------------


def test_showing_publishes_a_widget_and_beside_it_a_static_copy():
    desk = Desk()
    desk.run.notice(numbered(1))
    assert (desk.published, desk.asked) == ([], 0), "nothing before it is shown"
    desk.live.show()
    (_, live), (_, copy) = desk.published
    assert set(live) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert copy == {"text/html": desk.live.html(), "text/plain": render_text(numbered(1))}
    assert "ws.attach('8c1f02') shows the present state." in desk.shown
    # What the page hides while the widget lives, and what it hides when it does not.
    assert f".{desk.live.id}-live:not(.jupyter-widgets-disconnected)" in desk.shown
    assert f"{desk.live.id}-live" in desk.live.box._dom_classes
    assert_only_text(desk.live.html())
    desk.run.notice(numbered(2))
    assert (len(desk.published), desk.asked) == (2, 1), "the painter draws it"
    desk.run.notice(numbered(3, phase="done"))  # tools that run cell by cell drop what comes after the cell
    assert len(desk.published) == 3, "the end is drawn at once"
    assert "state 3" in desk.published[-1][1]["text/html"]
    assert "shows the present state" not in desk.shown


def test_one_thread_draws_all_displays_twice_a_second_at_most(caplog):
    rests, permits, drawn = SimpleQueue[float](), SimpleQueue[None](), SimpleQueue[str]()

    def rest(seconds: float) -> None:
        rests.put(seconds)
        permits.get()  # the thread outlives the test

    def breaks() -> None:
        raise RuntimeError("the page is gone")

    painter = Painter(rest)
    live: list[Any] = [Mock(draw=lambda name=name: drawn.put(name)) for name in "ab"]
    broken: Any = Mock(draw=breaks)
    painter.ask(live[0])
    for _ in range(3):
        assert rests.get(timeout=60) == INTERVAL
        assert drawn.get(timeout=60) == "a"
        assert drawn.empty(), "nothing is drawn while it rests"
        for _ in range(50):
            painter.ask(broken)
            painter.ask(live[0])
        permits.put(None)
    assert rests.get(timeout=60) == INTERVAL
    painter.ask(live[1])
    permits.put(None)
    assert {drawn.get(timeout=60), drawn.get(timeout=60)} == {"a", "b"}
    assert "a display could not be drawn" in caplog.text


class Standing:
    """A job that does nothing: it stands where it began."""

    id, over = "run_1", True

    def __init__(self) -> None:
        self.snapshot = snapshot()

    async def go(self) -> Snapshot:
        return self.snapshot


class Follower:
    """What follows a run: records each phase, after `first` at the beginning; `breaks` at the end."""

    def __init__(self, first: Callable[[], object] = lambda: None, *, breaks: bool = False) -> None:
        self.first, self.breaks, self.heard = first, breaks, list[str]()

    def notice(self, state: Snapshot) -> None:
        if not self.heard:
            self.first()
        if self.breaks and state.phase == "done":
            raise RuntimeError("the page is gone")
        self.heard.append(state.phase)


def test_followers_hear_the_end_last_whoever_breaks(caplog):
    """Also an end that comes while somebody begins to follow."""
    run = Run(cast("Any", lambda _: Standing()))
    racing = threading.Thread(target=lambda: run.notice(snapshot(phase="done")))

    def race() -> None:
        racing.start()
        racing.join(0.1)  # it ends in no time, unless it is made to wait

    broken, fine = Follower(breaks=True), Follower(race)
    run.observe(broken)
    run.observe(fine)
    racing.join(60)
    assert (broken.heard, fine.heard) == (["sending"], ["sending", "done"])
    assert f"what follows {snapshot().run_id} broke" in caplog.text
    assert "the page is gone" in caplog.text


def test_an_end_is_promised_once_three_states_are_known_and_by_their_median():
    now = NOON
    client = SimpleNamespace(now=lambda: now, pace=PaceInfo())
    began = Snapshot("run_1", "retry", "", "sending", NOON, NOON, (Cell("a", Outcome.PENDING, 60),))
    progress, left = Progress(cast("Any", client), Follower(), began), []
    for seconds, done in (
        (10, 10),
        (20, 12),
        (30, 30),
        (40, 40),
    ):  # at this pace it ends after 60, 100, 60 and 60 seconds
        now = NOON + timedelta(seconds=seconds)
        cells = (Cell("a", Outcome.SUCCEEDED, done), Cell("a", Outcome.PENDING, 60 - done))
        left.append(progress.show(replace(progress.snapshot, cells=cells)).seconds_left)
    assert left == [None, None, pytest.approx(30), pytest.approx(20)]
    assert progress.show(replace(progress.snapshot, phase="paused")).seconds_left is None


# -- buttons ------------------------------------------------------------------------------------------------------------------

ROWS = {"row_id": ["a"], "content": ["x"], "accounts": ["twitter:@b"], "scheduled_for": ["2027-01-01T09:00Z"]}
QUEUED = {"phase": "watching", "waits": {"queued": 5}}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"phase": "sending"}, {"pause", "cancel"}),
        ({"phase": "watching", "failed": 3}, {"pause", "cancel"}),
        ({"phase": "watching", "failed": 3, "sends": False}, {"resume", "cancel", "plan"}),
        ({"phase": "paused"}, {"resume", "cancel"}),
        ({"phase": "stopped", "failed": 1}, {"resume", "plan"}),
        ({"phase": "done", "failed": 1}, {"plan"}),
        ({"phase": "done"}, set()),
        (QUEUED, set()),  # what has been sent can neither be stopped nor given up
        (QUEUED | {"waits": {"queued": 4, "waits for the canaries": 1}}, {"pause", "cancel"}),
        (QUEUED | {"open": Outcome.UNKNOWN}, {"pause", "cancel"}),
        (QUEUED | {"action": "watch"}, {"pause", "cancel"}),
    ],
)
def test_only_buttons_that_make_sense_can_be_pressed(more, expected):
    more = dict(more)
    desk = Desk(of((more.pop("open", Outcome.PENDING), 5), (Outcome.FAILED, more.pop("failed", 0)), **more))
    desk.live.draw()
    assert {name for name, button in desk.monitor.buttons.items() if not button.disabled} == expected
    for name in desk.monitor.buttons:  # a page may press what it should not
        desk.press(name)
    assert set(desk.run.told) == expected


def test_a_plan_of_what_failed_runs_by_its_own_button_once_and_for_a_reason():
    plans = [vx.plan_create(pd.DataFrame(ROWS | {"row_id": [name]}), key="row_id") for name in "ab"]
    failed = of((Outcome.FAILED, 1), phase="done")
    desk = Desk(failed, LedgerError("the ledger was closed"), *plans, None)
    desk.press("plan")
    assert "LedgerError: the ledger was closed" in desk.shown
    desk.press("plan")
    (first,) = desk.monitor.plans.boxes
    desk.press("plan")
    (second,) = desk.monitor.plans.boxes
    assert "the ledger was closed" not in desk.shown and desk.shown.count("Plan to create") == 1
    second._begin()
    assert "needs a reason" in desk.shown and desk.workspace.began == []
    for box, reason in ((second, "ticket 8"), (first, "ticket 9")):  # the other tab still shows the first
        box._reason.value = reason
        for _ in range(2):
            box._begin()
    assert desk.workspace.began == [(plans[1], "ticket 8"), (plans[0], "ticket 9")], (
        "each button runs its own plan, once"
    )
    assert "Retry what failed" in desk.shown, "its monitor stands below"
    desk.press("plan")
    assert "Nothing here can be planned again" in desk.shown
    assert_only_text(desk.live.html())


def test_a_run_is_shown_once_in_a_cell(monkeypatch):
    run, cell, shown = Run(cast("Any", lambda _: Standing())), 1, list[int]()
    monkeypatch.setattr("voxops.run.running_cell", lambda: cell)
    monkeypatch.setattr(Live, "show", lambda _: shown.append(cell))
    run.show().show()._ipython_display_()
    cell = 2
    run._ipython_display_()
    assert shown == [1, 2]
