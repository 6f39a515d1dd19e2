"""Tests that are collected once; each mutant is tried on them in a fork in which its function has other code."""

from __future__ import annotations

import gc
import multiprocessing
import os
import select
import signal
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import CodeType, FunctionType

import pytest

__all__ = ["ForkServer", "Trial", "exchange"]

# What a fork says: the number of a test, and that it has started, turned red, was the last and green, or can't be asked.
MESSAGE = struct.Struct("<ii")
STARTED, RED, GREEN, IMPOSSIBLE = range(4)


@dataclass(frozen=True)
class Trial:
    """One mutant and the tests that are asked.

    Attributes
    ----------
    path : str
        The installed file.
    function : str
        Qualified name of the function that is broken.
    source : bytes
        The file with this change.
    tests : tuple of (str, float)
        Node ids in the order in which they are asked, and the seconds that each may take.
    """

    path: str
    function: str
    source: bytes
    tests: tuple[tuple[str, float], ...]


def loaded_by_file() -> dict[str, list[FunctionType]]:
    """File -> the functions that were loaded from it."""
    found: dict[str, list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType):
            found.setdefault(each.__code__.co_filename, []).append(each)
    return found


def exchange(loaded: Sequence[FunctionType], path: str, function: str, source: bytes) -> bool:
    """Give a function that is loaded the code that it has in another text of its file; False if that is not possible.

    Whoever holds the function, also wrapped or bound, runs the other code. What was worked out while its file was imported stays.
    """
    codes: dict[tuple[str, int], CodeType] = {}
    left = [compile(source, path, "exec")]
    while left:
        inner = [each for each in left.pop().co_consts if isinstance(each, CodeType)]
        codes |= {(each.co_qualname, each.co_firstlineno): each for each in inner}
        left += inner
    wanted = [each for each in loaded if each.__code__.co_qualname == function]
    for each in wanted:
        code = codes.get((function, each.__code__.co_firstlineno))
        if code is None or code.co_freevars != each.__code__.co_freevars:
            return False
        each.__code__ = code
    return bool(wanted)


class ForkServer:
    """A process that has collected tests and tries mutants on them."""

    def __init__(self, options: Sequence[str], paths: Sequence[str]) -> None:
        self._connection, there = multiprocessing.Pipe()
        self._child = os.fork()
        if self._child == 0:
            self._connection.close()
            os.setsid()
            quiet = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(quiet, stream)
            try:
                pytest.main([*options, *paths], plugins=[_Loop(there)])
            finally:
                os._exit(0)
        there.close()

    def kills(self, trial: Trial) -> str | None:
        """The test that turned red, or that did not end or pulled the process down; ``""`` if none did; None if it can't be tried so."""
        self._connection.send(trial)
        verdict: str | None = self._connection.recv()
        return verdict

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)


class _Loop:
    """A plugin that tries mutants instead of running the tests that were collected."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._red = False
        self._loaded: dict[str, list[FunctionType]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self._loaded = loaded_by_file()
        gc.freeze()  # a fork copies less of what nobody looks through
        while True:
            try:
                trial: Trial = self._connection.recv()
            except EOFError:
                return True
            self._connection.send(self._tried(trial, items))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._red |= report.failed

    def _tried(self, trial: Trial, items: dict[str, pytest.Item]) -> str | None:
        """Try a mutant in a fork; a test that takes longer than it may has not ended."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.setsid()
            os.close(reader)
            try:
                self._run(trial, items, writer)
            finally:
                os._exit(0)
        os.close(writer)
        number, ended = -1, STARTED
        while select.select([reader], [], [], trial.tests[number][1] if number >= 0 else 60.0)[0]:
            said = os.read(reader, MESSAGE.size)  # one message, so that none waits unseen in a buffer
            if not said:
                break
            number, ended = MESSAGE.unpack(said)
            if ended != STARTED:
                break
        os.close(reader)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if ended == IMPOSSIBLE:
            return None
        return "" if ended == GREEN else trial.tests[max(number, 0)][0]

    def _run(self, trial: Trial, items: dict[str, pytest.Item], writer: int) -> None:
        def say(number: int, ended: int) -> None:
            os.write(writer, MESSAGE.pack(number, ended))

        if not exchange(self._loaded.get(trial.path, ()), trial.path, trial.function, trial.source):
            say(-1, IMPOSSIBLE)
            return
        chosen = [items[test] for test, _ in trial.tests]
        for number, item in enumerate(chosen):
            say(number, STARTED)
            following = chosen[number + 1] if number + 1 < len(chosen) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._red:
                say(number, RED)
                return
        say(len(chosen) - 1, GREEN)
        time.sleep(60)  # until it is ended
