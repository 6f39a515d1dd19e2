"""The rows of `decide`, `fit`, `reduce` and `place`, each as facts in and decision out; `test_rules_table` and `rules_doc` read them.

An example names the row of the table that must speak. The first row that does decides, so the facts of an example are in order
but for what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.acts.support import item, request

from voxops.acts.act import Request, Subject, blocked, settled
from voxops.api.reasons import Reason
from voxops.engine import answers, bind, rules
from voxops.engine.answers import Ending, Event
from voxops.engine.bind import Join, New, Planned, Refuse, Renew, place
from voxops.engine.rules import Block, CallFacts, Facts, Read, Release, Send, Settle, Wait, decide, fit
from voxops.ledger.records import Call, Seen
from voxops.model import Outcome

NOW = 1_772_442_000.0
SUBJECT = Subject("row", "i")
ROW = item("create", SUBJECT, "/v1/posts/bulk", {"content": "c", "tags": ["t"]}, campaign="c", row="i")
ASKED = request(ROW)
DONE = settled(ASKED, Outcome.SUCCEEDED, result_id="p")
FAILED = settled(ASKED, Outcome.FAILED, error_code="NO")


def a_call(state="unknown", *, ago=100.0, **details):
    """An open call whose last try ended `ago` seconds before `NOW`."""
    base = Call(
        id=1, act="create", method="POST", path="/v1/posts/bulk", body=b"{}", key="k", subject=SUBJECT, baseline=None, credential="c",
        size=1, state=state, tries=1, first_sent=NOW - ago, last_sent=NOW - ago, ended=NOW - ago, answered=False, http_status=None,
        reply=None, refused=False, resent=False, sighted=None, reason=None,
    )  # fmt: skip
    return replace(base, **details)


CALL, ACCEPTED, IN_FLIGHT = a_call(), a_call("accepted"), a_call("sent")
ANSWERED, LIMITED = a_call(answered=True), a_call("limited", answered=True, reason=Reason("rate_limited"))
END = CALL.end


@dataclass(frozen=True)
class Example:
    """Facts for a row of a table, and what comes of them; `row` is None where no row has anything to say."""

    row: str | None
    facts: Any
    says: Any
    about: str = "create"
    request: Request = ASKED


def _decides(row, about, says, request=ASKED, **facts):
    known = {"now": NOW, "read": NOW, "listed": NOW, "makes": about == "create", **facts}
    return Example(row, Facts(**known), says, about, request)


def _moves(code, **params):
    return replace(ASKED, reason=Reason(code, **params))


def _wait(code, until=None, *, holds=True, **params):
    return Wait(Reason(code, **params), until, holds)


def _block(code, **params):
    return Block(Reason(code, **params))


def _keeps(row, about, name, why, **facts):
    """An example of a row that blocks for the reason that a fact gives."""
    return _decides(row, about, Block(why), **{name: why, **facts})


_EVIDENCE = "a reading settles it"
_ABSENT = "a reading proves that it had no effect"
_MOVING = "its subject is in flight"
_QUEUED = "it was accepted"
_UNKNOWN = "nothing else is known of it"
_SENDS = "its run is not paused, stopped or undone"
_FREE = "no open call of another request is on its subject"
_SHOWN = "lists show the metadata of posts, or this is the first create, which shows whether they do"
_LIST = "the list was read within 10 s (15 s as it is sent), if it creates a post or changes text, time or accounts"
_SUBJECT = "its subject was read within 60 s (120 s as it is sent)"
_THERE = "no live or withdrawn post has the mark of this row"
_ALIKE = "no other live post or open call has the same accounts, minute and text"
_DONE = "its subject is not already as requested, and the name of the change (change=) was not used before"
_KEPT = "the post to keep is live and as requested, if this withdraws a duplicate"

DECIDES = (
    # What is settled.
    _decides("its outcome is final", "create", Settle(DONE), DONE, became=FAILED),
    # What is open: evidence.
    _decides(_EVIDENCE, "create", Settle(DONE), call=CALL, became=DONE),
    _decides(_EVIDENCE, "post", _block("post_gone"), call=CALL, became=blocked(ASKED, Reason("post_gone"))),
    _decides(_ABSENT, "create", Release(), call=CALL, absent=True),
    _decides("this kernel waits for its answer", "create", _wait("being_sent"), call=IN_FLIGHT),
    _decides(_MOVING, "post", _wait("post_waits", holds=False, status="draft"), call=ACCEPTED, became=_moves("post_waits", status="draft")),
    _decides(_MOVING, "post", _wait("publishing", status="pending"), call=a_call("accepted", ago=1800), became=_moves("publishing", status="pending")),
    _decides(_MOVING, "post", _wait("never_ended", holds=False), call=a_call("accepted", ago=1800.1), became=_moves("publishing", status="pending")),
    _decides(_QUEUED, "post", _wait("queued"), call=ACCEPTED, looked=299.9),
    _decides(_QUEUED, "post", _wait("looks_as_before", holds=False), call=ACCEPTED, looked=300.0),
    _decides(_UNKNOWN, "create", _wait("unresolved", END + 135), call=CALL),
    _decides(_UNKNOWN, "create", _wait("unresolved", END + 75), call=ANSWERED, looked=74.9, resends=True),
    _decides(_UNKNOWN, "create", Send(), call=ANSWERED, looked=75.0, resends=True),
    _decides(_UNKNOWN, "create", _wait("unresolved", END + 300), call=ANSWERED, looked=75.0, resends=True, listed=NOW - 15.5),
    _decides(_UNKNOWN, "post", _wait("unresolved", END + 300), call=ANSWERED, looked=75.0, resends=True, listed=None, read=NOW - 120.5),
    _decides(_UNKNOWN, "post", Send(), call=ANSWERED, looked=75.0, resends=True, listed=None, read=NOW - 120),
    _decides(_UNKNOWN, "create", _wait("rate_limited", END + 300), call=LIMITED, looked=80.0),
    _decides(_UNKNOWN, "post", _wait("unresolved", holds=False), call=CALL, looked=300.0),
    _decides(_UNKNOWN, "create", _wait("unmarked_post", holds=False), call=LIMITED, looked=300.0, doubtful=Reason("unmarked_post")),
    # What is unsent: whose turn it is.
    _decides(_SENDS, "create", _wait("paused", holds=False), stopped=Reason("paused")),
    _decides("it does not withdraw the post of a create that is still in doubt", "post", _wait("create_in_doubt", holds=False), create_in_doubt=True, busy=CALL),
    _decides(_FREE, "post", _wait("subject_busy", NOW + 1), busy=a_call(ago=600), busy_moves=False),
    _decides(_FREE, "post", _wait("subject_busy"), busy=a_call(ago=600.5)),
    _decides(_FREE, "post", _wait("subject_busy", NOW + 1), busy=a_call(ago=600.5), busy_moves=False, busy_read=False),
    _decides(_FREE, "delivery", _block("subject_unknown"), busy=a_call(ago=600.5), busy_moves=False),
    # Reading.
    _decides(_LIST, "create", Read("list", NOW), listed=None),
    _decides(_LIST, "create", Read("list", NOW), listed=NOW - 10.5, judged=DONE),
    _decides(_SUBJECT, "post", Read("subject", NOW), read=None),
    _decides(_SUBJECT, "post", Read("subject", NOW), read=NOW - 60.5, forbidden=Reason("post_gone")),
    _decides(_SUBJECT, "delivery", Read("subject", NOW), read=NOW + 0.5),
    # What is there already.
    _decides(_THERE, "create", Settle(DONE), judged=DONE, passed=True),
    _keeps(_ALIKE, "create", "alike", Reason("looks_like", post="p"), passed=True),
    _decides(_ALIKE, "post", _wait("looks_like", post="p"), alike=Reason("looks_like", post="p"), makes=True, run_acts=True),
    _keeps(_SHOWN, "create", "hidden", Reason("lists_hide_metadata"), judged=DONE),
    _decides(_SHOWN, "create", _wait("first_create_tells", NOW + 5), first_tells=NOW + 1),
    _decides(_SHOWN, "create", _wait("first_create_tells"), first_tells=NOW - 1),
    _decides(_ALIKE, "create", _wait("alike_in_flight", row="j"), alike=Reason("alike_in_flight", row="j")),
    _keeps(_DONE, "post", "done", Reason("changed_before", fields="tags", name="n")),
    # What forbids it.
    _keeps("its post or delivery is unchanged since it was loaded", "post", "forbidden", Reason("changed_since_loaded", fields="content"), passed=True),
    _decides(_KEPT, "post", Read("subject", NOW), kept=None),
    _decides(_KEPT, "post", _block("kept_is_gone"), kept=False),
    _keeps("its accounts can publish, and its media are ready", "create", "unusable", Reason("account_unknown", said="no account"), passed=True),
    _decides("its time lies ahead", "create", _block("time_passed"), passed=True),
    # Nothing to say.
    _decides(None, "create", Send(), listed=NOW - 10),
    _decides(None, "create", Send(), listed=NOW - 15, read=None, taking=True),
    _decides(None, "post", Send(), read=NOW - 60, listed=None),
    _decides(None, "delivery", Send(), read=NOW - 120, taking=True),
)  # fmt: skip


def _fits(row, kind, says, **facts):
    return Example(row, CallFacts(**{"kind": kind, **facts}), says)


_OFTEN = "it was not tried too often"

FITS = (
    _fits("its path belongs to its act and its subject", "resend", _block("ledger_changed_by_hand"), strange=True, left=True),
    _fits("it acts on exactly what was chosen", "retry", _block("other_target_open"), covers=Reason("other_target_open")),
    _fits("all its rows are still in it", "resend", _wait("resend_partly_done", holds=False), left=True),
    _fits("no reading has found one of its rows", "resend", _wait("resend_partly_done", holds=False), seen=True),
    _fits("no post without a mark could be one of its rows, and its subject is unchanged since the try", "resend", _wait("changed_in_doubt", holds=False), doubtful=Reason("changed_in_doubt")),
    _fits("every row is wanted by a run that this kernel sends", "resend", _wait("resend_unwanted", holds=False), unwanted=True),
    _fits("none of its scheduled times has passed", "resend", _wait("resend_time_passed", holds=False), passed=True),
    _fits("the server remembers its key", "resend", _wait("resend_key_forgotten", holds=False), forgotten=True),
    _fits("the API key is the one that sent it first", "resend", _wait("resend_other_key", holds=False), other_key=True),
    _fits("its key was not refused", "resend", _wait("resend_refused", holds=False), refused=True),
    _fits("no other post has the mark of one of its rows, or looks like one", "resend", _wait("resend_stands", holds=False), stands=True),
    _fits(_OFTEN, "resend", _wait("tried_often", holds=False, times=6), tries=6),
    _fits(None, "retry", Send()),
    _fits(None, "resend", Send(), tries=5),
)  # fmt: skip


def _ends(row, ending, status, code=None, **event):
    """An example of an answer; `code` is the API's own, "" where it gives none, and None where the answer is not the API's."""
    if code is not None:
        event["data"] = {"error": {"code": code, "message": "m"} if code else {"message": "m"}}
    return Example(row, Event(status, **event), ending)


def _told(row, name, ending, status, code=None, **event):
    """An example whose ending names its answer."""
    said = {} if name == "answered_by_proxy" else {"said": f" {code}" if code else ""}
    return _ends(row, replace(ending, reason=Reason(name, status=status, **said)), status, code, **event)


_BROKEN = Reason("answer_unreadable")
_QUOTA = "a quota or a scope, in the middle of a batch perhaps"
_KEY_REFUSED = "a refused key, a quota or a scope"
_OTHER_BODY = "a create's key is of another body, as where a laptop sends other metadata"
_ABOUT_KEY = "an error about the key, or a 409 without a word"

ENDS = (
    _ends("no connection was made", Ending("unsent"), None, sent=False),
    _ends("no answer came", Ending("unknown", Reason("no_answer_came")), None),
    _ends("a create that is only accepted may still be refused", Ending("unknown", _BROKEN), 202, creates=True, decodes=True),
    _ends("a 2xx that does not decode, or is about something else", Ending("unknown", _BROKEN), 200, polled=True),
    _ends("a 2xx that means queued", Ending("accepted"), 202, decodes=True, polled=True),
    _ends("a 2xx whose items count", Ending("answered", Reason("answer_without_row")), 200, decodes=True),
    _told("a rate limit, by a page", "answered_by_proxy", Ending("unknown", throttled=True), 429),
    _ends("a rate limit, of a call in doubt", Ending("unknown", Reason("rate_limited"), throttled=True), 429, "RATE_LIMITED", first=False, batch=True),
    _ends("a rate limit, in the middle of a batch perhaps", Ending("limited", Reason("rate_limited"), throttled=True), 429, asks_to_wait=True, batch=True),
    _ends("a rate limit", Ending("unsent", throttled=True), 429, "RATE_LIMITED"),
    _ends("the key is still in use", Ending("unknown", Reason("still_executing")), 409, "IDEMPOTENCY_IN_PROGRESS"),
    _ends("a create's key is of another body once more, and nothing came of that", Ending("refused"), 409, "IDEMPOTENCY_CONFLICT", creates=True, page=True),
    _told(_OTHER_BODY, "key_conflict", Ending("unknown", never_again=True), 409, "IDEMPOTENCY_CONFLICT", creates=True),
    _told(_OTHER_BODY, "key_conflict", Ending("unknown", never_again=True), 409, "IDEMPOTENCY_CONFLICT", creates=True, page=True, first=False),
    _told(_ABOUT_KEY, "key_conflict", Ending("unknown"), 409, "IDEMPOTENCY_CONFLICT"),
    _told(_ABOUT_KEY, "answered", Ending("unknown"), 409, ""),
    _told("an ambiguous status", "answered", Ending("unknown"), 500, "INTERNAL_ERROR"),
    _told("an ambiguous status", "answered", Ending("unknown"), 300, decodes=True, polled=True),
    _told("a quota or a scope, by a page", "answered_by_proxy", Ending("unknown", stops=True), 401),
    _told("a quota or a scope, by a page", "answered_by_proxy", Ending("unknown", stops=True), 403),
    _ends(_QUOTA, Ending("limited", Reason("rate_limited"), stops=True), 402, "QUOTA_EXCEEDED", batch=True),
    _ends(_QUOTA, Ending("limited", Reason("rate_limited"), stops=True), 403, "FORBIDDEN", batch=True),
    _told(_KEY_REFUSED, "answered", Ending("unsent", stops=True), 401, "UNAUTHORIZED", batch=True),
    _told(_KEY_REFUSED, "answered", Ending("unsent", stops=True), 402, ""),
    _told(_KEY_REFUSED, "answered", Ending("unknown", stops=True), 403, "FORBIDDEN", batch=True, first=False),
    _told(_KEY_REFUSED, "answered", Ending("unsent", stops=True), 400, "IDEMPOTENCY_INVALID_KEY"),
    _told("a refusal after a try in doubt", "answered", Ending("unknown", never_again=True), 422, "NO", first=False),
    _told("a refusal by a page", "answered_by_proxy", Ending("unknown", never_again=True), 404),
    _ends("a refusal", Ending("refused"), 404, "NOT_FOUND"),
    _ends("a refusal", Ending("refused"), 404, page=True),
    *(_ends("a refusal", Ending("refused"), status) for status in (413, 414, 431)),
)  # fmt: skip

EXISTS = item("retry", Subject("post", "p"), "/v1/posts/p/retry")
_OPEN = replace(ASKED, call=1)
_UNDONE, _NOT_THERE = (replace(ASKED, outcome=Outcome.BLOCKED, reason=Reason(code)) for code in ("undone", "not_found"))
_CANCELLED = Seen("p", "2026-03-02T09:00:00+00:00", "cancelled")
_AT_POST = request(EXISTS)
_AWAY_ANEW = "succeeded, withdrawn since, and meant as a next attempt, which somebody may have created"


def _binds(row, verdict, request=ASKED, **known):
    creates = request is None or request.item is ROW
    planned = known.pop("item", ROW if creates else EXISTS)
    return Example(row, Planned(**{"item": planned, "request": request, **known}), verdict)


def _second(wanted):
    return replace(wanted, attempt=2)


def _refuses(code, fields, **more):
    return Refuse(Reason(code, fields=fields, **more))


BINDS = (
    _binds("never wanted before", New(1), None),
    _binds("never wanted before", New(2), None, item=_second(ROW)),
    _binds("never wanted before", New(1), None, item=_second(EXISTS)),
    _binds("undone, or not there, and meant as a next attempt", New(2), _UNDONE, item=_second(ROW), anew=True, ended=True),
    _binds("undone, or not there", Join(), _UNDONE, differs=("content",), ended=True),
    _binds("open for ten minutes, and meant as a next attempt", New(2, abandon=True), replace(_AT_POST, call=1), call=CALL, old=True, anew=True),
    _binds("open, and undone", Refuse(Reason("undone")), _OPEN, call=CALL, ended=True, anew=True),
    _binds("open, with another body", _refuses("open_otherwise", "accounts, tags"), _OPEN, call=CALL, differs=("accountIds", "tags")),
    _binds("open", Join(), _OPEN, call=CALL, anew=True),
    _binds(_AWAY_ANEW, New(2), DONE, item=_second(ROW), withdrawn=_CANCELLED, anew=True),
    _binds(_AWAY_ANEW, New(2), DONE, withdrawn=_CANCELLED, live=True),
    _binds("succeeded, withdrawn since", Refuse(Reason("withdrawn_since", post="p", status="cancelled", attempt=2)), DONE, withdrawn=_CANCELLED),
    _binds("succeeded, and meant once more", New(2), settled(_AT_POST, Outcome.SUCCEEDED), again=True),
    _binds("succeeded, with the same body", Join(), DONE, anew=True, again=True),
    _binds("succeeded, and shown as requested now", Join(), DONE, differs=("content",), shown=True),
    _binds("succeeded, with another body", _refuses("created_otherwise", "first_comment", post="p"), DONE, differs=("firstComment",)),
    _binds("succeeded, with another body that plan_update changes", _refuses("created_otherwise_update", "content, scheduled_for", post="p"), DONE, differs=("content", "scheduledFor")),
    _binds("succeeded, with another value", _refuses("done_otherwise", "content"), settled(_AT_POST, Outcome.SUCCEEDED), differs=("content",)),
    _binds("failed, and meant as a next attempt", New(3), settled(request(_second(ROW)), Outcome.FAILED), anew=True),
    _binds("failed, and meant as a next attempt", New(2), settled(_AT_POST, Outcome.FAILED), again=True),
    _binds("failed, with the same body", Join(), FAILED),
    _binds("failed, with another body", New(2), FAILED, differs=("content",)),
    _binds("not sent yet", Renew(), ASKED, differs=("content",), anew=True),
    _binds("not sent yet", Renew(), replace(ASKED, outcome=Outcome.BLOCKED, reason=Reason("time_passed"))),
)  # fmt: skip


# -- which row speaks -------------------------------------------------------------------------------------------------


def _guards(rule, example):
    """Whether a row of `decide` has something to say."""
    one, facts = example.request, example.facts
    state = "settled" if one.outcome.final else "unsent" if facts.call is None else "open"
    return rule.state == state and rule.about in {"all", example.about} and rule.guard(one, facts) is not None


def _holds(case, example):
    return case.holds(example.facts)


# Rows, examples, whether a row speaks of an example, and what comes of one.
TABLES = {
    "decide": (rules.RULES, DECIDES, _guards, lambda one: decide(one.request, one.about, one.facts)),
    "fit": (
        rules.FITS, FITS, lambda row, one: row.of in {"all", one.facts.kind} and row.guard(one.facts) is not None, lambda one: fit(one.facts)),
    "reduce": (answers.CASES, ENDS, _holds, lambda one: answers.reduce(one.facts)),
    "place": (bind.CASES, BINDS, _holds, lambda one: place(one.facts)),
}  # fmt: skip


def row_of(table, example):
    """The first row of a table that speaks; None where no row does."""
    rows, _, speaks, _ = TABLES[table]
    return next((row for row in rows if speaks(row, example)), None)
