"""Webhooks as they were received: is it theirs, what does it say, and all of them as a frame.

A payload comes in two envelopes and its data in three shapes (contract: 8.6, WH-1 to WH-3); all read alike. A payload is news,
not proof: `voxops.run.Run.notify` reads the thing that it names before anything is settled.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from voxops import frames
from voxops.errors import ConfigError, DecodeError, PlanError
from voxops.values import COUNT, FLAG, JSON, LABEL, LIST, TEXT, TIME, WORD

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SIGNATURE_HEADERS", "Payload", "WebhookEvent", "events", "join_events", "parse_event", "verify_signature"]

Payload: TypeAlias = "bytes | str | Mapping[str, Any]"

# The header that carries the signature; the second is its retired name (contract: K1-1).
SIGNATURE_HEADERS = ("x-voxburst-signature", "x-socialdispatch-signature")
_DELIVERY_HEADER = "x-voxburst-delivery-id"
_RECORDS = (".jsonl", ".ndjson", ".json")
_ENVELOPE = frozenset({"id", "type", "event", "createdAt", "timestamp", "data"})


def verify_signature(body: bytes, header: str | None, secrets: str | Sequence[str]) -> bool:
    """Say whether a webhook was signed with one of these secrets.

    Parameters
    ----------
    body : bytes
        The request's body as it came, not decoded and encoded again.
    header : str or None
        The header ``X-VoxBurst-Signature``: ``sha256=`` and the HMAC-SHA256 of the body in hexadecimal digits. None, where the
        request had none, is not a signature.
    secrets : str or sequence of str
        The webhook's secret; while it is being rotated, the new one and the old one.

    Returns
    -------
    bool
        Every secret is tried, each compared in constant time. The signature covers the body alone: it does not tell a
        repetition from the first, which the event's id does.

    Raises
    ------
    TypeError
        If the body is not bytes.
    ConfigError
        If there is no secret, or an empty one, under which everybody could sign.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"verify_signature takes the raw body as bytes, not {type(body).__name__}")
    known = [secrets] if isinstance(secrets, str) else list(secrets)
    if not known or not all(known):
        raise ConfigError("no secret to verify with; it is shown once, when the webhook is created or its secret rotated")
    method, _, told = (header or "").strip().partition("=")
    given = told.strip().lower().encode() if method.strip().lower() == "sha256" else b""
    matches = [
        hmac.compare_digest(hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode(), given) for secret in known
    ]
    return any(matches)


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
        return _text(self.data.get("postId") or (self.data.get("id") if self.type.startswith("post") else None))

    @property
    def account_id(self) -> str | None:
        """The account it is about, or that its one target belongs to."""
        return _text(self.data.get("accountId") or (self.data.get("id") if self.type.startswith("account") else None))

    @property
    def media_id(self) -> str | None:
        """The medium it is about."""
        return _text(self.data.get("mediaId") or (self.data.get("id") if self.type.startswith("media") else None))

    @property
    def subject(self) -> str | None:
        """Id of the post, account or medium it is about."""
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
            names = ("platform", "accountId", "postPlatformId", "platformPostId", "platformPostUrl", "publishedAt", "error")
            said = [{name: self.data[name] for name in names if name in self.data}]
        outcome = {"post.published": "published", "post.failed": "failed"}.get(self.type)
        if not isinstance(said, list) or outcome is None:
            return said
        told = [entry if isinstance(entry, Mapping) else {"platform": entry} for entry in said]
        return [{"status": outcome, **entry} for entry in told]


