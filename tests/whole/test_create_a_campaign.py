"""Create a campaign: from a messy sheet of 300 rows, with owners, texts for each platform, and a name close to another."""

from __future__ import annotations

import html
import re
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import xlsxwriter
from tests.chaos import world

import voxops as vx
from voxops.api.reasons import kinds

ROWS = 300


COLUMNS = {"Nr.": "row_id", "Beitrag": "content", "Kanäle": "accounts", "Wann": "scheduled_for"}


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


def rows() -> list[dict[str, str]]:
    made = []
    for number in range(2, ROWS + 2):
        text = f"Beitrag {number}: „Zwölf; ja“"
        when = f"{number % 20 + 4}.4.2026 9:{number % 60:02}"
        row = {"Nr.": f"{number:03}", "Beitrag": text, "Kanäle": "twitter:@aldercoffee", "Wann": when}
        made.append(row | dict([WRONG[number]] if number in WRONG else []))
    return made


def as_csv(path: Path) -> Path:
    pd.DataFrame(rows()).to_csv(path, sep=";", index=False, encoding="utf-8-sig")
    return path


def as_workbook(path: Path) -> Path:
    """The same, with the times as Excel has them wherever they are times."""
    with xlsxwriter.Workbook(str(path)) as book:
        page, when = book.add_worksheet("April"), book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        book.add_worksheet("Notizen").write_string(0, 0, "intern")
        for at, head in enumerate(COLUMNS):
            page.write_string(0, at, head)
        for number, row in enumerate(rows(), start=1):
            for at, (head, text) in enumerate(row.items()):
                if head == "Wann" and re.fullmatch(r"\d+\.4\.2026 9:\d\d", text):
                    page.write_datetime(number, at, datetime.strptime(text, "%d.%m.%Y %H:%M"), when)
                elif text:
                    page.write_string(number, at, text)
    return path


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_from_a_file_to_created_posts(kind, tmp_path, sandbox):
    said = {"tz": "Europe/Berlin", "dayfirst": True, "columns": COLUMNS}
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        if kind == "csv":
            campaign = vx.read_campaign(as_csv(tmp_path / "x.csv"), **said)
        else:
            campaign = vx.read_campaign(as_workbook(tmp_path / "x.xlsx"), sheet="April", **said)
        findings = ws.check(campaign, ask=False, gap=None)
        plan = vx.plan_create(campaign, key="row_id", campaign="april")
        results = ws.run(plan).wait().results()

    assert len(campaign) == ROWS
    assert campaign["row_id"].iloc[0] == "002"
    # The picture that is missing in row 74 has no column in the sheet.
    assert findings["cell"].to_list() == ["D10:D59", "D60:D69", "D70", "D71", "C72", "C73", "row 74", "B75"]
    assert campaign["row_id"].iloc[findings["rows"].explode()].astype(int).to_list() == list(WRONG)

    blocked = plan.frame[~plan.frame["eligible"]]
    assert blocked["reason"].str.contains(r" \((?:[A-D]|row )\d+\)$").all()
    assert plan.eligible == ROWS - len(WRONG)
    assert results["outcome"].eq("succeeded").all()
    assert len(sandbox.effects("post.create")) == ROWS - len(WRONG)
    assert not sandbox.duplicates()
    # ten times that can't be read, fifty that are none, one that does not exist: one kind, with examples and their cells
    unreadable = [why for why in plan.why if why.code == "time_unreadable"]
    ((said, count),) = kinds((why, 1) for why in unreadable)
    assert count == 61
    assert re.search("61 +" + re.escape(said.partition(" (")[0]), repr(plan))
    assert re.search(r"61 +.*\(for example '[^']+' in D\d+ and '[^']+' in D\d+\)", repr(plan))
    times = dict(zip(results["row_id"], results["scheduled_for"], strict=True))
    assert times["002"] == "2026-04-06T09:02:00+02:00"


# -- owners

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
def test_ten_of_ten_posts_of_a_sheet_have_their_owner_whom_the_tickets_name(sandbox, tmp_path, one_by_one):
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


# -- texts for a platform


