"""The list of new posts: walked through now and then, and in between only what has come on top of it (rule 13)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.chaos import world
from tests.engine.shown import NOW, run_now
from tests.virtual import workspace

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops.api.timing import (
    CREATES_FRESH_FOR,
    LIST_DISORDER,
    WAITING_HOLDS_FOR,
    WAITING_SHARE,
    WALK_HOLDS_FOR,
    WALK_SHARE,
)
from voxops.client import Page, Reply
from voxops.engine.created import _ON_THE_WAY, CreatedList, Listed
from voxops.errors import DecodeError
from voxops.model import WAITING_STATUSES

PAGE = 10
SINCE = NOW - timedelta(minutes=5)
DISORDER = LIST_DISORDER.total_seconds()


class Client:
    """A server's list, ten posts a page; each page takes its time."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.page_takes = 0.0
        self.pages_read: list[str] = []
        self.in_order = True
        self.made_meanwhile: list[tuple[str, float]] = []
        self.clock = SimpleNamespace(monotonic=lambda: self.seconds)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def make(self, name: str, at: float) -> None:
        """A post that was created so many seconds after the beginning."""
        created = (NOW + timedelta(seconds=at)).isoformat()
        self.posts.append({"id": name, "status": "scheduled", "content": name, "createdAt": created, "platforms": []})

    async def pages(self, path: str, params: Mapping[str, Any]) -> AsyncIterator[Any]:
        """The list as it was when its first page was asked for, newest first."""
        found = list(self.posts)
        if self.in_order:
            found.sort(key=lambda post: str(post.get("createdAt")), reverse=True)
        for start in range(0, max(len(found), 1), PAGE):
            self.pages_read.append(params["status"])
            raw = Reply("GET /v1/posts", 200, {}, b"[]")
            yield Page(found[start : start + PAGE], None, raw)
            self.seconds += self.page_takes
            while self.made_meanwhile:
                self.make(*self.made_meanwhile.pop())


@pytest.fixture
def client() -> Client:
    made = Client()
    for number in range(35):
        made.make(f"old{number}", -100 - number)
    return made


def read(listed: CreatedList, client: Client, *, since: datetime = SINCE, on_top: bool = True) -> tuple[Listed, int]:
    """What is read and learnt, and how many pages that takes."""
    client.pages_read.clear()
    found = run_now(listed.read(since, on_top=on_top))
    listed.learnt(found)
    return found, len(client.pages_read)


def test_a_list_is_read_until_nothing_as_young_can_follow(client):
    """Not only until one post is as old as the instant: others of the same instant may stand on the next page."""
    client.posts = []
    for number in range(2 * PAGE):
        client.make(f"same{number}", 0)
    client.make("older", -1)
    found, pages = read(CreatedList(client), client, since=NOW)
    assert (len(found.posts), pages) == (2 * PAGE + 1, 3)


@pytest.mark.parametrize(("ahead", "pages"), [(DISORDER, 2), (DISORDER + 0.001, 3)])
def test_the_order_of_a_list_is_trusted_only_while_it_holds(client, ahead, pages):
    client.posts, client.in_order = [], False
    for number in range(PAGE - 1):
        client.make(f"a{number}", 10)
    client.make("low", 0)
    client.make("ahead", ahead)
    client.make("past", -400)  # newest first, nothing newer can follow
    for number in range(PAGE - 2):
        client.make(f"b{number}", -500)
    client.make("young", 0)
    found, read_pages = read(CreatedList(client), client)
    assert (read_pages, "young" in found.posts) == (pages, pages == 3)


def test_what_was_out_of_order_once_is_read_to_its_end(client):
    client.posts, client.in_order = [], False
    for at in (0, -50, 0, *[-60] * 7, *[-400] * 10, 0):
        client.make(f"post{len(client.posts)}", at)
    found, pages = read(CreatedList(client), client)
    assert (pages, len(found.posts)) == (3, 21)


def test_a_reading_is_as_old_as_the_first_page_of_all_posts(client):
    """What waits since long is read before it, and says nothing of what is new."""
    client.page_takes = 0.1
    found = run_now(CreatedList(client).read(SINCE, waiting_since=NOW - timedelta(days=400)))
    waiting = len(_ON_THE_WAY)
    assert client.pages_read == [status for status in [*_ON_THE_WAY, "all"] for _ in range(4)]
    assert {*client.pages_read} == {*WAITING_STATUSES, "all"}
    assert found.read == pytest.approx(NOW.timestamp() + 0.1 * 4 * waiting, abs=0.01)


