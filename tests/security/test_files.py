"""What is written is for its owner's eyes, replaces nothing but itself, and trusts nothing that another user made."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxburst_sandbox.server import make_certificate

pytestmark = pytest.mark.skipif(os.name != "posix", reason="users and permissions of POSIX")


def test_what_a_report_writes_has_the_usual_mode_and_follows_no_link(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox) as ws:
        made = vx.report(vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D"))))
    victim = tmp_path / "victim"
    victim.write_text("somebody else's")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.html").symlink_to(victim)
    for _ in range(2):  # Run All writes them again
        made.to_html(out / "a.html")
        made.to_html(out / "new" / "b.html")
        made.to_csv(out / "csv")
    assert victim.read_text() == "somebody else's"
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        assert not path.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o644, path.name
    for folder in ("new", "csv"):
        assert stat.S_IMODE((out / folder).stat().st_mode) == 0o755, folder


NAMES = ["sandbox-ca.pem", "sandbox-server.pem"]


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def given_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file, or a folder, be another user's: as root really, else by being another user."""
    if os.geteuid() == 0:
        os.chown(path, 12_345, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)


def test_a_certificate_is_made_once_for_its_user_alone(tmp_path):
    made = make_certificate(tmp_path / "new" / "tls")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made.authority.parent, made.authority, made.server)] == [
        0o700, 0o600, 0o600,
    ]  # fmt: skip
    before = made.server.read_bytes()
    assert make_certificate(tmp_path / "new" / "tls") == made
    assert made.server.read_bytes() == before
    made.authority.unlink()  # half a pair, as a crash may leave it
    context = make_certificate(tmp_path / "new" / "tls").client_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert made.server.read_bytes() != before


@pytest.mark.parametrize("name", NAMES)
def test_no_key_goes_through_a_link_or_into_a_file_of_another_user(name, tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    (tmp_path / "linked").mkdir(0o700)
    (tmp_path / "linked" / name).symlink_to(victim)
    for there in (False, True):
        with pytest.raises(OSError, match=f"{name} is a link"):
            make_certificate(tmp_path / "linked")
        assert victim.exists() == there
        victim.write_text("somebody else's")
    assert victim.read_text() == "somebody else's"
    made = make_certificate(tmp_path / "tls")
    theirs = next(path for path in (made.authority, made.server) if path.name == name)
    theirs.write_text("another's")
    given_away(theirs, monkeypatch)
    with pytest.raises(OSError, match="another user's"):
        make_certificate(tmp_path / "tls")
    assert theirs.read_text() == "another's"


@pytest.mark.parametrize("whose", ["another's", "for all", "for the group"])
def test_no_folder_is_used_in_which_another_user_may_write(whose, tmp_path, monkeypatch):
    folder = tmp_path / "tls"
    folder.mkdir()
    if whose == "another's":
        given_away(folder, monkeypatch)
    else:
        folder.chmod(0o777 if whose == "for all" else 0o770)
    with pytest.raises(OSError, match="--tls"):
        make_certificate(folder)
    assert list(folder.iterdir()) == []


def test_the_state_and_its_journals_are_for_their_user_alone(tmp_path):
    state = tmp_path / "state.sqlite"
    for _ in range(2):
        with Sandbox(posts=5, deliveries=0, state=state):
            files = list(tmp_path.iterdir())
            assert len(files) >= 2
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        state.chmod(0o644)  # as an earlier version left it


def test_the_state_follows_no_link(tmp_path):
    (tmp_path / "state.sqlite").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="is a link"):
        Sandbox(posts=5, deliveries=0, state=tmp_path / "state.sqlite")
    assert not (tmp_path / "victim").exists()
