"""Excel both ways: text stays text, times keep their instant, nothing runs, and a plan of what comes back has the same keys."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xlsxwriter
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.security.workbooks import tables
from tests.sheets.offline import findings

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.acts.act import key_of
from voxops.views.excel import write_csv

HEADS = ["row_id", "content", "accounts", "scheduled_for"]
ODD = ("=1+1", "'=x", "007", "1e5", "TRUE", "2026-03-04", "_x0041_", " lead", "tab\tx", "two\nlines", "#N/A", "+49 30")
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=15
) | st.sampled_from(ODD)


def workbook(path: Path, *rows: list[object], heads: list[str] = HEADS, merge: str = "", **sheets: list[str]) -> Path:
    """A workbook as a person would have made it."""
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet("Plan")
        when, day = book.add_format({"num_format": "dd.mm.yyyy hh:mm"}), book.add_format({"num_format": "dd.mm.yyyy"})
        for at, head in enumerate(heads):
            page.write_string(0, at, head)
        for number, row in enumerate(rows, start=1):
            for at, value in enumerate(row):
                if isinstance(value, str) and value.startswith("FORMULA "):
                    formula, _, result = value.removeprefix("FORMULA ").partition(" -> ")
                    page.write_formula(number, at, formula, None, result)
                elif isinstance(value, str):
                    page.write_string(number, at, value)
                elif isinstance(value, datetime):
                    page.write_datetime(number, at, value, when)
                elif isinstance(value, date | time):
                    page.write_datetime(number, at, value, day)
                elif isinstance(value, bool):
                    page.write_boolean(number, at, value)
                elif value is not None:
                    page.write_number(number, at, value)
        if merge:
            page.merge_range(merge, "x;y")
        for name, texts in sheets.items():
            other = book.add_worksheet(name)
            for at, text in enumerate(texts):
                other.write_string(0, at, text)
    return path


def keys(plan: vx.Plan) -> list[str]:
    return [key_of(items) for _, items in plan.chunks()]


# --- reading ------------------------------------------------------------------------------------------------------------------


def test_cells_of_excel_become_text_and_times_in_the_zone_that_was_said(tmp_path: Path) -> None:
    moments = [datetime(2026, 7, 4, 9), datetime(2026, 12, 4, 9, 30), "2026-07-04T09:00Z"]
    path = workbook(
        tmp_path / "x.xlsx",
        ["007", "  text ", None, moments[0], 7, True, 0.5, datetime(2026, 1, 2, 3, 4), date(2026, 1, 2)],
        [12, "'=1+1", None, moments[1], 1e6, False, None, None, None],
        [None] * 9,
        ["x", "t", None, moments[2], None, None, None, None, None],
        heads=[*HEADS, "N", "Yes", "half", "made", "day"],
        merge="C2:C3",
    )
    frame = vx.read_campaign(path, tz="Europe/Berlin")
    assert frame["row_id"].tolist() == ["007", "12", "x"]
    assert frame["content"].tolist() == ["  text ", "=1+1", "t"]
    assert frame["accounts"].tolist()[:2] == ["x;y", "x;y"], "what is merged counts for each of its rows"
    times = ["2026-07-04T09:00:00+02:00", "2026-12-04T09:30:00+01:00", "2026-07-04T09:00Z"]
    assert frame["scheduled_for"].tolist() == times
    assert frame["n"].tolist()[:2] == ["7", "1000000"]
    assert frame["yes"].tolist()[:2] == ["TRUE", "FALSE"]
    assert frame.loc[0, ["half", "made", "day"]].tolist() == ["0.5", "2026-01-02 03:04:00", "2026-01-02"]
    assert {str(dtype) for dtype in frame.dtypes} == {"string"}
    assert frame.attrs["sheet"] == "Plan"


@pytest.mark.parametrize(
    ("row", "said", "words"),
    [
        (["a", "t", "x", datetime(2026, 7, 4, 9)], {}, r"D2: times of Excel have no time zone.*tz='Europe/Berlin'"),
        (["a", "t", "x", date(2026, 7, 4)], {}, "D2: times of Excel"),
        (["a", "t", 1234567890123456789, "z"], {}, "C2: a number of which Excel stores only 15 digits"),
        (["a", "FORMULA =NA() -> #N/A", "x", "z"], {}, "B2: the cell has an error of the spreadsheet"),
        (["a", "t", "x", "z"], {"sheet": "Plam"}, "has no sheet 'Plam'; it has: Plan"),
        (["a", "t", "x", "z"], {"columns": {"Text": "content"}}, "columns= names Text, which .* does not have"),
    ],
)
def test_what_can_not_be_read_without_a_guess_is_refused_with_its_cell(
    tmp_path: Path, row: list[object], said: dict[str, object], words: str
) -> None:
    with pytest.raises(vx.errors.PlanError, match=words):
        vx.read_campaign(workbook(tmp_path / "x.xlsx", row), **said)  # type: ignore[arg-type]


def test_dates_that_a_program_may_have_turned_round_are_refused(tmp_path: Path) -> None:
    """A day-first sheet opened where months come first: 03/11 became 11 March, and 13/11 stayed text."""
    turned, text = ["a", "t", "x", datetime(2027, 3, 11, 9)], ["b", "t", "x", "13/11/2027 9:00"]
    said = {"tz": "Europe/Berlin", "dayfirst": True}
    clear = [["a", "t", "x", datetime(2027, 3, 13, 9)], text]
    for rows in ([turned], [text], clear, [turned, ["b", "t", "x", "2027-11-13 9:00"]]):
        assert len(vx.read_campaign(workbook(tmp_path / "x.xlsx", *rows), **said)) == len(rows)  # type: ignore[arg-type]
    one = "D2 are dates, none after the 12th of a month, and D3 numeric texts"
    for count, why in ((1, one), (7, "D2, D3, D4, D5, D6 and 2 more are dates")):
        with pytest.raises(vx.errors.PlanError, match=why):
            vx.read_campaign(workbook(tmp_path / "x.xlsx", *[turned] * count, text), **said)  # type: ignore[arg-type]


def rewritten(path: Path, change: Callable[[str], str]) -> Path:
    """A workbook whose sheets another program has written in its own way."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    with zipfile.ZipFile(path, "w") as book:
        for name, data in parts.items():
            book.writestr(name, change(data.decode()) if name.startswith("xl/worksheets/sheet") else data)
    return path


