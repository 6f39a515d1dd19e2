"""Acts for the verdicts that no retry helps: fix, cancel, accounts; end to end, counted at the server."""

from __future__ import annotations

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Fault, Sandbox, Switches
from voxops.api.reasons import Reason, beginning


@pytest.fixture
def world():
    with Sandbox(
        posts=400, deliveries=30, rate_limit=None, switches=Switches(recovery_rate=1.0, failure_rate=0.0)
    ) as sandbox:
        yield sandbox


@pytest.fixture
def ws(world):
    with vx.connect(sandbox=world) as workspace:
        yield workspace


def triaged(ws: vx.Workspace, verdict: str) -> pd.DataFrame:
    table = vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))
    return table[table["verdict"] == verdict]


def acts(world: Sandbox) -> list[tuple[str, str]]:
    """Requests that acted: method and path."""
    return [(entry["method"], entry["path"]) for entry in world.requests(acting=True)]


# Fix.


def test_new_content_reaches_each_target_once_and_mends_it(ws, world):
    rows = triaged(ws, "fix content").head(6)
    assert len(rows)
    run = ws.run(vx.plan_fix(rows.assign(new_content="Shorter.")), reason="too long").wait(60)
    results = run.results()
    assert set(results["outcome"]) == {"succeeded"}
    fixes = world.effects("target.fix")
    assert len(fixes) == len(rows)
    assert all(fix["changed"] == ["content"] for fix in fixes)
    assert len(world.effects("target.publish")) == len(rows)
    assert world.duplicates() == []
    assert not any(path.endswith("/retry") for _, path in acts(world))
    mended = vx.targets(ws.posts()).merge(rows[["post_id", "platform", "account_id"]])
    assert set(mended["status"]) == {"published"}
    assert (ws.ledger()["reason"] == "too long").all()


def test_new_media_is_sent_as_such(ws, world):
    rows = triaged(ws, "fix media").head(3)
    assert len(rows)
    ws.run(vx.plan_fix(rows.assign(new_media_url="https://cdn.example/right.jpg"))).wait(60)
    assert [fix["changed"] for fix in world.effects("target.fix")] == [["mediaUrl"]] * len(rows)


def test_running_a_fix_again_fixes_nothing_again(ws, world):
    rows = triaged(ws, "fix content").head(4).assign(new_content="Shorter.")
    first = ws.run(vx.plan_fix(rows)).wait(60)
    sent = len(acts(world))
    again = ws.run(vx.plan_fix(rows)).wait(60)
    assert len(acts(world)) == sent
    assert again.results()["outcome"].to_list() == first.results()["outcome"].to_list()


@pytest.mark.parametrize("action", ["drop", "status"])
def test_a_fix_whose_answer_is_lost_takes_effect_once(ws, world, action):
    world.add_fault(Fault(action, method="POST", path="/v1/posts/*/platforms/*/fix", when="after", times=3))
    rows = triaged(ws, "fix content").head(4).assign(new_content="Shorter.")
    results = ws.run(vx.plan_fix(rows)).wait(60).results()
    assert set(results["outcome"]) == {"succeeded"}
    assert len(world.effects("target.fix")) == len(rows)
    assert world.duplicates() == []


def test_a_fix_that_brings_nothing_is_held_and_the_others_go(ws, world):
    rows = triaged(ws, "fix content").head(3).assign(new_content=["Shorter.", None, "x" * 10_001])
    plan = vx.plan_fix(rows)
    assert plan.frame["eligible"].to_list() == [True, False, False]
    assert plan.frame["reason_code"].to_list()[1] == "new_value_missing"
    ws.run(plan).wait(60)
    assert len(world.effects("target.fix")) == 1


def test_a_fix_that_the_api_refuses_has_failed_for_its_reason(ws, world):
    rows = triaged(ws, "fix content")
    row = rows[rows["platform"] == "twitter"].head(1).assign(new_content="y" * 5_000)
    assert len(row) == 1
    run = ws.run(vx.plan_fix(row)).wait(60)
    (result,) = run.results().to_dict("records")
    assert (result["outcome"], result["http_status"], result["error_code"]) == ("failed", 400, "CONTENT_TOO_LONG")
    assert world.effects("target.fix") == []
    second = ws.run(vx.plan_fix(run.failed().assign(new_content="Shorter."))).wait(60)
    assert second.results()["outcome"].to_list() == ["succeeded"]
    keys = ws.ledger()["idempotency_key"]
    assert keys.nunique() == 2, "another content is another request"


