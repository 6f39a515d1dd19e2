"""Update: change or move posts that are not published yet, under the version that was read (matrix row 2).

The request is absolute, also for a new time, so sending it twice has the effect of once. A post that somebody else has changed is
blocked, not overwritten. A change is settled when the post shows the requested fields. Under one name a field of a post is set once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import pandas as pd

from voxops._support import safe
from voxops._support.canonical import as_kept, as_read, canonical, fingerprint, typed_time
from voxops.acts import keys
from voxops.acts.act import (
    Form,
    Item,
    Judged,
    PostAct,
    Request,
    Requests,
    Row,
    Subject,
    blocked,
    changed_since_loaded,
    settled,
)
from voxops.acts.plan import (
    COLUMN_OF,
    Plan,
    build_plan,
    columns_of,
    episode_identity,
    fetched_at,
    post_episode,
    target_rows,
    why_no_id,
    why_unfit,
)
from voxops.api.error_bodies import read_answer
from voxops.api.evidence import Attempted, Baseline, same_text, same_time, untouched
from voxops.api.limits import RESEND_UNANSWERED
from voxops.api.reasons import Reason
from voxops.api.states import PostState, as_mark
from voxops.errors import ConfigError, PlanError
from voxops.frames.cells import is_missing, metadata_value
from voxops.frames.checks import need_posts, plain_values, warn_of_typos
from voxops.frames.records import read_post
from voxops.frames.times import parse_times, placed, plain_units, shown_zone
from voxops.model import Outcome
from voxops.sheets.rules import split_list, tags_in, utc_text

# Column -> the field that it changes. Fields that the API does not return, such as media, are not here: nothing could settle a change of them.
FIELDS = {
    "new_content": "content",
    "new_scheduled_for": "scheduledFor",
    "new_tags": "tags",
    "new_account_ids": "accountIds",
}
OPEN = frozenset({"draft", "scheduled"})  # statuses in which a post can be changed
NOT_AS_ASKED = "NOT_AS_ASKED"  # error code of a change that the API took, after which the post shows something else
_TOOK_EFFECT = frozenset({NOT_AS_ASKED, "STUCK"})  # errors of changes that may have taken effect


class Update(PostAct):
    """One request per post, under its version; the answer is the post, and so is a reading.

    `seen` of an item has what the frame showed (`shown`), and of a named change its name (`change`) and whether it moves `by` a time.
    """

    name = "update"
    place = "PATCH /v1/posts/{0.id}"
    verb = "update"
    sends = False
    alone = True
    reverts = True
    answers: ClassVar[frozenset[str]] = frozenset({"id"})

    def form(self, items: Sequence[Item], state: PostState | None = None, people: Row | None = None) -> Form:
        """A named change also writes its marks, beside the whole metadata as just read."""
        form, (item,) = super().form(items, people=people), items
        metadata = None if state is None else _metadata(item, state)
        return form if metadata is None else replace(form, body=canonical({**item.requested, "metadata": metadata}))

    def why_not(self, item: Item, state: PostState, past: Requests) -> Reason | None:  # noqa: ARG002
        """Block what has changed since the frame was loaded, what the frame showed of it included."""
        if state.status not in OPEN:
            return Reason("not_changeable", status=state.status)
        if state.source == "single" and state.version is None:
            return Reason("post_without_version")
        changed = changed_since_loaded({**item.seen, **item.seen.get("shown", {})}, state)
        return changed or (Reason("made_of_cut_text") if _is_made_of_a_cut(item, state) else None)

    def done_before(self, request: Request, state: PostState, past: Requests) -> Request | Reason | None:
        """Under one name a field is set once; without a name it is changed once by a ledger, unless it shows what is requested."""
        item, body = request.item, request.item.requested
        name, (before, surely) = item.seen.get("change", ""), _values_before(request, state, past)
        shows = _compared(body, state)
        same = [field for field in before if keys.value_mark(body[field]) in before[field]]
        if name and before.keys() == body.keys():
            if (item.seen.get("by") or same == list(before)) and (surely == body.keys() or all(shows.values())):
                return _done(request)
            other = [field for field in before if field not in same] or list(before)
        else:  # what the API has kept in its own way is as requested
            kept = _compared(body, state, loosely=True)
            shows |= {field: kept[field] or shows[field] for field in same}
            other = [field for field in before if shows[field] is False]
        if other:
            fields = ", ".join(sorted(other))
            return Reason("changed_before", fields=fields, name=f"change={name!r}" if name else "no name")
        return _done(request) if all(shows.values()) and not _waits_as_draft(item, state) else None

    def settle_answer(self, requests: Requests, data: Any, *, first: bool) -> list[Request]:  # noqa: ARG002
        """The answer is the post: changed, unless it shows something else than requested."""
        state = read_post(data)
        done = []
        for request in requests:
            if state is None or state.post_id != request.item.subject.id or _waits_as_draft(request.item, state):
                continue  # a draft may be scheduled in a moment: readings tell
            shows = _compared(request.item.requested, state, loosely=True)
            other = ", ".join(name for name, is_shown in shows.items() if is_shown is False)
            done.append(_not_as_asked(request, Reason("shows_another", fields=other)) if other else _done(request))
        return done

    def settle_refusal(self, requests: Requests, data: Any) -> list[Request]:
        """Block after a conflict: another person has changed the post, so a person must look at it."""
        answer = read_answer(data)
        if answer.code != "CONFLICT":
            return []
        return [blocked(request, Reason("version_conflict", message=answer.message[:200])) for request in requests]

    def shows_nothing(self, requests: Requests, state: PostState, baseline: Baseline | None) -> bool:
        """Whether the post is neither as requested nor changed."""
        items = (request.item for request in requests)
        done = any(_shows(item.requested, state) and not _waits_as_draft(item, state) for item in items)
        return untouched(state, baseline) and not done

    def became(self, request: Request, state: PostState, tried: Attempted) -> Request | None:
        """A post that shows the request is done, whoever did it. One with another change is blocked, once no try can be in flight.

        Its version has moved on, so the API would refuse a request that is still on its way.
        """
        item, moved_on = request.item, not untouched(state, tried.baseline)
        late = moved_on and tried.since >= RESEND_UNANSWERED
        shows = _compared(item.requested, state, loosely=moved_on and not _shows(_as_shown(item), state)).values()
        if all(shows) and not _waits_as_draft(item, state):
            return _done(request)
        if all(shows) and late:
            return _not_as_asked(request, Reason("still_a_draft"))
        return blocked(request, Reason("changed_since_sent")) if False in shows and late else None

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:  # noqa: ARG002
        """Plan the same again; a post that is a draft by then stays one."""
        return _planned(failed, drafts=False)


UPDATE = Update()


def _done(request: Request) -> Request:
    return settled(request, Outcome.SUCCEEDED, result_id=request.item.subject.id)


def _not_as_asked(request: Request, why: Reason) -> Request:
    return settled(request, Outcome.FAILED, error_code=NOT_AS_ASKED, error_message=str(why))


def _values_before(request: Request, state: PostState, past: Requests) -> tuple[dict[str, set[str]], set[str]]:
    """Field -> marks of the values that may have been set before, under the change's name or, without one, by this ledger; and which surely were."""
    item, values = request.item, {field: set[str]() for field in request.item.requested}
    surely, name = set[str](), item.seen.get("change", "")
    for earlier in past:
        before = earlier.item
        took_effect = earlier.error_code in _TOOK_EFFECT and before.attempt >= item.attempt
        failed = earlier.outcome is Outcome.FAILED and not took_effect
        if failed or before.act != item.act or name not in {"", before.seen.get("change", "")}:
            continue
        for field in values.keys() & before.requested.keys():
            values[field].add(keys.value_mark(before.requested[field]))
            if earlier.outcome.final or _compared(before.requested, state)[field]:
                surely.add(field)
    marks = metadata_value(state.metadata, ["voxopsChanges"])
    for field in values if name and isinstance(marks, Mapping) else ():
        if written := marks.get(keys.change_mark(name, field, state.post_id)):
            values[field].add(as_mark(written) or "")
            surely.add(field)
    return {field: some for field, some in values.items() if some}, surely


