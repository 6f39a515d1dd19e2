"""What was to happen and what did, each thing counted at the server.

A thing is what must happen exactly once, if at all: a post that is created, a target that is queued again, a post that is changed,
a delivery that is sent again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from voxops.api.limits import CLEARED_FOR, CREATES_CLEARED_FOR, LEAVES_WITHIN

Thing = tuple[str, str, str]

LAG = 60.0  # seconds by which lists are behind
# Seconds after an effect in which another ledger may repeat it: it has not shown, or what was read before may still be acted on.
MOMENT = {
    kind: LAG + LEAVES_WITHIN + (CREATES_CLEARED_FOR if kind == "create" else CLEARED_FOR)
    for kind in ("create", "requeue", "update", "resend")
}
# Kind of an effect -> the kind of thing, and which fields of the effect name it.
_KINDS = {
    "post.create": ("create", "content", ""), "target.requeue": ("requeue", "post", "target"), "post.update": ("update", "post", ""),
    "delivery.resend": ("resend", "delivery", ""),
}  # fmt: skip


def expected(plan):
    """The things that carrying a plan out does, each once."""
    return {thing_of(plan.action, item) for item in plan.items}


def thing_of(action, item):
    """What one planned row does."""
    if action == "create":
        return ("create", item.body["content"], "")
    kind = {"redeliver": "resend", "update": "update"}.get(action, "requeue")
    return (kind, item.label, item.account if kind == "requeue" else "")


def happened(effects, owners):
    """The things that happened, in order, with their entry; `owners` maps target ids to account ids."""
    found = []
    for effect in effects:
        if effect["kind"] in _KINDS:
            kind, name, part = _KINDS[effect["kind"]]
            target = effect[part] if part else ""
            found.append(((kind, effect[name], owners.get(target, target)), effect))
    return found


@dataclass(frozen=True)
class Count:
    """What became of the expected things.

    `duplicates` happened more than once and `strays` were never asked for. `lost` never happened although nobody says that they are open.
    """

    expected: int
    effects: int
    duplicates: list[Thing]
    strays: list[Thing]
    lost: list[Thing]

    @property
    def holds(self):
        """Whether each thing happened once."""
        return not (self.duplicates or self.strays or self.lost)


def count(wanted, effects, owners, *, unsettled=frozenset()):
    """Compare what was wanted with what happened."""
    times = Counter(thing for thing, _ in happened(effects, owners))
    return Count(
        expected=len(wanted),
        effects=sum(times[thing] for thing in wanted),
        duplicates=sorted(thing for thing, number in times.items() if number > 1),
        strays=sorted(times.keys() - wanted),
        lost=sorted(wanted - times.keys() - unsettled),
    )


def sender_of(request):
    """Who sent a request: each reaches the server under a name of its own."""
    return "b" if request["host"].startswith("localhost") else "a"


def broken(thing, effects, requests, *, ledgers):
    """Why the promise says that a thing must not have happened so often; None for what two ledgers did at the same moment.

    `effects` are this thing's, in order; `requests` are the server's record, by number.
    """
    for number, effect in enumerate(effects):
        came = requests[effect["request"]]
        for before in effects[:number]:
            first = requests[before["request"]]
            if ledgers == 1 or sender_of(first) == sender_of(came):
                return "one ledger did it twice"
            if _seconds(before["at"], came["at"]) > MOMENT[thing[0]]:
                return "the other ledger could have seen it"
            if thing[0] != "create" and came["key"] == first["key"] and (first["status"] or 500) < 500:
                return "the server knew its key"
    return None


def _seconds(before, after):
    return (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()
