"""Sending what is particular to creates, changes under a version, and fixes of one target; the answers are made up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from tests.engine.desk import Desk, Post, created, error, retried, says
from tests.engine.shown import NOW, after, campaign, fix, move, run_now, scheduled, state

from voxops.acts.create import CREATE, plan_create
from voxops.acts.made import Made
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import CLEARED_FOR, CREATES_FRESH_FOR, LEASE
from voxops.client import Reply
from voxops.engine.learning import are_of_others
from voxops.engine.sender import _is_of_another
from voxops.errors import TransportError
from voxops.model import Outcome

# -- creates -----------------------------------------------------------------------------------------------------------------


def test_rule_15_a_batch_is_settled_item_by_item_and_remembered(desk):
    op = created(desk, "a", "b")
    labels = [member.item.label for member in desk.ledger.operations.members(op)]
    desk.send(
        op,
        says(207, {"results": [
            {"index": 0, "success": True, "id": "post_7", "post": {"id": "post_7"}},
            {"index": 1, "success": False, "error": {"code": "VALIDATION_ERROR", "message": "too long"}},
        ]}),
    )  # fmt: skip
    assert desk.state(op) == "settled"
    assert desk.outcomes(op) == ["succeeded", "failed"]
    assert [(each.item, each.now) for each in desk.changed] == [(labels[0], "succeeded"), (labels[1], "failed")]
    assert list(desk.ledger.marks.of_posts(["post_7"])) == ["post_7"], "known where lists show no metadata"


@pytest.mark.parametrize("items", [[], [None, "post_7"]])
def test_rule_15_items_that_can_t_be_read_are_unknown(desk, items):
    op = created(desk, "a", "b")
    desk.send(op, says(207, {"results": items}))
    assert (desk.state(op), desk.outcomes(op)) == ("unknown", ["unknown", "unknown"])


def _shown(mark: str) -> dict[str, Any]:
    return {"id": "post_7", "metadata": {"voxopsOp": mark}}


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("whose", ["its own", "another", "nobody's"])
def test_rule_15_an_answer_that_shows_another_row_s_mark_proves_nothing(desk, one_by_one, whose):
    """A proxy has mixed up the answers to two requests: this row may have been refused."""
    op = created(desk, "a", one_by_one=one_by_one)
    (member,) = desk.ledger.operations.members(op)
    post = {
        "its own": _shown(member.item.mark),
        "another": _shown("0" * 32),
        "nobody's": {"id": "post_7", "metadata": None},
    }[whose]
    items = {"results": [{"index": 0, "success": True, "id": "post_7", "post": post}]}
    desk.send(op, says(201, post if one_by_one else items))
    expected = ("unknown", ["unknown"]) if whose == "another" else ("settled", ["succeeded"])
    assert (desk.state(op), desk.outcomes(op)) == expected
    assert ("is about another post" in desk.get(op).waiting_for) == (whose == "another")


@pytest.mark.parametrize("how", ["one by one", "batch", "batch refused"])
@pytest.mark.parametrize("whose", ["another row's", "its own", "nobody's"])
def test_rule_15_an_answer_that_names_another_row_s_post_proves_nothing(desk, how, whose):
    """A proxy has answered with what it answered before: this request may never have come through."""
    op, first = (
        created(desk, *("b" if how == "one by one" else "bc"), one_by_one=how == "one by one"),
        created(desk, "a"),
    )
    (earlier,), (member, *_) = desk.ledger.operations.members(first), desk.ledger.operations.members(op)
    item = earlier.item if whose == "another row's" else member.item
    known = Made("post_7", "2026-03-01T09:00:00+00:00", "scheduled", item.mark, item.row_mark)
    desk.ledger.marks.learn([replace(known, op_mark=None, row_mark=None) if whose == "nobody's" else known])
    posts = [
        {"index": at, "success": True, "id": key, "post": {"id": key}} for at, key in enumerate(("post_7", "post_8"))
    ]
    desk.send(
        op,
        says(201, {"id": "post_7"})
        if how == "one by one"
        else says(422 if "refused" in how else 201, {"results": posts}),
    )
    if whose == "another row's":
        assert set(desk.outcomes(op)) == {"unknown"}
        assert "the answer is about another post" in desk.get(op).waiting_for
        assert "about another post" in desk.current.queue.describe_failures(op)
        assert desk.get(op).answered
        assert desk.ledger.operations.reply(op) is None
        assert desk.changed == []
        assert desk.ledger.marks.of_posts(["post_7"])["post_7"].row_mark == earlier.item.row_mark, (
            "whose it is stays known"
        )
        assert not desk.ledger.marks.of_posts(["post_8"])
    else:
        assert set(desk.outcomes(op)) == {"succeeded"}
        assert desk.current.queue.describe_failures(op) == ""
        assert (desk.ledger.operations.reply(op) is not None) == bool(desk.post.requests)


@pytest.mark.parametrize(
    "answer", [error(422, "VALIDATION_ERROR"), error(404, "NOT_FOUND"), error(500)], ids=["422", "404", "500"]
)
def test_an_answer_is_kept_that_settles_or_leaves_open(desk, answer):
    op = created(desk, "a")
    desk.send(op, answer)
    assert desk.ledger.operations.reply(op) == answer.body


@pytest.mark.parametrize("status", ["scheduled", "SCHEDULED", "draft", None, "accepted", "error", "", 7])
def test_rule_15_a_create_is_done_when_a_post_is_answered(desk, status):
    """What a gateway has taken, or has to say of itself, has an id, too."""
    op = created(desk, "a", one_by_one=True)
    desk.send(op, says(201, {"id": "req_77"} | ({} if status is None else {"status": status})))
    known = status is None or str(status).lower() in {"scheduled", "draft"}
    assert (desk.state(op), desk.outcomes(op)) == (("settled", ["succeeded"]) if known else ("unknown", ["unknown"]))


def test_rule_15_the_same_row_may_have_made_a_post_before(desk):
    """Under the mark of another attempt at it: the row's."""
    op = created(desk, "a")
    (member,) = desk.ledger.operations.members(op)
    for op_mark, row_mark in ((member.item.marks[-1], None), ("0" * 32, member.item.row_mark)):
        desk.ledger.marks.learn([Made("post_7", "2026-03-01T09:00:00+00:00", "scheduled", op_mark, row_mark)])
        assert not are_of_others(desk.ledger, [replace(member, outcome=Outcome.SUCCEEDED, result_id="post_7")])
    desk.ledger.marks.learn([Made("post_9", "2026-03-01T09:00:00+00:00", "scheduled", "0" * 32, "1" * 32)])
    assert are_of_others(desk.ledger, [replace(member, outcome=Outcome.SUCCEEDED, result_id="post_9")])
    assert not are_of_others(desk.ledger, [replace(member, outcome=Outcome.FAILED, result_id=None)])


