"""Mutants that survive because they mean nothing: file and name -> why nobody could tell."""

from __future__ import annotations

_FATE = "fates are compared with each other; their text is written nowhere"
REASONS: dict[tuple[str, str], str] = {
    ("api/evidence.py", ": \"succeeded\" → ('succeededX')"): _FATE,
    ("api/evidence.py", ": \"failed\" → ('failedX')"): _FATE,
    ("api/evidence.py", ": \"moving\" → ('movingX')"): _FATE,
    ("api/evidence.py", ": \"unchanged\" → ('unchangedX')"): _FATE,
    (
        "api/evidence.py",
        "_to_common_precision: 1_000_000 → (1000001)",
    ): "of less than a million microseconds only none is a multiple of either",
    ("api/evidence.py", "_to_common_precision: break → pass"): "whole seconds are whole milliseconds, too",
    ("api/evidence.py", "common_time: 0 → (1)"): "whichever microsecond, if it is one",
}
