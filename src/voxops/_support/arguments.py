"""Read arguments as analysts pass them; the error names the argument."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sized
from numbers import Integral
from pathlib import Path

from voxops.errors import ConfigError, VoxopsError

Words = str | Iterable[str] | None


def list_of_text(name: str, value: object, *, secret: bool = False) -> list[str]:
    """Read one text or several; ``[]`` for None.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : object
        What was passed.
    secret : bool
        Whether the message may not repeat it.

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
        raise ConfigError(f"{name}= takes text or a list of texts, not {type(value).__name__}.")
    found = list(value)
    if not found and not isinstance(value, Sized):  # an exhausted generator would mean "all"
        raise ConfigError(f"{name}= takes text or a list of texts; this {type(value).__name__} is empty or used up.")
    odd = [each for each in found if not isinstance(each, str)]
    if odd:
        which = "one" if secret else repr(odd[0])
        raise ConfigError(f"{name}= takes text or a list of texts; {which} is a {type(odd[0]).__name__}.")
    return found


def empties(**filters: object) -> dict[str, tuple[()]]:
    """Return the filters that are empty, which no row matches; every row matches an omitted filter."""
    return {
        name: ()
        for name, value in filters.items()
        if isinstance(value, Sized) and not isinstance(value, str) and len(value) == 0
    }


def true_or_false(name: str, value: object) -> bool:
    """Return a bool and refuse anything else; the text "no" would count as true.

    Raises
    ------
    ConfigError
        Naming the argument.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={value!r} must be True or False")
    return value


def whole_number(value: object, refusal: VoxopsError, least: int = 1) -> int:
    """Read a whole number: Python's own or one of NumPy, as columns give it.

    Parameters
    ----------
    value : object
        What was passed. True and False are no numbers.
    refusal : VoxopsError
        What is raised if it is no whole number from `least`.
    least : int
        The smallest that is allowed.

    Raises
    ------
    VoxopsError
        `refusal`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise refusal
    return int(value)


def file_path(name: str, value: str | os.PathLike[str]) -> Path:
    """Read a path; a leading ``~`` is the home folder, as in a shell.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : str or path
        What was passed.

    Raises
    ------
    ConfigError
        If it is no path, or its home folder is unknown.
    """
    if not isinstance(value, str | os.PathLike) or not str(value).strip() or "\0" in str(value):
        raise ConfigError(f"{name}= takes a path, not {value!r}.")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{name}={str(value)!r} begins with an unknown home folder; write the path out.") from error


def near(word: str, known: Iterable[str], cutoff: float = 0.8) -> str | None:
    """Return the known word nearest to a typo, None if none is near."""
    from difflib import get_close_matches  # imported only after a mistake

    meant = {each.lower(): each for each in known}
    found = get_close_matches(word.lower(), meant, n=1, cutoff=cutoff)
    return meant[found[0]] if found else None


_WITH_DIGITS, _LIKE_DIGITS = re.compile(r"\w*\d\w*"), str.maketrans("oil", "011")


def near_name(word: str, known: Iterable[str], cutoff: float = 0.8) -> str | None:
    """Return the known name nearest to a typo, None if none is near: 2O26 means 2026, but 2027 does not."""
    return near(word, [name for name in known if _digits(name) == _digits(word)], cutoff)


def _digits(word: str) -> str:
    numbers = "".join(_WITH_DIGITS.findall(word.lower())).translate(_LIKE_DIGITS)
    return "".join(filter(str.isdigit, numbers))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown word: the likely one, else all known ones."""
    names = sorted(known)
    meant = near(word, names, 0.6)
    return f"did you mean {meant!r}?" if meant else f"one of {', '.join(names)}"
