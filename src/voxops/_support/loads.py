"""The progress of a load: one line after a second, and one sentence where somebody stops it."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from voxops._support import eventloop, safe
from voxops.errors import Interrupted

T = TypeVar("T")

AFTER, EVERY = 1.0, 0.5  # seconds until the first line, and between two


class Load:
    """How far a load is.

    Parameters
    ----------
    noun : str
        What is loaded, such as ``posts``.
    show : callable
        Gets each line, and None at the end.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, noun: str, show: Callable[[str | None], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._noun, self._show, self._clock = noun, show, clock
        self._began = clock()
        self._due = self._began + AFTER
        self._pages = self._rows = self._done = self._total = 0
        self._of = ""

    def page(self, rows: int) -> None:
        """Count a page of a list."""
        self._pages += 1
        self._rows += rows

    def reach(self, done: int, total: int, of: str) -> None:
        """Record the progress, such as 3 of 80 ``media``."""
        self._done, self._total, self._of = done, total, of

    def tick(self) -> None:
        """Show a line if it is time."""
        now = self._clock()
        if now >= self._due:
            self._due = now + EVERY
            self._show(f"{self._noun}: {', '.join([*self._far(), *self._speed(now - self._began)])}")

    def stopped(self) -> str:
        """Return the progress at which somebody stopped it."""
        took = safe.duration(self._clock() - self._began)
        return f"stopped loading {self._noun} after {took}: {', '.join(self._far()) or 'nothing had come yet'}"

    def _far(self) -> list[str]:
        read = [safe.many(self._pages, "page"), safe.many(self._rows, "row")] if self._pages else []
        return read + ([f"{self._done:,} of {self._total:,} {self._of}"] if self._total else [])

    def _speed(self, seconds: float) -> list[str]:
        if self._done and self._total:
            return [f"about {safe.duration((self._total - self._done) * seconds / self._done)} left"]
        return [f"{self._rows / seconds:,.0f} rows a second"] if self._rows else ["waiting for an answer"]


_UNSEEN = Load("", print)  # shows nothing, because nobody calls its `tick`
_load: ContextVar[Load] = ContextVar("load", default=_UNSEEN)
current = _load.get  # the load that is under way here, to count what comes; else one that nobody sees


def run(noun: str, work: Coroutine[Any, Any, T], kept: str = "nothing was changed") -> T:
    """Wait for a load as `eventloop.run` does, and show how far it is: in a notebook, or on a terminal's stderr.

    Parameters
    ----------
    noun : str
        What is loaded.
    work : coroutine
        The load.
    kept : str
        What remains of it where somebody stops it.

    Raises
    ------
    Interrupted
        By the stop button or Ctrl-C; says how far it was.
    """
    show = _line()
    load = Load(noun, show)
    token = _load.set(load)  # the coroutine inherits it
    try:
        return eventloop.run(work, load.tick)
    except KeyboardInterrupt as stop:
        raise Interrupted(f"{load.stopped()}; {kept}") from stop
    finally:
        _load.reset(token)
        show(None)


def _line() -> Callable[[str | None], object]:
    """Return what shows a line in place of the last one."""
    if eventloop.kernel_shell() is not None:
        return _notebook_line()
    return _terminal_line if sys.stderr.isatty() else lambda _: None


def _terminal_line(line: str | None) -> None:
    sys.stderr.write(f"\r\x1b[K{safe.plain(line or '', 120)}")
    sys.stderr.flush()


def _notebook_line() -> Callable[[str | None], object]:
    place, shown = uuid.uuid4().hex, list[str]()

    def show(line: str | None) -> None:
        if line is not None:
            eventloop.publish({"text/plain": line}, place, bool(shown))
            shown.append(line)

    return show
