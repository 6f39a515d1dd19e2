"""Deciding for each row, at its edges: what is joined, what is new and as which attempt, and what is held in which words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from tests.engine.shown import (
    NOW,
    Bench,
    campaign,
    fix,
    frame_of,
    made_post,
    move,
    redeliver,
    retry,
    rows_of,
    scheduled,
    state,
)

from voxops.acts.cancel import plan_cancel
from voxops.acts.create import CREATE, plan_create
from voxops.acts.operation import Subject, settled
from voxops.acts.plan import Plan
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.evidence import Baseline
from voxops.api.reasons import TWIN, Reason
from voxops.api.states import PostState
from voxops.api.timing import PROOF_AFTER, STUCK_AFTER
from voxops.engine.created import Listed
from voxops.engine.decisions import Decider, why_not_now
from voxops.engine.facts import Facts, Hold, Join, New
from voxops.engine.learning import learn
from voxops.model import Outcome


def decided(bench: Bench, plan: Plan, *posts: PostState, **facts: Any) -> list[Any]:
    """A decision for each row of a plan; nothing is bound."""
    found = Facts(bench.now, {post.post_id: post for post in posts}, **facts)
    with bench.ledger.atomic():
        decisions = Decider(bench.ledger, plan, found).decide()
    return [decisions[item.row] for item in plan.items]


def one(bench: Bench, plan: Plan, *posts: PostState, **facts: Any) -> Any:
    (decision,) = decided(bench, plan, *posts, **facts)
    return decision


def end(bench: Bench, op: int, outcome: Outcome, **result: Any) -> None:
    members = bench.ledger.operations.members(op)
    bench.ledger.outcomes.settle(op, [settled(each, outcome, **result) for each in members], bench.now.timestamp())


def test_facts_are_found_by_kind_and_name():
    post, delivery = state("failed", post_id="x"), {"success": False}
    facts = Facts(NOW, {"x": post}, {"x": delivery})
    assert facts.of(Subject("post", "x")) == post
    assert facts.of(Subject("delivery", "x", "w")) == delivery
    assert facts.baseline(Subject("post", "x")) == Baseline.of(post).stored()
    assert facts.baseline(Subject("delivery", "x", "w")) == delivery
    assert facts.of(Subject("batch", "y")) is None
    assert facts.baseline(Subject("batch", "y")) is None


def test_why_an_act_must_not_be_sent_is_a_change_or_more_than_was_chosen():
    post = state("failed")
    plan = retry(post)
    assert why_not_now(plan.act, None, plan.items, post) is None
    assert why_not_now(plan.act, None, plan.items, None) == Reason("post_gone")
    assert why_not_now(plan.act, None, plan.items, state("failed", "failed")) == Reason("other_target_open")


# -- what was tried before ---------------------------------------------------------------------------------------------------


def test_rule_05_a_row_that_succeeded_is_joined_and_in_other_words_held(bench):
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED, result_id="post_9")
    assert one(bench, campaign("a")) == Join(op, 0)
    all_that_can_be_changed = {
        "content": "new",
        "accounts": "other",
        "scheduled_for": "2028-01-01T00:00:00Z",
        "tags": "a",
    }
    for changed, said in (
        ({"content": "new", "accounts": "other"}, "accounts, content; change the post itself, with vx.plan_update"),
        (
            all_that_can_be_changed,
            "accounts, content, scheduled_for, tags; change the post itself, with vx.plan_update",
        ),
        ({"first_comment": "new"}, "first_comment; change the post itself, in the dashboard"),
        ({"media": "https://pictures.example/1.jpg"}, "media; change the post itself, in the dashboard"),
    ):
        why = (
            f"already posted as post_9, with other values of {said}. A new campaign name would post all the rows again"
        )
        assert one(bench, campaign("a", **changed)) == Hold(why)


OTHERWISE = pytest.mark.parametrize(
    ("columns", "changed"),
    [({"content": "a\r\nb"}, {"content": "a\nb"}), ({"accounts": "acc;bcc"}, {"accounts": "bcc;acc"}), ({"tags": "b;a"}, {"tags": "a;b"})],
    ids=["line ends", "accounts", "tags"],
)  # fmt: skip


@OTHERWISE
def test_rule_05_a_row_in_another_order_or_with_other_line_ends_is_the_same(bench, columns, changed):
    (op,) = bench.bind(campaign("a", **columns))
    bench.doubt(op)
    assert one(bench, campaign("a", **changed)) == Join(op, 0)
    end(bench, op, Outcome.SUCCEEDED, result_id="post_9")
    assert one(bench, campaign("a", **changed)) == Join(op, 0)
    assert isinstance(one(bench, campaign("a", **changed, first_comment="new")), Hold)


@OTHERWISE
def test_rule_05_a_row_that_was_not_sent_or_has_failed_is_taken_as_it_stands_now(bench, columns, changed):
    """Blank lines may have made it too long: it was mended."""
    (op,) = bench.bind(campaign("a", **columns))
    assert isinstance(one(bench, campaign("a", **changed)), New)
    (op,) = bench.bind(campaign("a", **columns))
    bench.doubt(op)
    end(bench, op, Outcome.FAILED)
    assert one(bench, campaign("a", **columns)) == Join(op, 0)
    decision = one(bench, campaign("a", **changed))
    assert (type(decision), decision.item.attempt) == (New, 2)


def test_rule_05_pictures_in_another_order_are_another_post(bench):
    (op,) = bench.bind(campaign("a", media="https://p.example/1.jpg;https://p.example/2.jpg"))
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED, result_id="post_9")
    assert isinstance(one(bench, campaign("a", media="https://p.example/2.jpg;https://p.example/1.jpg")), Hold)


def test_rule_05_a_row_whose_post_shows_by_now_what_the_sheet_says_is_done(bench):
    """A post was mended with vx.plan_update, and then the sheet, as the reason advises."""
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED, result_id="post_9")
    mended = campaign("a", content="mended")
    assert isinstance(one(bench, mended), Hold), "no reading has shown the post"

    def shows(plan: Plan) -> None:
        listed = Listed()
        body = CREATE.bodies(CREATE.resolve(plan.operations[0], {}).body)[0]
        listed.take([made_post(body, "post_9", NOW.isoformat(), scheduled_for=body["scheduledFor"])])
        learn(bench.ledger, listed)

    for changed in ({"content": "mended"}, {"accounts": "bcc"}, {"scheduled_for": "2027-02-02T00:00:00Z"}):
        shows(campaign("a", **changed))
        assert one(bench, campaign("a", **changed)) == Join(op, 0), changed
    shows(mended)
    for columns in (
        {"content": "other"},
        {"content": "mended", "first_comment": "new"},
        {"content": "mended", "tags": "x"},
    ):
        assert isinstance(one(bench, campaign("a", **columns)), Hold), columns


def test_rule_27_rows_of_an_unsent_batch_that_are_planned_one_by_one_leave_it(bench):
    """One by one is safe where two laptops send at once; a batch is not."""
    (op,) = bench.bind(campaign("a", "b"))
    assert {type(each) for each in decided(bench, campaign("a", "b", one_by_one=True))} == {New}
    assert bench.state(op) == "withdrawn"
    first, second = bench.bind(campaign("a", "b", one_by_one=True))
    assert decided(bench, campaign("a", "b", one_by_one=True)) == [Join(first, 0), Join(second, 0)]


def test_rule_05_an_act_on_a_post_that_succeeded_is_joined_and_in_other_words_held(bench):
    """A reading may lag, and show the post as failed as before: it was published with the first words all the same."""
    post = state("failed")
    (op,) = bench.bind(fix(post), post)
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED)
    assert one(bench, fix(post), post) == Join(op, 0)
    held = Hold("done before, with other values; load it again, and plan what is still wanted")
    assert one(bench, fix(post, words="C"), post) == held


def test_rule_05_a_change_that_somebody_has_undone_is_not_done(bench):
    post = scheduled()
    (op,) = bench.bind(move(post), post)
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED)
    back = replace(post, updated_at="2026-03-01T00:00:00+00:00", version="v9")
    held = Hold("done before, and undone since; load it again, and plan what is still wanted")
    for seconds, decision in ((0, Join(op, 0)), (PROOF_AFTER, Join(op, 0)), (PROOF_AFTER + 1, held)):
        bench.at(seconds)
        assert one(bench, move(post), back) == decision, "a reading may lag at first"
    for other in (
        replace(back, scheduled_for="2027-03-04T09:00:00+00:00"),
        replace(back, status="published"),
        replace(back, status="cancelled"),
    ):
        assert one(bench, move(post), other) == Join(op, 0)
    assert one(bench, move(post)) == Join(op, 0), "it is gone"
    assert one(bench, move(post), replace(back, scheduled_for=None)) == Join(op, 0), "its time is not shown"
    later = move(back, to="2027-05-05 09:00")
    (second,) = bench.bind(later, back)
    bench.doubt(second)
    end(bench, second, Outcome.SUCCEEDED)
    bench.at(3 * PROOF_AFTER)
    moved = replace(back, scheduled_for="2027-05-05T09:00:00+00:00")
    assert one(bench, move(post), moved) == Join(op, 0), "this ledger has moved it since"
    assert one(bench, later, replace(moved, scheduled_for=post.scheduled_for)) == held


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.BLOCKED])
def test_rule_05_a_later_change_that_may_not_have_been_made_does_not_stand_for_what_somebody_undid(bench, outcome):
    post = scheduled()
    (first,) = bench.bind(move(post), post)
    bench.doubt(first)
    end(bench, first, Outcome.SUCCEEDED)
    bench.at(PROOF_AFTER + 1)
    back = replace(post, updated_at="2026-03-01T00:00:00+00:00", version="v9")
    (second,) = bench.bind(move(back, to="2027-05-05 09:00"), back)
    bench.doubt(second)
    end(bench, second, outcome)
    assert isinstance(one(bench, move(post), back), Hold)


def test_rule_05_a_text_that_a_list_has_cut_is_not_undone(bench):
    post, text = scheduled(), "a long text that the list will cut somewhere " * 4
    plan = plan_update(frame_of(post).assign(new_content=text))
    (op,) = bench.bind(plan, post)
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED)
    bench.at(PROOF_AFTER + 1)
    cut = replace(post, content=text[:60] + "…", source="list")
    assert one(bench, plan, cut) == Join(op, 0)
    assert isinstance(one(bench, plan, replace(cut, source="single")), Hold)
    assert isinstance(one(bench, plan, replace(cut, content="another text of somebody else")), Hold)


def test_rule_05_a_cancelled_post_that_goes_out_again_is_not_cancelled(bench):
    post = scheduled()
    plan = plan_cancel(frame_of(post))
    (op,) = bench.bind(plan, post)
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED)
    bench.at(PROOF_AFTER + 1)
    for status, type_ in (("scheduled", Hold), ("draft", Hold), ("cancelled", Join), ("published", Join)):
        assert isinstance(one(bench, plan, replace(post, status=status)), type_), status
    assert isinstance(one(bench, plan), Join)


def test_rule_01_a_redelivery_that_is_meant_once_more_is_no_longer_done(bench):
    plan = redeliver("d")
    log = {"d": dict(plan.items[0].seen)}
    (op,) = bench.bind(plan, deliveries=log)
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED)
    assert one(bench, redeliver("d"), deliveries=log) == Join(op, 0)
    bench.at(PROOF_AFTER + 1)
    assert one(bench, redeliver("d"), deliveries=log) == Join(op, 0)
    decision = one(bench, redeliver("d", again=True), deliveries=log)
    assert (type(decision), decision.item.attempt) == (New, 2)
    (second,) = bench.bind(redeliver("d", again=True), deliveries=log)
    bench.doubt(second)
    end(bench, second, Outcome.SUCCEEDED)
    assert one(bench, redeliver("d", again=True), deliveries=log) == Join(second, 0), "once more is once"


def test_rule_26_a_post_that_was_changed_since_is_still_the_one_that_was_asked_for(bench):
    learnt(bench, campaign("a"))
    bench.ledger.query("UPDATE made SET shown = 'something else'")
    assert isinstance(one(bench, campaign("b", content="a")), Hold)
    assert isinstance(one(bench, campaign("b", content="b")), New)


def test_rule_30_what_was_made_and_failed_is_the_same_row_with_another_text(bench):
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    end(bench, op, Outcome.FAILED, error_code="WITHDRAWN", result_id="post_1")
    assert one(bench, campaign("a", content="other words")) == Join(op, 0), "a text asks for nothing to be made again"
    anew = one(bench, campaign("a", content="other words", attempt=2))
    assert (type(anew), anew.item.attempt) == (New, 2)


def test_rule_26_what_is_under_way_as_another_row_is_not_sent_again(bench):
    """The sheet is run again under other names while its first run goes on: no list shows those posts yet."""
    (op,) = bench.bind(campaign("001", content="words"))
    again, twin = campaign("1", content="words"), campaign("1", content="words", twin=True)
    assert one(bench, again) == Hold(f"the same post waits to be sent as row 001; send that, or cancel its run; {TWIN}")
    bench.doubt(op)
    held = Hold(f"the same post is under way as row 001; wait for its outcome; {TWIN}")
    assert one(bench, again) == held
    assert one(bench, campaign("1", content=" words ")) == held
    assert isinstance(one(bench, twin), New)
    assert isinstance(one(bench, campaign("1", content="other words")), New)
    end(bench, op, Outcome.FAILED, error_code="INTERNAL_ERROR")
    bench.at(PROOF_AFTER - 1)
    assert one(bench, again) == held, "it may show yet"
    bench.at(PROOF_AFTER)
    assert isinstance(one(bench, again), New)


def test_rule_26_a_create_that_was_refused_or_taken_back_is_not_under_way(bench):
    (op,) = bench.bind(campaign("001", content="words"))
    assert bench.ledger.forming.withdraw(op, "why")
    assert isinstance(one(bench, campaign("1", content="words")), New)
    (op,) = bench.bind(campaign("001", content="words"))
    bench.doubt(op)
    end(bench, op, Outcome.FAILED, error_code="CONTENT_POLICY_VIOLATION")
    assert isinstance(one(bench, campaign("1", content="words")), New)


def test_rule_26_rows_whose_texts_were_exchanged_before_they_were_sent_are_not_each_other_s_doubles(bench):
    (op,) = bench.bind(campaign("a", "b", content=["one", "two"]))
    exchanged = campaign("a", "b", content=["two", "one"])
    assert {type(each) for each in decided(bench, exchanged)} == {New}
    bench.bind(campaign("a", "b", content=["one", "two"]))
    for op in [stored.id for stored in bench.ledger.creates.under_way(0)]:
        bench.doubt(op)
    assert {type(each) for each in decided(bench, exchanged)} == {Hold}
    other, same = decided(bench, campaign("b", "c", content=["other", "two"]))
    assert other.why.startswith("an attempt with other values of content is still open")
    assert same.why.startswith("the same post is under way as row b")


def test_rule_26_a_row_does_not_go_out_beside_an_unsent_one_that_the_plan_joins(bench):
    """One names the account by its id, the other by its name, so that a plan can't compare; the second was bound before."""
    rows = {"row_id": ["a", "b"], "content": "x", "accounts": ["acc_7", "twitter:@y"], "scheduled_for": "2027-01-01T00:00:00Z"}  # fmt: skip
    frame, names = pd.DataFrame(rows), {"twitter:@y": "acc_7"}
    (op,) = bench.bind(plan_create(frame.tail(1), key="row_id"), accounts=names)
    plan = plan_create(frame, key="row_id")
    found = dict(zip([item.label for item in plan.items], decided(bench, plan, accounts=names), strict=True))
    assert found["a"].why.startswith("the same post waits to be sent as row b")
    assert found["b"] == Join(op, 0)


