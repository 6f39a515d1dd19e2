r"""The ledger: which logical requests exist, under which keys, and what became of them. It outlives kernels.

An operation moves along this line, and never back over *sent*::

                    claim                2xx of an asynchronous call
      planned ──────────────► sent ─────────────────────────────► accepted
       ▲ │                   ▲  │  \                                 │
       │ │ a later plan      │  │   \ answered for good              │ terminal, and the
       │ ▼ replaces it       │  │    \                              │ baseline has moved
       │withdrawn      claim │  │     ▼                              ▼
       │                     │  │      ────────────────────────► settled
       │            unknown ◄───┘ ambiguous, or its sender died       ▲
       └────────────┘   └─────────────────────────────────────────────┘ reading shows what happened
        reading proves that nothing happened

*open* is planned, sent, accepted and unknown. *planned* means that nothing of it has happened: it was never sent, or every try is
proved to have had no effect. Before bytes leave, key, bytes, baseline and ``sent`` are committed (rule 8); each try is claimed
in an IMMEDIATE transaction that looks again at state, lease, subject, key deadline and API key, and at whether what cleared it
for sending still holds: nobody tried it since, and the reading is not old. Every write goes through `Ledger.atomic`.

Tables: ``operations`` (one logical request), ``members`` (the rows it covers, with their outcome), ``items`` (identity and
attempt of a row -> its member), ``runs`` and ``run_rows`` (what an analyst started, pointing at items), ``marks`` (creates that
the server has shown).
"""

from __future__ import annotations

import getpass
import hashlib
import math
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from voxops._core import jsontext
from voxops.acts.plan import Item, Operation
from voxops.errors import LedgerError, VoxopsError
from voxops.ledger.file import explain, open_database
from voxops.model import Action, Outcome

__all__ = ["CLOCKS_DIFFER", "OPEN", "Claim", "Clearance", "Ledger", "Member", "Refusal", "Stored"]

OPEN = ("planned", "sent", "accepted", "unknown")
_ITS_OWN = (
    "id = ? AND state = 'sent' AND owner = ? AND tries = ?"  # the operation that a claim is about, as it was given
)
_BUSY = ("sent", "accepted", "unknown")  # something may be happening at the server
# Seconds for which a reading clears an operation for sending. What it showed may have changed after a long wait for the rate
# limit, or a night in which the laptop slept.
CLEARED_FOR = 120.0
TICK = 0.5  # seconds between two notes of the latest time
CLOCKS_DIFFER = 5.0  # seconds by which server time, told in whole seconds, may seem to go back


@dataclass(frozen=True, slots=True)
class Stored:
    """An operation as the ledger holds it; times are seconds since the epoch.

    `first_sent` (of the tries that may have had an effect), `last_sent` and `ended` (when the last try was given up or answered;
    None where nobody saw it end) are in server time, `read` (when its subject was read last before the first try) in the ledger's
    own. `answered` says that the API itself answered the last try, so that it no longer works on it.
    """

    id: int
    key: str
    action: Action
    method: str
    path: str
    body: bytes | None
    subject: str
    batch: int
    canary: bool
    state: str
    baseline_text: str | None
    tries: int
    first_sent: float | None
    last_sent: float | None
    ended: float | None
    answered: bool
    read: float
    http_status: int | None
    credential: str | None
    waiting_for: str

    @property
    def baseline(self) -> Mapping[str, Any] | None:
        """State of the subject as it was read before the first try."""
        state: Mapping[str, Any] | None = None if self.baseline_text is None else jsontext.decode(self.baseline_text)
        return state


_FIELDS = tuple(field.name for field in fields(Stored))
_STORED = ", ".join(_FIELDS).replace("baseline_text", "baseline")
_KINDS = [(_FIELDS.index(name), kind) for name, kind in (("action", Action), ("canary", bool), ("answered", bool))]
_ITEM = tuple(field.name for field in fields(Item))
_POINT = "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Member:
    """One row that an operation covers, and what became of it; `seen` is the state that settled it."""

    op: int
    position: int
    item: Item
    outcome: Outcome
    waiting_for: str
    error_code: str | None = None
    error_message: str | None = None
    result_id: str | None = None
    seen: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Clearance:
    """What an operation was found fit to be sent upon: the operation as it was then, and when that was read (ledger time)."""

    operation: Stored
    read: float

    @property
    def op(self) -> int:
        """Number of the operation."""
        return self.operation.id


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send an operation once; what it says was committed before it was handed out.

    `first` says that nothing of it can have happened before. The right ends at `until`, by the local clock.
    """

    operation: Stored
    owner: str
    first: bool
    until: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an operation may not be sent now; `final` if waiting does not help."""

    why: str
    final: bool = False


