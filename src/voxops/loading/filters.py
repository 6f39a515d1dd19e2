"""What an analyst filters by: read, checked, and applied to the rows that came."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from voxops._core.arguments import list_of_text, near
from voxops.acts import keys
from voxops.errors import ConfigError
from voxops.frames.people import metadata_value, texts_of
from voxops.frames.values import status_spelling
from voxops.model import POST_STATUSES

__all__ = [
    "Search",
    "Words",
    "asked_for",
    "filtered_here",
    "plain_filters",
    "stamp",
    "statuses",
    "words",
]

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
    """What posts are searched by that no server is known to filter by: applied here, to all that came.

    `text` is part of the content, in any case; `campaign`, `owner` and `tag` are whole words, in any case, of which a post must have
    one; `fields` says which field of the metadata holds campaign and owner.
    """

    text: tuple[str, ...] = ()
    campaign: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Mapping[str, str], **wanted: Words) -> Search:
        """Read what was asked for.

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
        """What was asked for, as the frame says it."""
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
                if name == "campaign":  # what vx.plan_bulk has made bears its name as a mark
                    marks = {keys.campaign_mark(keys.campaign_name(word)) for word in self.campaign}
                    has = [fit or _mark_of(cell) in marks for fit, cell in zip(has, posts["metadata"], strict=True)]
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


def _mark_of(metadata: Any) -> str | None:
    """The mark of the campaign that a post was made for by ``vx.plan_bulk``, None for any other post."""
    mark = metadata.get("voxopsCampaign") if isinstance(metadata, Mapping) else None
    return mark if isinstance(mark, str) else None


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

    What was not asked for is left out; an empty selection was asked for, and loads nothing once more. No value is compared: an instant
    of NumPy is equal to nothing that is no instant.
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
    search: Search | None = None,
) -> pd.Series:
    """Which posts have one of these statuses, platforms and accounts; an empty list stands for any."""
    fits = pd.Series(data=True, index=posts.index)
    if statuses:
        fits &= posts["status"].isin(statuses)
    if platforms:
        fits &= any_target(posts["targets"], "platform", platforms)
    if accounts:
        fits &= any_target(posts["targets"], "account_id", accounts)
    return fits if search is None else fits & search.mask(posts)


def any_target(cells: pd.Series, field: str, wanted: Sequence[str]) -> pd.Series:
    """Which posts have a target with one of these values."""
    names = set(wanted)
    return pd.Series(
        [any(getattr(target, field) in names for target in cell or ()) for cell in cells], index=cells.index, dtype=bool
    )
