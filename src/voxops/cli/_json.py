"""What a command found as JSON, for whatever reads it next: plain values, times as ISO text in UTC, everything else escaped."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from voxops.frames.columns import plain_values

__all__ = ["records", "written"]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, its named index among the columns; missing values are null."""
    named = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
    names = [str(name) for name in named.columns]
    columns = [plain_values(named, name) for name in named.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def written(value: Any) -> str:
    """JSON in plain ASCII on one line: no terminal and no log takes anything in it for a command."""
    return json.dumps(_plain(value), ensure_ascii=True, allow_nan=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, pd.Timedelta):
        return value.total_seconds()
    return _plain(value.tolist()) if hasattr(value, "tolist") else str(value)
