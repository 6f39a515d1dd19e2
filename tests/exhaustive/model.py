"""A world small enough to be searched: a model of the server, kernels on ledgers of this core, and time, each moved one step at a time.

Nothing here happens by itself. Requests stay in flight until somebody decides their fate, time passes only in `World.advance`,
and between two steps every engine has run until it waits for one or the other. So a sequence of steps is a whole history, and
the same steps give the same history.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import random
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pandas as pd
from tests.chaos.rig import Made, Silent

from voxops.acts import keys
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.keys import asked_hash
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.sync import plan_sync
from voxops.acts.update import plan_update
from voxops.analysis.triage import triage
from voxops.api.limits import LIST_DISORDER, RESEND_UNANSWERED, WALK_HOLDS_FOR
from voxops.api.states import PostState, TargetState
from voxops.client import Listing
from voxops.client.answer import Answer
from voxops.engine import engine
from voxops.engine.execution import Execution
from voxops.engine.lists import Listed, Walk
from voxops.errors import TransportError
from voxops.frames.records import build, targets, with_rows
from voxops.ledger.audit import rows_of
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Call
from voxops.model import IN_FLIGHT_STATUSES, PaceInfo

START = datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()
TIMEOUT = 30.0  # seconds until a caller gives a request up
LIVES = 50.0  # seconds that a server goes on with a request nobody waits for; engines count on at most 60
PUBLISHING = 20.0  # seconds from the queue to the result
QUEUE = 40.0  # seconds until a delivery is attempted again
SOON = 200.0  # seconds until a row goes out whose time is near
FAR = "2027-01-01T00:00:00+00:00"
CREATED = "2026-02-01T00:00:00+00:00"  # all deliveries
SPINS = 5000  # turns of the loop without an end


@dataclass(frozen=True)
class Reading:
    """How the contract is read; see `voxburst_sandbox.Switches`."""

    forget_on_5xx: bool = False  # what the server keeps under a key
    ignore_keys: bool = False
    retention: float = 86_400.0
    linger: float = 0.0  # seconds for which a post still shows its old status after a 202
    metadata: bool = True  # whether single reads show them
    list_metadata: bool = True  # whether lists do
    texts: bool = True  # whether posts show them
    masked: bool = False  # marks are shown without their last characters
    lag: float = 0.0  # seconds until a change shows in lists; single reads show it at once
    clock_stops: bool = False  # of a laptop that sleeps
    alone: bool = False  # whether a person says that only one ledger creates


PLAIN, IGNORED, QUEUED = Reading(), Reading(ignore_keys=True), Reading(linger=600.0)
LAG, LAG_FORGET = Reading(lag=60.0), Reading(lag=60.0, forget_on_5xx=True)
READINGS = {
    "assumed": PLAIN, "forget": Reading(forget_on_5xx=True), "ignored": IGNORED, "hour": Reading(retention=3600.0),
    "linger": Reading(linger=3.0), "queue": QUEUED, "lag": LAG, "lag-forget": LAG_FORGET, "lag-ignored": Reading(lag=60.0, ignore_keys=True),
    "no-list-marks": Reading(list_metadata=False, alone=True), "no-metadata": Reading(metadata=False, alone=True),
    "bare": Reading(metadata=False, texts=False, alone=True), "hidden": Reading(list_metadata=False),
    "clock-stops": Reading(clock_stops=True),
}  # fmt: skip


# What becomes of a request. "slow": it arrives, and its caller has gone before it ends.
FATES = ("ok", "lost", "unanswered", "500 before", "500 after", "garbled", "page", "400", "429", "slow")
FATES_OF_TWO = ("partial", "unread")
# A moment, until a look; longer than a request and a reading's age; longer than absence needs.
WAITS = (7.0, 100.0, 320.0)
CHANGES = frozenset({"update", "move", "cancel"})


@dataclass(frozen=True)
class Case:
    """A universe to be searched."""

    act: str  # create, retry, redeliver, update, move, cancel or sync
    rows: int = 1  # rows, posts or deliveries
    kernels: int = 1  # at once on one ledger
    ledgers: int = 1  # one after the other or beside each other
    reading: Reading = field(default_factory=Reading)
    opening: str = ""  # events before the first that is counted, in words
    people: bool = True  # whether people edit posts, delete them, and change the sheet meanwhile
    at_once: bool = True  # else a second ledger begins when nothing of the first is under way (rule 19)
    more: tuple[str, ...] = ()  # further kinds of events, see `events`
    only: tuple[str, ...] = ()  # kinds of events that there are; all where it is empty
    fates: tuple[str, ...] = ()
    bulk: int = 3  # rows of a chunk at the most
    targets: int = 0
    soon: frozenset[int] = frozenset()
    waits: tuple[float, ...] = WAITS
    runs: int = 2  # how often the cell is run in one kernel
    last: bool = False  # whether only the last run of each ledger is resumed at the end
    equal: bool = False  # whether all rows have one text
    reports: bool = False  # whether two laptops may create a row twice if it is reported (rule 19)
    begin: str = "run 0"  # the first events that are counted

    @property
    def may_meet(self):
        """What may become of a request."""
        if self.fates:
            return self.fates
        return FATES + FATES_OF_TWO * (self.act in {"create", "sync"} and self.rows > 1)


@dataclass(eq=False)
class Post:
    """A post with its targets; `jobs` counts what is queued for each."""

    id: str
    content: str
    created: float
    updated: float
    status: list[str]
    jobs: list[int]
    outcomes: list[str]  # what the next publications end in, the last one for ever
    scheduled: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    born: str = ""  # the text with which it was created for a row; "" for a post of somebody else
    hand: str = ""  # what a person has written into it
    moved: int = 0  # how often its time was changed
    seen: list[tuple[float, PostState | None]] = field(default_factory=list)  # what lists will show, and since when

    @property
    def shown(self):
        """Status of the whole."""
        if IN_FLIGHT_STATUSES.intersection(self.status):
            return "publishing"
        if set(self.status) == {"published"}:
            return "published"
        return "partial" if "published" in self.status else self.status[0]

    @property
    def is_live(self):
        """Whether people see it, or will."""
        return self.shown not in {"cancelled", "draft", "failed"}


def scheduled(post, content, at, when, metadata):
    """A post that was created for a row and waits to go out."""
    return Post(post, content, at, at, ["scheduled"], [0], ["published"], when, metadata, born=content)


@dataclass(eq=False)
class Delivery:
    """A webhook delivery as its log shows it; `queued` counts manual retries under way, which the log does not show."""

    seen: dict[str, Any]
    queued: int = 0


@dataclass(eq=False)
class Flight:
    """One request on its way: leaving, running, executed, over."""

    method: str
    path: str
    body: bytes | None
    key: str
    api_key: str
    sent: float
    reply: asyncio.Future[Any]
    version: str | None = None
    stage: str = "leaving"
    answer: tuple[int, Any] = (500, None)
    changed: bool = False
    waited: bool = True
    ended: frozenset[str] = frozenset()  # texts of rows whose run was ended when it left


def error(code, message="?"):
    """An error as the API words it."""
    return {"error": {"code": code, "message": message}}


REFUSALS = {
    "400": (400, error("VALIDATION_ERROR", "no")),
    "400 names": (400, {"error": {"code": "VALIDATION_ERROR", "message": "no", "details": {"posts[0].content": "too long"}}}),
    "402": (402, error("QUOTA_EXCEEDED")), "401": (401, error("UNAUTHORIZED")), "403": (403, error("FORBIDDEN")),
    "409": (409, {"message": "?"}),
}  # fmt: skip

# What is answered instead, although it has taken effect.
ANSWERED_SO = {
    "500 after": (500, error("INTERNAL_ERROR")), "429 middle": (429, error("RATE_LIMITED", "slow down")),
    "402 middle": (402, error("QUOTA_EXCEEDED", "no more")), "garbled": (200, b"<html>"),
}  # fmt: skip


class Server:
    """The API: posts, keys, and what was done twice."""

    def __init__(self, world):
        self.world, case = world, world.case
        self.reading = case.reading
        self.posts = {}
        self.gone = []  # deleted, and perhaps still in lists
        self.deliveries = {}
        self.stored = {}  # API key and key -> when, the request, the answer
        self.running = set()
        self.executed = Counter()
        self.created = Counter()
        self.rows = Counter()  # posts of each row, whatever they say
        self.numbered = 0  # posts ever created
        self.deleted = set()  # marks of the attempts whose posts were deleted
        self.violations = []
        self.events = []  # when, a number that grows, what happens
        for number in range(case.rows if case.act == "retry" else 1):  # one shows that posts have metadata
            count = case.targets or 1 + number % 2
            ends = [["published"], ["failed", "published"]][number]
            failed = ["failed"] * count
            post = Post(f"post_{number}", f"failed {number}", START - 3600, START - 3000, failed, [0] * count, ends)
            self._put(post)
        for number in range(case.rows * (case.act in CHANGES)):
            content = f"row {number}"
            asked = {"content": content, "accountIds": ["acc"], "scheduledFor": FAR}
            marks = {
                "voxopsOp": keys.mark("", f"r{number}", 1), "voxopsRow": keys.row_mark("", f"r{number}"),
                "voxopsCampaign": keys.campaign_mark(""), "voxopsAsked": asked_hash(asked),
            }  # fmt: skip
            self._put(scheduled(f"post_s{number}", content, START - 3600, FAR, marks))
        for number in range(case.rows * (case.act == "redeliver")):
            self.deliveries[f"del_{number}"] = Delivery({
                "delivery_id": f"del_{number}", "webhook_id": "hook", "success": False, "status_code": 503, "latency_ms": 9,
                "retry_count": 5, "error": "receiver answered 503", "delivered_at": None,
            })  # fmt: skip

    def _put(self, post):
        """A post comes into being."""
        self.posts[post.id] = post
        post.seen.append((post.updated, self.state(post, "list")))

    def touch(self, post):
        """A post has changed now; lists show it after their lag."""
        post.updated = max(self.world.time, post.updated + 0.001)
        post.seen.append((self.world.time, self.state(post, "list")))
        del post.seen[:-8]
        self._look_for_twins()

    def _look_for_twins(self):
        """Two posts that would go out with one text (rule 17)."""
        shown = Counter(post.content for post in self.posts.values() if post.born and post.is_live)
        if self.world.case.act == "sync" and max(shown.values(), default=0) > 1:
            self.violations.append(f"{max(shown, key=shown.__getitem__)} is there twice")

    # Requests.

    def arrive(self, flight):
        """Take a request in: answer it from memory, or let it run."""
        if flight.stage != "leaving":
            return
        name, said = (flight.api_key, flight.key), (flight.method, flight.path, flight.body)
        flight.stage = "running"
        if self.reading.ignore_keys:
            return
        known = self.stored.get(name)
        if name in self.running:
            self._answer(flight, 409, error("IDEMPOTENCY_IN_PROGRESS", "running"))
        elif known is not None and self.world.time - known[0] < self.reading.retention:
            if known[1] != said:
                self._answer(flight, 409, error("IDEMPOTENCY_CONFLICT", "another"))
            else:
                self._answer(flight, *known[2])
        else:
            self.running.add(name)

    def execute(self, flight, part=None):
        """Let a running request take effect; `part` creates only so many items and breaks off."""
        if flight.stage != "running":
            return
        flight.stage, changes = "executed", flight.method == "PATCH" or flight.path.endswith("/cancel")
        if flight.path.endswith("/bulk"):
            flight.answer = self._bulk(flight, part)
        elif flight.path.startswith("/v1/webhooks"):
            flight.answer = self._resend(flight)
        else:
            flight.answer = (self._change if changes else self._retry)(flight)
        flight.changed = flight.answer[0] not in {404, 409}
        if flight.changed and not changes:
            self.executed[flight.key] += 1
            if self.executed[flight.key] > 1:
                self.violations.append(f"{flight.path} was carried out twice under the key {flight.key[:8]}")

    def _bulk(self, flight, part):
        """Create posts."""
        results = []
        for index, item in enumerate(json.loads(flight.body or b"{}")["posts"]):
            if part is not None and index >= part:
                return 500, error("INTERNAL_ERROR", "broke off")
            self.numbered += 1
            post_id, now = f"post_c{self.numbered}", self.world.time
            if datetime.fromisoformat(item["scheduledFor"]).timestamp() <= flight.sent:
                self.violations.append(f"{item['content']} was created after its time, and goes out at once")
            if flight.sent > self.world.struck.get(item["content"], math.inf):
                self.violations.append(f"{item['content']} was struck from the sheet, and went out")
            if item["content"] in flight.ended:
                self.violations.append(f"{item['content']} went out after its run was ended")
            self._put(scheduled(post_id, item["content"], now, item["scheduledFor"], item["metadata"]))
            row = item["metadata"].get("voxopsRow", item["content"])
            self.created[item["content"]] += 1
            self.rows[row] += 1
            if self.created[item["content"]] > 1:
                self.violations.append(f"{item['content']} was created twice")
            elif self.rows[row] > 1:
                self.violations.append(f"the row of {item['content']} was created twice, with another text")
            self._look_for_twins()
            results.append({"index": index, "status": "created", "postId": post_id})
        return 201, {"results": results}

    def delete(self, post):
        """A person deletes a post that was created; asking for it again is no second one then."""
        del self.posts[post.id]
        post.seen.append((self.world.time, None))
        self.gone.append(post)
        self._forget(post)
        self.deleted.add(post.metadata.get("voxopsOp", ""))
        self.executed.clear()

    def _forget(self, post):
        """A post that was created is none any more."""
        if post.born in self.created:
            self.created[post.born] -= 1
            self.rows[post.metadata["voxopsRow"]] -= 1

    def write(self, post):
        """A person writes another text into a post."""
        post.content = post.hand = f"{post.content}, by hand"
        self.touch(post)

    def move(self, post):
        """A person sets another time."""
        post.scheduled = "2027-02-01T00:00:00+00:00"
        self.touch(post)

    def withdraw(self, post):
        """A person withdraws a post; its row's next attempt is no second one then."""
        self._forget(post)
        post.status = ["cancelled"] * len(post.status)
        self.touch(post)

    def _resend(self, flight):
        """Send a delivery again; the second one in a row fails as the first did, so that only its count tells."""
        name = flight.path.split("/")[5]
        delivery = self.deliveries[name]
        if delivery.queued or delivery.seen["success"]:
            self.violations.append(f"{name} was sent again twice")
        delivery.queued += 1
        self._at(QUEUE, lambda: self._delivered(delivery, well=name == "del_0"))
        return 202, {"id": name, "status": "queued"}

    def _delivered(self, delivery, *, well):
        """End a delivery's attempt."""
        delivery.queued -= 1
        delivery.seen = {**delivery.seen, "retry_count": delivery.seen["retry_count"] + 1}
        if well:
            delivered = {"success": True, "status_code": 200, "error": None, "delivered_at": _iso(self.world.time)}
            delivery.seen |= delivered

    def _change(self, flight):
        """Change a post under its version, or withdraw it."""
        post, withdraws = self.posts.get(flight.path.split("/")[3]), flight.method != "PATCH"
        if post is None:
            return 404, error("NOT_FOUND")
        if post.shown not in {"draft", "scheduled"} or not (withdraws or flight.version == _iso(post.updated)):
            return 409, error("CONFLICT", f"the post is {post.shown}" if withdraws else "another version")
        if withdraws:
            self.withdraw(post)
            return 200, self.record(self.state(post))
        body = json.loads(flight.body or b"{}")
        if "content" in body:
            if post.hand and not body["content"].startswith(post.hand):
                self.violations.append(f"{post.id}: what a person wrote was overwritten")
            if body["content"].count("+") > 1:
                self.violations.append(f"{post.id} was changed twice")
            post.content = body["content"]
        if "scheduledFor" in body:
            post.scheduled, post.moved = body["scheduledFor"], post.moved + 1
            if post.moved > 1:
                self.violations.append(f"{post.id} was moved twice")
        if "metadata" in body:
            if {**body["metadata"], "voxopsChanges": None} != {**post.metadata, "voxopsChanges": None}:
                self.violations.append(f"{post.id} lost its marks")
            post.metadata = body["metadata"]
        self.touch(post)
        return 200, self.record(self.state(post))

    def _retry(self, flight):
        """Queue what is not published again, or the one target that a fix names."""
        parts = flight.path.split("/")
        post = self.posts[parts[3]]
        if "~" in flight.path:
            self.violations.append(f"{flight.path} names no target")
            return 404, error("NOT_FOUND")
        places = range(len(post.status)) if flight.path.endswith("/retry") else [int(parts[5].removeprefix("pp"))]
        if not any(post.status[place] == "failed" or post.jobs[place] for place in places):
            return 409, error("CONFLICT", "not failed")
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

    def _at(self, seconds, work):
        """Let something happen later."""
        heapq.heappush(self.events, (self.world.time + seconds, len(self.events) + self.world.tick(), work))

    def _enter(self, post, place, status):
        """Show a target in another status."""
        if post.status[place] != "published":
            post.status[place] = status
            self.touch(post)

    def _end(self, post, place):
        """End a publication."""
        post.jobs[place] -= 1
        end = post.outcomes[0]
        if len(post.outcomes) > 1 and place == 0:
            post.outcomes.pop(0)
        self._enter(post, place, end)

    def finish(self, flight, status=None, data=None, *, answered=True, page=False):
        """End a request: remember it under its key, and tell the caller, or not; a `page` is a proxy's, of which the server knows nothing."""
        if flight.stage not in {"running", "executed"}:
            return
        answer = flight.answer if status is None else (status, data)
        name = (flight.api_key, flight.key)
        self.running.discard(name)
        forgotten = (self.reading.forget_on_5xx and answer[0] >= 500) or answer[0] in {401, 402, 403, 409, 429}
        forgotten = forgotten and not page
        if not self.reading.ignore_keys and not forgotten and (flight.changed or answer[0] < 500):
            self.stored[name] = (self.world.time, (flight.method, flight.path, flight.body), flight.answer)
        if answered:
            self._answer(flight, *answer)
        else:
            self._drop(flight)

    def _answer(self, flight, status, data):
        """Answer, if anybody still waits."""
        flight.stage = "over"
        if flight.waited and not flight.reply.done():
            flight.reply.set_result(
                Answer("", status, {}, data if isinstance(data, bytes) else json.dumps(data).encode())
            )
        flight.waited = False

    def _drop(self, flight):
        """Close the connection without an answer."""
        flight.stage = "over"
        self.give_up(flight)

    def give_up(self, flight):
        """The caller's connection is gone, whatever the server does."""
        if flight.waited and not flight.reply.done():
            flight.reply.set_exception(TransportError("no answer"))
        flight.waited = False

    def meet(self, flight, fate):
        """Decide what becomes of a request."""
        bulk = flight.path.endswith("/bulk")
        if fate.endswith(" middle") and (not bulk or len(json.loads(flight.body or b"{}")["posts"]) < 2):
            fate = fate.removesuffix(" middle")  # nothing to break off
        if flight.stage != "leaving" and fate in {"lost", "429"}:
            fate = "unanswered"  # it has arrived already
        if fate == "lost":
            self._drop(flight)
        elif fate == "429":
            self._answer(flight, 429, error("RATE_LIMITED", "slow down"))
        elif fate == "slow":
            self.arrive(flight)
            self.give_up(flight)
        else:
            self.arrive(flight)
            if fate == "500 before":
                self.finish(flight, 500, error("INTERNAL_ERROR"))
                return
            if fate in REFUSALS:
                flight.answer = REFUSALS[fate]
                self.finish(flight)
                return
            self.execute(flight, 1 if fate in {"partial", "429 middle", "402 middle"} and bulk else None)
            if fate == "unanswered":
                self.finish(flight, answered=False)
            elif fate in ANSWERED_SO:
                self.finish(flight, *ANSWERED_SO[fate])
            elif fate == "page" or fate.startswith("page "):
                self.finish(flight, int(fate.partition(" ")[2] or 403), b"<html>", page=True)
            elif fate == "swapped" and bulk and flight.answer[0] == 201 and len(flight.answer[1]["results"]) > 1:
                ids = [item["postId"] for item in flight.answer[1]["results"]]
                items = [item | {"postId": ids[at - 1]} for at, item in enumerate(flight.answer[1]["results"])]
                self.finish(flight, 201, {"results": items})
            elif fate == "unread" and bulk and flight.answer[0] == 201:
                self.finish(flight, 207, {"results": flight.answer[1]["results"][:-1]})
            else:
                self.finish(flight)

    # Reads.

    def state(self, post, source="single"):
        """A post as a read shows it."""
        updated, rows = _iso(post.updated), []
        for place, status in enumerate(post.status):
            why = ("RATE_LIMITED", "later") if status == "failed" else (None, None)
            rows.append(
                TargetState(f"p{place}", "acc", status, *why, target_id=f"pp{place}" if source == "single" else None)
            )
        shows = self.reading.metadata and (source == "single" or self.reading.list_metadata)
        metadata = {
            name: f"{value[:8]}***" if self.reading.masked and isinstance(value, str) else value
            for name, value in post.metadata.items()
        }
        return PostState(
            post.id, post.shown, updated, _iso(post.created), post.scheduled, post.content if self.reading.texts else None,
            metadata if shows else None, tuple(rows), source, (), updated,
        )  # fmt: skip

    def record(self, shown):
        """A post as the wire has it."""
        platforms = [
            {
                "id": target.target_id, "platform": target.platform, "accountId": target.account_id, "status": target.status,
                "error": target.error_code and {"code": target.error_code, "message": target.error_message},
            }
            for target in shown.targets
        ]  # fmt: skip
        return {
            "id": shown.post_id, "status": shown.status, "content": shown.content, "scheduledFor": shown.scheduled_for,
            "createdAt": shown.created_at, "updatedAt": shown.updated_at, "metadata": shown.metadata, "platforms": platforms,
            "tags": [],
        }  # fmt: skip

    def listed(self):
        """Posts as the list shows them now."""
        until = self.world.time - self.reading.lag
        found = {}
        for post in (*self.posts.values(), *self.gone):
            before = [state for at, state in post.seen if at <= until]
            if before and before[-1] is not None:
                found[post.id] = before[-1]
        return found


