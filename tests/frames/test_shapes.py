"""Both sides of the wire: every response shape of the contract is read alike, and any client of the contract is served."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pandas as pd
import pytest

from voxburst_sandbox import Sandbox
from voxops.client import AsyncClient, PostFields
from voxops.errors import (
    ApiError,
    AuthError,
    ConflictError,
    DecodeError,
    NotFoundError,
    RateLimitError,
    ServerError,
    ValidationError,
)
from voxops.frames.records import TARGET_COLUMNS, build, targets

# A server whose answers a test chooses.


class Canned:
    """A server that gives every request the same answer, or the next of several."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.seen: list[tuple[str, str]] = []
        canned = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                canned.seen.append((self.command, self.path))
                status, body, headers = canned.answers.pop(0) if len(canned.answers) > 1 else canned.answers[0]
                data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def say(self, *bodies: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.answers = [(status, body, headers or {}) for body in bodies]
        self.seen = []

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def canned() -> Iterator[Canned]:
    server = Canned()
    yield server
    server.stop()


def ask(canned: Canned, call: Callable[[AsyncClient], Any]) -> Any:
    """Return a client's result for the canned response."""

    async def main() -> Any:
        async with AsyncClient("vb_test_key", url=canned.url) as client:
            return await call(client)

    return asyncio.run(main())


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
    **POST,
    "status": "FAILED",
    "contentType": "TEXT",
    "platforms": [{**TARGET, "platform": "TWITTER", "status": "FAILED"}],
}
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
    "id": "wh_1",
    "url": "https://a.example/x",
    "events": ["*"],
    "enabled": True,
    "lastDeliveryAt": None,
    "failureCount": 0,
    "createdAt": T,
}
ACTIVE = {name: value for name, value in WEBHOOK.items() if name != "enabled"} | {"active": True}
DELIVERY = {
    "id": "del_1", "webhookId": "wh_1", "eventType": "post.failed", "url": "https://a.example/x", "statusCode": 500, "latencyMs": 40,
    "responseBody": "", "retryCount": 2, "success": False, "error": "receiver answered 500", "createdAt": T, "deliveredAt": None,
}  # fmt: skip

# Kind -> path's own name of the list, the call that lists, and the records that mean the same.
LISTS: dict[str, tuple[Callable[[AsyncClient], Any], str, list[dict[str, Any]]]] = {
    "posts": (lambda c: listed(c.posts.list()), "posts", [POST, UPPER, SNAKE]),
    "accounts": (
        lambda c: listed(c.accounts.list()),
        "accounts",
        [ACCOUNT, {**ACCOUNT, "platform": "TWITTER", "status": "ACTIVE"}],
    ),
    "webhooks": (lambda c: listed(c.webhooks.list()), "webhooks", [WEBHOOK, ACTIVE]),
    "deliveries": (
        lambda c: listed(c.webhooks.deliveries("wh_1")),
        "deliveries",
        [DELIVERY, {**DELIVERY, "latencyMs": "40"}],
    ),
}
ENVELOPES: dict[str, Callable[[list[Any], str], Any]] = {
    "A": lambda records, _: {"data": records, "pagination": {"has_more": False, "next_cursor": None, "limit": 20}},
    "A without limit": lambda records, _: {"data": records, "pagination": {"has_more": False, "next_cursor": None}},
    "B": lambda records, _: {"data": records, "pagination": {"hasMore": False, "nextCursor": None}},
    "C": lambda records, name: {name: records},
    "D": lambda records, name: {name: records, "page": 1, "limit": 20},
    "no pagination": lambda records, _: {"data": records},
    "bare": lambda records, _: records,
}


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("kind", LISTS)
def test_every_envelope_and_spelling_gives_the_same_frame(canned, kind, envelope):
    call, name, records = LISTS[kind]
    tables = []
    for record in records:
        canned.say(ENVELOPES[envelope]([record], name))
        frame = build(kind, ask(canned, call))
        tables.append(targets(frame) if kind == "posts" else frame)
        assert len(canned.seen) == 1
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
    assert len(tables[0]) == 1


