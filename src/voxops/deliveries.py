"""Webhook deliveries: statistics, service levels, outages, losses; and statistics in parts, for Dask, Spark and files.

=====================  ===================================================================================
`stats`                success rate, attempts and latency, by time, endpoint, event
`levels`               service levels of endpoints, and how fast their error budget is used up
`outages`              spans in which an endpoint accepted nothing
`lost`                 failed deliveries that the API will not retry
`duplicates`           events that were delivered more than once
`about_posts`          the post of each delivery
`partial`              the statistics of one part of a history
`merge`                partials of several parts as one
`finish`               the statistics of a partial, as `stats` returns them
=====================  ===================================================================================
"""

from __future__ import annotations

from voxops.analysis.incidents import about_posts, duplicates, lost, outages
from voxops.analysis.statistics import finish, levels, merge, partial, stats

__all__ = ["about_posts", "duplicates", "finish", "levels", "lost", "merge", "outages", "partial", "stats"]


def __dir__() -> list[str]:
    return __all__
