"""A run as the analyst holds it: started at once, followed from any cell, taken up again after any crash."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from voxops._core import eventloop
from voxops.errors import ConfigError
from voxops.model import WATCH, Observer, Outcome, Snapshot
from voxops.webhooks.event import Payload, WebhookEvent, parse_event

if TYPE_CHECKING:
    import pandas as pd

    from voxops.acts.plan import Plan
    from voxops.views.monitor import Monitor

__all__ = ["Job", "Run"]


class Job(Protocol):
    """What a run does: executing a plan, or watching things that somebody else started; one pass after the other."""

    id: str
    over: bool

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""

    async def go(self) -> Snapshot:
        """Work until nothing moves any more."""

    async def pause(self, *, withdraw: bool = False) -> None:
        """Send nothing more; return when no request is under way. `withdraw` gives up what was never sent."""

    def resume(self, *, paused: bool = False) -> bool:
        """Send again in this pass; True if it is over and another was made ready, which `go` works on."""

    def close(self) -> None:
        """Send nothing more, and end."""

    def notify(self, subject: str) -> bool:
        """Look at a thing next; False if it is none of this run's, or has ended."""

    def results(self) -> pd.DataFrame:
        """One row per item, with its outcome."""

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:
        """The failed rows, fit to be planned again."""

    async def copies(self) -> pd.DataFrame:
        """Posts that were made twice."""

    async def verify(self) -> pd.DataFrame:
        """Read the things again and compare."""

    @property
    def plan(self) -> Plan | None:
        """The plan, as it was bound; None where nothing was planned."""

    def replan(self) -> Plan | None:
        """A plan to retry what failed, None where there is no such thing."""


