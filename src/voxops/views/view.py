"""A frame for reading: the columns that matter, one line a row, times in the analyst's zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from voxops._support import blocks, safe
from voxops._support.arguments import list_of_text, whole_number
from voxops._support.safe import html, joined, short_address
from voxops.errors import PlanError
from voxops.frames.columns import kind_name, of_another_library
from voxops.frames.nested import is_missing
from voxops.frames.times import shown_zone, zone
from voxops.views._addresses import without_addresses
from voxops.views._cell_text import TEXT, WHOLE, as_instants, full_text, in_other_years, text_of
from voxops.views._frame_kinds import (
    FIRST,
    LOOKS,
    MOST,
    PLANNED,
    RESULTS,
    SHEET_TIMES,
    Kind,
    Shape,
    kind_of,
    order_of,
    shape_of,
)
from voxops.views._grid import Grid
from voxops.views._palette import look

if TYPE_CHECKING:
    from voxops.acts.plan import Plan
    from voxops.views._protocols import RunLike

__all__ = ["LiveView", "View", "frame_of", "view"]

_LOOKED_AT = 1000  # rows checked first: a column that is not empty nearly always shows it there
_TERMINAL = 20  # rows of the text form
_WIDTHS = (4, 28)  # minimum and maximum characters of its columns
_READ = 48  # maximum characters of an address, or of a text that wraps in HTML
# One line of 13 px with its padding is 26 px high, in JupyterLab and in a page of its own.
_CELL = "padding:3px 10px 3px 0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;line-height:20px;vertical-align:top;text-align:{}"
_WHOLE = "white-space:normal;overflow-wrap:anywhere"
# A text that wraps: up to three lines, then it is cut.
_WRAPPED = _WHOLE + ";display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden"
# A text of Arabic or Hebrew runs from the right; without this, its beginning would be cut.
_DIRECTED = Markup(' dir="auto"')
_PLACE = "color:inherit;font-size:13px;line-height:20px;font-variant-numeric:tabular-nums;unicode-bidi:isolate"


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

    def _repr_html_(self) -> str:
        head = html(
            '<div style="padding:2px 0 4px"><b style="font-size:14px">{}</b> <span style="opacity:.75">{}</span></div>',
            self._title(),
            safe.escape(self._aside(), 400),
        )
        table = _table(self._shown(), self._shapes(), self.tz) if len(self.frame) else Markup()
        return html('<div class="voxops-view {}" style="{}">{}{}</div>', safe.IGNORE_MATH, _PLACE, head, table)

    def __repr__(self) -> str:
        shown, shapes = self._shown().head(_TERMINAL), self._shapes()
        # Columns that are not cut come last, where they move no others.
        shapes = dict(sorted(shapes.items(), key=lambda column: column[1].whole))
        lines = [[safe.plain(shape.title, 28) for shape in shapes.values()]]
        for row in shown.to_dict("records"):
            lines.append([text_of(row[name], shape, self.tz) for name, shape in shapes.items()])
        least, most = _WIDTHS
        mosts = [WHOLE if shape.whole else _READ if shape.wraps or shape.address else most for shape in shapes.values()]
        widths = [
            min(max(least, *map(len, column)), most)
            for column, most in zip(zip(*lines, strict=True), mosts, strict=True)
        ]
        text = [
            "  ".join(safe.clip(cell, width).ljust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        ]
        head = " · ".join(filter(None, (self._title(), self._aside(len(shown)))))
        return "\n".join([head, *(line.rstrip() for line in text)])

    def _title(self) -> str:
        rows = len(self.frame)
        return safe.many(rows, self._kind.one, self._kind.name) if rows else f"No {self._kind.name}"

    @cached_property
    def _read(self) -> pd.DataFrame:
        """The frame with each column once; in plans and results, texts of a sheet that are times become times."""
        frame = _flat(self.frame)
        texts = [name for name in SHEET_TIMES if name in frame.columns] if self._kind.name in {PLANNED, RESULTS} else []
        return frame.assign(**{name: as_instants(frame[name]) for name in texts})

    def _aside(self, shown: int | None = None) -> str:
        """Return which rows and columns are not shown, and the time zone."""
        count = min(len(self.frame), self.rows) if shown is None else shown
        said = [f"the first {count:,} are shown"] if count < len(self.frame) else []
        said += [first] if (first := FIRST.get(self._kind.name)) and len(self.frame) > 1 else []
        others = len(set(self.frame.columns)) - len(set(self.columns) & set(self.frame.columns))
        said += [f"{safe.many(others, 'other column')} in the frame"] if others else []
        if any(_is_time(self._read[name]) for name in self.columns if name in self._read.columns):
            said.append(f"times in {self.tz}")
        return " · ".join(said)

    def _ordered(self, most: int | None = None) -> pd.DataFrame:
        """Return the first `most` rows in the order of reading."""
        frame = self._read
        order = order_of(self._kind, frame)
        return without_addresses(
            frame.head(len(frame) if most is None else most) if order is None else frame.iloc[order[:most]]
        )

    def _shown(self) -> pd.DataFrame:
        """Return the rows shown, with the links to their posts."""
        part = self._ordered(self.rows)
        links = [name for name in ("platform_post_url",) if name in part.columns and name not in self.columns]
        return part[[*self.columns, *links]]

    def _shapes(self) -> Mapping[str, Shape]:
        part = self._shown()
        read = self.frame.attrs.get("fetched_at")
        return {
            name: shape_of(name, part[name], self._kind, years=in_other_years(part[name], self.tz, read))
            for name in self.columns
        }


class LiveView(View):
    """A frame in the live grid, where rows are filtered, sorted, searched and opened; returned by `view`."""

    @cached_property
    def grid(self) -> Grid:
        """The display, the same in all places."""
        frame, shapes = self._ordered(), self._shapes()
        said = [
            name
            for name, shape in shapes.items()
            if shape.address or shape.days or not (_is_text(frame[name]) or _is_time(frame[name]))
        ]
        values = frame[said].to_dict("list")  # Python values, as in the static table
        words = {
            name: pd.Series([_said(value, shapes[name], self.tz) for value in values[name]], frame.index, dtype=object)
            for name in said
        }
        return Grid(frame, shapes, words, title=self._title(), aside=self._aside(len(frame)), tz=self.tz)

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
    """Show a frame for reading: the eight to ten columns that matter, one line a row.

    Parameters
    ----------
    frame : pandas.DataFrame, Plan or Run
        Any frame of voxops: posts, targets, triaged, causes, deliveries, accounts, webhooks, plans, results, runs, the ledger, a
        campaign and its findings. Any other frame is shown with its first columns that are not empty. A Plan shows its frame,
        a Run its results.
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
        Shows itself in a notebook cell. Ids are shortened (hover to see all), a published post is a link, and empty columns are left
        out. ``view.frame`` is the frame.

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
    chosen = tuple(wanted) or _default_columns(table, kind)
    made = LiveView if live else View
    return made(table, chosen, rows, zone(tz) if tz is not None else shown_zone(table), kind)


