"""Where a row of a campaign stands in its sheet, as people see it: ``D7``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["Places"]


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a sheet, which its frame keeps in ``attrs["places"]``.

    Attributes
    ----------
    columns : dict of str to str
        Column -> its letters.
    rows : list of int
        Numbers of the rows, in the order of the frame as it was read.
    names : list of str or None
        Their row ids, by which a row is known again after the frame was filtered, sorted or numbered anew.
    """

    columns: dict[str, str] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    names: list[Any] = field(default_factory=list)

    def text(self) -> str:
        """Return it as JSON: pandas copies what frames say of themselves with every step, and text is not copied."""
        names = [None if pd.isna(name) else str(name) for name in self.names]
        return json.dumps({"columns": self.columns, "rows": self.rows, "names": names})

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Places:
        """Return what a frame says of its places; nothing for a frame that comes from no sheet."""
        said = frame.attrs.get("places")
        return cls(**json.loads(said)) if isinstance(said, str) else cls()

    def numbers(self, frame: pd.DataFrame) -> list[int | None]:
        """Return the row of the sheet of each row of a frame; None where that is not certain."""
        if not self.rows or "row_id" not in frame.columns:
            return [None] * len(frame)
        once = {name for name, count in Counter(self.names).items() if count == 1 and name is not None}
        by_name = {name: number for name, number in zip(self.names, self.rows, strict=True) if name in once}
        names = [None if pd.isna(value) else str(value) for value in frame["row_id"]]
        pairs = list(zip(frame.index, names, strict=True))
        # Names that several rows have are known by their label, as long as no label shows that the rows were numbered anew.
        kept = all(
            isinstance(label, int) and 0 <= label < len(self.rows) and self.names[label] == name
            for label, name in pairs
        )
        return [by_name.get(name) if name in by_name else self.rows[label] if kept else None for label, name in pairs]

    def cell(self, number: int | None, column: str) -> str | None:
        """Return a cell as people see it, ``row 7`` where the sheet has no such column; None without a row."""
        if number is None:
            return None
        return f"{self.columns[column]}{number}" if column in self.columns else f"row {number}"
