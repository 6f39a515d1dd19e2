"""The cells of frames: lists and objects as their JSON, and plain values of any cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pandas as pd

from voxops._support.canonical import decode, json_text, well_formed


class Json(bytes):
    """A list or an object of the API, kept as its JSON and decoded when it is read.

    100,000 posts need 240 MB so, and 420 MB as lists and dicts. It is read like the list or the dict: ``cell["owner"]``,
    ``for target in cell``, ``len(cell)``. Since it is bytes, pandas compares, counts and groups it, and files keep it.
    """

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> Json | None:
        """Return the cell of a JSON value, None for None; what is nested too deeply is cut."""
        try:
            text = json_text(value)
        except RecursionError:
            text = '"..."'
        return None if text is None else cls(text.encode())

    @property
    def value(self) -> Any:
        """The list or the object."""
        return decode(bytes(self))

    def __getitem__(self, item: Any) -> Any:
        return self.value[item]

    def __iter__(self) -> Any:
        return iter(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __contains__(self, item: Any) -> bool:
        return item in self.value

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field of an object, `default` where it has none."""
        return self.value.get(name, default)

    def keys(self) -> Any:
        """Return the names of an object's fields, so that ``dict(cell)`` reads it."""
        return self.value.keys()

    def __eq__(self, other: object) -> bool:
        return bytes.__eq__(self, other) if isinstance(other, bytes) else bool(self.value == other)

    __hash__ = bytes.__hash__

    def __str__(self) -> str:
        return self.decode()

    __repr__ = __str__


class Target(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, repr_omit_defaults=True):
    """One platform of one post.

    Every field is text or None, except `retry_count` (int or None); `status` and `platform` are lower case, `error_code` upper
    case, `published_at` the time as sent.
    """

    target_id: str | None = None
    platform: str | None = None
    account_id: str | None = None
    account_name: str | None = None
    status: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    retry_count: int | None = None
    platform_post_id: str | None = None
    platform_post_url: str | None = None
    published_at: str | None = None


_decode_targets = msgspec.json.Decoder(list[Target]).decode


class Targets(Json):
    """The targets of one post, in the column ``targets`` of a posts frame: a sequence of `Target`."""

    __slots__ = ()

    @property
    def value(self) -> list[Target]:
        """The targets."""
        return _decode_targets(self)


def is_missing(value: Any) -> bool:
    """Whether a value is missing; a list or a tuple of any length is not."""
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def value_in(cell: Any) -> Any:
    """Return the list or object of a cell, also from JSON of a file; None for other text."""
    if not isinstance(cell, str | bytes):
        return cell
    try:
        return decode(bytes(cell) if isinstance(cell, bytes) else cell)
    except ValueError:
        return None


def metadata_value(cell: Any, names: Iterable[str]) -> Any:
    """Return the value at this path of names in a cell of metadata; None if absent."""
    value = value_in(cell)
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def texts_of(value: Any) -> list[str]:
    """Return one text or a list of texts as a list; empty for a missing value or one without text."""
    entries = value if isinstance(value, list | tuple) else [value]
    texts = [well_formed(str(entry)).strip() for entry in entries if type(entry) in {str, int}]
    return [text for text in texts if text]
