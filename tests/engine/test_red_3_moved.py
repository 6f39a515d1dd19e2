"""Lists without metadata, and posts that were moved or mended since: no row is created twice (rule 13).

Single reads show the marks, so each post in the window that a ledger has not seen is read once by itself, whether or not it looks alike.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, HOUR, caught, let_go, planned

from voxburst_sandbox import posts

LATER = "2027-03-01T09:01:00+00:00"


@pytest.fixture(autouse=True, params=["no_listed_metadata", "empty_listed_metadata"])
def _lists_show_no_metadata(rig: Rig, request: pytest.FixtureRequest) -> None:
    rig.sandbox.set_switches(**{request.param: True})


def change(rig: Rig, texts: Iterable[str], how: str) -> None:
    """Somebody moves the posts with these texts by a minute, or mends them."""
    wanted = set(texts)
    for post in [post for post in rig.sandbox.world.posts.values() if post.content in wanted]:
        wish = {"scheduled_for": LATER} if how == "moved" else {"content": f"mended: {post.content}"}
        rig.sandbox.person.edit(post.id, **wish)


def created(rig: Rig, sheet: pd.DataFrame) -> int:
    """How many posts were created with a text of the sheet."""
    return sum(rig.created()[text] for text in sheet["content"])


@pytest.mark.parametrize("how", ["moved", "mended"])
def test_rule_13_a_colleague_with_a_new_ledger_and_one_row_more_creates_that_row_alone(rig: Rig, how: str) -> None:
    """Rule 13, two hours later on another laptop; the colleague's batch is another one, so that no key stops it."""
    sheet = rig.campaign(6)
    rig.kernel("mine").run(planned(sheet.head(5)))
    change(rig, sheet["content"], how)
    rig.sandbox.advance(2 * HOUR)
    table = rig.kernel("theirs").run(planned(sheet))
    assert created(rig, sheet) == 6
    assert outcomes(table) == {"succeeded": 6}


@pytest.mark.parametrize("how", ["moved", "mended"])
def test_rule_13_a_ledger_of_yesterday_that_was_put_back_creates_nothing_again(rig: Rig, how: str) -> None:
    """Rule 13: it knows the workspace, but not what was created since it was saved; the server has forgotten the keys."""
    kernel, sheet = rig.kernel("mine"), rig.campaign(5)
    kernel.run(planned(rig.campaign(1, start=50)))
    kernel.close()
    shutil.copy(rig.folder / "mine.sqlite", rig.folder / "yesterday.sqlite")
    rig.kernel("mine").run(planned(sheet))
    change(rig, sheet["content"], how)
    rig.sandbox.advance(26 * HOUR)
    table = rig.kernel("yesterday").run(planned(sheet))
    assert created(rig, sheet) == 5
    assert outcomes(table) == {"succeeded": 5}


@pytest.mark.parametrize("how", ["moved", "mended"])
def test_rule_15_items_that_the_server_says_it_could_not_finish_are_not_created_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Rule 15: an INTERNAL_ERROR of an item is unknown. Three rows were created all the same, and somebody changes their posts.

    `run.failed()` is run ten minutes later.
    """
    whole = posts._item

    def item(call: Any, index: int, body: Any, *, dry: bool) -> dict[str, Any]:
        made = whole(call, index, body, dry=dry)
        return {"index": index, "status": "failed", "errors": [{"issue": "INTERNAL_ERROR"}]} if index < 3 else made

    kernel, sheet = rig.kernel("mine"), rig.campaign(10)
    run = kernel.bind(planned(sheet))
    with monkeypatch.context() as patch:
        patch.setattr(posts, "_item", item)
        work = caught(rig, kernel, run, BULK, when="after")
    change(rig, sheet["content"], how)
    let_go(rig)
    work.result(60)
    rig.sandbox.advance(600)
    failed = kernel.execution(run).failed()
    if len(failed):
        kernel.run(planned(failed))
    assert created(rig, sheet) == 10
    assert outcomes(kernel.results(run)) == {"succeeded": 10}
