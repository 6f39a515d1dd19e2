"""Processes of ours: forked from one that has imported what they need, so that starting one again costs hardly anything."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.chaos.sender", "tests.chaos.server"])
# A killed process leaves in memory what it would leave on a disk, where each commit waits for two or three syncs.
SHARED = Path("/dev/shm")
MEMORY = str(SHARED) if SHARED.is_dir() and shutil.disk_usage(SHARED).free > 256 << 20 else None


class Process:
    """A process that is ended with us."""

    def __init__(self, work: Callable[..., None], *args: Any) -> None:
        self._process = CONTEXT.Process(target=work, args=args, daemon=True)
        self._process.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exitcode

    def join(self) -> None:
        """Wait until it has ended."""
        self._process.join()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        assert self._process.pid is not None
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.join()


@contextmanager
def serving(place: Callable[..., AbstractContextManager[Any]], *args: Any) -> Iterator[Any]:
    """Enter a context in a process of its own, and leave it at the end; what it has yielded there."""
    ours, theirs = CONTEXT.Pipe()
    process = Process(_held_open, theirs, place, args)
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.kill()


def _held_open(there: Connection, place: Callable[..., AbstractContextManager[Any]], args: tuple[Any, ...]) -> None:
    with place(*args) as facts:
        there.send(facts)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a server complains of each client that is killed
        with suppress(EOFError):
            there.recv()
