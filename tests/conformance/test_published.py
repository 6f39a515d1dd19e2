"""``voxops matrix --spec FILE``: what a published description says otherwise than the matrix."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from voxburst_sandbox import Sandbox
from voxops.cli import main
from voxops.conformance.laws import compare_spec
from voxops.errors import ConfigError


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    with Sandbox(posts=1, deliveries=0) as sandbox:
        return httpx.get(f"{sandbox.url}/api/openapi.json", trust_env=False).json()


def compared(document: dict[str, Any], folder: Path) -> list[str]:
    file = folder / "openapi.json"
    file.write_text(json.dumps(document))
    return compare_spec(file)


def test_the_sandbox_differs_in_nothing_but_what_no_row_governs(document, tmp_path):
    lines = compared(document, tmp_path)
    other = [line for line in lines if not line.startswith("no row governs")]
    assert not other
    assert {line.split()[4] for line in lines} >= {"/v1/posts/{id}/approve:", "/v1/batch:"}


KEY = {"name": "idempotency-key", "in": "header"}


@pytest.mark.parametrize(("where", "change", "words"), [
    ("paths", {"/v1/posts/{id}/retry": None}, "row 5.*not described"),
    ("paths /v1/posts post", {"parameters": []}, "has no Idempotency-Key"),
    ("paths /v1/accounts/callback/{platform} post", {"parameters": [KEY]}, "row 18.*not idempotent in the matrix"),
    ("paths /v1/accounts/callback/{platform} post", {"parameters": [{"$ref": "#/components/parameters/Key"}]},
        "row 18.*not idempotent"),
    ("paths /v1/posts/{id}/publish post", {"responses": {"200": {}}}, "row 4.*no 202"),
    ("paths /v1/posts/{id} delete", {"responses": {"202": {}}}, "row 3.*has a 202"),
    ("paths /v1/posts/{id} delete", {"responses": {"207": {}}}, "row 3.*has a 207"),
    ("components schemas BulkPosts properties posts", {"maxItems": 25}, "maxItems 25, here 50"),
    ("components schemas NewPost properties content", {"maxLength": 9}, "maxLength 9, here 10000"),
])  # fmt: skip
def test_each_kind_of_difference_is_named(document, tmp_path, where, change, words):
    changed = copy.deepcopy(document)
    changed["components"]["parameters"] = {"Key": KEY}
    place = changed
    for name in where.split():
        place = place[name]
    place.update(change)
    (line,) = set(compared(changed, tmp_path)) - set(compared(document, tmp_path))
    assert re.search(words, line)


def test_paths_without_the_version_are_the_same(document, tmp_path):
    bare = {**document, "paths": {path.removeprefix("/v1"): methods for path, methods in document["paths"].items()}}
    assert len(compared(bare, tmp_path)) == len(compared(document, tmp_path))


@pytest.mark.parametrize("content", ["openapi: 3.1.0", "[]", "{}", '{"paths": []}', "\x00"])
def test_what_is_no_description_is_refused(tmp_path, content):
    file = tmp_path / "openapi.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"openapi\.json"):
        compare_spec(file)
    with pytest.raises(ConfigError, match="can't be read"):
        compare_spec(tmp_path / "none.json")


@pytest.mark.parametrize("methods", [
    None, {"post": None}, {"post": {"requestBody": {"$ref": "#/a/b"}}},
    {"post": {"parameters": [{"$ref": "other.json#/x"}], "responses": None}},
])  # fmt: skip
def test_a_hollow_description_is_compared(tmp_path, methods):
    assert compared({"paths": {"/v1/posts": methods}}, tmp_path)


def test_the_command_says_it(document, tmp_path, capsys):
    compared(document, tmp_path)
    assert main(["matrix", "--spec", str(tmp_path / "openapi.json")]) == 3
    assert "matrix: differences=" in capsys.readouterr().out.splitlines()[-1]
