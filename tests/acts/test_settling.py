"""What answers and readings settle, act by act: pure decisions, over every shape and state."""

import pytest
from tests.acts.support import item, request

from voxops.acts import ACTS
from voxops.acts.act import Subject, changed_since_loaded
from voxops.acts.cancel import CANCEL
from voxops.acts.create import CREATE, CREATE_ONE, read_items
from voxops.acts.redeliver import REDELIVER
from voxops.acts.retry import FIX, RETRY
from voxops.api.evidence import Attempted, Baseline
from voxops.api.reasons import Reason
from voxops.api.states import PostState, TargetState
from voxops.model import Outcome

BEFORE, AFTER = "2026-03-02T09:00:00+00:00", "2026-03-02T09:00:05+00:00"


def target(platform="twitter", status="failed", code="RATE_LIMITED", message="later"):
    failed = status == "failed"
    return TargetState(
        platform,
        f"acc_{platform}",
        status,
        code if failed else None,
        message if failed else None,
        platform_post_id="77" if status == "published" else None,
    )


def post(*targets, status="failed", updated=BEFORE):
    return PostState("post_1", status, updated, BEFORE, targets=targets or (target(),))


def member(platform="twitter", position=0, **options):
    about = {"platform": platform, "account_id": f"acc_{platform}"}
    wanted = item("retry", Subject("post", "post_1"), "/v1/posts/post_1/retry", **about)
    return request(wanted, position=position, **options)


def tried(*targets, status="failed", since=10.0, **options):
    return Attempted(Baseline.of(post(*targets, status=status)), since, **options)


@pytest.mark.parametrize(("action", "data", "fits"), [
    ("retry", {"id": "p", "status": "publishing"}, True), ("retry", {"retriedPlatforms": []}, True),
    ("retry", {}, False), ("retry", None, False), ("retry", ["id"], False), ("fix", {"success": True, "platformId": "pp"}, True), ("fix", {"success": False}, False),
    ("create", {"results": []}, True), ("create", {"results": {}}, False),
    ("redeliver", {"id": "d", "status": "queued"}, True),
])  # fmt: skip
def test_a_2xx_must_have_the_shape_of_its_row(action, data, fits):
    assert ACTS[action].decodes(data) is fits


# -- create ------------------------------------------------------------------------------------------------------------


def made(index, post, status="created"):
    return {"index": index, "status": status, "postId": post}


REFUSED = {"index": 1, "status": "failed", "errors": [{"code": "X"}]}


@pytest.mark.parametrize(("entries", "found"), [
    ([made(8, "c"), REFUSED, made(0, "a "), made(None, "d"), made(-1, "e")], {0: "a ", 1: "X", 8: "c", -1: "e"}),
    ([made(1, "a"), made(2, "b")], {}),  # counted from one, perhaps
    ([made(0, "a"), REFUSED, made(1, "b")], {0: "a"}),  # a doubled index says nothing
    ([made(0, "a"), made(1, "a"), made(2, "b")], {2: "b"}),  # two rows are not one post
    *(([made(0, post)], {}) for post in ("", " ", None)), ([made(0, "a", "odd")], {}), ([made(0, None, "failed")], {0: "FAILED"}),
])  # fmt: skip
def test_bulk_items_are_found_by_their_index_alone(entries, found):
    read = read_items({"results": entries})
    assert {index: one.get("result_id") or one["error_code"] for index, one in read.items()} == found
    assert all((one["outcome"] is Outcome.FAILED) == ("error_code" in one) for one in read.values())


# -- posts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["draft", "pending_approval", "scheduled", "approved", "never heard of"])
def test_what_only_a_person_or_time_moves_is_pending_and_says_so(status):
    (done,) = RETRY.settle_reading([member()], post(target(status="pending"), status=status), tried(target()))
    assert done.outcome is Outcome.PENDING
    assert done.reason == (
        Reason("publishing", status="pending") if status == "never heard of" else Reason("post_waits", status=status)
    )


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("cancelled", "succeeded"), ("published", "failed"), ("publishing", "failed"), ("draft", None), ("odd", None)],
)
def test_a_cancel_is_read_from_the_post(status, outcome):
    for done in (
        CANCEL.settle_reading([member()], post(status=status), tried()),
        CANCEL.settle_answer([member()], {"status": status.upper()}, first=True),
    ):
        assert [str(one.outcome) for one in done] == ([] if outcome is None else [outcome])


def test_a_post_that_somebody_put_back_says_so():
    now, before = post(status="scheduled", updated=AFTER), tried(status="scheduled", since=135.0)
    (back,) = CANCEL.settle_reading([member()], now, before)
    assert back.reason == Reason("changed_since_cancel", status="scheduled")


SEEN = {name: getattr(target(), name) for name in ("platform", "account_id", "status", "error_code", "error_message")}


WHOLE = "The media could not be processed by the platform, trace 7731"
CUTS = (WHOLE, f"{WHOLE[:30]}…", f"{WHOLE[:3]}...", "T")
NONE = ("NA", "null", "nan", "", " <NA> ")  # since a file made it so (rule 5)


