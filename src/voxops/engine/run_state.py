"""A run as the loop sees it: what it was asked to do, what of it waits, why it has stopped, and how far it is."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from voxops.api.reasons import Reason
from voxops.engine.send import Group
from voxops.errors import TransportError, VoxopsError
from voxops.model import MOVES, OUTCOMES, Cell, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient


_log = logging.getLogger("voxops.engine")
REFRESH = 0.25  # real seconds between two snapshots
ENDS, KNOWS = 15, 3  # promised ends of which the median is shown, and how many it needs
RECENT = 8  # transitions that a Snapshot keeps


@dataclass(eq=False)
class RunState:
    """One pass of a run through the loop: what it was asked to do, what waits, and what it counts.

    Attributes
    ----------
    run : str
        The run.
    watching, paused, closed : bool
        Whether it only reads, as somebody else may send; whether nothing more is to be sent; whether it ends once nothing is under way.
    halted : Reason or None
        Why it has stopped although nobody asked it to.
    note : str
        Why it was paused before, for people.
    reading_failed : bool
        Whether a reading broke, so that it ends once nothing is under way.
    """

    run: str
    watching: bool = False
    paused: bool = False
    closed: bool = False
    halted: Reason | None = None
    note: str = ""
    reading_failed: bool = False
    acts: bool = False  # whether changes or withdrawals of it may yet free rows that look like a post (rule 17)
    limit: int | None = None
    ready: deque[Group] = field(default_factory=deque)
    sendable: deque[Group] = field(default_factory=deque)  # what may be sent, in order
    parked: list[Group] = field(default_factory=list)  # until the run sends, or what comes first has ended
    under_way: int = 0
    reading: int = 0
    readings: int = 0  # in a row upon which nothing was sent
    timed: int = 0  # groups that wait for an instant
    open: set[int] = field(default_factory=set)  # its open calls
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)  # something has happened that whoever looks on must see
    done: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    @property
    def sends(self) -> bool:
        """Whether new calls may leave."""
        return self.stopped is None

    @property
    def stopped(self) -> Reason | None:
        """Why nothing leaves; None if it may."""
        if self.halted is not None:
            return self.halted
        return Reason("paused") if self.watching or self.paused or self.closed else None

    def halt(self, why: Reason) -> None:
        """Send nothing more; the first reason counts."""
        if self.halted is None:
            _log.warning("run %s sends nothing more: %s", self.run, why.code)
        self.halted = self.halted or why
        self.news.set()

    def break_off(self, error: BaseException) -> None:
        """Send nothing more, because of an error; one that is a fault of voxops is raised to whoever waits."""
        if isinstance(error, VoxopsError):
            self.halt(of_error(error))
        else:
            self.halt(Reason("broke_down"))
            self.failure = error if isinstance(error, Exception) else None


def of_error(error: VoxopsError) -> Reason:
    """An error as the reason for which a run has stopped."""
    return Reason(
        "stopped_by_outage" if isinstance(error, TransportError) else "stopped_by_error",
        said=str(error).removesuffix("."),
    )


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
