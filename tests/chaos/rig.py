"""Kernels on one machine: engines with their own ledgers and clients against one sandbox over its socket, in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from contextlib import contextmanager

import pandas as pd
from tests.chaos import world
from tests.chaos.count import count
from tests.virtual import until as wait_for

from voxburst_sandbox import Fault
from voxops import plan_cancel, plan_create, targets, triage
from voxops._support import eventloop
from voxops.api.reasons import Reason
from voxops.client import AsyncClient, SteppedClock
from voxops.engine.engine import Engine
from voxops.engine.execution import Execution
from voxops.engine.rules import Wait
from voxops.engine.send import Sent
from voxops.frames.records import Columns
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger
from voxops.loading.upload import Uploads

DAY = RETENTION = 86_400.0
FAR = world.FAR.isoformat()
HELD = 60.0  # real seconds for which the server would hold a request up if nobody let it go


class RigClock(SteppedClock):
    """The sandbox's clock, shared by every kernel: it moves on when all of them wait, and takes no time.

    A test in which time must pass while a request is under way sets `speed`.
    """

    def __init__(self, rig):
        super().__init__(rig.sandbox.advance)
        self._rig = rig
        self._work.append(lambda: any(kernel.busy for kernel in rig.kernels))

    def attend(self, works):
        """A kernel that sleeps or was killed is not waited for, so `Kernel.busy` is asked instead."""

    def passed(self):
        return self._rig.sandbox.world.clock.now()

    async def sleep(self, seconds):
        await super().sleep(max(0.05, seconds))


class Rig:
    """A sandbox, and the kernels that work on it."""

    def __init__(self, sandbox, folder):
        self.sandbox = sandbox
        self.folder = folder
        self.kernels = []
        self.clock = RigClock(self)
        self.accounts = world.accounts(sandbox)

    def kernel(self, ledger="ledger", **options):
        """Start a kernel on a ledger; two kernels may share one."""
        kernel = Kernel(self, self.folder / f"{ledger}.sqlite", **options)
        self.kernels.append(kernel)
        return kernel

    def close(self):
        """End all kernels."""
        for kernel in self.kernels:
            kernel.close()

    # -- what is planned from ---------------------------------------------------------------------------------------

    def campaign(self, count, **options):
        """Rows to create."""
        return world.campaign(self.accounts, count, **options)

    def plan_rows(self, count, **options):
        """So many rows of no campaign, as a plan."""
        return plan_create(self.campaign(count), key="row_id", **options)

    # -- what happened ----------------------------------------------------------------------------------------------

    def count(self, wanted, **options):
        """Compare what was wanted with the server's record."""
        posts = self.sandbox.world.posts.values()
        owners = {target.id: target.account_id for post in posts for target in post.targets}
        return count(wanted, self.sandbox.effects(), owners, **options)

    def effects(self, kind):
        """How many effects of a kind there were."""
        return len(self.sandbox.effects(kind))

    def created(self):
        """How often each text was posted."""
        return Counter(effect["content"] for effect in self.sandbox.effects("post.create"))

    def each_once(self, rows):
        """Each of so many rows was created once."""
        assert list(self.created().values()) == [1] * rows

    def live(self):
        """How many live posts show each text."""
        return Counter(post.content for post in self.sandbox.world.posts.values() if post.status == "scheduled")

    def scheduled(self, content):
        """How many posts will go out with this text."""
        return self.live()[content]

    def acts(self):
        """Acting requests that the server received."""
        return self.sandbox.requests(acting=True)

    # -- what others do -----------------------------------------------------------------------------------------------

    def edit(self, post):
        """Somebody edits a post's tags: only its time stamp moves."""
        self.sandbox.advance(2)
        self.sandbox.touch(post)

    def sent_back(self, post):
        """Somebody submits a post, and an approver sends it back."""
        self.sandbox.advance(5)
        self.sandbox.person.submit(post)
        self.sandbox.person.reject(post)

    def planted(self, count=1, **fields):
        """Posts that wait to go out, created by hand yesterday."""
        account = next(iter(self.accounts.values()))
        body = {"status": "scheduled", "scheduledFor": FAR, "daysOld": 1, **fields}
        return [self.sandbox.plant_post(f"post {number}", [account], **body) for number in range(count)]

    def others_post(self):
        """Others post meanwhile, three full pages in 75 minutes: what is older is not read again."""
        account = next(iter(self.accounts.values()))
        for number in range(300):
            self.sandbox.plant_post(f"other {number}", [account], status="published", daysOld=number * 15 / 86_400)

    def by_a_tool(self, row):
        """Post a row with a tool that writes metadata of its own; the post's id."""
        body = {"status": "scheduled", "scheduledFor": row["scheduled_for"], "metadata": {"by": "a tool"}}
        return str(self.sandbox.plant_post(row["content"], [row["accounts"]], **body))

    # -- time, and what the server holds ------------------------------------------------------------------------------

    @contextmanager
    def at(self, seconds):
        """Let so many seconds pass for all kernels, then hold time while the block runs; it may bind, start and look."""

        async def arrive():
            await self.clock.sleep(seconds)
            self.clock._work.append(always)

        eventloop.run(arrive())
        try:
            yield
        finally:
            self.clock._work.remove(always)

    def let_go(self):
        """Let the server go on with what it holds, without any fault from now on, and return when it has carried that out."""
        self.sandbox.clear_faults()
        wait_for(lambda: all(entry["status"] for entry in self.acts() if "delay" in entry["fault"]))
        self.clock.speed = math.inf

    def laptops(self, later, *sheets):
        """Run each sheet on a laptop of its own, so many seconds after the one before; returns kernels, runs, and the work on them."""
        begun = []
        for number, sheet in enumerate(sheets):
            with self.at(later if number else 0):
                kernel = self.kernel(f"laptop {number + 1}")
                run = kernel.bind(planned(sheet))
                begun.append((kernel, run, kernel.start(run)))
        return begun


