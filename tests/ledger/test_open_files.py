"""The ledger's file while it is open (rule 25): its locks, which POSIX drops when any descriptor is closed, its name, and its copies."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from voxops.cli import main
from voxops.errors import LedgerError
from voxops.ledger import Ledger, file, store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there an open file can't be removed")

ELSEWHERE = """
import sys
from pathlib import Path
from voxops.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
print(ledger.meta("said"))
ledger.close()
"""


def seen_elsewhere(path: Path) -> str:
    """What another process reads, which opens the ledger and closes it again."""
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    db.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
"""


def locked_elsewhere(path: Path) -> bool:
    """Whether another process can't write now."""
    done = subprocess.run([sys.executable, "-c", LOCK, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "database is locked"


@pytest.mark.parametrize("linked", [False, True], ids=["same-name", "link"])
def test_a_ledger_that_is_opened_twice_keeps_its_locks(path, linked, monkeypatch):
    """A cell that connects is run twice while a run writes."""
    ledger = Ledger(path)
    name = path
    if linked:
        name = path.with_name("link.sqlite")
        name.symlink_to(path)
    again = Ledger(name)
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.0)
    with ledger.atomic():
        assert locked_elsewhere(path)
        again.close()
        assert locked_elsewhere(path), "closing it drops no lock"
        with pytest.raises(LedgerError, match="locked by another program"):
            Ledger(name)
        assert locked_elsewhere(path), "opening it drops none either"
    assert not locked_elsewhere(path)
    ledger.close()


def test_a_ledger_that_was_copied_in_its_own_process_is_used_on(path):
    """As in a cell: POSIX drops the locks of the file, and between two transactions there are none."""
    ledger = Ledger(path)
    for said in ("one", "two"):
        ledger.set_meta("said", said)
        shutil.copy(path, path.with_suffix(".copy"))
        assert seen_elsewhere(path) == said
    with ledger.atomic():
        assert locked_elsewhere(path)
    ledger.close()
    assert seen_elsewhere(path.with_suffix(".copy")) == "two"


def test_a_ledger_that_is_replaced_while_a_transaction_is_written_is_noticed(path):
    """What was committed into a file that nobody finds any more must not be sent."""
    Ledger(path).close()
    other = path.with_name("other.sqlite")
    shutil.copy(path, other)
    ledger = Ledger(path)
    with pytest.raises(LedgerError, match="removed or replaced"), ledger.atomic() as db:
        db.execute("INSERT INTO meta VALUES ('said', 'unseen')")
        other.replace(path)
    ledger.close()
    assert seen_elsewhere(path) == "None"


@pytest.mark.skipif(not hasattr(os, "fsencode"), reason="no file names of bytes here")
def test_a_ledger_s_name_may_be_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"latin\xe9.sqlite")
    for said in ("one", "two"):
        ledger = Ledger(path)
        ledger.set_meta("said", said)
        ledger.close()
    ledger = Ledger(path)
    assert ledger.meta("said") == "two"
    ledger.close()


@pytest.mark.parametrize(
    "how", ["too long", "below a file", "a circle of links", "below a circle of links", "no working folder"]
)
def test_what_can_t_be_a_ledger_is_said_in_words(tmp_path, monkeypatch, how):
    (tmp_path / "file").write_text("")
    for circle in ("circle", "folder"):
        (tmp_path / circle).symlink_to(tmp_path / circle)
    (tmp_path / "gone").mkdir()
    if how == "no working folder":
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
    path = {
        "too long": tmp_path / ("x" * 255),
        "below a file": tmp_path / "file" / "ledger.sqlite",
        "a circle of links": tmp_path / "circle",
        "below a circle of links": tmp_path / "folder" / "ledger.sqlite",
        "no working folder": Path("ledger.sqlite"),
    }[how]
    with pytest.raises(LedgerError, match=r"the ledger .* can't be"):
        Ledger(path)


def test_a_folder_that_is_something_else_by_now_is_said_in_words(tmp_path):
    path = tmp_path / "folder" / "ledger.sqlite"
    ledger = Ledger(path)
    path.parent.rename(tmp_path / "moved")
    path.parent.write_text("")
    with pytest.raises(LedgerError, match="removed or replaced"):
        ledger.set_meta("said", "two")
    ledger.close()


@pytest.mark.parametrize("put_back", [False, True], ids=["removed", "replaced"])
def test_a_ledger_that_was_removed_or_replaced_is_used_no_more(path, put_back):
    ledger = Ledger(path)
    ledger.set_meta("said", "before")
    aside = path.with_name("aside.sqlite")
    path.rename(aside)
    if put_back:
        shutil.copy(aside, path)
    for act in (lambda: ledger.set_meta("said", "after"), lambda: ledger.meta("said")):
        with pytest.raises(LedgerError, match=r"removed or replaced.*restart the kernel") as refused:
            act()
        assert str(path) in str(refused.value)
    ledger.close()


def test_a_closed_ledger_says_that_it_is_closed(path):
    ledger = Ledger(path)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="was closed with its workspace"):
        ledger.meta("said")


def test_a_link_to_a_file_that_is_not_there_makes_the_file(tmp_path, path):
    link = tmp_path / "link.sqlite"
    link.symlink_to(path)
    ledger = Ledger(link)
    ledger.set_meta("said", "here")
    assert seen_elsewhere(path) == "here"
    ledger.close()


# -- copies ------------------------------------------------------------------------------------------------------------


def test_a_copy_is_whole_while_the_ledger_is_in_use(path, capsys):
    ledger = Ledger(path)
    ledger.set_meta("said", "then")
    to = path.with_name("copy.sqlite")
    assert main(["ledger", str(path), "--copy", str(to)]) == 0
    assert capsys.readouterr().out == f"{to}\n"
    assert to.stat().st_mode & 0o777 == 0o600
    ledger.set_meta("said", "later")
    assert seen_elsewhere(to) == "then"
    assert seen_elsewhere(path) == "later"
    ledger.close()


def test_a_copy_replaces_nothing(path, capsys):
    ledger = Ledger(path)
    assert main(["ledger", str(path), "--copy", str(path)]) == 2
    assert "can't be written" in capsys.readouterr().err
    assert seen_elsewhere(path) == "None"
    ledger.close()


def test_nothing_is_left_of_a_copy_that_fails(path, monkeypatch):
    ledger = Ledger(path)
    monkeypatch.setattr(store, "closing", _full)
    with pytest.raises(LedgerError, match="the disk is full"):
        ledger.copy_to(path.with_name("copy.sqlite"))
    assert not path.with_name("copy.sqlite").exists()
    ledger.close()


@contextmanager
def _full(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A database whose disk takes one page."""
    with closing(db):
        db.execute("PRAGMA max_page_count=1")
        yield db
