"""The HTTP connections; only this module sends, and only `Transport.send` sends the API key, to the API's own address.

Redirects are not followed, cookies not stored.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import Any, Literal
from urllib.request import getproxies, proxy_bypass

import httpx

from voxops._support.safe import many
from voxops.api.limits import ANSWER_BYTES, ANSWER_VALUES, STORAGE_ANSWER_BYTES
from voxops.client.answer import Answer
from voxops.client.request import Call, is_loopback, refuse, upload_host
from voxops.client.secret import Secret, keep_from_logs, kept_from_logs
from voxops.errors import ConfigError, TransportError

AsyncTransport = httpx.AsyncBaseTransport
Verify = Literal[True] | str | os.PathLike[str] | ssl.SSLContext

_UPLOADS = 4  # connections besides those of the API's requests
_SLOWEST = 16 * 1024  # bytes per second; a slower upload is abandoned
_KEPT = 64 * 1024  # bytes of a body that is too large, for the error
# Headers that object stores sign; the API's other headers are not sent to the storage host.
_SIGNED = re.compile(
    r"cache-control|content-(disposition|encoding|language|md5|type)|expires|if-none-match|x-(amz|goog|ms)-[\w-]+",
    re.ASCII | re.IGNORECASE,
)
# A cached answer proves nothing about the current state (rule 11).
_HEADERS = {"Accept": "application/json", "Cache-Control": "no-cache", "Content-Type": "application/json"}
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


class Transport:
    """Connections to the API and to the storage host; neither receives the other's headers.

    `url` is as from `base_url`. `timeout` is for a whole request: connection, sending and the answer; an upload has more, by its size.
    A ConfigError says if a setting can't be used.
    """

    def __init__(
        self,
        secret: Secret,
        url: str,
        *,
        timeout: float,
        concurrency: int,
        transport: AsyncTransport | None = None,
        proxy: Secret | None = None,
        verify: Verify = True,
    ) -> None:
        if transport is not None and (proxy or verify is not True):
            raise ConfigError("transport= opens the connections itself; pass proxy= and verify= to it instead")
        self.url = url
        self._secret = secret
        keep_from_logs(secret)
        self._timeout = timeout
        # An API on this machine has no proxy: it would carry plain http, and the API key, off this machine.
        self._here = is_loopback(httpx.URL(url).host)
        self._proxy = None if self._here else proxy
        most = concurrency + _UPLOADS
        self._settings: dict[str, Any] = {
            "headers": {"User-Agent": f"voxops/{version('voxops')}", "Accept-Encoding": "gzip"},
            "limits": httpx.Limits(max_connections=most, max_keepalive_connections=most),
            "trust_env": not self._here,
            "verify": _certificates(verify, trust_env=url.startswith("https")),
            "transport": transport,
        }
        self.renew()

    def renew(self) -> None:
        """Open a new pool, without closing connections of another event loop or process.

        Raises
        ------
        ConfigError
            If a proxy can't be used.
        """
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        # The error is neither quoted nor kept: a proxy's address may contain a password.
        with suppress(ImportError, TypeError, ValueError, AttributeError, httpx.InvalidURL):
            self.connections = httpx.AsyncClient(
                cookies=no_cookies, proxy=self._proxy.expose_to(str) if self._proxy else None, **self._settings
            )
            return
        named = "proxy=" if self._proxy else "HTTPS_PROXY or ALL_PROXY"
        raise ConfigError(f"{named} names a proxy that can't be used here; it must be an http:// or https:// address")

    async def send(self, call: Call) -> Answer:
        """Send a call to the API once, and return the answer whatever its status.

        Raises
        ------
        TransportError
            If no answer was received; `sent` says whether the request may have arrived.
        ValidationError
            With status 0, if the request can't be encoded.
        """
        seconds = self._timeout if call.timeout is None else call.timeout
        try:
            request = self.connections.build_request(
                call.method, self.url + call.path, params=call.query, headers={**_HEADERS, **call.headers}, content=call.body, timeout=seconds
            )  # fmt: skip
        except (httpx.InvalidURL, ValueError):
            request = None  # raised below: the library's own error would quote the query
        if request is None:
            refuse("query", "can't be encoded: it is too long, or contains half of a surrogate pair")
        endpoint = f"{call.method} {call.path}"
        request.headers["Authorization"] = self._secret.expose_to("Bearer {}".format)
        outcome = await self._exchange(request, endpoint, seconds, ANSWER_BYTES, call.may_go)
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
        host, fault = upload_host(url, here=self._here)
        if fault:
            del url, headers
            raise ConfigError(f"the API answered with an upload address that is {fault}; nothing was uploaded")
        signed = {
            name: value
            for name, value in headers.items()
            if _SIGNED.fullmatch(name) and value.isascii() and value.isprintable()
        }
        signed["Content-Length"] = str(size)
        request = self.connections.build_request("PUT", url, headers=signed, content=content, timeout=self._timeout)
        seconds = self._timeout + size / _SLOWEST
        # The library logs the address, the Location header of a redirect repeats it, and errors repeat parts.
        with kept_from_logs(request.url.query.decode("ascii")):
            outcome = await self._exchange(request, f"PUT to {host}", seconds, STORAGE_ANSWER_BYTES)
        del request, url, headers, signed
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _exchange(
        self, request: httpx.Request, endpoint: str, seconds: float, size: int, may_go: Callable[[], bool] | None = None
    ) -> Answer | BaseException:
        """Send the request; the only place that does. Failures are returned, because a traceback from here would contain the key.

        The answer must be complete after so many seconds, and its body has at most `size` bytes decompressed.
        """
        request.extensions["trace"] = trace = _Trace(may_go, has_body=request.headers.get("content-length", "0") != "0")
        try:
            async with asyncio.timeout(seconds):
                response = await self.connections.send(request, stream=True)
                try:
                    body, broken = await _body(response, size)
                finally:
                    await response.aclose()
            headers = self._secret.redact_json(dict(response.headers))
            return Answer(endpoint, response.status_code, headers, self._secret.redact(body), broken)
        except _TooLateError:
            what = "aborted before its body was sent" if trace.begun else "not sent"
            return TransportError(f"{endpoint}: {what}, because its deadline passed first", sent=trace.begun)
        except (httpx.HTTPError, TimeoutError) as error:
            late = isinstance(error, TimeoutError) and trace.connecting
            return self._explained(httpx.ConnectTimeout("") if late else error, request, endpoint, seconds)
        except BaseException as error:  # noqa: BLE001  the caller raises it
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)

    def _explained(self, error: Exception, request: httpx.Request, endpoint: str, seconds: float) -> TransportError:
        """Return the failure in plain words; `sent` is False only if there was no connection.

        A proxy's address is not quoted: it may contain a password.
        """
        where = request.url.netloc.decode("ascii")
        if not isinstance(error, _UNSENT):
            timed_out = isinstance(error, httpx.TimeoutException | TimeoutError)
            what = f"{where} did not answer completely within {round(seconds, 2):,g} s"
            doubt = "" if request.method == "GET" else "; the outcome of the request is unknown"
            return TransportError(f"{endpoint}: {what if timed_out else f'the connection to {where} broke'}{doubt}")
        proxied = self._proxy or (not self._here and _has_proxy(request.url))
        roots = list(_roots(error))
        if isinstance(error, httpx.ProxyError) or (proxied and isinstance(error, httpx.ConnectTimeout)):
            why = f"the proxy could not connect to {where}; check proxy=, HTTPS_PROXY or ALL_PROXY"
        elif isinstance(error, httpx.TimeoutException):
            why = f"{where} accepted no connection in time; check the network, and url= or VOXBURST_API_URL"
        elif any(isinstance(root, ssl.SSLError) for root in roots):
            why = f"no secure connection to {where}: its certificate is not trusted here; see verify= and SSL_CERT_FILE"
        elif proxied:
            why = f"could not reach the proxy in proxy=, HTTPS_PROXY or ALL_PROXY, which is needed to reach {where}"
        elif any(isinstance(root, socket.gaierror) for root in roots):
            why = f"there is no host named {where}; check url= or VOXBURST_API_URL"
        else:
            why = f"no server answers at {where}. Is it running? Check url= or VOXBURST_API_URL"
        return TransportError(f"{endpoint}: {why}", sent=False)


class _TooLateError(Exception):
    """The precondition of a call is no longer true."""


class _Trace:
    """A trace of how far a request is; it aborts a request before its first byte and before its body, if `may_go` is False (rule 15).

    A connection may take long, and a laptop may sleep while it waits. A request without a body is complete with its headers.
    """

    def __init__(self, may_go: Callable[[], bool] | None, *, has_body: bool) -> None:
        self._may_go, self._has_body = may_go, has_body
        self.connecting = self.begun = False

    async def __call__(self, event: str, _: Any) -> None:
        self.connecting = event.endswith("connect_tcp.started") or (self.connecting and "send_request" not in event)
        self.begun = event.endswith("send_request_body.started")
        checks = (self.begun and self._has_body) or event.endswith("send_request_headers.started")
        if checks and self._may_go is not None and not self._may_go():
            raise _TooLateError


async def _body(response: httpx.Response, most: int) -> tuple[bytes, str]:
    """Return a body of at most `most` bytes, decompressed, and ``""``; or the beginning of a larger one, and the reason as a clause.

    Only gzip is requested: a piece of 64 KB unpacks to 64 MB at most. Other encodings have no such bound. A transport may hand over a
    body that it has read already.
    """
    encoding = response.headers.get("content-encoding", "identity")
    if encoding not in {"gzip", "identity"} and not response.is_stream_consumed:
        return b"", "in an encoding that was not requested"
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            return b"".join(pieces)[:_KEPT], f"with more than {many(most, 'byte')}"
    if not size and response.num_bytes_downloaded:
        return b"", "with a compressed body that ends early"
    body = b"".join(pieces)
    # Counting takes a while, and each value has at least a byte.
    if size > ANSWER_VALUES and sum(map(body.count, (b",", b"{", b"["))) > ANSWER_VALUES:
        return body[:_KEPT], f"with more than {many(ANSWER_VALUES, 'value')}"
    return body, ""


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


def _has_proxy(url: httpx.URL) -> bool:
    """Return whether a proxy of the environment is used for an address."""
    proxies = getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.netloc.decode("ascii"))


def _roots(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