def test_rule_17_a_refused_batch_that_shows_items_is_read_by_them(desk):
    op = created(desk, "a", "b")
    items = [
        {"index": 0, "success": False, "error": {"code": "VALIDATION_ERROR", "message": "too long"}},
        {"index": 1, "success": True, "id": "post_7", "post": {"id": "post_7"}},
    ]
    desk.send(op, says(422, {"results": items}))
    assert (desk.state(op), desk.outcomes(op)) == ("settled", ["failed", "succeeded"])


def test_rule_17_a_batch_refused_for_a_row_that_is_named_fails_it_and_keeps_the_others_together(desk):
    op = created(desk, "a", "b", "c", "d")
    labels = [member.item.label for member in desk.ledger.operations.members(op)]
    bodies = CREATE.bodies(desk.get(op).body)
    desk.send(op, says(400, {"error": {"code": "VALIDATION_ERROR", "message": "bad", "details": {"field": "posts[1].content"}}}))  # fmt: skip
    assert (desk.state(op), desk.outcomes(op), desk.get(op).answered) == ("settled", ["failed"], True)
    assert [(each.item, each.was, each.now) for each in desk.changed] == [(labels[1], "pending", "failed")]
    assert desk.ledger.operations.members(op)[0].error_code == "VALIDATION_ERROR"
    (fresh,) = desk.ledger.operations.of_run("run_1", ("planned",))
    assert CREATE.bodies(fresh.body) == [bodies[0], bodies[2], bodies[3]], "bytes unchanged"


