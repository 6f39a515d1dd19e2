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
in a transaction of its own that looks again at state, lease, subject, key deadline and API key, and at whether what cleared it
for sending still holds: nobody tried it since, and the reading is not old. Every write goes through `Ledger.atomic`.

Tables: ``operations`` (one logical request), ``members`` (the rows it covers, with their outcome), ``items`` (identity and
attempt of a row -> its member), ``runs`` and ``run_rows`` (what an analyst started, pointing at items), ``made`` (posts of
creates that the server has shown, with the marks they bear), ``meta`` (the workspace, and what was read when).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from voxops.api.timing import LEASE
from voxops.ledger.claims import Claims
from voxops.ledger.creates import Creates
from voxops.ledger.forming import Forming
from voxops.ledger.marks import Marks
from voxops.ledger.operations import Operations
from voxops.ledger.outcomes import Outcomes
from voxops.ledger.runs import Runs
from voxops.ledger.store import Store

__all__ = ["Ledger"]


class Ledger(Store):
    """One file of logical requests.

    Parameters
    ----------
    path : Path
        SQLite file; created with mode 0600 where there is none.
    clock : callable
        Seconds since the epoch, for leases.
    lease : float
        Seconds a sender keeps an operation to itself; longer than any request takes.

    Attributes
    ----------
    operations, creates, forming, claims, outcomes, marks, runs
        The parts of the ledger, each with its own verbs.

    Raises
    ------
    LedgerError
        If the file can't be used; nothing has been sent then.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, lease: float = LEASE) -> None:
        super().__init__(path, clock=clock, lease=lease)
        self.operations = Operations(self)
        self.creates = Creates(self)
        self.forming = Forming(self)
        self.claims = Claims(self, self.operations)
        self.outcomes = Outcomes(self)
        self.marks = Marks(self)
        self.runs = Runs(self)

    def __repr__(self) -> str:
        return f"<Ledger {self.path}>"
