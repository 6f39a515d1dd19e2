"""The HTTP connections. Two modules use the HTTP library; only this one has access to the API key.

Only `Transport.send` sends the API key, to the API's own address. Redirects are not followed, cookies not stored.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from voxops.api.fields import refuse
from voxops.api.limits import ANSWER_BYTES, STORAGE_ANSWER_BYTES
from voxops.client._address import upload_host
from voxops.client._body import ENCODINGS, read_body
from voxops.client._calls import Call
from voxops.client._logs import keep_from_logs, kept_from_logs
from voxops.client._reply import Reply
from voxops.client._secret import Secret
from voxops.errors import ConfigError, TransportError

_UPLOADS = 4  # connections to the storage host
_WHOLE = 10.0  # time for a whole answer, as a multiple of the timeout for one byte
_SLOWEST = 16 * 1024  # bytes per second; a slower upload is abandoned
# Headers that object stores sign; the API's other headers are not sent to the storage host.
_STORAGE_HEADERS = frozenset({
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
    "if-none-match",
})  # fmt: skip
_STORAGE_PREFIXES = ("x-amz-", "x-goog-", "x-ms-")


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The limits of one answer: `seconds` in total, `size` bytes decompressed."""

    seconds: float
    size: int


# A cached answer proves nothing about the current state (rule 14).
_HEADERS = {"Accept": "application/json", "Cache-Control": "no-cache", "Content-Type": "application/json"}


