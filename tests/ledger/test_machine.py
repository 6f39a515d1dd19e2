"""A search for a history that the ledger does not keep: two kernels on one file, against a model of it, step by step.

The engine decides what is done; the ledger must keep it. A settled request never changes, a request is in one call at the most, an answer
counts for the last try alone, one sender at the most may send a call, and a transaction that breaks leaves nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.ledger.filled import Clock, add, row, send

from voxops.acts.act import blocked, settled
from voxops.api.reasons import Reason
from voxops.ledger import calls
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Call
from voxops.model import Outcome

FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing of this needs a disk
WHICH = st.integers(0, 50)
SOME = st.sets(st.integers(0, 5), min_size=1, max_size=3)


@dataclass
class Model:
    """What the ledger must hold: of requests outcome, call and whether it is blocked; of calls state, tries, owner and rows."""

    requests: dict[int, list[Any]] = field(default_factory=dict)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)

    def close(self, call: int) -> None:
        if not self.rows(call) and self.calls[call]["state"] != "sent":
            self.calls[call]["state"] = "closed"

    def rows(self, call: int) -> list[int]:
        return [number for number, (_, at, _) in self.requests.items() if at == call]

    def unsend(self, call: Call) -> None:
        """Nothing of a try has happened, also where its lease was over by then; not if another one has followed."""
        known = self.calls.get(call.id, {"tries": 0})
        if known["tries"] != call.tries or known["state"] not in {"sent", "unknown"}:
            return
        known |= {"state": "unknown", "tries": call.tries - 1, "owner": None}
        if call.tries == 1:
            for each in self.rows(call.id):
                self.requests[each][1] = None
            del self.calls[call.id]

    def takes(self, call: Call) -> bool:
        """Whether what comes of this try counts."""
        known = self.calls.get(call.id)
        return known is not None and (known["state"], known["owner"], known["tries"]) == (
            "sent",
            call.owner,
            call.tries,
        )


class Histories(RuleBasedStateMachine):
    """Every way in which two kernels may write one ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="voxops-ledger-", dir=FOLDER))
        self.clock, self.model = Clock(), Model()
        self.flights: list[Call] = []
        self.answered: list[Call] = []
        self.names = iter(range(10_000))
        self.kernels: list[Ledger] = []

    @initialize()
    def begin(self) -> None:
        self.kernels = [Ledger(self.folder / "ledger.sqlite", clock=self.clock) for _ in range(2)]

    def teardown(self) -> None:
        for kernel in self.kernels:
            kernel.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def unsent(self) -> list[int]:
        return [number for number, (outcome, call, _) in self.model.requests.items() if not outcome and call is None]

    def opened(self, *states: str) -> list[int]:
        return [number for number, call in self.model.calls.items() if call["state"] in states]

    def chosen(self, call: int, some: set[int]) -> list[int]:
        rows = self.model.rows(call)
        return sorted({rows[each % len(rows)] for each in some}) if rows else []

    @rule(kernel=st.integers(0, 1), count=st.integers(1, 3))
    def want(self, kernel: int, count: int) -> None:
        for one in add(self.kernels[kernel], *(row(str(next(self.names))) for _ in range(count))):
            self.model.requests[one.id] = ["", None, False]

    @precondition(lambda self: self.unsent())
    @rule(kernel=st.integers(0, 1), some=SOME, breaks=st.booleans())
    def send(self, kernel: int, some: set[int], breaks: bool) -> None:
        ledger, free = self.kernels[kernel], self.unsent()
        ids = sorted({free[each % len(free)] for each in some})
        try:
            with ledger.atomic():
                found = ledger.requests.get(ids)
                call = send(ledger, [found[each] for each in ids], owner=f"kernel {kernel}")
                if breaks:
                    raise InterruptedError
        except InterruptedError:
            return
        self.flights.append(call)
        self.model.calls[call.id] = {"state": "sent", "tries": 1, "owner": call.owner, "until": call.lease_until}
        for each in ids:
            self.model.requests[each] = ["", call.id, False]

    @precondition(lambda self: self.opened("unknown", "limited"))
    @rule(kernel=st.integers(0, 1), which=WHICH)
    def send_again(self, kernel: int, which: int) -> None:
        some = self.opened("unknown", "limited")
        known, ledger = self.model.calls[number := some[which % len(some)]], self.kernels[kernel]
        call = ledger.calls.send_again(ledger.calls.get(number), owner=f"kernel {kernel}", now=self.clock.now)
        self.flights.append(call)
        known |= {"state": "sent", "tries": known["tries"] + 1, "owner": call.owner, "until": call.lease_until}

    @precondition(lambda self: self.flights)
    @rule(
        kernel=st.integers(0, 1),
        which=WHICH,
        state=st.sampled_from(["accepted", "unknown", "limited", "unsent"]),
        forget=st.booleans(),
    )
    def answer(self, kernel: int, which: int, state: str, forget: bool) -> None:
        """An answer comes, of this try or an older one, and perhaps twice; or a kernel finds that it has sent nothing."""
        call, ledger = self.flights[which % len(self.flights)], self.kernels[kernel]
        counts = self.model.takes(call)
        if state == "unsent":
            self.flights.remove(call)
            if call not in self.answered:
                ledger.calls.unsend(call)
                self.model.unsend(call)
            return
        self.answered.append(call)
        assert ledger.calls.end(call, state, now=self.clock.now) is counts
        if counts:
            self.model.calls[call.id] |= {"state": state, "owner": None}
        if call.id in self.model.calls:
            self.model.close(call.id)
        if forget:
            self.flights.remove(call)

    @precondition(lambda self: self.model.calls)
    @rule(
        kernel=st.integers(0, 1),
        which=WHICH,
        some=SOME,
        made=st.booleans(),
        proof=st.sampled_from(["settle", "release", "detach"]),
    )
    def prove(self, kernel: int, which: int, some: set[int], made: bool, proof: str) -> None:
        """A reading, or a late answer, proves what became of some of a call's rows."""
        numbers, ledger = list(self.model.calls), self.kernels[kernel]
        call = numbers[which % len(numbers)]
        ids = self.chosen(call, some)
        found = ledger.requests.get(ids)
        outcome = Outcome.SUCCEEDED if made else Outcome.FAILED
        if proof == "settle":
            ledger.requests.settle(
                [settled(found[each], outcome, result_id=f"of {each}") for each in ids], self.clock.now
            )
        else:
            getattr(ledger.requests, proof)(ids)
        ledger.calls.close(call)
        for each in ids:
            self.model.requests[each][:2] = [str(outcome) if proof == "settle" else "", None]
        self.model.close(call)

    @precondition(lambda self: self.model.requests)
    @rule(kernel=st.integers(0, 1), which=WHICH)
    def change_what_is_settled(self, kernel: int, which: int) -> None:
        """Whoever comes late with another outcome, or blocks it, changes nothing that is settled."""
        numbers, ledger = list(self.model.requests), self.kernels[kernel]
        one = ledger.requests.get(numbers)[numbers[which % len(numbers)]]
        if one.outcome.final:
            ledger.requests.settle([settled(one, Outcome.FAILED, error_code="LATE")], self.clock.now)
        ledger.requests.say([blocked(one, Reason("paused"))])
        self.model.requests[one.id][2] = not one.outcome.final

    @rule(kernel=st.integers(0, 1))
    def expire(self, kernel: int) -> None:
        self.kernels[kernel].calls.expire()
        for call in self.model.calls.values():
            if call["state"] == "sent" and not self.clock.now < call["until"] <= self.clock.now + 95:
                call |= {"state": "unknown", "owner": None}

    @rule(seconds=st.sampled_from([1.0, 60.0, 91.0, -4.0, -600.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(kernel=st.integers(0, 1))
    def restart(self, kernel: int) -> None:
        self.kernels[kernel].close()
        self.kernels[kernel] = Ledger(self.folder / "ledger.sqlite", clock=self.clock)

    @invariant()
    def both_kernels_find_what_was_written(self) -> None:
        for ledger in self.kernels:
            found = ledger.requests.get(self.model.requests)
            assert {number: [str(one.outcome) if one.outcome.final else "", one.call, one.outcome is Outcome.BLOCKED] for number, one in found.items()} == {
                number: [outcome, call, held and not outcome] for number, (outcome, call, held) in self.model.requests.items()
            }  # fmt: skip
            opened = {call.id: call for call in ledger.calls.open()}
            assert {number: (call.state, call.tries, call.owner) for number, call in opened.items()} == {
                number: (call["state"], call["tries"], call["owner"]) for number, call in self.model.calls.items() if call["state"] != "closed"
            }  # fmt: skip

    @invariant()
    def one_sender_at_the_most_may_send_a_call(self) -> None:
        held = [
            call.id
            for call in self.flights
            if self.kernels and self.model.takes(call) and self.kernels[0].calls.holds(call)
        ]
        assert len(held) == len(set(held))


def search(machine: type[Histories], examples: int) -> None:
    """Run the search; raises what it found."""
    small = settings(
        max_examples=examples, stateful_step_count=40, deadline=None, derandomize=True, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=small)


def test_no_history_is_kept_otherwise_than_it_was() -> None:
    search(Histories, 40)


def test_the_search_can_fail() -> None:
    """An answer that counts for whatever try there is."""
    with mock.patch.object(calls, "_ITS_OWN", "id = ? AND ? <> '' AND ? > 0"), pytest.raises(AssertionError):
        search(Histories, 200)