def _iso(at):
    """A time as the frames tell it."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat()


class Client:
    """What an engine sees of the network."""

    pace = PaceInfo()

    def __init__(self, kernel, api_key):
        self.world = kernel.world
        self.kernel = kernel
        self.api_key = api_key
        self._clock = kernel
        self.open = True  # whether the pace lets requests go
        self.posts, self.accounts = (
            mock.Mock(list=lambda path=path, **query: Listing(lambda: self.pages(path, query)))
            for path in ("/v1/posts", "/v1/accounts")
        )
        self.learn()

    def learn(self):
        """An answer came: it tells the server's time."""
        self._offset = self.world.time - self.kernel.monotonic()

    def now(self):
        """The server's time as far as it is known."""
        return datetime.fromtimestamp(self.kernel.monotonic() + self._offset, UTC)

    @asynccontextmanager
    async def _permit(self):
        """The right to one try, when the pace allows."""
        while not self.open:
            await self.world.change()
        yield self

    async def send(self, method, path, *, body, key, may_go, version=None):
        """Send once; the world decides what becomes of it. A drowsy kernel falls asleep when the connection stands."""
        if self.kernel.drowsy:
            self.kernel.drowsy, self.kernel.asleep = False, True
        await self.kernel.awake()
        if not may_go():
            raise TransportError("it must not go any more", sent=False)
        if self.kernel.paused:
            self.world.server.violations.append(f"{path} was sent while its run was paused")
        answer = self.world.loop.create_future()
        reply = await self.world.launch(Flight(method, path, body, key, self.api_key, self.world.time, answer, version))
        self.learn()
        return reply

    async def pages(self, path, query):
        """The one page of the list of posts, or of accounts."""
        await asyncio.sleep(0)
        self.learn()
        server = self.world.server
        shown = [server.record(server.state(server.posts[name])) for name in server.listed() if name in server.posts]
        records = [{"id": "acc", "status": "active"}] if path == "/v1/accounts" else shown
        yield mock.Mock(records=records, cursor=None, says_more=True)


