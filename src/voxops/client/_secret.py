"""The API key, wrapped so that printing, inspecting or pickling an object never shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from voxops.errors import ConfigError

T = TypeVar("T")

_CODINGS = ("ascii", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")  # possible encodings of JSON
# Escapes of a key's characters in JSON, URLs and HTML. `_SIGNS` are searched first, by their first byte.
_SIGNS = {
    first: re.compile(re.escape(first) + rest)
    for first, rest in ((b"\\", rb"(?=u00[2-7]|x[2-7]|/)"), (b"%", rb"(?=[2-7][0-9a-fA-F])"), (b"&", rb"(?=#[0-9xX])"))
}
_FEW = 200  # such bytes, from one to the next of which it is faster to jump than to search
_ESCAPE = re.compile(rb"(?:\\u00|\\x|%)([2-7][0-9a-fA-F])|&#[xX]0*([2-7][0-9a-fA-F]);|&#0*([0-9]{2,3});|\\(/)")
_HIDING = re.compile(
    rb"\\u00(?:2[356]|5[cC])"
)  # JSON's escape of ``#``, ``%``, ``&`` or ``\``, behind which another may begin
_SHORTEST = 8  # characters; shorter text may occur in an answer by chance, so it is not redacted


class Secret:
    """A text that only `expose_to` reveals; its repr is ``***``.

    The constructor never raises, so that the caller can delete its own variable before `check` raises: a traceback with local
    variables then shows no key.

    Parameters
    ----------
    text : str or None
        The API key.
    """

    __slots__ = ("__weakref__", "_held")

    def __init__(self, text: str | None) -> None:
        held = text.strip() if isinstance(text, str) else ""
        self._held: Callable[[], str] = lambda: held

    def check(self) -> None:
        """Raise ConfigError if there is no text, or one that does not fit into a header."""
        problem = self.expose_to(_problem)
        if problem:
            raise ConfigError(problem)

    def expose_to(self, function: Callable[[str], T]) -> T:
        """Return the result of a function of the text."""
        return function(self._held())

    def redact(self, data: bytes) -> bytes:
        """Return the data without the text, also without its escaped and UTF-16 forms, since servers echo rejected input.

        What held an escaped form becomes UTF-8.
        """
        # The text is never in a local variable: a traceback might print it.
        if len(self._held()) < _SHORTEST:
            return data
        for coding in _CODINGS if b"\0" in data else ("ascii",):
            data = data.replace(self._held().encode(coding), "***".encode(coding))
        coding = json.detect_encoding(data)
        # Text that begins with a null byte only looks like UTF-16, so it is also read as it is.
        for plain in (data,) if coding.startswith("utf-8") else (data.decode(coding, "replace").encode(), data):
            if not _may_have_escapes(plain):
                continue
            flat = _ESCAPE.sub(_unescaped, plain)
            if self._held().encode() in flat:
                return flat.replace(self._held().encode(), b"***")
            if _HIDING.search(plain):
                with suppress(ValueError, RecursionError):  # not JSON
                    value = json.loads(plain)
                    shown = self.redact_json(value)
                    if shown != value:
                        return json.dumps(shown).encode()
        return data

    def redact_json(self, value: Any) -> Any:
        """Return a decoded value with the text redacted in its strings and names."""
        if isinstance(value, str):
            return self.redact(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        try:
            if isinstance(value, Mapping):
                return {self.redact_json(name): self.redact_json(inner) for name, inner in value.items()}
            return [self.redact_json(inner) for inner in value] if isinstance(value, list) else value
        except RecursionError:  # thousands of nested lists
            return "…"

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key can't be pickled; create a new client instead")


def _may_have_escapes(data: bytes) -> bool:
    """Whether any of `_SIGNS` is in the data; pages of a list are large, and mostly have few of their bytes."""
    for first, sign in _SIGNS.items():
        at = data.find(first)
        for _ in range(_FEW):
            if at < 0 or sign.match(data, at):
                break
            at = data.find(first, at + 1)
        if at >= 0 and sign.search(data, at):
            return True
    return False


def _unescaped(escape: re.Match[bytes]) -> bytes:
    """Return the character of an escape if it can be part of a key, else the escape itself."""
    if escape[4]:
        return escape[4]
    code = int(escape[3]) if escape[3] else int(escape[1] or escape[2], 16)
    char = chr(code)
    return char.encode() if char.isascii() and (char.isalnum() or char in "_-.~+/=") else escape[0]


def _problem(text: str) -> str:
    """Return why a text can't be an API key, empty if it can."""
    if not text:
        return "no API key: set VOXBURST_API_KEY or pass api_key="
    if not (text.isascii() and text.isprintable() and " " not in text):
        return "the API key contains spaces or invalid characters; copy it again from the dashboard"
    return ""
