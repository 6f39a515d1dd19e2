"""The check is true: what it calls right is created, and what it calls wrong would not be."""

from __future__ import annotations

import re
from itertools import cycle
from random import Random

import pandas as pd
import pytest
from tests.sandbox.support import again

import voxops as vx

WHEN = pd.Timestamp("2026-04-01T08:00Z")
BROKEN = ("expired", "disconnected", "error", "suspended", "revoked")


def cells(sandbox):
    """An account, cells of good rows, and cells of rows with a fault, by its code; some of the accounts have left."""
    accounts = list(sandbox.world.accounts.values())
    for account, status in zip([each for each in accounts if "berlin" in each.username], BROKEN, strict=False):
        account.status = status
    good = [each for each in accounts if each.status == "active"]
    bad = [each for each in accounts if each.status in BROKEN]
    files = {each.status: each.id for each in sandbox.world.media.values()}
    name = {each.id: f"{each.platform}:@{each.username}" for each in accounts}
    by = {each.platform: name[each.id] for each in good}
    right = [
        *({"accounts": ref, "media": files["ready"]} for each in good for ref in (name[each.id], each.id, f"{each.platform}:{each.id}")),
        {"accounts": f"{by['twitter']};{by['facebook']}", "content": "x" * 280}, {"content": "x" * 10_000},
        {"accounts": by["instagram"], "media": files["ready"], "content": "x" * 2200},
    ]  # fmt: skip
    wrong = {
        "account_not_active": [{"accounts": ref, "media": files["ready"]} for each in bad for ref in (name[each.id], f"{by['facebook']};{each.id}")],
        "account_unknown": [{"accounts": one} for one in ("acc_none", "twitter:@nobody", f"{by['facebook']};acc_none")],
        "content_too_long": [{"accounts": by[one], "content": "x" * most} for one, most in (("twitter", 281), ("linkedin", 3001), ("facebook", 10_001))],
        "media_required": [{"accounts": each.id} for each in good if each.platform == "instagram"],
        "media_not_ready": [{"media": files[status]} for status in ("pending", "failed")], "media_unknown": [{"media": "media_none"}],
        "media_folder": [{"media": "a.jpg"}], "time_passed": [{"scheduled_for": "2026-01-01T00:00Z"}],
    }  # fmt: skip
    return by["facebook"], right, wrong


OTHER = {"bulk_refuses_whole": True, "validation_status": 422, "validate_both_cases": True, "uppercase_status": True}


@pytest.mark.parametrize(("count", "one_by_one", "switches"), [(300, False, {}), (100, True, {}), (100, False, OTHER)])
def test_the_check_finds_exactly_the_rows_that_would_not_be_created(sandbox, ws, count, one_by_one, switches):
    """The codes of a plan, of the check and of the run agree, under several readings of the API."""
    sandbox.set_switches(**switches)
    rng, (usual, right, wrong) = Random(42), cells(sandbox)
    wrongs = cycle([(code, cell) for code, faulty in wrong.items() for cell in faulty])
    rows, faults = [], {}
    for number in range(count):
        code, cell = next(wrongs) if number % 2 else ("", rng.choice(right))
        time = str(WHEN + pd.Timedelta(number, "D"))
        row = {"row_id": f"r{number}", "content": f"Number {number}", "accounts": usual, "scheduled_for": time}
        rows.append({"media": None, **row, **cell})
        faults |= {f"r{number}": code} if code else {}
    sheet, good = pd.DataFrame(rows, dtype="string"), {row["row_id"] for row in rows} - faults.keys()
    before = len(sandbox.effects())
    found = ws.check(sheet)
    assert len(sandbox.effects()) == before, "nothing was changed"
    errors = found[found["level"] == "error"].explode("rows")
    errors["row_id"] = sheet["row_id"].iloc[errors["rows"]].to_numpy()
    assert set(errors["row_id"]) == set(faults)
    assert faults.items() <= set(errors[["row_id", "code"]].itertuples(index=False, name=None))
    run = ws.run(vx.plan_create(sheet, key="row_id", one_by_one=one_by_one)).wait()
    results = run.results().set_index("row_id")
    assert set(results.index[results["outcome"] == "succeeded"]) == good
    assert len(sandbox.effects("post.create")) == len(good)
    codes = {**run.plan.frame.set_index("row_id")["reason_code"], **results["reason_code"].dropna()}
    differ = {(code, codes[row]) for row, code in faults.items() if codes[row] not in {code, "ready"}}
    assert differ == {("media_folder", "media_not_uploaded")}, "a plan reads no file"
    sent = {code for row, code in faults.items() if codes[row] == "ready"}
    assert sent == {"content_too_long"}, "only the API knows these limits"


