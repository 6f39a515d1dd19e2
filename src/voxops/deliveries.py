"""Delivery statistics in parts, for Dask, Spark and files: `partial` of each part, `merge` them, `finish` the sum."""

from __future__ import annotations

from voxops.analysis.statistics import finish, merge, partial

__all__ = ["finish", "merge", "partial"]
