"""Mending in a spreadsheet without loss: what failed or was blocked goes out as its sheet had it, and comes back to be planned again."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from tests.security.workbooks import tables
from tests.sheets.offline import findings, workbook

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops import plan_create, read_campaign, to_excel
from voxops.api.reasons import Reason
from voxops.errors import ConfigError, PlanError
from voxops.sheets.files import LAYOUTS

# Heads in the order of the sheet; "" is not one of ours.
BEGIN, END = {"Nr.": "row_id", "Interne Notiz": ""}, {"Beitrag": "content", "Kanäle": "accounts", "Bild": "media"}
ONE, TWO = BEGIN | {"Termin": "scheduled_for"} | END, BEGIN | {"Tag": "date", "Uhrzeit\n(MEZ)": "time"} | END
GOOD, EXPIRED = "twitter:@aldercoffee", "instagram:@alder.berlin"
# A key that may not read media leaves them to the API, which refuses the row.
UNREAD = Fault("status", method="GET", path="/v1/media/media_nowhere", status=403, code="FORBIDDEN", times=None)


def resaved(path, change=len):
    """A workbook as another program saves it, after somebody has changed its first sheet."""
    sheets = tables(path)
    assert LAYOUTS in sheets
    change(next(iter(sheets.values())))
    return workbook(path, sheets, hidden=LAYOUTS)


def sheet_of(path, rows, heads, tz="Europe/Berlin"):
    """The campaign of a workbook with these heads; a row's time is its date and hour where the sheet has two columns."""
    lines = [[*heads]]
    for row in rows:
        when = row["Termin"]
        day, hour = (when.date(), when.time()) if isinstance(when, datetime) else (when, None)
        lines.append([{**row, "Tag": day, "Uhrzeit\n(MEZ)": hour}.get(head) for head in heads])
    named = {head.replace("\n", " "): name for head, name in heads.items() if name}
    return read_campaign(workbook(path, {"Plan": lines}), columns=named, tz=tz, dayfirst=True)


ROWS = [
    {"Nr.": "001", "Beitrag": "gut", "Termin": datetime(2026, 4, 10, 9), "Kanäle": GOOD},
    {"Nr.": "002", "Beitrag": "=SUMME(A1)", "Termin": datetime(2026, 4, 10, 9, 30), "Kanäle": EXPIRED, "Bild": "media_x"},
    {"Nr.": "003", "Beitrag": "zwei\nZeilen \N{PARTY POPPER}", "Termin": datetime(2026, 10, 24, 23, 59, 59), "Kanäle": GOOD,
     "Bild": "media_nowhere", "Interne Notiz": "12345678901234567890"},
    {"Nr.": "004", "Beitrag": "mit Versatz", "Termin": "2026-07-04T09:00Z", "Kanäle": GOOD, "Bild": "media_nowhere"},
]  # fmt: skip


@pytest.fixture
def kernel(sandbox, tmp_path):
    """Opens a workspace on a laptop: each has its own ledger, and each call is a kernel of its own."""
    sandbox.set_speed(30)  # a batch of which a row is blocked waits (rule 8)
    sandbox.add_fault(UNREAD)
    with ExitStack() as opened:
        yield lambda laptop: opened.enter_context(
            vx.connect(sandbox=sandbox, tz="UTC", ledger=tmp_path / f"{laptop}.sqlite")
        )


def mend(rows):
    """Give what the rows lack: an account, and no picture."""
    accounts, media = rows[0].index("Kanäle"), rows[0].index("Bild")
    for row in rows[1:]:
        row[accounts], row[media] = GOOD, None


@pytest.mark.parametrize("heads", [ONE, TWO], ids=["one column", "two columns"])
def test_failed_and_blocked_rows_are_mended_in_a_spreadsheet_and_planned_again_without_a_word(
    tmp_path, sandbox, kernel, heads
):
    sheet = sheet_of(tmp_path / "plan.xlsx", ROWS, heads)
    run = kernel("mine").run(plan_create(sheet, key="row_id", campaign="April")).wait()
    attached = kernel("mine").attach(run.id)
    assert_frame_equal(attached.to_mend(), run.to_mend())
    rows = attached.to_mend()
    assert rows["row_id"].to_list() == ["002", "003", "004"]
    assert rows["outcome"].to_list() == ["blocked", "failed", "failed"]
    assert rows["reason_code"].to_list() == ["account_not_active", "VALIDATION_ERROR", "VALIDATION_ERROR"]
    shared = rows.columns.intersection(sheet.columns)
    assert set(rows.columns) - set(shared) == {"reason", "reason_code", "outcome", "attempt", "campaign"}
    assert_frame_equal(rows[shared], sheet.loc[rows.index, shared], check_like=True)
    path = to_excel(tmp_path / "mended.xlsx", mend=rows)
    assert tables(path)["mend"][0] == ["reason", "reason_code", "outcome", *heads, "attempt", "campaign"]
    again = read_campaign(resaved(path, mend))
    assert again["accounts"].to_list() == [GOOD] * 3
    assert again["attempt"].to_list() == ["1", "2", "2"], "what never left is the same attempt"
    with pytest.raises(PlanError, match="these are rows of a run"):
        vx.plan_sync(again, kernel("mine").posts(), key="row_id", campaign="April", withdraw=True)

    plan = plan_create(again, key="row_id")
    assert (plan.eligible, plan.campaign) == (3, "April")
    before = len(sandbox.effects("post.create"))
    # The other laptop knows nothing of the run, and mine does not know that it has sent the rows.
    for laptop in ("theirs", "mine", "mine"):
        found = kernel(laptop).run(plan_create(read_campaign(path), key="row_id", campaign="April")).wait()
        assert found.results()["outcome"].to_list() == ["succeeded"] * 3
        assert len(found.to_mend()) == 0
    assert len(sandbox.effects("post.create")) == before + 3
    assert not sandbox.duplicates()