@pytest.mark.parametrize(
    ("took", "age", "known"),
    [
        (0.0, 0.0, True),
        (0.0, WAITING_HOLDS_FOR, True),
        (0.0, WAITING_HOLDS_FOR + 0.1, False),
        (100.0, WAITING_SHARE * 100.0, True),
        (100.0, WAITING_SHARE * 100.0 + 0.1, False),
        (0.0, -0.1, False),  # a clock that was set back
    ],
)
def test_what_waits_is_known_for_a_while_since_its_reading_began(client, took, age, known):
    listed = CreatedList(client)
    assert not listed.knows_what_waits
    client.page_takes = took / (4 * len(_ON_THE_WAY))
    found = run_now(listed.read(SINCE, waiting_since=NOW - timedelta(days=400)))
    assert not listed.knows_what_waits, "it is in no ledger yet"
    listed.learnt_waiting(found)
    listed.learnt_waiting(Listed())
    client.seconds = age
    assert listed.knows_what_waits is known


def test_what_waits_is_read_beside_what_is_new_on_top(client):
    listed = CreatedList(client)
    read(listed, client)
    client.make("new", 1)
    client.pages_read.clear()
    found = run_now(listed.read(SINCE, waiting_since=NOW - timedelta(days=400), on_top=True))
    assert client.pages_read == [*(status for status in _ON_THE_WAY for _ in range(4)), "all"]
    assert {"new", "old34"} <= found.posts.keys()
    assert (found.waiting is not None, found.read, found.walk is not None) == (True, client.now().timestamp(), True)


def test_what_waits_is_read_further_back_than_all_posts(client):
    client.posts = []
    for number in range(3 * PAGE):
        client.make(f"old{number}", -3600 * (1 + number))
    waiting_since = NOW - timedelta(hours=PAGE + 1)
    found = run_now(CreatedList(client).read(SINCE, waiting_since=waiting_since))
    assert client.pages_read == [status for status in _ON_THE_WAY for _ in range(2)] + ["all"]
    assert len(found.posts) == 2 * PAGE


def test_what_is_made_during_a_long_walk_is_in_the_look_at_the_top(client):
    client.page_takes, client.made_meanwhile = CREATES_FRESH_FOR, [("meanwhile", 1)]
    found, pages = read(CreatedList(client), client)
    assert (pages, "meanwhile" in found.posts) == (5, True)
    assert found.latest == (NOW + timedelta(seconds=1)).isoformat()


def test_no_look_at_the_top_follows_where_posts_come_late(client):
    listed = CreatedList(client)
    client.make("top", 0)
    read(listed, client)
    client.make("late", -120)
    client.seconds, client.page_takes = WALK_HOLDS_FOR + 1, CREATES_FRESH_FOR
    assert read(listed, client)[1] == 4


def test_the_top_ends_where_a_page_shows_nothing_new(client):
    client.posts = []
    for number in range(PAGE + 5):
        client.make(f"post{number}", -number / 10)
    listed = CreatedList(client)
    assert read(listed, client, since=NOW - timedelta(seconds=0.85))[1] == 2, "posts of one instant show no order"
    assert read(listed, client, since=NOW - timedelta(seconds=0.85))[1] == 1, "all within the disorder, and all seen"


def test_after_a_walk_only_the_top_is_read_while_the_walk_holds(client):
    listed = CreatedList(client)
    assert len(read(listed, client)[0].posts) == 35
    for number in range(12):
        client.make(f"new{number}", number)
    client.seconds = WALK_HOLDS_FOR
    found, pages = read(listed, client)
    assert pages == 2
    assert {name for name in found.posts if name.startswith("new")} == {f"new{number}" for number in range(12)}
    assert found.read == client.now().timestamp()
    assert found.latest == (NOW + timedelta(seconds=11)).isoformat()
    client.make("newest", 30)
    found, pages = read(listed, client)
    assert (pages, "newest" in found.posts) == (1, True)
    client.seconds = WALK_HOLDS_FOR + 0.001
    assert read(listed, client)[1] == 5


def test_who_does_not_say_that_the_top_is_enough_gets_everything(client):
    listed = CreatedList(client)
    read(listed, client)
    assert read(listed, client, on_top=False)[1] == 4
    client.pages_read.clear()
    run_now(listed.read(SINCE))
    assert len(client.pages_read) == 4


def test_what_was_read_and_not_learnt_is_read_again(client):
    """A run that is cancelled between the two, or a disk that is full: the ledger knows nothing of what was read."""
    listed = CreatedList(client)
    run_now(listed.read(SINCE, on_top=True))
    assert read(listed, client)[1] == 4
    client.make("new", 1)
    assert "new" in run_now(listed.read(SINCE, on_top=True)).posts
    for number in range(PAGE):
        client.make(f"newer{number}", 10)
    found, pages = read(listed, client)
    assert (pages, "new" in found.posts) == (2, True)


