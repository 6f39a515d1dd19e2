"""A campaign sheet: read as text, checked without the network; nothing is guessed and nothing is mended.

A row of the sheet is one post on one or several accounts. Times must carry an offset from UTC; ``09:00`` without one is an
error, since nobody but its author knows where it is nine o'clock.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._core.arguments import file_path
from voxops._core.spreadsheets import unguard
from voxops.api.limits import COMMENT_CHARACTERS, CONTENT_CHARACTERS, PLATFORM_CHARACTERS
from voxops.errors import PlanError
from voxops.frames import need_frame
from voxops.frames.values import STRING_DTYPE

__all__ = ["CAMPAIGN_COLUMNS", "check_campaign", "read_campaign"]

CAMPAIGN_COLUMNS = ("row_id", "content", "accounts", "scheduled_for", "media", "first_comment", "tags")
_NEEDED = CAMPAIGN_COLUMNS[:4]

_FINDING: dict[str, Any] = {
    "row": "Int64",
    "row_id": STRING_DTYPE,
    "column": STRING_DTYPE,
    "level": STRING_DTYPE,
    "code": STRING_DTYPE,
    "message": STRING_DTYPE,
}
# An id, or a platform and a name; neither has blanks or commas, and a name may have a server: ``mastodon:@brand@example.social``.
_ACCOUNT = re.compile(r"[^\s,:@]+(:@[^\s,:@/]+(@[^\s,:@/]+)?)?")
_Finding = tuple[str, str, str, str]  # column, level, code, message


def read_campaign(path: str | Path) -> pd.DataFrame:
    """Read a campaign sheet.

    Parameters
    ----------
    path : str or Path
        A CSV file, also as spreadsheets export it: with a byte order mark, in UTF-16 or Windows-1252, with commas, semicolons
        or tabs, with a first line ``sep=;``, with lines of nothing at the end.

    Returns
    -------
    pandas.DataFrame
        ``row_id content accounts scheduled_for media first_comment tags`` and every further column of the sheet, all ``string``,
        index from 0. An empty cell is NA; ``media``, ``first_comment`` and ``tags`` are NA where the sheet has no such
        column. The apostrophe by which our own reports keep a spreadsheet from running a text is taken off. ``attrs``: ``kind``,
        ``source``, ``encoding``, ``delimiter``.

    Raises
    ------
    PlanError
        If the file can't be read, or a column is missing or stands there twice.

    Examples
    --------
    >>> sheet.to_csv(folder / "campaign.csv", index=False)
    >>> vx.read_campaign(folder / "campaign.csv")["row_id"].to_list()
    ['a', 'b']
    """
    text, encoding = _text(file_path("path", path))
    lines = text.splitlines()
    delimiter = lines[0][4:5] if lines and lines[0].lower().startswith("sep=") else ""
    if delimiter:
        text = text.split("\n", 1)[1] if "\n" in text else ""
    delimiter = delimiter or _delimiter(text.partition("\n")[0])
    try:
        header, *rows = list(csv.reader(StringIO(text, newline=""), delimiter=delimiter)) or [[]]
    except csv.Error as error:
        raise PlanError(f"{path} is not a CSV file: {error}.") from error
    names = _names(header, path)
    width = len(names)
    cells = [
        _padded(row, width, number, path)
        for number, row in enumerate(rows, start=2)
        if any(cell.strip() for cell in row)
    ]
    frame = pd.DataFrame(cells, columns=names, dtype=STRING_DTYPE)
    for name in CAMPAIGN_COLUMNS:
        if name not in frame.columns:
            frame[name] = pd.array([None] * len(frame), dtype=STRING_DTYPE)
    frame = frame[[*CAMPAIGN_COLUMNS, *(name for name in names if name not in CAMPAIGN_COLUMNS)]]
    frame.attrs = {"kind": "campaign", "source": Path(path).name, "encoding": encoding, "delimiter": delimiter}
    return frame


def _text(path: Path) -> tuple[str, str]:
    """Contents of a file and the encoding they are in."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(f"{path} can't be read: {error.strerror or error}.") from error
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    raise PlanError(f"{path} is not text in UTF-8, UTF-16 or Windows-1252; export it as CSV UTF-8.")


