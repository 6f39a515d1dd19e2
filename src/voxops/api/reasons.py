"""Reasons as codes with parameters, and the catalogue of their sentences.

Code compares codes; a sentence is formatted only for display. It begins in lower case, says what, where and what to do
in at most 30 words, and ends without a full stop. The docs say of each code what to do: `docs/reference/cures.toml`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

READY = "ready"  # the code of every row that would be sent
TWIN = "set a column twin to True if that is intended"  # how to create a post that equals another one (rule 17)

# Codes of rows that are not eligible and need no action: done already, covered by another row of the frame, or in progress at the API.
NEED_NOBODY = frozenset({
    "already_delivered", "already_published", "delivery_twice", "in_flight", "other_target_publishing", "post_twice", "sync_as_is",
    "sync_out", "target_twice", "unchanged",
})  # fmt: skip
_ONCE_MORE = "set the column 'again' to True for one run of the cell"
_LIKE = "write it like 2026-03-04T10:00:00+01:00"
_LOST = "merge(), join() and CSV files drop frame.attrs, which voxops needs here"
# Rows of one kind may differ in these parameters, taken from their own cells; any other difference is another kind.
_DETAILS = frozenset({"count", "names", "new", "old", "other", "text", "time", "units", "value"})
_EXAMPLES = 2  # shown of each kind

SENTENCES: dict[str, str] = {
    # A row of a campaign sheet.
    "account_doubled": "an account is named twice",
    "account_form": "the account {value!r} is neither an id nor platform:@name; {hint}",
    "account_required": "no account is named",
    "at_night": "{time} is at night in {zone}",
    "attempt_form": "the attempt is {value!r}; it must be {allowed}",
    "comment_not_text": "the first comment is {value!r}, not text; leave the cell empty for none",
    "comment_too_long": "the first comment has {count:,} characters; the limit is {most:,}",
    "content_near_limit": (
        "the content has {count:,} characters, or {units:,} if an emoji counts as two; {platform} allows {most:,}"
    ),
    "content_not_text": "the content is of type {kind}, not text",
    "content_required": "no content",
    "content_too_long": "the content has {count:,} characters; {platform} allows {most:,}",
    "content_type_form": "the content type is {value!r}; it must be one of {types}",
    "content_written_missing": "the content is {value!r}, which looks like a missing value",
    "person_form": "the {what} is {value!r}; it must be text of at most {most:,} characters",
    "people_not_sent": "the column {what} is not sent; name its metadata field: vx.connect({what}_field={what!r})",
    "text_without_account": "a text for {platform}, but no account there; name one, or empty the cell",
    "duplicate_post": "same text, accounts and time as {other}: it would go out twice; " + TWIN,
    "encoding_guessed": (
        "the file is not UTF-8 and was read as Windows-1252; if {value!r} is garbled, pass encoding= to "
        "vx.read_campaign, such as 'cp1250' or 'mac_roman'"
    ),
    "in_blackout": "{time} is in the blackout {span}",
    "layout_hidden": "a hidden sheet of this workbook tells voxops to read {value}; if that is wrong, pass columns= and tz= to vx.read_campaign",
    "list_form": "{value!r} is a Python list; separate its parts by semicolons",
    "list_written_missing": "{value!r} looks like a missing value; leave the cell empty",
    "media_address": "{value!r} can't be imported; the address of media must begin with https:// and have no user name",
    "media_changed": "the file {value!r} has changed since it was uploaded or read; upload it: sheet = ws.upload(sheet)",
    "media_empty": "the file {value!r} is empty",
    "media_failed": "the API did not take {value!r}: {said}; ws.upload tries once more",
    "media_folder": "the folder of this sheet is not known here, so {value!r} can't be found; pass folder=, or read the sheet again",
    "media_form": "{value!r} is not a media id; separate media by a semicolon",
    "media_imported": "whether {value!r} is a picture or a film is unknown until ws.upload imports it",
    "media_kind": "the file {value!r} is {kind}, which is not what its name says; rename it, or save it again",
    "media_missing": "there is no file {value!r} in the folder of the sheet; if it is elsewhere: vx.read_campaign(path, folder=…)",
    "media_outside": "{value!r} is not in the folder of the sheet; move it, or name the folder: vx.read_campaign(path, folder=…)",
    "media_no_file": "{value!r} is a folder, not a file",
    "media_not_uploaded": "{value!r} is not uploaded{said}; upload it: sheet = ws.upload(sheet)",
    "media_not_ready": "the media {value} is {status}, and only ready media can be attached",
    "media_unknown": "the workspace has no media {value!r}",
    "media_too_large": "the file {value!r} has {count:,} bytes; the API takes at most {most:,} for {kind}",
    "media_type": "the file {value!r} is of a kind that the API does not take; it takes jpg, png, gif, webp, mp4, mov, avi, webm and pdf",
    "media_unreadable": "the file {value!r} can't be read ({said})",
    "media_unread": "this API key may not read media, so the media of the sheet are not checked",
    "not_valid": "the API does not report the row as valid, and gives no reason",
    "media_required": "Instagram requires an image or a video",
    "picture_shape": "{value!r} has {text} pixels; for {platform} the width must be {least} to {most} times the height",
    "picture_too_large": "{value!r} has {count:,} bytes; {platform} takes at most {most:,} for a picture",
    "picture_too_small": "{value!r} is {count} pixels wide; {platform} needs at least {least}",
    "row_id_differs": "{count} rows have the key {value!r}, but differ in {fields}; correct them, or give each its own key",
    "row_id_doubled": "{count} equal rows have the key {value!r}; keep one, as sheet.drop_duplicates() does",
    "row_id_missing": "the row has no key; every row needs one that never changes",
    "rows_skipped": "headings merged over the whole row are not read: {value}",
    "same_text": "the same text goes out on {account} within a day, as {other}",
    "too_close": "this row is {time} minutes from {other} on {account}; the minimum is {least}",
    "too_many_a_day": "this row is post number {count} on {account} on {time}, after {other}; the limit is {most} a day",
    "item_unreadable": "the response does not say whether the row was created",
    "tag_form": "{value!r} will be one tag; separate tags by a semicolon",
    "time_ambiguous": "the time {value!r} is ambiguous; " + _LIKE + ", or pass tz= and dayfirst= to vx.read_campaign",
    "time_missing": "no time; without one the API may publish the post immediately",
    "time_unreadable": "the time {value!r} can't be read; " + _LIKE,
    "time_without_hour": "the time {value!r} is a day without an hour; " + _LIKE,
    "time_without_offset": (
        "the time {value!r} has no offset from UTC; " + _LIKE + ", or end it with Z, or pass tz= to vx.read_campaign"
    ),
    "time_without_zone": (
        "the time {value!r} has no offset from UTC; set the zone of the column, as with .dt.tz_localize({zone!r})"
    ),
    # Any row of a plan.
    "id_malformed": "the {what} {value} has blanks or characters that no id contains; load the frame again",
    "id_missing": "no {what}",
    "id_was_number": "the {what} {value} was read as a number, which may have changed it; read the column as text",
    "post_gone": "this post no longer exists",
    "post_twice": "this post is in the frame twice",
    "ready": "ready",
    "changed_since_loaded": "changed since loaded ({fields}); load it again",
    # Retry and fix.
    "already_published": "already published",
    "as_analyst_says": "publish the failed platforms again, as retryable is set to True (verdict: {verdict})",
    "by_verdict": "{verdict}: {remedy}",
    "in_flight": "still {status}; wait 10 minutes, then load the posts again",
    "in_flight_age_unknown": "still {status}, and its age is unknown; load the posts again (" + _LOST + ")",
    "in_flight_stuck": "still {status}; if it is stuck, set retryable to True",
    "new_media_form": "new_media_url must start with https://",
    "new_value_missing": "neither new_content nor new_media_url has a value",
    "new_values": "new {fields}",
    "not_retryable": "{verdict}: {remedy}",
    "other_target_open": (
        "another target of this post is not published either; load the posts again, and filter only after vx.triage ("
        + _LOST + ")"
    ),
    "other_target_publishing": "another target of this post is still publishing",
    "publishing": "in flight: {status}",
    "post_waits": "the post is {status}",
    "target_not_listed": "the post no longer lists the target",
    "target_without_id": "the API shows no id for this target; retry the whole post",
    "post_not_failed": "its post is {status}, not failed",
    "retryable_says_no": "the verdict is retry, but retryable is False or blank; set it to True to retry",
    "target_missing": "the post lists no target with a platform and an account",
    "target_not_failed": "the target is {status}, not failed",
    "target_twice": "this target is in the frame twice",
    # Update and reschedule.
    "accounts_form": "new_account_ids must contain account ids, as listed by ws.accounts()",
    "changed_before": (
        "an earlier run already changed {fields} ({name}); to set another value, pass vx.plan_update a new name, such as "
        "change='second try'"
    ),
    "changed_since_sent": "changed since the request was sent; load it again, and plan what is still to be changed",
    "draft_would_go_out": (
        "this is a draft, and a time would publish it; to schedule it, give vx.plan_update a column new_scheduled_for"
    ),
    "made_of_cut_text": "the new text is based on the list, which shortens texts; set new_content to the full text",
    "not_changeable": "only drafts and scheduled posts can be changed; this one is {status}",
    "nothing_requested": "none of {columns} has a value",
    "post_without_version": (
        "the API shows no version of this post, so the change could overwrite another one; change it by hand"
    ),
    "shows_another": "the API accepted the change, but the post shows other values of {fields}",
    "still_a_draft": "the API accepted the change, but the post is still a draft",
    "time_unmovable": "its time {value!r} can't be moved: it is missing, has no offset from UTC, or would leave the calendar",
    "unchanged": "the post already has these values",
    "version_conflict": "the post was changed in the meantime (409 CONFLICT: {message}); load it again",
    # Cancel.
    "changed_since_cancel": "it is {status}, and was changed since the request was sent; load it again",
    "created_elsewhere": (
        "another run or another ledger created it; to withdraw it anyway, use vx.plan_cancel(ws.posts(...))"
    ),
    "never_sent": "it was never sent",
    "not_cancellable": "only drafts and scheduled posts can be cancelled; this one is {status}",
    "not_out_yet": "not out yet",
    "put_back": "an earlier run withdrew it, and somebody restored it; to withdraw it once more, " + _ONCE_MORE,
    "too_late": "the post is already {status}",
    # Sync.
    "sync_account": "the account {value} is not known here; name accounts by their ids, or load the posts again with "
    "ws.posts(campaign=…) (" + _LOST + ")",
    "sync_as_is": "as the sheet says",
    "sync_doubled": "several posts have the mark of this row: {posts}; cancel all but one of them",
    "sync_draft": "{post} is a draft, as after an approver sent it back; schedule or delete it",
    "sync_edited": (
        "{post} shows other values of {fields} than were last requested, or does not tell; a column override (True) lets the sheet win"
    ),
    "sync_failed": "{post} is {status}; vx.triage says whether to retry or to fix it",
    "sync_gone": "the sheet has no such row any more, so its post is withdrawn: one of {many} of the campaign's {of} posts",
    "sync_held": "{post} shows the same as this row and stays in its way; withdraw=True would free {count} rows",
    "sync_moved": "a run has changed {fields} since the post was created; the sheet still says otherwise",
    "sync_open": "an earlier act on {post} has not ended; run the cell again",
    "sync_out": "the sheet has no such row any more, and the post is already {status}",
    "sync_returns": "the row is back in the sheet: a sync withdrew {post}, so the row is created again as attempt {attempt}",
    "sync_stale": "{post} is not as the frame shows it; load the posts again{soon}",
    "sync_too_late": "already {status}, with other values of {fields}",
    "withdraw_not_asked": "the sheet has no such row any more; withdraw=True withdraws {many} of the campaign's {of} posts",
    # Redeliver.
    "already_delivered": "already delivered",
    "delivery_age_unknown": "its age is unknown; load it again with ws.deliveries, or pass force=True",
    "delivery_gone": "this delivery no longer exists",
    "delivery_twice": "this delivery is in the frame twice",
    "delivery_young": "younger than an hour: the API may still retry it; to redeliver it anyway, pass force=True",
    "forced": "forced",
    "forced_though_rejected": "not delivered: the receiver rejected it ({status}); forced",
    "not_delivered": "not delivered",
    "receiver_rejected": "the receiver rejected it ({status}); fix the receiver, then set the column 'again' to True",
    "redelivered_before": "an earlier run already redelivered it, and it arrived; to send it once more, " + _ONCE_MORE,
    # A request, where it is open.
    "unsent": "not sent yet",
    "stopped": "{said}",
    "waits_for_limit": "waits for the rate limit",
    "being_sent": "being sent",
    "queued": "queued",
    "looks_as_before": "looks as before; it may still be queued",
    "never_ended": "the API accepted it long ago, but it has not ended; look at the dashboard, or set a column attempt one higher",
    "unresolved": "no usable answer; voxops keeps reading from the API until the outcome is known",
    "no_answer_came": "no answer came",
    "answer_unreadable": "the answer is not what this call returns",
    "answer_without_row": "the answer has no result for this row",
    "answered": "the API answered {status}{said}",
    "answered_by_proxy": "the answer {status} is not in the API's format; it may come from a proxy",
    "rate_limited": "the API may have stopped partway, as at a rate limit; voxops reads what took effect before it sends anything again",
    "still_executing": "the server is still working on it",
    "key_conflict": "the API answered {status}{said}: another request was sent under its idempotency key; a next attempt has another key",
    "unmarked_post": "{post} has no mark and may be this row; look at it, and if it is not, set a column attempt to {attempt}",
    "changed_in_doubt": (
        "it changed after the request was sent, and nothing shows whether the request did that; look at the dashboard, "
        "or set a column attempt one higher"
    ),
    "not_found": "the API named a post that does not exist; to create it again, set a column attempt one higher",
    # A call, where it is not sent again.
    "resend_partly_done": "some of its rows exist; the others wait until a later reading proves that they do not",
    "resend_unwanted": "not sent again, because no running plan contains all of its rows; voxops keeps reading",
    "resend_time_passed": "unknown whether it took effect, and its time has passed",
    "resend_key_forgotten": "the server may have forgotten the key of the request; check in the dashboard whether it took effect",
    "resend_other_key": "it was first sent with another API key; continue with that key, or look at the dashboard",
    "resend_refused": "its last answer was a refusal; voxops sends it again only after a reading proves that it had no effect",
    "resend_stands": "unknown whether it was created; another post has the mark of one of its rows, or looks like it",
    "tried_often": "tried {times} times without a usable answer; look at the dashboard, then run.resume()",
    "ledger_changed_by_hand": "somebody has changed this ledger by hand; nothing of it is sent",
    # A request, where it waits or is blocked.
    "paused": "the run is paused; run.resume() continues it",
    "cancelled": "cancelled before it was sent; run the plan again to send it",
    "undone": "a later plan has withdrawn its run; to create it, set a column attempt one higher",
    "lists_hide_metadata": (
        "the API's lists hide the metadata of posts, so no other laptop's posts would be found; if only this ledger creates posts here, "
        "connect with vx.connect(alone=True)"
    ),
    "marks_of_another_ledger": "another ledger has created {post} here, and the API's lists hide its marks; create from that ledger alone",
    "first_create_tells": "waits until a first post shows whether the API's lists show its metadata",
    "create_in_doubt": "whether its post was created is not known yet; run the cell again",
    "subject_busy": "another request on this post is open; wait for its outcome",
    "subject_unknown": "another request on this post never ended; run.failed(stuck=True) of its run lists it, to be planned again",
    "looks_like": "looks like {post}, created by hand or elsewhere; " + TWIN,
    "looks_like_row": "shows the same accounts, minute and text as {post}{of}; " + TWIN + "; to swap two rows, give one a temporary text first",
    "alike_in_flight": "the same post is in flight as row {row}; wait for its outcome",
    "kept_is_gone": "the post to keep is no longer live or no longer as requested, so its duplicate stays",
    "account_unknown": "{said}",
    "time_passed": "its time has passed",
    "withdrawn_since": "created as {post}, which is {status} now; to create it again, set a column attempt to {attempt}",
    "duplicate_of": (
        "{post}, a duplicate of {own} (now {status}), shows something else; if it is another post, set a column twin to True; "
        "to create the row again, set attempt to {attempt}"
    ),
    "shows_it_now": "{post} shows this now, but was created with another text, tags or media; change the post itself",
    "other_content": "already created as {post} with other content, accounts or time; use vx.plan_update",
    "open_otherwise": "an attempt with other values of {fields} is still open; wait for its outcome",
    "created_otherwise": "already created as {post}, with other values of {fields}; change the post in the dashboard",
    "created_otherwise_update": "already created as {post}, with other values of {fields}; use vx.plan_update",
    "done_otherwise": "done before, with other values of {fields}; load it again, or, for a change, pass a new name as change=",
    # A run, where it has stopped.
    "broke_down": "the run broke down; what was sent is on record, and the run can be resumed",
    "stopped_after_failures": "stopped after {failures}, as requested; see run.failed(), then run the plan again to continue",
    "api_refused": "{said}. Nothing more is sent; fix that, then run.resume() goes on",
    "rate_limit_persists": "the API keeps refusing requests because of its rate limit; run.resume() goes on later",
    "too_few_requests": (
        "too few requests are let through: what voxops reads is out of date before it can send; run.resume() goes on"
    ),
    "stopped_by_outage": "{said}; run.resume() goes on when the server is back",
    "stopped_by_error": "{said}; run.resume() goes on",
    "duplicates_found": "{rows} of these rows have duplicates: run.copies() lists what to withdraw",
    # A run, where it waits for others.
    "not_a_canary": "not among the few rows that are tried first; run the whole plan afterwards",
    # An account, and what to do about it.
    "account_lacks_permissions": "it lacks permissions",
    "account_lacks_permissions_as_told": "it lacks permissions: {message}",
    "accounts_unread": "the API does not say whether its list of accounts is whole; {account} is not on it, and is not checked",
    "account_check_failed": "the last check of {account} failed ({message}); connect it again, or try it with ws.accounts(check=True)",
    "account_degraded": "the account {account} lacks permissions ({message}); connect it again and grant them",
    "account_not_active": "the account {account} is {status}; connect it again, or name another",
    "account_status": "the account is {status}: only active accounts publish",
    "check_failed": "its last check failed: {message}",
    "grant_permissions": "connect the account again and grant the permissions that it requests",
    "look_at_failures": "try it with ws.accounts(check=True), and look at its failures: vx.causes(triaged)",
    "reconnect_account": (
        "connect the account again in the dashboard before the post goes out, or move the post: vx.plan_update"
    ),
    "reconnect_and_retry": "connect the account again in the dashboard, then retry its posts",
    "try_later": "try again later; if it persists, ask support",
    "targets_failed": "{failed} of {tried} recent targets failed for reasons other than the post",
    # A delivery that is lost.
    "no_answer": "no answer",
    "receiver_failed": "receiver failed",
    "rejected": "rejected",
}  # fmt: skip

# What reports say in place of sentences that name Python: their readers have no notebook.
FOR_READERS: dict[str, str] = {
    "account_check_failed": "the last check of the account failed; connect it again",
    "accounts_form": "an account is not named by its id",
    "changed_before": "an earlier run already changed it",
    "created_elsewhere": "another run created it, so it was not withdrawn",
    "created_otherwise_update": "already created with other values; change the post",
    "draft_would_go_out": "this is a draft, and a time would publish it",
    "encoding_guessed": "the encoding of the sheet is unknown",
    "lists_hide_metadata": "it can't be told whether the post exists already",
    "media_changed": "its file has changed since it was uploaded; upload it again",
    "media_failed": "its file was not accepted; upload another",
    "media_imported": "its media are not imported yet",
    "media_missing": "its file is missing",
    "media_not_uploaded": "its file is not uploaded yet",
    "media_outside": "its file is outside the folder of the sheet",
    "other_content": "already created with other content, accounts or time; change the post",
    "paused": "the run is paused",
    "people_not_sent": "its owner can't be sent",
    "rate_limit_persists": "the API keeps refusing requests because of its rate limit",
    "stopped_after_failures": "the run was stopped after several failures, as requested",
    "subject_unknown": "another request on this post never ended",
    "sync_account": "its account is unknown; name it by its id",
    "sync_failed": "its post has failed, or is withdrawn",
    "time_ambiguous": "its time is ambiguous; write it with its offset from UTC",
    "time_without_offset": "its time has no offset from UTC",
    "too_few_requests": "the API let too few requests through",
    "tried_often": "tried often without a usable answer; look at the dashboard",
}


@dataclass(frozen=True, slots=True, init=False)
class Reason:
    """A code of the catalogue with its parameters; ``str()`` returns the sentence.

    Attributes
    ----------
    place : str
        The cell of the sheet, such as ``D7``; ``""`` without a sheet.
    words : str
        The sentence of a foreign code, such as one of the API; ``""`` for codes of the catalogue.
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
        """Return the reason with this place."""
        return Reason(self.code, place=place, words=self.words, **dict(self.params))

    def having(self, **params: Any) -> Reason:
        """Return the reason with these parameters instead of its own."""
        return Reason(self.code, place=self.place, words=self.words, **{**dict(self.params), **params})

    def sentence(self) -> str:
        """Return the whole sentence, capitalized, without the place."""
        said = str(self.at(None))
        return self.words or f"{said[:1].upper()}{said[1:]}{'' if said.endswith('?') else '.'}"

    def stored(self) -> str:
        """The reason as text for a ledger; inverse of `read_reason`."""
        return json.dumps([self.code, dict(self.params), self.place], ensure_ascii=False)

    def __str__(self) -> str:
        said = self.words or SENTENCES[self.code].format(**dict(self.params))
        return f"{said} ({self.place})" if self.place else said


