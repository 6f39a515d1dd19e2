"""What was done twice although nobody could prevent it, or not at all, looked for when a run is over (rules 28, 30 and 31).

Where a server remembers no keys, or keeps those of each API key apart, two people may do the same at the same moment: posts are then
created twice, and the retry count of a target or a delivery rises by more than our own tries account for. A copy can be withdrawn; a
second retry can't, but it is said. And a server that remembers keys answers as it did the first time, also where the post that it names
was deleted since.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from voxops.acts.table import act_named
from voxops.api.evidence import Baseline, promised_counts
from voxops.api.reasons import beginning
from voxops.api.states import PostState
from voxops.api.timing import ATTACHED_WITHIN, COLLISIONS_WITHIN, COPIES_WATCHED_FOR, PROOF_AFTER
from voxops.client import Reply
from voxops.engine.learning import learn, note_posts
from voxops.engine.outcome import copies
from voxops.engine.preflight import list_created, look_back
from voxops.engine.reader import Reader
from voxops.errors import DecodeError, VoxopsError
from voxops.ledger import Ledger, Stored, audit
from voxops.ledger.copies import copies_of, followed
from voxops.model import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from voxops.client import AsyncClient

__all__ = ["find_duplicates", "read_copies"]

FEW = 50  # posts, which are read one by one, since lists show no counts; more only where somebody else is seen at work
Commit = Callable[[Callable[[], Any]], Awaitable[Any]]


async def read_copies(client: AsyncClient, reader: Reader, ledger: Ledger, commit: Commit, run: str) -> pd.DataFrame:
    """The copies of what a run has made, as they are now; also of what was taken back and is there again (rule 28)."""
    if act_named(ledger.runs.head(run).action).about == "create":
        made = [each for each in ledger.operations.of_run(run, ("settled",)) if each.body is not None]
        await look_back(reader, ledger, commit, made, client.now())
    listed = await list_created(client, reader, ledger)
    await commit(lambda: learn(ledger, listed))
    return await copies(client, ledger, run)


async def find_duplicates(client: AsyncClient, reader: Reader, ledger: Ledger, commit: Commit, run: str) -> str:
    """Look for 75 seconds, and note in the ledger what was done twice; return a sentence, empty where nothing was.

    An outage ends it: the next attach or reconcile reads on.

    Parameters
    ----------
    client, reader, ledger, commit
        Those of the engine.
    run : str
        A run whose pass has ended.
    """
    recent = _recent(ledger, run, client.now().timestamp())
    try:
        if recent and act_named(recent[0].action).about == "create":
            return await _copies(client, reader, ledger, commit, run, recent)
        return await _collisions(reader, ledger, commit, run, recent)
    except VoxopsError:
        return ""


def _recent(ledger: Ledger, run: str, now: float) -> list[Stored]:
    """What has ended lately; what failed some time ago is left alone, as a later try is somebody's next attempt."""
    ended = ledger.operations.of_run(run, ("settled", "accepted"), since=now - ATTACHED_WITHIN)
    fresh = {each.id for each in ledger.operations.of_run(run, ("settled", "accepted"), since=now - COLLISIONS_WITHIN)}
    members = ledger.operations.members_of([each.id for each in ended if each.id not in fresh])
    well = {op for op, rows in members.items() if all(row.outcome == Outcome.SUCCEEDED for row in rows)}
    return [each for each in ended if each.id in fresh | well]


async def _copies(
    client: AsyncClient, reader: Reader, ledger: Ledger, commit: Commit, run: str, recent: Sequence[Stored]
) -> str:
    """Read the list until a copy would have shown, and so would what was made."""
    until, since = client.now().timestamp() + COPIES_WATCHED_FOR, ledger.marks.listed
    seen: set[str] = set()
    while client.now().timestamp() < until:
        await client.clock.sleep(COPIES_WATCHED_FOR / 5)
        listed = await list_created(client, reader, ledger)
        await commit(partial(learn, ledger, listed))
        seen |= listed.posts.keys()
        if found := copies_of(ledger, run):
            return f"{len(found)} of these posts exist twice: run.copies() lists what to withdraw"
    members = ledger.operations.members_of([each.id for each in recent if each.tries])
    ours = {row.result_id for rows in members.values() for row in rows if row.outcome is Outcome.SUCCEEDED}
    named = ledger.marks.of_posts(post_id for post_id in ours if post_id is not None and post_id not in seen)
    absent = [post_id for post_id, one in named.items() if since is None or one.created >= since]
    return await _deleted(client, reader, ledger, commit, absent) if absent else ""


