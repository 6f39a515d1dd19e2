"""Queries of an archive by DuckDB, directly on the files: SQL, and the statistics of deliveries."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from voxops.archive.store import SCHEMA, dataset
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
