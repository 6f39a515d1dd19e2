"""What the ledger hands out: stored operations, and the clearance, claim or refusal of a try."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from voxops._support import canonical
from voxops.acts.operation import Item, Member, Subject
from voxops.api.matrix import find, takes_version
from voxops.model import Outcome

__all__ = [
    "BUSY",
    "COLLIDED",
    "OPEN",
    "STORED",
    "Claim",
    "Clearance",
    "Refusal",
    "Stored",
    "compact_json",
    "item_text",
    "read_member",
    "read_stored",
    "well_formed",
]

COLLIDED = 2  # in the column `resent`: somebody else did the same at the same moment
OPEN = ("planned", "sent", "accepted", "unknown")
_FIX = 10  # the matrix row of a call about one target
BUSY = ("sent", "accepted", "unknown")  # something may be happening at the server


@dataclass(frozen=True, slots=True)
class Stored:
    """An operation as the ledger holds it; times are seconds since the epoch.

    `first_sent` (of the tries that may have had an effect), `last_sent` and `ended` (when the last try was given up or answered;
    None where nobody saw it end) are in server time, `read` (when its subject was read last before the first try) in the ledger's
    own. `answered` says that the API itself answered the last try, so that it no longer works on it. `sighted` is when
    the subject was seen on its way since the last try, in server time. `shrunk` says that a batch has lost
    rows to what is there already, `resent` that it was sent again without proof that it had no effect.
    """

    id: int
    key: str
    action: str
    method: str
    path: str
    body: bytes | None
    subject: Subject
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
    sighted: float | None
    shrunk: bool
    resent: bool

    @property
    def about_one_target(self) -> bool:
        """Whether the call acts on one target of a post, which its path names (matrix row 10)."""
        endpoint = find(self.method, self.path)
        return endpoint is not None and endpoint.row == _FIX

    @property
    def under_version(self) -> bool:
        """Whether the call bears the version token of its subject (matrix row 2)."""
        endpoint = find(self.method, self.path)
        return endpoint is not None and takes_version(endpoint)

    @property
    def read_alone(self) -> bool:
        """Whether its subject is read by itself just before it is sent."""
        return self.about_one_target or self.under_version

    @property
    def version(self) -> str | None:
        """The version token that was read, where the call bears one."""
        return (self.baseline or {}).get("version") if self.under_version else None

    @property
    def baseline(self) -> Mapping[str, Any] | None:
        """State of the subject as it was read before the first try."""
        state: Mapping[str, Any] | None = None if self.baseline_text is None else canonical.decode(self.baseline_text)
        return state


_FIELDS = tuple(field.name for field in fields(Stored))
STORED = ", ".join(_FIELDS).replace("baseline_text", "baseline")  # columns of an operation, in the order of its fields
_AT = {name: _FIELDS.index(name) for name in ("path", "subject", "canary", "answered", "shrunk", "resent")}
_ITEM = tuple(field.name for field in fields(Item))


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

    `first` says that nothing of it can have happened before. The right ends at `until` (ledger time).
    """

    operation: Stored
    owner: str
    first: bool
    until: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an operation may not be sent now; `final` if waiting does not help, `stale` if reading again does."""

    why: str
    final: bool = False
    stale: bool = False


def read_stored(row: sqlite3.Row) -> Stored:
    """An operation from its row, whose columns are `STORED`."""
    values = list(row)
    values[_AT["subject"]] = Subject.parse(values[_AT["subject"]], values[_AT["path"]])
    for name in ("canary", "answered", "shrunk", "resent"):
        values[_AT[name]] = bool(values[_AT[name]])
    return Stored(*values)


def read_member(row: sqlite3.Row) -> Member:
    """A member from its row."""
    item = canonical.decode(row["item"])
    item["subject"] = Subject.parse(item["subject"], item["path"])
    return Member(
        op=row["op"], position=row["position"], item=Item(**item), outcome=Outcome(row["outcome"]),
        waiting_for=row["waiting_for"], error_code=row["error_code"], error_message=row["error_message"],
        result_id=row["result_id"], seen=None if row["seen"] is None else canonical.decode(row["seen"]),
    )  # fmt: skip


def item_text(item: Item) -> str:
    """An item as it is stored; what it holds is written as it is, and not copied first."""
    return canonical.encode({name: getattr(item, name) for name in _ITEM} | {"subject": str(item.subject)})


def compact_json(value: Any) -> str | None:
    """JSON text, None for None."""
    return None if value is None else canonical.encode(value)


def well_formed(text: str | None) -> str | None:
    """Text that SQLite takes, None for None."""
    return None if text is None else canonical.well_formed(text)
