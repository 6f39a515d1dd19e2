"""Planners for acts on what exists: retry, fix, cancel, redeliver. Each takes a frame and returns a `Plan`; nothing is sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from voxops._core.canonical import fingerprint
from voxops.acts.plan import Item, Plan, build_plan
from voxops.api.limits import CONTENT_CHARACTERS
from voxops.errors import PlanError
from voxops.frames.columns import attempts, flags, instants, need_columns, plain_values
from voxops.model import IN_FLIGHT_STATUSES, STUCK_AFTER, Action, Verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "delivery_rows",
    "plan_cancel",
    "plan_fix",
    "plan_redeliver",
    "plan_retry",
    "seen_of_delivery",
    "seen_of_target",
    "target_rows",
]

SERVER_RETRIES_FOR = timedelta(hours=1)  # a delivery, by the API itself; its schedule is not published (rule 19)


@dataclass(frozen=True, slots=True)
class _Open:
    """Targets of one post that are not published: failed, in flight, and of these the ones chosen by hand."""

    failed: int
    in_flight: int
    chosen: int

    @property
    def moving(self) -> bool:
        """Whether a target is about to end by itself and was not chosen: nothing may touch the post then (rule 3)."""
        return self.in_flight > self.chosen


_TARGET = ("post_id", "platform", "account_id", "status", "error_code", "error_message", "post_status", "updated_at")
_TIMES = frozenset({"updated_at", "delivered_at"})
_NUMBERS = frozenset({"status_code", "latency_ms", "retry_count"})
_MOVING = "another target of this post is still publishing"
_TWICE = "this target stands in the frame twice"
_DELIVERY = (
    "delivery_id",
    "webhook_id",
    "success",
    "status_code",
    "latency_ms",
    "retry_count",
    "error",
    "delivered_at",
)


def plan_retry(triaged: pd.DataFrame) -> Plan:
    """Plan to retry the failed targets of a triaged frame.

    A retry acts on a whole *post*: it re-queues every target that is not published. So it is used where all of a post's
    failed targets are in the frame and retryable; elsewhere each row gets a fix of its one target that changes nothing
    (rule 3).

    Parameters
    ----------
    triaged : pandas.DataFrame
        From ``vx.triage``: one row per post and platform. Set ``retryable`` to True in pandas to retry what the rules would
        not; the plan records that it was you. A column ``attempt`` (default 1) makes a deliberate further attempt.

    Returns
    -------
    Plan
        ``plan.frame`` has the input's rows and columns, and ``eligible reason attempt batch idempotency_key request``.

    Raises
    ------
    PlanError
        If columns are missing. A single unfit row is held, with its reason.
    """
    need_columns(triaged, (*_TARGET, "verdict", "retryable"), "use vx.triage(vx.targets(posts))")
    rows = list(target_rows(triaged))
    now = _fetched(triaged)
    opened = _open_targets(triaged, rows)
    why = [
        _TWICE if again else _why_not_retry(row, opened[row["post_id"] or ""], now)
        for row, again in zip(rows, _again(rows), strict=True)
    ]
    picked = Counter(row["post_id"] for row, reason in zip(rows, why, strict=True) if reason is None)
    items, reasons = [], []
    for number, (row, reason) in enumerate(zip(rows, why, strict=True)):
        reasons.append(reason or _why_retry(row))
        if reason is not None:
            continue
        post = opened[row["post_id"]]
        whole = picked[row["post_id"]] == post.failed + post.in_flight
        path = f"/v1/posts/{row['post_id']}/retry" if whole else _fix_path(row)
        items.append(_target_item(number, row, Action.RETRY, path, None if whole else {}))
    reads = sum(item.body is not None for item in items)
    return build_plan(Action.RETRY, triaged, items, reasons, [row["attempt"] for row in rows], reads=reads)


def plan_fix(frame: pd.DataFrame) -> Plan:
    """Plan to replace the content or the medium of single targets and send them again (matrix row 10).

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of ``vx.targets`` or ``vx.triage`` with ``new_content`` or ``new_media_url`` (https) or both; missing values leave
        that part as it is.

    Returns
    -------
    Plan
        As for `plan_retry`; each row is a request of its own.

    Raises
    ------
    PlanError
        If columns are missing.
    """
    maker = "add new_content or new_media_url to rows of vx.targets(posts)"
    need_columns(frame, _TARGET, maker)
    if "new_content" not in frame.columns:
        need_columns(frame, ["new_media_url"], maker)
    rows = list(target_rows(frame))
    opened = _open_targets(frame, rows)
    now = _fetched(frame)
    items, reasons = [], []
    for number, (row, again) in enumerate(zip(rows, _again(rows), strict=True)):
        body = _fix_body(row)
        reason = _TWICE if again else _why_not_fix(body) or _why_not_act(row, now)
        if reason is None and opened[row["post_id"]].moving:
            reason = _MOVING
        reasons.append(reason or "new " + " and ".join(sorted(body)))
        if reason is None:
            items.append(_target_item(number, row, Action.FIX, _fix_path(row), body))
    return build_plan(Action.FIX, frame, items, reasons, [row["attempt"] for row in rows], reads=len(items))


def plan_cancel(posts: pd.DataFrame) -> Plan:
    """Plan to withdraw posts that have not gone out (matrix row 6).

    Parameters
    ----------
    posts : pandas.DataFrame
        From ``ws.posts``; only drafts and scheduled posts are eligible.

    Returns
    -------
    Plan
        As for `plan_retry`; one request per post.

    Raises
    ------
    PlanError
        If columns are missing.
    """
    need_columns(posts, ("post_id", "status", "updated_at"), "use ws.posts(status='scheduled')")
    items, reasons, numbers = [], [], []
    seen_ids: set[str] = set()
    for number, row in enumerate(target_rows(posts)):
        numbers.append(row["attempt"])
        reason = None
        if row["post_id"] is None:
            reason = "no post id"
        elif row["post_id"] in seen_ids:
            reason = "this post stands in the frame twice"
        elif row["status"] not in {"draft", "scheduled"}:
            reason = f"only drafts and scheduled posts can be cancelled; this one is {row['status']}"
        reasons.append(reason or "not out yet")
        if reason is not None:
            continue
        seen_ids.add(row["post_id"])
        seen = {"post_id": row["post_id"], "post_status": row["status"], "updated_at": row["updated_at"]}
        items.append(
            Item(
                row=number,
                identity=fingerprint("cancel", seen),
                attempt=row["attempt"],
                subject=f"post:{row['post_id']}",
                label=row["post_id"],
                platform="",
                account="",
                cause=row["status"],
                method="POST",
                path=f"/v1/posts/{row['post_id']}/cancel",
                body=None,
                seen=seen,
            )
        )
    return build_plan(Action.CANCEL, posts, items, reasons, numbers)


def plan_redeliver(deliveries: pd.DataFrame, *, force: bool = False) -> Plan:
    """Plan to send webhook deliveries again (matrix row 39).

    Parameters
    ----------
    deliveries : pandas.DataFrame
        From ``ws.deliveries``. Rows that succeeded, and those so young that the API may still be retrying them by itself (one
        hour), are held.
    force : bool
        Take those rows, too.

    Returns
    -------
    Plan
        As for `plan_retry`; one request per delivery.

    Raises
    ------
    PlanError
        If columns are missing, or `force` is neither True nor False.
    """
    if not isinstance(force, bool):
        raise PlanError(f"force= must be True or False, not a {type(force).__name__}")
    need_columns(deliveries, (*_DELIVERY, "created_at", "event_type"), "use ws.deliveries(since='7D')")
    now = _fetched(deliveries)
    items, reasons, numbers = [], [], []
    seen_ids: set[str] = set()
    for number, row in enumerate(delivery_rows(deliveries)):
        numbers.append(row["attempt"])
        reason = _why_not_redeliver(row, seen_ids, now, force=force)
        reasons.append(reason or ("forced" if row["success"] else "not delivered"))
        if reason is not None:
            continue
        seen_ids.add(row["delivery_id"])
        seen = seen_of_delivery(row)
        items.append(
            Item(
                row=number,
                identity=fingerprint("redeliver", seen),
                attempt=row["attempt"],
                subject=f"delivery:{row['delivery_id']}",
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
    return build_plan(Action.REDELIVER, deliveries, items, reasons, numbers)


def seen_of_target(row: Mapping[str, Any]) -> dict[str, Any]:
    """The episode of a target: what its failure is, and nothing that another listing could leave out (rule 4)."""
    return {name: row[name] for name in _TARGET}


def seen_of_delivery(row: Mapping[str, Any]) -> dict[str, Any]:
    """The episode of a delivery: everything that a further try of the server would change (rule 19)."""
    return {name: row[name] for name in _DELIVERY}


def _target_item(number: int, row: Mapping[str, Any], action: Action, path: str, body: dict[str, Any] | None) -> Item:
    """An item that acts on one target of a post."""
    seen = seen_of_target(row)
    return Item(
        row=number,
        identity=fingerprint(str(action), seen),
        attempt=row["attempt"],
        subject=f"post:{row['post_id']}",
        label=row["post_id"],
        platform=row["platform"] or "",
        account=row["account_id"] or "",
        cause=row["cause"] or row["error_code"] or "",
        method="POST",
        path=path,
        body=body,
        seen=seen,
    )


def _fix_path(row: Mapping[str, Any]) -> str:
    """Where a fix goes; the target is named by platform and account until its id has been read."""
    return f"/v1/posts/{row['post_id']}/platforms/{row['platform']}~{row['account_id']}/fix"


def _fix_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a fix asks for."""
    body = {"content": row["new_content"], "mediaUrl": row["new_media_url"]}
    return {name: value for name, value in body.items() if value is not None}


