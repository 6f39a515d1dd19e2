"""A frame for reading: the columns that matter, one line per row, times in the analyst's zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import document, safe
from voxops._support.arguments import list_of_text, whole_number
from voxops._support.document import Block
from voxops._support.drawing import to_html, to_text
from voxops.acts.plan import Plan, changes_table, with_times
from voxops.errors import PlanError
from voxops.frames.checks import kind_name
from voxops.frames.registry import Kind, column_of, kind_of
from voxops.frames.table import flat, frame_table, order_of, shown_columns, text_of, without_addresses
from voxops.frames.times import shown_zone, zone
from voxops.views._grid import Grid
from voxops.views._rows import grid_columns

if TYPE_CHECKING:
    from voxops.views._protocols import RunLike

__all__ = ["LiveView", "View", "frame_of", "view"]

_TERMINAL = 20  # rows of the text form


@dataclass(frozen=True, eq=False)
class View:
    """A frame for reading, returned by `view`.

    Attributes
    ----------
    frame : pandas.DataFrame
        The frame as it was passed.
    columns : tuple of str
        The columns shown, in order.
    rows : int
        Most rows shown.
    tz : str
        The time zone in which times are shown.
    """

    frame: pd.DataFrame
    columns: tuple[str, ...]
    rows: int
    tz: str
    _kind: Kind
    _changes: Block | None = None  # of a plan of changes: before and after

    def _repr_html_(self) -> str:
        return to_html(self._document(self.rows), name="view", wide=True)

    def __repr__(self) -> str:
        return to_text(self._document(min(self.rows, _TERMINAL)))

    def _document(self, most: int) -> list[Block]:
        """Return a heading, and the first `most` rows."""
        heading = document.heading(self._title(), self._aside(most))
        if self._changes is not None:
            return [heading, {**self._changes, "rows": self._changes["rows"][:most]}]
        return [heading, frame_table(self._ordered, self.columns, tz=self.tz, most=most)]

    def _title(self) -> str:
        rows = len(self.frame)
        return safe.many(rows, self._kind.one, self._kind.name) if rows else f"No {self._kind.name}"

    def _aside(self, most: int) -> str:
        """Return which rows and columns are not shown, and the time zone."""
        said = [f"the first {most:,} are shown"] if most < len(self.frame) else []
        said += [self._kind.first] if self._kind.first and len(self.frame) > 1 else []
        others = len(set(map(str, self.frame.columns)) - set(self.columns))
        said += [f"{safe.many(others, 'other column')} in the frame"] if others else []
        if any(isinstance(self._ordered[name].dtype, pd.DatetimeTZDtype) for name in self.columns):
            said.append(f"times in {self.tz}")
        return " · ".join(said)

    @cached_property
    def _ordered(self) -> pd.DataFrame:
        """The rows in the order of reading, each column once; in plans and results, texts of a sheet that are times become times."""
        frame = flat(self.frame)
        frame = with_times(frame) if self._kind.order in {"outcome", "eligible"} else frame
        order = order_of(frame, self._kind)
        return frame if order is None else frame.iloc[order]


class LiveView(View):
    """A frame in the live grid, where rows are filtered, sorted, searched and opened; returned by `view`."""

    @cached_property
    def grid(self) -> Grid:
        """The display, the same in all places."""
        frame = without_addresses(self._ordered)
        words = {}
        for name in self.columns:
            column = column_of(name, frame[name], self._kind)
            if column.kind not in {"text", "word", "id", "time", "link"}:
                said = [text_of(value, column, self.tz) or None for value in frame[name].tolist()]
                words[name] = pd.Series(said, frame.index, dtype=object)
        columns = grid_columns(frame, self.columns, words)
        return Grid(frame, columns, words, title=self._title(), aside=self._aside(len(frame)), tz=self.tz)

    def _ipython_display_(self) -> None:
        self.grid.live.show()

    def _display_(self) -> object:
        """Return what marimo shows."""
        self.grid.live.begin()
        return self.grid.live.widget


def view(
    frame: pd.DataFrame | Plan | RunLike,
    *,
    rows: int = 50,
    columns: Sequence[str] | str | None = None,
    tz: str | None = None,
    live: bool = False,
) -> View:
    """Show a frame for reading: the eight to ten columns that matter, one line per row.

    Parameters
    ----------
    frame : pandas.DataFrame, Plan or Run
        Any frame of voxops: posts, targets, triaged, causes, deliveries, accounts, webhooks, plans, results, runs, the ledger, a
        campaign and its findings. Any other frame is shown with its first columns that are not empty. A Plan shows its frame, or
        before and after if it changes posts; a Run its results.
    rows : int
        Most rows shown.
    columns : list of str, optional
        The columns to show instead of those that matter for this kind of frame.
    tz : str, optional
        Time zone of the times shown, such as ``"Europe/Berlin"``; default: that of the workspace the frame was loaded from,
        else UTC. The frame keeps UTC.
    live : bool
        Show all rows in the live grid of the panels, where they can be filtered, sorted, searched and opened one by one. Pages without
        a kernel show a static copy.

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
    kind = kind_of(table)
    wanted = list_of_text("columns", columns)
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise PlanError(
            f"the frame has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))[:400]}"
        )
    chosen = tuple(wanted) or tuple(shown_columns(table, kind))
    place = zone(tz) if tz is not None else shown_zone(table)
    if live:
        return LiveView(table, chosen, rows, place, kind)
    changes = changes_table(frame) if isinstance(frame, Plan) and not wanted else None
    return View(table, chosen, rows, place, kind, changes)


def frame_of(thing: object) -> pd.DataFrame:
    """Return the frame of a frame, a plan or a run, with its named index levels as columns."""
    frame: Any = thing
    if not isinstance(thing, pd.DataFrame):
        results = getattr(thing, "results", None)
        frame = results() if callable(results) else getattr(thing, "frame", None)
    if not isinstance(frame, pd.DataFrame):
        raise PlanError(f"a frame, a plan or a run is needed, not {kind_name(thing)}")
    table: pd.DataFrame = frame
    named = [at for at, name in enumerate(table.index.names) if name is not None and name not in table.columns]
    if named:
        table = table.reset_index(level=named, allow_duplicates=True)
        table.attrs = dict(frame.attrs)
    return table
