"""What an answer or a reading proves: pure decisions, over every status, shape and state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voxops.engine.settle import Answer, PostState

from voxops.acts.plan import Item
from voxops.engine import settle
from voxops.ledger.ledger import Member
from voxops.model import Outcome

CODES = [
    "",
    "VALIDATION_ERROR",
    "CONFLICT",
    "IDEMPOTENCY_CONFLICT",
    "IDEMPOTENCY_IN_PROGRESS",
    "IDEMPOTENCY_INVALID_KEY",
]
BEFORE, AFTER = "2026-03-02T09:00:00+00:00", "2026-03-02T09:00:05+00:00"


def target(
    platform: str = "twitter", status: str = "failed", code: str | None = "RATE_LIMITED", message: str = "later"
) -> dict[str, Any]:
    failed = status == "failed"
    return {
        "post_id": "post_1",
        "platform": platform,
        "account_id": f"acc_{platform}",
        "status": status,
        "error_code": code if failed else None,
        "error_message": message if failed else None,
        "post_status": "failed",
        "updated_at": BEFORE,
        "target_id": None,
        "platform_post_id": "77" if status == "published" else None,
    }


def post(*targets: dict[str, Any], status: str = "failed", updated: str | None = BEFORE) -> PostState:
    return PostState("post_1", status, updated, BEFORE, None, True, targets or (target(),))


def member(platform: str = "twitter", position: int = 0, **options: Any) -> Member:
    item = Item(
        0,
        "i",
        1,
        "post:post_1",
        "post_1",
        platform,
        f"acc_{platform}",
        "rate",
        "POST",
        "/v1/posts/post_1/retry",
        None,
        {},
    )
    return Member(op=1, position=position, item=item, outcome=Outcome.PENDING, waiting_for="", **options)


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first_try", [True, False])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    "status", [200, 201, 202, 207, 301, 400, 401, 402, 403, 404, 408, 409, 410, 422, 429, 500, 502, 503, 504, 599]
)
def test_every_status_has_one_meaning(status, code, first_try):
    said = settle.judge(status, code, first_try=first_try)
    if status == 429:
        assert said is Answer.THROTTLED
    elif status < 300:
        assert said is Answer.TAKEN
    elif status >= 500 or status in {301, 408} or code in {"IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_IN_PROGRESS"}:
        assert said is Answer.UNKNOWN
    elif status == 409 and not code:
        assert said is Answer.UNKNOWN, "it may be about the key"
    elif status in {401, 402, 403} or code == "IDEMPOTENCY_INVALID_KEY":
        assert said is Answer.STOP
    else:
        assert said is (Answer.REFUSED if first_try else Answer.UNKNOWN)


def test_only_the_api_s_own_word_ends_a_request():
    assert settle.still_at_work("")
    assert settle.still_at_work("IDEMPOTENCY_IN_PROGRESS")
    assert settle.still_at_work("IDEMPOTENCY_CONFLICT")
    assert not settle.still_at_work("INTERNAL_ERROR")


@pytest.mark.parametrize(
    ("action", "data", "fits"),
    [
        ("retry", {"id": "p", "status": "publishing"}, True),
        ("retry", {"retriedPlatforms": []}, True),
        ("retry", {"unexpected": [1]}, False),
        ("retry", {}, False),
        ("retry", None, False),
        ("retry", ["id"], False),
        ("retry", "id", False),
        ("fix", {"success": True, "platformId": "pp"}, True),
        ("fix", {"success": False}, False),
        ("bulk", {"results": []}, True),
        ("bulk", {"results": {}}, False),
        ("bulk", {"id": "x"}, False),
        ("redeliver", {"id": "d", "status": "queued"}, True),
    ],
)
def test_a_2xx_must_have_the_shape_of_its_row(action, data, fits):
    assert settle.shaped(action, data) is fits


# -- bulk --------------------------------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.text(max_size=4),
    lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=6), s, max_size=3),
)
ENTRIES = st.fixed_dictionaries(
    {"index": st.integers(-2, 8) | st.none(), "status": st.sampled_from(["created", "failed", "odd"])},
    optional={"postId": st.text(min_size=1, max_size=4), "errors": st.just([{"issue": "X", "detail": "no"}])},
)


@given(st.lists(ENTRIES, max_size=8), st.integers(1, 6))
def test_bulk_items_are_found_by_their_index_alone(entries, count):
    items = settle.read_bulk({"results": entries}, count)
    assert items is not None
    assert len(items) == count
    for index, item in enumerate(items):
        mine = [entry for entry in entries if entry["index"] == index]
        if item is None:
            readable = len(mine) == 1 and (
                mine[0]["status"] == "failed" or (mine[0]["status"] == "created" and mine[0].get("postId", "").strip())
            )
            assert not readable
        else:
            assert len(mine) == 1, "a doubled index says nothing"
            assert item.created is (mine[0]["status"] == "created")


@given(ANYTHING, st.integers(1, 5))
def test_no_answer_whatever_breaks_the_reading(data, count):
    items = settle.read_bulk(data, count)
    assert items is None or len(items) == count


def test_unreadable_items_are_unknown_and_the_others_settled():
    members = [replace(member(), position=number) for number in range(3)]
    items = settle.read_bulk(
        {
            "results": [
                {"index": 2, "status": "created", "postId": "p"},
                {"index": 0, "status": "failed", "errors": [{"issue": "TOO_LONG", "detail": "no"}]},
            ]
        },
        3,
    )
    done = settle.settle_bulk(members, items or [])
    assert [one.outcome for one in done] == [Outcome.FAILED, Outcome.UNKNOWN, Outcome.SUCCEEDED]
    assert (done[0].error_code, done[0].error_message, done[2].result_id) == ("TOO_LONG", "no", "p")


# -- posts -------------------------------------------------------------------------------------------------------------


def baseline(*targets: dict[str, Any], status: str = "failed", updated: str | None = BEFORE) -> dict[str, Any]:
    return settle.baseline_of(post(*targets, status=status, updated=updated))


def test_a_post_that_shows_no_change_has_not_moved():
    assert not settle.moved(baseline(), post(), 1e9)


def test_a_target_on_its_way_has_moved_whatever_the_time_stamp():
    assert settle.moved(baseline(), post(target(status="pending"), status="publishing"), 0.0)


def test_a_target_that_was_on_its_way_before_has_not_moved():
    """A stuck target is retried on the analyst's word: that it is publishing says nothing."""
    stuck = (target(), target("facebook", "publishing"))
    assert not settle.moved(baseline(*stuck, status="partial"), post(*stuck, status="partial"), 1e9)
    requeued = (target(status="pending"), target("facebook", "pending"))
    assert settle.moved(baseline(*stuck, status="partial"), post(*requeued, status="publishing"), 0.0)


