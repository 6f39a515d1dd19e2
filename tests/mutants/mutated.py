"""A test run with one file of the package broken, and one that notes which tests run which lines."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest


class _Loader(SourceLoader):
    """Loads one module from bytes."""

    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        if path == self._path:
            return self._source
        raise OSError("nothing is cached")


class Broken(MetaPathFinder):
    """Finds one module as it is broken."""

    def __init__(self, module: str, path: Path, source: bytes) -> None:
        self._module = module
        self._loader = _Loader(str(path), source)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_loader(fullname, self._loader)


class Lines:
    """A plugin that notes which lines of some modules each test runs, how long each takes, and whether all are green."""

    def __init__(self, files: dict[str, str]) -> None:
        self.ran: dict[str, set[tuple[str, int]]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)
        self.red: list[str] = []
        self._files = files  # path of the module -> name in the results
        self._test = ""

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        self.ran[self._test].add((self._files[frame.f_code.co_filename], frame.f_lineno))
        return self._line

    def start(self) -> None:
        """Trace from now on, also in threads that are started later."""
        threading.settrace(self._call)
        sys.settrace(self._call)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._test = nodeid

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        begun = time.monotonic()
        sys.settrace(self._call)
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] += time.monotonic() - begun

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.red.append(report.nodeid)
