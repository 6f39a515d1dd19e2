"""The sandbox under other readings of the contract: shapes, lists that lag, queues that hold, and a person in the dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.sandbox.support import account, again, client, create, draft, walk

from voxburst_sandbox import Sandbox, Switches

SANDBOX = {"posts": 500, "deliveries": 0}
MARK = {"voxopsOp": "mark-1"}
THEN = "2026-03-04T09:00:00Z"


@pytest.fixture
def start(_server) -> Callable[..., Sandbox]:
    """Begin again under other readings; by default nothing is there and nothing fails."""
    calm = {"failure_rate": 0.0, "recovery_rate": 1.0, "silent_webhooks": True}
    return lambda *, empty=True, **changes: again(_server, empty=empty, **{**calm, **changes})


@pytest.fixture
def api(_server):
    with client(_server) as opened:
        yield opened


def scheduled(api: httpx.Client, **more: Any) -> str:
    return str(create(api, scheduledFor=THEN, **more)["id"])


def single(api: httpx.Client, key: str) -> dict[str, Any]:
    return api.get(f"/posts/{key}").json()


def listed(api: httpx.Client, **query: Any) -> dict[str, dict[str, Any]]:
    return {post["id"]: post for post in walk(api, "/posts", limit=100, **query)}


def failed(sandbox: Sandbox) -> tuple[str, str]:
    """A post with one failed target that a retry can mend, and the target."""
    for post in sandbox.world.posts.values():
        broken = [target for target in post.targets if target.status != "published"]
        passing = [t for t in broken if t.error and t.error["code"] in ("RATE_LIMITED", "SERVICE_UNAVAILABLE")]
        if len(broken) == len(passing) == 1 and broken[0].status == "failed" and broken[0].retry_count < 2:
            return post.id, broken[0].id
    raise AssertionError("the campaign has no lone passing failure")


# Shapes.


@pytest.mark.parametrize(("changes", "path", "check"), [
    ({"pagination": "snake"}, "/posts", lambda d: set(d["pagination"]) == {"has_more", "next_cursor", "limit"}),
    ({"pagination": "camel"}, "/posts", lambda d: set(d["pagination"]) == {"hasMore", "nextCursor", "limit"}),
    ({"pagination": "none"}, "/posts", lambda d: set(d) == {"data"}),
    ({"accounts_envelope": "accounts"}, "/accounts", lambda d: set(d) == {"accounts"}),
    ({"webhooks_envelope": "webhooks"}, "/webhooks", lambda d: set(d) == {"webhooks"}),
    ({"webhook_flag": "active"}, "/webhooks",
        lambda d: d["data"][0]["active"] is True and "enabled" not in d["data"][0]),
    ({"error_shape": "string"}, "/none", lambda d: isinstance(d["error"], str)),
    ({"error_shape": "pair"}, "/none", lambda d: (d["error"], type(d["message"])) == ("NOT_FOUND", str)),
    ({"error_shape": "toplevel"}, "/none", lambda d: d["code"] == "NOT_FOUND"),
    ({"no_identity": True}, "/auth/me", lambda d: d["error"]["code"] == "NOT_FOUND"),
])  # fmt: skip
def test_each_shape_can_be_chosen(start, api, changes, path, check):
    start(**changes)
    assert check(api.get(path).json())


FINER = {"postPlatformId", "retryCount"}


def test_lists_may_show_as_much_as_single_reads_and_both_may_show_less(start, api):
    sandbox = start(
        empty=False, string_errors=True, uppercase_status=True, listed_retry_counts=True, listed_target_ids=True
    )
    key, _ = failed(sandbox)
    entry = listed(api)[key]
    assert entry["status"] in ("FAILED", "PARTIAL")
    assert all(set(target) >= FINER and isinstance(target["error"], str | None) for target in entry["platforms"])
    sandbox.set_switches(no_retry_counts=True, no_target_ids=True)
    assert FINER.isdisjoint(single(api, key)["platforms"][0])


def test_lists_may_show_less_than_single_reads(start, api):
    sandbox = start(empty=False, no_listed_metadata=True)
    key, _ = failed(sandbox)
    assert ("metadata" in single(api, key), "metadata" in listed(api)[key]) == (True, False)


def test_by_default_a_list_lacks_ids_and_counts_of_targets_alone(start, api):
    key, _ = failed(start(empty=False))
    whole = single(api, key)
    for target in whole["platforms"]:
        del target["postPlatformId"], target["retryCount"]
    assert listed(api)[key] == whole


def test_metadata_may_be_shown_nowhere(start, api):
    sandbox = start(no_metadata=True)
    key = scheduled(api, metadata=MARK)
    assert "metadata" not in listed(api)[key]
    assert "metadata" not in single(api, key)
    assert sandbox.effects("post.create")[0]["mark"] == "mark-1"


def test_an_unknown_switch_is_named(start):
    sandbox = start()
    before = sandbox.switches
    with pytest.raises(ValueError, match="no_such"):
        sandbox.set_switches(no_such=True)
    with pytest.raises(ValueError, match="list_lag; did you mean list_lag_seconds"):
        sandbox.set_switches(list_lag=20)
    assert sandbox.switches == before != Switches()


@pytest.mark.parametrize(("name", "value", "words"), [
    ("pagination", "snaky", "'snake', 'camel', 'none'"), ("ignore_keys", "yes", "of type bool, not 'yes'"),
    ("failure_rate", "often", "float"), ("validation_status", 500, "400, 422"), ("publish_seconds", [1.0], "tuple"),
])  # fmt: skip
def test_a_value_that_is_not_of_the_type_of_its_switch_is_refused(start, name, value, words):
    sandbox = start()
    before = sandbox.switches
    with pytest.raises(ValueError, match=f"switch {name} .*{words}"):
        sandbox.set_switches(**{name: value})
    assert sandbox.switches == before


# Lists that lag.


def test_lists_lag_and_single_reads_are_current(start, api):
    sandbox = start(list_lag_seconds=20)
    key = scheduled(api)
    sandbox.advance(19)
    assert key not in listed(api)
    assert single(api, key)["status"] == "scheduled"
    sandbox.advance(1)
    sandbox.person.withdraw(key)
    assert listed(api)[key]["status"] == "scheduled"
    assert key in listed(api, status="scheduled")
    assert key not in listed(api, status="cancelled")
    sandbox.advance(20)
    sandbox.person.delete(key)
    assert listed(api)[key]["status"] == "cancelled"
    assert api.get(f"/posts/{key}").status_code == 404
    sandbox.advance(20)
    assert key not in listed(api)


def test_single_reads_may_lag_too(start, api):
    sandbox = start(list_lag_seconds=5, single_reads_lag=True)
    key = scheduled(api)
    assert api.get(f"/posts/{key}").status_code == 404
    sandbox.advance(5)
    assert single(api, key)["status"] == "scheduled"


def test_a_lag_that_is_switched_on_later_begins_then(start, api):
    sandbox = start()
    before = scheduled(api)
    sandbox.set_switches(list_lag_seconds=60)
    after = scheduled(api)
    assert set(listed(api)) == {before}
    sandbox.set_switches(list_lag_seconds=0)
    assert set(listed(api)) == {before, after}


def test_a_lagging_list_is_read_page_by_page(start, api):
    sandbox = start(list_lag_seconds=30)
    made = [scheduled(api) for _ in range(5)]
    sandbox.advance(30)
    scheduled(api)
    assert sorted(post["id"] for post in walk(api, "/posts", limit=2)) == sorted(made)


# Queues that hold.


@pytest.mark.parametrize("way", ["retry", "fix"])
def test_a_queue_that_holds_shows_nothing_of_a_retry_or_fix(start, api, way):
    sandbox = start(empty=False, queue_hold_seconds=600)
    key, target_id = failed(sandbox)

    def shown() -> tuple[Any, ...]:
        post = single(api, key)
        target = next(entry for entry in post["platforms"] if entry["postPlatformId"] == target_id)
        return post["updatedAt"], target["status"], target["retryCount"]

    version, status, count = shown()
    path = "retry" if way == "retry" else f"platforms/{target_id}/fix"
    assert api.post(f"/posts/{key}/{path}", json={}).status_code == 202
    sandbox.advance(599)
    assert shown() == (version, status, count)
    sandbox.advance(1)
    assert shown()[0] > version
    assert shown()[1:] == ("pending", count + 1)
    sandbox.advance(60)
    assert shown()[1] == "published"
    requeued = sandbox.effects("target.requeue")
    assert [(entry["target"], entry["cause"], entry["again"]) for entry in requeued] == [(target_id, way, False)]


def test_a_queue_that_holds_shows_nothing_of_a_publish(start, api):
    sandbox = start(queue_hold_seconds=300)
    before = draft(api, metadata=MARK)
    key = before["id"]
    assert api.post(f"/posts/{key}/publish").json()["status"] == "draft"
    sandbox.advance(299)
    assert single(api, key) == before
    sandbox.advance(1)
    assert single(api, key)["status"] == "publishing"
    sandbox.advance(60)
    assert single(api, key)["status"] == "published"
    assert [entry["mark"] for entry in sandbox.effects("target.publish")] == ["mark-1"]


def test_a_post_withdrawn_while_the_queue_holds_it_does_not_go_out(start, api):
    sandbox = start(queue_hold_seconds=300)
    key = scheduled(api)
    assert api.post(f"/posts/{key}/publish").status_code == 202
    sandbox.person.withdraw(key)
    sandbox.advance(3 * 86_400)
    assert single(api, key)["status"] == "cancelled"
    assert sandbox.effects("target.publish") == []


def test_a_lingering_post_shows_its_old_status_and_version_for_a_while(start, api):
    sandbox = start(empty=False, linger_failed_seconds=3)
    key, _ = failed(sandbox)
    before = single(api, key)
    assert api.post(f"/posts/{key}/retry").json()["status"] == before["status"]
    sandbox.advance(2.9)
    during = single(api, key)
    assert (during["status"], during["updatedAt"]) == (before["status"], before["updatedAt"])
    sandbox.advance(0.1)
    after = single(api, key)
    assert after["status"] == "publishing"
    assert after["updatedAt"] > before["updatedAt"]
    sandbox.advance(63)
    assert single(api, key)["status"] == "published"


# A person in the dashboard.


def test_a_person_edits_withdraws_and_deletes(start, api):
    sandbox = start()
    key = scheduled(api)
    before = single(api, key)
    sandbox.person.edit(key, tags=["new"], content="Mended", scheduled_for="2026-03-03T09:00:00Z")
    after = single(api, key)
    assert (after["tags"], after["content"], after["scheduledFor"]) == (["new"], "Mended", "2026-03-03T09:00:00.000Z")
    assert after["updatedAt"] > before["updatedAt"]
    sandbox.advance(86_400 + 60)
    assert single(api, key)["status"] == "published"
    with pytest.raises(ValueError, match="published"):
        sandbox.person.withdraw(key)
    sandbox.person.delete(key)
    assert api.get(f"/posts/{key}").status_code == 404
    kinds = [entry["kind"] for entry in sandbox.effects() if entry["kind"].startswith("person.")]
    assert kinds == ["person.edit", "person.delete"]


def test_a_person_copies_posts_with_their_marks(start, api):
    sandbox = start()
    key = scheduled(api, metadata=MARK, tags=["spring"])
    copy, posted = sandbox.person.duplicate(key), sandbox.person.post_copy(key)
    at_once = sandbox.person.post_copy(sandbox.plant_post("Old", [account(api, "facebook")], metadata=MARK))
    records = listed(api)
    assert [records[name]["status"] for name in (key, copy, posted, at_once)] == [
        "scheduled", "draft", "scheduled", "publishing",
    ]  # fmt: skip
    assert all(records[name]["metadata"] == MARK for name in (copy, posted, at_once))
    assert records[posted]["scheduledFor"] == records[key]["scheduledFor"]
    assert records[copy]["tags"] == ["spring"]
    sandbox.advance(3 * 86_400)
    assert len(sandbox.effects("target.publish")) == 3
    assert len(sandbox.effects("post.create")) == 1  # copies in the dashboard are no creates of a client
    assert sandbox.duplicates() == []


def test_a_person_submits_rejects_and_approves(start, api):
    sandbox = start()
    old = sandbox.plant_post("Old", [account(api, "facebook")], status="pending_approval", daysOld=40)
    key = scheduled(api)
    sandbox.person.submit(key)
    assert [(name, post["createdAt"][:10]) for name, post in listed(api, status="PENDING_APPROVAL").items()] == [
        (key, "2026-03-02"), (old, "2026-01-21"),
    ]  # fmt: skip
    sandbox.person.reject(key)
    assert single(api, key)["status"] == "draft"
    sandbox.person.submit(key)
    for name, status in ((key, "scheduled"), (old, "approved")):
        sandbox.person.approve(name)
        assert single(api, name)["status"] == status
