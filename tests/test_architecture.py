"""The architecture holds: a room imports only from rooms above it, each foreign library has one room, the sandbox shares nothing."""

from __future__ import annotations

import ast
import importlib
import re
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
    "errors", "model", "_support", "api", "frames", "client", "webhooks", "sheets", "analysis", "deliveries", "acts", "loading", "ledger",
    "engine", "views", "archive", "run", "workspace", "connection", "rehearsal", "conformance", "demo", "cli", "__main__", "__init__",
)  # fmt: skip
MAY_START_A_SANDBOX = {"workspace", "connection", "rehearsal", "demo", "cli", "conformance"}

# Foreign library -> the rooms that know it.
LIBRARIES = {
    "httpx": {"client", "sandbox"},
    "sqlite3": {"ledger", "archive", "sandbox"},
    "pyarrow": {"archive", "frames"},
    "duckdb": {"archive"},
    "anywidget": {"views"},
    "ipywidgets": {"views"},
    "matplotlib": {"views"},
    "python_calamine": {"sheets"},
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


def test_every_module_has_a_room() -> None:
    assert {room(path) for path in modules()} - {"sandbox"} <= set(ROOMS)


def test_imports_follow_the_flow_of_the_data() -> None:
    wrong = []
    for path in modules():
        mine = room(path)
        for name in sorted(imports(path)) if mine != "sandbox" else ():
            package, _, rest = name.partition(".")
            other = rest.split(".")[0]
            if package == "voxburst_sandbox":
                allowed = mine in MAY_START_A_SANDBOX
            else:
                allowed = not other or other == mine or other in ROOMS[: ROOMS.index(mine)]
            if not allowed:
                wrong.append(f"{place(path)} imports {name}, which does not stand above it on the map")
    assert not wrong, "\n".join(wrong)


def test_the_sandbox_shares_nothing() -> None:
    for path in modules():
        if room(path) == "sandbox":
            assert all(name.split(".")[0] == "voxburst_sandbox" for name in imports(path)), place(path)


def test_no_cycles_inside_a_room() -> None:
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


def test_one_foreign_library_one_room() -> None:
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


def test_all_sql_stands_in_the_ledger() -> None:
    wrong = [
        f"{place(path)}: {node.value[:60]}"
        for path in modules()
        if room(path) not in MAY_WRITE_SQL
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value)
    ]
    assert not wrong, "statements of SQL outside the ledger:\n" + "\n".join(wrong)


def test_each_room_says_what_it_is_for_in_one_line() -> None:
    for package in (SANDBOX, *ROOT.iterdir()):
        if (package / "__init__.py").exists():
            said = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
            assert said, package.name
            assert said.splitlines()[0].endswith("."), package.name


TOOLS = [
    f"tests.{'.'.join(path.relative_to(TESTS).with_suffix('').parts)}"
    for path in sorted(TESTS.rglob("*.py"))
    if not path.name.startswith(("test_", "conftest", "__init__")) and path.parent.name != "spark"  # which wants Spark
]


@pytest.mark.parametrize("name", TOOLS)
def test_tools_that_no_test_runs_can_be_imported(name: str) -> None:
    """Benchmarks and proofs are run seldom; that they find what they import is seen here."""
    importlib.import_module(name)


# Prose steers nothing: code compares codes, and no sentence is searched, cut or replaced. Who may, and why:
MAY_READ_PROSE = {"voxops/sheets/files.py": "Python's csv module says by its words alone what is wrong"}
_ASKS = {"startswith", "endswith", "replace", "split", "rsplit", "partition", "rpartition", "removeprefix", "removesuffix",
         "find", "index", "count", "strip", "contains", "match", "fullmatch", "search", "sub", "subn", "findall", "compile"}  # fmt: skip


def _sentences(path: Path) -> dict[str, str]:
    """Names that stand for sentences in a file: constants of its own, wherever they are set."""
    return {
        target.id: said
        for node in nodes(path)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and (said := _prose(node.value, {}))
    }


def _prose(node: ast.AST, named: dict[str, str]) -> str:
    """The sentence that an expression is, of four words or more; ``""`` where it is none."""
    if isinstance(node, ast.Tuple | ast.Set | ast.List):
        return next(filter(None, (_prose(each, named) for each in node.elts)), "")
    if isinstance(node, ast.Name):
        return named.get(node.id, "")
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    else:
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    words = [] if set("\\[]^|") & set(text) else text.split()  # else it is a pattern
    return text if len(words) >= 4 else ""


def _searched(node: ast.AST, named: dict[str, str]) -> str:
    """The sentence that a comparison or a call of a text looks for."""
    if isinstance(node, ast.Compare):
        asks = any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops)
        sides = [node.left, *node.comparators] if asks else []
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ASKS:
        sides = node.args
    elif isinstance(node, ast.Match):
        sides = [part.value for part in ast.walk(node) if isinstance(part, ast.MatchValue)]
    else:
        return ""
    return next(filter(None, (_prose(side, named) for side in sides)), "")


def test_prose_steers_nothing() -> None:
    wrong, excused = [], set()
    for path in modules():
        if room(path) == "sandbox":
            continue
        named = _sentences(path)
        for node in nodes(path):
            if said := _searched(node, named):
                excused.add(place(path))
                if place(path) not in MAY_READ_PROSE:
                    wrong.append(f"{place(path)}:{node.lineno}: {said[:60]}")  # type: ignore[attr-defined]
    assert not wrong, "sentences are for people; compare codes:\n" + "\n".join(wrong)
    assert set(MAY_READ_PROSE) <= excused, "who reads no prose needs no leave"


@pytest.mark.parametrize(
    "code",
    [
        'why.startswith("changed since it was loaded")', 'why == "it is as it was before"', '"this is how it was" in why',
        'x = "a sentence of five words"\nwhy == x', 're.sub("a sentence of five words", "", why)', 'f"{a} is not what it was" == why',
        'str(error).replace("give another file with ledger=", "")', 'why in {"a", "it is as it was before"}',
        'match why:\n    case "it is as it was before":\n        pass',
    ],
)  # fmt: skip
def test_what_steers_by_prose_is_found(code: str) -> None:
    tree = list(ast.walk(ast.parse(code)))
    named = {"x": "a sentence of five words"}
    assert any(_searched(node, named) for node in tree)


@pytest.mark.parametrize(
    "code", ['why.code == "changed_since_loaded"', 'path.startswith("/v1/")', "x = 'it is as it was before'"]
)
def test_what_compares_codes_is_left_alone(code: str) -> None:
    assert not any(_searched(node, {}) for node in ast.walk(ast.parse(code)))
