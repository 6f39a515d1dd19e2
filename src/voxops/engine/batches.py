"""Batches of creates: account ids put into their bytes, and rows that leave a batch which did nothing for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from voxops._core.canonical import canonical
from voxops.acts.operation import Member, Operation
from voxops.acts.table import act_named
from voxops.ledger import Ledger, Stored

__all__ = ["leave_batch", "resolve"]


def resolve(operation: Operation, accounts: Mapping[str, str]) -> Operation:
    """The operation with account ids for account names in its bytes; its key stays that of what the analyst wrote."""
    posts = []
    for item in operation.items:
        body = dict(item.body or {})
        body["accountIds"] = [accounts.get(name, name) for name in body.get("accountIds", ())]
        posts.append(body)
    return replace(operation, body=canonical({"posts": posts, "dryRun": False}))


def leave_batch(ledger: Ledger, stored: Stored, groups: Sequence[Sequence[Member]]) -> list[int]:
    """Move members of a batch that took no effect into batches of their own, bytes unchanged (rules 11 and 17).

    Returns the new operations. The old one keeps its other members, and is withdrawn if it has none.
    """
    posts = json.loads(stored.body or b"{}").get("posts", [])
    made = []
    with ledger.atomic():
        for group in groups:
            if not group:
                continue
            ledger.forming.detach(stored.id, [member.position for member in group])
            (operation,) = act_named(stored.action).form([member.item for member in group])
            body = canonical({"posts": [posts[member.position] for member in group], "dryRun": False})
            formed = replace(operation, body=body, batch=stored.batch, canary=stored.canary)
            made.append(ledger.forming.add(formed, baseline=None))
    return made
