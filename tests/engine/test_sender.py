"""Sending one operation: what must be so before, what leaves, and what every kind of answer is recorded as; the answers are made up."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.desk import QUEUED, RETENTION, Desk, created, error, retried, says
from tests.engine.shown import NOW, campaign, made_post, retry, run_now, state

from voxops.api.assumptions import KEY_EARLY
from voxops.api.reasons import beginning
from voxops.api.timing import CLEARED_FOR, CREATES_CLEARED_FOR, LEASE, Backoff, delay
from voxops.engine.created import Listed
from voxops.engine.learning import learn
from voxops.engine.reader import interval
from voxops.engine.sender import LONGEST_MESSAGE, RENEWALS, THROTTLES, Sender
from voxops.errors import TransportError
from voxops.ledger.claims import TOO_OLD

# -- what leaves -------------------------------------------------------------------------------------------------------------


def test_rule_08_what_was_stored_leaves_once_under_its_key_and_is_counted(desk):
    op = retried(desk)
    desk.current.tally.looks = 9
    desk.send(op, says(202, QUEUED))
    stored = desk.get(op)
    assert desk.post.requests == [
        {"method": "POST", "path": "/v1/posts/post_1/retry", "body": stored.body, "key": stored.key}
    ]
    assert (stored.state, stored.tries, stored.http_status, stored.answered) == ("accepted", 1, 202, True)
    assert desk.ledger.operations.reply(op) == json.dumps(QUEUED).encode()
    assert (stored.first_sent, stored.ended) == (NOW.timestamp(), NOW.timestamp())
    assert (desk.current.queue.tries[op], desk.current.tally.acts, desk.current.tally.looks) == (1, 1, 0)
    assert desk.changed == [], "a queued act is no outcome"


@pytest.mark.parametrize("how", ["paused", "halted"])
def test_nothing_leaves_a_run_that_has_stopped(desk, how):
    op = retried(desk)
    setattr(desk.current.control, how, "stop")
    commits: list[str] = []
    desk.post.after_commit = lambda: commits.append(how)
    desk.send(op)
    assert (desk.post.requests, desk.state(op), desk.get(op).tries, commits) == ([], "planned", 0, [])


@pytest.mark.parametrize("how", ["paused", "halted"])
def test_a_run_that_stops_while_it_claims_sends_nothing_and_takes_it_back(desk, how):
    op = retried(desk)
    desk.post.after_commit = lambda: setattr(desk.current.control, how, "stop")
    desk.send(op)
    assert (desk.post.requests, desk.state(op), desk.get(op).tries) == ([], "planned", 0)


def test_rule_21_whoever_slept_since_the_claim_sends_nothing(desk):
    op = retried(desk)
    desk.post.after_commit = lambda: desk.at(LEASE)
    desk.send(op)
    assert (desk.post.requests, desk.state(op)) == ([], "sent")


def slow(desk: Desk, *waits: float) -> None:
    """Let each permit take so many seconds, and the later ones none."""
    left = list(waits)
    desk.post.before_permit = lambda: desk.at(desk.seconds + (left.pop(0) if left else 0))


def test_a_create_that_waited_too_long_for_its_turn_is_looked_for_again_and_goes_out_at_once(desk):
    op = created(desk, "a")
    slow(desk, CREATES_CLEARED_FOR + 1)
    desk.send(op, says(201, {"id": "post_1", "status": "scheduled"}))
    assert (len(desk.server.since), len(desk.post.requests)) == (1, 1)
    assert desk.current.reasons.refused == {}


def test_one_list_clears_all_creates_of_a_run_that_wait(desk):
    first, second = desk.bind(campaign("a", "b", one_by_one=True))
    waiting = desk.ledger.claims.clear(desk.get(second))
    slow(desk, CREATES_CLEARED_FOR + 1)
    desk.send(first, says(201, {"id": "post_1", "status": "scheduled"}))
    desk.post.answers = [says(201, {"id": "post_2", "status": "scheduled"})]
    run_now(desk.sender.send(desk.current, waiting))
    assert (len(desk.server.since), len(desk.post.requests)) == (1, 2)


def test_a_create_whose_turn_is_always_late_is_put_off_and_not_looked_for_without_end(desk):
    op = created(desk, "a")
    slow(desk, *[CREATES_CLEARED_FOR + 1] * 9)
    desk.send(op)
    assert (len(desk.server.since), desk.post.requests) == (RENEWALS, []) == (3, [])
    assert desk.current.reasons.refused == {op: TOO_OLD}
    assert desk.state(op) == "planned"


def test_a_create_is_cleared_as_of_the_beginning_of_the_list_that_was_read_for_it(desk):
    """The list itself is held up: what it showed in the beginning is too old again, so it is read once more."""
    op = created(desk, "a")
    slow(desk, CREATES_CLEARED_FOR + 1)
    read, took = desk.server.created, [CREATES_CLEARED_FOR + 1, 0.0]

    async def held_up(*args: Any, **options: Any) -> Any:
        listed = await read(*args, **options)
        listed.read = desk.now.timestamp()
        desk.at(desk.seconds + took.pop(0))
        return listed

    desk.server.created = held_up
    desk.send(op, says(201, {"id": "post_1", "status": "scheduled"}))
    assert (len(desk.server.since), len(desk.post.requests)) == (2, 1)


def test_a_create_that_somebody_made_while_it_waited_is_not_sent(desk):
    op = created(desk, "a")
    desk.server.listed = [made_post(json.loads(desk.get(op).body)["posts"][0], "post_7", NOW.isoformat())]
    slow(desk, CREATES_CLEARED_FOR + 1)
    desk.send(op)
    assert (desk.post.requests, desk.state(op)) == ([], "settled")


def test_a_create_that_the_ledger_has_learnt_to_be_there_is_looked_for_once_more(desk):
    """Another run of this ledger has seen somebody's post meanwhile: a claim is refused, and the list read again decides."""
    op = created(desk, "a")
    theirs = made_post(json.loads(desk.get(op).body)["posts"][0], "post_7", NOW.isoformat())
    desk.server.listed = [theirs]
    desk.post.before_permit = lambda: learn(desk.ledger, Listed({"post_7": theirs}))
    desk.send(op)
    assert (len(desk.server.since), desk.post.requests, desk.state(op)) == (1, [], "settled")
    assert desk.current.reasons.refused == {}


