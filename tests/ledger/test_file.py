"""The ledger's file: transactions, group commit, locks, its name, its copies, whose it is, and what is refused before anything is sent."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.ledger.filled import START, add, row, send

from voxops.errors import ConfigError, LedgerError
from voxops.ledger import file as ledger_file
from voxops.ledger import store
from voxops.ledger.ledger import Ledger, Writer

LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    db.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def locked_elsewhere(path):
    """Whether another process can't write now."""
    return b"database is locked" in subprocess.check_output([sys.executable, "-c", LOCK, str(path)])


# -- transactions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [LedgerError("no"), ValueError("of Python's own")])
def test_pieces_share_a_commit_and_one_that_fails_is_undone_alone(ledger, error):
    def bad():
        ledger.set_meta("half", "done")
        raise error

    done = ledger.in_one_commit([lambda: ledger.set_meta("a", "1"), bad, lambda: ledger.set_meta("b", "2")])
    assert done[0] == "1"
    assert done[1] is error
    assert (ledger.meta("a"), ledger.meta("b"), ledger.meta("half")) == ("1", "2", None)


def test_pieces_that_a_full_disk_has_undone_together_are_all_told_so(ledger):
    def full():
        with ledger.atomic() as db:
            db.execute("ROLLBACK")  # as SQLite does by itself then
            raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(LedgerError, match="the disk is full"):
        ledger.in_one_commit([lambda: ledger.set_meta("a", "1"), full, lambda: ledger.set_meta("b", "2")])
    assert (ledger.meta("a"), ledger.meta("b")) == (None, None)


def test_a_transaction_that_breaks_leaves_nothing(ledger):
    with pytest.raises(RuntimeError), ledger.atomic():
        ledger.set_meta("a", "1")
        with ledger.atomic():
            ledger.set_meta("b", "2")
        raise RuntimeError
    assert (ledger.meta("a"), ledger.meta("b")) == (None, None)
    assert ledger.set_meta("a", "3") == ledger.meta("a")


def test_rule_15_the_latest_server_time_never_goes_back(ledger):
    for said, latest in ((START, START), (START + 0.2, START), (START + 9, START + 9), (START - 99, START + 9)):
        ledger.note_time(said)
        assert float(ledger.meta("latest_server") or 0) == latest


# -- group commit ------------------------------------------------------------------------------------------------------


def test_what_was_handed_in_is_written_before_the_writer_ends(ledger):
    writer = Writer(ledger)

    async def work():
        left = asyncio.ensure_future(writer.note(lambda: ledger.set_meta("said", "yes")))
        await asyncio.sleep(0)
        await asyncio.to_thread(writer.close)
        await left
        with pytest.raises(ConfigError, match="closed"):
            await writer.commit(lambda: None)

    asyncio.run(work())
    assert ledger.meta("said") == "yes"


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_file_is_private_durable_and_found_again(tmp_path):
    path = tmp_path / "a" / "b" / "ledger.sqlite"
    with closing(Ledger(path)) as one:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert one.query("PRAGMA journal_mode")[0][0] == "truncate"
        assert one.query("PRAGMA synchronous")[0][0] == 2, "FULL: a commit is on disk"
        salted = one.fingerprint("key")
    with closing(Ledger(path)) as same, closing(Ledger(tmp_path / "other.sqlite")) as other:
        assert same.fingerprint("key") == salted
        assert len({salted, same.fingerprint("another key"), other.fingerprint("key")}) == 3


def test_the_name_of_a_ledger_holds_no_secret_and_no_path():
    path = ledger_file.default_path("api.voxburst.io", "ws/../../etc 1")
    assert (path.name, path.parent.name) == ("api.voxburst.io-ws_.._.._etc_1.sqlite", "ledgers")


def damage(path):
    with closing(Ledger(path)) as ledger:
        add(ledger, *(row(f"{number} {'x' * 900}") for number in range(60)))
    content = bytearray(path.read_bytes())
    content[8192:40960] = os.urandom(32768)
    path.write_bytes(bytes(content))


def execute(path, statement):
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)


