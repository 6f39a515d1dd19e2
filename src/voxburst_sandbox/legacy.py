"""Fields of earlier versions of the API that clients still send: read under the switch `legacy`, else refused by name.

Ignoring one in silence would be the worst: a post without its time goes out at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxburst_sandbox.world import World

__all__ = ["RENAMED", "old_field", "translated"]

# Old name -> present one.
RENAMED = {
    "platforms": "accountIds",
    "scheduledAt": "scheduledFor",
    "draft": "saveAsDraft",
    "mediaIds": "media",
    "overrides": "platformOverrides",
}


def old_field(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the first old name in a body of a post, with the present one; None if there is none."""
    return next(((old, new) for old, new in RENAMED.items() if old in body), None)


def translated(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body of a post in present names, where the switch asks for it; a present name wins over an old one.

    ``platforms`` become the first active account of each; a platform without one stays as it is, and so is refused as an
    unknown account.
    """
    if not world.switches.legacy:
        return dict(body)
    fields = {name: value for name, value in body.items() if name not in RENAMED}
    for old, new in RENAMED.items():
        if old in body and new not in fields:
            fields[new] = _accounts(world, body[old]) if old == "platforms" else body[old]
    return fields


def _accounts(world: World, platforms: Any) -> Any:
    """Return the account of each platform."""
    if not isinstance(platforms, list):
        return platforms
    active = [account for account in world.accounts.values() if account.status == "active"]
    first = {account.platform: account.id for account in reversed(active)}
    return [first.get(str(name).lower(), str(name)) for name in platforms]