def _metadata(item: Item, state: PostState) -> dict[str, Any] | None:
    """The metadata that a named change writes: all that was read, and its marks.

    None where it might wipe a mark: the reading shows no metadata, or not every mark of the create whole.
    """
    name, shown = item.seen.get("change"), dict(state.metadata or {})
    ours = [shown[field] for field in ("voxopsRow", "voxopsOp", "voxopsCampaign", "voxopsAsked") if field in shown]
    before = shown.get("voxopsChanges", {})
    wipes = not isinstance(before, Mapping) or (ours and None in {state.marks[1], *map(as_mark, ours)})
    if not name or not shown or wipes:
        return None
    marks = {
        keys.change_mark(name, field, state.post_id): keys.value_mark(value) for field, value in item.requested.items()
    }
    return {**shown, "voxopsChanges": {**before, **marks, **keys.field_marks(item.requested)}}


def _as_shown(item: Item) -> dict[str, Any]:
    """What the frame showed of a text and a time that a change is about: a post that still shows both was not changed there."""
    shown, names = item.seen.get("shown", {}), (("content", "content"), ("scheduledFor", "scheduled_for"))
    return {field: shown[name] for field, name in names if item.requested.get(field) and shown.get(name)}


def _is_made_of_a_cut(item: Item, state: PostState) -> bool:
    """Whether a new text has what the frame showed of the old one, and that was cut: what was behind would be lost."""
    text, now = item.requested.get("content") or "", state.content or ""
    shown = item.seen.get("shown", {}).get("content") or ""
    beginning = shown.rstrip(".… ")
    cut = beginning in text and len(now) > len(beginning) and same_text(shown, now)
    return bool(beginning) and cut and as_read(shown) != as_read(now)


