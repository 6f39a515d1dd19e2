"""What a plan shows: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from typing import Any

import pandas as pd

from voxops._support import blocks, safe
from voxops._support.blocks import Block
from voxops._support.safe import redact_address, redact_addresses, short_address
from voxops.api.reasons import Reason, kinds
from voxops.frames.nested import is_missing
from voxops.frames.records import targets_in
from voxops.frames.times import shown_zone
from voxops.sheets.rules import readable_time, split_list

ROWS = 12  # rows shown of what would be sent
KINDS = 12  # kinds of reasons shown of what is held
_WORDS = frozenset({"retry", "fix"})  # how the path of a retry may end
Zone = str | tzinfo | None
Row = Mapping[str, Any]

_MOST = 4  # columns by which a row is known
_CREATED = ("accounts", "account_ids", "scheduled_for", "content")  # after the name of the row
_TARGET = ("post_id", "row_id", "platform", "account_name", "content", "cause")
_POST = ("post_id", "row_id", "row", "targets", "scheduled_for", "content")
_DELIVERY = ("delivery_id", "event_type", "url", "status_code", "created_at")
# What requests ask for -> the column that holds it, the one that shows how it is before, and the head of the new one.
_ASKED = {
    "scheduledFor": ("new_scheduled_for", "scheduled_for", "new time"),
    "content": ("new_content", "content", "new content"),
    "tags": ("new_tags", "tags", "new tags"),
    "accountIds": ("new_account_ids", "targets", "new accounts"),
    "mediaUrl": ("new_media_url", "", "new media"),
}
_NEW = {new: head for new, _, head in _ASKED.values()}
_HEADS = {"targets": "accounts", "url": "endpoint", "status_code": "status"}
_TIMES = frozenset({"scheduled_for", "new_scheduled_for", "created_at"})
_ADDRESSES = frozenset({"url", "new_media_url"})
_ID, _TEXT, _ADDRESS, _ERROR = 12, 60, 40, 40  # characters shown
_BEFORE = 24  # characters before the place where two texts part


@dataclass(frozen=True)
class Shown:
    """One column of what a plan shows: its head, the cell of a row, and whether it counts."""

    head: str
    cell: Callable[[Row], Block]
    counts: bool = False


def plan_blocks(plan: Any, reasons: Sequence[tuple[Reason | str, int]]) -> list[Block]:
    """Return what a plan says: what it costs, what would be sent, and why the rest would not."""
    cost = plan.cost
    parts = [
        blocks.heading(
            f"Plan to {plan.act.verb}: {safe.number(plan.eligible)} of {safe.many(len(plan.table), 'row')}",
            "Nothing has been sent.",
        ),
        blocks.line(
            f"{safe.many(cost.acts, 'acting request')}, about {safe.number(cost.requests)} in all, {how_long(cost)}."
        ),
    ]
    if plan.canaries:
        said = f"The first {plan.canaries} of each cause go first; the others follow if at least half of them succeed."
        parts.append(blocks.line(said))
    if plan.eligible:
        parts += _sample(plan)
    if reasons:
        parts.append(blocks.heading("Held, and why"))
        held = kinds(reasons)
        lines = [(safe.number(n), blocks.cell(why, limit=200)) for why, n in held[:KINDS]]
        parts.append(blocks.table(("rows", "reason"), lines, [0]))
        if (more := len(held) - KINDS) > 0:
            parts.append(blocks.line(f"and {safe.many(more, 'more kind')}; plan.frame has the reason of each row"))
    return parts


def how_long(cost: Any) -> str:
    """Say how long a plan takes at the rate limit, which is the least that it can take."""
    least = (
        "under a minute" if cost.minutes < 1 else f"at least {cost.minutes:g} minute{'' if cost.minutes == 1 else 's'}"
    )
    return f"{least} at {safe.number(cost.rate)} a minute"


def _sample(plan: Any) -> list[Block]:
    """The first rows that would be sent."""
    sent = plan.table[plan.table["eligible"]]
    columns = shown_columns(plan, sent)
    lines = [
        (
            *(column.cell(row) for column in columns),
            blocks.cell(_word(row["request"], plan.act), row["request"]),
            blocks.cell(safe.clip(row["idempotency_key"], 7), row["idempotency_key"]),
        )
        for row in sent.head(ROWS).to_dict("records")
    ]
    heads = (*(column.head for column in columns), "request", "key")
    numeric = [at for at, column in enumerate(columns) if column.counts]
    parts = [blocks.table(heads, lines, numeric, range(len(heads) - 2, len(heads)))]
    if more := plan.eligible - len(lines):
        parts.append(blocks.line(f"and {safe.number(more)} more; plan.frame has them all"))
    return parts


def _word(request: str, act: Any) -> str:
    """What a request does, in a word; one plan to retry may hold both retries and fixes, and a redelivery is a retry to the API alone."""
    last = request.rpartition("/")[2]
    return last if last in _WORDS and act.about == "post" else str(act.verb)


def shown_columns(plan: Any, sent: pd.DataFrame) -> list[Shown]:
    """Return the columns that show the rows of a plan which are `sent`, and why, where what they become does not say it."""
    names = _names(plan, sent)
    columns = [_column(name, sent) for name in names]
    # Where all are the first attempt, or in the first batch, there is no need to say so.
    columns += [_count(name) for name in ("attempt", "batch") if (sent[name] > 1).any()]
    why = Shown("reason", lambda row: blocks.cell(row["reason"], limit=80))
    return columns if _NEW.keys() & set(names) else [*columns, why]


def _names(plan: Any, sent: pd.DataFrame) -> list[str]:
    """The columns shown, each that is about to change followed by what it becomes."""
    if plan.act.about == "delivery":
        return _present(_DELIVERY, sent)
    if plan.act.about == "create":
        return _present((plan.key, *_CREATED), sent)[:_MOST]
    if "platform" in sent.columns:
        names = _present(_TARGET, sent)[:_MOST]
    else:
        names = [name for name in _present(_POST, sent) if not all(map(is_missing, sent[name]))]
    asked = {field for item in plan.items for field in item.body or ()}
    for field, (new, old, _) in _ASKED.items():
        if field in asked:
            names = [name for name in names if name != old]
            names += _present([old, new], sent)
    return names


def _present(names: Sequence[str], sent: pd.DataFrame) -> list[str]:
    return [name for name in dict.fromkeys(names) if name in sent.columns]


def _column(name: str, sent: pd.DataFrame) -> Shown:
    """One column: its head with the zone of its times, and how a cell of it is shown."""
    head = _NEW.get(name) or _HEADS.get(name, name)
    if name in _TIMES:
        tz = _zone(sent, name)
        return Shown(head if tz is None else safe.zoned(head, tz), lambda row: _time(row[name], tz))
    return Shown(head, lambda row: _cell(name, row))


def _count(name: str) -> Shown:
    return Shown(name, lambda row: blocks.cell(safe.number(row[name])), counts=True)


def _zone(sent: pd.DataFrame, name: str) -> Zone:
    """The zone in which times are shown: the frame's, else the one that they are in; None where each has its own offset."""
    if "tz" in sent.attrs:
        return shown_zone(sent)
    times = sent[name]
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        return times.dtype.tz
    # So they can be compared with the sheet as they stand there.
    offsets = {when.utcoffset() for when in map(readable_time, times) if when is not None}
    return timezone(offsets.pop() or timedelta()) if len(offsets) == 1 else None


