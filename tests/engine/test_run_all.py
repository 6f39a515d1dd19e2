"""Cells that compute a change of what the post shows, run again and again: each is counted at the server (rule 1)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import pytest
from tests.chaos.rig import Rig, outcomes

from voxburst_sandbox import Fault
from voxburst_sandbox import posts as sandbox_posts
from voxops.acts.update import plan_update
from voxops.ledger import audit

DAY = 86_400.0
Cell = Callable[[pd.DataFrame], pd.DataFrame]


def planted(rig: Rig, when: str = "2027-03-01T09:00:00Z") -> str:
    account = next(iter(rig.accounts.values()))
    text = "The sale starts on Monday."
    return rig.sandbox.plant_post(text, [account], status="scheduled", scheduledFor=when, daysOld=1)


def run_all(rig: Rig, cell: Cell, times: int = 3) -> list[dict[str, int]]:
    """Run a cell in a kernel of its own each time, a quarter of an hour apart."""
    found = []
    for _ in range(times):
        kernel = rig.kernel()
        found.append(outcomes(kernel.run(plan_update(cell(kernel.posts("scheduled"))))))
        kernel.close()
        rig.sandbox.advance(900)
    return found


def moved(step: object, zone: str | None = None) -> Cell:
    def cell(posts: pd.DataFrame) -> pd.DataFrame:
        times = posts["scheduled_for"] if zone is None else posts["scheduled_for"].dt.tz_convert(zone)
        return posts.assign(new_scheduled_for=times + step)

    return cell


@pytest.mark.filterwarnings("ignore::pandas.errors.PerformanceWarning")
@pytest.mark.parametrize(
    ("when", "cell"),
    [
        ("2027-03-01T09:00:00Z", moved(pd.DateOffset(months=1))),
        ("2027-01-31T09:00:00Z", moved(pd.DateOffset(months=1))),
        ("2027-03-03T09:00:00Z", moved(pd.offsets.Week(weekday=0))),
        ("2027-03-05T09:00:00Z", moved(pd.offsets.BDay(1))),
        ("2027-03-27T09:00:00Z", moved(pd.DateOffset(days=1), "Europe/Berlin")),
        ("2027-03-05T09:00:00Z", moved(pd.Timedelta("5h"))),
    ],
    ids=["month", "end of a month", "next Monday", "working day", "change of the clocks", "hours"],
)
def test_rule_01_a_move_by_the_calendar_is_made_once(rig, when, cell):
    post = planted(rig, when)
    assert run_all(rig, cell) == [{"succeeded": 1}, {"blocked": 1}, {"blocked": 1}]
    assert [effect["post"] for effect in rig.sandbox.effects("post.update")] == [post]


@pytest.mark.parametrize(
    "cell",
    [
        lambda posts: posts.assign(new_content=posts["content"].str.replace("sale", "big sale")),
        lambda posts: posts.assign(new_content=posts["content"].str.replace("Monday", "Mon Monday")),
        lambda posts: posts.assign(new_content=posts["content"].str[:-4]),
        lambda posts: posts.assign(new_content=posts["content"] + " #x"),
        lambda posts: posts[["post_id", "status", "updated_at"]].assign(new_content=posts["content"] + " #x"),
        lambda posts: posts[["post_id", "status", "updated_at"]].assign(
            new_scheduled_for=posts["scheduled_for"] + pd.Timedelta("3D")
        ),
        lambda posts: posts.assign(new_tags=[[*(tags or []), "spring"] for tags in posts["tags"]]),
    ],
    ids=["in the middle", "before a word", "cut", "appended", "appended, a lean frame", "moved, a lean frame", "a tag"],
)
def test_rule_01_a_text_a_move_or_a_tag_is_added_once(rig, cell):
    post = planted(rig)
    assert run_all(rig, cell) == [{"succeeded": 1}, {"blocked": 1}, {"blocked": 1}]
    assert [effect["post"] for effect in rig.sandbox.effects("post.update")] == [post]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (moved(pd.Timedelta("3D")), moved(pd.Timedelta("1D"))),
        (moved(pd.DateOffset(months=1)), moved(pd.DateOffset(days=1))),
        (moved(pd.Timedelta("1D")), moved(pd.Timedelta("-2D"))),
        (
            lambda posts: posts.assign(new_content=posts["content"].str.replace("sale", "big sale")),
            lambda posts: posts.assign(new_content=posts["content"].str.replace("Monday", "next Monday")),
        ),
        (lambda posts: posts.assign(new_content="Another"), lambda posts: posts.assign(new_content="And another")),
    ],
)
def test_rule_01_another_change_is_made(rig, first, second):
    planted(rig)
    assert run_all(rig, first, 1) == run_all(rig, second, 1) == [{"succeeded": 1}]
    assert rig.effects("post.update") == 2


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("pruned", [True, False])
def test_rule_01_a_move_that_the_server_keeps_to_the_minute_is_made_once(rig, monkeypatch, lost, pruned):
    """Whether the answer came or not, and after the ledger was pruned, too (rule 24)."""
    kept = sandbox_posts.scheduled_time
    monkeypatch.setattr(sandbox_posts, "scheduled_time", lambda body: kept(body) // 60_000 * 60_000)
    planted(rig, "2027-03-01T09:00:30Z")
    kernel = rig.kernel()
    if lost:
        rig.sandbox.add_fault(Fault("drop", path="/v1/posts/*", method="PATCH", when="after", times=1))
    found = []
    for _ in range(2):
        found.append(outcomes(kernel.run(plan_update(kernel.posts("scheduled"), by="3D"))))
        rig.sandbox.clear_faults()
        rig.sandbox.advance(DAY)
        if pruned:
            audit.prune(kernel.ledger, datetime.fromtimestamp(kernel.client.now().timestamp(), UTC))
    assert found == [{"succeeded": 1}, {"blocked": 1}]
    assert rig.effects("post.update") == 1
