"""Posts whose marks, texts or times are shown otherwise than they were sent, or not at all, are found all the same, or block (rules 11, 13 and 14)."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from tests.chaos.rig import Kernel, Rig, codes, outcomes, planned
from tests.engine.steps import BULK

from voxburst_sandbox import Fault, wire
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.update import plan_update

SHOWN = wire.post


Change = Callable[[dict[str, Any]], None]


def shows(monkeypatch: pytest.MonkeyPatch, change: Change, *, lists: bool = False) -> None:
    """Let the API show posts otherwise, everywhere or in lists alone."""

    def post(world: Any, item: Any, *, listed: bool = False) -> dict[str, Any]:
        shown = SHOWN(world, item, listed=listed)
        if listed or not lists:
            change(shown)
        return shown

    monkeypatch.setattr(wire, "post", post)


def created_once(rig: Rig, plan: Plan) -> None:
    """Run a plan whose bulk request takes effect and is answered by a 500 that leaves no key; nothing may be posted twice."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="status", when="after", method="POST", path=BULK, status=500))
    run = kernel.bind(plan)
    for _ in range(2):
        kernel.go(run)
    assert set(rig.created().values()) == {1}
    assert set(outcomes(kernel.results(run))) <= {"succeeded", "unknown"}


@pytest.mark.parametrize("items", [0, 2, 3])
def test_rule_14_a_single_read_shows_the_mark_that_lists_leave_out(rig, items):
    """Nothing is odd here but the switch: lists show no metadata, single reads do."""
    rig.sandbox.set_switches(forget_key_on_5xx=True, no_listed_metadata=True)
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=items))
    assert outcomes(rig.kernel().run(rig.plan_rows(3))) == {"succeeded": 3}
    assert set(rig.created().values()) == {1}


TEXTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "plain": ("plain %d", str), "line ends": ("one\r\ntwo %d", lambda text: text.replace("\r\n", "\n")),
    "one line": ("one\n\ntwo %d", lambda text: " ".join(text.split())), "trimmed": ("  one %d", str.strip),
    "composed": ("Cafe\u0301 %d", lambda text: unicodedata.normalize("NFC", text)), "entities": ("Salt & pepper %d", html.escape),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_reads_the_same_is_the_row(rig, monkeypatch, name):
    """It rules no row out (rule 14), and its duplicates are reported (rule 28)."""
    text, change = TEXTS[name]
    shows(monkeypatch, lambda post: post.update(content=change(post["content"])))
    sheet = rig.campaign(3).assign(content=[text % row for row in range(3)])
    kernel = rig.kernel("marked")
    run = kernel.done(planned(sheet.head(1)))
    rig.sandbox.advance(100)
    rig.sandbox.person.post_copy(*rig.sandbox.world.posts)
    assert len(kernel.copies(run)) == 1
    rig.sandbox.reset(empty=True)
    rig.sandbox.set_switches(no_metadata=True)
    created_once(rig, planned(sheet))


def test_rule_14_a_time_that_is_kept_to_the_minute_rules_no_row_out(rig, monkeypatch):
    rig.sandbox.set_switches(no_metadata=True)
    shows(monkeypatch, lambda post: post.update(scheduledFor=post["scheduledFor"][:17] + "00.000Z"))
    sheet = rig.campaign(2)
    sheet["scheduled_for"] = [text[:17] + "31" + text[19:] for text in sheet["scheduled_for"]]
    created_once(rig, planned(sheet))


METADATA: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "the API's own": lambda _: {"source": "api"},
    "names without values": dict.fromkeys,
    "lower case": lambda marks: {name.lower(): value for name, value in marks.items()},
}


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("name", METADATA)
def test_rule_14_metadata_without_our_marks_rule_no_row_out(rig, monkeypatch, name, lists):
    shows(monkeypatch, lambda post: post.update(metadata=METADATA[name](post["metadata"])), lists=lists)
    created_once(rig, rig.plan_rows(2))


@pytest.mark.parametrize(
    "who", ["the API, of all posts", "an approver, who has sent them back", "somebody, who has cleared their times"]
)
def test_rule_13_a_draft_that_is_no_clone_is_its_row(rig, monkeypatch, who):
    """It bears the mark, and no other post does. A colleague runs the same sheet, and is told of it; then it is scheduled again."""
    if who.startswith("the API"):
        shows(monkeypatch, lambda post: post.update(status="draft"))
        created_once(rig, rig.plan_rows(2))
        return
    rig.kernel("mine").run(rig.plan_rows(2))
    for post_id, post in list(rig.sandbox.world.posts.items()):
        if who.startswith("an approver"):
            rig.sent_back(post_id)
        else:
            post.status, post.scheduled_for = "draft", None
    rig.sandbox.advance(26 * 3600)
    table = rig.kernel("theirs").run(rig.plan_rows(2))
    assert (outcomes(table), codes(table)) == ({"blocked": 2}, {"withdrawn_since"})
    assert set(rig.created().values()) == {1}


