"""The main job in a terminal: load, triage, plan, run, verify, report, against the embedded sandbox."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import rich.markup
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from voxops._support import eventloop, safe
from voxops._support.safe import Terminal
from voxops.acts.retry import plan_retry
from voxops.analysis.causes import causes
from voxops.analysis.triage import triage
from voxops.client import AsyncClient, SteppedClock
from voxops.connection import SANDBOX_SPEED, open_workspace
from voxops.loading.loader import Settings
from voxops.model import OUTCOMES, Snapshot
from voxops.views.report import report
from voxops.workspace import Resources

if TYPE_CHECKING:
    import pandas as pd

    from voxburst_sandbox import Sandbox
    from voxops.run import Run
    from voxops.workspace import Workspace


# Names the demo's run in a ledger that is kept, so that a second demo takes it up and sends nothing.
REASON = "voxops demo"


class _Bars:
    """A bar per outcome, updated by the run's snapshots."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._tasks = {outcome: progress.add_task(outcome, total=total) for outcome in OUTCOMES}

    def notice(self, snapshot: Snapshot) -> None:
        """Update the bars."""
        for outcome, task in self._tasks.items():
            self._progress.update(task, completed=snapshot.count(outcome))


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

    console = Terminal(highlight=False, soft_wrap=True)
    with Sandbox(state=state) as sandbox, _workspace(sandbox, ledger) as ws:
        console.print(
            f"[b]voxops[/b]: {rich.markup.escape(safe.plain(ws.name or ws.id))}, the API on this machine at {sandbox.url}"
        )
        posts = ws.posts(status=["failed", "partial"])
        console.print(
            f"  {len(posts)} posts that failed, in whole or in part, and {len(ws.deliveries(since='7D'))} webhook deliveries of the last 7 days"
        )
        triaged = triage(posts)
        table = causes(triaged)
        console.print(f"  {report(triaged).headline}", markup=False)
        console.print(f"  {len(table)} causes, the most frequent first:")
        for row in table.head(8).to_dict("records"):
            console.print(f"    {row['count']:>3}  {row['verdict']:<18} {safe.plain(row['cause'], 70)}", markup=False)
        run = _run(console, ws, triaged)
        results = run.results()
        path = report(triaged, run=run).to_html(out / "triage.html")
        counts = {outcome: int((results["outcome"] == outcome).sum()) for outcome in OUTCOMES}
        twice = len(sandbox.duplicates())
        failed = int((triaged["status"] == "failed").sum())
        retried = int((results["tries"] > 0).sum())
        said = " ".join(f"{name}={count}" for name, count in counts.items())
        print(  # noqa: T201
            f"demo: posts={len(posts)} failed_targets={failed} eligible={len(results)} retried={retried} {said} duplicates={twice} "
            f"report={shlex.quote(str(path))}"
        )
        return 0 if retried == len(results) == sum(counts.values()) and not twice else 1


def _workspace(sandbox: Sandbox, ledger: Path | None) -> Workspace:
    """Return a workspace in the sandbox, in which a minute of waiting takes three seconds; its ledger stays only if it has a path."""
    client = AsyncClient(sandbox.api_key, url=sandbox.url, clock=SteppedClock(sandbox.advance, speed=SANDBOX_SPEED))
    resources = Resources()
    path = ledger or resources.temporary_ledger()
    settings = Settings("Europe/Berlin", {"owner": "metadata.owner"})  # where the sandbox's coffee brand lives
    return eventloop.run(open_workspace(client, ledger=path, resources=resources, settings=settings))


def _run(console: Terminal, ws: Workspace, triaged: pd.DataFrame) -> Run:
    """Run the plan, or take up the run of an earlier demo on the same ledger."""
    earlier = ws.runs()
    earlier = earlier[earlier["reason"] == REASON]
    if len(earlier):
        console.print("  this ledger already has the demo's run: resuming it, sending only rows that were never sent")
        run = ws.attach(str(earlier.index[0]))
        run.wait()
        run.resume()
    else:
        plan = plan_retry(triaged)
        console.print(f"  {plan!r}".replace("\n", "\n  "), markup=False)
        run = ws.run(plan, reason=REASON)
    columns = (TextColumn("  {task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        run.observe(_Bars(progress, run.snapshot.total))
        run.wait()
    return run
