"""Webhooks as received: the signature, every shape that the contract lists, and the frame of recorded ones."""

from __future__ import annotations

import hashlib
import hmac
import json
import warnings
from io import StringIO

import httpx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxops as vx
from voxburst_sandbox import Sandbox, Switches
from voxops.errors import ConfigError, DecodeError, PlanError
from voxops.frames.records import build, targets
from voxops.webhooks import events, join_events, parse_event, verify_signature

WHEN = "2026-03-02T09:00:00Z"
NEWEST = {
    "id": "post_1", "workspaceId": "ws_1", "content": "News", "status": "PARTIAL", "publishedAt": WHEN,
    "platforms": [
        {"platform": "TWITTER", "status": "PUBLISHED", "platformPostId": "99", "platformPostUrl": "https://t.example/99"},
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


def signed(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


# Envelopes.


@pytest.mark.parametrize("times", [9, 10])
def test_a_payload_may_be_wrapped_nine_times(times):
    payload = sdk({"postId": "post_1"})
    for _ in range(times):
        payload = {"type": "webhook", "payload": payload}
    if times == 9:
        assert parse_event(payload).post_id == "post_1"
    else:
        with pytest.raises(DecodeError, match="wrapped more than 9 times"):
            parse_event(payload)


# The signature.


@given(body=st.binary(max_size=200), secret=st.text(min_size=1, max_size=40).filter(str.strip), at=st.integers(0, 199))
def test_only_the_very_bytes_under_the_very_secret_are_genuine(body, secret, at):
    header = signed(body, secret)
    assert verify_signature(body, header, secret)
    assert not verify_signature(body + b" ", header, secret)
    assert not verify_signature(body, header, secret + "x")
    if body:
        at %= len(body)
        assert not verify_signature(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], header, secret)


def test_while_a_secret_is_rotated_both_are_good():
    body = b'{"a":1}'
    assert verify_signature(body, signed(body, "old"), ["new", "old"])
    assert verify_signature(body, signed(body, "new").upper().replace("SHA256", "sha256"), ["new", "old"])
    assert not verify_signature(body, signed(body, "older"), ["new", "old"])


def test_a_header_may_come_as_bytes_and_nothing_else():
    assert verify_signature(b"{}", signed(b"{}", "s").encode(), "s")
    with pytest.raises(TypeError, match="text or bytes"):
        verify_signature(b"{}", 7, "s")


def test_the_decoded_body_is_refused():
    with pytest.raises(TypeError, match="raw body"):
        verify_signature("{}", "sha256=00", "secret")  # type: ignore[arg-type]


# Every shape.


@pytest.mark.parametrize("envelope", [docs, sdk, tunnel])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("encode", [lambda p: p, json.dumps, lambda p: json.dumps(p).encode()])
def test_every_envelope_and_shape_names_the_post_and_its_targets(envelope, shape, encode):
    event = parse_event(encode(envelope(SHAPES[shape])))
    assert (event.type, event.created_at, event.post_id) == ("post.published", WHEN, "post_1") or envelope is tunnel
    if envelope is tunnel and shape == "newest":
        return  # its own id and the post's are one field there, which only names the event
    assert event.post_id == event.subject == "post_1"
    (row,) = events([encode(envelope(SHAPES[shape]))]).to_dict("records")
    assert row["post_id"] == "post_1"
    assert row["created_at"] == pd.Timestamp(WHEN)
    found = {target.platform: target.status for target in row["targets"]}
    wanted = {
        "newest": {"twitter": "published", "facebook": "failed"},
        "middle": {"twitter": "published", "facebook": "failed"},
        "names": {"twitter": "published", "facebook": "published"},
        "single": {"twitter": "published"},
    }
    assert found == wanted[shape]


def test_the_shapes_give_the_same_columns_and_types():
    empty = events([])
    for shape in SHAPES.values():
        for envelope in (docs, sdk, tunnel):
            frame = events([envelope(shape)])
            assert list(frame.columns) == list(empty.columns)
            assert frame.dtypes.to_dict() == empty.dtypes.to_dict()


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


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "event", "data", "platforms", "status", "body", "headers"]), inner, max_size=5), max_leaves=20))  # fmt: skip
def test_whatever_is_recorded_the_frame_has_its_columns(record):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # most are no webhooks
        frame = events([record])
    assert list(frame.columns) == list(events([]).columns)


