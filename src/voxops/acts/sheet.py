"""Rows of a campaign sheet as plain values: their names, lists and times, and what makes one unfit to be created."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from voxops.acts import keys
from voxops.api.limits import COMMENT_CHARACTERS, CONTENT_CHARACTERS
from voxops.errors import PlanError
from voxops.frames.columns import plain_values

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["row_names", "sheet_rows", "split_list", "utc_text", "why_unfit"]

_NUMBER_OF_A_FILE = re.compile(r"\d+(\.\d+)?[eE][+-]?\d+|\d+\.0")


def split_list(value: Any) -> list[str]:
    """Return a cell's parts: a list as it is, text cut at ``;``, nothing for a missing value."""
    if value is None:
        return []
    parts = value if isinstance(value, list | tuple) else str(value).split(";")
    return [text for text in (str(part).strip() for part in parts) if text]


def utc_text(value: Any) -> str | None:
    """Return a time as ``YYYY-MM-DDTHH:MM:SSZ``, None if it can't be read or carries no offset from UTC."""
    try:
        when = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    return when.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def row_names(frame: pd.DataFrame, key: str) -> list[str]:
    """The key column as canonical text, or a PlanError that shows what is missing or doubled."""
    try:
        names = [keys.row_key(value) for value in plain_values(frame, key)]
    except PlanError as error:
        raise PlanError(f"column {key!r}: {error}") from None
    missing = [row for row, name in enumerate(names) if name is None]
    if missing:
        raise PlanError(f"column {key!r} has no value in row {_some(missing)}; every row needs a name that stays")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise PlanError(
            f"column {key!r} holds {_some(doubled)} more than once; look with "
            f"frame[frame.duplicated({key!r}, keep=False)] and drop or rename the copies"
        )
    return [name for name in names if name is not None]


def _some(values: Sequence[object]) -> str:
    """The first five values, and how many more there are."""
    shown = ", ".join(repr(value) for value in values[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")


def sheet_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What a create is made of, per row, as plain values."""
    # What the sheet says is what counts: ids that were looked up in the meantime must not make another row of it.
    accounts = "accounts" if "accounts" in frame.columns else "account_ids"
    lists = {"accounts": accounts, "media": "media", "tags": "tags"}
    _refuse_lost_ids(frame, accounts)
    columns = {name: [split_list(value) for value in plain_values(frame, column)] for name, column in lists.items()}
    columns["accounts"] = [[_account(name) for name in names] for names in columns["accounts"]]
    for name in ("content", "first_comment", "scheduled_for"):
        columns[name] = plain_values(frame, name)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _account(name: str) -> str:
    """An account as the sheet names it, in one spelling: ``Twitter:@Brand`` and ``twitter:brand`` are one; ids stay as they are."""
    platform, colon, username = name.partition(":")
    return f"{platform.strip().lower()}:@{username.strip().lstrip('@').lower()}" if colon else name


def why_unfit(row: Mapping[str, Any]) -> str | None:
    """Why a row can't be created; None if it can."""
    content, comment, when = row["content"], row["first_comment"], row["scheduled_for"]
    if content is None or not str(content).strip():
        return "no content"
    if len(str(content)) > CONTENT_CHARACTERS:
        return f"content has {len(str(content))} characters; {CONTENT_CHARACTERS:,} is the most"
    if not row["accounts"]:
        return "no account"
    if comment is not None and len(str(comment)) > COMMENT_CHARACTERS:
        return f"first_comment has {len(str(comment))} characters; {COMMENT_CHARACTERS:,} is the most"
    if when is None or not str(when).strip():
        return "no time: nobody knows whether the API would publish it at once"
    if utc_text(when) is None:
        return f"scheduled_for {str(when)[:40]!r} has no offset from UTC; write it as 2026-03-04T10:00:00+01:00"
    return None


def _refuse_lost_ids(frame: pd.DataFrame, column: str) -> None:
    """Refuse account ids that a file has turned into numbers: digits are lost, or a ``.0`` was added (rule 29)."""
    for row, value in enumerate(plain_values(frame, column)):
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, float) or (isinstance(part, str) and _NUMBER_OF_A_FILE.fullmatch(part.strip())):
                raise PlanError(
                    f"row {row}: column {column!r} holds {part!r}, a number that a file has made of an id; read the column as text, "
                    f"for example pd.read_csv(path, dtype={{{column!r}: 'string'}})"
                )
