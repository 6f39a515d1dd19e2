"""Campaign sheets: as spreadsheets export them, read as text; checked without guessing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import pandas as pd
import pytest
from tests.sheets.offline import findings, listed, workbook

from voxops import plan_create, read_campaign, targets
from voxops._support import eventloop
from voxops.api.reasons import Reason
from voxops.errors import DecodeError, PlanError
from voxops.frames.records import build
from voxops.loading.accounts import AccountNames
from voxops.loading.check import check
from voxops.sheets.campaign import CAMPAIGN_COLUMNS
from voxops.sheets.rules import Limits, split_list

SHEET = Path(__file__).parents[2] / "data" / "campaign.csv"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HEADER = "row_id,content,accounts,scheduled_for,media,first_comment,tags"
ROW = ["r1", "Hello", "twitter:@brand", "2026-03-04T10:00:00+01:00", None, None, None]


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "sheet.csv"
    path.write_bytes(text.encode(encoding))
    return path


def one(**cells):
    """A campaign of one good row, but for these cells."""
    row = dict(zip(CAMPAIGN_COLUMNS, ROW, strict=True)) | cells
    return pd.DataFrame([row], dtype="string")


@pytest.mark.parametrize("named", ["Termin", "Termin (Europe/Berlin)", "termin"])
@pytest.mark.parametrize("tz", [None, "America/New_York"])
def test_a_head_that_says_its_zone_may_be_named_with_it_or_without(tmp_path, named, tz):
    text = "row_id,content,accounts,Termin (Europe/Berlin)\nr1,Hello,twitter:@brand,2027-03-04 10:00\n"
    found = read_campaign(written(tmp_path, text), columns={named: "scheduled_for"}, tz=tz)
    assert found["scheduled_for"].to_list() == ["2027-03-04T10:00:00+01:00"], (
        "the head says which zone its times are in"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["", "sep=~\n"])
def test_every_way_in_which_spreadsheets_export_reads_the_same(tmp_path, encoding, delimiter, end, head):
    rows = '001~"Zwölf, ""ja""; nein"~"a;b"~2026-03-04 10:00~~~x\n1.50~"two\nlines"~a~~~~\n~~~~~~\n'
    text = f"{head}{HEADER.replace(',', '~')}\n{rows}".replace("~", delimiter).replace("\n", end)
    frame = read_campaign(written(tmp_path, text, encoding))
    assert list(frame.columns) == list(CAMPAIGN_COLUMNS)
    assert {str(dtype) for dtype in frame.dtypes} == {"string"}
    assert frame.astype(object).where(frame.notna(), None).to_numpy().tolist() == [
        ["001", 'Zwölf, "ja"; nein', "a;b", "2026-03-04 10:00", None, None, "x"],
        ["1.50", "two\nlines", "a", None, None, None, None],
    ]
    assert frame.attrs["delimiter"] == delimiter
    assert frame.attrs["source"] == "sheet.csv"


def test_optional_columns_are_added_further_ones_kept_and_names_tidied(tmp_path):
    text = " Row ID ,Scheduled for,Content,ACCOUNTS,Owner,Notiz,,\na,2026,c,d,Zoë,x,,\nb,1\n"
    frame = read_campaign(written(tmp_path, text), columns={"Notiz": "remark"})
    assert list(frame.columns) == [*CAMPAIGN_COLUMNS, "owner", "remark"]
    assert frame.loc[0].dropna().to_list() == ["a", "c", "d", "2026", "Zoë", "x"]
    assert frame.loc[1].dropna().to_dict() == {"row_id": "b", "scheduled_for": "1"}
    empty = read_campaign(written(tmp_path, HEADER))
    assert len(empty) == len(findings(empty)) == 0
    assert {str(dtype) for dtype in empty.dtypes} == {"string"}


LINE = "{0},Post {0},twitter:@brand,2026-03-2{0}T10:00:00Z"
GERMAN = f"{HEADER}\na,Grüße,acc,x,,,\n".encode("cp1252")
BROKEN = ("#N/A", "#NV", "#NAME?", "#WERT!", "#¿NOMBRE?", "#¡VALOR!", "#DIV/0!", "########", "Err:502")
REFUSED = [
    ("", {}, "no column row_id, content, accounts, scheduled_for"),
    (f"{HEADER},content:twiter", {}, "names no platform; did you mean 'content:twitter'"), (f"{HEADER},Content:", {}, "names no platform; one of twitter, "),
    (f"{HEADER},Notiz", {"columns": {"Notiz": "contnt"}}, r"names 'contnt', .*did you mean 'content'\?"),
    (HEADER, {"dayfirst": "yes"}, "dayfirst=.* must be"), (HEADER, {"columns": ["content"]}, "columns=.* must be a mapping"),
    ("row_id,content,scheduled_for\ncontent,accounts,x\nr1,Hello,2026-03-04", {}, r"no column accounts\. It has: row_id, content, scheduled_for\."),
    (HEADER + ",content\n", {}, "column content more than once"), (HEADER + "\na,b,c,d,e,f,g,h\n", {}, "row 2 has more cells"),
    (HEADER + "\n" + "x" * 200_000, {}, "not a CSV file"), ("%PDF-1.7\n%\n", {}, r"sheet\.csv is a PDF; ask for its source file"),
    ("\ufeff\n <HTML><body><table>", {}, "is an HTML page, .*save it as xlsx"), ("<!DOCTYPE html>\n<html>", {}, "is an HTML page"),
    ('<?xml version="1.0"?><Workbook/>', {}, "is XML; open it in Excel"), (r"{\rtf1 row_id", {}, "is a text document"),
    # The rows after a quotation mark that is not closed are no part of its text.
    ("\n".join([HEADER, LINE.format(1), LINE.format(2) + ',,,"spring', LINE.format(3), LINE.format(4)]), {}, "row 3: unexpected end of data. Close each quotation mark"),
    ("\n".join([HEADER, LINE.format(1), '2,"Best coffee" says Tom,twitter:@brand,x']), {}, "row 3: ',' expected after .* double the"),
    ("\n".join([HEADER, LINE.format(1) + ',,,"spring', '2,"Two",twitter:@brand,x', LINE.format(3)]), {}, "row 2: ',' expected after"),
    *((f"{HEADER}\na,Hi,acc,x,{each},,\nb, {each} ,acc,x,,,\n", {}, "E2, B3: the cell has an error of the spreadsheet") for each in BROKEN),
    *((f"Plan\n\n{HEADER}\n", {"header": row}, f"row {row} of .* is empty; header= is the spreadsheet's number") for row in (2, 99)),
    *((HEADER, {"header": row}, "header=.* must be a row number of the spreadsheet, from 1") for row in (0, -1, True, "3", 2.0)),
    (HEADER, {"columns": {0: "row_id"}}, "columns= names 0, which .* does not have"),
    (b"row_id\x81\x8d\xff,content", {}, "not text in UTF-8"),
    # Two exports that were joined: read as Windows-1252 the first one's texts would go out garbled.
    (f"{HEADER}\na,Grüße,acc,x,,,\n".encode() + 2 * "b,Käse,acc,x,,,\n".encode("cp1252") + "c,Grüße,acc,x,,,\n".encode(), {}, r"sheet\.csv: line 2 is in UTF-8 and line 3 is not"),
    (GERMAN, {"encoding": "latin-99"}, "is unknown"), (GERMAN, {"encoding": "utf-8"}, "is not text in utf-8"), (GERMAN, {"encoding": 7}, "must be the name of"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "arguments", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_can_not_be_read_as_a_campaign_is_refused_in_words(tmp_path, content, arguments, words):
    path = tmp_path / "sheet.csv"
    for each in (content, content.replace("\n", "\r\n")) if isinstance(content, str) else (content,):
        path.write_bytes(each.encode() if isinstance(each, str) else each)
        with pytest.raises(PlanError, match=words):
            read_campaign(path, **arguments)
    with pytest.raises(PlanError, match=r"absent\.csv can't be read"):
        read_campaign(tmp_path / "absent.csv")


NAMES = "row_id identifies each row, also after rows are sorted or added: add such a column, or map one: columns={'No.': 'row_id'}."


@pytest.mark.parametrize(("heads", "columns", "words"), [
    ("Text,Kanal,date,time,Owner", {"Text": "content", "Kanal": "accounts"}, ["has no column row_id.", NAMES]),
    ("Text,accounts,Wann", {}, ["It has: Text, accounts, Wann.", "columns={'Text': 'content'}.", NAMES]),
    ("Account ID,Text,Wann", {"Text": "content"}, ["columns={'Account ID': 'accounts'}.", NAMES]),
    ("Lfd. Nr.,content,accounts,Wann", {"Wann": "scheduled_for"}, [NAMES]),
    ("row_id,content,accounts,date", {}, ["no column scheduled_for.", "are in two columns, call them date and time"]),
])  # fmt: skip
def test_only_a_head_that_is_free_is_proposed_for_what_is_missing(tmp_path, heads, columns, words):
    with pytest.raises(PlanError) as refused:
        read_campaign(written(tmp_path, f"{heads}\na,b,c,d"), columns=columns)
    said = str(refused.value)
    assert all(each in said for each in words), said
    assert said.count("columns={") == sum("columns={" in each for each in words)
    assert (NAMES in said) == (NAMES in words)


@pytest.mark.parametrize(("cell", "hint"), [
    ("Twitter @Brand", "did you mean twitter:@brand?"), ("X @brand", "did you mean twitter:@brand?"), ("linkedin@brand", "did you mean linkedin:@brand?"),
    ("@brand", "separate accounts by a semicolon."), ("tweeter @brand", "separate accounts by a semicolon."),
])  # fmt: skip
def test_an_account_that_lacks_its_colon_is_asked_for(cell, hint):
    (finding,) = findings(one(accounts=cell)).to_dict("records")
    assert (finding["code"], finding["message"].rpartition("; ")[2]) == ("account_form", hint)


TITLED = [["r1", "Hello", "twitter:@brand", "2026-03-04T10:00:00+01:00"], ["r2", "Hello", "twitter:@brand", "tomorrow"]]


def test_headings_over_the_whole_row_are_skipped_and_listed(tmp_path):
    path = tmp_path / "plan.xlsx"
    rows = [[], CAMPAIGN_COLUMNS[:4], [], TITLED[0], [], ["r3", "", *ROW[2:4]], ["r4", "", "linkedin:@brand", ROW[3]]]
    merged = [("A1:D1", "Spring; all"), ("A3:D3", "Week 10"), ("A5:D5", "Week 11"), ("B6:B7", "Twice")]
    workbook(path, {"Plan": rows}, merged=merged)
    frame = read_campaign(path)
    assert frame[["row_id", "content"]].to_numpy().tolist() == [["r1", "Hello"], ["r3", "Twice"], ["r4", "Twice"]]
    listed = "row 1 ('Spring; all'), row 3 ('Week 10'), row 5 ('Week 11')"
    assert frame.attrs["skipped"] == listed
    (finding,) = findings(frame, now=NOW).to_dict("records")
    assert (finding["level"], finding["message"]) == ("warning", Reason("rows_skipped", value=listed).sentence())
    assert finding["sheet_row"] == 4


TITLES = ["Plan", '"Plan, of; ours, for\nspring"', "Plan, of ours, for spring, all of it{0}", "sep={0}\nPlan"]


@pytest.mark.parametrize(
    ("title", "delimiter"), [*((title, part) for title in TITLES for part in ",;\t"), (None, None)]
)
def test_heads_below_a_title_are_read_where_they_are_said_to_stand(tmp_path, title, delimiter):
    if title is None:
        title = [("A1:C1", "Content plan, spring; final")]
        path = workbook(tmp_path / "plan.xlsx", {"Plan": [[], [], CAMPAIGN_COLUMNS[:4], *TITLED]}, merged=title)
    else:
        rows = [delimiter.join(row) for row in [CAMPAIGN_COLUMNS[:4], *TITLED]]
        path = written(tmp_path, "\n".join([title.format(delimiter), "", *rows]))
    with pytest.raises(PlanError, match=r"row 3: read_campaign\(path, header=3\)"):
        read_campaign(path)
    frame = read_campaign(path, header=3)
    assert frame["content"].tolist() == ["Hello", "Hello"]
    assert frame.attrs.get("delimiter") == delimiter
    assert findings(frame, now=NOW)["cell"].tolist() == ["D5"]


GOOD = [
    {}, {"accounts": "acc_1; twitter:@brand", "media": "media_1", "scheduled_for": "2026-03-04T09:00Z", "tags": "a;b"}, {"content": 2026},
    {"content": "x" * 280}, {"media": "x.y"},
    *({"accounts": name} for name in ("twitter:brand", "Twitter:@Brand", "twitter: @brand", "mastodon:@brand@example.social", "acc_1")),
    *({"content_type": kind} for kind in ("image", " Reel ", None, "")),
]  # fmt: skip
WRONG = {
    "row_id_missing": [{"row_id": None}], "content_required": [{"content": None}, {"content": "  "}],
    "content_written_missing": [{"content": " nan "}], "comment_not_text": [{"first_comment": "None"}],
    "list_written_missing": [{"tags": "NaT"}, {"media": "<NA>"}], "person_form": [{"owner": "NaN"}],
    "content_not_text": [{"content": content} for content in (b"coffee", ["coffee"], {"text": "coffee"}, date(2026, 3, 14))],
    "content_too_long": [{"content": "x" * 10_001, "accounts": "acc_1"}], "account_required": [{"accounts": None}, {"accounts": " ; "}],
    "account_form": [{"accounts": names} for names in (
        "@brand", "twitter:", "twitter:https://x.com/brand", ":@brand", "twitter:@", "twitter:@a, facebook:@a", "twitter:@a facebook:@a",
        ["twitter:@brand\ud83d"],  # no ledger could write down why its row is held
    )],
    "media_required": [{"accounts": "Instagram:@brand"}, {"accounts": "Instagram:brand"}], "comment_too_long": [{"first_comment": "x" * 2_201}],
    "time_missing": [{"scheduled_for": None}], "time_without_offset": [{"scheduled_for": "2026-03-04 10:00"}, {"scheduled_for": "2026-03-04T10:00:00"}],
    "time_ambiguous": [{"scheduled_for": "04.03.2026 10:00"}], "time_without_hour": [{"scheduled_for": day} for day in ("2026-03-20", "20.03.2026")], "time_unreadable": [{"scheduled_for": "tomorrow"}],
    "time_passed": [{"scheduled_for": "2026-03-02T09:00:00Z"}], "content_type_form": [{"content_type": "photo"}],
    "media_folder": [{"media": "spring.jpg"}, {"media": "a b/Film.MOV"}, {"media": "C:\\pictures\\a.jpg"}],
    "media_address": [{"media": place} for place in ("http://x.example/a.jpg", "https:///a.jpg", "https://[a/x.jpg", "data://x/y")],
    "media_form": [{"media": parts} for parts in ("https://a/x.jpg,https://b/y.jpg", "https://a/x.jpg https://b/y.jpg", "https://a/\ud83d.jpg", "m 1")],
    "list_form": [{"media": "['a.jpg', 'b.jpg']"}], "attempt_form": [{"attempt": "zwei"}],
}  # fmt: skip
WARNED = {
    ("content_too_long",): {"content": "x" * 281}, ("content_near_limit",): {"content": "x" * 279 + "🎉"},
    ("content_too_long", "account_doubled"): {"content": "x" * 281, "accounts": "twitter:@a;linkedin:@a;twitter:@a"},
    ("account_doubled",): {"accounts": "twitter:brand;Twitter:@Brand"},
}  # fmt: skip
CASES = [
    *((cells, [], []) for cells in GOOD), *((cells, [code], []) for code, each in WRONG.items() for cells in each),
    *((cells, [], list(codes)) for codes, cells in WARNED.items()),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "errors", "warned"), CASES, ids=range(len(CASES)))
def test_each_mistake_of_a_row_has_its_code_and_is_not_eligible_in_the_plan(cells, errors, warned):
    frame = one().astype(object).assign(**{name: pd.Series([cell], dtype=object) for name, cell in cells.items()})
    found = findings(frame, now=NOW)
    assert [(line.level, line.code) for line in found.itertuples()] == [
        *(("error", code) for code in errors), *(("warning", code) for code in warned),
    ]  # fmt: skip
    if errors == ["row_id_missing"]:
        return  # without a key there is no plan
    fit = not errors or errors == ["time_passed"]  # a plan knows no clock
    assert plan_create(frame, key="row_id").frame["eligible"].tolist() == [fit]
    assert (findings(frame)["level"] != "error").all() == fit, "without a clock no time has passed"


def test_a_text_that_is_about_an_error_or_has_quotation_marks_is_read(tmp_path):
    rows = [
        '1,"The 12"" record, ""live""",twitter:@brand,2026-03-21T10:00:00Z', '2,A 7" single,twitter:@brand,2026-03-22T10:00:00Z',
        "3,#NAME? is what Excel says,acc,x,,,#spring!",
    ]  # fmt: skip
    path = written(tmp_path, '"Spring" plan\n' + "\n".join([HEADER, *rows]))
    frame = read_campaign(path, header=2)
    assert frame["content"].to_list() == ['The 12" record, "live"', 'A 7" single', "#NAME? is what Excel says"]
    assert frame["tags"].dropna().to_list() == ["#spring!"]


