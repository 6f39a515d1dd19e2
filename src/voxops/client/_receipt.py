"""The receipt of a batch of uploads: local file -> media id, so that the batch can be resumed."""

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
# One lock for all receipts: those that share a file don't overwrite each other's entries.
_WRITING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Source:
    """A local file; another size or modification time makes it a different file.

    Attributes
    ----------
    path : Path
        Absolute.
    content_type : str
        Such as ``image/jpeg``.
    size : int
        Bytes.
    changed : int
        Modification time in nanoseconds.
    sha256 : str or None
        The hash that its bytes must have, if that is known; else nothing is uploaded.
    """

    path: Path
    content_type: str
    size: int
    changed: int
    sha256: str | None = None


class Receipt:
    """Media ids by local file, stored on disk without API key and upload addresses.

    Parameters
    ----------
    file : Path or None
        Where it is stored; None stores nothing.
    url : str
        The API that the media belong to.

    Raises
    ------
    ConfigError
        If the file can't be read, is not a receipt, or belongs to another API.
    """

    def __init__(self, file: Path | None, url: str) -> None:
        self._file = file
        self._url = url
        self._entries = self._kept()

    def media_id(self, source: Source) -> str | None:
        """Return the media id recorded for exactly this file, None if there is none."""
        entry = self._entries.get(str(source.path), {})
        same = entry.get("size") == source.size and entry.get("changed") == source.changed
        return str(entry["mediaId"]) if same and entry.get("mediaId") else None

    def keep(self, source: Source, media_id: str) -> None:
        """Record a media id before the bytes are sent; it is on disk when this returns. Thread-safe."""
        with _WRITING:
            # Two cells or kernels may share a receipt: read their entries first.
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
        """Return the entries on disk."""
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
