"""Records of the API as frames with fixed dtypes: posts, their targets, deliveries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from msgspec.structs import astuple

from voxops._support.eventloop import collector_paused
from voxops.api.states import PostState, Source, TargetState
from voxops.errors import PlanError
from voxops.frames.cells import Target, Targets, value_in
from voxops.frames.checks import need, times_of
from voxops.frames.schemas import SCHEMAS, TARGET, entries_of, objects, read, read_targets
from voxops.frames.times import EPOCH, NAT, TIME_DTYPE, stamps
from voxops.model import IN_FLIGHT_STATUSES

_BLOCK = 5000  # rows whose values become arrays together


class Columns:
    """Collect pages into one typed frame.

    Parameters
    ----------
    kind : str
        A key of `SCHEMAS`: ``posts deliveries accounts webhooks bulk_results``.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._waiting: dict[str, list[Any]] = {column.name: [] for column in SCHEMAS[kind] if column.shown}
        self._blocks: list[pd.DataFrame] = []
        self._unread: Counter[str] = Counter()
        self._rows = 0

    def __len__(self) -> int:
        """The number of records so far."""
        return self._rows

    @collector_paused()
    def extend(self, records: Iterable[Any], **fill: Any) -> None:
        """Add a page of records.

        Parameters
        ----------
        records : iterable of mapping
            As decoded; an envelope ``{"data": {…}}`` is removed. A value that is not an object is skipped, and counted as
            ``record`` in the frame's ``attrs["unread"]``.
        **fill
            Wire fields for records that lack them, such as ``webhookId`` of the requested list.
        """
        page = list(records)
        kept = page if set(map(type, page)) == {dict} else [record for record in page if isinstance(record, dict)]
        self._unread["record"] += len(page) - len(kept)
        self._rows += len(kept)
        # At once, so that no page's objects are alive beside the next one's: the garbage collector would visit them.
        raw, plain = read(self._kind, [{**fill, **record} for record in kept] if fill else kept)
        for column in SCHEMAS[self._kind]:
            if column.shown:
                values = plain[column.name]
                self._waiting[column.name] += column.kind.pack(values) if column.kind.pack else values
                self._unread[column.name] -= raw[column.name].count(None) if column.kind.parsed else 0
        if self._rows % _BLOCK < len(kept):
            self._convert()

    @collector_paused()
    def frame(self, **attrs: Any) -> pd.DataFrame:
        """Return all rows so far.

        Parameters
        ----------
        **attrs
            The frame's ``attrs``, such as ``fetched_at``: plain JSON values, times as ISO text, so that copies, concatenation
            and files keep them.

        Returns
        -------
        pandas.DataFrame
            Columns and dtypes of the schema, index from 0. ``attrs`` also has ``kind`` and ``unread``: per column the number of
            unreadable values, which are NA.
        """
        self._convert()
        self._blocks = [pd.concat(self._blocks, ignore_index=True)]
        frame = self._blocks[0].copy(deep=False)
        for column in SCHEMAS[self._kind]:
            # Only now: the garbage collector, which ignores bytes, would visit each cell again and again while pages are read.
            if column.shown and (cell := column.kind.cell):
                frame[column.name] = frame[column.name].map(cell, na_action="ignore")
        frame.attrs.update(kind=self._kind, **attrs, unread=dict(+self._unread))
        return frame

    def _convert(self) -> None:
        """Convert the waiting values to arrays."""
        columns = {}
        for column in SCHEMAS[self._kind]:
            if column.shown:
                columns[column.name] = (objects if column.kind.pack else column.kind.array)(self._waiting[column.name])
                self._waiting[column.name] = []
                self._unread[column.name] += int(columns[column.name].isna().sum()) if column.kind.parsed else 0
        self._blocks.append(pd.DataFrame(columns))


