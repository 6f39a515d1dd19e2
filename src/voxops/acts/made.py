"""What a create asks for and what a post shows, in forms that can be compared: hashes of content, accounts and time (rule 13)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from voxops._support.canonical import as_read, fingerprint
from voxops.api.states import PostState
from voxops.model import WITHDRAWN_STATUSES

__all__ = [
    "DRAFT_AGAIN",
    "NEVER_OUT",
    "Made",
    "accounts_of",
    "asked_hash",
    "is_live",
    "made_of",
    "of_nobody",
    "shown_hash",
    "shown_of_body",
    "shown_of_state",
]

DRAFT_AGAIN = "a draft again"  # for people
NEVER_OUT = frozenset({"draft", "failed", "", "deleted"}) | WITHDRAWN_STATUSES


@dataclass(frozen=True, slots=True)
class Made:
    """A post that a create has made, or one that might be taken for it, as a list or a single read showed it last.

    `created` is ISO text in UTC; the marks and `asked` are None where the post does not show them;
    `shown` is None where the post does not show its content, accounts and time; `updated` is its own time stamp, where it has one.
    """

    post_id: str
    created: str
    status: str
    op_mark: str | None = None
    row_mark: str | None = None
    campaign_mark: str | None = None
    asked: str | None = None
    shown: str | None = None
    updated: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is known to have been made for a row; one without any mark was made by hand, or by a ledger that is lost."""
        return self.op_mark is not None or self.row_mark is not None

    @property
    def became(self) -> str:
        """What it is by now, for people."""
        return DRAFT_AGAIN if self.status == "draft" else self.status

    @property
    def withdrawn(self) -> bool:
        """Whether it was taken back since."""
        return self.status in WITHDRAWN_STATUSES or self.status == "deleted"

    @property
    def taken_back(self) -> bool:
        """Whether it will not go out as it was made: withdrawn, or a draft again."""
        return self.withdrawn or self.status == "draft"

    def is_for(self, asked: str, shown: str) -> bool:
        """Whether it is what was asked: by its own word where it has one, else by what it shows."""
        if self.asked is not None:
            return self.asked == asked
        return self.shown in {None, shown}


def is_live(status: str) -> bool:
    """Whether people see the post, or will: no draft (a clone is one), not withdrawn, not failed (rule 28)."""
    return status not in NEVER_OUT


def made_of(state: PostState) -> Made | None:
    """What a post that bears one of our marks is; None for any other post."""
    op, row, campaign, asked = state.marks
    if op is None and row is None:
        return None
    return Made(
        state.post_id,
        state.created_at or "",
        state.status,
        op,
        row,
        campaign,
        asked,
        shown_of_state(state),
        state.updated_at,
    )


def of_nobody(state: PostState, now: datetime) -> Made | None:
    """What a post that bears no mark is, if a row might still ask for the same: it shows what it is, and its time lies ahead (rule 26)."""
    shown, when = shown_of_state(state), state.scheduled_for
    if made_of(state) is not None or shown is None or when is None or datetime.fromisoformat(when) <= now:
        return None
    return Made(state.post_id, state.created_at or "", state.status, shown=shown, updated=state.updated_at)


def asked_hash(body: Mapping[str, Any]) -> str:
    """Fingerprint of what is asked: all fields but metadata and content type, accounts as ids, in any order."""
    asked = {name: value for name, value in body.items() if name not in {"metadata", "accountIds", "contentType"}}
    return fingerprint("asked", asked, sorted(body.get("accountIds", ())))


def shown_hash(content: str, accounts: Iterable[str], when: str) -> str:
    """Fingerprint of what a post shows: content as it is read, accounts and time."""
    moment = datetime.fromisoformat(when).astimezone(UTC).replace(microsecond=0)
    return fingerprint("shown", as_read(content), sorted(set(accounts)), moment.isoformat())


def shown_of_body(body: Mapping[str, Any]) -> str:
    """What a post that was created from this body shows; its accounts are ids."""
    return shown_hash(str(body["content"]), body["accountIds"], str(body["scheduledFor"]))


def shown_of_state(state: PostState) -> str | None:
    """What a post shows; None where it does not show all of it."""
    accounts = accounts_of(state)
    if state.content is None or state.scheduled_for is None or not accounts:
        return None
    return shown_hash(state.content, accounts, state.scheduled_for)


def accounts_of(state: PostState) -> Sequence[str]:
    """The accounts of a post, as far as it shows them."""
    return [target.account_id for target in state.targets if target.account_id]
