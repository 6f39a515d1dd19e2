"""Filters of posts and deliveries; a typo in a platform, account or event is an error, not an empty frame."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.arguments import did_you_mean, list_of_text, near, near_name
from voxops.acts import keys
from voxops.api.states import as_mark
from voxops.errors import ConfigError
from voxops.frames.cells import metadata_value, texts_of
from voxops.frames.schemas import status_spelling
from voxops.frames.times import When
from voxops.loading.names import account_names, no_account
from voxops.model import PLATFORMS, POST_STATUSES

if TYPE_CHECKING:
    from voxops.client import AsyncClient


# Documented events (contract: WH-3). New ones are accepted if a delivery has them.
EVENTS = (
    "post.created", "post.scheduled", "post.published", "post.failed", "post.partial", "post.draft.approved", "account.connected",
    "account.disconnected", "account.error", "media.uploaded",
)  # fmt: skip


async def refuse_platforms(client: AsyncClient, platforms: Sequence[str]) -> None:
    """Refuse a platform that is neither documented nor of an account.

    Raises
    ------
    ConfigError
        With the likely one, else with all.
    """
    strange = [name for name in platforms if name not in PLATFORMS]
    if not strange:
        return
    known = {*PLATFORMS, *(platform for platform, *_ in (await account_names(client)).listed.values())}
    for name in strange:
        if name not in known:
            raise ConfigError(f"platform={name!r}: {did_you_mean(name, known)}")


def warn_of_nothing(statuses: Sequence[str], until: When, end: pd.Timestamp | None, now: datetime) -> None:
    """Warn of unknown statuses, and of scheduled posts until a past time; called only if nothing was found.

    An unknown status may be new. ``until="3D"`` is in the past, and scheduled posts are in the future.
    """
    for status in statuses:
        if status not in POST_STATUSES:
            said = f"no post has status={status!r}, which is unknown; known are {', '.join(sorted(POST_STATUSES))}"
            warnings.warn(said, stacklevel=2)
    if set(statuses) == {"scheduled"} and end is not None and end <= now:
        said = f"no scheduled post: until={until!r} is {end:%Y-%m-%dT%H:%MZ}, in the past, and they are in the future"
        warnings.warn(f"{said}. Put a plus before a future span, such as until='+3D'", stacklevel=2)


def refuse_events(events: Sequence[str]) -> None:
    """Refuse a likely typo of an event, and warn of other unknown ones; called only if nothing was found.

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
            said = f"no delivery has event_type={event!r}, which is unknown; known are {', '.join(EVENTS)}"
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
    names = await account_names(client)
    if unknown := set(accounts).difference(names.values()):
        raise ConfigError(f"account=: {no_account(sorted(unknown), [*names.values(), *names])}")


async def account_ids(client: AsyncClient, accounts: list[str]) -> list[str]:
    """Return account ids for ids and names such as ``twitter:@brand``; a name matches all its accounts, also disconnected ones.

    Raises
    ------
    ConfigError
        If a name matches no account; with the likely one, if any.
    """
    if not any(_is_name(account) for account in accounts):
        return accounts
    names = await account_names(client)
    found = {account: names.bearing(account) if _is_name(account) else [account] for account in accounts}
    unknown = [account for account in accounts if not found[account]]
    if unknown:
        raise ConfigError(f"account=: {no_account(unknown, names)}")
    return list(dict.fromkeys(account for ids in found.values() for account in ids))


def _is_name(account: str) -> bool:
    """Whether a text is a name, not an id."""
    return ":" in account or account.startswith("@")


Words = str | Iterable[str] | None


def words(name: str, value: Words) -> list[str]:
    """Return one word or several in lower case."""
    return [text.lower() for text in list_of_text(name, value)]


def statuses(value: Words) -> list[str]:
    """Return post statuses, all of them for ``all``; a typo does not count as a new status."""
    found = [status_spelling(word) for word in words("status", value)]
    for status in found:
        if status not in POST_STATUSES | {"all"} and (meant := near(status, sorted(POST_STATUSES))):
            raise ConfigError(f"status={status!r}: did you mean {meant!r}?")
    return [] if "all" in found else found