def test_a_new_failure_has_moved_at_once_and_a_mere_time_stamp_only_later():
    again = post(target(message="later still"), updated=AFTER)
    assert settle.moved(baseline(), again, 0.0)
    edited = post(updated=AFTER)
    assert not settle.moved(baseline(), edited, 5.0), "it may be an edit of somebody else"
    assert not settle.moved(baseline(), edited, 299.0), "or the stamp of a try that still waits in the queue"
    assert settle.moved(baseline(), edited, 301.0)
    assert not settle.moved(baseline(), post(target(message="later still")), 1e9), "its time stamp has not moved"


def test_where_the_wire_shows_no_time_stamp_a_difference_counts():
    assert settle.moved(baseline(updated=None), post(target(message="new"), updated=None), 0.0)
    assert not settle.moved(baseline(updated=None), post(updated=None), 1e9)


def test_targets_settle_when_the_whole_post_has_ended():
    members = [member("twitter", 0), member("facebook", 1)]
    running = post(target(status="published"), target("facebook", "pending"), status="publishing")
    done = settle.settle_targets(members, running)
    assert [one.outcome for one in done] == [Outcome.SUCCEEDED, Outcome.PENDING]
    assert done[0].result_id == "77"
    ended = post(target(status="published"), target("facebook", message="no"), status="partial")
    done = settle.settle_targets(members, ended)
    assert [one.outcome for one in done] == [Outcome.SUCCEEDED, Outcome.FAILED]
    assert done[1].error_message == "no"
    assert settle.settle_targets([replace(members[0], outcome=Outcome.FAILED)], ended) == []


