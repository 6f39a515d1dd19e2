"""The rules of a sheet's rows, its times in the zone and date order of the analyst, and posts that collide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from voxops._support.arguments import near, whole_number
from voxops._support.canonical import as_read, in_calendar, is_well_formed, row_key, typed_time
from voxops.api.limits import COMMENT_CHARACTERS, CONTENT_CHARACTERS, METADATA_TEXT_CHARACTERS, PLATFORM_CHARACTERS
from voxops.api.reasons import Reason
from voxops.api.states import account_spelling
from voxops.errors import ConfigError, PlanError
from voxops.frames.cells import is_missing
from voxops.frames.checks import ATTEMPTS, attempt_in, plain_values
from voxops.frames.times import length, parse_times
from voxops.model import CONTENT_TYPES, PLATFORMS
from voxops.sheets.files import places
from voxops.sheets.media import UPLOAD_COLUMNS, folder_of, media_of, misshapen

_DAY = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{4}")
_HOUR = r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<seconds>\d\d))?)?\s*(?P<word>uhr|[ap]\.?m\.?)?"
_NUMERIC = re.compile(
    r"(?P<first>\d{1,2})[./-](?P<second>\d{1,2})[./-](?P<year>\d{4}),?\s+(?:um\s+|at\s+)?" + _HOUR, re.IGNORECASE
)
_CLOCK = re.compile(_HOUR, re.IGNORECASE)
# An account id that a file turned into a number: digits are lost, or a ``.0`` was added.
NUMBER_OF_A_FILE = re.compile(r"\d+(\.\d+)?[eE][+-]?\d+|\d+\.0")
_WRITTEN_LIST = re.compile(r"""\[]|\(\)|set\(\)|[\[({]\s*['"].*['"]\s*,?\s*[])}]""", re.DOTALL)
# An id, or a platform and a name, without blanks or commas; a name may have a server: ``mastodon:@brand@example.social``.
_ACCOUNT = re.compile(r"[^\s,:@]+(:@[^\s,:@/]+(@[^\s,:@/]+)?)?")
_BETWEEN = re.compile(r"[\s,|]")  # the separators of media in other sheets
_IN_TAGS = re.compile(r"[,|\n\r]")
_WRITTEN_MISSING = frozenset({"nan", "NaN", "None", "<NA>", "NaT"})
_OWN = "content:"  # begins the name of a column of texts for one platform
_PLAIN = ("content", "content_type", "first_comment", "scheduled_for", "attempt", "owner", "campaign")
PEOPLE = ("owner", "campaign")  # columns that are sent as metadata, by the fields that `connect` was given
_ONE_DAY = timedelta(days=1)
_NIGHT = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")


def readable_time(value: Any) -> datetime | None:
    """Read a time with an offset from UTC, for all checks and plans.

    Parameters
    ----------
    value : object
        ISO text, a datetime or a Timestamp.

    Returns
    -------
    datetime or None
        None for a time that can't be read, has no offset, or is at an end of the calendar.
    """
    try:
        when = value if isinstance(value, datetime) else typed_time(str(value).strip())
        return when if when.tzinfo is not None and in_calendar(when) else None
    except ValueError:
        return None


def as_instants(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return texts of a sheet as instants if each has its offset, else the column unchanged."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    read = pd.Series(parse_times([readable_time(value) for value in values]), index=values.index)
    return read if bool((read.notna() | values.isna()).all()) else values


def iso_time(value: Any, zone: str | None, dayfirst: bool | None) -> str:
    """Return a cell of a time column as text.

    Parameters
    ----------
    value : str, date, time, datetime or number
        The value in the file.
    zone : str or None
        The zone of times without one.
    dayfirst : bool or None
        Whether ``03.11.2026`` is the third of November; None if unknown.

    Returns
    -------
    str
        ISO 8601 with an offset if all is known; else the value as written, with a remark if the fault is not visible, for a check
        to show.
    """
    if isinstance(value, datetime):
        return value.isoformat() if zone is None else _placed(value, zone)
    if isinstance(value, date):
        return f"{value.isoformat()} (a day without an hour)"
    if isinstance(value, time):
        return f"{value.isoformat()} (an hour without a day)"
    text = str(value)
    when = _naive(text.strip(), dayfirst)
    return text if when is None or zone is None else _placed(when, zone)


def joined_time(day: Any, clock: Any) -> Any:
    """Join a day and an hour from two cells into one.

    Parameters
    ----------
    day, clock : str, date, time, datetime or number
        The values in the file; text for an empty cell.

    Returns
    -------
    str, date or datetime
        For `iso_time`; if one of them can't be read, both as written, for a check to show.
    """
    if type(day) is datetime and day.time() == time():
        day = day.date()  # some programs write a day so
    day_text, clock_text, hour = str(day).strip(), str(clock).strip(), hour_of(clock)
    if not clock_text:
        return day
    if not day_text:
        return f"{clock} (an hour without a day)"
    if type(day) is date and hour is not None:
        return datetime.combine(day, hour)
    return f"{day_text} {clock if hour is None else hour.isoformat()}"


def hour_of(cell: Any) -> time | None:
    """Return a cell as a time of the day; None for anything else."""
    if isinstance(cell, time):
        return cell
    found = _CLOCK.fullmatch(cell.strip()) if isinstance(cell, str) else None
    return None if found is None else _clock(found)


def _in_figures(text: str) -> bool:
    """Whether a text is a day and an hour, such as ``03.11.2026 9:00``, in either date order."""
    return any(_naive(text, dayfirst) is not None for dayfirst in (True, False))


def depends_on_dayfirst(text: str) -> bool:
    """Whether a text such as ``13/11/2026 9:00`` depends on the date order."""
    return _naive(text.strip(), dayfirst=True) != _naive(text.strip(), dayfirst=False)


def _naive(text: str, dayfirst: bool | None) -> datetime | None:
    """Read a text as a time without a zone; None if it is none, has an offset, or has no hour."""
    found = _NUMERIC.fullmatch(text)
    try:
        if found is None:
            when = typed_time(text)
            return None if when.tzinfo is not None or len(text) <= len("2026-11-03") else when
        clock = _clock(found)
        if clock is None or dayfirst is None:
            return None
        day, month = (found["first"], found["second"]) if dayfirst else (found["second"], found["first"])
        return datetime.combine(date(int(found["year"]), int(month), int(day)), clock)
    except ValueError:
        return None


def _clock(found: re.Match[str]) -> time | None:
    """Read an hour such as ``9:00`` or ``9 am``; a bare number needs its am or pm."""
    word = (found["word"] or "").lower().replace(".", "")
    hour = int(found["hour"])
    if word in {"am", "pm"}:
        hour = hour % 12 + 12 * (word == "pm") if 1 <= hour <= 12 else 24
    if found["minute"] is None and not word:
        return None
    try:
        return time(hour, int(found["minute"] or 0), int(found["seconds"] or 0))
    except ValueError:
        return None


def _placed(when: datetime, zone: str) -> str:
    """Return a time in its zone, unless a clock change skips or repeats it."""
    place = ZoneInfo(zone)
    first, second = when.replace(tzinfo=place), when.replace(tzinfo=place, fold=1)
    if first.utcoffset() != second.utcoffset():
        gap = (second.utcoffset() or timedelta()) > (first.utcoffset() or timedelta())
        return f"{when.isoformat()} ({'does not exist' if gap else 'exists twice'} in {zone})"
    return first.isoformat()


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of a row: its column, level, reason, and platform if it is a single one."""

    column: str
    level: str
    reason: Reason
    platform: str = ""

    @property
    def code(self) -> str:
        """The code of the reason, in lower case also for the API's codes."""
        return self.reason.code.lower()

    @property
    def message(self) -> str:
        """The reason as a sentence."""
        return self.reason.sentence()


def split_list(value: Any) -> list[str]:
    """Return the parts of a cell: of a list, of a set in the order of its texts, or of a text split at ``;``; missing ones are left out."""
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    parts = value if isinstance(value, list | tuple) else [] if is_missing(value) else str(value).split(";")
    return [text for text in (str(part).strip() for part in parts if not is_missing(part)) if text]


def tags_in(value: Any) -> list[str]:
    """Return a cell's tags, as `split_list` does; a year that a file turned into 2026.0 is 2026."""
    return split_list(_whole(value))


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_written_list(text: str) -> bool:
    """Whether a part of a cell is a Python list as text, as in a CSV file; its commas do not separate."""
    return _WRITTEN_LIST.fullmatch(text.strip()) is not None


def is_written_missing(value: Any) -> bool:
    """Whether a text is the text of a missing value, as after ``map(str)``, which must not be published."""
    return isinstance(value, str) and value.strip() in _WRITTEN_MISSING


def _fault_of(column: str, part: str) -> Reason | None:
    """Return what is wrong with the id of a media, or a tag."""
    shown = part[:60]
    if is_written_list(part):
        return Reason("list_form", value=shown)
    if is_written_missing(part):
        return Reason("list_written_missing", value=shown)
    return Reason("media_form", value=shown) if column == "media" and _BETWEEN.search(part) else None


def is_media_id(text: str) -> bool:
    """Whether a part of a cell may be the id of a media."""
    return _fault_of("media", text) is None


def media_faults(row: Mapping[str, Any]) -> Iterator[Reason]:
    """Yield why media of a row, of `sheet_rows`, can't be sent."""
    known = row["found"]  # of media named by file or address, not by id; it stands for its form
    faults = (known[part] if part in known else _fault_of("media", part) for part in row["media"])
    yield from (fault for fault in faults if isinstance(fault, Reason))


def utc_text(value: Any) -> str | None:
    """Return a time as ``YYYY-MM-DDTHH:MM:SSZ``, None if it can't be read or has no offset from UTC."""
    when = readable_time(value)
    return None if when is None else f"{when.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def platforms_with_texts(columns: Iterable[object]) -> list[str]:
    """Return the platforms for which a sheet has a column of its own texts, such as ``content:twitter``.

    Raises
    ------
    PlanError
        If such a column names no platform.
    """
    heads = [head for head in columns if isinstance(head, str) and head.lower().startswith(_OWN)]
    for head in heads:
        if head.removeprefix(_OWN) not in PLATFORMS:
            meant = near(head.lower().removeprefix(_OWN).strip(), PLATFORMS, 0.6)
            hint = f"did you mean {_OWN + meant!r}?" if meant else f"one of {', '.join(PLATFORMS)}"
            raise PlanError(f"column {head[:60]!r} names no platform; {hint}")
    return [head.removeprefix(_OWN) for head in heads]


def own_texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a row for single platforms, by platform; an empty cell is none."""
    return {name: str(text) for name, text in row["texts"].items() if text is not None and str(text).strip()}


def people_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the owner and campaign of a row, by column, as the sheet writes them."""
    texts = {name: str(_whole(row[name])).strip() for name in PEOPLE if row[name] is not None}
    return {name: text for name, text in texts.items() if text}


def sheet_rows(frame: pd.DataFrame, *, reads: bool = False, folder: str | Path | None = None) -> list[dict[str, Any]]:
    """Return the inputs of a create, per row, as plain values.

    Lists of accounts, media and tags; text, comment, time, attempt and people; ``texts`` by platform. ``found`` and ``uploaded`` are what
    `uploaded_media` says of media that are no ids. `reads` looks at the files, too, in `folder` or where the sheet was read: ``found``
    has each that can be read, and of those that are not uploaded why one can't be.
    """
    # The sheet's own accounts count: resolved ids must not change the row.
    accounts = "accounts" if "accounts" in frame.columns else "account_ids"
    own = {name: f"{_OWN}{name}" for name in platforms_with_texts(frame.columns)}
    names = [accounts, "media", "tags", *UPLOAD_COLUMNS, *_PLAIN, *own.values()]
    root = folder_of(frame, folder) if reads else None
    rows = []
    for cells in zip(*(plain_values(frame, name) for name in names), strict=True):
        row = dict(zip(names, cells, strict=True))
        row["accounts"] = [account_spelling(name) for name in split_list(row[accounts])]
        row |= {"media": split_list(row["media"]), "tags": tags_in(row["tags"])}
        row["texts"] = {name: row[column] for name, column in own.items()}
        *uploads, error = (row[name] for name in UPLOAD_COLUMNS)
        parts = [part for part in row["media"] if not is_written_list(part)]  # it is no path, whatever it holds
        ids, hashes, named = map(split_list, uploads)
        row["found"], row["uploaded"] = media_of(parts, ids, hashes, named, error, reads=reads, folder=root)
        rows.append(row)
    return rows


def errors_of(row: Mapping[str, Any], now: datetime | None) -> Iterator[Finding]:
    """Yield the reasons why a row can't be created.

    Parameters
    ----------
    row : mapping
        Of `sheet_rows`.
    now : datetime, optional
        The server's time; with it, a past time is an error, too. A plan has no clock: a row whose time has passed is blocked when
        the plan runs.
    """
    comment = row["first_comment"]
    if row["content"] is None or not str(row["content"]).strip():
        yield _error("content", Reason("content_required"))
    for column, text in (
        {"content": row["content"]} | {f"{_OWN}{name}": text for name, text in row["texts"].items()}
    ).items():
        yield from _text_errors(column, text)
    if not row["accounts"]:
        yield _error("accounts", Reason("account_required"))
    for account in row["accounts"]:
        sound = is_well_formed(account) and _ACCOUNT.fullmatch(account) and not is_written_list(account)
        if not sound or NUMBER_OF_A_FILE.fullmatch(account):
            yield _error("accounts", _why_no_account(account[:60]))
    platforms = platforms_of(row["accounts"])
    if len(platforms) == len(row["accounts"]):  # the platform of an id is not known here
        yield from texts_without_account(row, platforms)
    if "instagram" in platforms and not row["media"]:
        yield _error("media", Reason("media_required"))
    yield from (_error("media", fault) for fault in media_faults(row))
    yield from (_error("tags", fault) for fault in filter(None, (_fault_of("tags", part) for part in row["tags"])))
    kind = row["content_type"]
    if kind is not None and str(kind).strip() and str(kind).strip().upper() not in CONTENT_TYPES:
        types = ", ".join(sorted(CONTENT_TYPES)).lower()
        yield _error("content_type", Reason("content_type_form", value=str(kind)[:40], types=types))
    if comment is not None and (not isinstance(comment, str | int | float) or is_written_missing(comment)):
        yield _error("first_comment", Reason("comment_not_text", value=str(comment)[:40]))
    elif comment is not None and (count := len(str(comment))) > COMMENT_CHARACTERS:
        yield _error("first_comment", Reason("comment_too_long", count=count, most=COMMENT_CHARACTERS))
    for column in PEOPLE:
        if (cell := row[column]) is not None and (
            not isinstance(cell, str | int | float)
            or is_written_missing(cell)
            or len(str(cell).strip()) > METADATA_TEXT_CHARACTERS
        ):
            yield _error(
                column, Reason("person_form", what=column, value=str(cell)[:40], most=METADATA_TEXT_CHARACTERS)
            )
    if attempt_in(row["attempt"]) is None:
        yield _error("attempt", Reason("attempt_form", value=str(row["attempt"])[:40], allowed=ATTEMPTS))
    yield from _time_errors(row["scheduled_for"], now)


def _why_no_account(account: str) -> Reason:
    """Return what is wrong with an account; ``Twitter @name`` lacks only its colon."""
    platform, _, name = account.partition("@")
    meant = account_spelling(f"{platform}:@{name}")
    lacks_colon = platforms_of([meant])[0] in PLATFORMS and _ACCOUNT.fullmatch(meant)
    hint = f"did you mean {meant}?" if lacks_colon else "separate accounts by a semicolon"
    return Reason("account_form", value=account, hint=hint)


def _text_errors(column: str, text: Any) -> Iterator[Finding]:
    """Yield the faults of a text of a post; an empty cell is none."""
    if text is None or not str(text).strip():
        return
    if not isinstance(text, str | int | float):  # bytes, a list or a date would go out in Python's notation
        yield _error(column, Reason("content_not_text", kind=type(text).__name__))
    elif is_written_missing(text):
        yield _error(column, Reason("content_written_missing", value=text))
    elif (count := len(str(text))) > CONTENT_CHARACTERS:
        yield _error(column, Reason("content_too_long", count=count, platform="the API", most=CONTENT_CHARACTERS))


def texts_without_account(row: Mapping[str, Any], platforms: Iterable[str]) -> Iterator[Finding]:
    """Yield an error for each text of a platform on which the row has no account: it would go out nowhere."""
    for name in sorted(own_texts(row).keys() - set(platforms)):
        yield Finding(f"{_OWN}{name}", "error", Reason("text_without_account", platform=name), name)


def errors_of_all(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str | None], meant: Sequence[bool], now: datetime | None = None
) -> Iterator[list[Finding]]:
    """Yield for each row of a sheet why it can't be created: by its own values, or as a duplicate of a row above (rule 17).

    Parameters
    ----------
    rows : sequence of mapping
        Of `sheet_rows`.
    names : sequence of str or None
        The row keys; `name_errors` judges duplicate ones.
    meant : sequence of bool
        The column ``twin``: this row is an intended duplicate.
    now : datetime, optional
        As for `errors_of`.
    """
    first_of: dict[tuple[str, ...], tuple[int, str | None]] = {}
    for number, (row, name, twin) in enumerate(zip(rows, names, meant, strict=True)):
        found = list(errors_of(row, now))
        if not found and not twin:
            # As readers see it, without its Unicode form, the order of accounts and the spelling of the instant.
            seen = as_read(str(row["content"])), *sorted(set(row["accounts"])), utc_text(row["scheduled_for"]) or ""
            other, its_name = first_of.setdefault(seen, (number, name))
            if other != number and (name is None or its_name != name):
                same = f"the row at position {other}" if its_name is None else f"row {its_name[:40]}"
                found.append(_error("content", Reason("duplicate_post", other=same)))
        yield found


def warnings_of(row: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield warnings: texts near a platform's limit, accounts named twice, tags that may be several."""
    accounts, own = row["accounts"], own_texts(row)
    for platform in sorted(set(platforms_of(accounts))):
        most, column = PLATFORM_CHARACTERS.get(platform), f"{_OWN}{platform}" if platform in own else "content"
        content = own.get(platform, str(row["content"] or ""))
        length, units = len(content), len(content.encode("utf-16-le", "surrogatepass")) // 2
        if most is not None and length > most:
            reason = Reason("content_too_long", count=length, platform=platform, most=most)
            yield Finding(column, "warning", reason, platform)
        elif most is not None and units > most:
            reason = Reason("content_near_limit", count=length, units=units, platform=platform, most=most)
            yield Finding(column, "warning", reason, platform)
        yield from picture_warnings(row, platform)
    if len(set(accounts)) < len(accounts):
        yield Finding("accounts", "warning", Reason("account_doubled"))
    for tag in filter(_IN_TAGS.search, row["tags"]):
        yield Finding("tags", "warning", Reason("tag_form", value=tag[:60]))


def picture_warnings(row: Mapping[str, Any], platform: str) -> Iterator[Finding]:
    """Yield warnings of the pictures of a row that a platform may refuse by their shape."""
    feed = str(row["content_type"] or "").strip().upper() not in {"STORY", "REEL"}
    yield from (Finding("media", "warning", why, platform) for why in misshapen(row["found"], platform, feed=feed))


def name_errors(names: Sequence[str | None], frame: pd.DataFrame) -> Iterator[list[Finding]]:
    """Yield the faults of each row key of a frame: missing or duplicate, with the columns in which its rows differ."""
    rows: dict[str | None, list[int]] = {}
    for number, name in enumerate(names):
        rows.setdefault(name, []).append(number)
    reasons = {
        name: _why_doubled(name, frame.iloc[same]) for name, same in rows.items() if name is not None and len(same) > 1
    } | {None: Reason("row_id_missing")}
    for name in names:
        yield [_error("row_id", reasons[name])] if name in reasons else []


def _why_doubled(name: str, rows: pd.DataFrame) -> Reason:
    """Return what is wrong with rows of one key: equal rows can be dropped, different rows can't."""
    differ = [str(column) for column in rows.columns if len(set(map(repr, plain_values(rows, column)))) > 1]
    if not differ:
        return Reason("row_id_doubled", count=len(rows), value=name[:40])
    return Reason("row_id_differs", count=len(rows), value=name[:40], fields=places(differ))


def row_names(frame: pd.DataFrame) -> list[str | None]:
    """Return the column ``row_id`` as plans compare it, None for missing; values that a plan would refuse as text."""
    return [_name(value) for value in plain_values(frame, "row_id")]


def _name(value: Any) -> str | None:
    try:
        return row_key(value)
    except PlanError:  # a number that has lost digits; the plan reports it
        return str(value)


def platforms_of(accounts: Sequence[str]) -> list[str]:
    """Return the platforms that accounts name."""
    return [account.partition(":@")[0] for account in accounts if ":@" in account]


def _time_errors(value: Any, now: datetime | None) -> Iterator[Finding]:
    """Yield the faults of a row's time."""
    if value is None or not str(value).strip():
        yield _error("scheduled_for", Reason("time_missing"))
        return
    shown, when = str(value).strip()[:60], readable_time(value)
    if when is None:
        yield _error("scheduled_for", _why_no_time(value, shown))
    elif now is not None and when <= now:
        yield _error("scheduled_for", Reason("time_passed"))


def _why_no_time(value: Any, shown: str) -> Reason:
    """Return why a value can't be sent as a time."""
    if _DAY.fullmatch(shown) and _in_figures(f"{shown} 00:00"):  # such as 2026-03-20 or 20.03.2026
        return Reason("time_without_hour", value=shown)
    try:
        typed_time(shown)
    except ValueError:
        return Reason("time_ambiguous" if _in_figures(shown) else "time_unreadable", value=shown)
    if isinstance(value, datetime):
        return Reason("time_without_zone", value=shown, zone="Europe/Berlin")
    return Reason("time_without_offset", value=shown)


def _error(column: str, reason: Reason) -> Finding:
    return Finding(column, "error", reason)


@dataclass(frozen=True, slots=True)
class Placed:
    """A post on an account: of a row of the sheet, or scheduled already.

    `name` is how a finding calls it, and `own` its text for this platform where it has one, which posts do not show.
    """

    row: int | None
    name: str
    account: str
    shown: str
    text: str
    at: datetime
    own: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an analyst keeps apart.

    Attributes
    ----------
    zone : ZoneInfo
        Where days, nights and times without an offset are.
    gap : timedelta or None
        The least time between two posts of an account.
    most_a_day : int or None
        The most posts of an account a day.
    blackout : tuple of (str, datetime, datetime)
        Spans in which nothing goes out, each as it was written.
    night : tuple of (time, time) or None
        When the night begins and ends.
    """

    zone: ZoneInfo
    gap: timedelta | None = None
    most_a_day: int | None = None
    blackout: tuple[tuple[str, datetime, datetime], ...] = ()
    night: tuple[time, time] | None = None

    @classmethod
    def read(
        cls,
        tz: str,
        gap: str | timedelta | None,
        most_a_day: int | None,
        blackout: str | Sequence[str] | None,
        night: str | None,
    ) -> Limits:
        """Return the limits of ``ws.check``; a ConfigError names an argument that is none."""
        zone, spans = ZoneInfo(tz), [blackout] if isinstance(blackout, str) else blackout or ()
        refusal = ConfigError(f"most_a_day={most_a_day!r} must be a whole number, from 1")
        hours = _NIGHT.fullmatch(night.strip()) if isinstance(night, str) else None
        if night is not None and hours is None:
            raise ConfigError(f"night={night!r} is no span of hours; write one such as '22:00-06:00'.")
        return cls(
            zone,
            None if gap is None else length("gap", gap),
            None if most_a_day is None else whole_number(most_a_day, refusal),
            tuple(_span(str(text), zone) for text in spans),
            hours and (time(int(hours[1]), int(hours[2])), time(int(hours[3]), int(hours[4]))),
        )


def _span(text: str, zone: ZoneInfo) -> tuple[str, datetime, datetime]:
    """Return the beginning and the end of ``2026-12-24``, or of a span such as ``2026-12-24/2026-12-26T12:00``."""
    first, _, last = text.partition("/")
    last = (last or first).strip()
    try:
        moments = [datetime.fromisoformat(moment) for moment in (first.strip(), last)]
    except ValueError as error:
        said = "write a day such as '2026-12-24', or a span such as '2026-12-31T18:00/2027-01-01'"
        raise ConfigError(f"blackout={text!r} is neither a day nor a span; {said}.") from error
    begins, ends = (when if when.tzinfo else when.replace(tzinfo=zone) for when in moments)
    return text, begins, ends + _ONE_DAY if len(last) <= len("2026-12-24") else ends


def collisions(posts: Iterable[Placed], limits: Limits) -> Iterator[tuple[int, Finding]]:
    """Yield warnings, each with its row: of two posts at the later one, or at the one that can still be moved.

    A scheduled post with the text and time of a row is taken for that row's post.
    """
    accounts: dict[str, list[Placed]] = {}
    for post in sorted(posts, key=lambda post: (post.at, -1 if post.row is None else post.row)):
        accounts.setdefault(post.account, []).append(post)
    found: dict[tuple[int, str, Reason], list[str]] = {}  # what is the same on several accounts is one finding
    for each in accounts.values():
        rows = {(as_read(post.text), post.at) for post in each if post.row is not None}
        others = [post for post in each if post.row is not None or (as_read(post.text), post.at) not in rows]
        for row, column, reason in _of_account(others, limits):
            account = dict(reason.params).get("account")
            bare = reason if account is None else reason.having(account="")
            found.setdefault((row, column, bare), []).extend(filter(None, [account]))
    for (row, column, reason), named in found.items():
        yield row, Finding(column, "warning", reason.having(account=", ".join(named)) if named else reason)


def _of_account(posts: Sequence[Placed], limits: Limits) -> Iterator[tuple[int, str, Reason]]:
    """Yield the warnings of one account's posts, the earliest first."""
    texts: dict[str, Placed] = {}
    days: dict[date, list[Placed]] = {}
    for number, post in enumerate(posts):
        local, text = post.at.astimezone(limits.zone), as_read(post.own or post.text)
        shown, day = f"{local:%Y-%m-%d %H:%M}", days.setdefault(local.date(), [])
        before, same = posts[number - 1] if number else None, texts.get(text)
        if before and limits.gap is not None and post.at - before.at < limits.gap:
            minutes, least = (f"{span / timedelta(minutes=1):g}" for span in (post.at - before.at, limits.gap))
            for row, other in _pair(before, post):
                yield (
                    row,
                    "scheduled_for",
                    Reason("too_close", time=minutes, other=other, account=post.shown, least=least),
                )
        for row, other in _pair(same, post) if same and post.at - same.at < _ONE_DAY else ():
            yield row, "content", Reason("same_text", other=other, account=post.shown)
        texts[text] = post
        day.append(post)
        if post.row is None:
            continue
        if limits.most_a_day is not None and len(day) > limits.most_a_day:
            count, most = len(day), limits.most_a_day
            reason = Reason(
                "too_many_a_day", account=post.shown, count=count, time=str(local.date()), other=day[-2].name, most=most
            )
            yield post.row, "scheduled_for", reason
        for span, begins, ends in limits.blackout:
            if begins <= post.at < ends:
                yield post.row, "scheduled_for", Reason("in_blackout", time=shown, span=span)
        begin, end = limits.night or (time(), time())
        clock = local.time()
        if begin <= clock < end or (begin > end and not end <= clock < begin):
            yield post.row, "scheduled_for", Reason("at_night", time=shown, zone=limits.zone.key)


def _pair(first: Placed, second: Placed) -> Iterator[tuple[int, str]]:
    """Yield the row of two posts that a finding is about, and the name of the other; none if both are scheduled already."""
    row, other = (second, first) if second.row is not None else (first, second)
    if row.row is not None and row.row != other.row:
        yield row.row, other.name
