"""The ledger by itself: its states, leases, transactions, two processes on one file, and what is refused before anything is sent."""

from __future__ import annotations

import asyncio
import csv
import multiprocessing
import os
import queue
import re
import sqlite3
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from voxops.acts.create import plan_create
from voxops.acts.operation import Operation, settled
from voxops.api.timing import CLEARED_FOR
from voxops.errors import ConfigError, LedgerError
from voxops.ledger import Claim, Ledger, Refusal, Writer, audit, store
from voxops.ledger import file as ledger_file
from voxops.ledger import writer as ledger_writer
from voxops.ledger.claims import TOO_OLD
from voxops.model import Outcome

START = 1_772_442_000.0
HOUR = 3600.0


class Clock:
    """A local clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=clock)
    yield ledger
    ledger.close()


def operations(count: int = 1, rows: int = 1, campaign: str = "") -> list[Operation]:
    """Operations of one batch each."""
    import pandas as pd

    made = []
    for number in range(count):
        names = [f"r{number}.{row}" for row in range(rows)]
        frame = pd.DataFrame(
            {"row_id": names, "content": names, "accounts": "acc", "scheduled_for": "2027-01-01T00:00:00Z"}
        )
        made += plan_create(frame, key="row_id", campaign=campaign).operations
    return made


def add(ledger: Ledger, operation: Operation | None = None) -> int:
    return ledger.forming.add(operation or operations()[0], baseline={"x": 1})


def claim(ledger: Ledger, op: int, owner: str = "me", **options: Any) -> Claim | Refusal:
    defaults = {"credential": "c", "server_now": START, "deadline": HOUR, **options}
    return ledger.claims.claim(
        ledger.claims.clear(ledger.operations.get(op), read=ledger.now()), owner=owner, **defaults
    )


def answered(ledger: Ledger, held: Claim | Refusal, state: str = "unknown", **options: Any) -> bool:
    assert isinstance(held, Claim)
    return ledger.claims.record(
        held, **{"state": state, "status": 500, "reply": b"{}", "server_now": START + 1, **options}
    )


# -- states ------------------------------------------------------------------------------------------------------------


def test_an_operation_goes_along_the_line_of_its_docstring(ledger):
    op = add(ledger)
    assert ledger.operations.get(op).state == "planned"
    first = claim(ledger, op)
    assert isinstance(first, Claim)
    assert (first.first, first.operation.state, first.operation.tries) == (True, "sent", 1)
    assert answered(ledger, first)
    assert ledger.operations.get(op).state == "unknown"
    assert [member.outcome for member in ledger.operations.members(op)] == [Outcome.UNKNOWN]
    second = claim(ledger, op)
    assert isinstance(second, Claim)
    assert (second.first, second.operation.tries, second.operation.first_sent) == (False, 2, START)
    assert answered(ledger, second, "accepted", status=202)
    assert [member.outcome for member in ledger.operations.members(op)] == [Outcome.PENDING], (
        "nobody doubts it any more"
    )
    (member,) = ledger.operations.members(op)
    ledger.outcomes.settle(op, [settled(member, Outcome.SUCCEEDED, result_id="p")], START + 9)
    assert ledger.operations.get(op).state == "settled"
    assert isinstance(claim(ledger, op), Refusal)


@pytest.mark.parametrize("state", ["sent", "accepted", "settled", "withdrawn"])
def test_only_what_is_planned_or_unknown_can_be_claimed(ledger, state):
    op = add(ledger)
    with ledger.atomic() as db:
        db.execute("UPDATE operations SET state = ? WHERE id = ?", (state, op))
    refusal = claim(ledger, op)
    assert refusal == Refusal(f"it is {state}", final=state in {"settled", "withdrawn"})


def test_a_settled_row_never_changes_again(ledger):
    op = add(ledger, operations(rows=2)[0])
    one, two = ledger.operations.members(op)
    ledger.outcomes.settle(op, [settled(one, Outcome.FAILED, error_code="NO")], START)
    assert ledger.operations.get(op).state == "planned", "another row is open"
    ledger.outcomes.settle(
        op, [settled(one, Outcome.SUCCEEDED, result_id="late"), settled(two, Outcome.SUCCEEDED)], START
    )
    assert [(m.outcome, m.error_code) for m in ledger.operations.members(op)] == [
        (Outcome.FAILED, "NO"),
        (Outcome.SUCCEEDED, None),
    ]
    assert ledger.operations.get(op).state == "settled"


def test_half_an_emoji_is_kept_and_settled_like_any_text(ledger):
    half = "half \ud83d"
    (operation,) = operations()
    item = replace(operation.items[0], label=half, seen={"error_message": half, "count": 2**70})
    op = add(ledger, replace(operation, items=(item,)))
    (member,) = ledger.operations.members(op)
    assert member.item.seen == {"error_message": half, "count": 2**70}
    answered(ledger, claim(ledger, op), waiting_for=half)
    ledger.outcomes.wait_for(op, half)
    ledger.outcomes.settle(
        op, [settled(member, Outcome.FAILED, error_code=half, error_message=half, seen={"is": half})], START
    )
    (member,) = ledger.operations.members(op)
    assert member.error_message == "half ?"
    assert member.seen == {"is": half}
    assert ledger.operations.get(op).state == "settled"


def test_a_throttled_try_never_was(ledger):
    op = add(ledger)
    first = claim(ledger, op)
    assert isinstance(first, Claim)
    ledger.claims.take_back(first)
    assert (ledger.operations.get(op).state, ledger.operations.get(op).tries, ledger.operations.get(op).first_sent) == (
        "planned",
        0,
        None,
    )
    answered(ledger, claim(ledger, op))
    again = claim(ledger, op)
    assert isinstance(again, Claim)
    ledger.claims.take_back(again)
    assert (ledger.operations.get(op).state, ledger.operations.get(op).tries, ledger.operations.get(op).first_sent) == (
        "unknown",
        1,
        START,
    )


def test_absence_is_about_the_tries_that_were_looked_at(ledger):
    op = add(ledger)
    answered(ledger, claim(ledger, op))
    looked_at = ledger.operations.get(op).tries
    answered(ledger, claim(ledger, op))
    assert not ledger.forming.revive(op, looked_at, read=0.0), "another try was made meanwhile"
    assert ledger.operations.get(op).state == "unknown"
    assert ledger.forming.revive(op, looked_at + 1, read=0.0)
    stored = ledger.operations.get(op)
    assert (stored.state, stored.first_sent, stored.tries, stored.credential) == ("planned", None, 2, None)
    assert [member.outcome for member in ledger.operations.members(op)] == [Outcome.PENDING]
    anew = claim(ledger, op, credential="another", server_now=START + 99 * HOUR)
    assert isinstance(anew, Claim)
    assert anew.first, "as if never sent"


def test_what_was_sent_can_t_be_withdrawn_and_what_was_not_leaves_its_key(ledger):
    (operation,) = operations()
    op = add(ledger, operation)
    assert ledger.forming.withdraw(op, "a later plan took its place")
    again = add(ledger, operation)
    assert ledger.operations.get(again).key == operation.key
    claim(ledger, again)
    assert not ledger.forming.withdraw(again, "too late")


def test_two_operations_never_share_a_key(ledger):
    (operation,) = operations()
    add(ledger, operation)
    with pytest.raises(LedgerError, match="UNIQUE"):
        add(ledger, operation)


# -- claims ------------------------------------------------------------------------------------------------------------


def test_a_clearance_is_good_for_one_reading_and_a_short_while(ledger, clock):
    op = add(ledger)
    cleared = ledger.claims.clear(ledger.operations.get(op))
    answered(ledger, claim(ledger, op))
    options = {"owner": "me", "credential": "c", "server_now": START, "deadline": HOUR}
    assert ledger.claims.claim(cleared, **options) == Refusal("another sender has tried it meanwhile")
    fresh = ledger.claims.clear(ledger.operations.get(op), read=ledger.now())
    clock.now += CLEARED_FOR + 1
    assert ledger.claims.claim(fresh, **options) == Refusal(TOO_OLD, stale=True)
    from_the_future = ledger.claims.clear(ledger.operations.get(op), read=ledger.now() + 10)
    assert ledger.claims.claim(from_the_future, **options) == Refusal(TOO_OLD, stale=True)


def test_one_subject_has_one_request_under_way(ledger):
    one, two = operations(2)
    first, second = add(ledger, one), add(ledger, replace(two, subject=one.subject))
    held = claim(ledger, first)
    assert claim(ledger, second) == Refusal("another request on this batch is open")
    answered(ledger, held, "accepted")
    assert isinstance(claim(ledger, second), Refusal), "an accepted one is under way, too"
    ledger.outcomes.settle(first, [settled(ledger.operations.members(first)[0], Outcome.SUCCEEDED)], START)
    assert isinstance(claim(ledger, second), Claim)


def test_another_api_key_an_old_key_and_a_slow_clock_are_refused(ledger):
    op = add(ledger)
    answered(ledger, claim(ledger, op))
    other = Refusal("it was first sent with another API key; go on with that one, or look at the dashboard")
    assert claim(ledger, op, credential="d") == other
    late = Refusal("the server may have forgotten its key; look at the dashboard whether it took effect")
    assert claim(ledger, op, server_now=START + HOUR + 1) == late
    assert claim(ledger, op, server_now=START - 30) == Refusal("the clock is behind the ledger")
    assert isinstance(claim(ledger, op, server_now=START + HOUR - 1), Claim)


# -- leases ------------------------------------------------------------------------------------------------------------


def test_a_lease_ends_by_the_ledger_s_own_time(ledger, clock):
    op = add(ledger)
    held = claim(ledger, op)
    assert isinstance(held, Claim)
    assert ledger.claims.holds(held)
    clock.now += ledger.lease - 1
    assert ledger.claims.expire() == 0
    clock.now += 2
    assert not ledger.claims.holds(held)
    assert ledger.claims.expire() == 1
    assert ledger.operations.get(op).state == "unknown"
    assert not answered(ledger, held, "accepted"), "whoever comes late writes nothing over"
    assert ledger.operations.get(op).state == "unknown"


def test_an_answer_belongs_to_its_own_try(ledger, clock):
    """The same sender has given one try up and made another, when the first one's answer comes after all."""
    op = add(ledger)
    first = claim(ledger, op)
    clock.now += ledger.lease + 1
    ledger.claims.expire()
    second = claim(ledger, op)
    assert not answered(ledger, first, "accepted")
    assert isinstance(first, Claim)
    ledger.claims.take_back(first)
    assert (ledger.operations.get(op).state, ledger.operations.get(op).tries) == ("sent", 2)
    assert answered(ledger, second, "accepted")


