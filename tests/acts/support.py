"""What the tests of acts share: the calls of a plan, and requests as a ledger has them."""

from __future__ import annotations

from typing import Any

from voxops.acts.act import Form, Item, Request, Subject
from voxops.acts.plan import Plan
from voxops.acts.table import act_named


def calls(plan: Plan) -> list[list[Item]]:
    """The items of each call of a plan, in the order of sending, as the engine groups them."""
    found: list[list[Item]] = []
    for _, _, items in plan.chunks():
        groups: dict[str, list[Item]] = {}
        for item in items:
            groups.setdefault(item.group, []).append(item)
        found += groups.values()
    return found


def forms(plan: Plan) -> list[Form]:
    """The calls of a plan."""
    return [act_named(items[0].act).form(items) for items in calls(plan)]


def keys_of(plan: Plan) -> list[str]:
    """The keys of the calls of a plan."""
    return [form.key for form in forms(plan)]


def item(act: str, subject: Subject, path: str, body: dict[str, Any] | None = None, **seen: Any) -> Item:
    """A row of a plan; `seen` may have its platform and account."""
    method = "PATCH" if act == "update" else "POST"
    platform, account = (str(seen.get(name, "")) for name in ("platform", "account_id"))
    return Item(0, act, "i", 1, subject, path, seen, body, method, platform, account)


def request(wanted: Item, number: int = 1, **details: Any) -> Request:
    """A row as a ledger has it."""
    return Request(number, wanted, **details)
