"""Opening the ledger's file: where it lives, what it must be, and what is refused before anything is sent (rule 15)."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sqlite3
import threading
import warnings
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from voxops._support.files import flush_folder, make_folder
from voxops.errors import LedgerError

APPLICATION_ID = 0x766F7870  # "voxp": tells a ledger from any other SQLite file
BUSY_SECONDS = 10.0  # for which who opens a ledger waits for another process that writes it

# What an editor writes past these types and checks is found when the file is opened.
SCHEMA = """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY, item TEXT NOT NULL CHECK (json_type(item) = 'object'),
        act TEXT NOT NULL AS (json_extract(item, '$.act')) STORED,
        identity TEXT NOT NULL AS (json_extract(item, '$.identity')) STORED,
        attempt INTEGER NOT NULL AS (json_extract(item, '$.attempt')) STORED,
        subject TEXT NOT NULL AS (json_extract(item, '$.subject')) STORED,
        campaign TEXT NOT NULL AS (coalesce(json_extract(item, '$.seen.campaign'), '')) STORED,
        label TEXT NOT NULL, platform TEXT NOT NULL, mark TEXT, alike TEXT, asked INTEGER NOT NULL,
        outcome TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'succeeded', 'failed')),
        blocked INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
        error_code TEXT, error_message TEXT, result_id TEXT,
        seen TEXT CHECK (json_type(seen) = 'object'), settled REAL CHECK (settled BETWEEN 0 AND 1e11),
        confirmed INTEGER NOT NULL DEFAULT 0, call INTEGER REFERENCES calls (id), alone INTEGER NOT NULL DEFAULT 0, page INTEGER,
        created REAL NOT NULL CHECK (created BETWEEN 0 AND 1e11),
        UNIQUE (identity, attempt)
    ) STRICT;
    CREATE INDEX requests_by_subject ON requests (subject);
    CREATE INDEX requests_by_label ON requests (label);
    CREATE INDEX requests_by_result ON requests (result_id) WHERE result_id IS NOT NULL;
    CREATE INDEX requests_by_time ON requests (settled) WHERE mark IS NOT NULL;
    CREATE INDEX requests_by_call ON requests (call) WHERE call IS NOT NULL;
    CREATE INDEX requests_by_mark ON requests (mark) WHERE mark IS NOT NULL;
    CREATE INDEX requests_alike ON requests (alike) WHERE alike IS NOT NULL;
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, also where nothing of a try has happened
        by_run TEXT NOT NULL, -- the run that sent it first
        act TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, body BLOB, key TEXT NOT NULL,
        subject TEXT NOT NULL, baseline TEXT CHECK (json_type(baseline) = 'object'), credential TEXT NOT NULL, size INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('sent', 'accepted', 'unknown', 'limited', 'closed')),
        tries INTEGER NOT NULL,
        first_sent REAL NOT NULL CHECK (first_sent BETWEEN 0 AND 1e11), last_sent REAL NOT NULL CHECK (last_sent BETWEEN 0 AND 1e11),
        ended REAL CHECK (ended BETWEEN 0 AND 1e11),
        answered INTEGER NOT NULL DEFAULT 0, http_status INTEGER, reply BLOB,
        refused INTEGER NOT NULL DEFAULT 0, resent INTEGER NOT NULL DEFAULT 0,
        sighted REAL, reason TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX calls_open ON calls (subject) WHERE state <> 'closed';
    CREATE TABLE call_rows (
        call INTEGER NOT NULL REFERENCES calls (id), position INTEGER NOT NULL, request INTEGER NOT NULL REFERENCES requests (id),
        void INTEGER NOT NULL DEFAULT 0, -- it is proved that nothing of it happened
        PRIMARY KEY (call, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX call_rows_by_request ON call_rows (request);
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, action TEXT NOT NULL, campaign TEXT NOT NULL, key_column TEXT NOT NULL, reason TEXT, who TEXT NOT NULL,
        created REAL NOT NULL CHECK (created BETWEEN 0 AND 1e11), not_eligible INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'open', note TEXT NOT NULL DEFAULT '',
        paused INTEGER NOT NULL DEFAULT 0, undone INTEGER NOT NULL DEFAULT 0, failures INTEGER
    ) STRICT;
    -- apart from its run, which is read before each send and written every few seconds
    CREATE TABLE frames (run TEXT PRIMARY KEY REFERENCES runs (id), frame BLOB NOT NULL) STRICT;
    CREATE TABLE run_rows (
        run TEXT NOT NULL REFERENCES runs (id), row INTEGER NOT NULL, request INTEGER REFERENCES requests (id),
        reason TEXT NOT NULL, chunk INTEGER NOT NULL,
        PRIMARY KEY (run, row)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX run_rows_by_request ON run_rows (request);
    CREATE TABLE seen (
        post_id TEXT PRIMARY KEY, created TEXT NOT NULL, status TEXT NOT NULL, updated TEXT,
        op_mark TEXT, row_mark TEXT, campaign_mark TEXT, asked TEXT, shown TEXT,
        began REAL NOT NULL, source TEXT NOT NULL, since REAL NOT NULL
    ) STRICT;
    CREATE INDEX seen_by_op ON seen (op_mark) WHERE op_mark IS NOT NULL;
    CREATE INDEX seen_by_row ON seen (row_mark) WHERE row_mark IS NOT NULL;
    CREATE INDEX seen_by_shown ON seen (shown);
    CREATE TABLE media ( -- receipts of uploads and imports
        source TEXT PRIMARY KEY, -- sha256:… of a file, or an address
        media_id TEXT NOT NULL, number INTEGER NOT NULL, -- of the key under which it was requested
        state TEXT NOT NULL CHECK (state IN ('sent', 'ready', 'failed'))
    ) STRICT;
    INSERT INTO meta VALUES ('salt', lower(hex(randomblob(16))))
"""
# Hash of the schema, as far as PRAGMA user_version can hold it: 31 bits. A ledger with any other is refused.
SCHEMA_HASH = int.from_bytes(hashlib.sha256(" ".join(SCHEMA.split()).encode()).digest()[:4], "big") >> 1

_CREATING = threading.Lock()

_NETWORK = re.compile(r"^(nfs\d?|cifs|smb\d?|smbfs|afs|9p|fuse\.(sshfs|rclone|gcsfuse|s3fs)|glusterfs|lustre|ceph)$")


def default_path(host: str, workspace_id: str) -> Path:
    """Where a workspace's ledger lives: the user's data folder, named by host and workspace, never by the API key (rule 9)."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{host}-{workspace_id}")[:120]
    import platformdirs  # most processes that import voxops open no ledger

    return Path(platformdirs.user_data_dir("voxops", appauthor=False)) / "ledgers" / f"{name}.sqlite"


def open_database(path: Path) -> sqlite3.Connection:
    """Open a ledger's file; create it where there is none.

    Raises
    ------
    LedgerError
        If the file is damaged, belongs to something else, has another schema, can't be written, or lies on a network file
        system whose locks don't hold.
    """
    try:
        # ":memory:" is a file of that name, too, and not what SQLite would take it for.
        path = path.expanduser().absolute()
        make_folder(path.parent, flush=True)
        _create(path)
        flush_folder(path.parent)
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} can't be written ({error.strerror}); give another file (ledger= or --ledger)"
        ) from None
    _check_owner(path)
    remote = _file_system(path)
    try:
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            _verify(db, path)
            if remote:
                _accept_network(path, remote)
            db.execute("PRAGMA journal_mode=TRUNCATE")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA temp_store=MEMORY")  # what a sort holds of rows is written to no other folder
            db.execute("PRAGMA foreign_keys=ON")
            _create_tables(db)
            db.execute("PRAGMA busy_timeout=0")  # from now on `Store` waits, and says for whom
        except BaseException:
            db.close()  # so that a file that is refused can be moved away
            raise
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise explain(error, path) from None
    return db


