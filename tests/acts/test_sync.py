"""A campaign that shows its sheet: creates, changes and withdrawals of one plan, counted at the server."""

import re
from collections import Counter, defaultdict
from contextlib import ExitStack

import pandas as pd
import pytest
from tests.chaos import world
from tests.sandbox.support import again
from tests.virtual import workspace

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.errors import PlanError

STATUSES = ("published", "publishing", "failed", "partial", "draft", "approved")
HELD = "Not eligible, and why"
NINE, TEN = "2027-03-01T09:00:00Z", "2027-03-01T10:00:00Z"


class Desk:
    """Laptops with ledgers of their own on one sandbox, in virtual time."""

    def __init__(self, sandbox, folder, stack):
        self.sandbox = sandbox
        self.laptops = {name: stack.enter_context(workspace(sandbox, ledger=folder / name)) for name in "ab"}
        self.account, self.other = list(world.accounts(sandbox).values())[:2]

    def sheet(self, **texts):
        rows = {"row_id": list(texts), "content": list(texts.values()), "accounts": self.account, "scheduled_for": NINE}
        return pd.DataFrame(rows)

    def posts(self, name="a"):
        return self.laptops[name].posts(campaign="spring")

    def plan(self, sheet, name="a", posts=None, **options):
        seen = self.posts(name) if posts is None else posts
        return vx.plan_sync(sheet, seen, key="row_id", campaign="Spring", **options)

    def run(self, plan, name="a"):
        table = self.laptops[name].run(plan).wait(60).results()
        self.sandbox.advance(400)
        return table

    def sync(self, sheet, name="a", **options):
        return said(self.run(self.plan(sheet, name, **options), name), "outcome")

    @property
    def live(self):
        """Texts of what waits to go out, by its time."""
        texts = defaultdict(list)
        for post in self.sandbox.world.posts.values():
            if post.status == "scheduled":
                texts[f"{pd.Timestamp(post.scheduled_for, unit='ms').isoformat()}Z"].append(post.content)
        return {time: " ".join(sorted(some)) for time, some in texts.items()}

    def post(self, text):
        """The last post with this text."""
        return [post.id for post in self.sandbox.world.posts.values() if post.content == text][-1]

    @property
    def effects(self):
        return Counter(effect["kind"].removeprefix("post.") for effect in self.sandbox.effects())

    @property
    def person(self):
        self.sandbox.advance(5)
        return self.sandbox.person


def said(thing, column="reason_code"):
    """Acts of a plan or of results, and what is said of each."""
    frame = getattr(thing, "frame", thing)
    return " ".join(f"{act}:{word}" for act, word in zip(frame["act"], frame[column], strict=True))


@pytest.fixture(scope="module")
def server():
    with Sandbox(seed=11, empty=True, rate_limit=None) as sandbox:
        yield sandbox


@pytest.fixture
def desk(server, tmp_path):
    with ExitStack() as stack:
        yield Desk(again(server, empty=True, silent_webhooks=True), tmp_path, stack)


def test_a_sheet_of_which_rows_were_edited_moved_deleted_added_and_left_alone(desk):
    """On a laptop that did not create them; Run All with the old frame on both laptops sends nothing, and new frames plan nothing."""
    first = desk.sheet(a="A", b="B", c="C", d="D")
    old = {"a": desk.posts(), "b": desk.posts("b")}
    assert desk.sync(first) == "create:succeeded create:succeeded create:succeeded create:succeeded"
    sheet = desk.sheet(a="A2", b="B", c="C", e="E")
    sheet.loc[1, "scheduled_for"] = TEN
    seen = desk.posts("b")
    plan = desk.plan(sheet, posts=seen, withdraw=True)
    assert said(plan) == "change:ready change:ready none:sync_as_is create:ready withdraw:ready"
    assert said(desk.plan(sheet, posts=seen)).endswith("withdraw:withdraw_not_asked")
    assert plan.frame[["now_content", "new_content"]].iloc[0].to_list() == ["A", "A2"]
    assert plan.frame["post_id"].to_list()[4] == desk.post("D")
    assert set(desk.run(plan, "b")["outcome"]) == {"succeeded"}
    done = desk.effects
    assert done == {"create": 5, "update": 2, "cancel": 1}
    # Another ledger's changes and withdrawals are no longer as the frame shows.
    for name, stale in (("a", 3), ("b", 0)):
        once_more = desk.run(desk.plan(sheet, posts=seen, withdraw=True), name)
        assert (once_more["reason_code"] == "sync_stale").sum() == stale
        assert desk.plan(sheet, name, withdraw=True).eligible == 0
        assert said(desk.run(desk.plan(first, posts=old[name]), name)).endswith("create:sync_stale")
    assert (desk.live, desk.effects) == ({NINE: "A2 C E", TEN: "B"}, done)


