"""Group commit: pieces of ledger work that come together share one transaction, on a thread of their own.

What must be on disk before anything leaves (rule 7) waits three milliseconds for company. What an answer has brought may wait a
little longer, and share the next flush: if the process dies in between, the call is unknown, as after any lost
answer.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from voxops.errors import ConfigError
from voxops.ledger.ledger import Ledger

T = TypeVar("T")

# Seconds for which a piece waits for company: one that a request waits for, and one that nothing waits for.
URGENT, PATIENT = 0.003, 0.01


@dataclass(frozen=True, slots=True)
class _Piece:
    """Work for the ledger, its result, and until when it may wait for company."""

    work: Callable[[], Any]
    done: Future[Any]
    until: float


class Writer:
    """Writes to the ledger for many tasks, with one flush to disk for all that wait.

    The thread is a daemon of ours, not an executor's. Those end before the interpreter's exit gives a run the chance to
    record how its last requests ended.

    Parameters
    ----------
    ledger : Ledger
        The ledger.

    Attributes
    ----------
    unwritten : int
        Pieces that are not on disk yet.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.unwritten: int = 0
        self._closed = False
        # Not a SimpleQueue: until Python 3.13, one whose thread does not get its turn before the time is up never ends.
        self._pieces: queue.Queue[_Piece | None] = queue.Queue()
        self._thread = threading.Thread(target=self._main, name="voxops-ledger", daemon=True)
        self._thread.start()

    async def commit(self, work: Callable[[], T]) -> T:
        """Do a piece of work in the ledger; return its result when it is on disk, even if the caller is cancelled."""
        return await self._do(work, URGENT)

    async def note(self, work: Callable[[], T]) -> T:
        """As `commit`, for work that nothing to be sent depends on: it waits a moment for a commit to share."""
        return await self._do(work, PATIENT)

    async def _do(self, work: Callable[[], T], patience: float) -> T:
        """Hand a piece of work to the thread and wait for it."""
        if self._closed:
            raise ConfigError("this workspace is closed; call vx.connect() again")
        done: Future[T] = Future()
        done.set_running_or_notify_cancel()  # nobody can cancel it any more
        written = asyncio.wrap_future(done)
        self.unwritten += 1
        written.add_done_callback(self._written)
        self._pieces.put(_Piece(work, done, time.monotonic() + patience))
        return await asyncio.shield(written)

    def _written(self, _: asyncio.Future[Any]) -> None:
        """Count a piece that is done."""
        self.unwritten -= 1

    def close(self) -> None:
        """End the thread; what was handed in is written first."""
        self._closed = True
        self._pieces.put(None)
        self._thread.join()

    def _main(self) -> None:
        """Write groups of pieces until asked to end."""
        ended = False
        while not ended:
            group, ended = self._next_group()
            if group:
                self._write(group)

    def _next_group(self) -> tuple[list[_Piece], bool]:
        """Pieces to be written together, and whether they are the last ones."""
        first = self._pieces.get()
        if first is None:
            return [], True
        group, until = [first], first.until
        while True:
            left = until - time.monotonic()
            try:
                piece = self._pieces.get(block=left > 0, timeout=max(left, 0.0))
            except queue.Empty:
                return group, False
            if piece is None:
                return group, True
            group.append(piece)
            until = min(until, piece.until)

    def _write(self, group: Sequence[_Piece]) -> None:
        """Do a group in one transaction and tell who waits."""
        results: Sequence[Any]
        try:
            results = self._ledger.in_one_commit([piece.work for piece in group])
        except Exception as error:  # noqa: BLE001  whatever it is belongs to those who wait for it
            results = [error] * len(group)
        for piece, result in zip(group, results, strict=True):
            if isinstance(result, Exception):
                piece.done.set_exception(result)
            else:
                piece.done.set_result(result)
