"""One event loop for all of voxops: private, on a daemon thread, so that the kernel's own loop is never touched.

Blocking calls go through `run`, awaitables through `arun`, work that goes on by itself through `submit`. All three end on the
same loop, and so share one client over all cells, threads and callers. A sync helper on the kernel's loop would lose the cells
queued behind it; this one keeps their order, and an interrupt stops the request itself, not only the waiting for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

__all__ = ["all_or_none", "arun", "run", "submit"]

T = TypeVar("T")

TICK = 0.2  # seconds between two looks: an idle loop, or a lock that no signal wakes, would never notice an interrupt
GRACE = 2.0  # seconds that an interrupted caller waits for the outcome of the cancelled work


class _Private:
    """The loop of this process, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._serve, args=(self._loop,), name="voxops-loop", daemon=True)
                self._thread.start()
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop for as long as the process lives."""
        asyncio.set_event_loop(loop)
        loop.run_forever()

    def is_current(self) -> bool:
        """Whether the caller is on the private loop's thread."""
        return threading.current_thread() is self._thread


_private = _Private()


def _after_fork() -> None:
    """Forget the parent's loop: its thread does not exist in the child, and its lock may be held for ever."""
    global _private  # noqa: PLW0603  the one loop of the process
    _private = _Private()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Work(Generic[T]):
    """A coroutine on the private loop, with an outcome that can still be waited for after it was cancelled."""

    def __init__(self) -> None:
        self.future: Future[T] = Future()
        self._ended = threading.Event()
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False
        self._loop = _private.loop()

    def start(self, coro: Coroutine[Any, Any, T]) -> None:
        """Hand the coroutine to the loop."""
        self._loop.call_soon_threadsafe(self._begin, coro)

    def _begin(self, coro: Coroutine[Any, Any, T]) -> None:
        """Make the task, on its loop."""
        self._task = self._loop.create_task(coro)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        """Pass the outcome on."""
        # Nobody but this class holds the future, so it can't have been cancelled from outside.
        if task.cancelled():
            self.future.cancel()
            self.future.set_running_or_notify_cancel()
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())
        self._ended.set()

    def cancel(self) -> None:
        """Ask the task to end; on its loop, and never before it has begun."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        """Cancel the task, once, since a second time would cut short how it ends; after its first step, since it may be a pause."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._loop.call_soon(self._task.cancel)

    def wait(self) -> T:
        """Block until there is an outcome, and return or raise it."""
        while not self._ended.wait(TICK):
            pass
        return self.future.result()

    def stop(self) -> None:
        """Cancel, and wait a short grace for the outcome, so that "interrupted" does not mean "still sending"."""
        asked = self._ended.is_set()
        while not asked:  # a key that is held down interrupts this, too
            try:
                self.cancel()
                asked = True
            except KeyboardInterrupt:
                continue
        self._ended.wait(GRACE)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt here and now.

    In an async cell the kernel turns it into "cancel the cell's task", which a loop that is blocked by us never sees.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    # None: installed by other than Python, which can't be put back. Ignored: somebody wants no interrupts.
    if before is None or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the private loop and wait for it, whatever loop runs in the calling thread.

    Parameters
    ----------
    coro : coroutine
        What to do.

    Returns
    -------
    object
        What it returns.

    Raises
    ------
    RuntimeError
        If called from the private loop itself, which would wait for itself for ever.
    KeyboardInterrupt
        If interrupted; the coroutine has been cancelled then, and got a short while to end.
    """
    if _private.is_current():
        coro.close()
        raise RuntimeError(
            "this is the thread of voxops's own event loop, where a blocking call would wait for itself; await ws.aio instead"
        )
    work: _Work[T] = _Work()
    try:
        with _interruptible():
            work.start(coro)
            return work.wait()
    except BaseException:
        work.stop()
        raise


async def arun(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the private loop and await it from any other; cancelling the caller cancels it.

    Parameters
    ----------
    coro : coroutine
        What to do.

    Returns
    -------
    object
        What it returns.
    """
    if _private.is_current():
        return await coro
    work: _Work[T] = _Work()
    work.start(coro)
    done = asyncio.wrap_future(work.future)
    try:
        while not done.done():
            await asyncio.wait({done}, timeout=TICK)
    except BaseException:
        work.cancel()
        await asyncio.wait({done}, timeout=GRACE)
        if done.done() and not done.cancelled():
            done.exception()  # seen, and of no interest to a caller who has been cancelled
        raise
    return done.result()


def submit(coro: Coroutine[Any, Any, T]) -> Future[T]:
    """Start a coroutine on the private loop and return at once; cancelling the future cancels it.

    Parameters
    ----------
    coro : coroutine
        What to do.

    Returns
    -------
    concurrent.futures.Future
        Its outcome.
    """
    return asyncio.run_coroutine_threadsafe(coro, _private.loop())


async def all_or_none(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do works at once and return their results in order; after an error, such as a refused key, none of them goes on."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
