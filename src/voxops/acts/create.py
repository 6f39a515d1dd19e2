"""Create: a campaign's rows as posts, in batches of at most 50 (matrix row 11)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voxops._support.arguments import did_you_mean
from voxops._support.canonical import canonical, fingerprint, well_formed
from voxops.acts import keys
from voxops.acts.act import Act
from voxops.acts.body import body_of
from voxops.acts.made import asked_hash
from voxops.acts.operation import Item, Member, Operation, Subject, settled
from voxops.acts.plan import PLAN_COLUMNS, RESULT_TYPES, Plan, build_plan
from voxops.acts.sheet import fit_rows, row_names
from voxops.api.error_bodies import bears_error
from voxops.api.limits import BULK_POSTS
from voxops.api.reasons import READY, Reason
from voxops.api.states import PostState
from voxops.errors import PlanError
from voxops.frames.columns import absent, attempt_in, flags, need_columns, plain_values, warn_of_typos
from voxops.frames.records import read_bulk_results
from voxops.model import POST_STATUSES, WAITING_STATUSES, WITHDRAWN_STATUSES, Outcome
from voxops.sheets.campaign import OPTIONAL

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CREATE",
    "CREATE_ONE",
    "CreateAct",
    "CreatedItem",
    "late",
    "plan_create",
    "read_items",
    "resolved",
]


# Columns that would name no row any more once it is planned or done.
_FILLED = {*PLAN_COLUMNS, *RESULT_TYPES, "campaign"}
_AROUND_ITEMS = ("data", "error", "details")  # what the items of an answer may stand in
# A name that a spreadsheet may have written otherwise than somebody named it, as 007, 1e3 or 2026-03: it names nothing for sure.
_LIKE_A_NUMBER = re.compile(r"[-+\d][-+\d.,:/ etz]*|true|false")


@dataclass(frozen=True, slots=True)
class CreatedItem:
    """One readable item of the answer to a batch."""

    created: bool
    post_id: str | None
    error_code: str | None
    error_message: str | None


class CreateAct(Act):
    """Rows are sent in batches; each item of an answer counts by itself, and what was created is found by its mark."""

    name = "create"
    verb = "create"
    about = "create"
    rounds = 0

    def form(self, items: Sequence[Item]) -> list[Operation]:
        """Batches of at most 50 in the order of their rows' fingerprints; a batch's key covers every member and its attempt.

        So the same rows give the same batches and keys however the sheet is sorted (rule 27).
        """
        ordered = sorted(items, key=lambda item: item.identity)
        return [
            _batch(ordered[start : start + BULK_POSTS], start // BULK_POSTS + 1)
            for start in range(0, len(ordered), BULK_POSTS)
        ]

    def as_attempt(self, item: Item, attempt: int) -> Item:
        """The mark names the attempt, too."""
        if item.attempt == attempt:
            return item
        body = item.body or {}
        metadata = {**body.get("metadata", {}), "voxopsOp": keys.mark(item.campaign, item.label, attempt)}
        return replace(item, attempt=attempt, body={**body, "metadata": metadata})

    def resolve(self, operation: Operation, accounts: Mapping[str, str]) -> Operation:
        """The operation with account ids for names in its bytes, and the hash of what is asked; its key stays that of the sheet."""
        return self.rejoin(operation, [resolved(item, accounts) for item in operation.items])

    def bodies(self, body: bytes | None) -> list[dict[str, Any]]:
        """What is asked for each row, out of the bytes of an operation."""
        posts: list[dict[str, Any]] = json.loads(body or b"{}").get("posts", [])
        return posts

    def rejoin(self, operation: Operation, bodies: Sequence[Mapping[str, Any]]) -> Operation:
        """The operation with these bodies, as they were sent, for its rows."""
        return replace(operation, body=canonical({"posts": list(bodies), "dryRun": False}))

    def decodes(self, data: Any) -> bool:
        """A list of items."""
        return _results(data) is not None

    def settle_answer(self, members: Sequence[Member], data: Any, *, first: bool) -> list[Member]:  # noqa: ARG002
        """Each row by its own item; rows whose item can't be read are unknown."""
        items = read_items(data, _places(members)) or [None] * _places(members)
        return [_settle(member, items[member.position]) for member in members]

    def settle_refusal(self, members: Sequence[Member], data: Any) -> list[Member]:
        """A refused batch that shows items is read by them; items that can't be read are no refusal (rule 15)."""
        items = read_items(data, _places(members))
        return [_settle(member, items[member.position]) for member in members] if items and _shows_items(data) else []

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:
        """Recovered is what exists, that nobody has withdrawn since (rule 30), and that did not fail to be published."""
        if state is not None and state.status in {"failed", "partial"}:
            return "created", "failed_other"
        failed = "failed_same" if row["outcome"] == "failed" else "pending"
        exists = state is not None and state.status not in WITHDRAWN_STATUSES | {"draft"}
        return "created", "recovered" if exists else failed

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:
        """Create what failed, as the next attempt."""
        return plan_create(failed, key=key, campaign=campaign)


