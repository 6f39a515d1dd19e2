"""Retry what failed, mend what failed again, cancel, and read the results: over real HTTP, and counted at the server."""

from __future__ import annotations

import re

import pandas as pd
from tests.virtual import standing_still

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop


def failed_posts(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))


def counts(run: vx.Run) -> dict[str, int]:
    return {str(name): int(count) for name, count in run.results()["outcome"].value_counts().items()}


def test_a_retry_is_planned_run_watched_and_counted(sandbox, ws):
    plan = vx.plan_retry(failed_posts(ws))
    assert not sandbox.requests(acting=True)  # planning sends nothing
    run = ws.run(plan, reason="test").wait()
    results = run.results()
    assert len(results) == plan.eligible
    assert sum(counts(run).values()) == plan.eligible
    assert counts(run)["succeeded"] > plan.eligible / 2
    assert set(results["outcome"]) <= {"succeeded", "failed"}
    assert len(sandbox.requests(acting=True)) == plan.cost.acts
    published = {(each["post"], each["platform"]) for each in sandbox.effects("target.publish")}
    succeeded = results[results["outcome"] == "succeeded"]
    assert {(row.post_id, row.platform) for row in succeeded.itertuples()} <= published
    assert sandbox.duplicates() == []
    trail = ws.ledger()
    assert set(trail["reason"]) == {"test"}
    assert trail["who"].notna().all()
    assert set(trail["idempotency_key"]) == set(results["idempotency_key"])
    assert (trail["first_sent_at"] <= trail["settled_at"]).all()
    assert set(results["status_before"]) == {"failed"} and "status_before" not in run.failed()


def test_what_fails_again_can_be_retried_again_under_a_new_key(sandbox, ws):
    first = ws.run(vx.plan_retry(failed_posts(ws))).wait()
    again = first.failed()
    plan = vx.plan_retry(again)
    assert plan.eligible
    assert set(plan.frame.loc[plan.frame["eligible"], "attempt"]) == {1}, "a new failure starts at one in every ledger"
    acts = len(sandbox.requests(acting=True))
    second = ws.run(plan).wait()
    assert len(sandbox.requests(acting=True)) == acts + plan.cost.acts
    assert not set(second.results()["idempotency_key"]) & set(first.results()["idempotency_key"])
    assert sandbox.duplicates() == []


def test_cancel_gives_up_what_was_never_sent(sandbox, ws):
    plan = vx.plan_retry(failed_posts(ws))
    with standing_still(ws.client):
        run = ws.run(plan).cancel()
    run.wait()
    sent = len(sandbox.requests(acting=True))
    assert sent < plan.cost.acts
    for held in (run, run.resume().wait(), ws.attach(run.id).wait()):
        assert "■ cancelled" in repr(held)
        assert ws.runs().loc[run.id, "state"] == "cancelled"
    assert not eventloop.run(run.end())  # nothing to go on with
    assert len(sandbox.requests(acting=True)) == sent
    assert "cancelled" in set(run.results("blocked")["reason_code"])
    follow_up = ws.run(vx.plan_retry(failed_posts(ws))).wait()  # nothing is lost: what was given up can be planned anew
    assert set(follow_up.results()["outcome"]) <= {"succeeded", "failed"}
    assert sandbox.duplicates() == []


def test_a_campaign_is_created_once_and_what_was_mended_is_added(sandbox, ws):
    account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
    rows = [{"row_id": str(n), "content": f"Post number {n}"} for n in range(70)]
    campaign = pd.DataFrame(rows).assign(accounts=account, scheduled_for="2026-03-20T10:00:00+01:00", force=True)
    campaign.loc[3, "content"] = None
    campaign.loc[4, "scheduled_for"] = "2026-03-20 10:00"
    campaign.loc[5, "accounts"] = "acc_unknown"
    for _ in range(2):
        run = ws.run(vx.plan_create(campaign, key="row_id")).wait()
        assert counts(run) == {"succeeded": 67, "failed": 1}
        assert len(sandbox.requests(acting=True)) == 2
    mended = run.failed().assign(accounts=account)
    assert counts(ws.run(vx.plan_create(mended, key="row_id")).wait()) == {"succeeded": 1}
    assert ws.runs().loc[run.id, ["failed", "mended"]].to_list() == [1, 1], "a later run has brought it to success"
    assert len(sandbox.effects("post.create")) == 68
    assert sandbox.duplicates() == []


