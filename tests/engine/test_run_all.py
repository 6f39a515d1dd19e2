"""Cells that compute a change of what the post shows, run again and again: each is counted at the server (rules 1 and 5)."""

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
ONCE = [{"succeeded": 1}, {"blocked": 1}, {"blocked": 1}]
LEAN = ["post_id", "status", "updated_at"]


def planted(rig: Rig, when: str = "2027-03-01T09:00:00Z") -> str:
    text, account = "The sale starts on Monday.", next(iter(rig.accounts.values()))
    return str(rig.sandbox.plant_post(text, [account], status="scheduled", scheduledFor=when, daysOld=1))


def run_all(rig: Rig, cell: Cell, times: int = 3, change: str | None = None) -> list[dict[str, int]]:
    """Run a cell in a kernel of its own each time, a quarter of an hour apart."""
    found = []
    for _ in range(times):
        kernel = rig.kernel()
        found.append(outcomes(kernel.run(plan_update(cell(kernel.posts("scheduled")), change=change))))
        kernel.close()
        rig.sandbox.advance(900)
    return found


def moved(step: object, zone: str | None = None, columns: list[str] | None = None) -> Cell:
    def cell(posts: pd.DataFrame) -> pd.DataFrame:
        times = posts["scheduled_for"] if zone is None else posts["scheduled_for"].dt.tz_convert(zone)
        return (posts if columns is None else posts[columns]).assign(new_scheduled_for=times + step)

    return cell


def worded(change: Callable[[pd.Series], pd.Series], columns: list[str] | None = None) -> Cell:
    return lambda posts: (posts if columns is None else posts[columns]).assign(new_content=change(posts["content"]))


@pytest.mark.filterwarnings("ignore::pandas.errors.PerformanceWarning")
@pytest.mark.parametrize(
    ("when", "cell"),
    [
        ("2027-03-01T09:00:00Z", moved(pd.DateOffset(months=1))),
        ("2027-01-31T09:00:00Z", moved(pd.DateOffset(months=1))),
        ("2027-03-03T09:00:00Z", moved(pd.offsets.Week(weekday=0))),
        ("2027-03-05T09:00:00Z", moved(pd.offsets.BDay(1))),
        ("2027-03-27T09:00:00Z", moved(pd.DateOffset(days=1), "Europe/Berlin")),
        ("2027-03-05T09:00:00Z", moved(pd.Timedelta("3D"), None, LEAN)),
        ("2027-03-01T09:00:00Z", worded(lambda text: text.str.replace("sale", "big sale"))),
        ("2027-03-01T09:00:00Z", worded(lambda text: text.str[:-4])),
        ("2027-03-01T09:00:00Z", worded(lambda text: text + " #x", LEAN)),
    ],
    ids=["month", "end of a month", "next Monday", "working day", "change of the clocks", "hours, a lean frame",
         "in the middle", "cut", "appended, a lean frame"],
)  # fmt: skip
def test_rule_01_a_move_or_a_text_is_changed_once(rig: Rig, when: str, cell: Cell) -> None:
    post = planted(rig, when)
    assert run_all(rig, cell) == ONCE
    assert [effect["post"] for effect in rig.sandbox.effects("post.update")] == [post]


def test_rule_01_a_tag_is_added_once(rig: Rig) -> None:
    """The second time the post shows what is requested."""
    planted(rig)
    tagged = run_all(rig, lambda posts: posts.assign(new_tags=[[*(tags or []), "spring"] for tags in posts["tags"]]))
    assert tagged == [{"succeeded": 1}] * 3
    assert rig.effects("post.update") == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (moved(pd.Timedelta("3D")), moved(pd.Timedelta("1D"))),
        (moved(pd.Timedelta("1D")), moved(pd.Timedelta("-2D"))),
        (worded(lambda text: text.str.replace("sale", "big sale")), worded(lambda text: text + " #x")),
    ],
)
def test_rule_05_another_change_of_a_field_needs_a_name(rig: Rig, first: Cell, second: Cell) -> None:
    planted(rig)
    assert run_all(rig, first, 1) == [{"succeeded": 1}]
    assert run_all(rig, second, 1) == [{"blocked": 1}]
    assert run_all(rig, second, change="meant") == ONCE
    assert rig.effects("post.update") == 2


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("pruned", [True, False])
def test_rule_01_a_move_that_the_server_keeps_to_the_minute_is_made_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, lost: bool, pruned: bool
) -> None:
    """Whether the answer came or not, and after the ledger was pruned, too (rule 24): under its name it is done."""
    kept = sandbox_posts.scheduled_time
    monkeypatch.setattr(sandbox_posts, "scheduled_time", lambda body: kept(body) // 60_000 * 60_000)
    planted(rig, "2027-03-01T09:00:30Z")
    kernel = rig.kernel()
    if lost:
        rig.sandbox.add_fault(Fault("drop", path="/v1/posts/*", method="PATCH", when="after", times=1))
    for _ in range(2):
        assert outcomes(kernel.run(plan_update(kernel.posts("scheduled"), by="3D", change="strike"))) == {
            "succeeded": 1
        }
        rig.sandbox.clear_faults()
        rig.sandbox.advance(DAY)
        if pruned:
            audit.prune(kernel.ledger, datetime.fromtimestamp(kernel.client.now().timestamp(), UTC))
    assert rig.effects("post.update") == 1
