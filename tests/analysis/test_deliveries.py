"""The delivery history: what is counted, found and lost, and how much, by hand."""

from __future__ import annotations

import random

import pandas as pd
import pytest
from tests.analysis.makers import BAD, FLIGHT, OK, log_of

import voxops as vx
from voxops.analysis.statistics import DELIVERED_BY, deduplicate, delivery_state
from voxops.deliveries import duplicates, lost, outages, stats
from voxops.errors import PlanError

BY = [(), "hour", "day", "endpoint", ["endpoint", "event"], ["day", "webhook"], "week", ["month", "event"], "status"]


def test_counts_rates_and_quantiles_of_a_log_that_fits_on_a_page():
    log = log_of(
        {"latencyMs": 10}, {"latencyMs": 20, "retryCount": 2}, {**BAD, "latencyMs": 30, "retryCount": 5}, {**FLIGHT, "retryCount": 1},
        {"latencyMs": None},
    )  # fmt: skip
    assert stats(log).iloc[0].to_dict() == {
        "deliveries": 5, "succeeded": 3, "failed": 1, "in_flight": 1, "success_rate": 0.75,
        "delivered_by_1": 2 / 4, "delivered_by_2": 2 / 4, "delivered_by_3": 3 / 4, "attempts": 1 + 3 + 6 + 1 + 1, "attempts_mean": 12 / 5, "p50_ms": 20, "p95_ms": 30, "p99_ms": 30,
    }  # fmt: skip


def test_without_a_trace_of_attempts_what_did_not_succeed_has_failed():
    log = log_of(OK, BAD, FLIGHT, {"success": None})
    assert delivery_state(log).to_list() == ["succeeded", "failed", "in flight", "in flight"]
    assert delivery_state(log[["success"]]).to_list() == ["succeeded", "failed", "failed", "in flight"]


@pytest.mark.parametrize("by", BY)
def test_empty_and_single_row_logs_have_the_same_columns_and_dtypes(by):
    log = log_of(OK, BAD, FLIGHT, {"url": None})
    full, empty, single = (stats(part, by) for part in (log, log[:0], log[1:2]))
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)
    pd.testing.assert_series_equal(single.dtypes, full.dtypes)
    assert (len(single), len(empty)) == (1, 0 if by else 1)


@pytest.mark.parametrize("find", [outages, duplicates, lost])
def test_nothing_found_has_the_same_dtypes(find):
    full = find(log_of(*({**BAD, "at": 0, "id": f"d{n % 5}"} for n in range(9))))
    assert len(full)
    for part in (log_of(), log_of(OK)):
        pd.testing.assert_series_equal(find(part).dtypes, full.dtypes)
        assert find(part).empty


def test_a_group_without_a_settled_delivery_has_no_rate_and_one_without_an_endpoint_is_a_group():
    log = log_of({**FLIGHT, "url": "https://b.example"}, OK, {"url": None}, {**BAD, "url": None})
    table = stats(log, "endpoint")
    assert table[["url", "deliveries", "p50_ms", "in_flight", "success_rate"]].values.tolist() == [
        ["https://a.example", 1, 10, 0, 1], ["https://b.example", 1, pd.NA, 1, pd.NA], [pd.NA, 2, 10, 0, 0.5],
    ]  # fmt: skip
    assert table.loc[1, [*DELIVERED_BY, "p99_ms"]].isna().all()


@pytest.mark.parametrize(("by", "change"), [
    (["endpoint", "url"], {}), (["day", "day"], {}), ("colour", {}),
    *((name, {name: 1}) for name in ("latency_ms", "succeeded", *DELIVERED_BY)),
    *(("labels", {"labels": [label] * 5}) for label in (["a", "b"], {"a": 1})),
], ids=str)  # fmt: skip
def test_groups_that_make_no_sense_are_refused_by_name(by, change):
    with pytest.raises(PlanError, match=r"names a column twice|by='\w+'"):
        stats(log_of(*[OK] * 5).assign(**change), by)


def test_missing_columns_are_named():
    with pytest.raises(PlanError, match=r"missing: latency_ms.*ws\.deliveries"):
        stats(log_of(OK).drop(columns="latency_ms"))
    for function in (outages, duplicates, lost):
        with pytest.raises(PlanError, match="missing: created_at"):
            function(log_of(OK).drop(columns="created_at"))


