"""JupyterLab in headless Chromium: the main job, a busy kernel, a reload, a second tab, Ctrl+S, a kernel that is shut down or restarted, a saved notebook.

Pictures for people to look at are left under ``build/screens``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.browser import IN_CHROMIUM, SCREENS, Lab, Notebook, serious
from tests.virtual import until

from voxburst_sandbox import Fault, Sandbox

pytestmark = IN_CHROMIUM
# Each is held until the test lets it go.
HELD = Fault("delay", method="POST", path="/v1/posts/*/**", seconds=600, times=None)
AT_ONCE = 10  # requests of a client, as long as nobody changes it
LOAD = "triaged = vx.triage(vx.targets(ws.posts(status=['failed', 'partial'], since='30D')))"
PANEL = "panel = ws.panel(triaged)\npanel"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One JupyterLab and one browser for all tests."""
    with Lab(tmp_path_factory.mktemp("lab")) as running:
        yield running
        assert running.fetched_elsewhere == [], "something was asked of another machine"


@pytest.fixture
def api():
    """The API in this process: what happened can be read here."""
    with Sandbox(seed=7, speed=20, rate_limit=500, deliveries=1500) as sandbox:
        yield sandbox


def connect(api: Sandbox, tmp_path: Path, **options: Any) -> str:
    """The first cell."""
    where = {"url": api.url, "ledger": str(tmp_path / "ledger"), **options}
    return f"import voxops as vx\nws = vx.connect('{api.api_key}', **{where})"


def acting(api: Sandbox) -> int:
    """How many acting requests the server has seen."""
    return len(api.requests(acting=True))


def assert_only_copies(book: Notebook) -> None:
    """Assert that the run and the panel are seen as they last were, without buttons that nobody hears."""
    expect(book.page.locator(".voxops-copy:visible")).to_have_count(2)
    expect(book.page.locator(".jp-OutputArea button:visible")).to_have_count(0)


def opened(lab: Lab, name: str, *cells: str) -> Notebook:
    """A notebook that has been run."""
    lab.write(name, *cells)
    book = lab.open(name, width=1366, height=768)
    book.run_all()
    book.finished()
    assert book.errors() == []
    return book


def test_failures_are_filtered_ticked_planned_and_retried(lab, api, tmp_path):
    book = opened(lab, "main.ipynb", connect(api, tmp_path), LOAD, PANEL, "ws.panel(ws.deliveries(since='30D'))")
    panel = book.at(2)
    panel.wait("77 of 77 failures match")
    boxes = panel.area.locator(".vx-rows input")
    second = boxes.nth(1).get_attribute("data-id")
    # A filter and a tick in one moment: the row that the page showed is ticked, wherever it stands by then.
    panel.area.evaluate(
        """area => {
            const select = area.querySelector('select');
            select.options[0].selected = true;
            select.dispatchEvent(new Event('change', {bubbles: true}));
            area.querySelectorAll('.vx-rows input')[1].click();
        }"""
    )
    panel.wait("29 of 77 failures match · 1 ticked")
    panel.click("Show all rows")
    panel.wait("77 of 77")
    assert [box.get_attribute("data-id") for box in boxes.all() if box.is_checked()] == [second]
    panel.click("Untick all")
    panel.area.get_by_role("button", name="changed").click()
    expect(panel.area.locator("th[aria-sort=ascending]")).to_have_text("changed ▲")
    panel.facet("verdict", "retry")
    panel.facet("platform", "linkedin")
    panel.click("Plan all 1 that match")
    panel.wait("Plan to retry: 1 of 1 row")
    panel.click("Run: retry 1 row")
    panel.wait("needs a reason")
    assert acting(api) == 0
    panel.area.get_by_label("Reason").fill("the platforms are back")
    assert panel.axe() == []
    assert book.overflow() == []
    panel.click("Run: retry 1 row")
    panel.wait("✓ done")
    assert (acting(api), api.duplicates()) == (1, [])
    log = book.at(3)
    log.wait("deliveries match")
    log.click("Show all rows")
    log.wait("the first 1,000 are shown")
    assert log.area.locator(".vx-rows tbody tr").count() == 150
    log.area.locator(".vx-rows").evaluate("rows => { rows.scrollTop = rows.scrollHeight; }")
    expect(log.area.locator(".vx-rows tbody tr")).to_have_count(300)
    book.close()


