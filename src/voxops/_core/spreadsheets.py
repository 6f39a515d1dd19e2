"""Text that a spreadsheet shows and never runs, and the way back.

A program that opens a CSV file takes a cell for a formula if it begins with ``=``, ``+``, ``-`` or ``@``, also in their
full-width forms and behind blanks or characters that can't be seen. Where such a program parts cells at another character than
the comma, a cell also begins within a field: after ``;``, a tab, ``|``, or the end of a line.
"""

from __future__ import annotations

import re

__all__ = ["INEXACT_FROM", "guard", "unguard"]

INEXACT_FROM = 10**15  # whole numbers from here on lose digits in a spreadsheet

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
# Blanks, controls, and what takes no room: zero-width and bidirectional marks, fillers, variation selectors, tags.
_UNSEEN = (
    " \x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
_BEGINS = rf"'*(?:[{_UNSEEN}]*[{_SIGNS}])"
_AT_START = rf"\A(?={_BEGINS}|'*[\t\r\n])"
_WITHIN = rf"(?<=[;\t|\r\n])(?={_BEGINS})"
_OPEN = re.compile(f"{_AT_START}|{_WITHIN}")
_GUARDED = re.compile(rf"\A'(?={_BEGINS}|'*[\t\r\n])|(?<=[;\t|\r\n])'(?={_BEGINS})")


def guard(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would run; `unguard` takes it off again.

    Parameters
    ----------
    text : str
        Any text. Where it has such an apostrophe already it gets another one, so that no two texts become the same.
    """
    return _OPEN.sub("'", text)


def unguard(text: str) -> str:
    """Inverse of `guard`: ``unguard(guard(text)) == text`` for every text."""
    return _GUARDED.sub("", text)
