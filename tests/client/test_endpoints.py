"""The table of endpoints: it agrees with the matrix, its methods explain themselves, and the stub that editors read is the same."""

from __future__ import annotations

import inspect
import re
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from tests import client_stub
from tests.security.raw import answer, asked, serve

from voxops._support import eventloop
from voxops.api import endpoints
from voxops.api.endpoints import ENDPOINTS, PARAMETERS, Operation
from voxops.api.matrix import MATRIX, find
from voxops.client import AsyncClient, methods
from voxops.frames import schemas
from voxops.frames.records import build

EMPTY = True  # the sandbox

METHODS = [operation.name for operation in ENDPOINTS]


def test_each_row_of_the_matrix_has_one_method():
    rows = [operation.row.row for operation in ENDPOINTS if operation.row is not None]
    assert sorted([*rows, 33]) == [row.row for row in MATRIX]
    assert len(set(METHODS)) == len(METHODS)
    client = AsyncClient("vb_test_of_nobody")
    assert all(callable(attrgetter(name)(client)) for name in (*METHODS, "upload"))


@pytest.mark.parametrize("operation", ENDPOINTS, ids=METHODS)
def test_a_method_agrees_with_its_row_and_explains_itself(operation):
    row, (method, path) = operation.row, operation.call
    assert (row is None) == (method == "GET") and find(method, path) is row
    assert path.count("/:") == len(operation.ids.split())
    made = attrgetter(operation.name)(AsyncClient("vb_test_of_nobody"))
    signature, said = inspect.signature(made), inspect.getdoc(made)
    assert made.operation is operation and inspect.iscoroutinefunction(made) == (not operation.listed)
    assert said.startswith(operation.says) and f"``{method} {path}``" in said
    assert row is None or f"row {row.row} of the matrix" in said
    for parameter in signature.parameters:
        assert re.search(rf"^(\*\*)?{parameter}( : \S|$)", said, re.MULTILINE), parameter
    assert f"Returns\n-------\n{signature.return_annotation}" in said
    assert max(map(len, said.splitlines())) <= 132


def test_each_parameter_is_used():
    used = {name for each in ENDPOINTS for name in (*each.ids.split(), *each.fields, *each.options)}
    assert used == set(PARAMETERS)


def test_the_stub_is_up_to_date():
    assert client_stub.FILE.read_text("utf-8") == client_stub.stub(methods.CLASSES), "python -m tests.client_stub"


@pytest.mark.parametrize("call", [
    lambda client: client.posts.get(), lambda client: client.posts.fix("p", "t", "text"), lambda client: client.posts.create(acount_ids=["a"]),
])  # fmt: skip
def test_arguments_that_do_not_fit_are_a_type_error(client, call):
    with pytest.raises(TypeError):
        eventloop.run(call(client))
    assert client.requests == 0


def test_a_listing_yields_records_and_pages_each_time_anew(client, sandbox):
    async def main() -> None:
        listing = client.accounts.list(page_size=5)
        records = [record["id"] async for record in listing]
        pages = [[record["id"] for record in page.records] async for page in listing.pages()]
        assert pages == [records[:5], records[5:10], records[10:12]]

    eventloop.run(main())


# An endpoint is a row, and a list that is loaded as a frame a row and a schema.


def test_the_example_of_the_architecture_page_adds_a_list_endpoint(monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    example = re.search(
        r"^# api/endpoints\.py\n(.+?),\n# frames/schemas\.py\n(.+?),\n```$", text, re.MULTILINE | re.DOTALL
    )
    row, schema = example.groups()
    made = methods.classes_of([eval(row, vars(endpoints).copy())])
    for kind, columns in eval(f"{{{schema}}}", vars(schemas).copy()).items():
        monkeypatch.setitem(schemas.SCHEMAS, kind, columns)
    body = b'{"personas": [{"id": "pp_1", "name": "Maria", "createdAt": "2026-03-02T09:00:00Z"}, {"id": "pp_2"}]}'

    async def records(client: AsyncClient) -> list[dict[str, Any]]:
        return [record async for record in made["personas"](client).list(page_size=50)]

    with serve(answer(body)) as server:
        frame = build("personas", asked(server.url, records))
    assert [head.partition(b"\r\n")[0] for head, _ in server.requests] == [b"GET /v1/personas?limit=50 HTTP/1.1"]
    assert list(frame["persona_id"]) == ["pp_1", "pp_2"] and str(frame["created_at"].dtype) == "datetime64[us, UTC]"
    stub = client_stub.stub(made)
    assert "def list(self, *, page_size: int | None = ...) -> Listing:" in stub and "personas: Personas" in stub


def test_a_new_act_is_one_row(client, sandbox, fields):
    row = Operation("drafts.send", 4, "post_id", "", "Queue a draft.")
    drafts = methods.classes_of([row])["drafts"](client)

    async def main() -> str:
        post = await client.posts.create(**fields)
        return (await client.wait(await drafts.send(post.json["id"], idempotency_key="mine-0001"))).status

    assert eventloop.run(main()) == "published"
    assert sandbox.requests(acting=True)[-1]["key"] == "mine-0001"
