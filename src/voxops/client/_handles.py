"""Handles of asynchronous calls, to follow them to their end: their 2xx only means "queued" (contract: SEED)."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from voxops.api.assumptions import deliveries_path, polled_status
from voxops.api.evidence import Attempted, Baseline, delivery_ended, post_ended, promised_counts, sighted
from voxops.api.limits import PAGE_RECORDS
from voxops.api.states import PostState
from voxops.api.timing import FIRST_LOOK, LONGEST_LOOK, WATCH_FOR
from voxops.client._caller import Caller, path
from voxops.client._checks import check_id
from voxops.client._reply import single
from voxops.errors import ApiError, ConfigError, NotFoundError, WaitTooLong
from voxops.frames.records import read_deliveries, read_post
from voxops.model import TERMINAL_STATUSES, Outcome

__all__ = [
    "Ending",
    "Handle",
    "Kind",
    "before_act",
    "follow",
    "how_far",
    "noted",
    "read_delivery",
]

Kind = Literal["post", "media", "account", "delivery"]

# The Date header has whole seconds, and a request may have taken effect just before its answer.
_GRAIN = timedelta(seconds=2)
_GOOD = frozenset({"published", "ready", "completed", "cancelled", "unpublished", "archived", "delivered"})
_BAD = frozenset({"gone", "error", "undelivered"})


@dataclass(frozen=True, slots=True)
class Ending:
    """The state of an asynchronous job.

    Attributes
    ----------
    status : str
        The API's status in lower case; ``gone`` if the record no longer exists. A delivery has no status of its own: it is
        ``delivered``, ``undelivered`` or ``queued``.
    outcome : Outcome
        ``succeeded``, ``failed``, or ``pending`` if the wait ended before the job did.
    record : mapping
        The post, media file, account or delivery as last read, as the API sent it.
    """

    status: str
    outcome: Outcome
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handle:
    """An asynchronous job of the API; ``await handle`` follows it to its end, and so does ``ws.watch(handle)``.

    Awaiting polls the post, media file, account or delivery and returns an `Ending`: status, outcome, and the record as last read.
    After half an hour an unfinished job is left ``pending``. A state from before the act is not taken for its outcome (rules 18, 19).

    Attributes
    ----------
    id : str
        Id of the post, media file, account or delivery.
    kind : str
        ``post``, ``media``, ``account`` or ``delivery``.
    accepted : mapping
        The answer that accepted the job, as the API sent it. It is not the outcome.
    webhook_id : str or None
        The webhook of a delivery, None for the other kinds.
    accepted_at : datetime or None
        When it was accepted, by the server's clock.
    before : mapping or None
        A delivery or a failed post before the act: only a change shows that it was tried again. None if unknown or not needed.
    sighted : bool
        Whether the post was seen in flight since the act: any later terminal status is a new one.
    caller : Caller or None
        The client that polls when the handle is awaited; None if the handle has no client.
    """

    id: str
    kind: Kind
    accepted: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    webhook_id: str | None = None
    accepted_at: datetime | None = None
    before: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    sighted: bool = field(default=False, repr=False, compare=False)
    caller: Caller | None = field(default=None, repr=False, compare=False)

    def __await__(self) -> Generator[Any, None, Ending]:
        """Follow it to its end."""
        if self.caller is None:
            raise ConfigError("this handle has no client; follow it with ws.watch(handle)")
        return follow(self, self.caller).__await__()


def outcome_of(status: str | None) -> Outcome:
    """Return the outcome of a status; an unknown status is never terminal (contract: 8.3)."""
    if status in _GOOD:
        return Outcome.SUCCEEDED
    return Outcome.FAILED if status in TERMINAL_STATUSES or status in _BAD else Outcome.PENDING


def how_far(handle: Handle, read: PostState | Mapping[str, Any] | None, now: datetime) -> tuple[str, Outcome]:
    """Return status and outcome of a handle's job by what was read of it; a state from before the act is ignored (rules 18 and 19).

    Parameters
    ----------
    handle : Handle
        The job.
    read : PostState, mapping or None
        The state of a post, the episode of a delivery, the record of another kind; None for one that does not exist.
    now : datetime
        Server time.
    """
    if read is None:
        return "gone", Outcome.FAILED
    if isinstance(read, PostState):
        outcome = outcome_of(read.status)
        ended = outcome is not Outcome.PENDING and _believed(handle, read, now)
        return read.status, outcome if ended else Outcome.PENDING
    status = delivery_status(handle, read) if handle.kind == "delivery" else polled_status(handle.kind, read)
    return status, outcome_of(status)


def _believed(handle: Handle, state: PostState, now: datetime) -> bool:
    """Return whether the terminal status of a post comes from the act; True without an act through the handle."""
    if handle.before is None and handle.accepted_at is None:
        return True
    baseline = _baseline(handle)
    # It could not be read before the act: only its time shows whether a success is new.
    if baseline is None and not handle.sighted:
        when = None if state.updated_at is None else datetime.fromisoformat(state.updated_at)
        return state.status == "published" and (when is None or when >= (handle.accepted_at or when) - _GRAIN)
    since = 0.0 if handle.accepted_at is None else (now - handle.accepted_at).total_seconds()
    tried = Attempted(baseline, since, handle.sighted or sighted(baseline, state), promised_counts(handle.accepted))
    one = handle.accepted.get("platformId")
    return post_ended(state, tried, None if one is None else str(one))


def noted(handle: Handle, state: PostState) -> Handle:
    """Return the handle of a post, which records whether the post was seen in flight (rule 18)."""
    if handle.sighted or not sighted(_baseline(handle), state):
        return handle
    return replace(handle, sighted=True)


def delivery_status(handle: Handle, now: Mapping[str, Any]) -> str:
    """Return the status of a delivery since the act; ``queued`` until a new try has ended (rule 19)."""
    if handle.before is None:  # an old failure looks like a new one
        return "delivered" if now.get("success") else "queued"
    before = next(iter(read_deliveries([handle.before]).values()), {})
    if not delivery_ended(before, now):
        return "queued"
    return "delivered" if now.get("success") else "undelivered"


def _baseline(handle: Handle) -> Baseline | None:
    state = None if handle.before is None else read_post(handle.before)
    return None if state is None else Baseline.of(state)


async def follow(handle: Handle, caller: Caller, patience: float = WATCH_FOR) -> Ending:
    """Poll until the job has ended or `patience` seconds are over; only reads."""
    began, polls = caller.clock.monotonic(), 0
    while True:
        record = await _read(handle, caller)
        read: PostState | Mapping[str, Any] | None = record
        if record is not None and handle.kind == "post":
            read = read_post(record)
        elif record is not None and handle.kind == "delivery":
            read = next(iter(read_deliveries([record]).values()), {})
        status, outcome = how_far(handle, read, caller.now())
        if outcome is not Outcome.PENDING or caller.clock.monotonic() - began > patience:
            return Ending(status, outcome, record or {})
        if isinstance(read, PostState):
            handle = noted(handle, read)
        await caller.clock.sleep(min(LONGEST_LOOK, FIRST_LOOK * 1.5**polls))
        polls += 1


async def before_act(reading: Awaitable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Return a record before an act; None if it can't be read, since a key that may act need not have the scope to read."""
    try:
        return await reading
    except WaitTooLong:
        raise
    except ApiError:
        return None


async def read_delivery(caller: Caller, webhook_id: str, delivery_id: str) -> dict[str, Any] | None:
    """Return one delivery from its webhook's history, searched from the newest; None if it is not listed."""
    where = deliveries_path(check_id("webhookId", webhook_id))
    async for page in caller.pages(where, {"limit": PAGE_RECORDS}):
        found = next((record for record in page.records if str(record.get("id")) == delivery_id), None)
        if found is not None:
            return found
    return None


async def _read(handle: Handle, caller: Caller) -> dict[str, Any] | None:
    """Return the record as it is now, None if it does not exist."""
    if handle.kind == "delivery":
        return await read_delivery(caller, handle.webhook_id or "", handle.id)
    group = {"post": "posts", "account": "accounts", "media": "media"}[handle.kind]
    try:
        return single(await caller.request("GET", path(group, handle.id)))
    except NotFoundError:
        return None
