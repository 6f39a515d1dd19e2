"""The monitor: what it says, that it says it safely, and how often it speaks."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops._support import blocks
from voxops.errors import LedgerError
from voxops.frames.palette import OUTCOME
from voxops.model import OUTCOMES, Cell, Outcome, PaceInfo, Snapshot, Transition
from voxops.run import Run
from voxops.views._snapshot import render_html, render_text, snapshot_blocks
from voxops.views.monitor import Monitor

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
HOSTILE = (
    "<script>window.pwned=1</script>",
    "\"><img src=x onerror='window.pwned=1'>",
    "</div></style><svg onload=alert(1)>",
    "`${window.pwned=1}` & <b>bold</b>",
)


def snapshot(**more: Any) -> Snapshot:
    """A run in the middle: three platforms, all four outcomes, waits, transitions, a pace and a note."""
    cells = (
        Cell("linkedin", Outcome.SUCCEEDED, 40),
        Cell("linkedin", Outcome.FAILED, 4),
        Cell("linkedin", Outcome.PENDING, 16),
        Cell("threads", Outcome.PENDING, 9),
        Cell("twitter", Outcome.SUCCEEDED, 20),
        Cell("twitter", Outcome.UNKNOWN, 1),
    )
    changes = (
        Transition(NOON + timedelta(seconds=64), "post_7", "linkedin", "pending", "failed", "TOKEN_EXPIRED"),
        Transition(NOON + timedelta(seconds=61), "post_9", "twitter", "pending", "unknown", "connection lost"),
    )
    pace = PaceInfo(limit=120, remaining=87, resets_in=23)
    waits = {"the platform's queue": 16, "rate limit": 9}
    at = NOON + timedelta(seconds=64)
    shown = Snapshot(
        "8c1f02",
        "retry",
        "Retry what failed",
        "sending",
        NOON,
        at,
        cells,
        8,
        waits,
        changes,
        31,
        12,
        pace,
        "Going well.",
    )
    return replace(shown, **more)


class Desk:
    """A fake clock with its timers, and a record of what was published at which time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.published: list[tuple[float, str, bool, dict[str, Any]]] = []

    def clock(self) -> float:
        return self.now

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
        begun = shown or snapshot()
        return Monitor(begun, clock=self.clock, later=self.later, publish=self.publish, **actions)

    @property
    def updates(self) -> list[tuple[float, dict[str, Any]]]:
        return [(at, bundle) for at, _, update, bundle in self.published if update]


def numbered(index: int) -> Snapshot:
    return replace(snapshot(), note=f"state {index}")


TEXT = """\
Retry what failed · run 8c1f02 · ▶ sending · 2026-11-03 12:01:04 UTC
[██████████████████████████xx···········?] 64 of 90 settled (71 %) · 8 held back
✓ 60 succeeded  ✗ 4 failed  … 25 pending  ? 1 unknown
about 60 settled a minute · about 26 s left · 64 s since the start · 31 requests, 12 of them acts · \
rate limit 87 of 120 left, renewed in 23 s
  platform succeeded    failed   pending   unknown   blocked       all
  linkedin        40         4        16         ·         ·        60
  twitter         20         ·         ·         1         ·        21
  threads          ·         ·         9         ·         ·         9
waiting for
      16  the platform's queue
       9  rate limit
last changes
  12:01:04 ✗ pending → failed · post_7 linkedin · TOKEN_EXPIRED
  12:01:01 ? pending → unknown · post_9 twitter · connection lost
note: Going well."""


def test_of_many_kinds_of_waits_the_rest_is_counted():
    shown = snapshot(waits={f"reason {chr(97 + n)}": 1 for n in range(20)})
    assert "and 8 more kinds; run.results() has the reason of each row" in render_text(shown)
    assert "and 8 more kinds; run.results() has the reason of each row" in render_html(shown)


class Standing:
    """A job that does nothing: it stands where it began."""

    id, over = "run_1", True

    def __init__(self) -> None:
        self.snapshot = snapshot()

    async def go(self) -> Snapshot:
        return self.snapshot


