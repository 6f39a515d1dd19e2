"""Displays in a bare page in Chromium: what a person does there, what the page shows then, and what the server has seen of it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Keyboard, Locator, Page, expect
from tests.browser import IN_CHROMIUM, SCREENS
from tests.browser.bare import Bare, Screen
from tests.views.payloads import EXECUTE, PAYLOADS

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import safe
from voxops.views._rows import Column, RowTable, pack
from voxops.views._widget import _MODULE

pytestmark = IN_CHROMIUM
HELD = Fault("delay", method="POST", path="/v1/posts/*/**", seconds=60, times=None)  # until the faults are cleared
CUT = "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Bare]:
    with Bare() as running:
        yield running


@pytest.fixture
def bare(browser: Bare) -> Iterator[Bare]:
    """The browser without pages; afterwards no page had an error or asked another machine."""
    browser.problems.clear()
    yield browser
    browser.close()
    assert browser.problems == []


@pytest.fixture
def ws(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger") as workspace:
        yield workspace


@pytest.fixture
def triaged(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))


@pytest.fixture
def panel(bare: Bare, ws: vx.Workspace, triaged: pd.DataFrame) -> Screen:
    screen = bare.open(ws.panel(triaged))
    screen.wait("77 of 77 rows")
    return screen


def acting(sandbox: Sandbox) -> int:
    """How many acting requests the server has seen."""
    return len(sandbox.requests(acting=True))


def saved(screen: Screen, button: Locator) -> list[list[str]]:
    """The cells of the CSV file that a button gives."""
    with screen.page.expect_download() as begun:
        button.click()
    return [*csv.reader(io.StringIO(begun.value.path().read_text("utf-8-sig"), newline=""))]


def copied(screen: Screen, button: Locator) -> list[list[str]]:
    """The cells that a button puts into the clipboard."""
    button.click()
    expect(button).to_have_text("Copied")
    return [line.split("\t") for line in screen.page.evaluate("() => navigator.clipboard.readText()").splitlines()]


# -- plain functions of the page ---------------------------------------------------------------------------------------------


def plainly(bare: Bare, script: str, given: Any = None) -> Any:
    """What a script returns that may call the functions of the widget's module."""
    return bare.page().evaluate(f"given => {{ {_MODULE.replace('export default', 'void')} {script} }}", given)


def test_bits_of_rows_are_those_of_the_kernel(bare: Bare) -> None:
    rng = np.random.default_rng(7)
    flags = [rng.random(length) < 0.4 for length in (0, 1, 7, 8, 9, 64, 65, 20_000)]
    packed, unpacked = plainly(
        bare,
        "return [given.map(([bits]) => pack(bits)), given.map(([bits, text]) => [...unpack(text, bits.length)])];",
        [[each.astype(int).tolist(), pack(each)] for each in flags],
    )
    assert packed == [pack(each) for each in flags]
    assert unpacked == [each.astype(int).tolist() for each in flags]


def test_what_is_pasted_or_saved_of_a_table_is_guarded_as_files_are(bare: Bare) -> None:
    texts = [text for text in PAYLOADS if text.isprintable() or "\n" in text]
    texts += [f"{blank}{sign}1+1" for sign in "=+-@＝" for blank in ("", " ", "'", "\u200b", "a;", "a\t")]
    found = plainly(
        bare,
        "return plainRows({ columns: [{ title: '=a' }], rows: given.map(text => [{ text }]) }).map(([text]) => text);",
        texts,
    )
    assert found == [safe.guard(re.sub(r"[\t\r\n]+", " ", text)) for text in ("=a", *texts)]


def test_rows_are_filtered_counted_and_sorted_as_pandas_does(bare: Bare) -> None:
    rng = np.random.default_rng(7)
    rows, words = 200, np.array(["x", "y", "constructor", None], dtype=object)
    frame = pd.DataFrame({"a": rng.choice(words, rows), "b": rng.choice(words, rows), "n": rng.integers(-9, 9, rows) / 2})
    frame["t"] = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 96, rows), unit="h")
    frame.loc[rng.random(rows) < 0.2, ["n", "t"]] = None
    columns = [Column("a", "a", facet=True), Column("b", "b", facet=True), Column("n", "n", "number"), Column("t", "t", "time")]
    model = RowTable(frame, columns).model()
    model["columns"] = [{name: [*each] if isinstance(each, bytes) else each for name, each in one.items()} for one in model["columns"]]
    shown = frame.fillna({"a": "–", "b": "–"})
    days = [None, ["2026-03-02", None], ["2026-03-02", "2026-03-03"]]
    views = [
        {"facets": {name: [*rng.choice(["x", "y", "–"], count)] for name in ("a", "b") if (count := rng.integers(0, 3))},
         "search": str(rng.choice(["", "constr", "x y"])), "days": days[rng.integers(0, 3)],
         "sort": {"column": str(rng.choice(["a", "n", "t"])), "down": bool(rng.integers(0, 2))}}
        for _ in range(60)
    ]  # fmt: skip
    answers = plainly(
        bare,
        """const [table, views] = given;
        for (const one of table.columns) for (const [name, each] of Object.entries(one)) if (Array.isArray(each) && name !== "values") one[name] = new Uint8Array(each);
        const selection = new Selection(table, {});
        return views.map((view) => { selection.apply(view); return [[...selection.rows], selection.facets.map((facet, at) => Object.fromEntries(facet.values.map((value, code) => [value, selection.counts[at][code]])))]; });""",
        [model, views],
    )
    for view, (found, counts) in zip(views, answers, strict=True):
        left = pd.Series(True, shown.index)
        for word in view["search"].split():
            left &= shown["a"].str.contains(word) | shown["b"].str.contains(word)
        if view["days"]:
            first, last = view["days"]
            left &= frame["t"].dt.strftime("%Y-%m-%d").between(first, last or "9999")
        fit = {name: shown[name].isin(view["facets"].get(name, shown[name])) for name in ("a", "b")}
        by, down = view["sort"]["column"], view["sort"]["down"]
        kept = frame[left & fit["a"] & fit["b"]].sort_values(by, ascending=not down, kind="stable", na_position="last")
        assert found == kept.index.tolist()
        for name, other, count in zip("ab", "ba", counts, strict=True):
            assert count == shown[name][left & fit[other]].value_counts().reindex(list(count), fill_value=0).to_dict()
