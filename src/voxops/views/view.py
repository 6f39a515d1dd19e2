"""What people read: a frame, a plan, and the state of a run.

A frame shows the columns that matter, in the order of reading, times in the analyst's zone. A plan says what it costs, what would be sent,
and why the rest would not. The state of a run is text for scripts, and HTML for the monitor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from voxops._support import safe
from voxops._support.arguments import list_of_text, whole_number
from voxops.acts.keys import doubt_of_name
from voxops.acts.plan import Plan, reasons
from voxops.api.reasons import READY, kinds
from voxops.errors import PlanError
from voxops.frames.checks import need
from voxops.frames.registry import OTHER, OUTCOME, kind_of
from voxops.frames.times import shown_zone
from voxops.model import MOVES, OUTCOMES, WATCH, WENT_THROUGH, Outcome, Snapshot, Transition
from voxops.views.table import Cell, Head, Part, Table, draw, in_reading_order, shown_columns, table_of

if TYPE_CHECKING:
    from voxops.acts.plan import RunLike


_TERMINAL = 20  # rows of the text form
ROWS = 12  # rows of a plan in a cell
_KINDS = 12  # kinds of reasons
_COLUMNS = 12  # some are dropped, because they say nothing
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


@dataclass(frozen=True, eq=False)
class View:
    """A frame for reading, returned by `view`.

    Attributes
    ----------
    frame : pandas.DataFrame
        The frame as it was passed.
    columns : tuple of str
        The columns shown, in order; of a plan those of its rows.
    rows : int
        Most rows shown.
    tz : str
        The time zone in which times are shown.
    """

    frame: pd.DataFrame
    columns: tuple[str, ...]
    rows: int
    tz: str
    _plan: Plan | None = None

    def _repr_html_(self) -> str:
        return draw("view.html", name="view", parts=self._parts(self.rows))

    def __repr__(self) -> str:
        return "\n\n".join(part.text() for part in self._parts(min(self.rows, _TERMINAL)))

    def _parts(self, most: int) -> list[Part]:
        """Return a heading and the first rows, or what a plan says."""
        if self._plan is not None:
            return plan_parts(self._plan, most, self.tz)
        kind, frame = kind_of(self.frame), in_reading_order(self.frame)
        rows, others = len(frame), len(set(frame.columns) - set(self.columns))
        timed = any(isinstance(frame[name].dtype, pd.DatetimeTZDtype) for name in self.columns)
        notes = (
            f"the first {most:,} are shown" if most < rows else "",
            f"{safe.many(others, 'other column')} in the frame" if others else "",
            f"times in {self.tz}" if timed else "",
        )
        title = safe.many(rows, kind.one, kind.name) if rows else f"No {kind.name}"
        return [
            Part(title, " · ".join(filter(None, notes)), table=table_of(frame, self.columns, tz=self.tz, most=most))
        ]


def view(
    frame: pd.DataFrame | Plan | RunLike,
    *,
    rows: int = 50,
    columns: Sequence[str] | str | None = None,
    tz: str | None = None,
) -> View:
    """Show a frame for reading: the eight to ten columns that matter, causes, messages and remedies in full.

    Parameters
    ----------
    frame : pandas.DataFrame, Plan or Run
        Any frame of voxops: posts, targets, triaged, causes, deliveries, accounts, webhooks, plans, results, runs, the ledger, a
        campaign and its findings. Any other frame is shown with its first columns that are not empty. A Plan shows what it would
        send, or before and after if it changes posts, and why the rest is not eligible; a Run its results.
    rows : int
        Most rows shown.
    columns : list of str, optional
        The columns to show instead of those that matter for this kind of frame.
    tz : str, optional
        Time zone of the times shown, such as ``"Europe/Berlin"``; default: that of the workspace the frame was loaded from,
        else UTC. The frame keeps UTC.

    Returns
    -------
    View
        Shows itself in a notebook cell. Long ids are shortened, and the ids of runs are whole; a published post is a link, and empty
        columns are left out. ``view.frame`` is the frame, with each id whole.

    Raises
    ------
    PlanError
        If `frame` is no frame, or has no such column.
    ConfigError
        If the time zone is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> import voxops as vx
    >>> vx.view(pd.DataFrame({"post_id": ["post_1"], "target_id": [None], "platform": ["x"], "status": ["failed"]}))
    1 target · 1 other column in the frame
    status  platform  post
    failed  x         post_1
    """
    table = frame_of(frame)
    rows = whole_number(rows, PlanError(f"view(rows={rows!r}): rows must be a whole number, 1 or more"))
    wanted = list_of_text("columns", columns)
    need(table, wanted or table.columns, "view() can't show these columns", "Name columns of the frame.")
    plan = frame if isinstance(frame, Plan) and not wanted else None
    return View(table, tuple(wanted or shown_columns(table)), rows, shown_zone(table, tz), plan)


def displayed(thing: pd.DataFrame | Plan) -> View:
    """Return how a plan or a frame shows itself as the last line of a cell."""
    return view(thing, rows=ROWS) if isinstance(thing, Plan) else view(thing)


def frame_of(thing: object) -> pd.DataFrame:
    """Return the frame of a frame, a plan or a run, with its named index levels as columns."""
    frame: Any = thing
    if not isinstance(thing, pd.DataFrame):
        results = getattr(thing, "results", None)
        frame = results() if callable(results) else getattr(thing, "frame", thing)
    table = need(frame, (), "a frame, a plan or a run is needed", "Pass what a call of voxops returned.")
    named = [name for name in table.index.names if name is not None and name not in table]
    return table.reset_index(level=named) if named else table


def plan_parts(plan: Plan, most: int, tz: str) -> list[Part]:
    """Return what a plan says, with at most so many rows of each act."""
    cost, rows = plan.cost, in_reading_order(plan.table).head(plan.eligible)
    wait = "under a minute" if cost.minutes < 1 else f"at least {cost.minutes:g} minutes"
    line = (
        f"{safe.many(cost.acts, 'acting request')}, about {cost.requests:,} in all, {wait} at {cost.rate:,} a minute."
    )
    doubt = doubt_of_name(plan.campaign, plan.table.attrs.get("campaigns") or ())
    changes, posts = sum(not item.creates for item in plan.items), plan.table["post_id"].count() if plan.compared else 0
    most_of_it = (
        f"It changes or withdraws {changes:,} of the campaign's {posts:,} posts. " if 0 < posts < 2 * changes else ""
    )
    title = f"Plan to {plan.act.verb}: {plan.eligible:,} of {safe.many(len(plan.table), 'row')}"
    parts = [Part(title, f"{most_of_it}Nothing has been sent. Times in {tz}.", f"{line} {doubt}".strip())]
    for act in plan.act.parts or [""]:
        group = rows[rows["act"] == act] if act else rows
        if act and group.empty:
            continue
        table = table_of(group, _names(group), tz=tz, most=most)
        rest = len(group) - most
        more = f"and {rest:,} more; vx.view(plan, rows={len(group)}) shows all" if rest > 0 else ""
        if act:
            parts.append(Part(f"To {act}: {safe.many(len(group), 'row')}", table=table, more=more))
        else:
            parts[0] = parts[0]._replace(table=table, more=more)
    if blocked := kinds(reasons(plan)):
        lines = [(Cell(f"{count:,}"), Cell(str(why))) for why, count in blocked[:_KINDS]]
        rest = len(blocked) - _KINDS
        more = f"and {rest} more kinds; plan.frame has the reason of each row" if rest > 0 else ""
        table = Table([Head("rows", shape="number"), Head("reason", shape="text")], lines)
        parts.append(Part("Not eligible, and why", table=table, more=more))
    return parts


def _names(rows: pd.DataFrame) -> list[str]:
    """Return the columns that matter and distinguish the rows."""
    usual = {"reason": READY, "attempt": 1}
    same = {"eligible", *(name for name in usual if (rows[name] == usual[name]).all())}
    return [name for name in shown_columns(rows, _COLUMNS) if name not in same]


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
