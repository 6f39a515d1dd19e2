"""The virtual world: its clock, its past and future, and its records. Times are whole milliseconds since 1970."""

from __future__ import annotations

import asyncio
import heapq
import math
import os
import time
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from copy import deepcopy
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from voxburst_sandbox.store import Delivery, Disk, Event, Post, Tables, identifier
from voxburst_sandbox.switches import FaultBook, Switches


def real_time() -> int:
    """Return the time of this machine's clock."""
    return round(time.time() * 1000)


def iso(at: int) -> str:
    """Return ISO 8601 in UTC with milliseconds and ``Z`` (contract: SCH)."""
    return f"{datetime.fromtimestamp(at // 1000, UTC).isoformat()[:19]}.{at % 1000:03d}Z"


def iso_or_none(at: int | None) -> str | None:
    """Return an instant as text, or None."""
    return None if at is None else iso(at)


def http_date(at: int) -> str:
    """Return the instant as a `Date` header."""
    return format_datetime(datetime.fromtimestamp(at // 1000, UTC), usegmt=True)


def instant(moment: datetime) -> int:
    """Return a time as milliseconds since 1970; ValueError without an offset, as the API refuses such times (contract: SCH)."""
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset or Z")
    return round(moment.timestamp() * 1000)


def parse_time(text: str) -> int:
    """Return an ISO text as milliseconds since 1970."""
    return instant(datetime.fromisoformat(text))


START = instant(datetime(2026, 3, 2, 9, tzinfo=UTC))
_END = instant(datetime(9000, 1, 1, tzinfo=UTC))


class VirtualClock:
    """A clock that starts at a fixed instant, runs at its own speed and can be moved forward.

    Parameters
    ----------
    start : int
        First instant, milliseconds since 1970.
    speed : float
        Virtual seconds per real second; 0 stands still.
    monotonic : callable
        Real seconds, for tests.
    beginning : callable or None
        The first instant after a `restart`; None for the fixed one.
    """

    def __init__(
        self,
        start: int = START,
        speed: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        beginning: Callable[[], int] | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._beginning = beginning
        self.start = start
        self._base = start
        self._since = monotonic()
        self.speed = speed

    def now(self) -> int:
        """Milliseconds since 1970."""
        return self._base + int((self._monotonic() - self._since) * self.speed * 1000)

    def advance(self, seconds: float) -> None:
        """Move forward; ValueError for a negative step, and for one beyond the year 9000."""
        if seconds < 0:
            raise ValueError(f"the clock can't go back by {-seconds} s")
        if not self.now() + seconds * 1000 < _END:
            raise ValueError(f"the clock can't go on by {seconds} s: it would leave the calendar")
        self._base += round(seconds * 1000)

    def restart(self) -> None:
        """Begin again."""
        self.start = START if self._beginning is None else self._beginning()
        self._base, self._since = self.start, self._monotonic()

    def set_speed(self, speed: float) -> None:
        """Change the speed; 0 stops the clock."""
        if not 0 <= speed < math.inf:
            raise ValueError(f"speed must be a number from 0, in virtual seconds per second, not {speed}")
        self._base, self._since, self.speed = self.now(), self._monotonic(), speed


def duplicates(effects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the side effects that repeat an earlier one.

    Parameters
    ----------
    effects : iterable of dict
        The record of side effects, in order.

    Returns
    -------
    list of dict
        One entry per surplus effect: `kind`, `subject`, `first` and `again` (numbers of the two effects), `effect`. The
        kinds:

        - ``post.create``: same mark, or without a mark the same content, accounts and time.
        - ``target.publish``: same target.
        - ``target.requeue``: again while an earlier publication of the target had not ended.
        - ``delivery.resend``: again while one was in flight or after one had succeeded.
    """
    first: dict[tuple[str, str], int] = {}
    found = []
    for effect in effects:
        subject = _subject(effect)
        if subject is None:
            continue
        name = (effect["kind"], subject)
        if name in first and effect.get("again", True):
            entry = {"kind": effect["kind"], "subject": subject, "first": first[name], "again": effect["seq"]}
            found.append({**entry, "effect": effect})
        first.setdefault(name, effect["seq"])
    return found


def _subject(effect: dict[str, Any]) -> str | None:
    """Return the subject that an effect may happen to only once; None if it may happen often."""
    kind = effect["kind"]
    if kind == "post.create":
        if effect["mark"]:
            return f"mark {effect['mark']}"
        return f"{effect['content']} | {' '.join(sorted(effect['accounts']))} | {effect['scheduled_for']}"
    if kind in ("target.publish", "target.requeue"):
        return str(effect["target"])
    return str(effect["delivery"]) if kind == "delivery.resend" else None


def by_kind(effects: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Count effects by kind."""
    counts: dict[str, int] = defaultdict(int)
    for effect in effects:
        counts[effect["kind"]] += 1
    return dict(sorted(counts.items()))


class Past:
    """Earlier states of posts, kept while lists lag.

    A lag that is switched on begins with the present posts; only later changes are shown late.
    """

    def __init__(self) -> None:
        self.kept = False
        self._latest: dict[str, Post] = {}
        # Post id -> (until, state) in the order of the changes; None where the post was not there yet.
        self._before: dict[str, list[tuple[int, Post | None]]] = {}

    def begin(self, posts: Iterable[Post]) -> None:
        """Keep states, beginning with the present ones."""
        self.kept = True
        self._latest = {post.id: deepcopy(post) for post in posts}
        self._before = {}

    def end(self) -> None:
        """Keep no states."""
        self.kept = False
        self._latest, self._before = {}, {}

    def note(self, key: str, at: int, post: Post | None) -> None:
        """Record that a post changed at an instant; None if it is gone."""
        if not self.kept:
            return
        self._before.setdefault(key, []).append((at, self._latest.get(key)))
        if post is None:
            self._latest.pop(key, None)
        else:
            self._latest[key] = deepcopy(post)

    def seen(self, key: str, instant: int) -> Post | None:
        """Return the post as it was at an instant; None if it was not there."""
        for until, state in self._before.get(key, ()):
            if until > instant:
                return state
        return self._latest.get(key)

    def order(self, present: list[tuple[int, int, str]], instant: int) -> list[tuple[int, int, str]]:
        """Return the order of the posts that were there at an instant, from the present order; forget what is older."""
        for key in [key for key, states in self._before.items() if states[-1][0] <= instant]:
            del self._before[key]
        order = [entry for entry in present if entry[2] not in self._before]
        for key in self._before:
            if (post := self.seen(key, instant)) is not None:
                insort(order, (post.created_at, post.ordinal, post.id))
        return order


Handler = Callable[["World", Event], Awaitable[None] | None]


class World(Tables):
    """The state of one sandbox, apart from its sockets.

    Parameters
    ----------
    seed : int
        Source of all draws.
    clock : VirtualClock
        The only source of time.
    switches : Switches
        The readings in force.
    workspace_id : str or None
        Name of the workspace; None draws a fresh one.
    disk : Disk or None
        The state file.
    handlers : mapping
        What runs when an event of a kind is due.
    plant : callable
        Fills the world at a reset; `empty` leaves out posts and deliveries.
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
        plant: Callable[..., None],
    ) -> None:
        super().__init__()
        self.seed = seed
        self.clock = clock
        self.switches = switches
        self.workspace_id = workspace_id or identifier("ws_", os.urandom(16).hex())
        self.disk = disk
        self.handlers = handlers
        self.plant = plant
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
        """When the world began; seeded records are older."""
        return self.clock.start

    def read_by(self, switches: Switches) -> None:
        """Change the switches, and drop what was encoded under the old ones."""
        self.switches = switches
        self.listed.clear()
        if not switches.list_lag_seconds:
            self.past.end()
        elif not self.past.kept:
            self.past.begin(self.posts.values())

    # -- effects --------------------------------------------------------------------------------------------------

    def effect(
        self, kind: str, *, at: int | None = None, key: str | None = None, request: int | None = None, **ids: Any
    ) -> None:
        """Record a side effect."""
        moment = self.now() if at is None else at
        self.effects.note(kind=kind, at=iso(moment), key=key, mark=ids.pop("mark", None), request=request, **ids)

    # -- events ---------------------------------------------------------------------------------------------------

    def schedule(self, at: int, kind: str, subject: str, **data: Any) -> None:
        """Schedule an event."""
        self._last_event += 1
        self.events.save(Event(self._last_event, at, kind, subject, data))
        heapq.heappush(self._heap, (at, self._last_event))
        self.due.set()

    def next_due(self) -> int | None:
        """Return when the next event is due; None without any."""
        return self._heap[0][0] if self._heap else None

    async def settle(self) -> None:
        """Run every event that is due, in the order of its instants."""
        async with self._settling:
            while self._heap and self._heap[0][0] <= self.now():
                _, number = heapq.heappop(self._heap)
                event = self.events.get(str(number))
                if event is None:
                    continue
                pending = self.handlers[event.kind](self, event)
                if pending is not None:
                    await pending
                self.events.drop(str(number))  # only now: a sandbox that is killed before runs it after the restart
        self.flush()

    async def restart(self, *, empty: bool) -> None:
        """Forget everything and plant the world again; requests in flight have no effect."""
        async with self._settling:
            for task in self.background:
                task.cancel()
            self.generation += 1
            self.clear()
            self.in_flight.clear()
            self.faults.clear()
            self.receiver_rules.clear()
            self.clock.restart()
            self.plant(empty=empty)

    def detach(self, event: Event, work: Coroutine[Any, Any, None]) -> None:
        """Run the work of an event in the background, because it may take long or call back."""

        async def run() -> None:
            self.events.save(event)  # until it has run, as in `settle`
            await work
            self.events.drop(str(event.id))
            self.flush()

        task = asyncio.get_running_loop().create_task(run())
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def quiesce(self) -> None:
        """Settle, and wait for the background work."""
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
        """Load the state file."""
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
