"""The renderers of a document: every block says the same in HTML and text, and whatever it says is text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.views.payloads import INVISIBLE, PAYLOADS, Reader, assert_only_text

from voxops._support import document, safe
from voxops._support.document import Block
from voxops._support.drawing import shares, to_html, to_text

MARKS = st.text(st.sampled_from("*_[]()<>!`~|#-+=.:;&@\\$/{}^'\" a1\n"), max_size=16)  # what HTML is made of
ANY = st.text(st.characters(exclude_categories=()), max_size=40) | MARKS
WORD = "harmless"  # in place of a payload: what the structure of a block is by itself


def part(text: str, count: int = 3) -> Block:
    return document.part(text, "#009E73", count, "✓", "█")


# Each kind of block with a text in all its places.
BLOCKS: dict[str, Callable[[str], Block]] = {
    "heading": lambda text: document.heading(text, text),
    "lead": document.lead,
    "note": lambda text: document.note(text, bad=True),
    "paragraph": document.paragraph,
    "line": document.line,
    "facts": lambda text: document.facts([(1234, text, "#009E73", "✓"), (0, "none", "", "")]),
    "bar": lambda text: document.bar([part(text), part("none", 0)], text),
    "table": lambda text: document.table(
        [document.column(text, hint=text), document.column("n", right=True)],
        [[document.cell(text, full=f"{text} in full", below=text, bar=[part(text)]), "1"]],
    ),
    "table of lines": lambda text: document.table(
        [document.column(text, width=60), document.column("wraps", wraps=True)],
        [[document.cell(text, colour="#009E73"), document.cell(text, glyph="✓")], [text, "y"]],
    ),
    "list": lambda text: document.listing(text, [(text, text), ("short", "long")]),
    "pairs": lambda text: document.pairs([(text, text), ("name", "")]),
    "chart": lambda text: document.chart(text, [part(text), part("b")], [text, "noon"], [[1, 0], [2, 3]]),
    "fold": lambda text: document.fold(text, [document.line(text)], text),
}
MORE: dict[str, Callable[[str], Block]] = {
    "text": lambda text: document.preformatted(text, f"{text}\n\n  {text}"),
    "code": document.code,
    "link": lambda text: document.link(f"https://x.example/{text}", text) or document.line(text),
    "picture": lambda text: document.picture(f"https://x.example/{text}") or document.line(text),
}
ALL = BLOCKS | MORE


# What each block says at least in every medium; `parts` of a line with " · " may be on two lines.
@pytest.mark.parametrize(("kind", "said"), [
    ("heading", ["a text"]), ("lead", ["a text"]), ("note", ["✗ a text"]), ("paragraph", ["a text"]), ("line", ["a text"]),
    ("facts", ["1,234", "a text"]), ("bar", ["3", "a text"]), ("table", ["a text", "n", "1"]), ("table of lines", ["a text", "wraps", "y"]),
    ("list", ["a text", "long"]), ("pairs", ["a text", "name"]), ("text", ["a text"]), ("code", ["a text"]), ("fold", ["a text"]),
    ("chart", ["a text"]),
])  # fmt: skip
def test_every_block_says_the_same_in_html_and_text(kind: str, said: list[str]) -> None:
    made = [ALL[kind]("a text")]
    html = to_html(made)
    shown = {
        "html": Reader.of(html).text + str([value for name, value in Reader.of(html).attributes if name == "title"]),
        "text": to_text(made),
    }
    for medium, text in shown.items():
        assert all(each in text for each in said), medium
    assert json.loads(json.dumps(made)) == made, "the live widget draws the same"


def test_every_kind_of_block_is_drawn_in_every_medium() -> None:
    from voxops._support import drawing

    kinds = {make("x")["kind"] for make in ALL.values()} | {"figure", "form"}
    for table in (drawing._HTML, drawing._TEXT):
        assert set(table) == kinds


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
@pytest.mark.parametrize("kind", ALL)
def test_a_payload_is_text_in_every_block_and_medium(kind: str, payload: str) -> None:
    made = [ALL[kind](payload)]
    page = assert_only_text(to_html(made)) if kind != "code" else Reader.of(to_html(made))
    plain = safe.plain(payload, 40).removesuffix("…").rstrip()
    assert set(page.tags) <= {*Reader.of(to_html([ALL[kind](WORD)])).tags, "wbr", "span", "div", "details", "summary"}
    if kind != "code":  # which is ours, and copied unchanged
        assert plain.strip() in " ".join(page.text.split()) + str(page.attributes)
        assert not INVISIBLE & set(to_text(made))


@pytest.mark.parametrize("kind", BLOCKS)
@given(text=ANY)
def test_any_text_comes_back_as_text_and_nothing_else(kind: str, text: str) -> None:
    """From HTML as a parser reads it: the block of a harmless word with this text instead."""
    plain = safe.plain(text)
    one, usual = BLOCKS[kind](text), BLOCKS[kind](WORD)
    page, other = Reader.of(to_html([one])), Reader.of(to_html([usual]))
    assert {*page.tags} - {"wbr", "span", "div", "details", "summary"} <= {*other.tags}
    assert {name for name, _ in page.attributes} <= {name for name, _ in other.attributes} | {"style", "title"}
    assert " ".join(plain.split()) in " ".join(page.text.split())


@given(ANY, st.booleans())
def test_a_table_in_text_is_one_line_a_row(text: str, wraps: bool) -> None:
    heads = [document.column(text, wraps=wraps), document.column("n", right=True)]
    lines = to_text([document.table(heads, [[text, "1"], [document.cell(text, below=text), "12345"]])]).split("\n")
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1, "numbers end below each other"
    assert max(map(len, lines)) <= (60 if wraps else 36) + 7


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_a_bar_divides_its_width_by_the_counts_and_shows_whatever_is_there(counts: list[int]) -> None:
    block = document.bar(document.part(f"part {at}", "#009E73", n, mark="abcdef"[at]) for at, n in enumerate(counts))
    drawn = to_html([block]).partition("flex-wrap")[0]
    widths = [float(found) for found in re.findall(r'style="width:([\d.]+)%', drawn)]
    assert len(widths) == sum(count > 0 for count in counts)
    assert not widths or sum(widths) == pytest.approx(100, abs=0.1)
    text = to_text([block])[1:41]
    assert set(text) - {" "} == {"abcdef"[at] for at, count in enumerate(counts) if count}
    assert sum(shares(counts, 40)) == (40 if any(counts) else 0)


def test_what_is_long_is_cut_and_has_its_full_text_beside_it() -> None:
    said = "word " * 60
    cut = document.cell(said, limit=40)
    assert (len(cut["text"]), cut["full"]) == (40, said.strip())
    assert "full" not in document.cell("short")
    lines = to_html([document.table([document.column("a", width=90)], [[said], ["short"]])])
    assert re.search(r"<details[^>]*><summary[^>]*>word[^<]*</summary><div[^>]*>word", lines)
    assert lines.count("<details") == 1, "what has room does not open"
    wraps = to_html([document.table(["a"], [[cut]])])
    assert f'title="{said.strip()}"' in wraps
    assert "nowrap" not in wraps


def test_rows_are_one_line_high_where_a_column_has_a_width_and_none_reaches_into_another() -> None:
    table = document.table([document.column("a", width=60), "b", document.column("c", wraps=True)], [["x", "y", "z"]])
    cells = re.findall(r'<td [^>]*style="([^"]*)"', to_html([table]))
    assert ["white-space:nowrap" in style for style in cells] == [True, True, False]
    assert [re.findall("overflow:hidden", style) for style in cells] == [["overflow:hidden"]] * 2 + [[]]
    assert "min-width:280px" in to_html([table]), "each column without a width has room for some words"
    assert to_html([document.table(["a"], [])]).count("<") == 2, "a table without rows is nothing"


@pytest.mark.parametrize("address", [
    "javascript:alert(1)", "data:text/html,x", "ftp://x.example", "/x", "https://x.example/a b", "https://x.example/\n", "", None,
])  # fmt: skip
def test_an_address_that_is_none_of_the_web_is_no_link(address: object) -> None:
    assert document.link(address, "x") is document.picture(address) is None
    assert "<a " not in to_html([document.table(["a"], [[document.cell("x", address=str(address))]])])


def test_a_link_is_one_in_a_table_alone_and_unchanged_at_any_length() -> None:
    address = f"https://x.example/{'a' * 3000}?a=1&b='2'\""
    (found,) = [
        each
        for each in Reader.of(to_html([document.table(["a"], [[document.cell("x", address=address)]])])).attributes
        if each[0] == "href"
    ]
    assert found == ("href", address)
    for block in (document.link(address, "x"), document.picture(address)):
        assert "<a " not in to_html([block]), "a saved page has no links to other sites"


def test_numbers_of_0_are_left_out_of_facts_and_kept_in_a_bar() -> None:
    facts, bar = BLOCKS["facts"]("text"), BLOCKS["bar"]("text")
    for draw in (to_html, to_text):
        assert "none" not in draw([facts])
        assert "0 none" in draw([bar])
    assert to_text([document.facts([(0, "x", "", "")])]) == ""


def test_a_fold_is_closed_in_html_and_whole_elsewhere() -> None:
    fold = document.fold("More", [document.line("inside"), document.fold("Deeper", [document.line("deep")])])
    assert '<details class="vs-fold" style' in to_html([fold])
    assert [word in to_text([fold]) for word in ("More", "inside", "Deeper", "deep")] == [True] * 4


def test_a_figure_is_drawn_in_html_alone_and_only_then() -> None:
    drawn: list[int] = []
    figure = document.figure("a figure", lambda: drawn.append(1) or safe.html("<svg></svg>"))
    assert to_text([figure]) == ""
    assert not drawn
    assert "<svg></svg>" in to_html([figure])
    form = document.form("mend", "Plan", [("new_content", "New text", "a\x1b[31m\nb")])
    assert (to_html([form]).count("<"), to_text([form])) == (2, ""), "a saved page has nothing to fill in"
    assert form["fields"][0]["value"] == "a\nb"


def test_headings_of_a_page_are_those_of_a_tree() -> None:
    made = [document.heading(f"h{level}", level=level) for level in (1, 2, 3)]
    assert [value for name, value in Reader.of(to_html(made)).attributes if name == "aria-level"] == ["1", "2", "3"]


def test_a_display_is_not_typeset_and_a_megabyte_stays_a_screen() -> None:
    document_ = [make("x" * 1_000_000) for kind, make in ALL.items() if kind not in {"code", "link", "picture"}]
    html = to_html(document_, name="monitor", classes="more")
    assert html.startswith('<div class="voxops-monitor tex2jax_ignore mathjax_ignore more"')
    assert len(html) < 90_000
    assert len(to_text([each for each in document_ if each["kind"] != "text"])) < 20_000
