"""History on disk: posts, their targets and webhook deliveries as Parquet, a folder per day.

A sync fetches only what is new or still open, merges it into the files of the days concerned, and may be killed at any
instant: each file is written aside and then renamed, and what was being read is simply read again. Any engine reads the
files as they are; `Archive` gives them as the frames of this package.
"""

from __future__ import annotations

from voxops.archive.archive import Archive
from voxops.archive.store import read_part

__all__ = ["Archive", "read_part"]