def _requested(row: Row) -> dict[str, Any]:
    """What a change requests, out of the columns of a row."""
    read: dict[str, Callable[[Any], Any]] = {"scheduledFor": utc_text, "tags": tags_in, "accountIds": split_list}
    body = {}
    for column, name in FIELDS.items():
        value = row[column]
        if value is not None and not (name == "tags" and _is_blank(value)):
            wanted = read[name](value) if name in read else value
            body[name] = list(dict.fromkeys(wanted)) if isinstance(wanted, list) else wanted  # a tag is added once
    return body


def _is_blank(value: Any) -> bool:
    """Whether a cell is empty: a file makes ``""`` of a missing value, ``groupby`` a list of it. An empty list requests no tags."""
    parts = value if isinstance(value, list | tuple) and value else [value]
    return all(is_missing(part) or (isinstance(part, str) and not part.strip()) for part in parts)


def _compared(body: Row, state: PostState, *, loosely: bool = False) -> dict[str, bool | None]:
    """Whether the post shows each requested field as requested; None where it does not show the field, or only its beginning.

    An API may keep blanks in its own way, and times to the minute: `loosely` takes that for what was requested. That holds only of a
    post that was changed since, else a change of blanks or of seconds alone would be none.
    """
    form = as_read if loosely else as_kept
    shows: dict[str, bool | None] = dict.fromkeys(body)
    if state.content is not None and "content" in body:
        cut = state.source == "list" and same_text(state.content, str(body["content"]))
        shows["content"] = form(state.content) == form(str(body["content"])) or (None if cut else False)
    if (when := body.get("scheduledFor")) is not None:
        to_the_minute = datetime.fromisoformat(when).replace(second=0, microsecond=0).isoformat()
        times = (when, *[to_the_minute] * loosely)
        shows["scheduledFor"] = any(same_time(state.scheduled_for, time) for time in times)
    for name, values in (("tags", state.tags), ("accountIds", state.accounts or None)):
        if name in body and values is not None:
            shows[name] = set(values) == set(body[name])
    return shows


def _shows(body: Row, state: PostState) -> bool:
    """Whether a post shows everything as requested."""
    return bool(body) and all(_compared(body, state).values())


def _waits_as_draft(item: Item, state: PostState) -> bool:
    """Whether a post is a draft that a time was to schedule; if it shows that time, it may have had it before."""
    return state.status == "draft" and "scheduledFor" in item.requested


