"""Files are private, written whole or not at all, and never through a link."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from voxops._support import files
from voxops._support.files import create_file, export, make_folder
from voxops.errors import ConfigError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0])
def test_only_the_owner_reads_and_an_export_has_the_usual_mode(tmp_path, mask):
    with umask(mask):
        make_folder(tmp_path / "a" / "b")
        create_file(tmp_path / "a" / "b" / "lock").close()
        export(tmp_path / "out" / "report.csv", "x")
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]
    assert mode(tmp_path / "a" / "b" / "lock") == 0o600
    assert (mode(tmp_path / "out"), mode(tmp_path / "out" / "report.csv")) == (0o777 & ~mask, 0o666 & ~mask)


def test_a_folder_that_exists_stays_as_it_is_and_a_file_in_its_place_is_refused(tmp_path):
    shared, taken = tmp_path / "shared", tmp_path / "taken"
    shared.mkdir()
    shared.chmod(0o755)
    make_folder(shared)
    assert mode(shared) == 0o755
    taken.write_text("x")
    for path in (taken, taken / "inside"):
        with pytest.raises(FileExistsError):
            make_folder(path)


def test_a_file_is_replaced_and_a_link_is_not_followed(tmp_path):
    """Line ends stay, and a long name has room aside."""
    (tmp_path / "precious").write_text("mine")
    name = "ü" * 125 + ".csv"
    (tmp_path / name).write_text("one")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    for target in (name, "link"):
        export(tmp_path / target, "a\r\nb\nü")
        assert (tmp_path / target).read_bytes() == "a\r\nb\nü".encode()
        assert not (tmp_path / target).is_symlink()
    assert (tmp_path / "precious").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["precious", name, "link"])


@pytest.mark.parametrize("target", ["precious", "nothing"])
def test_a_new_file_is_never_made_through_a_link(tmp_path, target):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "new").symlink_to(tmp_path / target)
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    export(tmp_path / "report.csv", "old")

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "report.csv", "half")
    assert (tmp_path / "report.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.csv"]


def test_a_pipe_or_a_folder_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(ConfigError, match=r"is not a file\. Choose another place\."):
            export(tmp_path / name, "x")


def test_nothing_takes_the_place_of_a_database(tmp_path):
    """Such as the table of a report, written to the ledger's path."""
    ledger = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(ledger)) as database:
        database.execute("CREATE TABLE kept (x)")
    before = ledger.read_bytes()
    link = tmp_path / "link.csv"
    link.symlink_to(ledger)
    for target in (ledger, link):
        with pytest.raises(
            ConfigError, match="is a database, such as a ledger, and would be lost; choose another file"
        ):
            export(target, "a,b")
    assert ledger.read_bytes() == before
