"""Filters of posts and deliveries; a typo in a platform, account or event is an error, not an empty frame."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.arguments import did_you_mean, list_of_text, near
from voxops.acts import keys
from voxops.api.states import as_mark
from voxops.client import account_names
from voxops.client.names import no_account, read_accounts
from voxops.errors import ConfigError
from voxops.frames.columns import metadata_value, texts_of
from voxops.frames.schemas import status_spelling
from voxops.frames.times import When
from voxops.model import POST_STATUSES

if TYPE_CHECKING:
    from voxops.client import AsyncClient


# Platforms that the API is known to serve (contract: section 2). Others may come: a platform of one of the accounts is accepted.
PLATFORMS = (
    "twitter", "linkedin", "instagram", "facebook", "bluesky", "threads", "pinterest", "reddit", "tiktok", "youtube", "snapchat",
    "telegram", "google_business", "mastodon", "whatsapp",
)  # fmt: skip

# Events that webhooks are known to receive (contract: WH-3). Others may come: an event of a delivery is accepted.
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
            raise ConfigError(f"platform={name!r}: {did_you_mean(name, known)}")


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
    """Refuse an unknown event that is near a known one, and warn of others; called only if nothing was found.

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
    """Refuse account ids that the workspace does not list; called only if nothing was found.

    Raises
    ------
    ConfigError
        With the one that was likely meant, if any.
    """
    if not accounts:
        return
    names = await account_names(client, disconnected=True)
    if unknown := set(accounts).difference(names.values()):
        raise ConfigError(f"account=: {no_account(sorted(unknown), [*names.values(), *names])}")


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
        raise ConfigError(f"account=: {no_account(unknown, names)}")
    return list(dict.fromkeys(account for ids in found.values() for account in ids))


def _is_name(account: str) -> bool:
    """Whether a text is a name and not an id."""
    return ":" in account or account.startswith("@")


Words = str | Iterable[str] | None


def words(name: str, value: Words) -> list[str]:
    """One word or several, in lower case."""
    return [text.lower() for text in list_of_text(name, value)]


def statuses(value: Words) -> list[str]:
    """Post statuses; ``all`` is every one, and a typo is not taken for a status that the API has invented since."""
    found = [status_spelling(word) for word in words("status", value)]
    for status in found:
        if status not in POST_STATUSES | {"all"} and (meant := near(status, sorted(POST_STATUSES))):
            raise ConfigError(f"status={status!r}: did you mean {meant!r}?")
    return [] if "all" in found else found


