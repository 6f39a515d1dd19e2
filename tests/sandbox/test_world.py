"""The sandbox as any client sees it: lists, errors, keys, pace, clock, and the same campaign on every start."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from tests.sandbox.support import KEY, Api, draft, refusal, walk
from tests.virtual import until

from voxburst_sandbox import Fault, Sandbox
from voxburst_sandbox.world import iso

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_a_list_is_walked_once_newest_first_in_both_spellings(api):
    first = api.read("/posts", limit=7)["pagination"]
    assert first["has_more"] is first["hasMore"] is True
    assert first["next_cursor"] == first["nextCursor"]
    posts = walk(api, "/posts", limit=7)
    assert len({post["id"] for post in posts}) == len(posts) == 80
    times = [post["createdAt"] for post in posts]
    assert times == sorted(times, reverse=True)


def test_a_list_that_grows_in_front_neither_repeats_nor_skips(api):
    before = walk(api, "/posts")
    page = api.read("/posts", limit=10)
    draft(api)
    assert page["data"] + walk(api, "/posts", cursor=page["pagination"]["next_cursor"]) == before


@pytest.mark.parametrize(("query", "fits"), [
    ({"status": "FAILED"}, lambda post: post["status"] == "failed"),
    ({"status": "Partial"}, lambda post: post["status"] == "partial"),
    ({"platform": "BLUESKY"}, lambda post: any(target["platform"] == "bluesky" for target in post["platforms"])),
    ({"from": "2026-02-24T00:00:00Z", "to": "2026-02-26T00:00:00+00:00"},
        lambda post: "2026-02-24" <= post["createdAt"] < "2026-02-26"),
])  # fmt: skip
def test_posts_are_filtered_in_any_casing(api, query, fits):
    wanted = [post for post in walk(api, "/posts") if fits(post)]
    assert walk(api, "/posts", **query) == wanted != []


@pytest.mark.parametrize(("path", "status", "code"), [
    *((f"/posts?limit={limit}", 400, "VALIDATION_ERROR") for limit in ("0", "101", "9" * 5000, "x")),
    ("/posts?cursor=!!", 400, "BAD_REQUEST"), ("/posts?from=2026-03-01T00:00:00", 400, "INVALID_DATE"),
    ("/posts/post_unknown", 404, "NOT_FOUND"), ("/posts/%20%3B", 400, "BAD_REQUEST"), ("/posts/%0A", 404, "NOT_FOUND"),
    ("/nothing", 404, "NOT_FOUND"),
])  # fmt: skip
def test_what_is_wrong_or_not_there_is_refused(api, path, status, code):
    assert refusal(api.get(path)) == (status, code)


# The campaign.


@pytest.mark.parametrize("seed", [7, *(pytest.param(seed, marks=pytest.mark.release) for seed in (1, 42))])
def test_every_seed_has_the_failures_of_a_real_campaign(seed):
    world = Sandbox(seed=seed).world
    posts = world.posts.values()
    assert (len(posts), len(world.accounts)) == (500, 12)
    assert {"published", "partial", "failed", "scheduled", "draft"} <= {post.status for post in posts}
    assert all(post.created_at < world.now() >= post.updated_at for post in posts)
    failed, stuck = (
        [target for post in posts for target in post.targets if target.status == status]
        for status in ("failed", "publishing")
    )
    assert 60 <= len(failed) <= 90
    codes = {code: [t for t in failed if t.error["code"] == code] for code in (
        "TOKEN_EXPIRED", "RATE_LIMITED", "SERVICE_UNAVAILABLE", "CONTENT_TOO_LONG", "MEDIA_ASPECT_RATIO", "E_4711",
    )}  # fmt: skip
    assert all(codes.values())
    assert len({target.account_id for target in codes["TOKEN_EXPIRED"]}) == 1
    for target in codes["CONTENT_TOO_LONG"]:
        assert len(target.content) == target.error["details"]["actualLength"] > target.error["details"]["maxLength"]
    assert any("<script>" in target.error["message"] for target in failed)
    assert len(stuck) == 4
    assert all(world.now() - target.since >= 3_600_000 for target in stuck)


def test_the_history_has_a_bad_hour_and_deliveries_that_never_arrived():
    records = Sandbox().world.deliveries.values()
    assert len(records) > 4000
    assert 0.95 < sum(record.success for record in records) / len(records) < 1
    assert [record for record in records if not record.success and record.retry_count == 5]

    def troubled(start: str, end: str) -> float:
        inside = [record for record in records if "northpeak" in record.url and start <= iso(record.created_at) < end]
        return sum(record.retry_count > 0 for record in inside) / len(inside)

    assert troubled("2026-02-24T14", "2026-02-24T15") > 0.8
    assert troubled("2026-02-24T11", "2026-02-24T13") < 0.2
    assert max(Counter((record.webhook_id, record.event_id) for record in records).values()) == 2


def test_each_start_has_its_own_workspace_but_the_same_campaign():
    one, two, other = (Sandbox(seed=seed, posts=20, deliveries=20).world for seed in (7, 7, 8))
    assert one.workspace_id != two.workspace_id
    assert one.posts == two.posts
    assert other.posts.keys().isdisjoint(one.posts)


def test_a_reset_is_the_beginning_again(sandbox, api):
    before = walk(api, "/posts")
    sandbox.add_fault(Fault("status", path="/v1/nothing"))
    draft(api)
    sandbox.advance(5000)
    sandbox.reset()
    assert (sandbox.effects(), sandbox.requests(), sandbox.faults(), sandbox.now()) == ([], [], [], START)
    assert walk(api, "/posts") == before
    sandbox.reset(empty=True)
    assert walk(api, "/posts") == []


# Keys and pace.


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic vb_test_sandbox"}])
def test_a_wrong_key_is_401_and_is_not_written_down(sandbox, header):
    assert refusal(httpx.get(sandbox.url + "/v1/posts", headers=header, trust_env=False)) == (401, "UNAUTHORIZED")
    assert "nope" not in str(sandbox.requests())


def test_a_reading_key_may_not_write(sandbox, api):
    post = draft(api)
    with Api(sandbox, "vb_test_readonly") as reader:
        assert reader.get(f"/posts/{post['id']}").status_code == 200
        assert reader.post("/posts/validate", json={"content": "x", "platforms": ["TWITTER"]}).status_code == 200
        assert refusal(reader.post(f"/posts/{post['id']}/cancel")) == (403, "AUTHORIZATION_ERROR")
    assert sandbox.effects("post.cancel") == []


@pytest.mark.parametrize(("password", "status", "key"), [("sandbox", 200, "vb_test_second"), ("x", 401, None)])
def test_a_login_gives_a_key(sandbox, password, status, key):
    body = {"email": "a@b.example", "password": password}
    answer = httpx.post(f"{sandbox.url}/v1/auth/login", json=body, trust_env=False)
    assert (answer.status_code, answer.json().get("accessToken")) == (status, key)


def test_every_answer_has_a_request_id_and_the_virtual_date(sandbox, api):
    sandbox.advance(90)
    for answer in (api.get("/posts"), api.get("/posts/none"), api.post("/posts", content=b"{")):
        assert answer.headers["X-Request-Id"].startswith("req_")
        assert parsedate_to_datetime(answer.headers["Date"]) == START + timedelta(seconds=90)
        assert "server" not in answer.headers


def test_the_rate_limit_is_shown_and_kept():
    with Sandbox(posts=5, deliveries=0, rate_limit=3) as sandbox, Api(sandbox) as api:
        headers = [api.get("/health").headers for _ in range(3)]
        assert [h["X-RateLimit-Remaining"] for h in headers] == ["2", "1", "0"]
        reset = datetime.fromtimestamp(int(headers[0]["X-RateLimit-Reset"]), UTC)
        assert (reset - sandbox.now()).total_seconds() == 60
        sandbox.advance(45.5)
        webhook = {"url": "https://mine.example/x", "events": ["*"]}
        over = api.post("/webhooks", json=webhook, headers=KEY)
        assert (*refusal(over), over.headers["Retry-After"]) == (429, "RATE_LIMITED", "15")
        assert sandbox.effects() == []
        with Api(sandbox, "vb_test_second") as other:
            assert other.get("/health").status_code == 200
        sandbox.advance(14.5)
        assert api.post("/webhooks", json=webhook, headers=KEY).status_code == 201


# The clock and the other control calls.


def test_a_running_clock_moves_the_queue_by_itself():
    with Sandbox(posts=5, deliveries=0, speed=2000, rate_limit=None) as sandbox, Api(sandbox) as api:
        post = draft(api)
        api.post(f"/posts/{post['id']}/publish")
        until(lambda: sandbox.world.posts[post["id"]].status in ("published", "failed"))
        assert sandbox.now() > START


@pytest.mark.parametrize(("call", "body", "word"), [
    *(("speed", {"speed": speed}, "speed") for speed in (-5, "nan", "inf")),
    ("advance", {"seconds": -1}, "back"),
    *(("advance", {"seconds": seconds}, "calendar") for seconds in (1e12, "inf", "nan")),
    ("advance", [], "object"), ("advance", {}, "seconds"), ("advance", {"seconds": 1, "minutes": 1}, "minutes"),
    ("person", {"act": "sing", "post": "x"}, "sing"),
    ("person", {"act": "edit", "post": "post_none"}, "post_none"),
    ("posts", {"content": "x", "accountIds": ["acc_none"]}, "accountIds"),
    ("posts", {"content": "x", "accounts": []}, "accounts"),
])  # fmt: skip
def test_a_control_call_that_makes_no_sense_is_refused_and_changes_nothing(sandbox, call, body, word):
    before = sandbox.state()
    with pytest.raises(ValueError, match=word):
        sandbox.send("POST", call, body)
    assert sandbox.state() == before


@pytest.mark.parametrize(
    "wrong", [{"posts": -1}, {"deliveries": -1}, {"speed": -0.5}, {"speed": float("nan")}, {"rate_limit": 0}]
)
def test_sizes_and_speeds_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}="):
        Sandbox(**wrong)
