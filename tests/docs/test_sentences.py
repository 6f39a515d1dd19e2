"""Sentences of pages, docstrings and messages have at most 30 words.

Code and quotations don't count: a code span, a quotation and a list of columns are one word each. A heading, an item of a list, a cell of a
table, and the text about a parameter or in the parentheses of a column stand each by itself.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from voxops.analysis.triage import RULES
from voxops.api.reasons import SENTENCES
from voxops.frames.registry import COLUMNS

HOME = Path(__file__).parents[2]
MOST = 30
CODE = "\ue000"  # stands for a code span

QUOTATION = re.compile(r'"[^"]*"|“[^”]*”')
SMALL = "voxops|pandas|msgspec|anywidget|httpx|pyarrow|matplotlib|marimo|xlsxwriter|nbconvert|mypy|ruff|pip|curl|cron"
# A full stop ends a sentence unless it belongs to an abbreviation or a small letter follows, but for the names written so.
END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\b[ap])(?<!\b[ap]\. m)(?<!\bcf)(?<!\bvs)"
    rf"[.!?…]+[*_)\]]*\s+(?=[^a-z\s]|(?:{SMALL})\b)"
)
BETWEEN_WORDS = re.compile(r"[\s—–/]+")


def sentences(text: str) -> list[str]:
    """The sentences of a block of prose; code is replaced by `CODE`."""

    def quotation(found: re.Match[str]) -> str:
        end = found[0][-2] if found[0][-2:-1] in {".", "!", "?"} else ""
        return "quotation" + end

    return END.split(QUOTATION.sub(quotation, " ".join(text.split())))


def words(sentence: str) -> int:
    return sum(re.search(rf"\w|{CODE}", word) is not None for word in BETWEEN_WORDS.split(sentence))


def too_long(where: str, blocks: Iterator[tuple[int, str]]) -> list[str]:
    """The sentences with too many words, each with its place and their number."""
    return [
        f"{where}:{line}: {words(sentence)} words: {sentence.replace(CODE, '``…``')}"
        for line, block in blocks
        for sentence in sentences(block)
        if words(sentence) > MOST
    ]


# Pages

MARKDOWN = MarkdownIt("commonmark").enable("table")
DIRECTIVES_OF_PROSE = {
    "{note}",
    "{tip}",
    "{hint}",
    "{important}",
    "{warning}",
    "{caution}",
    "{admonition}",
    "{seealso}",
}


def without_front_matter(text: str) -> str:
    return re.sub(r"\A---\n.*?^---$", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)


def blocks_of_page(text: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """Line and prose of each heading, paragraph, item and cell."""
    text = re.sub(r"^\s*(:{3,}|%).*$", "", without_front_matter(text), flags=re.MULTILINE)
    quoted = 0
    for token in MARKDOWN.parse(text):
        quoted += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        line = first + (token.map[0] if token.map else 0)
        if token.type == "fence" and token.info.split(" ")[0] in DIRECTIVES_OF_PROSE:
            yield from blocks_of_page(token.content, line + 1)
        elif token.type == "inline" and not quoted:
            # A line that begins with a colon defines the term above it.
            for part in re.split(r"\n: ", prose_of(token)):
                yield line, part


def prose_of(token: Token) -> str:
    parts = {"code_inline": CODE, "softbreak": "\n", "hardbreak": "\n", "html_inline": ""}
    emphasis = ("em_", "strong_")
    return "".join(
        child.markup if child.type.startswith(emphasis) else parts.get(child.type, child.content)
        for child in token.children or ()
    )


def pages() -> list[Path]:
    found = [*HOME.glob("*.md"), *HOME.glob("docs/**/*.md"), *HOME.glob("notebooks/*.md"), HOME / "tests/README.md"]
    return sorted(page for page in found if HOME / "docs/reference/generated" not in page.parents)


def name_of(path: Path) -> str:
    return str(path.relative_to(HOME))


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_sentences_of_a_page_are_short(page):
    found = too_long(name_of(page), blocks_of_page(page.read_text("utf-8")))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("notebook", sorted(HOME.glob("notebooks/*.ipynb")), ids=name_of)
def test_sentences_of_a_notebook_are_short(notebook):
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    prose = [(cell["id"], "".join(cell["source"])) for cell in cells if cell["cell_type"] == "markdown"]
    assert prose
    found = [
        line for number, text in prose for line in too_long(f"{name_of(notebook)}, {number}", blocks_of_page(text))
    ]
    assert not found, "\n".join(found)


# Docstrings

SPAN = re.compile(r"(?::\w+:)?(?:``.+?``|`[^`]+`)", re.DOTALL)
ENTRY = rf"{CODE}(?: \((?:[^()]|\([^()]*\))*\))?"
ENTRIES = re.compile(rf"{ENTRY}(?:(?:[,;](?: and| or| then)?| and| or) {ENTRY})+")
PARENTHESES = re.compile(r"\(((?:[^()]|\([^()]*\))*)\)")
SECTION = re.compile(r"^(?=[A-Z][\w ]+\n-{3,}$)", re.MULTILINE)
NAMES = {"Parameters", "Other Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "Methods"}


def without_code(text: str) -> str:
    """A docstring without doctests, tables and literal blocks; what is left keeps its indentation."""
    text = re.sub(r"^ *>>>.*?(?:\n\s*\n|\Z)", "\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ *=+ [ =]*\n.*\n *=+ [ =]*$", "\n", text, flags=re.MULTILINE | re.DOTALL)
    kept: list[str] = []
    literal = -1  # the indentation of the paragraph before a literal block
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if literal >= 0 and (not line.strip() or indent > literal):
            kept.append("")
            continue
        literal = indent if line.rstrip().endswith("::") else -1
        kept.append(line)
    return "\n".join(kept)


def blocks_of_docstring(text: str) -> Iterator[str]:
    """The prose of each paragraph, item and parameter; of lists of columns, the text in parentheses by itself."""
    for section in SECTION.split(without_code(inspect.cleandoc(text))):
        title, line, body = section.partition("\n---")
        if not line:
            title, body = "", section
        body = body.lstrip("-")
        if title in NAMES:  # a line with an indented one below names and types a parameter
            body = re.sub(r"^\S.*\n(?=    )", "\n", body, flags=re.MULTILINE)
            body = re.sub(r"^(?=\S)", "\n", body, flags=re.MULTILINE)
        for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", body):
            prose = " ".join(SPAN.sub(CODE, re.sub(r"\A\s*(?:[-*]|\d+\.) ", "", block)).split())
            for columns in ENTRIES.findall(prose):
                yield from PARENTHESES.findall(columns)
            if prose:
                yield ENTRIES.sub(CODE, prose)


def docstrings(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            line = getattr(node, "lineno", 1)
            for block in blocks_of_docstring(ast.get_docstring(node, clean=False) or ""):
                yield line, block


# Messages

ERROR = re.compile(r"\w+Error|RunNotFound|WaitTooLong")
HELP = {"help", "description", "epilog"}


def texts(node: ast.expr) -> list[str]:
    """What an expression may be as text, with a word for each of its fields."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(part.value if isinstance(part, ast.Constant) else "field" for part in parts)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return ["".join(pair) for pair in product(texts(left), texts(right))]
        case ast.IfExp(body=one, orelse=other):
            return [*texts(one), *texts(other)]
    return ["field"]


