"""The content of displays as plain data: headings, notes, counts, bars, tables, lists, charts, code.

A block is JSON. The live widget draws it in the page, `static_html` as HTML for saved notebooks, so that both have the same content.
Text is cleaned here and always drawn as text; no block contains markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from voxops._support import safe
from voxops._support.safe import escape, html, joined, number, plain

Block = dict[str, Any]


def heading(text: object, aside: object = "") -> Block:
    """The title of a part, with `aside` in paler text beside it."""
    return {"kind": "heading", "text": plain(text, 120), "aside": plain(aside, 300)}


def note(text: object, *, bad: bool = False, colour: str = "") -> Block:
    """A sentence to the reader."""
    return {"kind": "note", "text": plain(text, 500), "bad": bad, "colour": colour}


def line(text: object) -> Block:
    """A line in paler text."""
    return {"kind": "line", "text": plain(text, 400)}


def part(name: object, colour: str, count: float, glyph: str = "") -> Block:
    """One part of a bar, or of its legend."""
    return {"name": plain(name, 60), "colour": colour, "count": count, "glyph": glyph}


def facts(parts: Iterable[tuple[object, object, str, str]]) -> Block:
    """A row of numbers, each with its label, colour and glyph."""
    shown = [
        {
            "value": value if isinstance(value, str) else number(value),  # type: ignore[arg-type]
            "label": plain(label, 60),
            "colour": colour,
            "glyph": glyph,
        }
        for value, label, colour, glyph in parts
    ]
    return {"kind": "facts", "facts": shown}


def bar(parts: Iterable[Block], aside: object = "") -> Block:
    """A stacked bar with its legend, and `aside` at the legend's end."""
    return {"kind": "bar", "parts": [each for each in parts if each["count"] > 0], "aside": plain(aside, 120)}


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
    """A table cell with more than a text.

    Parameters
    ----------
    text, full : object
        The text, and a longer one for hovering.
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
    """
    shown = plain(text, limit)
    whole = plain(text if full is None else full, 400)
    return {
        "text": shown,
        "full": whole if whole != shown else "",
        "colour": colour,
        "glyph": glyph,
        "below": plain(below, 200),
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
    """A table of texts, or blocks from `cell`; `numeric` columns are aligned right, a narrow page omits `spare` ones."""
    return {
        "kind": "table",
        "heads": [plain(head, 60) for head in heads],
        "rows": [[each if isinstance(each, dict) else cell(each) for each in row] for row in rows],
        "numeric": sorted(numeric),
        "spare": sorted(spare),
    }


def listing(title: object, lines: Iterable[tuple[object, object]]) -> Block:
    """A titled list of lines, each short and in full."""
    shown = [{"text": plain(text, 200), "full": plain(full, 400)} for text, full in lines]
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
    address = str(address)
    web = address.startswith(("https://", "http://")) and address.isprintable() and " " not in address
    return {"kind": "link", "address": address, "text": text} if web else None


def picture(address: object) -> Block | None:
    """A picture from elsewhere, loaded only on request; None if there is no address."""
    found = link(address, "Show the picture")
    return None if found is None else {**found, "kind": "picture"}


def chart(title: object, series: Iterable[Block], labels: Sequence[object], counts: Sequence[Sequence[int]]) -> Block:
    """Stacked columns over time: `counts` has one row per label, in the order of `series`."""
    return {
        "kind": "chart",
        "title": plain(title, 120),
        "series": list(series),
        "labels": [plain(label, 40) for label in labels],
        "counts": [list(map(int, row)) for row in counts],
    }


_QUIET = "opacity:.75"
_PLACE = "max-width:900px;color:inherit;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums;unicode-bidi:isolate"
_SHORT = 16  # most characters of a shortened id, which is not broken over lines
_WORD = 10  # most characters of a word with a hyphen that is not broken either, such as SP26-001
_LONG = 24  # a longer text gets room for some words a line, and scrolls if there is none
_HEIGHT = 120  # pixels of a chart


def draw_blocks(blocks: Iterable[Block]) -> Markup:
    """Return blocks as HTML, for a part of a display."""
    return joined(_DRAW[block["kind"]](block) for block in blocks)


def static_html(blocks: Iterable[Block] | Markup, *, name: str = "display", classes: str = "") -> Markup:
    """Return blocks as one display.

    Parameters
    ----------
    blocks : iterable of Block, or Markup
        From the functions of ``voxops._support.blocks``, or drawn by `draw_blocks`.
    name : str
        The kind of display: ends the class ``voxops-…``.
    classes : str
        Further classes.
    """
    return html(
        '<div class="voxops-{} {} {}" style="{}">{}</div>',
        name,
        safe.IGNORE_MATH,
        classes,
        _PLACE,
        blocks if isinstance(blocks, Markup) else draw_blocks(blocks),
    )


def _heading(block: Block) -> Markup:
    aside = html('<span style="{}">{}</span>', _QUIET, escape(block["aside"], 300)) if block["aside"] else ""
    return html(
        '<div style="display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline;margin:14px 0 6px;padding-bottom:2px;'
        'border-bottom:1px solid {}"><b style="font-size:14px">{}</b>{}</div>',
        safe.LINE,
        block["text"],
        aside,
    )


def _note(block: Block) -> Markup:
    style = "margin:8px 0;padding:4px 10px;overflow-wrap:anywhere;border-left:4px solid"
    glyph = "✗ " if block["bad"] else ""
    return html('<div style="{} {}">{}{}</div>', style, block["colour"], glyph, escape(block["text"], 500))


def _line(block: Block) -> Markup:
    return html('<div style="{}">{}</div>', _QUIET, escape(block["text"], 400))


def _facts(block: Block) -> Markup:
    boxes = joined(
        html(
            '<div style="min-width:86px;padding:4px 12px;border:1px solid {};border-left:5px solid {};border-radius:5px">'
            '<b style="display:block;font-size:20px;line-height:1.25">{}</b><span style="{}">{} {}</span></div>',
            safe.LINE,
            fact["colour"],
            fact["value"],
            _QUIET,
            fact["glyph"],
            fact["label"],
        )
        for fact in block["facts"]
    )
    return html('<div style="display:flex;flex-wrap:wrap;gap:8px;margin:6px 0">{}</div>', boxes)


def _stacked(parts: Sequence[Block], height: str = "12px") -> Markup:
    """Return parts side by side, separated by a gap as well as by colour, each with a tooltip."""
    total = sum(part["count"] for part in parts)
    pieces = joined(
        html(
            '<div title="{}: {}" style="width:{}%;min-width:3px;height:{};background-color:{};'
            'border-right:1px solid transparent;background-clip:padding-box"></div>',
            part["name"],
            number(part["count"]),
            f"{100 * part['count'] / total:.2f}",
            height,
            part["colour"],
        )
        for part in parts
    )
    return html(
        '<div style="display:flex;width:100%;height:{};background-color:{};border-radius:3px;overflow:hidden">{}</div>',
        height,
        safe.LINE,
        pieces,
    )


def _bar(block: Block) -> Markup:
    parts = block["parts"]
    legend = joined(
        html("<span>{} {} {} {}</span>", _swatch(part["colour"]), part["glyph"], number(part["count"]), part["name"])
        for part in parts
    )
    return html(
        '<div style="margin:6px 0 4px">{}</div><div style="display:flex;flex-wrap:wrap;gap:2px 16px">{}'
        '<span style="margin-left:auto">{}</span></div>',
        _stacked(parts),
        legend if parts else "no rows",
        block["aside"],
    )


def _swatch(colour: str) -> Markup:
    style = "display:inline-block;width:10px;height:10px;border-radius:2px;background-color:"
    return html('<span style="{}{}"></span>', style, colour) if colour else Markup()


def _cell(cell: Block) -> Markup:
    """Return one cell: the text with its longer form on hovering, a bar and a paler line below."""
    short = bool(cell["full"]) and len(cell["text"]) <= _SHORT
    text = escape(cell["text"]) if short else safe.parted(cell["text"], 200)
    if cell["full"]:
        wrap = "white-space:nowrap" if short else "overflow-wrap:anywhere"
        text = html('<span style="{}" title="{}">{}</span>', wrap, escape(cell["full"], 400), text)
    elif "-" in cell["text"] and " " not in cell["text"] and len(cell["text"]) <= _WORD:
        text = html('<span style="white-space:nowrap">{}</span>', escape(cell["text"]))
    if len(cell["text"]) > _LONG:
        text = html('<div style="min-width:9em">{}</div>', text)
    if cell["strong"]:
        text = html("<b>{}</b>", text)
    if cell["colour"] or cell["glyph"]:
        text = html(
            '<span style="white-space:nowrap">{} {} {}</span>', _swatch(cell["colour"]), cell["glyph"], cell["text"]
        )
    if cell["bar"]:
        text = html(
            '{}<div style="width:{}%;min-width:3px;padding:2px 0 5px">{}</div>',
            text,
            cell["width"],
            _stacked(cell["bar"], "7px"),
        )
    if cell["below"]:
        text = html('{}<div style="{}">{}</div>', text, _QUIET, escape(cell["below"], 200))
    return text


def _table(block: Block) -> Markup:
    if not block["rows"]:
        return Markup()
    rows = [[_cell(cell) for cell in row] for row in block["rows"]]
    drawn = safe.table(block["heads"], rows, numeric=frozenset(block["numeric"]))
    return html('<div style="margin-top:8px;{}">{}</div>', safe.SIDEWAYS, drawn)


def _list(block: Block) -> Markup:
    # The grid lets a line shrink in a table, which unwrapped text would stretch.
    items = joined(
        html(
            '<div style="display:grid;grid-template-columns:minmax(0,1fr);"><div style="overflow:hidden;text-overflow:ellipsis;'
            'white-space:nowrap" title="{}">{}</div></div>',
            escape(line["full"], 400),
            line["text"],
        )
        for line in block["lines"]
    )
    return html('<div style="margin-top:8px"><div style="font-weight:600">{}</div>{}</div>', block["title"], items)


def _pairs(block: Block) -> Markup:
    rows = [
        [html('<span style="{}">{}</span>', _QUIET, name), html('<div style="overflow-wrap:anywhere">{}</div>', value)]
        for name, value in ((name, escape(value, 1000)) for name, value in block["rows"])
    ]
    return safe.table(("", ""), rows)


def _pre(text: str) -> Markup:
    style = (
        f"margin:4px 0;padding:8px 12px;border:1px solid {safe.LINE};border-radius:5px;white-space:pre-wrap;"
        "overflow-wrap:anywhere;word-break:normal;max-height:300px;overflow:auto;font-size:12px;line-height:1.45;color:inherit;background:none"
    )
    return html('<pre style="{}">{}</pre>', style, Markup.escape(text))


def _text(block: Block) -> Markup:
    return html('<div style="font-weight:600">{}</div>{}', block["title"], _pre(block["text"]))


def _link(block: Block) -> Markup:
    """Return an address as text: a saved page has no links to other sites."""
    return html('<div style="overflow-wrap:anywhere">{}</div>', escape(block["address"], 400))


def _chart(block: Block) -> Markup:
    counts, series = block["counts"], block["series"]
    highest = max(1, *(sum(row) for row in counts)) if counts else 1
    columns = joined(_column(row, series, label, highest) for label, row in zip(block["labels"], counts, strict=True))
    labels = block["labels"]
    ends = [labels[0], labels[len(labels) // 2], labels[-1]] if len(labels) > 2 else labels
    legend = joined(html("<span>{} {} {}</span> ", _swatch(one["colour"]), one["glyph"], one["name"]) for one in series)
    return html(
        '<div style="margin-top:8px"><div>{}, at most {}</div><div style="display:flex;align-items:flex-end;gap:1px;height:{}px;'
        'border-bottom:2px solid {}">{}</div><div style="display:flex;justify-content:space-between;font-size:11px;{}">{}</div>'
        '<div style="display:flex;flex-wrap:wrap;gap:2px 14px;{}">{}</div></div>',
        block["title"],
        number(highest),
        _HEIGHT,
        safe.LINE,
        columns,
        _QUIET,
        joined(html("<span>{}</span>", label) for label in ends),
        _QUIET,
        legend,
    )


def _column(row: Sequence[int], series: Sequence[Block], label: str, highest: int) -> Markup:
    """Return one column of a chart, its parts from the bottom up."""
    said = ", ".join(f"{count:,} {one['name']}" for count, one in zip(row, series, strict=True))
    parts = joined(
        html('<div style="height:{}px;background-color:{}"></div>', round(_HEIGHT * count / highest, 1), one["colour"])
        for count, one in reversed(list(zip(row, series, strict=True)))
        if count
    )
    return html('<div title="{}: {}" style="flex:1;min-width:0">{}</div>', label, escape(said, 120), parts)


_DRAW = {
    "heading": _heading,
    "note": _note,
    "line": _line,
    "facts": _facts,
    "bar": _bar,
    "table": _table,
    "list": _list,
    "pairs": _pairs,
    "text": _text,
    "code": lambda block: _pre(block["text"]),
    "link": _link,
    "picture": _link,
    "chart": _chart,
}
