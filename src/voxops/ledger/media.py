"""Media that were uploaded or imported, by what a sheet names them."""

from __future__ import annotations

from collections.abc import Iterable

from voxops.ledger.records import Medium, as_row, columns
from voxops.ledger.store import Part, as_values, some

_ROW = columns(Medium)


class Media(Part):
    """The receipts of uploads and imports."""

    def get(self, sources: Iterable[str]) -> dict[str, Medium]:
        """Media by their sources."""
        rows = self._store.query(f"SELECT {_ROW} FROM media WHERE source {some('sources')}", sources=sources)
        return {row["source"]: Medium(*row) for row in rows}

    def ready(self, ids: Iterable[str]) -> set[str]:
        """Which of these media were seen ready by an upload."""
        rows = self._store.query(
            f"SELECT media_id FROM media WHERE state = 'ready' AND media_id {some('ids')}", ids=ids
        )
        return {media_id for (media_id,) in rows}

    def keep(self, medium: Medium) -> None:
        """Remember a medium as it is now."""
        row = as_row(medium)
        self._store.write(f"INSERT OR REPLACE INTO media {as_values(row)}", **row)
