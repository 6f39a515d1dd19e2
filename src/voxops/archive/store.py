"""The files of an archive, a day each, which DuckDB reads and writes; its lock, and its state."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NotRequired, TypedDict

import duckdb
import msgspec
import numpy as np
import pandas as pd
from msgspec.structs import asdict

from voxops._support.canonical import decode, text
from voxops._support.files import create_file, flush_folder, make_folder
from voxops.errors import ConfigError, VoxopsError
from voxops.frames.cells import Json, Target, Targets
from voxops.frames.schemas import JSON, LIST, SCHEMAS, STRING_DTYPE, TARGETS, clean_texts, read_targets
from voxops.frames.times import NAT

# Columns and their types in DuckDB.

_TIME = "TIMESTAMP WITH TIME ZONE"
_LIST = "VARCHAR[]"
_TARGETS = f"STRUCT({', '.join(f'{name} BIGINT' if name == 'retry_count' else f'{name} VARCHAR' for name in Target.__struct_fields__)})[]"
_TYPES = {"count": "BIGINT", "flag": "BOOLEAN", "time": _TIME, "list": _LIST}  # all other kinds are text
COLUMNS: dict[str, dict[str, str]] = {
    kind: {
        column.name: _TARGETS if column.name == "targets" else _TYPES.get(column.kind.name, "VARCHAR")
        for column in SCHEMAS[kind]
        if column.shown
    }
    for kind in ("posts", "deliveries")
}
KEY = {"posts": "post_id", "deliveries": "delivery_id"}
# One row per post and platform, as in ``vx.targets``; also one for a post without platforms.
TARGETS_VIEW = """
CREATE TEMP VIEW targets AS SELECT * REPLACE (try_cast(published_at AS TIMESTAMPTZ) AS published_at) FROM (
  SELECT post_id, unnest(CASE WHEN len(targets) > 0 THEN targets ELSE [NULL] END, recursive := true),
    status AS post_status, updated_at, scheduled_for, content, workspace_id, created_at, day FROM posts)
