"""Plans to change and move posts, and what settles them: pure decisions over every shape of a row."""

from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest
from tests.acts.support import LOADED, MONDAY, item, keys_of, posts, request

from voxops.acts.act import Subject
from voxops.acts.cancel import plan_cancel
from voxops.acts.update import UPDATE, plan_update
from voxops.api.evidence import Attempted, Baseline
from voxops.api.reasons import Reason
from voxops.api.states import PostState, TargetState
from voxops.errors import PlanError
from voxops.model import Outcome


def test_a_time_without_an_offset_is_one_of_the_zone_that_the_workspace_names():
    frame = posts("scheduled")
    with pytest.raises(PlanError, match="has no time zone"):
        plan_update(frame, to="2026-03-05 10:00")
    frame.attrs["tz"] = "Europe/Berlin"
    for to in ("2026-03-05 10:00", pd.Timestamp("2026-03-05T10:00"), "2026-03-05T09:00Z"):
        assert body(plan_update(frame, to=to)) == {"scheduledFor": "2026-03-05T09:00:00Z"}
    assert body(plan_update(frame, to=date(2026, 3, 5))) == {"scheduledFor": "2026-03-04T23:00:00Z"}
    for to in ("2026-03-29T02:30", "2026-10-25T02:30", "01.04.2026 10:00", pd.NaT, 5):
        with pytest.raises(PlanError, match=r"skipped or repeated|must be a time"):
            plan_update(frame, to=to)


def body(plan):
    (item,) = plan.items
    return dict(item.body)


@pytest.mark.parametrize(("columns", "asks"), [
    ({"new_content": "Bye", "new_tags": None}, {"content": "Bye"}),
    ({"new_scheduled_for": "2026-03-05T10:00:00+01:00", "new_tags": "spring; sale"},
    {"scheduledFor": "2026-03-05T09:00:00Z", "tags": ["spring", "sale"]}),
    ({"new_account_ids": [["acc_1", "acc_2"]]}, {"accountIds": ["acc_1", "acc_2"]}),
])  # fmt: skip
def test_each_column_changes_its_field_and_an_empty_cell_leaves_it(columns, asks):
    assert body(plan_update(posts("scheduled", **columns))) == asks


@pytest.mark.parametrize(("status", "column", "value", "why"), [
    ("published", "content", "Bye", {"not_changeable"}), ("scheduled", "content", "  ", {"content_required"}),
    ("scheduled", "content", 5, {"content_not_text"}), ("scheduled", "content", None, {"nothing_requested"}),
    ("scheduled", "content", "Hello", {"unchanged"}), ("scheduled", "scheduled_for", "2026-02-05T10:00:00Z", {"time_passed"}),
    ("scheduled", "scheduled_for", "9999-12-31T23:59:59-12:00", {"time_without_offset", "time_unreadable"}),
    ("scheduled", "account_ids", "twitter:@brand", {"accounts_form"}), ("scheduled", "account_ids", "a,b", {"account_form"}),
])  # fmt: skip
def test_an_unfit_row_is_held_for_its_reason(status, column, value, why):
    plan = plan_update(posts(status, **{f"new_{column}": [value]}))
    assert plan.eligible == 0
    assert plan.frame["reason_code"].item() in why


def test_a_column_of_times_without_a_zone_is_held():
    frame = posts("scheduled", "scheduled")
    naive = (frame["scheduled_for"] + pd.to_timedelta(["1D", "2D"])).dt.tz_localize(None)
    plan = plan_update(frame.assign(new_scheduled_for=naive))
    assert plan.why == tuple(Reason("time_without_zone", value=str(when), zone="Europe/Berlin") for when in naive)
    assert repr(plan).count("for example") == 1, "one kind"


def test_a_move_leaves_drafts_alone():
    plan = plan_update(posts("scheduled", "draft"), by="3D", change="later")
    assert plan.frame["reason_code"].to_list() == ["ready", "draft_would_go_out"]
    assert plan.why[0] == Reason("new_values", fields="scheduled_for")
    assert body(plan) == {"scheduledFor": "2026-03-05T09:00:00Z"}
    assert str(plan.frame["new_scheduled_for"].dtype) == "datetime64[us, UTC]"
    for same in (timedelta(days=3), pd.Timedelta("72h"), "72H", "2 d 24 HOURS"):
        assert keys_of(plan_update(posts("scheduled"), by=same, change=" LATER ")) == keys_of(plan)
    other = plan_update(posts("scheduled"), by="4D", change="later")
    assert keys_of(other) != keys_of(plan)
    assert other.items[0].identity == plan.items[0].identity, "a name is used once, whatever the value"


