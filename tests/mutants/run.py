"""Running mutants: a green control that notes which test runs which line, then each mutant against its tests, in a fork."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.mutants.mutated import Broken, Lines
from tests.mutants.reasons import REASONS
from tests.mutants.sites import Mutant, functions, mutants

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results.json")
# File -> the tests that are asked. They need not be all: who kills a mutant is enough.
ENGINE = (
    "tests/engine/test_rules_*.py",
    "tests/engine/test_promise.py",
    "tests/engine/test_binding.py",
    "tests/engine/test_acts.py",
)
LEDGER = ("tests/ledger/test_ledger.py", "tests/ledger/test_first_edition.py")
FILES: dict[str, tuple[str, ...]] = {
    "api/evidence.py": ("tests/api/test_evidence.py", "tests/acts/test_settling.py"),
    "engine/presence.py": (
        "tests/engine/test_presence.py",
        "tests/engine/test_rules_creates.py",
        "tests/engine/test_rules_ambiguity.py",
    ),
    "engine/answer.py": ("tests/engine/test_answer.py", *ENGINE),
    "ledger/claims.py": (*LEDGER, *ENGINE),
    "ledger/tampering.py": ("tests/security/test_ledger_of_somebody_else.py", *LEDGER),
    "ledger/outcomes.py": (*LEDGER, *ENGINE),
    "ledger/forming.py": (*LEDGER, *ENGINE),
    "ledger/operations.py": (*LEDGER, *ENGINE),
    "ledger/marks.py": (*LEDGER, *ENGINE),
    "engine/batches.py": ENGINE,
    "engine/preflight.py": ENGINE,
    "engine/decisions.py": ENGINE,
    "engine/binding.py": ENGINE,
    "engine/settler.py": ENGINE,
    "engine/control.py": ENGINE,
    "engine/sender.py": ENGINE,
    "engine/execution.py": ENGINE,
}
# Heavy modules that a broken package needs as much as a sound one; imported once, before the forks.
HEAVY = (
    "pandas",
    "httpx",
    "starlette.applications",
    "uvicorn",
    "hypothesis",
    "msgspec",
    "markupsafe",
    "platformdirs",
    "sniffio",
    "anyio",
)
LONGEST_CONTROL = 900.0


@dataclass
class Total:
    """What is known of some files."""

    mutants: int = 0
    killed: int = 0
    meaningless: int = 0
    survivors: list[str] = field(default_factory=list)
    not_run: dict[str, int] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The last line."""
        return (
            f"mutants: mutants={self.mutants} killed={self.killed} meaningless={self.meaningless} survivors={len(self.survivors)} "
            f"not_run={sum(self.not_run.values())}"
        )


def source_of(name: str) -> bytes:
    """A file of the package."""
    return (ROOT / "src" / "voxops" / name).read_bytes()


