"""Binding: for each row of a plan whether it is new, joins what is open, or is held; one transaction, nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.engine.shown import NOW, STAMP, campaign, fix, redeliver, retry, rows_of, state

from voxops.acts.cancel import plan_cancel
from voxops.acts.fix import plan_fix
from voxops.acts.operation import settled
from voxops.acts.plan import Plan
from voxops.acts.retry import plan_retry
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.engine.batches import leave_batch
from voxops.engine.binding import bind
from voxops.engine.control import Control, Pass
from voxops.engine.created import Listed
from voxops.engine.decisions import why_not_now
from voxops.engine.facts import Facts
from voxops.ledger import Claim, Ledger, audit
from voxops.ledger.forming import Forming
from voxops.model import Outcome, Transition


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=NOW.timestamp)
    yield ledger
    ledger.close()


class Runs:
    """Binds plans one after the other."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.count = 0

    def bind(self, plan: Plan, facts: Facts | None = None) -> str:
        self.count += 1
        run = f"run_{self.count}"
        bind(self.ledger, run, plan, facts or Facts(NOW), None)
        return run

    def rows(self, run: str) -> list[tuple[str, str]]:
        """Outcome of each row and why it waits."""
        table = audit.results(self.ledger, run)
        return list(zip(table["outcome"], table["waiting_for"].fillna(""), strict=True))

    def states(self) -> list[str]:
        return [row[0] for row in self.ledger.query("SELECT state FROM operations ORDER BY id")]

    def send(self, op: int) -> Claim:
        stored = self.ledger.operations.get(op)
        cleared = self.ledger.claims.clear(stored, read=self.ledger.now())
        held = self.ledger.claims.claim(cleared, owner="me", credential="c", server_now=NOW.timestamp(), deadline=1e6)
        assert isinstance(held, Claim)
        return held

    def doubt(self, op: int) -> None:
        self.ledger.claims.record(
            self.send(op), state="unknown", status=None, reply=None, server_now=NOW.timestamp(), answered=False
        )

    def end(self, op: int, outcome: Outcome = Outcome.SUCCEEDED, **result: Any) -> None:
        self.ledger.outcomes.settle(
            op, [settled(m, outcome, **result) for m in self.ledger.operations.members(op)], NOW.timestamp()
        )


@pytest.fixture
def runs(ledger: Ledger) -> Runs:
    return Runs(ledger)


def made(post_id: str, created: str, mark: str, **metadata: str) -> PostState:
    """A post that bears a mark, and shows nothing else."""
    return PostState(post_id, "scheduled", created, created, metadata={"voxopsOp": mark, **metadata})


def listed(*posts: PostState) -> Listed:
    found = Listed()
    found.take(posts)
    return found


def facts(*posts: PostState, **more: Any) -> Facts:
    return Facts(NOW, {post.post_id: post for post in posts}, **more)


# -- joining -----------------------------------------------------------------------------------------------------------


def test_planned_rows_are_joined_in_any_order_and_without_those_that_are_not_planned(runs):
    first = runs.bind(campaign("a", "b", "c"))
    runs.bind(campaign("c", "a", "b"))
    assert runs.states() == ["planned"], "one batch of three, whoever asks"
    second = runs.bind(campaign("c", "d"))
    assert runs.states() == ["withdrawn", "planned", "planned", "planned"]
    labels = [{each.item.label for each in runs.ledger.operations.members(op)} for op in (2, 3, 4)]
    assert labels == [{"a", "b"}, {"c"}, {"d"}]
    assert [stored.id for stored in runs.ledger.operations.of_run(second)] == [3, 4]
    assert [stored.id for stored in runs.ledger.operations.of_run(first)] == [2, 3]


