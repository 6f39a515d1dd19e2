"""Dangerous readings: lists that lag or show little, queues that hold, keys that are forgotten, actors in the web page."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from tests.sandbox.support import again, client

from voxburst_sandbox import Fault, Sandbox

MARK = {"voxopsOp": "mark-1"}


SANDBOX = {"posts": 500, "deliveries": 0}


@pytest.fixture
def start(_server) -> Callable[..., Sandbox]:
    """Begin again under other readings; by default nothing is there and nothing fails."""
    calm = {"failure_rate": 0.0, "recovery_rate": 1.0, "silent_webhooks": True}
    return lambda *, empty=True, **changes: again(_server, empty=empty, **{**calm, **changes})


@pytest.fixture
def api(_server):
    with client(_server) as opened:
        yield opened


def account(sandbox: Sandbox) -> str:
    return next(item.id for item in sandbox.world.accounts.values() if item.platform == "facebook")


def item(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {"content": "Fresh", "accountIds": [account(sandbox)], "scheduledFor": "2026-03-04T09:00:00Z", **more}


def create(api: httpx.Client, sandbox: Sandbox, **more: Any) -> str:
    return str(api.post("/posts", json=item(sandbox, **more)).json()["id"])


def listed(api: httpx.Client, **query: Any) -> dict[str, dict[str, Any]]:
    return {post["id"]: post for post in api.get("/posts", params={"limit": 100, **query}).json()["data"]}


def failed(sandbox: Sandbox) -> tuple[str, str]:
    """A post with one failed target that a retry can mend, and the target."""
    for post in sandbox.world.posts.values():
        broken = [target for target in post.targets if target.status != "published"]
        passing = [t for t in broken if t.error and t.error["code"] in ("RATE_LIMITED", "SERVICE_UNAVAILABLE")]
        if len(broken) == len(passing) == 1 and broken[0].status == "failed" and broken[0].retry_count < 2:
            return post.id, broken[0].id
    raise AssertionError("the campaign has no lone passing failure")


def test_lists_lag_and_single_reads_are_current(start, api):
    sandbox = start(list_lag_seconds=20)
    key = create(api, sandbox)
    sandbox.advance(19)
    assert key not in listed(api)
    assert api.get(f"/posts/{key}").json()["status"] == "scheduled"
    sandbox.advance(1)
    assert listed(api)[key]["status"] == "scheduled"
    sandbox.person.withdraw(key)
    assert listed(api)[key]["status"] == "scheduled"
    assert key in listed(api, status="scheduled")
    assert key not in listed(api, status="cancelled")
    sandbox.advance(20)
    assert listed(api)[key]["status"] == "cancelled"
    sandbox.person.delete(key)
    assert key in listed(api)
    assert api.get(f"/posts/{key}").status_code == 404
    sandbox.advance(20)
    assert key not in listed(api)


def test_single_reads_may_lag_too(start, api):
    sandbox = start(list_lag_seconds=5, single_reads_lag=True)
    key = create(api, sandbox)
    assert api.get(f"/posts/{key}").status_code == 404
    sandbox.advance(5)
    assert api.get(f"/posts/{key}").json()["status"] == "scheduled"


def test_a_lag_that_is_switched_on_later_begins_then(start, api):
    sandbox = start()
    before = create(api, sandbox)
    sandbox.set_switches(list_lag_seconds=60)
    assert before in listed(api)
    after = create(api, sandbox, content="Later")
    assert after not in listed(api)
    sandbox.set_switches(list_lag_seconds=0)
    assert {before, after} <= set(listed(api))


def test_a_lagging_list_is_read_page_by_page(start, api):
    sandbox = start(list_lag_seconds=30)
    made = [create(api, sandbox, content=f"Post {number}") for number in range(5)]
    sandbox.advance(30)
    create(api, sandbox, content="Not yet")
    seen, cursor = [], None
    while True:
        page = api.get("/posts", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [post["id"] for post in page["data"]]
        cursor = page["pagination"]["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)


def test_lists_may_show_less_than_single_reads(start, api):
    sandbox = start(empty=False, no_listed_metadata=True, listed_error_characters=9, listed_whole_seconds=True)
    key, _ = failed(sandbox)
    sandbox.person.edit(key, tags=["x"])
    single, entry = api.get(f"/posts/{key}").json(), listed(api, status=api.get(f"/posts/{key}").json()["status"])[key]
    assert "metadata" in single
    assert "metadata" not in entry
    messages = [
        [target["error"]["message"] for target in shown["platforms"] if target["error"]] for shown in (single, entry)
    ]
    assert messages[1] == [message[:9] for message in messages[0]]
    assert all(len(message) > 9 for message in messages[0])
    assert entry["createdAt"] == single["createdAt"][:-5] + "Z"
    assert entry["updatedAt"] == single["updatedAt"][:-5] + "Z"


def test_metadata_may_be_shown_nowhere(start, api):
    sandbox = start(no_metadata=True)
    key = create(api, sandbox, metadata=MARK)
    assert "metadata" not in listed(api)[key]
    assert "metadata" not in api.get(f"/posts/{key}").json()
    assert sandbox.effects("post.create")[0]["mark"] == "mark-1"


def test_the_date_header_may_be_ahead(start, api):
    sandbox = start(date_ahead_seconds=86_400)
    shown = parsedate_to_datetime(api.get("/health").headers["Date"])
    assert (shown - sandbox.now()).total_seconds() == 86_400


def test_each_api_key_has_idempotency_keys_of_its_own(start, api):
    sandbox = start()
    headers = {"Idempotency-Key": "same-key-0001"}
    with client(sandbox, sandbox.second_api_key) as other:
        assert other.get("/auth/me").json() == api.get("/auth/me").json()
        for caller in (api, other, api, other):
            assert caller.post("/posts", json=item(sandbox, metadata=MARK), headers=headers).status_code == 201
        assert len(sandbox.effects("post.create")) == 2
        assert len(sandbox.duplicates()) == 1
        sandbox.set_switches(workspace_keys=True)
        for caller in (api, other):
            caller.post("/posts", json=item(sandbox), headers={"Idempotency-Key": "same-key-0002"})
        assert len(sandbox.effects("post.create")) == 3


def test_a_bulk_breaks_off_and_forgets_its_key(start, api):
    sandbox = start()
    sandbox.add_fault(
        Fault("bulk_partial", method="POST", path="/v1/posts/bulk", nth=2, items=12, status=503, forget_key=True)
    )
    headers = {"Idempotency-Key": "bulk-key-0002"}
    body = {"posts": [item(sandbox, metadata={"voxopsOp": f"m{number}"}) for number in range(20)]}
    assert api.post("/posts/bulk", json={"posts": [item(sandbox)]}).status_code == 201
    answer = api.post("/posts/bulk", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "INTERNAL_ERROR")
    assert len(sandbox.effects("post.create")) == 13
    assert api.post("/posts/bulk", json=body, headers=headers).status_code == 201
    assert len(sandbox.effects("post.create")) == 33
    assert len(sandbox.duplicates()) == 12


@pytest.mark.parametrize(("forget", "made"), [(False, 1), (True, 2)])
def test_an_injected_answer_keeps_the_key_or_forgets_it(start, api, forget, made):
    sandbox = start()
    sandbox.add_fault(Fault("status", method="POST", path="/v1/posts", when="after", status=500, forget_key=forget))
    headers = {"Idempotency-Key": "one-key-0001"}
    answers = [api.post("/posts", json=item(sandbox), headers=headers).status_code for _ in range(2)]
    assert answers == [500, 201]
    assert len(sandbox.effects("post.create")) == made


def shown(api: httpx.Client, post_id: str, target_id: str) -> tuple[Any, ...]:
    post = api.get(f"/posts/{post_id}").json()
    target = next(entry for entry in post["platforms"] if entry["postPlatformId"] == target_id)
    return post["status"], post["updatedAt"], target["status"], target["retryCount"]


@pytest.mark.parametrize("way", ["retry", "fix"])
def test_a_queue_that_holds_shows_nothing_of_a_retry_or_fix(start, api, way):
    sandbox = start(empty=False, queue_hold_seconds=600)
    post_id, target_id = failed(sandbox)
    before = shown(api, post_id, target_id)
    path = "retry" if way == "retry" else f"platforms/{target_id}/fix"
    assert api.post(f"/posts/{post_id}/{path}", json={}).status_code == 202
    sandbox.advance(599)
    assert shown(api, post_id, target_id) == before
    sandbox.advance(1)
    now = shown(api, post_id, target_id)
    assert now[1] > before[1]
    assert (now[2], now[3]) == ("pending", before[3] + 1)
    sandbox.advance(60)
    assert shown(api, post_id, target_id)[2] == "published"
    requeued = sandbox.effects("target.requeue")
    assert [(entry["target"], entry["cause"], entry["again"]) for entry in requeued] == [(target_id, way, False)]


def test_a_retry_after_the_first_has_ended_is_no_duplicate(start, api):
    sandbox = start(empty=False, recovery_rate=0.0)
    post_id, _ = failed(sandbox)
    for _ in range(2):
        assert api.post(f"/posts/{post_id}/retry").status_code == 202
        sandbox.advance(120)
    assert [entry["again"] for entry in sandbox.effects("target.requeue")] == [False, False]
    assert sandbox.duplicates() == []


def test_a_queue_that_holds_shows_nothing_of_a_publish(start, api):
    sandbox = start(queue_hold_seconds=300)
    key = create(api, sandbox, saveAsDraft=True, metadata=MARK)
    before = api.get(f"/posts/{key}").json()
    assert api.post(f"/posts/{key}/publish").json()["status"] == "draft"
    sandbox.advance(299)
    assert api.get(f"/posts/{key}").json() == before
    sandbox.advance(1)
    assert api.get(f"/posts/{key}").json()["status"] == "publishing"
    sandbox.advance(60)
    assert api.get(f"/posts/{key}").json()["status"] == "published"
    assert [entry["mark"] for entry in sandbox.effects("target.publish")] == ["mark-1"]


def test_a_post_withdrawn_while_the_queue_holds_it_does_not_go_out(start, api):
    sandbox = start(queue_hold_seconds=300)
    key = create(api, sandbox)
    assert api.post(f"/posts/{key}/publish").status_code == 202
    sandbox.person.withdraw(key)
    sandbox.advance(3 * 86_400)
    assert api.get(f"/posts/{key}").json()["status"] == "cancelled"
    assert sandbox.effects("target.publish") == []


def test_actors_edit_withdraw_unpublish_and_delete(start, api):
    sandbox = start()
    key = create(api, sandbox)
    before = api.get(f"/posts/{key}").json()
    sandbox.person.edit(key, tags=["new"], content="Mended", scheduled_for="2026-03-03T09:00:00Z")
    after = api.get(f"/posts/{key}").json()
    assert (after["tags"], after["content"], after["scheduledFor"]) == (["new"], "Mended", "2026-03-03T09:00:00.000Z")
    assert after["updatedAt"] > before["updatedAt"]
    sandbox.advance(86_400 + 60)
    assert api.get(f"/posts/{key}").json()["status"] == "published"
    sandbox.person.unpublish(key)
    assert api.get(f"/posts/{key}").json()["platforms"][0]["status"] == "unpublished"
    with pytest.raises(ValueError, match="the post is unpublished, not draft or"):
        sandbox.person.withdraw(key)
    sandbox.person.delete(key)
    assert api.get(f"/posts/{key}").status_code == 404
    kinds = [entry["kind"] for entry in sandbox.effects() if entry["kind"].startswith("person.")]
    assert kinds == ["person.edit", "person.unpublish", "person.delete"]


def test_actors_copy_posts_with_their_marks(start, api):
    sandbox = start()
    key = create(api, sandbox, metadata=MARK, tags=["spring"])
    draft, posted = sandbox.person.duplicate(key), sandbox.person.post_copy(key)
    at_once = sandbox.person.post_copy(sandbox.plant_post("Old", [account(sandbox)], metadata=MARK))
    records = listed(api)
    assert [records[name]["status"] for name in (key, draft, posted, at_once)] == [
        "scheduled", "draft", "scheduled", "publishing",
    ]  # fmt: skip
    assert all(records[name]["metadata"] == MARK for name in (draft, posted, at_once))
    assert records[posted]["scheduledFor"] == records[key]["scheduledFor"]
    assert records[draft]["tags"] == ["spring"]
    sandbox.advance(3 * 86_400)
    assert len(sandbox.effects("target.publish")) == 3
    assert len(sandbox.effects("post.create")) == 1  # copies of actors are no creates of a client
    assert sandbox.duplicates() == []


def test_posts_wait_for_approval_and_may_be_old(start, api):
    sandbox = start()
    old = sandbox.plant_post("Old one", [account(sandbox)], status="pending_approval", daysOld=40, metadata=MARK)
    key = create(api, sandbox, scheduledFor="2026-04-20T09:00:00Z")
    sandbox.person.submit(key)
    sandbox.person.backdate(key, days=45)
    records = listed(api, status="PENDING_APPROVAL")
    assert list(records) == [old, key]
    assert [record["createdAt"][:10] for record in records.values()] == ["2026-01-21", "2026-01-16"]
    assert api.post(f"/posts/{key}/publish").status_code == 409
    sandbox.person.approve(key)
    assert api.get(f"/posts/{key}").json()["status"] == "scheduled"
    sandbox.person.approve(old)
    assert api.get(f"/posts/{old}").json()["status"] == "approved"
    sandbox.person.submit(key)
    sandbox.person.reject(key)
    assert api.get(f"/posts/{key}").json()["status"] == "draft"


@pytest.mark.parametrize(("path", "body", "word"), [
    ("person", {"act": "sing", "post": "x"}, "no such act: 'sing'"),
    ("person", {"act": "edit", "post": "post_none"}, "no such post: post_none"),
    ("posts", {"content": "x", "accountIds": ["acc_none"]}, "accountIds must name accounts"),
    ("posts", {"content": "x", "accounts": []}, "unknown field `accounts`"),
])  # fmt: skip
def test_control_calls_refuse_what_makes_no_sense(start, path, body, word):
    sandbox = start()
    answer = httpx.post(f"{sandbox.url}/_sandbox/{path}", json=body, trust_env=False)
    assert answer.status_code == 400
    assert word in answer.json()["error"]


def test_every_new_reading_is_off_by_default(start, api):
    sandbox = start(empty=False)
    key, _ = failed(sandbox)
    status = api.get(f"/posts/{key}").json()["status"]
    single, entry = api.get(f"/posts/{key}").json(), listed(api, status=status)[key]
    for target in single["platforms"]:
        del target["postPlatformId"], target["retryCount"]
    assert single == entry
