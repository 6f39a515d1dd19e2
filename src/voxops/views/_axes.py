"""Helpers of all figures: bars, grids, time axes, labels and style."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from voxops._support import safe
from voxops.frames.palette import OTHER, Look, look
from voxops.frames.schemas import STRING_DTYPE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colors import Colormap

__all__ = [
    "axes",
    "common_causes",
    "finish",
    "fullest_weeks",
    "grid",
    "label",
    "largest",
    "name_rows",
    "ordered",
    "stacked",
    "texts",
    "time_axis",
]

_NEARLY_WHITE, _NEARLY_BLACK = "#F7F7F7", "#242424"
_BESIDE = 1 / 24  # days shown on either side of a single moment
_MOST_WEEKS = 53  # of an axis: one day of a distant year would stretch it to thousands
_WIDTH = 8.0  # inches: notebook width at 100 dots per inch


def axes(ax: Axes | None, height: float) -> Axes:
    """Return the Axes passed, or those of a new figure of notebook width and this height in inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(_WIDTH, height), layout="constrained")[1]


def _ground(ax: Axes) -> str:
    """Return the background colour by matplotlib's style; ``"none"`` where the page's shows through, as in a report."""
    from matplotlib.colors import to_hex, to_rgba

    faces = [ax.get_facecolor(), ax.figure.get_facecolor()]
    return next((to_hex(face) for face in faces if to_rgba(face)[3] > 0), "none")


def _is_dark(ax: Axes) -> bool:
    """Whether light text reads better on the background."""
    behind = _ground(ax)
    return behind != "none" and _ink(behind) == "white"


def stacked(
    ax: Axes,
    counts: pd.DataFrame,
    looks: Mapping[str, Look],
    heads: Sequence[str] | None = None,
    *,
    inside: bool = False,
) -> None:
    """Draw one horizontal stacked bar per row of a table, the first on top, and the total at its end.

    Names are left of the bars, or above them as `heads`, where long ones have room. `heads` must already be labels.
    `inside` writes each count into its part.
    """
    from matplotlib.ticker import MaxNLocator

    rows = range(len(counts) - 1, -1, -1)
    totals = counts.sum(axis=1).to_numpy()
    highest = max([*totals, 1])
    left = totals * 0
    height = 0.45 if heads is not None else 0.7
    for name in counts.columns:
        values, colour = counts[name].to_numpy(), look(looks, name).colour
        bars = ax.barh(
            rows, values, height, left=left, color=colour, edgecolor="white", linewidth=0.8, label=label(name)
        )
        if inside:
            shown = [f"{value:,}" if value > 0.04 * highest else "" for value in values]
            ax.bar_label(bars, shown, label_type="center", color=_ink(colour))
        left = left + values
    for row, total in zip(rows, totals, strict=True):
        ax.annotate(f"{total:,}", (total, row), (5, 0), textcoords="offset points", va="center")
    if heads is None:
        name_rows(ax, dict(zip(rows, counts.index, strict=True)))
    else:
        for row, head in zip(rows, heads, strict=True):
            text = ax.annotate(head, (0, row + 0.3), (2, 1), textcoords="offset points", parse_math=False)
            text.set_in_layout(False)  # a long name may run past the bars' end; it must not shorten them
        ax.set_yticks([])
        ax.set_ylim(-0.4, max(len(counts), 1) - 0.2)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(0, highest * 1.08)


def name_rows(ax: Axes, names: Mapping[int, object]) -> None:
    """Label the rows of a figure with untrusted names."""
    ax.set_yticks(list(names), [label(name, 44) for name in names.values()], parse_math=False)
    ax.set_ylim(-0.6, max(len(names), 1) - 0.4)


def grid(ax: Axes, values: pd.DataFrame, colour: str, highest: float, notes: pd.DataFrame | None = None) -> QuadMesh:
    """Draw a table as cells in shades of a colour, first row on top; missing ones are hatched.

    `notes`, a table of the same shape, gives the text of the cells; without it, a cell shows its number unless that is 0.
    """
    from matplotlib.colors import to_hex

    numbers = values.astype(float).to_numpy()
    dark, behind = _is_dark(ax), _ground(ax)
    if behind == "none":  # cells need a background of their own
        behind = "#ffffff"
    shades = _shades(_NEARLY_BLACK if dark else _NEARLY_WHITE, colour)
    mesh = ax.pcolormesh(numbers, cmap=shades, vmin=0, vmax=highest, edgecolors=behind, linewidth=0.8)
    ax.patch.set(hatch="////", edgecolor="#3A3A3A" if dark else "#E4E4E4", facecolor=behind)
    ax.invert_yaxis()
    ax.set_yticks(
        [row + 0.5 for row in range(len(values))], [label(name, 44) for name in values.index], parse_math=False
    )
    for row, line in enumerate(numbers):
        for column, value in enumerate(line):
            text = (f"{value:.0f}" if value else "") if notes is None else str(notes.iloc[row, column])
            if text and not pd.isna(value):
                red, green, blue, _ = mesh.to_rgba(value)
                ink = _ink(to_hex((red, green, blue)))
                ax.text(
                    column + 0.5,
                    row + 0.5,
                    text,
                    ha="center",
                    va="center",
                    fontsize=8 if len(text) < 3 else 6,
                    color=ink,
                )
    return mesh


