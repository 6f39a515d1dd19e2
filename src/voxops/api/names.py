"""Names of fields and of accounts in one spelling, whichever way they come (contract: SCH)."""

from __future__ import annotations

__all__ = ["account_spelling", "canonical"]


def canonical(name: str) -> str:
    """Return the name of a field without its spelling: ``has_more``, ``hasMore`` and ``HASMORE`` are one."""
    return name.replace("_", "").replace("-", "").lower()


def account_spelling(name: str) -> str:
    """Return an account in one spelling: ``Twitter:@Brand`` and ``twitter:brand`` are one; ids stay as they are."""
    platform, colon, username = name.partition(":")
    return f"{platform.strip().lower()}:@{username.strip().lstrip('@').lower()}" if colon else name
