"""Whose posts they are: owner, campaign and tags from the posts' metadata, as columns.

Posts say so in metadata that everybody fills in their own way; which field holds what is a setting of the workspace, and
stands in ``attrs["people"]`` of the frames that were made with it.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd

from voxops._core.arguments import near
from voxops._core.jsontext import well_formed
from voxops.errors import ConfigError
from voxops.frames.values import LABEL, LIST

__all__ = ["PEOPLE", "metadata_field", "metadata_value", "texts_of", "with_people"]

PEOPLE = ("owner", "campaign", "tags")  # columns that may come from metadata
_FIELD = re.compile(r"metadata(\.[^.\s]+)+")


def metadata_field(name: str, value: str) -> str:
    """Return the name of a field of the metadata, such as ``metadata.owner``; ConfigError if it is none."""
    if not isinstance(value, str) or not _FIELD.fullmatch(value.strip()):
        raise ConfigError(f"{name}={value!r} must name a field of the posts' metadata, such as 'metadata.{name}'")
    return value.strip()


def with_people(posts: pd.DataFrame, fields: Mapping[str, str]) -> pd.DataFrame:
    """Return posts with a column for each of these fields.

    Parameters
    ----------
    posts : pandas.DataFrame
        Has ``metadata``.
    fields : mapping of str to str
        ``owner``, ``campaign`` or ``tags`` -> the field that holds it.

    Returns
    -------
    pandas.DataFrame
        With ``owner campaign`` (string, NA where the post does not say; several are joined by a comma) and ``tags`` (tuples).

    Warns
    -----
    UserWarning
        If no post has the field and one that they have is near: a typo in a setting must not look like posts without owners.
    """
    if not fields:
        return posts
    columns: dict[str, Any] = {}
    for name, field in fields.items():
        found = [metadata_value(value, field.split(".")[1:]) for value in posts["metadata"]]
        if all(value is None for value in found) and (meant := _meant(posts["metadata"], field)):
            warnings.warn(f"{name}={field!r}: no post has this field; did you mean {meant!r}?", stacklevel=2)
        if name == "tags":
            columns[name] = LIST.array([texts_of(value) for value in found])
        else:
            columns[name] = LABEL.array([", ".join(texts_of(value)) or None for value in found])
    table = posts.assign(**columns)
    table.attrs = {**posts.attrs, "people": dict(fields)}
    return table


def metadata_value(value: Any, names: list[str]) -> Any:
    """What metadata hold under these names, one within the other; None where they don't. A file has made text of them."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _meant(metadata: pd.Series, field: str) -> str | None:
    """The field beside this one, of any post, that a typo is likely to have meant; None where none is near, or a post has this one, empty."""
    parent, _, last = field.rpartition(".")
    beside = (metadata_value(value, parent.split(".")[1:]) for value in metadata)
    known = {str(name) for group in beside if isinstance(group, Mapping) for name in group}
    meant = None if last in known else near(last, sorted(known))
    return None if meant is None else f"{parent}.{meant}"


def texts_of(value: Any) -> list[str]:
    """One text or a list of texts as a list; empty for what is missing or no text."""
    entries = value if isinstance(value, list | tuple) else [value]
    texts = [
        well_formed(str(each)).strip() for each in entries if isinstance(each, str | int) and not isinstance(each, bool)
    ]
    return [text for text in texts if text]
