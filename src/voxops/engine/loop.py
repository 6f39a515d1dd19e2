"""One loop for all runs of a workspace: decide about what has changed or is due, write, read what most rows wait for, send, sleep.

A turn costs what has changed, not what is open. Requests wait in groups. The loop decides about a group when it is due, or when what it
waits for has happened; about an open call after a reading of its subject. It also follows the open calls of other kernels.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from voxops._support import safe
from voxops.acts import act_named
from voxops.acts.act import Request
from voxops.api.limits import CLOCKS_DIFFER, FRESH_FOR, Backoff, delay
from voxops.api.reasons import Reason
from voxops.engine.bind import write
from voxops.engine.facts import Permission, Unsent
from voxops.engine.polling import MOST_READINGS, OpenCalls, rest
from voxops.engine.read import LIKELY
from voxops.engine.rules import Block, Decision, Read, Settle, Wait, fit
from voxops.engine.run_state import RunState, of_error
from voxops.engine.send import Group, Sent, ask
from voxops.errors import VoxopsError
from voxops.ledger.records import Call
from voxops.model import Outcome

if TYPE_CHECKING:
    from voxops.client import AsyncClient
    from voxops.engine.facts import SharedState
    from voxops.engine.read import Commit, Reads
    from voxops.engine.send import Sender

_log = logging.getLogger("voxops.engine")

WIDTH = 20  # calls under way or being written at the same time; the client bounds the requests themselves
AT_ONCE = 200  # groups that are decided about in one step
# Groups that are read for together: what the rate limit lets through in a minute, so that no reading is too old when its turn comes.
FEWEST_OFFERED, MOST_OFFERED = 30, 1000
LONGEST_REST = 30.0  # seconds until what another process has written is taken up
PATIENCE = 5.0  # seconds between two looks at what waits for another request
THROTTLES = 20  # refusals of one call by a rate limit in one run; after them the run stops (rule 12)


class Loop:
    """The loop of a workspace.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    known : SharedState
        What `decide` and `fit` ask.
    reads : Reads
        Reads.
    sender : Sender
        Sends.
    commit : callable
        Does a piece of work in a transaction of the ledger.
    rng : random.Random
        Source of jitter.
    """

    def __init__(
        self, client: AsyncClient, shared: SharedState, reads: Reads, sender: Sender, commit: Commit, rng: random.Random
    ) -> None:
        self._client = client
        self._ledger = shared.ledger
        self._shared = shared
        self._reads = reads
        self._sender = sender
        self._commit = commit
        shared.sending = lambda: [run for run, current in self._passes.items() if current.sends]
        self._rng = rng
        self._clock = client._clock
        self._passes: dict[str, RunState] = {}
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._open = OpenCalls(
            shared,
            reads,
            commit,
            self._clock,
            rng,
            partial(self._at, "call"),
            lambda call: self._sender_of(call) is not None,
        )
        self._resending: set[int] = set()  # calls that wait for their turn to be sent again
        self._due: list[
            tuple[float, int, Any]
        ] = []  # instants of server time: calls to be read for, groups to be looked at
        self._order = itertools.count()
        self._unread: list[tuple[RunState, Group]] = []
        self._groups: dict[int, list[tuple[RunState, Group]]] = {}  # request -> the groups that hold it
        self._senders: set[asyncio.Task[None]] = set()
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._notified: set[str] = set()
        self._offer = MOST_OFFERED  # twice what went out upon the last reading: what was read ages
        self._out = 0  # groups that went out since
        self._latest = -math.inf  # server time, when instants were last waited for
        self._version = -1
        self._happened = 0  # counts what groups may wait for

    # Asked by runs.

    async def run(self, current: RunState) -> None:
        """Loop over a run until nothing of it moves any more; raises what broke the loop."""
        await self._add(current)
        if self._task is None or self._task.done():
            self._open.begin()
            self._task = asyncio.create_task(self._turns())
        self.wake()
        try:
            await current.done.wait()
        finally:
            self._passes.pop(current.run, None)
        if current.failure is not None:
            raise current.failure

    def wake(self) -> None:
        """End a rest."""
        self._wake.set()

    def go_on(self, current: RunState) -> None:
        """The run sends again: what was parked is looked at."""
        current.news.set()
        current.ready.extend(current.parked)
        current.parked.clear()
        current.note = ""
        self._version = -1  # what others have written since is taken up
        self._shared.tries.clear()
        self._open.go_on(current.open)
        self.wake()

    def notify(self, run: str, subject: str) -> bool:
        """Something is said to have happened to a post or delivery: it is read next, if an open call of the run is on it."""
        requests = self._ledger.requests.of_run(run).values()
        if not any(
            request.call is not None and subject in {request.item.subject.id, request.result_id} for request in requests
        ):
            return False
        self._notified.add(subject)
        self.wake()
        return True

    def close(self) -> None:
        """End the loop's own tasks; runs have ended before."""
        for task in filter(None, [*self._readers.values(), self._task]):
            task.cancel()

    # Beginning.

    async def _add(self, current: RunState) -> None:
        """Take a run into the loop: its unsent requests as groups, in the order of sending."""
        ledger = self._ledger
        head = ledger.runs.head(current.run)
        current.limit = head.failures
        current.paused = current.paused or (not current.watching and (head.paused or head.undone))
        current.note = head.note if head.paused or current.watching else ""
        rows = ledger.runs.rows(current.run)
        if not current.watching:
            await self._commit(lambda: ledger.runs.note(current.run, state="open", note=""))
        ids = [row.request for row in rows if row.request is not None and row.reason is None]
        requests = ledger.requests.get(ids)
        groups: dict[Any, Group] = {}
        for row in sorted(rows, key=lambda row: (row.chunk, row.row)):
            request = requests.get(row.request or 0)
            if request is None or row.reason is not None or request.is_decided:
                continue
            act = act_named(request.item.act)
            place = ("chunk", row.chunk) if act.bulk else (act.name, request.item.group)
            group = groups.setdefault(place, Group(current.run, act, []))
            group.ids.append(request.id)
            self._groups.setdefault(request.id, []).append((current, group))
        current.ready.extend(groups.values())
        current.open = {request.call for request in requests.values() if request.call is not None}
        self._check_limit(current)
        self._passes[current.run] = current
        current.acts = len(groups) > 1 and any(group.act.about == "post" for group in groups.values())
        for number in requests:
            self._shared.tries.pop(number, None)
        subjects = {str(request.item.subject) for request in requests.values()}
        subjects |= {str(self._open.calls[call].subject) for call in current.open if call in self._open.calls}
        self._open.take(ledger.calls.open(), subjects)

    def _at(self, what: str, instant: float, thing: Any) -> None:
        """Look at a group, or read for an open call, at an instant."""
        self._latest = max(self._latest, self._shared.now)
        heapq.heappush(self._due, (instant, next(self._order), (what, thing)))

    # The loop.

    async def _turns(self) -> None:
        """Turn until nothing is open that may still move."""
        try:
            while self._passes or self._busy():
                await self._turn()
                if not self._passes and not self._busy():
                    return
                await self._rest()
        except BaseException as error:
            passes = list(self._passes.values())
            for current in passes:
                current.break_off(error)
            if isinstance(error, VoxopsError) and self._senders:  # what is under way ends first
                await asyncio.wait(self._senders)
            for current in passes:
                current.done.set()
            if not isinstance(error, Exception):
                raise

    def _busy(self) -> bool:
        return bool(self._senders or self._readers or self._open.has_news)

    async def _turn(self) -> None:
        """Do what there is to do now."""
        await self._take_up()
        self._take_due()
        await self._look_at_calls()
        await self._look_for_work()
        self._start_readings()
        self._finish()

    async def _take_up(self) -> None:
        """Take up what another process has written."""
        if (version := self._ledger.version()) != self._version:
            self._version = version
            opened = self._ledger.calls.open()
            self._forget(self._open.calls.keys() - {call.id for call in opened})
            self._open.take(opened)
            self._follow_others()
            self._tell(self._passes.values())

    def _follow_others(self) -> None:
        """Follow the calls that another process has sent for rows of our runs, and take up rows that it has let go of."""
        for current in self._passes.values():
            left = self._ledger.runs.left(current.run)
            current.open |= {call for _, call in left if call in self._open.calls}
            for request in (request for request, call in left if call is None):
                for holder, group in self._groups.get(request, ()):
                    if holder is current and group.idle:
                        group.idle = False
                        current.ready.append(group)

    def _take_due(self) -> None:
        """What an instant was waited for; everything, where the clock was set back since: nothing waits for a day that it once showed."""
        now = self._shared.now
        if now < self._latest - CLOCKS_DIFFER:
            self._due = [(now, order, awaited) for _, order, awaited in self._due]
            heapq.heapify(self._due)
        self._latest = now
        while self._due and self._due[0][0] <= now:
            what, thing = heapq.heappop(self._due)[2]
            if what == "group":
                current, group = thing
                current.timed -= 1
                current.ready.append(group)
            else:
                self._open.take_due(thing)

    # Open calls.

    async def _look_at_calls(self) -> None:
        """Decide for the calls whose subject was read, and let their runs know."""
        async for judged, changed, closed in self._open.look():
            self._tell(current for current in self._passes.values() if not current.open.isdisjoint(judged))
            await self._changed(changed)
            self._forget(closed)

    def _tell(self, passes: Iterable[RunState]) -> None:
        """Something of these has happened that whoever looks on must see."""
        for current in passes:
            current.news.set()

    async def look(self, calls: Sequence[Call]) -> None:
        """Read once for these open calls, and write what that decides; nothing is sent."""
        new = {call.id for call in calls} - self._open.calls.keys()
        await self._open.read(calls)
        self._open.calls |= {call.id: call for call in calls}
        await self._look_at_calls()
        self._open.forget({number for number in new if not self._open.moves(number)})  # a run that begins follows them

    async def _changed(self, changed: Sequence[tuple[Request, Request]]) -> None:
        """Requests are settled, blocked or unsent again: runs count them, and what waited for them is looked at."""
        if not changed:
            return
        self._open.stir()
        runs: set[str] = set()
        for before, after in changed:
            for current, group in self._groups.get(before.id, ()):
                runs.add(current.run)
                if not after.is_decided and group not in current.ready and group not in current.sendable:
                    current.ready.append(group)
        for run in runs & self._passes.keys():
            current = self._passes[run]
            current.news.set()
            self._check_limit(current)
            self._unpark(current)
        left = self._ledger.requests.of_calls({before.call for before, _ in changed if before.call is not None})
        self._forget(call for call, requests in left.items() if not requests)

    def _check_limit(self, current: RunState) -> None:
        """Stop a run whose failures have reached its limit, which stands in the ledger and binds every later resume."""
        if current.limit is not None and (failures := self._ledger.runs.failed(current.run)) >= current.limit:
            current.halt(Reason("stopped_after_failures", failures=safe.many(failures, "failure")))

    def _unpark(self, current: RunState) -> None:
        """Look again at groups that wait for others of their run, or for their subject."""
        self._happened += 1
        if current.parked and current.sends:
            current.ready.extend(current.parked)
            current.parked.clear()

    def _forget(self, calls: Iterable[int]) -> None:
        """These calls answer for nothing any more."""
        gone = set(calls)
        self._open.forget(gone)
        for current in self._passes.values() if gone else ():
            current.open -= gone
            self._unpark(current)

    def _sender_of(self, number: int) -> RunState | None:
        """The pass that may send a call again."""
        return next((current for current in self._passes.values() if number in current.open and current.sends), None)

    # Unsent groups.

    async def _look_for_work(self) -> None:
        """Send calls again that are due, and what may be sent of the runs that loop here, as far as there is room."""
        for number in sorted(self._open.resend):
            current = self._sender_of(number)
            self._open.resend.discard(number)
            if current is not None and number not in self._resending and len(self._senders) < WIDTH:
                self._resending.add(number)
                self._spawn(current, self._send_again(current, number))
        for current in list(self._passes.values()):
            while current.sends and len(self._senders) < WIDTH and (current.sendable or self._has_offers(current)):
                if current.sendable:
                    group = current.sendable.popleft()
                    self._spawn(current, self._send(current, group))
                else:
                    await self._look(current, self._next_groups(current))
                    await asyncio.sleep(0)

    def _has_offers(self, current: RunState) -> bool:
        """Whether groups are to be decided about: not before all that may be sent is on its way, so that what is read is not old by then."""
        return bool(current.ready) and len(self._unread) < self._offered(current.ready[0])

    def _next_groups(self, current: RunState) -> list[Group]:
        """Groups that are decided about together; creates chunk by chunk, because one row may be what another looks like."""
        groups = [current.ready.popleft()]
        while current.ready and not (groups[0].act.creates or current.ready[0].act.creates):
            if len(groups) >= min(AT_ONCE, self._offered(current.ready[0]) - len(self._unread)):
                break
            groups.append(current.ready.popleft())
        return groups

    def _offered(self, group: Group) -> int:
        """How many groups may be read for together; of those that are read alone, as many as go out with their readings in a minute."""
        limit = self._client.pace.limit or MOST_OFFERED
        return (
            max(1, min(MOST_OFFERED, limit // 2))
            if group.act.alone or group.alone
            else max(FEWEST_OFFERED, min(self._offer, limit))
        )

    def _gate(self, current: RunState) -> Permission:
        """What holds a run now; asked again in the transaction that sends."""
        head = self._ledger.runs.head(current.run)
        stopped = current.stopped
        if stopped is None and (head.undone or head.paused):
            stopped = Reason("undone" if head.undone else "paused")
        return Permission(stopped, current.acts)

    async def _look(self, current: RunState, groups: Sequence[Group]) -> None:
        """Decide about groups: send them, read for them, or let them wait."""
        happened = self._happened
        requests = self._ledger.requests.get(number for group in groups for number in group.ids)
        unsent = {group: group.unsent(requests) for group in groups}
        facts = Unsent(
            self._shared,
            [request for sendable in unsent.values() for request in sendable],
            Permission(current.stopped, current.acts),
        )
        decided = {group: ask(facts, sendable) for group, sendable in unsent.items()}
        for group, (sends, others) in decided.items():
            may_go = sends and not any(isinstance(decision, Read) for _, decision in others)
            if may_go and isinstance(verdict := fit(self._shared.new(group.act, sends)), Wait):
                decided[group] = [], [*others, *((request, verdict) for request in sends)]
        await self._note_waits(current, decided.values())
        final = [
            (request, decision)
            for _, others in decided.values()
            for request, decision in others
            if isinstance(decision, Settle | Block)
        ]
        if final:
            await self._changed(await self._commit(lambda: write(self._ledger, final, self._shared.now)))
        for group, (sends, others) in decided.items():
            group.idle = not (sends or others)
            self._follow(current, group, sends, others, happened)

    async def _note_waits(
        self, current: RunState, decided: Iterable[tuple[Sequence[Request], Sequence[tuple[Request, Decision]]]]
    ) -> None:
        """Write why rows wait, and of those that may go that they wait for nothing; what stops the run stands beside the run."""
        now: list[tuple[Request, Reason | None]] = []
        for sends, others in decided:
            waits = [(request, decision.reason) for request, decision in others if isinstance(decision, Wait)]
            now += [(request, None) for request in sends]
            now += [(request, None if why == current.stopped else why) for request, why in waits]
        if changed := [replace(request, reason=why) for request, why in now if request.reason != why]:
            await self._commit(lambda: self._ledger.requests.say(changed))
            current.news.set()

    def _follow(
        self,
        current: RunState,
        group: Group,
        sends: Sequence[Request],
        others: Sequence[tuple[Request, Decision]],
        happened: int,
    ) -> None:
        """Do what was decided about a group."""
        reads = [decision for _, decision in others if isinstance(decision, Read)]
        waits = [decision for _, decision in others if isinstance(decision, Wait)]
        if group.idle or len(reads) + len(waits) < len(others):
            current.readings = 0
        if reads and current.readings > MOST_READINGS:
            current.halt(Reason("too_few_requests"))
            current.ready.append(group)
        elif reads:
            current.reading += 1
            self._unread.append((current, group))
        elif sends:
            current.sendable.append(group)
        elif waits:
            self._wait(current, group, waits, happened)

    def _wait(self, current: RunState, group: Group, waits: Sequence[Wait], happened: int) -> None:
        """Look at a group again at the earliest instant that it waits for, or when something of its run has happened."""
        current.readings = 0
        until = min((decision.until for decision in waits if decision.until is not None), default=None)
        if until is None:
            # What it waits for may have happened since it was decided about.
            (current.parked if happened == self._happened else current.ready).append(group)
            return
        if any(decision.reason.code in {"subject_busy", "alike_in_flight"} for decision in waits):
            until = min(until or math.inf, self._shared.now + PATIENCE)
        seconds = until - self._shared.now
        # What has come, and changed nothing, is not asked again immediately.
        self._later(current, group, seconds if seconds > 0 else PATIENCE)

    def _later(self, current: RunState, group: Group, seconds: float) -> None:
        current.timed += 1
        self._at("group", self._shared.now + seconds, (current, group))

    # Sending.

    def _spawn(self, current: RunState, work: Any) -> None:
        current.under_way += 1
        current.idle.clear()
        task = asyncio.create_task(work)
        self._senders.add(task)
        task.add_done_callback(partial(self._sent, current))

    def _sent(self, current: RunState, task: asyncio.Task[None]) -> None:
        self._senders.discard(task)
        current.under_way -= 1
        current.news.set()
        if not current.under_way:
            current.idle.set()
        self._note_error(current, task)
        self.wake()

    def _note_error(self, current: RunState, task: asyncio.Task[None]) -> None:
        """What broke a task of a run stops the run."""
        if not task.cancelled() and (error := task.exception()) is not None:
            current.break_off(error)

    async def _send(self, current: RunState, group: Group) -> None:
        """Send a group once, and see what came of it."""
        happened = self._happened
        sent = await self._sender.send(group, lambda: self._gate(current))
        if sent.call is None:
            decision = sent.decision
            if isinstance(decision, Wait):
                self._wait(current, group, [decision], happened)
                return
            current.ready.append(group)  # what is left of it is looked at again
            if isinstance(decision, Read):  # and so are the others, of which what was read may be too old as well
                current.ready.extendleft(reversed(current.sendable))
                current.sendable.clear()
            return
        current.readings = 0
        self._out += 1
        await self._after(current, sent, group)

    async def _send_again(self, current: RunState, number: int) -> None:
        """Send an open call once more."""
        try:
            sent = await self._sender.send_again(number, lambda: self._gate(current))
        finally:
            self._resending.discard(number)
        if sent.call is None:
            return
        await self._after(current, sent, None)

    async def _after(self, current: RunState, sent: Sent, group: Group | None) -> None:
        """A try has ended: follow its call, and what is unsent again of the group."""
        call = sent.call
        assert call is not None
        self._open.stir()
        if sent.stops is not None:
            current.halt(Reason("api_refused", said=str(sent.stops)))
        seconds = 0.0
        if group is not None:
            seconds = self._backoff(current, sent, group)
        before = {request.id: replace(request, outcome=Outcome.PENDING, call=call.id) for request in sent.changed}
        opened = self._ledger.requests.of_call(call.id)
        if opened:
            self._shared.tries.update(request.id for request in opened)
            call = self._ledger.calls.get(call.id)
            for request in opened:
                for holder, _ in self._groups.get(request.id, ()):
                    holder.open.add(call.id)
            self._open.follow(call)
        else:
            self._forget([call.id])
        if group is not None:
            group.idle = len(opened) == len(group.ids)
            if not group.idle:
                self._later(current, group, seconds) if seconds else current.ready.append(group)
        await self._changed([(before[request.id], request) for request in sent.changed])

    def _backoff(self, current: RunState, sent: Sent, group: Group) -> float:
        """Seconds until a group is tried again that was not looked at, or never arrived."""
        ending, policy = sent.ending, Backoff()
        if ending is not None and ending.throttled:
            group.throttled += 1
            if group.throttled > THROTTLES:
                current.halt(Reason("rate_limit_persists"))
            return delay(policy, 1, self._rng)
        if ending is not None and ending.state == "unsent" and sent.error is not None:
            group.refusals += 1
            if group.refusals >= policy.tries:
                current.halt(of_error(sent.error))
            else:
                _log.info("retry: a call of %s, try %d after no connection", current.run, group.refusals + 1)
            return delay(policy, group.refusals, self._rng)
        return 0.0

    # Reading.

    def _start_readings(self) -> None:
        """Read for unsent groups immediately, and for open calls when it is time to look."""
        if self._unread and "unsent" not in self._readers:
            groups, self._unread = self._unread, []
            self._read("unsent", self._read_unsent(groups))
        if "poll" not in self._readers:
            named, self._notified = self._notified, set()
            if calls := (self._open.to_read(named) if named else []) or self._open.to_read(()):
                self._read("poll", self._open.read(calls))

    def _read(self, name: str, work: Any) -> None:
        task = asyncio.create_task(work)
        self._readers[name] = task
        task.add_done_callback(partial(self._has_read, name))

    def _has_read(self, name: str, task: asyncio.Task[None]) -> None:
        self._readers.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            for current in self._passes.values():
                current.reading_failed = True
                current.break_off(error)
        self.wake()

    async def _read_unsent(self, groups: Sequence[tuple[RunState, Group]]) -> None:
        """Read what groups wait for: the list for creates, the subjects of others."""
        try:
            subjects: dict[str, bool] = {}
            items = []
            for _, group in groups:
                requests = group.unsent(self._ledger.requests.get(group.ids))
                items += [request.item for request in requests if request.alike is not None]
                if group.act.creates:
                    continue
                alone = group.act.alone or group.alone
                subjects |= {
                    str(request.item.subject): alone for request in requests if request.item.subject.kind != "row"
                }
                subjects |= {f"post::{keep}": True for request in requests if (keep := request.item.seen.get("keep"))}
            reads = self._reads
            if items:
                async with self._open.listing:
                    if not self._shared.accounts_read:
                        await reads.accounts(items)
                    await reads.media(items)
                    await reads.refresh(items, sending=True)
                    await reads.listing(waiting=not reads.reader.created.knows_what_waits)
                    await reads.metadata()
            if subjects:
                await reads.subjects(subjects, LIKELY)
                began = min(self._shared.readings.subjects[subject][1].at for subject in subjects)
                if self._shared.now - began > FRESH_FOR:
                    for _, group in groups:
                        group.alone = True
        finally:
            self._offer, self._out = min(MOST_OFFERED, 2 * self._out), 0
            for current in {current.run: current for current, _ in groups}.values():
                current.readings += 1
            for current, group in reversed(groups):  # before what was not read yet: what was read ages
                current.reading -= 1
                current.ready.appendleft(group)

    # Ending, and sleeping.

    def _finish(self) -> None:
        """End the runs of which nothing moves any more."""
        for current in list(self._passes.values()):
            if current.under_way or current.reading:
                continue
            if current.acts and current.sends and current.parked and not self._moves(current):
                current.acts = False  # nothing of the run can free what is left
                self._unpark(current)
                self.wake()
                continue
            if current.closed or current.reading_failed or not self._moves(current):
                self._passes.pop(current.run, None)
                current.done.set()
                left = {
                    number: [pair for pair in pairs if pair[0] is not current] for number, pairs in self._groups.items()
                }
                self._groups = {request: pairs for request, pairs in left.items() if pairs}

    def _moves(self, current: RunState) -> bool:
        """Whether anything of a run may still change without a person."""
        if current.sends and (current.ready or current.sendable or current.timed):
            return True
        if current.sends and current.parked and (self._busy() or any(map(self._open.moves, self._open.calls))):
            return True
        return any(map(self._open.moves, current.open))

    async def _rest(self) -> None:
        """Sleep until something happens, or the earliest instant that is waited for."""
        now, elapsed = self._shared.now, self._clock.monotonic()
        if self._wake.is_set() or self._has_room():
            self._wake.clear()
            await asyncio.sleep(0)
            return
        seconds = [LONGEST_REST]
        if self._due:
            seconds.append(self._due[0][0] - now)
        if "poll" not in self._readers and (due := self._open.due()) is not None:
            seconds.append(due - elapsed)
        await rest(self._clock, self._wake, max(min(seconds), 0.01))

    def _has_room(self) -> bool:
        """Whether a turn would find something to do immediately."""
        if self._open.has_news:
            return True
        return any(
            current.sends and len(self._senders) < WIDTH and (current.sendable or self._has_offers(current))
            for current in self._passes.values()
        )
