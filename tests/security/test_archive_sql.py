"""Point 8: a query sees the three tables of the archive and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from voxops.archive import Archive
from voxops.archive.store import Store
from voxops.errors import ConfigError
from voxops.frames.records import build


def filled(root: Path, post_id: str = "p") -> Archive:
    store = Store(root)
    with store.writing():
        store.merge({"posts": build("posts", [{"id": post_id, "createdAt": "2026-03-02T09:00:00Z"}])})
        store.save(store.state())
    return Archive(root)


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
    archive = filled(tmp_path / "history")
    mine = pd.DataFrame({"key": ["vb_live_1"]})  # a frame of the caller's
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError) as caught:
        archive.sql(query.format(folder=tmp_path))
    assert "vb_live_1" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    assert len(mine) == 1


def test_it_leaves_no_folder_where_one_works(tmp_path, monkeypatch):
    archive = filled(tmp_path / "history")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert archive.sql("SELECT count(*) AS n FROM posts")["n"].tolist() == [1]
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["arch[1]", "a*", "wh?t", "it's"])
def test_a_folder_reads_itself_whatever_its_name(tmp_path, name):
    for other in ("arch1", "ab", "what"):
        filled(tmp_path / other, "another")
    archive = filled(tmp_path / name, "its own")
    assert archive.sql("SELECT post_id, day FROM posts").to_dict("list") == {
        "post_id": ["its own"],
        "day": ["2026-03-02"],
    }
    assert archive.sql("SELECT count(*) AS n FROM deliveries")["n"].tolist() == [0]


def test_whoever_wants_more_says_so(tmp_path, secret):
    archive = filled(tmp_path / "history")
    found = archive.sql(f"SELECT key FROM read_csv('{secret}'), posts", allow_file_access=True)
    assert found["key"].tolist() == ["vb_live_1"]
