"""The posts that creates have made, as readings have shown them, whoever sent them (rules 13, 26 and 28).

Posts that bear no mark are among them, too, as far as a row might ask for the same: what was made by hand is read once and must not
be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from voxops.acts.made import Made
from voxops.ledger.store import Part

__all__ = ["Marks"]

_COLUMNS = "post_id, created, status, op_mark, row_mark, campaign_mark, asked, shown, updated"


class Marks(Part):
    """What was made, and up to when the lists were read."""

    @property
    def listed(self) -> str | None:
        """The latest ``created_at`` that a list has shown; None where none was read. Never a clock's future (rule 13)."""
        return self._store.meta("listed")

    @property
    def looked_through(self) -> float | None:
        """When the workspace was looked through as on first sight, in server time; None before (rule 13)."""
        at = self._store.meta("looked_through")
        return None if at is None else float(at)

    @property
    def show(self) -> bool:
        """Whether lists have ever shown our marks, so that one that is absent says something (rule 11)."""
        return self._store.meta("lists_show_marks") is not None

    def learn(
        self,
        made: Iterable[Made],
        *,
        latest: str | None = None,
        shown: bool = False,
        looked_through: float | None = None,
    ) -> None:
        """Remember posts as they are now, up to when the lists were read, and whether they show our marks.

        Of a post that is known to be a row's, a reading without marks says nothing new.
        """
        with self._store.atomic() as db:
            db.executemany(
                f"""INSERT INTO made ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (post_id) DO UPDATE SET
                    status = excluded.status, created = excluded.created, op_mark = coalesce(excluded.op_mark, op_mark),
                    row_mark = coalesce(excluded.row_mark, row_mark), asked = coalesce(excluded.asked, asked),
                    campaign_mark = coalesce(excluded.campaign_mark, campaign_mark), shown = coalesce(excluded.shown, shown),
                    updated = coalesce(excluded.updated, updated)
                    WHERE coalesce(excluded.op_mark, excluded.row_mark) IS NOT NULL OR coalesce(op_mark, row_mark) IS NULL""",
                [
                    (
                        one.post_id,
                        one.created,
                        one.status,
                        one.op_mark,
                        one.row_mark,
                        one.campaign_mark,
                        one.asked,
                        one.shown,
                        one.updated,
                    )
                    for one in made
                ],
            )
            if latest is not None and latest > (self.listed or ""):
                self._store.set_meta("listed", latest)
            if shown and not self.show:
                self._store.set_meta("lists_show_marks", "1")
            if looked_through is not None:
                self._store.set_meta("looked_through", repr(looked_through))

    def forget(self, ids: Iterable[str]) -> None:
        """Forget posts that are nobody's and not there any more; what was made for a row is never forgotten."""
        with self._store.atomic() as db:
            db.execute(
                """DELETE FROM made WHERE +op_mark IS NULL AND +row_mark IS NULL
                   AND post_id IN (SELECT value FROM json_each(?))""",
                (json.dumps(list(ids)),),
            )

    def of_row(self, row_mark: str, op_marks: Sequence[str]) -> list[Made]:
        """Posts that were made for a row, by the mark of the row or of one of its attempts, the earliest first."""
        return self.of_rows([row_mark], op_marks)

    def of_rows(self, row_marks: Iterable[str], op_marks: Iterable[str]) -> list[Made]:
        """Posts that were made for one of these rows, by the mark of the row or of an attempt, the earliest first."""
        return self._find(
            "row_mark IN (SELECT value FROM json_each(?)) OR op_mark IN (SELECT value FROM json_each(?))",
            (json.dumps(list(row_marks)), json.dumps(list(op_marks))),
        )

    def in_doubt(self, statuses: Collection[str]) -> list[Made]:
        """Posts of nobody, and those that had one of these statuses: what they allow depends on what they are by now."""
        return self._find(
            "(op_mark IS NULL AND row_mark IS NULL) OR status IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(statuses)),),
        )

    def alike(self, asked: str, shown: str) -> list[Made]:
        """Posts that were asked for so, whatever they show since, or that look so (rule 26)."""
        return self._find("asked = ? OR shown = ?", (asked, shown))

    def of_posts(self, ids: Iterable[str]) -> dict[str, Made]:
        """Posts by their ids."""
        found = self._find("post_id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))
        return {one.post_id: one for one in found}

    def last_by_others(self, campaign_mark: str) -> str | None:
        """When the newest post of a campaign was created that this ledger has not sent itself; None where it has none."""
        rows = self._store.query(
            """SELECT max(created) FROM made WHERE campaign_mark = ? AND NOT EXISTS (
                   SELECT 1 FROM members JOIN operations ON operations.id = op
                   WHERE result_id = made.post_id AND action IN ('create', 'create_one') AND operations.tries > 0)""",
            (campaign_mark,),
        )
        return None if rows[0][0] is None else str(rows[0][0])

    def _find(self, where: str, values: Sequence[object]) -> list[Made]:
        rows = self._store.query(f"SELECT {_COLUMNS} FROM made WHERE {where} ORDER BY created, post_id", values)
        return [Made(*row) for row in rows]