def _create(path: Path) -> None:
    """Make an empty file where there is none; one that exists is not opened, because closing it would drop its locks (POSIX)."""
    with _CREATING, suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _check_owner(path: Path) -> None:
    """Refuse a file of another user; warn of one that others can write: whoever writes a ledger decides what is sent."""
    if not hasattr(os, "getuid"):
        return
    stat = path.stat()
    if stat.st_uid not in {os.getuid(), 0} and os.getuid() != 0:
        raise LedgerError(
            f"the ledger {path} belongs to another user; copy it, or give another file (ledger= or --ledger)"
        )
    if stat.st_mode & 0o022:
        warnings.warn(
            f"others can write the ledger {path}, and whoever writes it decides what is sent; chmod 600 unless a team shares it",
            stacklevel=4,
        )


# Words of SQLite's -> what they mean for the person at the keyboard.
_TROUBLES = (
    ("locked|busy", "is locked by another program; close it, or give another file (ledger= or --ledger)"),
    ("full", "can't grow: the disk is full; free some space and run the cell again, nothing is lost"),
    ("closed database", "was closed with its workspace; call vx.connect() again, and continue the run with ws.attach(run_id).resume()"),
    ("disk I/O", "can't be read or written: its disk fails, or a quota is used up; see to that and run the cell again, nothing is lost"),
    ("readonly|read-only", "is read-only; make it writable, or give another file (ledger= or --ledger)"),
    ("^(Value|Type|Key|Index|JSONDecode)Error", "holds what voxops never wrote; somebody has changed it by hand"),
    ("not a database|malformed|corrupt|decode", "is damaged or not a ledger; move it away, or give another file (ledger= or --ledger)"),
)  # fmt: skip