def test_a_post_that_somebody_touched_is_not_fixed_over_their_head(ws, world):
    rows = triaged(ws, "fix content").head(2).assign(new_content="Shorter.")
    world.advance(5)
    world.touch(rows["post_id"].iloc[0])
    results = ws.run(vx.plan_fix(rows)).wait(60).results()
    assert results["outcome"].to_list() == ["blocked", "succeeded"]
    assert results["waiting_for"].iloc[0].startswith(beginning("changed_since_loaded"))
    assert len(world.effects("target.fix")) == 1


# Cancel.


def test_a_wrong_campaign_is_withdrawn_once(ws, world):
    posts = ws.posts(status=["scheduled", "draft"])
    assert len(posts) > 5
    run = ws.run(vx.plan_cancel(posts), reason="wrong link").wait(60)
    assert set(run.results()["outcome"]) == {"succeeded"}
    assert len(world.effects("post.cancel")) == len(posts)
    assert set(ws.posts(status="cancelled")["post_id"]) >= set(posts["post_id"])
    sent = len(acts(world))
    assert set(ws.run(vx.plan_cancel(posts)).wait(60).results()["outcome"]) == {"succeeded"}
    assert len(acts(world)) == sent
    world.advance(30 * 86_400)
    assert not {effect["post"] for effect in world.effects("target.publish")} & set(posts["post_id"])


@pytest.mark.parametrize("action", ["drop", "status"])
def test_a_cancel_whose_answer_is_lost_is_settled_by_reading(ws, world, action):
    world.add_fault(Fault(action, method="POST", path="/v1/posts/*/cancel", when="after", times=2))
    posts = ws.posts(status=["scheduled", "draft"]).head(4)
    results = ws.run(vx.plan_cancel(posts)).wait(60).results()
    assert set(results["outcome"]) == {"succeeded"}
    assert len(world.effects("post.cancel")) == len(posts)


def test_what_is_out_is_not_withdrawn(ws, world):
    posts = pd.concat([ws.posts(status="published").head(2), ws.posts(status="scheduled").head(1)], ignore_index=True)
    plan = vx.plan_cancel(posts)
    assert plan.frame["eligible"].to_list() == [False, False, True]
    assert plan.frame["reason"].iloc[0] == str(Reason("not_cancellable", status="published"))
    ws.run(plan).wait(60)
    assert len(world.effects("post.cancel")) == 1


def test_a_post_that_went_out_meanwhile_is_too_late(ws, world):
    posts = ws.posts(status="scheduled").sort_values("scheduled_for").head(1)
    plan = vx.plan_cancel(posts)
    due = posts["scheduled_for"].iloc[0] - pd.Timestamp(world.now())
    world.advance(due.total_seconds() + 120)
    (result,) = ws.run(plan).wait(60).results().to_dict("records")
    assert result["outcome"] != "succeeded"
    assert world.effects("post.cancel") == []


# Accounts.


def test_accounts_are_renewed_tried_and_distinguished(ws, world):
    broken = {a.id for a in world.world.accounts.values() if a.status == "expired" and not a.refreshable}
    assert broken
    before = ws.accounts()
    table = ws.accounts(check=True)
    assert list(table.columns) == [*before.columns, "refreshed", "verdict"]
    assert table.dtypes[["works", "refreshed"]].eq("boolean").all()
    assert before["works"].isna().all()
    assert table["checked_at"].notna().all()
    assert set(table.loc[~table["works"], "account_id"]) == broken
    assert set(table.loc[~table["works"], "verdict"]) == {"reconnect account"}
    assert table.loc[~table["works"], "remedy"].str.startswith("connect the account again").all()
    assert ws.accounts()["works"].to_list() == table["works"].to_list(), "the board remembers it"
    assert len(world.effects("account.refresh")) == len(world.effects("account.test")) == len(table)


