"""Moves: the new times of posts that `plan_update` gets as ``to=`` or ``by=``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from voxops._support import safe
from voxops._support.canonical import typed_time
from voxops.errors import ConfigError, PlanError
from voxops.frames.checks import plain_values
from voxops.frames.times import parse_times, placed, plain_units, shown_zone
from voxops.sheets.rules import utc_text


def times_to(to: Any, posts: pd.DataFrame) -> Any:
    """The column of new times: one for all posts, or one per row."""
    if isinstance(to, Iterable) and not isinstance(to, str):
        return _for_each(to, posts)
    return parse_times([_time(to, shown_zone(posts))] * len(posts))


def times_by(by: Any, posts: pd.DataFrame) -> pd.DatetimeIndex:
    """The column of new times that are so much later; NaT where the old one can't be read, or no calendar has the new one."""
    step, old = _step(by), [utc_text(value) for value in plain_values(posts, "scheduled_for")]
    return parse_times([text and _later(text, step) for text in old])


def _for_each(to: Any, posts: pd.DataFrame) -> Any:
    """One time per row, in the order of the frame; whether each is fit is decided per row."""
    if isinstance(to, Mapping | AbstractSet | pd.DataFrame):
        raise PlanError(f"to= takes one time, or a list or column with one per row, not a {type(to).__name__}")
    if isinstance(to, pd.Series):
        if not to.index.equals(posts.index):
            raise PlanError("to= is a column of other rows than the frame; take it from the same frame")
        return to
    times = list(to)
    if len(times) != len(posts):
        raise PlanError(
            f"to= has {safe.many(len(times), 'time')}, the frame {safe.many(len(posts), 'row')}; pass one per row"
        )
    return pd.Series(times, index=posts.index)


def _time(to: Any, tz: str) -> str:
    """A time of the analyst's: with its own offset, or in the zone that the workspace names."""
    text = None
    try:
        time = (
            pd.Timestamp(typed_time(to.strip()) if isinstance(to, str) else to)
            if isinstance(to, date | str)
            else pd.NaT
        )
        text = None if pd.isna(time) else utc_text(placed("to", to, time, tz))
    except (ValueError, TypeError):
        pass
    except ConfigError as error:
        raise PlanError(str(error)) from None
    if text is None:
        zoned = "where vx.connect(tz=) names a zone" if tz == "UTC" else f"in {tz}"
        raise PlanError(
            f"to={str(to)[:40]!r} must be a time such as '2026-03-05T10:00:00+01:00' or, {zoned}, '2026-03-05 10:00'"
        )
    return text


def _later(text: str, step: timedelta) -> str | None:
    """A time moved by a step; None where no calendar has it."""
    try:
        return (datetime.fromisoformat(text) + step).isoformat()
    except OverflowError:
        return None


def _step(by: Any) -> timedelta:
    """How much later."""
    try:
        step: Any = pd.Timedelta(plain_units(by) if isinstance(by, str) else by)
    except (ValueError, TypeError):
        step = pd.NaT
    bare = isinstance(by, bool | int | float) or (
        isinstance(by, str) and by.strip().lstrip("+-").replace(".", "", 1).isdigit()
    )
    if bare or pd.isna(step) or not step:  # a number without a unit would be nanoseconds
        raise PlanError(
            f"by={str(by)[:40]!r} must say how much later all posts go out, such as '3D', '-2h' or pd.Timedelta(days=3); for months, or "
            "one per row, use to=posts['scheduled_for'] + pd.DateOffset(months=1)"
        )
    length: timedelta = step.to_pytimedelta()
    return length
