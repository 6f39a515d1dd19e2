"""Records of the ledger: calls, posts as they were seen, runs and their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from voxops._support import canonical
from voxops.acts.act import Form, Item, Request, Subject
from voxops.api.evidence import same_time
from voxops.api.reasons import Reason, read_reason
from voxops.model import NEVER_OUT, WITHDRAWN_STATUSES, Outcome


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request for one or more requests; times are seconds since the epoch, in server time.

    Attributes
    ----------
    state : str
        ``sent`` (this kernel waits for its answer), ``accepted`` (a 2xx of an asynchronous act), ``unknown``, ``limited`` (a batch that a rate
        limit or a quota may have broken off in its middle) or ``closed`` (it answers for no request any more).
    size : int
        How many requests it was formed for.
    answered : bool
        Whether the API itself answered the last try, so that it no longer works on it.
    refused : bool
        Whether a later try was refused, so that it is not sent again.
    resent : bool
        Whether it was sent again without proof that it had no effect.
    sighted : float or None
        When its subject was seen in flight since the last try.
    """

    id: int
    act: str
    method: str
    path: str
    body: bytes | None
    key: str
    subject: Subject
    baseline: Mapping[str, Any] | None
    credential: str
    size: int
    state: str
    tries: int
    first_sent: float
    last_sent: float
    ended: float | None
    answered: bool
    http_status: int | None
    reply: bytes | None
    refused: bool
    resent: bool
    sighted: float | None
    reason: Reason | None

    @property
    def end(self) -> float:
        """When its last try ended, or was sent if its end is unknown."""
        return self.last_sent if self.ended is None else self.ended


def columns(record: type[Call | Seen | RunHead | Medium]) -> str:
    """The columns of a record, for a query."""
    return ", ".join(field.name for field in fields(record))


def as_row(record: Seen | RunHead | RunRow | Medium | Form | Item) -> dict[str, Any]:
    """The values of a record by its columns."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


@dataclass(frozen=True, slots=True)
class Seen:
    """A post as readings and answers have shown it; marks and `asked` are None where it does not show them.

    `created` and `updated` are ISO text in UTC; `began` is when the reading began, in server time; `since` is when it was first seen
    with its present status.
    """

    post_id: str
    created: str
    status: str
    updated: str | None = None
    op_mark: str | None = None
    row_mark: str | None = None
    campaign_mark: str | None = None
    asked: str | None = None
    shown: str | None = None
    began: float = 0.0
    source: str = "list"
    since: float = 0.0

    @property
    def is_ours(self) -> bool:
        """Whether it was created for a row; one without marks was created by hand, or by a tool."""
        return self.op_mark is not None or self.row_mark is not None

    @property
    def withdrawn(self) -> bool:
        """Whether it was withdrawn or deleted since."""
        return self.status in WITHDRAWN_STATUSES or self.status == "deleted"

    @property
    def is_live(self) -> bool:
        """Whether people see the post, or will: no draft, not withdrawn, not failed (rule 19)."""
        return self.status not in NEVER_OUT

    def is_as_shown(self, asked: str, shown: str) -> bool:
        """Whether it shows what was requested; by its mark where it does not show all of that, or where another sheet requested it."""
        if self.asked not in {None, asked}:
            return self.updated is None or same_time(self.updated, self.created)  # it was never edited
        return self.asked == asked if self.shown is None else self.shown == shown

    @property
    def is_clone(self) -> bool:
        """Whether it is a draft without a time: a clone, whose marks are those of another post (rule 10)."""
        return self.status == "draft" and self.shown is None

    def is_as_requested(self, asked: str, shown: str) -> bool:
        """Whether it is what was requested: by its mark where it has one, else by what it shows."""
        return self.asked == asked if self.asked is not None else self.shown in {None, shown}


@dataclass(frozen=True, slots=True)
class Medium:
    """What was uploaded or imported for a source: the hash of a file, or an address.

    `number` counts the keys under which it was requested, from 0. `state` is ``sent`` until it is ``ready`` or ``failed``.
    """

    source: str
    media_id: str
    number: int
    state: str


@dataclass(frozen=True, slots=True)
class RunHead:
    """A run without its frame.

    `failures` is the number of failed rows after which nothing more is sent; `undone` says that a later plan withdraws it. `note` is the
    last report of its progress; `reason` and `who` are for people.
    """

    id: str
    action: str
    campaign: str
    key_column: str
    not_eligible: int
    created: float = 0.0
    paused: bool = False
    undone: bool = False
    failures: int | None = None
    note: str = ""
    reason: str | None = None
    who: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of a run: its request, or none and why; its chunk."""

    row: int
    request: int | None
    reason: Reason | None = None
    chunk: int = 0


def read_call(row: sqlite3.Row) -> Call:
    """A call from its `columns`."""
    value = dict(row)
    value["subject"] = Subject.parse(value["subject"])
    value["baseline"] = canonical.decode(value["baseline"] or "null")
    value["reason"] = read_reason(value["reason"]) if value["reason"] else None
    for name in ("answered", "refused", "resent"):
        value[name] = bool(value[name])
    return Call(**value)


_AS_KEPT = ("id", "error_code", "error_message", "result_id", "asked", "call", "alike", "page")  # of a request


def read_request(row: sqlite3.Row) -> Request:
    """A request from its row of the view in `requests`."""
    return Request(
        **{name: row[name] for name in _AS_KEPT},
        item=read_item(row["item"]),
        outcome=Outcome(row["now"]),
        reason=read_reason(row["reason"]) if row["reason"] else None,
        seen=canonical.decode(row["seen"] or "null"),
        settled_at=row["settled"],
        position=row["position"] or 0,
        confirmed=bool(row["confirmed"]),
        alone=bool(row["alone"]),
    )


def read_item(text: str) -> Item:
    """An item as the ledger keeps it."""
    value = canonical.decode(text)
    return Item(**{**value, "subject": Subject.parse(value["subject"])})


def item_text(item: Item) -> str:
    """An item as text for the ledger."""
    return canonical.encode(as_row(item) | {"subject": str(item.subject)})


def reason_text(reason: Reason | None) -> str:
    """A reason as text for the ledger."""
    return "" if reason is None else reason.stored()
