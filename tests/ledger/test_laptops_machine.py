"""A search for a history in which two laptops, people and odd clocks act twice or lose a row; see `test_ledger_machine`.

Each laptop has a ledger of its own. What rule 31 excepts is not drawn: other rows of one sheet at the same moment, edits between two
loads at the same moment, and another API key.
"""

from __future__ import annotations

import math
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from tests.chaos.model import ROWS, Kernel, Reading, World
from tests.exhaustive import search as exhaustive
from tests.ledger.test_ledger_machine import READINGS, Histories, alive, search, when

from voxops.api.timing import SKEW
from voxops.engine import mended
from voxops.engine.presence import Verdict

# Of those under which two ledgers may work at the same moment, since keys tell.
OURS = {
    **{name: READINGS[name] for name in ("default", "remembers keys for an hour", "stays failed for 3 s")},
    "lists lag 20 s": Reading(lag=20.0),
    "lists lag a minute": Reading(lag=60.0),
}
SHEET = ("", " mended")


def quiet(world: World) -> bool:
    """Whether nobody is at work and nothing is under way."""
    return not (world.open_flights() or world.server.events or any(kernel.busy for kernel in world.alive))


def made(world: World) -> bool:
    """Whether a post that was created is there."""
    return any(post.mark is not None for post in world.server.posts.values())


class Laptops(Histories):
    """Two laptops, people who edit, delete and change the sheet, lists that lag, and clocks that are set."""

    readings = tuple(OURS)
    worlds = OURS

    def __init__(self) -> None:
        super().__init__()
        self.sheet = SHEET[0]

    def teardown(self) -> None:
        if self.world is not None:
            wrong = exhaustive.verdict(self.world)
            self.world.close()
            self.world = None
            assert not wrong, wrong
        super().teardown()

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:  # type: ignore[override]
        reading = data.draw(st.sampled_from(self.readings))
        self.world = World(self.folder, self.worlds[reading])
        for _ in range(2):
            self._open()

    def _open(self) -> Kernel:
        """Start a kernel on the present ledger, whose time is what the kernel takes for the server's."""
        kernel: Kernel = self.world.kernel()
        kernel.ledger.clock = lambda: kernel.client.now().timestamp()
        return kernel

    def _on(self, laptop: int) -> list[Kernel]:
        """Kernels of a laptop."""
        path = self.world.folder / f"ledger{laptop}.sqlite"
        return [kernel for kernel in self.world.alive if kernel.path == path]  # type: ignore[no-any-return]

    @when("open_another_laptop", lambda world: world._name == 0)
    @rule()
    def open_another_laptop(self) -> None:
        self.world._name = 1
        self._open()

    @when("start_kernel")
    @rule(laptop=st.integers(0, 1))
    def start_kernel(self, laptop: int) -> None:  # type: ignore[override]
        current = self.world._name
        if laptop <= current and len(self._on(laptop)) < 2:
            self.world._name = laptop
            self._open().drive_all()
            self.world._name = current

    @when("create", alive)
    @rule(which=st.integers(0, 3))
    def create(self, which: int) -> None:  # type: ignore[override]
        """The whole sheet; other rows of it at the same moment are excepted."""
        kernel = self._kernel(which)
        kernel.start(kernel.run(self.world.creates(0, ROWS, changed=self.sheet)))

    @when("retry", alive)
    @rule(which=st.integers(0, 3))
    def retry(self, which: int) -> None:  # type: ignore[override]
        kernel, wanted = self._kernel(which), self.world.retries()
        if wanted is not None:
            kernel.start(kernel.run(wanted))

    @when("redeliver", alive)
    @rule(which=st.integers(0, 3))
    def redeliver(self, which: int) -> None:  # type: ignore[override]
        kernel = self._kernel(which)
        kernel.start(kernel.run(self.world.redeliveries()))

    lose_the_disk = change_the_key = None  # type: ignore[assignment]

    # -- people -----------------------------------------------------------------------------------------------------

    @when("change_the_sheet", quiet)
    @rule()
    def change_the_sheet(self) -> None:
        self.sheet = SHEET[1]

    @when("edit", quiet)
    @rule(which=st.integers(0, 2))
    def edit(self, which: int) -> None:  # type: ignore[override]
        post = self.world.server.posts[f"post_{which}"]
        post.updated = max(self.world.time, post.updated + 0.001)

    @when("delete", lambda world: quiet(world) and made(world))
    @rule(which=st.integers(0, ROWS - 1))
    def delete(self, which: int) -> None:
        posts = [post for post in self.world.server.posts.values() if post.mark is not None]
        self.world.server.delete(posts[which % len(posts)])

    # -- clocks -----------------------------------------------------------------------------------------------------

    @when("set_the_clock", alive)
    @rule(which=st.integers(0, 3), seconds=st.sampled_from([-600.0, -40.0, 40.0, 600.0, 86_400.0]))
    def set_the_clock(self, which: int, seconds: float) -> None:
        """An answer shows the wrong time, until the next one; where lists lag, clocks that differ by more than `SKEW` are excepted."""
        client, right = self._kernel(which).client, self.world.time - self.world.elapsed
        most = SKEW / 2 if self.world.server.reading.lag else math.inf
        client._offset = right + max(-most, min(most, client._offset - right + seconds))


@pytest.mark.parametrize("reading", OURS)
def test_no_history_of_two_laptops_acts_twice_or_loses_a_row(reading: str) -> None:
    search(type("Searched", (Laptops,), {"readings": (reading,)}), 10)


def test_the_search_can_fail() -> None:
    """`make proof` takes away each protection in turn, in the exhaustive search."""
    rules = ("create", "open_another_laptop", "meet", "wait", "sleep_for_a_night")
    worlds = {"it": Reading(retention=3600.0)}
    machine = type("Unprotected", (Laptops,), {"worlds": worlds, "readings": ("it",), "only": rules})
    with (
        mock.patch.object(mended, "judge_row", lambda *_: Verdict()),
        pytest.raises(AssertionError, match=r"row|twice"),
    ):
        search(machine, 150)
