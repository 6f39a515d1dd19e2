"""What the answer to one try proves (rules 16 and 17)."""

from __future__ import annotations

from enum import StrEnum

from voxops._support import canonical
from voxops.api.timing import is_ambiguous
from voxops.errors import NotFoundError

__all__ = [
    "Answer",
    "from_a_proxy",
    "judge",
    "leaves_open",
    "may_be_half_done",
    "may_still_run",
    "says_absent",
    "was_refused",
]


class Answer(StrEnum):
    """What one try proves."""

    TAKEN = "taken"  # 2xx: queued or done, by the row's word
    REFUSED = "refused"  # nothing happened, and nothing will
    THROTTLED = "throttled"  # nothing happened if the API says so; try again later
    STOP = "stop"  # nothing happened if the API says so, and no other request would fare better
    UNKNOWN = "unknown"  # nobody knows


_STOP_STATUSES = frozenset({401, 402, 403})
_IN_THE_MIDDLE = frozenset({402, 403, 429})
_ABOUT_THE_KEY = frozenset({"IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_IN_PROGRESS"})
_OF_THE_SERVER = frozenset({"BAD_GATEWAY", "GATEWAY_TIMEOUT", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"})
_TOO_LARGE = frozenset({413, 414, 431})  # to be read, by whoever says so


def judge(status: int, code: str, *, first_try: bool, spoken: bool = True) -> Answer:
    """Say what an answer proves.

    A 4xx proves that nothing happened only on the first try: after an ambiguous one it may be about a key or a state that
    the earlier try left behind (rule 16). An ``IDEMPOTENCY_CONFLICT`` is never a reason for a new key, and
    ``IDEMPOTENCY_IN_PROGRESS`` is a try that has not ended; a 409 without a code may be either. A quota, a scope or a refused
    key concern every request, so they stop the run, and leave the operation as it was before this try (rule 17), as a rate limit
    does, unless it is not the API that says so: a page with these statuses is no word about what it stood in for. Of a batch that is
    true of a refused key alone (`may_be_half_done`).

    `spoken` says whether the API itself can have answered: a page of what stands before it, or an empty answer, may replace the
    API's own, and is then no word about what happened, unless the request was too large to be passed on.
    """
    if status == 429:
        return Answer.THROTTLED
    if 200 <= status < 300:
        return Answer.TAKEN
    if is_ambiguous(status) or status < 400 or code in _ABOUT_THE_KEY or (status == 409 and not code):
        return Answer.UNKNOWN
    if status in _STOP_STATUSES or code == "IDEMPOTENCY_INVALID_KEY":
        return Answer.STOP
    believed = first_try and (spoken or status in _TOO_LARGE)
    return Answer.REFUSED if believed else Answer.UNKNOWN


def may_be_half_done(status: int) -> bool:
    """Whether a batch that the API refuses so may have been made up to there: what it may do may end in its middle (rule 17)."""
    return status in _IN_THE_MIDDLE


def may_still_run(code: str) -> bool:
    """Whether the server may still be executing what a key stands for, after it answered ambiguously.

    Only the API's own word, an error with a code, says that a request has ended; a gateway gives up while the server goes on. An
    error about the key itself says nothing of the request.
    """
    return not code or code in _ABOUT_THE_KEY


def leaves_open(code: str | None) -> bool:
    """Whether an item of the answer to a batch failed in a way that leaves open whether it was made: by the fault of the server."""
    return code in _OF_THE_SERVER


def says_absent(error: NotFoundError) -> bool:
    """Whether the API itself says that a thing does not exist: by an error as JSON; a page, or nothing, is a proxy's (rule 16)."""
    try:
        return bool(canonical.decode(error.body))
    except ValueError:
        return False


def from_a_proxy(status: int) -> str:
    """Why an answer is no word of the API's."""
    return f"{status} came without the API's own words, as from a proxy"


def was_refused(status: int | None, *, answered: bool) -> bool:
    """Whether a try was refused for good, which after an ambiguous one proves nothing by itself (rule 16).

    A time-out, a rate limit and a key still in use may pass; a 409 without the API's own word may be about the key, too.
    """
    status = status or 0
    return 400 <= status < 500 and status not in {408, 429} and (status != 409 or answered)
