"""What was asked of the API and what became of it, in SQLite; all SQL that reads or writes it."""

from __future__ import annotations

from voxops.ledger.ledger import Ledger
from voxops.ledger.records import OPEN, Claim, Clearance, Refusal, Stored
from voxops.ledger.runs import RunHead, RunRow
from voxops.ledger.writer import Writer

__all__ = ["OPEN", "Claim", "Clearance", "Ledger", "Refusal", "RunHead", "RunRow", "Stored", "Writer"]
