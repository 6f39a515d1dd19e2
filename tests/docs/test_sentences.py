"""Sentences that people read have at most 30 words: those of pages, notebooks and tables of texts. Code and quotations are one word each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from voxops.analysis.triage import RULES
from voxops.api.reasons import SENTENCES
from voxops.frames.registry import COLUMNS

HOME = Path(__file__).parents[2]
MOST = 30
MARKDOWN = MarkdownIt("commonmark").enable("table")
ONE_WORD = re.compile(r'"[^"]*"|“[^”]*”|`[^`]*`|\{[^}]*\}')
END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)[.!?…][*_)\]]*\s+")


def too_long(text: str) -> list[str]:
    """The sentences of a paragraph that have too many words."""
    sentences = END.split(ONE_WORD.sub("code", text))
    return [sentence for sentence in sentences if len(re.findall(r"[^\s—–/]*\w[^\s—–/]*", sentence)) > MOST]


def paragraphs(page: str) -> Iterator[str]:
    """Each heading, paragraph, item and cell of a page; a line that begins with a colon defines the term above it."""
    page = re.sub(r"\A---\n.*?^---$", "", page, flags=re.DOTALL | re.MULTILINE)
    for token in MARKDOWN.parse(re.sub(r"^(:::|%).*$", "", page, flags=re.MULTILINE)):
        if token.type == "inline":
            parts = ["`code`" if part.type == "code_inline" else part.content or " " for part in token.children or ()]
            yield from "".join(parts).split(" : ")


def texts() -> dict[str, list[str]]:
    """All that is read, by where it is."""
    pages = [*HOME.glob("*.md"), *HOME.glob("docs/**/*.md"), HOME / "notebooks/README.md", HOME / "tests/README.md"]
    found = {
        str(page.relative_to(HOME)): list(paragraphs(page.read_text("utf-8")))
        for page in pages if page.parent.name != "generated"
    }  # fmt: skip
    for notebook in HOME.glob("notebooks/*.ipynb"):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        found[notebook.name] = [text for page in prose for text in paragraphs(page)]
    return found | {
        "reasons": list(SENTENCES.values()),
        "columns": [column.meaning for column in COLUMNS.values()],
        "remedies": [rule.remedy for rule in RULES],
    }


@pytest.mark.parametrize("where", texts())
def test_sentences_are_short(where):
    assert [sentence for text in texts()[where] for sentence in too_long(text)] == []


def test_a_long_sentence_is_found_in_each_kind_of_block():
    long = "word " * MOST
    for page in (f"Short. {long} end.", f"# {long} end", f"- short\n- {long} end", f"| {long} end |\n|---|\n| short |"):
        assert len([sentence for text in paragraphs(page) for sentence in too_long(text)]) == 1
    assert too_long(f'"{long} end." `{long} end` e.g. {long[:75]}. {long[:75]}') == []
