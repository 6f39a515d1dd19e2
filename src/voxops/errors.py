"""What can go wrong, as one tree.

Everything that voxops raises on purpose is a `VoxopsError`; one ``except`` catches them all::

    VoxopsError
      ConfigError          the set-up is unusable: no key, a wrong address, plain http to another machine
      PlanError            the frame is unfit to be planned: columns missing, keys null or doubled
      LedgerError          the ledger can't be used: damaged, foreign, locked, read-only, full
      TransportError       no answer came: connection refused or lost, time-out
      DecodeError          an answer came, but it is not what the endpoint returns
      WaitTooLong          the next call would have to wait longer than ``max_wait``
      ApiError             the API answered with an error
        AuthError          401, 402, 403: the key, the plan or the scope
        NotFoundError      404
        ConflictError      409: the state forbids it, or an idempotency key clashes
        ValidationError    400, 422: the request is wrong
        RateLimitError     429
        ServerError        5xx

No message holds the API key, and none is built from an HTTP library's exception text.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    "ServerError",
    "TransportError",
    "ValidationError",
    "VoxopsError",
    "WaitTooLong",
]


class VoxopsError(Exception):
    """Base of every error that voxops raises on purpose."""


class ConfigError(VoxopsError):
    """The set-up is unusable; the message says which part and how to mend it."""


class PlanError(VoxopsError):
    """The frame is unfit to be planned. A single unfit *row* never raises: it is held, with its reason."""


class LedgerError(VoxopsError):
    """The ledger can't be used, so nothing is sent."""


class TransportError(VoxopsError):
    """No answer came: nobody listens, the connection broke, or the time ran out.

    Attributes
    ----------
    sent : bool
        Whether the request may have reached the server. ``False`` (the connection was never made) proves that nothing
        happened; ``True`` proves nothing.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class DecodeError(VoxopsError):
    """An answer came that is not what the endpoint returns; `body` keeps its bytes as received.

    Attributes
    ----------
    endpoint : str
        Method and path.
    status : int
        HTTP status of the answer.
    body : bytes
        The raw answer.
    """

    def __init__(self, message: str, *, endpoint: str = "", status: int = 0, body: bytes = b"") -> None:
        super().__init__(message)
        self.endpoint = endpoint
        self.status = status
        self.body = body


class WaitTooLong(VoxopsError):
    """The server asked for a pause longer than ``max_wait``; nothing was sent.

    Attributes
    ----------
    seconds : float
        How long it wants to be left alone, in seconds.
    """

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ApiError(VoxopsError):
    """The API answered with an error. Branch on `status`, then on `code`; never on the message (contract: ERR, VER).

    Attributes
    ----------
    status : int
        HTTP status.
    code : str
        The API's error code in upper case, ``""`` if it sent none.
    details : dict
        What the API added, ``{}`` if nothing.
    request_id : str or None
        The server's name for the request, for a support ticket.
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
        self.details = dict(details or {})
        self.request_id = request_id
        self.body = body


class AuthError(ApiError):
    """401, 402 or 403: the key is wrong, the plan's quota is used up, or a scope is missing."""


class NotFoundError(ApiError):
    """404: no such thing in this workspace."""


class ConflictError(ApiError):
    """409: the state does not permit the operation, or an idempotency key clashes."""


class ValidationError(ApiError):
    """400 or 422: the request itself is wrong; `details` names the field where the API did."""


class ServerError(ApiError):
    """5xx: the API failed. After a write nobody knows whether it took effect."""


class RateLimitError(ApiError):
    """429: over the rate limit.

    Attributes
    ----------
    retry_after : float or None
        Seconds to wait, None if the server did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after