def test_rows_of_a_sync_are_those_of_the_sheet_and_a_watch_has_none(tmp_path, sandbox, kernel):
    """A row that the sheet has no more can't be mended in it."""
    ws = kernel("mine")
    sheet = sheet_of(tmp_path / "plan.xlsx", [*ROWS[::2], {**ROWS[0], "Nr.": "005", "Beitrag": "weg"}], ONE)
    ws.run(plan_create(sheet.iloc[[0, 2]], key="row_id", campaign="April")).wait()
    posts = ws.posts(campaign="April")
    sandbox.add_fault(Fault("status", path="/v1/posts/*/cancel", status=422, code="VALIDATION_ERROR"))
    changed = sheet.iloc[:2].assign(content=["anders", *sheet["content"].iloc[1:2]])
    run = ws.run(vx.plan_sync(changed, posts, key="row_id", campaign="April", withdraw=True)).wait()
    assert run.results()["outcome"].value_counts().to_dict() == {"failed": 2, "succeeded": 1}
    assert run.to_mend()[["row_id", "attempt"]].to_numpy().tolist() == [["003", 2]]
    with pytest.raises(PlanError, match="a watch has no rows to mend"):
        ws.watch(posts).to_mend()


# --- the workbook -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [ONE, TWO], ids=["one column", "two columns"])
def test_a_head_that_was_renamed_is_read_by_its_new_name_and_the_zone_stays(tmp_path, heads):
    sheet = sheet_of(tmp_path / "plan.xlsx", ROWS, heads)

    def read(old, new, **columns):
        path = to_excel(tmp_path / "x.xlsx", rows=sheet)
        path = resaved(path, lambda rows: rows[0].__setitem__(rows[0].index(old), new))
        return read_campaign(path, columns=columns)

    for frame in (read("Beitrag", "Content"), read("Beitrag", "Text", Text="content")):
        assert_frame_equal(frame, sheet)
    with pytest.raises(PlanError, match="no column content"):
        read("Beitrag", "Text")
    with pytest.raises(PlanError, match="column content more than once"):
        read("Interne Notiz", "content")
    assert read("Interne Notiz", "Text", Text="content")["beitrag"].to_list() == sheet["content"].to_list()


def test_a_hidden_layout_says_what_it_renames_and_which_zone_it_gives(tmp_path):
    sheet = sheet_of(tmp_path / "plan.xlsx", ROWS[:1], ONE)
    again = read_campaign(to_excel(tmp_path / "x.xlsx", rows=sheet))
    (finding,) = findings(again).query("code == 'layout_hidden'").to_dict("records")
    said = "'Nr.' as row_id, 'Termin' as scheduled_for, 'Beitrag' as content, 'Kanäle' as accounts, 'Bild' as media, times in Europe/Berlin"
    assert (finding["level"], finding["message"]) == ("warning", Reason("layout_hidden", value=said).sentence())


def test_a_time_that_is_typed_is_read_in_the_order_and_zone_of_the_sheet(tmp_path):
    sheet = sheet_of(tmp_path / "plan.xlsx", ROWS[:1], ONE)

    def typed(text):
        path = to_excel(tmp_path / "x.xlsx", tz="Asia/Tokyo", rows=sheet)
        resaved(path, lambda rows: rows[1].__setitem__(rows[0].index("Termin"), text))
        return str(read_campaign(path, tz="Asia/Tokyo")["scheduled_for"].item())

    assert typed("13.11.2026 9:00") == "2026-11-13T09:00:00+01:00"
    assert typed("11.03.2026 9:00") == "2026-03-11T09:00:00+01:00"
    assert typed(datetime(2026, 7, 1)) == "2026-07-01T00:00:00+02:00", "midnight, of which Excel shows the day only"
    assert typed(7) == "7"


