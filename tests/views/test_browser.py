"""JupyterLab in headless Chromium: what the screen shows is what is, through reloads, second tabs and restarts.

What happened is counted at the server. Pictures for people to look at are left under ``build/screens``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Keyboard, Locator, Page, expect
from tests.browser import IN_CHROMIUM, SCREENS, Lab, Notebook, Part, serious

from voxburst_sandbox import Fault, Sandbox

pytestmark = IN_CHROMIUM
SLOW = Fault(
    "delay", method="POST", path="/v1/posts/*/**", seconds=25, times=None
)  # ten at once: slower than pages are to load
LOAD = "triaged = vx.triage(vx.targets(ws.posts(status=['failed', 'partial'], since='30D')))"
PANEL = "panel = ws.panel(triaged)\npanel"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab and one browser for all tests."""
    with Lab(tmp_path_factory.mktemp("lab")) as running:
        yield running
        assert running.fetched_elsewhere == [], "something was asked of another machine"


@pytest.fixture
def api() -> Iterator[Sandbox]:
    """The API in this process: what happened can be read here."""
    with Sandbox(seed=7, speed=20, rate_limit=500, deliveries=1500) as sandbox:
        yield sandbox


def connect(api: Sandbox, tmp_path: Path) -> str:
    """The first cell."""
    return f"import voxops as vx\nws = vx.connect('{api.api_key}', url='{api.url}', ledger='{tmp_path / 'ledger'}')"


def acting(api: Sandbox) -> int:
    """How many acting requests the server has seen."""
    return len(api.requests(acting=True))


def arrived(api: Sandbox) -> int:
    """How many acting requests the server has seen when all that was under way has arrived: none for a second."""
    before, seen = -1, acting(api)
    while seen != before:
        time.sleep(1.0)
        before, seen = seen, acting(api)
    return seen


def opened(lab: Lab, name: str, *cells: str, width: int = 1366, height: int = 768) -> Notebook:
    """A notebook that has been run."""
    lab.write(name, *cells)
    book = lab.open(name, width=width, height=height)
    book.run_all()
    book.finished()
    assert book.errors() == []
    return book


