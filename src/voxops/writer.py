"""Group commit: pieces of ledger work that come at once share one transaction, on a thread of their own."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from voxops.errors import ConfigError
from voxops.ledger import Ledger

__all__ = ["Writer"]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Work for the ledger, and who waits for it."""

    work: Callable[[], Any]
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Writer:
    """Writes to the ledger for many tasks, with one flush to disk for all that wait.

    The thread is a daemon of ours and not one of an executor's: those are shut down before the interpreter's exit gives a run
    the chance to note how its last requests ended.

    Parameters
    ----------
    ledger : Ledger
        The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._closed = False
        self._pieces: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="voxops-ledger", daemon=True)
        self._thread.start()

    async def commit(self, work: Callable[[], Any]) -> Any:
        """Do a piece of work in the ledger; return its result when it is on disk, even if the caller is cancelled meanwhile."""
        if self._closed:
            raise ConfigError("this workspace is closed; call vx.connect() again")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._pieces.put(_Piece(work, done, loop))
        return await asyncio.shield(done)

    def close(self) -> None:
        """End the thread; what was handed in is written first."""
        self._closed = True
        self._pieces.put(None)
        self._thread.join()

    def _main(self) -> None:
        """Write groups of pieces until told to end."""
        while (piece := self._pieces.get()) is not None:
            group = [piece]
            while not self._pieces.empty():
                following = self._pieces.get()
                if following is None:
                    self._pieces.put(None)
                    break
                group.append(following)
            self._write(group)

    def _write(self, group: Sequence[_Piece]) -> None:
        """Do a group in one transaction and tell who waits."""
        results: Sequence[Any]
        try:
            results = self._ledger.together([piece.work for piece in group])
        except Exception as error:  # noqa: BLE001  whatever it is belongs to those who wait for it
            results = [error] * len(group)
        for piece, result in zip(group, results, strict=True):
            piece.loop.call_soon_threadsafe(_tell, piece.done, result)


def _tell(done: asyncio.Future[Any], result: Any) -> None:
    """Hand a result over; on the loop of whoever waits."""
    if done.cancelled():
        return
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)
