"""The HTTP connections. Two modules use the HTTP library; only this one has access to the API key.

Only `Transport.send` sends the API key, to the API's own address. Redirects are not followed, cookies not stored.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from voxops.api.limits import ANSWER_BYTES, STORAGE_ANSWER_BYTES
from voxops.client._address import is_loopback_url, refuse, upload_host
from voxops.client._answer import Answer
from voxops.client._body import ENCODINGS, read_body
from voxops.client._calls import Call
from voxops.client._logs import keep_from_logs, kept_from_logs
from voxops.client._secret import Secret
from voxops.errors import ConfigError, TransportError

AsyncTransport = httpx.AsyncBaseTransport
Verify = Literal[True] | str | os.PathLike[str] | ssl.SSLContext

_UPLOADS = 4  # connections to the storage host
_SLOWEST = 16 * 1024  # bytes per second; a slower upload is abandoned
# Headers that object stores sign; the API's other headers are not sent to the storage host.
_STORAGE_HEADERS = frozenset({
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
    "if-none-match",
})  # fmt: skip
_STORAGE_PREFIXES = ("x-amz-", "x-goog-", "x-ms-")


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The limits of one request: `seconds` until its answer is complete, whose body has `size` bytes decompressed."""

    seconds: float
    size: int


# A cached answer proves nothing about the current state (rule 11).
_HEADERS = {"Accept": "application/json", "Cache-Control": "no-cache", "Content-Type": "application/json"}


