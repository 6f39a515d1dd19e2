"""Dollar signs are dollar signs: MathJax leaves every display alone (point 3 of the review of leaks)."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox

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
            self.open.append(set((dict(attrs).get("class") or "").split()) >= MARKS)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.open):
            self.bare += data.strip()


@pytest.fixture
def displays(sandbox: Sandbox) -> dict[str, str]:
    """The static HTML of everything that shows itself."""
    with vx.connect(sandbox=sandbox) as ws:
        triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))
        plan = vx.plan_retry(triaged)
        shown = {
            "workspace": ws, "plan": plan, "panel": ws.panel(triaged), "report": vx.report(triaged, plan=plan),
            "delivery report": vx.report(ws.deliveries(since="30D")), "run": ws.run(plan).wait(60),
        }  # fmt: skip
        return {name: thing._repr_html_() for name, thing in shown.items()}


def test_every_display_is_marked(displays):
    for name, markup in displays.items():
        assert Roots(markup).bare == "", f"MathJax would read the {name}"