def test_a_clock_that_is_set_back_ends_leases_and_ages_readings(ledger, clock):
    """Set back by a day, a killed sender's row must not stay "being sent" until the day has passed again."""
    clock.now += 10
    add(ledger)
    cleared = ledger.claims.clear(ledger.operations.get(1))
    claim(ledger, 1)
    clock.now -= 86_400
    assert ledger.claims.expire() == 1, "a lease that ends in the far future is none"
    refused = ledger.claims.claim(cleared, owner="b", credential="c", server_now=START, deadline=1e6)
    assert isinstance(refused, Refusal), "a reading of the future clears nothing"


def test_a_clock_that_was_days_ahead_once_does_not_spoil_the_ledger(ledger, clock):
    clock.now += 30 * 86_400
    op = add(ledger)
    answered(ledger, claim(ledger, op))
    clock.now = START
    assert ledger.now() == START


def test_nothing_is_settled_before_it_was_sent(ledger):
    """What is known of the server's time stepped back by a second between the send and its answer."""
    op = add(ledger)
    answered(ledger, claim(ledger, op, server_now=START + 1.7))
    done = [replace(member, outcome=Outcome.SUCCEEDED) for member in ledger.operations.members(op)]
    ledger.outcomes.settle(op, done, START + 1.0)
    assert ledger.query("SELECT settled - last_sent FROM operations WHERE id = ?", (op,))[0][0] == 0
    assert ledger.query("SELECT min(settled) FROM members WHERE op = ?", (op,))[0][0] == START + 1.7


