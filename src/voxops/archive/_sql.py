"""SQL over the files of an archive, by DuckDB, which reads them where they are."""

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

from voxops.archive._table import SCHEMA, to_frame
from voxops.errors import ConfigError
from voxops.frames.arrow_in import doubled_name

__all__ = ["as_literal", "ask", "connected", "source"]


def ask(
    files: Mapping[str, Sequence[Path]], query: str, parameters: Any, *, allow_file_access: bool = False
) -> pd.DataFrame:
    """Run one query over the tables, each of which is a view of its files."""
    if not isinstance(query, str):
        raise ConfigError(f"query={query!r} is not SQL; it takes a text such as 'SELECT count(*) FROM posts'")
    with connected() as connection:
        connection.execute("SET python_enable_replacements = false")  # a frame of the caller's is not a table
        for kind in SCHEMA:
            if files[kind]:
                connection.execute(
                    f"CREATE VIEW {kind} AS SELECT * FROM {source(connection, kind, files[kind], days=True)}"
                )
            else:
                connection.register(kind, SCHEMA[kind].append(pa.field("day", pa.string())).empty_table())
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
