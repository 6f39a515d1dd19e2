"""Statistics of deliveries counted by DuckDB where the files are: the rules of `voxops.analysis.partials` as SQL.

State, attempts and latency are defined there, in pandas, for one frame and for what a cluster holds; the tests prove on
hostile histories that this SQL gives the same digits. Days and hours of a time zone are not computed here at all: a small table
says in which of them each quarter of an hour lies, as `begin` has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from voxops.analysis.deliveries import DELIVERED_BY, PERCENTS, rates
from voxops.analysis.partials import COUNT_COLUMNS, FIELDS, MOST_RETRIES, OF_DAYS, SPANS, STATES, span_start
from voxops.archive._sql import as_pattern, connected, source
from voxops.archive._table import SCHEMA, UNKNOWN_DAY
from voxops.frames.arrow_in import to_frame

__all__ = ["COUNTED", "Sources", "count", "counted", "counting", "fits"]

STATE = """CASE WHEN success THEN 'succeeded'
 WHEN success IS NOT NULL AND (status_code IS NOT NULL OR latency_ms IS NOT NULL OR error IS NOT NULL) THEN 'failed'
 ELSE 'in flight' END"""
_RETRIES = f"least(greatest(coalesce(retry_count, 0), 0), {MOST_RETRIES})"
COUNTED = f"""{STATE} AS state,
 {_RETRIES} + CASE WHEN {STATE} = 'in flight' THEN 0 ELSE 1 END AS attempts,
 CASE WHEN latency_ms >= 0 THEN latency_ms END AS latency_ms, count(*) AS deliveries"""

_QUARTER = 900_000_000  # microseconds; since 1972 no zone's hour begins between two quarters
_FIRST, _LAST = "1972-01-01", "2200-01-01"
_MEMORY = "1GB"


@dataclass(frozen=True, slots=True)
class Sources:
    """What is counted.

    Attributes
    ----------
    kept : sequence of Path
        Roll-ups, each for a whole day, which have every column that is asked for.
    files : sequence of Path
        Files of deliveries, for the other days.
    start, end : Timestamp or None
        Of the deliveries in `files`, only those created from `start` to before `end`, and those of unknown time.
    days : sequence of str
        Names of all their days.
    """

    kept: Sequence[Path]
    files: Sequence[Path]
    start: pd.Timestamp | None
    end: pd.Timestamp | None
    days: Sequence[str]


def fits(names: Sequence[str], days: Sequence[str]) -> bool:
    """Whether these groups can be counted here; the rest is counted frame by frame."""
    columns = [FIELDS.get(name, name) for name in names]
    known = all(name in SPANS or name in SCHEMA["deliveries"].names for name in columns)
    dated = [day for day in days if day != UNKNOWN_DAY]
    return (
        known
        and not set(columns) & set(COUNT_COLUMNS)
        and len(set(columns)) == len(columns)
        and all(_FIRST <= day < _LAST for day in dated)
    )


def count(sources: Sources, names: Sequence[str], tz: str) -> pd.DataFrame:
    """The table of `delivery_stats`.

    Parameters
    ----------
    sources : Sources
        What is counted.
    names : sequence of str
        As `by` of ``vx.delivery_stats``; `fits` says whether they can be.
    tz : str
        Time zone of hours, days, weeks and months.
    """
    columns = [FIELDS.get(name, name) for name in names]
    spans = [name for name in columns if name in SPANS]
    with counting() as connection:
        if spans:
            connection.register("zones", _zones(spans, tz, sources.days))
        parts = _parts(connection, sources, columns, spans, tz)
        answer = connection.sql(_question(parts, columns)).to_arrow_table()
    table = _typed(answer, columns, spans, tz)
    return rates(table, columns)


@contextmanager
def counting() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for `count` and `counted`; it takes longer to open than a day takes to count."""
    with connected() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        yield connection


def counted(connection: duckdb.DuckDBPyConnection, file: Path, columns: Sequence[str]) -> pa.Table:
    """One file's deliveries, counted by these columns, state, attempts and latency, in the order of all of them."""
    listed = "".join(f"{name}, " for name in columns)
    rows = source(connection, "deliveries", [file])
    return connection.sql(f"SELECT {listed}{COUNTED} FROM {rows} GROUP BY ALL ORDER BY ALL").to_arrow_table()


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


def _parts(
    connection: duckdb.DuckDBPyConnection, sources: Sources, columns: Sequence[str], spans: Sequence[str], tz: str
) -> str:
    """SQL of what is counted, from both kinds of files; of no file at all, a table without rows."""
    found = []
    if sources.kept:
        listed = ", ".join(map(as_pattern, sources.kept))
        found.append(
            f"SELECT {''.join(f'{_of_day(name)}, ' for name in columns)}state, attempts, latency_ms, sum(deliveries) AS deliveries "
            f"FROM read_parquet([{listed}], hive_partitioning = false) GROUP BY ALL"
        )
    if sources.files:
        rows = source(connection, "deliveries", sources.files)
        utc = [f"date_trunc('{name}', make_timestamp(epoch_us(created_at)))" for name in spans]
        begun = dict(zip(spans, utc if tz == "UTC" else [f"zones.{name}" for name in spans], strict=True))
        keys = [f"{begun[name]} AS {name}" if name in begun else _quoted(name) for name in columns]
        joined = (
            f" LEFT JOIN zones ON epoch_us(created_at) // {_QUARTER} = zones.quarter" if spans and tz != "UTC" else ""
        )
        found.append(
            f"SELECT {''.join(f'{key}, ' for key in keys)}{COUNTED} FROM {rows}{joined}{_within(sources)} GROUP BY ALL"
        )
    if not found:
        nothing = [f"NULL::{'TIMESTAMP' if name in spans else _sql_type(name)} AS {_quoted(name)}" for name in columns]
        found = [
            f"SELECT {''.join(f'{each}, ' for each in nothing)}'' AS state, 0 AS attempts, 0 AS latency_ms, 0 AS deliveries WHERE false"
        ]
    return " UNION ALL ".join(found)


def _within(sources: Sources) -> str:
    """The span of time as a condition; an unknown time is inside."""
    bounds = [
        f"(created_at IS NULL OR created_at {sign} make_timestamptz({int(when.as_unit('us').asm8.view('i8'))}))"
        for sign, when in ((">=", sources.start), ("<", sources.end))
        if when is not None
    ]
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _zones(spans: Sequence[str], tz: str, days: Sequence[str]) -> pa.Table:
    """Every quarter of an hour of these days, with the beginning of the hour, day, week or month that it lies in, by one definition for all."""
    dated = [day for day in days if day != UNKNOWN_DAY]
    if not dated or tz == "UTC":
        return pa.table(
            {"quarter": pa.array([], pa.int64()), **{name: pa.array([], pa.timestamp("us")) for name in spans}}
        )
    first = pd.Timestamp(min(dated), tz="UTC").value // 1000 // _QUARTER
    quarters = np.arange(first, pd.Timestamp(max(dated), tz="UTC").value // 1000 // _QUARTER + 96)
    times = pd.Series(pd.DatetimeIndex((quarters * _QUARTER).view("M8[us]")).tz_localize("UTC"))
    begun = {name: span_start(times, name, tz).dt.tz_convert("UTC").dt.tz_localize(None).to_numpy() for name in spans}
    return pa.table(
        {"quarter": quarters, **{name: pa.array(values, pa.timestamp("us")) for name, values in begun.items()}}
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


def _sql_type(name: str) -> str:
    """The type of a column of deliveries."""
    kind = SCHEMA["deliveries"].field(name).type
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ"
    return {"string": "VARCHAR", "int64": "BIGINT", "bool": "BOOLEAN"}[str(kind)]


def _of_day(name: str) -> str:
    """A column of roll-ups, which are counted by days of UTC; a longer span by the day with which it begins."""
    return f"date_trunc('{name}', day) AS {name}" if name in OF_DAYS else _quoted(name)


def _quoted(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'
