"""Reading what a plan is about, just before it is bound (rule 1), and again where it is sent long after that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from voxops.acts.create import CreateAct, resolved
from voxops.acts.made import NEVER_OUT, Made, asked_hash, is_live, shown_of_body, shown_of_state
from voxops.acts.operation import Member, Subject, blocked, settled
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.states import PostState
from voxops.api.timing import CREATES_FRESH_FOR, FRESH_FOR, LOOKBACK, LOOKBACK_WAITING, PROOF_AFTER, SKEW
from voxops.client import account_names
from voxops.engine.batches import leave_batch
from voxops.engine.created import Listed
from voxops.engine.decisions import why_not_now
from voxops.engine.facts import Facts
from voxops.engine.learning import came_back, learn, note_posts
from voxops.engine.mended import verdict_of
from voxops.engine.presence import Verdict
from voxops.engine.reader import Reader
from voxops.ledger import Ledger, Stored
from voxops.model import WAITING_STATUSES, Outcome

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = [
    "is_overtaken",
    "is_stale",
    "list_created",
    "look_back",
    "read_again",
    "read_facts",
    "read_list",
    "renew",
    "renew_creates",
]

LIKELY = ("failed", "partial", "scheduled", "draft")  # statuses of posts that are about to be acted on
SINCE = ("publishing", "pending", "published", "cancelled", "failed", "partial")  # and of posts that waited to go out


async def read_facts(client: AsyncClient, reader: Reader, ledger: Ledger, plan: Plan) -> Facts:
    """Read the present state of everything that the plan would change."""
    began = ledger.now()
    if plan.act.about == "create":
        accounts = await _accounts(client, plan)
        listed = await list_created(client, reader, ledger, waiting=True) if plan.items else None
        if listed is not None:
            await _look_again(reader, ledger, plan, accounts, listed)
        return Facts(now=client.now(), accounts=accounts, listed=listed)
    if plan.act.about == "delivery":
        deliveries = await _deliveries(reader, [item.subject for item in plan.items])
        return Facts(now=client.now(), deliveries=deliveries, read=began)
    statuses = Counter(str(item.seen.get("post_status")) for item in plan.items)
    ids = {item.subject.id for item in plan.items}
    posts = await reader.posts(ids, [status for status, _ in statuses.most_common()])
    return Facts(now=client.now(), posts=posts, read=began)


async def _look_again(reader: Reader, ledger: Ledger, plan: Plan, accounts: Mapping[str, str], listed: Listed) -> None:
    """Read the posts whose status decides about a row, where they are only remembered: it may be another by now.

    They are those that a row looks like and that were made by hand or taken back (rule 26), those of a row that were taken back or
    wait no longer among those that do (rule 30), and all of a row that asks for a next attempt.
    """
    anew = [item for item in plan.items if item.attempt > 1]
    wanted = ledger.marks.of_rows({item.row_mark for item in anew}, {mark for item in anew for mark in item.marks})
    lasting = datetime.fromtimestamp(ledger.now() - PROOF_AFTER, UTC).isoformat()  # since then lists may lag
    wanted += [
        one
        for one in ledger.marks.of_rows([item.row_mark for item in plan.items], [item.mark for item in plan.items])
        if one.status in WAITING_STATUSES and one.post_id not in listed.posts and one.created < lasting
    ]
    asked = [resolved(item, accounts) for item in plan.items if not item.seen.get("twin")]
    shown = {shown_of_body(body) for body in asked}
    if in_doubt := ledger.marks.in_doubt(NEVER_OUT):
        marks = {mark for item in plan.items for mark in (item.row_mark, *item.marks)}
        wanted += [
            one for one in in_doubt if one.shown in shown or (one.taken_back and {one.row_mark, one.op_mark} & marks)
        ]
    alone = {} if ledger.marks.show or listed.marked else await _read_marks(reader, ledger, listed, shown)
    found = await read_again(reader, [one for one in wanted if one.status != "deleted"], listed.posts | alone)
    listed.note(alone | found)


async def _read_marks(reader: Reader, ledger: Ledger, listed: Listed, shown: Collection[str]) -> dict[str, PostState]:
    """Read each post by itself that a row looks like and that bears no mark in a list: lists may leave out what it bears."""
    alike = {
        post_id: state
        for post_id, state in listed.posts.items()
        if state.mark is None and not state.has_metadata and shown_of_state(state) in shown
    }
    known = ledger.marks.of_posts(alike)
    strange = sorted(post_id for post_id in alike if post_id not in known or not known[post_id].is_ours)
    return {post_id: state for post_id in strange if (state := await reader.unmarked(alike[post_id])) is not None}


async def read_again(
    reader: Reader, known: Iterable[Made], listed: Mapping[str, PostState]
) -> dict[str, PostState | None]:
    """Read posts that are remembered, None for one that does not exist; those that came back each by itself (rule 30).

    `listed` are posts that a list has shown just now.
    """
    before = {one.post_id: one for one in known}
    statuses = Counter(one.status for one in before.values())
    found = {post_id: state for post_id, state in listed.items() if post_id in before}
    # What has left the lists of what waits has gone out, or was withdrawn.
    likely = dict.fromkeys(
        [*(status for status, _ in statuses.most_common() if status not in WAITING_STATUSES), *SINCE]
    )
    found |= await reader.posts(before.keys() - found.keys(), list(likely))
    read: dict[str, PostState | None] = {post_id: found.get(post_id) for post_id in before}
    for post_id, state in found.items():
        if state.source == "list" and came_back(before[post_id], state):
            read[post_id] = await reader.post(post_id)
    return read


async def _accounts(client: AsyncClient, plan: Plan) -> Mapping[str, str]:
    """``platform:@name`` -> account id, read only where the plan names accounts so."""
    named = any(item.named_accounts for item in plan.items)
    return await account_names(client) if named else {}


async def list_created(
    client: AsyncClient, reader: Reader, ledger: Ledger, *, on_top: bool = False, waiting: bool = False
) -> Listed:
    """Read what was created since the lists were read last, overlapping; on the first sight of a workspace a month, and what waits.

    The instant is the latest ``created_at`` that was seen, never a clock's future (rule 13). A workspace that was empty at first
    sight has none: what it holds by now is newer than what that search passed. `on_top` reads only what is new since a reading of
    a short time ago; `waiting` also what waits to go out, however old: it may have been moved, mended or withdrawn since.
    """
    marks, now = ledger.marks, client.now().timestamp()
    old = datetime.fromtimestamp(now - LOOKBACK_WAITING, UTC)
    waiting_since = old if waiting else None
    if marks.listed is not None:
        since = datetime.fromisoformat(marks.listed) - timedelta(seconds=SKEW)
        return await reader.created(since, waiting_since=waiting_since, on_top=on_top)
    first = marks.looked_through
    if first is not None and first <= now:
        since = datetime.fromtimestamp(first - LOOKBACK, UTC)
        return await reader.created(since, waiting_since=waiting_since, on_top=on_top)
    listed = await reader.created(datetime.fromtimestamp(now - LOOKBACK, UTC), waiting_since=old)
    listed.looked_through = now
    return listed


def is_stale(operation: Stored, now: float) -> bool:
    """Whether what was read of an operation's subject is too old to send it upon, or of the future, after the clock was set back."""
    creates = act_named(operation.action).about == "create"
    return not 0 <= now - operation.read <= (CREATES_FRESH_FOR if creates else FRESH_FOR)


