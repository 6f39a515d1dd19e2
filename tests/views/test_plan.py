"""What a plan shows of its rows: what each is about, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_fix, plan_retry
from voxops.acts.update import plan_update
from voxops.views.plan import plan_parts
from voxops.views.table import Cell


@pytest.fixture
def ws(sandbox: Sandbox) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as workspace:
        yield workspace


def table(plan: Plan) -> tuple[list[str], list[dict[str, Cell]]]:
    """The heads of the first table that a plan shows, and its rows by head."""
    shown = plan_parts(plan, 12, "Europe/Berlin")[0].table
    heads = [head.title for head in shown.columns]
    return heads, [dict(zip(heads, row, strict=True)) for row in shown.rows]


def test_a_plan_to_change_shows_each_field_before_and_after(ws: vx.Workspace) -> None:
    posts = ws.posts(status="scheduled").head(3)
    new = [f"{posts['content'].iloc[0]} #spring", "<b>All new</b>", None]
    heads, rows = table(plan_update(posts.assign(new_content=new)))
    assert heads == ["post", "change", "from", "to"]
    assert [row["to"].text for row in rows] == new[:2]
    assert [row["from"].text for row in rows] == posts["content"].head(2).tolist()
    tagged = table(plan_update(posts.assign(new_content=new, new_tags="a")))[1]
    assert [row["change"].text for row in tagged] == ["text", "tags", "text", "tags", "tags"]
    moved = plan_update(posts.head(1), by="2h", change="later")
    (row,) = table(moved)[1]
    before = posts["scheduled_for"].iloc[0].tz_convert("Europe/Berlin")
    assert (row["from"].text, row["to"].text) == tuple(
        f"{at:%Y-%m-%d %H:%M}" for at in (before, before + pd.Timedelta("2h"))
    )
    assert "Times in Europe/Berlin" in repr(moved)


def test_a_plan_to_fix_shows_the_new_text_and_one_to_retry_does_not(ws: vx.Workspace) -> None:
    triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))
    rows = triaged[triaged["verdict"] == "fix content"].head(1).assign(new_content="Shorter.")
    heads, fixed = table(plan_fix(rows.assign(new_media_url="https://cdn.example.com/a.png?sig=secret")))
    assert heads == ["post", "platform", "change", "from", "to"]
    assert fixed[0]["to"].text == "Shorter."
    assert "secret" not in str(fixed)
    again = triaged[triaged["verdict"] == "retry"].head(2).assign(new_content="not sent")
    assert "to" not in table(plan_retry(again))[0]


def test_a_plan_to_redeliver_shows_where_when_and_what_was_answered(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="7D").head(3)
    long = f"https://user:pw@hooks.example.com/{'folder/' * 9}end?token=secret"
    log["url"] = pd.array([long, "https://a.example/one", "https://a.example/two"], dtype=log["url"].dtype)
    log["status_code"] = pd.array([503, None, 200], dtype="Int64")
    heads, rows = table(plan_redeliver(log, force=True))
    assert [row["HTTP"].text for row in rows] == ["503", "–", "200"]
    assert [row["address"].text for row in rows[1:]] == ["a.example/one", "a.example/two"]
    assert re.fullmatch(r"hooks\.example\.com….*\?…", rows[0]["address"].text)
    assert "secret" not in str(rows) and "pw" not in str(rows)
    assert {"event", "delivery"} <= set(heads)
