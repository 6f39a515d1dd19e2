"""What docs/security.md names exists (point 15 of the review of leaks)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_test_and_file_that_it_names_is_there():
    tests = set(re.findall(r"`(test_\w+\.py)`", TEXT))
    assert len(tests) >= 9
    assert not [name for name in tests if not (ROOT / "tests" / "security" / name).is_file()]
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    paths = re.findall(r"`(tests/[\w/.]+)`", TEXT)
    assert not [link for link in links if not (ROOT / "docs" / link).exists()]
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_every_requirement_and_extra_is_explained():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]]
    assert not [name for name in names if name not in TEXT]
    ours = {"test", "lint", "bench", "dist"}  # of contributors
    assert not [extra for extra in project["optional-dependencies"] if extra not in ours and f"`{extra}`" not in TEXT]
