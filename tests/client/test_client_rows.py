"""Methods for the reads and for the rows of the matrix: what they send, and the answer, its items and its job."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.conformance.bench import ROWS

from voxops._support import eventloop
from voxops.api import assumptions
from voxops.client import Answer, Listing
from voxops.client.answer import items_of, job_of
from voxops.errors import ConfigError, ConflictError, DecodeError, ValidationError
from voxops.model import Outcome

LATER = datetime(2026, 4, 1, 9, tzinfo=timezone(timedelta(hours=2)))
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


# Reads.


def read(listing: Listing) -> list[Any]:
    """All records of a list."""

    async def main() -> list[Any]:
        return [record async for record in listing]

    return eventloop.run(main())


def test_posts_are_listed_by_status_time_platform_and_account(client, account):
    assert len(read(client.posts.list())) == 500
    assert {record["status"] for record in read(client.posts.list(status="failed", page_size=7))} == {"failed"}
    days = {record["createdAt"][:10] for record in read(client.posts.list(since=MARCH, until="2026-03-01T23:59:59Z"))}
    assert days == {"2026-03-01"}
    chosen = account("twitter")
    posts = read(client.posts.list(platform="twitter", account=chosen))
    assert posts and all(chosen in [target["accountId"] for target in record["platforms"]] for record in posts)


def test_accounts_and_media_are_listed_and_read(client, account):
    chosen = account("facebook")
    eventloop.run(client.accounts.delete(chosen))
    counts = [len(read(client.accounts.list(platform="facebook", **more))) for more in ({}, {"include_archived": True})]
    assert counts[1] == counts[0] + 1
    assert len(read(client.accounts.list(status="all"))) == 12
    assert read(client.accounts.pages(chosen))
    media = read(client.media.list())
    assert len(media) == 40 and eventloop.run(client.media.get(media[0]["id"])) == media[0]


def test_deliveries_are_listed_by_outcome_time_and_event(client, sandbox):
    def found(**query: Any) -> list[Any]:
        hooks = [record["id"] for record in read(client.webhooks.list())]
        return [record for hook in hooks for record in read(client.webhooks.deliveries(hook, **query))]

    good, bad = len(found(success=True)), len(found(success=False))
    assert 0 < bad < good and good + bad == len(found()) == len(sandbox.world.deliveries)
    lately = found(since=MARCH, event_type="post.published")
    assert {record["eventType"].lower() for record in lately} == {"post.published"}
    assert min(record["createdAt"] for record in lately) >= "2026-03-01"


# Writes.


def test_a_create_without_a_time_is_a_draft_even_where_the_api_would_publish(client, sandbox, fields):
    sandbox.set_switches(publish_on_create=True)
    answer = eventloop.run(client.posts.create(**fields))
    assert (answer.status, answer.json["status"], answer.row.row) == (201, "draft", 1)
    assert (answer.items, answer.job) == ((), None)
    sandbox.advance(600)
    assert sandbox.effects("target.publish") == []


def test_fields_are_sent_under_the_api_s_names_and_judged_there(client, sandbox, fields):
    answer = eventloop.run(client.posts.create(**fields, scheduled_for=LATER, first_comment=None))
    assert answer.json["scheduledFor"] == "2026-04-01T07:00:00.000Z"
    with pytest.raises(ValidationError) as caught:
        eventloop.run(client.posts.create(content="x" * 10_001, account_ids=fields["account_ids"]))
    assert caught.value.status in (400, 422) and client.requests == 2


def test_a_stale_version_is_a_conflict(client, sandbox, fields):
    async def main() -> None:
        post = (await client.posts.create(**fields)).json
        sandbox.advance(5)
        await client.posts.update(post["id"], content="mine", version=post["updatedAt"])
        with pytest.raises(ConflictError):
            await client.posts.update(post["id"], content="theirs", version=post["updatedAt"])

    eventloop.run(main())


@pytest.mark.parametrize(("row", "body", "items"), [
    (5, {"retriedPlatforms": [{"platform": "x", "accountId": "a"}], "skippedPlatforms": [{"accountId": "b", "reason": "cap"}]},
        [(0, "retried", "a", None), (1, "skipped", "b", "cap")]),
    (10, {"success": True, "platformId": "pp_1", "status": "PENDING"}, [(0, "pending", "pp_1", None)]),
    (11, {"results": [{"index": 1, "status": "failed", "errors": [{"code": "X", "message": "no"}]}, {"index": 0, "status": "created", "postId": "p"}]},
        [(1, "failed", None, "X: no"), (0, "created", "p", None)]),
    (28, {"data": {"results": [{"mediaId": "m", "uploadUrl": "https://s"}, {"error": "too large"}]}},
        [(0, "succeeded", "m", None), (1, "failed", None, "too large")]),
    (12, {"results": ["odd"]}, []),
])  # fmt: skip
def test_a_row_that_can_half_succeed_has_an_item_each(row, body, items):
    names = ("index", "status", "id", "error")
    found = items_of(ROWS[row], Answer("POST /v1/x", 207, {}, json.dumps(body).encode()))
    assert list(found) == [dict(zip(names, item, strict=True)) for item in items]
    with pytest.raises(DecodeError, match="outcome of its items is unknown"):
        items_of(ROWS[29], Answer("POST /v1/x", 207, {}, b"{}"))


def test_each_item_of_a_bulk_request_is_read(client, fields):
    bad = {"content": "", "accountIds": fields["account_ids"], "scheduledFor": LATER.isoformat()}
    answer = eventloop.run(client.posts.bulk(posts=[bad, bad | {"content": "x"}]))
    assert [item["status"] for item in answer.items] == ["failed", "created"]
    assert answer.items[0]["error"]


@pytest.mark.parametrize(("row", "path", "wanted"), [
    (4, "/v1/posts/p%2F1/publish", ("post", ("p/1",), None)), (10, "/v1/posts/p/platforms/t/fix", ("post", ("p",), None)),
    (39, "/v1/webhooks/w/deliveries/d/retry", ("delivery", ("d",), "w")), (1, "/v1/posts", None),
])  # fmt: skip
def test_an_asynchronous_row_has_a_job(row, path, wanted):
    """Each is followed to its end: `tests/conformance`."""
    job = job_of(ROWS[row], path)
    assert (job and (job.kind, job.ids, job.webhook_id)) == wanted


def test_a_job_is_followed_to_its_end_or_for_so_long(client, sandbox, fields):
    async def main() -> None:
        imported = await client.media.import_from_url(url="https://x.example/a.jpg", filename="a.jpg")
        assert imported.job.ids == (imported.json["id"],)
        assert (await client.wait(imported, timeout=0.001)).outcome is Outcome.PENDING
        ids = [media.id for media in sandbox.world.media.values() if media.status == "ready"][:2]
        ending = await client.wait(await client.media.bulk_validate(media_ids=ids))
        assert [record["id"] for record in ending.records] == ids and ending.outcome is Outcome.SUCCEEDED
        with pytest.raises(ConfigError, match="no job to wait for"):
            await client.wait(await client.posts.cancel((await client.posts.create(**fields)).json["id"]))

    eventloop.run(main())


@pytest.mark.parametrize("id_", ["", 5, "\ud800"])
def test_what_is_no_id_is_not_sent(client, id_):
    with pytest.raises(ValidationError, match="not a valid id; nothing was sent"):
        eventloop.run(client.posts.get(id_))
    assert client.requests == 0


@pytest.mark.parametrize(("kind", "record", "status"), [
    ("post", {"status": "PUBLISHING"}, "publishing"),
    ("media", {"status": "READY", "metadata": {"importStatus": "completed"}}, "ready"),
    ("media", {"status": "pending", "metadata": {"importStatus": "Importing"}}, "importing"),
    ("media", {"status": "pending", "metadata": None}, "pending"),
    ("account", {"status": "active", "backfill": {"status": "processing"}}, "processing"),
    ("account", {"status": "active", "backfill": None}, ""),
])  # fmt: skip
def test_the_polled_status_of_a_job(kind, record, status):
    assert assumptions.polled_status(kind, record) == status
