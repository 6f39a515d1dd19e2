"""JupyterLab in headless Chromium: monitors move, buttons and panels work, saved notebooks keep their last state.

Pictures for people to look at are left under ``build/screens``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from tests.browser import CHROMIUM, Lab

from voxops.sandbox import Fault, Sandbox

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not Path(CHROMIUM).exists() and not os.environ.get("CI"), reason=f"no {CHROMIUM} here; in CI this is a failure"
    ),
]

SCREENS = Path(__file__).parents[2] / "build" / "screens"
SLOW = Fault("delay", method="POST", path="/v1/posts/*/**", seconds=0.8, times=None)
PLAN = "triaged = vx.triage(vx.targets(ws.posts(status=['failed', 'partial'], since='30D')))\nplan = vx.plan_retry(triaged)"


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


def test_a_monitor_moves_and_its_buttons_work(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    api.add_fault(SLOW)
    name = "monitor.ipynb"
    lab.write(name, connect(api, tmp_path), PLAN, "run = ws.run(plan, reason='the platforms are back')\nrun", "run")
    book = lab.open(name)
    for cell in range(3):
        book.run_cell(cell)
    shown = book.at(2)
    shown.wait("sending")
    shown.pictures(SCREENS, "monitor-start")
    before = shown.text()
    shown.click("Pause")
    shown.wait("paused")
    time.sleep(1.0)  # what was under way has arrived
    sent = acting(api)
    assert sent > 0
    assert shown.text() != before, "the monitor stood still"
    shown.pictures(SCREENS, "monitor-mid")
    time.sleep(1.2)
    assert acting(api) == sent, "something was sent in spite of the pause"

    book.save()
    book.reload()  # what was saved is there again, and the run lives on in its kernel
    book.at(2).wait("paused")
    book.run_cell(3)
    shown = book.at(3)
    api.clear_faults()
    shown.click("Resume")
    shown.wait("done")
    shown.click("Plan a retry of what failed")
    shown.wait("Plan to retry")
    shown.pictures(SCREENS, "monitor-done")
    assert acting(api) >= sent
    assert api.duplicates() == []
    book.save()
    book.close()


def test_a_monitor_says_why_it_stopped(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    api.add_fault(
        SLOW, Fault("status", method="POST", path="/v1/posts/*/**", nth=10, times=1, status=401, code="INVALID_API_KEY")
    )
    lab.write("stopped.ipynb", connect(api, tmp_path), PLAN, "run = ws.run(plan)\nrun")
    book = lab.open("stopped.ipynb", width=760)
    book.run_all()
    shown = book.at(2)
    shown.wait("stopped")
    time.sleep(1)
    shown.pictures(SCREENS, "monitor-stopped-narrow")
    assert book.overflow() == [], "it does not fit a page of 600 pixels"
    assert "API key" in shown.text() or "401" in shown.text()
    book.close()


def test_the_triage_panel_from_filter_to_succeeded(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    name = "triage.ipynb"
    lab.write(name, connect(api, tmp_path), PLAN, "panel = vx.triage_panel(ws, triaged)\npanel")
    book = lab.open(name, height=2200)
    book.run_all()
    panel = book.at(2)
    panel.wait("failed targets shown")
    panel.pictures(SCREENS, "triage-start")
    panel.select("Verdict", "retry")
    panel.select("Platform", "twitter", "facebook")
    panel.wait("facebook: Alder")
    panel.area.locator("input[type=checkbox]").first.uncheck()
    panel.click("Plan")
    panel.wait("Plan to retry")
    assert not panel.button("Run the plan").is_enabled(), "a run needs a reason"
    panel.fill("Reason", "the platforms are back")
    panel.fill("Canary", "2")
    panel.click("Plan")
    panel.wait("The first 2 of each cause go first")
    panel.pictures(SCREENS, "triage-plan")
    assert acting(api) == 0
    panel.click("Run the plan")
    panel.wait("of them acts")
    panel.pictures(SCREENS, "triage-mid")
    panel.wait("Before and after")
    panel.wait("succeeded")
    panel.click("Show the code")
    panel.wait("vx.plan_retry(chosen).canary(2)")
    time.sleep(0.6)
    panel.pictures(SCREENS, "triage-done")
    assert acting(api) > 0
    assert api.duplicates() == []
    assert "Before and after" in str(book.save())
    book.close()

    again = lab.open(name, kernel=False, height=2200)
    again.at(2).wait("Before and after")
    again.at(2).wait("failed targets shown")
    again.pictures(SCREENS, "reopened")
    again.page.context.close()


def test_the_delivery_panel_from_window_to_delivered(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    lab.write("deliveries.ipynb", connect(api, tmp_path), "panel = vx.delivery_panel(ws)\npanel")
    book = lab.open("deliveries.ipynb", height=2200)
    book.run_all()
    panel = book.at(1)
    panel.wait("deliveries per day")
    panel.area.locator("select").nth(1).select_option(label="30 days")
    panel.wait("rows 1 to 8")
    panel.area.locator("button.jupyter-button", has=book.page.locator(".fa-search")).first.click()
    panel.wait("latency_ms")
    panel.pictures(SCREENS, "delivery-panel")
    panel.click("Plan")
    panel.wait("Plan to redeliver")
    panel.fill("Reason", "the receiver is back")
    panel.click("Run the plan")
    panel.wait("Before and after")
    time.sleep(0.6)
    panel.pictures(SCREENS, "delivery-done")
    assert acting(api) > 0
    assert api.duplicates() == []
    saved = book.save()
    book.close()
    assert holds_state(saved), "a saved notebook must hold the last state as HTML"

    again = lab.open("deliveries.ipynb", kernel=False, height=2200)
    again.at(1).wait("Before and after")
    again.pictures(SCREENS, "delivery-reopened")
    again.page.context.close()


def test_all_that_is_shown_fits_a_narrow_page(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    runs = "run = ws.run(plan, reason='the platforms are back').wait(60)\nrun"
    cells = ("plan", "vx.triage_panel(ws, triaged)", "vx.delivery_panel(ws)", runs)
    lab.write("narrow.ipynb", connect(api, tmp_path), PLAN, *cells)
    book = lab.open("narrow.ipynb", width=640, height=2200)
    book.run_all()
    book.finished()
    book.at(4).wait("deliveries per day")
    for number, name in enumerate(("plan", "triage", "delivery", "monitor"), 2):
        book.at(number).pictures(SCREENS, f"narrow-{name}")
    assert book.overflow() == []
    assert "reconnect account" in book.at(3).text()
    book.close()


def test_the_report_reads_by_itself(lab: Lab, tmp_path: Path) -> None:
    import voxops as vx

    with vx.connect(sandbox=True) as ws:
        triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))
        run = ws.run(vx.plan_retry(triaged), reason="the platforms are back").wait(60)
        path = vx.report(triaged, run=run).to_html(tmp_path / "report.html")
    page = lab.show(path)
    page.screenshot(path=SCREENS / "report-light.png")
    assert "Why it failed" in page.inner_text("body")
    page.context.close()


def holds_state(book: nbformat.NotebookNode) -> bool:
    """Whether a notebook holds the end of a run as HTML."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", []) if "data" in output]
    return any("Before and after" in output["data"].get("text/html", "") for output in outputs)
