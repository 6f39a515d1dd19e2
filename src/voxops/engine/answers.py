"""What the end of one try proves: `reduce(call, event)` as a table (rule 12). Pure.

A 4xx proves that nothing happened only on the first try, and only as the API's own word: a page of what stands before it may replace the
answer. A 402, 403 or 429 proves nothing about a batch, because a limit may have broken it off in its middle. After an ambiguous try a 4xx
proves nothing at all: it may be about a key, or a state, that the earlier try left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from voxops._support import canonical
from voxops.api.error_bodies import read_answer
from voxops.api.limits import is_ambiguous
from voxops.api.reasons import Reason

ABOUT_THE_KEY = frozenset({"IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_IN_PROGRESS"})
TOO_LARGE = frozenset({413, 414, 431})  # to be read, by whoever says so
LONGEST_MESSAGE = 500  # characters of a server's message that are kept
_OF_THE_SERVER = frozenset({"BAD_GATEWAY", "GATEWAY_TIMEOUT", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"})
_ACCEPTED = 202


@dataclass(frozen=True, slots=True)
class Event:
    """The end of one try.

    Attributes
    ----------
    status : int or None
        Of the answer; None where none came.
    data : object
        The decoded answer; None for one that is empty or no JSON.
    sent : bool
        Whether the request may have arrived.
    first : bool
        Whether nothing of the call can have happened before.
    batch : bool
        Whether the call carries several creates.
    creates : bool
        Whether it creates posts.
    decodes : bool
        Whether a 2xx has the shape of its row, and is about this call.
    polled : bool
        Whether a 2xx only means "queued".
    page : bool
        Whether a page with this status has refused the same rows before, and nothing came of it.
    asks_to_wait : bool
        Whether it has a ``Retry-After``.
    """

    status: int | None
    data: Any = None
    sent: bool = True
    first: bool = True
    batch: bool = False
    creates: bool = False
    decodes: bool = False
    polled: bool = False
    page: bool = False
    asks_to_wait: bool = False

    @property
    def code(self) -> str:
        """The API's code; ``""`` for none."""
        return read_answer(self.data).code

    @property
    def message(self) -> str:
        """The API's words."""
        return read_answer(self.data).message[:LONGEST_MESSAGE]

    @property
    def said(self) -> Reason:
        """What was answered, for people."""
        return _said(self) if self.data else _by_proxy(self)

    @property
    def row(self) -> int | None:
        """The row of a batch that it names."""
        return read_answer(self.data).row

    @property
    def spoken(self) -> bool:
        """Whether the API itself has answered."""
        return bool(self.data) or self.page


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of a call.

    Attributes
    ----------
    state : str
        ``unsent`` (as before the try), ``accepted``, ``unknown``, ``limited``, ``refused`` (its rows have failed, but for what its items
        or a named row say) or ``answered`` (its items settle its rows; the others are unknown).
    reason : Reason or None
        Why it is not settled.
    stops : bool
        Whether no other request would fare better, so that the run stops.
    throttled : bool
        Whether a rate limit refused it.
    never_again : bool
        Whether its key was refused, so that it is not sent again.
    """

    state: str
    reason: Reason | None = None
    stops: bool = False
    throttled: bool = False
    never_again: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table: the rule, when it holds, and what it makes of the call."""

    rule: int
    name: str
    holds: Callable[[Event], bool]
    ending: Callable[[Event], Ending]


def _between(event: Event, low: int, high: int) -> bool:
    return event.status is not None and low <= event.status < high


def _said(event: Event) -> Reason:
    code = f" {event.code}" if event.code else ""
    return Reason("key_conflict" if event.code in ABOUT_THE_KEY else "answered", status=event.status, said=code)


def _is_of_another_body(event: Event) -> bool:
    return event.creates and event.code == "IDEMPOTENCY_CONFLICT" and _between(event, 400, 500)


def _by_proxy(event: Event) -> Reason:
    return Reason("answered_by_proxy", status=event.status)