def test_a_run_is_reloaded_paused_while_a_cell_waits_and_seen_in_two_tabs(lab, api, tmp_path):
    api.add_fault(HELD)
    run = "run = ws.run(vx.plan_retry(triaged), reason='ticket 4711')\nrun.show()\nrun"
    lab.write("run.ipynb", connect(api, tmp_path, timeout=600), LOAD, run, PANEL, "run.wait()")
    book = lab.open("run.ipynb", width=1366, height=768)
    for number in range(4):
        book.run_cell(number)
        book.finished()
    monitor, panel = book.at(2), book.at(3)
    expect(monitor.area.locator(".jupyter-widgets.widget-vbox").first).to_be_visible()
    assert monitor.area.locator(".vx.monitor:visible").count() == 1, "one monitor in a cell"
    panel.area.locator(".vx-rows input").first.check()
    panel.wait("1 ticked")
    panel.facet("verdict", "retry")
    panel.wait("29 of 77")
    until(lambda: acting(api) == AT_ONCE)
    book.save()
    book.reload()  # while it sends
    monitor, panel = book.at(2), book.at(3)
    monitor.wait("▶ sending")
    panel.wait("29 of 77 failures match · 1 ticked")
    second = lab.open("run.ipynb", beside=book)  # before a cell waits: JupyterLab connects to no kernel that is busy
    book.run_cell(4)
    monitor.click("Pause")
    monitor.wait("paused")
    saved = book.path.stat().st_mtime_ns
    monitor.button("Resume").focus()
    book.page.keyboard.press("Control+s")
    until(lambda: book.path.stat().st_mtime_ns != saved)
    second.at(2).wait("paused")
    api.clear_faults()
    until(lambda: all(call["status"] for call in api.requests(acting=True)))
    assert acting(api) == AT_ONCE, "something was sent in spite of the pause"
    second.at(2).click("Resume")
    monitor.wait("✓ done")
    second.at(2).wait("✓ done")
    assert (acting(api), api.duplicates()) == (26, [])
    second.page.close()
    book.close()


@pytest.mark.release
def test_without_a_kernel_a_notebook_shows_its_last_state_and_nothing_else(lab, api, tmp_path):
    run = "run = ws.run(vx.plan_retry(triaged), reason='the platforms are back')\nrun.wait()\nrun"
    book = opened(lab, "saved.ipynb", connect(api, tmp_path), LOAD, run, PANEL)
    book.at(2).wait("✓ done")
    book.at(3).wait("77 of 77")
    book.at(2).click("Plan what failed")
    book.at(2).wait("Plan to retry")
    expect(book.page.locator(".voxops-copy:visible")).to_have_count(0)  # the copy is not seen beside what is live
    expect(book.page.locator(".voxops-copy").first).to_contain_text("Plan to retry")
    book.save()
    assert book.path.stat().st_size < 300_000
    book.restart_kernel()
    assert_only_copies(book)
    book.run_all()
    expect(book.page.locator(".voxops-copy:visible")).to_have_count(0)
    book.finished()
    book.shut_down()
    assert_only_copies(book)
    book.close()
    again = lab.open("saved.ipynb", kernel=False)
    again.at(2).wait("Plan to retry")
    again.at(3).wait("77 of 77 failures match")
    assert "Error displaying widget" not in again.page.inner_text("body")
    again.pictures(SCREENS, "reopened")
    again.page.close()
    for width in (1100, 620):  # through nbconvert
        page = lab.export("saved.ipynb", width)
        copies = page.locator(".voxops-copy:visible")
        expect(copies).to_have_count(2)
        monitor, panel = copies.all_inner_texts()
        assert "✓ done" in monitor and "77 of 77 failures match" in panel
        assert "Error displaying widget" not in page.inner_text("body")
        assert serious(page.locator("body"), ".voxops-copy") == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=SCREENS / f"nbconvert-{width}.png", full_page=True)
        page.context.close()
