"""A run that another user or machine began is looked at before it goes on; a ledger that an editor has altered is refused in words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.chaos.rig import Rig, outcomes
from tests.security.fuzz_ledgers import write_past_checks

from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.cli import main
from voxops.errors import ConfigError, LedgerError
from voxops.ledger import audit
from voxops.ledger.file import home
from voxops.ledger.ledger import Ledger


@pytest.fixture
def run(rig: Rig) -> str:
    """A run of two creates, bound on another laptop, of which nothing was sent; its ledger is here."""
    kernel = rig.kernel()
    run = kernel.bind(plan_create(rig.campaign(2), key="row_id"))
    with kernel.ledger.atomic() as db:
        db.execute("UPDATE runs SET home = 'another laptop'")
    return run


def test_what_another_laptop_began_goes_on_only_where_that_is_meant(rig: Rig, run: str) -> None:
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


def test_a_plan_of_ones_own_is_never_asked(rig: Rig, run: str) -> None:
    """The colleague's rows are in the own plan, too: that it asks for them is enough."""
    (kernel,) = rig.kernels
    assert outcomes(kernel.run(plan_create(rig.campaign(2), key="row_id"))) == {"succeeded": 2}
    assert rig.effects("post.create") == 2


def test_the_command_shows_what_would_be_sent_and_ends_with_2(
    rig: Rig, run: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXBURST_API_KEY", rig.sandbox.api_key)
    path = rig.folder / "ledger.sqlite"
    assert main(["resume", run, "--url", rig.sandbox.url, "--ledger", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out.count("pending") == 2
    assert "--foreign" in said.err
    assert rig.acts() == []


def test_all_kernels_of_a_user_are_one_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that begin at the same moment; a data folder that can't be written stands for the machine and the user."""
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: home.__wrapped__(), range(32)))
    assert len(names) == 1
    (kept,) = (tmp_path / "data").iterdir()
    assert kept.read_text() in names
    assert kept.stat().st_mode & 0o077 == 0
    (tmp_path / "file").touch()
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "file" / "data"))
    assert home.__wrapped__() == home.__wrapped__() not in names


# Table, column and what an editor has made of it.
ALTERED = [
    ("requests", "created", "''"),
    ("requests", "created", "-1e308"),
    ("requests", "seen", "'1'"),
    ("requests", "seen", "x'ff00'"),
    ("requests", "attempt_", "json_set(item, '$.attempt', 'x')"),
    ("calls", "tries", "'nan'"),
    ("runs", "created", "4e18"),
    ("frames", "frame", "-1.5"),
    ("frames", "run", "'another'"),
]


@pytest.mark.parametrize(("table", "column", "value"), ALTERED)
def test_what_no_ledger_holds_is_refused_in_words(rig: Rig, run: str, table: str, column: str, value: str) -> None:
    """Strict types and checks are the file's own; an editor writes past them, and `quick_check` finds it as the file is opened."""
    (kernel,) = rig.kernels
    kernel.go(run)
    path = rig.folder / "ledger.sqlite"
    write_past_checks(path, f"UPDATE {table} SET {'item' if column.endswith('_') else column} = {value}")

    def read() -> None:
        with closing(Ledger(path)) as ledger:
            audit.results(ledger, run)
            audit.runs(ledger)
            audit.history(ledger)
            audit.plan_of(ledger, run)

    with pytest.raises(LedgerError):
        read()
