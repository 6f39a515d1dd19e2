"""The meaning of a span of time, and its rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from tests.frames.makers import NOW, UTC_US

from voxops.errors import ConfigError
from voxops.frames.records import build
from voxops.frames.times import length, moment, shown_zone, window, within


@pytest.mark.parametrize(("value", "time"), [
    ("7D", "2026-02-23T09:00Z"), ("12h", "2026-03-01T21:00Z"), ("1.5h", "2026-03-02T07:30Z"),
    ("30 min", "2026-03-02T08:30Z"), ("7d", "2026-02-23T09:00Z"), ("1w", "2026-02-23T09:00Z"),
    ("12H", "2026-03-01T21:00Z"), ("30MIN", "2026-03-02T08:30Z"), (timedelta(days=1), "2026-03-01T09:00Z"),
    ("0001-01-01Z", "1000-01-01T00:00Z"), ("9999-12-31Z", "9000-01-01T00:00Z"), ("2026-03-01Z", "2026-03-01T00:00Z"), ("2026-03-01+01:00", "2026-02-28T23:00Z"),
    ("2026-03-01T10:00+01:00", "2026-03-01T09:00Z"), (pd.Timestamp("2026-03-01T09:00Z"), "2026-03-01T09:00Z"),
    ("+3D", "2026-03-05T09:00Z"), (" + 12h ", "2026-03-02T21:00Z"), ("tomorrow", "2026-03-03T00:00Z"),
    (datetime(2026, 3, 1, 9, tzinfo=UTC), "2026-03-01T09:00Z"),
])  # fmt: skip
def test_a_window_opens_at_a_time_or_so_long_before_the_servers_now(value, time):
    start, end = window(value, None, NOW)
    assert (start, end) == (pd.Timestamp(time), None)
    assert start.unit == "us"
    assert window(None, value, NOW) == (None, pd.Timestamp(time))


@pytest.mark.parametrize(("value", "time"), [
    ("2026-03-01", "2026-02-28T23:00Z"), ("2026-03-01 10:00", "2026-03-01T09:00Z"),
    (pd.Timestamp("2026-03-01T10:00"), "2026-03-01T09:00Z"), ("2026-03-01T10:00Z", "2026-03-01T10:00Z"),
])  # fmt: skip
def test_a_time_without_an_offset_is_one_of_the_zone_that_somebody_has_named(value, time):
    assert window(value, None, NOW, "Europe/Berlin")[0] == pd.Timestamp(time)


@pytest.mark.parametrize(
    ("zone", "noon", "begins"),
    [
        ("America/Havana", "2026-11-01T17:00Z", "2026-11-01T04:00Z"),  # its midnight comes twice
        ("Africa/Cairo", "2026-04-24T09:00Z", "2026-04-23T22:00Z"),  # it has none
    ],
)
def test_today_begins_at_the_first_instant_of_the_day(zone, noon, begins):
    now = datetime.fromisoformat(noon)
    assert window("today", None, now, zone)[0] == pd.Timestamp(begins)
    assert window(None, "tomorrow", now - timedelta(days=1), zone)[1] == pd.Timestamp(begins)


@pytest.mark.parametrize(
    ("zones", "shown"),
    [
        (["Europe/Berlin", "UTC"], "Europe/Berlin"), (["UTC"], "UTC"), (["Europe/Berlin", "Asia/Tokyo"], "UTC"), (["UTC+02:00"], "UTC"),
    ],
)  # fmt: skip
def test_a_frame_that_names_no_zone_is_shown_in_that_of_its_times(zones, shown):
    frame = pd.DataFrame({name: pd.Series(["2026-03-01T10:00Z"], dtype=f"datetime64[us, {name}]") for name in zones})
    assert shown_zone(frame) == shown
    frame.attrs["tz"] = "America/Lima"
    assert shown_zone(frame) == "America/Lima"


SENSELESS = [
    "2026-03-01", "2026-03-01T09:00", "2026-03-01T09.30Z", "someday", "+7", "+ -3D", "1M", "",
    pd.Timestamp("2026-03-01"), object(), "999999999D", "999999D", timedelta(days=10**6), timedelta(days=10**8), "-3D",
]  # fmt: skip


@pytest.mark.parametrize(("since", "until", "tz", "words"), [
    *((value, None, "UTC", "since=") for value in SENSELESS), *((value, None, "UTC", rf"since={value!r} .*'{value}D'") for value in (7, "7", 7.0)),
    *((at, None, "Europe/Berlin", "is skipped or repeated in Europe/Berlin, where clocks change then") for at in ("2026-03-29T02:30", "2025-10-26T02:30")),
    # NaT is the latest time of no rows, which is not all of them.
    ("1D", "2D", "UTC", "before since"), (pd.NaT, None, "UTC", "since=NaT is not a time"), (None, pd.NaT, "UTC", "until=NaT is not a time"),
])  # fmt: skip
def test_what_is_no_span_of_time_is_refused_and_not_guessed(since, until, tz, words):
    with pytest.raises(ConfigError, match=words):
        window(since, until, NOW, tz)
    assert window(None, None, NOW, tz) == (None, None)


@pytest.mark.parametrize("value", ["x", "7", 7, None, "1M", "-6h", ""])
def test_what_is_no_length_of_time_is_refused(value):
    with pytest.raises(ConfigError, match="gap="):
        length("gap", value)
    assert length("gap", "6h") == length("gap", "6H") == length("gap", timedelta(hours=6)) == pd.Timedelta(6, "h")


def test_within_is_half_open_and_keeps_what_has_no_time():
    days = pd.Series(pd.to_datetime(["2026-03-01", "2026-03-02", None, "2026-03-03"], utc=True), index=[5, 6, 7, 8])
    assert within(days, days[5], days[8]).to_dict() == {5: True, 6: True, 7: True, 8: False}
    assert within(days, None, None).all()


def test_the_moment_of_a_post_is_the_latest_of_its_times():
    created, later, latest = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-04-01T00:00:00Z"
    scheduled = {"id": "a", "createdAt": created, "scheduledFor": latest}
    found = moment(build("posts", [scheduled, {"id": "b", "createdAt": created, "updatedAt": later}, {"id": "c"}]))
    assert str(found.dtype) == UTC_US
    assert found.tolist() == [pd.Timestamp(latest), pd.Timestamp(later), pd.NaT]
