"""Filters of lists: checked once, sent to the API as far as it has them, and applied to what it returns.

A typo in a platform, account or event is an error, not an empty frame. Owner, campaign and tags are columns that come from metadata.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.arguments import Words, did_you_mean, list_of_text, near, near_name
from voxops.acts import keys
from voxops.api.limits import METADATA_NAME_CHARACTERS
from voxops.api.states import account_spelling, as_mark, platform_spelling
from voxops.errors import ConfigError
from voxops.frames.cells import metadata_value, texts_of
from voxops.frames.schemas import LABEL, LIST, status_spelling
from voxops.frames.times import When
from voxops.loading.accounts import AccountNames, list_accounts
from voxops.model import PLATFORMS, POST_STATUSES

if TYPE_CHECKING:
    from voxops.client import AsyncClient


# Documented events (contract: WH-3). New ones are accepted if a delivery has them.
EVENTS = (
    "post.created", "post.scheduled", "post.published", "post.failed", "post.partial", "post.draft.approved", "account.connected",
    "account.disconnected", "account.error", "media.uploaded",
)  # fmt: skip
HERE = ("text", "campaign", "owner", "tag")  # filters of posts that the API lacks; all but `text` compare whole words
PEOPLE = ("owner", "campaign", "tags")  # columns that may come from metadata
_FIELD = re.compile(r"(?:metadata\.)?([^.\s]+(?:\.[^.\s]+)*)")


def words(name: str, value: Words) -> list[str]:
    """Return one word or several in lower case."""
    return [text.lower() for text in list_of_text(name, value)]


def statuses(value: Words) -> list[str]:
    """Return post statuses, none for ``all``; a typo does not count as a new status."""
    found = [status_spelling(word) for word in words("status", value)]
    for status in found:
        if status not in POST_STATUSES | {"all"} and (meant := near(status, sorted(POST_STATUSES))):
            raise ConfigError(f"status={status!r}: did you mean {meant!r}?")
    return [] if "all" in found else found


def plain_filters(filters: Mapping[str, Any]) -> dict[str, str | int | list[Any]]:
    """Return filters as JSON, without those that are None; an empty selection stays, because it loads nothing."""
    return {
        name: value if isinstance(value, str | int) else list(value) if isinstance(value, Collection) else str(value)
        for name, value in filters.items()
        if value is not None
    }


@dataclass(frozen=True, slots=True)
class PostFilters:
    """The filters that ``ws.posts`` was given.

    Attributes
    ----------
    words : dict
        Name of a filter -> its words. An empty list matches no post; ``status="all"`` is no filter.
    fields : mapping of str to str
        ``owner``, ``campaign`` and ``tags`` -> its field in the posts' metadata.
    """

    words: dict[str, list[str]]
    fields: Mapping[str, str]

    @classmethod
    async def read(cls, client: AsyncClient, fields: Mapping[str, str], **given: Words) -> PostFilters:
        """Read the arguments.

        Raises
        ------
        ConfigError
            If it is not a text, or a blank one, which every post contains. Also for a likely typo of a status, and for an unknown
            platform or name of an account; each with the likely one, if any.
        """
        found = {name: list_of_text(name, value) for name, value in given.items() if value is not None}
        for name in HERE:
            if any(not text.strip() for text in found.get(name, ())):
                raise ConfigError(f"{name}= is blank; omit it to get all posts")
        if found.get("status"):
            wanted = statuses(found.pop("status"))
            found |= {"status": wanted} if wanted else {}
        if "platform" in found:
            found["platform"] = list(map(platform_spelling, found["platform"]))
        strange = [name for name in found.get("platform", ()) if name not in PLATFORMS]
        named = [name for name in found.get("account", ()) if ":" in name or name.startswith("@")]  # others are ids
        if strange or named:
            names = AccountNames(await list_accounts(client))
            known = {*PLATFORMS, *map(names.platform, names.listed)}
            for name in strange:
                if name not in known:
                    raise ConfigError(f"platform={name!r}: {did_you_mean(name, known)}")
            ids = {name: names.bearers.get(account_spelling(name), []) for name in named}
            if unknown := [name for name in named if not ids[name]]:
                raise ConfigError(f"account=: {names.unknown(unknown)}")
            if named:
                found["account"] = list(
                    dict.fromkeys(id_ for name in found["account"] for id_ in ids.get(name, [name]))
                )
        return cls(found, fields)

    def queries(self) -> Iterator[dict[str, Any]]:
        """Yield the parameters of each list to read: the API takes a single platform and account, and several are filtered here."""
        single = {name: self.words.get(name, []) for name in ("platform", "account")}
        for status in self.words.get("status", ["all"]) if all(self.words.values()) else ():
            yield {"status": status} | {name: wanted[0] for name, wanted in single.items() if len(wanted) == 1}

    @property
    def reads_more(self) -> bool:
        """Whether many more posts are read than match."""
        return any(name in HERE or (name != "status" and len(wanted) > 1) for name, wanted in self.words.items())

    def mask(self, posts: pd.DataFrame) -> pd.Series:
        """Return which posts match. Filters that were sent are applied, too, because a server may ignore them."""
        fits = pd.Series(data=True, index=posts.index)
        for name in self.words:
            wanted = {_folded(name, word) for word in self.words[name]}
            if name == "status":
                fits &= posts["status"].isin(wanted)
            elif name == "text":
                texts = posts["content"].fillna("").str.casefold()
                fits &= pd.Series([any(part in text for part in wanted) for text in texts], posts.index, bool)
            else:
                if name == "campaign":  # posts of vx.plan_create have its name as a mark
                    wanted |= set(map(keys.campaign_mark, wanted))
                has = [not wanted.isdisjoint(own) for own in self._words_of(posts, name)]
                fits &= pd.Series(has, posts.index, bool)
        return fits

    def _words_of(self, posts: pd.DataFrame, name: str) -> Iterator[dict[str, str]]:
        """Yield the words of each post for a filter, by their folded form."""
        if name in {"platform", "account"}:
            field = "account_id" if name == "account" else name
            yield from (dict.fromkeys((getattr(target, field) for target in cell), "") for cell in posts["targets"])
            return
        path = self.fields.get("tags", "") if name == "tag" else self.fields.get(name, f"metadata.{name}")
        for tags, metadata in zip(posts["tags"], posts["metadata"], strict=True):
            own = texts_of(tags) if name == "tag" else []
            own += texts_of(metadata_value(metadata, path.split(".")[1:])) if path else []
            mark = as_mark(metadata_value(metadata, ["voxopsCampaign"])) if name == "campaign" else None
            yield {_folded(name, word): word for word in own} | ({mark: ""} if mark else {})

    async def explain_nothing(
        self, client: AsyncClient, posts: pd.DataFrame, until: When, end: datetime | None
    ) -> None:
        """Say why none of these posts matches: a typo must not look like "none".

        Parameters
        ----------
        client : AsyncClient
            The one client, which lists the accounts.
        posts : pandas.DataFrame
            All posts that were read.
        until : str, datetime, timedelta or None
            As it was passed; ``"3D"`` is in the past, and scheduled posts are in the future.
        end : datetime or None
            Its instant.

        Raises
        ------
        ConfigError
            For a likely typo of a word that posts have, and for an account id that the workspace does not list.
        """
        status = self.words.get("status", [])
        warn_of_unknown("post", "status", status, POST_STATUSES)
        if set(status) == {"scheduled"} and end is not None and end <= client.now():
            reason = f"no scheduled post: until={until!r} is {end:%Y-%m-%dT%H:%MZ}, in the past, but scheduled posts are in the future"
            warnings.warn(f"{reason}. Put a plus before a future span, such as until='+3D'", stacklevel=2)
        for name in self.words.keys() & set(HERE[1:]):
            known = {folded: word for own in self._words_of(posts, name) for folded, word in own.items()}
            for word in self.words[name]:
                meant = None if _folded(name, word) in known else near_name(word, known.values(), 0.7)
                if meant is not None:
                    raise ConfigError(f"{name}={word!r}: no post has it; did you mean {meant!r}?")
        if accounts := self.words.get("account"):
            names = AccountNames(await list_accounts(client))
            if unknown := sorted(set(accounts).difference(names.listed)):
                raise ConfigError(f"account=: {names.unknown(unknown)}")


def warn_of_unknown(thing: str, name: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Warn of words of a filter that are not documented; they may be new. Called only if nothing was found."""
    for word in wanted:
        if word not in known:
            listed = ", ".join(sorted(known))
            warnings.warn(f"no {thing} has {name}={word!r}, which is unknown; known are {listed}", stacklevel=3)


