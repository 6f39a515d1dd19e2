"""JupyterLab in headless Chromium: the main job, a reload, a second tab, a restarted kernel and a saved notebook.

All else that a page does is in `test_bare`. Pictures for people to look at are left under ``build/screens``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser import IN_CHROMIUM, SCREENS, Lab, Notebook, serious

from voxburst_sandbox import Fault, Sandbox

pytestmark = IN_CHROMIUM
# Ten at once: slower than pages are to load.
SLOW = Fault("delay", method="POST", path="/v1/posts/*/**", seconds=25, times=None)
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


def opened(lab: Lab, name: str, *cells: str) -> Notebook:
    """A notebook that has been run."""
    lab.write(name, *cells)
    book = lab.open(name, width=1366, height=768)
    book.run_all()
    book.finished()
    assert book.errors() == []
    return book


def test_failures_are_looked_at_planned_and_retried(lab: Lab, api: Sandbox, tmp_path: Path) -> None:
    book = opened(lab, "main.ipynb", connect(api, tmp_path), LOAD, PANEL)
    panel = book.at(2)
    panel.wait("77 of 77 rows")
    panel.area.locator(".vx-row").nth(1).click()
    panel.wait("post id")
    # JupyterLab would have words of a text broken anywhere.
    assert panel.area.locator(".vx-details pre").first.evaluate("node => getComputedStyle(node).wordBreak") == "normal"
    cells = book.page.locator(".jp-Notebook .jp-Cell").count()
    for key in ("d", "d", "a", "b"):  # shortcuts of the notebook, which must not hear them
        book.page.keyboard.press(key)
    assert book.page.locator(".jp-Notebook .jp-Cell").count() == cells
    panel.facet("retry", "linkedin")
    panel.click("Plan all 1 row that match")
    panel.wait("Plan to retry: 1 of 1 row")
    panel.reason("the platforms are back")
    assert panel.axe() == []
    assert book.overflow() == []
    panel.pictures(SCREENS, "jupyterlab")
    assert acting(api) == 0
    panel.run_button.click()
    panel.wait("✓ done")
    assert acting(api) == 1
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
    panel.wait("of 28 done")
    assert "Nothing has been sent" not in panel.text()
    second = lab.open("reload.ipynb", beside=book)
    other = second.at(2)
    other.wait("of 28 done")
    panel.click("Pause")
    other.wait("paused")
    sent = arrived(api)
    assert 0 < sent < 26
    api.clear_faults()
    time.sleep(1.2)
    assert acting(api) == sent, "something was sent in spite of the pause"
    other.click("Resume")
    panel.wait("✓ done")
    other.wait("✓ done")
    assert api.duplicates() == []
    second.page.close()
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
        assert ("shows its run again" in part.text()) == (part is monitor)
        hands = part.area.locator(":is(.vx-top, .vx-buttons, .vx-actions) :is(button:not(.vx-pick), select):visible")
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
    outputs = [output.get("data", {}) for cell in saved.cells for output in cell.get("outputs", [])]
    assert any("✓ done" in str(data.get("text/html")) for data in outputs)
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
