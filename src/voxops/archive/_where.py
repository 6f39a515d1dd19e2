"""Conditions that Parquet readers push down: what a span of time or a list of words means for the rows of a table."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from voxops._core.arguments import empties
from voxops.archive._store import day_of
from voxops.archive._table import UNKNOWN_DAY
from voxops.frames.spans import MOMENTS

__all__ = ["created", "isin", "moment", "some"]


def isin(column: str, values: Sequence[str], *, any_case: bool = False) -> Any:
    """Rows with one of these texts, which are in lower case where `any_case` counts; all rows if there are none."""
    if not values:
        return pc.scalar(True)
    field = pc.utf8_lower(pc.field(column)) if any_case else pc.field(column)
    return field.isin(pa.array(list(values), pa.string()))


def some(**filters: object) -> Any:
    """No rows where a filter names nothing, as `ws.posts` has it; else all."""
    return pc.scalar(not empties(**filters))


def created(start: pd.Timestamp | None, end: pd.Timestamp | None) -> Any:
    """Rows created within a span; an unknown time is inside, since nothing shows that it is not.

    The condition also names the days, so that files outside are never opened.
    """
    at, day = pc.field("created_at"), pc.field("day")
    wanted = pc.scalar(True)
    if start is not None:
        wanted &= at.is_null() | (at >= _scalar(start))
        wanted &= (day == UNKNOWN_DAY) | (day >= day_of(start))
    if end is not None:
        wanted &= at.is_null() | (at < _scalar(end))
        wanted &= (day == UNKNOWN_DAY) | (day <= day_of(end))
    return wanted


def moment(start: pd.Timestamp | None, end: pd.Timestamp | None) -> Any:
    """Rows whose latest moment lies within a span; rows without any are inside."""
    moments = [pc.field(name) for name in MOMENTS]
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