# -- transactions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [LedgerError("no"), ValueError("of Python's own")])
def test_pieces_share_a_commit_and_one_that_fails_is_undone_alone(ledger, error):
    def bad() -> None:
        ledger.set_meta("half", "done")
        raise error

    done = ledger.in_one_commit([lambda: ledger.set_meta("a", "1"), bad, lambda: ledger.set_meta("b", "2")])
    assert done[0] == "1"
    assert done[1] is error
    assert (ledger.meta("a"), ledger.meta("b"), ledger.meta("half")) == ("1", "2", None)


def test_a_transaction_that_breaks_leaves_nothing(ledger):
    with pytest.raises(RuntimeError), ledger.atomic():
        ledger.set_meta("a", "1")
        with ledger.atomic():
            ledger.set_meta("b", "2")
        raise RuntimeError
    assert ledger.meta("a") is None
    assert ledger.meta("b") is None
    ledger.set_meta("a", "3")
    assert ledger.meta("a") == "3"


def test_threads_of_one_kernel_take_turns(ledger):
    def count() -> None:
        for _ in range(50):
            with ledger.atomic():
                ledger.set_meta("n", str(int(ledger.meta("n") or 0) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.meta("n") == "200"


def _race(path: str, count: int, out: Any) -> None:
    """Claim whatever can be claimed, in a process of its own."""
    ledger = Ledger(Path(path), clock=lambda: START)
    won = []
    for op in range(1, count + 1):
        cleared = ledger.claims.clear(ledger.operations.get(op), read=ledger.now())
        held = ledger.claims.claim(cleared, owner=str(os.getpid()), credential="c", server_now=START, deadline=HOUR)
        if isinstance(held, Claim):
            won.append(op)
    out.put(won)
    ledger.close()


def test_two_processes_never_get_the_same_operation(ledger):
    count = 120
    for operation in operations(count):
        ledger.forming.add(operation, baseline=None)
    spawn = multiprocessing.get_context("spawn")
    out: Any = spawn.Queue()
    racers = [spawn.Process(target=_race, args=(str(ledger.path), count, out)) for _ in range(2)]
    for racer in racers:
        racer.start()
    won = [out.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join(30)
    assert sorted(won[0] + won[1]) == list(range(1, count + 1))
    assert Counter(won[0] + won[1]).most_common(1)[0][1] == 1


def test_a_ledger_survives_a_process_that_dies_in_the_middle(tmp_path):
    """SIGKILL inside a transaction: what was not committed never was."""
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    child = os.fork()
    if child == 0:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO meta VALUES ('half', 'done')")
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    ledger = Ledger(path)
    assert ledger.meta("half") is None
    ledger.set_meta("whole", "done")
    ledger.close()


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_file_is_private_durable_and_found_again(tmp_path):
    path = tmp_path / "a" / "b" / "ledger.sqlite"
    one = Ledger(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert one.query("PRAGMA journal_mode")[0][0] == "truncate"
    assert one.query("PRAGMA synchronous")[0][0] == 2, "FULL: a commit is on disk"
    salted = one.fingerprint("key")
    one.close()
    two = Ledger(path)
    assert two.fingerprint("key") == salted
    two.close()


def test_the_name_of_a_ledger_holds_no_secret_and_no_path():
    path = ledger_file.default_path("api.voxburst.io", "ws/../../etc 1")
    assert path.name == "api.voxburst.io-ws_.._.._etc_1.sqlite"
    assert path.parent.name == "ledgers"


# -- group commit ------------------------------------------------------------------------------------------------------


class Groups(Ledger):
    """Remembers how many pieces each transaction of a writer held."""

    def in_one_commit(self, works: Any) -> list[Any]:
        self.__dict__.setdefault("sizes", []).append(len(works))
        return super().in_one_commit(works)


def test_what_an_answer_brought_shares_the_flush_of_what_is_to_be_sent(tmp_path, monkeypatch):
    ledger = Groups(tmp_path / "ledger.sqlite")
    writer = Writer(ledger)

    async def work() -> list[Any]:
        alone = await writer.note(lambda: "alone")
        monkeypatch.setattr(ledger_writer, "PATIENT", 3600.0)  # a busy machine may take longer than the real one
        both = await asyncio.gather(writer.note(lambda: "answer"), writer.commit(lambda: "claim"))
        assert writer.unwritten == 0
        return [alone, *both]

    assert asyncio.run(work()) == ["alone", "answer", "claim"]
    writer.close()
    assert ledger.sizes == [1, 2]
    ledger.close()


def test_what_waits_to_be_written_waits_in_no_queue_that_may_never_wake(ledger):
    """Until Python 3.13, `SimpleQueue.get` with a time-out waits for ever where its thread gets its turn after the time is up.

    On a busy machine that is once in some thousands of waits of a few milliseconds, and whoever waits for the commit hangs.
    """
    writer = Writer(ledger)
    writer.close()
    assert not isinstance(writer._pieces, queue.SimpleQueue)
    with pytest.raises(queue.Empty):
        writer._pieces.get(timeout=1e-9)


def test_what_was_handed_in_is_written_before_the_writer_ends(tmp_path):
    ledger = Groups(tmp_path / "ledger.sqlite")
    writer = Writer(ledger)

    async def work() -> None:
        left = asyncio.ensure_future(writer.note(lambda: ledger.set_meta("said", "yes")))
        await asyncio.sleep(0)
        await asyncio.to_thread(writer.close)
        await left
        with pytest.raises(ConfigError, match="closed"):
            await writer.commit(lambda: None)

    asyncio.run(work())
    assert ledger.meta("said") == "yes"
    ledger.close()


def _spoil(path: Path, how: str) -> None:
    if how == "text":
        path.write_text("these are my notes, not a database " * 40)
    elif how == "foreign":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE mine (x)")
        db.close()
    elif how == "other":
        Ledger(path).close()
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version={ledger_file.SCHEMA_HASH - 1}")
        db.close()
    elif how == "damaged":
        ledger = Ledger(path)
        for operation in operations(60):
            ledger.forming.add(operation, baseline=None)
        ledger.close()
        content = bytearray(path.read_bytes())
        content[8192:24576] = os.urandom(16384)
        path.write_bytes(bytes(content))
    elif how == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("text", "not a ledger"),
        ("foreign", "another program"),
        ("other", "made by another version of voxops; finish its runs with the version that made it"),
        ("damaged", "damaged"),
        ("folder", "can't be written"),
    ],
)
def test_a_file_that_is_no_good_ledger_is_refused_with_the_way_out(tmp_path, how, words):
    path = tmp_path / "ledger.sqlite"
    _spoil(path, how)
    with pytest.raises(LedgerError, match=words) as refused:
        Ledger(path)
    assert str(path) in str(refused.value)
    assert "ledger=" in str(refused.value)


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    def refuse(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ledger_file.os, "open", refuse)
    with pytest.raises(LedgerError, match="can't be written"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_locked_ledger_is_refused_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "PATIENCE", 0.05)
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="locked by another program"):
        ledger.set_meta("a", "1")
    other.execute("ROLLBACK")
    other.close()
    assert ledger.set_meta("a", "1") == "1"
    ledger.close()


def test_a_full_disk_is_reported_before_anything_is_sent(ledger):
    """The claim can't be written, so it is not handed out."""
    op = add(ledger)
    pages = ledger.query("PRAGMA page_count")[0][0]
    ledger._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(LedgerError, match="disk is full"):
        for operation in operations(200, campaign="more"):
            ledger.forming.add(operation, baseline=None)
    assert ledger.operations.get(op).state == "planned"


def test_a_disk_that_is_full_from_the_start_is_reported(tmp_path, monkeypatch):
    class Full(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql.lstrip().startswith("CREATE"):
                super().execute("ROLLBACK")  # as SQLite does by itself then
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(
        ledger_file.sqlite3, "connect", lambda *passed, **named: connect(*passed, **named, factory=Full)
    )
    with pytest.raises(LedgerError, match="disk is full"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_quota_that_is_used_up_is_reported_in_plain_words(tmp_path):
    said = str(ledger_file.explain(sqlite3.OperationalError("disk I/O error"), tmp_path))
    assert "a quota is used up" in said
    assert "nothing is lost" in said


def test_a_ledger_that_was_closed_says_how_to_go_on(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.close()
    with pytest.raises(LedgerError, match="was closed with its workspace"):
        ledger.meta("salt")


def test_rule_08_a_ledger_is_on_disk_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Ledger(Path(":memory:")).close()
    ledger = Ledger(Path(":memory:"))
    assert ledger.path.stat().st_size > 0
    ledger.close()


def test_locks_are_tried_with_a_second_process(tmp_path):
    assert ledger_file.locks_hold(tmp_path / "ledger.sqlite")
    assert not list(tmp_path.glob("*.lock-test"))


def test_a_mount_table_names_network_file_systems(monkeypatch, tmp_path):
    table = f"/dev/sda1 / ext4 rw 0 0\nhome:/x {tmp_path} nfs4 rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda self, **_: table)
    assert ledger_file._file_system(tmp_path / "ledger.sqlite") == "nfs4"
    assert ledger_file._file_system(Path("/elsewhere/ledger.sqlite")) == ""


def test_two_that_open_a_new_ledger_together_both_find_it_whole(tmp_path):
    path = tmp_path / "ledger.sqlite"
    made: list[Ledger] = []
    threads = [threading.Thread(target=lambda: made.append(Ledger(path))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len({ledger.fingerprint("key") for ledger in made}) == 1, "one salt for all"
    for ledger in made:
        ledger.close()


# -- looking at it -----------------------------------------------------------------------------------------------------


def test_the_trail_tells_every_row_and_guards_formulas(ledger, tmp_path):
    op = add(ledger, operations(rows=2)[0])
    answered(ledger, claim(ledger, op), "unknown")
    one, _ = ledger.operations.members(op)
    ledger.outcomes.settle(
        op, [settled(one, Outcome.FAILED, error_code="NO", error_message="=cmd|' /C calc'!A0")], START
    )
    trail = audit.history(ledger)
    assert trail["outcome"].tolist() == ["failed", "unknown"]
    assert trail["tries"].tolist() == [1, 1]
    assert str(trail["first_sent_at"].dtype) == "datetime64[us, UTC]"
    with audit.export(ledger, tmp_path / "trail.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["error_message"] == "'=cmd|' /C calc'!A0"


def test_the_trail_does_not_call_sent_what_was_taken_back(ledger):
    one, two = (add(ledger, operation) for operation in operations(2))
    answered(ledger, claim(ledger, one), "unknown")
    ledger.claims.take_back(claim(ledger, two))
    sent = audit.history(ledger)[["first_sent_at", "last_sent_at"]].notna()
    assert sent.values.tolist() == [[True, True], [False, False]]


def test_the_docstring_names_the_tables_that_there_are(ledger):
    said = sys.modules["voxops.ledger.ledger"].__doc__.partition("Tables:")[2]
    there = {name for (name,) in ledger.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert set(re.findall(r"``(\w+)``", said)) == there


def test_an_empty_ledger_has_the_columns_of_a_full_one(ledger):
    empty = audit.history(ledger)
    assert len(empty) == 0
    add(ledger)
    assert audit.history(ledger).dtypes.to_dict() == empty.dtypes.to_dict()
    assert list(audit.runs(ledger).columns)[:3] == ["action", "campaign", "state"]


def test_pruning_leaves_what_is_open(ledger):
    done, opened = (add(ledger, operation) for operation in operations(2))
    ledger.outcomes.settle(done, [settled(ledger.operations.members(done)[0], Outcome.SUCCEEDED, result_id="p")], START)
    assert audit.prune(ledger, datetime.fromtimestamp(START + 1, UTC)) == 1
    assert ledger.operations.get(done).body is None
    assert ledger.operations.get(opened).body is not None
    assert ledger.operations.members(done)[0].result_id == "p"
    assert ledger.operations.latest(ledger.operations.members(done)[0].item.identity) is not None
