"""Evidence of a change at the server, and of the end of a try (rule 13).

A 2xx of an asynchronous act only means "queued", and a terminal status observed afterwards may still be the old one. So an end counts
only on evidence that *this* try caused it. Runs, handles and watches share these functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from voxops._support.canonical import fingerprint
from voxops.api.states import PostState, Source, TargetState
from voxops.model import IN_FLIGHT_STATUSES, POST_STATUSES, TERMINAL_STATUSES

_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


class Fate(StrEnum):
    """The progress of a target after a try."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MOVING = "moving"
    UNCHANGED = "unchanged"  # as before the try, which may still be queued


@dataclass(frozen=True, slots=True)
class Baseline:
    """A post as it was before the act; `targets` by platform and account.

    `stored` returns it for the ledger, and `read` takes it back.
    """

    status: str | None
    updated_at: str | None
    targets: Mapping[tuple[str, str], TargetState]
    source: Source | None = None
    version: str | None = None

    @classmethod
    def of(cls, state: PostState) -> Baseline:
        """Return the state of a post as a baseline."""
        targets = {target.place: target for target in state.targets}
        return cls(state.status, state.updated_at, targets, state.source, state.version)

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> Baseline | None:
        """Return a baseline from the ledger; None for acts without one, such as a create."""
        if stored is None or "targets" not in stored:
            return None
        rows = [TargetState(**row) for row in stored["targets"]]
        targets = {row.place: row for row in rows}
        names = ("post_status", "updated_at", "source", "version")
        status, updated, source, version = (stored.get(name) for name in names)
        return cls(status, updated, targets, source, version)

    def stored(self) -> dict[str, Any]:
        """Return the form that the ledger stores."""
        names = ("platform", "account_id", "status", "error_code", "error_message", "retry_count")
        rows = [{name: getattr(target, name) for name in names} for _, target in sorted(self.targets.items())]
        stored = {"post_status": self.status, "updated_at": self.updated_at, "targets": rows, "source": self.source}
        return stored if self.version is None else {**stored, "version": self.version}


@dataclass(frozen=True, slots=True)
class Attempted:
    """The knowledge of one try of an act on a post.

    Attributes
    ----------
    baseline : Baseline or None
        The post before the act; None if it was not read.
    since : float
        Seconds since the try ended.
    sighted : bool
        Whether the post was observed in flight after the try.
    promised : mapping
        Platform and account -> the retry count that the response announced, if any.
    by_count : bool
        Whether a count that has reached the promised one, under a newer time stamp, is evidence of an end. True from half a minute
        after the server tries at the latest, if nobody edited the post, and where counts rise as a try ends, not as it is
        queued.
    """

    baseline: Baseline | None
    since: float
    sighted: bool = False
    promised: Mapping[tuple[str, str], int] = field(default_factory=dict)
    by_count: bool = False


def promised_counts(reply: Any) -> dict[tuple[str, str], int]:
    """Platform and account -> the retry count that the response to a retry announces for re-queued targets (contract: K1-2)."""
    entries = reply_targets(reply, "retriedPlatforms")
    return {place: entry["retryCount"] for place, entry in entries if isinstance(entry.get("retryCount"), int)}


def next_try(reply: Any) -> datetime | None:
    """When the server tries re-queued targets, at the latest, by the response to a retry; None if it does not say."""
    times = [
        datetime.fromisoformat(entry["nextRetryAt"])
        for _, entry in reply_targets(reply, "retriedPlatforms")
        if isinstance(entry.get("nextRetryAt"), str) and _ISO.match(entry["nextRetryAt"])
    ]
    return max((time if time.tzinfo is not None else time.replace(tzinfo=UTC) for time in times), default=None)


def settable(state: PostState) -> dict[str, Any]:
    """Return hashes of what a person can set on a post, as far as this reading shows it, to find an edit."""
    when = common_time(state.scheduled_for)
    shown = {
        "content": state.content if state.source == "single" else None,  # lists may cut it
        "scheduled_for": when,
        "accounts": sorted(state.accounts),
        "tags": None if state.tags is None else sorted(state.tags),
        "metadata": state.metadata,
    }
    return {name: fingerprint(value) for name, value in shown.items() if value is not None}


