"""Limits of requests, answers and lists, then timeouts, grace periods and intervals, each with its unit and source.

Times are in seconds unless the name says otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_MEGABYTE = 1024 * 1024

# Lists: records per page, the maximum for posts and contacts (contract: section 3); assumed for the other lists.
PAGE_RECORDS = 100

# Our own bounds on a server's responses, far beyond what the API sends, so that none fills memory or never ends.
ANSWER_BYTES = 64 * _MEGABYTE  # of one response, decompressed
ANSWER_VALUES = 2_000_000  # of one response: 64 MB of ``{}`` would be two gigabytes of objects
STORAGE_ANSWER_BYTES = _MEGABYTE  # of one response of the storage host
PAGE_TIMES = 100  # a page with so many times the requested records is refused
LIST_PAGES, LIST_RECORDS, LIST_BYTES = 20_000, 2_000_000, 4 * 1024 * _MEGABYTE  # of one list

# A post's fields (contract: POST-2, POST-3); what a sheet has of them is checked in `voxops.sheets.rules`.
CONTENT_CHARACTERS, COMMENT_CHARACTERS = 10_000, 2_200
METADATA_NAME_CHARACTERS, METADATA_TEXT_CHARACTERS = 100, 1_000
BULK_POSTS = 50  # of one bulk request (contract: K1-2); the retired endpoint took 100

# Documented text limits of the platforms; a breach is only a warning, because the API decides. `ws.check` asks it.
PLATFORM_CHARACTERS: Mapping[str, int] = {
    "twitter": 280, "bluesky": 300, "threads": 500, "instagram": 2_200, "linkedin": 3_000,
}  # fmt: skip

# Content type -> most bytes of a file (contract: MED).
FILE_BYTES: Mapping[str, int] = {
    **dict.fromkeys(("image/jpeg", "image/png", "image/gif", "image/webp"), 20 * _MEGABYTE),
    **dict.fromkeys(("video/mp4", "video/quicktime", "video/x-msvideo", "video/webm"), 500 * _MEGABYTE),
    "application/pdf": 100 * _MEGABYTE,
    **dict.fromkeys(("text/srt", "text/vtt", "text/plain"), 5 * _MEGABYTE),
}
# The end of a file's name -> its content type.
FILE_TYPES: Mapping[str, str] = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".avi": "video/x-msvideo", ".webm": "video/webm",
    ".pdf": "application/pdf", ".srt": "text/srt", ".vtt": "text/vtt", ".txt": "text/plain",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """A platform's limits for a picture in its feed: maximum bytes, minimum width in pixels, minimum and maximum ratio of width to height."""

    most_bytes: int
    least_width: int = 0
    least_ratio: float = 0.0
    most_ratio: float = 1_000.0


# The platforms' own published limits; a breach is only a warning, because the API may convert a picture before it sends it on.
PLATFORM_PICTURES: Mapping[str, PictureLimits] = {
    "instagram": PictureLimits(8 * _MEGABYTE, 320, 4 / 5, 1.91),
    "threads": PictureLimits(8 * _MEGABYTE, 320, 1 / 10, 10),
    "twitter": PictureLimits(5 * _MEGABYTE),
    "bluesky": PictureLimits(1_000_000),
}


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
