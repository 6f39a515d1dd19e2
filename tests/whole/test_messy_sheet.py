"""A sheet of 300 rows as people make them, from file to created: every refused row has a reason that names its cell, none is lost."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import xlsxwriter
from tests.sheets.offline import findings

import voxops as vx
from voxburst_sandbox import Fault
from voxops.api.reasons import Reason, kinds

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


SMALL = "row_id;content;accounts;scheduled_for\n1;a;twitter:@aldercoffee;2027-01-01T00:00Z\n"


def test_names_that_a_plan_takes_for_one_are_found_by_the_check_and_named_by_their_cells(tmp_path):
    """A stray blank, and a number that a file has written otherwise."""
    more = " 1;b;twitter:@a;2027-01-01T00:00Z\n1.0;c;twitter:@a;2027-01-01T00:00Z\n"
    (tmp_path / "sheet.csv").write_text(SMALL + more)
    sheet = vx.read_campaign(tmp_path / "sheet.csv")
    found = findings(sheet)
    fields = "row_id, content, accounts"
    doubled = Reason("row_id_differs", count=3, value="1", fields=fields, place="A2, A3, A4")
    assert found.loc[found["code"] == "row_id_differs", "cell"].to_list() == ["A2:A4"]
    with pytest.raises(vx.errors.PlanError, match=re.escape(str(doubled))):
        vx.plan_create(sheet, key="row_id")
    (tmp_path / "sheet.csv").write_text(SMALL + ";b;twitter:@a;2027-01-01T00:00Z\n")
    with pytest.raises(vx.errors.PlanError, match=re.escape(str(Reason("row_id_missing", place="A3")))):
        vx.plan_create(vx.read_campaign(tmp_path / "sheet.csv"), key="row_id")


def test_the_check_says_which_accounts_can_not_publish(sandbox):
    old = next(each for each in sandbox.world.accounts.values() if each.platform == "facebook")
    old.status = "disconnected"
    named = [f"facebook:@{old.username}", old.id, "facebook:@nobody", "instagram:@alder.berlin"]
    rows = pd.DataFrame({"row_id": ["name", "id", "unknown", "expired"], "content": [*"abcd"], "accounts": named})
    with vx.connect(sandbox=sandbox) as ws:
        sheet = rows.assign(
            scheduled_for="2027-01-01T00:00Z", media=[None, None, None, next(iter(sandbox.world.media))]
        )
        found = ws.check(sheet, gap=None).set_index("row_id")
    assert found["rows"].to_dict() == {"name": [0, 1], "unknown": [2], "expired": [3]}, "an account is one finding"
    assert found["platform"].to_list() == ["facebook", "facebook", "instagram"]
    assert set(found["level"]) == {"error"}
    assert set(found["column"]) == {"accounts"}
    for row, account, status in (("name", named[0], "disconnected"), ("expired", named[3], "expired")):
        why = Reason("account_not_active", account=account, status=status)  # by its name, as in the run
        assert found.loc[row, ["code", "message"]].to_list() == [why.code, why.sentence()]
    assert found.loc["unknown", "code"] == "account_unknown"
    assert "No account facebook:@nobody in this workspace" in found.loc["unknown", "message"]


def test_an_expired_account_is_one_finding_and_the_run_says_the_same_of_as_many_rows(sandbox, tmp_path):
    rows = [f"{n};Number {n};instagram:@alder.berlin;2027-01-{n % 28 + 1:02}T{n % 24:02}:00Z;REEL" for n in range(95)]
    path, media = (
        tmp_path / "sheet.csv",
        next(file.id for file in sandbox.world.media.values() if file.status.lower() == "ready"),
    )
    head = "row_id;content;accounts;scheduled_for;content_type;media"
    path.write_text(
        "\n".join([head, f"ok;x;twitter:@aldercoffee;2027-01-01T00:00Z;;{media}", *(f"{row};{media}" for row in rows)])
    )
    with vx.connect(sandbox=sandbox) as ws:
        sheet = vx.read_campaign(path)
        found = ws.check(sheet, gap=None)
        results = ws.run(vx.plan_create(sheet, key="row_id")).wait().results()
    (finding,) = found.to_dict("records")
    assert (finding["rows"], finding["row_id"], finding["cell"]) == ([*range(1, 96)], "0", "C3:C97")
    (why,) = set(results.loc[results["outcome"] == "blocked", "waiting_for"])
    assert finding["message"] == f"{why[:1].upper()}{why[1:]}."
    assert results["outcome"].to_list() == ["succeeded", *["blocked"] * 95]
    (line,) = repr(vx.view(found)).splitlines()[2:]
    assert re.search(r"account_not_active .* 95 +0 .* C3:C97$", line)


def test_rules_and_api_say_each_thing_once_and_name_the_account_that_was_meant(sandbox):
    rows = {
        "row_id": ["long", "close", "twice", "typo", "copy"],
        "content": ["x" * 300, "x" * 279 + "\N{PARTY POPPER}", "Hello", "Bye", "Hello"],
        "accounts": [
            "X:@AlderCoffee;facebook:@aldercoffee", "X:@AlderCoffee", "facebook:@aldercoffee;facebook:aldercoffee",
            "twitter:@aldercofee", "facebook:@aldercoffee",
        ],
        "scheduled_for": "2027-01-01T00:00Z",
    }  # fmt: skip
    with vx.connect(sandbox=sandbox) as ws:
        before = len(sandbox.requests())
        found = ws.check(pd.DataFrame(rows), gap=None)
        assert len(sandbox.requests()) == before + 1 + 4 + 2, (
            "the accounts, each row that names one, and what waits to go out"
        )
        plan = ws.run(vx.plan_create(pd.DataFrame(rows).iloc[[3]], key="row_id")).wait().results()
    assert found[["row_id", "platform", "level", "code"]].astype(object).where(found.notna(), None).to_numpy().tolist() == [
        ["long", "twitter", "error", "content_too_long"],  # a warning of the rules, which leave it to the API
        ["close", "twitter", "warning", "content_near_limit"],
        ["twice", None, "warning", "account_doubled"],
        ["typo", "twitter", "error", "account_unknown"],
        ["copy", None, "error", "duplicate_post"],
    ]  # fmt: skip
    said = found["message"].to_list()
    assert "280 allowed" in said[0]
    assert "did you mean twitter:@aldercoffee?" in said[3]
    assert said[3].lower() == plan["waiting_for"].item()
    assert said[4] == Reason("duplicate_post", other="row twice").sentence()


def test_an_account_without_its_colon_is_one_finding(ws):
    named = ["Twitter @aldercoffee;twitter:@nobody_at_all"]
    sheet = pd.DataFrame({"row_id": ["a"], "content": ["x"], "accounts": named, "scheduled_for": ["2027-01-01T00:00Z"]})
    found = ws.check(sheet)
    assert found["code"].to_list() == ["account_form", "account_unknown"]
    assert "did you mean twitter:@aldercoffee?" in found["message"][0]
    assert "nobody_at_all" in found["message"][1]


def test_a_post_that_the_api_refuses_to_check_is_an_error_of_its_row(ws, sandbox):
    sandbox.add_fault(Fault("status", method="POST", path="/v1/posts/validate", status=422, code="VALIDATION_ERROR"))
    row = {"row_id": "a", "content": "x", "accounts": "twitter:@aldercoffee", "scheduled_for": "2027-01-01T00:00Z"}
    (found,) = ws.check(pd.DataFrame([row])).to_dict("records")
    assert (found["row_id"], found["level"], found["code"]) == ("a", "error", "validation_error")
    assert pd.isna(found["column"])
