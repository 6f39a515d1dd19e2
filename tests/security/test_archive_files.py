"""Point 2 and 14: an archive removes only what it wrote itself, and others can't read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pandas as pd
import pytest

from voxops.archive.store import Store
from voxops.errors import ConfigError
from voxops.frames.records import build

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX's")


def posts() -> pd.DataFrame:
    return build("posts", [{"id": "p", "createdAt": "2026-03-02T09:00:00Z"}])


def fill(root: Path) -> None:
    store = Store(root)
    with store.writing():
        store.merge({"posts": posts()})
        store.save(store.state())


def test_other_peoples_files_stay(tmp_path: Path) -> None:
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


def test_what_a_killed_sync_left_aside_is_removed(tmp_path: Path) -> None:
    fill(tmp_path)
    left = [tmp_path / "archive.json.new", tmp_path / "posts" / "day=2026-03-02" / "part-0.parquet.new"]
    for path in left:
        path.write_text("half")
    fill(tmp_path)
    assert not any(path.exists() for path in left)


def test_nothing_is_removed_or_written_through_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "history")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "part-0.parquet.new").write_text("mine")
    (tmp_path / "history" / "posts" / "day=2026-01-01").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="follows none"):
        fill(tmp_path / "history")
    assert (elsewhere / "part-0.parquet.new").read_text() == "mine"


@pytest.mark.parametrize("name", ["letter.txt", "posts/day=2026-03-02", "posts/notes.txt", ".bashrc"])
def test_a_folder_that_holds_something_else_does_not_become_an_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    if name.startswith("posts/day"):  # a table that a first sync has begun, beside something else
        (tmp_path / "letter.new").write_text("mine")
    with pytest.raises(ConfigError, match="has other files"):
        fill(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_first_sync_that_was_killed_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.merge({"posts": posts()})  # and no state
    (tmp_path / ".DS_Store").write_text("")
    fill(tmp_path)
    assert list(store.files("posts")) == ["2026-03-02"]


def test_others_cannot_read_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        fill(tmp_path / "history")
        fill(tmp_path / "history")
    finally:
        os.umask(before)
    for path in [tmp_path / "history", *(tmp_path / "history").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
