"""Redeliver: send webhook deliveries again (matrix row 39)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import pandas as pd

from voxops._support.arguments import true_or_false
from voxops._support.safe import redact_addresses
from voxops.acts.act import About, Act, Item, Judged, Request, Requests, Row, Subject, differing, settled
from voxops.acts.plan import Plan, build_plan, episode_identity, fetched_at, plain_rows, why_no_id
from voxops.api.assumptions import MAY_PASS
from voxops.api.evidence import Attempted
from voxops.api.limits import SERVER_RETRIES_FOR
from voxops.api.reasons import Reason
from voxops.frames.checks import need
from voxops.frames.records import DELIVERY_EPISODE
from voxops.model import Outcome


class Redeliver(Act):
    """One request per delivery; it is queued, and the delivery's record changes when it has been tried."""

    name = "redeliver"
    place = "POST /v1/webhooks/{0.parent}/deliveries/{0.id}/retry"
    verb = "redeliver"
    about: ClassVar[About] = "delivery"
    gone: ClassVar[Reason] = Reason("delivery_gone")

    def why_not(self, item: Item, state: Row, past: Requests) -> Reason | None:  # noqa: ARG002
        """Block what has changed since the frame was loaded, and what is younger than a frame showed that has lost its zone."""
        loaded, created = item.seen.get("loaded"), state.get("created_at")
        if loaded and created and datetime.fromisoformat(loaded) - datetime.fromisoformat(created) < SERVER_RETRIES_FOR:
            return Reason("delivery_young")
        return differing(item.seen, {name: state.get(name) for name in DELIVERY_EPISODE})

    def done_before(self, request: Request, state: Any, past: Requests) -> Request | Reason | None:  # noqa: ARG002
        """What has arrived is not sent again that this ledger has sent again before: each success would be a new request."""
        seen, before = request.item.seen, any(earlier.id != request.id for earlier in past)
        return Reason("redelivered_before") if before and seen.get("success") and not seen.get("again") else None

    def settle_reading(self, requests: Requests, state: Row, tried: Attempted, reply: Any = None) -> list[Request]:  # noqa: ARG002
        """Outcomes of a redelivery that has been tried."""
        if state["success"]:
            return [settled(request, Outcome.SUCCEEDED, result_id=request.item.label) for request in requests]
        code = "NOT_DELIVERED" if state["status_code"] is None else f"HTTP_{state['status_code']}"
        error = None if state["error"] is None else redact_addresses(state["error"])
        return [
            settled(request, Outcome.FAILED, error_code=code, error_message=error, seen=state) for request in requests
        ]

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:  # noqa: ARG002
        """Send again what failed."""
        return plan_redeliver(failed)


REDELIVER = Redeliver()


def plan_redeliver(deliveries: pd.DataFrame, *, force: bool = False) -> Plan:
    """Plan to send webhook deliveries again (matrix row 39).

    Parameters
    ----------
    deliveries : pandas.DataFrame
        From ``ws.deliveries``. Rows that a receiver has rejected (4xx other than 408, 425, 429) are not eligible unless a column
        ``again`` is True, as it would reject them again. Nor are rows that succeeded, and those so young that the API may still be
        retrying them (one hour).
    force : bool
        Take those rows, too. A delivery that arrived and that this ledger has sent again is blocked when the plan is run, unless
        a column ``again`` is True. So Run All sends it again once.

    Returns
    -------
    Plan
        As for `plan_retry`; one request per delivery.

    Raises
    ------
    PlanError
        If columns are missing.
    ConfigError
        If `force` is neither True nor False.

    Examples
    --------
    >>> vx.plan_redeliver(vx.deliveries.lost(log)).frame["eligible"].any()
    np.False_
    """
    force = true_or_false("force", force)
    needed = (*DELIVERY_EPISODE, "created_at", "event_type")
    need(deliveries, needed, "plan_redeliver() needs deliveries", "Use ws.deliveries(since='7D').")
    now = fetched_at(deliveries)

    def judge(row: Row) -> Judged:
        if reason := _why_not(row, force=force):
            return reason, None
        episode = {name: row[name] for name in DELIVERY_EPISODE}
        more = {"again": row["again"], "loaded": None if now is None or force else now.isoformat()}
        item = REDELIVER.item(
            row,
            Subject("delivery", row["delivery_id"], row["webhook_id"]),
            episode_identity("redeliver", episode),
            episode | {name: value for name, value in more.items() if value},
            platform=row["event_type"] or "",
            account=row["webhook_id"],
            cause=f"{row['webhook_id']} {row['status_code'] or row['error'] or ''}".strip(),
        )
        return _why(row), item

    names = (*DELIVERY_EPISODE, "event_type")
    rows = plain_rows(deliveries, names, stamp="created_at", flag_names=("success", "again"))
    return build_plan(REDELIVER, deliveries, map(judge, rows))


def _why(row: Row) -> Reason:
    """Why a delivery is sent again, and what that passes over."""
    if row["success"]:
        return Reason("forced")
    return Reason("forced_though_rejected", status=row["status_code"]) if _rejected(row) else Reason("not_delivered")


def _rejected(row: Row) -> bool:
    """Whether a receiver has rejected a delivery, and would again."""
    code = row["status_code"]
    return isinstance(code, int) and 400 <= code < 500 and code not in MAY_PASS


def _why_not(row: Row, *, force: bool) -> Reason | None:
    """Why a delivery is not sent again; None if it is."""
    if (reason := why_no_id(row, "delivery_id", "webhook_id")) or force:
        return reason
    if row["success"]:
        return Reason("already_delivered")
    if _rejected(row) and not row["again"]:
        return Reason("receiver_rejected", status=row["status_code"])
    if row["age"] is None:
        return Reason("delivery_age_unknown")
    return Reason("delivery_young") if row["age"] < SERVER_RETRIES_FOR else None
