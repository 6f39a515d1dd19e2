"""Figures: a frame and ``ax=None`` in, the Axes out. Nothing is shown or saved.

Each function draws on the Axes passed, or on a new figure of notebook width. Axes show units and the name of the time
zone. A word has the same colour everywhere, from a palette for people with colour-vision deficiencies. Untrusted text is
shown as text, never as mathematics. Empty frames give empty, labelled Axes. A frame that lacks a column raises a PlanError
that names the call which returns it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import safe
from voxops.analysis.statistics import PERCENTS, deduplicate, delivery_state, span_start, with_quantiles
from voxops.frames.checks import need
from voxops.frames.palette import OTHER, OUTCOME, PLATFORM, STATUS, Look, look
from voxops.frames.records import latest_targets
from voxops.frames.times import shown_zone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "before_after",
    "causes_by_platform",
    "delivery_delay",
    "delivery_volume",
    "endpoint_heatmap",
    "latency_bands",
    "outage_bands",
]

_STATES = {name: {**STATUS, **OUTCOME}[name] for name in ("succeeded", *STATUS, *OUTCOME)}  # good, then bad, then open
_RESULTS = {"succeeded": OUTCOME["succeeded"], "failed": OUTCOME["failed"], "in flight": OUTCOME["pending"]}
_FEW = 20  # deliveries; a share of fewer says little
_FAILED = OUTCOME["failed"].colour


def __dir__() -> list[str]:
    """The figures."""
    return sorted(__all__)


def causes_by_platform(triaged: pd.DataFrame, ax: Axes | None = None, *, most: int = 12) -> Axes:
    """Draw how many targets each cause hit, stacked by platform, commonest on top.

    Causes that differ only in the platform are one bar.

    Parameters
    ----------
    triaged : pandas.DataFrame
        Columns ``cause`` and ``platform``. Rows without a cause are left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    most : int
        Most causes shown; the rest is added up.
    """
    what = "plots.causes_by_platform() needs a triaged frame"
    triaged = latest_targets(need(triaged, ("cause", "platform"), what, "Use vx.triage(posts)."))
    hit = triaged[triaged["cause"].notna()]
    known = hit["platform"].astype(object).where(hit["platform"].isin(list(PLATFORM)), "others")
    counts = pd.crosstab(common_causes(hit), known)
    counts = counts.iloc[(-counts.sum(axis=1)).argsort(kind="stable")]
    rest = counts.iloc[most:].sum().to_frame(f"{len(counts) - most} other causes").T
    return _stacked(ax, pd.concat([counts.head(most), rest]) if len(counts) > most else counts, PLATFORM)


def before_after(before: pd.DataFrame, after: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the same targets before and after a run, by status.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Column ``outcome`` (results), else ``status`` (targets), since the status in results is the one before the run. If loads were
        joined, each target counts once, with its latest status.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    """
    what, counts = "plots.before_after() needs two frames with a status or an outcome", {}
    for name, frame in {"before": before, "after": after}.items():
        column = "outcome" if "outcome" in getattr(frame, "columns", ()) else "status"
        rows = need(frame, (column,), what, "Use vx.targets(posts). Use run.results().")
        rows = latest_targets(rows) if column == "status" else rows
        counts[name] = rows[column].astype(object).fillna("–").str.lower().value_counts()
    return _stacked(ax, pd.DataFrame(counts).T.fillna(0).astype(int), _STATES)


