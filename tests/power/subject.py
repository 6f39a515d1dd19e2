"""The run that is traced: acts with faults on the way, outcomes said, an archive brought up to date; all through the public surface.

What it has said stands in the file ``said``, a JSON line each, so that the trace shows when.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.chaos import world

import voxops as vx
from voxburst_sandbox import Fault, Sandbox, Switches

FAULTS = (
    Fault("drop", "POST", "/v1/posts/bulk", nth=1, when="after"), Fault("status", "POST", "/v1/posts/bulk", nth=2, when="after"),
    Fault("drop", "POST", "/v1/posts/*/retry", nth=2, when="after"), Fault("status", "POST", "/v1/posts/*/retry", nth=3, when="before"),
    Fault("status", "POST", "/v1/posts/*/retry", nth=5, status=422, code="VALIDATION_ERROR"),
    Fault("garbage", "POST", "/v1/webhooks/**", nth=1),
)  # fmt: skip
SPILLING = 6_000  # rows of a sort that does not fit into SQLite's cache


def main(arguments: str) -> None:
    """Run; `arguments` are JSON: folder, rows, posts, pragmas (other settings of SQLite)."""
    wanted: dict[str, Any] = json.loads(arguments)
    folder = Path(wanted["folder"])
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(**what: Any) -> None:
        os.write(said, json.dumps(what).encode() + b"\n")

    switches = Switches().changed({"silent_webhooks": True, "recovery_rate": 1.0})
    with Sandbox(seed=3, speed=0, empty=True, rate_limit=None, switches=switches) as sandbox:
        world.plant_posts(sandbox, wanted["posts"])
        world.plant_deliveries(sandbox, wanted["posts"] // 2)
        sandbox.receiver(status=200)
        for fault in FAULTS:
            sandbox.add_fault(fault)
        with vx.connect(sandbox=sandbox, ledger=folder / "data" / "ledgers" / "ledger.sqlite") as ws:
            ledger = ws._session.usable().engine.ledger
            for setting in wanted["pragmas"]:
                ledger._db.execute(f"PRAGMA {setting}")
            frame = world.campaign(world.accounts(sandbox), wanted["rows"])
            half = len(frame) // 2
            plans = [
                vx.plan_create(frame[:half], key="row_id", campaign="power"),
                vx.plan_create(frame[half:], key="row_id", campaign="power", one_by_one=True),
                vx.plan_retry(vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))),
                vx.plan_redeliver(ws.deliveries(success=False)),
            ]
            for plan in plans:
                run = ws.run(plan)
                run.wait()
                results = run.results()
                say(run=run.id, outcomes=[str(outcome) for outcome in results["outcome"]])
            ledger.query(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) "
                "SELECT x FROM (SELECT x, 'row 1 of the campaign' || hex(randomblob(400)) AS y FROM n ORDER BY y)",
                SPILLING,
            )
            archive = ws.archive(folder / "history" / "archive")
            for _ in range(2):
                done = archive.sync()
                say(synced=len(archive.posts()), files=done.files)
                sandbox.advance(86_400)
                world.plant_posts(sandbox, 3, name=f"late{done.files}")


if __name__ == "__main__":
    main(sys.argv[1])
