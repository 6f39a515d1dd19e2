"""What the tests of deciding and settling share: plans, and a server's states that are shown to them, without a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from voxops.acts.create import plan_create
from voxops.acts.fix import plan_fix
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.states import PostState, TargetState
from voxops.engine.binding import bind
from voxops.engine.created import Listed
from voxops.engine.facts import Facts
from voxops.engine.reader import Seen
from voxops.engine.reading import Reading, Watch
from voxops.engine.settler import Settler
from voxops.ledger import Claim, Ledger, Stored

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
STAMP = "2026-03-01T00:00:00+00:00"


def campaign(*names: str, one_by_one: bool = False, **columns: Any) -> Plan:
    frame = pd.DataFrame(
        {"row_id": list(names), "content": list(names), "accounts": "acc", "scheduled_for": "2027-01-01T00:00:00Z"}
    )
    return plan_create(frame.assign(**columns), key="row_id", one_by_one=one_by_one)


def state(*statuses: str, updated: str = STAMP, post_id: str = "post_1", status: str = "failed") -> PostState:
    platforms = ("twitter", "facebook", "threads")
    targets = tuple(
        TargetState(platforms[number], "acc", one, "X" if one == "failed" else None)
        for number, one in enumerate(statuses)
    )
    return PostState(post_id, status, updated, STAMP, targets=targets)


def rows_of(post: PostState) -> list[dict[str, Any]]:
    """Targets as rows of a targets frame."""
    return [
        {
            "post_id": post.post_id, "platform": target.platform, "account_id": target.account_id, "status": target.status,
            "error_code": target.error_code, "error_message": target.error_message, "post_status": post.status,
            "updated_at": post.updated_at, "target_id": target.target_id, "platform_post_id": None,
        }
        for target in post.targets
    ]  # fmt: skip


def retry(*posts: PostState, keep: int | None = None, **columns: Any) -> Plan:
    rows = [row for post in posts for row in rows_of(post) if row["status"] == "failed"][:keep]
    frame = pd.DataFrame(rows).assign(verdict="retry", remedy="", retryable=True, cause="x", **columns)
    frame["updated_at"] = pd.to_datetime(frame["updated_at"], utc=True).astype("datetime64[us, UTC]")
    return plan_retry(frame)


def fix(post: PostState, *numbers: int, words: str = "B", **columns: Any) -> Plan:
    """A fix of some targets of a post, of the first one where none is named."""
    rows = pd.DataFrame([rows_of(post)[number] for number in numbers or (0,)]).assign(new_content=words, **columns)
    return plan_fix(rows.assign(updated_at=pd.to_datetime(rows["updated_at"], utc=True)))


def redeliver(*names: str, webhook: str = "w", **columns: Any) -> Plan:
    log = pd.DataFrame(
        [
            {"delivery_id": name, "webhook_id": webhook, "event_type": "e", "success": False, "status_code": 503,
             "latency_ms": 1, "retry_count": 5, "error": "x"}
            for name in names
        ]
    ).assign(delivered_at=pd.Series([pd.NaT], dtype="datetime64[us, UTC]"), created_at=pd.Timestamp("2026-01-01", tz="UTC"))  # fmt: skip
    return plan_redeliver(log.assign(**columns), force=True)


def scheduled(post_id: str = "post_1", at: str = "2026-06-01T09:00:00+00:00", updated: str = STAMP) -> PostState:
    """A post that can still be changed, under a version."""
    targets = (TargetState("twitter", "acc", "scheduled"),)
    return PostState(
        post_id, "scheduled", updated, STAMP, at, "words", targets=targets, source="single", version=updated
    )


def frame_of(*posts: PostState) -> pd.DataFrame:
    """Posts as they are loaded to be changed."""
    frame = pd.DataFrame(
        [
            {"post_id": post.post_id, "status": post.status, "content": post.content, "scheduled_for": post.scheduled_for,
             "updated_at": post.updated_at}
            for post in posts
        ]
    )  # fmt: skip
    for name in ("scheduled_for", "updated_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    frame.attrs["fetched_at"] = NOW.isoformat()
    return frame


def move(*posts: PostState, to: str = "2027-03-04 09:00") -> Plan:
    return plan_update(frame_of(*posts), to=pd.Timestamp(to, tz="UTC"))


class Server:
    """What a server would show: it notes what was read, one by one or in a list."""

    def __init__(self) -> None:
        self.states: dict[str, PostState] = {}
        self.knows_what_waits = True
        self.sent: dict[str, dict[str, Any]] = {}  # deliveries
        self.listed: list[PostState] = []
        self.read: list[str] = []
        self.since: list[datetime] = []
        self.waiting_since: list[datetime | None] = []
        self.on_top: list[bool] = []
        self.expected: list[list[str]] = []  # statuses under which posts were looked for

    def _some(self, ids: Collection[str]) -> dict[str, PostState]:
        return {name: self.states[name] for name in sorted(ids) if name in self.states}

    async def learn_time(self) -> None:
        self.read.append("time")

    async def posts(self, ids: Collection[str], expect: Sequence[str]) -> dict[str, PostState]:
        self.read += [f"posts {' '.join(sorted(ids))}"]
        self.expected.append(list(expect))
        return self._some(ids)

    async def post(self, post_id: str) -> PostState | None:
        self.read.append(f"post {post_id}")
        return self.states.get(post_id)

    async def follow(self, ids: Collection[str]) -> Seen:
        self.read += [f"follow {' '.join(sorted(ids))}"] if ids else []
        found = self._some(ids)
        return Seen(found, set(ids) - found.keys())

    async def deliveries(self, webhook: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        self.read += [f"deliveries {webhook} {' '.join(sorted(ids))}"]
        return {name: self.sent[name] for name in ids if name in self.sent}

    async def created(self, since: datetime, *, waiting_since: datetime | None = None, on_top: bool = False) -> Listed:
        self.since.append(since)
        self.waiting_since.append(waiting_since)
        self.on_top.append(on_top)
        listed = Listed()
        listed.take(self.listed)
        return listed

    def learnt(self, listed: Listed) -> None:
        self.read.append("learnt")

    def learnt_waiting(self, listed: Listed) -> None:
        self.knows_what_waits = True


class Witness(Watch):
    """The watch of a kernel that has seen every try end."""

    def seen(self, operation: Stored, now: float) -> float:
        return now - (operation.ended or operation.last_sent or 0.0)


class Bench:
    """A ledger, and a settler that reads what a test lets a server show.

    `seconds` counts from `NOW`; the ledger's clock and server time are the same.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[float], None]) -> None:
        self.ledger = ledger
        self.server = Server()
        self.seconds = 0.0
        self._move = clock
        watch = Witness(lambda: self.now.timestamp())
        self.settler = Settler(ledger, self.server, self._commit, lambda: self.now, watch)  # type: ignore[arg-type]
        self._runs = 0
        self.at(0)

    @property
    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    async def _commit(self, work: Callable[[], Any]) -> Any:
        with self.ledger.atomic():
            return work()

    def at(self, seconds: float) -> None:
        """Let it be so many seconds after the beginning."""
        self.seconds = seconds
        self._move(self.now.timestamp())

    def bind(self, plan: Plan, *posts: PostState, **facts: Any) -> list[int]:
        """Bind a plan; returns the operations of its run."""
        self._runs += 1
        run = f"run_{self._runs}"
        bind(self.ledger, run, plan, Facts(self.now, {post.post_id: post for post in posts}, **facts), None)
        return [operation.id for operation in self.ledger.operations.of_run(run)]

    def claim(self, op: int) -> Claim:
        cleared = self.ledger.claims.clear(self.ledger.operations.get(op), read=self.ledger.now())
        held = self.ledger.claims.claim(
            cleared, owner="me", credential="c", server_now=self.now.timestamp(), deadline=1e6
        )
        assert isinstance(held, Claim), held
        return held

    def doubt(self, *ops: int, answered: bool = False, status: int | None = None, seen: bool = True) -> None:
        """Send operations, and know nothing of them since now; unless it was `seen` how the try ended, its sender died."""
        for op in ops:
            claim = self.claim(op)
            if seen:
                self.ledger.claims.record(
                    claim,
                    state="unknown",
                    status=status,
                    reply=None,
                    server_now=self.now.timestamp(),
                    answered=answered,
                )
            else:
                self.ledger.query(
                    "UPDATE operations SET state = 'unknown', owner = NULL, lease_until = NULL WHERE id = ?", (op,)
                )

    def accept(self, *ops: int, reply: bytes | None = b"{}", status: int = 202) -> None:
        for op in ops:
            self.ledger.claims.record(
                self.claim(op), state="accepted", status=status, reply=reply, server_now=self.now.timestamp()
            )

    def look(self, *ops: int) -> Reading:
        """Look at operations once."""
        return run_now(self.settler.look([self.get(op) for op in ops]))

    def get(self, op: int) -> Stored:
        return self.ledger.operations.get(op)

    def state(self, op: int) -> str:
        return self.get(op).state

    def outcomes(self, op: int) -> list[str]:
        return [str(member.outcome) for member in self.ledger.operations.members(op)]


def run_now(work: Awaitable[Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    coroutine: Any = work
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def made_post(body: Mapping[str, Any], post_id: str, created: str, *, marked: bool = True, **other: Any) -> PostState:
    """A post as it was asked for by a create, with its marks or without."""
    columns = {
        "updated_at": created,
        "scheduled_for": "2027-01-01T00:00:00+00:00",
        "content": str(body["content"]),
        **other,
    }
    targets = tuple(TargetState("twitter", account, "scheduled") for account in body["accountIds"])
    return PostState(
        post_id,
        "scheduled",
        created_at=created,
        metadata=body["metadata"] if marked else None,
        targets=targets,
        **columns,
    )


def after(seconds: float) -> str:
    """Server time so long after the beginning, as the API writes it."""
    return (datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()
