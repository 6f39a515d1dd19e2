"""Causes week by week, and this week against last: which are new, gone or back."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

import voxops as vx

NOW = pd.Timestamp("2026-03-22T12:00:00Z")


def failures(*rows, **attrs):
    """A triaged frame: a cause, and how many days ago or when."""
    times = [at if isinstance(at, str) else NOW - pd.Timedelta(days=at) for _, at in rows]
    frame = pd.DataFrame({
        "post_id": [f"post_{number}" for number in range(len(rows))], "platform": "twitter",
        "cause": pd.array([cause for cause, _ in rows], dtype="string"), "verdict": "retry", "remedy": "retry it",
        "updated_at": pd.to_datetime(times, utc=True).as_unit("us"),
    })  # fmt: skip
    frame.attrs = {"fetched_at": NOW.isoformat(), **attrs}
    return frame


def test_causes_are_counted_the_commonest_first():
    rows = failures(("B", 4), ("A", 2), ("A", 2), ("A", 1), (None, 1)).assign(
        post_id=["p3", "p1", "p1", "p2", "p4"], account_id=["a", "a", "b", "a", "a"], retryable=[False, True, True, False, True],
        platform=["twitter", "x", "linkedin", "x", "x"], error_message=["b", "second", pd.NA, "first", pd.NA],
    )  # fmt: skip
    table = vx.causes(rows)
    columns = ["cause", "platforms", "count", "posts", "accounts", "retryable", "example"]
    assert table[columns].values.tolist() == [
        ["A", "linkedin, x", 3, 2, 2, 2, "first"],
        ["B", "twitter", 1, 1, 1, 0, "b"],
    ]
    at = rows["updated_at"]
    assert table[["first_seen", "last_seen"]].values.tolist() == [[at[1], at[3]], [at[0], at[0]]]
    pd.testing.assert_series_equal(vx.causes(rows.head(0)).dtypes, table.dtypes)


@pytest.mark.parametrize("asked", [{}, {"by": "week"}, {"against": "7D"}])
def test_a_failure_that_is_in_the_frame_twice_is_counted_once(asked):
    rows = failures(("A", 1), ("A", 8), ("B", 2)).assign(account_id="a", retryable=True, error_message="x")
    twice = pd.concat([rows, rows], ignore_index=True)
    twice.attrs = rows.attrs
    pd.testing.assert_frame_equal(vx.causes(twice, **asked), vx.causes(rows, **asked))


def test_owners_of_a_cause_are_named_by_their_rows_and_the_others_counted():
    rows = failures(*[("A", 1)] * 7).assign(owner=[*"abcdeba"], account_id="a", retryable=True, error_message="x")
    assert vx.causes(rows)["owners"].tolist() == ["a (2), b (2), c (1), d (1) and 1 more"]


def test_each_cause_is_recognised_by_when_its_failures_happened():
    weeks = vx.causes(
        failures(
            ("new", 1), ("gone", 8), ("gone", 9), ("back", 2), ("back", 20), ("worse", 1), ("worse", 2), ("worse", 10), ("as ever", 3), ("as ever", 9),
            ("long ago", 30), ("edge", 7), ("edge", 14),
        ),
        against="7D",
    )  # fmt: skip
    assert weeks[["change", "cause", "rows", "last_week", "before", "posts"]].values.tolist() == [
        ["came back", "back", 1, 0, 1, 1], ["new", "new", 1, 0, 0, 1], ["worse", "worse", 2, 1, 0, 2],
        ["recurring", "as ever", 1, 1, 0, 1], ["gone", "gone", 0, 2, 0, 0], ["gone", "edge", 0, 1, 1, 0],
    ]  # fmt: skip
    assert weeks.attrs["weeks"] == [(NOW - pd.Timedelta(days=days)).isoformat() for days in (14, 7, 0)]


@pytest.mark.parametrize(("frame", "asked", "said"), [
    (failures(("x", 1), filters={"since": "7D"}), {}, "since='7D'.*since='21D'"),  # all would seem new
    (failures(("x", 1), filters={"since": "2026-03-08T12:02Z"}), {}, "since='2026-03-08T12:02Z'"),
    (failures(("x", 1), ("x", 20), complete=False), {}, "was cut.*since='21D'"),
    (failures(("x", 1)), {"now": datetime(2026, 3, 22)}, "no time zone"),
    (failures(("x", 1)), {"against": "0D"}, "longer than zero"),
    (failures(("x", 1)), {"against": pd.Timedelta("-7D")}, "longer than zero"),
    (failures(("x", 1)), {"by": "week"}, "by= or against="),
    (failures(("x", 1)), {"by": "day", "against": None}, "by='day'.* by='week'"),
    *((pd.DataFrame({"a": [1]}), {"against": span}, r"missing: cause.*vx\.triage\(posts\)") for span in ("7D", None)),
], ids=range(10))  # fmt: skip
def test_what_can_not_be_compared_is_refused(frame, asked, said):
    with pytest.raises(vx.VoxopsError, match=said):
        vx.causes(frame, **{"against": "7D", **asked})


@pytest.mark.parametrize(("since", "span"), [("7D", "3D"), ("2026-03-08T12:00:30Z", "7D")])
def test_a_load_may_take_some_seconds_itself(since, span):
    assert len(vx.causes(failures(("x", 1), filters={"since": since}), against=span)) == 1


def test_a_frame_that_ends_early_is_compared_by_its_end():
    frame = failures(("x", 5), ("y", 8), ("y", 12), filters={"since": "28D", "until": "4D"})
    weeks = vx.causes(frame, against="7D")
    assert weeks.attrs["weeks"][-1] == (NOW - pd.Timedelta("4D")).isoformat()
    assert dict(zip(weeks["cause"], weeks["change"], strict=True)) == {"x": "new", "y": "recurring"}
    assert vx.causes(frame, against="7D", now=NOW).attrs["weeks"][-1] == NOW.isoformat()


def test_causes_are_counted_by_weeks_that_begin_on_monday_in_the_zone():
    rows = failures(
        ("A", "2026-03-01T22:59Z"), ("A", "2026-03-01T23:00Z"), ("A", "2026-03-08T22:30Z"), ("B", "2026-03-05T00:00Z"), (None, "2026-03-05T00:00Z"),
        tz="Europe/Berlin",
    )  # fmt: skip
    table = vx.causes(rows, by="week")
    monday = pd.Timestamp("2026-03-02", tz="Europe/Berlin")
    assert table[["week", "cause", "targets"]].values.tolist() == [
        [monday - pd.Timedelta("7D"), "A", 1],
        [monday, "A", 2],
        [monday, "B", 1],
    ]
    weeks = [vx.causes(part, by="week", tz="UTC") for part in (rows, rows.head(0))]
    pd.testing.assert_series_equal(*(part.dtypes for part in weeks))
    assert str(weeks[0]["week"].dtype) == "datetime64[us, UTC]", "the zone that is asked for"
