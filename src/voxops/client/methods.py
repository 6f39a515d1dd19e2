"""The methods of a client: ``client.posts.create`` is the row ``"posts.create"`` of `voxops.api.endpoints`.

Editors and mypy read ``methods.pyi``, which ``python -m tests.client_stub`` generates from the same table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from voxops.api.endpoints import ENDPOINTS, GROUPS, UNSET, Operation, docstring, signature_of
from voxops.api.limits import PAGE_RECORDS
from voxops.client.pages import Listing
from voxops.client.request import filled


class Group:
    """The methods of one part of the API."""

    def __init__(self, client: Any) -> None:
        self._client = client


def classes_of(operations: Iterable[Operation]) -> dict[str, type[Group]]:
    """Return a class per group of operations, with a method for each; the group ``""`` is the client itself."""
    groups: dict[str, dict[str, Any]] = {}
    for operation in operations:
        group, _, name = operation.name.rpartition(".")
        method = _method(operation)
        method.__name__, method.__qualname__, method.__module__ = name, f"{group.title()}.{name}", __name__
        groups.setdefault(group, {})[name] = method
    return {
        group: type(group.title(), (Group,), {"__doc__": GROUPS.get(group), "__module__": __name__, **methods})
        for group, methods in groups.items()
    }


def _method(operation: Operation) -> Any:
    """Return the method of an operation."""
    signature = signature_of(operation)
    verb, path = operation.call

    def bound(args: tuple[Any, ...], given: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return the path, the fields by their names in the API, and the options."""
        values = {name: value for name, value in signature.bind(*args, **given).arguments.items() if value is not UNSET}
        named = {wire: values[name] for name, wire in operation.fields.items() if name in values}
        fields = values.get("fields", {}) | named
        options = {name: values[name] for name in operation.options if name in values}
        return filled(path, [values[name] for name in operation.ids.split()]), fields, options

    def listing(self: Group, /, *args: Any, **given: Any) -> Listing:
        where, query, options = bound((self, *args), given)
        query["limit"] = options.get("page_size", PAGE_RECORDS)
        return Listing(lambda: self._client.pages(where, query))

    async def sent(self: Group, /, *args: Any, **given: Any) -> Any:
        where, fields, options = bound((self, *args), given)
        if operation.row is None:
            return (await self._client.request(verb, where, params=fields)).record
        json = operation.completes(fields) if fields or operation.fields else None
        return await self._client.request(verb, where, json=json, **options)

    method: Any = listing if operation.listed else sent
    method.__doc__, method.__signature__, method.operation = docstring(operation), signature, operation
    return method


CLASSES = classes_of(ENDPOINTS)


class Methods(CLASSES[""]):  # type: ignore[misc]  # its type is in the stub
    """A client with its groups of methods, such as `posts`."""

    def __init__(self) -> None:
        super().__init__(self)
        for name, group in CLASSES.items():
            if name:
                setattr(self, name, group(self))
