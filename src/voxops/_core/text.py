"""Text as people see it: two spellings of one text are one text."""

from __future__ import annotations

import unicodedata

__all__ = ["as_read", "fold_text"]


def fold_text(text: str) -> str:
    """Return text in Unicode's composed form, without invisible characters and outer blanks (rule 5)."""
    visible = "".join(char for char in unicodedata.normalize("NFC", text) if unicodedata.category(char) != "Cf")
    return visible.strip()


def as_read(text: str) -> str:
    """Return a text as its readers take it in: folded, with one blank wherever it has blanks or line ends (rule 26)."""
    return " ".join(fold_text(text).split())