@pytest.mark.parametrize(("options", "why"), [
    ({"to": MONDAY, "by": "1D"}, "not both"), ({"to": date(2026, 3, 5)}, "has no time zone"),
    ({"to": pd.Series([MONDAY], index=[7])}, "column of other rows"), ({"to": [MONDAY, MONDAY]}, "pass one per row"),
    ({"to": []}, "has 0 times"), ({"to": {MONDAY}}, "not a set"), ({"to": "2026-03-05 10.30"}, "must be a time"),
    *(({"by": months}, "for months") for months in ("2Y", pd.DateOffset(months=1))), ({"by": pd.Series(["1D"])}, "use to="),
    *(({"by": wrong}, "must say how much later") for wrong in ("soon", 3, "-1.5", "0D", pd.NaT)),
    ({"by": "1D", "change": None}, "by= needs a name"),
    *(({"to": MONDAY, "change": wrong}, "must name the change") for wrong in (" ", 5)), ({}, "the frame changes nothing"),
])  # fmt: skip
def test_a_change_that_says_nothing_is_refused(options, why):
    with pytest.raises(PlanError, match=why):
        plan_update(posts("scheduled"), **({"change": "later"} if "by" in options else {}) | options)


def test_a_move_is_refused_beside_times_in_the_frame_and_needs_the_old_ones():
    frame = posts("scheduled", new_scheduled_for=[MONDAY])
    with pytest.raises(PlanError, match="times in new_scheduled_for"):
        plan_update(frame, to=MONDAY)
    with pytest.raises(PlanError, match="missing: scheduled_for"):
        plan_update(frame.drop(columns="scheduled_for"), to=MONDAY)


def test_what_failed_is_planned_again_without_letting_a_draft_out():
    times = ["2026-03-05T09:00:00Z", "2026-03-05T09:00:00Z", None]
    frame = posts("scheduled", "draft", "draft", new_scheduled_for=times, new_content="Bye")
    again = UPDATE.replan(frame, key="", campaign="")
    assert again.frame["reason_code"].to_list() == ["ready", "draft_would_go_out", "ready"]


def test_each_post_may_get_a_time_of_its_own():
    times = ["2026-03-05T09:00:00Z", None, "2026-03-06T09:00:00Z"]
    plan = plan_update(posts("scheduled", "scheduled", "draft"), to=times)
    assert plan.frame["reason_code"].to_list() == ["ready", "nothing_requested", "draft_would_go_out"]
    assert body(plan) == {"scheduledFor": "2026-03-05T09:00:00Z"}


PLANNERS = pytest.mark.parametrize("planner", [plan_update, plan_cancel])


@PLANNERS
def test_a_post_that_stands_there_twice_is_planned_once(planner):
    frame = pd.concat([posts("scheduled"), posts("scheduled")], ignore_index=True).assign(new_content="Bye")
    assert planner(frame).frame["reason_code"].to_list()[1] == "post_twice"
    assert planner(frame).eligible == 1


@PLANNERS
def test_targets_are_no_posts_and_the_error_says_how_to_get_from_them_to_these(planner):
    whole = posts("scheduled", "scheduled", new_content="Bye")
    named = {"platform": "twitter", "account_id": "acc_1", "post_status": whole["status"]}
    with pytest.raises(PlanError, match="the rows are targets"):
        planner(whole.assign(**named, status="pending"))
    for frame in (whole.assign(**named), whole.assign(**named | {"post_status": "?"}, targets=None)):
        assert planner(frame).eligible == 2, "posts beside which something of their targets stands"


# What settles a change.

ASKED = {"content": "Bye", "scheduledFor": "2026-03-05T09:00:00Z"}


def state(content="Hello", when=MONDAY, updated=LOADED, **options):
    target = TargetState("twitter", "acc_1", "pending")
    known = {"targets": (target,), "source": "single", "version": "7", **options}
    return PostState("post_0", "scheduled", updated, LOADED, when, content, **known)


def member(body=None, **seen):
    frame = {"post_id": "post_0", "post_status": "scheduled", "updated_at": LOADED}
    wanted = item("update", Subject("post", "post_0"), "/v1/posts/post_0", body or ASKED, **frame | seen)
    return request(wanted, outcome=Outcome.UNKNOWN)


DONE = state("Bye", "2026-03-05T09:00:00.000+00:00", "2026-03-01T09:00:05+00:00")
THEIRS = state("Theirs", MONDAY, "2026-03-01T09:00:05+00:00")


SOON = "2026-03-01T09:00:05+00:00"
HALF_PAST, SPACED = {"scheduledFor": "2026-03-05T09:00:30Z"}, {"content": "Hello  you"}


@pytest.mark.parametrize(("asked", "now", "since", "settles"), [
    (ASKED, DONE, 1.0, ["succeeded"]), (ASKED, replace(DONE, content="Hello"), 1.0, []),
    (ASKED, replace(DONE, updated_at=LOADED), 1.0, ["succeeded"]), (ASKED, state(), 1000.0, []),  # it may still come
    (ASKED, replace(DONE, status="draft"), 60.0, []), (ASKED, replace(DONE, status="draft"), 140.0, ["failed"]),
    (ASKED, THEIRS, 60.0, []), (ASKED, THEIRS, 140.0, ["blocked"]),  # blocked once no try can be under way
    # an API may keep times to the minute, and blanks in its own way; on a post that nobody has changed these are what
    # was to be changed
    (HALF_PAST, state(when="2026-03-05T09:00:00+00:00", updated=SOON), 1.0, ["succeeded"]),
    (SPACED, state("Hello you", updated=SOON), 1.0, ["succeeded"]), (SPACED, state("Hello you"), 1.0, []),
])  # fmt: skip
def test_a_reading_settles_what_it_shows(asked, now, since, settles):
    tried = Attempted(Baseline.of(state()), since)
    assert [str(one.outcome) for one in UPDATE.settle_reading([member(asked)], now, tried)] == settles


