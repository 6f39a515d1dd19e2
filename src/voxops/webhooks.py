"""Webhook events: verify and parse one, and load recorded ones as a frame.

=====================  ===================================================================================
`verify_signature`     whether a webhook was signed with your secret
`parse_event`          one payload as a `WebhookEvent`, in any envelope
`events`               recorded webhooks as a frame, each event once
`join_events`          events beside the posts or the deliveries that they belong to
=====================  ===================================================================================
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from voxops._support import canonical
from voxops._support.arguments import file_path, list_of_text
from voxops._support.canonical import is_well_formed, well_formed
from voxops._support.safe import many
from voxops.errors import ConfigError, DecodeError, PlanError
from voxops.frames.columns import need_frame, refuse_texts_of_lists, unnamed_index
from voxops.frames.records import build
from voxops.frames.schemas import COUNT, FLAG, JSON, LABEL, LIST, TEXT, TIME, WORD

__all__ = ["Payload", "WebhookEvent", "events", "join_events", "parse_event", "verify_signature"]


def __dir__() -> list[str]:
    return __all__


#: The body of a webhook as a framework hands it over, as bytes or text of JSON, or as the decoded object.
Payload: TypeAlias = "bytes | bytearray | memoryview | str | Mapping[str, Any]"

# The header with the signature; the second is its retired name (contract: K1-1).
_SIGNATURE_HEADERS = ("x-voxburst-signature", "x-socialdispatch-signature")
_NOT_A_WEBHOOK = "this is not a webhook payload, which is an object with a type or an event"
_DEEPEST = 10  # wrappings around a payload
_OF_TARGET = ("platform", "accountId", "postPlatformId", "platformPostId", "platformPostUrl", "publishedAt", "error")
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
        If there is no secret, or a blank one, which anybody could use.

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
    if not known or not all(secret.strip() and is_well_formed(secret) for secret in known):
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
        """Return the id of its thing of a kind: by that name, or ``id`` in an event of that kind."""
        return _text(self.data.get(f"{kind}Id") or (self.data.get("id") if self.type.startswith(kind) else None))

    @property
    def subject(self) -> str | None:
        """Id of its post, account or media file."""
        return self.post_id or self.media_id or self.account_id

    def post(self) -> dict[str, Any]:
        """Its post as sent; ``{}`` for none."""
        if self.post_id is None:
            return {}
        return {**self.data, "id": self.post_id, "platforms": self._platforms()}

    def _platforms(self) -> Any:
        """Its targets: objects, bare names (WH-1), or one per event (K1); a missing status comes from the event."""
        said = self.data.get("platforms")
        if said is None and self.data.get("platform") is not None:
            said = [{name: self.data[name] for name in _OF_TARGET if name in self.data}]
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


_DELIVERY_HEADER = "x-voxburst-delivery-id"
_RECORDS = (".jsonl", ".ndjson", ".json")


def events(source: str | os.PathLike[str] | Iterable[Any], secrets: str | Iterable[str] | None = None) -> pd.DataFrame:
    """Turn recorded webhooks into a frame, each event once.

    Parameters
    ----------
    source : path or iterable
        A file of JSON lines or of one JSON document, a folder of such files, or the records themselves. A record is a payload,
        or a receiver's record: ``{headers, body}``.
    secrets : str or iterable of str, optional
        To verify records that have headers and a body as text.

    Returns
    -------
    pandas.DataFrame
        One row per event, oldest first: ``event_id event_type`` (string), ``created_at`` (UTC), ``post_id status content``
        (string; the post's, lower case), ``scheduled_for published_at updated_at`` (UTC), ``targets`` (as in a posts frame, so
        that ``vx.targets`` accepts this one, too), ``failed_targets`` (Int64), ``account_id media_id workspace_id`` (string),
        ``delivery_ids`` (list), ``received`` (Int64, number of copies), ``verified`` (boolean, NA if unchecked; a genuine copy wins)
        and ``data`` (object). ``attrs["unread"]["record"]`` counts records that are not webhooks; without any webhook there is a
        warning.

    Raises
    ------
    ConfigError
        If there is no such file, it can't be read, it is a frame (pass its column of payloads), or a secret is blank.

    Examples
    --------
    >>> payload = {"id": "evt_1", "type": "post.failed", "createdAt": "2026-03-02T09:00:00Z", "data": {"id": "post_1"}}
    >>> vx.webhooks.events([payload, payload])[["event_id", "post_id", "received"]].values.tolist()
    [['evt_1', 'post_1', 2]]
    """
    firsts: dict[str, _Received] = {}
    unread = 0
    known = None if secrets is None else _known_secrets(secrets)
    for record in _records(source):
        try:
            received = _received(record, known)
        except DecodeError:
            unread += 1
            continue
        first = firsts.setdefault(received.event.id, received)
        if first is not received:
            first.repeat(received)
    if unread and not firsts:
        warnings.warn(
            f"no webhook among {many(unread, 'record')}: a record is a payload with an id and a type, or an object of headers and body",
            stacklevel=2,
        )
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
        All events; with deliveries one row per event and delivery. The other frame's columns follow, those with the same name
        prefixed by ``post_`` or ``delivery_``; NA without a match. In joined loads, the delivery with the most attempts and the
        latest post count.

    Raises
    ------
    PlanError
        If `recorded` is not a frame of events, or was read from a CSV file, or `other` is a frame of neither posts nor deliveries.

    Examples
    --------
    >>> payload = {"id": "evt_1", "type": "post.failed", "data": {"id": posts["post_id"].iloc[0]}}
    >>> vx.webhooks.join_events(vx.webhooks.events([payload]), posts)["post_id"].notna().all()
    np.True_
    """
    what = "join_events takes a frame of events, and one of posts or deliveries"
    need_frame(other, [], what, "Use ws.posts(...) or ws.deliveries(...).")
    key = next((name for name in ("delivery_id", "post_id") if name in other.columns), None)
    if key is None or "target_id" in other.columns:
        wrong = "has neither post_id nor delivery_id" if key is None else "is one of targets"
        raise PlanError(f"{what}; the second {wrong}. Use ws.posts(...) or ws.deliveries(...).")
    name, newest = ("delivery_ids", "retry_count") if key == "delivery_id" else ("post_id", "updated_at")
    need_frame(recorded, ["event_id", name], what, "Use vx.webhooks.events(...).")
    left, rows = unnamed_index(recorded), unnamed_index(other)
    if newest in rows.columns:
        rows = rows.sort_values(newest, kind="stable", na_position="first")
    if key == "delivery_id":
        refuse_texts_of_lists(recorded, name)
        left = left.explode(name, ignore_index=True).rename(columns={name: key})
        left[key] = left[key].astype(other[key].dtype)
    prefix = key.removesuffix("id")
    right = (
        rows[rows[key].notna()]
        .drop_duplicates(key, keep="last")
        .rename(columns={each: f"{prefix}{each}" for each in other.columns if each != key and each in left.columns})
    )
    return left.merge(right, on=key, how="left")


