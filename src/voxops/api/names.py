"""Names of fields, whichever way a server spells them (contract: SCH)."""

from __future__ import annotations

__all__ = ["canonical"]


def canonical(name: str) -> str:
    """Return the name of a field without its spelling: ``has_more``, ``hasMore`` and ``HASMORE`` are one."""
    return name.replace("_", "").replace("-", "").lower()
