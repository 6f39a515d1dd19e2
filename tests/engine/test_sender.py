"""Sending one operation: what must be so before, what leaves, and what every kind of answer is recorded as; the answers are given."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.engine.shown import NOW, Bench, campaign, fix, move, retry, run_now, scheduled, state

from voxops._core.backoff import Backoff, delay
from voxops.acts.create import CREATE, plan_bulk
from voxops.api.assumptions import KEY_EARLY
from voxops.api.states import PostState
from voxops.api.windows import CLEARED_FOR, LEASE
from voxops.client import Reply
from voxops.engine.control import Control, Pass
from voxops.engine.reader import interval
from voxops.engine.sender import LONGEST_MESSAGE, THROTTLES, Sender
from voxops.errors import TransportError
from voxops.ledger import Ledger
from voxops.model import Transition

RETENTION = 86_400.0
QUEUED = {"id": "post_1", "status": "publishing"}


class Post:
    """A client whose answers a test gives, and a writer that lets a test do something between two commits."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.requests: list[dict[str, Any]] = []
        self.answers: list[Reply | BaseException] = []
        self.before_note: Callable[[], None] = lambda: None
        self.after_commit: Callable[[], None] = lambda: None

    def now(self) -> Any:
        return self._bench.now

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Post]:
        yield self

    async def send(self, method: str, path: str, *, body: bytes | None, key: str, **token: Any) -> Reply:
        self.requests.append({"method": method, "path": path, "body": body, "key": key, **token})
        said = self.answers.pop(0)
        if isinstance(said, BaseException):
            raise said
        return said

    async def commit(self, work: Callable[[], Any]) -> Any:
        with self._bench.ledger.atomic():
            done = work()
        self.after_commit()
        return done

    async def note(self, work: Callable[[], Any]) -> Any:
        self.before_note()
        with self._bench.ledger.atomic():
            return work()


class Desk(Bench):
    """A bench with a sender, and one pass in which it works."""

    def __init__(self, ledger: Ledger, clock: Callable[[float], None]) -> None:
        super().__init__(ledger, clock)
        self.post = Post(self)
        self.sender = Sender(
            self.post, ledger, writer=self.post, reader=self.server, credential="c", retention=RETENTION, rng=random.Random(7)  # type: ignore[arg-type]
        )  # fmt: skip
        self.rng = random.Random(7)  # the same jitter
        self.current = Pass("run_1", Control())

    def send(self, op: int, *answers: Reply | BaseException) -> None:
        """Send an operation upon a reading of just now, and let it be answered so."""
        self.post.answers = list(answers)
        read = self.ledger.now() if self.state(op) == "unknown" else None
        run_now(self.sender.send(self.current, self.ledger.claims.clear(self.get(op), read=read)))

    @property
    def changed(self) -> list[Transition]:
        return list(self.current.tally.take_transitions())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    time = [0.0]
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=lambda: time[0])
    desk = Desk(ledger, lambda now: time.__setitem__(0, now))
    desk.at(0)
    yield desk
    ledger.close()


def says(status: int, data: Any = None) -> Reply:
    return Reply(
        "POST /v1", status, {}, data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
    )


def error(status: int, code: str = "", message: str = "no") -> Reply:
    return says(status, {"error": {"code": code, "message": message}} if code else None)


def retried(desk: Desk) -> int:
    (op,) = desk.bind(retry(state("failed")), state("failed"))
    return op


def created(desk: Desk, *names: str, **columns: Any) -> int:
    (op,) = desk.bind(campaign(*names, **columns))
    return op


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


def test_a_refused_claim_is_tried_again_in_a_moment_or_never(desk):
    op = retried(desk)
    desk.current.tally.acts = 5
    desk.at(CLEARED_FOR + 1)
    desk.send(op)
    until = desk.now.timestamp() + interval(0, desk.rng)
    assert desk.current.reasons.refused == {op: "what was read of it is too old by now"}
    assert desk.current.reasons.waiting == {}
    assert not desk.current.queue.due(op, until - 0.001)
    assert desk.current.queue.due(op, until)
    assert (desk.post.requests, desk.current.tally.acts, desk.current.queue.tries[op]) == ([], 5, 0)
    desk.at(0)
    desk.send(op, says(202, QUEUED))
    assert desk.current.reasons.refused == {}, "it was granted meanwhile"
    desk.ledger.query("UPDATE operations SET state = 'withdrawn' WHERE id = ?", (op,))
    desk.send(op)
    assert desk.current.reasons.waiting == {op: "it is withdrawn"}


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
    assert desk.current.queue.told(op) == "no answer came once"
    assert desk.current.control.sending
    assert desk.current.queue.due(op, NOW.timestamp()), "reading decides when it is sent again"


