"""Rows of a campaign sheet as a plan takes them: their names, and why a row is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voxops.acts import keys
from voxops.api.reasons import Reason
from voxops.errors import PlanError
from voxops.frames.columns import plain_values
from voxops.sheets.campaign import OPTIONAL
from voxops.sheets.files import Places
from voxops.sheets.rules import (
    NUMBER_OF_A_FILE,
    errors_of_all,
    is_written_list,
    is_written_missing,
    sheet_rows,
    split_list,
    tags_in,
    utc_text,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "OPTIONAL",
    "fit_rows",
    "is_written_list",
    "is_written_missing",
    "row_names",
    "split_list",
    "tags_in",
    "utc_text",
]


def row_names(frame: pd.DataFrame, key: str) -> list[str]:
    """The key column as canonical text, or a PlanError that shows what is missing or doubled."""
    try:
        names = [keys.row_key(value) for value in plain_values(frame, key)]
    except PlanError as error:
        raise PlanError(f"column {key!r}: {error}") from None
    missing = [row for row, name in enumerate(names) if name is None]
    if missing:
        where = _where(frame, key, missing)
        raise PlanError(f"column {key!r} has no value in {where}; every row needs a key that never changes")
    counts = Counter(names)
    doubled = [name for name, count in counts.items() if count > 1]
    if doubled:
        where = _where(frame, key, [row for row, name in enumerate(names) if counts[name] > 1])
        raise PlanError(f"column {key!r} holds {_some(doubled)} more than once, in {where}; drop or rename the copies")
    return [name for name in names if name is not None]


def _where(frame: pd.DataFrame, key: str, rows: Sequence[int]) -> str:
    """Where rows stand: the cells of the sheet that the frame comes from, else how to look at them in the frame."""
    known = Places.of(frame)
    numbers = known.numbers(frame)
    cells = [known.cell(numbers[row], key) for row in rows[:5]]
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"frame.iloc[{list(rows[:5])}]{more}" if None in cells else f"{', '.join(map(str, cells))}{more}"


def _some(values: Sequence[object]) -> str:
    """The first five values, and how many more there are."""
    shown = ", ".join(repr(value) for value in values[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")


def fit_rows(
    frame: pd.DataFrame, names: Sequence[str], meant: Sequence[bool]
) -> list[tuple[dict[str, Any], Reason | None]]:
    """Each row as plain values, and why it can't be created, None if it can: by the rules of ``ws.check``.

    `names` are what the rows are called, `meant` says which may look like another one.
    """
    _refuse_lost_ids(frame, "accounts" if "accounts" in frame.columns else "account_ids")
    known, rows = Places.of(frame), sheet_rows(frame)
    judged = zip(rows, errors_of_all(rows, names, meant), known.numbers(frame), strict=True)
    return [
        (row, errors[0].reason.at(known.cell(number, errors[0].column)) if errors else None)
        for row, errors, number in judged
    ]


def _refuse_lost_ids(frame: pd.DataFrame, column: str) -> None:
    """Refuse account ids that a file has turned into numbers: digits are lost, or a ``.0`` was added (rule 29)."""
    for row, value in enumerate(plain_values(frame, column)):
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, float) or (isinstance(part, str) and NUMBER_OF_A_FILE.fullmatch(part.strip())):
                raise PlanError(
                    f"row {row}: column {column!r} holds {part!r}, a number that a file has made of an id; read the column as text, "
                    f"for example pd.read_csv(path, dtype={{{column!r}: 'string'}})"
                )
