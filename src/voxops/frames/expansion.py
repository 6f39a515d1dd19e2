"""From one row per post to one row per post and platform."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from voxops.errors import PlanError
from voxops.frames.columns import need_frame, times_of
from voxops.frames.entries import targets_in
from voxops.frames.schemas import TARGET
from voxops.frames.target import Target, Targets, gather
from voxops.model import IN_FLIGHT_STATUSES

__all__ = ["TARGET_COLUMNS", "TARGET_KEY", "latest_rows", "latest_targets", "targets"]

# What a row of the targets frame takes from its post: column -> the post's column.
_OF_POST = {
    "post_status": "status",
    "updated_at": "updated_at",
    "scheduled_for": "scheduled_for",
    "content": "content",
    "workspace_id": "workspace_id",
}
# Whose post it is, where its frame says so: see `people`.
_NAMED = ("owner", "campaign")
TARGET_COLUMNS = ("post_id", *Target._fields, *_OF_POST)
TARGET_KEY = ("post_id", "platform", "account_id")  # which target a row is about

_OPEN = frozenset({"failed", *IN_FLIGHT_STATUSES})
_PLATFORM = re.compile(r"[\w .-]{1,60}")  # as far as a name alone tells
_SAID = ("target_id", "platform", "account_id", "status", "error_code", "error_message")  # none of it: no target
_CHILDLESS = Targets.of([Target()])


def targets(posts: pd.DataFrame) -> pd.DataFrame:
    """One row per post and platform.

    Parameters
    ----------
    posts : pandas.DataFrame
        A posts frame or a selection of its rows, also exploded by ``targets``; needs ``post_id status targets updated_at
        scheduled_for content workspace_id``. It may come back from a Parquet file, Polars or DuckDB; CSV keeps no targets.

    Returns
    -------
    pandas.DataFrame
        In the order of the posts, index from 0: ``post_id target_id platform account_id account_name status error_code
        error_message`` (string), ``retry_count`` (Int64), ``platform_post_id platform_post_url`` (string), ``published_at`` (UTC),
        ``post_status`` (string), ``updated_at scheduled_for`` (UTC; the post's), ``content workspace_id`` (string); and ``owner
        campaign`` (string) and ``tags`` (tuples) where the posts have an owner or a campaign
        (``vx.connect(owner="metadata.owner")``). A post of which the frame shows no target keeps one row in which the target's
        columns are NA; an event that is about no post has none. Each target stands there once, however often its post is in the frame, as after a ``pd.concat`` of two loads: as the row shows
        it whose post changed last. ``attrs`` are those of the posts, with ``kind`` targets and ``open_targets``: JSON text,
        post id -> [failed, in flight], so that a plan still knows of the rows that are filtered away.

    Raises
    ------
    PlanError
        If a column is missing, or ``targets`` is text that a CSV file made of it.

    Examples
    --------
    >>> vx.targets(posts)[["post_id", "platform", "status"]].shape[1]
    3
    """
    needed = ("post_id", "targets", *_OF_POST.values())
    need_frame(posts, needed, "targets() needs a posts frame", "Load it with ws.posts(...).")
    for row, cell in enumerate(posts["targets"]):
        if isinstance(cell, str) and not _PLATFORM.fullmatch(cell):
            raise PlanError(
                f"row {row}: the column targets holds text that names no platform, {cell[:30]!r}; a CSV file keeps no targets. "
                "Load the posts with ws.posts(...), or keep vx.targets(posts) as a Parquet file."
            )
    groups = [targets_in(cell) or _CHILDLESS for cell in posts["targets"]]
    of_post = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    columns: dict[str, Any] = {"post_id": posts["post_id"].array.take(of_post)}
    fields = gather(groups)
    columns |= {column.name: column.kind.array(fields[column.name]) for column in TARGET if column.shown}
    for name, source in _OF_POST.items():
        columns[name] = posts[source].array.take(of_post)
    named = [name for name in _NAMED if name in posts.columns]
    for name in [*named, "tags"] if named or "tags" in posts.attrs.get("people", ()) else ():
        if name in posts.columns:
            columns[name] = posts[name].array.take(of_post)
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(of_post)))
    childless = np.array([group is _CHILDLESS for group in groups], bool)[of_post]
    kept = ~_needless(frame["post_id"], childless)
    if "event_id" in posts.columns:
        kept &= frame["post_id"].notna().to_numpy(bool)
    if not kept.all():
        frame, of_post = frame[kept].reset_index(drop=True), of_post[kept]
    frame = _deduplicated(frame, of_post)
    frame.attrs = {**posts.attrs, "kind": "targets", "open_targets": _open_targets(frame)}
    return frame


def _deduplicated(frame: pd.DataFrame, of_post: np.ndarray[Any, Any]) -> pd.DataFrame:
    """Targets of posts that stand in several rows, each once: as the row shows it whose post changed last, of equals the last row."""
    if not frame["post_id"].iloc[np.flatnonzero(np.diff(of_post, prepend=-1))].duplicated().any():
        return frame
    number = frame.groupby([*TARGET_KEY, "target_id"], dropna=False, sort=False).ngroup().to_numpy()
    changed = pd.to_datetime(frame["updated_at"], utc=True, errors="coerce", format="ISO8601")
    order = np.lexsort((of_post, changed.fillna(pd.Timestamp(0, tz="UTC")).to_numpy()))
    newest = np.empty(number.max() + 1, of_post.dtype)
    newest[number[order]] = of_post[order]  # of several the last one stays
    kept: pd.DataFrame = frame[of_post == newest[number]]
    return kept.reset_index(drop=True)


def _needless(posts: pd.Series[str], childless: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows that stand for a post without targets, where other rows, of another load or event, show its targets."""
    return childless & posts.notna().to_numpy(bool) & posts.isin(posts[~childless]).to_numpy(bool)


def latest_targets(frame: pd.DataFrame) -> pd.DataFrame:
    """Targets that stand in a frame in several rows, as after a ``pd.concat`` of two triaged ones, each once.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `targets`, or triaged. Without ``post_id platform account_id updated_at`` it is returned as it is.

    Returns
    -------
    pandas.DataFrame
        Rows of `frame` in their order, with their index: of each target the one whose post changed last, of equals the last. What
        names no post, or a platform but neither account nor target, may be another one, and stays.
    """
    if not isinstance(frame, pd.DataFrame) or not {*TARGET_KEY, "updated_at"} <= set(frame.columns):
        return frame  # what it lacks is said where it is needed
    known = frame.loc[:, ~frame.columns.duplicated()]  # what it has twice is refused where it is needed
    childless = known[[name for name in _SAID if name in known.columns]].isna().all(axis=1).to_numpy(bool)
    if childless.any():
        loads = pd.MultiIndex.from_frame(known[["post_id", "updated_at"]])
        # Beside targets of its own load it is one that says nothing.
        childless = childless & ~loads.isin(loads[~childless])
        needed = ~_needless(known["post_id"], childless)
        if not needed.all():
            frame, known = frame[needed], known[needed]
    names = known[list(TARGET_KEY)].astype(object).reset_index(drop=True)
    if "target_id" in known.columns:  # which lists may leave out: of one target, one load may show it, and another not
        names["account_id"] = names["account_id"].fillna(known["target_id"].astype(object).reset_index(drop=True))
    sure = names["post_id"].notna() & (names["account_id"].notna() | names["platform"].isna())
    if not (names.duplicated() & sure).any():
        return frame
    return frame.iloc[_last_of(names, sure, times_of(known, "updated_at"))]


def latest_rows(frame: pd.DataFrame, key: Sequence[str], changed: str) -> pd.DataFrame:
    """Records that stand in a frame in several rows, as after a ``pd.concat`` of two loads, each once.

    Parameters
    ----------
    frame : pandas.DataFrame
        Where a column is missing, it is returned as it is.
    key : sequence of str
        Columns that name a record, such as ``post_id``; rows that lack one of them stay.
    changed : str
        Column of times: of each record the row with the latest stays, of equals the last.

    Returns
    -------
    pandas.DataFrame
        Rows of `frame` in their order, with their index.
    """
    if not {*key, changed} <= set(frame.columns):
        return frame
    names = frame[list(key)].astype(object).reset_index(drop=True)
    sure = names.notna().all(axis=1)
    if not (names.duplicated() & sure).any():
        return frame
    return frame.iloc[_last_of(names, sure, times_of(frame, changed))]


def _last_of(names: pd.DataFrame, sure: pd.Series[bool], changed: pd.DatetimeIndex) -> np.ndarray[Any, Any]:
    """Positions, in their order, of the rows that changed last of those with equal names, and of those that are not sure."""
    order = np.argsort(changed.fillna(pd.Timestamp(0, tz="UTC")).to_numpy(), kind="stable")
    kept = (~names.iloc[order].duplicated(keep="last") | ~sure.iloc[order]).to_numpy(bool)
    return np.sort(order[kept])


def _open_targets(frame: pd.DataFrame) -> str:
    """Per post how many targets failed and how many are in flight, as JSON text, so that no later filter can hide one."""
    opened = frame.loc[frame["status"].isin(list(_OPEN)), ["post_id", "status", "target_id", "platform", "account_id"]]
    counts: dict[str, list[int]] = {}
    for post_id, status in opened.drop_duplicates()[["post_id", "status"]].itertuples(index=False):
        counts.setdefault(str(post_id), [0, 0])[status != "failed"] += 1
    return msgspec.json.encode(counts).decode()
