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
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tests.chaos import model
from tests.chaos.model import ROWS, Reading, World

from voxops._support.canonical import fingerprint
from voxops.acts import create
from voxops.engine import engine
from voxops.frames.packing import pack as pack_anew
from voxops.ledger import Ledger
from voxops.model import Outcome

FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing of this needs a disk
FRESH = "fresh.sqlite"
Event = tuple[Any, ...]
_PLANS: dict[str, Any] = {}

# What becomes of a request. "slow": it arrives, and its caller has gone before it ends.
FATES = ("ok", "lost", "unanswered", "500 before", "500 after", "garbled", "page", "400", "429", "slow")
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
    opening : tuple
        Events before the first that is counted, which is the first run.
    people : bool
        Whether people edit posts, delete them, and change the sheet meanwhile.
    at_once : bool
        Whether two ledgers work at the same moment; else the second begins when nothing of the first is under way (rule 31).
    """

    act: str
    rows: int = 1
    kernels: int = 1
    ledgers: int = 1
    reading: Reading = field(default_factory=Reading)
    ledger: type[Ledger] = field(default=Ledger, repr=False)
    opening: tuple[Event, ...] = ()
    people: bool = True
    at_once: bool = True

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
    fresh = folder / FRESH
    Ledger(fresh).close()
    numbers = itertools.count()
    names: Any = itertools.count()
    packed: dict[int, tuple[Any, bytes]] = {}

    def pack(table: Any) -> bytes:
        """Plans are kept and made once, and so is what is stored of them."""
        if id(table) not in packed:
            packed[id(table)] = table, pack_anew(table)
        return packed[id(table)][1]

    def make() -> World:
        nonlocal names
        names = itertools.count()
        place = folder / str(next(numbers))
        place.mkdir()
        world = World(place, case.reading, case.ledger)
        open_ledger(world)
        return world

    try:
        with (
            mock.patch("voxops.engine.binding.pack", pack),
            mock.patch.object(create, "BULK_POSTS", 3),
            # One shows that posts have metadata.
            mock.patch.object(model, "POSTS", case.rows if case.act == "retry" else 1),
            mock.patch.object(model, "DELIVERIES", case.rows if case.act == "redeliver" else 0),
            mock.patch.object(engine.secrets, "token_hex", lambda size: f"{next(names):0{2 * size}x}"),
        ):
            yield make
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_ledger(world: World) -> None:
    """Start a kernel on a ledger of its own, which is empty: copied, since making one takes longer than a whole history."""
    shutil.copy(world.folder.parent / FRESH, world.folder / f"ledger{world._name}.sqlite")
    world.kernel()


def start(world: World, case: Case, which: int, changed: str = "") -> None:
    """Plan what there is to do and run it, as a notebook's cell does; `changed` is what somebody has added to the sheet's texts."""
    kernel = world.alive[which]
    shown = [(post.id, post.status, post.updated) for post in world.server.posts.values()]
    asked = str((case, world.time, shown, [one.seen for one in world.server.deliveries.values()]))
    if case.act == "create":
        asked = f"{case.rows} {changed}"
        world.wanted.update(f"row {row}{changed}" for row in range(case.rows))
    if asked not in _PLANS:  # planning is pure: the same frames give the same plan
        if case.act == "create":
            _PLANS[asked] = world.creates(0, case.rows, changed=changed)
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
        case ("run changed", which):
            start(world, case, which, " mended")
        case ("meet", which, fate):
            world.meet(world.open_flights()[which], fate)
        case ("wait", seconds):
            world.advance(seconds)
        case ("night",):
            world.night()
        case ("edit",):
            post = world.server.posts["post_0"]
            post.updated = max(world.time, post.updated + 0.001)
        case ("delete",):
            made = next(post for post in world.server.posts.values() if post.mark is not None)
            world.server.delete(made)
        case ("hold", which):
            world.alive[which].client.open = False
        case ("let go", which):
            world.alive[which].client.open = True
            world.settle()
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
            open_ledger(world)
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
        alone = not flights and not any(other.busy for other in alive if other is not kernel)
        mended = any(event[0] == "run changed" for event in past)
        if case.act == "create" and case.people and not mended and (alone or case.ledgers == 1):  # else see rule 31
            yield ("run changed", which)
        if not kernel.client.open:
            yield ("let go", which)
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
    if ledgers < case.ledgers and (case.at_once or not moving):
        yield ("other ledger",)
    still = not any(kernel.busy for kernel in alive) and not flights
    # Beside what moves in another ledger an edit is rule 31's.
    if case.act == "retry" and case.people and ("edit",) not in past and (still or case.ledgers == 1):
        yield ("edit",)
    if case.people and world.server.rows.total() and ("delete",) not in past:
        yield ("delete",)


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
    # Those whose kernels are dead, too: somebody may go on with them.
    for path in sorted(world.folder.glob("*.sqlite")):
        state.append(path.name)
        with closing(sqlite3.connect(path)) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall():
                if table in {"runs", "meta"}:
                    continue
                for row in db.execute(f"SELECT * FROM {table}"):
                    state.append([ago(v) if isinstance(v, float) and v > 1e9 else str(v) for v in row])
    return hashlib.blake2b(json.dumps(state, default=str).encode(), digest_size=12).hexdigest()


def replay(make: Callable[[], World], case: Case, history: tuple[Event, ...]) -> World:
    """A world in which a history has happened."""
    world = make()
    for event in (*case.opening, *history):
        play(world, case, event)
    return world


def verdict(world: World) -> list[str]:
    """Play a world to its end, where every ledger has somebody who goes on with it, and say what is wrong with it."""
    current = world._name
    for number in range(current + 1):
        world._name = number
        if all(kernel.path.name != f"ledger{number}.sqlite" for kernel in world.alive):
            world.kernel()
    world._name = current
    world.heal()
    return [*world.server.violations, *lost(world)]


def judged(case: Case, history: tuple[Event, ...]) -> list[str]:
    """What is wrong with a history."""
    with universe(case) as make:
        world = replay(make, case, history)
        try:
            return verdict(world)
        finally:
            world.close()


def lost(world: World) -> list[str]:
    """What a ledger says and is not so: made and not there, failed and there, or left open where the API shows what there is."""
    problems: list[str] = []
    server = world.server
    ledgers = {kernel.path: kernel.ledger for kernel in world.alive}
    alone = len(ledgers) == 1
    # After a 500 that the server repeats under its key, what somebody has deleted can't be distinguished from what was never made.
    settles = server.reading.metadata and not server.reading.ignore_keys and not server.deleted
    for ledger in ledgers.values():
        for row in range(ROWS):
            known = ledger.operations.latest(fingerprint("create", "", f"r{row}"))
            if known is None:
                continue
            _, stored, member = known
            content = str((member.item.body or {})["content"])
            there, deleted = server.created[content], content in server.deleted
            if member.outcome is Outcome.SUCCEEDED and not there and not deleted:
                problems.append(f"{content} is said to exist and does not")
            if member.outcome is Outcome.FAILED and there and alone:
                problems.append(f"{content} is said to have failed and exists")
            if member.outcome in {Outcome.PENDING, Outcome.UNKNOWN} and settles:
                problems.append(f"{content} is left {member.outcome} ({stored.state}: {member.waiting_for})")
        question = (
            "SELECT subject, platform FROM members JOIN operations ON operations.id = op WHERE outcome = 'succeeded'"
        )
        for subject, platform in ledger.query(question):
            kind, _, name = subject.partition(":")
            if kind == "post" and server.posts[name].status[int(platform[1:])] != "published":
                problems.append(f"{name} is said to be published and is not")
            if kind == "delivery" and not server.deliveries[name].seen["success"]:
                problems.append(f"{name} is said to be delivered and is not")
    return problems


def search(case: Case, depth: int, *, unsettled: bool = True) -> Found:
    """Play every history of so many events; ends at the first, and so shortest, that breaks the promise.

    Without `unsettled` only what has happened twice counts, not what is left open or said wrongly.
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
                    wrong = [*world.server.violations] or verdict(world)
                    if not unsettled:
                        wrong = [*world.server.violations]
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
        "    assert judged(case, history) == []\n"
    )
