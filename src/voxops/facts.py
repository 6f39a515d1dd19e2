"""Reading what a plan is about, just before it is bound (rule 1)."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voxops import keys
from voxops.binding import Facts
from voxops.ledger import Ledger
from voxops.model import Action
from voxops.plan import Plan
from voxops.watch import Reader

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["account_names", "gather"]

LOOKBACK = 30 * 86_400.0  # seconds; how far a ledger looks for creates of a campaign it has not seen (rule 13)
ATTEMPTS = 6  # attempts of a row that are looked for by their marks


async def gather(client: AsyncClient, reader: Reader, ledger: Ledger, plan: Plan) -> Facts:
    """Read the present state of everything that the plan would change."""
    if plan.action is Action.BULK:
        return Facts(now=client.now(), accounts=await _accounts(client, plan), marks=await _known_marks(client, reader, ledger, plan))
    if plan.action is Action.REDELIVER:
        deliveries: dict[str, Any] = {}
        for webhook in sorted({item.account for item in plan.items}):
            deliveries |= await reader.deliveries(webhook, {item.label for item in plan.items if item.account == webhook})
        return Facts(now=client.now(), deliveries=deliveries)
    statuses = Counter(str(item.seen.get("post_status")) for item in plan.items)
    ids = {item.seen["post_id"] for item in plan.items}
    posts = await reader.posts(ids, [status for status, _ in statuses.most_common()])
    return Facts(now=client.now(), posts=posts)


async def _accounts(client: AsyncClient, plan: Plan) -> dict[str, str]:
    """``platform:@name`` -> account id, read only where the plan names accounts so."""
    named = any(":" in name for item in plan.items for name in (item.body or {}).get("accountIds", ()))
    return await account_names(client) if named else {}


async def _known_marks(client: AsyncClient, reader: Reader, ledger: Ledger, plan: Plan) -> dict[str, str]:
    """Creates of this campaign that the server shows already; looked for once per ledger and campaign (rule 13)."""
    if not plan.items or ledger.query("SELECT 1 FROM campaigns WHERE name = ?", (plan.campaign,)):
        return {}
    now = client.now()
    marks = await reader.marks(datetime.fromtimestamp(now.timestamp() - LOOKBACK, now.tzinfo))
    known = {}
    for item in plan.items:
        for attempt in range(1, item.attempt + ATTEMPTS):
            hits = marks.found.get(keys.mark(plan.campaign, item.label, attempt))
            if hits:
                known[item.mark] = hits[0][1]
    return known


async def account_names(client: AsyncClient) -> dict[str, str]:
    """Return ``platform:@username`` and ``platform:username`` -> account id for every account of the workspace."""
    names = {}
    async for page in client.pages("/v1/accounts", {"limit": 100}):
        for record in page.records:
            platform, username = str(record.get("platform", "")).lower(), str(record.get("username", "")).lstrip("@")
            for spelled in (f"{platform}:@{username}", f"{platform}:{username}"):
                names[spelled] = str(record.get("id"))
    return names
