"""A delivery history of any length in the archive's own form, and what questions about it take.

Days are written by DuckDB, as `archive.sync` would have: same schema, order and compression. Each figure is taken in a process of
its own, so that memory is what this question needed.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pandas as pd
from tests.bench.measure import peak, run_python

from voxops.archive import Archive
from voxops.archive.store import Store

DAYS = 30
QUESTION = """
SELECT created_at::DATE AS date, url, count(*) AS deliveries, count(*) FILTER (success) AS succeeded, sum(retry_count + 1) AS attempts,
  quantile_disc(latency_ms, 0.5) AS p50, quantile_disc(latency_ms, 0.95) AS p95, quantile_disc(latency_ms, 0.99) AS p99
FROM {deliveries} GROUP BY ALL ORDER BY ALL
"""


def write_day(connection: duckdb.DuckDBPyConnection, root: Path, day: pd.Timestamp, rows: int, endpoints: int) -> None:
    """One day: most deliveries fast and at once, some retried, some lost, latencies with a long tail."""
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


def write(root: Path, rows: int, endpoints: int) -> None:
    """A history of 30 days."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SELECT setseed(0.5)")
        for day in pd.date_range("2026-01-01", periods=DAYS, freq="D"):
            write_day(connection, root, day, rows // DAYS, endpoints)
    store = Store(root)
    store.save({**store.state(), "read_at": {"deliveries": "2026-01-31T00:00:00+00:00"}})


def by_duckdb(root: Path) -> Any:
    """DuckDB's own answer, as one would ask it."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        files = f"read_parquet('{root}/deliveries/*/part-0.parquet', hive_partitioning = false)"
        return [list(row[2:]) for row in connection.sql(QUESTION.format(deliveries=files)).fetchall()]


def by_plain_pandas(root: Path) -> Any:
    """What people write: load the columns that are needed, group, count, take quantiles."""
    log = pd.read_parquet(root / "deliveries", columns=["url", "success", "latency_ms", "retry_count", "created_at"])
    groups = log.groupby([log["created_at"].dt.floor("D"), "url"])
    table = groups.agg(deliveries=("success", "size"), succeeded=("success", "sum"), attempts=("retry_count", "mean"))
    ranks = groups["latency_ms"].quantile([0.5, 0.95, 0.99], interpolation="lower").reset_index()
    assert len(ranks) == 3 * len(table)
    return [int(table["deliveries"].sum()), int(table["succeeded"].sum())]


def by_archive(root: Path) -> Any:
    """The same query over the archive's table."""
    found = Archive(root).sql(QUESTION.format(deliveries="deliveries"))
    return [[int(value) for value in row[2:]] for row in found.itertuples(index=False)]


def sync_day(root: Path) -> Any:
    """One further day as a sync takes it in: block by block merged into the file of the day."""
    with duckdb.connect() as connection, tempfile.TemporaryDirectory() as aside:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.sql(f"SELECT count(*) FROM read_parquet('{root}/deliveries/*/part-0.parquet')").fetchall()[0][
            0
        ]
        day = pd.Timestamp(
            max(path.name for path in (root / "deliveries").iterdir()).removeprefix("day=")
        ) + pd.Timedelta("1D")
        write_day(connection, Path(aside), day, min(rows // DAYS, 200_000), 3)
        log = Archive(aside).deliveries()
    store = Store(root)
    with store.writing():
        for at in range(0, len(log), 50_000):
            store.merge("deliveries", log.iloc[at : at + 50_000])
    return len(log)


TASKS = {"duckdb": by_duckdb, "plain": by_plain_pandas, "archive": by_archive, "sync": sync_day}


def measured(task: str, root: Path) -> dict[str, Any]:
    """Seconds and memory of a task, and what it found, in a process of its own; imports, and a question about nothing, come before."""
    return dict(json.loads(run_python("-m", "tests.bench.history", task, str(root))))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def figures(rows: int, endpoints: int, times: int, tasks: Sequence[str]) -> dict[str, Any]:
    """What a question takes, and a day more; the history is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="voxops-history-") as folder:
        root = Path(folder)
        begun = time.perf_counter()
        write(root, rows, endpoints)
        found: dict[str, Any] = {
            "rows": rows,
            "endpoints": endpoints,
            "written_s": round(time.perf_counter() - begun, 1),
            "parquet_mb": round(size(root / "deliveries") / 1e6, 1),
        }
        for task in tasks:
            found[task] = _medians([measured(task, root) for _ in range(times)])
        found["archive"] = _medians([measured("archive", root) for _ in range(times)])
        found["same_digits"] = all(found[task]["found"] == found["archive"]["found"] for task in {*tasks} - {"plain"})
        found["sync"] = _medians([measured("sync", root)])
    for task in (*tasks, "archive"):
        found[task].pop("found")
    return found


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure; what was found is the same each time."""
    assert all(run["found"] == runs[0]["found"] for run in runs)
    medians = {name: round(median(run[name] for run in runs), 3) for name in ("s", "cpu_s", "peak_mb")}
    return medians | {"found": runs[0]["found"]}


def main(task: str, root: Path) -> None:
    """Do a task and print what it took."""
    with tempfile.TemporaryDirectory() as nothing:
        Store(Path(nothing)).save(Store(Path(nothing)).state())
        by_archive(Path(nothing))
    before = (time.perf_counter(), time.process_time())
    found = TASKS[task](root)
    wall, cpu = time.perf_counter() - before[0], time.process_time() - before[1]
    most = peak() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": wall, "cpu_s": cpu, "peak_mb": most, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
