"""A search for a history that acts twice or loses a row: ledger and engine against a model of the server, step by step.

Hypothesis makes the histories: plans, fates of requests, crashes, restarts, sleeping kernels and sleeping laptops, edits, a
second sender, a lost disk, another API key.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
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
from tests.chaos.model import FATES, ROWS, Kernel, Reading, World
from tests.exhaustive.protections import batch_formed_anew

from voxops.acts import create
from voxops.engine import engine
from voxops.ledger import Ledger
from voxops.ledger.claims import Claims

READINGS = {
    "default": Reading(),
    "forgets the key of a 5xx": Reading(forget_on_5xx=True),
    "ignores keys": Reading(ignore_keys=True),
    "remembers keys for an hour": Reading(retention=3600.0),
    "shows no metadata": Reading(metadata=False),
    "stays failed for 3 s": Reading(linger=3.0),
    "forgets and stays failed": Reading(forget_on_5xx=True, linger=3.0),
    "lists lag a minute and a 5xx leaves no key": Reading(forget_on_5xx=True, lag=60.0),
}
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing of this needs a disk
ATTEMPTS = st.integers(1, 2)
THOROUGH = 10 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 1  # times as many histories in `make proof`


def when(name: str, allowed: Callable[[Any], Any] = lambda _: True) -> Callable[[Any], Any]:
    """Let a rule of this name be used where it is allowed, and where the search is not narrowed to others."""
    return precondition(lambda self: (not self.only or name in self.only) and allowed(self.world))


def alive(world: World) -> bool:
    """Whether a kernel runs."""
    return bool(world.alive)


def room(world: World) -> bool:
    """Whether a kernel may be started."""
    return len(world.alive) < 2


def marked(world: World) -> bool:
    """Whether creates can be recognised by their mark."""
    return world.server.reading.metadata


def flying(world: World) -> bool:
    """Whether a request is under way."""
    return bool(world.open_flights())


class Histories(RuleBasedStateMachine):
    """Every way in which a campaign and its retries can go; `only` narrows the search to some rules."""

    readings = tuple(READINGS)
    worlds: dict[str, Reading] = READINGS
    only: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="voxops-machine-", dir=FOLDER))
        self.world: Any = None

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        reading = data.draw(st.sampled_from(self.readings))
        self.world = World(self.folder, self.worlds[reading])
        for _ in range(2):
            self.world.kernel()

    def teardown(self) -> None:
        try:
            if self.world is not None:
                self.world.heal()
                self.never_twice()
                lost = self.world.lost()
                assert not lost, lost
        finally:
            if self.world is not None:
                self.world.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    @invariant()
    def never_twice(self) -> None:
        """Nothing has been done twice."""
        assert self.world is None or not self.world.server.violations, self.world.server.violations

    # -- the analyst ------------------------------------------------------------------------------------------------

    def _kernel(self, which: int) -> Kernel:
        return self.world.alive[which % len(self.world.alive)]

    @when("create", alive)
    @rule(which=st.integers(0, 1), first=st.integers(0, ROWS - 1), count=st.integers(1, ROWS))
    def create(self, which: int, first: int, count: int) -> None:
        kernel = self._kernel(which)
        kernel.start(kernel.run(self.world.creates(first, count)))

    @when("redeliver", alive)
    @rule(which=st.integers(0, 1), attempt=ATTEMPTS)
    def redeliver(self, which: int, attempt: int) -> None:
        kernel = self._kernel(which)
        kernel.start(kernel.run(self.world.redeliveries(attempt)))

    @when("retry", alive)
    @rule(which=st.integers(0, 1), attempt=ATTEMPTS, filtered=st.booleans())
    def retry(self, which: int, attempt: int, filtered: bool) -> None:
        kernel, wanted = self._kernel(which), self.world.retries(attempt, filtered=filtered)
        if wanted is not None:
            kernel.start(kernel.run(wanted))

    @when("run_all", alive)
    @rule(which=st.integers(0, 1))
    def run_all(self, which: int) -> None:
        self._kernel(which).drive_all()

    @when("start_kernel", room)
    @rule()
    def start_kernel(self) -> None:
        self.world.kernel().drive_all()

    @when("kill", alive)
    @rule(which=st.integers(0, 1))
    def kill(self, which: int) -> None:
        self._kernel(which).kill()

    @when("suspend_or_wake", alive)
    @rule(which=st.integers(0, 1))
    def suspend_or_wake(self, which: int) -> None:
        kernel = self._kernel(which)
        kernel.asleep = not kernel.asleep
        self.world.settle()

    @when("doze", alive)
    @rule(which=st.integers(0, 1))
    def doze(self, which: int) -> None:
        """A kernel is suspended between its next claim and the send."""
        self._kernel(which).drowsy = True

    @when("hold_or_let_go", alive)
    @rule(which=st.integers(0, 1))
    def hold_or_let_go(self, which: int) -> None:
        """The rate limit holds a kernel's requests back, or lets them go."""
        client = self._kernel(which).client
        client.open = not client.open
        self.world.settle()

    @when("lose_the_disk", marked)
    @rule()
    def lose_the_disk(self) -> None:
        """A new ledger knows earlier creates by their mark alone; where the API shows none, nothing could tell."""
        self.world.lose_ledger()
        self.world.kernel()

    @when("change_the_key")
    @rule()
    def change_the_key(self) -> None:
        self.world.api_key = "key b" if self.world.api_key == "key a" else "key a"

    # -- the network and time ---------------------------------------------------------------------------------------

    @when("meet", flying)
    @rule(which=st.integers(0, 5), fate=st.sampled_from(("ok", "ok", "ok", *FATES)))
    def meet(self, which: int, fate: str) -> None:
        flights = self.world.open_flights()
        self.world.meet(flights[which % len(flights)], fate)

    @when("wait")
    @rule(seconds=st.sampled_from([2.5, 7.0, 20.0, 65.0, 100.0, 320.0]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @when("sleep_for_a_night")
    @rule()
    def sleep_for_a_night(self) -> None:
        self.world.night()

    @when("edit")
    @rule(which=st.integers(0, 2))
    def edit(self, which: int) -> None:
        post = self.world.server.posts[f"post_{which}"]
        post.updated = max(self.world.time, post.updated + 0.001)


def search(
    machine: type[Histories], examples: int, steps: int = 30, phases: tuple[Phase, ...] = (Phase.generate,)
) -> None:
    """Run the search; raises what it found."""
    small = settings(
        max_examples=examples * THOROUGH,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    names = itertools.count()  # of runs, in the order of their making, so that the same steps give the same history
    with (
        mock.patch.object(create, "BULK_POSTS", 3),
        mock.patch.object(engine.secrets, "token_hex", lambda size: f"{next(names):0{2 * size}x}"),
    ):
        run_state_machine_as_test(machine, settings=small)


@pytest.mark.parametrize("reading", READINGS)
def test_no_history_acts_twice_or_loses_a_row(reading):
    search(type("Searched", (Histories,), {"readings": (reading,)}), 12)


def test_the_search_can_fail():
    """`make proof` takes away each protection in turn, in the exhaustive search."""
    machine = type("Unprotected", (Histories,), {"readings": ("default",), "only": ("create", "meet", "wait")})
    with batch_formed_anew(), pytest.raises(AssertionError, match="twice"):
        search(machine, 150)


class _ReadingNeverOld(Claims):
    def _refuse(self, stored: Any, clearance: Any, *rest: Any) -> Any:
        return super()._refuse(stored, self.clear(stored, read=self._store.now()), *rest)


class ReadingNeverOld(Ledger):
    """A reading clears for ever, whoever has tried since."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.claims = _ReadingNeverOld(self, self.operations)


@pytest.mark.parametrize(("ledger", "times"), [(Ledger, 1), (ReadingNeverOld, 2)])
def test_two_senders_that_are_both_held_back_never_send_upon_the_same_reading(tmp_path, ledger, times):
    """One is let go, its answer is lost after the work; the other is let go then, with what it had read before."""
    world = World(tmp_path, READINGS["ignores keys"], ledger)
    one, two = world.kernel(), world.kernel()
    wanted = world.retries()
    for kernel in (one, two):
        kernel.client.open = False
        kernel.start(kernel.run(wanted))
    for kernel in (one, two):
        kernel.client.open = True
        world.settle()
        for flight in list(world.open_flights()):
            world.meet(flight, "unanswered")
    assert set(world.server.executed.values()) == {times}
    world.close()


def test_a_kernel_whose_clock_slept_asks_for_the_time_before_it_waits(tmp_path):
    """Another kernel worked after the night, so that what it sent lies in the future of this one's clock."""
    world = World(tmp_path, READINGS["default"])
    early, late = world.kernel(), world.kernel()
    world.night()
    late.start(late.run(world.creates(0, 2)))
    world.meet(world.open_flights()[0], "lost")
    late.kill()
    early.drive_all()
    world.heal()
    assert not world.lost()
    assert world.server.created == {"row 0": 1, "row 1": 1}
    world.close()


def test_the_model_holds_what_it_is_a_model_of():
    """The model itself counts a second execution, a second creation and a second queueing; else nothing would be found."""
    folder = Path(tempfile.mkdtemp(prefix="voxops-machine-", dir=FOLDER))
    world = World(folder, Reading(ignore_keys=True))
    kernel = world.kernel()

    async def twice() -> None:
        for _ in range(2):
            await world.launch("POST", "/v1/posts/post_0/retry", None, "k", "a")

    kernel.start(twice())
    world.meet(world.open_flights()[0], "ok")
    world.meet(world.open_flights()[0], "ok")
    assert world.server.violations == [
        "post_0 was queued twice at once",
        "/v1/posts/post_0/retry was carried out twice under the key k",
    ]
    world.close()
    shutil.rmtree(folder)