"""


def _times(values: Any, missing: Any) -> Any:
    return pd.DatetimeIndex(np.where(missing, NAT, values).view("M8[us]")).array


def _numbers(values: Any, missing: Any) -> Any:
    return (
        pd.Series(values, dtype={"i": "Int64", "f": "Float64", "b": "boolean"}[values.dtype.kind]).mask(missing).array
    )


def _cells(values: Any, missing: Any) -> list[Any]:
    plain = (cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in values)
    return [None if gone else cell for gone, cell in zip(missing, plain, strict=True)]


def _targets(values: Any, missing: Any) -> Any:
    return TARGETS.array([read_targets(cell or []) for cell in _cells(values, missing)])


# A file of a few kilobytes can repeat one long text in each of its rows, so an answer may take this many bytes, and no more.
_ANSWER, _TIMES_THE_FILES = 100_000_000, 1_000
_MEMORY, _SPILL = "2GB", "8GB"  # of DuckDB, in memory and in a temporary folder
# The bytes of a value beside eight for each, by the type of its column.
_SIZES = {
    _LIST: "list_sum(list_transform({}, lambda each: strlen(each)))",
    _TARGETS: "list_sum(list_transform({}, lambda each: "
    + " + ".join(f"coalesce(strlen(each.{name}), 0)" for name in Target.__struct_fields__ if name != "retry_count")
    + "))",
}


def bounded(source: str, types: Mapping[str, str], files: Iterable[Path]) -> str:
    """Return SQL for the columns of a source; it fails as soon as its values take more than files of this size may hold."""
    most = _ANSWER + _TIMES_THE_FILES * sum(path.stat().st_size for path in files)
    names = {name: _quoted(name) for name in types}
    nested = re.compile(r"VARCHAR|.*\]|STRUCT.*|MAP.*", re.DOTALL)
    forms = {name: _SIZES.get(kind, "strlen({}::VARCHAR)") for name, kind in types.items() if nested.fullmatch(kind)}
    size = " + ".join(
        [f"{8 * len(names)}", *(f"coalesce({form.format(names[name])}, 0)" for name, form in forms.items())]
    )
    total = f"sum({size}) OVER (ROWS UNBOUNDED PRECEDING) AS voxops_size"
    fits = f"CASE WHEN voxops_size > {most} THEN error('the answer takes over {most:,} bytes, too many for its files') ELSE true END"
    return f"SELECT {', '.join(names.values())} FROM (SELECT *, {total} FROM {source}) WHERE {fits}"


# Types of DuckDB, how they are fetched, and how they become a column; the first that matches.
_FETCHED: list[tuple[re.Pattern[str], str, Callable[[Any, Any], Any]]] = [
    (re.compile("TIMESTAMP.+ZONE"), "epoch_us({})", lambda values, missing: _times(values, missing).tz_localize("UTC")),
    (re.compile("TIMESTAMP.*|DATE"), "epoch_us({}::TIMESTAMP)", _times),
    (re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(\d+,0\)"), "{}::BIGINT", _numbers),
    (re.compile(r"FLOAT|DOUBLE|DECIMAL.*"), "{}::DOUBLE", _numbers),
    (re.compile("BOOLEAN"), "{}", _numbers),
    (re.compile(re.escape(_TARGETS)), "{}", _targets),
    (
        re.compile(re.escape(_LIST)),
        "{}",
        lambda values, missing: LIST.array([tuple(cell or ()) for cell in _cells(values, missing)]),
    ),
    (
        re.compile(r".*\]|STRUCT.*|MAP.*", re.DOTALL),
        "{}",
        lambda values, missing: pd.Series(_cells(values, missing), dtype=object),
    ),
    (
        re.compile(".*", re.DOTALL),
        "{}::VARCHAR",
        lambda values, missing: pd.array(_cells(values, missing), dtype=STRING_DTYPE),
    ),
]


def isin(column: str, parameter: str) -> str:
    """Return SQL for a column with one of the texts of a parameter."""
    return f"{column} IN (SELECT unnest(${parameter}::VARCHAR[]))"


def to_frame(answer: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    """Fetch an answer of DuckDB with the dtypes of this package."""
    names = answer.columns
    kinds = [next(row for row in _FETCHED if row[0].fullmatch(str(kind))) for kind in answer.types]
    quoted = [*map(_quoted, names)]
    shown = ", ".join(f"{sql.format(name)} AS {name}" for name, (_, sql, _) in zip(quoted, kinds, strict=True))
    values = list(answer.project(shown).fetchnumpy().values())
    columns = {
        name: finish(np.ma.getdata(column), np.ma.getmaskarray(column))
        for name, column, (_, _, finish) in zip(names, values, kinds, strict=True)
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(values[0])))


def _quoted(name: str) -> str:
    """Quote a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def _plain(kind: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a frame as DuckDB reads them: texts without half surrogate pairs, lists and objects as JSON."""
    columns = {}
    for name, type_ in COLUMNS[kind].items():
        columns[name] = frame[name].array
        if type_ == "VARCHAR" or type_.endswith("]"):
            cells = columns[name].to_numpy(object, na_value=None)
            texts = clean_texts(list(map(_json_of, cells)))
            columns[name] = pd.array(texts, dtype=STRING_DTYPE)
    return pd.DataFrame(columns)


def _json_of(cell: Any) -> str | None:
    """Return a text unchanged, and anything else as JSON, targets with all their fields."""
    if isinstance(cell, Targets):
        return text([asdict(target) for target in cell.value])
    return None if cell is None else str(cell) if isinstance(cell, Json) else text(cell)


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect in UTC; data that exceed the memory go to a temporary folder, which is removed."""
    with tempfile.TemporaryDirectory(prefix="voxops-") as spill, duckdb.connect() as connection:
        connection.execute(
            f"SET memory_limit = '{_MEMORY}'; SET max_temp_directory_size = '{_SPILL}'; SET enable_progress_bar = false"
        )
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        connection.execute(f"SET temp_directory = {_literal(Path(spill))}")  # else .tmp in the current folder
        yield connection


def add_view(connection: duckdb.DuckDBPyConnection, name: str, kind: str, files: Sequence[Path]) -> None:
    """Make files a table with the current columns and ``day``. Columns that they lack are missing values, unknown columns are left out."""
    types, source, there = COLUMNS[kind] | {"day": "VARCHAR"}, "WHERE false", {}
    if files:
        listed = f"[{', '.join(map(pattern, files))}]"
        source = f"FROM read_parquet({listed}, union_by_name = true, hive_types = {{'day': VARCHAR}})"
        found = connection.sql(source)
        there = dict(zip(found.columns, map(str, found.types), strict=True))
    for column, type_ in types.items():
        if there.get(column, type_) != type_:
            raise ConfigError(f"{column} of the archive's {kind} is {there[column]} in a file, not {type_}. {DELETE}")
    shown = ", ".join(column if column in there else f"NULL::{type_} AS {column}" for column, type_ in types.items())
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT {shown} {source}")


def allow(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Let a connection open these files and no other, attach and load nothing; a query can't undo this (DuckDB's own locks)."""
    names = ", ".join(name for path in files for name in (_literal(path), pattern(path)))
    connection.execute(f"SET allowed_paths = [{names}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def pattern(path: Path) -> str:
    """Return a pattern for SQL that matches only this path, with ``*``, ``?`` and ``[`` escaped."""
    return _literal(Path(re.sub(r"[*?\[]", r"[\g<0>]", str(path.absolute()))))


def _literal(path: Path) -> str:
    """Quote a path as SQL text."""
    return "'" + str(path.absolute()).replace("'", "''") + "'"


DELETE = "Delete the damaged file, and call sync(full=True)"
BEGINNING, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Span = tuple[_Instant, _Instant]


class State(TypedDict):
    """Progress of the archive: the span of each webhook's history that was read, and per kind when the last pass began and the next check is due."""

    workspace: NotRequired[str]
    deliveries: dict[str, Span]
    read_at: dict[str, _Instant]
    check_at: dict[str, _Instant]


UNKNOWN_DAY = "unknown"  # the day of records without a time; the others are named as 2026-03-02
_STATE, _LOCK, _PART = "archive.json", ".lock", "part-0.parquet"
_DAY = re.compile(rf"day=(\d{{4}}-\d\d-\d\d|{UNKNOWN_DAY})")
# In a folder that may become an archive: what a sync begins with, and what file browsers and notebooks create in any folder.
_BEGINNINGS = {
    _LOCK,
    f"{_LOCK}-journal",
    f"{_STATE}.new",
    ".DS_Store",
    ".ipynb_checkpoints",
    "Thumbs.db",
    "desktop.ini",
}


class Store:
    """The files of one archive.

    Parameters
    ----------
    root : Path
        Its folder, created by the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writer: duckdb.DuckDBPyConnection | None = (
            None  # for a whole sync, because connecting takes longer than reading
        )

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Connect, in a sync to its database; ConfigError for a damaged file."""
        try:
            if self._writer is not None:
                yield self._writer.cursor()
            else:
                with connected() as connection:
                    yield connection
        # Or it has texts that are not JSON, or names that are no text, at which DuckDB's binding itself breaks.
        except (duckdb.Error, ValueError, RuntimeError) as error:
            raise ConfigError(f"a file of the archive can't be read: {error}. {DELETE}") from error

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
            ours = [self.root / name for name in (*COLUMNS, _STATE, _LOCK)]
            for path in (*ours, *self._days(), *(folder / _PART for folder in self._days())):
                if path.is_symlink():
                    raise ConfigError(
                        f"{path} is a link, which an archive does not follow; put the file or folder itself there"
                    )
            others = {path.name for path in self.root.iterdir()} - _BEGINNINGS
            if others and not self.begun():
                raise ConfigError(
                    f"{self.root} has other files, such as {min(others)}, and is not an archive; choose a new or empty folder"
                )
            with suppress(FileExistsError):
                create_file(self.root / _LOCK).close()
            # SQLite's lock is the operating system's on every platform, which releases it when the process ends.
            with closing(sqlite3.connect(self.root / _LOCK, timeout=0, isolation_level=None)) as lock:
                lock.execute("BEGIN EXCLUSIVE")
                for left in (self.root / _STATE, *(folder / _PART for folder in self._days())):
                    _new(left).unlink(missing_ok=True)
                if not self.begun():
                    self.save(self.state())  # from now on the folder is an archive
                with connected() as self._writer:
                    yield
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise VoxopsError(
                    f"the archive {self.root} is being written by another process; try again when that process has ended"
                ) from error
            raise ConfigError(
                f"{self.root / _LOCK} can't be locked: {error}. If it is damaged, delete it (it has no data), and sync again"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"the archive {self.root} can't be written: {error.strerror or error}. Its earlier files are intact; "
                "make room, or mend the folder, and sync again"
            ) from error
        finally:
            self._writer = None

    def _days(self) -> list[Path]:
        """Return the folders of days of all tables."""
        return [
            folder for kind in COLUMNS for folder in (self.root / kind).glob("day=*") if _DAY.fullmatch(folder.name)
        ]

    def state(self) -> State:
        """Return the state, which records how far everything was read; empty for a new archive.

        Raises
        ------
        ConfigError
            If the file is not a state.
        """
        path = self.root / _STATE
        try:
            state = msgspec.json.decode(path.read_bytes(), type=State)
            instants = chain(*state["deliveries"].values(), state["read_at"].values(), state["check_at"].values())
            if not all(BEGINNING <= instant < _END for instant in instants):
                raise ValueError("a time outside of the calendar")
        except FileNotFoundError:
            return {"deliveries": {}, "read_at": {}, "check_at": {}}
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not the state of an archive; move it away and sync again") from error
        return state

    def save(self, state: State) -> None:
        """Replace the state; the records that it counts as read must be on disk."""
        path = self.root / _STATE
        with _aside(path) as file:
            file.write(msgspec.json.format(msgspec.json.encode(state)))
        _new(path).replace(path)
        flush_folder(self.root)

    def begun(self) -> bool:
        """Whether anything has ever been written here."""
        return (self.root / _STATE).exists()

    def files(self, kind: str, start: datetime | None = None, end: datetime | None = None) -> dict[str, Path]:
        """Day -> file of the days from `start` to before `end`, the earliest first; rows without a time are always included, last."""
        if kind not in COLUMNS:
            raise ConfigError(f"kind={kind!r}; an archive has {', '.join(COLUMNS)}")
        first = "" if start is None else start.date().isoformat()
        last = "~" if end is None else (end - timedelta(microseconds=1)).date().isoformat()
        found = (self.root / kind).glob(f"day=*/{_PART}")
        days = sorted(
            (path.parent.name.removeprefix("day="), path) for path in found if _DAY.fullmatch(path.parent.name)
        )
        return {day: path for day, path in days if day == UNKNOWN_DAY or first <= day <= last}

    def read(
        self,
        kind: str,
        columns: Sequence[str] = (),
        where: str = "true",
        *,
        order: str = "",
        files: Iterable[Path] | None = None,
        **parameters: Any,
    ) -> pd.DataFrame:
        """Read rows.

        Parameters
        ----------
        kind : str
            ``posts`` or ``deliveries``.
        columns : sequence of str, optional
            Only these columns.
        where : str
            SQL.
        order : str, optional
            SQL of the order; none by default.
        files : iterable of Path, optional
            Only these files.
        **parameters
            Values of ``$name`` in `where`.

        Raises
        ------
        ConfigError
            If a file is damaged, or its values take more memory than a file of its size may.
        """
        files, shown = [*(self.files(kind).values() if files is None else files)], ", ".join(columns or COLUMNS[kind])
        # The order needs its columns, and its sort must not take what the bound refuses.
        types = (
            COLUMNS[kind]
            if not columns
            else {name: COLUMNS[kind][name] for name in {*columns, "created_at", KEY[kind]}}
        )
        with self._connected() as connection:
            add_view(connection, kind, kind, files)
            rows = bounded(f"(SELECT {', '.join(types)} FROM {kind} WHERE {where})", types, files)
            ordered = f" ORDER BY {order}" if order else ""
            frame = to_frame(connection.sql(f"SELECT {shown} FROM ({rows}){ordered}", params=parameters))
            if "metadata" in frame:
                frame["metadata"] = JSON.array([decode(cell) for cell in frame["metadata"].fillna("null")])
            return frame

    def merge(self, kind: str, frame: pd.DataFrame) -> int:
        """Merge records, which replace those with the same id; return how many files changed.

        All files are written aside before the first one is renamed.
        """
        key, names = KEY[kind], ", ".join([*COLUMNS[kind], "day"])
        typed = ", ".join(
            f"{name}{'::JSON' if type_.endswith(']') else ''}::{type_} AS {name}"
            for name, type_ in COLUMNS[kind].items()
        )
        with self._connected() as connection:
            connection.register("records", _plain(kind, frame))
            connection.execute(
                f"CREATE TEMP TABLE new AS SELECT *, coalesce(created_at::DATE::VARCHAR, '{UNKNOWN_DAY}') AS day FROM (SELECT {typed} FROM records)"
            )
            # A record that shows its time now leaves the file of unknown days.
            days = {UNKNOWN_DAY, *(day for (day,) in connection.execute("SELECT DISTINCT day FROM new").fetchall())}
            add_view(connection, "old", kind, [path for day, path in self.files(kind).items() if day in days])
            changed = connection.execute(
                f"SELECT day FROM (SELECT {names} FROM new EXCEPT SELECT {names} FROM old) "
                f"UNION SELECT day FROM (SELECT {key}, day FROM old SEMI JOIN new USING ({key}) EXCEPT SELECT {key}, day FROM new)"
            )
            written = []
            # Row groups are the unit that a filter on time can skip.
            options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 65536, USE_TMP_FILE false"
            for (day,) in changed.fetchall():
                path = self.root / kind / f"day={day}" / _PART
                # Only this file: else each day would open all of them.
                add_view(connection, "old", kind, [path] if path.exists() else [])
                kept = f"SELECT {names} FROM old ANTI JOIN new USING ({key})"
                rows = f"SELECT * EXCLUDE (day) FROM (FROM new WHERE day = '{day}' UNION ALL {kept})"
                make_folder(path.parent)
                with _aside(path):
                    try:
                        connection.execute(
                            f"COPY (FROM ({rows}) ORDER BY created_at DESC, {key}) TO {_literal(_new(path))} ({options})"
                        )
                    except duckdb.IOException as error:  # such as a full disk
                        raise OSError(str(error)) from error
                written.append(path)
        for path in written:
            _new(path).replace(path)
        for folder in {folder for path in written for folder in path.parents if self.root in folder.parents}:
            flush_folder(folder)  # the folders of the day and of the table; the day may be new
        return len(written)


def _new(path: Path) -> Path:
    """Return the path of a file before it gets its final name."""
    return path.with_name(f"{path.name}.new")


@contextmanager
def _aside(path: Path) -> Iterator[BinaryIO]:
    """Write a file to rename later; it is on disk when the block ends."""
    with create_file(_new(path)) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
