"""From a frame to a plan: what would be sent, under which keys, and why the rest would not. Planning sends nothing.

Planners see only frames (rule 1) and stand in the module of their act; the engine binds a plan to what the server and the ledger know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from voxops._support import safe
from voxops._support.arguments import whole_number
from voxops._support.blocks import Block, static_html
from voxops.acts.act import Act, Judged, key_of
from voxops.acts.item import BULK, Item
from voxops.acts.plan_display import KINDS, how_long, plan_blocks
from voxops.api.limits import BULK_POSTS, PAGE_RECORDS
from voxops.api.reasons import READY, Reason, kinds
from voxops.errors import PlanError
from voxops.frames.columns import attempt_in, plain_values

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_RATE = 500  # requests a minute, before a response has shown the workspace's own limit
PLAN_TYPES = {
    "act": "string", "eligible": "bool", "reason": "string", "reason_code": "string", "attempt": "Int64", "batch": "Int64",
    "idempotency_key": "string", "request": "string",
}  # fmt: skip
PLAN_COLUMNS = tuple(PLAN_TYPES)
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


@dataclass(frozen=True, eq=False)
class Plan:
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
    eligible, held : int
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
    canaries: int = 0  # how many rows of each cause go first, 0 where all go at once; see `canary`
    first: frozenset[int] = frozenset()  # rows that are canaries
    reads: int = 0  # requests that read the subjects before the acts are sent
    why: tuple[Reason | str, ...] = field(default=(), repr=False)  # of each row; a text where a ledger kept no code
    undo: str = ""  # the run whose creates this plan withdraws

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
    def held(self) -> int:
        """How many rows would not."""
        return len(self.table) - self.eligible

    @property
    def cost(self) -> Cost:
        """Requests and minutes. Watching asynchronous acts to their end is counted as one page of the list per round."""
        acts = sum(len(_calls(items)) for _, _, items in self.chunks())
        rate = int(self.table.attrs.get("rate_limit") or DEFAULT_RATE)
        requests = acts + self.reads + self.act.rounds * ceil(self.eligible / PAGE_RECORDS) + 1 if acts else 0
        return Cost(requests=requests, acts=acts, minutes=round(requests / rate, 1), rate=rate)

    def chunks(self) -> list[tuple[int, bool, list[Item]]]:
        """Number, whether it is a canary, and items of each chunk, in the order of sending.

        A chunk is 50 creates in the order of their identities (rule 27), which share a call, or the items of 50 other calls.

        Examples
        --------
        >>> plan = vx.plan_retry(triaged)
        >>> sum(len(items) for _, _, items in plan.chunks()) == plan.eligible
        True
        """
        found: list[tuple[int, bool, list[Item]]] = []
        for canary in (True, False):
            items = [item for item in self.items if (item.row in self.first) is canary]
            bulk = sorted((item for item in items if item.path == BULK), key=lambda item: item.identity)
            others = _calls([item for item in items if item.path != BULK])
            for some in ([[item] for item in bulk], others):
                for start in range(0, len(some), BULK_POSTS):
                    chunk = [item for call in some[start : start + BULK_POSTS] for item in call]
                    found.append((len(found) + 1, canary, chunk))
        return found

    def _stored_table(self) -> pd.DataFrame:
        """The table for a ledger, which keeps reasons and makes sentences of them when they are shown."""
        return self.table.assign(reason=[why.stored() if isinstance(why, Reason) else why for why in self.why])

    def canary(self, n: int = 3) -> Plan:
        """Return a plan that tries the first `n` rows of each cause first.

        The others of a cause follow by themselves when its canaries have ended and at least half of them succeeded; otherwise
        they are blocked (rule 7). For creates the first `n` rows are the canaries. Members are fixed by the order of the keys,
        so the same frame gives the same canaries.

        Parameters
        ----------
        n : int
            Canaries per cause, at least 1.

        Returns
        -------
        Plan
            The same requests under the same keys, those of the canaries first; of creates, batches and keys follow the division.

        Raises
        ------
        PlanError
            If `n` is no whole number of 1 or more, or the plan is a canary already.

        Examples
        --------
        >>> plan = vx.plan_retry(triaged)
        >>> plan.canary(2).eligible == plan.eligible
        True
        """
        n = whole_number(n, PlanError(f"canary(n={n!r}): n must be a whole number, 1 or more"))
        if self.canaries:
            raise PlanError("this plan is a canary already; call canary() on the plan it was made from")
        rows = sorted((item for item in self.items if item.subject.kind == "row"), key=lambda item: item.row)
        others = _calls([item for item in self.items if item.subject.kind != "row"])
        tried = Counter[str]()
        first: set[int] = set()
        for items in [*([item] for item in rows), *sorted(others, key=key_of)]:
            if any(tried[item.cause] < n for item in items):
                first |= {item.row for item in items}
                tried.update(item.cause for item in items)
        return _with_calls(replace(self, canaries=n, first=frozenset(first)))

    def __dir__(self) -> list[str]:
        """The public names; the other fields are for the engine."""
        return ["action", "campaign", "canary", "cost", "eligible", "frame", "held"]

    def __repr__(self) -> str:
        return summary(self)

    def _blocks(self) -> list[Block]:
        """Return what the plan shows, for whatever draws it."""
        return plan_blocks(self, reasons(self))

    def _repr_html_(self) -> str:
        return static_html(self._blocks(), name="plan")


def summary(plan: Plan) -> str:
    """Say in a few lines of text what a plan would do."""
    cost = plan.cost
    lines = [
        f"Plan to {plan.act.verb}: {plan.eligible} of {safe.many(len(plan.table), 'row')}, {safe.many(cost.acts, 'acting request')}, "
        f"about {safe.many(cost.requests, 'request')} in all, {how_long(cost)}. Nothing has been sent."
    ]
    if plan.canaries:
        lines.append(f"Canary: the first {plan.canaries} of each cause go first.")
    held = kinds(reasons(plan))
    lines += [f"  {count:>5}  {safe.plain(why, 200)}" for why, count in held[:KINDS]]
    if (more := len(held) - KINDS) > 0:
        lines.append(f"         and {safe.many(more, 'more kind')}")
    return "\n".join(lines)


def reasons(plan: Plan) -> list[tuple[Reason | str, int]]:
    """Why rows are not eligible, with how many, most first."""
    rows = zip(plan.why, plan.table["eligible"], strict=True)
    held = Counter(why for why, eligible in rows if not eligible)
    return sorted(held.items(), key=lambda each: (-each[1], str(each[0])))


def build_plan(
    act: Act,
    frame: pd.DataFrame,
    judged: Iterable[Judged],
    *,
    reads: int | None = None,
    **details: Any,
) -> Plan:
    """Put a plan together from why each row of the frame is sent, with its item, or why it is not.

    A post or delivery that is in the frame twice is sent once. An act whose subjects are read `alone` reads each.
    """
    import pandas as pd

    items: dict[Any, Item] = {}
    why: list[Reason] = []
    for reason, item in judged:
        first = item and items.setdefault((item.subject, item.platform, item.account), item)
        twice = Reason("delivery_twice" if act.about == "delivery" else "post_twice")
        why.append(reason if first is item else twice)
    acts = {item.row: item.act for item in items.values()}
    cells: dict[str, list[Any]] = {
        "act": [acts.get(row, pd.NA) for row in range(len(frame))],
        "eligible": [row in acts for row in range(len(frame))],
        "reason": list(map(str, why)),
        "reason_code": [READY if row in acts else reason.code for row, reason in enumerate(why)],
        "attempt": [attempt_in(value) or 1 for value in plain_values(frame, "attempt")],
    }
    bare = frame.drop(columns=[name for name in PLAN_TYPES if name in frame])
    reads = (len(items) if act.alone else 0) if reads is None else reads
    return _with_calls(Plan(act, _typed(bare, cells), tuple(items.values()), reads=reads, why=tuple(why), **details))


def _with_calls(plan: Plan) -> Plan:
    """The plan with its items in the order of sending, and their batch, key and call written into its frame."""
    import pandas as pd

    chunks, said = plan.chunks(), dict[int, tuple[Any, ...]]()
    for number, _, items in chunks:
        for call in _calls(items):
            path, named = call[0].path, any(item.named_accounts for item in call)
            cells = number, key_of(call) if path and not named else pd.NA, f"{call[0].method} {path}" if path else pd.NA
            said |= {item.row: cells for item in call}
    rows = [said.get(row, (pd.NA,) * 3) for row in range(len(plan.table))]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(("batch", "idempotency_key", "request"))}
    items = [item for _, _, items in chunks for item in items]
    return replace(plan, table=_typed(plan.table, columns), items=tuple(items))


def _typed(frame: pd.DataFrame, cells: Mapping[str, list[Any]]) -> pd.DataFrame:
    """The frame with columns of a plan."""
    table = frame.assign(**cells).astype({name: PLAN_TYPES[name] for name in cells})
    table.attrs = dict(frame.attrs)
    return table


def _calls(items: Sequence[Item]) -> list[list[Item]]:
    """The items of each call, of the items of one chunk or of all that go one by one."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    return list(groups.values())
