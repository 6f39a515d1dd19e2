"""Outages, copies and losses in a history of 100,000 deliveries, counted once more in SQL."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from voxops import deliveries
from voxops.deliveries import duplicates, outages
from voxops.frames.records import build

COUNT = 100_000
NOW = pd.Timestamp("2026-03-02T00:00Z")
URLS = np.array([f"https://hooks.example/{name}" for name in "abcd"])
EVENTS = np.array(["post.published", "post.failed", "post.created"])
# Endpoint, from, until, share of failing first attempts: what the generator puts in.
DOWN = (("a", "2026-02-03T10:00Z", "2026-02-03T14:00Z", 0.9), ("c", "2026-02-20T00:00Z", "2026-02-21T00:00Z", 1.0))


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Thirty days to four endpoints; 1 % fail anywhere, nearly all in the outages; some events come twice, some are lost."""
    rng = np.random.default_rng(11)
    url = rng.integers(0, 4, COUNT)
    at = NOW - pd.to_timedelta(rng.integers(0, 30 * 86_400_000, COUNT), unit="ms")
    trouble = np.full(COUNT, 0.01)
    for name, begin, end, share in DOWN:
        trouble[(URLS[url] == f"https://hooks.example/{name}") & (at >= begin) & (at < end)] = share
    failed_first = rng.random(COUNT) < trouble
    lost = failed_first & (rng.random(COUNT) < 0.4)
    flying = rng.random(COUNT) < 0.002
    number = np.where(
        rng.random(COUNT) < 0.01, rng.integers(0, COUNT, COUNT), np.arange(COUNT)
    )  # 1 % hold another's event
    status = np.where(lost, rng.choice([500, 503, 429, 422, 408], COUNT), 200)
    silent = lost & (rng.random(COUNT) < 0.3)
    named = rng.random(COUNT) < 0.8
    frame = pd.DataFrame(
        {
            "delivery_id": pd.array([f"del_{n}" for n in range(COUNT)], dtype="string"),
            "webhook_id": pd.array([f"wh_{n}" for n in url], dtype="string"),
            "event_type": pd.array(EVENTS[number % 3], dtype="string"),
            "url": pd.array(URLS[url], dtype="string"),
            "success": pd.array(~lost, dtype="boolean"),
            "status_code": pd.array(status, dtype="Int64"),
            "latency_ms": pd.array(rng.integers(20, 9_000, COUNT), dtype="Int64"),
            "retry_count": pd.array(
                np.where(lost, 5, np.where(failed_first, rng.integers(1, 5, COUNT), 0)), dtype="Int64"
            ),
            "error": pd.array(np.where(lost, "no luck", None), dtype="string"),
            "response_body": pd.array(
                np.where(named, [f'{{"received":"evt_{n}"}}' for n in number], None), dtype="string"
            ),
            "created_at": pd.DatetimeIndex(at).as_unit("us"),
        }
    )
    frame.loc[silent, "status_code"] = pd.NA
    frame.loc[flying, ["success", "status_code", "latency_ms", "error", "response_body"]] = pd.NA
    frame.loc[flying, "retry_count"] = 0
    return pd.concat([frame, frame.sample(50, random_state=1)], ignore_index=True)  # a page that was listed twice


def sql(query: str, **tables: pd.DataFrame) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, table in tables.items():
            connection.register(name, table)
        return connection.execute(query).df()


def test_sql_finds_the_same_copies(log):
    found = duplicates(log)
    theirs = sql(
        """
        WITH named AS (SELECT *, nullif(regexp_extract(coalesce(response_body, ''), 'evt_\\w+'), '') AS event FROM log),
        once AS (SELECT * FROM named QUALIFY row_number() OVER (PARTITION BY delivery_id) = 1)
        SELECT 'same delivery' AS evidence, count(*) AS copies, count(*) FILTER (success) AS delivered
        FROM named GROUP BY delivery_id HAVING count(*) > 1
        UNION ALL
        SELECT 'same event', count(*), count(*) FILTER (success)
        FROM once WHERE event IS NOT NULL GROUP BY webhook_id, event HAVING count(*) > 1
        UNION ALL
        SELECT 'same instant', count(*), count(*) FILTER (success)
        FROM once GROUP BY webhook_id, event_type, created_at
        HAVING count(*) > 1 AND count(DISTINCT event) <= 1 AND count(event) < count(*)
        """,
        log=log,
    )
    counts = ["evidence", "copies", "delivered"]
    assert len(found[found["evidence"] == "same delivery"]) == 50
    assert sorted(found[counts].itertuples(index=False, name=None)) == sorted(
        theirs[counts].itertuples(index=False, name=None)
    )


def test_sql_finds_the_same_losses(log):
    found = deliveries.lost(log, now=NOW)
    theirs = sql(
        """
        WITH named AS (SELECT *, nullif(regexp_extract(coalesce(response_body, ''), 'evt_\\w+'), '') AS event FROM log)
        SELECT DISTINCT delivery_id,
               CASE WHEN status_code BETWEEN 400 AND 499 AND status_code NOT IN (408, 429) THEN 'rejected'
                    WHEN status_code IS NULL THEN 'no_answer' ELSE 'receiver_failed' END AS why
        FROM named AS n
        WHERE NOT success AND created_at <= TIMESTAMPTZ '2026-03-01 00:00:00+00'
          AND NOT EXISTS (SELECT 1 FROM named AS m WHERE m.success AND m.webhook_id = n.webhook_id AND m.event = n.event)
        """,
        log=log,
    )
    assert len(found) > 500
    assert found["delivery_id"].is_unique
    assert set(zip(found["delivery_id"], found["reason_code"], strict=True)) == set(
        zip(theirs["delivery_id"], theirs["why"], strict=True)
    )
    assert found["created_at"].is_monotonic_increasing


def test_an_outage_of_which_nothing_was_delivered_is_not_called_delivered_by_retries():
    times = pd.date_range("2026-03-01T00:00Z", periods=12, freq="5min")
    records = [
        {"id": f"d{n}", "webhookId": "w", "eventType": "post.failed", "url": "https://a.example", "success": n >= 6 and n != 7,
         "latencyMs": 30_000, "retryCount": 0, "createdAt": at.isoformat()}
        for n, at in enumerate(times)
    ]  # fmt: skip
    (outage,) = outages(build("deliveries", records[:7]), at_least=3).to_dict("records")
    assert (outage["lost"], outage["symptom"]) == (6, "no answer")
