"""Where a file can be broken: comparisons, booleans, constants, SQL conditions and statements, each with what takes its place."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
# In SQL, and what takes its place there.
SQL = (
    (r" <> ", " = "), (r" = (?=\?|'|NULL|excluded|requests|runs|chunks|calls|seen)", " <> "), (r" AND ", " OR "), (r" OR (?!IGNORE|REPLACE)", " AND "),
    (r" NOT IN ", " IN "), (r"(?<! NOT) IN ", " NOT IN "), (r" IS NOT NULL", " IS NULL"), (r" IS NULL", " IS NOT NULL"),
    (r" < ", " >= "), (r" <= ", " > "), (r" > ", " <= "), (r" \+ 1", " + 2"), (r" - 1", " - 2"), (r" DESC", " ASC"),
)  # fmt: skip
_IS_SQL = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE|WHERE)\b")
_WORD = re.compile(r"[A-Za-z_][\w./]*")


@dataclass(frozen=True)
class Mutant:
    """A change of one place.

    Attributes
    ----------
    function : str
        Qualified name of the function that it is in; ``""`` at the top of the file.
    name : str
        What is changed into what, and which of its like in the function; stays the same while the function does.
    line, last : int
        Lines that it stands on.
    start, end : int
        The bytes that `text` replaces.
    text : str
        What takes their place.
    """

    function: str
    name: str
    line: int
    last: int
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        """The file with this change."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants(source: bytes) -> list[Mutant]:
    """All changes of a file, in the order of their places."""
    return _walked(source).found


def functions(source: bytes) -> dict[str, str]:
    """Qualified name -> digest of each function, and of what is outside of all of them, under ``""``."""
    lines = source.splitlines(keepends=True)
    found = {}
    inside: set[int] = set()
    for name, (first, last) in _walked(source).spans.items():
        found[name] = hashlib.sha256(b"".join(lines[first - 1 : last])).hexdigest()[:16]
        inside.update(range(first, last + 1))
    rest = b"".join(line for number, line in enumerate(lines, 1) if number not in inside)
    return {"": hashlib.sha256(rest).hexdigest()[:16], **found}


def lines_of(source: bytes, function: str) -> range:
    """The lines of a function, its head included."""
    first, last = _walked(source).spans[function]
    return range(first, last + 1)


@lru_cache(maxsize=8)
def _walked(source: bytes) -> _Finder:
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return finder


class _Finder(ast.NodeVisitor):
    """Walks a file and notes every change."""

    def __init__(self, source: bytes) -> None:
        self.found: list[Mutant] = []
        self.spans: dict[str, tuple[int, int]] = {}  # function -> its first and last line
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._names: list[str] = []
        self._depth = 0  # of functions
        self._function = ""
        self._seen: dict[str, int] = {}

    # -- noting -------------------------------------------------------------------------------------------------------

    def _place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _note(self, node: ast.expr | ast.stmt, text: str) -> None:
        """Note that a node is replaced by a text."""
        start, end = self._place(node)
        self._add(node, f"{_short(self._source[start:end].decode())} → {_short(text)}", text)

    def _add(self, node: ast.expr | ast.stmt, label: str, text: str) -> None:
        name = f"{self._function}: {label}"
        number = self._seen[name] = self._seen.get(name, 0) + 1
        name = name if number == 1 else f"{name} ({number})"
        place = (node.lineno, node.end_lineno or node.lineno, *self._place(node))
        self.found.append(Mutant(self._function, name, *place, text))

    def _replace(self, node: ast.expr, by: ast.expr) -> None:
        """Note that an expression is replaced by another."""
        self._note(node, f"({ast.unparse(by)})")

    # -- where ----------------------------------------------------------------------------------------------------------

    def _enter(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._names.append(node.name)
        outermost = not isinstance(node, ast.ClassDef) and self._depth == 0
        if outermost:
            self._function = ".".join(self._names)
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            self.spans.setdefault(self._function, (first, node.end_lineno or node.lineno))
        self._depth += not isinstance(node, ast.ClassDef)
        if not isinstance(node, ast.ClassDef):
            for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self._depth -= not isinstance(node, ast.ClassDef)
        if outermost:
            self._function = ""
        self._names.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _enter

    # -- expressions ----------------------------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                self._replace(node, ast.Compare(node.left, ops, node.comparators))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._replace(node, ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values))
        for place in range(len(node.values)):
            left = [*node.values[:place], *node.values[place + 1 :]]
            self._replace(node, left[0] if len(left) == 1 else ast.BoolOp(node.op, left))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace(node, node.operand)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._test(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._replace(test, ast.Constant(True))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._replace(node, ast.Constant(not value))
        elif isinstance(value, int | float):
            self._replace(node, ast.Constant(value + 1))
        elif isinstance(value, str) and _IS_SQL.search(value):
            self._sql(node)
        elif isinstance(value, str) and _WORD.fullmatch(value):
            self._replace(node, ast.Constant(f"{value}X"))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        if _IS_SQL.search(ast.unparse(node)):
            self._sql(node)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def _sql(self, node: ast.Constant | ast.JoinedStr) -> None:
        """Note every change of a piece of SQL."""
        start, end = self._place(node)
        text = self._source[start:end].decode()
        for pattern, other in SQL:
            for hit in re.finditer(pattern, text):
                changed = text[: hit.start()] + other + text[hit.end() :]
                before, after = text[: hit.start()][-30:], text[hit.end() :][:30]
                self._add(node, f"{_cut(before + hit[0] + after)} → {other.strip()}", changed)

    def _test(self, test: ast.expr) -> None:
        """Turn a condition round that nothing else would break."""
        if not isinstance(test, ast.Compare | ast.BoolOp | ast.Constant) and not (
            isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        ):
            self._replace(test, ast.UnaryOp(ast.Not(), test))

    # -- statements -----------------------------------------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> None:
        self._test(node.test)
        self.generic_visit(node)

    visit_While = visit_If  # type: ignore[assignment]

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        self._note(node, "pass")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None or isinstance(node.value, ast.Constant):
            self._note(node, "pass")  # the constant itself is broken besides
        else:
            self._note(node, "return None")
        self.generic_visit(node)

    def _leave_out(self, node: ast.stmt) -> None:
        self._note(node, "pass")

    visit_Raise = visit_Continue = visit_Break = _leave_out

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._note(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if "__all__" in names:
            return
        if not names:  # an attribute or an entry, which may keep what it was
            self._note(node, "pass")
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Annotations decide nothing."""


def _short(text: str) -> str:
    return _cut(" ".join(text.split()))


def _cut(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:60]}…{text[-28:]}"
