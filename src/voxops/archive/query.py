"""Queries of an archive by DuckDB, directly on the files: SQL, and the statistics of deliveries."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from voxops.analysis.statistics import (
    COUNT_COLUMNS,
    DELIVERED_BY,
    FIELDS,
    MOST_RETRIES,
    PERCENTS,
    SPANS,
    STATES,
    rates,
    span_start,
)
from voxops.archive.store import SCHEMA, UNKNOWN_DAY, dataset
from voxops.errors import ConfigError
from voxops.frames.arrow import duplicate_name, to_frame


def ask(files: Mapping[str, Sequence[Path]], query: str, parameters: Any, *, allow_file_access: bool) -> pd.DataFrame:
    """Run one query over the tables, each of which is a dataset that reads its files: DuckDB itself opens none."""
    if not isinstance(query, str):
        raise ConfigError(f"query={query!r} is not SQL; it takes a text such as 'SELECT count(*) FROM posts'")
    with connected() as connection:
        connection.execute("SET python_enable_replacements = false")  # a frame of the caller is not a table
        for kind in SCHEMA:
            connection.register(kind, dataset(kind, files[kind]))
        if not allow_file_access:
            # The query opens no file, attaches and loads nothing, and can't undo this (DuckDB's own locks).
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        answer = _answer(connection, query, parameters, [path for parts in files.values() for path in parts])
    if duplicate := duplicate_name(answer.column_names):
        raise ConfigError(
            f"two columns of the result are named {duplicate!r}; rename them in the query, such as posts.{duplicate} AS post_{duplicate}"
        )
    return to_frame(pa.table({name: _narrowed(name, answer.column(name)) for name in answer.column_names}))


def source(connection: duckdb.DuckDBPyConnection, kind: str, files: Sequence[Path]) -> str:
    """Return files as a table for SQL with all columns of today's schema, also if another version wrote a file without some."""
    none = f"_no_{kind}"
    connection.register(none, SCHEMA[kind].empty_table())
    if not files:
        return none
    listed = ", ".join(map(as_pattern, files))
    rows = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    return f"(SELECT * FROM {none} UNION ALL BY NAME SELECT * FROM {rows})"


def _narrowed(name: str, column: Any) -> Any:
    """Convert DuckDB's wide whole numbers, such as sums, to the type of frames."""
    kind = column.type
    if not pa.types.is_integer(kind) and not (pa.types.is_decimal(kind) and kind.scale == 0):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise ConfigError(
            f"{name} contains whole numbers beyond int64; write CAST({name} AS VARCHAR) in the query, or AS DOUBLE"
        ) from error


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect in UTC; data that exceed the memory go to a temporary folder, which is removed."""
    with tempfile.TemporaryDirectory(prefix="voxops-") as spill, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # else .tmp in the current folder
        connection.execute(f"SET temp_directory = {as_literal(Path(spill))}")
        try:
            yield connection
        except duckdb.Error as error:
            raise ConfigError(
                f"DuckDB can't read the archive: {error}. Delete the damaged file, and call sync(full=True)"
            ) from error


def as_pattern(path: Path) -> str:
    """Return a pattern that matches only this path, with ``*``, ``?`` and ``[`` escaped."""
    return as_literal(Path(re.sub(r"[*?\[]", r"[\g<0>]", str(path.absolute()))))


def as_literal(path: Path) -> str:
    """Quote a path as SQL text."""
    return "'" + str(path.absolute()).replace("'", "''") + "'"


def _answer(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any, files: Sequence[Path]) -> pa.Table:
    """Run a query, or raise DuckDB's error as a ConfigError."""
    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1:
            raise ConfigError(f"query= takes one statement, not {len(statements)}")
        if not _only_reads(statements[0]):
            raise ConfigError("query= takes a SELECT or EXPLAIN; nothing else is run")
        answer = connection.sql(statements[0], params=parameters).to_arrow_table()
        answer.validate(full=True)  # texts of a damaged file may be none
        return answer
    except (duckdb.Error, pa.ArrowException) as error:
        damaged = any(str(path) in str(error) for path in files)
        then = " Delete the damaged file, and call sync(full=True)" if damaged else ""
        raise ConfigError(f"DuckDB can't run the query. {error}{then}") from error


def _only_reads(statement: duckdb.Statement) -> bool:
    try:
        return statement.type.name in {"SELECT", "EXPLAIN"}
    except ValueError:  # one that DuckDB knows and its Python binding does not, such as UPDATE EXTENSIONS
        return False


_STATE = """CASE WHEN success THEN 'succeeded'
 WHEN success IS NOT NULL AND (status_code IS NOT NULL OR latency_ms IS NOT NULL OR error IS NOT NULL) THEN 'failed'
 ELSE 'in flight' END"""
_COUNTED = f"""{_STATE} AS state,
 least(greatest(coalesce(retry_count, 0), 0), {MOST_RETRIES}) + CASE WHEN {_STATE} = 'in flight' THEN 0 ELSE 1 END AS attempts,
 CASE WHEN latency_ms >= 0 THEN latency_ms END AS latency_ms, count(*) AS deliveries"""

_QUARTER = 900_000_000  # microseconds; since 1972 no zone's hour begins between two quarters
_OF_A_DAY = 96
_FIRST, _LAST = "1972-01-01", "2200-01-01"
_MEMORY = "1GB"


def fits(names: Sequence[str], files: Sequence[Path]) -> bool:
    """Whether SQL can count these groups; pandas counts the others."""
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
    """Return the table of `stats`.

    Parameters
    ----------
    files : sequence of Path
        Files of deliveries, a day each.
    names : sequence of str
        As `by` of ``vx.deliveries.stats``; `fits` checks them.
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
    """Return the whole query: parts, their sums, the histogram of latencies, and its quantiles by nearest rank."""
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
    """Return the SQL equivalent of `partial`."""
    keys = [f"{_begin(name, tz)} AS {name}" if name in SPANS else _quoted(name) for name in columns]
    zoned = tz != "UTC" and not set(SPANS).isdisjoint(columns)
    joined = f" LEFT JOIN zones ON epoch_us(created_at) // {_QUARTER} = zones.quarter" if zoned else ""
    bounds = [  # an unknown time is inside
        f"(created_at IS NULL OR created_at {sign} make_timestamptz({int(when.as_unit('us').asm8.view('i8'))}))"
        for sign, when in zip((">=", "<"), span, strict=True)
        if when is not None
    ]
    where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
    return f"SELECT {''.join(f'{key}, ' for key in keys)}{_COUNTED} FROM {rows}{joined}{where} GROUP BY ALL"


def _begin(span: str, tz: str) -> str:
    """Return the SQL of the start of a delivery's hour, day, week or month."""
    return f"date_trunc('{span}', make_timestamp(epoch_us(created_at)))" if tz == "UTC" else f"zones.{span}"


def _days(files: Sequence[Path]) -> list[str]:
    """Return the days of files, without the one of unknown times."""
    days = [path.parent.name.removeprefix("day=") for path in files]
    return [day for day in days if day != UNKNOWN_DAY]


def _zones(spans: Sequence[str], tz: str, days: Sequence[str]) -> pa.Table:
    """Return every quarter of an hour of these days with the start of its hour, day, week or month, as computed in pandas."""
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
    """Return the result with the dtypes of the statistics."""
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
    """Quote a column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'