def delivery_volume(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw deliveries over time, stacked by result, under the share that succeeded.

    Parameters
    ----------
    log : pandas.DataFrame
        Columns ``created_at`` and ``success``; also ``status_code latency_ms error`` if deliveries may be in flight.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    tz : str, optional
        Time zone of the axis, by default the workspace's, in which days and weeks begin.
    """
    ax, log, tz = _deliveries(ax, log, ("success",), "delivery_volume", tz)
    when, width, bucket = _bucketed(log["created_at"], tz)
    result = delivery_state(log).astype(object)
    counts = pd.crosstab(when, result)
    bottom = pd.Series(0, index=counts.index)
    for name in (name for name in _RESULTS if name in counts):
        ax.bar(counts.index, counts[name], width, bottom, align="edge", color=_RESULTS[name].colour, label=name)
        bottom += counts[name]
    settled = result[result != "in flight"]
    if len(settled):
        ax.set_title(f"{safe.percent((settled == 'succeeded').mean())} of {len(settled):,} succeeded", loc="left")
    ax.set_ylabel(f"deliveries per {bucket}")
    return _finish(ax, _time_axis(ax, tz), empty=log.empty)


def latency_bands(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw the 50th, 95th and 99th percentile of the last attempt's latency over time, on a logarithmic scale.

    Parameters
    ----------
    log : pandas.DataFrame
        Columns ``created_at`` and ``latency_ms``. Deliveries without a latency, or with a negative one (two clocks), are left out.
    ax, tz
        As in `delivery_volume`.
    """
    ax, log, tz = _deliveries(ax, log, ("latency_ms",), "latency_bands", tz)
    log = log[(log["latency_ms"] >= 0).fillna(False).astype(bool)]
    when, width, bucket = _bucketed(log["created_at"], tz)
    values = pd.DataFrame({"when": when, "latency_ms": log["latency_ms"].astype("Int64")})
    ranks = with_quantiles(values, ["when"]).groupby("when")[[*PERCENTS]].max().astype(float)
    for (name, percent), style in zip(PERCENTS.items(), ("-", "--", ":"), strict=True):
        middle, colour = pd.DatetimeIndex(ranks.index) + width / 2, STATUS["scheduled"].colour
        ax.plot(middle, ranks[name], style, marker=".", color=colour, label=f"{percent} % were faster")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_ylabel(f"latency per {bucket} (ms)")
    return _finish(ax, _time_axis(ax, tz), empty=log.empty)


def delivery_delay(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw how late each delivery arrived, one dot each, on a logarithmic scale; failed ones are crosses on top.

    Parameters
    ----------
    log : pandas.DataFrame
        Columns ``created_at``, ``delivered_at``, ``success`` and ``retry_count``. Deliveries in flight, recognised as in `delivery_volume`, are
        left out.
    ax, tz
        As in `delivery_volume`.
    """
    ax, log, tz = _deliveries(ax, log, ("delivered_at", "success", "retry_count"), "delivery_delay", tz)
    state, retried = delivery_state(log), log["retry_count"].fillna(0) > 0
    minutes = (log["delivered_at"] - log["created_at"]).dt.total_seconds().clip(lower=0.001) / 60
    arrived, failed = (state == "succeeded") & minutes.notna(), state == "failed"
    never = 3 * (minutes[arrived].max() if arrived.any() else 1)
    for rows, name, mark, status in (
        (arrived & ~retried, "at the first attempt", ".", "published"),
        (arrived & retried, "after retries or redelivery", ".", "partial"),
        (failed, "failed", "x", "failed"),
    ):
        late = minutes.mask(failed, never)[rows]
        ax.plot(log.loc[rows, "created_at"], late, mark, color=STATUS[status].colour, label=name if len(late) else "_")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.set_ylabel("late by (minutes)")
    return _finish(ax, _time_axis(ax, tz), empty=not (arrived | failed).any())


def endpoint_heatmap(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None, most: int = 15) -> Axes:
    """Draw the share of failed deliveries by endpoint and hour of the day.

    Shares of fewer than 20 deliveries are paler, the fewer the paler, and are written as failed/deliveries: one failure in nine says little.

    Parameters
    ----------
    log : pandas.DataFrame
        Columns ``url``, ``created_at`` and ``success``; deliveries in flight, recognised as in `delivery_volume`, are left out.
    ax, tz
        As in `delivery_volume`.
    most : int
        Endpoints shown, those with most deliveries.
    """
    ax, log, tz = _deliveries(ax, log, ("url", "success"), "endpoint_heatmap", tz)
    state = delivery_state(log)
    log, hours = log[state != "in flight"], log["created_at"].dt.tz_convert(tz).dt.hour
    shown = sorted(log["url"].value_counts().index[:most])
    cells = (state == "failed").groupby([log["url"], hours]).agg(["sum", "size"]).loc[shown]
    for (url, hour), failed, count in cells.itertuples():
        place, share = (hour, shown.index(url)), failed / count * min(count / _FEW, 1) ** 2
        ax.barh(place[1], 0.96, 0.96, hour - 0.48, color=_FAILED, alpha=0.06 + 0.9 * share)
        note = "" if not failed else f"{failed}/{count}" if count < _FEW else f"{100 * failed / count:.0f}"
        ax.annotate(note, place, ha="center", va="center", fontsize=7)
    _name_rows(ax, [safe.short_address(url) for url in shown])
    ax.set_xticks(range(0, 24, 2))
    unit = f"{safe.zoned('hour of the day', tz)}; the numbers are percent that failed, or failed/deliveries"
    return _finish(ax, unit, empty=not shown)


def outage_bands(
    outages: pd.DataFrame, log: pd.DataFrame | None = None, ax: Axes | None = None, *, tz: str | None = None
) -> Axes:
    """Draw the outages of each endpoint as bands over time, with each failed delivery of `log` as a tick.

    Parameters
    ----------
    outages : pandas.DataFrame
        Columns ``url``, ``start`` and ``end``.
    log : pandas.DataFrame, optional
        Columns ``url``, ``created_at`` and ``success``: the deliveries in which the outages were found.
    ax, tz
        As in `delivery_volume`.
    """
    what, times = "plots.outage_bands() needs a frame of outages", ["start", "end"]
    outages = need(outages, ("url", *times), what, "Use vx.deliveries.outages(log).", times=times)
    rows = outages["url"]
    tz = shown_zone(outages if log is None else log, tz)
    ax = _axes(ax)
    if log is not None:
        _, log, tz = _deliveries(ax, log, ("url", "success"), "outage_bands", tz)
        rows = pd.concat([rows, log["url"]])
        log = log[delivery_state(log) == "failed"]
    urls = sorted(rows.dropna().unique(), reverse=True)
    for url, begin, end in outages[["url", *times]].dropna().itertuples(index=False):
        ax.broken_barh([(begin, end - begin)], (urls.index(url) - 0.35, 0.7), color=_FAILED, alpha=0.35, hatch="//")
    if log is not None:
        places = log["url"].map({url: row for row, url in enumerate(urls)})
        ax.plot(log["created_at"], places, "|", color=_FAILED, markersize=9, label="failed delivery")
    _name_rows(ax, [safe.short_address(url) for url in urls])
    return _finish(ax, _time_axis(ax, tz), empty=not urls)


def common_causes(triaged: pd.DataFrame) -> pd.Series[Any]:
    """Return the cause of each row without its platform, so that a cause on six platforms counts as one."""
    pairs = zip(triaged["cause"].astype(str), triaged["platform"].astype(str), strict=True)
    shared = [re.sub(rf" {re.escape(platform)}(?=:|$)", "", cause, count=1) for cause, platform in pairs]
    return pd.Series(shared, triaged.index, dtype="string").mask(triaged["cause"].isna())


def _deliveries(
    ax: Axes | None, log: pd.DataFrame, columns: Sequence[str], name: str, tz: str | None
) -> tuple[Axes, pd.DataFrame, str]:
    """Return the Axes, the deliveries with a time, each once, and the time zone."""
    columns = ("created_at", *columns)
    times = [column for column in columns if column.endswith("_at")]
    log = need(log, columns, f"plots.{name}() needs a deliveries frame", "Use ws.deliveries(...).", times=times)
    return _axes(ax), deduplicate(log[log["created_at"].notna()]).reset_index(drop=True), shown_zone(log, tz)


def _bucketed(times: pd.Series[Any], tz: str) -> tuple[pd.Series[Any], Any, str]:
    """Return when the hour, day or week of each time begins, its length, and which it is: the shortest that gives few."""
    days = (times.max() - times.min()).days if len(times) else 0
    bucket, width = ("hour", "1h") if days < 4 else ("day", "1D") if days < 100 else ("week", "7D")
    return span_start(times, bucket, tz), pd.Timedelta(width), bucket


def _axes(ax: Axes | None, height: float = 3.2) -> Axes:
    """Return the Axes passed, or those of a new figure of notebook width and this height in inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(8, height), layout="constrained")[1]


def _stacked(ax: Axes | None, counts: pd.DataFrame, looks: Mapping[str, Look]) -> Axes:
    """Draw a stacked bar per row, the first on top, with its total, under its name."""
    order = [*looks, *sorted({*map(str, counts)} - {*looks})]
    counts = counts[[name for name in order if name in counts]].iloc[::-1]
    ax, left = _axes(ax, 1.1 + 0.5 * max(len(counts), 2)), counts.sum(axis=1) * 0
    for name in counts:
        ax.barh(range(len(counts)), counts[name], 0.45, left, color=look(looks, name).colour, label=_label(name))
        left += counts[name]
    for row, (name, total) in enumerate(left.items()):
        ax.annotate(f"{total:,}", (total, row), (5, 0), textcoords="offset points", va="center")
        text = ax.annotate(_label(name, 110), (0, row + 0.3), (2, 1), textcoords="offset points")
        text.set_in_layout(False)  # a long name may run past the bars' end; it must not shorten them
    ax.set(yticks=[], ylim=(-0.4, max(len(counts), 1) - 0.2), xlim=(0, max([*left, 1]) * 1.08))
    ax.locator_params("x", integer=True)
    return _finish(ax, "targets (count)", empty=counts.empty)


def _name_rows(ax: Axes, names: Sequence[object]) -> None:
    """Label the rows of a figure, from the bottom, with untrusted names."""
    ax.set_yticks(range(len(names)), [_label(name, 44) for name in names])
    ax.set_ylim(-0.6, max(len(names), 1) - 0.4)


def _finish(ax: Axes, unit: str, *, empty: bool) -> Axes:
    """Label the horizontal axis and apply the common style: few lines, a legend on top, a text where there is nothing to draw."""
    ax.set_xlabel(unit)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
    if empty:
        ax.text(0.5, 0.5, "nothing to show", transform=ax.transAxes, ha="center", color=OTHER.colour)
    elif names := ax.get_legend_handles_labels()[1]:
        ax.set_title(ax.get_title(loc="left"), loc="left", fontsize="medium", pad=28)
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=max(1, 112 // (max(map(len, names)) + 7)), frameon=False
        )
    return ax


def _time_axis(ax: Axes, tz: str) -> str:
    """Let the horizontal axis show times of a named zone, and return its label."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=tz)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=tz))  # type: ignore[no-untyped-call]
    return safe.zoned("time", tz)


def _label(value: object, limit: int = 60) -> str:
    """Return one safe line that the font can draw, without mathematics; a leading underscore would hide the legend entry."""
    drawn = "".join(char if _drawable(char) else "□" for char in safe.plain(value, limit)).replace("$", r"\$")
    return f"\u200a{drawn}" if drawn.startswith("_") else drawn


@lru_cache(maxsize=4096)
def _drawable(char: str) -> bool:
    """Whether the figures' font has this character; matplotlib warns at each drawing if not."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return get_font(findfont(FontProperties())).get_char_index(ord(char)) != 0
