"""The API key, held so that nothing which prints, inspects or stores objects shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from voxops.errors import ConfigError

__all__ = ["Secret"]

T = TypeVar("T")

_SHORTEST = 8  # characters; text shorter than that may stand in an answer by chance, so it is not redacted


class Secret:
    """A text that only `expose_to` reveals; every print of it is ``***``.

    Making one never raises, so that the caller can forget the text before `check` does: a traceback that prints local variables
    then has nothing to show.

    Parameters
    ----------
    text : str or None
        The API key.
    """

    __slots__ = ("_held",)

    def __init__(self, text: str | None) -> None:
        held = text.strip() if isinstance(text, str) else ""
        self._held: Callable[[], str] = lambda: held

    def check(self) -> None:
        """Raise ConfigError if there is no text, or one that does not fit into a header."""
        problem = self.expose_to(_problem)
        if problem:
            raise ConfigError(problem)

    def expose_to(self, function: Callable[[str], T]) -> T:
        """Hand the text to a function."""
        return function(self._held())

    def redact(self, data: bytes) -> bytes:
        """The data with every occurrence of the text redacted, since servers echo what they refuse."""
        text = self._held().encode()
        return data.replace(text, b"***") if len(text) >= _SHORTEST and text in data else data

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not written anywhere; make a new client instead")


def _problem(text: str) -> str:
    """Why a text can't be an API key; empty if it can."""
    if not text:
        return "no API key: set VOXBURST_API_KEY or pass api_key="
    if not (text.isascii() and text.isprintable() and " " not in text):
        return "the API key holds spaces or characters that no key has; copy it again from the dashboard"
    return ""
