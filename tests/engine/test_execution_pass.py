"""A whole pass over a run: what it sends, when it is over, what stops it, and what became of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.engine.office import FAILED, Office, Turning, retries
from tests.engine.shown import NOW, campaign, run_now, state

from voxops.acts.made import Made
from voxops.acts.operation import settled
from voxops.api.states import PostState
from voxops.api.timing import PROOF_AFTER, STUCK_AFTER, WATCH_LOOKS
from voxops.engine import execution as module
from voxops.engine.execution import BROKE_DOWN, NEVER_ENDED, WIDTH, Execution
from voxops.engine.reading import Reading
from voxops.errors import LedgerError, TransportError, WaitTooLong
from voxops.ledger import Clearance
from voxops.ledger.forming import CANCELLED
from voxops.model import Outcome

# -- a whole pass --------------------------------------------------------------------------------------------------------


def go(execution: Execution, seconds: float = 20.0) -> Any:
    return asyncio.run(asyncio.wait_for(execution.go(), seconds))


def ends(office: Office) -> None:
    """Let every look settle what was accepted."""

    async def settle(operations: Any) -> Reading:
        office.looks.append([operation.id for operation in operations])
        for operation in operations:
            office.ledger.query("UPDATE members SET outcome = 'succeeded' WHERE op = ?", (operation.id,))
            office.ledger.query("UPDATE operations SET state = 'settled', settled = 1 WHERE id = ?", (operation.id,))
        return Reading(transitions=[replace(FAILED, now="succeeded")])

    office.look_once = settle  # type: ignore[method-assign]


def test_a_pass_sends_each_operation_once_and_is_over_when_all_is_settled(office):
    ends(office)
    execution = retries(office, 3)
    snapshot = go(execution)
    assert [each.op for each in office.sends] == office.ops
    assert (snapshot.phase, execution.over, execution.snapshot.phase) == ("done", True, "done")
    assert [office.state(op) for op in office.ops] == ["settled"] * 3
    assert execution._after is None, "nobody asked it to look back"
    assert execution.current.tally.looks == 0, "each look has brought something"


def test_a_pass_ends_after_many_looks_without_any_change(office):
    execution = retries(office)
    go(execution)
    assert len(office.looks) == WATCH_LOOKS + 1
    assert execution.current.reasons.waiting == {office.ops[0]: NEVER_ENDED}


def test_a_sender_that_waits_too_long_or_fails_stops_the_run_with_its_words(office):
    for error, then in (
        (WaitTooLong("the limit is used up", seconds=900.0), ""),
        (LedgerError("the disk is full"), ""),
        (TransportError("nobody listens", sent=False), " when the server is back"),
    ):
        execution = retries(office)

        def fail(_: Any, __: Clearance, error: Exception = error) -> None:
            raise error

        office.on_send = fail
        go(execution)
        assert execution.current.control.halted == f"{error}; run.resume() goes on{then}"


def test_a_sender_that_breaks_stops_the_run_and_is_heard_of(office):
    execution = retries(office)

    def broken(_: Any, __: Clearance) -> None:
        raise RuntimeError("a fault")

    office.on_send = broken
    with pytest.raises(RuntimeError, match="a fault"):
        go(execution)
    said = f"{BROKE_DOWN}; run.resume() goes on"
    assert execution.current.control.halted == said
    assert execution.over
    assert office.ledger.query("SELECT state, note FROM runs")[0][:] == ("stopped", said), "it is on record"


def breaking(execution: Execution, error: Exception) -> None:
    async def fail(_: Any) -> Reading:
        raise error

    execution._engine.settler = SimpleNamespace(look=fail)  # type: ignore[assignment]


def test_a_look_that_fails_stops_the_run_with_its_words(office):
    execution = retries(office)
    breaking(execution, LedgerError("the disk is full"))
    assert go(execution).phase == "stopped"
    assert (execution.current.control.halted, execution.over) == ("the disk is full; run.resume() goes on", True)


def test_a_look_that_breaks_stops_the_run_and_is_heard_of(office):
    execution = retries(office)
    breaking(execution, RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="a fault"):
        go(execution)
    assert (execution.current.control.halted, execution.over) == (f"{BROKE_DOWN}; run.resume() goes on", True)


def test_a_pass_that_was_closed_ends_when_nothing_is_under_way(office):
    execution = retries(office, 2)

    def close(current: Any, clearance: Clearance) -> None:
        office.accept(clearance.op)
        execution.close()

    office.on_send = close
    go(execution)
    assert len(office.sends) == 1, "what was queued is not sent any more"
    assert len(office.looks) <= 1, "and what was sent is not waited for"
    assert state_of(office, execution) == "paused"


def state_of(office: Any, execution: Any) -> str:
    (row,) = office.ledger.query("SELECT state FROM runs WHERE id = ?", (execution.id,))
    return str(row["state"])


def test_a_run_that_was_closed_while_what_it_sent_is_pending_is_open(office):
    execution = retries(office, 1)

    def close(current: Any, clearance: Clearance) -> None:
        office.accept(clearance.op)
        execution.close()

    office.on_send = close
    go(execution)
    assert state_of(office, execution) == "open", "nobody watches it, and somebody has to"


def test_so_many_are_under_way_at_once_and_no_more(office):
    execution = retries(office, WIDTH + 5)
    under_way: list[int] = []
    most = [0]

    async def hold(clearance: Clearance) -> None:
        under_way.append(clearance.op)
        most[0] = max(most[0], len(under_way))
        for _ in range(50):
            await asyncio.sleep(0)
        under_way.remove(clearance.op)
        office.accept(clearance.op)

    office.on_send = lambda _, clearance: hold(clearance)
    ends(office)
    go(execution)
    assert most == [WIDTH] == [20]
    assert len(office.sends) == WIDTH + 5


def test_leases_that_are_over_are_ended_by_the_pass(office):
    execution = retries(office)
    (op,) = office.ops
    office.claim(op)
    office.at(1000)
    ends(office)
    go(execution)
    assert office.looks[0] == [op], "it was no longer being sent, and was looked at"


def test_news_brings_a_look_at_once_at_what_it_is_about(office):
    execution = retries(office, 2)
    one, two = office.ops
    seen: list[tuple[float, list[int]]] = []
    clock = office.client.clock

    class Still(Turning):
        """Time stands still until the first look."""

        async def sleep(self, seconds: float) -> None:
            await (clock.sleep(seconds) if seen else asyncio.sleep(3600))

    office.client.clock = Still(office)

    async def noted(operations: Any) -> Reading:
        seen.append((office.seconds, [each.id for each in operations]))
        for operation in operations:
            office.ledger.query("UPDATE operations SET state = 'settled' WHERE id = ?", (operation.id,))
        return Reading()

    execution._engine.settler = SimpleNamespace(look=noted)  # type: ignore[assignment]

    def send(_: Any, clearance: Clearance) -> None:
        office.accept(clearance.op)
        if clearance.op == one:
            assert execution.notify("post_0"), "its answer comes after the news"

    office.on_send = send
    go(execution)
    assert [ops for _, ops in seen] == [[one], [two]]
    assert seen[0][0] == 0.0
    assert seen[1][0] > 0.0, "the other one is looked at when it is due"


def test_a_pass_whose_answers_settle_all_is_over_with_the_last_of_them(office):
    """No time passes: nothing waits for the next look."""
    execution = retries(office, 2)
    office.client.clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: asyncio.sleep(3600))

    async def settle(clearance: Clearance) -> None:
        for _ in range(50 * clearance.op):
            await asyncio.sleep(0)
        office.ledger.query("UPDATE operations SET state = 'settled' WHERE id = ?", (clearance.op,))

    office.on_send = lambda _, clearance: settle(clearance)
    assert go(execution, 5.0).phase == "done"
    assert office.looks == []


def test_news_of_what_is_being_sent_is_kept_until_its_answer_is_here(office):
    execution = retries(office)
    (op,) = office.ops
    office.client.clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: asyncio.sleep(3600))  # nothing is due

    async def noted(operations: Any) -> Reading:
        office.looks.append([each.id for each in operations])
        office.ledger.query("UPDATE operations SET state = 'settled' WHERE id = ?", (op,))
        return Reading()

    execution._engine.settler = SimpleNamespace(look=noted)  # type: ignore[assignment]

    async def slowly(clearance: Clearance) -> None:
        claim = office.claim(clearance.op)
        assert execution.notify("post_0")
        for _ in range(20):
            await asyncio.sleep(0)
        office.ledger.claims.record(claim, state="accepted", status=202, reply=b"{}", server_now=NOW.timestamp())

    office.on_send = lambda _, clearance: slowly(clearance)
    go(execution)
    assert office.looks == [[op]]


def looked_back(execution: Any) -> Any:
    """The snapshot after a pass, and after the look back at it."""

    async def both() -> Any:
        await execution.go()
        assert execution._after is not None
        await execution._after
        return execution.snapshot

    return asyncio.run(both())


def test_a_run_that_looks_back_says_what_was_done_twice(office, monkeypatch):
    asked: list[Any] = []

    async def find(*arguments: Any) -> str:
        asked.append(arguments)
        return "post_1 went out twice"

    monkeypatch.setattr(module, "find_duplicates", find)
    ends(office)
    execution = retries(office, look_back=True)

    assert looked_back(execution).note == "post_1 went out twice"
    assert asked[0][-1] == execution.id


def test_rule_30_a_run_that_looks_back_shows_what_has_become_of_its_rows_since(office, monkeypatch):
    """Posts that somebody withdraws as the pass ends are noted in the ledger a moment after its last snapshot."""
    shown: list[Any] = []

    async def find(*_: Any) -> str:
        office.ledger.query("UPDATE members SET outcome = 'blocked'")
        return ""

    monkeypatch.setattr(module, "find_duplicates", find)
    ends(office)
    execution = retries(office, 2, look_back=True)
    execution._reporter._observer = SimpleNamespace(notice=shown.append)
    found = looked_back(execution)

    assert (found.count("blocked"), found.total, found.phase) == (2, 2, "done")
    assert shown[-1] is found, "whoever follows it sees it"
    assert shown[-2].count("blocked") == 0


def test_a_closed_run_does_not_look_back_and_one_that_found_nothing_says_nothing(office, monkeypatch):
    async def find(*_: Any) -> str:
        return ""

    monkeypatch.setattr(module, "find_duplicates", find)
    ends(office)
    execution = retries(office, look_back=True)

    assert looked_back(execution).phase == "done"
    closed = retries(office, look_back=True)
    closed.close()
    go(closed)
    assert closed._after is None


# -- what became of it ---------------------------------------------------------------------------------------------------


def reads(office: Office, **states: PostState) -> None:
    """Let posts be as these are now."""

    async def read(ids: Any) -> dict[str, PostState]:
        return {name: each for name, each in states.items() if name in set(ids)}

    office.engine.read_posts = read


def end(office: Office, op: int, outcome: Outcome, **result: Any) -> None:
    members = office.ledger.operations.members(op)
    office.ledger.outcomes.settle(op, [settled(each, outcome, **result) for each in members], office.now.timestamp())


def test_a_retry_is_verified_by_its_posts_and_shown_as_it_was_planned(office):
    execution = retries(office, 2)
    one, two = office.ops
    end(office, one, Outcome.SUCCEEDED)
    end(office, two, Outcome.FAILED, error_code="NO", error_message="why")
    reads(
        office,
        post_0=state("published", post_id="post_0", status="published"),
        post_1=state("failed", post_id="post_1"),
    )
    counts = run_now(execution.verify())
    assert int(counts["recovered"].sum()) == 1
    assert execution.results()["outcome"].to_list() == ["succeeded", "failed"]
    assert execution.plan is not None
    assert [item.label for item in execution.plan.items] == ["post_0", "post_1"]
    again = execution.replan()
    assert again is not None
    assert again.frame["post_id"].to_list() == ["post_1"], "what failed, and whether it may be tried again"
    assert execution.failed()["post_id"].to_list() == ["post_1"]


def test_rule_30_creates_are_verified_by_the_posts_that_they_made_and_deleted_ones_are_blocked(office):
    execution = office.begin(campaign("a", "b"))
    (op,) = office.ops
    one, two = office.ledger.operations.members(op)
    done = [settled(one, Outcome.SUCCEEDED, result_id="post_8"), settled(two, Outcome.SUCCEEDED, result_id="post_9")]
    office.ledger.outcomes.settle(op, done, NOW.timestamp())
    office.ledger.marks.learn([Made(name, NOW.isoformat(), "scheduled", op_mark=name) for name in ("post_8", "post_9")])
    reads(office, post_8=PostState("post_8", "scheduled"))
    counts = run_now(execution.verify())
    assert counts[["recovered", "pending"]].sum().to_list() == [1, 1]
    assert office.outcomes(op) == ["succeeded", "succeeded"], "reads may not show yet what was made a moment ago"
    office.at(PROOF_AFTER)
    run_now(execution.verify())
    assert office.outcomes(op) == ["succeeded", "succeeded"]
    office.at(PROOF_AFTER + 0.001)
    assert int(run_now(execution.verify())["recovered"].sum()) == 1
    assert office.outcomes(op) == ["succeeded", "blocked"]
    reads(office, post_8=PostState("post_8", "cancelled"), post_9=PostState("post_9", "scheduled", source="single"))
    run_now(execution.verify())
    assert office.outcomes(op) == ["blocked", "succeeded"], "what is there was not deleted"
    assert [made.status for made in office.ledger.marks.of_posts(["post_8", "post_9"]).values()] == [
        "cancelled", "scheduled",
    ]  # fmt: skip


def test_what_has_hung_for_ten_minutes_is_among_the_failed_if_asked(office):
    execution = retries(office)
    (op,) = office.ops
    office.accept(op)
    office.at(STUCK_AFTER.total_seconds() + 1)
    assert execution.failed()["post_id"].to_list() == []
    assert execution.failed(stuck=True)["post_id"].to_list() == ["post_0"]


def test_news_of_what_was_being_sent_is_looked_at_when_it_is_answered_and_not_when_all_are(office):
    execution = retries(office, 2)
    one, two = office.ops
    office.client.clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: asyncio.sleep(3600))  # nothing is due
    meanwhile: list[list[int]] = []

    async def settles(operations: Any) -> Reading:
        office.looks.append([each.id for each in operations])
        for operation in operations:
            office.ledger.query("UPDATE operations SET state = 'settled' WHERE id = ?", (operation.id,))
        return Reading()

    execution._engine.settler = SimpleNamespace(look=settles)  # type: ignore[assignment]

    async def slowly(clearance: Clearance) -> None:
        claim = office.claim(clearance.op)
        if clearance.op == one:
            assert execution.notify("post_0")
        for _ in range(20 if clearance.op == one else 200):
            await asyncio.sleep(0)
        if clearance.op == two:
            meanwhile.extend(office.looks)
        office.ledger.claims.record(claim, state="accepted", status=202, reply=b"{}", server_now=NOW.timestamp())
        office.ledger.query("UPDATE operations SET state = 'settled' WHERE id = ?", (two,))

    office.on_send = lambda _, clearance: slowly(clearance)
    go(execution)
    assert meanwhile == [[one]]


def test_what_was_given_up_is_not_there_to_be_resumed_while_the_rest_is_watched(office):
    """Nothing could be sent by going on, unless something that was sent turns out to be unknown."""
    execution = retries(office, 3)
    accepted, other, given_up = office.ops
    office.accept(accepted)
    office.accept(other)
    current = execution.current
    current.control.pause()
    assert execution._reporter.refresh(current).phase == "paused", "there is something to be sent"
    office.ledger.forming.withdraw(given_up, CANCELLED)
    assert execution._reporter.refresh(current).phase == "watching"
    office.ledger.query("UPDATE operations SET state = 'unknown' WHERE id = ?", (other,))
    assert execution._reporter.refresh(current).phase == "paused"


def test_a_paused_run_is_paused_while_what_it_sent_is_watched(office):
    execution = retries(office)
    office.accept(*office.ops)
    execution.current.control.pause()
    assert execution._reporter.refresh(execution.current).phase == "paused"


def test_a_pass_that_is_cancelled_sends_nothing_more_and_is_cancelled(office):
    execution = retries(office, 2)
    office.client.clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: asyncio.sleep(3600))

    async def cancelled() -> str:
        going = asyncio.create_task(execution.go())

        async def cancel() -> None:
            going.cancel()
            await asyncio.sleep(0)

        office.on_send = lambda *_: cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        return execution.current.control.halted

    assert asyncio.run(asyncio.wait_for(cancelled(), 10)).startswith(BROKE_DOWN)
    assert execution.over
