"""Whether a stored operation is one that voxops has formed: a ledger may come from somebody else, and is no licence to act.

What is claimed must be a call of its act's row, name its subject, hold the bytes that its rows ask for, and bear the key that these
parts give; anything else was put there by hand and is never sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxops._support.canonical import canonical
from voxops.acts import keys
from voxops.acts.create import CREATE_ONE, CreateAct
from voxops.acts.operation import Member
from voxops.acts.table import ACTS
from voxops.api.matrix import find
from voxops.ledger.records import Stored

__all__ = ["why_tampered"]

# The rows of the matrix that each act may call; acts that are registered elsewhere are held to their rows' paths alone.
_ROWS = {
    "retry": {5, 10}, "fix": {10}, "cancel": {6}, "create": {11}, "create_one": {1}, "redeliver": {39}, "update": {2},
}  # fmt: skip


def why_tampered(stored: Stored, members: Sequence[Member]) -> str:
    """What shows that an operation was changed by hand; ``""`` if nothing does."""
    act, endpoint = ACTS.get(stored.action), find(stored.method, stored.path)
    if act is None or not members:
        return "it is no act of voxops"
    if endpoint is None or endpoint.row not in _ROWS.get(stored.action, {endpoint.row}):
        return f"its call is none of an act to {act.verb}"
    items = [member.item for member in members]
    if isinstance(act, CreateAct):
        bodies = act.bodies(stored.body)
        if len(bodies) != len(items) or any(
            _asked(body) != _asked(item.body) for body, item in zip(bodies, items, strict=True)
        ):
            return "its bytes are not what its rows ask for"
        expected = _create_key(stored, members)
    else:
        if any(item.subject != stored.subject for item in items) or stored.subject.id not in stored.path.split("/"):
            return "its call is not about its subject"
        if stored.body != (None if items[0].body is None else canonical(items[0].body)):
            return "its bytes are not what its rows ask for"
        expected = act.form(items)[0].key
    return "" if stored.key == expected else "its key is not that of its parts"


def _asked(body: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is asked but for names that are resolved when it is bound."""
    return {name: value for name, value in (body or {}).items() if name not in {"metadata", "accountIds"}}


def _create_key(stored: Stored, members: Sequence[Member]) -> str:
    """The key of creates in the order in which they were sent."""
    items = [member.item for member in members]
    if stored.action == CREATE_ONE.name:
        return CREATE_ONE.form(items)[0].key
    body = {"posts": [item.body for item in items], "dryRun": False}
    return keys.stable_key("POST", "/v1/posts/bulk", body, [[item.identity, item.attempt] for item in items])
