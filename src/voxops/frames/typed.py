"""Records -> typed frame, by schema.

An empty frame has the same columns and dtypes as a full one, and as one made of hostile input; `schemas.py` pins them.
`Columns` turns pages into columns as they arrive, so that memory holds columns and not the records they came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from voxops._core.collector import held
from voxops.errors import PlanError
from voxops.frames.packing import pack, unpack
from voxops.frames.schemas import SCHEMAS, TARGET, pull, spellings, unknown
from voxops.frames.spans import moment, window, within
from voxops.frames.target import Target, Targets, gather
from voxops.frames.values import CODE, JSON, LABEL, error_parts, parse_times, to_bool
from voxops.model import IN_FLIGHT_STATUSES

__all__ = [
    "SCHEMAS",
    "TARGET_COLUMNS",
    "Columns",
    "Target",
    "Targets",
    "build",
    "moment",
    "need_frame",
    "pack",
    "parse_times",
    "targets",
    "to_bool",
    "unpack",
    "window",
    "within",
]

# Records that wait as records before they become columns: what fits a processor's cache is turned fastest.
BLOCK = {"posts": 200}
BLOCK_OF_OTHERS = 1000

# What a row of the targets frame takes from its post: column -> the post's column.
_OF_POST = {
    "post_status": "status",
    "updated_at": "updated_at",
    "scheduled_for": "scheduled_for",
    "content": "content",
    "workspace_id": "workspace_id",
}
TARGET_COLUMNS = ("post_id", *Target._fields, *_OF_POST)


def need_frame(frame: object, columns: Iterable[str], what: str, maker: str, *, times: Iterable[str] = ()) -> None:
    """Raise a PlanError where something is no frame, lacks columns, or has text where times should be.

    Parameters
    ----------
    frame : object
        What was given.
    columns : iterable of str
        What it must have.
    what : str
        Who needs what, such as ``triage() needs a targets frame``.
    maker : str
        The call that makes one, as a sentence.
    times : iterable of str
        Which of the columns hold times.
    """
    if not isinstance(frame, pd.DataFrame):
        raise PlanError(f"{what}, not {'None' if frame is None else f'a {type(frame).__name__}'}. {maker}")
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise PlanError(f"{what}; missing: {', '.join(missing)}. {maker}")
    for name in times:
        if not isinstance(frame[name].dtype, pd.DatetimeTZDtype) and frame[name].notna().any():
            advice = f"Read them with pd.to_datetime(frame[{name!r}], utc=True)."
            raise PlanError(f"{what}; {name} holds {frame[name].dtype}, not times with a zone. {advice}")


class Columns:
    """Pages in, one typed frame out.

    Parameters
    ----------
    kind : str
        A key of `SCHEMAS`: ``posts``, ``deliveries``, ``accounts``, ``webhooks`` or ``bulk_results``.
    extra : bool
        Keep what the schema does not know, a dict per row, in one more column ``extra``; secrets are left out.
    """

    def __init__(self, kind: str, *, extra: bool = False) -> None:
        self._kind = kind
        self._schema = SCHEMAS[kind]
        self._block = BLOCK.get(kind, BLOCK_OF_OTHERS)
        self._extra = extra
        self._waiting: list[Mapping[str, Any]] = []
        self._staged: dict[str, list[Any]] = {}
        self._targets: list[Targets] = []
        self._unread: dict[str, int] = {}
        self._rows = 0

    def __len__(self) -> int:
        """How many records have been taken so far."""
        return self._rows

    def extend(self, records: Iterable[Any], **fill: Any) -> None:
        """Take a page of records.

        Parameters
        ----------
        records : iterable of mapping
            As decoded; ``{"data": {…}}`` around a record is taken off. What is no object can't be a row: it is left out, and
            counted as ``record`` in the frame's ``attrs["unread"]``.
        **fill
            Wire fields for records that lack them, such as ``webhookId`` of the list that was asked for.
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
            with held():
                self._seal()

    def frame(self, **attrs: Any) -> pd.DataFrame:
        """Return all rows so far.

        Parameters
        ----------
        **attrs
            What the frame says of itself in ``frame.attrs``: by convention ``source`` (where from), ``fetched_at`` (when),
            ``filters`` and ``complete``. They are kept as plain JSON values, times as ISO text, so that copies,
            concatenation and files keep them.

        Returns
        -------
        pandas.DataFrame
            Columns and dtypes of the schema, index from 0. ``attrs`` also has ``kind`` and ``unread``: for each column how many
            values could not be read and are NA.
        """
        if self._waiting or not self._staged:
            self._seal()
        self._staged = {name: [np.concatenate(blocks)] for name, blocks in self._staged.items()}
        kinds = {column.name: column.kind for column in self._schema}
        columns = {name: kinds.get(name, JSON).finish(block) for name, (block,) in self._staged.items()}
        if self._kind == "posts":
            self._targets = [Targets.joined(self._targets)]
            columns["targets"] = JSON.array(self._targets[0].split(columns["targets"]))
        frame = pd.DataFrame(columns, index=pd.RangeIndex(self._rows))
        said = {"kind": self._kind, **attrs, "unread": self._unread}
        frame.attrs = msgspec.json.decode(msgspec.json.encode(said, enc_hook=_plain))
        return frame

    def _seal(self) -> None:
        """Turn the records that wait into a block of columns."""
        records, self._waiting = self._waiting, []
        spelled = spellings(records)
        if "data" in spelled:
            records = [_bare(record) for record in records]
            spelled = spellings(records)
        raw = pull(records, spelled, self._schema)
        clean: dict[str, Any] = {column.name: column.kind.clean(raw[column.name]) for column in self._schema}
        clean |= _DERIVED.get(self._kind, dict)(clean)
        if self._kind == "posts":
            self._targets.append(clean["_flat"])
        for column in self._schema:
            if column.shown:
                block = column.kind.stage(clean[column.name])
                self._staged.setdefault(column.name, []).append(block)
                if column.kind.missing is not None:
                    missing = int(np.count_nonzero(column.kind.missing(block)))
                    self._lose(column.name, missing - raw[column.name].count(None))
        if self._extra:
            self._staged.setdefault("extra", []).append(JSON.stage(unknown(records, self._schema)))

    def _lose(self, column: str, values: int) -> None:
        """Remember how many values of a column could not be read."""
        if values > 0:
            self._unread[column] = self._unread.get(column, 0) + values


