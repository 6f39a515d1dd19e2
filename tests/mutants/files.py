"""The files that are broken, the tests that are asked about each, and how these are run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# File -> the tests that are asked, those written for it first. They need not be all: who kills a mutant is enough.
TABLES, FACTS = "tests/engine/test_rules_table.py", "tests/engine/test_facts.py"
ENGINE, PROMISE, LEDGER, ACTS = (f"tests/{room}/test_*.py" for room in ("engine", "promise", "ledger", "acts"))
FRAMES, SHEETS, ANALYSIS, ARCHIVE, CLIENT, VIEWS, WHOLE = (
    f"tests/{room}/test_*.py" for room in ("frames", "sheets", "analysis", "archive", "client", "views", "whole")
)
CORE = (ENGINE, PROMISE)
FILES: dict[str, tuple[str, ...]] = {
    "engine/rules.py": (TABLES,), "engine/reduce.py": (TABLES,), "engine/bind.py": (TABLES, *CORE),
    "engine/facts.py": (FACTS, *CORE), "engine/presence.py": ("tests/engine/test_presence.py", *CORE), "engine/send.py": (FACTS, *CORE),
    "engine/read.py": CORE, "engine/lists.py": CORE, "engine/drive.py": CORE, "engine/opened.py": CORE, "engine/outcome.py": CORE,
    "engine/lookback.py": CORE, "engine/watching.py": CORE,
    "ledger/requests.py": (LEDGER, *CORE), "ledger/calls.py": (LEDGER, *CORE), "ledger/runs.py": (LEDGER, *CORE),
    "ledger/seen.py": (LEDGER, *CORE), "ledger/store.py": (LEDGER, *CORE), "ledger/records.py": (LEDGER, *CORE),
    "ledger/audit.py": ("tests/ledger/test_audit.py", LEDGER, "tests/engine/test_senders.py"),
    "acts/act.py": (ACTS, LEDGER, *CORE), "acts/cancel.py": (ACTS, *CORE), "acts/create.py": ("tests/acts/test_creates.py", ACTS, *CORE),
    "acts/keys.py": ("tests/acts/test_golden_keys.py", ACTS), "acts/plan.py": ("tests/acts/test_plan*.py", ACTS, *CORE),
    "acts/redeliver.py": ("tests/acts/test_retries.py", ACTS, *CORE), "acts/retry.py": ("tests/acts/test_retries.py", ACTS, *CORE),
    "acts/update.py": ("tests/acts/test_changes.py", ACTS, *CORE),
    "api/evidence.py": ("tests/api/test_evidence.py", "tests/acts/test_settling.py", FACTS),
    "frames/records.py": (FRAMES,), "frames/packing.py": (FRAMES,), "frames/times.py": (FRAMES, SHEETS), "frames/columns.py": (FRAMES, SHEETS),
    "sheets/campaign.py": (SHEETS,), "sheets/rules.py": (SHEETS,), "client/_pages.py": (CLIENT,), "client/_pace.py": (CLIENT,),
    "analysis/triage.py": (ANALYSIS,), "analysis/causes.py": (ANALYSIS,), "analysis/statistics.py": (ANALYSIS,),
    "deliveries.py": (ANALYSIS,),
    "archive/sync.py": (ARCHIVE,), "archive/store.py": (ARCHIVE,), "archive/query.py": (ARCHIVE, ANALYSIS),
    "views/_report_sections.py": (VIEWS,), "views/_delivery_report.py": (VIEWS,), "cli/commands.py": ("tests/whole/test_cli.py", WHOLE),
}  # fmt: skip
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