def test_rows_of_one_key_are_shown_with_what_differs_and_nothing_says_to_drop_them():
    sheet = pd.concat(
        [one(), one(content="Bye", tags="b"), *[one(row_id="r2", content="Other")] * 2], ignore_index=True
    )
    differs = Reason("row_id_differs", count=2, value="r1", fields="content, tags")
    doubled = Reason("row_id_doubled", count=2, value="r2")
    assert findings(sheet)["message"].to_list() == [why.sentence() for why in (differs, doubled)]
    with pytest.raises(PlanError, match=re.escape(str(differs))):
        plan_create(sheet.drop_duplicates(), key="row_id")
    many = pd.concat([one(**dict.fromkeys("bcdefgh", cell)) for cell in "xy"])
    assert "b, c, d, e, f and 2 more" in findings(many)["message"].iloc[0]


def test_a_name_that_two_accounts_share_stands_for_neither():
    """Not for the active one either: they may be two pages of one name."""
    shared = [("TWITTER", "Brand", "acc_1", "expired"), ("twitter", "@brand", "acc_2", "active")]
    names = AccountNames(listed(*shared, ("bluesky", "brand", "acc_3", "active")))
    message = names.unknown(["twitter:@Brand"])
    assert all(part in message for part in ("2 accounts", "twitter:acc_1 (expired)", "twitter:acc_2 (active)"))
    assert names.unknown(["twitter:@brant"]) == "no account twitter:@brant in this workspace"
    assert (names.get("twitter:@brand"), names["twitter:@acc_2"], names["bluesky:@brand"]) == (None, "acc_2", "acc_3")


