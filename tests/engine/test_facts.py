"""What the ledger and the readings make of requests and calls: short batches, and retry counts as evidence (rules 17, 18 and 27)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.acts.support import item
from tests.ledger import conftest
from tests.ledger.filled import NOW, Clock, add, row, send, start

from voxops.acts.act import Subject
from voxops.acts.create import CREATE
from voxops.acts.keys import campaign_mark
from voxops.api.evidence import Baseline, settable
from voxops.api.reasons import Reason
from voxops.api.states import PostState, TargetState
from voxops.engine.facts import Knowledge, Moment, Readings
from voxops.engine.rules import OTHERS_AT_WORK_FOR, Block, Send, Wait
from voxops.engine.send import Group, fitting
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Seen
from voxops.model import Outcome

clock, ledger = conftest.clock, conftest.ledger


def known(ledger: Ledger, clock: Clock) -> Knowledge:
    """What is known where the list was read just now."""
    readings = Readings(listed=Moment(clock.now, 0.0))
    return Knowledge(
        ledger, readings, lambda: datetime.fromtimestamp(clock.now, UTC), credential="c", retention=86_400.0
    )


def another_creates(ledger: Ledger, at: float) -> None:
    """Another laptop creates a post of the campaign."""
    seen = Seen(
        f"p{at}", datetime.fromtimestamp(at, UTC).isoformat(), "scheduled", campaign_mark=campaign_mark("c"), began=at
    )
    ledger.seen.learn([seen], shows_marks=True)


def test_rule_27_a_short_call_is_given_up_after_a_quarter_of_an_hour_in_which_it_waited_itself(
    ledger: Ledger, clock: Clock
) -> None:
    """A group that waited for canaries, a pause or its turn before has not waited for others."""
    one, two = add(ledger, row("one"), row("two"))
    start(ledger, "run", [one, two])
    group = Group("run", CREATE, 1, [one.id, two.id])
    clock.now += 2 * OTHERS_AT_WORK_FOR
    for passed in range(0, int(OTHERS_AT_WORK_FOR) + 1, 60):
        clock.now += 60 if passed else 0
        another_creates(ledger, clock.now - 10)
        _, said = fitting(known(ledger, clock), group, [one])
        assert isinstance(said, Wait), passed
        assert said.reason == Reason("campaign_busy")
    clock.now += 60
    another_creates(ledger, clock.now - 10)
    assert fitting(known(ledger, clock), group, [one])[1] == Block(Reason("others_at_work"))
    clock.now += 75
    assert fitting(known(ledger, clock), group, [one])[1] == Send()
    another_creates(ledger, clock.now - 10)
    assert isinstance(fitting(known(ledger, clock), group, [one])[1], Wait), "it begins to wait anew"


POST, BEFORE, AFTER = Subject("post", "p"), "2026-03-02T08:00:00+00:00", "2026-03-02T09:00:05+00:00"
PROMISE = {"platform": "twitter", "accountId": "acc", "retryCount": 2}
DUE = {**PROMISE, "nextRetryAt": datetime.fromtimestamp(NOW + 20, UTC).isoformat()}


def shown(updated: str = AFTER, status: str = "failed", count: int = 2, **more: Any) -> PostState:
    target = TargetState("twitter", "acc", status, "E", "m", retry_count=count)
    post = "publishing" if status == "publishing" else "failed"
    return PostState("p", post, updated, BEFORE, targets=(target,), **{"source": "single", "tags": ("t",), **more})


@pytest.mark.parametrize(("seconds", "states", "promise", "failed"), [
    (30, [shown()], PROMISE, True), (29.9, [shown()], PROMISE, False), (30, [shown(count=1)], PROMISE, False),
    (30, [shown()], {}, False), (30, [shown()], DUE, False), (49.9, [shown()], DUE, False), (50, [shown()], DUE, True),
    # somebody has edited it since, so that its stamp says nothing; a list does not show all that a person can set
    (30, [shown(tags=("other",))], PROMISE, False), (30, [shown(tags=None)], PROMISE, True),
    # counts rise here when a try is queued: an old stamp, or a target in flight, bears the promised one
    (30, [shown(BEFORE)], PROMISE, False), (30, [shown(BEFORE), shown()], PROMISE, False),
    (30, [shown(count=1, updated=BEFORE), shown()], PROMISE, True),
])  # fmt: skip
def test_rule_18_a_count_tells_of_the_end_of_a_try_where_nobody_edited_the_post(
    ledger, clock, seconds, states, promise, failed
):
    (one,) = add(ledger, item("retry", POST, "/v1/posts/p/retry", platform="twitter", account_id="acc"))
    before = shown(BEFORE, count=1)
    call = send(ledger, [one], baseline={**Baseline.of(before).stored(), "settable": settable(before)})
    reply = json.dumps({"retriedPlatforms": [promise]}).encode()
    ledger.calls.end(call, "accepted", now=NOW, status=202, reply=reply, answered=True)
    call, about = ledger.calls.get(call.id), known(ledger, clock)
    about.readings.looked(call, Moment(NOW, 0.0))
    for state in states:
        about.readings.subjects[str(POST)] = state, Moment(NOW + seconds, seconds)
        facts, _ = about.open(call, [one], resends=False)
    found = facts[one.id].found
    assert (found is not None and found.outcome is Outcome.FAILED) == failed