def messages(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """The texts of errors and warnings, where they are raised or built, and those that a command prints as help."""
    raised = {id(node.exc) for node in nodes if isinstance(node, ast.Raise)}
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if id(call) in raised or ERROR.fullmatch(name) or name == "warn":
            said = [*call.args, *(keyword.value for keyword in call.keywords)]
        else:
            said = [keyword.value for keyword in call.keywords if keyword.arg in HELP]
        for text in (text for node in said for text in texts(node)):
            yield call.lineno, SPAN.sub(CODE, text)


def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def packages() -> list[str]:
    return sorted({name_of(path.parent) for path in (HOME / "src").rglob("*.py*") if path.suffix in {".py", ".pyi"}})


@pytest.mark.parametrize("package", packages())
def test_sentences_of_the_code_are_short(package):
    found = []
    for path in sorted((HOME / package).iterdir()):
        if path.suffix in {".py", ".pyi"}:
            nodes = nodes_of(path)
            found += too_long(name_of(path), docstrings(nodes)) + too_long(name_of(path), messages(nodes))
    assert not found, "\n".join(found)


TABLES = {
    "reasons": {code: re.sub(r"{.*?}", "field", text) for code, text in SENTENCES.items()},
    "columns": {name: column.meaning for name, column in COLUMNS.items()},
    "remedies": {f"{rule.verdict}: {rule.codes}": rule.remedy for rule in RULES},
}


@pytest.mark.parametrize("table", TABLES)
def test_sentences_of_a_table_are_short(table):
    found = [line for name, text in TABLES[table].items() for line in too_long(name, iter([(0, text)]))]
    assert not found, "\n".join(found)


# What counts

LONG = " ".join(["word"] * (MOST + 1))


@pytest.mark.parametrize(
    "text",
    [
        "Retry posts, e.g. Reels, on Python 3.11 with voxops.api",
        "It goes out at 9 p. m. Berlin time",
        "It goes out late, i.e. Monday, cf. Rule 3",
        "It goes out … then comes back",
        "The server answers... sometimes",
        "Three things: a post, a target; a delivery",
        'The message "Nothing was sent. Try again." is in the log',
    ],
)
def test_one_sentence(text):
    assert len(sentences(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "It was sent. It arrived",
        "Was it sent? Yes",
        "(It was sent.) Then it arrived",
        "It was **sent.** Then it arrived",
        f"It was sent. {CODE} says so",
        "It was sent. voxops says so",
        "It waits 150 s. Then it ends",
        "It was sent. 12 posts failed",
        'It says "Nothing was sent." Then it ends',
        "It was sent…\nThen it arrived",
    ],
)
def test_two_sentences(text):
    assert len(sentences(text)) == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("a post — two targets", 4),
        ("re-run a cell and/or a notebook", 7),
        (f"{CODE} is one word", 4),
        ('it reads "no such account here"', 3),
        ("1 + 1 = 2", 3),
    ],
)
def test_words(text, number):
    assert words(sentences(text)[0]) == number