def parse_event(payload: Payload) -> WebhookEvent:
    """Read one webhook payload.

    Parameters
    ----------
    payload : bytes, str or mapping
        A body: ``{id, type, createdAt, data}``, ``{event, timestamp, data}``, or what a tunnel hands over:
        ``{event, id, timestamp, …}``, also inside ``{type: "webhook", payload}``. Whether it is genuine is for
        `verify_signature` to say.

    Returns
    -------
    WebhookEvent

    Raises
    ------
    DecodeError
        If it is no webhook payload; `body` holds it.
    """
    raw = payload.encode() if isinstance(payload, str) else payload if isinstance(payload, bytes) else b""
    data = payload
    if not isinstance(data, Mapping):
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError:
            data = {}
    if isinstance(data, Mapping) and data.get("type") == "webhook" and "payload" in data:
        return parse_event(data["payload"])
    kind = (data.get("type") or data.get("event")) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(kind, str):
        raise DecodeError("a webhook payload is an object with a type or an event; this is none", endpoint="webhook", body=raw)
    said = data.get("data")
    inner = said if isinstance(said, Mapping) else {name: value for name, value in data.items() if name not in _ENVELOPE}
    when = data.get("createdAt") or data.get("timestamp")
    return WebhookEvent(_text(data.get("id")) or _content_id(kind, when, inner), kind, _text(when), inner)


def events(source: str | os.PathLike[str] | Iterable[Any], secrets: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Turn recorded webhooks into a frame, each event once.

    Parameters
    ----------
    source : path or iterable
        A file of JSON lines or of one JSON document, a folder of such files, or the records themselves. A record is a payload,
        or what a receiver wrote down: ``{headers, body}``.
    secrets : str or sequence of str, optional
        Verify records that have headers and a body as text.

    Returns
    -------
    pandas.DataFrame
        One row per event, oldest first: ``event_id event_type`` (string), ``created_at`` (UTC), ``post_id status content``
        (string; the post's, lower case), ``scheduled_for published_at updated_at`` (UTC), ``targets`` (as in a posts frame, so
        that ``vx.targets`` takes this one, too), ``failed_targets`` (Int64), ``account_id media_id workspace_id`` (string),
        ``delivery_ids`` (list), ``received`` (Int64, how often it came), ``verified`` (boolean, NA if it could not be
        checked), ``data`` (object). ``attrs["unread"]["record"]`` counts what was no webhook.

    Raises
    ------
    ConfigError
        If there is no such file.
    """
    firsts: dict[str, _Received] = {}
    unread = 0
    for record in _records(source):
        try:
            received = _received(record, secrets)
        except DecodeError:
            unread += 1
            continue
        first = firsts.setdefault(received.event.id, received)
        if first is not received:
            first.repeat(received)
    return _frame(list(firsts.values()), unread)


def join_events(recorded: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Join events to the posts or to the deliveries that they belong to.

    Parameters
    ----------
    recorded : pandas.DataFrame
        From `events`.
    other : pandas.DataFrame
        From ``ws.posts`` or ``ws.deliveries``.

    Returns
    -------
    pandas.DataFrame
        All events; to deliveries one row per event and delivery. The other frame's columns follow, those of the same name with
        ``post_`` or ``delivery_`` before it; NA where nothing fits.

    Raises
    ------
    PlanError
        If `other` is neither.
    """
    key = next((name for name in ("delivery_id", "post_id") if name in other.columns), None)
    if key is None or "event_id" not in recorded.columns:
        raise PlanError("join_events takes vx.events(...), and a frame of ws.posts() or ws.deliveries()")
    left = recorded
    if key == "delivery_id":
        left = recorded.explode("delivery_ids", ignore_index=True).rename(columns={"delivery_ids": key})
        left[key] = left[key].astype(other[key].dtype)
    prefix = key.removesuffix("id")
    right = other.drop_duplicates(key).rename(
        columns={name: f"{prefix}{name}" for name in other.columns if name != key and name in left.columns}
    )
    return left.merge(right, on=key, how="left")


@dataclass(slots=True)
class _Received:
    """An event and how it came."""

    event: WebhookEvent
    deliveries: list[str]
    verified: bool | None
    times: int = 1

    def repeat(self, other: _Received) -> None:
        """Take note of the same event again; one genuine copy makes it genuine."""
        self.times += 1
        self.deliveries += [delivery for delivery in other.deliveries if delivery not in self.deliveries]
        self.verified = other.verified if self.verified is None else self.verified or bool(other.verified)


def _frame(received: Sequence[_Received], unread: int) -> pd.DataFrame:
    """The frame of events."""
    import pandas as pd

    told = [one.event for one in received]
    posts = frames.build("posts", [{"workspaceId": event.data.get("workspaceId"), **event.post()} for event in told])
    columns: dict[str, Any] = {
        "event_id": TEXT.array([event.id for event in told]),
        "event_type": LABEL.array([event.type for event in told]),
        "created_at": TIME.array([event.created_at for event in told]),
    }
    names = ("post_id", "status", "content", "scheduled_for", "published_at", "updated_at", "targets", "failed_targets")
    columns |= {name: posts[name] for name in names}
    columns |= {
        "account_id": TEXT.array([event.account_id for event in told]),
        "media_id": TEXT.array([event.media_id for event in told]),
        "workspace_id": posts["workspace_id"],
        "delivery_ids": LIST.array([tuple(one.deliveries) for one in received]),
        "received": COUNT.array([one.times for one in received]),
        "verified": FLAG.array([one.verified for one in received]),
        "data": JSON.array([dict(event.data) for event in told]),
    }
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(told)))
    frame["status"] = WORD.array(_statuses(told, list(posts["status"])))
    frame = frame.sort_values("created_at", kind="stable", ignore_index=True)
    frame.attrs = {"kind": "events", "unread": {"record": unread} if unread else {}}
    return frame


