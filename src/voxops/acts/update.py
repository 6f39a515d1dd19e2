"""Update: plans to change or move posts that have not gone out (matrix row 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from voxops._support import safe
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
from voxops.frames.columns import flags, need_posts, plain_values, warn_of_typos
from voxops.frames.times import placed, plain_units, shown_zone
from voxops.sheets.rules import is_written_list, is_written_missing, utc_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UPDATE", "plan_update"]

_MONTHS = re.compile(r"month|quarter|year|\d\s*[MQY]\s*$", re.IGNORECASE)  # lengths that depend on when they begin


class _Update(Change):
    """New content, time, tags or accounts."""

    name = "update"
    verb = "update"

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:  # noqa: ARG002
        """Plan the same again; a post that is a draft by then stays one."""
        return _planned(failed, drafts=False)


UPDATE = _Update()


def plan_update(
    posts: pd.DataFrame, *, to: date | str | Iterable[Any] | None = None, by: timedelta | str | None = None
) -> Plan:
    """Plan to change posts that have not gone out, or to move them to another time (matrix row 2).

    Parameters
    ----------
    posts : pandas.DataFrame
        Rows of ``ws.posts``. Columns ``new_content``, ``new_tags`` and ``new_account_ids`` (lists, or text separated by ``;``) change
        these fields; missing values leave them as they are. Only drafts and scheduled posts can be changed. A text that was added to
        what the frame shows, as in the example, is not added again when the cell is run again, unless a column ``again`` is True.
    to : datetime, date, Timestamp or ISO text, or one per row
        The new time of all posts, with an offset or in the zone of the workspace that the frame was loaded from; of a date its
        midnight. One per row, such as a column of the frame, needs offsets; missing values leave the time as it is.
    by : Timedelta, timedelta or text such as ``"3D"`` or ``"-2h"``
        How much later each post goes out. This is elapsed time: over a change of the clocks the hour of the day moves too. A post
        whose present time this ledger has set is blocked, so that Run All does not move it twice, unless a column ``again`` is True.

    Returns
    -------
    Plan
        As for `plan_retry`; one request per post, with the version of the post that was read. A post that somebody has changed since
        the frame was loaded is blocked and not overwritten. The frame has the new times in ``new_scheduled_for``.

        A frame may have that column instead of `to` and `by`. Only then a draft gets a time, and becomes scheduled; with `to` and
        `by` drafts are held.

    Raises
    ------
    PlanError
        If columns are missing, the rows are targets, nothing is changed, more than one of `to`, `by` and ``new_scheduled_for`` is
        there, or `to` or `by` is no time.

    Examples
    --------
    >>> posts = ws.posts(status="scheduled").head(2)
    >>> plan = vx.plan_update(posts.assign(new_content=posts["content"] + " #spring"))
    >>> plan.frame["eligible"].to_list()
    [True, True]
    >>> plan = vx.plan_update(posts, by="3D")
    >>> set(plan.frame["new_scheduled_for"] - posts["scheduled_for"])
    {Timedelta('3 days 00:00:00')}
    """
    moved = to is not None or by is not None
    maker = f"use ws.posts(status='scheduled'), and pass to= or by=, or add one of {', '.join(FIELDS)}"
    need_posts(posts, ("post_id", "status", "updated_at", *(["scheduled_for"] if moved else [])), maker)
    warn_of_typos(posts, FIELDS)
    if to is not None and by is not None:
        raise PlanError("plan_update takes to= (a time) or by= (how much later), not both")
    if moved and "new_scheduled_for" in posts.columns:
        raise PlanError("the frame has times in new_scheduled_for; drop that column, or leave out to= and by=")
    if to is not None:
        several = isinstance(to, Iterable) and not isinstance(to, str)
        times = _for_each(to, posts) if several else _utc([_time(to, shown_zone(posts))] * len(posts))
        return _planned(posts.assign(new_scheduled_for=times), drafts=False, to=not several)
    if by is not None:
        step, old = _step(by), [utc_text(value) for value in plain_values(posts, "scheduled_for")]
        times = _utc([text and _later(text, step) for text in old])
        return _planned(posts.assign(new_scheduled_for=times), drafts=False, by=step)
    if not any(name in posts.columns for name in FIELDS):
        raise PlanError(f"the frame changes nothing; {maker}")
    return _planned(posts)


def _utc(times: Sequence[Any]) -> pd.DatetimeIndex:
    """Times as a column."""
    import pandas as pd

    return pd.DatetimeIndex(pd.to_datetime(pd.Series(times, dtype="object"), utc=True, format="ISO8601")).as_unit("us")


def _for_each(to: Any, posts: pd.DataFrame) -> Any:
    """One time per row, in the order of the frame; whether each is fit is decided per row."""
    import pandas as pd

    if isinstance(to, Mapping | AbstractSet | pd.DataFrame):
        raise PlanError(f"to= takes one time, or a list or column with one per row, not a {type(to).__name__}")
    if isinstance(to, pd.Series):
        if not to.index.equals(posts.index):
            raise PlanError("to= is a column of other rows than the frame; take it from the same frame")
        return to
    times = list(to)
    if len(times) != len(posts):
        raise PlanError(
            f"to= has {safe.many(len(times), 'time')}, the frame {safe.many(len(posts), 'row')}; pass one per row"
        )
    return pd.Series(times, index=posts.index)


def _planned(frame: pd.DataFrame, *, drafts: bool = True, by: timedelta | None = None, to: bool = False) -> Plan:
    """The plan of one change per post.

    `drafts` says whether drafts may get a time, `to` that all posts get the same one, so that doing it again changes nothing.
    """
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
        reason = _why_not(row, values, seen_ids, drafts=drafts, by=by is not None)
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
        if to:
            seen["to"] = True
        if by is not None or again:
            seen["again"] = again
        items.append(post_item(number, row, fingerprint("update", episode, body), ("PATCH", ""), body, seen))
    return build_plan(UPDATE, frame, items, reasons, numbers, reads=len(items))


def _why_not(
    row: Mapping[str, Any], values: Mapping[str, Any], seen_ids: set[str], *, drafts: bool, by: bool
) -> Reason | None:
    """Why a post can't be changed; None if it can."""
    if nothing := why_no_id(row, "post_id"):
        return nothing
    if row["post_id"] in seen_ids:
        return Reason("post_twice")
    if row["status"] not in OPEN:
        return Reason("not_changeable", status=row["status"])
    new, old = values["new_scheduled_for"], values["scheduled_for"]
    if row["status"] == "draft" and not drafts and (by or new is not None):
        return Reason("draft_would_go_out")
    if not by or new is not None:
        return None
    if old is None:
        return Reason("old_time_missing")
    shown = str(old)[:40]
    far = utc_text(old) is not None
    return Reason("new_time_beyond_calendar" if far else "old_time_without_offset", value=shown)


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

    if isinstance(by, Iterable) and not isinstance(by, str):
        raise PlanError(
            f"by= takes one for all posts, not a {type(by).__name__}; for one per row use to=posts['scheduled_for'] + ..."
        )
    refusal = PlanError(f"by={str(by)[:40]!r} must say how much later, such as '3D', '-2h' or pd.Timedelta(days=3)")
    try:
        step = pd.Timedelta(plain_units(by) if isinstance(by, str) else by)
    except (ValueError, TypeError):
        if _MONTHS.search(str(by)):
            raise PlanError(
                f"by={str(by)[:40]!r}: months and years have no fixed length; "
                "use to=posts['scheduled_for'] + pd.DateOffset(months=1)"
            ) from None
        raise refusal from None
    bare = isinstance(by, bool | int | float) or (
        isinstance(by, str) and by.strip().lstrip("+-").replace(".", "", 1).isdigit()
    )
    if bare or pd.isna(step) or not step:  # a number without a unit would be nanoseconds
        raise refusal
    found: timedelta = step.to_pytimedelta()
    return found