def frame_of(thing: object) -> pd.DataFrame:
    """Return the frame of a frame, a plan or a run, with its named index levels as columns."""
    frame: Any = thing
    if not isinstance(thing, pd.DataFrame):
        results = getattr(thing, "results", None)
        frame = results() if callable(results) else getattr(thing, "frame", None)
    if not isinstance(frame, pd.DataFrame):
        advice = f"; {how}" if (how := of_another_library(thing)) else ""
        raise PlanError(f"a frame, a plan or a run is needed, not {kind_name(thing)}{advice}")
    table: pd.DataFrame = frame
    named = [at for at, name in enumerate(table.index.names) if name is not None and name not in table.columns]
    if named:
        table = table.reset_index(level=named, allow_duplicates=True)
        table.attrs = dict(frame.attrs)
    return table


def _default_columns(frame: pd.DataFrame, kind: Kind) -> tuple[str, ...]:
    """Return the columns that matter and are not empty; for an empty frame, all that matter."""
    names = [name for name in kind.columns if name in frame.columns] or [*dict.fromkeys(frame.columns)]
    filled = [name for name in names if frame.empty or _holds_anything(_one(frame, name))]
    return tuple((filled or names)[:MOST])


def _holds_anything(values: pd.Series[Any]) -> bool:
    """Whether a column has a value that is not missing and not an empty text or list."""
    if _is_text(values):
        return bool((values.head(_LOOKED_AT) != "").any()) or bool((values != "").any())
    if _is_time(values) or _is_number(values) or pd.api.types.is_bool_dtype(values):
        return bool(values.notna().any())
    return any(not is_missing(value) and (not hasattr(value, "__len__") or len(value) > 0) for value in values)


