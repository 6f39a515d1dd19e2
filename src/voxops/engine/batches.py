"""Rows that leave a batch of creates which did nothing for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from voxops.acts.create import CreateAct
from voxops.acts.operation import Member
from voxops.acts.table import act_named
from voxops.ledger import Ledger, Stored

__all__ = ["leave_batch"]


def leave_batch(
    ledger: Ledger,
    stored: Stored,
    groups: Sequence[Sequence[Member]],
    *,
    read: float,
    shrunk: bool = False,
) -> list[int]:
    """Move members of a batch that took no effect into batches of their own, bytes unchanged (rules 11 and 17).

    Returns the new operations. The old one keeps its other members, and is withdrawn if it has none.
    `shrunk` where the others left since they are there already (rule 27); `read` is when the list was read upon which the new ones may
    be sent.
    """
    act = act_named(stored.action)
    assert isinstance(act, CreateAct)
    bodies = act.bodies(stored.body)
    made = []
    with ledger.atomic():
        for group in groups:
            if not group:
                continue
            ledger.forming.detach(stored.id, [member.position for member in group])
            places = {member.item.identity: member.position for member in group}
            (operation,) = act.form([member.item for member in group])
            formed = act.rejoin(operation, [bodies[places[item.identity]] for item in operation.items])
            formed = replace(formed, batch=stored.batch, canary=stored.canary)
            made.append(ledger.forming.add(formed, baseline=None, shrunk=shrunk or stored.shrunk, read=read))
    return made