class Ledger:
    """One file of logical requests.

    Parameters
    ----------
    path : Path
        SQLite file; created with mode 0600 where there is none.
    clock : callable
        Seconds since the epoch, for leases.
    lease : float
        Seconds a sender keeps an operation to itself; longer than any request takes.

    Raises
    ------
    LedgerError
        If the file can't be used; nothing has been sent then.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, lease: float = 90.0) -> None:
        self.path = path
        self.lease = lease
        self._clock = clock
        self._lock = threading.RLock()
        self._depth = 0
        self._noted = (-math.inf, -math.inf)
        self._db = open_database(path)
        with self.atomic():
            self._salt = self.meta("salt") or self.set_meta("salt", secrets.token_hex(16))

    def __repr__(self) -> str:
        return f"<Ledger {self.path}>"

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def atomic(self) -> Iterator[sqlite3.Connection]:
        """One IMMEDIATE transaction; nested uses join the outer one."""
        with self._lock:
            outermost = self._depth == 0
            try:
                if outermost:
                    self._db.execute("BEGIN IMMEDIATE")
                self._depth += 1
                try:
                    yield self._db
                finally:
                    self._depth -= 1
                if outermost:
                    self._db.execute("COMMIT")
            except BaseException as error:
                if outermost and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise explain(error, self.path) from None
                raise

    def together(self, works: Sequence[Callable[[], Any]]) -> list[Any]:
        """Do several pieces of work in one transaction, so that they share one commit; returns results in order.

        A piece that raises an error of ours is undone alone and its error returned in its place.
        """
        done: list[Any] = []
        with self.atomic() as db:
            for work in works:
                db.execute("SAVEPOINT piece")
                try:
                    done.append(work())
                except VoxopsError as error:
                    db.execute("ROLLBACK TO piece")
                    done.append(error)
                db.execute("RELEASE piece")
        return done

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Read rows."""
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise explain(error, self.path) from None

    # What the ledger remembers of its surroundings.

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

    def belong(self, workspace: str) -> None:
        """Belong to a workspace from now on; keys and outcomes of one say nothing about another.

        Raises
        ------
        LedgerError
            If the file holds another workspace's requests.
        """
        with self.atomic():
            owner = self.meta("workspace") or self.set_meta("workspace", workspace)
        if owner != workspace:
            raise LedgerError(
                f"the ledger {self.path} belongs to workspace {owner}, not to {workspace}; give another file with ledger="
            )

    def now(self) -> float:
        """The ledger's own time: the local clock, but never behind what has been seen, unless that was more than a day ahead."""
        local = self._clock()
        latest = float(self.meta("latest") or 0.0)
        return latest if local < latest < local + 86_400 else local

    def credential(self, api_key: str) -> str:
        """Salted fingerprint of an API key, to notice another one (rule 23)."""
        return hashlib.sha256(f"{self._salt}:{api_key}".encode()).hexdigest()[:16]

    # Looking things up.

    def operation(self, op: int) -> Stored:
        """One operation."""
        return _stored(self.query(f"SELECT {_STORED} FROM operations WHERE id = ?", (op,))[0])

    def operations_of(self, run: str, states: Sequence[str] = OPEN) -> list[Stored]:
        """A run's operations in these states, in the order of sending."""
        marks = ",".join("?" * len(states))
        rows = self.query(
            f"""SELECT {_STORED} FROM operations WHERE state IN ({marks})
                AND id IN (SELECT op FROM run_rows JOIN items USING (identity, attempt) WHERE run = ?)
                ORDER BY canary DESC, id""",
            (*states, run),
        )
        return [_stored(row) for row in rows]

    def open_operations(self) -> list[Stored]:
        """Every operation that something may still happen to."""
        rows = self.query(f"SELECT {_STORED} FROM operations WHERE state IN {_BUSY} ORDER BY id")
        return [_stored(row) for row in rows]

    def unchanged(self, stored: Stored) -> bool:
        """Whether nobody has sent, settled or replaced an operation since it was looked up."""
        now = self.query("SELECT state, tries FROM operations WHERE id = ?", (stored.id,))[0]
        return tuple(now) == (stored.state, stored.tries)

    def withdrawn(self, ops: Iterable[int]) -> set[int]:
        """Which of these operations have been taken back."""
        rows = self.query(
            "SELECT id FROM operations WHERE state = 'withdrawn' AND id IN (SELECT value FROM json_each(?))",
            (_packed(list(ops)),),
        )
        return {int(op) for (op,) in rows}

    def open_on(self, subject: str) -> list[Stored]:
        """Open operations on one subject (rule 2)."""
        rows = self.query(f"SELECT {_STORED} FROM operations WHERE subject = ? AND state IN {OPEN}", (subject,))
        return [_stored(row) for row in rows]

    def identities(self, op: int) -> set[str]:
        """Identities of the rows of an operation, under every name that they are known by."""
        return {str(row[0]) for row in self.query("SELECT identity FROM items WHERE op = ?", (op,))}

    def reply(self, op: int) -> bytes | None:
        """The body of the last answer to an operation."""
        body = self.query("SELECT reply FROM operations WHERE id = ?", (op,))[0][0]
        return None if body is None else bytes(body)

    def members(self, op: int) -> list[Member]:
        """The rows of an operation, by position."""
        return [_member(row) for row in self.query("SELECT * FROM members WHERE op = ? ORDER BY position", (op,))]

    def members_of(self, ops: Iterable[int]) -> dict[int, list[Member]]:
        """The rows of several operations, by position."""
        found: dict[int, list[Member]] = {op: [] for op in ops}
        rows = self.query(
            "SELECT * FROM members WHERE op IN (SELECT value FROM json_each(?)) ORDER BY op, position",
            (_packed(list(found)),),
        )
        for row in rows:
            found[row["op"]].append(_member(row))
        return found

    def latest(self, identity: str) -> tuple[int, Stored, Member] | None:
        """The latest attempt at an item that was not withdrawn: its number, operation and member."""
        rows = self.query(
            """SELECT items.attempt, items.op, items.position FROM items JOIN operations ON operations.id = items.op
               WHERE identity = ? AND operations.state <> 'withdrawn' ORDER BY attempt DESC LIMIT 1""",
            (identity,),
        )
        if not rows:
            return None
        attempt, op, position = rows[0]
        member = self.query("SELECT * FROM members WHERE op = ? AND position = ?", (op, position))[0]
        return int(attempt), self.operation(op), _member(member)

    def created(self, marks: Sequence[str]) -> str | None:
        """A post that carries one of these marks, the earliest that the server has shown (rule 13)."""
        holes = ",".join("?" * len(marks))
        rows = self.query(
            f"SELECT post_id FROM marks WHERE mark IN ({holes}) ORDER BY created, post_id LIMIT 1", tuple(marks)
        )
        return str(rows[0][0]) if rows else None

    # Binding: called inside one transaction by the engine.

    def learn_marks(self, marks: Mapping[str, Sequence[tuple[str, str]]], server_now: float) -> None:
        """Remember creates that the server shows, and up to when it was asked; ``(created_at, post_id)`` by mark."""
        with self.atomic() as db:
            rows = [(mark, created, post_id) for mark, hits in marks.items() for created, post_id in hits]
            db.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", rows)
            self.set_meta("searched", repr(max(server_now, float(self.meta("searched") or 0.0))))

    def add(self, operation: Operation, *, baseline: Mapping[str, Any] | None) -> int:
        """Write a new operation with its members and point their items at it."""
        with self.atomic() as db:
            now = self.now()
            cursor = db.execute(
                """INSERT INTO operations (key, action, method, path, body, subject, batch, canary, state, baseline, created, read)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'planned', ?, ?, ?)""",
                (
                    operation.key, str(operation.action), operation.method, operation.path, operation.body, operation.subject,
                    operation.batch, operation.canary, _packed(baseline), now, now,
                ),
            )  # fmt: skip
            op = int(cursor.lastrowid or 0)
            db.executemany(
                "INSERT INTO members (op, position, item, body_hash, platform, label) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (op, position, _packed(_of_item(item)), item.body_hash, _sound(item.platform), _sound(item.label))
                    for position, item in enumerate(operation.items)
                ],
            )
            db.executemany(
                _POINT, [(item.identity, item.attempt, op, position) for position, item in enumerate(operation.items)]
            )
        return op

    def point(self, identity: str, attempt: int, op: int, position: int) -> None:
        """Let an item's attempt stand for a member."""
        with self.atomic() as db:
            db.execute(_POINT, (identity, attempt, op, position))

    def withdraw(self, op: int, why: str) -> bool:
        """Take back an operation that was never sent; False if it was."""
        with self.atomic() as db:
            changed = db.execute(
                "UPDATE operations SET state = 'withdrawn' WHERE id = ? AND state = 'planned'", (op,)
            ).rowcount
            if changed:
                # The key may be formed again from the same rows; the withdrawn one makes room for it.
                db.execute("UPDATE operations SET key = key || '#' || id WHERE id = ?", (op,))
                db.execute("UPDATE members SET waiting_for = ? WHERE op = ?", (why, op))
        return bool(changed)

    def detach(self, op: int, positions: Sequence[int]) -> None:
        """Take members out of an operation that did nothing for them; without members it is withdrawn."""
        with self.atomic() as db:
            for position in positions:
                db.execute("DELETE FROM members WHERE op = ? AND position = ?", (op, position))
            if not db.execute("SELECT count(*) FROM members WHERE op = ?", (op,)).fetchone()[0]:
                db.execute(
                    "UPDATE operations SET state = 'withdrawn', key = key || '#' || id, owner = NULL WHERE id = ?",
                    (op,),
                )

    # Sending.

    def clearance(self, stored: Stored, *, read: float | None = None) -> Clearance:
        """What is known now of an operation that may be sent; `read` is when its subject was read, by default before its first try."""
        return Clearance(stored, stored.read if read is None else read)

    def claim(
        self, clearance: Clearance, *, owner: str, credential: str, server_now: float, deadline: float
    ) -> Claim | Refusal:
        """Take the right to send an operation once, and commit that it is sent (rule 8).

        Parameters
        ----------
        clearance : Clearance
            The operation, and what it was found fit to be sent upon.
        owner : str
            This sender.
        credential : str
            Fingerprint of the API key that will be used.
        server_now : float
            Server time.
        deadline : float
            Seconds after the first try up to which the server is trusted to remember the key (rule 12); an operation that
            reading has shown to be absent is planned again and has no first try.
        """
        with self.atomic() as db:
            stored, now = self.operation(clearance.op), self.now()
            refusal = self._refuse(stored, clearance, now, credential, server_now, deadline)
            if refusal is not None:
                return refusal
            first = stored.state == "planned"
            sent = replace(
                stored, state="sent", tries=stored.tries + 1, first_sent=server_now if first else stored.first_sent,
                last_sent=server_now, ended=None, answered=False, credential=credential, waiting_for="",
            )  # fmt: skip
            db.execute(
                """UPDATE operations SET state = 'sent', tries = ?, first_sent = ?, last_sent = ?, ended = NULL,
                   answered = 0, owner = ?, lease_until = ?, credential = ?, waiting_for = '' WHERE id = ?""",
                (sent.tries, sent.first_sent, server_now, owner, now + self.lease, credential, sent.id),
            )
            self._tick(server_now)
            return Claim(sent, owner, first, self._clock() + self.lease)

    def _refuse(
        self, stored: Stored, clearance: Clearance, now: float, credential: str, server_now: float, deadline: float
    ) -> Refusal | None:
        """Why this operation may not be sent now; None if it may."""
        if stored.state not in {"planned", "unknown"}:
            return Refusal(f"it is {stored.state}", final=stored.state in {"settled", "withdrawn"})
        if stored.tries != clearance.operation.tries:
            return Refusal("another sender has tried it meanwhile")
        if not clearance.read <= now <= clearance.read + CLEARED_FOR:
            return Refusal("what was read of it is too old by now")
        if self._is_busy(stored):
            return Refusal(f"another request on this {stored.subject.partition(':')[0]} is open")
        if stored.first_sent is None:
            return None
        if stored.credential != credential:
            return Refusal("it was first sent with another API key; go on with that one, or look at the dashboard")
        if server_now < float(self.meta("latest_server") or 0.0) - CLOCKS_DIFFER:
            return Refusal("the clock is behind the ledger")
        if server_now > stored.first_sent + deadline:
            return Refusal("the server may have forgotten its key; look at the dashboard whether it took effect")
        return None

    def _is_busy(self, stored: Stored) -> bool:
        """Whether something else may be happening to the subject of an operation (rule 2)."""
        others = self.query(
            f"SELECT 1 FROM operations WHERE subject = ? AND state IN {OPEN} AND state <> 'planned' AND id <> ? LIMIT 1",
            (stored.subject, stored.id),
        )
        return bool(others)

    def holds(self, claim: Claim) -> bool:
        """Whether a claim is still good: whoever slept after it was given must not send (rule 21)."""
        return self._clock() < claim.until

    def renew(self, op: int, *, baseline: Mapping[str, Any] | None, path: str | None = None) -> None:
        """Note that the subject of a planned operation was read again, and the state and ids that it has now."""
        with self.atomic() as db:
            db.execute(
                "UPDATE operations SET path = coalesce(?, path), baseline = ?, read = ? WHERE id = ? AND state = 'planned'",
                (path, _packed(baseline), self.now(), op),
            )

    def absent(self, op: int, tries: int) -> bool:
        """Reading has proved that none of so many tries took effect: the operation is planned again, under the key it has."""
        with self.atomic() as db:
            changed = db.execute(
                """UPDATE operations SET state = 'planned', first_sent = NULL, credential = NULL, waiting_for = '', read = ?
                   WHERE id = ? AND state = 'unknown' AND tries = ?""",
                (self.now(), op, tries),
            ).rowcount
            if changed:
                db.execute(
                    "UPDATE members SET outcome = 'pending', waiting_for = '' WHERE op = ? AND outcome = 'unknown'",
                    (op,),
                )
        return bool(changed)

    def unsend(self, claim: Claim) -> None:
        """The server refused to look at a try (429, 401, or no connection was made): it is as before."""
        with self.atomic() as db:
            db.execute(
                f"""UPDATE operations SET state = ?, owner = NULL, lease_until = NULL, tries = tries - 1
                    {", first_sent = NULL, credential = NULL" if claim.first else ""}
                    WHERE {_ITS_OWN}""",
                ("planned" if claim.first else "unknown", claim.operation.id, claim.owner, claim.operation.tries),
            )

    def answer(
        self,
        claim: Claim,
        *,
        state: str,
        status: int | None,
        reply: bytes | None,
        server_now: float,
        answered: bool = True,
        waiting_for: str = "",
    ) -> bool:
        """Record what a try brought; False if the operation has meanwhile been taken over by another sender.

        Parameters
        ----------
        claim : Claim
            The right under which it was sent.
        state : str
            ``accepted`` or ``unknown``.
        status, reply : int, bytes or None
            The answer; None where none came.
        server_now : float
            When the try ended.
        answered : bool
            Whether the API itself answered, so that it no longer works on the request.
        waiting_for : str
            Why it is not settled.
        """
        outcome = "unknown" if state == "unknown" else "pending"
        with self.atomic() as db:
            changed = db.execute(
                f"""UPDATE operations SET state = ?, http_status = ?, reply = ?, answered = ?, ended = ?, waiting_for = ?,
                    owner = NULL, lease_until = NULL WHERE {_ITS_OWN}""",
                (
                    state,
                    status,
                    reply,
                    answered,
                    server_now,
                    _sound(waiting_for),
                    claim.operation.id,
                    claim.owner,
                    claim.operation.tries,
                ),
            ).rowcount
            if changed:
                db.execute(
                    "UPDATE members SET outcome = ? WHERE op = ? AND outcome IN ('pending', 'unknown') AND outcome <> ?",
                    (outcome, claim.operation.id, outcome),
                )
        return bool(changed)

    def abandon(self) -> int:
        """Turn every sent operation whose lease has run out into an unknown one: its sender died or sleeps (rule 21)."""
        with self.atomic() as db:
            now = self.now()
            rows = db.execute(
                "SELECT id FROM operations WHERE state = 'sent' AND NOT (? < lease_until AND lease_until <= ? + ?)",
                (now, now, self.lease),
            ).fetchall()
            for (op,) in rows:
                db.execute(
                    "UPDATE operations SET state = 'unknown', owner = NULL, lease_until = NULL WHERE id = ?", (op,)
                )
                db.execute("UPDATE members SET outcome = 'unknown' WHERE op = ? AND outcome = 'pending'", (op,))
        return len(rows)

    # Settling.

    def happened(self, op: int) -> None:
        """Reading has shown that an act took effect; what remains is to see how it ends."""
        with self.atomic() as db:
            db.execute(
                "UPDATE operations SET state = 'accepted', waiting_for = '' WHERE id = ? AND state = 'unknown'", (op,)
            )

    def wait_for(self, op: int, why: str) -> None:
        """Note why an open operation is not settled."""
        with self.atomic() as db:
            db.execute(
                "UPDATE operations SET waiting_for = ? WHERE id = ? AND state NOT IN ('settled', 'withdrawn')",
                (_sound(why), op),
            )

    def settle(self, op: int, members: Sequence[Member], server_now: float) -> None:
        """Write outcomes; when all members have succeeded or failed, the operation is settled."""
        with self.atomic() as db:
            for member in members:
                final = member.outcome.final
                db.execute(
                    """UPDATE members SET outcome = ?, waiting_for = ?, error_code = ?, error_message = ?, result_id = ?, seen = ?,
                       settled = ? WHERE op = ? AND position = ? AND outcome NOT IN ('succeeded', 'failed')""",
                    (
                        str(member.outcome), _sound(member.waiting_for), _sound(member.error_code), _sound(member.error_message),
                        _sound(member.result_id),
                        _packed(member.seen), server_now if final else None, op, member.position,
                    ),
                )  # fmt: skip
            left = db.execute(
                "SELECT count(*) FROM members WHERE op = ? AND outcome NOT IN ('succeeded', 'failed')", (op,)
            ).fetchone()[0]
            if not left:
                db.execute(
                    "UPDATE operations SET state = 'settled', settled = ?, waiting_for = '', owner = NULL WHERE id = ?",
                    (server_now, op),
                )
            self._tick(server_now)

    def _tick(self, server_now: float) -> None:
        """Remember the latest server and local time, to half a second; neither goes back."""
        times = (server_now, self._clock())
        if all(now < noted + TICK for now, noted in zip(times, self._noted, strict=True)):
            return
        with self.atomic() as db:
            db.executemany(
                """INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
                   WHERE CAST(excluded.value AS REAL) > CAST(meta.value AS REAL)""",
                list(zip(("latest_server", "latest"), map(repr, times), strict=True)),
            )
        self._noted = times


def whoami() -> str:
    """The person at this computer, for the audit trail."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a user entry
        return "unknown"


def _of_item(item: Item) -> dict[str, Any]:
    """An item as it is stored; what it holds is written as it is, and not copied first."""
    return {name: getattr(item, name) for name in _ITEM}


def _packed(value: Any) -> str | None:
    """JSON text, None for None."""
    return None if value is None else jsontext.encode(value)


def _sound(text: str | None) -> str | None:
    """Text that SQLite takes, None for None."""
    return None if text is None else jsontext.sound(text)


def _stored(row: sqlite3.Row) -> Stored:
    """An operation from its row, whose columns are `_STORED`."""
    values = list(row)
    for at, kind in _KINDS:
        values[at] = kind(values[at])
    return Stored(*values)


def _member(row: sqlite3.Row) -> Member:
    """A member from its row."""
    return Member(
        op=row["op"], position=row["position"], item=Item(**jsontext.decode(row["item"])), outcome=Outcome(row["outcome"]),
        waiting_for=row["waiting_for"], error_code=row["error_code"], error_message=row["error_message"],
        result_id=row["result_id"], seen=None if row["seen"] is None else jsontext.decode(row["seen"]),
    )  # fmt: skip
