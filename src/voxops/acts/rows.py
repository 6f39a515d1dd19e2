"""Rows of posts, targets and deliveries frames as plain values, and what forbids any act on them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from voxops._support import safe
from voxops._support.canonical import fingerprint
from voxops.acts.act import MESSAGES, TIMES, Row
from voxops.api.evidence import common_time
from voxops.api.reasons import Reason
from voxops.errors import PlanError
from voxops.frames.columns import as_whole_number, attempts, flags, instants, plain_values
from voxops.sheets.rules import errors_of

# What a failure of a target is, and nothing that another listing could leave out (rule 4).
TARGET_EPISODE = (
    "post_id", "platform", "account_id", "status", "error_code", "error_message", "post_status", "updated_at",
)  # fmt: skip
_TARGET = (*TARGET_EPISODE, "cause", "verdict", "remedy", "new_content", "new_media_url")
_NO_ID = re.compile(r"[\s/\\?#%]|^\.+$")  # what would name another path, and blanks, which a file may have added
_NUMBERS = frozenset({"status_code", "latency_ms", "retry_count"})
# A file makes numbers of these where all look like one. Ids are not among them: they would have lost digits.
_WORDS = frozenset({"platform", "status", "post_status", "error_code", "error_message", "error", "cause", "event_type"})
# A row of a sheet that has no fault.
_FIT = {
    "content": "x", "accounts": ["x"], "media": [], "tags": [], "content_type": None, "first_comment": None, "attempt": None,
    "scheduled_for": "8000-01-01T00:00:00Z",
}  # fmt: skip


def fetched_at(frame: pd.DataFrame) -> pd.Timestamp | None:
    """When the frame was loaded, in server time; None for a frame of unknown origin."""
    fetched = frame.attrs.get("fetched_at")
    return None if fetched is None else pd.Timestamp(fetched)


def why_no_id(row: Row, *columns: str) -> Reason | None:
    """Why a row names nothing to act on: an id is missing, or has what no id has, as in an edited file; None if it does."""
    for column in columns:
        name, value = column.replace("_", " "), row[column]
        if value is None or value == "":
            return Reason("id_missing", what=name)
        if not isinstance(value, str):
            return Reason("id_was_number", what=name, value=repr(value))
        if _NO_ID.search(value) or not value.isprintable():
            return Reason("id_malformed", what=name, value=safe.plain(repr(value), 60))
    return None


def why_unfit(now: datetime | None = None, **values: Any) -> Reason | None:
    """Why new values can't be requested, by the rules of a sheet; None if they can."""
    if not isinstance(
        text := values.get("content", ""), str
    ):  # a number that a file has made of a text, or what is none
        return Reason("content_not_text", kind=type(text).__name__)
    return next((each.reason for each in errors_of(_FIT | values, now)), None)


def episode_identity(action: str, seen: Row, *more: Any) -> str:
    """Fingerprint of an episode, alike for all readings of it: messages are left out, and times are cut to the second (rule 4)."""
    times = {name: common_time(seen[name]) for name in TIMES & seen.keys()}
    return fingerprint(action, {name: value for name, value in seen.items() if name not in MESSAGES} | times, *more)


def post_episode(row: Row) -> dict[str, Any]:
    """The state of a whole post as a frame of posts showed it (rule 4)."""
    return {"post_id": row["post_id"], "post_status": row["status"], "updated_at": row["updated_at"]}


def target_rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of a posts or targets frame, as of `plain_rows`."""
    return plain_rows(frame, _TARGET, stamp="updated_at", flag="retryable")


def plain_rows(frame: pd.DataFrame, names: Sequence[str], *, stamp: str, flag: str) -> Iterator[dict[str, Any]]:
    """Rows as plain values: text or None, times as ISO text in UTC, flags as bool; the attempt from 1.

    ``age`` is the time from `stamp` to the load of the frame; None if that is unknown.
    """
    now = fetched_at(frame)
    ages = [None if now is None or at is None else now - at for at in instants(frame, stamp)]
    columns: dict[str, Sequence[Any]] = {name: _read(frame, name) for name in names}
    columns |= {"age": ages, flag: flags(frame, flag), "attempt": attempts(frame)}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _read(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain values that are the same after a detour through a file: times in one form, counts whole."""
    if name in TIMES:
        return [None if when is None else when.isoformat() for when in instants(frame, name)]
    values = plain_values(frame, name)
    for row, value in enumerate(values):
        if isinstance(value, list | tuple | set | dict | bytes) or (isinstance(value, float) and math.isinf(value)):
            raise PlanError(f"row {row}: {name} is {safe.plain(repr(value), 60)}; it must be text or a number")
    if name in _NUMBERS | _WORDS:
        values = [as_whole_number(value) for value in values]
    return [None if value is None else str(value) for value in values] if name in _WORDS else values
