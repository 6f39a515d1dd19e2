"""Create: a campaign's rows as posts, in batches of at most 50 (matrix row 11)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from voxops._core.canonical import canonical, fingerprint
from voxops._core.jsontext import sound
from voxops.acts import keys
from voxops.acts.act import Act
from voxops.acts.operation import Item, Member, Operation, Subject, settled
from voxops.acts.plan import Plan, build_plan
from voxops.api.limits import BULK_POSTS, COMMENT_CHARACTERS, CONTENT_CHARACTERS
from voxops.api.states import PostState
from voxops.errors import PlanError
from voxops.frames.columns import attempts, need_columns, plain_values
from voxops.frames.states import read_bulk_results
from voxops.model import Outcome

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CREATE", "BulkItem", "late", "plan_bulk", "read_bulk", "split_list", "utc_text"]


@dataclass(frozen=True, slots=True)
class BulkItem:
    """One readable item of a bulk answer."""

    created: bool
    post_id: str | None
    error_code: str | None
    error_message: str | None


class _Create(Act):
    """Rows are sent in batches; each item of an answer counts by itself, and what was created is found by its mark."""

    name = "bulk"
    verb = "create"
    about = "create"
    rounds = 0

    def form(self, items: Sequence[Item]) -> list[Operation]:
        """Batches of at most 50; a batch's key covers every member and its attempt."""
        return [
            _batch(items[start : start + BULK_POSTS], start // BULK_POSTS + 1)
            for start in range(0, len(items), BULK_POSTS)
        ]

    def as_attempt(self, item: Item, attempt: int) -> Item:
        """The mark names the attempt, too."""
        if item.attempt == attempt:
            return item
        mark = keys.mark(str(item.seen.get("campaign", "")), item.label, attempt)
        return replace(item, attempt=attempt, body={**(item.body or {}), "metadata": {"voxopsOp": mark}})

    def decodes(self, data: Any) -> bool:
        """A list of items."""
        return isinstance(data, Mapping) and isinstance(data.get("results"), list)

    def settle_answer(self, members: Sequence[Member], data: Any, *, first: bool) -> list[Member]:  # noqa: ARG002
        """Each row by its own item; rows whose item can't be read are unknown."""
        items = read_bulk(data, _places(members)) or [None] * _places(members)
        return [_settle(member, items[member.position]) for member in members]

    def settle_refusal(self, members: Sequence[Member], data: Any) -> list[Member]:
        """A refused batch that shows items is read by them."""
        items = read_bulk(data, _places(members))
        return [_settle(member, items[member.position]) for member in members] if items and any(items) else []

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:
        """Recovered is what exists."""
        failed = "failed_same" if row["outcome"] == "failed" else "pending"
        return "created", "recovered" if state is not None else failed

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:
        """Create what failed, as the next attempt."""
        return plan_bulk(failed, key=key, campaign=campaign)


CREATE = _Create()


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


def read_bulk(data: Any, count: int) -> list[BulkItem | None] | None:
    """Read a bulk answer by ``index`` (rule 15).

    Returns
    -------
    list or None
        One entry per item, None where the index is missing, doubled or says nothing; None for an answer that holds no items.
    """
    results = data.get("results") if isinstance(data, Mapping) else None
    if not isinstance(results, list):
        return None
    rows = read_bulk_results(results)
    times = Counter(row[0] for row in rows)
    items: list[BulkItem | None] = [None] * count
    for index, status, post_id, code, message in rows:
        if index is None or not 0 <= index < count or times[index] > 1:
            continue
        if status == "created" and post_id:
            items[index] = BulkItem(True, post_id, None, None)
        elif status == "failed":
            items[index] = BulkItem(False, None, code, message)
    return items


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


def _settle(member: Member, item: BulkItem | None) -> Member:
    """Outcome of a row from its item; an unreadable one leaves it unknown."""
    if item is None:
        return replace(member, outcome=Outcome.UNKNOWN, waiting_for="the answer did not say what became of it")
    if item.created:
        return settled(member, Outcome.SUCCEEDED, result_id=item.post_id)
    message = item.error_message or "the server gave no reason"
    return settled(member, Outcome.FAILED, error_code=item.error_code or "FAILED", error_message=message)


def plan_bulk(frame: pd.DataFrame, *, key: str, campaign: str = "") -> Plan:
    """Plan to create a post for each row of a campaign.

    Parameters
    ----------
    frame : pandas.DataFrame
        From ``vx.read_campaign``: ``content``, ``accounts`` (ids or ``platform:@name``, separated by ``;``) or ``account_ids``,
        ``scheduled_for`` with its offset from UTC, and if wished ``media``, ``first_comment``, ``tags`` and ``attempt``.
    key : str
        The column that names a row for ever. The same row of the same campaign is created once, however often it is planned.
    campaign : str
        Creates of the same row under another name are other posts. Case and white space don't make another name.

    Returns
    -------
    Plan
        The frame with ``eligible reason attempt batch idempotency_key request``. Unfit rows are held with their reason: no
        time or a time without offset, no content, no account, too long.

    Raises
    ------
    PlanError
        If columns are missing, or a value of `key` is missing or stands there twice.
    """
    if not isinstance(key, str):
        raise PlanError(f"key= names the column that tells the rows apart, not a {type(key).__name__}")
    need_columns(frame, (key, "content", "scheduled_for"), "use vx.read_campaign(path)")
    if "account_ids" not in frame.columns:
        need_columns(frame, ["accounts"], "use vx.read_campaign(path)")
    campaign = _campaign(campaign)
    names = _row_keys(frame, key)
    numbers = attempts(frame)
    items, reasons = [], []
    for number, (name, row, attempt) in enumerate(zip(names, _rows(frame), numbers, strict=True)):
        reason = _why_not(row)
        reasons.append(reason or "ready")
        if reason is not None:
            continue
        identity = fingerprint("create", campaign, name)
        items.append(
            Item(
                row=number,
                identity=identity,
                attempt=attempt,
                subject=Subject("row", identity),
                label=name,
                platform="+".join(sorted({name.partition(":")[0].lower() for name in row["accounts"] if ":" in name})),
                account="",
                cause="",
                method="POST",
                path="/v1/posts/bulk",
                body=_body(row, keys.mark(campaign, name, attempt)),
                seen={"campaign": campaign, "row": name},
            )
        )
    return build_plan(CREATE, frame, items, reasons, numbers, campaign=campaign, key=key, reads=1)


def split_list(value: Any) -> list[str]:
    """Return a cell's parts: a list as it is, text cut at ``;``, nothing for a missing value."""
    if value is None:
        return []
    parts = value if isinstance(value, list | tuple) else str(value).split(";")
    return [text for text in (str(part).strip() for part in parts) if text]


def utc_text(value: Any) -> str | None:
    """Return a time as ``YYYY-MM-DDTHH:MM:SSZ``, None if it can't be read or carries no offset from UTC."""
    try:
        when = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    return when.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _campaign(name: str) -> str:
    """A campaign's name in the one form that counts: a stray blank or a capital must not post everything again."""
    if not isinstance(name, str):
        raise PlanError(f"campaign={name!r} must be text, such as 'spring 2026'")
    return " ".join(unicodedata.normalize("NFC", sound(name)).casefold().split())


def _row_keys(frame: pd.DataFrame, key: str) -> list[str]:
    """The key column as canonical text, or a PlanError that shows what is missing or doubled."""
    names = [keys.row_key(value) for value in plain_values(frame, key)]
    missing = [row for row, name in enumerate(names) if name is None]
    if missing:
        raise PlanError(f"column {key!r} has no value in row {_some(missing)}; every row needs a name that stays")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise PlanError(
            f"column {key!r} holds {_some(doubled)} more than once; look with "
            f"frame[frame.duplicated({key!r}, keep=False)] and drop or rename the copies"
        )
    return [name for name in names if name is not None]


def _some(values: Sequence[object]) -> str:
    """The first five values, and how many more there are."""
    shown = ", ".join(repr(value) for value in values[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What a create is made of, per row, as plain values."""
    # What the sheet says is what counts: ids that were looked up in the meantime must not make another row of it.
    accounts = "accounts" if "accounts" in frame.columns else "account_ids"
    lists = {"accounts": accounts, "media": "media", "tags": "tags"}
    columns = {name: [split_list(value) for value in plain_values(frame, column)] for name, column in lists.items()}
    columns["accounts"] = [[_account(name) for name in names] for names in columns["accounts"]]
    for name in ("content", "first_comment", "scheduled_for"):
        columns[name] = plain_values(frame, name)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _account(name: str) -> str:
    """An account as the sheet names it, in one spelling: ``Twitter:@Brand`` and ``twitter:brand`` are one; ids stay as they are."""
    platform, colon, username = name.partition(":")
    return f"{platform.strip().lower()}:@{username.strip().lstrip('@').lower()}" if colon else name


def _why_not(row: Mapping[str, Any]) -> str | None:
    """Why a row can't be created; None if it can."""
    content, comment, when = row["content"], row["first_comment"], row["scheduled_for"]
    if content is None or not str(content).strip():
        return "no content"
    if len(str(content)) > CONTENT_CHARACTERS:
        return f"content has {len(str(content))} characters; {CONTENT_CHARACTERS:,} is the most"
    if not row["accounts"]:
        return "no account"
    if comment is not None and len(str(comment)) > COMMENT_CHARACTERS:
        return f"first_comment has {len(str(comment))} characters; {COMMENT_CHARACTERS:,} is the most"
    if when is None or not str(when).strip():
        return "no time: nobody knows whether the API would publish it at once"
    if utc_text(when) is None:
        return f"scheduled_for {str(when)[:40]!r} has no offset from UTC; write it as 2026-03-04T10:00:00+01:00"
    return None


def _body(row: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """What is asked for a row; optional parts are left out where the sheet has none."""
    body: dict[str, Any] = {
        "content": str(row["content"]),
        "accountIds": row["accounts"],
        "scheduledFor": utc_text(row["scheduled_for"]),
        "metadata": {"voxopsOp": mark},
    }
    if row["media"]:
        body["media"] = row["media"]
    if row["tags"]:
        body["tags"] = row["tags"]
    if row["first_comment"] is not None and str(row["first_comment"]).strip():
        body["firstComment"] = str(row["first_comment"])
    return body
