"""What became of a column that a frame lacks, as far as the frame shows it, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

__all__ = ["absent"]

_IDS = ("delivery_id", "post_id", "platform", "account_id")  # what tells the rows of a frame apart


def absent(frame: pd.DataFrame, wanted: Iterable[str], maker: str) -> tuple[str, list[str]]:
    """The columns that a frame lacks, ``""`` if none, and what to do: what the frame shows of each, `maker` where it shows nothing."""
    missing = [name for name in wanted if name not in frame.columns]
    return ", ".join(missing), list(dict.fromkeys(_cure(frame, name) or maker for name in missing))


def _cure(frame: pd.DataFrame, name: str) -> str:
    """What to do about one column; ``""`` where nothing shows what became of it."""
    ids = [each for each in _IDS if each in frame.columns]
    zoned = re.compile(re.escape(name) + r" \(\S+\)")  # as `voxops.to_excel` names columns of times
    if ids and any(zoned.fullmatch(str(head)) for head in frame.columns):
        by = " and ".join(filter(None, (", ".join(ids[:-1]), ids[-1])))
        return (
            "its heads are those of vx.to_excel, whose times are local and for reading: keep the frame as Parquet or CSV, "
            f"and join the edited column to it by {by}"
        )
    return ""
