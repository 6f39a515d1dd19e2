"""What the tests of acts share: frames of every kind, the calls of a plan, and requests as a ledger has them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops.acts.act import Form, Item, Request, Subject
from voxops.acts.plan import Plan
from voxops.acts.table import act_named

NOW = pd.Timestamp("2026-03-02T09:00:00Z")
OLD = NOW - pd.Timedelta("1h")
LOADED, MONDAY = "2026-03-01T09:00:00+00:00", "2026-03-02T09:00:00+00:00"


def _frame(rows: tuple[dict[str, Any], ...], base: dict[str, Any], **attrs: Any) -> pd.DataFrame:
    """Rows that differ from a base as they say, as they are loaded."""
    frame = pd.DataFrame([base | row for row in rows or ({},)])
    for name in ("updated_at", "created_at", "delivered_at"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    frame.attrs = {"fetched_at": NOW.isoformat(), **attrs}
    return frame


def targets(*rows: dict[str, Any], **attrs: Any) -> pd.DataFrame:
    """Failed targets, triaged."""
    base = {
        "post_id": "post_1", "platform": "twitter", "account_id": "acc", "status": "failed",
        "error_code": "RATE_LIMITED",
        "error_message": "later", "post_status": "failed", "updated_at": OLD, "cause": "rate", "verdict": "retry",
        "remedy": "again",
        "retryable": True,
    }  # fmt: skip
    return _frame(rows, base, **attrs)


def deliveries(*rows: dict[str, Any]) -> pd.DataFrame:
    """Deliveries that failed some hours ago."""
    base = {
        "delivery_id": "d", "webhook_id": "w", "event_type": "post.failed", "success": False, "status_code": 503,
        "latency_ms": 9,
        "retry_count": 5, "error": "x", "delivered_at": pd.NaT, "created_at": OLD - pd.Timedelta("1h"),
    }  # fmt: skip
    return _frame(rows, base)


def posts(*statuses: str, **columns: Any) -> pd.DataFrame:
    """Posts of these statuses."""
    rows = [{"post_id": f"post_{number}", "status": status} for number, status in enumerate(statuses)]
    loaded = {
        "content": "Hello",
        "updated_at": pd.to_datetime(LOADED, utc=True),
        "scheduled_for": pd.to_datetime(MONDAY, utc=True),
    }
    frame = pd.DataFrame(rows).assign(**{**loaded, **columns})
    frame.attrs["fetched_at"] = LOADED
    return frame


def sheet(count: int = 1, **columns: Any) -> pd.DataFrame:
    """Rows of a campaign, as many as the longest list has."""
    count = max([count, *(len(value) for value in columns.values() if isinstance(value, list))])
    cells = {
        "row_id": [str(number) for number in range(count)], "content": "hello", "accounts": "acc_1",
        "scheduled_for": "2027-01-01T10:00:00+01:00", **columns,
    }  # fmt: skip
    return pd.DataFrame(
        {name: value if isinstance(value, list | pd.Series) else [value] * count for name, value in cells.items()}
    )


def calls(plan: Plan) -> list[list[Item]]:
    """The items of each call of a plan, in the order of sending, as the engine groups them."""
    found: list[list[Item]] = []
    for _, items in plan.chunks():
        groups: dict[str, list[Item]] = {}
        for item in items:
            groups.setdefault(item.group, []).append(item)
        found += groups.values()
    return found


def forms(plan: Plan) -> list[Form]:
    """The calls of a plan."""
    return [act_named(items[0].act).form(items) for items in calls(plan)]


def keys_of(plan: Plan) -> list[str]:
    """The keys of the calls of a plan."""
    return [form.key for form in forms(plan)]


def item(act: str, subject: Subject, path: str, body: dict[str, Any] | None = None, **seen: Any) -> Item:
    """A row of a plan; `seen` may have its platform and account."""
    method = "PATCH" if act == "update" else "POST"
    platform, account = (str(seen.get(name, "")) for name in ("platform", "account_id"))
    return Item(0, act, "i", 1, subject, path, seen, body, method, platform, account)


def request(wanted: Item, number: int = 1, **details: Any) -> Request:
    """A row as a ledger has it."""
    return Request(number, wanted, **details)