def build(kind: str, records: Iterable[Any], **attrs: Any) -> pd.DataFrame:
    """Convert records to the frame of their kind; `Columns` does it page by page.

    Parameters
    ----------
    kind : str
        A key of `SCHEMAS`.
    records : iterable of mapping
        As decoded from the wire.
    **attrs
        See `Columns.frame`.

    Returns
    -------
    pandas.DataFrame
        Columns and dtypes of the schema, whatever the records contain.
    """
    columns = Columns(kind)
    columns.extend(records)
    return columns.frame(**attrs)


def _rows(kind: str, records: Iterable[Any], names: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    """Return these columns of records, row by row: times as ISO text in UTC, and ``_version``, the ``updatedAt`` of a post as sent."""
    plain = read(kind, [record for record in records if isinstance(record, Mapping)])[1]
    times = {column.name: times_text(plain[column.name]) for column in SCHEMAS[kind] if column.kind.name == "time"}
    columns = {**plain, **times, "_version": plain.get("updated_at")}
    return zip(*(columns[name] for name in names), strict=True)


def times_text(values: Sequence[Any]) -> list[str | None]:
    """Return times as ISO text in UTC, as in frames; None for none."""
    times = stamps(values).tolist()
    return [None if time == NAT else (EPOCH + timedelta(microseconds=time)).isoformat() for time in times]


# The fields of a delivery that a further try changes, and its keys (rule 13).
DELIVERY_EPISODE = (
    "delivery_id", "webhook_id", "success", "status_code", "latency_ms", "retry_count", "error", "delivered_at",
)  # fmt: skip
_state_of = attrgetter(*(field.name for field in fields(TargetState)))


def read_posts(records: Sequence[Any], source: Source = "list") -> dict[str, PostState]:
    """Read posts by id, in every known shape, by the schema of the posts frame; a version must fit into a header."""
    names = [
        "post_id",
        "status",
        "updated_at",
        "created_at",
        "scheduled_for",
        "content",
        "metadata",
        "targets",
        "tags",
        "_version",
    ]
    states: dict[str, PostState] = {}
    for post_id, status, updated, created, scheduled, content, metadata, targets, tags, version in _rows(
        "posts", records, names
    ):
        if post_id is not None:
            known = tuple(TargetState(*_state_of(target)) for target in targets if target.platform is not None)
            states[post_id] = PostState(
                post_id, status or "", updated, created, scheduled, content,
                metadata if isinstance(metadata, Mapping) else None, known, source, tags, version if re.fullmatch(r"[!-~]{1,64}", version or "") else None,
            )  # fmt: skip
    return states


def read_post(record: Any) -> PostState | None:
    """Read the record of a single post; None if it names none."""
    return next(iter(read_posts([record], "single").values()), None)


def read_deliveries(records: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Return deliveries as their episodes, by id, and when they were created."""
    names = (*DELIVERY_EPISODE, "created_at")
    rows = (dict(zip(names, row, strict=True)) for row in _rows("deliveries", records, names))
    return {
        row["delivery_id"]: row | {"success": bool(row["success"])} for row in rows if row["delivery_id"] is not None
    }


def read_bulk_results(results: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Read items of a bulk response as ``(index, status, post_id, error_code, error_message)``, as far as possible."""
    return list(_rows("bulk_results", results, ("index", "status", "post_id", "error_code", "error_message")))


# Columns of the targets frame from the post: column -> the post's column.
_OF_POST = {"post_status": "status"} | {
    name: name for name in ("updated_at", "scheduled_for", "content", "workspace_id")
}
TARGET_KEY = ("post_id", "platform", "account_id")  # identify the target of a row
TRIED_TYPES: Mapping[str, Any] = {
    "last_outcome": "string", "last_code": "string", "last_tried_at": TIME_DTYPE, "tried": "Int64",
}  # fmt: skip
_OPEN = frozenset({"failed", *IN_FLIGHT_STATUSES})
_PLATFORM = re.compile(r"[\w .-]{1,60}")  # known from a bare name


def targets_in(cell: Any) -> list[Target]:
    """Return the targets in a cell of posts, also from the JSON, lists and mappings of a file.

    Raises
    ------
    PlanError
        If it is text that is neither JSON nor names a platform.
    """
    if isinstance(cell, Targets):
        return cell.value
    entries = value_in(cell)
    if entries is None and isinstance(cell, str):
        if not _PLATFORM.fullmatch(cell):
            raise PlanError(
                f"the column targets has text that names no platform, {cell[:30]!r}. Load the posts with ws.posts(...)"
            )
        entries = cell
    return read_targets(entries_of(entries))


def platforms_in(cell: Any) -> str | None:
    """Return the platforms of a cell of targets, joined; None for none."""
    return "+".join(sorted({target.platform for target in targets_in(cell) if target.platform})) or None


def targets(posts: pd.DataFrame) -> pd.DataFrame:
    """One row per post and platform.

    Parameters
    ----------
    posts : pandas.DataFrame
        A posts frame or a selection of its rows; needs ``post_id status targets updated_at scheduled_for content
        workspace_id``. It may come from a Parquet or CSV file.

    Returns
    -------
    pandas.DataFrame
        In the order of the posts, index from 0: ``post_id target_id platform account_id account_name status error_code
        error_message`` (string), ``retry_count`` (Int64), ``platform_post_id platform_post_url`` (string), ``published_at`` (UTC),
        ``post_status`` (string), ``updated_at scheduled_for`` (UTC; the post's), ``content workspace_id`` (string); and ``owner
        campaign`` (string) and ``tags`` (tuples) if the posts have an owner or a campaign (``vx.connect(owner_field="owner")``). If
        this ledger has retried some: ``last_outcome last_code`` (string), ``last_tried_at`` (UTC), ``tried`` (Int64, how often). A
        post without listed targets has one row with the target's columns NA. A post that has several rows, as after a
        ``pd.concat`` of two loads, counts once: as it changed last. ``attrs`` are those of the posts, with ``kind`` targets and
        ``open_targets``: JSON text, post id -> [failed, in flight], so that a plan still knows of filtered rows.

    Raises
    ------
    PlanError
        If a column is missing, or ``targets`` is text of another kind.

    Examples
    --------
    >>> vx.targets(posts)[["post_id", "platform", "status"]].shape[1]
    3
    """
    needed = ("post_id", "targets", *_OF_POST.values())
    need(posts, needed, "targets() needs a posts frame", "Load it with ws.posts(...).")
    ids = posts["post_id"].astype(object).reset_index(drop=True)
    posts = last_of_each(posts, ids, ids.notna(), times_of(posts, "updated_at").asi8)
    groups = [targets_in(cell) or [Target()] for cell in posts["targets"]]
    of_post = np.repeat(np.arange(len(groups)), list(map(len, groups)))
    values = list(zip(*map(astuple, chain.from_iterable(groups)), strict=True)) or [()] * len(Target.__struct_fields__)
    fields_of = dict(zip(Target.__struct_fields__, values, strict=True))
    columns: dict[str, Any] = {"post_id": posts["post_id"].array.take(of_post)}
    columns |= {column.name: column.kind.array(fields_of[column.name]) for column in TARGET if column.shown}
    columns |= {name: posts[source].array.take(of_post) for name, source in _OF_POST.items()}
    named = [name for name in ("owner", "campaign") if name in posts.columns]
    for name in [*named, "tags"] if named or "tags" in posts.attrs.get("people", ()) else ():
        if name in posts.columns:
            columns[name] = posts[name].array.take(of_post)
    if "tried" in posts.columns:
        tries: list[Mapping[str, Any]] = []
        cells = posts["tried"].array.take(of_post)
        for *place, cell in zip(columns["platform"], columns["account_id"], cells, strict=True):
            known = cell if isinstance(cell, list | np.ndarray) else ()  # an array of Parquet
            tries.append(next((row for row in known if [row["platform"], row["account_id"]] == place), {}))
        columns |= {name: pd.Series([row.get(name) for row in tries], dtype=of) for name, of in TRIED_TYPES.items()}
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(of_post)))
    frame.attrs = {**posts.attrs, "kind": "targets", "open_targets": _open_targets(frame)}
    return frame


