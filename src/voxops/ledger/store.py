"""The ledger's file in use: transactions, what it remembers of its surroundings, and its own time."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from voxops._support import canonical
from voxops.errors import LedgerError
from voxops.ledger.file import explain, open_database

TICK = 0.5  # seconds between two notes of the latest time
PATIENCE = 300.0  # seconds for which other processes are waited for
QUIET = 1.0  # seconds of them that pass without a word
LONGEST_PAUSE = 0.05  # seconds between two looks at whether they have ended

T = TypeVar("T")

_log = logging.getLogger("voxops.ledger")


class Store:
    """One SQLite file.

    Parameters
    ----------
    path : Path
        The file; created with mode 0600 where there is none.

    Attributes
    ----------
    held_up : str
        Which other process is waited for at this moment, in words for people; ``""`` where none is.

    Raises
    ------
    LedgerError
        If the file can't be used; nothing has been sent then.
    """

    def __init__(self, path: Path) -> None:
        self.held_up: str = ""
        self._lock = threading.Condition()  # of a lock that a thread may take again
        self._depth = 0
        self._noted = -math.inf
        self._db = open_database(path)
        self.path: Path = path.expanduser().absolute()
        self._opened = self._look()
        self._salt = self.meta("salt")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _look(self) -> tuple[int, int] | None:
        """Which file the ledger's name stands for; None for none."""
        with suppress(OSError):
            stat = self.path.stat()
            return stat.st_dev, stat.st_ino
        return None

    def _check_file(self) -> None:
        """Raise a LedgerError unless the file that is open here is the one that others find: they see neither its locks nor its rows."""
        if self._opened is None or self._look() != self._opened:
            raise LedgerError(
                f"the ledger {self.path} was removed or replaced, or can't be reached, after this kernel opened it; "
                "restart the kernel and run the notebook again: nothing is sent twice"
            )

    def _execute_first(self, sql: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Execute a statement that begins to use the file, once other processes let it; other threads may use it until then."""
        began, pause = time.monotonic(), 0.001
        try:
            while True:
                try:
                    return self._db.execute(sql, values)
                except sqlite3.OperationalError as error:
                    waited = time.monotonic() - began
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or waited > PATIENCE:
                        raise
                if waited > QUIET and not self.held_up:
                    self.held_up = (
                        f"another process is using the ledger {self.path}; this goes on as soon as that one has ended"
                    )
                    _log.warning("%s", self.held_up)
                self._lock.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self.held_up = ""

    @contextmanager
    def atomic(self) -> Iterator[sqlite3.Connection]:
        """One transaction; nested uses join the outer one.

        It is EXCLUSIVE: IMMEDIATE, and readers in other processes are waited for before it begins and not when it commits. So its
        commit waits for no other process, so its decisions by the clock are not old when it is on disk.

        Raises
        ------
        LedgerError
            If the file can't be written, or others would not see what is written here (rule 15).
        """
        with self._lock:
            outermost = self._depth == 0
            try:
                if outermost:
                    self._execute_first("BEGIN EXCLUSIVE", {})
                    self._check_file()
                self._depth += 1
                try:
                    yield self._db
                finally:
                    self._depth -= 1
                if outermost:
                    self._db.execute("COMMIT")
                    self._check_file()  # it may have been replaced since the transaction began
            except BaseException as error:
                if outermost and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise explain(error, self.path) from None
                raise

    def in_one_commit(self, works: Sequence[Callable[[], Any]]) -> list[Any]:
        """Do several pieces of work in one transaction, so that they share one commit; returns results in order.

        A piece that raises an error is undone alone and its error returned in its place.
        """
        done: list[Any] = []
        with self.atomic() as db:
            for work in works:
                db.execute("SAVEPOINT piece")
                try:
                    done.append(work())
                except Exception as error:  # for the task that waits for that piece
                    if not db.in_transaction:
                        raise  # a full disk has ended it: the other pieces are undone, too
                    db.execute("ROLLBACK TO piece")
                    done.append(error)
                db.execute("RELEASE piece")
        return done

    def query(self, sql: str, read: Callable[[sqlite3.Row], Any] | None = None, /, **values: Any) -> list[Any]:
        """Read rows, as what `read` makes of each. ``:name`` stands for the value of this name; `some` is for collections."""
        bound = _bound(values)
        try:
            with self._lock:
                if self._depth:
                    rows = self._db.execute(sql, bound).fetchall()
                else:
                    self._check_file()
                    rows = self._execute_first(sql, bound).fetchall()
            return rows if read is None else [*map(read, rows)]
        except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
            raise explain(error, self.path) from None

    def write(self, sql: str, **values: Any) -> int:
        """Execute a statement in a transaction, with values as for `query`; return how many rows it changed."""
        with self.atomic() as db:
            return db.execute(sql, _bound(values)).rowcount

    def update(self, table: str, where: str, changes: Mapping[str, Any], **values: Any) -> int:
        """Set these columns in the rows of which this holds; return how many these are."""
        columns = ", ".join(f"{name} = :{name}" for name in changes)
        return self.write(f"UPDATE {table} SET {columns} WHERE {where}", **changes, **values)

    def write_each(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute a statement for each of these rows of values, in one transaction."""
        if bound := [_bound(values) for values in rows]:
            with self.atomic() as db:
                db.executemany(sql, bound)

    def insert(self, table: str, **values: Any) -> int:
        """Write a new row and return its id."""
        with self.atomic() as db:
            cursor = db.execute(f"INSERT INTO {table} {as_values(values)}", _bound(values))
        return int(cursor.lastrowid or 0)

    def version(self) -> int:
        """A number that changes when another process has written the file."""
        return int(self.query("PRAGMA data_version")[0][0])

    def meta(self, name: str, read: Callable[[str], T] = str) -> T | None:  # type: ignore[assignment]
        """A remembered value, as what `read` makes of it; None for none."""
        rows = self.query("SELECT value FROM meta WHERE name = :name", lambda row: read(row[0]), name=name)
        return rows[0] if rows else None

    def set_meta(self, name: str, value: str) -> str:
        """Remember a value and return it."""
        self.write("INSERT OR REPLACE INTO meta VALUES (:name, :value)", name=name, value=value)
        return value

    def belong_to(self, workspace: str, host: str) -> None:
        """Belong to a workspace of a host from now on; keys and outcomes of one say nothing about another.

        A copy of production, made for tests, has its workspaces' ids, too.

        Raises
        ------
        LedgerError
            If the file holds another workspace's requests, or another host's.
        """
        for name, value in (("workspace", workspace), ("host", host.lower())):
            with self.atomic():
                owner = self.meta(name) or self.set_meta(name, value)
            if owner != value:
                raise LedgerError(
                    f"the ledger {self.path} belongs to {name} {owner}, not to {value}; give another file (ledger= or --ledger)"
                )

    def fingerprint(self, api_key: str) -> str:
        """Salted fingerprint of an API key, to notice another one (rule 9)."""
        return hashlib.sha256(f"{self._salt}:{api_key}".encode()).hexdigest()[:16]

    def note_time(self, server_now: float) -> None:
        """Remember the latest server time, to half a second; it never goes back."""
        if server_now < self._noted + TICK:
            return
        self.write(
            """INSERT INTO meta VALUES ('latest_server', :now) ON CONFLICT (name) DO UPDATE SET value = excluded.value
               WHERE CAST(excluded.value AS REAL) > CAST(meta.value AS REAL)""",
            now=repr(server_now),
        )
        self._noted = server_now


def some(name: str) -> str:
    """SQL for one of a collection, which is bound under this name as one value."""
    return f"IN (SELECT value FROM json_each(:{name}))"


def as_values(names: Iterable[str]) -> str:
    """SQL for a new row with these columns, whose values are bound under their names."""
    names = list(names)
    return f"({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as SQLite takes them: collections as JSON arrays, text without half an emoji."""
    return {name: _as_stored(value) for name, value in values.items()}


def _as_stored(value: Any) -> Any:
    if isinstance(value, str):
        return canonical.well_formed(value)
    return json.dumps(list(value)) if isinstance(value, Iterable) and not isinstance(value, bytes) else value


class Part:
    """One part of a ledger, with its own verbs.

    Parameters
    ----------
    store : Store
        The ledger's file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
