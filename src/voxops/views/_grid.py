"""The rows of a view in the live widget's grid: the page filters, sorts and searches; nothing is planned or sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from voxops._support import document, safe
from voxops._support.document import Block
from voxops.frames.palette import looks_of_pages
from voxops.frames.registry import LOOKS, column_named
from voxops.frames.table import full_text
from voxops.views._display import Display, Shown, Tab
from voxops.views._rows import PageColumn, RowTable

__all__ = ["Grid"]


class Grid:
    """A display of rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows in the order shown.
    columns : sequence of PageColumn
        The columns shown.
    words : mapping of str to Series
        Column -> the shown texts, if they are not the values.
    title, aside, tz : str
        The title, the note beside it, and the time zone.

    It says when the frame was read, in server time, if the frame has ``attrs["fetched_at"]``.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        columns: Sequence[PageColumn],
        words: Mapping[str, pd.Series[Any]],
        *,
        title: str,
        aside: str,
        tz: str,
    ) -> None:
        self._title, self._aside, self._tz = title, aside, tz
        shown = frame.reset_index(drop=True)
        read = frame.attrs.get("fetched_at")
        shown.attrs = {"tz": tz, "fetched_at": read}
        plain = {name: said.reset_index(drop=True) for name, said in words.items()}
        self.rows = RowTable(shown, columns, plain)
        self._read = None if read is None else pd.Timestamp(read).to_pydatetime()
        self.live = Display(self._look, lambda: f"{title} {aside}", self._hear, name="view")
        self.live.fill(self.rows.model())

    def _look(self) -> Shown:
        """Return the state, which does not change."""
        shown = {column.name for column in self.rows.columns}
        return Shown(
            title=self._title,
            at="" if self._read is None else safe.as_of(self._read, self._tz),
            present=self._aside,
            tabs=[Tab("rows", "Rows", self.rows.copy())],
            looks=looks_of_pages({name: table for name, table in LOOKS.items() if name in shown}),
        )

    def _hear(self, message: Mapping[str, Any]) -> None:
        """Answer a page; ignore a message about another table."""
        here = message.get("version") == self.rows.version
        match message["do"]:
            case "texts" | "search" | "csv":
                if (answer := self.rows.answer(message)) is not None:
                    self.live.send(answer)
            case "details" if here and isinstance(row := message.get("row"), int) and 0 <= row < len(self.rows.frame):
                self.live.send({"details": self._details(row), "row": row, "page": message.get("page")})
            case "hello":
                self.live.refresh()

    def _details(self, row: int) -> Sequence[Block]:
        """Return all values of one row, with a link to a published post; days and numbers as the grid shows them."""
        found = {str(name): value for name, value in self.rows.frame.iloc[row].items()}
        said = {
            str(column.name): self.rows.words[column.name].iloc[row] or ""
            for column in self.rows.columns
            if column.kind in {"time", "number"} and column.name in self.rows.words
        }
        known = [
            (column_named(name).title, said.get(name, full_text(value, self._tz))) for name, value in found.items()
        ]
        link = document.link(found.get("platform_post_url"), "Open the post")
        parts = [document.heading(f"Row {row + 1}"), document.pairs(pair for pair in known if pair[1]), link]
        return [part for part in parts if part is not None]
