"""What binding writes beside its decisions: leases that are over, posts that were made or withdrawn, batches that lost rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.engine.shown import NOW, Bench, campaign, fix, made_post, retry, state

from voxops.acts import keys
from voxops.acts.create import CREATE
from voxops.acts.made import Made, asked_hash, shown_of_body
from voxops.acts.operation import settled
from voxops.api.timing import STUCK_AFTER
from voxops.engine.batches import leave_batch
from voxops.engine.created import Listed
from voxops.engine.learning import remember
from voxops.ledger import audit
from voxops.model import Outcome


def listed(*posts: Any) -> Listed:
    found = Listed()
    found.take(posts)
    return found


def end(bench: Bench, op: int, outcome: Outcome, **result: Any) -> None:
    members = bench.ledger.operations.members(op)
    bench.ledger.outcomes.settle(op, [settled(each, outcome, **result) for each in members], bench.now.timestamp())


def rows(bench: Bench, run: str) -> list[tuple[Any, ...]]:
    """What the ledger keeps of the rows of a run."""
    found = bench.ledger.query(
        "SELECT row, identity, attempt, held, canary FROM run_rows WHERE run = ? ORDER BY row", (run,)
    )
    return [tuple(row) for row in found]


def test_rule_21_binding_ends_leases_that_are_over(bench):
    (op,) = bench.bind(campaign("a"))
    bench.claim(op)
    bench.at(1000)
    bench.bind(campaign("z"))
    assert bench.state(op) == "unknown"


def test_rule_30_what_the_lists_show_to_be_withdrawn_is_blocked_and_the_rest_is_not(bench):
    (op,) = bench.bind(campaign("a", "b"))
    bodies = CREATE.bodies(bench.get(op).body)
    bench.doubt(op)
    one, two = bench.ledger.operations.members(op)
    done = [settled(one, Outcome.SUCCEEDED, result_id="post_8"), settled(two, Outcome.SUCCEEDED, result_id="post_9")]
    bench.ledger.outcomes.settle(op, done, bench.now.timestamp())
    shown = [
        replace(made_post(bodies[0], "post_8", NOW.isoformat()), status="cancelled"),
        made_post(bodies[1], "post_9", NOW.isoformat()),
    ]
    bench.bind(campaign("z"), listed=listed(*shown))
    assert bench.outcomes(op) == ["blocked", "succeeded"]
    assert bench.ledger.marks.listed == NOW.isoformat()
    assert set(bench.ledger.marks.of_posts(["post_8", "post_9"])) == {"post_8", "post_9"}


def test_rule_26_posts_that_creates_have_made_are_remembered_as_they_were_asked_for(bench):
    (op,) = bench.bind(campaign("a", "b", "c"))
    stored, (a, b, c) = bench.get(op), bench.ledger.operations.members(op)
    done = [
        settled(a, Outcome.SUCCEEDED, result_id="post_7"),
        settled(b, Outcome.FAILED, result_id="post_8"),
        settled(c, Outcome.SUCCEEDED),
    ]
    with bench.ledger.atomic():
        remember(bench.ledger, stored, done, NOW.timestamp())
    body = CREATE.bodies(stored.body)[0]
    (row,) = bench.ledger.query("SELECT count(*) FROM made")
    assert row[0] == 1
    assert bench.ledger.marks.of_posts(["post_7"]) == {
        "post_7": Made(
            "post_7", NOW.isoformat(), "scheduled", a.item.mark, a.item.row_mark, keys.campaign_mark(a.item.campaign),
            asked_hash(body), shown_of_body(body),
        )
    }  # fmt: skip


def test_other_acts_make_no_posts(bench):
    (op,) = bench.bind(retry(state("failed")), state("failed"))
    with bench.ledger.atomic():
        members = bench.ledger.operations.members(op)
        remember(bench.ledger, bench.get(op), [settled(members[0], Outcome.SUCCEEDED, result_id="post_1")], 1.0)
    assert bench.ledger.marks.of_posts(["post_1"]) == {}


def test_a_row_of_a_run_is_held_joined_or_new(bench):
    post = state("failed")
    (op,) = bench.bind(retry(post), post)
    bench.doubt(op)
    item = bench.ledger.operations.members(op)[0].item
    assert rows(bench, "run_1") == [(0, item.identity, 1, "", None)]
    bench.bind(retry(post).canary(1), post)
    assert rows(bench, "run_2") == [(0, item.identity, 1, "", "x")], "it joins, under the same name"
    bench.bind(fix(post), post)
    assert rows(bench, "run_3") == [
        (0, fix(post).items[0].identity, None, "another retry of this post is still open; wait for its outcome", None)
    ]


def test_another_name_of_a_row_is_learnt_once_as_a_later_attempt(bench):
    post = state("failed")
    (op,) = bench.bind(retry(post), post)
    bench.doubt(op)
    edited = replace(
        post, updated_at="2026-03-02T08:00:00+00:00", targets=(replace(post.targets[0], error_message="other"),)
    )
    plan = retry(edited)
    alias = plan.items[0].identity
    assert alias != bench.ledger.operations.members(op)[0].item.identity
    bench.bind(plan, edited)
    bench.bind(plan, edited)
    known = bench.ledger.query("SELECT attempt, op, position FROM items WHERE identity = ?", (alias,))
    assert [tuple(row) for row in known] == [(1, op, 0)]
    assert rows(bench, "run_3") == [(0, alias, 1, "", None)]
    assert bench.ledger.operations.latest(alias) is not None


@pytest.mark.parametrize(
    ("names", "there", "shrunk"),
    [(("a", "b"), ("a",), True), (("a", "b"), (), False), (("a",), (), False)],
)
def test_rule_27_a_batch_that_lost_rows_to_what_is_there_is_marked_so(bench, names, there, shrunk):
    plan = campaign(*names)
    body = CREATE.resolve(plan.operations[0], {}).body
    shown = [
        made_post(each, f"post_{each['content']}", NOW.isoformat())
        for each in CREATE.bodies(body)
        if each["content"] in there
    ]
    bench.bind(plan, listed=listed(*shown))
    (fresh,) = bench.ledger.operations.of_run("run_1", ("planned",))
    assert fresh.shrunk is shrunk
    done = bench.ledger.operations.of_run("run_1", ("settled",))
    assert [[member.item.label for member in bench.ledger.operations.members(each.id)] for each in done] == [
        [name] for name in there
    ]
    table = audit.results(bench.ledger, "run_1")
    assert table["result_id"].dropna().to_list() == [f"post_{name}" for name in there]


def test_rule_27_rows_that_are_held_or_joined_shrink_a_batch_as_far_as_they_are_there(bench):
    bench.bind(campaign("a"))
    bench.doubt(1)
    bench.bind(campaign("a", "b"))
    (fresh,) = bench.ledger.operations.of_run("run_2", ("planned",))
    assert fresh.shrunk, "one of its rows is being made"
    bench.bind(campaign("c", "d", scheduled_for=["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]))
    (fresh,) = bench.ledger.operations.of_run("run_3", ("planned",))
    assert not fresh.shrunk, "a row that is held is not there"


def test_rule_27_acts_on_posts_never_shrink(bench):
    shown = [state("failed", post_id="a"), state("failed", post_id="b")]
    bench.bind(retry(shown[0]), *shown)
    bench.bind(retry(*shown), *shown)
    assert [operation.shrunk for operation in bench.ledger.operations.of_run("run_2")] == [False, False]


def test_rule_18_a_stuck_act_is_closed_with_its_open_rows_alone(bench):
    post = state("failed", "failed")
    (op,) = bench.bind(retry(post), post)
    bench.accept(op)
    one, _ = bench.ledger.operations.members(op)
    bench.ledger.outcomes.settle(op, [settled(one, Outcome.SUCCEEDED)], bench.now.timestamp())
    bench.at(STUCK_AFTER.total_seconds() + 1)
    bench.bind(retry(post, attempt=2), post)
    done, stuck = bench.ledger.operations.members(op)
    assert (str(done.outcome), str(stuck.outcome), stuck.error_code, stuck.error_message) == (
        "succeeded", "failed", "STUCK", "never ended; tried anew",
    )  # fmt: skip
    assert bench.state(op) == "settled"


def test_rule_27_a_batch_that_was_marked_so_stays_so_in_its_parts(bench):
    (op,) = bench.bind(campaign("a", "b", "c"))
    one, two, three = bench.ledger.operations.members(op)
    (first,) = leave_batch(bench.ledger, bench.get(op), [[one], []], read=1.0)
    assert not bench.get(first).shrunk
    assert len(bench.ledger.operations.members(op)) == 2
    (second,) = leave_batch(bench.ledger, bench.get(op), [[two]], shrunk=True, read=1.0)
    assert bench.get(second).shrunk
    bench.ledger.query("UPDATE operations SET shrunk = 1 WHERE id = ?", (op,))
    (third,) = leave_batch(bench.ledger, bench.get(op), [[three]], read=1.0)
    assert bench.get(third).shrunk
    assert bench.state(op) == "withdrawn"
