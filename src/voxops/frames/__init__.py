"""Records to typed frames, and frames to bytes."""

from __future__ import annotations

from voxops.frames.packing import pack, unpack
from voxops.frames.schemas import SCHEMAS
from voxops.frames.spans import moment, window, within
from voxops.frames.target import Target, Targets
from voxops.frames.typed import TARGET_COLUMNS, Columns, build, need_frame, targets
from voxops.frames.values import parse_times, to_bool

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
