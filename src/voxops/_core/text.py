"""Text as people see it: two spellings of one text are one text."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["as_kept", "as_read", "fold_text"]

_SELECTORS = re.compile("[\ufe00-\ufe0f]")


def fold_text(text: str) -> str:
    """Return text in Unicode's composed form, without invisible characters and outer blanks (rule 5)."""
    if text.isascii():  # is composed, and all of it is visible
        return text.strip()
    visible = "".join(char for char in unicodedata.normalize("NFC", text) if unicodedata.category(char) != "Cf")
    return visible.strip()


def as_kept(text: str) -> str:
    """Return a text in the one form of those in which a server may keep it: composed, with plain line ends, without outer blanks."""
    return unicodedata.normalize("NFC", "\n".join(text.splitlines())).strip()


def as_read(text: str) -> str:
    """Return a text as its readers take it in (rule 26).

    It is folded, has one blank wherever it has blanks or line ends, and no variation selectors: keyboards and servers differ in
    whether an emoji has one.
    """
    return " ".join(fold_text(_SELECTORS.sub("", text)).split())
