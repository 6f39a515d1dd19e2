"""Typos get an explanation, completion offers public names only, and an empty plan is an empty run."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Fault, Sandbox


def test_a_mistyped_argument_is_named(ws: vx.Workspace) -> None:
    with pytest.raises(TypeError, match=r"ws.posts\(\) has no argument 'stauts'; did you mean 'status'\?"):
        ws.posts(stauts="failed")
    with pytest.raises(TypeError, match=r"ws.run\(\) has no argument 'why'; one of plan, reason, stop_after_failures"):
        ws.run(None, why="x")
    with pytest.raises(TypeError, match="did you mean 'since'"):
        ws.aio.deliveries(sinse="7D")


def test_a_missing_or_surplus_argument_is_named_as_of_the_workspace(ws: vx.Workspace) -> None:
    with pytest.raises(TypeError, match=r"^ws\.attach\(run_id\): missing a required argument: 'run_id'$"):
        ws.attach()
    with pytest.raises(
        TypeError, match=r"^ws\.run\(plan, reason, stop_after_failures, trust_lists\): missing .* 'plan'$"
    ):
        ws.aio.run()
    with pytest.raises(TypeError, match=r"^ws\.attach\(run_id\): too many positional arguments$"):
        ws.attach("run_1", "run_2")


def test_a_mistyped_by_or_key_is_named(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="7D")
    with pytest.raises(vx.errors.PlanError, match="by='endpont'; did you mean 'endpoint'"):
        vx.deliveries.stats(log, by="endpont")
    sheet = pd.DataFrame(
        {"row_id": ["a"], "content": ["x"], "accounts": ["acc_1"], "scheduled_for": ["2027-01-01T10:00:00Z"]}
    )
    with pytest.raises(vx.errors.PlanError, match="key='rowid' names no column of the frame; did you mean 'row_id'"):
        vx.plan_create(sheet, key="rowid")
    with pytest.raises(
        vx.errors.PlanError,
        match=r"key='row_id' names no column of the frame; use reset_index\(\): the index is row_id",
    ):
        vx.plan_create(sheet.set_index("row_id"), key="row_id")


def test_completion_offers_what_an_analyst_uses(ws: vx.Workspace) -> None:
    assert {"posts", "at_risk", "accounts", "run"} <= set(dir(ws))
    assert dir(vx) == sorted(vx.__all__)


def test_a_plan_of_nothing_is_a_run_that_has_ended_and_is_not_recorded(ws: vx.Workspace, sandbox: Sandbox) -> None:
    failed = vx.triage(vx.targets(ws.posts(status="failed")))
    real = ws.run(vx.plan_retry(failed)).wait(60)
    before = len(ws.runs())
    for plan in (
        vx.plan_retry(failed.head(0)),
        vx.plan_retry(failed.assign(status="published").astype({"status": "string"})),
    ):
        run = ws.run(plan).wait(5)
        assert not run.running
        assert len(run.results()) == 0
        assert run.results().dtypes.astype(str).to_dict() == real.results().head(0).dtypes.astype(str).to_dict()
        for table in (run.failed(), run.blocked(), run.copies(), run.made(), run.verify()):
            assert len(table) == 0
        assert run.pause().resume().cancel().wait().snapshot.phase == "done"
        assert run.plan is plan
        assert "retry 0 rows" in repr(run)
        assert "retry 0 rows" in run._repr_html_()
        assert vx.plan_retry(run.failed()).eligible == 0, "the next cell goes on"
        assert len(vx.report(failed, run=run).frames["results"]) == 0
    assert len(ws.runs()) == before
    empty = pd.DataFrame({"row_id": [], "content": [], "accounts": [], "scheduled_for": []}, dtype="string")
    assert ws.run(vx.plan_create(empty, key="row_id", campaign="x")).results().attrs["campaign"] == "x"


def test_results_of_some_outcomes_are_those_rows_alone(ws: vx.Workspace, sandbox: Sandbox) -> None:
    posts = ws.posts(status="scheduled").head(6)
    sandbox.add_fault(Fault("status", method="PATCH", path="/v1/posts/*", status=400, code="VALIDATION_ERROR", times=2))
    sandbox.touch(posts["post_id"].iloc[0])
    run = ws.run(vx.plan_update(posts.assign(new_content="fresh coffee"))).wait(60)
    rows = run.results().groupby("outcome")["post_id"].agg(set).to_dict()
    assert rows.keys() == {"blocked", "failed", "succeeded"}
    assert set(run.results("failed")["post_id"]) == rows["failed"]
    assert set(run.results(["failed", "blocked"])["post_id"]) == rows["failed"] | rows["blocked"]
    assert run.results("pending").dtypes.to_dict() == run.results().dtypes.to_dict()
    assert len(run.results("pending")) == len(run.results([])) == 0
    for wrong, message in (
        ("faild", "outcome='faild'; did you mean 'failed'?"),
        (["failed", "Blocked"], "outcome='Blocked'; did you mean 'blocked'?"),
        ("live", "outcome='live'; one of blocked, failed, pending, succeeded, unknown"),
        (3, "outcome= takes text or a list of texts, not int"),
    ):
        with pytest.raises(vx.errors.ConfigError, match=re.escape(message)):
            run.results(wrong)  # type: ignore[arg-type]


def test_results_say_the_status_before(ws: vx.Workspace) -> None:
    failed = vx.triage(vx.targets(ws.posts(status="failed").head(3)))
    run = ws.run(vx.plan_retry(failed)).wait(60)
    assert set(run.results()["status_before"]) <= {"failed"}
    assert str(run.results()["status_before"].dtype) == "string"
    assert "status_before" not in run.failed()


def test_a_word_that_names_nothing_is_not_watched(ws: vx.Workspace) -> None:
    with pytest.raises(
        vx.errors.ConfigError, match=r"there is no post 'nonsense' in this workspace; ws\.watch takes a frame"
    ):
        ws.watch("nonsense")
    post = ws.posts(limit=1)["post_id"].iloc[0]
    with pytest.raises(vx.errors.ConfigError, match="no post 'gone'"):
        ws.watch([post, "gone"])
    with pytest.raises(vx.errors.ConfigError, match="no media 'img'"):
        ws.watch("img", kind="media")
    assert ws.watch(post).results()["id"].to_list() == [post]
