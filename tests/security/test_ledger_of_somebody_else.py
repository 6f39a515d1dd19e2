"""Point 4: a ledger from somebody else is no licence to act; what was put into it by hand is never sent."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig

from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.errors import LedgerError
from voxops.ledger.ledger import Ledger

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
def test_what_was_changed_by_hand_is_never_sent(rig: Rig, change: str, kind: str):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()) if kind == "retry" else plan_create(rig.campaign(2), key="row_id"))
    values = ", ".join(f"'$.{each.replace(' = ', chr(39) + ', ', 1)}" for each in CHANGES[change].split(", "))
    with kernel.ledger.atomic() as db:
        db.execute(f"UPDATE requests SET item = json_set(item, {values}) WHERE id = 1")
    kernel.go(run)
    assert rig.acts() == []
    assert set(kernel.results(run)["reason_code"]) == {"ledger_changed_by_hand"}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW sent AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM requests; END",
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
