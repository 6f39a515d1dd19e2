"""Whether a name in a sheet is another account's by now than when the bytes of its create were written."""

from __future__ import annotations

from dataclasses import replace

from tests.engine.shown import NOW, Bench, campaign, move, scheduled

from voxops.acts.create import CREATE
from voxops.engine.facts import Facts
from voxops.engine.mended import resolves_otherwise

BRAND, OTHER = "twitter:@brand", "twitter:@other"


def moved(bench: Bench, op: int, at: int, **accounts: str) -> bool:
    """Whether the row at a place is another account's by now, where names stand for these accounts."""
    member = bench.ledger.operations.members(op)[at]
    names = {f"twitter:@{name}": account for name, account in accounts.items()}
    return resolves_otherwise(bench.get(op), member, member.item, Facts(NOW, accounts=names))


def test_a_name_that_moved_resolves_otherwise_and_one_that_did_not_does_not(bench):
    plan = campaign("a", "b", accounts=[BRAND, f"{BRAND};{OTHER}"])
    (op,) = bench.bind(plan, accounts={BRAND: "acc_1", OTHER: "acc_2"})
    labels = [member.item.label for member in bench.ledger.operations.members(op)]
    a, b = labels.index("a"), labels.index("b")
    assert not moved(bench, op, a, brand="acc_1", other="acc_2")
    assert not moved(bench, op, b, brand="acc_1", other="acc_2")
    assert not moved(bench, op, b, brand="acc_2", other="acc_1"), "in another order they are the same accounts"
    assert moved(bench, op, a, brand="acc_9", other="acc_2")
    assert moved(bench, op, b, brand="acc_1", other="acc_9")


def test_an_id_stays_what_it_is_and_only_creates_name_accounts(bench):
    (op,) = bench.bind(campaign("a", accounts="acc_1"))
    other = replace(bench.get(op), body=bench.get(op).body.replace(b"acc_1", b"acc_9"))
    (member,) = bench.ledger.operations.members(op)
    assert not resolves_otherwise(other, member, member.item, Facts(NOW)), "nobody has named it"
    (change,) = bench.bind(move(scheduled("p")), scheduled("p"))
    (member,) = bench.ledger.operations.members(change)
    named = replace(member.item, body={**member.item.body, "accountIds": [BRAND]})
    assert not resolves_otherwise(bench.get(change), member, named, Facts(NOW, accounts={BRAND: "acc_1"}))


def test_a_row_that_was_put_into_a_batch_by_hand_resolves_to_nothing(bench):
    (op,) = bench.bind(campaign("a", accounts=BRAND), accounts={BRAND: "acc_1"})
    (member,) = bench.ledger.operations.members(op)
    assert len(CREATE.bodies(bench.get(op).body)) == 1
    behind = replace(member, position=1)
    assert not resolves_otherwise(bench.get(op), behind, behind.item, Facts(NOW, accounts={BRAND: "acc_9"}))