@pytest.mark.parametrize(
    "page",
    [
        f"---\ndescription: {LONG}\n---\nShort.",
        f"```sh\n{LONG}\n```",
        f"```{{code-cell}}\n{LONG}\n```",
        f"<!-- {LONG} -->",
        f"% {LONG}",
        f"> {LONG}",
        f"Run `{LONG}` in a shell.",
        f'It says "{LONG}".',
        "# " + LONG[:75] + "\n" + LONG[:75],
        "- " + LONG[:75] + "\n- " + LONG[:75],
        f"| {LONG[:75]} | {LONG[:75]} |\n|---|---|\n| {LONG[:75]} | {LONG[:75]} |",
        f"{LONG[:75]}\n: {LONG[:75]}",
    ],
)
def test_what_a_page_may_have(page):
    assert not too_long("page", blocks_of_page(page))


@pytest.mark.parametrize(
    "page",
    [
        f"Short.\n{LONG}.",
        f"# {LONG}",
        f"- short\n- {LONG}",
        f"| {LONG} | short |\n|---|---|\n| short | short |",
        f"```{{note}}\n{LONG}\n```",
        f":::{{note}}\n{LONG}\n:::",
        f"A [{LONG}](page.md).",
        f"A term\n: {LONG}",
    ],
)
def test_what_a_page_may_not_have(page):
    [found] = too_long("page", blocks_of_page(page))
    assert f" {words(found.split(': ', 2)[2])} words: " in found


@pytest.mark.parametrize(
    "text",
    [
        f">>> {LONG}\n{LONG}\n",
        f"An example::\n\n    {LONG}\n\n    {LONG}\n\nThe end.",
        f"=====  =====\n{LONG}\n=====  =====\n",
        f"Parameters\n----------\n{LONG} : str\n    Short.\n",
        f"Parameters\n----------\na : str\n    {LONG[:75]}\nb : str\n    {LONG[:75]}\n",
        f"Returns\n-------\nDataFrame\n    One row per post: ``a`` ({LONG[:75]}), ``b`` and ``c`` ({LONG[:75]}).\n",
    ],
)
def test_what_a_docstring_may_have(text):
    assert not too_long("docstring", ((0, block) for block in blocks_of_docstring(text)))


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        f"An example::\n\n    short\n\n{LONG}\n",
        f"Parameters\n----------\na : str\n    {LONG}\n",
        f"Parameters\n----------\na : str\n    Short.\n\nNotes\n-----\n{LONG}\n",
        f"One row per post: ``a`` ({LONG}), ``b``.",
    ],
)
def test_what_a_docstring_may_not_have(text):
    assert len(too_long("docstring", ((0, block) for block in blocks_of_docstring(text)))) == 1


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (f"raise ConfigError('{LONG}')", 1),
        (f"raise wrong(raw, '{LONG}')", 1),
        (f"error = vx.errors.PlanError('{LONG[:75]} ' f'{{x!r}} {LONG[:75]}')", 1),
        (f"raise PlanError('short ' + ('{LONG}' if x else 'short'))", 1),
        (f"parser.add_argument('--x', help='{LONG}')", 1),
        (f"warnings.warn('{LONG}', stacklevel=2)", 1),
        (f"raise PlanError('{LONG[:75]} {{x}}. A {LONG[:75]}')", 0),
        (f"print('{LONG}')", 0),
    ],
)
def test_what_a_message_is(code, number):
    assert len(too_long("code", messages(list(ast.walk(ast.parse(code)))))) == number