CASES: tuple[Case, ...] = (
    Case(12, "no connection was made", lambda e: not e.sent, lambda _: Ending("unsent")),
    Case(9, "no answer came", lambda e: e.status is None, lambda _: Ending("unknown", Reason("no_answer_came"))),
    Case(12, "a create that is only accepted may still be refused", lambda e: e.status == _ACCEPTED and e.creates,
         lambda _: Ending("unknown", Reason("answer_unreadable"))),
    Case(12, "a 2xx that does not decode, or is about something else", lambda e: _between(e, 200, 300) and not e.decodes,
         lambda _: Ending("unknown", Reason("answer_unreadable"))),
    Case(13, "a 2xx that means queued", lambda e: _between(e, 200, 300) and e.polled, lambda _: Ending("accepted")),
    Case(12, "a 2xx whose items count", lambda e: _between(e, 200, 300), lambda _: Ending("answered", Reason("answer_without_row"))),
    Case(12, "a rate limit, by a page", lambda e: e.status == 429 and not (e.data or e.asks_to_wait),
         lambda e: Ending("unknown", _by_proxy(e), throttled=True)),
    Case(12, "a rate limit, of a call in doubt", lambda e: e.status == 429 and not e.first,
         lambda _: Ending("unknown", Reason("rate_limited"), throttled=True)),
    Case(12, "a rate limit, in the middle of a batch perhaps", lambda e: e.status == 429 and e.batch,
         lambda _: Ending("limited", Reason("rate_limited"), throttled=True)),
    Case(12, "a rate limit", lambda e: e.status == 429, lambda _: Ending("unsent", throttled=True)),
    Case(12, "the key is still in use", lambda e: e.code == "IDEMPOTENCY_IN_PROGRESS", lambda _: Ending("unknown", Reason("still_executing"))),
    Case(12, "a create's key is of another body once more, and nothing came of that", lambda e: _is_of_another_body(e) and e.page and e.first,
         lambda _: Ending("refused")),
    Case(12, "a create's key is of another body, as where a laptop sends other metadata", _is_of_another_body,
         lambda e: Ending("unknown", _said(e), never_again=True)),
    Case(12, "an error about the key, or a 409 without a word", lambda e: e.code in ABOUT_THE_KEY or (e.status == 409 and not e.code),
         lambda e: Ending("unknown", _said(e))),
    Case(9, "an ambiguous status", lambda e: is_ambiguous(e.status or 0) or (e.status or 0) < 400, lambda e: Ending("unknown", _said(e))),
    Case(12, "a quota or a scope, by a page", lambda e: e.status in {401, 402, 403} and not e.data,
         lambda e: Ending("unknown", _by_proxy(e), stops=True)),
    Case(12, "a quota or a scope, in the middle of a batch perhaps", lambda e: e.status in {402, 403} and e.batch and e.first,
         lambda _: Ending("limited", Reason("rate_limited"), stops=True)),
    Case(12, "a refused key, a quota or a scope", lambda e: e.status in {401, 402, 403} or e.code == "IDEMPOTENCY_INVALID_KEY",
         lambda e: Ending("unsent" if e.first else "unknown", _said(e), stops=True)),
    Case(12, "a refusal after a try in doubt", lambda e: not e.first, lambda e: Ending("unknown", _said(e), never_again=True)),
    Case(12, "a refusal by a page", lambda e: not e.spoken and e.status not in TOO_LARGE,
         lambda e: Ending("unknown", _by_proxy(e), never_again=True)),
    Case(12, "a refusal", lambda _: True, lambda _: Ending("refused")),
)  # fmt: skip


def reduce(event: Event) -> Ending:
    """Return what the end of a try makes of its call: the first case that holds."""
    return next(case.ending(event) for case in CASES if case.holds(event))


def still_runs(event: Event) -> bool:
    """Whether the server may still execute a request after it answered ambiguously.

    Only the API's own word, an error with a code, says that it has ended. A gateway gives up while the server goes on, and an error about
    the key itself says nothing of the request.
    """
    return not event.code or event.code in ABOUT_THE_KEY


def leaves_open(code: str | None) -> bool:
    """Whether an item of a batch failed by the server's own fault, so that the post may be there (rule 12)."""
    return code in _OF_THE_SERVER


def decoded(body: bytes | None) -> Any:
    """An answer as JSON; None where there is none, or it is none."""
    try:
        data = canonical.decode(body or b"")
    except ValueError:
        return None
    return data if isinstance(data, Mapping | list | str) else None
