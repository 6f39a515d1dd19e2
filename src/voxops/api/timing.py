"""Timeouts, grace periods and intervals, each with its reason, in seconds unless the name says otherwise."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# -- the age of readings, in ledger time

# Maximum age of the read before a send: the post may have changed during a long rate-limit pause, or while the laptop slept
# (rule 7).
CLEARED_FOR = 120.0
# The same for creates, whose list must be current: a colleague may send the same sheet at the same time (rule 10).
CREATES_CLEARED_FOR = 15.0
# From the transaction that writes a call as sent to its first byte: what was decided there may be otherwise later (rule 7).
LEAVES_WITHIN = 15.0
CREATES_FRESH_FOR = 10.0  # after which the list is reread before creates are sent (rule 10)
FRESH_FOR = 60.0  # after which the subject of a request is reread before it is sent (rule 1)

# -- server time

CLOCKS_DIFFER = 5.0  # by which server time, in whole seconds, may seem to go back
SKEW = 300.0  # by which two clocks of the server may differ (rules 9 and 11)

# -- after a try, before a read is evidence (rule 9)

# A read that began this long after the end of a try allows a resend under its key. Queued work is visible within seconds of the
# response, but a request without a response may still be executed for a minute.
# Lists may lag behind; these waits allow for up to a minute.
RESEND_ANSWERED, RESEND_UNANSWERED = 75.0, 135.0
PROOF_AFTER = 300.0  # before absence is evidence (rule 11)

# -- after a try, before an end counts (rule 13)

# How long a retry count may be at the promised value beside the old status: it may rise when the try is queued.
# How long after its last try a post without our marks may still be a row: an answer and its `createdAt` may be of two clocks (rule 11).
CREATED_WITHIN = 600.0
COUNT_SETTLES_AFTER = 30.0
STUCK_AFTER = timedelta(minutes=10)  # after which a post in flight counts as stuck (contract: PLAY; rules 3 and 13)
SERVER_RETRIES_FOR = timedelta(hours=1)  # during which the API may still retry a delivery itself (rule 13)

# -- polling

FIRST_LOOK = 2.0  # until the first poll; the API normally publishes within seconds (contract: MEDIAFLOW)
LONGEST_LOOK = 30.0  # maximum between two polls
PER_PAGE = 2.0  # between two polls, per page of a poll
LONGEST_REST = 120.0  # maximum between two reads of a list that somebody waits for
WATCH_FOR = 1800.0  # of watching, after which the rest stays pending (contract: PLAY)
# How long a scan of the list of new posts is valid below its top, and at least this multiple of its own duration: a scan of
# thousands of posts takes most of a minute (rule 10).
WALK_HOLDS_FOR, WALK_SHARE = 60.0, 4
# How long the list of waiting posts is not reread, and at least this multiple of its own duration: a post of any age in it may be
# edited to equal a row (rule 17).
WAITING_HOLDS_FOR, WAITING_SHARE = 600.0, 10
LIST_DISORDER = timedelta(seconds=5)  # by which a list in order newest first may place a post too early
# How far back a new ledger scans a workspace: for all posts, and for those that wait to go out (rule 10).
LOOKBACK, LOOKBACK_WAITING = 30 * 86_400.0, 400 * 86_400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter.

    Attributes
    ----------
    base : float
        Seconds; upper bound of the first delay.
    cap : float
        Seconds; no delay is longer.
    tries : int
        Maximum number of tries of one request, the first included.
    """

    base: float = 0.5
    cap: float = 30.0
    tries: int = 5


def delay(policy: Backoff, attempt: int, rng: random.Random) -> float:
    """Return the seconds before try ``attempt + 1``: uniform in ``[0, min(cap, base * 2 ** (attempt - 1))]``.

    Parameters
    ----------
    policy : Backoff
        Base and cap.
    attempt : int
        Number of tries so far, from 1.
    rng : random.Random
        Source of the jitter.
    """
    bound = min(policy.cap, policy.base * 2.0 ** min(attempt - 1, 60))
    return rng.uniform(0.0, bound)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds of a ``Retry-After`` header, None if it is absent or unreadable.

    The API does not document which of HTTP's two forms it sends, so both are read: seconds, or a date relative to the server's `now`.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # not a date, or one outside the calendar
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def is_ambiguous(status: int) -> bool:
    """Whether an HTTP status leaves the effect of a write unknown: any 5xx, and 408, a timeout of the server or a gateway."""
    return status >= 500 or status == 408
