"""The state of a run as text, for scripts, and as HTML, for the monitor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from voxops._support import safe
from voxops.frames.palette import OTHER, OUTCOME
from voxops.model import MOVES, OUTCOMES, WATCH, WENT_THROUGH, Outcome, Snapshot, Transition
from voxops.views.pages import draw

_KINDS = 12  # kinds of reasons shown
ENDED = WENT_THROUGH | {"stopped"}  # phases after which nothing happens without a command
_DAY = timedelta(hours=12)  # a change that is older has its day
_IDLE = "nothing is sent from here; run.resume() goes on"
_LINE = 600  # characters of a line of text
_PHASES = {
    "sending": "▶ sending",
    "watching": "◉ watching",
    "paused": "‖ paused",
    "stopped": "■ stopped",
    "done": "✓ done",
    "cancelled": "■ cancelled",
    "blocked": "⊘ needs you",
}


def render_text(snapshot: Snapshot, *, tz: str = "UTC") -> str:
    """Return the Snapshot as lines of plain text; its times are in `tz`."""
    state = facts(snapshot, tz)
    lines = [f"{state['title']} · {state['aside']}", state["origin"], state["done"]]
    lines += [" · ".join(f"{glyph} {count:,} {name}" for name, count, _, glyph in state["parts"]), state["speed"]]
    changes = [f"{at} {glyph} {item} · {words}" for at, glyph, _, item, words in state["changes"]]
    for head, entries in (("Not done, and why", state["waits"]), ("Last changes", changes)):
        lines += [head, *(f"- {entry}" for entry in entries)] if entries else []
    return "\n".join(filter(None, (safe.plain(line, _LINE) for line in [*lines, state["note"]])))


def render_html(snapshot: Snapshot, *, tz: str = "UTC", problem: str = "") -> str:
    """Return the Snapshot as HTML; `problem` is what a button could not do."""
    return draw("monitor.html", **facts(snapshot, tz), problem=problem)


def facts(snapshot: Snapshot, tz: str) -> dict[str, Any]:
    """Return what a display says of a run; the displays make its texts safe."""
    run, name = snapshot.run_id, snapshot.title or snapshot.action
    title = f"{name} · {run if run.startswith('run') else f'run {run}'}" if run else name
    who = f" by {snapshot.who}" if snapshot.who else ""
    reason = f" · reason: {snapshot.reason}" if snapshot.reason else ""
    waits = sorted(snapshot.waits.items(), key=lambda wait: (-wait[1], wait[0]))
    more = len(waits) - _KINDS  # there may be one per row
    idle = "" if snapshot.sends or snapshot.settled >= snapshot.total else _IDLE
    moves_on = run and snapshot.phase not in WENT_THROUGH and snapshot.action != WATCH
    return {
        "title": title,
        "aside": f"{_phase(snapshot)} · {snapshot.updated_at.astimezone(ZoneInfo(tz)):%Y-%m-%d %H:%M:%S} {tz}",
        "origin": f"started {safe.instant(snapshot.started_at, tz=tz, headed=True)}{who}{reason}",
        "parts": [(name, snapshot.count(name), *OUTCOME[name]) for name in OUTCOMES],
        "done": _done(snapshot),
        "speed": _speed(snapshot, tz),
        "waits": [f"{count:,} · {safe.without_queries(why)}" for why, count in waits[:_KINDS]]
        + ([f"and {more:,} more kinds; run.results() has the reason of each row"] if more > 0 else []),
        "changes": [_change(change, snapshot.updated_at, tz) for change in snapshot.recent],
        "note": "" if snapshot.note in dict(waits[:_KINDS]) else safe.without_queries(snapshot.note) or idle,
        "again": f"ws.attach({run!r}) shows the present state." if moves_on else "",
    }


def _phase(snapshot: Snapshot) -> str:
    """Return the phase and, at the end, how many rows failed: "done" alone reads as if none had."""
    if snapshot.phase == "done" and not snapshot.total and snapshot.not_eligible:
        return "○ nothing was sent"
    failed = snapshot.count(Outcome.FAILED) if snapshot.phase in WENT_THROUGH else 0
    return _PHASES.get(snapshot.phase, snapshot.phase) + (f", {failed:,} failed" if failed else "")


def _done(snapshot: Snapshot) -> str:
    """Return how many rows are done, rounded down so that 100 % means all, and how many need somebody."""
    share = f" ({100 * snapshot.done // snapshot.total} %)" if snapshot.total else ""
    needs = "needs you" if snapshot.needs_you == 1 else "need you"
    counts = {needs: snapshot.needs_you, "withdrawn": snapshot.withdrawn, "not eligible": snapshot.not_eligible}
    others = (f" · {count:,} {words}" for words, count in counts.items() if count)
    return f"{snapshot.done:,} of {snapshot.total:,} done{share}{''.join(others)}"


def _speed(snapshot: Snapshot, tz: str) -> str:
    """Return the end of the wait for the rate limit, else the estimated end; nothing if it is stopped or the end is unknown."""
    pace, left, words = snapshot.pace, snapshot.seconds_left, "ends about"
    sends = snapshot.sends and snapshot.settled < snapshot.total
    if sends and (limit := pace.paused_for or (pace.resets_in if pace.remaining == 0 else None)):
        left, words = limit, "waits for the rate limit until"
    if not left or snapshot.phase not in MOVES:
        return ""
    at = snapshot.updated_at + timedelta(seconds=left)
    day = left > _DAY.total_seconds()
    return f"{words} {safe.instant(at, day=day, tz=tz, headed=True)}, in {safe.duration(left)}"


def _change(change: Transition, now: datetime, tz: str) -> tuple[str, ...]:
    """Return when, the glyph and the colour of the outcome, the row, and how it ended."""
    at = safe.instant(change.at, day=now - change.at > _DAY, tz=tz, headed=True)
    look = OUTCOME.get(change.now, OTHER)
    was = f"{change.was} → " if change.was else ""
    where = f" on {change.platform}" if change.platform else ""
    detail = f": {safe.plain(safe.without_queries(change.detail))}" if change.detail else ""
    return (at, look.glyph, look.colour, change.item, f"{was}{change.now}{where}{detail}")