def test_rule_29_what_is_under_way_in_another_campaign_is_another_post_if_that_was_named(bench):
    frame = pd.DataFrame({"row_id": ["a"], "content": "x", "accounts": "acc", "scheduled_for": "2027-01-01T00:00:00Z"})
    bench.bind(plan_create(frame, key="row_id", campaign="spring"))
    assert isinstance(one(bench, plan_create(frame, key="row_id", campaign="summer")), New)
    renamed = frame.assign(row_id="b")
    assert one(bench, plan_create(renamed, key="row_id", campaign="spring")).why.startswith(
        "the same post waits to be sent as row a"
    )
    nameless = plan_create(renamed, key="row_id")
    assert one(bench, nameless).why.startswith("the same post waits to be sent as row a")


@pytest.mark.parametrize(
    ("columns", "attempt"),
    [({}, None), ({"attempt": 1}, None), ({"attempt": 2}, 2), ({"attempt": 7}, 7), ({"content": "new"}, 2)],
)
def test_rule_05_a_failed_row_is_new_as_its_next_attempt_or_in_new_words(bench, columns, attempt):
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    end(bench, op, Outcome.FAILED)
    decision = one(bench, campaign("a", **columns))
    assert decision == Join(op, 0) if attempt is None else (type(decision), decision.item.attempt) == (New, attempt)


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "VALIDATION_ERROR", None])
@pytest.mark.parametrize(("later", "held"), [(0.0, True), (PROOF_AFTER - 1, True), (PROOF_AFTER, False)])
def test_rule_15_a_create_that_the_server_could_not_finish_is_not_tried_at_once(bench, code, later, held):
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    end(bench, op, Outcome.FAILED, error_code=code)
    bench.at(later)
    decision = one(bench, campaign("a", attempt=2))
    if held and code in {"INTERNAL_ERROR", "SERVICE_UNAVAILABLE"}:
        assert decision.why.startswith(
            f"its last attempt ended a moment ago with {code}, after which the post may be there"
        )
    else:
        assert isinstance(decision, New)