@pytest.mark.parametrize("how", ["pause", "halt"])
def test_nothing_is_looked_for_when_the_run_stops_while_it_waits(desk, how):
    op = created(desk, "a")

    def stop() -> None:
        desk.at(CREATES_CLEARED_FOR + 1)
        desk.current.control.pause() if how == "pause" else desk.current.control.halt("x")

    desk.post.before_permit = stop
    desk.send(op)
    assert (desk.server.since, desk.post.requests, desk.current.reasons.refused) == ([], [], {})


def test_no_post_is_read_again_when_the_run_stops_while_its_act_s_claim_is_refused(desk):
    op = retried(desk)
    desk.server.states = {"post_1": state("failed")}
    slow(desk, CLEARED_FOR + 1)
    desk.post.after_commit = desk.current.control.pause
    desk.send(op)
    assert (desk.server.read, desk.post.requests, desk.current.reasons.refused) == ([], [], {})


def test_nothing_is_looked_for_when_the_run_stops_while_its_claim_is_refused(desk):
    op = created(desk, "a")
    slow(desk, CREATES_CLEARED_FOR + 1)
    desk.post.after_commit = desk.current.control.pause
    desk.send(op)
    assert (desk.server.since, desk.post.requests, desk.current.reasons.refused) == ([], [], {})


def test_a_create_that_is_refused_for_another_reason_is_not_looked_for(desk):
    op = created(desk, "a")
    cleared = desk.ledger.claims.clear(desk.get(op))
    desk.ledger.query("UPDATE operations SET state = 'withdrawn' WHERE id = ?", (op,))
    run_now(desk.sender.send(desk.current, cleared))
    assert (desk.server.since, desk.current.reasons.waiting) == ([], {op: "it is withdrawn"})


def test_a_create_that_was_sent_before_is_cleared_by_a_look_and_by_nothing_else(desk):
    op = created(desk, "a")
    desk.doubt(op)
    slow(desk, CREATES_CLEARED_FOR + 1)
    desk.send(op)
    assert (desk.server.since, desk.post.requests, desk.current.reasons.refused) == ([], [], {op: TOO_OLD})


