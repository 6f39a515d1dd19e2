"""Changing a post that has not gone out, under the version that was read (matrix row 2).

The request is absolute, also for a new time, so sending it twice has the effect of once. A post that somebody else has changed is
blocked, not overwritten. A change is settled when the post shows the requested fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from voxops._support.canonical import as_kept, as_read
from voxops.acts.act import PostAct, why_changed_since
from voxops.acts.adding import why_adds_up
from voxops.acts.made import accounts_of
from voxops.acts.operation import NOT_AS_ASKED, Item, Member, Past, blocked, settled
from voxops.api.error_bodies import bears_error, read_answer
from voxops.api.evidence import Attempted, Baseline, same_text, same_time, untouched
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import RESEND_UNANSWERED
from voxops.frames.nested import is_missing
from voxops.frames.records import read_post
from voxops.model import Outcome
from voxops.sheets.rules import split_list, tags_in, utc_text

__all__ = ["FIELDS", "OPEN", "Change", "asked", "has_passed"]

# Column -> the field that it changes. What reading a post does not show, such as its media, is not here: nobody could tell whether
# it took effect.
FIELDS = {
    "new_content": "content",
    "new_scheduled_for": "scheduledFor",
    "new_tags": "tags",
    "new_account_ids": "accountIds",
}
OPEN = frozenset({"draft", "scheduled"})  # statuses in which a post can be changed
_COMES_FIRST = "changed since it was sent; load it again, and plan what is still to be changed"


class Change(PostAct):
    """One request per post, under its version; the answer is the post, and so is a reading."""

    sends = False

    def why_changed(self, item: Item, state: PostState | None) -> Reason | None:
        """Hold what has changed since the frame was loaded, what the frame showed of it included, and what is as asked by now."""
        if state is None:
            return super().why_changed(item, state)
        if state.status not in OPEN:
            return Reason("not_changeable", status=state.status)
        if _shows(item.body or {}, state) and not _waits_as_draft(item, state):
            return Reason("as_requested")
        said = super().why_changed(item, state)
        shown, now = item.seen.get("shown") or {}, {"scheduled_for": state.scheduled_for, "content": state.content}
        if not said and "scheduled_for" in shown and not same_time(shown["scheduled_for"], now["scheduled_for"]):
            said = why_changed_since(["scheduled_for"])
        if not said and "content" in shown and not _same_content(shown["content"], now["content"]):
            said = why_changed_since(["content"])
        if not said and _is_made_of_a_cut(item, state):
            said = Reason("made_of_cut_text")
        return said

    def as_bound(self, item: Item, state: PostState | None) -> Item:
        """The row with what the post shows: a frame may have shown less, and whether a later change is made of it depends on it (rule 1)."""
        if state is None:
            return item
        now = {"scheduled_for": state.scheduled_for, "content": state.content}
        return replace(item, seen={**item.seen, "bound": now})

    def why_again(self, item: Item, state: PostState | None, before: Sequence[Past]) -> Reason | None:
        """What adds up is refused where this ledger has done the same on the way to what the post shows now, unless it is meant once more.

        A move by some hours does, and a text that is made of the post's own, also where it was computed in the frame.
        """
        if item.seen.get("again") or state is None:
            return None
        return why_adds_up(item, state, before)

    def replaces(self, later: Item, item: Item) -> bool:
        """One that changes the same field does."""
        return bool((later.body or {}).keys() & (item.body or {}).keys())

    def was_undone(self, item: Item, state: PostState | None) -> bool:
        """Whether a post that can still be changed shows something else than was asked; a list may have cut its text, or show no time."""
        if state is None or state.status not in OPEN:
            return False
        body = item.body or {}
        found = _compared(body, state, loosely=True)
        if state.scheduled_for is None:
            found.pop("scheduledFor", None)
        if state.source != "single" and same_text(state.content, body.get("content")):
            found.pop("content", None)
        return False in found.values()

    def decodes(self, data: Any) -> bool:
        """The post as it is now."""
        return isinstance(data, Mapping) and bool(data.get("id")) and not bears_error(data)

    def settle_answer(self, members: Sequence[Member], data: Any, *, first: bool) -> list[Member]:  # noqa: ARG002
        """The answer is the post: changed, unless it shows something else than was asked."""
        state = read_post(data)
        done = []
        for member in members:
            if state is None or state.post_id != member.item.subject.id:
                continue
            asked = member.item.body or {}
            other = [name for name, as_asked in _compared(asked, state, loosely=True).items() if as_asked is False]
            if _waits_as_draft(member.item, state):
                continue  # it may be scheduled in a moment: readings tell
            if other:
                why = f"the API took it, but the post shows another {', '.join(other)}"
                done.append(settled(member, Outcome.FAILED, error_code=NOT_AS_ASKED, error_message=why))
            else:
                done.append(settled(member, Outcome.SUCCEEDED, result_id=member.item.label, seen=_as_it_is(state)))
        return done

    def settle_refusal(self, members: Sequence[Member], data: Any) -> list[Member]:
        """A conflict is somebody else's change: blocked, since a person must look at it."""
        said = read_answer(data)
        if said.code != "CONFLICT":
            return []
        return [
            blocked(member, f"the API refused it (409 CONFLICT: {said.message[:200]}); load it again")
            for member in members
        ]

    def shows_nothing(self, members: Sequence[Member], state: PostState, baseline: Baseline | None) -> bool:
        """Neither as asked nor changed by anybody."""
        as_asked = any(
            _shows(member.item.body or {}, state) and not _waits_as_draft(member.item, state) for member in members
        )
        return untouched(state, baseline) and not as_asked

    def settle_reading(
        self,
        members: Sequence[Member],
        state: PostState,
        tried: Attempted,
        reply: Any = None,  # noqa: ARG002
    ) -> list[Member]:
        """As asked is done, whoever did it. What somebody has changed otherwise is blocked, once no try can be under way any more.

        Its version has moved on, so a request that still comes would be refused.
        """
        done = []
        for member in members:
            if member.outcome.final:
                continue
            moved_on = _moved_on(state, tried)
            loosely = moved_on and not _shows(_as_shown(member.item), state)
            as_asked = _compared(member.item.body or {}, state, loosely=loosely)
            if all(as_asked.values()) and _waits_as_draft(member.item, state):
                if moved_on and tried.since >= RESEND_UNANSWERED:
                    why = "the API took it, but the post is still a draft"
                    done.append(settled(member, Outcome.FAILED, error_code=NOT_AS_ASKED, error_message=why))
            elif all(as_asked.values()):
                done.append(settled(member, Outcome.SUCCEEDED, result_id=member.item.label, seen=_as_it_is(state)))
            elif False in as_asked.values() and tried.since >= RESEND_UNANSWERED and moved_on:
                done.append(blocked(member, _COMES_FIRST))
        return done

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:
        """Recovered is what shows the fields as asked."""
        wanted = state is not None and _shows(asked(row), state, loosely=row["outcome"] == "succeeded")
        failed = "failed_same" if row["outcome"] == "failed" else "pending"
        return str(row.get("status") or "changed"), "recovered" if wanted else failed


