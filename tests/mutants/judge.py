"""Whether the tests of a file kill one of its mutants."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

import pytest
from tests.mutants.control import Control
from tests.mutants.files import FILES, OPTIONS, ROOT, module_of, origin, paths_of, source_of
from tests.mutants.forked import in_fork
from tests.mutants.forkserver import ForkServer, Trial
from tests.mutants.mutated import Broken
from tests.mutants.sites import Mutant, lines_of

CHOSEN = 16  # tests of a mutant that are asked first, by what they promise


class Judge:
    """Tries the mutants of one file; first on the tests that have killed most, or run most of the file, for the time that they take."""

    def __init__(self, name: str, lines: Control, most: int | None = None) -> None:
        self._name = name
        self._lines = lines
        self._most = most
        self._path = origin(name)
        self._kills: Counter[tuple[str, str]] = Counter()  # by function and test, and by test under ""
        self._server = ForkServer([*OPTIONS, "--tb=no", "--assert=plain"], paths_of(name))

    def kills(self, mutant: Mutant) -> bool:
        """Whether a test turns red, or does not end, when a place is broken."""
        tests = self._ordered(mutant)
        if not tests:
            return False
        killer = None
        if self._lines.imported.isdisjoint(range(mutant.line, mutant.last + 1)):
            source = mutant.applied(source_of(self._name))
            killer = self._server.kills(Trial(self._path, mutant.function, source, tuple(tests.items())))
        if killer is None:  # it decides while its file is imported
            killer = killer_of_imported(self._name, mutant, list(tests), sum(tests.values()))
        if killer:
            self._kills.update([(mutant.function, killer), ("", killer)])
        return bool(killer)

    def _ordered(self, mutant: Mutant) -> dict[str, float]:
        """The tests that are asked, in their order, and the seconds that each may take.

        By turns the one that promises most by what it has killed or runs, and the one that is most about this very function; then the
        quick ones first.
        """
        lines, asked = self._lines, self._lines.of(mutant)
        span = self._span(mutant.function)
        if not asked and mutant.function and not lines.imported.isdisjoint(range(mutant.line, mutant.last + 1)):
            asked = lines.running(span)  # a default, in the head of a function
            asked = asked or list(
                lines.everything
            )  # a function that is called while its file is imported, and by no test
        seconds = {test: lines.seconds.get(test, 0.0) for test in asked}
        inside = Counter(test for line in span for test in lines.tests.get(line, ()))

        def promise(test: str) -> float:
            kills = 10 * self._kills[mutant.function, test] + self._kills["", test]
            return (100 * kills + lines.breadth[test]) / (seconds[test] + 0.02)

        def bearing(test: str) -> float:
            return inside[test] / (lines.breadth[test] + 1) - seconds[test] / 100

        if not mutant.function:  # an import each: the tests that were written for this file come first
            own = tuple(str(path.relative_to(ROOT)) for path in ROOT.glob(FILES[self._name][0]))
            order = sorted(asked, key=lambda test: (not test.startswith(own), seconds[test], test))
            return {test: 15 + 5 * seconds[test] for test in order[: self._most]}
        ranked = zip(sorted(asked, key=promise, reverse=True), sorted(asked, key=bearing, reverse=True), strict=True)
        order = list(dict.fromkeys(test for pair in ranked for test in pair))[:CHOSEN]
        order += sorted(set(asked) - set(order), key=lambda test: (seconds[test], test))
        return {test: 15 + 5 * seconds[test] for test in order[: self._most]}

    def _span(self, function: str) -> range:
        """The lines of a function; none for what stands outside."""
        return lines_of(source_of(self._name), function) if function else range(0)

    def close(self) -> None:
        """End the process that has collected the tests."""
        self._server.close()


def killer_of_imported(name: str, mutant: Mutant, tests: Sequence[str], seconds: float) -> str:
    """The test that turns red when the package is imported anew with one place broken, or why there was no end; ``""`` if none does."""
    killer: str = in_fork(lambda: red_of(name, mutant, tests), seconds)
    return killer


def red_of(name: str, mutant: Mutant, tests: Sequence[str]) -> str:
    """Run tests on the package with one place broken, up to the first that turns red."""
    changed = mutant.applied(source_of(name))
    for loaded in [each for each in sys.modules if each == "voxops" or each.startswith("voxops.")]:
        del sys.modules[loaded]
    sys.meta_path.insert(0, Broken(module_of(name), ROOT / "src" / "voxops" / name, changed))
    red = Red()
    code = pytest.main([*OPTIONS, *tests], plugins=[red])
    return red.test or (f"pytest ended with {code}" if code else "")


class Red:
    """A plugin that notes the first test that turns red."""

    def __init__(self) -> None:
        self.test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid
