"""A report as one piece of HTML with its styles and figures: no script, no address, nothing to fetch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from voxops._support import safe
from voxops._support.safe import html
from voxops.views._palette import OUTCOME, STATUS, VERDICT, Look, look
from voxops.views._report_text import cells, heads, limit_of

if TYPE_CHECKING:
    from voxops.views._report_sections import Fact, Figure, ReportContent, Section

__all__ = ["fragment", "page"]

_INK = "#010203"  # placeholder for the page's text colour while a figure is drawn
_REFERENCE = r'(href="#|url\(#)([\w.-]+)'
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_COLOURED: Mapping[str, Mapping[str, Look]] = {
    "what": VERDICT,
    "verdict": VERDICT,
    "outcome": OUTCOME,
    "status": STATUS,
}
_UNBROKEN = frozenset(
    {"what", "verdict", "outcome", "status", "platform", "decision", "account_name", "error_code", "event_type", "kind"}
)
_ROOMY = frozenset({"cause", "remedy", "how", "error", "reason", "why"})
# In a notebook these styles apply to the whole page, so no live widget may have their class.
_STYLE = """\
.voxops-report{container-type:inline-size;max-width:1060px;margin:0 auto;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;
 color:inherit;font-variant-numeric:tabular-nums}
.voxops-report h1{font-size:26px;font-weight:700;line-height:1.2;margin:0 0 4px}.voxops-report h2{font-size:19px;margin:32px 0 8px}
.voxops-report p{margin:6px 0}.voxops-report .quiet{opacity:.72;font-size:13px}.voxops-report .lead{font-size:18px;line-height:1.45;margin:14px 0}
.voxops-report .facts{display:grid;grid-template-columns:repeat(var(--wide),minmax(0,1fr));gap:10px;margin:14px 0}
.voxops-report .fact{box-sizing:border-box;overflow-wrap:break-word;padding:8px 14px;border:1px solid rgba(128,128,128,.35);border-left-width:6px;border-radius:6px}
.voxops-report .fact b{display:block;font-size:28px;line-height:1.2}
.voxops-report .wide{SIDEWAYS}.voxops-report table{border-collapse:collapse;min-width:40%;font-size:13px;margin:8px 0;background:none}
.voxops-report th,.voxops-report td{text-align:left!important;vertical-align:top!important;padding:5px 10px 5px 0;border:0;
 border-bottom:1px solid rgba(128,128,128,.35);overflow-wrap:break-word;white-space:normal;unicode-bidi:isolate}