def _as_shown(item: Item) -> dict[str, Any]:
    """What the frame showed of a text and a time that a change is about: a post that still shows both was not changed there."""
    shown, names = item.seen.get("shown") or {}, {"content": "content", "scheduledFor": "scheduled_for"}
    return {field: shown[name] for field, name in names.items() if field in (item.body or {}) and shown.get(name)}


def _is_made_of_a_cut(item: Item, state: PostState) -> bool:
    """Whether a new text holds what the frame showed of the old one, and that was cut: what was behind would be lost."""
    text, shown, now = item.asks("content"), (item.seen.get("shown") or {}).get("content"), state.content
    if not text or not shown or not now or as_read(shown) == as_read(now):
        return False
    beginning = shown.rstrip(".… ")
    return beginning in text and len(now) > len(beginning) and _same_content(shown, now)


def _as_it_is(state: PostState) -> dict[str, Any]:
    """What a post shows once it was changed: an API may keep texts and times in its own way, which decides about a next change."""
    found = {"content": state.content, "scheduled_for": state.scheduled_for, "updated_at": state.updated_at}
    return {name: value for name, value in found.items() if value is not None}


def has_passed(item: Item, now: datetime) -> bool:
    """Whether the time that a change asks for has passed, so that the post would go out at once (rule 6)."""
    when = item.asks("scheduledFor")
    return when is not None and datetime.fromisoformat(when) <= now


def asked(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a change asks for, out of the columns of a row."""
    read: dict[str, Callable[[Any], Any]] = {"scheduledFor": utc_text, "tags": tags_in, "accountIds": split_list}
    found = {}
    for column, name in FIELDS.items():
        value = values.get(column)
        if not (name == "tags" and _is_blank(value)) and not is_missing(value):
            wanted = read.get(name, lambda text: text)(value)
            # A tag that is there already is not added again.
            found[name] = list(dict.fromkeys(wanted)) if isinstance(wanted, list) else wanted
    return found


def _is_blank(value: Any) -> bool:
    """Whether a cell says nothing: a file makes ``""`` of what is missing, and ``groupby`` a list of it. A list of nothing says *none*."""
    parts = value if isinstance(value, list | tuple) and value else [value]
    return all(is_missing(part) or (isinstance(part, str) and not part.strip()) for part in parts)


def _compared(body: Mapping[str, Any], state: PostState, *, loosely: bool = False) -> dict[str, bool | None]:
    """Per field that is asked whether the post shows it so; None where it does not show it.

    An API may keep blanks in its own way, and times to the minute: `loosely` takes that for what was asked. That holds only of a post
    that was changed since, else a change of blanks or of seconds alone would be none.
    """
    form = as_read if loosely else as_kept
    found: dict[str, bool | None] = {}
    for name, value in body.items():
        match name:
            case "content":
                found[name] = None if state.content is None else form(state.content) == form(str(value))
            case "scheduledFor":
                found[name] = same_time(state.scheduled_for, value) or (
                    loosely and same_time(state.scheduled_for, _to_the_minute(value))
                )
            case "tags":
                found[name] = None if state.tags is None else sorted(state.tags) == sorted(value)
            case _:
                accounts = accounts_of(state)
                found[name] = set(accounts) == set(value) if accounts else None
    return found


def _to_the_minute(text: str) -> str:
    """A time without its seconds."""
    return datetime.fromisoformat(text).replace(second=0, microsecond=0).isoformat()


def _shows(body: Mapping[str, Any], state: PostState, *, loosely: bool = False) -> bool:
    """Whether a post shows everything as asked."""
    return bool(body) and all(_compared(body, state, loosely=loosely).values())


def _waits_as_draft(item: Item, state: PostState) -> bool:
    """Whether a post is a draft that was to get a time, and with it to be scheduled: that it had this time before says nothing."""
    return state.status == "draft" and "scheduledFor" in (item.body or {})


def _same_content(seen: str | None, now: str | None) -> bool:
    """Whether a text is as the frame showed it; a list may have cut it, or shown none."""
    return seen is None or same_text(seen, now)


def _moved_on(state: PostState, tried: Attempted) -> bool:
    """Whether somebody has changed a post since it was read."""
    return tried.baseline is None or not untouched(state, tried.baseline)
