"""From a frame to a plan: what would be sent, under which keys, and why the rest would not. Planning sends nothing.

Planners see only frames (rule 1) and stand in the module of their act; the engine binds a plan to what the server and the ledger know.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from math import ceil
from typing import Any, Protocol

import pandas as pd

from voxops._support import safe
from voxops._support.arguments import whole_number
from voxops._support.canonical import fingerprint
from voxops.acts.act import BULK, MESSAGES, TIMES, Act, Item, Judged, Row, key_of
from voxops.api.evidence import common_time
from voxops.api.limits import BULK_POSTS, PAGE_RECORDS
from voxops.api.reasons import READY, Reason
from voxops.errors import PlanError
from voxops.frames.checks import as_whole_number, attempt_in, attempts, flags, instants, plain_values
from voxops.model import Displayed
from voxops.sheets.rules import PEOPLE, errors_of

ROUNDS = 4  # readings of a list until an asynchronous act has ended, for the cost of a plan
DEFAULT_RATE = 500  # requests a minute, before a response has shown the workspace's own limit
PLAN_TYPES = {
    "act": "string", "eligible": "bool", "reason": "string", "reason_code": "string", "attempt": "Int64", "batch": "Int64",
    "idempotency_key": "string", "request": "string",
}  # fmt: skip
# Columns of results beside those of the plan.
RESULT_TYPES: dict[str, str] = {
    "status_before": "string", "outcome": "string", "waiting_for": "string", "reason_code": "string", "withdrawn": "string", "tries": "Int64",
    "http_status": "Int64", "error_code": "string", "error_message": "string", "result_id": "string", "settled_at": "datetime64[us, UTC]",
    "notice": "string",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """What running a plan takes: `requests` in all (acts and the reads around them), `acts`, and `minutes` at `rate` a minute."""

    requests: int
    acts: int
    minutes: float
    rate: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What a sync compared, so that binding can ask whether it still holds (rule 18).

    Attributes
    ----------
    identities : tuple of str
        The identities of all rows of the sheet, in order, also of those that need no act.
    rows : mapping of int to tuple
        Row of the plan -> the mark of its row, ``""`` for a post that the sheet does not have, and its posts as the frame showed them:
        id -> status and ``updated_at``.
    """

    identities: tuple[str, ...]
    rows: Mapping[int, tuple[str, Mapping[str, tuple[str, str | None]]]]


