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
from voxops.errors import ConfigError
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


COUNTS = ["deliveries", "in_time", "late", "failed", "unknown"]


def level(*records: dict[str, Any], **asked: Any) -> dict[str, Any]:
    table = vx.deliveries.levels(log(*records), **{"within": "5min", "target": 0.9, "at_least": 1, **asked})
    return dict(table.iloc[0])


def test_in_time_late_failed_and_too_young():
    found = level(
        *(delivery(60, took) for took in (4.9, 5, 5.1, None)),
        delivery(60, None, success=None, statusCode=None),  # in flight for an hour: it has not come in time
        delivery(4, None),  # has a minute left
        delivery(4, 0.1),
    )
    assert [found[name] for name in COUNTS] == [5, 2, 1, 2, 0]
    assert (found["share"], found["met"]) == (0.4, False)
    assert found["budget"] == 0.5  # without the dust of binary fractions
    assert found["budget_left"] == pytest.approx(1 - 3 / 0.5)


@pytest.mark.parametrize(("latency", "retries", "counted"), [
    (200, 0, "in_time"), (400_000, 0, "late"), (200, 2, "unknown"), (None, None, "unknown"),
    (-5, 0, "unknown"), (0, 0, "in_time"), (10**13, 0, "late"), (10**16, 0, "late"), (2**62, 0, "late"),
])  # fmt: skip
def test_without_an_instant_of_arrival_the_latency_of_an_only_attempt_tells(latency, retries, counted):
    found = level(delivery(60, 0, deliveredAt=None, latencyMs=latency, retryCount=retries))
    assert [name for name in COUNTS if found[name]] == ["deliveries", counted]


@pytest.mark.parametrize(
    ("target", "count", "missed"), [(0.9, 100, 10), (0.8, 100, 20), (0.7, 100, 30), (0.99, 100, 1), (0.999, 1000, 1)]
)
def test_a_budget_that_is_just_spent_is_neither_overdrawn_nor_burning(target, count, missed):
    found, worse = (
        level(*[delivery(60)] * (count - lost), *[delivery(60, None)] * lost, target=target)
        for lost in (missed, missed + 1)
    )
    assert [found[name] for name in ("met", "budget_left", "burn_long", "burn_short", "burning")] == [
        True,
        0,
        1,
        1,
        False,
    ]
    assert (worse["met"], worse["budget_left"] < 0, worse["burning"]) == (False, True, True)


def test_it_burns_only_when_both_windows_do():
    day = 24 * 60
    old, lost = [delivery(20 * day)] * 500, [*[delivery(2 * day, None)] * 30, *[delivery(2 * day)] * 70]
    asked = {"windows": ("3D", "1h"), "at_least": 5}
    blip = level(*old, *[delivery(2 * day)] * 100, delivery(30, None), *[delivery(40)] * 4, **asked)
    over = level(*old, *lost, *[delivery(30)] * 10, **asked)
    both = level(*old, *lost, *[delivery(30, None)] * 10, **asked)
    assert [bool(found["burning"]) for found in (blip, over, both)] == [False, False, True]
    assert blip["burn_short"] == pytest.approx(0.2 / 0.1)
    assert blip["burn_long"] < 1
    assert over["burn_long"] == pytest.approx(30 / 110 / 0.1)


def test_a_delivery_is_in_a_window_by_when_it_was_due_and_not_by_when_it_was_created():
    """Two minutes before the window, and due three minutes after its beginning; or due before it."""
    asked = {"windows": ("3D", "1h"), "within": "5min"}
    assert level(delivery(62, None), delivery(30), **asked)["burn_short"] == pytest.approx(0.5 / 0.1)
    assert level(delivery(66, None), delivery(30), **asked)["burn_short"] == 0


def test_too_few_deliveries_have_no_verdict():
    frame = log(*[delivery(60 * 24 * 9)] * 99, *[delivery(60 * 24 * 9, None, url="https://b")] * 100)
    table = vx.deliveries.levels(frame).set_index("url")
    assert table.loc["https://a"][["share", "met", "budget", "budget_left", "burning"]].isna().all()
    assert not table.loc["https://b", "met"]
    assert pd.isna(table.loc["https://b", "burning"]), "nothing came within the windows"
    assert list(table.index) == ["https://b", "https://a"]


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


def triaged(*rows: tuple[str | None, str]) -> pd.DataFrame:
    """Cause and last change of each."""
    frame = pd.DataFrame(
        {"cause": [cause for cause, _ in rows], "verdict": "retry", "platform": "twitter"}, dtype="string"
    )
    return frame.assign(updated_at=pd.to_datetime([at for _, at in rows], utc=True).as_unit("us"))


def by_week(frame: pd.DataFrame, tz: str) -> list[tuple[str, str, int]]:
    table = vx.causes(frame, by="week", tz=tz)
    return [(f"{row.week:%a %d %b %H:%M}", row.cause, row.targets) for row in table.itertuples()]


def test_causes_are_counted_by_weeks_that_begin_on_monday_in_the_zone():
    frame = triaged(
        ("A", "2026-03-01T22:59Z"), ("A", "2026-03-01T23:00Z"), ("A", "2026-03-08T22:30Z"), ("B", "2026-03-05T00:00Z"), (None, "2026-03-05T00:00Z")
    )  # fmt: skip
    monday = "Mon 02 Mar 00:00"
    assert by_week(frame, "Europe/Berlin") == [("Mon 23 Feb 00:00", "A", 1), (monday, "A", 2), (monday, "B", 1)]
    # the week in which clocks change begins at midnight, too
    spring = triaged(("A", "2026-03-29T12:00Z"), ("A", "2026-03-30T12:00Z"))
    assert by_week(spring, "Europe/Berlin") == [("Mon 23 Mar 00:00", "A", 1), ("Mon 30 Mar 00:00", "A", 1)]
    # Sunday the 8th begins at one o'clock in Havana, in the week of the 2nd
    sunday = triaged(("A", "2026-03-08T12:00Z"), ("A", "2026-03-07T12:00Z"))
    assert by_week(sunday, "America/Havana") == [(monday, "A", 2)]
    found = vx.causes(frame, by="week", tz="Europe/Berlin")
    parts = [week_partial(frame.iloc[at : at + 2], tz="Europe/Berlin") for at in (4, 2, 0)]
    pd.testing.assert_frame_equal(WEEKS.merge(parts), found)
    frame.attrs["tz"] = "Europe/Berlin"
    pd.testing.assert_frame_equal(vx.causes(frame, by="week"), found)
    empty = vx.causes(frame.iloc[:0], by="week", tz="UTC")
    pd.testing.assert_series_equal(empty.dtypes, vx.causes(frame, by="week", tz="UTC").dtypes)
    assert str(empty["week"].dtype) == "datetime64[us, UTC]"
