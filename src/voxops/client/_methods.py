"""The methods of the client's groups, made from the table of endpoints (`voxops.api.endpoints`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from inspect import BoundArguments
from typing import Any
from urllib.parse import quote

from voxops.api.assumptions import BULK_READ_STATUSES
from voxops.api.endpoints import GROUPS, REQUIRED, Gives, Operation, Place, docstring, signature_of
from voxops.client._caller import Caller
from voxops.client._handles import Handle, read_before
from voxops.client._pages import Listing
from voxops.client._reply import Reply, single, with_items
from voxops.client._upload import Presigned, presigned


class Group:
    """The methods of one part of the API."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller


def group_classes(
    operations: Iterable[Operation], bases: Mapping[str, type[Group]], module: str
) -> dict[str, type[Group]]:
    """Return a class per group of operations, with a method for each; `bases` have methods that are written by hand."""
    groups: dict[str, dict[str, Any]] = {}
    for operation in operations:
        group, _, name = operation.name.partition(".")
        method = _method(operation)
        method.__name__, method.__qualname__, method.__module__ = name, f"{group.title()}.{name}", module
        groups.setdefault(group, {})[name] = method
    return {
        group: type(group.title(), (bases.get(group, Group),), {"__doc__": GROUPS.get(group, f"The API's {group}."), "__module__": module, **methods})
        for group, methods in groups.items()
    }  # fmt: skip


def _method(operation: Operation) -> Any:
    """Return the method of an operation."""
    signature = signature_of(operation)

    def listing(group: Group, *args: Any, **options: Any) -> Listing[Any]:
        request = _Request(operation, signature.bind(group, *args, **options))
        return Listing(lambda: group._caller.pages(request.path, request.query))

    async def send(group: Group, *args: Any, **options: Any) -> Any:
        request = _Request(operation, signature.bind(group, *args, **options))
        return await _RESULTS[operation.gives](request, group._caller)

    method: Any = listing if operation.gives is Gives.LIST else send
    method.__doc__, method.__signature__, method.operation = docstring(operation), signature, operation
    return method


class _Request:
    """The request of one call: its values are checked and in their places."""

    def __init__(self, operation: Operation, bound: BoundArguments) -> None:
        bound.apply_defaults()
        self.operation = operation
        self.ids: list[str] = []
        self.query: dict[str, Any] = {}
        self._options: dict[str, Any] = {}
        whole, body = None, dict[str, Any]()
        places = {Place.QUERY: self.query, Place.BODY: body, Place.OPTION: self._options}
        for field in operation.fields:
            value = bound.arguments[field.name]
            if value is not None or field.default is REQUIRED:
                value = field.check(field.name if field.place is Place.QUERY else field.wire, value)
            if value is None:
                continue
            if field.place is Place.PATH:
                self.ids.append(value)
            elif field.place is Place.WHOLE:
                whole = value
            else:
                places[field.place][field.wire] = value
        body = (whole or {}) | body
        if operation.rule is not None:
            operation.rule(body)
        sends = whole is not None or any(field.place is Place.BODY for field in operation.takes)
        self.body = body if sends else None
        self.method, path = operation.call
        ids = iter(self.ids)
        self.path = "/".join(quote(next(ids), safe="") if part.startswith(":") else part for part in path.split("/"))

    async def send(self, caller: Caller, **options: Any) -> Reply:
        """Send it, with retries as its row allows."""
        query = self.query or None
        return await caller.request(self.method, self.path, params=query, json=self.body, **self._options, **options)


async def _value(request: _Request, caller: Caller) -> Any:
    return single(await request.send(caller))


async def _any(request: _Request, caller: Caller) -> Any:
    return (await request.send(caller)).data


async def _items(request: _Request, caller: Caller) -> Any:
    return with_items(await request.send(caller, accept=BULK_READ_STATUSES))


async def _address(request: _Request, caller: Caller) -> Presigned:
    return presigned(await request.send(caller), None)


async def _handle(request: _Request, caller: Caller) -> Handle:
    """Send an act whose 2xx only means "queued"."""
    kind: Any = request.operation.kind
    ids, webhook = request.ids, request.ids[0] if kind == "delivery" else None
    handle = Handle(ids[-1] if webhook else ids[0] if ids else "", kind, webhook_id=webhook, caller=caller)
    before = await read_before(handle, caller) if request.operation.read_first else None
    reply = await request.send(caller)
    answer = single(reply)
    subject = handle.id or str(answer.get("id") or answer.get("mediaId") or "")  # of an import
    return replace(handle, id=subject, accepted=answer, accepted_at=reply.date, before=before)


async def _handles(request: _Request, caller: Caller) -> tuple[Handle, ...]:
    """Send an act on many things."""
    kind: Any = request.operation.kind
    reply = await request.send(caller, accept=BULK_READ_STATUSES)
    answers = {str(item.get("mediaId")): item for item in with_items(reply)["results"] if isinstance(item, dict)}
    ids = next(iter((request.body or {}).values()))
    return tuple(Handle(one, kind, answers.get(one, {}), accepted_at=reply.date, caller=caller) for one in ids)


_RESULTS: Mapping[Gives, Callable[[_Request, Caller], Awaitable[Any]]] = {
    Gives.VALUE: _value, Gives.ANY: _any, Gives.ITEMS: _items, Gives.HANDLE: _handle, Gives.HANDLES: _handles,
    Gives.ADDRESS: _address,
}  # fmt: skip