def explain_no_delivery(events: Iterable[str]) -> None:
    """Refuse a likely typo of an event, and warn of other unknown ones; called only if nothing was found.

    Raises
    ------
    ConfigError
        With the one that was likely meant.
    """
    for event in events:
        if event not in EVENTS and (meant := near(event, EVENTS, 0.7)):
            raise ConfigError(f"event_type={event!r}: no delivery has it; did you mean {meant!r}?")
    warn_of_unknown("delivery", "event_type", events, EVENTS)


def _folded(name: str, word: str) -> str:
    """Return a word in the form in which words of a filter are compared (rule 5)."""
    if name == "campaign":
        return keys.campaign_name(word)
    return word.casefold() if name == "text" else word.strip().casefold() if name in HERE else word


def metadata_field(name: str, value: str) -> str:
    """Return ``metadata.owner`` for ``owner``, a field of the metadata, or itself; ConfigError if it is none."""
    found = _FIELD.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or len(found[1]) > METADATA_NAME_CHARACTERS:
        example = name.removesuffix("_field")
        raise ConfigError(f"{name}={value!r} must name a field of the posts' metadata, such as {example!r}")
    if found[1].lower().startswith("voxops"):
        raise ConfigError(f"{name}={value!r} is a field in which voxops marks posts; name another")
    return f"metadata.{found[1]}"


