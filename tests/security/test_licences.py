"""What an installation brings along is known, and so is what builds it; the page on security names what is there, that on installing what comes."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests import licences

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = {
    canonicalize_name(line.partition("==")[0])
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if "==" in line
}


def test_every_licence_of_the_base_installation_is_known(capsys):
    assert licences.main([]) == 0
    assert capsys.readouterr().out.rstrip().endswith("all licences known")


@pytest.mark.parametrize(("licence", "read"), [
    ("MIT", False), ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", False),
    ("MIT License; Apache Software License", False), ("GPL-3.0-or-later", True), ("MIT AND AGPL-3.0-only", True),
    ("Proprietary", True), ("", True),
])  # fmt: skip
def test_a_licence_that_is_not_on_the_list_must_be_read(licence, read):
    assert licences.unknown(licence) is read


def test_the_build_backend_is_pinned_with_all_that_it_needs():
    wanted = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
    assert {canonicalize_name(each.name) for each in wanted} <= PINNED
    # The backend's own requirements; it is not installed where the tests run, so its list is kept here.
    assert {"packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"} <= PINNED
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"PIP_BUILD_CONSTRAINT\s*:?=", makefile), "the environment that builds is constrained, too"


def test_every_requirement_of_the_base_installation_is_pinned():
    missing = {canonicalize_name(each.metadata["Name"]) for each in licences.closure("voxops")} - PINNED - {"voxops"}
    assert missing == set()
    assert distribution("voxops").version == PROJECT["project"]["version"]


TEXT = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")


def test_every_test_and_file_that_it_names_is_there():
    tests = set(re.findall(r"`(test_\w+\.py)`", TEXT))
    assert len(tests) >= 9
    assert not [name for name in tests if not (ROOT / "tests" / "security" / name).is_file()]
    paths = re.findall(r"`(tests/[\w/.]+)`", TEXT)
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_every_requirement_and_extra_is_explained():
    project = PROJECT["project"]
    names = [re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]]
    text = (ROOT / "docs" / "reference" / "install.md").read_text(encoding="utf-8")
    assert not [name for name in names if name not in text]
    ours = {"test", "lint", "bench", "docs", "dist", "mutants"}  # of contributors
    assert not [
        extra for extra in project["optional-dependencies"] if extra not in ours and f"`voxops[{extra}]`" not in text
    ]