def test_a_target_that_failed_again_for_such_a_fault_is_tried_at_once(bench):
    """It is the platform's fault, and the target shows how its try has ended."""
    post = state("failed")
    (op,) = bench.bind(retry(post), post)
    bench.doubt(op)
    end(bench, op, Outcome.FAILED, error_code="SERVICE_UNAVAILABLE")
    assert isinstance(one(bench, retry(post, attempt=2), post), New)


@pytest.mark.parametrize(
    ("tried", "columns", "attempt"),
    [(False, {}, 1), (True, {}, 2), (True, {"attempt": 3}, 3), (True, {"twin": True}, 2)],
)
def test_rule_05_a_blocked_row_is_new_and_under_another_key_where_its_own_was_sent(bench, tried, columns, attempt):
    (op,) = bench.bind(campaign("a"))
    if tried:
        bench.doubt(op)
    (member,) = bench.ledger.operations.members(op)
    bench.ledger.outcomes.settle(op, [replace(member, outcome=Outcome.BLOCKED)], bench.now.timestamp())
    assert bench.state(op) == "settled"
    decision = one(bench, campaign("a", **columns))
    assert (type(decision), decision.item.attempt) == (New, attempt)


def test_rule_05_an_act_that_was_blocked_after_its_try_is_joined(bench):
    """Such as a change that the API refused as in conflict: a fresh frame shows another state, and makes another act of it."""
    post = state("failed")
    (op,) = bench.bind(retry(post), post)
    bench.doubt(op)
    (member,) = bench.ledger.operations.members(op)
    bench.ledger.outcomes.settle(op, [replace(member, outcome=Outcome.BLOCKED)], bench.now.timestamp())
    assert one(bench, retry(post), post) == Join(op, 0)


