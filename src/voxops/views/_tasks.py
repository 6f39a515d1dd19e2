"""A task queue for displays: one task after another on our event loop, so that work blocks neither kernel nor run."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from voxops._support import eventloop
from voxops.errors import VoxopsError

__all__ = ["TaskQueue"]

T = TypeVar("T")


class TaskQueue:
    """Runs a panel's work on our event loop, one task after another; callbacks only submit it.

    Parameters
    ----------
    complain : callable
        Called with a sentence when work failed, which would otherwise stay unseen.
    """

    def __init__(self, complain: Callable[[str], object]) -> None:
        self._complain = complain
        self._turn = asyncio.Lock()
        # Not the loop's own threads: work that waits here, such as for a pause, may wait for a task that needs one of those.
        self._threads = ThreadPoolExecutor(thread_name_prefix="voxops-display")

    def submit(self, work: Callable[[], Awaitable[object]]) -> None:
        """Queue work and return at once."""
        eventloop.submit(self._do(work))

    def at_once(self, work: Callable[[], object]) -> None:
        """Start work in a thread without waiting for the queue: stopping must not wait for a long load."""
        eventloop.submit(self._guarded(lambda: self.in_thread(work)))

    def run_blocking(self, work: Callable[[], object]) -> None:
        """Queue work that blocks, in a thread, so that it delays neither the kernel nor the sends of a run."""
        self.submit(lambda: self.in_thread(work))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run work in a thread, which may block; call it on our event loop."""
        context = contextvars.copy_context()  # tells which notebook cell an output belongs to
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(work))

    async def in_turn(self, work: Callable[[], Awaitable[object]]) -> None:
        """Wait for the turn, then run work; call it on our event loop."""
        async with self._turn:
            await work()

    async def _do(self, work: Callable[[], Awaitable[object]]) -> None:
        """Wait for the turn, then run work."""
        await self.in_turn(lambda: self._guarded(work))

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run work, and report what failed."""
        try:
            await work()
        except VoxopsError as error:
            self._complain(str(error))
        except Exception as error:  # noqa: BLE001  nobody would see it in a callback
            self._complain(f"the panel failed: {type(error).__name__}: {error}")
