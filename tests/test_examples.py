"""Every public docstring has an example that runs, in the order of the names; and it names the columns of what it returns."""

from __future__ import annotations

import doctest
import inspect
import re

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox, Switches

FUNCTIONS = {f"vx.{name}": getattr(vx, name) for name in vx.__all__ if inspect.isfunction(getattr(vx, name))}
METHODS = {
    f"{held}.{name}": method
    for held, kind in (("ws", vx.Workspace), ("run", vx.Run), ("plan", vx.Plan))
    for name, method in vars(kind).items()
    if not name.startswith("_") and inspect.isfunction(method)
}
# What is called by voxops itself, or ends a workspace that the other examples use.
SPARED = {
    "ws.identify",
    "ws.close",
    "run.begin",
    "run.end",
    "run.left",
    "run.notice",
    "run.observe",
    "run.replan",
    "plan.chunks",
    "plan.stored_table",
}
EXAMPLES = {name: thing for name, thing in (FUNCTIONS | METHODS).items() if name not in SPARED}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the examples take for granted: a workspace, its failures, its deliveries, a sheet, and two runs."""
    switches = Switches(recovery_rate=1.0)
    with (
        Sandbox(seed=7, speed=0, rate_limit=None, deliveries=600, switches=switches) as sandbox,
        vx.connect(sandbox=sandbox) as ws,
    ):
        posts = ws.posts(status=["failed", "partial"])
        log = ws.deliveries(
            since="30D"
        )  # before the runs: reading on after them moves the clock, and more is delivered
        triaged = vx.triage(vx.targets(posts))
        owner = next(a.id for a in sandbox.world.accounts.values() if a.status == "active" and a.platform == "twitter")
        sheet = pd.DataFrame({"row_id": ["a", "b"], "content": ["Hello", "Bye"]})
        sheet = sheet.assign(accounts=owner, scheduled_for="2027-03-02T10:00:00Z")
        run = ws.run(vx.plan_retry(triaged[triaged["verdict"] == "retry"].head(4))).wait(60)
        created = ws.run(vx.plan_create(sheet, key="row_id")).wait(60)
        yield {
            "vx": vx, "pd": pd, "ws": ws, "posts": posts, "triaged": triaged, "log": log, "sheet": sheet, "run": run,
            "created": created, "folder": tmp_path_factory.mktemp("examples"),
        }  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_docstring_runs(name, names):
    text = inspect.getdoc(EXAMPLES[name]) or ""
    example = doctest.DocTestParser().get_doctest(text, dict(names), name, None, None)
    assert example.examples, f"{name} has no example"
    said: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    ran = doctest.DocTestRunner(optionflags=flags, verbose=False).run(example, out=said.append)
    assert ran.failed == 0, "".join(said)


def columns_named(method: object) -> set[str]:
    """The words in double backticks of the section Returns that are written as names of columns."""
    said = (method.__doc__ or "").partition("Returns\n")[2].partition("Examples\n")[0].partition("Raises\n")[0]
    spans = re.findall(r"``([a-z_0-9\s]+)``", said)
    return {word for span in spans for word in span.split()}


def test_every_column_of_a_frame_is_documented(names):
    ws, run, created = (names[name] for name in ("ws", "run", "created"))
    posts, planned = columns_named(vx.Workspace.posts), set(created.plan.frame.columns)
    for method, frame, more in (
        (vx.Workspace.runs, ws.runs().reset_index(), set()), (vx.Workspace.ledger, ws.ledger(), set()), (vx.Workspace.campaigns, ws.campaigns(), set()),
        (vx.Workspace.posts, ws.posts(status="published", limit=3), set()), (vx.Workspace.deliveries, names["log"], set()),
        (vx.Workspace.accounts, ws.accounts(check=True), set()), (vx.Workspace.webhooks, ws.webhooks(), set()), (vx.Workspace.upload, ws.upload([]), set()),
        (vx.Workspace.check, ws.check(names["sheet"]), set()), (vx.Run.results, created.results(), planned),
        (vx.Run.failed, run.failed(), set(run.plan.frame.columns)), (vx.Run.copies, created.copies(), posts), (vx.Run.made, created.made(), posts),
    ):  # fmt: skip
        assert set(frame.columns) - columns_named(method) - more == set(), method.__name__
