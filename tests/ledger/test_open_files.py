"""The ledger's locks, and what happens where they were lost (rule 25): POSIX drops them when any descriptor of the file is closed."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from voxops.cli import main
from voxops.errors import LedgerError
from voxops.ledger import Ledger, file, log, store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there an open file can't be removed")

ELSEWHERE = """
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
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


def look(path: Path) -> None:
    """Read the ledger in another program that uses SQLite, as a shell or a viewer, and close it."""
    read = (
        f"import sqlite3; db = sqlite3.connect({str(path)!r}); db.execute('SELECT * FROM meta').fetchall(); db.close()"
    )
    subprocess.run([sys.executable, "-c", read], check=True)


def lose_the_log(path: Path) -> None:
    """Copy the ledger in this process, as in a cell, and let another process come and go."""
    shutil.copy(path, path.with_suffix(".copy"))
    seen_elsewhere(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("linked", [False, True], ids=["same-name", "link"])
@pytest.mark.parametrize("logged", [False, True], ids=["no-log", "log"])
def test_a_ledger_that_is_opened_twice_keeps_its_locks(path, closed, linked, logged):
    ledger = Ledger(path)
    if logged:
        ledger.set_meta("said", "in the log")
    name = path
    if linked:
        name = path.with_name("link.sqlite")
        name.symlink_to(path)
    again = Ledger(name)
    if closed:
        again.close()
    ledger.set_meta("said", "before")
    assert seen_elsewhere(path) == "before"
    ledger.set_meta("said", "after")
    assert seen_elsewhere(path) == "after"
    again.close()
    ledger.close()


@pytest.mark.parametrize(
    "act", [lambda each: each.set_meta("said", "after"), lambda each: each.meta("said")], ids=["write", "read"]
)
def test_a_ledger_whose_log_was_removed_is_used_no_more(path, act):
    ledger = Ledger(path)
    ledger.set_meta("said", "before")
    lose_the_log(path)
    with pytest.raises(LedgerError, match=r"removed or replaced.*restart the kernel") as refused:
        act(ledger)
    assert str(path) in str(refused.value)
    assert seen_elsewhere(path) == "before"
    ledger.close()


def test_a_ledger_whose_index_of_the_log_was_removed_is_used_no_more(path):
    """Locks stand in it: whoever opens another one holds the same ones, and writes the same pages."""
    ledger = Ledger(path)
    ledger.set_meta("said", "one")
    path.with_name(f"{path.name}-shm").unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    with pytest.raises(LedgerError, match="removed or replaced"):
        ledger.set_meta("said", "two")
    with pytest.raises(LedgerError, match="restart the kernel"):
        Ledger(path)
    ledger.close()
    assert seen_elsewhere(path) == "one"


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


def test_a_log_that_is_removed_while_a_transaction_is_written_is_noticed(path):
    ledger = Ledger(path)
    shutil.copy(path, path.with_suffix(".copy"))
    with pytest.raises(LedgerError, match="removed or replaced"), ledger.atomic() as db:
        db.execute("INSERT INTO meta VALUES ('said', 'unseen')")
        look(path)
    ledger.close()


def test_another_connection_of_the_same_kernel_is_refused_until_the_first_is_closed(path):
    """Connections of one process share the index of the log, so a new one would read the old log's index for the new log."""
    ledger = Ledger(path)
    ledger.set_meta("said", "before")
    lose_the_log(path)
    with pytest.raises(LedgerError, match="restart the kernel"):
        Ledger(path)
    other = Ledger(path.with_name("other.sqlite"))  # another ledger is another matter
    other.close()
    ledger.close()
    ledger = Ledger(path)
    assert ledger.meta("said") == "before"
    ledger.set_meta("said", "after")
    assert seen_elsewhere(path) == "after"
    ledger.close()


def test_a_connection_that_nobody_holds_any_more_refuses_no_other(path):
    ledger = Ledger(path)
    lose_the_log(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # which newer Pythons give of a database that nobody closed
        del ledger
        gc.collect()
    Ledger(path).close()


@pytest.mark.parametrize("put_back", [False, True], ids=["removed", "replaced"])
def test_a_ledger_that_was_removed_or_replaced_is_used_no_more(path, put_back):
    ledger = Ledger(path)
    ledger.set_meta("said", "before")
    aside = path.with_name("aside.sqlite")
    path.rename(aside)
    if put_back:
        shutil.copy(aside, path)
    with pytest.raises(LedgerError, match="removed or replaced"):
        ledger.set_meta("said", "after")
    ledger.close()


if sys.version_info >= (3, 12):  # SQLite's setting for it came to Python then

    def test_closing_leaves_the_log_of_a_killed_kernel_alone(path):
        """The log that bears the name by now holds what another kernel has sent, and that kernel was killed."""
        ledger = Ledger(path)
        lose_the_log(path)
        kill = ELSEWHERE.replace("print(", "ledger.set_meta('said', 'sent'); import os; os._exit(0)  # ")
        subprocess.run([sys.executable, "-c", kill, str(path)], check=True)
        ledger.close()
        assert seen_elsewhere(path) == "sent"


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


def test_a_viewer_that_removes_the_log_leaves_a_whole_ledger(path):
    ledger = Ledger(path)
    ledger.set_meta("said", "before")
    shutil.copy(path, path.with_suffix(".copy"))
    look(path)
    with pytest.raises(LedgerError, match="removed or replaced"):
        ledger.set_meta("said", "after")
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT value FROM meta WHERE name = 'said'").fetchone() == ("before",)


# -- a log and the file beside it --------------------------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
from voxops.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
with ledger.atomic() as db:
    db.execute(sys.argv[2])
os._exit(0)
"""
WRITES = {
    "meta": "INSERT INTO meta VALUES ('listed', '2026-03-04')",
    "made": "INSERT INTO made (post_id, created, status) VALUES ('post_1', '2026-03-02T09:00:00Z', 'scheduled')",
}


def killed_after(path: Path, statement: str) -> None:
    """A kernel that commits something and is killed: it stands in the log alone."""
    subprocess.run([sys.executable, "-c", KILLED, str(path), statement], check=True)
    assert path.with_name(f"{path.name}-wal").stat().st_size > 0


@pytest.mark.parametrize("table", WRITES)
@pytest.mark.parametrize("how", ["file", "--copy"])
def test_a_log_that_is_left_beside_an_older_copy_is_not_taken_for_its_own(path, table, how):
    """SQLite would mix pages of both, and take posts that were made between them for posts that never were."""
    backup = path.with_name("backup.sqlite")
    ledger = Ledger(path)
    ledger.set_meta("said", "then")
    if how == "--copy":
        ledger.copy_to(backup)
    ledger.close()
    if how == "file":
        shutil.copy(path, backup)
    ledger = Ledger(path)
    ledger.set_meta("said", "later")
    ledger.close()
    killed_after(path, WRITES[table])
    shutil.copy(backup, path)
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"-wal belongs to another state of the ledger") as refused:
            Ledger(path)
        assert f"{path}-shm" in str(refused.value)
    assert path.read_bytes() == backup.read_bytes(), "nothing of the log was written into it"
    for name in ("wal", "shm"):
        path.with_name(f"{path.name}-{name}").unlink()
    assert seen_elsewhere(path) == "then"


COPIED = """
import os, shutil, subprocess, sys
from pathlib import Path
from voxops.ledger import Ledger, store
store.LONGEST = int(sys.argv[3])
ledger = Ledger(Path(sys.argv[1]))
ledger.set_meta("said", "then")
subprocess.run(["cp", sys.argv[1], sys.argv[2]], check=True)  # as a nightly job does
for number in range(60):
    with ledger.atomic() as db:
        db.execute("INSERT INTO made (post_id, created, status) VALUES (?, '', '')", (f"post_{number}",))
for number in range(20):
    ledger.set_meta("listed", f"{number}")
os._exit(0)
"""


@pytest.mark.parametrize("longest", [100_000, 10_000_000], ids=["emptied", "kept"])
def test_a_copy_that_was_made_while_a_kernel_wrote_goes_with_a_log_that_holds_all_since(path, longest):
    """Where the log was emptied into the file since, it doesn't."""
    backup = path.with_name("backup.sqlite")
    Ledger(path).close()
    subprocess.run([sys.executable, "-c", COPIED, str(path), str(backup), str(longest)], check=True)
    shutil.copy(backup, path)
    if longest == 100_000:
        with pytest.raises(LedgerError, match="belongs to another state"):
            Ledger(path)
    else:
        ledger = Ledger(path)
        assert ledger.query("SELECT count(*) FROM made")[0][0] == 60
        assert ledger.meta("listed") == "19"
        ledger.close()


def generation(ledger: Ledger) -> str:
    """The token of the log."""
    return str(ledger.query("SELECT token FROM log_generation")[0][0])


def test_a_long_log_is_emptied_and_begins_a_generation(path, monkeypatch):
    monkeypatch.setattr(store, "LONGEST", 60_000)
    ledger = Ledger(path)
    seen, lengths = {generation(ledger)}, []
    for number in range(60):
        ledger.set_meta("said", f"{number}")
        seen.add(generation(ledger))
        lengths.append(ledger._files.log_length)
    assert 3 < len(seen) < 30
    assert 0 in lengths
    assert max(lengths) <= 60_000
    again = Ledger(path)  # which finds a log with something in it, and leaves it
    assert again._renewed
    assert generation(again) == generation(ledger)
    again.close()
    ledger.close()
    closed = Ledger(path)
    assert generation(closed) not in seen
    closed.close()


def test_a_ledger_without_a_log_is_watched_as_well(path, monkeypatch):
    """As on a network file system."""
    monkeypatch.setattr(file, "_file_system", lambda _: "nfs4")
    monkeypatch.setattr(file, "locks_hold", lambda _: True)
    with pytest.warns(UserWarning, match="network file system"):
        ledger = Ledger(path)
    ledger.set_meta("said", "before")
    assert ledger._files.log_length == 0
    assert not path.with_name(f"{path.name}-wal").exists()
    aside = path.with_name("aside.sqlite")
    path.rename(aside)
    shutil.copy(aside, path)
    with pytest.raises(LedgerError, match="removed or replaced"):
        ledger.meta("said")
    ledger.close()


RENEWS = """
import sys
from pathlib import Path
from voxops.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.set_meta("said", "something")
print("open", flush=True)
for line in sys.stdin:
    ledger._renewed = False
    ledger.set_meta("said", "more")
    print(ledger._renewed, flush=True)
"""


def test_a_ledger_is_opened_while_another_kernel_begins_a_generation(path, monkeypatch):
    Ledger(path).close()
    with subprocess.Popen(
        [sys.executable, "-c", RENEWS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as kernel:
        assert kernel.stdin is not None and kernel.stdout is not None
        assert kernel.stdout.readline() == "open\n"
        said, in_file = [], log._in_file

        def meanwhile(asked: Path) -> str | None:
            print("renew", file=kernel.stdin, flush=True)
            said.append(kernel.stdout.readline())
            return in_file(asked)

        monkeypatch.setattr(log, "_in_file", meanwhile)
        Ledger(path).close()
        assert said == ["False\n"], "not as long as somebody reads the log"
        monkeypatch.undo()
        print("renew", file=kernel.stdin, flush=True)
        assert kernel.stdout.readline() == "True\n"
        Ledger(path).close()
        kernel.stdin.close()


READS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN")
db.execute("SELECT * FROM meta").fetchall()
print("reading", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("patient", [False, True], ids=["read-till-the-end", "read-for-a-while"])
def test_a_log_that_somebody_reads_is_emptied_later(path, patient):
    Ledger(path).close()
    shutil.copy(path, path.with_name("backup.sqlite"))
    command = [sys.executable, "-c", READS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        ledger = Ledger(path)
        assert not ledger._renewed
        ledger.set_meta("said", "later")
        seen_elsewhere(path)  # file and log are said to belong together meanwhile
        if patient:
            reader.communicate("\n")
            ledger.set_meta("said", "latest")
            assert ledger._renewed
            assert ledger._files.log_length == 0
        else:
            reader.communicate("\n")
    assert seen_elsewhere(path) == ("latest" if patient else "later")
    ledger.close()


def test_a_log_that_was_never_emptied_goes_with_no_older_copy_either(path):
    backup = path.with_name("backup.sqlite")
    Ledger(path).close()
    shutil.copy(path, backup)
    ledger = Ledger(path)
    ledger.set_meta("said", "later")
    ledger.close()
    with subprocess.Popen(
        [sys.executable, "-c", READS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        killed_after(path, WRITES["meta"])
        reader.kill()
    whole = path.read_bytes()
    shutil.copy(backup, path)
    with pytest.raises(LedgerError, match="belongs to another state"):
        Ledger(path)
    path.write_bytes(whole)
    assert seen_elsewhere(path) == "later"


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("table", WRITES)
def test_the_log_of_a_killed_kernel_is_read_with_its_file(path, table, times):
    Ledger(path).close()
    for number in range(times):
        killed_after(path, WRITES[table].replace("listed", f"listed{number}").replace("post_1", f"post_{number}"))
    ledger = Ledger(path)
    assert (
        ledger.query(f"SELECT count(*) FROM {table} WHERE {'name' if table == 'meta' else 'post_id'} GLOB '*[0-9]'")[0][
            0
        ]
        == times
    )
    ledger.close()


def test_a_damaged_file_beside_a_log_stays_as_it_is(path):
    Ledger(path).close()
    killed_after(path, WRITES["meta"])
    content = bytearray(path.read_bytes())
    content[5_000:] = b"\xff" * len(content[5_000:])
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"damaged|belongs to another"):
        Ledger(path)
    assert path.read_bytes() == content


# -- copies ------------------------------------------------------------------------------------------------------------


def test_a_copy_is_whole_while_the_ledger_is_in_use(path, capsys):
    ledger = Ledger(path)
    ledger.set_meta("said", "still in the log")
    to = path.with_name("copy.sqlite")
    assert main(["ledger", str(path), "--copy", str(to)]) == 0
    assert capsys.readouterr().out == f"{to}\n"
    assert to.stat().st_mode & 0o777 == 0o600
    ledger.set_meta("said", "later")
    assert seen_elsewhere(to) == "still in the log"
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


# -- tokens ------------------------------------------------------------------------------------------------------------

ONE, OTHER, THIRD = "1" * 16, "2" * 16, "3" * 16


@pytest.mark.parametrize(
    ("in_file", "token", "before", "wanted"),
    [(ONE, ONE, OTHER, True), (ONE, ONE, ONE, True), (OTHER, ONE, OTHER, False), (THIRD, ONE, OTHER, False)],
)
def test_file_and_log_belong_together_by_their_tokens(path, in_file, token, before, wanted):
    with closing(sqlite3.connect(path)) as db, db:
        assert log.belong_together(db, path), "an older version says nothing of it"
        db.execute("CREATE TABLE file_generation (token)")
        db.commit()
        assert log.belong_together(db, path)
        db.execute("CREATE TABLE log_generation (token, before, commits)")
        db.execute("INSERT INTO file_generation VALUES (?)", (in_file,))
        db.execute("INSERT INTO log_generation VALUES (?, ?, 0)", (token, before))
        db.commit()
        assert log.belong_together(db, path) is wanted
        assert not db.in_transaction


@pytest.mark.parametrize("token", [None, "", "1" * 15, "1" * 17, "x" * 16, 7, b"1" * 16])
def test_what_a_power_cut_has_left_of_a_token_is_none(path, token):
    with closing(sqlite3.connect(path)) as db, db:
        assert log._in_file(path) is None
        db.execute("CREATE TABLE file_generation (token)")
        db.commit()
        assert log._in_file(path) is None
        db.execute("INSERT INTO file_generation VALUES (?)", (token,))
        db.commit()
        assert log._in_file(path) is None
        db.execute("UPDATE file_generation SET token = ?", (ONE,))
        db.commit()
        assert log._in_file(path) == ONE
    path.write_bytes(b"no database" * 1000)
    assert log._in_file(path) is None


@pytest.mark.parametrize("length", [None, 0, 1, 2])
def test_a_log_is_there_if_it_has_something_in_it(path, length):
    if length is not None:
        path.with_name(f"{path.name}-wal").write_bytes(b"x" * length)
    assert log.has_log(path) is bool(length)


def test_of_two_lost_files_both_are_said_to_be_lost(path):
    ledger = Ledger(path)
    for name in ("", "-wal"):
        path.with_name(f"{path.name}{name}").unlink()
    with pytest.raises(LedgerError, match="removed or replaced"):
        ledger.meta("said")
    ledger.close()


class Answering:
    """A connection that answers each statement as it was made to, and records what it is asked."""

    def __init__(self, **answers: object) -> None:
        self.answers, self.asked = answers, []

    def execute(self, sql: str, values: tuple[str, ...] = ()) -> Answering:
        self.asked.append(sql.split()[0])
        answer = self.answers.get(self.asked[-1])
        if isinstance(answer, Exception):
            raise answer
        self.rows = answer
        return self

    def fetchone(self) -> tuple[int, int, int]:
        return self.rows.pop(0)


def refused(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("refused")
    error.sqlite_errorcode = code
    return error


EMPTY, BUSY = (0, 0, 0), (1, 0, 0)


@pytest.mark.parametrize(
    ("rows", "wanted", "asked"),
    [([EMPTY, EMPTY], True, 6), ([BUSY], False, 1), ([EMPTY, BUSY], False, 6)],
    ids=["emptied", "used before", "used meanwhile"],
)
def test_a_generation_has_begun_when_the_log_was_emptied_twice(rows, wanted, asked):
    db = Answering(PRAGMA=rows)
    assert log.renew(db) is wanted
    assert len(db.asked) == asked


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY | 2 << 8])
def test_a_writer_is_not_waited_for_to_begin_a_generation(code):
    db = Answering(PRAGMA=[EMPTY, EMPTY], BEGIN=refused(code))
    assert log.renew(db) is False
    assert db.asked == ["PRAGMA", "BEGIN"]


def test_a_disk_that_is_full_is_said_to_be_full_where_a_generation_should_begin():
    with pytest.raises(sqlite3.OperationalError):
        log.renew(Answering(PRAGMA=[EMPTY, EMPTY], BEGIN=refused(sqlite3.SQLITE_FULL)))
