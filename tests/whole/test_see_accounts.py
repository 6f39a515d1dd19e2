"""The board of accounts: what is about to fail, before it fails; and this week against last in a report."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.sandbox.support import again

import voxops as vx
from voxburst_sandbox import Fault
from voxops.api.reasons import Reason


def test_what_waits_on_an_account_is_counted_and_its_owners_and_campaigns_are_named(sandbox, acts):
    with vx.connect(sandbox=sandbox, owner_field="owner", campaign_field="campaign") as ws:
        board = ws.accounts().set_index("account_id")
        waiting = vx.targets(ws.posts(status="scheduled")).groupby("account_id")
    expired = sorted(key for key, account in sandbox.world.accounts.items() if account.status == "expired")
    assert board.index[board["risk"] == "expired"].tolist() == expired != []
    assert board["scheduled"].sum() == waiting.size().sum()
    board = board.loc[waiting.size().index]
    assert board["scheduled"].tolist() == waiting.size().tolist()
    assert board["next_at"].tolist() == waiting["scheduled_for"].min().tolist()
    for name in ("owner", "campaign"):
        names = waiting[name].agg(lambda values: ", ".join(sorted(set(values.dropna()))))
        assert board[f"{name}s"].fillna("").tolist() == names.tolist()
        assert names.ne("").any(), "the fixture world names some"
    assert acts() == 0


def test_a_degraded_account_and_a_failed_check_are_risks_and_a_mended_one_is_none(ws, sandbox):
    accounts = sandbox.world.accounts
    first, second = sorted(key for key, account in accounts.items() if account.status == "active")[:2]
    accounts[first].scope_health = {"status": "DEGRADED", "message": "may not post videos"}
    before = ws.accounts().set_index("account_id")
    why = str(Reason("account_lacks_permissions_as_told", message="may not post videos"))
    assert before.loc[first, ["risk", "why"]].tolist() == ["degraded", why]
    assert before["works"].isna().all()
    sandbox.add_fault(Fault("status", method="POST", path=f"/v1/accounts/{second}/test", status=404, code="NOT_FOUND"))
    ws.accounts([first, second], check=True, refresh=False)
    board = ws.accounts().set_index("account_id")
    assert bool(board.loc[first, "works"])
    assert pd.isna(board.loc[second, "works"]), "it could not be checked"
    assert str(board.dtypes["checked_at"]) == "datetime64[us, UTC]"
    accounts[first].scope_health = {"status": "OK"}
    assert pd.isna(ws.accounts().set_index("account_id").loc[first, "risk"])


@pytest.mark.parametrize(("codes", "risk"), [
    (["RATE_LIMITED", "RATE_LIMITED", None, None], "failing"), (["RATE_LIMITED", None, None], None), (["RATE_LIMITED", "RATE_LIMITED"], None),
    (["CONTENT_TOO_LONG"] * 3 + [None], None),
], ids=["half", "a third", "too few", "the posts' own fault"])  # fmt: skip
def test_an_account_half_of_whose_targets_failed_is_failing_unless_the_posts_were_to_blame(ws, sandbox, codes, risk):
    account = next(key for key, account in sandbox.world.accounts.items() if account.status == "active")
    again(sandbox, empty=True)
    for code in codes:
        post = sandbox.world.posts[sandbox.plant_post("x", [account], status="failed" if code else "published")]
        (target,) = post.targets
        target.status, target.error = post.status, code and {"code": code, "message": "no"}
    board = ws.accounts().set_index("account_id").loc[account]
    assert (None if pd.isna(board["risk"]) else board["risk"]) == risk
    assert board["failed"] == sum(code is not None for code in codes)