def test_a_refused_claim_is_tried_again_in_a_moment_or_never(desk):
    op = retried(desk)
    desk.current.tally.acts = 5
    desk.server.states = {"post_1": state("failed")}
    slow(desk, *[CLEARED_FOR + 1] * (RENEWALS + 1))
    desk.send(op)
    until = desk.seconds + interval(0, desk.rng)
    assert desk.current.reasons.refused == {op: TOO_OLD}
    assert desk.current.reasons.waiting == {}
    assert desk.server.read == ["posts post_1"] * RENEWALS, "by itself, each time its turn comes too late"
    assert not desk.current.queue.due(op, until - 0.001)
    assert desk.current.queue.due(op, until)
    assert (desk.post.requests, desk.current.tally.acts, desk.current.queue.tries[op]) == ([], 5, 0)
    desk.send(op, says(202, QUEUED))
    assert desk.current.reasons.refused == {}, "it was granted meanwhile"
    desk.ledger.query("UPDATE operations SET state = 'withdrawn' WHERE id = ?", (op,))
    desk.send(op)
    assert desk.current.reasons.waiting == {op: "it is withdrawn"}


def test_an_act_whose_post_was_changed_while_it_waited_too_long_for_its_turn_is_blocked(desk):
    op = retried(desk)
    slow(desk, CLEARED_FOR + 1)
    desk.server.states = {"post_1": state("published")}
    desk.send(op)
    assert (desk.post.requests, desk.server.read, desk.state(op)) == ([], ["posts post_1"], "planned")
    assert desk.current.reasons.blocked == {op}
    assert desk.current.reasons.waiting[op].startswith(beginning("changed_since_loaded"))


def test_rule_12_a_key_that_is_nearly_forgotten_is_not_sent_again(desk):
    op = retried(desk)
    desk.doubt(op)
    desk.at(RETENTION - KEY_EARLY + 1)
    desk.send(op)
    assert desk.post.requests == []
    assert "the server may have forgotten its key" in desk.current.reasons.refused[op]
    desk.at(RETENTION - KEY_EARLY)
    desk.send(op, says(202, QUEUED))
    assert len(desk.post.requests) == 1


def test_two_senders_have_names_of_their_own(desk):
    other = Sender(
        desk.post, desk.ledger, writer=desk.post, reader=desk.server, credential="c", retention=1.0, rng=random.Random(7)
    )  # fmt: skip
    assert other._owner != desk.sender._owner


# -- no answer ---------------------------------------------------------------------------------------------------------------


def test_rule_11_after_no_answer_nobody_knows(desk):
    op = retried(desk)
    desk.send(op, TransportError("broke", sent=True))
    stored = desk.get(op)
    assert (stored.state, stored.answered, stored.waiting_for, stored.http_status) == (
        "unknown",
        False,
        "no answer came",
        None,
    )
    assert stored.ended == NOW.timestamp()
    assert desk.outcomes(op) == ["unknown"]
    assert desk.current.queue.describe_failures(op) == "no answer came once"
    assert desk.current.control.sending
    assert desk.current.queue.due(op, desk.seconds), "reading decides when it is sent again"


def test_a_connection_that_was_never_made_is_tried_again_a_few_times(desk):
    op = retried(desk)
    for number in range(1, Backoff().tries + 1):
        assert desk.current.control.sending, number
        desk.send(op, TransportError("nobody listens", sent=False))
        assert (desk.state(op), desk.get(op).tries, desk.get(op).first_sent) == ("planned", 0, None)
        until = delay(Backoff(), number, desk.rng)
        assert not desk.current.queue.due(op, until - 0.001)
        assert desk.current.queue.due(op, until)
    assert desk.current.control.halted == "nobody listens; run.resume() goes on when the server is back"
    assert desk.current.queue.describe_failures(op) == ""


def test_a_task_that_is_cancelled_while_it_waits_says_that_nobody_knows(desk):
    op = retried(desk)
    with pytest.raises(asyncio.CancelledError):
        desk.send(op, asyncio.CancelledError())
    stored = desk.get(op)
    assert (stored.state, stored.answered, stored.ended, stored.http_status) == (
        "unknown",
        False,
        NOW.timestamp(),
        None,
    )


# -- answers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "answered", "why"),
    [
        ("INTERNAL_ERROR", True, "the API answered 500 INTERNAL_ERROR"),
        ("", False, "the API answered 500"),
        ("IDEMPOTENCY_IN_PROGRESS", False, "the server is still working on it"),
    ],
)
def test_rule_16_an_ambiguous_answer_is_unknown_and_says_whether_the_api_itself_spoke(desk, code, answered, why):
    op = retried(desk)
    desk.send(op, error(500, code))
    stored = desk.get(op)
    assert (stored.state, stored.answered, stored.waiting_for, stored.http_status) == ("unknown", answered, why, 500)
    assert desk.current.queue.describe_failures(op) == f"{why} once"
    assert desk.current.control.sending


