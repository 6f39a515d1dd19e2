"""One analyst's kernel in a process of its own: plans from saved frames, and runs.

It may be killed at any instant and is started again then: either it runs everything all over, or it takes its runs up again.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import warnings
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pandas as pd
from tests.chaos.count import thing_of
from tests.chaos.rig import Silent
from tests.chaos.world import FAR

from voxburst_sandbox import API_KEY
from voxops import Plan, plan_create, plan_redeliver, plan_retry, plan_update
from voxops.acts import act_named
from voxops.api.limits import STUCK_AFTER
from voxops.client import AsyncClient, SystemClock
from voxops.engine import execution
from voxops.engine.engine import Engine
from voxops.engine.execution import Execution
from voxops.errors import TransportError
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger

PASSES = 40  # drives over all runs, at the most
PATIENCE = 4  # of these without any change, until what hangs is tried anew
FRAMES = ("triaged", "deliveries", "campaign", "scheduled")


def plans(folder, name="a"):
    """The plans in the order in which a sender runs them; made of the frames that were saved before anything was sent."""
    failed, deliveries, campaign, scheduled = (pd.read_pickle(folder / f"{each}.pickle") for each in FRAMES)
    made = [
        plan_retry(failed),
        plan_redeliver(deliveries),
        plan_create(campaign, key="row_id", campaign="chaos"),
        plan_update(scheduled, to=FAR + timedelta(days=3)),
    ]
    return made if name == "a" else made[::-1]


async def work(wanted):
    """Run the plans, however often that takes; or read what became of them, as ``ws.reconcile`` does."""
    clock = SystemClock(wanted["speed"])
    client = AsyncClient(API_KEY, url=wanted["url"], _clock=clock, timeout=wanted["timeout"], concurrency=6)
    await _again(client.identity)
    ledger = Ledger(ledger_path(wanted["folder"], wanted["name"], wanted["ledgers"]))
    works = Engine(client, ledger, credential=client._secret.expose_to(ledger.fingerprint), retention=86_400.0)
    if wanted["reads"]:
        await _again(works.reconcile)
    else:
        await _send(wanted, works, clock)
    works.close()
    await client.aclose()
    ledger.close()


async def _send(wanted, works, clock):
    """Bind the plans, or take up the runs, and drive these until nothing is left or the time is over."""
    folder, name, ledger = wanted["folder"], wanted["name"], works.ledger
    noted = _noted(folder, name)

    async def bind():
        runs = [await _again(partial(works.bind, plan, name)) for plan in plans(folder, name)]
        noted.write_text(json.dumps(runs), "utf-8")
        return runs

    def left(*outcomes):
        counts = [audit.tally(ledger, run).counts for run in runs]
        return [sum(found for (_, outcome), found in each.items() if outcome in outcomes) for each in counts]

    runs = await bind() if wanted["again"] or not noted.exists() else json.loads(noted.read_text("utf-8"))
    end, before, still = time.monotonic() + wanted["seconds"], -1, 0
    for _ in range(PASSES):
        passes = [Execution(works, run, Silent()) for run in runs]
        await asyncio.gather(*(each.go() for each in passes))
        found = sum(left("pending", "unknown"))
        still = still + 1 if found == before else 0
        if not found or time.monotonic() > end:
            break
        before = found
        await clock.sleep(20)
        hung = [one for one, unknown in zip(passes, left("unknown"), strict=True) if unknown]
        if still < PATIENCE or not hung:
            continue
        # Nothing shows of them: an analyst sends them once more (rule 13).
        await clock.sleep(STUCK_AFTER.total_seconds())
        noted.unlink()  # whoever is killed meanwhile plans all over
        for plan in filter(None, map(_anew, hung)):
            await _again(partial(works.bind, plan, name))
        runs, still = await bind(), 0


def _anew(hung):
    """A plan of the next attempt at what nobody knows of; None where there is no such thing."""
    outcomes, plan = hung.results()["outcome"], hung.plan
    stuck = hung.failed(stuck=True)
    stuck = stuck[stuck.index.isin(outcomes.index[outcomes == "unknown"])]
    if plan is None or stuck.empty:
        return None
    anew: Plan = act_named(plan.action).replan(stuck, key=plan.key, campaign=plan.campaign)
    return anew


async def _again(cell):
    """Run a cell, and again where it could not reach the API, as an analyst does; a busy machine answers late for a while."""
    for _ in range(PASSES):
        with suppress(TransportError):
            return await cell()
    return await cell()


def states(folder, name, ledgers):
    """What a sender's ledger says of the rows of its runs: outcome, thing and why; and which were ``reported`` as done twice."""
    found = []
    if not _noted(folder, name).exists():  # it ended before that, which the harness reports
        return found
    ledger = Ledger(ledger_path(folder, name, ledgers))
    try:
        for plan, run in zip(plans(folder, name), json.loads(_noted(folder, name).read_text("utf-8")), strict=True):
            table = audit.results(ledger, run)
            rows = sorted(plan.items, key=lambda item: item.row)
            shown = zip(rows, table["outcome"], table["waiting_for"], table["notice"], strict=True)
            for item, outcome, why, notice in shown:
                thing = thing_of(plan.action, item)
                found.append((outcome, thing, str(why)))
                if not pd.isna(notice):
                    found.append(("reported", thing, str(notice)))
    finally:
        ledger.close()
    return found


def ledger_path(folder, name, ledgers):
    """A sender's ledger."""
    return folder / (f"ledger-{name}.sqlite" if ledgers == 2 else "ledger.sqlite")


def _noted(folder, name):
    """Where a sender notes its runs."""
    return folder / f"{name}.runs"


def errors(folder, name):
    """What a sender complained of."""
    return folder / f"{name}.errors"


def main(wanted):
    """Run."""
    with errors(wanted["folder"], wanted["name"]).open("w") as file:
        os.dup2(file.fileno(), 2)
    warnings.simplefilter("ignore")
    execution.REFRESH = 2.0  # nobody watches
    asyncio.run(work(wanted))
