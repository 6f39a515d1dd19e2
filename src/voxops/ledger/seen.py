"""Posts as readings and answers have shown them, and up to when the lists were read (rules 10, 17 and 19)."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from voxops.ledger.records import Seen, columns
from voxops.ledger.store import Part, as_values, some

LISTS_SETTLE = 75.0  # seconds after which a list may replace what an answer or a single read showed

_SEEN = columns(Seen)
_NAMES = _SEEN.split(", ")
_VALUES = attrgetter(*_NAMES)
# The same second: lists may cut times. A state with an older stamp never replaces a newer one; at equal stamps, and for what is gone, a
# list replaces what an answer or a single read showed only if it began well after that.
_NEWER = f"""
    NOT (excluded.updated IS NOT NULL AND seen.updated IS NOT NULL AND substr(excluded.updated, 1, 19) < substr(seen.updated, 1, 19))
    AND NOT (excluded.source = 'list' AND seen.source <> 'list' AND excluded.began < seen.began + {LISTS_SETTLE}
             AND (seen.status = 'deleted' OR excluded.updated IS NULL OR seen.updated IS NULL
                  OR substr(excluded.updated, 1, 19) = substr(seen.updated, 1, 19)))
    AND NOT (excluded.began < seen.began AND excluded.source = seen.source)"""


class SeenPosts(Part):
    """What was seen of posts."""

    @property
    def listed(self) -> str | None:
        """The latest ``created_at`` that a list has shown, never later than that reading (rule 10); None where none was read."""
        return self._store.meta("listed")

    @property
    def looked_through(self) -> float | None:
        """When the workspace was looked through as on first sight, in server time; None before (rule 10)."""
        return self._store.meta("looked_through", float)

    @property
    def lists_show_marks(self) -> bool:
        """Whether lists have ever shown our marks, so that one that is absent says something (rule 11)."""
        return self._store.meta("lists_show_marks") is not None

    @property
    def lists_show_metadata(self) -> bool | None:
        """Whether lists show the metadata of posts; None where no post has told yet (rule 11)."""
        if self.lists_show_marks:
            return True
        metadata = self._store.meta("lists_metadata")
        return None if metadata is None else metadata == "shown"

    def note_metadata(self, *, shown: bool) -> None:
        """A post has told whether lists show the metadata of posts."""
        self._store.set_meta("lists_metadata", "shown" if shown else "hidden")

    def learn(
        self,
        posts: Iterable[Seen],
        *,
        latest: str | None = None,
        shows_marks: bool = False,
        looked_through: float | None = None,
    ) -> None:
        """Remember posts as they were seen, up to when the lists were read, and whether they show our marks."""
        posts = list(posts)
        with self._store.atomic():
            self._store.write_each(
                f"""INSERT INTO seen {as_values(_NAMES)} ON CONFLICT (post_id) DO UPDATE SET
                    since = CASE WHEN excluded.status = seen.status THEN seen.since ELSE excluded.began END,
                    status = excluded.status, created = CASE WHEN excluded.created <> '' THEN excluded.created ELSE seen.created END,
                    updated = coalesce(excluded.updated, seen.updated), op_mark = coalesce(excluded.op_mark, seen.op_mark),
                    row_mark = coalesce(excluded.row_mark, seen.row_mark), asked = coalesce(excluded.asked, seen.asked),
                    campaign_mark = coalesce(excluded.campaign_mark, seen.campaign_mark), shown = coalesce(excluded.shown, seen.shown),
                    began = excluded.began, source = excluded.source
                    WHERE {_NEWER}""",
                (dict(zip(_NAMES, _VALUES(post), strict=True)) for post in posts),
            )
            if latest is not None and latest > (self.listed or ""):
                self._store.set_meta("listed", latest)
            if shows_marks and not self.lists_show_marks:
                self._store.set_meta("lists_show_marks", "1")
            if looked_through is not None:
                self._store.set_meta("looked_through", repr(looked_through))

    def of_rows(self, row_marks: Iterable[str], op_marks: Iterable[str] = ()) -> list[Seen]:
        """Posts that bear the mark of one of these rows or attempts, the earliest first."""
        where = f"row_mark {some('row_marks')} OR op_mark {some('op_marks')}"
        return self._find(where, row_marks=row_marks, op_marks=op_marks)

    def alike(self, shown: Iterable[str]) -> list[Seen]:
        """Posts that show the same accounts, minute and text (rule 17)."""
        return self._find(f"shown {some('shown')}", shown=shown)

    def of_posts(self, ids: Iterable[str]) -> dict[str, Seen]:
        """Posts by their ids."""
        return {post.post_id: post for post in self._find(f"post_id {some('ids')}", ids=ids)}

    def _find(self, where: str, **values: Any) -> list[Seen]:
        rows = self._store.query(f"SELECT {_SEEN} FROM seen WHERE {where} ORDER BY created, post_id", **values)
        return [Seen(*row) for row in rows]
