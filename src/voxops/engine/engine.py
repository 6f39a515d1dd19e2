"""The engine of a workspace: binds plans, reconciles, and holds what its runs share."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from voxops._support.eventloop import paused
from voxops.acts.act import Request, Subject, settled
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.reasons import Reason
from voxops.client import SteppedClock
from voxops.engine.bind import Binder, contradicting
from voxops.engine.drive import Driver
from voxops.engine.facts import Knowledge, Readings
from voxops.engine.lists import Reader
from voxops.engine.read import Eyes
from voxops.engine.send import Sender
from voxops.ledger.file import home
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import RunHead
from voxops.ledger.writer import Writer
from voxops.model import Outcome

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
        rng: random.Random | None = None,
    ) -> None:
        self.client: AsyncClient = client
        self.ledger: Ledger = ledger
        self.rng: random.Random = rng or random.Random()
        self._writer = Writer(ledger)
        if isinstance(client.clock, SteppedClock):
            client.clock.attend(lambda: self._writer.unwritten > 0)
        self.known: Knowledge = Knowledge(ledger, Readings(), client.now, credential=credential, retention=retention)
        self.eyes: Eyes = Eyes(client, Reader(client), self.known, self.commit)
        self.sender: Sender = Sender(client, self.known, self.eyes, self.commit, self.note, people or {})
        self.driver: Driver = Driver(
            client, self.known, self.eyes, self.sender, self.commit, self.withdrawals, self.rng
        )
        self._awaits = True  # whether withdrawals may wait for creates to end

    async def commit(self, work: Callable[[], Any]) -> Any:
        """Do a piece of work in a transaction of the ledger; return when it is on disk."""
        return await self._writer.commit(work)

    async def note(self, work: Callable[[], Any]) -> Any:
        """As `commit`, for what nothing to be sent depends on: it waits a moment for company."""
        return await self._writer.note(work)

    def close(self) -> None:
        """End the loop and the thread that writes."""
        self.driver.close()
        self._writer.close()

    async def bind(
        self, plan: Plan, reason: str | None, *, failures: int | None = None, trust_lists: bool = False
    ) -> str:
        """Read what the plan is about, write the run, and return its id. Nothing acts."""
        run = f"run_{secrets.token_hex(5)}"
        strange = await self._read(plan, trust_lists=trust_lists)
        head = RunHead(
            run,
            plan.action,
            plan.campaign,
            plan.key,
            plan.canaries,
            plan.held,
            self.known.now,
            failures=failures,
            trust_lists=trust_lists,
            home=home(),
        )

        def work() -> None:
            self.ledger.calls.expire()
            Binder(self.known, plan).bind(head, reason)
            if strange:  # too many posts to be read one by one: it is bound, and says so (see `trust_lists`)
                self.ledger.runs.pause(run, paused=True)
                self.ledger.runs.finish(run, state="paused", note=str(Reason("lists_show_no_marks", posts=strange)))

        try:
            await self.commit(work)
            self._awaits = True
            await self.withdrawals()
        except asyncio.CancelledError as stop:
            if await self.leave(run):
                stop.add_note(paused(run))
            raise
        return run

    async def leave(self, run: str) -> bool:
        """Pause a run that nobody has taken, as its call was cancelled (rule 22); whether it was bound."""
        bound = bool(await self.commit(lambda: self.ledger.runs.leave(run)))
        if bound:
            _log.info("run %s paused, as the call that bound it was cancelled", run)
        return bound

    def contradicts(self, plan: Plan) -> bool:
        """Whether an earlier plan would still do what the sheet of this one does not ask for."""
        return any(contradicting(self.ledger, plan))

    async def _read(self, plan: Plan, *, trust_lists: bool) -> int:
        """Read what a plan is about, and what is open on it; returns how many posts would have to be read one by one first."""
        eyes, items = self.eyes, plan.items
        await self.commit(self.ledger.calls.expire)
        await self._look_at_open(plan)
        await eyes.accounts(items)
        creates = [item for item in items if act_named(item.act).about == "create"]
        others = [item for item in items if act_named(item.act).about != "create" and item.subject.kind != "row"]
        much = 0
        if creates:
            await eyes.listing(waiting=True)
            await eyes.refresh(creates)
            strange = eyes.strange()
            if strange and eyes.is_much(strange) and not trust_lists:
                much = len(strange)
            else:
                await eyes.read_strange(strange, creates, trust_lists=trust_lists)
        if others:
            statuses = Counter(str(item.seen.get("post_status")) for item in others)
            keeps = {f"post::{keep}": True for item in others if (keep := item.seen.get("keep"))}
            wanted = {str(item.subject): False for item in others}
            await eyes.subjects({**wanted, **keeps}, [status for status, _ in statuses.most_common()])
        return much

    async def _look_at_open(self, plan: Plan) -> None:
        """Look at what is open on the plan's rows, so that it is bound to what became of them and not to a question."""
        subjects, identities = {str(item.subject) for item in plan.items}, {item.identity for item in plan.items}
        opened = [call for call in self.ledger.calls.open() if call.state != "sent"]
        rows = self.ledger.requests.of_calls(call.id for call in opened)
        about = [
            call
            for call in opened
            if str(call.subject) in subjects or identities.intersection(one.item.identity for one in rows[call.id])
        ]
        if about:
            await self.driver.look(about)

    async def withdrawals(self) -> bool:
        """Withdrawals of what comes of a create: once that has ended, they are about its post, or about nothing; whether any has."""
        if not self._awaits:
            return False
        waiting = self.ledger.requests.waiting_withdrawals()
        self._awaits = bool(waiting)
        return bool(waiting) and bool(await self.commit(lambda: self._resolve(waiting)))

    def _resolve(self, waiting: list[Request]) -> int:
        resolved = 0
        made = {
            (one.item.identity, one.item.attempt): one
            for one in self.ledger.requests.latest(str(each.item.seen["of"]) for each in waiting).values()
        }
        for each in waiting:
            create = made.get((str(each.item.seen["of"]), int(each.item.seen["attempt"])))
            if create is not None and create.outcome is Outcome.SUCCEEDED and create.result_id:
                post = create.result_id
                item = replace(
                    each.item,
                    subject=Subject("post", post),
                    path=f"/v1/posts/{post}/cancel",
                    seen={**each.item.seen, "found": True},
                )
                self.ledger.requests.replace(each.id, item, asked=each.asked, alike=None)
            elif create is None or create.outcome is Outcome.FAILED or create.call is None:
                self.ledger.requests.settle([settled(each, Outcome.SUCCEEDED)], self.known.now)
            else:
                continue
            resolved += 1
        return resolved

    async def reconcile(self) -> None:
        """Look once at every open call, and read what was created since: what an exit has cut short. Nothing is sent."""
        await self.commit(self.ledger.calls.expire)
        if self.ledger.seen.listed is not None or self.ledger.seen.looked_through is not None:
            await self.eyes.listing()
        opened = [call for call in self.ledger.calls.open() if call.state != "sent"]
        if opened:
            await self.driver.look(opened)
        await self.withdrawals()
