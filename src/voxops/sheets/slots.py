"""Times for the rows of a sheet from slots that an analyst gives, such as every morning at nine."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from voxops._support.arguments import did_you_mean
from voxops.errors import ConfigError, PlanError
from voxops.frames.columns import need_columns, plain_values
from voxops.frames.nested import is_missing
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import length
from voxops.frames.times import zone as zone_named
from voxops.sheets.files import Places
from voxops.sheets.rules import readable_time, sheet_rows

NEXT = "next"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(rf"({'|'.join(_DAYS)})(?:-({'|'.join(_DAYS)}))?")


def fill_slots(
    sheet: pd.DataFrame,
    slots: Mapping[str, str | time],
    *,
    start: str | date,
    tz: str | None = None,
    days: str = "Mon-Sun",
    gap: str | timedelta = "10min",
) -> pd.DataFrame:
    """Fill in the times of rows that name a slot, from the arguments alone: the same sheet gives the same times.

    Rows without ``scheduled_for`` take their times in the order of the sheet. If the column ``slot`` is ``next``, a row takes the first
    slot from `start` on that no other row holds on any of its accounts. If it names a slot, the row takes that slot's next free day. So
    new rows belong at the end of a sheet: above others, they move those. Posts that are scheduled already don't count; ``ws.check``
    warns about them. A slot is left out on a day whose clocks skip its time; if its time occurs twice, the first is taken.

    Parameters
    ----------
    sheet : pandas.DataFrame
        From ``vx.read_campaign``, with a column ``slot``; it is not changed.
    slots : mapping of str to str or time
        The name of each slot -> its time of the day, such as ``{"morning": "9:00", "noon": "12:30"}``.
    start : str, date or datetime
        The day or time from which on slots are taken, such as ``"2026-12-01"``; in `tz` if it has no offset.
    tz : str, optional
        The zone of the slots; by default the sheet's, as ``vx.read_campaign(tz=)`` has set it.
    days : str
        The days of the week that have slots, such as ``"Mon-Fri"`` or ``"Tue,Thu-Sat"``.
    gap : str or timedelta
        A slot that is less than this apart from another post of an account is not free; the default is that of ``ws.check``.

    Returns
    -------
    pandas.DataFrame
        A copy in which ``scheduled_for`` of these rows is ISO text with its offset; ``slot`` stays, and plans show it. Rows with a
        time, and rows without a slot, are as they were.

    Raises
    ------
    PlanError
        If a column is missing, or a slot is not among `slots`; the error names the cells.
    ConfigError
        If `slots`, `start`, `tz`, `days` or `gap` can't be read.

    Examples
    --------
    >>> rows = sheet.assign(scheduled_for=None, slot="next")
    >>> vx.fill_slots(rows, {"noon": "12:30"}, start="2026-12-01", tz="Europe/Berlin")["scheduled_for"].to_list()
    ['2026-12-01T12:30:00+01:00', '2026-12-02T12:30:00+01:00']
    """
    need_columns(sheet, ["slot"], f"add it to the sheet, with {NEXT!r} or the name of a slot")
    clocks, place, apart = _clocks(slots), _zone(sheet, tz), length("gap", gap)
    begins, weekdays = _begins(start, place), _weekdays(days)
    named, rows = _named(sheet, clocks), sheet_rows(sheet)
    held: defaultdict[str, list[datetime]] = defaultdict(list)  # account -> its times, in order
    for row in rows:
        if taken := readable_time(row["scheduled_for"]):
            for account in row["accounts"]:
                insort(held[account], taken.astimezone(UTC))
    walks: dict[tuple[str, frozenset[str]], Iterator[datetime]] = {}  # a slot that is taken once stays so
    times = [
        value if is_missing(value) or isinstance(value, str) else str(value)
        for value in plain_values(sheet, "scheduled_for")
    ]
    for number, (row, slot) in enumerate(zip(rows, named, strict=True)):
        if not slot or str(row["scheduled_for"] or "").strip():
            continue
        accounts = frozenset(row["accounts"])
        own = sorted(clocks.values()) if slot == NEXT else [clocks[slot]]
        walk = walks.setdefault((slot, accounts), _moments(begins, own, weekdays, place))
        when = next(each for each in walk if not any(_holds(held[account], each, apart) for account in accounts))
        for account in accounts:
            insort(held[account], when)
        times[number] = when.astimezone(place).isoformat()
    filled = sheet.assign(scheduled_for=pd.array(times, dtype=STRING_DTYPE))
    filled.attrs.setdefault("tz", place.key)
    return filled


def _holds(taken: Sequence[datetime], when: datetime, apart: timedelta) -> bool:
    """Whether one of these times, which are in order, is another one's or too near."""
    at = bisect_left(taken, when)
    return any(other == when or abs(other - when) < apart for other in taken[max(at - 1, 0) : at + 1])


