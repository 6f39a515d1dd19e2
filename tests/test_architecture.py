"""The architecture holds: a room imports only from rooms above it, each foreign library has one room, the sandbox shares nothing."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import voxburst_sandbox
import voxops

ROOT = Path(voxops.__file__).parent
SANDBOX = Path(voxburst_sandbox.__file__).parent
TESTS = Path(__file__).parent

# The rooms in the order in which data flows. Files at the top of the package are rooms of one.
ROOMS = (
    "errors", "model", "_support", "api", "frames", "client", "webhooks", "sheets", "analysis", "deliveries", "acts", "ledger", "loading",
    "engine", "views", "archive", "run", "workspace", "connection", "demo", "cli", "__main__", "__init__",
)  # fmt: skip
MAY_START_A_SANDBOX = {"workspace", "connection", "demo", "cli"}

# Foreign library -> the rooms that know it.
LIBRARIES = {
    "httpx": {"client", "sandbox"},
    "sqlite3": {"ledger", "archive", "sandbox"},
    "pyarrow": {"frames"},
    "duckdb": {"archive"},
    "anywidget": {"views"},
    "ipywidgets": {"views"},
    "jinja2": {"views"},
    "matplotlib": {"views"},
    "PIL": {"sheets"},
    "openpyxl": {"sheets"},
    "xlsxwriter": {"views"},
    "starlette": {"sandbox"},
    "uvicorn": {"sandbox"},
}

# The ledger holds all SQL; the archive asks DuckDB, and the sandbox, which shares nothing, has a store of its own.
MAY_WRITE_SQL = {"ledger", "archive", "sandbox"}
SQL = re.compile(
    r"\bSELECT\b.+\bFROM\b|\bINSERT (OR \w+ )?INTO\b|\bUPDATE \w+ SET\b|\bDELETE FROM\b"
    r"|\bCREATE (TABLE|VIEW|INDEX|TRIGGER)\b|\bPRAGMA \w|\bBEGIN (IMMEDIATE|EXCLUSIVE)\b",
    re.DOTALL,
)


@cache
def modules() -> tuple[Path, ...]:
    """Every file of both packages."""
    return tuple(sorted(p for root in (ROOT, SANDBOX) for p in root.rglob("*.py") if "__pycache__" not in p.parts))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """The syntax tree of a file, flat; read once."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def place(path: Path) -> str:
    """A file as the map names it, like ``voxops/ledger/file.py``."""
    return path.relative_to(ROOT.parent).as_posix()


def dotted(path: Path) -> str:
    """A file as imports name it, like ``voxops.ledger.file``."""
    return place(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def room(path: Path) -> str:
    """The room of a file: its package, or its own name at the top; the sandbox is one."""
    if path.is_relative_to(SANDBOX):
        return "sandbox"
    return path.relative_to(ROOT).with_suffix("").parts[0]


@cache
def imports(path: Path) -> frozenset[str]:
    """Everything that a file imports, wherever in the file, as dotted names."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def test_imports_follow_the_flow_of_the_data_and_the_sandbox_shares_nothing():
    wrong = []
    for path in modules():
        mine = room(path)
        for name in sorted(imports(path)):
            package, other, *_ = *name.split("."), ""
            if package == "voxburst_sandbox":
                allowed = mine in MAY_START_A_SANDBOX | {"sandbox"}
            elif package == "voxops":
                allowed = mine != "sandbox" and other in {"", mine, *ROOMS[: ROOMS.index(mine)]}
            else:
                allowed = mine in LIBRARIES.get(package, {mine})
            if not allowed:
                wrong.append(f"{place(path)} imports {name}, which does not stand above it on the map")
    assert not wrong, "\n".join(wrong)


def test_no_cycles_inside_a_room():
    rooms = {dotted(path): room(path) for path in modules()}
    edges = {}
    for path in modules():
        name = dotted(path)
        named = {each if each in rooms else each.rpartition(".")[0] for each in imports(path)} - {name}
        edges[name] = {each for each in named if rooms.get(each) == rooms[name]}
    TopologicalSorter(edges).prepare()  # CycleError names the cycle


def test_all_sql_stands_in_the_ledger():
    wrong = [
        f"{place(path)}: {node.value[:60]}"
        for path in modules()
        if room(path) not in MAY_WRITE_SQL
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value)
    ]
    assert not wrong, "statements of SQL outside the ledger:\n" + "\n".join(wrong)


def test_tools_that_no_test_runs_can_be_imported():
    """Benchmarks and proofs are run seldom; that they find what they import is seen here."""
    for path in sorted(TESTS.rglob("*.py")):
        if not path.name.startswith(("test_", "conftest", "__init__")) and path.parent.name != "spark":
            # Only `make spark` has pyspark.
            importlib.import_module(f"tests.{'.'.join(path.relative_to(TESTS).with_suffix('').parts)}")


# Prose steers nothing: code compares codes, and no sentence is searched, cut or replaced.
_ASKS = {"startswith", "endswith", "replace", "split", "rsplit", "partition", "rpartition", "removeprefix", "removesuffix",
         "find", "index", "count", "strip", "contains", "match", "fullmatch", "search", "sub", "subn", "findall", "compile"}  # fmt: skip


def _sentences(node: ast.AST, named: Mapping[str, str] = {}) -> Iterator[str]:
    """The sentences that an expression consists of, of four words or more, also those that a name stands for."""
    if isinstance(node, ast.Compare | ast.MatchValue | ast.Tuple | ast.Set | ast.List | ast.JoinedStr):
        for part in ast.iter_child_nodes(node):
            yield from _sentences(part, named)
        return
    text = named.get(node.id) if isinstance(node, ast.Name) else getattr(node, "value", None)
    if isinstance(text, str) and not set("\\[]^|") & set(text) and len(text.split()) >= 4:  # a pattern is none
        yield text


def _searched(tree: ast.AST) -> list[str]:
    """The sentences that a comparison, a pattern or a call of a text in this code looks for."""
    named, sides = {}, []
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                named |= {name: text for text in _sentences(value)}
            case ast.Compare() | ast.MatchValue():
                sides.append(node)
            case ast.Call(func=ast.Attribute(attr=attr), args=args) if attr in _ASKS:
                sides += args
    return [text for side in sides for text in _sentences(side, named)]


def test_prose_steers_nothing():
    files = [path for path in modules() if room(path) != "sandbox"]
    found = [f"{place(path)}: {text}" for path in files for text in _searched(nodes(path)[0])]
    assert not found, "sentences are for people; compare codes:\n" + "\n".join(found)


@pytest.mark.parametrize(("code", "found"), [
    ('why.startswith("changed since it was loaded")', True), ('why == "it is as it was before"', True),
    ('"this is how it was" in why', True),
    ('x = "a sentence of five words"\nwhy == x', True), ('re.sub("a sentence of five words", "", why)', True),
    ('f"{a} is not what it was" == why', True), ('why in {"a", "it is as it was before"}', True),
    ('match why:\n    case "it is as it was before":\n        pass', True),
    ('why.code == "changed_since_loaded"', False),
    ('path.startswith("/v1/")', False), ("x = 'it is as it was before'", False),
])  # fmt: skip
def test_what_steers_by_prose_is_found_and_what_compares_codes_is_not(code, found):
    assert bool(_searched(ast.parse(code))) is found