def test_rule_05_an_open_row_is_joined_and_in_other_words_held(bench):
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    assert one(bench, campaign("a")) == Join(op, 0)
    said = "an attempt with other values of content is still open; wait for its outcome"
    assert one(bench, campaign("a", content="new")) == Hold(said)
    assert one(bench, campaign("a", content="new", attempt=2)) == Hold(said), (
        "the mark that names the attempt is not said"
    )
    assert bench.state(op) == "unknown"


def test_an_unsent_row_in_other_words_leaves_its_batch_as_the_attempt_it_was(bench):
    (op,) = bench.bind(campaign("a", "b"))
    gone = next(each for each in bench.ledger.operations.members(op) if each.item.label == "a")
    decision = one(bench, campaign("a", content="new"))
    assert (type(decision), decision.item.attempt, decision.item.body["content"]) == (New, 1, "new")
    left, away = bench.get(op + 1), bench.get(op + 2)
    assert [body["content"] for body in CREATE.bodies(left.body)] == ["b"]
    assert [bench.state(each) for each in (op, left.id, away.id)] == ["withdrawn", "planned", "withdrawn"]
    (member,) = bench.ledger.operations.members(away.id)
    assert (member.item.label, member.waiting_for) == (gone.item.label, "never sent; a later plan took its place")


def test_rule_07_a_canary_of_a_later_plan_takes_an_unsent_row_out_and_a_sent_one_is_joined(bench):
    plan = campaign("a", "b")
    (op,) = bench.bind(plan)
    again = [decision for decision in decided(bench, plan.canary(1))]
    assert {type(decision) for decision in again} == {New, Join}, "the canary alone goes ahead"
    assert bench.state(op) == "withdrawn"


