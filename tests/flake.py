"""Run the tests of each folder often, beside a load on the processors: a test that is red once in twenty runs is a defect.

``make flake`` goes through all folders, ``T=ledger`` names some. N is how many runs (20), LOAD how many processes compute beside them (8),
MINUTES how long a call takes at most (25). The output of each run is kept in ``build/flake``, in a folder for this state of the sources, so
that the next call goes on. Prints one line per run, and fails if one was red.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import subprocess
import sys
import time

from tests.proof import ROOT, state_of_sources

NOT_DONE = 3  # exit status: nothing was red so far, and the next call goes on


def burn():
    """Keep one processor busy, in bursts, so that threads are suspended where they seldom are."""
    while True:
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
        time.sleep(0.03)


def main():
    """Run what the environment names, by the command in the arguments, which lacks the folder."""
    until = time.monotonic() + 60 * float(os.environ.get("MINUTES") or "25")
    times = int(os.environ.get("N") or "20")
    every = sorted({path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")})
    folders = (os.environ.get("T") or " ".join(every)).split()
    kept = ROOT / "build" / "flake" / state_of_sources()
    kept.mkdir(parents=True, exist_ok=True)
    load = [multiprocessing.Process(target=burn, daemon=True) for _ in range(int(os.environ.get("LOAD") or "8"))]
    for process in load:
        process.start()
    red = left = 0
    try:
        for number, folder in itertools.product(range(1, times + 1), folders):
            file = kept / f"{folder} {number:03}.txt"
            if file.exists():
                red += file.read_text(encoding="utf-8").startswith("RED")
            elif time.monotonic() > until:
                left += 1
            else:
                begun = time.monotonic()
                command = [*sys.argv[1:], f"tests/{folder}"]
                done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
                colour = "RED" if done.returncode else "green"
                last = (done.stdout.strip().splitlines() or [""])[-1]
                print(f"{folder:12} {number:3} {colour:5} {time.monotonic() - begun:5.0f} s  {last}", flush=True)
                file.write_text(f"{colour}\n{done.stdout}{done.stderr}", encoding="utf-8")
                red += bool(done.returncode)
    finally:
        for process in load:
            process.terminate()
    print(f"flake: {red} red, {left} of {times * len(folders)} runs left")
    return 1 if red else NOT_DONE if left else 0


if __name__ == "__main__":
    sys.exit(main())
