"""Posts whose marks, texts or times are shown otherwise than they were sent are found all the same, or held (rules 11, 13 and 14)."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, plan_rows

from voxburst_sandbox import Fault, wire
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.acts.update import plan_update

LOST = Fault(action="status", when="after", method="POST", path=BULK, status=500)
SHOWN = wire.post


def shows(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None], *, lists: bool = False) -> None:
    """Let the API show posts otherwise, everywhere or in lists alone."""

    def post(world: Any, item: Any, *, listed: bool = False) -> dict[str, Any]:
        shown = SHOWN(world, item, listed=listed)
        if listed or not lists:
            change(shown)
        return shown

    monkeypatch.setattr(wire, "post", post)


def made_once(rig: Rig, plan: Any) -> None:
    """Run a plan whose bulk request takes effect and is answered by a 500 that leaves no key; nothing may be posted twice."""
    kernel = rig.kernel()
    rig.sandbox.add_fault(LOST)
    run = kernel.bind(plan)
    kernel.go(run)
    kernel.go(run)
    assert set(rig.created().values()) == {1}
    assert set(outcomes(kernel.results(run))) <= {"succeeded", "unknown"}


@pytest.mark.parametrize("items", [0, 2, 3])
def test_rule_14_a_single_read_shows_the_mark_that_lists_leave_out(rig: Rig, items: int) -> None:
    """Nothing is odd here but the switch: lists show no metadata, single reads do."""
    rig.sandbox.set_switches(forget_key_on_5xx=True, no_listed_metadata=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=items))
    run = kernel.bind(plan_rows(rig, 3))
    kernel.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 3}


TEXTS = {
    "line ends": ("one\r\ntwo %d", lambda text: text.replace("\r\n", "\n")),
    "one line": ("one\n\ntwo %d", lambda text: " ".join(text.split())),
    "trimmed": ("  one %d", str.strip),
    "composed": ("Cafe\u0301 %d", lambda text: unicodedata.normalize("NFC", text)),
    "entities": ("Salt & pepper %d", html.escape),
}


@pytest.mark.parametrize("name", TEXTS)
def test_rule_14_a_text_that_reads_the_same_rules_no_row_out(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text, change = TEXTS[name]
    rig.sandbox.set_switches(forget_key_on_5xx=True, no_metadata=True)
    shows(monkeypatch, lambda post: post.update(content=change(post["content"])))
    sheet = rig.campaign(3)
    made_once(rig, plan_create(sheet.assign(content=[text % row for row in range(3)]), key="row_id"))


def test_rule_14_a_time_that_is_kept_to_the_minute_rules_no_row_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.sandbox.set_switches(forget_key_on_5xx=True, no_metadata=True)
    shows(monkeypatch, lambda post: post.update(scheduledFor=post["scheduledFor"][:17] + "00.000Z"))
    sheet = rig.campaign(2)
    sheet["scheduled_for"] = [text[:17] + "31" + text[19:] for text in sheet["scheduled_for"]]
    made_once(rig, plan_create(sheet, key="row_id"))


METADATA = {
    "the API's own": lambda _: {"source": "api"},
    "names without values": dict.fromkeys,
    "lower case": lambda marks: {name.lower(): value for name, value in marks.items()},
}


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("name", METADATA)
def test_rule_14_metadata_without_our_marks_rule_no_row_out(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str, lists: bool
) -> None:
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    shows(monkeypatch, lambda post: post.update(metadata=METADATA[name](post["metadata"])), lists=lists)
    made_once(rig, plan_rows(rig, 2))


def test_rule_13_a_post_that_is_shown_as_a_draft_and_has_its_time_is_no_clone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    shows(monkeypatch, lambda post: post.update(status="draft"))
    made_once(rig, plan_rows(rig, 2))


def test_rule_13_what_an_approver_has_sent_back_is_not_made_again(rig: Rig) -> None:
    """It is a draft then, and bears the mark; no other post does, so it is no clone. A colleague runs the same sheet."""
    kernel = rig.kernel("mine")
    kernel.run(plan_rows(rig, 2))
    for post_id in kernel.posts()["post_id"]:
        rig.sandbox.person.submit(post_id)
        rig.sandbox.person.reject(post_id)
    rig.sandbox.advance(26 * 3600)
    table = rig.kernel("theirs").run(plan_rows(rig, 2))
    assert set(rig.created().values()) == {1}
    assert outcomes(table) == {"blocked": 2}


@pytest.mark.parametrize("switch", ["no_listed_metadata", "no_metadata"])
def test_rule_26_a_lost_ledger_posts_nothing_twice_where_lists_show_no_metadata(rig: Rig, switch: str) -> None:
    """Single reads tell whose the posts are. Where they don't, that they are what the rows ask for holds them. A twin is meant."""
    rig.sandbox.set_switches(**{switch: True})
    rig.kernel("lost").run(plan_rows(rig, 3))
    rig.sandbox.advance(26 * 3600)
    table = rig.kernel("new").run(plan_rows(rig, 3))
    assert set(rig.created().values()) == {1}
    if switch == "no_listed_metadata":
        assert outcomes(table) == {"succeeded": 3}
    else:
        assert table["waiting_for"].str.contains("made by hand or elsewhere; set a column twin").fillna(False).all()
    twin = rig.kernel("new").run(plan_create(rig.campaign(1).assign(twin=True), key="row_id"))
    assert outcomes(twin) == {"succeeded": 1}


def test_rule_26_what_a_person_has_posted_by_hand_is_not_posted_again(rig: Rig) -> None:
    sheet = rig.campaign(4)
    for row, status in zip(sheet.to_dict("records"), ("scheduled", "cancelled", "draft"), strict=False):
        rig.sandbox.plant_post(row["content"], [row["accounts"]], scheduledFor=row["scheduled_for"], status=status)
    table = rig.kernel().run(plan_create(sheet, key="row_id"))
    assert table["outcome"].to_list() == ["blocked", "succeeded", "succeeded", "succeeded"], "only what goes out counts"


def test_a_change_whose_text_reads_as_asked_has_not_failed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 1))
    shows(monkeypatch, lambda post: post.update(content=post["content"].replace("\r\n", "\n")))
    table = kernel.run(plan_update(kernel.posts().assign(new_content="one\r\ntwo")))
    assert outcomes(table) == {"succeeded": 1}


@pytest.mark.parametrize("name", [None, *TEXTS])
def test_rule_28_copies_whose_text_is_shown_otherwise_are_reported(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    text, change = TEXTS[name] if name else ("plain %d", str)
    shows(monkeypatch, lambda post: post.update(content=change(post["content"])))
    kernel = rig.kernel()
    sheet = rig.campaign(1)
    run = kernel.bind(plan_create(sheet.assign(content=[text % 1]), key="row_id"))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    (post_id,) = kernel.posts()["post_id"]
    rig.sandbox.person.post_copy(post_id)
    assert len(eventloop.run(execution.made(copies=True))) == 1
