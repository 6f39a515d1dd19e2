"""Idempotency keys and marks, which stay the same over kernels, colleagues and lost disks.

A key names a *logical request*: what is requested, of what, for which failure or row, and which deliberate attempt it is. Nothing of
this machine, run or ledger enters it, so the server recognises the same failure wherever it was planned. The derivation never
changes: golden values in the tests hold it (rule 8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from voxops._support.arguments import near_name
from voxops._support.canonical import as_kept, as_read, canonical, fingerprint, fold_text, well_formed
from voxops.api.states import PostState

KEPT = 4096  # hashes that are kept: a row that is to be sent is asked for its marks again and again
# Signs that spreadsheets and text processors put in place of typed ones (rule 5).
_TYPED = {"“”„‟«»″": '"', "‘’‚‛‹›′ʼ´": "'", "‐‑‒–—―−": "-", "…": "..."}
_TYPOGRAPHIC = str.maketrans({sign: typed for signs, typed in _TYPED.items() for sign in signs})


def stable_key(method: str, path: str, requested: Any, *names: Any) -> str:
    """Return the idempotency key of a logical request.

    Parameters
    ----------
    method, path : str
        The call. A target is named in the path by platform and account, because its id may be absent from lists.
    requested : object
        What is requested, without marks.
    *names : object
        What makes two equal calls different requests: identities of rows with their attempts.

    Returns
    -------
    str
        The first 16 bytes of a SHA-256 over canonical JSON, written as a UUID of version 4: the one form that the API is known to
        accept (contract: section 6).
    """
    digest = hashlib.sha256(canonical([method.upper(), path, requested, list(names)])).digest()
    return str(UUID(bytes=digest[:16], version=4))


@lru_cache(KEPT)
def mark(campaign: str, key: str, attempt: int) -> str:
    """Return ``metadata.voxopsOp`` of a created post: campaign, row and attempt, hashed (rule 10)."""
    return fingerprint("mark", campaign, key, attempt)


@lru_cache(KEPT)
def marks(campaign: str, key: str, last: int) -> Mapping[str, int]:
    """Return the marks of the attempts 1 to `last` at a row, each with its number."""
    return {fingerprint("mark", campaign, key, attempt): attempt for attempt in range(1, last + 1)}


@lru_cache(KEPT)
def row_mark(campaign: str, key: str) -> str:
    """Return ``metadata.voxopsRow`` of a created post: campaign and row, hashed, whichever attempt (rule 10)."""
    return fingerprint("row", campaign, key)


@lru_cache(KEPT)
def campaign_mark(campaign: str) -> str:
    """Return ``metadata.voxopsCampaign`` of a created post: the campaign, hashed (rule 10)."""
    return fingerprint("campaign", campaign)


# What a create requests and what a post shows, in forms that can be compared (rule 10).


def asked_hash(body: Mapping[str, Any]) -> str:
    """Fingerprint of what is requested: all fields but metadata and content type, accounts as ids, in any order."""
    asked = {name: value for name, value in body.items() if name not in {"metadata", "accountIds", "contentType"}}
    return fingerprint("asked", asked, sorted(body.get("accountIds", ())))


def shown_of_body(body: Mapping[str, Any]) -> str:
    """Fingerprint of what a post shows that was created from this body; its accounts are ids."""
    return shown_hash(str(body["content"]), body["accountIds"], str(body["scheduledFor"]))


def shown_of_state(state: PostState) -> str | None:
    """Fingerprint of what a post shows; None where it does not show all of it."""
    if state.content is None or state.scheduled_for is None or not state.accounts:
        return None
    return shown_hash(state.content, state.accounts, state.scheduled_for)


def shown_hash(content: str, accounts: Sequence[str], when: str) -> str:
    """Fingerprint of content as it is read, accounts and minute."""
    moment = datetime.fromisoformat(when).astimezone(UTC).replace(second=0, microsecond=0)
    return fingerprint("shown", as_read(content), sorted(set(accounts)), moment.isoformat())


def change_mark(change: str, field: str, post_id: str) -> str:
    """Return the name of an entry of ``metadata.voxopsChanges``: change, field and post, hashed, because clones carry metadata."""
    return fingerprint("change", change, field, post_id)


def value_mark(value: Any) -> str:
    """Return the value of an entry of ``metadata.voxopsChanges``: what was requested, hashed; lists in any order."""
    return fingerprint(
        sorted(value) if isinstance(value, list) else as_kept(value) if isinstance(value, str) else value
    )


def texts_by_column(body: Mapping[str, Any]) -> dict[str, str]:
    """Return what a create requests for single platforms, each text under its column of a sheet, such as ``content:twitter``."""
    return {f"content:{name.lower()}": text["content"] for name, text in body.get("platformOverrides", {}).items()}


def field_marks(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the entries of ``metadata.voxopsChanges`` under fields' own names: what was last requested of each, by whatever act.

    A text for one platform has its column's name.
    """
    form: dict[str, Callable[[Any], Any]] = {
        "content": str,
        "scheduledFor": lambda when: when[:19],  # to the second
        "accountIds": lambda ids: [*{*ids}],  # named twice is named once
        "tags": lambda tags: [*{*tags}],
        "media": ";".join,
        "firstComment": str,
    }
    values = {name: form[name](value) for name, value in body.items() if name in form} | texts_by_column(body)
    return {name: value_mark(value) for name, value in values.items()}


def campaign_name(name: str) -> str:
    """Return the canonical name of a campaign or change: a blank, a capital or a typographic sign must not post everything again (rule 5).

    It is folded until it stays as it is, because small letters may compose anew.
    """
    folded = " ".join(fold_text(well_formed(name)).translate(_TYPOGRAPHIC).casefold().split())
    return folded if folded == name else campaign_name(folded)


def doubt_of_name(name: str, known: Iterable[str]) -> str:
    """Return a sentence about a campaign that is none of those known, but close to one; ``""`` for any other."""
    forms, form = {campaign_name(campaign): campaign for campaign in known}, campaign_name(name)
    meant = None if form in forms else near_name(form, forms)
    return f"The campaign {name!r} is new here; did you mean {forms[meant]!r}?" if meant else ""
