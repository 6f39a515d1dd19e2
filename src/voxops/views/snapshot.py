"""The state of a run as text and as HTML: a script prints it, and the monitor draws it again and again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from voxops._support import safe
from voxops.api.reasons import Reason
from voxops.frames.palette import OTHER, OUTCOME
from voxops.model import MOVES, OUTCOMES, WATCH, WENT_THROUGH, Outcome, PaceInfo, Snapshot, Transition
from voxops.views.pages import draw

__all__ = ["ENDED", "render_html", "render_text"]

_KINDS = 12  # kinds of reasons shown
ENDED = WENT_THROUGH | {"stopped"}  # phases after which nothing moves by itself
_DAY = timedelta(hours=12)  # a change that is older has its day
_WIDTH = 40  # characters of the bar in text
_CALL = re.compile(r"\brun\.(?=\w+\()")  # of a call that a note names
_ONLY_WATCHES = "nothing is sent from here; run.resume() goes on"
_PHASES = {
    "sending": "▶ sending",
    "watching": "◉ watching",
    "paused": "‖ paused",
    "stopped": "■ stopped",
    "done": "✓ done",
    "cancelled": "■ cancelled",
    "blocked": "⊘ needs you",
}
_NONE_ELIGIBLE = "○ nothing was sent"  # instead of "done", if no row of the plan was eligible


@dataclass(frozen=True)
class Part:
    """One outcome in the bar."""

    name: str
    count: int
    colour: str
    glyph: str
    block: str


class Change(NamedTuple):
    """One line of the last changes."""

    at: str
    glyph: str
    colour: str
    item: str
    words: str


def render_text(snapshot: Snapshot, *, tz: str = "UTC") -> str:
    """Return the Snapshot as lines of plain text; its times are in `tz`."""
    said = facts(snapshot, tz)
    lines = [f"{said['title']} · {said['aside']}", said["origin"]]
    if not _none_eligible(snapshot):
        lines.append(f"[{_bar(said['parts'])}] {said['done']}")
        lines.append("  ".join(f"{part.glyph} {part.count:,} {part.name}" for part in said["parts"]))
    lines += [said["speed"]] if said["speed"] else []
    lines += ["Not done, and why", *(f"  {each}" for each in said["waits"])] if said["waits"] else []
    if said["changes"]:
        changes = (f"  {each.at} {each.glyph} {each.item} · {each.words}" for each in said["changes"])
        lines += ["Last changes", *changes]
    return "\n".join([*lines, *filter(None, [said["note"]])])


def render_html(snapshot: Snapshot, *, tz: str = "UTC", problem: str = "") -> str:
    """Return the Snapshot as HTML; `problem` is what a button could not do."""
    return draw("monitor.html", **facts(snapshot, tz), problem=problem)


def facts(snapshot: Snapshot, tz: str) -> dict[str, Any]:
    """Return what a display says of a run, as text."""
    counts = [(name, snapshot.count(name), OUTCOME[name]) for name in OUTCOMES]
    waits, note = sorted(snapshot.waits.items(), key=lambda wait: (-wait[1], wait[0])), _note(snapshot)
    return {
        "title": _title(snapshot),
        "aside": f"{_phase(snapshot)} · {safe.as_of(snapshot.updated_at, tz)}",
        "origin": _origin(snapshot, tz),
        "parts": [Part(name, count, look.colour, look.glyph, look.block) for name, count, look in counts],
        "done": _done(snapshot),
        "speed": " · ".join(_speed(snapshot, tz)),
        "waits": _waits(snapshot, waits),
        "changes": [_change(each, snapshot.updated_at, tz) for each in snapshot.recent],
        "note": "" if note in dict(waits[:_KINDS]) else safe.plain(_anywhere(snapshot, note), 600),
        "again": _again(snapshot),
    }


def _bar(parts: list[Part]) -> str:
    """Return the outcomes as a bar of characters; a part that is not empty has at least one."""
    total = sum(part.count for part in parts)
    if not total:
        return " " * _WIDTH
    shown = [part for part in parts if part.count]
    widths = {part.name: max(1, _WIDTH * part.count // total) for part in shown}
    largest = max(shown, key=lambda part: part.count)
    widths[largest.name] += _WIDTH - sum(widths.values())
    return "".join(part.block * widths[part.name] for part in shown)


def _title(snapshot: Snapshot) -> str:
    """Name the run: its title, else its action, and its id."""
    name = safe.plain(snapshot.title or snapshot.action, 80)
    run = safe.plain(snapshot.run_id, 80)
    return f"{name} · {run if run.startswith('run') else f'run {run}'}" if run else name


def _phase(snapshot: Snapshot) -> str:
    """Return the phase with its glyph and, at the end, how many rows failed: "done" alone reads as if none had."""
    if _none_eligible(snapshot):
        return _NONE_ELIGIBLE
    phase = _PHASES.get(snapshot.phase, f"· {safe.plain(snapshot.phase, 40)}")
    failed = snapshot.count(Outcome.FAILED) if snapshot.phase in WENT_THROUGH else 0
    return f"{phase}, {failed:,} failed" if failed else phase


def _none_eligible(snapshot: Snapshot) -> bool:
    """Whether the run has ended because no row was eligible, which is no success."""
    return snapshot.phase == "done" and snapshot.total == 0 and snapshot.not_eligible > 0


def _origin(snapshot: Snapshot, tz: str) -> str:
    """Return when, by whom and why it was started."""
    who = f" by {safe.plain(snapshot.who, 60)}" if snapshot.who else ""
    why = f" · reason: {safe.plain(snapshot.reason, 200)}" if snapshot.reason else ""
    return f"started {safe.instant(snapshot.started_at, tz=tz, headed=True)}{who}{why}"


def _done(snapshot: Snapshot) -> str:
    """Return how many rows are done, rounded down so that 100 % means all, and how many need somebody."""
    share = f" ({100 * snapshot.done // snapshot.total} %)" if snapshot.total else ""
    counts = [f"{snapshot.done:,} of {snapshot.total:,} done{share}"]
    if snapshot.needs_you:
        counts.append(f"{snapshot.needs_you:,} need{'s' if snapshot.needs_you == 1 else ''} you")
    if snapshot.withdrawn:
        counts.append(f"{snapshot.withdrawn:,} withdrawn")
    if snapshot.not_eligible:
        counts.append(f"{snapshot.not_eligible:,} not eligible")
    return " · ".join(counts)


def _speed(snapshot: Snapshot, tz: str) -> Iterator[str]:
    """Yield until when it waits or when it ends, the rate limit, and how many acts were sent."""
    waits = _waits_for_limit(snapshot)
    if waits:
        yield f"waits for the rate limit until {_at(snapshot, waits, tz)}"
    elif snapshot.seconds_left and snapshot.phase in MOVES:
        yield f"ends about {_at(snapshot, snapshot.seconds_left, tz)}, in {safe.duration(snapshot.seconds_left)}"
    if snapshot.phase in MOVES and snapshot.sends and not waits:
        yield from _pace(snapshot.pace)
    if snapshot.acts:
        yield f"{safe.many(snapshot.acts, 'act')} sent"


def _at(snapshot: Snapshot, seconds: float, tz: str) -> str:
    """Return the time in so many seconds, with its day if that is another one."""
    at = snapshot.updated_at + timedelta(seconds=seconds)
    return safe.instant(at, day=seconds > _DAY.total_seconds(), tz=tz, headed=True)


def _waits(snapshot: Snapshot, waits: Sequence[tuple[str, int]]) -> list[str]:
    """Return why rows are not done."""
    lines = [f"{count:,} · {safe.plain(_anywhere(snapshot, why))}" for why, count in waits[:_KINDS]]
    more = len(waits) - _KINDS  # there may be one per row
    return (
        [*lines, f"and {safe.many(more, 'more kind')}; run.results() has the reason of each row"] if more > 0 else lines
    )


def _note(snapshot: Snapshot) -> str:
    """Return what to know and to do; what stops a run may also be why its rows wait."""
    if snapshot.note or snapshot.settled >= snapshot.total:
        return snapshot.note
    return str(Reason("paused")) if snapshot.phase == "paused" else "" if snapshot.sends else _ONLY_WATCHES


def _anywhere(snapshot: Snapshot, text: str) -> str:
    """Return a sentence with calls that work in any kernel: a watch alone is in no ledger."""
    return text if snapshot.action == WATCH else _CALL.sub(lambda _: f"ws.attach({snapshot.run_id!r}).", text)


def _again(snapshot: Snapshot) -> str:
    """Return how to see the present state of a run; empty if this is its end."""
    if snapshot.phase in WENT_THROUGH or not snapshot.run_id or snapshot.action == WATCH:
        return ""
    return f"ws.attach({snapshot.run_id!r}) shows the present state."


def _waits_for_limit(snapshot: Snapshot) -> float | None:
    """Return the seconds until the rate limit allows a request; None if it does now, or nothing is left to send."""
    pace = snapshot.pace
    if snapshot.phase not in MOVES or not snapshot.sends or snapshot.settled >= snapshot.total:
        return None
    return pace.paused_for or (pace.resets_in if pace.remaining == 0 else None)


def _pace(pace: PaceInfo) -> Iterator[str]:
    """Yield the rate limit that the server reported."""
    if pace.limit is not None and pace.remaining is not None:
        resets = f", renewed in {safe.duration(pace.resets_in)}" if pace.resets_in is not None else ""
        yield f"rate limit {pace.remaining:,} of {pace.limit:,} left{resets}"


def _change(change: Transition, now: datetime, tz: str) -> Change:
    """Return one transition: when, of which row, and what became of it."""
    at = safe.instant(change.at, day=now - change.at > _DAY, tz=tz, headed=True)
    look = OUTCOME.get(change.now, OTHER)
    where = f" on {safe.plain(change.platform, 20)}" if change.platform else ""
    was = f"{safe.plain(change.was, 40)} → " if change.was else ""
    detail = f": {safe.plain(change.detail, 200)}" if change.detail else ""
    return Change(
        at, look.glyph, look.colour, safe.plain(change.item, 60), f"{was}{safe.plain(change.now, 40)}{where}{detail}"
    )
