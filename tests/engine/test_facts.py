"""What the ledger and the readings make of requests and calls: short batches, and retry counts as evidence (rules 8, 12 and 13)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.acts.support import item
from tests.ledger import conftest
from tests.ledger.filled import NOW, Clock, add, send

from voxops.acts.act import Subject
from voxops.api.evidence import Baseline, settable
from voxops.api.states import PostState, TargetState
from voxops.engine.facts import Moment, Readings, SharedState
from voxops.ledger.ledger import Ledger
from voxops.model import Outcome

clock, ledger = conftest.clock, conftest.ledger


def known(ledger: Ledger, clock: Clock) -> SharedState:
    """What is known where the list was read just now."""
    readings = Readings(listed=Moment(clock.now, 0.0))
    return SharedState(
        ledger, readings, lambda: datetime.fromtimestamp(clock.now, UTC), credential="c", retention=86_400.0
    )


POST, BEFORE, AFTER = Subject("post", "p"), "2026-03-02T08:00:00+00:00", "2026-03-02T09:00:05+00:00"
PROMISE = {"platform": "twitter", "accountId": "acc", "retryCount": 2}
DUE = {**PROMISE, "nextRetryAt": datetime.fromtimestamp(NOW + 20, UTC).isoformat()}


def shown(updated: str = AFTER, status: str = "failed", count: int = 2, **more: Any) -> PostState:
    target = TargetState("twitter", "acc", status, "E", "m", retry_count=count)
    post = "publishing" if status == "publishing" else "failed"
    return PostState("p", post, updated, BEFORE, targets=(target,), **{"source": "single", "tags": ("t",), **more})


@pytest.mark.parametrize(("seconds", "states", "promise", "failed"), [
    (30, [shown()], PROMISE, True), (29.9, [shown()], PROMISE, False), (49.9, [shown()], DUE, False), (50, [shown()], DUE, True),
    # somebody has edited it since; or counts rise here when a try is queued: an old stamp bears the promised one
    (30, [shown(tags=("other",))], PROMISE, False), (30, [shown(BEFORE), shown()], PROMISE, False),
    (30, [shown(count=1, updated=BEFORE), shown()], PROMISE, True),
])  # fmt: skip
def test_rule_13_a_count_tells_of_the_end_of_a_try_where_nobody_edited_the_post(
    ledger, clock, seconds, states, promise, failed
):
    (one,) = add(ledger, item("retry", POST, "/v1/posts/p/retry", platform="twitter", account_id="acc"))
    before = shown(BEFORE, count=1)
    call = send(ledger, [one], baseline={**Baseline.of(before).stored(), "settable": settable(before)})
    reply = json.dumps({"retriedPlatforms": [promise]}).encode()
    ledger.calls.end(replace(call, state="accepted", ended=NOW, http_status=202, reply=reply, answered=True))
    call, about = ledger.calls.get(call.id), known(ledger, clock)
    about.readings.looked(call, Moment(NOW, 0.0))
    for state in states:
        about.readings.subjects[str(POST)] = state, Moment(NOW + seconds, seconds)
        facts, _ = about.open(call, [one], resends=False)
    found = facts[one.id].became
    assert (found is not None and found.outcome is Outcome.FAILED) == failed
