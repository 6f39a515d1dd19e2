"""The main job in a terminal: load, triage, plan, run, verify, report, against the embedded sandbox."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from voxops._support import eventloop, safe
from voxops.acts.retry import plan_retry
from voxops.analysis.causes import causes
from voxops.analysis.triage import triage
from voxops.client import AsyncClient, SteppedClock
from voxops.connection import SANDBOX_SPEED, open_workspace
from voxops.loading.loader import Settings
from voxops.model import OUTCOMES
from voxops.views.report import report
from voxops.workspace import Resources

if TYPE_CHECKING:
    import pandas as pd

    from voxburst_sandbox import Sandbox
    from voxops.run import Run
    from voxops.workspace import Workspace


# Names the demo's run in a ledger that is kept, so that a second demo takes it up and sends nothing.
REASON = "voxops demo"


def demo(*, state: Path | None = None, ledger: Path | None = None, out: Path = Path("build/demo")) -> int:
    """Do the main job and print what it found; the last line is for machines.

    Parameters
    ----------
    state, ledger : Path, optional
        Files of the sandbox's state and the ledger. With both, a second demo finds the job done and sends nothing.
    out : Path
        Folder of the report.

    Returns
    -------
    int
        0 if every row has an outcome and there is no duplicate, else 1.
    """
    from voxburst_sandbox import Sandbox

    with Sandbox(state=state) as sandbox, _workspace(sandbox, ledger) as ws:
        _say(f"voxops: {safe.plain(ws.name or ws.id)}, the API on this machine at {sandbox.url}")
        posts = ws.posts(status=["failed", "partial"])
        deliveries = len(ws.deliveries(since="7D"))
        _say(
            f"  {len(posts)} posts that failed, in whole or in part, and {deliveries} webhook deliveries of the last 7 days"
        )
        triaged = triage(posts)
        table = causes(triaged)
        _say(f"  {report(triaged).headline}")
        _say(f"  {len(table)} causes, the most frequent first:")
        for row in table.head(8).to_dict("records"):
            _say(f"    {row['count']:>3}  {row['verdict']:<18} {safe.plain(row['cause'], 70)}")
        run = _run(ws, triaged)
        results = run.results()
        path = report(triaged, run=run).to_html(out / "triage.html")
        counts = {outcome: int((results["outcome"] == outcome).sum()) for outcome in OUTCOMES}
        twice = len(sandbox.duplicates())
        failed = int((triaged["status"] == "failed").sum())
        retried = int((results["tries"] > 0).sum())
        said = " ".join(f"{name}={count}" for name, count in counts.items())
        _say(
            f"demo: posts={len(posts)} failed_targets={failed} eligible={len(results)} retried={retried} {said} duplicates={twice} "
            f"report={shlex.quote(str(path))}"
        )
        return 0 if retried == len(results) == sum(counts.values()) and not twice else 1


def _workspace(sandbox: Sandbox, ledger: Path | None) -> Workspace:
    """Return a workspace in the sandbox, in which a minute of waiting takes three seconds; its ledger stays only if it has a path."""
    client = AsyncClient(sandbox.api_key, url=sandbox.url, _clock=SteppedClock(sandbox.advance, speed=SANDBOX_SPEED))
    resources = Resources()
    path = ledger or resources.temporary_ledger()
    settings = Settings("Europe/Berlin", {"owner": "metadata.owner"})  # where the sandbox's coffee brand lives
    return eventloop.run(open_workspace(client, ledger=path, resources=resources, settings=settings))


def _run(ws: Workspace, triaged: pd.DataFrame) -> Run:
    """Run the plan, or continue the run of an earlier demo on the same ledger, and print the counts whenever they change."""
    earlier = ws.runs()
    earlier = earlier[earlier["reason"] == REASON]
    if len(earlier):
        _say("  this ledger already has the demo's run: resuming it, sending only rows that were never sent")
        run = ws.attach(str(earlier.index[0]))
        run.wait()
        run.resume()
    else:
        plan = plan_retry(triaged)
        _say(f"  {plan!r}".replace("\n", "\n  "))
        run = ws.run(plan, reason=REASON)
    running, before = True, ""
    while running:
        running = run.wait(1).running
        counts = "".join(f"  {outcome} {run.snapshot.count(outcome):>3}" for outcome in OUTCOMES)
        if counts != before:
            _say(f"  {counts}")
        before = counts
    return run


def _say(text: str) -> None:
    """Print lines immediately, also into a pipe."""
    print(safe.printable(text), flush=True)  # noqa: T201
