"""Files are private, written whole or not at all, and never through a link."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from voxops._support.files import create_file, make_folder, replacing, unwritable, write_file
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


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o600, 0o700), (0o077, 0o600, 0o700), (0, 0o600, 0o700)])
def test_only_the_owner_reads(tmp_path, mask, file, folder):
    with umask(mask):
        make_folder(tmp_path / "a" / "b")
        write_file(tmp_path / "a" / "b" / "report.csv", "x")
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [folder, folder]
    assert mode(tmp_path / "a" / "b" / "report.csv") == file


def test_a_file_is_never_readable_for_others_while_it_is_written(tmp_path):
    with umask(0o022), replacing(tmp_path / "report.csv"):
        (aside,) = tmp_path.iterdir()
        assert mode(aside) == 0o600


def test_a_folder_that_exists_stays_as_it_is(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    make_folder(tmp_path / "shared")
    assert mode(tmp_path / "shared") == 0o755


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("x")
    for path in (tmp_path / "taken", tmp_path / "taken" / "inside"):
        with pytest.raises(FileExistsError):
            make_folder(path)


def test_a_file_is_replaced_and_a_link_is_not_followed(tmp_path):
    """What was readable for others becomes private; line ends stay, and a long name has room aside."""
    (tmp_path / "precious").write_text("mine")
    name = "ü" * 125 + ".csv"
    (tmp_path / name).write_text("one")
    (tmp_path / name).chmod(0o666)
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    for target in (name, "link"):
        write_file(tmp_path / target, "a\r\nb\nü")
        assert (tmp_path / target).read_bytes() == "a\r\nb\nü".encode()
        assert (mode(tmp_path / target), (tmp_path / target).is_symlink()) == (0o600, False)
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


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    write_file(tmp_path / "report.csv", "old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "report.csv") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert (tmp_path / "report.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.csv"]


def test_a_pipe_or_a_folder_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(FileExistsError, match="is not a file"):
            write_file(tmp_path / name, "x")


def test_a_name_that_is_taken_and_a_folder_that_is_not_ours_need_other_advice(tmp_path):
    taken = unwritable(tmp_path / "copy.sqlite", FileExistsError(17, "File exists"))
    assert str(taken).endswith("copy.sqlite can't be written: File exists. Choose another place or name.")
    closed = unwritable(tmp_path / "copy.sqlite", PermissionError(13, "Permission denied"))
    assert str(closed).endswith("Permission denied. Choose another place or name.")


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
            write_file(target, "a,b")
    assert ledger.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.sqlite", "link.csv"]