def test_rule_07_a_canary_stays_one_for_a_plan_without(bench):
    plan = campaign("a")
    (op,) = bench.bind(plan.canary(1))
    assert bench.get(op).canary
    assert one(bench, campaign("a")) == Join(op, 0)
    assert one(bench, plan.canary(1)) == Join(op, 0)


def test_an_unsent_retry_of_other_targets_is_formed_anew(bench):
    post = state("failed", "failed")
    (op,) = bench.bind(retry(post), post)
    assert decided(bench, retry(post), post) == [Join(op, 0), Join(op, 1)]
    one_of_two = one(bench, retry(post, keep=1), post)
    waits = "another retry of this post waits to be sent; let its run go on, or cancel it, with ws.attach('run_1')"
    assert (one_of_two, bench.state(op)) == (Hold(waits), "planned"), "to drop it would lose the other target"
    alone = replace(post, targets=(post.targets[0], replace(post.targets[1], status="published", error_code=None)))
    decision = one(bench, retry(alone), alone)
    assert isinstance(decision, New)
    assert bench.state(op) == "withdrawn"


# -- creates -----------------------------------------------------------------------------------------------------------------


def test_accounts_that_nobody_has_are_named(bench):
    plan = campaign("a", accounts="twitter:@x;twitter:@y;acc")
    assert one(bench, plan, accounts={}) == Hold("no account twitter:@x, twitter:@y in this workspace")
    said = one(bench, plan, accounts={"twitter:@y": "acc_7"})
    assert said == Hold("no account twitter:@x in this workspace; did you mean twitter:@y?")
    assert isinstance(one(bench, plan, accounts={"twitter:@y": "acc_7", "twitter:@x": "acc_8"}), New)


@pytest.mark.parametrize(("seconds", "held"), [(0, True), (1, False)])
def test_rule_06_a_time_has_passed_at_its_very_second(bench, seconds, held):
    decision = one(bench, campaign("a", scheduled_for=(NOW + timedelta(seconds=seconds)).isoformat()))
    assert decision == Hold("its time has passed") if held else isinstance(decision, New)


def learnt(bench: Bench, plan: Plan, post_id: str = "post_9", **other: Any) -> None:
    """Let the server show a post for the first row of a plan."""
    body = CREATE.resolve(plan.operations[0], {}).body
    listed = Listed()
    listed.take([made_post(CREATE.bodies(body)[0], post_id, NOW.isoformat(), **other)])
    learn(bench.ledger, listed)


def test_rule_13_a_row_that_is_there_is_new_and_known_as_made_and_another_of_its_name_is_held(bench):
    plan = campaign("a")
    learnt(bench, plan)
    with bench.ledger.atomic():
        decider = Decider(bench.ledger, plan, Facts(NOW))
        (decision,) = decider.decide().values()
    assert isinstance(decision, New)
    assert [verdict.made for verdict in decider.verdicts.values()] == ["post_9"]
    held = one(bench, campaign("a", content="other"))
    assert held.why.startswith("already posted as post_9 with other content, accounts or time")


def test_rule_26_a_row_like_another_one_s_post_is_held(bench):
    learnt(bench, campaign("a"))
    alone = one(bench, campaign("b", content="a"))
    assert alone.why == f"looks like another row of this campaign, made as post_9; {TWIN}"
    assert isinstance(one(bench, campaign("b", content="a", twin=True)), New)


def test_rule_26_rows_that_name_one_account_by_its_id_and_by_its_name_are_one_post(bench):
    rows = {"row_id": ["a", "b", "c"], "content": ["x", "x", "y"], "accounts": ["acc_7", "twitter:@y", "acc_7"], "scheduled_for": "2027-01-01T00:00:00Z"}  # fmt: skip
    frame, names = pd.DataFrame(rows), {"twitter:@y": "acc_7"}
    plan = plan_create(frame, key="row_id")
    found = dict(zip([item.label for item in plan.items], decided(bench, plan, accounts=names), strict=True))
    assert isinstance(found["a"], New)
    assert isinstance(found["c"], New)
    assert found["b"] == Hold(f"same text, accounts and time as row a: it would go out twice; {TWIN}")
    for meant in ([False, True, False], [True, False, False]):
        twins = plan_create(frame.assign(twin=meant), key="row_id")
        assert {type(each) for each in decided(bench, twins, accounts=names)} == {New}


def test_rule_26_a_row_that_a_post_of_nobody_equals_is_held(bench):
    """A live post that bears no mark and is not known to have been made for a row: by hand, or by a ledger that is lost."""
    plan = campaign("a", content="words")
    body = CREATE.bodies(CREATE.resolve(plan.operations[0], {}).body)[0]
    bare = made_post(body, "post_9", NOW.isoformat(), marked=False)

    def decide(*posts: PostState, **columns: Any) -> Any:
        listed = Listed()
        listed.take(posts)
        bench.ledger.marks.forget(["post_9"])
        learn(bench.ledger, listed)
        return one(bench, campaign("a", content="words", **columns), listed=listed)

    held = Hold(f"looks like post_9, made by hand or elsewhere; {TWIN}")
    assert decide(bare) == decide(replace(bare, content=" words\r\n")) == held
    assert decide(replace(bare, metadata={"source": "api"})) == held
    assert isinstance(decide(bare, twin=True), New)
    for other in (
        replace(bare, content="other words"), replace(bare, content=None), replace(bare, status="cancelled"),
        replace(bare, status="failed"), replace(bare, status="draft"),
        replace(bare, scheduled_for="2027-01-01T00:01:00+00:00"), replace(bare, targets=()),
    ):  # fmt: skip
        assert isinstance(decide(other), New), other
    assert isinstance(decide(replace(bare, metadata={"voxopsOp": "a" * 32})), Hold), "the mark of an unknown row"
    learnt(bench, campaign("other", content="former words"), "post_9")
    twin = f"looks like another row of this campaign, made as post_9; {TWIN}"
    assert decide(bare) == Hold(twin), "it was made for another row, and shows by now what this one asks for"


