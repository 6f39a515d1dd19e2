"""Redaction of secrets in the logs of the HTTP library, and in our own.

The library logs reason phrases and headers of answers before the client can redact them. A server may echo the API key or the
signature of an upload there.
"""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from voxops.client._secret import Secret

_LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks",
    "voxops", "voxops.client", "voxops.engine", "voxops.ledger", "voxops.views",
)  # fmt: skip
_CHANGING = threading.Lock()
_secrets: weakref.WeakSet[Secret] = weakref.WeakSet()


def _live_secrets() -> list[Secret]:
    with _CHANGING:
        return sorted(_secrets, key=lambda secret: -secret.expose_to(len))  # a whole before its parts


class _Redacting(logging.Filter):
    """Redacts every secret in log records; a record without one stays unchanged."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
            shown = said
            for secret in _live_secrets():
                shown = secret.redact_json(shown)
        except Exception:  # noqa: BLE001  a fault of logging must not fail the request
            said, shown = "", "a record that can't be shown"
        if shown != said:
            record.msg, record.args = shown, ()
        return True


_REDACTING = _Redacting()


def keep_from_logs(secret: Secret) -> None:
    """Keep a secret out of the logs of the HTTP library for as long as it is referenced."""
    with _CHANGING:
        _secrets.add(secret)
    for name in _LOGGERS:  # child loggers don't inherit a filter
        logging.getLogger(name).addFilter(_REDACTING)


@contextmanager
def kept_from_logs(address: str) -> Iterator[None]:
    """Keep the secret end of an address out of those logs within a block: the whole, and each name and value in it."""
    parts = {address, *re.split("[/?&=#;]", address)}
    secrets = [Secret(text) for part in parts for text in {part, unquote(part)}]
    for secret in secrets:
        keep_from_logs(secret)
    yield
