"""What the panels show, as static HTML: pure functions of frames, escaped, readable in light and dark themes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from voxops._core import safe
from voxops._core.addresses import redact_addresses
from voxops._core.safe import Markup
from voxops.analysis import causes, delivery_stats
from voxops.views._palette import OUTCOME, PLATFORM, STATUS, VERDICT, Look, look

__all__ = [
    "board",
    "cause_table",
    "code_block",
    "delivery_details",
    "delivery_facts",
    "delivery_series",
    "heading",
    "notice",
    "row_cells",
    "status_table",
    "triage_facts",
    "verified_table",
    "wide",
]

_CAUSES = 10  # causes and statuses shown before the rest is summed up
_QUIET = "opacity:.72"
_LOOKS: Mapping[str, Mapping[str, Look]] = {"verdict": VERDICT, "status": STATUS, "success": OUTCOME}
_PLACE = "max-width:900px;color:inherit;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums;unicode-bidi:isolate"
_CHART = (860, 150)  # width and height of a chart, in its own units


def board(parts: Iterable[str]) -> str:
    """Return the whole of what a panel shows besides its controls."""
    return f'<div class="voxops-panel {safe.IGNORE_MATH}" style="{_PLACE}">{"".join(parts)}</div>'


def heading(text: str, aside: str = "") -> str:
    """Return the title of a part; `aside` is said quietly beside it."""
    beside = f'<span style="{_QUIET}">{safe.escape(aside, 300)}</span>' if aside else ""
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline;margin:14px 0 6px;padding-bottom:2px;'
        f'border-bottom:1px solid {safe.LINE}"><b style="font-size:14px">{safe.escape(text)}</b>{beside}</div>'
    )


def notice(text: str, *, bad: bool = False) -> str:
    """Return a sentence to the reader."""
    colour, glyph = (OUTCOME["failed"].colour, "✗ ") if bad else (OUTCOME["pending"].colour, "")
    style = f"margin:8px 0;padding:4px 10px;border-left:4px solid {colour};overflow-wrap:anywhere"
    return f'<div style="{style}">{glyph}{safe.escape(text, 500)}</div>'


def triage_facts(rows: pd.DataFrame) -> str:
    """Return how many failed targets call for what, as a row of numbers."""
    counts = rows["verdict"].astype("string").fillna("–").value_counts()
    order = [name for name in map(str, VERDICT) if name in counts.index] + sorted(
        set(counts.index) - set(map(str, VERDICT))
    )
    return _facts([(int(counts[name]), name, look(VERDICT, name)) for name in order])


def delivery_facts(log: pd.DataFrame) -> str:
    """Return success, failures and latency of a delivery history, as a row of numbers."""
    if log.empty:
        return notice("No deliveries in this window.")
    row = delivery_stats(log).iloc[0]
    rate = "–" if pd.isna(row["success_rate"]) else f"{100 * row['success_rate']:.1f} %"
    return _facts(
        [
            (rate, f"delivered, of {int(row['deliveries']):,}", OUTCOME["succeeded"]),
            (int(row["failed"]), "failed", OUTCOME["failed"]),
            (int(row["in_flight"]), "in flight", OUTCOME["pending"]),
            (
                f"{safe.number(row['p50_ms'])} ms",
                f"half were faster; 95 % within {safe.number(row['p95_ms'])} ms",
                STATUS["scheduled"],
            ),
        ]
    )


def _facts(facts: Sequence[tuple[int | str, str, Look]]) -> str:
    """Return a row of numbers, each with what it counts."""
    boxes = "".join(
        f'<div style="flex:0 1 auto;min-width:86px;padding:4px 12px;border:1px solid {safe.LINE};border-left:5px solid {kind.colour};'
        f'border-radius:5px"><b style="display:block;font-size:20px;line-height:1.25">{value if isinstance(value, str) else f"{value:,}"}</b>'
        f'<span style="{_QUIET}">{safe.escape(f"{kind.glyph} {text}")}</span></div>'
        for value, text, kind in facts
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px;margin:6px 0">{boxes}</div>'


def cause_table(rows: pd.DataFrame, failed: int | None = None) -> str:
    """Return why targets failed: a bar by platform, the count, and what to do.

    Three columns, as a fourth would be cut off at 600 pixels. `failed` is how many targets there are without filters.
    """
    if rows.empty:
        return notice("Nothing failed." if failed == 0 else "No failed target matches these filters.")
    table = causes(rows)
    highest = int(table["count"].max())
    by = rows.groupby(["cause", rows["platform"].astype("string").fillna("–")]).size()
    lines = []
    for entry in table.head(_CAUSES).to_dict("records"):
        parts = by[entry["cause"]].sort_values(ascending=False)
        bar = safe.bar([(str(name), look(PLATFORM, name).colour, float(count)) for name, count in parts.items()])
        width = max(4, round(100 * entry["count"] / highest))
        lines.append(
            [
                _named(entry["cause"], bar, width),
                _ours(f"<b>{entry['count']:,}</b>"),
                _ours(
                    f'<div style="min-width:130px;max-width:380px">{_marked(VERDICT, entry["verdict"])}'
                    f'<div style="{_QUIET}">{safe.escape(entry["remedy"], 160)}</div></div>'
                ),
            ]
        )
    rest = len(table) - _CAUSES
    more = f'<div style="{_QUIET}">and {rest} rarer cause{"" if rest == 1 else "s"}</div>' if rest > 0 else ""
    return (
        wide(safe.table(("cause, by platform", "targets", "verdict and what to do"), lines, numeric=frozenset({1})))
        + _platforms(rows)
        + more
    )


def _ours(markup: str) -> Markup:
    """Mark what is escaped already."""
    return Markup(markup)


def _named(text: object, bar: str, width: int = 100) -> Markup:
    """Return a name with its bar beneath, in percent of the place there is."""
    drawn = f'<div style="width:{width}%;padding:2px 0 6px">{bar}</div>'
    return _ours(f'<div style="min-width:110px;max-width:380px">{safe.parted(text, 90)}{drawn}</div>')


def _platforms(rows: pd.DataFrame) -> str:
    """Return the platforms with their colour and count, as the legend of the bars."""
    counts = rows["platform"].astype("string").fillna("–").value_counts()
    ranked = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))[:12]
    parts = " ".join(
        f'<span style="white-space:nowrap">{_swatch(look(PLATFORM, name).colour)} {safe.escape(name, 30)} {count:,}</span>'
        for name, count in ranked
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:2px 14px;margin:6px 0;{_QUIET}">{parts}</div>'


def status_table(log: pd.DataFrame) -> str:
    """Return the failed deliveries by HTTP status or error, with the endpoints hit."""
    failed = log[log["success"].eq(False).fillna(False).astype(bool)]
    if failed.empty:
        return ""
    said = failed["status_code"].astype("string").radd("HTTP ")
    kind = said.where(failed["status_code"].notna(), failed["error"].astype("string")).fillna("no answer")
    groups = failed.groupby(kind)
    counts = groups.size().sort_values(ascending=False, kind="stable")
    highest = int(counts.max())
    lines = []
    for name, count in list(counts.items())[:_CAUSES]:
        rows = groups.get_group(name)
        bar = safe.bar([(str(name), OUTCOME["failed"].colour, float(count))])
        lines.append(
            [
                _named(name, bar, max(3, round(100 * count / highest))),
                _ours(f"<b>{count:,}</b>"),
                safe.number(rows["url"].nunique()),
                _ours(f'<span style="{_QUIET}">{safe.instant(rows["created_at"].max().to_pydatetime())}</span>'),
            ]
        )
    return wide(safe.table(("answer", "failed", "endpoints", "last seen"), lines, numeric=frozenset({1, 2})))


def delivery_series(log: pd.DataFrame, span: str) -> str:
    """Return deliveries over time as an SVG: columns of delivered and failed ones, and the latency as lines above them."""
    if log.empty:
        return ""
    table = delivery_stats(log, by=span).set_index(span)
    index = pd.date_range(table.index.min(), table.index.max(), freq="D" if span == "day" else "h")
    table = table.reindex(index)
    return (
        _columns(table, span)
        + _lines(table)
        + f'<div style="display:flex;flex-wrap:wrap;gap:2px 14px;{_QUIET}">'
        + "".join(
            f"<span>{_swatch(OUTCOME[name].colour)} {OUTCOME[name].glyph} {name}</span>"
            for name in ("succeeded", "failed")
        )
        + f"<span>{_swatch(STATUS['scheduled'].colour)} latency: half were faster (solid), 95 % were faster (dashed)</span></div>"
    )


def _columns(table: pd.DataFrame, span: str) -> str:
    """Return one column per bucket, stacked."""
    width, height = _CHART
    step = width / len(table)
    good, bad = (table[name].fillna(0).astype(int).tolist() for name in ("succeeded", "failed"))
    highest = max(1, *(sum(pair) for pair in zip(good, bad, strict=True)))
    shapes = []
    for number, (label, up, down) in enumerate(zip(table.index, good, bad, strict=True)):
        left, wide = number * step + step * 0.1, step * 0.8
        tall, top = (amount / highest * (height - 24) for amount in (up, down))
        tip = f"{label:%d %b %H:%M} UTC: {up:,} succeeded, {down:,} failed"
        shapes.append(
            f"<g><title>{tip}</title>"
            f'<rect x="{left:.1f}" y="{height - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{OUTCOME["succeeded"].colour}"/>'
            f'<rect x="{left:.1f}" y="{height - tall - top:.1f}" width="{wide:.1f}" height="{top:.1f}" fill="{OUTCOME["failed"].colour}"/></g>'
        )
    title = f'<text x="0" y="12" font-size="12" fill="currentColor">deliveries per {span}, at most {highest:,}</text>'
    return _svg(title + "".join(shapes), height) + _axis(pd.DatetimeIndex(table.index))


def _lines(table: pd.DataFrame) -> str:
    """Return median and 95th percentile of the latency over the same buckets, on a logarithmic scale."""
    width, height = _CHART[0], 90
    known = pd.concat([table["p50_ms"], table["p95_ms"]]).dropna().clip(lower=1)
    if known.empty:
        return ""
    low, high = math.log(float(known.min())), math.log(float(known.max()))
    colour, step = STATUS["scheduled"].colour, width / len(table)
    paths = []
    for name, dash in (("p50_ms", ""), ("p95_ms", ' stroke-dasharray="5 4"')):
        points = []
        for at, value in enumerate(table[name]):
            if not pd.isna(value):
                share = (math.log(max(float(value), 1.0)) - low) / ((high - low) or 1.0)
                points.append(f"{(at + 0.5) * step:.1f},{height - 6 - share * (height - 28):.1f}")
        paths.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
    said = f"latency from {known.min():,} to {known.max():,} ms, logarithmic"
    title = f'<text x="0" y="12" font-size="12" fill="currentColor">{said}</text>'
    return _svg(title + "".join(paths), height)


def _svg(shapes: str, height: int) -> str:
    """Return shapes as a chart as wide as the page, with a base line."""
    width = _CHART[0]
    line = f'<line x1="0" y1="{height}" x2="{width}" y2="{height}" stroke="{safe.LINE}" stroke-width="2"/>'
    return f'<svg viewBox="0 0 {width} {height}" style="display:block;width:100%;height:auto;margin-top:6px">{shapes}{line}</svg>'


def _axis(index: pd.DatetimeIndex) -> str:
    """Return first, middle and last time beneath a chart."""
    ends = [index[0], index[len(index) // 2], index[-1]] if len(index) > 2 else list(index)
    labels = "".join(f"<span>{at:%d %b %H:%M}</span>" for at in ends)
    return f'<div style="display:flex;justify-content:space-between;font-size:11px;{_QUIET}">{labels}</div>'


def delivery_details(row: Mapping[str, Any]) -> str:
    """Return everything that is known of one delivery."""
    names = (
        "delivery_id",
        "webhook_id",
        "event_type",
        "url",
        "success",
        "status_code",
        "latency_ms",
        "retry_count",
        "error",
        "created_at",
        "delivered_at",
    )
    lines = [
        [
            _ours(f'<span style="{_QUIET}">{name}</span>'),
            _ours(f'<div style="overflow-wrap:anywhere">{safe.escape(_shown_detail(row, name), 400) or "–"}</div>'),
        ]
        for name in names
    ]
    body = safe.escape(_shown_detail(row, "response_body"), 4000)
    shown = (
        f'<pre style="white-space:pre-wrap;overflow-wrap:anywhere;max-height:180px;overflow:auto;margin:4px 0">{body}</pre>'
        if body
        else ""
    )
    return heading("Delivery", str(row.get("delivery_id"))) + safe.table(("", ""), lines) + shown


def _shown_detail(row: Mapping[str, Any], name: str) -> Any:
    """Return a detail as it may be shown."""
    value = row.get(name)
    return redact_addresses(value) if isinstance(value, str) else value


def verified_table(table: pd.DataFrame) -> str:
    """Return what a run has changed, per cause, as bars and counts."""
    looks = {
        "recovered": OUTCOME["succeeded"],
        "failed_same": OUTCOME["failed"],
        "failed_other": STATUS["partial"],
        "pending": OUTCOME["pending"],
    }
    words = {
        "recovered": "recovered",
        "failed_same": "failed as before",
        "failed_other": "failed otherwise",
        "pending": "pending",
    }
    lines = []
    for cause, row in table.iterrows():
        bar = safe.bar([(words[name], kind.colour, float(row[name])) for name, kind in looks.items()])
        counts = [safe.number(row[name]) if row[name] else _ours('<span style="opacity:.4">·</span>') for name in looks]
        lines.append(
            [
                _named(cause, bar),
                safe.number(row["tried"]),
                *counts,
            ]
        )
    heads = ("cause", "tried", *(f"{kind.glyph} {words[name]}" for name, kind in looks.items()))
    return wide(safe.table(heads, lines, numeric=frozenset(range(1, 6))))


def row_cells(values: Sequence[Any], widths: Sequence[str], columns: Sequence[str]) -> str:
    """Return one row of a list as a grid of cells, each on one line; a long text shows in full on hovering.

    The row is two halves, which stand beneath each other on a page too narrow for both.
    """
    cell = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap;unicode-bidi:isolate"
    cells = [
        f'<div style="{cell}" title="{safe.escape(value, 300)}">{_marked(_LOOKS[name], value) if name in _LOOKS else safe.escape(value, 120)}</div>'
        for name, value in zip(columns, values, strict=True)
    ]
    shares = [sum(map(int, re.findall(r"(\d+)fr", width))) for width in widths]
    at = (len(cells) + 1) // 2
    halves = [
        f'<div style="display:grid;flex:{sum(shares[half])} 1 {720 * sum(shares[half]) // (sum(shares) or 1)}px;min-width:0;'
        f'grid-template-columns:{" ".join(widths[half])};gap:0 10px;align-items:baseline">{"".join(cells[half])}</div>'
        for half in (slice(at), slice(at, None))
    ]
    head = "" if any(columns) else "font-weight:600;"
    style = f"display:flex;flex-wrap:wrap;gap:0 10px;line-height:24px;font-size:13px;{head}border-bottom:1px solid {safe.LINE}"
    return f'<div style="{style}">{"".join(halves)}</div>'


def code_block(code: str) -> str:
    """Return code to be copied."""
    import html

    style = f"margin:4px 0;padding:8px 12px;border:1px solid {safe.LINE};border-radius:5px;white-space:pre;overflow-x:auto;font-size:12px;line-height:1.45;color:inherit;background:none"
    return f'<pre style="{style}">{html.escape(code)}</pre>'


def _marked(looks: Mapping[str, Look], value: Any) -> str:
    """Return a word with its glyph and the swatch of its colour."""
    kind = look(looks, value)
    return f'<span style="white-space:nowrap">{_swatch(kind.colour)} {kind.glyph} {safe.escape(value, 40)}</span>'


def _swatch(colour: str) -> str:
    """Return a small square of a colour."""
    return (
        f'<span style="display:inline-block;width:10px;height:10px;border-radius:2px;background-color:{colour}"></span>'
    )


def wide(markup: str) -> str:
    """Let a table scroll by itself on a narrow page."""
    return f'<div style="overflow-x:auto">{markup}</div>'
