"""Displays in a bare page in Chromium: what a person does there, what the page shows then, and what the server has seen of it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Keyboard, Locator, expect
from tests.browser import IN_CHROMIUM, SCREENS
from tests.browser.bare import Bare, Screen
from tests.views.payloads import EXECUTE, PAYLOADS

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import safe
from voxops.views._rows import PageColumn, RowTable, pack
from voxops.views._widget import _MODULE

pytestmark = IN_CHROMIUM
HELD = Fault("delay", method="POST", path="/v1/posts/*/**", seconds=60, times=None)  # until the faults are cleared
TEXTS = [
    text for text in PAYLOADS if text and not re.search("[\ud800-\udfff]", text)
]  # a half of a pair is no text in JSON
CUT = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Bare]:
    with Bare() as running:
        yield running


@pytest.fixture
def bare(browser: Bare) -> Iterator[Bare]:
    """The browser without pages; afterwards no page had an error or asked another machine."""
    browser.problems.clear()
    yield browser
    browser.close()
    assert browser.problems == []


@pytest.fixture
def ws(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger") as workspace:
        yield workspace


@pytest.fixture
def triaged(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))


@pytest.fixture
def panel(bare: Bare, ws: vx.Workspace, triaged: pd.DataFrame) -> Screen:
    screen = bare.open(ws.panel(triaged))
    screen.wait("77 of 77 rows")
    return screen


def saved(screen: Screen, area: Locator) -> list[list[str]]:
    """The cells of the CSV file that a table gives."""
    with screen.page.expect_download() as begun:
        area.get_by_title("as a CSV file").click()
    return [*csv.reader(io.StringIO(begun.value.path().read_text("utf-8-sig"), newline=""))]


def copied(screen: Screen, area: Locator) -> list[list[str]]:
    """The cells that a table puts into the clipboard."""
    button = area.get_by_title("Copy the rows")
    button.click()
    expect(button).to_have_text("Copied")
    return [line.split("\t") for line in screen.page.evaluate("() => navigator.clipboard.readText()").splitlines()]


# -- plain functions of the page ---------------------------------------------------------------------------------------------


def plainly(bare: Bare, script: str, given: Any = None) -> Any:
    """What a script returns that may call the functions of the widget's module."""
    return bare.page().evaluate(f"given => {{ {_MODULE.replace('export default', 'void')} {script} }}", given)


def test_bits_of_rows_are_those_of_the_kernel(bare: Bare) -> None:
    rng = np.random.default_rng(7)
    flags = [(rng.random(length) < 0.4).astype(int) for length in (0, 1, 7, 8, 9, 65, 70_000)]
    given = [[each.tolist(), pack(each.astype(bool))] for each in flags]
    both = "return given.map(([bits, text]) => [[...unpack(text, bits.length)], pack(bits)]);"
    assert plainly(bare, both, given) == given


def test_what_is_pasted_or_saved_of_a_table_is_guarded_as_files_are(bare: Bare) -> None:
    texts = TEXTS + [f"{blank}{sign}1+1" for sign in "=+-@＝" for blank in ("", " ", "'", "\u200b", "a;", "a\t")]
    rows = "return plainRows({ columns: [], rows: given.map(text => [{ text }]) }).slice(1).map(([text]) => text);"
    assert plainly(bare, rows, texts) == [safe.guard(re.sub(r"[\t\r\n]+", " ", text)) for text in texts]


