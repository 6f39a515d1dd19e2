"""A release is refused while anything stands against it; what a release is made of keeps to its own rules."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from tests import release

ROOT = release.ROOT
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}
# All that the check reads, with every blank filled in and the version dated.
READY = {
    "pyproject.toml": """
[project]
version = "1.2.3"
license = "MIT"
authors = [{ name = "A. Writer" }, { name = "Alder & Co" }]

[project.urls]
Homepage = "https://voxops.example/Homepage"
Documentation = "https://voxops.example/Documentation"
Repository = "https://voxops.example/Repository"
Security = "mailto:security@voxops.example"
""",
    "CITATION.cff": """
version: 1.2.3
authors:
  - {given-names: A., family-names: Writer}
  - {name: Alder & Co}
license: MIT
url: https://voxops.example/Homepage
repository-code: https://voxops.example/Repository
date-released: '2026-12-01'
""",
    "CHANGELOG.md": """# Changelog

## [Unreleased]

## [1.2.3] - 2026-12-01

### Added

- All of it.

## [0.0.1] - 2026-01-01
""",
    "SECURITY.md": "Write to security@voxops.example.\n",
    "LICENSE": "You may.\n",
    "src/voxops/__init__.py": '__version__ = "1.2.3"\n',
}


def edit(path: Path, pattern: str, by: str) -> None:
    """Replace the only place that matches."""
    text, count = re.subn(pattern, by, path.read_text("utf-8"), flags=re.MULTILINE)
    assert count == 1, f"{pattern} is {count} times in {path.name}"
    path.write_text(text, "utf-8")


@pytest.fixture
def tree(tmp_path):
    for name, text in READY.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def test_a_tree_without_blanks_may_be_released_under_its_tag(tree):
    assert release.faults(tree) == release.faults(tree, "v1.2.3") == []


def test_this_tree_is_refused_while_a_blank_is_left_and_each_is_named():
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    blank = {key for key in release.BLANKS if re.search(rf"^# {key.removeprefix('urls.')} = ", project, re.MULTILINE)}
    found = release.faults(ROOT)
    assert {key for key in release.BLANKS if any(f"pyproject.toml: {key} is blank" in each for each in found)} == blank
    assert any(each.startswith("LICENSE") for each in found) is not (ROOT / "LICENSE").exists()


@pytest.mark.parametrize("key", release.BLANKS)
def test_each_blank_alone_is_named_with_what_to_write(tree, key):
    name = key.removeprefix("urls.")
    edit(tree / "pyproject.toml", rf"^{name} = .*\n", "")
    (found,) = release.faults(tree)
    assert found.startswith(f"pyproject.toml: {key} is blank")
    assert f"{name} = " in found


@pytest.mark.parametrize(("file", "pattern", "by", "said"), [
    ("src/voxops/__init__.py", r'^__version__ = ".*"', '__version__ = "9.9.9"', 'write __version__ = "1.2.3"'),
    ("CITATION.cff", r"^version: .*", "version: 9.9.9", "write version: 1.2.3"),
    ("CITATION.cff", r"^license: .*\n", "", "write license: MIT"),
    ("CITATION.cff", r"^url: .*", "url: https://other.example", "write url: https://voxops.example/Homepage"),
    ("CITATION.cff", r"^repository-code: .*\n", "", "write repository-code: https://voxops.example/Repository"),
    ("CITATION.cff", r"^date-released: .*", "date-released: '2026-11-30'", "write date-released: 2026-12-01"),
    ("CITATION.cff", r"Alder & Co", "Somebody", "the authors of pyproject.toml: A. Writer, Alder & Co"),
    ("SECURITY.md", r"security@voxops.example", "us", "SECURITY.md: write security@voxops.example"),
    ("CHANGELOG.md", r"^## \[Unreleased\]\n", "", "an empty section ## [Unreleased]"),
    ("CHANGELOG.md", r"^## \[Unreleased\]\n", "## [Unreleased]\n\n- Something new.\n", "leave [Unreleased] empty"),
    ("CHANGELOG.md", r" - 2026-12-01", "", "no section of 1.2.3"),
    ("CHANGELOG.md", r"^### Added\n\n- All of it.\n", "", "the section of 1.2.3 is empty"),
    ("CHANGELOG.md", r"^# Changelog", "# Changelog\n\nNothing has been released yet.", "nothing has been released"),
    ("LICENSE", r"^You may.\n", "", "LICENSE: missing"),
])  # fmt: skip
def test_each_fault_alone_is_found(tree, file, pattern, by, said):
    edit(tree / file, pattern, by)
    (found,) = release.faults(tree)
    assert said in found
    assert found.startswith(file)


def test_a_tag_of_another_version_is_refused(tree):
    (found,) = release.faults(tree, "v9.9.9")
    assert found == "tag v9.9.9: pyproject.toml has 1.2.3. Tag v1.2.3, or change the version"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_only_reads_and_pins_its_actions(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"(actions|pypa)/[\w/-]+@[0-9a-f]{40}", each)] == []
    assert "secrets." not in (ROOT / f".github/workflows/{name}.yml").read_text("utf-8")
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_each_python_that_is_promised_is_tried_by_ci():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    promised = {found[1] for each in project["classifiers"] if (found := re.fullmatch(r".*Python :: (\d\.\d+)", each))}
    assert promised <= set(WORKFLOWS["ci"]["jobs"]["test"]["strategy"]["matrix"]["python"])
