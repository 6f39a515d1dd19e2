"""The API key, wrapped so that no object, traceback, log or answer of a server shows it."""

from __future__ import annotations

import json
import logging
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from typing import Any, NoReturn, TypeVar
from urllib.parse import unquote

from voxops.errors import ConfigError

T = TypeVar("T")

_CODINGS = ("ascii", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")  # possible encodings of JSON
# Escapes of JSON, URLs and HTML; layers of one kind are undone together, so that long chains of them take no longer.
_ESCAPE = re.compile(
    rb"[%\\&](?:(?:(?<=%)(?:25)*|(?<=\\)\\*(?:u00|x))([2-7][0-9a-fA-F])|(?<=\\)\\*(/)|(?<=\\)\\+|(?<=&)(?:amp;)*(#?\w{1,31};?))"
)
# How each kind begins, with a literal byte, for which the search jumps: most pages have none, and a substitution would read every byte.
_SIGNS = (re.compile(rb"%[2-7][0-9a-fA-F]"), re.compile(rb"\\(?:[\\/x]|u00)"), re.compile(rb"&#?\w{1,31};?"))
_LAYERS = 9  # of other kinds that may lie behind each other
_SHORTEST = 8  # characters; shorter text may occur in an answer by chance, so it is not redacted


class Secret:
    """A text that only `expose_to` reveals; its repr is ``***``.

    The constructor never raises, so that the caller can delete its own variable before `check` raises: a traceback with local
    variables then shows no key.

    Parameters
    ----------
    text : str, Secret or None
        The API key, or an address that may contain a password or be a misplaced key.
    """

    __slots__ = ("__weakref__", "_held")

    def __init__(self, text: str | Secret | None) -> None:
        held = text.strip() if isinstance(text, str) else ""
        self._held: Callable[[], str] = text._held if isinstance(text, Secret) else lambda: held

    def check(self) -> None:
        """Raise ConfigError if there is no text, or one that does not fit into a header."""
        if not self._held():
            raise ConfigError("no API key: set VOXBURST_API_KEY or pass api_key=; vx.connect(sandbox=True) needs none")
        if not self.expose_to(re.compile("[!-~]+").fullmatch):
            raise ConfigError("the API key contains spaces or invalid characters; copy it again from the dashboard")

    def expose_to(self, function: Callable[[str], T]) -> T:
        """Return the result of a function of the text."""
        return function(self._held())

    def redact(self, data: bytes) -> bytes:
        """Return the data without the text, also without its escaped and UTF-16 forms, because servers echo rejected input.

        What held an escaped form becomes UTF-8.
        """
        # The text is never in a local variable: a traceback might print it.
        if len(self._held()) < _SHORTEST:
            return data
        for coding in _CODINGS if b"\0" in data else ("ascii",):
            data = data.replace(self._held().encode(coding), "***".encode(coding))
        # Text that begins with a null byte only looks like UTF-16, so it is also read as it is.
        coding = json.detect_encoding(data)
        for plain in (data,) if coding == "utf-8" else (data, data.decode(coding, "replace").encode()):
            flat = plain
            for _ in range(_LAYERS):
                if not any(sign.search(flat) for sign in _SIGNS):
                    break
                before, flat = flat, _ESCAPE.sub(_unescaped, flat)
                if flat == before:
                    break
            if self._held().encode() in flat:
                try:
                    return json.dumps(self.redact_json(json.loads(plain))).encode()
                except (ValueError, RecursionError):  # not JSON
                    return flat.replace(self._held().encode(), b"***")
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


def _unescaped(escape: re.Match[bytes]) -> bytes:
    """Return the character of an escape if it can be part of a key, else the escape itself."""
    code, slash, entity = escape.groups()
    if code:
        return bytes.fromhex(code.decode())
    if entity and (char := unescape(f"&{entity.decode()}")).isascii():
        return char.encode()
    return slash or escape[0]


# The HTTP library logs reason phrases and headers of answers before the client can redact them.
_LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks",
    "voxops", "voxops.client", "voxops.engine", "voxops.ledger", "voxops.views",
)  # fmt: skip
_changing = threading.Lock()
_secrets: weakref.WeakSet[Secret] = weakref.WeakSet()


class _Redacting(logging.Filter):
    """Redacts every secret in log records; a record without one stays unchanged."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = shown = record.getMessage()
            with _changing:
                secrets = sorted(_secrets, key=lambda secret: -secret.expose_to(len))  # a whole before its parts
            for secret in secrets:
                shown = secret.redact_json(shown)
        except Exception:  # noqa: BLE001  a fault of logging must not fail the request
            text, shown = "", "a record that can't be shown"
        if shown != text:
            record.msg, record.args = shown, ()
        return True


_REDACTING = _Redacting()


def keep_from_logs(*secrets: Secret) -> None:
    """Keep secrets out of the logs of the HTTP library and of our own for as long as they are referenced."""
    with _changing:
        _secrets.update(secrets)
    for name in _LOGGERS:  # child loggers don't inherit a filter
        logging.getLogger(name).addFilter(_REDACTING)


@contextmanager
def kept_from_logs(query: str) -> Iterator[None]:
    """Keep the query of an address out of those logs within a block: the whole, and each name and value in it."""
    parts = {query, *re.split("[/?&=#;]", query)}
    secrets = [Secret(text) for part in parts for text in {part, unquote(part)}]
    keep_from_logs(*secrets)
    yield