@pytest.mark.parametrize(("more", "cursor"), [("has_more", "next_cursor"), ("hasMore", "nextCursor")])
def test_either_spelling_leads_to_the_next_page(canned, more, cursor):
    first = {"data": [POST], "pagination": {more: True, cursor: "c 1/&"}}
    last = {"data": [{**POST, "id": "post_2"}], "pagination": {more: False, cursor: None}}
    canned.say(first, last)
    assert [record["id"] for record in ask(canned, LISTS["posts"][0])] == ["post_1", "post_2"]
    assert "cursor=c%201%2F%26" in canned.seen[1][1] or "cursor=c+1%2F%26" in canned.seen[1][1]


@pytest.mark.parametrize("error", [
    {"code": "PUBLISH_ERROR", "message": "no"}, {"code": "publish_error", "message": "no", "details": {"x": 1}}, {"CODE": "PUBLISH_ERROR", "Message": "no"},
])  # fmt: skip
def test_an_error_of_a_target_has_one_code(error):
    table = targets(build("posts", [{**POST, "platforms": [{**TARGET, "error": error}]}]))
    assert table[["error_code", "error_message"]].iloc[0].to_list() == ["PUBLISH_ERROR", "no"]


@pytest.mark.parametrize("platforms", [["twitter"], ["TWITTER"], [{"platform": "twitter"}], {"twitter": {}}])
def test_platforms_of_every_edition_are_rows(platforms):
    table = targets(build("posts", [{**POST, "platforms": platforms}]))
    assert table[["post_id", "platform"]].to_numpy().tolist() == [["post_1", "twitter"]]
    assert list(table.columns) == list(TARGET_COLUMNS)


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
def test_single_answers_of_every_edition_say_the_same(canned, name):
    call, bodies, said, wanted = SINGLES[name]
    for body in bodies:
        canned.say(body, status=204 if body is None else 200)
        assert said(ask(canned, call)) == wanted


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
def test_a_bulk_answer_is_read_item_by_item_whatever_its_status(canned, status, body):
    canned.say(body, status=status)
    fields = [PostFields(content="x", account_ids=["a"], scheduled_for=T)] * 2
    table = build("bulk_results", ask(canned, lambda c: c.posts.bulk(fields))["results"]).sort_values(
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


@pytest.mark.parametrize("shape", [
    lambda code, message: {"error": {"code": code, "message": message, "details": {"field": "content"}}},
    lambda code, message: {"code": code, "message": message, "details": {"field": "content"}},
    lambda code, message: {"error": code, "message": message},
])  # fmt: skip
@pytest.mark.parametrize(("status", "kind", "code"), [
    (400, ValidationError, "INVALID_DATE"), (422, ValidationError, "VALIDATION_ERROR"), (401, AuthError, "UNAUTHORIZED"),
    (402, AuthError, "LIMIT_EXCEEDED"), (403, AuthError, "FORBIDDEN"), (403, AuthError, "AUTHORIZATION_ERROR"),
    (404, NotFoundError, "NOT_FOUND"), (409, ConflictError, "CONFLICT"),
])  # fmt: skip
def test_errors_of_every_shape_are_one(canned, shape, status, kind, code):
    canned.say(shape(code, "in words"), status=status)
    with pytest.raises(kind) as caught:
        ask(canned, lambda c: c.posts.cancel("post_1"))
    assert (caught.value.status, caught.value.code) == (status, code)
    assert "in words" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [{"error": "operation body exceeds 100 KB"}, "plain", [], None, b"<html>no</html>", {"message": "unconfirmed"}],
)
def test_an_error_without_a_code_is_still_an_error(canned, body):
    canned.say(body, status=422)
    with pytest.raises(ApiError) as caught:
        ask(canned, lambda c: c.posts.cancel("post_1"))
    assert (caught.value.status, caught.value.code) == (422, "")


def test_a_web_page_with_status_200_is_no_answer(canned):
    canned.say(b"<!doctype html><title>hello</title>", headers={"Content-Type": "text/html"})
    with pytest.raises(DecodeError) as caught:
        ask(canned, lambda c: c.posts.get("post_1"))
    assert caught.value.endpoint == "GET /v1/posts/post_1"
    assert caught.value.body.startswith(b"<!doctype")