@dataclass(frozen=True, slots=True)
class Search:
    """Filters that the API lacks, applied here to all posts that were read.

    `text` is part of the content, in any case. `campaign`, `owner` and `tag` are whole words, in any case, of which a post must have
    one. `fields` names the metadata fields of campaign and owner.
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
            If it is not a text, or a blank one, which every post contains.
        """
        found = {name: tuple(list_of_text(name, value)) for name, value in wanted.items()}
        for name, texts in found.items():
            if any(not text.strip() for text in texts):
                raise ConfigError(f"{name}= is blank; omit it to get all posts")
        return cls(**found, fields=fields)

    def filters(self) -> dict[str, list[str]]:
        """Return the filters for ``attrs``."""
        return {name: list(getattr(self, name)) for name in HERE}

    def mask(self, posts: pd.DataFrame) -> pd.Series:
        """Return which posts match."""
        fits = pd.Series(data=True, index=posts.index)
        if self.text:
            parts = [part.casefold() for part in self.text]
            content = [str(value).casefold() if isinstance(value, str) else "" for value in posts["content"]]
            fits &= pd.Series([any(part in one for part in parts) for one in content], index=posts.index, dtype=bool)
        for name in ("campaign", "owner", "tag"):
            if wanted := {_folded(name, word) for word in getattr(self, name)}:
                has = [bool(wanted & one.keys()) for one in self._words(posts, name)]
                if name == "campaign":  # posts of vx.plan_create have its name as a mark
                    marks = set(map(keys.campaign_mark, wanted))
                    shown = [as_mark(metadata_value(cell, ["voxopsCampaign"])) for cell in posts["metadata"]]
                    has = [fit or mark in marks for fit, mark in zip(has, shown, strict=True)]
                fits &= pd.Series(has, index=posts.index, dtype=bool)
        return fits

    def refuse_typos(self, posts: pd.DataFrame) -> None:
        """Refuse a likely typo of a word that posts have: it must not look like "none".

        Raises
        ------
        ConfigError
            With the likely word.
        """
        for name in ("campaign", "owner", "tag"):
            known: dict[str, str] = {}
            for one in self._words(posts, name) if getattr(self, name) else ():
                known |= one
            for word in getattr(self, name):
                meant = None if _folded(name, word) in known else near_name(word, known.values(), 0.7)
                if meant is not None:
                    raise ConfigError(f"{name}={word!r}: no post has it; did you mean {meant!r}?")

    def _words(self, posts: pd.DataFrame, name: str) -> list[dict[str, str]]:
        """Return the words of each post, by their folded form."""
        if name == "tag":
            found = [texts_of(cell) for cell in posts["tags"]]
            path = self.fields.get("tags", "")
        else:
            found, path = [[] for _ in range(len(posts))], self.fields.get(name, f"metadata.{name}")
        for own, metadata in zip(found, posts["metadata"], strict=True):
            if path:
                own.extend(texts_of(metadata_value(metadata, path.split(".")[1:])))
        return [{_folded(name, word): word for word in own} for own in found]


def _folded(name: str, word: str) -> str:
    """Return a word in the form in which words of this kind are compared (rule 5)."""
    return keys.campaign_name(word) if name == "campaign" else word.strip().casefold()


HERE = ("text", "campaign", "owner", "tag")


def plain_filters(filters: Mapping[str, Any]) -> dict[str, str | int | list[Any]]:
    """Return filters as JSON: values other than texts, numbers and lists become text.

    Filters that are None are left out; an empty selection stays, since it loads nothing. The check is by identity, since NumPy times
    do not compare.
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
    """Return which posts have one of these statuses, platforms and accounts; an empty list matches any."""
    fits = search.mask(posts)
    if statuses:
        fits &= posts["status"].isin(statuses)
    if platforms:
        fits &= any_target(posts["targets"], "platform", platforms)
    if accounts:
        fits &= any_target(posts["targets"], "account_id", accounts)
    return fits


def any_target(cells: pd.Series, field: str, wanted: Sequence[str]) -> pd.Series:
    """Return which posts have a target with one of these values."""
    names = set(wanted)
    return pd.Series(
        [any(getattr(target, field) in names for target in cell or ()) for cell in cells], index=cells.index, dtype=bool
    )
