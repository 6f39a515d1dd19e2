"""Counting: what must happen, fixed from the plans before the first send, against what the server's own record says happened.

Neither side reads the ledger. A *thing* is what an analyst means: the post that a row asks for, a target that is queued again,
a delivery that is sent again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from voxops.acts.plan import Plan

Thing = tuple[str, str, str]


def expected(plan: Plan) -> set[Thing]:
    """The things that carrying a plan out does, each once."""
    return {thing_of(plan.action, item) for item in plan.items}


def thing_of(action: str, item: Any) -> Thing:
    """What one planned row does."""
    if action == "create":
        return ("create", item.body["content"], "")
    if action == "redeliver":
        return ("resend", item.label, "")
    if action == "update":
        return ("update", item.label, "")
    return ("requeue", item.label, item.account)


def happened(effects: Iterable[Mapping[str, Any]], owners: Mapping[str, str]) -> list[tuple[Thing, Mapping[str, Any]]]:
    """The things that happened, in order, with their entry; `owners` maps target ids to account ids."""
    found = []
    for effect in effects:
        match effect["kind"]:
            case "post.create":
                found.append((("create", effect["content"], ""), effect))
            case "target.requeue":
                found.append((("requeue", effect["post"], owners.get(effect["target"], effect["target"])), effect))
            case "post.update":
                found.append((("update", effect["post"], ""), effect))
            case "delivery.resend":
                found.append((("resend", effect["delivery"], ""), effect))
    return found


@dataclass(frozen=True)
class Count:
    """What became of the expected things.

    `duplicates` happened more than once and `strays` were never asked for; both must be empty, always. `lost` never happened
    although nobody says that they are open. `overlapping` happened again under a key that the server was set to ignore,
    while the first request was still executing: nobody can prevent that, so they are counted apart.
    """

    expected: int
    effects: int
    duplicates: list[Thing]
    strays: list[Thing]
    lost: list[Thing]
    overlapping: list[Thing]

    @property
    def holds(self) -> bool:
        """Whether the promise was kept."""
        return not (self.duplicates or self.strays or self.lost)


def count(
    wanted: set[Thing],
    effects: Iterable[Mapping[str, Any]],
    owners: Mapping[str, str],
    *,
    unsettled: set[Thing] = frozenset(),
    requests: Iterable[Mapping[str, Any]] = (),
) -> Count:
    """Compare what was wanted with what happened."""
    found = happened(effects, owners)
    times = Counter(thing for thing, _ in found)
    received = {entry["seq"]: entry["at"] for entry in requests}
    first: dict[Thing, Mapping[str, Any]] = {}
    duplicates, overlapping = [], []
    for thing, effect in found:
        if thing not in first:
            first[thing] = effect
        elif received and received.get(effect["request"], "~") <= first[thing]["at"]:
            overlapping.append(thing)
        else:
            duplicates.append(thing)
    return Count(
        expected=len(wanted),
        effects=sum(times[thing] for thing in wanted),
        duplicates=duplicates,
        strays=sorted(thing for thing in times if thing not in wanted),
        lost=sorted(thing for thing in wanted if not times[thing] and thing not in unsettled),
        overlapping=overlapping,
    )


def story(
    thing: Thing, effects: Iterable[Mapping[str, Any]], requests: Iterable[Mapping[str, Any]], owners: Mapping[str, str]
) -> str:
    """When a thing happened, and when each request that did it had come, under which key and with which fault: what to look into."""
    came = {entry["seq"]: entry for entry in requests}
    lines = [f"{thing}:"]
    for found, effect in happened(effects, owners):
        if found == thing:
            entry = came.get(effect["request"], {})
            what = " ".join(f"{name}={entry.get(name)}" for name in ("seq", "at", "host", "key", "status", "fault"))
            lines.append(f"  at {effect['at']} by {what}")
    return "\n".join(lines)
