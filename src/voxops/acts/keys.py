"""Idempotency keys, and the names that stay the same over kernels, colleagues and lost disks.

A key names a *logical request*: what is asked, of what, for which failure or which row, and which deliberate attempt it is.
Nothing of this machine, this run or this ledger enters it, so the same failure planned anywhere gives the same key, and the
server recognises it. The derivation never changes: golden values in the tests hold it (rule 9).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from voxops._support.canonical import canonical, fingerprint, fingerprints, fold_text, row_key

__all__ = [
    "campaign_mark",
    "campaign_name",
    "mark",
    "marks",
    "row_key",
    "row_mark",
    "stable_key",
]


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
    """Return what a created post bears as ``metadata.voxopsOp``: campaign, row and attempt, hashed (rule 13)."""
    return fingerprint("mark", campaign, key, attempt)


def marks(campaign: str, key: str, attempts: Iterable[int]) -> list[str]:
    """Return the mark of each of these attempts at a row."""
    return fingerprints("mark", campaign, key, numbers=attempts)


def row_mark(campaign: str, key: str) -> str:
    """Return what a created post bears as ``metadata.voxopsRow``: campaign and row, hashed, whichever attempt (rule 13)."""
    return fingerprint("row", campaign, key)


def campaign_mark(campaign: str) -> str:
    """Return what a created post bears as ``metadata.voxopsCampaign``: the campaign, hashed (rule 13)."""
    return fingerprint("campaign", campaign)


def campaign_name(name: str) -> str:
    """Return a campaign's name in the one form that counts: a stray blank or a capital must not post everything again.

    Results show this form, and are planned again: so it is folded until it stays as it is, for small letters may compose anew.
    """
    folded = " ".join(fold_text(name).casefold().split())
    return folded if folded == name else campaign_name(folded)
