"""The map of the house holds: a module imports from lower floors, or from those listed above it on its own floor."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import voxops

ROOT = Path(voxops.__file__).parent

FLOORS: dict[str, list[str]] = {
    "words": ["errors", "model", "_html", "_json", "_collector"],
    "pure": [
        "matrix", "keys", "backoff", "given", "values", "target", "schemas", "packing", "window", "frames", "rules", "stats", "triage",
        "deliveries", "incidents", "campaign", "_plan_html", "plan", "retries", "creates", "progress", "events", "recorded", "scan",
    ],
    "edges": ["client", "ledger_file", "ledger", "writer", "_loop", "archive"],
    "engine": [
        "settle", "watch", "binding", "facts", "reconcile", "audit", "drive", "batch", "engine", "compare", "jobs", "watching", "checkup",
    ],
    "views": ["views"],
    "face": ["nested", "run", "core", "workspace", "conformance", "demo", "cli", "__main__", "__init__"],
}  # fmt: skip
ORDER = [name for floor in FLOORS.values() for name in floor]
MAY_START_A_SANDBOX = {"workspace", "demo", "cli", "conformance"}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def place(path: Path) -> str:
    """The name under which a file stands on the map: its own, or its package's."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Everything of voxops that a file imports, wherever in the file, as dotted names without the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            if node.module == "voxops":
                found |= {f"voxops.{alias.name}" for alias in node.names}
            elif node.module:
                found.add(node.module)
    return {name.removeprefix("voxops.") for name in found if name.startswith("voxops.")}


def test_every_module_has_a_place() -> None:
    assert {place(path) for path in modules()} - {"sandbox"} <= set(ORDER)


@pytest.mark.parametrize(
    "path", [p for p in modules() if place(p) != "sandbox"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_go_down(path: Path) -> None:
    mine = place(path)
    for name in imports(path):
        other = name.split(".")[0]
        if other == "sandbox":
            assert mine in MAY_START_A_SANDBOX, f"{mine} knows the sandbox"
        elif other != mine:
            assert (ROOT / f"{other}.py").exists() or (ROOT / other).is_dir(), (
                f"{mine} imports {other} from the package root"
            )
            assert ORDER.index(other) < ORDER.index(mine), f"{mine} imports {other}, which stands below it on the map"


def test_the_sandbox_shares_nothing() -> None:
    for path in modules():
        if place(path) == "sandbox":
            assert all(name.startswith("sandbox") for name in imports(path)), path


def graph(package: str) -> dict[str, set[str]]:
    """Who imports whom inside a package."""
    files = {f"{package}.{path.stem}": path for path in (ROOT / package).glob("*.py")}
    return {
        name: {other for other in imports(path) if other in files and other != name} for name, path in files.items()
    }


@pytest.mark.parametrize("package", ["client", "views", "sandbox"])
def test_no_cycles_inside_a_package(package: str) -> None:
    edges = graph(package)
    seen: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " imports ".join((*trail, name))
        if name not in seen:
            for other in edges[name]:
                walk(other, (*trail, name))
            seen.add(name)

    for name in edges:
        walk(name, ())


def test_one_library_one_place() -> None:
    """The HTTP library is known to one file, SQLite to the ledger's and the archive's lock, widgets and plots to the views."""
    allowed = {
        "httpx": {"client", "sandbox"},
        "sqlite3": {"ledger", "ledger_file", "archive", "sandbox"},
        "pyarrow": {"archive"},
        "duckdb": {"archive"},
        "ipywidgets": {"views"},
        "matplotlib": {"views"},
        "starlette": {"sandbox"},
        "uvicorn": {"sandbox"},
    }
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        for library in names & set(allowed):
            assert place(path) in allowed[library], f"{path.name} imports {library}"
