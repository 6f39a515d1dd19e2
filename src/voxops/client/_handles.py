"""Handles of asynchronous calls, to follow them to their end: their 2xx only means "queued" (contract: SEED)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from voxops.api.assumptions import deliveries_path, polled_status
from voxops.api.evidence import Attempted, Baseline, delivery_ended, post_ended, promised_counts, sighted
from voxops.api.fields import ident
from voxops.api.limits import PAGE_RECORDS
from voxops.api.states import PostState
from voxops.api.timing import FIRST_LOOK, LONGEST_LOOK, WATCH_FOR
from voxops.client._caller import Caller
from voxops.client._reply import single
from voxops.errors import ApiError, ConfigError, NotFoundError, WaitTooLong
from voxops.frames.records import read_deliveries, read_post
from voxops.model import TERMINAL_STATUSES, Outcome

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
    After half an hour an unfinished job is left ``pending``. A state from before the act is not taken for its outcome (rule 13).

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


@dataclass
class Followed:
    """A job that is followed, by an awaited handle or by a watch, as it was read last."""

    handle: Handle
    status: str | None = None  # None before it was read
    outcome: Outcome = Outcome.PENDING
    error: str = ""
    due: datetime | None = None  # when a scheduled post goes out

    def see(self, read: PostState | Mapping[str, Any] | None, now: datetime) -> bool:
        """Note what was read of it at an instant of the server, and return whether its status or outcome changed.

        That is the state of a post, the episode of a delivery, the record of another kind, or None for what does not exist. A state
        from before the act is ignored (rule 13).
        """
        before, handle = (self.status, self.outcome), self.handle
        self.due = None
        if read is None:
            self.status, self.outcome = "gone", Outcome.FAILED
        elif isinstance(read, PostState):
            outcome = outcome_of(read.status)
            believed = outcome is not Outcome.PENDING and _believed(handle, read, now)
            self.status, self.outcome = read.status, outcome if believed else Outcome.PENDING
            self.handle = _noted(handle, read)
            if read.status == "scheduled" and read.scheduled_for:
                self.due = datetime.fromisoformat(read.scheduled_for)
            self.error = next((target.error_message or "" for target in read.targets if target.status == "failed"), "")
        else:
            delivery = handle.kind == "delivery"
            self.status = _delivery_status(handle, read) if delivery else polled_status(handle.kind, read)
            self.outcome = outcome_of(self.status)
            failed = "" if read.get("success") else str(read.get("error") or "")
            self.error = failed if delivery else _issue(read)
        return before != (self.status, self.outcome)


def _issue(record: Mapping[str, Any]) -> str:
    """Return the first problem of a media file."""
    issues = record.get("validationResults")
    first = issues[0] if isinstance(issues, list) and issues else None
    return str(first.get("message") or "") if isinstance(first, Mapping) else ""


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


def _noted(handle: Handle, state: PostState) -> Handle:
    """Return the handle of a post, which records whether the post was seen in flight (rule 13)."""
    if handle.sighted or not sighted(_baseline(handle), state):
        return handle
    return replace(handle, sighted=True)


def _delivery_status(handle: Handle, now: Mapping[str, Any]) -> str:
    """Return the status of a delivery since the act; ``queued`` until a new try has ended (rule 13)."""
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
    job, began, polls = Followed(handle), caller.clock.monotonic(), 0
    while True:
        record = await read_record(handle, caller)
        read: PostState | Mapping[str, Any] | None = record
        if record is not None and handle.kind == "post":
            read = read_post(record)
        elif record is not None and handle.kind == "delivery":
            read = next(iter(read_deliveries([record]).values()), {})
        job.see(read, caller.now())
        if job.outcome is not Outcome.PENDING or caller.clock.monotonic() - began > patience:
            return Ending(job.status or "", job.outcome, record or {})
        await caller.clock.sleep(min(LONGEST_LOOK, FIRST_LOOK * 1.5**polls))
        polls += 1


async def read_before(handle: Handle, caller: Caller) -> dict[str, Any] | None:
    """Return a record before an act; None if it can't be read, since a key that may act need not have the scope to read."""
    try:
        return await read_record(handle, caller)
    except WaitTooLong:
        raise
    except ApiError:
        return None


async def read_record(handle: Handle, caller: Caller) -> dict[str, Any] | None:
    """Return the record of a job as it is now, None if it does not exist; a delivery is searched for from the newest."""
    if handle.kind == "delivery":
        where = deliveries_path(ident("webhookId", handle.webhook_id))
        async for page in caller.pages(where, {"limit": PAGE_RECORDS}):
            found = next((record for record in page.records if str(record.get("id")) == handle.id), None)
            if found is not None:
                return found
        return None
    group = {"post": "posts", "account": "accounts", "media": "media"}[handle.kind]
    try:
        reply = await caller.request("GET", f"/v1/{group}/{quote(ident('id', handle.id), safe='')}")
    except NotFoundError:
        return None
    record: dict[str, Any] = single(reply)
    return record
