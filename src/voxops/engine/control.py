"""One pass over a run in four small parts, each with one writer: what it was asked to do, its queue, its counts, its reasons."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from voxops._support import safe
from voxops.api.reasons import Reason
from voxops.errors import TransportError, VoxopsError
from voxops.ledger import Clearance
from voxops.model import Clock, Outcome, Transition

__all__ = ["Control", "Pass", "Queue", "Reasons", "Tally"]

GOES_ON = "run.resume() goes on"
ANOTHER_KEY = " (somebody has sent something else under its key; a next attempt, in a column attempt, has another)"


class Control:
    """What a run was asked to do; written by whoever holds the run, and halted where there is no point in going on."""

    def __init__(self, *, paused: bool = False, away: bool = False) -> None:
        self.paused = paused
        self.away = paused or away  # nobody has asked the server for the time since the run was put aside
        self.closed = False
        self.halted = ""
        self._changed = asyncio.Event()
        self._notified: set[str] = set()
        self._deferred: set[str] = set()

    @property
    def sending(self) -> bool:
        """Whether new requests may leave."""
        return not self.paused and not self.halted

    def pause(self) -> None:
        """Send nothing more."""
        self.paused = self.away = True
        self._changed.set()

    def resume(self) -> None:
        """Send again."""
        self.paused, self.halted = False, ""
        self._changed.set()

    def halt(self, why: str, then: str = GOES_ON) -> None:
        """Send nothing more, and say how to go on `then`; the first reason counts."""
        self.halted = self.halted or f"{why.removesuffix('.')}; {then}"
        self._changed.set()

    def fail(self, error: VoxopsError) -> None:
        """Send nothing more because of an error."""
        outage = isinstance(error, TransportError)
        self.halt(str(error), f"{GOES_ON} when the server is back" if outage else GOES_ON)

    def close(self) -> None:
        """Send nothing more, and end when nothing is under way."""
        self.paused = self.closed = True
        self._changed.set()

    def notify(self, subject: str) -> None:
        """Note that something is said to have happened to a thing; it is looked at next."""
        self._notified.add(subject)
        self._changed.set()

    def defer(self, subjects: Collection[str]) -> None:
        """Look at these things when something that is being sent has been answered, and not before."""
        self._deferred.update(subjects)

    def take_notified(self) -> set[str]:
        """What was notified or deferred since this was asked last."""
        taken = self._notified | self._deferred
        self._notified, self._deferred = set(), set()
        return taken

    def answered(self) -> None:
        """An answer has come: end a rest if something was deferred until then."""
        if self._deferred:
            self._changed.set()

    def wake(self) -> None:
        """End a rest."""
        self._changed.set()

    async def rest(self, clock: Clock, seconds: float) -> None:
        """Sleep, or wake when the run is asked for something or runs out of work."""
        tasks = [asyncio.create_task(self._changed.wait()), asyncio.create_task(clock.sleep(max(seconds, 0.0)))]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._changed.clear()
        for task in ended:
            task.result()  # a clock that breaks ends the pass; going on would be to rest no more


def in_words(number: int) -> str:
    """How often, as people say it."""
    return (
        f"{_NUMBERS[number]} times"
        if 2 < number < len(_NUMBERS)
        else {1: "once", 2: "twice"}.get(number, f"{number} times")
    )


_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Queue:
    """Operations that are to be sent in this pass, those under way, and how often each was tried."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.tries: Counter[int] = Counter()
        self.throttled: Counter[int] = Counter()
        self.failures: dict[int, Counter[str]] = {}  # what came of the tries that settled nothing
        self._ready: asyncio.Queue[Clearance | None] = asyncio.Queue()
        self._queued: set[int] = set()
        self._not_before: dict[int, float] = {}
        self._idle = asyncio.Event()

    def __contains__(self, op: int) -> bool:
        return op in self._queued

    def __len__(self) -> int:
        return len(self._queued)

    def put(self, clearance: Clearance) -> None:
        """Queue an operation."""
        self._queued.add(clearance.op)
        self._ready.put_nowait(clearance)

    def end(self, workers: int) -> None:
        """Let so many workers end when what is queued is done."""
        for _ in range(workers):
            self._ready.put_nowait(None)

    async def take(self) -> Clearance | None:
        """The next operation, which is under way from now on; None where a worker is to end."""
        clearance = await self._ready.get()
        if clearance is not None:
            self.in_flight += 1
        return clearance

    def done(self, clearance: Clearance) -> bool:
        """Note that an operation is no longer under way; True if nothing is, and nothing is queued."""
        self._queued.discard(clearance.op)
        self.in_flight -= 1
        idle = not self._queued
        if idle:
            self._idle.set()
        return idle

    async def quiet(self) -> None:
        """Wait until no request of this pass is under way."""
        while self.in_flight:
            self._idle.clear()
            await self._idle.wait()

    def delay(self, op: int, until: float) -> None:
        """Send an operation again only from an instant on, in elapsed seconds: a server may name a wrong time with its refusal."""
        self._not_before[op] = until

    def due(self, op: int, now: float) -> bool:
        """Whether an operation's backoff is over."""
        return self._not_before.get(op, 0.0) <= now

    def forget_tries(self) -> None:
        """Count tries anew."""
        self.tries.clear()
        self.throttled.clear()
        self.failures.clear()

    def note_failure(self, op: int, what: str) -> None:
        """Note what came of a try that settled nothing."""
        self.failures.setdefault(op, Counter())[what] += 1

    def describe_failures(self, op: int) -> str:
        """What came of all of an operation's tries in this pass, as a sentence."""
        failures = self.failures.get(op, Counter())
        said = ", ".join(f"{what} {in_words(number)}" for what, number in failures.most_common())
        return said + ANOTHER_KEY * any("IDEMPOTENCY_CONFLICT" in what for what in failures)