def _why_not_act(row: Mapping[str, Any], now: pd.Timestamp | None) -> str | None:
    """Why no act may touch this target, whatever its verdict; None if one may."""
    if row["post_id"] is None:
        return "no post id"
    if row["platform"] is None or row["account_id"] is None:
        return "the post lists no target with a platform and an account"
    if row["status"] == "published":
        return "already published"
    if row["status"] in IN_FLIGHT_STATUSES:
        age = _age(row, now)
        if age is None or age < STUCK_AFTER:
            return f"still {row['status']}; wait until it is 10 minutes old"
        if not row["retryable"]:
            return f"still {row['status']}; if it is stuck, set retryable to True"
        return None
    if row["status"] != "failed":
        return f"the target is {row['status'] or 'of unknown status'}, not failed"
    return None


def _why_not_retry(row: Mapping[str, Any], post: _Open, now: pd.Timestamp | None) -> str | None:
    """Why a row is not retried; None if it is."""
    reason = _why_not_act(row, now)
    if reason is not None:
        return reason
    if not row["retryable"]:
        return f"{row['verdict'] or 'not triaged'}: {row['remedy'] or 'not retryable'}"
    return _MOVING if post.moving else None


def _why_retry(row: Mapping[str, Any]) -> str:
    """Why a row is retried, and on whose word."""
    if row["verdict"] in {Verdict.RETRY, Verdict.WAIT}:
        return f"{row['verdict']}: {row['remedy'] or 'may succeed as it is'}"
    return f"the analyst says so (verdict: {row['verdict'] or 'none'})"


