"""The files of an archive, a day each: their schema, filters, reads and writes."""

from __future__ import annotations

import operator
import os
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime
from functools import reduce
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NotRequired, TypedDict

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from voxops._support.arguments import empties
from voxops._support.canonical import text
from voxops._support.files import create_file, flush_folder, make_folder
from voxops.errors import ConfigError
from voxops.frames.arrow import to_frame
from voxops.frames.nested import NestedArray, strings, targets_type
from voxops.frames.records import TARGET_COLUMNS
from voxops.frames.schemas import SCHEMAS, TARGET, Column
from voxops.frames.times import MOMENTS

UNKNOWN_DAY = "unknown"  # the day of records without a time; the others are named as 2026-03-02
_TIME = pa.timestamp("us", tz="UTC")
_SIMPLE = {  # all other kinds are text
    "count": pa.int64(),
    "flag": pa.bool_(),
    "time": _TIME,
    "list": pa.list_(pa.string()),
}


def _kinds(columns: Iterable[Column]) -> dict[str, str]:
    return {column.name: column.kind.name for column in columns if column.shown}


_OF_POSTS = _kinds(SCHEMAS["posts"])
_OF_TARGETS = _OF_POSTS | _kinds(TARGET)
_KINDS = {
    "posts": _OF_POSTS,
    # created_at of the post decides on the day, for posts and targets
    "targets": {
        **{name: _OF_TARGETS.get(name, "word") for name in TARGET_COLUMNS},
        "post_id": "text",
        "created_at": "time",
    },
    "deliveries": _kinds(SCHEMAS["deliveries"]),
}
SCHEMA = {
    table: pa.schema(
        [
            (name, targets_type() if name == "targets" else _SIMPLE.get(kind, pa.string()))
            for name, kind in kinds.items()
        ]
    )
    for table, kinds in _KINDS.items()
}
# Columns whose values repeat: read as codes and a dictionary, which costs a tenth.
_REPEATING = {
    table: [name for name, kind in kinds.items() if kind in {"label", "word", "code"}]
    for table, kinds in _KINDS.items()
}


def to_table(kind: str, frame: pd.DataFrame) -> pa.Table:
    """Convert a frame of ``posts``, ``targets`` or ``deliveries`` to a table with the archive's schema."""
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


def dataset(kind: str, files: Collection[Path]) -> Any:
    """Files of one table, the earliest first, as a dataset of Arrow with the column ``day``; newest rows first.

    It has today's schema: a column that a file lacks is missing, and an unknown one is left out.
    """
    schema = SCHEMA[kind].append(pa.field("day", pa.string()))
    if not files:
        return ds.dataset(schema.empty_table())
    dated = [path for path in files if path.parent.name != f"day={UNKNOWN_DAY}"]
    paths = [*dated[::-1], *(path for path in files if path not in dated)]
    return ds.dataset(
        list(map(str, paths)),
        schema=schema,
        format=ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=_REPEATING[kind])),
        partitioning=ds.partitioning(pa.schema([("day", pa.string())]), flavor="hive"),
        partition_base_dir=str(paths[0].parent.parent),
    )


def read(kind: str, files: Collection[Path], columns: Sequence[str] | None = None, wanted: Any = None) -> pa.Table:
    """Rows and columns of files of one table; a ConfigError names a damaged file."""
    try:
        found = dataset(kind, files)
        for part in found.get_fragments(wanted) if files else ():
            rows, size = part.metadata.num_rows, Path(part.path).stat().st_size
            if rows > size:  # repeated values take no room, but each row has an id
                raise pa.ArrowInvalid(f"{part.path} claims {rows:,} rows in {size:,} bytes")
        table = found.to_table(columns=list(columns or SCHEMA[kind].names), filter=wanted)
        table.validate(full=True)  # texts may be none
        return table
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(
            f"a file of the archive can't be read; delete it and call sync(full=True): {error}"
        ) from error


