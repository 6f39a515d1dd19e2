"""The pages that explain agree with what they explain: the packages with the imports, the promise with the README."""

from __future__ import annotations

import re

import pytest
from tests import architecture_doc
from tests.docs.test_links import DOCS, HOME
from tests.test_architecture import ROOT, modules, room

PAGE = DOCS / "explanation" / "architecture.md"


def test_the_picture_of_the_packages_is_what_the_files_import():
    assert set(architecture_doc.PLACES) == {room(path) for path in modules() if not room(path).startswith("__")}
    assert architecture_doc.FILE.read_text("utf-8") == architecture_doc.drawn(), "python -m tests.architecture_doc"


@pytest.mark.parametrize(("package", "more"), [("api", "client"), ("acts", "ledger"), ("analysis", "sheets")])
def test_an_import_that_turns_around_has_no_picture(package, more, monkeypatch):
    imported = architecture_doc.imported()
    monkeypatch.setattr(architecture_doc, "reached", lambda _: frozenset())
    monkeypatch.setattr(architecture_doc, "imported", lambda: imported | {package: imported[package] | {more}})
    with pytest.raises(AssertionError, match=f"{package} imports {more}, which does not stand above it"):
        architecture_doc.drawn()


def _first_cells(head: str) -> list[str]:
    """The names in the first column of the page's table that begins so."""
    table = PAGE.read_text("utf-8").partition(head)[2].partition("\n\n")[0]
    return [name for row in table.splitlines() for name in re.findall(r"`([\w/.]+)`", row.split("|")[1])]


def test_the_table_of_packages_has_each_in_the_order_of_their_flow():
    named = [name.strip("/").removesuffix(".py") for name in _first_cells("| package | what it holds |\n")]
    assert named == list(architecture_doc.PACKAGES)


def test_the_tables_of_ledger_and_engine_have_each_file():
    text = PAGE.read_text("utf-8")
    for package in ("engine", "ledger"):
        files = {f"{package}/{path.name}" for path in (ROOT / package).glob("*.py")} - {f"{package}/__init__.py"}
        assert files - set(re.findall(r"`([\w/.]+)`", text)) == set()


def test_the_table_of_the_promise_is_the_readme_s():
    """Both are read by people who compare them."""
    tables = [
        re.search(r"^\| situation \| posted twice \| lost \|\n(?:\|.*\n)+", page.read_text("utf-8"), re.MULTILINE)
        for page in (HOME / "README.md", DOCS / "explanation" / "promise.md")
    ]
    assert all(tables), "one of the pages has no table of the promise"
    assert tables[0].group() == tables[1].group()
