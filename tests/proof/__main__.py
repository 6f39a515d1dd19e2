"""``make proof``: what the test suite proves on a small scale, at length; parts by name, one line each, and a last line that counts.

DEPTH is how many events the exhaustive search goes; PARTS chooses parts, all by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from tests.chaos.model import Reading
from tests.exhaustive.protections import REMOVALS, counterexample
from tests.exhaustive.search import Case, as_test, search
from tests.power import trace
from tests.power.check import cut

DEPTH = int(os.environ.get("DEPTH", "5"))
READINGS = {
    "as assumed": Reading(),
    "a 5xx leaves no key": Reading(forget_on_5xx=True),
    "keys are ignored": Reading(ignore_keys=True),
    "still failed for 3 s": Reading(linger=3.0),
}
LAWS = ("acts", "analysis", "archive", "frames", "ledger")  # rooms with property tests
counts = {
    "histories": 0,
    "states": 0,
    "depth": DEPTH,
    "violations": 0,
    "power_cuts": 0,
    "torn": 0,
    "ledger_lost": 0,
    "protections": len(REMOVALS),
    "found": 0,
    "laws": 0,
}


def exhaustive() -> bool:
    """Every history of one row, to a depth, under each reading."""
    for name, reading in READINGS.items():
        for act in ("create", "retry", "redeliver"):
            case = Case(act, reading=reading)
            begun = time.monotonic()
            found = search(case, DEPTH)
            counts["histories"] += found.histories
            counts["states"] += found.states
            counts["violations"] += found.history is not None
            print(
                f"exhaustive: {act}, {name}: {found.histories} histories, {found.states} states, {found.depth} events, "
                f"{time.monotonic() - begun:.0f} s",
                flush=True,
            )
            if found.history is not None:
                print(as_test(case, found))
    return not counts["violations"]


def protections() -> bool:
    """Each protection removed: the shortest history that breaks the promise without it."""
    for removal in REMOVALS:
        found = counterexample(removal)
        counts["found"] += found.history is not None
        print(f"protections: without “{removal.name}”: {found.history}", flush=True)
    return counts["found"] == len(REMOVALS)


def power() -> bool:
    """Power cuts at every send, every word and every change of the disk; and in images torn at random."""
    why = trace.why_not()
    if why:
        print(f"power: skipped: {why}", flush=True)
        return not os.environ.get("CI")
    with tempfile.TemporaryDirectory(prefix="voxops-proof-") as folder:
        found = cut(Path(folder), rows=100, posts=60, every=1, images=4)
    counts["power_cuts"], counts["torn"], counts["ledger_lost"] = found.cuts, found.torn, len(found.lost)
    print(
        f"power: {found.sends} acting sends, {found.cuts} cuts, {found.torn} torn images, {len(found.lost)} lost",
        flush=True,
    )
    for problem in [*found.lost[:20], *(f"rows were written to {place}" for place in sorted(set(found.spilled)))]:
        print(f"power: {problem}")
    return found.holds


def laws() -> bool:
    """Every property test with ten times the examples."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *(f"tests/{room}" for room in LAWS)]
    done = subprocess.run(command, env={**os.environ, "HYPOTHESIS_PROFILE": "thorough"}, check=False)
    counts["laws"] = int(done.returncode == 0)
    return done.returncode == 0


PARTS: dict[str, Callable[[], bool]] = {
    "exhaustive": exhaustive,
    "protections": protections,
    "power": power,
    "laws": laws,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore", ResourceWarning)  # killed kernels leave what they had open, as killed kernels do
    chosen = os.environ.get("PARTS", " ".join(PARTS)).split()
    green = [PARTS[name]() for name in chosen]
    print("proof: " + " ".join(f"{name}={number}" for name, number in counts.items()))
    sys.exit(not all(green))