def _time(value: Any, tz: Zone) -> Block:
    """A time in the zone, or as it stands where it is none."""
    if is_missing(value):
        return blocks.cell("–")
    when = readable_time(value)
    if when is None:
        return blocks.cell(value, value)
    local = when if tz is None else pd.Timestamp(when).tz_convert(tz)
    return blocks.cell(f"{local:%a %d %b %Y %H:%M}" + (f" {when.isoformat()[-6:]}" if tz is None else ""), value)


def _cell(name: str, row: Row) -> Block:
    """Any other value: ids and addresses lose their middle, long text is cut; all of it shows on hovering."""
    value = row[name]
    if name == "status_code":
        return _answer(row)
    if is_missing(value):
        return blocks.cell("–" if name in _NEW else value)
    if name == "targets":
        return _list(_accounts(value))
    if name in _ADDRESSES:
        return blocks.cell(safe.middle(short_address(value), _ADDRESS), redact_address(value))
    if name == "new_account_ids":
        return _list(_named(value, row.get("targets")))
    if isinstance(value, list | tuple):
        return _list([str(each) for each in value])
    if name in {"content", "new_content"}:
        return _text(name, row)
    if name.endswith("_id"):
        return blocks.cell(safe.middle(value, _ID), value)
    return blocks.cell(value, limit=_TEXT)


def _answer(row: Row) -> Block:
    """What the receiver has answered, or why there is no answer."""
    if not is_missing(row["status_code"]):
        return blocks.cell(f"{row['status_code']:g}" if isinstance(row["status_code"], float) else row["status_code"])
    error = row.get("error")
    return blocks.cell("no answer" if is_missing(error) else redact_addresses(error), limit=_ERROR)


def _list(values: Sequence[str]) -> Block:
    said = "; ".join(values)
    return blocks.cell(said, said, limit=2 * _TEXT)


def _accounts(cell: Any) -> list[str]:
    """The accounts of a post, each with its platform."""
    return [f"{target.platform}: {target.account_name or target.account_id or '–'}" for target in targets_in(cell)]


def _named(value: Any, cell: Any) -> list[str]:
    """Account ids, by name where the post has shown it."""
    ids = split_list(value)
    targets = [] if is_missing(cell) else targets_in(cell)
    names = {
        target.account_id: f"{target.platform}: {target.account_name}" for target in targets if target.account_name
    }
    return [names.get(str(each).strip(), str(each).strip()) for each in ids]


def _text(name: str, row: Row) -> Block:
    """A text; where another takes its place, both begin shortly before they part, so that the difference is seen."""
    value, other = row[name], row.get("content" if name == "new_content" else "new_content")
    if is_missing(other) or not isinstance(value, str) or not isinstance(other, str):
        return blocks.cell(value, limit=_TEXT)
    said, others = safe.plain(value, len(value)), safe.plain(other, len(other))
    if said == others and value != other and name == "new_content":
        return blocks.cell("the same words, with other blanks or lines", value)
    start = _parting(said, others) if max(len(said), len(others)) > _TEXT else 0
    return blocks.cell(("…" if start else "") + said[start:], value, limit=_TEXT)


def _parting(one: str, other: str) -> int:
    """Where to begin so that the place is seen at which two texts part: at a word shortly before it."""
    alike = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    near = max(0, alike - _BEFORE)
    return one.rfind(" ", 0, near) + 1 if near else 0
