"""``python -m tests.power``: power cuts at every send, every word and every change of the disk, where system calls can be traced."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.power import trace
from tests.power.check import cut


def main() -> int:
    """Cut one run; SEED draws what is torn."""
    if why := trace.why_not():
        print(f"power: skipped: {why}")
        return int(bool(os.environ.get("CI")))
    with tempfile.TemporaryDirectory(prefix="voxops-proof-") as folder:
        found = cut(Path(folder), rows=100, posts=60, every=1, images=4, seed=int(os.environ.get("SEED", "1")))
    for problem in [*found.lost, *(f"rows were written to {place}" for place in sorted(set(found.spilled)))]:
        print(f"power: {problem}")
    print(f"power: {found.sends} acting sends, {found.words} words, {found.cuts} cuts, {found.torn} torn images")
    return int(not found.holds)


if __name__ == "__main__":
    sys.exit(main())
