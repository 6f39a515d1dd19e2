"""People stay: whom a sheet names is the owner of its posts, to the tickets of the next Monday."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.sheets.offline import findings

import voxops as vx
from voxops.acts.create import plan_create
from voxops.api.limits import METADATA_NAME_CHARACTERS, METADATA_TEXT_CHARACTERS
from voxops.errors import ConfigError, PlanError

FIELDS = {"owner_field": "metadata.owner", "campaign_field": "about.campaign"}


def sheet(rows: int = 1, **columns: object) -> pd.DataFrame:
    """Rows of a campaign, an hour apart."""
    times = pd.date_range("2026-04-01T08:00Z", periods=rows, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ")
    cells = {
        "row_id": [f"r{row}" for row in range(rows)],
        "content": [f"Number {row}" for row in range(rows)],
        "accounts": "facebook:@aldercoffee",
        "scheduled_for": list(times),
        **columns,
    }
    return pd.DataFrame(cells)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_ten_of_ten_posts_of_a_sheet_have_their_owner_whom_the_tickets_name(
    sandbox, tmp_path: Path, one_by_one: bool
) -> None:
    sandbox.set_switches(failure_rates={"facebook": {"CONTENT_TOO_LONG": 1.0}})
    path = tmp_path / "sheet.csv"
    rows = sheet(10, Owner=[" Ada ", "Böb"] * 5)
    rows.to_csv(path, index=False)
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger", **FIELDS) as ws:
        campaign = vx.read_campaign(path)
        assert not len(ws.check(campaign, gap=None))
        plan = vx.plan_create(campaign, key="row_id", campaign="Spring  Sale ’26", one_by_one=one_by_one)
        assert ws.run(plan).wait().results()["outcome"].eq("succeeded").all()
        posts = ws.posts(campaign="spring sale '26")
        assert sorted(posts["owner"]) == ["Ada"] * 5 + ["Böb"] * 5
        assert set(posts["campaign"]) == {"Spring Sale ’26"}, "as the analyst has written it"
        assert vx.view(posts).columns[4:6] == ("owner", "campaign")
        sandbox.advance(60 * 24 * 3600)
        triaged = vx.triage(ws.posts(campaign="Spring Sale ’26"))
        report = vx.report(triaged)
        assert set(report.tickets()) == {"Ada", "Böb"}
        assert "Ada (5), Böb (5)" in repr(report)
        assert vx.causes(triaged)["owners"].to_list() == ["Ada (5), Böb (5)"]


def test_what_connect_was_given_no_field_for_is_not_sent_and_the_check_says_so_once(sandbox, ws) -> None:
    rows = sheet(3, owner=[None, "Ada", "Ben"], campaign="spring")
    found = ws.check(rows, gap=None)
    assert found[["rows", "row_id", "column", "level", "code"]].to_numpy().tolist() == [
        [[1, 2], "r1", "owner", "warning", "people_not_sent"],
    ]
    assert "vx.connect(owner_field='owner')" in found["message"].iloc[0]
    posts = ws.run(plan_create(rows, key="row_id")).wait().made()["post_id"]
    for post in posts:
        assert {name for name in sandbox.world.posts[post].metadata if not name.startswith("voxops")} == set()
    assert ws.check(rows.assign(owner=" "), gap=None, ask=False).empty


def test_a_change_of_a_sync_keeps_people_and_another_owner_is_no_change(sandbox, tmp_path: Path) -> None:
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger", **FIELDS) as ws:
        rows = sheet(2, owner="Ada")

        def sync(frame: pd.DataFrame) -> list[str]:
            plan = vx.plan_sync(frame, ws.posts(campaign="spring"), key="row_id", campaign="spring")
            results = ws.run(plan).wait().results() if plan.eligible else plan.frame
            return results["act"].to_list()

        assert sync(rows) == ["create", "create"]
        assert sync(rows.assign(owner="Ben")) == ["none", "none"]
        assert sync(rows.assign(content=["Number 0", "Other"])) == ["change"]
        posts = ws.posts(campaign="spring")
        assert sorted(posts["content"]) == ["Number 0", "Other"]
        assert set(posts["owner"]) == {"Ada"}


@pytest.mark.parametrize("column", ["owner", "campaign"])
@pytest.mark.parametrize("value", ["x" * (METADATA_TEXT_CHARACTERS + 1), "nan", ["Ada"]])
def test_what_metadata_can_not_hold_is_a_finding_and_holds_its_row(column: str, value: object) -> None:
    rows = sheet(2, **{column: pd.Series([value, "x" * METADATA_TEXT_CHARACTERS], dtype=object)})
    found = findings(rows)
    assert found[["rows", "column", "level", "code"]].to_numpy().tolist() == [[[0], column, "error", "person_form"]]
    if column != "campaign":
        assert plan_create(rows, key="row_id").frame["reason_code"].to_list() == ["person_form", "ready"]


def test_a_campaign_that_metadata_can_not_hold_is_refused_where_it_is_named() -> None:
    with pytest.raises(PlanError, match="campaign= has 1,001 characters; it may have 1,000"):
        plan_create(sheet(), key="row_id", campaign="x" * 1001)
    plan = plan_create(sheet(campaign="x" * 1001), key="row_id")
    assert plan.frame["reason_code"].to_list() == ["person_form"]


@pytest.mark.parametrize(("fields", "said"), [
    ({"owner_field": "voxopsOp"}, "a field in which voxops marks posts"), ({"campaign_field": "metadata.VoxOps.x"}, "marks posts"),
    ({"owner_field": "x" * (METADATA_NAME_CHARACTERS + 1)}, "must name a field"),
    ({"owner_field": "who", "campaign_field": "metadata.who"}, "campaign_field='metadata.who' is the field of owner, or within it"),
    ({"owner_field": "who.name", "tags_field": "who"}, "owner_field='metadata.who.name' is the field of tags, or within it"),
])  # fmt: skip
def test_a_field_that_would_overwrite_another_is_refused(sandbox, fields: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        vx.connect(sandbox=sandbox, **fields)


def test_the_field_of_the_owner_may_stand_in_the_environment(sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXOPS_OWNER_FIELD", "crew")
    with vx.connect(sandbox=sandbox) as ws:
        assert ws.settings.people == {"owner": "metadata.crew"}
        assert ws.settings.arguments() == {"owner_field": "crew"}
