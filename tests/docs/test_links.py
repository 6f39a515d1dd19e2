"""Rules that the code cites are in `docs/`, each numbered rule is cited by a test or a table, and links lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import _reference as reference
import pytest

from voxops.engine.answers import CASES as REDUCE
from voxops.engine.rules import FITS as FIT
from voxops.engine.rules import RULES as DECIDE

HERE = Path(__file__).parents[1]
HOME = HERE.parent
DOCS = HOME / "docs"
RULES = DOCS / "explanation" / "exactly-once.md"
API = DOCS / "explanation" / "api.md"
GENERATED = reference.FOLDER  # its pages are made, not read: a build may have left them, or not

RULE = re.compile(r"\b[Rr]ules?((?:(?:,? and|,? or| to|,)? \d+)+)")
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def heading_anchors(path: Path) -> frozenset[str]:
    """The anchors that a forge makes of a page's headings, and those written by hand."""
    text = reference.page(path.name) if path.parent == GENERATED else path.read_text("utf-8")
    made = {reference.anchor(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
    by_hand = re.findall(r'<a id="([^"]+)"|^\((\w+)\)=$', text, re.MULTILINE)
    return frozenset(made | {first or second for first, second in by_hand})


@cache
def rules() -> dict[int, str]:
    """The numbered rules: what each section says."""
    parts = re.split(r"^### Rule (\d+): ", RULES.read_text("utf-8"), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def sources() -> list[Path]:
    return [
        path
        for folder in (HOME / "src", HERE)
        for path in sorted(folder.rglob("*.py"))
        if "__pycache__" not in path.parts and path != Path(__file__)
    ]


def prose(path: Path) -> str:
    """A file's text with comments and docstrings running on over their line ends."""
    return re.sub(r"\s*\n\s*(?:# )?", " ", path.read_text("utf-8"))


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
        for path in sources()
        for said in RULE.findall(prose(path))
        for number in numbers(said) - set(rules())
    ]
    assert not missing, "\n".join(missing)


def test_every_source_of_a_triage_rule_is_in_the_docs():
    from voxops.analysis.triage import RULES

    tags = {rule.source for rule in RULES} - {"observed", "guess", "analyst", "none", "status"}
    assert tags, "no rule names its source"
    assert {tag.lower() for tag in tags} <= heading_anchors(API)


def test_every_rule_is_cited_by_a_test_or_by_a_table():
    tests = {
        int(found) for path in sources() for found in re.findall(r"\bdef test_rule_(\d\d)_", path.read_text("utf-8"))
    }
    tables = {number for row in (*DECIDE, *FIT) for number in numbers(row.numbers)} | {case.rule for case in REDUCE}
    assert tests <= set(rules())
    assert tests | tables == set(rules())


@pytest.mark.parametrize(
    "page",
    [
        *sorted(set(DOCS.rglob("*.md")) - set(GENERATED.glob("*"))),
        *(HOME / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ],
    ids=lambda p: str(p.relative_to(HOME)),
)
def test_links_inside_the_repository_lead_somewhere(page):
    check_links(page, page.read_text("utf-8"))


@pytest.mark.parametrize("name", [name for name in reference.MAKERS if name.endswith(".md")])
def test_links_of_generated_pages_lead_somewhere(name):
    check_links(GENERATED / name, reference.page(name))


def check_links(page, text):
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        made = path.parent == GENERATED and path.name in reference.MAKERS
        assert made or path.exists(), f"{page.name} links to {target}"
        if anchor and path.suffix == ".md":
            assert anchor in heading_anchors(path), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    "page",
    [HOME / "CONTRIBUTING.md", DOCS / "explanation" / "architecture.md", DOCS / "explanation" / "decisions.md"],
    ids=lambda p: p.stem,
)
def test_the_map_names_files_that_are_there(page):
    named = {path for path in re.findall(r"`([\w/]+(?:\.\w+|/))`", page.read_text("utf-8")) if "/" in path}
    assert len(named) > 15
    missing = {path for path in named if not (HOME / path).exists() and not (HOME / "src/voxops" / path).exists()}
    assert not missing


def test_each_make_target_that_a_page_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text("utf-8"), re.MULTILINE))
    pages = [*HOME.glob("*.md"), HERE / "README.md", *DOCS.rglob("*.md"), *HOME.glob(".github/**/*.md")]
    named = {
        name for page in pages for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert named - targets == set()
    assert len(named) > 8