class Reader:
    """Reads the model at once."""

    pages = 0

    def __init__(self, client):
        self._server = client.world.server
        self._client = client
        self.created = CreatedList(self)

    async def posts(self, ids, _=()):
        await self.learn_time()
        posts = {name: self._server.posts.get(name) for name in ids}
        return {name: None if post is None else self._server.state(post) for name, post in posts.items()}

    follow = posts

    async def post(self, post_id):
        return (await self.posts([post_id]))[post_id]

    async def single(self, post_id):
        state = await self.post(post_id)
        return None if state is None else (self._server.record(state), state)

    async def deliveries(self, webhook_id, ids):
        await self.learn_time()
        return {
            name: one.seen | {"created_at": CREATED} for name, one in self._server.deliveries.items() if name in ids
        }

    async def learn_time(self):
        await self._client.kernel.awake()
        await asyncio.sleep(0)
        self._client.learn()


class CreatedList:
    """The list of all posts, read at once."""

    knows_what_waits = True  # what it would read again besides the top is left out: the least that the engine may see

    def __init__(self, reader):
        self._reader = reader
        self.walk = self._walked = (-math.inf, -math.inf)

    async def read(self, since, *, on_top=False, **_):
        """All that lists show; of what a walk of a short time ago has shown, nothing again where the top is enough."""
        await self._reader.learn_time()
        client, server = self._reader._client, self._reader._server
        listed = Listed(read=client.now().timestamp())
        now, shown = client.world.time, server.listed()
        times = {name: datetime.fromisoformat(state.created_at or "").timestamp() for name, state in shown.items()}
        began, newest = self.walk
        if on_top and now - began <= WALK_HOLDS_FOR:
            from_here = newest - LIST_DISORDER.total_seconds()
            listed.take(state for name, state in shown.items() if times[name] >= from_here)
        else:
            began, listed.whole = now, True
            listed.take(shown.values())
        self._walked = began, max(times.values(), default=-math.inf)
        listed.walk = Walk(began, 0.0, since, since, frozenset())
        return listed

    def learnt(self, _):
        self.walk = self._walked


