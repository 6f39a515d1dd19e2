"""A new act is one module and one line in the table: here, taking posts down that have gone out (matrix row 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import post as faults

from voxops._support.canonical import fingerprint
from voxops.acts.act import PostAct
from voxops.acts.operation import Item, Member, Subject, settled
from voxops.acts.plan import Plan, build_plan
from voxops.acts.retry import plan_retry
from voxops.acts.table import ACTS
from voxops.api.evidence import Attempted
from voxops.api.states import PostState
from voxops.frames.columns import attempts, instants, need_columns, plain_values
from voxops.model import Outcome

# -- the one module ------------------------------------------------------------------------------------------------------------------


class _Unpublish(PostAct):
    name = "unpublish"
    verb = "take down"

    def settle_answer(self, members: Sequence[Member], data: Any, *, first: bool) -> list[Member]:
        return _settle(members, str(data.get("status", "")).lower())

    def settle_reading(
        self, members: Sequence[Member], state: PostState, tried: Attempted, reply: Any = None
    ) -> list[Member]:
        return _settle(members, state.status)

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:
        return "published", "recovered" if state is not None and state.status == "unpublished" else "pending"


def _settle(members: Sequence[Member], status: str) -> list[Member]:
    if status != "unpublished":
        return []
    return [settled(member, Outcome.SUCCEEDED, result_id=member.item.label) for member in members]


UNPUBLISH = _Unpublish()


def plan_unpublish(posts: pd.DataFrame) -> Plan:
    """Plan to take published posts down."""
    need_columns(posts, ("post_id", "status", "updated_at"), "use ws.posts(status='published')")
    rows = zip(
        plain_values(posts, "post_id"), plain_values(posts, "status"), instants(posts, "updated_at"), strict=True
    )
    items, reasons = [], []
    for number, (post, status, updated) in enumerate(rows):
        reasons.append("published" if status == "published" else f"it is {status}")
        if status != "published":
            continue
        seen = {"post_status": status, "updated_at": None if updated is None else updated.isoformat()}
        items.append(
            Item(
                row=number,
                identity=fingerprint("unpublish", post, seen),
                attempt=1,
                subject=Subject("post", post),
                label=post,
                platform="",
                account="",
                cause=status,
                method="POST",
                path=f"/v1/posts/{post}/unpublish",
                body=None,
                seen=seen,
            )
        )
    return build_plan(UNPUBLISH, posts, items, reasons, attempts(posts))


# -- and what it is then fit for -----------------------------------------------------------------------------------------------------


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(ACTS, UNPUBLISH.name, UNPUBLISH)


def published(rig: Rig, count: int) -> Kernel:
    """A kernel in a workspace of published posts."""
    rig.sandbox.set_switches(recovery_rate=1.0)
    world.plant_posts(rig.sandbox, count, targets=1)
    kernel = rig.kernel()
    kernel.run(plan_retry(kernel.triaged()))
    return kernel


@pytest.mark.usefixtures("known")
def test_a_new_act_is_planned_sent_once_settled_and_found_again(rig: Rig):
    kernel = published(rig, 3)
    posts = kernel.posts()
    plan = plan_unpublish(posts)
    assert "Plan to take down: 3 of 3 rows" in repr(plan)
    run = kernel.bind(plan)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 3}
    assert rig.effects("post.unpublish") == 3
    second = rig.kernel()
    assert outcomes(second.run(plan_unpublish(posts))) == {"succeeded": 3}
    assert rig.effects("post.unpublish") == 3, "the same plan again sends nothing"


@pytest.mark.usefixtures("known")
def test_a_new_act_survives_a_lost_answer(rig: Rig):
    kernel = published(rig, 1)
    rig.sandbox.add_fault(*faults({"action": "drop", "when": "after"}, path="/v1/posts/*/unpublish"))
    plan = plan_unpublish(kernel.posts())
    assert outcomes(kernel.run(plan)) == {"succeeded": 1}
    assert rig.effects("post.unpublish") == 1
