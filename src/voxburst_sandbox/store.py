"""What the sandbox remembers: records, logs, and the state file; ids and draws by hashing.

A draw depends on the seed and on its subject, never on order or timing.
"""

from __future__ import annotations

import sqlite3
from base64 import b32encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")


def _digest(parts: tuple[object, ...], size: int) -> bytes:
    """Return bytes that depend on every part and on their order."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=size).digest()


def fraction(*parts: object) -> float:
    """Return a number in [0, 1), the same for the same parts."""
    return int.from_bytes(_digest(parts, 6), "big") / (1 << 48)


def uniform(low: float, high: float, *parts: object) -> float:
    """Return a number in [low, high), the same for the same parts."""
    return low + (high - low) * fraction(*parts)


def pick(choices: Sequence[T], *parts: object) -> T:
    """Return one of the choices, the same for the same parts."""
    return choices[int(fraction(*parts) * len(choices))]


def identifier(prefix: str, *parts: object) -> str:
    """Return an opaque id of 24 letters and digits behind its prefix, the same for the same parts (contract: SCH)."""
    return prefix + b32encode(_digest(parts, 15)).decode().lower()


@dataclass(slots=True)
class Target:
    """One platform of a post.

    `status` is what the API shows; `flaw` is why publishing fails until a fix mends it (``aspect format size
    rejected``), empty for none. `jobs` counts publications ever queued, `running` those that have not
    ended; `since` says when the status was entered. `shown_retry_count` is what answers show while a held queue shows nothing yet.
    """

    id: str
    platform: str
    account_id: str
    status: str = "pending"
    since: int = 0
    content: str | None = None
    platform_post_id: str | None = None
    platform_post_url: str | None = None
    published_at: int | None = None
    error: dict[str, Any] | None = None
    retry_count: int = 0
    jobs: int = 0
    flaw: str = ""
    running: int = 0
    shown_retry_count: int | None = None


@dataclass(slots=True)
class Post:
    """One post with its targets; `ordinal` breaks ties of `created_at`.

    `analytics_at` is when somebody last asked for fresh figures.
    """

    id: str
    ordinal: int
    content: str
    content_type: str
    status: str
    created_at: int
    updated_at: int
    targets: list[Target]
    scheduled_for: int | None = None
    published_at: int | None = None
    media: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    first_comment: str | None = None
    first_comment_delay: int = 0
    recurrence: dict[str, Any] | None = None
    analytics_at: int = 0


@dataclass(slots=True)
class Account:
    """One connected account; only an ``active`` one can publish. `scope_health` is None where it was never verified."""

    id: str
    platform: str
    username: str
    display_name: str
    account_type: str
    status: str
    connected_at: int
    followers: int = 0
    refreshable: bool = True
    page_id: str | None = None
    page_name: str | None = None
    backfill: dict[str, Any] | None = None
    scope_health: dict[str, Any] | None = None
    analytics_at: int = 0


@dataclass(slots=True)
class Media:
    """One media file; `status` is ``pending processing ready failed``."""

    id: str
    filename: str
    content_type: str
    size: int
    status: str
    created_at: int
    url: str | None = None
    expires_at: int | None = None
    upload_token: str | None = None
    upload_type: str | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    import_status: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None


@dataclass(slots=True)
class Webhook:
    """One subscription; an event goes to it if it is enabled and lists the event or ``*``."""

    id: str
    url: str
    events: list[str]
    secret: str
    created_at: int
    enabled: bool = True
    last_delivery_at: int | None = None
    failure_count: int = 0


@dataclass(slots=True)
class Delivery:
    """One event for one webhook, with the result of its latest attempt."""

    id: str
    ordinal: int
    webhook_id: str
    event_id: str
    event_type: str
    url: str
    created_at: int
    status_code: int | None = None
    latency_ms: int | None = None
    response_body: str | None = None
    retry_count: int = 0
    success: bool = False
    error: str | None = None
    delivered_at: int | None = None
    payload: str | None = None
    queued: int = 0
    resent: str = ""


@dataclass(slots=True)
class Event:
    """A scheduled event of the virtual world."""

    id: int
    at: int
    kind: str
    subject: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class StoredAnswer:
    """The answer stored under an idempotency key."""

    id: str
    fingerprint: str
    at: int
    status: int
    body: str


class _Record(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> Any:
        """Unique within its table."""


R = TypeVar("R", bound=_Record)


class Table(dict[str, R]):
    """Records by id, and which of them changed since the last write."""

    def __init__(self, kind: type[R]) -> None:
        super().__init__()
        self.kind = kind
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


class Tables:
    """All records and logs."""

    def __init__(self) -> None:
        self.posts = Table(Post)
        self.accounts = Table(Account)
        self.media = Table(Media)
        self.webhooks = Table(Webhook)
        self.deliveries = Table(Delivery)
        self.events = Table(Event)
        self.answers = Table(StoredAnswer)
        self.requests = Log()
        self.effects = Log()
        self.received = Log()

    def tables(self) -> Iterable[tuple[str, Table[Any]]]:
        """Return every table with its name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Table))

    def logs(self) -> Iterable[tuple[str, Log]]:
        """Return every log with its name."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Log))

    def clear(self) -> None:
        """Forget everything."""
        for _, table in self.tables():
            table.forget()
        for _, log in self.logs():
            log.clear()
            log.written = -1  # the file holds entries to delete


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
        The file; created if there is none. OSError if another sandbox has it open, or if it is something else.
    """

    def __init__(self, path: str | Path) -> None:
        files = [Path(f"{path}{end}") for end in ("", "-wal", "-shm", "-journal")]
        if files[0].is_symlink():
            raise OSError(f"the state file {path} can't be used: it is a link; name the file itself")
        try:
            files[0].touch(0o600)  # for this user alone; SQLite gives its journals the same rights
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
        except (OSError, sqlite3.OperationalError) as error:
            raise OSError(f"the state file {path} can't be opened: {error}") from None
        try:
            self._refuse_others()
            for each in files:
                if each.exists():
                    each.chmod(0o600)
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.DatabaseError) as error:
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
        """Return single facts by name; empty for a new file."""
        return {name: msgspec.json.decode(data) for name, data in self._db.execute("SELECT name, data FROM facts")}

    def load(self, tables: Tables) -> None:
        """Fill the tables and logs from the file."""
        for kind, table in tables.tables():
            for key, data in self._db.execute("SELECT id, data FROM records WHERE kind = ?", (kind,)):
                dict.__setitem__(table, key, msgspec.json.decode(data, type=table.kind))
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