class Transport:
    """Connections to the API and to the storage host; neither receives the other's headers.

    `url` is as from `base_url`. `timeout` is for a whole request: connection, sending and the answer; an upload has more, by its size.
    A ConfigError says if the HTTP library can't parse the address, or a setting can't be used.
    """

    def __init__(
        self,
        secret: Secret,
        url: str,
        *,
        timeout: float,
        concurrency: int,
        transport: AsyncTransport | None = None,
        proxy: str | None = None,
        verify: Verify = True,
    ) -> None:
        if transport is not None and (proxy is not None or verify is not True):
            raise ConfigError("transport= opens the connections itself; pass proxy= and verify= to it instead")
        self.url = url
        self._secret = secret
        keep_from_logs(secret)
        self._timeout = timeout
        self._concurrency = concurrency
        self._through = transport
        # An API on this machine has no proxy: it would carry plain http, and the API key, off this machine.
        self._outside = not is_loopback_url(url)
        self._proxy = _proxy(proxy) if self._outside else None
        self._verify = _certificates(verify, trust_env=urlsplit(url).scheme == "https")
        self.renew()
        if _request(self._api, "GET", url) is None:
            raise ConfigError("url= is not a valid web address")

    def renew(self) -> None:
        """Open new pools, without closing connections of another event loop or process."""
        self._api, self._storage = (
            _connections(
                self._timeout,
                most,
                trust_env=self._outside,
                transport=self._through,
                proxy=self._proxy,
                verify=self._verify,
            )
            for most in (self._concurrency, _UPLOADS)
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._api.aclose()
        await self._storage.aclose()

    async def send(self, call: Call) -> Answer:
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
        outcome = await self._exchange(self._api, request, endpoint, _Bounds(timeout, ANSWER_BYTES), call.may_go)
        del request
        # Raised here, not in `_exchange`: the frames of the HTTP library contain the key.
        if isinstance(outcome, Exception) and not isinstance(outcome, TransportError):
            # A fault of the library or of this machine, such as no memory: the engine must treat the outcome as unknown.
            raise TransportError(f"{endpoint}: no answer could be read ({type(outcome).__name__})")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def put(self, url: str, headers: Mapping[str, str], content: AsyncIterable[bytes], size: int) -> Answer:
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
        bounds = _Bounds(self._timeout + size / _SLOWEST, STORAGE_ANSWER_BYTES)
        with kept_from_logs(
            urlsplit(url).query
        ):  # the Location header of a redirect repeats it, and errors repeat parts
            outcome = await self._exchange(self._storage, request, f"PUT to {host}", bounds)
        del request
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _exchange(
        self,
        connections: httpx.AsyncClient,
        request: httpx.Request,
        endpoint: str,
        bounds: _Bounds,
        may_go: Callable[[], bool] | None = None,
    ) -> Answer | BaseException:
        """Send the request; the only place that does. Failures are returned, since a traceback from here would contain the key."""
        request.extensions["trace"] = begun = _Begun(may_go, has_body=request.headers.get("content-length", "0") != "0")
        try:
            async with asyncio.timeout(bounds.seconds):
                answer = await connections.send(request, stream=True)
                try:
                    encoding = answer.headers.get("content-encoding", "")
                    # A transport that keeps or shows answers hands over a body that it has read and decompressed already.
                    read = answer.is_stream_consumed
                    pieces = _once(await answer.aread()) if read else answer.aiter_raw()
                    body, broken = await read_body(pieces, "" if read else encoding, bounds.size)
                finally:
                    await answer.aclose()
            headers = {name.lower(): value for name, value in answer.headers.items()}
            said = "\n".join([*headers, *headers.values()])
            if self._secret.redact_json(said) != said:
                headers = self._secret.redact_json(headers)
            return Answer(endpoint, answer.status_code, headers, self._secret.redact(body), broken)
        except _TooLateError as error:
            what = "aborted before its body was sent" if error.begun else "not sent"
            return TransportError(f"{endpoint}: {what}, because its deadline passed first", sent=error.begun)
        except (httpx.HTTPError, zlib.error, EOFError, TimeoutError) as error:
            proxied = self._proxy is not None or (self._outside and _has_proxy(request.url))
            late = isinstance(error, TimeoutError) and begun.connecting
            failure = httpx.ConnectTimeout("") if late else error
            return _explained(failure, request, endpoint, bounds, proxied=proxied)
        except BaseException as error:  # noqa: BLE001  the caller raises it
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


class _TooLateError(Exception):
    """The precondition of a call is no longer true; `begun` says whether its headers were sent."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class _Begun:
    """A trace of how far a request is; it aborts a request before its first byte and before its body, if `may_go` is False (rule 15).

    A connection may take long, and a laptop may sleep while it waits. A request without a body is complete with its headers.
    """

    def __init__(self, may_go: Callable[[], bool] | None, *, has_body: bool) -> None:
        self._may_go, self._has_body = may_go, has_body
        self.connecting = False

    async def __call__(self, event: str, _: Any) -> None:
        if event.endswith("connect_tcp.started"):
            self.connecting = True
            return
        begun = event.endswith("send_request_body.started")
        if not begun and not event.endswith("send_request_headers.started"):
            return
        self.connecting = False
        if self._may_go is not None and (self._has_body or not begun) and not self._may_go():
            raise _TooLateError(begun=begun)


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


def _connections(
    timeout: float,
    most: int,
    *,
    trust_env: bool,
    transport: AsyncTransport | None,
    proxy: httpx.Proxy | None,
    verify: ssl.SSLContext,
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
            verify=verify,
            transport=transport,
            proxy=proxy,
        )
    except (ImportError, ValueError, httpx.InvalidURL):  # not quoted: a proxy's address may contain a password
        named = "HTTPS_PROXY or ALL_PROXY" if proxy is None else "proxy="
        raise ConfigError(
            f"{named} names a proxy that can't be used here; it must be an http:// or https:// address"
        ) from None


def _certificates(verify: Verify, *, trust_env: bool) -> ssl.SSLContext:
    """Return the certificates to trust.

    Raises
    ------
    ConfigError
        If they can't be read, or none would be needed.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool) and not verify:
        raise ConfigError(
            "verify=False would send the API key to whoever answers; pass the file of the certificate to trust instead"
        )
    try:
        if verify is not True:
            return ssl.create_default_context(cafile=os.fspath(verify))
        return httpx.create_ssl_context() if trust_env else _own_certificates()
    except (OSError, TypeError):  # also raised for a file that is not a certificate
        named = "SSL_CERT_FILE or SSL_CERT_DIR" if verify is True else "verify="
        raise ConfigError(f"{named} names certificates that can't be read; correct or unset it") from None


@cache
def _own_certificates() -> ssl.SSLContext:
    """Read the HTTP library's own certificates once; it would read them for every pool, even for plain http."""
    return httpx.create_ssl_context(trust_env=False)


def _proxy(address: str | None) -> httpx.Proxy | None:
    """Return a proxy; its address is not quoted, since it may contain a password."""
    try:
        return None if address is None else httpx.Proxy(address)
    except (TypeError, ValueError, AttributeError, httpx.InvalidURL):
        raise ConfigError("proxy= is not a valid proxy; it must be an http:// or https:// address") from None


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
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        what = f"{where} did not answer completely within {round(bounds.seconds, 2):,g} s"
    else:
        what = f"the connection to {where} broke"
    doubt = "" if request.method == "GET" else "; the outcome of the request is unknown"
    return TransportError(f"{endpoint}: {what}{doubt}")


def _unreached(error: Exception, where: str, *, proxied: bool) -> str:
    """Return why there was no connection and what to check; a proxy's address is not quoted, it may contain a password."""
    if isinstance(error, httpx.ProxyError) or (proxied and isinstance(error, httpx.ConnectTimeout)):
        return f"the proxy could not connect to {where}; check proxy=, HTTPS_PROXY or ALL_PROXY"
    if isinstance(error, httpx.TimeoutException):
        return f"{where} accepted no connection in time; check the network, and url= or VOXBURST_API_URL"
    roots = _roots(error)
    if any(isinstance(root, ssl.SSLError) for root in roots):
        return f"no secure connection to {where}: its certificate is not trusted here; see verify= and SSL_CERT_FILE"
    if proxied:
        return f"could not reach the proxy in proxy=, HTTPS_PROXY or ALL_PROXY, which is needed to reach {where}"
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
