"""Planning acts on what exists: whole posts or single targets, what is blocked and why, and what makes a failure itself."""

import pandas as pd
import pytest
from tests.acts.support import NOW, OLD, deliveries, forms, keys_of, targets

from voxops._support import safe
from voxops.acts.cancel import plan_cancel
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_fix, plan_retry
from voxops.acts.update import plan_update
from voxops.api.reasons import Reason
from voxops.errors import PlanError

YOUNG = NOW - pd.Timedelta("3min")


FACEBOOK, THREADS = {"platform": "facebook"}, {"platform": "threads"}
FIXED = "/v1/posts/post_1/platforms/{}~acc/fix".format


@pytest.mark.parametrize(("rows", "others", "requests", "last"), [
    # the whole post, if all that failed was chosen; else each by itself, also where the others were filtered away
    ([{}, FACEBOOK, THREADS | {"status": "published"}], None, ["/v1/posts/post_1/retry"], "already_published"),
    *(([{}, FACEBOOK | {"retryable": False, "verdict": verdict}, THREADS], None,
       [FIXED("twitter"), FIXED("threads")], "ready")
      for verdict in ("fix content", "reconnect account")),
    ([{}], '{"post_1":[2,0]}', [FIXED("twitter")], "ready"), ([{}], '{"post_1":[1,1]}', [], "other_target_publishing"),
    ([{}, {}], '{"post_1":[2,0]}', [FIXED("twitter")], "target_twice"),
])  # fmt: skip
def test_rule_03_a_retry_is_of_a_whole_post_or_of_single_targets(rows, others, requests, last):
    plan = plan_retry(targets(*rows, **({"open_targets": others} if others else {})))
    assert [(form.path, form.body) for form in forms(plan)] == [
        (path, b"{}" if "fix" in path else None) for path in requests
    ]
    assert plan.frame["reason_code"].iloc[-1] == last
    assert plan.frame["idempotency_key"].nunique() == len(requests)
    assert set(plan.frame.loc[plan.frame["eligible"], "act"]) <= {"retry"}, (
        "also of one platform, where the API calls it a fix"
    )


@pytest.mark.parametrize("cut", [
    {"updated_at": OLD.floor("s")}, {"error_message": "rate limit reached…"},
    {"error_message": "rate limit reached, 30 seconds until reset. "}, {"updated_at": OLD.floor("s"), "error_message": "ra"},
    {"error_message": None},
    {"retry_count": 9, "target_id": "pp", "account_name": "x", "content": "c", "cause": "y", "remedy": "z"},
])  # fmt: skip
@pytest.mark.parametrize("planner", [plan_retry, plan_fix])
def test_rule_04_a_failure_is_one_request_however_much_of_it_a_list_or_a_file_shows(planner, cut):
    whole = {
        "updated_at": OLD + pd.Timedelta("123456us"),
        "error_message": "rate limit reached, 30 seconds until reset",
    }
    one, other = (planner(targets(whole | some).assign(new_content="mended")) for some in ({}, cut))
    assert keys_of(one) == keys_of(other)
    assert one.items[0].identity == other.items[0].identity
    for other in (
        {"updated_at": OLD + pd.Timedelta("1s")},
        {"error_code": "X"},
        {"post_id": "x"},
        {"post_status": "partial"},
    ):
        assert keys_of(planner(targets(whole | other).assign(new_content="mended"))) != keys_of(one)


@pytest.mark.parametrize(("row", "code"), [
    ({"post_id": None}, "id_missing"), ({"account_id": None}, "target_missing"),
    ({"account_id": 17841405793187218}, "id_was_number"),
    ({"status": "published"}, "already_published"),
    ({"status": "publishing", "updated_at": YOUNG}, "in_flight"), ({"status": "publishing", "updated_at": pd.NaT}, "in_flight_age_unknown"),
    ({"status": "pending", "retryable": False}, "in_flight_stuck"),
    ({"status": "scheduled"}, "target_not_failed"), ({"status": None}, "target_not_failed"),
    *(({"status": "pending", "post_status": status}, "post_not_failed")
      for status in ("scheduled", "draft", "cancelled")),
    ({"retryable": False, "verdict": "fix media", "remedy": "crop it"}, "not_retryable"),
    # what an analyst has taken out by hand, or put in, counts
    ({"retryable": False}, "retryable_says_no"), ({"retryable": None}, "retryable_says_no"),
    ({"verdict": "ask support"}, "ready"),
    ({"retryable": False, "remedy": "mend"}, "retryable_says_no"),
    ({"status": "publishing", "updated_at": OLD}, "ready"),
])  # fmt: skip
def test_what_is_held_says_why(row, code):
    plan = plan_retry(targets(row))
    assert plan.eligible == (code == "ready")
    assert plan.frame[["reason", "reason_code"]].loc[0].to_list() == [str(plan.why[0]), code]