def says(message, **more):
    return SEEN | {"error_message": message} | more


@pytest.mark.parametrize(("seen", "now", "differs"), [
    (SEEN, post(), ""), (SEEN, post(target(status="published")), "error_code, error_message, status"),
    (SEEN, post(target("facebook")), "target"),
    ({"post_status": "draft", "updated_at": BEFORE}, post(), "post_status"),
    *((says(cut, updated_at=BEFORE), post(target(message=WHOLE), updated="2026-03-02T09:00:00.123456+00:00"), "")
      for cut in CUTS),
    *((says(other), post(target(message=WHOLE)), "error_message") for other in ("Other words altogether", "…")),
    *((says(None), post(target(message=word)), "") for word in NONE), *((says(word), post(), "error_message") for word in NONE),
])  # fmt: skip
def test_rule_14_what_differs_is_named_and_what_lists_and_files_cut_does_not(seen, now, differs):
    why = changed_since_loaded(seen, now)
    assert (why and why.code) == ("changed_since_loaded" if differs else None)
    assert (dict(why.params)["fields"] if why else "") == differs


# -- deliveries --------------------------------------------------------------------------------------------------------

WAS = {
    "delivery_id": "d", "success": False, "status_code": 503, "latency_ms": 9, "retry_count": 5, "error": "x", "delivered_at": None,
}  # fmt: skip


def test_a_redelivery_ends_as_the_log_says():
    (done,) = REDELIVER.settle_reading([member()], WAS | {"success": True}, tried())
    assert done.outcome is Outcome.SUCCEEDED
    (failed,) = REDELIVER.settle_reading([member()], WAS, tried())
    assert (failed.outcome, failed.error_code, failed.error_message) == (Outcome.FAILED, "HTTP_503", "x")
    secret = "refused by https://hooks.slack.com/services/T0/B0/xK3jQ9zz"
    (failed,) = REDELIVER.settle_reading([member()], WAS | {"status_code": None, "error": secret}, tried())
    assert failed.error_code == "NOT_DELIVERED"
    assert failed.error_message == "refused by slack.com/…#571ab7c0"


# -- answers whose items or errors contradict each other (rule 12) -----------------------------------------------------

ROW = request(item("create", Subject("row", "i"), "/v1/posts/bulk", {}))


@pytest.mark.parametrize("around", [
    lambda found: {"data": found}, lambda found: {"error": found}, lambda found: {"error": {"code": "X", "details": found}},
])  # fmt: skip
@pytest.mark.parametrize("name", ["results", "items"])
def test_rule_12_items_are_found_wherever_an_answer_has_them(around, name):
    """A refusal that shows them is about each row by itself, and some of them may have been made."""
    found = [made(0, "post_1")]
    (settled,) = CREATE.settle_refusal([ROW], around({name: found}))
    assert (settled.outcome, settled.result_id) == (Outcome.SUCCEEDED, "post_1")
    for odd in (None, [], "x", {name: None}, {name: [None, 7, "x", {}, []]}):
        assert read_items(odd) == {}


ERRORS = ({"error": "x"}, {"error": {"code": "LOCKED"}}, {"errors": [{"code": "LOCKED"}]}, {"success": False})
FINE = ({}, {"error": None}, {"errors": []}, {"success": True})


@pytest.mark.parametrize("name", [name for name in ACTS if name != "sync"])
def test_rule_12_an_answer_that_bears_an_error_is_not_what_a_call_returns(name):
    """But items of a batch speak for themselves, and the error of a delivery is the receiver's."""
    shape = {"id": "post_1", "status": "scheduled", "platformId": "pp_1", "results": []}
    decodes = [ACTS[name].decodes(shape | said) for said in (*FINE, *ERRORS)]
    assert decodes == [True] * 4 + [name in {"create", "redeliver"}] * 4


def test_rule_12_a_count_of_what_was_created_is_no_refusal():
    for said in ({"results": [], "created": 1}, {"results": [{"index": 0, "status": "?"}]}):
        (read,) = CREATE.settle_refusal([ROW], said)
        assert read.outcome is Outcome.UNKNOWN
    for said in ({"results": []}, {"results": [], "created": 0}, {"error": "no"}, None):
        assert CREATE.settle_refusal([ROW], said) == []


def test_an_answer_that_shows_marks_of_other_rows_is_another_s():
    mine, other = ({"post": {"metadata": {"voxopsOp": mark}}} for mark in (ROW.item.mark, "a" * 32))
    assert not CREATE.is_of_another([ROW], "/v1/posts/bulk", {"results": [mine, {"post": {}}, "odd"]})
    assert CREATE.is_of_another([ROW], "/v1/posts/bulk", {"results": [mine, other]})
    assert CREATE_ONE.is_of_another([ROW], "/v1/posts", other["post"])
    path = "/v1/posts/post_1/platforms/pp_1/fix"
    said = ({"id": "post_2"}, {"platformId": "pp_1"}, {"platformId": "pp_2"})
    assert [FIX.is_of_another([ROW], path, data) for data in said] == [True, False, True]
