"""The control: a run of the tests on the sound package, which notes which test runs which line."""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest
from tests.mutants.files import FILES, OPTIONS, ROOT, module_of, origin, paths_of
from tests.mutants.forked import in_fork
from tests.mutants.mutated import Lines
from tests.mutants.sites import Mutant

HERE = Path(__file__).parent
SEEN = ROOT / "build" / "mutants"
LONGEST_CONTROL = 900.0


@dataclass(frozen=True)
class Control:
    """What a green run has shown: the tests of each line, and how long each takes."""

    tests: dict[int, tuple[str, ...]]
    everything: tuple[str, ...]
    seconds: dict[str, float]
    imported: frozenset[int] = frozenset()  # lines that run while the file is imported

    @cached_property
    def breadth(self) -> Counter[str]:
        """How many lines of the file each test runs."""
        return Counter(test for tests in self.tests.values() for test in tests)

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that run a mutant; all that run the file where it stands outside of functions."""
        return self.running(range(mutant.line, mutant.last + 1)) if mutant.function else list(self.everything)

    def running(self, lines: Iterable[int]) -> list[str]:
        """The tests that run one of these lines."""
        return sorted({test for line in lines for test in self.tests.get(line, ())})


def seen_by(paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """File of tests -> what its tests ran on the sound package; kept in ``build/mutants`` while neither changes."""
    source = b"".join(path.read_bytes() for path in sorted((ROOT / "src").rglob("*.py")))
    helpers = (
        path for path in (ROOT / "tests").rglob("*.py") if not path.name.startswith("test_") and path.parent != HERE
    )
    shared = b"".join(path.read_bytes() for path in sorted(helpers))
    kept_at = {
        path: SEEN / hashlib.sha256(source + shared + Path(path).read_bytes()).hexdigest()[:24] for path in paths
    }
    missing = [path for path, at in kept_at.items() if not at.exists()]
    if missing:
        SEEN.mkdir(parents=True, exist_ok=True)
        found = in_fork(partial(observed, missing), LONGEST_CONTROL)
        if not isinstance(found, dict):
            raise RuntimeError(f"the control did not end: {found}")
        if found["red"]:
            raise RuntimeError(f"the control is not green: {found['red'][:5]}")
        for path in missing:
            aside = kept_at[path].with_suffix(f".{os.getpid()}")
            aside.write_bytes(pickle.dumps({**found, "ran": found["ran"].get(path, {})}))
            aside.replace(kept_at[path])
    return {path: pickle.loads(at.read_bytes()) for path, at in kept_at.items()}


def observed(paths: Sequence[str]) -> dict[str, Any]:
    """Run some files of tests, and note which lines of all files that are broken each test runs."""
    lines = Lines({origin(name): name for name in FILES})
    lines.start()
    code = pytest.main([*OPTIONS, *paths], plugins=[lines])
    sys.settrace(None)
    ran: dict[str, dict[str, set[tuple[str, int]]]] = {}
    for test, places in lines.ran.items():
        ran.setdefault(str(ROOT / test.partition("::")[0]), {})[test] = places
    red = lines.red or ([f"pytest ended with {code}"] if code else [])
    return {"ran": ran, "seconds": dict(lines.seconds), "red": red}


def imported_lines(name: str) -> set[int]:
    """The lines of a file that run while it is imported."""
    lines = Lines({origin(name): name})
    for loaded in [each for each in sys.modules if each.partition(".")[0] == "voxops"]:
        del sys.modules[loaded]
    lines.start()
    importlib.import_module(module_of(name))
    sys.settrace(None)
    return {line for _, line in lines.ran[""]}


def control(name: str) -> Control:
    """What the tests of a file have shown of it on the sound package."""
    tests: dict[int, list[str]] = {}
    imported = in_fork(partial(imported_lines, name), LONGEST_CONTROL)
    if not isinstance(imported, set):
        raise RuntimeError(f"{name} can't be imported: {imported}")
    seconds: dict[str, float] = {}
    for seen in seen_by(paths_of(name)).values():
        for test, ran in seen["ran"].items():
            seconds[test] = seen["seconds"].get(test, 0.0)
            for line in {line for file, line in ran if file == name}:
                tests.setdefault(line, []).append(test)
    everything = sorted({test for found in tests.values() for test in found}) or sorted(seconds)
    return Control(
        {line: tuple(found) for line, found in tests.items()}, tuple(everything), seconds, frozenset(imported)
    )