def with_people(posts: pd.DataFrame, fields: Mapping[str, str]) -> pd.DataFrame:
    """Return posts with a column for each of these fields.

    Parameters
    ----------
    posts : pandas.DataFrame
        Has ``metadata``.
    fields : mapping of str to str
        ``owner``, ``campaign`` or ``tags`` -> its field.

    Returns
    -------
    pandas.DataFrame
        With ``owner campaign`` (string, NA if the post has none; several are joined by a comma) and ``tags`` (tuples).

    Warns
    -----
    UserWarning
        If no post has the field but some have one with a similar name: a typo must not look like posts without owners.
    """
    if not fields:
        return posts
    columns: dict[str, Any] = {}
    for name, field in fields.items():
        found = [metadata_value(value, field.split(".")[1:]) for value in posts["metadata"]]
        if all(value is None for value in found) and (meant := _people_meant(posts["metadata"], field)):
            reason = f"{name}_field={field.removeprefix('metadata.')!r}: no post has this field in its metadata"
            warnings.warn(f"{reason}; did you mean {meant.removeprefix('metadata.')!r}?", stacklevel=2)
        if name == "tags":
            columns[name] = LIST.array([tuple(texts_of(value)) for value in found])
        else:
            columns[name] = LABEL.array([", ".join(texts_of(value)) or None for value in found])
    table = posts.assign(**columns)
    table.attrs["people"] = dict(fields)
    return table


def _people_meant(metadata: pd.Series, field: str) -> str | None:
    """Return the existing field that a typo likely means; None if none is near, or a post has the field, even empty."""
    parent, _, last = field.rpartition(".")
    beside = (metadata_value(value, parent.split(".")[1:]) for value in metadata)
    known = {str(name) for group in beside if isinstance(group, Mapping) for name in group}
    meant = None if last in known else near(last, sorted(known))
    return None if meant is None else f"{parent}.{meant}"
