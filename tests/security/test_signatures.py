"""A webhook that nobody could have sent is answered, not crashed on (point 13 of the review of leaks)."""

from __future__ import annotations

import hashlib
import hmac
import json
from contextlib import suppress
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxops as vx
from voxops.errors import ConfigError, DecodeError

SECRET = "whsec_9f8e7d6c5b4a"
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def signature(body, secret=SECRET):
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


@given(body=st.binary(), header=ANY_TEXT | st.binary() | st.none())
def test_no_header_is_more_than_true_or_false(body, header):
    assert vx.webhooks.verify_signature(body, header, SECRET) is False
    assert vx.webhooks.verify_signature(body, signature(body), SECRET) is True


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_body_of_any_buffer_is_verified_and_read(kind):
    body = b'{"id":"evt_1","type":"post.failed","data":{"id":"post_1","content":"half \\ud83d"}}'  # half an emoji costs no event
    assert vx.webhooks.verify_signature(kind(body), signature(body), SECRET)
    assert vx.webhooks.parse_event(kind(body)).post_id == "post_1"
    assert vx.webhooks.verify_signature(memoryview(body)[::2], signature(body[::2]), SECRET)


# What no eye sees: zero-width marks, fillers that count as letters, a blank that counts as a sign, marks without a letter, controls, tags.
UNSEEN = [
    "\u2060\u200d",
    "\u3164",
    "\uffa0\u115f\u1160",
    "\u2800",
    "\ufe0f\u17b4",
    "\x00\x1b\t",
    "\U000e0041",
    "\U0001d159",
    "\u3000",
]


@pytest.mark.parametrize(
    "secrets", ["", "  ", "\n", [], ["", SECRET], [SECRET, " "], "\ud83d", *UNSEEN, [SECRET, "\u200b"]]
)
def test_a_blank_secret_is_refused(secrets):
    with pytest.raises(ConfigError, match="no secret"):
        vx.webhooks.verify_signature(b"{}", signature(b"{}", "  "), secrets)


@pytest.mark.parametrize("payload", [
    '{"type":"post.failed","data":{"content":"half \ud83d"}}',
    {"type": "post.failed", "data": {"content": "half \ud83d"}}, {"type": "post.failed", "data": {"count": 10**30}},
    b'{"type":"post.failed","data":' + b"[" * 100_000,
    b'{"type":"post.failed","data":{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
    {"type": "post.failed", "data": reduce(lambda inner, _: {"a": inner}, range(5_000), "x")}, json.dumps({"type": "webhook", "payload": "x"}),
    b'{"type":"webhook","payload":' * 3_000 + b"1" + b"}" * 3_000, {"type": "post.failed", "data": {1: "a", "b": 2}},
], ids=range(9))  # fmt: skip
def test_a_payload_is_an_event_or_a_decode_error(payload):
    with suppress(DecodeError):
        event = vx.webhooks.parse_event(payload)
        assert event.type == "post.failed" and event.id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda x: st.lists(x) | st.dictionaries(ANY_TEXT, x),
    max_leaves=8,
)


FIELDS = ["id", "type", "event", "data", "payload", "createdAt", "timestamp"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["webhook", "post.failed"])))
def test_any_object_is_an_event_or_a_decode_error(payload):
    for form in (payload, json.dumps(payload), json.dumps(payload).encode()):
        with suppress(DecodeError):
            event = vx.webhooks.parse_event(form)
            assert isinstance(event.id, str) and isinstance(event.type, str)
