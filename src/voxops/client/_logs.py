"""What the HTTP library writes into logs, without what must not stand there.

The library logs reason phrases and headers of answers before anybody else sees them, and a server may repeat there what it was sent: the
API key, or the signature of an upload.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxops.client._secret import Secret

__all__ = ["keep_from_logs", "kept_from_logs"]

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")
_CHANGING = threading.Lock()
_secrets: weakref.WeakSet[Secret] = weakref.WeakSet()


def _held() -> list[Secret]:
    """The secrets that anybody holds now."""
    with _CHANGING:
        return list(_secrets)


class _Redacting(logging.Filter):
    """Redacts every secret in what is logged; a record without one stays as it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
            shown = said
            for secret in _held():
                shown = secret.redact_json(shown)
        except Exception:  # noqa: BLE001  the caller sends a request, which no log may break
            said, shown = "", "a record that can't be shown"
        if shown != said:
            record.msg, record.args = shown, ()
        return True


_REDACTING = _Redacting()


def keep_from_logs(secret: Secret) -> None:
    """Keep a secret out of the logs of the HTTP library for as long as anybody holds it."""
    with _CHANGING:
        _secrets.add(secret)
    for name in _LOGGERS:  # a filter is no part of what loggers hand down to others
        logging.getLogger(name).addFilter(_REDACTING)


@contextmanager
def kept_from_logs(secret: Secret) -> Iterator[None]:
    """Keep a secret out of those logs within a block, which holds it."""
    keep_from_logs(secret)
    yield
