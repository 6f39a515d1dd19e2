"""A world small enough to be searched: a model of the server, kernels on one ledger, and time, each moved one step at a time.

Nothing here happens by itself. Requests stay in flight until somebody decides their fate, time passes only in `World.advance`,
and between two steps every engine has run until it waits for one or the other. So a sequence of steps is a whole history, and
the same steps give the same history.
"""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import json
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
from tests.chaos.rig import Silent, silence
from voxops.engine.created import Listed
from voxops.engine.reader import Seen

from voxops._support.canonical import fingerprint
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.api.states import PostState, TargetState
from voxops.api.timing import LIST_DISORDER, WALK_HOLDS_FOR
from voxops.engine import engine
from voxops.engine.execution import Execution
from voxops.errors import DecodeError, TransportError
from voxops.ledger import Claim, Ledger
from voxops.model import IN_FLIGHT_STATUSES, PaceInfo

START = datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()
TIMEOUT = 30.0  # seconds until a caller gives a request up
LIVES = 50.0  # seconds that a server goes on with a request nobody waits for; engines count on at most 60
PUBLISHING = 20.0  # seconds from the queue to the result
QUEUE = 40.0  # seconds until a delivery is attempted again
ROWS, POSTS, DELIVERIES = 7, 3, 2
FATES = (
    "ok", "lost", "unanswered", "500 before", "500 after", "429", "garbled", "page", "partial", "unread", "400", "slow",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How the contract is read; see `voxburst_sandbox.Switches`."""

    forget_on_5xx: bool = False
    ignore_keys: bool = False
    retention: float = 86_400.0
    linger: float = 0.0
    metadata: bool = True
    lag: float = 0.0  # seconds until a new post stands in lists; single reads show it at once


@dataclass(eq=False)
class Post:
    """A post with one or two targets; `jobs` counts what is queued for each."""

    id: str
    content: str
    mark: str | None
    created: float
    updated: float
    status: list[str]
    jobs: list[int]
    outcomes: list[str]  # what the next publications end in, the last one for ever
    metadata: dict[str, Any] = field(default_factory=dict)  # as it was asked for

    @property
    def shown(self) -> str:
        """Status of the whole."""
        if IN_FLIGHT_STATUSES.intersection(self.status):
            return "publishing"
        if set(self.status) == {"published"}:
            return "published"
        return "partial" if "published" in self.status else self.status[0]


@dataclass(eq=False)
class Delivery:
    """A webhook delivery as its log shows it; `queued` counts manual retries under way, which the log does not show."""

    seen: dict[str, Any]
    queued: int = 0


@dataclass(eq=False)
class Flight:
    """One request on its way: leaving, running, executed, over."""

    number: int
    method: str
    path: str
    body: bytes | None
    key: str
    api_key: str
    sent: float
    reply: asyncio.Future[Any]
    stage: str = "leaving"
    answer: tuple[int, Any] = (500, None)
    changed: bool = False
    waited: bool = True


@dataclass(frozen=True)
class Reply:
    """What a caller gets."""

    status: int
    body: bytes

    @property
    def data(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise DecodeError("no JSON") from None


class Server:
    """The API: posts, keys, and what was done twice."""

    def __init__(self, world: World, reading: Reading) -> None:
        self.world = world
        self.reading = reading
        self.posts: dict[str, Post] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.stored: dict[tuple[str, str], tuple[float, Any, tuple[int, Any]]] = {}
        self.running: set[tuple[str, str]] = set()
        self.executed: Counter[str] = Counter()
        self.created: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()  # posts of each row, whatever they say
        self.numbered = 0  # posts ever created
        self.deleted: set[str] = set()
        self.violations: list[str] = []
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        for number in range(POSTS):
            count = 1 + number % 2
            ends = [["published"], ["failed", "published"], ["published"]][number]
            self.posts[f"post_{number}"] = Post(
                f"post_{number}",
                f"failed {number}",
                None,
                START - 3600,
                START - 3000,
                ["failed"] * count,
                [0] * count,
                ends,
            )

        for number in range(DELIVERIES):
            seen = {
                "delivery_id": f"del_{number}",
                "webhook_id": "hook",
                "success": False,
                "status_code": 503,
                "latency_ms": 9,
            }
            self.deliveries[f"del_{number}"] = Delivery(
                seen | {"retry_count": 5, "error": "receiver answered 503", "delivered_at": None}
            )

    # -- requests ---------------------------------------------------------------------------------------------------

    def arrive(self, flight: Flight) -> None:
        """Take a request in: answer it from memory, or let it run."""
        if flight.stage != "leaving":
            return
        name, said = (flight.api_key, flight.key), (flight.method, flight.path, flight.body)
        flight.stage = "running"
        if self.reading.ignore_keys:
            return
        known = self.stored.get(name)
        if name in self.running:
            self._answer(flight, 409, {"error": {"code": "IDEMPOTENCY_IN_PROGRESS", "message": "running"}})
        elif known is not None and self.world.time - known[0] < self.reading.retention:
            if known[1] != said:
                self._answer(flight, 409, {"error": {"code": "IDEMPOTENCY_CONFLICT", "message": "another"}})
            else:
                self._answer(flight, *known[2])
        else:
            self.running.add(name)

    def execute(self, flight: Flight, part: int | None = None) -> None:
        """Let a running request take effect; `part` creates only so many items and breaks off."""
        if flight.stage != "running":
            return
        flight.stage, flight.changed = "executed", True
        if flight.path.endswith("/bulk"):
            flight.answer = self._bulk(flight, part)
        elif flight.path.startswith("/v1/webhooks"):
            flight.answer = self._resend(flight)
        else:
            flight.answer = self._retry(flight)
        if flight.changed:
            self.executed[flight.key] += 1
            if self.executed[flight.key] > 1:
                self.violations.append(f"{flight.path} was carried out twice under the key {flight.key[:8]}")

    def _bulk(self, flight: Flight, part: int | None) -> tuple[int, Any]:
        """Create posts."""
        results = []
        for index, item in enumerate(json.loads(flight.body or b"{}")["posts"]):
            if part is not None and index >= part:
                return 500, {"error": {"code": "INTERNAL_ERROR", "message": "broke off"}}
            self.numbered += 1
            post_id = f"post_c{self.numbered}"
            mark = item["metadata"]["voxopsOp"]
            now = self.world.time
            self.posts[post_id] = Post(
                post_id, item["content"], mark, now, now, ["scheduled"], [0], ["published"], item["metadata"]
            )
            row = item["metadata"].get("voxopsRow", item["content"])
            self.created[item["content"]] += 1
            self.rows[row] += 1
            if self.created[item["content"]] > 1:
                self.violations.append(f"{item['content']} was created twice")
            elif self.rows[row] > 1:
                self.violations.append(f"the row of {item['content']} was created twice, with another text")
            results.append({"index": index, "status": "created", "postId": post_id})
        return 201, {"results": results}

    def delete(self, post: Post) -> None:
        """A person deletes a post that was created; asking for it again is no second one then."""
        del self.posts[post.id]
        self.created[post.content] -= 1
        self.deleted.add(post.content)
        self.executed.clear()
        self.rows[post.metadata["voxopsRow"]] -= 1

    def _resend(self, flight: Flight) -> tuple[int, Any]:
        """Send a delivery again; the second one in a row fails as the first did, so that only its count tells."""
        name = flight.path.split("/")[5]
        delivery = self.deliveries[name]
        if delivery.queued or delivery.seen["success"]:
            self.violations.append(f"{name} was sent again twice")
        delivery.queued += 1
        self._at(QUEUE, lambda: self._delivered(delivery, well=name == "del_0"))
        return 202, {"id": name, "status": "queued"}

    def _delivered(self, delivery: Delivery, *, well: bool) -> None:
        """End a delivery's attempt."""
        delivery.queued -= 1
        delivery.seen = {**delivery.seen, "retry_count": delivery.seen["retry_count"] + 1}
        if well:
            delivered = {"success": True, "status_code": 200, "error": None, "delivered_at": _iso(self.world.time)}
            delivery.seen |= delivered

    def _retry(self, flight: Flight) -> tuple[int, Any]:
        """Queue what is not published again, or the one target that a fix names."""
        parts = flight.path.split("/")
        post = self.posts[parts[3]]
        places = range(len(post.status)) if flight.path.endswith("/retry") else [int(parts[5].removeprefix("pp"))]
        if not any(post.status[place] == "failed" or post.jobs[place] for place in places):
            flight.changed = False
            return 409, {"error": {"code": "CONFLICT", "message": "not failed"}}
        for place in places:
            if post.status[place] == "published":
                continue
            if post.jobs[place]:
                self.violations.append(f"{post.id} was queued twice at once")
            post.jobs[place] += 1
            linger = self.reading.linger
            self._at(linger, lambda place=place: self._enter(post, place, "pending"))
            self._at(linger + PUBLISHING, lambda place=place: self._end(post, place))
        self.world.run_events()
        if flight.path.endswith("/fix"):
            return 202, {"success": True, "platformId": parts[5], "status": "pending"}
        return 202, {"id": post.id, "status": post.shown, "retriedPlatforms": [], "skippedPlatforms": []}

    def _at(self, seconds: float, work: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self.events, (self.world.time + seconds, len(self.events) + self.world.tick(), work))

    def _enter(self, post: Post, place: int, status: str) -> None:
        """Show a target in another status."""
        if post.status[place] != "published":
            post.status[place], post.updated = status, max(self.world.time, post.updated + 0.001)

    def _end(self, post: Post, place: int) -> None:
        """End a publication."""
        post.jobs[place] -= 1
        end = post.outcomes[0]
        if len(post.outcomes) > 1 and place == 0:
            post.outcomes.pop(0)
        self._enter(post, place, end)

    def finish(self, flight: Flight, status: int | None = None, data: Any = None, *, answered: bool = True) -> None:
        """End a request: remember it under its key, and tell the caller, or not."""
        if flight.stage not in {"running", "executed"}:
            return
        answer = flight.answer if status is None else (status, data)
        name = (flight.api_key, flight.key)
        self.running.discard(name)
        forgotten = self.reading.forget_on_5xx and answer[0] >= 500
        if not self.reading.ignore_keys and not forgotten and (flight.changed or answer[0] < 500) and answer[0] != 429:
            self.stored[name] = (self.world.time, (flight.method, flight.path, flight.body), flight.answer)
        if answered:
            self._answer(flight, *answer)
        else:
            self._drop(flight)

    def _answer(self, flight: Flight, status: int, data: Any) -> None:
        """Answer, if anybody still waits."""
        flight.stage = "over"
        if flight.waited and not flight.reply.done():
            flight.reply.set_result(Reply(status, data if isinstance(data, bytes) else json.dumps(data).encode()))
        flight.waited = False

    def _drop(self, flight: Flight) -> None:
        """Close the connection without an answer."""
        flight.stage = "over"
        self.give_up(flight)

    def give_up(self, flight: Flight) -> None:
        """The caller's connection is gone, whatever the server does."""
        if flight.waited and not flight.reply.done():
            flight.reply.set_exception(TransportError("no answer"))
        flight.waited = False

    def meet(self, flight: Flight, fate: str) -> None:
        """Decide what becomes of a request."""
        bulk = flight.path.endswith("/bulk")
        if flight.stage != "leaving" and fate in {"lost", "429"}:
            fate = "unanswered"  # it has arrived already
        if fate == "lost":
            self._drop(flight)
        elif fate == "429":
            self._answer(flight, 429, {"error": {"code": "RATE_LIMITED", "message": "slow down"}})
        elif fate == "slow":
            self.arrive(flight)
            self.give_up(flight)
        else:
            self.arrive(flight)
            if fate == "500 before":
                self.finish(flight, 500, {"error": {"code": "INTERNAL_ERROR", "message": "?"}})
                return
            if fate == "400":
                flight.answer = (400, {"error": {"code": "VALIDATION_ERROR", "message": "no"}})
                self.finish(flight)
                return
            self.execute(flight, 1 if fate == "partial" and bulk else None)
            if fate == "unanswered":
                self.finish(flight, answered=False)
            elif fate == "500 after":
                self.finish(flight, 500, {"error": {"code": "INTERNAL_ERROR", "message": "?"}})
            elif fate == "garbled":
                self.finish(flight, 200, b"<html>")
            elif fate == "page":
                self.finish(flight, 403, b"<html>")
            elif fate == "unread" and bulk and flight.answer[0] == 201:
                self.finish(flight, 207, {"results": flight.answer[1]["results"][:-1]})
            else:
                self.finish(flight)

    # -- reads ------------------------------------------------------------------------------------------------------

    def state(self, post: Post) -> PostState:
        """A post as a read shows it."""
        updated = _iso(post.updated)
        rows = tuple(
            TargetState(
                f"p{place}",
                "acc",
                status,
                "RATE_LIMITED" if status == "failed" else None,
                "later" if status == "failed" else None,
                target_id=f"pp{place}",
            )
            for place, status in enumerate(post.status)
        )
        metadata = {**post.metadata, "voxopsOp": post.mark} if self.reading.metadata else None
        words = None if post.mark else "what somebody else has posted"  # so that a list shows something
        return PostState(
            post.id, post.shown, updated, _iso(post.created), None, words, metadata, targets=rows, source="single"
        )


def _iso(at: float) -> str:
    """A time as the frames tell it."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat()


class Client:
    """What an engine sees of the network. Its clock stands still while the laptop sleeps, until an answer tells the time."""

    pace = PaceInfo()

    def __init__(self, world: World, api_key: str) -> None:
        self.world = world
        self.api_key = api_key
        self.clock = world
        self.requests = 0
        self.open = True  # whether the pace lets requests go
        self._offset = world.time - world.elapsed

    def learn(self) -> None:
        """An answer came: it tells the server's time."""
        self._offset = self.world.time - self.world.elapsed

    def now(self) -> datetime:
        """The server's time as far as it is known."""
        return datetime.fromtimestamp(self.world.elapsed + self._offset, UTC)

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Client]:
        """The right to one try, when the pace allows."""
        while not self.open:
            await self.world.change()
        yield self

    async def send(self, method: str, path: str, body: bytes | None, key: str, may_go: Callable[[], bool]) -> Reply:
        """Send once; the world decides what becomes of it."""
        assert may_go(), "nothing comes between the claim and the send here"
        reply = await self.world.launch(method, path, body, key, self.api_key)
        self.learn()
        return reply