def test_rule_17_a_rate_limit_costs_no_try_and_many_of_them_stop_the_run(desk):
    op = retried(desk)
    for number in range(THROTTLES + 1):
        assert desk.current.control.sending, number
        desk.current.queue.tries[op] = 3
        desk.send(op, error(429, "RATE_LIMITED"))
        assert (desk.state(op), desk.get(op).tries, desk.current.queue.tries[op]) == ("planned", 0, 3)
        until = delay(Backoff(), 1, desk.rng)
        assert not desk.current.queue.due(op, until - 0.0001)
        assert desk.current.queue.due(op, until)
    assert desk.current.control.halted == "the API keeps refusing for its rate limit; run.resume() goes on later"
    assert THROTTLES == 20


@pytest.mark.parametrize("page", [b"<html>slow down</html>", None, {}])
def test_rule_17_a_page_with_a_429_leaves_what_it_stood_in_for_unknown(desk, page):
    """Neither words of the API nor how long to wait: a proxy's, which may withhold that it was done; it costs no try either."""
    op = retried(desk)
    for tries in range(1, THROTTLES + 2):
        assert desk.current.control.sending, tries
        desk.current.queue.tries[op] = 3
        desk.send(op, says(429, page))
        assert (desk.state(op), desk.outcomes(op), desk.get(op).tries) == ("unknown", ["unknown"], tries)
        assert not desk.get(op).answered
        assert desk.get(op).waiting_for == "429 came without the API's own words, as from a proxy"
        assert desk.current.queue.tries[op] == 3
        desk.ledger.forming.revive(op, tries, read=desk.ledger.now())
    assert desk.current.control.halted == "the API keeps refusing for its rate limit; run.resume() goes on later"


@pytest.mark.parametrize("page", [b"<html>slow down</html>", None])
def test_rule_17_whoever_says_how_long_to_wait_limits_a_rate(desk, page):
    """The body of a 429 is not documented; its Retry-After is, and a limiter refuses requests, never answers."""
    op = retried(desk)
    desk.send(op, replace(says(429, page), headers={"retry-after": "3"}))
    assert (desk.state(op), desk.outcomes(op), desk.get(op).tries) == ("planned", ["pending"], 0)


def test_rule_17_a_key_that_may_not_stops_the_run_and_leaves_the_operation(desk):
    op = retried(desk)
    desk.send(op, error(403, "AUTHORIZATION_ERROR", "x" * 600))
    assert (desk.state(op), desk.outcomes(op)) == ("planned", ["pending"])
    said = desk.current.control.halted
    assert (
        said
        == f"the API answered 403 AUTHORIZATION_ERROR: {'x' * 500}. Nothing more is sent; fix that, then run.resume() goes on"
    )
    assert LONGEST_MESSAGE == 500


@pytest.mark.parametrize(("taken_over", "state", "tries"), [(False, "planned", 0), (True, "unknown", 1)])
def test_rule_21_whoever_sleeps_while_the_connection_is_made_does_not_send(desk, taken_over, state, tries):
    """The claim was good when it was looked at first; another sender may have taken the operation over by now."""
    op = retried(desk)

    def sleep() -> None:
        desk.at(LEASE + 1)
        if taken_over:
            desk.ledger.claims.expire()

    desk.post.before_send = sleep
    desk.send(op)
    assert desk.post.requests == []
    assert (desk.state(op), desk.get(op).tries) == (state, tries)


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("page", [b"<html>blocked by policy</html>", None, {}])
def test_rule_17_a_page_that_stops_the_run_leaves_what_it_stood_in_for_unknown(desk, status, page):
    """Only the API's own word says that nothing happened, however often the same page comes."""
    op = retried(desk)
    why = f"{status} came without the API's own words, as from a proxy"
    for tries in (1, 2):
        desk.send(op, says(status, page))
        assert (desk.state(op), desk.outcomes(op), desk.get(op).tries) == ("unknown", ["unknown"], tries)
        assert not desk.get(op).answered
        assert desk.get(op).waiting_for == why
        assert desk.current.control.halted == f"{why}. Nothing more is sent; fix that, then run.resume() goes on"
        desk.ledger.forming.revive(op, tries, read=desk.ledger.now())
        desk.current.control.resume()


@pytest.mark.parametrize("answer", [says(202, {}), says(202, b"<html>"), says(200, ["id"])])
def test_rule_15_a_2xx_of_another_shape_proves_nothing(desk, answer):
    op = retried(desk)
    desk.send(op, answer)
    stored = desk.get(op)
    assert (stored.state, stored.answered, stored.waiting_for) == (
        "unknown", False, "the answer is not what this call returns",
    )  # fmt: skip


