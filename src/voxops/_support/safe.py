"""Sanitize untrusted text, and write numbers and times for people.

Post contents, error messages and names are untrusted. `plain` makes them harmless in a terminal, `cell` in a spreadsheet; in HTML the
templates do (`voxops.views.table`).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pandas as pd

INEXACT_FROM = 10**15  # from here on, whole numbers lose digits in a spreadsheet

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
FILLERS = "\u115f\u1160\u3164\uffa0\U00013441\U00013442"  # letters that show nothing
# No list of what a program skips is complete: signs count behind all that is neither letter nor digit.
_BEGINS = rf"(?:[^\w;\t|\r\n]|[{FILLERS}])*?[{_SIGNS}]"
OPEN, _GUARDED = (
    re.compile(rf"\A{mark}(?={_BEGINS}|'*[\t\r\n])|(?<=[;\t|\r\n]){mark}(?={_BEGINS})") for mark in ("", "'")
)


def guard(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula; `unguard` removes it.

    Parameters
    ----------
    text : str
        Any text. One with such an apostrophe gets another, so that two texts never become equal.
    """
    return OPEN.sub("'", text)


def unguard(text: str) -> str:
    """Inverse of `guard`: ``unguard(guard(text)) == text`` for every text."""
    return _GUARDED.sub("", text)


_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Marks that reorder the text around them. Zero-width joiners stay: emoji need them.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(value: Any, limit: int = 200) -> str:
    """Return one line of text without control, ANSI or reordering characters, cut after `limit` characters."""
    if isinstance(value, str) and len(value) <= limit and value.isascii() and value.isprintable():
        return " ".join(value.split())  # a fast path for the many short, harmless texts
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    text = _ANSI.sub("", str(value)[: limit * 8 + 64])  # a megabyte is not searched to show a line of it
    text = " ".join("".join(map(_visible, text)).split())
    return clip(text, limit)


def printable(value: object) -> str:
    """Return text with its lines and blanks, without characters that a terminal would obey or hide."""
    lines = _ANSI.sub("", str(value)).splitlines()
    return "\n".join("".join(char if char == " " else _visible(char) for char in each) for each in lines)


def cell(value: object) -> object:
    """Return text for a spreadsheet: without control characters, and with a guard if it would run as a formula."""
    if not isinstance(value, str):
        return value
    return guard("".join(char for char in value if char in "\t\n" or unicodedata.category(char) not in {"Cc", "Cs"}))


def clip(text: str, limit: int) -> str:
    """Cut text to `limit` characters, the last of them an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def middle(value: object, limit: int) -> str:
    """Return `plain` text without its middle, because both ends distinguish ids: ``post_3x2s…xrogmqq``."""
    text = plain(value)
    tail = limit // 2
    return text if len(text) <= limit else f"{text[: limit - tail - 1]}…{text[-tail:]}"


def percent(share: float) -> str:
    """Return a share such as ``99.9 %``; 100 % means all."""
    return f"{100 * below_all(share, 3):.1f} %"


def below_all(share: float, digits: int) -> float:
    """Round a share so that 1 means all: 0.99996 is 0.9999, to four digits."""
    return 1.0 if share >= 1 else min(round(share, digits), 1 - 10**-digits)


def many(count: int, noun: str, plural: str = "") -> str:
    """Return such as ``1 post`` and ``2,000 posts``; `plural` is for nouns that take more than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Return a duration for people: ``40 s``, ``4 min``, ``3.5 h``, ``2 days``."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"
    return f"{seconds / 86400:.0f} days"


def instant(at: datetime, *, day: bool = True, tz: str | tzinfo = "UTC", headed: bool = False) -> str:
    """Return a time in a zone, such as ``2026-11-03 14:02:10 UTC``, or without its day.

    In all displays, a head (of a column, a display, an axis) names the zone once, as it was passed (`zoned`), and the times
    below it have none (`headed`). A single time, in a sentence, among details or in a tooltip, has the zone's short name at that
    instant, such as CET. So has a time in the repeated hour of a clock change, also below a head.
    """
    local = at.astimezone(ZoneInfo(tz) if isinstance(tz, str) else tz)
    bare = headed and local.utcoffset() == local.replace(fold=1 - local.fold).utcoffset()
    return local.strftime(("%Y-%m-%d " if day else "") + "%H:%M:%S" + ("" if bare else " %Z"))


def zoned(head: str, tz: object) -> str:
    """Return the head of times with the name of their zone: ``created at (Europe/Berlin)``."""
    return f"{head} ({tz})"


def _visible(char: str) -> str:
    """Turn white space into a blank, and an invisible or unsafe character into a replacement mark."""
    if char.isspace():
        return " "
    if char in _BIDI or unicodedata.category(char) in {"Cc", "Cs"}:
        return "\ufffd"
    return char


# A quotation mark within an address is part of it, because a token may have one; after it, it is not.
_ADDRESS = re.compile(r"\b[a-z][\w+.-]*://(?:[^\s\"'<>`]|'(?=\w))*[^\s\"'<>`.,;:!?)\]]", re.IGNORECASE)

# A user, or a query or fragment with a value, also of an address without a scheme or within another one.
_OPENERS = re.compile(
    r"(?<=://)[^\s/?#@]+@|(?<=\S)([?#]|%3f|%23)[\w.%~$-]+(?:=|%3d)[^\s\"'<>`]*[^\s\"'<>`.,;:!?)\]]", re.IGNORECASE
)

# The last two names, which somebody had to register; one before them may be a token. Or a whole number of the network.
_HOST = re.compile(r"(?:^[\d.]+|^\[[\da-f:]+\]|(?:^|(?<=\.))[\w-]{1,63}(?:\.[\w-]{1,63})?)(?::\d{1,5})?\Z", re.ASCII)
_REDACTED = re.compile(r"[^/]*/…#[0-9a-f]{8}")


def redact_address(url: object) -> str:
    """Return the host of an address and a short hash of the whole, because path, query and user may be secret: ``a.example/…#1f0c2d34``."""
    text = str(url)
    if _REDACTED.fullmatch(text):
        return text
    try:
        host = _HOST.search(urlsplit(text).netloc.rpartition("@")[2])
    except ValueError:  # not an address, such as ``http://[``
        host = None
    return f"{host[0] if host else ''}/…{_short_hash(text)}"


def told_apart(labels: Mapping[str, str]) -> dict[str, str]:
    """Return value -> label; where two values have equal labels, each has a short hash of its value at its end."""
    counts = Counter(labels.values())
    return {value: label if counts[label] == 1 else f"{label} {_short_hash(value)}" for value, label in labels.items()}


def redact_addresses(text: object) -> str:
    """Return a text, such as an error message, with its addresses redacted by `redact_address`."""
    return _ADDRESS.sub(lambda found: redact_address(found[0]), str(text))


def without_queries(text: object) -> str:
    """Return a message without what opens the addresses in it: user, query and fragment; host and path stay, for the reader."""
    return _OPENERS.sub(lambda found: f"{found[1]}…" if found[1] else "", str(text))


def _short_hash(text: str) -> str:
    """Return a short hash that distinguishes texts without showing them."""
    return f"#{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
