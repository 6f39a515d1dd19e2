"""Cells that hold lists and objects as Arrow arrays: of fixed types, whatever the cells hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from voxops._support.canonical import json_text, text, well_formed
from voxops.frames.target import Target, Targets, gather

JSON_TYPE = pa.string()
LIST_TYPE = pa.list_(pa.string())
TARGETS_TYPE = pa.list_(
    pa.struct([(field, pa.int64() if field == "retry_count" else pa.string()) for field in Target._fields])
)


def strings(values: Sequence[str | None]) -> Any:
    """Texts; half a surrogate pair, which UTF-8 does not have, becomes a question mark."""
    try:
        return pa.array(values, type=pa.string())
    except UnicodeEncodeError:
        clean = [None if value is None else well_formed(value) for value in values]
        return pa.array(clean, type=pa.string())


def string_lists(cells: Iterable[Sequence[Any] | None]) -> Any:
    """Lists of texts; what is not text in them as JSON."""
    return pa.array([None if cell is None else [well_formed(text(each)) for each in cell] for cell in cells], LIST_TYPE)


def json_texts(cells: Iterable[Any]) -> Any:
    """Any JSON value as its text, nothing as null."""
    return strings(list(map(json_text, cells)))


def target_lists(cells: Iterable[Targets | None]) -> Any:
    """Targets of each post as lists of structs."""
    held = list(cells)
    groups = [cell if isinstance(cell, Targets) else Targets.of(cell or ()) for cell in held]
    fields = gather(groups)
    columns = [
        pa.array(fields[name], type=kind.type) if kind.type == pa.int64() else strings(fields[name])
        for name, kind in zip(Target._fields, TARGETS_TYPE.value_type, strict=True)
    ]
    structs = pa.StructArray.from_arrays(columns, fields=list(TARGETS_TYPE.value_type))
    ends = pa.array(np.cumsum([0, *map(len, groups)]), type=pa.int32())
    missing = pa.array([cell is None for cell in held], pa.bool_())
    return pa.ListArray.from_arrays(ends, structs, mask=missing if missing.true_count else None)