class Reader:
    """Reads the model at once."""

    pages = 0

    def __init__(self, world: World, client: Client) -> None:
        self._server = world.server
        self._client = client
        self._walk = self._walked = (-math.inf, -math.inf)

    async def posts(self, ids: Collection[str], expect: Sequence[str]) -> dict[str, PostState]:
        await self._read()
        return {name: self._server.state(self._server.posts[name]) for name in ids if name in self._server.posts}

    async def post(self, post_id: str) -> PostState | None:
        return (await self.posts([post_id], ())).get(post_id)

    async def follow(self, ids: Collection[str]) -> Seen:
        found = await self.posts(ids, ())
        return Seen(found=found, missing=set(ids) - found.keys())

    async def deliveries(self, webhook_id: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        await self._read()
        return {name: dict(one.seen) for name, one in self._server.deliveries.items() if name in ids}

    async def learn_time(self) -> None:
        await self._read()

    async def created(self, since: datetime, *, waiting_since: datetime | None = None, on_top: bool = False) -> Listed:
        """All that lists show; of what a walk of a short time ago has shown, nothing again where the top is enough."""
        await self._read()
        listed = Listed(read=self._client.now().timestamp())
        now, lag = self._server.world.time, self._server.reading.lag
        shown = [post for post in self._server.posts.values() if now - post.created >= lag]
        began, newest = self._walk
        if on_top and now - began <= WALK_HOLDS_FOR:
            listed.take(
                self._server.state(post) for post in shown if post.created >= newest - LIST_DISORDER.total_seconds()
            )
        else:
            began = now
            listed.take(map(self._server.state, shown))
        self._walked = began, max((post.created for post in shown), default=-math.inf)
        return listed

    knows_what_waits = True  # what it would read again besides the top is left out: the least that the engine may see

    def learnt(self, _: Listed) -> None:
        self._walk = self._walked

    def learnt_waiting(self, _: Listed) -> None:
        """Nothing depends on it here."""

    async def _read(self) -> None:
        await asyncio.sleep(0)
        self._client.learn()


class Writer:
    """Writes to the ledger at once; a suspended kernel learns of it when it wakes, a dead one never."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def commit(self, work: Callable[[], Any]) -> Any:
        if self._kernel.dead:
            raise asyncio.CancelledError
        (result,) = self._kernel.ledger.in_one_commit([work])
        if self._kernel.drowsy and isinstance(result, Claim):
            self._kernel.drowsy, self._kernel.asleep = False, True
        while self._kernel.asleep:
            await self._kernel.world.change()
        if self._kernel.dead:
            raise asyncio.CancelledError
        if isinstance(result, Exception):
            raise result
        return result

    note = commit

    def close(self) -> None:
        """Nothing to close."""


class Kernel:
    """One Python kernel with its engine and the runs that it drives."""

    def __init__(self, world: World, path: Path, api_key: str, ledger: type[Ledger]) -> None:
        self.world = world
        self.path = path
        self.dead = self.asleep = False
        self.drowsy = False  # falls asleep between its next claim and the send
        self.client = Client(world, api_key)
        self.ledger = ledger(path, clock=lambda: world.time)
        self.ledger._db.execute("PRAGMA synchronous=OFF")
        credential = self.ledger.fingerprint(api_key)
        with (
            mock.patch.object(engine, "Writer", lambda _: Writer(self)),
            mock.patch.object(engine, "Reader", lambda client: Reader(world, client)),
        ):
            self.engine = engine.Engine(
                self.client, self.ledger, credential=credential, retention=86_400.0, rng=random.Random(1)
            )
        self._tasks: list[asyncio.Task[Any]] = []
        self._executions: list[Execution] = []

    async def _silent(self, current: Any) -> None:
        """Nobody watches."""

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let the kernel do something."""
        self._tasks.append(self.world.loop.create_task(work))
        self.world.settle()

    async def run(self, plan: Plan) -> None:
        """Bind a plan and drive it."""
        await self.drive(await self.engine.bind(plan, None))

    async def drive(self, run: str) -> None:
        """Drive a run."""
        execution = Execution(self.engine, run, Silent())
        execution._reporter.follow = self._silent  # type: ignore[method-assign]
        self._executions.append(execution)
        await execution.go()

    def drive_all(self) -> None:
        """Drive every run of the ledger: the notebook is run all over."""
        for (run,) in self.ledger.query("SELECT id FROM runs ORDER BY created, id"):
            self.start(self.drive(run))

    @property
    def busy(self) -> bool:
        """Whether anything is still being driven."""
        return any(not task.done() for task in self._tasks)

    def kill(self) -> None:
        """SIGKILL: nothing more is written or sent. What left the machine has left."""
        self.dead, self.asleep = True, False
        for execution in self._executions:
            silence(execution)
        for flight in self.world.flights:
            if flight.api_key == self.client.api_key and flight.reply in self.world.owned.get(id(self), []):
                flight.waited = False
        for _ in range(50):
            for task in self._tasks:
                task.cancel()
            self.world.settle()
            if not self.busy:
                break
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()
        self.ledger.close()


class World:
    """The server, the kernels and time.

    Parameters
    ----------
    folder : Path
        Where ledgers live.
    reading : Reading
        How the server reads the contract.
    ledger : type
        The ledger's class; a test that removes a protection hands in another.
    """

    def __init__(self, folder: Path, reading: Reading, ledger: type[Ledger] = Ledger) -> None:
        self.folder = folder
        self.time = START
        self.elapsed = 0.0
        self.loop = asyncio.new_event_loop()
        self.server = Server(self, reading)
        self.flights: list[Flight] = []
        self.owned: dict[int, list[Any]] = {}
        self.kernels: list[Kernel] = []
        self.wanted: set[str] = set()
        self._ledger = ledger
        self._name = 0
        self._ticks = 0
        self._timers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._changes: list[asyncio.Future[None]] = []
        self.api_key = "key a"

    def close(self) -> None:
        """End everything."""
        for kernel in self.kernels:
            if not kernel.dead:
                kernel.kill()
        self.loop.close()

    # -- time -------------------------------------------------------------------------------------------------------

    def tick(self) -> int:
        """A number that grows."""
        self._ticks += 1
        return self._ticks

    def monotonic(self) -> float:
        """Elapsed seconds, as clients see them."""
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until so much time has passed."""
        done = self.loop.create_future()
        heapq.heappush(self._timers, (self.elapsed + max(0.01, seconds), self.tick(), done))
        await done

    async def change(self) -> None:
        """Wait until something outside has been decided."""
        done = self.loop.create_future()
        self._changes.append(done)
        await done

    def settle(self) -> None:
        """Let every engine run until it waits for the network or for time."""
        changes, self._changes = self._changes, []
        for done in changes:
            if not done.done():
                done.set_result(None)
        while True:
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            if not self.loop._ready:  # type: ignore[attr-defined]
                return

    def run_events(self) -> None:
        """Let happen what is due at the server."""
        while self.server.events and self.server.events[0][0] <= self.time + 1e-3:
            heapq.heappop(self.server.events)[2]()

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything that falls due in it."""
        end = self.time + seconds
        while True:
            due = [end]
            if self.server.events:
                due.append(self.server.events[0][0])
            if self._timers:
                due.append(self.time + self._timers[0][0] - self.elapsed)
            for flight in self.flights:
                if flight.stage != "over":
                    due.append(flight.sent + (TIMEOUT if flight.waited else LIVES))
            step = max(0.0, min(due) - self.time)
            self.time += step
            self.elapsed += step
            self._happen()
            if self.time >= end:
                return

    def _happen(self) -> None:
        """What is due now."""
        self.run_events()
        for flight in list(self.flights):
            age = self.time - flight.sent + 1e-3
            if flight.stage != "over" and flight.waited and age >= TIMEOUT:
                self.server.give_up(flight)
            if flight.stage != "over" and not flight.waited and age >= LIVES:
                self.server.meet(flight, "unanswered")
        while self._timers and self._timers[0][0] <= self.elapsed + 1e-3:
            done = heapq.heappop(self._timers)[2]
            if not done.done():
                done.set_result(None)
        self.settle()

    def night(self, seconds: float = 26 * 3600.0) -> None:
        """The laptop sleeps: its clock of elapsed seconds stands still. Requests under way end meanwhile."""
        for flight in list(self.flights):
            if flight.stage != "over":
                self.server.meet(flight, "unanswered")
        self.time += seconds
        self.run_events()
        self.settle()

    # -- kernels ----------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> list[Kernel]:
        """Kernels that run."""
        return [kernel for kernel in self.kernels if not kernel.dead]

    def kernel(self) -> Kernel:
        """Start a kernel on the present ledger."""
        kernel = Kernel(self, self.folder / f"ledger{self._name}.sqlite", self.api_key, self._ledger)
        self.kernels.append(kernel)
        return kernel

    def lose_ledger(self) -> None:
        """The machine is gone with its disk; when somebody starts on another one, what was under way has ended."""
        for kernel in self.alive:
            kernel.kill()
        self._name += 1
        self.advance(LIVES + QUEUE + 20)

    async def launch(self, method: str, path: str, body: bytes | None, key: str, api_key: str) -> Reply:
        """Put a request on its way and wait for its answer."""
        flight = Flight(self.tick(), method, path, body, key, api_key, self.time, self.loop.create_future())
        self.flights.append(flight)
        try:
            return await flight.reply
        finally:
            flight.waited = False

    def open_flights(self) -> list[Flight]:
        """Requests whose fate is open, oldest first."""
        self.flights = [flight for flight in self.flights if flight.stage != "over"]
        return self.flights

    def meet(self, flight: Flight, fate: str) -> None:
        """Decide what becomes of a request, and let everybody react."""
        self.server.meet(flight, fate)
        self.settle()

    # -- plans ------------------------------------------------------------------------------------------------------

    def creates(self, first: int, count: int, *, changed: str = "") -> Plan:
        """A plan for some rows of the one campaign; `changed` is what somebody has added to their texts."""
        rows = range(first, min(ROWS, first + count))
        frame = pd.DataFrame(
            {
                "row_id": [f"r{row}" for row in rows],
                "content": [f"row {row}{changed}" for row in rows],
                "accounts": ["acc"] * len(rows),
                "scheduled_for": ["2027-01-01T00:00:00Z"] * len(rows),
            }
        )
        self.wanted.update(frame["content"])
        return plan_create(frame, key="row_id")

    def redeliveries(self, attempt: int = 1) -> Plan:
        """A plan for every delivery that has not succeeded."""
        frame = pd.DataFrame([one.seen for one in self.server.deliveries.values()])
        frame["delivered_at"] = pd.to_datetime(frame["delivered_at"], utc=True, format="ISO8601").astype(
            "datetime64[us, UTC]"
        )
        created = pd.Series([pd.Timestamp("2026-02-01", tz="UTC")] * len(frame), dtype="datetime64[us, UTC]")
        frame = frame.assign(event_type="post.failed", created_at=created, attempt=attempt)
        frame.attrs["fetched_at"] = _iso(self.time)
        return plan_redeliver(frame)

    def retries(self, attempt: int = 1, *, filtered: bool = False) -> Plan | None:
        """A plan for whatever shows as failed now; `filtered` to one platform, so that targets are fixed one by one."""
        rows = [
            {
                "post_id": post.id, "post_status": post.shown, "updated_at": _iso(post.updated), "platform_post_id": None,
                **dataclasses.asdict(target),
            }
            for post in self.server.posts.values()
            for target in self.server.state(post).targets
            if post.mark is None and "failed" in post.status
        ]  # fmt: skip
        if not rows:
            return None
        frame = pd.DataFrame(rows)
        frame["updated_at"] = pd.to_datetime(frame["updated_at"], utc=True, format="ISO8601").astype(
            "datetime64[us, UTC]"
        )
        frame = frame.assign(
            verdict="retry", remedy="", cause="rate", retryable=frame["status"] == "failed", attempt=attempt
        )
        frame.attrs["fetched_at"] = _iso(self.time)
        if filtered:
            failed = frame[frame["status"] == "failed"].groupby("post_id").size()
            flying = frame[frame["status"].isin(IN_FLIGHT_STATUSES)].groupby("post_id").size()
            names = set(frame["post_id"])
            frame.attrs["open_targets"] = json.dumps({p: [int(failed.get(p, 0)), int(flying.get(p, 0))] for p in names})
            frame = frame[frame["platform"] == "p0"]
        return plan_retry(frame)

    def outcomes(self) -> dict[str, tuple[str, str, str]]:
        """Latest outcome of every create row in the present ledger: outcome, state of its operation, why it waits."""
        kernel = self.alive[0]
        found = {}
        for row in range(ROWS):
            known = kernel.ledger.operations.latest(fingerprint("create", "", f"r{row}"))
            if known is not None:
                _, stored, member = known
                found[f"row {row}"] = (str(member.outcome), stored.state, member.waiting_for or stored.waiting_for)
        return found

    # -- the end ----------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Let the network be well and somebody run everything all over, until nothing moves any more."""
        for kernel in self.alive:
            kernel.asleep, kernel.drowsy, kernel.client.open = False, False, True
        self.settle()
        if not self.alive:
            self.kernel()
        for _ in range(6 if self.server.reading.metadata else 1):  # without, what is unknown stays so
            self._go_on()
            for kernel in self.alive:
                kernel.drive_all()
            self._go_on()
            if not self.unsettled():
                return

    def unsettled(self) -> bool:
        """Whether an operation is open in the ledger of a kernel that runs."""
        question = "SELECT count(*) FROM operations WHERE state NOT IN ('settled', 'withdrawn')"
        return any(kernel.ledger.query(question)[0][0] for kernel in self.alive)

    def _go_on(self) -> None:
        """Answer everything, and let time pass while anybody works."""
        for _ in range(400):
            for flight in list(self.open_flights()):
                self.meet(flight, "ok")
            if not any(kernel.busy for kernel in self.alive):
                return
            self.advance(15.0)

    def lost(self) -> list[str]:
        """Rows that were asked for and neither exist nor are reported as failed or unknown."""
        said = self.outcomes()
        problems = []
        for content in sorted(self.wanted):
            outcome, state, why = said.get(content, ("never bound", "", ""))
            exists = self.server.created[content]
            if outcome == "succeeded" and not exists:
                problems.append(f"{content} is said to exist and does not")
            if outcome == "failed" and exists:
                problems.append(f"{content} is said to have failed and exists")
            if (
                outcome in {"pending", "unknown"}
                and self.server.reading.metadata
                and not self.server.reading.ignore_keys
            ):
                problems.append(f"{content} is left {outcome} ({state}: {why})")
        return problems


Async = Awaitable
__all__ = ["FATES", "POSTS", "ROWS", "Flight", "Kernel", "Reading", "Server", "World", "field"]
