"""Measuring: candidates take turns, each turn in a fresh process, and medians are compared as ratios."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass
class Line:
    """One thing measured: its number, what it is compared with, and the target, if there is one.

    `target` is ``(">=" or "<=", number)`` and applies to `value`.
    """

    group: str
    what: str
    value: float
    unit: str = "×"
    target: tuple[str, float] | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None:
            return None
        sign, bound = self.target
        return self.value >= bound if sign == ">=" else self.value <= bound


@dataclass
class Taken:
    """What a candidate took: seconds and megabytes per turn, and what it found."""

    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    found: Any = None

    @property
    def memory(self) -> float:
        """Median of the megabytes."""
        return statistics.median(self.megabytes)


def details(taken: Mapping[str, Taken]) -> dict[str, Any]:
    """For the file: seconds and megabytes of each turn of each candidate."""
    return {name: {"seconds": each.seconds, "peak_mb": each.megabytes} for name, each in taken.items()}


def ratio(slow: Taken, fast: Taken) -> float:
    """How many times faster the second is: the median of the ratios of turns, which share the machine's mood."""
    return statistics.median(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True))


def in_turns(candidates: Mapping[str, Sequence[Any]], turns: int) -> dict[str, Taken]:
    """Run candidates of `candidates.py` by turns, each in a process of its own; name -> (candidate, arguments)."""
    taken = {name: Taken() for name in candidates}
    for _ in range(turns):
        for name, (candidate, *arguments) in candidates.items():
            measured = json.loads(run_python("-m", "tests.bench.candidates", candidate, json.dumps(arguments)))
            taken[name].seconds.append(measured["seconds"])
            taken[name].megabytes.append(measured["megabytes"])
            taken[name].found = measured["found"]
    return taken


def run_python(*arguments: str) -> str:
    """Run this Python and return what it prints."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def measured(work: Callable[[], Any]) -> dict[str, Any]:
    """Seconds of a piece of work, and how much its peak memory lies above what was in use before."""
    before = _reset_peak()
    began = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "megabytes": max(0.0, peak() - before), "found": found}


def peak() -> float:
    """Most megabytes that this process has had in use; 0 on systems that do not show it.

    Not by `resource.getrusage`: on Linux its ``ru_maxrss`` begins with the peak of the process that started this one, which may
    have written the history that is asked about here.
    """
    return _status("VmHWM")


def _reset_peak() -> float:
    """Forget the peak so far, where the system can; return the megabytes in use."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    """A line of this process's status in megabytes; 0 on systems without one."""
    path = Path("/proc/self/status")
    found = re.search(rf"{name}:\s+(\d+) kB", path.read_text()) if path.exists() else None
    return int(found[1]) / 1024 if found else 0.0
