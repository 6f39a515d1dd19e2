"""Which post a delivery is about: recorded, guessed with odds, or why it is unknown."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

import voxops as vx
from voxops import deliveries as module

AT = pd.Timestamp("2026-03-02T09:00:00Z")


def log(*rows: tuple[str, str, float, str | None]) -> pd.DataFrame:
    """Deliveries: id, kind of event, seconds after nine, and what was answered."""
    return pd.DataFrame({
        "delivery_id": [row[0] for row in rows], "event_type": [row[1] for row in rows],
        "created_at": pd.DatetimeIndex([AT + pd.Timedelta(seconds=row[2]) for row in rows], tz="UTC"),
        "response_body": [row[3] for row in rows], "error": None,
    })  # fmt: skip


def posts(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    """Posts: id, status, seconds after nine at which they were last changed, account."""
    from voxops.frames.nested import Target

    at = pd.DatetimeIndex([AT + pd.Timedelta(seconds=row[2]) for row in rows], tz="UTC")
    return pd.DataFrame({
        "post_id": [row[0] for row in rows], "status": [row[1] for row in rows],
        "created_at": pd.DatetimeIndex([AT - pd.Timedelta("1D")] * len(rows)), "updated_at": at, "published_at": at,
        "targets": [(Target(account_id=row[3]),) for row in rows],
    })  # fmt: skip


def about(one: pd.DataFrame, *others: Any, **named: Any) -> dict[str, Any]:
    (row,) = vx.deliveries.about_posts(one, *others, **named).to_dict("records")
    return {str(name): value for name, value in row.items()}


def event(name: str, post: str, delivery: str | None = None) -> dict[str, Any]:
    """A webhook's event about a post that failed, as it came with the header that names its delivery, or without."""
    body = {"id": name, "type": "post.failed", "createdAt": AT.isoformat(), "data": {"id": post}}
    return {"body": body} if delivery is None else {"headers": {"X-VoxBurst-Delivery-Id": delivery}, "body": body}


def test_posts_and_events_may_come_back_from_a_file(tmp_path):
    shown = posts(("post_a", "failed", 0, "acc_000001"), ("post_b", "failed", 0, "acc_000002"))
    recorded = vx.webhooks.events([event("evt_000001", "post_a", "del_1"), event("evt_000002", "post_a")])
    asked = log(("del_1", "post.failed", 0, None), ("del_2", "post.failed", 1, "acc_000002 said no"))
    shown.assign(targets=[[one._asdict() for one in cell] for cell in shown["targets"]]).to_parquet(tmp_path / "posts")
    recorded.to_parquet(tmp_path / "events")
    stored = pd.read_parquet(tmp_path / "posts"), pd.read_parquet(tmp_path / "events")
    expected = vx.deliveries.about_posts(asked, shown, recorded)
    assert expected["post_id"].to_list() == ["post_a", "post_b"]
    pd.testing.assert_frame_equal(vx.deliveries.about_posts(asked, *stored), expected)


def test_a_recorded_event_names_its_post_exactly():
    recorded = vx.webhooks.events([event("evt_000001", "post_a", "del_1")])
    said = about(log(("del_1", "post.failed", 0, None)), events=recorded)
    assert (said["post_id"], said["about"], said["odds"]) == ("post_a", "recorded", 1.0)
    by_answer = about(log(("del_9", "post.failed", 0, '{"received":"evt_000001"}')), events=recorded)
    assert by_answer["post_id"] == "post_a", "the receiver's answer names the event"
    other = about(log(("del_2", "post.failed", 0, None)), events=recorded)
    assert (other["about"], other["why_post_code"]) == ("unknown", "event_not_recorded")


FAILED = ("post_a", "failed", 0, "acc_0001")


@pytest.mark.parametrize(("delivery", "others", "guess", "why", "odds"), [
    ((1, None), [("post_b", "published", 0, "acc_0002")], "post_a", "guessed_by_time", (0.9, 1)),
    ((1, None), [("post_b", "failed", -8, "acc_0002")], "post_a", "guessed_by_time_among", (0.6, 0.9)),
    ((1, '{"error":"no such account acc_0002"}'), [("post_b", "failed", -8, "acc_0002")], "post_b", "guessed_by_answer_among", (0.5, 1)),
], ids=["alone", "near", "the account that the answer names decides"])  # fmt: skip
def test_a_guess_says_its_odds_and_against_how_many(delivery, others, guess, why, odds):
    said = about(log(("del_1", "post.failed", *delivery)), posts(FAILED, *others))
    assert (said["post_id"], said["about"], said["why_post_code"]) == (guess, "likely", why)
    assert odds[0] < said["odds"] < odds[1]