class Run:
    """A plan being carried out, or things being watched.

    Nothing here blocks but `wait`, `verify` and, for a moment, `pause` and `cancel`. In a notebook the run shows itself live.

    Attributes
    ----------
    id : str
        Name under which ``ws.attach`` takes the run up again, in any kernel.
    """

    def __init__(self, job: Callable[[Observer], Job]) -> None:
        self._observers: list[Observer] = []
        self._notifying = threading.RLock()
        self._shown_in: int | None = None
        self._job = job(self)
        self.id = self._job.id
        self._snapshot = self._job.snapshot
        self._future: Future[Snapshot] = eventloop.submit(self._job.go())

    def notice(self, snapshot: Snapshot) -> None:
        """Pass a new state on to whoever follows; called on our own loop."""
        with self._notifying:
            self._snapshot = snapshot
            for observer in tuple(self._observers):
                observer.notice(snapshot)

    def follow(self, observer: Observer) -> None:
        """Let an observer see every state from now on, the present one first."""
        with self._notifying:  # else a state that comes just now, perhaps the last one, is never seen
            observer.notice(self._snapshot)
            self._observers.append(observer)

    @property
    def snapshot(self) -> Snapshot:
        """The newest state: counts by platform and outcome, what waits and why, the last transitions."""
        return self._snapshot

    @property
    def plan(self) -> Plan | None:
        """The plan that is carried out; None for a watch."""
        return self._job.plan

    @property
    def running(self) -> bool:
        """Whether anything is still being sent or watched."""
        return not self._future.done()

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until everything is settled that can be, or the time is up.

        An interrupt (Ctrl-C, the stop button) pauses the run: nothing more is sent, what is under way is recorded, and
        `resume` goes on.

        Parameters
        ----------
        timeout : float, optional
            Seconds; the run goes on after them.

        Returns
        -------
        Run
            The run itself; `results` says what became of each row.

        Raises
        ------
        ConfigError
            If `timeout` is no number of seconds.
        VoxopsError
            If the run itself broke down, which is a fault of voxops or of the ledger's disk, never of a row.
        """
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0
        ):
            raise ConfigError(f"timeout={timeout!r} must be a number of seconds from 0, or None to wait to the end")
        try:
            eventloop.run(self._join(timeout))
        except KeyboardInterrupt:
            self.pause()
            raise
        return self

    async def _join(self, timeout: float | None = None) -> None:
        """Wait for the pass, without owning it."""
        await self._ended(timeout)
        if self._future.done():
            self._future.result()

    async def _is_over(self) -> bool:
        """Whether the last pass does nothing more; one that is on its way out is waited for, since it would not listen."""
        if self._job.over:
            await self._ended()
        return self._future.done()

    async def _ended(self, timeout: float | None = None) -> None:
        """Wait until the pass has ended, well or badly."""
        wrapped = asyncio.wrap_future(self._future)
        # Whoever waits asks the future itself; without this, asyncio would report an error that nobody has taken from the wrapper.
        wrapped.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        await asyncio.wait({wrapped}, timeout=timeout)

    def __await__(self) -> Generator[Any, Any, Run]:
        """Wait as `wait` does; cancelling pauses the run."""
        return self._wait_async().__await__()

    async def _wait_async(self) -> Run:
        """Wait on any event loop."""
        try:
            await eventloop.arun(self._join())
        except BaseException:
            eventloop.submit(self._pause())
            raise
        return self

    def pause(self) -> None:
        """Send nothing more; return when no request is under way. What was sent is still watched."""
        eventloop.run(self._pause())

    async def _pause(self) -> None:
        """Stop the senders."""
        await self._job.pause()

    def resume(self) -> Run:
        """Go on sending: what was never sent, and what nobody knows about, under the keys they have."""
        eventloop.run(self._resume())
        return self

    async def _resume(self) -> None:
        """Let the senders go on, or start a new pass where the last has ended."""
        await self._is_over()
        if self._job.resume():
            self._future = eventloop.submit(self._job.go())

    def notify(self, event: WebhookEvent | Payload) -> bool:
        """Notify the run of a webhook that came, so that it looks at that post now instead of at its next turn.

        The payload itself settles nothing: the run reads the post that it names, and takes what it reads as it always does. So a
        forged, late or repeated event does no harm, and one that comes before the post has moved settles nothing yet. Verify it
        all the same (``vx.verify_signature``) before you let it cost a request.

        Parameters
        ----------
        event : WebhookEvent, bytes, str or mapping
            From ``vx.parse_event``, or a payload for it.

        Returns
        -------
        bool
            Whether it was about something of this run that has not ended; only then anything is read.

        Raises
        ------
        DecodeError
            If it is no webhook payload.
        """
        known = event if isinstance(event, WebhookEvent) else parse_event(event)
        return eventloop.run(self._notify(known.subject))

    async def _notify(self, subject: str | None) -> bool:
        """Look at the thing next, or once more where the run has ended; sends nothing that it would not have sent."""
        if subject is None or not self._job.notify(subject):
            return False
        if await self._is_over():
            self._job.resume(paused=True)
            self._job.notify(subject)
            self._future = eventloop.submit(self._job.go())
        return True

    def cancel(self) -> Run:
        """Give up what was never sent. What was sent can't be taken back; it is watched to its end."""
        eventloop.run(self._cancel())
        return self

    async def _cancel(self) -> None:
        """Stop the senders, then withdraw what they had not sent."""
        await self._job.pause(withdraw=True)

    async def end(self) -> str:
        """Send nothing more, wait until nothing is under way, and return how to go on, ``""`` if there is nothing to go on with."""
        went_to_its_end = self._future.done() and self._snapshot.phase in {"done", "blocked"}
        self._job.close()
        await self._ended()
        left = self._snapshot.total - self._snapshot.settled
        # what is only watched has no ledger to go on from
        if went_to_its_end or not left or self._snapshot.action == WATCH:
            return ""
        return f"{self.id}: {left} of {self._snapshot.total} rows are not settled; connect again: ws.attach({self.id!r}).resume() goes on"

    def results(self) -> pd.DataFrame:
        """Return one row per eligible row: the plan's columns, and what became of it.

        Returns
        -------
        pandas.DataFrame
            The plan's columns and ``outcome`` (string: succeeded, failed, pending, unknown, blocked; they sum to the eligible
            rows),
            ``waiting_for`` (string: why it is not settled), ``tries http_status`` (Int64), ``error_code error_message result_id``
            (string; the error of *this* attempt), ``settled_at`` (datetime64[us, UTC], server time).
        """
        return self._job.results()

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:
        """Return the rows that failed, as the server shows them now, fit to be planned again as their next attempt.

        Parameters
        ----------
        stuck : bool
            Also the rows whose act was accepted more than ten minutes ago and has not ended; planned and run again, they give it up.

        Returns
        -------
        pandas.DataFrame
            The plan's columns; creates keep the column ``campaign``, so that they are planned under the same name after a file, too.
        """
        return self._job.failed(stuck=stuck)

    def blocked(self) -> pd.DataFrame:
        """Return the rows that a person must change before they can be sent; ``waiting_for`` says what (rule 20)."""
        table = self.results()
        return table[table["outcome"] == Outcome.BLOCKED]

    def copies(self) -> pd.DataFrame:
        """Look for posts that were made twice, by whomever, and return those to be withdrawn (rule 28).

        Returns
        -------
        pandas.DataFrame
            A posts frame, fit for ``vx.plan_cancel``, with ``row`` (string, the row of the run) and ``copy_of`` (string, the post to
            keep). Empty where there are none.
        """
        return eventloop.run(self._job.copies())

    def verify(self) -> pd.DataFrame:
        """Read everything again and say, per cause, what the run has changed.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``cause``: ``tried recovered failed_same failed_other pending`` (Int64); the last four sum to the first.
        """
        return eventloop.run(self._job.verify())

    def __repr__(self) -> str:
        from voxops.views.monitor import render_text

        return render_text(self._snapshot)

    def _repr_html_(self) -> str:
        from voxops.views.monitor import render_html

        return render_html(self._snapshot)

    def show(self) -> Run:
        """Show the run live in the running cell; outside a notebook nothing is shown. Once for each cell."""
        if _cell() is not None:
            self._ipython_display_()
        return self

    def _ipython_display_(self) -> None:
        """Show the run live, with its buttons; they only hand work over."""
        cell = _cell()
        if cell is not None and cell == self._shown_in:
            return
        self._shown_in = cell
        monitor = self._monitor()
        monitor._ipython_display_()
        self.follow(monitor)

    def _display_(self) -> object:
        """Return what marimo shows: live there, too."""
        monitor = self._monitor()
        shown = monitor._display_()
        self.follow(monitor)
        return shown

    def _monitor(self) -> Monitor:
        """Make a live display of this run."""
        from voxops.views.monitor import Monitor  # loaded where something is shown, as a script shows nothing

        return Monitor(
            self._snapshot,
            on_pause=lambda: eventloop.submit(self._pause()),
            on_resume=lambda: eventloop.submit(self._resume()),
            on_cancel=lambda: eventloop.submit(self._cancel()),
            on_retry=self._job.replan,
            errors=self._errors if self._snapshot.action != WATCH else None,
        )

    def _errors(self) -> dict[str, int]:
        """How many rows failed with which error."""
        from voxops.views._snapshot import error_counts

        return error_counts(self.results())


def _cell() -> int | None:
    """Number of the notebook cell that is running, None outside a kernel; IPython is not loaded for the question."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return int(shell.execution_count) if hasattr(shell, "kernel") else None
