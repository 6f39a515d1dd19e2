"""Sentences that people read are plain and have at most 30 words: in pages, notebooks and tables of texts. Code and quotations are one word."""

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


# Phrases that sound translated, each with what a native writer would say.
PLAIN = {
    r", since (?!then)": "because",
    r"\b(is|are) there (twice|already)\b": "appears twice, exists already",
    r"\bpassing (reason|failure|fault|error)": "temporary",
    r"\bno reading shows": "the API does not return",
    r"\b(what(ever)?|see what) (has )?bec[ao]mes? of\b": "the outcome of",
    r"\bby itself\b": "separately, automatically",
    r"\bat once\b": "immediately, together",
    r"\bnames? .{1,20} for ever\b": "the permanent id",
    r"\b(of nobody|nobody's|nobody knows|by now|meanwhile)\b": "unmarked, unknown, or nothing",
    r"\bknown to fail\b": "will fail",
    r"\bworth a look\b": "look at",
    r"\b(goes|go) by (itself|themselves)\b": "is sent separately",
    r"(?:^|[.;] )(?:Of|Whoever) \w": "begin with the subject",
}


def translated(text: str) -> list[str]:
    """Return the phrases of a paragraph that sound translated, with what to say instead."""
    text = ONE_WORD.sub("code", text)
    return [f"{found[0].strip()!r}: {say}" for pattern, say in PLAIN.items() for found in re.finditer(pattern, text)]


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


@pytest.mark.parametrize("where", [where for where in texts() if where.endswith(".md") and where != "CHANGELOG.md"])
def test_sentences_are_plain(where):
    written, _, _ = (HOME / where).read_text("utf-8").partition("<!-- generated")
    assert [phrase for text in paragraphs(written) for phrase in translated(text)] == []


@pytest.mark.parametrize(
    "sentence",
    ["Row 3 is there twice.", "Read it, since it moved.", "It ends by itself.", "Rows go. Of these, two fail."],
)
def test_a_translated_phrase_is_found(sentence):
    assert len(translated(sentence)) == 1
    assert translated(f"`{sentence}`") == []


def test_a_long_sentence_is_found_in_each_kind_of_block():
    long = "word " * MOST
    for page in (f"Short. {long} end.", f"# {long} end", f"- short\n- {long} end", f"| {long} end |\n|---|\n| short |"):
        assert len([sentence for text in paragraphs(page) for sentence in too_long(text)]) == 1
    assert too_long(f'"{long} end." `{long} end` e.g. {long[:75]}. {long[:75]}') == []
