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
rows = panel._rows
sent = len(json.dumps([rows.heads, rows.table]).encode())
print(json.dumps({'rows': len(panel.frame), 'bytes': sent, 'made': made}))
"""
COMPUTE = "end = time.monotonic() + 40\nwhile time.monotonic() < end: sum(range(10_000))"
# from pressing Run to the moment when the rows are painted
OPEN = """async ([cell, said]) => {
    const panel = window.jupyterapp.shell.currentWidget;
    panel.content.activeCellIndex = cell;
    const begun = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    while (!document.querySelector('.jupyter-widgets [role=status]')?.textContent.startsWith(said)
           || !document.querySelector('.vx-rows tbody tr')) {
        if (performance.now() - begun > 60000) throw new Error('the panel did not open');
        await new Promise(requestAnimationFrame);
    }
    await new Promise(requestAnimationFrame);
    return performance.now() - begun;
}"""
# from a person's action to the moment after the frame in which the kernel's answer is painted
ANSWER = """async ([what, value]) => {
    const rows = document.querySelector('.vx-rows');
    const painted = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    await painted();
    const begun = performance.now(), before = rows.querySelector('tbody');
    if (what === 'search') {
        const box = document.querySelector('.widget-text input');
        box.value = value;
        box.dispatchEvent(new Event('input', {bubbles: true}));
    } else if (what === 'sort') rows.querySelectorAll('th button')[value].click();
    else {
        const select = document.querySelectorAll('.vx-facets select')[what];
        [...select.options].forEach((option, at) => { option.selected = at === value; });
        select.dispatchEvent(new Event('change', {bubbles: true}));
    }
    while (rows.querySelector('tbody') === before) {
        if (performance.now() - begun > 60000) throw new Error(`no answer to ${what} ${value}`);
        await new Promise(requestAnimationFrame);
    }
    await painted();
    return [performance.now() - begun, document.querySelector('.jupyter-widgets [role=status]').textContent];
}"""
ACTIONS = [
    (0, 0),
    (0, 1),
    (0, -1),
    (1, 0),
    (1, -1),
    (2, 0),
    (2, -1),
    ("search", "rate limit"),
    ("search", "token"),
    ("search", ""),
]
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
                answers["idle"] = [*_often(book, ACTIONS), *_act(book, SORTS)]
                book.run_cell(3)
                answers["computing"] = _act(book, ACTIONS)
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
        assert "match" in said
        taken.append(round(milliseconds, 1))
    return taken


if __name__ == "__main__":
    print(json.dumps(screen(int(sys.argv[1]), int(sys.argv[2]))))
