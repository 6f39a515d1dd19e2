"""``make chaos``: kill senders, break answers, and count at the server.

ITEMS, KILLS, SEED and LEDGERS change the run. The last line says how it went; the command fails if the promise was not kept.
"""

from __future__ import annotations

import os
import sys

from tests.chaos.harness import Config, run


def main() -> int:
    """Run as the environment says."""
    names = ("ITEMS", "KILLS", "SEED", "LEDGERS")
    report = run(Config(**{name.lower(): int(os.environ[name]) for name in names if os.environ.get(name)}))
    print(f"chaos: seed {report.config.seed}, {report.seconds:.0f} s")
    for problem in report.problems:
        print(f"chaos: {problem}")
    print(report.line)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
