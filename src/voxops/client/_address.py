"""Addresses and paths, checked before use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import SplitResult, quote, urlsplit

from voxops._support import safe
from voxops._support.canonical import is_well_formed
from voxops.api.assumptions import DEFAULT_URL
from voxops.api.limits import ADDRESS_CHARACTERS
from voxops.errors import ConfigError, ValidationError

_NOT_VALID = f"url= is not a valid web address; write it as {DEFAULT_URL}"
# Messages repeat an address only if it is plainly a host: anything else may be a misplaced key, or contain a password.
_PLAIN = re.compile(
    r"(https?://)?(localhost|([a-z0-9-]+\.)+[a-z]{2,}|([0-9]{1,3}\.){3}[0-9]{1,3})(:[0-9]{1,5})?(/v1)?/?"
)


def refuse(name: str, why: str, code: str = "VALIDATION_ERROR") -> NoReturn:
    """Raise a ValidationError of status 0: the request was not sent."""
    raise ValidationError(f"{name}: {why}; nothing was sent", status=0, code=code, details={"field": name})


def shown(value: Any) -> str:
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
            one = next(left)
            if not isinstance(one, str) or not one or not is_well_formed(one):
                refuse(name[1:], f"{shown(one)} is not a valid id")
            parts[at] = quote(one, safe="")
    return "/".join(parts)


def base_url(url: str) -> str:
    """Return the API's address without ``/v1`` and without a trailing slash (contract: section 1).

    Raises
    ------
    ConfigError
        If it is not an http address, or plain http to another machine.
    """
    text = url.strip() if isinstance(url, str) else ""
    odd = next((char for char in text if not ("!" <= char <= "~")), None)
    if odd is not None:  # such as a zero-width space that was copied along with the address
        raise ConfigError(
            f"url= contains the character U+{ord(odd):04X}, which no address has; type it, or copy it again"
        )
    if not text or len(text) > ADDRESS_CHARACTERS:
        raise ConfigError(_NOT_VALID)
    plain = _PLAIN.fullmatch(text) is not None
    if "://" not in text:
        raise ConfigError(f"url={text!r} has no scheme; write https://{text}" if plain else _NOT_VALID)
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or "\\" in text:
        raise ConfigError(_NOT_VALID)
    if "@" in parts.netloc:
        raise ConfigError("url= contains a user name or password; remove it, and pass the API key as api_key=")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ConfigError(f"url= has a part after ? or #; pass the plain address, such as {DEFAULT_URL}")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        said = f"url={text!r}" if plain else "url="
        raise ConfigError(f"{said} is plain http, which would expose the API key to the network; use https")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"


def _split(text: str) -> SplitResult | None:
    """Return the parts of an address, None if it is not valid."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    # Text beside host and port, such as in `[::1].evil.example`, means another host to other parsers.
    shown = f"[{host}]" if ":" in host else host
    wanted = {shown, f"{shown}:"} if port is None else {f"{shown}:{port}"}
    return parts if parts.netloc.rpartition("@")[2].lower() in wanted else None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Return whether an address points to this machine."""
    parts = _split(url)
    return parts is not None and is_loopback(parts.hostname or "")


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
        raise ConfigError(f"path={shown(path)} must begin with one slash, such as /v1/posts; full URLs are refused")
    if any(part in (".", "..") for part in path.split("/")):
        raise ConfigError(f"path={shown(path)} leads out of the API")
    full = path if path == "/v1" or path.startswith("/v1/") else f"/v1{path}"
    try:
        quoted = quote(full, safe="/%:@!$&'()*+,;=~")
    except UnicodeEncodeError:
        refuse("path", "contains half of a surrogate pair, which can't be encoded")
    if len(quoted) > ADDRESS_CHARACTERS:
        refuse("path", f"{len(quoted):,} characters, {ADDRESS_CHARACTERS:,} allowed")
    return quoted


def upload_host(url: str, *, api: str) -> str:
    """Return the host of a presigned address.

    Raises
    ------
    ConfigError
        If it is not https, unless both it and the API are on this machine.
    """
    fits = isinstance(url, str) and len(url) <= ADDRESS_CHARACTERS and all("!" <= char <= "~" for char in url)
    parts = _split(url) if fits else None
    if parts is None or "@" in parts.netloc:
        raise ConfigError("the API answered with an upload address that is not valid; nothing was uploaded")
    host = parts.hostname or ""
    here = parts.scheme == "http" and is_loopback(host) and is_loopback_url(api)
    if parts.scheme != "https" and not here:
        raise ConfigError("the API answered with an upload address that is not https; nothing was uploaded")
    return host
