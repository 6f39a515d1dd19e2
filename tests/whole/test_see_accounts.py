"""The board of accounts: what is about to fail, before it fails; and this week against last in a report."""

from __future__ import annotations

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Fault
from voxops.api.reasons import Reason


def test_what_waits_on_an_account_is_counted_and_its_owners_and_campaigns_are_named(sandbox):
    with vx.connect(sandbox=sandbox, owner_field="owner", campaign_field="campaign") as ws:
        board = ws.accounts().set_index("account_id")
        waiting = vx.targets(ws.posts(status="scheduled"))
    expired = sorted(key for key, account in sandbox.world.accounts.items() if account.status == "expired")
    assert board.index[board["risk"] == "expired"].tolist() == expired != []
    groups = waiting.groupby("account_id")
    sizes = groups.size()
    assert board.loc[sizes.index, "scheduled"].tolist() == sizes.tolist()
    assert board["scheduled"].sum() == sizes.sum()
    assert board.loc[sizes.index, "next_at"].tolist() == groups["scheduled_for"].min().tolist()
    for name in ("owner", "campaign"):
        names = groups[name].agg(lambda values: ", ".join(sorted(set(values.dropna()))))
        assert board.loc[names.index, f"{name}s"].fillna("").tolist() == names.tolist()
        assert names.ne("").any(), "the fixture world names some"
    assert sandbox.requests(acting=True) == [], "nothing is sent"


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


def test_an_account_half_of_whose_targets_failed_is_failing_unless_the_posts_were_to_blame():
    from voxops.loading.accounts import account_board

    now = pd.Timestamp("2026-03-22T12:00:00Z")

    def targets(*rows: tuple[str, str | None], account: str = "acc_1") -> pd.DataFrame:
        known = {"platform": "twitter", "account_id": account, "account_name": "brand"}
        known |= dict.fromkeys(("updated_at", "scheduled_for"), now)
        frame = pd.DataFrame(rows, columns=["status", "error_code"]).assign(**known, content="x", error_message=None)
        texts = dict.fromkeys(("error_code", "error_message"), "string")
        return frame.assign(post_status=frame["status"], post_id=[f"post_{n}" for n in range(len(rows))]).astype(texts)

    account = {"account_id": "acc_1", "platform": "twitter", "username": "brand", "status": "active"}
    accounts = pd.DataFrame([account | {"scope_status": None, "scope_message": None}])
    waiting = targets(("scheduled", None))
    served = ("published", None)

    def risk(*recent: tuple[str, str | None]) -> list[object]:
        board = account_board(accounts, targets(*recent), waiting, {})
        return [*board["risk"].dropna(), board["failed"].item(), board["failure_share"].item()]

    limited, long = ("failed", "RATE_LIMITED"), ("failed", "CONTENT_TOO_LONG")
    assert risk(limited, limited, served, served) == ["failing", 2, 0.5]
    assert risk(limited, served, served) == [1, pytest.approx(1 / 3)]
    assert risk(limited, limited) == [2, 1.0], "two are too few to say so"
    assert risk(long, long, long, served) == [3, 0.75], "that is the posts' own fault"
