"""Read files, archives and ledgers that were altered at random: ``python -m tests.security.fuzz files --minutes 10``.

One process has imported everything and forks for each batch. In a batch, each thing must be read or refused with an error of ours,
within 10 seconds and 1 GB. What isn't is kept in ``build/fuzz``; the printed seed and number make it again.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import random
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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import pandas as pd
from tests.chaos import world
from tests.chaos.rig import Rig
from tests.security.workbooks import inline, xlsx

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.acts.create import plan_create
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


def files(folder: Path) -> list[bytes]:
    """The files that are altered: a workbook of our own and one by hand, CSV files in several forms."""
    made = [vx.to_excel(folder / "a.xlsx", tz="UTC", Plan=ROWS).read_bytes()]
    texts = ROWS.astype(str)
    rows = [[html.escape(str(each)) for each in row] for row in [texts.columns, *texts.to_numpy()]]
    made.append(xlsx(folder / "b.xlsx", inline(*rows)).read_bytes())
    for mark in ",;\t|":
        text = texts.to_csv(index=False, sep=mark)
        made += [text.encode(), text.encode("utf-16"), text.encode("cp1252", "replace")]
    return made


def altered_bytes(data: bytes, chance: random.Random) -> bytes:
    """The same bytes with some cut, doubled or exchanged."""
    for _ in range(chance.choice([1, 1, 2, 5, 30])):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice([1, 1, 4, 200]))
        odd = chance.choice(ODD_TEXT).encode("utf-8", "surrogatepass")
        middles = [b"", odd, chance.randbytes(end - at), data[at:end] * chance.choice([2, 50])]
        data = data[:at] + chance.choice(middles) + data[end:] or b"a"
    return data


def altered_file(data: bytes, chance: random.Random) -> bytes:
    """One altered file; of a workbook, mostly a part of it."""
    if not data.startswith(b"PK") or chance.random() < 0.2:
        return altered_bytes(data, chance)
    made = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as archive, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        names = archive.namelist()
        wanted = chance.choice(names + [name for name in names if "sheet" in name] * 5)
        for name in names:
            part = archive.read(name)
            if name == wanted:
                if chance.random() < 0.05:
                    continue
                part = altered_bytes(part, chance)
            target.writestr(name, part)
    return made.getvalue()


def alter_file(models: list[bytes], chance: random.Random, path: Path) -> dict[str, Any]:
    data = chance.choice(models[:2] if chance.random() < 0.5 else models[2:])  # half of them are workbooks
    path.write_bytes(altered_file(data, chance))
    encodings = [None] * 20 + ["cp1250", "utf-16", "mac_roman", "utf-7"]
    return {
        "tz": chance.choice([None, "Europe/Berlin"]),
        "header": chance.choice([None] * 8 + [1, 3]),
        "encoding": chance.choice(encodings),
    }


# -- archives ----------------------------------------------------------------------------------------------------------


def archives(folder: Path) -> Path:
    """An archive of the sandbox."""
    with vx.connect(sandbox=True) as ws:
        ws.archive(folder / "history").sync()
    return folder / "history"


def alter_archive(model: Path, chance: random.Random, path: Path) -> str:
    """One of its files is altered, or another one is in its place."""
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(model, path)
    parts = sorted(path.rglob("*.parquet"))
    changed = chance.choice([path / "archive.json", path / ".lock", *parts[:: len(parts) // 6]])
    data = changed.read_bytes()
    changed.write_bytes(chance.choice(parts).read_bytes() if chance.random() < 0.2 else altered_bytes(data, chance))
    return str(changed.relative_to(path))


def read_archive(path: Path, _: str) -> None:
    """Read all of it, and take up a sync as far as it goes without the API."""
    archive = Archive(path)
    archive.posts()
    archive.deliveries(since="7D")
    archive.sql("SELECT * FROM targets")
    with archive._store.writing():
        archive._store.merge("posts", archive.posts())


# -- ledgers: bytes are changed, or a value that no program could write past the file's types and checks ---------------

ODD_CELLS: tuple[Any, ...] = (
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
        name: text.replace(") STRICT", ")").replace(", WITHOUT ROWID", " WITHOUT ROWID").replace(" NOT NULL", "")
        for name, text in tables.items()
    }
    change = "UPDATE sqlite_master SET sql = ? WHERE name = ?"
    execute(*((change, (text, name)) for name, text in lax.items()))
    try:
        execute((sql, values))
    finally:
        execute(*((change, (text, name)) for name, text in tables.items()))


def ledgers(folder: Path) -> Any:
    """A ledger with retries and creates, its runs and its columns."""
    with Sandbox(seed=7, speed=0, rate_limit=None) as sandbox:
        sandbox.reset(empty=True)
        rig = Rig(sandbox, folder)
        world.plant_posts(sandbox, 3, targets=2)
        kernel = rig.kernel()
        plans = plan_retry(kernel.triaged()), plan_create(rig.campaign(4), key="row_id")
        runs = [kernel.bind(plan) for plan in plans]
        for run in runs:
            kernel.go(run)
        model = folder / "filled.sqlite"
        shutil.copyfile(kernel.ledger.path, model)
        rig.close()
    with closing(sqlite3.connect(model)) as db:
        tables = [table for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")]
    return model, runs, columns


def alter_ledger(models: Any, chance: random.Random, path: Path) -> Any:
    model, runs, columns = models
    shutil.copyfile(model, path)
    if chance.random() < 0.5:
        data = bytearray(path.read_bytes())
        for _ in range(chance.randint(1, 20)):
            data[chance.randrange(100, len(data))] = chance.randrange(256)
        path.write_bytes(data)
        return runs
    (table, column), value = chance.choice(columns), chance.choice(ODD_CELLS)
    with suppress(sqlite3.Error):  # a key that is there twice, or a column that follows from another
        write_past_checks(path, f"UPDATE {table} SET {column} = ?", [value])
    return runs


@contextmanager
def only_ledger_errors() -> Iterator[None]:
    try:
        yield
    except vx.VoxopsError as error:
        if not isinstance(error, LedgerError | RunNotFound):
            raise AssertionError(repr(error)) from error
        raise


def failed_rows(ledger: Ledger, run: str) -> pd.DataFrame:
    return outcome.failed_rows(ledger, run, audit.results(ledger, run))


def read_ledger(path: Path, runs: Sequence[str]) -> None:
    """Ask a ledger for everything that it tells, and refuse any error of ours that is none of ledgers."""
    with closing(Ledger(path)) as ledger, only_ledger_errors():
        audit.runs(ledger)
        audit.history(ledger)
        audit.campaigns(ledger, [])
        audit.acted_on(ledger, datetime.fromtimestamp(0, UTC))
        _ = ledger.meta("listed", datetime.fromisoformat), ledger.seen.looked_through
        ledger.calls.some(range(100))
        for run in runs:
            for ask in (audit.results, audit.plan_of, audit.planned_rows, outcome.replanned, failed_rows):
                ask(ledger, run)
            ledger.runs.rows(run)
            outcome.rows_to_mend(ledger, run, audit.results(ledger, run), 0.0)
        for call in ledger.calls.open():
            ledger.requests.of_call(call.id)
        ledger.seen.of_rows(["x"])


# -- the rig -----------------------------------------------------------------------------------------------------------

KINDS = {
    "files": Kind(files, alter_file, lambda path, options: vx.read_campaign(path, **options)),
    "archives": Kind(archives, alter_archive, read_archive),
    "ledgers": Kind(ledgers, alter_ledger, read_ledger),
}


def judged(kind: Kind, path: Path, how: Any) -> str:
    """How a thing was read; a foreign exception is its traceback."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(path, how)
    except vx.VoxopsError:
        return "refused"
    except BaseException:
        return traceback.format_exc(limit=-6)
    return "read"


