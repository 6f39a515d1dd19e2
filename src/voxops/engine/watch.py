"""Following things that somebody else started: posts, media, backfills and deliveries, until each has ended; reads only."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

import pandas as pd

from voxops._support import safe
from voxops.api.limits import WATCH_FOR
from voxops.client import Answer, Followed, Kind, Polled, read_record
from voxops.engine.lists import Reader
from voxops.engine.polling import interval, rest
from voxops.engine.run_state import Progress, cells_of
from voxops.errors import ConfigError, DecodeError, PlanError, ServerError, TransportError, ValidationError, VoxopsError
from voxops.frames.checks import plain_values
from voxops.frames.records import build, platforms_in
from voxops.model import WAITING_STATUSES, WATCH, Cell, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient

_TYPED = 20  # ids that are looked at one by one before they are followed
_GROUP = {"post": "platform", "media": "content_type", "account": "platform", "delivery": "event_type"}
# What a deliveries frame knows of a delivery, by its name on the wire.
_DELIVERY = {
    "success": "success", "statusCode": "status_code", "latencyMs": "latency_ms", "retryCount": "retry_count", "error": "error",
    "deliveredAt": "delivered_at",
}  # fmt: skip


def things_of(things: Any, kind: str) -> dict[Polled, str]:
    """What to follow, each with the platform or group that the monitor counts it under.

    Parameters
    ----------
    things : DataFrame, Answer, str or iterable of str
        A frame needs the column ``post_id``, ``media_id``, ``account_id`` or ``delivery_id``, as `kind` says.
    kind : str
        What ids are; an answer knows its own kind.

    Raises
    ------
    PlanError
        If the frame has no such column.
    ConfigError
        If there is no such kind, or a delivery is named by its id alone.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"kind={kind!r}; ws.watch follows {', '.join(map(repr, get_args(Kind)))}")
    if isinstance(things, pd.DataFrame):
        return _of_frame(things, kind)  # type: ignore[arg-type]
    if isinstance(things, Answer) and things.job is not None:
        return dict.fromkeys(things.job.parts, "")
    ids = [things] if isinstance(things, str) else list(things) if isinstance(things, Iterable) else [None]
    if not all(isinstance(value, str) for value in ids):
        raise ConfigError("ws.watch takes a frame, ids, or what an asynchronous call of ws.client returned")
    if kind == "delivery":
        raise ConfigError("to watch a delivery, pass its row of ws.deliveries(); an id alone does not name the webhook")
    return {Polled(kind, (value,)): "" for value in ids}  # type: ignore[arg-type]


def _of_frame(frame: pd.DataFrame, kind: Kind) -> dict[Polled, str]:
    """The things of a frame."""
    column = f"{kind}_id"
    needed = [column, *(["webhook_id"] if kind == "delivery" else [])]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise PlanError(f"the frame has no column {', '.join(missing)}; give ids, or a frame that has it")
    if kind == "post" and "targets" in frame.columns:
        groups = list(map(platforms_in, frame["targets"]))
    else:
        groups = [str(value or "") for value in plain_values(frame, _GROUP[kind])]
    names = (column, "webhook_id", *_DELIVERY.values())
    things: dict[Polled, str] = {}
    for group, item, webhook, *values in zip(groups, *(plain_values(frame, name) for name in names), strict=True):
        if item is None or (kind == "delivery" and webhook is None):
            continue
        polled = Polled(kind, (str(item),))
        if kind == "delivery":
            before = {"id": item, **dict(zip(_DELIVERY, values, strict=True))}
            # One that has arrived is not expected to change.
            polled = replace(polled, webhook_id=webhook, before=None if before["success"] else before)
        things[polled] = group
    return things


async def refuse_unknown(client: AsyncClient, things: Collection[Polled]) -> None:
    """Refuse ids that name nothing: a word that was mistyped would be followed, and said to be gone.

    Raises
    ------
    ConfigError
        If one of a few ids, as people type them, is not there.
    """
    typed = [polled for polled in things if polled.kind != "delivery"]
    for polled in typed if len(typed) <= _TYPED else ():
        try:
            exists = await read_record(polled, client) is not None
        except ValidationError:  # a malformed id is refused before it is looked up
            exists = False
        if not exists:
            raise ConfigError(
                f"there is no {polled.kind} {polled.id[:60]!r} in this workspace; ws.watch takes a frame, ids as ws.posts() shows them, "
                f"or with kind= those of {', '.join(name for name in get_args(Kind) if name != 'post')}"
            )


