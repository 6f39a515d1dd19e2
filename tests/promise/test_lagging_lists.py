"""Promised: lists that lag up to a minute, or show no metadata, make nothing go out twice."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, codes, outcomes, planned
from tests.engine.steps import BULK, HOUR

from voxburst_sandbox import Fault, posts


def partly(rig: Rig, items: int) -> None:
    """The next batch creates so many rows, and is answered 500."""
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=items))


@pytest.mark.parametrize("made", [0, 12, 20])
@pytest.mark.parametrize("lag", [60.0, *(pytest.param(lag, marks=pytest.mark.release) for lag in (0.0, 5.0, 20.0))])
def test_rule_09_a_500_in_the_middle_of_a_batch_creates_no_row_twice(rig, made, lag):
    """12 of 20 are created, 500, lists lag, and no key is kept: a blind resend makes 12 duplicates."""
    rig.sandbox.set_switches(list_lag_seconds=lag, forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1)
    partly(rig, made)
    assert outcomes(rig.kernel().run(rig.plan_rows(20))) == {"succeeded": 20}
    rig.each_once(20)
    sent = [datetime.fromisoformat(entry["at"]) for entry in rig.acts()]
    assert made in {0, 20} or sent[1] - sent[0] >= timedelta(minutes=5), "no row of the rest can be in flight any more"


LATER = "2027-03-01T09:01:00+00:00"


HIDDEN = pytest.mark.parametrize(
    ("hidden", "how"),
    [
        ("no_listed_metadata", "moved"),
        ("empty_listed_metadata", "mended"),
        pytest.param("no_listed_metadata", "mended", marks=pytest.mark.release),
        pytest.param("empty_listed_metadata", "moved", marks=pytest.mark.release),
    ],
)


def change(rig: Rig, texts: Iterable[str], how: str) -> None:
    """Somebody moves the posts with these texts by a minute, or mends them."""
    wanted = set(texts)
    for post in [post for post in rig.sandbox.world.posts.values() if post.content in wanted]:
        wish = {"scheduled_for": LATER} if how == "moved" else {"content": f"mended: {post.content}"}
        rig.sandbox.person.edit(post.id, **wish)


def created(rig: Rig, sheet: pd.DataFrame) -> int:
    """How many posts were created with a text of the sheet."""
    return sum(rig.created()[text] for text in sheet["content"])


@HIDDEN
def test_rule_11_where_lists_hide_metadata_no_second_ledger_creates_anything(rig, hidden, how):
    """Two hours later on another laptop: its rows are blocked, and a person who says `alone=True` is told of the first one's post."""
    rig.sandbox.set_switches(**{hidden: True})
    sheet = rig.campaign(6)
    first = rig.kernel("mine", alone=True, told=False)
    assert outcomes(first.run(planned(sheet.head(5)))) == {"succeeded": 5}
    change(rig, sheet["content"], how)
    rig.sandbox.advance(2 * HOUR)
    for alone in (False, True):
        table = rig.kernel(f"theirs {alone}", alone=alone, told=False).run(planned(sheet))
        assert (outcomes(table), codes(table)) == ({"blocked": 6}, {"marks_of_another_ledger"})
    assert outcomes(rig.kernel("mine", alone=True, told=False).run(planned(sheet))) == {"succeeded": 6}
    assert created(rig, sheet) == 6


@HIDDEN
def test_rule_12_items_that_the_server_says_it_could_not_finish_are_not_created_again(rig, monkeypatch, hidden, how):
    """Rule 12: an INTERNAL_ERROR of an item is unknown. Three rows were created all the same, and somebody changes their posts.

    `run.failed()` is run ten minutes later.
    """
    rig.sandbox.set_switches(**{hidden: True})
    whole = posts._item

    def item(call: Any, index: int, body: Any, *, dry: bool) -> dict[str, Any]:
        made = whole(call, index, body, dry=dry)
        return {"index": index, "status": "failed", "errors": [{"issue": "INTERNAL_ERROR"}]} if index < 3 else made

    kernel, sheet = rig.kernel("mine", alone=True, told=False), rig.campaign(10)
    run = kernel.bind(planned(sheet))
    with monkeypatch.context() as patch:
        patch.setattr(posts, "_item", item)
        work = kernel.caught(run, BULK, when="after")
    change(rig, sheet["content"], how)
    rig.let_go()
    work.result(60)
    rig.sandbox.advance(600)
    failed = kernel.execution(run).failed()
    if len(failed):
        kernel.run(planned(failed))
    assert created(rig, sheet) == 10
    assert outcomes(kernel.results(run)) == {"succeeded": 9, "unknown": 1}, "a person decides"
