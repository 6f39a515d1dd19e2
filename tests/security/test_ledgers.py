"""A ledger from somebody else is no licence to act: its runs are looked at first, and no other act is put into it by hand."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, codes
from tests.security.fuzz import ledgers, read_ledger, write_past_checks

from voxops.acts.retry import plan_retry
from voxops.errors import LedgerError
from voxops.ledger.ledger import Ledger

# Table, column and what an editor has made of it.
ALTERED = [
    ("requests", "created", "-1e308"), ("requests", "seen", "'1'"), ("requests", "item", "json_set(item, '$.attempt', 'x')"), ("calls", "tries", "'nan'"),
    ("runs", "created", "4e18"), ("frames", "frame", "'null'"), ("meta", "value", "x'ff'"), ("runs", "campaign", "NULL"), ("run_rows", "reason", "NULL"),
    ("frames", "run", "run || 'x'"), ("frames", "frame", "x'5b5d'"), ("requests", "seen", """'{"a":"\n"}'"""), ("calls", "baseline", """'{"a":"\n"}'"""),
    ("calls", "subject", "'x'"), ("runs", "key_column", "'x'"), ("runs", "action", "'zzz'"), ("meta", "value", "'x'"),
]  # fmt: skip


def test_what_no_ledger_holds_is_refused_in_words(tmp_path):
    """Strict types and checks are the file's own; an editor writes past them, and it is found at the latest as the run is read."""
    model, (_, run), _ = ledgers(tmp_path)
    path = tmp_path / "altered.sqlite"
    for table, column, value in ALTERED:
        shutil.copyfile(model, path)
        write_past_checks(path, f"UPDATE {table} SET {column} = {value}")
        with pytest.raises(LedgerError):
            read_ledger(path, [run])


@pytest.mark.parametrize(("act", "part", "value"), [
    ("retry", "path", "/v1/posts/post_x/retry"), ("create", "path", "/v1/webhooks"), ("create", "method", "DELETE"),
])  # fmt: skip
def test_a_request_that_does_not_belong_to_its_act_is_refused(sandbox, tmp_path, act, part, value):
    sandbox.reset(empty=True)
    rig = Rig(sandbox, tmp_path)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()) if act == "retry" else rig.plan_rows(2))
    kernel.ledger.query(f"UPDATE requests SET item = json_set(item, '$.{part}', :value) WHERE id = 1", value=value)
    kernel.go(run)
    assert rig.acts() == []
    assert codes(kernel.results(run)) == {"ledger_changed_by_hand"}
    rig.close()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have owners on POSIX systems")
def test_tables_of_others_are_refused_and_a_file_that_others_can_write_is_warned_of(tmp_path):
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    path.chmod(0o666)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE VIEW sent AS SELECT 1")
    with pytest.warns(UserWarning, match="others can write"), pytest.raises(LedgerError, match="changed it by hand"):
        Ledger(path)
