"""A run for the analyst: it starts immediately, can be followed from any cell, and resumed after any crash."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final, TypeVar

from voxops._support import eventloop, safe
from voxops._support.arguments import did_you_mean, list_of_text, true_or_false
from voxops._support.eventloop import awaitable, blocking, running_cell
from voxops.engine.execution import begin
from voxops.engine.run_state import REFRESH, notify
from voxops.errors import ConfigError, Interrupted, LedgerError, WaitTooLong
from voxops.frames.times import say_zone
from voxops.model import OUTCOMES, WATCH, WENT_THROUGH, Observer, OutcomeName, Snapshot, Transition, paused
from voxops.webhooks import Payload, WebhookEvent, parse_event

if TYPE_CHECKING:
    import pandas as pd

    from voxops.acts.plan import Plan
    from voxops.engine.execution import Job
    from voxops.views.monitor import Live

T = TypeVar("T")


class Run:
    """The execution of a plan, or a watch.

    Only `wait`, `events`, `made` and `copies` block, and `pause`, `resume`, `cancel` and `notify` for a moment. In a notebook
    the run shows itself live. In a forked process every call raises a ConfigError.

    Attributes
    ----------
    id : str
        Id with which ``ws.attach`` finds the run in any kernel.
    aio : AwaitableRun
        The same methods as coroutines.
    """

    _noun = "run"

    def __init__(self, job: Callable[[Observer], Job], *, tz: str = "UTC", session: Any = None) -> None:
        self._tz, self._session = tz, session  # keeps the workspace alive, also if the connecting cell runs again
        self._observers: list[Observer] = []
        self._notifying, self._process = threading.RLock(), os.getpid()
        self._shown_in: int | None = None
        self._own_job = job(self)
        self.id: str = self._job.id
        self._snapshot = self._job.snapshot
        self._future: Future[Snapshot] | None = None  # of the last pass
        self._last_results: pd.DataFrame | None = None  # once the workspace is closed

    def begin(self) -> Run:
        """Begin to send or to watch, unless that has begun, or all has ended before."""
        if self._future is None and not self._job.over:
            self._begin()
        return self

    def _begin(self) -> None:
        """Begin a pass."""
        self._future = begin(self._own_job, self)

    @property
    def unbegun(self) -> bool:
        """Whether it is only watched, and begins once its caller has it; a second caller that attaches before then gets it, too."""
        return self._future is None and not self._job.over and not self._job.sends

    def left(self) -> str:
        """Pause a run that nobody has taken, and say so; ``""`` where it sends nothing anyway."""
        if not self._job.sends:
            return ""
        eventloop.submit(self._job.leave())
        return paused(self.id)

    def _doer(self) -> Run:
        return self

    @property
    def aio(self) -> AwaitableRun:
        """The same methods as coroutines, for any event loop: ``await run.aio.made()``."""
        return AwaitableRun(self)

    def notice(self, snapshot: Snapshot) -> None:
        """Pass a new state to the observers; called on our own loop."""
        with self._notifying:
            self._snapshot = snapshot
            for observer in tuple(self._observers):
                notify(observer, snapshot)

    def observe(self, observer: Observer) -> None:
        """Pass every state to an observer from now on, the current one first; on our own loop, so it must return immediately."""
        with self._notifying:  # else a simultaneous state, perhaps the last one, is lost
            observer.notice(self._snapshot)
            self._observers.append(observer)

    @property
    def snapshot(self) -> Snapshot:
        """The newest state, with counts by platform and outcome, reasons to wait and the last transitions."""
        return self._snapshot

    @property
    def plan(self) -> Plan | None:
        """The plan; None for a watch."""
        return self._job.plan

    @property
    def running(self) -> bool:
        """Whether anything is still being sent or watched."""
        return self._future is not None and not self._future.done()

    def __dir__(self) -> list[str]:
        """The public names; the others are called by the workspace and the job."""
        return [
            name
            for name in super().__dir__()
            if name not in {"begin", "end", "left", "notice", "observe", "replan", "tz", "unbegun"}
        ]

    def wait(self, timeout: float | None = None, *, raises: bool = False) -> Run:
        """Wait until all rows that can settle have settled, or until the timeout.

        An interrupt (Ctrl-C, the stop button) pauses the run: nothing more is sent, and requests in flight are recorded; `resume` goes
        on. A timeout, or the cancel of a task that waits, stops nothing (rule 16).

        Parameters
        ----------
        timeout : float, optional
            Seconds; the run goes on afterwards.
        raises : bool
            Whether a timeout is an error, as a script wants it.

        Returns
        -------
        Run
            The run itself; ``run.running`` tells whether it still runs, and `results` has the outcome of each row.

        Raises
        ------
        WaitTooLong
            If `raises`, and the run still runs after `timeout` seconds.
        ConfigError
            If `timeout` is not a number of seconds.
        VoxopsError
            If the run itself failed, by a fault of voxops or of the ledger's disk, never of a row.

        Examples
        --------
        >>> run.wait(60).running
        False
        """
        self._until(self._join(timeout, raises=raises))
        return self

    def _until(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the run; an interrupt pauses it (rule 16)."""
        try:
            return eventloop.run(work)
        except KeyboardInterrupt:
            self.pause()
            raise Interrupted(paused(self.id)) from None

    async def _until_async(self, work: Coroutine[Any, Any, T]) -> T:
        """The same on any event loop, where an interrupt arrives as a cancel; any other cancel leaves the run alone."""
        with eventloop.interrupts() as interrupted:
            try:
                return await eventloop.arun(work)
            except asyncio.CancelledError as stop:
                if interrupted():
                    eventloop.submit(self._job.pause())
                    stop.add_note(paused(self.id))
                raise

    def events(self) -> Iterator[Transition]:
        """Yield each change of a row's outcome as it is seen, from the run's beginning until it ends.

        An interrupt pauses the run, as in `wait`.

        Yields
        ------
        Transition
            ``at`` (server time), ``item``, ``platform``, ``was`` (of a watch), ``now`` (an outcome, of a watch a status), ``detail``
            (untrusted text).

        Examples
        --------
        >>> {event.now for event in run.events()}
        {'succeeded'}
        """
        seen: dict[int, datetime] = {}
        while moves := self._until(self._more(seen)):
            yield from moves

    async def _more(self, seen: dict[int, datetime]) -> list[Transition]:
        """Wait for changes that are not among these, and add them; none if the run has ended."""
        shown: tuple[Transition, ...] | None = None
        while True:
            over = not self.running
            if over or shown != self._snapshot.recent:
                shown = self._snapshot.recent
                moves = self._job.moves(max(seen.values(), default=None))
                new = {number: move for number, move in moves.items() if number not in seen}
                seen |= {number: move.at for number, move in new.items()}
                if new or over:
                    return list(new.values())
            await self._ended(REFRESH)

    @property
    def _job(self) -> Job:
        """The job of the run; its loop, ledger and requests belong to the process that started it."""
        self._refuse_fork()
        return self._own_job

    def _refuse_fork(self) -> None:
        if self._process != os.getpid():
            raise ConfigError(f"{self.id} belongs to the parent process; call vx.connect() in this one")

    async def _join(self, timeout: float | None, *, raises: bool) -> None:
        number = isinstance(timeout, Integral | float) and not isinstance(timeout, bool)
        if timeout is not None and not (number and timeout >= 0):
            raise ConfigError(f"timeout={timeout!r} must be a number of seconds, 0 or more, or None to wait to the end")
        true_or_false("raises", raises)
        await self._ended(timeout)
        if self._future is not None and self._future.done():
            self._future.result()
        elif raises and timeout is not None and self._future is not None:
            left, rows = self._snapshot.total - self._snapshot.settled, safe.many(self._snapshot.total, "row")
            message = f"{self.id} still runs after {timeout:g} s: {left} of {rows} not settled; call run.wait() again"
            raise WaitTooLong(message, seconds=timeout)

    async def _is_over(self) -> bool:
        """Whether the last pass has ended; an ending one is awaited, because it takes no more commands."""
        if self._job.over:
            await self._ended()
        return not self.running

    async def _ended(self, timeout: float | None = None) -> None:
        """Wait until the pass has ended, with or without an error."""
        self._refuse_fork()
        if self._future is None:
            return
        wrapped = asyncio.wrap_future(self._future)
        # Waiters ask the future itself; without this, asyncio would report the wrapper's unretrieved error.
        wrapped.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        await asyncio.wait({wrapped}, timeout=timeout)

    def __await__(self) -> Generator[Any, Any, Run]:
        """Wait as `wait` does, on any event loop: an interrupt pauses the run, and any other cancel only ends the wait (rule 16)."""
        return self.aio.wait().__await__()

    @blocking
    async def pause(self) -> Run:
        """Stop sending; return this run when no request is in flight, at the latest in two seconds. Sent rows are still watched.

        ``run.snapshot.in_flight`` names the rows whose requests are still in flight then; their outcomes are recorded.

        Examples
        --------
        >>> paused = run.pause()
        """
        await self._job.pause()
        return self

    @blocking
    async def resume(self) -> Run:
        """Send rows that were never sent, and settle or resend those whose outcome is unknown, under their keys.

        A run whose plan was undone since, or whose limit of failures is reached, sends nothing more.

        Examples
        --------
        >>> run.resume().wait(60).snapshot.phase
        'done'
        """
        if self._session is not None:
            self._session.usable()
        await self._resume()
        return self

    async def _resume(self) -> None:
        """Let the senders continue, or start a new pass if the last has ended."""
        await self._is_over()
        await self._job.allow()
        if self._job.resume():
            self._begin()

    @blocking
    async def notify(self, event: WebhookEvent | Payload) -> bool:
        """Notify the run of a webhook event, so that it reads that post now instead of at its next poll.

        The payload itself settles nothing: the run reads the named post. So a forged, late or repeated event does no harm. Verify its
        signature (``vx.webhooks.verify_signature``) first to save the request.

        Parameters
        ----------
        event : WebhookEvent, bytes, str or mapping
            From ``vx.webhooks.parse_event``, or a payload for it.

        Returns
        -------
        bool
            Whether it named a post or delivery of this run that is not terminal; only then the run reads.

        Raises
        ------
        DecodeError
            If it is not a webhook payload.

        Examples
        --------
        >>> run.notify({"id": "evt_1", "type": "post.published", "data": {"id": "post_of_somebody_else"}})
        False
        """
        subject = (event if isinstance(event, WebhookEvent) else parse_event(event)).subject
        if subject is None or not self._job.notify(subject):
            return False
        if await self._is_over():  # read once more; nothing is sent
            self._job.resume(paused=True)
            self._job.notify(subject)
            self._begin()
        return True

    @blocking
    async def cancel(self) -> Run:
        """Abandon rows that were never sent. Rows that were sent are watched to their end; ``vx.plan_cancel(run)`` withdraws their posts.

        Examples
        --------
        >>> run.cancel().running
        False
        """
        await self._job.pause(withdraw=True)
        return self

    async def end(self) -> str:
        """Stop sending, wait for requests in flight, and return how to continue, ``""`` if all is settled."""
        went_to_its_end = not self.running and self._snapshot.phase in WENT_THROUGH
        self._job.close()
        await self._ended()
        with suppress(LedgerError):  # the ledger is closed next; where it is gone, `results` says so
            self._last_results = self._job.results()
        left = self._snapshot.total - self._snapshot.settled
        if went_to_its_end or not left or self._snapshot.action == WATCH:  # a watch is in no ledger
            return ""
        return f"{self.id}: {left} of {safe.many(self._snapshot.total, 'row')} not settled; connect again: ws.attach({self.id!r}).resume() goes on"

    def results(self, outcome: OutcomeName | Iterable[OutcomeName] | None = None) -> pd.DataFrame:
        """Return one row per eligible row, with the plan's columns and its outcome.

        Parameters
        ----------
        outcome : str or list of str, optional
            Only rows with this outcome, or one of these: succeeded, failed, pending, unknown, blocked.

        Returns
        -------
        pandas.DataFrame
            The plan's columns, ``status_before`` (string: when it was planned; missing for creates), ``outcome`` (string: succeeded, failed,
            pending, unknown, blocked; they sum to the eligible rows), ``waiting_for reason_code`` (string: why it is not settled, and its
            code), ``withdrawn`` (string: of a created post, the status and instant at which it was withdrawn or deleted since), ``tries
            http_status`` (Int64), ``error_code error_message result_id`` (string; of *this* attempt), ``settled_at`` (datetime64[us, UTC], server time),
            ``notice`` (string: a possible duplicate, or the known copies); for creates also ``campaign`` (string).

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
        table = self._job.results() if self._last_results is None else self._last_results.copy()
        table = say_zone(table, self._tz)
        return table if outcome is None else table[table["outcome"].isin(wanted)]

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:
        """Return the failed rows, as read when they failed, ready to be planned again as their next attempt.

        Parameters
        ----------
        stuck : bool
            Also rows whose act was accepted more than ten minutes ago and has not ended; a new run of them abandons it. A value other
            than True or False raises a ConfigError.

        Returns
        -------
        pandas.DataFrame
            The planned columns, and ``attempt``; creates keep ``campaign``, also for a plan from a file of them.

        Examples
        --------
        >>> vx.plan_retry(run.failed()).action
        'retry'
        """
        return say_zone(self._job.failed(stuck=true_or_false("stuck", stuck)), self._tz)

    def to_mend(self) -> pd.DataFrame:
        """Return every row whose post does not exist and that no longer progresses: first the reason, then the sheet's own columns.

        These are the rows that failed, were blocked, or were not eligible, and the retries, fixes and redeliveries that have been in
        doubt for ten minutes. Rows that are pending or unknown are not among them. The frame can be planned again as it is.

        Written with ``vx.to_excel(path, mend=run.to_mend())``, mended in a spreadsheet and read with ``vx.read_campaign(path)``, they are
        planned again: what has failed as its next attempt, what never left as the same. Files that ``media`` names are looked for where
        the workbook is, so keep it with them, or pass ``folder=``.

        Returns
        -------
        pandas.DataFrame
            ``reason reason_code outcome`` (string; blocked, where a row was not eligible), and the columns of the sheet in its order, as
            they were planned. Also ``attempt``
            (Int64) if the sheet has it or a row has failed, and ``campaign`` (string) if the run was given one. A sheet's own columns
            ``reason`` and ``outcome``, and those that plans fill, are left out. For other acts, the columns of `failed`.

        Raises
        ------
        PlanError
            If the run is a watch.

        Examples
        --------
        >>> run.to_mend()["reason"].to_list()
        []
        """
        return say_zone(self._job.to_mend(), self._tz)

    @blocking
    async def copies(self) -> pd.DataFrame:
        """Find posts that were created twice, by any run or person, and return those to withdraw (rule 19).

        Returns
        -------
        pandas.DataFrame
            A posts frame for ``vx.plan_cancel``, with ``row`` (string, the row of the run) and ``copy_of`` (string, the post to keep).
            Empty for none.

        Examples
        --------
        >>> len(created.copies())
        0
        """
        return say_zone(await self._job.made(copies=True), self._tz)

    @blocking
    async def made(self) -> pd.DataFrame:
        """Return the posts that a run created, as they are now; ``vx.plan_cancel(run)`` withdraws them.

        Posts that a run of `plan_sync` changed or withdrew are not among them, and stay changed or withdrawn.

        Returns
        -------
        pandas.DataFrame
            A posts frame with ``row`` (string, the row of the run) and ``created_by_run`` (boolean: False if an earlier run with other
            rows, or another ledger, created the post). Deleted posts are left out.

        Raises
        ------
        PlanError
            If the run has no creates.

        Examples
        --------
        >>> created.made()[["row", "status"]].sort_values("row").values.tolist()
        [['a', 'scheduled'], ['b', 'scheduled']]
        """
        return say_zone(await self._job.made(), self._tz)

    def __repr__(self) -> str:
        from voxops.views.view import render_text  # imported only for a display, which a script does not have

        return render_text(self._snapshot, tz=self._tz)

    def _repr_html_(self) -> str:
        from voxops.views.view import render_html

        return render_html(self._snapshot, tz=self._tz)

    def show(self) -> Run:
        """Show the run live in the running cell, once per cell; outside a notebook nothing is shown.

        Examples
        --------
        >>> run.show() is run
        True
        """
        if running_cell() is not None:
            self._ipython_display_()
        return self

    def _ipython_display_(self) -> None:
        """Show the run live, with its buttons."""
        cell = running_cell()
        if cell is None or cell != self._shown_in:
            self._shown_in = cell
            self._live.show()

    @cached_property
    def _live(self) -> Live:
        """The live display, the same in all cells."""
        from voxops.views.monitor import Live, Monitor

        live = Live(self.__repr__)
        live.hold(Monitor(self, self._session and self._session.workspace, live.ask))
        return live

    @property
    def tz(self) -> str:
        """The time zone in which it is shown."""
        return self._tz

    def replan(self) -> Plan | None:
        """Return a plan of the next attempt at the failed rows, for the display; None if there is none."""
        return self._job.replan()


class AwaitableRun:
    """The methods of a run as coroutines, for any event loop: ``await run.aio.made()``."""

    def __init__(self, run: Run) -> None:
        self._owner = run

    def __repr__(self) -> str:
        return f"<AwaitableRun {self._owner.id}>"

    async def wait(self, timeout: float | None = None, *, raises: bool = False) -> Run:
        """Wait as ``run.wait()`` does; an interrupt pauses the run, and any other cancel only ends the wait (rule 16)."""
        await self._owner._until_async(self._owner._join(timeout, raises=raises))
        return self._owner

    async def events(self) -> AsyncIterator[Transition]:
        """Yield the changes of ``run.events()``: ``async for event in run.aio.events()``."""
        seen: dict[int, datetime] = {}
        while moves := await self._owner._until_async(self._owner._more(seen)):
            for move in moves:
                yield move

    show: Final = awaitable(Run.show, here=True)
    pause: Final = awaitable(Run.pause)
    resume: Final = awaitable(Run.resume)
    cancel: Final = awaitable(Run.cancel)
    notify: Final = awaitable(Run.notify)
    results: Final = awaitable(Run.results)
    failed: Final = awaitable(Run.failed)
    to_mend: Final = awaitable(Run.to_mend)
    copies: Final = awaitable(Run.copies)
    made: Final = awaitable(Run.made)
