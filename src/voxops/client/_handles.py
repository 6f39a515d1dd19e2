"""What an asynchronous call returns: a handle to follow, since its 2xx only means "queued" (contract: SEED)."""

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
    "delivery_status",
    "ending_of",
    "ending_of_post",
    "follow",
    "noted",
    "outcome_of",
    "read_delivery",
]

Kind = Literal["post", "media", "account", "delivery"]

# The header that tells the server's time has whole seconds, and a request may have taken effect just before its answer.
_GRAIN = timedelta(seconds=2)
_GOOD = frozenset({"published", "ready", "completed", "cancelled", "unpublished", "archived", "delivered"})
_BAD = frozenset({"gone", "error", "undelivered"})


@dataclass(frozen=True, slots=True)
class Ending:
    """The state of an asynchronous job.

    Attributes
    ----------
    status : str
        In lower case: the API's own word; ``delivered``, ``undelivered`` or ``queued`` for a delivery, which has none, and ``gone``
        for what no longer exists.
    outcome : Outcome
        ``succeeded``, ``failed``, or ``pending`` where it had not ended when the wait did.
    record : mapping
        The post, media file, account or delivery as it was read last, as the API sent it.
    """

    status: str
    outcome: Outcome
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handle:
    """An asynchronous job of the API; ``await handle`` follows it until it has ended, and so does ``ws.watch(handle)``.

    Awaiting reads the post, media file, account or delivery from time to time and returns an `Ending`: status, outcome, and the record
    as read last. After half an hour what has not ended is left ``pending``. A state that is older than the act is not taken for its
    outcome (rules 18, 19).

    Attributes
    ----------
    id : str
        Which one.
    kind : str
        ``post``, ``media``, ``account`` or ``delivery``.
    accepted : mapping
        The answer that accepted the work, as the API sent it. It is not the outcome.
    webhook_id : str or None
        The webhook that a delivery belongs to, None for the other kinds.
    accepted_at : datetime or None
        When it was accepted, by the server's clock.
    before : mapping or None
        A delivery or a failed post as it was before the act, since only its change shows that it was tried again; None where that
        shows nothing.
    sighted : bool
        Whether a post was seen on its way since the act: from then on any end is a new one.
    caller : Caller or None
        The client that reads when the handle is awaited; None where it was not made by one.
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
        """Follow it until it has ended."""
        if self.caller is None:
            raise ConfigError("this handle was not made by a client; follow it with ws.watch(handle)")
        return follow(self, self.caller).__await__()


def outcome_of(status: str | None) -> Outcome:
    """What a status means; an unknown one is never terminal (contract: 8.3)."""
    if status in _GOOD:
        return Outcome.SUCCEEDED
    return Outcome.FAILED if status in TERMINAL_STATUSES or status in _BAD else Outcome.PENDING


def ending_of(handle: Handle, record: Mapping[str, Any] | None, now: datetime) -> Ending:
    """Say how far the thing of a handle is, `now` in server time; a state older than the act says nothing (rules 18 and 19)."""
    if record is None:
        return Ending("gone", Outcome.FAILED, {})
    if handle.kind == "post":
        return ending_of_post(handle, read_post(record), now, record)
    if handle.kind == "delivery":
        status = delivery_status(handle, next(iter(read_deliveries([record]).values()), {}))
    else:
        status = polled_status(handle.kind, record)
    return Ending(status, outcome_of(status), record)


def ending_of_post(
    handle: Handle, state: PostState | None, now: datetime, record: Mapping[str, Any] | None = None
) -> Ending:
    """Say how far the post of a handle is; where nobody acted through the handle, its status alone says it."""
    if state is None:
        return Ending("gone", Outcome.FAILED, {})
    shown = (
        record if record is not None else {"id": state.post_id, "status": state.status, "updatedAt": state.updated_at}
    )
    outcome = outcome_of(state.status)
    if outcome is not Outcome.PENDING and not _believed(handle, state, now):
        outcome = Outcome.PENDING
    return Ending(state.status, outcome, shown)


def _believed(handle: Handle, state: PostState, now: datetime) -> bool:
    """Whether the end that a post shows is that of the act; what nobody acted on through the handle is as it is."""
    if handle.before is None and handle.accepted_at is None:
        return True
    baseline = _baseline(handle)
    # Nobody could read it before: only its time shows whether a success is new.
    if baseline is None and not handle.sighted:
        when = None if state.updated_at is None else datetime.fromisoformat(state.updated_at)
        return state.status == "published" and (when is None or when >= (handle.accepted_at or when) - _GRAIN)
    since = 0.0 if handle.accepted_at is None else (now - handle.accepted_at).total_seconds()
    tried = Attempted(baseline, since, handle.sighted or sighted(baseline, state), promised_counts(handle.accepted))
    one = handle.accepted.get("platformId")
    return post_ended(state, tried, None if one is None else str(one))


def noted(handle: Handle, state: PostState | None) -> Handle:
    """The handle of a post, which remembers whether it was seen on its way (rule 18)."""
    if state is None or handle.sighted or not sighted(_baseline(handle), state):
        return handle
    return replace(handle, sighted=True)


def delivery_status(handle: Handle, now: Mapping[str, Any]) -> str:
    """Whether a delivery was tried again since its state before the act, and how that ended (rule 19)."""
    if handle.before is None:  # nobody can tell an old failure from a new one
        return "delivered" if now.get("success") else "queued"
    before = next(iter(read_deliveries([handle.before]).values()), {})
    if not delivery_ended(before, now):
        return "queued"
    return "delivered" if now.get("success") else "undelivered"


def _baseline(handle: Handle) -> Baseline | None:
    """The post of a handle as it was read before the act."""
    state = None if handle.before is None else read_post(handle.before)
    return None if state is None else Baseline.of(state)


async def follow(handle: Handle, caller: Caller, patience: float = WATCH_FOR) -> Ending:
    """Read until the thing has ended or the patience is over; reads only."""
    began, looks = caller.clock.monotonic(), 0
    while True:
        record = await _read(handle, caller)
        ending = ending_of(handle, record, caller.now())
        if ending.outcome is not Outcome.PENDING or caller.clock.monotonic() - began > patience:
            return ending
        if handle.kind == "post" and record is not None:
            handle = noted(handle, read_post(record))
        await caller.clock.sleep(min(LONGEST_LOOK, FIRST_LOOK * 1.5**looks))
        looks += 1


async def before_act(reading: Awaitable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """A thing as it is before an act; None where the API does not show it, since a key that may act need not be one that may read."""
    try:
        return await reading
    except WaitTooLong:
        raise
    except ApiError:
        return None


async def read_delivery(caller: Caller, webhook_id: str, delivery_id: str) -> dict[str, Any] | None:
    """Find one delivery in its webhook's history, newest first; None if it is not listed."""
    where = deliveries_path(check_id("webhookId", webhook_id))
    async for page in caller.pages(where, {"limit": PAGE_RECORDS}):
        found = next((record for record in page.records if str(record.get("id")) == delivery_id), None)
        if found is not None:
            return found
    return None


async def _read(handle: Handle, caller: Caller) -> dict[str, Any] | None:
    """The thing as it is now, None if it does not exist."""
    if handle.kind == "delivery":
        return await read_delivery(caller, handle.webhook_id or "", handle.id)
    group = {"post": "posts", "account": "accounts", "media": "media"}[handle.kind]
    try:
        return single(await caller.request("GET", path(group, handle.id)))
    except NotFoundError:
        return None
