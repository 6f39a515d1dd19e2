"""A ledger from somebody else is no licence to act: its runs are looked at first, and what was put into it by hand is never sent."""

from __future__ import annotations

import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from tests.chaos import world
from tests.chaos.rig import outcomes
from tests.security.fuzz import read_ledger, write_past_checks

from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.cli import main
from voxops.errors import ConfigError, LedgerError
from voxops.ledger.file import _home, home
from voxops.ledger.ledger import Ledger


@pytest.fixture
def run(rig):
    """A run of two creates, bound on another laptop, of which nothing was sent; its ledger is here."""
    kernel = rig.kernel()
    run = kernel.bind(plan_create(rig.campaign(2), key="row_id"))
    with kernel.ledger.atomic() as db:
        db.execute("UPDATE runs SET home = 'another laptop'")
    return run


def test_what_another_laptop_began_goes_on_only_where_that_is_meant(rig, run):
    (kernel,) = rig.kernels
    execution = kernel.execution(run, paused=True)
    with pytest.raises(ConfigError, match="begun by another user or on another machine"):
        eventloop.run(execution.allow())
    assert rig.acts() == []
    assert outcomes(execution.results()) == {"pending": 2}, "so that it can be looked at"
    eventloop.run(execution.allow(foreign=True))
    kernel.go(run)
    assert rig.effects("post.create") == 2
    eventloop.run(kernel.execution(run, paused=True).allow())  # it is ours from now on


def test_a_plan_of_ones_own_may_ask_for_the_colleagues_rows(rig, run):
    (kernel,) = rig.kernels
    assert outcomes(kernel.run(plan_create(rig.campaign(2), key="row_id"))) == {"succeeded": 2}
    assert rig.effects("post.create") == 2


def test_the_command_shows_what_would_be_sent_and_ends_with_2(rig, run, capsys, monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", rig.sandbox.api_key)
    path = rig.folder / "ledger.sqlite"
    assert main(["resume", run, "--url", rig.sandbox.url, "--ledger", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out.count("pending") == 2
    assert "--foreign" in said.err
    assert rig.acts() == []


def test_all_kernels_of_a_user_are_one_home(tmp_path, monkeypatch):
    """Also those that begin at the same moment; a data folder that can't be written stands for the machine and the user."""
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: _home.__wrapped__(tmp_path / "data" / "home"), range(32)))
    assert names == {home()}
    (kept,) = (tmp_path / "data").iterdir()
    assert kept.read_text() in names
    assert kept.stat().st_mode & 0o077 == 0
    (tmp_path / "file").touch()
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "file" / "data"))
    assert home() not in names, "another data folder is another home"


# Table, column and what an editor has made of it.
ALTERED = [
    ("requests", "created", "''"), ("requests", "created", "-1e308"), ("requests", "seen", "'1'"), ("requests", "seen", "x'ff00'"),
    ("requests", "item", "json_set(item, '$.attempt', 'x')"), ("calls", "tries", "'nan'"), ("runs", "created", "4e18"),
    ("frames", "frame", "-1.5"), ("frames", "run", "'another'"),
]  # fmt: skip


def test_what_no_ledger_holds_is_refused_in_words(rig, run, tmp_path):
    """Strict types and checks are the file's own; an editor writes past them, and it is found at the latest as the run is read."""
    (kernel,) = rig.kernels
    kernel.go(run)
    for table, column, value in ALTERED:
        path = tmp_path / f"{table} {column} {value.replace('/', '')}"
        shutil.copyfile(kernel.ledger.path, path)
        write_past_checks(path, f"UPDATE {table} SET {column} = {value}")
        with pytest.raises(LedgerError):
            read_ledger(path, [run])


CHANGES = {
    "a delete of an account": "method = 'DELETE', path = '/v1/accounts/acc_1'",
    "a new webhook": "path = '/v1/webhooks', body = json('{}')",
    "another post": "path = '/v1/posts/post_x/retry'",
    "another row": "identity = 'mine' || id",
    "another attempt": "attempt = 7",
    "other bytes": "body = json('{\"media\":[]}')",
    "another act": "act = 'cancel'",
    "no act": "act = 'boost'",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["retry", "create"])
def test_what_was_changed_by_hand_is_never_sent(rig, change, kind):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()) if kind == "retry" else plan_create(rig.campaign(2), key="row_id"))
    values = ", ".join(f"'$.{each.replace(' = ', chr(39) + ', ', 1)}" for each in CHANGES[change].split(", "))
    with kernel.ledger.atomic() as db:
        db.execute(f"UPDATE requests SET item = json_set(item, {values}) WHERE id = 1")
    kernel.go(run)
    assert rig.acts() == []
    assert set(kernel.results(run)["reason_code"]) == {"ledger_changed_by_hand"}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have owners on POSIX systems")
def test_tables_of_others_are_refused_and_a_file_that_others_can_write_is_warned_of(tmp_path):
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    path.chmod(0o666)
    with pytest.warns(UserWarning, match="others can write"):
        Ledger(path).close()
    path.chmod(0o600)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE VIEW sent AS SELECT 1")
    with pytest.raises(LedgerError, match="changed it by hand"):
        Ledger(path)