def prefixed(text: str) -> str:
    """The same XML with a prefix at its names."""
    return re.sub(r"<(/?)([a-zA-Z])", r"<\1x:\2", text).replace("xmlns=", "xmlns:x=")


@pytest.mark.parametrize(
    "change", [str, prefixed, lambda text: text.replace('"', "'")], ids=["as is", "prefix", "quote"]
)
def test_errors_and_formulas_are_found_however_a_program_writes_its_cells(
    tmp_path: Path, change: Callable[[str], str]
) -> None:
    def read(formula: str, *changes: Callable[[str], str]) -> list[str]:
        path = workbook(tmp_path / "x.xlsx", ["a", f"FORMULA {formula}", "x", "z"])
        for each in changes:
            rewritten(path, each)
        return vx.read_campaign(path)["content"].tolist()

    assert read("=1+1 -> 2", change) == ["2"]
    with pytest.raises(vx.errors.PlanError, match="B2: the cell has an error"):
        read("=NA() -> #N/A", change)
    with pytest.raises(vx.errors.PlanError, match="B2: a formula without a result"):
        read("=1+1 -> 2", change, lambda text: re.sub(r"(</(x:)?f>)<(x:)?v>2</(x:)?v>", r"\1", text))


def test_which_of_several_sheets_is_not_guessed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "x.xlsx", ["a", "t", "x", "z"], Notes=HEADS)
    with pytest.raises(vx.errors.PlanError, match=r"2 sheets: Plan, Notes\. Name one: sheet='Plan'"):
        vx.read_campaign(path)
    assert len(vx.read_campaign(path, sheet="Plan")) == 1
    assert len(vx.read_campaign(path, sheet="Notes")) == 0
    (tmp_path / "x.csv").write_text(",".join(HEADS))
    with pytest.raises(vx.errors.PlanError, match="not an Excel workbook"):
        vx.read_campaign(tmp_path / "x.csv", sheet="Plan")
    (tmp_path / "bad.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    with pytest.raises(vx.errors.PlanError, match=r"bad\.xlsx is not a workbook"):
        vx.read_campaign(tmp_path / "bad.xlsx")


@pytest.mark.parametrize(
    ("text", "dayfirst", "read"),
    [
        ("4.3.2026 9:00", True, "2026-03-04T09:00:00+01:00"),
        ("04.03.2026, 09:00:30", True, "2026-03-04T09:00:30+01:00"),
        ("4.3.2026 um 9 Uhr", True, "2026-03-04T09:00:00+01:00"),
        ("3/4/2026 9:15 pm", False, "2026-03-04T21:15:00+01:00"),
        ("3/4/2026 12:15 AM", False, "2026-03-04T00:15:00+01:00"),
        ("2026-07-04 09:00", None, "2026-07-04T09:00:00+02:00"),
        ("2026-07-04T09:00:00Z", True, "2026-07-04T09:00:00Z"),
        # left as they are, or said to be nothing, and refused by the check
        ("4.3.2026 9:00", None, "4.3.2026 9:00"),
        ("4.3.26 9:00", True, "4.3.26 9:00"),
        ("4.3.2026", True, "4.3.2026"),
        ("4.3.2026 9", True, "4.3.2026 9"),
        ("31.2.2026 9:00", True, "31.2.2026 9:00"),
        ("2026-03-04", None, "2026-03-04"),
        ("29.03.2026 02:30", True, "2026-03-29T02:30:00 (does not exist in Europe/Berlin)"),
        ("25.10.2026 02:30", True, "2026-10-25T02:30:00 (is there twice in Europe/Berlin)"),
    ],
)
def test_times_as_people_write_them(tmp_path: Path, text: str, dayfirst: bool | None, read: str) -> None:
    (tmp_path / "x.csv").write_text(f'row_id;content;accounts;scheduled_for\na;b;twitter:@c;"{text}"\n')
    frame = vx.read_campaign(tmp_path / "x.csv", tz="Europe/Berlin", dayfirst=dayfirst)
    assert frame["scheduled_for"].tolist() == [read]
    fit = bool(re.search(r"(Z|\+0\d:00)$", read))
    assert findings(frame).empty == fit == bool(vx.plan_create(frame, key="row_id").eligible)


def test_columns_are_called_as_they_are_in_the_sheet(tmp_path: Path) -> None:
    names = {"Nr.": "row_id", "Beitrag": "content", "Kanäle": "accounts", "Wann": "scheduled_for"}
    path = workbook(tmp_path / "x.xlsx", ["a", "t", "x", datetime(2026, 7, 4, 9)], heads=[*names])
    frame = vx.read_campaign(path, columns=names, tz="Asia/Tokyo")
    assert frame.loc[0, HEADS].tolist() == ["a", "t", "x", "2026-07-04T09:00:00+09:00"]
    with pytest.raises(vx.errors.PlanError, match=r"It has: Nr\., Beitrag, Kanäle, Wann\."):
        vx.read_campaign(path)
    with pytest.raises(vx.errors.ConfigError, match="not a time zone"):
        vx.read_campaign(path, columns=names, tz="Mars")


# --- there and back -----------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=6),
    st.lists(
        st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(
            lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
        ),
        min_size=6,
        max_size=6,
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
)
@example([("=1", "'=x", "a")], [datetime(2026, 10, 25, 0, 30)] * 6, "Europe/Berlin")  # an hour that is there twice
@example(
    [("a", "b", "c")], [datetime(2026, 7, 3, 22)] * 6, "Europe/Berlin"
)  # midnight, of which Excel shows the day only
def test_a_round_trip_plans_to_the_same_keys(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str, str]], times: list[datetime], tz: str
) -> None:
    frame = pd.DataFrame(texts, columns=["content", "first_comment", "tags"], dtype="string")
    frame.insert(0, "row_id", pd.array([f"0{number}" for number in range(len(frame))], dtype="string"))
    frame["accounts"] = [["acc_1", "twitter:@brand"]] * len(frame)
    frame["scheduled_for"] = pd.to_datetime(times[: len(frame)], utc=True)
    path = vx.to_excel(tmp_path_factory.mktemp("x") / "x.xlsx", tz=tz, plan=vx.plan_create(frame, key="row_id"))
    again = vx.read_campaign(path)
    plans = [vx.plan_create(one, key="row_id") for one in (frame, again)]
    assert [item.body for item in plans[1].items] == [item.body for item in plans[0].items]
    assert keys(plans[1]) == keys(plans[0])