def batch(kind: Kind, models: Any, seed: int, numbers: range, path: Path, out: int) -> None:
    """In a forked process: read each thing of a batch and report it. One that takes too long ends the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where the reader's panics are printed
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (8_000_000_000,) * 2)
    for number in numbers:
        how = kind.alter(models, random.Random(f"{seed}/{number}"), path)
        signal.alarm(SECONDS)
        result = judged(kind, path, how)
        signal.alarm(0)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        os.write(out, (json.dumps([number, result if used <= MEGABYTES else f"used {used:,} MB"]) + "\n").encode())
        if used > MEGABYTES:
            return  # the next one has a process that did not


def run(name: str, seed: int, minutes: float = 10, most: int = 10**9) -> int:
    """Fuzz for so many minutes, or so many things; return how many were found wanting."""
    kind, counts = KINDS[name], Counter[str]()
    number, end = 0, time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        models, path = kind.models(Path(folder)), Path(folder) / "altered"
        while time.monotonic() < end and number < most:
            source, target = os.pipe()
            if (child := os.fork()) == 0:
                try:
                    batch(kind, models, seed, range(number, min(number + BATCH, most)), path, target)
                finally:
                    os._exit(0)
            os.close(target)
            with os.fdopen(source) as lines:
                reports = [json.loads(line) for line in lines]
            _, status = os.waitpid(child, 0)
            if status:
                reports.append([number + len(reports), f"ended its process: {status}"])
            for at, result in reports:
                counts[result if result in {"read", "refused"} else "wanting"] += 1
                if result not in {"read", "refused"}:
                    KEPT.mkdir(parents=True, exist_ok=True)
                    how = kind.alter(models, random.Random(f"{seed}/{at}"), KEPT / f"{name}-{seed}-{at}")
                    print(f"{name} {at}, {how}: {result}", flush=True)
            number += len(reports)
    summary = ", ".join(f"{counts[how]:,} {how}" for how in ("read", "refused", "wanting"))
    print(f"seed {seed}: {number:,} {name}, {summary}")
    return counts["wanting"]


def main() -> None:
    """Fuzz, and exit with status 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--most", type=int, default=10**9, help="how many at the most")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args()
    assert openpyxl  # imported before the first fork
    sys.exit(run(options.kind, options.seed, options.minutes, options.most) > 0)


if __name__ == "__main__":
    main()
