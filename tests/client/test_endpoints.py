"""The table of endpoints: it agrees with the matrix, its methods explain themselves, and the stub that editors read is the same."""

from __future__ import annotations

import inspect
import re
import typing
from operator import attrgetter

import pandas as pd
import pytest
from tests import client_stub

import voxops as vx
from voxops._support import eventloop
from voxops.api import records
from voxops.api.endpoints import ENDPOINTS, PAGE_SIZE, Gives, Operation
from voxops.api.matrix import MATRIX, Resend, find
from voxops.client import AsyncClient, Handle, Listing, Page, _methods, groups
from voxops.frames.records import build
from voxops.frames.schemas import SCHEMAS, TEXT, _table

EMPTY = True  # the sandbox

BY_HAND = {24: "uploads.presign", 33: "uploads.send"}  # the uploads of `voxops.client.uploads`
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
    named = {operation.record for operation in ENDPOINTS} - {"Any"}
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


# The example of CONTRIBUTING.md: an endpoint is a row, and a list that is loaded as a frame a row and a schema.


def test_a_new_list_endpoint_is_one_row_and_one_schema(client, sandbox, monkeypatch):
    row = Operation("members.list", "GET /v1/accounts", (PAGE_SIZE,), Gives.LIST, "Account", "Read members.")
    monkeypatch.setitem(SCHEMAS, "members", _table(("member_id", TEXT, "id"), ("username", TEXT)))
    made = _methods.group_classes([row], {}, "voxops.client.groups")
    members = made["members"](client)

    async def main() -> pd.DataFrame:
        return build("members", [record async for record in members.list(page_size=5)])

    frame = eventloop.run(main())
    assert list(frame.columns) == ["member_id", "username"]
    assert set(frame["member_id"]) == {
        one.id for one in sandbox.world.accounts.values() if one.status != "disconnected"
    }
    assert "def list(self, *, page_size: int = 100) -> Listing[Account]:" in client_stub.stub(made)
    assert "members: Members" in client_stub.stub(made)


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
