"""The laws of folding: items are never lost, order of moves doesn't matter, the past is never rewritten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops.engine.progress import RECENT, cells_of, fold, rate, start, time_left
from voxops.model import OUTCOMES, Cell, Event, Outcome, PaceInfo, Snapshot, Transition

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
PLATFORMS = ("bluesky", "linkedin", "twitter")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def move(platform: str, count: int, was: Outcome, now: Outcome, seconds: float = 1, **more: object) -> Event:
    """Return the event of some items of one platform that change outcome."""
    return Event("changed", at(seconds), (Cell(platform, was, -count), Cell(platform, now, count)), **more)


def run_of(pending: int = 10) -> Snapshot:
    cells = [Cell(platform, Outcome.PENDING, pending) for platform in PLATFORMS]
    return start("r1", "retry", at=NOON, title="Retry", cells=cells, held=2)


@st.composite
def moves(draw: st.DrawFn) -> list[Event]:
    """Draw moves out of pending that never take more than there is, whatever their order."""
    events = []
    for platform in PLATFORMS:
        left = 10
        while left and draw(st.booleans()):
            count = draw(st.integers(1, left))
            left -= count
            now = draw(st.sampled_from([Outcome.SUCCEEDED, Outcome.FAILED, Outcome.UNKNOWN]))
            seconds = len(events) + 1
            change = Transition(at(seconds), f"post_{seconds}", platform, "pending", now)
            events.append(
                move(platform, count, Outcome.PENDING, now, seconds, transitions=(change,), requests=2, acts=1)
            )
    return events


def folded(snapshot: Snapshot, events: list[Event]) -> Snapshot:
    for event in events:
        snapshot = fold(snapshot, event)
    return snapshot


@given(moves())
def test_items_are_never_lost(events: list[Event]) -> None:
    snapshot = run_of()
    for event in events:
        snapshot = fold(snapshot, event)
        assert sum(cell.count for cell in snapshot.cells) == snapshot.total == 30
        assert all(cell.count > 0 for cell in snapshot.cells)
        assert sum(snapshot.count(outcome) for outcome in OUTCOMES) == 30


@given(moves(), st.randoms(use_true_random=False))
def test_the_order_of_moves_does_not_matter(events: list[Event], random: object) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)
    assert folded(run_of(), shuffled) == folded(run_of(), events)


@given(moves())
def test_one_event_for_all_moves_is_the_same(events: list[Event]) -> None:
    together = Event(
        "changed",
        max((event.at for event in events), default=NOON),
        tuple(cell for event in events for cell in event.cells),
        tuple(change for event in events for change in event.transitions),
        requests=sum(event.requests for event in events),
        acts=sum(event.acts for event in events),
    )
    assert fold(run_of(), together) == folded(run_of(), events)


@given(moves())
def test_recent_holds_the_newest_first_and_no_more(events: list[Event]) -> None:
    recent = folded(run_of(), events).recent
    times = [change.at for change in recent]
    assert times == sorted(times, reverse=True)
    assert len(recent) == min(len(events), RECENT)
    assert not events or recent[0] == events[-1].transitions[0]


def test_of_transitions_at_one_time_the_last_comes_first() -> None:
    first, second = (Transition(NOON, "post_1", "linkedin", was, now) for was, now in [("a", "b"), ("b", "c")])
    assert fold(run_of(), Event("note", NOON, transitions=(first, second))).recent == (second, first)
    later = fold(fold(run_of(), Event("note", NOON, transitions=(first,))), Event("note", NOON, transitions=(second,)))
    assert later.recent == (second, first)


def test_folding_leaves_the_former_snapshot_alone() -> None:
    before = run_of()
    copy = replace(before)
    fold(before, move("linkedin", 3, Outcome.PENDING, Outcome.FAILED))
    assert before == copy


def test_a_change_that_gains_or_loses_items_is_a_fault() -> None:
    with pytest.raises(ValueError, match="this one adds 1"):
        fold(run_of(), Event("changed", NOON, (Cell("linkedin", Outcome.FAILED, 1),)))


def test_a_change_that_takes_more_than_there_is_is_a_fault() -> None:
    with pytest.raises(ValueError, match="2 more taken from linkedin, pending"):
        fold(run_of(1), move("linkedin", 3, Outcome.PENDING, Outcome.FAILED))


def test_planned_replaces_cells_and_total() -> None:
    snapshot = fold(
        run_of(), Event("planned", NOON, (Cell("threads", Outcome.PENDING, 4), Cell("threads", Outcome.PENDING, 1)))
    )
    assert snapshot.cells == (Cell("threads", Outcome.PENDING, 5),)
    assert (snapshot.total, snapshot.held) == (5, 2)


def test_a_phase_replaces_phase_and_note() -> None:
    paused = fold(run_of(), Event("phase", at(1), phase="paused", text="You paused it."))
    assert (paused.phase, paused.note) == ("paused", "You paused it.")
    resumed = fold(paused, Event("phase", at(2), phase="sending"))
    assert (resumed.phase, resumed.note) == ("sending", "")


def test_waits_are_replaced_and_empty_ones_dropped() -> None:
    waiting = fold(run_of(), Event("waiting", at(1), waits={"queue": 3, "rate limit": 0}))
    assert waiting.waits == {"queue": 3}
    assert fold(waiting, Event("waiting", at(2))).waits == {}
    assert fold(waiting, move("linkedin", 1, Outcome.PENDING, Outcome.FAILED)).waits == {"queue": 3}


def test_requests_add_up_and_the_pace_is_the_last_known() -> None:
    pace = PaceInfo(limit=120, remaining=7)
    snapshot = folded(
        run_of(), [Event("request", at(1), requests=3, acts=1, pace=pace), Event("request", at(2), requests=2)]
    )
    assert (snapshot.requests, snapshot.acts, snapshot.pace) == (5, 1, pace)


def test_an_event_of_a_later_version_changes_nothing_but_time() -> None:
    assert fold(run_of(), Event("applause", at(5))) == replace(run_of(), updated_at=at(5))


def test_time_never_goes_back() -> None:
    assert fold(run_of(), Event("note", at(-60), text="late")).updated_at == NOON


def test_rate_and_time_left_follow_from_what_is_settled() -> None:
    snapshot = fold(run_of(), move("linkedin", 6, Outcome.PENDING, Outcome.SUCCEEDED, seconds=60))
    assert rate(snapshot) == pytest.approx(0.1)
    assert time_left(snapshot) == pytest.approx(240)


def test_unknown_items_are_not_settled() -> None:
    snapshot = fold(run_of(), move("linkedin", 6, Outcome.PENDING, Outcome.UNKNOWN, seconds=60))
    assert (snapshot.settled, rate(snapshot), time_left(snapshot)) == (0, 0.0, None)


def test_a_run_taken_up_again_does_not_count_the_night_between() -> None:
    evening = fold(run_of(), move("linkedin", 6, Outcome.PENDING, Outcome.SUCCEEDED, seconds=60))
    morning = fold(evening, Event("phase", at(36_000), phase="sending"))
    later = fold(morning, move("twitter", 5, Outcome.PENDING, Outcome.FAILED, seconds=36_010))
    assert rate(later, since=morning) == pytest.approx(0.5)
    assert time_left(later, since=morning) == pytest.approx(38)


def test_nothing_is_said_before_time_has_passed_and_nothing_left_is_zero() -> None:
    assert (rate(run_of()), time_left(run_of())) == (None, None)
    assert time_left(start("r", "retry", at=NOON)) == 0.0


@given(st.lists(st.tuples(st.sampled_from(PLATFORMS), st.sampled_from(OUTCOMES))))
def test_cells_count_pairs_in_a_fixed_order(pairs: list[tuple[str, str]]) -> None:
    cells = cells_of(pairs)
    assert sum(cell.count for cell in cells) == len(pairs)
    assert all(cell.count == pairs.count((cell.platform, cell.outcome)) for cell in cells)
    assert cells == cells_of(reversed(pairs))
