"""Webhooks as received: the signature, every shape that the contract lists, and the frame of recorded ones."""

from __future__ import annotations

import hashlib
import hmac
import json
import warnings
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sandbox.support import again, client, draft

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.errors import ConfigError, DecodeError, PlanError
from voxops.frames.records import build, targets
from voxops.webhooks import events, join_events, parse_event, verify_signature

WHEN = "2026-03-02T09:00:00Z"
NEWEST = {
    "id": "post_1", "workspaceId": "ws_1", "content": "News", "status": "PARTIAL", "publishedAt": WHEN,
    "platforms": [
        {"platform": "TWITTER", "status": "PUBLISHED", "platformPostId": "99",
        "platformPostUrl": "https://t.example/99"},
        {"platform": "FACEBOOK", "status": "FAILED", "error": {"code": "PUBLISH_ERROR", "message": "no"}},
    ],
}  # fmt: skip
MIDDLE = {
    "postId": "post_1", "status": "partial", "publishedAt": WHEN,
    "platforms": [
        {"postPlatformId": "pp_1", "accountId": "acc_1", "platform": "twitter", "status": "published", "error": None},
        {"postPlatformId": "pp_2", "accountId": "acc_2", "platform": "facebook", "status": "failed", "error": "no"},
    ],
}  # fmt: skip
NAMES = {"postId": "post_1", "platforms": ["twitter", "facebook"], "publishedAt": WHEN}
SINGLE = {"postId": "post_1", "platform": "twitter", "platformPostId": "99", "platformPostUrl": "https://t.example/99"}
SHAPES = {"newest": NEWEST, "middle": MIDDLE, "names": NAMES, "single": SINGLE}


def docs(data: dict, kind: str = "post.published", key: str = "evt_1") -> dict:
    return {"id": key, "type": kind, "createdAt": WHEN, "data": data}


def sdk(data: dict, kind: str = "post.published") -> dict:
    return {"event": kind, "timestamp": WHEN, "data": data}


def tunnel(data: dict, kind: str = "post.published") -> dict:
    return {"type": "webhook", "payload": {"event": kind, "id": "evt_1", "timestamp": WHEN, **data}}


def signed(body: str | bytes, secret: str = "s") -> str:
    raw = body.encode() if isinstance(body, str) else body
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def note(payload: dict[str, Any] | str, *, signature: str | None = None, **headers: str) -> dict[str, Any]:
    """What a receiver writes down; signed unless it has another signature."""
    body = payload if isinstance(payload, str) else json.dumps(payload)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"headers": {"X-VoxBurst-Signature": signature or signed(body)} | names, "body": body}


# The signature; what is no signature at all: `tests/security/test_signatures.py`.


def test_while_a_secret_is_rotated_both_are_good():
    upper = signed(b"{}", "new").upper().replace("SHA256", "sha256")
    for header, genuine in ((upper, True), (signed(b"{}", "old"), True), (signed(b"{}", "older"), False)):
        assert verify_signature(b"{}", header, ["new", "old"]) is genuine


GENUINE = signed(b"{}")


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
@pytest.mark.parametrize(("shape", "statuses"), [
    ("newest", {"twitter": "published", "facebook": "failed"}),
    ("middle", {"twitter": "published", "facebook": "failed"}),
    ("names", {"twitter": "published", "facebook": "published"}), ("single", {"twitter": "published"}),
])  # fmt: skip
@pytest.mark.parametrize("encode", [lambda p: p, json.dumps, lambda p: json.dumps(p).encode()])
def test_every_envelope_and_shape_names_the_post_and_its_targets(envelope, shape, statuses, encode):
    payload = encode(envelope(SHAPES[shape]))
    event, frame = parse_event(payload), events([payload])
    assert frame.dtypes.to_dict() == events([]).dtypes.to_dict()
    if envelope is tunnel and shape == "newest":
        return  # its own id and the post's are one field there, which only names the event
    assert (event.type, event.created_at, event.post_id, event.subject) == ("post.published", WHEN, "post_1", "post_1")
    (row,) = frame.to_dict("records")
    assert (row["post_id"], row["created_at"]) == ("post_1", pd.Timestamp(WHEN))
    assert {target.platform: target.status for target in row["targets"]} == statuses


@pytest.mark.parametrize(("data", "kind", "subject"), [
    ({"accountId": "acc_1", "platform": "twitter", "username": "x"}, "account.connected", "acc_1"),
    ({"accountId": "acc_1", "error": {"code": "X", "message": "y"}}, "account.error", "acc_1"),
    ({"id": "media_1", "workspaceId": "ws_1"}, "media.uploaded", "media_1"),
    ({"test": True}, "post.published", None),
    ({"x": 1}, "something.new", None),
])  # fmt: skip
def test_events_that_are_about_no_post(data, kind, subject):
    event = parse_event(docs(data, kind))
    assert (event.type, event.subject, event.post()) == (kind, subject, {})


