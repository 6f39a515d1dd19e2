"""The columns that docstrings of a workspace and a run name are those of their frames."""

from __future__ import annotations

import re

import pandas as pd

import voxops as vx

SHEET = {
    "row_id": ["a"],
    "content": ["x"],
    "accounts": ["twitter:@aldercoffee"],
    "scheduled_for": ["2026-03-20T10:00:00Z"],
}
# Words beside the column names, and columns of settings that this workspace lacks.
NO_COLUMNS = {"attrs", "owner", "archive", "row_id"}


def named(method: object) -> set[str]:
    """The words in double backticks of the section Returns that are written as names of columns."""
    said = (method.__doc__ or "").partition("Returns\n")[2].partition("Examples\n")[0].partition("Raises\n")[0]
    spans = re.findall(r"``([a-z_0-9\s]+)``", said)
    return {word for span in spans for word in span.split()}


def test_every_column_of_a_frame_is_documented(ws: vx.Workspace) -> None:
    made = ws.run(vx.plan_create(pd.DataFrame(SHEET), key="row_id")).wait(60)
    plan = vx.plan_retry(vx.triage(vx.targets(ws.posts(status="failed"))))
    run = ws.run(plan).wait(60)
    published = ws.posts(status="published", limit=3)
    posts = named(vx.Workspace.posts)
    for method, frame, more in (
        (vx.Workspace.runs, ws.runs(), set()),
        (vx.Workspace.ledger, ws.ledger(), set()),
        (vx.Workspace.posts, published, set()),
        (vx.Workspace.deliveries, ws.deliveries(), set()),
        (vx.Workspace.accounts, ws.accounts(check=True), set()),
        (vx.Workspace.at_risk, ws.at_risk(), set()),
        (vx.Workspace.webhooks, ws.webhooks(), set()),
        (vx.Workspace.analytics, ws.analytics(published), set()),
        (vx.Workspace.check, ws.check(pd.DataFrame(SHEET)), set()),
        (vx.Run.results, run.results(), set(plan.frame.columns)),
        (vx.Run.results, made.results(), set(vx.plan_create(pd.DataFrame(SHEET), key="row_id").frame.columns)),
        (vx.Run.failed, run.failed(), set(plan.frame.columns)),
        (vx.Run.copies, made.copies(), posts),
        (vx.Run.made, made.made(), posts),
        (vx.Run.verify, run.verify(), set()),
    ):
        missing = set(frame.columns) - named(method) - more
        assert not missing, f"{method.__name__} does not name {sorted(missing)}"


def test_every_documented_column_of_the_trail_and_the_runs_is_there(ws: vx.Workspace) -> None:
    run = ws.run(vx.plan_create(pd.DataFrame(SHEET), key="row_id")).wait(60)
    assert named(vx.Workspace.ledger) == set(ws.ledger().columns)
    assert named(vx.Workspace.runs) == {*ws.runs().columns, "run"}
    assert named(vx.Run.results) - {"campaign"} <= set(run.results().columns)