def test_the_sheet_has_the_mistakes_that_real_sheets_have():
    sheet = read_campaign(SHEET)
    found = findings(sheet, now=NOW)
    assert len(sheet) == 118
    assert found["code"].value_counts().to_dict() == {
        "time_without_offset": 2, "time_unreadable": 1, "time_ambiguous": 1, "content_too_long": 3, "media_required": 1, "row_id_doubled": 1, "time_passed": 1, "time_missing": 1,
        "content_near_limit": 1, "account_form": 1, "content_required": 1, "duplicate_post": 1,
    }  # fmt: skip
    with pytest.raises(PlanError, match="SP26-038"):
        plan_create(sheet, key="row_id")
    plan = plan_create(sheet.drop_duplicates(), key="row_id")
    assert plan.eligible == 117 - 4 - 1 - 1 - 2 - 1 - 1  # as many as have no error, but for the time that has passed


CAFE = {
    "row_id": "1", "content": "Caf\u00e9 for all", "accounts": "linkedin:@alder;facebook:@alder", "scheduled_for": "2027-03-10T08:00:00Z",
}  # fmt: skip
TEA = {**CAFE, "accounts": "instagram:@alder"}
COPY, READY = Reason("duplicate_post", other="row 1"), Reason("ready")


@pytest.mark.parametrize(("first", "second", "why"), [
    # As readers see it: without its Unicode form, the order of accounts and the spelling of the instant.
    *((CAFE, change, (READY, COPY)) for change in (
        {}, {"accounts": "linkedin:@alder;facebook:@alder;facebook:@alder"}, {"accounts": "facebook:@alder;linkedin:@alder"},
        {"content": "Caf\u00e9  for all "}, {"content": "Cafe\u0301 for all"}, {"scheduled_for": "2027-03-10T09:00:00+01:00"},
    )),
    *((CAFE, change, (READY, READY)) for change in (
        {"content": "Tea"}, {"scheduled_for": "2027-03-10T08:00:01Z"}, {"accounts": "linkedin:@alder"}, {"twin": "true"},
    )),
    ({**CAFE, "twin": "true"}, {}, (READY, READY)),
    (TEA, {"media": "med_1"}, (Reason("media_required"), READY)),  # a row that does not go out has no duplicate
], ids=range(12))  # fmt: skip
def test_a_row_that_readers_would_see_twice_is_blocked_unless_it_is_meant(first, second, why):
    sheet = pd.DataFrame([first, {**first, "twin": None, "row_id": "2", **second}]).astype("string")
    assert plan_create(sheet, key="row_id").why == why
    codes = [reason.code for reason in why if reason != READY]
    assert [code for code in findings(sheet)["code"] if code != "account_doubled"] == codes
    nameless = sheet.assign(row_id=None, number=[7, 8])
    if COPY in why:
        other = Reason("duplicate_post", other="the row at position 0")
        assert other.sentence() in set(findings(nameless)["message"])
        assert plan_create(nameless, key="number").why[1] == Reason("duplicate_post", other="row 7")


