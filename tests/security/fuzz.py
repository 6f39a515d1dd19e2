"""Read files, archives and ledgers that were altered at random: ``python -m tests.security.fuzz files --minutes 10``.

One process has imported everything and forks for each batch. In a batch, each thing must be read or refused with an error of ours,
within 10 seconds and 1 GB. What isn't is kept in ``build/fuzz``; the printed seed and number make it again.
"""

from __future__ import annotations

import argparse
import html
import os
import random
import re
import resource
import secrets
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl  # noqa: F401  before the first fork
import pandas as pd
from tests.chaos import world
from tests.chaos.rig import Rig
from tests.security.workbooks import inline, xlsx

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.acts.retry import plan_retry
from voxops.archive import Archive
from voxops.engine import outcome
from voxops.errors import LedgerError, RunNotFound
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger

BATCH = 50
SECONDS = 10
MEGABYTES = 1_000
KEPT = Path("build/fuzz")


class Kind(NamedTuple):
    """What is altered: models are made once, an altered one is written to a path and says how to read it."""

    models: Callable[[Path], Any]
    alter: Callable[[Any, random.Random, Path], Any]
    read: Callable[[Path, Any], object]
    refusals: tuple[type[Exception], ...] = (vx.VoxopsError,)


# -- files of campaigns ------------------------------------------------------------------------------------------------

ROWS = pd.DataFrame(
    {
        "row_id": [f"r{number}" for number in range(30)],
        "content": ['Spring; is "here"', "=1+1", "Grüße\nan alle", "x" * 300, "😀 ok"] * 6,
        "accounts": ["acc_1; acc_2", "twitter:@brand"] * 15,
        "scheduled_for": pd.date_range("2026-03-05T09:00", periods=30, freq="h", tz="UTC"),
        "media": ["https://a.example/b.jpg", None] * 15,
        "share": [0.5, 7.0, None] * 10,
    }
)
ODD_TEXT = [
    '"', "'", ";", ",", "\t", "|", "\n", "\r", "\r\n", "\0", "sep=;\n", "\ufeff", "#N/A", "\ud800", "é", "\u2028", "1E400", "=", "\x1a", "😀",
    "2026-02-31", "99:99", "-" * 500, "," * 500, '"' * 99, "\n" * 500,
]  # fmt: skip


def files(folder):
    """The files that are altered: a workbook of our own and one by hand, CSV files in several forms."""
    made = [vx.to_excel(folder / "a.xlsx", tz="UTC", Plan=ROWS).read_bytes()]
    texts = ROWS.astype(str)
    rows = [[html.escape(str(each)) for each in row] for row in [texts.columns, *texts.to_numpy()]]
    made.append(xlsx(folder / "b.xlsx", inline(*rows)).read_bytes())
    for mark in ",;\t|":
        text = texts.to_csv(index=False, sep=mark)
        made += [text.encode(), text.encode("utf-16"), text.encode("cp1252", "replace")]
    return made


def altered_bytes(data, chance):
    """The same bytes with some cut, doubled or exchanged."""
    for _ in range(chance.choice([1, 1, 2, 5, 30])):
        at = chance.randrange(len(data) + 1)
        end = at + chance.choice([1, 1, 4, 200])
        odd = chance.choice(ODD_TEXT).encode("utf-8", "surrogatepass")
        middles = [b"", odd, chance.randbytes(end - at), data[at:end] * chance.choice([2, 50])]
        data = data[:at] + chance.choice(middles) + data[end:] or b"a"
    return data


def alter_workbook(data, chance, path):
    """Alter a part of a workbook, mostly a sheet, or leave it out."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    wanted = chance.choice([*parts, *[name for name in parts if "sheet" in name] * 5])
    part = parts.pop(wanted)
    if chance.random() > 0.05:
        parts[wanted] = altered_bytes(part, chance)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def alter_file(models, chance, path):
    data = chance.choice(models[:2] if chance.random() < 0.5 else models[2:])  # half of them are workbooks
    if data.startswith(b"PK") and chance.random() < 0.8:
        alter_workbook(data, chance, path)
    else:
        path.write_bytes(altered_bytes(data, chance))
    return {
        "tz": chance.choice([None, "Europe/Berlin"]),
        "header": chance.choice([None] * 8 + [1, 3]),
        "encoding": chance.choice([None] * 20 + ["cp1250", "utf-16", "mac_roman", "utf-7"]),
    }


# -- archives ----------------------------------------------------------------------------------------------------------


def archives(folder):
    """An archive of the sandbox."""
    with vx.connect(sandbox=True) as ws:
        ws.archive(folder / "history").sync()
    return folder / "history"


def alter_archive(model, chance, path):
    """One of its files is altered, or another one is in its place."""
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(model, path)
    parts = sorted(path.rglob("*.parquet"))
    changed = chance.choice([path / "archive.json", path / ".lock", *parts[:: len(parts) // 6]])
    data = changed.read_bytes()
    changed.write_bytes(chance.choice(parts).read_bytes() if chance.random() < 0.2 else altered_bytes(data, chance))
    return str(changed.relative_to(path))


def read_archive(path, _):
    """Read all of it, and take up a sync as far as it goes without the API."""
    archive = Archive(path)
    archive.posts()
    archive.deliveries(since="7D")
    archive.sql("SELECT * FROM targets")
    with archive._store.writing():
        archive._store.merge("posts", archive.posts())


# -- ledgers: bytes are changed, or a value that no program could write past the file's types and checks ---------------

ODD_CELLS = (
    None, "", 0, -1, 1, 2**62, 1e308, -1e308, float("inf"), "x", "{}", "[]", "null", "[[1]]", '{"a":1}', b"\xff\x00", b"{}", "a" * 5000,
    '["a","b"]', '{"outcome":"zzz"}', "nan", "2020-01-01T00:00:00Z", '"x"', "12",
)  # fmt: skip


def write_past_checks(path, sql, values=()):
    """Execute a statement past the types and checks of a ledger's tables, as an editor of bytes may; its schema stays."""
    with closing(sqlite3.connect(path)) as db:
        tables = db.execute("SELECT sql, name FROM sqlite_master WHERE type = 'table'").fetchall()
    lax = [(re.sub(r"(?<=\)) STRICT,?| NOT NULL", "", text), name) for text, name in tables]
    schema = "UPDATE sqlite_master SET sql = ? WHERE name = ?"
    for step, rows in ((schema, lax), (sql, [values]), (schema, tables)):
        with closing(sqlite3.connect(path)) as db, db:  # a schema is read anew where it was changed
            db.execute("PRAGMA writable_schema=ON")
            db.execute("PRAGMA ignore_check_constraints=ON")
            # A key may be there twice, and a column follow from another.
            with suppress(sqlite3.Error) if step == sql else nullcontext():
                db.executemany(step, rows)


