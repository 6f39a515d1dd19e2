"""The architecture holds: a room imports only from rooms above it, each foreign library has one room, the sandbox shares nothing."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

import voxburst_sandbox
import voxops

ROOT = Path(voxops.__file__).parent
SANDBOX = Path(voxburst_sandbox.__file__).parent
TESTS = Path(__file__).parent

# The rooms in the order in which data flows. Files at the top of the package are rooms of one.
ROOMS = (
    "errors", "model", "nested_loops", "_support", "api", "frames", "client", "webhooks", "sheets", "analysis", "deliveries", "acts", "ledger", "loading",
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
    """Everything of the two packages that a file imports, wherever in the file, as dotted names."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in found if name.split(".")[0] in {"voxops", "voxburst_sandbox"})


def test_imports_follow_the_flow_of_the_data_and_the_sandbox_shares_nothing():
    wrong = []
    for path in modules():
        mine = room(path)
        for name in sorted(imports(path)):
            package, _, rest = name.partition(".")
            other = rest.split(".")[0]
            if mine == "sandbox":
                allowed = package == "voxburst_sandbox"
            elif package == "voxburst_sandbox":
                allowed = mine in MAY_START_A_SANDBOX
            else:
                allowed = not other or other == mine or other in ROOMS[: ROOMS.index(mine)]
            if not allowed:
                wrong.append(f"{place(path)} imports {name}, which does not stand above it on the map")
    assert not wrong, "\n".join(wrong)


def test_no_cycles_inside_a_room():
    names = {dotted(path) for path in modules()}
    edges = {
        dotted(path): {name if name in names else name.rpartition(".")[0] for name in imports(path)}
        & names - {"voxops"}
        for path in modules()
    }
    rooms = {dotted(path): room(path) for path in modules()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " imports ".join((*trail, name))
        if name not in done:
            for other in sorted(edges[name] - {name}):
                if rooms[other] == rooms[name]:
                    walk(other, (*trail, name))
            done.add(name)

    for name in sorted(names):
        walk(name, ())


def test_one_foreign_library_one_room():
    for path in modules():
        for node in nodes(path):
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            else:
                continue
            for library in names & set(LIBRARIES):
                assert room(path) in LIBRARIES[library], f"{place(path)} imports {library}"


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
        if (
            not path.name.startswith(("test_", "conftest", "__init__")) and path.parent.name != "spark"
        ):  # which wants Spark
            importlib.import_module(f"tests.{'.'.join(path.relative_to(TESTS).with_suffix('').parts)}")


# Prose steers nothing: code compares codes, and no sentence is searched, cut or replaced.
_ASKS = {"startswith", "endswith", "replace", "split", "rsplit", "partition", "rpartition", "removeprefix", "removesuffix",
         "find", "index", "count", "strip", "contains", "match", "fullmatch", "search", "sub", "subn", "findall", "compile"}  # fmt: skip


def _is_prose(text: object) -> bool:
    """Whether it is a sentence, of four words or more, and no pattern."""
    return isinstance(text, str) and not set("\\[]^|") & set(text) and len(text.split()) >= 4


def _named(tree: Sequence[ast.AST]) -> dict[str, str]:
    """Names that stand for sentences in a file, wherever they are set."""
    found = {}
    for node in tree:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            texts = [
                each.value for each in _parts(node.value) if isinstance(each, ast.Constant) and _is_prose(each.value)
            ]
            found |= {node.targets[0].id: str(text) for text in texts}
    return found


def _parts(node: ast.AST) -> list[ast.AST]:
    """What an expression is made of, where it is a collection or a formatted text, else itself."""
    inner = {ast.Tuple: "elts", ast.Set: "elts", ast.List: "elts", ast.JoinedStr: "values"}.get(type(node), "")
    return getattr(node, inner) if inner else [node]


def _searched(node: ast.AST, named: dict[str, str]) -> str:
    """The sentence that a comparison, a pattern or a call of a text looks for."""
    sides: list[ast.AST] = []
    if isinstance(node, ast.Compare) and any(
        isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops
    ):
        sides = [node.left, *node.comparators]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ASKS:
        sides = [*node.args]
    elif isinstance(node, ast.MatchValue):
        sides = [node.value]
    parts = [part for side in sides for part in _parts(side)]
    texts = [named.get(part.id) if isinstance(part, ast.Name) else getattr(part, "value", None) for part in parts]
    return next((str(text) for text in texts if _is_prose(text)), "")


def test_prose_steers_nothing():
    found = {}
    for path in modules():
        named = {} if room(path) == "sandbox" else _named(nodes(path))
        said = [text for node in nodes(path) if room(path) != "sandbox" and (text := _searched(node, named))]
        found |= {place(path): said} if said else {}
    assert not found, f"sentences are for people; compare codes: {found}"


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
    tree = list(ast.walk(ast.parse(code)))
    assert any(_searched(node, _named(tree)) for node in tree) is found
