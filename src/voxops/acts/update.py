"""Update and reschedule: plans to change posts that have not gone out (matrix row 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from voxops._support.canonical import fingerprint, in_calendar, typed_time
from voxops.acts.change import FIELDS, OPEN, Change, asked
from voxops.acts.moments import minute
from voxops.acts.operation import Item
from voxops.acts.plan import Plan, build_plan
from voxops.acts.rows import fetched_at, post_episode, post_item, target_rows, why_no_id
from voxops.api.evidence import same_time
from voxops.api.limits import CONTENT_CHARACTERS
from voxops.api.reasons import Reason
from voxops.errors import ConfigError, PlanError
from voxops.frames.columns import flags, need_posts, plain_values, warn_of_slips
from voxops.frames.times import placed, plain_units, shown_zone
from voxops.sheets.rules import is_written_list, is_written_missing, utc_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESCHEDULE", "UPDATE", "plan_reschedule", "plan_update"]

_MONTHS = re.compile(r"month|quarter|year|\d\s*[MQY]\s*$", re.IGNORECASE)  # lengths that depend on when they begin


class _Update(Change):
    """New content, time, tags or accounts."""

    name = "update"
    verb = "change"

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:  # noqa: ARG002
        """Ask for the same once more."""
        return _planned(self, failed)


class _Reschedule(Change):
    """A new time."""

    name = "reschedule"
    verb = "reschedule"

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:  # noqa: ARG002
        """Ask for the same time once more."""
        return _planned(self, failed)


UPDATE = _Update()
RESCHEDULE = _Reschedule()


def plan_update(frame: pd.DataFrame) -> Plan:
    """Plan to change posts that have not gone out (matrix row 2).

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of ``ws.posts`` with one or more of ``new_content``, ``new_scheduled_for`` (times with an offset), ``new_tags`` and
        ``new_account_ids`` (lists, or text separated by ``;``); missing values leave that part as it is. Only drafts and scheduled
        posts can be changed; a draft that gets a time becomes scheduled. A text or a move that was added to what the frame shows, as
        in the example, is not added once more when the cell is run again, unless a column ``again`` is True.

    Returns
    -------
    Plan
        As for `plan_retry`; one request per post, which bears the version of the post that was read. What somebody has changed since
        the frame was loaded is blocked and not written over.

    Raises
    ------
    PlanError
        If columns are missing, or the rows are targets.

    Examples
    --------
    >>> posts = ws.posts(status="scheduled").head(2)
    >>> plan = vx.plan_update(posts.assign(new_content=posts["content"] + " #spring"))
    >>> plan.frame["eligible"].to_list()
    [True, True]
    """
    maker = f"add one of {', '.join(FIELDS)} to rows of ws.posts(status='scheduled')"
    need_posts(frame, ("post_id", "status", "updated_at"), maker)
    warn_of_slips(frame, FIELDS)
    if not any(name in frame.columns for name in FIELDS):
        raise PlanError(f"the frame changes nothing; {maker}")
    return _planned(UPDATE, frame)


def plan_reschedule(posts: pd.DataFrame, *, to: date | str | None = None, by: timedelta | str | None = None) -> Plan:
    """Plan to move scheduled posts to another time (matrix row 2).

    Parameters
    ----------
    posts : pandas.DataFrame
        Rows of ``ws.posts(status="scheduled")``. Drafts are held: a time would let them go out.
    to : datetime, date, Timestamp or ISO text
        The new time of all of them, with an offset or in the zone of the workspace that the frame was loaded from; of a date its
        midnight.
    by : Timedelta, timedelta or text such as ``"3D"`` or ``"-2h"``
        How much later each goes out; elapsed time, so over a change of the clocks the hour of the day moves too. It is refused for a
        post whose present time this ledger has set, so that Run All does not move it twice, unless a column ``again`` is True.

    Returns
    -------
    Plan
        As for `plan_update`; the frame has the new times in ``new_scheduled_for``.

    Raises
    ------
    PlanError
        If columns are missing, the rows are targets, not exactly one of `to` and `by` was passed, or it is no time.

    Examples
    --------
    >>> posts = ws.posts(status="scheduled").head(2)
    >>> plan = vx.plan_reschedule(posts, by="3D")
    >>> set(plan.frame["new_scheduled_for"] - posts["scheduled_for"])
    {Timedelta('3 days 00:00:00')}
    """
    import pandas as pd

    if (to is None) == (by is None):
        raise PlanError("plan_reschedule takes either to= (a time) or by= (how much later)")
    need_posts(posts, ("post_id", "status", "updated_at", "scheduled_for"), "use ws.posts(status='scheduled')")
    when = _time(to, shown_zone(posts)) if to is not None else None
    step = None if by is None else _step(by)
    old = [utc_text(value) for value in plain_values(posts, "scheduled_for")]
    new = [when if step is None else text and _later(text, step) for text in old]
    times = pd.DatetimeIndex(pd.to_datetime(pd.Series(new, dtype="object"), utc=True, format="ISO8601")).as_unit("us")
    frame = posts.assign(new_scheduled_for=times)
    frame = frame.drop(columns=[name for name in FIELDS if name in frame.columns and name != "new_scheduled_for"])
    return _planned(RESCHEDULE, frame, by=step, to=when)


def _planned(act: Change, frame: pd.DataFrame, by: timedelta | None = None, to: str | None = None) -> Plan:
    """The plan of one change per post; `to` is the time of all of them, which adds up to nothing."""
    now, tz = fetched_at(frame), shown_zone(frame)
    columns = {name: plain_values(frame, name) for name in (*FIELDS, "scheduled_for", "content")}
    moment = None if now is None else now.to_pydatetime()
    items: list[Item] = []
    reasons, numbers = [], []
    seen_ids: set[str] = set()
    for number, (row, again) in enumerate(zip(target_rows(frame), flags(frame, "again"), strict=True)):
        values = {name: column[number] for name, column in columns.items()}
        numbers.append(row["attempt"])
        body: dict[str, Any] = {}
        reason = _why_not(act, row, values, seen_ids)
        if reason is None:
            body = asked(values)
            reason = _why_not_asked(body, values, moment, tz, draft=row["status"] == "draft")
        reasons.append(reason or _changes(body, values, tz))
        if reason is not None:
            continue
        seen_ids.add(row["post_id"])
        episode = post_episode(row)
        seen: dict[str, Any] = {**episode, "shown": _shown(frame, values), "tz": tz}
        if by is not None:
            seen["by"] = by.total_seconds()
        if to is not None:
            seen["to"] = True
        if by is not None or again:
            seen["again"] = again
        items.append(post_item(number, row, fingerprint(act.name, episode, body), ("PATCH", ""), body, seen))
    return build_plan(act, frame, items, reasons, numbers, reads=len(items))


def _why_not(act: Change, row: Mapping[str, Any], values: Mapping[str, Any], seen_ids: set[str]) -> Reason | None:
    """Why a post can't be changed; None if it can."""
    if nothing := why_no_id(row, "post_id"):
        return nothing
    if row["post_id"] in seen_ids:
        return Reason("post_twice")
    if row["status"] not in OPEN:
        return Reason("not_changeable", status=row["status"])
    if act.name != "reschedule":
        return None
    if row["status"] == "draft":
        return Reason("draft_would_go_out")
    if values["new_scheduled_for"] is None and values["scheduled_for"] is not None:
        shown = str(values["scheduled_for"])[:40]
        if utc_text(values["scheduled_for"]) is None:
            return Reason("old_time_without_offset", value=shown)
        return Reason("new_time_beyond_calendar", value=shown)
    return Reason("old_time_missing") if values["new_scheduled_for"] is None else None


