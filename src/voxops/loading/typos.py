"""Slips of the pen in platforms, accounts and events: named as what they are, so that none gives an empty frame in silence."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from voxops._core.arguments import near
from voxops.client.names import account_names, read_accounts
from voxops.errors import ConfigError
from voxops.frames.spans import When
from voxops.model import POST_STATUSES

if TYPE_CHECKING:
    import pandas as pd

    from voxops.client import AsyncClient

__all__ = ["account_ids", "refuse_accounts", "refuse_events", "refuse_platforms", "warn_of_nothing"]

# Platforms that the API is known to serve (contract: section 2). Others may come: one that an account of the workspace is on is taken.
PLATFORMS = (
    "twitter", "linkedin", "instagram", "facebook", "bluesky", "threads", "pinterest", "reddit", "tiktok", "youtube", "snapchat",
    "telegram", "google_business", "mastodon", "whatsapp",
)  # fmt: skip

# Events that webhooks are known to receive (contract: WH-3). Others may come: one that a delivery has is taken.
EVENTS = (
    "post.created", "post.scheduled", "post.published", "post.failed", "post.partial", "post.draft.approved", "account.connected",
    "account.disconnected", "account.error", "media.uploaded",
)  # fmt: skip


async def refuse_platforms(client: AsyncClient, platforms: Sequence[str]) -> None:
    """Refuse a platform that is neither known nor that of an account.

    Raises
    ------
    ConfigError
        With the one that was likely meant, else with all.
    """
    strange = [name for name in platforms if name not in PLATFORMS]
    if not strange:
        return
    known = {*PLATFORMS, *(platform for platform, *_ in await read_accounts(client, disconnected=True))}
    for name in strange:
        if name not in known:
            meant = near(name, sorted(known), 0.7)
            hint = f"did you mean {meant!r}?" if meant else f"one of {', '.join(sorted(known))}"
            raise ConfigError(f"platform={name!r}: {hint}")


def warn_of_nothing(statuses: Sequence[str], until: When, end: pd.Timestamp | None, now: datetime) -> None:
    """Warn, where nothing was found, of statuses that are not known, and of scheduled posts until a time that has passed.

    A status may be new, or none at all. ``until="3D"`` looks back to `end`, and scheduled posts lie ahead.
    """
    for status in statuses:
        if status not in POST_STATUSES:
            said = f"no post has status={status!r}, which is none of the known ones: {', '.join(sorted(POST_STATUSES))}"
            warnings.warn(said, stacklevel=2)
    if set(statuses) == {"scheduled"} and end is not None and end <= now:
        said = f"no scheduled post: until={until!r} is {end:%Y-%m-%dT%H:%MZ}, which has passed, and they lie ahead"
        warnings.warn(f"{said}. Put a plus before a span to look ahead, such as until='+3D'", stacklevel=2)


def refuse_events(events: Sequence[str]) -> None:
    """Refuse an event that is not known where one that is known is near, and warn of others; asked only where nothing was found.

    Raises
    ------
    ConfigError
        With the one that was likely meant.
    """
    for event in events:
        if event not in EVENTS:
            meant = near(event, EVENTS, 0.7)
            if meant:
                raise ConfigError(f"event_type={event!r}: no delivery has it; did you mean {meant!r}?")
            said = f"no delivery has event_type={event!r}, which is none of the known ones: {', '.join(EVENTS)}"
            warnings.warn(said, stacklevel=2)


async def refuse_accounts(client: AsyncClient, accounts: Sequence[str]) -> None:
    """Refuse account ids that the workspace does not list; asked only where nothing was found.

    Raises
    ------
    ConfigError
        With the one that was likely meant, if any.
    """
    if not accounts:
        return
    listed = await read_accounts(client, disconnected=True)
    known = {account for _, _, account, _ in listed}
    names = {name: f"{platform}:@{name}" for platform, name, *_ in listed}
    for account in accounts:
        if account not in known:
            meant = near(account, known) or names.get(near(account, names, 0.7) or "")
            hint = f"did you mean {meant!r}?" if meant else "ws.accounts() lists them"
            raise ConfigError(f"account={account!r}: no such account in this workspace; {hint}")


async def account_ids(client: AsyncClient, accounts: list[str]) -> list[str]:
    """Account ids for ids and names such as ``twitter:@brand``; a name stands for every account that bears it, also a disconnected one.

    Raises
    ------
    ConfigError
        If a name stands for no account; with the one that was likely meant, if any.
    """
    if not any(_is_name(account) for account in accounts):
        return accounts
    names = await account_names(client, disconnected=True)
    found = {account: names.bearing(account) if _is_name(account) else [account] for account in accounts}
    unknown = [account for account in accounts if not found[account]]
    if unknown:
        meant = near(unknown[0], names, 0.7)
        hint = f"did you mean {meant!r}?" if meant else "write platform:@name, or an id of ws.accounts()"
        raise ConfigError(f"no account {', '.join(unknown)} in this workspace; {hint}")
    return list(dict.fromkeys(account for ids in found.values() for account in ids))


def _is_name(account: str) -> bool:
    """Whether somebody has written a name, and not an id."""
    return ":" in account or account.startswith("@")
