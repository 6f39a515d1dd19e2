"""Untrusted text made safe to show, and the small pieces of HTML that the displays share.

Post contents, error messages and names come from other people. `html` makes them harmless in HTML, `plain` in a
terminal, `cell` in a spreadsheet, `markdown` in a ticket. In HTML the type decides: `Markup` is ours and stays as it is,
everything else is text and is escaped; markup is put together by `html` and `joined` alone. Displays inherit the page's
text colour and draw lines in a half-transparent grey, so that they read in light and dark themes without asking which one
is on; styles are inline, because notebooks drop style sheets from outputs they do not trust.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape as entities
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import markupsafe
import pandas as pd
from markupsafe import Markup
from rich.console import Console

INEXACT_FROM = 10**15  # whole numbers from here on lose digits in a spreadsheet

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
# Blanks, controls, and what takes no room: zero-width and bidirectional marks, fillers, variation selectors, tags.
_UNSEEN = (
    " \x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
_BEGINS = rf"'*(?:[{_UNSEEN}]*[{_SIGNS}])"
_OPEN = re.compile(rf"\A(?={_BEGINS}|'*[\t\r\n])|(?<=[;\t|\r\n])(?={_BEGINS})")
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


LINE = "rgba(128,128,128,.35)"  # a rule that shows on white and on black
# The ground of the page, in the names of JupyterLab, VS Code, Colab and marimo; a page of our own has the last of them.
_GROUND = "var(--jp-layout-color0,var(--vscode-editor-background,var(--colab-primary-surface-color,var(--background,Canvas))))"
# Style of what scrolls sideways: a shadow at the edge beyond which there is more, which a piece of ground covers at the end.
SIDEWAYS = Markup(
    "overflow-x:auto;background:"
    f"linear-gradient(to right,{_GROUND} 40%,transparent) left/36px 100% no-repeat local,"
    f"linear-gradient(to left,{_GROUND} 40%,transparent) right/36px 100% no-repeat local,"
    "linear-gradient(to right,rgba(128,128,128,.6),transparent) left/12px 100% no-repeat scroll,"
    "linear-gradient(to left,rgba(128,128,128,.6),transparent) right/12px 100% no-repeat scroll"
)
# Classes of every display: without them MathJax would set what stands between two dollar signs, links included.
IGNORE_MATH = "tex2jax_ignore mathjax_ignore"

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Marks that reorder the text around them. Zero-width joiners stay: emoji need them.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~$@]|:(?=//))")
_IDENTIFIER = re.compile(r"[\w.:~-]+")
_BLOCK = re.compile(r"^(\d{1,9})?([-+.)=])(?=[\s=-]|$)")  # a list, a rule or a heading, where a line begins with it
_CALL = re.compile(r"([@!#\]])")  # how a chat begins a mention, and ends the words of a link
_MENTION = re.compile(r"([@#]|\bwww(?=\.)|\bgh(?=-\d))", re.IGNORECASE)

# Where a word may be parted: after a joint, and within what is longer than a column is wide, such as an id.
_JOINT = re.compile(r"/(?=\w)|;(?=\S)|:(?=@)|\.(?=[^\W\d]{2})|_(?=[^\s_/.]{1,16}(?![^\s_/.]))")
_LONG = re.compile(r"[^\s\u200b]{16}(?=[^\s\u200b])")


def plain(value: Any, limit: int = 200) -> str:
    """Return one line of text without control, ANSI or reordering characters, cut after `limit` characters."""
    if isinstance(value, str) and len(value) <= limit and value.isascii() and value.isprintable():
        return " ".join(value.split())  # most texts are short and harmless, and there are many of them
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    text = _ANSI.sub("", str(value)[: limit * 8 + 64])  # a megabyte is not searched to show a line of it
    text = " ".join("".join(map(_visible, text)).split())
    return clip(text, limit)


def printable(value: object) -> str:
    """Return text with its lines and blanks as they are, without what a terminal would obey or hide."""
    lines = _ANSI.sub("", str(value)).splitlines()
    return "\n".join("".join(char if char == " " else _visible(char) for char in each) for each in lines)


def escape(value: object, limit: int = 200) -> Markup:
    """Return `plain` text, escaped for HTML content and quoted attributes; what is `Markup` already stays as it is."""
    return value if isinstance(value, Markup) else markupsafe.escape(plain(value, limit))


def html(template: str, *values: object, **named: object) -> Markup:
    """Fill the ``{}`` of a template of ours; what is no `Markup` is made plain and escaped."""
    return Markup(template).format(*map(escape, values), **{name: escape(value) for name, value in named.items()})


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """Return pieces as one; what is no `Markup` is made plain and escaped. `between` is ours."""
    return Markup(between).join(map(escape, parts))


def parted(value: object, limit: int = 200) -> Markup:
    """Return `escape` with the places marked where a line may end, as ``TOKEN_<wbr>EXPIRED``; they are not copied."""
    marked = _LONG.sub("\\g<0>\u200b", _JOINT.sub("\\g<0>\u200b", plain(value, limit)))
    return Markup("<wbr>").join(marked.split("\u200b"))


def cell(value: object) -> object:
    """Return text for a spreadsheet: without control characters, and with a guard where it would be run as a formula."""
    if not isinstance(value, str):
        return value
    return guard("".join(char for char in value if char in "\t\n" or unicodedata.category(char) not in {"Cc", "Cs"}))


def markdown(value: object, limit: int = 200) -> str:
    """Return `plain` text that Markdown shows as it is: no markup, no HTML, no link, no mention of a person or ticket."""
    text = _MARKDOWN.sub(r"\\\1", entities(plain(value, limit), quote=False))
    text = _BLOCK.sub(r"\1\\\2", text)
    # Ticket systems look for these in the shown text, where an escape no longer counts: a joiner no one sees parts them.
    return _MENTION.sub("\\1\u2060", text)


def chat(value: object) -> str:
    """Return `plain` text for a chat such as Slack: no mention of a person or a channel, and no link with a text of its own."""
    return _CALL.sub("\\1\u2060", entities(plain(value), quote=False))


def code(value: object) -> str:
    """Return an id as a code span of Markdown, to be copied and found as it is; what could be more than an id is `markdown`."""
    text = plain(value)
    return f"`{text}`" if _IDENTIFIER.fullmatch(text) else markdown(value)


def clip(text: str, limit: int) -> str:
    """Cut text to `limit` characters, the last of them an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def middle(value: object, limit: int = 16) -> str:
    """Return `plain` text with its middle cut out, as both ends tell ids apart: ``post_3x2s…xrogmqq``."""
    text = plain(value)
    tail = limit // 2
    return text if len(text) <= limit else f"{text[: limit - tail - 1]}…{text[-tail:]}"


