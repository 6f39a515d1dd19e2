"""What a plan shows of its rows: what each is about, and what becomes of it."""

from __future__ import annotations

import pandas as pd
import pytest

import voxops as vx
from voxops.acts.plan import Plan
from voxops.acts.retry import plan_fix
from voxops.acts.update import plan_update
from voxops.views.plan import plan_parts
from voxops.views.table import Cell


@pytest.fixture
def ws(sandbox):
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as workspace:
        yield workspace


def table(plan: Plan) -> tuple[list[str], list[dict[str, Cell]]]:
    """The heads of the first table that a plan shows, and its rows by head."""
    shown = plan_parts(plan, 12, "Europe/Berlin")[0].table
    heads = [head.title for head in shown.columns]
    return heads, [dict(zip(heads, row, strict=True)) for row in shown.rows]


def test_a_plan_to_change_shows_the_new_values_beside_the_old(ws):
    posts = ws.posts(status="scheduled").head(3)
    new = [f"{posts['content'].iloc[0]} #spring", "<b>All new</b>", None]
    _, rows = table(plan_update(posts.assign(new_content=new, new_tags="a")))
    assert [row["new text"].text for row in rows] == [" ".join(str(new[0]).split()), new[1], "–"]
    assert [row["text"].text[:60] for row in rows] == posts["content"].str[:60].tolist()
    assert {row["new tags"].text for row in rows} == {"a"}
    moved = plan_update(posts.head(1), by="2h", change="later")
    (row,) = table(moved)[1]
    before = posts["scheduled_for"].iloc[0].tz_convert("Europe/Berlin")
    assert (row["scheduled"].text, row["new time"].text) == tuple(
        f"{at:%Y-%m-%d %H:%M}" for at in (before, before + pd.Timedelta("2h"))
    )
    assert "Times in Europe/Berlin" in repr(moved)


def test_a_plan_to_fix_shows_the_new_text_and_one_to_retry_does_not(ws):
    triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))
    rows = triaged[triaged["verdict"] == "fix content"].head(1).assign(new_content="Shorter.")
    _, fixed = table(plan_fix(rows.assign(new_media_url="https://cdn.example.com/a.png?sig=secret")))
    assert fixed[0]["new text"].text == "Shorter."
    assert fixed[0]["new media"].text.startswith("example.com/…#")
    assert "secret" not in str(fixed)