def test_triage_ends_in_accounts_to_check(ws, world):
    rows = triaged(ws, "reconnect account")
    assert len(rows)
    table = ws.accounts(rows, check=True, refresh=False)
    assert set(table["account_id"]) == set(rows["account_id"])
    assert world.effects("account.refresh") == []
    assert table["refreshed"].isna().all()


def test_one_account_that_can_not_be_asked_does_not_stop_the_others(ws, world):
    first = ws.accounts()["account_id"].iloc[0]
    world.add_fault(
        Fault("status", method="POST", path=f"/v1/accounts/{first}/test", status=404, code="NOT_FOUND", times=None)
    )
    table = ws.accounts(check=True).set_index("account_id")
    assert table.loc[first, "works"] is pd.NA
    assert "404 NOT_FOUND" in table.loc[first, "check_message"]
    assert table.loc[first, "verdict"] == "ask support"
    assert table["works"].sum() >= len(table) - 2


def test_an_account_that_is_not_ours_is_refused(ws):
    with pytest.raises(vx.errors.PlanError, match="no account acc_x"):
        ws.accounts("acc_x")
    with pytest.raises(vx.errors.PlanError, match="account_id"):
        ws.accounts(pd.DataFrame({"a": [1]}))
    before = len(ws.accounts())
    assert len(ws.accounts(ws.accounts().head(0), check=True)) == 0
    assert before > 1


def test_a_key_that_may_not_do_it_ends_it(world):
    with vx.connect("vb_test_readonly", url=world.url) as ws, pytest.raises(vx.errors.AuthError):
        ws.accounts(check=True)


def test_a_refused_retry_can_be_planned_again(ws, world):
    """What a refused act leaves in `run.failed()` is the target's own error, not that of the refusal."""
    rows = triaged(ws, "retry")
    rows = rows[rows["post_status"] == "failed"].head(1)
    world.add_fault(
        Fault("status", method="POST", path="/v1/posts/**", status=409, code="CONFLICT", when="before", times=1)
    )
    run = ws.run(vx.plan_retry(vx.triage(rows))).wait(60)
    assert run.results()["error_code"].to_list() == ["CONFLICT"] * len(run.results())
    again = run.failed()
    assert again["error_code"].to_list() == rows["error_code"].to_list()
    assert ws.run(vx.plan_retry(again)).wait(60).results()["outcome"].to_list() == ["succeeded"]


def test_what_the_api_will_not_try_again_is_not_planned_again(ws, world):
    """Its target still shows the old error, which a retry could cure; the API's own word is what counts."""
    rows = triaged(ws, "retry")
    rows = rows[rows["post_status"] == "failed"].head(1)
    for target in world.world.posts[rows["post_id"].iloc[0]].targets:
        target.retry_count = 3
    run = ws.run(vx.plan_retry(vx.triage(rows))).wait(60)
    assert run.results()["error_code"].to_list() == ["SKIPPED"]
    sent = len(acts(world))
    left = run.failed()
    assert left[["error_code", "error_message"]].values.tolist() == [["SKIPPED", "retry limit reached"]]
    assert (left["verdict"].item(), left["retryable"].item()) == ("ask support", False)
    again = vx.plan_retry(left)
    assert again.eligible == 0
    assert len(ws.run(again).wait(60).results()) == 0
    assert len(acts(world)) == sent


def test_what_the_api_left_out_can_be_mended_once_it_is_loaded_again(ws, world):
    rows = triaged(ws, "retry")
    rows = rows[rows["post_status"] == "failed"].head(1)
    for target in world.world.posts[rows["post_id"].iloc[0]].targets:
        target.retry_count = 3
    left = ws.run(vx.plan_retry(vx.triage(rows))).wait(60).failed()
    stale = ws.run(vx.plan_fix(left.assign(new_content="Shorter."))).wait(60).results()
    assert stale["waiting_for"].item().startswith(beginning("changed_since_loaded"))
    fresh = vx.targets(ws.posts(status="failed"))
    fresh = fresh[fresh["post_id"] == left["post_id"].item()]
    mended = ws.run(vx.plan_fix(fresh.assign(new_content="Shorter."))).wait(60).results()
    assert mended["outcome"].to_list() == ["succeeded"]
