"""The renderers of a document: HTML and plain text; the live widget draws the same blocks (views/live/document.js).

Styles are inline, because notebooks drop style sheets from untrusted outputs; classes let the page of a report add what only a style
sheet can say: narrow pages and paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from voxops._support import safe
from voxops._support.document import Block, Document
from voxops._support.safe import escape, html, joined, number

_QUIET = "opacity:.75"
_PLACE = "color:inherit;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums;unicode-bidi:isolate"
_SHORT = 16  # most characters of a shortened id, which is not broken over lines
_WORD = 10  # most characters of a word with a hyphen that is not broken either, such as SP26-001
_LONG = 24  # a longer text gets room for some words a line, and scrolls if there is none
_LEAST = 110  # pixels of a column without a width beside columns that have one
_PER_CHARACTER = 7.5  # pixels
_HEIGHT = 120  # pixels of a chart
_SIZES = {1: "26px", 2: "19px", 3: "14px"}  # of headings
_BAR = 40  # characters of a bar in text
_CUT, _CUT_LONG = (
    36,
    60,
)  # characters of a cell in text: usually (a shortened address), and where its texts wrap elsewhere
_CUT_LAST = 200  # of the last cell of a row, if its texts wrap elsewhere


# HTML


def to_html(document: Document | Markup, *, name: str = "display", classes: str = "", wide: bool = False) -> Markup:
    """Return a document as one display.

    Parameters
    ----------
    document : sequence of Block, or Markup
        The blocks, or blocks drawn by `draw`.
    name, classes : str
        The kind of display, which ends the class ``voxops-…``; further classes.
    wide : bool
        Whether it takes the whole width, as rows of a frame do.
    """
    return html(
        '<div class="voxops-{} {} {}" style="{}{}">{}</div>',
        name,
        safe.IGNORE_MATH,
        classes,
        "" if wide else "max-width:900px;",
        _PLACE,
        document if isinstance(document, Markup) else draw(document),
    )


def draw(document: Document) -> Markup:
    """Return blocks as HTML, for a part of a display."""
    return joined(_HTML[block["kind"]](block) for block in document)


def _heading(block: Block) -> Markup:
    aside = html('<span style="{}">{}</span>', _QUIET, escape(block["aside"], 300)) if block["aside"] else ""
    return html(
        '<div class="vs-h{}" role="heading" aria-level="{}" style="display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline;margin:{} 0 6px;padding-bottom:2px;'
        'border-bottom:1px solid {}"><b style="font-size:{}">{}</b>{}</div>',
        block["level"],
        block["level"],
        "14px" if block["level"] == 3 else "28px" if block["level"] == 2 else "0",
        safe.LINE,
        _SIZES[block["level"]],
        block["text"],
        aside,
    )


def _lead(block: Block) -> Markup:
    return html(
        '<div class="vs-lead" style="font-size:17px;line-height:1.45;margin:10px 0">{}</div>',
        escape(block["text"], 600),
    )


def _note(block: Block) -> Markup:
    style = "margin:8px 0;padding:4px 10px;overflow-wrap:anywhere;border-left:4px solid"
    return html('<div style="{} {}">{}</div>', style, block["colour"], escape(_said(block), 502))


def _paragraph(block: Block) -> Markup:
    return html('<div style="margin:6px 0">{}</div>', escape(block["text"], 1000))


def _line(block: Block) -> Markup:
    return html('<div style="{}">{}</div>', _QUIET, escape(block["text"], 400))


def _facts(block: Block) -> Markup:
    boxes = joined(
        html(
            '<div class="vs-fact" style="min-width:86px;padding:4px 12px;border:1px solid {};border-left:5px solid {};border-radius:5px">'
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
    shown = [part for part in parts if part["count"] > 0]
    total = sum(part["count"] for part in shown)
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
        for part in shown
    )
    return html(
        '<div style="display:flex;width:100%;height:{};background-color:{};border-radius:3px;overflow:hidden">{}</div>',
        height,
        safe.LINE,
        pieces,
    )


def _bar(block: Block) -> Markup:
    legend = joined(
        html("<span>{} {} {} {}</span>", _swatch(part["colour"]), part["glyph"], number(part["count"]), part["name"])
        for part in block["parts"]
    )
    return html(
        '<div style="margin:6px 0 4px">{}</div><div style="display:flex;flex-wrap:wrap;gap:2px 16px">{}'
        '<span style="margin-left:auto">{}</span></div>',
        _stacked(block["parts"]),
        legend,
        block["aside"],
    )


def _swatch(colour: str) -> Markup:
    style = "display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:4px;background-color:"
    return html('<span style="{}{}"></span>', style, colour) if colour else Markup()


def _linked(cell: Block, text: Markup) -> Markup:
    """Return a text as a link, if the cell is one."""
    if not cell.get("address"):
        return text
    # Markup.escape, not safe.escape: an address must stay unchanged at any length.
    address = Markup.escape(cell["address"])
    return html('<a href="{}" target="_blank" rel="noopener noreferrer nofollow">{}</a>', address, text)


def _cell(cell: Block) -> Markup:
    """Return a cell of a table whose rows grow: the text with its longer form on hovering, a bar and a paler line below."""
    said, full = cell["text"], cell.get("full", "")
    short = bool(full) and len(said) <= _SHORT
    text = escape(said) if short else safe.parted(said, 1000)
    if full:
        wrap = "white-space:nowrap" if short else "overflow-wrap:anywhere"
        text = html('<span style="{}" title="{}">{}</span>', wrap, escape(full, 1000), text)
    elif "-" in said and " " not in said and len(said) <= _WORD:
        text = html('<span style="white-space:nowrap">{}</span>', escape(said))
    text = _linked(cell, text)
    if len(said) > _LONG:
        text = html('<div style="min-width:9em">{}</div>', text)
    if cell.get("strong"):
        text = html("<b>{}</b>", text)
    if cell.get("colour") or cell.get("glyph"):
        text = html(
            '<span style="white-space:nowrap">{}{} {}</span>',
            _swatch(cell.get("colour", "")),
            cell.get("glyph", ""),
            said,
        )
    if cell.get("bar"):
        text = html(
            '{}<div style="width:{}%;min-width:3px;padding:2px 0 5px">{}</div>',
            text,
            cell["width"],
            _stacked(cell["bar"], "7px"),
        )
    if cell.get("below"):
        text = html('{}<div style="{}">{}</div>', text, _QUIET, escape(cell["below"], 200))
    return text


_ONE_LINE = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"


def _line_cell(cell: Block, room: float) -> Markup:
    """Return a cell of a table whose rows are one line high: what has no room is cut, and opens."""
    said, full = cell["text"], cell.get("full") or cell["text"]
    text = html("{}{}", _swatch(cell.get("colour", "")), _linked(cell, escape(said, 1000)))
    if len(said) * _PER_CHARACTER <= room and full == said:
        return text
    if len(said) * _PER_CHARACTER <= room and len(said) <= _SHORT:  # an id without its middle
        return html('<span title="{}">{}</span>', escape(full, 1000), text)
    return html(
        '<details style="margin:0"><summary style="{};list-style:none;cursor:pointer">{}</summary>'
        '<div style="white-space:normal;overflow-wrap:anywhere;padding:2px 0 6px">{}</div></details>',
        _ONE_LINE,
        text,
        safe.parted(full, 1000),
    )


def _table(block: Block) -> Markup:
    if not block["rows"]:
        return Markup()
    columns = block["columns"]
    fixed = any(column["width"] for column in columns)
    least = sum(column["width"] or _LEAST for column in columns)
    widths = joined(
        html('<col style="{}">', f"width:{column['width']}px" if column["width"] else "") for column in columns
    )
    layout = f"table-layout:fixed;width:100%;min-width:{least}px" if fixed else ""

    def styled(column: Block, more: str) -> str:
        cut = f";{_ONE_LINE}" if fixed and not column["wraps"] else ""
        return f"padding:3px 10px 3px 0;line-height:20px;vertical-align:top;text-align:{'right' if column['right'] else 'left'}{cut}{more}"

    heads = joined(
        html(
            '<th style="{}" title="{}">{}</th>',
            styled(column, f";font-weight:600;border-bottom:1px solid {safe.LINE}"),
            escape(column["hint"], 300),
            column["title"],
        )
        for column in columns
    )
    lines = joined(
        html(
            "<tr>{}</tr>\n",
            joined(
                html(
                    # A text of Arabic or Hebrew runs from the right; without dir, its beginning would be cut.
                    '<td data-h="{}" style="{}"{}>{}</td>',
                    column["title"],
                    styled(column, ""),
                    Markup() if column["right"] else Markup(' dir="auto"'),
                    _line_cell(cell, column["width"] or 2 * _LEAST) if fixed and not column["wraps"] else _cell(cell),
                )
                for column, cell in zip(columns, row, strict=True)
            ),
        )
        for row in block["rows"]
    )
    return html(
        '<div class="vs-wide" style="margin-top:8px;{}"><table class="{}" style="{};border-collapse:collapse;font-size:inherit;margin:0;'
        'background:none">{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        safe.SIDEWAYS,
        safe.IGNORE_MATH,
        layout,
        html("<colgroup>{}</colgroup>", widths) if fixed else "",
        heads,
        lines,
    )


def _list(block: Block) -> Markup:
    # The grid lets a line shrink in a table, which unwrapped text would stretch.
    items = joined(
        html(
            '<div style="display:grid;grid-template-columns:minmax(0,1fr);"><div style="{}" title="{}">{}</div></div>',
            _ONE_LINE,
            escape(line["full"], 400),
            line["text"],
        )
        for line in block["lines"]
    )
    return html('<div style="margin-top:8px"><div style="font-weight:600">{}</div>{}</div>', block["title"], items)


def _pairs(block: Block) -> Markup:
    rows = joined(
        html(
            '<tr><td style="padding:2px 12px 2px 0;vertical-align:top;text-align:left;white-space:nowrap;{}">{}</td>'
            '<td style="padding:2px 0;text-align:left;overflow-wrap:anywhere">{}</td></tr>',
            _QUIET,
            name,
            escape(value, 1000) or "–",
        )
        for name, value in block["rows"]
    )
    return html(
        '<table style="border-collapse:collapse;font-size:inherit;margin:0;background:none"><tbody>{}</tbody></table>',
        rows,
    )


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


def _figure(block: Block) -> Markup:
    return html(
        '<figure style="margin:12px 0"><figcaption style="font-weight:600;margin-bottom:4px">{}</figcaption>{}</figure>',
        block["caption"],
        block["draw"](),
    )


def _fold(block: Block) -> Markup:
    return html(
        '<details class="vs-fold" style="margin:10px 0"><summary style="cursor:pointer;padding:4px 0;border-bottom:1px solid {}">'
        '<b style="font-size:17px">{}</b> <span style="{}">{}</span></summary>{}</details>\n',
        safe.LINE,
        block["title"],
        _QUIET,
        block["aside"],
        draw(block["blocks"]),
    )


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


_HTML: Mapping[str, Callable[[Block], Markup]] = {
    "heading": _heading,
    "lead": _lead,
    "note": _note,
    "paragraph": _paragraph,
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
    "figure": _figure,
    "fold": _fold,
    "form": lambda _: Markup(),
}


# Text


def to_text(document: Document) -> str:
    """Return a document as lines for a terminal: no markup, no characters that a terminal would obey."""
    return "\n".join(line.rstrip() for line in _lines(document))


def _lines(document: Document) -> list[str]:
    return [line for block in document for line in _TEXT[block["kind"]](block)]


def _text_table(block: Block) -> list[str]:
    columns, rows = block["columns"], block["rows"]
    if not rows:
        return []
    cells = [
        [
            " ".join(filter(None, [each.get("glyph"), each["text"], each.get("below") and f"({each['below']})"]))
            for each in row
        ]
        for row in rows
    ]
    mosts = [_CUT_LONG if column["wraps"] else _CUT for column in columns]
    if columns[-1]["wraps"]:
        mosts[-1] = _CUT_LAST
    shown = [[safe.clip(text, most) for text, most in zip(row, mosts, strict=True)] for row in cells]
    heads = [safe.clip(column["title"], most) for column, most in zip(columns, mosts, strict=True)]
    widths = [max(map(len, texts)) for texts in zip(heads, *shown, strict=True)]
    aligned = [
        [
            text.rjust(width) if column["right"] else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        ]
        for row in (heads, *shown)
    ]
    return ["  ".join(row) for row in aligned]


def _text_bar(block: Block) -> list[str]:
    parts = block["parts"]
    drawn = "".join(
        part["mark"] * share for part, share in zip(parts, shares([part["count"] for part in parts], _BAR), strict=True)
    )
    legend = "  ".join(f"{part['glyph']} {number(part['count'])} {part['name']}".strip() for part in parts)
    return [f"[{drawn:<{_BAR}}] {block['aside']}", legend]


def _text_pairs(block: Block) -> list[str]:
    width = max((len(name) for name, _ in block["rows"]), default=0)
    return [f"{name:<{width}}  {value}" for name, value in block["rows"]]


def _text_heading(block: Block) -> list[str]:
    gap = [""] if block.get("level") == 2 else []
    return [*gap, " · ".join(filter(None, [block["text"], block["aside"]]))]


def _said(block: Block) -> str:
    return f"{'✗ ' if block.get('bad') else ''}{block['text']}"


_TEXT: Mapping[str, Callable[[Block], list[str]]] = {
    "fold": lambda block: ["", *_text_heading({**block, "text": block["title"]}), *_lines(block["blocks"])],
    "heading": _text_heading,
    "lead": lambda block: [block["text"]],
    "note": lambda block: [_said(block)],
    "paragraph": lambda block: [block["text"]] if block["text"] else [],
    "line": lambda block: [block["text"]],
    "facts": lambda block: (
        ["  ".join(f"{fact['glyph']} {fact['value']} {fact['label']}".strip() for fact in block["facts"])]
        if block["facts"]
        else []
    ),
    "bar": _text_bar,
    "table": _text_table,
    "list": lambda block: [
        *([block["title"]] if block["title"] else []),
        *(f"  {line['full'] or line['text']}" for line in block["lines"]),
    ],
    "pairs": _text_pairs,
    "text": lambda block: [block["title"], *block["text"].splitlines()],
    "code": lambda block: block["text"].splitlines(),
    "link": lambda block: [block["address"]],
    "picture": lambda block: [block["address"]],
    "figure": lambda _: [],
    "form": lambda _: [],
    "chart": lambda block: [
        f"{block['title']}: "
        + ", ".join(
            f"{sum(row[at] for row in block['counts']):,} {one['name']}" for at, one in enumerate(block["series"])
        )
    ],
}


def shares(counts: Sequence[int], width: int) -> list[int]:
    """Divide `width` characters by counts: largest remainders, and at least one for each count above 0."""
    total = sum(counts)
    if not total:
        return [0] * len(counts)
    found = [max(1, count * width // total) if count else 0 for count in counts]
    while (gap := width - sum(found)) != 0:
        step = 1 if gap > 0 else -1
        candidates = [index for index, count in enumerate(counts) if count and (step > 0 or found[index] > 1)]
        best = max(candidates, key=lambda index: step * (counts[index] * width / total - found[index]))
        found[best] += step
    return found
