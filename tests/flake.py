"""Run a test command often, beside a load on the processors: what is red once in twenty is a defect.

``make flake T=ledger N=20``; LOAD= is how many processors it keeps busy: all by default, none where other work does.
Prints one line a run, keeps the output of every red one in ``build/flake``, and ends with their number.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

KEPT = Path("build/flake")


def burn() -> None:
    """Keep one processor busy, in bursts, so that threads are suspended where they seldom are."""
    while True:
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
        time.sleep(0.03)


def main() -> int:
    """Run the command; returns how many runs were red."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--load", type=int, default=os.cpu_count() or 1)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    load = [multiprocessing.Process(target=burn, daemon=True) for _ in range(options.load)]
    for each in load:
        each.start()
    red = 0
    try:
        for number in range(1, options.times + 1):
            begun = time.monotonic()
            done = subprocess.run(options.command, capture_output=True, text=True, check=False)
            last = (done.stdout.strip().splitlines() or [""])[-1]
            print(
                f"{number:3} {'green' if done.returncode == 0 else 'RED  '} {time.monotonic() - begun:5.0f} s  {last}",
                flush=True,
            )
            if done.returncode:
                red += 1
                (KEPT / f"{number:03}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    finally:
        for each in load:
            each.terminate()
    print(f"flake: {red} of {options.times} red")
    return red


if __name__ == "__main__":
    sys.exit(min(main(), 1))