# The frame.


def test_an_event_that_came_thrice_is_one_row():
    other = docs(NEWEST, key="evt_2")
    frame = events([docs(NEWEST), other, docs(NEWEST), docs(NEWEST)])
    assert frame["event_id"].to_list() == ["evt_1", "evt_2"]
    assert frame["received"].to_list() == [3, 1]


def test_events_without_an_id_are_distinguished_by_their_content():
    frame = events([sdk(NEWEST), sdk(MIDDLE), sdk(NEWEST)])
    assert frame["received"].to_list() == [2, 1]
    assert frame["event_id"].str.startswith("sha256:").all()


def test_files_folders_and_lists_give_the_same_frame(tmp_path):
    payloads = [docs(NEWEST), docs({"accountId": "acc_1"}, "account.connected", "evt_2"), sdk(MIDDLE)]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(map(json.dumps, payloads)) + "\nno json\n\n")
    document = tmp_path / "all.json"
    document.write_text(json.dumps(payloads, indent=2))
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, payload in enumerate(payloads):
        (folder / f"{number}.json").write_text(json.dumps(payload))
    (folder / "readme.txt").write_text("not one of them")
    wanted = events(payloads)
    for source in (lines, str(document), folder):
        pd.testing.assert_frame_equal(events(source), wanted)
    assert events(lines).attrs["unread"] == {"record": 1}
    with pytest.raises(ConfigError, match="no file"):
        events(tmp_path / "none.jsonl")
    (folder / "older.json").mkdir()  # a folder, whatever it is called
    pd.testing.assert_frame_equal(events(folder), wanted)
    (folder / "moved.jsonl").symlink_to(tmp_path / "gone.jsonl")
    with pytest.raises(ConfigError, match=r"moved.jsonl can't be read"):
        events(folder)


def test_a_receivers_notes_are_verified_and_know_their_delivery():
    body = json.dumps(docs(NEWEST))
    good = {
        "headers": {"X-VoxBurst-Signature": signed(body.encode(), "s"), "X-VoxBurst-Delivery-Id": "del_1"},
        "body": body,
    }
    bad = {
        "headers": {"X-VoxBurst-Signature": "sha256=00", "X-VoxBurst-Delivery-Id": "del_2"},
        "body": body.replace("evt_1", "evt_2"),
    }
    frame = events([good, bad, docs(NEWEST, key="evt_3")], secrets="s")
    assert frame["verified"].to_list() == [True, False, pd.NA]
    assert frame["delivery_ids"].to_list() == [("del_1",), ("del_2",), ()]
    assert events([good])["verified"].isna().all()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("number", [1, 3])
def test_a_receivers_notes_are_read_from_lines_as_from_a_list(tmp_path, encoding, number):
    notes = [
        {"headers": {"X-VoxBurst-Delivery-Id": f"del_{one}"}, "body": json.dumps(docs(NEWEST, key=f"evt_{one}"))}
        for one in range(number)
    ]
    log = tmp_path / "received.jsonl"
    log.write_text("\n".join(map(json.dumps, notes)), encoding=encoding)
    wanted = events(notes)
    assert wanted["delivery_ids"].to_list() == [(f"del_{one}",) for one in range(number)]
    for source in (log, [json.dumps(note) for note in notes], [json.dumps(note).encode() for note in notes]):
        pd.testing.assert_frame_equal(events(source), wanted)