def test_rule_26_a_post_of_nobody_is_remembered_until_it_is_gone(bench):
    plan = campaign("a", content="words")
    body = CREATE.bodies(CREATE.resolve(plan.operations[0], {}).body)[0]
    listed = Listed()
    listed.take([made_post(body, "post_9", NOW.isoformat(), marked=False)])
    assert isinstance(one(bench, plan), New)
    learn(bench.ledger, listed)
    assert isinstance(one(bench, plan), Hold)
    learn(bench.ledger, Listed(gone={"post_9"}))
    assert isinstance(one(bench, plan), New)


def test_rule_26_a_post_of_a_row_is_never_forgotten_nor_taken_for_one_of_nobody(bench):
    plan = campaign("a", content="words")
    body = CREATE.bodies(CREATE.resolve(plan.operations[0], {}).body)[0]
    learnt(bench, plan, "post_9")
    listed = Listed(gone={"post_9"})
    listed.take([made_post(body, "post_9", NOW.isoformat(), marked=False)])
    before = bench.ledger.marks.of_posts(["post_9"])
    learn(bench.ledger, listed)
    assert bench.ledger.marks.of_posts(["post_9"]) == before
    assert before["post_9"].is_ours


def test_rule_26_a_post_whose_time_has_passed_is_nobody_s_double(bench):
    """A row whose time has passed is not sent, so that only what lies ahead is remembered, to the second."""
    listed = Listed(read=NOW.timestamp())
    plan = campaign("a", content="words")
    body = CREATE.bodies(CREATE.resolve(plan.operations[0], {}).body)[0]
    bare = made_post(body, "post_9", NOW.isoformat(), marked=False)
    for post, when in (("post_1", 1), ("post_2", 0), ("post_3", -1)):
        listed.take([replace(bare, post_id=post, scheduled_for=(NOW + timedelta(seconds=when)).isoformat())])
    learn(bench.ledger, listed)
    assert set(bench.ledger.marks.of_posts(["post_1", "post_2", "post_3"])) == {"post_1"}


def test_rule_29_a_row_of_another_campaign_s_name_is_held_unless_the_campaign_is_named(bench):
    def named(campaign_name: str, **columns: Any) -> Plan:
        frame = pd.DataFrame(
            {"row_id": ["a"], "content": ["a"], "accounts": "acc", "scheduled_for": "2027-01-01T00:00:00Z"}
        )
        return plan_create(frame.assign(**columns), key="row_id", campaign=campaign_name)

    bench.bind(named("spring"))
    said = "this ledger knows a row of that name in another campaign; pass campaign=, or keep the column campaign of run.failed()"
    assert one(bench, campaign("a", content="b")) == Hold(said)
    assert isinstance(one(bench, named("summer", content="b")), New)
    bench.bind(campaign("z"))
    assert isinstance(one(bench, campaign("z", content="again")), New), "it is of this one, too"
    assert isinstance(one(bench, campaign("never", content="y")), New)


# -- posts and deliveries ----------------------------------------------------------------------------------------------------


def test_rule_02_unsent_requests_for_two_targets_go_one_after_the_other_and_a_sent_one_holds_the_next(bench):
    post = state("failed", "failed")
    (op,) = bench.bind(fix(post, 0), post)
    assert isinstance(one(bench, fix(post, 1), post), New)
    assert bench.state(op) == "planned"
    bench.doubt(op)
    said = "another fix of this post is still open; wait for its outcome"
    assert one(bench, fix(post, 1), post) == Hold(said)
    assert {type(each) for each in decided(bench, retry(post), post)} == {Hold}
    assert bench.state(op) == "unknown"


def test_rule_02_the_same_act_of_another_episode_joins_what_is_open(bench):
    post = state("failed", "failed")
    (op,) = bench.bind(fix(post, 1), post)
    bench.doubt(op)
    edited = replace(post, updated_at="2026-03-02T08:00:00+00:00")
    assert one(bench, fix(edited, 1), edited) == Join(op, 0)
    other = one(bench, fix(edited, 1, words="C"), edited)
    assert isinstance(other, Hold)


def test_rule_01_a_delivery_that_is_as_it_was_is_new_and_otherwise_held(bench):
    plan = redeliver("d")
    seen = dict(plan.items[0].seen)
    assert isinstance(one(bench, plan, deliveries={"d": seen}), New)
    assert one(bench, plan).why == str(Reason("delivery_gone"))
    changed = one(bench, plan, deliveries={"d": {**seen, "retry_count": 6}})
    assert changed.why == str(Reason("changed_since_loaded", fields="retry_count"))


