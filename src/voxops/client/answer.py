"""The API's answer: its JSON, read leniently, its items and its error, and the asynchronous job that it began, followed to its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Literal, NoReturn
from urllib.parse import unquote

from voxops._support import canonical, safe
from voxops._support.eventloop import collector_paused
from voxops.api.assumptions import DELIVERIES_PATH, polled_status
from voxops.api.error_bodies import ErrorBody, read_answer, read_error
from voxops.api.evidence import Attempted, Baseline, delivery_ended, post_ended, promised_counts, sighted
from voxops.api.limits import FIRST_LOOK, LONGEST_LOOK, PAGE_RECORDS, retry_after
from voxops.api.matrix import Endpoint, polled
from voxops.api.states import PostState
from voxops.client.request import filled
from voxops.errors import (
    ApiError,
    AuthError,
    ConflictError,
    DecodeError,
    NotFoundError,
    RateLimitError,
    ServerError,
    ValidationError,
    WaitTooLong,
)
from voxops.frames.records import read_deliveries, read_post
from voxops.model import TERMINAL_STATUSES, Outcome

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "x-correlation-id")
_ITEM_IDS = ("postId", "mediaId", "platformId", "accountId", "id")
_END_OF_TIMES = 2262  # a later year is a fault, and times count nanoseconds since 1970 in 64 bits
_LONGEST = 500  # characters of a server's message in an error text
# The class of an error depends on the status only (contract: ERR).
_ERRORS: Mapping[int, type[ApiError]] = {
    400: ValidationError, 401: AuthError, 402: AuthError, 403: AuthError, 404: NotFoundError, 409: ConflictError, 422: ValidationError,
}  # fmt: skip
# What to do about an error of the configuration.
_REMEDIES = {
    401: ". Check the API key: VOXBURST_API_KEY or api_key=",
    402: ". The plan's quota is used up",
    403: ". The API key lacks the scope for this call; scopes are set in the dashboard",
}

Kind = Literal["post", "media", "account", "delivery"]
_PATHS = {"post": "/v1/posts/:id", "account": "/v1/accounts/:id", "media": "/v1/media/:id"}
# The Date header has whole seconds, and a request may have taken effect just before its answer.
_GRAIN = timedelta(seconds=2)
_GOOD = frozenset({"published", "ready", "completed", "cancelled", "unpublished", "archived", "delivered"})
_BAD = frozenset({"gone", "error", "undelivered"})


@dataclass(frozen=True, slots=True)
class Polled:
    """What is read until it has ended: the job of an asynchronous call, or what a watch follows.

    Attributes
    ----------
    kind : str
        ``post``, ``media``, ``account`` or ``delivery``.
    ids : tuple of str
        Ids of the post, media files, account or delivery.
    webhook_id : str or None
        The webhook of a delivery, None for the other kinds.
    accepted : mapping
        The answer that accepted it, as the API sent it. It is not the outcome.
    accepted_at : datetime or None
        When it was accepted, by the server's clock.
    before : mapping or None
        A delivery or a post before the act: only a change shows that it was tried again. None if unknown or not needed.
    """

    kind: Kind
    ids: tuple[str, ...]
    webhook_id: str | None = None
    accepted: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    accepted_at: datetime | None = None
    before: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)

    @property
    def id(self) -> str:
        """Its id, the first of several."""
        return self.ids[0]

    @property
    def parts(self) -> list[Polled]:
        """One job per id."""
        return [replace(self, ids=(part,)) for part in self.ids]


@dataclass(frozen=True)
class Answer:
    """One answer of the API.

    Attributes
    ----------
    endpoint : str
        Method and path of the request.
    status : int
        HTTP status.
    headers : mapping
        Names in lower case.
    body : bytes
        As received.
    broken : str
        Why `body` is incomplete, such as ``with more than 67,108,864 bytes``; ``""`` if it is complete.
    row : Endpoint or None
        The row of the matrix that governs the request, None for a read.
    items : tuple of dict
        For the six rows that can half succeed, one per item: ``index status id error``, so that ``pd.DataFrame(answer.items)`` is a
        frame; empty for the others. Read each, whatever the status of the whole was.
    job : Polled or None
        For the nine asynchronous rows, what ``await client.wait(answer)`` follows: their 2xx only means "queued" (contract: SEED).
    """

    endpoint: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    broken: str = ""
    row: Endpoint | None = None
    items: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    job: Polled | None = None

    @cached_property
    def json(self) -> Any:
        """The body as JSON, None if it is empty.

        Raises
        ------
        DecodeError
            If the body is not JSON, or is incomplete.
        """
        if self.broken:
            self.refuse(f"answered {self.status} {self.broken}; it was not read")
        if not self.body.strip():
            return None
        try:
            with collector_paused():
                return canonical.decode(self.body)
        except ValueError:
            what = "a web page" if _is_page(self) else f"{len(self.body)} bytes that are not JSON"
        return self.refuse(f"answered {self.status} with {what}. Is the address right? Check url= or VOXBURST_API_URL")

    @property
    def record(self) -> dict[str, Any]:
        """The one object in the body, bare or as ``{data: {…}}`` (contract: section 2); ``{}`` for an empty body, else DecodeError."""
        data = {} if self.json is None else self.json
        if not isinstance(data, dict):
            self.refuse(f"answered with a {type(data).__name__} where one object was expected")
        inner = data.get("data")
        return inner if isinstance(inner, dict) and "id" not in data else data

    def refuse(self, what: str) -> NoReturn:
        """Raise a DecodeError that says what is wrong with it."""
        raise DecodeError(f"{self.endpoint} {what}", endpoint=self.endpoint, status=self.status, body=self.body)

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def date(self) -> datetime | None:
        """The time in the ``Date`` header, in whole seconds; None if it is absent or unreadable, or of a year that no clock can show yet."""
        try:
            date = parsedate_to_datetime(self.headers.get("date", ""))
            date = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):  # the offset may lead to a year out of range
            return None
        return date if date.year < _END_OF_TIMES else None

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""
        named = next((self.headers[name] for name in _REQUEST_IDS if name in self.headers), None)
        return None if named is None else safe.plain(named)


def _is_page(answer: Answer) -> bool:
    html = re.match(rb"\s*<(!doctype|html)", answer.body, re.IGNORECASE)
    return html is not None or "html" in answer.headers.get("content-type", "")


def items_of(row: Endpoint, answer: Answer) -> tuple[dict[str, Any], ...]:
    """Return the items of an answer to a row that can half succeed: ``index status id error`` of each.

    Raises
    ------
    DecodeError
        If the answer to a request for many items has no results: the outcome of its items is unknown.
    """
    data = answer.record
    if row.is_async:  # one post: what of it was queued again, and what was not
        named = (("retried", "retriedPlatforms"), ("skipped", "skippedPlatforms"))
        entries = [(status, entry) for status, name in named for entry in _entries(data, name)] or [("", data)]
    elif isinstance(data.get("results"), list):
        entries = [("", entry) for entry in _entries(data, "results")]
    else:
        answer.refuse(f"answered {answer.status} without results; the outcome of its items is unknown")
    return tuple(_item(number, status, entry) for number, (status, entry) in enumerate(entries))


def _entries(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    values = data.get(name)
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _item(number: int, status: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    problem = entry.get("errors") or entry.get("error") or (status == "skipped" and entry.get("reason")) or None
    error = read_error(problem)
    text = ": ".join(filter(None, (error.code, error.message))) or None
    return {
        "index": entry.get("index", number),
        "status": status or str(entry.get("status") or "").lower() or ("failed" if text else "succeeded"),
        "id": next((str(entry[name]) for name in _ITEM_IDS if entry.get(name)), None),
        "error": text,
    }


def error_of(answer: Answer, *, url: str, now: datetime, redact: Callable[[Any], Any]) -> ApiError | None:
    """Return the error of an answer, None if it is a success.

    `redact` removes the API key from a decoded value: a server may echo it in a form that redaction of the raw body misses.
    """
    if answer.ok:
        return None
    try:
        error = read_answer(answer.json)
    except DecodeError:
        error = ErrorBody(message="a web page" if _is_page(answer) else "")
    error = ErrorBody(*redact(list(error)))
    # The server's text may be printed in a terminal, so control characters are removed.
    code, message = safe.plain(error.code), safe.plain(safe.without_queries(error.message), _LONGEST)
    words = f"{answer.endpoint} answered {answer.status} {code}".rstrip() + (f": {message}" if message else "")
    if 300 <= answer.status < 400:
        words += ". Redirects are not followed, so that the API key stays with its host; give the final address as url="
    elif _is_page(answer) and answer.status < 500:
        words += f". Is {url} the API's address? Check url= or VOXBURST_API_URL"
    else:
        words += _REMEDIES.get(answer.status, "")
    facts: dict[str, Any] = {
        "status": answer.status, "code": code, "details": error.details, "request_id": answer.request_id, "body": answer.body,
    }  # fmt: skip
    if answer.status == 429:
        return RateLimitError(words, retry_after=retry_after(answer.headers.get("retry-after"), now), **facts)
    return _ERRORS.get(answer.status, ServerError if answer.status >= 500 else ApiError)(words, **facts)


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
