"""Redeliver: send webhook deliveries again (matrix row 39)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voxops.acts.act import DeliveryAct
from voxops.acts.operation import Item, Past, Subject
from voxops.acts.plan import Plan, build_plan
from voxops.acts.rows import age_of, delivery_rows, episode_identity, fetched_at, why_no_id
from voxops.api.assumptions import MAY_PASS
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import SERVER_RETRIES_FOR
from voxops.errors import PlanError
from voxops.frames.columns import flags, need_columns
from voxops.frames.records import DELIVERY_EPISODE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["REDELIVER", "plan_redeliver"]


_YOUNG = Reason("delivery_young")


class _Redeliver(DeliveryAct):
    """One request per delivery; it is queued, and the delivery's record changes when it has been tried."""

    name = "redeliver"
    verb = "redeliver"

    def why_changed(self, item: Item, state: Mapping[str, Any] | None) -> Reason | None:
        """Also hold what is younger than its frame said, whose times were cut or have lost their zone on the way."""
        loaded, created = item.seen.get("loaded"), (state or {}).get("created_at")
        if loaded and created and datetime.fromisoformat(loaded) - datetime.fromisoformat(created) < SERVER_RETRIES_FOR:
            return _YOUNG
        return super().why_changed(item, state)

    def why_again(self, item: Item, state: Any, before: Sequence[Past]) -> Reason | None:  # noqa: ARG002  what the frame showed counts
        """What has arrived is not sent again that this ledger has sent again before: each success would be a new request."""
        again = not item.seen.get("success") or item.seen.get("again") or not before
        return None if again else Reason("redelivered_before")

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:  # noqa: ARG002
        """By the outcome of the run; causes are the kinds of events."""
        return str(row["event_type"]), {"succeeded": "recovered", "failed": "failed_same"}.get(
            row["outcome"], "pending"
        )

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:  # noqa: ARG002
        """Send again what failed."""
        return plan_redeliver(failed)


REDELIVER = _Redeliver()


def plan_redeliver(deliveries: pd.DataFrame, *, force: bool = False) -> Plan:
    """Plan to send webhook deliveries again (matrix row 39).

    Parameters
    ----------
    deliveries : pandas.DataFrame
        From ``ws.deliveries``. Rows that a receiver has rejected (4xx other than 408, 425, 429) are held unless a column ``again`` is
        True, as it would reject them again. Rows that succeeded, and those so young that the API may still be retrying them by itself (one
        hour), are held.
    force : bool
        Take those rows, too. What has arrived and was sent again by this ledger before is held when it is run, so that Run All sends it
        again once, unless a column ``again`` is True.

    Returns
    -------
    Plan
        As for `plan_retry`; one request per delivery.

    Raises
    ------
    PlanError
        If columns are missing, or `force` is neither True nor False.

    Examples
    --------
    >>> vx.plan_redeliver(vx.deliveries.lost(log)).frame["eligible"].any()
    np.False_
    """
    if not isinstance(force, bool):
        raise PlanError(f"force= must be True or False, not {type(force).__name__}")
    need_columns(deliveries, (*DELIVERY_EPISODE, "created_at", "event_type"), "use ws.deliveries(since='7D')")
    now = fetched_at(deliveries)
    items, reasons, numbers = [], [], []
    seen_ids: set[str] = set()
    for number, (row, again) in enumerate(zip(delivery_rows(deliveries), flags(deliveries, "again"), strict=True)):
        numbers.append(row["attempt"])
        reason = _why_not_redeliver(row, seen_ids, now, force=force, again=again)
        reasons.append(reason or _why(row))
        if reason is not None:
            continue
        seen_ids.add(row["delivery_id"])
        episode = {name: row[name] for name in DELIVERY_EPISODE}
        seen = {**episode, "again": True} if again else dict(episode)
        if now is not None and not force:
            seen["loaded"] = now.isoformat()
        items.append(
            Item(
                row=number,
                identity=episode_identity("redeliver", episode),
                attempt=row["attempt"],
                subject=Subject("delivery", row["delivery_id"], row["webhook_id"]),
                label=row["delivery_id"],
                platform=row["event_type"] or "",
                account=row["webhook_id"],
                cause=f"{row['webhook_id']} {row['status_code'] or row['error'] or ''}".strip(),
                method="POST",
                path=f"/v1/webhooks/{row['webhook_id']}/deliveries/{row['delivery_id']}/retry",
                body=None,
                seen=seen,
            )
        )
    return build_plan(REDELIVER, deliveries, items, reasons, numbers)


def _why(row: Mapping[str, Any]) -> Reason:
    """Why a delivery is sent again, and what that passes over."""
    if row["success"]:
        return Reason("forced")
    return Reason("forced_though_rejected", status=row["status_code"]) if _rejected(row) else Reason("not_delivered")


def _rejected(row: Mapping[str, Any]) -> bool:
    """Whether a receiver has rejected a delivery, and would again."""
    return (
        isinstance(row["status_code"], int) and 400 <= row["status_code"] < 500 and row["status_code"] not in MAY_PASS
    )


def _why_not_redeliver(
    row: Mapping[str, Any], seen_ids: set[str], now: pd.Timestamp | None, *, force: bool, again: bool
) -> Reason | None:
    """Why a delivery is not sent again; None if it is."""
    if nothing := why_no_id(row, "delivery_id", "webhook_id"):
        return nothing
    if row["delivery_id"] in seen_ids:
        return Reason("delivery_twice")
    if force:
        return None
    if row["success"]:
        return Reason("already_delivered")
    if _rejected(row) and not again:
        return Reason("receiver_rejected", status=row["status_code"])
    age = age_of(row, now)
    if age is None:
        return Reason("delivery_age_unknown")
    if age < SERVER_RETRIES_FOR:
        return _YOUNG
    return None
