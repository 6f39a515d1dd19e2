"""Webhook events: verify and parse one."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from voxops._support import canonical
from voxops._support.arguments import list_of_text
from voxops._support.canonical import well_formed
from voxops._support.safe import FILLERS
from voxops.errors import ConfigError, DecodeError

__all__ = ["WebhookEvent", "parse_event", "verify_signature"]


def __dir__() -> list[str]:
    return __all__


# The body of a webhook as a framework hands it over, as bytes or text of JSON, or as the decoded object.
Payload: TypeAlias = "bytes | bytearray | memoryview | str | Mapping[str, Any]"

_NOT_A_WEBHOOK = "this is not a webhook payload, which is an object with a type or an event"
# Something to see, and no half of a surrogate pair.
_VISIBLE = re.compile(rf"[^\ud800-\udfff]*(?:[!-~]|(?![{FILLERS}])\w)[^\ud800-\udfff]*")
_DEEPEST = 10  # wrappings around a payload
_ENVELOPE = frozenset({"id", "type", "event", "createdAt", "timestamp", "data"})


def verify_signature(
    body: bytes | bytearray | memoryview, header: str | bytes | None, secrets: str | Iterable[str]
) -> bool:
    """Check whether a webhook was signed with one of these secrets.

    Parameters
    ----------
    body : bytes-like
        The request's raw body, not decoded and encoded again.
    header : str, bytes or None
        The header ``X-VoxBurst-Signature``: ``sha256=`` and the HMAC-SHA256 of the body in hexadecimal digits. None (no header) is
        not a signature.
    secrets : str or iterable of str
        The webhook's secret; during a rotation the new and the old one. A trailing line break is ignored.

    Returns
    -------
    bool
        Whether one secret matches, each compared in constant time. The signature covers only the body: the event's id reveals a
        repetition.

    Raises
    ------
    TypeError
        If the body is not bytes, or the header is neither text nor bytes.
    ConfigError
        If there is no secret, or one without a visible character, which anybody could use.

    Examples
    --------
    >>> vx.webhooks.verify_signature(b"{}", "sha256=00", "whsec_1")
    False
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"verify_signature takes the raw body as bytes, not {type(body).__name__}")
    known = _known_secrets(secrets)
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    if not isinstance(text, str | None):
        raise TypeError(f"verify_signature takes the header as text or bytes, not {type(header).__name__}")
    method, _, digest = (text or "").strip().partition("=")
    signed = well_formed(digest.strip().lower()).encode() if method.strip().lower() == "sha256" else b""
    content = bytes(body)
    matches = [
        hmac.compare_digest(hmac.new(secret.encode(), content, hashlib.sha256).hexdigest().encode(), signed)
        for one in known
        for secret in (one, one.strip())  # a secret read from a file ends with a line break
    ]
    return any(matches)


def _known_secrets(secrets: str | Iterable[str]) -> list[str]:
    """Read the secrets; no message repeats one.

    Raises
    ------
    ConfigError
        If there is none, or one is blank or not text.
    """
    known = list_of_text("secrets", secrets, secret=True)
    if not known or not all(map(_VISIBLE.fullmatch, known)):
        raise ConfigError("no secret; the API shows it once, when the webhook is created or its secret is rotated")
    return known


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event, from any envelope and shape.

    Attributes
    ----------
    id : str
        The event's own; without one a hash of its content, so that a repetition has the same.
    type : str
        Such as ``post.published``. The API may add others; a partial result is ``post.published`` too.
    created_at : str or None
        ISO text, as sent.
    data : mapping
        As sent.
    """

    id: str
    type: str
    created_at: str | None
    data: Mapping[str, Any] = field(repr=False)

    @property
    def post_id(self) -> str | None:
        """Id of its post, None for none."""
        return self._id_of("post")

    @property
    def account_id(self) -> str | None:
        """Id of its account, or of its single target's account."""
        return self._id_of("account")

    @property
    def media_id(self) -> str | None:
        """Id of its media file."""
        return self._id_of("media")

    def _id_of(self, kind: str) -> str | None:
        """Return the id of its post, account or media file: the field of that name, or ``id`` in an event of that kind."""
        return _text(self.data.get(f"{kind}Id") or (self.data.get("id") if self.type.startswith(kind) else None))

    @property
    def subject(self) -> str | None:
        """Id of its post, account or media file."""
        return self.post_id or self.media_id or self.account_id


def parse_event(payload: Payload) -> WebhookEvent:
    """Read one webhook payload.

    Parameters
    ----------
    payload : bytes-like, str or mapping
        A body: ``{id, type, createdAt, data}``, ``{event, timestamp, data}``, or that of a tunnel: ``{event, id, timestamp, …}``,
        also inside ``{type: "webhook", payload}``. `verify_signature` checks whether it is genuine.

    Returns
    -------
    WebhookEvent

    Raises
    ------
    DecodeError
        If it is not a webhook payload; `body` has it.

    Examples
    --------
    >>> event = vx.webhooks.parse_event('{"id": "evt_1", "type": "post.failed", "data": {"id": "post_1"}}')
    >>> event.type, event.post_id
    ('post.failed', 'post_1')
    """
    raw, data = _decoded(payload)
    for _ in range(_DEEPEST):  # a tunnel's wrapping
        if not (isinstance(data, Mapping) and data.get("type") == "webhook" and "payload" in data):
            break
        inner_raw, data = _decoded(data["payload"])
        raw = inner_raw or raw
    else:
        raise DecodeError(f"this payload is wrapped more than {_DEEPEST - 1} times", endpoint="webhook", body=raw)
    kind = (data.get("type") or data.get("event")) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(kind, str):
        raise DecodeError(_NOT_A_WEBHOOK, endpoint="webhook", body=raw)
    said = data.get("data")
    inner = (
        said if isinstance(said, Mapping) else {name: value for name, value in data.items() if name not in _ENVELOPE}
    )
    when = data.get("createdAt") or data.get("timestamp")
    try:
        return WebhookEvent(_text(data.get("id")) or _content_id(kind, when, inner), kind, _text(when), inner)
    except (RecursionError, TypeError, ValueError):  # not JSON: nested too deeply, or circular
        raise DecodeError(_NOT_A_WEBHOOK, endpoint="webhook", body=raw) from None


def _decoded(payload: Any) -> tuple[bytes, Any]:
    """Return a payload's bytes, and their JSON value; None if they are not JSON."""
    if isinstance(payload, str):
        payload = payload.encode("utf-8", "surrogatepass")
    if not isinstance(payload, bytes | bytearray | memoryview):
        return b"", payload
    raw = bytes(payload)
    try:
        return raw, canonical.decode(raw)
    except ValueError:
        return raw, None


def _content_id(kind: str, when: Any, data: Mapping[str, Any]) -> str:
    """Return an id for an event without one: equal contents, equal ids."""
    content = canonical.text([kind, when, dict(data)])
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _text(value: Any) -> str | None:
    """Return an id or a time as text; None if absent or empty."""
    return None if value is None or value == "" else str(value)
