"""The creates that this ledger has formed, whatever posts came of them."""

from __future__ import annotations

from voxops.ledger.records import OPEN, STORED, Stored, read_stored
from voxops.ledger.store import Part

__all__ = ["Creates"]


class Creates(Part):
    """The stored creates, to be read."""

    def under_way(self, since: float) -> list[Stored]:
        """Creates that are open, and those that were sent since an instant of server time, whatever became of them."""
        rows = self._store.query(
            f"""SELECT {STORED} FROM operations WHERE action IN ('create', 'create_one')
                AND (state IN {OPEN} OR (state = 'settled' AND last_sent >= ?)) ORDER BY id""",
            (since,),
        )
        return [read_stored(row) for row in rows]

    def campaigns_of(self, label: str) -> set[str]:
        """The campaigns under which creates of a row of this name were ever formed (rule 29)."""
        rows = self._store.query(
            """SELECT DISTINCT json_extract(members.item, '$.seen.campaign') FROM members JOIN operations ON operations.id = op
               WHERE label = ? AND action IN ('create', 'create_one')""",
            (label,),
        )
        return {str(campaign) for (campaign,) in rows}
