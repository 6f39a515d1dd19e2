"""The registry of columns and the tables drawn from it: `vx.view` and `vx.columns` on every kind of frame of a real workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import sync_playwright
from tests.browser import CHROMIUM
from tests.views.page import Page
from tests.views.payloads import Reader

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.api.reasons import Reason
from voxops.frames.palette import OTHER
from voxops.frames.registry import COLUMNS, KINDS, kind_of
from voxops.frames.table import shown_columns
from voxops.views._rows import pack

LATE = "2026-04-01T10:00:00Z"
COUNTS = ["succeeded", "failed", "pending", "unknown", "blocked", "withdrawn"]


@pytest.fixture(scope="module")
def ws() -> Iterator[vx.Workspace]:
    with Sandbox(seed=7, speed=0, rate_limit=None) as server, vx.connect(sandbox=server) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def triaged(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="7D")))


def campaign(accounts: str = "twitter:@brand;linkedin:@brand") -> pd.DataFrame:
    times = ["2026-07-04T10:00:00+02:00", "2026-07-05T10:00:00Z", "morgen"]
    rows = {"row_id": ["a", "b", "c"], "content": ["Guten Morgen", "Mittag", "Abend"], "scheduled_for": times}
    return pd.DataFrame(rows, dtype="string").assign(accounts=pd.array([accounts] * 3, dtype="string"))


@pytest.fixture(scope="module")
def run(ws: vx.Workspace) -> vx.Run:
    """A run of creates: one row succeeded, one is blocked, and one of its plan was not eligible."""
    account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
    sheet = campaign(account).assign(scheduled_for=[LATE, "2020-01-01T10:00:00Z", "morgen"])
    return ws.run(vx.plan_create(sheet, key="row_id", campaign="kinds"), reason="to see them").wait(60)


@pytest.fixture(scope="module")
def frames(ws: vx.Workspace, triaged: pd.DataFrame, run: vx.Run) -> dict[str, list[pd.DataFrame]]:
    """Kind -> frames of it, as the calls of voxops return them."""
    posts, log = ws.posts(since="30D"), ws.deliveries(since="30D")
    retried = ws.run(vx.plan_retry(triaged).canary(1), reason="kinds").wait(60)
    return {
        "results": [run.results(), retried.results(), run.results("blocked")],
        "rows to mend": [run.to_mend(), retried.to_mend()],
        "planned rows": [run.plan.frame, retried.plan.frame, vx.plan_update(posts.head(3), by="2h", change="later").frame],
        "rows that did not go": [vx.report(run).frames["left"]],
        "runs": [ws.runs()],
        "ledger rows": [ws.ledger()],
        "created posts": [run.made()],
        "triaged targets": [triaged],
        "causes": [vx.causes(triaged)],
        "targets": [vx.targets(posts)],
        "posts": [posts, ws.posts(status="scheduled", limit=3)],
        "deliveries": [log, vx.deliveries.lost(log)],
        "outages": [vx.deliveries.outages(log)],
        "statistics": [vx.deliveries.stats(log), vx.deliveries.stats(log, by="day")],
        "accounts": [ws.accounts()],
        "webhooks": [ws.webhooks()],
        "campaign rows": [campaign()],
        "findings": [ws.check(campaign(), ask=False)],
        "endpoints": [vx.matrix()],
        "rows": [posts["status"].value_counts().to_frame()],
    }  # fmt: skip


# -- the registry -------------------------------------------------------------------------------------------------------------


def test_every_kind_of_frame_is_recognised_named_and_explained(frames: dict[str, list[pd.DataFrame]]) -> None:
    for name, shown in frames.items():
        for frame in shown:
            kind = kind_of(frame)
            assert kind.name == name
            view, live = vx.view(frame), vx.view(frame, live=True)
            title = kind.one if len(frame) == 1 else name
            assert re.match(rf"{len(frame):,} {title}( ·|$)", repr(view).splitlines()[0]), (
                "such as 1 delivery, 2 deliveries"
            )
            assert repr(live) == repr(view)
            table = live._display_().table
            assert table["length"] == len(frame)
            assert all("values" in column for column in table["columns"] if column["facet"]), "else no page draws it"
            if name in {"rows", "campaign rows"}:
                continue
            said = vx.columns(frame)
            assert list(said.index) == [str(column) for column in frame.columns]
            assert not set(said.index[said["meaning"].isna()]), name


def test_columns_of_the_analyst_are_listed_without_a_meaning_and_one_name_may_mean_two_things(
    frames: dict[str, list[pd.DataFrame]], triaged: pd.DataFrame
) -> None:
    said = vx.columns(triaged.assign(mine=1)).loc["mine"]
    assert (said["title"], said["dtype"]) == ("mine", "int64")
    assert pd.isna(said["meaning"]) and pd.isna(said["unit"])
    meanings = {vx.columns(frames[kind][0]).loc["reason", "meaning"] for kind in ("runs", "planned rows")}
    assert len(meanings) == 2
    known = {column.removeprefix(f"{kind.name}.") for kind in KINDS for column in COLUMNS}
    assert {name for kind in KINDS for name in kind.columns} <= known, "no kind shows a column without an entry"


def test_no_column_that_is_shown_is_empty_and_counts_of_runs_are_always_whole(
    frames: dict[str, list[pd.DataFrame]],
) -> None:
    for shown in frames.values():
        for frame in shown:
            for name in shown_columns(frame):
                assert not set(frame[name].map(str)) <= {"", "None", "<NA>", "nan", "NaT", "()", "[]"}, name
    (runs,) = frames["runs"]
    for wide in (runs, runs.assign(note="n" * 300, reason="r" * 300, campaign="c" * 90)):
        for counts in (wide, wide.assign(**dict.fromkeys(COUNTS, 0))):
            view = vx.view(counts)
            assert [name for name in view.columns if name in COUNTS] == COUNTS, (
                "who reads a run sees that nothing failed"
            )
            assert all(name in repr(view).splitlines()[1] for name in COUNTS)


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("results", ("outcome", "error_code", "error_message", "waiting_for")),
        ("targets", ("status", "error_code", "error_message")),
        ("triaged targets", ("verdict", "cause", "remedy")),
        ("causes", ("verdict", "cause", "remedy")),
        ("findings", ("level", "code", "message")),
        ("deliveries", ("success", "why", "status_code", "error")),
        ("ledger rows", ("outcome", "error_code", "error_message")),
    ],
)
def test_failures_lead_with_what_failed_and_why(
    frames: dict[str, list[pd.DataFrame]], kind: str, first: tuple[str, ...]
) -> None:
    for frame in frames[kind]:
        wanted = [name for name in first if name in shown_columns(frame)]
        assert list(vx.view(frame).columns)[: len(wanted)] == wanted
        assert wanted[:1] == [first[0]]
    failed = {name: "x" for name in first if name not in {"outcome", "success"}}
    if kind == "results":
        frame = pd.DataFrame([{**failed, "outcome": "failed", "eligible": True, "settled_at": pd.NaT, "post_id": "post_1234", "owner": "o", "content": "c"}])  # fmt: skip
        assert vx.view(frame).columns[:4] == first
        assert "post_1234" in repr(vx.view(frame)), "somebody has to look at it"


# -- the rows -----------------------------------------------------------------------------------------------------------------


def test_each_row_is_one_line_and_what_is_cut_opens(frames: dict[str, list[pd.DataFrame]]) -> None:
    for name, shown in frames.items():
        for frame in shown:
            html = vx.view(frame, rows=10)._repr_html_()
            rows = html.count("<tr>")
            assert rows == min(len(frame), 10) + (1 if len(frame) else 0)
            styles = re.findall(r'<td [^>]*style="([^"]*)"', html)
            if "table-layout:fixed" not in html:
                assert name == "rows"
                continue
            assert all("white-space:nowrap" in style and "text-overflow:ellipsis" in style for style in styles)
            assert html.count("<td ") == (rows - 1) * len(vx.view(frame).columns)


def test_a_cut_cell_opens_to_its_full_text_and_a_published_post_is_a_link(triaged: pd.DataFrame) -> None:
    out = triaged[triaged["platform_post_url"].notna()].head(1)
    long = " ".join(f"word{number}" for number in range(90))
    html = vx.view(out.assign(content=long), columns=["content", "post_id"])._repr_html_().replace("<wbr>", "")
    opened = re.findall(r"<details[^>]*><summary[^>]*>(.*?)</summary><div[^>]*>(.*?)</div></details>", html)
    assert len(opened[0][0]) == 160
    assert opened[0][1] == long
    address, identifier = out["platform_post_url"].iloc[0], out["post_id"].iloc[0]
    links = [value for name, value in Reader.of(html).attributes if name == "href"]
    assert links == [address]
    assert f'title="{identifier}"' in html, "an id without its middle is whole on hovering"


def test_the_id_of_a_run_is_whole_so_that_it_can_be_pasted(ws: vx.Workspace, run: vx.Run) -> None:
    listed = vx.view(ws.runs())
    assert run.id in repr(listed)
    assert run.id in Reader.of(listed._repr_html_()).text
    (pasted,) = {word for word in repr(listed).split() if word == run.id}
    assert ws.attach(pasted).wait(60).results()["outcome"].to_list() == run.results()["outcome"].to_list()


def test_what_is_wrong_comes_first_and_the_frame_stays_as_it_is(triaged: pd.DataFrame) -> None:
    before = triaged.copy()
    assert triaged["cause"].isna().iloc[0]
    assert not repr(vx.view(triaged)).splitlines()[2].startswith("nothing to do")
    pd.testing.assert_frame_equal(triaged, before)
    outcomes = ["succeeded"] * 60 + ["pending", "blocked", "unknown", "failed", "succeeded"]
    frame = pd.DataFrame({"outcome": outcomes, "eligible": True, "settled_at": None, "row_id": map(str, range(65))})
    lines = repr(vx.view(frame)).splitlines()
    assert [line.split()[0] for line in lines[2:7]] == ["failed", "unknown", "blocked", "pending", "succeeded"]
    assert "what failed, is unknown or blocked first" in lines[0]
    plan = vx.plan_retry(triaged)
    eligible = re.findall(r"^(yes|no) ", repr(vx.view(plan, rows=len(triaged))), re.MULTILINE)
    assert eligible == sorted(eligible, reverse=True)
    assert repr(vx.view(triaged, rows=2)).startswith(f"{len(triaged)} triaged targets · the first 2 are shown · ")


def test_a_target_that_failed_again_after_a_retry_comes_after_the_others(triaged: pd.DataFrame) -> None:
    retry = triaged[triaged["verdict"].eq("retry")].head(3).assign(post_id=["post_a", "post_b", "post_c"])
    tried = retry.assign(last_outcome=pd.array(["failed", None, "succeeded"], dtype="string"))
    assert re.findall("post_[abc]", repr(vx.view(tried))) == ["post_b", "post_c", "post_a"]


def test_a_run_is_seen_by_its_rows(ws: vx.Workspace, run: vx.Run) -> None:
    (why,), (code,) = run.results("blocked")["waiting_for"], run.results("blocked")["reason_code"]
    view = vx.view(run)
    assert code
    assert view.columns[0] == "outcome"
    opened = view._repr_html_().replace("<wbr>", "")
    assert why in Reader.of(opened).text
    assert "Guten Morgen" in repr(view)
    assert vx.view(run.plan).columns[0] == "eligible"


def test_a_plan_of_changes_shows_before_and_after_field_by_field(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        posts = ws.posts(status="scheduled").sort_values("scheduled_for").tail(1)
        plan = vx.plan_update(posts.assign(new_content="fresh coffee"), by="2h", change="later")
        results = ws.run(plan).wait().results()
        withdrawn = vx.plan_cancel(posts)
    before = posts["scheduled_for"].iloc[0].tz_convert("Europe/Berlin")
    after = before + pd.Timedelta(hours=2)
    assert plan.why == (Reason("new_values", fields="content, scheduled_for"),)
    assert f"{after:%d %b %H:%M}" in repr(vx.view(results))
    text, html = repr(vx.view(plan)), Reader.of(vx.view(plan)._repr_html_()).text
    for said in (text, html):
        assert re.search(rf"{before:%d %b.*%H:%M}.*{after:%d %b.*%H:%M}", said, re.DOTALL)
        assert re.search("before.*after", said, re.DOTALL)
        assert "fresh coffee" in said
    assert repr(vx.view(withdrawn))


def test_a_webhook_address_keeps_its_end_and_loses_its_middle_and_its_secret() -> None:
    urls = [f"https://u:pw@hooks.aldercoffee.example/v1/{'a-' * 20}a/{end}?token=secret" for end in ("one", "two")]
    log = pd.DataFrame({"delivery_id": ["d1", "d2"], "event_type": "post.failed", "url": urls})
    for shown in (repr(vx.view(log)), vx.view(log)._repr_html_()):
        assert all(re.search(rf"hooks\.aldercoffee…[a-]+/{end}\?…", shown) for end in ("one", "two"))
        assert "secret" not in shown
        assert "pw@" not in shown
    said = {name: [f"no answer from {url}" for url in urls] for name in ("error", "response_body", "error_message")}
    for live in (False, True):
        view = vx.view(log.assign(**said), columns=["delivery_id", "url", *said], live=live)
        shown = [repr(view), Page(view).widget.table, Page(view).details(0)] if live else [view._repr_html_()]
        assert "no answer from" in str(shown)
        assert "secret" not in str(shown)
    odd = pd.DataFrame({"error": [{"code": 1}, None, "x"], "url": [["a"], "https://a.example/in?key=1", 3]})
    assert "key=1" not in vx.view(odd)._repr_html_()
    assert "a.example/in" in repr(vx.view(odd))


# -- times --------------------------------------------------------------------------------------------------------------------


def test_the_zone_is_named_once_and_times_have_a_year_only_where_it_is_another(ws: vx.Workspace) -> None:
    posts = ws.posts(status="scheduled", limit=3)
    times = pd.to_datetime(["2025-03-04T10:00Z", "2026-03-04T10:00Z", "2027-03-04T10:00Z"]).as_unit("us")
    posts["scheduled_for"] = times
    view = vx.view(posts, tz="Asia/Tokyo")
    for shown in (repr(view), Reader.of(view._repr_html_()).text):
        assert shown.count("Asia/Tokyo") == 1
        assert "JST" not in shown or "<details" in view._repr_html_()
        assert all(f"04 Mar {year} 19:00" in shown for year in (2025, 2026, 2027))
    assert "JST" not in repr(view)
    columns = {column["name"]: column for column in Page(vx.view(posts, live=True)).widget.table["columns"]}
    flags = {name: column["years"] for name, column in columns.items() if column["kind"] == "time"}
    assert flags.pop("scheduled_for")
    assert flags and not any(flags.values()), "of this year, as ever"
    assert "04 Mar 10:00" in repr(vx.view(posts.iloc[[1]], tz="UTC"))


def test_times_are_in_the_zone_that_was_asked_for() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-07-01T22:30:00Z"])})
    assert "02 Jul 00:30" in repr(vx.view(frame, tz="Europe/Berlin"))
    assert "01 Jul 22:30" in repr(vx.view(frame))
    frame.attrs["tz"] = "Asia/Tokyo"
    assert "02 Jul 07:30" in vx.view(frame)._repr_html_()
    with pytest.raises(vx.errors.ConfigError, match="not a time zone"):
        vx.view(frame, tz="Mars")


def test_times_of_a_sheet_are_shown_like_those_beside_them(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
        plan = vx.plan_create(campaign(account), key="row_id")  # one row of it has no time
        results = ws.run(plan).wait().results()
    for said in (repr(vx.view(results)), repr(vx.view(results, live=True))):
        assert "04 Jul 10:00" in said and "05 Jul 12:00" in said and "T10:00:00" not in said
    assert results["scheduled_for"].to_list() == ["2026-07-04T10:00:00+02:00", "2026-07-05T10:00:00Z"]
    assert "2026-07-05T10:00:00Z" in repr(vx.view(plan)), "a column that is not all times stays as it is"
    assert "times in" not in repr(vx.view(plan)).splitlines()[0]


@pytest.mark.parametrize(
    ("head", "times", "tz", "said"),
    [
        ("scheduled_for", ["2026-07-04 10:00", "2026-12-04T10:00Z"], "Europe/Berlin", ["in Europe/Berlin", "04 Jul( 2026)? 10:00", "04 Dec( 2026)? 11:00"]),
        ("scheduled_for (Asia/Tokyo)", ["2026-07-04 10:00"], None, ["in Asia/Tokyo", "04 Jul( 2026)? 10:00"]),
        ("scheduled_for", ["2026-07-04T10:00+02:00", "2026-07-05T09:00+02:00"], None, [r"in UTC\+02:00", "04 Jul( 2026)? 10:00"]),
        ("scheduled_for", ["2026-07-04T10:00+02:00", "2026-12-04T10:00+01:00"], None, ["in UTC", "04 Jul( 2026)? 08:00", "04 Dec( 2026)? 09:00"]),
    ],
)  # fmt: skip
def test_a_plan_to_create_is_in_the_zone_of_its_sheet(
    head: str, times: list[str], tz: str | None, said: list[str], tmp_path: Path
) -> None:
    rows = [f"r{number},Hello {number},twitter:@brand,{time}" for number, time in enumerate(times)]
    (tmp_path / "sheet.csv").write_text("\n".join([f"row_id,content,accounts,{head}", *rows]), "utf-8")
    plan = vx.plan_create(vx.read_campaign(tmp_path / "sheet.csv", tz=tz), key="row_id")
    for shown in (repr(plan), Reader.of(plan._repr_html_()).text):
        assert [re.search(each, shown) is not None for each in said] == [True] * len(said)


# -- any frame, and the live grid -----------------------------------------------------------------------------------------------


def test_any_frame_can_be_seen_and_what_is_none_is_refused(ws: vx.Workspace) -> None:
    odd = pd.DataFrame({1: [1, 2], "list": [[1, 2], []], "none": [None, None]}, index=pd.Index(["x", "y"], name="key"))
    assert vx.view(odd).columns == ("key", 1, "list")
    assert "1, 2" in vx.view(odd)._repr_html_()
    doubled = pd.concat([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})], axis=1)
    assert "1" in repr(vx.view(doubled))
    assert repr(vx.view(pd.DataFrame())).startswith("No rows")
    for wrong in (None, [1], "posts"):
        with pytest.raises(vx.errors.PlanError, match=r"a frame, a plan or a run is needed"):
            vx.view(wrong)  # type: ignore[arg-type]
    for more, said in (({"columns": ["nonsense"]}, "no column nonsense"), ({"rows": 0}, "rows")):
        with pytest.raises(vx.errors.PlanError, match=said):
            vx.view(odd, **more)
    board = vx.view(ws.accounts())
    assert OTHER.colour not in board._repr_html_().partition("<tbody>")[2], "each status has a colour"


def test_the_levels_of_an_index_are_columns_as_far_as_they_have_names() -> None:
    rows = pd.DataFrame({"cause": ["a", "a", "b"], "platform": ["x", "y", "x"], "n": [1, 2, 3]})
    rows.attrs["tz"] = "Asia/Tokyo"
    for live in (False, True):
        view = vx.view(rows.groupby(["cause", "platform"]).sum(), live=live)
        assert (view.columns, view.tz) == (("cause", "platform", "n"), "Asia/Tokyo")
        assert repr(view).splitlines()[2].split() == ["a", "x", "1"]
    assert vx.view(rows.set_index(["cause", "platform"], drop=False)).columns == ("cause", "platform", "n")
    assert vx.view(pd.concat([rows, rows], keys=["k", "l"], names=["part", None])).columns[:2] == ("part", "cause")
    twice = pd.MultiIndex.from_tuples([(1, 2)], names=["a", "a"])
    assert vx.view(pd.DataFrame({"n": [1]}, index=twice)).columns == ("a", "n")


def test_a_live_view_answers_its_page_from_the_rows_that_it_shows(triaged: pd.DataFrame) -> None:
    view = vx.view(triaged, live=True, tz="Asia/Tokyo", rows=5)
    page = Page(view)
    kinds = {column["name"]: (column["kind"], column["facet"]) for column in page.widget.table["columns"]}
    assert kinds["verdict"] == ("code", True)
    assert [kinds[name][0] for name in ("post_id", "updated_at", "content")] == ["id", "time", "text"]
    shown = triaged.iloc[triaged["cause"].isna().argsort(kind="stable")].reset_index(drop=True)  # in the order shown
    out = int(shown["platform_post_url"].notna().to_numpy().argmax())
    texts = page.ask("texts", "texts", rows=[out])["texts"]
    assert texts[str(out)]["content"][:40] == " ".join(shown["content"][out].split())[:40]
    details = page.ask("details", "details", row=out)["details"]
    assert details[-1] == {"kind": "link", "address": shown["platform_post_url"][out], "text": "Open the post"}
    assert "found" in page.ask("found", "search", text="pistachio")
    csv = page.ask("csv", "csv", rows=pack(page.flags(0, out)))["csv"]
    assert csv.splitlines()[0].startswith("verdict,cause,remedy")
    assert csv.count("post_") >= 2
    page.got.clear()
    page.press("details", row=0, version=-1)
    page.press("csv", rows=pack(page.flags(0)), version=-1)
    page.press("nonsense")
    assert not any({"details", "csv"} & set(message) for message in page.got)
    static = Reader.of(view.grid.live.html())  # type: ignore[attr-defined]
    assert static.tags.count("tr") == min(len(triaged), 200) + 1
    assert "times in Asia/Tokyo" in static.text


def test_a_live_view_says_what_the_static_one_says() -> None:
    for live in (False, True):  # a hundred percent means all
        rates = repr(vx.view(pd.DataFrame({"success_rate": [1.0, 0.99975, 0.0]}), live=live))
        assert rates.split()[4:] == ["100.0", "%", "99.9", "%", "0.0", "%"]
    days = pd.to_datetime(["2026-01-31", "2026-02-01", None]).tz_localize("Europe/Berlin")
    frame = pd.DataFrame(
        {
            "day": days,
            "success_rate": pd.array([1.0, 0.0625, None], dtype="Float64"),
            "attempts": [1.0526315789473684, 1234.5, None],
            "single": pd.array([0.1, 2.5, None], dtype="Float32"),
            "number": [2**60 + 1, -1234, 0],
            "works": pd.array([True, False, None], dtype="boolean"),
        }
    )
    view = vx.view(frame, live=True, tz="UTC")
    first, second = (re.split("  +", line) for line in repr(view).splitlines()[2:4])
    assert first == ["31 Jan 2026", "100.0 %", "1.053", "0.1", "1,152,921,504,606,846,977", "yes"]
    assert second == ["01 Feb 2026", "6.2 %", "1,234", "2.5", "-1,234", "no"]
    page = Page(view)
    columns = page.widget.table["columns"]
    assert [column["kind"] for column in columns] == ["time", "number", "number", "number", "number", "code"]
    said = [column["words"].decode().split("\n") for column in columns[:-1]]
    assert [list(words) for words in zip(*said, strict=True)] == [first[:-1], second[:-1], ["–"] * 4 + ["0"]]
    began = pd.to_datetime(int.from_bytes(columns[0]["seconds"][:4], "little"), unit="s")
    assert began == pd.Timestamp("2026-01-31"), "the page filters by the days that it shows"
    (pairs,) = (part for part in page.ask("details", "details", row=1)["details"] if part["kind"] == "pairs")
    assert [value for _, value in pairs["rows"]][:3] == ["01 Feb 2026", "6.2 %", "1,234"]


@pytest.mark.release
@pytest.mark.browser
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no {CHROMIUM} here")
def test_a_row_is_one_line_high_on_a_screen_of_1366_pixels(triaged: pd.DataFrame) -> None:
    # the rules of JupyterLab for tables in outputs
    page_style = (
        "<style>body{margin:0;font:14px sans-serif}.out{width:1240px}.out table{table-layout:fixed;font-size:12px}"
        ".out td,.out th{text-align:right;vertical-align:middle;padding:.5em;line-height:normal;white-space:normal}</style>"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_content(f"{page_style}<div class=out>{vx.view(triaged)._repr_html_()}</div>")
        boxes = [row.bounding_box() for row in page.locator("tr").all()]
        heads = [page.locator("th", has_text=name).first.bounding_box() for name in ("verdict", "cause", "what to do")]
        page.locator("tbody details").first.click()
        opened = page.locator("tbody tr").first.bounding_box()
        browser.close()
    assert max(box["height"] for box in boxes if box) <= 30
    assert opened is not None and opened["height"] > 30
    assert all(box is not None and box["x"] + box["width"] <= 1366 for box in heads)
