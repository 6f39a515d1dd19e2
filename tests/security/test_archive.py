"""Points 2, 8 and 14: an archive removes only what it wrote itself, others can't read it, and a query sees its tables and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pandas as pd
import pytest

from voxops.archive import Archive
from voxops.archive.store import Store
from voxops.errors import ConfigError
from voxops.frames.records import build

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX's")


def posts() -> pd.DataFrame:
    return build("posts", [{"id": "p", "createdAt": "2026-03-02T09:00:00Z"}])


def fill(root: Path, post_id: str = "p") -> Archive:
    store = Store(root)
    with store.writing():
        store.merge({"posts": posts().assign(post_id=pd.array([post_id], dtype="string"))})
        store.save(store.state())
    return Archive(root)


def test_other_peoples_files_stay(tmp_path):
    fill(tmp_path / "history")
    kept = [
        tmp_path / "history" / "thesis.new",
        tmp_path / "history" / "posts" / "notes.new",
        tmp_path / "history" / "posts" / "day=2026-03-02" / "chapter.new",
        tmp_path / "history" / "drafts" / "deep" / "part-0.parquet.new",
    ]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    fill(tmp_path / "history")
    assert all(path.read_text() == "mine" for path in kept)


def test_what_a_killed_sync_left_aside_is_removed(tmp_path):
    fill(tmp_path)
    left = [tmp_path / "archive.json.new", tmp_path / "posts" / "day=2026-03-02" / "part-0.parquet.new"]
    for path in left:
        path.write_text("half")
    fill(tmp_path)
    assert not any(path.exists() for path in left)


def test_nothing_is_removed_or_written_through_a_link(tmp_path):
    fill(tmp_path / "history")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "part-0.parquet.new").write_text("mine")
    (tmp_path / "history" / "posts" / "day=2026-01-01").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="follows none"):
        fill(tmp_path / "history")
    assert (elsewhere / "part-0.parquet.new").read_text() == "mine"


@pytest.mark.parametrize("name", ["letter.txt", "posts/day=2026-03-02", "posts/notes.txt", ".bashrc"])
def test_a_folder_that_holds_something_else_does_not_become_an_archive(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    if name.startswith("posts/day"):  # a table that a first sync has begun, beside something else
        (tmp_path / "letter.new").write_text("mine")
    with pytest.raises(ConfigError, match="has other files"):
        fill(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_first_sync_that_was_killed_goes_on(tmp_path):
    store = Store(tmp_path)
    with store.writing():
        store.merge({"posts": posts()})  # and no state
    (tmp_path / ".DS_Store").write_text("")
    fill(tmp_path)
    assert list(store.files("posts")) == ["2026-03-02"]


def test_others_cannot_read_it(tmp_path):
    before = os.umask(0o022)
    try:
        fill(tmp_path / "history")
        fill(tmp_path / "history")
    finally:
        os.umask(before)
    for path in [tmp_path / "history", *(tmp_path / "history").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.csv"
    path.write_text("name,key\nme,vb_live_1\n")
    pd.DataFrame({"key": ["vb_live_1"]}).to_parquet(tmp_path / "secret.parquet")
    return path


@pytest.mark.parametrize("query", [
    "SELECT * FROM read_csv('{folder}/secret.csv')", "SELECT * FROM '{folder}/secret.csv'",
    "SELECT * FROM read_text('{folder}/secret.csv')", "SELECT * FROM read_parquet('{folder}/secret.parquet')",
    "SELECT * FROM parquet_metadata('{folder}/secret.parquet')", "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM query('SELECT * FROM read_text(''{folder}/secret.csv'')')", "COPY posts TO '{folder}/stolen.csv'",
    "ATTACH '{folder}/new.duckdb'", "EXPORT DATABASE '{folder}/export'", "INSTALL httpfs", "LOAD httpfs",
    "SET enable_external_access = true", "RESET allowed_paths", "SET allowed_directories = ['/']", "SELECT * FROM mine",
    "SELECT 1; SELECT 2", "SELECT 1; COPY posts TO '{folder}/stolen.csv'",
])  # fmt: skip
def test_it_reads_and_writes_nothing_else(tmp_path, secret, query):
    archive = fill(tmp_path / "history")
    mine = pd.DataFrame({"key": ["vb_live_1"]})  # a frame of the caller's
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError) as caught:
        archive.sql(query.format(folder=tmp_path))
    assert "vb_live_1" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    assert len(mine) == 1


def test_it_leaves_no_folder_where_one_works(tmp_path, monkeypatch):
    archive = fill(tmp_path / "history")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert archive.sql("SELECT count(*) AS n FROM posts")["n"].tolist() == [1]
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["arch[1]", "a*", "wh?t", "it's"])
def test_a_folder_reads_itself_whatever_its_name(tmp_path, name):
    for other in ("arch1", "ab", "what"):
        fill(tmp_path / other, "another")
    archive = fill(tmp_path / name, "its own")
    assert archive.sql("SELECT post_id, day FROM posts").to_dict("list") == {
        "post_id": ["its own"],
        "day": ["2026-03-02"],
    }
    assert archive.sql("SELECT count(*) AS n FROM deliveries")["n"].tolist() == [0]


def test_whoever_wants_more_says_so(tmp_path, secret):
    archive = fill(tmp_path / "history")
    found = archive.sql(f"SELECT key FROM read_csv('{secret}'), posts", allow_file_access=True)
    assert found["key"].tolist() == ["vb_live_1"]