def test_what_was_not_seen_is_not_sent(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    """Filter to one row, plan it, reload, look at all rows, plan, run: the screen shows what the kernel sends, at each step."""
    book = opened(lab, "seen.ipynb", connect(api, tmp_path), LOAD, PANEL)
    panel = book.at(2)
    panel.wait("77 of 77 rows")
    panel.facet("retry", "linkedin")
    panel.wait("1 of 77 rows")
    panel.click("Plan all 1 row that match")
    panel.wait("Plan to retry: 1 of 1 row")
    panel.reason("one row")
    expect(panel.run_button).to_have_text("Run the plan: send 1")
    book.save()
    book.reload()
    panel = book.at(2)
    panel.wait("Plan to retry: 1 of 1 row")  # the page came back with the present
    expect(panel.run_button).to_have_text("Look at the plan")
    assert acting(api) == 0
    panel.tab("Failures")
    panel.click("Clear filters")
    panel.wait("77 of 77 rows")
    expect(panel.run_button).to_be_disabled()  # what was planned does not hold any more
    assert "Plan to retry: 1 of 1 row" not in panel.text()
    panel.click("Plan all 77 rows")
    panel.wait("Plan to retry: 28 of 77 rows")
    panel.tab("Failures")
    panel.click("Plan all 77 rows")  # once more: what counts as seen is turned to
    expect(panel.area.get_by_role("tab", name="Plan (28)")).to_have_attribute("aria-selected", "true", timeout=60_000)
    panel.reason("all of them")
    assert acting(api) == 0
    expect(panel.run_button).to_have_text("Run the plan: send 28")
    panel.run_button.dblclick()
    panel.wait("Before and after")
    assert "nothing was sent" not in panel.text(), "the second press asks for nothing else"
    expect(panel.area.locator(".vx-reason")).to_have_value("")  # it was that run's
    panel.click("Plan a retry of what failed")
    panel.wait("a reason is needed to run it")
    expect(panel.run_button).to_be_disabled()
    assert acting(api) == 26
    assert api.duplicates() == []
    book.close()


def test_a_reload_during_a_run_and_a_second_tab_show_the_present(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    api.add_fault(SLOW)
    book = opened(lab, "reload.ipynb", connect(api, tmp_path), LOAD, PANEL)
    panel = book.at(2)
    panel.wait("77 of 77 rows")
    panel.click("Plan all 77 rows")
    panel.wait("Plan to retry")
    panel.reason("the platforms are back")
    panel.run_button.click()
    panel.wait("sending")
    book.save()
    book.reload()
    panel = book.at(2)
    panel.wait("settled")
    assert "Nothing has been sent" not in panel.text()
    second = lab.open("reload.ipynb", beside=book)
    other = second.at(2)
    other.wait("settled")
    panel.click("Pause")
    other.wait("paused")
    sent = arrived(api)
    assert 0 < sent < 26
    api.clear_faults()
    time.sleep(1.2)
    assert acting(api) == sent, "something was sent in spite of the pause"
    other.click("Resume")
    panel.wait("Before and after")
    other.wait("Before and after")
    assert api.duplicates() == []
    second.page.close()
    book.close()


@pytest.mark.release
def test_tabs_share_what_is_chosen_and_run_only_what_they_have_shown(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    """Only the kernel knows which texts hold the words: a page that comes anew asks, and one whose search another page has changed."""
    book = opened(lab, "tabs.ipynb", connect(api, tmp_path), LOAD, PANEL)
    panel = book.at(2)
    panel.wait("77 of 77 rows")
    panel.area.get_by_label("Search").fill("pistachio")
    panel.wait("8 of 77 rows")
    book.save()
    book.reload()
    panel = book.at(2)
    expect(panel.area.get_by_label("Search")).to_have_value("pistachio")
    panel.wait("8 of 77 rows")
    second = lab.open("tabs.ipynb", beside=book)
    other = second.at(2)
    other.wait("8 of 77 rows")
    panel.area.get_by_label("Search").fill("nobody")
    expect(other.area.get_by_label("Search")).to_have_value("nobody")
    other.wait("11 of 77 rows")
    panel.click("Plan all 11 rows that match")
    other.wait("of 11 rows")
    expect(other.run_button).to_have_text("Look at the plan")
    other.reason("seen elsewhere")
    other.run_button.click()
    expect(other.run_button).to_have_text(re.compile(r"Run the plan: send \d+"))
    panel.tab("Failures")
    panel.facet("linkedin")
    expect(other.run_button).to_be_disabled()
    assert acting(api) == 0
    second.page.close()
    book.close()


@pytest.mark.release
def test_a_click_is_not_lost_where_texts_come_between_press_and_release(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = f"""import os, time
from voxops.views._rows import RowTable
texts = RowTable.texts
def slowly(self, rows):
    while not os.path.exists({str(gate)!r}):
        time.sleep(0.02)
    return texts(self, rows)
RowTable.texts = slowly"""
    book = opened(lab, "pressed.ipynb", connect(api, tmp_path), LOAD, f"{slow}\n{PANEL}")
    panel = book.at(2)
    panel.wait("77 of 77 rows")
    row = panel.area.locator(".vx-row").nth(2)
    text = row.locator(".vx-cut").nth(4)
    expect(text).to_have_text("…")
    row.locator(".vx-tick").hover()
    book.page.mouse.down()
    gate.touch()
    expect(text).not_to_have_text("…")
    book.page.mouse.up()
    panel.wait("rows, 1 ticked")
    expect(row).to_have_attribute("aria-selected", "true")
    book.close()


@pytest.mark.release
def test_texts_come_for_what_is_seen_after_a_long_scroll_there_and_back(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    """More rows pass by than are asked for at once, and those of the beginning are what the page stops at."""
    many = "posts = ws.posts()\nimport pandas as pd\nvx.view(pd.concat([posts] * 3, ignore_index=True), live=True)"
    book = opened(lab, "scrolled.ipynb", connect(api, tmp_path), many)
    view = book.at(1)
    view.wait("rows")
    passed = view.area.locator(".vx-body").evaluate(
        """async body => {
            const seen = new Set(), frame = () => new Promise((done) => requestAnimationFrame(done));
            const there = Array.from({ length: 16 }, (_, step) => 4000 + 500 * step);
            for (const top of [...there, ...there.slice(0, 2).reverse()]) {
                body.scrollTop = top;
                await frame();
                body.querySelectorAll(".vx-row").forEach((row) => seen.add(row.getAttribute("aria-rowindex")));
            }
            return seen.size;
        }"""
    )
    assert passed > 200
    expect(view.area.locator(".vx-cut", has_text=re.compile("^…$"))).to_have_count(0)
    book.close()


@pytest.mark.release
def test_shift_ticks_from_the_row_ticked_last_wherever_it_stands_now(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    book = opened(lab, "shift.ipynb", connect(api, tmp_path), LOAD, PANEL)
    panel = book.at(2)
    panel.wait("77 of 77 rows")
    rows, changed = panel.area.locator(".vx-row"), panel.area.locator(".vx-sort", has_text="Changed")
    changed.click()
    rows.nth(0).locator(".vx-tick").click()
    panel.wait("rows, 1 ticked")
    ticked = rows.nth(0).inner_text()
    changed.click()  # what was first is last
    expect(rows.nth(0)).not_to_have_text(ticked, use_inner_text=True)
    rows.nth(0).click(modifiers=["Shift"])
    panel.wait("rows, 77 ticked")
    panel.click("Tick none")
    panel.wait("rows, 0 ticked")
    rows.nth(3).locator(".vx-tick").click()
    panel.wait("rows, 1 ticked")
    panel.facet("linkedin" if "bluesky" in rows.nth(3).inner_text() else "bluesky")
    expect(panel.area).not_to_contain_text("77 of 77 rows", use_inner_text=True)
    rows.nth(0).click(modifiers=["Shift"])  # the row ticked last is not shown
    panel.wait("rows, 2 ticked, 1 of them hidden")
    book.close()


@pytest.mark.release
def test_live_views_filter_by_all_their_columns_and_sort_by_values_what_is_missing_last(lab: Lab) -> None:
    frames = """import pandas as pd, voxops as vx
frame = pd.DataFrame({
    "key": list("abcdef"),
    "number": [5.0, None, -3.0, 2.0, None, -0.5],
    "time": pd.to_datetime(["2026-03-05", None, "2026-03-03", "2026-03-04", None, "2026-03-01"], utc=True),
    "word": ["w5", None, "w3", "w4", None, "w1"],
    **{f"facet{at}": [f"odd{at}", f"even{at}"] * 3 for at in range(40)},
})
said = pd.DataFrame({
    "day": pd.to_datetime(["2026-02-01", "2026-01-31", "2026-02-02"]).tz_localize("Europe/Berlin"),
    "success_rate": [0.5, 1.0, 0.0625],
    "ratio": [1.0526315789473684, -12.5, 1234.5],
})
late = pd.to_datetime(["2027-03-04T10:00Z", "2026-03-04T10:00Z"])
two = pd.DataFrame({"late": late, "soon": late - pd.to_timedelta([366, 0], unit="D")})
two.attrs["fetched_at"] = "2026-03-02T09:00:00+00:00"
"""
    views = ("frame, columns=list(frame.columns)", "said, tz='UTC'", "two, tz='UTC'")
    book = opened(lab, "columns.ipynb", frames, *(f"vx.view({each}, live=True)" for each in views))
    view = book.at(1)
    view.wait("6 of 6 rows")
    rows = view.area.locator(".vx-row > :first-child")
    for name in ("number", "time", "word"):
        head = view.area.locator(".vx-sort", has_text=re.compile(f"^{name}"))
        for order in ("cfdab" if name == "number" else "fcdab", "adfcb" if name == "number" else "adcfb"):
            head.click()
            expect(rows).to_have_text([*order, "e"])
        head.click()
    for at in (0, 14, 15, 16, 39):  # also where there are more than a number of the page has bits
        view.facet(f"even{at}")
        expect(rows).to_have_text(["b", "d", "f"])
        view.area.get_by_label("Search").fill("zzz")
        view.wait("0 of 6 rows")
        view.click("Clear filters")
        expect(rows).to_have_text([*"abcdef"])
    view = book.at(2)
    first, second, third = "01 Feb 202650.0 %1.053", "31 Jan 2026100.0 %-12.5", "02 Feb 20266.2 %1,234"
    rows = view.area.locator(".vx-row")
    expect(rows).to_have_text([first, second, third])
    orders = {"day": [second, first, third], "success rate": [third, first, second], "ratio": [second, first, third]}
    for name, order in orders.items():
        view.area.locator(".vx-sort", has_text=name).click()
        expect(rows).to_have_text(order)
    view.area.get_by_label("day to").fill("2026-01-31")  # the day that is shown, and not the evening before in UTC
    expect(rows).to_have_text([second])
    rows.click()
    expect(view.area.locator(".vx-details")).to_contain_text("31 Jan 2026")
    head = view.area.locator(".vx-sort", has_text="success rate")
    head.focus()
    for direction in ("ascending", "descending", "none"):  # who sorts by keyboard goes on from where they are
        head.press("Enter")
        sorted_by = view.area.locator("[role=columnheader]", has_text="success rate")
        expect(sorted_by).to_have_attribute("aria-sort", direction)
        expect(head).to_be_focused()
    years = ["04 Mar 2027 10:0003 Mar 10:00", "04 Mar 2026 10:0004 Mar 10:00"]  # the year where it is not this one
    expect(book.at(3).area.locator(".vx-row")).to_have_text(years)
    book.close()


def test_after_a_restart_every_display_says_so_and_nothing_can_be_pressed(
    lab: Lab, api: Sandbox, tmp_path: Path
) -> None:
    """Else a run seems to be resumed by a button that reaches nobody."""
    run = "run = ws.run(vx.plan_retry(triaged), reason='the platforms are back').pause()\nrun"
    book = opened(lab, "dead.ipynb", connect(api, tmp_path), LOAD, run, "ws.panel(triaged)", "ws.panel(ws.deliveries(since='7D'))", "ws.panel()")  # fmt: skip
    monitor, panel, log, runs = map(book.at, range(2, 6))
    expect(monitor.button("Resume")).to_be_enabled()
    panel.click("Plan all 77 rows")
    panel.wait("Plan to retry")
    panel.reason("never")
    log.wait("delivered")
    sent = arrived(api)
    book.restart_kernel()
    for part in (monitor, panel, log, runs):
        part.wait("is gone")
        hands = part.area.locator(":is(.vx-top, .vx-buttons, .vx-actions) :is(button, select):visible")
        assert hands.count() > 0
        assert not any(one.is_enabled() for one in hands.all())
    expect(panel.run_button).to_be_disabled()
    panel.pictures(SCREENS, "restarted")
    assert acting(api) == sent
    book.close()


def test_a_saved_notebook_shows_its_last_state_without_a_kernel(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    run = "run = ws.run(vx.plan_retry(triaged), reason='the platforms are back')\nrun"
    book = opened(lab, "saved.ipynb", connect(api, tmp_path), LOAD, run, "run.wait()\nNone", PANEL)
    book.at(2).wait("done")
    book.at(4).wait("77 of 77 rows")
    expect(book.page.locator(".voxops-copy:visible")).to_have_count(0)  # the copy is not seen beside what is live
    saved = book.save()
    book.close()
    markup = [
        str(output["data"].get("text/html", ""))
        for cell in saved.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    assert any("As of" in text and "✓ done" in text for text in markup)
    again = lab.open("saved.ipynb", kernel=False)
    again.at(2).wait("done")
    again.at(4).wait("As of")
    again.at(4).wait("Failures")
    again.pictures(SCREENS, "reopened")
    again.page.context.close()
    for width in (1100, 620):  # through nbconvert
        page = lab.export("saved.ipynb", width)
        copies = page.locator(".voxops-copy:visible")
        expect(copies).to_have_count(2)
        monitor, panel = copies.all_inner_texts()
        assert "As of" in monitor
        assert "✓ done" in monitor
        assert "As of" in panel
        assert "76 targets of 67 posts failed" in panel
        assert serious(page.locator("body"), ".voxops-copy") == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=SCREENS / f"nbconvert-{width}.png", full_page=True)
        page.context.close()


def test_a_monitor_moves_pauses_and_plans_again(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    api.add_fault(SLOW)
    run = "run = ws.run(vx.plan_retry(triaged), reason='the platforms are back')\nrun"
    book = opened(lab, "monitor.ipynb", connect(api, tmp_path), LOAD, run)
    shown = book.at(2)
    shown.wait("sending")
    shown.click("Pause")
    shown.wait("paused")
    shown.pictures(SCREENS, "monitor")
    api.clear_faults()
    shown.click("Resume")
    shown.wait("done")
    assert shown.axe() == []
    assert_whole_names(shown)
    shown.click("Plan a retry of what failed")
    shown.wait("Plan to retry")
    assert api.duplicates() == []
    book.close()


def assert_whole_names(monitor: Part) -> None:
    """No platform is broken over two lines in a window that is narrow: what has no room is reached by scrolling sideways."""
    page, wide = monitor.area.page, monitor.area.page.viewport_size
    page.set_viewport_size({"width": 600, "height": 768})
    page.wait_for_function("() => document.querySelector('.vx-bar').getBoundingClientRect().width < 520")
    broken = "nodes => nodes.filter(node => node.querySelector('span').getClientRects().length > 1).map(node => node.innerText)"
    places = monitor.area.locator("td:has(.vx-bar)")
    assert places.count() > 3
    assert places.evaluate_all(broken) == []
    page.set_viewport_size(wide)


@pytest.mark.parametrize(
    "width", [1366, pytest.param(620, marks=pytest.mark.release), pytest.param(1920, marks=pytest.mark.release)]
)
def test_panels_fit_their_page_have_no_serious_fault_and_look_right(
    lab: Lab, api: Sandbox, tmp_path: Path, width: int
) -> None:
    cells = [PANEL, "ws.panel(ws.deliveries(since='7D'))", "ws.panel()"]
    book = opened(lab, f"all-{width}.ipynb", connect(api, tmp_path), LOAD, *cells, width=width)
    panel = book.at(2)
    panel.wait("77 of 77 rows")
    panel.area.locator(".vx-row").nth(1).click()
    panel.wait("post id")
    panel.pictures(SCREENS, f"triage-{width}")
    assert_readable(panel)
    # JupyterLab would have words of a text broken anywhere.
    assert panel.area.locator(".vx-details pre").first.evaluate("node => getComputedStyle(node).wordBreak") == "normal"
    panel.click("Plan all 77 rows")
    panel.wait("Plan to retry")
    panel.pictures(SCREENS, f"plan-{width}")
    log = book.at(3)
    log.wait("deliver")
    log.area.get_by_label("Window").select_option("30D")
    log.area.locator(".vx-row").first.wait_for()
    log.pictures(SCREENS, f"deliveries-{width}")
    assert_distinguished(log)
    log.tab("Over time")
    log.pictures(SCREENS, f"series-{width}")
    assert_true_bars(log)
    book.at(4).pictures(SCREENS, f"runs-{width}")
    assert book.overflow() == []
    assert panel.axe() == []
    assert acting(api) == 0
    book.close()


def assert_distinguished(log: Part) -> None:
    """Endpoints keep their ends, and words run as their script does."""
    cut = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.textContent)"
    ends = log.area.locator(".vx-row .vx-parted > :last-child")
    assert ends.count() > 3
    assert ends.evaluate_all(cut) == []
    assert log.area.locator(".vx-row [title$='/voxburst'][dir=auto]").count() > 0


def assert_true_bars(log: Part) -> None:
    """A bar is as long as its count says, also where it is short."""
    measure = "rows => rows.map(row => [row.querySelector('.vx-bar').getBoundingClientRect().width, Number(row.cells[1].innerText)])"
    found = log.area.locator("tr:has(td .vx-bar)").evaluate_all(measure)
    assert len(found) > 2
    longest, most = found[0]
    assert longest >= 60
    for width, count in found:
        assert abs(width / longest - count / most) < 0.02


def assert_readable(panel: Part) -> None:
    """Heads and verdicts of a panel are not cut, however narrow it is, and what has no room is reached by scrolling sideways."""
    cut = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.textContent)"
    assert panel.area.locator(".vx-head .vx-cut").evaluate_all(cut) == []
    assert panel.area.locator(".vx-row [title='reconnect account']").evaluate_all(cut) == []
    causes = panel.area.locator("fieldset:has(legend:text-is('Cause')) .vx-facet")
    assert causes.evaluate_all(cut) == [], "what tells two causes apart is on their second line"
    if panel.area.page.viewport_size["width"] > 1000:  # else the filters are folded
        assert causes.evaluate_all("nodes => nodes.some(node => node.getBoundingClientRect().height > 30)")
    body, grid = panel.area.locator(".vx-body"), panel.area.locator(".vx-grid")
    wide = body.evaluate("node => node.scrollWidth > node.clientWidth")
    head, first = panel.area.locator(".vx-head > span").last, panel.area.locator(".vx-row").first.locator("span").last
    grid.focus()
    for _ in range(12):
        grid.page.keyboard.press("ArrowRight")
    assert (body.evaluate("node => node.scrollLeft") > 0) == wide
    assert abs(head.bounding_box()["x"] - first.bounding_box()["x"]) < 1
    assert head.bounding_box()["x"] < grid.bounding_box()["x"] + grid.bounding_box()["width"] - 60
    for _ in range(12):
        grid.page.keyboard.press("ArrowLeft")
    assert body.evaluate("node => node.scrollLeft") == 0


@pytest.mark.release
def test_everything_can_be_done_by_keyboard(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    broken = f"{LOAD}\ntriaged['media_url'] = 'https://[broken/x.png'"
    book = opened(lab, "keys.ipynb", connect(api, tmp_path), broken, PANEL)
    panel = book.at(2)
    panel.wait("77 of 77 rows")
    keys, grid = book.page.keyboard, panel.area.locator(".vx-grid")
    search = panel.area.get_by_label("Search")
    assert "rows" in (search.get_attribute("title") or "")
    for key in ("Enter", "ArrowDown"):
        search.focus()
        keys.press(key)
        expect(grid).to_be_focused()
    for key in ("ArrowDown", "Space", "Shift+ArrowDown", "Shift+ArrowDown"):
        keys.press(key)
    panel.wait("rows, 3 ticked")
    keys.press("End")
    keys.press("Enter")
    panel.wait("a picture whose address can't be read")
    panel.wait("post id")
    keys.press("Escape")
    keys.press("Control+a")
    panel.wait("rows, 77 ticked")
    cells = book.page.locator(".jp-Notebook .jp-Cell").count()
    for key in ("d", "d", "a", "b"):  # shortcuts of the notebook, which must not hear them
        keys.press(key)
    assert book.page.locator(".jp-Notebook .jp-Cell").count() == cells
    panel.button("Plan the 77").focus()
    keys.press("Enter")
    panel.wait("Plan to retry")
    panel.area.locator(".vx-reason").focus()
    keys.type("by keyboard")
    keys.press("Tab")
    expect(panel.run_button).to_be_focused()
    keys.press("Enter")
    panel.wait("Before and after")
    assert api.duplicates() == []
    book.close()


def reach(wanted: Locator, *, back: bool = False) -> Keyboard:
    """Press Tab until this has the focus, as somebody without a mouse does."""
    expect(wanted).to_be_enabled(timeout=60_000)
    for _ in range(80):
        if wanted.evaluate("node => node === document.activeElement"):
            return wanted.page.keyboard
        wanted.page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"the keyboard does not reach {wanted}")


@pytest.mark.release
def test_monitor_deliveries_and_runs_by_keyboard(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    api.add_fault(SLOW)
    run = "run = ws.run(vx.plan_retry(triaged), reason='the platforms are back')\nrun"
    cells = [connect(api, tmp_path), LOAD, run, "ws.panel(ws.deliveries(since='7D'))", "ws.panel()"]
    book = opened(lab, "all-keys.ipynb", *cells)
    keys = book.page.keyboard
    monitor, log, runs = book.at(2), book.at(3), book.at(4)
    monitor.wait("sending")
    monitor.button("Pause").focus()  # from here on, keys alone
    keys.press("Enter")
    monitor.wait("paused")
    expect(monitor.button("Resume")).to_be_focused()
    api.clear_faults()
    keys.press("Enter")
    monitor.wait("✓ done")
    reach(monitor.button("Plan a retry of what failed")).press("Enter")
    monitor.wait("Plan to retry")

    log.area.get_by_label("Window").focus()
    keys.press("End")  # 30 days
    log.wait("delivered, of 1,")
    log.area.locator(".vx-grid").focus()
    for key in ("End", "Space"):  # the oldest, which the API does not send again by itself meanwhile
        keys.press(key)
    log.wait("rows, 1 ticked")
    log.area.get_by_label("also rejected").focus()
    keys.press("Space")
    reach(log.button("Plan the 1 row ticked"), back=True).press("Enter")
    log.wait("Plan to redeliver: 1 of 1 row")
    reach(log.area.locator(".vx-reason")).type("by keyboard")
    reach(log.button("Run the plan: send 1")).press("Enter")
    log.wait("✓ done")
    assert log.axe() == []

    reach(runs.button("Load again")).press("Enter")
    runs.wait("2 of 2 rows")
    assert "ticked" not in runs.text()  # nothing is planned here, so nothing can be ticked
    expect(runs.area.locator(".vx-tick")).to_have_count(0)
    expect(runs.area.locator(".vx-actions")).to_be_hidden()
    runs.area.locator(".vx-grid").focus()
    for key in ("End", " "):
        keys.press(key)
    runs.wait("opens it in a notebook cell")
    reach(runs.button("Open run"), back=True).press("Enter")
    runs.wait("✓ done")
    runs.wait("retry 28 rows")
    sent = acting(api)
    runs.click("Plan a retry of what failed")
    runs.wait("Plan to retry")
    expect(runs.area.get_by_label("Canary")).to_be_hidden()
    runs.reason("once more")
    runs.run_button.click()
    runs.wait("Before and after")
    assert acting(api) > sent
    assert runs.axe() == []
    assert api.duplicates() == []
    book.close()


@pytest.mark.release
def test_a_plan_stays_that_was_asked_for_right_after_choosing(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    """JupyterLab holds the second change of a model back until the kernel has taken the first; a button's message is sent at once."""
    book = opened(lab, "quick.ipynb", connect(api, tmp_path), "ws.panel(ws.deliveries(since='7D'))")
    log = book.at(1)
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
    assert arrived(api) == 0  # and the kernel has heard of all by now
    log.wait("Run the plan: send")
    log.wait("The first 2 of each cause go first")
    book.close()


@pytest.mark.release
def test_the_report_reads_by_itself(lab: Lab, tmp_path: Path) -> None:
    import voxops as vx

    with vx.connect(sandbox=True) as ws:
        triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))
        run = ws.run(vx.plan_retry(triaged), reason="the platforms are back").wait(60)
        path = vx.report(triaged, run=run).to_html(tmp_path / "report.html")
    page = lab.show(path)
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / "report-light.png")
    assert "Why it failed" in page.inner_text("body")
    assert tiles(page) == [4, 5]
    page.context.close()
    for width, rows in ((620, [2, 2, 3, 2]), (390, [2, 2, 2, 2, 1])):
        page = lab.show(path, width=width)
        assert tiles(page) == rows
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.context.close()


def tiles(page: Page) -> list[int]:
    """How many tiles of a report stand in each row."""
    tops = page.locator(".fact").evaluate_all(
        "nodes => nodes.map(node => Math.round(node.getBoundingClientRect().top))"
    )
    return [tops.count(top) for top in sorted(set(tops))]


@pytest.mark.release
def test_a_view_cuts_the_end_of_a_text_also_where_it_runs_from_the_right(lab: Lab) -> None:
    """Before, of a text in Hebrew or Arabic that has no room its beginning was cut, as if it ran from the left."""
    import pandas as pd

    import voxops as vx

    texts = [
        "מבצע אביב על פולי קפה קלויים במקום, רק עד סוף השבוע הקרוב ובכל הסניפים שלנו בעיר הגדולה",
        "عرض الربيع على حبوب القهوة المحمصة طازجة، فقط حتى نهاية الأسبوع وفي جميع فروعنا في المدينة الكبيرة",
        "Spring offer on freshly roasted beans, only until the end of the week in all our shops in the big city",
    ]
    sheet = pd.DataFrame({"row_id": list("abc"), "content": texts, "accounts": "twitter:@a", "scheduled_for": "soon"})
    path = lab.root / "directions.html"
    path.write_text(
        f'<meta charset="utf-8"><div style="width:600px">{vx.view(sheet)._repr_html_()!s}</div>', encoding="utf-8"
    )
    page = lab.show(path, width=700)
    cells = page.locator("td[title*=' ']")
    begins = """cells => cells.map(cell => {
        const word = document.createRange(), text = cell.firstChild;
        word.setStart(text, 0);
        word.setEnd(text, 4);
        const at = word.getBoundingClientRect(), room = cell.getBoundingClientRect();
        return cell.scrollWidth > cell.clientWidth && at.left >= room.left - 1 && at.right <= room.right + 1;
    })"""
    assert cells.evaluate_all(begins) == [True, True, True]
    page.context.close()
