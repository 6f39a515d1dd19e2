"""A query of an archive only reads, a sync writes through no link, and damaged files are named."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops.archive import Archive
from voxops.archive.store import Store
from voxops.errors import ConfigError
from voxops.frames.records import build

TIMES = ["2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"]


def merge(root: Path) -> None:
    store = Store(root)
    with store.writing():
        for kind in ("posts", "deliveries"):
            store.merge({kind: build(kind, [{"id": f"id{at}", "createdAt": at} for at in TIMES])})
        store.save(store.state())


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    merge(tmp_path / "history")
    return Archive(tmp_path / "history")


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{part}' (USE_TMP_FILE false)",
        "COPY posts TO '{part}' (FORMAT parquet, USE_TMP_FILE false)",
        "EXPLAIN ANALYZE COPY posts TO '{part}' (FORMAT parquet, USE_TMP_FILE false)",
        "SELECT * FROM read_text('{part}')",
        "SELECT * FROM query('COPY posts TO ''{part}''')",
        "UPDATE EXTENSIONS",
        "CREATE TABLE mine AS SELECT 1",
        "DROP VIEW posts",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "SET threads = 1",
        "PREPARE p AS SELECT 1",
        "CHECKPOINT",
        "BEGIN",
    ],
)
def test_a_query_opens_and_writes_no_file_of_the_archive(archive: Archive, query: str) -> None:
    before = contents(archive.path)
    with pytest.raises(ConfigError):
        archive.sql(query.format(part=archive.files("posts")[0]))
    assert contents(archive.path) == before
    assert archive.sql("SELECT count(*) AS n FROM posts")["n"].tolist() == [2]


def test_with_the_callers_rights_a_statement_still_has_to_be_a_query(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes a SELECT or EXPLAIN"):
        archive.sql(f"COPY posts TO '{tmp_path / 'out.csv'}'", allow_file_access=True)
    assert not (tmp_path / "out.csv").exists()
    assert len(archive.sql("EXPLAIN SELECT * FROM posts")) == 1


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
@pytest.mark.parametrize(
    "name", ["posts", "posts/day=2026-03-02", "posts/day=2026-03-02/part-0.parquet", "archive.json", ".lock"]
)
def test_a_sync_follows_no_link(archive: Archive, tmp_path: Path, name: str) -> None:
    path, elsewhere = archive.path / name, tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="is a link, and an archive follows none"):
        merge(archive.path)
    assert contents(tmp_path) == before


def test_a_folder_that_is_no_day_is_not_read(archive: Archive) -> None:
    part = archive.files("deliveries")[0]
    for day in ("day=2026-13-99", "day=x", "day=2026-03-02 "):
        (archive.path / "deliveries" / day).mkdir()
        (archive.path / "deliveries" / day / part.name).write_bytes(part.read_bytes())
    assert len(archive.files("deliveries")) == 2
    assert archive.stats("day", tz="Europe/Berlin")["deliveries"].sum() == 2


STATES: list[Any] = [
    [],
    {"version": 1},
    {"version": 1, "deliveries": [], "read_at": {}, "check_at": {}},
    {"version": 1, "deliveries": {"w": [["2026-03-02T09:00:00Z"]]}, "read_at": {}, "check_at": {}},
    {"version": 1, "deliveries": {"w": [["x", "y"]]}, "read_at": {}, "check_at": {}},
    {"version": 1, "deliveries": {"w": 7}, "read_at": {}, "check_at": {}},
    {"version": 1, "deliveries": {}, "read_at": {"posts": "2026-03-02T09:00:00"}, "check_at": {}},
    {"version": 1, "deliveries": {}, "read_at": {"posts": 7}, "check_at": {}},
    {"version": 1, "deliveries": {}, "read_at": {}, "check_at": {"posts": None}},
    {"version": 1, "deliveries": {}, "read_at": {"posts": "0001-01-01T00:00:00Z"}, "check_at": {}},
    {"version": 1, "deliveries": {}, "read_at": {}, "check_at": {"posts": "9999-12-31T23:59:59Z"}},
    {"version": 1, "deliveries": {}, "read_at": {}, "check_at": {}, "synced_at": "yesterday"},
    {"version": 1, "deliveries": {}, "read_at": {}, "check_at": {}, "workspace": ["ws"]},
    {"version": "1", "deliveries": {}, "read_at": {}, "check_at": {}},
    {"version": 2, "deliveries": {}, "read_at": {}, "check_at": {}},
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: json.dumps(state)[:60])
def test_a_state_is_read_by_its_shape(archive: Archive, state: Any) -> None:
    (archive.path / "archive.json").write_text(json.dumps(state), encoding="utf-8")
    for read in (archive.posts, archive.levels, lambda: merge(archive.path)):
        with pytest.raises(ConfigError, match=r"archive\.json"):
            read()


def rewritten(path: Path, **columns: Any) -> None:
    table = pq.read_table(path, partitioning=None)
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    pq.write_table(table, path)


DAMAGE = {
    "a number for a time": {"created_at": pa.array([7.5])},
    "a list for an id": {"post_id": pa.array([["x"]])},
    "text for a flag": {"failed_targets": pa.array(["many"])},
    "text for targets": {"targets": pa.array(["x"])},
    "text that is none": {"content": pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())},
    "text that is none in targets": {"status": pa.array([b"\xff"], pa.binary()).view(pa.string())},
}


@pytest.mark.parametrize("columns", DAMAGE.values(), ids=DAMAGE)
def test_a_part_with_other_types_is_named(archive: Archive, columns: dict[str, Any]) -> None:
    rewritten(archive.files("posts")[0], **columns)
    for read in (archive.posts, lambda: archive.sql("SELECT * FROM posts")):
        with pytest.raises(ConfigError):
            read()


def test_a_small_file_that_claims_many_rows_is_refused(archive: Archive) -> None:
    """Repeated values take no room: without a bound, a few kilobytes fill memory."""
    part = archive.files("posts")[0]
    table = pq.read_table(part, partitioning=None)
    pq.write_table(pa.concat_tables([table] * 200_000), part, compression="zstd", row_group_size=200_000)
    assert part.stat().st_size < 100_000
    with pytest.raises(ConfigError, match="200,000 rows in"):
        archive.posts()


@given(st.sampled_from(["posts", "deliveries", None]), st.integers(0, 10**6), st.binary(max_size=3))
def test_a_file_that_was_altered_anywhere_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, kind: str | None, place: int, more: bytes
) -> None:
    root = tmp_path_factory.mktemp("altered")
    merge(root)
    archive = Archive(root)
    path = root / "archive.json" if kind is None else archive.files(kind)[0]
    data = bytearray(path.read_bytes())
    place %= len(data)
    data[place : place + 1] = more
    path.write_bytes(data)
    queries = [partial(archive.sql, f"SELECT * FROM {table}") for table in ("posts", "deliveries")]
    for read in (archive.posts, archive.deliveries, archive.stats, archive.levels, *queries):
        try:
            assert isinstance(read(), pd.DataFrame)
        except ConfigError as error:
            assert str(error)
    with suppress(ConfigError):
        merge(root)