def build(kind: str, records: Iterable[Any], *, extra: bool = False, **attrs: Any) -> pd.DataFrame:
    """Turn records into the frame of their kind; `Columns` does the same page by page.

    Parameters
    ----------
    kind : str
        A key of `SCHEMAS`.
    records : iterable of mapping
        As decoded from the wire.
    extra : bool
        Keep unknown fields in a column ``extra``.
    **attrs
        See `Columns.frame`.

    Returns
    -------
    pandas.DataFrame
        Columns and dtypes of the schema, whatever the records hold.
    """
    columns = Columns(kind, extra=extra)
    columns.extend(records)
    return columns.frame(**attrs)


def targets(posts: pd.DataFrame) -> pd.DataFrame:
    """One row per post and platform.

    Parameters
    ----------
    posts : pandas.DataFrame
        A posts frame or a selection of its rows, also exploded by ``targets``; needs ``post_id status targets updated_at
        scheduled_for content workspace_id``. Its column ``targets`` holds objects, which neither CSV nor Parquet keeps: to write
        a file, write the frame that this function returns. To write the posts themselves, make plain data of it first,
        ``posts.assign(targets=[[target._asdict() for target in cell] for cell in posts["targets"]]).to_parquet(path)``;
        what ``pandas.read_parquet`` returns is taken here.

    Returns
    -------
    pandas.DataFrame
        In the order of the posts, index from 0: ``post_id target_id platform account_id account_name status error_code
        error_message`` (string), ``retry_count`` (Int64), ``platform_post_id platform_post_url`` (string), ``published_at`` (UTC),
        ``post_status`` (string), ``updated_at scheduled_for`` (UTC; the post's), ``content workspace_id`` (string). A post without
        targets keeps one row in which the target's columns are NA. ``attrs`` are those of the posts, with ``kind`` targets and
        ``open_targets``: JSON text, post id -> [failed, in flight], so that a plan still knows of the rows that are filtered
        away.

    Raises
    ------
    PlanError
        If a column is missing, or ``targets`` is text that a CSV file made of it.
    """
    needed = ("post_id", "targets", *_OF_POST.values())
    need_frame(posts, needed, "targets() needs a posts frame", "Load it with ws.posts(...).")
    for row, cell in enumerate(posts["targets"]):
        if isinstance(cell, str) and not _PLATFORM.fullmatch(cell):
            raise PlanError(
                f"row {row}: the column targets holds text that names no platform, {cell[:30]!r}; a CSV file keeps no targets. "
                "Load the posts with ws.posts(...), or keep vx.targets(posts) as a Parquet file."
            )
    groups = [cell if isinstance(cell, Targets) else _read_targets(_entries(cell)) for cell in posts["targets"]]
    groups = [group or _CHILDLESS for group in groups]
    of_post = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    columns: dict[str, Any] = {"post_id": posts["post_id"].array.take(of_post)}
    fields = gather(groups)
    columns |= {column.name: column.kind.array(fields[column.name]) for column in TARGET if column.shown}
    for name, source in _OF_POST.items():
        columns[name] = posts[source].array.take(of_post)
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(of_post)))
    frame.attrs = {**posts.attrs, "kind": "targets", "open_targets": _open_targets(posts["post_id"], groups)}
    return frame


