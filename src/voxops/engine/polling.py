"""The open calls of a ledger, whoever has sent them: when they are read for, and what is decided once they were read."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from voxops._support import safe
from voxops.acts import act_named
from voxops.acts.act import Request
from voxops.api.limits import COUNT_SETTLES_AFTER, FIRST_LOOK, LONGEST_LOOK, PER_PAGE
from voxops.engine.bind import undo_unsent, write
from voxops.engine.read import ENDED
from voxops.engine.rules import Block, Decision, Release, Send, Wait, decide, fit, resend_after
from voxops.ledger.records import Call
from voxops.model import Clock, Outcome

if TYPE_CHECKING:
    from voxops.engine.facts import SharedState
    from voxops.engine.read import Commit, Reads

_log = logging.getLogger("voxops.engine")

LOGGED = 10  # calls that a record names
AT_ONCE = 200  # calls that are looked at in one transaction: few flushes, and no sender waits long for its turn
SOONEST = 5.0  # seconds between two readings of open calls, however many come due in between
MOST_READINGS = (
    5  # in a row upon which nothing was sent, because they were too old when its turn came; after them a run stops
)


def interval(look: int, rng: random.Random, pages: int = 0) -> float:
    """Seconds until the next look: 2, 3, 4.5, … up to 30, each ±20 %; `look` counts from 0.

    At least two seconds for each page that the last look at those in flight has taken. A job that fills fifty pages is read
    every 30 seconds, and its last hundred posts every two.
    """
    bound = min(LONGEST_LOOK, max(FIRST_LOOK * 1.5 ** min(look, 30), PER_PAGE * pages))
    return bound * rng.uniform(0.8, 1.2)


async def rest(clock: Clock, wake: asyncio.Event, seconds: float) -> None:
    """Sleep so many seconds, or until something happens: the only place of the engine that sleeps."""
    tasks = [asyncio.create_task(wake.wait()), asyncio.create_task(clock.sleep(max(seconds, 0.0)))]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    wake.clear()
    for task in ended:
        task.result()  # a clock that breaks ends the loop; going on would be to rest no more


class OpenCalls:
    """The open calls as the loop follows them: they are read for on one timer, and at the instants at which a reading proves more.

    Parameters
    ----------
    known : SharedState
        What `decide` and `fit` ask.
    reads : Reads
        Reads.
    commit : callable
        Does a piece of work in a transaction of the ledger.
    clock : Clock
        Counts seconds.
    rng : random.Random
        Source of jitter.
    at : callable
        Has `take_due` called with a call at an instant of server time.
    sends : callable
        Whether a run that loops here may send a call again.

    Attributes
    ----------
    calls : dict
        The calls, by id.
    resend : set of int
        Those that may be sent again.
    listing : asyncio.Lock
        One reading of the list of posts at a time.
    """

    def __init__(
        self,
        shared: SharedState,
        reads: Reads,
        commit: Commit,
        clock: Clock,
        rng: random.Random,
        at: Callable[[float, int], None],
        sends: Callable[[int], bool],
    ) -> None:
        self._shared = shared
        self._ledger = shared.ledger
        self._reads = reads
        self._commit = commit
        self._clock = clock
        self._rng = rng
        self._at = at
        self._sends = sends
        self.calls: dict[int, Call] = {}
        self.resend: set[int] = set()
        self.listing: asyncio.Lock = asyncio.Lock()
        self._polled: set[int] = set()  # read for on the common timer
        self._fresh: set[int] = set()  # to be looked at: a reading has shown something new of them, or time has
        self._judged: dict[int, tuple[Any, float]] = {}  # the state that a call was looked at with last, and when
        # call -> readings that would have let it go again, had they not been too old
        self._stale: Counter[int] = Counter()
        self._looks = 0
        self._next_poll = self._soonest_poll = 0.0

    # Which there are.

    def take(self, calls: Iterable[Call], subjects: Collection[str] = ()) -> None:
        """Read for these, once at least. Where a run begins on these subjects, what it may wait for is read for anew."""
        for call in calls:
            before = self.calls.get(call.id)
            self.calls[call.id] = call
            concerns = subjects and (act_named(call.act).creates or str(call.subject) in subjects)
            if before is None or concerns or (before.state, before.tries) != (call.state, call.tries):
                self.follow(call)

    def follow(self, call: Call) -> None:
        """Poll a call, and read for it at the instants at which a reading proves more."""
        self.calls[call.id] = call
        if call.state == "sent":
            self._polled.discard(call.id)
            return
        self._polled.add(call.id)
        self._judged.pop(call.id, None)
        for seconds in (300.0,) if call.state == "accepted" else (resend_after(call), 300.0):
            self._at(call.end + seconds, call.id)

    def take_due(self, number: int) -> None:
        """An instant has come at which a reading proves more."""
        if number in self.calls:
            self._polled.add(number)
            self._judged.pop(number, None)
            self._next_poll = min(self._next_poll, max(self._clock.monotonic(), self._soonest_poll))

    def go_on(self, numbers: Iterable[int]) -> None:
        """A run sends again: what is known of its calls is looked at again."""
        own = self.calls.keys() & set(numbers)
        self._polled |= own
        self._fresh |= own

    def forget(self, numbers: Collection[int]) -> None:
        """These answer for nothing any more."""
        for number in numbers:
            for index in (self.calls, self._judged, self._stale):
                index.pop(number, None)
        self._polled.difference_update(numbers)
        self.resend.difference_update(numbers)

    def moves(self, number: int) -> bool:
        """Whether a call is in flight, or is read for."""
        call = self.calls.get(number)
        return call is not None and (
            call.state == "sent" or any(number in numbers for numbers in (self._polled, self._fresh, self.resend))
        )

    @property
    def has_news(self) -> bool:
        """Whether there is something to be looked at."""
        return bool(self._fresh & self.calls.keys())

    # Reading.

    def begin(self) -> None:
        """The loop begins: the first reading is due soon."""
        self.stir()
        self._next_poll = self._clock.monotonic() + interval(0, self._rng)

    def stir(self) -> None:
        """Something has happened: readings follow one another fast again."""
        self._looks = 0

    def due(self) -> float | None:
        """When the next reading is due, in seconds that this kernel counts; None if there is nothing to read for."""
        return self._next_poll if any(map(self._is_read_for, self._polled)) else None

    def to_read(self, named: Collection[str]) -> list[Call]:
        """The calls to read for now: those on subjects that were named, else all that are polled, once that is due."""
        if named:
            return [call for call in self.calls.values() if call.subject.id in named and call.state != "sent"]
        if self._clock.monotonic() < self._next_poll:
            return []
        return [self.calls[polled] for polled in sorted(self._polled) if self._is_read_for(polled)]

    def _is_read_for(self, number: int) -> bool:
        """Whether a polled call is open, and not in flight from here."""
        return number in self.calls and self.calls[number].state != "sent"

    async def read(self, calls: Sequence[Call]) -> None:
        """Read once for open calls."""
        reads, now = self._reads, self._shared.now
        if doubt := [call for call in calls if call.state in {"unknown", "limited"}]:
            which = ", ".join(
                f"{call.id} ({call.reason.code if call.reason else call.state})" for call in doubt[:LOGGED]
            )
            _log.info("reading after an ambiguity: %s: %s", safe.many(len(doubt), "call"), which)
        try:
            if any(call.end > now + 5.0 for call in calls):  # this clock slept while another sender worked
                await reads.reader.learn_time()
            creates = [call for call in calls if act_named(call.act).creates]
            if creates:
                async with self.listing:
                    await reads.listing(creates)
            acts = [call for call in calls if not act_named(call.act).creates]
            followed = {str(call.subject): False for call in acts if call.state == "accepted"}
            doubtful = {str(call.subject): act_named(call.act).reverts for call in acts if call.state != "accepted"}
            if doubtful:
                await reads.subjects(doubtful, ENDED)
            if followed := {subject: False for subject in followed if subject not in doubtful}:
                await reads.subjects(followed, ENDED, follow=True)
            self._fresh |= {call.id for call in calls if self._is_news(call)}
        finally:
            self._looks += 1
            ended = self._clock.monotonic()
            self._next_poll = ended + interval(self._looks - 1, self._rng, reads.reader.pages)
            self._soonest_poll = min(self._next_poll, ended + SOONEST)

    def _shown(self, call: Call) -> Any:
        """The state of a call's subject, as it was read last."""
        return self._shared.readings.of(call.subject)[0]

    def _is_news(self, call: Call) -> bool:
        """Whether a call is to be looked at after a reading; one that was accepted if it shows another state, or evidence is of age."""
        state, at = self._judged.get(call.id, (None, -math.inf))
        of_age = self._clock.monotonic() - at >= COUNT_SETTLES_AFTER
        return of_age or call.state != "accepted" or self._shown(call) != state

    # Deciding.

    async def look(self) -> AsyncIterator[tuple[list[int], list[tuple[Request, Request]], list[int]]]:
        """Decide for the calls whose subject was read, and write what is settled, blocked or released.

        Yields these calls, those requests, before and after, and the calls that a later plan has abandoned since.
        """
        fresh, self._fresh = sorted(self._fresh & self.calls.keys()), set()
        for start in range(0, len(fresh), AT_ONCE):
            batch = fresh[start : start + AT_ONCE]
            changed, closed = await self._commit(partial(self._judge, batch))
            yield batch, changed, closed

    def _judge(self, numbers: Sequence[int]) -> tuple[list[tuple[Request, Request]], list[int]]:
        ledger = self._ledger
        changed, closed = list[tuple[Request, Request]](), list[int]()
        by_call = ledger.requests.of_calls(numbers)
        for call in ledger.calls.some(numbers):
            requests = by_call[call.id]
            self.calls[call.id] = call
            if call.state == "closed":
                closed.append(call.id)
            if call.state in {"sent", "closed"} or not requests:
                continue
            shown, decisions = self._decide(call, requests)
            if shown != call:
                ledger.calls.note(shown)
            changed.extend(self._write(shown, decisions))
        return changed, closed

    def _decide(self, call: Call, requests: Sequence[Request]) -> tuple[Call, list[tuple[Request, Decision]]]:
        """What a reading makes of a call, and of each of its requests."""
        facts, shown = self._shared.open(call, requests, resends=False)
        looked = next(iter(facts.values())).looked
        if looked is not None:
            self._judged[call.id] = self._shown(call), self._clock.monotonic()
        due = looked is not None and looked >= resend_after(call) and call.state in {"unknown", "limited"}
        if due and self._sends(call.id) and self._stale[call.id] < MOST_READINGS:
            verdict = fit(self._shared.again(call, requests, facts))
            if isinstance(verdict, Wait | Block):
                shown = replace(shown, reason=verdict.reason)
            else:
                facts = {request: replace(decision, resends=True) for request, decision in facts.items()}
        if shown is not call:
            facts = {
                request: replace(decision, call=shown) if decision.call is call else decision
                for request, decision in facts.items()
            }
        about = act_named(call.act).about
        decisions = [(request, decide(request, about, facts[request.id])) for request in requests]
        if any(facts[request.id].resends and isinstance(decision, Wait) for request, decision in decisions):
            self._stale[call.id] += 1  # it may be sent again once it was just read: that is done immediately
            self._next_poll = min(self._next_poll, self._clock.monotonic())
        return shown, decisions

    def _write(self, call: Call, decisions: Sequence[tuple[Request, Decision]]) -> list[tuple[Request, Request]]:
        """Write what is decided about the requests of an open call; those that have changed, before and after."""
        ledger, now = self._ledger, self._shared.now
        decided = write(ledger, decisions, now)
        freed = [request for request, decision in decisions if isinstance(decision, Release)]
        waits = [(request, decision) for request, decision in decisions if isinstance(decision, Wait)]
        undone: dict[int, Request] = {}
        if freed:
            page = call.http_status if call.refused else None
            ledger.requests.release([request.id for request in freed], alone=True, page=page)
            undone = undo_unsent(ledger, [request.id for request in freed])
        ledger.requests.say(
            [
                replace(request, outcome=Outcome.PENDING, reason=decision.reason)
                for request, decision in waits
                if decision.reason != request.reason or request.outcome is Outcome.BLOCKED
            ]
        )
        if decided or freed:
            ledger.calls.close(call.id)
        elif any(isinstance(decision, Send) for _, decision in decisions):
            self.resend.add(call.id)
        if waits and not freed and not any(decision.holds for _, decision in waits):
            self._polled.discard(call.id)
        return [*decided, *((request, undone.get(request.id, replace(request, call=None))) for request in freed)]
