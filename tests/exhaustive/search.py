"""Every history of one or two rows, to a depth: the real engine and ledger against a model of the server, in virtual time.

What is real here: planning, binding, the ledger on disk, the sender, the settler, and every decision of theirs. What is a model:
the server, and HTTP between the two (`tests.chaos.model`), because a history must take milliseconds and the same events must give
the same history. The socket, paging and decoding are proved by the other tests, which use the real sandbox.

A history is a sequence of events. Between two events every engine has run until it waits for the network or for time, so all
branching is here. The search goes level by level and plays each history from its start, since a state can't be copied; a state
that was seen before, by a digest of server, ledgers, requests under way and timers relative to now, is not gone into again.
Every state that is new is also played to its end: the network heals, somebody runs everything all over, and nothing may have
happened twice, and nothing may be lost.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tests.chaos import model
from tests.chaos.model import Reading, World

from voxops.acts import create
from voxops.engine import engine
from voxops.ledger import Ledger

FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing of this needs a disk
Event = tuple[Any, ...]
_PLANS: dict[str, Any] = {}

# What becomes of a request. "slow": it arrives, and its caller has gone before it ends.
FATES = ("ok", "lost", "unanswered", "500 before", "500 after", "garbled", "400", "429", "slow")
FATES_OF_TWO = ("partial", "unread")
# A moment, until a look; longer than a lease and a reading's age; longer than absence needs.
WAITS = (7.0, 100.0, 320.0)


@dataclass(frozen=True)
class Case:
    """A universe to be searched.

    Attributes
    ----------
    act : str
        ``create``, ``retry`` or ``redeliver``.
    rows : int
        Rows, posts or deliveries in it.
    kernels : int
        Kernels at once on one ledger.
    ledgers : int
        Ledgers, one after the other or beside each other.
    reading : Reading
        How the contract is read.
    """

    act: str
    rows: int = 1
    kernels: int = 1
    ledgers: int = 1
    reading: Reading = field(default_factory=Reading)
    ledger: type[Ledger] = field(default=Ledger, repr=False)

    @property
    def fates(self) -> tuple[str, ...]:
        return FATES + (FATES_OF_TWO if self.act == "create" and self.rows > 1 else ())


@dataclass(frozen=True)
class Found:
    """What a search has found; `history` is the shortest that breaks the promise, None if none does."""

    histories: int
    states: int
    depth: int
    history: tuple[Event, ...] | None = None
    problems: tuple[str, ...] = ()


@contextmanager
def universe(case: Case) -> Iterator[Callable[[], World]]:
    """Make worlds of a case, each in a folder of its own; the same events give the same history."""
    folder = Path(tempfile.mkdtemp(prefix="voxops-exhaustive-", dir=FOLDER))
    numbers = itertools.count()
    names: Any = itertools.count()

    def make() -> World:
        nonlocal names
        names = itertools.count()
        place = folder / str(next(numbers))
        place.mkdir()
        world = World(place, case.reading, case.ledger)
        world.ledgers = [world.kernel()]  # type: ignore[attr-defined]
        return world

    try:
        with (
            mock.patch.object(create, "BULK_POSTS", 3),
            mock.patch.object(
                model, "POSTS", case.rows if case.act == "retry" else 1
            ),  # one shows that posts have metadata
            mock.patch.object(model, "DELIVERIES", case.rows if case.act == "redeliver" else 0),
            mock.patch.object(engine.secrets, "token_hex", lambda size: f"{next(names):0{2 * size}x}"),
        ):
            yield make
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(world: World, case: Case, which: int) -> None:
    """Plan what there is to do and run it, as a notebook's cell does."""
    kernel = world.alive[which]
    shown = [(post.id, post.status, post.updated) for post in world.server.posts.values()]
    asked = str((case, world.time, shown, [one.seen for one in world.server.deliveries.values()]))
    if case.act == "create":
        asked = str(case)
        world.wanted.update(f"row {row}" for row in range(case.rows))
    if asked not in _PLANS:  # planning is pure: the same frames give the same plan
        if case.act == "create":
            _PLANS[asked] = world.creates(0, case.rows)
        else:
            _PLANS[asked] = world.redeliveries() if case.act == "redeliver" else world.retries()
    plan = _PLANS[asked]
    if plan is not None:
        kernel.start(kernel.run(plan))


def play(world: World, case: Case, event: Event) -> None:
    """Let one event happen."""
    match event:
        case ("run", which):
            start(world, case, which)
        case ("meet", which, fate):
            world.meet(world.open_flights()[which], fate)
        case ("wait", seconds):
            world.advance(seconds)
        case ("night",):
            world.night()
        case ("edit",):
            post = world.server.posts["post_0"]
            post.updated = max(world.time, post.updated + 0.001)
        case ("kill", which):
            world.alive[which].kill()
        case ("restart",):
            world.kernel().drive_all()
        case ("doze", which):
            world.alive[which].drowsy = True
        case ("wake", which):
            world.alive[which].asleep = False
            world.settle()
        case ("other ledger",):
            world._name += 1
            world.kernel()
        case _:
            raise ValueError(event)