def test_an_end_that_comes_while_somebody_begins_to_follow_is_the_last_thing_heard():
    run = Run(cast("Any", lambda _: Standing()))
    racing = threading.Thread(target=lambda: run.notice(replace(snapshot(), phase="done")))
    heard: list[str] = []

    class Follower:
        def notice(self, state: Snapshot) -> None:
            if not heard:
                racing.start()
                racing.join(0.1)  # it ends in no time, unless it is made to wait
            heard.append(state.phase)

    run.follow(Follower())
    racing.join(60)
    assert heard == [snapshot().phase, "done"]


def test_a_follower_that_breaks_keeps_nobody_else_from_hearing(caplog: pytest.LogCaptureFixture):
    run = Run(cast("Any", lambda _: Standing()))
    heard: list[str] = []

    class Follower:
        def __init__(self, *, breaks: bool) -> None:
            self.breaks = breaks

        def notice(self, state: Snapshot) -> None:
            if self.breaks and state.phase == "done":
                raise RuntimeError("the page is gone")
            heard.append(state.phase)

    run.follow(Follower(breaks=True))
    run.follow(Follower(breaks=False))
    run.notice(replace(snapshot(), phase="done"))
    assert heard == [snapshot().phase, snapshot().phase, "done"]
    assert f"what follows {snapshot().run_id} broke" in caplog.text
    assert "the page is gone" in caplog.text


def test_an_end_that_comes_while_the_monitor_is_being_shown_is_the_last_thing_shown():
    """The loop tells of the end on its own thread, just as the display is on its way: the update must not overtake it."""
    published: list[tuple[bool, str]] = []
    racing = threading.Thread(target=lambda: monitor.notice(replace(snapshot(), phase="done")))

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


def test_the_text_of_a_snapshot() -> None:
    assert render_text(snapshot()) == TEXT
    assert render_text(snapshot(run_id="run_8c1f02")).startswith("Retry what failed · run_8c1f02 · ▶ sending")


def test_html_says_what_the_text_says() -> None:
    words = Page.of(render_html(snapshot())).text
    for said in (
        "Retry what failed · run 8c1f02", "▶ sending", "12:01:04 UTC", "64 of 90 settled (71 %) · 8 held back",
        "✓ 60 succeeded", "✗ 4 failed", "… 25 pending", "? 1 unknown", "about 26 s left", "rate limit 87 of 120",
        "16 · the platform's queue", "pending → failed · post_7 linkedin · TOKEN_EXPIRED", "Going well.",
    ):  # fmt: skip
        assert said in words


def test_redeliveries_are_counted_by_event() -> None:
    shown = snapshot(action="redeliver")
    assert "  event    succeeded" in render_text(shown)
    words = Page.of(render_html(shown)).text
    assert "event" in words and "platform" not in words.partition("queue")[0].partition("Waiting")[0]


