"""Retry what failed, mend what failed again, cancel, and read the results: over real HTTP, and counted at the server."""

from __future__ import annotations

import re

import pandas as pd
from tests.virtual import standing_still

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop


def counts(run: vx.Run) -> dict[str, int]:
    return run.results()["outcome"].value_counts().to_dict()


def test_a_retry_is_planned_run_watched_and_counted(sandbox, ws, plan, acts):
    assert acts() == 0  # planning sends nothing
    run = ws.run(plan, reason="test").wait()
    results = run.results()
    assert len(results) == sum(counts(run).values()) == plan.eligible
    assert counts(run)["succeeded"] > plan.eligible / 2
    assert acts() == plan.cost.acts
    published = {(each["post"], each["platform"]) for each in sandbox.effects("target.publish")}
    succeeded = run.results("succeeded")[["post_id", "platform"]]
    assert set(succeeded.itertuples(index=False, name=None)) <= published
    assert sandbox.duplicates() == []
    trail = ws.ledger()
    assert set(trail["reason"]) == {"test"}
    assert trail["who"].notna().all()
    assert set(trail["idempotency_key"]) == set(results["idempotency_key"])
    assert (trail["first_sent_at"] <= trail["settled_at"]).all()
    assert set(results["status_before"]) == {"failed"} and "status_before" not in run.failed()


def test_what_fails_again_can_be_retried_again_under_a_new_key(sandbox, ws, plan, acts):
    first = ws.run(plan).wait()
    plan = vx.plan_retry(first.failed())
    assert plan.eligible
    assert set(plan.frame.loc[plan.frame["eligible"], "attempt"]) == {1}, "a new failure starts at one in every ledger"
    before = acts()
    second = ws.run(plan).wait()
    assert acts() == before + plan.cost.acts
    assert not set(second.results()["idempotency_key"]) & set(first.results()["idempotency_key"])
    assert sandbox.duplicates() == []


def test_cancel_gives_up_what_was_never_sent(sandbox, ws, plan, acts):
    with standing_still(ws.client):
        run = ws.run(plan).cancel()
    run.wait()
    sent = acts()
    assert sent < plan.cost.acts
    for held in (run, run.resume().wait(), ws.attach(run.id).wait()):
        assert "■ cancelled" in repr(held)
        assert ws.runs().loc[run.id, "state"] == "cancelled"
    assert not eventloop.run(run.end())  # nothing to go on with
    assert acts() == sent
    assert "cancelled" in set(run.results("blocked")["reason_code"])
    anew = vx.plan_retry(vx.triage(ws.posts(status=["failed", "partial"])))
    assert counts(ws.run(anew).wait()).keys() <= {"succeeded", "failed"}, "nothing is lost"
    assert sandbox.duplicates() == []


def test_runs_count_what_was_mended_and_what_was_withdrawn_since(sandbox, ws):
    account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
    sheet = pd.DataFrame({"row_id": [*"abc"], "content": [*"ABC"], "accounts": [account, account, "acc_unknown"]})
    sheet = sheet.assign(scheduled_for="2026-03-20T10:00:00+01:00", force=True)
    run = ws.run(vx.plan_create(sheet, key="row_id")).wait()
    assert counts(run) == {"succeeded": 2, "failed": 1}
    mended = ws.run(vx.plan_create(run.failed().assign(accounts=account), key="row_id")).wait()
    assert counts(mended) == {"succeeded": 1}
    assert ws.runs().loc[run.id, ["failed", "mended"]].to_list() == [1, 1], "a later run has brought it to success"
    assert len(sandbox.effects("post.create")) == 3
    assert counts(ws.run(vx.plan_cancel(run)).wait()) == {"succeeded": 2}
    assert ws.runs().loc[run.id, ["succeeded", "withdrawn"]].to_list() == [2, 2]


