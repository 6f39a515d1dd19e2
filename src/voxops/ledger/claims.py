"""Claims: the right to send an operation once, committed before any byte leaves (rules 8, 12, 21), and what a try brought."""

from __future__ import annotations

from dataclasses import replace

from voxops.api.timing import CLEARED_FOR, CLOCKS_DIFFER, CREATES_CLEARED_FOR
from voxops.ledger.operations import Operations
from voxops.ledger.records import OPEN, Claim, Clearance, Refusal, Stored, well_formed
from voxops.ledger.store import Part, Store
from voxops.ledger.tampering import why_tampered

__all__ = ["Claims"]

TOO_OLD = "what was read of it is too old by now: too few requests are let through, or this machine slept"
# The operation that a claim is about, as it was handed out.
_ITS_OWN = "id = ? AND state = 'sent' AND owner = ? AND tries = ?"


class Claims(Part):
    """Hands out the right to send, and records how each try ended.

    Parameters
    ----------
    store : Store
        The ledger's file.
    operations : Operations
        What it holds.
    """

    def __init__(self, store: Store, operations: Operations) -> None:
        super().__init__(store)
        self._operations = operations

    def clear(self, stored: Stored, *, read: float | None = None) -> Clearance:
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
        with self._store.atomic() as db:
            stored, now = self._operations.get(clearance.op), self._store.now()
            refusal = self._refuse(stored, clearance, now, credential, server_now, deadline)
            if refusal is not None:
                return refusal
            first = stored.state == "planned"
            sent = replace(
                stored, state="sent", tries=stored.tries + 1, first_sent=server_now if first else stored.first_sent,
                last_sent=server_now, ended=None, answered=False, credential=credential, waiting_for="", sighted=None, resent=stored.resent or not first,
            )  # fmt: skip
            db.execute(
                """UPDATE operations SET state = 'sent', tries = ?, first_sent = ?, last_sent = ?, ended = NULL,
                   answered = 0, owner = ?, lease_until = ?, credential = ?, waiting_for = '',
                   sighted = NULL, resent = ? WHERE id = ?""",
                (
                    sent.tries,
                    sent.first_sent,
                    server_now,
                    owner,
                    now + self._store.lease,
                    credential,
                    sent.resent,
                    sent.id,
                ),
            )
            db.execute(
                "UPDATE members SET outcome = 'pending', waiting_for = '' WHERE op = ? AND outcome = 'blocked'",
                (sent.id,),
            )
            self._store.note_time(server_now)
            return Claim(sent, owner, first, now + self._store.lease)

    def _refuse(
        self, stored: Stored, clearance: Clearance, now: float, credential: str, server_now: float, deadline: float
    ) -> Refusal | None:
        """Why this operation may not be sent now; None if it may."""
        if stored.state not in {"planned", "unknown"}:
            return Refusal(f"it is {stored.state}", final=stored.state in {"settled", "withdrawn"})
        if stored.tries != clearance.operation.tries:
            return Refusal("another sender has tried it meanwhile")
        cleared_for = CREATES_CLEARED_FOR if stored.subject.kind in {"batch", "row"} else CLEARED_FOR
        if not clearance.read <= now <= clearance.read + cleared_for:
            return Refusal(TOO_OLD, stale=True)
        tampered = why_tampered(stored, self._operations.members(stored.id))
        if tampered:
            return Refusal(f"somebody has changed this ledger by hand: {tampered}. Nothing of it is sent", final=True)
        if self._is_busy(stored):
            return Refusal(f"another request on this {stored.subject.kind} is open")
        if stored.first_sent is None:
            return None
        if stored.credential != credential:
            return Refusal("it was first sent with another API key; go on with that one, or look at the dashboard")
        if server_now < float(self._store.meta("latest_server") or 0.0) - CLOCKS_DIFFER:
            return Refusal("the clock is behind the ledger")
        if server_now > stored.first_sent + deadline:
            return Refusal("the server may have forgotten its key; look at the dashboard whether it took effect")
        return None

    def _is_busy(self, stored: Stored) -> bool:
        """Whether something else may be happening to the subject of an operation (rule 2)."""
        others = self._store.query(
            f"SELECT 1 FROM operations WHERE subject = ? AND state IN {OPEN} AND state <> 'planned' AND id <> ? LIMIT 1",
            (str(stored.subject), stored.id),
        )
        return bool(others)

    def holds(self, claim: Claim) -> bool:
        """Whether a claim is still good: whoever slept since must not send (rule 21)."""
        return claim.until - self._store.lease - CLOCKS_DIFFER <= self._store.now() < claim.until

    def take_back(self, claim: Claim) -> None:
        """The server refused to look at a try (429, 401, or no connection was made): it is as before."""
        with self._store.atomic() as db:
            db.execute(
                f"""UPDATE operations SET state = ?, owner = NULL, lease_until = NULL, tries = tries - 1
                    {", first_sent = NULL, credential = NULL" if claim.first else ""}
                    WHERE {_ITS_OWN}""",
                ("planned" if claim.first else "unknown", claim.operation.id, claim.owner, claim.operation.tries),
            )

    def record(
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
        with self._store.atomic() as db:
            changed = db.execute(
                f"""UPDATE operations SET state = ?, http_status = ?, reply = ?, answered = ?, ended = ?, waiting_for = ?,
                    owner = NULL, lease_until = NULL WHERE {_ITS_OWN}""",
                (
                    state,
                    status,
                    reply,
                    answered,
                    server_now,
                    well_formed(waiting_for),
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

    def expire(self) -> int:
        """Turn every sent operation whose lease has run out into an unknown one: its sender died or sleeps (rule 21).

        A lease that ends later than any could was taken before the clock was set back, and is over.
        """
        with self._store.atomic() as db:
            now = self._store.now()
            rows = db.execute(
                "SELECT id FROM operations WHERE state = 'sent' AND NOT (? < lease_until AND lease_until <= ? + ?)",
                (now, now, self._store.lease + CLOCKS_DIFFER),
            ).fetchall()
            for (op,) in rows:
                db.execute(
                    "UPDATE operations SET state = 'unknown', owner = NULL, lease_until = NULL WHERE id = ?", (op,)
                )
                db.execute("UPDATE members SET outcome = 'unknown' WHERE op = ? AND outcome = 'pending'", (op,))
        return len(rows)
