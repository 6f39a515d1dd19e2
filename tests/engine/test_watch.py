"""Reading with as few requests as possible: what a look costs, that nothing is overlooked, and the pace of looking again."""

from __future__ import annotations

import math
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxburst_sandbox import Sandbox
from voxops._support import eventloop
from voxops.api.timing import LONGEST_LOOK
from voxops.client import AsyncClient
from voxops.engine.reader import ENDS, Reader, interval, worth_reading
from voxops.engine.things import things_of
from voxops.engine.watching import Watch

FLIGHT = {"publishing", "pending"}


class Silent:
    def notice(self, snapshot: Any) -> None:
        """Nothing is shown."""


@pytest.fixture
def reader(client: AsyncClient) -> Reader:
    eventloop.run(client.identity())
    return Reader(client)


def publish(sandbox: Sandbox, client: AsyncClient, count: int) -> list[str]:
    """Create posts that publish at once; they end within a minute of virtual time."""
    sandbox.set_switches(publish_on_create=True)
    account = next(
        each["id"]
        for each in eventloop.run(records(client, "/v1/accounts"))
        if each["status"] == "active" and each["platform"] == "twitter"
    )
    posts = []
    for start in range(0, count, 50):
        items = [{"content": f"number {at}", "accountIds": [account]} for at in range(start, min(count, start + 50))]
        reply = eventloop.run(client.request("POST", "/v1/posts/bulk", json={"posts": items}))
        posts += [result["postId"] for result in reply.data["results"]]
    return posts


