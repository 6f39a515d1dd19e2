"""Words of the API never reach what JavaScript's objects have by themselves: "constructor" is a status like any other."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import voxops

LIVE = Path(voxops.__file__).parent / "views" / "live"
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
def test_a_status_named_constructor_is_shown_as_a_word() -> None:
    code = "\n".join((LIVE / f"{name}.js").read_text() for name in ("elements", "selection", "grid"))
    done = subprocess.run(
        ["node", "-"], input=PAGE + code + ASK, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["constructor"], ["constructor"], "…", 1, 3]
