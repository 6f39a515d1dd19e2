"""Tests that are collected once; each mutant is tried on them in a fork in which its function has other code."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from multiprocessing.connection import Connection
from types import CodeType, FunctionType

import pytest
from tests.mutants.forked import apart, in_fork


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
            apart()
            try:
                pytest.main([*options, *paths], plugins=[_Loop(there)])
            finally:
                os._exit(0)
        there.close()

    def kills(self, trial: Trial) -> str | None:
        """The test that turned red, or how the fork ended; ``""`` if none did; None if it can't be tried so."""
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
        self._red = ""
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
            longest = 60 + sum(seconds for _, seconds in trial.tests)
            self._connection.send(in_fork(partial(self._killer, trial, items), longest))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._red = self._red or (report.nodeid if report.failed else "")

    def _killer(self, trial: Trial, items: dict[str, pytest.Item]) -> str | None:
        """The first test that turns red, in a fork; the fork dies where a test takes longer than it may."""
        if not exchange(self._loaded.get(trial.path, ()), trial.path, trial.function, trial.source):
            return None
        chosen = [items[test] for test, _ in trial.tests]
        for (_, seconds), item, following in zip_longest(trial.tests, chosen, chosen[1:]):
            faulthandler.dump_traceback_later(seconds, exit=True)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._red:
                break
        faulthandler.cancel_dump_traceback_later()
        return self._red
