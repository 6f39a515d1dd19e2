"""A ledger that the first edition wrote opens, shows what it showed, plans the same keys again, and settles what a kill left open."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.acts.plan import Plan
from voxops.frames.target import Target, Targets
from voxops.ledger import audit

FIXTURES = Path(__file__).with_name("fixtures")
SAID = json.loads((FIXTURES / "first_edition.json").read_text("utf-8"))
RUNS = {name: said["run"] for name, said in SAID.items() if isinstance(said, dict)}
PLANNERS = {
    "created": lambda frame: vx.plan_bulk(frame, key="row_id", campaign="spring"),
    "cancelled": vx.plan_cancel,
    "single": vx.plan_cancel,
    "redelivered": vx.plan_redeliver,
    "retried": vx.plan_retry,
    "crashed": vx.plan_retry,
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The world in which the ledger was written, at the time when its process was killed; it has not seen the ledger's requests."""
    size = {"posts": 120, "deliveries": 300}
    with Sandbox(seed=7, speed=0, rate_limit=None, workspace="ws_first_edition", **size) as sandbox:
        sandbox.advance((pd.Timestamp(SAID["now"]) - pd.Timestamp(sandbox.now())).total_seconds())
        yield sandbox


@pytest.fixture
def ws(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    shutil.copy(FIXTURES / "first_edition.sqlite", tmp_path / "ledger.sqlite")
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as workspace:
        yield workspace


def shown(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(frame.to_json(orient="records"))


def test_its_runs_are_listed(ws: vx.Workspace) -> None:
    runs = ws.runs().reset_index()
    assert shown(runs[list(SAID["runs"][0])]) == SAID["runs"]


@pytest.mark.parametrize("name", [name for name in RUNS if name != "crashed"])
def test_its_results_are_what_they_were(ws: vx.Workspace, name: str) -> None:
    results = ws.attach(RUNS[name]).results()
    assert shown(results[list(SAID[name]["rows"][0])]) == SAID[name]["rows"]


@pytest.mark.parametrize("name", [name for name in RUNS if name != "crashed"])
def test_its_frames_planned_again_join_what_became_of_them(ws: vx.Workspace, sandbox: Sandbox, name: str) -> None:
    """Keys of creates have another derivation since; marks, episodes and keys of the first edition are recognised all the same."""
    before = max((effect["seq"] for effect in sandbox.effects()), default=0)
    rows = audit.planned_rows(ws._session.engine.ledger, RUNS[name])
    plan: Plan = PLANNERS[name](rows.iloc[:, : rows.columns.get_loc("eligible")])
    run = ws.run(plan).wait()
    results = run.results()
    assert len(results) == plan.frame["eligible"].sum() > 0
    stored = Counter((row["idempotency_key"], row["outcome"]) for row in SAID[name]["rows"])
    assert Counter(zip(results["idempotency_key"], results["outcome"], strict=True)) <= stored
    assert run.snapshot.acts == 0
    assert sandbox.effects(since=before) == []


def test_targets_in_its_frames_are_targets(ws: vx.Workspace) -> None:
    cells = ws.attach(RUNS["cancelled"]).results()["targets"]
    assert all(isinstance(cell, Targets) and cell[0].platform == "twitter" for cell in cells)
    (cell,) = ws.attach(RUNS["single"]).results()["targets"]
    assert isinstance(cell, Target)
    assert cell.status == "pending"


def test_what_the_kill_left_open_settles_and_acts_once(ws: vx.Workspace, sandbox: Sandbox) -> None:
    before = max((effect["seq"] for effect in sandbox.effects()), default=0)
    run = ws.attach(RUNS["crashed"])
    run.resume().wait()
    results = run.results()
    held = results["waiting_for"].fillna("").str.startswith("held: 0 of 1 canaries")
    assert held.sum() == 1  # its canary failed
    # One post is not as it was before the send, so nobody can tell what the send did: it is not sent again.
    unknown = results["outcome"] == "unknown"
    assert unknown.sum() == 1
    assert set(results.loc[~held & ~unknown, "outcome"]) == {"succeeded", "failed"}
    retried = [effect["key"] for effect in sandbox.effects("post.retry", since=before)]
    assert sorted(retried) == sorted(results.loc[results["tries"] > 1, "idempotency_key"])
    assert len(retried) == 2
    assert sandbox.duplicates() == []
