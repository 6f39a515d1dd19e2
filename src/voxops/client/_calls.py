"""One request, frozen: the same bytes under the same key over all its tries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from voxops._support import safe
from voxops._support.canonical import canonical
from voxops.api.assumptions import VERSION_HEADER
from voxops.client import _checks as checks
from voxops.client._address import safe_path
from voxops.errors import ConflictError

__all__ = ["READS", "Call", "KeyBook", "encoded", "freeze"]

READS = frozenset({"GET", "HEAD"})
_REMEMBERED = 10_000  # keys
_LONGEST_NUMBER = 1_000  # bits


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes
    ----------
    method, path : str
        In upper case; below the API's address.
    query, headers : mapping
        As they are sent, without what the transport adds.
    body : bytes or None
        As it is sent.
    resend : bool
        Whether it may be sent again when nobody knows if it took effect.
    timeout : float or None
        Seconds for each next byte, None for the client's own.
    may_go : callable or None
        Asked when the connection stands, just before the first byte leaves; the call is not sent if it says no.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)
    resend: bool
    timeout: float | None = None
    may_go: Callable[[], bool] | None = field(default=None, repr=False)

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method in READS


def freeze(
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    key: str | None = None,
    version: str | None = None,
    resend: bool = False,
    timeout: float | None = None,
) -> Call:
    """Make a call.

    Raises
    ------
    ValidationError
        With status 0, if the query or the body can't be written, or a token does not fit into a header.
    ConfigError
        If the path is not one of the API's.
    """
    verb = checks.check_method(method)
    headers = {} if key is None else {"Idempotency-Key": checks.check_key(key)}
    if version is not None:
        headers[VERSION_HEADER] = checks.check_token("version", version)
    query = {name: _text(name, value) for name, value in (params or {}).items() if value is not None}
    return Call(verb, safe_path(path), query, headers, None if json is None else encoded(json), resend, timeout)


class KeyBook:
    """Which request each key was used for, so that a key is never sent with another one; the latest ten thousand keys."""

    def __init__(self) -> None:
        self._uses: OrderedDict[str, bytes] = OrderedDict()

    def check(self, call: Call) -> None:
        """Note the key of a call.

        Raises
        ------
        ConflictError
            With status 0, if it was used for another request.
        """
        key = call.headers.get("Idempotency-Key")
        if key is None:
            return
        use = sha256(b"\0".join((call.method.encode(), call.path.encode(), call.body or b""))).digest()
        if self._uses.setdefault(key, use) != use:
            text = f"idempotency_key was used for another request than this {call.method} {call.path}; nothing was sent"
            raise ConflictError(text, status=0, code="IDEMPOTENCY_CONFLICT")
        self._uses.move_to_end(key)
        if len(self._uses) > _REMEMBERED:
            self._uses.popitem(last=False)


def encoded(body: Any) -> bytes:
    """A body as the bytes that are sent."""
    try:
        return canonical(body)
    except (TypeError, ValueError, RecursionError) as error:
        checks.refuse("json", f"can't be written as JSON ({safe.plain(error)})")


def _text(name: str, value: Any) -> str:
    """A query value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return checks.instant(name, value)
    if isinstance(value, int) and abs(value).bit_length() > _LONGEST_NUMBER:
        checks.refuse(name, "is a number of more digits than a query takes")
    if isinstance(value, str | int | float):
        return str(value)
    if not isinstance(value, Sequence):
        checks.refuse(name, f"a query takes text, numbers and times, not {type(value).__name__}")
    return ",".join(_text(name, each) for each in value)
