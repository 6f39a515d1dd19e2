"""The one event loop: a daemon thread of its own. Blocking calls and awaitables both go through it.

The kernel's loop is never touched, so no cell that is queued behind a call is lost, clients live across cells and threads, and
an interrupt cancels what it interrupts. `run` blocks, `arun` is awaited on any loop, `submit` hands work over and returns.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from voxops.errors import ConfigError

__all__ = ["arun", "run", "submit"]

T = TypeVar("T")

GRACE = 2.0  # seconds that an interrupted call is given to end, so that its outcome is known
TICK = 0.2  # seconds; an idle kernel loop notices an interrupt only when something wakes it


class _Loop:
    """A running loop in a daemon thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._main, name="voxops", daemon=True)
        self.thread.start()

    def _main(self) -> None:
        """Run the loop until the process ends."""
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


_lock = threading.Lock()
_current: _Loop | None = None


def _get() -> _Loop:
    """The loop of this process; a new one after a fork, since threads don't survive it."""
    global _current  # noqa: PLW0603  one loop per process is the point
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = _Loop()
        return _current


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Hand work to the loop and return at once."""
    return asyncio.run_coroutine_threadsafe(work, _get().loop)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do work on the loop and wait for its result.

    Raises
    ------
    ConfigError
        If called on the loop itself, where waiting would be for ever.
    KeyboardInterrupt
        If interrupted; the work has been cancelled then.
    """
    if threading.current_thread() is _get().thread:
        work.close()
        raise ConfigError("a blocking call of voxops was made from inside voxops' own loop; await its ws.aio form instead")
    job = _Job(work)
    with _interruptible():
        try:
            return job.done.result()
        except BaseException:
            job.cancel()
            raise


async def arun(work: Coroutine[Any, Any, T]) -> T:
    """Do work on the loop and await its result on any other loop; an interrupt is noticed within a fifth of a second."""
    job = _Job(work)
    waiter = asyncio.wrap_future(job.done)
    try:
        while not waiter.done():
            await asyncio.wait({waiter}, timeout=TICK)
        return waiter.result()
    except BaseException:
        job.cancel()
        raise


class _Job(Generic[T]):
    """Work on the loop that can be cancelled, and waited for after that: "stop" must not mean "still sending"."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.done: Future[T] = Future()
        self._ended = threading.Event()
        self._loop = _get().loop
        self._task: asyncio.Task[T] | None = None
        self._loop.call_soon_threadsafe(self._begin, work)

    def _begin(self, work: Coroutine[Any, Any, T]) -> None:
        """Start the work; on the loop."""
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        """Pass on how the work ended; on the loop."""
        self._ended.set()
        if self.done.cancelled():
            return
        if task.cancelled():
            self.done.cancel()
            self.done.set_running_or_notify_cancel()
        elif (error := task.exception()) is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(task.result())

    def cancel(self) -> None:
        """Cancel the work if it goes on, and give it a moment to note how it ended."""
        if not self._ended.is_set():
            self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
            self._ended.wait(GRACE)


@contextmanager
def _interruptible() -> Generator[None]:
    """Let SIGINT raise here while a call waits.

    In an async cell ipykernel turns SIGINT into "cancel the cell's task", which a blocked loop never sees.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
