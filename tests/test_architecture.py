"""The map of the house holds: a room imports only from rooms that stand above it, and each foreign library has one room."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import voxops

ROOT = Path(voxops.__file__).parent

# The rooms in the order in which data flows. Files at the top of the package are rooms of one.
ROOMS = (
    "errors", "model", "_core", "api", "client", "frames", "webhooks", "analysis", "acts", "ledger", "engine", "views", "archive",
    "deliveries", "run", "core", "workspace", "conformance", "demo", "cli", "__main__", "__init__",
)  # fmt: skip
MAY_START_A_SANDBOX = {"workspace", "demo", "cli", "conformance"}
# Where a run is displayed it draws itself; nothing else looks down.
EXCEPTIONS = {("client", "frames")}

# Foreign library -> the rooms that know it.
LIBRARIES = {
    "httpx": {"client", "sandbox"},
    "sqlite3": {"ledger", "archive", "sandbox"},
    "pyarrow": {"archive"},
    "duckdb": {"archive"},
    "ipywidgets": {"views"},
    "matplotlib": {"views"},
    "starlette": {"sandbox"},
    "uvicorn": {"sandbox"},
}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def room(path: Path) -> str:
    """The room of a file: its package, or its own name at the top."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Everything of voxops that a file imports, wherever in the file, as dotted names without the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            if node.module and node.module.split(".")[0] == "voxops":
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("voxops.") for name in found if name.startswith("voxops.")}


def test_every_module_has_a_room() -> None:
    assert {room(path) for path in modules()} - {"sandbox"} <= set(ROOMS)


@pytest.mark.parametrize("path", [p for p in modules() if room(p) != "sandbox"], ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_flow_of_the_data(path: Path) -> None:
    mine = room(path)
    for name in imports(path):
        other = name.split(".")[0]
        if other == "sandbox":
            assert mine in MAY_START_A_SANDBOX, f"{mine} knows the sandbox"
        elif other != mine and (mine, other) not in EXCEPTIONS:
            assert other in ROOMS, f"{mine} imports {other} from the face of the package"
            assert ROOMS.index(other) < ROOMS.index(mine), f"{mine} imports {name}, which stands below it on the map"


def test_the_sandbox_shares_nothing() -> None:
    for path in modules():
        if room(path) == "sandbox":
            assert all(name.startswith("sandbox") for name in imports(path)), path


def graph(package: Path) -> dict[str, set[str]]:
    """Who imports whom inside a room, by the dotted names of modules."""
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in package.glob("*.py")}
    return {
        name: {
            other
            for other in files
            if other != name and any(each == other or each.startswith(f"{other}.") for each in imports(path))
        }
        for name, path in files.items()
    }


@pytest.mark.parametrize(
    "package", sorted(path for path in ROOT.iterdir() if (path / "__init__.py").exists()), ids=lambda path: path.name
)
def test_no_cycles_inside_a_room(package: Path) -> None:
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


def test_one_foreign_library_one_room() -> None:
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        for library in names & set(LIBRARIES):
            assert room(path) in LIBRARIES[library], f"{path.name} imports {library}"


def test_each_room_says_what_it_is_for_in_one_line() -> None:
    for package in ROOT.iterdir():
        if (package / "__init__.py").exists():
            said = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
            assert said, package.name
            assert said.splitlines()[0].endswith("."), package.name