@pytest.mark.parametrize(("by", "tz", "times", "groups"), [
    # The first and the last minute of a day of 23 hours and of one of 25, and of those after.
    ("day", "Europe/Berlin", ["2026-03-28T23:00Z", "2026-03-29T21:59Z", "2026-03-29T22:00Z", "2026-03-30T21:59Z"],
     {"2026-03-29T00:00:00+01:00": 2, "2026-03-30T00:00:00+02:00": 2}),
    ("day", "Europe/Berlin", ["2026-10-24T22:00Z", "2026-10-25T22:59Z", "2026-10-25T23:00Z"], {"2026-10-25T00:00:00+02:00": 2, "2026-10-26T00:00:00+01:00": 1}),
    # Cairo skips midnight on the 24th; both times are at 00:30 in Havana.
    ("day", "Africa/Cairo", ["2026-04-24T12:00Z", "2026-04-23T12:00Z"], {"2026-04-23T00:00:00+02:00": 1, "2026-04-24T01:00:00+03:00": 1}),
    ("day", "America/Havana", ["2026-11-01T04:30Z", "2026-11-01T05:30Z"], {"2026-11-01T00:00:00-04:00": 2}),
    # In Berlin a Sunday's last minute, Monday, Sunday's last minute in summer time, Monday, 1 April.
    ("week", "Europe/Berlin", EDGES := ["2026-03-01T22:59Z", "2026-03-01T23:00Z", "2026-03-29T21:59Z", "2026-03-29T22:00Z", "2026-03-31T22:00Z"],
     {"2026-02-23T00:00:00+01:00": 1, "2026-03-02T00:00:00+01:00": 1, "2026-03-23T00:00:00+01:00": 1, "2026-03-30T00:00:00+02:00": 2}),
    # Sunday the 8th begins at one o'clock in Havana, in the week of the 2nd.
    ("week", "America/Havana", ["2026-03-08T12:00Z", "2026-03-07T12:00Z"], {"2026-03-02T00:00:00-05:00": 2}),
    ("month", "Europe/Berlin", EDGES, {"2026-03-01T00:00:00+01:00": 4, "2026-04-01T00:00:00+02:00": 1}),
    # An hour that the clock goes through twice is two.
    ("hour", "Europe/Berlin", ["2026-10-25T00:10Z", "2026-10-25T00:50Z", "2026-10-25T01:10Z", "2026-10-25T02:00Z"],
     {"2026-10-25T02:00:00+02:00": 2, "2026-10-25T02:00:00+01:00": 1, "2026-10-25T03:00:00+01:00": 1}),
    ("hour", "Asia/Kolkata", ["2026-03-01T00:20Z", "2026-03-01T00:40Z"], {"2026-03-01T05:00:00+05:30": 1, "2026-03-01T06:00:00+05:30": 1}),
])  # fmt: skip
def test_a_span_begins_where_the_clocks_of_the_place_say(by, tz, times, groups):
    log = log_of(*({"createdAt": time} for time in times))
    table = stats(log, by, tz=tz)
    assert dict(zip([time.isoformat() for time in table[by]], table["deliveries"], strict=True)) == groups
    assert str(stats(log, by)[by].dtype) == "datetime64[us, UTC]"
    log.attrs["tz"] = tz  # that of the workspace
    pd.testing.assert_frame_equal(stats(log, by), table)


def test_an_outage_is_found_with_its_edges_and_its_symptom():
    silent, late = {**BAD, "statusCode": None, "error": "no answer"}, {"retryCount": 2}
    log = log_of(*[OK] * 20, *[BAD] * 6, OK, *[silent] * 3, late, late, *[OK] * 20)
    (found,) = outages(log).to_dict("records")
    at = log["created_at"]
    assert found == {
        "url": "https://a.example", "start": at[20], "end": at[31], "recovered_at": at[32],
        "deliveries": 12, "failed_first": 11, "lost": 9, "failure_rate": pytest.approx(11 / 12), "symptom": "HTTP 503",
    }  # fmt: skip


def test_an_outage_that_goes_on_has_not_recovered_and_one_healed_by_retries_lost_nothing():
    log = log_of(*[OK] * 5, *[{"retryCount": 1}] * 7)
    (found,) = outages(log).to_dict("records")
    assert found["recovered_at"] is pd.NaT
    assert (found["lost"], found["symptom"]) == (0, "delivered by retries")
    (found,) = outages(log_of(*[{**BAD, "statusCode": None, "error": None}] * 7)).to_dict("records")
    assert (found["lost"], found["symptom"]) == (7, "no answer")


def test_single_failures_are_never_an_outage_however_many():
    rng = random.Random(3)
    assert outages(log_of(*(BAD if rng.random() < 0.05 else OK for _ in range(5_000)))).empty
    assert outages(log_of(*[FLIGHT] * 9, *[{**BAD, "url": None}] * 9, *[{**BAD, "createdAt": None}] * 9)).empty


def test_a_long_silence_cuts_an_outage_and_endpoints_are_apart():
    rows = [{**BAD, "at": number} for number in (*range(6), *range(600, 606))]
    log = log_of(*rows)
    # 595 minutes are exactly the pause that is allowed.
    assert [len(outages(log, gap=gap)) for gap in ("12h", "595min", "594min")] == [1, 1, 2]
    assert len(outages(log)) == 2
    assert outages(log_of(*({**row, "url": f"https://{number % 4}.example"} for number, row in enumerate(rows)))).empty


