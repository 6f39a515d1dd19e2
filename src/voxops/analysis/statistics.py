"""Mergeable statistics: a partial per part, a merge, a finish, and the same digits everywhere.

A *partial* is a frame: some columns are keys, the others sums, minima or maxima. Merging partials is concatenation and
grouping again, which is associative and commutative; so parts may be pandas frames, Parquet files, Dask partitions or Spark
batches, in any order, and the result is equal to the last digit. Quantiles come from an exact histogram in whole
milliseconds, not from a sketch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from voxops._core.jsontext import well_formed
from voxops.frames.columns import unnamed_index

__all__ = ["Tally", "flat", "quantiles", "ranked", "share", "well_formed_texts"]

_MISSING = -1  # the rank of a text that is not there


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
        texts = [name for name in self.totals if rows[name].dtype == "string"]
        # pandas compares texts group by group in Python: of many small groups, the smallest of ranks is found far sooner
        ranks = {name: pd.factorize(well_formed_texts(rows[name]), sort=True) for name in texts}
        ranked = unnamed_index(rows).assign(**{name: pd.array(codes, "Int64") for name, (codes, _) in ranks.items()})
        for name in texts:
            ranked[name] = ranked[name].mask(ranked[name] == _MISSING)
        grouped = ranked.groupby(list(self.keys), sort=True, dropna=False, observed=True)
        table = grouped.agg(dict(self.totals)).reset_index()
        for name, (_, words) in ranks.items():
            best = table[name].fillna(_MISSING).to_numpy("int64")
            table[name] = pd.Series(words).reindex(best).array
        return table.astype(rows.dtypes[[*self.keys, *self.totals]])

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


def well_formed_texts(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Texts with a question mark for each half of a surrogate pair, which pyarrow refuses where pandas hands columns to it."""
    return texts.map(well_formed, na_action="ignore").astype(texts.dtype)


def flat(partials: Iterable[pd.DataFrame | Iterable[pd.DataFrame]]) -> list[pd.DataFrame]:
    """Partials one by one, in iterables, or both."""
    return [part for each in partials for part in ([each] if isinstance(each, pd.DataFrame) else each)]


def quantiles(
    histogram: pd.DataFrame, keys: Sequence[str], value: str, count: str, percents: Mapping[str, int]
) -> pd.DataFrame:
    """Quantiles per group of an exact histogram, by nearest rank.

    The quantile of ``p`` percent is the smallest value that at least ``p`` percent of the observations do not exceed: the one
    at rank ``max(1, ceil(p * n / 100))``, in whole numbers. It is always a value that was observed, and equal to
    ``quantile_disc`` of DuckDB.

    Parameters
    ----------
    histogram : pandas.DataFrame
        Columns `keys`, `value` (Int64) and `count` (Int64); rows without a value are left out.
    keys : sequence of str
        Columns that name a group.
    value, count : str
        Names of the columns.
    percents : mapping
        Name of the result -> percent, 1 to 100.

    Returns
    -------
    pandas.DataFrame
        `keys` and one Int64 column per entry of `percents`; only groups with an observation. Without keys one row, NA if
        nothing was observed.
    """
    on = list(keys) or ["_all"]
    seen = histogram[histogram[value].notna() & (histogram[count] > 0)].assign(_all=0)
    seen = seen.groupby([*on, value], sort=True, dropna=False, observed=True)[count].sum().reset_index()
    groups = seen.groupby(on, sort=False, dropna=False, observed=True)
    rank, total = groups[count].cumsum(), groups[count].transform("sum")
    found = groups.head(1)[on].reset_index(drop=True)
    if not keys and found.empty:
        found = pd.DataFrame({"_all": [0]})
    for name, percent in percents.items():
        reached = (
            seen[rank >= (total * percent + 99) // 100].groupby(on, sort=False, dropna=False, observed=True).head(1)
        )
        found[name] = pd.Series(reached[value].to_numpy(object), dtype="Int64")
    return found[[*keys, *percents]].astype(dict.fromkeys(percents, "Int64"))


def share(part: pd.Series[Any], whole: pd.Series[Any]) -> pd.Series[Any]:
    """One count by another, Float64; NA where there is nothing to divide by."""
    return cast("pd.Series[Any]", part.astype("Float64") / whole.astype("Float64").where(whole > 0))


def ranked(values: pd.Series[Any]) -> pd.Series[Any]:
    """Count how often each value occurs, the most frequent first, equals in their own order; what is missing is not counted.

    Parameters
    ----------
    values : pandas.Series
        Values that can be sorted.

    Returns
    -------
    pandas.Series
        Value -> how often it occurs (an integer dtype).
    """
    counts = values.value_counts()
    return counts[counts > 0].sort_index().sort_values(ascending=False, kind="stable")
