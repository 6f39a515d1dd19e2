"""Measuring: candidates take turns, each turn in a fresh process, and medians are compared as ratios."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Turns = list[dict[str, Any]]  # what each turn of a candidate took, by `measured`
Taken = dict[str, Turns]


@dataclass
class Line:
    """One thing measured: its number, what it is compared with, and the target.

    `target` is ``(">=" or "<=", number)`` and applies to `value`.
    """

    group: str
    what: str
    value: float
    unit: str
    target: tuple[str, float]
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self):
        """Whether the target is met."""
        sign, bound = self.target
        return self.value >= bound if sign == ">=" else self.value <= bound


def in_turns(candidates, turns):
    """Run candidates of `candidates.py` by turns, each in a process of its own; name -> (candidate, arguments)."""
    taken = {name: [] for name in candidates}
    for _ in range(turns):
        for name, (candidate, *arguments) in candidates.items():
            taken[name].append(run_python("candidates", candidate, json.dumps(arguments)))
    return taken


def ratio(slow, fast, what="seconds"):
    """How many times more the first takes: the median of the ratios of turns, which share the machine's mood."""
    return statistics.median(a[what] / b[what] for a, b in zip(slow, fast, strict=True))


def run_python(module, *arguments):
    """Run a module of this folder in a process of its own; what it prints, which is JSON."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *arguments]
    measured = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return measured


def measured(work):
    """Seconds of a piece of work, those of the processor, its peak memory, and how far that lies above what was in use before.

    Not by `resource.getrusage`: on Linux its ``ru_maxrss`` begins with the peak of the process that started this one, which may
    have written the history that is asked about here.
    """
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # forget the peak so far
    before, began, busy = _megabytes("VmRSS"), time.perf_counter(), time.process_time()
    found = work()
    seconds, processor, peak = time.perf_counter() - began, time.process_time() - busy, _megabytes("VmHWM")
    more = max(0.0, peak - before)
    return {"seconds": seconds, "processor_s": processor, "peak_mb": peak, "megabytes": more, "found": found}


def _megabytes(name):
    """A line of this process's status in megabytes; 0 on systems without one."""
    path = Path("/proc/self/status")
    found = re.search(rf"{name}:\s+(\d+) kB", path.read_text()) if path.exists() else None
    return int(found[1]) / 1024 if found else 0.0
