"""A frame for reading: the columns that matter, in the order of reading, times in the analyst's zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import safe
from voxops._support.arguments import list_of_text, whole_number
from voxops.acts.plan import Plan
from voxops.errors import PlanError
from voxops.frames.checks import need
from voxops.frames.registry import kind_of
from voxops.frames.times import shown_zone
from voxops.views.pages import draw
from voxops.views.plan import ROWS, plan_parts
from voxops.views.table import Part, in_reading_order, shown_columns, table_of

if TYPE_CHECKING:
    from voxops.views._protocols import RunLike

_TERMINAL = 20  # rows of the text form


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