def test_runs_count_the_posts_that_were_withdrawn_since(ws):
    account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
    sheet = pd.DataFrame({"row_id": ["a", "b"], "content": ["one", "two"], "accounts": account})
    run = ws.run(vx.plan_create(sheet.assign(scheduled_for="2026-04-01T09:00:00Z"), key="row_id")).wait()
    assert counts(ws.run(vx.plan_cancel(run)).wait()) == {"succeeded": 2}
    assert ws.runs().loc[run.id, ["succeeded", "withdrawn"]].to_list() == [2, 2]


def test_a_plan_of_nothing_is_a_run_that_has_ended(ws):
    failed = failed_posts(ws)
    real = ws.run(vx.plan_retry(failed)).wait(60)
    run = ws.run(vx.plan_retry(failed.head(0))).wait(5)
    assert not run.running
    assert run.results().dtypes.astype(str).to_dict() == real.results().dtypes.astype(str).to_dict()
    for table in (
        run.results(),
        run.failed(),
        run.results("blocked"),
        run.copies(),
        vx.report(failed, run=run).frames["results"],
    ):
        assert len(table) == 0
    assert run.pause().resume().cancel().wait().snapshot.phase == "done"
    assert "retry 0 rows" in repr(run) and "retry 0 rows" in run._repr_html_()
    assert vx.plan_retry(run.failed()).eligible == 0, "the next cell goes on"
    assert ws.runs().index.to_list() == [real.id], "runs without a row are not listed"


def test_results_of_some_outcomes_are_those_rows_alone(ws, sandbox):
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


def test_what_the_api_skipped_is_for_support_afterwards_and_no_other_ledger_knows_of_it(ws, sandbox, tmp_path):
    targets = ["post_id", "platform", "account_id"]
    results = ws.run(vx.plan_retry(failed_posts(ws)), reason="once").wait().results()
    triaged = failed_posts(ws)
    known = triaged.merge(results, on=targets, suffixes=("", "_of_run"))
    assert known["last_outcome"].to_list() == known["outcome"].to_list() != []
    assert set(known["tried"]) == {1}
    skipped = triaged.merge(results.loc[results["error_code"] == "SKIPPED", targets], on=targets)
    assert len(skipped) > 0
    assert set(skipped["verdict"]) == {"ask support"} and not skipped["retryable"].any()
    planned = vx.plan_retry(triaged).frame.merge(skipped[targets], on=targets)
    assert not planned["eligible"].any()
    again = triaged[triaged["verdict"].eq("retry") & triaged["last_outcome"].eq("failed").fillna(False)]
    assert again["remedy"].str.contains(r"Retried once, last on \d{4}-\d\d-\d\d .* UTC, and failed\.").all()
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "other.sqlite") as other:
        assert "tried" not in failed_posts(other).columns


def test_a_retry_of_one_platform_is_called_a_retry_wherever_it_is_shown(tmp_path):
    with vx.connect(sandbox=True, ledger=tmp_path / "a.sqlite") as ws:
        triaged = vx.triage(ws.posts(status=["failed", "partial"]))
        again = triaged[triaged["retryable"]]
        first, *others = again.index[again.duplicated("post_id", keep=False)]
        plan = vx.plan_retry(triaged.assign(retryable=triaged.index == first).drop(others))
        run = ws.run(plan).wait()
        assert plan.frame["request"].dropna().str.endswith("/fix").all(), "the API has no retry of a single platform"
        shown = [plan, run, vx.view(run), ws.runs(), ws.ledger().drop(columns="path"), vx.view(ws.ledger())]
        texts = [getattr(thing, render)() for thing in shown for render in ("__repr__", "_repr_html_")]
        actions = [*ws.ledger()["action"], *run.results()["act"]]
        texts.append(run.results()[["act", "reason"]].to_csv())
    assert not re.search(r"\bfix\b", " ".join(texts).replace("fix content", "").replace("fix media", ""))
    assert actions == ["retry", "retry"]
    assert run.results()["reason"].item() == f"retry: {again.loc[first, 'remedy']}"
