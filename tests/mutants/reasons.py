"""Mutants that survive because they mean nothing: file and name -> why nobody could tell."""

from __future__ import annotations

_FATE = "fates are compared with each other; their text is written nowhere"
_NO_ANSWER = "that no answer came is said by an earlier row"
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
    ("engine/reduce.py", ": e.status or 0 → (e.status)"): _NO_ANSWER,
    ("engine/reduce.py", ": e.status or 0 → (e.status) (2)"): _NO_ANSWER,
    ("engine/reduce.py", ": 0 → (1)"): _NO_ANSWER,
    ("engine/reduce.py", ": 0 → (1) (2)"): _NO_ANSWER,
    (
        "engine/reduce.py",
        "_between: event.status is not None and low <= event.status < high → (low <= event.status < high)",
    ): _NO_ANSWER,
    ("engine/rules.py", "_unresolved: return None → pass"): "what is open stands in a call",
    ("engine/rules.py", "_whole: facts.others or 0.0 → (facts.others)"): "a campaign is busy with a post of others",
    ("engine/rules.py", "_whole: 0.0 → (1.0) (2)"): "a campaign is busy with a post of others",
}