def _why_not_fix(body: Mapping[str, Any]) -> str | None:
    """Why a row's fix can't be asked for; None if it can."""
    if not body:
        return "neither new_content nor new_media_url"
    if not all(isinstance(value, str) and value.strip() for value in body.values()):
        return "new_content and new_media_url must be text, and not blank"
    if len(body.get("content", "")) > CONTENT_CHARACTERS:
        return f"new_content has {len(body['content'])} characters; {CONTENT_CHARACTERS:,} is the most"
    if not body.get("mediaUrl", "https://").startswith("https://"):
        return "new_media_url must start with https://"
    return None


def _why_not_redeliver(
    row: Mapping[str, Any], seen_ids: set[str], now: pd.Timestamp | None, *, force: bool
) -> str | None:
    """Why a delivery is not sent again; None if it is."""
    if row["delivery_id"] is None or row["webhook_id"] is None:
        return "no delivery id or no webhook id"
    if row["delivery_id"] in seen_ids:
        return "this delivery stands in the frame twice"
    if force:
        return None
    if row["success"]:
        return "already delivered"
    age = _age(row, now)
    if age is None:
        return "its age is not known; load it again with ws.deliveries, or take it all the same with force=True"
    if age < SERVER_RETRIES_FOR:
        return "younger than an hour: the API may still retry it by itself (force=True takes it all the same)"
    return None


