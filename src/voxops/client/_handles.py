"""What an asynchronous call returns: a handle to follow, since its 2xx only means "queued" (contract: SEED)."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from voxops.api.assumptions import deliveries_path, polled_status
from voxops.api.limits import PAGE_RECORDS
from voxops.client._caller import Caller, path
from voxops.client._checks import check_id
from voxops.client._reply import single
from voxops.errors import ApiError, ConfigError, NotFoundError
from voxops.frames.times import parse_times
from voxops.model import TERMINAL_STATUSES, Outcome

__all__ = ["Ending", "Handle", "Kind", "before_act", "ending_of", "follow", "on_its_way", "outcome_of", "read_delivery"]

Kind = Literal["post", "media", "account", "delivery"]

FIRST_LOOK, LONGEST_LOOK = 2.0, 30.0  # seconds (contract: MEDIAFLOW polls every two to three)
PATIENCE = 1800.0  # seconds after which what has not ended is left pending (contract: PLAY)
# The header with the server's time has whole seconds, and a request may have taken effect just before its answer.
_GRAIN = timedelta(seconds=2)
_GOOD = frozenset({"published", "ready", "completed", "cancelled", "unpublished", "archived", "delivered"})
_BAD = frozenset({"gone", "error", "undelivered"})
_RESULT = ("success", "statusCode", "latencyMs", "error", "deliveredAt")


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
        The post, medium, account or delivery as it was read last, as the API sent it.
    """

    status: str
    outcome: Outcome
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handle:
    """An asynchronous job of the API; ``await handle`` follows it until it has ended, and so does ``ws.watch(handle)``.

    Awaiting reads the post, medium, account or delivery from time to time and returns an `Ending`: status, outcome, and the record as read last. After half an
    hour what has not ended is left ``pending``. A state that is older than the act is not taken for its outcome (rules 18, 19).

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
    """

    id: str
    kind: Kind
    accepted: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    webhook_id: str | None = None
    accepted_at: datetime | None = None
    before: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
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


def ending_of(handle: Handle, record: Mapping[str, Any] | None) -> Ending:
    """Say how far the thing of a handle is; what is older than the act says nothing of it (rules 18 and 19)."""
    if record is None:
        return Ending("gone", Outcome.FAILED, {})
    if handle.kind == "delivery":
        status = _delivery_status(handle.before, record)
        return Ending(status, outcome_of(status), record)
    status = polled_status(handle.kind, record)
    outcome = outcome_of(status)
    if handle.kind == "post" and not _moved(handle, record):
        outcome = Outcome.PENDING
    return Ending(status, outcome, record)


def on_its_way(handle: Handle, ending: Ending) -> Handle:
    """The handle of a post that was seen on its way: from now on any end is a new one, whatever its time stamp (rule 18)."""
    if handle.kind != "post" or outcome_of(ending.status) is not Outcome.PENDING:
        return handle
    return replace(handle, before=None, accepted_at=None)


async def follow(handle: Handle, caller: Caller, patience: float = PATIENCE) -> Ending:
    """Read until the thing has ended or the patience is over; reads only."""
    began, looks = caller.clock.monotonic(), 0
    while True:
        ending = ending_of(handle, await _read(handle, caller))
        if ending.outcome is not Outcome.PENDING or caller.clock.monotonic() - began > patience:
            return ending
        handle = on_its_way(handle, ending)
        await caller.clock.sleep(min(LONGEST_LOOK, FIRST_LOOK * 1.5**looks))
        looks += 1


async def before_act(reading: Awaitable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """A thing as it is before an act; None where the API does not show it, since a key that may act need not be one that may read."""
    try:
        return await reading
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


def _delivery_status(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    """Whether a delivery was tried again since it was read before the act, and how that ended (rule 19)."""
    known = before or {}
    moved = before is None or any(known.get(name) != now.get(name) for name in _RESULT)
    was, now_is = known.get("retryCount"), now.get("retryCount")
    counted = was is None or now_is is None or now_is > was
    if not (moved and counted):
        return "queued"
    if now.get("success"):
        return "delivered"
    # Without a state before the act nobody can tell an old failure from a new one.
    return "queued" if before is None else "undelivered"


def _moved(handle: Handle, record: Mapping[str, Any]) -> bool:
    """Whether a post has changed since it was read before the act, or, if it was not, since the act; if no time tells, it has."""
    before = None if handle.before is None else handle.before.get("updatedAt")
    was, now = parse_times([before, record.get("updatedAt")])
    if was == was and now == now:  # noqa: PLR0124  NaT is no time
        return bool(now > was)
    return handle.accepted_at is None or now != now or bool(now >= handle.accepted_at - _GRAIN)  # noqa: PLR0124