@pytest.mark.parametrize(("kind", "seconds", "count", "why"), [
    ("account.error", 0, 1, "event_about_other"), ("post.failed", 4000, 1, "no_post_at_that_time"),
    ("post.failed", -90_000, 1, "older_than_posts"), ("post.paused", 0, 1, "event_of_unknown_moment"),
    ("post.failed", 0, 30, "several_posts_fit"),
])  # fmt: skip
def test_where_it_can_not_be_said_it_says_why(kind, seconds, count, why):
    said = about(
        log(("del_1", kind, seconds, None)), posts(*((f"post_{number}", *FAILED[1:]) for number in range(count)))
    )
    assert (said["about"], said["why_post_code"]) == ("unknown", why)
    assert pd.isna(said["odds"])


def test_deliveries_of_one_moment_are_guessed_once(monkeypatch):
    """Posts of one request share an instant: comparing each delivery with each post would be quadratic."""
    guess, guessed = module._guess, []
    monkeypatch.setattr(module, "_guess", lambda *arguments: guessed.append(arguments) or guess(*arguments))
    kinds = [(f"del_{n}", kind, 0, f"evt_{n}") for n in range(100) for kind in ("post.failed", "post.published")]
    many = posts(*((f"post_{n}", "failed", 0.0, f"acc_{n:04}") for n in range(30)))
    table = vx.deliveries.about_posts(
        log(*kinds, ("del_x", "post.failed", 0, "no acc_0007"), ("y", "post.failed", 1, None)), many
    )
    assert len(guessed) == 4, "two kinds, one that names an account, one of another moment"
    assert table["why_post_code"].value_counts().to_dict() == {
        "several_posts_fit": 101,
        "no_post_at_that_time": 100,
        "guessed_by_answer_among": 1,
    }
    assert table["post_id"].dropna().to_list() == ["post_7"]
    assert table["odds"].dropna().to_list() == [round(11 / (11 + 29 + 0.05), 3)]


def test_a_post_that_was_published_and_changed_nearby_counts_once():
    twice = posts(("post_b", "published", 0, "acc_1"), ("post_a", "published", 0, "acc_1"))
    twice["published_at"] -= pd.Timedelta("4s")
    said = about(log(("del_1", "post.published", 0, None)), twice)
    assert (said["post_id"], said["why_post_code"]) == ("post_a", "guessed_by_time_among")
    assert said["odds"] == round(1 / 2.05, 3)


def test_what_is_unfit_is_refused_and_what_is_empty_keeps_its_columns():
    for unfit in (None, pd.DataFrame({"a": [1]})):
        with pytest.raises(vx.errors.PlanError, match="posts="):
            vx.deliveries.about_posts(log(), posts=unfit)
    empty = vx.deliveries.about_posts(log(), posts=posts())[["post_id", "about", "odds", "why_post"]]
    assert empty.dtypes.astype(str).to_list() == ["string", "string", "Float64", "string"]


def test_guesses_are_right_at_least_as_often_as_they_say(sandbox):
    """The sandbox knows which post each event was about; the seeded history is about none, so it counts what is named there in vain."""
    owner = next(a.id for a in sandbox.world.accounts.values() if a.status == "active" and a.platform == "linkedin")
    with vx.connect(sandbox=sandbox) as ws:
        start = pd.Timestamp(sandbox.now()) + pd.Timedelta("10min")
        sheet = pd.DataFrame({
            "row_id": range(60), "content": [f"post {number}" for number in range(60)], "accounts": owner,
            "scheduled_for": [(start + pd.Timedelta(seconds=7 * number)).isoformat() for number in range(60)],
        })  # fmt: skip
        ws.run(vx.plan_create(sheet, key="row_id")).wait(60)
        sandbox.advance(3600)
        deliveries = ws.deliveries(since="60D")
        table = vx.deliveries.about_posts(deliveries, ws.posts())
        lost = vx.deliveries.lost(deliveries, posts=ws.posts())
    assert {"post_id", "about", "odds", "why_post", "why"} <= set(lost.columns)
    truth = {d.id: json.loads(d.payload)["data"].get("id") for d in sandbox.world.deliveries.values() if d.payload}
    live = table[table["delivery_id"].isin(truth) & (table["about"] == "likely")]
    right = pd.Series([truth[one] == post for one, post in zip(live["delivery_id"], live["post_id"], strict=True)])
    assert len(live) > 50
    assert right.mean() >= live["odds"].mean()
    seeded = table[~table["delivery_id"].isin(truth)]
    assert (seeded["about"] == "likely").mean() < 0.1