def ledgers(folder):
    """A ledger with retries and creates, its runs and its columns."""
    with Sandbox(seed=7, speed=0, rate_limit=None) as sandbox:
        sandbox.reset(empty=True)
        rig = Rig(sandbox, folder)
        world.plant_posts(sandbox, 3, targets=2)
        kernel = rig.kernel()
        runs = [kernel.done(plan) for plan in (plan_retry(kernel.triaged()), rig.plan_rows(4))]
        rig.close()
    columns = "SELECT one.name, two.name FROM sqlite_master AS one, pragma_table_info(one.name) AS two WHERE one.type = 'table'"
    with closing(sqlite3.connect(kernel.ledger.path)) as db:
        return kernel.ledger.path, runs, db.execute(columns).fetchall()


def alter_ledger(models, chance, path):
    model, runs, columns = models
    shutil.copyfile(model, path)
    if chance.random() < 0.5:
        data = bytearray(path.read_bytes())
        for _ in range(chance.randint(1, 20)):
            data[chance.randrange(100, len(data))] = chance.randrange(256)
        path.write_bytes(data)
    else:
        table, column = chance.choice(columns)
        write_past_checks(path, f"UPDATE {table} SET {column} = ?", [chance.choice(ODD_CELLS)])
    return runs


def read_ledger(path, runs):
    """Ask a ledger for everything that it tells."""
    with closing(Ledger(path)) as ledger:
        audit.runs(ledger)
        audit.history(ledger)
        audit.campaigns(ledger, [])
        audit.acted_on(ledger, datetime.fromtimestamp(0, UTC))
        _ = ledger.meta("listed", datetime.fromisoformat), ledger.seen.looked_through
        ledger.calls.some(range(100))
        for run in runs:
            for ask in (audit.plan_of, audit.planned_rows, outcome.replanned):
                ask(ledger, run)
            results = audit.results(ledger, run)
            outcome.failed_rows(ledger, run, results)
            outcome.rows_to_mend(ledger, run, results, 0.0)
            ledger.runs.rows(run)
        for call in ledger.calls.open():
            ledger.requests.of_call(call.id)
        ledger.seen.of_rows(["x"])


# -- the rig -----------------------------------------------------------------------------------------------------------

KINDS = {
    "files": Kind(files, alter_file, lambda path, options: vx.read_campaign(path, **options)),
    "archives": Kind(archives, alter_archive, read_archive),
    "ledgers": Kind(ledgers, alter_ledger, read_ledger, (LedgerError, RunNotFound)),
}


def batch(kind, models, seed, numbers, path, out):
    """In a forked process: read each thing of a batch and write a letter for it; one that is found wanting ends the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where the reader's panics are printed
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (8_000_000_000,) * 2)
    warnings.simplefilter("ignore")
    for number in numbers:
        how = kind.alter(models, random.Random(f"{seed}/{number}"), path)
        signal.alarm(SECONDS)
        result = b"+"
        try:
            kind.read(path, how)
        except kind.refusals:
            result = b"-"
        signal.alarm(0)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        assert used <= MEGABYTES, f"used {used:,} MB"
        os.write(out, result)


def run(name, seed, minutes=10, most=10**9):
    """Fuzz for so many minutes, or so many things; return how many were found wanting."""
    kind, results, wanting = KINDS[name], b"", 0
    end = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        models, path = kind.models(Path(folder)), Path(folder) / "altered"
        while time.monotonic() < end and (number := len(results) + wanting) < most:
            source, target = os.pipe()
            if (child := os.fork()) == 0:
                try:
                    batch(kind, models, seed, range(number, min(number + BATCH, most)), path, target)
                except BaseException:
                    traceback.print_exc(limit=-6, file=sys.stdout)
                    sys.stdout.flush()
                    os._exit(1)
                os._exit(0)
            os.close(target)
            with os.fdopen(source, "rb") as letters:
                results += letters.read()
            _, status = os.waitpid(child, 0)
            if status:
                at = len(results) + wanting
                wanting += 1
                KEPT.mkdir(parents=True, exist_ok=True)
                how = kind.alter(models, random.Random(f"{seed}/{at}"), KEPT / f"{name}-{seed}-{at}")
                print(f"{name} {at}, {how}, ended its process: {status}", flush=True)
    counts = f"{results.count(b'+'):,} read, {results.count(b'-'):,} refused, {wanting:,} wanting"
    print(f"seed {seed}: {len(results) + wanting:,} {name}, {counts}")
    return wanting


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=KINDS)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--most", type=int, default=10**9, help="how many at the most")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    sys.exit(run(**vars(parser.parse_args())) > 0)