class _CreateOne(CreateAct):
    """Each row is a request of its own, under the key of that row and body: safe where two laptops send overlapping sheets at once."""

    name = "create_one"

    def form(self, items: Sequence[Item]) -> list[Operation]:
        """One request per row."""
        ordered = sorted(items, key=lambda item: item.identity)
        return [_single(item, number // BULK_POSTS + 1) for number, item in enumerate(ordered)]

    def bodies(self, body: bytes | None) -> list[dict[str, Any]]:
        """The bytes are the row's own."""
        return [json.loads(body or b"{}")]

    def rejoin(self, operation: Operation, bodies: Sequence[Mapping[str, Any]]) -> Operation:
        """The bytes are the row's own."""
        return replace(operation, body=canonical(bodies[0]))

    def decodes(self, data: Any) -> bool:
        """The post; what has an id, but the status of something else, as what a gateway has taken, is none."""
        if (
            not isinstance(data, Mapping)
            or not data.get("id")
            or not isinstance(data["id"], str | int)
            or bears_error(data)
        ):
            return False
        return "status" not in data or str(data["status"]).lower() in POST_STATUSES

    def settle_answer(self, members: Sequence[Member], data: Any, *, first: bool) -> list[Member]:  # noqa: ARG002
        """The post has been made."""
        return [settled(member, Outcome.SUCCEEDED, result_id=str(data["id"])) for member in members]

    def settle_refusal(self, members: Sequence[Member], data: Any) -> list[Member]:  # noqa: ARG002
        """A refusal is about the row."""
        return []

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:
        """Create what failed, as the next attempt."""
        return plan_create(failed, key=key, campaign=campaign, one_by_one=True)


CREATE = CreateAct()
CREATE_ONE = _CreateOne()


def resolved(item: Item, accounts: Mapping[str, str]) -> dict[str, Any]:
    """What is sent for a row: account ids for names, and in the metadata the hash of what is asked (rule 13)."""
    body = dict(item.body or {})
    # One that stands there twice, such as by its id and by its name, must not get the post twice.
    body["accountIds"] = list(dict.fromkeys(accounts.get(name, name) for name in body.get("accountIds", ())))
    body["metadata"] = {**body.get("metadata", {}), "voxopsAsked": asked_hash(body)}
    return body


def _single(item: Item, batch: int) -> Operation:
    """One create."""
    body = {name: value for name, value in (item.body or {}).items() if name != "metadata"}
    return Operation(
        key=keys.stable_key("POST", "/v1/posts", body, item.identity, item.attempt),
        action=CREATE_ONE.name,
        method="POST",
        path="/v1/posts",
        body=canonical(item.body),
        subject=item.subject,
        items=(item,),
        batch=batch,
    )


def _batch(items: Sequence[Item], batch: int) -> Operation:
    """One batch of creates."""
    body = {"posts": [item.body for item in items], "dryRun": False}
    members = [[item.identity, item.attempt] for item in items]
    return Operation(
        key=keys.stable_key("POST", "/v1/posts/bulk", body, members),
        action=CREATE.name,
        method="POST",
        path="/v1/posts/bulk",
        body=canonical(body),
        subject=Subject("batch", fingerprint(members)),
        items=tuple(items),
        batch=batch,
    )


def read_items(data: Any, count: int) -> list[CreatedItem | None] | None:
    """Read the answer to a batch by ``index`` (rule 15).

    Returns
    -------
    list or None
        One entry per item, None where the index or the post is missing, doubled or says nothing, and of all where the first one is
        missing, since items may be counted from one; None for an answer that holds no items.
    """
    results = _results(data)
    if results is None:
        return None
    rows = read_bulk_results(results)
    times, posts = Counter(row[0] for row in rows), Counter(row[2] for row in rows)
    items: list[CreatedItem | None] = [None] * count
    if 0 not in times:  # they may be counted from one, and not all be listed
        return items
    for index, status, post_id, code, message in rows:
        if index is None or not 0 <= index < count or times[index] > 1:
            continue
        if status == "created" and post_id and post_id.strip() and posts[post_id] == 1:
            items[index] = CreatedItem(True, post_id, None, None)
        elif status == "failed":
            items[index] = CreatedItem(False, None, code, message)
    return items


def _results(data: Any) -> list[Any] | None:
    """The items of the answer to a batch: under ``results``, which may stand within ``data`` or an error; None where there are none."""
    if not isinstance(data, Mapping):
        return None
    for name in ("results", "items"):
        if isinstance(data.get(name), list):
            return list(data[name])
    return next((found for name in _AROUND_ITEMS if (found := _results(data.get(name))) is not None), None)


def _shows_items(data: Mapping[str, Any]) -> bool:
    """Whether the answer to a batch is about its rows one by one, be it only by how many were created."""
    return bool(_results(data)) or bool(data.get("created"))


def late(members: Sequence[Member], now: datetime) -> list[Member]:
    """Rows of a batch that are to be created for a time that has passed (rule 6)."""
    return [
        member
        for member in members
        if not member.outcome.final and datetime.fromisoformat((member.item.body or {})["scheduledFor"]) <= now
    ]


def _places(members: Sequence[Member]) -> int:
    """Items that the answer to a batch may have."""
    return 1 + max((member.position for member in members), default=-1)


def _settle(member: Member, item: CreatedItem | None) -> Member:
    """Outcome of a row from its item; an unreadable one leaves it unknown."""
    if item is None:
        return replace(member, outcome=Outcome.UNKNOWN, waiting_for="the answer did not say what became of it")
    if item.created:
        return settled(member, Outcome.SUCCEEDED, result_id=item.post_id)
    message = item.error_message or "the server gave no reason"
    return settled(member, Outcome.FAILED, error_code=item.error_code or "FAILED", error_message=message)


def plan_create(sheet: pd.DataFrame, *, key: str, campaign: str | None = None, one_by_one: bool = False) -> Plan:
    """Plan to create a post for each row of a campaign.

    Parameters
    ----------
    sheet : pandas.DataFrame
        From ``vx.read_campaign``: ``content``, ``accounts`` (ids or ``platform:@name``, separated by ``;``) or ``account_ids``,
        ``scheduled_for`` with its offset from UTC, and if wished ``media``, ``content_type`` (image, video, carousel, …; Instagram needs one where
        rows are sent one by one, and it follows from the media where it is left out), ``first_comment``, ``tags``, ``attempt`` and
        ``twin`` (True: this row is meant although it looks like another one, rule 26).
    key : str
        The column that names a row for ever. The same row of the same campaign is created once, however often it is planned.
    campaign : str, optional
        Creates of the same row under another name are other posts. Case and white space don't make another name. By default the
        column ``campaign`` of the frame, as ``run.failed()`` and ``run.results()`` have it, else the empty name.
    one_by_one : bool
        Send each row as a request of its own: as many requests as rows, but safe when two laptops send overlapping sheets at the
        same moment, as far as the server remembers keys (rule 27).

    Returns
    -------
    Plan
        The frame with ``eligible reason reason_code attempt batch idempotency_key request``. Unfit rows are held with their reason: no
        time or a time without offset, no content, no account, too long, the same post as a row above it (but where ``twin`` is True).

    Raises
    ------
    PlanError
        If columns are missing, `key` is a column that plans or results fill, a value of it is missing or stands there twice, or a
        column has lost its type in a file.

    Examples
    --------
    >>> vx.plan_create(sheet, key="row_id", campaign="spring").frame["reason"].to_list()
    ['ready', 'ready']
    """
    if not isinstance(key, str):
        raise PlanError(f"key= names the column that tells the rows apart, not {type(key).__name__}")
    if not isinstance(one_by_one, bool):
        raise PlanError(f"one_by_one= must be True or False, not {type(one_by_one).__name__}")
    need_columns(sheet, ("content", "scheduled_for"), "use vx.read_campaign(path)")
    if key not in sheet.columns:
        _, cures = absent(sheet, [key], did_you_mean(key, map(str, sheet.columns)))
        raise PlanError(f"key={key!r} names no column of the frame; {'; '.join(cures)}")
    if key in _FILLED:
        raise PlanError(
            f"key={key!r} names a column that plans and results fill themselves; give it another name first"
        )
    if "account_ids" not in sheet.columns:
        need_columns(sheet, ["accounts"], "use vx.read_campaign(path)")
    warn_of_typos(sheet, OPTIONAL)
    name, named = _campaign_of(sheet, campaign)
    act = CREATE_ONE if one_by_one else CREATE
    labels, twins = row_names(sheet, key), flags(sheet, "twin")
    # A row that can't be created has a reason, not a number; it holds nobody else.
    numbers = [attempt_in(value) or 1 for value in plain_values(sheet, "attempt")]
    items, reasons = [], []
    for number, (label, (row, reason), attempt, twin) in enumerate(
        zip(labels, fit_rows(sheet, labels, twins), numbers, twins, strict=True)
    ):
        reasons.append(reason or Reason(READY))
        if reason is not None:
            continue
        identity = fingerprint("create", name, label)
        platforms = {account.partition(":")[0].lower() for account in row["accounts"] if ":" in account}
        items.append(
            Item(
                row=number,
                identity=identity,
                attempt=attempt,
                subject=Subject("row", identity),
                label=label,
                platform="+".join(sorted(platforms)),
                account="",
                cause="",
                method="POST",
                path="/v1/posts" if one_by_one else "/v1/posts/bulk",
                body=body_of(row, name, label, attempt, alone=one_by_one),
                seen={"campaign": name, "row": label, "twin": twin, "named": named},
            )
        )
    reads = 1 + len(WAITING_STATUSES)  # the list of all, and of what waits to go out (rule 13)
    return build_plan(act, sheet, items, reasons, numbers, campaign=name, key=key, reads=reads)


def _campaign_of(frame: pd.DataFrame, campaign: str | None) -> tuple[str, bool]:
    """The campaign's name in the one form that counts, and whether anybody has named it: in the call, or in the frame (rule 29).

    An empty column names none, and one that reads like a number may have been written otherwise: rows that the ledger knows under
    another name only are held then.
    """
    if campaign is not None and not isinstance(campaign, str):
        raise PlanError(f"campaign={campaign!r} must be text, such as 'spring 2026'")
    if campaign is not None:
        return keys.campaign_name(well_formed(campaign)), True
    if "campaign" in frame.columns:
        names = {_campaign_in(value) for value in plain_values(frame, "campaign")}
        if len(names) > 1:
            raise PlanError(f"column 'campaign' names {len(names)} campaigns; plan them one by one, or pass campaign=")
        name = names.pop() if names else ""
        if name:
            return name, not _LIKE_A_NUMBER.fullmatch(name)
    known = frame.attrs.get("campaign")
    return (keys.campaign_name(known), True) if isinstance(known, str) else ("", False)


def _campaign_in(value: Any) -> str:
    """The campaign's name in a cell; a number there is one that a file has made of a name, such as 2026.1 of 2026.10 (rule 29)."""
    if value is not None and not isinstance(value, str):
        raise PlanError(
            f"column 'campaign' holds {str(value)[:40]}, a {type(value).__name__} that a file has made of a name, and another name "
            "posts every row again; pass campaign=, or read the column as text"
        )
    return keys.campaign_name(well_formed(value or ""))