class Silent:
    """An observer that shows nothing."""

    def notice(self, snapshot):
        """Nothing is shown."""


class Made:
    """A run as `plan_cancel` takes it."""

    def __init__(self, run, frame):
        self.id, self._frame = run, frame

    def made(self):
        return self._frame


class Kernel:
    """One Python kernel: a client, an engine, a ledger that it may share with another."""

    def __init__(
        self,
        rig,
        path,
        *,
        retention=RETENTION,
        timeout=5.0,
        people=None,
        alone=False,
        told=True,  # whether lists are known to show the metadata of posts
    ):
        self.rig = rig
        self.client = AsyncClient(
            rig.sandbox.api_key,
            url=rig.sandbox.url,
            _clock=rig.clock,
            timeout=timeout,
            _rng=random.Random(7),
            transport=getattr(rig.sandbox, "transport", None),
        )
        self.ledger = Ledger(path)
        if told:
            self.ledger.seen.note_metadata(shown=True)
        self.engine = Engine(
            self.client,
            self.ledger,
            credential=self.client._secret.expose_to(self.ledger.fingerprint),
            retention=retention,
            people=people,
            alone=alone,
            rng=random.Random(7),
        )
        self.asleep = False  # set while its laptop sleeps: time passes for the others, whatever it has under way
        self._alive = True
        self._executions = []
        eventloop.run(self.client.identity())  # as connecting does; the client learns the server's time

    def close(self):
        """End the kernel in order."""
        if self._alive:
            self._alive = False
            self.engine.close()
            eventloop.run(self.client.aclose())
            self.ledger.close()

    @property
    def busy(self):
        """Whether something is under way that moves on without time passing."""
        if self.asleep or not self._alive:
            return False
        return self.client._pace.busy or self.engine._writer.unwritten > 0

    # -- loading ----------------------------------------------------------------------------------------------------

    def posts(self, *statuses):
        """Posts of these statuses as the analyst loads them."""
        lists = [("/v1/posts", {"status": status}) for status in statuses or ("all",)]
        return eventloop.run(loaded(self.client, "posts", lists))

    def triaged(self, *statuses):
        """Their targets, triaged."""
        return triage(targets(self.posts(*statuses or ("failed", "partial"))))

    def deliveries(self):
        """All deliveries of all webhooks."""
        return eventloop.run(loaded(self.client, "deliveries", logs_of(self.rig.sandbox.world.webhooks)))

    def upload(self, sheet):
        """Upload what a sheet names, as ``ws.upload`` does."""
        uploads = Uploads(self.client, self.ledger.media, self.engine.commit)
        return eventloop.run(uploads.sheet(sheet))

    # -- acting -----------------------------------------------------------------------------------------------------

    def bind(self, plan, **options):
        """Bind a plan; returns the run."""
        return eventloop.run(self.engine.bind(plan, None, **options))

    def go(self, run, **options):
        """Drive a run until nothing moves any more."""
        return eventloop.run(self.execution(run, **options).go())

    def execution(self, run, **options):
        """A run about to be executed; `go` works on it, `current` is its pass."""
        self._executions.append(Execution(self.engine, run, Silent(), **options))
        return self._executions[-1]

    def run(self, plan):
        """Bind a plan and drive it; returns what became of each row."""
        return self.results(self.done(plan))

    def start(self, run):
        """Drive a run beside the test."""
        return eventloop.submit(self.execution(run).go())

    def results(self, run):
        """What became of each row."""
        return audit.results(self.ledger, run)

    def done(self, plan, **options):
        """Bind a plan and drive it; returns the run."""
        run = self.bind(plan, **options)
        self.go(run)
        return run

    def attach(self, run):
        """Look at a run as ``ws.attach`` does: nothing is sent."""
        self.go(run, paused=True)

    def resume(self, run):
        """Resume a run as ``voxops resume`` does: attach to it, send what was never sent, and follow it to its end."""
        execution = self.execution(run, paused=True)
        execution.resume()
        eventloop.run(execution.go())

    def caught(self, run, path, when="before", method="POST"):
        """Drive a run until the server holds one of its requests, and return while it does; `Rig.let_go` ends that."""
        self.rig.sandbox.add_fault(Fault(action="delay", method=method, path=path, when=when, seconds=HELD))
        work = self.start(run)
        wait_for(lambda: self.rig.sandbox.faults()[-1]["struck"])
        return work

    def killed(self, run, path, method="POST"):
        """Be killed while the server holds a request of a run; the server completes it all the same."""
        self.kill(self.caught(run, path, method=method))
        self.rig.let_go()

    def send_first(self, run, *faults, calls=1):
        """Send the first calls of a run, upon which these faults act, and look no further, as a kernel that is left right after."""
        sender, loop, execution = self.engine.sender, self.engine.loop, self.execution(run)
        send, left = sender.send, [None] * calls

        async def first(*args):
            if not left:
                return Sent(decision=Wait(Reason("paused")))
            left.pop()
            sent = await send(*args)
            if not left:
                execution.close()
                loop._next_poll = math.inf
            return sent

        self.rig.sandbox.add_fault(*faults)
        sender.send = first
        eventloop.run(execution.go())
        sender.send, loop._next_poll = send, 0.0
        if faults:
            self.rig.sandbox.clear_faults()
        return run

    def send_once(self, run):
        """Send what a run may send at once and look no further, as a kernel that is left right after; no time passes."""
        clock, execution = self.rig.clock, self.execution(run)
        clock._work.append(always)
        before = audit.acts(self.ledger, run)
        work = eventloop.submit(execution.go())
        try:
            wait_for(lambda: work.done() or (audit.acts(self.ledger, run) > before and not execution.current.under_way))

            async def leave():
                execution.close()

            eventloop.run(leave())
            work.result(30)
        finally:
            clock._work.remove(always)

    # -- what is told of runs -----------------------------------------------------------------------------------------

    def made(self, run, **options):
        """What a run has created, as ``run.made`` reads it."""
        return eventloop.run(self.execution(run).made(**options))

    def copies(self, run):
        """What was created twice, as ``run.copies`` reads it."""
        return self.made(run, copies=True)

    def undo(self, run, **columns):
        """Plan as ``vx.plan_cancel(run)`` does, with columns added to its posts."""
        return plan_cancel(Made(run, self.made(run).assign(**columns)))

    def reconcile(self):
        """Reconcile as ``ws.reconcile`` does, and return its table."""
        eventloop.run(self.engine.reconcile())
        table = audit.history(self.ledger)
        return table[table["outcome"].isin(["pending", "unknown"]) | table["notice"].notna()]

    def withdrawn(self, run):
        """How many rows of a run are told as withdrawn or deleted since, in the column of that name."""
        return int(self.results(run).get("withdrawn", pd.Series()).notna().sum())

    def blocked(self, run):
        """The codes of why rows of a run are blocked."""
        return Counter(self.results(run).query("outcome == 'blocked'")["reason_code"])

    def kill(self, work=None):
        """End as SIGKILL does: nothing more is written or sent, whatever was about to be."""

        async def dead(_):
            raise asyncio.CancelledError

        async def end():
            engine = self.engine
            for part in (engine, engine._writer, engine.sender, engine.reads):
                for name in ("commit", "note", "_commit", "_note"):
                    if hasattr(part, name) and (part, name) != (engine.reads, "note"):
                        setattr(part, name, dead)
            for execution in self._executions:
                execution._finish = lambda _, one=execution: one.snapshot
            tasks = [*engine.loop._senders, *engine.loop._readers.values(), engine.loop._task]
            mine = [task for task in tasks if task is not None]
            while mine := [task for task in mine if not task.done()]:
                for task in mine:
                    task.cancel()
                await asyncio.sleep(0)
            for current in engine.loop._passes.values():
                current.done.set()
            await self.client.aclose()

        self._alive = False
        eventloop.run(end())
        self.engine._writer.close()
        self.ledger.close()
        if work is not None:
            work.cancel()


async def loaded(client, kind, lists):
    """The records of lists, each a path and its query, as an analyst loads them."""
    columns = Columns(kind)
    for path, query in lists:
        async for page in client.pages(path, {**query, "limit": 100}):
            columns.extend(page.records)
    return columns.frame(fetched_at=client.now().isoformat())


def logs_of(webhooks):
    """The lists of all deliveries of webhooks."""
    return [(f"/v1/webhooks/{hook}/deliveries", {}) for hook in webhooks]


def always():
    """What a clock that must not move attends."""
    return True


def outcomes(table):
    """How many rows had which outcome."""
    return table["outcome"].value_counts().to_dict()


def codes(table):
    """Why rows wait or are blocked."""
    return set(table["reason_code"].dropna())


def planned(sheet, **options):
    """The sheet as a plan of one campaign."""
    return plan_create(sheet, key="row_id", campaign="c", **options)