def finish(ax: Axes, lines: str, *, empty: bool, legend: str = "") -> Axes:
    """Apply the common style: few lines, a legend on top, a text where there is nothing to draw.

    `lines` names the axis that gets a grid, ``""`` for none.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(length=0)
    ax.set_axisbelow(True)
    if empty:
        from matplotlib.ticker import NullFormatter

        for axis in (ax.xaxis, ax.yaxis):
            axis.set_ticks([])
            axis.set_major_formatter(NullFormatter())
        ax.text(0.5, 0.5, "nothing to show", transform=ax.transAxes, ha="center", va="center", color=OTHER.colour)
        return ax
    if lines:
        ax.grid(axis="x" if lines == "x" else "y", alpha=0.3)
    handles, names = ax.get_legend_handles_labels()
    if handles:
        columns = max(1, min(len(names), 112 // (max(map(len, names)) + 7)))
        shown = ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, ncols=columns, frameon=False)
        shown.set_title(label(legend))
        shown.set_alignment("left")
        for text in shown.get_texts():
            text.set_parse_math(False)
        if head := ax.get_title(loc="left"):
            ax.set_title(head, loc="left", fontsize="medium", pad=12 + 16 * -(-len(names) // columns))
    return ax


def time_axis(ax: Axes, tz: str) -> None:
    """Let the horizontal axis show times of a named zone."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date

    class Spanning(ConciseDateFormatter):
        """Name the month or day of both ends where they differ: matplotlib's, of the last tick, would seem to be of all."""

        def format_ticks(self, values: Any) -> Any:
            said = super().format_ticks(values)  # type: ignore[no-untyped-call]
            self._ends = [num2date(value, zone) for value in values[:: max(1, len(values) - 1)]]  # type: ignore[no-untyped-call]
            return said

        def get_offset(self) -> str:
            said = str(super().get_offset())  # type: ignore[no-untyped-call]
            first, last = self._ends[0], self._ends[-1]
            form = next((form for form in self.offset_formats if last.strftime(form) == said), "")
            begun = first.strftime(form)
            return said if begun in ("", said) else f"{begun} to {said}"

    zone = ZoneInfo(tz)
    locator = AutoDateLocator(tz=tz)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(Spanning(locator, tz=tz))  # type: ignore[no-untyped-call]
    ax.set_xlabel(safe.zoned("time", tz))
    first, last = ax.dataLim.intervalx
    if first == last:  # around a single moment matplotlib would show four years
        ax.set_xlim(first - _BESIDE, last + _BESIDE)


def _shades(least: str, colour: str) -> Colormap:
    """Return a colour map to one colour of the palette."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("voxops", [least, colour])


def label(value: object, limit: int = 60) -> str:
    """Return one safe line that the font can draw. A leading underscore is masked: it would hide the legend entry."""
    drawn = "".join(char if _drawable(char) else "□" for char in safe.plain(value, limit))
    return f"\u200a{drawn}" if drawn.startswith("_") else drawn


def texts(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return values as Python strings, an en dash where there is none."""
    return values.astype(object).where(values.notna(), "–").astype(str).astype(object)


def largest(counts: pd.DataFrame, most: int, what: str) -> pd.DataFrame:
    """Sort rows by their sum, largest first, and add up those beyond `most`."""
    totals = counts.sum(axis=1)
    order = sorted(counts.index, key=lambda name: (-totals[name], name))
    table = counts.loc[order[:most]]
    if rest := order[most:]:
        table.loc[f"{len(rest)} other {what}"] = counts.loc[rest].sum()
    return table


def fullest_weeks(weeks: pd.Series[Any]) -> pd.Series[bool]:
    """Return which weeks lie in the span of `_MOST_WEEKS` that has the most of them; the earliest where spans tie."""
    span = pd.Timedelta(7 * (_MOST_WEEKS - 1), "D")
    begins = weeks.sort_values()
    within = begins.searchsorted(begins + span, side="right") - np.arange(len(begins))
    first = begins.iloc[within.argmax()]
    return weeks.between(first, first + span)


def ordered(names: Iterable[Any], looks: Mapping[str, Look]) -> list[str]:
    """Return names in the order of a palette table, then those it doesn't know."""
    order = list(looks)
    return sorted(map(str, names), key=lambda name: (order.index(name) if name in order else len(order), name))


def common_causes(triaged: pd.DataFrame) -> pd.Series[Any]:
    """Return the cause of each row without its platform, so that a cause on six platforms counts as one."""
    shared = [
        None if pd.isna(cause) else _without(str(cause), platform)
        for cause, platform in zip(triaged["cause"], triaged["platform"], strict=True)
    ]
    return pd.Series(shared, index=triaged.index, dtype=STRING_DTYPE)


def _without(cause: str, platform: Any) -> str:
    """Cut the platform out of ``CODE platform: message``."""
    head, _, tail = cause.partition(f" {'-' if pd.isna(platform) else platform}")
    return head + tail if tail == "" or tail.startswith(":") else cause


@lru_cache(maxsize=4096)
def _drawable(char: str) -> bool:
    """Whether the figures' font has this character; matplotlib warns at each drawing if not."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return get_font(findfont(FontProperties())).get_char_index(ord(char)) != 0


def _ink(colour: str) -> str:
    """Return black or white, whichever has more contrast on a colour (relative luminance of WCAG 2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"
