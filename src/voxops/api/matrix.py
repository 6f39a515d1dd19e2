"""The endpoint capability matrix: 39 writes, and the policy that follows from each row (contract: SEED, MTX).

It decides whether a call may be resent, whether its 2xx is an outcome, whether its items must be read one by one, and what to poll.
No call site decides that itself. `Endpoint.inferred` names cells that the published page shows only in part: such calls are resent
only under a key.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class Resend(StrEnum):
    """Values of the column "Retry-safe"."""

    SAFE = "safe"
    WITH_KEY = "with key"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the matrix.

    Attributes
    ----------
    row : int
        Its number, 1 to 39.
    group : str
        ``posts``, ``accounts``, ``media`` or ``webhooks``.
    method, path : str
        As on the wire, identifiers as ``:id`` or ``:platform``.
    idempotent : bool
        Whether the server recognises a repeated ``Idempotency-Key``.
    is_async : bool
        Whether a 2xx only means "queued" and is not an outcome.
    emits : tuple of str
        Webhook events that follow; they end an asynchronous row.
    resend : Resend
        Whether it may be sent again after an ambiguous failure.
    partial : bool
        Whether it can half succeed, so that each item must be read, whatever the status of the whole.
    inferred : tuple of str
        Names of the cells that are inferred, not quoted.
    note : str
        The page's remark.
    """

    row: int
    group: str
    method: str
    path: str
    idempotent: bool
    is_async: bool
    emits: tuple[str, ...]
    resend: Resend
    partial: bool
    inferred: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


_COMPLETION = ("post.published", "post.failed")
_ALL = ("idempotent", "emits", "retry_safe")