def test_a_connection_that_was_never_made_is_tried_again_a_few_times(desk):
    op = retried(desk)
    for number in range(1, Backoff().tries + 1):
        assert desk.current.control.sending, number
        desk.send(op, TransportError("nobody listens", sent=False))
        assert (desk.state(op), desk.get(op).tries, desk.get(op).first_sent) == ("planned", 0, None)
        until = NOW.timestamp() + delay(Backoff(), number, desk.rng)
        assert not desk.current.queue.due(op, until - 0.001)
        assert desk.current.queue.due(op, until)
    assert desk.current.control.halted == "nobody listens; run.resume() goes on when the server is back"
    assert desk.current.queue.told(op) == ""


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
    assert desk.current.queue.told(op) == f"{why} once"
    assert desk.current.control.sending


def test_rule_17_a_rate_limit_costs_no_try_and_many_of_them_stop_the_run(desk):
    op = retried(desk)
    for number in range(THROTTLES + 1):
        assert desk.current.control.sending, number
        desk.current.queue.tries[op] = 3
        desk.send(op, error(429, "RATE_LIMITED"))
        assert (desk.state(op), desk.get(op).tries, desk.current.queue.tries[op]) == ("planned", 0, 3)
        until = NOW.timestamp() + delay(Backoff(), 1, desk.rng)
        assert not desk.current.queue.due(op, until - 0.0001)
        assert desk.current.queue.due(op, until)
    assert desk.current.control.halted == "the API keeps refusing for its rate limit; run.resume() goes on later"
    assert THROTTLES == 20


def test_rule_17_a_key_that_may_not_stops_the_run_and_leaves_the_operation(desk):
    op = retried(desk)
    desk.send(op, error(403, "AUTHORIZATION_ERROR", "x" * 600))
    assert (desk.state(op), desk.outcomes(op)) == ("planned", ["pending"])
    said = desk.current.control.halted
    assert (
        said == f"the API answered 403 AUTHORIZATION_ERROR: {'x' * 500}. Nothing more is sent; mend it and run.resume()"
    )
    assert LONGEST_MESSAGE == 500


@pytest.mark.parametrize("answer", [says(202, {}), says(202, b"<html>"), says(200, ["id"])])
def test_rule_15_a_2xx_of_another_shape_proves_nothing(desk, answer):
    op = retried(desk)
    desk.send(op, answer)
    stored = desk.get(op)
    assert (stored.state, stored.answered, stored.waiting_for) == (
        "unknown", False, "the answer is not what this call returns",
    )  # fmt: skip


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
    desk.send(op, says(404))
    assert desk.ledger.operations.members(op)[0].error_code == "HTTP_404"
    assert [each.detail for each in desk.changed] == ["HTTP_404"]


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


def test_rule_15_items_that_can_t_be_read_are_unknown(desk):
    op = created(desk, "a", "b")
    desk.send(op, says(207, {"results": []}))
    assert (desk.state(op), desk.outcomes(op)) == ("unknown", ["unknown", "unknown"])


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


def test_a_batch_that_another_sender_took_over_is_not_divided(desk):
    op = created(desk, "a", "b")
    claims = desk.ledger.claims

    class Overtaken(Post):
        async def send(self, method: str, path: str, **given: Any) -> Reply:
            reply = await super().send(method, path, **given)
            desk.at(LEASE + 1)
            claims.expire()
            return reply

    desk.post.__class__ = Overtaken
    desk.send(op, error(400, "VALIDATION_ERROR"))
    assert (desk.state(op), len(desk.ledger.operations.members(op)), desk.changed) == ("unknown", 2, [])


def test_rule_06_rows_whose_time_has_passed_leave_a_batch_before_it_is_sent(desk):
    soon = (NOW + timedelta(seconds=5)).isoformat()
    frame = pd.DataFrame({"row_id": ["a", "b"], "content": ["a", "b"], "accounts": "acc", "scheduled_for": [soon, "2027-01-01T00:00:00Z"]})  # fmt: skip
    (op,) = desk.bind(plan_bulk(frame, key="row_id"))
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


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (None, "this post no longer exists"),
        (replace(scheduled(), version=None), "the API shows no version of this post, so somebody's change could be written over; change it by hand"),
        (replace(scheduled(), status="published"), "the post is published by now and can't be changed"),
        (replace(scheduled(), status="published", version=None), "the post is published by now and can't be changed"),
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
    assert (desk.post.requests, desk.current.reasons.waiting) == ([], {op: "its new time has passed"})
    desk.server.states = {}
    desk.send(op)
    assert desk.current.reasons.waiting == {op: "this post no longer exists"}, "what comes first is said"


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


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (None, "the post or its target no longer exists; load the posts again"),
        (state(), "the post or its target no longer exists; load the posts again"),
        (with_ids(state("published")), "changed since loaded (error_code, status); load it again"),
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
    assert not desk.current.queue.due(second, NOW.timestamp())
