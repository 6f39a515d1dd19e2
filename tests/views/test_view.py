"""`vx.view`: the columns that matter, one line a row, escaped; and what a plan shows of the rows it creates and holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from markupsafe import escape
from playwright.sync_api import sync_playwright
from tests.browser import CHROMIUM
from tests.views.page import Page
from voxops.views._frame_kinds import KINDS, MOST

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.api.reasons import Reason
from voxops.frames.palette import OTHER

EVIL = "<img src=x onerror=alert(1)>$x^2$\x1b[31m\u202e"


@pytest.fixture(scope="module")
def ws() -> Iterator[vx.Workspace]:
    with Sandbox(seed=7, speed=0, rate_limit=None) as server, vx.connect(sandbox=server) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def triaged(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="7D")))


def campaign() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row_id": ["a", "b", "c"],
            "content": ["Guten Morgen", "Mittag", "Abend"],
            "accounts": ["twitter:@brand;linkedin:@brand", "twitter:@brand", "twitter:@brand"],
            "scheduled_for": ["2026-07-04T10:00:00+02:00", "2026-07-05T10:00:00Z", "morgen"],
        },
        dtype="string",
    )


def test_each_kind_of_frame_shows_what_matters(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    plan = vx.plan_retry(triaged).canary(1)
    shown = {
        "triaged targets": triaged,
        "causes": vx.causes(triaged),
        "posts": ws.posts(limit=20),
        "targets": vx.targets(ws.posts(limit=20)),
        "deliveries": ws.deliveries(since="1D"),
        "accounts": ws.accounts(),
        "webhooks": ws.webhooks(),
        "planned rows": plan.frame,
        "runs": ws.runs(),
        "ledger rows": ws.ledger(),
        "campaign rows": campaign(),
        "findings": ws.check(campaign(), ask=False),
        "outages": vx.deliveries.outages(ws.deliveries(since="30D")),
    }
    assert set(shown) <= {kind.name for kind in KINDS}
    for name, frame in shown.items():
        view = vx.view(frame)
        one = next(kind.one for kind in KINDS if kind.name == name)
        assert (one if len(frame) == 1 else name) in view._repr_html_().split("</b>")[0]
        assert 4 <= len(view.columns) <= MOST, name
        assert view._repr_html_().count("<tr>") == min(len(frame), 50) + (1 if len(frame) else 0)
        assert vx.view(frame, live=True)._display_().table["length"] == len(frame)
    assert vx.view(triaged).columns[:3] == ("verdict", "cause", "remedy")
    assert list(triaged.columns[:3]) == ["verdict", "cause", "remedy"]


def test_one_row_is_named_as_one(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    frames = (triaged, ws.deliveries(since="1D"), ws.posts(limit=1), campaign(), pd.DataFrame({"a": [1]}))
    said = [re.search("<b[^>]*>([^<]*)</b>", vx.view(frame.head(1))._repr_html_())[1] for frame in frames]
    assert said == ["1 triaged target", "1 delivery", "1 post", "1 campaign row", "1 row"]
    assert repr(vx.view(triaged, rows=2)).startswith(f"{len(triaged)} triaged targets · the first 2 are shown · ")


def test_a_run_and_its_results_are_seen(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox) as mine:
        sheet = campaign().head(2).assign(accounts=mine.accounts().query("status == 'active'")["account_id"].iloc[0])
        sandbox.advance(0)
        late = pd.Timestamp(mine.client.now()) + pd.Timedelta("3D")
        run = mine.run(vx.plan_create(sheet.assign(scheduled_for=late.isoformat()), key="row_id")).wait()
        view = vx.view(run)
        assert view.columns[0] == "outcome"
        assert "Guten Morgen" in view._repr_html_()
        assert vx.view(mine.runs())._repr_html_().count("<tr>") == 2
        assert "succeeded" in repr(vx.view(mine.ledger()))
        assert vx.view(run.plan).columns[0] == "eligible"
        mine.run(vx.plan_create(sheet.head(1).assign(accounts="twitter:@nobody"), key="row_id", campaign="typo")).wait()
        assert "blocked" in vx.view(mine.runs()).columns, "it waits for a person"


def test_what_is_wrong_comes_first_and_the_frame_stays_as_it_is(triaged: pd.DataFrame) -> None:
    before = triaged.copy()
    lines = repr(vx.view(triaged)).splitlines()
    assert triaged["cause"].isna().iloc[0]
    assert not lines[2].startswith("nothing to do")
    pd.testing.assert_frame_equal(triaged, before)


def test_untrusted_text_is_escaped_and_not_typeset(triaged: pd.DataFrame) -> None:
    names = ("content", "account_name", "remedy", "verdict", "platform", "post_id")
    evil = triaged.assign(**dict.fromkeys(names, EVIL), platform_post_url="javascript:alert(1)")
    evil[EVIL] = 1
    for columns in (None, [EVIL, "content", "platform_post_url"]):
        html = vx.view(evil, columns=columns)._repr_html_()
        assert "<img" not in html
        assert 'href="javascript' not in html
        assert "\x1b" not in html
        assert "\u202e" not in html
        assert html.startswith('<div class="voxops-view tex2jax_ignore mathjax_ignore"')
    assert "\x1b" not in repr(vx.view(evil))
    assert "<img" not in vx.view(evil, live=True).grid.live.html()  # type: ignore[attr-defined]
    assert str(escape("<img src=x")) in vx.view(evil)._repr_html_()
    found = pd.DataFrame({"level": ["error"], "code": [EVIL], "message": [EVIL], "column": [EVIL]})
    wrapped = vx.view(found)._repr_html_()
    assert "white-space:normal" in wrapped
    assert "<img" not in wrapped
    assert "\x1b" not in wrapped


def test_a_published_post_is_a_link_and_its_id_is_short(triaged: pd.DataFrame) -> None:
    out = triaged[triaged["platform_post_url"].notna()].head(1)
    html = vx.view(out)._repr_html_()
    address, identifier = out["platform_post_url"].iloc[0], out["post_id"].iloc[0]
    found = re.search(r'<a href="([^"]+)" target="_blank" rel="noopener noreferrer nofollow">([^<]+)</a>', html)
    assert found is not None
    assert found[1] == address
    assert len(found[2]) == 12
    assert f'title="{identifier}"' in html


def test_results_begin_with_what_somebody_must_look_at() -> None:
    outcomes = ["succeeded"] * 60 + ["pending", "blocked", "unknown", "failed", "succeeded"]
    frame = pd.DataFrame({"outcome": outcomes, "eligible": True, "settled_at": None, "row_id": map(str, range(65))})
    table = vx.view(frame)
    assert [row.split()[0] for row in repr(table).splitlines()[2:7]] == [
        "failed", "unknown", "blocked", "pending", "succeeded",
    ]  # fmt: skip
    assert "what failed, is unknown or blocked first" in table._repr_html_()
    said = vx.view(
        frame.assign(error_code="ACCOUNT_NOT_ACTIVE", error_message="m", waiting_for="w", cause="c", content="x")
    )
    assert said.columns[:4] == ("outcome", "error_code", "error_message", "waiting_for")
    shapes = said._shapes()
    assert min(shapes["error_message"].least, shapes["waiting_for"].least) >= 190
    assert shapes["error_code"].least >= 176


def test_an_address_keeps_its_end_and_loses_its_middle() -> None:
    urls = [f"https://u:pw@hooks.aldercoffee.example/v1/{'a-' * 20}a/{end}?token=secret" for end in ("one", "two")]
    log = pd.DataFrame({"delivery_id": ["d1", "d2"], "event_type": "post.failed", "url": urls})
    for shown in (repr(vx.view(log)), vx.view(log)._repr_html_()):
        assert re.search(r"[> ]hooks\.aldercoffee…[a-]+/one\?…", shown)
        assert re.search(r"[> ]hooks\.aldercoffee…[a-]+/two\?…", shown)
        assert "secret" not in shown
    grid = vx.view(log, live=True).grid  # type: ignore[attr-defined]
    assert grid.rows.shown("url").str.startswith("hooks.aldercoffee.example/v1/").all()


def test_what_is_read_to_its_end_stands_on_several_lines(triaged: pd.DataFrame) -> None:
    said = "The time '2026-03-29T02:30:00' has no offset from UTC; " * 3
    found = pd.DataFrame({"level": ["error"], "code": ["X"], "message": [said], "column": ["scheduled_for"]})
    html = vx.view(found)._repr_html_()
    assert re.search(r'<div style="white-space:normal;[^"]*-webkit-line-clamp:3[^"]*">The time', html)
    failed = vx.view(triaged[triaged["cause"].notna()].head(1))._repr_html_()
    assert failed.count("white-space:normal") == 2, "its cause and its remedy"


def test_a_moved_post_shows_its_new_time_in_the_zone_of_the_workspace(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        posts = ws.posts(status="scheduled").sort_values("scheduled_for").tail(1)
        plan = vx.plan_update(posts, by="2h", change="later")
        results = ws.run(plan).wait().results()
    after = posts["scheduled_for"].iloc[0].tz_convert("Europe/Berlin") + pd.Timedelta(hours=2)
    assert plan.why == (Reason("new_values", fields="scheduled_for"),)
    assert f"{after:%d %b %H:%M}" in repr(vx.view(results))


def test_times_of_a_sheet_are_shown_like_those_beside_them(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
        sheet = campaign().assign(accounts=account)
        plan = vx.plan_create(sheet, key="row_id")  # one row of it has no time
        results = ws.run(plan).wait().results()
    for said in (vx.view(results)._repr_html_(), repr(vx.view(results)), repr(vx.view(results, live=True))):
        assert "04 Jul 10:00" in said and "05 Jul 12:00" in said and "T10:00:00" not in said
    assert results["scheduled_for"].to_list() == ["2026-07-04T10:00:00+02:00", "2026-07-05T10:00:00Z"]
    assert "2026-07-05T10:00:00Z" in repr(vx.view(plan)), "a column that is not all times stays as it is"
    assert "times in" not in repr(vx.view(plan)).splitlines()[0]
    assert "04 Jul 10:00" in repr(vx.view(vx.plan_create(sheet.head(2), key="row_id"), tz="Europe/Berlin"))


def test_what_a_row_waits_for_is_read_to_its_end(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox) as ws:
        account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
        sheet = campaign().head(1).assign(accounts=account)
        ws.run(vx.plan_create(sheet, key="row_id", campaign="q")).wait()
        run = ws.run(vx.plan_create(sheet.assign(content="Anders"), key="row_id", campaign="q")).wait()
        (why,), (code,) = run.results()["waiting_for"], run.results()["reason_code"]
        view = vx.view(run)
    assert code == "created_otherwise_update"
    assert repr(view).endswith(why)
    assert re.search(
        rf'<div style="white-space:normal;overflow-wrap:anywhere">{re.escape(why)}</div>', view._repr_html_()
    )


def test_boards_show_what_they_are_for(ws: vx.Workspace) -> None:
    board, risk = vx.view(ws.accounts()), vx.view(ws.at_risk())
    assert board.columns[:4] == ("status", "risk", "why", "remedy")
    assert {"failure_share", "next_at"} <= set(board.columns)
    assert risk._title().endswith("posts at risk")
    assert risk.columns[:3] == ("risk", "why", "remedy")
    assert OTHER.colour not in board._repr_html_().partition("<tbody>")[2], "each status has a colour"


def test_times_are_in_the_zone_that_was_asked_for() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-07-01T22:30:00Z"])})
    assert "02 Jul 00:30" in repr(vx.view(frame, tz="Europe/Berlin"))
    assert "times in Europe/Berlin" in vx.view(frame, tz="Europe/Berlin")._repr_html_()
    assert "01 Jul 22:30" in repr(vx.view(frame))
    frame.attrs["tz"] = "Asia/Tokyo"
    assert "02 Jul 07:30" in vx.view(frame)._repr_html_()
    with pytest.raises(vx.errors.ConfigError, match="not a time zone"):
        vx.view(frame, tz="Mars")


def test_any_frame_can_be_seen_and_what_is_none_is_refused() -> None:
    odd = pd.DataFrame({1: [1, 2], "list": [[1, 2], []], "none": [None, None]}, index=pd.Index(["x", "y"], name="key"))
    assert vx.view(odd).columns == ("key", 1, "list")
    assert "1, 2" in vx.view(odd)._repr_html_()
    doubled = pd.concat([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})], axis=1)
    assert "1" in repr(vx.view(doubled))
    assert repr(vx.view(pd.DataFrame())).startswith("No rows")
    for wrong in (None, [1], "posts"):
        with pytest.raises(vx.errors.PlanError, match=r"a frame, a plan or a run is needed"):
            vx.view(wrong)  # type: ignore[arg-type]
    with pytest.raises(vx.errors.PlanError, match="no column nonsense"):
        vx.view(odd, columns=["nonsense"])
    with pytest.raises(vx.errors.PlanError, match="rows"):
        vx.view(odd, rows=0)


def test_a_plan_to_create_is_in_the_zone_of_its_sheet(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"

    def shown(head: str, *times: str, tz: str | None = None) -> str:
        rows = [f"r{number},Hello {number},twitter:@brand,{time}" for number, time in enumerate(times)]
        path.write_text("\n".join([f"row_id,content,accounts,{head}", *rows]), "utf-8")
        sheet = vx.read_campaign(path, tz=tz).drop_duplicates("row_id")
        return vx.plan_create(sheet[sheet["content"] != "x"], key="row_id")._repr_html_()

    said = shown("scheduled_for", "2026-07-04 10:00", "2026-12-04T10:00Z", tz="Europe/Berlin")
    assert "scheduled_for (Europe/Berlin)" in said
    assert "Sat 04 Jul 2026 10:00" in said
    assert "Fri 04 Dec 2026 11:00" in said
    headed = shown("scheduled_for (Asia/Tokyo)", "2026-07-04 10:00")
    assert "scheduled_for (Asia/Tokyo)" in headed
    assert "Sat 04 Jul 2026 10:00" in headed
    alike = shown("scheduled_for", "2026-07-04T10:00+02:00", "2026-07-05T09:00+02:00")
    assert "scheduled_for (UTC+02:00)" in alike
    assert "Sat 04 Jul 2026 10:00" in alike
    mixed = shown("scheduled_for", "2026-07-04T10:00+02:00", "2026-12-04T10:00+01:00")
    assert "scheduled_for (" not in mixed, "each time is as the sheet has it"
    assert "Sat 04 Jul 2026 10:00 +02:00" in mixed
    assert "Fri 04 Dec 2026 10:00 +01:00" in mixed
    frame = campaign()
    when = pd.to_datetime(frame["scheduled_for"], utc=True, format="ISO8601", errors="coerce")
    frame["scheduled_for"] = when.dt.tz_convert("Europe/Berlin")
    assert "scheduled_for (Europe/Berlin)" in vx.plan_create(frame, key="row_id")._repr_html_()
    frame = campaign()
    frame.attrs["tz"] = "Europe/Berlin"
    html = vx.plan_create(frame, key="row_id")._repr_html_().replace("<wbr>", "")
    for part in ("Sat 04 Jul 2026 10:00", "Sun 05 Jul 2026 12:00", "linkedin:@brand", "Guten Morgen"):
        assert part in html


@pytest.mark.release
@pytest.mark.browser
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no {CHROMIUM} here")
def test_a_row_is_three_lines_at_most_and_says_why_on_a_screen_of_1366_pixels(triaged: pd.DataFrame) -> None:
    # the rules of JupyterLab for tables in outputs
    page_style = (
        "<style>body{margin:0;font:14px sans-serif}.out{width:1040px}.out table{table-layout:fixed;font-size:12px}"
        ".out td,.out th{text-align:right;vertical-align:middle;padding:.5em;line-height:normal;white-space:normal}</style>"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_content(f"{page_style}<div class=out>{vx.view(triaged)._repr_html_()}</div>")
        boxes = [row.bounding_box() for row in page.locator("tr").all()]
        head = {name: page.locator("th", has_text=name).first.bounding_box() for name in ("verdict", "cause", "remedy")}
        cut = page.locator("td:nth-child(2) > div").evaluate_all("all => all.filter((each) => each.clientWidth < 160)")
        browser.close()
    assert max(box["height"] for box in boxes if box) <= 72
    assert not cut, "a cause has room for its code and its platform"
    assert all(box is not None and box["x"] + box["width"] <= 1366 and box["y"] < 768 for box in head.values())


def test_a_frame_of_somebody_else_is_shown_whatever_it_holds() -> None:
    frame = pd.DataFrame({"error": [{"code": 1}, None, "x"], "url": [["a"], "https://a.example/in?key=1", 3]})
    assert "key=1" not in vx.view(frame)._repr_html_()
    assert "a.example/in" in repr(vx.view(frame))


def test_a_live_view_shows_all_rows_in_the_grid_and_answers_its_page(triaged: pd.DataFrame) -> None:
    view = vx.view(triaged, live=True, tz="Asia/Tokyo", rows=5)
    page = Page(view)
    assert page.widget.table["length"] == len(triaged)
    kinds = {column["name"]: (column["kind"], column["facet"]) for column in page.widget.table["columns"]}
    assert kinds["verdict"] == ("code", True)
    assert [kinds[name][0] for name in ("post_id", "updated_at", "content")] == ["id", "time", "text"]
    frame = view.grid.rows.frame  # in the order shown
    texts = page.ask("texts", "texts", rows=[0])["texts"]
    assert texts["0"]["content"][:40] == frame["content"].iloc[0][:40]
    out = int(frame["platform_post_url"].notna().to_numpy().argmax())
    details = page.ask("details", "details", row=out)["details"]
    link = {"kind": "link", "address": frame["platform_post_url"].iloc[out], "text": "Open the post"}
    assert details[-1] == link
    assert "found" in page.ask("found", "search", text="pistachio")
    page.got.clear()
    page.press("details", row=0, version=-1)
    page.press("nonsense")
    assert not any("details" in message for message in page.got)
    html = view.grid.live.html()
    assert html.count("<tr>") == min(len(triaged), 200) + 1
    assert "times in Asia/Tokyo" in html


def test_the_levels_of_an_index_are_columns_as_far_as_they_have_names() -> None:
    rows = pd.DataFrame({"cause": ["a", "a", "b"], "platform": ["x", "y", "x"], "n": [1, 2, 3]})
    rows.attrs["tz"] = "Asia/Tokyo"
    counted = rows.groupby(["cause", "platform"]).sum()
    for live in (False, True):
        view = vx.view(counted, live=live)
        assert view.columns == ("cause", "platform", "n")
        assert view.tz == "Asia/Tokyo"
        assert repr(view).splitlines()[2].split() == ["a", "x", "1"]
    assert vx.view(rows.set_index(["cause", "platform"], drop=False)).columns == ("cause", "platform", "n")
    assert vx.view(pd.concat([rows, rows], keys=["k", "l"], names=["part", None])).columns[:2] == ("part", "cause")
    twice = pd.MultiIndex.from_tuples([(1, 2)], names=["a", "a"])
    assert vx.view(pd.DataFrame({"n": [1]}, index=twice)).columns == ("a", "n")


def test_a_live_view_says_what_the_static_one_says() -> None:
    for live in (False, True):  # a hundred percent means all
        rates = repr(vx.view(pd.DataFrame({"success_rate": [1.0, 0.99975, 0.0]}), live=live))
        assert rates.split()[4:] == ["100.0", "%", "99.9", "%", "0.0", "%"]
    frame = pd.DataFrame(
        {
            "day": pd.to_datetime(["2026-01-31", "2026-02-01", None]).tz_localize("Europe/Berlin"),
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
    grid = view.grid  # type: ignore[attr-defined]
    columns = grid.rows.model()["columns"]
    assert [column["kind"] for column in columns] == ["time", "number", "number", "number", "number", "code"]
    said = [column["words"].decode().split("\n") for column in columns[:-1]]
    assert [list(words) for words in zip(*said, strict=True)] == [first[:-1], second[:-1], ["–"] * 4 + ["0"]]
    began = pd.to_datetime(int.from_bytes(columns[0]["seconds"][:4], "little"), unit="s")
    assert began == pd.Timestamp("2026-01-31"), "the page filters by the days that it shows"
    assert [[cell["text"] for cell in row] for row in grid.rows.copy()[0]["rows"][:2]] == [first, second]
    (pairs,) = (part for part in grid._details(1) if part["kind"] == "pairs")
    assert pairs["rows"][:3] == [["day", "01 Feb 2026"], ["success rate", "6.2 %"], ["attempts", "1,234"]]


def test_a_time_of_another_year_shows_its_year_wherever_it_stands(ws: vx.Workspace) -> None:
    posts = ws.posts(status="scheduled", limit=3)
    posts["scheduled_for"] = pd.to_datetime(["2025-03-04T10:00Z", "2026-03-04T10:00Z", "2027-03-04T10:00Z"]).as_unit(
        "us"
    )
    years = ("04 Mar 2025 10:00", "04 Mar 2026 10:00", "04 Mar 2027 10:00")
    static, live = vx.view(posts, tz="UTC"), vx.view(posts, tz="UTC", live=True)
    for shown in (static._repr_html_(), repr(static), live.grid.rows.copy()):
        assert all(year in str(shown) for year in years)
    flags = {
        column["name"]: column["years"] for column in live.grid.rows.model()["columns"] if column["kind"] == "time"
    }
    assert flags["scheduled_for"]
    assert not any(flag for name, flag in flags.items() if name != "scheduled_for"), "of this year, as ever"
    assert "04 Mar 10:00" in repr(vx.view(posts.iloc[[1]], tz="UTC"))


def test_each_frame_shows_what_it_is_read_for(ws: vx.Workspace) -> None:
    posts, log = ws.posts(), ws.deliveries()
    assert "impressions" in repr(vx.view(ws.analytics(posts.head(20))))
    assert " about " in repr(vx.view(vx.deliveries.about_posts(log, posts=posts)))
    event = {"id": "evt_1", "type": "post.published", "timestamp": "2026-03-02T09:00:00Z", "data": {"postId": "p1"}}
    said = repr(vx.view(vx.webhooks.events([json.dumps(event)])))
    assert said.startswith("1 event ")
    assert "received" in said
    assert "targets" not in repr(vx.view(posts["status"].value_counts().to_frame())), "these are posts"
    assert "targets" in repr(vx.view(vx.causes(vx.triage(vx.targets(posts)))))


def test_results_show_the_post_also_where_somebody_has_to_look_at_it() -> None:
    names = "error_code error_message waiting_for owner platform account_name content cause scheduled_for"
    row = {**dict.fromkeys(names.split(), "x"), "post_id": "post_1234", "eligible": True, "outcome": "unknown"}
    assert "post_1234" in str(vx.view(pd.DataFrame([{**row, "settled_at": pd.NaT}])))
