"""The ledger's file in use: transactions, what it remembers of its surroundings, and its own time."""

from __future__ import annotations

import hashlib
import math
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from voxops._core.files import create_file
from voxops.api.windows import LEASE
from voxops.errors import LedgerError
from voxops.ledger.file import explain, open_database
from voxops.ledger.log import LONGEST, OpenFiles, has_log, renew

__all__ = ["Part", "Store"]

TICK = 0.5  # seconds between two notes of the latest time


class Store:
    """One SQLite file.

    Parameters
    ----------
    path : Path
        The file; created with mode 0600 where there is none.
    clock : callable
        Seconds since the epoch, for leases.
    lease : float
        Seconds a sender keeps an operation to itself; longer than any request takes.

    Raises
    ------
    LedgerError
        If the file can't be used; nothing has been sent then.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, lease: float = LEASE) -> None:
        self.path = path
        self.lease = lease
        self.clock = clock
        self._lock = threading.RLock()
        self._depth = 0
        self._noted = (-math.inf, -math.inf)
        self._renewed = has_log(path.expanduser())  # by whoever has begun it
        self._db = open_database(path)
        self._files = OpenFiles(self._db, path.expanduser())
        with self.atomic():
            self._salt = self.meta("salt") or self.set_meta("salt", secrets.token_hex(16))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._files.close()

    def copy_to(self, path: Path) -> Path:
        """Copy the ledger whole, also while others write it, and return the copy's absolute path.

        Parameters
        ----------
        path : Path
            Must not exist.

        Raises
        ------
        OSError
            If the copy can't be written; nothing is left of it then.
        LedgerError
            If the ledger can't be read.
        """
        path = path.expanduser().absolute()
        create_file(path).close()
        try:
            with self._lock, closing(sqlite3.connect(path)) as copy:
                self._files.check()
                self._db.backup(copy)
                renew(copy)  # so that the ledger's log is not taken for the copy's
        except BaseException as error:
            path.unlink()
            if isinstance(error, sqlite3.Error):
                raise explain(error, path) from None
            raise
        return path

    @contextmanager
    def atomic(self) -> Iterator[sqlite3.Connection]:
        """One IMMEDIATE transaction; nested uses join the outer one.

        Raises
        ------
        LedgerError
            If the file can't be written, or others would not see what is written here (rule 25).
        """
        with self._lock:
            outermost = self._depth == 0
            before = self._db.total_changes
            try:
                if outermost:
                    self._db.execute("BEGIN IMMEDIATE")
                    self._files.check()
                self._depth += 1
                try:
                    yield self._db
                finally:
                    self._depth -= 1
                if outermost:
                    if self._db.total_changes > before:
                        self._db.execute("UPDATE log_generation SET commits = commits + 1")  # see `ledger.log`
                    self._db.execute("COMMIT")
                    self._files.check()  # its log may have been removed meanwhile
                    self._empty_log()
            except BaseException as error:
                if outermost and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise explain(error, self.path) from None
                raise

    def _empty_log(self) -> None:
        """Begin a generation of the file where the log is long, or this connection has found none and not begun one yet."""
        if self._renewed and self._files.log_length <= LONGEST:
            return
        patience = self._db.execute("PRAGMA busy_timeout").fetchone()[0]
        self._db.execute(
            "PRAGMA busy_timeout=0"
        )  # whoever uses the log is not waited for: a later transaction tries again
        try:
            self._renewed = renew(self._db)
        finally:
            self._db.execute(f"PRAGMA busy_timeout={patience}")

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
                except Exception as error:  # noqa: BLE001  it belongs to whoever waits for that piece
                    db.execute("ROLLBACK TO piece")
                    done.append(error)
                db.execute("RELEASE piece")
        return done

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Read rows."""
        with self._lock:
            try:
                if self._depth == 0:
                    self._files.check()
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise explain(error, self.path) from None

    def meta(self, name: str) -> str | None:
        """A remembered value."""
        rows = self.query("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def set_meta(self, name: str, value: str) -> str:
        """Remember a value and return it."""
        with self.atomic() as db:
            db.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
            )
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
                    f"the ledger {self.path} belongs to {name} {owner}, not to {value}; give another file with ledger="
                )

    def now(self) -> float:
        """The ledger's own time, for leases and the age of readings: the server's, where it is known.

        A clock that was set back makes leases and readings of the future out of those that there are; such leases are over, and such
        readings stale, so that time never stands still (rule 21).
        """
        return self.clock()

    def fingerprint(self, api_key: str) -> str:
        """Salted fingerprint of an API key, to notice another one (rule 23)."""
        return hashlib.sha256(f"{self._salt}:{api_key}".encode()).hexdigest()[:16]

    def note_time(self, server_now: float) -> None:
        """Remember the latest server time and the ledger's own, to half a second; neither goes back."""
        times = (server_now, self.clock())
        if all(now < noted + TICK for now, noted in zip(times, self._noted, strict=True)):
            return
        with self.atomic() as db:
            db.executemany(
                """INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
                   WHERE CAST(excluded.value AS REAL) > CAST(meta.value AS REAL)""",
                list(zip(("latest_server", "latest"), map(repr, times), strict=True)),
            )
        self._noted = times


class Part:
    """One part of a ledger, with its own verbs.

    Parameters
    ----------
    store : Store
        The ledger's file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