@pytest.mark.parametrize(("count", "halves"), [(2, [1, 1]), (3, [1, 2]), (5, [2, 3])])
def test_rule_17_a_batch_refused_for_nobody_in_particular_is_halved(desk, count, halves):
    op = created(desk, *"abcde"[:count])
    desk.send(op, error(400, "VALIDATION_ERROR"))
    assert desk.state(op) == "withdrawn"
    fresh = desk.ledger.operations.of_run("run_1", ("planned",))
    assert [len(desk.ledger.operations.members(each.id)) for each in fresh] == halves
    assert desk.changed == []
    assert desk.current.tally.failures == 0


def test_rule_17_a_batch_of_one_row_that_is_refused_has_failed(desk):
    op = created(desk, "a")
    desk.send(op, error(400, "VALIDATION_ERROR", "bad"))
    assert (desk.state(op), desk.outcomes(op)) == ("settled", ["failed"])


def test_rule_15_items_that_can_not_be_read_refuse_nothing_until_absence_was_proved(desk):
    """Whatever the status; items that can be read are read every time."""
    op = created(desk, "a", "b")
    silent = {"results": [{"index": 0, "status": "?"}, {"index": 1, "status": "?"}]}
    desk.send(op, says(422, silent))
    assert (desk.state(op), desk.outcomes(op)) == ("unknown", ["unknown", "unknown"])
    desk.ledger.forming.revive(op, 1, read=desk.ledger.now())
    failed = {"index": 0, "status": "failed", "errors": [{"field": "content", "issue": "LONG"}]}
    desk.send(op, says(422, {"results": [failed, silent["results"][1]]}))
    assert desk.outcomes(op) == ["failed", "unknown"]
    again = created(desk, "c")
    for tries, outcome in ((1, "unknown"), (2, "failed")):
        desk.send(again, says(422, {"results": silent["results"][:1]}))
        assert desk.outcomes(again) == [outcome]
        desk.ledger.forming.revive(again, tries, read=desk.ledger.now())


def test_a_batch_that_another_sender_took_over_is_not_divided(desk):
    op = created(desk, "a", "b")
    claims = desk.ledger.claims

    class Overtaken(Post):
        async def send(self, method: str, path: str, **options: Any) -> Reply:
            reply = await super().send(method, path, **options)
            desk.at(LEASE + 1)
            claims.expire()
            return reply

    desk.post.__class__ = Overtaken
    desk.send(op, error(400, "VALIDATION_ERROR"))
    assert (desk.state(op), len(desk.ledger.operations.members(op)), desk.changed) == ("unknown", 2, [])


def test_rule_06_rows_whose_time_has_passed_leave_a_batch_before_it_is_sent(desk):
    soon = (NOW + timedelta(seconds=5)).isoformat()
    frame = pd.DataFrame({"row_id": ["a", "b"], "content": ["a", "b"], "accounts": "acc", "scheduled_for": [soon, "2027-01-01T00:00:00Z"]})  # fmt: skip
    (op,) = desk.bind(plan_create(frame, key="row_id"))
    desk.at(5)
    desk.send(op)
    assert desk.post.requests == []
    assert (desk.state(op), desk.outcomes(op)) == ("withdrawn", ["blocked"])
    assert [member.waiting_for for member in desk.ledger.operations.members(op)] == ["its time has passed"]
    (fresh,) = desk.ledger.operations.of_run("run_1", ("planned",))
    assert [member.item.label for member in desk.ledger.operations.members(fresh.id)] == ["b"]
    desk.send(fresh.id, says(207, {"results": []}))
    assert len(desk.post.requests) == 1, "the others go"