def test_a_plan_shows_its_acts_in_groups_each_change_before_and_after(desk):
    desk.sync(desk.sheet(a="A", b="B", c="C"))
    lines = repr(desk.plan(desk.sheet(a="A2", b="B", d="D"), withdraw=True)).splitlines()
    heads = [line.split(" · ")[0] for line in lines if re.match("Plan|To |Not", line)]
    assert heads == ["Plan to sync: 3 of 4 rows", "To withdraw: 1 row", "To change: 1 row", "To create: 1 row", HELD]
    assert {"a", "A", "A2"} <= set(lines[lines.index("To change: 1 row") + 2].split())


def test_a_row_returns_where_its_own_sync_withdrew_it_and_not_where_a_person_did(desk):
    whole, less = desk.sheet(a="A", b="B"), desk.sheet(a="A")
    desk.sync(whole)
    for attempt in (2, 3):
        desk.sync(less, withdraw=True)
        assert said(desk.plan(whole, "b")) == "none:sync_as_is none:withdrawn_since", "its ledger can't tell who it was"
        plan = desk.plan(whole)
        assert plan.frame["attempt"].to_list() == [1, attempt]
        for _ in range(2):
            assert said(desk.run(plan), "outcome") == "create:succeeded"
        assert desk.live == {NINE: "A B"}
    desk.person.withdraw(desk.post("A"))
    assert said(desk.plan(whole)) == "none:withdrawn_since none:sync_as_is"
    assert desk.sync(whole.assign(attempt=[2, 1])) == "create:succeeded", "somebody says that it is meant"
    desk.person.delete(desk.post("B"))
    assert desk.sync(whole.assign(attempt=[2, 1])) == "create:blocked"
    assert desk.effects["create"] == 5


def test_what_a_person_edited_is_blocked_unless_the_sheet_may_win(desk):
    """By the marks of the posts alone: the second laptop knows nothing else."""
    desk.sync(desk.sheet(a="A", b="B", c="C"))
    desk.sync(edited := desk.sheet(a="A", b="B2", c="C"))
    desk.person.edit(desk.post("A"), content="Ahand")
    desk.person.edit(desk.post("B2"), scheduled_for=TEN)
    desk.person.edit(desk.post("C"), tags=["hand"])
    assert said(desk.plan(edited, "b")) == "change:sync_edited change:sync_edited none:sync_as_is"
    assert said(desk.plan(desk.sheet(a="Ahand", b="B2", c="C"), "b")).startswith("none:sync_as_is")
    for name in ("b", "a"):
        assert desk.sync(edited.assign(override=[True, None, None]), name) == "change:succeeded" * (name == "b")
    assert desk.live == {NINE: "A C", TEN: "B2"}
    one, posts = edited.head(1), desk.posts()
    gone = "none:sync_as_is withdraw:sync_edited withdraw:sync_edited"
    assert said(desk.plan(one, posts=posts, withdraw=True)) == gone
    posts["override"] = posts["content"] == "C"
    assert said(desk.run(desk.plan(one, posts=posts, withdraw=True)), "outcome") == "withdraw:succeeded"
    assert desk.live == {NINE: "A", TEN: "B2"}


def test_rule_18_a_row_whose_key_changed_is_created_once_its_old_post_is_withdrawn(desk):
    desk.sync(desk.sheet(a="A", b="B"))
    sheet = desk.sheet(a="A", n="B")
    assert said(desk.plan(sheet)) == "none:sync_as_is create:sync_held withdraw:withdraw_not_asked"
    plan = desk.plan(sheet, withdraw=True)
    assert [why.code for why in plan.why] == ["sync_as_is", "ready", "sync_gone"]
    assert plan.frame["row_id"].to_list() == ["a", "n", "b"], "this ledger knows the row that is gone"
    assert "one of 1 of the campaign's 2 posts" in plan.frame["reason"].iloc[2]
    assert said(desk.run(plan), "outcome") == "create:succeeded withdraw:succeeded"
    assert desk.live == {NINE: "A B"}
    kinds = [effect["kind"] for effect in desk.sandbox.effects()]
    assert kinds == ["post.create", "post.create", "post.cancel", "post.create"]
    plan = desk.plan(sheet := desk.sheet(a="A", m="B"), withdraw=True)
    desk.person.submit(desk.post("B"))
    assert said(desk.run(plan)) == "create:looks_like_row withdraw:sync_stale", "the old post stays"
    assert said(desk.plan(sheet, withdraw=True)) == "none:sync_as_is create:looks_like_row withdraw:not_cancellable"