class Transport:
    """Connections to the API and to the storage host; neither receives the other's headers.

    `url` is as from `base_url`. `timeout` is for a connection, or for the next byte; a whole answer may take ten times that.
    """

    def __init__(
        self,
        secret: Secret,
        url: str,
        *,
        timeout: float,
        concurrency: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self._secret = secret
        keep_from_logs(secret)
        self._timeout = timeout
        self._concurrency = concurrency
        self._through = transport
        self.renew()
        if _request(self._api, "GET", url) is None:
            raise ConfigError("url= is not a valid web address")

    def renew(self) -> None:
        """Open new pools, without closing connections of another event loop or process."""
        # A loopback API ignores proxies of the environment: they would carry plain http off this machine.
        outside = urlsplit(self.url).scheme == "https"
        self._api = connections(self._timeout, self._concurrency, trust_env=outside, transport=self._through)
        self._storage = connections(self._timeout, _UPLOADS, trust_env=outside, transport=self._through)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.aclose()
        await self._storage.aclose()

    async def send(self, call: Call) -> Reply:
        """Send a call to the API once, and return the answer whatever its status.

        Raises
        ------
        TransportError
            If no answer was received; `sent` says whether the request may have arrived.
        ValidationError
            With status 0, if the request can't be encoded.
        """
        timeout = self._timeout if call.timeout is None else call.timeout
        request = _request(
            self._api,
            call.method,
            self.url + call.path,
            params=dict(call.query) if call.query else None,
            headers={**_HEADERS, **call.headers},
            content=call.body,
            timeout=timeout,
        )
        if request is None:  # raised before the header with the key exists: no traceback can show it
            refuse("query", "can't be encoded: it is too long, or contains half of a surrogate pair")
        endpoint = f"{call.method} {call.path}"
        request.headers["Authorization"] = self._secret.expose_to("Bearer {}".format)
        if call.may_go is not None:
            request.extensions["trace"] = _precondition(call.may_go, has_body=bool(call.body))
        outcome = await self._exchange(self._api, request, endpoint, _Bounds(timeout * _WHOLE, ANSWER_BYTES))
        del request
        # Raised here, not in `_exchange`: the frames of the HTTP library contain the key.
        if isinstance(outcome, Exception) and not isinstance(outcome, TransportError):
            # A fault of the library or of this machine, such as no memory: the engine must treat the outcome as unknown.
            raise TransportError(f"{endpoint}: no answer could be read ({type(outcome).__name__})")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def put(self, url: str, headers: Mapping[str, str], content: AsyncIterable[bytes], size: int) -> Reply:
        """Put bytes to a presigned address once, without API key and cookies.

        Raises
        ------
        ConfigError
            If the address is not valid; see `upload_host`.
        TransportError
            If no answer was received.
        """
        host = upload_host(url, api=self.url)
        wanted = {**_storage_headers(headers), "Content-Length": str(size)}
        request = _request(self._storage, "PUT", url, headers=wanted, content=content, timeout=self._timeout)
        if request is None:
            raise ConfigError("the API answered with an upload address that is not valid; nothing was uploaded")
        request.url = _Unsigned(request.url)
        bounds = _Bounds(self._timeout * _WHOLE + size / _SLOWEST, STORAGE_ANSWER_BYTES)
        with kept_from_logs(
            urlsplit(url).query
        ):  # the Location header of a redirect repeats it, and errors repeat parts
            outcome = await self._exchange(self._storage, request, f"PUT to {host}", bounds)
        del request
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _exchange(
        self, connections: httpx.AsyncClient, request: httpx.Request, endpoint: str, bounds: _Bounds
    ) -> Reply | BaseException:
        """Send the request; the only place that does. Failures are returned, since a traceback from here would contain the key."""
        try:
            async with asyncio.timeout(bounds.seconds):
                answer = await connections.send(request, stream=True)
                try:
                    encoding = answer.headers.get("content-encoding", "")
                    body, broken = await read_body(answer.aiter_raw(), encoding, bounds.size)
                finally:
                    await answer.aclose()
        except _TooLateError as error:
            what = "aborted before its body was sent" if error.begun else "not sent"
            return TransportError(f"{endpoint}: {what}, because its deadline passed first", sent=error.begun)
        except (httpx.HTTPError, zlib.error, EOFError, TimeoutError) as error:
            proxied = connections.trust_env and _has_proxy(request.url)
            return _explained(error, request, endpoint, bounds, proxied=proxied)
        except BaseException as error:  # noqa: BLE001  the caller raises it
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        headers = self._secret.redact_json({name.lower(): value for name, value in answer.headers.items()})
        return Reply(endpoint, answer.status_code, headers, self._secret.redact(body), broken)


class _TooLateError(Exception):
    """The precondition of a call is no longer true; `begun` says whether its headers were sent."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


def _precondition(may_go: Callable[[], bool], *, has_body: bool) -> Callable[[str, Any], Awaitable[None]]:
    """Return a trace hook that aborts a request before its first byte and before its body, if `may_go` is False (rule 21).

    A connection may take long, and a laptop may sleep while it waits. A request without a body is complete with its headers.
    """

    async def trace(event: str, _: Any) -> None:
        begun = event.endswith("send_request_body.started")
        if ((begun and has_body) or event.endswith("send_request_headers.started")) and not may_go():
            raise _TooLateError(begun=begun)

    return trace


class _Unsigned(httpx.URL):
    """A presigned address whose text has no signature, since the HTTP library logs it."""

    def __str__(self) -> str:
        path, mark, _ = self.raw_path.decode("ascii").partition("?")
        return f"{self.scheme}://{self.netloc.decode('ascii')}{path}{mark and '?[signed]'}"

    def __repr__(self) -> str:
        return f"<{self}>"


def _request(connections: httpx.AsyncClient, method: str, url: str, **parts: Any) -> httpx.Request | None:
    """Return a request, None if the HTTP library can't encode it: the library's own error would quote its parts."""
    try:
        return connections.build_request(method, url, **parts)
    except (httpx.InvalidURL, ValueError):
        return None


def _storage_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the upload headers that are allowed for the storage host."""
    return {
        name: value
        for name, value in headers.items()
        if (name.lower() in _STORAGE_HEADERS or name.lower().startswith(_STORAGE_PREFIXES))
        and re.fullmatch(r"[\w-]+", name, re.ASCII)
        and value.isascii()
        and value.isprintable()
    }


def connections(
    timeout: float, most: int, *, trust_env: bool, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Return a pool of connections without cookies.

    Raises
    ------
    ConfigError
        If a proxy or certificates of the environment can't be used.
    """
    from importlib.metadata import version  # slow to import

    headers = {"User-Agent": f"voxops/{version('voxops')}", "Accept-Encoding": ENCODINGS}
    try:
        return httpx.AsyncClient(
            headers=headers,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=timeout,
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
            follow_redirects=False,
            trust_env=trust_env,
            verify=True if trust_env else _certificates(),
            transport=transport,
        )
    except OSError:  # also raised for a file that is not a certificate
        raise ConfigError(
            "SSL_CERT_FILE or SSL_CERT_DIR names certificates that can't be read; correct or unset it"
        ) from None
    except (ImportError, ValueError, httpx.InvalidURL):  # not quoted: a proxy's address may contain a password
        raise ConfigError(
            "HTTPS_PROXY or ALL_PROXY names a proxy that can't be used here; it must be an http:// or https:// address"
        ) from None


@cache
def _certificates() -> ssl.SSLContext:
    """Read the HTTP library's own certificates once; it would read them for every pool, even for plain http."""
    return httpx.create_ssl_context(trust_env=False)


_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


def _has_proxy(url: httpx.URL) -> bool:
    """Return whether a proxy of the environment is used for an address."""
    proxies = getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.netloc.decode("ascii"))


def _explained(
    error: Exception, request: httpx.Request, endpoint: str, bounds: _Bounds, *, proxied: bool
) -> TransportError:
    """Return the failure in plain words; `sent` is False only if there was no connection."""
    url = request.url
    where = f"{url.host}:{url.port}" if url.port else url.host
    if isinstance(error, _UNSENT):
        return TransportError(f"{endpoint}: {_unreached(error, where, proxied=proxied)}", sent=False)
    if isinstance(error, httpx.TimeoutException):
        what = f"{where} did not answer in time"
    elif isinstance(error, TimeoutError):
        what = f"{where} did not answer completely within {bounds.seconds:.0f} s"
    else:
        what = f"the connection to {where} broke"
    doubt = "" if request.method == "GET" else "; the outcome of the request is unknown"
    return TransportError(f"{endpoint}: {what}{doubt}")


def _unreached(error: Exception, where: str, *, proxied: bool) -> str:
    """Return why there was no connection and what to check; a proxy's address is not quoted, it may contain a password."""
    if isinstance(error, httpx.ProxyError) or (proxied and isinstance(error, httpx.ConnectTimeout)):
        return f"the proxy could not connect to {where}; check HTTPS_PROXY or ALL_PROXY"
    if isinstance(error, httpx.TimeoutException):
        return f"{where} accepted no connection in time; check the network, and url= or VOXBURST_API_URL"
    roots = _roots(error)
    if any(isinstance(root, ssl.SSLError) for root in roots):
        return f"no secure connection to {where}: its certificate is not trusted here"
    if proxied:
        return f"could not reach the proxy in HTTPS_PROXY or ALL_PROXY, which is needed to reach {where}"
    if any(isinstance(root, socket.gaierror) for root in roots):
        return f"there is no host named {where}; check url= or VOXBURST_API_URL"
    return f"no server answers at {where}. Is it running? Check url= or VOXBURST_API_URL"


def _roots(error: BaseException) -> list[BaseException]:
    """Return an exception and all its causes."""
    found: list[BaseException] = []
    left: list[Any] = [error]
    while left:
        one = left.pop()
        if one is None or one in found:
            continue
        found.append(one)
        left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found
