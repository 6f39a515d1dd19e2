"""Asynchronous jobs, followed to their end: their 2xx only means "queued" (contract: SEED)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from voxops.api.assumptions import DELIVERIES_PATH, polled_status
from voxops.api.evidence import Attempted, Baseline, delivery_ended, post_ended, promised_counts, sighted
from voxops.api.limits import PAGE_RECORDS
from voxops.api.matrix import Endpoint, polled
from voxops.api.states import PostState
from voxops.api.timing import FIRST_LOOK, LONGEST_LOOK
from voxops.client.answer import Answer, Polled
from voxops.client.request import filled
from voxops.errors import ApiError, NotFoundError, WaitTooLong
from voxops.frames.records import read_deliveries, read_post
from voxops.model import TERMINAL_STATUSES, Outcome

_PATHS = {"post": "/v1/posts/:id", "account": "/v1/accounts/:id", "media": "/v1/media/:id"}
# The Date header has whole seconds, and a request may have taken effect just before its answer.
_GRAIN = timedelta(seconds=2)
_GOOD = frozenset({"published", "ready", "completed", "cancelled", "unpublished", "archived", "delivered"})
_BAD = frozenset({"gone", "error", "undelivered"})


@dataclass(frozen=True, slots=True)
class Ending:
    """The state of an asynchronous job after the wait.

    Attributes
    ----------
    status : str
        The API's status in lower case; ``gone`` if the record no longer exists. A delivery has no status of its own: it is
        ``delivered``, ``undelivered`` or ``queued``. For several media, it is the status of the first that has not succeeded.
    outcome : Outcome
        ``succeeded``, ``failed``, or ``pending`` if the wait ended before the job did.
    records : tuple of dict
        The post, media files, account or delivery as last read, as the API sent them.
    """

    status: str
    outcome: Outcome
    records: tuple[Mapping[str, Any], ...] = field(repr=False)


def job_of(row: Endpoint, path: str, body: Any = None) -> Polled | None:
    """Return the job of a call to an asynchronous row, as far as the call names it; None for the other rows."""
    kind: Any = polled(row)
    if kind is None:
        return None
    pairs = zip(row.path.split("/"), path.split("/"), strict=True)
    ids = [unquote(part) for name, part in pairs if name.startswith(":")]
    if kind == "delivery":
        return Polled(kind, (ids[1],), ids[0])
    fields = body.values() if isinstance(body, Mapping) else ()
    listed: list[Any] = next((value for value in fields if isinstance(value, list)), [])
    return Polled(kind, tuple(ids[:1]) or tuple(map(str, listed)))


def accepted(job: Polled, answer: Answer) -> Polled:
    """Return the job with the answer that accepted it, which names what an import creates."""
    ids = job.ids or (str(answer.record.get("id") or answer.record.get("mediaId") or ""),)
    return replace(job, ids=ids, accepted=answer.record, accepted_at=answer.date)


def _outcome_of(status: str | None) -> Outcome:
    """Return the outcome of a status; an unknown status is never terminal (contract: 8.3)."""
    if status in _GOOD:
        return Outcome.SUCCEEDED
    return Outcome.FAILED if status in TERMINAL_STATUSES or status in _BAD else Outcome.PENDING


@dataclass
class Followed:
    """One thing that is followed, by ``client.wait`` or by a watch, as it was read last.

    `sighted` tells that the post was seen in flight since the act: any later terminal status is a new one.
    """

    job: Polled
    status: str | None = None  # None before it was read
    outcome: Outcome = Outcome.PENDING
    error: str = ""
    due: datetime | None = None  # when a scheduled post goes out
    sighted: bool = False

    def see(self, read: PostState | Mapping[str, Any] | None, now: datetime) -> bool:
        """Record a reading at an instant of the server; return whether status or outcome changed.

        That is the state of a post, the episode of a delivery, the record of another kind, or None for what does not exist. A state
        from before the act is ignored (rule 13).
        """
        before, job = (self.status, self.outcome), self.job
        self.due, believed = None, True
        if read is None:
            self.status = "gone"
        elif isinstance(read, PostState):
            self.status, believed = read.status, self._believes(read, now)
            self.sighted = self.sighted or sighted(self._baseline, read)
            if read.status == "scheduled" and read.scheduled_for:
                self.due = datetime.fromisoformat(read.scheduled_for)
            self.error = next((target.error_message or "" for target in read.targets if target.status == "failed"), "")
        elif job.kind == "delivery":
            self.status = _delivery_status(job, read)
            self.error = "" if read.get("success") else str(read.get("error") or "")
        else:
            self.status, self.error = polled_status(job.kind, read), _issue(read)
        self.outcome = _outcome_of(self.status) if believed else Outcome.PENDING
        return before != (self.status, self.outcome)

    @cached_property
    def _baseline(self) -> Baseline | None:
        before = None if self.job.before is None else read_post(self.job.before)
        return None if before is None else Baseline.of(before)

    def _believes(self, state: PostState, now: datetime) -> bool:
        """Return whether the terminal status of a post comes from the act; True without an act."""
        job = self.job
        if job.before is None and job.accepted_at is None:
            return True
        baseline = self._baseline
        # It could not be read before the act: only its time shows whether a success is new.
        if baseline is None and not self.sighted:
            when = None if state.updated_at is None else datetime.fromisoformat(state.updated_at)
            return state.status == "published" and (when is None or when >= (job.accepted_at or when) - _GRAIN)
        since = 0.0 if job.accepted_at is None else (now - job.accepted_at).total_seconds()
        tried = Attempted(baseline, since, self.sighted or sighted(baseline, state), promised_counts(job.accepted))
        target = job.accepted.get("platformId")
        return post_ended(state, tried, None if target is None else str(target))


def _issue(record: Mapping[str, Any]) -> str:
    """Return the first problem of a media file."""
    issues = record.get("validationResults")
    first = issues[0] if isinstance(issues, list) and issues else None
    return str(first.get("message") or "") if isinstance(first, Mapping) else ""


def _delivery_status(job: Polled, now: Mapping[str, Any]) -> str:
    """Return the status of a delivery since the act; ``queued`` until a new try has ended (rule 13)."""
    # Without its state before the act, an old failure looks like a new one.
    before = None if job.before is None else _episode(job.before)
    ended = bool(now.get("success")) if before is None else delivery_ended(before, now)
    return "queued" if not ended else "delivered" if now.get("success") else "undelivered"


def _episode(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(iter(read_deliveries([record]).values()), {})


async def follow(job: Polled, client: Any, patience: float) -> Ending:
    """Poll until the job has ended or `patience` seconds are over; only reads."""
    things, records = [Followed(part) for part in job.parts], dict[str, Mapping[str, Any]]()
    began, polls = client._clock.monotonic(), 0
    while True:
        for thing in things:
            if thing.outcome is Outcome.PENDING:
                record: Any = await read_record(thing.job, client)
                records[thing.job.id] = record or {}
                if record is not None and job.kind == "post":
                    record = read_post(record)
                elif record is not None and job.kind == "delivery":
                    record = _episode(record)
                thing.see(record, client.now())
        rest = [thing for thing in things if thing.outcome is not Outcome.SUCCEEDED]
        pending = [thing for thing in rest if thing.outcome is Outcome.PENDING]
        if not pending or client._clock.monotonic() - began > patience:
            worst = (pending or rest or things)[0]
            return Ending(worst.status or "", worst.outcome, tuple(records.values()))
        await client._clock.sleep(min(LONGEST_LOOK, FIRST_LOOK * 1.5**polls))
        polls += 1


async def read_before(job: Polled, client: Any) -> dict[str, Any] | None:
    """Return a record before an act; None if it can't be read, because a key that may act need not have the scope to read."""
    try:
        return await read_record(job, client)
    except WaitTooLong:
        raise
    except ApiError:
        return None


async def read_record(job: Polled, client: Any) -> dict[str, Any] | None:
    """Return the record of a job as it is now, None if it does not exist; a delivery is searched for from the newest."""
    if job.kind == "delivery":
        async for page in client.pages(filled(DELIVERIES_PATH, [job.webhook_id]), {"limit": PAGE_RECORDS}):
            for record in page.records:
                if str(record.get("id")) == job.id:
                    return dict(record)
        return None
    try:
        answer: Answer = await client.request("GET", filled(_PATHS[job.kind], job.ids))
    except NotFoundError:
        return None
    return answer.record