@pytest.mark.parametrize("status", ["draft", "pending_approval", "scheduled", "approved", "never heard of"])
def test_what_only_a_person_or_time_moves_is_pending_and_says_so(status):
    (done,) = settle.settle_targets([member()], post(target(status="pending"), status=status))
    assert done.outcome is Outcome.PENDING
    assert done.waiting_for


def test_skipped_targets_fail_with_the_server_s_reason():
    reply = {
        "skippedPlatforms": [
            {"platform": "TWITTER", "accountId": "acc_twitter", "reason": "retry limit reached"},
            "odd",
            {"x": 1},
        ]
    }
    done = settle.settle_skipped([member("twitter"), member("facebook", 1)], reply)
    assert [(one.item.platform, one.error_code, one.error_message) for one in done] == [
        ("twitter", "SKIPPED", "retry limit reached")
    ]
    assert settle.settle_skipped([member()], None) == []


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("cancelled", "succeeded"), ("published", "failed"), ("publishing", "failed"), ("draft", None), ("odd", None)],
)
def test_a_cancel_is_read_from_the_post(status, outcome):
    done = settle.settle_cancel(member(), status)
    assert (None if done is None else str(done.outcome)) == outcome


def test_posts_are_read_in_any_casing_and_shape():
    record = {
        "id": "post_1",
        "status": "PARTIAL",
        "updatedAt": "2026-03-02T09:00:00.000Z",
        "metadata": {"voxopsOp": "m"},
        "platforms": [{"platform": "TWITTER", "accountId": "a", "status": "FAILED", "error": "RATE_LIMITED: later"}],
    }
    state = settle.read_posts([record])["post_1"]
    assert (state.status, state.mark, state.has_metadata, state.open_targets) == ("partial", "m", True, 1)
    assert state.updated_at == BEFORE
    bare = settle.read_posts([{key: value for key, value in record.items() if key != "metadata"}])["post_1"]
    assert (bare.mark, bare.has_metadata) == (None, False)


def test_what_differs_is_named():
    seen = {
        name: target()[name] for name in ("post_id", "platform", "account_id", "status", "error_code", "error_message")
    }
    assert settle.changes(seen, post()) == []
    assert settle.changes(seen, post(target(status="published"))) == ["status", "error_code", "error_message"]
    assert settle.changes(seen, post(target("facebook"))) == ["target"]
    assert settle.changes({"post_status": "draft", "updated_at": BEFORE}, post()) == ["post_status"]


# -- deliveries --------------------------------------------------------------------------------------------------------

WAS = {
    "delivery_id": "d",
    "success": False,
    "status_code": 503,
    "latency_ms": 9,
    "retry_count": 5,
    "error": "x",
    "delivered_at": None,
}


@pytest.mark.parametrize(
    ("now", "moved", "unmoved"),
    [
        ({}, False, True),
        ({"retry_count": 6}, False, False),  # tried, with the same result: no proof of either
        ({"retry_count": 6, "success": True, "status_code": 200}, True, False),
        ({"success": True}, False, False),
        ({"retry_count": 6, "latency_ms": 10}, True, False),
        ({"retry_count": None, "status_code": 500}, True, False),
        ({"retry_count": 4, "status_code": 500}, False, False),
    ],
)
def test_a_delivery_has_moved_when_count_and_result_did_and_is_unmoved_only_without_any_sign(now, moved, unmoved):
    assert settle.delivery_moved(WAS, WAS | now) is moved
    assert settle.unmoved(WAS, WAS | now) is unmoved


def test_a_redelivery_ends_as_the_log_says():
    assert settle.settle_delivery(member(), WAS | {"success": True}).outcome is Outcome.SUCCEEDED
    failed = settle.settle_delivery(member(), WAS)
    assert (failed.outcome, failed.error_code, failed.error_message) == (Outcome.FAILED, "HTTP_503", "x")
    assert settle.settle_delivery(member(), WAS | {"status_code": None}).error_code == "NOT_DELIVERED"
