"""Timing: how long something is waited for, believed, or tried again after; each with its reason.

All values are seconds unless their name says otherwise.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# -- leases and clearances, in ledger time

LEASE = 90.0  # for which a sender keeps an operation to itself; longer than any request takes (rule 21)
# For which a reading clears an operation for sending: what it showed may have changed after a long wait for the rate limit, or a
# night in which the laptop slept (rule 8).
CLEARED_FOR = 120.0
# The same for creates, whose list must be as it was read: a colleague may send the same sheet at the same time (rule 13).
CREATES_CLEARED_FOR = 15.0
CREATES_FRESH_FOR = 10.0  # after which the list is read again before creates are sent (rule 13)
FRESH_FOR = 60.0  # after which what a planned operation is about is read again before it is sent (rule 1)

# -- server time

CLOCKS_DIFFER = 5.0  # by which server time, in whole seconds, may seem to go back
SKEW = 300.0  # by which two clocks of the server may differ (rules 11 and 14)

# -- after a try, before reading says something (rule 11)

# A reading that began so long after the end of a try lets it be sent again under its key. What is queued shows within seconds of the
# API's answer, but a request that nobody has answered may still be executed for a minute.
# Lists may lag behind; these waits allow for up to a minute.
RESEND_ANSWERED, RESEND_UNANSWERED = 75.0, 135.0
PROOF_AFTER = 300.0  # before absence proves anything (rule 14)

# -- after a try, before an end is believed (rule 18)

# For which a retry count that has reached what the reply promised may still stand beside the old status: it may rise when the try
# is queued.
COUNT_SETTLES_AFTER = 30.0
# From which on a target that looks as before the try is reported so: the API publishes within minutes or not at all (contract: PLAY).
NO_EVIDENCE_AFTER = 300.0
STUCK_AFTER = timedelta(minutes=10)  # after which what is on its way counts as stuck (contract: PLAY; rules 3 and 18)
SERVER_RETRIES_FOR = timedelta(hours=1)  # for which the API may still retry a delivery by itself (rule 19)

# -- looking again

FIRST_LOOK = 2.0  # until the first look; the API publishes within seconds when all is well (contract: MEDIAFLOW)
LONGEST_LOOK = 30.0  # between two looks at the most
PER_PAGE = 2.0  # between two looks for each page that a look takes
LONGEST_REST = 120.0  # for which a list is left alone at the most, if somebody waits for it
WATCH_FOR = 1800.0  # of watching, after which what has not ended is left pending (contract: PLAY)
WATCH_LOOKS = 64  # looks of a run without any change, about as long
# For which a walk through the list of new posts says what stands below its top, and at least so many times as long as it took, since
# a walk through thousands of posts takes most of a minute (rule 13).
WALK_HOLDS_FOR, WALK_SHARE = 60.0, 4
# For which what waits to go out is not read again, and at least so many times as long as it took: among it, a post of any age may be
# mended into a row (rule 26).
WAITING_HOLDS_FOR, WAITING_SHARE = 600.0, 10
LIST_DISORDER = timedelta(seconds=5)  # by which a post may stand too early in a list that is newest first
# How far a ledger that sees a workspace for the first time looks back: for all posts, and for those that wait to go out (rule 13).
LOOKBACK, LOOKBACK_WAITING = 30 * 86_400.0, 400 * 86_400.0
# How long no new post of the campaign may appear before a batch that lost rows to existing posts is sent (rule 27).
CAMPAIGN_QUIET = 75.0
# How long after settling a retry count that is too high is put down to somebody's act at the same moment (rule 31).
COLLISIONS_WITHIN = 600.0
# How long after settling a run that was cut short is looked at when it is attached (rule 28).
ATTACHED_WITHIN = 3 * 86_400.0
COPIES_WATCHED_FOR = 75.0  # after the last send of creates, in which copies are looked for (rule 28)


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
        How often one request is sent at the most, the first time included.
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
        Number of tries already made, from 1.
    rng : random.Random
        Source of the jitter.
    """
    bound = min(policy.cap, policy.base * 2.0 ** min(attempt - 1, 60))
    return rng.uniform(0.0, bound)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, None if it is absent or unreadable.

    The API does not say which of HTTP's two forms it sends, so both are read: seconds, or a date, which is measured from the
    server's own `now`.
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
    except (ValueError, OverflowError):  # no date, or one with numbers that no calendar has
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def is_ambiguous(status: int) -> bool:
    """Whether an HTTP status leaves open if a write took effect: any 5xx, and 408, since the server or a gateway gave up."""
    return status >= 500 or status == 408
