"""Service levels against a count by hand, in parts as in one, and causes week by week."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxops as vx
from voxops.analysis.causes import WEEKS, week_partial
from voxops.analysis.statistics import levels_of
from voxops.errors import ConfigError, PlanError
from voxops.frames.records import build

NOW = pd.Timestamp("2026-03-10T12:00Z")
MINUTE = pd.Timedelta("1min")


def log(*records: dict[str, Any]) -> pd.DataFrame:
    frame = build("deliveries", [{"id": f"d{number}", **record} for number, record in enumerate(records)])
    frame.attrs["fetched_at"] = NOW.isoformat()
    return frame


def delivery(minutes_ago: float, took: float | None = 0.1, url: str = "https://a", **more: Any) -> dict[str, Any]:
    """Created so many minutes ago; arrived after so many minutes, or not at all."""
    created = NOW - minutes_ago * MINUTE
    return {
        "url": url, "createdAt": created.isoformat(), "success": took is not None,
        "statusCode": 200 if took is not None else 503,
        "deliveredAt": None if took is None else (created + took * MINUTE).isoformat(), **more,
    }  # fmt: skip


def level(frame: pd.DataFrame, **asked: Any) -> dict[str, Any]:
    table = vx.deliveries.levels(frame, **{"within": "5min", "target": 0.9, "at_least": 1, **asked})
    return dict(table.iloc[0])


def test_in_time_late_failed_and_too_young():
    found = level(
        log(
            delivery(60, 4.9),
            delivery(60, 5),
            delivery(60, 5.1),
            delivery(60, None),
            delivery(60, None, success=None, statusCode=None),  # in flight for an hour: it has not come in time
            delivery(4, None),  # has a minute left
            delivery(4, 0.1),
        )
    )
    assert [found[name] for name in ("deliveries", "in_time", "late", "failed", "unknown")] == [5, 2, 1, 2, 0]
    assert found["share"] == 0.4
    assert not found["met"]
    assert found["budget"] == 0.5  # without the dust of binary fractions
    assert found["budget_left"] == pytest.approx(1 - 3 / 0.5)


def test_without_an_instant_of_arrival_the_latency_of_an_only_attempt_tells_and_else_nobody_can():
    found = level(
        log(
            delivery(60, 0, deliveredAt=None, latencyMs=200, retryCount=0),
            delivery(60, 0, deliveredAt=None, latencyMs=400_000, retryCount=0),
            delivery(60, 0, deliveredAt=None, latencyMs=200, retryCount=2),
            delivery(60, 0, deliveredAt=None),
        )
    )
    assert [found[name] for name in ("deliveries", "in_time", "late", "failed", "unknown")] == [4, 1, 1, 0, 2]
    assert found["share"] == 0.5


@pytest.mark.parametrize(
    ("latency", "counted"), [(-5, "unknown"), (0, "in_time"), (10**13, "late"), (10**16, "late"), (2**62, "late")]
)
def test_a_latency_that_is_none_is_unknown_and_one_beyond_all_times_is_late(latency, counted):
    found = level(log(delivery(60, 0, deliveredAt=None, latencyMs=latency, retryCount=0)))
    assert [name for name in ("in_time", "late", "failed", "unknown") if found[name]] == [counted]


@pytest.mark.parametrize(
    ("target", "count", "missed"), [(0.9, 100, 10), (0.8, 100, 20), (0.7, 100, 30), (0.99, 100, 1), (0.999, 1000, 1)]
)
def test_a_budget_that_is_just_spent_is_neither_overdrawn_nor_burning(target, count, missed):
    found = level(log(*[delivery(60)] * (count - missed), *[delivery(60, None)] * missed), target=target)
    assert [found[name] for name in ("met", "budget_left", "burn_long", "burn_short", "burning")] == [
        *(True, 0, 1, 1, False)
    ]
    worse = level(log(*[delivery(60)] * (count - missed - 1), *[delivery(60, None)] * (missed + 1)), target=target)
    assert not worse["met"]
    assert worse["budget_left"] < 0
    assert worse["burning"]


def test_it_burns_only_when_both_windows_do():
    day = 24 * 60
    old = [delivery(20 * day)] * 500
    blip = log(*old, *[delivery(2 * day)] * 100, delivery(30, None), *[delivery(40)] * 4)
    over = log(*old, *[delivery(2 * day, None)] * 30, *[delivery(2 * day)] * 70, *[delivery(30)] * 10)
    both = log(*old, *[delivery(2 * day, None)] * 30, *[delivery(2 * day)] * 70, *[delivery(30, None)] * 10)
    asked = {"windows": ("3D", "1h"), "at_least": 5}
    assert [bool(level(frame, **asked)["burning"]) for frame in (blip, over, both)] == [False, False, True]
    assert level(blip, **asked)["burn_short"] == pytest.approx(0.2 / 0.1)
    assert level(blip, **asked)["burn_long"] < 1
    assert level(over, **asked)["burn_long"] == pytest.approx(30 / 110 / 0.1)


def test_a_delivery_is_in_a_window_by_when_it_was_due_and_not_by_when_it_was_created():
    """Two minutes before the window, and due three minutes after its beginning; or due before it."""
    asked = {"windows": ("3D", "1h"), "within": "5min"}
    assert level(log(delivery(62, None), delivery(30)), **asked)["burn_short"] == pytest.approx(0.5 / 0.1)
    assert level(log(delivery(66, None), delivery(30)), **asked)["burn_short"] == 0


def test_too_few_deliveries_have_no_verdict():
    frame = log(*[delivery(60 * 24 * 9)] * 99, *[delivery(60 * 24 * 9, None, url="https://b")] * 100)
    table = vx.deliveries.levels(frame).set_index("url")
    assert table.loc["https://a"][["share", "met", "budget", "budget_left", "burning"]].isna().all()
    assert not table.loc["https://b", "met"]
    assert pd.isna(table.loc["https://b", "burning"]), "nothing came within the windows"
    assert list(table.index) == ["https://b", "https://a"]


def test_an_empty_log_has_the_same_columns_and_dtypes():
    empty, full = vx.deliveries.levels(log()), vx.deliveries.levels(log(delivery(60)))
    assert empty.empty
    assert list(empty.dtypes.astype(str).items()) == list(full.dtypes.astype(str).items())


RECORDS = st.lists(
    st.builds(
        delivery,
        st.floats(0, 6000),
        st.sampled_from([None, 0.1, 5, 5.0001, 600]),
        st.sampled_from(["https://a", "https://b", None]),
        latencyMs=st.sampled_from([None, 10, 10**9]),
        retryCount=st.sampled_from([None, 0, 3]),
    ),
    max_size=20,
)


@given(RECORDS, st.randoms(use_true_random=False))
def test_parts_in_any_order_give_the_same(records, rng):
    frame = log(*records)
    cuts = sorted(rng.randint(0, len(frame)) for _ in range(3))
    parts = [frame.iloc[low:high] for low, high in itertools.pairwise([0, *cuts, len(frame)])]
    rng.shuffle(parts)
    whole = vx.deliveries.levels(frame, "5min", 0.95, at_least=2)
    pd.testing.assert_frame_equal(levels_of(parts, NOW, "5min", 0.95, ("3D", "6h"), 2), whole)
    assert (whole["deliveries"] == whole[["in_time", "late", "failed", "unknown"]].sum(axis=1)).all()


@pytest.mark.parametrize(("wrong", "why"), [
    ({"target": 1}, "share between 0 and 1"), ({"target": 99}, "share between 0 and 1"),
    ({"within": "soon"}, "not a length of time"), ({"windows": ("6h", "3D")}, "longer than the second"),
    ({"windows": "3D"}, "two lengths of time"), ({"windows": 5}, "two lengths of time"),
    ({"at_least": 0}, "whole number"),
])  # fmt: skip
def test_what_is_no_objective_is_refused(wrong, why):
    with pytest.raises(ConfigError, match=why):
        vx.deliveries.levels(log(delivery(60)), **wrong)


def test_what_is_no_log_is_refused():
    with pytest.raises(PlanError, match=r"missing: .*delivered_at"):
        vx.deliveries.levels(log(delivery(60)).drop(columns="delivered_at"))


def triaged(*rows: tuple[str | None, str]) -> pd.DataFrame:
    """Cause and last change of each."""
    return pd.DataFrame(
        {
            "cause": pd.array([cause for cause, _ in rows], dtype="string"),
            "verdict": pd.array(["retry"] * len(rows), dtype="string"),
            "platform": pd.array(["twitter"] * len(rows), dtype="string"),
            "updated_at": pd.to_datetime([at for _, at in rows], utc=True).as_unit("us"),
        }
    )


def test_causes_are_counted_by_weeks_that_begin_on_monday_in_the_zone():
    frame = triaged(
        ("A", "2026-03-01T22:59Z"), ("A", "2026-03-01T23:00Z"), ("A", "2026-03-08T22:30Z"), ("B", "2026-03-05T00:00Z"), (None, "2026-03-05T00:00Z")
    )  # fmt: skip
    found = vx.causes(frame, by="week", tz="Europe/Berlin")
    assert [(f"{row.week:%a %d %b %H:%M}", row.cause, row.targets) for row in found.itertuples()] == [
        ("Mon 23 Feb 00:00", "A", 1),
        ("Mon 02 Mar 00:00", "A", 2),
        ("Mon 02 Mar 00:00", "B", 1),
    ]
    frame.attrs["tz"] = "Europe/Berlin"
    pd.testing.assert_frame_equal(vx.causes(frame, by="week"), found)
    assert str(vx.causes(frame, by="week", tz="UTC")["week"].dtype) == "datetime64[us, UTC]"
    del frame.attrs["tz"]
    # the week in which clocks change begins at midnight, too
    spring = vx.causes(triaged(("A", "2026-03-29T12:00Z"), ("A", "2026-03-30T12:00Z")), by="week", tz="Europe/Berlin")
    assert [f"{week:%a %d %b %H:%M}" for week in spring["week"]] == ["Mon 23 Mar 00:00", "Mon 30 Mar 00:00"]
    # Sunday the 8th begins at one o'clock in Havana, in the week of the 2nd
    sunday = vx.causes(triaged(("A", "2026-03-08T12:00Z"), ("A", "2026-03-07T12:00Z")), by="week", tz="America/Havana")
    assert [(f"{row.week:%a %d %b %H:%M}", row.targets) for row in sunday.itertuples()] == [("Mon 02 Mar 00:00", 2)]
    parts = [week_partial(frame.iloc[at : at + 2], tz="Europe/Berlin") for at in (4, 2, 0)]
    pd.testing.assert_frame_equal(WEEKS.merge(parts), found)
    assert vx.causes(frame.iloc[:0], by="week").dtypes.astype(str).to_dict() == {
        "week": "datetime64[us, UTC]", "cause": "string", "verdict": "string", "platform": "string", "targets": "Int64",
    }  # fmt: skip


def test_a_log_of_two_loads_is_judged_as_one():
    whole = log(*[delivery(minutes, took) for minutes in (60, 120) for took in (1, 9, None, 0.1)])
    loads = pd.concat([whole.iloc[:4], whole.iloc[4:].reset_index(drop=True)])  # each label twice
    loads.attrs = whole.attrs
    pd.testing.assert_frame_equal(vx.deliveries.levels(loads, at_least=1), vx.deliveries.levels(whole, at_least=1))
    assert len(vx.report(loads).frames["levels"]) == 1
