"""Sentences that people read are plain and have at most 30 words: in pages, notebooks and tables of texts. Code and quotations are one word.

Comments, docstrings and messages keep to the same phrases.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache

import pytest
from markdown_it import MarkdownIt
from tests.docs import HOME, WRITTEN

from voxops.analysis.triage import RULES
from voxops.api.reasons import SENTENCES
from voxops.frames.registry import COLUMNS

MOST = 30
MARKDOWN = MarkdownIt("commonmark").enable("table")
ONE_WORD = re.compile(r'"[^"]*"|“[^”]*”|`[^`]*`|\{[^}]*\}')
CURES = tomllib.loads((HOME / "docs/reference/cures.toml").read_text("utf-8"))
END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)[.!?…][*_)\]]*\s+")


# Phrases that sound translated, each with what a native writer would say.
PLAIN = {
    r", since (?!then|REAL)": "because",
    r"\b(is|are) there (twice|already)\b": "appears twice, exists already",
    r"\bpassing (reason|failure|fault|error)": "temporary",
    r"\bno reading shows": "the API does not return",
    r"\b(what(ever)?|see what) (has )?bec[ao]mes? of\b": "the outcome of",
    r"\bby itself\b": "separately, automatically",
    r"\bat once\b": "immediately, together",
    r"\bfor ever\b": "permanently, permanent",
    r"\bby which attempt\b|\bhow often it was tried\b": "attempts",
    r"\b(saved?|plan(s|ned)?|written) anew\b": "again",
    r"(?<!there )\bis no (id|text|time|address|https)\b": "is not a",
    r"\b(of nobody|nobody's|nobody knows|by now|meanwhile)\b": "unmarked, unknown, or nothing",
    r"\bknown to fail\b": "will fail",
    r"\bworth a look\b": "look at",
    r"\b(goes|go) by (itself|themselves)\b": "is sent separately",
    r"(?:^|[.;] )(?:Of|Whoever) \w": "begin with the subject",
}


def translated(text: str) -> list[str]:
    """The phrases of a paragraph that sound translated, with what to say instead."""
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


@cache
def texts() -> dict[str, list[str]]:
    """All that is read, by where it is."""
    pages = [*HOME.glob("*.md"), *WRITTEN, HOME / "notebooks/README.md", HOME / "tests/README.md"]
    read = {str(page.relative_to(HOME)): page.read_text("utf-8") for page in pages}
    for notebook in HOME.glob("notebooks/*.ipynb"):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        read[notebook.name] = "\n\n".join(prose)
    return {where: list(paragraphs(page)) for where, page in read.items()} | {
        "reasons": list(SENTENCES.values()),
        "columns": [column.meaning for column in COLUMNS.values()],
        "remedies": [rule.remedy for rule in RULES],
        "what to do": [cure for group in CURES.values() for cure in group.get("cures", {}).values()],
    }


@pytest.mark.parametrize("where", texts())
def test_sentences_are_short_and_plain(where):
    assert [found for text in texts()[where] for found in too_long(text) + translated(text)] == []


SOURCES = sorted((HOME / "src/voxops").rglob("*.py"))


def prose_of(source: str) -> Iterator[str]:
    """The comments of a module, and its strings: docstrings, messages and the sentences of its tables."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.lstrip("#: ")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(HOME / "src/voxops")))
def test_comments_docstrings_and_messages_are_plain(path):
    assert [phrase for text in prose_of(path.read_text("utf-8")) for phrase in translated(text)] == []


def test_a_phrase_is_found_in_each_place_of_a_module():
    module = '"""It ends by itself."""\n\nraise ValueError(f"{1} is there twice")  # all at once\n'
    assert len([phrase for text in prose_of(module) for phrase in translated(text)]) == 3


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