def test_a_change_whose_text_reads_as_requested_has_not_failed(rig, monkeypatch):
    kernel = rig.kernel()
    kernel.run(rig.plan_rows(1))
    shows(monkeypatch, lambda post: post.update(content=post["content"].replace("\r\n", "\n")))
    assert outcomes(kernel.run(plan_update(kernel.posts().assign(new_content="one\r\ntwo")))) == {"succeeded": 1}


@pytest.mark.parametrize(("shown", "expected"), [
    pytest.param("nothing", 30, id="lists show no metadata: every post that is not ours, once, whether or not it looks alike"),
    pytest.param("others", 1, id="lists show metadata, of others: one post is compared"),
    pytest.param("ours", 0, id="lists show our marks"),
])  # fmt: skip
def test_rule_13_posts_are_read_by_themselves_once_and_only_where_lists_show_no_marks(rig, shown, expected):
    rig.sandbox.set_switches(no_listed_metadata=shown == "nothing")
    kernel, sheet = rig.kernel(), rig.campaign(20)
    if shown != "others":
        kernel.run(planned(rig.campaign(5, start=50)))
        rig.sandbox.advance(600)
    for number, row in enumerate(sheet.head(15).to_dict("records")):
        for content in (row["content"], f"other {number}"):
            rig.sandbox.plant_post(
                content, [row["accounts"]], status="scheduled", scheduledFor=row["scheduled_for"], daysOld=0.001
            )
    counts = []
    for _ in range(3):
        before = len(rig.sandbox.requests())
        assert outcomes(kernel.run(planned(sheet.head(15)))) == {"blocked": 15}
        read = rig.sandbox.requests()[before:]
        counts.append(sum(each["path"] != "/v1/posts" for each in read))
        assert len(read) - counts[-1] < 12
        rig.sandbox.advance(600)
    assert counts == [expected, 0, 0]


def another(rig: Rig, kernel: Kernel, number: int, **options: str) -> None:
    """Another campaign is run, so that the list is read."""
    kernel.run(plan_create(rig.campaign(1, start=number), key="row_id", campaign=f"other {number}", **options))


@pytest.mark.parametrize(("switch", "became"), [("no_metadata", "blocked"), ("no_listed_metadata", "succeeded")])
@pytest.mark.parametrize("sheets", [False, True], ids=["at once", "after other sheets"])
def test_a_lost_ledger_posts_nothing_twice_where_lists_show_no_metadata(rig, switch, became, sheets):
    """Single reads tell whose the posts are; where they don't, their looks block the rows. A twin is meant."""
    rig.sandbox.set_switches(**{switch: True})
    lost, new, sheet = rig.kernel("lost"), rig.kernel("new"), rig.campaign(3, start=10)
    another(rig, lost, 0)
    lost.run(planned(sheet))
    rig.sandbox.advance(26 * 3600)
    for number in (30, 31) if sheets else ():
        another(rig, new, number)
        rig.sandbox.advance(3600)
        for each in range(30):
            rig.sandbox.plant_post(
                f"other {number} {each}", list(rig.accounts.values())[:1], status="published", daysOld=0
            )
    table = new.run(planned(sheet))
    assert (outcomes(table), codes(table)) == ({became: 3}, {"looks_like"} if became == "blocked" else set())
    assert set(rig.created().values()) == {1}
    assert outcomes(new.run(planned(sheet.head(1).assign(row_id="x", twin=True)))) == {"succeeded": 1}


@pytest.mark.parametrize("one_by_one", [True, False])
def test_two_ledgers_one_after_the_other_where_nothing_shows_metadata(rig, one_by_one):
    """One binds and is paused before it sends; another runs an overlapping sheet; the next day the first is resumed."""
    rig.sandbox.set_switches(no_metadata=True)
    theirs, mine = rig.kernel("a"), rig.kernel("b")
    run = mine.bind(planned(rig.campaign(4), one_by_one=one_by_one))
    theirs.run(planned(rig.campaign(3), one_by_one=one_by_one))
    rig.sandbox.advance(26 * 3600)
    mine.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(mine.results(run)) == {"blocked": 3, "succeeded": 1}
