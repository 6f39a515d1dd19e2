"""The page of a report: its styles, and its figures as inline SVG; no script, no address, nothing to fetch."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from voxops._support import safe
from voxops._support.document import Document
from voxops._support.drawing import draw
from voxops._support.safe import html

if TYPE_CHECKING:
    from voxops.views._report_sections import Figure

__all__ = ["fragment", "page", "svg"]

_INK = "#010203"  # placeholder for the page's text colour while a figure is drawn
_REFERENCE = r'(href="#|url\(#)([\w.-]+)'
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
# What only a style sheet can say, beside the inline styles of the blocks: rows as cards on a narrow page, and paper.
_STYLE = """\
.voxops-report{max-width:1060px;margin:0 auto;font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;
 color:inherit;font-variant-numeric:tabular-nums}
.voxops-report td,.voxops-report th{unicode-bidi:isolate}.voxops-report tr{background:none!important}
.voxops-report tbody tr{border-bottom:1px solid rgba(128,128,128,.25)}.voxops-report svg{max-width:100%;height:auto}
@media(max-width:640px){.voxops-report thead{display:none}.voxops-report tr{display:block;padding:6px 0}
 .voxops-report td{display:flex;gap:10px;text-align:left!important;white-space:normal!important;padding:1px 0!important}
 .voxops-report td::before{content:attr(data-h);flex:0 0 9em;opacity:.72}}
@media print{.voxops-report{max-width:none;font-size:11px}.voxops-report .vs-wide{overflow:visible!important;background:none!important}
 .voxops-report table{font-size:9px!important}.voxops-report .vs-h2{break-after:avoid}
 .voxops-report tr,.voxops-report figure,.voxops-report .vs-fact{break-inside:avoid}.voxops-report thead{display:table-header-group}
 .voxops-report details::details-content{content-visibility:visible;display:block;block-size:auto}
 .voxops-report *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
_PAGE = """\
:root{color-scheme:light dark;--background:#fff}body{margin:0;padding:28px 20px 60px;background:var(--background);color:#1b1b1b}
@media(prefers-color-scheme:dark){:root{--background:#161616}body{color:#e8e8e8}}
@media print{:root{color-scheme:light;--background:#fff}body{padding:0;color:#000}@page{margin:15mm}}
"""


def page(document: Document, title: str) -> Markup:
    """Return the whole page."""
    return html(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<title>{}</title><style>{}</style></head>\n<body>{}</body></html>\n",
        title,
        Markup(_PAGE),
        fragment(document),
    )


def fragment(document: Document) -> Markup:
    """Return a report as a piece of a page, for notebooks."""
    return html(
        '<div class="voxops-report {}"><style>{}</style>\n{}</div>', safe.IGNORE_MATH, Markup(_STYLE), draw(document)
    )


def svg(figure: Figure, name: str) -> Markup:
    """Draw a figure as inline SVG: the same bytes each time, text as outlines, in the page's text colour; `name` is unique in the page."""
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
