"""What a run does, as whoever holds it sees it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from voxops._support import eventloop
from voxops.engine.progress import Progress
from voxops.errors import VoxopsError
from voxops.model import MOVES, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    import pandas as pd

    from voxops.acts.plan import Plan


_log = logging.getLogger("voxops.engine")

PAUSES_WITHIN = 2.0  # seconds of the clock that a pause waits for requests in flight


def begin(job: Job, shown: Observer) -> Future[Snapshot]:
    """Start a pass of a run on our own loop; one that breaks down says so also where nobody waits for it."""
    _log.info("run %s %s: %s", job.id, "begun" if job.sends else "watched", job.snapshot.title)
    future = eventloop.submit(job.go())
    future.add_done_callback(partial(_say_why_it_broke_down, job, shown))
    return future


def _say_why_it_broke_down(job: Job, shown: Observer, future: Future[Snapshot]) -> None:
    """Show that nothing more is sent, without asking the ledger, which may be what is gone."""
    error = None if future.cancelled() else future.exception()
    if error is not None and job.snapshot.phase in MOVES:
        why = (
            str(error)
            if isinstance(error, VoxopsError)
            else f"It broke down, which is a fault of voxops: {type(error).__name__}."
        )
        _log.error("run %s stopped: %s", job.id, type(error).__name__)
        shown.notice(replace(job.snapshot, phase="stopped", note=why))


class Job:
    """What a run does, one pass after the other; here one that has ended before it begins.

    Parameters
    ----------
    run : str
        Id of the run.
    progress : Progress
        How far it is.

    Attributes
    ----------
    over : bool
        Whether the last pass has ended.
    sends : bool
        Whether it sends by itself, and does not only read.
    """

    over = True
    sends = False

    def __init__(self, run: str, progress: Progress) -> None:
        self.id = run
        self._progress = progress

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""
        return self._progress.snapshot

    @property
    def plan(self) -> Plan | None:
        """The plan, as it was bound; None where nothing was planned."""
        return None

    async def go(self) -> Snapshot:
        """Work until nothing moves any more; return the last snapshot."""
        return self.snapshot

    async def pause(self, *, withdraw: bool = False) -> None:
        """Send nothing more; return when no request is in flight, at the latest in two seconds. `withdraw` abandons what was never sent."""

    async def leave(self) -> None:
        """It was bound, and nobody has taken it: it stays paused (rule 16)."""

    async def allow(self) -> None:
        """What paused it in the ledger is over."""

    def resume(self, *, paused: bool = False) -> bool:  # noqa: ARG002
        """Go on in this pass; True if it is over and another was made ready, which `go` works on."""
        return False

    def close(self) -> None:
        """Send nothing more, and end when nothing is under way."""

    def notify(self, subject: str) -> bool:  # noqa: ARG002
        """Look at a thing next; False if it is none of this run's, or has ended."""
        return False

    def moves(self, since: datetime | None = None) -> Mapping[int, Transition]:  # noqa: ARG002
        """The changes of its items since an instant, and perhaps some before it, each with its number, the first first."""
        return {}

    def results(self) -> pd.DataFrame:
        """One row per item, with its outcome."""
        raise NotImplementedError

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:  # noqa: ARG002
        """The failed rows, fit to be planned again; `stuck` adds what has hung for ten minutes."""
        table = self.results()
        return table[table["outcome"] == Outcome.FAILED]

    def to_mend(self) -> pd.DataFrame:
        """The failed and blocked rows as their sheet has them, the reason of each first."""
        raise NotImplementedError

    async def made(self, *, copies: bool = False) -> pd.DataFrame:
        """The posts that it created, as they are now; or the duplicates of them (rule 19)."""
        raise NotImplementedError

    def replan(self) -> Plan | None:
        """A plan of the next attempt at what failed; it is shown, not run. None where there is no such thing."""
        return None
