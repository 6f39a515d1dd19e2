"""The network: one address, one send. Of the modules that know the HTTP library the only one that has the API key.

The API key leaves in `Transport.send` alone, for the API's own address. Nothing follows a redirect and nothing keeps a cookie.
"""

from __future__ import annotations

import asyncio
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

from voxops.api.limits import ANSWER_BYTES, STORAGE_ANSWER_BYTES
from voxops.client._address import upload_host
from voxops.client._body import ENCODINGS, read_body
from voxops.client._calls import Call
from voxops.client._checks import refuse
from voxops.client._logs import keep_from_logs, kept_from_logs
from voxops.client._reply import Reply
from voxops.client._secret import Secret
from voxops.errors import ConfigError, TransportError

__all__ = ["Transport", "connections"]

_UPLOADS = 4  # connections to the storage host
_WHOLE = 10.0  # times the time-out for one byte that a whole answer may take
_SLOWEST = 16 * 1024  # bytes a second; an upload that is slower for all of its length is given up
# Headers that an object store has signed; no other header of the API's goes to the storage host.
_STORAGE_HEADERS = frozenset({
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
    "if-none-match",
})  # fmt: skip
_STORAGE_PREFIXES = ("x-amz-", "x-goog-", "x-ms-")


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What one answer may take: `seconds` for all of it, `size` bytes decompressed."""

    seconds: float
    size: int


# A cache between us and the API must not answer in its place: what it kept proves nothing about what is there now (rule 14).
_ASKED = {"Accept": "application/json", "Cache-Control": "no-cache", "Content-Type": "application/json"}


class Transport:
    """Connections to the API and to the storage host, which never see each other's headers.

    Parameters
    ----------
    secret : Secret
        The API key.
    url : str
        The API's address, as from `base_url`.
    timeout : float
        Seconds to wait for a connection, or for the next byte; a whole answer may take ten times that.
    concurrency : int
        Connections to the API.

    Raises
    ------
    ConfigError
        If the HTTP library can't read the address.
    """

    def __init__(self, secret: Secret, url: str, *, timeout: float, concurrency: int) -> None:
        self.url = url
        self._secret = secret
        keep_from_logs(secret)
        self._timeout = timeout
        self._concurrency = concurrency
        self.renew()
        if _request(self._api, "GET", url) is None:
            raise ConfigError("url= is not a valid web address")

    def renew(self) -> None:
        """Open fresh pools; connections of another event loop or process are left alone."""
        # Proxies of the environment are for other machines; for this one they would take plain http off it.
        outside = urlsplit(self.url).scheme == "https"
        self._api = connections(self._timeout, self._concurrency, trust_env=outside)
        self._storage = connections(self._timeout, _UPLOADS, trust_env=outside)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.aclose()
        await self._storage.aclose()

    async def send(self, call: Call) -> Reply:
        """Send a call to the API, once, and return whatever came back.

        Raises
        ------
        TransportError
            If no answer came; `sent` says whether the request may have arrived.
        ValidationError
            With status 0, if the request can't be written.
        """
        timeout = self._timeout if call.timeout is None else call.timeout
        request = _request(
            self._api,
            call.method,
            self.url + call.path,
            params=dict(call.query) if call.query else None,
            headers={**_ASKED, **call.headers},
            content=call.body,
            timeout=timeout,
        )
        if request is None:  # before the key's header exists, so that no traceback can show it
            refuse("query", "can't be written as an address: it is too long, or holds half of a character pair")
        endpoint = f"{call.method} {call.path}"
        request.headers["Authorization"] = self._secret.expose_to("Bearer {}".format)
        if call.may_go is not None:
            request.extensions["trace"] = _ask(call.may_go, has_body=bool(call.body))
        outcome = await self._exchange(self._api, request, endpoint, _Bounds(timeout * _WHOLE, ANSWER_BYTES))
        del request
        # Raised here, and not where it happened: the HTTP library's own frames hold the key.
        if isinstance(outcome, Exception) and not isinstance(outcome, TransportError):
            # A fault of the library or of this machine, such as no memory; the engine must learn that nothing is known.
            raise TransportError(f"{endpoint}: no answer could be read ({type(outcome).__name__})")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def put(self, url: str, headers: Mapping[str, str], content: AsyncIterable[bytes], size: int) -> Reply:
        """Put bytes to a presigned address, once, without the API key and without cookies.

        Raises
        ------
        ConfigError
            If the address can't be used; see `upload_host`.
        TransportError
            If no answer came.
        """
        host = upload_host(url, api=self.url)
        wanted = {**_storage_headers(headers), "Content-Length": str(size)}
        request = _request(self._storage, "PUT", url, headers=wanted, content=content, timeout=self._timeout)
        if request is None:
            raise ConfigError("the API answered with an upload address that is not valid; nothing was uploaded")
        request.url = _Unsigned(request.url)
        bounds = _Bounds(self._timeout * _WHOLE + size / _SLOWEST, STORAGE_ANSWER_BYTES)
        with kept_from_logs(Secret(urlsplit(url).query)):  # a redirect repeats it in a header
            outcome = await self._exchange(self._storage, request, f"PUT to {host}", bounds)
        del request
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _exchange(
        self, connections: httpx.AsyncClient, request: httpx.Request, endpoint: str, bounds: _Bounds
    ) -> Reply | BaseException:
        """The one place where bytes leave; failures are returned, since whatever they pass through holds the key."""
        try:
            async with asyncio.timeout(bounds.seconds):
                answer = await connections.send(request, stream=True)
                try:
                    encoding = answer.headers.get("content-encoding", "")
                    body, broken = await read_body(answer.aiter_raw(), encoding, bounds.size)
                finally:
                    await answer.aclose()
        except _TooLateError as error:
            what = "broken off before its body left" if error.begun else "not sent"
            return TransportError(
                f"{endpoint}: {what}, since its time was over before the connection stood", sent=error.begun
            )
        except (httpx.HTTPError, zlib.error, EOFError, TimeoutError) as error:
            proxied = connections.trust_env and _has_proxy(request.url)
            return _explained(error, request, endpoint, bounds, proxied=proxied)
        except BaseException as error:  # noqa: BLE001  raised again by the caller
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        headers = self._secret.redact_json({name.lower(): value for name, value in answer.headers.items()})
        return Reply(endpoint, answer.status_code, headers, self._secret.redact(body), broken)


class _TooLateError(Exception):
    """A call may not be sent any more; `begun` says whether its headers have left."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