def _delimiter(header: str) -> str:
    """The delimiter that occurs most in the first line; a comma where none does."""
    return max(",;\t", key=lambda mark: (header.count(mark), mark == ","))


def _names(header: Sequence[str], path: str | Path) -> list[str]:
    """Column names in lower case with underscores, or a PlanError that names what is wrong with them."""
    names = ["_".join(name.lower().split()) for name in header]
    while names and not names[-1]:
        names.pop()
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        found = ", ".join(name for name in names if name)[:200] or "none"
        raise PlanError(f"{path} has no column {', '.join(missing)}. It has: {found}.")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise PlanError(f"{path} has the column {', '.join(doubled)} more than once; rename one of them.")
    return names


def _padded(row: Sequence[str], width: int, line: int, path: str | Path) -> list[str | None]:
    """Cells of a row, None where there is nothing; a PlanError if it has cells beyond the last column."""
    if any(cell.strip() for cell in row[width:]):
        raise PlanError(
            f"{path}: row {line} has more cells than there are columns; is a text with a delimiter not quoted?"
        )
    cells = [*row[:width], *[""] * (width - len(row))]
    return [unguard(cell) if cell.strip() else None for cell in cells]


def check_campaign(frame: pd.DataFrame, *, now: datetime | None = None) -> pd.DataFrame:
    """Check a campaign without asking anybody; ``ws.validate`` then asks the API.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `read_campaign`.
    now : datetime, optional
        The server's time; with it, times that have passed are found, too.

    Returns
    -------
    pandas.DataFrame
        One row per finding, in the order of the sheet: ``row`` (Int64, position from 0), ``row_id column`` (string), ``level``
        (string: ``error``, the row can't be sent; ``warning``, look at it), ``code`` (string, the API's own word where it has one) and
        ``message`` (string).

    Raises
    ------
    PlanError
        If a column is missing.

    Examples
    --------
    >>> sheet.to_csv(folder / "campaign.csv", index=False)
    >>> len(vx.check_campaign(vx.read_campaign(folder / "campaign.csv")))
    0
    """
    need_frame(frame, CAMPAIGN_COLUMNS, "check_campaign() needs a campaign", "Use vx.read_campaign(path).")
    rows = [
        {
            name: value if isinstance(value, str) and value.strip() else None
            for name, value in zip(CAMPAIGN_COLUMNS, cells, strict=True)
        }
        for cells in frame[list(CAMPAIGN_COLUMNS)].astype(object).itertuples(index=False, name=None)
    ]
    ids = Counter(row["row_id"] for row in rows)
    first_of: dict[tuple[str | None, ...], int] = {}
    found = []
    for number, row in enumerate(rows):
        twin = first_of.setdefault((row["content"], row["accounts"], row["scheduled_for"]), number)
        for finding in (*_row_findings(row, ids), *_twin(rows, number, twin), *_time_findings(row, now)):
            found.append((number, row["row_id"], *finding))
    return pd.DataFrame(found, columns=list(_FINDING)).astype(_FINDING)