async def renew(
    client: AsyncClient,
    reader: Reader,
    ledger: Ledger,
    commit: Callable[[Callable[[], Any]], Awaitable[Any]],
    planned: Sequence[Stored],
) -> dict[int, str]:
    """Read again what planned operations are about; return which must not be sent any more, and why.

    The others have a new baseline; creates that somebody else has meanwhile made are settled.
    """
    now, began = client.now(), ledger.now()
    batches = [operation for operation in planned if act_named(operation.action).about == "create"]
    others = [operation for operation in planned if act_named(operation.action).about != "create"]
    if batches:
        await look_back(reader, ledger, commit, batches, now)
        read = await read_list(client, reader, ledger, commit)
        await commit(lambda: renew_creates(ledger, batches, read, now))
    if not others:
        return {}
    subjects = [operation.subject for operation in others]
    posts = await reader.posts({subject.id for subject in subjects if subject.kind == "post"}, LIKELY)
    facts = Facts(now, posts, await _deliveries(reader, subjects), read=began)
    held: dict[int, str] = await commit(lambda: _renew_acts(ledger, others, facts))
    return held


async def read_list(
    client: AsyncClient,
    reader: Reader,
    ledger: Ledger,
    commit: Callable[[Callable[[], Any]], Awaitable[Any]],
) -> float:
    """Learn what has been created by now; return when that was read, in ledger time."""
    began = ledger.now()
    listed = await list_created(client, reader, ledger, on_top=True, waiting=not reader.knows_what_waits)
    known = ledger.marks.of_posts(listed.posts)
    back = [post_id for post_id, one in known.items() if came_back(one, listed.posts[post_id])]
    listed.note({post_id: await reader.post(post_id) for post_id in back})  # a list that lags is not believed
    await commit(lambda: learn(ledger, listed))
    reader.learnt(listed)
    return began if listed.read is None else listed.read