def _ask(may_go: Callable[[], bool], *, has_body: bool) -> Callable[[str, Any], Awaitable[None]]:
    """A trace of the HTTP library that breaks a request off before its first byte, and before its body, unless it may still go (rule 21).

    Waiting for a connection may take long, and a laptop may sleep meanwhile. What has no body is whole with its headers.
    """

    async def trace(event: str, _: Any) -> None:
        begun = event.endswith("send_request_body.started")
        if ((begun and has_body) or event.endswith("send_request_headers.started")) and not may_go():
            raise _TooLateError(begun=begun)

    return trace


class _Unsigned(httpx.URL):
    """A presigned address whose text, which the HTTP library logs, lacks the signature."""

    def __str__(self) -> str:
        path, mark, _ = self.raw_path.decode("ascii").partition("?")
        return f"{self.scheme}://{self.netloc.decode('ascii')}{path}{mark and '?[signed]'}"

    def __repr__(self) -> str:
        return f"<{self}>"


def _request(connections: httpx.AsyncClient, method: str, url: str, **parts: Any) -> httpx.Request | None:
    """A request, None where the HTTP library can't write it; its own refusal would show what it was made of."""
    try:
        return connections.build_request(method, url, **parts)
    except (httpx.InvalidURL, ValueError):
        return None


def _storage_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the API's headers for an upload that may go to the storage host."""
    return {
        name: value
        for name, value in headers.items()
        if (name.lower() in _STORAGE_HEADERS or name.lower().startswith(_STORAGE_PREFIXES))
        and f"{name}{value}".isascii()
        and value.isprintable()
    }


def connections(timeout: float, most: int, *, trust_env: bool) -> httpx.AsyncClient:
    """Return a pool of connections without memory.

    Raises
    ------
    ConfigError
        If a proxy or certificates of the environment can't be used.
    """
    from importlib.metadata import version  # takes longer to load than this module, and is not needed until now

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
        )
    except OSError:  # of a file that is no certificate, too
        raise ConfigError(
            "SSL_CERT_FILE or SSL_CERT_DIR names certificates that can't be read; correct it, or take it out of the environment"
        ) from None
    except (ImportError, ValueError, httpx.InvalidURL):  # a proxy's address may hold a password, and is not repeated
        raise ConfigError(
            "HTTPS_PROXY or ALL_PROXY names a proxy that can't be used here; it must be an http:// or https:// address"
        ) from None


@cache
def _certificates() -> ssl.SSLContext:
    """The certificates of the HTTP library itself, read once: it reads them for plain http, too, with each pool."""
    return httpx.create_ssl_context(trust_env=False)


_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


def _has_proxy(url: httpx.URL) -> bool:
    """Whether a proxy of the environment stands before an address."""
    proxies = getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.netloc.decode("ascii"))


def _explained(
    error: Exception, request: httpx.Request, endpoint: str, bounds: _Bounds, *, proxied: bool
) -> TransportError:
    """The failure in plain words; `sent` is False only where no connection was made."""
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
    doubt = "" if request.method == "GET" else "; nobody knows whether the request took effect"
    return TransportError(f"{endpoint}: {what}{doubt}")


def _unreached(error: Exception, where: str, *, proxied: bool) -> str:
    """Why no connection was made, and what to look at; a proxy's address may hold a password, and is not repeated."""
    if isinstance(error, httpx.ProxyError) or (proxied and isinstance(error, httpx.ConnectTimeout)):
        return f"the proxy made no connection to {where}; check HTTPS_PROXY or ALL_PROXY"
    if isinstance(error, httpx.TimeoutException):
        return f"{where} took no connection in time; check the network, and url= or VOXBURST_API_URL"
    roots = _roots(error)
    if any(isinstance(root, ssl.SSLError) for root in roots):
        return f"no secure connection to {where}: its certificate is not trusted here"
    if proxied:
        return f"the proxy that HTTPS_PROXY or ALL_PROXY names could not be reached, and so nor could {where}"
    if any(isinstance(root, socket.gaierror) for root in roots):
        return f"there is no host named {where}; check url= or VOXBURST_API_URL"
    return f"nobody answers at {where}. Is the server up? Check url= or VOXBURST_API_URL"


def _roots(error: BaseException) -> list[BaseException]:
    """An exception and all that lies under it."""
    found: list[BaseException] = []
    left: list[Any] = [error]
    while left:
        one = left.pop()
        if one is None or one in found:
            continue
        found.append(one)
        left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found
