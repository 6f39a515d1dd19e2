"""What is written is for its owner's eyes, replaces nothing but itself, and trusts nothing that another user made."""

from __future__ import annotations

import os
import ssl
import stat

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxburst_sandbox.server import make_certificate

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="users and permissions of POSIX"),
    pytest.mark.usefixtures("usual_umask"),
]


def test_what_a_report_writes_has_the_usual_mode_and_follows_no_link(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox) as ws:
        made = vx.report(vx.triage(ws.posts(status="failed", since="7D")))
    victim = tmp_path / "victim"
    victim.write_text("somebody else's")
    for name in ("a.html", "a.xlsx"):
        (tmp_path / name).symlink_to(victim)
    files = [made.to_html(tmp_path / "a.html"), made.to_excel(tmp_path / "a.xlsx"), *made.to_csv(tmp_path / "csv")]
    assert victim.read_text() == "somebody else's"
    assert [stat.S_IMODE(path.lstat().st_mode) for path in files] == [0o644] * len(files)


def given_away(path, monkeypatch):
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


@pytest.mark.parametrize("name", ["sandbox-ca.pem", "sandbox-server.pem"])
@pytest.mark.parametrize("what", ["a link", "a link to nothing", "another's"])
def test_no_key_goes_through_a_link_or_into_a_file_of_another_user(name, what, tmp_path, monkeypatch):
    make_certificate(tmp_path / "tls")
    path = victim = tmp_path / "tls" / name
    if what != "another's":
        path.unlink()
        victim = tmp_path / "victim"
        path.symlink_to(victim)
    if what != "a link to nothing":
        victim.write_text("somebody else's")
    if what == "another's":
        given_away(path, monkeypatch)
    with pytest.raises(OSError, match=f"{name} is a link|tls is another user's"):
        make_certificate(tmp_path / "tls")
    assert not victim.exists() if what == "a link to nothing" else victim.read_text() == "somebody else's"


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