def test_rows_are_filtered_counted_and_sorted_as_pandas_does(bare: Bare) -> None:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({name: rng.choice(["x", "y", "constructor", "–"], 200) for name in "ab"})
    frame["t"] = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 96, 200), unit="h")
    frame["n"] = rng.integers(-9, 9, 200) / 2
    frame.loc[rng.random(200) < 0.2, ["n", "t"]] = None
    frame = frame.assign(**{f"{at}": "z" for at in range(16)})  # with a and b more than a number of the page has bits
    columns = [PageColumn(name, name, facet=True) for name in (*map(str, range(16)), "a", "b")]
    table = RowTable(frame, [*columns, PageColumn("n", "n", "number"), PageColumn("t", "t", "time")]).model()
    for column in table["columns"]:
        column.update({name: list(part) for name, part in column.items() if isinstance(part, bytes)})
    days = ([], ["2026-03-02", None], ["2026-03-02", "2026-03-03"])
    views = [
        {"facets": {name: [*map(str, rng.choice(["x", "y", "–"], rng.integers(0, 3)))] for name in "ab"},
         "search": str(rng.choice(["", "constr", "x y"])), "days": days[rng.integers(0, 3)] or None,
         "sort": {"column": str(rng.choice(["a", "n", "t"])), "down": bool(rng.integers(0, 2))}}
        for _ in range(60)
    ]  # fmt: skip
    select = """const [table, views] = given;
        for (const column of table.columns) for (const part of ["codes", "seconds", "numbers"])
            if (column[part]) column[part] = new Uint8Array(column[part]);
        const selection = new Selection(table, {});
        return views.map((view) => {
            selection.apply(view);
            return [[...selection.rows], selection.facets.slice(-2).map((facet, at) =>
                Object.fromEntries(facet.values.map((value, code) => [value, selection.counts[16 + at][code]])))];
        });"""
    for view, (found, counts) in zip(views, plainly(bare, select, [table, views]), strict=True):
        left = pd.Series(True, frame.index)
        for word in view["search"].split():
            left &= frame["a"].str.contains(word) | frame["b"].str.contains(word)
        if view["days"]:
            first, last = view["days"]
            left &= frame["t"].dt.strftime("%Y-%m-%d").between(first, last or "9999")
        fit = {name: frame[name].isin(wanted or frame[name]) for name, wanted in view["facets"].items()}
        by, down = view["sort"]["column"], view["sort"]["down"]
        kept = frame[left & fit["a"] & fit["b"]].replace({"a": {"–": None}})
        kept = kept.sort_values(by, ascending=not down, kind="stable", na_position="last")
        assert found == kept.index.tolist()
        for name, other, count in zip("ab", "ba", counts, strict=True):
            assert count == frame[name][left & fit[other]].value_counts().reindex(list(count), fill_value=0).to_dict()


# -- tables ------------------------------------------------------------------------------------------------------------------


