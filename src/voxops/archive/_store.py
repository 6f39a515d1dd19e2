"""The files of an archive: one Parquet file per table and day, replaced whole, by one writer at a time.

::

    archive.json                        what has been read, of which workspace
    posts/day=2026-03-02/part-0.parquet
    targets/day=2026-03-02/part-0.parquet
    deliveries/day=2026-03-02/part-0.parquet

The day is that of ``created_at`` in UTC, for targets that of their post; it never changes, so a row never moves. A row
without it is kept under ``day=unknown``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxops.archive._table import SCHEMA, to_table
from voxops.errors import ConfigError

__all__ = ["KINDS", "UNKNOWN_DAY", "Store", "days_of"]

KINDS = ("posts", "targets", "deliveries")
UNKNOWN_DAY = "unknown"
_VERSION = 1
# What a newer record replaces: all targets of a post go with it.
_KEYS = {"posts": "post_id", "targets": "post_id", "deliveries": "delivery_id"}
_ORDER = {
    "posts": ["post_id"],
    "targets": ["post_id", "platform", "account_id", "target_id"],
    "deliveries": ["delivery_id"],
}
_ASIDE = ".new"
_ROWS = 65_536  # per row group: what a filter on time can skip


def days_of(times: pd.Series[Any]) -> pd.Series[Any]:
    """Name of the day of each time."""
    names: pd.Series[Any] = times.dt.strftime("%Y-%m-%d").fillna(UNKNOWN_DAY)
    return names


class Store:
    """The files of one archive.

    Parameters
    ----------
    root : Path
        Its folder; made by the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer, and remove what a killed one left aside.

        Raises
        ------
        ConfigError
            If another process writes, or the folder can't be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # SQLite's lock is the operating system's on every platform: it ends with the process, however that ends.
            lock = sqlite3.connect(self.root / ".lock", timeout=0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"the archive {self.root} can't be written: {error}") from error
        with closing(lock):
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                raise ConfigError(
                    f"the archive {self.root} is being written by another process; try again when it has ended"
                ) from error
            for left in self.root.rglob(f"*{_ASIDE}"):
                left.unlink()
            yield
            lock.execute("ROLLBACK")

    def state(self) -> dict[str, Any]:
        """What has been read so far; empty for a new archive.

        Raises
        ------
        ConfigError
            If the file is none of ours, or of a later version.
        """
        path = self.root / "archive.json"
        try:
            state = msgspec.json.decode(path.read_bytes())
            version = state["version"]
        except FileNotFoundError:
            return {"version": _VERSION, "posts": {}, "deliveries": {}}
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} is not the state of an archive; move it away and sync again") from error
        if version != _VERSION:
            raise ConfigError(f"{path} was written by another version of voxops: format {version}, not {_VERSION}")
        return dict(state)

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state; what it says has been read must be on disk already."""
        aside = self.root / f"archive.json{_ASIDE}"
        _flush(aside, msgspec.json.format(msgspec.json.encode(dict(state))))
        aside.replace(self.root / "archive.json")

    def files(self, kind: str) -> dict[str, Path]:
        """Day -> file, the earliest first, rows without a day last."""
        if kind not in KINDS:
            raise ConfigError(f"kind={kind!r}; an archive has {', '.join(KINDS)}")
        found = (self.root / kind).glob("day=*/part-0.parquet")
        return dict(sorted((path.parent.name.removeprefix("day="), path) for path in found))

    def merge(self, frames: Mapping[str, pd.DataFrame]) -> int:
        """Take records in, newer ones in place of those with the same id; return how many files changed.

        Parameters
        ----------
        frames : mapping
            Table -> frame with the columns of its schema. All files are written aside before the first one is renamed.
        """
        aside = []
        for kind, frame in frames.items():
            for day, rows in frame.groupby(days_of(frame["created_at"]), sort=False):
                path = self.root / kind / f"day={day}" / "part-0.parquet"
                aside += self._merge_day(kind, path, to_table(kind, rows))
        for path in aside:
            path.with_name(path.name + _ASIDE).replace(path)
        for folder in {path.parent for path in aside}:
            _sync_folder(folder)
        return len(aside)

    def _merge_day(self, kind: str, path: Path, new: pa.Table) -> list[Path]:
        """Write the day's file anew beside the old one; an empty list if it would be the same."""
        key = _KEYS[kind]
        merged, old = new, None
        if path.exists():
            old = pq.ParquetFile(path).read().cast(SCHEMA[kind])
            kept = old.filter(pc.invert(pc.is_in(old[key], value_set=new[key].combine_chunks())))
            merged = pa.concat_tables([kept, new])
        merged = merged.sort_by([("created_at", "descending"), *((name, "ascending") for name in _ORDER[kind])])
        if old is not None and merged.equals(old):
            return []
        path.parent.mkdir(parents=True, exist_ok=True)
        sink = pa.BufferOutputStream()
        pq.write_table(merged, sink, compression="zstd", row_group_size=_ROWS)
        _flush(path.with_name(path.name + _ASIDE), sink.getvalue())
        return [path]


def _flush(path: Path, data: Any) -> None:
    """Write a file and wait until it is on disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Wait until a folder's renames are on disk, where the system can say so."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