def checked(platforms, **more):
    """Return the findings from an answer of the API about a row on Twitter: level, code, message and column."""
    client = Mock(now=lambda: NOW)
    client.posts.validate = AsyncMock(return_value=Mock(record={"platforms": platforms, **more}))
    lists = (listed(("TWITTER", "brand", "acc_1", "active")), targets(build("posts", [])))
    loads = tuple(AsyncMock(return_value=frame) for frame in lists)
    found = eventloop.run(check(client, one(), loads, {}, Limits(UTC), (), None))
    assert found["platform"].eq("twitter").all()
    found = found[["level", "code", "message", "column"]].astype(object)
    return found.where(found.notna(), None).to_numpy().tolist()


NO_REASON = ["error", "not_valid", Reason("not_valid").sentence(), None]


@pytest.mark.parametrize(("platforms", "more", "expected"), [
    ({"TWITTER": {"valid": "true", "errors": None}}, {}, []), ({"twitter": None}, {"valid": True}, []),
    ({"twitter": {"valid": "false", "errors": {"code": "X_Y"}}}, {}, [["error", "x_y", "X_Y", None]]),
    (None, {"valid": False, "errors": [{"code": "X", "message": "whole"}]}, [["error", "x", "whole", None]]),
    ({"TWITTER": {"valid": "perhaps"}}, {}, [NO_REASON]), ({"TWITTER": {"errors": []}}, {"valid": False}, [NO_REASON]),
    ({"TWITTER": {"valid": True, "warnings": [{"message": "c", "field": "firstComment"}]}}, {}, [["warning", None, "c", "first_comment"]]),
    ({"TWITTER": {"valid": False, "warnings": "so-so"}}, {}, [["warning", None, "so-so", None], NO_REASON]),
])  # fmt: skip
def test_what_the_api_says_of_a_row_is_read_in_every_shape(platforms, more, expected):
    assert checked(platforms, **more) == expected


