"""What a display says, as plain data: headings, notes, counts, bars, tables, lists, charts, code.

A block is JSON. The live widget draws it in the page, `static_html` as HTML for saved notebooks, so that both say the same. Text
is made plain here and is text in every drawing; no block holds markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from voxops._core import safe

__all__ = [
    "Block",
    "bar",
    "cell",
    "chart",
    "code",
    "facts",
    "heading",
    "line",
    "link",
    "listing",
    "note",
    "pairs",
    "part",
    "picture",
    "preformatted",
    "table",
]

Block = dict[str, Any]


def heading(text: object, aside: object = "") -> Block:
    """The title of a part; `aside` stands quietly beside it."""
    return {"kind": "heading", "text": safe.plain(text, 120), "aside": safe.plain(aside, 300)}


def note(text: object, *, bad: bool = False, colour: str = "") -> Block:
    """A sentence to the reader."""
    return {"kind": "note", "text": safe.plain(text, 500), "bad": bad, "colour": colour}


def line(text: object) -> Block:
    """A quiet line."""
    return {"kind": "line", "text": safe.plain(text, 400)}


def part(name: object, colour: str, count: float, glyph: str = "") -> Block:
    """One part of a bar, or of its legend."""
    return {"name": safe.plain(name, 60), "colour": colour, "count": count, "glyph": glyph}


def facts(parts: Iterable[tuple[object, object, str, str]]) -> Block:
    """A row of numbers: what is shown, what it counts, its colour and its glyph."""
    shown = [
        {
            "value": value if isinstance(value, str) else safe.number(value),  # type: ignore[arg-type]
            "label": safe.plain(label, 60),
            "colour": colour,
            "glyph": glyph,
        }
        for value, label, colour, glyph in parts
    ]
    return {"kind": "facts", "facts": shown}


def bar(parts: Iterable[Block], aside: object = "") -> Block:
    """A stacked bar with its legend; `aside` stands at the legend's end."""
    return {"kind": "bar", "parts": [each for each in parts if each["count"] > 0], "aside": safe.plain(aside, 120)}


def cell(
    text: object,
    full: object = None,
    *,
    limit: int = 120,
    colour: str = "",
    glyph: str = "",
    below: object = "",
    bar: Sequence[Block] = (),
    width: int = 100,
    strong: bool = False,
) -> Block:
    """One cell of a table that is more than a text.

    Parameters
    ----------
    text, full : object
        What is shown, and what shows on hovering where that is more.
    limit : int
        Characters shown at the most.
    colour, glyph : str
        A swatch and a glyph before the text.
    below : object
        A quiet line beneath it.
    bar : sequence of Block
        A bar beneath it, `width` percent of the cell wide.
    strong : bool
        Whether it stands out.
    """
    shown = safe.plain(text, limit)
    whole = safe.plain(text if full is None else full, 400)
    return {
        "text": shown,
        "full": whole if whole != shown else "",
        "colour": colour,
        "glyph": glyph,
        "below": safe.plain(below, 200),
        "bar": [each for each in bar if each["count"] > 0],
        "width": width,
        "strong": strong,
    }


def table(
    heads: Sequence[object],
    rows: Iterable[Sequence[object]],
    numeric: Iterable[int] = (),
    spare: Iterable[int] = (),
) -> Block:
    """A table; cells are texts, or blocks made by `cell`; `numeric` columns stand right, a narrow page leaves `spare` ones out."""
    return {
        "kind": "table",
        "heads": [safe.plain(head, 60) for head in heads],
        "rows": [[each if isinstance(each, dict) else cell(each) for each in row] for row in rows],
        "numeric": sorted(numeric),
        "spare": sorted(spare),
    }


def listing(title: object, lines: Iterable[tuple[object, object]]) -> Block:
    """A titled list of lines, each as shown and in full."""
    shown = [{"text": safe.plain(text, 200), "full": safe.plain(full, 400)} for text, full in lines]
    return {"kind": "list", "title": safe.plain(title, 60), "lines": shown}


def pairs(rows: Iterable[tuple[object, object]]) -> Block:
    """Names and values of one thing."""
    return {"kind": "pairs", "rows": [[safe.plain(name, 60), safe.plain(value, 1000)] for name, value in rows]}


def preformatted(title: object, text: object, limit: int = 20_000) -> Block:
    """A long text in its own lines, such as a post or the body of an answer."""
    return {"kind": "text", "title": safe.plain(title, 60), "text": safe.clip(safe.printable(text), limit)}


def code(text: str) -> Block:
    """Code to be copied, character by character."""
    return {"kind": "code", "text": text}


def link(address: object, text: str) -> Block | None:
    """A link that opens a window of its own; None where the address is not one of the web."""
    address = str(address)
    web = address.startswith(("https://", "http://")) and address.isprintable() and " " not in address
    return {"kind": "link", "address": address, "text": text} if web else None


def picture(address: object) -> Block | None:
    """A picture from elsewhere, which is loaded only when somebody asks for it; None where there is no address."""
    found = link(address, "Show the picture")
    return None if found is None else {**found, "kind": "picture"}


def chart(title: object, series: Iterable[Block], labels: Sequence[object], counts: Sequence[Sequence[int]]) -> Block:
    """Stacked columns over time: `counts` has one row per label, in the order of `series`."""
    return {
        "kind": "chart",
        "title": safe.plain(title, 120),
        "series": list(series),
        "labels": [safe.plain(label, 40) for label in labels],
        "counts": [list(map(int, row)) for row in counts],
    }
