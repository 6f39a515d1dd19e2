"""Every response shape of the contract is read alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.security.raw import answer, serve

from voxops.client import AsyncClient, PostFields
from voxops.frames.records import build, targets


def ask(call: Callable[[AsyncClient], Any], *bodies: Any, status: int = 200) -> tuple[Any, list[str]]:
    """Return a client's result where the server gives these answers, the last one for ever, and the first line of each request."""
    left = [body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode() for body in bodies]

    async def main(url: str) -> Any:
        async with AsyncClient("vb_test_key", url=url) as client:
            return await call(client)

    with serve(lambda *_: iter([answer(left.pop(0) if left[1:] else left[0], f"{status} Whatever")])) as server:
        return asyncio.run(main(server.url)), [head.partition(b"\r\n")[0].decode() for head, _ in server.requests]


async def listed(pages: Any) -> list[dict[str, Any]]:
    return [record async for page in pages for record in page.records]


T = "2026-03-02T09:00:00Z"
TARGET = {
    "platform": "twitter", "accountId": "acc_1", "accountName": "Alder", "status": "failed", "platformPostId": None,
    "platformPostUrl": None, "publishedAt": None, "error": {"code": "PUBLISH_ERROR", "message": "no"},
}  # fmt: skip
POST = {
    "id": "post_1", "content": "News", "status": "failed", "contentType": "text", "scheduledFor": None, "publishedAt": None,
    "createdAt": T, "updatedAt": T, "platforms": [TARGET], "media": [], "tags": [], "metadata": {}, "workspaceId": "ws_1",
}  # fmt: skip
UPPER = {
    **POST, "status": "FAILED", "contentType": "TEXT",
    "platforms": [{**TARGET, "platform": "TWITTER", "status": "FAILED"}],
}  # fmt: skip
SNAKE = {
    "id": "post_1", "content": "News", "status": "failed", "content_type": "text", "scheduled_for": None, "published_at": None,
    "created_at": T, "updated_at": T, "tags": [], "metadata": {}, "workspace_id": "ws_1",
    "platforms": [{"platform": "twitter", "account_id": "acc_1", "account_name": "Alder", "status": "failed", "error": TARGET["error"]}],
}  # fmt: skip
ACCOUNT = {
    "id": "acc_1", "platform": "twitter", "username": "alder", "displayName": "Alder", "avatarUrl": None, "accountType": "business",
    "status": "active", "connectedAt": T,
}  # fmt: skip
WEBHOOK = {
    "id": "wh_1", "url": "https://a.example/x", "events": ["*"], "enabled": True, "lastDeliveryAt": None,
    "failureCount": 0, "createdAt": T,
}  # fmt: skip
ACTIVE = {name: value for name, value in WEBHOOK.items() if name != "enabled"} | {"active": True}
DELIVERY = {
    "id": "del_1", "webhookId": "wh_1", "eventType": "post.failed", "url": "https://a.example/x", "statusCode": 500, "latencyMs": 40,
    "responseBody": "", "retryCount": 2, "success": False, "error": "receiver answered 500", "createdAt": T, "deliveredAt": None,
}  # fmt: skip

# Kind -> path's own name of the list, the call that lists, and the records that mean the same.
LISTS: dict[str, tuple[Callable[[AsyncClient], Any], str, list[dict[str, Any]]]] = {
    "posts": (lambda c: listed(c.posts.list()), "posts", [POST, UPPER, SNAKE]),
    "accounts": (lambda c: listed(c.accounts.list()), "accounts", [ACCOUNT, {**ACCOUNT, "platform": "TWITTER", "status": "ACTIVE"}]),
    "webhooks": (lambda c: listed(c.webhooks.list()), "webhooks", [WEBHOOK, ACTIVE]),
    "deliveries": (lambda c: listed(c.webhooks.deliveries("wh_1")), "deliveries", [DELIVERY, {**DELIVERY, "latencyMs": "40"}]),
}  # fmt: skip
ENVELOPES: dict[str, Callable[[list[Any], str], Any]] = {
    "A": lambda records, _: {"data": records, "pagination": {"has_more": False, "next_cursor": None, "limit": 20}},
    "A without limit": lambda records, _: {"data": records, "pagination": {"has_more": False, "next_cursor": None}},
    "B": lambda records, _: {"data": records, "pagination": {"hasMore": False, "nextCursor": None}},
    "C": lambda records, name: {name: records}, "D": lambda records, name: {name: records, "page": 1, "limit": 20},
    "no pagination": lambda records, _: {"data": records}, "bare": lambda records, _: records,
}  # fmt: skip


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("kind", LISTS)
def test_every_envelope_and_spelling_gives_the_same_frame(kind, envelope):
    call, name, records = LISTS[kind]
    tables = []
    for record in records:
        found, requests = ask(call, ENVELOPES[envelope]([record], name))
        frame = build(kind, found)
        tables.append(targets(frame) if kind == "posts" else frame)
        assert len(requests) == 1
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
    assert len(tables[0]) == 1


@pytest.mark.parametrize(("more", "cursor"), [("has_more", "next_cursor"), ("hasMore", "nextCursor")])
def test_either_spelling_leads_to_the_next_page(more, cursor):
    first = {"data": [POST], "pagination": {more: True, cursor: "c 1/&"}}
    last = {"data": [{**POST, "id": "post_2"}], "pagination": {more: False, cursor: None}}
    found, requests = ask(LISTS["posts"][0], first, last)
    assert [record["id"] for record in found] == ["post_1", "post_2"]
    assert "cursor=c%201%2F%26" in requests[1] or "cursor=c+1%2F%26" in requests[1]


