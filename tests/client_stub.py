"""Write the stub file of the client's methods from the table of endpoints: ``python -m tests.client_stub``.

Editors and mypy read it in the place of ``voxops/client/groups.py``, which makes the same methods when it is imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxops.api import records
from voxops.client import groups

FILE = Path(__file__).parents[1] / "src" / "voxops" / "client" / "groups.pyi"
HEAD = '''"""Generated from `voxops.api.endpoints` by ``python -m tests.client_stub``; edit the table instead."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from voxops.api.fields import PostFields
from voxops.api.records import {records}
from voxops.client._handles import Handle
from voxops.client._methods import Group
from voxops.client._pages import Listing
from voxops.client._upload import Presigned
from voxops.client.uploads import FileUploads

GROUPS: Mapping[str, type[Group]]
'''


def stub(classes: Mapping[str, type]) -> str:
    """The stub of these groups."""
    body = [_class(group) for group in classes.values()]
    body += ["class Groups:", '    """A caller with its groups, such as `posts`."""\n']
    body += [f"    {name}: {group.__name__}" for name, group in classes.items()]
    body += ["    def __init__(self) -> None: ..."]
    text = "\n".join(body)
    named = {method.operation.record for group in classes.values() for method in _generated(group)}
    imported = "".join(f"    {name},\n" for name in sorted((named & set(vars(records))) - {"Any"}))
    return HEAD.format(records=f"(\n{imported})") + "\n" + text + "\n"


def _generated(group: type) -> list[Any]:
    return [method for method in vars(group).values() if hasattr(method, "operation")]


def _class(group: type) -> str:
    head = f"class {group.__name__}({group.__bases__[0].__name__}):\n{_quoted(group.__doc__, '    ')}\n"
    return "\n".join([head, *map(_method, _generated(group))])


def _method(method: Any) -> str:
    signature = inspect.signature(method)
    lines, keywords = ["self"], False
    for name, each in list(signature.parameters.items())[1:]:
        if each.kind is each.KEYWORD_ONLY and not keywords:
            lines, keywords = [*lines, "*"], True
        default = "" if each.default is each.empty else f" = {each.default!r}"
        lines.append(f"{name}: {each.annotation}{default}")
    kind = "async def" if inspect.iscoroutinefunction(method) else "def"
    head = f"    {kind} {method.__name__}({', '.join(lines)}) -> {signature.return_annotation}:"
    if len(head) > 120:
        inner = "".join(f"        {line},\n" for line in lines)
        head = f"    {kind} {method.__name__}(\n{inner}    ) -> {signature.return_annotation}:"
    return f"{head}\n{_quoted(method.__doc__, '        ')}\n"


def _quoted(text: str | None, margin: str) -> str:
    """A docstring at a margin; short ones on one line."""
    first, *rest = inspect.cleandoc(text or "").splitlines()
    lines = [f'{margin}"""{first}', *(f"{margin}{line}" if line else "" for line in rest)]
    return "\n".join(lines) + (f'\n{margin}"""' if rest else '"""')


if __name__ == "__main__":
    FILE.write_text(stub(groups.GROUPS), "utf-8")
