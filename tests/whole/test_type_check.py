"""A type checker accepts a user's script: the documented calls are well typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.release

SCRIPT = """
import asyncio
import pandas as pd
import voxops as vx
from starlette.background import BackgroundTask

async def main() -> None:
    ws = vx.connect(sandbox=True, tz="Europe/Berlin", owner_field="owner")
    posts = ws.posts(status=["failed", "partial"], since="7D", limit=5)
    triaged: pd.DataFrame = vx.triage(vx.targets(posts))
    plan = vx.plan_retry(triaged)
    run: vx.Run = ws.run(plan, reason="ticket 4711").wait()
    await ws.aio.run(plan.canary(3))
    other: vx.Workspace = await vx.aconnect(sandbox=True, campaign_field="campaign")
    await other.aio.close()
    async with await vx.aconnect(sandbox=True) as third, asyncio.TaskGroup() as group:
        loading: asyncio.Task[pd.DataFrame] = asyncio.create_task(third.aio.posts(limit=5))
        begun: asyncio.Task[vx.Run] = group.create_task(third.aio.run(plan))
        again_failed = group.create_task(run.aio.failed())
        again: vx.Run = await asyncio.wait_for(run, 5)
        results: pd.DataFrame = await again.aio.results("failed")
        BackgroundTask(third.aio.run, plan, reason="later")
        async for event in run.aio.events():
            event.item.upper(), event.at.isoformat()
    for event in run.events():
        event.now.upper()
    vx.view(triaged), vx.view(plan), vx.view(run, rows=5)
    vx.to_excel("fix.xlsx", rows=triaged, plan=plan, results=run)
    vx.report(triaged, run=run).tickets()["maria.k"].upper()
    ws.panel(triaged), ws.panel(ws.deliveries(since="7D")), ws.panel()
    chosen = ws.accounts()["account_id"]
    ws.posts(account=chosen), ws.deliveries(webhook=ws.webhooks()["webhook_id"], since="today"), ws.accounts(chosen, check=True)
    vx.report(ws.deliveries(), run=run).to_html("deliveries.html")
    ws.archive("history").deliveries(since="90D", columns=["url"]), ws.archive("history").sql("SELECT 1 AS n")
    async with vx.AsyncClient("key") as client:
        ws.watch(await client.posts.retry("post_1"))
        async for post in client.posts.list(status="all"):
            post["id"].upper()
        async for page in client.posts.list(status="all").pages():
            page.records[0]["platforms"]
        answer = await client.posts.bulk(posts=[])
        items: pd.DataFrame = pd.DataFrame(answer.items)
        print(items, answer.items[0]["status"])
        ending = await client.wait(await client.posts.publish("post_1"), timeout="5min")
        print(ending.status.upper(), (await client.upload("photo.jpg")).upper())
        print((await client.request("GET", "/v1/posts", params={"limit": 5}, timeout=5)).status + 1)
"""


WRONG = """
import voxops as vx
ws = vx.connect(sandbox=True)
{call}
"""
RIGHT_CALLS = (
    'ws.posts(status="all")', 'ws.posts(["failed", "partial"])', 'ws.archive("h").posts(status="deleted")', 'vx.triage(ws.posts(), rules={"E_1": "retry"})',
    'vx.Rule(("E_1",), "fix content", "Shorten it.")', 'ws.watch(["p"]).results(("failed", "blocked"))', 'ws.watch(["p"]).snapshot.count("failed")',
)  # fmt: skip
WRONG_CALLS = (
    'ws.posts(status="faild")', 'ws.posts(["failed", "partly"])', 'ws.posts(status="deleted")', 'ws.archive("h").posts(status="removed")',
    'vx.triage(ws.posts(), rules={"E_1": "again"})', 'vx.Rule(("E_1",), "fix text", "Shorten it.")', 'ws.watch(["p"]).results("done")',
    'ws.watch(["p"]).results(["failed", "held"])', 'ws.watch(["p"]).snapshot.count("sent")',
)  # fmt: skip


def checked(folder: Path, script: str) -> list[str]:
    """The lines of mypy about a user's script, without its summary."""
    pytest.importorskip("mypy")
    (folder / "script.py").write_text(script)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "script.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()[:-1]


def test_a_script_of_a_user_is_well_typed(tmp_path):
    assert checked(tmp_path, SCRIPT + "\n".join(["ws = vx.connect(sandbox=True)", *RIGHT_CALLS])) == []


def test_a_wrong_status_outcome_or_verdict_is_an_error_of_its_line(tmp_path):
    first = WRONG.partition("{call}")[0].count("\n") + 1
    errors = checked(tmp_path, WRONG.format(call="\n".join(WRONG_CALLS)))
    lines = {int(line.split(":")[1]) for line in errors if " error: " in line}
    assert lines == {*range(first, first + len(WRONG_CALLS))}, errors