@pytest.mark.parametrize(
    "cell",
    ["", "{}", "{", "[]", '{"columns":[1]}', '{"columns":{"content":7}}', "[" * 100_000, '{"tz":"Europe/Berlin"}'],
)
def test_a_layout_that_somebody_has_broken_is_none(tmp_path, cell):
    times = [["row_id", "content", "accounts", "scheduled_for"], ["a", "t", GOOD, "2026-07-04T09:00Z"]]
    path = workbook(tmp_path / "x.xlsx", {"Plan": times, LAYOUTS: [["Plan", cell]]}, hidden=LAYOUTS)
    assert read_campaign(path)["content"].to_list() == ["t"]
    german = [["Nr.", "Beitrag", "Kanäle", "Termin"], *times[1:]]
    with pytest.raises(PlanError, match=r"no column row_id.*It has: Nr\., Beitrag, Kanäle, Termin"):
        read_campaign(workbook(path, {"Plan": german, LAYOUTS: [["Plan", cell]]}, hidden=LAYOUTS))


def test_each_sheet_of_a_workbook_has_its_layout_also_under_another_name(tmp_path):
    one, two = (sheet_of(tmp_path / "plan.xlsx", ROWS, heads) for heads in (ONE, TWO))
    path = to_excel(tmp_path / "x.xlsx", one=one, two=two)
    for name, sheet in {"one": one, "two": two}.items():
        assert_frame_equal(read_campaign(path, sheet=name), sheet)
    with pytest.raises(ConfigError, match="no sheet can be called 'VoxOps'"):
        to_excel(path, one=one, VoxOps=two)
    book = tables(to_excel(tmp_path / "x.xlsx", one=one, same=one))
    renamed = {"Tabelle1": book["one"], LAYOUTS: book[LAYOUTS]}
    assert_frame_equal(read_campaign(workbook(path, renamed, hidden=LAYOUTS)), one)
    with pytest.raises(PlanError, match="no column row_id"):  # a visible sheet is anybody's
        read_campaign(workbook(path, renamed), sheet="Tabelle1")


# --- a law --------------------------------------------------------------------------------------------------------------------


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=12)
TEXTS = WORDS | st.sampled_from(
    ["007", "12345678901234567890", "=1+1", "'=x", "+49 30", "two\nlines", "1e5", "TRUE", "#N/A", ""]
)
# After the 12th, so that no program can have swapped day and month beside a text in figures.
DATES = st.datetimes(datetime(2026, 3, 3), datetime(2027, 3, 1)).map(
    lambda at: at.replace(day=max(at.day, 13), microsecond=0)
)
TWICE = "2026-10-25T02:30:00+01:00"  # the second of two such hours, which a date cell can't have
TIMES = DATES | st.sampled_from(
    ["2026-07-04T09:00Z", "2026-07-04T09:00:00+09:00", "04.07.2026 9:15", "2026-12-04 09:00", TWICE]
)
LAW = st.fixed_dictionaries(
    {
        "Nr.": st.sampled_from(["{}", "00{}", "123456789012345678{}", "=A{}"]),
        "Beitrag": TEXTS,
        "Interne Notiz": TEXTS,
        "Termin": TIMES,
    }
)


@settings(max_examples=10)
@given(
    st.lists(LAW, min_size=1, max_size=5),
    st.sampled_from([ONE, TWO]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
)
@example([{"Nr.": "0{}", "Beitrag": "", "Interne Notiz": "", "Termin": TWICE}], ONE, "Europe/Berlin")
@example([{"Nr.": "0{}", "Beitrag": "", "Interne Notiz": "", "Termin": datetime(2026, 7, 4)}], TWO, "UTC")  # midnight
def test_each_value_of_a_failed_row_comes_back(law_ws, tmp_path_factory, rows, heads, tz):
    folder = tmp_path_factory.mktemp("law")
    unfit = {"Kanäle": GOOD, "Bild": "media_nowhere"}
    numbered = [
        {**row, **unfit, "Nr.": row["Nr."].format(at), "Beitrag": f"{row['Beitrag']} {at}"}
        for at, row in enumerate(rows)
    ]
    sheet = sheet_of(folder / "plan.xlsx", numbered, heads, tz)
    plan = plan_create(sheet, key="row_id", campaign=folder.name)
    planned = sheet[plan.frame["eligible"]].reset_index(drop=True)  # not hours that are there twice, or not at all
    run = law_ws.run(plan).wait()
    for frame in (run.to_mend().query("outcome == 'failed'"), run.failed()):
        path = to_excel(folder / "mended.xlsx", mend=frame)
        for each in (path, resaved(path)):
            again = read_campaign(each)
            assert_frame_equal(again[sheet.columns], planned)
            assert json.loads(again.attrs["layout"])["tz"] == tz
            same = plan_create(again, key="row_id")
            assert [item.body for item in same.items] == [item.body for item in plan.items]
            assert set(same.frame["attempt"]) <= {2}


@pytest.fixture(scope="module")
def law_ws():
    with Sandbox(seed=7, speed=0, rate_limit=None) as server, vx.connect(sandbox=server) as workspace:
        server.add_fault(UNREAD)
        yield workspace
