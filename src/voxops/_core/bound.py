"""What is bound to its process, as it holds threads, connections or a screen: it can be neither copied nor pickled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

__all__ = ["by_id", "never_copied", "paused"]

_Class = TypeVar("_Class", bound=type)


def never_copied(instead: Callable[[Any], str]) -> Callable[[_Class], _Class]:
    """Let copying or pickling an object of a class raise a TypeError that names the class and what to do instead.

    Parameters
    ----------
    instead : callable
        Takes the object and returns what to do, such as ``call vx.connect() there``.
    """

    def bind(cls: _Class) -> _Class:
        def refuse(self: object, _: object) -> NoReturn:
            name = type(self).__name__
            raise TypeError(f"{name} can't be copied or pickled, as it belongs to its process; {instead(self)}")

        cls.__reduce_ex__ = refuse  # type: ignore[method-assign, assignment]  # asked by copy, deepcopy and pickle alike
        return cls

    return bind


def by_id(run: str) -> str:
    """How to hold a run in another process, or once more; what was only watched is in no ledger."""
    return f"attach it by its id: ws.attach({run!r})" if run.startswith("run_") else "start it again there"


def paused(run: str) -> str:
    """What an interrupt has done to a run, and how to go on."""
    how = f"ws.attach({run!r}).resume()" if run.startswith("run_") else "its resume()"
    return f"{run} is paused, and nothing more is sent; {how} goes on"
