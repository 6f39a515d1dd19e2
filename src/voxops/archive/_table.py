"""Frames as Arrow tables and back, by the same schemas as everything else: no dtype is left to inference."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from voxops._core.jsontext import text
from voxops.errors import ConfigError
from voxops.frames import TARGET_COLUMNS
from voxops.frames.arrow_in import to_frame
from voxops.frames.arrow_out import JSON_TYPE, LIST_TYPE, TARGETS_TYPE, strings
from voxops.frames.nested import NestedArray
from voxops.frames.schemas import SCHEMAS, TARGET

__all__ = [
    "REPEATING",
    "SCHEMA",
    "UNKNOWN_DAY",
    "dataset",
    "file_format",
    "read_file",
    "read_part",
    "readable",
    "to_frame",
    "to_table",
]

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
    "list": LIST_TYPE,
    "json": JSON_TYPE,
}
_TARGET_KINDS = {column.name: column.kind.name for column in TARGET}


def _schema(kinds: dict[str, str]) -> pa.Schema:
    """Arrow's types of these columns."""
    return pa.schema([(name, TARGETS_TYPE if name == "targets" else _SIMPLE[kind]) for name, kind in kinds.items()])


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
