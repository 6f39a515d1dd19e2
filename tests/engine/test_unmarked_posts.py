"""Posts whose marks, texts or times are shown otherwise than they were sent are found all the same, or block (rules 11, 13 and 14)."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.days import codes, done, sent_back
from tests.engine.steps import BULK, plan_rows, planned
from tests.engine.verbs import copies

from voxburst_sandbox import Fault, wire
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
def test_rule_14_a_single_read_shows_the_mark_that_lists_leave_out(rig: Rig, items: int) -> None:
    """Nothing is odd here but the switch: lists show no metadata, single reads do."""
    rig.sandbox.set_switches(forget_key_on_5xx=True, no_listed_metadata=True)
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=items))
    assert outcomes(rig.kernel().run(plan_rows(rig, 3))) == {"succeeded": 3}
    assert set(rig.created().values()) == {1}


TEXTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "plain": ("plain %d", str),
    "line ends": ("one\r\ntwo %d", lambda text: text.replace("\r\n", "\n")),
    "one line": ("one\n\ntwo %d", lambda text: " ".join(text.split())),
    "trimmed": ("  one %d", str.strip),
    "composed": ("Cafe\u0301 %d", lambda text: unicodedata.normalize("NFC", text)),
    "entities": ("Salt & pepper %d", html.escape),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_reads_the_same_is_the_row(rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It rules no row out (rule 14), and its duplicates are reported (rule 28)."""
    text, change = TEXTS[name]
    shows(monkeypatch, lambda post: post.update(content=change(post["content"])))
    sheet = rig.campaign(3).assign(content=[text % row for row in range(3)])
    kernel = rig.kernel("marked")
    run = done(kernel, planned(sheet.head(1)))
    rig.sandbox.advance(100)
    rig.sandbox.person.post_copy(*rig.sandbox.world.posts)
    assert len(copies(kernel, run)) == 1
    rig.sandbox.reset(empty=True)
    rig.sandbox.set_switches(no_metadata=True)
    created_once(rig, planned(sheet))


def test_rule_14_a_time_that_is_kept_to_the_minute_rules_no_row_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_rule_14_metadata_without_our_marks_rule_no_row_out(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str, lists: bool
) -> None:
    shows(monkeypatch, lambda post: post.update(metadata=METADATA[name](post["metadata"])), lists=lists)
    created_once(rig, plan_rows(rig, 2))


@pytest.mark.parametrize(
    "who", ["the API, of all posts", "an approver, who has sent them back", "somebody, who has cleared their times"]
)
def test_rule_13_a_draft_that_is_no_clone_is_its_row(rig: Rig, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    """It bears the mark, and no other post does. A colleague runs the same sheet, and is told of it; then it is scheduled again."""
    if who.startswith("the API"):
        shows(monkeypatch, lambda post: post.update(status="draft"))
        created_once(rig, plan_rows(rig, 2))
        return
    rig.kernel("mine").run(plan_rows(rig, 2))
    for post_id, post in list(rig.sandbox.world.posts.items()):
        if who.startswith("an approver"):
            sent_back(rig, post_id)
        else:
            post.status, post.scheduled_for = "draft", None
    rig.sandbox.advance(26 * 3600)
    table = rig.kernel("theirs").run(plan_rows(rig, 2))
    assert (outcomes(table), codes(table)) == ({"blocked": 2}, {"withdrawn_since"})
    assert set(rig.created().values()) == {1}


def test_a_change_whose_text_reads_as_requested_has_not_failed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 1))
    shows(monkeypatch, lambda post: post.update(content=post["content"].replace("\r\n", "\n")))
    assert outcomes(kernel.run(plan_update(kernel.posts().assign(new_content="one\r\ntwo")))) == {"succeeded": 1}