def with_tries(posts: pd.DataFrame, tries: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> pd.DataFrame:
    """Return posts with a ledger's knowledge of their targets, by post, platform and account; unchanged if there is none.

    The column ``tried`` has one mapping for each known target, which `targets` makes columns of.
    """
    known: dict[str, list[dict[str, Any]]] = {}
    for (post, platform, account), of_target in tries.items():
        known.setdefault(post, []).append({"platform": platform, "account_id": account, **of_target})
    cells = list(map(known.get, posts["post_id"].to_list()))
    return posts.assign(tried=pd.Series(cells, posts.index, object)) if any(cells) else posts


def with_rows(posts: pd.DataFrame, rows: Mapping[str, tuple[str | None, datetime | None]]) -> pd.DataFrame:
    """Return posts with the columns ``row`` and ``sync_withdrew_at``, by post; without any, as they are."""
    if not rows:
        return posts
    found = [rows.get(post, (None, None)) for post in posts["post_id"]]
    names = pd.Series([row for row, _ in found], posts.index, "string")
    return posts.assign(row=names, sync_withdrew_at=pd.Series([at for _, at in found], posts.index, TIME_DTYPE))


def latest_targets(frame: pd.DataFrame) -> pd.DataFrame:
    """Deduplicate the targets of a frame, as after a ``pd.concat`` of two triaged ones.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `targets`, or triaged. Without ``post_id platform account_id updated_at`` it is returned as it is.

    Returns
    -------
    pandas.DataFrame
        Rows of `frame` in their order, with their index: per post those of its last change, per target the last. A row without a
        post, or with a platform but neither account nor target, may be another target, and stays.
    """
    if not isinstance(frame, pd.DataFrame) or not {*TARGET_KEY, "updated_at"} <= set(frame.columns):
        return frame  # a missing column is reported where it is needed
    # A duplicate is refused where it is needed.
    known = frame.loc[:, ~frame.columns.duplicated()].reset_index(drop=True)
    names = known[list(TARGET_KEY)].astype(object)
    if "target_id" in known.columns:  # which lists may omit: one load may have it for a target, and another not
        names["account_id"] = names["account_id"].fillna(known["target_id"].astype(object))
    changed = pd.Series(times_of(known, "updated_at"))
    stale = names["post_id"].notna() & (changed < changed.groupby(names["post_id"]).transform("max"))
    sure = names["post_id"].notna() & (names["account_id"].notna() | names["platform"].isna())
    again = names[~stale].duplicated(keep="last").reindex(names.index, fill_value=False) & sure
    return frame if not (stale | again).any() else frame[~(stale | again).to_numpy(bool)]


def last_of_each(
    frame: pd.DataFrame, names: pd.DataFrame | pd.Series[Any], sure: pd.Series[bool], *ranks: np.ndarray[Any, Any]
) -> pd.DataFrame:
    """Keep the last of rows with equal names, ordered by the last of `ranks`, then by the earlier ones; uncertain rows all stay."""
    if not (names.duplicated() & sure).any():
        return frame
    order = np.lexsort(ranks)
    kept = (~names.iloc[order].duplicated(keep="last") | ~sure.iloc[order]).to_numpy(bool)
    return frame.iloc[np.sort(order[kept])]


def _open_targets(frame: pd.DataFrame) -> str:
    """Return the failed and in-flight targets per post as JSON text, so that no later filter can hide one."""
    counts: dict[str, list[int]] = {}
    opened = frame["status"].isin(list(_OPEN))
    for post_id, status in zip(frame["post_id"][opened], frame["status"][opened], strict=True):
        counts.setdefault(str(post_id), [0, 0])[status != "failed"] += 1
    return msgspec.json.encode(counts).decode()
