"""The rows of `decide`, `fit`, `reduce` and `place`, each as facts in and decision out; `test_rules_table` and `rules_doc` read them.

An example names the row of the table that must speak. The first row that does decides, so the facts of an example are in order
but for what it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.acts.support import item, request

from voxops.acts.act import Request, Subject, blocked, settled
from voxops.api.reasons import Reason
from voxops.engine import answers, bind, rules
from voxops.engine.answers import Ending, Event
from voxops.engine.bind import Join, New, Planned, Refuse, Renew, Verdict, place
from voxops.engine.rules import (
    Block,
    CallFacts,
    Decision,
    Facts,
    Read,
    Release,
    Send,
    Settle,
    Wait,
    decide,
    fit,
)
from voxops.ledger.records import Call, Seen
from voxops.model import Outcome

NOW = 1_772_442_000.0
SUBJECT = Subject("row", "i")
ROW = item("create", SUBJECT, "/v1/posts/bulk", {"content": "c", "tags": ["t"]}, campaign="c", row="i")
ASKED = request(ROW)
DONE = settled(ASKED, Outcome.SUCCEEDED, result_id="p")
FAILED = settled(ASKED, Outcome.FAILED, error_code="NO")


def a_call(state: str = "unknown", *, ago: float = 100.0, **details: Any) -> Call:
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


def _decides(row: str | None, about: str, says: Decision, request: Request = ASKED, **facts: Any) -> Example:
    known = {"now": NOW, "read": NOW, "listed": NOW, "makes": about == "create", **facts}
    return Example(row, Facts(**known), says, about, request)


def _moves(code: str, **params: Any) -> Request:
    return replace(ASKED, reason=Reason(code, **params))


def _wait(code: str, until: float | None = None, *, holds: bool = True, **params: Any) -> Wait:
    return Wait(Reason(code, **params), until, holds)


def _block(code: str, **params: Any) -> Block:
    return Block(Reason(code, **params))


_EVIDENCE = "a reading settles it"
_ABSENT = "a reading proves that it had no effect"
_FLIGHT = "this kernel waits for its answer"
_MOVING = "its subject is in flight"
_QUEUED = "it was accepted"
_UNKNOWN = "nothing else is known of it"
_SENDS = "its run is not paused, stopped or undone"
_IN_DOUBT = "it does not withdraw the post of a create that is still in doubt"
_FREE = "no open call of another request is on its subject"
_SHOWN = "lists show the metadata of posts, or this is the first create, which shows whether they do"
_LIST = "the list was read within 10 s (15 s as it is sent), if it creates a post or changes text, time or accounts"
_SUBJECT = "its subject was read within 60 s (120 s as it is sent)"
_THERE = "no live or withdrawn post has the mark of this row"
_ALIKE = "no other live post or open call has the same accounts, minute and text"
_DONE = "its subject is not as requested already, and the name of the change (change=) was not used before"
_UNCHANGED = "its post or delivery is unchanged since it was loaded"
_KEPT = "the post to keep is live and as requested, if this withdraws a duplicate"
_USABLE = "its accounts can publish, and its media are ready"
_TIME = "its time lies ahead"

DECIDES = (
    # What is settled.
    _decides("its outcome is final", "create", Settle(DONE), DONE, became=FAILED),
    _decides("its outcome is final", "post", Settle(FAILED), FAILED, call=CALL, absent=True),
    # What is open: evidence.
    _decides(_EVIDENCE, "create", Settle(DONE), call=CALL, became=DONE),
    _decides(_EVIDENCE, "post", Settle(FAILED), call=ACCEPTED, became=FAILED),
    _decides(_EVIDENCE, "post", _block("post_gone"), call=CALL, became=blocked(ASKED, Reason("post_gone"))),
    _decides(_ABSENT, "create", Release(), call=CALL, absent=True),
    _decides(_ABSENT, "post", Release(), call=a_call(answered=True), absent=True, looked=300.0),
    _decides(_FLIGHT, "create", _wait("being_sent"), call=IN_FLIGHT),
    _decides(_MOVING, "post", _wait("publishing", status="publishing"), call=ACCEPTED, became=_moves("publishing", status="publishing")),
    _decides(_MOVING, "post", _wait("post_waits", holds=False, status="draft"), call=ACCEPTED, became=_moves("post_waits", status="draft")),
    _decides(_MOVING, "post", _wait("publishing", status="pending"), call=a_call("accepted", ago=1800), became=_moves("publishing", status="pending")),
    _decides(_MOVING, "post", _wait("never_ended", holds=False), call=a_call("accepted", ago=1800.1), became=_moves("publishing", status="pending")),
    _decides(_QUEUED, "post", _wait("queued"), call=ACCEPTED, looked=299.9),
    _decides(_QUEUED, "post", _wait("looks_as_before", holds=False), call=ACCEPTED, looked=300.0),
    _decides(_UNKNOWN, "create", _wait("unresolved", END + 135), call=CALL),
    _decides(_UNKNOWN, "create", _wait("unresolved", END + 75), call=ANSWERED, looked=74.9, resends=True),
    _decides(_UNKNOWN, "create", Send(), call=ANSWERED, looked=75.0, resends=True),
    _decides(_UNKNOWN, "create", _wait("unresolved", END + 135), call=CALL, looked=134.9, resends=True),
    _decides(_UNKNOWN, "post", Send(), call=CALL, looked=135.0, resends=True),
    _decides(_UNKNOWN, "create", _wait("unresolved", END + 300), call=ANSWERED, looked=75.0, resends=True, listed=NOW - 15.5),
    _decides(_UNKNOWN, "post", _wait("unresolved", END + 300), call=ANSWERED, looked=75.0, resends=True, listed=None, read=NOW - 120.5),
    _decides(_UNKNOWN, "post", Send(), call=ANSWERED, looked=75.0, resends=True, listed=None, read=NOW - 120),
    _decides(_UNKNOWN, "create", _wait("rate_limited", END + 300), call=LIMITED, looked=80.0),
    _decides(_UNKNOWN, "post", _wait("unresolved", holds=False), call=CALL, looked=300.0),
    _decides(_UNKNOWN, "create", _wait("unmarked_post", holds=False), call=LIMITED, looked=300.0, doubtful=Reason("unmarked_post")),
    # What is unsent: whose turn it is.
    _decides(_SENDS, "create", _wait("paused", holds=False), stopped=Reason("paused")),
    _decides(_SENDS, "post", _wait("undone", holds=False), stopped=Reason("undone"), passed=True, read=None),
    _decides(_IN_DOUBT, "post", _wait("create_in_doubt", holds=False), create_in_doubt=True, busy=CALL),
    _decides(_FREE, "post", _wait("subject_busy", NOW + 501), busy=CALL),
    _decides(_FREE, "post", _wait("subject_busy", NOW + 1), busy=a_call(ago=600), busy_moves=False),
    _decides(_FREE, "post", _wait("subject_busy"), busy=a_call(ago=600.5)),
    _decides(_FREE, "post", _wait("subject_busy", NOW + 1), busy=a_call(ago=600.5), busy_moves=False, busy_read=False),
    _decides(_FREE, "delivery", _block("subject_unknown"), busy=a_call(ago=600.5), busy_moves=False),
    # Reading.
    _decides(_LIST, "create", Read("list", NOW), listed=None),
    _decides(_LIST, "create", Read("list", NOW), listed=NOW - 10.5, judged=DONE),
    _decides(_LIST, "create", Read("list", NOW), listed=NOW - 15.5, taking=True),
    _decides(_SUBJECT, "post", Read("subject", NOW), read=None),
    _decides(_SUBJECT, "post", Read("subject", NOW), read=NOW - 60.5, forbidden=Reason("post_gone")),
    _decides(_SUBJECT, "post", Read("subject", NOW), read=NOW - 120.5, taking=True),
    _decides(_SUBJECT, "delivery", Read("subject", NOW), read=NOW + 0.5),
    # What is there already.
    _decides(_THERE, "create", Settle(DONE), judged=DONE, passed=True),
    _decides(_THERE, "create", _block("other_content", post="p"), judged=Reason("other_content", post="p")),
    _decides(_ALIKE, "create", _block("looks_like", post="p"), alike=Reason("looks_like", post="p"), passed=True),
    _decides(_ALIKE, "post", _block("looks_like_row", post="p", of=""), alike=Reason("looks_like_row", post="p", of=""), makes=True),
    _decides(_ALIKE, "post", _wait("looks_like", post="p"), alike=Reason("looks_like", post="p"), makes=True, run_acts=True),
    _decides(_LIST, "post", Read("list", NOW), makes=True, listed=None),
    _decides(_SHOWN, "create", _block("lists_hide_metadata"), hidden=Reason("lists_hide_metadata"), judged=DONE),
    _decides(_SHOWN, "create", _wait("first_create_tells", NOW + 5), first_tells=NOW + 1),
    _decides(_SHOWN, "create", _wait("first_create_tells"), first_tells=NOW - 1),
    _decides(_ALIKE, "create", _wait("alike_in_flight", row="j"), alike=Reason("alike_in_flight", row="j")),
    _decides(_DONE, "post", Settle(DONE), done=DONE, forbidden=Reason("post_gone"), passed=True),
    _decides(_DONE, "post", _block("changed_before", fields="tags", name="n"), done=Reason("changed_before", fields="tags", name="n")),
    _decides(_DONE, "delivery", _block("redelivered_before"), done=Reason("redelivered_before")),
    # What forbids it.
    _decides(_UNCHANGED, "post", _block("changed_since_loaded", fields="content"), forbidden=Reason("changed_since_loaded", fields="content"), passed=True),
    _decides(_KEPT, "post", Read("subject", NOW), kept=None),
    _decides(_KEPT, "post", _block("kept_is_gone"), kept=False),
    _decides(_USABLE, "create", _block("account_unknown", said="no account"), unusable=Reason("account_unknown", said="no account"), passed=True),
    _decides(_TIME, "create", _block("time_passed"), passed=True),
    # Nothing to say.
    _decides(None, "create", Send(), listed=NOW - 10),
    _decides(None, "create", Send(), listed=NOW - 15, read=None, taking=True),
    _decides(None, "post", Send(), read=NOW - 60, listed=None),
    _decides(None, "delivery", Send(), read=NOW - 120, taking=True),
)  # fmt: skip


def _fits(row: str | None, kind: str, says: Any, **facts: Any) -> Example:
    return Example(row, CallFacts(**{"kind": kind, **facts}), says)


_OWN = "its path belongs to its act and its subject"
_COVERS = "it acts on exactly what was chosen"
_LEFT = "all its rows are still in it"
_SEEN = "no reading has found one of its rows"
_MAY_BE = "no unmarked post may be one of its rows, and its subject is unchanged since the try"
_WANTED = "every row is wanted by a run that this kernel sends"
_PASSED = "none of its scheduled times has passed"
_REMEMBERED = "the server remembers its key"
_SAME_KEY = "it is the same API key"
_REFUSED = "its key was not refused"
_STANDS = "no other post has the mark of one of its rows, or looks like one"
_OFTEN = "it was not tried too often"

FITS = (
    _fits(_OWN, "resend", _block("ledger_changed_by_hand"), strange=True, left=True),
    _fits(_COVERS, "retry", _block("other_target_open"), covers=Reason("other_target_open")),
    _fits(_LEFT, "resend", _wait("resend_partly_done", holds=False), left=True),
    _fits(_SEEN, "resend", _wait("resend_partly_done", holds=False), seen=True),
    _fits(_MAY_BE, "resend", _wait("changed_in_doubt", holds=False), doubtful=Reason("changed_in_doubt")),
    _fits(_WANTED, "resend", _wait("resend_unwanted", holds=False), unwanted=True),
    _fits(_PASSED, "resend", _wait("resend_time_passed", holds=False), passed=True),
    _fits(_REMEMBERED, "resend", _wait("resend_key_forgotten", holds=False), forgotten=True),
    _fits(_SAME_KEY, "resend", _wait("resend_other_key", holds=False), other_key=True),
    _fits(_REFUSED, "resend", _wait("resend_refused", holds=False), refused=True),
    _fits(_STANDS, "resend", _wait("resend_stands", holds=False), stands=True),
    _fits(_OFTEN, "resend", _wait("tried_often", holds=False, times=6), tries=6),
    _fits(_OFTEN, "create", _wait("tried_often", holds=False, times=6), tries=6),
    _fits(None, "create", Send(), tries=5),
    _fits(None, "retry", Send()),
    _fits(None, "resend", Send(), tries=5),
)  # fmt: skip


def _ends(row: str, ending: Ending, **event: Any) -> Example:
    return Example(row, Event(**event), ending)


def _api(code: str = "", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "m"} if code else {"message": "m"}, **more}


def _answered(status: int, code: str = "", name: str = "answered") -> Reason:
    return Reason(name, status=status, said=f" {code}" if code else "")


def _proxied(status: int) -> Reason:
    return Reason("answered_by_proxy", status=status)


_BROKEN = Reason("answer_unreadable")
_QUOTA = "a quota or a scope, in the middle of a batch perhaps"
_KEY_REFUSED = "a refused key, a quota or a scope"
_OTHER_BODY = "a create's key is of another body, as where a laptop sends other metadata"
_ABOUT_KEY = "an error about the key, or a 409 without a word"

ENDS = (
    _ends("no connection was made", Ending("unsent"), status=None, sent=False),
    _ends("no answer came", Ending("unknown", Reason("no_answer_came")), status=None),
    _ends("a create that is only accepted may still be refused", Ending("unknown", _BROKEN), status=202, creates=True, decodes=True),
    _ends("a 2xx that does not decode, or is about something else", Ending("unknown", _BROKEN), status=200, polled=True),
    _ends("a 2xx that does not decode, or is about something else", Ending("unknown", _BROKEN), status=299, data={"id": "p"}),
    _ends("a 2xx that means queued", Ending("accepted"), status=202, decodes=True, polled=True),
    _ends("a 2xx whose items count", Ending("answered", Reason("answer_without_row")), status=207, decodes=True, creates=True),
    _ends("a 2xx whose items count", Ending("answered", Reason("answer_without_row")), status=200, decodes=True),
    _ends("a rate limit, by a page", Ending("unknown", _proxied(429), throttled=True), status=429),
    _ends("a rate limit, of a call in doubt", Ending("unknown", Reason("rate_limited"), throttled=True), status=429, data=_api("RATE_LIMITED"), first=False, batch=True),
    _ends("a rate limit, in the middle of a batch perhaps", Ending("limited", Reason("rate_limited"), throttled=True), status=429, asks_to_wait=True, batch=True),
    _ends("a rate limit", Ending("unsent", throttled=True), status=429, data=_api("RATE_LIMITED")),
    _ends("a rate limit", Ending("unsent", throttled=True), status=429, asks_to_wait=True),
    _ends("the key is still in use", Ending("unknown", Reason("still_executing")), status=409, data=_api("IDEMPOTENCY_IN_PROGRESS")),
    _ends("a create's key is of another body once more, and nothing came of that", Ending("refused"), status=409, data=_api("IDEMPOTENCY_CONFLICT"), creates=True, page=True),
    _ends(_OTHER_BODY, Ending("unknown", _answered(409, "IDEMPOTENCY_CONFLICT", "key_conflict"), never_again=True), status=409, data=_api("IDEMPOTENCY_CONFLICT"), creates=True),
    _ends(_OTHER_BODY, Ending("unknown", _answered(409, "IDEMPOTENCY_CONFLICT", "key_conflict"), never_again=True), status=409, data=_api("IDEMPOTENCY_CONFLICT"), creates=True, page=True, first=False),
    _ends(_ABOUT_KEY, Ending("unknown", _answered(409, "IDEMPOTENCY_CONFLICT", "key_conflict")), status=409, data=_api("IDEMPOTENCY_CONFLICT")),
    _ends(_ABOUT_KEY, Ending("unknown", _answered(409)), status=409, data=_api()),
    _ends("an ambiguous status", Ending("unknown", _answered(500, "INTERNAL_ERROR")), status=500, data=_api("INTERNAL_ERROR")),
    _ends("an ambiguous status", Ending("unknown", _answered(408)), status=408, data=_api()),
    _ends("an ambiguous status", Ending("unknown", _answered(300)), status=300, decodes=True, polled=True),
    _ends("a quota or a scope, by a page", Ending("unknown", _proxied(401), stops=True), status=401),
    _ends("a quota or a scope, by a page", Ending("unknown", _proxied(403), stops=True), status=403),
    _ends(_QUOTA, Ending("limited", Reason("rate_limited"), stops=True), status=402, data=_api("QUOTA_EXCEEDED"), batch=True),
    _ends(_QUOTA, Ending("limited", Reason("rate_limited"), stops=True), status=403, data=_api("FORBIDDEN"), batch=True),
    _ends(_KEY_REFUSED, Ending("unsent", _answered(401, "UNAUTHORIZED"), stops=True), status=401, data=_api("UNAUTHORIZED"), batch=True),
    _ends(_KEY_REFUSED, Ending("unsent", _answered(402), stops=True), status=402, data=_api()),
    _ends(_KEY_REFUSED, Ending("unknown", _answered(403, "FORBIDDEN"), stops=True), status=403, data=_api("FORBIDDEN"), batch=True, first=False),
    _ends(_KEY_REFUSED, Ending("unsent", _answered(400, "IDEMPOTENCY_INVALID_KEY"), stops=True), status=400, data=_api("IDEMPOTENCY_INVALID_KEY")),
    _ends("a refusal after a try in doubt", Ending("unknown", _answered(422, "NO"), never_again=True), status=422, data=_api("NO"), first=False),
    _ends("a refusal by a page", Ending("unknown", _proxied(404), never_again=True), status=404),
    _ends("a refusal", Ending("refused"), status=404, data=_api("NOT_FOUND")),
    _ends("a refusal", Ending("refused"), status=404, page=True),
    *(_ends("a refusal", Ending("refused"), status=status) for status in (413, 414, 431)),
)  # fmt: skip

EXISTS = item("retry", Subject("post", "p"), "/v1/posts/p/retry")
_OPEN = replace(ASKED, call=1)
_UNDONE, _NOT_THERE = (replace(ASKED, outcome=Outcome.BLOCKED, reason=Reason(code)) for code in ("undone", "not_found"))
_CANCELLED = Seen("p", "2026-03-02T09:00:00+00:00", "cancelled")
_AT_POST = request(EXISTS)
_AWAY_ANEW = "succeeded, withdrawn since, and meant as a next attempt, which somebody may have created"


def _binds(row: str, verdict: Verdict, request: Request | None = ASKED, **known: Any) -> Example:
    creates = request is None or request.item is ROW
    planned = known.pop("item", ROW if creates else EXISTS)
    return Example(row, Planned(**{"item": planned, "request": request, **known}), verdict)


def _second(wanted: Any) -> Any:
    return replace(wanted, attempt=2)


def _refuses(code: str, fields: str, **more: str) -> Refuse:
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
    _binds("open for ten minutes, and meant as a next attempt", New(2, abandon=True), _OPEN, call=CALL, old=True, anew=True),
    _binds("open", Join(), replace(_AT_POST, call=1), call=CALL, anew=True),
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


def decides(example: Example) -> tuple[Any, Any]:
    """The row of `decide` that speaks, and what it says."""
    one, about, facts = example.request, example.about, example.facts
    state = "settled" if one.outcome.final else "unsent" if facts.call is None else "open"
    asked = [rule for rule in rules.RULES if rule.state == state and rule.about in {"all", about}]
    row = next((rule for rule in asked if rule.guard(one, facts) is not None), None)
    return row, decide(one, about, facts)


def fits(example: Example) -> tuple[Any, Any]:
    """The row of `fit` that speaks, and what it says."""
    asked = [row for row in rules.FITS if row.of in {"all", example.facts.kind}]
    return next((row for row in asked if row.guard(example.facts) is not None), None), fit(example.facts)


def ends(example: Example) -> tuple[Any, Any]:
    """The case of `reduce` that holds, and what it makes of the call."""
    return next(case for case in answers.CASES if case.holds(example.facts)), answers.reduce(example.facts)


def binds(example: Example) -> tuple[Any, Any]:
    """The case of `place` that holds, and its verdict."""
    return next(case for case in bind.CASES if case.holds(example.facts)), place(example.facts)


TABLES: dict[str, tuple[Sequence[Any], Sequence[Example], Callable[[Example], tuple[Any, Any]]]] = {
    "decide": (rules.RULES, DECIDES, decides), "fit": (rules.FITS, FITS, fits), "reduce": (answers.CASES, ENDS, ends),
    "place": (bind.CASES, BINDS, binds),
}  # fmt: skip
