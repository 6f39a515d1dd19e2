"""A campaign that shows its sheet: creates, changes and withdrawals of one plan, counted at the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.virtual import workspace

import voxops as vx
from voxburst_sandbox import Sandbox, Switches
from voxops.acts.plan import Plan

NINE, TEN = "2027-03-01T09:00:00+00:00", "2027-03-01T10:00:00+00:00"


class Desk:
    """Laptops with ledgers of their own, and one sheet."""

    def __init__(self, sandbox: Sandbox, folder: Path, stack: ExitStack) -> None:
        self.sandbox, self._folder, self._stack = sandbox, folder, stack
        self.laptops: dict[str, vx.Workspace] = {}
        self.account, self.other = list(world.accounts(sandbox).values())[:2]

    def laptop(self, name: str = "a") -> vx.Workspace:
        if name not in self.laptops:
            self.laptops[name] = self._stack.enter_context(workspace(self.sandbox, ledger=self._folder / f"{name}.sqlite"))
        return self.laptops[name]

    def rows(self, **texts: str) -> pd.DataFrame:
        """A sheet of rows with these texts."""
        said = {"row_id": list(texts), "content": list(texts.values()), "accounts": self.account, "scheduled_for": NINE}
        return pd.DataFrame(said)

    def plan(self, sheet: pd.DataFrame, name: str = "a", **options: Any) -> Plan:
        posts = self.laptop(name).posts(campaign="spring") if len(self.server(all=True)) else EMPTY
        return vx.plan_sync(sheet, posts, key="row_id", campaign="Spring", **options)

    def run(self, plan: Plan, name: str = "a") -> pd.DataFrame:
        run = self.laptop(name).run(plan)
        run.wait(60)
        return run.results()

    def sync(self, sheet: pd.DataFrame, name: str = "a", **options: Any) -> pd.DataFrame:
        table = self.run(self.plan(sheet, name, **options), name)
        self.sandbox.advance(400)
        return table

    def server(self, *, all: bool = False) -> dict[str, Any]:
        return {id: post for id, post in self.sandbox.world.posts.items() if all or post.status == "scheduled"}

    def shown(self) -> Counter[tuple[str, str]]:
        return Counter((post.content, vx_time(post.scheduled_for)) for post in self.server().values())

    def post(self, text: str) -> str:
        (found,) = [id for id, post in self.sandbox.world.posts.items() if post.content == text]
        return found

    def effects(self) -> Counter[str]:
        return Counter(effect["kind"] for effect in self.sandbox.effects())


EMPTY = vx.connect  # replaced below


def vx_time(at: int) -> str:
    return pd.Timestamp(at, unit="ms", tz="UTC").isoformat()


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(seed=11, empty=True, rate_limit=None) as sandbox:
        yield sandbox


@pytest.fixture
def desk(server: Sandbox, tmp_path: Path) -> Iterator[Desk]:
    server.set_switches(**{**asdict(Switches()), "silent_webhooks": True})
    server.reset(empty=True)
    with ExitStack() as stack:
        yield Desk(server, tmp_path, stack)


def test_story(desk):
    sheet = desk.rows(a="A", b="B", c="C", d="D")
    import time
    t=time.time()
    ws = desk.laptop()
    p0 = ws.posts(campaign="spring")
    plan = vx.plan_sync(sheet, p0, key="row_id", campaign="Spring")
    print(plan)
    print(desk.run(plan)[["row_id","act","outcome","waiting_for"]], time.time()-t)
    new = desk.rows(a="A2", b="B", c="C", e="E")
    new.loc[1, "scheduled_for"] = TEN
    posts = ws.posts(campaign="spring")
    plan = vx.plan_sync(new, posts, key="row_id", campaign="spring", withdraw=True)
    print(plan); print(plan.frame.T.to_string())
    res = desk.run(plan)
    print(res[["row_id","act","outcome","waiting_for"]], time.time()-t)
    print(desk.run(vx.plan_sync(new, posts, key="row_id", campaign="spring", withdraw=True))["outcome"])
    print(desk.plan(new)); print(desk.plan(new,"b").frame[["act","reason"]])
    print(desk.effects(), desk.shown())