def test_a_long_id_is_short_in_html_and_whole_on_hovering_and_in_text() -> None:
    item = "post_" + "x" * 20 + "tail"
    shown = snapshot(recent=(Transition(NOON, item, "linkedin", "pending", "failed", "TOKEN_EXPIRED"),))
    markup = render_html(shown)
    assert "pending → failed · post_xx…xxxxtail linkedin · TOKEN_EXPIRED" in Page.of(markup).text
    assert f"pending → failed · {item} linkedin · TOKEN_EXPIRED" in markup
    assert item in render_text(shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_ever_text(text: str) -> None:
    change = Transition(NOON, text, text, text, text, text)
    cells = (Cell(text, Outcome.FAILED, 1), Cell("x", Outcome.FAILED, 1))
    heads = dict.fromkeys(("title", "run_id", "phase", "note"), text)
    markup = render_html(snapshot(**heads, waits={text: 1}, cells=cells, recent=(change,)))
    page = Page.of(markup)
    assert set(page.tags) <= {"div", "b", "span", "table", "thead", "tbody", "tr", "th", "td", "wbr"}
    assert not any(name.startswith("on") for name in page.attributes)
    assert "url(" not in render_html(snapshot())
    assert page.text.count(text[:6]) >= 10


@pytest.mark.parametrize(
    "text", ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07x", "a\nb\r\nc", "\u202egnp.exe", "x\x00\x08y", "\ud800"]
)
def test_text_holds_nothing_that_a_terminal_acts_on(text: str) -> None:
    lines = render_text(snapshot(note=text)).splitlines()
    assert len(lines) == len(TEXT.splitlines())
    lines[-1].encode()
    assert not set(lines[-1]) & set("\x1b\x00\x07\x08\r\u202e")


def test_a_megabyte_of_text_and_five_thousand_platforms_stay_a_screen() -> None:
    shown = snapshot(note="x" * 1_000_000, title="y" * 1_000_000)
    assert len(render_text(shown)) < 2_500
    assert len(render_html(shown)) < 12_000
    cells = tuple(Cell(f"place {index:04}", outcome, 7) for index in range(1250) for outcome in Outcome)
    shown = snapshot(cells=cells)
    assert len(render_text(shown).splitlines()) < 40
    assert "1238 others" in render_text(shown)
    assert len(render_html(shown)) < 30_000


@given(st.dictionaries(st.sampled_from(list(Outcome)), st.integers(1, 10**6), min_size=1))
def test_the_bar_is_full_and_shows_whatever_is_there(counts: dict[Outcome, int]) -> None:
    cells = tuple(Cell("linkedin", outcome, count) for outcome, count in counts.items())
    drawn = render_text(snapshot(cells=cells)).splitlines()[1][1:41]
    assert all(OUTCOME[outcome].block in drawn for outcome in counts)
    assert set(drawn) == {OUTCOME[outcome].block for outcome in counts}
    assert len(drawn) == 40


def test_hundred_percent_means_all() -> None:
    cells = (Cell("a", Outcome.SUCCEEDED, 9_999), Cell("a", Outcome.PENDING, 1))
    assert "9,999 of 10,000 settled (99 %)" in render_text(snapshot(cells=cells))


def test_an_empty_run_has_words_too() -> None:
    empty = Snapshot("r", "retry", "", "sending", NOON, NOON)
    assert "no rows" in render_text(empty) and "no rows" in render_html(empty)


def test_outcomes_differ_in_glyph_block_and_colour() -> None:
    looks = [OUTCOME[outcome] for outcome in OUTCOMES]
    for field in ("colour", "glyph", "block"):
        assert len({getattr(look, field) for look in looks}) == len(looks)


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
    assert copy["text/plain"] == render_text(snapshot(), snapshot()) == repr(Monitor(snapshot()))
    assert "As of 2026-11-03 12:01:04 UTC. ws.attach(&#39;8c1f02&#39;) shows the present state." in copy["text/html"]
    assert f"voxops-copy-{page_of(monitor)['id']}" in copy["text/html"]  # what the widget hides while it lives
    assert live_id != copy_id
    desk.advance(1)
    monitor.notice(replace(snapshot(), phase="done", note="the end"))
    assert "the end" in json.dumps(page_of(monitor))
    assert "shows the present state" not in desk.published[-1][3]["text/html"]
    assert len(desk.published) == 3, "an update is one message"


@pytest.mark.parametrize(
    "pace",
    [
        PaceInfo(limit=120, remaining=0, paused_for=57),  # refused by a 429
        PaceInfo(limit=120, remaining=0, resets_in=57),  # nothing is left, so nothing is tried
    ],
)
def test_a_rate_limit_says_why_nothing_moves_and_never_how_long_is_left(pace: PaceInfo) -> None:
    text = render_text(snapshot(pace=pace))
    assert "waits for the rate limit, 57 s" in text
    assert " left" not in text.splitlines()[3]
    for phase in ("paused", "done", "stopped"):
        assert "waits for the rate limit" not in render_text(snapshot(pace=pace, phase=phase))


@pytest.mark.parametrize(
    ("settled", "seconds", "said"),
    [
        (600, 60, "about 10 settled a second"),
        (60, 60, "about 60 settled a minute"),
        (60, 900, "about 4 settled a minute"),
        (2, 3600, "about 2 settled an hour"),
    ],
)
def test_rates_as_a_person_says_them(settled: int, seconds: int, said: str) -> None:
    cells = (Cell("a", Outcome.SUCCEEDED, settled), Cell("a", Outcome.PENDING, 9))
    assert said in render_text(snapshot(cells=cells, updated_at=NOON + timedelta(seconds=seconds)))


def test_creates_are_shown_by_outcome_and_error_not_by_combination_of_platforms() -> None:
    cells = tuple(Cell(f"twitter+place{number}", Outcome.FAILED, 2) for number in range(30))
    state = snapshot(action="create", cells=cells, waits={}, recent=())
    shown = json.dumps(page_of(Desk().monitor(state, errors=lambda: {"INVALID_TIME": 40, "NO_MEDIA": 20})))
    assert "place1" not in shown
    assert re.search(r"failed with.*INVALID_TIME.*40.*NO_MEDIA.*20", shown)
    assert "place1" not in render_text(snapshot(action="create", cells=cells))


@given(st.lists(st.floats(0, 2), min_size=1, max_size=40))
def test_at_most_two_updates_a_second_and_the_last_state_always(gaps: list[float]) -> None:
    desk = Desk()
    monitor = desk.monitor()
    monitor.show()
    for index, gap in enumerate(gaps):
        desk.advance(gap)
        monitor.notice(numbered(index))
    desk.advance(1)
    times = [desk.published[0][0]] + [at for at, _ in desk.updates]
    assert all(later - earlier >= Monitor.INTERVAL - 1e-9 for earlier, later in pairwise(times))
    assert f"state {len(gaps) - 1}" in desk.updates[-1][1]["text/plain"]
    assert len(desk.timers) == 0


def test_the_last_state_is_at_most_half_a_second_late() -> None:
    desk = Desk()
    monitor = desk.monitor()
    monitor.show()
    desk.advance(0.1)
    monitor.notice(numbered(1))
    monitor.notice(numbered(2))
    assert not desk.updates
    desk.advance(0.4)
    assert [at for at, _ in desk.updates] == [pytest.approx(100.5)]
    assert "state 2" in desk.updates[0][1]["text/plain"]


def test_the_end_is_shown_at_once_and_only_once() -> None:
    # A cell that waits for the run ends with it; tools that run cell by cell drop whatever comes later.
    desk = Desk()
    monitor = desk.monitor()
    monitor.show()
    desk.advance(0.1)
    monitor.notice(numbered(1))
    monitor.notice(replace(numbered(2), phase="done"))
    assert [(at, "state 2" in bundle["text/plain"]) for at, bundle in desk.updates] == [(100.1, True)]
    desk.advance(10)
    assert len(desk.updates) == 1


def test_updates_come_while_the_loop_of_the_displaying_thread_is_blocked() -> None:
    # A kernel runs cells on its loop, and a cell that waits for the run blocks it.
    shown = threading.Event()

    async def cell() -> bool:
        monitor = Monitor(snapshot(), publish=lambda bundle, display_id, update: shown.set() if update else None)
        monitor.show()
        monitor.notice(numbered(1))
        return shown.wait(60)

    assert asyncio.run(cell())


def page_of(monitor: Monitor) -> dict[str, Any]:
    """What a page shows of it."""
    return monitor._display_().state


def press(monitor: Monitor, name: str) -> None:
    """Press a button, as a page does."""
    data = {"method": "custom", "content": {"do": name, "page": "a"}}
    monitor._display_()._handle_msg({"content": {"data": data}, "buffers": []})


NAMES = ("pause", "resume", "cancel", "retry")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"phase": "sending"}, {"pause", "cancel"}),
        ({"phase": "watching", "failed": 3}, {"pause", "cancel", "retry"}),
        ({"phase": "paused"}, {"resume", "cancel"}),
        ({"phase": "stopped", "failed": 1}, {"resume", "retry"}),
        ({"phase": "done", "failed": 1}, {"retry"}),
        ({"phase": "done"}, set()),
        # what has been sent can neither be held nor given up
        ({"phase": "watching", "waits": {"queued": 5}}, set()),
        ({"phase": "watching", "waits": {"queued": 4, "waits for the canaries": 1}}, {"pause", "cancel"}),
        ({"phase": "watching", "waits": {"queued": 5}, "open": Outcome.UNKNOWN}, {"pause", "cancel"}),
        ({"phase": "watching", "waits": {"queued": 5}, "action": "watch"}, {"pause", "cancel"}),
    ],
)
def test_only_buttons_that_make_sense_can_be_pressed(more: dict[str, Any], expected: set[str]) -> None:
    more = dict(more)
    cells = (Cell("a", more.pop("open", Outcome.PENDING), 5), Cell("a", Outcome.FAILED, more.pop("failed", 0)))
    called: list[str] = []
    actions = {f"on_{name}": lambda name=name: called.append(name) for name in NAMES}
    monitor = Desk().monitor(snapshot(cells=cells, **more), **actions)
    buttons = page_of(monitor)["tabs"][0]["buttons"]
    assert {button["do"] for button in buttons if button["enabled"]} == expected
    for name in NAMES:  # a page may press what it should not
        press(monitor, name)
    assert set(called) == expected


