"""Statistics of deliveries counted by DuckDB where the files are: the rules of `voxops.analysis.partials` as SQL.

State, attempts and latency are defined there, in pandas, for one frame and for what a cluster holds; the tests prove on
hostile histories that this SQL gives the same digits. Days and hours of a time zone are not computed here at all: a small table
says in which of them each quarter of an hour lies, as `begin` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from voxops.analysis.deliveries import DELIVERED_BY, PERCENTS, rates
from voxops.analysis.partials import COUNT_COLUMNS, FIELDS, MOST_RETRIES, SPANS, STATES, span_start
from voxops.archive._sql import connected, source
from voxops.archive._table import SCHEMA, UNKNOWN_DAY
from voxops.frames.arrow_in import to_frame

__all__ = ["count", "fits"]

_STATE = """CASE WHEN success THEN 'succeeded'
 WHEN success IS NOT NULL AND (status_code IS NOT NULL OR latency_ms IS NOT NULL OR error IS NOT NULL) THEN 'failed'
 ELSE 'in flight' END"""
_RETRIES = f"least(greatest(coalesce(retry_count, 0), 0), {MOST_RETRIES})"
_COUNTED = f"""{_STATE} AS state,
 {_RETRIES} + CASE WHEN {_STATE} = 'in flight' THEN 0 ELSE 1 END AS attempts,
 CASE WHEN latency_ms >= 0 THEN latency_ms END AS latency_ms, count(*) AS deliveries"""

_QUARTER = 900_000_000  # microseconds; since 1972 no zone's hour begins between two quarters
_OF_A_DAY = 96
_FIRST, _LAST = "1972-01-01", "2200-01-01"
_MEMORY = "1GB"


def fits(names: Sequence[str], files: Sequence[Path]) -> bool:
    """Whether these groups can be counted here; the rest is counted in pandas."""
    columns = [FIELDS.get(name, name) for name in names]
    known = all(name in SPANS or name in SCHEMA["deliveries"].names for name in columns)
    return (
        known
        and not set(columns) & set(COUNT_COLUMNS)
        and len(set(columns)) == len(columns)
        and all(_FIRST <= day < _LAST for day in _days(files))
    )


def count(
    files: Sequence[Path], names: Sequence[str], tz: str, span: tuple[pd.Timestamp | None, pd.Timestamp | None]
) -> pd.DataFrame:
    """The table of `delivery_stats`.

    Parameters
    ----------
    files : sequence of Path
        Files of deliveries, a day each.
    names : sequence of str
        As `by` of ``vx.delivery_stats``; `fits` says whether they can be.
    tz : str
        Time zone of hours, days, weeks and months.
    span : pair of Timestamp or None
        Only deliveries created from the first to before the second, and those of unknown time.
    """
    columns = [FIELDS.get(name, name) for name in names]
    spans = [name for name in columns if name in SPANS]
    with connected() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        if spans and tz != "UTC":
            connection.register("zones", _zones(spans, tz, _days(files)))
        parts = _parts(source(connection, "deliveries", files), columns, tz, span)
        answer = connection.sql(_question(parts, columns)).to_arrow_table()
    return rates(_typed(answer, columns, spans, tz), columns)


def _question(parts: str, columns: Sequence[str]) -> str:
    """The whole question as SQL: parts, their sums, the histogram of latencies, and its quantiles by nearest rank."""
    keys = ", ".join(_quoted(name) for name in columns)
    comma = f"{keys}, " if keys else ""
    by = f"PARTITION BY {keys}" if keys else ""
    group = f"GROUP BY {keys}" if keys else ""
    order = f"ORDER BY {', '.join(f'sums.{_quoted(name)} ASC NULLS LAST' for name in columns)}" if keys else ""
    same = (
        " AND ".join(f"sums.{_quoted(name)} IS NOT DISTINCT FROM ranks.{_quoted(name)}" for name in columns) or "true"
    )
    states = ", ".join(
        f"coalesce(sum(deliveries) FILTER (state = '{state}'), 0) AS {state.replace(' ', '_')}" for state in STATES
    )
    delivered = ", ".join(
        f"coalesce(sum(deliveries) FILTER (state = 'succeeded' AND attempts <= {most}), 0) AS {name}"
        for name, most in DELIVERED_BY.items()
    )
    ranks = ", ".join(
        f"min(latency_ms) FILTER (rank >= (total * {percent} + 99) // 100) AS {name}"
        for name, percent in PERCENTS.items()
    )
    shown = ", ".join(f"sums.{_quoted(name)}" for name in columns)
    return f"""
