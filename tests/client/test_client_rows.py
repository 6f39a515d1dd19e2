"""Typed methods for the reads and for rows of the matrix; documented limits are checked before anything is sent."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta, timezone
from operator import attrgetter
from typing import Any

import pandas as pd
import pytest

from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.api import assumptions
from voxops.client import AsyncClient, Listing, PostFields
from voxops.errors import ConflictError, ValidationError

LATER = datetime(2026, 4, 1, 9, tzinfo=timezone(timedelta(hours=2)))
NAIVE = datetime(2026, 4, 1, 9)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def account(sandbox: Sandbox, platform: str) -> str:
    """An active account of a platform."""
    accounts = sandbox.world.accounts.values()
    return next(one.id for one in accounts if (one.platform, one.status) == (platform, "active"))


@pytest.fixture
def fields(sandbox: Sandbox) -> PostFields:
    return PostFields(content="hello", account_ids=[account(sandbox, "twitter")])


def test_a_delivery_s_handle_names_its_webhook(client, sandbox):
    delivery = next(iter(sandbox.world.deliveries.values()))
    handle = eventloop.run(client.webhooks.retry_delivery(delivery.webhook_id, delivery.id))
    assert (handle.id, handle.webhook_id, handle.accepted["status"]) == (delivery.id, delivery.webhook_id, "queued")


def test_bulk_handles_say_which_item_was_not_queued(client, sandbox):
    media = next(one.id for one in sandbox.world.media.values() if one.status == "ready")
    good, bad = eventloop.run(client.media.bulk_validate([media, "media_nowhere"]))
    assert (good.accepted["status"], bad.accepted["status"]) == ("queued", "failed")


def test_a_refusal_is_an_error_whatever_the_id_of_the_media_file(sandbox, client):
    sandbox.add_fault(Fault("status", path="/v1/media/*/validate", status=422, code="VALIDATION_ERROR"))
    with pytest.raises(ValidationError):
        eventloop.run(client.media.validate("media_of_bulk_1"))


# Reads.


def read(listing: Listing[Any]) -> list[Any]:
    """All records of a list."""

    async def main() -> list[Any]:
        return [record async for record in listing]

    return eventloop.run(main())


def test_posts_are_listed_by_status_time_platform_and_account(client, sandbox):
    assert len(read(client.posts.list())) == 500
    failed = read(client.posts.list(status="failed", page_size=7))
    assert {record["status"] for record in failed} == {"failed"}
    days = {record["createdAt"][:10] for record in read(client.posts.list(since=MARCH, until="2026-03-01T23:59:59Z"))}
    assert days == {"2026-03-01"}
    chosen = account(sandbox, "twitter")
    posts = read(client.posts.list(platform="twitter", account=chosen))
    assert posts
    assert all(chosen in [target["accountId"] for target in record["platforms"]] for record in posts)
    assert eventloop.run(client.posts.get(posts[0]["id"]))["id"] == posts[0]["id"]


def test_accounts_and_media_are_listed_and_read(client, sandbox):
    chosen = account(sandbox, "facebook")
    eventloop.run(client.accounts.delete(chosen))
    counts = [len(read(client.accounts.list(platform="facebook", **more))) for more in ({}, {"include_archived": True})]
    assert counts[1] == counts[0] + 1
    assert len(read(client.accounts.list(status="all"))) == 12
    assert eventloop.run(client.accounts.get(chosen))["platform"] == "facebook"
    assert eventloop.run(client.accounts.pages(chosen))["pages"]
    media = read(client.media.list(page_size=10))
    assert len(media) == 40
    assert eventloop.run(client.media.get(media[0]["id"])) == media[0]


def test_deliveries_are_listed_by_outcome_time_and_event(client, sandbox):
    hooks = [record["id"] for record in read(client.webhooks.list())]
    assert len(hooks) == 3
    assert "secret" not in eventloop.run(client.webhooks.get(hooks[0]))

    def count(**query: Any) -> int:
        return sum(len(read(client.webhooks.deliveries(hook, **query))) for hook in hooks)

    good, bad = count(success=True), count(success=False)
    assert 0 < bad < good
    assert good + bad == count() == len(sandbox.world.deliveries)
    lately = [
        record
        for hook in hooks
        for record in read(client.webhooks.deliveries(hook, since=MARCH, event_type="post.published"))
    ]
    assert {record["eventType"].lower() for record in lately} == {"post.published"}
    assert min(record["createdAt"] for record in lately) >= "2026-03-01"


# Writes.


def test_a_create_without_a_time_is_a_draft_even_where_the_api_would_publish(client, sandbox, fields):
    sandbox.set_switches(publish_on_create=True)
    assert eventloop.run(client.posts.create(fields))["status"] == "draft"
    sandbox.advance(600)
    assert sandbox.effects("target.publish") == []


def test_a_stale_version_is_a_conflict(client, sandbox, fields):
    async def main() -> None:
        post = await client.posts.create(fields)
        sandbox.advance(5)
        await client.posts.update(post["id"], PostFields(content="mine"), version=post["updatedAt"])
        with pytest.raises(ConflictError):
            await client.posts.update(post["id"], PostFields(content="theirs"), version=post["updatedAt"])
        cleared = await client.posts.update(post["id"], PostFields(first_comment=None, scheduled_for=LATER))
        assert (cleared["scheduledFor"], cleared["content"]) == ("2026-04-01T07:00:00.000Z", "mine")

    eventloop.run(main())


@pytest.fixture
def idle() -> Iterator[AsyncClient]:
    """A client that has nobody to talk to, for what must not be sent."""
    client = AsyncClient("vb_test_of_nobody", url="http://127.0.0.1:9")
    yield client
    eventloop.run(client.aclose())


def refused(send: Coroutine[Any, Any, Any]) -> tuple[str, str]:
    """Field and code of what the client does not send."""
    with pytest.raises(ValidationError, match="nothing was sent") as caught:
        eventloop.run(send)
    assert caught.value.status == 0
    return str(caught.value.details["field"]), caught.value.code


def thread(*numbers: int) -> list[dict[str, Any]]:
    return [{"sequence": number, "content": "x"} for number in numbers]


LONG = "x" * 10_001
TOO_LONG, BAD_DATE, INVALID = "CONTENT_TOO_LONG", "INVALID_DATE", "VALIDATION_ERROR"


@pytest.mark.parametrize(("name", "field", "code", "values"), [
    ("content", "content", TOO_LONG, [LONG]), ("content", "content", INVALID, ["  "]),
    ("account_ids", "accountIds", INVALID, [[], "acc_1", [""]]), ("media", "media", INVALID, ["media_1", b"media_1"]),
    ("scheduled_for", "scheduledFor", BAD_DATE, [NAIVE, pd.Timestamp("2026-04-01"), pd.NaT, 1_800_000_000]),
    ("scheduled_for", "scheduledFor", BAD_DATE, ["2026-04-01T09:00:00", "2026-04-01", "tomorrow", "2026-04-01T17.45Z"]),
    ("queue", "queue", INVALID, [True]), ("content_type", "contentType", INVALID, ["poem", 5]),
    ("first_comment", "firstComment", INVALID, ["x" * 2_201, 5]),
    ("first_comment_delay", "firstCommentDelay", INVALID, [61, -1, True]),
    ("thread_posts", "threadPosts", INVALID, [5, thread(*range(1, 27)), thread(1, 3)]),
    ("thread_posts", "threadPosts[0]", INVALID, [["a"]]),
    ("thread_posts", "threadPosts[1].content", INVALID, [[{"sequence": 1, "content": ""}]]),
    ("metadata", "metadata", INVALID, [["k"]]), ("metadata", "metadata.", INVALID, [{"": 1}]),
    ("metadata", "metadata." + "k" * 100, INVALID, [{"k" * 101: 1}]),
    ("metadata", "metadata.k", INVALID, [{"k": "x" * 1_001}, {"k": ["x"] * 101}, {"k": ["x" * 201]}]),
    ("platform_overrides", "platformOverrides", INVALID, [["twitter"]]),
    ("platform_overrides", "platformOverrides.twitter", INVALID, [{"twitter": "short"}]),
    ("platform_overrides", "platformOverrides.twitter.content", INVALID, [{"twitter": {"content": 5}}]),
    ("platform_overrides", "platformOverrides.twitter.content", TOO_LONG, [{"twitter": {"content": LONG}}]),
    ("platform_metadata", "platformMetadata", INVALID, [{5: {}}]), ("tags", "tags", INVALID, [5, {"a": 1}, [5]]),
])  # fmt: skip
def test_a_field_beyond_its_limit_is_named_and_nothing_is_sent(idle, name, field, code, values):
    for value in values:
        made = PostFields(**{"content": "x", "account_ids": ["acc_1"], "scheduled_for": LATER, name: value})
        for send in (idle.posts.create(made), idle.posts.update("post_1", made), idle.posts.bulk([made])):
            assert refused(send) == (field, code)
    assert idle.requests == 0


def test_fields_at_their_limit_are_sent_under_their_api_names():
    body = PostFields(
        content="x" * 10_000, account_ids=("acc_1",), scheduled_for=LATER, content_type="image", media=["media_1"],
        tags=["a"],
        platform_overrides={"twitter": {"content": "short"}}, first_comment="y" * 2_200, first_comment_delay=60,
        thread_posts=thread(*range(1, 26)), metadata={"k" * 100: "x" * 1_000, "l": ["x" * 200] * 100},
    ).new()  # fmt: skip
    assert (body["scheduledFor"], body["contentType"]) == ("2026-04-01T07:00:00.000Z", "IMAGE")
    assert body["accountIds"] == ["acc_1"]
    assert body["platformOverrides"] == {"TWITTER": {"content": "short"}}
    assert "saveAsDraft" not in body


@pytest.mark.parametrize(("fields", "changes"), [
    ({}, {}), ({"persona_id": None}, {"personaId": None}),
    ({"scheduled_for": pd.Timestamp("2026-04-01T09:00:00.123456789+02:00")},
        {"scheduledFor": "2026-04-01T07:00:00.123Z"}),
])  # fmt: skip
def test_only_what_is_given_is_changed(fields, changes):
    assert PostFields(**fields).changes() == changes


def beyond(method: str, field: str, *values: Any, **named: Any) -> Any:
    """A call beyond a limit, and the field that its error names."""
    return pytest.param(method, field, values, named, id=f"{method}-{field}")


IMAGE = {"filename": "a.jpg", "contentType": "image/jpeg", "sizeBytes": 10}
VIDEO = {"filename": "v.mp4", "contentType": "video/mp4", "sizeBytes": 10}
GOOD = PostFields(content="x", account_ids=["acc_1"], scheduled_for=LATER)
HTTPS = "https://x.example/a.jpg"


@pytest.mark.parametrize(("method", "field", "values", "named"), [
    beyond("posts.bulk", "posts", [GOOD] * 51), beyond("posts.bulk", "posts", []),
    beyond("posts.bulk", "posts[1]", [GOOD, {"content": "x"}]),
    beyond("posts.bulk", "posts[0].scheduledFor", [PostFields(content="x", account_ids=["a"])]),
    beyond("posts.bulk", "posts[0].content", [PostFields(account_ids=["a"])]),
    beyond("posts.create", "accountIds", PostFields(content="x")), beyond("posts.create", "fields", {"content": "x"}),
    beyond("posts.update", "fields", "post_1", PostFields()),
    beyond("posts.update", "fields", "post_1", {"content": "x"}),
    beyond("posts.get", "id", ""), beyond("posts.cancel", "id", None),
    beyond("posts.bulk_video", "videos", [{}] * 21), beyond("posts.bulk_video", "videos[0]", ["abc"]),
    beyond("posts.bulk_video", "videos[1].scheduledFor", [{}, {"scheduledFor": "2026-04-01T09:00"}]),
    beyond("posts.bulk_video", "videos[0].content", [{"content": LONG}]),
    *(beyond("posts.validate", "platforms", content="x", platforms=bad) for bad in ([], "twitter", [5])),
    beyond("posts.validate", "media[0]", content="x", platforms=["x"], media=["m"]),
    beyond("posts.validate", "mediaIds", content="x", platforms=["x"], media_ids="media_1"),
    beyond("posts.fix", "mediaUrl", "p", "t", media_url="http://x.example/a.jpg"),
    beyond("posts.fix", "content", "p", "t", content=LONG),
    beyond("posts.fix", "refreshMedia", "p", "t", media_url=HTTPS, refresh_media=True),
    beyond("accounts.select_page", "pageId", "a", None), beyond("accounts.connect", "platform", 5),
    beyond("webhooks.create", "url", "ftp://x", ["*"]),
    *(beyond("webhooks.create", "events", HTTPS, bad) for bad in ([], 5)),
    beyond("webhooks.update", "events", "w", events="*"), beyond("webhooks.update", "webhook", "w"),
    beyond("webhooks.test", "webhookId", ""),
    beyond("media.register", "url", "http://x.example/a.jpg", "image/jpeg"),
    beyond("media.import_from_url", "url", "file:///etc/passwd"),
    beyond("media.import_from_drive", "fileId", ""),
    *(beyond("media.bulk_validate", "mediaIds", bad) for bad in (["m"] * 101, [None])),
    *(beyond("uploads.presign", "contentType", "a.bmp", bad, 10) for bad in ("image/bmp", ["image/jpeg"])),
    *(beyond("uploads.presign", "sizeBytes", "a.jpg", "image/jpeg", bad) for bad in (20 * 1024**2 + 1, 0, "5", True)),
    *(beyond("uploads.presign", "filename", bad, "image/jpeg", 10) for bad in ("../a.jpg", 5)),
    *(beyond("uploads.bulk_presign", field, bad) for field, bad in (
        ("files", [IMAGE] * 101), ("files[0]", ["a.jpg"]), ("sizeBytes", [IMAGE | {"sizeBytes": "abc"}]),
    )),
    *(beyond("uploads.bulk_video_urls", field, bad) for field, bad in (
        ("videos", [VIDEO | {"sizeBytes": 1024**3 + 1}] * 20), ("videos[0]", ["v.mp4"]),
        ("sizeBytes", [VIDEO | {"sizeBytes": -1}]),
        ("contentType", [IMAGE]),
    )),
    beyond("uploads.send", "file", 5), beyond("uploads.send_all", "file", [None]),
    beyond("uploads.send_all", "files", "a.jpg"),
])  # fmt: skip
def test_limits_are_checked_before_anything_is_sent(idle, method, field, values, named):
    assert refused(attrgetter(method)(idle)(*values, **named))[0] == field
    assert idle.requests == 0


def test_a_list_takes_no_time_without_an_offset(idle):
    with pytest.raises(ValidationError, match="since"):
        read(idle.posts.list(since=NAIVE))
    assert idle.requests == 0


@pytest.mark.parametrize(("kind", "record", "status"), [
    ("post", {"status": "PUBLISHING"}, "publishing"), ("post", {}, ""),
    ("media", {"status": "READY", "metadata": {"importStatus": "completed"}}, "ready"),
    ("media", {"status": "pending", "metadata": {"importStatus": "Importing"}}, "importing"),
    ("media", {"status": "pending", "metadata": None}, "pending"),
    ("account", {"status": "active", "backfill": {"status": "processing"}}, "processing"),
    ("account", {"status": "active"}, ""), ("account", {"status": "active", "backfill": None}, ""),
])  # fmt: skip
def test_the_polled_status_of_a_job(kind, record, status):
    assert assumptions.polled_status(kind, record) == status