def test_what_lies_before_the_walk_is_walked_to(client):
    listed = CreatedList(client)
    first, pages = read(listed, client, since=NOW - timedelta(seconds=105))
    assert (len(first.posts), pages) == (10, 1)
    assert read(listed, client, since=NOW - timedelta(seconds=106))[1] == 1
    assert read(listed, client)[1] == 4, "a walk that went less far back says nothing of what lies before"


def test_posts_come_a_few_seconds_out_of_order(client):
    listed = CreatedList(client)
    client.make("top", 0)
    read(listed, client)
    for number in range(PAGE):
        client.make(f"new{number}", 1)
    client.make("in time", -DISORDER)
    found, pages = read(listed, client)
    assert pages == 2
    assert "in time" in found.posts


def test_where_a_post_came_late_the_list_is_walked_through_each_time(client):
    """The clocks of two servers differ by minutes: their posts come into the list below its top."""
    listed = CreatedList(client)
    client.make("top", 0)
    read(listed, client)
    client.make("late", -120)
    assert read(listed, client)[1] == 1, "nobody knows yet"
    client.seconds = WALK_HOLDS_FOR + 1
    found, pages = read(listed, client)
    assert (pages, "late" in found.posts) == (4, True)
    assert read(listed, client)[1] == 4


def test_a_late_post_near_the_top_is_noticed_at_once(client):
    listed = CreatedList(client)
    client.make("top", 0)
    read(listed, client)
    client.make("later", -120)
    client.make("late", -DISORDER - 1)
    found, pages = read(listed, client)
    assert (pages, {"late", "later"} <= found.posts.keys()) == (1 + 4, True)
    assert read(listed, client)[1] == 4


def test_what_came_on_top_since_has_not_come_late(client):
    listed = CreatedList(client)
    read(listed, client)
    client.make("newer", 0)
    read(listed, client)
    client.make("newest", 1)
    client.seconds = WALK_HOLDS_FOR + 1
    read(listed, client)
    assert read(listed, client)[1] == 1
    for name, created, pages in (("before", SINCE - timedelta(seconds=1), 1), ("since", SINCE, 4)):
        client.posts.append({**client.posts[0], "id": name, "createdAt": created.isoformat()})
        client.seconds += WALK_HOLDS_FOR + 1
        read(listed, client)
        assert read(listed, client)[1] == pages, "what is older than the walk went back need not have been seen"


@pytest.mark.parametrize("on_top", [True, False])
def test_a_walk_that_takes_long_is_followed_by_a_look_at_the_top(client, on_top):
    listed = CreatedList(client)
    client.page_takes = CREATES_FRESH_FOR / 2 / 4 + 0.01
    found, pages = read(listed, client, on_top=on_top)
    assert pages == (5 if on_top else 4)
    assert found.read == NOW.timestamp() + (4 * client.page_takes if on_top else 0)
    assert len(found.posts) == 35
    client.page_takes, client.seconds = CREATES_FRESH_FOR / 2 / 4, client.seconds + 1000
    assert read(listed, client, on_top=on_top)[1] == 4


def test_a_long_walk_holds_for_some_times_its_length(client):
    listed = CreatedList(client)
    client.page_takes = 20.0
    read(listed, client)
    began, client.page_takes = 0.0, 0.0
    client.seconds = began + WALK_SHARE * 4 * 20.0
    assert read(listed, client)[1] == 1
    client.seconds += 0.001
    assert read(listed, client)[1] == 4


def test_posts_that_do_not_say_when_they_were_created_are_all_read_each_time(client):
    for post in client.posts:
        del post["createdAt"]
    listed = CreatedList(client)
    assert len(read(listed, client)[0].posts) == 35
    assert read(listed, client)[1] == 4


def test_a_list_that_was_emptied_meanwhile_is_read_from_where_it_was(client):
    listed = CreatedList(client)
    read(listed, client)
    posts, client.posts = client.posts, []
    assert read(listed, client)[0].posts == {}
    client.posts = posts
    assert read(listed, client)[1] == 1


def test_one_post_that_shows_a_mark_is_enough(client):
    client.posts = []
    client.make("marked", 0)
    client.posts[0]["metadata"] = {"voxopsOp": "a" * 32}
    assert read(CreatedList(client), client)[0].marked
    client.make("older", -10)
    assert read(CreatedList(client), client)[0].marked
    client.posts = client.posts[1:]
    assert not read(CreatedList(client), client)[0].marked


def test_an_empty_list_is_read_each_time():
    client = Client()
    listed = CreatedList(client)
    assert read(listed, client)[1] == 1
    client.make("first", 0)
    assert list(read(listed, client)[0].posts) == ["first"]


