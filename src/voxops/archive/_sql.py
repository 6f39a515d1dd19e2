"""SQL over the files of an archive, by DuckDB, which reads them where they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from voxops.archive._table import SCHEMA, to_frame

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
        answer = connection.execute(query, parameters).arrow()
        if isinstance(answer, pa.RecordBatchReader):  # a table before DuckDB 1.4
            answer = answer.read_all()
    return to_frame(answer.cast(pa.schema([_narrowed(field) for field in answer.schema])))


def _narrowed(field: pa.Field) -> pa.Field:
    """DuckDB's wide sums and its time units as the types that frames have."""
    kind = field.type
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return field.with_type(pa.int64())
    return field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(kind) else field