def test_rule_18_what_a_queued_call_returns_may_be_named_after_its_job(desk):
    """It settles nothing, whatever it names: the post itself is watched."""
    op = retried(desk)
    desk.send(op, says(202, {"id": "job_7", "status": "queued"}))
    assert (desk.state(op), desk.outcomes(op)) == ("accepted", ["pending"])


@pytest.mark.parametrize("named", ["post_1", "post_2", None])
def test_rule_15_what_an_answer_about_another_post_says_of_its_targets_is_not_about_this_one(desk, named):
    """A proxy has answered with what it answered before; that the row failed would let it be retried while it is on its way."""
    op = retried(desk)
    item = desk.ledger.operations.members(op)[0].item
    skipped = [{"platform": item.platform, "accountId": item.account, "reason": "retry limit reached"}]
    answer = {"id": named, "status": "failed", "retriedPlatforms": [], "skippedPlatforms": skipped}
    desk.send(op, says(202, {name: value for name, value in answer.items() if value is not None}))
    expected = ("accepted", ["pending"]) if named == "post_2" else ("settled", ["failed"])
    assert (desk.state(op), desk.outcomes(op)) == expected
    assert (desk.ledger.operations.reply(op) is None) == (named == "post_2"), "nothing reads it later"


def test_rule_15_a_call_that_the_contract_does_not_know_proves_nothing(desk):
    op = retried(desk)
    claim = desk.claim(op)
    strange = replace(claim, operation=replace(claim.operation, path="/v1/elsewhere"))
    run_now(desk.sender._taken(desk.current, strange, says(202, QUEUED)))
    assert (desk.state(op), desk.get(op).answered) == ("unknown", False)


def test_rule_16_a_refusal_of_the_first_try_has_failed_and_of_a_later_one_proves_nothing(desk):
    first, later = desk.bind(retry(state("failed"), state("failed", post_id="post_2")), state("failed"), state("failed", post_id="post_2"))  # fmt: skip
    desk.send(first, error(404, "NOT_FOUND", "gone"))
    assert (desk.state(first), desk.outcomes(first)) == ("settled", ["failed"])
    (member,) = desk.ledger.operations.members(first)
    assert (member.error_code, member.error_message) == ("NOT_FOUND", "gone")
    assert [(each.was, each.now, each.detail) for each in desk.changed] == [("pending", "failed", "gone")]
    assert desk.current.tally.failures == 1
    desk.doubt(later)
    desk.send(later, error(404, "NOT_FOUND", "gone"))
    assert (desk.state(later), desk.outcomes(later), desk.changed) == ("unknown", ["unknown"], [])


def test_a_refusal_without_a_code_is_named_by_its_status(desk):
    op = retried(desk)
    desk.send(op, says(404, {"error": "gone"}))
    (member,) = desk.ledger.operations.members(op)
    assert (member.error_code, member.error_message) == ("HTTP_404", "gone")
    assert [each.detail for each in desk.changed] == ["gone"]


@pytest.mark.parametrize("page", [b"<html>no upstream</html>", None, {}])
def test_rule_16_a_page_that_refuses_proves_nothing_until_absence_was_proved(desk, page):
    """What stands before the API may put its page in the place of an answer; what it refuses again later does not get through."""
    op = retried(desk)
    desk.send(op, says(404, page))
    assert (desk.state(op), desk.outcomes(op), desk.changed) == ("unknown", ["unknown"], [])
    assert not desk.get(op).answered
    assert desk.get(op).waiting_for == "the API answered 404"
    desk.ledger.forming.revive(op, 1, read=desk.ledger.now())
    desk.send(op, says(404, page))
    assert (desk.state(op), desk.outcomes(op)) == ("settled", ["failed"])


def test_a_refused_retry_of_several_targets_fails_them_all(desk):
    post = state("failed", "failed")
    (op,) = desk.bind(retry(post), post)
    desk.send(op, error(404, "NOT_FOUND"))
    assert (desk.state(op), desk.outcomes(op)) == ("settled", ["failed", "failed"])


def test_an_answer_that_comes_after_another_sender_took_over_settles_nothing(desk):
    op = retried(desk)

    def taken_over() -> None:
        desk.at(LEASE + 1)
        desk.ledger.claims.expire()

    desk.post.before_note = taken_over
    desk.send(op, error(404, "NOT_FOUND"))
    assert (desk.state(op), desk.outcomes(op), desk.changed) == ("unknown", ["unknown"], [])
