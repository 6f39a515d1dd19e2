"""Figures of webhook deliveries, for `voxops.views.plots`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import safe
from voxops._support.safe import short_address
from voxops.analysis.statistics import PERCENTS, deduplicate, delivery_state, with_quantiles
from voxops.frames.checks import need
from voxops.frames.palette import OUTCOME, STATUS
from voxops.frames.times import day_starts, shown_zone
from voxops.views import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "delivery_delay",
    "delivery_volume",
    "endpoint_heatmap",
    "latency_bands",
    "outage_bands",
]

_BUCKETS = {
    "1min": "minute",
    "5min": "5 minutes",
    "15min": "15 minutes",
    "1h": "hour",
    "3h": "3 hours",
    "6h": "6 hours",
    "1D": "day",
    "7D": "week",
}
_MOST_BUCKETS = 100
# Labelled seconds of the delay axis.
_DELAYS = {0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 21600: "6 h", 86400: "1 day"}
_DELAYS |= {7 * 86400: "1 week", 30 * 86400: "30 days"}
_DELAYS_BEYOND = 6  # how many times above the highest label "never" is drawn
_FEW = 20  # deliveries; a share of fewer says little
_SAID = 10  # percent; a smaller share is not written in its cell
_HANDFUL = 5  # deliveries; percentiles of fewer say little where other buckets have more
_RESULT = {"succeeded": OUTCOME["succeeded"], "failed": OUTCOME["failed"], "in flight": OUTCOME["pending"]}


def delivery_volume(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw deliveries over time, stacked by result, under the share that succeeded.

    Parameters
    ----------
    log : pandas.DataFrame
        Columns ``created_at`` and ``success``; also ``status_code latency_ms error`` if deliveries may be in flight.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    tz : str, optional
        Time zone of the axis, by default the workspace's. Days and weeks begin at its midnight, shorter buckets at the hour of UTC.
    """
    log, tz = _needed(log, ("created_at", "success"), "delivery_volume", tz)
    ax = _axes.axes(ax, 3.2)
    known = log[log["created_at"].notna()]
    when, width, each = _bucketed(known["created_at"], tz)
    result = delivery_state(known).astype(object)
    counts = pd.crosstab(when, result)
    bottom = pd.Series(0, index=counts.index)
    for name in _axes.ordered(counts.columns, _RESULT):
        ax.bar(counts.index, counts[name], width, bottom=bottom, align="edge", color=_RESULT[name].colour, label=name)
        bottom += counts[name]
    won = result[result != "in flight"] == "succeeded"
    if len(won):
        ax.set_title(
            f"{safe.percent(won.mean())} of {safe.many(len(won), 'delivery', 'deliveries')} succeeded", loc="left"
        )
    ax.set_ylabel(f"deliveries per {each}")
    _axes.time_axis(ax, tz)
    return _axes.finish(ax, "y", empty=known.empty)


