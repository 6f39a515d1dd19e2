"""What retry and fix share: how targets of a post settle, and how their failed rows are planned again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from voxops.acts.act import PostAct
from voxops.acts.operation import Member, settled
from voxops.analysis.triage import judge
from voxops.api.error_bodies import bears_error
from voxops.api.evidence import Attempted, Fate, fate_of, reply_targets
from voxops.api.states import PostState, TargetState
from voxops.api.timing import PROOF_AFTER
from voxops.model import TERMINAL_STATUSES, WAITING_STATUSES, Outcome

__all__ = ["TargetAct"]


class TargetAct(PostAct):
    """An act that sends targets of a post again; what it queued ends by itself."""

    def decodes(self, data: Any) -> bool:
        """A fix says `success`, a retry names the post or what it re-queued."""
        if not isinstance(data, Mapping) or bears_error(data):
            return False
        return "platformId" in data or bool({"id", "status", "retriedPlatforms"} & data.keys())

    def settle_answer(self, members: Sequence[Member], data: Any, *, first: bool) -> list[Member]:
        """Targets that the reply lists as skipped have failed at once, for the server's reason (rule 18).

        After an ambiguous try, "skipped" may be about what that one queued, and says nothing.
        """
        return _skipped(members, data) if first else []

    def settle_reading(
        self, members: Sequence[Member], state: PostState, tried: Attempted, reply: Any = None
    ) -> list[Member]:
        """Outcomes of targets whose try has ended; what is still on its way stays pending, and says as what.

        The API tries a platform several times by itself (contract: PLAY), so a failed target has failed only when its whole post
        is terminal. `reply`, the answer to an accepted try that nothing has come of, settles what it lists as skipped.
        """
        seen = {
            "post_status": state.status,
            "updated_at": state.updated_at,
            "open": [state.failed_targets, state.open_targets - state.failed_targets],
        }
        done = []
        for member in members:
            if not member.outcome.final:
                target = state.target(member.item.platform, member.item.account)
                done += _settle(member, target, state, tried, seen)
        if not done and tried.since >= PROOF_AFTER:
            done = _skipped([member for member in members if not member.outcome.final], reply)
        return done

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:
        """By the target as it is now: recovered, failed with the same cause or another, or pending."""
        said = row.get("cause")
        cause = said if isinstance(said, str) else "not triaged"
        if row["outcome"] in {"pending", "unknown"}:
            return cause, "pending"
        target = None if state is None else state.target(row["platform"], row["account_id"])
        if state is None or target is None or target.status not in {"published", "failed"}:
            return cause, "pending"
        if target.status == "published":
            return cause, "recovered"
        now = judge(target.error_code, target.platform, target.error_message, target.status, state.status)
        return cause, "failed_same" if now.cause == cause else "failed_other"

    def keeps_old_errors(self) -> bool:
        """A refused act changed nothing, so its target still shows the error that it was planned by."""
        return True


def _settle(
    member: Member, target: TargetState | None, state: PostState, tried: Attempted, seen: Mapping[str, Any]
) -> list[Member]:
    """What the present state says of one target."""
    if target is None:
        return [replace(member, outcome=Outcome.PENDING, waiting_for="the target is no longer listed")]
    match fate_of(target, state, tried):
        case Fate.SUCCEEDED:
            result = target.platform_post_id or state.post_id
            return [settled(member, Outcome.SUCCEEDED, result_id=result, seen=seen)]
        case Fate.MOVING:
            waits = target.status or state.status or "queued"
            if state.status not in TERMINAL_STATUSES and state.status in WAITING_STATUSES:
                waits = f"the post is {state.status}"
            return [replace(member, outcome=Outcome.PENDING, waiting_for=str(waits))]
        case Fate.FAILED:
            code = target.error_code or str(target.status).upper()
            now = {
                **seen,
                "status": "failed",
                "error_code": target.error_code,
                "error_message": target.error_message,
            }
            return [settled(member, Outcome.FAILED, error_code=code, error_message=target.error_message, seen=now)]
    return []


def _skipped(members: Sequence[Member], reply: Any) -> list[Member]:
    """Members whose target a reply lists as skipped: failed, for the server's reason."""
    reasons = {
        place: str(entry.get("reason") or "skipped by the server")
        for place, entry in reply_targets(reply, "skippedPlatforms")
    }
    return [
        settled(
            member,
            Outcome.FAILED,
            error_code="SKIPPED",
            error_message=reasons[member.item.platform, member.item.account],
        )
        for member in members
        if (member.item.platform, member.item.account) in reasons
    ]
