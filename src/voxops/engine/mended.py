"""Whether a row that was made before is there by now as it is asked for: its post was mended like the sheet, or it was made again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from voxops.acts.create import CreateAct, resolved
from voxops.acts.made import asked_hash, shown_of_body
from voxops.acts.operation import Item, Member, Subject
from voxops.acts.table import act_named
from voxops.engine.facts import Facts
from voxops.engine.presence import Verdict, judge_row
from voxops.ledger import Ledger, Stored
from voxops.model import Outcome

__all__ = ["is_made_by_now", "resolves_otherwise", "shows_by_now", "verdict_of"]

_SHOWN = frozenset(
    {"content", "accountIds", "scheduledFor", "tags"}
)  # fields of which a post's own show by now can be known


def verdict_of(ledger: Ledger, item: Item, body: Mapping[str, Any]) -> Verdict:
    """What the posts that are there allow for a row."""
    made = ledger.marks.of_row(item.row_mark, item.marks)
    return judge_row(item, body, made, ledger.marks.alike(asked_hash(body), shown_of_body(body)))


def shows_by_now(ledger: Ledger, facts: Facts, item: Item, post_id: str, fields: Collection[str]) -> bool:
    """Whether the post of a row shows what the sheet asks for by now, after it was changed in these fields: both were mended alike."""
    made = ledger.marks.of_posts([post_id]).get(post_id)
    if made is None or not _SHOWN.issuperset(fields):
        return False
    if "tags" in fields and not _has_tags(ledger, item, post_id):
        return False
    return set(fields) == {"tags"} or made.shown == shown_of_body(resolved(item, facts.accounts))


def _has_tags(ledger: Ledger, item: Item, post_id: str) -> bool:
    """Whether this ledger has set the tags of a row on its post: what is remembered of posts has none."""
    past = [one for one in ledger.outcomes.done_before(Subject("post", post_id)) if one.outcome is Outcome.SUCCEEDED]
    set_before = [tags for one in past if (tags := one.item.asks("tags")) is not None]
    return bool(set_before) and sorted(set_before[-1]) == sorted(item.asks("tags") or ())


def is_made_by_now(ledger: Ledger, facts: Facts, item: Item) -> bool:
    """Whether a row is there, by whichever attempt: a colleague may have made again what was withdrawn here (rule 13)."""
    return verdict_of(ledger, item, resolved(item, facts.accounts)).made is not None


def resolves_otherwise(stored: Stored, member: Member, item: Item, facts: Facts) -> bool:
    """Whether a create names an account by a name that is another one's by now than when its bytes were written."""
    act = act_named(stored.action)
    if not isinstance(act, CreateAct) or not item.named_accounts:
        return False
    written, ids = act.bodies(stored.body), resolved(item, facts.accounts)["accountIds"]
    # A ledger that was changed by hand may hold fewer.
    return member.position < len(written) and set(written[member.position]["accountIds"]) != set(ids)
