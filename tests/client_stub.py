"""Write the stub file of the client's methods from the table of endpoints: ``python -m tests.client_stub``.

Editors and mypy read it in the place of ``voxops/client/methods.py``, which makes the same methods when it is imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxops.client import methods

FILE = Path(__file__).parents[1] / "src" / "voxops" / "client" / "methods.pyi"
HEAD = '''"""Generated from `voxops.api.endpoints` by ``python -m tests.client_stub``; edit the table instead."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from voxops.api.endpoints import Operation
from voxops.client.answer import Answer
from voxops.client.pages import Listing

class Group:
    """The methods of one part of the API."""

    def __init__(self, client: Any) -> None: ...

def classes_of(operations: Iterable[Operation]) -> dict[str, type[Group]]:
    """Return a class per group of operations."""

CLASSES: dict[str, type[Group]]
'''


def stub(classes: Mapping[str, type]) -> str:
    """The stub of these groups."""
    parts = [_class(group.__name__, group) for name, group in classes.items() if name]
    own = [f"    {name}: {group.__name__}" for name, group in classes.items() if name]
    own.append("    def __init__(self) -> None: ...")
    parts.append("\n".join([_class("Methods", classes.get("", object)), *own]))
    return HEAD + "\n" + "\n".join(parts) + "\n"


def _class(name: str, group: type) -> str:
    first = (group.__doc__ if name != "Methods" else methods.Methods.__doc__) or ""
    lines = [f"class {name}:", f'    """{first.partition(chr(10))[0]}"""', ""]
    return "\n".join(lines + [_method(each) for each in vars(group).values() if hasattr(each, "operation")])


def _method(method: Any) -> str:
    signature = inspect.signature(method)
    lines = ["self"]
    for name, each in list(signature.parameters.items())[1:]:
        if each.kind is each.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        stars = "**" if each.kind is each.VAR_KEYWORD else ""
        lines.append(f"{stars}{name}: {each.annotation}{'' if each.default is each.empty else ' = ...'}")
    kind = "async def" if inspect.iscoroutinefunction(method) else "def"
    head, returns = f"    {kind} {method.__name__}(", f") -> {signature.return_annotation}:"
    inner = ", ".join(lines)
    if len(head + inner + returns) > 120:
        inner = f"\n        {inner}\n    "
    if max(map(len, inner.splitlines())) > 120:
        inner = "\n" + "".join(f"        {line},\n" for line in lines) + "    "
    return f'{head}{inner}{returns}\n        """{method.operation.says}"""\n'


if __name__ == "__main__":
    FILE.write_text(stub(methods.CLASSES), "utf-8")