@pytest.mark.parametrize("phase", ["done", "cancelled", "blocked"])
def test_what_has_ended_says_how_many_rows_failed(phase: str) -> None:
    ended = snapshot(phase=phase, title="Retry")
    for shown in (render_text(ended), render_html(ended)):
        assert re.search(rf"{'needs you' if phase == 'blocked' else phase}, 4 failed · 2026-11-03", shown)
    fine = replace(ended, cells=(Cell("a", Outcome.SUCCEEDED, 3),))
    assert "failed" not in render_text(fine).splitlines()[0]
    assert "failed" not in render_text(snapshot(phase="sending", title="Retry")).splitlines()[0]


def test_a_run_of_whole_posts_has_no_table_of_one_row_without_a_name() -> None:
    whole = snapshot(action="cancel", cells=(Cell("", Outcome.SUCCEEDED, 3), Cell("", Outcome.PENDING, 1)))
    assert "platform" not in render_text(replace(whole, waits={}, recent=()))
    assert not [block for block in snapshot_blocks(whole) if block["kind"] == "table"]
    assert "platform" in render_text(snapshot(cells=(Cell("", Outcome.PENDING, 1), Cell("x", Outcome.PENDING, 1))))


def test_a_monitor_without_actions_has_no_buttons_and_takes_no_orders() -> None:
    called: list[str] = []
    monitor = Desk().monitor(on_pause=lambda: called.append("pause"))
    assert [button["do"] for button in page_of(monitor)["tabs"][0]["buttons"]] == ["pause"]
    for name in ("cancel", "run", "__init__", "", "hello"):
        press(monitor, name)
    assert called == []


def test_a_retry_shows_its_plan_beside_the_run_or_why_there_is_none() -> None:
    """Its workspace may be closed by now."""
    planned = SimpleNamespace(_blocks=lambda: [blocks.heading("Plan to retry")])
    answers: list[Any] = [LedgerError("the ledger was closed"), planned, None]

    def retry() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monitor = Desk().monitor(on_retry=retry)
    for said in ("LedgerError: the ledger was closed", "Plan to retry", "Nothing here can be planned again"):
        press(monitor, "retry")
        assert said in json.dumps(page_of(monitor))
    assert page_of(monitor)["problem"] == ""


class Page(HTMLParser):
    """What a browser would make of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""

    @classmethod
    def of(cls, markup: str) -> Page:
        page = cls()
        page.feed(f"{markup}")  # plain text, not Markup
        page.close()
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data
