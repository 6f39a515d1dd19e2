"""Create a campaign: from a messy sheet of 300 rows, with owners, texts for each platform, and a name close to another."""

from __future__ import annotations

import html
import re

import pandas as pd
import pytest

import voxops as vx

ROWS = 300


COLUMNS = {"Nr.": "row_id", "Beitrag": "content", "Kanäle": "accounts", "Wann": "scheduled_for"}


def created(frame: pd.DataFrame, name: str, **options: bool) -> vx.Plan:
    return vx.plan_create(frame, key="row_id", campaign=name, **options)


# The faulty rows of the sheet, by column and value; all others are good.
WRONG = {
    **dict.fromkeys(range(10, 60), ("Wann", "nächsten Dienstag")),
    **dict.fromkeys(range(60, 70), ("Wann", "31.2.2026 9:00")),
    70: ("Wann", ""),
    71: ("Wann", "29.03.2026 02:30"),  # an hour that summer time leaves out
    72: ("Kanäle", ""),
    73: ("Kanäle", "twitter @aldercoffee"),
    74: ("Kanäle", "instagram:@aldercoffee"),
    75: ("Beitrag", ""),
}


def test_from_a_file_to_created_posts(tmp_path, sandbox):
    numbers = range(2, ROWS + 2)
    rows = pd.DataFrame({
        "Nr.": [f"{number:03}" for number in numbers], "Beitrag": [f"Beitrag {number}: „Zwölf; ja“" for number in numbers],
        "Kanäle": "twitter:@aldercoffee", "Wann": [f"{number % 20 + 4}.4.2026 9:{number % 60:02}" for number in numbers],
    }, index=numbers)  # fmt: skip
    for number, (column, value) in WRONG.items():
        rows.loc[number, column] = value
    rows.to_csv(tmp_path / "x.csv", sep=";", index=False, encoding="utf-8-sig")
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        campaign = vx.read_campaign(tmp_path / "x.csv", tz="Europe/Berlin", dayfirst=True, columns=COLUMNS)
        findings = ws.check(campaign, ask=False, gap=None)
        plan = created(campaign, "april")
        results = ws.run(plan).wait().results()

    assert len(campaign) == ROWS
    assert campaign["row_id"].iloc[0] == "002"
    # The picture that is missing in row 74 has no column in the sheet.
    assert findings["cell"].to_list() == ["D10:D59", "D60:D69", "D70", "D71", "C72", "C73", "row 74", "B75"]
    assert campaign["row_id"].iloc[findings["rows"].explode()].astype(int).to_list() == list(WRONG)

    blocked = plan.frame[~plan.frame["eligible"]]
    assert blocked["reason"].str.contains(r" \((?:[A-D]|row )\d+\)$").all()
    assert plan.eligible == len(sandbox.effects("post.create")) == ROWS - len(WRONG)
    assert results["outcome"].eq("succeeded").all()
    assert not sandbox.duplicates()
    # fifty times that are none, ten that can't be read, one that does not exist: one kind, with examples and their cells
    assert re.search(r"61 +.*\(for example '[^']+' in D\d+ and '[^']+' in D\d+\)", repr(plan))
    assert results.set_index("row_id")["scheduled_for"]["002"] == "2026-04-06T09:02:00+02:00"


# -- owners