def number(value: float | None) -> str:
    """Return a number with grouped digits, such as ``12,345``; an en dash where there is none."""
    return "–" if pd.isna(value) else f"{value:,.0f}"


def percent(share: float, digits: int = 1) -> str:
    """Return a share such as ``99.9 %``; 100 % means all."""
    return f"{100 * below_all(share, digits + 2):.{digits}f} %"


def below_all(share: float, digits: int) -> float:
    """Round a share so that 1 means all: 0.99996 is 0.9999, to four digits."""
    return 1.0 if share >= 1 else min(round(share, digits), 1 - 10**-digits)


def many(count: int, noun: str, plural: str = "") -> str:
    """Return such as ``1 post`` and ``2,000 posts``; `plural` is for nouns that take more than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Return seconds as a person says them: ``40 s``, ``4 min``, ``3.5 h``, ``2 days``."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"
    return f"{seconds / 86400:.0f} days"


def instant(at: datetime, *, day: bool = True, tz: str = "UTC", headed: bool = False) -> str:
    """Return a time in a zone, such as ``2026-11-03 14:02:10 UTC``, or without its day.

    The rule of all displays: a head (of a column, a display, an axis) names the zone once, as it was passed (`as_of`, `zoned`), and
    the times below it stand bare (`headed`). A time that stands by itself, in a sentence, among details or on hovering, has the
    short name that its zone has at that instant, such as CET. So has a time of an hour that is there twice, also below a head.
    """
    local = at.astimezone(ZoneInfo(tz))
    bare = headed and local.utcoffset() == local.replace(fold=1 - local.fold).utcoffset()
    return local.strftime(("%Y-%m-%d " if day else "") + "%H:%M:%S" + ("" if bare else " %Z"))


def zoned(head: str, tz: object) -> str:
    """Return the head of times with the name of their zone: ``created at (Europe/Berlin)``."""
    return f"{head} ({tz})"


def as_of(at: datetime, tz: str = "UTC") -> str:
    """Return the instant that heads a display, its zone by the name that was passed: ``2026-11-03 15:02:10 Europe/Berlin``."""
    return f"{at.astimezone(ZoneInfo(tz)):%Y-%m-%d %H:%M:%S} {tz}"


def table(
    heads: Sequence[object], rows: Iterable[Sequence[object]], *, numeric: frozenset[int] = frozenset()
) -> Markup:
    """Return a plain table; `numeric` columns align right."""

    def row(tag: str, cells: Sequence[object], style: str) -> Markup:
        template = f'<{tag} style="text-align:{{}};{style}">{{}}</{tag}>'
        aligned = (html(template, "right" if at in numeric else "left", content) for at, content in enumerate(cells))
        return html("<tr>{}</tr>", joined(aligned))

    head = row("th", heads, f"padding:2px 10px 2px 0;font-weight:600;border-bottom:1px solid {LINE}")
    body = joined(row("td", cells, "padding:2px 10px 2px 0;vertical-align:top") for cells in rows)
    return html(
        '<table class="{}" style="border-collapse:collapse;font-size:inherit;margin:0;background:none"><thead>{}</thead>'
        "<tbody>{}</tbody></table>",
        IGNORE_MATH,
        head,
        body,
    )


def _visible(char: str) -> str:
    """Turn white space into a blank and what can't be seen or trusted into a replacement mark."""
    if char.isspace():
        return " "
    if char in _BIDI or unicodedata.category(char) in {"Cc", "Cs"}:
        return "\ufffd"
    return char


