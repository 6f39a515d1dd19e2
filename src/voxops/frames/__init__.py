"""Records to typed frames, and frames to bytes."""

from __future__ import annotations

from voxops.frames.columns import need_columns, need_frame
from voxops.frames.expansion import TARGET_COLUMNS, TARGET_KEY, latest_rows, latest_targets, targets
from voxops.frames.schemas import SCHEMAS
from voxops.frames.spans import moment, window, within
from voxops.frames.target import Target, Targets
from voxops.frames.times import parse_times
from voxops.frames.typed import Columns, build

__all__ = [
    "SCHEMAS",
    "TARGET_COLUMNS",
    "TARGET_KEY",
    "Columns",
    "Target",
    "Targets",
    "build",
    "latest_rows",
    "latest_targets",
    "moment",
    "need_columns",
    "need_frame",
    "parse_times",
    "targets",
    "window",
    "within",
]
