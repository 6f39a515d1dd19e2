"""Conditions that Parquet readers push down: what a span of time or a list of words means for the rows of a table."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from voxops.archive._store import UNKNOWN_DAY

__all__ = ["Words", "created", "isin", "moment"]

Words: TypeAlias = str | Sequence[str] | None
_MOMENTS = ("scheduled_for", "published_at", "updated_at", "created_at")


def isin(column: str, values: Words) -> Any:
    """Rows with one of these values; all if there are none."""
    if values is None:
        return pc.scalar(True)
    return pc.field(column).isin([values] if isinstance(values, str) else list(values))


def created(start: pd.Timestamp | None, end: pd.Timestamp | None, *, prune: bool = True) -> Any:
    """Rows created within a span; an unknown time is inside, since nothing shows that it is not.

    With `prune` the condition also names the days, so that files outside are never opened.
    """
    at, day = pc.field("created_at"), pc.field("day")
    wanted = pc.scalar(True)
    if start is not None:
        wanted &= at.is_null() | (at >= _scalar(start))
        wanted &= (day == UNKNOWN_DAY) | (day >= f"{start:%Y-%m-%d}") if prune else pc.scalar(True)
    if end is not None:
        wanted &= at.is_null() | (at < _scalar(end))
        wanted &= (day == UNKNOWN_DAY) | (day <= f"{end:%Y-%m-%d}") if prune else pc.scalar(True)
    return wanted


def moment(start: pd.Timestamp | None, end: pd.Timestamp | None) -> Any:
    """Rows whose latest moment lies within a span; rows without any are inside."""
    moments = [pc.field(name) for name in _MOMENTS]
    wanted = pc.scalar(True)
    if start is not None:
        late = _fold(operator.or_, [pc.coalesce(each >= _scalar(start), pc.scalar(False)) for each in moments])
        wanted &= late | _fold(operator.and_, [each.is_null() for each in moments])
    if end is not None:
        wanted &= _fold(operator.and_, [pc.coalesce(each < _scalar(end), pc.scalar(True)) for each in moments])
    return wanted


def _scalar(when: pd.Timestamp) -> Any:
    """An instant as Arrow has it."""
    return pa.scalar(when.to_pydatetime(), pa.timestamp("us", "UTC"))


def _fold(join: Callable[[Any, Any], Any], conditions: Sequence[Any]) -> Any:
    """Join conditions by one operator."""
    first, *others = conditions
    for other in others:
        first = join(first, other)
    return first
