"""``make proof``: what the test suite proves on a small scale, at length; parts by name, one line each, and a last line that counts.

PARTS chooses parts, all by default; DEPTH is how many events the exhaustive search goes for one row, two fewer for two rows; SEED
draws what a power cut tears; JOBS is how many processes search at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path

from tests.exhaustive.protections import REMOVALS, in_words, row, written
from tests.exhaustive.search import as_test
from tests.mutants import run as mutants
from tests.mutants.files import FILES
from tests.power import trace
from tests.power.check import cut
from tests.proof.searches import DEPTH, JOBS, begin, perform, pool, searches, without

SEED = int(os.environ.get("SEED", "1"))
MUTANTS_FOR = 300.0  # seconds: the rest is for make mutants
LAWS = ("acts", "analysis", "archive", "frames", "ledger")  # rooms with property tests
counts = dict.fromkeys(
    ("histories", "depth", "violations", "power_cuts", "torn", "ledger_lost", "mutants", "killed", "survivors"), 0
)


def exhaustive() -> bool:
    """Every history of one and of two rows, to a depth, under each reading."""
    counts["depth"] = DEPTH
    with pool() as processes:
        for done in as_completed([processes.submit(perform, wanted) for wanted in searches()]):
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


def protections() -> bool:
    """Each protection removed: the shortest history that breaks the promise, as the documents have it; and none with it."""
    good, lines = 0, written()
    with pool() as processes:
        for removal, (found, held) in zip(REMOVALS, processes.map(without, range(len(REMOVALS))), strict=True):
            stale = found.history is not None and row(removal, found) not in lines
            good += found.history is not None and held.history is None and not stale
            said = "nothing" if found.history is None else in_words((*removal.case.opening, *found.history))
            still = "" if held.history is None else f"; and with it: {in_words(held.history)}"
            anew = "; run python -m tests.exhaustive.protections, the documents say otherwise" if stale else ""
            print(f"protections: without “{removal.name}”: {said}{still}{anew}", flush=True)
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
    known = [name for name in FILES if name in mutants.kept()]
    mutants.run(known, seconds=MUTANTS_FOR)
    total = mutants.report(list(FILES))
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
