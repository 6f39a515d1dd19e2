"""Whether a try has ended: rule 13, over every kind of evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops.api.evidence import (
    Attempted,
    Baseline,
    Fate,
    common_time,
    delivery_ended,
    delivery_untouched,
    fate_of,
    next_try,
    post_ended,
    same_text,
    same_time,
    settable,
    sighted,
    untouched,
    was_edited_since,
)
from voxops.api.states import PostState, TargetState

BEFORE, AFTER = "2026-03-02T09:00:00+00:00", "2026-03-02T09:00:05+00:00"
PLACE = ("twitter", "a")


def target(status: str = "failed", **fields: Any) -> TargetState:
    failed = {"error_code": "RATE_LIMITED", "error_message": "later"} if status == "failed" else {}
    return replace(TargetState("twitter", "a", status), **{**failed, **fields})


def post(*targets: TargetState, status: str = "failed", updated: str | None = BEFORE, **fields: Any) -> PostState:
    return PostState("post_1", status, updated, targets=targets or (target(),), **fields)


GONE, PUBLISHED = target(error_code=None, error_message=None), target("published")
OTHER, STRANGE = target(error_message="no"), [replace(GONE, status=status) for status in ("", "posted")]
PROMISED = {"promised": {PLACE: 2}}
BY_COUNT = PROMISED | {"by_count": True}
LONG, SIGHTED = {"since": 1e6}, {"sighted": True}


@pytest.mark.parametrize(("now", "becomes", "tried"), [
    # published and was not: at once
    (post(PUBLISHED, status="published"), "succeeded", {}),
    (post(PUBLISHED, target("pending"), status="publishing"), "succeeded", {}),
    (post(PUBLISHED, status="published"), "unchanged", LONG | {"before": post(PUBLISHED, status="published")}),
    # what is in flight is moving, whatever the post says of itself
    (post(target("pending")), "moving", {}), (post(OTHER, status="publishing"), "moving", SIGHTED),
    # a terminal status that looks as before, or a newer stamp alone, says nothing however long
    (post(updated=AFTER), "unchanged", LONG),
    # a sighting or a difference is evidence
    (post(updated=AFTER), "failed", SIGHTED), (post(OTHER), "failed", {}),
    *((post(target(status, error_code="X"), status="partial"), "failed", {}) for status in ("failed", "cancelled", "unpublished", "scheduled")),
    # an error that is gone is none: an API may take it away as soon as the retry is queued, and say failed until it begins
    (post(GONE), "unchanged", {}), (post(GONE), "failed", SIGHTED),
    (post(replace(GONE, error_message="other")), "failed", {}), (post(replace(GONE, error_code="OTHER")), "failed", {}),
    (post(GONE, status="partial"), "failed", {"before": post(target("cancelled"), status="partial")}),
    # counts, where reply and wire show them: one below the promise is that of an automatic try
    (post(OTHER), "failed", PROMISED), (post(target(error_message="no", retry_count=3)), "failed", {}),
    (post(target(retry_count=2), updated=AFTER), "failed", BY_COUNT),
    (post(target(retry_count=2), updated=AFTER), "unchanged", PROMISED | LONG),  # it may have risen when the try was queued
    *((post(target(retry_count=2), updated=at), "unchanged", BY_COUNT) for at in (BEFORE, None)),  # no newer stamp
    (post(target(retry_count=2), updated=AFTER), "unchanged", BY_COUNT | {"before": post(updated=None)}),
    (post(target(retry_count=1, error_message="no"), updated=AFTER), "unchanged", PROMISED | SIGHTED),
    (post(target(retry_count=2)), "failed", PROMISED | SIGHTED),
    # a status that nobody knows is read by the whole post: an enum may grow, and a target may show none
    *((post(one, status="published"), "succeeded", {}) for one in STRANGE),
    *((post(one, status="published"), "unchanged", {"before": post(PUBLISHED)}) for one in STRANGE),
    *((post(one, status="failed"), "failed", SIGHTED) for one in STRANGE),
    *((post(one, status="partial"), "unchanged", SIGHTED) for one in STRANGE),  # one of its targets is out, but which?
    *((post(one, status="publishing"), "moving", {}) for one in STRANGE),
])  # fmt: skip
def test_rule_13_what_a_reading_says_of_a_try(now, becomes, tried):
    known = {"before": post(), "since": 0.0} | tried
    assert fate_of(now.targets[0], now, Attempted(Baseline.of(known.pop("before")), **known)) == becomes


def test_rule_13_what_was_not_read_before_is_no_evidence_and_what_was_not_there_is():
    assert fate_of(target(), post(), Attempted(None, 1e6)) is Fate.UNCHANGED
    other = replace(target(), platform="facebook")
    assert fate_of(other, post(target(), other), Attempted(Baseline.of(post()), 0.0)) is Fate.FAILED


FACEBOOK = replace(target(), platform="facebook")
STUCK, MOVING = (post(target("publishing"), status=status) for status in ("partial", "publishing"))


@pytest.mark.parametrize(("before", "now", "seen"), [
    (STUCK, STUCK, False), (STUCK, MOVING, True), (post(), post(target("pending")), True), (MOVING, MOVING, False),
])  # fmt: skip
def test_a_sighting_is_a_status_on_its_way_that_was_not_before(before, now, seen):
    assert sighted(Baseline.of(before), now) is seen
    assert sighted(None, MOVING)


@pytest.mark.parametrize(
    "now", [post(updated=AFTER), post(OTHER), post(status="publishing"), post(target(), FACEBOOK), post(GONE)]
)
def test_only_a_post_without_any_sign_is_untouched(now):
    """An error that is gone is a sign, though no evidence: nothing is sent again."""
    before = Baseline.of(post())
    assert untouched(post(), before)
    assert not untouched(now, before)
    assert not untouched(post(), Baseline.of(post(target(), FACEBOOK))), "one is gone"
    assert not untouched(post(), None)


def test_rule_14_readings_of_two_kinds_are_compared_to_what_both_show():
    long = "The media could not be processed by the platform, trace 7731"
    listed = Baseline.of(post(target(error_message=long[:40] + "…"), source="list"))
    single = post(target(error_message=long), updated="2026-03-02T09:00:00.250000+00:00", source="single")
    assert untouched(single, listed)
    assert not untouched(replace(single, source="list"), listed)
    another = post(target(error_message="Another message altogether"), source="single")
    assert not untouched(another, listed)


def test_a_baseline_survives_the_ledger():
    for state in (post(target(retry_count=3), source="single"), post(version="2026-03-02T09:00:00.123Z")):
        assert Baseline.read(Baseline.of(state).stored()) == Baseline.of(state)
    assert Baseline.of(post(target(retry_count=3))).targets == {PLACE: target(retry_count=3)}
    assert Baseline.read(None) is None
    assert Baseline.read({"success": False}) is None, "that of a delivery is none of a post"


BARE = PostState("post_1", "failed", BEFORE)
PARTLY = post(target(), replace(PUBLISHED, platform="facebook"), status="partial")
ONE, TWO = target(target_id="pp1"), replace(target(target_id="pp2"), platform="facebook")
ONE_FAILED = post(replace(ONE, error_message="no"), TWO)


@pytest.mark.parametrize(("before", "now", "ended", "about"), [
    # all that was not published before; or the one target that a fix is about
    (PARTLY, replace(PARTLY, targets=(OTHER, PARTLY.targets[1])), True, None), (PARTLY, PARTLY, False, None),
    (post(ONE, TWO), ONE_FAILED, True, "pp1"), (post(ONE, TWO), ONE_FAILED, False, "pp2"),
    (post(ONE, TWO), ONE_FAILED, False, None),
    # one that is on its way has not ended, whatever its targets show
    (post(), post(PUBLISHED, status="publishing"), False, None),
    (post(), replace(BARE, status="publishing"), False, None),
    # one that shows no targets is judged as one
    (BARE, BARE, False, None), (BARE, replace(BARE, status="published"), True, None),
    (None, replace(BARE, status="published"), True, None),
    (replace(BARE, status="published"), replace(BARE, status="published"), False, None), (None, BARE, False, None),
    (replace(BARE, status="scheduled"), BARE, True, None),
])  # fmt: skip
def test_rule_13_a_post_has_ended_when_what_was_tried_has(before, now, ended, about):
    assert post_ended(now, Attempted(before and Baseline.of(before), 1e6), about) is ended
    assert post_ended(BARE, Attempted(Baseline.of(BARE), 0.0, sighted=True))


def test_the_latest_time_at_which_a_server_tries_again_is_read_where_the_reply_has_one():
    times = [AFTER, "2026-03-02T09:00:03", "soon", "", 7, None]
    assert next_try({"retriedPlatforms": [{"nextRetryAt": time} for time in times]}) == datetime.fromisoformat(AFTER)
    assert next_try({"retriedPlatforms": [{"nextRetryAt": "2026-03-02T09:00:05"}]}) == datetime.fromisoformat(AFTER)
    assert next_try(None) is next_try({"retriedPlatforms": [{}]}) is None


SHOWN = {"source": "single", "content": "c", "scheduled_for": AFTER, "tags": ("t", "u"), "metadata": {"n": "1"}}


@pytest.mark.parametrize(
    ("edit", "edited"),
    [
        ({}, False), ({"content": "d"}, True), ({"content": "d", "source": "list"}, False), ({"scheduled_for": BEFORE}, True),
        ({"tags": ("t",)}, True), ({"tags": ("u", "t")}, False), ({"tags": None}, False), ({"metadata": {}}, True),
        ({"targets": (TargetState("twitter", "b", "failed"),)}, True), ({"targets": (target(), target("failed", account_id=""))}, False),
        ({"targets": (target("published"),), "status": "published", "updated": AFTER}, False),
    ],
)  # fmt: skip
def test_a_post_was_edited_where_a_person_can_set_what_differs(edit, edited):
    assert was_edited_since(settable(post(**SHOWN)), post(*edit.pop("targets", ()), **{**SHOWN, **edit})) is edited


def test_a_post_that_was_not_read_before_counts_as_edited():
    assert was_edited_since(None, post(**SHOWN))
    assert set(settable(post(**SHOWN))) == {"content", "scheduled_for", "accounts", "tags", "metadata"}


@given(st.datetimes(), st.integers(0, 999_999))
def test_times_cut_to_seconds_or_milliseconds_are_the_same(when, micro):
    whole = when.replace(microsecond=micro).isoformat() + "+00:00"
    for cut in (1_000_000, 1_000, 1):
        short = when.replace(microsecond=micro // cut * cut).isoformat() + "+00:00"
        assert same_time(whole, short)
        assert same_time(short, whole)
        assert common_time(short) == common_time(whole)


def test_rule_14_when_a_delivery_arrived_is_the_same_however_it_is_cut():
    arrived = WAS | {"delivered_at": "2026-03-02T09:00:00.250+00:00"}
    assert delivery_untouched(arrived, arrived | {"delivered_at": "2026-03-02T09:00:00+00:00"})
    assert not delivery_untouched(arrived, arrived | {"delivered_at": AFTER})


@pytest.mark.parametrize(("same", "one", "other", "are"), [
    (same_time, None, None, True), (same_time, None, BEFORE, False), (same_time, BEFORE, AFTER, False),
    (same_time, "soon", "soon", True),
    (same_text, None, None, True), (same_text, "", "", True), (same_text, None, "later", False),
    (same_text, "…", "No media", False),
])  # fmt: skip
def test_a_time_or_a_message_is_never_that_of_nothing(same, one, other, are):
    assert same(one, other) is same(other, one) is are
    assert common_time(None) is None
    assert common_time("soon") == "soon"


@given(st.text(min_size=20, max_size=60), st.integers(1, 60))
def test_rule_14_a_message_cut_to_any_length_is_the_same_message(message, length):
    assert same_text(message, message[:length]) or not message[:length].rstrip(".… ")
    assert not same_text(message, "other" + message)


WAS = {
    "delivery_id": "d", "success": False, "status_code": 503, "latency_ms": 9, "retry_count": 5, "error": "x", "delivered_at": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("now", "ended", "as_before"),
    [
        ({}, False, True),
        ({"retry_count": 6}, False, False),  # tried, with the same result: no proof of either
        ({"retry_count": 6, "success": True, "status_code": 200}, True, False),
        ({"success": True}, False, False),
        ({"retry_count": 6, "latency_ms": 10}, True, False),
        ({"retry_count": None, "status_code": 500}, True, False),
        ({"retry_count": 4, "status_code": 500}, False, False),
        *(
            ({"retry_count": 6, name: value}, True, False)
            for name, value in (("success", True), ("status_code", 502), ("error", "y"), ("delivered_at", AFTER))
        ),
    ],
)
def test_rule_13_a_delivery_has_ended_when_count_and_result_moved(now, ended, as_before):
    assert delivery_ended(WAS, WAS | now) is ended
    assert delivery_ended({**WAS, "retry_count": None}, WAS | now) is any(
        now[each] != WAS[each] for each in now.keys() - {"retry_count"}
    )
    assert delivery_untouched(WAS, WAS | now) is as_before
