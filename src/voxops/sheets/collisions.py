"""Posts that collide: with each other, with what is scheduled already, and with the days and hours that an analyst keeps free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
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
    return text, begins, ends + _DAY if len(last) <= len("2026-12-24") else ends


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
        for row, other in _pair(same, post) if same and post.at - same.at < _DAY else ():
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
