"""Nothing public is without text: each name, column, reason code, error, command and option is in the generated pages."""

from __future__ import annotations

import argparse
import inspect
import re
from dataclasses import fields
from functools import cached_property

import _reference as reference
import pytest
from tests.docs import HOME

import voxops as vx
from voxburst_sandbox import Switches
from voxops.api.reasons import SENTENCES
from voxops.cli import main

OWN = {  # members that voxops itself calls
    "Workspace": "identify",
    "Run": "begin end left notice observe replan tz unbegun aio",
    "Panel": "draw",
    "Plan": "chunks act table items key reads why undo compared",
    "Settings": "read attrs arguments",
    "AsyncClient": "bind_loop fingerprint permit",
    "Answer": "is_page",
}
OF_CLASSES = [one[0] for _, _, listed in reference.PAGES.values() for one in listed if not isinstance(one, str)]


# Columns.


@pytest.mark.parametrize("name", sorted({*reference._frames.FRAMES, *reference._frames.MORE} - reference._OWN_COLUMNS))
def test_every_column_of_a_public_frame_has_a_meaning_and_its_numbers_and_times_a_unit(name):
    _, frame = reference.frames()[name]
    explained = vx.columns(frame)
    assert explained.index[explained["meaning"].isna()].to_list() == []
    counted = explained["dtype"].str.contains(r"^(?:u?int|float|datetime)", case=False)
    assert explained.index[counted & explained["unit"].isna()].to_list() == []


# Reason codes.


def test_every_reason_code_has_its_line_what_to_do_and_no_other_has():
    groups = [group for name, group in reference.cures().items() if name not in ("errors", "exit")]
    told = {code for group in groups for code in group["cures"]}
    own = {code for group in groups for code in group.get("sentences", {})}
    sources = [path.read_text("utf-8") for path in (HOME / "src" / "voxops").rglob("*.py")]
    given = re.compile(r'\b(?:Reason\(\s*|error_code=)"(\w+)"')
    used = {code for text in sources for code in given.findall(text)}
    assert told ^ (set(SENTENCES) | own) == set()
    assert used - told == set()
    assert own & set(SENTENCES) == set()
    unused = own - used - {"validation_error", "NOT_AS_ASKED", "NOT_DELIVERED", "HTTP_NNN"}
    assert unused == set(), "no code gives these any more"


@pytest.mark.parametrize("name", [name for name in reference.cures() if name != "exit"])
def test_what_to_do_names_what_exists(name):
    for code, cure in reference.cures()[name]["cures"].items():
        for call in re.findall(r"\b(vx|ws|run)\.([\w.]+)", cure):
            assert reference.full_name(".".join(call).rstrip("."), "") is not None, f"{code}: {'.'.join(call)}"


# Public names.


def test_every_public_name_is_on_a_page():
    spaces = {"deliveries", "webhooks", "plots", "errors"}
    wanted = {f"voxops.{name}" for name in vx.__all__ if name not in spaces | {"VoxopsError"}}
    wanted |= {f"voxops.{space}.{name}" for space in spaces for name in dir(getattr(vx, space))}
    assert wanted - reference.documented() == set()
    index = reference.page("names.md")
    assert [name for name in vx.__all__ if f"vx.{name}" not in index] == []


@pytest.mark.parametrize("kind", OF_CLASSES, ids=lambda kind: kind.__name__)
def test_every_public_member_of_what_is_returned_is_on_a_page(kind):
    public = {name for name in dir(kind) if not name.startswith("_")} - set(OWN.get(kind.__name__, "").split())
    sorts = (property, cached_property)
    members = {
        name
        for name in public
        if callable(getattr(kind, name)) or isinstance(inspect.getattr_static(kind, name), sorts)
    }
    home = reference.home_of(kind)
    documented = {name.rpartition(".")[2] for name in reference.documented() if name.startswith(f"{home}.")}
    assert members - documented == set()
    assert [name for name in documented if not inspect.getdoc(getattr(kind, name))] == []


# Errors and commands.


def test_every_switch_of_the_sandbox_is_on_its_page():
    page = reference.page("switches.md")
    assert [each.name for each in fields(Switches) if f"`{each.name}`" not in page] == []


def test_every_error_says_when_it_is_raised_and_what_to_do():
    cures, names = reference.cures()["errors"]["cures"], vx.errors.__all__
    assert set(cures) == set(names)
    assert [name for name in names if not inspect.getdoc(getattr(vx.errors, name))] == []
    page = reference.page("errors.md")
    assert [name for name in names if f"({name.lower()})=\n" not in page] == []
    assert [name for name in names if cures[name].replace("`", "``") not in page] == []


@pytest.mark.parametrize("name", reference.commands())
def test_every_command_and_option_says_what_it_does(name):
    parser, says = reference.commands()[name]
    assert says
    section = reference.page("commands.md").partition(f"\n## voxops {name}\n")[2].partition("\n## ")[0]
    for option in parser._actions:
        if not isinstance(option, argparse._HelpAction):
            shown = (*option.option_strings, option.dest)[0]
            assert option.help, shown
            assert re.search(rf"`{shown}\b", section, re.IGNORECASE), shown


def test_every_command_says_what_its_json_is_and_every_status_is_one_that_the_code_returns():
    said = reference.cures()["exit"]
    assert set(said["json"]) == set(reference.commands())
    assert set(said["statuses"]) == set(re.findall(r"\b(\d+) ", (main.__doc__ or "").partition("\n\n")[2]))
