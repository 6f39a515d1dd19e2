"""``voxops matrix --spec FILE``: what a published description says otherwise than the matrix."""

from __future__ import annotations

import copy
import json
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
        return httpx.get(f"{sandbox.url}/v1/openapi.json", trust_env=False).json()


def compared(document: dict[str, Any], folder: Path) -> list[str]:
    file = folder / "openapi.json"
    file.write_text(json.dumps(document))
    return compare_spec(file)


def test_the_sandbox_differs_in_nothing_but_what_no_row_governs(document, tmp_path):
    lines = compared(document, tmp_path)
    other = [line for line in lines if not line.startswith("no row governs")]
    assert not other
    assert {line.split()[4] for line in lines} >= {"/v1/posts/{id}/approve:", "/v1/batch:"}


def changed(document: dict[str, Any], path: str, method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    document = copy.deepcopy(document)
    return document, document["paths"][path][method]


def test_each_kind_of_difference_is_named(document, tmp_path):
    missing = copy.deepcopy(document)
    del missing["paths"]["/v1/posts/{id}/retry"]
    assert any("row 5" in line and "not described" in line for line in compared(missing, tmp_path))

    keyless, operation = changed(document, "/v1/posts", "post")
    operation["parameters"] = []
    assert any("has no Idempotency-Key" in line for line in compared(keyless, tmp_path))

    keyed, operation = changed(document, "/v1/accounts/callback/{platform}", "post")
    operation["parameters"].append({"$ref": "#/components/parameters/Key"})
    keyed["components"]["parameters"] = {"Key": {"name": "idempotency-key", "in": "header"}}
    assert any("row 18" in line and "not idempotent in the matrix" in line for line in compared(keyed, tmp_path))

    sync, operation = changed(document, "/v1/posts/{id}/publish", "post")
    operation["responses"]["200"] = operation["responses"].pop("202")
    assert any("row 4" in line and "no 202" in line for line in compared(sync, tmp_path))

    smaller = copy.deepcopy(document)
    smaller["components"]["schemas"]["BulkPosts"]["properties"]["posts"]["maxItems"] = 25
    assert any("maxItems 25, here 50" in line for line in compared(smaller, tmp_path))


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


@pytest.mark.parametrize("paths", [{"/v1/posts": None}, {"/v1/posts": {"post": None}}, {"/v1/posts": {"post": {"requestBody": {"$ref": "#/a/b"}}}}, {"/v1/posts": {"post": {"parameters": [{"$ref": "other.json#/x"}], "responses": None}}}])  # fmt: skip
def test_a_hollow_description_is_compared(tmp_path, paths):
    assert compared({"paths": paths}, tmp_path)


def test_the_command_says_it(document, tmp_path, capsys):
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    assert main(["matrix", "--spec", str(tmp_path / "openapi.json")]) == 3
    assert "matrix: differences=" in capsys.readouterr().out.splitlines()[-1]
