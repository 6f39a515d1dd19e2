"""A file that remembers which local file became which media file, so that a batch can be taken up again."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxops._support.files import write_file
from voxops.errors import ConfigError

__all__ = ["Receipt", "Source"]

_VERSION = 1
# One for all: receipts of one process that share a file don't write each other's entries away.
_WRITING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Source:
    """A local file as it is now; another size or time of change makes it another file.

    Attributes
    ----------
    path : Path
        Absolute.
    content_type : str
        Such as ``image/jpeg``.
    size : int
        Bytes.
    changed : int
        Time of the last change, in nanoseconds.
    """

    path: Path
    content_type: str
    size: int
    changed: int


class Receipt:
    """Media ids by file, kept on disk; holds no key and no upload address.

    Parameters
    ----------
    file : Path or None
        Where it is kept; None keeps nothing.
    url : str
        The API that the media belong to.

    Raises
    ------
    ConfigError
        If the file can't be read, is not a receipt, or is one of another API.
    """

    def __init__(self, file: Path | None, url: str) -> None:
        self._file = file
        self._url = url
        self._entries = self._kept()

    def media_id(self, source: Source) -> str | None:
        """The media file that this very file became, or was about to become."""
        entry = self._entries.get(str(source.path), {})
        same = entry.get("size") == source.size and entry.get("changed") == source.changed
        return str(entry["mediaId"]) if same and entry.get("mediaId") else None

    def keep(self, source: Source, media_id: str) -> None:
        """Remember a media file before its bytes are sent; on disk when this returns. May be called from several threads."""
        with _WRITING:
            # Others may have kept theirs since: two cells, or two kernels, may share a receipt.
            self._entries |= self._kept()
            self._entries[str(source.path)] = {"size": source.size, "changed": source.changed, "mediaId": media_id}
            if self._file is not None:
                content = json.dumps({"version": _VERSION, "url": self._url, "files": self._entries}, indent=1)
                try:
                    write_file(self._file, content)
                except OSError as error:
                    raise ConfigError(
                        f"the receipt {self._file} can't be written ({error.strerror or error})"
                    ) from None

    def _kept(self) -> dict[str, dict[str, Any]]:
        """What the file holds by now."""
        file = self._file
        if file is None or not file.exists():
            return {}
        try:
            content = json.loads(file.read_bytes())
            kept, entries = content["url"], dict(content["files"])
        except OSError as error:
            raise ConfigError(f"the receipt {file} can't be read ({error.strerror or error})") from None
        except (ValueError, TypeError, KeyError):
            raise ConfigError(f"{file} is not a receipt of uploads; name another file, or delete it") from None
        if kept != self._url:
            raise ConfigError(f"{file} is a receipt of uploads to {kept}, not to {self._url}; name another file")
        return entries
