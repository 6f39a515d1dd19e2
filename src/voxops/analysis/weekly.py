"""Causes of failures by week: how many targets failed of which cause in which week. Counts are sums, so parts of a history merge in any order."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from voxops.analysis.partials import span_start
from voxops.analysis.statistics import Tally, flat
from voxops.frames import latest_targets, need_frame
from voxops.frames.spans import shown_zone, zone

__all__ = ["cause_weeks", "merge_weeks", "week_partial"]

_KEYS = ("week", "cause", "verdict", "platform")
_TALLY = Tally(keys=_KEYS, totals={"targets": "sum"})


def cause_weeks(triaged: pd.DataFrame, *, tz: str | None = None) -> pd.DataFrame:
    """Count the causes of failures week by week.

    Parameters
    ----------
    triaged : pandas.DataFrame
        From ``vx.triage``.
    tz : str, optional
        Time zone in which weeks begin, on Monday at midnight: that of the workspace (``triaged.attrs["tz"]``) by default, else UTC.

    Returns
    -------
    pandas.DataFrame
        One row per week, cause, verdict and platform, sorted: ``week`` (``datetime64[us, tz]``, when it began; of the post's last
        change), ``cause verdict platform`` (string), ``targets`` (Int64). Rows without a cause are left out; weeks without failures
        have no row.

    Raises
    ------
    PlanError
        If a column is missing.
    ConfigError
        If `tz` is not a time zone.

    Examples
    --------
    >>> weeks = vx.cause_weeks(triaged)
    >>> int(weeks["targets"].sum()) == int(triaged["cause"].notna().sum())
    True
    """
    return merge_weeks(week_partial(latest_targets(triaged), tz=shown_zone(triaged, tz)))


def week_partial(triaged: pd.DataFrame, *, tz: str = "UTC") -> pd.DataFrame:
    """Count one part of a history; `merge_weeks` makes one of several."""
    needed = ("cause", "verdict", "platform", "updated_at")
    what = "cause_weeks() needs a triaged frame"
    triaged = need_frame(triaged, needed, what, "Use vx.triage(vx.targets(posts)).", times=["updated_at"])
    zone(tz)
    rows = triaged[triaged["cause"].notna()]
    week = span_start(rows["updated_at"], "week", tz)
    counted = pd.DataFrame({"week": week, **{name: rows[name] for name in _KEYS[1:]}})
    return _TALLY.group(counted.assign(targets=pd.array([1] * len(counted), dtype="Int64")))


def merge_weeks(*partials: pd.DataFrame | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Make one partial of several, which is the table itself."""
    return _TALLY.merge(flat(partials))