def test_rule_06_a_batch_that_another_sender_has_is_left_as_it_is(desk):
    op = created(desk, "a", "b", scheduled_for=(NOW + timedelta(seconds=5)).isoformat())
    looked_up = desk.ledger.claims.clear(desk.get(op))
    desk.claim(op)
    desk.at(6)
    run_now(desk.sender.send(desk.current, looked_up))
    assert (desk.state(op), len(desk.ledger.operations.members(op)), desk.post.requests) == ("sent", 2, [])


def test_rule_06_a_doubtful_batch_whose_time_has_passed_is_not_sent_again(desk):
    op = created(desk, "a", scheduled_for=(NOW + timedelta(seconds=5)).isoformat())
    desk.doubt(op)
    desk.at(4)
    desk.send(op, error(500))
    assert len(desk.post.requests) == 1, "its time has not passed yet"
    desk.at(5)
    desk.send(op)
    assert len(desk.post.requests) == 1
    assert desk.current.reasons.refused == {op: "nobody knows whether it was created, and its time has passed"}


# -- changes under a version -------------------------------------------------------------------------------------------------


def moved(desk: Desk, before: PostState | None = None, **columns: Any) -> int:
    before = before or scheduled()
    (op,) = desk.bind(move(before, **columns), before)
    return op


def test_rule_02_a_change_bears_the_version_that_was_read_just_before(desk):
    op = moved(desk)
    desk.at(CLEARED_FOR * 3)
    desk.server.states = {"post_1": scheduled()}
    answer = {"id": "post_1", "status": "scheduled", "scheduledFor": "2027-03-04T09:00:00Z"}
    desk.send(op, says(200, answer))
    (request,) = desk.post.requests
    assert request["version"] == scheduled().version
    assert desk.server.read == ["post post_1"]
    assert (desk.get(op).baseline or {})["updated_at"] == scheduled().updated_at
    assert desk.get(op).read == desk.now.timestamp()
    assert (desk.state(op), desk.outcomes(op)) == ("settled", ["succeeded"])


def test_rule_15_an_answer_about_another_post_changes_nothing_known_of_this_one(desk):
    op = moved(desk)
    desk.server.states = {"post_1": scheduled()}
    desk.send(op, says(200, {"id": "post_2", "status": "scheduled", "scheduledFor": "2027-03-04T09:00:00Z"}))
    assert (desk.state(op), desk.outcomes(op)) == ("unknown", ["unknown"])
    assert desk.get(op).waiting_for == "the answer is about another post"


@pytest.mark.parametrize("status", ["paused", ""])
def test_rule_26_an_answer_that_shows_no_status_takes_none_from_what_is_known(desk, status):
    op = moved(desk)
    desk.ledger.marks.learn([Made("post_1", scheduled().created_at, "scheduled", "op", "row")])
    desk.server.states = {"post_1": scheduled()}
    desk.send(op, says(200, {"id": "post_1", "status": status, "scheduledFor": "2027-03-04T09:00:00Z"}))
    assert desk.outcomes(op) == ["succeeded"]
    assert desk.ledger.marks.of_posts(["post_1"])["post_1"].status == (status or "scheduled")


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (None, Reason("post_gone")),
        (replace(scheduled(), version=None), "the API shows no version of this post, so somebody's change could be written over; change it by hand"),
        (replace(scheduled(), status="published"), Reason("not_changeable", status="published")),
        (replace(scheduled(), status="published", version=None), Reason("not_changeable", status="published")),
    ],
)  # fmt: skip
def test_rule_02_a_post_that_is_not_as_planned_is_blocked(desk, shown, why):
    op = moved(desk)
    desk.server.states = {"post_1": shown} if shown else {}
    desk.send(op)
    assert desk.post.requests == []
    assert (desk.current.reasons.waiting, desk.current.reasons.blocked) == ({op: why}, {op})