@pytest.mark.parametrize(("planner", "frame", "why"), [
    (plan_retry, targets().drop(columns=["verdict", "retryable"]), r"missing: verdict, retryable\. Use vx\.triage"),
    (plan_retry, targets({"outcome": "failed", "waiting_for": None}), r"^plan_retry\(\) needs current targets.* pass run\.failed\(\)"),
    (plan_fix, targets(), "new_media_url"), (plan_cancel, pd.DataFrame({"post_id": ["a"]}), r"ws\.posts"),
    (plan_update, pd.DataFrame({"new_content": ["x"]}), "missing: post_id"),
    (plan_redeliver, pd.DataFrame({"delivery_id": ["a"]}), r"ws\.deliveries"),
])  # fmt: skip
def test_a_frame_of_other_rows_is_refused_and_the_error_says_what_to_take(planner, frame, why):
    with pytest.raises(PlanError, match=why):
        planner(frame)


@pytest.mark.parametrize(("new", "reason"), [
    ({"new_content": None}, "new_value_missing"), ({"new_content": "x" * 10_001}, "content_too_long"),
    ({"new_content": "ok", "new_media_url": "http://x"}, "new_media_form"),
])  # fmt: skip
def test_a_fix_that_can_t_be_asked_for_is_held(new, reason):
    plan = plan_fix(targets(new))
    assert plan.items == ()
    assert plan.frame["reason_code"][0] == reason


@pytest.mark.parametrize(
    "name",
    ["a/b", "..", "", " post_1", "post_1\u00a0", "post\n1", "post?x=1", "post#1", "post%2f1", "post\\1", "post\u202e1"],
)
def test_what_can_be_no_id_is_held_by_name_and_asked_for_nowhere(name):
    draft = pd.DataFrame({"post_id": [name], "status": "draft", "updated_at": OLD})
    for plan, what in (
        (plan_retry(targets({"post_id": name})), "post id"),
        (plan_cancel(draft), "post id"),
        (plan_update(draft.assign(new_content="a")), "post id"),
        (plan_redeliver(deliveries({"delivery_id": name}), force=True), "delivery id"),
        (plan_redeliver(deliveries({"webhook_id": name}), force=True), "webhook id"),
    ):
        assert plan.items == ()
        malformed = Reason("id_malformed", what=what, value=safe.plain(repr(name), 60))
        assert plan.why == (malformed if name else Reason("id_missing", what=what),)
    for number in (7, 7.0, True):
        assert plan_retry(targets({"post_id": number})).why == (
            Reason("id_was_number", what="post id", value=repr(number)),
        )
    for text in ("7", "urn:li:share:7", "a.b-c~d", "Ä1", "{}", "..1"):
        assert plan_retry(targets({"post_id": text})).eligible == 1, "the contract promises no prefix and no alphabet"


@pytest.mark.parametrize(("row", "reason"), [
    ({"success": True}, "already_delivered"), ({"created_at": YOUNG}, "delivery_young"), ({"webhook_id": None}, "id_missing"),
])  # fmt: skip
def test_deliveries_that_need_no_help_are_held(row, reason):
    plan = plan_redeliver(deliveries(row))
    assert plan.items == ()
    assert plan.frame["reason_code"][0] == reason
    assert plan_redeliver(deliveries(row), force=True).eligible == (0 if "webhook_id" in row else 1)


def test_what_a_receiver_rejected_is_said_where_it_is_sent_all_the_same():
    assert plan_redeliver(deliveries({"status_code": 422})).eligible == 0
    forced = plan_redeliver(deliveries({"status_code": 422}), force=True)
    assert forced.why == (Reason("forced_though_rejected", status=422),)
    assert plan_redeliver(deliveries({"status_code": 425})).why == (Reason("not_delivered"),)


def test_a_delivery_tried_again_by_the_server_is_another_failure():
    first = plan_redeliver(deliveries())
    assert [form.path for form in forms(first)] == ["/v1/webhooks/w/deliveries/d/retry"]
    for change in ({"retry_count": 6}, {"latency_ms": 10}, {"status_code": 500}):
        assert keys_of(plan_redeliver(deliveries(change))) != keys_of(first)
    for same in ({"response_body": "z"}, {"error": "y"}):
        assert keys_of(plan_redeliver(deliveries(same))) == keys_of(first)


def test_a_change_whose_column_has_a_slip_is_warned_of():
    frame = targets({"New tag": "x", "new_mediaurl": "x", "new_content": "a", "new_owner": "me"})
    with pytest.warns(UserWarning, match="column 'new_mediaurl' is ignored; if you mean 'new_media_url', rename it"):
        plan_fix(frame)
    posts = frame.drop(columns=["post_status", "platform", "account_id", "new_mediaurl"])
    with pytest.warns(UserWarning, match="column 'New tag' is ignored; if you mean 'new_tags', rename it"):
        plan_update(posts)
