"""Performance of a campaign: every known shape of a response becomes the same frame, and the figure shows it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Fault
from voxops.frames.records import performance

METRICS = {"impressions": 1000, "engagements": 50, "likes": 40, "comments": 4, "shares": 3, "clicks": 3}
WHEN = "2026-03-02T09:00:00Z"
NESTED = {"postId": "post_1", "platform": "Twitter", "metrics": METRICS, "collectedAt": WHEN}
SHAPES: dict[str, Any] = {
    "records, flat": {"data": [{"postId": "post_1", "platform": "TWITTER", **METRICS, "collectedAt": WHEN}]},
    "records, nested": {"data": [NESTED]},
    "one object": {**NESTED, "dataAvailable": True},
    "wrapped": {"data": NESTED},
    "bare list": [NESTED],
}
DTYPES = {
    **dict.fromkeys(("post_id", "target_id", "platform", "platform_post_url"), "string"),
    **dict.fromkeys(("impressions", "reach", "engagements"), "Int64"),
    "engagement_rate": "Float64",
    **dict.fromkeys(("likes", "comments", "shares", "clicks", "saves", "video_views"), "Int64"),
    "as_of": "datetime64[us, UTC]",
}


@pytest.fixture
def ws(sandbox, tmp_path):
    sandbox.set_switches(failure_rate=0.0)
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.db") as workspace:
        yield workspace


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_row(shape):
    frame = performance([("post_1", SHAPES[shape])])
    (row,) = frame.to_dict("records")
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert (row["post_id"], row["platform"], row["impressions"], row["clicks"]) == ("post_1", "twitter", 1000, 3)
    assert row["engagement_rate"] == 0.05
    assert row["as_of"] == pd.Timestamp(WHEN)
    assert pd.isna(row["saves"])


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"data": []}, {"data": None}, {"dataAvailable": False, "metrics": {}}, "text", {"data": ["x", 7]}],
)
def test_an_answer_without_figures_is_no_wrong_row(answer):
    frame = performance([("post_1", answer)])
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert frame.empty


def test_no_impressions_are_no_rate():
    frame = performance([("post_1", {"data": [{"platform": "x", "impressions": 0, "engagements": 0}]})])
    assert pd.isna(frame["engagement_rate"].iloc[0])


def test_a_campaign_is_read_by_post_and_platform(ws, sandbox):
    posts = ws.posts(status=["published", "partial", "failed"], since="5D", limit=40)
    figures = ws.analytics(posts)
    targets = vx.targets(posts)
    out = targets[targets["status"] == "published"]
    assert set(zip(figures["post_id"], figures["platform"], strict=True)) == set(
        zip(out["post_id"], out["platform"], strict=True)
    )
    assert (figures["impressions"] >= figures["engagements"]).all()
    assert figures["engagement_rate"].between(0, 0.2).all()
    asked = [entry for entry in sandbox.requests() if entry["path"].startswith("/v1/analytics/")]
    assert len(asked) == posts["status"].isin(["published", "partial"]).sum()
    assert not any(entry["acting"] for entry in asked)


def test_posts_that_are_gone_and_spans(ws):
    key = str(ws.posts(status="published", limit=1)["post_id"].iloc[0])
    for gone, named in (
        ("a", "1 post, which may have been deleted: post_a$"),
        ("abcd", "4 posts, .*: post_a, post_b, post_c …$"),
    ):
        with pytest.warns(UserWarning, match=f"has no figures for {named}"):
            whole = ws.analytics([key, *(f"post_{name}" for name in gone), key])
    assert set(whole["post_id"]) == {key}
    part = ws.analytics(key, since="1h")
    assert (part["impressions"].to_numpy() <= whole["impressions"].to_numpy()).all()


def test_after_a_refused_key_nothing_more_is_sent(ws, sandbox):
    refused, *others = ws.posts(status="published", limit=40)["post_id"]
    sandbox.add_fault(Fault("status", path=f"/v1/analytics/posts/{refused}", status=401, code="INVALID_API_KEY"))
    for post in others:
        sandbox.add_fault(Fault("delay", path=f"/v1/analytics/posts/{post}", seconds=60))
    with pytest.raises(vx.errors.AuthError):
        ws.analytics([refused, *others])
    sandbox.clear_faults()
    ws.accounts()  # turns are taken in order: what still waited for one would have gone before
    asked = [entry for entry in sandbox.requests() if entry["path"].startswith("/v1/analytics/")]
    assert len(asked) <= 10, "as many as are in flight at once"