def alter(statement):
    """Change a ledger as it is by hand."""
    return lambda path: (Ledger(path).close(), execute(path, statement))


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda path: path.write_text("these are my notes, not a database " * 40), "not a ledger"),
    (Path.mkdir, "can't be written"), (damage, "damaged"),
    (lambda path: execute(path, "CREATE TABLE mine (x)"), "another program"),
    (alter(f"PRAGMA user_version={ledger_file.SCHEMA_HASH - 1}"), "another version of voxops"),
    (alter("CREATE TRIGGER mine AFTER UPDATE ON calls BEGIN DELETE FROM calls; END"), "other tables"),
])  # fmt: skip
def test_a_file_that_is_no_good_ledger_is_refused_by_name(path, spoil, words):
    spoil(path)
    with pytest.raises(LedgerError, match=words) as refused:
        Ledger(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", ["x" * 255, "file/ledger.sqlite", "circle", "circle/ledger.sqlite"])
def test_a_path_that_can_t_be_a_ledger_s_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(LedgerError, match="can't be"):
        Ledger(tmp_path / name)


def test_a_full_disk_is_reported_before_anything_is_sent(ledger):
    """The call can't be written, so it is not handed out."""
    rows = add(ledger, *(row(str(number)) for number in range(100)))
    pages = ledger.query("PRAGMA page_count")[0][0]
    ledger._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(LedgerError, match="disk is full"):
        send(ledger, rows)
    assert ledger.calls.open() == []
    assert {one.call for one in ledger.requests.get(range(200)).values()} == {None}


def test_rule_07_a_ledger_is_on_disk_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", os.fsdecode(b"latin\xe9.sqlite")):
        Ledger(Path(name)).close()
        with closing(Ledger(Path(name))) as ledger:
            assert ledger.path.stat().st_size > 0


def test_locks_are_tried_with_a_second_process_where_a_file_lies_on_a_network(path, monkeypatch):
    assert ledger_file.locks_hold(path)
    assert not list(path.parent.glob("*.lock-test"))
    table = f"/dev/sda1 / ext4 rw 0 0\nhome:/x {path.parent} nfs4 rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda self, **_: table)
    assert ledger_file._file_system(Path("/elsewhere/ledger.sqlite")) == ""
    with pytest.warns(UserWarning, match=r"lies on a network file system \(nfs4\)"):
        Ledger(path).close()
    monkeypatch.setattr(ledger_file, "locks_hold", lambda _: False)
    with pytest.warns(UserWarning), pytest.raises(LedgerError, match="locks don't hold on nfs4"):
        Ledger(path)


def test_threads_that_open_a_new_ledger_together_find_it_whole_and_take_turns(path):
    made = []

    def count():
        made.append(Ledger(path))
        for _ in range(20):
            with made[0].atomic():
                made[0].set_meta("n", str(int(made[0].meta("n") or 0) + 1))

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made[0].meta("n") == "120"
    assert len({ledger.fingerprint("key") for ledger in made}) == 1, "one salt for all"
    for ledger in made:
        ledger.close()


# -- while it is open --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linked", [False, True], ids=["same-name", "link"])
def test_a_ledger_that_is_opened_twice_keeps_its_locks(ledger, linked, monkeypatch):
    """A cell that connects is run twice while a run writes; POSIX drops a file's locks when any descriptor of it is closed."""
    name = path = ledger.path
    if linked:
        name = path.with_name("link.sqlite")
        name.symlink_to(path)
    again = Ledger(name)
    monkeypatch.setattr(ledger_file, "BUSY_SECONDS", 0.0)
    with ledger.atomic():
        assert locked_elsewhere(path)
        again.close()
        assert locked_elsewhere(path), "closing it drops no lock"
        with pytest.raises(LedgerError, match="locked by another program"):
            Ledger(name)
        assert locked_elsewhere(path), "opening it drops none either"
    assert not locked_elsewhere(path)


def test_a_ledger_that_is_replaced_while_a_transaction_is_written_is_noticed(ledger):
    """What was committed into a file that nobody finds any more must not be sent."""
    other = shutil.copy(ledger.path, ledger.path.with_name("other.sqlite"))
    with pytest.raises(LedgerError, match="removed or replaced"), ledger.atomic() as db:
        db.execute("INSERT INTO meta VALUES ('said', 'unseen')")
        other.replace(ledger.path)
    with closing(Ledger(ledger.path)) as found:
        assert found.meta("said") is None


@pytest.mark.parametrize("how", ["removed", "replaced", "below a file"])
def test_a_ledger_that_is_not_what_others_find_is_used_no_more(tmp_path, how):
    path = tmp_path / "folder" / "ledger.sqlite"
    ledger = Ledger(path)
    if how == "below a file":
        path.parent.rename(tmp_path / "moved")
        path.parent.write_text("")
    else:
        aside = path.rename(path.with_name("aside.sqlite"))
        if how == "replaced":
            shutil.copy(aside, path)
    for act in (lambda: ledger.set_meta("said", "after"), lambda: ledger.meta("said")):
        with pytest.raises(LedgerError, match=r"removed or replaced.*restart the kernel") as refused:
            act()
        assert str(path) in str(refused.value)
    ledger.close()


def test_a_closed_ledger_says_how_to_go_on(ledger):
    ledger.close()
    with pytest.raises(LedgerError, match="was closed with its workspace"):
        ledger.meta("said")


def test_rule_15_a_ledger_belongs_to_one_workspace_of_one_host(ledger):
    """What was created at one address says nothing about another, even where workspaces have one id, as in a copy for tests."""
    ledger.belong_to("ws_1", "Staging.VoxBurst.io")
    ledger.belong_to("ws_1", "staging.voxburst.io")
    with pytest.raises(LedgerError, match=r"host staging\.voxburst\.io, not to api\.voxburst\.io; give another"):
        ledger.belong_to("ws_1", "api.voxburst.io")
    with pytest.raises(LedgerError, match="belongs to workspace ws_1, not to ws_2"):
        ledger.belong_to("ws_2", "staging.voxburst.io")


# -- other processes at work on it -------------------------------------------------------------------------------------

READ = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
rows = db.execute("SELECT * FROM sqlite_master, (SELECT 1 UNION SELECT 2)")
rows.fetchone()  # and not the others: the SELECT stays open
print("ready", flush=True)
sys.stdin.readline()
"""
WRITE = READ.replace("rows.fetchone()", "db.execute('BEGIN IMMEDIATE')")


@contextmanager
def other_process(code, path):
    """Another process, which reads or writes until it is told to end."""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("code", [READ, WRITE], ids=["reader", "writer"])
def test_who_holds_a_ledger_up_for_long_is_told_and_nothing_is_written(ledger, monkeypatch, caplog, code):
    monkeypatch.setattr(store, "PATIENCE", 0.3)
    monkeypatch.setattr(store, "QUIET", 0.1)
    with other_process(code, ledger.path) as other:
        with pytest.raises(LedgerError, match="locked by another program; close it"):
            ledger.set_meta("said", "too early")
        assert f"another process is using the ledger {ledger.path}" in caplog.text
        assert ledger.held_up == ""
        assert ledger.meta("said") is None, "it can be read all the while"
        other.communicate("\n")
    assert ledger.set_meta("said", "now") == "now"


def test_rule_07_what_waits_for_a_reader_is_decided_by_the_clock_of_then_and_keeps_no_thread_from_reading(
    ledger, monkeypatch
):
    monkeypatch.setattr(store, "QUIET", 0.0)
    (one,) = add(ledger, row("one"))
    clock, sent = [START], []
    with other_process(READ, ledger.path) as reader:

        def write():
            with ledger.atomic():
                sent.append(send(ledger, [one], now=clock[0]).last_sent)

        writer = threading.Thread(target=write)
        writer.start()
        while not ledger.held_up:
            assert writer.is_alive()
        assert ledger.requests.get([one.id])[one.id].call is None
        clock[0] += 1000
        reader.communicate("\n")
        writer.join(60)
    assert sent == [START + 1000]
