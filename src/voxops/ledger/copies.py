"""Copies: posts that people see twice, whoever made them (rule 28)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxops.acts.create import CreateAct
from voxops.acts.made import Made, asked_hash, is_live, shown_of_body
from voxops.acts.table import act_named
from voxops.ledger.ledger import Ledger

__all__ = ["Copy", "copies_of", "followed", "keep_first"]


@dataclass(frozen=True, slots=True)
class Copy:
    """One row of a run that more than one live post was made for: the post to `keep`, and the `others`; `row` is its number."""

    row: int
    label: str
    keep: str
    others: tuple[str, ...]


def followed(ledger: Ledger, ops: Iterable[int]) -> set[int]:
    """Which of these operations are not the last that was sent from here for their post or delivery: its counts tell of later ones."""
    rows = ledger.query(
        """SELECT DISTINCT one.id FROM operations AS one JOIN operations AS later USING (subject)
           WHERE later.id > one.id AND later.tries > 0 AND one.id IN (SELECT value FROM json_each(?))""",
        (json.dumps(list(ops)),),
    )
    return {int(op) for (op,) in rows}


def copies_of(ledger: Ledger, run: str) -> list[Copy]:
    """Rows of a run for which more than one live post shows what was asked, or what their own post shows: content, accounts, time."""
    rows = ledger.query(
        """SELECT run_rows.row AS row, items.op AS op, items.position AS position FROM run_rows JOIN items USING (identity, attempt)
           JOIN members ON members.op = items.op AND members.position = items.position
           JOIN operations ON operations.id = items.op
           JOIN made ON made.post_id = members.result_id
           WHERE run_rows.run = ? AND operations.body IS NOT NULL
             AND (SELECT count(*) FROM made AS other WHERE other.row_mark = made.row_mark OR other.op_mark = made.op_mark) > 1
           ORDER BY run_rows.row""",
        (run,),
    )
    found = []
    for row, op, position in rows:
        stored = ledger.operations.get(op)
        act, members = act_named(stored.action), ledger.operations.members(op)
        member = next(member for member in members if member.position == position)
        item = member.item
        if not isinstance(act, CreateAct):
            continue
        body = act.bodies(stored.body)[position]
        asked = asked_hash(body)
        made = [post for post in ledger.marks.of_row(item.row_mark, item.marks) if is_live(post.status)]
        # An API may escape texts: then copies show what the row's own post shows.
        own = [post.shown for post in made if post.post_id == member.result_id and post.shown]
        for shown in ([shown_of_body(body)], own):
            posts = [post for post in made if (post.shown in shown if post.shown is not None else post.asked == asked)]
            if len(posts) > 1:
                keep, *others = keep_first(posts)
                found.append(Copy(row, item.label, keep.post_id, tuple(post.post_id for post in others)))
                break
    return found


def keep_first(posts: Sequence[Made]) -> list[Made]:
    """The post to keep, then the others: a published one, else the earliest created, then the smallest id.

    So two laptops never withdraw both.
    """
    return sorted(posts, key=lambda post: (post.status != "published", post.created, post.post_id))
