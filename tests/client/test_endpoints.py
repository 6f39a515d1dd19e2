"""The table of endpoints: it agrees with the matrix, its methods explain themselves, and the stub that editors read is the same."""

from __future__ import annotations

import asyncio
import inspect
import re
import typing
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from tests import client_stub
from tests.security.raw import answer, serve

import voxops as vx
from voxops._support import eventloop
from voxops.api import endpoints, records
from voxops.api.endpoints import ENDPOINTS, Gives, Operation
from voxops.api.matrix import MATRIX, Resend, find
from voxops.client import AsyncClient, Handle, Listing, Page, _methods, groups
from voxops.frames import schemas
from voxops.frames.records import build

EMPTY = True  # the sandbox

BY_HAND = {33: "uploads.send"}
METHODS = [operation.name for operation in ENDPOINTS]


def test_each_row_of_the_matrix_has_one_method():
    rows = [operation.row.row for operation in ENDPOINTS if operation.row is not None]
    assert sorted([*rows, *BY_HAND]) == [row.row for row in MATRIX]
    assert len(set(METHODS)) == len(METHODS)
    client = AsyncClient("vb_test_of_nobody")
    assert all(callable(attrgetter(name)(client)) for name in (*METHODS, *BY_HAND.values()))


@pytest.mark.parametrize("operation", ENDPOINTS, ids=METHODS)
def test_a_method_returns_what_its_row_implies(operation):
    row, (method, path) = operation.row, operation.call
    assert (row is None) == (method == "GET") and find(method, path) is row
    assert path.count("/:") == sum(field.place == "path" for field in operation.takes)
    assert (operation.gives in (Gives.HANDLE, Gives.HANDLES)) == (row is not None and row.is_async)
    if operation.gives is Gives.ITEMS:
        assert row is not None and row.partial
    if row is None or row.resend is Resend.NEVER:
        assert (
            "idempotency_key" not in inspect.signature(attrgetter(operation.name)(AsyncClient("vb_test_x"))).parameters
        )


@pytest.mark.parametrize("operation", ENDPOINTS, ids=METHODS)
def test_a_method_explains_itself(operation):
    group, _, name = operation.name.partition(".")
    method = getattr(groups.GROUPS[group], name)
    signature, said = inspect.signature(method), inspect.getdoc(method)
    assert method.__qualname__ == f"{groups.GROUPS[group].__name__}.{name}" and method.operation is operation
    assert inspect.iscoroutinefunction(method) == (operation.gives is not Gives.LIST)
    assert said.startswith(operation.says)
    assert f"``{' '.join(operation.call)}``" in said
    assert operation.row is None or f"row {operation.row.row} of the matrix" in said
    for parameter in list(signature.parameters)[1:]:
        assert re.search(rf"^{parameter} : \S", said, re.MULTILINE), parameter
    assert f"Returns\n-------\n{signature.return_annotation}" in said
    assert "Raises\n------\nValidationError" in said
    assert max(map(len, said.splitlines())) <= 132


def test_records_are_types():
    named = {operation.record for operation in ENDPOINTS} - {"Any", "Presigned"}
    assert all(typing.is_typeddict(getattr(records, name)) for name in named)


def test_the_stub_is_up_to_date():
    assert client_stub.FILE.read_text("utf-8") == client_stub.stub(groups.GROUPS), "python -m tests.client_stub"


@pytest.mark.parametrize("call", [
    lambda client: client.posts.get(), lambda client: client.posts.get("p", "q"), lambda client: client.posts.get("p", key=1),
    lambda client: client.posts.fix("p", "t", "text"),
])  # fmt: skip
def test_arguments_that_do_not_fit_are_a_type_error(client, call):
    with pytest.raises(TypeError):
        eventloop.run(call(client))
    assert client.requests == 0


def test_a_listing_yields_records_and_pages_each_time_anew(client, sandbox):
    async def main() -> None:
        listing = client.accounts.list(page_size=5)
        assert isinstance(listing, Listing)
        records = [record["id"] async for record in listing]
        pages = [page async for page in listing.pages()]
        assert all(isinstance(page, Page) for page in pages) and [len(page.records) for page in pages] == [5, 5, 2]
        assert [record["id"] for page in pages for record in page.records] == records

    eventloop.run(main())


# An endpoint is a row, and a list that is loaded as a frame a row and a schema.


def test_the_example_of_the_architecture_page_adds_a_list_endpoint(monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    example = re.search(
        r"^# api/endpoints\.py\n(.+?),\n# frames/schemas\.py\n(.+?),\n```$", text, re.MULTILINE | re.DOTALL
    )
    row, schema = example.groups()
    made = _methods.group_classes([eval(row, vars(endpoints).copy())], {}, "voxops.client.groups")
    for kind, columns in eval(f"{{{schema}}}", vars(schemas).copy()).items():
        monkeypatch.setitem(schemas.SCHEMAS, kind, columns)
    body = b'{"personas": [{"id": "pp_1", "name": "Maria", "createdAt": "2026-03-02T09:00:00Z"}, {"id": "pp_2"}]}'

    async def main(url: str) -> tuple[list[dict[str, Any]], int]:
        async with AsyncClient("vb_test_of_nobody", url=url) as client:
            listing = made["personas"](client).list(page_size=50)
            return [record async for record in listing], len([page async for page in listing.pages()])

    with serve(answer(body)) as server:
        records, pages = asyncio.run(main(server.url))
        heads = [head.partition(b"\r\n")[0] for head, _ in server.requests]
    assert pages == 1 and heads == [b"GET /v1/personas?limit=50 HTTP/1.1"] * 2
    frame = build("personas", records)
    assert list(frame["persona_id"]) == ["pp_1", "pp_2"] and str(frame["created_at"].dtype) == "datetime64[us, UTC]"
    stub = client_stub.stub(made)
    assert "def list(self, *, page_size: int = 100) -> Listing[Any]:" in stub and "personas: Personas" in stub


def test_a_new_act_is_one_row(client, sandbox):
    publish = next(operation for operation in ENDPOINTS if operation.name == "posts.publish")
    row = Operation("drafts.send", 4, publish.takes, Gives.HANDLE, "Post", "Queue a draft.")
    drafts = _methods.group_classes([row], {}, "voxops.client.groups")["drafts"](client)
    account = next(
        one.id for one in sandbox.world.accounts.values() if (one.platform, one.status) == ("twitter", "active")
    )

    async def main() -> Handle:
        post = await client.posts.create(vx.PostFields(content="x", account_ids=[account]))
        return await drafts.send(post["id"], idempotency_key="mine-0001")

    handle = eventloop.run(main())
    assert (handle.kind, sandbox.requests()[-1]["key"]) == ("post", "mine-0001")
    assert eventloop.run(_awaited(handle)).status == "published"


async def _awaited(handle: Handle) -> object:
    return await handle
