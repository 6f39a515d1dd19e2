"""Posts that collide: with each other, with what is scheduled already, and with the days and hours that an analyst keeps free."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from voxops._support.arguments import whole_number
from voxops._support.canonical import as_read
from voxops.api.reasons import Reason
from voxops.errors import ConfigError
from voxops.frames.times import length
from voxops.sheets.rules import Finding

_DAY = timedelta(days=1)
_NIGHT = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")


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
        return cls(
            zone,
            None if gap is None else length("gap", gap),
            None if most_a_day is None else whole_number(most_a_day, refusal),
            tuple(_span(text, zone) for text in spans),
            None if night is None else _night(night),
        )


def _span(text: str, zone: ZoneInfo) -> tuple[str, datetime, datetime]:
    """Return the beginning and the end of ``2026-12-24``, or of a span such as ``2026-12-24/2026-12-26T12:00``."""
    first, _, last = str(text).partition("/")
    try:
        begins, ends = _moment(first, zone), _moment(last or first, zone)
    except ValueError as error:
        said = "write a day such as '2026-12-24', or a span such as '2026-12-31T18:00/2027-01-01'"
        raise ConfigError(f"blackout={text!r} is neither a day nor a span; {said}.") from error
    return str(text), begins, ends + _DAY if len((last or first).strip()) <= len("2026-12-24") else ends


def _moment(text: str, zone: ZoneInfo) -> datetime:
    when = datetime.fromisoformat(text.strip())
    return when.replace(tzinfo=zone) if when.tzinfo is None else when


def _night(text: str) -> tuple[time, time]:
    found = _NIGHT.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ConfigError(f"night={text!r} is no span of hours; write one such as '22:00-06:00'.")
    begins, begins_minute, ends, ends_minute = map(int, found.groups())
    return time(begins, begins_minute), time(ends, ends_minute)


def collisions(posts: Iterable[Placed], limits: Limits) -> Iterator[tuple[int, Finding]]:
    """Yield warnings, each with its row: of two posts at the later one, or at the one that can still be moved.

    A post that is scheduled already, with text and time of a row, is what became of that row.
    """
    accounts: dict[str, list[Placed]] = {}
    for post in sorted(posts, key=lambda post: (post.at, -1 if post.row is None else post.row)):
        accounts.setdefault(post.account, []).append(post)
    found: dict[tuple[int, str, Reason], list[str]] = {}  # what is the same on several accounts is one finding
    for each in accounts.values():
        rows = {(as_read(post.text), post.at) for post in each if post.row is not None}
        others = [post for post in each if post.row is not None or (as_read(post.text), post.at) not in rows]
        for judge in _JUDGES:
            for row, column, reason in judge(others, limits):
                account = dict(reason.params).get("account")
                bare = reason if account is None else reason.having(account="")
                found.setdefault((row, column, bare), []).extend(filter(None, [account]))
    for (row, column, reason), named in found.items():
        yield row, Finding(column, "warning", reason.having(account=", ".join(named)) if named else reason)


_Said = Iterator[tuple[int, str, Reason]]


def _pair(first: Placed, second: Placed) -> tuple[int, str] | None:
    """The row of two posts that a finding is about, and the name of the other; None if both are scheduled already."""
    row, other = (second, first) if second.row is not None else (first, second)
    return None if row.row is None or row.row == other.row else (row.row, other.name)


def _too_close(posts: Sequence[Placed], limits: Limits) -> _Said:
    for first, second in pairwise(posts):
        apart = second.at - first.at
        if limits.gap is not None and apart < limits.gap and (pair := _pair(first, second)):
            minutes, least = (f"{span / timedelta(minutes=1):g}" for span in (apart, limits.gap))
            yield (
                pair[0],
                "scheduled_for",
                Reason("too_close", time=minutes, other=pair[1], account=second.shown, least=least),
            )


def _same_text(posts: Sequence[Placed], _: Limits) -> _Said:
    last: dict[str, Placed] = {}
    for post in posts:
        text = as_read(post.own or post.text)
        before = last.get(text)
        if before is not None and post.at - before.at < _DAY and (pair := _pair(before, post)):
            yield pair[0], "content", Reason("same_text", other=pair[1], account=post.shown)
        last[text] = post


def _too_many(posts: Sequence[Placed], limits: Limits) -> _Said:
    most, days = limits.most_a_day, dict[date, list[Placed]]()
    for post in posts if most is not None else ():
        day = post.at.astimezone(limits.zone).date()
        earlier = days.setdefault(day, [])
        if most is not None and len(earlier) >= most and post.row is not None:
            name, count = earlier[-1].name, len(earlier) + 1
            reason = Reason("too_many_a_day", account=post.shown, count=count, time=str(day), other=name, most=most)
            yield post.row, "scheduled_for", reason
        earlier.append(post)


def _in_blackout(posts: Sequence[Placed], limits: Limits) -> _Said:
    for post in posts:
        for text, begins, ends in limits.blackout:
            if post.row is not None and begins <= post.at < ends:
                yield post.row, "scheduled_for", Reason("in_blackout", time=_shown(post, limits), span=text)


def _at_night(posts: Sequence[Placed], limits: Limits) -> _Said:
    begins, ends = limits.night or (time(), time())
    for post in posts:
        clock = post.at.astimezone(limits.zone).time()
        over_midnight = begins > ends
        if post.row is not None and ((clock >= begins or clock < ends) if over_midnight else begins <= clock < ends):
            yield post.row, "scheduled_for", Reason("at_night", time=_shown(post, limits), zone=limits.zone.key)


def _shown(post: Placed, limits: Limits) -> str:
    return f"{post.at.astimezone(limits.zone):%Y-%m-%d %H:%M}"


_JUDGES: tuple[Callable[[Sequence[Placed], Limits], _Said], ...] = (
    _too_close,
    _same_text,
    _too_many,
    _in_blackout,
    _at_night,
)
