"""Rules that the code cites are in `docs/`, each numbered rule is cited by a test or a table, and links lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import _reference as reference
import pytest
from tests.docs import DOCS, HOME, WRITTEN

from voxops.analysis.triage import RULES as TRIAGE
from voxops.engine.answers import CASES as REDUCE
from voxops.engine.rules import FITS as FIT
from voxops.engine.rules import RULES as DECIDE

RULES = DOCS / "explanation" / "exactly-once.md"
API = DOCS / "explanation" / "api.md"
GENERATED = reference.FOLDER  # its pages are made, not read: a build may have left them, or not

RULE = re.compile(r"\b[Rr]ules?((?:(?:,? and|,? or| to|,)? \d+)+)")
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def text_of(page: Path) -> str:
    return reference.page(page.name) if page.parent == GENERATED else page.read_text("utf-8")


@cache
def heading_anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings, and those written by hand."""
    text = text_of(page)
    made = {reference.anchor(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
    by_hand = re.findall(r'<a id="([^"]+)"|^\((\w+)\)=$', text, re.MULTILINE)
    return made | {first or second for first, second in by_hand}


@cache
def rules() -> dict[int, str]:
    """The numbered rules: what each section says."""
    parts = re.split(r"^### Rule (\d+): ", RULES.read_text("utf-8"), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def sources() -> dict[Path, str]:
    """The text of each file of code, with comments and docstrings running on over their line ends."""
    files = [*(HOME / "src").rglob("*.py"), *(HOME / "tests").rglob("*.py")]
    return {path: re.sub(r"\s*\n\s*(?:# )?", " ", path.read_text("utf-8")) for path in files if path != Path(__file__)}


def numbers(said: str) -> set[int]:
    """``" 11 to 14 and 17"`` as the rules it names."""
    found = {int(each) for each in re.findall(r"\d+", said)}
    for first, last in re.findall(r"(\d+) to (\d+)", said):
        found |= set(range(int(first), int(last) + 1))
    return found


def test_the_rules_are_numbered_without_a_gap():
    assert list(rules()) == list(range(1, len(rules()) + 1))


def test_every_cited_rule_is_in_the_docs():
    missing = [
        f"{path.relative_to(HOME)}: rule {number}"
        for path, text in sources().items()
        for said in RULE.findall(text)
        for number in numbers(said) - set(rules())
    ]
    assert not missing, "\n".join(missing)


def test_every_source_of_a_triage_rule_is_in_the_docs():
    tags = {rule.source for rule in TRIAGE} - {"observed", "guess", "analyst", "none", "status"}
    assert tags, "no rule names its source"
    assert {tag.lower() for tag in tags} <= heading_anchors(API)


def test_every_rule_is_cited_by_a_test_or_by_a_table():
    tests = {int(found) for text in sources().values() for found in re.findall(r"\bdef test_rule_(\d\d)_", text)}
    tables = {number for row in (*DECIDE, *FIT) for number in numbers(row.numbers)} | {case.rule for case in REDUCE}
    assert tests <= set(rules())
    assert tests | tables == set(rules())


MADE = [GENERATED / name for name in reference.MAKERS]
PAGES = [
    *WRITTEN,
    *(page for page in MADE if page.suffix == ".md"),
    *(HOME / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))
def test_links_inside_the_repository_lead_somewhere(page):
    for target in LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path in MADE or path.exists(), target
        assert not anchor or path.suffix != ".md" or anchor in heading_anchors(path), target


MAPS = [HOME / "CONTRIBUTING.md", *(DOCS / "explanation" / f"{name}.md" for name in ("architecture", "decisions"))]


@pytest.mark.parametrize("page", MAPS, ids=lambda page: page.stem)
def test_the_map_names_files_that_are_there(page):
    named = {path for path in re.findall(r"`([\w/]+(?:\.\w+|/))`", page.read_text("utf-8")) if "/" in path}
    assert len(named) > 15
    missing = {path for path in named if not (HOME / path).exists() and not (HOME / "src/voxops" / path).exists()}
    assert not missing


def test_each_make_target_that_a_page_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text("utf-8"), re.MULTILINE))
    pages = [*HOME.glob("*.md"), HOME / "tests/README.md", *DOCS.rglob("*.md"), *HOME.glob(".github/**/*.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert named - targets == set()
    assert len(named) > 8
