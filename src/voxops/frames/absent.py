"""What became of a column that a frame lacks, as far as the frame shows it, and what to do about it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable

import pandas as pd

from voxops._core.arguments import near

__all__ = ["absent", "warn_of_slips"]

_IDS = ("delivery_id", "post_id", "platform", "account_id")  # what tells the rows of a frame apart


def absent(frame: pd.DataFrame, wanted: Iterable[str], maker: str) -> tuple[str, list[str]]:
    """The columns that a frame lacks, ``""`` if none, and what to do: what the frame shows of each, `maker` where it shows nothing."""
    names = list(wanted)
    missing = [name for name in names if name not in frame.columns]
    cures = {name: _cure(frame, name, missing) for name in missing}
    # What has a name of its own here is no slip of the pen.
    others = [str(head) for head in frame.columns if head not in names and not str(head).startswith("new_")]
    said = [name if cures[name] else name + _meant(name, others) for name in missing]
    return ", ".join(said), list(dict.fromkeys(cure or maker for cure in cures.values()))


def warn_of_slips(frame: pd.DataFrame, names: Iterable[str]) -> None:
    """Warn of a filled column whose name nearly is one of `names`, none of which a frame must have: nobody would read it.

    Columns of one's own are no slips: only a name that is near one of ours, in a frame without it or with nothing in it, is one.
    """
    ours = list(names)
    unused = [name for name in ours if name not in frame.columns or frame[name].isna().all()]
    for head in frame.columns:
        name = "_".join(str(head).lower().split())
        meant = near(name, unused) if head not in ours else None
        # ``scheduled_for`` is near ``new_scheduled_for``, and no slip.
        if meant and name.startswith("new") == meant.startswith("new") and frame[head].notna().any():
            warnings.warn(f"column {head!r} is none that is read; did you mean {meant!r}? Rename it then", stacklevel=3)


def _meant(name: str, others: Iterable[str]) -> str:
    """The column that may be meant, ``""`` where none is near."""
    meant = near(name, others)
    return f" (did you mean {meant!r}?)" if meant else ""


def _cure(frame: pd.DataFrame, name: str, missing: Iterable[str]) -> str:
    """What to do about one column, the same words for all to which the same has happened; ``""`` where nothing shows what has."""
    if name in frame.index.names:
        return (
            f"use reset_index(): the index is {', '.join(str(each) for each in frame.index.names if each is not None)}"
        )
    merged = [each for each in missing if {f"{each}_x", f"{each}_y"} <= set(frame.columns)]
    if name in merged:
        pairs = ", ".join(f"{each}_x and {each}_y" for each in merged)
        return f"after merge() there are {pairs}: pass it suffixes=('', '_other'), or rename one"
    ids = [each for each in _IDS if each in frame.columns]
    zoned = re.compile(re.escape(name) + r" \(\S+\)")  # as `voxops.to_excel` names columns of times
    if ids and any(zoned.fullmatch(str(head)) for head in frame.columns):
        by = " and ".join(filter(None, (", ".join(ids[:-1]), ids[-1])))
        return (
            "its heads are those of vx.to_excel, whose times are local and for reading: keep the frame as Parquet or CSV, "
            f"and join the edited column to it by {by}"
        )
    return ""