def kept() -> dict[str, Any]:
    """All results."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}


def keep(results: dict[str, Any]) -> None:
    """Write all results."""
    aside = RESULTS.with_suffix(".new")
    aside.write_text(json.dumps(results, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    aside.replace(RESULTS)


def open_mutants(name: str, results: dict[str, Any], *, again: bool = False) -> dict[str, list[Mutant]]:
    """Function -> its mutants, for functions that have changed since they were run, or never were.

    With `again`, of the other functions those that survived for no reason that is known: a new test may kill them.
    """
    source = source_of(name)
    known = results.get(name, {})
    now = functions(source)
    found: dict[str, list[Mutant]] = {}
    for mutant in mutants(source):
        entry = known.get(mutant.function, {})
        changed = entry.get("digest") != now[mutant.function]
        survived = again and mutant.name in entry.get("survivors", ()) and (name, mutant.name) not in REASONS
        if changed or survived:
            found.setdefault(mutant.function, []).append(mutant)
    return found


def reasoned(name: str, function: str, results: dict[str, Any]) -> list[Mutant]:
    """Mutants that were known to survive, for a reason."""
    known = results.get(name, {}).get(function, {}).get("survivors", ())
    return [mutant for mutant in mutants(source_of(name)) if mutant.name in known and (name, mutant.name) in REASONS]


def report(names: Sequence[str], results: dict[str, Any] | None = None) -> Total:
    """Sum up what is known of these files as they are now."""
    results, total = kept() if results is None else results, Total()
    for name in names:
        source = source_of(name)
        now = functions(source)
        for function, entry in results.get(name, {}).items():
            if now.get(function) != entry["digest"]:
                continue
            names = {mutant.name for mutant in mutants(source) if mutant.function == function}
            survivors = [survivor for survivor in entry["survivors"] if survivor in names]
            total.mutants += len(names)
            total.killed += len(names) - len(survivors)
            for survivor in survivors:
                if (name, survivor) in REASONS:
                    total.meaningless += 1
                else:
                    total.survivors.append(f"{name}: {survivor}")
        left = sum(map(len, open_mutants(name, results).values()))
        if left:
            total.not_run[name] = left
    return total


def run(names: Sequence[str], *, seconds: float = 1e9, again: bool = False) -> None:
    """Run what has changed, or was never run, in these files, until the time is over; `again` those that survived, too."""
    for module in HEAVY:
        importlib.import_module(module)
    end = time.monotonic() + seconds
    for name in names:
        results = kept()
        wanted = open_mutants(name, results, again=again)
        if not wanted or time.monotonic() > end:
            continue
        lines = in_fork(lambda name=name: control(name), LONGEST_CONTROL)
        if not isinstance(lines, Control) or lines.red:
            raise RuntimeError(
                f"the control of {name} is not green: {lines if not isinstance(lines, Control) else lines.red[:5]}"
            )
        now = functions(source_of(name))
        for function, group in wanted.items():
            if time.monotonic() > end:
                break
            survivors = [mutant.name for mutant in group if not killed(name, mutant, lines)]
            survivors += [mutant.name for mutant in reasoned(name, function, results)] if again else []
            results = kept()  # another process may have written meanwhile
            entry = {old: known for old, known in results.get(name, {}).items() if old in now}
            number = sum(mutant.function == function for mutant in mutants(source_of(name)))
            entry[function] = {"digest": now[function], "mutants": number, "survivors": survivors}
            keep({**results, name: entry})
            print(f"{name}: {function or 'top'}: {len(group)} mutants, {len(survivors)} survive", flush=True)
            for survivor in survivors:
                print(f"    {survivor}", flush=True)


@dataclass(frozen=True)
class Control:
    """What a green run has shown: the tests of each line, and how long each takes."""

    tests: dict[int, tuple[str, ...]]
    everything: tuple[str, ...]
    seconds: dict[str, float]
    red: tuple[str, ...]

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that run a mutant, quick ones first; all that run the file where it stands outside of functions."""
        lines = range(mutant.line, mutant.last + 1)
        named = (
            {test for line in lines for test in self.tests.get(line, ())} if mutant.function else set(self.everything)
        )
        return sorted(named, key=lambda test: self.seconds.get(test, 0.0))


def control(name: str) -> Control:
    """Run the file's tests on the sound package, and note the lines."""
    paths = sorted(str(path) for pattern in FILES[name] for path in ROOT.glob(pattern))
    module = importlib.util.find_spec(f"voxops.{name[:-3].replace('/', '.')}")  # type: ignore[attr-defined]
    lines = Lines({module.origin: name})
    lines.start()
    code = pytest.main([*OPTIONS, *paths], plugins=[lines])
    sys.settrace(None)
    tests: dict[int, list[str]] = {}
    for test, ran in lines.ran.items():
        for _, line in ran if test else ():
            tests.setdefault(line, []).append(test)
    everything = sorted({test for test, ran in lines.ran.items() if test and ran}) or sorted(lines.seconds)
    red = lines.red or ([f"pytest ended with {code}"] if code else [])
    return Control(
        {line: tuple(found) for line, found in tests.items()}, tuple(everything), dict(lines.seconds), tuple(red)
    )


OPTIONS = [
    "-q",
    "-x",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--rootdir",
    str(ROOT),
]


def killed(name: str, mutant: Mutant, lines: Control) -> bool:
    """Whether a test turns red, or does not end, when a place is broken."""
    tests = lines.of(mutant)
    if not tests:
        return False
    allowed = 20 + 5 * sum(lines.seconds.get(test, 0.0) for test in tests)
    ended = in_fork(lambda: broken(name, mutant, tests), allowed)
    return ended != 0


def broken(name: str, mutant: Mutant, tests: Sequence[str]) -> int:
    """Run tests on the package with one place broken."""
    module = f"voxops.{name[:-3].replace('/', '.')}"
    try:
        changed = mutant.applied(source_of(name))
        compile(changed, name, "exec")
    except SyntaxError:
        raise RuntimeError(f"{name}: {mutant.name} can't be parsed") from None
    for loaded in [each for each in sys.modules if each == "voxops" or each.startswith("voxops.")]:
        del sys.modules[loaded]
    sys.meta_path.insert(0, Broken(module, ROOT / "src" / "voxops" / name, changed))
    return int(pytest.main([*OPTIONS, *tests]))


def in_fork(work: Callable[[], Any], seconds: float) -> Any:
    """Do a piece of work in a process of its own; what it returns, or what became of it: a signal, an error, no end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(reader)
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        try:
            said = pickle.dumps(work())
        except BaseException as error:
            said = pickle.dumps(f"{type(error).__name__}: {error}")
        with os.fdopen(writer, "wb") as out:
            out.write(said)
        os._exit(0)
    os.close(writer)
    said, end = b"", time.monotonic() + seconds
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
            part = pipe.read(1 << 16)
            if not part:
                break
            said += part
        else:
            said = pickle.dumps("no end")
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return pickle.loads(said) if said else "died"
