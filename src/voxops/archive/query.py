"""Frames as Arrow tables and back, by the same schemas as everything else: no dtype is left to inference."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from voxops._support.canonical import text
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
from voxops.errors import ConfigError
from voxops.frames.arrow import doubled_name, to_frame
from voxops.frames.nested import NestedArray, strings, targets_type
from voxops.frames.records import TARGET_COLUMNS
from voxops.frames.schemas import SCHEMAS, TARGET

UNKNOWN_DAY = "unknown"  # the day of what shows no time; the others are named as 2026-03-02
_TIME = pa.timestamp("us", tz="UTC")
_SIMPLE = {
    "text": pa.string(),
    "label": pa.string(),
    "word": pa.string(),
    "code": pa.string(),
    "count": pa.int64(),
    "flag": pa.bool_(),
    "time": _TIME,
    "list": pa.list_(pa.string()),
    "json": pa.string(),
}
_TARGET_KINDS = {column.name: column.kind.name for column in TARGET}


def _schema(kinds: dict[str, str]) -> pa.Schema:
    """Arrow's types of these columns."""
    return pa.schema([(name, targets_type() if name == "targets" else _SIMPLE[kind]) for name, kind in kinds.items()])


_OF_POSTS = {column.name: column.kind.name for column in SCHEMAS["posts"] if column.shown}
_KINDS = {
    "posts": _OF_POSTS,
    # created_at is the post's: it decides on the day, for posts and targets alike
    "targets": {
        **{name: _TARGET_KINDS.get(name) or _OF_POSTS.get(name, "word") for name in TARGET_COLUMNS},
        "post_id": "text",
        "created_at": "time",
    },
    "deliveries": {column.name: column.kind.name for column in SCHEMAS["deliveries"] if column.shown},
}
SCHEMA = {table: _schema(kinds) for table, kinds in _KINDS.items()}
# Columns whose values repeat: read as codes and a dictionary, which costs a tenth.
REPEATING = {
    table: [name for name, kind in kinds.items() if kind in {"label", "word", "code"}]
    for table, kinds in _KINDS.items()
}


def to_table(kind: str, frame: pd.DataFrame) -> pa.Table:
    """A frame of ``posts``, ``targets`` or ``deliveries`` as a table of the archive's schema."""
    schema = SCHEMA[kind]
    return pa.table({field.name: _column_out(frame[field.name], field.type) for field in schema}, schema=schema)


def _column_out(column: pd.Series[Any], kind: Any) -> Any:
    """One column."""
    if isinstance(column.array, NestedArray):
        return column.array.__arrow_array__(kind)
    if kind == _TIME:
        stamps = column.dt.as_unit("us").array.asi8
        return pa.array(stamps, mask=column.isna().to_numpy(), type=pa.int64()).cast(_TIME)
    values = column.array.to_numpy(object, na_value=None)
    if kind == pa.string():
        return strings([None if value is None else text(value) for value in values])
    return pa.array(values, type=kind)


@contextmanager
def readable() -> Iterator[None]:
    """Say in words that a file is damaged, where it is read."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(
            f"a file of the archive can't be read; delete it and call sync(full=True): {error}"
        ) from error


def dataset(kind: str, files: Collection[Path], root: Path) -> Any:
    """The files of a table, the earliest first, as one table of Arrow with the column ``day``; newest rows first."""
    schema = SCHEMA[kind].append(pa.field("day", pa.string()))
    if not files:
        return ds.dataset(schema.empty_table())
    parts = ds.partitioning(pa.schema([("day", pa.string())]), flavor="hive")
    known = [path for path in files if path.parent.name != f"day={UNKNOWN_DAY}"]
    paths = [str(path) for path in [*known[::-1], *(path for path in files if path not in known)]]
    return ds.dataset(
        paths, schema=schema, format=file_format(kind), partitioning=parts, partition_base_dir=str(root / kind)
    )


def read_file(kind: str, path: Path) -> Any:
    """One file as a table of Arrow in the schema of today: a column that it lacks is missing, one that only it has is left out."""
    return ds.dataset([str(path)], schema=SCHEMA[kind], format="parquet").to_table()


def file_format(kind: str) -> Any:
    """How files are read: texts that repeat as codes and a dictionary."""
    return ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=REPEATING[kind]))


def read_part(path: str | PathLike[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one file of an archive; what a cluster's workers call.

    Parameters
    ----------
    path : path
        One of ``archive.files(kind)``.
    columns : sequence of str, optional
        Only these.

    Returns
    -------
    pandas.DataFrame
        The rows of one day, with the dtypes of the frame that they come from; NA in columns that another version did not write.
    """
    file = pq.ParquetFile(path)
    words = {name for names in REPEATING.values() for name in names}
    table = pq.ParquetFile(path, read_dictionary=sorted(words & set(file.schema_arrow.names))).read(columns)
    schema = SCHEMA.get(Path(path).parent.parent.name, table.schema)
    for field in schema:
        if field.name not in table.column_names and (columns is None or field.name in columns):
            table = table.append_column(field, pa.nulls(len(table), field.type))
    wanted = table.column_names if columns is None else [name for name in columns if name in table.column_names]
    return to_frame(table.select(wanted))