def test_the_sheet_of_the_notebooks_comes_back_cell_by_cell(tmp_path: Path) -> None:
    sheet = vx.read_campaign(Path(__file__).parents[2] / "data" / "campaign.csv")
    again = vx.read_campaign(vx.to_excel(tmp_path / "x.xlsx", sheet=sheet))
    pd.testing.assert_frame_equal(again, sheet)
    assert keys(vx.plan_create(again.drop_duplicates(), key="row_id")) == keys(
        vx.plan_create(sheet.drop_duplicates(), key="row_id")
    )


# --- writing ------------------------------------------------------------------------------------------------------------------


def test_frames_of_every_kind_are_sheets_that_run_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        posts = ws.posts(status=["failed", "partial"], since="7D")
        triaged = vx.triage(vx.targets(posts))
        evil = triaged.assign(content='=HYPERLINK("http://evil.example";"x")')
        run = ws.run(vx.plan_retry(evil).canary(1)).wait()
        frames = {"causes": vx.causes(triaged), "run": run, "plan": run.plan, "ledger": ws.ledger(), "runs": ws.runs()}
        path = vx.to_excel(tmp_path / "new" / "all.xlsx", posts=posts, evil=evil, **frames)
        report = vx.report(triaged, run=run).to_excel(tmp_path / "report.xlsx")
    book = tables(path)
    assert [*book] == ["posts", "evil", "causes", "run", "plan", "ledger", "runs"]
    assert set(tables(report)) == {"causes", "failures", "left", "results"}
    heads, first = book["evil"][:2]
    row = dict(zip(heads, first, strict=True))
    assert row["content"] == '\'=HYPERLINK("http://evil.example";"x")'
    assert row["updated_at (Europe/Berlin)"].replace(microsecond=0) == evil["updated_at"][0].tz_convert(
        "Europe/Berlin"
    ).tz_localize(None).replace(microsecond=0)
    with zipfile.ZipFile(path) as parts:
        page = parts.read("xl/worksheets/sheet2.xml").decode()
    assert "<f>" not in page
    assert '<pane ySplit="1"' in page
    assert "<autoFilter" in page
    assert "<hyperlink" not in page, "an address is text"