def _open_targets(frame: pd.DataFrame, rows: list[dict[str, Any]]) -> dict[str, _Open]:
    """What is open per post: as the frame shows it, or more where the posts had more before the frame was filtered."""
    now = _fetched(frame)
    known: dict[str, list[int]] = json.loads(frame.attrs.get("open_targets") or "{}")
    failed, in_flight, chosen = Counter[str](), Counter[str](), Counter[str]()
    for row, again in zip(rows, _again(rows), strict=True):
        if again:
            continue
        post = row["post_id"] or ""
        failed[post] += row["status"] == "failed"
        if row["status"] in IN_FLIGHT_STATUSES:
            in_flight[post] += 1
            chosen[post] += _why_not_act(row, now) is None
    opened = {}
    for post in {row["post_id"] or "" for row in rows}:
        before = known.get(post, [0, 0])
        opened[post] = _Open(max(failed[post], before[0]), max(in_flight[post], before[1]), chosen[post])
    return opened


def _again(rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which rows are about a target that an earlier row is about."""
    places = [(row["post_id"], row["platform"], row["account_id"]) for row in rows]
    first = {place: number for number, place in reversed(list(enumerate(places)))}
    return [first[place] != number for number, place in enumerate(places)]


def _fetched(frame: pd.DataFrame) -> pd.Timestamp | None:
    """When the frame was loaded, in server time; None for a frame of unknown origin."""
    import pandas as pd

    fetched = frame.attrs.get("fetched_at")
    return None if fetched is None else pd.Timestamp(fetched)


def _age(row: Mapping[str, Any], now: pd.Timestamp | None) -> timedelta | None:
    """How old the row's last change was when it was loaded; None if it can't be told."""
    if now is None or row["_stamp"] is None:
        return None
    age: timedelta = (now - row["_stamp"]).to_pytimedelta()
    return age


def target_rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of a targets frame as plain values: text or None, times as ISO text in UTC, flags as bool; the attempt from 1."""
    names = (*_TARGET, "target_id", "platform_post_id", "cause", "verdict", "remedy", "new_content", "new_media_url")
    return _rows(frame, names, stamp="updated_at", flag="retryable")


def delivery_rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of a deliveries frame as plain values, as in `target_rows`."""
    return _rows(frame, (*_DELIVERY, "event_type"), stamp="created_at", flag="success")


def _rows(frame: pd.DataFrame, names: Sequence[str], *, stamp: str, flag: str) -> Iterator[dict[str, Any]]:
    """Rows as dicts; `stamp` is also given as a Timestamp under ``_stamp``."""
    columns: dict[str, Sequence[Any]] = {name: _read(frame, name) for name in names}
    columns["_stamp"] = instants(frame, stamp)
    columns[flag] = flags(frame, flag)
    columns["attempt"] = attempts(frame)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _read(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain values that are the same after a detour through a file: times in one form, counts whole."""
    if name in _TIMES:
        return [None if when is None else when.isoformat() for when in instants(frame, name)]
    values = plain_values(frame, name)
    if name in _NUMBERS:
        return [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
    return values
