"""Records to the states that evidence is found in, without a frame: one post costs microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from voxops._core.isotime import in_calendar
from voxops.api.states import PostState, Source, TargetState
from voxops.frames.typed import read_columns
from voxops.frames.values import parse_times

__all__ = ["DELIVERY_EPISODE", "read_bulk_results", "read_deliveries", "read_post", "read_posts", "time_text"]

# What a further try of the server would change of a delivery, and what names it (rule 19).
DELIVERY_EPISODE = (
    "delivery_id", "webhook_id", "success", "status_code", "latency_ms", "retry_count", "error", "delivered_at",
)  # fmt: skip

_LONGEST_TOKEN = 64  # characters


def time_text(value: Any) -> str | None:
    """A time as ISO text in UTC, as frames give it; None where there is none."""
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        read = parse_times([value])[0]
        return None if read != read else str(read.isoformat())  # noqa: PLR0124  NaT is no time
    try:
        moment = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None
    return moment.isoformat() if in_calendar(moment) else None  # as frames have it


def read_posts(records: Sequence[Any], source: Source = "list") -> dict[str, PostState]:
    """Posts by id, in every shape that the API is known to send, by the schema of the frames that analysts see."""
    columns = read_columns("posts", records)
    flat, start = columns["_flat"], 0
    fields = [
        flat.column(name)
        for name in ("platform", "account_id", "status", "error_code", "error_message", "retry_count", "target_id", "platform_post_id")
    ]  # fmt: skip
    rows = list(zip(*fields, strict=True))
    states: dict[str, PostState] = {}
    names = ("post_id", "status", "updated_at", "created_at", "scheduled_for", "content", "metadata", "targets", "tags")
    for post_id, status, updated, created, scheduled, content, metadata, count, tags in zip(
        *(columns[name] for name in names), strict=True
    ):
        targets = tuple(TargetState(*row) for row in rows[start : start + count] if row[0] is not None)
        start += count
        if post_id is not None:
            states[post_id] = PostState(
                post_id, status or "", time_text(updated), time_text(created), time_text(scheduled), content,
                metadata if isinstance(metadata, Mapping) else None, targets, source,
                tuple(map(str, tags)) if isinstance(tags, list | tuple) else None, _token(updated),
            )  # fmt: skip
    return states


def _token(value: Any) -> str | None:
    """A time stamp as a version token: as the API wrote it, where it fits into a header."""
    fits = isinstance(value, str) and 0 < len(value) <= _LONGEST_TOKEN and value.isascii() and value.isprintable()
    return value if fits and " " not in value else None


def read_post(record: Any) -> PostState | None:
    """One post as it was read by itself; None where the record names none."""
    return next(iter(read_posts([record], "single").values()), None)


def read_deliveries(records: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Deliveries as their episodes, by id, and when they were created."""
    columns = read_columns("deliveries", list(records))
    names = (*DELIVERY_EPISODE, "created_at")
    rows = zip(*(columns[name] for name in names), strict=True)
    found = (dict(zip(names, row, strict=True)) for row in rows)
    times = ("delivered_at", "created_at")
    return {
        row["delivery_id"]: row | {name: time_text(row[name]) for name in times} | {"success": bool(row["success"])}
        for row in found
        if row["delivery_id"] is not None
    }


def read_bulk_results(
    results: Sequence[Any],
) -> list[tuple[int | None, str | None, str | None, str | None, str | None]]:
    """Items of a bulk answer as ``(index, status, post_id, error_code, error_message)``, as far as each can be read."""
    columns = read_columns("bulk_results", results)
    names = ("index", "status", "post_id", "error_code", "error_message")
    return list(zip(*(columns[name] for name in names), strict=True))