def _one(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return a column, the first if several have the name."""
    found: Any = frame[name]
    return found if isinstance(found, pd.Series) else found.iloc[:, 0]


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with each column once."""
    return frame.loc[:, ~frame.columns.duplicated()]


def _said(value: Any, shape: Shape, tz: str) -> str | None:
    """Return a value for the grid, which cuts texts by itself; None if missing."""
    if isinstance(value, str):
        return (short_address(value) if shape.address else value) or None
    return text_of(value, shape, tz) or None


def _is_text(values: pd.Series[Any]) -> bool:
    """Whether a column has the dtype of texts."""
    return isinstance(values.dtype, pd.StringDtype)


def _is_time(values: Any) -> bool:
    """Whether a column has the dtype of instants."""
    return isinstance(values, pd.Series) and isinstance(values.dtype, pd.DatetimeTZDtype)


def _table(shown: pd.DataFrame, shapes: Mapping[str, Shape], tz: str) -> Markup:
    """Return the rows as a table whose columns share the width; texts without room are cut, and show on hovering."""
    least = sum(shape.least for shape in shapes.values())
    right = {name for name in shapes if _is_number(shown[name])}
    widths = joined(
        html('<col style="{}">', f"width:{shape.width}px" if shape.width else "") for shape in shapes.values()
    )
    cell = f'<{{}} style="{_CELL}{{}}" title="{{}}"{{}}>{{}}</{{}}>'
    bold = f";font-weight:600;border-bottom:1px solid {safe.LINE}"
    heads = joined(
        html(cell, "th", "right" if name in right else "left", bold, name, "", shape.title, "th")
        for name, shape in shapes.items()
    )
    addresses = shown.get("platform_post_url", pd.Series(None, index=shown.index, dtype=object))
    lines = []
    for row, address in zip(shown.to_dict("records"), addresses, strict=True):
        cells = joined(
            html(
                cell,
                "td",
                "right" if name in right else "start",
                "",
                safe.escape(full_text(row[name], tz), 400),
                "" if name in right else _DIRECTED,
                _drawn(name, row[name], shape, tz, address),
                "td",
            )
            for name, shape in shapes.items()
        )
        lines.append(html("<tr>{}</tr>", cells))
    return html(
        '<div style="{}"><table class="{}" style="table-layout:fixed;width:100%;min-width:{}px;border-collapse:collapse;font-size:inherit;margin:0;background:none">'
        "<colgroup>{}</colgroup><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        safe.SIDEWAYS,
        safe.IGNORE_MATH,
        least,
        widths,
        heads,
        joined(lines),
    )


def _is_number(values: pd.Series[Any]) -> bool:
    """Whether a column is aligned to the right."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _drawn(name: str, value: Any, shape: Shape, tz: str, address: Any) -> Markup:
    """Return one cell: a word with a square of its colour, a link if the post is published, else the text."""
    text = safe.escape(text_of(value, shape, tz), TEXT)
    if shape.wraps and text:
        style, limit = (_WHOLE, WHOLE) if shape.whole else (_WRAPPED, 400)
        return html('<div style="{}">{}</div>', style, safe.escape(full_text(value, tz), limit))
    looks = LOOKS.get(name)
    if looks is not None and text:
        known = look(looks, value)
        swatch = "display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:5px;background-color:"
        return html('<span style="{}{}"></span>{}', swatch, known.colour, text)
    link = None if is_missing(address) or name != "post_id" else blocks.link(address, "")
    if name == "platform_post_url" and not is_missing(value):
        link = blocks.link(value, "")
    if link is not None and text:
        # Markup.escape, not safe.escape: an address must stay unchanged at any length.
        return html(
            '<a href="{}" target="_blank" rel="noopener noreferrer nofollow">{}</a>',
            Markup.escape(link["address"]),
            text,
        )
    return text
