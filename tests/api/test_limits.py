"""Each limit of the API has one home; the sandbox alone keeps its own, so that the two check each other."""

from __future__ import annotations

import ast
from pathlib import Path

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


def test_no_other_file_knows_a_limit_or_the_address() -> None:
    """Paths of deliveries, too, have one home: `assumptions.deliveries_path`."""
    known = {*TELLING, assumptions.DEFAULT_URL, "/deliveries"}
    files = set(ROOT.rglob("*.py")) - HOMES
    assert files
    found = {str(path.relative_to(ROOT)): known.intersection(constants(path)) for path in sorted(files)}
    assert {path: values for path, values in found.items() if values} == {}


def test_an_id_is_one_segment_of_a_path() -> None:
    assert assumptions.deliveries_path("wh_1") == "/v1/webhooks/wh_1/deliveries"
    assert assumptions.deliveries_path("a/../b?c") == "/v1/webhooks/a%2F..%2Fb%3Fc/deliveries"
