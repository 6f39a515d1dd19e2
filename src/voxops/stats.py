"""Mergeable statistics: a partial per part, a merge, a finish, and the same digits everywhere.

A *partial* is a frame: some columns are keys, the others sums, minima or maxima. Merging partials is concatenation and
grouping again, which is associative and commutative; so parts may be pandas frames, Parquet files, Dask partitions or Spark
batches, in any order, and the result is equal to the last digit. Quantiles come from an exact histogram in whole
milliseconds, not from a sketch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Tally", "nearest_rank"]


@dataclass(frozen=True)
class Tally:
    """The shape of a partial, and how two become one.

    Attributes
    ----------
    keys : tuple of str
        Columns that name a group; NA is a group like any other.
    totals : mapping
        Other columns -> ``sum``, ``min`` or ``max``.
    """

    keys: tuple[str, ...]
    totals: Mapping[str, str]

    def group(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Bring rows to one per group.

        Parameters
        ----------
        rows : pandas.DataFrame
            Has all keys and totals.

        Returns
        -------
        pandas.DataFrame
            Keys and totals with their dtypes, sorted by the keys, index from 0.
        """
        grouped = rows.groupby(list(self.keys), sort=True, dropna=False, observed=True)
        return grouped.agg(dict(self.totals)).reset_index().astype(rows.dtypes[[*self.keys, *self.totals]])

    def merge(self, partials: Iterable[pd.DataFrame]) -> pd.DataFrame:
        """Make one partial of several; the order does not matter.

        Parameters
        ----------
        partials : iterable of pandas.DataFrame
            At least one.
        """
        parts = list(partials)
        filled = [part for part in parts if len(part)]
        return self.group(pd.concat(filled, ignore_index=True)) if filled else parts[0]


def nearest_rank(values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], quantiles: Sequence[float]) -> list[int | None]:
    """Quantiles of a histogram by nearest rank: the smallest value that at least ``q`` of all observations do not exceed.

    That is the value at rank ``max(1, ceil(q * n))``, always one that was observed, and equal to ``quantile_disc`` of SQL.

    Parameters
    ----------
    values : numpy.ndarray
        Distinct values, ascending.
    counts : numpy.ndarray
        How often each occurred.
    quantiles : sequence of float
        In [0, 1].

    Returns
    -------
    list of int or None
        None where nothing was observed.
    """
    if not len(values):
        return [None] * len(quantiles)
    ends = np.cumsum(counts)
    ranks = [max(1, int(np.ceil(q * int(ends[-1]) - _SLACK))) for q in quantiles]
    return [int(values[np.searchsorted(ends, rank)]) for rank in ranks]


# 0.95 * 20 is 19 and not a hair more: what floating point adds must not lift the rank.
_SLACK = 1e-9
