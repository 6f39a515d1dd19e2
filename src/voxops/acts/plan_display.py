"""What a plan shows: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, timezone, tzinfo
from os.path import commonprefix
from typing import Any

import pandas as pd

from voxops._support import blocks, safe
from voxops._support.blocks import Block
from voxops._support.safe import redact_address, short_address
from voxops.api.reasons import Reason, kinds
from voxops.frames.nested import is_missing
from voxops.frames.records import targets_in
from voxops.frames.times import shown_zone
from voxops.sheets.rules import readable_time

ROWS = 12  # rows shown of what would be sent
KINDS = 12  # kinds of reasons shown of what is not eligible
_MOST = 4  # columns by which a row is known
_TARGET = ("post_id", "row_id", "platform", "account_name", "content", "cause")
_POST = ("post_id", "row_id", "row", "targets", "scheduled_for", "content")
_DELIVERY = ("delivery_id", "event_type", "url", "status_code", "created_at")
# Field of a request -> the column of its value before, and the new one.
_ASKED = {
    "scheduledFor": ("scheduled_for", "new_scheduled_for"),
    "content": ("content", "new_content"),
    "tags": ("tags", "new_tags"),
    "accountIds": ("targets", "new_account_ids"),
    "mediaUrl": ("", "new_media_url"),
}
_HEADS = {
    "targets": "accounts", "url": "endpoint", "status_code": "status", "new_scheduled_for": "new time", "new_content": "new content",
    "new_tags": "new tags", "new_account_ids": "new accounts", "new_media_url": "new media",
}  # fmt: skip
_TIMES = frozenset({"scheduled_for", "new_scheduled_for", "created_at"})
_ADDRESSES = frozenset({"url", "new_media_url"})
_ID, _TEXT, _ADDRESS = 12, 60, 40  # characters shown
_BEFORE = 24  # characters before the place where two texts part


def plan_blocks(plan: Any, reasons: Sequence[tuple[Reason | str, int]]) -> list[Block]:
    """Return what a plan says: what it costs, what would be sent, and why the rest would not."""
    cost = plan.cost
    heading = f"Plan to {plan.act.verb}: {safe.number(plan.eligible)} of {safe.many(len(plan.table), 'row')}"
    costs = f"{safe.many(cost.acts, 'acting request')}, about {safe.number(cost.requests)} in all, {how_long(cost)}."
    parts = [blocks.heading(heading, "Nothing has been sent."), blocks.line(costs)]
    if plan.canaries:
        said = f"The first {plan.canaries} of each cause go first; the others follow if at least half of them succeed."
        parts.append(blocks.line(said))
    if plan.eligible:
        parts += _sample(plan)
    if reasons:
        held = kinds(reasons)
        lines = [(safe.number(n), blocks.cell(why, limit=200)) for why, n in held[:KINDS]]
        parts += [blocks.heading("Not eligible, and why"), blocks.table(("rows", "reason"), lines, [0])]
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
    names = [*_names(plan, sent), "reason"]
    zones = {name: _zone(sent, name) for name in names if name in _TIMES}
    # Where all are the first attempt, or in the first batch, there is no need to say so.
    counts = [name for name in ("attempt", "batch") if (sent[name] > 1).any()]
    lines = []
    for row in sent.head(ROWS).to_dict("records"):
        key = "–" if is_missing(row["idempotency_key"]) else row["idempotency_key"]
        cells = [
            *(_cell(name, row, zones.get(name)) for name in names),
            *(blocks.cell(safe.number(row[name])) for name in counts),
        ]
        act = blocks.cell(row["act"].partition("_")[0], "" if is_missing(row["request"]) else row["request"])
        lines.append((*cells, act, blocks.cell(safe.clip(key, 7), key)))
    heads = [_HEADS.get(name, name) for name in names]
    heads = [
        safe.zoned(head, zones[name]) if zones.get(name) else head for name, head in zip(names, heads, strict=True)
    ]
    heads += [*counts, "request", "key"]
    numeric = range(len(names), len(names) + len(counts))
    parts = [blocks.table(heads, lines, numeric, range(len(heads) - 2, len(heads)))]
    if more := plan.eligible - len(lines):
        parts.append(blocks.line(f"and {safe.number(more)} more; plan.frame has them all"))
    return parts


def _names(plan: Any, sent: pd.DataFrame) -> list[str]:
    """The columns shown, each that is about to change followed by what it becomes."""
    created = (plan.key, "accounts", "account_ids", "scheduled_for", "content")
    known = {"delivery": _DELIVERY, "create": created}.get(plan.act.about, _TARGET if "platform" in sent else _POST)
    names = [name for name in known if name in sent and not sent[name].map(is_missing).all()]
    names = names if known in {_DELIVERY, _POST} else names[:_MOST]
    fields = {field for item in plan.items for field in item.body or ()} if plan.act.about == "post" else ()
    for old, new in (pair for field, pair in _ASKED.items() if field in fields):
        names = [*(name for name in names if name != old), *(name for name in (old, new) if name in sent)]
    return names


def _zone(sent: pd.DataFrame, name: str) -> str | tzinfo | None:
    """The zone of a column's times: the frame's, else the offset that all share; None where each has its own, as in the sheet."""
    times = sent[name]
    if "tz" in sent.attrs or isinstance(times.dtype, pd.DatetimeTZDtype):
        return shown_zone(sent)
    offsets = {when.utcoffset() for when in map(readable_time, times) if when is not None}
    return timezone(offsets.pop() or timedelta()) if len(offsets) == 1 else None


def _cell(name: str, row: dict[Any, Any], zone: str | tzinfo | None) -> Block:
    """A value: times in the zone; ids and addresses lose their middle, long text is cut; all of it shows on hovering."""
    value: Any = row[name]
    if is_missing(value):
        return blocks.cell("–")
    if name in _TIMES:
        when = readable_time(value)
        if when is None:
            return blocks.cell(value)
        local = when if zone is None else pd.Timestamp(when).tz_convert(zone)
        return blocks.cell(f"{local:%a %d %b %Y %H:%M}" + (f" {when.isoformat()[-6:]}" if zone is None else ""), value)
    if name in _ADDRESSES:
        return blocks.cell(safe.middle(short_address(value), _ADDRESS), redact_address(value))
    if name == "targets":
        value = [f"{each.platform}: {each.account_name or each.account_id or '–'}" for each in targets_in(value)]
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if name.endswith("_id"):
        return blocks.cell(safe.middle(value, _ID), value)
    # Of a text that takes another's place both begin shortly before they part.
    other = row.get({"content": "new_content", "new_content": "content"}.get(name, ""))
    said, others = (safe.plain(text, 10_000) if isinstance(text, str) else "" for text in (value, other))
    start = len(commonprefix([said, others])) - _BEFORE if others and max(len(said), len(others)) > _TEXT else 0
    return blocks.cell(value if start <= 0 else f"…{said[start:]}", value, limit=_TEXT)
