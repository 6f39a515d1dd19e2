"""One Snapshot as a document, the same in a notebook, a terminal and the live widget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import pandas as pd

from voxops._support import document, safe
from voxops._support.document import Block
from voxops._support.drawing import to_html, to_text
from voxops.acts.plan import KINDS
from voxops.acts.table import ACTS
from voxops.api.reasons import Reason
from voxops.frames.palette import OTHER, OUTCOME
from voxops.model import MOVES, OUTCOMES, WATCH, WENT_THROUGH, Outcome, PaceInfo, Snapshot, Transition

__all__ = ["ENDED", "MIXED", "error_counts", "render_html", "render_text", "snapshot_document"]

ENDED = WENT_THROUGH | {"stopped"}  # phases after which nothing moves by itself
_DAY = timedelta(hours=12)  # a change that is older has its day
_CALL = re.compile(r"\brun\.(?=\w+\()")  # of a call that a note names
_ONLY_WATCHES = "nothing is sent from here; run.resume() goes on"
_PLACES = 12  # platforms shown; the rest is added up
_NOWHERE = "–"  # for rows without a platform
# Acts whose rows go to several platforms each; a table by platform would be about as long as the rows.
MIXED = frozenset(name for name, act in ACTS.items() if act.about == "create")
_HEADS = {"redeliver": "event"}  # acts whose rows are not counted by platform
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


def render_text(snapshot: Snapshot, *, tz: str = "UTC") -> str:
    """Return the Snapshot as lines of plain text; parameters as for `snapshot_document`."""
    return to_text(snapshot_document(snapshot, tz=tz))


def render_html(snapshot: Snapshot, *, tz: str = "UTC") -> str:
    """Return the Snapshot as HTML without style sheet, script or network access; parameters as for `snapshot_document`."""
    return to_html(snapshot_document(snapshot, tz=tz), name="monitor")


def snapshot_document(snapshot: Snapshot, errors: Mapping[str, int] | None = None, *, tz: str = "UTC") -> list[Block]:
    """Return the Snapshot as a document.

    Parameters
    ----------
    snapshot : Snapshot
        The state to show.
    errors : mapping of str to int, optional
        Error -> how many rows failed with it; shown for acts whose rows have several platforms.
    tz : str
        Time zone of the times shown.
    """
    said = [
        document.heading(_title(snapshot), f"{_phase(snapshot)} · {safe.as_of(snapshot.updated_at, tz)}"),
        document.line(_origin(snapshot, tz)),
        document.bar(_parts(snapshot.count(name) for name in OUTCOMES), _done(snapshot))
        if not _none_eligible(snapshot)
        else document.line(f"{safe.many(snapshot.not_eligible, 'row')} not eligible"),
    ]
    if speed := " · ".join(_speed(snapshot)):
        said.append(document.line(speed))
    if snapshot.action in MIXED:
        said += [_errors_table(errors)] if errors else []
    elif places := _places(snapshot):
        said.append(_places_table(_HEADS.get(snapshot.action, "platform"), places))
    waits = sorted(snapshot.waits.items(), key=lambda wait: (-wait[1], wait[0]))
    if waits:
        lines = [f"{count:,} · {safe.plain(_anywhere(snapshot, why))}" for why, count in waits[:KINDS]]
        if (more := len(waits) - KINDS) > 0:  # there may be one per row
            lines.append(f"and {safe.many(more, 'more kind')}; run.results() has the reason of each row")
        said.append(document.listing("Not done, and why", zip(lines, lines, strict=True)))
    if snapshot.recent:
        now = snapshot.updated_at
        changes = [(_change(each, now, tz, 16), _change(each, now, tz)) for each in snapshot.recent]
        said.append(document.listing("Last changes", changes))
    if (note := _note(snapshot)) and note not in dict(waits[:KINDS]):  # what stops a run is why its rows wait
        said.append(document.note(_anywhere(snapshot, note), colour=OTHER.colour))
    return said


def error_counts(results: pd.DataFrame) -> dict[str, int]:
    """Return how many rows failed with each error."""
    failed = results.loc[results["outcome"] == Outcome.FAILED, "error_code"].fillna("no code")
    return {str(code): int(count) for code, count in failed.value_counts().items()}


def _parts(counts: Iterable[int]) -> list[Block]:
    """Return the outcomes as parts of a bar."""
    return [
        document.part(name, OUTCOME[name].colour, count, OUTCOME[name].glyph, OUTCOME[name].block)
        for name, count in zip(OUTCOMES, counts, strict=True)
    ]


def _places_table(head: str, places: Sequence[tuple[str, Sequence[int]]]) -> Block:
    """Return the table of platforms, with a bar below each name so that it fits 600 pixels."""
    rows = [
        [
            document.cell(platform, bar=_parts(counts)),
            *(safe.number(count) if count else "·" for count in counts),
            document.cell(safe.number(sum(counts)), strong=True),
        ]
        for platform, counts in places
    ]
    heads = document.counted(head, *(f"{OUTCOME[name].glyph} {name}" for name in OUTCOMES), "all")
    return document.table(heads, rows)


def _errors_table(errors: Mapping[str, int]) -> Block:
    """Return the table of errors, the commonest first."""
    ranked = sorted(errors.items(), key=lambda error: (-error[1], error[0]))
    failed = OUTCOME[Outcome.FAILED]
    rows = [
        [document.cell(error, colour=failed.colour, limit=80), safe.number(count)] for error, count in ranked[:_PLACES]
    ]
    return document.table(document.counted("failed with", "rows"), rows)


def _title(snapshot: Snapshot) -> str:
    """Name the run: its title, else its action, and its id."""
    name = safe.plain(snapshot.title or snapshot.action, 80)
    run = snapshot.run_id if snapshot.run_id.startswith("run") else f"run {snapshot.run_id}"
    return f"{name} · {run}" if snapshot.run_id else name


def _phase(snapshot: Snapshot) -> str:
    """Return the phase with its glyph and, at the end, how many rows failed: "done" alone reads as if none had."""
    if _none_eligible(snapshot):
        return _NONE_ELIGIBLE
    said = _PHASES.get(snapshot.phase, f"· {safe.plain(snapshot.phase, 40)}")
    failed = snapshot.count(Outcome.FAILED) if snapshot.phase in WENT_THROUGH else 0
    return f"{said}, {failed:,} failed" if failed else said


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
    said = [f"{snapshot.done:,} of {snapshot.total:,} done{share}"]
    if snapshot.needs_you:
        said.append(f"{snapshot.needs_you:,} need{'s' if snapshot.needs_you == 1 else ''} you")
    if snapshot.withdrawn:
        said.append(f"{snapshot.withdrawn:,} withdrawn")
    if snapshot.not_eligible:
        said.append(f"{snapshot.not_eligible:,} not eligible")
    return " · ".join(said)


def _speed(snapshot: Snapshot) -> Iterator[str]:
    """Yield the wait for the rate limit or the time left, the rate limit, and how many acts were sent."""
    waits = _waits_for_limit(snapshot)
    if waits:
        yield f"waits for the rate limit, {safe.duration(waits)}"
    elif snapshot.seconds_left and snapshot.phase in MOVES:
        yield f"about {safe.duration(snapshot.seconds_left)} left"
    if snapshot.phase in MOVES and snapshot.sends and not waits:
        yield from _pace(snapshot.pace)
    if snapshot.acts:
        yield f"{safe.many(snapshot.acts, 'act')} sent"


def _note(snapshot: Snapshot) -> str:
    """Return what to know and to do."""
    note = snapshot.note
    if not note and snapshot.settled < snapshot.total:
        note = str(Reason("paused")) if snapshot.phase == "paused" else _ONLY_WATCHES if not snapshot.sends else ""
    return note


def _anywhere(snapshot: Snapshot, said: str) -> str:
    """Return a sentence with calls that work in any kernel: a watch alone is in no ledger."""
    return said if snapshot.action == WATCH else _CALL.sub(lambda _: f"ws.attach({snapshot.run_id!r}).", said)


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


def _change(change: Transition, now: datetime, tz: str, longest: int = 40) -> str:
    """Return one transition as a line: the outcomes, then the item, shortened to `longest` characters."""
    at = safe.instant(change.at, day=now - change.at > _DAY, tz=tz, headed=True)
    was = f"{safe.plain(change.was, 40)} → " if change.was else ""
    where = f" {safe.plain(change.platform, 20)}" if change.platform else ""
    detail = f" · {safe.plain(change.detail, 100)}" if change.detail else ""
    glyph = OUTCOME.get(change.now, OTHER).glyph
    item = safe.middle(change.item, longest)
    return f"{at}  {glyph} {was}{change.now} · {item}{where}{detail}"


def _places(snapshot: Snapshot) -> list[tuple[str, list[int]]]:
    """Return counts by platform in the order of OUTCOMES, largest first; the smallest are added up."""
    rows: dict[str, list[int]] = {}
    for cell in snapshot.cells:
        rows.setdefault(cell.platform, [0] * len(OUTCOMES))[OUTCOMES.index(cell.outcome)] += cell.count
    ranked = sorted(rows.items(), key=lambda row: (-sum(row[1]), row[0]))
    shown, rest = ranked[:_PLACES], ranked[_PLACES:]
    if rest:
        name = "1 other" if len(rest) == 1 else f"{len(rest)} others"
        shown.append((name, [sum(column) for column in zip(*(counts for _, counts in rest), strict=True)]))
    named = [(safe.plain(platform, 40) or _NOWHERE, counts) for platform, counts in shown]
    return [] if [name for name, _ in named] == [_NOWHERE] else named  # whole posts: the table would repeat the bar