def was_edited_since(before: Mapping[str, Any] | None, state: PostState) -> bool:
    """Whether anything that a person can set differs from an earlier reading, as far as both show it; True without one."""
    if before is None:
        return True
    now = settable(state)
    return any(now[name] != value for name, value in before.items() if name in now)


def reply_targets(reply: Any, name: str) -> list[tuple[tuple[str, str], Mapping[str, Any]]]:
    """Index a list of targets in the response to a retry by platform and account."""
    entries = reply.get(name) if isinstance(reply, Mapping) else None
    return [
        ((str(entry.get("platform", "")).lower(), str(entry.get("accountId", ""))), entry)
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping)
    ]


def sighted(baseline: Baseline | None, state: PostState) -> bool:
    """Whether a post is in flight now and was not before the act: the try has begun, and any end observed from now on is its own."""
    if state.status in IN_FLIGHT_STATUSES and (baseline is None or baseline.status not in IN_FLIGHT_STATUSES):
        return True
    return any(
        target.status in IN_FLIGHT_STATUSES and _status_before(baseline, target) not in IN_FLIGHT_STATUSES
        for target in state.targets
    )


def fate_of(target: TargetState, state: PostState, tried: Attempted) -> Fate:
    """Return the progress of a target, from the present state of its post (rule 13).

    A target that is published now and was not before has succeeded immediately. It has *failed* only if the post is terminal and there is evidence
    that this try has ended. Evidence is that the post was observed in flight, or that the target differs from the baseline. If the response
    announced a retry count and the wire shows one, the count must have reached it. A count that has reached it under a newer time stamp is
    evidence alone where `by_count` allows it. A newer time stamp alone may be an edit and is never evidence of a failure. Nor is an
    error that is gone while the status is the same: the API may clear it when it queues a retry. A target with an unknown status, or none,
    has that of the whole post, if all targets are out or none is.
    """
    status = target.status if target.status in POST_STATUSES else state.status
    if status == "published" and _status_before(tried.baseline, target) != "published":
        return Fate.SUCCEEDED
    if state.status not in TERMINAL_STATUSES or target.status in IN_FLIGHT_STATUSES:
        return Fate.MOVING
    if status in {"published", "partial"}:  # out before, or without a status of its own
        return Fate.UNCHANGED
    differs = _differs(target, tried.baseline, state.source) and not _error_is_gone(target, tried.baseline)
    evidence = tried.sighted or differs
    promised = tried.promised.get(target.place)
    if promised is not None and target.retry_count is not None:
        counts = tried.by_count and is_newer(state, tried.baseline)
        evidence = target.retry_count >= promised and (evidence or counts)
    return Fate.FAILED if evidence else Fate.UNCHANGED


def post_ended(state: PostState, tried: Attempted, target_id: str | None = None) -> bool:
    """Whether a try on a whole post, or on the one target of this id, has ended (rule 13).

    Targets published before the act are left out. A post without listed targets counts as one target.
    """
    if state.status not in TERMINAL_STATUSES:
        return False
    concerned = [
        target
        for target in state.targets
        if _status_before(tried.baseline, target) != "published" and target_id in {None, target.target_id}
    ]
    if not state.targets:
        before = None if tried.baseline is None else tried.baseline.status
        published = state.status == "published" and before != "published"
        return published or tried.sighted or before not in {None, state.status}
    return all(fate_of(target, state, tried) in {Fate.SUCCEEDED, Fate.FAILED} for target in concerned)


def untouched(state: PostState, baseline: Baseline | None) -> bool:
    """Whether a post shows no sign of an act, not even a newer time stamp: an unknown act is sent again only then."""
    if baseline is None:
        return False
    if sighted(baseline, state) or is_newer(state, baseline):
        return False
    places = {target.place for target in state.targets}
    return places == set(baseline.targets) and not any(
        _differs(target, baseline, state.source) for target in state.targets
    )


