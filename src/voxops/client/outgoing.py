"""Outgoing reports: JSON to an address that the user has given, without the API key; redirects are not followed."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from voxops._support import eventloop
from voxops.api.limits import ADDRESS_CHARACTERS
from voxops.client._address import is_loopback
from voxops.client._logs import kept_from_logs
from voxops.client._transport import connections
from voxops.errors import ConfigError, TransportError

_PATIENCE = 30.0  # seconds for the whole request


def checked_address(option: str, url: str) -> str:
    """Return a valid address for reports; its path may be a secret, so no message quotes it.

    Raises
    ------
    ConfigError
        If it is not https (plain http only to this machine), or contains a user name.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna"), httpx.URL(text).host  # both raise if the host can't be encoded
    except (ValueError, httpx.InvalidURL):
        host = None
    odd = not text.isascii() or not text.isprintable() or " " in text or len(text) > ADDRESS_CHARACTERS
    if host is None or odd or parts.scheme not in {"http", "https"}:
        raise ConfigError(f"{option} takes a web address, such as https://hooks.example/abc")
    if "@" in parts.netloc:
        raise ConfigError(f"{option} contains a user name or password; remove it")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(f"{option} is plain http to {host}, which would expose the report to the network; use https")
    return text


def post_json(url: str, body: bytes) -> int:
    """Send JSON once and return the status, a 2xx: the receiver has accepted it.

    Raises
    ------
    TransportError
        If no answer was received, or one that is not a 2xx; redirects are not followed.
    ConfigError
        If a proxy of the environment can't be used.
    """
    host = urlsplit(url).hostname or ""
    try:
        with kept_from_logs(urlsplit(url)._replace(scheme="", netloc="").geturl()):
            status = eventloop.run(_status(url, body, trust_env=not is_loopback(host)))
    except (httpx.HTTPError, TimeoutError, ValueError) as error:
        raise TransportError(
            f"{host} did not accept the report ({type(error).__name__}); it will be sent again"
        ) from None
    if not 200 <= status < 300:
        raise TransportError(f"{host} answered {status} and did not accept the report; it will be sent again")
    return status


async def _status(url: str, body: bytes, *, trust_env: bool) -> int:
    """Send a body and return the status; the answer's body may be of any size and is not read."""
    headers = {"Content-Type": "application/json"}
    async with (
        asyncio.timeout(_PATIENCE),
        connections(_PATIENCE, 1, trust_env=trust_env) as connection,
        connection.stream("POST", url, content=body, headers=headers, auth=httpx.Auth()) as answer,
    ):
        return answer.status_code
