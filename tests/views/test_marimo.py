"""marimo in headless Chromium: monitor and panels live there as they do in JupyterLab; what happened is counted at the server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser import IN_CHROMIUM, SCREENS, Marimo

from voxburst_sandbox import Fault, Sandbox

pytestmark = [*IN_CHROMIUM, pytest.mark.release]
SLOWER = Fault("delay", method="POST", path="/v1/posts/*/**", seconds=20, times=None)  # than a page is to load
FIRST = """import voxops as vx
ws = vx.connect('{key}', url='{url}', ledger='{ledger}')
triaged = vx.triage(vx.targets(ws.posts(status=['failed', 'partial'], since='30D')))
log = ws.deliveries(since='7D')  # here: while ten acts are under way, a load waits for one of them to end
"""
RUN = "run = ws.run(vx.plan_retry(triaged[triaged['platform'] == 'facebook']), reason='facebook is back')\nrun"
PANEL = "panel = ws.panel(triaged[triaged['platform'] != 'facebook'])\npanel"


def test_monitor_and_panel_live_in_marimo(tmp_path: Path) -> None:
    with Sandbox(seed=7, speed=20, rate_limit=500, deliveries=300) as api:
        api.add_fault(SLOWER)
        first = FIRST.format(key=api.api_key, url=api.url, ledger=tmp_path / "ledger")
        with Marimo(tmp_path, first, RUN, PANEL, "ws.panel(log)") as marimo:
            page = marimo.open(dark=True)
            monitor, panel, log = (marimo.widget(page, number) for number in range(3))
            monitor.wait("sending")
            monitor.click("Pause")
            monitor.wait("paused")
            api.clear_faults()
            monitor.click("Resume")
            monitor.wait("✓ done")
            ran = len(api.requests(acting=True))
            assert ran > 0

            panel.wait("64 of 64 rows")
            panel.facet("retry", "linkedin")
            panel.wait("1 of 64 rows")
            panel.click("Plan all 1 row that match")
            panel.wait("Plan to retry: 1 of 1 row")
            panel.reason("one row")
            expect(panel.run_button).to_have_text("Run the plan: send 1")
            panel.tab("Failures")
            panel.click("Clear filters")
            panel.wait("64 of 64 rows")
            expect(panel.run_button).to_be_disabled()  # what was planned does not hold any more
            panel.area.locator(".vx-row").nth(1).click()
            panel.wait("post id")  # details come from the kernel
            assert len(api.requests(acting=True)) == ran
            panel.click("Plan all 64 rows")
            panel.wait("Plan to retry: ")
            planned = int(panel.run_button.inner_text().removeprefix("Run the plan: send "))
            panel.run_button.click()
            panel.wait("✓ done")
            assert ran < len(api.requests(acting=True)) <= ran + planned

            rows = log.area.get_by_text(re.compile(r"of \d+ rows"))
            before = rows.inner_text()
            log.area.get_by_label("Window").select_option("30D")
            expect(rows).not_to_have_text(before)  # until then the rows of before stand there, and turn pale
            assert [fault for part in (monitor, panel, log) for fault in part.axe()] == []
            SCREENS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SCREENS / "marimo.png", full_page=True)
            assert api.duplicates() == []