class Writer:
    """Writes to the ledger at once; a suspended kernel learns of it when it wakes, a dead one never."""

    unwritten = 0

    def __init__(self, kernel):
        self._kernel = kernel

    async def commit(self, work):
        if self._kernel.dead:
            raise asyncio.CancelledError
        (result,) = self._kernel.ledger.in_one_commit([work])
        if isinstance(result, tuple) and isinstance(result[1], Call) and self._kernel.sleepy:
            self._kernel.sleepy, self._kernel.asleep = False, True
        await self._kernel.awake()
        if isinstance(result, Exception):
            raise result
        return result

    note = commit

    def close(self):
        """Nothing to close."""


class Mean(random.Random):
    """Jitter without chance, so that histories meet in the same states."""

    def uniform(self, a, b):
        return (a + b) / 2


class Kernel:
    """One Python kernel with its engine and the runs that it drives; its client's clock, too."""

    def __init__(self, world, path, api_key):
        self.world = world
        self.path = path
        self.dead = self.asleep = self.paused = False
        self.sleepy = False  # falls asleep between its next commit of a call and the send
        self.drowsy = False  # falls asleep when the connection of its next send stands
        self.client = Client(self, api_key)
        self.ledger = Ledger(path)
        self.ledger._db.execute("PRAGMA synchronous=OFF")
        self.ledger._db.execute("PRAGMA journal_mode=MEMORY")  # a kernel dies here without its machine
        self.ledger._check_file = lambda: None
        if world.server.reading.metadata and world.server.reading.list_metadata:  # as after a first create
            self.ledger.seen.note_metadata(shown=True)
        with mock.patch.object(engine, "Writer", lambda _: Writer(self)), mock.patch.object(engine, "Reader", Reader):
            self.engine = engine.Engine(
                self.client,
                self.ledger,
                credential=self.ledger.fingerprint(api_key),
                retention=86_400.0,
                alone=world.server.reading.alone,
                rng=Mean(),
            )
        self._tasks = []
        self._executions = []

    # The clock of its client.

    def monotonic(self):
        """Elapsed seconds, as clients see them."""
        return self.world.elapsed if self.world.server.reading.clock_stops else self.world.time - START

    def wall(self):
        """The calendar's clock, which goes on while a laptop sleeps."""
        return self.world.time

    async def sleep(self, seconds):
        """Wait until so much time has passed."""
        await self.world.sleep(seconds)
        await self.awake()

    async def awake(self):
        """Go on only if the kernel lives and does not sleep."""
        while self.asleep and not self.dead:
            await self.world.change()
        if self.dead:
            raise asyncio.CancelledError

    # Cells.

    async def _silent(self, current):
        """Nobody watches."""

    def start(self, work):
        """Let the kernel do something."""
        self._tasks.append(self.world.loop.create_task(work))
        self.world.settle()

    async def run(self, plan):
        """Bind a plan and drive it."""
        await self.drive(await self.engine.bind(plan, None))

    async def drive(self, run):
        """Drive a run."""
        await self.execution(run).go()

    async def resume(self, run):
        """Resume a run, whatever paused it."""
        living = next((one for one in self._executions if one.id == run and not one.over), None)
        await (living or self.execution(run)).allow()
        if living is None:
            await self.drive(run)
        else:
            living.resume()

    def execution(self, run):
        """A run about to be executed."""
        execution = Execution(self.engine, run, Silent())
        execution._keep_refreshing = self._silent
        self._executions.append(execution)
        return execution

    def runs(self):
        """All runs of the ledger, oldest first."""
        return [run for (run,) in self.ledger.query("SELECT id FROM runs ORDER BY created, rowid")]

    def drive_all(self):
        """Drive every run of the ledger, or the last: they are resumed."""
        for run in self.runs()[-1:] if self.world.case.last else self.runs():
            self.start(self.resume(run))

    async def undo(self, run):
        """Withdraw what a run created."""
        frame = await self.execution(run).made()
        plan = plan_cancel(Made(run, frame))
        await self.run(plan)

    async def copies(self, run):
        """Plan to withdraw the duplicates of what a run created; it is run later."""
        frame = await self.execution(run).made(copies=True)
        self.world.loaded = plan_cancel(frame) if len(frame) else None

    async def retry_stuck(self, run):
        """Retry what hangs, as the next attempt."""
        frame = self.execution(run).failed(stuck=True)
        if len(frame):
            frame.attrs["fetched_at"] = _iso(self.world.time)
            plan = plan_retry(frame)
            if plan.eligible:
                await self.run(plan)

    async def pause(self):
        """Pause whatever is being driven, at once: each waits for what of it is under way."""
        await asyncio.gather(*(execution.pause() for execution in self._executions if not execution.over))

    @property
    def busy(self):
        """Whether anything is still being driven."""
        return any(not task.done() for task in self._tasks)

    def kill(self):
        """SIGKILL: nothing more is written or sent. What left the machine has left."""
        self.dead, self.asleep = True, False
        for execution in self._executions:
            execution._finish = lambda _, one=execution: one.snapshot
        loop = self.engine.loop
        for _ in range(50):
            mine = [*self._tasks, *loop._senders, *loop._readers.values(), *filter(None, [loop._task])]
            left = [task for task in mine if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.world.settle()
        self.broken()
        self.ledger.close()

    def broken(self):
        """What broke down in this kernel."""
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        failures = [failure for task in ended if (failure := task.exception())]
        return [f"a cell broke down: {type(failure).__name__}: {failure}" for failure in failures]


class World:
    """The server, the kernels and time."""

    def __init__(self, folder, case):
        self.folder = folder
        self.case = case
        self.time = START
        self.elapsed = 0.0
        self.loop = asyncio.new_event_loop()
        self.server = Server(self)
        self.flights = []
        self.kernels = []
        self.loaded = None  # what was planned from a frame of some time ago
        self.struck = {}  # texts of rows that no run wants any more -> since when
        self.undone = set()  # texts of rows that are to be withdrawn with their run, which was ended
        self.undoing = set()  # ledgers and runs whose undo a person runs until nothing is pending
        self.hangs = False  # whether a cell went on for hours
        self._name = 0
        self._ticks = 0
        self.timers = []
        self._changes = []
        self.api_key = "key a"  # of kernels that are started from now on

    def close(self):
        """End everything."""
        for kernel in self.kernels:
            if not kernel.dead:
                kernel.kill()
        self.loop.close()

    # Time.

    def tick(self):
        """A number that grows."""
        self._ticks += 1
        return self._ticks

    async def sleep(self, seconds):
        """Wait until so much time has passed."""
        done = self.loop.create_future()
        heapq.heappush(self.timers, (self.elapsed + max(0.01, seconds), self.tick(), done))
        await done

    async def change(self):
        """Wait until something outside has been decided."""
        done = self.loop.create_future()
        self._changes.append(done)
        await done

    def settle(self):
        """Let every engine run until it waits for the network or for time."""
        changes, self._changes = self._changes, []
        for done in changes:
            if not done.done():
                done.set_result(None)
        for _ in range(SPINS):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            if not self.loop._ready:
                break
        else:
            raise RuntimeError("an engine spins")
        while self.timers and self.timers[0][2].done():
            heapq.heappop(self.timers)

    def run_events(self):
        """Let happen what is due at the server."""
        while self.server.events and self.server.events[0][0] <= self.time + 1e-3:
            heapq.heappop(self.server.events)[2]()

    def advance(self, seconds):
        """Let time pass, with everything that falls due in it."""
        end = self.time + seconds
        for _ in range(SPINS):
            due = [end]
            if self.server.events:
                due.append(self.server.events[0][0])
            if self.timers:
                due.append(self.time + self.timers[0][0] - self.elapsed)
            for flight in self.flights:
                if flight.stage != "over":
                    due.append(flight.sent + (TIMEOUT if flight.waited else LIVES))
            step = max(0.0, min(due) - self.time)
            self.time += step
            self.elapsed += step
            self._happen()
            if self.time >= end:
                return
        raise RuntimeError("an engine never rests")

    def _happen(self):
        """What is due now."""
        self.run_events()
        for flight in list(self.flights):
            age = self.time - flight.sent + 1e-3
            if flight.stage != "over" and flight.waited and age >= TIMEOUT:
                self.server.give_up(flight)
            if flight.stage != "over" and not flight.waited and age >= LIVES:
                self.server.meet(flight, "unanswered")
        while self.timers and self.timers[0][0] <= self.elapsed + 1e-3:
            done = heapq.heappop(self.timers)[2]
            if not done.done():
                done.set_result(None)
        self.settle()

    def night(self):
        """The laptop sleeps: what it waits for stands still. Requests under way end meanwhile."""
        for flight in list(self.flights):
            if flight.stage != "over":
                self.server.meet(flight, "unanswered")
        self.time += 26 * 3600.0
        self.run_events()
        self.settle()

    # Kernels.

    @property
    def alive(self):
        """Kernels that run."""
        return [kernel for kernel in self.kernels if not kernel.dead]

    @property
    def path(self):
        """The present ledger."""
        return self.folder / f"ledger{self._name}.sqlite"

    def kernel(self, path=None):
        """Start a kernel on a ledger, the present one by default."""
        kernel = Kernel(self, path or self.path, self.api_key)
        self.kernels.append(kernel)
        return kernel

    async def launch(self, flight):
        """Put a request on its way and wait for its answer."""
        flight.ended = frozenset(self.undone)
        self.flights.append(flight)
        try:
            return await flight.reply
        finally:
            flight.waited = False

    def open_flights(self):
        """Requests whose fate is open, oldest first."""
        self.flights = [flight for flight in self.flights if flight.stage != "over"]
        return self.flights

    def meet(self, flight, fate):
        """Decide what becomes of a request, and let everybody react."""
        self.server.meet(flight, fate)
        self.settle()

    # Plans.

    def creates(self, what):
        """A plan for the rows of the one campaign; `what` as in `search.planned`."""
        case, soon = self.case, _iso(START + SOON)
        rows, prefix = range(case.rows - (what == "part")), "s" if what == "renamed" else "r"
        mended = " mended" * (what == "changed")
        frame = pd.DataFrame({
            "row_id": [f"{prefix}{row}" for row in rows], "content": [f"row {0 if case.equal else row}{mended}" for row in rows],
            "accounts": ["acc"] * len(rows), "scheduled_for": [soon if row in case.soon else FAR for row in rows],
        })  # fmt: skip
        if what == "again":
            frame["attempt"] = 2
        return plan_create(frame, key="row_id")

    def syncs(self, kernel, texts):
        """A plan that gives rows these texts, and withdraws the others, by the list of posts as it is loaded now."""
        server = self.server
        records = list(map(server.record, server.listed().values()))
        frame = build("posts", records, fetched_at=_iso(self.time))
        frame = with_rows(frame, rows_of(kernel.ledger, list(map(str, frame["post_id"]))))
        sheet = pd.DataFrame({"row_id": list(texts), "content": list(texts.values())}).assign(
            accounts="acc", scheduled_for=FAR
        )
        return plan_sync(
            sheet, frame, key="row_id", campaign="c", withdraw=any(record["metadata"] for record in records)
        )

    def redeliveries(self):
        """A plan for every delivery that has not succeeded."""
        frame = pd.DataFrame([one.seen for one in self.server.deliveries.values()])
        frame = frame.assign(event_type="post.failed", created_at=CREATED)
        for name in ("delivered_at", "created_at"):
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
        frame.attrs["fetched_at"] = _iso(self.time)
        return plan_redeliver(frame)

    def retries(self, *, filtered=False):
        """A plan for whatever shows as failed now; `filtered` to one platform, so that targets are fixed one by one."""
        frame = self._loaded(lambda post: not post.metadata and "failed" in post.status)
        if frame is None:
            return None
        frame = triage(targets(frame))
        return plan_retry(frame[frame["platform"] == "p0"] if filtered else frame)

    def _loaded(self, wanted):
        """Posts as the analyst loads them."""
        server = self.server
        records = [server.record(server.state(post)) for post in server.posts.values() if wanted(post)]
        return build("posts", records, fetched_at=_iso(self.time)) if records else None

    def changes(self, act):
        """A plan that withdraws, changes or moves the posts that wait to go out."""
        frame = self._loaded(lambda post: post.shown == "scheduled")
        if frame is None:
            return None
        if act == "cancel":
            return plan_cancel(frame)
        if act == "move":
            return plan_update(frame, by="2h", change="strike")
        return plan_update(frame.assign(new_content=frame["content"] + " +"))

    # The end.

    def heal(self):
        """Let the network be well and somebody resume all runs, or the last of each ledger, until nothing moves any more."""
        for kernel in self.alive:
            kernel.asleep = kernel.drowsy = kernel.sleepy = kernel.paused = False
            kernel.client.open = True
        self.settle()
        if not self.alive:
            self.kernel()
        for _ in range(6 if self.server.reading.metadata else 1):  # without, what is unknown stays so
            self.go_on()
            for kernel in self.alive:
                kernel.drive_all()
            self.go_on()
            for kernel in self.alive:
                for run in (run for path, run in self.undoing if path == kernel.path):
                    kernel.start(kernel.undo(run))
            self.go_on()
            open_ones = "SELECT count(*) FROM requests WHERE outcome = '' AND NOT blocked"
            if not any(kernel.ledger.query(open_ones)[0][0] for kernel in self.alive):
                break
        self.advance(RESEND_UNANSWERED)  # what was sent last shows in the lists
        for kernel in self.alive:
            kernel.start(kernel.engine.reconcile())
        self.go_on()

    def go_on(self):
        """Answer everything, and let time pass while anybody works."""
        for _ in range(400):
            for flight in list(self.open_flights()):
                self.meet(flight, "ok")
            if not any(kernel.busy for kernel in self.alive):
                return
            self.advance(15.0)
        self.hangs = True
