"""Limits of requests, answers and lists, each with its unit and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MEGABYTE = 1024 * 1024

# Lists: records per page, the maximum for posts and contacts (contract: section 3); assumed for the other lists.
PAGE_RECORDS = 100

# Our own bounds on a server's responses, far beyond what the API sends, so that none fills memory or never ends.
ANSWER_BYTES = 64 * _MEGABYTE  # of one response, decompressed
ANSWER_VALUES = 2_000_000  # of one response: 64 MB of ``{}`` would be two gigabytes of objects
STORAGE_ANSWER_BYTES = _MEGABYTE  # of one response of the storage host
PAGE_TIMES = 100  # a page with so many times the requested records is refused
LIST_PAGES, LIST_RECORDS, LIST_BYTES = 20_000, 2_000_000, 4 * 1024 * _MEGABYTE  # of one list

# A post's fields (contract: POST-2, POST-3); what a sheet has of them is checked in `voxops.sheets.rules`.
CONTENT_CHARACTERS, COMMENT_CHARACTERS = 10_000, 2_200
METADATA_NAME_CHARACTERS, METADATA_TEXT_CHARACTERS = 100, 1_000
BULK_POSTS = 50  # of one bulk request (contract: K1-2); the retired endpoint took 100

# Documented text limits of the platforms; a breach is only a warning, because the API decides. `ws.check` asks it.
PLATFORM_CHARACTERS: Mapping[str, int] = {
    "twitter": 280, "bluesky": 300, "threads": 500, "instagram": 2_200, "linkedin": 3_000,
}  # fmt: skip

# Content type -> most bytes of a file (contract: MED).
FILE_BYTES: Mapping[str, int] = {
    **dict.fromkeys(("image/jpeg", "image/png", "image/gif", "image/webp"), 20 * _MEGABYTE),
    **dict.fromkeys(("video/mp4", "video/quicktime", "video/x-msvideo", "video/webm"), 500 * _MEGABYTE),
    "application/pdf": 100 * _MEGABYTE,
    **dict.fromkeys(("text/srt", "text/vtt", "text/plain"), 5 * _MEGABYTE),
}
# The end of a file's name -> its content type.
FILE_TYPES: Mapping[str, str] = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".avi": "video/x-msvideo", ".webm": "video/webm",
    ".pdf": "application/pdf", ".srt": "text/srt", ".vtt": "text/vtt", ".txt": "text/plain",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """A platform's limits for a picture in its feed: maximum bytes, minimum width in pixels, minimum and maximum ratio of width to height."""

    most_bytes: int
    least_width: int = 0
    least_ratio: float = 0.0
    most_ratio: float = 1_000.0


# The platforms' own published limits; a breach is only a warning, because the API may convert a picture before it sends it on.
PLATFORM_PICTURES: Mapping[str, PictureLimits] = {
    "instagram": PictureLimits(8 * _MEGABYTE, 320, 4 / 5, 1.91),
    "threads": PictureLimits(8 * _MEGABYTE, 320, 1 / 10, 10),
    "twitter": PictureLimits(5 * _MEGABYTE),
    "bluesky": PictureLimits(1_000_000),
}