@dataclass
class Tally:
    """What is counted in a pass: acts sent, rows failed, looks without any change, and transitions that nobody was shown yet."""

    acts: int = 0
    failures: int = 0
    looks: int = 0
    transitions: list[Transition] = field(default_factory=list)

    def note(self, transitions: Sequence[Transition]) -> None:
        """Take note of what became of rows."""
        self.transitions += transitions
        self.failures += sum(each.now == Outcome.FAILED for each in transitions)

    def take_transitions(self) -> tuple[Transition, ...]:
        """Transitions since this was asked last."""
        taken, self.transitions = tuple(self.transitions), []
        return taken


class Reasons:
    """Why operations don't go on: `waiting` for the rest of the pass, `refused` when it was their turn last.

    Those `blocked` wait for a person.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, Reason | str] = {}
        self.refused: dict[int, str] = {}
        self.blocked: set[int] = set()

    def block(self, op: int, why: Reason | str) -> None:
        """Say that a person must change something before an operation can be sent (rule 20)."""
        self.waiting[op] = why
        self.blocked.add(op)

    def clear(self) -> None:
        """Let everything be tried again."""
        self.waiting.clear()
        self.refused.clear()
        self.blocked.clear()


@dataclass(eq=False)
class Pass:
    """One pass over a run; who holds `renewing` reads the list again for all whose reading is too old, which is `listed` then.

    `shares` says that some of what it has joined holds more than its plan.
    """

    run: str
    control: Control
    stop_after_failures: int | None = None
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    listed: float = -math.inf
    shares: bool = False
    queue: Queue = field(default_factory=Queue)
    tally: Tally = field(default_factory=Tally)
    reasons: Reasons = field(default_factory=Reasons)

    def note(self, transitions: Sequence[Transition]) -> None:
        """Take note of what became of rows; stop where it was asked to stop after so many failures."""
        self.tally.note(transitions)
        limit, failures = self.stop_after_failures, self.tally.failures
        if limit is not None and failures >= limit:
            self.control.halt(
                f"stopped after {safe.many(failures, 'failure')}, as asked; look at run.failed()", f"then {GOES_ON}"
            )

    def resume(self) -> None:
        """Send again, as a new pass would: what made this one give up counts from now."""
        self.control.resume()
        self.tally.failures = self.tally.looks = 0
        self.reasons.clear()
        self.queue.forget_tries()
