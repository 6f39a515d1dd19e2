"""Run the tests of each room often, beside a load on the processors: what is red once in twenty is a defect.

``make flake`` goes through all rooms, ``T=ledger`` names some; N is how often (20), LOAD how many processors it keeps busy (all), MINUTES how
long a call takes at the most (25). What a run has said is kept in ``build/flake``, in a folder for this state of the sources, so that the next
call goes on. Prints one line a run; fails if one was red.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time

from tests.proof import ROOT, state_of_sources

NOT_DONE = 3  # exit status: nothing was red so far, and the next call goes on


def burn() -> None:
    """Keep one processor busy, in bursts, so that threads are suspended where they seldom are."""
    while True:
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
        time.sleep(0.03)


def main() -> int:
    """Run what the environment says; the command that tests a room is given without its folder."""
    until = time.monotonic() + 60 * float(os.environ.get("MINUTES") or "25")
    times = int(os.environ.get("N") or "20")
    processors = int(os.environ.get("LOAD") or os.cpu_count() or 1)
    every = sorted({path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")})
    rooms = (os.environ.get("T") or " ".join(every)).split()
    kept = ROOT / "build" / "flake" / state_of_sources()
    kept.mkdir(parents=True, exist_ok=True)
    load = [multiprocessing.Process(target=burn, daemon=True) for _ in range(processors)]
    for each in load:
        each.start()
    red = left = 0
    try:
        for number in range(1, times + 1):
            for room in rooms:
                place = kept / f"{room} {number:03}.txt"
                if place.exists():
                    red += place.read_text(encoding="utf-8").startswith("RED")
                    continue
                if time.monotonic() > until:
                    left += 1
                    continue
                begun = time.monotonic()
                command = [*sys.argv[1:], f"tests/{room}"]
                done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
                colour = "RED" if done.returncode else "green"
                last = (done.stdout.strip().splitlines() or [""])[-1]
                print(f"{room:12} {number:3} {colour:5} {time.monotonic() - begun:5.0f} s  {last}", flush=True)
                place.write_text(f"{colour}\n{done.stdout}{done.stderr}", encoding="utf-8")
                red += bool(done.returncode)
    finally:
        for each in load:
            each.terminate()
    print(f"flake: {red} red, {left} of {times * len(rooms)} runs left")
    return 1 if red else NOT_DONE if left else 0


if __name__ == "__main__":
    sys.exit(main())
