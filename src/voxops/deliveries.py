"""Webhook deliveries: statistics, service levels, outages, losses; and statistics in parts, for Dask, Spark and files.

=====================  ===================================================================================
`stats`                success rate, attempts and latency, by time, endpoint, event
`levels`               service levels of endpoints, and how fast their error budget is used up
`outages`              spans in which an endpoint took nothing
`lost`                 events that were never delivered
`duplicates`           events that were delivered more than once
`about_posts`          which post a delivery is about
`partial`              the statistics of one part of a history
`merge`                partials of two parts as one
`finish`               the statistics that a partial stands for, as `stats` returns them
=====================  ===================================================================================
"""

from __future__ import annotations

from voxops.analysis.incidents import about_posts, duplicates, outages
from voxops.analysis.incidents import never_delivered as lost
from voxops.analysis.statistics import delivery_stats as stats
from voxops.analysis.statistics import finish, merge, partial
from voxops.analysis.statistics import service_levels as levels

__all__ = ["about_posts", "duplicates", "finish", "levels", "lost", "merge", "outages", "partial", "stats"]
