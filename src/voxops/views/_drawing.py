"""One Snapshot as plain text and as static HTML: pure, deterministic, and both say the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from voxops._core import safe
from voxops._core.safe import Markup
from voxops.engine.progress import rate, time_left
from voxops.model import OUTCOMES, PaceInfo, Snapshot, Transition
from voxops.views._palette import OTHER, OUTCOME

__all__ = ["ENDED", "render_html", "render_text"]

ENDED = frozenset({"done", "failed", "stopped"})  # phases after which nothing moves by itself
_PLACES = 12  # platforms shown before the rest is summed up
_WIDTH = 40  # characters of a bar drawn in text
_HEADS = {"redeliver": "event"}  # what rows are counted by, where it is not the platform
_PHASES = {
    "sending": "▶ sending",
    "watching": "◉ watching",
    "paused": "‖ paused",
    "stopped": "■ stopped",
    "done": "✓ done",
    "failed": "✗ failed",
}


def render_text(snapshot: Snapshot, since: Snapshot | None = None) -> str:
    """Return the Snapshot as lines of plain text; the same Snapshot gives the same text.

    Parameters
    ----------
    snapshot : Snapshot
        What to show.
    since : Snapshot, optional
        Measure the rate from here instead of from the start of the run.
    """
    counts = [snapshot.count(outcome) for outcome in OUTCOMES]
    blocks = "".join(OUTCOME[name].block * share for name, share in zip(OUTCOMES, _shares(counts, _WIDTH), strict=True))
    lines = [
        f"{_title(snapshot)} · {_phase(snapshot)} · {safe.instant(snapshot.updated_at)}",
        f"[{blocks:<{_WIDTH}}] {_settled(snapshot)}",
        "  ".join(_count(name, count) for name, count in zip(OUTCOMES, counts, strict=True) if count) or "no rows",
        " · ".join(_speed(snapshot, since)),
        *_text_table(snapshot),
    ]
    if snapshot.waits:
        lines += ["waiting for"] + [f"  {count:>6,}  {safe.plain(why)}" for why, count in _waits(snapshot)]
    if snapshot.recent:
        lines += ["last changes"] + [f"  {safe.plain(_change(each))}" for each in snapshot.recent]
    if snapshot.note:
        lines.append(f"note: {safe.plain(snapshot.note, 400)}")
    return "\n".join(line.rstrip() for line in lines)


def render_html(snapshot: Snapshot, since: Snapshot | None = None) -> str:
    """Return the Snapshot as a piece of HTML that needs no style sheet, script or network.

    It takes its text colour from the page, so it reads in light and dark themes; it fits 600 pixels; outcomes are told
    by words and glyphs as well as by colour; whatever came from outside is escaped. Parameters as `render_text`.
    """
    counts = [(name, OUTCOME[name].colour, float(snapshot.count(name))) for name in OUTCOMES]
    legend = " ".join(_legend(name, int(count)) for name, _, count in counts if count) or "no rows"
    sections = [
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline">'
        f'<b style="font-size:1.1em">{safe.escape(_title(snapshot))}</b><b>{safe.escape(_phase(snapshot))}</b>'
        f'<span style="opacity:.75;margin-left:auto">{safe.instant(snapshot.updated_at)}</span></div>',
        f'<div style="margin:6px 0 4px">{safe.bar(counts)}</div>',
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 16px">{legend}'
        f'<span style="margin-left:auto">{_settled(snapshot)}</span></div>',
        f'<div style="opacity:.75">{safe.escape(" · ".join(_speed(snapshot, since)))}</div>',
        _html_table(snapshot),
    ]
    if snapshot.waits:
        waits = [f"{count:,} · {safe.plain(why)}" for why, count in _waits(snapshot)]
        sections.append(_section("Waiting for", zip(waits, waits, strict=True)))
    if snapshot.recent:
        sections.append(_section("Last changes", [(_change(each, 16), _change(each)) for each in snapshot.recent]))
    if snapshot.note:
        style = f"margin-top:8px;padding:4px 10px;border-left:4px solid {OTHER.colour};overflow-wrap:anywhere"
        sections.append(f'<div style="{style}">{safe.escape(snapshot.note, 400)}</div>')
    style = (
        f"max-width:760px;padding:8px 12px;border:1px solid {safe.LINE};border-radius:6px;color:inherit;"
        "font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums;unicode-bidi:isolate"
    )
    return f'<div class="voxops-monitor {safe.IGNORE_MATH}" style="{style}">{"".join(sections)}</div>'


def _title(snapshot: Snapshot) -> str:
    """Name the run: its title, else its action, and its id."""
    name = safe.plain(snapshot.title or snapshot.action, 80)
    return f"{name} · run {snapshot.run_id}" if snapshot.run_id else name


def _phase(snapshot: Snapshot) -> str:
    """Return the phase with its glyph."""
    return _PHASES.get(snapshot.phase, f"· {safe.plain(snapshot.phase, 40)}")


def _settled(snapshot: Snapshot) -> str:
    """Say how many rows are settled, rounded down so that 100 % means all."""
    share = f" ({100 * snapshot.settled // snapshot.total} %)" if snapshot.total else ""
    held = f" · {snapshot.held:,} held back" if snapshot.held else ""
    return f"{snapshot.settled:,} of {snapshot.total:,} settled{share}{held}"


def _count(outcome: str, count: int) -> str:
    """Return such as ``✓ 50 succeeded``."""
    return f"{OUTCOME[outcome].glyph} {count:,} {outcome}"


def _legend(outcome: str, count: int) -> str:
    """Return a count with a swatch of its colour."""
    swatch = f"display:inline-block;width:10px;height:10px;border-radius:2px;background-color:{OUTCOME[outcome].colour}"
    return f'<span><span style="{swatch}"></span> {_count(outcome, count)}</span>'


def _speed(snapshot: Snapshot, since: Snapshot | None) -> Iterator[str]:
    """Yield what is known of pace: rate, time left, calls, rate limit."""
    speed, left = rate(snapshot, since), time_left(snapshot, since)
    if speed:
        yield f"{60 * speed:,.1f} settled a minute"
    if left and snapshot.phase not in ENDED | {"paused"}:
        yield f"about {safe.duration(left)} left"
    yield f"{safe.duration((snapshot.updated_at - snapshot.started_at).total_seconds())} since the start"
    asked = "1 request" if snapshot.requests == 1 else f"{snapshot.requests:,} requests"
    yield f"{asked}, {snapshot.acts:,} of them acts"
    if snapshot.phase not in ENDED:
        yield from _pace(snapshot.pace)


def _pace(pace: PaceInfo) -> Iterator[str]:
    """Yield what the server said of its limit."""
    if pace.paused_for:
        yield f"paused by the rate limit for {safe.duration(pace.paused_for)}"
    elif pace.limit is not None and pace.remaining is not None:
        resets = f", renewed in {safe.duration(pace.resets_in)}" if pace.resets_in is not None else ""
        yield f"rate limit {pace.remaining:,} of {pace.limit:,} left{resets}"


def _waits(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Return the waits, commonest first."""
    return sorted(snapshot.waits.items(), key=lambda wait: (-wait[1], wait[0]))


