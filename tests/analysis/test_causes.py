"""Causes week by week, and this week against last: which are new, gone or back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
import pytest

import voxops as vx

NOW = pd.Timestamp("2026-03-22T12:00:00Z")


def failures(*rows: tuple[str, float], **attrs: Any) -> pd.DataFrame:
    """A triaged frame: a cause, and how many days ago."""
    frame = pd.DataFrame({
        "post_id": [f"post_{number}" for number in range(len(rows))],
        "cause": pd.array([cause for cause, _ in rows], dtype="string"), "verdict": "retry", "remedy": "retry it",
        "updated_at": pd.DatetimeIndex([NOW - pd.Timedelta(days=days) for _, days in rows]).as_unit("us"),
    })  # fmt: skip
    frame.attrs = {"fetched_at": NOW.isoformat(), **attrs}
    return frame


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
    (pd.DataFrame({"a": [1]}), {}, "needs a triaged frame"),
], ids=range(7))  # fmt: skip
def test_what_can_not_be_compared_is_refused(frame, asked, said):
    with pytest.raises(vx.VoxopsError, match=said):
        vx.causes(frame, **{"against": "7D", **asked})
    for since, span in (("7D", "3D"), ("2026-03-08T12:00:30Z", "7D")):  # a load takes some seconds itself
        assert len(vx.causes(failures(("x", 1), filters={"since": since}), against=span)) == 1


def test_a_frame_that_ends_early_is_compared_by_its_end():
    frame = failures(("x", 5), ("y", 8), ("y", 12), filters={"since": "28D", "until": "4D"})
    weeks = vx.causes(frame, against="7D")
    assert weeks.attrs["weeks"][-1] == (NOW - pd.Timedelta("4D")).isoformat()
    assert dict(zip(weeks["cause"], weeks["change"], strict=True)) == {"x": "new", "y": "recurring"}
    assert vx.causes(frame, against="7D", now=NOW).attrs["weeks"][-1] == NOW.isoformat()


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
    frame.attrs["tz"] = "Europe/Berlin"
    pd.testing.assert_frame_equal(vx.causes(frame, by="week"), vx.causes(frame, by="week", tz="Europe/Berlin"))
    weeks = [vx.causes(part, by="week", tz="UTC").dtypes for part in (frame, frame.iloc[:0])]
    pd.testing.assert_series_equal(*weeks)