def read_part(path: str | PathLike[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one file of an archive, for the workers of a cluster.

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
    return to_frame(read(Path(path).parent.parent.name, [Path(path)], columns))


def isin(column: str, values: Sequence[str], *, any_case: bool = False) -> Any:
    """Filter rows with one of these texts, which must be in lower case for `any_case`; all rows without texts."""
    if not values:
        return pc.scalar(True)
    field = pc.utf8_lower(pc.field(column)) if any_case else pc.field(column)
    return field.isin(pa.array(list(values), pa.string()))


def some(**filters: object) -> Any:
    """Filter out all rows for an empty filter, as in `ws.posts`; else none."""
    return pc.scalar(not empties(**filters))


def created(start: pd.Timestamp | None, end: pd.Timestamp | None) -> Any:
    """Filter rows created within a span; an unknown time counts as inside.

    The condition also names the days, so that files outside are never opened.
    """
    at, day = pc.field("created_at"), pc.field("day")
    wanted = pc.scalar(True)
    if start is not None:
        wanted &= at.is_null() | (at >= _scalar(start))
        wanted &= (day == UNKNOWN_DAY) | (day >= day_of(start))
    if end is not None:
        wanted &= at.is_null() | (at < _scalar(end))
        wanted &= (day == UNKNOWN_DAY) | (day <= day_of(end))
    return wanted


def moment(start: pd.Timestamp | None, end: pd.Timestamp | None) -> Any:
    """Filter rows whose latest time lies within a span; rows without any count as inside."""
    moments = [pc.field(name) for name in MOMENTS]
    wanted = pc.scalar(True)
    if start is not None:
        late = reduce(operator.or_, [pc.coalesce(each >= _scalar(start), pc.scalar(False)) for each in moments])
        wanted &= late | reduce(operator.and_, [each.is_null() for each in moments])
    if end is not None:
        wanted &= reduce(operator.and_, [pc.coalesce(each < _scalar(end), pc.scalar(True)) for each in moments])
    return wanted


def _scalar(when: pd.Timestamp) -> Any:
    """An instant as Arrow has it."""
    return pa.scalar(when.to_pydatetime(), _TIME)


BEGINNING, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Span = tuple[_Instant, _Instant]


class State(TypedDict):
    """How far everything was read: spans of each webhook's history, and of each kind when the last pass began and the next check is due."""

    version: int
    workspace: NotRequired[str]
    deliveries: dict[str, list[Span]]
    read_at: dict[str, _Instant]
    check_at: dict[str, _Instant]
    synced_at: NotRequired[_Instant]


_VERSION = 1
# The first names what a newer record replaces: all targets of a post go with it.
ORDER = {
    "posts": ["post_id"],
    "targets": ["post_id", "platform", "account_id", "target_id"],
    "deliveries": ["delivery_id"],
}
_STATE, _LOCK, _PART = "archive.json", ".lock", "part-0.parquet"
_ASIDE = ".new"
_DAY = re.compile(rf"day=(\d{{4}}-\d\d-\d\d|{UNKNOWN_DAY})")
# Files that file browsers and notebooks create in any folder.
_LITTER = frozenset({".DS_Store", ".ipynb_checkpoints", "Thumbs.db", "desktop.ini"})
_ROWS = 65_536  # per row group, the unit that a filter on time can skip


class BusyError(ConfigError):
    """Another process writes the archive."""

    again_later = True


def _is_day(folder: Path) -> bool:
    """Whether a folder is one of the archive's days."""
    found = _DAY.fullmatch(folder.name)
    try:
        return found is not None and (found[1] == UNKNOWN_DAY or bool(date.fromisoformat(found[1])))
    except ValueError:  # such as the 30th of February
        return False


def day_of(time: datetime) -> str:
    """Return the day of a time, with four digits of the year also before 1000, so that names sort by day."""
    return time.date().isoformat()


class Store:
    """The files of one archive.

    Parameters
    ----------
    root : Path
        Its folder, created by the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock out other writers, and remove temporary files of a killed one.

        Raises
        ------
        ConfigError
            If another process writes, the folder can't be written, or it has other files and is not an archive.
        """
        try:
            make_folder(self.root, flush=True)
            self._refuse_foreign_files()
            self._refuse_links()
            with suppress(FileExistsError):
                create_file(self.root / _LOCK).close()
            # SQLite's lock is the operating system's on every platform, which releases it when the process ends.
            lock = sqlite3.connect(self.root / _LOCK, timeout=0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"the archive {self.root} can't be written: {error}") from error
        with closing(lock):
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                    raise ConfigError(
                        f"{self.root / _LOCK} is damaged; delete it (it has no data), and sync again"
                    ) from error
                if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                    raise ConfigError(f"the archive {self.root} can't be written: {error}") from error
                raise BusyError(
                    f"the archive {self.root} is being written by another process; try again when it has ended"
                ) from error
            try:
                for left in self._left_aside():
                    left.unlink(missing_ok=True)
                yield
            except OSError as error:
                raise ConfigError(
                    f"the archive {self.root} can't be written: {error.strerror or error}. Its earlier files are intact; "
                    "make room, or mend the folder, and sync again"
                ) from error
            lock.execute("ROLLBACK")

    def _refuse_foreign_files(self) -> None:
        """Raise a ConfigError for a folder with other files and no archive."""
        if (self.root / _STATE).exists():
            return
        ours = {_LOCK, f"{_LOCK}-journal", _STATE + _ASIDE} | _LITTER  # a first sync may have been killed
        for path in sorted(self.root.iterdir()):
            begun = (
                path.name in SCHEMA
                and path.is_dir()
                and all(_is_day(day) or day.name in _LITTER for day in path.iterdir())
            )
            if not begun and path.name not in ours:
                raise ConfigError(
                    f"{self.root} has other files, such as {path.name}, and is not an archive; choose a new or empty folder"
                )

    def _days(self) -> list[Path]:
        """Return the folders of days of all tables."""
        return [folder for kind in SCHEMA for folder in (self.root / kind).glob("day=*") if _is_day(folder)]

    def _refuse_links(self) -> None:
        """Raise a ConfigError for a link in the place of the archive's own files, through which others would be written."""
        ours = [self.root / name for name in (*SCHEMA, _STATE, _LOCK)]
        for path in (*ours, *self._days(), *(folder / _PART for folder in self._days())):
            if path.is_symlink():
                raise ConfigError(f"{path} is a link, and an archive follows none; put the file or folder itself there")

    def _left_aside(self) -> Iterable[Path]:
        """Return the temporary files of a killed write in the archive's own folders."""
        yield self.root / (_STATE + _ASIDE)
        yield from (folder / (_PART + _ASIDE) for folder in self._days())

    def state(self) -> State:
        """Return the state, which records how far everything was read; empty for a new archive.

        Raises
        ------
        ConfigError
            If the file is not a state, or of a later version.
        """
        path = self.root / _STATE
        try:
            state = msgspec.json.decode(path.read_bytes(), type=State)
        except FileNotFoundError:
            return {"version": _VERSION, "deliveries": {}, "read_at": {}, "check_at": {}}
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not the state of an archive; move it away and sync again") from error
        if state["version"] != _VERSION:
            raise ConfigError(
                f"{path} was written by another version of voxops: format {state['version']}, not {_VERSION}"
            )
        spans = chain.from_iterable(state["deliveries"].values())
        instants = [*chain.from_iterable(spans), *state["read_at"].values(), *state["check_at"].values()]
        if not all(BEGINNING <= each < _END for each in [*instants, *filter(None, [state.get("synced_at")])]):
            raise ConfigError(f"{path} has times outside of its calendar; move it away and sync again")
        return state

    def save(self, state: State) -> None:
        """Replace the state; the records that it counts as read must be on disk."""
        with _aside(self.root / _STATE) as file:
            file.write(msgspec.json.format(msgspec.json.encode(state)))
        _rename(self.root / _STATE)
        flush_folder(self.root)

    def begun(self) -> bool:
        """Whether anything has ever been written here."""
        return (self.root / _STATE).exists() or any(map(self.files, SCHEMA))

    def files(self, kind: str) -> dict[str, Path]:
        """Day -> file, the earliest first, rows without a day last."""
        if kind not in SCHEMA:
            raise ConfigError(f"kind={kind!r}; an archive has {', '.join(SCHEMA)}")
        found = (self.root / kind).glob(f"day=*/{_PART}")
        return dict(sorted((path.parent.name.removeprefix("day="), path) for path in found if _is_day(path.parent)))

    def merge(self, frames: Mapping[str, pd.DataFrame]) -> int:
        """Merge records, which replace those with the same id; return how many files changed.

        Parameters
        ----------
        frames : mapping
            Table -> frame with the columns of its schema. All files are written aside before the first one is renamed.
        """
        aside = []
        for kind, frame in frames.items():
            days = frame["created_at"].dt.strftime("%Y-%m-%d").fillna(UNKNOWN_DAY)
            parts = dict(iter(frame.groupby(days, sort=False)))
            if UNKNOWN_DAY in self.files(kind):  # a record that shows its time now leaves this file
                parts.setdefault(UNKNOWN_DAY, frame.head(0))
            ids = pa.array(frame[ORDER[kind][0]], pa.string())
            for day, rows in parts.items():
                path = self.root / kind / f"day={day}" / _PART
                aside += self._merge_day(kind, path, to_table(kind, rows), ids)
        for path in aside:
            _rename(path)
        for folder in {folder for path in aside for folder in path.parents if self.root in folder.parents}:
            flush_folder(folder)  # the folders of the day and of the table; the day may be new
        return len(aside)

    def _merge_day(self, kind: str, path: Path, new: pa.Table, ids: pa.Array) -> list[Path]:
        """Rewrite the day's file beside the old one, replacing rows with these ids by `new`; an empty list if nothing changes."""
        merged, old = new, None
        if path.exists():
            old = read(kind, [path])
            kept = old.filter(pc.invert(pc.is_in(old[ORDER[kind][0]], value_set=ids)))
            merged = pa.concat_tables([kept, new])
        merged = merged.sort_by([("created_at", "descending"), *((name, "ascending") for name in ORDER[kind])])
        if old is not None and merged.equals(old):
            return []
        make_folder(path.parent)
        with _aside(path) as file:
            pq.write_table(merged, file, compression="zstd", row_group_size=_ROWS)
        return [path]


@contextmanager
def _aside(path: Path) -> Iterator[BinaryIO]:
    """Write a file to rename later; it is on disk when the block ends."""
    with create_file(path.with_name(path.name + _ASIDE)) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _rename(path: Path) -> None:
    """Rename written files to their final names."""
    path.with_name(path.name + _ASIDE).replace(path)