@pytest.mark.parametrize("how", ["sent", "unknown", "accepted"])
def test_open_rows_are_joined_and_never_formed_anew(runs, how):
    runs.bind(campaign("a", "b"))
    if how == "unknown":
        runs.doubt(1)
    else:
        claim = runs.send(1)
        if how == "accepted":
            runs.ledger.claims.record(claim, state="accepted", status=202, reply=None, server_now=NOW.timestamp())
    key = runs.ledger.operations.get(1).key
    run = runs.bind(campaign("b", "a", "z"))
    assert runs.states() == [how, "planned"]
    assert audit.results(runs.ledger, run)["idempotency_key"].tolist()[:2] == [key, key]


def test_a_row_that_succeeded_shows_its_post_and_a_failed_one_its_error(runs):
    runs.bind(campaign("a"))
    runs.end(1, result_id="post_9")
    runs.bind(campaign("b"))
    runs.end(2, Outcome.FAILED, error_code="NO")
    run = runs.bind(campaign("a", "b"))
    table = audit.results(runs.ledger, run)
    assert table["outcome"].tolist() == ["succeeded", "failed"]
    assert table["result_id"][0] == "post_9"
    assert runs.states() == ["settled", "settled"]


def test_the_next_attempt_of_a_failed_row_is_new_and_its_mark_another(runs):
    runs.bind(campaign("a"))
    runs.end(1, Outcome.FAILED)
    run = runs.bind(campaign("a", attempt=2))
    assert runs.states() == ["settled", "planned"]
    first, second = runs.ledger.operations.members(1)[0].item, runs.ledger.operations.members(2)[0].item
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.mark != second.mark
    assert json.loads(runs.ledger.operations.get(2).body or b"")["posts"][0]["metadata"]["voxopsOp"] == second.mark
    runs.bind(campaign("a", attempt=2))
    assert runs.states() == ["settled", "planned"], "once is enough"
    assert audit.results(runs.ledger, run)["attempt"].tolist() == [2]


def test_a_changed_row_leaves_its_unsent_batch_whose_others_keep_their_bytes(runs):
    first = runs.bind(campaign("a", "b", "c"))
    bytes_before = {post["content"]: post for post in json.loads(runs.ledger.operations.get(1).body or b"")["posts"]}
    second = runs.bind(campaign("b", content="new words"))
    assert runs.states() == ["withdrawn", "planned", "withdrawn", "planned"]
    left = json.loads(runs.ledger.operations.get(2).body or b"")["posts"]
    assert {post["content"]: post for post in left} == {name: bytes_before[name] for name in "ac"}
    assert runs.rows(first) == [("pending", "not sent yet")] * 3, "the first run means the row in its new words, too"
    assert audit.results(runs.ledger, first)["idempotency_key"].tolist()[1] == runs.ledger.operations.get(4).key
    assert runs.rows(second) == [("pending", "not sent yet")]


@pytest.mark.parametrize("edited", ["a", "b", "c"])
def test_the_whole_plan_again_with_one_row_edited_keeps_every_row(runs, edited):
    runs.bind(campaign("a", "b", "c"))
    words = ["new words" if name == edited else name for name in "abc"]
    run = runs.bind(campaign("a", "b", "c", content=words))
    assert runs.rows(run) == [("pending", "not sent yet")] * 3
    planned = runs.ledger.operations.of_run(run)
    sent = [post["content"] for stored in planned for post in json.loads(stored.body or b"")["posts"]]
    assert sorted(sent) == sorted(words), "each row is in one batch, in its newest words"


def test_two_fixes_of_one_post_stay_two_when_one_is_worded_anew(runs):
    post = state("failed", "failed")

    def fix(*words: str) -> Plan:
        frame = pd.DataFrame(rows_of(post)).assign(new_content=list(words))
        return plan_fix(frame.assign(updated_at=pd.to_datetime(frame["updated_at"], utc=True)))

    runs.bind(fix("A", "B"), facts(post))
    run = runs.bind(fix("A", "new B"), facts(post))
    assert runs.rows(run) == [("pending", "not sent yet")] * 2
    bodies = [json.loads(stored.body or b"")["content"] for stored in runs.ledger.operations.of_run(run)]
    assert sorted(bodies) == ["A", "new B"]


