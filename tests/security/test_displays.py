"""Text of strangers is text in every display: MathJax leaves it alone."""

from __future__ import annotations

from html.parser import HTMLParser

import pandas as pd

import voxops as vx

MARKS = {"tex2jax_ignore", "mathjax_ignore"}


class Roots(HTMLParser):
    """Text that no element with both classes holds."""

    VOID = {"br", "hr", "wbr", "img", "meta", "input", "col"}

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[bool] = []
        self.bare = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag == "style" or set((dict(attrs).get("class") or "").split()) >= MARKS)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.open):
            self.bare += data.strip()


def test_every_display_is_marked(sandbox):
    with vx.connect(sandbox=sandbox) as ws:
        triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))
        plan = vx.plan_retry(triaged)
        shown = {
            "workspace": ws, "plan": plan, "panel": ws.panel(triaged), "report": vx.report(triaged),
            "delivery report": vx.report(ws.deliveries(since="30D")), "run": ws.run(plan).wait(60),
        }  # fmt: skip
        for name, thing in shown.items():
            assert Roots(thing._repr_html_()).bare == "", f"MathJax would read the {name}"


def test_pandas_marks_a_frame_of_the_api_once_connected(sandbox):
    with pd.option_context("display.html.use_mathjax", True), vx.connect(sandbox=sandbox) as ws:
        assert "mathjax_ignore" in ws.accounts().to_html(notebook=True)