def events(world: World, case: Case, past: tuple[Event, ...]) -> Iterator[Event]:
    """What may happen next."""
    flights, alive = world.open_flights(), world.alive
    for which, kernel in enumerate(alive):
        if kernel.asleep:
            yield ("wake", which)
            continue
        if past.count(("run", which)) < 2:  # the cell is run a second time, whether or not the first goes on
            yield ("run", which)
        if kernel.busy:
            yield ("kill", which)
            if case.kernels > 1 and not kernel.drowsy:
                yield ("doze", which)
    for which in range(min(2, len(flights))):
        for fate in case.fates:
            yield ("meet", which, fate)
    moving = bool(flights) or any(kernel.busy for kernel in alive) or bool(world.server.events)
    if moving and past[-1][0] not in {"wait", "night"}:  # two in a row are one that is longer
        yield from (("wait", seconds) for seconds in WAITS)
        yield ("night",)
    ledgers = world._name + 1
    if len(alive) < case.kernels + case.ledgers - 1 and (past[-1][0] == "kill" or case.kernels > 1):
        yield ("restart",)
    if ledgers < case.ledgers:
        yield ("other ledger",)
    if case.act == "retry" and ("edit",) not in past:
        yield ("edit",)


def digest(world: World) -> str:
    """What decides about everything to come: equal digests, equal futures."""
    now, elapsed = world.time, world.elapsed
    server = world.server

    def ago(at: float) -> float:
        return round(now - at, 2)

    state: list[Any] = [
        [(p.id, p.content, p.mark, p.status, p.jobs, p.outcomes, ago(p.created), ago(p.updated)) for p in server.posts.values()],
        [(name, one.queued, sorted(map(str, one.seen.items()))) for name, one in server.deliveries.items()],
        sorted((*name, ago(known[0]), str(known[1:])) for name, known in server.stored.items()),
        sorted(map(str, server.running)), sorted(server.created.items()), sorted(server.executed.items()),
        sorted(round(event[0] - now, 2) for event in server.events),
        sorted(round(timer[0] - elapsed, 2) for timer in world._timers),
        [(f.path, f.key, str(f.body), f.stage, f.waited, f.changed, ago(f.sent)) for f in world.open_flights()],
        [(k.path.name, k.asleep, k.drowsy, k.busy, round(k.client._offset - now + elapsed, 2), k.client.open) for k in world.alive],
        world.api_key,
    ]  # fmt: skip
    for kernel in {kernel.path: kernel for kernel in world.alive}.values():
        for (table,) in kernel.ledger.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
            if table in {"runs", "meta"}:
                continue
            for row in kernel.ledger.query(f"SELECT * FROM {table}"):
                state.append([ago(v) if isinstance(v, float) and v > 1e9 else str(v) for v in row])
    return hashlib.blake2b(json.dumps(state, default=str).encode(), digest_size=12).hexdigest()


def replay(make: Callable[[], World], case: Case, history: tuple[Event, ...]) -> World:
    """A world in which a history has happened."""
    world = make()
    for event in history:
        play(world, case, event)
    return world


def verdict(world: World) -> list[str]:
    """Play a world to its end, and say what is wrong with it."""
    world.heal()
    return [*world.server.violations, *world.lost()]


def search(case: Case, depth: int, *, to_the_end: bool = True) -> Found:
    """Play every history of so many events; ends at the first, and so shortest, that breaks the promise.

    Without `to_the_end` only what has happened twice in the history itself counts, not what would follow.
    """
    seen: set[str] = set()
    histories = 0
    level: list[tuple[Event, ...]] = [(("run", 0),)]
    with universe(case) as make:
        for length in range(1, depth + 1):
            following: list[tuple[Event, ...]] = []
            for history in level:
                histories += 1
                world = replay(make, case, history)
                try:
                    mark = digest(world)
                    if mark in seen:
                        continue
                    seen.add(mark)
                    following += [(*history, event) for event in events(world, case, history)]
                    wrong = [*world.server.violations]
                    if to_the_end and not wrong:
                        wrong = verdict(world)
                finally:
                    world.close()
                    shutil.rmtree(world.folder, ignore_errors=True)
                if wrong:
                    return Found(histories, len(seen), length, history, tuple(wrong))
            level = following
    return Found(histories, len(seen), depth)


def as_test(case: Case, found: Found) -> str:
    """The shortest history as a test that can be pasted."""
    lines = "".join(f"        {event!r},\n" for event in found.history or ())
    return (
        f"def test_history():\n    # {'; '.join(found.problems)}\n    case = {case!r}\n    history = (\n{lines}    )\n"
        "    with universe(case) as make:\n        assert verdict(replay(make, case, history)) == []\n"
    )