def test_rule_06_a_change_to_a_time_that_has_passed_is_blocked_at_its_very_second(desk):
    op = moved(desk, to=(NOW + timedelta(seconds=60)).strftime("%Y-%m-%d %H:%M:%S"))
    desk.server.states = {"post_1": scheduled()}
    desk.at(60)
    desk.send(op)
    assert (desk.post.requests, desk.current.reasons.waiting) == ([], {op: Reason("new_time_past")})
    desk.server.states = {}
    desk.send(op)
    assert desk.current.reasons.waiting == {op: Reason("post_gone")}, "what comes first is said"


def test_rule_06_a_doubtful_change_is_sent_again_only_before_its_time(desk):
    op = moved(desk, to=(NOW + timedelta(seconds=60)).strftime("%Y-%m-%d %H:%M:%S"))
    desk.server.states = {"post_1": scheduled()}
    desk.send(op, TransportError("broke"))
    desk.at(59)
    desk.send(op, TransportError("broke"))
    assert len(desk.post.requests) == 2
    desk.at(60)
    desk.send(op)
    assert len(desk.post.requests) == 2
    assert desk.current.reasons.refused == {op: "nobody knows whether it was changed, and its new time has passed"}


def test_a_conflict_of_versions_blocks_the_row(desk):
    op = moved(desk)
    desk.server.states = {"post_1": scheduled()}
    desk.send(op, error(409, "CONFLICT", "changed"))
    assert (desk.state(op), desk.outcomes(op)) == ("settled", ["blocked"])
    assert [each.now for each in desk.changed] == ["blocked"]


# -- fixes of one target -----------------------------------------------------------------------------------------------------


def with_ids(post: PostState) -> PostState:
    targets = tuple(replace(target, target_id=f"t{number}") for number, target in enumerate(post.targets))
    return replace(post, targets=targets, source="single")


def test_a_fix_is_addressed_by_the_id_that_a_single_read_shows(desk):
    post = state("failed", "failed")
    (op,) = desk.bind(fix(post, 1), post)
    desk.at(CLEARED_FOR * 3)
    moved_on = replace(with_ids(post), status="publishing", updated_at=desk.now.isoformat())
    desk.server.states = {"post_1": moved_on}
    desk.send(op, says(202, {"success": True, "platformId": "t1"}))
    (request,) = desk.post.requests
    assert request["path"] == "/v1/posts/post_1/platforms/t1/fix"
    assert desk.get(op).path == request["path"]
    assert (desk.get(op).baseline or {})["post_status"] == "publishing", "as it was just before"


def test_a_fix_whose_turn_is_late_is_addressed_once_more_and_not_held_for_another_target_that_moved(desk):
    post = state("failed", "failed")
    (op,) = desk.bind(fix(post, 1), post)
    desk.server.states = {"post_1": replace(with_ids(post), status="publishing", updated_at=after(5))}
    waits = [CLEARED_FOR + 1, 0.0]
    desk.post.before_permit = lambda: desk.at(desk.seconds + waits.pop(0))
    desk.send(op, says(202, {"success": True, "platformId": "t1"}))
    assert (desk.server.read, len(desk.post.requests), waits) == (["post post_1"] * 2, 1, [])
    assert desk.current.reasons.waiting == {}


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (None, "the post or its target no longer exists; load the posts again"),
        (state(), "the post or its target no longer exists; load the posts again"),
        (with_ids(state("published")), Reason("changed_since_loaded", fields="error_code, status")),
        (state("failed"), "the API shows no id for this target; retry the whole post"),
    ],
)
def test_a_fix_of_a_target_that_is_not_as_planned_is_blocked(desk, shown, why):
    (op,) = desk.bind(fix(state("failed")), state("failed"))
    desk.server.states = {"post_1": shown} if shown else {}
    desk.send(op)
    assert desk.post.requests == []
    assert (desk.current.reasons.waiting, desk.current.reasons.blocked) == ({op: why}, {op})