def latency_bands(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw the 50th, 95th and 99th percentile of the latency over time, by nearest rank as in ``vx.deliveries.stats``, on a logarithmic scale.

    Some buckets are open circles beside the lines: the one that is not over when the log ends, and those of fewer than five deliveries
    where others have more. Few deliveries rarely include a slow one, which would look like an improvement.

    Parameters
    ----------
    log : pandas.DataFrame
        Columns ``created_at`` and ``latency_ms``. Deliveries without a latency, or with a negative one (two clocks), are left out.
    ax, tz
        As in `delivery_volume`.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    log, tz = _needed(log, ("created_at", "latency_ms"), "latency_bands", tz)
    ax = _axes.axes(ax, 3.2)
    timed = log[(log["latency_ms"] >= 0).fillna(False).to_numpy(bool) & log["created_at"].notna()]
    when, width, each = _bucketed(timed["created_at"], tz)
    counted = pd.DataFrame({"when": when, "latency_ms": timed["latency_ms"].astype("Int64")})
    colour = STATUS["scheduled"].colour
    if len(timed):
        ranks = with_quantiles(counted, ["when"]).groupby("when")[[*PERCENTS]].max().astype(float)
        half, most, nearly_all = (ranks[name] for name in PERCENTS)
        middle = pd.DatetimeIndex(half.index) + width / 2
        sure = ~_is_unsure(counted.groupby("when").size(), width, log)
        ax.fill_between(middle[sure], half[sure], most[sure], color=colour, alpha=0.15, linewidth=0)
        for line, style, name in ((half, "-", "50 %"), (most, "--", "95 %"), (nearly_all, ":", "99 %")):
            ax.plot(middle[sure], line[sure], style, marker=".", color=colour, label=f"{name} were faster")
        if not sure.all():
            beside = pd.concat([half[~sure], most[~sure], nearly_all[~sure]])
            said = f"{each} not over, or of few"
            ax.plot([*middle[~sure]] * 3, beside, "o", markerfacecolor="none", markersize=4, color=colour, label=said)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel(f"latency per {each} (ms)")
    _axes.time_axis(ax, tz)
    return _axes.finish(ax, "y", empty=timed.empty)


def delivery_delay(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw how late each delivery arrived, one dot each, on a logarithmic scale; lost ones are crosses on top.

    Parameters
    ----------
    log : pandas.DataFrame
        Columns ``created_at``, ``delivered_at``, ``success`` and ``retry_count``. Deliveries in flight, recognised as in `delivery_volume`, are
        left out.
    ax, tz
        As in `delivery_volume`.
    """
    from matplotlib.ticker import FuncFormatter, NullLocator

    needed = ("created_at", "delivered_at", "success", "retry_count")
    log, tz = _needed(log, needed, "delivery_delay", tz)
    ax = _axes.axes(ax, 3.2)
    state = delivery_state(log)
    log = log[log["created_at"].notna() & (state != "in flight")]
    arrived = log[(state[log.index] == "succeeded") & log["delivered_at"].notna()]
    late = (arrived["delivered_at"] - arrived["created_at"]).dt.total_seconds().clip(lower=0.001)
    retried = arrived["retry_count"].fillna(0) > 0
    for rows, name, look in (
        (~retried, "at the first attempt", STATUS["published"]),
        (retried, "after retries or redelivery", STATUS["partial"]),
    ):
        if rows.any():
            times = arrived.loc[rows, "created_at"]
            ax.plot(times, late[rows], "o", markersize=4, markeredgewidth=0, alpha=0.5, color=look.colour, label=name)
    ax.set_yscale("log")
    ticks = [tick for tick in _DELAYS if tick <= 3 * max(late.max() if len(late) else 0, 1)]
    lost = log.loc[state[log.index] == "failed", "created_at"]
    if len(lost):
        ticks.append(_DELAYS_BEYOND * ticks[-1])
        ax.plot(lost, [ticks[-1]] * len(lost), "x", color=STATUS["failed"].colour, label="failed", clip_on=False)
    ax.set_yticks(ticks)
    names = {**_DELAYS, **({ticks[-1]: "never"} if len(lost) else {})}
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: names.get(value, "")))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("late by")
    _axes.time_axis(ax, tz)
    return _axes.finish(ax, "y", empty=log.empty)


def endpoint_heatmap(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None, most: int = 15) -> Axes:
    """Draw the share of failed deliveries by endpoint and hour of the day; hours without deliveries are hatched.

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
    from matplotlib.ticker import MaxNLocator

    log, tz = _needed(log, ("url", "created_at", "success"), "endpoint_heatmap", tz)
    state = delivery_state(log)
    settled = log[(state != "in flight") & log["created_at"].notna()]
    urls = _axes.texts(settled["url"])
    shown = sorted(_axes.largest(urls.value_counts().to_frame(), len(urls), "").index[:most])
    hours = settled["created_at"].dt.tz_convert(tz).dt.hour
    failed = state[settled.index] == "failed"
    counts, bad = (
        pd.crosstab(urls[rows], hours[rows]).reindex(index=shown, columns=range(24), fill_value=0)
        for rows in (failed | True, failed)
    )
    share = 100 * bad / counts.where(counts > 0)
    faded = share * (counts / _FEW).clip(upper=1) ** 2
    faded.index = pd.Index([short_address(url) for url in shown])
    ax = _axes.axes(ax, 1.5 + 0.34 * max(len(shown), 2))
    if shown:
        highest = max(float(faded.max().max()), 10.0)
        mesh = _axes.grid(ax, faded, OUTCOME["failed"].colour, highest, _notes(share, bad, counts))
        steps = [highest * step / 64 for step in range(65)]  # as many as an eye can tell
        said = "failed (% of deliveries)"
        scale = ax.figure.colorbar(mesh, ax=ax, label=said, pad=0.02, boundaries=steps, ticks=MaxNLocator(6))
        assert scale.solids is not None
        scale.solids.set(rasterized=False, edgecolor="face")  # an image would be refused by a report's own policy
        ax.set_xticks([hour + 0.5 for hour in range(0, 24, 2)], [f"{hour:02}" for hour in range(0, 24, 2)])
    few = f"cells with fewer than {_FEW} deliveries are paler and show failed/deliveries"
    ax.set_xlabel(safe.zoned("hour of the day", tz) + (f"\n{few}" if (counts.lt(_FEW) & bad.gt(0)).any().any() else ""))
    ax.set_ylabel("endpoint")
    return _axes.finish(ax, "", empty=not shown)


def _notes(share: pd.DataFrame, bad: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Return the text of the cells: the share from 10 % up, and both counts where deliveries are few."""
    percent = share.map(lambda value: f"{value:.0f}" if value >= _SAID else "")
    pairs = bad.astype(str) + "/" + counts.astype(str)
    return percent.where(counts >= _FEW, pairs.where(bad > 0, ""))


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
    what = "plots.outage_bands() needs a frame of outages"
    outages = need(outages, ("url", "start", "end"), what, "Use vx.deliveries.outages(log).", times=["start", "end"])
    if log is not None:
        log, tz = _needed(log, ("url", "created_at", "success"), "outage_bands", tz)
    tz = shown_zone(outages if log is None else log, tz)
    seen = outages["url"] if log is None else pd.concat([outages["url"], log["url"]])
    urls = sorted(seen.dropna().unique())
    rows = {url: len(urls) - 1 - index for index, url in enumerate(urls)}
    ax = _axes.axes(ax, 1.3 + 0.42 * max(len(urls), 2))
    colour = OUTCOME["failed"].colour
    for index, (url, begin, end) in enumerate(outages[["url", "start", "end"]].dropna().itertuples(index=False)):
        name = "_outage" if index else "outage"
        span = (rows[url] - 0.35, 0.7)
        ax.broken_barh([(begin, end - begin)], span, color=colour, alpha=0.35, hatch="//", edgecolor=colour, label=name)
    if log is not None:
        failures = log[(delivery_state(log) == "failed") & log["url"].notna() & log["created_at"].notna()]
        heights = failures["url"].map(rows)
        ax.plot(failures["created_at"], heights, "|", color=colour, markersize=9, label="failed delivery")
    _axes.name_rows(ax, {row: short_address(url) for url, row in rows.items()})
    _axes.time_axis(ax, tz)
    return _axes.finish(ax, "x", empty=not urls)


def _needed(log: pd.DataFrame, columns: Iterable[str], name: str, tz: str | None) -> tuple[pd.DataFrame, str]:
    """Return the deliveries, each once, with a new index, and the time zone.

    Raises one of our errors if the log is not a deliveries frame or the time zone is unknown.
    """
    columns = list(columns)
    times = [each for each in ("created_at", "delivered_at") if each in columns]
    log = need(log, columns, f"plots.{name}() needs a deliveries frame", "Use ws.deliveries(...).", times=times)
    return deduplicate(log).reset_index(drop=True), shown_zone(log, tz)


def _is_unsure(counts: pd.Series[int], width: pd.Timedelta, log: pd.DataFrame) -> Any:
    """Return which buckets say little: those not over when the log was read, and those with fewer than others."""
    few = (counts < min(_HANDFUL, counts.median() / 2)).to_numpy(bool)
    read = log.attrs.get("fetched_at")
    end = max(filter(pd.notna, [log["created_at"].max(), pd.Timestamp(read) if read else pd.NaT]))
    open_ = (pd.DatetimeIndex(counts.index) + width) > end
    return few | (open_ & (len(counts) > 1))


def _bucketed(times: pd.Series[Any], tz: str) -> tuple[pd.Series[Any], Any, str]:
    """Return the bucket of each time, its width and its name: the shortest width that gives at most 100 buckets."""
    span = times.max() - times.min() if len(times) else pd.Timedelta(0)
    code = next((code for code in _BUCKETS if span <= pd.Timedelta(code) * _MOST_BUCKETS), "7D")
    width = pd.Timedelta(code)
    if width < pd.Timedelta("1D"):
        return times.dt.floor(code).dt.tz_convert(tz), width, _BUCKETS[code]
    days = times.dt.tz_convert(tz).dt.tz_localize(None).dt.normalize()
    if code == "7D":
        days = days - pd.to_timedelta(days.dt.day_of_week, unit="D")
    return day_starts(days, tz), width, _BUCKETS[code]
