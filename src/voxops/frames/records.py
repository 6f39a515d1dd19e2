"""Records of the API as frames with fixed dtypes: posts, their targets, deliveries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from voxops._support.eventloop import collector_paused
from voxops.api.error_bodies import read_error
from voxops.api.states import PostState, Source, TargetState
from voxops.errors import PlanError
from voxops.frames.columns import need_frame, times_of
from voxops.frames.nested import Target, Targets, TargetsArray, gather
from voxops.frames.schemas import CODE, JSON, LABEL, SCHEMAS, TARGET, clean_texts, error_parts, pull, spellings
from voxops.frames.times import EPOCH, NAT, TIME_DTYPE, stamps
from voxops.model import IN_FLIGHT_STATUSES


def targets_in(cell: Any) -> Targets:
    """Return the targets in a cell of posts, also from the lists and mappings of a file."""
    return cell if isinstance(cell, Targets) else read_targets(entries(cell))


def read_targets(entries: Sequence[Any]) -> Targets:
    """Read entries of ``platforms`` as targets; a bare name is a platform (contract: POST-1)."""
    records = entries if set(map(type, entries)) == {dict} else list(map(_entry, entries))
    raw = pull(records, spellings(records), TARGET)
    clean = {column.name: column.kind.clean(raw[column.name]) for column in TARGET}
    clean |= _of_errors(clean)
    return Targets(tuple(JSON.stage(clean[name]) for name in Target._fields), 0, len(records))


def _of_errors(clean: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return codes and messages, from the errors if a target has no own ones; most targets have no error."""
    errors = [None if error is None else read_error(error) for error in clean["_error"]]
    codes = [None if error is None else error.code for error in errors]
    messages = [None if error is None else error.message or None for error in errors]
    return {
        "error_code": _either(clean["error_code"], CODE.clean(codes)),
        "error_message": _either(clean["error_message"], clean_texts(messages)),
    }


def _entry(entry: Any) -> dict[str, Any]:
    """Read an entry of ``platforms`` that is not a plain dict: a `Target`, or a bare name."""
    if isinstance(entry, Target):
        return entry._asdict()
    return dict(entry) if isinstance(entry, Mapping) else {"platform": entry}


def entries(cell: Any) -> list[Any]:
    """Return a post's platforms as a list, also from a map of platform to state, or from a single name."""
    if isinstance(cell, str | Target):  # in an exploded frame a target is a tuple, but one entry
        return [cell]
    if isinstance(cell, Mapping):
        return [{"platform": name, **(state if isinstance(state, Mapping) else {})} for name, state in cell.items()]
    return list(cell) if isinstance(cell, Iterable) else []


