"""A run as the analyst holds it: started at once, followed from any cell, taken up again after any crash."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from voxops._support import eventloop, safe
from voxops._support.arguments import check_timeout, did_you_mean, list_of_text, true_or_false
from voxops._support.eventloop import by_id, never_copied, paused, running_cell
from voxops.engine.job import Job, begin, notify
from voxops.errors import ConfigError, Interrupted
from voxops.frames.times import say_zone
from voxops.model import OUTCOMES, WATCH, WENT_THROUGH, Observer, Outcome, Snapshot
from voxops.webhooks import Payload, WebhookEvent, parse_event

if TYPE_CHECKING:
    import pandas as pd

    from voxops.acts.plan import Plan
    from voxops.views.monitor import Monitor


@never_copied(lambda run: by_id(run.id))
class Run:
    """A plan being executed, or things being watched.

    Nothing here blocks but `wait`, `verify`, `made`, `copies` and, for a moment, `pause`, `resume`, `cancel` and `notify`. In a notebook
    the run shows itself live. In a process that was forked from the one that started it, every call raises a ConfigError.

    Attributes
    ----------
    id : str
        Name under which ``ws.attach`` takes the run up again, in any kernel.
    """

    def __init__(self, job: Callable[[Observer], Job], *, tz: str = "UTC", session: Any = None) -> None:
        self._tz, self._session = tz, session  # it keeps the workspace, also where the cell that connects is run again
        self._observers: list[Observer] = []
        self._notifying, self._process = threading.RLock(), os.getpid()
        self._shown_in: int | None = None
        self._own_job = job(self)
        self.id, self._snapshot = self._job.id, self._job.snapshot
        self._future = begin(self._own_job, self)

    def notice(self, snapshot: Snapshot) -> None:
        """Pass a new state on to whoever follows; called on our own loop."""
        with self._notifying:
            self._snapshot = snapshot
            for observer in tuple(self._observers):
                notify(observer, snapshot)

    def follow(self, observer: Observer) -> None:
        """Pass every state to an observer from now on, the present one first.

        Parameters
        ----------
        observer : Observer
            Its method ``notice`` is called with each `snapshot`, on the event loop of voxops, so it must return at once.

        Examples
        --------
        >>> class Seen:
        ...     def notice(self, snapshot):
        ...         self.phase = snapshot.phase
        >>> seen = Seen()
        >>> run.follow(seen)
        >>> seen.phase == run.snapshot.phase
        True
        """
        with self._notifying:  # else a state that comes just now, perhaps the last one, is never seen
            observer.notice(self._snapshot)
            self._observers.append(observer)

    @property
    def snapshot(self) -> Snapshot:
        """The newest state: counts by platform and outcome, what waits and why, the last transitions."""
        return self._snapshot

    @property
    def plan(self) -> Plan | None:
        """The plan that is executed; None for a watch."""
        return self._job.plan

    @property
    def running(self) -> bool:
        """Whether anything is still being sent or watched."""
        return not self._future.done()

    def __dir__(self) -> list[str]:
        """The public names; `end` and `notice` are called by the workspace and the job."""
        return [name for name in super().__dir__() if name not in {"end", "notice"}]

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until everything is settled that can be, or the time is up.

        An interrupt (Ctrl-C, the stop button) pauses the run: nothing more is sent, what is under way is recorded; `resume` goes on.

        Parameters
        ----------
        timeout : float, optional
            Seconds; the run goes on after them.

        Returns
        -------
        Run
            The run itself; `results` has the outcome of each row.

        Raises
        ------
        ConfigError
            If `timeout` is no number of seconds.
        VoxopsError
            If the run itself broke down, which is a fault of voxops or of the ledger's disk, never of a row.

        Examples
        --------
        >>> run.wait(60).running
        False
        """
        check_timeout(timeout)
        try:
            eventloop.run(self._join(timeout))
        except KeyboardInterrupt:
            self.pause()
            raise Interrupted(paused(self.id)) from None
        return self

    @property
    def _job(self) -> Job:
        """What the run does; its loop, its ledger and its requests belong to the process that started it."""
        self._refuse_fork()
        return self._own_job

    def _refuse_fork(self) -> None:
        if self._process != os.getpid():
            raise ConfigError(f"{self.id} belongs to the process that this one was forked from; call vx.connect() here")

    async def _join(self, timeout: float | None = None) -> None:
        try:
            await self._ended(timeout)
        except asyncio.CancelledError:  # on our own loop, where no further interrupt comes between
            eventloop.submit(self._job.pause())
            raise
        if self._future.done():
            self._future.result()

    async def _is_over(self) -> bool:
        """Whether the last pass does nothing more; one that is on its way out is waited for, since it would not listen."""
        if self._job.over:
            await self._ended()
        return self._future.done()

    async def _ended(self, timeout: float | None = None) -> None:
        """Wait until the pass has ended, well or badly."""
        self._refuse_fork()
        wrapped = asyncio.wrap_future(self._future)
        # Whoever waits asks the future itself; without this, asyncio would report an error that nobody has taken from the wrapper.
        wrapped.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        await asyncio.wait({wrapped}, timeout=timeout)

    def __await__(self) -> Generator[Any, Any, Run]:
        """Wait as `wait` does, on any event loop; cancelling pauses the run."""
        return self._wait_async().__await__()

    async def _wait_async(self) -> Run:
        await eventloop.arun(self._join())
        return self

    def pause(self) -> Run:
        """Send nothing more; return this run when no request is under way. What was sent is still watched.

        Examples
        --------
        >>> paused = run.pause()
        """
        eventloop.run(self._job.pause())
        return self

    def resume(self) -> Run:
        """Go on sending rows that were never sent or whose outcome is unknown, under their keys.

        Examples
        --------
        >>> run.resume().wait(60).snapshot.phase
        'done'
        """
        if self._session is not None:
            self._session.usable()
        eventloop.run(self._resume())
        return self

    async def _resume(self) -> None:
        """Let the senders go on, or start a new pass where the last has ended."""
        await self._is_over()
        if self._job.resume():
            self._future = begin(self._own_job, self)

    def notify(self, event: WebhookEvent | Payload) -> bool:
        """Notify the run of a webhook event, so that it reads that post now instead of at its next poll.

        The payload itself settles nothing: the run reads the post that it names. So a forged, late or repeated event does no harm.
        Verify its signature (``vx.webhooks.verify_signature``) before it costs a request.

        Parameters
        ----------
        event : WebhookEvent, bytes, str or mapping
            From ``vx.webhooks.parse_event``, or a payload for it.

        Returns
        -------
        bool
            Whether it was about a post or delivery of this run that is not terminal; only then something is read.

        Raises
        ------
        DecodeError
            If it is no webhook payload.

        Examples
        --------
        >>> run.notify({"id": "evt_1", "type": "post.published", "data": {"id": "post_of_somebody_else"}})
        False
        """
        return eventloop.run(self._notify(event if isinstance(event, WebhookEvent) else parse_event(event)))

    async def _notify(self, event: WebhookEvent) -> bool:
        """Read the subject next, or once more if the run has ended; sends nothing that it would not have sent."""
        if (subject := event.subject) is None or not self._job.notify(subject):
            return False
        if await self._is_over():
            self._job.resume(paused=True)
            self._job.notify(subject)
            self._future = begin(self._own_job, self)
        return True

    def cancel(self) -> Run:
        """Abandon rows that were never sent. Rows that were sent can't be withdrawn; they are watched to their end.

        Examples
        --------
        >>> run.cancel().running
        False
        """
        eventloop.run(self._job.pause(withdraw=True))
        return self

    async def end(self) -> str:
        """Send nothing more, wait until nothing is under way, and return how to go on, ``""`` if there is nothing to go on with."""
        went_to_its_end = self._future.done() and self._snapshot.phase in WENT_THROUGH
        self._job.close()
        await self._ended()
        left = self._snapshot.total - self._snapshot.settled
        if went_to_its_end or not left or self._snapshot.action == WATCH:  # a watch has no ledger to go on from
            return ""
        return f"{self.id}: {left} of {safe.many(self._snapshot.total, 'row')} not settled; connect again: ws.attach({self.id!r}).resume() goes on"

    def results(self, outcome: str | Iterable[str] | None = None) -> pd.DataFrame:
        """Return one row per eligible row: the plan's columns, and its outcome.

        Parameters
        ----------
        outcome : str or list of str, optional
            Only rows with this outcome, or one of these: succeeded, failed, pending, unknown, blocked.

        Returns
        -------
        pandas.DataFrame
            The plan's columns, ``status_before`` (string: when it was planned; missing for creates), ``outcome`` (string: succeeded, failed,
            pending, unknown, blocked; they sum to the eligible rows), ``waiting_for`` (string: why it is not settled), ``tries http_status``
            (Int64), ``error_code error_message result_id`` (string; of *this* attempt), ``settled_at`` (datetime64[us, UTC], server time),
            ``notice`` (string: that it may have gone out twice, or which copies there are); of creates also ``campaign`` (string).

        Raises
        ------
        ConfigError
            If `outcome` names no outcome.

        Examples
        --------
        >>> run.results()["outcome"].value_counts().to_dict()
        {'succeeded': 4}
        """
        wanted = list_of_text("outcome", outcome)
        for name in wanted:
            if name not in OUTCOMES:
                raise ConfigError(f"outcome={name!r}; {did_you_mean(name, OUTCOMES)}")
        table = say_zone(self._job.results(), self._tz)
        return table if outcome is None else table[table["outcome"].isin(wanted)]

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:
        """Return the rows that failed, as they were read when they failed, fit to be planned again as their next attempt.

        Parameters
        ----------
        stuck : bool
            Also the rows whose act was accepted more than ten minutes ago and has not ended; planned and run again, they give it up.
            What is neither True nor False raises a ConfigError.

        Returns
        -------
        pandas.DataFrame
            The columns that were planned, and ``attempt``; creates keep ``campaign``, under which a file of them is planned, too.

        Examples
        --------
        >>> vx.plan_retry(run.failed()).action
        'retry'
        """
        return say_zone(self._job.failed(stuck=true_or_false("stuck", stuck)), self._tz)

    def blocked(self) -> pd.DataFrame:
        """Return the rows of `results` that a person must change before they can be sent; ``waiting_for`` says what (rule 20).

        Examples
        --------
        >>> run.blocked()["waiting_for"].to_list()
        []
        """
        return self.results(Outcome.BLOCKED)

    def copies(self) -> pd.DataFrame:
        """Read which posts were created twice, by anybody, and return those to be withdrawn (rule 28).

        Returns
        -------
        pandas.DataFrame
            A posts frame, fit for ``vx.plan_cancel``, with ``row`` (string, the row of the run) and ``copy_of`` (string, the post to
            keep). Empty where there are none.

        Examples
        --------
        >>> len(created.copies())
        0
        """
        return say_zone(eventloop.run(self._job.made(copies=True)), self._tz)

    def made(self) -> pd.DataFrame:
        """Return the posts that a create run created, as they are now; ``vx.plan_cancel(run)`` withdraws them.

        Returns
        -------
        pandas.DataFrame
            A posts frame with ``row`` (string, the row of the run) and ``created_by_run`` (boolean: False where an earlier run with
            other rows, or another ledger, had created the post before). Posts that were deleted since are left out.

        Raises
        ------
        PlanError
            If the run is no create.

        Examples
        --------
        >>> created.made()[["row", "status"]].sort_values("row").values.tolist()
        [['a', 'scheduled'], ['b', 'scheduled']]
        """
        return say_zone(eventloop.run(self._job.made()), self._tz)

    def verify(self) -> pd.DataFrame:
        """Read every post again and count, per cause, what the run has changed.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``cause``: ``tried recovered failed_same failed_other pending blocked`` (Int64; the last five sum to the first).

        Examples
        --------
        >>> run.verify().columns.to_list()
        ['tried', 'recovered', 'failed_same', 'failed_other', 'pending', 'blocked']
        """
        return eventloop.run(self._job.verify())

    def __repr__(self) -> str:
        from voxops.views._snapshot import render_text  # loaded where something is shown, as a script shows nothing

        return render_text(self._snapshot, tz=self._tz)

    def _repr_html_(self) -> str:
        from voxops.views._snapshot import render_html

        return render_html(self._snapshot, tz=self._tz)

    def show(self) -> Run:
        """Show the run live in the running cell; outside a notebook nothing is shown. Once for each cell.

        Examples
        --------
        >>> run.show() is run
        True
        """
        if running_cell() is not None:
            self._ipython_display_()
        return self

    def _ipython_display_(self) -> None:
        """Show the run live, with its buttons; they only hand work over."""
        cell = running_cell()
        if cell is None or cell != self._shown_in:
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
        from voxops.views._snapshot import error_counts
        from voxops.views.monitor import Monitor

        return Monitor(
            self._snapshot,
            on_pause=lambda: eventloop.submit(self._job.pause()),
            on_resume=lambda: eventloop.submit(self._resume()),
            on_cancel=lambda: eventloop.submit(self._job.pause(withdraw=True)),
            on_retry=self._job.replan,
            errors=None if self._snapshot.action == WATCH else lambda: error_counts(self.results()),
            tz=self._tz,
        )
