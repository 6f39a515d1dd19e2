"""Records -> typed frame, by schema.

An empty frame has the same columns and dtypes as a full one, and as one made of hostile input; `schemas.py` pins them.
`Columns` turns pages into columns as they arrive, so that memory holds columns and not the records they came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from voxops._core.collector import collector_paused
from voxops.frames.entries import entries, read_targets
from voxops.frames.nested import TargetsArray
from voxops.frames.schemas import SCHEMAS, pull, spellings, unknown
from voxops.frames.target import Targets
from voxops.frames.values import CODE, JSON, LABEL, clean_texts, error_parts

__all__ = ["Columns", "build", "read_columns"]

# Records that are collected before they become columns: a block that fits the processor's cache is converted fastest.
BLOCK = {"posts": 200}
BLOCK_OF_OTHERS = 1000


class Columns:
    """Pages in, one typed frame out.

    Parameters
    ----------
    kind : str
        A key of `SCHEMAS`: ``posts deliveries accounts webhooks performance bulk_results``.
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
            As decoded; ``{"data": {…}}`` around a record is taken off. What is not an object can't be a row: it is left out, and
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
            with collector_paused():
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
            lengths = self._staged["targets"][0]
            self._targets = [Targets.joined(self._targets)]
            columns["targets"] = TargetsArray(JSON.stage(self._targets[0].split(lengths)))
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
        if self._extra:
            self._staged.setdefault("extra", []).append(JSON.stage(unknown(records, self._schema)))

    def _lose(self, column: str, values: int) -> None:
        """Remember how many values of a column could not be read."""
        if values > 0:
            self._unread[column] = self._unread.get(column, 0) + values


def _cleaned(
    kind: str, records: Sequence[Mapping[str, Any]], spelled: Mapping[str, list[str]]
) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """Raw and uniform values of each column of a kind."""
    schema = SCHEMAS[kind]
    raw = pull(records, spelled, schema)
    clean: dict[str, Any] = {column.name: column.kind.clean(raw[column.name]) for column in schema}
    return raw, clean | _DERIVED.get(kind, dict)(clean)


def read_columns(kind: str, records: Sequence[Any]) -> dict[str, Any]:
    """Records as plain values per column, by the schema of their frame, but without one: times are left as the wire has them.

    For ``posts``, ``targets`` holds how many each post has and ``_flat`` all of them in order, as `Targets`.
    """
    found = [_bare(record) for record in records if isinstance(record, Mapping)]
    return _cleaned(kind, found, spellings(found))[1]


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


def _of_posts(clean: Mapping[str, Any]) -> dict[str, Any]:
    """How many ``targets`` each post has, these in one piece, and ``failed_targets``: not known where platforms are left out."""
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
    """Column ``error`` as one line, ``CODE: message`` where it is an object."""
    errors = clean["_error"]
    lines = [each if isinstance(each, str) else ": ".join(filter(None, error_parts(each))) or None for each in errors]
    return {"error": clean_texts(lines)}


def _either(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Values of the first, those of the second where it has none."""
    return [b if a is None else a for a, b in zip(first, second, strict=True)]


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
