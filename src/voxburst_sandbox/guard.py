"""What stands before every port: requests that a web page could have caused are refused.

A page that the user visits may send requests to this machine. It must not act on a sandbox, and must not read it under a
name that it lets point here (DNS rebinding): so the Host must be this machine's, and a browser must not say
that the request comes from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LOOPBACK", "Guard", "is_loopback_address"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAMES = ("127.0.0.1", "localhost")


def is_loopback_address(url: str) -> bool:
    """Whether a web address leads to this machine."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and parts.hostname in LOOPBACK


class Guard:
    """An application behind the check.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    port : int
        Where it listens.
    open_to : callable or None
        Whether a foreign Host (lower case, with its port) is fine; None for none.
    pages : collection of str
        Paths that a person may be sent to by a link on another site.
    """

    def __init__(
        self, app: ASGIApp, port: int, *, open_to: Callable[[str], bool] | None = None, pages: Collection[str] = ()
    ) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in _NAMES}
        self._origins = {f"{scheme}://{host}" for scheme in ("http", "https") for host in self._hosts}
        self._open_to = open_to
        self._pages = frozenset(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it before anything reads it."""
        refusal = self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return why a request is not served; None if it is."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self._hosts and not (self._open_to is not None and self._open_to(host)):
            names = " or ".join(sorted(self._hosts))
            return _refuse(421, "FOREIGN_HOST", f"this sandbox is called {names}")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self._origins:
            return _refuse(403, "FOREIGN_ORIGIN", "a page of another origin may not use the sandbox")
        site = headers.get("sec-fetch-site", "none").lower()
        if site not in ("none", "same-origin") and not self._followed(scope, headers):
            return _refuse(403, "FOREIGN_ORIGIN", "a page of another site may not use the sandbox")
        return None

    def _followed(self, scope: Scope, headers: Headers) -> bool:
        """Whether a person followed a link to one of the pages that are open to links."""
        navigates = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        return scope["method"] == "GET" and navigates and scope["path"] in self._pages


def _refuse(status: int, code: str, message: str) -> Response:
    """Return an error in the API's shape."""
    body = {"error": {"code": code, "message": message}}
    return Response(msgspec.json.encode(body), status, media_type="application/json")
