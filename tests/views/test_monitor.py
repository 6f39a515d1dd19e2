"""The monitor: what it says in text and HTML alike, how often it speaks, and which buttons it takes."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.views.payloads import INVISIBLE, PAYLOADS, Reader, assert_only_text

import voxops as vx
from voxops.errors import LedgerError
from voxops.frames.palette import OUTCOME
from voxops.model import OUTCOMES, Cell, Outcome, PaceInfo, Snapshot, Transition
from voxops.run import Run
from voxops.views._snapshot import render_html, render_text
from voxops.views.monitor import Monitor

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


class Desk:
    """A fake clock with its timers, and a record of what was published at which time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.published: list[tuple[float, str, bool, dict[str, Any]]] = []

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        self.timers.append((self.now + seconds, function))

    def publish(self, bundle: dict[str, Any], display_id: str, update: bool) -> None:
        self.published.append((self.now, display_id, update, bundle))

    def advance(self, seconds: float) -> None:
        """Let time pass and fire what falls due, in order."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            first = min(due, key=lambda timer: timer[0])
            self.timers.remove(first)
            self.now = first[0]
            first[1]()
        self.now = end

    def monitor(self, shown: Snapshot | None = None, **actions: Any) -> Monitor:
        return Monitor(shown or snapshot(), clock=lambda: self.now, later=self.later, publish=self.publish, **actions)

    @property
    def updates(self) -> list[tuple[float, str]]:
        return [(at, bundle["text/plain"]) for at, _, update, bundle in self.published if update]


def numbered(index: int, **more: Any) -> Snapshot:
    return snapshot(note=f"state {index}", **more)


def page_of(monitor: Monitor) -> dict[str, Any]:
    """What a page shows of it."""
    return monitor._display_().state


def press(monitor: Monitor, name: str) -> None:
    """Press a button, as a page does."""
    data = {"method": "custom", "content": {"do": name, "page": "a"}}
    monitor._display_()._handle_msg({"content": {"data": data}, "buffers": []})


# -- what it says -------------------------------------------------------------------------------------------------------------

TEXT = """\
Retry what failed · run 8c1f02 · ▶ sending · 2026-11-03 12:01:04 UTC
started 2026-11-03 12:00:00 by anna · reason: ticket 7
[██████████████████████████xx···········?] 64 of 90 done (71 %) · 1 needs you · 8 not eligible
✓ 60 succeeded  ✗ 4 failed  … 25 pending  ? 1 unknown  ⊘ 0 blocked
about 26 s left · rate limit 87 of 120 left, renewed in 23 s · 12 acts sent
platform  ✓ succeeded  ✗ failed  … pending  ? unknown  ⊘ blocked  all
linkedin           40         4         16          ·          ·   60
twitter            20         ·          ·          1          ·   21
threads             ·         ·          9          ·          ·    9
Not done, and why
  16 · the platform's queue
  9 · rate limit
Last changes
  12:01:04 ✗ pending → failed · post_7 linkedin · TOKEN_EXPIRED
  12:01:01 ? pending → unknown · post_9 twitter · connection lost