class _Gap:
    """The placeholder for values that differ."""

    def __format__(self, form: str) -> str:
        return "…"

    __repr__ = __str__ = lambda _: "…"


def read_reason(text: str) -> Reason:
    """Read a reason from a ledger; a text that is not of this catalogue becomes its words."""
    try:
        code, params, place = json.loads(text)
        found = Reason(code, **params).at(place)
        str(found)
    except (ValueError, TypeError, LookupError):
        return Reason("unreadable", words=text)
    return found


def kinds(counted: Iterable[tuple[Reason | str, int]], *, by_code: bool = False) -> list[tuple[str, int]]:
    """Group reasons that differ only in details of their rows: one sentence with examples per kind, most rows first.

    Each text without a code is its own kind; `by_code` makes all reasons with one code one kind.
    """
    rows, alike = Counter[Any](), dict[Any, list[Reason | str]]()
    for why, count in counted:
        details = () if isinstance(why, str) or by_code else (each for each in why.params if each[0] not in _DETAILS)
        kind = why if isinstance(why, str) else (why.code, *details)
        rows[kind] += count
        alike.setdefault(kind, []).append(why)
    return [(_as_one(list(dict.fromkeys(alike[kind]))), count) for kind, count in rows.most_common()]


def _as_one(alike: Sequence[Reason | str]) -> str:
    """Join reasons of one kind: shared values stay, and examples of the others follow in brackets."""
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
