"""One webhook as it was received: is it theirs, and what does it say.

A payload comes in two envelopes and its data in three shapes (contract: 8.6, WH-1 to WH-3); all read alike. A payload is news,
not proof: `voxops.run.Run.notify` reads the post or delivery that it names before anything is settled.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from voxops._core import jsontext
from voxops._core.arguments import list_of_text
from voxops._core.jsontext import is_well_formed, well_formed
from voxops.errors import ConfigError, DecodeError

__all__ = ["SIGNATURE_HEADERS", "Payload", "WebhookEvent", "known_secrets", "parse_event", "verify_signature"]

Payload: TypeAlias = "bytes | bytearray | memoryview | str | Mapping[str, Any]"

# The header with the signature; the second is its retired name (contract: K1-1).
SIGNATURE_HEADERS = ("x-voxburst-signature", "x-socialdispatch-signature")
_NOT_A_WEBHOOK = "this is not a webhook payload, which is an object with a type or an event"
_DEEPEST = 10  # wrappings around a payload
_ENVELOPE = frozenset({"id", "type", "event", "createdAt", "timestamp", "data"})


def verify_signature(
    body: bytes | bytearray | memoryview, header: str | bytes | None, secrets: str | Iterable[str]
) -> bool:
    """Say whether a webhook was signed with one of these secrets.

    Parameters
    ----------
    body : bytes-like
        The request's body as it came, not decoded and encoded again.
    header : str, bytes or None
        The header ``X-VoxBurst-Signature``: ``sha256=`` and the HMAC-SHA256 of the body in hexadecimal digits. None, where the
        request had none, is not a signature.
    secrets : str or iterable of str
        The webhook's secret; while it is being rotated, the new one and the old one. A line break after it does no harm.

    Returns
    -------
    bool
        Every secret is tried, each compared in constant time. The signature covers the body alone: whether an event is a
        repetition shows in its id.

    Raises
    ------
    TypeError
        If the body is not bytes, or the header neither text nor bytes.
    ConfigError
        If there is no secret, or a blank one, with which anybody could sign.

    Examples
    --------
    >>> vx.verify_signature(b"{}", "sha256=00", "whsec_1")
    False
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"verify_signature takes the raw body as bytes, not {type(body).__name__}")
    known = known_secrets(secrets)
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    if not isinstance(text, str | None):
        raise TypeError(f"verify_signature takes the header as text or bytes, not {type(header).__name__}")
    method, _, digest = (text or "").strip().partition("=")
    signed = well_formed(digest.strip().lower()).encode() if method.strip().lower() == "sha256" else b""
    content = bytes(body)
    matches = [
        hmac.compare_digest(hmac.new(secret.encode(), content, hashlib.sha256).hexdigest().encode(), signed)
        for one in known
        for secret in (one, one.strip())  # a secret that was read from a file ends with a line break
    ]
    return any(matches)


def known_secrets(secrets: str | Iterable[str]) -> list[str]:
    """Read the secrets to verify with; no message repeats one.

    Raises
    ------
    ConfigError
        If there is none, or one that is blank or no text.
    """
    known = list_of_text("secrets", secrets, secret=True)
    if not known or not all(secret.strip() and is_well_formed(secret) for secret in known):
        raise ConfigError(
            "no secret to verify with; it is shown once, when the webhook is created or its secret rotated"
        )
    return known


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event, whichever envelope and shape it came in.

    Attributes
    ----------
    id : str
        The event's own; for an envelope without one a hash of its content, so that a repetition has the same.
    type : str
        Such as ``post.published``. New ones may come; a partial result is ``post.published`` too.
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
        """The post it is about, None if it is about none."""
        return self._id_of("post")

    @property
    def account_id(self) -> str | None:
        """The account it is about, or that its one target belongs to."""
        return self._id_of("account")

    @property
    def media_id(self) -> str | None:
        """The media file it is about."""
        return self._id_of("media")

    def _id_of(self, kind: str) -> str | None:
        """The id of the thing of a kind that it is about: named so, or plainly ``id`` where the event is one of that kind."""
        return _text(self.data.get(f"{kind}Id") or (self.data.get("id") if self.type.startswith(kind) else None))

    @property
    def subject(self) -> str | None:
        """Id of the post, account or media file it is about."""
        return self.post_id or self.media_id or self.account_id

    def post(self) -> dict[str, Any]:
        """What it says of its post, as a post on the wire; ``{}`` if it is about none."""
        if self.post_id is None:
            return {}
        return {**self.data, "id": self.post_id, "platforms": self._platforms()}

    def _platforms(self) -> Any:
        """Its targets: objects, names alone (WH-1), or one per event (K1); the event's own word where they say no status."""
        said = self.data.get("platforms")
        if said is None and self.data.get("platform") is not None:
            names = (
                "platform",
                "accountId",
                "postPlatformId",
                "platformPostId",
                "platformPostUrl",
                "publishedAt",
                "error",
            )
            said = [{name: self.data[name] for name in names if name in self.data}]
        outcome = {"post.published": "published", "post.failed": "failed"}.get(self.type)
        if not isinstance(said, list) or outcome is None:
            return said
        entries = [entry if isinstance(entry, Mapping) else {"platform": entry} for entry in said]
        return [{"status": outcome, **entry} for entry in entries]


def parse_event(payload: Payload) -> WebhookEvent:
    """Read one webhook payload.

    Parameters
    ----------
    payload : bytes-like, str or mapping
        A body: ``{id, type, createdAt, data}``, ``{event, timestamp, data}``, or what a tunnel delivers:
        ``{event, id, timestamp, …}``, also inside ``{type: "webhook", payload}``. Whether it is genuine is for
        `verify_signature` to say.

    Returns
    -------
    WebhookEvent

    Raises
    ------
    DecodeError
        If it is not a webhook payload; `body` holds it.

    Examples
    --------
    >>> event = vx.parse_event('{"id": "evt_1", "type": "post.failed", "data": {"id": "post_1"}}')
    >>> event.type, event.post_id
    ('post.failed', 'post_1')
    """
    raw, data = _decoded(payload)
    for _ in range(_DEEPEST):  # what a tunnel wraps
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
    except (RecursionError, TypeError, ValueError):  # no JSON: nested too deeply, or in a circle
        raise DecodeError(_NOT_A_WEBHOOK, endpoint="webhook", body=raw) from None


def _decoded(payload: Any) -> tuple[bytes, Any]:
    """A payload's bytes, and what they say as JSON; None where they are not JSON."""
    if isinstance(payload, str):
        payload = payload.encode("utf-8", "surrogatepass")
    if not isinstance(payload, bytes | bytearray | memoryview):
        return b"", payload
    raw = bytes(payload)
    try:
        return raw, jsontext.decode(raw)
    except ValueError:
        return raw, None


def _content_id(kind: str, when: Any, data: Mapping[str, Any]) -> str:
    """An id for an event that has none: the same content, the same event."""
    whole = [kind, when, dict(data)]
    try:
        content = msgspec.json.encode(whole, enc_hook=str, order="sorted")
    except (UnicodeEncodeError, OverflowError):  # half an emoji; a number of more than 64 bits
        content = json.dumps(whole, default=str, sort_keys=True).encode("ascii")
    return f"sha256:{hashlib.sha256(content).hexdigest()[:32]}"


def _text(value: Any) -> str | None:
    """An id or a time as text; None where it is absent or empty."""
    return None if value is None or value == "" else str(value)
