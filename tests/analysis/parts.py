"""What the page docs/how-to/long-history.md counts elsewhere: its code, a log in files, and what pandas says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

import voxops as vx

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "long-history.md").read_text("utf-8")
COUNTS = ["deliveries", "succeeded", "attempts", "success_rate"]
SHARES = [0.5, 0.95, 0.99]


def blocks(language):
    """The code of the page in this language, such as ``{code-cell}``."""
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def write(log, folder):
    """Write a log as an archive does: a folder for each day."""
    for day, rows in log.groupby(log["created_at"].dt.strftime("%Y-%m-%d").fillna("unknown")):
        place = folder / f"day={day}"
        place.mkdir()
        rows.to_parquet(place / "part-0.parquet", index=False)


def by_url(table):
    """The counts of each receiver, in one order and with one dtype."""
    rows = table.assign(url=table["url"].astype("object").where(table["url"].notna(), "none")).set_index("url")
    return rows[COUNTS].astype("float64").sort_index()


def same_counts(found, log):
    """Fail unless the counts and rates are those of pandas, to the last digit."""
    expected = by_url(vx.deliveries.stats(log, by="endpoint"))
    pd.testing.assert_frame_equal(by_url(found), expected, check_exact=True, check_index_type=False)


def latencies(log):
    """Those that count: neither missing nor negative."""
    return log["latency_ms"][(log["latency_ms"] >= 0).fillna(False)].astype("float64")
