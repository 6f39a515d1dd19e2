"""Reading what a plan is about, just before it is bound (rule 1), and again where it is sent long after that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from voxops.acts.plan import Plan
from voxops.api.limits import PAGE_RECORDS
from voxops.engine.binding import Facts, reform, why_not_now
from voxops.engine.reader import Marks, Reader
from voxops.engine.settle import baseline_of, settled
from voxops.ledger.ledger import Ledger, Stored
from voxops.model import Action, Outcome

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["AccountNames", "account_names", "gather", "renew"]

LOOKBACK = 30 * 86_400.0  # seconds; how far a new ledger looks back for creates that no longer wait to go out (rule 13)
SKEW = 300.0  # seconds that two clocks of the server may differ (rule 14)
LIKELY = ("failed", "partial", "scheduled", "draft")  # statuses of posts that are about to be acted on


async def gather(client: AsyncClient, reader: Reader, ledger: Ledger, plan: Plan) -> Facts:
    """Read the present state of everything that the plan would change."""
    if plan.action is Action.BULK:
        return Facts(
            now=client.now(), accounts=await _accounts(client, plan), marks=await _marks(client, reader, ledger, plan)
        )
    if plan.action is Action.REDELIVER:
        deliveries: dict[str, Any] = {}
        for webhook in sorted({item.account for item in plan.items}):
            deliveries |= await reader.deliveries(
                webhook, {item.label for item in plan.items if item.account == webhook}
            )
        return Facts(now=client.now(), deliveries=deliveries)
    statuses = Counter(str(item.seen.get("post_status")) for item in plan.items)
    ids = {item.seen["post_id"] for item in plan.items}
    posts = await reader.posts(ids, [status for status, _ in statuses.most_common()])
    return Facts(now=client.now(), posts=posts)


async def _accounts(client: AsyncClient, plan: Plan) -> Mapping[str, str]:
    """``platform:@name`` -> account id, read only where the plan names accounts so."""
    named = any(":" in name for item in plan.items for name in (item.body or {}).get("accountIds", ()))
    return await account_names(client) if named else {}


async def _marks(client: AsyncClient, reader: Reader, ledger: Ledger, plan: Plan) -> Marks | None:
    """Creates that the server shows, wherever they came from; None where every row is known to the ledger (rule 13)."""
    if all(ledger.latest(item.identity) is not None for item in plan.items):
        return None
    return await _lately(client, reader, ledger)


async def _lately(client: AsyncClient, reader: Reader, ledger: Ledger) -> Marks:
    """Creates that the server shows since it was asked last."""
    searched = ledger.meta("searched")
    if searched is not None:
        return await reader.marks(datetime.fromtimestamp(float(searched) - SKEW, UTC))
    # What was created long ago and has not gone out waits in one of these; a row that has gone out is held for its time (rule 6).
    since = client.now().timestamp() - LOOKBACK
    return await reader.marks(datetime.fromtimestamp(since - SKEW, UTC), also=("scheduled", "draft"))


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
    now = client.now()
    batches = [operation for operation in planned if operation.action is Action.BULK]
    others = [operation for operation in planned if operation.action is not Action.BULK]
    if batches:
        marks = await _lately(client, reader, ledger)
        await commit(lambda: _renew_creates(ledger, batches, marks, now))
    if not others:
        return {}
    facts = Facts(now, await _posts(reader, others), await _deliveries(reader, others))
    held: dict[int, str] = await commit(lambda: _renew_acts(ledger, others, facts))
    return held


async def _posts(reader: Reader, operations: Sequence[Stored]) -> dict[str, Any]:
    """Present states of the posts that operations are about."""
    return await reader.posts(
        {name for what, _, name in (op.subject.partition(":") for op in operations) if what == "post"}, LIKELY
    )


async def _deliveries(reader: Reader, operations: Sequence[Stored]) -> dict[str, Any]:
    """Present states of the deliveries that operations are about."""
    by_webhook: dict[str, set[str]] = {}
    for operation in operations:
        what, _, name = operation.subject.partition(":")
        if what == "delivery":
            by_webhook.setdefault(operation.path.split("/")[3], set()).add(name)
    states: dict[str, Any] = {}
    for webhook, names in by_webhook.items():
        states |= await reader.deliveries(webhook, names)
    return states


def _renew_creates(ledger: Ledger, batches: Sequence[Stored], marks: Marks, now: datetime) -> None:
    """Settle rows that exist by now, and give the rest of their batch one of its own."""
    ledger.learn_marks(marks.found, now.timestamp())
    for batch in batches:
        if not ledger.unchanged(batch):
            continue
        members = ledger.members(batch.id)
        there = {member.position: post for member in members if (post := ledger.created(member.item.marks))}
        if there:
            reform(ledger, batch, [[member for member in members if member.position not in there]])
            done = [settled(m, Outcome.SUCCEEDED, result_id=there[m.position]) for m in members if m.position in there]
            ledger.settle(batch.id, done, now.timestamp())
        else:
            ledger.renew(batch.id, baseline=None)


def _renew_acts(ledger: Ledger, operations: Sequence[Stored], facts: Facts) -> dict[int, str]:
    """Give acts whose subject is as it was a new baseline; say why the others are held."""
    held = {}
    for operation in operations:
        items = [member.item for member in ledger.members(operation.id)]
        why = why_not_now(operation.action, operation.body, items, facts)
        if why:
            held[operation.id] = why
            continue
        what, _, name = operation.subject.partition(":")
        ledger.renew(
            operation.id, baseline=baseline_of(facts.posts[name]) if what == "post" else facts.deliveries[name]
        )
    return held


class AccountNames(Mapping[str, str]):
    """``platform:@username`` -> account id, in any case and with or without the ``@``.

    A name that several accounts of a platform share stands for none of them; each also goes by ``platform:id``.

    Parameters
    ----------
    accounts : iterable of (str, str, str)
        Platform, username and id of each account.
    """

    def __init__(self, accounts: Iterable[tuple[str, str, str]]) -> None:
        found: dict[str, set[str]] = {}
        for platform, username, account in accounts:
            for name in (username, account):
                found.setdefault(_folded(f"{platform}:{name}"), set()).add(account)
        self._ids = {name: ids.pop() for name, ids in found.items() if len(ids) == 1}

    def __getitem__(self, name: str) -> str:
        return self._ids[_folded(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def _folded(name: str) -> str:
    """A name in the one spelling that all of its spellings share; an id as it is."""
    platform, colon, username = name.partition(":")
    return f"{platform.strip().lower()}:@{username.strip().lstrip('@').lower()}" if colon else name


async def account_names(client: AsyncClient) -> AccountNames:
    """Read the names of all accounts of the workspace."""
    return AccountNames(
        [
            (str(record.get("platform", "")), str(record.get("username", "")), str(record.get("id")))
            async for page in client.pages("/v1/accounts", {"limit": PAGE_RECORDS})
            for record in page.records
        ]
    )
