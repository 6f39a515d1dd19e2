"""Promised: a campaign shows its sheet at the end, whatever happened on the way; nothing is posted twice (rule 18)."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, wait_for

from voxburst_sandbox import Fault
from voxops.acts.sync import plan_sync
from voxops.frames.records import with_rows
from voxops.ledger import audit

ROWS, CHANGES, ROUNDS = 300, 60, 6


class Desk:
    """A sheet that its owner keeps changing, and two laptops that sync it."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.random = random.Random(seed)
        self.sheet = rig.campaign(ROWS)
        self.next_row = ROWS
        self.done: Counter[str] = Counter()

    def change(self, count: int) -> None:
        """Edit, move, delete and add rows at random."""
        for number in range(count):
            what = self.random.choice(["edit", "move", "delete", "add"])
            self.done[what] += 1
            row = self.random.randrange(len(self.sheet))
            if what == "edit":
                self.sheet.loc[row, "content"] = f"{self.sheet.loc[row, 'row_id']} edited {sum(self.done.values())}"
            elif what == "move":
                later = pd.Timestamp(self.sheet.loc[row, "scheduled_for"]) + timedelta(minutes=1 + number)
                self.sheet.loc[row, "scheduled_for"] = later.isoformat()
            elif what == "delete":
                self.sheet = self.sheet.drop(index=row).reset_index(drop=True)
            else:
                self.sheet = pd.concat([self.sheet, self.rig.campaign(1, start=self.next_row)], ignore_index=True)
                self.next_row += 1

    def sync(self, kernel: Kernel, *, override: bool = False, people: int = 0, kill_after: int | None = None) -> int:
        """Plan and run, while people edit posts, until so many acting requests have left; how many rows there were to do."""
        posts = kernel.posts()
        ids = list(map(str, posts["post_id"]))
        posts = with_rows(posts, audit.rows_of(kernel.ledger, ids))
        sheet = self.sheet.assign(override=override)
        plan = plan_sync(sheet, posts.assign(override=override), key="row_id", campaign="c", withdraw=True)
        run, before = kernel.bind(plan), len(self.rig.acts())
        for _ in range(people):
            self.edited_by_hand()
        work = kernel.start(run)
        if kill_after is None:
            work.result(120)
        else:
            wait_for(lambda: work.done() or len(self.rig.acts()) - before >= kill_after)
            kernel.kill(work)
        return plan.eligible

    def edited_by_hand(self) -> None:
        """Somebody edits a post that waits to go out in the web page."""
        waiting = [post.id for post in self.rig.sandbox.world.posts.values() if post.status == "scheduled"]
        if waiting:
            self.rig.sandbox.person.edit(self.random.choice(waiting), content=f"by hand {self.random.random()}")
            self.done["by hand"] += 1


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.release) for n in (2, 3, 4, 5, 6))])
@pytest.mark.timeout(300)
def test_rule_18_after_sixty_changes_kills_and_edits_by_hand_the_server_shows_the_sheet(rig, seed):
    """Three hundred rows, two laptops, lists that lag, answers that are lost."""
    rig.sandbox.set_switches(list_lag_seconds=30)
    desk = Desk(rig, seed)
    desk.sync(rig.kernel("laptop 1"))
    for turn in range(ROUNDS):
        rig.sandbox.advance(200)
        desk.change(CHANGES // ROUNDS)
        lost = Fault(
            "drop",
            desk.random.choice(["POST", "PATCH"]),
            "/v1/posts/**",
            nth=2,
            when=desk.random.choice(["before", "after"]),
        )
        rig.sandbox.add_fault(lost)
        kernel = rig.kernel(f"laptop {1 + desk.random.randrange(2)}")
        desk.sync(kernel, people=2, kill_after=desk.random.choice([1, 4, 9, None]) if turn < ROUNDS - 1 else None)
        rig.sandbox.clear_faults()
    last = rig.kernel("laptop 1")
    for _ in range(4):
        rig.sandbox.advance(700)
        if not desk.sync(last, override=True):
            break
    rig.sandbox.advance(700)
    assert desk.sync(last, override=True) == 0
    kept = {row["content"]: row["scheduled_for"] for row in desk.sheet.to_dict("records")}
    live = [post for post in rig.sandbox.world.posts.values() if post.status == "scheduled"]
    shown = {post.content: pd.Timestamp(post.scheduled_for, unit="ms", tz="UTC") for post in live}
    assert rig.live() == Counter(list(kept))
    assert shown == {content: pd.Timestamp(when) for content, when in kept.items()}
    marks = Counter(post.metadata["voxopsRow"] for post in rig.sandbox.world.posts.values())
    assert max(marks.values()) == 1, "no row was posted twice"
    withdrawn = rig.effects("post.cancel")
    assert len(marks) - withdrawn == len(kept), "and none was withdrawn that the sheet still has"
    print(
        f"seed {seed}: {dict(desk.done)}; {len(marks)} creates, {rig.effects('post.update')} changes, {withdrawn} withdrawals"
    )