@pytest.mark.parametrize("rows", [900])
def test_a_large_campaign_goes_out_although_the_list_takes_longer_than_a_reading_holds(rows: int) -> None:
    """Every page takes four seconds of the server's time, and every bulk request six: by and by the list has ten pages."""
    with Sandbox(seed=11, empty=True, rate_limit=None) as sandbox:
        plan = vx.plan_create(world.campaign(world.accounts(sandbox), rows), key="row_id")
        sandbox.add_fault(Fault("advance", method="GET", path="/v1/posts", seconds=4, times=None))
        sandbox.add_fault(Fault("advance", method="POST", path="/v1/posts/bulk", seconds=6, times=None))
        with workspace(sandbox) as ws:
            run = ws.run(plan)
            run.wait()
            found = run.results()
        made = sandbox.effects("post.create")
    assert set(found["outcome"]) == {"succeeded"}, found["waiting_for"].unique()
    assert len(made) == rows


def test_rule_14_records_without_ids_are_no_list_of_posts(client):
    """One that has none among others is passed over; where none has any, an error stands in the place of the posts."""
    client.posts = [{"code": "UPSTREAM_TIMEOUT"}]
    with pytest.raises(DecodeError, match="GET /v1/posts answered with records that have no id") as caught:
        read(CreatedList(client), client)
    assert (caught.value.endpoint, caught.value.status, caught.value.body) == ("GET /v1/posts", 200, b"[]")
    client.make("post", 0)
    assert list(read(CreatedList(client), client)[0].posts) == ["post"]


@pytest.mark.parametrize(
    ("records", "says_more", "age", "proof"),
    [
        (99, False, 0, True),
        (100, False, 0, False),
        (101, False, 0, False),
        (100, True, 0, True),
        (100, False, 301, False),
        (100, False, (0, 301), True),
        (100, False, (301, 306), False),
        (100, False, (301, 307), True),
    ],
)
def test_rule_14_a_full_page_without_a_word_on_more_ends_no_list(records, says_more, age, proof):
    """Unless it goes back far enough, in an order that is seen: posts of one instant may be the oldest or the newest ones."""
    first, others = age if isinstance(age, tuple) else (age, age)
    made = [(NOW - timedelta(seconds=others if number else first)).isoformat() for number in range(records)]
    posts = [
        {"id": f"post_{number}", "status": "draft", "createdAt": when, "platforms": []}
        for number, when in enumerate(made)
    ]

    async def pages(*_: Any) -> AsyncIterator[Page]:
        yield Page(posts, None, Reply("GET /v1/posts", 200, {}, b"[]"), says_more=says_more)

    client: Any = SimpleNamespace(pages=pages, now=lambda: NOW, clock=SimpleNamespace(monotonic=lambda: 0.0))
    if proof:
        assert len(run_now(CreatedList(client).read(SINCE)).posts) == records
    else:
        with pytest.raises(DecodeError, match="GET /v1/posts ends at a full page without saying so"):
            run_now(CreatedList(client).read(SINCE))


def test_rule_13_the_lists_of_what_waits_follow_a_post_on_its_way():
    """What moves on between two of them is in the later one."""
    assert set(_ON_THE_WAY) == WAITING_STATUSES
    assert _ON_THE_WAY.index("draft") < _ON_THE_WAY.index("pending_approval") < _ON_THE_WAY.index("approved")
    assert _ON_THE_WAY[-1] == "scheduled"


def test_rule_14_an_empty_page_in_the_middle_ends_no_list(client):
    """Of a list that is filtered after it was cut into pages, as by rights."""
    client.posts, client.in_order = client.posts[:PAGE], False

    async def pages(*_: Any) -> AsyncIterator[Page]:
        raw = Reply("GET /v1/posts", 200, {}, b"[]")
        yield Page([], "1", raw)
        yield Page([], "2", raw)
        yield Page(client.posts, None, raw)

    client.pages = pages
    assert len(read(CreatedList(client), client, since=NOW - timedelta(days=1))[0].posts) == PAGE


@pytest.mark.parametrize("first", [-3600.0, 60.0], ids=["oldest-first", "by-another-time"])
def test_rule_14_a_page_of_posts_of_one_instant_shows_no_order(client, first):
    """Lists may be sorted the other way round, or by when posts are to go out: what is new stands behind old campaigns then."""
    client.posts, client.in_order = [], False
    for number in range(PAGE):
        client.make(f"campaign{number}", -3600 - first)
    for number in range(PAGE):
        client.make(f"new{number}", 0)
    found, pages = read(CreatedList(client), client)
    assert (len(found.posts), pages) == (2 * PAGE, 2)
