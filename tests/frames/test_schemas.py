"""The meaning of one value on the wire, in every form of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.frames.makers import NOW, UTC_US

from voxops._support.canonical import in_calendar
from voxops.frames.records import Columns, build, targets, times_text
from voxops.frames.times import parse_times
from voxops.sheets.rules import utc_text


def test_a_large_number_next_to_a_null_stays_itself():
    most = 2**53 + 1
    log = build("deliveries", [{"id": most, "latencyMs": most, "secret": "whsec_1"}, {"id": None, "latencyMs": None}])
    assert (log["latency_ms"].tolist(), log["delivery_id"].tolist()) == ([most, pd.NA], [str(most), pd.NA])
    assert "whsec_1" not in log.to_csv(), "what no column reads is left out, and so is a secret"


@pytest.mark.parametrize(
    ("sent", "count"),
    [(3, 3), ("3", 3), (" 3 ", 3), (3.0, 3), (2.6, 3), (-1, -1), (2**63 - 1, 2**63 - 1), (2**63, None), (-(2**63) - 1, None), (True, None), ("3.4", 3), ("many", None), ([3], None), (float("nan"), None)],
)  # fmt: skip
def test_counts_are_read_leniently_and_what_is_lost_is_said(sent, count):
    log = build("deliveries", [{"retryCount": sent}, {"retryCount": None}])
    assert (None if pd.isna(log["retry_count"][0]) else log["retry_count"][0]) == count
    assert log.attrs["unread"] == ({"retry_count": 1} if count is None else {})


@pytest.mark.parametrize(
    ("sent", "said"),
    [(True, True), (False, False), (1, True), (0, False), ("true", True), ("FALSE", False), ("yes", True), ("1", True), ("no", False), (" No ", False), ("0", False), (None, None), ("maybe", None), ([], None)],
)  # fmt: skip
def test_a_flag_is_read_in_every_spelling(sent, said):
    assert build("deliveries", [{"success": sent}])["success"].tolist() == [pd.NA if said is None else said]


@pytest.mark.parametrize(("text", "time"), [
    ("2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"), ("2026-03-02T09:00:00.123Z", "2026-03-02T09:00:00.123Z"),
    ("2026-03-02T09:00:00.123456Z", "2026-03-02T09:00:00.123456Z"),
    ("2026-03-02T09:00:00.123456789Z", "2026-03-02T09:00:00.123456Z"),
    ("2026-03-02T11:00:00+02:00", "2026-03-02T09:00:00Z"), ("2026-03-02T04:00:00-05:00", "2026-03-02T09:00:00Z"),
    ("2026-03-02T09:00:00+0000", "2026-03-02T09:00:00Z"), ("2026-03-02 09:00:00Z", "2026-03-02T09:00:00Z"),
    ("2026-03-02T09:00:00", "2026-03-02T09:00:00Z"), (" 2026-03-02T09:00:00Z ", "2026-03-02T09:00:00Z"),
    ("8999-12-31T23:59:59Z", "8999-12-31T23:59:59Z"), ("1000-01-01T00:00:00Z", "1000-01-01T00:00:00Z"),
])  # fmt: skip
def test_times_are_read_in_every_form_the_api_may_send(text, time):
    expected = pd.Timestamp(datetime.fromisoformat(time)).as_unit("us")
    for others in ([], [None], ["2026-03-02T09:00:00Z"], ["2026-03-02T09:00:00+01:00", "garbage", 5]):
        parsed = parse_times([text, *others])
        assert str(parsed.dtype) == UTC_US
        assert parsed[0] == expected


@pytest.mark.parametrize(
    "text",
    ["now", "today", "nowZ", "2026-03-02TnowZ", "garbage", "", "NaT", "2026-02-30T00:00:00Z", "2026-03-02T25:00:00Z", "2026-03-02T09:00+01:00Z", "2026-03-02T09:00-01:00Z", "2026-03-02T09:00:00ZZ", 1772442000, 1.5, True, {}, [], pd.NaT],
)  # fmt: skip
def test_what_is_no_time_is_nat_and_its_neighbours_are_read(text):
    parsed = parse_times(["2026-03-02T09:00:00Z", text, None])
    assert parsed.isna().tolist() == [False, True, True]
    assert build("posts", [{"createdAt": text if text is not pd.NaT else "x"}]).attrs["unread"] == {"created_at": 1}


# An hour that comes twice equals no time of another zone.
@example([datetime(2048, 10, 25, 3, tzinfo=ZoneInfo("Europe/Kiev"))])
@given(st.lists(st.none() | st.datetimes(timezones=st.just(UTC) | st.timezones()), max_size=20))
def test_any_time_that_python_can_write_is_read_back(times):
    found = parse_times([None if time is None else time.isoformat() for time in times])
    for one, time in zip(found, times, strict=True):
        near = time is not None and time.year in {999, 1000, 8999, 9000}  # the calendar ends in UTC
        lost = time is None or not in_calendar(time)
        if not near:
            assert (one is pd.NaT) == lost
        assert one is pd.NaT or one.to_pydatetime() == time.astimezone(UTC)


@pytest.mark.parametrize(("error", "code", "message"), [
    (None, None, None), ({"code": "rate_limited", "message": "slow down", "details": {}}, "RATE_LIMITED", "slow down"),
    ([{"code": "A_B", "message": "first"}, {"code": "C_D"}], "A_B", "first"), ("Token expired", None, "Token expired"), ({"odd": 1}, None, '{"odd":1}'),
])  # fmt: skip
def test_errors_of_every_shape(error, code, message):
    flat = {"errorCode": "a_b", "errorMessage": "m", "error": None}
    posts = build("posts", [{"id": "p", "platforms": [{"platform": "x", "error": error}, flat]}])
    found = targets(posts)[["error_code", "error_message"]].astype(object)
    assert found.where(found.notna(), None).to_numpy().tolist() == [[code, message], ["A_B", "m"]]


@pytest.mark.parametrize(("platforms", "failed", "names"), [
    (None, pd.NA, [pd.NA]), ([], 0, [pd.NA]), (["TWITTER", "linkedin"], 0, ["twitter", "linkedin"]),
    ([{"platform": "Twitter"}, {"platform": "LINKEDIN"}], 0, ["twitter", "linkedin"]),
    ({"TWITTER": {"status": "x"}, "linkedin": {}}, 0, ["twitter", "linkedin"]),
])  # fmt: skip
def test_platforms_are_names_objects_or_a_map_and_a_post_without_keeps_its_row(platforms, failed, names):
    posts = build("posts", [{"id": "p", "platforms": platforms}])
    assert posts["failed_targets"].tolist() == [failed], "a post without platforms does not claim that none has failed"
    rows = targets(posts)
    assert (set(rows["post_id"]), rows["platform"].tolist()) == ({"p"}, names)
    assert rows["status"].notna().any() == isinstance(platforms, dict), "the state that the map has"


def test_the_first_spelling_with_a_value_wins_in_an_envelope_or_without():
    posts = build("posts", [
        {"id": "a", "scheduledFor": None, "scheduled_at": "2026-03-02T09:00:00Z", "status": " CANCELED "}, {"postId": "b", "status": "cancelled"},
        {"data": {"id": "c", "status": "Draft"}}, {"id": "d", "data": {"id": "no"}}, {"data": None},
    ])  # fmt: skip
    assert posts["post_id"].tolist() == ["a", "b", "c", "d", pd.NA]
    assert posts["status"].tolist() == ["cancelled", "cancelled", "draft", pd.NA, pd.NA]
    assert posts["scheduled_for"][0] == NOW


def test_what_is_no_record_is_counted_and_the_list_fills_what_its_records_lack():
    columns = Columns("deliveries")
    columns.extend(
        [{"id": "a"}, "junk", None, 5, {"id": "b", "createdAt": "soon", "webhookId": "own"}], webhookId="asked"
    )
    frame = columns.frame()
    assert frame[["delivery_id", "webhook_id"]].to_numpy().tolist() == [["a", "asked"], ["b", "own"]]
    assert frame.attrs["unread"] == {"record": 3, "created_at": 1}


def test_bulk_results_say_the_error_in_words():
    """The code, and what else they say: `test_records.py`."""
    long = {"field": "content", "issue": "CONTENT_TOO_LONG", "detail": "300 of 280"}
    frame = build("bulk_results", [
        {"index": 0, "status": "FAILED", "errors": [long]}, {"index": 1, "status": "valid"},
        {"index": 2, "success": False, "error": "Content too long"},
    ])  # fmt: skip
    assert frame["status"].tolist() == ["failed", "valid", "failed"]
    assert frame["error_message"].tolist() == ["300 of 280", pd.NA, "Content too long"]


def test_an_error_object_of_a_delivery_is_one_line():
    log = build("deliveries", [{"error": {"code": "TIMEOUT", "message": "10 s"}}, {"error": "timeout"}, {"error": {}}])
    assert log["error"].tolist() == ["TIMEOUT: 10 s", "timeout", pd.NA]


def test_a_text_nested_a_thousand_deep_is_no_reason_to_fail():
    deep = []
    for _ in range(1000):
        deep = [deep]
    posts = build("posts", [{"id": deep, "content": deep, "status": deep, "platforms": [{"error": deep}, deep]}])
    assert posts["content"].notna().all()
    assert len(targets(posts)) == 2


NEVER = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999999Z"]


@pytest.mark.parametrize("beyond", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
@pytest.mark.parametrize("never", NEVER)
def test_a_time_at_an_end_of_the_calendar_is_none_in_every_way_of_reading(never, beyond):
    later = "2026-03-02T09:00:00Z"
    for values in ([never, later], [never, later.replace("Z", "+00:00")]):
        assert parse_times(values).tolist() == [pd.NaT, pd.Timestamp(later)]
    assert times_text([never, beyond]) == [None, None]
    frame = build("posts", [{"id": "p", "scheduledFor": never, "createdAt": later}])
    assert frame["scheduled_for"].isna().all()
    assert frame.attrs["unread"] == {"scheduled_for": 1}
    assert utc_text(never) is None
