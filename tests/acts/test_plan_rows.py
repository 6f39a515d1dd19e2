"""What a plan shows of its rows: what each is about, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd
import pytest
from voxops._support.blocks import Block

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.update import plan_update


@pytest.fixture
def ws(sandbox: Sandbox) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as workspace:
        yield workspace


def table(plan: Plan) -> tuple[list[str], list[dict[str, Block]]]:
    """The heads of the first table that a plan shows, and its rows by head."""
    shown = next(block for block in plan._blocks() if block["kind"] == "table")
    return shown["heads"], [dict(zip(shown["heads"], row, strict=True)) for row in shown["rows"]]


def test_a_plan_to_change_shows_before_and_after_where_they_part(ws: vx.Workspace) -> None:
    posts = ws.posts(status="scheduled").head(3)
    new = [f"{posts['content'].iloc[0]} #spring", "<b>All new</b>", None]
    heads, rows = table(plan_update(posts.assign(new_content=new)))
    assert heads == [
        "post_id",
        "accounts",
        "scheduled_for (Europe/Berlin)",
        "content",
        "new content",
        "reason",
        "request",
        "key",
    ]
    long = f"{'word ' * 50}end"
    _, (longer,) = table(plan_update(posts.head(1).assign(content=long, new_content=f"{long} #spring")))
    assert longer["new content"]["text"] == f"{longer['content']['text']} #spring"
    assert longer["content"]["text"].startswith("… word")
    assert longer["new content"]["full"].endswith("end #spring")
    assert rows[1]["new content"]["text"] == "<b>All new</b>"
    tagged = table(plan_update(posts.assign(new_content=new, new_tags="a")))[1]
    assert tagged[2]["new content"]["text"] == "–"
    assert "<b>All" not in plan_update(posts.assign(new_content=new))._repr_html_()


def test_a_plan_to_redeliver_shows_where_when_and_what_was_answered(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="7D").head(3)
    long = f"https://user:pw@hooks.example.com/{'folder/' * 9}end?token=secret"
    log["url"] = pd.array([long, "https://a.example/one", "https://a.example/two"], dtype=log["url"].dtype)
    log["status_code"] = pd.array([503, None, 200], dtype="Int64")
    plan = plan_redeliver(log, force=True)
    heads, rows = table(plan)
    assert heads[:5] == ["delivery_id", "event_type", "endpoint", "status", "created_at (Europe/Berlin)"]
    assert [row["status"]["text"] for row in rows] == ["503", "–", "200"]
    assert [row["endpoint"]["text"] for row in rows[1:]] == ["a.example/one", "a.example/two"]
    assert {row["request"]["text"] for row in rows} == {"redeliver"}
    assert re.fullmatch(r"hooks\.example\.com/f….*\?…", rows[0]["endpoint"]["text"])
    assert "secret" not in str(rows)
    assert "pw" not in str(rows)
    assert all(re.fullmatch(r"\w{3} \d\d \w{3} \d{4} \d\d:\d\d", row[heads[4]]["text"]) for row in rows)
