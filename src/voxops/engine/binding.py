"""Binding a plan to the ledger: a run, and the operations of its new rows (rules 1, 2 and 5).

One transaction decides for all rows and writes them; before it, the engine has read what the server shows. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from voxops.acts.act import Act
from voxops.acts.create import CreateAct
from voxops.acts.operation import Item, settled
from voxops.acts.plan import Plan
from voxops.engine.decisions import Decider
from voxops.engine.facts import Decision, Facts, Hold, Join, New
from voxops.engine.learning import learn
from voxops.frames.packing import pack
from voxops.ledger import Ledger, RunHead, RunRow
from voxops.model import Outcome

__all__ = ["bind"]


def bind(ledger: Ledger, run: str, plan: Plan, facts: Facts, reason: str | None) -> None:
    """Write a run and everything it needs into the ledger, in one transaction."""
    head = RunHead(run, plan.action, plan.campaign, plan.key, plan.canaries, plan.held)
    with ledger.atomic():
        ledger.runs.start(head, reason=reason, created=facts.now.timestamp(), frame=pack(plan._stored_table()))
        if facts.listed is not None:
            learn(ledger, facts.listed)
        ledger.claims.expire()
        canaries = {
            item.row: item.cause for operation in plan.operations if operation.canary for item in operation.items
        }
        decider = Decider(ledger, plan, facts)
        decisions = decider.decide()
        made = {row: verdict.made for row, verdict in decider.verdicts.items() if verdict.made}
        _write(ledger, plan, facts, decisions, made)
        ledger.runs.add_rows(
            run, [_row(ledger, item, decisions[item.row], canaries.get(item.row)) for item in plan.items]
        )


def _row(ledger: Ledger, item: Item, decision: Decision, canary: str | None) -> RunRow:
    """A row of the run as the ledger keeps it."""
    match decision:
        case Hold(why):
            return RunRow(item.row, item.identity, None, why, canary)
        case Join():
            return RunRow(item.row, item.identity, _alias(ledger, item, decision), canary=canary)
        case New():
            return RunRow(item.row, item.identity, decision.item.attempt, canary=canary)


def _alias(ledger: Ledger, item: Item, join: Join) -> int:
    """Attempt under which the item is known to stand for a member; the ledger learns it where it does not know it yet."""
    known = ledger.runs.attempt_of(item.identity, join.op, join.position)
    if known is not None:
        return known
    attempt = max(item.attempt, ledger.runs.last_attempt(item.identity) + 1)
    ledger.forming.point(item.identity, attempt, join.op, join.position)
    return attempt


def _write(
    ledger: Ledger, plan: Plan, facts: Facts, decisions: Mapping[int, Decision], made: Mapping[int, str]
) -> None:
    """Form operations of the new rows and write them; creates that a mark proves done are settled at once."""
    now, act = facts.now.timestamp(), plan.act
    read = facts.read if facts.listed is None else facts.listed.read
    _give_up(ledger, decisions, now)
    new = {row: decision.item for row, decision in decisions.items() if isinstance(decision, New)}
    ordered = [new[item.row] for item in plan.items if item.row in new]
    _write_made(ledger, act, [item for item in ordered if item.row in made], made, now)
    left = {item.row: item for item in ordered if item.row not in made}
    for planned in plan.operations:
        group = [left[item.row] for item in planned.items if item.row in left]
        gone = any(item.row not in left and isinstance(decisions[item.row], New | Join) for item in planned.items)
        for formed in act.form(group):
            operation = replace(formed, batch=planned.batch, canary=planned.canary)
            creates = isinstance(act, CreateAct)
            if isinstance(act, CreateAct):
                operation = act.resolve(operation, facts.accounts)
            shrunk = creates and gone and len(planned.items) > 1
            ledger.forming.add(operation, baseline=facts.baseline(operation.subject), shrunk=shrunk, read=read)


def _write_made(ledger: Ledger, act: Act, items: Sequence[Item], made: Mapping[int, str], now: float) -> None:
    """Write creates that the server shows as settled; `made` are their posts by row."""
    for operation in act.form(items):
        op = ledger.forming.add(operation, baseline=None)
        members = ledger.operations.members(op)
        done = [settled(member, Outcome.SUCCEEDED, result_id=made[member.item.row]) for member in members]
        ledger.outcomes.settle(op, done, now)


def _give_up(ledger: Ledger, decisions: Mapping[int, Decision], now: float) -> None:
    """Close accepted acts that never ended, each once, where something is really tried anew in their place."""
    stuck = {each.id for decision in decisions.values() if isinstance(decision, New) for each in decision.given_up}
    for op in sorted(stuck):
        left = [member for member in ledger.operations.members(op) if not member.outcome.final]
        why = "never ended; tried anew"
        done = [settled(member, Outcome.FAILED, error_code="STUCK", error_message=why) for member in left]
        ledger.outcomes.settle(op, done, now)