def test_only_a_post_without_any_sign_may_be_sent_again():
    readings = (state(), DONE, replace(DONE, updated_at=LOADED), THEIRS)
    shown = [UPDATE.shows_nothing([member()], now, Baseline.of(state())) for now in readings]
    assert shown == [True, False, False, False]


@pytest.mark.parametrize(("asked", "shown", "outcome"), [
    (ASKED, {"content": "Bye", "scheduledFor": "2026-03-05T09:00:00.000Z"}, ["succeeded"]),
    (ASKED, {"content": "Other", "scheduledFor": "2026-03-05T09:00:00.000Z"}, ["failed"]),
    (ASKED, {"id": "post_9", "content": "Bye"}, []),
    (HALF_PAST, {"scheduledFor": "2026-03-05T09:00:00Z"}, ["succeeded"]),
    *((HALF_PAST, {"scheduledFor": f"2026-03-05T09:0{other}Z"}, ["failed"]) for other in ("1:00", "0:10")),
])  # fmt: skip
def test_an_answer_counts_as_far_as_it_shows_what_was_asked(asked, shown, outcome):
    done = UPDATE.settle_answer([member(asked)], {"id": "post_0", "status": "scheduled", **shown}, first=True)
    assert [str(one.outcome) for one in done] == outcome


def test_a_text_that_reads_as_asked_is_as_asked_on_a_post_that_was_changed_since():
    assert UPDATE.done_before(member(SPACED), state("Hello you"), []) is None
    lines = member({"content": "Hello\r\nyou"})
    assert UPDATE.done_before(lines, state("Hello\nyou"), []).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(("now", "why"), [
    (None, Reason("post_gone")), (replace(state(), status="publishing"), Reason("not_changeable", status="publishing")),
    (replace(state(), version=None), Reason("post_without_version")), (replace(state(), version=None, source="list"), None),
    (THEIRS, Reason("changed_since_loaded", fields="content, updated_at")),
    (state(when="2026-03-03T09:00:00+00:00"), Reason("changed_since_loaded", fields="scheduled_for")),
    (state(content="Hallo"), Reason("changed_since_loaded", fields="content")), (state(), None),
])  # fmt: skip
def test_what_is_not_as_it_was_loaded_is_not_sent(now, why):
    """A list cuts times to seconds, so an edit within the second of another is known by what it changed."""
    assert UPDATE.forbids(member(shown={"scheduled_for": MONDAY, "content": "Hello"}).item, now, []) == why


@pytest.mark.parametrize(("shown", "now", "new", "blocked"), [
    ("The beginning of it…", "The beginning of it, and the end", "The beginning of it… #spring", True),
    ("The beginning of it", "The beginning of it, and the end", "New: The beginning of it", True),
    ("The beginning of it…", "The beginning of it, and the end", "All is new", False),
    ("The beginning of it", "The  beginning of it ", "The beginning of it #spring", False),
    (None, "The beginning of it", "The beginning of it #spring", False),
])  # fmt: skip
def test_a_text_that_is_made_of_a_cut_one_is_not_written(shown, now, new, blocked):
    """What stood behind the cut would be lost."""
    said = UPDATE.forbids(member({"content": new}, shown={"content": shown}).item, state(now), [])
    assert (said == Reason("made_of_cut_text")) is blocked


@pytest.mark.parametrize(("edge", "by"), [("8999-12-31T10:00Z", "365D"), ("1000-01-02T10:00Z", "-30000D")])
def test_a_step_to_an_end_of_the_calendar_holds_its_row_alone(edge, by):
    times = pd.Series(pd.to_datetime([edge, "2500-03-02T09:00Z"], format="ISO8601")).dt.as_unit("us")
    plan = plan_update(posts("scheduled", "scheduled").assign(scheduled_for=times), by=by, change="later")
    assert plan.frame["eligible"].to_list() == [False, True]
    assert plan.why[0] == Reason("time_unmovable", value=times[0].isoformat())


@pytest.mark.parametrize("nothing", [None, "  ", ["", None], [float("nan")], []], ids=repr)
def test_tags_stay_where_a_file_has_made_something_else_of_a_missing_cell(nothing):
    """An empty list takes all tags away."""
    plan = plan_update(posts("scheduled", new_content="other words", new_tags=pd.Series([nothing], dtype=object)))
    assert body(plan) == {"content": "other words"} | ({"tags": []} if nothing == [] else {})
