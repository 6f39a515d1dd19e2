"""What was done twice although nobody could prevent it, or not at all, looked for once a run is over (rules 14 and 19).

Where a server remembers no keys, or keeps those of each API key apart, two people may do the same at the same moment. Then posts are
created twice, or the retry count of a target or a delivery rises by more than our own tries account for. A duplicate can be withdrawn; a
second retry can't, but it is reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from voxops.acts.table import act_named
from voxops.api.evidence import Baseline, promised_counts
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import ATTACHED_WITHIN, COLLISIONS_WITHIN, PROOF_AFTER, RESEND_ANSWERED, RESEND_UNANSWERED
from voxops.engine.reduce import decoded
from voxops.errors import VoxopsError
from voxops.ledger.audit import copies_of
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Call
from voxops.model import Outcome

if TYPE_CHECKING:
    from voxops.engine.engine import Engine

FEW = 50  # posts that are read one by one, since lists show no counts; all only where somebody else is seen at work


async def find_duplicates(engine: Engine, run: str) -> Reason | None:
    """Look for a while after the last send, and note in the ledger what was done twice; None where nothing was.

    An outage ends it: the next attach or reconcile reads on.
    """
    calls = _recent(engine, run)
    creates = [call for call in calls if act_named(call.act).about == "create"]
    try:
        if creates:
            found = await _duplicates(engine, run, creates)
            return found or await _not_found(engine, run)
        return await _collisions(engine, run, calls)
    except VoxopsError:
        return None


def known_duplicates(ledger: Ledger, run: str) -> Reason | None:
    """What the ledger knows to have been done twice; None for nothing. No request is needed."""
    if found := copies_of(ledger, run):
        return Reason("duplicates_found", rows=len(found))
    collided = ledger.calls.collided(run)
    return Reason("collisions_found", rows=collided) if collided else None


def _recent(engine: Engine, run: str) -> list[Call]:
    """The calls of a run that were sent lately; what failed some time ago is left alone, as a later try is somebody's next attempt."""
    ledger, now = engine.ledger, engine.known.now
    requests = ledger.requests.of_run(run)
    well = {one.id for one in requests.values() if one.outcome is Outcome.SUCCEEDED}
    return [
        call
        for call in ledger.calls.of_requests(requests)
        if call.state in {"closed", "accepted"}
        and now - call.last_sent <= ATTACHED_WITHIN
        and (now - call.end <= COLLISIONS_WITHIN or well.issuperset(ledger.requests.formed_for(call.id)))
    ]


async def _duplicates(engine: Engine, run: str, calls: Sequence[Call]) -> Reason | None:
    """Read the list until a duplicate would have shown: for 75 s after an answered last send, 135 s after an unanswered one."""
    until = max(call.end + (RESEND_ANSWERED if call.answered else RESEND_UNANSWERED) for call in calls)
    until = min(until, engine.known.now + RESEND_UNANSWERED)  # they have ended, whatever time the server named then
    while True:
        await engine.eyes.listing()
        if found := copies_of(engine.ledger, run):
            return Reason("duplicates_found", rows=len(found))
        left = until - engine.known.now
        if left <= 0:
            return None
        await engine.client.clock.sleep(min(max(left, 0.05), RESEND_ANSWERED / 5))


async def _not_found(engine: Engine, run: str) -> Reason | None:
    """Walk through the list once more when absence is proof, for posts that answers alone have named; what does not exist is blocked."""
    requests = engine.ledger.requests
    named = [
        one
        for one in requests.of_run(run).values()
        if one.outcome is Outcome.SUCCEEDED and not one.confirmed and act_named(one.item.act).about == "create"
    ]
    if not named:
        return None
    last = max(one.settled_at or 0.0 for one in named)
    await engine.client.clock.sleep(max(last + PROOF_AFTER + 1 - engine.known.now, 0.05))
    await engine.eyes.listing(since=last)
    reasons = [one.reason for one in requests.get(one.id for one in named).values()]
    gone = sum(reason is not None and reason.code == "not_found" for reason in reasons)
    return Reason("posts_not_found", rows=gone) if gone else None


async def _collisions(engine: Engine, run: str, calls: Sequence[Call]) -> Reason | None:
    """Read what was retried, and note what somebody else retried as well; of what we have tried again since, counts tell nothing."""
    ledger, reader = engine.ledger, engine.eyes.reader
    later = ledger.calls.has_followed([call.id for call in calls])
    calls = [call for call in calls if call.id not in later]
    posts = [call for call in calls if act_named(call.act).about == "post"]
    counts = {call.id: _own_counts(call) for call in posts}

    async def collided(some: Sequence[Call]) -> list[int]:
        return [call.id for call in some if _is_more(counts[call.id], await reader.post(call.subject.id))]

    told = [call for call in posts if counts[call.id]]
    step = math.ceil(len(told) / FEW) or 1
    hit = await collided(told[::step])
    if hit or _others_changed(ledger, run):
        hit += await collided([call for at, call in enumerate(told) if at % step])
        # Where nobody answered us there is no count to compare with: that somebody else was at work then has to do.
        hit += [call.id for call in posts if not (call.answered or counts[call.id])]
    deliveries = [call for call in calls if act_named(call.act).about == "delivery"]
    for webhook in sorted({call.subject.parent for call in deliveries}):
        group = [call for call in deliveries if call.subject.parent == webhook]
        states = await reader.deliveries(webhook, {call.subject.id for call in group})
        hit += [call.id for call in group if _delivery_collided(call, states.get(call.subject.id))]
    if not hit:
        return None
    await engine.commit(partial(ledger.calls.note_collided, hit))
    return Reason("collisions_found", rows=len(hit))


def _others_changed(ledger: Ledger, run: str) -> bool:
    """Whether a row of a run is blocked since somebody else has changed its post."""
    rows = ledger.runs.rows(run)
    requests = ledger.requests.get(row.request for row in rows if row.request is not None)
    reasons = [row.reason for row in rows] + [one.reason for one in requests.values()]
    return any(reason is not None and reason.code == "changed_since_loaded" for reason in reasons)


def _own_counts(call: Call) -> dict[tuple[str, str], int]:
    """The retry counts that our own tries make, by target, as far as they are known."""
    baseline = Baseline.read(call.baseline)
    before = {} if baseline is None else {place: target.retry_count for place, target in baseline.targets.items()}
    return {place: count + 1 for place, count in before.items() if count is not None} | promised_counts(
        decoded(call.reply)
    )


def _is_more(own: Mapping[tuple[str, str], int], state: PostState | None) -> bool:
    """Whether a target was queued again more often than our own tries account for."""
    return state is not None and any(
        target.retry_count is not None and target.retry_count > own.get(target.place, target.retry_count)
        for target in state.targets
    )


def _delivery_collided(call: Call, state: Mapping[str, Any] | None) -> bool:
    """Whether a delivery was tried again more often than once; how often we asked does not matter, as one of them counts."""
    before, after = (call.baseline or {}).get("retry_count"), (state or {}).get("retry_count")
    return before is not None and after is not None and after > before + 1