def test_values_that_a_cell_would_change_are_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": pd.array([9007199254740993, None], dtype="Int64"),
            "share": [0.25, np.inf],
            "long": ["x" * 40_000, "\x07bell"],
            "nested": [{"a": [1]}, ["a;b"]],
            "yes": [True, False],
            "when": pd.to_datetime(["2026-10-25T00:30:00Z", "1700-01-01T00:00:00Z"]),
            "platform_post_url": ["javascript:alert(1)", "https://x.example/" + "a" * 3000],
        }
    )
    path = vx.to_excel(tmp_path / "x.xlsx", tz="Europe/Berlin", rows=frame)
    _, first, second = tables(path)["rows"]
    assert first[0] == "9007199254740993"
    assert first[1:2] + second[1:2] == [0.25, "inf"]
    assert len(first[2]) == 32_767
    assert first[2].endswith("holds no more)")
    assert second[2] == "bell"
    assert (first[3], second[3]) == ('{"a": [1]}', '["a;b"]')
    assert (first[4], second[4]) == (True, False)
    assert first[5] == "2026-10-25T02:30:00+02:00"
    with zipfile.ZipFile(path) as parts:
        assert not any(b"hyperlink" in parts.read(name) for name in parts.namelist() if "_rels/sheet" in name)


def test_days_and_amounts_are_values_of_their_kind_in_every_file(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "day": [date(2026, 3, 1), None],
            "cost": [Decimal("12.50"), Decimal("1234567890.12345678901234")],
            "note": ["a", "b"],
        }
    )
    _, first, second = tables(vx.to_excel(tmp_path / "x.xlsx", days=frame))["days"]
    assert first == [datetime(2026, 3, 1), "12.50", "a"]
    assert second == ["", "1234567890.12345678901234", "b"]
    doubled = pd.concat([frame, frame[["note"]]], axis=1)
    lines = write_csv(doubled, tmp_path / "days.csv").read_text("utf-8-sig").splitlines()
    assert lines[:2] == ["day,cost,note,note", "2026-03-01,12.50,a,a"]