def test_a_changed_row_that_is_open_or_done_is_held_and_says_what_differs(runs):
    runs.bind(campaign("a"))
    runs.doubt(1)
    assert "other values of content is still open" in runs.rows(runs.bind(campaign("a", content="new")))[0][1]
    runs.end(1, result_id="post_9")
    why = runs.rows(runs.bind(campaign("a", "b", content=["new", "b"])))
    assert "already posted as post_9, with other values of content" in why[0][1]
    assert why[1] == ("pending", "not sent yet")


def test_the_plan_of_a_run_that_joined_another_s_batch_has_its_own_rows_alone(runs):
    runs.bind(campaign("a", "b", "c"))
    run = runs.bind(campaign("c"))
    plan = audit.plan_of(runs.ledger, run)
    assert [(item.label, item.row) for item in plan.items] == [("c", 0)]
    assert plan.canary(1).canaries == 1
    assert runs.rows(runs.bind(plan)) == [("pending", "not sent yet")]
    runs.bind(campaign("a", content="new words"))
    assert [item.label for item in audit.plan_of(runs.ledger, "run_1").items] == ["c", "b", "a"]


def test_a_drive_stops_after_so_many_failures_and_counts_them_anew_when_it_goes_on():
    failed = Transition(at=NOW, item="x", platform="twitter", was="pending", now="failed", detail="")
    current = Pass("run_1", Control(), stop_after_failures=2)
    current.note([failed, replace(failed, now="succeeded")])
    assert current.control.sending
    current.note([failed])
    assert "stopped after 2 failures" in current.control.halted
    queue, reasons = current.queue, current.reasons
    queue.tries[1], queue.throttled[1], reasons.waiting[1], reasons.refused[1] = 6, 3, "tried 6 times", "no"
    current.resume()
    assert current.control.sending
    assert not (queue.tries or queue.throttled or reasons.waiting or reasons.refused)
    current.note([failed])
    assert current.control.sending, "one has failed since"


def test_a_next_attempt_gives_up_the_row_s_own_act_and_nobody_else_s(runs):
    """Eleven minutes after a fix of one target was accepted, the other target is planned as attempt 2."""
    post = state("failed", "failed")

    def fix(target: int, attempt: int = 1) -> Plan:
        row = pd.DataFrame([rows_of(post)[target]]).assign(new_content="B", attempt=attempt)
        return plan_fix(row.assign(updated_at=pd.to_datetime(row["updated_at"], utc=True)))

    runs.bind(fix(0), facts(post))
    runs.ledger.claims.record(runs.send(1), state="accepted", status=202, reply=None, server_now=NOW.timestamp())
    later = replace(facts(post), now=NOW + timedelta(minutes=11))
    assert "still open" in runs.rows(runs.bind(fix(1, attempt=2), later))[0][1]
    assert runs.states() == ["accepted"]
    assert runs.rows(runs.bind(fix(0, attempt=2), later)) == [("pending", "not sent yet")]
    assert runs.states() == ["settled", "planned"]


# -- creates -----------------------------------------------------------------------------------------------------------


def test_accounts_are_resolved_in_the_bytes_and_not_in_the_key(runs):
    named = campaign("a", accounts="twitter:@brand")
    assert "no account twitter:@brand" in runs.rows(runs.bind(named))[0][1]
    runs.bind(named, Facts(NOW, accounts={"twitter:@brand": "acc_7"}))
    stored = runs.ledger.operations.get(1)
    assert stored.key == named.operations[0].key
    assert json.loads(stored.body or b"")["posts"][0]["accountIds"] == ["acc_7"]


