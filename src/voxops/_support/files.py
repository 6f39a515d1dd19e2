"""Files that others can't read, written whole or not at all.

A file is written beside its target under a new name, which must not exist and is never followed as a link, and then renamed over
the target. Readers see the old file or the new one, and a link in the target's place is replaced, not written through.

Files and folders are private to their owner, except reports and other exports.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from voxops.errors import ConfigError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def make_folder(path: Path, *, flush: bool = False, private: bool = True) -> None:
    """Create a folder and its missing parents; an existing one stays as it is.

    Parameters
    ----------
    path : Path
        The folder.
    flush : bool
        Whether to wait until the new names are on disk; else a power cut may lose them and their contents.
    private : bool
        Whether others can't read it; else the umask decides, as for any other folder.

    Raises
    ------
    OSError
        If it can't be made.
    """
    if path.is_dir():
        return
    make_folder(path.parent, flush=flush, private=private)
    try:
        path.mkdir(0o700 if private else 0o777)
    except FileExistsError:
        if not path.is_dir():  # else another process has just created it
            raise
        return
    if flush:
        flush_folder(path.parent)


def create_file(path: Path, *, private: bool = True) -> BinaryIO:
    """Open a new file for writing.

    Parameters
    ----------
    path : Path
        Must not exist, not even as a dangling link.
    private : bool
        Whether others can't read it; else the umask decides, as for any other file.

    Raises
    ------
    FileExistsError
        If there is something under this name.
    OSError
        If it can't be made.
    """
    return os.fdopen(os.open(path, _NEW, 0o600 if private else 0o666), "wb")


def export(path: Path, data: str | bytes) -> Path:
    """Write a file that others may read, and its missing folders, in place of an existing one; line ends stay as they are.

    Raises
    ------
    ConfigError
        If it can't be written, or is a database, such as a ledger, which must not be replaced; says what to do.
    """
    aside = path.with_name(f".voxops-{secrets.token_hex(8)}.new")
    try:
        make_folder(path.parent, private=False)
        if path.exists() and not path.is_file():
            raise FileExistsError(f"{path} exists and is not a file")
        with suppress(OSError), path.open("rb") as file:  # an unreadable file counts as no database
            if file.read(16) == b"SQLite format 3\0":
                raise ConfigError(f"{path} is a database, such as a ledger, and would be lost; choose another file")
        try:
            with create_file(aside, private=False) as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror or error}. Choose another place.") from error
    return path


def unreadable(path: Path, error: OSError) -> str:
    """Return the error of an unreadable file: why, and where a relative path was looked for."""
    here = "" if path.is_absolute() else f" It was looked for in {Path.cwd()}."
    return f"{path} can't be read: {error.strerror or error}.{here}"


def flush_folder(path: Path) -> None:
    """Wait until the renames in a folder are on disk, if the system supports it."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