class Terminal(Console):
    """A console that leaves a closed pipe to its command; rich would end the program with the exit status of an error."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError again."""
        raise BrokenPipeError


_ADDRESS = re.compile(r"\b(?:https?|wss?|ftp)://[^\s\"'<>`]*[^\s\"'<>`.,;:!?)\]]", re.IGNORECASE)
# What follows one of these is a token, however short; the group before it stays.
_KNOWN = re.compile(
    r"""
      (?P<slack>   ^/(?:services|workflows|triggers)/[^/]+/[^/]+/ ).+
    | (?P<discord> ^/api/(?:v\d+/)?webhooks/[^/]+/ ).+
    | (?P<telegram> ^/bot\d+ ):[^/]+
    | (?P<zapier>  ^/hooks/(?:catch|standard)/[^/]+/ ).+
    | (?P<ifttt>   ^/trigger/[^/]+/(?:json/)?with/key/ ).+
    | (?P<named>   /(?:token|key|secret|apikey|api-key|api_key|signature|sig|auth)/ )[^/]+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A part of a path that no person would choose: long, of letters and digits mixed, such as a UUID or a random token.
_RANDOM = re.compile(r"^(?=[^/]*\d)(?=[^/]*[A-Za-z])[A-Za-z0-9_.~=+:-]{16,}$")
_KEPT = 4  # characters of a random part that are shown, so that two endpoints of one host can be distinguished


def redact_address(url: object) -> str:
    """Return an address without user, password and fragment; its query and the tokens in its path become ``…``."""
    text = str(url)
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:  # no address at all, such as ``http://[``: nothing of it is known to be harmless
        return "…"
    scheme = f"{parts.scheme}://" if parts.netloc else f"{parts.scheme}:" if parts.scheme else ""
    path = parts.path if parts.netloc or not parts.scheme else parts.path.rpartition("@")[2]
    return f"{scheme}{host}{_redact_path(path)}{'?…' if parts.query else ''}"


def short_address(url: object) -> str:
    """Return an address as `redact_address` does, without its scheme, which tells no two endpoints apart."""
    return redact_address(url).removeprefix("https://").removeprefix("http://")


def redact_addresses(text: object) -> str:
    """Return a text whose addresses, such as those in an error message, are shown as `redact_address` does."""
    return _ADDRESS.sub(lambda found: redact_address(found[0]), str(text))


def _redact_path(path: str) -> str:
    """Return a path whose tokens are replaced."""
    path = _KNOWN.sub(lambda found: next(filter(None, found.groups())) + "…", path)
    parts = re.split("([/@])", path)  # an ``@`` stands between two parts of the addresses of some chats
    return "".join(f"{part[:_KEPT]}…" if _RANDOM.match(part) else part for part in parts)