def test_the_two_kinds_that_may_pass_are_named(canned):
    canned.say({"error": {"code": "INTERNAL_ERROR", "message": "x"}}, status=500)
    with pytest.raises(ServerError):
        ask(canned, lambda c: c.raw("POST", "/v1/posts"))
    canned.say({"error": {"code": "RATE_LIMITED", "message": "x"}}, status=429, headers={"Retry-After": "7"})
    with pytest.raises(RateLimitError) as caught:
        ask(canned, lambda c: c.raw("POST", "/v1/posts"))
    assert caught.value.retry_after == 7


# The other side: a client that knows only the public contract, written with the standard library, as strict as a typed one.

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(posts=200, deliveries=200, rate_limit=None) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Callable[..., Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(method: str, path: str, body: Any = None) -> Any:
        """One request, ``Content-Type`` even without a body; a strict client wants JSON in every answer."""
        headers = {
            "Authorization": f"Bearer {sandbox.api_key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        with opener.open(urllib.request.Request(f"{sandbox.url}/v1{path}", data, headers, method=method)) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            return json.loads(answer.read())

    return call


def times_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Every field that holds a time, wherever."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name.endswith(("At", "For")):
                yield name, inner
            yield from times_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from times_in(inner)


def first_id(api: Callable[..., Any], path: str) -> str:
    return str(api("GET", path)["data"][0]["id"])


@pytest.mark.parametrize(
    "path", ["/posts?status=all&limit=100", "/accounts?status=all", "/media", "/webhooks", "/webhooks/{wh}/deliveries"]
)
def test_lists_have_both_spellings_and_times_or_null(api, path):
    data = api("GET", path.format(wh=first_id(api, "/webhooks")))
    assert isinstance(data["data"], list)
    assert data["data"]
    page = data["pagination"]
    assert (page["hasMore"], page["nextCursor"]) == (page["has_more"], page["next_cursor"])
    assert isinstance(page["hasMore"], bool)
    times = list(times_in(data))
    assert times
    assert [pair for pair in times if pair[1] is not None and not RFC3339.fullmatch(pair[1])] == []


@pytest.mark.parametrize("cursor", ["nextCursor", "next_cursor"])
def test_a_client_of_either_spelling_reads_every_post_once(api, cursor):
    ids, query = [], ""
    while True:
        page = api("GET", f"/posts?status=all&limit=30{query}")
        ids += [post["id"] for post in page["data"]]
        if not page["pagination"][cursor]:
            break
        query = f"&cursor={page['pagination'][cursor]}"
    assert len(ids) == len(set(ids)) == 200


@pytest.mark.parametrize(("path", "name", "values"), [
    ("/posts", "status", ("published", "PUBLISHED", "Published")), ("/posts", "platform", ("twitter", "TWITTER")),
    ("/accounts", "platform", ("linkedin", "LINKEDIN")), ("/accounts", "status", ("active", "ACTIVE")), ("/media", "status", ("ready", "READY")),
])  # fmt: skip
def test_filters_take_either_casing(api, path, name, values):
    found = [[record["id"] for record in api("GET", f"{path}?{name}={value}&limit=100")["data"]] for value in values]
    assert found[0]
    assert all(ids == found[0] for ids in found)


@pytest.mark.parametrize("group", ["posts", "accounts", "media", "webhooks"])
def test_single_objects_are_bare(api, group):
    key = first_id(api, f"/{group}")
    one = api("GET", f"/{group}/{key}")
    assert one["id"] == key
    assert "data" not in one
    assert "secret" not in one


@pytest.mark.parametrize("casing", [str.lower, str.upper])
def test_validation_takes_and_gives_platforms_as_clients_do(api, casing):
    answer = api(
        "POST", "/posts/validate", {"content": "x" * 400, "platforms": [casing("twitter"), casing("linkedin")]}
    )
    said = {name.lower(): result for name, result in answer["platforms"].items()}
    assert answer["valid"] is False
    assert said["twitter"]["errors"][0].keys() >= {"code", "message"}
    assert said["linkedin"]["valid"] is True


def test_writes_without_a_body_answer_with_one(api, sandbox):
    account = first_id(api, "/accounts?platform=facebook&status=active")

    def draft() -> str:
        post = api("POST", "/posts", {"content": "x", "accountIds": [account], "saveAsDraft": True})
        assert (post["status"], post["scheduledFor"], post["publishedAt"]) == ("draft", None, None)
        return str(post["id"])

    posted = draft()
    assert api("POST", f"/posts/{posted}/publish")["id"] == posted
    assert api("POST", f"/posts/{draft()}/cancel")["status"] == "cancelled"
    clone = api("POST", f"/posts/{draft()}/clone")
    assert (clone["status"], clone["content"]) == ("draft", "x")
    assert isinstance(api("DELETE", f"/posts/{draft()}"), dict)
    failed = api("GET", "/posts?status=failed")["data"][0]["id"]
    target = next(t for t in api("GET", f"/posts/{failed}")["platforms"] if t["status"] == "failed")
    assert api("POST", f"/posts/{failed}/platforms/{target['postPlatformId']}/fix", {}).keys() >= {
        "success",
        "platformId",
        "status",
    }
    again = api("GET", "/posts?status=failed")["data"][0]["id"]
    retried = api("POST", f"/posts/{again}/retry")
    assert retried["id"] == again
    assert retried["retriedPlatforms"][0].keys() == {"platform", "accountId", "retryCount", "nextRetryAt"}
    sandbox.advance(300)
    assert api("GET", f"/posts/{posted}")["status"] in ("published", "failed")


def test_a_target_decodes_into_a_typed_struct(api):
    """No error is a string, and no field of a post is missing: either would break a typed client."""
    for post in api("GET", "/posts?status=all&limit=100")["data"]:
        assert {
            "id",
            "content",
            "status",
            "scheduledFor",
            "publishedAt",
            "createdAt",
            "updatedAt",
            "platforms",
            "media",
            "metadata",
        } <= post.keys()
        for target in post["platforms"]:
            assert {
                "platform",
                "accountId",
                "accountName",
                "status",
                "platformPostId",
                "platformPostUrl",
                "publishedAt",
                "error",
            } <= target.keys()
            assert target["error"] is None or {"code", "message"} <= target["error"].keys()


def test_the_wrapped_answers_of_the_contract_are_wrapped(api):
    hook = api("POST", "/webhooks", {"url": "https://shape.example/x", "events": ["*"]})
    assert hook["secret"]
    delivery = api("POST", "/webhooks/test", {"webhookId": hook["id"]})["data"]
    assert delivery.keys() >= {
        "id",
        "webhookId",
        "eventType",
        "url",
        "statusCode",
        "latencyMs",
        "responseBody",
        "retryCount",
        "success",
        "error",
        "createdAt",
        "deliveredAt",
    }


def test_bulk_leaves_out_what_does_not_apply(api):
    account = first_id(api, "/accounts?platform=facebook&status=active")
    item = {"content": "x", "accountIds": [account], "scheduledFor": "2026-06-01T09:00:00+02:00"}
    answer = api("POST", "/posts/bulk", {"posts": [item, {**item, "accountIds": ["nobody"]}], "dryRun": False})
    good, bad = answer["results"]
    assert (good.keys(), bad.keys()) == ({"index", "status", "postId"}, {"index", "status", "errors"})
    assert (answer["total"], answer["created"], answer["failed"], answer["dry_run"]) == (2, 1, 1, False)


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), [
    ("GET", "/posts/no", None, 404, "NOT_FOUND"), ("POST", "/posts", {"content": "x"}, 400, "VALIDATION_ERROR"), ("GET", "/nowhere", None, 404, "NOT_FOUND"),
    ("POST", "/posts", {"content": "x", "accountIds": ["a"], "scheduledFor": "2026-06-01T09:00:00"}, 400, "INVALID_DATE"),
])  # fmt: skip
def test_errors_come_in_the_envelope(api, method, path, body, status, code):
    with pytest.raises(urllib.error.HTTPError) as caught:
        api(method, path, body)
    with caught.value as answer:
        error = json.loads(answer.read())["error"]
    assert (caught.value.code, error["code"]) == (status, code)
    assert error["message"]
