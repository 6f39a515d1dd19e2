"""Text of strangers is text in every display: MathJax leaves it alone."""

from __future__ import annotations

import re
from itertools import accumulate

import pandas as pd

import voxops as vx


def test_every_display_is_marked(sandbox):
    with vx.connect(sandbox=sandbox) as ws:
        triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))
        plan = vx.plan_retry(triaged)
        reports = [vx.report(triaged), vx.report(ws.deliveries(since="30D"))]
        for thing in (ws, plan, ws.panel(triaged), *reports, ws.run(plan).wait(60)):
            markup = thing._repr_html_()
            depths = [*accumulate(-1 if end else 1 for end in re.findall("<(/?)div", markup))]
            assert re.match('<div class="[^"]* tex2jax_ignore mathjax_ignore">', markup), thing
            assert (depths.index(0), markup[-6:]) == (len(depths) - 1, "</div>"), "it is one element"


def test_pandas_marks_a_frame_of_the_api_once_connected(sandbox):
    with pd.option_context("display.html.use_mathjax", True), vx.connect(sandbox=sandbox) as ws:
        assert "mathjax_ignore" in ws.accounts().to_html(notebook=True)
