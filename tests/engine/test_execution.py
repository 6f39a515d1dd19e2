"""A pass over a run, step by step: what is offered, what waits and why, and when a pass is over; senders and readings are made up."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.engine.office import FAILED, Office, offer, queued, retries
from tests.engine.shown import NOW, campaign, fix, move, run_now, scheduled, state

from voxops.acts import keys
from voxops.acts.made import Made
from voxops.api.reasons import Reason
from voxops.api.timing import CAMPAIGN_QUIET, CREATES_FRESH_FOR, FRESH_FOR, WATCH_LOOKS
from voxops.engine.execution import FEWEST_OFFERED, MOST_OFFERED, NEVER_ENDED, RESENDS, RESTLESS, Execution
from voxops.engine.reader import interval
from voxops.engine.reading import Reading
from voxops.engine.settler import OR_ANEW
from voxops.engine.sharing import WAITS_FOR_CANARIES
from voxops.ledger import Clearance

# -- whoever holds the run -----------------------------------------------------------------------------------------------


def test_a_run_begins_as_it_was_asked_to(office):
    execution = retries(office)
    assert execution.id == "run_1"
    assert (execution.current.control.sending, execution.over, execution.current.stop_after_failures) == (
        True,
        False,
        None,
    )
    assert execution.snapshot.total == 1
    paused = retries(office, paused=True, stop_after_failures=3)
    assert (paused.current.control.sending, paused.current.stop_after_failures) == (False, 3)


def test_pausing_waits_for_what_is_under_way_and_withdraws_only_if_asked(office):
    async def pause() -> list[Any]:
        execution = retries(office)
        execution.current.queue.in_flight = 1
        execution.current.queue._queued.add(1)
        pausing = asyncio.create_task(execution.pause())
        await asyncio.sleep(0.01)
        found: list[Any] = [pausing.done(), execution.current.control.paused]
        execution.current.queue.done(office.ledger.claims.clear(office.get(1)))
        await asyncio.wait_for(pausing, 10)
        found.append(list(office.taken_back))
        await execution.pause(withdraw=True)
        return [*found, office.taken_back]

    assert asyncio.run(pause()) == [False, True, [], ["run_1"]]


def test_a_pass_that_is_over_is_followed_by_a_new_one_and_another_goes_on(office):
    execution = retries(office, stop_after_failures=2)
    first = execution.current
    first.control.halt("stopped")
    assert execution.resume(paused=True) is False
    assert execution.current is first
    assert first.control.sending, "it goes on"
    execution.over = True
    assert execution.resume() is True
    assert execution.current is not first
    control = execution.current.control
    assert (control.sending, control.away, execution.over, execution.current.stop_after_failures) == (
        True,
        True,
        False,
        2,
    )
    execution.over = True
    assert execution.resume(paused=True) is True
    assert not execution.current.control.sending


@pytest.mark.parametrize("what", ["close", "resume"])
def test_closing_and_going_on_end_the_looking_back(office, what):
    async def ended() -> bool:
        execution = retries(office)
        execution.over = True
        execution._after = asyncio.create_task(asyncio.sleep(60))
        getattr(execution, what)()
        await asyncio.gather(execution._after, return_exceptions=True)
        return execution._after.cancelled()

    assert asyncio.run(asyncio.wait_for(ended(), 10))
    execution = retries(office)
    execution.close()
    assert execution.current.control.closed


def test_news_is_taken_of_what_was_sent_and_is_not_settled(office):
    execution = retries(office, 4)
    planned, sent, doubtful, accepted = office.ops
    office.claim(sent)
    office.doubt(doubtful)
    office.accept(accepted)
    assert [execution.notify(f"post_{number}") for number in range(4)] == [False, True, True, True]
    assert execution.notify("elsewhere") is False
    assert execution.current.control.take_notified() == {"post_1", "post_2", "post_3"}
    assert office.state(planned) == "planned"


# -- what is offered -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("waiting", "reads"), [(FEWEST_OFFERED - 1, 1), (FEWEST_OFFERED, 0)])
def test_what_can_not_be_offered_yet_is_not_read_again_either(office, waiting, reads):
    """It would be too old again when its turn comes, and would cost the requests that others wait for."""
    execution = retries(office)
    office.client.pace.limit = 6
    office.at(FRESH_FOR + 1)
    execution.current.queue._queued |= set(range(1000, 1000 + waiting))
    assert [each.id for each in run_now(execution._planned(execution.current))] == office.ops
    assert len(office.server.read) == reads


def test_rule_01_what_was_read_long_ago_is_read_again_and_what_has_changed_is_held(office):
    execution = retries(office, 3)
    office.at(FRESH_FOR)
    assert [each.id for each in run_now(execution._planned(execution.current))] == office.ops
    assert office.server.read == []
    office.at(FRESH_FOR + 1)
    office.server.states["post_1"] = replace(office.server.states["post_1"], updated_at=office.now.isoformat())
    execution.current.queue._queued.add(office.ops[2])  # on its way to being sent: it was read before
    found = run_now(execution._planned(execution.current))
    assert [each.id for each in found] == [office.ops[0], office.ops[2]]
    assert office.get(office.ops[0]).read == office.now.timestamp()
    assert office.get(office.ops[2]).read == NOW.timestamp()
    assert office.server.read == ["posts post_0 post_1"]
    assert execution.current.reasons.waiting == {
        office.ops[1]: str(Reason("changed_since_loaded", fields="updated_at"))
    }
    assert execution.current.reasons.blocked == {office.ops[1]}


def test_rule_01_what_is_read_by_itself_before_it_is_sent_is_not_read_before(office):
    before = scheduled()
    execution = office.begin(move(before), before)
    office.at(FRESH_FOR + 1)
    assert len(run_now(execution._planned(execution.current))) == 1
    other = state("failed", "failed", post_id="post_2")
    fixing = office.begin(fix(other, 0), other)
    office.at(3 * FRESH_FOR)
    assert len(run_now(fixing._planned(fixing.current))) == 1
    assert office.server.read == []


def test_rule_21_after_a_pause_the_time_is_asked_for_once_before_anything_is_sent(office):
    execution = retries(office)
    control = execution.current.control
    control.pause()
    assert run_now(execution._planned(execution.current)) == []
    assert office.server.read == []
    control.resume()
    run_now(execution._planned(execution.current))
    run_now(execution._planned(execution.current))
    assert (office.server.read, control.away) == (["time"], False)
    nothing = retries(office)
    for op in office.ops:
        office.ledger.forming.withdraw(op, "gone")
    nothing.current.control.away = True
    run_now(nothing._planned(nothing.current))
    assert office.server.read == ["time"], "nothing is to be sent"
    assert nothing.current.control.away


def test_what_waits_for_a_person_is_not_offered_and_what_waits_for_its_turn_is(office):
    execution = retries(office, 4)
    one, two, three, four = office.ops
    waiting = execution.current.reasons.waiting
    waiting |= {one: RESTLESS, two: WAITS_FOR_CANARIES, three: "somebody must look"}
    assert offer(execution) == 3
    assert queued(execution) == [one, two, four]
    assert waiting == {three: "somebody must look"}, "the others wait no more"
    assert [each.id for each in execution._unsent(execution.current)] == [one, two, four]


def test_a_run_that_has_stopped_offers_nothing_and_counts_what_is_under_way(office):
    execution = retries(office, 2)
    execution.current.control.pause()
    execution.current.queue.in_flight = 3
    assert offer(execution) == 3
    assert queued(execution) == []
    execution.current.control.resume()
    assert offer(execution) == 2 + 3


def test_what_keeps_being_refused_is_left_when_nothing_moves_any_more(office):
    execution = retries(office, 2)
    one, two = office.ops
    execution.current.reasons.refused[one] = "another request on this post is open"
    execution.current.tally.looks = WATCH_LOOKS
    assert offer(execution) == 2
    assert execution.current.reasons.waiting == {}
    again = retries(office, 2)
    again.current.reasons.refused[one] = "another request on this post is open"
    again.current.tally.looks = WATCH_LOOKS + 1
    assert offer(again) == 1
    assert again.current.reasons.waiting == {one: "another request on this post is open"}
    assert again.current.reasons.blocked == set()
    assert two in again.current.queue


def made_lately(office: Office, seconds: float) -> None:
    """Somebody makes a post of the campaign."""
    created = (office.now - timedelta(seconds=seconds)).isoformat()
    mark = keys.campaign_mark(office.ledger.operations.members(office.ops[0])[0].item.campaign)
    office.ledger.marks.learn([Made("post_9", created, "scheduled", "o", "r", mark)])


@pytest.mark.parametrize(
    ("ago", "waits"),
    [(-0.001, False), (0.0, True), (0.5, True), (CAMPAIGN_QUIET - 0.001, True), (CAMPAIGN_QUIET, False)],
)
def test_rule_27_a_batch_that_lost_rows_waits_while_others_make_posts_of_its_campaign(office, ago, waits):
    execution = office.begin(campaign("a", "b"))
    (op,) = office.ops
    assert offer(execution) == 1, "it has lost none"
    execution = office.begin(campaign("a", "b"))
    office.ledger.query("UPDATE operations SET shrunk = 1")
    made_lately(office, ago)
    assert offer(execution) == 1, "it is still to be sent"
    assert queued(execution) == ([] if waits else [op])
    assert execution.current.reasons.waiting == ({op: RESTLESS} if waits else {})


@pytest.mark.parametrize(("shrunk", "reads"), [(0, []), (1, ["learnt"])])
def test_rule_27_the_list_is_read_before_their_turn_for_batches_that_lost_rows_alone(office, shrunk, reads):
    """Whether their campaign is quiet shows in it alone; others read it when it is their turn, and once for all of them."""
    execution = office.begin(campaign("a", "b"))
    office.ledger.query("UPDATE operations SET shrunk = ?", (shrunk,))
    office.at(CREATES_FRESH_FOR + 1)
    assert [each.id for each in run_now(execution._planned(execution.current))] == office.ops
    assert office.server.read == reads


def test_rule_27_a_batch_of_a_campaign_of_which_nothing_is_made_goes(office):
    execution = office.begin(campaign("a"))
    office.ledger.query("UPDATE operations SET shrunk = 1")
    assert offer(execution) == 1
    assert queued(execution) == office.ops
    office.ledger.query("DELETE FROM members")
    assert execution._restless(office.get(office.ops[0])) is None


def test_an_operation_is_queued_once_when_its_backoff_is_over_and_not_too_often(office):
    execution = retries(office)
    (op,) = office.ops
    current, operation = execution.current, office.get(op)
    current.queue.delay(op, 5.0)
    assert execution._enqueue(current, operation) is True
    assert queued(execution) == [], "it waits for its backoff"
    office.at(5)
    own = Clearance(operation, 1.0)
    assert execution._enqueue(current, operation, own) is True
    assert execution._enqueue(current, operation) is True
    assert len(current.queue) == 1
    assert run_now(current.queue.take()) is own, "upon the reading that it was cleared by, and once"
    assert current.queue._ready.empty()
    current.queue.done(own)
    current.queue.tries[op] = RESENDS - 1
    assert execution._enqueue(current, operation) is True
    assert run_now(current.queue.take()).read == operation.read
    current.queue.done(own)
    current.queue.tries[op] = RESENDS
    assert execution._enqueue(current, operation) is False
    assert queued(execution) == []
    assert current.reasons.waiting == {
        op: f"tried 6 times without an answer; look at the dashboard, then run.resume(), {OR_ANEW}"
    }
    current.queue.note_failure(op, "no answer came")
    assert execution._enqueue(current, operation) is False
    assert current.reasons.waiting == {op: f"no answer came once; look at the dashboard, then run.resume(), {OR_ANEW}"}
    assert RESENDS == 6


@pytest.mark.parametrize(("limit", "offered"), [(None, 1000), (0, 1000), (10, 30), (31, 31), (600, 600), (5000, 1000)])
def test_what_a_minute_lets_through_is_offered_at_once_and_no_more(office, limit, offered):
    execution = retries(office)
    office.client.pace.limit = limit
    queue = execution.current.queue
    queue._queued |= set(range(1000, 1000 + offered - 1))
    operation = office.get(office.ops[0])
    execution._enqueue(execution.current, operation)
    assert operation.id in queue
    queue._queued.discard(operation.id)
    queue._queued.add(99)
    assert execution._enqueue(execution.current, operation) is True, "it is still to be sent"
    assert operation.id not in queue
    assert (FEWEST_OFFERED, MOST_OFFERED) == (30, 1000)


@pytest.mark.parametrize(("limit", "offered"), [(None, 500), (1, 1), (3, 1), (4, 2), (500, 250), (5000, 1000)])
def test_of_what_is_read_alone_no_more_is_offered_than_goes_out_with_its_readings(office, limit, offered):
    execution = retries(office)
    office.client.pace.limit = limit
    operation = office.get(office.ops[0])
    assert execution._offered(operation) == max(30, min(1000, limit or 1000))
    alone = replace(operation, action="fix", path="/v1/posts/post_1/platforms/pp_1/fix")
    assert alone.read_alone
    assert execution._offered(alone) == offered


# -- what was sent -------------------------------------------------------------------------------------------------------


def test_something_moves_while_a_request_is_out_or_may_still_end(office):
    execution = retries(office, 3)
    sent, doubtful, accepted = office.ops
    current = execution.current
    assert execution._moving(current) is False, "nothing was sent"
    office.doubt(doubtful)
    assert execution._moving(current) is True
    current.reasons.waiting[doubtful] = "somebody must look"
    assert execution._moving(current) is False
    office.accept(accepted)
    assert execution._moving(current) is True
    current.tally.looks = WATCH_LOOKS
    assert execution._moving(current) is True
    current.tally.looks = WATCH_LOOKS + 1
    assert execution._moving(current) is False
    assert current.reasons.waiting == {doubtful: "somebody must look", accepted: NEVER_ENDED}
    office.claim(sent)
    current.reasons.waiting[sent] = "x"
    assert execution._moving(current) is True, "its answer will come"


def test_what_is_being_sent_is_not_looked_at_yet(office):
    execution = retries(office, 4)
    planned, sent, doubtful, accepted = office.ops
    office.claim(sent)
    office.doubt(doubtful)
    office.accept(accepted)
    assert execution._being_sent(execution.current) == {"post_1"}
    execution.current.queue._queued |= {doubtful, accepted, planned}
    assert execution._being_sent(execution.current) == {"post_1", "post_2", "post_3"}


def look(execution: Execution, notified: set[str] | None = None) -> bool:
    found: bool = run_now(execution._look(execution.current, notified))
    return found


def test_a_look_is_at_what_was_sent_and_is_not_on_its_way_to_be_sent_again(office):
    execution = retries(office, 4)
    _, sent, doubtful, accepted = office.ops
    assert look(execution) is False
    assert office.looks == [], "nothing is looked at for nothing"
    office.claim(sent)
    office.doubt(doubtful)
    office.accept(accepted)
    assert look(execution) is False
    look(execution, {"post_3", "post_0"})
    look(execution, {"elsewhere"})
    execution.current.queue._queued.add(doubtful)
    look(execution)
    look(execution, {"post_2", "post_3"})
    assert office.looks == [[doubtful, accepted], [accepted], [accepted], [accepted]]


def test_a_look_notes_what_it_has_brought(office):
    execution = retries(office, 2)
    one, two = office.ops
    office.doubt(one, two)
    cleared = office.ledger.claims.clear(office.get(one), read=5.0)
    office.readings = [
        Reading(transitions=[FAILED], waiting={two: "gone"}, resend=[cleared]),
        Reading(formed=[two]),
        Reading(waiting={two: "still"}),
        Reading(duplicates=["a was created twice", "b was created twice"]),
    ]
    current = execution.current
    assert look(execution) is True
    assert (current.tally.failures, current.reasons.waiting, queued(execution)) == (1, {two: "gone"}, [one])
    assert run_now(current.queue.take()) is cleared
    current.queue.done(cleared)
    assert [look(execution), look(execution)] == [True, False]
    assert current.control.halted == ""
    assert look(execution) is False
    assert (
        current.control.halted
        == "a was created twice; b was created twice; look at run.copies(); then run.resume() goes on"
    )


def test_what_may_be_sent_again_waits_where_the_run_has_stopped(office):
    execution = retries(office)
    (op,) = office.ops
    office.doubt(op)
    execution.current.control.pause()
    office.readings = [Reading(resend=[office.ledger.claims.clear(office.get(op))])]
    look(execution)
    assert queued(execution) == []
    assert execution.current.reasons.waiting == {op: "to be sent again when the run is resumed"}


def test_a_look_is_due_at_its_instant_and_not_after_it(office):
    execution = retries(office)
    office.accept(*office.ops)
    seen: list[float] = []

    async def look_at(operations: Any) -> Reading:
        seen.append(office.seconds)
        execution.current.control.close()
        return Reading()

    execution._engine.settler = SimpleNamespace(look=look_at)
    asyncio.run(asyncio.wait_for(execution._oversee(execution.current), 10))
    assert seen == [interval(0, random.Random(7), 0)]


def test_looks_come_at_their_pace(office):
    execution = retries(office)
    rng = random.Random(7)
    execution.current.tally.looks = 3
    office.server.pages = 9
    assert execution._interval(execution.current) == interval(3, rng, 9)
