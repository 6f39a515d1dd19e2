"""Every response shape of the contract is read alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.security.raw import answer, serve

from voxops.client import AsyncClient
from voxops.frames.records import build, targets


def ask(call: Callable[[AsyncClient], Any], *bodies: Any, status: int = 200, calls: int = 1) -> tuple[list[Any], list[str]]:  # fmt: skip
    """Return a client's results where the server gives these answers, the last one for ever, and the first line of each request."""
    left = [json.dumps(body).encode() for body in bodies]

    async def main(url: str) -> list[Any]:
        async with AsyncClient("vb_test_key", url=url) as client:
            return [await call(client) for _ in range(calls)]

    with serve(lambda *_: iter([answer(left.pop(0) if left[1:] else left[0], f"{status} Whatever")])) as server:
        return asyncio.run(main(server.url)), [head.partition(b"\r\n")[0].decode() for head, _ in server.requests]


async def listed(listing: Any) -> list[dict[str, Any]]:
    return [record async for record in listing]


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


@pytest.mark.parametrize("kind", LISTS)
def test_every_envelope_and_spelling_gives_the_same_frame(kind):
    call, name, records = LISTS[kind]
    bodies = [envelope([record], name) for envelope in ENVELOPES.values() for record in records]
    answers, requests = ask(call, *bodies, calls=len(bodies))
    first, *others = [targets(build(kind, found)) if kind == "posts" else build(kind, found) for found in answers]
    assert len(requests) == len(bodies)
    assert len(first) == 1
    for table in others:
        pd.testing.assert_frame_equal(table, first)


@pytest.mark.parametrize(("more", "cursor"), [("has_more", "next_cursor"), ("hasMore", "nextCursor")])
def test_either_spelling_leads_to_the_next_page(more, cursor):
    first = {"data": [POST], "pagination": {more: True, cursor: "c 1/&"}}
    last = {"data": [{**POST, "id": "post_2"}], "pagination": {more: False, cursor: None}}
    (found,), requests = ask(LISTS["posts"][0], first, last)
    assert [record["id"] for record in found] == ["post_1", "post_2"]
    assert "cursor=c%201%2F%26" in requests[1] or "cursor=c+1%2F%26" in requests[1]


# Single answers.

SINGLES: dict[str, tuple[Callable[[AsyncClient], Any], list[Any], Callable[[Any], Any], Any]] = {
    "post": (lambda c: c.posts.get("post_1"), [POST, {"data": POST}], lambda a: a["id"], "post_1"),
    "retry": (
        lambda c: c.posts.retry("post_1"),
        [{"id": "post_1", "status": "publishing", "retriedPlatforms": [], "skippedPlatforms": []}, {**POST, "status": "publishing"}],
        lambda a: (a.job.id, a.job.kind, a.job.accepted["status"]), ("post_1", "post", "publishing"),
    ),
    "imported": (lambda c: c.media.import_from_url(url="https://x.example/a.jpg"), [{"id": "media_1"}, {"mediaId": "media_1"}], lambda a: (a.job.id, a.job.kind), ("media_1", "media")),
    "tested": (lambda c: c.webhooks.test(webhook_id="wh_1"), [{"data": DELIVERY}, DELIVERY], lambda a: a.record["id"], "del_1"),
    "identity": (lambda c: c.identity(), [{"workspaceId": "ws_1"}, {"data": {"workspaceId": "ws_1"}}], lambda a: a["workspaceId"], "ws_1"),
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLES)
def test_single_answers_of_every_edition_say_the_same(name):
    call, bodies, said, wanted = SINGLES[name]
    answers, _ = ask(call, *bodies, calls=len(bodies))
    assert [said(each) for each in answers] == [wanted] * len(bodies)


ITEM = {"index": 0, "status": "created", "postId": "post_1"}
FAILED = {"index": 1, "status": "failed", "errors": [{"field": "accountIds", "issue": "ACCOUNT_NOT_FOUND", "detail": "no such account"}]}  # fmt: skip
OLD = [
    {"index": 0, "success": True, "post": {"id": "post_1", "status": "draft"}},
    {"index": 1, "success": False, "error": {"code": "ACCOUNT_NOT_FOUND", "message": "no such account"}},
]


@pytest.mark.parametrize("status", [200, 201, 207, 422])
def test_a_bulk_answer_is_read_item_by_item_whatever_its_status(status):
    fields = [{"content": "x", "accountIds": ["a"], "scheduledFor": T}] * 2
    bodies = [
        {"dry_run": False, "total": 2, "created": 1, "failed": 1, "results": [ITEM, FAILED]},
        {"dryRun": False, "total": 2, "created": 1, "failed": 1, "results": [FAILED, ITEM]},
        {"results": OLD, "summary": {"total": 2, "succeeded": 1, "failed": 1}},
    ]
    for found in ask(lambda c: c.posts.bulk(posts=fields), *bodies, status=status, calls=len(bodies))[0]:
        table = build("bulk_results", found.json["results"]).sort_values("index")
        cells = table[["index", "status", "error_code", "error_message"]].astype(object)
        assert cells.where(cells.notna(), None).to_numpy().tolist() == [
            [0, "created", None, None], [1, "failed", "ACCOUNT_NOT_FOUND", "no such account"],
        ]  # fmt: skip
        assert table["post_id"].iloc[0] == "post_1"
