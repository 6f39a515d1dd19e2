"""The one JSON text of a value, and a fingerprint of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

__all__ = ["canonical", "fingerprint", "fingerprints"]


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value: keys sorted, no spaces, UTF-8; the bytes that are hashed and sent.

    Raises
    ------
    ValueError
        If the value holds NaN or an infinity, which JSON can't say.
    """
    try:
        return _dumps(value, ascii_only=False).encode("utf-8")
    except UnicodeEncodeError:
        # A lone surrogate (half an emoji, cut by a spreadsheet) has no UTF-8 form; escaped, it is still the same text.
        return _dumps(value, ascii_only=True).encode("ascii")


def _dumps(value: Any, *, ascii_only: bool) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only, allow_nan=False)


def fingerprint(*parts: Any) -> str:
    """Return 32 hexadecimal digits that stand for these parts and no others, in this order."""
    return hashlib.sha256(canonical(list(parts))).hexdigest()[:32]


def fingerprints(*parts: Any, numbers: Iterable[int]) -> list[str]:
    """Return ``fingerprint(*parts, number)`` for each number; what they share is written and hashed once."""
    shared = hashlib.sha256(canonical(list(parts))[:-1] + b",")
    found = []
    for number in numbers:
        whole = shared.copy()
        whole.update(b"%d]" % number)
        found.append(whole.hexdigest()[:32])
    return found
