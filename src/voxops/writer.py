"""Group commit: pieces of ledger work that come at once share one transaction, on a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from voxops.ledger import Ledger

__all__ = ["Writer"]


class Writer:
    """Writes to the ledger for many tasks of one loop, with one flush to disk for all that wait.

    Parameters
    ----------
    ledger : Ledger
        The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="voxops-ledger")
        self._works: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._flushing: asyncio.Task[None] | None = None

    def close(self) -> None:
        """End the thread; what was handed in is written first."""
        self._thread.shutdown(wait=True)

    async def commit(self, work: Callable[[], Any]) -> Any:
        """Do a piece of work in the ledger; pieces that come at once share one transaction, and return when it is on disk."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._works.append((work, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return await asyncio.shield(done)

    async def _flush(self) -> None:
        """Write groups of pieces until none is left."""
        loop = asyncio.get_running_loop()
        while self._works:
            works, self._works = self._works, []
            try:
                results = await loop.run_in_executor(self._thread, self._ledger.together, [work for work, _ in works])
            except Exception as error:  # noqa: BLE001  whatever it is belongs to the callers, who wait for it
                results = [error] * len(works)
            for (_, done), result in zip(works, results, strict=True):
                if done.cancelled():
                    continue
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)
