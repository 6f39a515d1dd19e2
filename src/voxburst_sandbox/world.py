"""The sandbox's world: its records, its clock, what is due, and the account of what happened."""

from __future__ import annotations

import asyncio
import heapq
import os
from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from voxburst_sandbox.clock import VirtualClock, iso
from voxburst_sandbox.draw import identifier
from voxburst_sandbox.faults import FaultBook
from voxburst_sandbox.past import Past
from voxburst_sandbox.records import Delivery, Event, Post
from voxburst_sandbox.store import Disk, Tables
from voxburst_sandbox.switches import Switches

__all__ = ["Handler", "World"]

Handler = Callable[["World", Event], Awaitable[None] | None]


class World(Tables):
    """Everything that one sandbox is, apart from its sockets.

    Parameters
    ----------
    seed : int
        All draws depend on it.
    clock : VirtualClock
        The only source of time.
    switches : Switches
        How the contract is read.
    workspace_id : str or None
        Name of the workspace; None draws a fresh one.
    disk : Disk or None
        Where the state is kept.
    handlers : mapping
        What to do when an event of a kind is due.
    """

    def __init__(
        self,
        seed: int,
        clock: VirtualClock,
        switches: Switches,
        *,
        workspace_id: str | None,
        disk: Disk | None,
        handlers: dict[str, Handler],
    ) -> None:
        super().__init__()
        self.seed = seed
        self.clock = clock
        self.switches = switches
        self.workspace_id = workspace_id or identifier("ws_", os.urandom(16).hex())
        self.disk = disk
        self.handlers = handlers
        self.faults = FaultBook()
        self.past = Past()
        self.receiver_rules: list[dict[str, Any]] = []
        self.hosts: dict[str, str] = {}
        self.post_order: list[tuple[int, int, str]] = []
        self.delivery_order: list[tuple[int, int, str]] = []
        self.listed: dict[str, bytes] = {}
        self.due = asyncio.Event()
        self._heap: list[tuple[int, int]] = []
        self._last_event = 0
        self._last_ordinal = 0
        self.in_flight: dict[str, str] = {}
        self.generation = 0
        self.background: set[asyncio.Task[None]] = set()
        self._settling = asyncio.Lock()
        self._saved_at = 0

    def now(self) -> int:
        """Return the present instant."""
        return self.clock.now()

    def shown_time(self) -> int:
        """Return the instant that the ``Date`` header shows."""
        return self.now() + round(self.switches.date_ahead_seconds * 1000)

    @property
    def start(self) -> int:
        """When the world began; what is seeded lies before it."""
        return self.clock.start

    def read_by(self, switches: Switches) -> None:
        """Read the contract by these switches from now on; what was encoded under the old ones is encoded anew."""
        self.switches = switches
        self.listed.clear()
        if not switches.list_lag_seconds:
            self.past.end()
        elif not self.past.kept:
            self.past.begin(self.posts.values())

    # -- what happened --------------------------------------------------------------------------------------------

    def effect(
        self, kind: str, *, at: int | None = None, key: str | None = None, request: int | None = None, **ids: Any
    ) -> None:
        """Put a side effect on record."""
        moment = self.now() if at is None else at
        self.effects.note(kind=kind, at=iso(moment), key=key, mark=ids.pop("mark", None), request=request, **ids)

    # -- what will happen -----------------------------------------------------------------------------------------

    def schedule(self, at: int, kind: str, subject: str, **data: Any) -> None:
        """Let something happen by itself at an instant."""
        self._last_event += 1
        self.events.save(Event(self._last_event, at, kind, subject, data))
        heapq.heappush(self._heap, (at, self._last_event))
        self.due.set()

    def next_due(self) -> int | None:
        """When the next event is due, None if nothing will happen by itself."""
        return self._heap[0][0] if self._heap else None

    async def settle(self) -> None:
        """Let everything happen that is due by now, in the order of its instants."""
        async with self._settling:
            while self._heap and self._heap[0][0] <= self.now():
                _, number = heapq.heappop(self._heap)
                event = self.events.get(str(number))
                if event is None:
                    continue
                pending = self.handlers[event.kind](self, event)
                if pending is not None:
                    await pending
                self.events.drop(str(number))  # only now: whoever is killed before does it after the restart
        self.flush()

    async def restart(self, plant: Callable[[], None]) -> None:
        """Forget everything and let `plant` make the beginning; requests still running come to nothing."""
        async with self._settling:
            for task in self.background:
                task.cancel()
            self.generation += 1
            self.clear()
            self.in_flight.clear()
            self.faults.clear()
            self.receiver_rules.clear()
            self.clock.restart()
            plant()

    def detach(self, event: Event, work: Coroutine[Any, Any, None]) -> None:
        """Let what an event starts run beside the requests, because it may take long or call back."""

        async def run() -> None:
            self.events.save(event)  # until it is done, as in `settle`
            await work
            self.events.drop(str(event.id))
            self.flush()

        task = asyncio.get_running_loop().create_task(run())
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def quiesce(self) -> None:
        """Settle, and wait for what runs beside the requests."""
        await self.settle()
        while self.background:
            await asyncio.wait(set(self.background))
            await self.settle()

    # -- records with an order ------------------------------------------------------------------------------------

    def ordinal(self) -> int:
        """Return a number greater than all before it."""
        self._last_ordinal += 1
        return self._last_ordinal

    def add_post(self, post: Post) -> Post:
        """Keep a new post."""
        insort(self.post_order, (post.created_at, post.ordinal, post.id))
        self.past.note(post.id, self.now(), post)
        return self.posts.save(post)

    def touch(self, post: Post, at: int) -> None:
        """Keep a changed post; its `updated_at` always moves."""
        post.updated_at = max(at, post.updated_at + 1)
        self.listed.pop(post.id, None)
        self.past.note(post.id, at, post)
        self.posts.save(post)

    def keep(self, post: Post) -> None:
        """Keep a post that changed in what only a single read shows; `updated_at` stays."""
        self.listed.pop(post.id, None)
        self.past.note(post.id, self.now(), post)
        self.posts.save(post)

    def remove_post(self, post: Post) -> None:
        """Forget a post."""
        self.posts.drop(post.id)
        self.listed.pop(post.id, None)
        self.past.note(post.id, self.now(), None)
        del self.post_order[bisect_left(self.post_order, (post.created_at, post.ordinal, post.id))]

    def add_delivery(self, delivery: Delivery) -> Delivery:
        """Keep a new delivery."""
        insort(self.delivery_order, (delivery.created_at, delivery.ordinal, delivery.id))
        return self.deliveries.save(delivery)

    # -- the state file -------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what changed to the state file, if there is one."""
        if self.disk is None:
            return
        changed = any(table.dirty for _, table in self.tables()) or any(
            log.written != len(log) for _, log in self.logs()
        )
        if changed or self.now() - self._saved_at > 1000:
            self._saved_at = self.now()
            self.disk.write(self, {"seed": self.seed, "now": self._saved_at, "workspace": self.workspace_id})

    def restore(self) -> None:
        """Take up the state of the file."""
        if self.disk is not None:
            self.disk.load(self)
        self.reindex()

    def reindex(self) -> None:
        """Rebuild what follows from the records: orders, counters, the heap."""
        self.listed.clear()
        self.post_order = sorted((post.created_at, post.ordinal, post.id) for post in self.posts.values())
        self.delivery_order = sorted((item.created_at, item.ordinal, item.id) for item in self.deliveries.values())
        self._heap = sorted((event.at, event.id) for event in self.events.values())
        self._last_event = max((event.id for event in self.events.values()), default=0)
        ordinals = [entry[1] for entry in (*self.post_order, *self.delivery_order)]
        self._last_ordinal = max(ordinals, default=0)
        self.past.end()
        self.read_by(self.switches)
