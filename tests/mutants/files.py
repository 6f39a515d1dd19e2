"""The files that are broken, the tests that are asked about each, and how these are run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# File -> the tests that are asked, those written for it first. They need not be all: who kills a mutant is enough.
ENGINE = (
    "tests/engine/test_rules_*.py",
    "tests/engine/test_other_runs.py",
    "tests/engine/test_broken_off.py",
    "tests/engine/test_what_was_read.py",
    "tests/engine/test_promise.py",
    "tests/engine/test_binding.py",
    "tests/engine/test_posts_by_hand.py",
    "tests/engine/test_remembered_posts.py",
    "tests/engine/test_acts.py",
    "tests/engine/test_changes.py",
    "tests/engine/test_several_days.py",
    "tests/engine/test_changed_meanwhile.py",
    "tests/engine/test_run_all.py",
    "tests/engine/test_unknown_meanwhile.py",
    "tests/engine/test_settler*.py",
    "tests/engine/test_sender*.py",
)
LEDGER = (
    "tests/ledger/test_ledger.py",
    "tests/ledger/test_claims.py",
    "tests/ledger/test_writes.py",
    "tests/ledger/test_lookups.py",
)
FILES: dict[str, tuple[str, ...]] = {
    "api/evidence.py": ("tests/api/test_evidence.py", "tests/acts/test_settling.py"),
    "engine/presence.py": (
        "tests/engine/test_presence.py",
        "tests/engine/test_rules_creates.py",
        "tests/engine/test_rules_ambiguity.py",
        "tests/engine/test_remembered_posts.py",
    ),
    "engine/answer.py": ("tests/engine/test_answer.py", "tests/engine/test_rules_answers.py", *ENGINE),
    "ledger/claims.py": (*LEDGER, *ENGINE),
    "ledger/tampering.py": (
        "tests/ledger/test_tampering.py",
        "tests/security/test_ledger_of_somebody_else.py",
        *LEDGER,
    ),
    "ledger/outcomes.py": (*LEDGER, *ENGINE),
    "ledger/forming.py": (*LEDGER, *ENGINE),
    "ledger/operations.py": (*LEDGER, *ENGINE),
    "ledger/creates.py": ("tests/ledger/test_lookups.py", "tests/engine/test_decisions.py"),
    "ledger/marks.py": (*LEDGER, "tests/engine/test_preflight.py", *ENGINE),
    "engine/batches.py": ("tests/engine/test_binding_writes.py", "tests/engine/test_preflight.py", *ENGINE),
    "engine/created.py": ("tests/engine/test_created.py", "tests/engine/test_few_requests.py", *ENGINE),
    "engine/preflight.py": ("tests/engine/test_preflight.py", *ENGINE),
    "engine/decisions.py": ("tests/engine/test_decisions.py", "tests/engine/test_numbered.py", *ENGINE),
    "engine/facts.py": ("tests/engine/test_decisions.py", "tests/engine/test_binding.py"),
    "engine/doubles.py": (
        "tests/engine/test_doubles.py",
        "tests/engine/test_decisions.py",
        "tests/engine/test_promise.py",
        "tests/engine/test_changed_meanwhile.py",
    ),
    "engine/mended.py": (
        "tests/engine/test_mended.py",
        "tests/engine/test_changed_meanwhile.py",
        "tests/engine/test_several_days.py",
        *ENGINE,
    ),
    "acts/adding.py": ("tests/acts/test_adding.py", "tests/acts/test_changes.py", "tests/engine/test_run_all.py"),
    "engine/reading.py": ("tests/engine/test_clocks.py", *ENGINE),
    "engine/learning.py": (
        "tests/engine/test_learning.py",
        "tests/engine/test_remembered_posts.py",
        "tests/engine/test_deleted_posts.py",
        "tests/engine/test_binding_writes.py",
        "tests/engine/test_decisions.py",
        "tests/engine/test_execution_pass.py",
        *ENGINE,
    ),
    "engine/binding.py": ("tests/engine/test_binding_writes.py", "tests/engine/test_preflight.py", *ENGINE),
    "engine/settler.py": ("tests/engine/test_settler*.py", "tests/engine/test_clocks.py", *ENGINE),
    "engine/control.py": ("tests/engine/test_control.py", *ENGINE),
    "engine/preparing.py": ("tests/engine/test_sender*.py", "tests/engine/test_few_requests.py", *ENGINE),
    "engine/sender.py": ("tests/engine/test_sender*.py", *ENGINE),
    "engine/sharing.py": ("tests/engine/test_unknown_meanwhile.py", "tests/engine/test_execution*.py", *ENGINE),
    "engine/execution.py": ("tests/engine/test_execution*.py", *ENGINE),
}
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
    return sorted({str(path) for pattern in FILES[name] for path in ROOT.glob(pattern)})
