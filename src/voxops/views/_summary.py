"""The top of a report: one sentence on failures, what is left and who must act, and the numbers beside it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops._support import safe
from voxops.frames.palette import OUTCOME, VERDICT
from voxops.model import ASKS_NOBODY, IN_FLIGHT_STATUSES, OUTCOMES, Verdict
from voxops.views._report_sections import Fact, act_of

__all__ = ["facts", "headline", "in_words", "none_failed", "outcome_facts"]

_TRIED = {
    "succeeded": "recovered",
    "failed": "failed again",
    "pending": "pending",
    "unknown": "unknown",
    "blocked": "blocked",
}
_NOTHING = "Nothing failed."


def _split(failures: pd.DataFrame) -> dict[str, int]:
    """Count failures by what they need: a retry, a person, or time; each counts once.

    `busy` are retryable, but not eligible until another target of their post has ended.
    """
    retry = failures["retryable"].fillna(False).astype(bool)
    idle = failures["verdict"].isin(list(ASKS_NOBODY)).fillna(False).astype(bool)
    moving = _moving(failures)
    busy = retry & ~moving & failures["post_id"].isin(failures.loc[moving & ~retry, "post_id"])
    parts = {"retry": retry, "busy": busy, "person": ~retry & ~idle, "wait": ~retry & idle}
    return {name: int(part.sum()) for name, part in parts.items()}


def _moving(failures: pd.DataFrame) -> pd.Series[Any]:
    """Return which targets are still in flight."""
    return failures["status"].isin(IN_FLIGHT_STATUSES).fillna(False).astype(bool)


def none_failed(triaged: pd.DataFrame) -> str:
    """Say that nothing failed; of an empty frame of loaded posts, that its rows were filtered away."""
    loaded = triaged.attrs.get("rows") or 0
    if triaged.empty and loaded:
        return f"No rows: the frame is empty, though {safe.many(loaded, 'post')} {_noun(loaded, 'was', 'were')} loaded."
    return _NOTHING


def headline(failures: pd.DataFrame, results: pd.DataFrame | None, nothing: str = _NOTHING) -> str:
    """Summarise in a few words what happened and what to do; after a run, `failures` are those it has left."""
    done = "" if results is None or results.empty else f" {_tried(results)}"
    if failures.empty:
        if results is None or results.empty or nothing != _NOTHING:
            return f"{nothing}{done}"
        short = int((results["outcome"] != "succeeded").sum())
        left = f"{_verb(short, 'row of the run has', 'rows of the run have')} not succeeded."
        return f"{left if short else 'Nothing is left to do.'}{done}"
    need = _split(failures)
    parts = [
        _verb(need["retry"], "can be retried", "can be retried"),
        _verb(need["person"], "needs someone to act first", "need someone to act first"),
        _verb(need["wait"], "resolves by waiting", "resolve by waiting"),
    ]
    if need["busy"]:
        parts[0] += f" ({need['busy']:,} only when another target of its post has ended)"
    return f"{in_words(failures, after=bool(done))}: {'; '.join(filter(None, parts))}.{done}"


def in_words(failures: pd.DataFrame, *, after: bool = False) -> str:
    """Count in words the targets that failed, or are left after a run, and those in flight or stuck."""
    moving = _moving(failures)
    failed = failures[~moving]
    stuck = moving & (failures["verdict"] == Verdict.SUPPORT).fillna(False).astype(bool)
    ends = []
    if len(failed):
        verb = _noun(len(failed), "is left", "are left") if after else "failed"
        ends.append(f"{safe.many(len(failed), 'target')} of {safe.many(failed['post_id'].nunique(), 'post')} {verb}")
    ends.append(_verb(int((moving & ~stuck).sum()), "target is still in flight", "targets are still in flight"))
    ends.append(_verb(int(stuck.sum()), "target is stuck", "targets are stuck"))
    return ", ".join(filter(None, ends))


def _tried(results: pd.DataFrame) -> str:
    """Return the outcomes of a run, as in ``Tried 28: 19 recovered, 9 failed again``."""
    counts, retried = results["outcome"].value_counts(), act_of(results) == "retry"
    said = [f"{counts[name]:,} {word if retried else name}" for name, word in _TRIED.items() if counts.get(name)]
    return f"Tried {len(results):,}: {', '.join(said)}."


def facts(failures: pd.DataFrame, results: pd.DataFrame | None, *, failed_before: bool = True) -> tuple[Fact, ...]:
    """Return the numbers at the top; after a run, `failures` are those it has left, and how many succeeded comes first.

    After a run of posts that had not failed, only the numbers of the run are shown.
    """
    ends = () if results is None else outcome_facts(results)
    if not failed_before and failures.empty:
        return ends
    need, left = _split(failures), "" if results is None else " left"
    noun = _noun(len(failures), "target", "targets")
    person = _noun(need["person"], "needs someone to act", "need someone to act")
    wait = _noun(need["wait"], "resolves by waiting", "resolve by waiting")
    return (
        *ends[:1],
        Fact(len(failures), f"{noun} with a problem{left}", OUTCOME["failed"].colour),
        Fact(need["retry"], "can be retried", VERDICT[Verdict.RETRY].colour),
        Fact(need["person"], person, VERDICT[Verdict.FIX_CONTENT].colour),
        Fact(need["wait"], wait, VERDICT[Verdict.WAIT].colour),
    )


def outcome_facts(results: pd.DataFrame) -> tuple[Fact, ...]:
    """Return how many rows of a run ended in each outcome."""
    counts, said = results["outcome"].value_counts(), "on retry" if act_of(results) == "retry" else "in the run"
    return tuple(Fact(int(counts.get(name, 0)), f"{name} {said}", OUTCOME[name].colour) for name in OUTCOMES)


def _verb(count: int, one: str, many: str) -> str:
    """Return such as ``1 needs`` and ``2 need``, empty for 0."""
    return f"{count:,} {_noun(count, one, many)}" if count else ""


def _noun(count: int, one: str, many: str) -> str:
    """Return singular or plural."""
    return one if count == 1 else many
