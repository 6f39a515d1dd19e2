"""The panel's table in JupyterLab in Chromium: how soon it is open, and how soon it answers; timed by the browser's own clock."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browser.lab import Lab, Notebook

__all__ = ["screen"]

CONNECT = """
import json, time
import pandas as pd
import voxops as vx
ws = vx.connect(sandbox=True)
few = vx.targets(ws.posts(status=['failed', 'partial'], since='30D'))
many = pd.concat([few] * (-(-{count} // len(few[few.status == 'failed'])) + 1), ignore_index=True)
many['post_id'] = pd.array([f'post_{{number:08d}}k3v9x2mq7w2z' for number in range(len(many))], dtype='string')
many['content'] = many['content'] + pd.array([f' no. {{number}}' for number in range(len(many))], dtype='string')
triaged = vx.triage(many)
triaged = triaged[triaged['cause'].notna()].head({count})
"""
SHOW = "began = time.perf_counter()\npanel = ws.panel(triaged)\nmade = time.perf_counter() - began\npanel"
SIZE = """
table = panel._live.widget.table
buffers = sum(len(part) for column in table['columns'] for part in column.values() if isinstance(part, bytes))
words = json.dumps([{k: v for k, v in column.items() if not isinstance(v, bytes)} for column in table['columns']])
print(json.dumps({'rows': len(panel.frame), 'bytes': buffers + len(words.encode()), 'made': made}))
"""
COMPUTE = "end = time.monotonic() + 40\nwhile time.monotonic() < end: sum(range(10_000))"
# from pressing Run to the moment when the rows are painted
OPEN = """async ([cell, said]) => {
    const panel = window.jupyterapp.shell.currentWidget;
    panel.content.activeCellIndex = cell;
    const begun = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    while (!document.querySelector('.vx-said')?.textContent.startsWith(said) || !document.querySelector('.vx-row')) {
        if (performance.now() - begun > 60000) throw new Error('the panel did not open');
        await new Promise(requestAnimationFrame);
    }
    await new Promise(requestAnimationFrame);
    return performance.now() - begun;
}"""
# from a person's action to the moment after the frame in which the answer is painted
ANSWER = """async ([what, value]) => {
    const root = document.querySelector('.vx');
    const painted = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    await painted();
    const begun = performance.now();
    if (what === 'search') {
        const box = root.querySelector('input[type=search]');
        box.value = value;
        box.dispatchEvent(new Event('input', {bubbles: true}));
    } else if (what === 'facet') root.querySelectorAll('.vx-facets input')[value].click();
    else if (what === 'sort') root.querySelectorAll('.vx-sort')[value].click();
    else [...root.querySelectorAll('button')].find(each => each.textContent === what).click();
    await painted();
    return [performance.now() - begun, root.querySelector('.vx-said').textContent];
}"""
ACTIONS = [
    *(("facet", at) for at in range(6)), *(("facet", at) for at in range(6)), ("search", "video"), ("search", "video too long"),
    ("search", ""), ("facet", 0), ("Tick all that match", 0), ("Tick none", 0), ("Clear filters", 0),
]  # fmt: skip
SORTS = [("sort", at) for at in (0, 1, 3, 4, 4)]


def screen(count: int, turns: int) -> dict[str, Any]:
    """Open a panel of so many failures, several times; filter, search and sort it while the kernel is idle and while it computes."""
    opened, made, answers = [], [], dict[str, list[float]]()
    size: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        lab.write("many.ipynb", CONNECT.format(count=count), SHOW, SIZE, COMPUTE)
        for turn in range(turns):
            book = lab.open("many.ipynb", width=1366, height=768)
            book.run_cell(0)
            book.finished()
            opened.append(book.page.evaluate(OPEN, [1, f"{count:,} of {count:,}"]))
            book.run_cell(2)
            book.finished()
            size = json.loads(book.at(2).text())
            made.append(size["made"])
            if turn == 0:
                _act(book, SORTS)  # each column is ordered once, when it is first asked for
                answers["idle"] = _often(book, ACTIONS)
                book.run_cell(3)
                answers["computing"] = _often(book, ACTIONS)
                answers["sorting"] = _act(book, SORTS)
                busy = book.page.locator(".jp-Notebook .jp-Cell").nth(3).locator(".jp-InputPrompt").inner_text()
                assert "*" in busy, "the kernel had stopped computing before the last answer"
            book.close()
        assert size["rows"] == count
        assert lab.fetched_elsewhere == []
    return {
        "opened_ms": opened, "made_s": made, "median_opened_ms": statistics.median(opened), "model_bytes": size["bytes"],
        "answers_ms": answers,
    }  # fmt: skip


def _often(book: Notebook, actions: list[tuple[str, Any]]) -> list[float]:
    """Do it three times; of each action the median, since the machine has moods."""
    return [statistics.median(taken) for taken in zip(*(_act(book, actions) for _ in range(3)), strict=True)]


def _act(book: Notebook, actions: list[tuple[str, Any]]) -> list[float]:
    """Do it as a person would; return how many milliseconds each answer took."""
    taken = []
    for what, value in actions:
        milliseconds, said = book.page.evaluate(ANSWER, [what, value])
        assert "rows" in said
        taken.append(round(milliseconds, 1))
    return taken


if __name__ == "__main__":
    print(json.dumps(screen(int(sys.argv[1]), int(sys.argv[2]))))
