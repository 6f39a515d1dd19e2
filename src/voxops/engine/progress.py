"""How far a run is, shown to who follows it."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from voxops.model import MOVES, OUTCOMES, Cell, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient

REFRESH = 0.25  # real seconds between two snapshots

ENDS, KNOWS = 15, 3  # promised ends of which the median is shown, and how many it needs
RECENT = 8  # transitions that a Snapshot keeps
_log = logging.getLogger("voxops.engine")


def notify(observer: Observer, snapshot: Snapshot) -> None:
    """Show a new state to who follows a run; a display that breaks stops neither the run nor what the others see."""
    try:
        observer.notice(snapshot)
    except Exception:  # noqa: BLE001
        _log.exception("what follows %s broke", snapshot.run_id)


def cells_of(counts: Counter[tuple[str, str]]) -> tuple[Cell, ...]:
    """Items by platform and outcome, by platform, then in the order of the outcomes."""
    places = sorted(counts, key=lambda place: (place[0], OUTCOMES.index(place[1])))
    return tuple(Cell(platform, Outcome(outcome), counts[platform, outcome]) for platform, outcome in places)


class Progress:
    """Tells an observer how far a run is.

    Parameters
    ----------
    client : AsyncClient
        For server time, requests and pace.
    observer : Observer
        Who is notified of each new snapshot.
    began : Snapshot
        Where it begins.

    Attributes
    ----------
    snapshot : Snapshot
        The newest state.
    """

    def __init__(self, client: AsyncClient, observer: Observer, began: Snapshot) -> None:
        self._client = client
        self._observer = observer
        self._began = began
        self._ends = deque[float](maxlen=ENDS)
        self.snapshot: Snapshot = began

    def show(self, snapshot: Snapshot, moves: Sequence[Transition] = ()) -> Snapshot:
        """Show a state as the newest one, with the time, the pace, the time left and the moves since the last."""
        now = max(snapshot.updated_at, self._client.now())
        if self.snapshot.phase not in MOVES or not self.snapshot.sends:  # what stood still tells nothing of the rate
            self._began = replace(self.snapshot, updated_at=now)
            self._ends.clear()
        recent = sorted((*reversed(moves), *snapshot.recent), key=lambda move: move.at, reverse=True)
        if snapshot.phase != self.snapshot.phase and snapshot.phase not in MOVES:
            counts = ", ".join(f"{snapshot.count(name)} {name}" for name in OUTCOMES if snapshot.count(name))
            _log.info("run %s %s: %s", snapshot.run_id, snapshot.phase, counts or "no row")
        shown = replace(snapshot, updated_at=now, recent=tuple(recent[:RECENT]), pace=self._client.pace)
        self.snapshot = replace(shown, seconds_left=self._time_left(shown))
        notify(self._observer, self.snapshot)
        return self.snapshot

    def _time_left(self, now: Snapshot) -> float | None:
        """Return the seconds to the median of the ends that the last states promised; None before it knows three."""
        began, at = self._began, now.updated_at.timestamp()
        settled, seconds = now.settled - began.settled, at - began.updated_at.timestamp()
        if now.phase not in MOVES or settled <= 0 or seconds <= 0:
            return None
        self._ends.append(at + (now.total - now.settled) * seconds / settled)
        return max(0.0, median(self._ends) - at) if len(self._ends) >= KNOWS else None