def test_creates_that_the_server_shows_are_settled_and_kept_out_of_the_batch(runs):
    plan = campaign("a", "b", "c")
    later = campaign("b", attempt=3).items[0].mark  # made by another ledger, as its third attempt
    run = runs.bind(
        plan,
        Facts(
            NOW,
            listed=listed(
                made("post_6", "2026-03-02T00:00:00+00:00", later), made("post_5", "2026-03-01T00:00:00+00:00", later)
            ),
        ),
    )
    table = audit.results(runs.ledger, run)
    assert table["outcome"].tolist() == ["pending", "succeeded", "pending"]
    assert table["result_id"][1] == "post_5", "the earliest counts"
    assert [{m.item.label for m in runs.ledger.operations.members(op)} for op in (1, 2)] == [{"b"}, {"a", "c"}]
    assert [runs.ledger.operations.get(op).shrunk for op in (1, 2)] == [False, True]
    assert runs.ledger.marks.listed == "2026-03-02T00:00:00+00:00", "the latest that was seen, not a clock's"


def test_a_create_that_exists_is_done_even_if_its_time_has_passed(runs):
    plan = campaign("a", scheduled_for="2026-01-01T00:00:00Z")
    assert runs.rows(runs.bind(plan)) == [("blocked", "its time has passed")]
    found = listed(made("post_1", "2026-01-01T00:00:00+00:00", plan.items[0].mark))
    assert runs.rows(runs.bind(plan, Facts(NOW, listed=found)))[0][0] == "succeeded"


# -- posts -------------------------------------------------------------------------------------------------------------


def test_a_whole_post_is_retried_or_nothing_of_it(runs):
    post = state("failed", "failed")
    plan = retry(post)
    changed = replace(post, targets=(post.targets[0], replace(post.targets[1], error_code="Y")))
    run = runs.bind(plan, facts(changed))
    assert [why for _, why in runs.rows(run)] == [
        "another target of this post is held; load the posts again",
        str(Reason("changed_since_loaded", fields="error_code")),
    ]
    assert runs.states() == []


def test_a_post_with_more_open_targets_than_were_chosen_is_held(runs):
    plan = retry(state("failed"))
    assert plan.operations[0].path.endswith("/retry")
    run = runs.bind(plan, facts(state("failed", "failed")))
    assert runs.rows(run)[0][1] == str(Reason("other_target_open"))
    assert why_not_now(plan.act, None, plan.items, state("failed", "publishing")) == Reason("other_target_open")
    assert why_not_now(plan.act, None, plan.items, state("failed", "published")) is None


def test_the_same_failure_under_another_time_stamp_joins_what_is_open(runs):
    runs.bind(retry(state("failed")), facts(state("failed")))
    runs.doubt(1)
    edited = state("failed", updated="2026-03-02T08:00:00+00:00")
    run = runs.bind(retry(edited), facts(edited))
    assert runs.states() == ["unknown"]
    assert runs.rows(run)[0][0] == "unknown"
    runs.end(1)
    assert runs.rows(run) == [("succeeded", "")], "the row stands for what was open"


def test_another_act_on_a_post_waits_for_the_open_one_and_for_an_unsent_one(runs):
    post = state("failed")
    first = runs.bind(retry(post), facts(post))
    frame = pd.DataFrame({"post_id": ["post_1"], "status": ["draft"], "updated_at": [STAMP]})
    draft = PostState("post_1", "draft", STAMP, STAMP, targets=post.targets)
    cancel = plan_cancel(frame)
    held = runs.bind(fix(post), facts(post))
    waits = "another retry of this post waits to be sent; let its run go on, or cancel it, with ws.attach('run_1')"
    assert (runs.states(), runs.rows(held)) == (["planned"], [("blocked", waits)])
    assert runs.rows(first) == [("pending", "not sent yet")]
    runs.bind(cancel, facts(draft))
    assert runs.states() == ["withdrawn", "planned"], "what would not be sent as the post is now makes room"
    assert runs.rows(first) == [("blocked", "never sent; a later plan took its place")]
    runs.doubt(2)
    late = runs.bind(retry(post), facts(post))
    assert runs.rows(late) == [("blocked", "another cancel of this post is still open; wait for its outcome")]


