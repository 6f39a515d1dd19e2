"""The tree of errors.

Every deliberate error of voxops is a `VoxopsError`; one ``except`` catches them all::

    VoxopsError
      ConfigError          the set-up is unusable: no key, a wrong address, plain http to another machine
      PlanError            the frame can't be planned: columns missing, keys null or duplicate
      LedgerError          the ledger can't be used: damaged, foreign, locked, read-only, full
      TransportError       no response: connection refused or lost, timeout
      DecodeError          a response that is not what the endpoint returns
      ApiError             an error response of the API
        AuthError          401, 402, 403: the key, the plan or the scope
        NotFoundError      404
          RunNotFound      the ledger has no such run; nothing was requested
        ConflictError      409: the state forbids it, or an idempotency key clashes
        ValidationError    400, 422: the request is wrong
        RateLimitError     429
          WaitTooLong      the next call would have to wait longer than ``max_wait``; nothing was sent
        ServerError        5xx

No message contains the API key or an HTTP library's exception text.

In a notebook an error shows the user's own lines and its message instead of the stack; plain Python shows the stack.
"""

from __future__ import annotations

import copyreg
import re
import sysconfig
import traceback
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "ApiError",
    "AuthError",
    "ConfigError",
    "ConflictError",
    "DecodeError",
    "LedgerError",
    "NotFoundError",
    "PlanError",
    "RateLimitError",
    "RunNotFound",
    "ServerError",
    "TransportError",
    "ValidationError",
    "VoxopsError",
    "WaitTooLong",
]

# Places of code that is not the user's own.
_OURS = Path(__file__).parent
_PYTHON = Path(sysconfig.get_path("stdlib"))
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_MOST = 4_000  # characters of a message
_SECRET = re.compile(r"((?:vb|sk)_(?:live|test)_|whsec_)[\w+/=-]+")
_TAKES_SECRETS = re.compile(r"\b(?:connect|AsyncClient|verify_signature)\(|key|secret|token", re.IGNORECASE)
_LITERAL = re.compile(r"""(["'])[\w+/=-]{12,}\1""")


class VoxopsError(Exception):
    """Base of every error that voxops raises on purpose."""

    def __str__(self) -> str:
        """Return the message at a readable length, without characters that control a terminal."""
        said = super().__str__()
        return _printable(said if len(said) <= _MOST else said[: _MOST - 1] + "…")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy it with its attributes, which constructors take by keyword only."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]

    def _render_traceback_(self: BaseException) -> list[str]:
        """Return what IPython shows instead of the stack: the user's own lines, then the error in a line."""
        lines = [
            f"{_place(step.filename)}, line {step.lineno}: {_without_secrets(step.line or '')}"
            for step in traceback.extract_tb(self.__traceback__)
            if _is_users(step.filename)
        ]
        notes = map(_printable, getattr(self, "__notes__", ()))
        return [*lines, f"{type(self).__name__}: {self}", *notes]


class Interrupted(KeyboardInterrupt):
    """The stop button, or Ctrl-C, and its effect; a cell shows it like our errors, without our own code."""

    _render_traceback_ = VoxopsError._render_traceback_


def _is_users(filename: str) -> bool:
    """Whether a file is the user's own, not of voxops, Python or an installed package."""
    path = Path(filename)
    compiled = filename.startswith("<frozen") or path.suffix == ".pyx"
    installed = path.is_relative_to(_OURS) or path.is_relative_to(_PYTHON) or _INSTALLED.intersection(path.parts)
    return not compiled and not installed


def _place(filename: str) -> str:
    """Return the name of a file; a notebook cell has no meaningful one."""
    cell = filename.startswith("<ipython-input") or any(part.startswith("ipykernel_") for part in Path(filename).parts)
    return "cell" if cell else Path(filename).name


def _without_secrets(line: str) -> str:
    """Cut keys and signing secrets in a line of code: by their form, and in calls that take one."""
    cut = _SECRET.sub(r"\1…", line.strip())
    return _LITERAL.sub(r"\1…\1", cut) if _TAKES_SECRETS.search(cut) else cut


def _printable(text: str) -> str:
    """Return text that can't control a terminal; blanks of all kinds and the joiners of emoji and scripts are harmless."""
    return "".join(
        char
        if char.isprintable() or char in "\n\t\u200c\u200d" or unicodedata.category(char) == "Zs"
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


class ConfigError(VoxopsError):
    """The set-up is unusable; the message names the part and the remedy."""


class PlanError(VoxopsError):
    """The frame can't be planned. A single unfit *row* never raises: it is not eligible, with its reason."""


class LedgerError(VoxopsError):
    """The ledger can't be used, so nothing is sent."""


class TransportError(VoxopsError):
    """No response: nothing listens, the connection broke, or a timeout.

    Attributes
    ----------
    sent : bool
        Whether the request may have reached the server. ``False`` (no connection) proves that nothing happened; ``True`` proves
        nothing.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class DecodeError(VoxopsError):
    """A response that is not what the endpoint returns; `body` has its bytes as received.

    Attributes
    ----------
    endpoint : str
        Method and path.
    status : int
        HTTP status of the response.
    body : bytes
        The raw answer.
    """

    def __init__(self, message: str, *, endpoint: str = "", status: int = 0, body: bytes = b"") -> None:
        super().__init__(message)
        self.endpoint = endpoint
        self.status = status
        self.body = body


class ApiError(VoxopsError):
    """An error response of the API. Branch on `status`, then on `code`; never on the message (contract: ERR, VER).

    Attributes
    ----------
    status : int
        HTTP status.
    code : str
        The API's error code in upper case, ``""`` if it sent none.
    details : dict
        Further fields of the API, ``{}`` for none.
    request_id : str or None
        The server's id of the request, for a support ticket.
    body : bytes
        The raw answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details: dict[str, Any] = dict(details or {})
        self.request_id = request_id
        self.body = body


class AuthError(ApiError):
    """401, 402 or 403: the key is wrong, the plan's quota is used up, or a scope is missing."""


class NotFoundError(ApiError):
    """404: no such thing in this workspace."""


class RunNotFound(NotFoundError):
    """The ledger has no run with this id; no request was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=404, code="NOT_FOUND")


class ConflictError(ApiError):
    """409: the state does not permit the operation, or an idempotency key clashes."""


class ValidationError(ApiError):
    """400 or 422: the request itself is wrong; `details` names the field where the API did."""


class ServerError(ApiError):
    """5xx: the API failed. After a write it is unknown whether it took effect."""


class RateLimitError(ApiError):
    """429: over the rate limit.

    Attributes
    ----------
    retry_after : float or None
        Seconds to wait, None if the server sent none.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after


class WaitTooLong(RateLimitError):
    """The rate limit asks for a pause longer than ``max_wait``; nothing was sent. `retry_after` is never None.

    ``run.wait(timeout, raises=True)`` raises it, too, where the run still runs then.

    Attributes
    ----------
    seconds : float
        Seconds to wait, as `retry_after`; of a run, those that were waited.
    """

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message, retry_after=seconds, status=429, code="RATE_LIMITED")
        self.seconds = seconds


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