class Columns:
    """Collect pages into one typed frame.

    Parameters
    ----------
    kind : str
        A key of `SCHEMAS`: ``posts deliveries accounts webhooks bulk_results``.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._schema = SCHEMAS[kind]
        # Records per conversion into columns: a block that fits the processor's cache is fastest.
        self._block = 200 if kind == "posts" else 1000
        self._waiting: list[Mapping[str, Any]] = []
        self._staged: dict[str, list[Any]] = {}
        self._targets: list[Targets] = []
        self._unread: dict[str, int] = {}
        self._rows = 0

    def __len__(self) -> int:
        """The number of records so far."""
        return self._rows

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
        page = records if isinstance(records, list) else list(records)
        if set(map(type, page)) - {dict}:
            kept = [record for record in page if isinstance(record, Mapping)]
            self._lose("record", len(page) - len(kept))
            page = kept
        if fill:
            page = [{**fill, **record} for record in page]
        self._rows += len(page)
        self._waiting += page
        if len(self._waiting) >= self._block:
            with collector_paused():
                self._seal()

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
        if self._waiting or not self._staged:
            self._seal()
        self._staged = {name: [np.concatenate(blocks)] for name, blocks in self._staged.items()}
        kinds = {column.name: column.kind for column in self._schema}
        with collector_paused():
            columns = {name: kinds[name].finish(block) for name, (block,) in self._staged.items()}
        if self._kind == "posts":
            lengths = self._staged["targets"][0]
            self._targets = [Targets.joined(self._targets)]
            columns["targets"] = TargetsArray(JSON.stage(self._targets[0].split(lengths)))
        frame = pd.DataFrame(columns, index=pd.RangeIndex(self._rows))
        frame.attrs.update(kind=self._kind, **attrs, unread=dict(self._unread))
        return frame

    def _seal(self) -> None:
        """Convert the collected records to a block of columns."""
        records, self._waiting = self._waiting, []
        spelled = spellings(records)
        if "data" in spelled:
            records = [_bare(record) for record in records]
            spelled = spellings(records)
        raw, clean = _cleaned(self._kind, records, spelled)
        if self._kind == "posts":
            self._targets.append(clean["_flat"])
        for column in self._schema:
            if column.shown:
                block = column.kind.stage(clean[column.name])
                self._staged.setdefault(column.name, []).append(block)
                if column.kind.missing is not None:
                    missing = int(np.count_nonzero(column.kind.missing(block)))
                    self._lose(column.name, missing - raw[column.name].count(None))

    def _lose(self, column: str, values: int) -> None:
        """Count the unreadable values of a column."""
        if values > 0:
            self._unread[column] = self._unread.get(column, 0) + values


def _cleaned(
    kind: str, records: Sequence[Mapping[str, Any]], spelled: Mapping[str, list[str]]
) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """Return raw and uniform values of each column of a kind."""
    schema = SCHEMAS[kind]
    raw = pull(records, spelled, schema)
    clean: dict[str, Any] = {column.name: column.kind.clean(raw[column.name]) for column in schema}
    return raw, clean | _DERIVED.get(kind, dict)(clean)


def read_columns(kind: str, records: Sequence[Any]) -> dict[str, Any]:
    """Return records as plain values per column, by the schema of their frame; times stay as sent.

    For ``posts``, ``targets`` has the number per post and ``_flat`` all of them in order, as `Targets`.
    """
    found = [_bare(record) for record in records if isinstance(record, Mapping)]
    return _cleaned(kind, found, spellings(found))[1]


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


def _of_posts(clean: Mapping[str, Any]) -> dict[str, Any]:
    """Return the number of ``targets`` per post, all targets, and ``failed_targets``, unknown if platforms are left out."""
    cells = clean["targets"]
    lists = cells if set(map(type, cells)) == {list} else list(map(entries, cells))
    flat = read_targets(list(chain.from_iterable(lists)))
    lengths = list(map(len, lists))
    places = [at for at, state in enumerate(flat.column("status")) if state == "failed"]
    failed = np.diff(np.searchsorted(places, np.cumsum([0, *lengths]))).tolist()
    return {
        "targets": lengths,
        "_flat": flat,
        "failed_targets": [None if cell is None else count for cell, count in zip(cells, failed, strict=True)],
    }


def _of_deliveries(clean: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the column ``error`` as one line, ``CODE: message`` for an object."""
    errors = clean["_error"]
    lines = [
        each if each is None or isinstance(each, str) else ": ".join(filter(None, error_parts(each))) or None
        for each in errors
    ]
    return {"error": clean_texts(lines)}


