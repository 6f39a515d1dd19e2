"""JSON, fast where it is usual and exact where it is odd: half surrogate pairs, and numbers of any length."""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = ["decode", "encode", "is_well_formed", "json_text", "text", "well_formed"]

_DECODER = msgspec.json.Decoder()


def encode(value: Any) -> str:
    """Write JSON with sorted keys and no spaces."""
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except (UnicodeEncodeError, OverflowError):  # half an emoji, cut by a spreadsheet; a number of more than 64 bits
        return json.dumps(value, sort_keys=True, separators=(",", ":"))


def json_text(value: Any) -> str | None:
    """A value as JSON, nothing as nothing; what JSON does not have, such as a time, as its text."""
    if value is None:
        return None
    try:
        return encode(value)
    except TypeError:
        return json.dumps(value, default=str, sort_keys=True, separators=(",", ":"))


def text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json_text(value) or "null"


def is_well_formed(text: str) -> bool:
    """Whether UTF-8 has a text: none of it is half a surrogate pair."""
    return text.isascii() or well_formed(text) == text


def well_formed(text: str) -> str:
    """Text that UTF-8 has: half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def decode(data: str | bytes) -> Any:
    """Read JSON, also what strict readers refuse: NaN and infinities, half surrogate pairs, a byte order mark.

    Whole numbers stay exact, up to the 4,300 digits that Python reads.

    Raises
    ------
    ValueError
        If it is not JSON, nested too deeply, or has a longer number.
    """
    try:
        return _DECODER.decode(data)
    except (ValueError, RecursionError):
        pass  # the slower reader may take it
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
