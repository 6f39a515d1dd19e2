"""The sandbox as any client sees it: lists, errors, pace, clock, and the same bytes on every start."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest
from tests.sandbox.support import KEY, account, client, draft, walk
from tests.virtual import until

from voxburst_sandbox import Fault, Sandbox, Switches
from voxburst_sandbox.world import iso


def test_a_list_is_walked_once_newest_first_in_both_spellings(api):
    first = api.get("/posts", params={"limit": 7}).json()
    assert first["pagination"]["has_more"] is first["pagination"]["hasMore"] is True
    assert first["pagination"]["next_cursor"] == first["pagination"]["nextCursor"]
    posts = walk(api, "/posts", limit=7)
    assert len(posts) == len({post["id"] for post in posts}) == 80
    assert [post["createdAt"] for post in posts] == sorted((post["createdAt"] for post in posts), reverse=True)


def test_a_list_that_grows_in_front_neither_repeats_nor_skips(api):
    before = [post["id"] for post in walk(api, "/posts")]
    page = api.get("/posts", params={"limit": 10}).json()
    draft(api)
    rest = walk(api, "/posts", cursor=page["pagination"]["next_cursor"], limit=10)
    assert [post["id"] for post in page["data"] + rest] == before


def test_posts_are_filtered_in_any_casing_by_status_platform_account_and_time(api):
    posts = walk(api, "/posts")
    chosen = account(api, "bluesky")
    since, until = "2026-02-24T00:00:00Z", "2026-02-26T00:00:00+00:00"
    for query, fits in (
        *(
            ({"status": status}, lambda p, status=status: p["status"] == status.lower())
            for status in ("failed", "FAILED", "Partial")
        ),
        ({"platform": "BLUESKY"}, lambda p: any(t["platform"] == "bluesky" for t in p["platforms"])),
        ({"accountId": chosen}, lambda p: any(t["accountId"] == chosen for t in p["platforms"])),
        ({"from": since, "to": until}, lambda p: "2026-02-24" <= p["createdAt"] < "2026-02-26"),
    ):
        wanted = {p["id"] for p in posts if fits(p)}
        assert wanted
        assert {p["id"] for p in walk(api, "/posts", **query)} == wanted


@pytest.mark.parametrize(("path", "params", "status", "code"), [
    *(("/posts", {"limit": limit}, 400, "VALIDATION_ERROR") for limit in ("0", "101", "9" * 5000, "x")),
    ("/posts", {"cursor": "!!"}, 400, "BAD_REQUEST"), ("/posts", {"from": "2026-03-01T00:00:00"}, 400, "INVALID_DATE"),
    ("/posts/post_unknown", {}, 404, "NOT_FOUND"), ("/posts/%20%3B", {}, 400, "BAD_REQUEST"), ("/posts/%0A", {}, 404, "NOT_FOUND"),
    ("/nothing", {}, 404, "NOT_FOUND"),
])  # fmt: skip
def test_what_is_wrong_or_not_there_is_refused(api, path, params, status, code):
    answer = api.get(path, params=params or None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("seed", [7, *(pytest.param(seed, marks=pytest.mark.release) for seed in (1, 42))])
def test_every_seed_has_the_failures_of_a_real_campaign(seed):
    world = Sandbox(seed=seed).world
    targets = [target for post in world.posts.values() for target in post.targets]
    failed = [target for target in targets if target.status == "failed"]
    codes = Counter(target.error["code"] for target in failed)
    assert (len(world.posts), len(world.accounts)) == (500, 12)
    assert 60 <= len(failed) <= 90
    assert {
        "TOKEN_EXPIRED",
        "RATE_LIMITED",
        "SERVICE_UNAVAILABLE",
        "CONTENT_TOO_LONG",
        "MEDIA_ASPECT_RATIO",
        "E_4711",
    } <= set(codes)
    assert len({target.account_id for target in failed if target.error["code"] == "TOKEN_EXPIRED"}) == 1
    assert any("<script>" in target.error["message"] for target in failed)
    long = [
        (len(target.content), target.error["details"])
        for target in failed
        if target.error["code"] == "CONTENT_TOO_LONG"
    ]
    assert all(length == details["actualLength"] > details["maxLength"] for length, details in long)
    stuck = [target for target in targets if target.status == "publishing"]
    assert len(stuck) == 4
    assert all(world.now() - target.since >= 3_600_000 for target in stuck)
    assert {"published", "partial", "failed", "scheduled", "draft"} <= {post.status for post in world.posts.values()}
    assert all(post.created_at < world.now() >= post.updated_at for post in world.posts.values())


def test_the_history_has_a_bad_hour_a_lost_day_and_deliveries_that_never_arrived():
    world = Sandbox().world
    records = list(world.deliveries.values())
    assert len(records) > 4000
    assert 0.95 < sum(record.success for record in records) / len(records) < 1
    assert [record for record in records if not record.success and record.retry_count == 5]
    crm = [record for record in records if "northpeak" in record.url]

    def troubled(start: str, end: str) -> float:
        inside = [record for record in crm if start <= iso(record.created_at) < end]
        assert len(inside) >= 5
        return sum(record.retry_count > 0 for record in inside) / len(inside)

    assert troubled("2026-02-24T14", "2026-02-24T15") > 0.8
    assert troubled("2026-02-24T11", "2026-02-24T13") < 0.2
    doubled = Counter((record.webhook_id, record.event_id) for record in records)
    assert max(doubled.values()) == 2


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic vb_test_sandbox"}])
def test_a_wrong_key_is_401_and_is_not_written_down(sandbox, header):
    answer = httpx.get(sandbox.url + "/v1/posts", headers=header, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert sandbox.requests()[-1]["api_key"] == ("" if "nope" in str(header) or not header else "vb_test_sandbox")
    assert "nope" not in str(sandbox.requests())


def test_a_reading_key_may_not_write(sandbox, api):
    post = draft(api)
    with client(sandbox, "vb_test_readonly") as reader:
        assert reader.get(f"/posts/{post['id']}").status_code == 200
        answer = reader.post(f"/posts/{post['id']}/cancel")
        check = reader.post("/posts/validate", json={"content": "x", "platforms": ["TWITTER"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AUTHORIZATION_ERROR")
    assert check.status_code == 200
    assert sandbox.effects("post.cancel") == []


def test_a_used_up_plan_creates_nothing(sandbox, api):
    chosen = account(api, "twitter")
    with client(sandbox, "vb_test_quota") as poor:
        answer = poor.post("/posts", json={"content": "x", "accountIds": [chosen]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "LIMIT_EXCEEDED")
    assert sandbox.effects("post.create") == []


def test_every_answer_has_a_request_id_and_the_virtual_date(sandbox, api):
    sandbox.advance(90)
    for answer in (api.get("/posts"), api.get("/posts/none"), api.post("/posts", content=b"{")):
        assert answer.headers["X-Request-Id"].startswith("req_")
        assert parsedate_to_datetime(answer.headers["Date"]) == datetime(2026, 3, 2, 9, 1, 30, tzinfo=UTC)
        assert "server" not in answer.headers


def test_the_rate_limit_is_shown_and_kept():
    with Sandbox(posts=5, deliveries=0, rate_limit=3) as sandbox, client(sandbox) as api:
        headers = [api.get("/health").headers for _ in range(3)]
        assert [h["X-RateLimit-Remaining"] for h in headers] == ["2", "1", "0"]
        reset = datetime.fromtimestamp(int(headers[0]["X-RateLimit-Reset"]), UTC)
        assert (reset - sandbox.now()).total_seconds() == 60
        sandbox.advance(45.5)
        over = api.get("/health")
        assert (over.status_code, over.json()["error"]["code"], over.headers["Retry-After"]) == (
            429,
            "RATE_LIMITED",
            "15",
        )
        with client(sandbox, "vb_test_second") as other:
            assert other.get("/health").status_code == 200
        sandbox.advance(14.5)
        assert api.get("/health").status_code == 200
        sandbox.set_switches(retry_after_date=True)
        while (over := api.get("/health")).status_code == 200:
            pass
        assert over.headers["Retry-After"] == "Mon, 02 Mar 2026 09:02:00 GMT"


def test_a_refused_request_does_not_act():
    with Sandbox(posts=5, deliveries=0, rate_limit=1) as strict, client(strict) as api:
        chosen = account(api, "facebook")
        answer = api.post("/posts", json={"content": "x", "accountIds": [chosen]}, headers=KEY)
        assert answer.status_code == 429
        assert strict.effects() == []
        strict.advance(60)
        assert api.post("/posts", json={"content": "x", "accountIds": [chosen]}, headers=KEY).status_code == 201


def test_time_stands_still_until_it_is_moved_and_never_runs_back(sandbox):
    assert sandbox.now() == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert sandbox.advance(0.25) == datetime(2026, 3, 2, 9, 0, 0, 250_000, tzinfo=UTC)
    with pytest.raises(ValueError, match="back"):
        sandbox.advance(-1)


@pytest.mark.parametrize(("call", "body", "said"), [
    ("speed", {"speed": -5}, "speed must be a number from 0, in virtual seconds per second, not -5.0"),
    ("speed", {"speed": "nan"}, "speed must be a number from 0, in virtual seconds per second, not nan"),
    ("speed", {"speed": "inf"}, "speed must be a number from 0, in virtual seconds per second, not inf"),
    ("speed", [], "the body must be an object, not list"),
    ("advance", {"seconds": -1}, "the clock can't go back by 1.0 s"),
    ("advance", {"seconds": 1e12}, "the clock can't go on by 1000000000000.0 s: it would leave the calendar"),
    ("advance", {"seconds": "inf"}, "the clock can't go on by inf s: it would leave the calendar"),
    ("advance", {"seconds": "nan"}, "the clock can't go on by nan s: it would leave the calendar"),
    ("advance", [], "the body must be an object, not list"), ("advance", {}, "missing a required argument: 'seconds'"),
    ("advance", {"seconds": 1, "minutes": 1}, "got an unexpected keyword argument 'minutes'"),
    ("reset", [], "the body must be an object, not list"),
])  # fmt: skip
def test_a_step_that_makes_no_sense_is_refused_and_changes_nothing(sandbox, call, body, said):
    before = httpx.get(f"{sandbox.url}/_sandbox/state").json()["now"]
    answer = httpx.post(f"{sandbox.url}/_sandbox/{call}", json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": said})
    assert httpx.get(f"{sandbox.url}/_sandbox/state").json()["now"] == before


def test_a_running_clock_moves_the_queue_by_itself():
    with Sandbox(posts=5, deliveries=0, speed=2000, rate_limit=None) as sandbox, client(sandbox) as api:
        post = draft(api)
        api.post(f"/posts/{post['id']}/publish")
        until(lambda: sandbox.world.posts[post["id"]].status != "publishing")
        assert sandbox.world.posts[post["id"]].status in ("published", "failed")
        assert sandbox.now() > datetime(2026, 3, 2, 9, tzinfo=UTC)


def script(sandbox: Sandbox) -> list[tuple[int, bytes, dict]]:
    """A little of everything, as raw answers."""
    answers = []
    with client(sandbox) as api:
        failed = api.get("/posts", params={"status": "partial"}).json()["data"][0]["id"]
        chosen = account(api, "twitter")
        webhook = api.get("/webhooks").json()["data"][1]["id"]
        calls = [
            ("GET", "/posts?limit=100", None), ("POST", f"/posts/{failed}/retry", None), ("GET", f"/posts/{failed}", None),
            ("POST", "/posts", {"content": "same", "accountIds": [chosen], "scheduledFor": "2026-03-02T09:01:00Z"}),
            ("GET", f"/webhooks/{webhook}/deliveries", None), ("GET", "/posts?limit=100", None), ("GET", "/none", None),
        ]  # fmt: skip
        for method, path, body in calls:
            answer = api.request(method, path, json=body)
            answers.append((answer.status_code, answer.content, dict(answer.headers)))
            sandbox.advance(61)
    return answers


@pytest.mark.release
def test_two_starts_answer_with_the_same_bytes():
    runs = []
    for _ in range(2):
        with Sandbox(seed=11, posts=60, deliveries=100, workspace="ws_same") as sandbox:
            answers = script(sandbox)
            requests = [request | {"host": ""} for request in sandbox.requests()]  # the port is not drawn from the seed
            runs.append((answers, sandbox.effects(), requests, sandbox.received()))
    assert runs[0] == runs[1]


def test_each_start_has_its_own_workspace_but_the_same_campaign():
    one, two = Sandbox(posts=20, deliveries=20), Sandbox(posts=20, deliveries=20)
    assert one.world.workspace_id != two.world.workspace_id
    assert one.world.posts == two.world.posts
    assert Sandbox(seed=8, posts=20, deliveries=20).world.posts.keys().isdisjoint(one.world.posts)


def test_a_reset_is_the_beginning_again(sandbox, api):
    before = api.get("/posts", params={"limit": 100}).content
    sandbox.add_fault(Fault("status"))
    sandbox.clear_faults()
    draft(api)
    sandbox.advance(5000)
    sandbox.reset()
    assert (sandbox.effects(), sandbox.requests(), sandbox.now()) == ([], [], datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert api.get("/posts", params={"limit": 100}).content == before
    sandbox.reset(empty=True)
    assert walk(api, "/posts") == []


def test_switches_change_the_shapes(sandbox, api):
    failed = walk(api, "/posts", status="failed")[0]["id"]
    sandbox.set_switches(
        string_errors=True, uppercase_status=True, listed_retry_counts=True, listed_target_ids=True, no_metadata=True
    )
    listed = next(post for post in walk(api, "/posts", status="failed") if post["id"] == failed)
    assert listed["status"] == "FAILED"
    assert isinstance(listed["platforms"][0]["error"], str)
    assert {"postPlatformId", "retryCount"} <= set(listed["platforms"][0])
    assert "metadata" not in listed
    sandbox.set_switches(no_retry_counts=True, no_target_ids=True)
    single = api.get(f"/posts/{failed}").json()
    assert {"postPlatformId", "retryCount"}.isdisjoint(single["platforms"][0])


@pytest.mark.parametrize(("changes", "path", "check"), [
    ({"pagination": "snake"}, "/posts", lambda d: set(d["pagination"]) == {"has_more", "next_cursor", "limit"}),
    ({"pagination": "camel"}, "/posts", lambda d: set(d["pagination"]) == {"hasMore", "nextCursor", "limit"}),
    ({"pagination": "none"}, "/posts", lambda d: set(d) == {"data"}),
    ({"accounts_envelope": "accounts"}, "/accounts", lambda d: set(d) == {"accounts"}),
    ({"webhooks_envelope": "webhooks"}, "/webhooks", lambda d: set(d) == {"webhooks"}),
    ({"webhook_flag": "active"}, "/webhooks", lambda d: d["data"][0]["active"] is True and "enabled" not in d["data"][0]),
    ({"error_shape": "string"}, "/none", lambda d: isinstance(d["error"], str)),
    ({"error_shape": "pair"}, "/none", lambda d: (d["error"], type(d["message"])) == ("NOT_FOUND", str)),
    ({"error_shape": "toplevel"}, "/none", lambda d: d["code"] == "NOT_FOUND"),
    ({"no_identity": True}, "/auth/me", lambda d: d["error"]["code"] == "NOT_FOUND"),
])  # fmt: skip
def test_each_shape_can_be_chosen(sandbox, api, changes, path, check):
    sandbox.set_switches(**changes)
    assert check(api.get(path).json())


def test_an_unknown_switch_is_named(sandbox):
    with pytest.raises(ValueError, match="no_such"):
        sandbox.set_switches(no_such=True)
    assert sandbox.switches == Switches()


@pytest.mark.parametrize(
    "wrong", [{"posts": -1}, {"deliveries": -1}, {"speed": -0.5}, {"speed": float("nan")}, {"rate_limit": 0}]
)
def test_sizes_and_speeds_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}="):
        Sandbox(**wrong)


def test_a_sandbox_that_was_not_started_says_so():
    sandbox = Sandbox(empty=True)
    with pytest.raises(RuntimeError, match=r"not started.*with Sandbox"):
        _ = sandbox.url
    with pytest.raises(RuntimeError, match=r"not started.*with Sandbox"):
        sandbox.now()
    with sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