async def look_back(
    reader: Reader,
    ledger: Ledger,
    commit: Callable[[Callable[[], Any]], Awaitable[Any]],
    batches: Iterable[Stored],
    now: datetime,
) -> None:
    """Read posts again that were taken back, or are no live ones, and of which rows are that these creates would make once more.

    They may be live by now, approved or put back; and of what was taken back no list is believed that it is there again (rule 30).
    """
    doubtful: dict[str, Made] = {}
    for batch in batches:
        act = act_named(batch.action)
        assert isinstance(act, CreateAct)
        bodies, members = act.bodies(batch.body), ledger.operations.members(batch.id)
        marks = {mark for member in members for mark in member.item.marks}
        known = ledger.marks.of_rows({member.item.row_mark for member in members}, marks)
        for member in members:
            body = bodies[member.position]
            known += [one for one in ledger.marks.alike(asked_hash(body), shown_of_body(body)) if not one.is_ours]
        doubtful |= {one.post_id: one for one in known if not is_live(one.status) and one.status != "deleted"}
    if doubtful:
        found = await read_again(reader, doubtful.values(), {})
        await commit(lambda: note_posts(ledger, found, now))


async def _deliveries(reader: Reader, subjects: Iterable[Subject]) -> dict[str, Any]:
    """Present states of deliveries."""
    by_webhook: dict[str, set[str]] = {}
    for subject in subjects:
        if subject.kind == "delivery":
            by_webhook.setdefault(subject.parent, set()).add(subject.id)
    states: dict[str, Any] = {}
    for webhook, names in sorted(by_webhook.items()):
        states |= await reader.deliveries(webhook, names)
    return states


def renew_creates(ledger: Ledger, batches: Iterable[Stored], read: float, now: datetime) -> None:
    """Settle rows that exist by now, block those that must not be made, and give the rest of their batch one of its own.

    What exists is what the ledger has learnt; `read` is when it was read, from which on the others are cleared.
    """
    for batch in batches:
        # Another sender may have it by now: what was sent is not formed anew, since it may take effect (rule 8).
        if batch.state != "planned" or not ledger.operations.is_unchanged(batch):
            continue
        act, members = act_named(batch.action), ledger.operations.members(batch.id)
        assert isinstance(act, CreateAct)
        verdicts = _verdicts(ledger, members, act.bodies(batch.body))
        done = [
            settled(member, Outcome.SUCCEEDED, result_id=verdict.made)
            if verdict.made
            else blocked(member, verdict.blocked)
            for member in members
            if (verdict := verdicts.get(member.position, Verdict())) != Verdict()
        ]
        if done:
            away = {member.position for member in done}
            left = [member for member in members if member.position not in away]
            leave_batch(ledger, batch, [left], shrunk=True, read=read)
            ledger.outcomes.settle(batch.id, done, now.timestamp())
        else:
            ledger.forming.renew(batch.id, baseline=None, read=read)


def is_overtaken(ledger: Ledger, batch: Stored) -> bool:
    """Whether the ledger has learnt by now, whoever has read it, of a post that stands for a row of these creates, or looks like it."""
    act = act_named(batch.action)
    assert isinstance(act, CreateAct)
    verdicts = _verdicts(ledger, ledger.operations.members(batch.id), act.bodies(batch.body))
    return any(verdict != Verdict() for verdict in verdicts.values())


def _verdicts(ledger: Ledger, members: Sequence[Member], bodies: Sequence[Mapping[str, Any]]) -> dict[int, Verdict]:
    """Position -> what the posts that are there allow for a row of a batch; none for what was put there by hand, which is never sent."""
    return {
        member.position: verdict_of(ledger, member.item, bodies[member.position])
        for member in members
        if member.position < len(bodies)
    }


def _renew_acts(ledger: Ledger, operations: Sequence[Stored], facts: Facts) -> dict[int, str]:
    """Give acts whose subject is as it was a new baseline; say why the others are held."""
    held = {}
    members = ledger.operations.members_of(operation.id for operation in operations)
    for operation in operations:
        items = [member.item for member in members[operation.id]]
        why = why_not_now(act_named(operation.action), operation.body, items, facts.of(operation.subject))
        if why:
            held[operation.id] = str(why)
        else:
            ledger.forming.renew(operation.id, baseline=facts.baseline(operation.subject), read=facts.read)
    return held
