"""The catalogue of reasons: every code has a sentence, every sentence a use, and grouping reads parameters and never sentences."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from string import Formatter

import pytest

import voxops
from voxops.api.reasons import SENTENCES, Reason, kinds, read_reason

ROOT = Path(voxops.__file__).parent
NAMES = {"READY": "ready"}  # codes that code compares


@cache
def uses() -> list[tuple[str, str, frozenset[str]]]:
    """Where a reason is made, its code, and the names of its parameters."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "Reason" or not node.args:
                continue
            names = frozenset(str(keyword.arg) for keyword in node.keywords)
            if path.name != "reasons.py" and "words" not in names:  # else the API's own code and words
                found += [(f"{path.name}:{node.lineno}", code, names) for code in _codes(node.args[0])]
    return found


def _codes(node: ast.expr) -> list[str]:
    """The codes that an expression may be: each is written out, so that a search finds it."""
    if isinstance(node, ast.IfExp):
        return [*_codes(node.body), *_codes(node.orelse)]
    return [NAMES[node.id]] if isinstance(node, ast.Name) else [str(ast.literal_eval(node))]


def fields(code: str) -> frozenset[str]:
    """The parameters of a sentence."""
    return frozenset(name for _, name, _, _ in Formatter().parse(SENTENCES[code]) if name)


def test_each_code_has_a_sentence_and_no_sentence_is_unused():
    assert {code for _, code, _ in uses()} == set(SENTENCES)


def test_a_sentence_gets_the_parameters_that_it_names():
    wrong = [
        f"{where} {code}: {sorted(names ^ fields(code))}" for where, code, names in uses() if names != fields(code)
    ]
    assert not wrong, "\n".join(wrong)


def test_codes_are_words_and_sentences_are_short_parts_of_a_line():
    for code, said in SENTENCES.items():
        assert code.replace("_", "a").isalpha() and code.islower()
        assert len(said.split()) <= 30, code
        assert not said.endswith("."), code
        assert said.startswith(("{", "Instagram")) or said[0].islower(), code


@pytest.mark.parametrize("text", [
    "text", "[]", "7", '["no_such_code", {}, ""]', '["ready", 7, ""]', '[["ready"], {}, ""]', '["ready", {}]',
    '["tag_form", {}, ""]', '["comment_too_long", {"count": "x", "most": 1}, ""]',
])  # fmt: skip
def test_what_is_no_reason_stays_a_text(text):
    assert str(read_reason(text)) == text
    for why in (Reason("comment_too_long", count=2201, most=2200).at("E7"), Reason("tag_form", value="ü")):
        assert read_reason(why.stored()) == why


def test_reasons_of_one_code_are_one_kind_with_examples_apart():
    times = [Reason("time_without_hour", value=value) for value in ("9 Uhr", "10 Uhr", "11 Uhr")]
    ((said, count),) = kinds((why, 2) for why in times)
    assert said == str(times[0]).replace("'9 Uhr'", "…") + " (for example '9 Uhr' and '10 Uhr')"
    assert count == 6
    long = [Reason("comment_too_long", count=count, most=2200).at(at) for count, at in ((3000, "E2"), (4000, "E9"))]
    ((said, _),) = kinds((why, 1) for why in long)
    assert said.endswith("(for example 3,000 in E2 and 4,000 in E9)")
    bare = Reason("media_required")
    assert kinds([(bare.at("E19"), 1), (bare.at("E54"), 1)]) == [(f"{bare} (for example in E19 and in E54)", 2)]
    assert kinds([(bare.at("E19"), 1)]) == [(f"{bare} (E19)", 1)]


def test_reasons_that_differ_in_more_than_details_are_kinds_of_their_own():
    waits, support = (Reason("not_retryable", verdict=verdict, remedy="") for verdict in ("wait", "ask support"))
    assert [count for _, count in kinds([(waits, 1), (support, 2), (waits, 3)])] == [4, 2]
    assert kinds([("a …", 1), ("a 'b'", 2), ("a …", 3)]) == [("a …", 4), ("a 'b'", 2)], "texts without a code"