@dataclass
class _Thing(Followed):
    """One thing that is watched.

    Attributes
    ----------
    group : str
        The platform or group that the monitor counts it under.
    settled_at : pandas.Timestamp
        When it was first read as ended; NaT before.
    """

    group: str = ""
    settled_at: Any = pd.NaT

    @property
    def shown(self) -> str:
        """Its status, for people."""
        return self.status or "not read yet"

    def may_end(self, until: float) -> bool:
        """Whether it may end without a person before an instant of the server's: what waits for longer, or for a person, does not (rule 14)."""
        if self.due is not None:
            return self.due.timestamp() <= until
        return self.status not in WAITING_STATUSES


class Watch:
    """Follows things until each has ended; reads only.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    things : mapping
        What is polled -> what it belongs to: the platform or group that the monitor counts it under.
    observer : Observer
        Who is notified of each new snapshot.

    Attributes
    ----------
    over : bool
        Whether the last pass has ended.
    """

    plan = None  # nothing was planned
    sends = False

    def __init__(self, client: AsyncClient, things: Mapping[Polled, str], observer: Observer) -> None:
        self._client = client
        self._reader = Reader(client)
        self._things = {polled.id: _Thing(polled, group=group) for polled, group in things.items()}
        kinds = {polled.kind for polled in things}
        noun = kinds.pop() if len(kinds) == 1 else "thing"
        plural = {"media": "media", "delivery": "deliveries"}.get(noun, "")
        run, title = f"watch_{secrets.token_hex(5)}", f"watch {safe.many(len(self._things), noun, plural)}"
        at = client.now()
        began = Snapshot(run, WATCH, title, "watching", at, at, self._cells(), pace=client.pace)
        self.id = run
        self._progress = Progress(client, observer, began)
        self._wake, self._notified = asyncio.Event(), set[str]()
        self._paused = False
        self.over: bool = False
        self._moves: list[Transition] = []

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""
        return self._progress.snapshot

    def moves(self, since: datetime | None = None) -> Mapping[int, Transition]:  # noqa: ARG002  they are few
        """The changes that were seen, each with its number, the first first."""
        return dict(enumerate(self._moves))

    async def pause(self, *, withdraw: bool = False) -> None:  # noqa: ARG002  nothing was sent
        """Look no more."""
        self.close()

    async def leave(self) -> None:
        """Nothing is sent."""

    allow = leave

    def resume(self, *, paused: bool = False) -> bool:  # noqa: ARG002  nothing is sent, so there is nothing to hold
        """Look again in this pass; True if it is over and another was made ready, which `go` works on."""
        self._paused = False
        again, self.over = self.over, False
        self._wake.set()
        return again

    def close(self) -> None:
        """End."""
        self._paused = True
        self._wake.set()

    def notify(self, subject: str) -> bool:
        """Look at a thing next; False if it has ended, or is not followed."""
        if subject not in {thing.job.id for thing in self._left()}:
            return False
        self._notified.add(subject)
        self._wake.set()
        return True

    async def go(self) -> Snapshot:
        """Look until everything has ended or the deadline has passed; what a webhook names is looked at when it comes."""
        clock, rng, looks, why = self._client._clock, random.Random(), 0, ""
        until = self._client.now().timestamp() + WATCH_FOR
        due = clock.monotonic()
        while (left := self._left()) and not self._paused:
            on_time, notified, self._notified = clock.monotonic() >= due, self._notified, set()
            try:
                moves = await self._look([thing for thing in left if on_time or thing.job.id in notified])
            except (TransportError, ServerError, DecodeError) as error:
                moves = []  # an outage of minutes, or a proxy's page, is read through; only the deadline ends the wait
                self._progress.show(replace(self.snapshot, note=f"{error}; reading goes on"))
            except VoxopsError as error:
                why = str(error)
                break
            self._moves += moves
            left = self._left()
            waits = Counter(thing.shown for thing in left)
            self._progress.show(replace(self.snapshot, cells=self._cells(), waits=waits), moves)
            if not any(thing.may_end(until) for thing in left):
                why = _why_waiting(left)
                break
            if self._client.now().timestamp() > until:
                why = f"still pending after {WATCH_FOR / 60:.0f} minutes; look at the dashboard"
                break
            if on_time:
                looks = 0 if moves else looks + 1
                due = clock.monotonic() + interval(looks, rng, self._reader.pages)
            await rest(clock, self._wake, due - clock.monotonic())
        self.over = True
        phase = "stopped" if why else "paused" if self._paused and self._left() else "done"
        note = f"{why.removesuffix('.')}; run.resume() watches on" if why else ""
        return self._progress.show(replace(self.snapshot, phase=phase, note=note))

    def _left(self) -> list[_Thing]:
        """Things that have not ended."""
        return [thing for thing in self._things.values() if thing.outcome is Outcome.PENDING]

    def _cells(self) -> tuple[Cell, ...]:
        return cells_of(Counter((thing.group, str(thing.outcome)) for thing in self._things.values()))

    async def _look(self, things: Iterable[_Thing]) -> list[Transition]:
        """Read these once; return what changed."""
        at, moves = self._client.now(), []
        for thing, read in await self._read(things):
            shown = thing.shown
            if not thing.see(read, self._client.now()):
                continue
            if thing.outcome is not Outcome.PENDING:
                thing.settled_at = pd.Timestamp(at)
            moves.append(Transition(at, thing.job.id, thing.group, shown, thing.status or "", thing.error))
        return moves

    async def _read(self, things: Iterable[_Thing]) -> list[tuple[_Thing, Any]]:
        """These with what was read of them, by the read that their kind calls for; a post that is looked at later is left out."""
        pairs: list[tuple[_Thing, Any]] = []
        posts, webhooks = dict[str, _Thing](), dict[str, dict[str, _Thing]]()
        for thing in sorted(things, key=lambda thing: thing.job.id):
            job = thing.job
            if job.kind == "post":
                posts[job.id] = thing
            elif job.kind == "delivery":
                webhooks.setdefault(job.webhook_id or "", {})[job.id] = thing
            else:
                pairs.append((thing, await read_record(job, self._client)))
        states = await self._reader.follow(posts)
        pairs += [(thing, states[post]) for post, thing in posts.items() if post in states]
        for webhook, group in webhooks.items():
            episodes = await self._reader.deliveries(webhook, group)
            pairs += [(thing, episodes.get(delivery)) for delivery, thing in group.items()]
        return pairs

    def results(self) -> pd.DataFrame:
        """One row per thing: ``id platform status outcome waiting_for error_message`` (string), ``settled_at`` (UTC).

        Where posts are watched, ``post_id`` (string) stands beside ``id``, so that the rows join with those of ``ws.posts()``.
        """
        things = list(self._things.values())
        ids = [thing.job.id for thing in things]
        posts = [thing.job.id if thing.job.kind == "post" else None for thing in things]
        text: dict[str, list[Any]] = {
            "id": ids,
            **({"post_id": posts} if any(posts) else {}),
            "platform": [thing.group for thing in things],
            "status": [thing.status for thing in things],
            "outcome": [str(thing.outcome) for thing in things],
            "waiting_for": [thing.shown if thing.outcome is Outcome.PENDING else None for thing in things],
            "error_message": [thing.error or None for thing in things],
        }
        table = pd.DataFrame({name: pd.array(values, dtype="string") for name, values in text.items()})
        settled = pd.DatetimeIndex([thing.settled_at for thing in things], dtype="datetime64[us, UTC]")
        return table.assign(settled_at=settled)

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:  # noqa: ARG002
        """The things that have failed."""
        table = self.results()
        return table[table["outcome"] == Outcome.FAILED]

    def replan(self) -> None:
        """Nothing was planned."""

    def to_mend(self) -> pd.DataFrame:
        """Nothing was planned."""
        raise PlanError("a watch has no rows to mend; vx.triage(ws.posts()) says what has failed and why")

    async def made(self, *, copies: bool = False) -> pd.DataFrame:
        """Nothing was made."""
        if copies:
            return build("posts", [])
        raise PlanError("a watch makes no posts; pass a run of vx.plan_create")


def _why_waiting(left: Sequence[_Thing]) -> str:
    """Why nothing of what is left may end soon, and when to look again; ``""`` where all has ended."""
    if not left:
        return ""
    due = min((thing.due for thing in left if thing.due is not None), default=None)
    then = "" if due is None else f", the first until {safe.instant(due)}"
    return f"{safe.many(len(left), 'post waits for its', 'posts wait for their')} time or for somebody{then}"