@pytest.mark.parametrize("platforms", [[{"platform": "TWITTER", "valid": True}], {"TWITTER": True}, "TWITTER", 7])
def test_an_answer_that_says_nothing_of_each_platform_is_refused(platforms):
    with pytest.raises(DecodeError, match="POST /v1/posts/validate returned platforms that are not objects"):
        checked(platforms, valid=True)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1250", "Zażółć gęślą jaźń"), ("mac_roman", "Grüße aus München"), ("cp1252", "Grüße"), ("cp1251", "Привет")],
)
def test_an_encoding_that_was_guessed_is_shown_with_a_text_to_judge_it_by(tmp_path, encoding, text):
    rows = f"a,plain,twitter:@brand,2026-03-05T10:00:00Z\nb,{text},twitter:@brand,2026-03-04T10:00:00Z\n"
    path = written(tmp_path, f"{HEADER}\n{rows}", encoding)
    (finding,) = findings(read_campaign(path)).to_dict("records")
    assert [finding[name] for name in ("row_id", "cell", "level", "code")] == ["b", "B3", "warning", "encoding_guessed"]
    garbled = text.encode(encoding).decode("cp1252")
    assert finding["message"] == Reason("encoding_guessed", value=garbled).sentence()
    named = read_campaign(path, encoding=encoding)
    assert named["content"].to_list() == ["plain", text]
    assert findings(named).empty


