"""``make proof``: what a release must pass, in units; a call takes MINUTES (25), and the next one goes on where it has ended.

PARTS chooses parts, all by default; JOBS is how many units run at once; DEPTH is how many events each search goes, its own by default. What
else a unit reads from the environment, such as SEED, is its own. What a unit has said is kept in ``build/proof``, in a folder for this state
of the sources; what is green there is not run again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.exhaustive.__main__ import NOT_DONE, searches
from tests.exhaustive.protections import REMOVALS
from tests.proof import ROOT, state_of_sources

JOBS = int(os.environ.get("JOBS", "2"))
SECONDS = 60 * float(os.environ.get("MINUTES", "25"))
LONG = (
    300.0  # seconds that a unit may take which can't be interrupted: it is not begun later than so long before the end
)
LAWS = ("acts", "analysis", "archive", "engine", "frames", "ledger", "security")  # rooms with property tests


@dataclass(frozen=True)
class Unit:
    """One command, which is green, red or not done.

    Attributes
    ----------
    part, name : str
        Where it belongs, and what it shows.
    words : tuple of str
        The module and its arguments.
    more : mapping
        Further variables of its environment.
    goes_on : bool
        Whether it can be interrupted, and goes on by itself.
    """

    part: str
    name: str
    words: tuple[str, ...]
    more: Mapping[str, str] = field(default_factory=dict)
    goes_on: bool = False


def units():
    """All there are, the longest part first."""
    depth = os.environ.get("DEPTH", "").split()
    for name in searches():
        yield Unit("exhaustive", name, ("tests.exhaustive", name, *depth), goes_on=True)
    for removal in REMOVALS:
        yield Unit("protections", removal.name, ("tests.exhaustive.protections", removal.name))
    yield Unit("chaos", "two ledgers", ("tests.chaos",))
    seed = ("--seed", os.environ.get("SEED", "1"))
    yield Unit("fuzz", "files", ("tests.security.fuzz", "files", "--minutes", "4", *seed))
    yield Unit("fuzz", "ledgers", ("tests.security.fuzz", "ledgers", "--most", "1000", *seed))
    for room in LAWS:
        yield Unit("laws", room, ("pytest", "-q", f"tests/{room}"), {"HYPOTHESIS_PROFILE": "thorough"})
    for room in sorted({path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}):
        yield Unit("release", room, ("pytest", "-q", "-m", "release", f"tests/{room}"))


class Proof:
    """One call.

    Parameters
    ----------
    folder : Path
        Where results are kept.
    until : float
        When the call ends, by `time.monotonic`.
    """

    def __init__(self, folder, until):
        self._folder = folder
        self._until = until
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, unit):
        """Run a unit, unless it is green; its colour."""
        kept = self._folder / f"{unit.part} {unit.name}.txt".replace(" ", "_").replace("/", "-")
        if kept.exists():
            return "green"
        left = self._until - time.monotonic()
        if left < (10.0 if unit.goes_on else LONG):
            return "left"
        more = {"PART": str(left), "FOLDER": str(self._folder), "MINUTES": str(left / 60), **unit.more}
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", *unit.words], env={**os.environ, **more}, cwd=ROOT, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        nothing = unit.part == "release" and done.returncode == 5  # no test of this room is marked
        colour = {0: "green", NOT_DONE: "left"}.get(done.returncode, "green" if nothing else "red")
        if colour == "green":
            kept.write_text(done.stdout, encoding="utf-8")
        last = "\n    ".join(done.stdout.strip().splitlines()[-20 if colour == "red" else -1 :])
        print(f"{unit.part} {unit.name}: {colour}, {time.monotonic() - begun:.0f} s\n    {last}", flush=True)
        return colour


def main():
    """Run the parts that were chosen: 0 if all is green, 1 if a unit is red, 3 if some are left for the next call."""
    every = list(units())
    chosen = os.environ.get("PARTS", "").split() or list(dict.fromkeys(unit.part for unit in every))
    if strangers := set(chosen) - {unit.part for unit in every}:
        print(f"PARTS={' '.join(sorted(strangers))}; there are {', '.join(dict.fromkeys(unit.part for unit in every))}")
        return 2
    wanted = [unit for part in chosen for unit in every if unit.part == part]
    proof = Proof(ROOT / "build" / "proof" / state_of_sources(), time.monotonic() + SECONDS)
    with ThreadPoolExecutor(JOBS) as pool:
        colours = list(pool.map(proof.run, wanted))
    for part in chosen:
        counts = Counter(colour for unit, colour in zip(wanted, colours, strict=True) if unit.part == part)
        print(f"{part}: {', '.join(f'{count} {colour}' for colour, count in sorted(counts.items()))}")
    print(
        "proof:", "RED" if "red" in colours else "green so far; run it again to go on" if "left" in colours else "green"
    )
    return 1 if "red" in colours else NOT_DONE if "left" in colours else 0


if __name__ == "__main__":
    sys.exit(main())
