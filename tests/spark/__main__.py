"""``make spark``: the Spark of `docs/how-to/long-history.md`, as it stands there, on Spark itself: its exact figures are those of pandas.

Not a part of ``make test``: Spark is 450 MB and wants Java.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.analysis.makers import gappy
from tests.analysis.parts import SHARES, blocks, latencies, same_counts, write

PLACE = "/data/voxburst/deliveries"  # of the archive, as the page names it


def main() -> None:
    """Write a log as files, run the page's code, compare."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    log = gappy()
    known = latencies(log)
    with tempfile.TemporaryDirectory(prefix="voxops-spark-") as folder:
        write(log, Path(folder))
        spark = (
            SparkSession.builder.master("local[2]").appName("voxops").config("spark.ui.enabled", "false").getOrCreate()
        )
        try:
            names: dict[str, Any] = {"spark": spark}
            (code,) = blocks("python")
            exec(code.replace(PLACE, folder), names)
        finally:
            spark.stop()
    stats = names["stats"]
    same_counts(stats, log)
    for url, exact, approximate in stats[["url", "exact", "approximate"]].itertuples(index=False):
        mine = known[log["url"].isna() if pd.isna(url) else (log["url"] == url).fillna(False)]
        assert list(exact) == pytest.approx([mine.quantile(share) for share in SHARES]), url
        assert all(abs((mine <= found).mean() - share) < 0.02 for found, share in zip(approximate, SHARES)), url
    print(f"spark: endpoints={len(stats)} counts=exact percentile=exact percentile_approx=within 0.02")


if __name__ == "__main__":
    main()
