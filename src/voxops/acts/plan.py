"""From a frame to a plan: what would be sent, under which keys, and why the rest would not. Planning sends nothing.

The functions here see only frames (rule 1). What they decide is frozen in `Item` and `Operation`; binding to what the server
and the ledger know comes later, in the engine. Each act has its planner in its own module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from voxops._support import safe
from voxops._support.arguments import whole_number
from voxops._support.blocks import Block, static_html
from voxops.acts.act import Act
from voxops.acts.operation import Item, Operation
from voxops.acts.plan_display import KINDS, how_long, plan_blocks
from voxops.api.limits import PAGE_RECORDS
from voxops.api.reasons import READY, Reason, kinds
from voxops.errors import PlanError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DEFAULT_RATE",
    "PLAN_COLUMNS",
    "RESULT_TYPES",
    "Cost",
    "Plan",
    "build_plan",
    "reasons",
    "summary",
]

DEFAULT_RATE = 500  # requests a minute, where no answer has shown the workspace's own limit yet
PLAN_COLUMNS = ("eligible", "reason", "reason_code", "attempt", "batch", "idempotency_key", "request")
# What the results of a run say beside the columns of its plan.
RESULT_TYPES: dict[str, str] = {
    "status_before": "string", "outcome": "string", "waiting_for": "string", "tries": "Int64", "http_status": "Int64",
    "error_code": "string", "error_message": "string", "result_id": "string", "settled_at": "datetime64[us, UTC]", "notice": "string",
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
        A copy: to plan otherwise, change the frame that was planned. The input's columns and ``eligible`` (bool), ``reason``
        (string: why, or why not), ``reason_code`` (string: its code, ``ready`` where a row is eligible), ``attempt`` (Int64), ``batch``
        (Int64), ``idempotency_key`` (string), ``request`` (string: method and path); the last three are NA where a row is not eligible.
    eligible, held : int
        How many rows would be sent, and how many would not.
    cost : Cost
        Requests and minutes.
    campaign : str
        Name that tells apart two creates of the same row; ``""`` for other acts.
    """

    act: Act
    table: pd.DataFrame = field(repr=False)  # what `frame` copies; not to be changed
    operations: tuple[Operation, ...]  # the requests in the order of sending
    campaign: str = ""
    key: str = ""  # the column that names a row of a campaign; "" for other acts
    canaries: int = 0  # how many rows of each cause go first, 0 where all go at once; see `canary`
    reads: int = 0  # requests that read the subjects before the acts are sent; `cost` counts them
    why: tuple[Reason | str, ...] = field(default=(), repr=False)  # of each row; a text where a ledger kept no code

    @property
    def action(self) -> str:
        """Name of the act."""
        return self.act.name

    @property
    def frame(self) -> pd.DataFrame:
        """The plan as a table, as described above; what is done to it does not change the plan."""
        return self.table.copy(deep=False)

    @property
    def items(self) -> tuple[Item, ...]:
        """The eligible rows in the order of sending."""
        return tuple(item for operation in self.operations for item in operation.items)

    @property
    def eligible(self) -> int:
        """How many rows would be sent."""
        return int(self.table["eligible"].sum())

    @property
    def held(self) -> int:
        """How many rows would not."""
        return len(self.table) - self.eligible

    @property
    def cost(self) -> Cost:
        """Requests and minutes. Watching asynchronous acts to their end is counted as one page of the list per round."""
        acts = len(self.operations)
        rate = int(self.table.attrs.get("rate_limit") or DEFAULT_RATE)
        requests = acts + self.reads + self.act.rounds * ceil(self.eligible / PAGE_RECORDS) + 1 if acts else 0
        return Cost(requests=requests, acts=acts, minutes=round(requests / rate, 1), rate=rate)

    def _stored_table(self) -> pd.DataFrame:
        """The table for a ledger, which keeps reasons and makes sentences of them when they are shown."""
        return self.table.assign(reason=[why.stored() if isinstance(why, Reason) else why for why in self.why])

    def canary(self, n: int = 3) -> Plan:
        """Return a plan that tries the first `n` rows of each cause first.

        The others of a cause follow by themselves when its canaries have ended and at least half of them succeeded; otherwise
        they are held (rule 7). For creates the first `n` rows are the canaries. Members are fixed by the order of the keys,
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
        if self.act.about == "create":
            return self._create_canary(n)
        left: dict[str, int] = {}
        chosen: set[str] = set()
        for operation in sorted(self.operations, key=lambda operation: operation.key):
            for cause in operation.causes:
                left.setdefault(cause, n)
            if any(left[cause] > 0 for cause in operation.causes):
                chosen.add(operation.key)
                for item in operation.items:
                    left[item.cause] -= 1
        marked = [replace(operation, canary=operation.key in chosen) for operation in self.operations]
        ordered = sorted(marked, key=lambda operation: not operation.canary)
        return replace(self, operations=tuple(ordered), canaries=n)

    def _create_canary(self, n: int) -> Plan:
        """The first n rows as a batch of their own."""
        items = sorted(self.items, key=lambda item: item.row)
        first, rest = self.act.form(items[:n]), self.act.form(items[n:])
        operations = [replace(operation, canary=True) for operation in first]
        operations += [replace(operation, batch=operation.batch + len(first)) for operation in rest]
        return replace(_with_keys(self, operations), canaries=n)

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
    """Why rows are held, with how many, most first."""
    rows = zip(plan.why, plan.table["eligible"], strict=True)
    held = Counter(why for why, eligible in rows if not eligible)
    return sorted(held.items(), key=lambda each: (-each[1], str(each[0])))


def build_plan(
    act: Act,
    frame: pd.DataFrame,
    items: Sequence[Item],
    why: Sequence[Reason],
    attempts: Sequence[int],
    **details: Any,
) -> Plan:
    """Put a plan together from its items and one reason and attempt per row of the frame."""
    import numpy as np
    import pandas as pd

    base = frame.drop(columns=[name for name in PLAN_COLUMNS if name in frame.columns])
    eligible = [False] * len(frame)
    for item in items:
        eligible[item.row] = True
    table = base.assign(
        eligible=np.array(eligible, dtype=bool),
        reason=pd.array([str(each) for each in why], dtype="string"),
        reason_code=pd.array(
            [READY if fit else each.code for each, fit in zip(why, eligible, strict=True)], dtype="string"
        ),
        attempt=pd.array(list(attempts), dtype="Int64"),
    )
    table.attrs = dict(frame.attrs)
    bare = Plan(act=act, table=table, operations=(), why=tuple(why), **details)
    return _with_keys(bare, act.form(items))


def _with_keys(plan: Plan, operations: Sequence[Operation]) -> Plan:
    """The plan with these operations, their batch, key and call written into its frame."""
    import pandas as pd

    batch: list[Any] = [pd.NA] * len(plan.table)
    key: list[Any] = [pd.NA] * len(plan.table)
    request: list[Any] = [pd.NA] * len(plan.table)
    for operation in operations:
        for item in operation.items:
            batch[item.row] = operation.batch
            key[item.row] = operation.key
            request[item.row] = f"{operation.method} {operation.path}"
    frame = plan.table.assign(
        batch=pd.array(batch, dtype="Int64"),
        idempotency_key=pd.array(key, dtype="string"),
        request=pd.array(request, dtype="string"),
    )
    frame.attrs = dict(plan.table.attrs)
    return replace(plan, table=frame, operations=tuple(operations))
