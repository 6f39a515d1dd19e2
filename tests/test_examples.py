"""Every public docstring has an example that runs, in the order of the names; and it names the columns of what it returns."""

from __future__ import annotations

import doctest
import inspect
import re

import pandas as pd
import pytest
from tests.test_public_api import PLAN, RUN, WORKSPACE

import voxops as vx
from voxburst_sandbox import Sandbox, Switches

FUNCTIONS = {f"vx.{name}": getattr(vx, name) for name in vx.__all__ if inspect.isfunction(getattr(vx, name))}
METHODS = {
    f"{held}.{name}": getattr(kind, name)
    for held, kind, promised in (("ws", vx.Workspace, WORKSPACE), ("run", vx.Run, RUN), ("plan", vx.Plan, PLAN))
    for name in promised.split()
    if inspect.isfunction(getattr(kind, name, None)) and name != "close"  # other examples use the workspace
}
EXAMPLES = FUNCTIONS | METHODS


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the examples take for granted: a workspace, its failures, its deliveries, a sheet, and two runs."""
    switches = Switches(recovery_rate=1.0)
    with (
        Sandbox(seed=7, speed=0, rate_limit=None, deliveries=600, switches=switches) as sandbox,
        vx.connect(sandbox=sandbox) as ws,
    ):
        posts = ws.posts(status=["failed", "partial"])
        # Before the runs: reading on after them moves the clock, and more is delivered.
        log = ws.deliveries(since="30D")
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
    for name, frame in {
        "runs": ws.runs().reset_index(), "ledger": ws.ledger(), "campaigns": ws.campaigns(), "posts": ws.posts(limit=3),
        "deliveries": names["log"], "accounts": ws.accounts(check=True), "webhooks": ws.webhooks(), "upload": ws.upload([]),
        "check": ws.check(names["sheet"]),
    }.items():  # fmt: skip
        assert set(frame.columns) - columns_named(getattr(vx.Workspace, name)) == set(), name
    posts = columns_named(vx.Workspace.posts)
    for name, frame, more in (
        ("results", created.results(), {*created.plan.frame.columns}), ("failed", run.failed(), {*run.plan.frame.columns}),
        ("copies", created.copies(), posts), ("made", created.made(), posts),
    ):  # fmt: skip
        assert set(frame.columns) - columns_named(getattr(vx.Run, name)) - more == set(), name
