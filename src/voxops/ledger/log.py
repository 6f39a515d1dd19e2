"""SQLite's log of the ledger: whether it is still there while the ledger is open, and whether it belongs to the file (rule 25).

What is committed stands in the log first (``-wal``), and goes into the file later. Two ways lead to a log that is not the ledger's:

Whoever opens the ledger in this process by other means than SQLite, and be it to copy it, drops SQLite's locks when it is closed again:
POSIX has it so, and SQLite does not notice ("How To Corrupt An SQLite Database File", 2.2). The next process that closes the ledger then
takes itself for the last one and removes the log, and nobody sees what is committed here from then on. `OpenFiles` notices.

And SQLite takes any log beside a file for its own, also one that a killed kernel has left beside an older copy that was put back: pages of
both would be mixed. So the file's token stands in the file alone, and the log's in each log, since each transaction that writes touches its
page (`Store.atomic`). Both change whenever the log is emptied into the file, which nothing but `renew` does while the ledger is open: so a
log holds all that was written since the file had its token, and goes with any copy of it from then on. Where the tokens differ, file and log
don't belong together.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import sys
import weakref
from contextlib import closing, suppress
from pathlib import Path

from voxops.errors import LedgerError

__all__ = ["LONGEST", "OpenFiles", "belong_together", "check_others", "has_log", "renew"]

_TOKEN = re.compile("[0-9a-f]{16}")
LONGEST = 4_000_000  # bytes of a log that is emptied


class OpenFiles:
    """The files that a connection has open: the ledger and its log, whose names may stand for others since.

    Parameters
    ----------
    db : sqlite3.Connection
        An open ledger, whose log is there.
    path : Path
        Its file.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self.path = os.path.realpath(path)  # the log lies beside it, and beside no link to it
        logged = db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        self._db = db
        # Locks stand in the index of the log (-shm), so whoever opens another one sees neither locks nor what is in the log.
        self._names = tuple(f"{self.path}{ending}" for ending in (("", "-wal", "-shm") if logged else ("",)))
        self._opened = self._look()
        _OPEN.add(self)

    @property
    def log_length(self) -> int:
        """Bytes of the log; 0 where there is none."""
        return Path(self._names[1]).stat().st_size if len(self._names) > 1 else 0

    def check(self) -> None:
        """Raise a LedgerError unless what is open here is what others find."""
        if self in _OPEN and self._look() != self._opened:
            raise LedgerError(
                f"the files of the ledger {self.path} were removed or replaced, or can't be reached, since this kernel opened them, as happens "
                "after it was copied from this kernel; restart the kernel and run the notebook again: nothing is sent twice"
            )

    def close(self) -> None:
        """Close the connection, and leave alone what has taken the names of its files."""
        _OPEN.discard(self)
        if sys.version_info >= (3, 12) and self._look() != self._opened:
            with suppress(sqlite3.ProgrammingError):  # it is closed already
                self._db.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        self._db.close()

    def _look(self) -> list[tuple[int, int]]:
        with suppress(OSError):
            return [(found.st_dev, found.st_ino) for found in map(os.stat, self._names)]
        return []


_OPEN: weakref.WeakSet[OpenFiles] = weakref.WeakSet()


def check_others(path: Path) -> None:
    """Raise a LedgerError if another connection of this process to the ledger has lost its log.

    Connections of one process share the index of the log, so a new one would read the old log's index for the new log.
    """
    for other in list(_OPEN):
        if other.path == os.path.realpath(path):
            other.check()


def renew(db: sqlite3.Connection) -> bool:
    """Empty the log into the file, and give both new tokens; returns whether that was done: another connection may be using the log.

    Between the two times that the log is emptied nothing stands in it but the tokens: with them, an older copy of the file is that copy.
    """
    if not _emptied(db):
        return False
    token = secrets.token_hex(8)
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    db.execute("UPDATE log_generation SET token = ?, before = (SELECT token FROM file_generation)", (token,))
    db.execute("UPDATE file_generation SET token = ?", (token,))
    db.execute("COMMIT")
    return _emptied(db)


def _emptied(db: sqlite3.Connection) -> bool:
    """Whether all of the log went into the file."""
    return not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


def belong_together(db: sqlite3.Connection, path: Path) -> bool:
    """Whether file and log are of one generation; those of an older version say nothing of it.

    The file's token is read from the file alone, too: as long as somebody reads the log, which can't be emptied then, the new token stands
    in the log, and the file has the one before. Tokens are equally long, so that no half of a page that a power cut has left is another.
    """
    tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('file_generation', 'log_generation')"
    if db.execute(tables).fetchone()[0] < 2:
        return True
    db.execute("BEGIN")  # one reading: as long as it lasts, nobody can empty the log, and so begin a generation
    try:
        (shown,) = db.execute("SELECT token FROM file_generation").fetchone()
        token, before = db.execute("SELECT token, before FROM log_generation").fetchone()
        return shown == token and _in_file(path) in {token, before, None}
    finally:
        db.execute("COMMIT")


def _in_file(path: Path) -> str | None:
    """The token that stands in the file itself; None where none can be read, as while the log is written into it."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as alone:
            row = alone.execute("SELECT token FROM file_generation").fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row and _TOKEN.fullmatch(str(row[0])) else None


def has_log(path: Path) -> bool:
    """Whether there is a log with something in it."""
    with suppress(OSError):  # who can't look there can't open it, and says so
        return Path(f"{os.path.realpath(path)}-wal").stat().st_size > 0
    return False