def _change(change: Transition, longest: int = 40) -> str:
    """Return one transition as a line: what it came to, then whose it is, in `longest` characters."""
    where = f" {safe.plain(change.platform, 20)}" if change.platform else ""
    detail = f" · {safe.plain(change.detail, 100)}" if change.detail else ""
    glyph = OUTCOME.get(change.now, OTHER).glyph
    item = safe.middle(change.item, longest)
    return f"{safe.instant(change.at, day=False)}  {glyph} {change.was} → {change.now} · {item}{where}{detail}"


def _places(snapshot: Snapshot) -> list[tuple[str, list[int]]]:
    """Return counts by platform in the order of OUTCOMES, largest first; the smallest summed up as one."""
    rows: dict[str, list[int]] = {}
    for cell in snapshot.cells:
        rows.setdefault(cell.platform, [0] * len(OUTCOMES))[OUTCOMES.index(cell.outcome)] += cell.count
    ranked = sorted(rows.items(), key=lambda row: (-sum(row[1]), row[0]))
    shown, rest = ranked[:_PLACES], ranked[_PLACES:]
    if rest:
        name = "1 other" if len(rest) == 1 else f"{len(rest)} others"
        shown.append((name, [sum(column) for column in zip(*(counts for _, counts in rest), strict=True)]))
    return [(safe.plain(platform, 40) or "–", counts) for platform, counts in shown]


def _head(snapshot: Snapshot) -> str:
    """Say what the table counts by."""
    return _HEADS.get(snapshot.action, "platform")


def _text_table(snapshot: Snapshot) -> list[str]:
    """Return the table of platforms as lines."""
    places = _places(snapshot)
    if not places:
        return []
    first = _head(snapshot)
    width = max(len(first), *(len(platform) for platform, _ in places))
    head = f"  {first:<{width}} " + " ".join(f"{name:>9}" for name in (*OUTCOMES, "all"))
    return [head] + [
        f"  {platform:<{width}} " + " ".join(f"{count or '·':>9}" for count in (*counts, sum(counts)))
        for platform, counts in places
    ]


def _html_table(snapshot: Snapshot) -> str:
    """Return the table of platforms, each with a bar of its own beneath its name, so that it fits 600 pixels."""
    rows = []
    for platform, counts in _places(snapshot):
        parts = [(name, OUTCOME[name].colour, float(count)) for name, count in zip(OUTCOMES, counts, strict=True)]
        numbers = [safe.number(count) if count else Markup('<span style="opacity:.4">·</span>') for count in counts]
        name = f'<div style="overflow-wrap:anywhere;line-height:1.3">{safe.escape(platform)}</div>'
        graph = f'<div style="padding:1px 0 3px">{safe.bar(parts, height="6px")}</div>'
        place = f'<div style="min-width:100px;max-width:240px">{name}{graph}</div>'
        rows.append([Markup(place), *numbers, Markup(f"<b>{sum(counts):,}</b>")])
    if not rows:
        return ""
    heads = [_head(snapshot), *(f"{OUTCOME[name].glyph} {name}" for name in OUTCOMES), "all"]
    style = "margin-top:8px;overflow-x:auto"
    return f'<div style="{style}">{safe.table(heads, rows, numeric=frozenset(range(1, 6)))}</div>'


def _section(head: str, lines: Iterable[tuple[str, str]]) -> str:
    """Return a titled list of untrusted lines, each as shown and in full; the latter shows on hovering."""
    items = "".join(safe.line(shown, full) for shown, full in lines)
    return f'<div style="margin-top:8px"><div style="font-weight:600">{head}</div>{items}</div>'


def _shares(counts: Sequence[int], width: int) -> list[int]:
    """Divide `width` characters by counts: largest remainders, and at least one for whatever is there."""
    total = sum(counts)
    if not total:
        return [0] * len(counts)
    shares = [max(1, count * width // total) if count else 0 for count in counts]
    while (gap := width - sum(shares)) != 0:
        step = 1 if gap > 0 else -1
        candidates = [index for index, count in enumerate(counts) if count and (step > 0 or shares[index] > 1)]
        best = max(candidates, key=lambda index: step * (counts[index] * width / total - shares[index]))
        shares[best] += step
    return shares
