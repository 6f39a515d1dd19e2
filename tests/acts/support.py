"""What the tests of acts share: frames of every kind, the calls of a plan, and requests as a ledger has them."""

import pandas as pd

from voxops.acts import act_named
from voxops.acts.act import Item, Request

NOW = pd.Timestamp("2026-03-02T09:00:00Z")
OLD = NOW - pd.Timedelta("1h")
LOADED, MONDAY = "2026-03-01T09:00:00+00:00", "2026-03-02T09:00:00+00:00"


def _frame(rows, base, **attrs):
    """Rows that differ from a base as they say, as they are loaded."""
    frame = pd.DataFrame([base | row for row in rows or ({},)])
    for name in ("updated_at", "created_at", "delivered_at"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    frame.attrs = {"fetched_at": NOW.isoformat(), **attrs}
    return frame


def targets(*rows, **attrs):
    """Failed targets, triaged."""
    base = {
        "post_id": "post_1", "platform": "twitter", "account_id": "acc", "status": "failed",
        "error_code": "RATE_LIMITED",
        "error_message": "later", "post_status": "failed", "updated_at": OLD, "cause": "rate", "verdict": "retry",
        "remedy": "again",
        "retryable": True,
    }  # fmt: skip
    return _frame(rows, base, **attrs)


def deliveries(*rows):
    """Deliveries that failed some hours ago."""
    base = {
        "delivery_id": "d", "webhook_id": "w", "event_type": "post.failed", "success": False, "status_code": 503,
        "latency_ms": 9,
        "retry_count": 5, "error": "x", "delivered_at": pd.NaT, "created_at": OLD - pd.Timedelta("1h"),
    }  # fmt: skip
    return _frame(rows, base)


def posts(*statuses, **columns):
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


def sheet(count=1, **columns):
    """Rows of a campaign, as many as the longest list has."""
    count = max([count, *(len(value) for value in columns.values() if isinstance(value, list))])
    cells = {
        "row_id": [str(number) for number in range(count)], "content": "hello", "accounts": "acc_1",
        "scheduled_for": "2027-01-01T10:00:00+01:00", **columns,
    }  # fmt: skip
    return pd.DataFrame(
        {name: value if isinstance(value, list | pd.Series) else [value] * count for name, value in cells.items()}
    )


def calls(plan):
    """The items of each call of a plan, in the order of sending, as the engine groups them."""
    found = []
    for _, items in plan.chunks():
        groups = {}
        for item in items:
            groups.setdefault(item.group, []).append(item)
        found += groups.values()
    return found


def forms(plan):
    """The calls of a plan."""
    return [act_named(items[0].act).form(items) for items in calls(plan)]


def keys_of(plan):
    """The keys of the calls of a plan."""
    return [form.key for form in forms(plan)]


def item(act, subject, path, body=None, **seen):
    """A row of a plan; `seen` may have its platform and account."""
    method = "PATCH" if act == "update" else "POST"
    platform, account = (str(seen.get(name, "")) for name in ("platform", "account_id"))
    return Item(0, act, "i", 1, subject, path, seen, body, method, platform, account)


def request(wanted, number=1, **details):
    """A row as a ledger has it."""
    return Request(number, wanted, **details)
