"""History on disk: posts and webhook deliveries as Parquet, a folder per day.

A sync fetches only new and open records, and once a week everything, and merges them into the files of their days. It may be killed at
any instant: each file is written aside and then renamed, and the next sync repeats unfinished reads. Any engine can read the files;
`Archive` returns them as frames of this package.
"""

from __future__ import annotations

from voxops.archive.archive import Archive

__all__ = ["Archive"]