def test_rows_and_tables_are_copied_and_saved_guarded(bare: Bare, ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    evil = triaged.assign(content="=1+1;\t@x", error_message="+cmd|' /C calc'!A0")
    evil.attrs = triaged.attrs
    panel = bare.open(ws.panel(vx.triage(evil.drop(columns=["cause", "verdict", "remedy", "retryable"]))))
    panel.facet("linkedin")
    panel.wait("1 of 77 rows")
    tools = panel.area.locator(".vx-tools")
    head, row = saved(panel, tools)
    assert row[head.index("content")] == safe.guard("=1+1;\t@x")
    assert row[head.index("error_message")] == safe.guard("+cmd|' /C calc'!A0")
    assert row[head.index("platform")] == "linkedin"
    assert copied(panel, tools)[0] == head
    panel.tab("Causes")
    causes = panel.area.locator(".vx-table")
    head, *rows = saved(panel, causes)
    assert head[1] == "targets"
    assert len(rows) == causes.locator("tbody tr").count() > 5
    assert sum(int(row[1]) for row in rows) == 77
    assert copied(panel, causes) == [head, *rows]


def test_a_cell_that_is_cut_opens(panel: Screen) -> None:
    panel.click("Plan all 77 rows")
    panel.wait("Plan to retry")
    rows = panel.area.locator(".vx-lines tbody tr")
    assert max(rows.evaluate_all("rows => rows.map(row => row.offsetHeight)")) < 30, "a line each"
    cell = rows.first.locator("td", has=panel.page.locator("details")).first
    whole = cell.locator(".vx-open")
    expect(whole).to_be_hidden()
    cell.locator("summary").press("Enter")
    expect(whole).to_be_visible()
    assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth + 1")


def test_a_number_or_a_cause_that_is_clicked_shows_its_rows(panel: Screen) -> None:
    panel.area.get_by_role("button", name="retry").click()
    panel.wait("29 of 77 rows")
    panel.tab("Causes")
    panel.area.locator(".vx-pane-causes .vx-pick", has_text="SERVICE_UNAVAILABLE facebook").click()
    panel.wait("9 of 77 rows")  # both filters hold
    expect(panel.area.get_by_role("tab", name="Failures")).to_have_attribute("aria-selected", "true")
    expect(panel.area.get_by_label("SERVICE_UNAVAILABLE facebook")).to_be_checked()


def test_rows_are_ticked_from_the_row_ticked_last_wherever_it_is_now(panel: Screen) -> None:
    rows, changed = panel.area.locator(".vx-row"), panel.area.locator(".vx-sort", has_text="changed")
    changed.click()
    rows.nth(0).locator(".vx-tick").click()
    panel.wait("rows, 1 ticked")
    changed.click()  # what was first is last
    expect(panel.area.locator("[aria-sort=descending]")).to_have_count(1)
    rows.nth(0).click(modifiers=["Shift"])
    panel.wait("rows, 77 ticked")
    panel.click("Tick none")
    rows.nth(3).locator(".vx-tick").click()
    panel.facet("threads")
    panel.wait("9 of 77 rows, 1 ticked, 1 of them hidden")
    rows.nth(2).click(modifiers=["Shift"])  # the row ticked last is not shown
    panel.wait("9 of 77 rows, 2 ticked, 1 of them hidden")


def test_a_click_is_not_lost_where_texts_come_between_press_and_release(panel: Screen) -> None:
    late: list[dict[str, Any]] = []
    comm, send = panel.kernel.widget.comm, panel.kernel.widget.comm.publish_msg
    comm.publish_msg = lambda _, **message: late.append(message)
    panel.page.reload()
    row = panel.area.locator(".vx-row").nth(2)
    text = row.locator(".vx-cut").nth(4)
    expect(text).to_have_text("…")
    row.locator(".vx-tick").hover()
    panel.page.mouse.down()
    comm.publish_msg = send
    for message in late:
        send("comm_msg", **message)
    expect(text).not_to_have_text("…")
    panel.page.mouse.up()
    panel.wait("rows, 1 ticked")
    expect(row).to_have_attribute("aria-selected", "true")


def test_texts_come_for_what_is_seen_after_a_long_scroll_there_and_back(bare: Bare, ws: vx.Workspace) -> None:
    view = bare.open(vx.view(pd.concat([ws.posts()] * 3, ignore_index=True), live=True))
    view.wait("rows")
    scroll = """async body => {
        for (const top of [...Array.from({ length: 16 }, (_, step) => 4000 + 500 * step), 4500, 4000]) {
            body.scrollTop = top; // more rows than are asked for at once
            await new Promise((done) => requestAnimationFrame(done));
        }
    }"""
    view.area.locator(".vx-body").evaluate(scroll)
    expect(view.area.locator(".vx-cut", has_text=re.compile("^…$"))).to_have_count(0)
    assert view.area.locator(".vx-row").count() > 10


def test_live_views_show_and_filter_days_and_years_of_their_zone(bare: Bare) -> None:
    days = pd.to_datetime(["2026-02-01", "2026-01-31", "2026-02-02"]).tz_localize("Europe/Berlin")
    view = bare.open(vx.view(pd.DataFrame({"day": days, "success_rate": [0.5, 1.0, 0.0625]}), tz="UTC", live=True))
    expect(view.area.locator(".vx-row")).to_have_text(["01 Feb 202650.0 %", "31 Jan 2026100.0 %", "02 Feb 20266.2 %"])
    view.area.get_by_label("day to").fill("2026-01-31")  # the day that is shown, and not the evening before in UTC
    expect(view.area.locator(".vx-row")).to_have_text(["31 Jan 2026100.0 %"])
    head = view.area.locator(".vx-sort", has_text="success rate")
    head.press("Enter")
    expect(head).to_be_focused()  # who sorts by keyboard goes on from where they are
    late = pd.to_datetime(["2027-03-04T10:00Z", "2026-03-04T10:00Z"])
    times = pd.DataFrame({"late": late, "soon": late - pd.to_timedelta([366, 0], unit="D")})
    times.attrs["fetched_at"] = "2026-03-02T09:00:00+00:00"
    rows = bare.open(vx.view(times, tz="UTC", live=True)).area.locator(".vx-row")  # the year where it is not this one
    expect(rows).to_have_text(["Thu 04 Mar 2027 10:00Tue 03 Mar 10:00", "Wed 04 Mar 2026 10:00Wed 04 Mar 10:00"])


# -- plans and runs ----------------------------------------------------------------------------------------------------------


def test_a_text_is_mended_by_a_plan_that_is_seen_first(panel: Screen, sandbox: Sandbox) -> None:
    panel.facet("fix content")
    panel.wait("10 of 77 rows")
    expect(panel.button("Plan all 10 rows")).to_be_disabled()
    panel.wait("none of these rows can be planned")
    panel.area.locator(".vx-row").first.click()
    panel.area.get_by_role("button", name="Plan this fix").click()
    panel.wait("Nothing was changed")
    panel.area.get_by_label("New text").fill("A short text without a price")
    panel.area.get_by_role("button", name="Plan this fix").click()
    panel.wait("Plan to fix: 1 of 1 row")
    panel.wait("A short text without a price")
    panel.reason("shorter")
    assert len(sandbox.requests(acting=True)) == 0
    expect(panel.run_button).to_have_text("Run the plan: send 1")
    panel.run_button.click()
    panel.wait("✓ done")
    assert [request["path"].rpartition("/")[2] for request in sandbox.requests(acting=True)] == ["fix"]
    assert len(sandbox.effects("target.requeue")) == 1
    assert sandbox.duplicates() == []


def test_a_plan_stays_that_was_asked_for_right_after_choosing(bare: Bare, ws: vx.Workspace, sandbox: Sandbox) -> None:
    """The second change of a model waits until the kernel has taken the first; a button's message is sent at once."""
    log = bare.open(ws.panel(ws.deliveries(since="30D")))
    log.wait("that match")
    log.area.locator(".vx-actions").evaluate(
        """bar => {
            const [canary, force] = [bar.querySelector("[type=number]"), bar.querySelector("[type=checkbox]")];
            force.click();
            canary.value = 2;
            canary.dispatchEvent(new Event("change"));
            bar.querySelector("button").click();
        }"""
    )
    log.wait("Plan to redeliver")
    log.wait("Run the plan: send")
    log.wait("not among the canaries")
    assert len(sandbox.requests(acting=True)) == 0


def test_what_was_not_seen_is_not_sent(panel: Screen, sandbox: Sandbox) -> None:
    """Filter to one row, plan it, reload, look at all rows, plan, run: the screen shows what the kernel sends, at each step."""
    panel.facet("retry", "linkedin")
    panel.click("Plan all 1 row that match")
    panel.wait("Plan to retry: 1 of 1 row")
    panel.reason("one row")
    expect(panel.run_button).to_have_text("Run the plan: send 1")
    panel.page.reload()
    panel.wait("Plan to retry: 1 of 1 row")  # the page came back with the present
    expect(panel.run_button).to_have_text("Look at the plan")
    panel.tab("Failures")
    panel.click("Clear filters")
    expect(panel.run_button).to_be_disabled()  # what was planned does not hold any more
    assert "Plan to retry: 1 of 1 row" not in panel.text()
    for _ in range(2):  # at the second time what counts as seen is turned to
        panel.tab("Failures")
        panel.click("Plan all 77 rows")
        expect(panel.area.get_by_role("tab", name="Plan (28)")).to_have_attribute("aria-selected", "true")
    panel.reason("all of them")
    assert len(sandbox.requests(acting=True)) == 0
    panel.run_button.dblclick()
    panel.wait("✓ done")
    assert "nothing was sent" not in panel.text(), "the second press asks for nothing else"
    expect(panel.area.locator(".vx-reason")).to_have_value("")  # it was that run's
    panel.click("Plan a retry of what failed")
    panel.wait("a reason is needed to run it")
    expect(panel.run_button).to_be_disabled()
    assert len(sandbox.requests(acting=True)) == 26
    assert sandbox.duplicates() == []


def test_tabs_share_what_is_chosen_and_run_only_what_they_have_shown(bare: Bare, panel: Screen) -> None:
    """Only the kernel knows which texts hold the words: a page that comes anew asks, and one whose search another page has changed."""
    panel.area.get_by_label("Search").fill("pistachio")
    panel.wait("8 of 77 rows")
    panel.page.reload()
    panel.wait("8 of 77 rows")
    other = bare.open(panel)
    other.wait("8 of 77 rows")
    panel.area.get_by_label("Search").fill("nobody")
    expect(other.area.get_by_label("Search")).to_have_value("nobody")
    other.wait("11 of 77 rows")
    panel.click("Plan all 11 rows that match")
    expect(other.run_button).to_have_text("Look at the plan")
    other.reason("seen elsewhere")
    other.run_button.click()
    expect(other.run_button).to_have_text(re.compile(r"Run the plan: send \d+"))
    panel.tab("Failures")
    panel.facet("linkedin")
    expect(other.run_button).to_be_disabled()


def test_a_monitor_moves_pauses_and_plans_again(
    bare: Bare, ws: vx.Workspace, triaged: pd.DataFrame, sandbox: Sandbox
) -> None:
    sandbox.add_fault(HELD)
    monitor = bare.open(ws.run(vx.plan_retry(triaged), reason="the platforms are back"))
    monitor.wait("sending")
    monitor.click("Pause")
    monitor.wait("paused")
    expect(monitor.button("Resume")).to_be_focused()  # who uses the keyboard goes on from where they are
    sandbox.clear_faults()
    monitor.button("Resume").press("Enter")
    expect(monitor.button("Pause")).to_be_disabled()
    monitor.wait("28 of 28")
    assert monitor.axe() == []
    monitor.page.set_viewport_size({"width": 600, "height": 768})
    platforms = monitor.area.locator("td:has(.vx-bar) span[class]")  # none is broken over two lines, however narrow
    assert platforms.count() > 3
    assert platforms.evaluate_all("nodes => nodes.every(node => node.getClientRects().length === 1)")
    monitor.click("Plan a retry of what failed")
    monitor.wait("Plan to retry")
    assert sandbox.duplicates() == []


def test_after_the_kernel_has_died_its_notice_says_what_to_do(
    bare: Bare, ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    run = ws.run(vx.plan_retry(triaged), reason="the platforms are back").pause()
    runs = bare.open(ws.panel())
    runs.area.locator(".vx-row").click()
    runs.click("Open run")
    runs.wait("watching")
    log = ws.deliveries(since="30D")
    for screen in (runs, *map(bare.open, (run, ws.panel(triaged), ws.panel(log)))):
        shows_run = screen.area.get_by_text(run.id).count() > 0
        screen.page.evaluate("window.die()")
        screen.wait("is gone")
        assert (f"In the new kernel, ws.attach('{run.id}') shows its run again" in screen.text()) == shows_run
        hands = ":is(.vx-top, .vx-buttons, .vx-actions) :is(button:not(.vx-pick), select):visible"
        assert screen.area.locator(hands).count() > 0
        assert screen.area.locator(hands).and_(screen.page.locator(":enabled")).count() == 0


# -- keys alone --------------------------------------------------------------------------------------------------------------


def reach(wanted: Locator, *, back: bool = False) -> Keyboard:
    """Press Tab until this has the focus, as somebody without a mouse does."""
    expect(wanted).to_be_enabled()
    for _ in range(80):
        if wanted.evaluate("node => node === document.activeElement"):
            return wanted.page.keyboard
        wanted.page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"the keyboard does not reach {wanted}")


def test_failures_are_chosen_planned_and_retried_by_keyboard(panel: Screen, sandbox: Sandbox) -> None:
    keys, grid, search = panel.page.keyboard, panel.area.locator(".vx-grid"), panel.area.get_by_label("Search")
    for key in ("Enter", "ArrowDown"):
        reach(search, back=key == "ArrowDown")
        keys.press(key)
        expect(grid).to_be_focused()
    for key in ("ArrowDown", "Space", "Shift+ArrowDown", "Shift+ArrowDown"):
        keys.press(key)
    panel.wait("rows, 3 ticked")
    keys.press("End")
    keys.press("Enter")
    panel.wait("post id")
    keys.press("Escape")
    expect(panel.area.locator(".vx-details")).to_be_hidden()
    keys.press("Control+a")
    panel.wait("rows, 77 ticked")
    reach(panel.button("Plan the 77")).press("Enter")
    panel.wait("Plan to retry")
    reach(panel.area.locator(".vx-reason")).type("by keyboard")
    keys.press("Tab")
    expect(panel.run_button).to_be_focused()
    keys.press("Enter")
    panel.wait("✓ done")
    assert len(sandbox.requests(acting=True)) >= 26
    assert sandbox.duplicates() == []


def test_deliveries_and_runs_by_keyboard(bare: Bare, ws: vx.Workspace, sandbox: Sandbox) -> None:
    log = bare.open(ws.panel(ws.deliveries(since="7D")))
    keys = log.page.keyboard
    reach(log.area.get_by_label("Window"))
    keys.press("End")  # 30 days
    log.wait("read 2026")
    expect(log.area.get_by_role("checkbox", name=re.compile("^failed"))).to_be_checked()  # the first that are seen
    reach(log.area.locator(".vx-grid"))
    keys.press("End")
    keys.press("Space")
    log.wait("rows, 1 ticked")
    reach(log.area.get_by_label("also rejected")).press("Space")
    reach(log.button("Plan the 1 row ticked"), back=True).press("Enter")
    log.wait("Plan to redeliver: 1 of 1 row")
    assert log.axe() == []
    reach(log.area.locator(".vx-reason")).type("by keyboard")
    reach(log.button("Run the plan: send 1")).press("Enter")
    log.wait("✓ done")
    assert len(sandbox.requests(acting=True)) == 1
    runs = bare.open(ws.panel())
    runs.wait("1 of 1 row")
    expect(runs.area.locator(".vx-tick, .vx-actions:visible")).to_have_count(0)  # nothing is planned here
    reach(runs.area.locator(".vx-grid")).press("Enter")
    runs.wait("opens it in a notebook cell")
    reach(runs.button("Open run"), back=True).press("Enter")
    runs.wait("✓ done")
    assert runs.axe() == []


# -- looks -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1366, 900, 620])
def test_panels_fit_their_page_and_have_no_serious_fault(
    bare: Bare, ws: vx.Workspace, triaged: pd.DataFrame, width: int
) -> None:
    panel = bare.open(ws.panel(triaged), width=width)
    panel.wait("77 of 77 rows")
    panel.area.locator(".vx-row").nth(1).click()
    panel.wait("post id")
    panel.shot(SCREENS, f"triage-{width}")
    assert_readable(panel)
    panel.tab("Causes")
    panel.shot(SCREENS, f"causes-{width}")
    measure = "rows => rows.map(row => row.querySelector('.vx-bar').offsetWidth / Number(row.cells[1].innerText))"
    (first, *others) = panel.area.locator("tr:has(td .vx-bar)").evaluate_all(measure)
    assert others == pytest.approx([first] * len(others), abs=2), "a bar is as long as its count says"
    panel.click("Plan all 77 rows")
    panel.wait("Plan to retry")
    panel.shot(SCREENS, f"plan-{width}")
    log = bare.open(ws.panel(ws.deliveries(since="30D")), width=width)
    log.area.locator(".vx-row").first.wait_for()
    log.shot(SCREENS, f"deliveries-{width}")
    ends = log.area.locator(".vx-row .vx-parted > :last-child")  # what tells two endpoints apart
    assert ends.count() > 1
    assert ends.evaluate_all(CUT) == []
    log.tab("Over time")
    log.shot(SCREENS, f"series-{width}")
    for screen in (panel, log):
        assert screen.axe() == []
        assert screen.page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def assert_readable(panel: Screen) -> None:
    """Heads, verdicts and causes are not cut, however narrow the page, and what has no room is reached by scrolling sideways."""
    whole = panel.area.locator(".vx-head .vx-cut, .vx-row [title='reconnect account'], fieldset .vx-facet")
    assert whole.evaluate_all(CUT) == []
    panel.area.locator(".vx-grid").focus()
    for _ in range(12):
        panel.page.keyboard.press("ArrowRight")
    chosen = ".vx-grid, .vx-head > :last-child, .vx-row > :last-child"
    ends = f"area => [...area.querySelectorAll('{chosen}')].slice(0, 3).map(node => node.getBoundingClientRect().right)"
    grid, head, row = panel.area.evaluate(ends)
    assert head == row < grid


HITS = "() => Object.keys(window).filter(name => name.startsWith('hit_')).map(name => Number(name.slice(4)))"


def test_payloads_execute_where_nobody_escapes_them(bare: Bare) -> None:
    """Else the next test could not fail."""
    page = bare.page()
    for payload in PAYLOADS[:6]:
        page.set_content(f"<p>{payload}</p>")
        page.wait_for_timeout(50)
    assert set(page.evaluate(HITS)) == EXECUTE


def test_payloads_are_text_in_every_display(bare: Bare, ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    def spoiled(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
        evil = frame.assign(**{name: pd.array((TEXTS * len(frame))[: len(frame)], dtype=object) for name in names})
        evil.attrs = frame.attrs
        return evil

    names = ("content", "error_code", "error_message", "account_name", "platform")
    evil = vx.triage(spoiled(triaged.drop(columns=["cause", "verdict", "remedy", "retryable"]), *names))
    evil["retryable"] = True
    log = spoiled(ws.deliveries(since="30D"), "url", "error", "response_body", "event_type")
    reason = " ".join(text[:60] for text in TEXTS if text.isprintable())
    run = ws.run(vx.plan_retry(triaged[triaged["platform"] == "linkedin"]), reason=reason).wait()
    screens = [bare.open(shown) for shown in (ws.panel(evil), ws.panel(log), vx.view(evil, live=True), ws.panel(), run)]
    panel, deliveries, view, *_ = screens
    for screen in (panel, deliveries, view):
        screen.area.get_by_role("button", name="Clear filters").click()
        for row in range(3):
            screen.area.locator(".vx-row").nth(row).click()
            screen.area.locator(".vx-details dd").first.wait_for()
    panel.area.get_by_label("Search").fill("constructor __proto__")
    panel.wait("0 of")
    panel.click("Clear filters")
    panel.tab("Causes")
    panel.click("Plan all")
    panel.wait("Plan to retry")
    for screen in screens:
        assert screen.page.evaluate(HITS) == []
        strange = ".vx :is(script, iframe, svg, style, object, [onerror], [onload], [onmouseover], a:not([href^=http]))"
        assert screen.page.locator(strange).count() == 0
        assert screen.page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    shown = panel.area.locator(".vx-facets").inner_text()
    assert all(safe.plain(text, 40)[:30] in shown for text in PAYLOADS[:6])


# -- pages without a kernel --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1100, 620, 390])
def test_a_report_fits_screens_and_telephones(bare: Bare, triaged: pd.DataFrame, width: int) -> None:
    page = bare.page(width)
    page.set_content(vx.report(triaged).to_html())
    assert "Why it failed" in page.inner_text("body")
    assert page.locator(".vs-fact").evaluate_all(CUT) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_a_view_shows_heads_times_and_the_ids_of_runs_whole(
    bare: Bare, ws: vx.Workspace, triaged: pd.DataFrame
) -> None:
    ws.run(vx.plan_retry(triaged)).wait()
    page = bare.page()
    runs, targets = (vx.view(frame)._repr_html_() for frame in (ws.runs(), triaged))
    page.set_content(f'<div style="width:1000px;font:13px sans-serif">{runs!s}{targets!s}</div>')
    # The ellipsis begins where the text meets the cell's padding, which scrollWidth does not tell.
    cut = """cells => cells.filter(cell => {
        const text = document.createRange();
        text.selectNodeContents(cell);
        return text.getBoundingClientRect().width > cell.clientWidth - parseFloat(getComputedStyle(cell).paddingRight);
    }).map(cell => cell.textContent)"""
    whole = page.locator('th, [data-h="run"], [data-h="started"], [data-h="changed"]')
    assert whole.count() > 10
    assert whole.evaluate_all(cut) == []


def test_a_view_cuts_the_end_of_a_text_also_where_it_runs_from_the_right(bare: Bare) -> None:
    texts = [text * 5 for text in ("מבצע אביב על פולי קפה ", "عرض الربيع على حبوب ", "Spring offer on beans ")]
    sheet = pd.DataFrame({"row_id": list("abc"), "content": texts, "accounts": "twitter:@a", "scheduled_for": "soon"})
    page = bare.page()
    page.set_content(f'<div style="width:600px">{vx.view(sheet)._repr_html_()}</div>')
    begins = """cells => cells.map(cell => {
        const word = document.createRange();
        word.setStart(cell.firstChild, 0);
        word.setEnd(cell.firstChild, 4);
        const at = word.getBoundingClientRect(), room = cell.getBoundingClientRect();
        return cell.scrollWidth > cell.clientWidth && at.left >= room.left - 1 && at.right <= room.right + 1;
    })"""
    assert page.locator("summary").evaluate_all(begins) == [True, True, True]


def test_a_copy_of_many_deliveries_begins_with_those_that_failed(bare: Bare, ws: vx.Workspace) -> None:
    panel, page = ws.panel(ws.deliveries(since="30D")), bare.page()
    page.set_content(panel._repr_html_())
    results = page.locator("tbody").first.locator("tr > :first-child").all_inner_texts()
    failed = int(panel.frame["success"].eq(False).sum())
    assert len(results) == 200 < len(panel.frame)
    assert [result.endswith("failed") for result in results] == [True] * failed + [False] * (200 - failed)
    assert failed > 0
