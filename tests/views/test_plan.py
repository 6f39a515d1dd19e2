"""What a plan shows of its rows: what each is about, and what becomes of it."""

from __future__ import annotations

import pandas as pd
import pytest

import voxops as vx
from voxops.acts.retry import plan_fix
from voxops.acts.update import plan_update
from voxops.views.view import plan_parts


@pytest.fixture
def ws(sandbox):
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as workspace:
        yield workspace


def shown(plan):
    """The first table that a plan shows, as texts."""
    table = plan_parts(plan, 12, "Europe/Berlin")[0].table
    return pd.DataFrame(
        [[cell.text for cell in row] for row in table.rows], columns=[head.title for head in table.columns]
    )


def test_a_plan_to_change_shows_the_new_values_beside_the_old(ws):
    posts = ws.posts(status="scheduled").head(3)
    new = [f"{posts['content'].iloc[0]} #spring", "<b>All new</b>", None]
    rows = shown(plan_update(posts.assign(new_content=new, new_tags="a")))
    assert rows["new text"].tolist() == [" ".join(new[0].split()), new[1], "–"]
    assert rows["text"].str[:60].tolist() == posts["content"].str[:60].tolist()
    assert rows["new tags"].tolist() == ["a"] * 3
    moved = plan_update(posts.head(1), by="2h", change="later")
    before = posts["scheduled_for"].iloc[0].tz_convert("Europe/Berlin")
    times = [f"{at:%Y-%m-%d %H:%M}" for at in (before, before + pd.Timedelta("2h"))]
    assert shown(moved)[["scheduled", "new time"]].values.tolist() == [times]
    assert "Times in Europe/Berlin" in repr(moved)


def test_a_plan_to_fix_shows_the_new_text_and_where_its_picture_is(ws):
    triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))
    rows = triaged[triaged["verdict"] == "fix content"].head(1).assign(new_content="Shorter.")
    fixed = shown(plan_fix(rows.assign(new_media_url="https://cdn.example.com/a.png?sig=secret")))
    assert fixed["new text"].tolist() == ["Shorter."]
    assert fixed["new media"].str.startswith("example.com/…#").all() and "secret" not in fixed.to_string()
