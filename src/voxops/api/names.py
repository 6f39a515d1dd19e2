"""Names of fields and of accounts in one spelling, whichever way they come (contract: SCH)."""

from __future__ import annotations

__all__ = ["account_spelling", "field_name", "platform_spelling"]


def field_name(name: str) -> str:
    """Return the name of a field without its spelling: ``has_more``, ``hasMore`` and ``HASMORE`` are one."""
    return name.replace("_", "").replace("-", "").lower()


def account_spelling(name: str) -> str:
    """Return an account in one spelling: ``Twitter:@Brand``, ``twitter:brand`` and ``X:@brand`` are one; ids stay as they are."""
    platform, colon, username = name.partition(":")
    return f"{platform_spelling(platform)}:@{username.strip().lstrip('@').lower()}" if colon else name


def platform_spelling(name: str) -> str:
    """Return a platform as the API calls it."""
    word = name.strip().lower()
    return _CALLED.get(word, word)


_CALLED = {"x": "twitter", "google business": "google_business"}  # what people call them