def test_a_whole_post_is_decided_together(bench):
    post = state("failed", "failed")
    changed = replace(post, targets=(post.targets[0], replace(post.targets[1], error_code="Y")))
    assert decided(bench, retry(post), changed) == [
        Hold("another target of this post is held; load the posts again"),
        Hold(str(Reason("changed_since_loaded", fields="error_code"))),
    ]
    alone = replace(post, targets=(post.targets[0], replace(post.targets[1], status="published", error_code=None)))
    (op,) = bench.bind(retry(alone), alone)
    bench.doubt(op)
    end(bench, op, Outcome.FAILED)
    both = decided(bench, retry(post), post)
    assert both == [
        Join(op, 0),
        Hold("another target of this post was tried before; plan all of them as its next attempt, in a column attempt"),
    ]


def stuck(bench: Bench, status: str = "publishing") -> tuple[int, PostState, PostState]:
    """An accepted retry, and its post as it was before and is now."""
    post = state("failed")
    (op,) = bench.bind(retry(post), post)
    bench.accept(op)
    return op, post, state(status, updated="2026-03-02T08:59:00+00:00", status=status)


def hanging(post: PostState, seconds: float) -> Plan:
    from voxops.acts.retry import plan_retry

    frame = pd.DataFrame(rows_of(post)).assign(verdict="wait", remedy="", retryable=True, cause="x")
    frame["updated_at"] = pd.to_datetime(frame["updated_at"], utc=True).astype("datetime64[us, UTC]")
    frame.attrs["fetched_at"] = (NOW + timedelta(seconds=max(seconds, 900))).isoformat()
    return plan_retry(frame)


@pytest.mark.parametrize(("late", "given_up"), [(0.0, False), (0.001, True)])
def test_rule_18_what_hangs_is_given_up_after_ten_minutes_and_not_at_them(bench, late, given_up):
    op, _, now = stuck(bench)
    seconds = STUCK_AFTER.total_seconds() + late
    bench.at(seconds)
    decision = one(bench, hanging(now, seconds), now)
    assert isinstance(decision, New) is given_up
    if given_up:
        assert [each.id for each in decision.given_up] == [op]
    else:
        assert decision == Join(op, 0)


@pytest.mark.parametrize(
    ("how", "attempt", "given_up"),
    [("accepted", 2, True), ("accepted", 1, False), ("unknown", 2, True), ("unknown", 1, False)],
)
def test_rule_18_only_what_is_meant_anew_is_given_up(bench, how, attempt, given_up):
    post = state("failed")
    (op,) = bench.bind(retry(post), post)
    if how == "accepted":
        bench.accept(op)
    else:
        bench.doubt(op)
    bench.at(STUCK_AFTER.total_seconds() + 1)
    decision = one(bench, retry(post, attempt=attempt), post)
    assert isinstance(decision, New) is given_up
    if given_up:
        assert ([each.id for each in decision.given_up], decision.item.attempt) == ([op], 2)
    else:
        assert decision == Join(op, 0)


def test_a_create_that_was_tried_without_effect_is_left_for_a_next_attempt(bench):
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    bench.ledger.forming.revive(op, 1, read=bench.ledger.now())
    assert one(bench, campaign("a")) == Join(op, 0)
    decision = one(bench, campaign("a", attempt=2))
    assert (type(decision), decision.item.attempt, bench.state(op)) == (New, 2, "withdrawn")
    (member,) = bench.ledger.operations.members(op)
    said = "sent without effect; a later plan took its place"
    assert (member.outcome, member.waiting_for) == (Outcome.BLOCKED, said)


def test_another_text_of_a_create_that_was_tried_without_effect_is_no_next_attempt(bench):
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    bench.ledger.forming.revive(op, 1, read=bench.ledger.now())
    decision = one(bench, campaign("a", content="new"))
    assert (type(decision), decision.item.attempt, bench.state(op)) == (New, 1, "withdrawn")


def test_a_create_that_was_never_sent_is_formed_anew_under_the_number_that_is_asked_for(bench):
    """Joined under a lower one, the same cell would ask for one more attempt whenever it is run."""
    (op,) = bench.bind(campaign("a"))
    decision = one(bench, campaign("a", attempt=2))
    assert (type(decision), decision.item.attempt, bench.state(op)) == (New, 2, "withdrawn")


def test_a_create_that_was_never_sent_and_is_formed_anew_is_pending_for_whoever_named_it_before(bench):
    (op,) = bench.bind(campaign("a"))
    assert isinstance(one(bench, campaign("a", content="new")), New)
    (member,) = bench.ledger.operations.members(op)
    assert (member.outcome, member.waiting_for) == (Outcome.PENDING, "never sent; a later plan took its place")


def retry_of(post: PostState, number: int) -> Plan:
    """A retry of one target of several."""
    rows = pd.DataFrame([rows_of(post)[number]]).assign(verdict="retry", remedy="", retryable=True, cause="x")
    rows["updated_at"] = pd.to_datetime(rows["updated_at"], utc=True).astype("datetime64[us, UTC]")
    rows.attrs["open_targets"] = json.dumps({post.post_id: [3, 0]})
    return plan_retry(rows)


