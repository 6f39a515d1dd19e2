"""Messages without what differs from one failure to the next: two failures with the same template have one cause."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["SPACE", "message_template"]

_LONGEST = 120  # characters of a message that a cause keeps
_READ = 2000  # characters of a message that are looked at; what comes later can't tell causes apart

# Parts of a message that differ from one failure to the next; the name of the group that fits takes their place. A message is
# read word by word, so that words which repeat cost nothing; every repetition is bounded or over disjoint classes, so that
# hostile text can't make the search slow.
_QUOTED = re.compile(r"""\"[^"\n]{0,400}\"|“[^”\n]{0,400}”|`[^`\n]{0,400}`|(?<!\w)'[^'\n]{0,400}'(?!\w)""")
_VARIABLE = re.compile(
    r"""
      (?P<url>  \b[a-z][a-z0-9+.-]{1,20}://[^"'<>]+ )
    | (?P<mail> \b[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{2,63} )
    | (?P<name> (?<!\w)@\w[\w.-]{0,63}\w )
    | (?P<time> \b\d{4}-\d\d-\d\d(?:t[\d:.]{4,20})?(?:z|utc|[+-]\d\d:?\d\d)?\b | \b\d\d:\d\d:\d\d(?:\.\d+)?z?\b )
    | (?P<id>   \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b
              | \b0x[0-9a-f]+\b
              | \b[a-z]{1,12}_[a-z]*\d\w*\b
              | \b(?=[a-z]{0,40}\d)(?=\d{0,40}[a-z])[a-z0-9]{8,}\b
              | \b(?=[a-z]{0,40}(?:[bcdfghjklmnpqrstvwxz]{5}|[jq][^aeiou\W]))[a-z]{12,}\b )
    | (?P<n>    [+-]?\d[\d.,:/]*\d%? | \d+%? )
    """,
    re.VERBOSE | re.IGNORECASE,
)
SPACE = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]+")


def message_template(message: str | None) -> str:
    """Return a message without its variable parts, in one line of at most 120 characters.

    Neighbours that become the same placeholder become one.

    Addresses, quoted text, @names, times, ids and numbers are replaced by ``<url> <mail> <text> <name> <time> <id> <n>``.
    """
    if message is None:
        return ""
    text, before = message[:_READ], None
    while text != before:  # a placeholder may lay bare what stood beside a number, such as a name
        before, text = text, _with_placeholders(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"


def _with_placeholders(text: str) -> str:
    """A text with its variable parts replaced as far as they are seen, in one line."""
    words = [_without_variables(word) for word in SPACE.split(_QUOTED.sub("<text>", text)) if word]
    return " ".join(word for at, word in enumerate(words) if not (at and word[0] == "<" and word == words[at - 1]))


@lru_cache(maxsize=10_000)
def _without_variables(word: str) -> str:
    """A word with its variable parts replaced."""
    return _VARIABLE.sub(lambda found: f"<{found.lastgroup}>", word)
