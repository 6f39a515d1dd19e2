"""Point 4: a ledger from somebody else is no licence to act; what was put into it by hand is never sent."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig

from voxburst_sandbox import Sandbox
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.errors import LedgerError
from voxops.ledger import Ledger

CHANGES = {
    "a delete of an account": "UPDATE operations SET method = 'DELETE', path = '/v1/accounts/acc_1'",
    "a new webhook": "UPDATE operations SET path = '/v1/webhooks', body = x'7b7d'",
    "another post": "UPDATE operations SET path = replace(path, 'post_', 'post_x')",
    "another key": "UPDATE operations SET key = 'f0000000-0000-4000-8000-000000000000'",
    "other bytes": "UPDATE operations SET body = x'7b226d65646961223a5b5d7d'",
    "another act": "UPDATE operations SET action = 'cancel'",
    "no act": "UPDATE operations SET action = 'boost'",
}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Sandbox(seed=7, speed=0, rate_limit=None) as sandbox:
        sandbox.reset(empty=True)
        made = Rig(sandbox, tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["retry", "create"])
def test_what_was_changed_by_hand_is_never_sent(rig: Rig, change: str, kind: str):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()) if kind == "retry" else plan_create(rig.campaign(2), key="row_id"))
    with kernel.ledger.atomic() as db:
        db.execute(CHANGES[change])
    before = len(rig.sandbox.effects())
    snapshot = kernel.go(run)
    if change != "another post" or kind == "retry":
        assert len(rig.sandbox.effects()) == before
        said = f"{snapshot.note} {' '.join(kernel.results(run)['waiting_for'].dropna())}"
        assert "not known here" in said or "changed this ledger by hand" in said


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW sent AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM operations; END",
    ],
)
def test_views_and_triggers_are_refused(tmp_path: Path, statement: str):
    Ledger(tmp_path / "ledger.sqlite").close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite")
    db.execute(statement)
    db.commit()
    db.close()
    with pytest.raises(LedgerError, match="changed it by hand"):
        Ledger(tmp_path / "ledger.sqlite")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have owners on POSIX systems")
def test_a_ledger_that_others_can_write_is_warned_of(tmp_path: Path):
    Ledger(tmp_path / "ledger.sqlite").close()
    (tmp_path / "ledger.sqlite").chmod(0o666)
    with pytest.warns(UserWarning, match="others can write"):
        Ledger(tmp_path / "ledger.sqlite").close()