@dataclass(slots=True)
class _Received:
    """An event and its copies."""

    event: WebhookEvent
    deliveries: list[str]
    verified: bool | None
    times: int = 1

    def repeat(self, other: _Received) -> None:
        """Add a copy of the event; a genuine copy makes it genuine and replaces it."""
        self.times += 1
        if other.verified and not self.verified:
            self.event = other.event
        self.deliveries += [delivery for delivery in other.deliveries if delivery not in self.deliveries]
        self.verified = other.verified if self.verified is None else self.verified or bool(other.verified)


def _frame(received: Sequence[_Received], unread: int) -> pd.DataFrame:
    """Return the frame of events."""
    found = [one.event for one in received]
    posts = build("posts", [{"workspaceId": event.data.get("workspaceId"), **event.post()} for event in found])
    columns: dict[str, Any] = {
        "event_id": TEXT.array([event.id for event in found]),
        "event_type": LABEL.array([event.type for event in found]),
        "created_at": TIME.array([event.created_at for event in found]),
    }
    names = ("post_id", "status", "content", "scheduled_for", "published_at", "updated_at", "targets", "failed_targets")
    columns |= {name: posts[name] for name in names}
    # A failed event without a status means a failed post; a published one of one platform says nothing of its post.
    whole = ["failed" if event.type == "post.failed" and "platform" not in event.data else None for event in found]
    columns["status"] = posts["status"].fillna(pd.Series(WORD.array(whole)))
    columns |= {
        "account_id": TEXT.array([event.account_id for event in found]),
        "media_id": TEXT.array([event.media_id for event in found]),
        "workspace_id": posts["workspace_id"],
        "delivery_ids": LIST.array([list(one.deliveries) for one in received]),
        "received": COUNT.array([one.times for one in received]),
        "verified": FLAG.array([one.verified for one in received]),
        "data": JSON.array([dict(event.data) for event in found]),
    }
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(found)))
    frame = frame.sort_values("created_at", kind="stable", ignore_index=True)
    frame.attrs = {"kind": "events", "unread": {"record": unread} if unread else {}}
    return frame