def _open_targets(post_ids: Iterable[Any], groups: Sequence[Targets]) -> str:
    """Per post how many targets failed and how many are in flight, as JSON text, so that no later filter can hide one."""
    places: dict[str, set[tuple[Any, ...]]] = {}  # a post that was exploded has several rows
    for post_id, group in zip(post_ids, groups, strict=True):
        states = group.column("status")
        if not _OPEN.isdisjoint(states):
            names = map(group.column, ("target_id", "platform", "account_id"))
            places.setdefault(str(post_id), set()).update(zip(states, *names, strict=True))
    counts = {}
    for post_id, of_post in places.items():
        states = [state for state, *_ in of_post]
        counts[post_id] = [states.count("failed"), sum(map(states.count, IN_FLIGHT_STATUSES))]
    return msgspec.json.encode(counts).decode()


_OPEN = frozenset({"failed", *IN_FLIGHT_STATUSES})
_PLATFORM = re.compile(r"[\w .-]{1,60}")  # as far as a name alone tells
_CHILDLESS = Targets.of([Target()])


def _read_targets(entries: Sequence[Any]) -> Targets:
    """Entries of ``platforms`` as targets; an entry that is only a name is a platform (contract: POST-1)."""
    records = entries if set(map(type, entries)) == {dict} else list(map(_entry, entries))
    raw = pull(records, spellings(records), TARGET)
    clean = {column.name: column.kind.clean(raw[column.name]) for column in TARGET}
    clean |= _of_errors(clean["_error"], clean["error_code"], clean["error_message"])
    return Targets(tuple(JSON.stage(clean[name]) for name in Target._fields), 0, len(records))


def _of_errors(errors: Sequence[Any], codes: Sequence[Any], messages: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Codes and messages, out of the errors where a target names none of its own; most targets have no error."""
    codes, messages = list(codes), list(messages)
    places = [at for at, error in enumerate(errors) if error is not None]
    parts = [error_parts(errors[at]) for at in places]
    for at, code, (_, message) in zip(places, CODE.clean([code for code, _ in parts]), parts, strict=True):
        codes[at] = code if codes[at] is None else codes[at]
        messages[at] = message if messages[at] is None else messages[at]
    return {"error_code": codes, "error_message": messages}


def _either(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Values of the first, those of the second where it has none."""
    return [b if a is None else a for a, b in zip(first, second, strict=True)]


def _entry(entry: Any) -> dict[str, Any]:
    """An entry of ``platforms`` that is no plain dict: one of ours, or only a name."""
    if isinstance(entry, Target):
        return entry._asdict()
    return dict(entry) if isinstance(entry, Mapping) else {"platform": entry}


def _entries(cell: Any) -> list[Any]:
    """The list of a post's platforms, also where it is a map from platform to its state, or one name alone."""
    if isinstance(cell, list):
        return cell
    if isinstance(cell, Target):  # of an exploded frame; a tuple, but one entry
        return [cell]
    if isinstance(cell, Mapping):
        return [{"platform": name, **(state if isinstance(state, Mapping) else {})} for name, state in cell.items()]
    if isinstance(cell, str):
        return [cell]
    return list(cell) if isinstance(cell, Iterable) else []


def _of_posts(clean: Mapping[str, Any]) -> dict[str, Any]:
    """How many ``targets`` each post has, these in one piece, and ``failed_targets``: not known where platforms are left out."""
    cells = clean["targets"]
    lists = cells if set(map(type, cells)) == {list} else list(map(_entries, cells))
    flat = _read_targets(list(chain.from_iterable(lists)))
    lengths = list(map(len, lists))
    places = [at for at, state in enumerate(flat.column("status")) if state == "failed"]
    failed = np.diff(np.searchsorted(places, np.cumsum([0, *lengths]))).tolist()
    return {
        "targets": lengths,
        "_flat": flat,
        "failed_targets": [None if cell is None else count for cell, count in zip(cells, failed, strict=True)],
    }


def _of_deliveries(clean: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Column ``error`` as one line, ``CODE: message`` where it is an object."""
    return {
        "error": [
            error if error is None or isinstance(error, str) else ": ".join(filter(None, error_parts(error))) or None
            for error in clean["_error"]
        ]
    }


def _of_bulk_results(clean: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Columns of an item's first error, and its status where an old server says ``success`` instead (contract: BATCH-o)."""
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
    """Take off the envelope ``{"data": {…}}`` of a single object."""
    inner = record.get("data")
    return inner if isinstance(inner, Mapping) and "id" not in record else record


def _plain(value: Any) -> Any:
    """Any value as JSON: times as ISO text, sets as lists, the rest as text."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")  # as those that the encoder writes by itself
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)
