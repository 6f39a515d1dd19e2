"""A document: the content of a display as plain data, which `voxops._support.drawing` draws as HTML and text.

A document is a sequence of blocks, and a block is JSON, so that the live widget draws the same. Text is cleaned here and always drawn
as text; no block contains markup. What is long is cut here and has its full text beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from voxops._support import safe
from voxops._support.safe import number, plain

Block = dict[str, Any]
Document = Sequence[Block]


def heading(text: object, aside: object = "", level: int = 3) -> Block:
    """The title of a part, with `aside` in paler text beside it; `level` 1 heads a page, 2 a section, 3 a part of a display."""
    return {"kind": "heading", "text": plain(text, 120), "aside": plain(aside, 300), "level": level}


def lead(text: object) -> Block:
    """The sentence that says it all."""
    return {"kind": "lead", "text": plain(text, 600)}


def note(text: object, *, bad: bool = False, colour: str = "") -> Block:
    """A sentence to the reader."""
    return {"kind": "note", "text": plain(text, 500), "bad": bad, "colour": colour}


def paragraph(text: object) -> Block:
    """A few sentences."""
    return {"kind": "paragraph", "text": plain(text, 1000)}


def line(text: object) -> Block:
    """A line in paler text."""
    return {"kind": "line", "text": plain(text, 400)}


def part(name: object, colour: str, count: float, glyph: str = "", mark: str = "█") -> Block:
    """One part of a bar, or of its legend; `mark` draws it in text."""
    return {"name": plain(name, 60), "colour": colour, "count": count, "glyph": glyph, "mark": mark}


def facts(parts: Iterable[tuple[object, object, str, str]], *, picks: str = "") -> Block:
    """A row of numbers, each with its label, colour and glyph; those that are 0 are left out.

    `picks` is the facet of a panel of which the labels are values: a click on a number shows its rows.
    """
    shown = [
        {
            "value": value if isinstance(value, str) else number(value),  # type: ignore[arg-type]
            "label": plain(label, 60),
            "colour": colour,
            "glyph": glyph,
        }
        for value, label, colour, glyph in parts
        if value != 0
    ]
    return {"kind": "facts", "facts": shown, "picks": picks}


def bar(parts: Iterable[Block], aside: object = "") -> Block:
    """A stacked bar with its legend, and `aside` at the legend's end; its legend has all parts, also those of 0."""
    return {"kind": "bar", "parts": list(parts), "aside": plain(aside, 120)}


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
    address: str = "",
    picks: str = "",
) -> Block:
    """A table cell with more than a text.

    Parameters
    ----------
    text, full : object
        The text, and a longer one, which is shown where the cell is opened.
    limit : int
        Most characters shown.
    colour, glyph : str
        A swatch and a glyph before the text.
    below : object
        A line in paler text below it.
    bar : sequence of Block
        A bar below it, `width` percent of the cell wide.
    strong : bool
        Whether the text is bold.
    address : str
        Where a link goes; only an address of the web.
    picks : str
        The facet of a panel of which the text is a value: a click on it shows its rows.
    """
    shown = plain(text, limit)
    whole = plain(text if full is None else full, 1000)
    said = {
        "full": whole if whole != shown else "",
        "colour": colour,
        "glyph": glyph,
        "below": plain(below, 200),
        "bar": [each for each in bar if each["count"] > 0],
        "strong": strong,
        "address": address if _is_web(address) else "",
        "picks": picks,
    }
    return {
        "text": shown,
        **({"width": width} if said["bar"] else {}),
        **{key: value for key, value in said.items() if value},
    }


def column(
    title: object,
    *,
    right: bool = False,
    width: int = 0,
    wraps: bool = False,
    hint: object = "",
) -> Block:
    """The head of a table's column.

    Parameters
    ----------
    title, hint : object
        The head, and what the column means.
    right : bool
        Whether it is aligned right, as numbers are.
    width : int
        Its width in pixels; where one column of a table has a width, each row is one line high, and the others share what is left.
    wraps : bool
        Whether its texts take several lines all the same.
    """
    return {
        "title": plain(title, 60),
        "right": right,
        "width": width,
        "wraps": wraps,
        "hint": plain(hint, 300),
    }


def table(columns: Iterable[object], rows: Iterable[Sequence[object]]) -> Block:
    """A table; columns are titles, or from `column`; cells are texts, or from `cell`."""
    heads = [each if isinstance(each, dict) else column(each) for each in columns]
    lines = [[each if isinstance(each, dict) else cell(each) for each in row] for row in rows]
    return {"kind": "table", "columns": heads, "rows": lines}


def counted(title: object, *more: object) -> list[Block]:
    """Heads of a table whose first column is text and whose others are numbers."""
    return [column(title), *(column(each, right=True) for each in more)]


def listing(title: object, lines: Iterable[tuple[object, object]]) -> Block:
    """A titled list of lines, each short and in full."""
    shown = [{"text": plain(text, 200), "full": plain(full, 600)} for text, full in lines]
    return {"kind": "list", "title": plain(title, 60), "lines": shown}


def pairs(rows: Iterable[tuple[object, object]]) -> Block:
    """A list of names and values."""
    return {"kind": "pairs", "rows": [[plain(name, 60), plain(value, 1000)] for name, value in rows]}


def preformatted(title: object, text: object) -> Block:
    """A long text with its line breaks, such as a post or the body of a response."""
    return {"kind": "text", "title": plain(title, 60), "text": safe.clip(safe.printable(text), 20_000)}


def code(text: str) -> Block:
    """Code, unchanged so that it can be copied."""
    return {"kind": "code", "text": text}


def link(address: object, text: str) -> Block | None:
    """A link that opens a new window; None if it is no address of the web."""
    return {"kind": "link", "address": str(address), "text": text} if _is_web(address) else None


def picture(address: object) -> Block | None:
    """A picture from elsewhere, loaded only on request; None if there is no address."""
    found = link(address, "Show the picture")
    return None if found is None else {**found, "kind": "picture"}


def form(do: str, label: str, fields: Iterable[tuple[str, str, object]]) -> Block:
    """Fields to fill in, each with its name, its label and its present text, and the button that sends them; drawn in the page only."""
    shown = [{"name": name, "label": label, "value": safe.printable(value)} for name, label, value in fields]
    return {"kind": "form", "do": do, "label": label, "fields": shown}


def chart(title: object, series: Iterable[Block], labels: Sequence[object], counts: Sequence[Sequence[int]]) -> Block:
    """Stacked columns over time: `counts` has one row per label, in the order of `series`."""
    return {
        "kind": "chart",
        "title": plain(title, 120),
        "series": list(series),
        "labels": [plain(label, 40) for label in labels],
        "counts": [list(map(int, row)) for row in counts],
    }


def fold(title: object, blocks: Document, aside: object = "") -> Block:
    """A section that is closed until somebody opens it; text shows it whole."""
    return {"kind": "fold", "title": plain(title, 120), "aside": plain(aside, 120), "blocks": list(blocks)}


def figure(caption: object, draw: Callable[[], Any]) -> Block:
    """A figure of a report: `draw` returns SVG. It is drawn in HTML only, and never sent to a page."""
    return {"kind": "figure", "caption": plain(caption, 120), "draw": draw}


def _is_web(address: object) -> bool:
    address = str(address)
    return address.startswith(("https://", "http://")) and address.isprintable() and " " not in address
