"""The statistics past one machine: Dask with two workers, DuckDB, and what Spark's mapInPandas would do, equal to the last digit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.analysis.makers import failures, history
from tests.analysis.page import PLACE, block

import voxops as vx
from voxops.analysis.causes import CAUSES, cause_partial, causes, finish_causes
from voxops.analysis.statistics import finish, merge, partial
from voxops.archive import Archive, read_part
from voxops.archive.store import Store
from voxops.frames.records import targets

ROWS, DAYS = 6_000, 12
GROUPINGS = [
    ["endpoint", "event"],
    *(pytest.param(by, marks=pytest.mark.release) for by in ([], ["day"], ["hour", "webhook"])),
]
# Warnings of Dask's own start and stop, not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Deliveries with every kind of gap: in flight, without latency, negative latency, without webhook or time."""
    log = history(ROWS, days=DAYS).copy()
    number = pd.Series(range(ROWS))
    log["latency_ms"] -= 60
    log.loc[number % 7 == 0, "webhook_id"] = pd.NA
    log.loc[number % 2000 == 1999, "created_at"] = pd.NaT
    return log


@pytest.fixture(scope="module")
def posts() -> pd.DataFrame:
    posts = failures(1, 400, ("failed", "published"))  # what is under way depends on when it was read
    return posts.assign(created_at=posts["updated_at"])


@pytest.fixture(scope="module")
def archive(log: pd.DataFrame, posts: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    path = tmp_path_factory.mktemp("history")
    store = Store(path)
    expanded = targets(posts)
    created = posts.set_index("post_id")["created_at"].loc[expanded["post_id"]].array
    with store.writing():
        store.merge({"deliveries": log, "posts": posts, "targets": expanded.assign(created_at=created)})
    return Archive(path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two worker processes; the numbers cross a process boundary on their way."""
    import distributed

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local,
        distributed.Client(local) as client,
    ):
        yield client


def tree(parts: list[Any], join: Callable[..., Any], width: int = 4) -> Any:
    """Merge delayed partials a few at a time, level by level, so that no worker ever holds them all."""
    import dask

    while len(parts) > 1:
        parts = [dask.delayed(join)(parts[at : at + width]) for at in range(0, len(parts), width)]
    return parts[0]


def count(path: Path, by: list[str]) -> pd.DataFrame:
    """The work on one file."""
    return partial(read_part(path), by)


def count_causes(path: Path) -> pd.DataFrame:
    """The work on one file of targets."""
    return cause_partial(vx.triage(read_part(path)))


@pytest.mark.parametrize("by", GROUPINGS, ids=str)
def test_files_on_two_workers_give_the_same_digits(cluster, archive, log, by):
    import dask

    parts = [dask.delayed(count)(path, by) for path in archive.files("deliveries")]
    assert len(parts) > DAYS
    table = finish(tree(parts, merge).compute())
    assert len(cluster.scheduler_info()["workers"]) == 2
    pd.testing.assert_frame_equal(table, vx.deliveries.stats(log, by=by), check_exact=True)
    pd.testing.assert_frame_equal(archive.stats(by=by), table, check_exact=True)


def test_the_page_says_how_two_workers_count(cluster, archive, log):
    """The code of docs/how-to/past-one-machine.md, as it is there; its functions travel to the workers."""
    page = block("Dask", "python").replace(PLACE, str(archive.path))
    page = page.replace("tcp://scheduler:8786", cluster.scheduler.address).replace('since="365D"', 'since="3650D"')
    names: dict[str, Any] = {"__name__": "page"}
    try:
        exec(page, names)
    finally:
        if "client" in names:
            names["client"].close()
    pd.testing.assert_frame_equal(names["stats"], vx.deliveries.stats(log, by=["day", "endpoint"]), check_exact=True)


@pytest.mark.release
def test_a_dask_frame_gives_the_same_digits(cluster, archive, log):
    import dask
    from dask import dataframe

    frame = dataframe.read_parquet([str(path) for path in archive.files("deliveries")], dtype_backend="numpy_nullable")
    parts = [dask.delayed(partial)(part, ["endpoint"]) for part in frame.to_delayed()]
    table = finish(tree(parts, merge).compute())
    expected = vx.deliveries.stats(log, by="endpoint")
    pd.testing.assert_frame_equal(table.astype({"url": expected["url"].dtype}), expected, check_exact=True)


@pytest.mark.release
def test_causes_on_two_workers_give_the_same_digits(cluster, archive, posts):
    import dask

    parts = [dask.delayed(count_causes)(path) for path in archive.files("targets")]
    table = finish_causes(tree(parts, CAUSES.merge).compute())
    pd.testing.assert_frame_equal(table, causes(vx.triage(vx.targets(posts))), check_exact=True)
    pd.testing.assert_frame_equal(archive.causes(), table, check_exact=True)


def map_in_pandas(
    function: Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]], tables: list[pa.Table]
) -> pd.DataFrame:
    """Emulates Spark's ``mapInPandas``: Arrow batches in, frames through the function, Arrow out, with Arrow's own dtypes."""
    batches = (
        pa.Table.from_batches([batch]).to_pandas() for table in tables for batch in table.to_batches(max_chunksize=500)
    )
    out = [pa.Table.from_pandas(frame, preserve_index=False) for frame in function(batches)]
    return pa.concat_tables(out).to_pandas()


@pytest.mark.release
def test_as_spark_would_run_it(log, archive):
    def count(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield partial(batch, ["endpoint"]).astype({"url": "str", "state": "str"})

    columns = ["url", "success", "status_code", "latency_ms", "retry_count", "error", "created_at"]
    tables = [pq.read_table(path, columns=columns, partitioning=None) for path in archive.files("deliveries")]
    table = finish(merge([map_in_pandas(count, tables)]))
    expected = vx.deliveries.stats(log, by="endpoint")
    pd.testing.assert_frame_equal(table.astype(expected.dtypes.to_dict()), expected, check_exact=True)
