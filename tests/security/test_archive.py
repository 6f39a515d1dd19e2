"""An archive from elsewhere is data: a query only reads its tables, a sync touches its own files alone, and what is damaged is named."""

from __future__ import annotations

import json
import os
import shutil
import stat

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.security.programs import lines_of

from voxops.archive import Archive
from voxops.archive.store import Store
from voxops.errors import ConfigError
from voxops.frames.records import build

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX's")
TIMES = ["2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"]
DAY = "posts/day=2026-03-02"


def fill(root, name="id"):
    """An archive of two days, in each a post and a delivery."""
    store = Store(root)
    with store.writing():
        for kind in ("posts", "deliveries"):
            store.merge(kind, build(kind, [{"id": f"{name}{at}", "createdAt": at} for at in TIMES]))
        store.save(store.state())
    return Archive(root)


@pytest.fixture
def archive(tmp_path):
    return fill(tmp_path / "history")


def contents(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


# -- queries -----------------------------------------------------------------------------------------------------------

FORBIDDEN = """
SELECT * FROM read_csv('{folder}/secret.csv')
SELECT * FROM '{folder}/secret.csv'
SELECT * FROM read_text('{folder}/secret.csv')
SELECT * FROM read_text('{part}.new')
SELECT * FROM read_parquet('{folder}/another/posts/*/*.parquet')
SELECT * FROM read_parquet('{folder}/secret.parquet')
SELECT * FROM parquet_metadata('{folder}/secret.parquet')
SELECT * FROM glob('{folder}/*')
SELECT * FROM query('SELECT * FROM read_text(''{folder}/secret.csv'')')
SELECT * FROM query('COPY posts TO ''{part}''')
SELECT * FROM mine
COPY posts TO '{folder}/stolen.csv'
COPY (SELECT 1) TO '{part}' (USE_TMP_FILE false)
COPY posts TO '{part}' (FORMAT parquet, USE_TMP_FILE false)
EXPLAIN SELECT * FROM posts
EXPLAIN ANALYZE COPY posts TO '{part}' (FORMAT parquet, USE_TMP_FILE false)
SELECT 1; SELECT 2
SELECT 1; COPY posts TO '{folder}/stolen.csv'
ATTACH '{folder}/new.duckdb'
EXPORT DATABASE '{folder}/export'
INSTALL httpfs
LOAD httpfs
UPDATE EXTENSIONS
SET enable_external_access = true
RESET allowed_paths
SET allowed_directories = ['/']
SET threads = 1
CREATE TABLE mine AS SELECT 1
DROP VIEW posts
PRAGMA database_list
CALL pragma_version()
PREPARE p AS SELECT 1
CHECKPOINT
BEGIN
"""


def test_a_query_reads_the_tables_and_nothing_else(archive, tmp_path, monkeypatch):
    mine = pd.DataFrame({"key": ["vb_live_1"]})  # a frame of the caller's, which DuckDB would find by its name
    fill(tmp_path / "another")
    mine.to_csv(tmp_path / "secret.csv")
    mine.to_parquet(tmp_path / "secret.parquet")
    before = contents(tmp_path)
    for query in FORBIDDEN.split("\n")[1:-1]:
        with pytest.raises(ConfigError) as caught:
            archive.sql(query.format(folder=tmp_path, part=archive.files("posts")[0]))
        assert "vb_live_1" not in str(caught.value)
        assert contents(tmp_path) == before, query
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert archive.sql("SELECT count(*) AS n FROM posts")["n"].tolist() == [2]
    assert list((tmp_path / "here").iterdir()) == [], "no folder is left where one works"


def test_whoever_wants_files_says_so_and_still_only_reads(archive, tmp_path):
    (tmp_path / "mine.csv").write_text("name,key\nme,vb_live_1\n")
    found = archive.sql(f"SELECT key FROM read_csv('{tmp_path / 'mine.csv'}'), posts", allow_file_access=True)
    assert found["key"].tolist() == ["vb_live_1"] * 2
    with pytest.raises(ConfigError, match="single SELECT"):
        archive.sql(f"COPY posts TO '{tmp_path / 'out.csv'}'", allow_file_access=True)
    assert not (tmp_path / "out.csv").exists()


def test_a_folder_reads_itself_whatever_its_name(tmp_path):
    for other in ("arch1", "ab", "what"):
        fill(tmp_path / other, "another")
    for name in ("arch[1]", "a*", "wh?t", "it's"):
        found = fill(tmp_path / name, name).sql("SELECT post_id, day FROM posts ORDER BY day")
        assert found["post_id"].tolist() == [f"{name}{at}" for at in TIMES]
        assert found["day"].tolist() == ["2026-03-02", "2026-03-03"]


# -- files of others ---------------------------------------------------------------------------------------------------


def test_a_sync_removes_what_a_killed_one_left_and_nothing_of_others(archive):
    others = ["thesis.new", "posts/notes.new", f"{DAY}/chapter.new", "drafts/deep/part-0.parquet.new"]
    ours = ["archive.json.new", f"{DAY}/part-0.parquet.new"]
    for name in (*others, *ours):
        (archive._store.root / name).parent.mkdir(parents=True, exist_ok=True)
        (archive._store.root / name).write_text("mine")
    fill(archive._store.root)
    assert [name for name in (*others, *ours) if (archive._store.root / name).exists()] == others


@pytest.mark.parametrize("name", ["posts", DAY, f"{DAY}/part-0.parquet", "archive.json", ".lock"])
def test_a_sync_follows_no_link(archive, tmp_path, name):
    path, elsewhere = archive._store.root / name, tmp_path / "elsewhere"
    if path.is_dir():
        (path / "part-0.parquet.new").write_text("mine")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="is a link"):
        fill(archive._store.root)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["letter.txt", DAY, "posts/notes.txt", ".bashrc"])
