"""Typed methods for every row of the matrix and for the reads; documented limits are checked before anything is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest

from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.api import assumptions
from voxops.client import UNSET, AsyncClient, Page, PostFields
from voxops.errors import ConflictError, ValidationError

LATER = datetime(2026, 4, 1, 9, tzinfo=timezone(timedelta(hours=2)))
IMAGE = {"filename": "a.jpg", "contentType": "image/jpeg", "sizeBytes": 10}


class World:
    """Records of the seeded sandbox for the rows to act on."""

    def __init__(self, sandbox: Sandbox) -> None:
        world = sandbox.world
        self.account = next(
            one.id for one in world.accounts.values() if (one.platform, one.status) == ("twitter", "active")
        )
        self.facebook = next(one.id for one in world.accounts.values() if one.platform == "facebook")
        self.failed = next(one for one in world.posts.values() if one.status == "failed")
        self.target = next(target.id for target in self.failed.targets if target.status == "failed")
        self.published = next(
            one.id
            for one in world.posts.values()
            if one.status == "published" and all(world.accounts[t.account_id].status == "active" for t in one.targets)
        )
        self.media = next(one.id for one in world.media.values() if one.status == "ready")
        self.webhook = next(iter(world.webhooks))
        self.delivery = next(
            key for _, _, key in world.delivery_order if world.deliveries[key].webhook_id == self.webhook
        )

    def fields(self, **more: Any) -> PostFields:
        return PostFields(content="hello", account_ids=[self.account], **more)


@pytest.fixture
def world(sandbox: Sandbox) -> World:
    return World(sandbox)


def test_a_delivery_s_handle_names_its_webhook(client, world):
    handle = eventloop.run(client.webhooks.retry_delivery(world.webhook, world.delivery))
    assert (handle.id, handle.webhook_id, handle.accepted["status"]) == (world.delivery, world.webhook, "queued")


def test_bulk_handles_say_which_item_was_not_queued(client, world):
    good, bad = eventloop.run(client.media.bulk_validate([world.media, "media_nowhere"]))
    assert (good.accepted["status"], bad.accepted["status"]) == ("queued", "failed")


def test_a_refusal_is_an_error_whatever_the_id_of_the_media_file(sandbox, client):
    sandbox.add_fault(Fault("status", path="/v1/media/*/validate", status=422, code="VALIDATION_ERROR"))
    with pytest.raises(ValidationError):
        eventloop.run(client.media.validate("media_of_bulk_1"))


async def count(pages: AsyncIterator[Page]) -> int:
    return sum([len(page.records) async for page in pages])


def test_the_reads(client, sandbox, world):
    async def main() -> None:
        assert await count(client.posts.list()) == 500
        failed = [record async for page in client.posts.list(status="failed", page_size=7) for record in page.records]
        assert failed and {record["status"] for record in failed} == {"failed"}
        day = [
            record
            async for page in client.posts.list(since=datetime(2026, 3, 1, tzinfo=UTC), until="2026-03-02T00:00:00Z")
            for record in page.records
        ]
        assert day and all("2026-03-01" <= record["createdAt"] <= "2026-03-02T00:00:00.001Z" for record in day)
        assert 0 < await count(client.posts.list(platform="twitter", account=world.account)) < 500
        assert (await client.posts.get(world.published))["id"] == world.published
        assert await count(client.accounts.list(status="all")) == 12
        assert (await client.accounts.get(world.account))["platform"] == "twitter"
        assert (await client.accounts.pages(world.facebook))["pages"]
        assert await count(client.accounts.list(platform="twitter", include_archived=True)) >= 1
        assert await count(client.media.list(page_size=10)) == 40
        assert (await client.media.get(world.media))["id"] == world.media
        assert await count(client.webhooks.list()) == 3
        assert "secret" not in await client.webhooks.get(world.webhook)
        hooks = list(sandbox.world.webhooks)
        good, bad, both = [
            sum([await count(client.webhooks.deliveries(hook, success=success)) for hook in hooks])
            for success in (True, False, None)
        ]
        assert 0 < bad < good and good + bad == both == len(sandbox.world.delivery_order)
        lately = client.webhooks.deliveries(
            world.webhook, since=datetime(2026, 3, 1, tzinfo=UTC), event_type="post.failed"
        )
        assert {record["eventType"] async for page in lately for record in page.records} <= {
            "post.failed",
            "POST.FAILED",
        }

    eventloop.run(main())


def test_a_create_without_a_time_is_a_draft_even_where_the_api_would_publish(client, sandbox, world):
    sandbox.set_switches(publish_on_create=True)
    assert eventloop.run(client.posts.create(world.fields()))["status"] == "draft"
    sandbox.advance(600)
    assert sandbox.effects("target.publish") == []


def test_a_stale_version_is_a_conflict(client, sandbox, world):
    async def main() -> None:
        post = await client.posts.create(world.fields())
        sandbox.advance(5)
        await client.posts.update(post["id"], PostFields(content="mine"), version=post["updatedAt"])
        with pytest.raises(ConflictError):
            await client.posts.update(post["id"], PostFields(content="theirs"), version=post["updatedAt"])
        cleared = await client.posts.update(post["id"], PostFields(first_comment=None, scheduled_for=LATER))
        assert cleared["scheduledFor"] == "2026-04-01T07:00:00.000Z" and cleared["content"] == "mine"

    eventloop.run(main())


NAIVE = datetime(2026, 4, 1, 9)


@pytest.fixture
def idle() -> Iterator[AsyncClient]:
    """A client that has nobody to talk to, for what must not be sent."""
    client = AsyncClient("vb_test_of_nobody", url="http://127.0.0.1:9")
    yield client
    eventloop.run(client.aclose())


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"content": "x" * 10_001}, "content", "CONTENT_TOO_LONG"),
        ({"content": "  "}, "content", ""),
        ({"account_ids": []}, "accountIds", ""),
        ({"account_ids": "acc_1"}, "accountIds", ""),
        ({"account_ids": [""]}, "accountIds", ""),
        ({"media": "media_1"}, "media", ""),
        ({"scheduled_for": NAIVE}, "scheduledFor", "INVALID_DATE"),
        ({"scheduled_for": "2026-04-01T09:00:00"}, "scheduledFor", "INVALID_DATE"),
        ({"scheduled_for": "2026-04-01"}, "scheduledFor", "INVALID_DATE"),
        ({"scheduled_for": "tomorrow"}, "scheduledFor", "INVALID_DATE"),
        ({"scheduled_for": "2026-04-01T17.45Z"}, "scheduledFor", "INVALID_DATE"),
        ({"scheduled_for": pd.Timestamp("2026-04-01")}, "scheduledFor", "INVALID_DATE"),
        ({"scheduled_for": pd.NaT}, "scheduledFor", "INVALID_DATE"),
        ({"scheduled_for": 1_800_000_000}, "scheduledFor", "INVALID_DATE"),
        ({"scheduled_for": LATER, "queue": True}, "queue", ""),
        ({"content_type": "poem"}, "contentType", ""),
        ({"first_comment": "x" * 2_201}, "firstComment", ""),
        ({"first_comment_delay": 61}, "firstCommentDelay", ""),
        ({"first_comment_delay": -1}, "firstCommentDelay", ""),
        ({"first_comment_delay": True}, "firstCommentDelay", ""),
        ({"thread_posts": [{"sequence": n, "content": "x"} for n in range(1, 27)]}, "threadPosts", ""),
        ({"thread_posts": [{"sequence": 1, "content": "x"}, {"sequence": 3, "content": "x"}]}, "threadPosts", ""),
        ({"thread_posts": [{"sequence": 1, "content": ""}]}, "threadPosts[1].content", ""),
        ({"metadata": {"k" * 101: 1}}, "metadata." + "k" * 100, ""),
        ({"metadata": {"": 1}}, "metadata.", ""),
        ({"metadata": {"k": "x" * 1_001}}, "metadata.k", ""),
        ({"metadata": {"k": ["x"] * 101}}, "metadata.k", ""),
        ({"metadata": {"k": ["x" * 201]}}, "metadata.k", ""),
        ({"metadata": ["k"]}, "metadata", ""),
        ({"content_type": 5}, "contentType", ""),
        ({"first_comment": 5}, "firstComment", ""),
        ({"thread_posts": ["a"]}, "threadPosts[0]", ""),
        ({"thread_posts": 5}, "threadPosts", ""),
        ({"platform_overrides": ["twitter"]}, "platformOverrides", ""),
        ({"platform_overrides": {"twitter": "short"}}, "platformOverrides.twitter", ""),
        ({"platform_overrides": {"twitter": {"content": "x" * 10_001}}}, "platformOverrides.twitter.content", "CONTENT_TOO_LONG"),
        ({"platform_overrides": {"twitter": {"content": 5}}}, "platformOverrides.twitter.content", ""),
        ({"platform_metadata": {5: {}}}, "platformMetadata", ""),
        ({"tags": 5}, "tags", ""),
        ({"tags": {"a": 1}}, "tags", ""),
        ({"tags": [5]}, "tags", ""),
        ({"media": b"media_1"}, "media", ""),
    ],
)  # fmt: skip
def test_a_field_beyond_its_limit_is_named_and_nothing_is_sent(idle, fields, field, code):
    made = PostFields(**{"content": "x", "account_ids": ["acc_1"], **fields})
    for send in (idle.posts.create(made), idle.posts.update("post_1", made), idle.posts.bulk([made])):
        with pytest.raises(ValidationError, match="nothing was sent") as caught:
            eventloop.run(send)
        assert caught.value.status == 0 and caught.value.details["field"] == field
        assert caught.value.code == (code or "VALIDATION_ERROR")
    assert idle.requests == 0


def test_fields_at_their_limit_are_sent_under_their_api_names():
    fields = PostFields(
        content="x" * 10_000, account_ids=("acc_1",), scheduled_for=LATER, content_type="image", media=["media_1"], tags=["a"],
        platform_overrides={"twitter": {"content": "short"}}, first_comment="y" * 2_200, first_comment_delay=60,
        thread_posts=[{"sequence": n, "content": "x"} for n in range(1, 26)],
        metadata={"k" * 100: "x" * 1_000, "l": ["x" * 200] * 100},
    )  # fmt: skip
    body = fields.new()
    assert (
        body["scheduledFor"] == "2026-04-01T07:00:00.000Z"
        and body["contentType"] == "IMAGE"
        and body["accountIds"] == ["acc_1"]
    )
    assert body["platformOverrides"] == {"TWITTER": {"content": "short"}} and "saveAsDraft" not in body
    assert PostFields(persona_id=None).changes() == {"personaId": None} and PostFields().changes() == {}
    assert repr(UNSET) == "UNSET"
    assert PostFields(scheduled_for=pd.Timestamp("2026-04-01T09:00:00.123456789+02:00")).changes() == {
        "scheduledFor": "2026-04-01T07:00:00.123Z"
    }


GOOD = PostFields(content="x", account_ids=["acc_1"], scheduled_for=LATER)
VIDEO = {"filename": "v.mp4", "contentType": "video/mp4", "sizeBytes": 10}
LIMITS: list[tuple[str, Callable[[AsyncClient], Coroutine[Any, Any, Any]]]] = [
    ("posts: 51 entries, 1 to 50", lambda c: c.posts.bulk([PostFields()] * 51)),
    ("posts: 0 entries", lambda c: c.posts.bulk([])),
    (r"posts\[0\].scheduledFor", lambda c: c.posts.bulk([PostFields(content="x", account_ids=["a"])])),
    (r"posts\[0\].content: is required", lambda c: c.posts.bulk([PostFields(account_ids=["a"])])),
    ("accountIds: is required", lambda c: c.posts.create(PostFields(content="x"))),
    ("nothing to change", lambda c: c.posts.update("post_1", PostFields())),
    ("videos: 21 entries", lambda c: c.posts.bulk_video([{}] * 21)),
    ("platforms: 0 entries", lambda c: c.posts.validate(content="x", platforms=[])),
    ("platforms: takes a list", lambda c: c.posts.validate(content="x", platforms="twitter")),
    ("mediaUrl: must be an https", lambda c: c.posts.fix("p", "t", media_url="http://x.example/a.jpg")),
    ("refreshMedia: can't be used", lambda c: c.posts.fix("p", "t", media_url="https://x.example/a.jpg", refresh_media=True)),
    ("content: 10,001 characters", lambda c: c.posts.fix("p", "t", content="x" * 10_001)),
    ("id: '' is not a valid id", lambda c: c.posts.get("")),
    ("id: None is not a valid id", lambda c: c.posts.cancel(None)),
    ("pageId", lambda c: c.accounts.select_page("a", None)),
    ("must be an http or https address", lambda c: c.webhooks.create("ftp://x", ["*"])),
    ("events", lambda c: c.webhooks.create("https://x.example", [])),
    ("events", lambda c: c.webhooks.update("w", events="*")), ("nothing to change", lambda c: c.webhooks.update("w")),
    ("webhookId", lambda c: c.webhooks.test("")), ("has no offset", lambda c: anext(c.posts.list(since=NAIVE))),
    ("url: must be an https", lambda c: c.media.register("http://x.example/a.jpg", "image/jpeg")),
    ("url: must be an https", lambda c: c.media.import_from_url("file:///etc/passwd")),
    ("fileId", lambda c: c.media.import_from_drive("")),
    ("mediaIds: 101 entries", lambda c: c.media.bulk_validate(["m"] * 101)),
    ("files: 101 entries", lambda c: c.uploads.bulk_presign([IMAGE] * 101)),
    ("contentType: 'image/bmp' is not a valid content type", lambda c: c.uploads.presign("a.bmp", "image/bmp", 10)),
    ("sizeBytes: a.jpg: 20,971,521 bytes, 1 to 20,971,520", lambda c: c.uploads.presign("a.jpg", "image/jpeg", 20 * 1024**2 + 1)),
    ("sizeBytes", lambda c: c.uploads.presign("a.srt", "text/srt", 0)),
    ("filename", lambda c: c.uploads.presign("../a.jpg", "image/jpeg", 10)),
    ("videos: 21,", lambda c: c.uploads.bulk_video_urls([{**VIDEO, "sizeBytes": 1024**3 + 1}] * 20)),
    (r"fields: takes vx.PostFields\(.*, not dict", lambda c: c.posts.create({"content": "x"})),
    (r"fields: takes vx.PostFields\(.*, not dict", lambda c: c.posts.update("post_1", {"content": "x"})),
    (r"posts\[1\]: takes vx.PostFields\(.*, not dict", lambda c: c.posts.bulk([GOOD, {"content": "x"}])),
    ("platforms: takes a list of non-empty texts", lambda c: c.posts.validate(content="x", platforms=[5])),
    (r"media\[0\]: takes a mapping", lambda c: c.posts.validate(content="x", platforms=["x"], media=["m"])),
    (r"videos\[0\]: takes a mapping", lambda c: c.posts.bulk_video(["abc"])),
    (r"videos\[1\].scheduledFor: .* has no offset", lambda c: c.posts.bulk_video([{}, {"scheduledFor": "2026-04-01T09:00"}])),
    (r"videos\[0\].content: 10,001 characters", lambda c: c.posts.bulk_video([{"content": "x" * 10_001}])),
    ("sizeBytes: a.jpg: '5' is not a whole number", lambda c: c.uploads.presign("a.jpg", "image/jpeg", "5")),
    ("sizeBytes", lambda c: c.uploads.presign("a.jpg", "image/jpeg", True)),
    ("filename", lambda c: c.uploads.presign(5, "image/jpeg", 5)),
    ("contentType", lambda c: c.uploads.presign("a.jpg", ["image/jpeg"], 5)),
    (r"files\[0\]: takes a mapping", lambda c: c.uploads.bulk_presign(["a.jpg"])),
    ("sizeBytes: .*'abc'", lambda c: c.uploads.bulk_presign([{**IMAGE, "sizeBytes": "abc"}])),
    ("contentType: 'image/jpeg' is not a valid content type; one of video/mp4", lambda c: c.uploads.bulk_video_urls([IMAGE])),
    ("sizeBytes: v.mp4: -1 bytes", lambda c: c.uploads.bulk_video_urls([{**VIDEO, "sizeBytes": -1}])),
    (r"videos\[0\]: takes a mapping", lambda c: c.uploads.bulk_video_urls(["v.mp4"])),
    ("mediaIds: None is not a valid id", lambda c: c.media.bulk_validate([None])),
    ("mediaIds: takes a list", lambda c: c.posts.validate(content="x", platforms=["x"], media_ids="media_1")),
    ("file: takes a path, not int", lambda c: c.uploads.send(5)),
    ("files: takes a list of paths, not str", lambda c: c.uploads.send_all("a.jpg")),
    ("file: takes a path, not NoneType", lambda c: c.uploads.send_all([None])),
    (r"operations\[0\]: takes a mapping", lambda c: c.batch(["x"])),
    ("platform: 5 is not a valid id", lambda c: c.accounts.connect(5)),
    ("events: takes a list", lambda c: c.webhooks.create("https://x.example", 5)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "call"), LIMITS, ids=[f"{number}" for number in range(len(LIMITS))])
def test_limits_are_checked_before_anything_is_sent(idle, what, call):
    async def main() -> None:
        await call(idle)

    with pytest.raises(ValidationError, match=what) as caught:
        eventloop.run(main())
    assert caught.value.status == 0 and idle.requests == 0


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
