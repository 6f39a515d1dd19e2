"""Where a published OpenAPI description differs from the capability matrix; read only, nothing is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from voxops.api import limits
from voxops.api.matrix import MATRIX, Endpoint, find
from voxops.errors import ConfigError

__all__ = ["compare_spec", "differences"]

_WRITES = ("post", "put", "patch", "delete")
_MOST_BYTES = 32 * 1024**2


def compare_spec(path: Path) -> list[str]:
    """Compare an OpenAPI file with the matrix.

    Parameters
    ----------
    path : Path
        An OpenAPI 3 document as JSON.

    Returns
    -------
    list of str
        One line per difference; empty if there is none.

    Raises
    ------
    ConfigError
        If the file can't be read or is no OpenAPI document.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} has more than {_MOST_BYTES // 1024**2} MB")
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON; pass the description as .json, not as .yaml") from error
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise ConfigError(f"{path} is not an OpenAPI document: it has no paths")
    return list(differences(document))


def differences(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a document says otherwise than the matrix: rows first, then what no row governs."""
    described = dict(_operations(document))
    rows: dict[int, tuple[str, Mapping[str, Any]]] = {}
    ungoverned = []
    for (method, path), operation in described.items():
        row = find(method, re.sub(r"\{[^}]*\}", "x", path))
        if row is None:
            ungoverned.append(f"no row governs {method} {path}: it is sent once, with client.raw()")
        else:
            rows[row.row] = (path, operation)
    for row in MATRIX:
        if row.method == "PUT":  # the presigned upload is not the API's
            continue
        if row.row not in rows:
            yield f"row {row.row} {row}: not described"
        else:
            yield from (f"row {row.row} {row}: {what}" for what in _cells(document, row, rows[row.row][1]))
    yield from ungoverned
    yield from _limits(document, rows)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """Every write with its method and its path under ``/v1``."""
    for path, methods in document["paths"].items():
        for method, operation in (methods if isinstance(methods, Mapping) else {}).items():
            if method in _WRITES and isinstance(operation, Mapping):
                whole = path if path.startswith("/v1/") else f"/v1{path}"
                common = methods.get("parameters") or []
                yield (
                    (method.upper(), whole),
                    {**operation, "parameters": [*common, *(operation.get("parameters") or [])]},
                )


def _cells(document: Mapping[str, Any], row: Endpoint, operation: Mapping[str, Any]) -> Iterator[str]:
    """What one operation says otherwise than the cells of its row."""
    parameters = [_resolved(document, each) for each in operation["parameters"]]
    takes_key = any(str(each.get("name", "")).lower() == "idempotency-key" for each in parameters)
    if row.idempotent and not takes_key:
        yield "the matrix has it idempotent, the description names no Idempotency-Key"
    if takes_key and not row.idempotent:
        yield "the description names an Idempotency-Key, the matrix does not have it idempotent"
    statuses = set(map(str, operation.get("responses") or {}))
    if row.is_async and "202" not in statuses:
        yield "the matrix has it asynchronous, the description has no 202"
    if "202" in statuses and not row.is_async:
        yield "the description has a 202, the matrix does not have it asynchronous"
    if "207" in statuses and not row.partial:
        yield "the description has a 207, the matrix does not have it half succeed"


def _limits(document: Mapping[str, Any], rows: Mapping[int, tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Limits that are described and known here, and differ."""
    for row, names, word, ours in (
        (1, ("content",), "maxLength", limits.CONTENT_CHARACTERS),
        (11, ("posts",), "maxItems", limits.BULK_POSTS),
    ):
        shape: Any = rows.get(row, ("", {}))[1].get("requestBody", {})
        for name in ("content", "application/json", "schema"):
            shape = _resolved(document, shape).get(name, {})
        for name in names:
            shape = _resolved(document, _resolved(document, shape).get("properties", {})).get(name, {})
        theirs = _resolved(document, shape).get(word)
        if theirs is not None and theirs != ours:
            yield f"row {row}: {'.'.join(names)} has {word} {theirs}, here {ours}"


def _resolved(document: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """What a value or a reference inside the document says; nothing for a reference elsewhere."""
    for _ in range(20):
        if not isinstance(value, Mapping):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        value = document
        for part in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ["elsewhere"]:
            value = value.get(part, {}) if isinstance(value, Mapping) else {}
    return {}
