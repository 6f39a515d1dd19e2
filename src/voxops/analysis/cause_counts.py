"""How many failures each cause has: partials that merge, and the table of causes that they finish as."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from voxops.analysis.statistics import Tally, flat, ranked
from voxops.frames import latest_targets, need_frame
from voxops.frames.columns import flags, restored
from voxops.frames.values import STRING_DTYPE

__all__ = ["CAUSE_TALLY", "cause_partial", "causes", "finish_causes", "merge_causes", "names_of"]

# One row per cause, account and post; enough to count each of them exactly after any merge.
CAUSE_TALLY = Tally(
    keys=("cause", "verdict", "remedy", "platform", "account_id", "post_id"),
    totals={"count": "sum", "retryable": "sum", "first_seen": "min", "last_seen": "max", "example": "min"},
)
_CAUSE = ["cause", "verdict", "remedy"]


def cause_partial(triaged: pd.DataFrame) -> pd.DataFrame:
    """Count the causes of one part of a history; merge parts with `merge_causes`.

    Parameters
    ----------
    triaged : pandas.DataFrame
        From `triage`, with ``post_id account_id updated_at``.

    Returns
    -------
    pandas.DataFrame
        A partial: keys ``cause verdict remedy platform account_id post_id`` (string); ``count retryable`` (Int64),
        ``first_seen last_seen`` (UTC, of the post's last change) and ``example`` (string, a message). Rows without a cause are
        left out.

    Raises
    ------
    PlanError
        If a column is missing.
    """
    needed = [*CAUSE_TALLY.keys, "retryable", "updated_at", "error_message"]
    need_frame(triaged, needed, "causes() needs a triaged frame", "Use vx.triage(vx.targets(posts)).")
    failures = triaged.loc[triaged["cause"].notna(), needed]
    failures = failures.assign(retryable=flags(failures, "retryable"))  # a file may have made text of it
    rows = restored(failures).rename(columns={"updated_at": "first_seen", "error_message": "example"})
    rows = rows.assign(count=1, last_seen=rows["first_seen"]).astype({"count": "Int64", "retryable": "Int64"})
    return CAUSE_TALLY.group(rows)


def merge_causes(*partials: pd.DataFrame | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Make one partial of several, one by one or as an iterable; order and grouping do not matter."""
    return CAUSE_TALLY.merge(flat(partials))


def finish_causes(partial: pd.DataFrame) -> pd.DataFrame:
    """Turn a partial into the table of causes.

    Parameters
    ----------
    partial : pandas.DataFrame
        From `cause_partial`, or several merged.

    Returns
    -------
    pandas.DataFrame
        One row per cause, the commonest first: ``cause verdict remedy`` (string), ``platforms`` (string, joined by a comma),
        ``count`` (Int64, targets), ``posts accounts`` (Int64, distinct), ``retryable`` (Int64, how many targets),
        ``first_seen last_seen`` (UTC), ``example`` (string).
    """
    grouped = partial.groupby(_CAUSE, dropna=False, sort=True)
    table = grouped.agg(
        platforms=("platform", lambda names: ", ".join(sorted(set(names.dropna())))),
        count=("count", "sum"),
        posts=("post_id", "nunique"),
        accounts=("account_id", "nunique"),
        retryable=("retryable", "sum"),
        first_seen=("first_seen", "min"),
        last_seen=("last_seen", "max"),
        example=("example", "min"),
    ).reset_index()
    text, number = STRING_DTYPE, "Int64"
    table = table.astype(
        {"platforms": text, "posts": number, "accounts": number, "count": number, "retryable": number, "example": text}
    )
    return table.sort_values(["count", "cause", "verdict"], ascending=[False, True, True], ignore_index=True)


def causes(triaged: pd.DataFrame) -> pd.DataFrame:
    """Group the rows of a triaged frame by cause: how many, where, since when, an example.

    Parameters
    ----------
    triaged : pandas.DataFrame
        From `triage`; of several joined, each target counts once, as its post was last (`latest_targets`).

    Returns
    -------
    pandas.DataFrame
        As `finish_causes` returns it, and where the rows have an ``owner`` also ``owners`` (string: whose posts they are, most
        rows first, with how many). Rows without a cause (published, withdrawn, not yet due) are left out.

    Raises
    ------
    PlanError
        If a column is missing.

    Examples
    --------
    >>> vx.causes(triaged)[["cause", "verdict", "count"]].head(3)
                                                   cause            verdict  count
    0  TOKEN_EXPIRED instagram: The access token of <...  reconnect account     20
    1  RATE_LIMITED twitter: X rate limit reached for...              retry      9
    2  SERVICE_UNAVAILABLE facebook: Facebook answere...              retry      9
    """
    triaged = latest_targets(triaged)
    table = finish_causes(cause_partial(triaged))
    if "owner" in triaged.columns:
        rows = triaged[triaged["cause"].notna()]
        groups = {
            tuple(map(str, key)): names_of(part["owner"])
            for key, part in rows.groupby([rows[name].astype(str) for name in _CAUSE], sort=False)
        }
        keys = table[_CAUSE].astype(str).itertuples(index=False, name=None)
        table["owners"] = pd.array([groups.get(key, "") for key in keys], dtype=STRING_DTYPE)
    table.attrs = {name: triaged.attrs[name] for name in ("tz", "people") if name in triaged.attrs}
    return table


def names_of(owners: pd.Series, most: int = 4) -> str:
    """Name people by how many rows are theirs, as ``maria.k (3), tom.b (1)``; what belongs to nobody is not named."""
    counts = ranked(owners)
    named = [f"{name} ({count})" for name, count in counts.head(most).items()]
    return ", ".join(named) + (f" and {len(counts) - most} more" if len(counts) > most else "")
