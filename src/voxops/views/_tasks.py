"""A task queue for displays: work on our own event loop, one task after another, so that it blocks neither the kernel nor a run."""

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
    """Runs a panel's work on our own loop, one task after another; callbacks only submit it.

    Parameters
    ----------
    complain : callable
        Called, with a sentence, for work that failed: nobody else would see it.
    """

    def __init__(self, complain: Callable[[str], object]) -> None:
        self._complain = complain
        self._turn = asyncio.Lock()
        # None of the loop's own threads: what waits here, for a pause perhaps, may wait for what needs one of those.
        self._threads = ThreadPoolExecutor(thread_name_prefix="voxops-display")

    def submit(self, work: Callable[[], Awaitable[object]]) -> None:
        """Start some work and return at once."""
        eventloop.submit(self._do(work))

    def at_once(self, work: Callable[[], object]) -> None:
        """Start work in a thread without waiting for what was handed over before: stopping must not wait for a long load."""
        eventloop.submit(self._guarded(lambda: self.in_thread(work)))

    def run_blocking(self, work: Callable[[], object]) -> None:
        """Start work that computes, in a thread, so that it holds up neither the kernel nor what is being sent."""
        self.submit(lambda: self.in_thread(work))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Work in a thread that may wait; on our own loop."""
        context = contextvars.copy_context()  # it says where in the notebook an output belongs
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(work))

    async def in_turn(self, work: Callable[[], Awaitable[object]]) -> None:
        """Wait for the turn, and work; on our own loop."""
        async with self._turn:
            await work()

    async def _do(self, work: Callable[[], Awaitable[object]]) -> None:
        """Wait for the turn, and work."""
        await self.in_turn(lambda: self._guarded(work))

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Work, and say what failed."""
        try:
            await work()
        except VoxopsError as error:
            self._complain(str(error))
        except Exception as error:  # noqa: BLE001  in a callback it would be lost without a word
            self._complain(f"the panel broke down: {type(error).__name__}: {error}")