def plan_update(
    posts: pd.DataFrame,
    *,
    to: date | str | Iterable[Any] | None = None,
    by: timedelta | str | None = None,
    change: str | None = None,
) -> Plan:
    """Plan to change posts that are not published yet, or to move them to another time (matrix row 2).

    Parameters
    ----------
    posts : pandas.DataFrame
        Rows of ``ws.posts``. Columns ``new_content``, ``new_tags`` and ``new_account_ids`` (lists, or text separated by ``;``) change
        these fields; missing values leave them as they are. A platform with a text of its own keeps that. Only drafts and scheduled posts can be changed.
    to : datetime, date, Timestamp or ISO text, or one per row
        The new time of all posts, with an offset or in the zone of the workspace that the frame was loaded from; of a date its
        midnight. One per row, such as a column of the frame, needs offsets; missing values leave the time as it is.
    by : Timedelta, timedelta or text such as ``"3D"`` or ``"-2h"``
        How much later each post goes out; needs `change`. This is elapsed time: over a change of the clocks the hour of the day moves
        too.
    change : str
        A name of the change, such as ``"strike, Monday"``. Under one name a field of a post is set once, however often the cell is
        run. A repeat with `by` is done already; another value of `to` or of a column is blocked. By default the column ``change``
        of the frame, as ``run.failed()`` has it. Without a name, a field that this ledger has changed before, and that shows
        something else now, is blocked.

    Returns
    -------
    Plan
        As for `plan_retry`; one request per post, with the version of the post that was read. A post that somebody has changed since
        the frame was loaded is blocked and not overwritten. The frame has the new times in ``new_scheduled_for``.

        A frame may have that column instead of `to` and `by`. Only then a draft gets a time, and becomes scheduled.

    Raises
    ------
    PlanError
        If columns are missing, the rows are targets, nothing is changed, more than one of `to`, `by` and ``new_scheduled_for`` is
        there, `by` has no `change`, or one of them can't be read.

    Examples
    --------
    >>> posts = ws.posts(status="scheduled").head(2)
    >>> plan = vx.plan_update(posts.assign(new_content=posts["content"] + " #spring"))
    >>> plan.frame["eligible"].to_list()
    [True, True]
    >>> plan = vx.plan_update(posts, by="3D", change="strike, Monday")
    >>> set(plan.frame["new_scheduled_for"] - posts["scheduled_for"])
    {Timedelta('3 days 00:00:00')}
    """
    moved = to is not None or by is not None
    maker = f"Use ws.posts(status='scheduled'), and pass to= or by=, or add one of {', '.join(FIELDS)}."
    needed = ("post_id", "status", "updated_at", *(["scheduled_for"] if moved else []))
    need_posts(posts, needed, "plan_update() needs posts", maker)
    warn_of_typos(posts, FIELDS)
    if to is not None and by is not None:
        raise PlanError("plan_update takes to= (a time) or by= (how much later), not both")
    if moved and "new_scheduled_for" in posts.columns:
        raise PlanError("the frame has times in new_scheduled_for; drop that column, or leave out to= and by=")
    if by is not None and change is None:
        raise PlanError(
            "by= needs a name, so that Run All moves the posts once: pass change=, such as change='strike, Monday'"
        )
    if change is not None:
        if not isinstance(change, str) or not (name := keys.campaign_name(change)):
            raise PlanError(f"change={str(change)[:40]!r} must name the change, such as 'strike, Monday'")
        posts = posts.assign(change=name)
    if moved:
        posts = posts.assign(new_scheduled_for=times_to(to, posts) if by is None else times_by(by, posts))
    elif not any(name in posts.columns for name in FIELDS):
        raise PlanError(f"the frame changes nothing; {maker}")
    return _planned(posts, drafts=not moved, by=by is not None)


def _planned(frame: pd.DataFrame, *, drafts: bool, by: bool = False) -> Plan:
    """The plan of one change per post; `drafts` says whether drafts may get a time."""
    now = fetched_at(frame)

    def judge(row: Row) -> Judged:
        shown = {"scheduled_for": utc_text(row["scheduled_for"]), "content": row["content"]}
        body, episode = _requested(row), post_episode(row)
        if reason := _why_not(row, drafts=drafts, by=by) or _why_not_asked(body, row, shown, now):
            return reason, None
        identity = episode_identity("update", episode, body)
        seen = {**episode, "shown": {name: text for name, text in shown.items() if name in frame.columns}}
        if row["change"]:
            change = keys.campaign_name(str(row["change"]))
            seen |= {"change": change, "by": by}
            identity = fingerprint("update", row["post_id"], change, sorted(body))
        item = UPDATE.item(row, Subject("post", row["post_id"]), identity, seen, body=body, cause=row["status"])
        return Reason("new_values", fields=columns_of(sorted(body))), item

    rows = target_rows(frame, more=(*FIELDS, "scheduled_for", "content", "change"))
    return build_plan(UPDATE, frame, map(judge, rows))


