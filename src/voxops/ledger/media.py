"""Media that were uploaded or imported, by what a sheet names them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple

from voxops._support.canonical import well_formed
from voxops.ledger.records import Medium, columns
from voxops.ledger.store import SOME, Part

_MEDIUM = columns(Medium)


class Media(Part):
    """The receipts of uploads and imports."""

    def get(self, sources: Iterable[str]) -> dict[str, Medium]:
        """Media by their sources."""
        rows = self._store.query(f"SELECT {_MEDIUM} FROM media WHERE source {SOME}", sources)
        return {one.source: one for one in (Medium(*row) for row in rows)}

    def ready(self, ids: Iterable[str]) -> set[str]:
        """Which of these media were seen ready by an upload."""
        return {
            one
            for (one,) in self._store.query(
                f"SELECT media_id FROM media WHERE state = 'ready' AND media_id {SOME}", ids
            )
        }

    def keep(self, one: Medium) -> None:
        """Remember a medium as it is now."""
        values = [well_formed(value) if isinstance(value, str) else value for value in astuple(one)]
        self._store.write(f"INSERT OR REPLACE INTO media ({_MEDIUM}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *values)