# Single answers.

SINGLES: dict[str, tuple[Callable[[AsyncClient], Any], list[Any], Callable[[Any], Any], Any]] = {
    "post": (lambda c: c.posts.get("post_1"), [POST, {"data": POST}], lambda a: a["id"], "post_1"),
    "account": (lambda c: c.accounts.get("acc_1"), [ACCOUNT, {"data": ACCOUNT}], lambda a: a["id"], "acc_1"),
    "created": (lambda c: c.posts.create(PostFields(content="x", account_ids=["a"])), [POST, {"data": POST}], lambda a: a["id"], "post_1"),
    "retry": (
        lambda c: c.posts.retry("post_1"),
        [{"id": "post_1", "status": "publishing", "retriedPlatforms": [], "skippedPlatforms": []}, {**POST, "status": "publishing"}],
        lambda a: (a.id, a.kind, a.accepted["status"]), ("post_1", "post", "publishing"),
    ),
    "publish": (lambda c: c.posts.publish("post_1"), [POST, {"data": POST}], lambda a: (a.id, a.kind), ("post_1", "post")),
    "fix": (lambda c: c.posts.fix("post_1", "pp_1"), [{"success": True, "platformId": "pp_1", "status": "pending"}], lambda a: a.accepted["platformId"], "pp_1"),
    "connect": (
        lambda c: c.accounts.connect("twitter"),
        [{"authorizationUrl": "https://x", "state": "s"}, {"authUrl": "https://x", "state": "s"}, {"url": "https://x"}],
        lambda a: next(a[name] for name in ("authorizationUrl", "authUrl", "url") if name in a), "https://x",
    ),
    "callback": (lambda c: c.accounts.callback("twitter", "c", "s"), [{"account": ACCOUNT}], lambda a: a["account"]["id"], "acc_1"),
    "delete": (lambda c: c.posts.delete("post_1"), [None, b"", b"  ", {}], lambda a: a, {}),
    "presign": (
        lambda c: c.uploads.presign("a.jpg", "image/jpeg", 5),
        [{"mediaId": "media_1", "uploadUrl": "https://s.example/x", "uploadHeaders": {"a": "b"}, "expiresAt": T}],
        lambda a: (a.media_id, a.url, dict(a.headers)), ("media_1", "https://s.example/x", {"a": "b"}),
    ),
    "registered": (lambda c: c.media.register("https://x.example/a.jpg", "image/jpeg"), [{"id": "media_1", "status": "READY"}, {"data": {"id": "media_1", "status": "ready"}}], lambda a: a["id"], "media_1"),
    "imported": (lambda c: c.media.import_from_url("https://x.example/a.jpg"), [{"id": "media_1"}, {"mediaId": "media_1"}], lambda a: (a.id, a.kind), ("media_1", "media")),
    "tested": (lambda c: c.webhooks.test("wh_1"), [{"data": DELIVERY}, DELIVERY], lambda a: a["id"], "del_1"),
    "identity": (lambda c: c.identity(), [{"workspaceId": "ws_1"}, {"data": {"workspaceId": "ws_1"}}], lambda a: a["workspaceId"], "ws_1"),
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLES)
def test_single_answers_of_every_edition_say_the_same(name):
    call, bodies, said, wanted = SINGLES[name]
    for body in bodies:
        assert said(ask(call, body, status=204 if body is None else 200)[0]) == wanted


ITEM = {"index": 0, "status": "created", "postId": "post_1"}
FAILED = {
    "index": 1,
    "status": "failed",
    "errors": [{"field": "accountIds", "issue": "ACCOUNT_NOT_FOUND", "detail": "no such account"}],
}
OLD = [
    {"index": 0, "success": True, "post": {"id": "post_1", "status": "draft"}},
    {"index": 1, "success": False, "error": {"code": "ACCOUNT_NOT_FOUND", "message": "no such account"}},
]


@pytest.mark.parametrize("status", [200, 201, 207, 422])
@pytest.mark.parametrize("body", [
    {"dry_run": False, "total": 2, "created": 1, "failed": 1, "results": [ITEM, FAILED]},
    {"dryRun": False, "total": 2, "created": 1, "failed": 1, "results": [FAILED, ITEM]},
    {"results": OLD, "summary": {"total": 2, "succeeded": 1, "failed": 1}},
])  # fmt: skip
def test_a_bulk_answer_is_read_item_by_item_whatever_its_status(status, body):
    fields = [PostFields(content="x", account_ids=["a"], scheduled_for=T)] * 2
    table = build("bulk_results", ask(lambda c: c.posts.bulk(fields), body, status=status)[0]["results"]).sort_values(
        "index", ignore_index=True
    )
    wanted = {
        "index": [0, 1],
        "status": ["created", "failed"],
        "error_code": [None, "ACCOUNT_NOT_FOUND"],
        "error_message": [None, "no such account"],
    }
    assert table[list(wanted)].astype(object).where(table[list(wanted)].notna(), None).to_dict("list") == wanted
    assert table["post_id"].iloc[0] == "post_1"
