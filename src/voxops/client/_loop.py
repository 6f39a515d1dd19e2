"""The event loop that a client belongs to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from voxops.errors import ConfigError

T = TypeVar("T")

LoopRunner = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]


class OwnLoop:
    """The event loop of a client, to which its connections, locks and semaphores are bound.

    `renew` replaces these; it is called after the old loop has closed or the process has forked.
    """

    def __init__(self, renew: Callable[[], None]) -> None:
        self._renew = renew
        self._runner: LoopRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._closed = False

    def run_by(self, runner: LoopRunner) -> None:
        """Use the loop of `runner`, which runs a coroutine there and can be awaited from any loop."""
        self._runner = runner

    def close(self) -> None:
        """Refuse all further work; objects bound to a closed loop can't be closed on another, so they are renewed."""
        self._closed = True
        if self._loop is not None and self._loop.is_closed():
            self._renew()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the client's loop: the runner's, or the running one."""
        if self._runner is not None:
            result: T = await self._runner(work)
            return result
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            work.close()
            raise ConfigError(
                "this is awaited outside of asyncio, which voxops needs; under trio run it in a thread, "
                "such as await trio.to_thread.run_sync(asyncio.run, main())"
            ) from None
        return await work

    def bind(self) -> None:
        """Bind to the running loop, and renew everything bound to a closed one; refuse if the client is closed, or on another loop."""
        if self._closed:
            raise ConfigError("this client is closed; create a new one")
        loop = asyncio.get_running_loop()
        forked = self._process != os.getpid()
        if loop is self._loop and not forked:
            return
        if self._loop is not None:
            if not forked and not self._loop.is_closed():
                raise ConfigError(
                    "this client is in use on another event loop; use one client per loop, or ws.client of a workspace"
                )
            self._renew()
        self._loop, self._process = loop, os.getpid()
