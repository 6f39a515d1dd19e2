"""Running mutants: a green control that notes which test runs which line, then each mutant against its tests, in a fork."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutants.control import control
from tests.mutants.files import HEAVY, source_of
from tests.mutants.judge import Judge
from tests.mutants.reasons import REASONS
from tests.mutants.sites import Mutant, functions, mutants

RESULTS = Path(__file__).with_name("results.json")


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


def run(names: Sequence[str], *, seconds: float = 1e9, again: bool = False, most: int | None = None) -> None:
    """Run what has changed, or was never run, in these files, until the time is over; `again` those that survived, too.

    `most` bounds the tests that are asked about one mutant: what survives then may be killed by others, when it is run `again`.
    """
    for module in HEAVY:
        importlib.import_module(module)
    end = time.monotonic() + seconds
    for name in names:
        wanted = open_mutants(name, kept(), again=again)
        if not wanted or time.monotonic() > end:
            continue
        judge = Judge(name, control(name), most)
        try:
            # What stands outside of functions takes an import each, so it comes last.
            for function, group in sorted(wanted.items(), key=lambda each: each[0] == ""):
                if time.monotonic() > end:
                    break
                begun = time.monotonic()
                survivors = [mutant.name for mutant in group if not judge.kills(mutant)]
                note(name, function, survivors, again=again)
                took = time.monotonic() - begun
                print(
                    f"{name}: {function or 'top'}: {len(group)} mutants, {len(survivors)} survive ({took:.0f} s)",
                    flush=True,
                )
                for survivor in survivors:
                    print(f"    {survivor}", flush=True)
        finally:
            judge.close()


def note(name: str, function: str, survivors: list[str], *, again: bool) -> None:
    """Write down what survives in a function; another process may write about another file at the same time."""
    source = source_of(name)
    now = functions(source)
    with alone():
        results = kept()
        if again:
            survivors = list(dict.fromkeys([*survivors, *(one.name for one in reasoned(name, function, results))]))
        entry = {old: known for old, known in results.get(name, {}).items() if old in now}
        number = sum(mutant.function == function for mutant in mutants(source))
        entry[function] = {"digest": now[function], "mutants": number, "survivors": survivors}
        keep({**results, name: entry})


@contextmanager
def alone() -> Iterator[None]:
    """Be the only process that reads and writes the results."""
    folder = os.open(RESULTS.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
