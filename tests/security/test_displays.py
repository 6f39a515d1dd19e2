"""Text of strangers is text in every display: MathJax leaves it alone, and JavaScript takes no word of it for one of its own names."""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

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
            self.open.append(set((dict(attrs).get("class") or "").split()) >= MARKS)

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
            "workspace": ws, "plan": plan, "panel": ws.panel(triaged), "report": vx.report(triaged, plan=plan),
            "delivery report": vx.report(ws.deliveries(since="30D")), "run": ws.run(plan).wait(60),
        }  # fmt: skip
        for name, thing in shown.items():
            assert Roots(thing._repr_html_()).bare == "", f"MathJax would read the {name}"


LIVE = Path(vx.__file__).parent / "views" / "live"
# A page of nothing but text: an element is the list of its children.
PAGE = """
globalThis.document = { createElement: () => ({ style: {}, setAttribute() {}, addEventListener() {}, children: [],
  append(...children) { this.children.push(...children); }, replaceChildren(...children) { this.children = children; } }) };
"""
ASK = """
const word = "constructor", code = { kind: "code", name: word, values: [word], codes: [0] };
const texts = new Map([[0, {}]]), facet = { name: word, values: [word], codes: [0], facet: true };
const grid = Object.assign(Object.create(Grid.prototype), { looks: { [word]: {} }, texts, live: { view: { facets: {} } } });
const cell = (looks) => Grid.prototype.write.call({ looks, texts }, document.createElement("span"), code, 0).children;
grid.facet(facet, 0);
const selection = new Selection({ length: 1, columns: [{ ...code, width: 1, facet: true, codes: new Uint8Array(1) }] }, {});
selection.apply({ facets: {} });
console.log(JSON.stringify([cell({}), cell({ [word]: {} }), shown({ kind: "text", name: word }, 0, texts), selection.rows.length,
  facet.boxes[0].label.children.length]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js, to run the widget's code without a browser")
def test_a_status_named_constructor_is_shown_as_a_word():
    code = "\n".join((LIVE / f"{name}.js").read_text() for name in ("elements", "selection", "grid"))
    done = subprocess.run(
        ["node", "-"], input=PAGE + code + ASK, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["constructor"], ["constructor"], "…", 1, 3]
