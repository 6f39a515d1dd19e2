"""Settling redeliveries: by their results, and to the second when one that shows no trace is formed again."""

from __future__ import annotations

from typing import Any

from tests.engine.shown import Bench, redeliver

from voxops.api.timing import PROOF_AFTER


def delivered(bench: Bench, *names: str) -> tuple[list[int], dict[str, dict[str, Any]]]:
    """Operations on failed deliveries, and these as they were."""
    plan = redeliver(*names)
    seen = {item.subject.id: dict(item.seen) for item in plan.items}
    return bench.bind(plan, deliveries=seen), seen


def test_rule_19_a_delivery_that_was_tried_again_is_settled_by_its_result(bench):
    (one, two, three), seen = delivered(bench, "d", "e", "f")
    bench.doubt(one, two, three)
    bench.server.sent = {
        "d": {**seen["d"], "success": True, "status_code": 200, "error": None, "retry_count": 6},
        "e": {**seen["e"], "status_code": 500, "retry_count": 6},
    }
    bench.at(3)
    reading = bench.look(one, two, three)
    assert bench.server.read == ["deliveries w d e f"]
    assert [bench.outcomes(op) for op in (one, two, three)] == [["succeeded"], ["failed"], ["unknown"]]
    assert bench.get(one).sighted is None, "a delivery does not show that it is queued"
    assert reading.waiting == {three: "the delivery is no longer listed; look at the dashboard"}
    assert [(each.now, each.detail) for each in reading.transitions] == [("succeeded", ""), ("failed", "x")]


def test_rule_19_a_delivery_without_a_trace_is_formed_again_when_that_is_proved(bench):
    (op,), seen = delivered(bench, "d")
    bench.doubt(op)
    bench.server.sent = seen
    bench.at(PROOF_AFTER - 0.001)
    reading = bench.look(op)
    assert (reading.resend, reading.formed, reading.waiting) == ([], [], {}), (
        "a delivery does not show that it is queued"
    )
    bench.at(PROOF_AFTER)
    assert bench.look(op).formed == [op]
    assert bench.state(op) == "planned"


def test_rule_19_a_count_that_rose_alone_is_an_end_of_ours_or_nobody_knows_whose(bench):
    (ours, whose), seen = delivered(bench, "d", "e")
    bench.accept(ours)
    bench.doubt(whose)
    bench.server.sent = {name: {**before, "retry_count": 6} for name, before in seen.items()}
    bench.at(PROOF_AFTER - 0.001)
    reading = bench.look(ours, whose)
    assert (bench.state(ours), bench.state(whose), reading.waiting) == ("accepted", "unknown", {})
    bench.at(PROOF_AFTER)
    reading = bench.look(ours, whose)
    assert (bench.state(ours), bench.outcomes(ours)) == ("settled", ["failed"])
    assert bench.state(whose) == "unknown"
    assert reading.waiting == {
        whose: "it was tried again with the same result, by whom is not known; look at the dashboard"
    }
    assert not reading.formed


def test_rule_19_an_accepted_delivery_that_shows_no_trace_stays_accepted(bench):
    (op,), seen = delivered(bench, "d")
    bench.accept(op)
    bench.server.sent = seen
    bench.at(PROOF_AFTER + 1)
    reading = bench.look(op)
    assert (bench.state(op), reading.waiting, reading.formed, reading.resend) == ("accepted", {}, [], [])
