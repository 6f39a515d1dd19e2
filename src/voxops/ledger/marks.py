"""Marks: creates that the server has shown, whoever made them (rule 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voxops.ledger.store import Store

__all__ = ["Marks"]


class Marks:
    """The marks that readings have shown, and up to when the server was searched.

    Parameters
    ----------
    store : Store
        The ledger's file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def searched(self) -> float | None:
        """Server time up to which the lists were searched; None where they never were."""
        text = self._store.meta("searched")
        return None if text is None else float(text)

    def created(self, marks: Sequence[str]) -> str | None:
        """A post that carries one of these marks, the earliest that the server has shown (rule 13)."""
        holes = ",".join("?" * len(marks))
        rows = self._store.query(
            f"SELECT post_id FROM marks WHERE mark IN ({holes}) ORDER BY created, post_id LIMIT 1", tuple(marks)
        )
        return str(rows[0][0]) if rows else None

    def learn(self, marks: Mapping[str, Sequence[tuple[str, str]]], server_now: float) -> None:
        """Remember creates that the server shows, and up to when it was asked; ``(created_at, post_id)`` by mark."""
        with self._store.atomic() as db:
            rows = [(mark, created, post_id) for mark, hits in marks.items() for created, post_id in hits]
            db.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?, ?)", rows)
            self._store.set_meta("searched", repr(max(server_now, float(self._store.meta("searched") or 0.0))))
