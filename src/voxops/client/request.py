"""One frozen request, the same bytes and the same key in every try; and the addresses that requests may go to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from voxops._support import safe
from voxops._support.canonical import canonical, is_well_formed
from voxops.api.assumptions import DEFAULT_URL, VERSION_HEADER
from voxops.client.secret import Secret
from voxops.errors import ConfigError, ValidationError

_TOKEN = re.compile("[!-~]{1,255}")  # undocumented; every published client sends 36 characters


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
    body: bytes | None = None,
    key: str | None = None,
    version: str | None = None,
    timeout: float | None = None,
    may_go: Callable[[], bool] | None = None,
) -> Call:
    """Return a frozen call; refuse what can't be encoded, a token that does not fit into a header, a path that leads out of the API."""
    if not isinstance(method, str) or not re.fullmatch("[A-Za-z]{1,20}", method):
        refuse("method", f"{_shown(method)} is not a valid method")
    headers = {}
    for header, name, value, code in (
        ("Idempotency-Key", "idempotency_key", key, "IDEMPOTENCY_INVALID_KEY"),
        (VERSION_HEADER, "version", version, "VALIDATION_ERROR"),
    ):
        if value is not None:
            if not isinstance(value, str) or not _TOKEN.fullmatch(value):
                refuse(name, "takes 1 to 255 ASCII characters without spaces", code)
            headers[header] = value
    query = {name: _query_text(name, value) for name, value in (params or {}).items() if value is not None}
    return Call(method.upper(), safe_path(path), query, headers, body, timeout, may_go)


def encoded(body: Any) -> bytes | None:
    """Return the bytes of a body, as sent; its own times are sent in UTC."""
    if isinstance(body, Mapping):
        body = {name: _instant(name, value) if isinstance(value, datetime) else value for name, value in body.items()}
    try:
        return None if body is None else canonical(body)
    except (TypeError, ValueError, RecursionError) as error:
        refuse("json", f"can't be encoded as JSON ({safe.plain(error)})")


def _instant(name: str, moment: datetime) -> str:
    """Return a time in UTC, as the API expects it; one without an offset is refused, not guessed (contract: SCH)."""
    if moment.utcoffset() is None:
        refuse(name, f"{_shown(moment)} has no offset; add one, such as 2026-03-02T09:00:00+01:00", "INVALID_DATE")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _query_text(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        return _instant(name, value)
    if isinstance(value, list | tuple):
        return ",".join(_query_text(name, part) for part in value)
    if not isinstance(value, str | int | float):
        refuse(name, f"a query takes text, numbers and times, not {type(value).__name__}")
    try:
        return str(value).lower() if isinstance(value, bool) else str(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        refuse(name, "the number has too many digits for a query")


def refuse(name: str, why: str, code: str = "VALIDATION_ERROR") -> NoReturn:
    """Raise a ValidationError of status 0: the request was not sent."""
    raise ValidationError(f"{name}: {why}; nothing was sent", status=0, code=code, details={"field": name})


def _shown(value: Any) -> str:
    """Return a value as messages quote it: shortened, without invisible characters."""
    try:
        return safe.plain(repr(value), 100)
    except ValueError:  # a number of thousands of digits
        return f"a {type(value).__name__}"


def filled(path: str, ids: Iterable[Any]) -> str:
    """Return a path with ids in the place of its variable parts, each quoted as one segment; any text is an id (contract: SCH)."""
    left, parts = iter(ids), path.split("/")
    for at, name in enumerate(parts):
        if name.startswith(":"):
            value = next(left)
            if not isinstance(value, str) or not value or not is_well_formed(value):
                refuse(name[1:], f"{_shown(value)} is not a valid id")
            parts[at] = quote(value, safe="")
    return "/".join(parts)


def safe_path(path: str) -> str:
    """Return a path below the API's address: with ``/v1``, unsafe characters escaped.

    Raises
    ------
    ConfigError
        If it is a full URL, which may name another host, or leads out of the API.
    ValidationError
        With status 0, if it can't be encoded.
    """
    if not isinstance(path, str) or not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise ConfigError(f"path={_shown(path)} must begin with one slash, such as /v1/posts; full URLs are refused")
    if {".", ".."} & set(path.split("/")):
        raise ConfigError(f"path={_shown(path)} leads out of the API")
    full = path if f"{path}/".startswith("/v1/") else f"/v1{path}"
    try:
        return quote(full, safe="/%:@!$&'()*+,;=~")
    except UnicodeEncodeError:
        refuse("path", "contains half of a surrogate pair, which can't be encoded")


def base_url(address: Secret) -> str:
    """Return the API's address without ``/v1`` and without a trailing slash (contract: section 1).

    Messages and tracebacks don't repeat it: it may be a misplaced key, or contain a password.

    Raises
    ------
    ConfigError
        If it is not an http address, or plain http to another machine.
    """
    url, fault = address.expose_to(_base_or_fault)
    if fault:
        raise ConfigError(f"url= {fault}")
    return url


def _base_or_fault(text: str) -> tuple[str, str]:
    odd = next((char for char in text if not "!" <= char <= "~"), None)
    if odd is not None:  # such as a zero-width space that was copied along with the address
        return "", f"contains the character U+{ord(odd):04X}, which no address has; type it, or copy it again"
    if text and "://" not in text:
        return "", f"has no scheme; write {DEFAULT_URL}"
    parts = _parsed(text)
    if parts is None or parts.scheme not in {"http", "https"}:
        return "", f"is not a valid web address; write it as {DEFAULT_URL}"
    if parts.userinfo:
        return "", "contains a user name or password; remove it, and pass the API key as api_key="
    if "?" in text or "#" in text:
        return "", f"has a part after ? or #; pass the plain address, such as {DEFAULT_URL}"
    if parts.scheme == "http" and not is_loopback(parts.host):
        return "", "is plain http, which would expose the API key to the network; use https"
    path = parts.raw_path.decode("ascii").rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc.decode('ascii')}{path}", ""


def _parsed(text: str) -> httpx.URL | None:
    """Return an address as the library that sends to it understands it; None if it is not valid."""
    try:
        url = httpx.URL(text)
        return url if re.fullmatch(r"[\w.:-]+", url.host, re.ASCII) and (url.port or 0) < 2**16 else None
    except (ValueError, httpx.InvalidURL):  # ValueError: a host whose Punycode is wrong
        return None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def upload_host(url: str, *, here: bool) -> tuple[str, str]:
    """Return the host of a presigned address, and what is wrong with it; a traceback from here would contain it.

    It must be https, unless both it and the API (`here`) are on this machine.
    """
    parts = _parsed(url) if url.isascii() else None
    if parts is None or parts.userinfo:
        return "", "not valid"
    if parts.scheme != "https" and not (here and parts.scheme == "http" and is_loopback(parts.host)):
        return "", "not https"
    return parts.host, ""
