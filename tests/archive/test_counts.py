"""Counted where the data is, the statistics have the same digits as in pandas."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bench import history

import voxops as vx
from voxops.archive import Archive, query
from voxops.archive.store import Store
from voxops.frames.records import build

# Around the days on which clocks change, and where hours begin between those of UTC.
TIMES = ["2026-03-28T23:30:00Z", "2026-03-29T00:59:59.999999Z", "2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z",
         "2026-10-24T22:00:00Z", "2026-04-04T15:29:59Z", "2026-04-04T15:30:00Z", "2026-10-03T15:30:00Z", None]  # fmt: skip
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]
BY = [(), "day", "hour", "endpoint", ["endpoint", "event"], ["day", "endpoint"], ["day", "hour", "webhook"], "status", "success",
      "created_at", "error", ["endpoint", "day", "event", "webhook", "status"], "week", ["month", "endpoint"], ["day", "week"]]  # fmt: skip
RECORD = st.fixed_dictionaries(
    {
        "webhookId": st.sampled_from(["w1", "w2", None]),
        "eventType": st.sampled_from(["post.published", "Ä", ""]),
        "url": st.sampled_from(["https://a", "https://B", "https://a'; --", None]),
        "success": st.sampled_from([True, False, None]),
        "statusCode": st.sampled_from([200, 500, None]),
        "latencyMs": st.sampled_from([0, 1, 2, 10, -5, 2**62, None]),
        "retryCount": st.sampled_from([0, 1, 7, -1, 2**63 - 1, None]),
        "error": st.sampled_from(["timeout", None, None]),
        "createdAt": st.sampled_from(TIMES),
    }
)


def filled(root: Path, records: list[dict[str, Any]]) -> tuple[Archive, pd.DataFrame]:
    log = build("deliveries", [{"id": f"d{number}", **record} for number, record in enumerate(records)])
    store = Store(root)
    with store.writing():
        store.merge({"deliveries": log})
        store.save(store.state())
    return Archive(root), log


@given(st.lists(RECORD, max_size=14), st.sampled_from(BY), st.sampled_from(ZONES))
def test_the_digits_are_those_of_pandas(records, by, tz):
    with tempfile.TemporaryDirectory() as folder:
        archive, log = filled(Path(folder), records)
        pd.testing.assert_frame_equal(archive.stats(by, tz=tz), vx.deliveries.stats(log, by, tz=tz))


SPANS = st.tuples(*[st.sampled_from([None, *filter(None, TIMES), "2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z"])] * 2)


@given(st.lists(RECORD, max_size=14), SPANS, st.sampled_from(BY))
def test_a_span_counts_what_was_created_in_it(records, span, by):
    since, until = span
    if since and until and until < since:
        since, until = until, since
    with tempfile.TemporaryDirectory() as folder:
        archive, log = filled(Path(folder), records)
        inside = log["created_at"].isna()
        inside |= log["created_at"].ge(pd.Timestamp(since or "1900-01-01T00:00Z")) & log["created_at"].lt(
            pd.Timestamp(until or "2100-01-01T00:00Z")
        )
        wanted = vx.deliveries.stats(log[inside], by)
        pd.testing.assert_frame_equal(archive.stats(by, since=since, until=until), wanted)


def some(count: int, **changed: Any) -> list[dict[str, Any]]:
    return [
        {"webhookId": "w1", "eventType": "e", "url": f"https://{number % 3}", "success": number % 5 > 0, "statusCode": 200,
         "latencyMs": number % 40, "retryCount": number % 2, "createdAt": f"2026-03-0{1 + number % 3}T0{number % 10}:00:00Z", **changed}
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "time", ["1969-12-31T23:50:00Z", pytest.param("2250-01-01T00:00:00Z", marks=pytest.mark.release)]
)
def test_days_long_before_and_after_are_counted_in_pandas_with_the_same_digits(tmp_path, time):
    archive, log = filled(tmp_path, [*some(20), *some(5, createdAt=time), *some(2, createdAt=None)])
    for by in BY:
        counted = archive.stats(by, tz="Africa/Monrovia")
        pd.testing.assert_frame_equal(counted, vx.deliveries.stats(log, by, tz="Africa/Monrovia"))
    later = log[~(log["created_at"] < pd.Timestamp("2026-03-02T03:00Z"))]
    pd.testing.assert_frame_equal(archive.stats("day", since="2026-03-02T03:00Z"), vx.deliveries.stats(later, "day"))
    early = log[~(log["created_at"] >= pd.Timestamp("2026-03-02T03:00Z"))]
    pd.testing.assert_frame_equal(archive.stats("day", until="2026-03-02T03:00Z"), vx.deliveries.stats(early, "day"))


def test_a_damaged_day_is_named_and_what_to_do(tmp_path):
    archive, _ = filled(tmp_path, some(300))
    damaged = archive.files("deliveries")[0]
    damaged.write_bytes(b"not Parquet at all")
    for ask in (archive.stats, lambda: archive.sql("SELECT count(*) FROM deliveries")):
        with pytest.raises(vx.errors.ConfigError, match=re.escape(str(damaged))) as caught:
            ask()
        assert "sync(full=True)" in str(caught.value)


def test_what_does_not_fit_into_memory_is_not_put_into_the_folder_that_one_works_in(tmp_path, monkeypatch):
    history.write(tmp_path / "archive", 300_000, 20)
    archive = Archive(tmp_path / "archive")
    expected = archive.stats(["day", "endpoint"])
    (tmp_path / ".tmp").write_text("mine")  # where DuckDB would put it
    monkeypatch.chdir(tmp_path)
    # each thread needs some of it, and how many there are depends on the machine
    monkeypatch.setattr(duckdb, "connect", partial(duckdb.connect, config={"threads": 1}))
    monkeypatch.setattr(query, "_MEMORY", "29MB")
    pd.testing.assert_frame_equal(archive.stats(["day", "endpoint"]), expected)