def _moments(
    begins: datetime, clocks: Sequence[time], weekdays: Collection[int], place: ZoneInfo
) -> Iterator[datetime]:
    """Yield slots in UTC, without end; a time that clocks skip on a day is none."""
    day = begins.astimezone(place).date()
    while True:
        for clock in clocks if day.weekday() in weekdays else ():
            when = datetime.combine(day, clock, place).astimezone(UTC)
            if when >= begins and when.astimezone(place).time() == clock:
                yield when
        day += timedelta(days=1)


def _clocks(slots: Mapping[str, str | time]) -> dict[str, time]:
    """Return the slots by their names in small letters."""
    if not isinstance(slots, Mapping) or not slots:
        raise ConfigError(f"slots={slots!r} must be names with times, such as {{'morning': '9:00', 'noon': '12:30'}}.")
    found: dict[str, time] = {}
    for name, value in slots.items():
        try:
            clock = value if isinstance(value, time) else time.fromisoformat(str(value).strip().rjust(5, "0"))
        except ValueError as error:
            raise ConfigError(f"slots={{{name!r}: {value!r}}}: the time must be like '9:00' or '17:30'.") from error
        if (word := _word(name)) in {"", NEXT, *found} or clock.tzinfo is not None:
            raise ConfigError(
                f"slots={{{name!r}: …}}: a slot needs a name of its own, other than {NEXT!r}, and a time without a zone."
            )
        found[word] = clock
    return found


def _word(value: object) -> str:
    """Return the name of a slot as it is compared."""
    return "" if is_missing(value) else " ".join(str(value).split()).casefold()


def _zone(sheet: pd.DataFrame, tz: str | None) -> ZoneInfo:
    name = tz or sheet.attrs.get("tz")
    if name is None:
        raise ConfigError("the slots have no time zone; pass it, such as tz='Europe/Berlin'.")
    return ZoneInfo(zone_named(name))


def _begins(start: object, place: ZoneInfo) -> datetime:
    try:
        when = datetime.fromisoformat(str(start).strip())
    except ValueError as error:
        said = (
            "times follow from the arguments alone, so write a day or a time such as '2026-12-01' or '2026-12-01T12:00'"
        )
        raise ConfigError(f"start={start!r} is neither a day nor a time; {said}.") from error
    return (when.replace(tzinfo=place) if when.tzinfo is None else when).astimezone(UTC)


def _weekdays(days: object) -> set[int]:
    """Return the numbers of weekdays, from 0 for Monday."""
    found: set[int] = set()
    for part in str(days).lower().replace(" ", "").split(","):
        if (span := _SPAN.fullmatch(part)) is None:
            raise ConfigError(f"days={days!r} is no list of weekdays; write one such as 'Mon-Fri' or 'Tue,Thu-Sat'.")
        first, last = _DAYS.index(span[1]), _DAYS.index(span[2] or span[1])
        found |= {number % 7 for number in range(first, last + 1 + 7 * (last < first))}
    return found


def _named(sheet: pd.DataFrame, clocks: Mapping[str, time]) -> list[str]:
    """Return the slot of each row, ``""`` for none; a PlanError names the cells of the first unknown one."""
    named = list(map(_word, plain_values(sheet, "slot")))
    known = Places.of(sheet)
    where: dict[str, list[str]] = {}
    for number, (name, row) in enumerate(zip(named, known.numbers(sheet), strict=True)):
        if name and name not in {NEXT, *clocks}:
            where.setdefault(name, []).append(known.cell(row, "slot") or f"the row at position {number}")
    for name, cells in where.items():
        more = f" and {len(cells) - 5} more" if len(cells) > 5 else ""
        raise PlanError(f"no slot {name[:40]!r} ({', '.join(cells[:5])}{more}); {did_you_mean(name, [NEXT, *clocks])}")
    return named
