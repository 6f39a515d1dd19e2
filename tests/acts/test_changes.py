"""Plans to change and move posts, and what settles them: pure decisions over every shape of a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import pandas as pd
import pytest

from voxops.acts.cancel import plan_cancel
from voxops.acts.operation import Item, Member, Past, Subject
from voxops.acts.update import UPDATE, plan_update
from voxops.api.evidence import Attempted, Baseline
from voxops.api.reasons import Reason
from voxops.api.states import PostState, TargetState
from voxops.errors import PlanError
from voxops.model import Outcome

LOADED, MONDAY = "2026-03-01T09:00:00+00:00", "2026-03-02T09:00:00+00:00"


def posts(*statuses: str, **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "post_id": [f"post_{number}" for number in range(len(statuses))],
            "status": list(statuses),
            "content": ["Hello"] * len(statuses),
            "updated_at": pd.to_datetime([LOADED] * len(statuses), utc=True),
            "scheduled_for": pd.to_datetime([MONDAY] * len(statuses), utc=True),
        }
    ).assign(**columns)
    frame.attrs["fetched_at"] = LOADED
    return frame


def test_a_time_without_an_offset_is_one_of_the_zone_that_the_workspace_names():
    frame = posts("scheduled")
    with pytest.raises(PlanError, match=r"has no time zone, .*vx\.connect"):
        plan_update(frame, to="2026-03-05 10:00")
    frame.attrs["tz"] = "Europe/Berlin"
    for to in ("2026-03-05 10:00", pd.Timestamp("2026-03-05T10:00"), "2026-03-05T09:00Z"):
        assert body(plan_update(frame, to=to)) == {"scheduledFor": "2026-03-05T09:00:00Z"}
    for day in ("2026-03-05", date(2026, 3, 5)):
        assert body(plan_update(frame, to=day)) == {"scheduledFor": "2026-03-04T23:00:00Z"}
    for wrong in ("2026-03-29T02:30", "2026-10-25T02:30"):
        with pytest.raises(PlanError, match="is skipped or repeated in Europe/Berlin"):
            plan_update(frame, to=wrong)
    for wrong in ("01.04.2026 10:00", "soon", pd.NaT, 5):
        with pytest.raises(
            PlanError, match=r"must be a time such as .*\+01:00' or, in Europe/Berlin, '2026-03-05 10:00'"
        ):
            plan_update(frame, to=wrong)


def body(plan: Any) -> dict[str, Any]:
    (item,) = plan.items
    return dict(item.body)


def test_each_column_changes_its_field_and_an_empty_cell_leaves_it():
    frame = posts(
        "scheduled",
        new_content="Bye",
        new_scheduled_for="2026-03-05T10:00:00+01:00",
        new_tags="spring; sale",
        new_account_ids=[["acc_1", "acc_2"]],
    )
    assert body(plan_update(frame)) == {
        "content": "Bye",
        "scheduledFor": "2026-03-05T09:00:00Z",
        "tags": ["spring", "sale"],
        "accountIds": ["acc_1", "acc_2"],
    }
    assert body(plan_update(posts("draft", new_content="Bye", new_tags=None))) == {"content": "Bye"}


@pytest.mark.parametrize(
    ("status", "new", "why"),
    [
        ("published", {"new_content": "Bye"}, "not_changeable"),
        ("scheduled", {"new_content": "  "}, "new_content_blank"),
        ("scheduled", {"new_content": 5}, "new_content_blank"),
        ("scheduled", {"new_content": "x" * 10_001}, "content_too_long"),
        ("scheduled", {"new_content": None}, "nothing_requested"),
        ("scheduled", {"new_content": "Hello"}, "unchanged"),
        ("scheduled", {"new_scheduled_for": "2026-03-05 10:00"}, "new_time_without_offset"),
        ("scheduled", {"new_scheduled_for": "2026-02-05T10:00:00Z"}, "new_time_past"),
        ("scheduled", {"new_account_ids": "twitter:@brand"}, "accounts_form"),
    ],
)
def test_an_unfit_row_is_held_for_its_reason(status, new, why):
    plan = plan_update(posts(status, **{name: [value] for name, value in new.items()}))
    assert plan.eligible == 0
    assert plan.frame["reason_code"].item() == why


@pytest.mark.parametrize(("tz", "named"), [("America/Lima", "America/Lima"), (None, "Europe/Berlin")])
def test_a_column_of_times_without_a_zone_is_held_with_what_names_it(tz, named):
    frame = posts("scheduled", "scheduled")
    frame.attrs["tz"] = tz
    naive = (frame["scheduled_for"] + pd.to_timedelta(["1D", "2D"])).dt.tz_localize(None)
    plan = plan_update(frame.assign(new_scheduled_for=naive))
    assert plan.why == tuple(Reason("new_time_without_zone", value=str(when), zone=named) for when in naive)
    assert len(repr(plan).splitlines()) == 2, "one kind"
    cured = frame.assign(new_scheduled_for=naive.dt.tz_localize(named))
    assert plan_update(cured).eligible == 2


def test_a_post_that_stands_there_twice_is_changed_once():
    frame = pd.concat([posts("scheduled"), posts("scheduled")], ignore_index=True).assign(new_content="Bye")
    assert plan_update(frame).frame["eligible"].to_list() == [True, False]


def test_a_move_says_from_when_to_when_and_leaves_drafts_alone():
    plan = plan_update(posts("scheduled", "draft"), by="3D")
    assert plan.frame["reason_code"].to_list() == ["ready", "draft_would_go_out"]
    assert plan.why[0] == Reason("new_time", old="2026-03-02 09:00 UTC", new="2026-03-05 09:00 UTC")
    assert body(plan) == {"scheduledFor": "2026-03-05T09:00:00Z"}
    assert str(plan.frame["new_scheduled_for"].dtype) == "datetime64[us, UTC]"
    for same in (timedelta(days=3), pd.Timedelta("72h"), "72h", "72H", "3d", "2 d 24 HOURS"):
        assert plan_update(posts("scheduled"), by=same).operations[0].key == plan.operations[0].key


def test_the_same_move_is_one_request_whatever_else_the_frame_holds_and_another_move_is_another():
    plan = plan_update(posts("scheduled"), by="3D")
    bare = plan_update(posts("scheduled").drop(columns="content"), by="3D")
    assert bare.operations[0].key == plan.operations[0].key
    other = plan_update(posts("scheduled"), by="4D")
    assert other.operations[0].key != plan.operations[0].key
    assert plan.operations[0].key == "4cee0d67-a4cb-4e8d-9e9d-63485921337e"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"to": MONDAY, "by": "1D"}, r"takes to= \(a time\) or by= \(how much later\), not both"),
        ({"to": "2026-03-05"}, "to='2026-03-05' has no time zone"),
        ({"to": date(2026, 3, 5)}, r"to=datetime\.date\(2026, 3, 5\) has no time zone"),
        (
            {"to": pd.Series([MONDAY], index=[7])},
            "^to= is a column of other rows than the frame; take it from the same",
        ),
        ({"to": [MONDAY, MONDAY]}, "^to= has 2 times, the frame 1 row; pass one per row"),
        ({"to": []}, "^to= has 0 times, the frame 1 row"),
        ({"to": {MONDAY}}, "^to= takes one time, or a list or column with one per row, not a set"),
        ({"to": {"post_0": MONDAY}}, "not a dict"),
        ({"to": pd.DataFrame({"time": [MONDAY]})}, "not a DataFrame"),
        ({"by": pd.Series(["1D"])}, r"by= takes one for all posts, not a Series; for one per row use to=posts\['sched"),
        (
            {"by": "1 month"},
            r"by='1 month': months and years have no fixed length; use to=posts\['scheduled_for'\] \+ ",
        ),
        ({"by": "2Y"}, "no fixed length"),
        ({"by": pd.DateOffset(months=1)}, "no fixed length"),
        ({"to": "Thursday"}, r"to='Thursday' must be a time such as .* or, where vx\.connect\(tz=\) names a zone, "),
        ({"to": "2026-03-05 10.30"}, "to='2026-03-05 10.30' must be a time such as"),
        ({"by": "soon"}, "by='soon' must say how much later"),
        ({"by": 3}, "by='3' must say how much later"),
        ({"by": "3"}, "by='3' must say how much later"),
        ({"by": "-1.5"}, "by='-1.5' must say how much later"),
        ({"by": "0D"}, "by='0D' must say how much later"),
        ({"by": pd.NaT}, "by='NaT' must say how much later"),
    ],
)
def test_a_move_that_says_nothing_is_refused(options, why):
    with pytest.raises(PlanError, match=why):
        plan_update(posts("scheduled"), **options)


@pytest.mark.parametrize("options", [{"to": "2026-03-05T09:00:00Z"}, {"by": "3D"}, {"to": ["2026-03-05T09:00:00Z"]}])
def test_a_move_is_refused_beside_times_in_the_frame_and_needs_the_old_ones(options):
    frame = posts("scheduled", new_scheduled_for=["2026-03-05T09:00:00Z"])
    with pytest.raises(PlanError, match="the frame has times in new_scheduled_for; drop that column, or leave out to="):
        plan_update(frame, **options)
    with pytest.raises(PlanError, match="no column scheduled_for"):
        plan_update(posts("scheduled").drop(columns="scheduled_for"), **options)


def test_each_post_may_get_a_time_of_its_own_under_the_rules_of_a_column():
    frame = posts("scheduled", "scheduled", "scheduled", "draft", "draft")
    times = ["2026-03-05T09:00:00Z", None, "2026-03-05 10:00", "2026-03-06T09:00:00Z", None]
    column = plan_update(posts("scheduled", "scheduled", "scheduled", new_scheduled_for=times[:3]))
    for to in (times, tuple(times), pd.Series(times), pd.Index(times, dtype="object")):
        plan = plan_update(frame, to=to)
        reasons = plan.frame["reason"].to_list()
        assert reasons[:3] == column.frame["reason"].to_list()
        assert plan.frame["reason_code"].to_list()[2:4] == ["new_time_without_offset", "draft_would_go_out"]
        assert reasons[4] == reasons[1], "nothing is changed"
        assert plan.operations[0].key == column.operations[0].key
        assert [item.body for item in plan.items] == [{"scheduledFor": "2026-03-05T09:00:00Z"}]
    later = frame["scheduled_for"] + pd.Timedelta("3D")
    (seen, *_) = [item.seen for item in plan_update(frame.head(1), to=later.head(1)).items]
    assert not {"to", "by"} & seen.keys(), "computed in the frame: whether it adds up is decided as for a column"


def test_a_move_and_other_changes_are_one_request():
    frame = posts("scheduled", "draft", new_content=["Bye", "Bye"])
    plan = plan_update(frame, by="3D")
    assert body(plan) == {"content": "Bye", "scheduledFor": "2026-03-05T09:00:00Z"}
    assert plan.frame["reason_code"][1] == "draft_would_go_out"
    plan = plan_update(frame, to=["2026-03-05T09:00:00Z", None])
    assert [item.body.keys() for item in plan.items] == [{"content", "scheduledFor"}, {"content"}]


def test_what_failed_is_planned_again_without_letting_a_draft_out():
    frame = posts(
        "scheduled", "draft", "draft", new_scheduled_for=["2026-03-05T09:00:00Z", "2026-03-05T09:00:00Z", None]
    )
    again = UPDATE.replan(frame.assign(new_content=["Bye", "Bye", "Bye"]), key="", campaign="")
    assert again.frame["eligible"].to_list() == [True, False, True]
    assert again.frame["reason_code"][1] == "draft_would_go_out"


@pytest.mark.parametrize("planner", [plan_update, plan_cancel, lambda frame: plan_update(frame, by="1D")])
def test_targets_are_no_posts_and_the_error_says_how_to_get_from_them_to_these(planner):
    whole = posts("scheduled", "scheduled", new_content="Bye")
    named = {"platform": "twitter", "account_id": "acc_1", "post_status": whole["status"]}
    for frame in (whole.assign(**named).drop(columns="status"), whole.assign(**named, status="pending")):
        with pytest.raises(
            PlanError, match=r"the rows are targets, .*posts\[posts\['post_id'\]\.isin\(targets\['post_id'\]\)\]"
        ):
            planner(frame)
    for frame in (whole.assign(**named), whole.assign(**named | {"post_status": "?"}, targets=None), whole):
        assert planner(frame).eligible == 2, "posts beside which something of their targets stands"


def test_a_frame_that_changes_nothing_is_refused():
    with pytest.raises(PlanError, match=r"the frame changes nothing; .* pass to= or by=, or add one of new_content"):
        plan_update(posts("scheduled"))
    with pytest.raises(PlanError, match="no column post_id"):
        plan_update(pd.DataFrame({"new_content": ["x"]}))


# What settles a change.

ASKED = {"content": "Bye", "scheduledFor": "2026-03-05T09:00:00Z"}


def state(content: str = "Hello", when: str = MONDAY, updated: str = LOADED, **options: Any) -> PostState:
    target = TargetState("twitter", "acc_1", "pending")
    return PostState(
        "post_0", "scheduled", updated, LOADED, when, content, targets=(target,), source="single", **options
    )


def post(**shown: Any) -> dict[str, Any]:
    """A post as the API answers."""
    return {"id": "post_1", "status": "SCHEDULED", **shown}


def member(body: dict[str, Any] | None = None, **seen: Any) -> Member:
    item = Item(
        0, "i", 1, Subject("post", "post_0"), "post_0", "", "", "scheduled", "PATCH", "/v1/posts/post_0", body or ASKED,
        {"post_id": "post_0", "post_status": "scheduled", "updated_at": LOADED, **seen},
    )  # fmt: skip
    return Member(op=1, position=0, item=item, outcome=Outcome.UNKNOWN, waiting_for="")


DONE = state("Bye", "2026-03-05T09:00:00.000+00:00", "2026-03-01T09:00:05+00:00")
THEIRS = state("Theirs", MONDAY, "2026-03-01T09:00:05+00:00")


def read(now: PostState, since: float) -> list[str]:
    done = UPDATE.settle_reading([member()], now, Attempted(Baseline.of(state()), since))
    return [str(one.outcome) for one in done]


def test_a_post_that_shows_what_was_asked_is_done_at_once_and_nothing_else_is():
    assert read(DONE, 1.0) == ["succeeded"]
    assert read(replace(DONE, content="Hello"), 1.0) == []
    assert read(state(), 1000.0) == [], "as it was: it may still come, or be sent again"


def test_what_somebody_changed_is_blocked_once_no_try_can_be_under_way():
    assert read(THEIRS, 60.0) == []
    assert read(THEIRS, 140.0) == ["blocked"]


def test_only_a_post_without_any_sign_may_be_sent_again():
    before = Baseline.of(state())
    assert UPDATE.shows_nothing([member()], state(), before)
    assert not UPDATE.shows_nothing([member()], replace(DONE, updated_at=LOADED), before), (
        "done, although its stamp stands still"
    )
    assert not UPDATE.shows_nothing([member()], THEIRS, before)


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (
            {"id": "post_0", "content": "Bye", "scheduledFor": "2026-03-05T09:00:00.000Z", "status": "scheduled"},
            ["succeeded"],
        ),
        (
            {"id": "post_0", "content": "Other", "scheduledFor": "2026-03-05T09:00:00.000Z", "status": "scheduled"},
            ["failed"],
        ),
        ({"id": "post_9", "content": "Bye"}, []),
    ],
)
def test_an_answer_counts_as_far_as_it_shows_what_was_asked(data, outcome):
    done = UPDATE.settle_answer([member()], data, first=True)
    assert [str(one.outcome) for one in done] == outcome


def test_a_conflict_is_blocked_and_any_other_refusal_is_not():
    conflict = {"error": {"code": "CONFLICT", "message": "the post has changed since it was read"}}
    (blocked,) = UPDATE.settle_refusal([member()], conflict)
    assert (blocked.outcome, "load it again" in blocked.waiting_for) == (Outcome.BLOCKED, True)
    assert UPDATE.settle_refusal([member()], {"error": {"code": "VALIDATION_ERROR", "message": "no"}}) == []


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (None, Reason("post_gone")),
        (replace(state(), status="publishing"), Reason("not_changeable", status="publishing")),
        (DONE, Reason("as_requested")),
        (THEIRS, Reason("changed_since_loaded", fields="updated_at")),
        (state(when="2026-03-03T09:00:00+00:00"), Reason("changed_since_loaded", fields="scheduled_for")),
        (state(content="Hallo"), Reason("changed_since_loaded", fields="content")),
        (state(), None),
    ],
)
def test_what_is_not_as_it_was_loaded_is_not_sent(now, why):
    """A list cuts times to seconds, so an edit within the second of another is known by what it changed."""
    assert UPDATE.why_changed(member(shown={"scheduled_for": MONDAY, "content": "Hello"}).item, now) == why


def test_a_move_is_refused_where_this_ledger_set_the_present_time():
    def set_to(when: str) -> list[Past]:
        return [Past(member({"scheduledFor": when}).item)]

    moved = member({"scheduledFor": "2026-03-05T09:00:00Z"}, by=259_200.0, again=False).item
    said = UPDATE.why_again(moved, state(), set_to("2026-03-02T09:00:00Z"))
    assert said == Reason("moved_already", time="2026-03-02 09:00 UTC")
    assert UPDATE.why_again(moved, state(), set_to("2026-03-01T09:00:00Z")) is None
    meant = replace(moved, seen={**moved.seen, "again": True})
    assert UPDATE.why_again(meant, state(), set_to("2026-03-02T09:00:00Z")) is None
    assert UPDATE.why_again(moved, None, set_to("2026-03-02T09:00:00Z")) is None
    assert UPDATE.why_again(member().item, state(), set_to("2026-03-02T09:00:00Z")) is None, (
        "a move to a time does not add up"
    )


def change(shown: dict[str, Any], **body: Any) -> Item:
    """A change of a post that the frame showed so."""
    return member(body, shown=shown).item


@pytest.mark.parametrize(
    ("before", "now", "held"),
    [
        ((MONDAY, "2026-03-05T09:00:00Z"), "2026-03-08T09:00:00Z", True),
        ((MONDAY, "2026-03-05T09:00:00Z"), "2026-03-08T09:00:01Z", False),
        ((MONDAY, "2026-03-04T09:00:00Z"), "2026-03-08T09:00:00Z", False),
        ((None, "2026-03-05T09:00:00Z"), "2026-03-08T09:00:00Z", False),
        (("2026-03-05T09:00:00+00:00", "2026-03-05T09:00:00Z"), "2026-03-05T09:00:00Z", False),
    ],
)
def test_the_same_step_from_a_time_that_this_ledger_has_set_is_refused(before, now, held):
    shown, when = before
    first = change({"scheduled_for": shown}, scheduledFor=when)
    again = change({"scheduled_for": "2026-03-05T09:00:00+00:00"}, scheduledFor=now)
    assert bool(UPDATE.why_again(again, state(when="2026-03-05T09:00:00+00:00"), [Past(first)])) is held
    to = replace(again, seen={**again.seen, "to": True})
    assert UPDATE.why_again(to, state(when="2026-03-05T09:00:00+00:00"), [Past(first)]) is None, (
        "one time for all adds up to nothing"
    )


@pytest.mark.parametrize(
    ("first", "second", "kept", "held"),
    [
        (("Hello", "Hello!"), ("Hello!", "Hello!!"), "Hello!", True),
        (("Hello", "> Hello"), ("> Hello", "> > Hello"), "> Hello", True),
        (("Hello", "Hello\r\n!"), ("Hello\n!", "Hello\n!\r\n!"), "Hello\n!", True),
        (("Hello", "Hello!"), ("Hello!", "Hello!?"), "Hello!", False),
        (("Hello", "Hello!"), ("Hello!", "Hello!!"), "Hello?", False),
        (("Hello", "Bye"), ("Bye", "Bye!"), "Bye", False),
        (("Hello", "Hello!"), ("Hello!", "Bye"), "Hello!", False),
        ((None, "Hello!"), ("Hello!", "Hello!!"), "Hello!", False),
        (("Hello", "Hello!"), (None, "Hello!!"), "Hello!", False),
        (("Hello", "Hello!"), ("Hello!", "Hello!!"), None, False),
    ],
)
def test_the_same_addition_to_a_text_that_this_ledger_has_set_is_refused(first, second, kept, held):
    before, again = (change({"content": shown}, content=text) for shown, text in (first, second))
    post = replace(state(), content=kept)
    assert bool(UPDATE.why_again(again, post, [Past(before)])) is held
    assert UPDATE.why_again(again, post, []) is None
    assert UPDATE.why_again(again, post, [Past(replace(before, body=None))]) is None
    assert UPDATE.why_again(replace(again, seen={**again.seen, "again": True}), post, [Past(before)]) is None


def test_an_addition_and_a_move_that_the_server_has_kept_in_its_own_way_are_refused_the_second_time():
    """It made links short, took blanks together, and moved times to the quarter of an hour."""
    text = Past(
        change({"content": "Hello"}, content="Hello https://shop.example/spring"), post(content="Hello vx.bst/a1")
    )
    again = change({"content": "Hello vx.bst/a1"}, content="Hello vx.bst/a1 https://shop.example/spring")
    now = replace(state(), content="Hello vx.bst/a1")
    assert UPDATE.why_again(again, now, [text]) == Reason("added_already", text="https://shop.example/spring")
    assert UPDATE.why_again(again, now, [replace(text, answer=None)]) is None, "nothing says how it came about"
    assert UPDATE.why_again(again, now, [replace(text, answer=["?"])]) is None
    blanks = Past(change({"content": "Hello  you"}, content="Hello  you  !"))
    once_more = change({"content": "Hello you !"}, content="Hello you !  !")
    assert UPDATE.why_again(once_more, replace(state(), content="Hello you !"), [blanks])
    kept = post(scheduledFor="2026-03-05T09:30:00Z")
    moved = Past(change({"scheduled_for": "2026-03-05T09:00:00+00:00"}, scheduledFor="2026-03-05T09:40:00Z"), kept)
    later = change({"scheduled_for": "2026-03-05T09:30:00+00:00"}, scheduledFor="2026-03-05T10:10:00Z")
    assert UPDATE.why_again(later, state(when="2026-03-05T09:30:00+00:00"), [moved])


@pytest.mark.parametrize(
    ("shown", "now", "new", "held"),
    [
        ("The beginning of it…", "The beginning of it, and the end", "The beginning of it… #spring", True),
        ("The beginning of it", "The beginning of it, and the end", "New: The beginning of it", True),
        ("The beginning of it…", "The beginning of it, and the end", "All is new", False),
        ("The beginning of it", "The beginning of it", "The beginning of it #spring", False),
        ("The beginning of it", "The  beginning of it ", "The beginning of it #spring", False),
        (None, "The beginning of it", "The beginning of it #spring", False),
    ],
)
def test_a_text_that_is_made_of_a_cut_one_is_not_written(shown, now, new, held):
    """What stood behind the cut would be lost."""
    said = UPDATE.why_changed(change({"content": shown}, content=new), state(now))
    assert (said == Reason("made_of_cut_text")) is held


def test_a_time_that_is_kept_to_the_minute_is_as_asked():
    asked = member({"scheduledFor": "2026-03-05T09:00:30Z"})
    kept = state(when="2026-03-05T09:00:00+00:00", updated="2026-03-01T09:00:05+00:00")
    raw = {"id": "post_0", "status": "scheduled", "scheduledFor": "2026-03-05T09:00:00Z"}
    assert [one.outcome for one in UPDATE.settle_answer([asked], raw, first=True)] == [Outcome.SUCCEEDED]
    assert UPDATE.settle_reading([asked], kept, Attempted(Baseline.of(state()), 1.0))
    other = {**raw, "scheduledFor": "2026-03-05T09:01:00Z"}
    assert [one.outcome for one in UPDATE.settle_answer([asked], other, first=True)] == [Outcome.FAILED]
    same_minute = {**raw, "scheduledFor": "2026-03-05T09:00:10Z"}
    assert [one.outcome for one in UPDATE.settle_answer([asked], same_minute, first=True)] == [Outcome.FAILED]


def test_a_text_that_reads_as_asked_is_as_asked_on_a_post_that_was_changed_since():
    """An API may keep blanks in its own way; on a post that nobody has changed they are what was to be changed."""
    spaced = member({"content": "Hello  you"})
    kept = Attempted(Baseline.of(state("Hello you")), 1.0)
    assert UPDATE.settle_reading([spaced], state("Hello you", updated="2026-03-01T09:00:05+00:00"), kept)
    assert UPDATE.settle_reading([spaced], state("Hello you"), kept) == []
    assert UPDATE.why_changed(spaced.item, state("Hello you")) is None
    lines = member({"content": "Hello\r\nyou"})
    assert UPDATE.why_changed(lines.item, state("Hello\nyou")) == Reason("as_requested")
    assert UPDATE.verified({"outcome": "succeeded", "new_content": "Hello  you"}, state("Hello you"))[1] == "recovered"
    assert UPDATE.verified({"outcome": "failed", "new_content": "Hello  you"}, state("Hello you"))[1] == "failed_same"


def test_a_frame_that_went_through_a_file_plans_under_the_same_keys(tmp_path):
    frame = posts("scheduled", "draft", new_content=["Bye", None], new_tags=["a;b", "c"])
    frame.to_csv(tmp_path / "posts.csv", index=False)
    back = pd.read_csv(tmp_path / "posts.csv")
    for plan in (plan_update, lambda one: plan_update(one, by="3D")):
        assert [one.key for one in plan(back).operations] == [one.key for one in plan(frame).operations]


def test_lists_that_went_through_parquet_are_lists_again():
    frame = posts("scheduled", "draft").assign(new_tags=[["a", "b", "a"], ["c"]], tags=[["a"], None])
    file = BytesIO()
    frame.to_parquet(file)
    plan = plan_update(pd.read_parquet(file))
    assert [(item.body or {})["tags"] for item in plan.items] == [["a", "b"], ["c"]]


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_a_time_that_is_none_in_utc_is_refused_and_says_so(when):
    plan = plan_update(posts("scheduled").assign(new_scheduled_for=[when]))
    assert plan.frame["reason_code"][0] == "new_time_without_offset"
    assert plan.eligible == 0
    with pytest.raises(PlanError, match="to="):
        plan_update(posts("scheduled"), to=when)


@pytest.mark.parametrize("by", ["365D", "-30000D", timedelta(days=3_000_000)])
def test_a_step_to_an_end_of_the_calendar_holds_its_row_alone(by):
    edge = "1000-01-02T10:00Z" if str(by).startswith("-") else "8999-12-31T10:00Z"
    times = pd.Series(pd.to_datetime([edge, "2500-03-02T09:00Z"], format="ISO8601")).dt.as_unit("us")
    plan = plan_update(posts("scheduled", "scheduled").assign(scheduled_for=times), by=by)
    assert plan.frame["eligible"].to_list() == [False, by != timedelta(days=3_000_000)]
    assert plan.why[0] == Reason("new_time_beyond_calendar", value=times[0].isoformat())
