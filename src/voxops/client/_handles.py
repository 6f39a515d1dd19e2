"""What an asynchronous call hands back: the thing to follow, since its 2xx only means "queued" (contract: SEED)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Handle", "Kind"]

Kind = Literal["post", "media", "account", "delivery"]


@dataclass(frozen=True, slots=True)
class Handle:
    """A thing that the API is working on; ``ws.watch(handle)`` follows it until it is terminal.

    Attributes
    ----------
    id : str
        Which one.
    kind : str
        ``post``, ``media``, ``account`` or ``delivery``.
    accepted : mapping
        The answer that accepted the work, as the API sent it. It is not the outcome.
    webhook_id : str or None
        The webhook that a delivery belongs to, None for the other kinds.
    """

    id: str
    kind: Kind
    accepted: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    webhook_id: str | None = None
