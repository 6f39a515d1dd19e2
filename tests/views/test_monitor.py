"""The monitor: what it says in text and HTML alike, how often it speaks, and which buttons it takes."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from unittest.mock import AsyncMock, Mock, call

import pandas as pd
import pytest
from tests.views.payloads import INVISIBLE, PAYLOADS, Reader, assert_only_text
from tests.views.steps import press

import voxops as vx
from voxops.engine.run_state import Progress
from voxops.errors import LedgerError
from voxops.model import Cell, Outcome, PaceInfo, Snapshot, Transition
from voxops.run import Run
from voxops.views.monitor import INTERVAL, Live, Monitor, Painter
from voxops.views.view import render_html, render_text

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def snapshot(**more):
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
    shown = Snapshot(*heads, cells, 8, waits, changes, 12, pace, "Going well.", "ticket 7", "anna")
    return replace(shown, **{"seconds_left": 26.0, **more})


def of(*counts, **more):
    """A run on one platform."""
    return snapshot(cells=tuple(Cell("a", *count) for count in counts), **more)


class Desk:
    """A monitor of a run that does nothing; `plans` are the answers to who plans what failed. A painter draws only when a test lets it."""

    def __init__(self, shown, *plans):
        self.run, self.workspace, self.painter, self.publish = (
            Mock(id="8c1f02", tz="UTC", snapshot=shown),
            Mock(),
            Mock(),
            Mock(),
        )
        self.run.replan.side_effect = plans
        self.workspace.aio.run = AsyncMock(return_value=self.run)
        self.live = Live(lambda: render_text(self.run.snapshot), self.painter, self.publish)
        self.monitor = Monitor(self.run, self.workspace, self.live.ask)
        self.live.hold(self.monitor)
        self.live.html()

    def notice(self, **more):
        """The run tells who observes it of a new state."""
        self.run.snapshot = snapshot(**more)
        self.run.observe.call_args.args[0].notice(self.run.snapshot)

    def press(self, name):
        press(self.monitor.buttons[name])
        self.live.draw()

    @property
    def shown(self):
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
        *((snapshot(phase=phase), f"{shown}, 4 failed · 2026-11-03", "✗ sending") for phase, shown in (("done", "✓ done"), ("cancelled", "cancelled"), ("blocked", "needs you"))),
        (of((Outcome.SUCCEEDED, 3), phase="done"), "✓ done · 2026", " failed · 2026"),
        *((snapshot(pace=pace, phase=phase), "64 of 90 done", ", in ") for pace in (LIMIT, PaceInfo()) for phase in ("paused", "stopped", "done", "cancelled", "blocked")),
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
    desk = Desk(snapshot())
    desk.notice()
    desk.publish.assert_not_called()
    desk.painter.ask.assert_not_called()
    desk.live.show()
    live, copy = (call.args[0] for call in desk.publish.call_args_list)
    assert set(live) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert copy == {"text/html": desk.live.html(), "text/plain": TEXT}
    assert "ws.attach('8c1f02') shows the present state." in desk.shown
    # What the page hides while the widget lives, and what it hides when it does not.
    assert f".{desk.live.id}-live:not(.jupyter-widgets-disconnected)" in desk.shown
    assert f"{desk.live.id}-live" in desk.live.box._dom_classes
    assert_only_text(desk.live.html())
    desk.notice(note="state 2")
    assert (desk.publish.call_count, desk.painter.ask.call_count) == (2, 1), "the painter draws it"
    desk.notice(note="state 3", phase="done")  # tools that run cell by cell drop what comes after the cell
    assert desk.publish.call_count == 3, "the end is drawn at once"
    assert "state 3" in desk.publish.call_args.args[0]["text/html"]
    assert "shows the present state" not in desk.shown


def test_one_thread_draws_all_displays_twice_a_second_at_most(caplog):
    rests, permits, drawn = SimpleQueue(), SimpleQueue(), SimpleQueue()

    def rest(seconds):
        rests.put(seconds)
        permits.get()  # the thread outlives the test

    painter = Painter(rest)
    first, second = (Mock(**{"draw.side_effect": lambda name=name: drawn.put(name)}) for name in "ab")
    broken = Mock(**{"draw.side_effect": RuntimeError("the page is gone")})
    painter.ask(first)
    for _ in range(3):
        assert rests.get(timeout=60) == INTERVAL
        assert drawn.get(timeout=60) == "a"
        assert drawn.empty(), "nothing is drawn while it rests"
        for _ in range(50):
            painter.ask(broken)
            painter.ask(first)
        permits.put(None)
    assert rests.get(timeout=60) == INTERVAL
    painter.ask(second)
    permits.put(None)
    assert {drawn.get(timeout=60), drawn.get(timeout=60)} == {"a", "b"}
    assert "a display could not be drawn" in caplog.text


def standing(_):
    """A job that does nothing: it stands where it began."""
    return Mock(id="run_1", over=True, snapshot=snapshot())


def test_followers_hear_the_end_last_whoever_breaks(caplog):
    """Also an end that comes while somebody begins to follow."""
    run, heard = Run(standing), []
    racing = threading.Thread(target=lambda: run.notice(snapshot(phase="done")))

    def follow(state):
        if not heard:
            racing.start()
            racing.join(0.1)  # it ends in no time, unless it is made to wait
        heard.append(state.phase)

    run.observe(Mock(**{"notice.side_effect": [None, RuntimeError("the page is gone")]}))
    run.observe(Mock(notice=follow))
    racing.join(60)
    assert heard == ["sending", "done"]
    assert f"what follows {snapshot().run_id} broke" in caplog.text
    assert "the page is gone" in caplog.text


def test_an_end_is_promised_once_three_states_are_known_and_by_their_median():
    client = Mock(pace=PaceInfo())
    client.now.return_value = NOON
    began = Snapshot("run_1", "retry", "", "sending", NOON, NOON, (Cell("a", Outcome.PENDING, 60),))
    progress, left = Progress(client, Mock(), began), []
    for seconds, done in ((10, 10), (20, 12), (30, 30), (40, 40)):  # at this pace it ends after 60, 100, 60 and 60 s
        client.now.return_value = NOON + timedelta(seconds=seconds)
        cells = (Cell("a", Outcome.SUCCEEDED, done), Cell("a", Outcome.PENDING, 60 - done))
        left.append(progress.show(replace(progress.snapshot, cells=cells)).seconds_left)
    assert left == [None, None, pytest.approx(30), pytest.approx(20)]
    assert progress.show(replace(progress.snapshot, phase="paused")).seconds_left is None
    for seconds, done in ((1_000, 40), (1_010, 41)):  # what was promised before the pause counts no more
        client.now.return_value = NOON + timedelta(seconds=seconds)
        cells = (Cell("a", Outcome.SUCCEEDED, done), Cell("a", Outcome.PENDING, 60 - done))
        assert progress.show(replace(progress.snapshot, phase="sending", cells=cells)).seconds_left is None


def test_the_eight_newest_changes_are_kept_the_newest_first():
    client = Mock(pace=PaceInfo())
    client.now.return_value = NOON
    progress = Progress(client, Mock(), Snapshot("run_1", "retry", "", "sending", NOON, NOON))
    for first in (0, 6):
        moves = [Transition(NOON + timedelta(seconds=first + n), f"{first + n}", "", "", "queued") for n in range(6)]
        progress.show(progress.snapshot, moves)
    assert [move.item for move in progress.snapshot.recent] == [f"{n}" for n in range(11, 3, -1)]


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
    more = {"open": Outcome.PENDING, "failed": 0, **more}
    desk = Desk(of((more.pop("open"), 5), (Outcome.FAILED, more.pop("failed")), **more))
    desk.live.draw()
    assert {name for name, button in desk.monitor.buttons.items() if not button.disabled} == expected
    for name in desk.monitor.buttons:  # a page may press what it should not
        desk.press(name)
    told = {call[0] for call in desk.run.method_calls}
    assert told - {"observe"} == {{"plan": "replan"}.get(name, name) for name in expected}


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
    assert "needs a reason" in desk.shown
    desk.workspace.aio.run.assert_not_called()
    for box, reason in ((second, "ticket 8"), (first, "ticket 9")):  # the other tab still shows the first
        box._reason.value = reason
        for _ in range(2):
            box._begin()
    began = [call(plans[1], reason="ticket 8"), call(plans[0], reason="ticket 9")]
    assert desk.workspace.aio.run.await_args_list == began, "each button runs its own plan, once"
    assert desk.shown.count("Retry what failed") == 2, "its monitor stands below"
    desk.press("plan")
    assert "Nothing here can be planned again" in desk.shown
    assert_only_text(desk.live.html())


def test_a_run_is_shown_once_in_a_cell(monkeypatch):
    run, cell, shown = Run(standing), 1, []
    monkeypatch.setattr("voxops.run.running_cell", lambda: cell)
    monkeypatch.setattr(Live, "show", lambda _: shown.append(cell))
    run.show().show()._ipython_display_()
    cell = 2
    run._ipython_display_()
    assert shown == [1, 2]