def _either(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Return values of the first, else of the second."""
    return [b if a is None else a for a, b in zip(first, second, strict=True)]


def _of_bulk_results(clean: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the columns of an item's first error, and its status if an old server sends ``success`` instead (contract: BATCH-o)."""
    parts = [error_parts(errors) for errors in clean["errors"]]
    words = [None if ok is None else "created" if ok else "failed" for ok in clean["_success"]]
    return {
        "status": _either(clean["status"], words),
        "error_code": CODE.clean([code for code, _ in parts]),
        "error_message": [message for _, message in parts],
        "error_field": LABEL.clean([_first_field(errors) for errors in clean["errors"]]),
    }


_DERIVED = {"posts": _of_posts, "deliveries": _of_deliveries, "bulk_results": _of_bulk_results}


def _first_field(errors: Any) -> Any:
    """Field that an item's first error names."""
    first = errors[0] if isinstance(errors, list) and errors else errors
    return first.get("field") if isinstance(first, Mapping) else None


def _bare(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Remove the envelope ``{"data": {…}}`` of a single object."""
    inner = record.get("data")
    return inner if isinstance(inner, Mapping) and "id" not in record else record


# The fields of a delivery that a further try changes, and its keys (rule 13).
DELIVERY_EPISODE = (
    "delivery_id", "webhook_id", "success", "status_code", "latency_ms", "retry_count", "error", "delivered_at",
)  # fmt: skip


def times_text(values: Sequence[Any]) -> list[str | None]:
    """Return times as ISO text in UTC, as in frames; None for none."""
    return [
        None if each == NAT else (EPOCH + timedelta(microseconds=each)).isoformat() for each in stamps(values).tolist()
    ]


def read_posts(records: Sequence[Any], source: Source = "list") -> dict[str, PostState]:
    """Read posts by id, in every known shape, by the schema of the posts frame."""
    columns = read_columns("posts", records)
    flat, start = columns["_flat"], 0
    rows = list(zip(*(flat.column(field.name) for field in fields(TargetState)), strict=True))
    states: dict[str, PostState] = {}
    versions = columns["updated_at"]
    columns |= {name: times_text(columns[name]) for name in ("updated_at", "created_at", "scheduled_for")}
    names = ("post_id", "status", "updated_at", "created_at", "scheduled_for", "content", "metadata", "targets", "tags")
    for version, post_id, status, updated, created, scheduled, content, metadata, count, tags in zip(
        versions, *(columns[name] for name in names), strict=True
    ):
        targets = tuple(TargetState(*row) for row in rows[start : start + count] if row[0] is not None)
        start += count
        if post_id is not None:
            states[post_id] = PostState(
                post_id, status or "", updated, created, scheduled, content,
                metadata if isinstance(metadata, Mapping) else None, targets, source,
                tuple(map(str, tags)) if isinstance(tags, list | tuple) else None, _token(version),
            )  # fmt: skip
    return states


def _token(value: Any) -> str | None:
    """Return a time stamp as a version token: as sent, if it fits into a header."""
    fits = isinstance(value, str) and 0 < len(value) <= 64 and value.isascii() and value.isprintable()
    return value if fits and " " not in value else None


def read_post(record: Any) -> PostState | None:
    """Read the record of a single post; None if it names none."""
    return next(iter(read_posts([record], "single").values()), None)


def read_deliveries(records: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Return deliveries as their episodes, by id, and when they were created."""
    columns = read_columns("deliveries", list(records))
    names = (*DELIVERY_EPISODE, "created_at")
    columns |= {name: times_text(columns[name]) for name in ("delivered_at", "created_at")}
    columns["success"] = map(bool, columns["success"])
    rows = (dict(zip(names, row, strict=True)) for row in zip(*(columns[name] for name in names), strict=True))
    return {row["delivery_id"]: row for row in rows if row["delivery_id"] is not None}


def read_bulk_results(
    results: Sequence[Any],
) -> list[tuple[int | None, str | None, str | None, str | None, str | None]]:
    """Read items of a bulk response as ``(index, status, post_id, error_code, error_message)``, as far as possible."""
    columns = read_columns("bulk_results", results)
    names = ("index", "status", "post_id", "error_code", "error_message")
    return list(zip(*(columns[name] for name in names), strict=True))


# Columns of the targets frame from the post: column -> the post's column.
_OF_POST = {
    "post_status": "status",
    "updated_at": "updated_at",
    "scheduled_for": "scheduled_for",
    "content": "content",
    "workspace_id": "workspace_id",
}
# Whose the post is, if its frame says so: see `people`.
_NAMED = ("owner", "campaign")
TARGET_COLUMNS = ("post_id", *Target._fields, *_OF_POST)
TARGET_KEY = ("post_id", "platform", "account_id")  # identify the target of a row

_OPEN = frozenset({"failed", *IN_FLIGHT_STATUSES})
_PLATFORM = re.compile(r"[\w .-]{1,60}")  # known from a bare name
_SAID = ("target_id", "platform", "account_id", "status", "error_code", "error_message")  # none of it: no target
_CHILDLESS = Targets.of([Target()])


def targets(posts: pd.DataFrame) -> pd.DataFrame:
    """One row per post and platform.

    Parameters
    ----------
    posts : pandas.DataFrame
        A posts frame or a selection of its rows, also exploded by ``targets``; needs ``post_id status targets updated_at
        scheduled_for content workspace_id``. It may come from a Parquet file; CSV files drop targets.

    Returns
    -------
    pandas.DataFrame
        In the order of the posts, index from 0: ``post_id target_id platform account_id account_name status error_code
        error_message`` (string), ``retry_count`` (Int64), ``platform_post_id platform_post_url`` (string), ``published_at`` (UTC),
        ``post_status`` (string), ``updated_at scheduled_for`` (UTC; the post's), ``content workspace_id`` (string); and ``owner
        campaign`` (string) and ``tags`` (lists) if the posts have an owner or a campaign (``vx.connect(owner_field="owner")``). If
        this ledger has retried some: ``last_outcome last_code`` (string), ``last_tried_at`` (UTC), ``tried`` (Int64, how often). A
        post without listed targets has one row with the target's columns NA; an event about no post has none. Each target occurs
        once, even if its post has several rows, as after a ``pd.concat`` of two loads: from the row whose post changed last.
        ``attrs`` are those of the posts, with ``kind`` targets and ``open_targets``: JSON text, post id -> [failed, in flight], so
        that a plan still knows of filtered rows.

    Raises
    ------
    PlanError
        If a column is missing, or ``targets`` is text from a CSV file.

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
                f"row {row}: the column targets contains text that names no platform, {cell[:30]!r}; CSV files drop targets. "
                "Load the posts with ws.posts(...), or save vx.targets(posts) as a Parquet file."
            )
    groups = [targets_in(cell) or _CHILDLESS for cell in posts["targets"]]
    of_post = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    columns: dict[str, Any] = {"post_id": posts["post_id"].array.take(of_post)}
    of_targets = gather(groups)
    columns |= {column.name: column.kind.array(of_targets[column.name]) for column in TARGET if column.shown}
    for name, source in _OF_POST.items():
        columns[name] = posts[source].array.take(of_post)
    named = [name for name in _NAMED if name in posts.columns]
    for name in [*named, "tags"] if named or "tags" in posts.attrs.get("people", ()) else ():
        if name in posts.columns:
            columns[name] = posts[name].array.take(of_post)
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(of_post)))
    if "tried" in posts.columns:
        frame = frame.assign(**_tries(frame, posts["tried"].to_numpy(object)[of_post].tolist()))
    childless = np.array([group is _CHILDLESS for group in groups], bool)[of_post]
    kept = ~_needless(frame["post_id"], childless)
    if not kept.all():
        frame, of_post = frame[kept].reset_index(drop=True), of_post[kept]
    frame = _deduplicated(frame, of_post)
    frame.attrs = {**posts.attrs, "kind": "targets", "open_targets": _open_targets(frame)}
    return frame


TRIED_TYPES: Mapping[str, Any] = {
    "last_outcome": "string",
    "last_code": "string",
    "last_tried_at": TIME_DTYPE,
    "tried": "Int64",
}


def with_tries(posts: pd.DataFrame, tries: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> pd.DataFrame:
    """Return posts with what a ledger knows of their targets, by post, platform and account; without any, as they are.

    The column ``tried`` has one mapping for each known target, which `targets` makes columns of.
    """
    known: dict[str, list[dict[str, Any]]] = {}
    for (post, platform, account), said in tries.items():
        known.setdefault(post, []).append({"platform": platform, "account_id": account, **said})
    cells = list(map(known.get, posts["post_id"].to_list()))
    if not any(cells):
        return posts
    joined = posts.assign(tried=pd.Series(cells, index=posts.index, dtype=object))
    joined.attrs = posts.attrs
    return joined


def with_rows(posts: pd.DataFrame, rows: Mapping[str, tuple[str | None, datetime | None]]) -> pd.DataFrame:
    """Return posts with the columns ``row`` and ``sync_withdrew_at``, by post; without any, as they are."""
    if not rows:
        return posts
    found = [rows.get(post, (None, None)) for post in posts["post_id"]]
    joined = posts.assign(
        row=pd.Series([row for row, _ in found], posts.index, "string"),
        sync_withdrew_at=pd.Series([at for _, at in found], posts.index, TIME_DTYPE),
    )
    joined.attrs = posts.attrs
    return joined


def _tries(frame: pd.DataFrame, cells: Sequence[Any]) -> dict[str, Any]:
    """Return what a ledger knows of each target, as columns; `cells` are those of its posts."""
    rows: list[Mapping[str, Any]] = []
    for platform, account, cell in zip(frame["platform"], frame["account_id"], cells, strict=True):
        known = cell if isinstance(cell, list | tuple) else ()
        rows.append(next((one for one in known if (one["platform"], one["account_id"]) == (platform, account)), {}))
    return {name: pd.Series([row.get(name) for row in rows], dtype=dtype).array for name, dtype in TRIED_TYPES.items()}


def _deduplicated(frame: pd.DataFrame, of_post: np.ndarray[Any, Any]) -> pd.DataFrame:
    """Return each target of posts with several rows once: from the row whose post changed last, else from the last row."""
    if not frame["post_id"].iloc[np.flatnonzero(np.diff(of_post, prepend=-1))].duplicated().any():
        return frame
    number = frame.groupby([*TARGET_KEY, "target_id"], dropna=False, sort=False).ngroup().to_numpy()
    order = np.lexsort((of_post, times_of(frame, "updated_at").asi8))
    newest = np.empty(number.max() + 1, of_post.dtype)
    newest[number[order]] = of_post[order]  # of several the last one stays
    kept: pd.DataFrame = frame[of_post == newest[number]]
    return kept.reset_index(drop=True)


def _needless(posts: pd.Series[str], childless: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return rows of a post without targets if other rows, of another load or event, have its targets."""
    return childless & posts.notna().to_numpy(bool) & posts.isin(posts[~childless]).to_numpy(bool)


def latest_targets(frame: pd.DataFrame) -> pd.DataFrame:
    """Deduplicate the targets of a frame, as after a ``pd.concat`` of two triaged ones.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `targets`, or triaged. Without ``post_id platform account_id updated_at`` it is returned as it is.

    Returns
    -------
    pandas.DataFrame
        Rows of `frame` in their order, with their index: per target the one whose post changed last, else the last. A row without a
        post, or with a platform but neither account nor target, may be another target, and stays.
    """
    if not isinstance(frame, pd.DataFrame) or not {*TARGET_KEY, "updated_at"} <= set(frame.columns):
        return frame  # a missing column is reported where it is needed
    known = frame.loc[:, ~frame.columns.duplicated()]  # a duplicate column is refused where it is needed
    childless = known[[name for name in _SAID if name in known.columns]].isna().all(axis=1).to_numpy(bool)
    if childless.any():
        loads = pd.MultiIndex.from_frame(known[["post_id", "updated_at"]])
        # Beside targets of its own load it is an empty one.
        childless = childless & ~loads.isin(loads[~childless])
        needed = ~_needless(known["post_id"], childless)
        if not needed.all():
            frame, known = frame[needed], known[needed]
    names = known[list(TARGET_KEY)].astype(object).reset_index(drop=True)
    if "target_id" in known.columns:  # which lists may omit: one load may have it for a target, and another not
        names["account_id"] = names["account_id"].fillna(known["target_id"].astype(object).reset_index(drop=True))
    sure = names["post_id"].notna() & (names["account_id"].notna() | names["platform"].isna())
    return last_of_each(frame, names, sure, times_of(known, "updated_at").asi8)


def latest_rows(frame: pd.DataFrame, key: Sequence[str], changed: str) -> pd.DataFrame:
    """Deduplicate the records of a frame, as after a ``pd.concat`` of two loads.

    Parameters
    ----------
    frame : pandas.DataFrame
        Returned unchanged if a column is missing.
    key : sequence of str
        Columns that identify a record, such as ``post_id``; rows that lack one of them stay.
    changed : str
        Column of times: per record the row with the latest stays, else the last.

    Returns
    -------
    pandas.DataFrame
        Rows of `frame` in their order, with their index.
    """
    if not {*key, changed} <= set(frame.columns):
        return frame
    names = frame[list(key)].astype(object).reset_index(drop=True)
    return last_of_each(frame, names, names.notna().all(axis=1), times_of(frame, changed).asi8)


def last_of_each(
    frame: pd.DataFrame, names: pd.DataFrame | pd.Series[Any], sure: pd.Series[bool], *ranks: np.ndarray[Any, Any]
) -> pd.DataFrame:
    """Keep the last of rows with equal names, by the last of `ranks`, then by those before it, and all uncertain ones."""
    if not (names.duplicated() & sure).any():
        return frame
    order = np.lexsort(ranks)
    kept = (~names.iloc[order].duplicated(keep="last") | ~sure.iloc[order]).to_numpy(bool)
    return frame.iloc[np.sort(order[kept])]


def _open_targets(frame: pd.DataFrame) -> str:
    """Return the failed and in-flight targets per post as JSON text, so that no later filter can hide one."""
    opened = frame.loc[frame["status"].isin(list(_OPEN)), ["post_id", "status", "target_id", "platform", "account_id"]]
    counts: dict[str, list[int]] = {}
    for post_id, status in opened.drop_duplicates()[["post_id", "status"]].itertuples(index=False):
        counts.setdefault(str(post_id), [0, 0])[status != "failed"] += 1
    return msgspec.json.encode(counts).decode()