def _why_not(row: Row, *, drafts: bool, by: bool) -> Reason | None:
    """Why a post can't be changed; None if it can."""
    if reason := why_no_id(row, "post_id"):
        return reason
    if row["status"] not in OPEN:
        return Reason("not_changeable", status=row["status"])
    new = row["new_scheduled_for"]
    if row["status"] == "draft" and not drafts and (by or new is not None):
        return Reason("draft_would_go_out")
    return Reason("time_unmovable", value=str(row["scheduled_for"])[:40]) if by and new is None else None


def _why_not_asked(body: Row, row: Row, shown: Row, now: datetime | None) -> Reason | None:
    """Why what is requested can't be; None if it can. `shown` is what the frame shows now."""
    if not body:
        return Reason("nothing_requested", columns=", ".join(FIELDS))
    if any(":" in account for account in body.get("accountIds", ())) or body.get("accountIds") == []:
        return Reason("accounts_form")
    raw = {COLUMN_OF.get(name, name): value for name, value in body.items()}
    if "scheduledFor" in body:
        raw["scheduled_for"] = row["new_scheduled_for"]
    reason = why_unfit(now, **raw)
    if reason or (row["status"] == "draft" and "scheduledFor" in body):
        # A draft with the time that it has gets scheduled.
        return reason
    is_same = {
        "content": shown["content"] == body.get("content"),
        "scheduledFor": same_time(shown["scheduled_for"], body.get("scheduledFor")),
    }
    return Reason("unchanged") if all(is_same.get(name) for name in body) else None


def times_to(to: Any, posts: pd.DataFrame) -> Any:
    """The column of new times: one for all posts, or one per row."""
    if isinstance(to, Iterable) and not isinstance(to, str):
        return _for_each(to, posts)
    return parse_times([_time(to, shown_zone(posts))] * len(posts))


def times_by(by: Any, posts: pd.DataFrame) -> pd.DatetimeIndex:
    """The column of new times that are so much later; NaT where the old one can't be read, or no calendar has the new one."""
    step, old = _step(by), [utc_text(value) for value in plain_values(posts, "scheduled_for")]
    return parse_times([text and _later(text, step) for text in old])


def _for_each(to: Any, posts: pd.DataFrame) -> Any:
    """One time per row, in the order of the frame; whether each is fit is decided per row."""
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


def _time(to: Any, tz: str) -> str:
    """A time of the analyst's: with its own offset, or in the zone that the workspace names."""
    text = None
    try:
        time = (
            pd.Timestamp(typed_time(to.strip()) if isinstance(to, str) else to)
            if isinstance(to, date | str)
            else pd.NaT
        )
        text = None if pd.isna(time) else utc_text(placed("to", to, time, tz))
    except (ValueError, TypeError):
        pass
    except ConfigError as error:
        raise PlanError(str(error)) from None
    if text is None:
        zoned = "where vx.connect(tz=) names a zone" if tz == "UTC" else f"in {tz}"
        raise PlanError(
            f"to={str(to)[:40]!r} must be a time such as '2026-03-05T10:00:00+01:00' or, {zoned}, '2026-03-05 10:00'"
        )
    return text


def _later(text: str, step: timedelta) -> str | None:
    """A time moved by a step; None where no calendar has it."""
    try:
        return (datetime.fromisoformat(text) + step).isoformat()
    except OverflowError:
        return None


def _step(by: Any) -> timedelta:
    """How much later."""
    try:
        step: Any = pd.Timedelta(plain_units(by) if isinstance(by, str) else by)
    except (ValueError, TypeError):
        step = pd.NaT
    bare = isinstance(by, bool | int | float) or (
        isinstance(by, str) and by.strip().lstrip("+-").replace(".", "", 1).isdigit()
    )
    if bare or pd.isna(step) or not step:  # a number without a unit would be nanoseconds
        raise PlanError(
            f"by={str(by)[:40]!r} must say how much later all posts go out, such as '3D', '-2h' or pd.Timedelta(days=3); for months, or "
            "one per row, use to=posts['scheduled_for'] + pd.DateOffset(months=1)"
        )
    length: timedelta = step.to_pytimedelta()
    return length
