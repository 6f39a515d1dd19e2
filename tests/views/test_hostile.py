"""Hostile text in every display, panel, plot and report, in a real browser: nothing executes, nothing breaks the page.

Each sample sets a global of the page if it executes. The first test shows the samples unescaped and must catch them, so that
the others can fail.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.browser import IN_CHROMIUM, Lab
from tests.views.payloads import BROWSER, EXECUTE

pytestmark = [*IN_CHROMIUM, pytest.mark.release]  # test_payloads reads the markup itself

PREPARE = """
import json, pathlib
import pandas as pd
import voxops as vx
samples = json.loads(pathlib.Path("samples.json").read_text())
"""

FRAMES = """
ws = vx.connect(sandbox=True)
posts = ws.posts(status=['failed', 'partial'], since='30D')
def spoil(frame, *names):
    evil = frame.copy()
    for name in names:
        evil[name] = pd.array([samples[row % len(samples)] for row in range(len(frame))], dtype='string')
    evil.attrs = frame.attrs
    return evil
targets = spoil(vx.targets(posts), 'content', 'error_code', 'error_message', 'account_name', 'platform')
triaged = vx.triage(targets)
log = spoil(ws.deliveries(since='30D'), 'url', 'error', 'response_body', 'event_type')
log['success'] = pd.array([row % 3 > 0 for row in range(len(log))], dtype='boolean')
log.attrs['filters'] = {}
"""

MONITOR = """
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from voxops.model import Cell, Outcome, Snapshot, Transition
from voxops.views.monitor import Live, Monitor
now = datetime(2026, 3, 2, tzinfo=UTC)
for shown in (samples[:8], samples[7:]):
    state = Snapshot(shown[0], 'retry', shown[1], 'sending', now, now, (Cell(shown[2], Outcome.FAILED, 3),), 3,
                     {text: 2 for text in shown}, tuple(Transition(now, text, text, text, text, text) for text in shown),
                     note=' '.join(text[:80] for text in shown), reason=shown[0], who=shown[1])
    run = SimpleNamespace(snapshot=state, tz='UTC', observe=lambda _: None, pause=None, resume=None, cancel=None)
    live = Live(lambda: '')
    live.hold(Monitor(run, None, live.ask))
    live.show()
"""

PANELS = """
panel, deliveries = ws.panel(triaged), ws.panel(log)
for shown in (panel, deliveries):
    shown._show_all(None)
    shown._plan(shown.frame)
    shown._failed(' '.join(text[:60] for text in samples))
    display(shown)
"""

OBJECTS = """
plan = vx.plan_retry(triaged)
display(plan, vx.plan_redeliver(log), vx.report(triaged), vx.causes(triaged).head(20), triaged.head(20), log.head(20), ws)
vx.report(triaged).to_html('report.html')
"""

PLOTS = """
%matplotlib inline
import matplotlib.pyplot as plt
for draw in (vx.plots.causes_by_platform,):
    draw(triaged)
for draw in (vx.plots.delivery_volume, vx.plots.latency_bands, vx.plots.endpoint_heatmap):
    draw(log)
plt.show()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own: what it is asked to fetch from elsewhere is part of the test."""
    with Lab(tmp_path_factory.mktemp("hostile")) as running:
        (running.root / "samples.json").write_text(json.dumps(BROWSER))
        yield running


def assert_untouched(page):
    """Assert that nothing has executed, and that the page is seen and no wider than its window."""
    assert page.evaluate(HITS) == []
    assert page.evaluate("() => getComputedStyle(document.body).display") != "none"
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


HITS = "() => Object.keys(window).filter(name => name.startsWith('hit_')).map(name => Number(name.slice(4))).sort((a, b) => a - b)"


def test_samples_execute_where_nobody_escapes_them(lab):
    lab.write(
        "control.ipynb",
        PREPARE,
        "from IPython.display import HTML\nfor text in samples[:6]: display(HTML(f'<p>{text}</p>'))\nprint('shown')",
    )
    book = lab.open("control.ipynb")
    book.run_all()
    book.at(1).wait("shown")
    book.page.wait_for_timeout(1000)
    assert set(book.page.evaluate(HITS)) == EXECUTE
    book.close()


def test_nothing_executes_and_nothing_breaks(lab):
    lab.fetched_elsewhere.clear()
    lab.write("hostile.ipynb", PREPARE, FRAMES, MONITOR, PANELS, OBJECTS, PLOTS, "print('the end')")
    book = lab.open("hostile.ipynb", height=1800)
    book.run_all()
    book.finished(150_000)  # megabytes of text
    assert book.errors() == []
    book.at(6).wait("the end")
    for cell in range(7):  # cells out of sight are not drawn
        book.page.locator(".jp-Notebook .jp-Cell").nth(cell).scroll_into_view_if_needed()
        book.page.wait_for_timeout(300)
    assert book.at(3).area.locator(".vx-rows tr").count() > 50, "the panels were not drawn"
    book.at(3).area.locator(".vx-rows td[title]").first.hover()
    assert book.page.locator("mjx-container").count() == 0
    assert_untouched(book.page)
    assert book.page.locator(".jp-OutputArea :is([onmouseover], [onerror], [onload])").count() == 0
    wide = [text for text in book.overflow() if "voxops" in text or "settled" in text or "Failures" in text]
    assert wide == []
    assert lab.fetched_elsewhere == []
    book.pictures(Path(__file__).parents[2] / "build" / "screens", "hostile")
    book.save()
    book.close()

    again = lab.open("hostile.ipynb", kernel=False, height=1800)
    for cell in range(7):
        again.page.locator(".jp-Notebook .jp-Cell").nth(cell).scroll_into_view_if_needed()
    again.page.wait_for_timeout(500)
    assert_untouched(again.page)
    again.page.close()

    page = lab.export("hostile.ipynb")
    page.wait_for_timeout(300)
    assert page.locator(".voxops-copy:visible").count() >= 4
    assert_untouched(page)
    page.context.close()

    page = lab.show(lab.root / "report.html")
    page.wait_for_timeout(300)
    assert_untouched(page)
    assert lab.fetched_elsewhere == []
    page.context.close()
