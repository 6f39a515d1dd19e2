"""The engine of a workspace: binds plans, reconciles, and holds what its runs share."""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from voxops.acts.plan import Plan
from voxops.api.states import PostState
from voxops.client import SteppedClock
from voxops.engine.binding import bind
from voxops.engine.learning import learn
from voxops.engine.preflight import list_created, read_facts
from voxops.engine.reader import Reader
from voxops.engine.reading import Watch
from voxops.engine.sender import Sender
from voxops.engine.settler import LIKELY, Settler
from voxops.engine.sharing import divide
from voxops.ledger import Ledger, Writer
from voxops.ledger.forming import CANCELLED

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Engine"]


class Engine:
    """Binds plans and reconciles, for one workspace; `Execution` executes what it has bound.

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
    rng : random.Random
        Source of jitter.

    Attributes
    ----------
    reader, settler, sender
        What all runs of the workspace share.
    commit : callable
        Does a piece of work in a transaction of the ledger.
    """

    def __init__(
        self,
        client: AsyncClient,
        ledger: Ledger,
        *,
        credential: str,
        retention: float,
        rng: random.Random | None = None,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.rng = rng or random.Random()
        self.reader = Reader(client)
        self._writer = Writer(ledger)
        self.commit = self._writer.commit
        if isinstance(client.clock, SteppedClock):
            client.clock.attend(lambda: self._writer.unwritten > 0)
        self.settler = Settler(ledger, self.reader, self.commit, client.now, Watch(client.clock.monotonic))
        self.sender = Sender(
            client,
            ledger,
            writer=self._writer,
            reader=self.reader,
            credential=credential,
            retention=retention,
            rng=self.rng,
        )

    def close(self) -> None:
        """End the thread that writes."""
        self._writer.close()

    async def bind(self, plan: Plan, reason: str | None) -> str:
        """Read what the plan is about, write the run, and return its id. Nothing acts."""
        run = f"run_{secrets.token_hex(5)}"
        await self._learn(plan)
        facts = await read_facts(self.client, self.reader, self.ledger, plan)
        await self.commit(lambda: bind(self.ledger, run, plan, facts, reason))
        if facts.listed is not None:
            self.reader.learnt_waiting(facts.listed)
        return run

    async def _learn(self, plan: Plan) -> None:
        """Look at what is open on the plan's rows, so that it is bound to what became of them and not to a question."""
        await self.commit(self.ledger.claims.expire)
        subjects, identities = {item.subject for item in plan.items}, {item.identity for item in plan.items}
        about = [
            operation
            for operation in self.ledger.operations.busy()
            if operation.state != "sent"
            and (
                operation.subject in subjects
                or identities.intersection(self.ledger.operations.identities(operation.id))
            )
        ]
        if about:
            await self.settler.look(about)

    async def withdraw(self, run: str) -> None:
        """Take back every operation of a run that was never sent, but for those that a later run waits to send."""

        def work() -> None:
            unsent = self.ledger.operations.of_run(run, ("planned",))
            for each in sorted({each for operation in unsent for each in self.ledger.runs.of_operation(operation.id)}):
                divide(self.ledger, each)  # each plan may have rows of its own beside those that others have, too
            for operation in self.ledger.operations.of_run(run, ("planned",)):
                newest = next(iter(self.ledger.runs.of_operation(operation.id)), run)
                if newest == run:
                    self.ledger.forming.withdraw(operation.id, CANCELLED)
                else:
                    self.ledger.runs.leave(run, operation.id, f"{CANCELLED}; {newest} stands for it")

        await self.commit(work)

    async def read_posts(self, ids: Collection[str]) -> dict[str, PostState]:
        """Read posts as they are now."""
        return await self.reader.posts(ids, LIKELY)

    async def reconcile(self) -> int:
        """Look once at every operation of the ledger that is accepted or unknown; return how many rows were settled."""
        await self.commit(self.ledger.claims.expire)
        if self.ledger.marks.listed is not None:
            # What an exit has cut short: copies, and posts withdrawn since (rules 28 and 30).
            listed = await list_created(self.client, self.reader, self.ledger)
            await self.commit(lambda: learn(self.ledger, listed))
        reading = await self.settler.look(
            [operation for operation in self.ledger.operations.busy() if operation.state != "sent"]
        )
        for op, why in reading.waiting.items():
            await self.commit(partial(self.ledger.outcomes.wait_for, op, why))
        return len(reading.transitions)