def ask(
    files: Mapping[str, Sequence[Path]], query: str, parameters: Any, *, allow_file_access: bool = False
) -> pd.DataFrame:
    """Run one query over the tables, each of which is a view of its files."""
    if not isinstance(query, str):
        raise ConfigError(f"query={query!r} is not SQL; it takes a text such as 'SELECT count(*) FROM posts'")
    with connected() as connection:
        connection.execute("SET python_enable_replacements = false")  # a frame of the caller's is not a table
        for kind, schema in SCHEMA.items():
            if parts := files[kind]:
                connection.execute(f"CREATE VIEW {kind} AS SELECT * FROM {source(connection, kind, parts, days=True)}")
            else:
                connection.register(kind, schema.append(pa.field("day", pa.string())).empty_table())
        if not allow_file_access:
            _lock_up(connection, [path for paths in files.values() for path in paths])
        answer = _answer(connection, query, parameters)
    return to_frame(_as_frames_have_it(answer))


def source(connection: duckdb.DuckDBPyConnection, kind: str, files: Sequence[Path], *, days: bool = False) -> str:
    """These files as a table for SQL: all columns of today's schema, also where another version wrote a file without some of them."""
    none = f"_no_{kind}"
    connection.register(none, SCHEMA[kind].empty_table())
    if not files:
        return none
    listed = ", ".join(map(as_pattern, files))
    hive = "hive_partitioning = true, hive_types = {'day': VARCHAR}" if days else "hive_partitioning = false"
    return (
        f"(SELECT * FROM {none} UNION ALL BY NAME SELECT * FROM read_parquet([{listed}], union_by_name = true, {hive}))"
    )


def _as_frames_have_it(answer: pa.Table) -> pa.Table:
    """An answer in the types that frames have."""
    if doubled := doubled_name(answer.column_names):
        raise ConfigError(
            f"two columns of the answer are named {doubled!r}; name them in the query, such as posts.{doubled} AS post_{doubled}"
        )
    return pa.table({name: _narrowed(name, answer.column(name)) for name in answer.column_names})


def _narrowed(name: str, column: Any) -> Any:
    """DuckDB's wide whole numbers, such as sums, as the type that frames have."""
    kind = column.type
    if not pa.types.is_integer(kind) and not (pa.types.is_decimal(kind) and kind.scale == 0):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise ConfigError(
            f"{name} holds whole numbers beyond int64; write CAST({name} AS VARCHAR) in the query, or AS DOUBLE"
        ) from error


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC, which puts what does not fit into memory where temporary files go, and removes it."""
    with tempfile.TemporaryDirectory(prefix="voxops-") as spill, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # else .tmp in the folder that one works in
        connection.execute(f"SET temp_directory = {as_literal(Path(spill))}")
        try:
            yield connection
        except duckdb.Error as error:
            raise ConfigError(
                f"DuckDB can't read the archive: {error}. Delete a file that is damaged, and call sync(full=True)"
            ) from error


def _lock_up(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Let a query read these files and nothing else, attach nothing, load nothing, and not undo this (DuckDB's own locks)."""
    # by name when they are read, as a pattern when the view looks for them
    allowed = ", ".join([*map(as_literal, files), *map(as_pattern, files)])
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def as_pattern(path: Path) -> str:
    """A path as a pattern that fits it alone: where it has a ``*``, ``?`` or ``[``, these stand for themselves."""
    return as_literal(Path(re.sub(r"[*?\[]", r"[\g<0>]", str(path.absolute()))))


def as_literal(path: Path) -> str:
    """A path as SQL text."""
    return "'" + str(path.absolute()).replace("'", "''") + "'"


def _answer(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any) -> pa.Table:
    """The answer to a query, or in words why there is none."""
    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1:
            raise ConfigError(f"query= takes one statement, not {len(statements)}")
        answer = connection.sql(statements[0], params=parameters)
        if answer is None:
            raise ConfigError("the statement has no answer; query= takes a SELECT")
        return answer.to_arrow_table()
    except duckdb.Error as error:
        raise ConfigError(f"DuckDB can't answer the query. {error}") from error


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
        As `by` of ``vx.deliveries.stats``; `fits` says whether they can be.
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
