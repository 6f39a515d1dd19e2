"""The engine of a workspace: binds plans, reconciles, and holds what its runs share."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from voxops._support import safe
from voxops.acts.plan import Compared, Plan
from voxops.client import SteppedClock
from voxops.engine.bind import Binder
from voxops.engine.facts import Readings, SharedState
from voxops.engine.lists import Reader
from voxops.engine.loop import Loop
from voxops.engine.polling import LOGGED
from voxops.engine.read import Reads
from voxops.engine.send import Sender
from voxops.ledger.audit import duplicates
from voxops.ledger.ledger import Ledger, Writer
from voxops.ledger.records import RunHead
from voxops.model import paused

if TYPE_CHECKING:
    from voxops.client import AsyncClient

_log = logging.getLogger("voxops.engine")


class Engine:
    """Binds plans and reconciles, for one workspace; its loop executes what it has bound.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    ledger : Ledger
        The workspace's ledger.
    credential : str
        Salted fingerprint of the API key in use.
    retention : float
        Seconds for which the server is taken to remember a key.
    people : mapping of str to str, optional
        ``owner``, ``campaign`` and so on -> the metadata field under which creates send it.
    alone : bool
        Whether a person says that only this ledger creates posts here (rule 11).
    rng : random.Random
        Source of jitter.
    """

    def __init__(
        self,
        client: AsyncClient,
        ledger: Ledger,
        *,
        credential: str,
        retention: float,
        people: Mapping[str, str] | None = None,
        alone: bool = False,
        rng: random.Random | None = None,
    ) -> None:
        self.client: AsyncClient = client
        self.ledger: Ledger = ledger
        self.rng: random.Random = rng or random.Random()
        self._writer = Writer(ledger)
        if isinstance(client._clock, SteppedClock):
            client._clock.attend(lambda: self._writer.unwritten > 0)
        self.shared: SharedState = SharedState(
            ledger, Readings(), client.now, credential=credential, retention=retention, alone=alone
        )
        self.reads: Reads = Reads(client, Reader(client), self.shared, self.commit)
        self.sender: Sender = Sender(client, self.shared, self.reads, self.commit, self.note, people or {})
        self.loop: Loop = Loop(client, self.shared, self.reads, self.sender, self.commit, self.rng)

    async def commit(self, work: Callable[[], Any]) -> Any:
        """Do a piece of work in a transaction of the ledger; return when it is on disk."""
        return await self._writer.commit(work)

    async def note(self, work: Callable[[], Any]) -> Any:
        """As `commit`, for what nothing to be sent depends on: it waits a moment for company."""
        return await self._writer.note(work)

    def close(self) -> None:
        """End the loop and the thread that writes."""
        self.loop.close()
        self._writer.close()

    async def bind(self, plan: Plan, reason: str | None, *, failures: int | None = None) -> str:
        """Read what the plan is about, write the run, and return its id. Nothing acts."""
        run = f"run_{secrets.token_hex(5)}"
        await self._read(plan)
        head = RunHead(run, plan.action, plan.campaign, plan.key, plan.blocked, self.shared.now, failures=failures)
        try:
            await self.commit(lambda: Binder(self.shared, plan).bind(head, reason))
            for other in self.ledger.runs.others_unsent(run) if plan.compared else ():
                _log.warning(
                    "run %s has unsent rows that are not in this sheet; pause it, or end it by plan_cancel", other
                )
        except asyncio.CancelledError as stop:
            if await self.leave(run):
                stop.add_note(paused(run))
            raise
        return run

    async def leave(self, run: str) -> bool:
        """Pause a run that nobody has taken, as its call was cancelled (rule 16); whether it was bound."""
        bound: bool = await self.commit(lambda: self.ledger.runs.note(run, paused=True, state="paused"))
        if bound:
            _log.info("run %s paused, as the call that bound it was cancelled", run)
        return bound

    async def _read(self, plan: Plan) -> None:
        """Read what a plan is about, and what is open on it."""
        reads, items = self.reads, plan.items
        await self._look_at_open(plan)
        await reads.accounts(items)
        for medium in {medium_id for item in items for medium_id in item.media_ids}:
            self.shared.media.pop(medium, None)
        await reads.media(items)
        creates = [item for item in items if item.creates]
        others = [item for item in items if not item.creates and item.subject.kind != "row"]
        if creates or plan.compared:
            await self.look_for_copies(waiting=True)
            await reads.refresh(creates)
            await reads.metadata()
        if plan.compared:
            await self._read_compared(plan.compared)
        if others:
            statuses = Counter(str(item.seen.get("post_status")) for item in others)
            keeps = {f"post::{keep}": True for item in others if (keep := item.seen.get("keep"))}
            subjects = {str(item.subject): False for item in others}
            await reads.subjects({**subjects, **keeps}, [status for status, _ in statuses.most_common()])

    async def _read_compared(self, compared: Compared) -> None:
        """Read the posts that a sync was compared with, and those of its rows that this ledger created and the frame lacks (rule 18)."""
        shown = {post: status for _, posts in compared.rows.values() for post, (status, _) in posts.items()}
        made = self.ledger.requests.latest(compared.identities).values()
        lacking = {create.result_id for create in made if create.result_id is not None}.difference(shown)
        likely = [status for status, _ in Counter(shown.values()).most_common()]
        await self.reads.posts(shown, likely)
        await self.reads.posts(lacking, ())

    async def _look_at_open(self, plan: Plan) -> None:
        """Look at what is open on the plan's rows, so that it is bound to their outcome."""
        calls, subjects = self.ledger.calls, {str(item.subject) for item in plan.items}
        in_flight = self.ledger.requests.in_flight({item.identity for item in plan.items}, ())
        opened = [*calls.on(subjects), *calls.some({request.call for request in in_flight if request.call is not None})]
        about = {call.id: call for call in opened if call.state != "sent"}
        if about:
            await self.loop.look([*about.values()])

    async def look_for_copies(self, *, waiting: bool = False) -> None:
        """Read what was created since, and name in the log the rows for which there are several live posts, whichever run they are of."""
        await self.reads.listing(waiting=waiting)
        if twice := duplicates(self.ledger):
            await self.reads.posts({post for _, posts in twice for post in posts})  # somebody may have cleaned up
            twice = duplicates(self.ledger)
        if twice:
            named = ", ".join(post for _, posts in twice[:LOGGED] for post in posts[1:])
            _log.warning("%s created more than once: %s", safe.many(len(twice), "row"), named)

    async def reconcile(self) -> None:
        """Look once at every open call, and read what was created since: what an exit has cut short. Nothing is sent."""
        if self.ledger.seen.listed is not None or self.ledger.seen.looked_through is not None:
            await self.look_for_copies()
        opened = [call for call in self.ledger.calls.open() if call.state != "sent"]
        if opened:
            await self.loop.look(opened)
