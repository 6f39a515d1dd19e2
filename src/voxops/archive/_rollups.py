"""Roll-ups: what each day's deliveries count to, beside them, so that most questions read no deliveries at all.

::

    counts/day=2026-03-02/counts-0.parquet

One row per endpoint, webhook, event, status code, state, number of attempts and latency: ``deliveries``. Nothing is coarsened:
from them come the same digits as from the deliveries. Where so many columns would not make it much smaller than the deliveries
themselves, it has fewer, and only questions about these are answered from it. Each file says which file it was made of, and is
not used for any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from voxops.analysis.partials import COUNT_COLUMNS, FIELDS, OF_DAYS
from voxops.archive._count import counted
from voxops.archive._table import UNKNOWN_DAY

__all__ = ["GRAINS", "columns_of", "is_current", "rollup_of", "usable_for"]

# Columns of a roll-up, from the finest: the first whose file is small enough is kept.
GRAINS = (("url", "webhook_id", "event_type", "status_code"), ("url", "event_type"), ("url",), ())
_LARGEST = 0.05  # of the size of the deliveries
_SMALL = 16_384  # bytes up to which size does not matter
_MADE_OF = b"voxops.made_of"
_TAIL = 65_536  # bytes at the end of a Parquet file, which hold at least its table of contents


def rollup_of(connection: duckdb.DuckDBPyConnection, file: Path, day: str) -> bytes:
    """What a day's file counts to, as Parquet.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Of `counting`.
    file : Path
        Of the deliveries.
    day : str
        Its name, ``2026-03-02`` or ``unknown``.
    """
    largest = max(_SMALL, int(file.stat().st_size * _LARGEST))
    for columns in GRAINS:
        table = counted(connection, file, columns)
        begun = pa.scalar(None if day == UNKNOWN_DAY else f"{day}T00:00:00", pa.string()).cast(pa.timestamp("us"))
        table = table.append_column("day", pa.array([begun.as_py()] * table.num_rows, pa.timestamp("us")))
        table = table.replace_schema_metadata({_MADE_OF: file_version(file)})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", compression_level=9)
        data: bytes = sink.getvalue().to_pybytes()
        if len(data) <= largest:
            break
    return data


def is_current(rollup: Path, file: Path) -> bool:
    """Whether a roll-up exists and was made of this very file."""
    try:
        metadata = pq.read_schema(rollup).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(metadata.get(_MADE_OF) == file_version(file))


def usable_for(
    rollups: Mapping[str, Path],
    names: Sequence[str],
    tz: str,
    span: tuple[pd.Timestamp | None, pd.Timestamp | None],
) -> dict[str, Path]:
    """Roll-ups from which a question can be answered: of days that lie wholly within the span, with the columns that are asked for."""
    columns = {"day" if name in OF_DAYS else FIELDS.get(name, name) for name in names}
    if "hour" in columns or ("day" in columns and tz != "UTC"):
        return {}
    start, end = span
    day_long = pd.Timedelta(days=1)

    def whole(day: str) -> bool:
        if day == UNKNOWN_DAY:
            return True
        begun = pd.Timestamp(day, tz="UTC")
        return (start is None or start <= begun) and (end is None or begun + day_long <= end)

    return {day: path for day, path in rollups.items() if whole(day) and columns <= set(columns_of(path))}


def columns_of(rollup: Path) -> Sequence[str]:
    """The columns by which a roll-up is counted."""
    return [name for name in pq.read_schema(rollup).names if name not in COUNT_COLUMNS]


def file_version(file: Path) -> bytes:
    """What tells a file from every other version of it: its size, when it was written, and its table of contents."""
    about = file.stat()
    with file.open("rb") as data:
        data.seek(max(about.st_size - _TAIL, 0))
        return hashlib.sha256(b"%d %d " % (about.st_size, about.st_mtime_ns) + data.read()).hexdigest().encode()
