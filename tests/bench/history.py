"""A delivery history of any length in the archive's own form, and what questions about it take.

Days are written by DuckDB, as `archive.sync` would have: same schema, order and compression.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import pandas as pd
from tests.bench.measure import measured

from voxops.archive import Archive
from voxops.archive.store import Store

DAYS = 30
QUESTION = """
SELECT created_at::DATE AS date, url, count(*) AS deliveries, count(*) FILTER (success) AS succeeded, sum(retry_count + 1) AS attempts,
  quantile_disc(latency_ms, 0.5) AS p50, quantile_disc(latency_ms, 0.95) AS p95, quantile_disc(latency_ms, 0.99) AS p99
FROM {deliveries} GROUP BY ALL ORDER BY ALL
"""


def write(root, rows, endpoints):
    """A history of 30 days: most deliveries fast and at once, some retried, some lost, latencies with a long tail."""
    rows //= DAYS
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SELECT setseed(0.5)")
        for day in pd.date_range("2026-01-01", periods=DAYS, freq="D"):
            path = root / "deliveries" / f"day={day:%Y-%m-%d}" / "part-0.parquet"
            path.parent.mkdir(parents=True)
            connection.execute(f"""
                COPY (
                  WITH drawn AS (
                    SELECT i, random() AS a, random() AS b, random() AS c, random() AS d, (random() * {endpoints})::BIGINT % {endpoints} AS hook
                    FROM range({rows}) t(i)
                  ), tried AS (
                    SELECT *, a < 0.93 AS good, CASE WHEN b < 0.9 THEN 0 ELSE (c * 5)::BIGINT END AS retries,
                           (40 - 120 * ln(1 - d * 0.99999))::BIGINT AS ms FROM drawn
                  )
                  SELECT 'dlv_' || md5((i + {day.value // 1000})::VARCHAR)[1:24] AS delivery_id, 'whk_' || hook AS webhook_id,
                    ['post.published', 'post.failed', 'post.created', 'post.scheduled'][1 + (c * 4)::BIGINT % 4] AS event_type,
                    'https://hooks.example/voxburst/' || hook AS url, good AS success,
                    CASE WHEN good THEN 200::BIGINT WHEN b < 0.3 THEN NULL ELSE [500, 502, 429][1 + (c * 3)::BIGINT % 3]::BIGINT END AS status_code,
                    CASE WHEN good OR b >= 0.3 THEN ms END AS latency_ms, retries AS retry_count,
                    CASE WHEN good THEN NULL ELSE 'The endpoint did not answer in time' END AS error, NULL::VARCHAR AS response_body,
                    make_timestamptz({day.value // 1000} + (i * 86400000000 // {rows})::BIGINT) AS created_at,
                    make_timestamptz({day.value // 1000} + (i * 86400000000 // {rows})::BIGINT + ms * 1000) AS delivered_at
                  FROM tried ORDER BY created_at DESC
                ) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 65536)
            """)
    store = Store(root)
    store.save({**store.state(), "read_at": {"deliveries": "2026-01-31T00:00:00+00:00"}})


def by_duckdb(root):
    """DuckDB's own answer, as one would ask it."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        files = f"read_parquet('{root}/deliveries/*/part-0.parquet', hive_partitioning = false)"
        return [list(row[2:]) for row in connection.sql(QUESTION.format(deliveries=files)).fetchall()]


def by_plain_pandas(root):
    """What people write: load the columns that are needed, group, count, take quantiles."""
    log = pd.read_parquet(root / "deliveries", columns=["url", "success", "latency_ms", "retry_count", "created_at"])
    groups = log.groupby([log["created_at"].dt.floor("D"), "url"])
    table = groups.agg(deliveries=("success", "size"), succeeded=("success", "sum"), attempts=("retry_count", "mean"))
    ranks = groups["latency_ms"].quantile([0.5, 0.95, 0.99], interpolation="lower").reset_index()
    assert len(ranks) == 3 * len(table)
    return [int(table["deliveries"].sum()), int(table["succeeded"].sum())]


def by_archive(root):
    """The same query over the archive's table."""
    found = Archive(root).sql(QUESTION.format(deliveries="deliveries"))
    return [[int(value) for value in row[2:]] for row in found.itertuples(index=False)]


TASKS = {"duckdb": by_duckdb, "plain": by_plain_pandas, "archive": by_archive}


def ask(task, root):
    """What a question takes; imports, and a question about nothing, come before."""
    with tempfile.TemporaryDirectory() as nothing:
        Store(Path(nothing)).save(Store(Path(nothing)).state())
        by_archive(Path(nothing))
    return measured(lambda: TASKS[task](Path(root)))