def explain(error: Exception, path: Path) -> LedgerError:
    """Say what a database error means."""
    troubles = (trouble for words, trouble in _TROUBLES if re.search(words, repr(error)))
    return LedgerError(f"the ledger {path} " + next(troubles, f"can't be used ({error})"))


def _verify(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not a ledger of ours, has another schema, or is damaged; an empty one is none yet."""
    # What a file brings with it runs nothing: its views and triggers are refused.
    db.execute("PRAGMA trusted_schema=OFF")
    if _is_empty(db):
        return
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise LedgerError(f"{path} is a database of another program; give another file (ledger= or --ledger)")
    if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_HASH:
        raise LedgerError(
            f"the ledger {path} was made by another version of voxops; finish its runs with the version that made it, "
            "and give another file to this one (ledger= or --ledger)"
        )
    if _tables(db) != _own_tables():
        raise LedgerError(f"the ledger {path} has other tables than voxops makes; somebody has changed it by hand")
    damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise LedgerError(
            f"the ledger {path} is damaged ({damage}); move it away, or give another file (ledger= or --ledger)"
        )


def _tables(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    """What a file is made of: tables and indexes, and views and triggers, which ours never are."""
    return {tuple(row) for row in db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")}


@cache
def _own_tables() -> set[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        return _tables(db)


def _is_empty(db: sqlite3.Connection) -> bool:
    """Whether a database holds nothing at all."""
    return not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _create_tables(db: sqlite3.Connection) -> None:
    """Write the schema into an empty file, in one transaction; two processes that start together write it once."""
    if not _is_empty(db):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        if _is_empty(db):
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={SCHEMA_HASH}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise


def _file_system(path: Path) -> str:
    """Type of the network file system that holds the file; ``""`` for a local one, or where the system can't tell."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    target = str(path.resolve())
    for line in mounts:
        _, where, type_, *_ = line.split(" ")
        where = where.replace("\\040", " ")
        if (target == where or target.startswith(where.rstrip("/") + "/")) and len(where) >= len(best):
            best, kind = where, type_
    return kind if _NETWORK.match(kind) else ""


def _accept_network(path: Path, kind: str) -> None:
    """Warn about a network file system, and refuse it if a second process can take a lock that this one holds."""
    warnings.warn(
        f"the ledger {path} lies on a network file system ({kind}); a local file (ledger=) is safer and faster",
        stacklevel=4,
    )
    if not locks_hold(path):
        raise LedgerError(f"locks don't hold on {kind}, where the ledger {path} lies; give a local file with ledger=")


def locks_hold(path: Path) -> bool:
    """Whether a second process is kept out of a file that this one has locked."""
    probe = path.with_suffix(".lock-test")
    db = sqlite3.connect(probe, isolation_level=None)
    try:
        db.execute("BEGIN EXCLUSIVE")
        import multiprocessing  # only a ledger on a network needs it

        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return not pool.apply(_can_lock, (str(probe),))
    finally:
        db.close()
        probe.unlink(missing_ok=True)


def _can_lock(path: str) -> bool:
    """Whether this process gets the lock without waiting."""
    db = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    try:
        db.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    else:
        return True
    finally:
        db.close()
