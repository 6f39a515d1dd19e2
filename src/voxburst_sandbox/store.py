"""Tables in memory, and the file that lets a restarted sandbox go on where it was killed.

Every table knows which records changed; after each request the changed ones are written in one SQLite transaction. That
survives SIGKILL of the process (not a power cut: ``synchronous=OFF``), at about 50 µs a request.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from voxburst_sandbox.records import Account, Delivery, Event, Media, Post, StoredAnswer, Target, Webhook

__all__ = ["Disk", "Log", "Table", "Tables"]


class _Record(Protocol):
    """Whatever has an id."""

    @property
    def id(self) -> Any:
        """Unique within its table."""


R = TypeVar("R", bound=_Record)


class Table(dict[str, R]):
    """Records by id, with a note of those that changed since the last write."""

    def __init__(self, load: Callable[[dict[str, Any]], R]) -> None:
        super().__init__()
        self.load = load
        self.dirty: set[str] = set()

    def save(self, record: R) -> R:
        """Keep the record, new or changed."""
        key = str(record.id)
        self[key] = record
        self.dirty.add(key)
        return record

    def drop(self, key: str) -> R | None:
        """Forget a record; None if there was none."""
        self.dirty.add(key)
        return self.pop(key, None)

    def forget(self) -> None:
        """Forget every record."""
        self.dirty |= set(self)
        self.clear()


class Log(list[dict[str, Any]]):
    """Entries that are only ever appended, numbered from 1 by `seq`."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def amend(self, entry: dict[str, Any], **changes: Any) -> None:
        """Change an entry; it is written again."""
        entry.update(changes)
        self.written = min(self.written, entry["seq"] - 1)

    def note(self, **entry: Any) -> dict[str, Any]:
        """Append an entry and number it."""
        entry = {"seq": len(self) + 1, **entry}
        self.append(entry)
        return entry


def _post(data: dict[str, Any]) -> Post:
    """Return a post with its targets from its stored form."""
    return Post(**{**data, "targets": [Target(**target) for target in data["targets"]]})


class Tables:
    """Everything the sandbox remembers."""

    def __init__(self) -> None:
        self.posts: Table[Post] = Table(_post)
        self.accounts: Table[Account] = Table(lambda data: Account(**data))
        self.media: Table[Media] = Table(lambda data: Media(**data))
        self.webhooks: Table[Webhook] = Table(lambda data: Webhook(**data))
        self.deliveries: Table[Delivery] = Table(lambda data: Delivery(**data))
        self.events: Table[Event] = Table(lambda data: Event(**data))
        self.answers: Table[StoredAnswer] = Table(lambda data: StoredAnswer(**data))
        self.requests = Log()
        self.effects = Log()
        self.received = Log()

    def tables(self) -> Iterable[tuple[str, Table[Any]]]:
        """Every table with its name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Table))

    def logs(self) -> Iterable[tuple[str, Log]]:
        """Every log with its name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Log))

    def clear(self) -> None:
        """Forget everything."""
        for _, table in self.tables():
            table.forget()
        for _, log in self.logs():
            log.clear()
            log.written = -1  # the file holds entries that must go


# The lock is exclusive: two sandboxes on one file would each overwrite what the other did.
_SCHEMA = """
    PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS records (kind TEXT, id TEXT, data BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS logs (kind TEXT, seq INTEGER, data BLOB, PRIMARY KEY (kind, seq)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID;
    COMMIT;
"""


class Disk:
    """The state file: one table of records, one of log entries, one of single facts such as the clock.

    Parameters
    ----------
    path : str or Path
        The file; made if there is none. OSError if another sandbox has it open, or if it is something else.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
        except sqlite3.OperationalError as error:
            raise OSError(f"the state file {path} can't be opened: {error}") from None
        try:
            self._refuse_others()
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._db.close()
            used = "locked" in str(error)
            reason = "another sandbox is using it" if used else f"it is not a sandbox's state ({error})"
            raise OSError(f"the state file {path} can't be used: {reason}") from None

    def _refuse_others(self) -> None:
        """Raise DatabaseError for the file of another program, before anything is written into it."""
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if others := sorted(tables - {"records", "logs", "facts"}):
            raise sqlite3.DatabaseError(f"it has a table {others[0]}")

    def facts(self) -> dict[str, Any]:
        """Single facts by name; empty for a new file."""
        return {name: msgspec.json.decode(data) for name, data in self._db.execute("SELECT name, data FROM facts")}

    def load(self, tables: Tables) -> None:
        """Fill the tables and logs from the file."""
        for kind, table in tables.tables():
            for key, data in self._db.execute("SELECT id, data FROM records WHERE kind = ?", (kind,)):
                dict.__setitem__(table, key, table.load(msgspec.json.decode(data)))
        for kind, log in tables.logs():
            rows = self._db.execute("SELECT data FROM logs WHERE kind = ? ORDER BY seq", (kind,))
            log.extend(msgspec.json.decode(data) for (data,) in rows)
            log.written = len(log)

    def write(self, tables: Tables, facts: dict[str, Any]) -> None:
        """Write what changed, all or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        for kind, table in tables.tables():
            if table.dirty:
                self._write_table(kind, table)
        for kind, log in tables.logs():
            if log.written < 0:
                self._db.execute("DELETE FROM logs WHERE kind = ?", (kind,))
                log.written = 0
            rows = [(kind, entry["seq"], msgspec.json.encode(entry)) for entry in log[log.written :]]
            self._db.executemany("INSERT OR REPLACE INTO logs VALUES (?, ?, ?)", rows)
            log.written = len(log)
        self._db.executemany(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)",
            [(name, msgspec.json.encode(value)) for name, value in facts.items()],
        )
        self._db.execute("COMMIT")
        for _, table in tables.tables():
            table.dirty.clear()

    def _write_table(self, kind: str, table: Table[Any]) -> None:
        """Write the changed records of one table and remove the dropped ones."""
        kept = [(kind, key, msgspec.json.encode(table[key])) for key in table.dirty if key in table]
        gone = [(kind, key) for key in table.dirty if key not in table]
        self._db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", kept)
        self._db.executemany("DELETE FROM records WHERE kind = ? AND id = ?", gone)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
