"""Counted where the data is, the statistics have the same digits as in pandas."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from tests.bench import history

import voxops as vx
from voxops.archive import Archive, query
from voxops.archive.store import Store
from voxops.frames.records import build

# Around the days on which clocks change, and where hours begin between those of UTC.
TIMES = ["2026-03-28T23:30:00Z", "2026-03-29T00:59:59.999999Z", "2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z",
         "2026-10-24T22:00:00Z", "2026-04-04T15:29:59Z", "2026-04-04T15:30:00Z", "2026-10-03T15:30:00Z"]  # fmt: skip
FAR = ["1969-12-31T23:50:00Z", "2250-01-01T00:00:00Z"]  # these days are counted in pandas
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Africa/Monrovia"]
EDGES = st.sampled_from([None, *TIMES, "2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z"])
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
        "createdAt": st.sampled_from([*TIMES, None]),
    }
)


@given(st.lists(RECORD, max_size=14), st.sampled_from([None, *FAR]), st.tuples(EDGES, EDGES), st.sampled_from(BY), st.sampled_from(ZONES))  # fmt: skip
def test_the_digits_are_those_of_pandas_whole_and_in_a_span(records, far, span, by, tz):
    since, until = span
    if since and until and until < since:
        since, until = until, since
    records += [{**record, "createdAt": far} for record in records[:3] if far]
    log = build("deliveries", [{"id": f"d{number}", **record} for number, record in enumerate(records)])
    begin, end = pd.Timestamp(since or "1900-01-01T00:00Z"), pd.Timestamp(until or "2300-01-01T00:00Z")
    inside = log["created_at"].isna() | log["created_at"].between(begin, end, inclusive="left")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        with store.writing():
            store.merge({"deliveries": log})
            store.save(store.state())
        found = Archive(Path(folder)).stats(by, since=since, until=until, tz=tz)
        pd.testing.assert_frame_equal(found, vx.deliveries.stats(log[inside], by, tz=tz))


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
