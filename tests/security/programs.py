"""Programs in a process of their own, which say how much memory they have used."""

from __future__ import annotations

import subprocess
import sys

# `ru_maxrss` would begin with what the test's process has used.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return int(status.read().partition("VmHWM:")[2].split()[0]) // 1024
"""


def lines_of(program, *arguments):
    """What a program prints, to its end; in it `peak()` is the most memory that it has used, in MB."""
    command = [sys.executable, "-c", PEAK + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    return done.stdout.splitlines()