def sheet(rows: int = 1, **columns: object) -> pd.DataFrame:
    """Rows of a campaign, an hour apart."""
    times = pd.date_range("2026-04-01T08:00Z", periods=rows, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ")
    numbers = pd.Series(range(rows), dtype="string")
    cells = {"row_id": "r" + numbers, "content": "Number " + numbers, "accounts": "facebook:@aldercoffee"}
    return pd.DataFrame({**cells, "scheduled_for": times, **columns})


@pytest.mark.parametrize("one_by_one", [False, True])
def test_ten_of_ten_posts_of_a_sheet_have_their_owner_whom_the_tickets_name(sandbox, ledger, tmp_path, one_by_one):
    sandbox.set_switches(failure_rates={"facebook": {"CONTENT_TOO_LONG": 1.0}})
    sheet(10, Owner=[" Ada ", "Böb"] * 5).to_csv(tmp_path / "sheet.csv", index=False)
    fields = {"owner_field": "metadata.owner", "campaign_field": "about.campaign"}
    with vx.connect(sandbox=sandbox, ledger=ledger, **fields) as ws:
        campaign = vx.read_campaign(tmp_path / "sheet.csv")
        assert not len(ws.check(campaign, gap=None))
        plan = created(campaign, "Spring  Sale ’26", one_by_one=one_by_one)
        assert ws.run(plan).wait().results()["outcome"].eq("succeeded").all()
        posts = ws.posts(campaign="spring sale '26")
        assert sorted(posts["owner"]) == ["Ada"] * 5 + ["Böb"] * 5
        assert set(posts["campaign"]) == {"Spring Sale ’26"}, "as the analyst has written it"
        assert vx.view(posts).columns[4:6] == ("owner", "campaign")
        sandbox.advance(60 * 24 * 3600)
        report = vx.report(vx.triage(ws.posts(campaign="Spring Sale ’26")))
        assert set(report.tickets()) == {"Ada", "Böb"}
        assert "Ada (5), Böb (5)" in repr(report)


# -- texts for a platform


ACCOUNTS = "twitter:@aldercoffee; linkedin:@aldercoffee"


@pytest.mark.parametrize("one_by_one", [False, True])
def test_each_platform_gets_its_text_once_and_plans_and_results_show_it(sandbox, ws, one_by_one):
    def planned(**columns: str | None) -> vx.Plan:
        cells = {"accounts": ACCOUNTS, "content:twitter": "Short", **columns}
        return created(sheet(**cells), "spring", one_by_one=one_by_one)

    plan = planned()
    assert "text on twitter" in repr(plan)
    results = ws.run(plan).wait().results()
    post = sandbox.world.posts[results["result_id"][0]]
    assert {target.platform: target.content for target in post.targets} == {"twitter": "Short", "linkedin": None}
    assert results["content:twitter"].to_list() == ["Short"]
    assert "text on twitter" in vx.view(results)._repr_html_()
    for other in ({"content:twitter": "Else"}, {"content:twitter": None}, {"content:linkedin": "L"}):
        table = ws.run(planned(**other)).wait().results()
        assert table["reason_code"].to_list() == ["created_otherwise"]
        assert next(iter(other)) in table["waiting_for"][0], "the column, as the sheet calls it"
    assert len(sandbox.effects("post.create")) == 1


def test_another_laptop_with_another_text_for_a_platform_posts_nothing_twice(sandbox, ws, tmp_path):
    def results(workspace: vx.Workspace, text: str | None) -> list[str]:
        frame = sheet(accounts=ACCOUNTS, **{"content:twitter": text})
        return workspace.run(created(frame, "spring")).wait().results()["reason_code"].fillna("").to_list()

    assert results(ws, "Short") == [""]
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "other") as other:
        assert [results(other, text) for text in ("Else", None, "Short")] == [["shows_it_now"], ["shows_it_now"], [""]]
    assert len(sandbox.effects("post.create")) == 1


# -- names of campaigns


@pytest.fixture
def desk(sandbox, ledger):
    """A workspace that knows in which field posts name their campaign."""
    with vx.connect(sandbox=sandbox, ledger=ledger, campaign_field="campaign") as ws:
        yield ws


def test_the_campaigns_are_those_of_the_ledger_and_of_loaded_posts_as_they_were_written_last(sandbox, desk, tmp_path):
    assert desk.campaigns().empty
    for name, rows in (('KW 10 "a"', sheet(2)), ("Herbst", sheet()), ("KW 10 “A”", sheet(3, twin=True))):
        desk.run(created(rows.assign(content=rows["content"] + name[:2]), name)).wait(60)
        sandbox.advance(60)
    table = desk.campaigns()
    assert table[["campaign", "rows"]].to_numpy().tolist() == [["KW 10 “A”", 3], ["Herbst", 1]]
    assert (table["first_at"] <= table["last_at"]).all()
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "other", campaign_field="campaign") as other:
        assert other.campaigns().empty
        other.posts(status="scheduled")
        found = other.campaigns().set_index("campaign")["rows"]
    assert found[["KW 10 “A”", "Herbst"]].tolist() == [3, 1]
    assert len(found) > 2, "the sandbox's own campaigns"


MEANT = "The campaign 'KW 1O' is new here; did you mean 'KW 10'?"


def test_a_name_close_to_a_known_one_is_named_before_anything_is_sent(sandbox, desk):
    rows = sheet(3)
    for name in ("KW 10", "KW 11"):  # which is another week
        desk.run(created(rows.assign(content=rows["content"] + name), name)).wait(60)
    posts = desk.posts(campaign="KW 10")
    synced = vx.plan_sync(rows, posts, key="row_id", campaign="KW 1O")
    assert MEANT in repr(synced)
    assert MEANT in html.unescape(re.sub("<[^>]+>", "", synced._repr_html_()))
    assert "did you mean" not in repr(vx.plan_sync(rows, posts, key="row_id", campaign="kw 11"))
    assert MEANT in repr(created(desk.upload(rows.assign(media=None)), "KW 1O"))
    with pytest.warns(UserWarning, match=re.escape(MEANT)):
        desk.run(created(rows, "KW 1O").canary(1)).wait(60)
    assert len(sandbox.effects("post.create")) == 7