def test_posts_and_deliveries_that_are_gone_are_held(runs):
    assert runs.rows(runs.bind(retry(state("failed"))))[0][1] == str(Reason("post_gone"))
    plan = redeliver("d")
    assert runs.rows(runs.bind(plan))[0][1] == str(Reason("delivery_gone"))
    seen = dict(plan.items[0].seen)
    assert runs.rows(runs.bind(plan, Facts(NOW, deliveries={"d": {**seen, "retry_count": 6}})))[0][1] == str(
        Reason("changed_since_loaded", fields="retry_count")
    )
    runs.bind(plan, Facts(NOW, deliveries={"d": seen}))
    assert runs.ledger.operations.get(1).baseline == seen


def test_a_stuck_retry_gives_way_to_the_analyst_s_word(runs):
    """Accepted long ago, and the target has hung in publishing since."""
    runs.bind(retry(state("failed")), facts(state("failed")))
    claim = runs.send(1)
    runs.ledger.claims.record(claim, state="accepted", status=202, reply=None, server_now=NOW.timestamp())
    stuck = state("publishing", updated="2026-03-02T08:59:00+00:00")
    frame = pd.DataFrame(rows_of(stuck)).assign(verdict="wait", remedy="", retryable=True, cause="x")
    frame["updated_at"] = pd.to_datetime(frame["updated_at"], utc=True).astype("datetime64[us, UTC]")
    frame.attrs["fetched_at"] = "2026-03-02T09:15:00+00:00"
    early = runs.bind(plan_retry(frame), Facts(NOW, {"post_1": stuck}))
    assert runs.states() == ["accepted"], "it may still end"
    late = runs.bind(plan_retry(frame), Facts(datetime(2026, 3, 2, 9, 15, tzinfo=UTC), {"post_1": stuck}))
    assert runs.states() == ["settled", "planned"]
    assert audit.results(runs.ledger, early)["error_code"].tolist() == ["STUCK"]
    assert runs.rows(late) == [("pending", "not sent yet")]


def test_canaries_are_remembered_by_row_also_where_they_are_held_or_joined(runs):
    posts = [state("failed", post_id=f"post_{n}") for n in range(4)]
    frame = pd.DataFrame([row for post in posts for row in rows_of(post)]).assign(
        verdict="retry", remedy="", retryable=True, cause="x"
    )
    frame["updated_at"] = pd.to_datetime(frame["updated_at"], utc=True).astype("datetime64[us, UTC]")
    plan = plan_retry(frame).canary(2)
    chosen = [item.label for o in plan.operations if o.canary for item in o.items]
    run = runs.bind(plan, facts(*(post for post in posts if post.post_id != chosen[0])))
    assert audit.canary_outcomes(runs.ledger, run) == {"x": {"held": 1, "pending": 1}}


# -- forming anew ------------------------------------------------------------------------------------------------------


def test_a_batch_is_divided_with_its_bytes_and_its_rows_are_found_again(runs):
    run = runs.bind(campaign("a", "b", "c"))
    stored = runs.ledger.operations.get(1)
    one, two, three = runs.ledger.operations.members(1)
    posts = json.loads(stored.body or b"")["posts"]
    made = leave_batch(runs.ledger, stored, [[one, three], [two]], read=stored.read)
    assert [json.loads(runs.ledger.operations.get(op).body or b"")["posts"] for op in made] == [
        [posts[0], posts[2]],
        [posts[1]],
    ]
    alone = two.item.label
    assert runs.states() == ["withdrawn", "planned", "planned"]
    assert len({runs.ledger.operations.get(op).key for op in (1, *made)}) == 3
    keys = audit.results(runs.ledger, run).set_index("row_id")["idempotency_key"]
    assert keys[alone] == runs.ledger.operations.get(made[1]).key
    assert (keys.drop(alone) == runs.ledger.operations.get(made[0]).key).all()


def test_a_transaction_that_breaks_binds_nothing(runs, monkeypatch):
    monkeypatch.setattr(Forming, "add", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runs.bind(campaign("a"))
    assert runs.ledger.query("SELECT count(*) FROM runs")[0][0] == 0