def _row_findings(row: Mapping[str, str | None], ids: Mapping[str | None, int]) -> Iterator[_Finding]:
    """What is wrong with a row's name, text, accounts and media."""
    if row["row_id"] is None:
        yield "row_id", "error", "ROW_ID_MISSING", "Every row needs a name that stays."
    elif ids[row["row_id"]] > 1:
        yield (
            "row_id",
            "error",
            "ROW_ID_DOUBLED",
            f"{ids[row['row_id']]} rows are called {row['row_id'][:40]!r}; keep one or rename it.",
        )
    accounts = [_account(account) for account in _parts(row["accounts"])]
    platforms = [account.partition(":@")[0] for account in accounts if ":@" in account]
    yield from _text_findings(row["content"], platforms)
    if not accounts:
        yield "accounts", "error", "ACCOUNT_REQUIRED", "No account is named."
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            yield (
                "accounts",
                "error",
                "ACCOUNT_FORM",
                f"{account[:60]!r} is neither an id nor platform:@name; separate accounts by ';'.",
            )
    if len(set(accounts)) < len(accounts):
        yield "accounts", "warning", "ACCOUNT_DOUBLED", "An account is named twice."
    if "instagram" in platforms and not _parts(row["media"]):
        yield "media", "error", "MEDIA_REQUIRED", "Instagram takes no post without an image or a video."
    comment = row["first_comment"]
    if comment is not None and len(comment) > COMMENT_CHARACTERS:
        yield (
            "first_comment",
            "error",
            "COMMENT_TOO_LONG",
            f"{len(comment):,} characters; {COMMENT_CHARACTERS:,} is the most.",
        )


def _text_findings(content: str | None, platforms: Sequence[str]) -> Iterator[_Finding]:
    """What is wrong with a text, in all and on each platform."""
    if content is None:
        yield "content", "error", "CONTENT_REQUIRED", "There is no text."
        return
    length, units = len(content), len(content.encode("utf-16-le", "surrogatepass")) // 2
    if length > CONTENT_CHARACTERS:
        yield "content", "error", "CONTENT_TOO_LONG", f"{length:,} characters; {CONTENT_CHARACTERS:,} is the most."
    for platform in sorted(set(platforms)):
        most = PLATFORM_CHARACTERS.get(platform)
        if most is not None and length > most:
            yield "content", "warning", "CONTENT_TOO_LONG", f"{length:,} characters; {platform} allows {most:,}."
        elif most is not None and units > most:
            message = f"{length:,} characters, but {units:,} where an emoji counts as two; {platform} allows {most:,}."
            yield "content", "warning", "CONTENT_NEAR_LIMIT", message


def _twin(rows: Sequence[Mapping[str, str | None]], number: int, twin: int) -> Iterator[_Finding]:
    """Whether an earlier row of another name is the same post."""
    if twin != number and rows[twin]["row_id"] != rows[number]["row_id"] and rows[number]["content"] is not None:
        yield (
            "content",
            "warning",
            "DUPLICATE_POST",
            f"Same text, accounts and time as row {rows[twin]['row_id']}: it would go out twice.",
        )


def _time_findings(row: Mapping[str, str | None], now: datetime | None) -> Iterator[_Finding]:
    """What is wrong with a row's time."""
    text = row["scheduled_for"]
    if text is None:
        yield (
            "scheduled_for",
            "error",
            "TIME_MISSING",
            "There is no time, and nobody knows whether the API would publish it at once.",
        )
        return
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        yield (
            "scheduled_for",
            "error",
            "INVALID_DATE",
            f"{text[:40]!r} is not a time; write it like 2026-03-04T10:00:00+01:00.",
        )
        return
    if when.tzinfo is None:
        message = f"{text[:40]!r} has no offset from UTC; write it like 2026-03-04T10:00:00+01:00, or with Z."
        yield "scheduled_for", "error", "INVALID_DATE", message
    elif now is not None and when <= now:
        yield "scheduled_for", "error", "TIME_PAST", f"{text[:40]} has passed."


def _account(name: str) -> str:
    """An account in one spelling: ``Twitter:@Brand`` and ``twitter:brand`` are one; ids stay as they are."""
    platform, colon, username = name.partition(":")
    return f"{platform.strip().lower()}:@{username.strip().lstrip('@').lower()}" if colon else name


def _parts(cell: str | None) -> list[str]:
    """Entries of a cell that are separated by ``;``."""
    return [part.strip() for part in (cell or "").split(";") if part.strip()]