def test_rule_02_only_single_targets_of_the_same_act_are_sent_one_after_the_other(bench):
    post = state("failed", "failed", "failed")
    before = state("failed", "failed", "published")
    (whole,) = bench.bind(retry(before), before)
    waits = "another {} of this post waits to be sent; let its run go on, or cancel it, with ws.attach('{}')"
    assert one(bench, retry_of(post, 2), post) == Hold(waits.format("retry", "run_1")), (
        "the whole post is no single target"
    )
    bench.ledger.forming.withdraw(whole, "cancelled")
    (single,) = bench.bind(fix(post, 0), post)
    assert one(bench, retry_of(post, 1), post) == Hold(waits.format("fix", "run_2")), "another act"
    bench.ledger.outcomes.block(single, "changed since loaded")
    assert isinstance(one(bench, retry_of(post, 1), post), New), "what is blocked makes room"
    assert bench.state(single) == "withdrawn"
    (first,) = bench.bind(fix(post, 0), post)
    assert isinstance(one(bench, fix(post, 0, words="other"), post), New)
    assert bench.state(first) == "withdrawn", "of one target only the newest words go out"


@pytest.mark.parametrize("said", [{"again": True}, {"attempt": 2}])
def test_rule_19_the_same_cell_gives_a_redelivery_up_once(bench, said):
    first, again = redeliver("d"), redeliver("d", **said)
    facts = {"deliveries": {"d": dict(first.items[0].seen)}}
    (op,) = bench.bind(first, **facts)
    bench.doubt(op)
    late = STUCK_AFTER.total_seconds() + 1
    bench.at(late)
    assert isinstance(one(bench, again, **facts), New)
    (second,) = bench.bind(again, **facts)
    bench.doubt(second)
    bench.at(2 * late)
    assert one(bench, again, **facts) == Join(second, 0)


def test_rule_18_what_is_being_sent_is_never_given_up(bench):
    post = state("failed")
    (op,) = bench.bind(retry(post), post)
    bench.claim(op)
    bench.at(STUCK_AFTER.total_seconds() + 1)
    assert one(bench, retry(post, attempt=2), post) == Join(op, 0)
    other = one(bench, fix(post, attempt=2), post)
    assert other == Hold("another retry of this post is still open; wait for its outcome")


def test_rule_18_an_act_on_a_post_that_is_gone_gives_nothing_up(bench):
    post = scheduled()
    (op,) = bench.bind(retry(state("failed")), state("failed"))
    bench.doubt(op)
    bench.at(STUCK_AFTER.total_seconds() + 1)
    decision = one(bench, move(replace(post, post_id="post_1")))
    assert isinstance(decision, Hold)
    assert bench.state(op) == "unknown"


@pytest.mark.parametrize("attempt", [1, 2])
def test_rule_11_a_create_of_which_nobody_knows_is_never_given_up(bench, attempt):
    """It is found, or proved absent: a next attempt would be another post."""
    (op,) = bench.bind(campaign("a"))
    bench.doubt(op)
    bench.at(STUCK_AFTER.total_seconds() + 1)
    assert one(bench, campaign("a", attempt=attempt)) == Join(op, 0)


def test_an_attempt_is_counted_by_the_ledger_for_acts_and_named_by_the_sheet_for_creates(bench):
    post = state("failed")
    assert one(bench, retry(post, attempt=3), post).item.attempt == 1
    assert one(bench, campaign("a", attempt=3)).item.attempt == 3


def test_rule_20_an_unsent_row_that_is_blocked_is_joined_and_in_other_words_takes_its_own_place(bench):
    (op,) = bench.bind(campaign("a"))
    bench.ledger.outcomes.block(op, "why")
    assert one(bench, campaign("a")) == Join(op, 0)
    decision = one(bench, campaign("a", content="new"))
    assert (type(decision), decision.item.attempt, bench.state(op)) == (New, 1, "withdrawn")


def test_a_sent_retry_of_other_targets_is_joined(bench):
    post = state("failed", "failed")
    (op,) = bench.bind(retry(post), post)
    bench.doubt(op)
    alone = replace(post, targets=(post.targets[0], replace(post.targets[1], status="published", error_code=None)))
    assert one(bench, retry(alone), alone) == Join(op, 0)


def test_a_column_that_asks_for_the_time_of_an_open_move_joins_it(bench):
    before = scheduled()
    (op,) = bench.bind(move(before), before)
    bench.doubt(op)
    frame = pd.DataFrame(
        {"post_id": ["post_1"], "status": ["scheduled"], "new_scheduled_for": ["2027-03-04T09:00:00Z"]}
    )
    frame["updated_at"] = pd.to_datetime(pd.Series([before.updated_at]), utc=True).astype("datetime64[us, UTC]")
    update = plan_update(frame)
    assert update.items[0].body_hash == bench.ledger.operations.members(op)[0].item.body_hash
    assert one(bench, update, before) == Join(op, 0)
    other = plan_update(frame.assign(new_scheduled_for="2027-03-05T09:00:00Z"))
    assert one(bench, other, before) == Hold("another update of this post is still open; wait for its outcome")


def test_rule_01_a_move_by_some_hours_is_not_made_twice(bench):
    before = scheduled()
    (op,) = bench.bind(move(before), before)
    bench.doubt(op)
    end(bench, op, Outcome.SUCCEEDED)
    moved = scheduled(at="2027-03-04T09:00:00+00:00", updated="2026-03-02T08:00:00+00:00")
    frame = pd.DataFrame([{"post_id": "post_1", "status": "scheduled", "content": "words"}])
    for name, text in (("scheduled_for", moved.scheduled_for), ("updated_at", moved.updated_at)):
        frame[name] = pd.to_datetime(pd.Series([text]), utc=True).astype("datetime64[us, UTC]")
    held = one(bench, plan_update(frame, by="3D"), moved)
    assert held.why == str(Reason("moved_already", time="2027-03-04 09:00 UTC"))
