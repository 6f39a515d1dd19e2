"""How far a run is: `fold` turns what happened into the next `Snapshot`; `rate` and `time_left` read it.

Everything here is pure. A run is the fold of its events, so a log, a widget and a test that see the same events see the
same run. Moves of items add up and so may arrive in any order; phases, waits and notes replace what was there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from voxops.model import OUTCOMES, Cell, Event, Outcome, Snapshot, Transition

__all__ = ["RECENT", "cells_of", "fold", "rate", "start", "time_left"]

RECENT = 8  # transitions that a Snapshot keeps


def start(
    run_id: str,
    action: str,
    *,
    at: datetime,
    title: str = "",
    cells: Iterable[Cell] = (),
    held: int = 0,
    phase: str = "sending",
) -> Snapshot:
    """Return the Snapshot of a run before its first event.

    Parameters
    ----------
    run_id, action, title : str
        Whose progress this is.
    at : datetime
        Server time.
    cells : iterable of Cell
        All eligible items; they may also come later, in a ``planned`` event.
    held : int
        Rows of the plan that were never eligible.
    phase : str
        Where it begins.
    """
    table = _tidy(cells)
    total = sum(cell.count for cell in table)
    return Snapshot(run_id, action, title, phase, table, total, held, {}, (), started_at=at, updated_at=at)


def fold(snapshot: Snapshot, event: Event) -> Snapshot:
    """Return the Snapshot after an Event.

    ``planned`` replaces cells and total; ``changed`` adds its counts to the cells; ``phase`` replaces phase and note;
    ``waiting`` replaces the waits; ``note`` replaces the note. Whatever the kind, transitions join the recent ones,
    requests and acts are added, and a pace replaces the former. Kinds from a later version change nothing else.

    Raises
    ------
    ValueError
        When a ``changed`` event does not keep the total, or takes away more than is there: a fault of the caller, as it
        would make the monitor lie.
    """
    following = replace(
        snapshot,
        updated_at=max(snapshot.updated_at, event.at),
        recent=_newest((*reversed(event.transitions), *snapshot.recent)),
        requests=snapshot.requests + event.requests,
        acts=snapshot.acts + event.acts,
        pace=event.pace or snapshot.pace,
    )
    match event.kind:
        case "planned":
            cells = _tidy(event.cells)
            return replace(following, cells=cells, total=sum(cell.count for cell in cells))
        case "changed":
            if gain := sum(cell.count for cell in event.cells):
                raise ValueError(f"a change must keep the number of items, this one adds {gain}")
            return replace(following, cells=_tidy((*snapshot.cells, *event.cells)))
        case "phase":
            return replace(following, phase=event.phase, note=event.text)
        case "waiting":
            return replace(following, waits={why: count for why, count in event.waits.items() if count})
        case "note":
            return replace(following, note=event.text)
    return following


def cells_of(items: Iterable[tuple[str, str]]) -> tuple[Cell, ...]:
    """Count (platform, outcome) pairs into cells, sorted by platform, then in the order of the outcomes."""
    counts = Counter(items)
    return _tidy(Cell(platform, Outcome(outcome), count) for (platform, outcome), count in counts.items())


def rate(snapshot: Snapshot, since: Snapshot | None = None) -> float | None:
    """Return items settled per second, from `since` (default: the start of the run) to `snapshot`.

    None while no time has passed. A run that was taken up again measures from the Snapshot it began with, so that the
    night in between doesn't count.
    """
    begun = since.updated_at if since else snapshot.started_at
    seconds = (snapshot.updated_at - begun).total_seconds()
    if seconds <= 0:
        return None
    return (snapshot.settled - (since.settled if since else 0)) / seconds


def time_left(snapshot: Snapshot, since: Snapshot | None = None) -> float | None:
    """Return the seconds until all items are settled at the present `rate`; None if that can't be said."""
    left = snapshot.total - snapshot.settled
    if left <= 0:
        return 0.0
    speed = rate(snapshot, since)
    return left / speed if speed and speed > 0 else None


def _tidy(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Add up cells of the same place, drop the empty ones, and sort."""
    counts: Counter[tuple[str, Outcome]] = Counter()
    for cell in cells:
        counts[cell.platform, cell.outcome] += cell.count
    for (platform, outcome), count in counts.items():
        if count < 0:
            raise ValueError(f"{-count} more taken from {platform or 'no platform'}, {outcome} than there were")
    places = sorted(counts, key=lambda place: (place[0], OUTCOMES.index(place[1])))
    return tuple(Cell(*place, counts[place]) for place in places if counts[place])


def _newest(transitions: Iterable[Transition]) -> tuple[Transition, ...]:
    """Keep the newest transitions, newest first; of equal times, the one that comes first."""
    return tuple(sorted(transitions, key=lambda transition: transition.at, reverse=True)[:RECENT])