def test_the_same_frames_give_the_same_bytes_and_what_is_unfit_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["x"]})
    one, two = (vx.to_excel(tmp_path / name, a=frame).read_bytes() for name in ("1.xlsx", "2.xlsx"))
    assert one == two
    for error, words, place, sheets in (
        (vx.errors.PlanError, "a name and a frame for each sheet", "x.xlsx", {}),
        (vx.errors.PlanError, "a frame, a plan or a run", "x.xlsx", {"a": [1]}),
        (vx.errors.ConfigError, "not a time zone", "x.xlsx", {"tz": "Mars", "a": frame}),
        (vx.errors.ConfigError, "can't be written", "1.xlsx/x.xlsx", {"a": frame}),
        (vx.errors.ConfigError, r"no sheet can be called 'a/b'", "x.xlsx", {"a/b": frame}),
        (vx.errors.ConfigError, "1,048,576 rows", "x.xlsx", {"a": pd.DataFrame({"a": range(1_048_576)})}),
        (vx.errors.ConfigError, "a.csv is not the name of a workbook; it must end with .xlsx", "a.csv", {"a": frame}),
        (vx.errors.ConfigError, "a is not the name of a workbook; it must end with .xlsx", "a", {"a": frame}),
    ):
        with pytest.raises(error, match=words):
            vx.to_excel(tmp_path / place, **sheets)
    assert {path.name for path in tmp_path.iterdir()} == {"1.xlsx", "2.xlsx"}


def test_targets_are_json_in_every_file_for_people_also_when_they_come_from_parquet(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """pandas gives bytes, and arrays of lists."""
    with vx.connect(sandbox=sandbox) as ws:
        posts = ws.posts(status="failed", limit=5)
    posts.to_parquet(tmp_path / "posts.parquet")
    back = pd.read_parquet(tmp_path / "posts.parquet")
    assert isinstance(back["targets"][0], bytes)
    back.attrs = posts.attrs
    wanted = json.loads(posts["targets"][0])
    assert wanted
    for name, frame in (("posts", posts), ("back", back)):
        heads, first = tables(vx.to_excel(tmp_path / f"{name}.xlsx", posts=frame))["posts"][:2]
        written = pd.read_csv(write_csv(frame, tmp_path / f"{name}.csv"))
        for cell in (first[heads.index("targets")], written["targets"][0]):
            assert [each["platform"] for each in json.loads(cell)] == [each["platform"] for each in wanted]
            assert name == "back" or json.loads(cell) == wanted
        few = frame[["post_id", "tags", "created_at"]]
        write_csv(few, tmp_path / f"few-{name}.csv")
        vx.to_excel(tmp_path / f"few-{name}.xlsx", sheet=few)
    for suffix in ("csv", "xlsx"):
        one, two = ((tmp_path / f"few-{name}.{suffix}").read_bytes() for name in ("posts", "back"))
        assert one == two


def test_a_column_of_several_zones_says_each_of_them(tmp_path: Path) -> None:
    one = pd.Series(pd.to_datetime(["2026-03-02T09:00:00Z"]))
    both = pd.DataFrame({"created_at": pd.concat([one, one.dt.tz_convert("Asia/Tokyo")], ignore_index=True)})
    cells = [row[0] for row in tables(vx.to_excel(tmp_path / "x.xlsx", both=both))["both"]]
    assert cells == ["created_at", "2026-03-02T09:00:00+00:00", "2026-03-02T18:00:00+09:00"]


def test_a_frame_that_went_through_a_workbook_is_refused_with_what_to_keep_instead(tmp_path: Path) -> None:
    cure = "has local times, for reading: save the frame as Parquet or CSV"
    target, posts = ["post_id", "platform", "account_id", "updated_at"], ["post_id", "updated_at"]
    others = "status error_code error_message post_status verdict cause remedy retryable content"
    for plan, names, said in (
        (vx.plan_retry, target, cure),
        (vx.causes, target, cure),
        (vx.plan_cancel, posts, cure),
        (lambda frame: vx.plan_create(frame, key="content"), ["updated_at", "scheduled_for"], "vx.read_campaign"),
    ):
        cells = dict.fromkeys([*names, *others.split()], "x") | {names[-1]: pd.Timestamp("2026-03-02T09:00Z")}
        path = vx.to_excel(tmp_path / "x.xlsx", tz="Europe/Berlin", rows=pd.DataFrame([cells]))
        with pytest.raises(vx.errors.PlanError, match=re.escape(said)):
            plan(pd.read_excel(path, engine="openpyxl"))
