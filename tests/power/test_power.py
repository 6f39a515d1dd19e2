"""Power cuts on a small scale: `make proof` cuts a longer run at every change of the disk."""

from __future__ import annotations

import os
import random
from pathlib import Path, PurePosixPath

import pytest
from tests.power import trace
from tests.power.check import cut
from tests.power.disk import SECTOR, Disk


@pytest.fixture
def tracing() -> None:
    """Skip where system calls can't be traced, except in CI, which must be able to."""
    why = trace.why_not()
    if why and os.environ.get("CI"):
        pytest.fail(why)
    if why:
        pytest.skip(why)


@pytest.mark.usefixtures("tracing")
def test_what_was_sent_and_said_is_on_disk_whenever_the_power_fails(tmp_path: Path) -> None:
    power = cut(tmp_path, rows=8, posts=6, every=12, images=1)
    assert power.lost == []
    assert power.spilled == [], "rows were written outside of the ledger's and the archive's folder"
    assert power.sends >= 12
    assert power.words == 6
    assert power.torn == power.cuts > 60


@pytest.mark.usefixtures("tracing")
def test_without_syncs_and_with_sorts_on_disk_the_proof_fails(tmp_path: Path) -> None:
    power = cut(tmp_path, rows=2, posts=2, every=60, images=1, pragmas=["synchronous=OFF", "temp_store=FILE"])
    assert any("was sent, and is" in problem for problem in power.lost)
    assert power.spilled


def test_only_synced_bytes_and_names_survive(tmp_path: Path) -> None:
    root = PurePosixPath("/r")
    disk = Disk(root)
    file = disk.make(root / "file")
    file.write(0, b"first")
    file.end_sync(file.begin_sync())
    begun = file.begin_sync()
    file.write(5, b", later than the sync began")
    file.end_sync(begun)
    (tmp_path / "nameless").mkdir()
    disk.restore(tmp_path / "nameless")
    assert list((tmp_path / "nameless").iterdir()) == []
    top = disk.parent(root / "file")
    top.end_sync(top.begin_sync())
    disk.move(root / "file", root / "moved")
    (tmp_path / "named").mkdir()
    disk.restore(tmp_path / "named")
    assert {path.name: path.read_bytes() for path in (tmp_path / "named").iterdir()} == {"file": b"first"}


def test_what_is_not_synced_is_lost_whole_or_by_sectors() -> None:
    disk = Disk(PurePosixPath("/r"))
    file = disk.make(PurePosixPath("/r/file"))
    file.write(0, b"a" * 2 * SECTOR)
    file.end_sync(file.begin_sync())
    file.write(100, b"b" * 2 * SECTOR)
    found = {file.after(random.Random(seed)) for seed in range(60)}
    assert file.after(None) == b"a" * 2 * SECTOR
    assert b"a" * 2 * SECTOR in found
    assert b"a" * 100 + b"b" * 2 * SECTOR in found
    torn = b"a" * SECTOR + b"b" * (SECTOR + 100)  # the first sector kept what it was
    assert torn in found
    assert len(found) == 8  # each of three sectors written or not
