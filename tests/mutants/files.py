"""The files that are broken, the tests that are asked about each, and how these are run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# File -> the tests that are asked, those written for it first. They need not be all: who kills a mutant is enough.
TABLES = "tests/engine/test_rules_table.py"
ENGINE, LEDGER, ACTS = (f"tests/{room}/test_*.py" for room in ("engine", "ledger", "acts"))
FILES: dict[str, tuple[str, ...]] = {
    "engine/rules.py": (TABLES,), "engine/reduce.py": (TABLES, "tests/engine/test_reduce.py"),
    "engine/bind.py": (TABLES, ENGINE), "engine/facts.py": (ENGINE,), "engine/presence.py": (ENGINE,),
    "engine/send.py": ("tests/engine/test_short_calls.py", ENGINE), "engine/read.py": (ENGINE,),
    "engine/lists.py": (ENGINE,), "engine/drive.py": (ENGINE,), "engine/outcome.py": (ENGINE,),
    "engine/lookback.py": (ENGINE,), "engine/watching.py": (ENGINE,), "ledger/requests.py": (LEDGER, ENGINE),
    "ledger/calls.py": (LEDGER, ENGINE), "ledger/runs.py": (LEDGER, ENGINE), "ledger/seen.py": (LEDGER, ENGINE),
    "ledger/store.py": (LEDGER, ENGINE), "ledger/records.py": (LEDGER, ENGINE),
    "ledger/audit.py": ("tests/ledger/test_audit.py", LEDGER, "tests/engine/test_tampering.py"),
    "acts/act.py": (ACTS, ENGINE), "acts/cancel.py": (ACTS, ENGINE),
    "acts/create.py": ("tests/acts/test_creates.py", ACTS, ENGINE), "acts/item.py": (ACTS, LEDGER),
    "acts/keys.py": ("tests/acts/test_golden_keys.py", ACTS),
    "acts/plan.py": ("tests/acts/test_plan*.py", ACTS, ENGINE),
    "acts/redeliver.py": ("tests/acts/test_retries.py", ACTS, ENGINE),
    "acts/retry.py": ("tests/acts/test_retries.py", ACTS, ENGINE),
    "acts/rows.py": ("tests/acts/test_plan_rows.py", ACTS),
    "acts/update.py": ("tests/acts/test_changes.py", ACTS, ENGINE),
    "api/evidence.py": ("tests/api/test_evidence.py", "tests/acts/test_settling.py"),
}  # fmt: skip
OTHER_PROCESSES = "test_chaos.py"  # its senders run the sound package
# Heavy modules that a broken package needs as much as a sound one; imported once, before the forks.
HEAVY = (
    "pandas", "httpx", "starlette.applications", "uvicorn", "hypothesis", "msgspec", "markupsafe", "platformdirs",
    "sniffio", "anyio",
)  # fmt: skip
OPTIONS = [
    "-q", "-x", "-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:cacheprovider", "-p", "no:xdist",
    "--rootdir", str(ROOT),
]  # fmt: skip


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