def _why_not_asked(
    body: Mapping[str, Any], values: Mapping[str, Any], now: datetime | None, tz: str, *, draft: bool
) -> Reason | None:
    """Why what is asked can't be; None if it can."""
    if not body:
        return Reason("nothing_requested", columns=", ".join(FIELDS))
    content, when = body.get("content", "x"), values["new_scheduled_for"]
    if not isinstance(content, str) or not content.strip():
        return Reason("new_content_blank")
    if any(map(is_written_missing, (content, *body.get("tags", ())))):
        return Reason("requested_written_missing")
    if len(content) > CONTENT_CHARACTERS:
        return Reason("content_too_long", count=len(content), platform="the API", most=CONTENT_CHARACTERS)
    if "accountIds" in body and (
        not body["accountIds"] or any(":" in name or is_written_list(name) for name in body["accountIds"])
    ):
        return Reason("accounts_form")
    if any(map(is_written_list, body.get("tags", ()))):
        return Reason("tags_form")
    if when is not None and body["scheduledFor"] is None:
        shown = str(when)[:40]
        if not isinstance(when, datetime):
            return Reason("new_time_without_offset", value=shown)
        return Reason("new_time_without_zone", value=shown, zone="Europe/Berlin" if tz == "UTC" else tz)
    if when is not None and now is not None and datetime.fromisoformat(body["scheduledFor"]) <= now:
        return Reason("new_time_past")
    old = {"scheduledFor": values["scheduled_for"], "content": values["content"]}
    lets_out = draft and "scheduledFor" in body  # also with the time that it has: so it gets scheduled
    if (
        not lets_out
        and body.keys() <= old.keys()
        and all(_same(name, value, old[name]) for name, value in body.items())
    ):
        return Reason("unchanged")
    return None