WITH parts AS MATERIALIZED ({parts}),
sums AS (SELECT {comma}coalesce(sum(deliveries), 0) AS deliveries, {states}, {delivered}, coalesce(sum(attempts * deliveries), 0) AS attempts FROM parts {group}),
histogram AS (SELECT {comma}latency_ms, sum(deliveries) AS n FROM parts WHERE latency_ms IS NOT NULL GROUP BY {comma}latency_ms),
cumulated AS (SELECT {comma}latency_ms, sum(n) OVER ({by} ORDER BY latency_ms) AS rank, sum(n) OVER ({by}) AS total FROM histogram),
ranks AS (SELECT {comma}{ranks} FROM cumulated {group})
SELECT {shown + ", " if shown else ""}deliveries, succeeded, failed, in_flight, {", ".join(DELIVERED_BY)}, attempts, {", ".join(PERCENTS)}
FROM sums LEFT JOIN ranks ON {same} {order}"""


def _parts(rows: str, columns: Sequence[str], tz: str, span: tuple[pd.Timestamp | None, pd.Timestamp | None]) -> str:
    """SQL of what `partial` makes of these rows."""
    keys = [f"{_begin(name, tz)} AS {name}" if name in SPANS else _quoted(name) for name in columns]
    zoned = tz != "UTC" and not set(SPANS).isdisjoint(columns)
    joined = f" LEFT JOIN zones ON epoch_us(created_at) // {_QUARTER} = zones.quarter" if zoned else ""
    return f"SELECT {''.join(f'{key}, ' for key in keys)}{_COUNTED} FROM {rows}{joined}{_within(*span)} GROUP BY ALL"


def _begin(span: str, tz: str) -> str:
    """When the hour, day, week or month of a delivery began."""
    return f"date_trunc('{span}', make_timestamp(epoch_us(created_at)))" if tz == "UTC" else f"zones.{span}"


def _within(start: pd.Timestamp | None, end: pd.Timestamp | None) -> str:
    """The span of time as a condition; an unknown time is inside."""
    bounds = [
        f"(created_at IS NULL OR created_at {sign} make_timestamptz({int(when.as_unit('us').asm8.view('i8'))}))"
        for sign, when in ((">=", start), ("<", end))
        if when is not None
    ]
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _days(files: Sequence[Path]) -> list[str]:
    """Names of the days of files, without that of deliveries of unknown time."""
    days = [path.parent.name.removeprefix("day=") for path in files]
    return [day for day in days if day != UNKNOWN_DAY]


def _zones(spans: Sequence[str], tz: str, days: Sequence[str]) -> pa.Table:
    """Every quarter of an hour of these days, with the beginning of the hour, day, week or month that it lies in, by one definition for all."""
    begun = [pd.Timestamp(day, tz="UTC").value // 1000 // _QUARTER for day in days]
    quarters = np.arange(min(begun, default=0), max(begun, default=-_OF_A_DAY) + _OF_A_DAY)
    times = pd.Series(pd.DatetimeIndex((quarters * _QUARTER).view("M8[us]")).tz_localize("UTC"))
    spans_begun = {
        name: span_start(times, name, tz).dt.tz_convert("UTC").dt.tz_localize(None).to_numpy() for name in spans
    }
    return pa.table(
        {"quarter": quarters, **{name: pa.array(values, pa.timestamp("us")) for name, values in spans_begun.items()}}
    )


def _typed(answer: pa.Table, columns: Sequence[str], spans: Sequence[str], tz: str) -> pd.DataFrame:
    """The answer with the dtypes of the statistics."""
    kinds = {name: SCHEMA["deliveries"].field(name).type for name in columns if name not in spans}
    wanted = [
        field.with_type(pa.timestamp("us", "UTC") if field.name in spans else kinds.get(field.name, pa.int64()))
        for field in answer.schema
    ]
    table = to_frame(answer.cast(pa.schema(wanted)))
    for name in spans:
        table[name] = table[name].dt.tz_convert(tz)
    return table


def _quoted(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'
