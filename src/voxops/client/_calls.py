"""One frozen request: the same bytes and the same key in every try."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from voxops._support import safe
from voxops._support.canonical import canonical
from voxops.api.assumptions import VERSION_HEADER
from voxops.client._address import refuse, safe_path, shown
from voxops.errors import ConflictError

_REMEMBERED = 10_000  # keys
_LONGEST_NUMBER = 1_000  # bits
_TOKEN = re.compile("[!-~]{1,255}")  # undocumented; every published client sends 36 characters
_METHOD = re.compile("[A-Z]{1,20}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes
    ----------
    method, path : str
        Method in upper case; path below the API's address.
    query, headers : mapping
        As sent, without those that the transport adds.
    body : bytes or None
        As sent.
    resend : bool
        Whether it may be sent again when its outcome is unknown.
    timeout : float or None
        Seconds until the answer is complete; None means the client's own timeout.
    may_go : callable or None
        Precondition, checked on the open connection just before the first byte is sent; if False, the call is not sent.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)
    resend: bool = False
    timeout: float | None = None
    may_go: Callable[[], bool] | None = field(default=None, repr=False)

    @property
    def reads(self) -> bool:
        """Whether it only reads."""
        return self.method in {"GET", "HEAD"}


def freeze(
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    key: str | None = None,
    version: str | None = None,
    timeout: float | None = None,
) -> Call:
    """Return a frozen call; refuse what can't be encoded, a token that does not fit into a header, a path that leads out of the API."""
    if not isinstance(method, str) or not _METHOD.fullmatch(method.upper()):
        refuse("method", f"{shown(method)} is not a valid method")
    headers = {
        header: _token(name, value, code)
        for header, name, value, code in (
            ("Idempotency-Key", "idempotency_key", key, "IDEMPOTENCY_INVALID_KEY"),
            (VERSION_HEADER, "version", version, "VALIDATION_ERROR"),
        )
        if value is not None
    }
    query = {name: _text(name, value) for name, value in (params or {}).items() if value is not None}
    body = None if json is None else _encoded(json)
    return Call(method.upper(), safe_path(path), query, headers, body, timeout=timeout)


class KeyBook:
    """The latest 10,000 keys and their requests: a key is never sent with a second request."""

    def __init__(self) -> None:
        self._uses: OrderedDict[str, bytes] = OrderedDict()

    def check(self, call: Call) -> None:
        """Record the key of a call; a ConflictError with status 0 if it was used for another request."""
        key = call.headers.get("Idempotency-Key")
        if key is None:
            return
        use = sha256(b"\0".join((call.method.encode(), call.path.encode(), call.body or b""))).digest()
        if self._uses.setdefault(key, use) != use:
            text = f"idempotency_key was already used for a request other than this {call.method} {call.path}; nothing was sent"
            raise ConflictError(text, status=0, code="IDEMPOTENCY_CONFLICT")
        self._uses.move_to_end(key)
        if len(self._uses) > _REMEMBERED:
            self._uses.popitem(last=False)


def _instant(name: str, moment: datetime) -> str:
    """Return a time in UTC, as the API expects it; one without an offset is refused, not guessed (contract: SCH)."""
    if moment.utcoffset() is None:
        refuse(name, f"{shown(moment)} has no offset; add one, such as 2026-03-02T09:00:00+01:00", "INVALID_DATE")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encoded(body: Any) -> bytes:
    """Return the bytes of a body, as sent; its own times are sent in UTC."""
    if isinstance(body, Mapping):
        body = {name: _instant(name, value) if isinstance(value, datetime) else value for name, value in body.items()}
    try:
        return canonical(body)
    except (TypeError, ValueError, RecursionError) as error:
        refuse("json", f"can't be encoded as JSON ({safe.plain(error)})")


def _token(name: str, value: Any, code: str) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        refuse(name, "takes 1 to 255 ASCII characters without spaces", code)
    return value


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _instant(name, value)
    if isinstance(value, int) and abs(value).bit_length() > _LONGEST_NUMBER:
        refuse(name, "the number has too many digits for a query")
    if isinstance(value, str | int | float):
        return str(value)
    if not isinstance(value, Sequence):
        refuse(name, f"a query takes text, numbers and times, not {type(value).__name__}")
    return ",".join(_text(name, each) for each in value)
