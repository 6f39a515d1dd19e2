"""Why a row is not sent, a cell is wrong, or something can't be told: codes with parameters, and the one catalogue of their sentences.

Code compares codes and never sentences; a sentence is made where it is shown. A sentence begins in lower case, says what, where and
what to do in at most 30 words, and ends without a full stop.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

__all__ = ["READY", "SENTENCES", "TWIN", "Reason", "beginning", "kinds", "read_reason"]

READY = "ready"  # the code of every row that would be sent
TWIN = "a column twin (True) says that it is meant"  # what to do about a post that looks like another one (rule 26)

_ONCE_MORE = "set a column again to True, for that one run of the cell"
_LIKE = "write it like 2026-03-04T10:00:00+01:00"
_LOST = "merge(), join() and CSV files drop frame.attrs, which hold it"
# Parameters in which rows of one kind may differ: what stands in their own cells. Any other value makes a kind of its own.
_DETAILS = frozenset({"count", "names", "new", "old", "other", "text", "time", "units", "value"})
_EXAMPLES = 2  # shown of each kind

SENTENCES: dict[str, str] = {
    # A row of a campaign sheet.
    "account_doubled": "an account is named twice",
    "account_form": "the account {value!r} is neither an id nor platform:@name; separate accounts by a semicolon",
    "account_required": "no account is named",
    "attempt_form": "the attempt is {value!r}; it must be {allowed}",
    "comment_not_text": "the first comment is {value!r}, which is no text; leave the cell empty for none",
    "comment_too_long": "the first comment has {count:,} characters; {most:,} is the most",
    "content_near_limit": (
        "the content has {count:,} characters, but {units:,} where an emoji counts as two; {platform} allows {most:,}"
    ),
    "content_not_text": "the content is of type {kind}, not text",
    "content_required": "no content",
    "content_too_long": "the content has {count:,} characters; {platform} allows {most:,}",
    "content_type_form": "the content type {value!r} is none of {types}",
    "content_written_missing": "the content is {value!r}, which is how a missing cell is written",
    "duplicate_post": "same text, accounts and time as {other}: it would go out twice; " + TWIN,
    "encoding_guessed": (
        "the file is not UTF-8 and was read as Windows-1252; if {value!r} is garbled, give vx.read_campaign encoding=, such as "
        "'cp1250' or 'mac_roman'"
    ),
    "list_form": "{value!r} is a list as Python writes it; write its parts with a semicolon between them",
    "list_written_missing": "{value!r} is how a missing cell is written; leave the cell empty",
    "media_file_name": "{value!r} is the name of a file; upload it first, and write its id here, or an https address",
    "media_form": "{value!r} is no id and no address; separate media by a semicolon",
    "not_valid": "the API does not call it valid, and gives no reason",
    "media_required": "Instagram takes no post without an image or a video",
    "row_id_doubled": "{count} rows are called {value!r}; keep one or rename it",
    "row_id_missing": "every row needs a name that stays",
    "tag_form": "{value!r} will be one tag; separate tags by a semicolon",
    "time_ambiguous": (
        "the time {value!r} can't be read for sure; " + _LIKE + ", or give vx.read_campaign tz= and the dayfirst= that fits"
    ),
    "time_missing": "no time: the API does not say whether it would publish the post at once",
    "time_past": "the time {value!r} has passed",
    "time_unreadable": "the time {value!r} can't be read; " + _LIKE,
    "time_without_hour": "the time {value!r} is a day without an hour; " + _LIKE,
    "time_without_offset": (
        "the time {value!r} has no offset from UTC; " + _LIKE + ", or with Z, or give vx.read_campaign tz="
    ),
    "time_without_zone": (
        "the time {value!r} has no offset from UTC; say in which zone the column is, as with .dt.tz_localize({zone!r})"
    ),
    # Any row of a plan.
    "id_malformed": "the {what} {value} has blanks or signs that no id has; load the frame again",
    "id_missing": "no {what}",
    "id_was_number": "the {what} {value} was read as a number, which may have changed it; read the column as text",
    "post_gone": "this post no longer exists",
    "post_twice": "this post is in the frame twice",
    "ready": "ready",
    "changed_since_loaded": "changed since loaded ({fields}); load it again",
    # Retry and fix.
    "already_published": "already published",
    "as_analyst_says": "the analyst says so (verdict: {verdict})",
    "by_verdict": "{verdict}: {remedy}",
    "in_flight": "still {status}; wait until it is 10 minutes old",
    "in_flight_age_unknown": "still {status}, and its age is not known; load the posts again (" + _LOST + ")",
    "in_flight_stuck": "still {status}; if it is stuck, set retryable to True",
    "new_media_form": "new_media_url must start with https://",
    "new_value_blank": "new_content and new_media_url must be text, and not blank",
    "new_value_missing": "neither new_content nor new_media_url has a value",
    "new_value_written_missing": (
        "new_content or new_media_url is how a missing cell is written ('nan'); leave it missing where nothing is to change"
    ),
    "new_values": "new {fields}",
    "not_retryable": "{verdict}: {remedy}",
    "other_target_open": (
        "another target of this post is not published either; load the posts again, and filter what vx.triage returns ("
        + _LOST + ")"
    ),
    "other_target_publishing": "another target of this post is still publishing",
    "post_not_failed": "its post is {status}, and has not failed",
    "retryable_says_no": (
        "retryable says no (it is False or blank) although the verdict is retry; retryable decides: set it to True to retry"
    ),
    "target_missing": "the post lists no target with a platform and an account",
    "target_not_failed": "the target is {status}, not failed",
    "target_twice": "this target is in the frame twice",
    # Update and reschedule.
    "accounts_form": "new_account_ids must hold account ids, as ws.accounts() shows them",
    "added_already": "this ledger has added {text!r} to its text already; to add it once more, " + _ONCE_MORE,
    "as_requested": "the post is as requested; nothing is left to change",
    "draft_would_go_out": (
        "this is a draft, and a time would let it go out; plan_update with new_scheduled_for says that this is meant"
    ),
    "edited_already": (
        "this ledger has changed its text in the same way already ({text}); to do it once more, " + _ONCE_MORE
    ),
    "made_of_cut_text": (
        "the list showed only the beginning of its text, and the new one is made of that; write it as a whole"
    ),
    "moved_already": "this ledger has moved it to {time} already; to move it once more, " + _ONCE_MORE,
    "moved_as_far_already": (
        "this ledger has moved it by as much already, to {time}; to move it once more, " + _ONCE_MORE
    ),
    "moved_by_days_already": (
        "this ledger has moved it by days already, to {time}; to move it once more, " + _ONCE_MORE
    ),
    "new_content_blank": "new_content must be text, and not blank",
    "new_time": "from {old} to {new}",
    "new_time_beyond_calendar": "its time {value!r} would lie beyond the calendar",
    "new_time_past": "its new time has passed",
    "new_time_without_offset": "new_scheduled_for {value!r} has no offset from UTC; " + _LIKE,
    "new_time_without_zone": (
        "new_scheduled_for {value!r} has no offset from UTC; say in which zone the column is, as with .dt.tz_localize({zone!r})"
    ),
    "new_values_and_time": "new {fields}, from {old} to {new}",
    "not_changeable": "only drafts and scheduled posts can be changed; this one is {status}",
    "nothing_requested": "none of {columns} has a value",
    "old_time_missing": "the post shows no time that it could be moved from",
    "old_time_without_offset": "its time {value!r} has no offset from UTC; load the posts again",
    "requested_written_missing": (
        "a requested value is how a missing cell is written ('nan'); leave it missing where nothing is to change"
    ),
    "set_before": "this ledger has set {value} before, and changed it since; to set it once more, " + _ONCE_MORE,
    "tags_form": "new_tags is a list as Python writes it; write its parts with a semicolon between them",
    "unchanged": "it is so already",
    # Cancel.
    "created_elsewhere": (
        "an earlier run or another ledger created it; to withdraw it all the same, plan_cancel(ws.posts(...))"
    ),
    "creation_unknown": (
        "whether it was created is unknown, or it is not shown yet; wait for the end of its run, then plan again"
    ),
    "never_sent": "it was never sent",
    "not_cancellable": "only drafts and scheduled posts can be cancelled; this one is {status}",
    "not_out_yet": "not out yet",
    "put_back": (
        "this ledger has withdrawn it before, and somebody put it back since; to withdraw it once more, " + _ONCE_MORE
    ),
    # Redeliver.
    "already_delivered": "already delivered",
    "delivery_age_unknown": (
        "its age is not known; load it again with ws.deliveries, or take it all the same with force=True"
    ),
    "delivery_gone": "this delivery no longer exists",
    "delivery_twice": "this delivery is in the frame twice",
    "delivery_young": (
        "younger than an hour: the API may still retry it by itself (force=True takes it all the same)"
    ),
    "forced": "forced",
    "forced_though_rejected": "not delivered: the receiver rejected it ({status}); forced",
    "not_delivered": "not delivered",
    "receiver_rejected": (
        "the receiver rejected it ({status}) and would again; fix the receiver, then set a column again to True"
    ),
    "redelivered_before": (
        "it has arrived, and this ledger has sent it again before; to send it once more, " + _ONCE_MORE
    ),
    # A run, where it waits for others.
    "campaign_busy": "others are creating posts of this campaign; waits until none has appeared for a while",
    "canaries_failed": "held: {succeeded} of {canaries} canaries of its cause succeeded",
    "waits_for_canaries": "waits for the canaries of its cause",
    # An account, and what to do about it.
    "account_lacks_permissions": "it lacks permissions",
    "account_lacks_permissions_as_told": "it lacks permissions: {message}",
    "account_not_active": "{account} is {status}: only active accounts publish",
    "account_not_listed": "the workspace lists no such account",
    "check_failed": "its last check failed: {message}",
    "choose_another_account": "the account is no longer among the workspace's; choose another one for the post",
    "grant_permissions": "connect the account again and allow what it asks for",
    "look_at_failures": "try it with ws.accounts(check=True), and look at its failures: vx.causes(triaged)",
    "reconnect_account": (
        "connect the account again in the dashboard before the post goes out, or move the post: vx.plan_update"
    ),
    "reconnect_and_retry": "connect the account again in the dashboard, then retry its posts",
    "try_later": "try again later; if it stays so, ask support",
    "targets_failed": "{failed} of {tried} targets of the last days failed, for no fault of the post",
    # A delivery that is lost, and the post that a delivery is about.
    "no_answer": "no answer",
    "receiver_failed": "receiver failed",
    "rejected": "rejected",
    "delivery_without_time": "the delivery shows no time",
    "event_about_other": "{kind} is about the {what}, not a post",
    "event_names_no_post": "event {event}, a {kind}, names no post",
    "event_names_post": "event {event} names it",
    "event_not_recorded": "its event was not recorded; pass posts=ws.posts(...) for a guess",
    "event_of_unknown_moment": "when a {kind} comes up is unknown",
    "guessed_by_answer": "a guess by kind, time and what the answer names",
    "guessed_by_answer_among": "a guess by kind, time and what the answer names, against {others}",
    "guessed_by_time": "a guess by kind and time",
    "guessed_by_time_among": "a guess by kind and time, against {others}",
    "no_post_at_that_time": "no loaded post shows a {kind} at that time; it may have changed since",
    "older_than_posts": "it is older than the posts that were loaded",
    "one_post_not_near": "one post is near in time, but not near enough to be taken for it",
    "several_posts_fit": "{posts} posts fit alike, by kind and time",
}  # fmt: skip


@dataclass(frozen=True, slots=True, init=False)
class Reason:
    """A code of the catalogue with its parameters; ``str()`` makes the sentence.

    Attributes
    ----------
    place : str
        Where in a sheet it is, such as ``D7``; ``""`` where it is in none.
    words : str
        The sentence of a code that is not ours, such as the API's; ``""`` where the catalogue has it.
    """

    code: str
    params: tuple[tuple[str, Any], ...]
    place: str
    words: str

    def __init__(self, code: str, /, *, place: str | None = None, words: str = "", **params: Any) -> None:
        for name, value in (
            ("code", code),
            ("params", tuple(sorted(params.items()))),
            ("place", place or ""),
            ("words", words),
        ):
            object.__setattr__(self, name, value)

    def at(self, place: str | None) -> Reason:
        """The reason with the place that it is about."""
        return Reason(self.code, place=place, words=self.words, **dict(self.params))

    def sentence(self) -> str:
        """It as a sentence of its own, without its place."""
        said = str(self.at(None))
        return self.words or f"{said[:1].upper()}{said[1:]}."

    def stored(self) -> str:
        """It as text for a ledger; `read_reason` gives it back."""
        return json.dumps([self.code, dict(self.params), self.place], ensure_ascii=False)

    def __str__(self) -> str:
        said = self.words or SENTENCES[self.code].format(**dict(self.params))
        return f"{said} ({self.place})" if self.place else said


class _Gap:
    """What stands in a sentence for values that differ."""

    def __format__(self, form: str) -> str:
        return "…"

    __repr__ = __str__ = lambda _: "…"


def read_reason(text: str) -> Reason | str:
    """The reason that a ledger keeps, or the text as it is where that is none of this catalogue."""
    try:
        code, params, place = json.loads(text)
        found = Reason(code, **params).at(place)
        str(found)
    except (ValueError, TypeError, LookupError):
        return text
    return found


def beginning(code: str) -> str:
    """How every sentence of a code begins: what comes before its first parameter."""
    return next(text for text, *_ in Formatter().parse(SENTENCES[code]))


def kinds(counted: Iterable[tuple[Reason | str, int]]) -> list[tuple[str, int]]:
    """Group reasons that differ only in details of their rows: one sentence for each kind, with examples apart, most rows first.

    A text that has no code is a kind of its own.
    """
    rows, alike = Counter[Any](), dict[Any, list[Reason | str]]()
    for why, count in counted:
        kind = why if isinstance(why, str) else (why.code, *(each for each in why.params if each[0] not in _DETAILS))
        rows[kind] += count
        alike.setdefault(kind, []).append(why)
    return [(_as_one(list(dict.fromkeys(alike[kind]))), count) for kind, count in rows.most_common()]


def _as_one(alike: Sequence[Reason | str]) -> str:
    """Reasons of one kind in one sentence: what they share stays; examples of the rest, and their places, follow in brackets."""
    reasons = [why for why in alike if isinstance(why, Reason)]
    if len(alike) == 1 or not reasons or reasons[0].words:
        return str(alike[0])
    first, template = dict(reasons[0].params), SENTENCES[reasons[0].code]
    differ = [name for name in first if len({dict(why.params)[name] for why in reasons}) > 1]
    shown = [
        f"{{{name}{f'!{conversion}' if conversion else ''}:{form}}}"
        for _, name, form, conversion in Formatter().parse(template)
        if name in differ
    ]
    examples = []
    for why in reasons[:_EXAMPLES]:
        values = ", ".join(each.format(**dict(why.params)) for each in shown)
        examples.append(" ".join(filter(None, [values, f"in {why.place}" if why.place else ""])))
    said = template.format(**first | dict.fromkeys(differ, _Gap()))
    brackets = " and ".join(filter(None, examples))
    return f"{said} (for example {brackets})" if brackets else said
