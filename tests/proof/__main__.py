"""``make proof``: what the test suite proves on a small scale, at length; parts by name, one line each, and a last line that counts.

PARTS chooses parts, all by default; DEPTH is how many events the exhaustive search goes for one row, two fewer for two rows; SEED
draws what a power cut tears; JOBS is how many processes search at once.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos.model import Reading
from tests.exhaustive.protections import REMOVALS, control, counterexample, told
from tests.exhaustive.search import Case, Found, as_test, search
from tests.mutants import run as mutants
from tests.power import trace
from tests.power.check import cut

DEPTH = int(os.environ.get("DEPTH", "6"))
SEED = int(os.environ.get("SEED", "1"))
JOBS = int(os.environ.get("JOBS", "2"))
MUTANTS_FOR = 300.0  # seconds: the rest is for make mutants
ASSUMED = "as assumed"
READINGS = {
    ASSUMED: Reading(),
    "a 5xx leaves no key": Reading(forget_on_5xx=True),
    "keys are ignored": Reading(ignore_keys=True),
    "keys are kept for an hour": Reading(retention=3600.0),
    "still failed for 3 s": Reading(linger=3.0),
    "lists lag a minute and a 5xx leaves no key": Reading(lag=60.0, forget_on_5xx=True),
    "no metadata": Reading(metadata=False),
}
DEEPEST = {ASSUMED, "a 5xx leaves no key", "keys are ignored"}  # the others go one event less deep
# Readings that are another world for this act; a delivery has no metadata that could be missing.
OF_ACT = {
    "create": [name for name in READINGS if name != "still failed for 3 s"],
    "retry": [name for name in READINGS if name not in {"lists lag a minute and a 5xx leaves no key", "no metadata"}],
    "redeliver": [ASSUMED, "a 5xx leaves no key", "keys are ignored", "keys are kept for an hour"],
}
LAWS = ("acts", "analysis", "archive", "frames", "ledger")  # rooms with property tests
counts = dict.fromkeys(
    ("histories", "depth", "violations", "power_cuts", "torn", "ledger_lost", "mutants", "killed", "survivors"), 0
)


@dataclass(frozen=True)
class Search:
    """One search: its universe, how deep, and its name."""

    name: str
    case: Case
    depth: int


def searches() -> list[Search]:
    """All searches, the long ones first; readings that hurt most go deepest."""
    found = []
    for act, names in OF_ACT.items():
        for name in names:
            case, less = Case(act, reading=READINGS[name]), int(name not in DEEPEST)
            keeps = not (case.reading.ignore_keys or case.reading.forget_on_5xx)
            shows = case.reading.metadata  # a second ledger knows creates by their marks
            two = replace(case, rows=2, kernels=2, ledgers=2 if shows else 1, at_once=keeps)
            found.append(Search(f"{act}, one row, {name}", case, DEPTH - less))
            found.append(Search(f"{act}, two rows, kernels and ledgers, {name}", two, DEPTH - 2 - less))
            if name == ASSUMED:
                kernels, ledgers = replace(case, kernels=2), replace(case, ledgers=2)
                found.append(Search(f"{act}, one row, two kernels, {name}", kernels, DEPTH - 2))
                found.append(Search(f"{act}, one row, two ledgers, {name}", ledgers, DEPTH - 2))
    return sorted(found, key=lambda one: -one.depth)


def begin() -> None:
    """Killed kernels leave what they had open, as killed kernels do."""
    warnings.simplefilter("ignore", ResourceWarning)


def carry_out(wanted: Search) -> tuple[Search, Found, float]:
    """Search, in a process of its own."""
    begun = time.monotonic()
    return wanted, search(wanted.case, wanted.depth), time.monotonic() - begun


def pool() -> ProcessPoolExecutor:
    """Processes that share nothing with this one."""
    return ProcessPoolExecutor(JOBS, mp_context=multiprocessing.get_context("spawn"), initializer=begin)


def exhaustive() -> bool:
    """Every history of one and of two rows, to a depth, under each reading."""
    counts["depth"] = DEPTH
    with pool() as processes:
        for done in as_completed([processes.submit(carry_out, wanted) for wanted in searches()]):
            wanted, found, seconds = done.result()
            counts["histories"] += found.histories
            counts["violations"] += found.history is not None
            print(
                f"exhaustive: {wanted.name}: {found.histories} histories, {found.states} states, {found.depth} events, {seconds:.0f} s",
                flush=True,
            )
            if found.history is not None:
                print(as_test(wanted.case, found), flush=True)
    return not counts["violations"]


def without(number: int) -> tuple[Found, Found]:
    """Search without a protection, and with it."""
    return counterexample(REMOVALS[number]), control(REMOVALS[number])


def protections() -> bool:
    """Each protection removed: the shortest history that breaks the promise without it; and none with it."""
    good = 0
    with pool() as processes:
        for removal, (found, held) in zip(REMOVALS, processes.map(without, range(len(REMOVALS))), strict=True):
            good += found.history is not None and held.history is None
            said = "nothing" if found.history is None else told((*removal.case.opening, *found.history))
            still = "" if held.history is None else f"; and with it: {told(held.history)}"
            print(f"protections: without “{removal.name}”: {said}{still}", flush=True)
    return good == len(REMOVALS)


def power() -> bool:
    """Power cuts at every send, every word and every change of the disk; and in images torn at random."""
    why = trace.why_not()
    if why:
        print(f"power: skipped: {why}", flush=True)
        return not os.environ.get("CI")
    with tempfile.TemporaryDirectory(prefix="voxops-proof-") as folder:
        found = cut(Path(folder), rows=100, posts=60, every=1, images=4, seed=SEED)
    counts["power_cuts"], counts["torn"], counts["ledger_lost"] = found.cuts, found.torn, len(found.lost)
    print(
        f"power: {found.sends} acting sends, {found.words} words, {found.cuts} cuts, {found.torn} torn images, {len(found.lost)} lost",
        flush=True,
    )
    for problem in [*found.lost[:20], *(f"rows were written to {place}" for place in sorted(set(found.spilled)))]:
        print(f"power: {problem}")
    return found.holds


def laws() -> bool:
    """Every property test with ten times the examples."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(JOBS), *(f"tests/{room}" for room in LAWS)]
    done = subprocess.run(command, env={**os.environ, "HYPOTHESIS_PROFILE": "thorough"}, check=False)
    print(f"laws: {'hold' if done.returncode == 0 else 'do not hold'}", flush=True)
    return done.returncode == 0


