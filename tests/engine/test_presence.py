"""Whether a post is there already, as pure decisions: rules 13, 14 and 26, over everything that a post may or may not show."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from voxops.acts import keys
from voxops.acts.made import Made, asked_hash, shown_of_body
from voxops.acts.operation import Item, Member, Subject
from voxops.api.states import PostState, TargetState
from voxops.api.timing import SKEW
from voxops.engine.presence import (
    Verdict,
    cannot_tell,
    could_be,
    find_marked,
    is_older,
    judge_row,
    made_twice,
    pair_unmarked,
    was_edited,
)
from voxops.model import Outcome

WHEN, MADE, LATER = "2027-01-01T09:00:00+00:00", "2026-03-02T09:00:00+00:00", "2026-03-02T09:00:05+00:00"
BODY = {"content": "hello world", "accountIds": ["a", "b"], "scheduledFor": "2027-01-01T09:00:00Z"}
NOTHING = Verdict()


def item(label: str = "r1", attempt: int = 1, **seen: Any) -> Item:
    metadata = {"voxopsOp": keys.mark("c", label, attempt), "voxopsCampaign": keys.campaign_mark("c")}
    return Item(
        0, "identity", attempt, Subject("batch", "1"), label, "", "", "", "POST", "/v1/posts/bulk",
        {**BODY, "metadata": metadata}, {"campaign": "c", "row": label, **seen},
    )  # fmt: skip


def made(attempt: int | None = 1, label: str = "r1", **changed: Any) -> Made:
    post = Made(
        "post_1", MADE, "scheduled", None if attempt is None else keys.mark("c", label, attempt), keys.row_mark("c", label),
        keys.campaign_mark("c"), asked_hash(BODY), shown_of_body(BODY),
    )  # fmt: skip
    return replace(post, **changed)


def judged(row: Item, *posts: Made, alike: tuple[Made, ...] = ()) -> Verdict:
    return judge_row(row, BODY, posts, alike)


def test_rule_30_the_attempt_that_makes_a_row_again_is_one_above_all_that_are_known():
    def again(*posts: Made) -> str:
        return judged(item(), *posts).blocked.rpartition(" ")[2]

    gone = {"status": "cancelled"}
    assert again(made(1, **gone)) == again(made(None, **gone)) == "2"
    assert again(made(1, **gone), made(3, **gone), made(None, **gone)) == "4"
    assert judged(item(), made(1, **gone), made(2)) == Verdict(made="post_1"), "what is there counts"


def test_rule_30_a_number_that_the_ledger_has_raised_makes_nothing_again_that_was_taken_back():
    gone = made(2, status="cancelled")
    assert judged(item(attempt=3), gone) == NOTHING, "a person has asked for the third"
    assert judged(item(attempt=3, asked=1), gone).blocked.startswith("made as post_1, cancelled since")
    assert judged(item(attempt=3, asked=2), gone).blocked
    assert judged(item(attempt=4, asked=3), gone) == NOTHING


def test_rule_13_a_duplicate_in_the_place_of_a_post_that_was_taken_back_is_said_and_not_taken_for_the_row():
    gone = made(status="cancelled")
    copy = made(post_id="post_2", created=LATER, shown="else")
    same = replace(copy, shown=shown_of_body(BODY))
    said = judged(item(), gone, copy).blocked
    assert said.startswith(
        "post_2, a duplicate of its post post_1 (cancelled since), is there and shows something else;"
    )
    assert judged(item(), copy, gone).blocked == said
    assert judged(item(attempt=2), gone, copy).blocked == said
    assert judged(item(twin=True), gone, copy).blocked.startswith("made as post_1, cancelled since")
    assert judged(item(attempt=2, twin=True), gone, copy) == NOTHING
    assert judged(item(), gone, same) == Verdict(made="post_2"), "it was put back as it was"
    assert judged(item(), gone, replace(copy, shown=None)) == Verdict(made="post_2"), "what it shows is not known"
    assert judged(item(), made(), copy) == Verdict(made="post_1"), "the post itself is there"
    again = made(2, post_id="post_3", created="2026-03-02T10:00:00+00:00")
    for posts in ((gone, copy, again), (again, copy, gone), (copy, gone, replace(same, post_id="post_4"))):
        assert judged(item(), *posts).made in {"post_3", "post_4"}, "what is there counts"
    assert said.endswith("a column twin (True) says so, and a column attempt set to 2 makes the row again")
    assert judged(item(), copy) == Verdict(made="post_2"), "a post that was changed is still the row's"
    another = replace(copy, op_mark=keys.mark("c", "r1", 2))
    assert judged(item(), gone, another) == Verdict(made="post_2"), "a next attempt that was changed since"
    assert judged(item(), gone, replace(copy, op_mark=None)) == Verdict(made="post_2")
    assert judged(item(), replace(gone, op_mark=None), replace(copy, op_mark=None)) == Verdict(made="post_2")
    earlier = replace(copy, created="2026-03-02T08:59:59+00:00")
    assert judged(item(), gone, earlier) == Verdict(made="post_2"), "what was there before is no duplicate"
    twin = replace(copy, post_id="post_0", created=MADE)
    assert judged(item(), gone, twin) == Verdict(made="post_0"), "of two of one instant the smaller id is the first"


def test_rule_13_a_post_with_the_row_s_mark_is_it_or_blocks_it():
    assert judged(item()) == NOTHING
    assert judged(item(), made()) == Verdict(made="post_1")
    other = judged(item(), made(asked="another", shown="another"))
    assert other.made is None
    assert other.blocked.startswith("already posted as post_1 with other content, accounts or time")
    mended = judged(item(), made(asked="another"))
    assert mended.made is None, "tags and media are not shown"
    assert mended.blocked.startswith(
        "already posted as post_1, which shows this text, these accounts and this time by now"
    )
    assert judged(item(), made(asked=None)) == Verdict(made="post_1"), "by what it shows"
    assert judged(item(), made(asked=None, shown="another")).blocked
    assert judged(item(), made(asked=None, shown=None)) == Verdict(made="post_1"), "its mark is all that it shows"


def test_rule_13_drafts_without_a_time_do_not_count():
    """They are clones, where the post is there that they were cloned from."""
    clone = made(status="draft", shown=None)
    assert judged(item(), clone, made(post_id="post_2")) == Verdict(made="post_2")
    gone = made(post_id="post_2", status="cancelled")
    assert judged(item(), clone, gone).blocked.startswith("made as post_2, cancelled since")
    said = "made as post_1, a draft again since; to make it again, set a column attempt to 2"
    assert judged(item(), clone).blocked == said, "somebody has cleared its time"
    assert judged(item(), clone, made(post_id="post_3", status="draft", shown=None)).blocked == said
    other = made(post_id="post_2", op_mark="of another attempt")
    assert judged(item(), clone, other) == Verdict(made="post_2")


def test_rule_13_what_an_approver_has_sent_back_blocks_its_own_attempt():
    """It is a draft, and has its time; whatever goes out counts before it."""
    back = made(status="draft")
    assert (
        judged(item(), back).blocked
        == "made as post_1, a draft again since; to make it again, set a column attempt to 2"
    )
    assert judged(item(attempt=2), back) == NOTHING
    assert judged(item(), back, made(post_id="post_2")) == Verdict(made="post_2")


@pytest.mark.parametrize("status", ["cancelled", "unpublished", "deleted"])
def test_rule_13_what_was_withdrawn_blocks_its_own_attempt_and_no_later_one(status):
    gone = made(status=status)
    assert (
        judged(item(), gone).blocked == f"made as post_1, {status} since; to make it again, set a column attempt to 2"
    )
    assert judged(item(attempt=2), gone) == NOTHING
    assert judged(item(attempt=2), made(2, status=status)).blocked
    assert judged(item(attempt=2), made(3, status=status)).blocked, "a later attempt than this one was withdrawn"
    assert judged(item(attempt=2), made(None, status=status)).blocked, "which attempt it was is not known"
    assert judged(item(attempt=2), made(1, status=status, op_mark="strange")).blocked


def test_rule_26_the_same_post_under_another_name_blocks_the_row():
    other = made(label="r2")
    blocked = judged(item(), alike=(other,)).blocked
    assert blocked.startswith("looks like another row of this campaign, made as post_1; set a column twin to True")
    assert judged(item(twin=True), alike=(other,)) == NOTHING
    assert judged(item(), alike=(made(),)) == NOTHING, "it is this row's own"
    assert judged(item(), alike=(replace(other, row_mark=None),)).blocked == blocked
    assert judged(item(), alike=(replace(other, campaign_mark="another"),)) == NOTHING
    assert judged(item(), alike=(replace(other, status="failed"),)) == NOTHING
    gone = judged(item(), alike=(replace(other, status="cancelled"),)).blocked
    assert gone.startswith(
        "looks like another row of this campaign, made as post_1, cancelled since; set a column twin to True"
    )
    assert "a draft again since" in judged(item(), alike=(replace(other, status="draft"),)).blocked
    assert judged(item(), alike=(replace(other, status="cancelled", campaign_mark="another"),)) == NOTHING
    elsewhere = replace(other, campaign_mark="another")
    assert judged(item(named=True), alike=(elsewhere,)) == NOTHING
    assert judged(item(named=False), alike=(replace(elsewhere, status="cancelled"),)) == NOTHING
    doubted = judged(item(named=False), alike=(elsewhere,)).blocked
    assert doubted.startswith("looks like a row of another campaign, made as post_1; pass campaign=")
    assert judged(item(named=False, twin=True), alike=(elsewhere,)) == NOTHING
    assert judged(item(named=False), alike=(replace(elsewhere, status="cancelled"), elsewhere)).blocked == doubted
    bare = replace(item(), body=None)
    assert judged(bare, alike=(other,)) == NOTHING
    assert judged(replace(item(), body=BODY), alike=(replace(other, campaign_mark=None),)).blocked


def test_rule_26_a_live_post_that_nobody_made_for_a_row_blocks_it():
    hand = made(op_mark=None, row_mark=None, campaign_mark=None, asked=None)
    assert judged(item(), alike=(hand,)).blocked.startswith(
        "looks like post_1, made by hand or elsewhere; set a column twin"
    )
    for gone in ("cancelled", "draft", "failed", "deleted"):
        assert judged(item(), alike=(replace(hand, status=gone),)) == NOTHING, gone
    assert judged(item(twin=True), alike=(hand,)) == NOTHING
    assert judged(item(), made(), alike=(hand,)) == Verdict(made="post_1"), "the row's own post comes first"
    assert judged(item(), alike=(made(row_mark=None),)) == NOTHING, "by its other mark it is this row's"
    assert judged(item(), alike=(made(label="other", row_mark=None),)).blocked


def test_rule_26_texts_that_read_the_same_show_the_same():
    def body(content: str) -> dict[str, Any]:
        return {**BODY, "content": content}

    same = ["a\nb", "a b", " a  b\r\n", "a\u00a0b", "a\u200b b"]
    assert len({shown_of_body(body(text)) for text in same}) == 1
    assert shown_of_body(body("caf\u00e9")) == shown_of_body(body("cafe\u0301"))
    assert shown_of_body(body("\u2764\ufe0f")) == shown_of_body(body("\u2764"))
    assert len({shown_of_body(body(text)) for text in ("a b", "ab", "A b", "a b.")}) == 4


def state(post_id: str = "post_1", **shown: Any) -> PostState:
    return PostState(post_id, "scheduled", **{"updated_at": MADE, "created_at": MADE, **shown})


def whole(post_id: str = "post_1", **shown: Any) -> PostState:
    targets = (TargetState("twitter", "a"), TargetState("linkedin", "b"))
    return state(post_id, **{"content": BODY["content"], "scheduled_for": WHEN, "targets": targets, **shown})


def member(position: int, label: str = "r1") -> Member:
    return Member(1, position, item(label), Outcome.UNKNOWN, "")


def test_rule_13_posts_are_found_by_their_marks_the_earliest_first():
    mine, other, third, fourth = ({"voxopsOp": keys.mark("c", label, 1)} for label in ("r1", "r2", "r3", "r4"))
    posts = [
        state("post_1", metadata=mine, created_at=LATER),
        state("post_3", metadata=mine),
        state("post_2", metadata=mine),
        state("post_0", metadata=mine, created_at=None),
        replace(state("post_4", metadata=other), status="draft"),
        replace(state("post_7", metadata=third, scheduled_for=WHEN), status="draft"),
        state("post_8", metadata=other),
        replace(state("post_9", metadata=fourth), status="draft"),
        replace(state("post_99", metadata=fourth), status="draft"),
        state("post_a", metadata=third, created_at=LATER),
        state("post_5"),
        state("post_6", metadata={"by": "hand"}),
    ]
    members = [member(0), member(1, "r2"), member(2, "r3"), member(3, "r4"), member(4, "r5")]
    found = find_marked(members, {one.position: BODY for one in members}, posts)
    assert {position: [each.post_id for each in hits] for position, hits in found.items()} == {
        0: ["post_0", "post_2", "post_3", "post_1"],
        1: ["post_8"],  # a draft without a time is a clone of another post that bears the mark
        2: ["post_7", "post_a"],  # one that has its time waits for somebody
        3: ["post_99"],  # and so does one of which there is no other
    }


def test_rule_13_a_mark_on_a_post_that_was_made_with_another_body_is_a_colleague_s():
    mark = {"voxopsOp": keys.mark("c", "r1", 1)}
    posts = [
        state("post_1", metadata={**mark, "voxopsAsked": asked_hash({**BODY, "content": "mended"})}),
        state("post_2", metadata={**mark, "voxopsAsked": asked_hash(BODY)}, content="edited since"),
        state("post_3", metadata=mark, content="of a ledger of before"),
    ]
    for shown, ids in ((posts, ["post_2", "post_3"]), (posts[:1], [])):
        found = find_marked([member(0)], {0: BODY}, shown)
        assert [each.post_id for hits in found.values() for each in hits] == ids


def test_rule_14_a_post_was_edited_when_its_times_differ():
    assert not was_edited(state())
    assert was_edited(state(updated_at=LATER))
    assert not was_edited(state(updated_at=None))
    assert was_edited(state(created_at=None))


def test_rule_14_a_post_without_a_mark_could_be_the_row_unless_something_rules_it_out():
    def could(post: PostState) -> tuple[bool, bool]:
        """Where lists have shown our marks, and where they have not."""
        return could_be(post, BODY, marked=True), could_be(post, BODY, marked=False)

    hand = {"by": "hand"}
    assert could(whole()) == (True, True)
    assert could(state()) == (True, True), "it shows nothing"
    assert could(state(metadata={"voxopsOp": "a" * 32})) == (False, False)
    for altered in ("a" * 24, "a" * 24 + "…", "[redacted]", "", None, ["a" * 32, "b" * 32], {"value": "a" * 32}):
        assert could(state(metadata={"voxopsOp": altered})) == (True, True), "its mark is not shown as it was sent"
    assert could(state(metadata=hand)) == could(state(metadata=hand, updated_at=LATER)) == (False, True)
    assert could(whole(content="another")) == (False, True), "an API may show texts otherwise"
    assert could(whole(content="hello wo…")) == could(whole(content=" hello\r\n wo")) == (True, True)
    assert could(whole(scheduled_for="2027-01-02T09:00:00+00:00")) == (False, False)
    at = datetime.fromisoformat(WHEN)
    for seconds, same in ((59, True), (-59, True), (60, False), (-60, False)):
        moved = (at + timedelta(seconds=seconds)).isoformat()
        assert could(whole(scheduled_for=moved)) == (same, same), "some keep times to the minute"
    assert could(whole(targets=())) == (True, True)
    assert could(whole(targets=(TargetState("twitter", "a"),))) == (False, False)


OTHER = {
    "content": "another", "scheduled_for": "2027-01-02T09:00:00+00:00", "targets": (TargetState("twitter", "a"),)
}  # fmt: skip


@pytest.mark.parametrize("marked", [True, False])
def test_rule_14_a_post_that_was_edited_may_be_the_row_unless_all_of_it_is_other(marked):
    """People change one thing or another, but text, accounts and time at once they don't."""

    def could(**shown: Any) -> bool:
        return could_be(whole(**{"updated_at": LATER, **shown}), BODY, marked=marked)

    assert could()
    assert not could(**OTHER)
    for name in OTHER:
        assert could(**{key: value for key, value in OTHER.items() if key != name}), name
    assert could(**OTHER | {"content": None})
    assert could(**OTHER | {"targets": ()})
    assert could(**OTHER | {"scheduled_for": None}), "it waits, and its time is not shown"
    out = replace(whole(**OTHER | {"scheduled_for": None, "updated_at": LATER}), status="published")
    assert not could_be(out, BODY, marked=marked), "it has gone out at once"
    assert could_be(replace(out, content=whole().content), BODY, marked=marked)
    assert could_be(replace(out, scheduled_for=WHEN), BODY, marked=marked), "at the time that was asked for"