@pytest.mark.parametrize("payload", [b"", b"<html>", "[]", "3", {}, {"data": {}}, {"type": 5}, b"\xff", "null"])
def test_what_is_no_payload_is_refused_with_its_bytes(payload):
    with pytest.raises(DecodeError) as caught:
        parse_event(payload)
    if isinstance(payload, bytes):
        assert caught.value.body == payload


NAMES_OF_FIELDS = st.sampled_from(["id", "type", "event", "data", "platforms", "status", "body", "headers"])
RECORDS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES_OF_FIELDS, inner, max_size=5),
    max_leaves=20,
)


@given(RECORDS)
def test_whatever_is_recorded_the_frame_has_its_columns(record):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # most are no webhooks
        frame = events([record])
    assert list(frame.columns) == list(events([]).columns)


# The frame.


@pytest.mark.parametrize(("payloads", "ids", "received"), [
    ([docs(NEWEST), docs(NEWEST, key="evt_2"), docs(NEWEST), docs(NEWEST)], "evt_", [3, 1]),
    ([sdk(NEWEST), sdk(MIDDLE), sdk(NEWEST)], "sha256:", [2, 1]),  # distinguished by their content
])  # fmt: skip
def test_an_event_that_came_thrice_is_one_row(payloads, ids, received):
    frame = events(payloads)
    assert frame["event_id"].is_unique
    assert frame["event_id"].str.startswith(ids).all()
    assert frame["received"].to_list() == received


def test_files_folders_and_lists_give_the_same_frame(tmp_path):
    payloads = [docs(NEWEST), docs({"accountId": "acc_1"}, "account.connected", "evt_2"), sdk(MIDDLE)]
    lines, document, folder = tmp_path / "lines.jsonl", tmp_path / "all.json", tmp_path / "folder"
    lines.write_text("\n".join(map(json.dumps, payloads)) + "\nno json\n\n")
    document.write_text(json.dumps(payloads, indent=2))
    (folder / "older.json").mkdir(parents=True)  # a folder, whatever it is called
    (folder / "readme.txt").write_text("not one of them")
    for number, payload in enumerate(payloads):
        (folder / f"{number}.json").write_text(json.dumps(payload))
    for source in (lines, str(document), folder):
        pd.testing.assert_frame_equal(events(source), events(payloads))
    assert events(lines).attrs["unread"] == {"record": 1}
    (folder / "moved.jsonl").symlink_to(tmp_path / "gone.jsonl")
    for source, said in ((tmp_path / "none.jsonl", "no file"), (folder, r"moved.jsonl can't be read")):
        with pytest.raises(ConfigError, match=said):
            events(source)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("number", [1, 3])
def test_a_receivers_notes_are_read_from_lines_as_from_a_list(tmp_path, encoding, number):
    notes = [note(docs(NEWEST, key=f"evt_{one}"), X_VoxBurst_Delivery_Id=f"del_{one}") for one in range(number)]
    lines = [json.dumps(one) for one in notes]
    log = tmp_path / "received.jsonl"
    log.write_text("\n".join(lines), encoding=encoding)
    wanted = events(notes)
    assert wanted["delivery_ids"].to_list() == [[f"del_{one}"] for one in range(number)]
    for source in (log, lines, [line.encode() for line in lines]):
        pd.testing.assert_frame_equal(events(source), wanted)


def test_a_receivers_notes_are_verified_and_know_their_delivery():
    good = note(docs(NEWEST), X_VoxBurst_Delivery_Id="del_1")
    bad = note(docs(NEWEST, key="evt_2"), signature="sha256=00", X_VoxBurst_Delivery_Id="del_2")
    records = [good, bad, docs(NEWEST, key="evt_3")]
    frame = events(records, secrets=iter(["s"]))
    assert frame["verified"].to_list() == [True, False, pd.NA]
    assert frame["delivery_ids"].to_list() == [["del_1"], ["del_2"], []]
    assert events(records)["verified"].isna().all()
    with pytest.raises(ConfigError, match="no secret"):
        events(records, secrets=[])


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_a_row_says_what_the_genuine_copy_said(bare, turned):
    other = docs({"id": "post_1", "status": "FAILED", "content": "forged"}, "post.failed")
    copies = [note(docs(NEWEST)), other if bare else note(other, signature="sha256=00")]
    (row,) = events(copies[::-1] if turned else copies, secrets="s").to_dict("records")
    assert (row["event_type"], row["status"], row["content"]) == ("post.published", "partial", "News")
    assert (row["received"], row["verified"]) == (2, True)


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: [text], lambda text: (b"sha256=00", text.encode())])
def test_headers_are_read_in_every_form_that_receivers_write_down(kind):
    body = json.dumps(docs(NEWEST))
    headers = {"X-VoxBurst-Signature": kind(signed(body)), b"X-VoxBurst-Delivery-Id": kind("del_1")}
    for content, genuine in ((body, True), (body + " ", False)):
        (row,) = events([{"headers": headers, "body": content}], secrets="s\n").to_dict("records")
        assert row["verified"] is genuine
        assert row["delivery_ids"][-1] == "del_1"


