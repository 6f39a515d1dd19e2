"""One Snapshot drawn three ways: text for terminals and diffs, static HTML for saved notebooks, a live widget.

The text and the HTML are pure functions of the Snapshot, and say the same. The widget shows that HTML, replaced at most
twice a second, with buttons that only call what they were given: this module knows nothing of the engine.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from voxops import _html
from voxops._palette import OTHER, OUTCOME
from voxops.model import OUTCOMES, PaceInfo, Snapshot, Transition
from voxops.progress import rate, time_left

__all__ = ["ENDED", "Monitor", "render_html", "render_text"]

ENDED = frozenset({"done", "failed", "stopped"})  # phases after which nothing moves by itself
_PLACES = 12  # platforms shown before the rest is summed up
_WIDTH = 40  # characters of a bar drawn in text
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
        f"{_title(snapshot)} · {_phase(snapshot)} · {_html.instant(snapshot.updated_at)}",
        f"[{blocks:<{_WIDTH}}] {_settled(snapshot)}",
        "  ".join(_count(name, count) for name, count in zip(OUTCOMES, counts, strict=True) if count) or "no rows",
        " · ".join(_speed(snapshot, since)),
        *_text_table(snapshot),
    ]
    if snapshot.waits:
        lines += ["waiting for"] + [f"  {count:>6,}  {_html.plain(why)}" for why, count in _sorted_waits(snapshot)]
    if snapshot.recent:
        lines += ["last changes"] + [f"  {_html.plain(_change(each))}" for each in snapshot.recent]
    if snapshot.note:
        lines.append(f"note: {_html.plain(snapshot.note, 400)}")
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
        f'<b style="font-size:1.1em">{_html.escape(_title(snapshot))}</b><b>{_html.escape(_phase(snapshot))}</b>'
        f'<span style="opacity:.75;margin-left:auto">{_html.instant(snapshot.updated_at)}</span></div>',
        f'<div style="margin:6px 0 4px">{_html.bar(counts)}</div>',
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 16px">{legend}'
        f'<span style="margin-left:auto">{_settled(snapshot)}</span></div>',
        f'<div style="opacity:.75">{_html.escape(" · ".join(_speed(snapshot, since)))}</div>',
        _html_table(snapshot),
    ]
    if snapshot.waits:
        rows = [[_html.number(count), _html.escape(why)] for why, count in _sorted_waits(snapshot)]
        sections.append(_section("Waiting for", _html.table(["rows", "why"], rows, numeric=frozenset({0}))))
    if snapshot.recent:
        changes = "".join(f"<li>{_html.escape(_change(each))}</li>" for each in snapshot.recent)
        style = "list-style:none;margin:0;padding:0;overflow-wrap:anywhere"
        sections.append(_section("Last changes", f'<ul style="{style}">{changes}</ul>'))
    if snapshot.note:
        style = f"margin-top:8px;padding:4px 10px;border-left:4px solid {OTHER.colour};overflow-wrap:anywhere"
        sections.append(f'<div style="{style}">{_html.escape(snapshot.note, 400)}</div>')
    style = (
        f"max-width:760px;padding:8px 12px;border:1px solid {_html.LINE};border-radius:6px;color:inherit;"
        "font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums;unicode-bidi:isolate"
    )
    return f'<div class="voxops-monitor" style="{style}">{"".join(sections)}</div>'


class Monitor:
    """The live display of one run: the last Snapshot as widget, static HTML and text, in one bundle.

    Parameters
    ----------
    snapshot : Snapshot
        The state to begin with; rates are measured from here.
    on_pause, on_resume, on_cancel, on_retry : callable, optional
        What the buttons do: hand work over and return at once. A button without a callable is not shown. What
        `on_retry` returns (a plan) is shown beneath the monitor.
    clock : callable
        Monotonic seconds.
    later : callable, optional
        ``later(seconds, function)`` calls the function once after that time; by default on the running event loop, or
        on a timer thread where there is none.
    """

    INTERVAL = 0.5  # seconds between two updates, at least

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        on_pause: Callable[[], object] | None = None,
        on_resume: Callable[[], object] | None = None,
        on_cancel: Callable[[], object] | None = None,
        on_retry: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self._first = self._last = snapshot
        self._actions = {"pause": on_pause, "resume": on_resume, "cancel": on_cancel, "retry": on_retry}
        self._clock = clock
        self._later = later or _later
        self._shown_at = float("-inf")
        self._scheduled = False
        self._view: _View | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""
        return self._last

    def notice(self, snapshot: Snapshot) -> None:
        """Take note of the newest state; show it now, or as soon as half a second has passed since the last update."""
        self._last = snapshot
        if self._view is None or self._scheduled:
            return
        wait = self._shown_at + self.INTERVAL - self._clock()
        if wait <= 0:
            self._show()
        else:
            self._scheduled = True
            self._later(wait, self._show)

    def widget(self) -> Any:
        """Return the live widget, made at the first call."""
        if self._view is None:
            self._view = _View({name: action for name, action in self._actions.items() if action})
            self._show()
        return self._view.root

    def _show(self) -> None:
        """Draw the newest state."""
        self._scheduled = False
        self._shown_at = self._clock()
        if self._view is not None:
            self._view.draw(render_html(self._last, self._first), _usable(self._last))

    def _repr_html_(self) -> str:
        return render_html(self._last, self._first)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Return widget, static HTML and text together: a front end that has lost the widget shows the HTML."""
        bundle = dict(self.widget()._repr_mimebundle_())
        return {**bundle, "text/html": self._repr_html_(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return render_text(self._last, self._first)


class _View:
    """The widget: one HTML value, a row of buttons, and a place for what a button returned."""

    _BUTTONS = {
        "pause": ("Pause", "pause", "Send nothing more for now; what is in flight settles"),
        "resume": ("Resume", "play", "Go on sending"),
        "cancel": ("Cancel", "stop", "Send nothing more; unsent rows stay unsent"),
        "retry": ("Plan a retry of what failed", "refresh", "Makes a plan and shows it; sends nothing"),
    }

    def __init__(self, actions: Mapping[str, Callable[[], object]]) -> None:
        import ipywidgets as widgets  # type: ignore[import-untyped]  # here, as importing voxops must not load it

        self._body = widgets.HTML()
        self._below = widgets.HTML()
        self._buttons: dict[str, Any] = {}
        for name, action in actions.items():
            label, icon, tooltip = self._BUTTONS[name]
            button = widgets.Button(description=label, icon=icon, tooltip=tooltip)
            button.layout.width = "auto"
            button.on_click(lambda _, name=name, action=action: self._clicked(name, action))
            self._buttons[name] = button
        row = widgets.HBox(list(self._buttons.values()))
        row.layout.flex_flow = "row wrap"
        self.root = widgets.VBox([self._body, row, self._below])

    def draw(self, body: str, usable: frozenset[str]) -> None:
        """Show the state; traits that did not change send no message."""
        self._body.value = body
        for name, button in self._buttons.items():
            button.disabled = name not in usable

    def _clicked(self, name: str, action: Callable[[], object]) -> None:
        """Hand the work over; show what comes back."""
        result = action()
        if name == "retry" and result is not None:
            draw = getattr(result, "_repr_html_", None)
            self._below.value = draw() if draw else f"<pre>{_html.escape(result, 2000)}</pre>"


def _usable(snapshot: Snapshot) -> frozenset[str]:
    """Say which buttons make sense now."""
    usable = set()
    if snapshot.phase in {"sending", "watching"}:
        usable |= {"pause", "cancel"}
    if snapshot.phase in {"paused", "stopped"}:
        usable |= {"resume", "cancel"} if snapshot.phase == "paused" else {"resume"}
    if snapshot.count("failed"):
        usable.add("retry")
    return frozenset(usable)


def _later(seconds: float, function: Callable[[], None]) -> None:
    """Call a function after some time, on the running loop if there is one."""
    try:
        asyncio.get_running_loop().call_later(seconds, function)
    except RuntimeError:  # no loop runs in this thread
        timer = threading.Timer(seconds, function)
        timer.daemon = True
        timer.start()


def _title(snapshot: Snapshot) -> str:
    """Name the run: its title, else its action, and its id."""
    name = _html.plain(snapshot.title or snapshot.action, 80)
    return f"{name} · run {snapshot.run_id}" if snapshot.run_id else name


def _phase(snapshot: Snapshot) -> str:
    """Return the phase with its glyph."""
    return _PHASES.get(snapshot.phase, f"· {_html.plain(snapshot.phase, 40)}")


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
        yield f"about {_html.duration(left)} left"
    yield f"{_html.duration((snapshot.updated_at - snapshot.started_at).total_seconds())} since the start"
    yield f"{snapshot.requests:,} requests, {snapshot.acts:,} of them acts"
    yield from _pace(snapshot.pace)


def _pace(pace: PaceInfo) -> Iterator[str]:
    """Yield what the server said of its limit."""
    if pace.paused_for:
        yield f"paused by the rate limit for {_html.duration(pace.paused_for)}"
    elif pace.limit is not None and pace.remaining is not None:
        resets = f", renewed in {_html.duration(pace.resets_in)}" if pace.resets_in is not None else ""
        yield f"rate limit {pace.remaining:,} of {pace.limit:,} left{resets}"


def _sorted_waits(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Return the waits, commonest first."""
    return sorted(snapshot.waits.items(), key=lambda wait: (-wait[1], wait[0]))


def _change(change: Transition) -> str:
    """Return one transition as a line."""
    where = f" {_html.plain(change.platform, 20)}" if change.platform else ""
    detail = f" · {_html.plain(change.detail, 100)}" if change.detail else ""
    glyph = OUTCOME.get(change.now, OTHER).glyph
    at = _html.instant(change.at, day=False)
    return f"{at}  {glyph} {_html.plain(change.item, 40)}{where}: {change.was} → {change.now}{detail}"


def _places(snapshot: Snapshot) -> list[tuple[str, list[int]]]:
    """Return counts by platform in the order of OUTCOMES, largest first; the smallest summed up as one."""
    rows: dict[str, list[int]] = {}
    for cell in snapshot.cells:
        rows.setdefault(cell.platform, [0] * len(OUTCOMES))[OUTCOMES.index(cell.outcome)] += cell.count
    ranked = sorted(rows.items(), key=lambda row: (-sum(row[1]), row[0]))
    shown, rest = ranked[:_PLACES], ranked[_PLACES:]
    if rest:
        shown.append((f"{len(rest)} others", [sum(column) for column in zip(*(counts for _, counts in rest), strict=True)]))
    return [(_html.plain(platform, 40) or "–", counts) for platform, counts in shown]


def _text_table(snapshot: Snapshot) -> list[str]:
    """Return the table of platforms as lines."""
    places = _places(snapshot)
    if not places:
        return []
    width = max(len("platform"), *(len(platform) for platform, _ in places))
    head = f"  {'platform':<{width}} " + " ".join(f"{name:>9}" for name in (*OUTCOMES, "all"))
    return [head] + [
        f"  {platform:<{width}} " + " ".join(f"{count or '·':>9}" for count in (*counts, sum(counts)))
        for platform, counts in places
    ]


def _html_table(snapshot: Snapshot) -> str:
    """Return the table of platforms, each with a bar of its own."""
    rows = []
    for platform, counts in _places(snapshot):
        parts = [(name, OUTCOME[name].colour, float(count)) for name, count in zip(OUTCOMES, counts, strict=True)]
        numbers = [_html.number(count) if count else '<span style="opacity:.4">·</span>' for count in counts]
        graph = f'<div style="width:110px;padding-top:6px">{_html.bar(parts, height="8px")}</div>'
        rows.append([_html.escape(platform), graph, *numbers, f"<b>{sum(counts):,}</b>"])
    if not rows:
        return ""
    heads = ["platform", "", *(f"{OUTCOME[name].glyph} {name}" for name in OUTCOMES), "all"]
    style = "margin-top:8px;overflow-x:auto"
    return f'<div style="{style}">{_html.table(heads, rows, numeric=frozenset(range(2, 7)))}</div>'


def _section(head: str, content: str) -> str:
    """Return a titled part of the monitor."""
    return f'<div style="margin-top:8px"><div style="font-weight:600">{head}</div>{content}</div>'


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