.voxops-report th{font-weight:600;overflow-wrap:normal;vertical-align:bottom!important}.voxops-report .t{min-width:10em}.voxops-report .s{min-width:7em}.voxops-report .n{text-align:right!important}.voxops-report td.n,.voxops-report td.w{white-space:nowrap}
.voxops-report tr{background:none!important}.voxops-report .sw{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
.voxops-report figure{margin:12px 0}.voxops-report figcaption{font-weight:600;margin-bottom:4px}.voxops-report svg{max-width:100%;height:auto}
@container(max-width:720px){.voxops-report .facts{grid-template-columns:repeat(var(--narrow),minmax(0,1fr))}}
@container(max-width:400px){.voxops-report .facts{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media(max-width:640px){.voxops-report thead{display:none}.voxops-report tr{display:block;padding:6px 0;border-bottom:1px solid rgba(128,128,128,.35)}
 .voxops-report td,.voxops-report td.n{display:flex;gap:10px;text-align:left!important;white-space:normal;border:0;padding:1px 0}.voxops-report td:empty{display:none}
 .voxops-report .t,.voxops-report .s{min-width:0}.voxops-report td::before{content:attr(data-h);flex:0 0 9em;opacity:.72}.voxops-report .sw{flex:none;align-self:center}}
@media print{.voxops-report{max-width:none;font-size:11px}.voxops-report h2{break-after:avoid;margin-top:18px}
 .voxops-report .facts{grid-template-columns:repeat(var(--wide),minmax(0,1fr))}.voxops-report .fact{padding:6px 8px}.voxops-report .fact b{font-size:20px}
 .voxops-report tr,.voxops-report figure,.voxops-report .facts{break-inside:avoid}.voxops-report thead{display:table-header-group}.voxops-report table{font-size:9px}
 .voxops-report .wide{overflow:visible;background:none}.voxops-report .t{min-width:8em}.voxops-report .s{min-width:5.5em}.voxops-report *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
""".replace("SIDEWAYS", safe.SIDEWAYS)
_PAGE = """\
:root{color-scheme:light dark;--background:#fff}body{margin:0;padding:28px 20px 60px;background:var(--background);color:#1b1b1b}
@media(prefers-color-scheme:dark){:root{--background:#161616}body{color:#e8e8e8}}
@media print{:root{color-scheme:light;--background:#fff}body{padding:0;color:#000}@page{margin:15mm}}
"""


def page(report: ReportContent) -> Markup:
    """Return the whole document."""
    return html(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<title>{}</title><style>{}</style></head>\n<body>{}</body></html>\n",
        report.title,
        Markup(_PAGE),
        fragment(report),
    )


def fragment(report: ReportContent) -> Markup:
    """Return the report as a piece of a page, for notebooks."""
    parts = [
        html("<h1>{}</h1>", report.title),
        html('<p class="quiet">{}</p>', safe.escape(" · ".join(report.about), 400)),
        html('<p class="lead">{}</p>', safe.escape(report.headline, 600)),
        *map(_facts, report.facts),
        *(_section(section, f"vx{number}") for number, section in enumerate(report.sections)),
    ]
    return html(
        '<div class="voxops-report {}"><style>{}</style>\n{}</div>',
        safe.IGNORE_MATH,
        Markup(_STYLE),
        safe.joined(parts),
    )


def _facts(facts: Sequence[Fact]) -> Markup:
    """Return numbers as tiles in even rows of at most five, or three on a narrow page."""
    box = '<div class="fact" style="border-left-color:{}"><b>{}</b> {}</div>'
    return html(
        '<div class="facts" style="--wide:{};--narrow:{}">{}</div>',
        max(4, _evenly(len(facts), 5)),  # so that few tiles don't take the whole width
        _evenly(len(facts), 3),
        safe.joined(html(box, fact.colour, f"{fact.count:,}", fact.label) for fact in facts),
    )


def _evenly(count: int, most: int) -> int:
    """Return how many go into each row, at most `most`, so that rows are as even as possible."""
    return max(1, -(-count // max(1, -(-count // most))))


def _section(section: Section, name: str) -> Markup:
    """Return one section; `name` makes the ids of its figures unique in the page."""
    figures = safe.joined(
        html("<figure><figcaption>{}</figcaption>{}</figure>", figure.caption, _svg(figure, f"{name}{letter}"))
        for letter, figure in zip("abcdefgh", section.figures, strict=False)
    )
    text = html("<p>{}</p>", safe.escape(section.text, 600)) if section.text else ""
    return html("<h2>{}</h2>{}{}{}\n", section.title, text, figures, _table(section.table))


def _table(table: pd.DataFrame) -> Markup:
    """Return a table: numbers to the right, verdicts and outcomes in colour. On a narrow page rows become cards."""
    if table.empty:
        return Markup()
    names = heads(table)
    kinds = [_kind(str(name), table[name]) for name in table.columns]
    head = safe.joined(html('<th class="{}">{}</th>', kind, name) for kind, name in zip(kinds, names, strict=True))
    lines = []
    for row in cells(table):
        columns = zip(table.columns, kinds, names, row, strict=True)
        lines.append(html("<tr>{}</tr>\n", safe.joined(_cell(*column) for column in columns)))
    return html(
        '<div class="wide"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>', head, safe.joined(lines)
    )


def _cell(column: object, kind: str, name: str, value: str) -> Markup:
    """Return one cell; text that must not break over lines is cut instead."""
    text = safe.escape(value, 30) if kind == "w" else safe.parted(value, limit_of(column))
    return html('<td class="{}" data-h="{}">{}{}</td>', kind, name, _swatch(str(column), value), text)


def _kind(name: str, values: pd.Series[Any]) -> str:
    """Return the class of a column: number, unbroken word or time, long text, or short text."""
    if pd.api.types.is_numeric_dtype(values):
        return "n"
    if name in _UNBROKEN or isinstance(values.dtype, pd.DatetimeTZDtype):
        return "w"
    return "t" if name in _ROOMY else "s"


def _swatch(column: str, value: str) -> Markup:
    """Return the colour of a verdict, an outcome or a status, as a small square before its word."""
    looks = _COLOURED.get(column)
    if looks is None or not value:
        return Markup()
    return html('<span class="sw" style="background-color:{}"></span>', look(looks, value).colour)


def _svg(figure: Figure, name: str) -> Markup:
    """Draw a figure as inline SVG: the same bytes each time, text as outlines, in the page's text colour."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    ink: dict[Any, Any] = dict.fromkeys(_INKED, _INK)
    with mpl.rc_context():
        mpl.rcdefaults()  # the report must not depend on the notebook's style
        mpl.rcParams.update({**ink, "svg.hashsalt": "voxops", "axes.facecolor": "none", "figure.facecolor": "none"})
        canvas = Canvas(figsize=(8, figure.height), layout="constrained")
        figure.draw(canvas.add_subplot())
        drawn = StringIO()
        canvas.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = drawn.getvalue()
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace(_INK, "currentColor")
    used = {found[1] for found in re.findall(_REFERENCE, svg)}
    svg = re.sub(r' id="([\w.-]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(_REFERENCE, rf"\1{name}-\2", svg)
    label = html('<svg role="img" aria-label="{}"', figure.caption)
    return Markup(re.sub(r"\n\s*", "\n", svg.replace("<svg", label, 1)).strip())