@dataclass(frozen=True, eq=False)
class Plan(Displayed):
    """A table of what would be sent and why the rest would not; nothing has been sent.

    Attributes
    ----------
    action : str
        Name of the act.
    frame : pandas.DataFrame
        A copy: to plan otherwise, change the frame that was planned. The input's columns and ``act`` (string), ``eligible`` (bool),
        ``reason`` (string: why, or why not), ``reason_code`` (string: its code, ``ready`` where a row is eligible), ``attempt``
        (Int64), ``batch`` (Int64), ``idempotency_key`` (string) and ``request`` (string: method and path). ``act``, ``batch``, key and
        request are NA where a row is not eligible; so is the key of accounts by name, which are resolved when the plan runs.
    eligible, blocked : int
        How many rows would be sent, and how many would not.
    cost : Cost
        Requests and minutes.
    campaign : str
        Name that tells apart two creates of the same row; ``""`` for other acts.
    """

    act: Act
    table: pd.DataFrame = field(repr=False)  # what `frame` copies; not to be changed
    items: tuple[Item, ...]  # the eligible rows in the order of sending
    campaign: str = ""
    key: str = ""  # the column that names a row of a campaign; "" for other acts
    reads: int = 0  # requests that read the subjects before the acts are sent
    why: tuple[Reason, ...] = field(default=(), repr=False)  # of each row
    undo: str = ""  # the run whose creates this plan withdraws
    compared: Compared | None = field(default=None, repr=False)  # of a sync

    @property
    def action(self) -> str:
        """Name of the act."""
        return self.act.name

    @property
    def frame(self) -> pd.DataFrame:
        """The plan as a table, as described above; what is done to it does not change the plan."""
        return self.table.copy(deep=False)

    @property
    def eligible(self) -> int:
        """How many rows would be sent."""
        return len(self.items)

    @property
    def blocked(self) -> int:
        """How many rows would not."""
        return len(self.table) - self.eligible

    @property
    def cost(self) -> Cost:
        """Requests and minutes. Watching asynchronous acts to their end is counted as one page of the list per round."""
        acts = sum(len(_calls(items)) for _, items in self.chunks())
        rate = int(self.table.attrs.get("rate_limit") or DEFAULT_RATE)
        rounds = 0 if self.act.creates else ROUNDS
        requests = acts + self.reads + rounds * ceil(self.eligible / PAGE_RECORDS) + 1 if acts else 0
        return Cost(requests=requests, acts=acts, minutes=round(requests / rate, 1), rate=rate)

    def chunks(self) -> list[tuple[int, list[Item]]]:
        """Number and items of each chunk, in the order of sending: withdrawals, changes, creates.

        A chunk is up to 50 creates, which share a call, or the items of 50 other calls. Creates are cut in the order of their identities:
        every 50 of the plan, or of the whole sheet of a sync, so that two laptops make the same calls.

        Examples
        --------
        >>> plan = vx.plan_retry(triaged)
        >>> sum(len(items) for _, items in plan.chunks()) == plan.eligible
        True
        """
        bulk = sorted((item for item in self.items if item.path == BULK), key=lambda item: item.identity)
        order = self.compared.identities if self.compared else [item.identity for item in bulk]
        cut = {identity: place // BULK_POSTS for place, identity in enumerate(order)}
        others = _calls(sorted((item for item in self.items if item.path != BULK), key=_turn))
        cuts = (others[start : start + BULK_POSTS] for start in range(0, len(others), BULK_POSTS))
        chunks = [[item for call in calls for item in call] for calls in cuts]
        chunks += [list(some) for _, some in groupby(bulk, key=lambda item: cut[item.identity])]
        return list(enumerate(chunks, start=1))

    def _stored_table(self) -> pd.DataFrame:
        """The table for a ledger, which keeps reasons and makes sentences of them when they are shown."""
        return self.table.assign(reason=[why.stored() for why in self.why])

    def canary(self, n: int = 3) -> Plan:
        """Return a plan of the first `n` rows of each cause, to be run before the others.

        Members are fixed by the order of the keys, so the same frame gives the same canaries. The full plan, run afterwards, finds
        what the canaries have done, and sends the rest.

        Parameters
        ----------
        n : int
            Rows per cause, at least 1. Rows of one post go together; of creates they are the first `n` rows.

        Returns
        -------
        Plan
            The same requests for these rows; the others are not eligible.

        Raises
        ------
        PlanError
            If `n` is no whole number of 1 or more.

        Examples
        --------
        >>> plan = vx.plan_retry(triaged)
        >>> results = ws.run(plan.canary(2)).wait(60).results()
        >>> if (results["outcome"] == "succeeded").mean() >= 0.5:
        ...     run = ws.run(plan)
        """
        n = whole_number(n, PlanError(f"canary(n={n!r}): n must be a whole number, 1 or more"))
        rows = sorted((item for item in self.items if item.subject.kind == "row"), key=lambda item: item.row)
        others = _calls([item for item in self.items if item.subject.kind != "row"])
        tried = Counter[str]()
        chosen: set[int] = set()
        for items in [*([item] for item in rows), *sorted(others, key=key_of)]:
            if any(tried[item.cause] < n for item in items):
                chosen |= {item.row for item in items}
                tried.update(item.cause for item in items)
        left = {item.row for item in self.items} - chosen
        why = tuple(Reason("not_a_canary") if row in left else reason for row, reason in enumerate(self.why))
        return _filled(replace(self, why=why, items=tuple(item for item in self.items if item.row in chosen)))

    def __dir__(self) -> list[str]:
        """The public names; the other fields are for the engine."""
        return ["action", "blocked", "campaign", "canary", "cost", "eligible", "frame"]

    def __repr__(self) -> str:
        return repr(self._view(self))


def reasons(plan: Plan) -> list[tuple[Reason, int]]:
    """Why rows are not eligible, with how many, most first."""
    rows = zip(plan.why, plan.table["eligible"], strict=True)
    blocked = Counter(why for why, eligible in rows if not eligible)
    return sorted(blocked.items(), key=lambda reason: (-reason[1], str(reason[0])))


def build_plan(
    act: Act,
    frame: pd.DataFrame,
    judged: Iterable[Judged],
    *,
    acts: Sequence[str | None] | None = None,
    reads: int | None = None,
    **details: Any,
) -> Plan:
    """Put a plan together from why each row of the frame is sent, with its item, or why it is not.

    A post or delivery that is in the frame twice is sent once. An act whose subjects are read `alone` reads each. `acts` fills the
    column ``act``, by default with the act of each item.
    """
    if not frame.columns.is_unique:
        raise PlanError("two columns of the frame have one name: drop or rename one")
    items: dict[Any, Item] = {}
    why: list[Reason] = []
    for reason, item in judged:
        first = item and items.setdefault((item.subject, item.platform, item.account), item)
        twice = Reason("delivery_twice" if act.about == "delivery" else "post_twice")
        why.append(reason if first is item else twice)
    by_row = {item.row: item.act for item in items.values()}
    cells: dict[str, Any] = dict.fromkeys(PLAN_TYPES)
    cells["act"] = acts or [by_row.get(row) for row in range(len(frame))]
    cells["attempt"] = [attempt_in(value) or 1 for value in plain_values(frame, "attempt")]
    table = frame.drop(columns=[*PLAN_TYPES], errors="ignore").assign(**cells)
    reads = (len(items) if act.alone else 0) if reads is None else reads
    return _filled(Plan(act, table, tuple(items.values()), reads=reads, why=tuple(why), **details))


def _filled(plan: Plan) -> Plan:
    """The plan with its items in the order of sending, and in its frame what is sent for each row, or why it is not."""
    by_row, rows = {item.row: item for item in plan.items}, range(len(plan.why))
    calls: dict[int, tuple[Any, ...]] = {}
    for number, items in plan.chunks():
        for call in _calls(items):
            path, named = call[0].path, any(item.named_accounts for item in call)
            cells = number, key_of(call) if path and not named else None, f"{call[0].method} {path}" if path else None
            calls |= dict.fromkeys((item.row for item in call), cells)
    columns = pd.DataFrame.from_dict(calls, "index", dtype=object, columns=["batch", "idempotency_key", "request"])
    table = plan.table.assign(
        eligible=[row in by_row for row in rows],
        reason=[str(why) for why in plan.why],
        reason_code=[READY if row in by_row else why.code for row, why in enumerate(plan.why)],
        **{str(name): values for name, values in columns.reindex(rows).to_dict("list").items()},
    ).astype(PLAN_TYPES)
    table.attrs = dict(plan.table.attrs)
    return replace(plan, table=table, items=tuple(by_row[row] for row in calls))


def _turn(item: Item) -> int:
    """Whose turn it is: a withdrawal or a change may free what a create, or another change, must not show twice (rule 17)."""
    return 2 if item.creates else int(item.act != "cancel")


def _calls(items: Sequence[Item]) -> list[list[Item]]:
    """The items of each call, of the items of one chunk or of all that go one by one."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    return list(groups.values())


# Rows of posts, targets and deliveries frames as plain values.

# What a failure of a target is, and nothing that another listing could leave out (rule 4).
TARGET_EPISODE = (
    "post_id", "platform", "account_id", "status", "error_code", "error_message", "post_status", "updated_at",
)  # fmt: skip
_TARGET_ROW = (*TARGET_EPISODE, "cause", "verdict", "remedy", "new_content", "new_media_url")
# Field of a request -> the column of a sheet, where the names differ.
COLUMN_OF = {"scheduledFor": "scheduled_for", "accountIds": "accounts", "firstComment": "first_comment"}
_NO_ID = re.compile(r"[\s/\\?#%]|^\.+$")  # what would name another path, and blanks, which a file may have added
_NUMBERS = frozenset({"status_code", "latency_ms", "retry_count"})
# A file makes numbers of these where all look like one. Ids are not among them: they would have lost digits.
_WORDS = frozenset({"platform", "status", "post_status", "error_code", "error_message", "error", "cause", "event_type"})
# A row of a sheet that has no fault.
_FIT: dict[str, Any] = {
    "content": "x", "accounts": ["x"], "media": [], "found": {}, "uploaded": {}, "tags": [], "content_type": None, "first_comment": None, "attempt": None,
    "texts": {}, **dict.fromkeys(PEOPLE), "scheduled_for": "8000-01-01T00:00:00Z",
}  # fmt: skip


def fetched_at(frame: pd.DataFrame) -> pd.Timestamp | None:
    """When the frame was loaded, in server time; None for a frame of unknown origin."""
    fetched = frame.attrs.get("fetched_at")
    return None if fetched is None else pd.Timestamp(fetched)


def why_no_id(row: Row, *columns: str) -> Reason | None:
    """Why a row names nothing to act on: an id is missing, or has what no id has, as in an edited file; None if it does."""
    for column in columns:
        name, value = column.replace("_", " "), row[column]
        if value is None or value == "":
            return Reason("id_missing", what=name)
        if not isinstance(value, str):
            return Reason("id_was_number", what=name, value=repr(value))
        if _NO_ID.search(value) or not value.isprintable():
            return Reason("id_malformed", what=name, value=safe.plain(repr(value), 60))
    return None


def why_unfit(now: datetime | None = None, **values: Any) -> Reason | None:
    """Why new values can't be requested, by the rules of a sheet; None if they can."""
    if not isinstance(text := values.get("content", ""), str):  # such as a number that a file has made of a text
        return Reason("content_not_text", kind=type(text).__name__)
    return next((error.reason for error in errors_of(_FIT | values, now)), None)


def columns_of(fields: Iterable[str]) -> str:
    """Fields of a request as the columns of a sheet, for a reason."""
    return ", ".join(COLUMN_OF.get(name, name) for name in fields)


def episode_identity(action: str, seen: Row, *more: Any) -> str:
    """Fingerprint of an episode, alike for all readings of it: messages are left out, and times are cut to the second (rule 4)."""
    times = {name: common_time(seen[name]) for name in TIMES & seen.keys()}
    return fingerprint(action, {name: value for name, value in seen.items() if name not in MESSAGES} | times, *more)


def post_episode(row: Row) -> dict[str, Any]:
    """The state of a whole post as a frame of posts showed it (rule 4)."""
    return {"post_id": row["post_id"], "post_status": row["status"], "updated_at": row["updated_at"]}


def target_rows(frame: pd.DataFrame, *flag_names: str, more: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Rows of a posts or targets frame, as of `plain_rows`."""
    return plain_rows(frame, _TARGET_ROW, stamp="updated_at", flag_names=("retryable", *flag_names), more=more)


def plain_rows(
    frame: pd.DataFrame, names: Sequence[str], *, stamp: str, flag_names: Sequence[str], more: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Rows as plain values: text or None, times as ISO text in UTC, flags as bool; the attempt from 1.

    ``number`` counts the rows. ``age`` is the time from `stamp` to the load of the frame; None if that is unknown. Columns `more` keep
    their values as they are, such as a time without an offset that a reason quotes.
    """
    now = fetched_at(frame)
    ages = [None if now is None or at is None else now - at for at in instants(frame, stamp)]
    columns: dict[str, Sequence[Any]] = {name: _read(frame, name) for name in names}
    columns |= {name: plain_values(frame, name) for name in more} | {name: flags(frame, name) for name in flag_names}
    return in_rows(columns | {"number": range(len(frame)), "age": ages, "attempt": attempts(frame)})


def in_rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Columns of values as rows."""
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


def _read(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain values that are the same after a detour through a file: times in one form, counts whole."""
    if name in TIMES:
        return [None if when is None else when.isoformat() for when in instants(frame, name)]
    values = plain_values(frame, name)
    for row, value in enumerate(values):
        if isinstance(value, list | tuple | set | dict | bytes) or (isinstance(value, float) and math.isinf(value)):
            raise PlanError(f"row {row}: {name} is {safe.plain(repr(value), 60)}; it must be text or a number")
    if name in _NUMBERS | _WORDS:
        values = [as_whole_number(value) for value in values]
    return [None if value is None else str(value) for value in values] if name in _WORDS else values


class RunLike(Protocol):
    """A run: what it was asked, and what it has done."""

    id: str

    @property
    def plan(self) -> Plan | None:
        """The plan that is executed."""

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""

    def failed(self) -> pd.DataFrame:
        """The failed rows, ready to be planned again."""