def test_a_folder_that_holds_something_else_does_not_become_an_archive(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    if name == DAY:  # a table that a first sync has begun, beside something else
        (tmp_path / "letter.new").write_text("mine")
    with pytest.raises(ConfigError, match="has other files"):
        fill(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.usefixtures("usual_umask")
def test_others_cannot_read_it(tmp_path):
    for _ in range(2):
        fill(tmp_path / "history")
    for path in [tmp_path / "history", *(tmp_path / "history").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


# -- damage ------------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_no_day_is_not_read(archive):
    part = archive.files("deliveries")[0]
    for day in ("day=2026-3-2", "day=x", "day=2026-03-02 "):
        shutil.copytree(part.parent, part.parents[1] / day)
    assert len(archive.files("deliveries")) == 2
    assert len(archive.deliveries()) == archive.sql("SELECT count(*) AS n FROM deliveries")["n"].sum() == 2


WRONG = {
    "workspace": [["ws"]], "deliveries": [[], {"w": [TIMES[0]]}],
    "read_at": [{"posts": "2026-03-02T09:00:00"}, {"posts": "0001-01-01T00:00:00Z"}], "check_at": [{"posts": "9999-12-31T23:59:59Z"}],
}  # fmt: skip
STATES = [
    [],
    {},
    *({"deliveries": {}, "read_at": {}, "check_at": {}, name: value} for name in WRONG for value in WRONG[name]),
]


def test_a_state_is_read_by_its_shape(archive):
    for state in STATES:
        (archive._store.root / "archive.json").write_text(json.dumps(state), encoding="utf-8")
        for read in (archive.posts, archive.deliveries, lambda: fill(archive._store.root)):
            with pytest.raises(ConfigError, match=r"archive\.json"):
                read()


@pytest.mark.parametrize(("name", "values"), [
    ("created_at", pa.array([7.5])), ("failed_targets", pa.array(["many"])), ("targets", pa.array(["x"])), ("content", pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())),
])  # fmt: skip
def test_a_part_with_other_types_is_named(archive, name, values):
    part = archive.files("posts")[0]
    table = pq.read_table(part, partitioning=None)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, values), part)
    for read in (archive.posts, lambda: archive.sql("SELECT * FROM posts")):
        with pytest.raises(ConfigError):
            read()


QUERIES = ["archive.posts()", "archive.deliveries()", "archive.sql('SELECT * FROM posts')", "archive.sql('SELECT * FROM targets')",
           "archive.sql('SELECT * FROM posts WHERE post_id <> ?', ['x'])", "archive.posts(columns=['post_id'])"]  # fmt: skip
READ = """
import resource, sys
from voxops.archive import Archive
from voxops.errors import ConfigError
archive = Archive(sys.argv[1])
archive.files("posts")
resource.setrlimit(resource.RLIMIT_AS, (8_000_000_000,) * 2)
for query in sys.argv[2:]:
    try:
        print(len(eval(query)), "rows", end="")
    except ConfigError as error:
        print(str(error).partition(chr(10))[0], end="")
    print(" in", peak(), flush=True)
"""


@pytest.mark.parametrize(("column", "value", "rows"), [
    ("content", "x" * 4_000_000, 5_000), ("targets", [{"error_message": "x" * 1_000_000}], 500),
], ids=["a text", "targets"])  # fmt: skip
def test_a_small_file_that_asks_for_gigabytes_is_refused_within_the_memory_of_its_budget(archive, column, value, rows):
    """Each of many rows has the same large value, which takes its room once in the file."""
    part, first = archive.files("posts")[0], pa.array([0] * rows, pa.int32())
    table = pq.read_table(part, partitioning=None).take(first)
    at = table.schema.get_field_index(column)
    one = pa.array([value], table.schema.field(at).type)
    values = pa.DictionaryArray.from_arrays(first, one) if column == "content" else one.take(first)
    table = table.set_column(at, column, values)
    pq.write_table(table, part, compression="zstd", row_group_size=rows, dictionary_pagesize_limit=1 << 30)
    assert part.stat().st_size < 30_000
    lines = lines_of(READ, archive._store.root, *QUERIES)
    refused = [line for line in lines if "rows" not in line]
    assert len(lines) == len(QUERIES)
    assert len(refused) >= 3 and all("bytes" in line or "Memory" in line for line in refused), lines
    assert int(lines[-1].rpartition(" ")[2]) < 800, lines
