"""The README: its code runs, and what it says of sending, of keys and of its commands holds."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest
from tests.docs import DOCS, HOME, blocks
from tests.kernel import Kernel

import voxops as vx
from voxburst_sandbox import Fault

README = HOME / "README.md"
BLOCKS = blocks(README, "python")


@pytest.mark.kernel
@pytest.mark.timeout(900)
def test_the_blocks_run_in_order_and_what_sends_again_posts_nothing_twice(tmp_path):
    """Queued all at once, as Run All does, and what sends posts a second time; counted at the server."""
    assert len(BLOCKS) == 4
    acts = [each for block in BLOCKS[1:3] for each in map(ast.unparse, ast.parse(block).body) if "ws.run(" in each]
    shutil.copytree(HOME / "data", tmp_path / "data")
    counted = (
        "print(len(ws.sandbox.duplicates()), *(len(ws.sandbox.effects(kind)) for kind in ('post.create', 'post.retry', 'target.fix')),"
        " (run.results()['outcome'] == 'succeeded').sum(), (mend['accounts'] == 'facebook:@aldercoffee').sum())"
    )
    ended = "for name in ws.runs().index:\n    ws.attach(name).wait(200)\n"
    with Kernel(tmp_path) as kernel:
        cells = kernel.run(*BLOCKS, patience=400)
        for cell in cells:
            assert cell.status == "ok", f"{cell.status or 'lost'}: {cell.code}\n{cell.traceback or cell.text}"
            assert cell.bundles or cell.text, f"nothing is shown: {cell.code}"
        assert [cell.answered_at for cell in cells] == sorted(cell.answered_at for cell in cells)
        assert "TOKEN_EXPIRED" in str(cells[0].bundles)
        duplicates, creates, retries, fixes, succeeded, mended = map(int, kernel.do(f"{ended}\n{counted}").split())
        assert duplicates == 0
        assert retries + fixes > 20
        assert mended > 0
        assert succeeded == creates, "with those that were mended, each once"
        assert creates == int(kernel.do("print(len(ws.posts(campaign='spring 2026')))"))
        again = kernel.run(*acts, patience=400)
        assert [cell.status for cell in again] == ["ok"] * 3, "\n".join(cell.traceback for cell in again)
        assert list(map(int, kernel.do(f"{ended}\n{counted}").split()))[:4] == [0, creates, retries, fixes]
    assert "<svg" in (tmp_path / "triage.html").read_text("utf-8")


def test_run_returns_before_anything_is_answered(sandbox):
    with vx.connect(sandbox=sandbox) as ws:
        failures = vx.triage(ws.posts(status=["failed", "partial"]))
        sandbox.add_fault(Fault("delay", method="POST", path="/v1/posts/*/**", seconds=600, times=None))
        run = ws.run(vx.plan_retry(failures.query("verdict == 'retry'").head(4)))
        assert run.running
        assert set(run.results()["outcome"]) == {"pending"}
        sandbox.clear_faults()
        sandbox.set_speed(20)
        assert set(run.wait(60).results()["outcome"]) <= {"succeeded", "failed"}


def promise(page: Path) -> str:
    """The table of the promise."""
    return page.read_text("utf-8").partition("| | posted twice | lost |\n|---|---|---|\n")[2].partition("\n\n")[0]


def test_the_promise_is_in_the_words_of_its_page():
    """People compare the two tables."""
    assert promise(README) == promise(DOCS / "explanation" / "promise.md") != ""


def test_each_line_of_the_promise_has_its_test_which_quotes_it():
    """What a cell says beyond *never* has a file of its own."""
    cells = [cell.strip(" *.").casefold() for cell in promise(README).replace("|\n|", "|").split("|")]
    said = {cell.replace("*", "") for cell in cells} - {"", "never"}
    docs = [ast.get_docstring(ast.parse(path.read_text("utf-8"))) for path in HOME.glob("tests/promise/test_*.py")]
    quoted = [" ".join(str(doc).split()).casefold() for doc in docs]
    assert [text for text in said if not any(text in doc for doc in quoted)] == []
    assert [doc for doc in quoted if not any(text in doc for text in said)] == []