def _same(name: str, value: Any, shown: Any) -> bool:
    """Whether a frame shows what is asked."""
    if name != "scheduledFor":
        return bool(value == shown)
    return same_time(value, utc_text(shown))


def _shown(frame: pd.DataFrame, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the frame showed of the fields that may have been changed within the same second as before."""
    shown = {"scheduled_for": utc_text(values["scheduled_for"]), "content": values["content"]}
    return {name: value for name, value in shown.items() if name in frame.columns}


def _changes(body: Mapping[str, Any], values: Mapping[str, Any], tz: str) -> Reason:
    """What is changed, for people; times in the zone in which they know them."""
    names = ("account_ids" if name == "accountIds" else name for name in sorted(body) if name != "scheduledFor")
    fields = ", ".join(names)
    if "scheduledFor" not in body:
        return Reason("new_values", fields=fields)
    old, new = minute(utc_text(values["scheduled_for"]), tz), minute(body["scheduledFor"], tz)
    return (
        Reason("new_values_and_time", fields=fields, old=old, new=new)
        if fields
        else Reason("new_time", old=old, new=new)
    )


def _time(to: Any, tz: str) -> str:
    """A time of the analyst's: with its own offset, or in the zone that the workspace names."""
    import pandas as pd

    _refuse_several("to", to)
    zoned = "where vx.connect(tz=) names a zone" if tz == "UTC" else f"in {tz}"
    refusal = PlanError(
        f"to={str(to)[:40]!r} must be a time such as '2026-03-05T10:00:00+01:00' or, {zoned}, '2026-03-05 10:00'"
    )
    if not isinstance(to, date | str):
        raise refusal
    try:
        time = pd.Timestamp(typed_time(to.strip()) if isinstance(to, str) else to)
        text = None if pd.isna(time) else utc_text(placed("to", to, time, tz))
    except (ValueError, TypeError):
        raise refusal from None
    except ConfigError as error:
        raise PlanError(str(error)) from None
    if text is None:
        raise refusal
    return text


def _later(text: str, step: timedelta) -> str | None:
    """A time moved by a step; None where no calendar has it."""
    try:
        moved = datetime.fromisoformat(text) + step
    except OverflowError:
        return None
    return moved.isoformat() if in_calendar(moved) else None


def _step(by: Any) -> timedelta:
    """How much later."""
    import pandas as pd

    _refuse_several("by", by)
    refusal = PlanError(f"by={str(by)[:40]!r} must say how much later, such as '3D', '-2h' or pd.Timedelta(days=3)")
    try:
        step = pd.Timedelta(plain_units(by) if isinstance(by, str) else by)
    except (ValueError, TypeError):
        if _MONTHS.search(str(by)):
            raise PlanError(
                f"by={str(by)[:40]!r}: months and years have no fixed length; use to=, or vx.plan_update(posts.assign("
                "new_scheduled_for=posts['scheduled_for'] + pd.DateOffset(months=1)))"
            ) from None
        raise refusal from None
    bare = isinstance(by, bool | int | float) or (
        isinstance(by, str) and by.strip().lstrip("+-").replace(".", "", 1).isdigit()
    )
    if bare or pd.isna(step) or not step:  # a number without a unit would be nanoseconds
        raise refusal
    found: timedelta = step.to_pytimedelta()
    return found


def _refuse_several(name: str, value: object) -> None:
    """Refuse what holds a value for each post."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        raise PlanError(
            f"{name}= takes one for all posts, not a {type(value).__name__}; for a time of its own per post use "
            "vx.plan_update(posts.assign(new_scheduled_for=...))"
        )