def test_targets_of_events_are_a_targets_frame():
    """Rows of a post with targets in another event, and of events without a post."""
    recorded = events([
        docs({"id": "post_1", "status": "SCHEDULED"}, "post.scheduled", "evt_2"), docs(NEWEST),
        docs({"id": "post_2", "status": "DRAFT"}, "post.created", "evt_3"),
        docs({"id": "media_1"}, "media.uploaded", "evt_4"),
    ])  # fmt: skip
    assert targets(recorded)[["post_id", "platform", "status", "error_code"]].fillna("").values.tolist() == [
        ["post_1", "twitter", "published", ""], ["post_1", "facebook", "failed", "PUBLISH_ERROR"],
        ["post_2", "", "", ""],
    ]  # fmt: skip


# Joined to posts and deliveries.


@pytest.fixture
def recorded() -> pd.DataFrame:
    return events([note(docs({"id": "p1"}, "post.failed", "e1"), X_VoxBurst_Delivery_Id="d1")])


@pytest.mark.parametrize("kind", ["posts", "deliveries"])
def test_what_names_nothing_is_joined_to_nothing(kind):
    """Not even to a record of the other frame that has no id either."""
    recorded = events([docs({"accountId": "acc_1"}, "account.error")])
    joined = join_events(recorded, build(kind, [{"id": None, "status": "failed", "url": "https://a.example"}]))
    assert joined[["post_status" if kind == "posts" else "url"]].isna().all(axis=None)


def test_of_joined_loads_an_event_gets_the_newest_row(recorded):
    logs = [build("deliveries", [{"id": "d1", "success": count > 1, "retryCount": count}]) for count in (2, 0)]
    posts = [
        build("posts", [{"id": "p1", "status": status, "updatedAt": f"2026-03-0{day}T00:00:00Z"}])
        for day, status in ((1, "FAILED"), (2, "PUBLISHED"))
    ]
    for loads, column, newest in ((logs, "success", True), (posts, "post_status", "published")):
        for order in (loads, loads[::-1]):
            assert join_events(recorded, pd.concat(order))[column].to_list() == [newest]


def test_a_frame_that_can_not_be_joined_is_refused_by_its_column(recorded):
    log = build(
        "deliveries", [{"id": "d1", "webhookId": "w", "eventType": "post.failed", "createdAt": "2026-03-01T00:00Z"}]
    )
    posts = build("posts", [{"id": "p1"}])
    assert join_events(recorded, log)["webhook_id"].to_list() == ["w"]
    for other in (pd.DataFrame({"a": [1]}), targets(posts)):
        with pytest.raises(PlanError, match=r"Use ws\.posts"):
            join_events(recorded, other)
    for name, other in (("delivery_ids", log), ("post_id", posts)):
        with pytest.raises(PlanError, match=name):
            join_events(recorded.drop(columns=name), other)
    from_csv = pd.read_csv(StringIO(recorded.to_csv(index=False)))
    for use in (lambda: join_events(from_csv, log), lambda: vx.deliveries.about_posts(log, events=from_csv)):
        with pytest.raises(PlanError, match=r"'delivery_ids'.* CSV files drop lists"):
            use()


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(posts=20, deliveries=10, rate_limit=None) as sandbox:
        yield sandbox


@pytest.mark.parametrize(("envelope", "kind"), [("docs", "type"), ("sdk", "event")])
@pytest.mark.parametrize(("shape", "fields"), [
    ("newest", {"id", "workspaceId", "content", "status", "publishedAt", "platforms"}),
    ("middle", {"postId", "status", "publishedAt", "platforms"}),
    ("oldest", {"postId", "platform", "platformPostId", "platformPostUrl"}),
])  # fmt: skip
def test_what_the_sandbox_delivers_is_verified_read_and_joined(server, envelope, kind, shape, fields):
    sandbox = again(server, event_shape=shape, event_envelope=envelope, failure_rate=0.0)
    with client(sandbox) as api:
        hook = api.post("/webhooks", json={"url": "https://mine.example/x", "events": ["post.published"]}).json()
        post = draft(api)["id"]
        api.post(f"/posts/{post}/publish")
        sandbox.advance(90)
        posts = build("posts", [api.get(f"/posts/{post}").json()])
        log = build("deliveries", api.get(f"/webhooks/{hook['id']}/deliveries").json()["data"])
    received = [entry for entry in sandbox.received() if entry["host"] == "mine.example"]
    payload = json.loads(received[0]["body"])
    assert (payload[kind], set(payload["data"])) == ("post.published", fields)
    frame = events(received, secrets=["another", hook["secret"]])
    assert frame["verified"].to_list() == [True]
    with_posts, with_log = join_events(frame, posts).iloc[0], join_events(frame, log).iloc[0]
    assert (with_posts["post_id"], with_posts["post_status"]) == (post, "published")
    assert (with_log["delivery_id"], with_log["success"], with_log["delivery_event_type"]) == (
        log["delivery_id"][0], True, "post.published",
    )  # fmt: skip
