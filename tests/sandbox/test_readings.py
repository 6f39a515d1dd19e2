"""The sandbox under other readings of the contract: shapes, lists that lag, queues that hold, and a person in the dashboard."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import pytest
from tests.sandbox.support import account, create, draft, failed_post, target, walk

from voxburst_sandbox import Switches

SANDBOX = {"posts": 200, "deliveries": 0}
SWITCHES = {"failure_rate": 0.0, "recovery_rate": 1.0, "silent_webhooks": True}
MARK = {"voxopsOp": "mark-1"}


@pytest.fixture
def scheduled(api):
    return lambda **more: create(api, scheduledFor="2026-03-04T09:00:00Z", **more)["id"]


@pytest.fixture
def single(api):
    return lambda key: api.read(f"/posts/{key}")


@pytest.fixture
def listed(api):
    return lambda **query: {post["id"]: post for post in walk(api, "/posts", limit=100, **query)}


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
def test_each_shape_can_be_chosen(sandbox, api, changes, path, check):
    sandbox.set_switches(**changes)
    assert check(api.read(path))


FINER = {"postPlatformId", "retryCount"}


def names(post: dict[str, Any]) -> set[str]:
    """The fields of a post and of its platforms."""
    return {*post, *post["platforms"][0]}


@pytest.mark.parametrize(("changes", "list_lacks", "single_lacks"), [
    ({}, FINER, set()), ({"no_retry_counts": True, "no_target_ids": True}, FINER, FINER),
    ({"listed_retry_counts": True}, {"postPlatformId"}, set()), ({"listed_target_ids": True}, {"retryCount"}, set()),
    ({"no_listed_metadata": True}, FINER | {"metadata"}, set()),
    ({"no_metadata": True}, FINER | {"metadata"}, {"metadata"}),
])  # fmt: skip
def test_lists_and_single_reads_may_show_less(sandbox, single, listed, changes, list_lacks, single_lacks):
    key, _ = failed_post(sandbox)
    whole = names(single(key))
    sandbox.set_switches(**changes)
    assert (whole - names(listed()[key]), whole - names(single(key))) == (list_lacks, single_lacks)


def test_lists_may_show_all_that_single_reads_show(sandbox, single, listed):
    sandbox.set_switches(listed_retry_counts=True, listed_target_ids=True)
    key, _ = failed_post(sandbox)
    assert listed()[key] == single(key)


def test_errors_may_be_texts_and_statuses_in_upper_case(sandbox, single):
    key, _ = failed_post(sandbox)
    sandbox.set_switches(string_errors=True, uppercase_status=True)
    assert single(key)["status"] == "PARTIAL"
    assert {type(each["error"]) for each in single(key)["platforms"]} == {str, type(None)}


def test_a_mark_is_on_record_though_metadata_is_shown_nowhere(sandbox, scheduled):
    sandbox.set_switches(no_metadata=True)
    scheduled(metadata=MARK)
    assert sandbox.effects("post.create")[0]["mark"] == "mark-1"


@pytest.mark.parametrize(("name", "value", "words"), [
    ("no_such", True, "no such switch: no_such"), ("list_lag", 20, "list_lag; did you mean list_lag_seconds"),
    ("pagination", "snaky", "switch pagination .*'snake', 'camel', 'none'"),
    ("ignore_keys", "yes", "of type bool, not 'yes'"), ("failure_rate", "often", "switch failure_rate .*float"),
    ("validation_status", 500, "400, 422"), ("publish_seconds", [1.0], "tuple"),
])  # fmt: skip
def test_an_unknown_switch_and_a_value_that_is_not_of_its_type_are_refused(sandbox, name, value, words):
    before = sandbox.switches
    with pytest.raises(ValueError, match=words):
        sandbox.set_switches(**{name: value})
    assert sandbox.switches == before != Switches()


# Lists that lag.


def test_lists_lag_and_single_reads_are_current(sandbox, api, scheduled, single, listed):
    sandbox.set_switches(list_lag_seconds=20)
    key = scheduled()
    sandbox.advance(19)
    assert key not in listed()
    assert single(key)["status"] == "scheduled"
    sandbox.advance(1)
    sandbox.person.withdraw(key)
    assert listed()[key]["status"] == "scheduled"
    assert key in listed(status="scheduled")
    assert key not in listed(status="cancelled")
    sandbox.advance(20)
    sandbox.person.delete(key)
    assert listed()[key]["status"] == "cancelled"
    assert api.get(f"/posts/{key}").status_code == 404
    sandbox.advance(20)
    assert key not in listed()


def test_single_reads_may_lag_too(sandbox, api, scheduled):
    sandbox.set_switches(list_lag_seconds=5, single_reads_lag=True)
    path = f"/posts/{scheduled()}"
    assert api.get(path).status_code == 404
    sandbox.advance(5)
    assert api.read(path)["status"] == "scheduled"


def test_a_lag_that_is_switched_on_later_begins_then(sandbox, scheduled, listed):
    before = scheduled()
    sandbox.set_switches(list_lag_seconds=60)
    after = scheduled()
    sandbox.set_switches(list_lag_seconds=30)
    assert {before, after} & {*listed()} == {before}
    sandbox.set_switches(list_lag_seconds=0)
    assert {before, after} <= {*listed()}


def test_a_lagging_list_is_read_page_by_page(sandbox, api, scheduled):
    sandbox.set_switches(list_lag_seconds=30)
    before = [post["id"] for post in walk(api, "/posts")]
    scheduled()
    assert [post["id"] for post in walk(api, "/posts", limit=15)] == before


# Queues that hold.


@pytest.mark.parametrize("way", ["retry", "fix"])
def test_a_queue_that_holds_shows_nothing_of_a_retry_or_fix(sandbox, api, single, way):
    sandbox.set_switches(queue_hold_seconds=600)
    key, target_id = failed_post(sandbox)
    before = single(key)
    path = "retry" if way == "retry" else f"platforms/{target_id}/fix"
    assert api.post(f"/posts/{key}/{path}", json={}).status_code == 202
    sandbox.advance(599)
    assert single(key) == before
    count = target(api, key, target_id)["retryCount"]
    sandbox.advance(1)
    assert single(key)["updatedAt"] > before["updatedAt"]
    assert itemgetter("status", "retryCount")(target(api, key, target_id)) == ("pending", count + 1)
    sandbox.advance(60)
    assert target(api, key, target_id)["status"] == "published"
    (requeued,) = sandbox.effects("target.requeue")
    assert itemgetter("target", "cause", "again")(requeued) == (target_id, way, False)


def test_a_queue_that_holds_shows_nothing_of_a_publish(sandbox, api, single):
    sandbox.set_switches(queue_hold_seconds=300)
    before = draft(api, metadata=MARK)
    key = before["id"]
    assert api.post(f"/posts/{key}/publish").json()["status"] == "draft"
    sandbox.advance(299)
    assert single(key) == before
    sandbox.advance(1)
    assert single(key)["status"] == "publishing"
    sandbox.advance(60)
    assert single(key)["status"] == "published"
    assert [entry["mark"] for entry in sandbox.effects("target.publish")] == ["mark-1"]


def test_a_post_withdrawn_while_the_queue_holds_it_does_not_go_out(sandbox, api, scheduled, single):
    sandbox.set_switches(queue_hold_seconds=300)
    key = scheduled()
    assert api.post(f"/posts/{key}/publish").status_code == 202
    sandbox.person.withdraw(key)
    sandbox.advance(3 * 86_400)
    assert single(key)["status"] == "cancelled"
    assert key not in {effect["post"] for effect in sandbox.effects("target.publish")}


def test_a_lingering_post_shows_its_old_status_and_version_for_a_while(sandbox, api, single):
    sandbox.set_switches(linger_failed_seconds=3)
    key, _ = failed_post(sandbox)
    shown = itemgetter("status", "updatedAt")
    before = shown(single(key))
    assert api.post(f"/posts/{key}/retry").json()["status"] == before[0]
    sandbox.advance(2.9)
    assert shown(single(key)) == before
    sandbox.advance(0.1)
    status, version = shown(single(key))
    assert status == "publishing"
    assert version > before[1]


# A person in the dashboard.


def test_a_person_edits_and_deletes_but_withdraws_nothing_that_went_out(sandbox, scheduled, api, single):
    key = scheduled()
    before = single(key)
    sandbox.person.edit(key, tags=["new"], content="Mended", scheduled_for="2026-03-03T09:00:00Z")
    after = single(key)
    assert (after["tags"], after["content"], after["scheduledFor"]) == (["new"], "Mended", "2026-03-03T09:00:00.000Z")
    assert after["updatedAt"] > before["updatedAt"]
    sandbox.advance(86_400 + 60)
    with pytest.raises(ValueError, match="published"):
        sandbox.person.withdraw(key)
    sandbox.person.delete(key)
    assert api.get(f"/posts/{key}").status_code == 404
    kinds = [entry["kind"] for entry in sandbox.effects() if entry["kind"].startswith("person.")]
    assert kinds == ["person.edit", "person.delete"]


def test_a_person_copies_posts_with_their_marks(sandbox, api, scheduled, listed):
    key = scheduled(metadata=MARK, tags=["spring"])
    copy, posted = sandbox.person.duplicate(key), sandbox.person.post_copy(key)
    at_once = sandbox.person.post_copy(sandbox.plant_post("Old", [account(api, "facebook")], metadata=MARK))
    records = listed()
    statuses = [records[name]["status"] for name in (key, copy, posted, at_once)]
    assert statuses == ["scheduled", "draft", "scheduled", "publishing"]
    assert all(records[name]["metadata"] == MARK for name in (copy, posted, at_once))
    assert records[posted]["scheduledFor"] == records[key]["scheduledFor"]
    assert records[copy]["tags"] == ["spring"]
    sandbox.advance(3 * 86_400)
    assert {key, posted, at_once} <= {effect["post"] for effect in sandbox.effects("target.publish")}
    assert len(sandbox.effects("post.create")) == 1  # copies in the dashboard are no creates of a client
    assert sandbox.duplicates() == []


def test_a_person_submits_rejects_and_approves(sandbox, api, scheduled, single, listed):
    old = sandbox.plant_post("Old", [account(api, "facebook")], status="pending_approval", daysOld=40)
    key = scheduled()
    sandbox.person.submit(key)
    pending = listed(status="PENDING_APPROVAL")
    assert {name: post["createdAt"][:10] for name, post in pending.items()} == {key: "2026-03-02", old: "2026-01-21"}
    sandbox.person.reject(key)
    assert single(key)["status"] == "draft"
    sandbox.person.submit(key)
    for name, status in ((key, "scheduled"), (old, "approved")):
        sandbox.person.approve(name)
        assert single(name)["status"] == status