def _received(record: Any, secrets: list[str] | None) -> _Received:
    """Read one record: a payload, or a receiver's headers and body."""
    note = _decoded(record)[1]
    if not isinstance(note, Mapping) or "body" not in note or note.get("type") or note.get("event"):
        return _Received(parse_event(record), [], None)
    body, headers = note["body"], note.get("headers")
    event = parse_event(body)
    named = _headers(headers) if isinstance(headers, Mapping) else {}
    verified = None
    if secrets is not None and named and not isinstance(body, Mapping):
        raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        signatures = next((named[name] for name in _SIGNATURE_HEADERS if name in named), [])
        verified = any(verify_signature(raw, signature, secrets) for signature in signatures)
    return _Received(event, [one for one in named.get(_DELIVERY_HEADER, []) if one], verified)


def _headers(headers: Mapping[Any, Any]) -> dict[str, list[str]]:
    """Return headers by lower-case names; receivers record values as text, bytes or lists."""

    def text(value: Any) -> str:
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)

    return {
        text(name).lower(): [text(one) for one in (value if isinstance(value, list | tuple) else [value])]
        for name, value in headers.items()
    }


def _records(source: str | os.PathLike[str] | Iterable[Any]) -> Iterator[Any]:
    """Yield the records of a file, a folder, or a list."""
    if not isinstance(source, str | os.PathLike):
        # A frame would iterate over its column names.
        if not isinstance(source, Iterable) or hasattr(source, "columns"):
            raise ConfigError(f"vx.webhooks.events takes a path or the records themselves, not {type(source).__name__}")
        yield from [source] if isinstance(source, Mapping | bytes | bytearray | memoryview) else source
        return
    path = file_path("source", source)
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in _RECORDS and not file.is_dir():
                yield from _of_file(file)
    elif path.is_file():
        yield from _of_file(path)
    else:
        raise ConfigError(f"no file or folder {path}; vx.webhooks.events takes a path, or the records themselves")


def _of_file(path: Path) -> Iterator[Any]:
    """Yield the records of one file: a JSON document, or one per line; a line that is not JSON is yielded to be counted."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror or error}") from error
    encoding = json.detect_encoding(content)
    if not encoding.startswith("utf-8"):  # PowerShell redirects output as UTF-16
        content = content.decode(encoding, "replace").encode("utf-8", "replace")
    try:
        document = canonical.decode(content)
    except ValueError:
        yield from (line for line in content.splitlines() if line.strip())
        return
    yield from document if isinstance(document, list) else [document]
