r"""The ledger: what was wanted, what was sent, and what was seen. It outlives kernels.

Four nouns, each a table. A **request** is one thing that an analyst wants once; ``(identity, attempt)`` is unique. A **run** is the rows of
a plan, pointing at requests. A **call** is one HTTP request for one or more requests, written in the transaction that marks it sent; what
has not been sent is in no call. **Seen** is what readings and answers have shown of posts::

      request:   unsent ──► in an open call ──► succeeded | failed        (final)
                   ▲              │
                   └── released ──┘   proved to have had no effect

      call:      sent ──► accepted | unknown | limited ──► closed         (it answers for no request any more)

*Blocked* is no outcome: the request has it in a column of its own, with its reason. *Pending* and *unknown* follow from the call. Every write goes
through `Ledger.atomic`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from voxops.errors import ConfigError
from voxops.ledger.calls import Calls
from voxops.ledger.records import Medium, as_row, columns
from voxops.ledger.requests import Requests
from voxops.ledger.runs import Runs
from voxops.ledger.seen import SeenPosts
from voxops.ledger.store import Part, Store, as_values, some

_ROW = columns(Medium)
T = TypeVar("T")
# Seconds for which a piece waits for company: one that a request waits for, and one that nothing waits for.
URGENT, PATIENT = 0.003, 0.01


class Media(Part):
    """The receipts of uploads and imports."""

    def get(self, sources: Iterable[str]) -> dict[str, Medium]:
        """Media by their sources."""
        rows = self._store.query(f"SELECT {_ROW} FROM media WHERE source {some('sources')}", sources=sources)
        return {row["source"]: Medium(*row) for row in rows}

    def ready(self, ids: Iterable[str]) -> set[str]:
        """Which of these media were seen ready by an upload."""
        rows = self._store.query(
            f"SELECT media_id FROM media WHERE state = 'ready' AND media_id {some('ids')}", ids=ids
        )
        return {media_id for (media_id,) in rows}

    def keep(self, medium: Medium) -> None:
        """Remember a medium as it is now."""
        row = as_row(medium)
        self._store.write(f"INSERT OR REPLACE INTO media {as_values(row)}", **row)


class Ledger(Store):
    """One file of requests.

    Parameters
    ----------
    path : Path
        SQLite file; created with mode 0600 where there is none.

    Attributes
    ----------
    requests, calls, runs, seen
        The four nouns, each with its own verbs.
    media
        The receipts of uploads.

    Raises
    ------
    LedgerError
        If the file can't be used; nothing has been sent then.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.requests: Requests = Requests(self)
        self.calls: Calls = Calls(self)
        self.runs: Runs = Runs(self)
        self.seen: SeenPosts = SeenPosts(self)
        self.media: Media = Media(self)

    def __repr__(self) -> str:
        return f"<Ledger {self.path}>"


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