def test_duplicates_are_recognised_by_their_evidence():
    log = log_of(
        {"id": "a", "responseBody": '{"received":"evt_1"}'}, {"id": "b", "responseBody": '{"received":"evt_1"}'},
        {"id": "c", "at": 50, "responseBody": "OK"}, {"id": "d", "at": 50, "responseBody": "OK", **BAD},
        {"id": "e", "at": 60}, {"id": "e", "at": 60},
        {"id": "f", "at": 70, "responseBody": "evt_2"}, {"id": "g", "at": 70, "responseBody": "evt_3"},
        {"id": "h", "at": 80, "eventType": "x"}, {"id": "i", "at": 80},
        {"id": "j", "at": 81, "webhookId": "other"}, {"id": "k", "at": 81},
    )  # fmt: skip
    found = duplicates(log)
    assert found[["evidence", "copies", "delivered", "delivery_ids"]].values.tolist() == [
        ["same event", 2, 2, ["a", "b"]], ["same instant", 2, 1, ["c", "d"]], ["same delivery", 2, 2, ["e", "e"]],
    ]  # fmt: skip
    assert duplicates(log, possible=False)["evidence"].tolist() == ["same event", "same delivery"]
    events = log_of({"at": 0}, {"at": 5}, {"at": 9}).assign(event_id=["evt_1", "evt_1", "evt_2"])
    assert duplicates(events)[["evidence", "copies"]].to_numpy().tolist() == [["same event", 2]]


def test_a_word_of_the_receivers_own_is_no_event():
    """A receiver that answers each delivery alike says of none that it came before."""
    said = '{"evt_received":true,"next":"evt_queue_of_acme"}'
    log = log_of({"responseBody": said}, {"responseBody": said}, {"responseBody": said, **BAD})
    assert duplicates(log, possible=False).empty
    assert lost(log)["delivery_id"].tolist() == ["d2"]


def test_lost_deliveries_are_what_redelivery_is_for():
    log = log_of(
        OK, {**BAD, "id": "lost"}, {**BAD, "id": "rejected", "statusCode": 422}, {**BAD, "id": "busy", "statusCode": 429},
        {**BAD, "id": "early", "statusCode": 425}, {**BAD, "id": "silent", "statusCode": None}, {**BAD, "id": "young", "at": 47 * 60},
        {**FLIGHT, "id": "flying"}, {**BAD, "id": "twice", "at": 5}, {"id": "twice", "at": 6},
        {**BAD, "id": "other way", "at": 7, "responseBody": "evt_9"}, {"id": "its copy", "at": 8, "responseBody": "evt_9"},
    )  # fmt: skip
    found = lost(log)
    assert dict(zip(found["delivery_id"], found["reason_code"], strict=True)) == {
        "lost": "receiver_failed", "rejected": "rejected", "busy": "receiver_failed", "early": "receiver_failed", "silent": "no_answer",
    }  # fmt: skip
    assert set(found.columns) == {*log.columns, "why", "reason_code"}
    assert log.loc[found.index, "delivery_id"].tolist() == found["delivery_id"].tolist()
    assert "young" in set(lost(log, older_than="1h")["delivery_id"])
    soon = lost(log, now=pd.Timestamp("2026-03-01T12:30Z"), older_than="0h")
    assert soon["delivery_id"].tolist() == found["delivery_id"].tolist()
    redelivered = vx.plan_redeliver(found).frame
    assert (redelivered["eligible"] == (found["reason_code"] != "rejected").to_numpy()).all(), "one rule for both"
    assert found.attrs["fetched_at"] == log.attrs["fetched_at"]


def test_without_a_known_time_the_latest_delivery_is_now():
    log = log_of({**BAD, "at": 0}, {**OK, "at": 26 * 60})
    log.attrs = {}
    assert [len(lost(part)) for part in (log, log[:0], log[1:])] == [1, 0, 0]


@pytest.mark.parametrize("find", [stats, outages, lost])
def test_a_delivery_of_two_logs_that_overlap_counts_once(find):
    """Three failures among twenty successes are no outage; six would be one. Labels of rows are there twice, too."""
    log = log_of(*({**BAD, "at": n} for n in range(3)), *({"at": 60 + n} for n in range(20)))
    joined = pd.concat([log.head(15), log])
    joined.attrs = log.attrs
    pd.testing.assert_frame_equal(find(joined).reset_index(drop=True), find(log).reset_index(drop=True))


def test_of_a_delivery_that_was_read_twice_the_later_attempt_counts():
    before, after = log_of(BAD, BAD), log_of({"retryCount": 2}, {**BAD, "retryCount": 3})
    for parts in ([before, after], [after, before]):
        once = deduplicate(pd.concat(parts))
        assert once[["success", "retry_count"]].to_numpy().tolist() == [[True, 2], [False, 3]]
    unknown = log_of(OK, OK).assign(delivery_id=pd.array([None, None], dtype="string"))
    assert len(deduplicate(unknown)) == 2, "it is unknown whether they are one"
    nameless = unknown.drop(columns="delivery_id")
    assert deduplicate(nameless) is nameless


def test_success_may_be_text_as_a_csv_file_read_as_text_has_it():
    log = log_of(OK, OK, BAD)
    pd.testing.assert_frame_equal(stats(log.assign(success=["True", "yes", "0"])), stats(log))
    with pytest.raises(PlanError, match="row 2: success is 'perhaps'; it must be True or False"):
        stats(log.assign(success=["True", "False", "perhaps"]))
