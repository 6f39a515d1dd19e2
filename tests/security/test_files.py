"""Reports and tables are for their owner's eyes, and replace nothing but themselves (point 14 of the review of leaks)."""

from __future__ import annotations

import os
import stat

import pytest

import voxops as vx

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


def test_what_a_report_writes_is_for_its_owner_and_follows_no_link(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox) as ws:
        made = vx.report(vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D"))))
    victim = tmp_path / "victim"
    victim.write_text("somebody else's")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.html").symlink_to(victim)
    before = os.umask(0o022)
    try:
        for _ in range(2):  # Run All writes them again
            made.to_html(out / "a.html")
            made.to_markdown(out / "new" / "a.md")
            made.to_csv(out / "csv")
            made.to_parquet(out / "parquet")
    finally:
        os.umask(before)
    assert victim.read_text() == "somebody else's"
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) >= 6
    for path in files:
        assert not path.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    for folder in ("new", "csv", "parquet"):
        assert stat.S_IMODE((out / folder).stat().st_mode) == 0o700, folder