def test_rule_18_a_frame_that_shows_no_metadata_withdraws_nothing(desk):
    """Nothing tells which rows its posts are."""
    desk.sync(desk.sheet(a="A", b="B"))
    desk.sandbox.set_switches(no_listed_metadata=True)
    posts = desk.laptops["a"].posts()
    assert len(posts) == 2
    assert said(desk.plan(desk.sheet(a="A"), posts=posts)) == "create:ready"
    with pytest.raises(PlanError, match="no post of the frame shows metadata"):
        desk.plan(desk.sheet(a="A"), posts=posts, withdraw=True)
    assert desk.effects == {"create": 2}


def test_rule_18_an_edit_between_the_load_and_a_sync_that_withdraws_stays(desk):
    desk.sync(desk.sheet(a="A", b="B"))
    plan = desk.plan(desk.sheet(a="A2"), withdraw=True)
    for text in ("A", "B"):
        desk.person.edit(desk.post(text), content=f"{text}hand")
    assert said(desk.run(plan)) == "change:sync_stale withdraw:sync_stale"
    assert said(desk.plan(desk.sheet(a="A"), withdraw=True)) == "change:sync_edited withdraw:sync_edited"
    assert desk.live == {NINE: "Ahand Bhand"}


@pytest.mark.parametrize("behind", [True, False])
def test_rule_18_a_row_that_returns_by_an_old_frame_is_there_after_the_next_run(desk, behind):
    """A frame of before its withdrawal, or of before its create: the row is never told that it is as the sheet says."""
    whole, less = desk.sheet(a="A", b="B"), desk.sheet(a="A")
    empty = desk.posts()
    desk.sync(whole)
    old = desk.posts() if behind else empty
    assert desk.sync(less, withdraw=True) == "withdraw:succeeded"
    results = desk.run(desk.plan(whole, posts=old))
    assert dict(zip(results["row_id"], results["reason_code"], strict=True))["b"] == "sync_stale"
    assert desk.live == {NINE: "A"}
    assert desk.sync(whole) == "create:succeeded"
    assert desk.live == {NINE: "A B"}


def test_rule_18_rows_that_swap_their_texts_are_blocked_until_one_takes_a_third(desk):
    desk.sync(desk.sheet(a="A", b="B"))
    assert set(said(desk.run(desk.plan(desk.sheet(a="B", b="A")))).split()) == {"change:looks_like_row"}
    for texts in ({"a": "C", "b": "B"}, {"a": "C", "b": "A"}, {"a": "B", "b": "A"}):
        assert "blocked" not in desk.sync(desk.sheet(**texts))
    assert desk.live == {NINE: "A B"}


def test_accounts_tags_and_what_can_not_be_changed(desk):
    (own,) = [each for each in desk.sandbox.world.accounts.values() if each.id == desk.account]
    name = f"{own.platform}:@{own.username}"
    sheet = desk.sheet(a="A", b="B").assign(accounts=name.upper(), tags=["x;y", None])
    desk.sync(sheet)
    assert said(desk.plan(sheet, "b")) == "none:sync_as_is none:sync_as_is"
    commented = sheet.assign(first_comment=["more", None])
    assert said(desk.plan(commented)) == "change:created_otherwise none:sync_as_is"
    changed = sheet.assign(tags=[None, "z"], accounts=[name, desk.other])
    assert desk.sync(changed, "b") == "change:succeeded change:succeeded"
    shown = {(*post.tags, post.targets[0].account_id) for post in desk.sandbox.world.posts.values()}
    assert shown == {(desk.account,), ("z", desk.other)}
    (posts := desk.posts()).attrs.pop("accounts")
    unnamed = desk.plan(changed, posts=posts)
    assert said(unnamed) == "none:sync_account none:sync_as_is"
    assert "load the posts again with ws.posts(campaign=…)" in unnamed.frame["reason"].iloc[0]


