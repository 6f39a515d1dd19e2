"""The network: one address, one send. The only module that knows the HTTP library.

The API key leaves in `Transport.send` alone, for the API's own address. Nothing follows a redirect and nothing keeps a cookie.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import httpx

from voxops.api.assumptions import DEFAULT_URL
from voxops.client._calls import Call
from voxops.client._reply import Reply
from voxops.client._secret import Secret
from voxops.errors import ConfigError, TransportError

__all__ = ["Transport", "base_url", "is_loopback", "safe_path"]

_UPLOADS = 4  # connections to the storage host


def base_url(url: str) -> str:
    """Return the API's address without ``/v1`` and without a slash at its end (contract: section 1).

    Raises
    ------
    ConfigError
        If it is not an http address, or plain http to another machine.
    """
    text = url.strip() if isinstance(url, str) else ""
    if not text:
        raise ConfigError(f"url= is not a valid web address; write it as {DEFAULT_URL}")
    if "://" not in text:
        raise ConfigError(f"url={text!r} has no scheme; write https://{text}")
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"url= is not a valid web address; write it as {DEFAULT_URL}")
    if parts.username or parts.password:
        raise ConfigError("url= holds a user name or password; the API takes its key by api_key= alone")
    if parts.query or parts.fragment:
        raise ConfigError(f"url= has a part after ? or #; pass the plain address, such as {DEFAULT_URL}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(f"url={text!r} is plain http, which would show the API key to the network; use https")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"


def _split(text: str) -> SplitResult | None:
    """The parts of an address, None if it is not a valid one."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  raises for what is not a valid port
    except ValueError:
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def safe_path(path: str) -> str:
    """Return a path below the API's address: with ``/v1``, unsafe characters escaped.

    Raises
    ------
    ConfigError
        If it is a whole address, which might be another host's, or climbs out of the API.
    """
    if not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise ConfigError(f"path={path!r} must begin with one slash, such as /v1/posts; whole addresses are not taken")
    if any(part in (".", "..") for part in path.split("/")):
        raise ConfigError(f"path={path!r} climbs out of the API")
    full = path if path == "/v1" or path.startswith("/v1/") else f"/v1{path}"
    return quote(full, safe="/%:@!$&'()*+,;=~")


class Transport:
    """Connections to the API and to the storage host, which never see each other's headers.

    Parameters
    ----------
    secret : Secret
        The API key.
    url : str
        The API's address, as from `base_url`.
    timeout : float
        Seconds to wait for a connection, or for the next byte.
    concurrency : int
        Connections to the API.
    """

    def __init__(self, secret: Secret, url: str, *, timeout: float, concurrency: int) -> None:
        self.url = url
        self._secret = secret
        self._timeout = timeout
        self._concurrency = concurrency
        self.renew()

    def renew(self) -> None:
        """Open fresh pools; connections of another event loop or process are left alone."""
        # Proxies of the environment are for other machines; for this one they would take plain http off it.
        outside = urlsplit(self.url).scheme == "https"
        self._api = _connections(self._timeout, self._concurrency, trust_env=outside)
        self._storage = _connections(self._timeout, _UPLOADS, trust_env=outside)

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
        """
        target = safe_path(call.path)
        common = {"Accept": "application/json", "Content-Type": "application/json", **call.headers}
        return await self._send_once(
            self._api,
            self._api.build_request(
                call.method,
                self.url + target,
                params=dict(call.query) if call.query else None,
                headers={**common, "Authorization": self._secret.expose_to("Bearer {}".format)},
                content=call.body,
                timeout=self._timeout if call.timeout is None else call.timeout,
            ),
            f"{call.method} {target}",
        )

    async def put(self, url: str, headers: Mapping[str, str], content: AsyncIterable[bytes], size: int) -> Reply:
        """Put bytes to a presigned address, once, without the API key and without cookies.

        Raises
        ------
        ConfigError
            If the address is neither https nor on this machine.
        TransportError
            If no answer came.
        """
        parts = _split(url)
        host = parts.hostname if parts is not None else None
        if parts is None or not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
            raise ConfigError("the API gave an upload address that is not https; nothing was uploaded")
        barred = {"authorization", "cookie", "content-length", "host", "transfer-encoding"}
        kept = {name: value for name, value in headers.items() if name.lower() not in barred}
        request = self._storage.build_request(
            "PUT", url, headers={**kept, "Content-Length": str(size)}, content=content, timeout=self._timeout
        )
        return await self._send_once(self._storage, request, f"PUT to {host}")

    async def _send_once(self, connections: httpx.AsyncClient, request: httpx.Request, endpoint: str) -> Reply:
        """The one place where bytes leave."""
        failure: BaseException
        try:
            answer = await connections.send(request)
        except httpx.HTTPError as error:
            failure = _explained(error, endpoint)
        except BaseException as error:  # noqa: BLE001  raised again below
            failure = error.with_traceback(None)
            failure.__cause__ = failure.__context__ = None
        else:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(endpoint, answer.status_code, headers, self._secret.redact(answer.content))
        finally:
            del request
        # Raised outside of the handlers, and without the request: both it and the library's own frames hold the key.
        raise failure


def _connections(timeout: float, most: int, *, trust_env: bool) -> httpx.AsyncClient:
    """A pool of connections without memory."""
    from importlib.metadata import version  # takes longer to load than this module, and is not needed until now

    return httpx.AsyncClient(
        headers={"User-Agent": f"voxops/{version('voxops')}"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=timeout,
        limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
        follow_redirects=False,
        trust_env=trust_env,
    )


_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


def _explained(error: httpx.HTTPError, endpoint: str) -> TransportError:
    """The failure in plain words; `sent` is False only where no connection was made."""
    url = error.request.url
    where = f"{url.host}:{url.port}" if url.port else url.host
    if isinstance(error, _UNSENT):
        return TransportError(f"{endpoint}: {_unreached(error, where)}", sent=False)
    what = (
        f"{where} did not answer in time"
        if isinstance(error, httpx.TimeoutException)
        else f"the connection to {where} broke"
    )
    doubt = "" if error.request.method == "GET" else "; nobody knows whether the request took effect"
    return TransportError(f"{endpoint}: {what}{doubt}")


def _unreached(error: httpx.HTTPError, where: str) -> str:
    """Why no connection was made, and what to look at."""
    if isinstance(error, httpx.TimeoutException):
        return f"{where} took no connection in time; check the network, and url= or VOXBURST_API_URL"
    if isinstance(error, httpx.ProxyError):
        return f"the proxy made no connection to {where}; check HTTPS_PROXY"
    roots = _roots(error)
    if any(isinstance(root, socket.gaierror) for root in roots):
        return f"there is no host named {where}; check url= or VOXBURST_API_URL"
    if any(isinstance(root, ssl.SSLError) for root in roots):
        return f"no secure connection to {where}: its certificate is not trusted here"
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