def test_a_file_without_a_webhook_is_said_to_be_one(tmp_path):
    log = tmp_path / "received.jsonl"
    log.write_text("10:00 POST /hooks 200\n10:01 POST /hooks 200\n")
    with pytest.warns(UserWarning, match=r"no webhook among 2 records"):
        frame = events(log)
    assert frame.empty
    assert events([]).empty


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_a_row_says_what_the_genuine_copy_said(bare, turned):
    body = json.dumps(docs(NEWEST))
    genuine = {"headers": {"X-VoxBurst-Signature": signed(body.encode(), "s")}, "body": body}
    other = docs({"id": "post_1", "status": "FAILED", "content": "forged"}, "post.failed")
    forged = other if bare else {"headers": {"X-VoxBurst-Signature": "sha256=00"}, "body": json.dumps(other)}
    (row,) = events([genuine, forged] if turned else [forged, genuine], secrets="s").to_dict("records")
    assert (row["event_type"], row["status"], row["content"]) == ("post.published", "partial", "News")
    assert (row["received"], row["verified"]) == (2, True)


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: [text], lambda text: (b"sha256=00", text.encode())])
def test_headers_are_read_in_every_form_that_receivers_write_down(kind):
    body = json.dumps(docs(NEWEST))
    headers = {"X-VoxBurst-Signature": kind(signed(body.encode(), "s")), b"X-VoxBurst-Delivery-Id": kind("del_1")}
    (row,) = events([{"headers": headers, "body": body}], secrets=iter(["s\n"])).to_dict("records")
    assert row["verified"] is True
    assert row["delivery_ids"][-1] == "del_1"
    (row,) = events([{"headers": headers, "body": body + " "}], secrets="s").to_dict("records")
    assert row["verified"] is False


def test_the_secrets_serve_all_records_however_they_are_passed():
    bodies = [json.dumps(docs(NEWEST, key=f"evt_{number}")) for number in range(3)]
    records = [{"headers": {"X-VoxBurst-Signature": signed(body.encode(), "s")}, "body": body} for body in bodies]
    assert events(records, secrets=iter(["s"]))["verified"].all()
    with pytest.raises(ConfigError, match="no secret"):
        events(records, secrets=[])


def test_targets_of_events_are_a_targets_frame():
    rows = targets(events([docs(NEWEST)]))
    assert rows[["platform", "status", "error_code"]].fillna("").to_dict("list") == {
        "platform": ["twitter", "facebook"], "status": ["published", "failed"], "error_code": ["", "PUBLISH_ERROR"],
    }  # fmt: skip


def test_events_without_targets_count_as_none():
    """Rows of a post with targets in another event, and of events without a post."""
    scheduled = docs({"id": "post_1", "status": "SCHEDULED"}, "post.scheduled", "evt_2")
    drafted = docs({"id": "post_2", "status": "DRAFT"}, "post.created", "evt_3")
    uploaded = docs({"id": "media_1"}, "media.uploaded", "evt_4")
    rows = targets(events([scheduled, docs(NEWEST), drafted, uploaded]))
    assert rows[["post_id", "platform"]].fillna("").values.tolist() == [
        ["post_1", "twitter"], ["post_1", "facebook"], ["post_2", ""],
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["posts", "deliveries"])
def test_what_names_nothing_is_joined_to_nothing(kind):
    """Not even to a record of the other frame that has no id either."""
    recorded = events([{"id": "evt_1", "type": "account.error", "data": {"accountId": "acc_1"}}])
    joined = join_events(recorded, build(kind, [{"id": None, "status": "failed", "url": "https://a.example"}]))
    assert joined[["post_status" if kind == "posts" else "url"]].isna().all(axis=None)


def test_joining_needs_posts_or_deliveries():
    posts = events([docs(NEWEST)])[
        ["post_id", "status", "targets", "updated_at", "scheduled_for", "content", "workspace_id"]
    ]
    for other in (pd.DataFrame({"a": [1]}), targets(posts)):
        with pytest.raises(PlanError, match=r"Use ws\.posts"):
            join_events(events([]), other)


# The body of a real server.


