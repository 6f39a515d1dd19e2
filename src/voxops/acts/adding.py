"""What adds up: a change that was computed of what the post showed, and would be made once more by the same cell (rule 1).

A move by some days does, a text that is added to the post's own, and words that are put into it. Several cells may change a post in
turn: each change is found on the way back from what the post shows now.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from voxops._support.canonical import as_read
from voxops.acts.moments import minute
from voxops.acts.operation import Item, Past
from voxops.api.evidence import same_time
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.frames.records import read_post

__all__ = ["why_adds_up"]

_DIGITS = re.compile(r"\d+")  # numbers count up or down from one run of a cell to the next


def why_adds_up(item: Item, state: PostState, before: Sequence[Past]) -> Reason | None:
    """Why a change would be made twice; None where nothing was done like it on the way to what the post shows now."""
    return _why_moved(item, state, before) or _why_edited(item, state, before)


def _why_moved(item: Item, state: PostState, before: Sequence[Past]) -> Reason | None:
    """Why a post would be moved twice. That all posts go out at one time (``to=``) adds up to nothing."""
    moves = _way_to(state.scheduled_for, before, _move_of, same_time) if state.scheduled_for else []
    tz, when = str(item.seen.get("tz", "UTC")), item.asks("scheduledFor")
    if not moves or when is None:
        return None
    if same_time(when, state.scheduled_for):
        return None  # it stays, and something else is changed
    if any(same_time(when, move.asks("scheduledFor")) for move in moves[1:]):
        return Reason("set_before", value=minute(when, tz))
    if item.seen.get("to"):
        return None
    time = minute(state.scheduled_for, tz)
    if "by" in item.seen:
        return Reason("moved_already", time=time)
    step = _step(item)
    if step is None:
        return None
    if step in map(_step, moves):
        return Reason("moved_as_far_already", time=time)
    # A month, the way to the next Monday or working day, and a day over a change of the clocks are not always as long.
    calendar = _calendars(item, tz)
    if any(calendar & _calendars(move, tz) for move in moves):
        return Reason("moved_by_days_already", time=time)
    return None


def _why_edited(item: Item, state: PostState, before: Sequence[Past]) -> Reason | None:
    """Why a text would be added, or changed in the same way, twice."""
    if state.content is None:
        return None
    texts, added = _way_to(state.content, before, _text_of, _reads_the_same), _added(item)
    # Where somebody has corrected the text meanwhile, what was added to it is still there, be it in its middle by now.
    kept = [past.item for past in before if _still_has(state.content, _added(past.item))]
    if added is not None and added in map(_added, [*texts, *kept]):
        return Reason("added_already", text=" … ".join(part.strip() for part in added if part.strip())[:40])
    new = item.asks("content")
    if new is None or _reads_the_same(new, state.content):
        return None
    if new in [each.asks("content") for each in texts[1:]]:
        return Reason("set_before", value="this text")
    edit = _edit(item)
    stands = [past.item for past in before if _still_shows(state.content, _edit(past.item))]
    if edit is not None and edit in map(_edit, [*texts, *stands]):
        return Reason("edited_already", text=", ".join(f"{word} {text!r}" for word, text in edit)[:80])
    return None


def _still_has(text: str, added: tuple[str, str] | None) -> bool:
    """Whether a text still has what a change has added to it, which is more than blanks."""
    if added is None or not "".join(added).strip():
        return False
    whole = as_read(_DIGITS.sub("0", text))
    return all(as_read(part).strip() in whole for part in added)


def _still_shows(text: str, edit: tuple[tuple[str, str], ...] | None) -> bool:
    """Whether a text has all words that a change has put into it; of one that only took words away nothing says that it was undone."""
    whole = as_read(_DIGITS.sub("0", text))
    return edit is not None and all(as_read(word) in whole for sign, word in edit if sign == "+")


def _way_to(
    value: str,
    before: Sequence[Past],
    change_of: Callable[[Past], tuple[str | None, Sequence[str]]],
    same: Callable[[str, str], bool],
) -> list[Item]:
    """The changes by which a value came about, the last first: each has made of what its frame showed what the next one's frame did."""
    way: list[Item] = []
    for past in reversed(before):
        shown, made = change_of(past)
        if any(same(value, each) for each in made):
            way.append(past.item)
            value = made[0] if shown is None else shown
    return way


def _move_of(past: Past) -> tuple[str | None, Sequence[str]]:
    """The time that a change was made from, and what it made of it."""
    return _shown(past.item, "scheduled_for"), _made(past.item.asks("scheduledFor"), _kept(past, "scheduled_for"))


def _text_of(past: Past) -> tuple[str | None, Sequence[str]]:
    """The text that a change was made of, and what it made of it."""
    return _shown(past.item, "content"), _made(past.item.asks("content"), _kept(past, "content"))