SENT = 1_772_442_000.0  # MADE


def test_rule_14_a_single_read_that_shows_too_little_rules_nothing_out():
    assert not cannot_tell(whole(), [BODY], marked=True)
    assert cannot_tell(whole(updated_at=LATER, content="another"), [BODY], marked=True), "it was edited"
    assert cannot_tell(whole(content="with &amp;"), [BODY], marked=False), "who knows how this API shows texts"
    for hidden in ({"content": None}, {"scheduled_for": None}, {"targets": ()}):
        assert cannot_tell(whole(**hidden), [BODY], marked=True), hidden
    elsewhere = "2027-02-01T09:00:00+00:00"
    for marked in (True, False):
        assert not cannot_tell(whole(content=None, scheduled_for=elsewhere), [BODY], marked=marked), "another time"
        assert not cannot_tell(whole(content=None), [], marked=marked)


def test_rule_14_a_post_older_than_the_send_is_none_of_its_rows():
    at = datetime.fromisoformat(MADE).timestamp()
    assert not is_older(state(created_at=MADE), at + SKEW)
    assert is_older(state(created_at=MADE), at + SKEW + 0.001)
    assert not is_older(state(created_at=None), at + 10 * SKEW), "it may be new"


def test_rule_14_rows_are_paired_with_equal_posts_created_since_the_send():
    twins = {4: BODY, 2: BODY}
    assert pair_unmarked({2: BODY}, [whole()], SENT) == {2: "post_1"}
    assert pair_unmarked(twins, [whole()], SENT) == {2: "post_1"}, "one post is one row"
    assert pair_unmarked(twins, [whole("post_0", created_at=LATER), whole()], SENT) == {2: "post_1", 4: "post_0"}
    assert pair_unmarked(twins, [whole("post_2"), whole()], SENT) == {2: "post_1", 4: "post_2"}
    assert pair_unmarked({2: BODY}, [whole()], SENT + SKEW) == {2: "post_1"}, "two clocks may differ"
    assert pair_unmarked({2: BODY}, [whole()], SENT + SKEW + 1) == {}
    for other in (
        whole(created_at=None),
        whole(content=None),
        whole(content="another"),
        whole(metadata={"voxopsOp": "a" * 32}),
        whole(scheduled_for=None),
        whole(targets=()),
    ):
        assert pair_unmarked({2: BODY}, [other], SENT) == {}
        assert pair_unmarked({2: BODY}, [other, whole("post_2")], SENT) == {2: "post_2"}


def test_rule_14_a_row_is_made_twice_by_what_our_own_sending_may_have_made():
    row = Member(1, 0, item(), Outcome.UNKNOWN, "")
    sent = datetime.fromisoformat(MADE).timestamp()

    def said(*created: str | None) -> str:
        posts = [replace(whole(f"post_{at}"), created_at=when) for at, when in enumerate(created)]
        return made_twice(row, {0: posts}, sent)

    edge = (datetime.fromisoformat(MADE) + timedelta(seconds=SKEW)).isoformat()
    past = (datetime.fromisoformat(MADE) + timedelta(seconds=SKEW, microseconds=1)).isoformat()
    assert said(MADE, edge) == "r1 was created twice: post_0, post_1"
    assert said(MADE, None) == "r1 was created twice: post_0, post_1", "when it was made nobody knows"
    assert said(MADE, past) == said(MADE) == said() == ""
    assert made_twice(row, {}, sent) == ""
