"""SQL over the files of an archive, by DuckDB, which reads them where they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from voxops.archive._table import SCHEMA, to_frame
from voxops.errors import ConfigError

__all__ = ["ask"]


def ask(root: Path, filled: Mapping[str, bool], query: str, parameters: Any) -> pd.DataFrame:
    """Run one query with a view per table; `filled` says which tables have files."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for kind, schema in SCHEMA.items():
            if filled[kind]:
                pattern = str(root / kind / "day=*" / "part-0.parquet").replace("'", "''")
                source = f"read_parquet('{pattern}', hive_partitioning = true, hive_types = {{'day': VARCHAR}})"
                connection.execute(f"CREATE VIEW {kind} AS SELECT * FROM {source}")
            else:
                connection.register(kind, schema.append(pa.field("day", pa.string())).empty_table())
        answer = _answer(connection, query, parameters)
    return to_frame(answer.cast(pa.schema([_narrowed(field) for field in answer.schema])))


def _answer(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any) -> pa.Table:
    """The answer to a query, or in words why there is none."""
    if not isinstance(query, str):
        raise ConfigError(f"query={query!r} is not SQL; it takes a text such as 'SELECT count(*) FROM posts'")
    try:
        answer = connection.execute(query, parameters).arrow()
        # a table before DuckDB 1.4
        return answer.read_all() if isinstance(answer, pa.RecordBatchReader) else answer
    except duckdb.Error as error:
        raise ConfigError(f"DuckDB can't answer the query. {error}") from error


def _narrowed(field: pa.Field) -> pa.Field:
    """DuckDB's wide sums and its time units as the types that frames have."""
    kind = field.type
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return field.with_type(pa.int64())
    return field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(kind) else field