def test_rule_02_a_fix_waits_for_another_that_is_open_and_not_for_one_that_is_not_sent(desk):
    post = state("failed", "failed")
    first, second = desk.bind(fix(post, 0, 1), post)
    desk.server.states = {"post_1": with_ids(post)}
    desk.send(first, TransportError("broke"))
    assert len(desk.post.requests) == 1, "the other was not sent"
    desk.server.read.clear()
    desk.send(second)
    assert (len(desk.post.requests), desk.server.read) == (1, [])
    assert desk.current.reasons.refused == {second: "another request on this post is open"}
    assert not desk.current.queue.due(second, desk.seconds)


def test_rule_30_what_was_taken_back_is_read_again_for_each_create_whose_reading_is_too_old(desk):
    ops = desk.bind(campaign("a", "b", one_by_one=True))
    for op in ops:
        (member,) = desk.ledger.operations.members(op)
        created = (NOW - timedelta(days=1)).isoformat()
        desk.ledger.marks.learn([Made(f"post_{member.item.label}", created, "cancelled", "x", member.item.row_mark)])
    desk.at(CREATES_FRESH_FOR + 1)
    gone = replace(scheduled("post_a"), status="cancelled", metadata={"voxopsOp": "c" * 32})
    back = replace(scheduled("post_b"), created_at=gone.created_at)
    desk.server.states = {"post_a": gone, "post_b": back}
    for op in ops:
        desk.send(op, says(201, {"id": f"new_{op}"}))
    read = [line for line in desk.server.read if line.startswith("posts")]
    assert sorted(read) == ["posts post_a", "posts post_b"]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"id": "post_1", "platformId": "t1"}, False),
        ({"success": True}, False),
        ({"platformId": "twitter"}, False),  # as the target is named until its id is known
        ({"platformId": "t2"}, True),
        ({"id": "post_1", "platformId": "t2"}, True),
        ({"id": "post_2", "platformId": "t1"}, True),
        ({"id": "post_2"}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", ["/platforms/t1/fix", "/platforms/t1/twitter/fix", "/retry"])
def test_rule_15_an_answer_about_another_post_or_target_is_known(desk, said, wanted, ending):
    """Only a fix is about one target; what a retry says of targets is read one by one."""
    stored = replace(desk.get(retried(desk)), path=f"/v1/posts/post_1{ending}")
    if said.get("platformId") == "twitter" and "twitter" not in ending:
        wanted = "platforms" in ending
    if ending == "/retry":
        wanted = said.get("id") == "post_2"
    assert _is_of_another(stored, [], said) == wanted


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        {"id": "op_1"},
        {"id": "op_1", "status": "scheduled"},
        {"results": [{"index": 0, "success": True, "id": "post_1"}]},
    ],
)
def test_rule_15_a_create_that_was_only_accepted_is_unknown(desk, one_by_one, answer):
    """What has the id may be the operation that will make it, or be refused."""
    op = created(desk, "a", one_by_one=one_by_one)
    desk.send(op, says(202, answer))
    assert (desk.state(op), desk.outcomes(op)) == ("unknown", ["unknown"])


@pytest.mark.parametrize("odd", [["post_1"], {"id": "post_1"}, 1.5])
def test_an_id_that_is_no_name_breaks_nothing(desk, odd):
    op = created(desk, "a", one_by_one=True)
    desk.send(op, says(201, {"id": odd}))
    assert desk.state(op) == "unknown"
    stored = desk.get(retried(desk))
    assert _is_of_another(stored, [], {"id": odd})


def test_rule_15_a_mark_in_another_form_is_of_nobody(desk):
    op = created(desk, "a", one_by_one=True)
    members = desk.ledger.operations.members(op)
    mine = members[0].item.mark
    for shown, another in (
        (mine, False),
        (mine.upper(), False),
        ([mine], False),
        (f'"{mine}" ', False),
        (mine[:24], False),
        ("***", False),
        ("0" * 32, True),
    ):
        assert _is_of_another(desk.get(op), members, {"id": "post_1", "metadata": {"voxopsOp": shown}}) == another
