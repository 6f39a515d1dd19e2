"""The entries of a post's ``platforms``, in any of their shapes, as targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from voxops.frames.schemas import TARGET, pull, spellings
from voxops.frames.target import Target, Targets
from voxops.frames.values import CODE, JSON, error_parts

__all__ = ["entries", "read_targets", "targets_in"]


def targets_in(cell: Any) -> Targets:
    """The targets that a cell of posts holds, also where a file has made lists and mappings of them."""
    return cell if isinstance(cell, Targets) else read_targets(entries(cell))


def read_targets(entries: Sequence[Any]) -> Targets:
    """Entries of ``platforms`` as targets; an entry that is only a name is a platform (contract: POST-1)."""
    records = entries if set(map(type, entries)) == {dict} else list(map(_entry, entries))
    raw = pull(records, spellings(records), TARGET)
    clean = {column.name: column.kind.clean(raw[column.name]) for column in TARGET}
    clean |= _of_errors(clean["_error"], clean["error_code"], clean["error_message"])
    return Targets(tuple(JSON.stage(clean[name]) for name in Target._fields), 0, len(records))


def _of_errors(errors: Sequence[Any], codes: Sequence[Any], messages: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Codes and messages, out of the errors where a target names none of its own; most targets have no error."""
    codes, messages = list(codes), list(messages)
    places = [at for at, error in enumerate(errors) if error is not None]
    parts = [error_parts(errors[at]) for at in places]
    for at, code, (_, message) in zip(places, CODE.clean([code for code, _ in parts]), parts, strict=True):
        codes[at] = code if codes[at] is None else codes[at]
        messages[at] = message if messages[at] is None else messages[at]
    return {"error_code": codes, "error_message": messages}


def _entry(entry: Any) -> dict[str, Any]:
    """An entry of ``platforms`` that is not a plain dict: one of ours, or only a name."""
    if isinstance(entry, Target):
        return entry._asdict()
    return dict(entry) if isinstance(entry, Mapping) else {"platform": entry}


def entries(cell: Any) -> list[Any]:
    """The list of a post's platforms, also where it is a map from platform to its state, or one name alone."""
    if isinstance(cell, list):
        return cell
    if isinstance(cell, Target):  # of an exploded frame; a tuple, but one entry
        return [cell]
    if isinstance(cell, Mapping):
        return [{"platform": name, **(state if isinstance(state, Mapping) else {})} for name, state in cell.items()]
    if isinstance(cell, str):
        return [cell]
    return list(cell) if isinstance(cell, Iterable) else []