def _shown(item: Item, name: str) -> str | None:
    """What the frame showed of a field, else the post when the change was bound; None where neither did."""
    found: str | None = (item.seen.get("shown") or {}).get(name) or (item.seen.get("bound") or {}).get(name)
    return found


def _made(asked: str | None, kept: str | None) -> list[str]:
    """What a change made of a value: what was asked, and what the API kept of it, in its own way; nothing where it was not changed."""
    return [] if asked is None else [asked, *([] if kept is None else [kept])]


def _kept(past: Past, name: str) -> str | None:
    """What the post showed of a field once it was changed: when the change was settled, or in the API's answer."""
    if past.seen is not None and name in past.seen:
        found: str | None = past.seen[name]
        return found
    answered = read_post(past.answer) if isinstance(past.answer, Mapping) else None
    return None if answered is None else getattr(answered, name)


def _reads_the_same(one: str, other: str) -> bool:
    """Whether two texts are one to people, however a server keeps blanks."""
    return as_read(one) == as_read(other)


def _step(item: Item) -> timedelta | None:
    """How much later than the frame showed a change moves a post; None where that is not known."""
    when, shown = item.asks("scheduledFor"), _shown(item, "scheduled_for")
    return None if when is None or shown is None else datetime.fromisoformat(when) - datetime.fromisoformat(shown)


def _calendars(item: Item, tz: str) -> set[tuple[str, int]]:
    """What a change may be in the calendar of the zone, or in that of UTC, in which frames have their times and cells compute.

    Where nobody has named a zone, the clocks may have been changed by an hour in between.
    """
    return _calendar(item, "UTC", (0, 1, -1)) if tz == "UTC" else _calendar(item, tz) | _calendar(item, "UTC")


def _calendar(item: Item, tz: str, shifts: Sequence[int] = (0,)) -> set[tuple[str, int]]:
    """What a change that keeps the hour of a post, as the clocks of a zone show it, may be in the calendar; nothing where it does not."""
    step, when = _step(item), item.asks("scheduledFor")
    if step is None:
        return set()
    new = datetime.fromisoformat(str(when)).astimezone(ZoneInfo(tz)).replace(tzinfo=None)
    old = (datetime.fromisoformat(str(when)) - step).astimezone(ZoneInfo(tz)).replace(tzinfo=None)
    kept = [shifted for hours in shifts if (shifted := new + timedelta(hours=hours)).time() == old.time()]
    if not kept:
        return set()
    (new,) = kept
    days, months = (new - old).days, (new.year - old.year) * 12 + new.month - old.month
    found = {("days", days)}
    if np.is_busday(new.date()):
        found.add(("working days", int(np.busday_count(old.date(), new.date()))))
    in_a_shorter_month = new.day == monthrange(new.year, new.month)[1]
    if months and (new.day == old.day or in_a_shorter_month):
        found.add(("months", months))
    if abs(days) <= 7:
        found.add(("to the next of this weekday", new.weekday()))
    return found


def _texts(item: Item) -> tuple[str, str] | None:
    """The text that a change was made of, and the new one; None where one of them is not known, or it is the same."""
    text, shown = item.asks("content"), _shown(item, "content")
    return None if not text or not shown or text == shown else (shown, text)


def _added(item: Item) -> tuple[str, str] | None:
    """What a change adds before and behind the text that the frame showed; None where it is not known, or another text."""
    texts = _texts(item)
    if texts is None:
        return None
    head, found, tail = texts[1].partition(texts[0])
    return (_DIGITS.sub("0", head), _DIGITS.sub("0", tail)) if found else None


def _edit(item: Item) -> tuple[tuple[str, str], ...] | None:
    """The words that a change puts into a text and takes out of it, wherever in it: two changes that do the same were made by one cell."""
    texts = _texts(item)
    if texts is None:
        return None
    old, new = texts
    if old.startswith(new):
        return (("cut off", "its end"),)
    if old.endswith(new):
        return (("cut off", "its beginning"),)
    if new in old:
        return (("cut off", "both its ends"),)
    before, after = Counter(_DIGITS.sub("0", old).split()), Counter(_DIGITS.sub("0", new).split())
    gone, come = list((before - after).elements()), list((after - before).elements())
    if not gone and not come:
        return (("changed", "a number"),) if sorted(old.split()) != sorted(new.split()) else None
    pairs = list(zip(gone, come, strict=False))
    if len(gone) == len(come) and all(word in longer for word, longer in pairs):
        # Put into words, or behind them, such as behind each link of a text.
        put = [(longer.replace(word, "", 1), word) for word, longer in pairs]
        into = sorted(word.replace(rest, "") for rest, word in put)
        return (*(("+", rest) for rest, _ in sorted(put)), *(("in", word) for word in into))
    return (
        *(("-", word) for word in sorted(gone)),
        *(("+", word) for word in sorted(come)),
    )
