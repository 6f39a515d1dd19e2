"""Read ledgers altered at random: ``python -m tests.security.fuzz_ledgers --times 1000 --seed 1``.

Half of them have bytes changed, the others a value that no program could write past the file's types and checks. Each must be read, or refused
with an error of ours.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos import world
from tests.chaos.rig import Rig

from voxburst_sandbox import Sandbox
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.engine import outcome
from voxops.errors import VoxopsError
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger

ODD: tuple[Any, ...] = (
    None, "", 0, -1, 1, 2**62, 1e308, -1e308, float("inf"), "x", "{}", "[]", "null", "[[1]]", '{"a":1}', b"\xff\x00", b"{}", "a" * 5000,
    '["a","b"]', '{"outcome":"zzz"}', "nan", "2020-01-01T00:00:00Z", '"x"', "12",
)  # fmt: skip


def write_past_checks(path: Path, sql: str, values: Sequence[Any] = ()) -> None:
    """Execute a statement past the types and checks of a ledger's tables, as an editor of bytes may; its schema stays."""

    def execute(*steps: tuple[str, Sequence[Any]]) -> None:
        with closing(sqlite3.connect(path)) as db, db:  # a schema is read anew where it was changed
            db.execute("PRAGMA writable_schema=ON")
            db.execute("PRAGMA ignore_check_constraints=ON")
            for step, bound in steps:
                db.execute(step, bound)

    with closing(sqlite3.connect(path)) as db:
        tables = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    lax = {
        name: text.replace(") STRICT", ")").replace(", WITHOUT ROWID", " WITHOUT ROWID")
        for name, text in tables.items()
    }
    change = "UPDATE sqlite_master SET sql = ? WHERE name = ?"
    execute(*((change, (text, name)) for name, text in lax.items()))
    try:
        execute((sql, values))
    finally:
        execute(*((change, (text, name)) for name, text in tables.items()))


def filled(folder: Path) -> tuple[Path, list[str]]:
    """A ledger with retries and creates, and its runs."""
    with Sandbox(seed=7, speed=0, rate_limit=None) as sandbox:
        sandbox.reset(empty=True)
        rig = Rig(sandbox, folder)
        world.plant_posts(sandbox, 3, targets=2)
        kernel = rig.kernel()
        runs = [
            kernel.bind(plan) for plan in (plan_retry(kernel.triaged()), plan_create(rig.campaign(4), key="row_id"))
        ]
        for run in runs:
            kernel.go(run)
        kernel.ledger.copy_to(folder / "filled.sqlite")
        rig.close()
    return folder / "filled.sqlite", runs


def read(path: Path, runs: Sequence[str]) -> None:
    """Ask a ledger for everything that it tells."""
    with closing(Ledger(path)) as ledger:
        audit.runs(ledger)
        audit.history(ledger)
        for run in runs:
            for ask in (audit.results, audit.plan_of, audit.planned_rows, outcome.replanned, outcome.failed_rows):
                ask(ledger, run)
            ledger.runs.rows(run)
        for call in ledger.calls.open():
            ledger.requests.of_call(call.id)
        ledger.seen.of_rows(["x"])
        audit.prune(ledger, datetime(2000, 1, 1, tzinfo=UTC))


def alter(path: Path, columns: Sequence[tuple[str, str]], chance: random.Random) -> str:
    """Alter a ledger; says what was done."""
    if chance.random() < 0.5:
        data = bytearray(path.read_bytes())
        for _ in range(chance.randint(1, 20)):
            data[chance.randrange(100, len(data))] = chance.randrange(256)
        path.write_bytes(data)
        return "bytes"
    (table, column), value = chance.choice(columns), chance.choice(ODD)
    try:
        write_past_checks(path, f"UPDATE {table} SET {column} = ?", [value])
    except sqlite3.Error as error:  # a key that is there twice, or a column that follows from another
        return f"nothing: {error}"
    return f"{table}.{column} = {value!r:.40}"


def run(times: int, seed: int) -> int:
    """Alter and read a ledger so often; how many gave an exception that is not ours."""
    said: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        model, runs = filled(Path(name))
        with closing(sqlite3.connect(model)) as db:
            tables = [table for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns = [(table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")]
        for number in range(times):
            path = Path(name) / "altered.sqlite"
            shutil.copyfile(model, path)
            done = alter(path, columns, random.Random(f"{seed}/{number}"))
            try:
                read(path, runs)
            except VoxopsError:
                said["refused"] += 1
            except Exception:
                said["wanting"] += 1
                print(f"ledger {number}, {done}: {traceback.format_exc(limit=-4)}", flush=True)
            else:
                said["read"] += 1
    print(f"seed {seed}: {times} ledgers, {said['read']} read, {said['refused']} refused, {said['wanting']} wanting")
    return said["wanting"]


def main() -> None:
    """Fuzz, and exit with status 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.exit(1 if run(options.times, options.seed) else 0)


if __name__ == "__main__":
    main()