@pytest.mark.parametrize(("column", "meant"), [
    ("medai", "media"), ("First coment", "first_comment"), ("Tag", "tags"), ("contenttype", "content_type"),
    ("attempts", "attempt"),
])  # fmt: skip
@pytest.mark.parametrize("judge", [findings, partial(plan_create, key="row_id")])
def test_a_column_that_nearly_is_ours_is_warned_of_and_those_of_one_s_own_are_not(judge, column, meant):
    with pytest.warns(UserWarning, match=f"^column '{column}' is ignored; if you mean '{meant}', rename it"):
        judge(one(**{column: "1"}))
    judge(one(**{column: None, "comment": "ours", "budget": "3", "date": "x"}))  # a warning is an error here
    judge(one(**{column: "1", meant: "1"}))


def test_what_parts_tags_and_media_elsewhere_is_found():
    found = findings(one(tags="launch, spring", media="media_1, media_2")).set_index("code")
    assert found["level"].to_dict() == {"media_form": "error", "tag_form": "warning"}
    assert found["message"]["tag_form"] == Reason("tag_form", value="launch, spring").sentence()
    assert findings(one(tags="launch;spring 26", media="m0;m1")).empty
    cells = ("a; b ;;c", ["x", " y "], {"z", "y"}, None, "")
    assert [split_list(cell) for cell in cells] == [["a", "b", "c"], ["x", "y"], ["y", "z"], [], []]
