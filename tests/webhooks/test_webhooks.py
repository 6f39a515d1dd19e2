"""Webhooks as received: the signature, and every shape that the contract lists."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from voxops.errors import DecodeError
from voxops.webhooks import parse_event, verify_signature

WHEN = "2026-03-02T09:00:00Z"
SHAPES = {
    "newest": {"id": "post_1", "workspaceId": "ws_1", "platforms": [{"platform": "TWITTER", "status": "PUBLISHED"}]},
    "middle": {
        "postId": "post_1",
        "platforms": [{"postPlatformId": "pp_1", "accountId": "acc_1", "platform": "twitter"}],
    },
    "names": {"postId": "post_1", "platforms": ["twitter", "facebook"]},
    "single": {"postId": "post_1", "platform": "twitter", "platformPostId": "99"},
}


def docs(data: dict, kind: str = "post.published") -> dict:
    return {"id": "evt_1", "type": kind, "createdAt": WHEN, "data": data}


def sdk(data: dict) -> dict:
    return {"event": "post.published", "timestamp": WHEN, "data": data}


def tunnel(data: dict) -> dict:
    return {"type": "webhook", "payload": {"event": "post.published", "id": "evt_1", "timestamp": WHEN, **data}}


def signed(secret: str = "s") -> str:
    return "sha256=" + hmac.new(secret.encode(), b"{}", hashlib.sha256).hexdigest()


# The signature; what is no signature at all: `tests/security/test_signatures.py`.


def test_while_a_secret_is_rotated_both_are_good():
    upper = signed("new").upper().replace("SHA256", "sha256")
    for header, genuine in ((upper, True), (signed("old"), True), (signed("older"), False)):
        assert verify_signature(b"{}", header, ["new", "old"]) is genuine


GENUINE = signed()


@pytest.mark.parametrize("header", [
    GENUINE[:-1], GENUINE + "0", GENUINE[:-1] + "g", GENUINE[:8], GENUINE.replace("256", "512"),
    GENUINE.partition("=")[2],
], ids=range(6))  # fmt: skip
def test_a_signature_is_genuine_as_a_whole(header):
    assert verify_signature(b"{}", GENUINE, "s")
    assert not verify_signature(b"{}", header, "s")


@pytest.mark.parametrize(("body", "header"), [(b"{}", 7), ("{}", "sha256=00")])
def test_a_decoded_body_or_header_is_refused(body, header):
    with pytest.raises(TypeError):
        verify_signature(body, header, "s")


# Every shape.


@pytest.mark.parametrize("envelope", [docs, sdk, tunnel])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("encode", [lambda p: p, json.dumps, lambda p: json.dumps(p).encode()])
def test_every_envelope_and_shape_names_the_post(envelope, shape, encode):
    event = parse_event(encode(envelope(SHAPES[shape])))
    assert (event.type, event.created_at) == ("post.published", WHEN)
    if envelope is tunnel and shape == "newest":
        return  # its own id and the post's are one field there, which only names the event
    assert (event.post_id, event.subject) == ("post_1", "post_1")


def test_an_event_without_an_id_has_that_of_its_content():
    middle, names = SHAPES["middle"], SHAPES["names"]
    ids = [parse_event(sdk(data)).id for data in (middle, dict(reversed(middle.items())), names)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(("data", "kind", "subject"), [
    ({"accountId": "acc_1", "platform": "twitter", "username": "x"}, "account.connected", "acc_1"),
    ({"accountId": "acc_1", "error": {"code": "X", "message": "y"}}, "account.error", "acc_1"),
    ({"id": "media_1", "workspaceId": "ws_1"}, "media.uploaded", "media_1"),
    ({"test": True}, "post.published", None),
    ({"x": 1}, "something.new", None),
])  # fmt: skip
def test_events_that_are_about_no_post(data, kind, subject):
    event = parse_event(docs(data, kind))
    assert (event.type, event.subject, event.post_id) == (kind, subject, None)


@pytest.mark.parametrize("payload", [b"", b"<html>", "[]", "3", {}, {"data": {}}, {"type": 5}, b"\xff", "null"])
def test_what_is_no_payload_is_refused_with_its_bytes(payload):
    with pytest.raises(DecodeError) as caught:
        parse_event(payload)
    if isinstance(payload, bytes):
        assert caught.value.body == payload
