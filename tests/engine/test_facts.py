"""What the ledger and the readings make of calls: retry counts as evidence (rule 13)."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.acts.support import item
from tests.ledger import conftest
from tests.ledger.filled import NOW, START, add, send

from voxops.acts.act import Subject
from voxops.api.evidence import Baseline, settable
from voxops.api.states import PostState, TargetState
from voxops.engine.facts import Moment, Readings, SharedState
from voxops.model import Outcome

ledger = conftest.ledger

POST, BEFORE, AFTER = Subject("post", "p"), "2026-03-02T08:00:00+00:00", "2026-03-02T09:00:05+00:00"
PROMISE = {"platform": "twitter", "accountId": "acc", "retryCount": 2}
DUE = {**PROMISE, "nextRetryAt": datetime.fromtimestamp(NOW + 20, UTC).isoformat()}


def shown(updated=AFTER, count=2, tags=("t",)):
    target = TargetState("twitter", "acc", "failed", "E", "m", retry_count=count)
    return PostState("p", "failed", updated, BEFORE, targets=(target,), source="single", tags=tags)


@pytest.mark.parametrize(("seconds", "states", "promise", "failed"), [
    (30, [shown()], PROMISE, True), (29.9, [shown()], PROMISE, False), (49.9, [shown()], DUE, False), (50, [shown()], DUE, True),
    # somebody has edited it since; or counts rise here when a try is queued: an old stamp bears the promised one
    (30, [shown(tags=("other",))], PROMISE, False), (30, [shown(BEFORE), shown()], PROMISE, False),
    (30, [shown(count=1, updated=BEFORE), shown()], PROMISE, True),
])  # fmt: skip
def test_rule_13_a_count_tells_of_the_end_of_a_try_where_nobody_edited_the_post(
    ledger, seconds, states, promise, failed
):
    (one,) = add(ledger, item("retry", POST, "/v1/posts/p/retry", platform="twitter", account_id="acc"))
    before = shown(BEFORE, count=1)
    call = send(ledger, [one], baseline={**Baseline.of(before).stored(), "settable": settable(before)})
    reply = json.dumps({"retriedPlatforms": [promise]}).encode()
    ledger.calls.end(replace(call, state="accepted", ended=NOW, http_status=202, reply=reply, answered=True))
    call, readings = ledger.calls.get(call.id), Readings()
    now = datetime.fromtimestamp(START, UTC)
    about = SharedState(ledger, readings, lambda: now, credential="c", retention=86_400.0)
    readings.looked(call, Moment(NOW, 0.0))
    for state in states:
        readings.subjects[str(POST)] = state, Moment(NOW + seconds, seconds)
        facts, _ = about.open(call, [one], resends=False)
    found = facts[one.id].became
    assert (found is not None and found.outcome is Outcome.FAILED) == failed
