"""Preparing an operation: what it is about is looked at once more just before it is sent (rules 1, 6 and 13)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from voxops.acts.change import has_passed
from voxops.acts.create import late
from voxops.acts.table import act_named
from voxops.api.evidence import Baseline
from voxops.api.reasons import Reason
from voxops.api.timing import CREATES_FRESH_FOR
from voxops.engine.batches import leave_batch
from voxops.engine.control import Pass
from voxops.engine.preflight import is_stale, look_back, read_list, renew, renew_creates
from voxops.engine.reader import Reader
from voxops.ledger import Clearance, Ledger, Refusal, Stored

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Preparer", "is_unsent_create"]


class Preparer:
    """Looks at what an operation is about before it is claimed, and says upon which reading it may be sent.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    ledger : Ledger
        The workspace's ledger.
    commit : callable
        Does a piece of work in it, and returns when it is on disk.
    reader : Reader
        Reads posts and lists.
    """

    def __init__(
        self,
        client: AsyncClient,
        ledger: Ledger,
        *,
        commit: Callable[[Callable[[], Any]], Awaitable[Any]],
        reader: Reader,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._commit = commit
        self._reader = reader

    async def prepare(self, current: Pass, cleared: Clearance) -> Clearance | Refusal | None:
        """Look at what an operation is about to change; None if it must not be sent as it is, a refusal if not now."""
        stored = cleared.operation
        if stored.state != "planned":
            return self._timely(cleared)
        if act_named(stored.action).about == "create":
            if is_stale(stored, self._ledger.now()):
                return await self._renew_create(current, stored)
            return await self._drop_past(cleared)
        if stored.under_version:
            return await self._take_version(current, cleared)
        return await self._address(current, cleared) if stored.about_one_target else cleared

    async def _take_version(self, current: Pass, cleared: Clearance) -> Clearance | None:
        """Read a post just before it is changed: it must be as planned, and what it bears as its version goes with the change."""
        stored = cleared.operation
        (member,) = self._ledger.operations.members(stored.id)
        read = self._ledger.now()
        state = await self._reader.post(stored.subject.id)
        why: Reason | str | None = act_named(stored.action).why_changed(member.item, state)
        if not why and (state is None or state.version is None):
            why = "the API shows no version of this post, so somebody's change could be written over; change it by hand"
        if not why and has_passed(member.item, self._client.now()):
            why = Reason("new_time_past")
        if why or state is None:
            current.reasons.block(stored.id, why or Reason("post_gone"))
            return None
        baseline = Baseline.of(state).stored()
        await self._commit(lambda: self._ledger.forming.renew(stored.id, baseline=baseline))
        return self._ledger.claims.clear(stored, read=read)

    async def _address(self, current: Pass, cleared: Clearance) -> Clearance | Refusal | None:
        """Read the post of a single target just before it is sent: its state must be as planned, and lists leave out target ids."""
        stored = cleared.operation
        (member,) = self._ledger.operations.members(stored.id)
        others = self._ledger.operations.open_on(stored.subject)
        if any(other.id != stored.id and other.state != "planned" for other in others):
            return Refusal("another request on this post is open")
        read = self._ledger.now()
        state = await self._reader.post(stored.subject.id)
        target = None if state is None else state.target(member.item.platform, member.item.account)
        if state is None or target is None:
            current.reasons.block(stored.id, "the post or its target no longer exists; load the posts again")
            return None
        # Another target of the post may have moved its status and time stamp meanwhile.
        seen = {name: value for name, value in member.item.seen.items() if name not in {"updated_at", "post_status"}}
        why = act_named(stored.action).why_changed(replace(member.item, seen=seen), state)
        if why:
            current.reasons.block(stored.id, why)
            return None
        if target.target_id is None:
            current.reasons.block(stored.id, "the API shows no id for this target; retry the whole post")
            return None
        path = f"/v1/posts/{state.post_id}/platforms/{target.target_id}/fix"
        baseline = Baseline.of(state).stored()
        await self._commit(lambda: self._ledger.forming.renew(stored.id, baseline=baseline, path=path))
        return self._ledger.claims.clear(stored, read=read)

    def _timely(self, cleared: Clearance) -> Clearance | Refusal:
        """What nobody knows of is not sent again once its time has passed (rule 6); proof or a person must come first."""
        members, now = self._ledger.operations.members(cleared.op), self._client.now()
        if act_named(cleared.operation.action).about == "create" and late(members, now):
            return Refusal("nobody knows whether it was created, and its time has passed")
        if any(has_passed(member.item, now) for member in members):
            return Refusal("nobody knows whether it was changed, and its new time has passed")
        return cleared

    async def _drop_past(self, cleared: Clearance) -> Clearance | None:
        """Take rows whose time has passed out of a batch that has not happened (rule 6); None if the batch was formed anew."""
        stored, now = cleared.operation, self._client.now()
        members = self._ledger.operations.members(stored.id)
        past = late(members, now)
        if not past:
            return cleared

        def work() -> None:
            if self._ledger.operations.is_unchanged(stored):  # else another sender has it, as it was
                leave_batch(
                    self._ledger, stored, [[member for member in members if member not in past]], read=stored.read
                )
                self._ledger.forming.withdraw(stored.id, "its time has passed", blocked=True)

        await self._commit(work)
        return None

    async def renew(self, current: Pass, stored: Stored) -> Clearance | Refusal | None:
        """Clear what was read too long ago upon a reading of now; None if it must not be sent as it is."""
        if act_named(stored.action).about == "create":
            return await self._renew_create(current, stored)
        if not current.control.sending:
            return None
        if stored.read_alone:
            return await self.prepare(current, self._ledger.claims.clear(stored))
        held = await renew(self._client, self._reader, self._ledger, self._commit, [stored])
        for op, why in held.items():
            current.reasons.block(op, why)
        return None if held else self._ledger.claims.clear(self._ledger.operations.get(stored.id))

    async def _renew_create(self, current: Pass, stored: Stored) -> Clearance | None:
        """Clear a create upon a list that is read now, or was read just now for another one (rule 13)."""
        async with current.renewing:
            if not current.control.sending:
                return None
            await look_back(self._reader, self._ledger, self._commit, [stored], self._client.now())
            if not 0 <= self._ledger.now() - current.listed <= CREATES_FRESH_FOR:
                current.listed = await read_list(self._client, self._reader, self._ledger, self._commit)
        before, now = self._ledger.operations.get(stored.id), self._client.now()
        # Others that wait are compared with what was learnt when it is their turn: thousands at once would take longer than that holds.
        await self._commit(lambda: renew_creates(self._ledger, [before], current.listed, now))
        renewed = self._ledger.operations.get(stored.id)
        return await self._drop_past(self._ledger.claims.clear(renewed)) if renewed.state == "planned" else None


def is_unsent_create(operation: Stored) -> bool:
    """Whether an operation makes posts and was never sent, so that the list alone says whether it may be."""
    return operation.state == "planned" and act_named(operation.action).about == "create"