def broken() -> bool:
    """Mutants of what has changed since they were run last; and what is known of all files that were ever run."""
    known = [name for name in mutants.FILES if name in mutants.kept()]
    mutants.run(known, seconds=MUTANTS_FOR)
    total = mutants.report(list(mutants.FILES))
    counts["mutants"], counts["killed"], counts["survivors"] = total.mutants, total.killed, len(total.survivors)
    for survivor in total.survivors:
        print(f"mutants: survives: {survivor}")
    for name, number in total.not_run.items():
        print(f"mutants: not run: {name}: {number}")
    print(total.line, flush=True)
    return not total.survivors


PARTS: dict[str, Callable[[], bool]] = {
    "protections": protections,
    "power": power,
    "exhaustive": exhaustive,
    "mutants": broken,
    "laws": laws,
}


def main() -> int:
    """Run the parts that were chosen."""
    begin()
    chosen = os.environ.get("PARTS", " ".join(PARTS)).split()
    green = []
    for name in chosen:
        begun = time.monotonic()
        green.append(PARTS[name]())
        print(f"{name}: {'green' if green[-1] else 'RED'}, {time.monotonic() - begun:.0f} s", flush=True)
    print("proof: " + " ".join(f"{name}={number}" for name, number in counts.items()))
    return int(not all(green))


if __name__ == "__main__":
    sys.exit(main())
