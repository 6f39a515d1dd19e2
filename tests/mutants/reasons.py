"""Mutants that survive because they mean nothing: file and name -> why nobody could tell."""

from __future__ import annotations

_FATE = "fates are compared with each other; their text is written nowhere"
REASONS: dict[tuple[str, str], str] = {
    ("api/evidence.py", ": \"succeeded\" → ('succeededX')"): _FATE,
    ("api/evidence.py", ": \"failed\" → ('failedX')"): _FATE,
    ("api/evidence.py", ": \"moving\" → ('movingX')"): _FATE,
    ("api/evidence.py", ": \"unchanged\" → ('unchangedX')"): _FATE,
    ("api/evidence.py", "Baseline.read: 5 → (6)"): "the first version stored five values of a target",
    (
        "api/evidence.py",
        "_to_common_precision: 1_000_000 → (1000001)",
    ): "of less than a million microseconds only none is a multiple of either",
    ("api/evidence.py", "_to_common_precision: break → pass"): "whole seconds are whole milliseconds, too",
    (
        "engine/presence.py",
        "judge_row: post.op_mark is not None and post.op_mark != item.mark and _…f(item, post) < item.attempt → (post.op_mark != item.mark and _attempt_of(item, post) < item.attempt)",
    ): "a post without a mark counts as a very late attempt anyway",
    (
        "engine/presence.py",
        "judge_row: post.op_mark is not None and post.op_mark != item.mark and _…f(item, post) < item.attempt → (post.op_mark is not None and _attempt_of(item, post) < item.attempt)",
    ): "the mark of this attempt is never that of an earlier one",
    (
        "engine/presence.py",
        "find_marked: state.mark is not None and state.status != \"draft\" → (state.status != 'draft')",
    ): "no row is looked up under no mark",
    (
        "engine/presence.py",
        "pair_unmarked: not state.has_metadata and shown is not None and created is …created >= first_sent - SKEW → (not state.has_metadata and created is not None and (created >= first_sent - SKEW))",
    ): "no row is looked up under what a post does not show",
}
