"""The files that are broken, the tests that are asked about each, and how these are run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# File -> the tests that are asked, those written for it first. They need not be all: who kills a mutant is enough.
TABLES = "tests/engine/test_rules_table.py"
ENGINE, PROMISE, LEDGER, ACTS = (f"tests/{room}/test_*.py" for room in ("engine", "promise", "ledger", "acts"))
FILES: dict[str, tuple[str, ...]] = {
    "engine/rules.py": (TABLES,),
    "engine/reduce.py": (TABLES,),
    "engine/bind.py": (TABLES, ENGINE, PROMISE),
    "engine/facts.py": ("tests/engine/test_facts.py", ENGINE, PROMISE),
    "engine/presence.py": ("tests/engine/test_presence.py", ENGINE, PROMISE),
    "engine/send.py": ("tests/engine/test_facts.py", ENGINE, PROMISE),
    "engine/read.py": (ENGINE, PROMISE),
    "engine/lists.py": (ENGINE, PROMISE),
    "engine/drive.py": (ENGINE, PROMISE),
    "engine/outcome.py": (ENGINE, PROMISE),
    "engine/lookback.py": (ENGINE, PROMISE),
    "engine/watching.py": (ENGINE, PROMISE),
    "ledger/requests.py": (LEDGER, ENGINE, PROMISE),
    "ledger/calls.py": (LEDGER, ENGINE, PROMISE),
    "ledger/runs.py": (LEDGER, ENGINE, PROMISE),
    "ledger/seen.py": (LEDGER, ENGINE, PROMISE),
    "ledger/store.py": (LEDGER, ENGINE, PROMISE),
    "ledger/records.py": (LEDGER, ENGINE, PROMISE),
    "ledger/audit.py": ("tests/ledger/test_audit.py", LEDGER, "tests/engine/test_senders.py"),
    "acts/act.py": (ACTS, ENGINE, PROMISE),
    "acts/cancel.py": (ACTS, ENGINE, PROMISE),
    "acts/create.py": ("tests/acts/test_creates.py", ACTS, ENGINE, PROMISE),
    "acts/item.py": (ACTS, LEDGER),
    "acts/keys.py": ("tests/acts/test_golden_keys.py", ACTS),
    "acts/plan.py": ("tests/acts/test_plan*.py", ACTS, ENGINE, PROMISE),
    "acts/redeliver.py": ("tests/acts/test_retries.py", ACTS, ENGINE, PROMISE),
    "acts/retry.py": ("tests/acts/test_retries.py", ACTS, ENGINE, PROMISE),
    "acts/rows.py": ("tests/acts/test_plan_rows.py", ACTS),
    "acts/update.py": ("tests/acts/test_changes.py", ACTS, ENGINE, PROMISE),
    "api/evidence.py": ("tests/api/test_evidence.py", "tests/acts/test_settling.py"),
}
OTHER_PROCESSES = "test_chaos.py"  # its senders run the sound package
# Heavy modules that a broken package needs as much as a sound one; imported once, before the forks.
HEAVY = (
    "pandas",
    "httpx",
    "starlette.applications",
    "uvicorn",
    "hypothesis",
    "msgspec",
    "markupsafe",
    "platformdirs",
    "sniffio",
    "anyio",
)
OPTIONS = [
    "-q",
    "-x",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--rootdir",
    str(ROOT),
]


def source_of(name: str) -> bytes:
    """A file of the package."""
    return (ROOT / "src" / "voxops" / name).read_bytes()


def module_of(name: str) -> str:
    """The module that a file of the package is."""
    return f"voxops.{name[:-3].replace('/', '.')}"


def origin(name: str) -> str:
    """Where a file of the package is installed."""
    found = importlib.util.find_spec(module_of(name))
    assert found is not None
    assert found.origin is not None
    return found.origin


def paths_of(name: str) -> list[str]:
    """The files of tests that are asked about a file."""
    found = {path for pattern in FILES[name] for path in ROOT.glob(pattern)}
    return sorted(str(path) for path in found if path.name != OTHER_PROCESSES)