A, B = "twitter:@aldercoffee", "facebook:@aldercoffee"


def sheet_of(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """A sheet of rows by key, time on 1 April in Berlin, accounts and text."""
    frame = pd.DataFrame(rows, columns=["row_id", "scheduled_for", "accounts", "content"])
    return frame.assign(scheduled_for="2026-04-" + frame["scheduled_for"] + "+02:00")


@pytest.mark.parametrize(("rows", "limits", "expected"), [
    ([("a", "01T10:00", A, "x"), ("b", "01T10:09", A, "y"), ("c", "01T10:19", A, "z"), ("d", "01T10:09", B, "y2")], {}, [("b", "too_close")]),
    ([("a", "01T10:09", A, "x"), ("b", "01T10:00", f"{A};{B}", "y"), ("c", "01T10:00", B, "z")], {}, [("a", "too_close"), ("c", "too_close")]),
    ([("a", "01T10:00", A, "x"), ("b", "01T10:09", A, "y")], {"gap": None}, []),
    ([("a", "01T10:00", A, "x y"), ("b", "02T09:59", A, "x  y"), ("c", "03T09:59", A, "x y"), ("d", "01T11:00", B, "x y")], {}, [("b", "same_text")]),
    ([("a", "03T12:00", A, "x"), ("b", "03T18:00", A, "y"), ("c", "06T11:59", A, "z")], {"blackout": ["2026-04-02", "2026-04-03T18:00/2026-04-06T12:00"]}, [("b", "in_blackout"), ("c", "in_blackout")]),
    ([("a", "01T21:59", A, "x"), ("b", "01T22:00", A, "y"), ("c", "02T05:59", A, "z"), ("d", "02T06:00", B, "w")], {"gap": None, "night": "22:00-06:00"}, [("b", "at_night"), ("c", "at_night")]),
])  # fmt: skip
def test_posts_that_collide_are_warnings(sandbox, rows, limits, expected):
    again(sandbox, empty=True)
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        for ask in (True, False):
            found = ws.check(sheet_of(*rows), ask=ask, **limits)
            assert [*found[["row_id", "code"]].itertuples(index=False, name=None)] == expected
            assert set(found["level"]) <= {"warning"}


def test_an_expired_account_is_one_finding_and_the_run_says_the_same_of_as_many_rows(sandbox, ws, tmp_path):
    sheet = pd.DataFrame({
        "row_id": [*"abcd"], "content": [*"ABCD"], "accounts": [A, *["instagram:@alder.berlin"] * 3], "scheduled_for": "2027-01-01T00:00Z",
        "content_type": [None, *["REEL"] * 3], "media": next(file.id for file in sandbox.world.media.values() if file.status == "ready"),
    })  # fmt: skip
    sheet.to_csv(tmp_path / "sheet.csv", index=False)
    sheet = vx.read_campaign(tmp_path / "sheet.csv")
    found = ws.check(sheet, gap=None)
    results = ws.run(vx.plan_create(sheet, key="row_id")).wait().results()
    (finding,) = found.to_dict("records")
    assert (finding["rows"], finding["row_id"], finding["cell"]) == ([1, 2, 3], "b", "C3:C5")
    (why,) = set(results.loc[results["outcome"] == "blocked", "waiting_for"])
    assert finding["message"] == f"{why[:1].upper()}{why[1:]}."
    assert results["outcome"].to_list() == ["succeeded", *["blocked"] * 3]
    (line,) = repr(vx.view(found)).splitlines()[2:]
    assert re.search(r"account_not_active .* 3 +b .* C3:C5$", line)


def test_rules_and_api_say_each_thing_once_and_name_the_account_that_was_meant(sandbox, ws):
    sheet = pd.DataFrame({
        "row_id": ["long", "close", "twice", "typo", "copy"],
        "content": ["x" * 300, "x" * 279 + "\N{PARTY POPPER}", "Hello", "Bye", "Hello"],
        "accounts": [
            "X:@AlderCoffee;facebook:@aldercoffee", "X:@AlderCoffee", "facebook:@aldercoffee;facebook:aldercoffee",
            "twitter:@aldercofee", "facebook:@aldercoffee",
        ],
        "scheduled_for": "2027-01-01T00:00Z",
    })  # fmt: skip
    before = len(sandbox.requests())
    found = ws.check(sheet, gap=None)
    asked = "the accounts, each row that names one, and what waits to go out"
    assert len(sandbox.requests()) == before + 1 + 4 + 2, asked
    assert found[["row_id", "platform", "level", "code"]].fillna("").to_numpy().tolist() == [
        ["long", "twitter", "error", "content_too_long"],  # a warning of the rules, which leave it to the API
        ["close", "twitter", "warning", "content_near_limit"],
        ["twice", "", "warning", "account_doubled"],
        ["typo", "twitter", "error", "account_unknown"],
        ["copy", "", "error", "duplicate_post"],
    ]
    said = found["message"].to_list()
    assert "280 allowed" in said[0]
    assert "did you mean twitter:@aldercoffee?" in said[3]
    results = ws.run(vx.plan_create(sheet.iloc[[3]], key="row_id")).wait().results()
    assert said[3].lower() == results["waiting_for"].item()


# -- texts for a platform

BOTH = "twitter:@aldercoffee; linkedin:@aldercoffee"


def with_texts(**cells: str) -> pd.DataFrame:
    """A campaign of one row."""
    row = {"row_id": "r1", "content": "For all", "scheduled_for": "2027-03-01T09:00:00Z", "content:twitter": "Short"}
    return pd.DataFrame([row | cells])


@pytest.mark.parametrize("by_id", [False, True])
def test_the_check_asks_the_api_with_each_platforms_own_text(sandbox, ws, by_id):
    ids = {f"{one.platform}:@{one.username}": one.id for one in sandbox.world.accounts.values()}
    both = ";".join(ids[name] for name in BOTH.split("; ")) if by_id else BOTH
    found = ws.check(with_texts(accounts=both, content="x" * 281), gap=None)
    assert "content_too_long" not in set(found["code"]), "the text for all goes to linkedin only"
    assert [entry["path"] for entry in sandbox.requests()].count("/v1/posts/validate") == 2
    found = ws.check(with_texts(accounts=both, **{"content:twitter": "x" * 281, "content:threads": "T"}), gap=None)
    errors = found.loc[found["level"] == "error", ["column", "platform", "code"]]
    assert [*errors.itertuples(index=False, name=None)] == [
        ("content:threads", "threads", "text_without_account"),
        ("content:twitter", "twitter", "content_too_long"),
    ]
    nowhere = ws.run(vx.plan_create(with_texts(accounts=both, **{"content:threads": "T"}), key="row_id"))
    frame = nowhere.wait().results() if by_id else nowhere.plan.frame
    assert frame["reason_code"].to_list() == ["text_without_account"]
    assert not sandbox.effects("post.create")