Going well."""


def test_the_text_of_a_snapshot_and_html_that_says_the_same() -> None:
    assert render_text(snapshot()) == TEXT
    assert render_text(snapshot(run_id="run_8c1f02")).startswith("Retry what failed · run_8c1f02 · ▶ sending")
    words = " ".join(Reader.of(render_html(snapshot())).text.split())
    for said in re.split(r" · |\n|  +", TEXT):
        assert said.strip("[]█x·?").strip() in words


LIMIT = PaceInfo(limit=120, remaining=0, paused_for=57)


@pytest.mark.parametrize(
    ("shown", "said", "unsaid"),
    [
        (snapshot(waits={f"reason {chr(97 + n)}": 1 for n in range(20)}), "and 8 more kinds; run.results() has the reason of each row", "reason t"),
        (snapshot(action="redeliver"), "event", "platform "),
        (of((Outcome.SUCCEEDED, 9_999), (Outcome.PENDING, 1)), "9,999 of 10,000 done (99 %)", "100 %"),
        (Snapshot("r", "retry", "", "sending", NOON, NOON), "0 of 0 done", "platform"),
        (snapshot(action="create", waits={}, recent=()), "succeeded", "linkedin"),
        (snapshot(action="cancel", cells=(Cell("", Outcome.SUCCEEDED, 3), Cell("", Outcome.PENDING, 1)), waits={}, recent=()), "3 succeeded", "platform"),
        (snapshot(cells=(Cell("", Outcome.PENDING, 1), Cell("x", Outcome.PENDING, 1))), "platform", "others"),
        (snapshot(pace=LIMIT), "waits for the rate limit, 57 s", "s left"),
        (snapshot(pace=replace(LIMIT, paused_for=None, resets_in=57)), "waits for the rate limit, 57 s", "s left"),
        *((snapshot(pace=LIMIT, phase=phase), "64 of 90 done", "waits for the rate limit") for phase in ("paused", "done", "stopped")),
        *((snapshot(phase=phase), f"{shown}, 4 failed · 2026-11-03", "✗ sending") for phase, shown in (("done", "✓ done"), ("cancelled", "cancelled"), ("blocked", "needs you"))),
        (of((Outcome.SUCCEEDED, 3), phase="done"), "✓ done · 2026", " failed · 2026"),
        *((snapshot(phase=phase), "12 acts sent", " left") for phase in ("paused", "stopped", "done", "cancelled", "blocked")),
        (of((Outcome.SUCCEEDED, 78), (Outcome.FAILED, 9), (Outcome.BLOCKED, 20), withdrawn=20, at_rest=20), "87 of 107 done (81 %) · 20 withdrawn", "need"),
        (of((Outcome.SUCCEEDED, 98), (Outcome.BLOCKED, 7), (Outcome.UNKNOWN, 2)), "98 of 107 done (91 %) · 9 need you", "settled"),
        (of((Outcome.PENDING, 2), phase="watching", sends=False, note=""), "ws.attach('8c1f02').resume() goes on", "rate limit 87"),
        (of((Outcome.PENDING, 2), phase="stopped", note="no; run.resume() goes on"), "no; ws.attach('8c1f02').resume() goes on", "run.resume"),
        (of((Outcome.PENDING, 2), action="watch", note="no; run.resume() watches on"), "run.resume() watches on", "ws.attach"),
    ],
)  # fmt: skip
def test_it_says_what_matters_in_each_state(shown: Snapshot, said: str, unsaid: str) -> None:
    text, words = render_text(shown), Reader.of(render_html(shown)).text
    assert said in text
    assert all(part in words for part in said.split(" · "))
    assert unsaid not in text
    assert unsaid not in words


def test_a_long_id_is_short_in_html_and_whole_on_hovering_and_in_text() -> None:
    item = "post_" + "x" * 20 + "tail"
    shown = snapshot(recent=(Transition(NOON, item, "linkedin", "pending", "failed", "TOKEN_EXPIRED"),))
    page = Reader.of(render_html(shown))
    assert "pending → failed · post_xx…xxxxtail linkedin · TOKEN_EXPIRED" in page.text
    assert any(f"pending → failed · {item} linkedin" in value for name, value in page.attributes if name == "title")
    assert item in render_text(shown)


@pytest.mark.parametrize("text", PAYLOADS, ids=range(len(PAYLOADS)))
def test_hostile_text_is_only_ever_text(text: str) -> None:
    change = Transition(NOON, text, text, text, text, text)
    cells = (Cell(text, Outcome.FAILED, 1), Cell("x", Outcome.FAILED, 1))
    heads = dict.fromkeys(("title", "run_id", "phase", "note", "reason", "who"), text)
    shown = snapshot(**heads, waits={text: 1}, cells=cells, recent=(change,))
    assert_only_text(render_html(shown))
    assert not INVISIBLE & set(render_text(shown))
    assert len(render_text(snapshot(note=text or "x")).splitlines()) == len(TEXT.splitlines())


def test_a_megabyte_of_text_and_five_thousand_platforms_stay_a_screen() -> None:
    shown = snapshot(note="x" * 1_000_000, title="y" * 1_000_000)
    assert len(render_text(shown)) < 2_500
    assert len(render_html(shown)) < 12_000
    shown = snapshot(cells=tuple(Cell(f"place {n:04}", outcome, 7) for n in range(1250) for outcome in Outcome))
    assert len(render_text(shown).splitlines()) < 40
    assert "1238 others" in render_text(shown)
    assert len(render_html(shown)) < 35_000


def test_outcomes_differ_in_glyph_block_and_colour() -> None:
    looks = [OUTCOME[outcome] for outcome in OUTCOMES]
    for field in ("colour", "glyph", "block"):
        assert len({getattr(look, field) for look in looks}) == len(looks)


# -- how often it speaks ------------------------------------------------------------------------------------------------------


def test_showing_publishes_a_widget_and_beside_it_a_static_copy() -> None:
    desk = Desk()
    monitor = desk.monitor(on_pause=lambda: None)
    monitor.notice(numbered(1))
    desk.advance(10)
    assert not desk.published, "nothing before it is shown"
    monitor.notice(snapshot())
    monitor.show()
    (_, live_id, _, live), (_, copy_id, _, copy) = desk.published
    assert set(live) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert set(copy) == {"text/html", "text/plain"}
    assert copy["text/plain"] == repr(Monitor(snapshot())), "text and page are one"
    assert "As of 2026-11-03 12:01:04 UTC. ws.attach('8c1f02') shows the present state." in Reader.of(copy["text/html"]).text  # fmt: skip
    assert page_of(monitor)["attach"] == "ws.attach('8c1f02')"
    assert f"voxops-copy-{page_of(monitor)['id']}" in copy["text/html"]  # what the widget hides while it lives
    assert live_id != copy_id
    desk.advance(1)
    monitor.notice(snapshot(phase="done", note="the end"))
    assert "the end" in json.dumps(page_of(monitor))
    assert "shows the present state" not in desk.published[-1][3]["text/html"]
    assert len(desk.published) == 3, "an update is one message"


@given(st.lists(st.floats(0, 2), min_size=1, max_size=40))
def test_at_most_two_updates_a_second_and_the_last_state_half_a_second_late_at_most(gaps: list[float]) -> None:
    desk = Desk()
    monitor = desk.monitor()
    monitor.show()
    for index, gap in enumerate(gaps):
        desk.advance(gap)
        monitor.notice(numbered(index))
    told = desk.now
    desk.advance(1)
    times = [desk.published[0][0]] + [at for at, _ in desk.updates]
    assert all(later - earlier >= Monitor.INTERVAL - 1e-9 for earlier, later in pairwise(times))
    at, text = desk.updates[-1]
    assert f"state {len(gaps) - 1}" in text
    assert at <= told + Monitor.INTERVAL + 1e-9
    assert len(desk.timers) == 0


def test_the_end_is_shown_at_once_and_only_once() -> None:
    # A cell that waits for the run ends with it; tools that run cell by cell drop whatever comes later.
    desk = Desk()
    monitor = desk.monitor()
    monitor.show()
    desk.advance(0.1)
    monitor.notice(numbered(1))
    monitor.notice(numbered(2, phase="done"))
    assert [(at, "state 2" in text) for at, text in desk.updates] == [(100.1, True)]
    desk.advance(10)
    assert len(desk.updates) == 1


def test_an_end_that_comes_while_the_monitor_is_being_shown_is_the_last_thing_shown() -> None:
    """The loop tells of the end on its own thread, just as the display is on its way: the update must not overtake it."""
    published: list[tuple[bool, str]] = []
    racing = threading.Thread(target=lambda: monitor.notice(snapshot(phase="done")))

    def publish(bundle: dict[str, Any], _: str, update: bool) -> None:
        if not update and racing.ident is None:
            racing.start()
            racing.join(0.1)  # it ends in no time, unless it is made to wait
        published.append((update, bundle["text/plain"]))

    monitor = Monitor(snapshot(), publish=publish)
    monitor.show()
    racing.join(60)
    assert [update for update, _ in published] == [False, False, True]
    assert "done" in published[-1][1]


def test_updates_come_while_the_loop_of_the_displaying_thread_is_blocked() -> None:
    # A kernel runs cells on its loop, and a cell that waits for the run blocks it.
    shown = threading.Event()

    async def cell() -> bool:
        monitor = Monitor(snapshot(), publish=lambda bundle, display_id, update: shown.set() if update else None)
        monitor.show()
        monitor.notice(numbered(1))
        return shown.wait(60)

    assert asyncio.run(cell())


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


def test_followers_hear_the_end_last_whoever_breaks(caplog: pytest.LogCaptureFixture) -> None:
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


# -- buttons ------------------------------------------------------------------------------------------------------------------

NAMES = ("pause", "resume", "cancel", "retry")
ROWS = {"row_id": ["a"], "content": ["x"], "accounts": ["twitter:@b"], "scheduled_for": ["2027-01-01T09:00Z"]}
QUEUED = {"phase": "watching", "waits": {"queued": 5}}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"phase": "sending"}, {"pause", "cancel"}),
        ({"phase": "watching", "failed": 3}, {"pause", "cancel"}),
        ({"phase": "watching", "failed": 3, "sends": False}, {"resume", "cancel", "retry"}),
        ({"phase": "paused"}, {"resume", "cancel"}),
        ({"phase": "stopped", "failed": 1}, {"resume", "retry"}),
        ({"phase": "done", "failed": 1}, {"retry"}),
        ({"phase": "done"}, set()),
        (QUEUED, set()),  # what has been sent can neither be stopped nor given up
        (QUEUED | {"waits": {"queued": 4, "waits for the canaries": 1}}, {"pause", "cancel"}),
        (QUEUED | {"open": Outcome.UNKNOWN}, {"pause", "cancel"}),
        (QUEUED | {"action": "watch"}, {"pause", "cancel"}),
    ],
)
def test_only_buttons_that_make_sense_can_be_pressed(more: dict[str, Any], expected: set[str]) -> None:
    more, called = dict(more), list[str]()
    shown = of((more.pop("open", Outcome.PENDING), 5), (Outcome.FAILED, more.pop("failed", 0)), **more)
    plan = vx.plan_create(pd.DataFrame(ROWS), key="row_id")
    actions = {f"on_{name}": lambda name=name: called.append(name) or plan for name in NAMES}
    monitor = Desk().monitor(shown, **actions)
    buttons = page_of(monitor)["tabs"][0]["buttons"]
    assert {button["do"] for button in buttons if button["enabled"]} == expected
    for name in NAMES:  # a page may press what it should not
        press(monitor, name)
    assert set(called) == expected


def test_a_monitor_without_actions_has_no_buttons_and_takes_no_orders() -> None:
    called: list[str] = []
    monitor = Desk().monitor(on_pause=lambda: called.append("pause"))
    assert [button["do"] for button in page_of(monitor)["tabs"][0]["buttons"]] == ["pause"]
    for name in ("cancel", "run", "__init__", "", "hello"):
        press(monitor, name)
    assert called == []


def test_creates_are_shown_by_error_not_by_combination_of_platforms() -> None:
    cells = tuple(Cell(f"twitter+place{number}", Outcome.FAILED, 2) for number in range(30))
    monitor = Desk().monitor(snapshot(action="create", cells=cells), errors=lambda: {"INVALID_TIME": 40, "NO_MEDIA": 20})  # fmt: skip
    shown = json.dumps(page_of(monitor))
    assert "place1" not in shown
    assert re.search(r"failed with.*INVALID_TIME.*40.*NO_MEDIA.*20", shown)


def test_a_retry_shows_its_plan_beside_the_run_or_why_there_is_none() -> None:
    """Its workspace may be closed by now."""
    plan = vx.plan_create(pd.DataFrame(ROWS), key="row_id")
    answers: list[Any] = [plan, LedgerError("the ledger was closed"), plan, None]

    def retry() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monitor = Desk().monitor(snapshot(phase="done"), on_retry=retry)
    for said in ("LedgerError: the ledger was closed", "Plan to create", "Nothing here can be planned again"):
        press(monitor, "retry")
        assert said in json.dumps(page_of(monitor))
    assert page_of(monitor)["problem"] == ""
