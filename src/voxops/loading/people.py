"""Columns of posts that come from their metadata: owner, campaign and tags."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd

from voxops._support.arguments import near
from voxops.api.limits import METADATA_NAME_CHARACTERS
from voxops.errors import ConfigError
from voxops.frames.cells import metadata_value, texts_of
from voxops.frames.schemas import LABEL, LIST

PEOPLE = ("owner", "campaign", "tags")  # columns that may come from metadata
_FIELD = re.compile(r"(?:metadata\.)?([^.\s]+(?:\.[^.\s]+)*)")


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