# fmt: off
MATRIX: tuple[Endpoint, ...] = (
    #        row group    method path                          idempotent async  emits  resend  partial  inferred  note
    Endpoint(1, "posts", "POST", "/v1/posts", True, False, ("post.created", "post.scheduled"), Resend.WITH_KEY, False, (), "Recommended; created synchronously"),
    Endpoint(2, "posts", "PATCH", "/v1/posts/:id", True, False, (), Resend.SAFE, False, (), "use version token"),
    Endpoint(3, "posts", "DELETE", "/v1/posts/:id", True, False, (), Resend.SAFE, False),
    Endpoint(4, "posts", "POST", "/v1/posts/:id/publish", True, True, _COMPLETION, Resend.WITH_KEY, False, (), "queued to SQS"),
    Endpoint(5, "posts", "POST", "/v1/posts/:id/retry", True, True, _COMPLETION, Resend.WITH_KEY, True, (), "Recommended; re-queued; some platforms may fail"),
    Endpoint(6, "posts", "POST", "/v1/posts/:id/cancel", True, False, (), Resend.SAFE, False),
    Endpoint(7, "posts", "POST", "/v1/posts/:id/clone", True, False, ("post.created",), Resend.WITH_KEY, False),
    Endpoint(8, "posts", "POST", "/v1/posts/:id/duplicate", True, False, ("post.created",), Resend.WITH_KEY, False),
    Endpoint(9, "posts", "POST", "/v1/posts/:id/unpublish", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(10, "posts", "POST", "/v1/posts/:id/platforms/:id/fix", True, True, _COMPLETION, Resend.WITH_KEY, True, ("idempotent",), "re-queued"),
    Endpoint(11, "posts", "POST", "/v1/posts/bulk", True, False, ("post.created",), Resend.WITH_KEY, True, (), "Recommended; each created synchronously; HTTP 207, per-item status"),
    Endpoint(12, "posts", "POST", "/v1/posts/bulk-video", True, False, ("post.created",), Resend.WITH_KEY, True, ("idempotent",), "HTTP 207"),
    Endpoint(13, "posts", "POST", "/v1/posts/validate", False, False, (), Resend.SAFE, False, ("emits",), "read-only; always"),
    Endpoint(14, "posts", "POST", "/v1/posts/:id/recurrence", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(15, "posts", "PATCH", "/v1/posts/:id/recurrence", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(16, "posts", "DELETE", "/v1/posts/:id/recurrence", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(17, "accounts", "POST", "/v1/accounts/connect/:platform", False, False, (), Resend.SAFE, False, _ALL, "yes possible; returns OAuth URL"),
    Endpoint(18, "accounts", "POST", "/v1/accounts/callback/:platform", False, False, ("account.connected",), Resend.NEVER, False, ("idempotent",), "OAuth code cannot be replayed"),
    Endpoint(19, "accounts", "DELETE", "/v1/accounts/:id", True, False, ("account.disconnected",), Resend.SAFE, False, ("idempotent", "retry_safe")),
    Endpoint(20, "accounts", "POST", "/v1/accounts/:id/refresh", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(21, "accounts", "POST", "/v1/accounts/:id/test", True, False, (), Resend.SAFE, False, _ALL, "no possible"),
    Endpoint(22, "accounts", "POST", "/v1/accounts/:id/select-page", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(23, "accounts", "POST", "/v1/accounts/:id/backfill", True, True, (), Resend.SAFE, False, _ALL, "analytics pulled async"),
    Endpoint(24, "media", "POST", "/v1/media/upload", True, False, (), Resend.SAFE, False, _ALL, "presigned URL; S3 PUT separate"),
    Endpoint(25, "media", "DELETE", "/v1/media/:id", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(26, "media", "POST", "/v1/media/:id/validate", True, True, (), Resend.SAFE, False, _ALL, "queued"),
    Endpoint(27, "media", "POST", "/v1/media/register", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(28, "media", "POST", "/v1/media/bulk-presign", True, False, (), Resend.SAFE, True, _ALL, "per-file URLs"),
    Endpoint(29, "media", "POST", "/v1/media/bulk-video-upload-urls", True, False, (), Resend.SAFE, True, _ALL, "per-file URLs"),
    Endpoint(30, "media", "POST", "/v1/media/bulk-validate", True, True, (), Resend.SAFE, False, _ALL, "queued"),
    Endpoint(31, "media", "POST", "/v1/media/import-from-url", True, True, (), Resend.SAFE, False, _ALL, "async import"),
    Endpoint(32, "media", "POST", "/v1/media/import-from-drive", True, True, (), Resend.SAFE, False, _ALL, "async import"),
    Endpoint(33, "media", "PUT", "(presigned upload URL)", False, False, ("media.uploaded",), Resend.SAFE, False, ("idempotent", "retry_safe"), "not our API"),
    Endpoint(34, "webhooks", "POST", "/v1/webhooks", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(35, "webhooks", "PATCH", "/v1/webhooks/:id", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(36, "webhooks", "DELETE", "/v1/webhooks/:id", True, False, (), Resend.SAFE, False, _ALL),
    Endpoint(37, "webhooks", "POST", "/v1/webhooks/:id/rotate-secret", False, False, (), Resend.NEVER, False, ("idempotent", "emits"), "secret changes on each call"),
    Endpoint(38, "webhooks", "POST", "/v1/webhooks/test", True, False, (), Resend.SAFE, False, _ALL, "no possible"),
    Endpoint(39, "webhooks", "POST", "/v1/webhooks/:id/deliveries/:id/retry", True, True, (), Resend.SAFE, False, _ALL, "re-queued"),
)
# fmt: on

# The kind of thing to poll for the outcome of an asynchronous row.
_POLLED: dict[int, str] = {
    4: "post", 5: "post", 10: "post", 23: "account", 26: "media", 30: "media", 31: "media", 32: "media", 39: "delivery",
}  # fmt: skip


@cache
def _pattern(path: str) -> re.Pattern[str]:
    """Regular expression of a row's path; a variable part is anything but a slash."""
    return re.compile("/".join("[^/]+" if part.startswith(":") else re.escape(part) for part in path.split("/")))


def find(method: str, path: str) -> Endpoint | None:
    """Look a call up by method and concrete path, such as ``POST /v1/posts/post_1/retry``.

    Parameters
    ----------
    method : str
        HTTP method in any case.
    path : str
        Path with or without ``/v1``, without a query. Fixed words win over variable parts, so that
        ``POST /v1/posts/bulk`` is never taken for a post of that name.

    Returns
    -------
    Endpoint or None
        None for reads, and for writes without a row.
    """
    wanted = path if path.startswith("/v1/") else "/v1" + path
    hits = [row for row in MATRIX if row.method == method.upper() and _pattern(row.path).fullmatch(wanted)]
    return min(hits, key=lambda row: row.path.count(":"), default=None)


def may_resend(endpoint: Endpoint | None, *, with_key: bool) -> bool:
    """Whether a write may be resent while the effect of its last try is unknown.

    Parameters
    ----------
    endpoint : Endpoint or None
        The call's row; None (no row) is never resent.
    with_key : bool
        Whether all its tries have the same idempotency key.

    Returns
    -------
    bool
        A row with "with key", or with an inferred cell, needs the key. A direct upload is a PUT of the same bytes to the same
        address, which HTTP defines as idempotent.
    """
    if endpoint is None or endpoint.resend is Resend.NEVER:
        return False
    if endpoint.method == "PUT":
        return True
    needs_key = endpoint.resend is Resend.WITH_KEY or "retry_safe" in endpoint.inferred
    return with_key or not needs_key


def polled(endpoint: Endpoint) -> str | None:
    """Return the kind of thing to read until it is terminal: ``post``, ``media``, ``account``, ``delivery``; None if synchronous."""
    return _POLLED.get(endpoint.row)


def matrix() -> pd.DataFrame:
    """Return the matrix as a frame, one row per endpoint.

    Returns
    -------
    pandas.DataFrame
        39 rows, indexed by ``row``: ``group method path`` (str), ``idempotent asynchronous partial`` (bool), ``emits resend
        polled inferred note`` (str, empty for none).

    Examples
    --------
    >>> vx.matrix().loc[2, ["method", "path", "note"]].to_list()
    ['PATCH', '/v1/posts/:id', 'use version token']
    """
    import pandas as pd

    rows = [
        asdict(row)
        | {"asynchronous": row.is_async, "emits": ", ".join(row.emits), "resend": str(row.resend)}
        | {"polled": polled(row) or "", "inferred": ", ".join(row.inferred)}
        for row in MATRIX
    ]
    names = [
        "row",
        "group",
        "method",
        "path",
        "idempotent",
        "asynchronous",
        "partial",
        "emits",
        "resend",
        "polled",
        "inferred",
        "note",
    ]
    return pd.DataFrame(rows, columns=names).set_index("row")
