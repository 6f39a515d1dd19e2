"""``make proof``: what the test suite proves on a small scale, at length; parts by name, most of them commands of their own.

PARTS chooses parts, all by default; JOBS is how many searches run at once; DEPTH is how many events each search goes, its own by default;
MINUTES bounds the mutants. What else these commands read from the environment, such as SEED, is theirs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.harness import READINGS
from tests.exhaustive.__main__ import searches
from tests.power import trace
from tests.power.check import cut

ROOT = Path(__file__).resolve().parents[2]
JOBS = int(os.environ.get("JOBS", "2"))
LAWS = ("acts", "analysis", "archive", "engine", "frames", "ledger")  # rooms with property tests


def command(*words: str, **more: str) -> bool:
    """Run a module, and print what it says once it has ended."""
    done = subprocess.run(
        [sys.executable, "-m", *words], env={**os.environ, **more}, cwd=ROOT, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    print(done.stdout, end="", flush=True)
    return done.returncode == 0


def exhaustive() -> Iterator[bool]:
    """Every history of each search to its depth, begun anew."""
    depth = os.environ.get("DEPTH", "").split()
    with tempfile.TemporaryDirectory(prefix="voxops-proof-") as folder, ThreadPoolExecutor(JOBS) as pool:
        yield from pool.map(
            lambda name: command("tests.exhaustive", name, *depth, PART="inf", FOLDER=folder), searches()
        )


def chaos() -> Iterator[bool]:
    """Senders that are killed, on two ledgers, under each reading."""
    for reading in READINGS:
        yield command("tests.chaos", READING=reading, LEDGERS="2")


def power() -> Iterator[bool]:
    """Power cuts at every send, every word and every change of the disk, where system calls can be traced."""
    why = trace.why_not()
    if why:
        print(f"power: skipped: {why}")
        yield not os.environ.get("CI")
        return
    with tempfile.TemporaryDirectory(prefix="voxops-proof-") as folder:
        found = cut(Path(folder), rows=100, posts=60, every=1, images=4, seed=int(os.environ.get("SEED", "1")))
    for problem in [*found.lost, *(f"rows were written to {place}" for place in sorted(set(found.spilled)))]:
        print(f"power: {problem}")
    print(f"power: {found.sends} acting sends, {found.words} words, {found.cuts} cuts, {found.torn} torn images")
    yield found.holds


def mutants() -> Iterator[bool]:
    """Mutants of what has changed since they were run last, for a while."""
    yield command("tests.mutants", MINUTES=os.environ.get("MINUTES", "5"))


def laws() -> Iterator[bool]:
    """Every property test with ten times the examples."""
    yield command("pytest", "-q", "-n", str(JOBS), *(f"tests/{room}" for room in LAWS), HYPOTHESIS_PROFILE="thorough")


PARTS: dict[str, Callable[[], Iterator[bool]]] = {
    part.__name__: part for part in (exhaustive, chaos, power, mutants, laws)
}


def main() -> int:
    """Run the parts that were chosen."""
    red = []
    for name in os.environ.get("PARTS", " ".join(PARTS)).split():
        begun = time.monotonic()
        found = list(PARTS[name]())
        red += [name] * (False in found)
        print(f"{name}: {found.count(True)} of {len(found)} green, {time.monotonic() - begun:.0f} s", flush=True)
    print("proof:", f"RED: {', '.join(red)}" if red else "green")
    return int(bool(red))


if __name__ == "__main__":
    sys.exit(main())