def test_a_text_for_one_platform_can_not_be_changed_as_media_can_not(desk):
    (own,) = [each for each in desk.sandbox.world.accounts.values() if each.id == desk.account]
    text, name = f"content:{own.platform}", f"{own.platform}:@{own.username}"
    sheet = desk.sheet(a="A", b="B").assign(accounts=name, **{text: ["own", None]})
    desk.sync(sheet)
    assert said(desk.plan(sheet, "b")) == "none:sync_as_is none:sync_as_is"
    for other, held in (
        ([None, None], "change:created_otherwise none:sync_as_is"),
        (["own", "B!"], "none:sync_as_is change:created_otherwise"),
    ):
        plan = desk.plan(sheet.assign(**{text: other}), "b")
        assert said(plan) == held
        assert text in str(next(why for why in plan.why if why.code == "created_otherwise"))
    moved = sheet.assign(content=["A2", "B"], override=[True, None], **{text: ["else", None]})
    assert desk.sync(moved, "b") == "change:succeeded"
    assert desk.live == {NINE: "A2 B"}, "the sheet wins over what can be changed"


def test_what_is_out_or_failed_or_a_draft_is_left_alone_and_says_what_it_needs(desk):
    sheet = desk.sheet(**{letter: letter.upper() for letter in "abcdef"})
    desk.sync(sheet)
    for text, status in zip("ABCDEF", STATUSES, strict=True):
        desk.sandbox.world.posts[desk.post(text)].status = status
        desk.sandbox.touch(desk.post(text))
    needs = "none:sync_failed none:sync_failed none:sync_draft"
    assert said(desk.plan(sheet)) == f"none:sync_as_is none:sync_as_is {needs} none:sync_as_is"
    other = sheet.assign(content=sheet["content"] + "!")
    assert said(desk.plan(other)) == f"none:sync_too_late none:sync_too_late {needs} change:not_changeable"
    gone = Counter(said(desk.plan(desk.sheet(z="Z"), withdraw=True)).split())
    assert gone == {"create:ready": 1, "none:sync_out": 4, "withdraw:not_cancellable": 1, "withdraw:sync_edited": 1}
    past = desk.sheet(y="Y").assign(scheduled_for="2020-01-01T09:00:00Z")
    assert said(desk.plan(pd.concat([sheet, past]))).endswith(" none:time_passed")


def test_posts_of_others_and_clones_are_nobodys_and_a_duplicate_is_said(desk):
    desk.sync(desk.sheet(a="A"))
    own, by_hand = desk.post("A"), {"status": "scheduled", "scheduledFor": TEN, "metadata": {"campaign": "spring"}}
    desk.sandbox.plant_post("by hand", [desk.account], **by_hand)
    desk.person.duplicate(own)
    assert said(desk.plan(desk.sheet(a="A"), withdraw=True)) == "none:sync_as_is"
    desk.person.post_copy(own)
    assert said(desk.plan(desk.sheet(a="A2"), withdraw=True)) == "none:sync_doubled"


def test_where_lists_hide_metadata_a_first_post_tells_and_nothing_else_is_created(desk):
    desk.sandbox.set_switches(no_listed_metadata=True)
    assert desk.sync(desk.sheet(a="A", b="B")) == "create:succeeded create:blocked"
    assert desk.sync(desk.sheet(a="A", b="B"), "b") == "create:blocked create:blocked"
    assert desk.effects == {"create": 1}


def test_what_can_not_be_planned_is_an_error_and_a_part_of_a_sheet_withdraws_nothing(desk):
    sheet, posts = desk.sheet(a="A"), desk.posts()
    (undated := posts.copy()).attrs.pop("fetched_at")
    run = desk.laptops["a"].run(desk.plan(sheet)).wait(60)
    assert desk.plan(desk.sheet(b="B"), one_by_one=True).items[0].act == "create_one"
    for wrong, why in (
        ({"campaign": " "}, "must name the campaign"), ({"posts": undated}, "do not say when they were loaded"), ({"key": "post"}, "missing: post"), ({"posts": posts[["post_id"]]}, "missing: status"),
        ({"sheet": run.results()}, "pass the whole sheet"), ({"sheet": sheet.head(0)}, "would withdraw the whole campaign"),
    ):  # fmt: skip
        wanted = {"sheet": sheet, "posts": posts, "key": "row_id", "campaign": "spring", "withdraw": True} | wrong
        with pytest.raises(PlanError, match=why):
            vx.plan_sync(**wanted)
