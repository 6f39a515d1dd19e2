"""Mutants that survive because they mean nothing: file and name -> why nobody could tell."""

from __future__ import annotations

_FATE = "fates are compared with each other; their text is written nowhere"
_OPEN = "what is open stands in a call"
_TYPE = "the name of a type, which is nothing while a program runs"
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
    (
        "engine/rules.py",
        "_settled_by_evidence: found is not None and found.outcome is Outcome.BLOCKED and found.reason"
        " → (found is not None and found.outcome is Outcome.BLOCKED)",
    ): "what is blocked has its reason",
    ("engine/rules.py", "_in_flight: call is None or call.state != \"sent\" → (call.state != 'sent')"): _OPEN,
    (
        "engine/rules.py",
        "_moving: call is None or found is None or found.reason is None → (found is None or found.reason is None)",
    ): _OPEN,
    ("engine/rules.py", "_accepted: call is None or call.state != \"accepted\" → (call.state != 'accepted')"): _OPEN,
    ("engine/rules.py", "_unresolved: return None → pass"): _OPEN,
    ("engine/rules.py", "_unresolved: 1.0 → (2.0)"): "both are before the end of the try",
    ("engine/rules.py", "_whole: facts.others or 0.0 → (facts.others)"): "a campaign is busy with a post of others",
    ("engine/rules.py", "_whole: 0.0 → (1.0) (2)"): "a campaign is busy with a post of others",
    ("engine/rules.py", ": \"subject\" → ('subjectX')"): _TYPE,
    ("engine/rules.py", ": \"list\" → ('listX')"): _TYPE,
    ("engine/rules.py", ": \"open\" → ('openX')"): _TYPE,
    ("engine/rules.py", ": \"unsent\" → ('unsentX')"): _TYPE,
    ("engine/rules.py", ": \"settled\" → ('settledX')"): _TYPE,
    ("engine/rules.py", ": 0 → (1)"): "a create, which alone is asked for its chunk, has one",
    ("engine/rules.py", ": 0 → (1) (2)"): "a call that was tried has its tries",
}
