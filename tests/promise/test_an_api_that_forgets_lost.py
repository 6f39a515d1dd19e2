"""An API that forgets the key of what it executed, and lists it only after more than a minute. Lost: never: `unknown`, and a person
decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Rig, outcomes, planned
from tests.engine.steps import BULK, HOUR, RETRY, failing

from voxburst_sandbox import Fault, posts
from voxops.acts.retry import plan_retry
from voxops.api.timing import PROOF_AFTER


@pytest.mark.parametrize("jump", [0.0, 26 * HOUR])
@pytest.mark.parametrize("what", ["retry", "create"])
def test_rule_09_past_the_retention_nothing_is_resent_that_is_not_proved_absent(rig, jump, what):
    """What took effect is found. Of what did not, creates are proved absent; a retry stays unknown until its next attempt."""
    rig.sandbox.set_switches(key_retention_seconds=3600)
    world.plant_posts(rig.sandbox, 4)
    kernel, path = rig.kernel(retention=HOUR), RETRY if what == "retry" else "/v1/posts"
    plan = plan_retry(kernel.triaged()) if what == "retry" else rig.plan_rows(4, one_by_one=True)
    faults = [{"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}]
    rig.sandbox.add_fault(
        *failing(*faults, *([{"action": "advance", "seconds": jump, "nth": 3}] if jump else []), path=path)
    )
    table = kernel.run(plan)
    left = table[table["outcome"] != "succeeded"]
    assert len(rig.acts()) == (4 if what == "retry" else 5)
    if what == "retry":
        assert set(left["reason_code"]) == {"resend_key_forgotten"}
        rig.sandbox.advance(601)
        assert outcomes(kernel.run(plan_retry(kernel.triaged().assign(attempt=2)))) == {"succeeded": len(left)}
        assert rig.count(expected(plan)).holds
    else:
        assert left.empty
        rig.each_once(4)


@pytest.mark.parametrize("hidden", ["", "no_metadata", "no_listed_metadata"])
def test_rule_11_alone_a_500_that_forgets_the_key_of_30_created_rows_creates_none_twice(rig, hidden):
    """Thirty of fifty were created. Where lists hide marks, all fifty stay in doubt, and a person looks; else the twenty follow."""
    rig.sandbox.set_switches(forget_key_on_5xx=True, **({hidden: True} if hidden else {}))
    kernel, sheet = rig.kernel(alone=True, told=False), rig.campaign(50)
    for _ in range(2):
        kernel.run(planned(rig.campaign(1, start=50)))  # a create of its own tells what lists show
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=30))
    run = kernel.bind(planned(sheet))
    for _ in range(2):
        kernel.go(run)
        rig.sandbox.advance(PROOF_AFTER + 100)
    assert outcomes(kernel.results(run)) == ({"unknown": 50} if hidden else {"succeeded": 50})
    assert rig.effects("post.create") == (31 if hidden else 51)
    assert set(rig.created().values()) == {1}


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
