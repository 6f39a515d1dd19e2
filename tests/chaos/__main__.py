"""``make chaos``: kill senders, break answers, jump the clock, and count at the server.

ITEMS, KILLS, SEED, LEDGERS and READING change the run; see `tests.chaos.harness.READINGS`. The last line says how it went; the command
fails if the promise was not kept.
"""

from __future__ import annotations

import os
import sys

from tests.chaos.harness import READINGS, Config, run


def main() -> int:
    """Run as the environment says."""
    reading = os.environ.get("READING") or "default"
    if reading not in READINGS:
        print(f"READING={reading!r} must be one of {', '.join(READINGS)}")
        return 2
    wanted = {
        name.lower(): int(os.environ[name]) for name in ("ITEMS", "KILLS", "SEED", "LEDGERS") if os.environ.get(name)
    }
    report = run(Config(reading=reading, **wanted))
    print(f"chaos: seed {report.config.seed}, reading {reading}, {report.seconds:.0f} s")
    for problem in report.problems:
        print(f"chaos: {problem}")
    print(report.line)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