@pytest.mark.parametrize("envelope", ["docs", "sdk"])
@pytest.mark.parametrize("shape", ["newest", "middle", "oldest"])
def test_what_the_sandbox_delivers_is_verified_read_and_joined(envelope, shape):
    switches = Switches(event_shape=shape, event_envelope=envelope, failure_rate=0.0)
    with Sandbox(posts=20, deliveries=10, rate_limit=None, switches=switches) as sandbox:
        with httpx.Client(
            base_url=sandbox.url, headers={"Authorization": f"Bearer {sandbox.api_key}"}, trust_env=False
        ) as api:
            hook = api.post("/v1/webhooks", json={"url": "https://mine.example/x", "events": ["post.published"]}).json()
            account = api.get("/v1/accounts", params={"platform": "facebook"}).json()["data"][0]["id"]
            post = api.post("/v1/posts", json={"content": "News", "accountIds": [account], "saveAsDraft": True}).json()
            api.post(f"/v1/posts/{post['id']}/publish")
            sandbox.advance(90)
            posts = build("posts", [api.get(f"/v1/posts/{post['id']}").json()])
            log = build("deliveries", api.get(f"/v1/webhooks/{hook['id']}/deliveries").json()["data"])
        recorded = [entry for entry in sandbox.received() if entry["host"] == "mine.example"]
        frame = events(recorded, secrets=["another", hook["secret"]])
    assert len(frame) == 1
    assert frame["verified"].all()
    with_posts = join_events(frame, posts).iloc[0]
    assert (with_posts["post_id"], with_posts["post_status"]) == (post["id"], "published")
    with_log = join_events(frame, log).iloc[0]
    assert (with_log["delivery_id"], with_log["success"], with_log["delivery_event_type"]) == (
        log["delivery_id"][0],
        True,
        "post.published",
    )


def test_events_of_a_csv_file_are_refused_and_not_said_to_be_missing():
    log = build(
        "deliveries", [{"id": "d1", "webhookId": "w", "eventType": "post.failed", "createdAt": "2026-03-01T00:00Z"}]
    )
    record = {
        "headers": {"X-VoxBurst-Delivery-Id": "d1"},
        "body": '{"id": "e1", "type": "post.failed", "data": {"id": "p1"}}',
    }
    recorded = vx.webhooks.events([record])
    assert vx.webhooks.join_events(recorded, log)["webhook_id"].to_list() == ["w"]
    back = pd.read_csv(StringIO(recorded.to_csv(index=False)))
    for use in (lambda: vx.webhooks.join_events(back, log), lambda: vx.deliveries.about_posts(log, events=back)):
        with pytest.raises(vx.errors.PlanError, match="column 'delivery_ids' contains texts: CSV files drop lists"):
            use()
    for name in ("delivery_ids", "post_id"):
        with pytest.raises(vx.errors.PlanError, match=name):
            vx.webhooks.join_events(
                recorded.drop(columns=name), log if name == "delivery_ids" else build("posts", [{"id": "p1"}])
            )


def test_of_joined_loads_an_event_gets_the_newest_row():
    record = {
        "headers": {"X-VoxBurst-Delivery-Id": "d1"},
        "body": '{"id": "e1", "type": "post.failed", "data": {"id": "p1"}}',
    }
    recorded = vx.webhooks.events([record])
    tried = [build("deliveries", [{"id": "d1", "success": count > 1, "retryCount": count}]) for count in (2, 0)]
    for log in (pd.concat(tried), pd.concat(tried[::-1])):
        assert vx.webhooks.join_events(recorded, log)["success"].to_list() == [True]
    changed = [
        build("posts", [{"id": "p1", "status": status, "updatedAt": f"2026-03-0{day}T00:00:00Z"}])
        for day, status in ((1, "FAILED"), (2, "PUBLISHED"))
    ]
    for posts in (pd.concat(changed), pd.concat(changed[::-1])):
        assert vx.webhooks.join_events(recorded, posts)["post_status"].to_list() == ["published"]
