"""Idempotency keys, and the names that stay the same over kernels, colleagues and lost disks.

A key names a *logical request*: what is asked, of what, for which failure or which row, and which deliberate
attempt it is. Nothing of this machine, this run or this ledger enters it, so the same failure planned anywhere gives the same key, and
the server recognises it. The derivation never changes: golden values in the tests hold it (rule 9).
"""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from voxops._core.canonical import canonical, fingerprint

__all__ = ["mark", "row_key", "stable_key"]


def stable_key(method: str, path: str, body: Any, *names: Any) -> str:
    """Return the idempotency key of a logical request.

    Parameters
    ----------
    method, path : str
        The call. A target is named in the path by platform and account, since its id may be absent from lists.
    body : object
        What is asked, as the analyst wrote it; None for no body.
    *names : object
        What makes two equal calls different requests: the episode of a failure, or items with their attempts.

    Returns
    -------
    str
        sha256 over canonical JSON, its first 16 bytes written as a UUID of version 4: the one form that the API is known to
        accept (contract: section 6).
    """
    digest = hashlib.sha256(canonical([method.upper(), path, body, list(names)])).digest()
    return str(UUID(bytes=digest[:16], version=4))


def mark(campaign: str, key: str, attempt: int) -> str:
    """Return what a created post carries as ``metadata.voxopsOp``: campaign, row and attempt, hashed (rule 13)."""
    return fingerprint("mark", campaign, key, attempt)


def row_key(value: Any) -> str | None:
    """Return a key column's value as canonical text; ``1``, ``"1"`` and ``1.0`` are one row (rule 5). None for a missing one.

    Only numbers are folded: the *text* ``"1.0"`` stays itself, as does ``"007"``.
    """
    if (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or type(value).__name__ in {"NAType", "NaTType"}
    ):
        return None
    if isinstance(value, bool | str) or not hasattr(value, "__float__"):
        return str(value).strip() or None
    try:
        number = Decimal(str(value))
    except InvalidOperation:  # a fraction, which has no decimal form of its own
        return str(value)
    if not number.is_finite():
        return str(value)
    return str(int(number)) if number == number.to_integral_value() else str(number.normalize())
