"""The sandbox's description of itself says of each row what the matrix says."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from voxburst_sandbox import Sandbox
from voxops.api.fields import BULK_POSTS, CONTENT
from voxops.api.matrix import MATRIX, Endpoint, find


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    with Sandbox(posts=1, deliveries=0) as sandbox:
        return httpx.get(f"{sandbox.url}/api/openapi.json", trust_env=False).json()


def differences(document: dict[str, Any]) -> Iterator[str]:
    operations: dict[Endpoint | None, Any] = {
        find(method, re.sub(r"\{\w+\}", "x", path)): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    for row in MATRIX:
        if row.method == "PUT":  # belongs to the storage host
            continue
        if not operations.get(row):
            yield f"row {row.row}: not described"
            continue
        names = {parameter["name"].lower() for parameter in operations[row].get("parameters", ())}
        for what, described, cell in (
            ("key", "idempotency-key" in names, row.idempotent),
            ("202", "202" in operations[row]["responses"], row.is_async),
            ("207", "207" in operations[row]["responses"], row.partial and not row.is_async),
        ):
            if described != cell:
                yield f"row {row.row}: {what} is {'' if described else 'not '}described"
    schemas = document["components"]["schemas"]
    if schemas["BulkPosts"]["properties"]["posts"]["maxItems"] != BULK_POSTS:
        yield "row 11: maxItems"
    if schemas["NewPost"]["properties"]["content"]["maxLength"] != CONTENT.most:
        yield "row 1: maxLength"


def test_the_sandbox_is_described_as_the_matrix_has_it(document):
    assert list(differences(document)) == []


@pytest.mark.parametrize(("where", "change", "said"), [
    ("paths /v1/posts/{id}/retry", {"post": None}, "row 5: not described"),
    ("paths /v1/posts post", {"parameters": []}, "row 1: key is not described"),
    ("paths /v1/posts/{id}/publish post", {"responses": {"200": {}}}, "row 4: 202 is not described"),
    ("paths /v1/posts/{id} delete", {"responses": {"207": {}}}, "row 3: 207 is described"),
    ("components schemas BulkPosts properties posts", {"maxItems": 25}, "row 11: maxItems"),
    ("components schemas NewPost properties content", {"maxLength": 9}, "row 1: maxLength"),
])  # fmt: skip
def test_each_kind_of_difference_is_named(document, where, change, said):
    changed = copy.deepcopy(document)
    place = changed
    for name in where.split():
        place = place[name]
    place.update(change)
    assert list(differences(changed)) == [said]