async def records(client: AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    return [record async for page in client.pages(path, {"limit": 100, **query}) for record in page.records]


def reads(sandbox: Sandbox, since: int) -> Counter[str]:
    """Reads since a request, by the list that was asked, ``single`` for single posts."""
    return Counter(
        each["query"].get("status", "single")
        for each in sandbox.requests(since)
        if each["path"].startswith("/v1/posts")
    )


def seen(sandbox: Sandbox) -> int:
    """Number of the last request so far."""
    return int(sandbox.requests()[-1]["seq"])


# The pace of looking again.


@given(st.integers(0, 200), st.integers(0, 1000), st.integers())
def test_looks_come_between_two_and_thirty_seconds_give_or_take_a_fifth(look: int, pages: int, seed: int) -> None:
    assert 1.6 <= interval(look, random.Random(seed), pages) <= LONGEST_LOOK * 1.2


@given(st.integers(0, 30), st.integers(0, 40), st.integers())
def test_looks_get_rarer_with_time_and_with_cost(look: int, pages: int, seed: int) -> None:
    rng = lambda: random.Random(seed)  # noqa: E731  the same jitter
    assert interval(look + 1, rng(), pages) >= interval(look, rng(), pages)
    assert interval(look, rng(), pages + 1) >= interval(look, rng(), pages)


@given(st.integers(1, 5000), st.integers(1, 500))
def test_in_the_end_a_list_is_read_only_if_it_is_no_dearer_than_single_reads(asked: int, pages: int) -> None:
    assert not (worth_reading(asked, pages, math.inf, last=True) and pages > asked)


@given(st.integers(0, 5000), st.integers(1, 500), st.floats(0, 1000))
def test_meanwhile_a_list_is_read_for_many_or_after_a_rest(asked: int, pages: int, rested: float) -> None:
    read = worth_reading(asked, pages, rested, last=False)
    if asked >= 20 * pages or rested >= 120:
        assert read
    if asked < 20 * pages and rested < 30:
        assert not read


# Looks.


def test_posts_in_flight_cost_a_page_per_hundred(sandbox: Sandbox, client: AsyncClient, reader: Reader) -> None:
    posts = publish(sandbox, client, 250)
    before = seen(sandbox)
    sight = eventloop.run(reader.follow(posts))
    assert set(sight.found) == set(posts)
    assert {state.status for state in sight.found.values()} == {"publishing"}
    assert reads(sandbox, before) == {
        "publishing": 3 + (len(eventloop.run(records(client, "/v1/posts", status="publishing"))) > 300)
    }
    assert reader.pages == 3


def test_nothing_is_overlooked(sandbox: Sandbox, client: AsyncClient, reader: Reader) -> None:
    posts = publish(sandbox, client, 150)
    found: dict[str, Any] = {}
    for _ in range(40):
        sight = eventloop.run(
            reader.follow([post for post in posts if post not in found or found[post].status in FLIGHT])
        )
        assert not sight.missing
        found |= sight.found
        sandbox.advance(4.0)
    real = {each["id"]: each["status"] for each in eventloop.run(records(client, "/v1/posts", status="all"))}
    assert {post: state.status for post, state in found.items()} == {post: real[post] for post in posts}


def test_when_nothing_is_in_flight_everything_is_known(sandbox: Sandbox, client: AsyncClient, reader: Reader) -> None:
    posts = publish(sandbox, client, 120)
    eventloop.run(reader.follow(posts))
    sandbox.advance(120.0)
    before = seen(sandbox)
    sight = eventloop.run(reader.follow(posts))
    assert set(sight.found) == set(posts)
    assert sum(reads(sandbox, before).values()) <= 1 + 1 + 2 + 2 + 2  # flight, pending, partial, failed, published


def test_old_pages_are_not_turned_for_new_posts(sandbox: Sandbox, client: AsyncClient, reader: Reader) -> None:
    posts = publish(sandbox, client, 30)
    eventloop.run(reader.follow(posts))  # learns how old they are
    sandbox.advance(120.0)
    before = seen(sandbox)
    assert set(eventloop.run(reader.follow(posts)).found) == set(posts)
    assert reads(sandbox, before)["published"] == 1  # of more than three hundred published posts
    assert reads(sandbox, before)["failed"] <= 1


def test_few_posts_are_read_singly(sandbox: Sandbox, client: AsyncClient, reader: Reader) -> None:
    posts = publish(sandbox, client, 3)
    before = seen(sandbox)
    assert set(eventloop.run(reader.follow(posts)).found) == set(posts)
    assert reads(sandbox, before) == {"single": 3}


def test_what_does_not_exist_is_missing_and_nothing_else_is(
    sandbox: Sandbox, client: AsyncClient, reader: Reader
) -> None:
    posts = publish(sandbox, client, 8)
    sandbox.advance(120.0)
    sight = eventloop.run(reader.follow([*posts, "post_that_never_was", "post_nor_this"]))
    assert sight.missing == {"post_that_never_was", "post_nor_this"}
    assert set(sight.found) == set(posts)


def test_drafts_are_found_in_their_own_list_from_the_second_look_on(
    sandbox: Sandbox, client: AsyncClient, reader: Reader
) -> None:
    drafts = [each["id"] for each in eventloop.run(records(client, "/v1/posts", status="draft"))]
    assert len(drafts) > 3
    first = eventloop.run(reader.follow(drafts))
    assert {state.status for state in first.found.values()} == {"draft"}
    before = seen(sandbox)
    again = eventloop.run(reader.follow(drafts))
    assert set(again.found) == set(drafts)
    assert not again.missing
    assert reads(sandbox, before)["single"] == 0


def test_a_post_that_goes_back_into_flight_is_seen_there(sandbox: Sandbox, client: AsyncClient, reader: Reader) -> None:
    failed = [each["id"] for each in eventloop.run(records(client, "/v1/posts", status="failed"))][:20]
    eventloop.run(reader.follow(failed))
    for post in failed:
        eventloop.run(client.request("POST", f"/v1/posts/{post}/retry"))
    assert {state.status for state in eventloop.run(reader.follow(failed)).found.values()} == {"publishing"}
    sandbox.advance(120.0)
    after = eventloop.run(reader.follow(failed))
    assert set(after.found) == set(failed)
    assert all(state.status in ENDS for state in after.found.values())


# A whole watch.


@pytest.mark.parametrize("count", [20, 400])
def test_watching_takes_a_fraction_of_polling_each(sandbox: Sandbox, client: AsyncClient, count: int) -> None:
    eventloop.run(client.identity())
    posts = publish(sandbox, client, count)
    before = seen(sandbox)

    watch = Watch(client, things_of(posts, "post"), Silent(), rng=random.Random(7))
    assert eventloop.run(watch.go()).phase == "done"
    results = watch.results()
    assert results["post_id"].to_list() == results["id"].to_list() == posts
    assert set(results["outcome"]) <= {"succeeded", "failed"}
    real = {each["id"]: each["status"] for each in eventloop.run(records(client, "/v1/posts", status="all"))}
    assert dict(zip(results["id"], results["status"], strict=True)) == {post: real[post] for post in posts}
    assert sum(reads(sandbox, before).values()) < (2 * count if count < 100 else 0.3 * count)


def test_a_display_that_breaks_does_not_end_a_watch(
    sandbox: Sandbox, client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    posts = publish(sandbox, client, 3)

    class Broken:
        def notice(self, snapshot: Any) -> None:
            raise RuntimeError("the page is gone")

    watch = Watch(client, things_of(posts, "post"), Broken())
    assert eventloop.run(watch.go()).phase == "done"
    assert watch.results()["settled_at"].notna().all()
    assert "the page is gone" in caplog.text


def test_a_watch_whose_time_is_up_says_how_to_go_on(sandbox: Sandbox, client: AsyncClient) -> None:
    sandbox.set_switches(publish_seconds=(9000.0, 9100.0))
    posts = publish(sandbox, client, 1)

    snapshot = eventloop.run(Watch(client, things_of(posts, "post"), Silent(), deadline=120).go())
    assert snapshot.phase == "stopped"
    assert snapshot.note == "still pending after 2 minutes; look at the dashboard; run.resume() watches on"


def planted(sandbox: Sandbox, client: AsyncClient, **away: float) -> str:
    """A post that is due so long from now; a draft where it is not due at all."""
    account = next(each["id"] for each in eventloop.run(records(client, "/v1/accounts")) if each["status"] == "active")
    when = {"status": "scheduled", "scheduledFor": (sandbox.now() + timedelta(**away)).isoformat()} if away else {}
    return sandbox.plant_post("planted", [account], **{"status": "draft", "daysOld": 1, **when})


def test_rule_20_a_campaign_that_is_due_soon_is_watched_until_it_is_out(sandbox: Sandbox, client: AsyncClient) -> None:
    posts = [planted(sandbox, client, minutes=minutes) for minutes in (5, 20)]
    watch = Watch(client, things_of(posts, "post"), Silent())
    assert eventloop.run(watch.go()).phase == "done"
    assert set(watch.results()["outcome"]) <= {"succeeded", "failed"}
    assert sandbox.now() > watch.results()["settled_at"].min()


def test_rule_20_what_waits_for_a_later_day_or_for_somebody_is_not_done_and_does_not_hold_the_wait(
    sandbox: Sandbox, client: AsyncClient
) -> None:
    tomorrow, soon = planted(sandbox, client, days=1), planted(sandbox, client, minutes=5)
    draft = planted(sandbox, client)
    watch = Watch(client, things_of([tomorrow, soon, draft], "post"), Silent())
    began = sandbox.now()
    ended = eventloop.run(watch.go())
    due = f"{began + timedelta(days=1):%Y-%m-%d %H:%M:%S} UTC"
    assert ended.phase == "stopped"
    assert ended.note == f"2 posts wait for their time or for somebody, the first until {due}; run.resume() watches on"
    assert watch.results()["outcome"].ne("pending").to_list() == [False, True, False]
    sandbox.advance(86_400)
    watch.resume()
    assert eventloop.run(watch.go()).note == "1 post waits for its time or for somebody; run.resume() watches on"
    assert watch.results()["outcome"].ne("pending").to_list() == [True, True, False]