def is_newer(state: PostState, baseline: Baseline | None) -> bool:
    """Whether a post's time stamp is newer than the baseline's; False if one is missing.

    Stamps from different kinds of reads are compared at the coarser precision, because lists may cut milliseconds.
    """
    if baseline is None or not state.updated_at or not baseline.updated_at:
        return False
    late, early = datetime.fromisoformat(state.updated_at), datetime.fromisoformat(baseline.updated_at)
    if not _alike(baseline, state.source):
        late, early = _to_common_precision(state.updated_at, baseline.updated_at)
    return late > early


def same_time(one: str | None, other: str | None) -> bool:
    """Whether two times are the same at the coarser precision: lists may cut milliseconds."""
    if one is None or other is None or one == other:
        return one == other
    first, second = _to_common_precision(one, other)
    return first == second


def same_text(one: str | None, other: str | None) -> bool:
    """Whether two texts are the same, or one is the other cut to any length, as lists may show it; an empty text is no cut."""
    if one is None or other is None or one == other:
        return one == other
    short, long = sorted((one.rstrip(".… "), other.rstrip(".… ")), key=len)
    return bool(short) and long.startswith(short)


def common_time(time: str | None) -> str | None:
    """Return a value that is equal for all times equal by `same_time`."""
    if time is None:
        return None
    try:
        return datetime.fromisoformat(time).replace(microsecond=0).isoformat()
    except ValueError:  # not a time: equal to itself only
        return time


def _to_common_precision(one: str, other: str) -> tuple[datetime, datetime]:
    """Cut two times to whole seconds or milliseconds if one of them has no more."""
    first, second = datetime.fromisoformat(one), datetime.fromisoformat(other)
    for unit in (1_000_000, 1_000):
        if first.microsecond % unit == 0 or second.microsecond % unit == 0:
            first = first.replace(microsecond=first.microsecond // unit * unit)
            second = second.replace(microsecond=second.microsecond // unit * unit)
            break
    return first, second


def _status_before(baseline: Baseline | None, target: TargetState) -> str | None:
    """Return the status of a target before the act; None if unknown."""
    before = None if baseline is None else baseline.targets.get(target.place)
    return None if before is None else before.status


def _alike(baseline: Baseline, source: Source) -> bool:
    """Whether a baseline comes from the same kind of read."""
    return baseline.source == source


def _error_is_gone(target: TargetState, baseline: Baseline | None) -> bool:
    """Whether the only difference of a target is an error that disappeared."""
    before = None if baseline is None else baseline.targets.get(target.place)
    return before is not None and target.status == before.status and not (target.error_code or target.error_message)


def _differs(target: TargetState, baseline: Baseline | None, source: Source) -> bool:
    """Whether a target differs from its state before the act, at the same precision."""
    if baseline is None:
        return False
    before = baseline.targets.get(target.place)
    if before is None or (target.status, target.error_code) != (before.status, before.error_code):
        return True
    if _alike(baseline, source):
        return target.error_message != before.error_message
    return not same_text(target.error_message, before.error_message)


# Webhook deliveries: the record has no status, so only a change of its result proves another try.

_RESULT = ("success", "status_code", "latency_ms", "error", "delivered_at")


def delivery_ended(baseline: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a delivery was tried again and the try has ended (rule 13).

    Its retry count exceeds the baseline *and* its result differs. If the wire shows no count, the result alone decides.
    """
    differs = any(not _same_field(name, baseline.get(name), now.get(name)) for name in _RESULT)
    before, after = baseline.get("retry_count"), now.get("retry_count")
    return differs and (before is None or after is None or after > before)


def delivery_untouched(baseline: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a delivery shows no sign of a further try, not even in its count: only this proves that there was none."""
    return all(_same_field(name, baseline.get(name), value) for name, value in now.items() if name != "created_at")


def _same_field(name: str, one: Any, other: Any) -> bool:
    return same_time(one, other) if name == "delivered_at" else bool(one == other)
