"""Nothing public is without text: each name, column, reason code, error, command and option is in the generated pages."""

from __future__ import annotations

import argparse
import inspect
import re
from dataclasses import fields, is_dataclass
from functools import cache, cached_property
from pathlib import Path

import _reference as reference
import pandas as pd
import pytest

import voxops as vx
from voxops.analysis.triage import RULES
from voxops.api.matrix import MATRIX
from voxops.api.reasons import SENTENCES
from voxops.frames.registry import COLUMNS, column_named, kind_of

HOME = Path(__file__).parents[2]
MOST_WORDS = 30
EXTRA = ("errors", "exit")  # the groups of the file that are no reason codes
OWN = {  # members that voxops itself calls
    "Workspace": "identify",
    "Run": "begin end left notice unbegun aio",
    "Plan": "chunks act table items key canaries first reads why undo whole",
    "Settings": "read attrs arguments",
    "AsyncClient": "bind_loop fingerprint permit",
}
OF_CLASSES = [one[0] for _, _, listed in reference.PAGES.values() for one in listed if not isinstance(one, str)]


def words(text: str) -> int:
    return len(re.sub(r"`[^`]*`", "code", text).split())


def cells(page: str) -> list[tuple[str, list[str], list[str]]]:
    """The tables of a page: the heading above each row, the heads, the cells."""
    found, heading, heads = [], "", []
    for line in page.splitlines():
        if line.startswith("#"):
            heading, heads = line.lstrip("# "), []
        elif line.startswith("|"):
            row = [each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not heads:
                heads = row
            elif not set(row[0]) <= {"-"} or not row[0]:
                found.append((heading, heads, row))
        else:
            heads = []
    return found


# Columns.


@pytest.mark.parametrize("name", sorted({*reference._frames.FRAMES, *reference._frames.MORE} - reference._OWN_COLUMNS))
def test_every_column_of_a_public_frame_has_a_meaning_and_its_numbers_and_times_a_unit(name):
    _, frame = reference.frames()[name]
    explained = vx.columns(frame)
    assert explained.index[explained["meaning"].isna()].to_list() == []
    counted = explained["dtype"].str.contains(r"^(?:u?int|float|datetime)", case=False)
    assert explained.index[counted & explained["unit"].isna()].to_list() == []


def test_every_column_of_the_registry_is_on_the_page_and_says_something_of_itself():
    shown = {row[0].strip("`") for _, _, row in cells(reference.page("columns.md"))}
    assert {name.rpartition(".")[2] for name in COLUMNS} <= shown
    assert [
        name for name, one in COLUMNS.items() if len(one.meaning.split()) < 3 or not one.meaning.endswith(".")
    ] == []
    vague = re.compile(r"^(the same|see|as above)\b|\bas status\b", re.IGNORECASE)
    assert [name for name, one in COLUMNS.items() if vague.search(one.meaning)] == []


def test_every_call_that_returns_a_frame_is_on_the_page_of_the_columns():
    calls = {call for call, _ in {**reference._frames.FRAMES, **reference._frames.MORE}.values()}
    free = {"archive.sql"}  # its columns are the caller's own
    page = reference.page("columns.md")
    assert [call for call in calls - free if f"`{call}`" not in page] == []


def test_columns_that_are_added_and_their_kinds_are_known():
    assert [name for name in reference.ADDED if not column_named(name).meaning] == []
    assert {kind_of(frame).name for _, frame in reference.frames().values()} >= set(reference._LATER)


# Reason codes.


@cache
def told() -> dict[str, str]:
    """Code -> what to do."""
    return {
        code: cure
        for name, group in reference.cures().items()
        if name not in EXTRA
        for code, cure in group["cures"].items()
    }


@cache
def used() -> set[str]:
    """The codes that the code gives a reason, literally, and those of errors that it gives itself."""
    sources = [path.read_text("utf-8") for path in (HOME / "src" / "voxops").rglob("*.py")]
    return {
        code
        for text in sources
        for code in re.findall(r'\bReason\(\s*"(\w+)"|error_code="([A-Z_]+)"', text)
        for code in code
        if code
    }


def test_every_reason_code_has_its_line_what_to_do_and_no_other_has():
    own = {code for group in reference.cures().values() for code in group.get("sentences", {})}
    assert set(SENTENCES) - set(told()) == set()
    assert used() - set(told()) == set()
    assert set(told()) - set(SENTENCES) - own == set()
    assert own - set(told()) == set(), "a sentence without what to do"
    assert own & set(SENTENCES) == set()
    assert own - used() <= {"validation_error", "NOT_AS_ASKED", "NOT_DELIVERED", "HTTP_NNN"}, (
        "no code gives these any more"
    )


def test_each_code_is_in_one_group():
    groups = [code for name, group in reference.cures().items() if name not in EXTRA for code in group["cures"]]
    assert len(groups) == len(set(groups))


@pytest.mark.parametrize("name", [name for name in reference.cures() if name != "exit"])
def test_what_to_do_is_a_short_sentence_about_names_that_exist(name):
    for code, cure in reference.cures()[name]["cures"].items():
        assert words(cure) <= MOST_WORDS, code
        assert cure.endswith("."), code
        for call in re.findall(r"\b(vx|ws|run)\.([\w.]+)", cure):
            assert reference.full_name(".".join(call).rstrip("."), "") is not None, f"{code}: {'.'.join(call)}"


def test_every_code_of_triage_is_on_the_page_with_its_remedy():
    rows = {
        row[0] for heading, _, row in cells(reference.page("reasons.md")) if heading == "Error codes that triage knows"
    }
    assert {code for rule in RULES for code in rule.codes} == {re.sub(r"`(\w+)`.*", r"\1", row) for row in rows}
    assert [rule for rule in RULES if not rule.remedy] == []


# Public names.


def members(kind: type) -> set[str]:
    """The public methods and properties of a class, without those that only voxops calls."""
    found = {name for name in dir(kind) if not name.startswith("_")} - set(OWN.get(kind.__name__, "").split())
    sorts = (property, cached_property)
    return {
        name for name in found if callable(getattr(kind, name)) or isinstance(inspect.getattr_static(kind, name), sorts)
    }


def doc(kind: type) -> str:
    """The docstrings of a class and of those that it extends."""
    return " ".join(each.__doc__ or "" for each in kind.__mro__[:-1])


def test_every_public_name_is_on_a_page():
    wanted = {f"voxops.{name}" for name in vx.__all__} - {"voxops.VoxopsError"}
    spaces = {"deliveries", "webhooks", "plots", "errors"}
    wanted = {name for name in wanted if name.rpartition(".")[2] not in spaces}
    wanted |= {f"voxops.{space}.{name}" for space in spaces for name in dir(getattr(vx, space))}
    assert wanted - reference.documented() == set()
    index = reference.page("names.md")
    assert [name for name in vx.__all__ if f"vx.{name}" not in index] == []


@pytest.mark.parametrize("kind", OF_CLASSES, ids=lambda kind: kind.__name__)
def test_every_public_member_of_what_is_returned_is_on_a_page(kind):
    home = reference.home_of(kind)
    documented = {name.rpartition(".")[2] for name in reference.documented() if name.startswith(f"{home}.")}
    assert members(kind) - documented == set()
    assert [name for name in documented if not inspect.getdoc(getattr(kind, name))] == []


@pytest.mark.parametrize("kind", [kind for kind in OF_CLASSES if is_dataclass(kind)], ids=lambda kind: kind.__name__)
def test_every_field_of_a_returned_value_is_explained(kind):
    names = {each.name for each in fields(kind) if not each.name.startswith("_")} - set(
        OWN.get(kind.__name__, "").split()
    )
    assert {name for name in names if not re.search(rf"\b{name}\b", doc(kind))} == set()


def test_a_public_name_that_is_no_function_has_a_comment_of_its_own():
    """Else the page would show the docstring of its type."""
    names = re.findall(
        r"^\.\. autodata:: ([\w.]+)$", "\n".join(map(reference.names_page, reference.PAGES)), re.MULTILINE
    )
    assert names == ["voxops.webhooks.Payload"]
    source = inspect.getsource(vx.webhooks)
    assert re.search(r"^#: .+\nPayload\b", source, re.MULTILINE)


# Errors, commands, the matrix.


def test_every_error_says_when_it_is_raised_and_what_to_do():
    cures = reference.cures()["errors"]["cures"]
    assert set(cures) == set(vx.errors.__all__)
    assert [name for name in vx.errors.__all__ if not inspect.getdoc(getattr(vx.errors, name))] == []
    page = reference.page("errors.md")
    assert [
        name
        for name in vx.errors.__all__
        if f"({name.lower()})=\n" not in page or cures[name].replace("`", "``") not in page
    ] == []


@pytest.mark.parametrize("name", reference.commands())
def test_every_command_and_option_says_what_it_does(name):
    parser, says = reference.commands()[name]
    assert says
    options = [one for one in parser._actions if not isinstance(one, argparse._HelpAction)]
    assert [one.dest for one in options if not one.help] == []
    section = reference.page("commands.md").partition(f"\n## voxops {name}\n")[2].partition("\n## ")[0]
    assert [
        one.dest
        for one in options
        if not re.search(rf"`{(*one.option_strings, one.dest)[0]}\b", section, re.IGNORECASE)
    ] == []


def test_every_command_says_what_its_json_is_and_every_status_is_one_that_the_code_returns():
    assert set(reference.cures()["exit"]["json"]) == set(reference.commands())
    from voxops.cli import main

    said = set(re.findall(r"\b(\d+) ", (main.__doc__ or "").partition("\n\n")[2]))
    assert set(reference.cures()["exit"]["statuses"]) == said


def test_every_row_of_the_matrix_is_on_its_page():
    rows = [row for _, heads, row in cells(reference.page("matrix.md")) if heads[0] == "row"]
    assert [row[:2] for row in rows] == [[str(row.row), f"`{row}`"] for row in MATRIX]
    assert sum("\\*" in cell for row in rows for cell in row) == sum(len(row.inferred) for row in MATRIX)


# The pages.


@pytest.mark.parametrize("name", [name for name in reference.MAKERS if name.endswith(".md") and name != "errors.md"])
def test_no_cell_of_a_table_is_empty(name):
    rows = cells(reference.page(name))
    assert rows
    empty = [
        f"{heading}: {row}" for heading, heads, row in rows
        for head, cell in zip(heads, row, strict=True) if not cell.strip("` ") and head != "unit"
    ]  # fmt: skip
    assert empty == []


def test_no_cell_of_the_table_of_endpoints_is_empty():
    items = re.findall(r"^   [* ] -(.*)$", reference.page("names-client.rst"), re.MULTILINE)
    assert len(items) > 300
    assert [each for each in items if not each.strip().strip("`")] == []


def test_every_page_is_in_the_table_of_contents():
    index = (HOME / "docs" / "reference" / "index.md").read_text("utf-8")
    named = re.findall(r"^generated/([\w-]+)$", index, re.MULTILINE)
    named += re.findall(r"^(names-\w+)$", reference.page("names.md"), re.MULTILINE)
    assert sorted(named) == sorted(name.partition(".")[0] for name in reference.MAKERS)


def test_pages_are_written_only_where_they_changed_and_old_ones_are_removed(tmp_path):
    (tmp_path / "old.md").write_text("gone")
    (tmp_path / "matrix.md").write_text("stale")
    reference.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(reference.MAKERS)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    reference.write(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert (tmp_path / "matrix.md").read_text("utf-8") == reference.page("matrix.md")


def test_a_docstring_links_what_is_documented_and_shows_the_rest_as_code():
    context = "voxops.Run.wait"
    assert (
        reference.linked("`results` of `timeout`", context) == ":py:obj:`results <voxops.Run.results>` of ``timeout``"
    )
    assert (
        reference.linked("``vx.triage`` and ``run.wait()``", context)
        == ":py:obj:`vx.triage <voxops.triage>` and ``run.wait()``"
    )
    raised = reference.linked("* **AuthError, WaitTooLong** -- These", context)
    assert (
        raised
        == "* :py:exc:`AuthError <voxops.errors.AuthError>`, :py:exc:`WaitTooLong <voxops.errors.WaitTooLong>` -- These"
    )


def test_units_and_missing_meanings_are_what_columns_says():
    explained = vx.columns(pd.DataFrame({"mine": [1], "tries": [1]}))
    assert explained["meaning"].isna().to_list() == [True, False]
