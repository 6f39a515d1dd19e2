"""What analysts give as arguments: one text or several, a path; what is said of an unfit one names the argument."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from voxops.errors import ConfigError

__all__ = ["file_path", "list_of_text"]


def list_of_text(name: str, value: object) -> list[str]:
    """Read one text or several; ``[]`` for None.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : object
        What was passed.

    Raises
    ------
    ConfigError
        If it is anything else, or not all of them are texts.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, bytes) or hasattr(value, "columns"):
        raise ConfigError(f"{name}= takes text or a list of texts, not a {type(value).__name__}.")
    found = list(value)
    odd = [each for each in found if not isinstance(each, str)]
    if odd:
        raise ConfigError(f"{name}= takes text or a list of texts; {odd[0]!r} is a {type(odd[0]).__name__}.")
    return found


def file_path(name: str, value: str | os.PathLike[str]) -> Path:
    """Read a path.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : str or path
        What was passed.

    Raises
    ------
    ConfigError
        If it is no path.
    """
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise ConfigError(
            f"{name}= takes a path, not {repr(value) if isinstance(value, str) else type(value).__name__}."
        )
    return Path(value)