@dataclass(frozen=True, slots=True)
class Search:
    """Filters that no server is known to have: applied here, to all posts that were read.

    `text` is part of the content, in any case; `campaign`, `owner` and `tag` are whole words, in any case, of which a post must have
    one; `fields` says which field of the metadata holds campaign and owner.
    """

    text: tuple[str, ...]
    campaign: tuple[str, ...]
    owner: tuple[str, ...]
    tag: tuple[str, ...]
    fields: Mapping[str, str]

    @classmethod
    def read(cls, fields: Mapping[str, str], **wanted: Words) -> Search:
        """Read the arguments.

        Raises
        ------
        ConfigError
            If it is no text, or a blank one, which every post would hold.
        """
        found = {name: tuple(list_of_text(name, value)) for name, value in wanted.items()}
        for name, texts in found.items():
            if any(not text.strip() for text in texts):
                raise ConfigError(f"{name}= is blank; leave it out to get all posts")
        return cls(**found, fields=fields)

    def filters(self) -> dict[str, list[str]]:
        """The filters as ``attrs`` hold them."""
        return {name: list(getattr(self, name)) for name in HERE if getattr(self, name)}

    def mask(self, posts: pd.DataFrame) -> pd.Series:
        """Which posts fit."""
        fits = pd.Series(data=True, index=posts.index)
        if self.text:
            parts = [part.casefold() for part in self.text]
            content = [str(value).casefold() if isinstance(value, str) else "" for value in posts["content"]]
            fits &= pd.Series([any(part in one for part in parts) for one in content], index=posts.index, dtype=bool)
        for name in ("campaign", "owner", "tag"):
            if wanted := {word.strip().casefold() for word in getattr(self, name)}:
                has = [bool(wanted & one.keys()) for one in self._words(posts, name)]
                if name == "campaign":  # posts of vx.plan_create hold its name as a mark
                    marks = {keys.campaign_mark(keys.campaign_name(word)) for word in self.campaign}
                    shown = [as_mark(metadata_value(cell, ["voxopsCampaign"])) for cell in posts["metadata"]]
                    has = [fit or mark in marks for fit, mark in zip(has, shown, strict=True)]
                fits &= pd.Series(has, index=posts.index, dtype=bool)
        return fits

    def refuse_typos(self, posts: pd.DataFrame) -> None:
        """Refuse a word that no post has, where one that they have is near: a typo must not look like "none".

        Raises
        ------
        ConfigError
            With what was likely meant.
        """
        for name in ("campaign", "owner", "tag"):
            known: dict[str, str] = {}
            for one in self._words(posts, name) if getattr(self, name) else ():
                known |= one
            for word in getattr(self, name):
                meant = None if word.strip().casefold() in known else near(word, known.values(), 0.7)
                if meant is not None:
                    raise ConfigError(f"{name}={word!r}: no post has it; did you mean {meant!r}?")

    def _words(self, posts: pd.DataFrame, name: str) -> list[dict[str, str]]:
        """The words of each post, by their folded form."""
        if name == "tag":
            found = [texts_of(cell) for cell in posts["tags"]]
            path = self.fields.get("tags", "")
        else:
            found, path = [[] for _ in range(len(posts))], self.fields.get(name, f"metadata.{name}")
        for own, metadata in zip(found, posts["metadata"], strict=True):
            if path:
                own.extend(texts_of(metadata_value(metadata, path.split(".")[1:])))
        return [{word.casefold(): word for word in own} for own in found]


HERE = ("text", "campaign", "owner", "tag")


def filtered_here(filters: Mapping[str, Any]) -> dict[Hashable, Any]:
    """The attribute that names the filters which were applied on this side, after everything was read; ``{}`` where none was."""
    names = [name for name in HERE if filters.get(name)]
    return {"filtered_here": names} if names else {}


def stamp(when: datetime) -> str:
    """A time as the API takes it."""
    return when.isoformat().replace("+00:00", "Z")


def plain_filters(filters: Mapping[str, Any]) -> dict[str, str | int | list[Any]]:
    """Filters as JSON has them: what is neither text, number nor list as its text.

    Filters that are None are left out; an empty selection stays, since it loads nothing. No value is compared: an instant of NumPy is
    equal to nothing else.
    """
    plain: dict[str, str | int | list[Any]] = {}
    for name, value in filters.items():
        if isinstance(value, list | tuple) and not value:
            plain |= {name: []} if isinstance(value, tuple) else {}
        elif value is not None:
            plain[name] = value if isinstance(value, str | int | list) else str(value)
    return plain


def asked_for(
    posts: pd.DataFrame,
    statuses: Sequence[str],
    platforms: Sequence[str],
    accounts: Sequence[str],
    search: Search,
) -> pd.Series:
    """Which posts have one of these statuses, platforms and accounts; an empty list stands for any."""
    fits = search.mask(posts)
    if statuses:
        fits &= posts["status"].isin(statuses)
    if platforms:
        fits &= any_target(posts["targets"], "platform", platforms)
    if accounts:
        fits &= any_target(posts["targets"], "account_id", accounts)
    return fits


def any_target(cells: pd.Series, field: str, wanted: Sequence[str]) -> pd.Series:
    """Which posts have a target with one of these values."""
    names = set(wanted)
    return pd.Series(
        [any(getattr(target, field) in names for target in cell or ()) for cell in cells], index=cells.index, dtype=bool
    )
