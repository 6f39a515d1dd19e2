"""Each limit of the API has one home; the sandbox alone keeps its own, so that the two check each other."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

import voxops
from voxops.api import assumptions, limits

ROOT = Path(voxops.__file__).parent
# Values that no other number of the package has.
TELLING = {limits.COMMENT_CHARACTERS, limits.BATCH_BODY_BYTES, limits.BULK_VIDEO_BYTES}
HOMES = {ROOT / "api" / "limits.py", ROOT / "api" / "assumptions.py"}


def constants(path: Path) -> list[object]:
    """Every constant in a file, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_file_knows_a_limit_or_the_address(path: Path) -> None:
    if path in HOMES or "sandbox" in path.parts:
        return
    for value in constants(path):
        assert value not in TELLING and value != assumptions.DEFAULT_URL, path
        assert not (isinstance(value, str) and value == "/deliveries"), "use voxops.api.assumptions.deliveries_path"


def test_every_limit_is_a_number_above_zero() -> None:
    for name in limits.__all__:
        value = getattr(limits, name)
        assert all(number > 0 for number in (value.values() if isinstance(value, Mapping) else [value])), name


def test_an_id_is_one_segment_of_a_path() -> None:
    assert assumptions.deliveries_path("wh_1") == "/v1/webhooks/wh_1/deliveries"
    assert assumptions.deliveries_path("a/../b?c") == "/v1/webhooks/a%2F..%2Fb%3Fc/deliveries"
