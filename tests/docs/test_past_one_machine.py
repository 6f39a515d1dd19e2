"""The Dask of docs/how-to/long-history.md, as it stands there, on two workers; the Spark of the page runs by `make spark`."""

from __future__ import annotations

import pytest
from tests.analysis.parts import blocks, same_counts

BEGINNING, *_, FILES, COUNTS, PERCENTILES = blocks("{code-cell}")
# Warnings of Dask's own start and stop, not ours.
pytestmark = [
    pytest.mark.release,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes; the numbers cross a process boundary on their way."""
    import distributed

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local,
        distributed.Client(local) as client,
    ):
        yield client


def test_the_page_counts_its_archive_as_pandas_does(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {}
    for code in (BEGINNING, FILES, COUNTS, PERCENTILES):
        exec(code, found)
    same_counts(found["stats"].reset_index(), found["archive"].deliveries())
    found["ws"].close()
    assert len(cluster.scheduler_info()["workers"]) == 2