def test_a_plan_of_nothing_is_a_run_that_has_ended(ws, failed, plan):
    real = ws.run(plan).wait(60)
    run = ws.run(vx.plan_retry(failed.head(0))).wait(5)
    assert not run.running
    assert run.results().dtypes.to_dict() == real.results().dtypes.to_dict()
    reported = vx.report(failed, run=run).frames["results"]
    for table in (run.results(), run.failed(), run.results("blocked"), run.copies(), reported):
        assert len(table) == 0
    assert run.pause().resume().cancel().wait().snapshot.phase == "done"
    assert "retry 0 rows" in repr(run) and "retry 0 rows" in run._repr_html_()
    assert vx.plan_retry(run.failed()).eligible == 0, "the next cell goes on"
    assert ws.runs().index.to_list() == [real.id], "runs without a row are not listed"


def test_results_of_some_outcomes_are_those_rows_alone(ws, sandbox):
    posts = ws.posts(status="scheduled").head(6)
    sandbox.add_fault(Fault("status", method="PATCH", status=400, code="VALIDATION_ERROR", times=2))
    sandbox.touch(posts["post_id"].iloc[0])
    run = ws.run(vx.plan_update(posts.assign(new_content="fresh coffee"))).wait(60)
    rows = run.results().groupby("outcome")["post_id"].agg(set).to_dict()
    assert rows.keys() == {"blocked", "failed", "succeeded"}
    assert set(run.results("failed")["post_id"]) == rows["failed"]
    assert set(run.results(["failed", "blocked"])["post_id"]) == rows["failed"] | rows["blocked"]
    assert run.results("pending").dtypes.to_dict() == run.results().dtypes.to_dict()
    assert len(run.results("pending")) == len(run.results([])) == 0


def test_what_the_api_skipped_is_for_support_afterwards_and_no_other_ledger_knows_of_it(ws, plan, sandbox, tmp_path):
    def failures(ws: vx.Workspace) -> pd.DataFrame:
        return vx.triage(ws.posts(status=["failed", "partial"]))

    targets = ["post_id", "platform", "account_id"]
    results = ws.run(plan).wait().results()
    triaged = failures(ws)
    known = triaged.merge(results, on=targets, suffixes=("", "_of_run"))
    assert known["last_outcome"].to_list() == known["outcome"].to_list() != []
    assert set(known["tried"]) == {1}
    skipped = triaged.merge(results.loc[results["error_code"] == "SKIPPED", targets], on=targets)
    assert set(skipped["verdict"]) == {"ask support"} and not skipped["retryable"].any()
    assert not vx.plan_retry(triaged).frame.merge(skipped[targets], on=targets)["eligible"].any()
    again = triaged[triaged["verdict"].eq("retry") & triaged["last_outcome"].eq("failed").fillna(False)]
    assert again["remedy"].str.contains(r"Retried once, last on \d{4}-\d\d-\d\d .* UTC, and failed\.").all()
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "other.sqlite") as other:
        assert "tried" not in failures(other).columns


def test_a_retry_of_one_platform_is_called_a_retry_wherever_it_is_shown(ws, failed):
    again = failed[failed["retryable"]]
    first, *others = again.index[again.duplicated("post_id", keep=False)]
    plan = vx.plan_retry(failed.assign(retryable=failed.index == first).drop(others))
    assert plan.frame["request"].dropna().str.endswith("/fix").all(), "the API has no retry of a single platform"
    run = ws.run(plan).wait()
    results, trail = run.results()[["act", "reason"]], ws.ledger().drop(columns="path")
    texts = [
        getattr(thing, shown)()
        for thing in (plan, run, vx.view(run), ws.runs(), trail, vx.view(trail), results)
        for shown in ("__repr__", "_repr_html_")
    ]
    assert not re.search(r"\bfix\b", re.sub("fix (content|media)", "", " ".join(texts)))
    assert results.to_numpy().tolist() == [["retry", f"retry: {again.loc[first, 'remedy']}"]]
    assert trail["action"].to_list() == ["retry"]