@pytest.mark.parametrize("one_by_one", [False, True])
def test_each_platform_gets_its_text_once_and_plans_and_results_show_it(sandbox, ws, one_by_one):
    texts = {"accounts": "twitter:@aldercoffee; linkedin:@aldercoffee", "content:twitter": "Short"}
    plan = vx.plan_create(sheet(**texts), key="row_id", campaign="spring", one_by_one=one_by_one)
    assert "text on twitter" in repr(plan)
    results = ws.run(plan).wait().results()
    assert results["outcome"].to_list() == ["succeeded"]
    post = sandbox.world.posts[results["result_id"][0]]
    assert {target.platform: target.content for target in post.targets} == {"twitter": "Short", "linkedin": None}
    assert results["content:twitter"].to_list() == ["Short"]
    assert "text on twitter" in vx.view(results)._repr_html_()
    for other in ({"content:twitter": "Else"}, {"content:twitter": None}, {"content:linkedin": "L"}):
        frame = sheet(**texts | other)
        table = ws.run(vx.plan_create(frame, key="row_id", campaign="spring", one_by_one=one_by_one)).wait().results()
        assert table["reason_code"].to_list() == ["created_otherwise"]
        assert next(iter(other)) in table["waiting_for"][0], "the column, as the sheet calls it"
    assert len(sandbox.effects("post.create")) == 1


def test_another_laptop_with_another_text_for_a_platform_posts_nothing_twice(sandbox, ws, tmp_path):
    def results(workspace, text):
        frame = sheet(accounts="twitter:@aldercoffee; linkedin:@aldercoffee", **{"content:twitter": text})
        return workspace.run(created(frame, "spring")).wait().results()["reason_code"].fillna("").to_list()

    assert results(ws, "Short") == [""]
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "other") as other:
        assert [results(other, text) for text in ("Else", None, "Short")] == [["shows_it_now"], ["shows_it_now"], [""]]
    assert len(sandbox.effects("post.create")) == 1


# -- names of campaigns


def created(frame, name):
    return vx.plan_create(frame, key="row_id", campaign=name)


@pytest.fixture
def desk(sandbox, tmp_path):
    """A sheet, and workspaces with ledgers of their own, by name; they know in which field posts name their campaign."""
    with ExitStack() as stack:

        def connected(name):
            fields = {"campaign_field": "campaign"}
            return stack.enter_context(vx.connect(sandbox=sandbox, ledger=tmp_path / name, **fields))

        yield world.campaign(world.accounts(sandbox), 3), connected


def test_the_campaigns_are_those_of_the_ledger_and_of_loaded_posts_as_they_were_written_last(desk, sandbox):
    sheet, connected = desk
    ws, other = connected("one"), connected("two")
    assert ws.campaigns().empty
    for name, rows in (('KW 10 "a"', sheet.head(2)), ("Herbst", sheet.head(1)), ("KW 10 “A”", sheet.assign(twin=True))):
        ws.run(created(rows.assign(content=rows["content"] + " " + name[:2]), name)).wait(60)
        sandbox.advance(60)
    table = ws.campaigns()
    assert table[["campaign", "rows"]].to_numpy().tolist() == [["KW 10 “A”", 3], ["Herbst", 1]]
    assert (table["first_at"] <= table["last_at"]).all()
    assert other.campaigns().empty
    other.posts(status="scheduled")
    found = other.campaigns().set_index("campaign")["rows"]
    assert found[["KW 10 “A”", "Herbst"]].tolist() == [3, 1]
    assert len(found) > 2, "the sandbox's own campaigns"


MEANT = "The campaign 'KW 1O' is new here; did you mean 'KW 10'?"


def test_a_name_close_to_a_known_one_is_named_before_anything_is_sent(desk, sandbox):
    sheet, connected = desk
    ws = connected("one")
    for name in ("KW 10", "KW 11"):  # which is another week
        ws.run(created(sheet.assign(content=sheet["content"] + name), name)).wait(60)
    synced = vx.plan_sync(sheet, ws.posts(campaign="KW 10"), key="row_id", campaign="KW 1O")
    assert MEANT in repr(synced)
    assert MEANT in html.unescape(re.sub("<[^>]+>", "", synced._repr_html_()))
    assert "did you mean" not in repr(vx.plan_sync(sheet, ws.posts(campaign="KW 10"), key="row_id", campaign="kw 11"))
    uploaded = ws.upload(sheet.assign(media=None))
    assert MEANT in repr(created(uploaded, "KW 1O"))
    with pytest.warns(UserWarning, match=re.escape(MEANT)):
        ws.run(created(sheet, "KW 1O").canary(1)).wait(60)
    assert len(sandbox.effects("post.create")) == 7