def _statuses(told: Sequence[WebhookEvent], said: Sequence[Any]) -> list[Any]:
    """Status of each post; a failed event without one means a failed post, a published one of one platform says nothing of it."""
    return [
        "failed" if not isinstance(status, str) and event.type == "post.failed" and "platform" not in event.data
        else status if isinstance(status, str) else None
        for event, status in zip(told, said, strict=True)
    ]  # fmt: skip


def _received(record: Any, secrets: str | Sequence[str] | None) -> _Received:
    """Read one record: a payload, or a receiver's note of headers and body."""
    if not isinstance(record, bytes | str | Mapping):
        raise DecodeError("a record of a webhook is a payload, or headers and body", endpoint="webhook")
    if not isinstance(record, Mapping) or "body" not in record or record.get("type") or record.get("event"):
        return _Received(parse_event(record), [], None)
    body, headers = record["body"], record.get("headers")
    if not isinstance(body, bytes | str | Mapping):
        raise DecodeError("the body of this record is no webhook payload", endpoint="webhook")
    named = {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}
    delivery = named.get(_DELIVERY_HEADER)
    verified = None
    if secrets is not None and named and not isinstance(body, Mapping):
        signature = next((named[name] for name in SIGNATURE_HEADERS if name in named), None)
        verified = verify_signature(body.encode() if isinstance(body, str) else body, signature, secrets)
    return _Received(parse_event(body), [delivery] if delivery else [], verified)


def _records(source: str | os.PathLike[str] | Iterable[Any]) -> Iterator[Any]:
    """The records of a file, a folder, or a list."""
    if not isinstance(source, str | os.PathLike):
        yield from [source] if isinstance(source, Mapping | bytes) else source
        return
    path = Path(source)
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in _RECORDS:
                yield from _of_file(file)
    elif path.is_file():
        yield from _of_file(path)
    else:
        raise ConfigError(f"no file or folder {path}; vx.events takes a path, or the records themselves")


def _of_file(path: Path) -> Iterator[Any]:
    """The records of one file: a JSON document, or one per line; a line that is no JSON is handed on to be counted."""
    content = path.read_bytes()
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        yield from (line for line in content.splitlines() if line.strip())
        return
    yield from document if isinstance(document, list) else [document]


def _content_id(kind: str, when: Any, data: Mapping[str, Any]) -> str:
    """An id for an event that has none: the same content, the same event."""
    content = orjson.dumps([kind, when, dict(data)], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
    return f"sha256:{hashlib.sha256(content).hexdigest()[:32]}"


def _text(value: Any) -> str | None:
    """An id or a time as text; None where there is none."""
    return None if value is None or value == "" else str(value)
