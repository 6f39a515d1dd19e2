"""``make spark``: the Spark of `docs/how-to/past-one-machine.md`, as it stands there, on Spark itself, over hostile records: the digits of pandas.

Not a part of ``make test``: Spark is 450 MB and wants Java. What it does to frames is in `tests/analysis/test_cluster.py`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession
from tests.analysis.makers import history
from tests.analysis.page import PLACE, block

import voxops as vx
from voxops.analysis.statistics import finish
from voxops.archive.store import Store

ROWS, DAYS = 6_000, 12


def same(name: str, found: pd.DataFrame, expected: pd.DataFrame) -> bool:
    """Say whether two tables are equal to the last digit."""
    try:
        pd.testing.assert_frame_equal(found.astype(expected.dtypes.to_dict()), expected, check_exact=True)
    except AssertionError as error:
        print(f"spark: {name}: differs: {error}", flush=True)
        return False
    print(f"spark: {name}: {len(expected)} rows, equal to the last digit", flush=True)
    return True


def main() -> int:
    """Write an archive, ask Spark twice, compare."""
    os.environ["PYSPARK_PYTHON"] = sys.executable  # its workers need voxops, too
    log = history(ROWS, DAYS)
    with tempfile.TemporaryDirectory(prefix="voxops-spark-") as folder:
        store = Store(Path(folder))
        with store.writing():
            store.merge({"deliveries": log})
        spark = (
            SparkSession.builder.master("local[2]").appName("voxops").config("spark.ui.enabled", "false").getOrCreate()
        )
        try:
            names = {"spark": spark}
            exec(block("Spark", "python").replace(PLACE, folder), names)
            good = same("mapInPandas", names["stats"], vx.deliveries.stats(log, by="endpoint"))
            spark.read.parquet(f"{folder}/deliveries").createOrReplaceTempView("deliveries")
            query = block("The same count in a warehouse", "{code-cell}").split('"""')[1]
            counts = spark.sql(query).toPandas()
            stats = finish(counts.astype({"attempts": "Int64", "latency_ms": "Int64", "deliveries": "Int64"}))
            good &= same("the GROUP BY", stats, vx.deliveries.stats(log, by=["endpoint"]))
        finally:
            spark.stop()
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
