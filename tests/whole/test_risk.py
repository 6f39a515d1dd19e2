"""Posts at risk and the board of accounts: what is about to fail, before it fails; and in the report beside this week against last."""

from __future__ import annotations

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Fault
from voxops.api.reasons import Reason

RISK = {
    "post_id": "string", "platform": "string", "account_id": "string", "account_name": "string",
    "scheduled_for": "datetime64[us, UTC]", "risk": "string", "why": "string", "remedy": "string", "account_status": "string",
    "failure_share": "Float64", "content": "string", "post_status": "string", "updated_at": "datetime64[us, UTC]",
}  # fmt: skip


def test_what_is_scheduled_on_an_expired_account_is_at_risk_before_it_fails(ws, sandbox):
    risk = ws.at_risk()
    assert risk.dtypes.astype(str).to_dict() == RISK
    expired = {a.id for a in sandbox.world.accounts.values() if a.status == "expired"}
    waiting = {
        (post.id, target.account_id)
        for post in sandbox.world.posts.values()
        for target in post.targets
        if post.status == "scheduled" and target.account_id in expired
    }
    assert waiting
    bad = risk[risk["risk"] == "expired"]
    assert set(zip(bad["post_id"], bad["account_id"], strict=True)) == waiting
    assert risk["scheduled_for"].is_monotonic_increasing
    soon = ws.at_risk(within="12h")
    assert 0 < len(soon) < len(risk)
    assert soon["scheduled_for"].max() <= pd.Timestamp(sandbox.now()) + pd.Timedelta("12h")
    assert sandbox.requests(acting=True) == [], "nothing is sent"


def test_a_degraded_account_and_a_failed_check_are_risks_and_a_mended_one_is_none(ws, sandbox):
    owners = sandbox.world.accounts
    waiting = {t.account_id for p in sandbox.world.posts.values() if p.status == "scheduled" for t in p.targets}
    active = sorted(key for key in waiting if owners[key].status == "active")
    owners[active[0]].scope_health = {"status": "DEGRADED", "message": "may not post videos"}
    before = ws.accounts().set_index("account_id")
    why = str(Reason("account_lacks_permissions_as_told", message="may not post videos"))
    assert before.loc[active[0], ["risk", "why"]].tolist() == ["degraded", why]
    assert before["works"].isna().all()
    path = f"/v1/accounts/{active[1]}/test"
    sandbox.add_fault(Fault("status", method="POST", path=path, status=404, code="NOT_FOUND"))
    ws.accounts(active[:2], check=True, refresh=False)
    board = ws.accounts().set_index("account_id")
    assert bool(board.loc[active[0], "works"])
    assert pd.isna(board.loc[active[1], "works"]), "it could not be asked"
    assert str(board.dtypes["checked_at"]) == "datetime64[us, UTC]"
    assert board["scheduled"].sum() > 0
    assert ((board["failure_share"] >= 0) & (board["failure_share"] <= 1)).fillna(True).all()
    owners[active[0]].scope_health = {"status": "OK"}
    assert pd.isna(ws.accounts().set_index("account_id").loc[active[0], "risk"])


def test_an_account_half_of_whose_targets_failed_is_failing_unless_the_posts_were_to_blame():
    from voxops.loading.accounts import account_board, at_risk

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
        return [*at_risk(waiting, board)["risk"], board["failed"].item(), board["failure_share"].item()]

    limited, long = ("failed", "RATE_LIMITED"), ("failed", "CONTENT_TOO_LONG")
    assert risk(limited, limited, served, served) == ["failing", 2, 0.5]
    assert risk(limited, served, served) == [1, pytest.approx(1 / 3)]
    assert risk(limited, limited) == [2, 1.0], "two are too few to say so"
    assert risk(long, long, long, served) == [3, 0.75], "that is the posts' own fault"
    board = account_board(accounts, targets(served), waiting, {})
    stranger = at_risk(targets(("scheduled", None), account="acc_9"), board)
    assert stranger["risk"].to_list() == ["not_listed"]


def test_the_report_says_what_is_at_risk_and_what_has_changed(ws):
    triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="28D")))
    weeks, risk = vx.causes(triaged, against="7D"), ws.at_risk()
    made = vx.report(triaged, weeks=weeks, at_risk=risk)
    titles = [section.title for section in made.sections]
    assert titles.index("At risk: about to go out") < titles.index("This week against last")
    assert {"weeks", "at_risk"} <= set(made.frames)
    text = made._repr_html_()
    assert str(Reason("account_status", status="expired")) in text.replace("<wbr>", "")
    assert weeks["change"].iloc[0] in text