async def _deleted(client: AsyncClient, reader: Reader, ledger: Ledger, commit: Commit, absent: Sequence[str]) -> str:
    """Read the posts that answers have named and that no list shows, once their absence is proof; note which don't exist (rule 30)."""
    await client.clock.sleep(PROOF_AFTER)
    gone = 0
    for number, post_id in enumerate(absent, 1):
        state = await reader.post(post_id)
        await commit(partial(note_posts, ledger, {post_id: state}, client.now()))
        gone += state is None
        if number >= FEW and not gone:
            break
    said = "an answer of an earlier time was repeated, and they were deleted since; a next attempt makes them again"
    return f"{gone} of these posts do not exist: {said}" if gone else ""


async def _collisions(reader: Reader, ledger: Ledger, commit: Commit, run: str, recent: Sequence[Stored]) -> str:
    """Read what was retried, and note what somebody else retried as well; of what we have tried again since, counts tell nothing."""
    later = followed(ledger, [each.id for each in recent])
    recent = [each for each in recent if each.id not in later]
    posts = [operation for operation in recent if act_named(operation.action).about == "post"]
    others = audit.is_blocked_for(ledger, run, beginning("changed_since_loaded"))  # the ledger keeps sentences
    hit = [
        each.id
        for each in (posts if others else posts[:FEW])
        if _post_collided(each, ledger, await reader.post(each.subject.id), others=others)
    ]
    hit += await _deliveries_collided([each for each in recent if act_named(each.action).about == "delivery"], reader)
    if not hit:
        return ""
    await commit(lambda: ledger.outcomes.note_collisions(hit))
    return f"{len(hit)} of these may have gone out twice: somebody else did the same; see notice in run.results()"


def _post_collided(operation: Stored, ledger: Ledger, state: PostState | None, *, others: bool) -> bool:
    """Whether a target was queued again more often than our own tries account for, as far as counts show.

    Where nobody answered us there is no count to compare with: that somebody else was at work then has to do.
    """
    if state is None:
        return False
    baseline = Baseline.read(operation.baseline)
    before = {} if baseline is None else {place: target.retry_count for place, target in baseline.targets.items()}
    mine = {place: count + 1 for place, count in before.items() if count is not None}
    mine |= promised_counts(_reply(operation, ledger))
    if not mine:
        return others and not operation.answered
    return any(
        target.retry_count is not None and target.place in mine and target.retry_count > mine[target.place]
        for target in state.targets
    )


def _reply(operation: Stored, ledger: Ledger) -> Any:
    """What the API answered to the last try; None where that says nothing."""
    body = ledger.operations.reply(operation.id)
    try:
        return None if body is None else Reply(operation.path, operation.http_status or 0, {}, body).data
    except DecodeError:
        return None


async def _deliveries_collided(operations: Sequence[Stored], reader: Reader) -> list[int]:
    """Redeliveries after which the count has risen by more than our own tries account for."""
    hit = []
    for webhook in sorted({operation.subject.parent for operation in operations}):
        group = [operation for operation in operations if operation.subject.parent == webhook]
        states = await reader.deliveries(webhook, {operation.subject.id for operation in group})
        hit += [each.id for each in group if _delivery_collided(each, states.get(each.subject.id))]
    return hit


def _delivery_collided(operation: Stored, state: Mapping[str, Any] | None) -> bool:
    """Whether a delivery was tried again more often than once; how often we asked does not matter, as one of them counts."""
    before, after = (operation.baseline or {}).get("retry_count"), (state or {}).get("retry_count")
    return before is not None and after is not None and after > before + 1
