"""A new act is one module and one line in the table: here, taking posts down that have gone out (matrix row 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes

from voxburst_sandbox import Fault
from voxops.acts.act import Item, Judged, PostAct, Request, Row, Subject, settled
from voxops.acts.plan import Plan, build_plan, episode_identity, post_episode, target_rows
from voxops.acts.retry import plan_retry
from voxops.acts.table import ACTS
from voxops.api.evidence import Attempted
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.model import Outcome

# The one module.


class _Unpublish(PostAct):
    name = "unpublish"
    verb = "take down"

    def settle_answer(self, requests: Sequence[Request], data: Any, *, first: bool) -> list[Request]:
        return _settle(requests, str(data.get("status", "")).lower())

    def settle_reading(
        self, requests: Sequence[Request], state: PostState, tried: Attempted, reply: Any = None
    ) -> list[Request]:
        return _settle(requests, state.status)

    def holds(self, row: Row, state: PostState | None) -> bool:
        return state is not None and state.status == "unpublished"


def _settle(requests: Sequence[Request], status: str) -> list[Request]:
    done = requests if status == "unpublished" else ()
    return [settled(request, Outcome.SUCCEEDED, result_id=request.item.label) for request in done]


UNPUBLISH = _Unpublish()


def plan_unpublish(posts: pd.DataFrame) -> Plan:
    """Plan to take published posts down."""

    def judge(number: int, row: Row) -> Judged:
        if row["status"] != "published":
            return Reason("not_cancellable", status=row["status"]), None
        episode, post = post_episode(row), row["post_id"]
        identity = episode_identity("unpublish", episode)
        path = f"/v1/posts/{post}/unpublish"
        item = Item(number, UNPUBLISH.name, identity, row["attempt"], Subject("post", post), path, episode)
        return Reason("publishing", status="published"), item

    return build_plan(UNPUBLISH, posts, [judge(*each) for each in enumerate(target_rows(posts))])


# And what it is then fit for.


@pytest.mark.parametrize("lost", [False, True])
def test_a_new_act_is_planned_sent_once_settled_and_found_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setitem(ACTS, UNPUBLISH.name, UNPUBLISH)  # the one line
    world.plant_posts(rig.sandbox, 3, targets=1)
    kernel = rig.kernel()
    kernel.run(plan_retry(kernel.triaged()))
    if lost:
        rig.sandbox.add_fault(Fault("drop", method="POST", path="/v1/posts/*/unpublish", when="after"))
    posts = kernel.posts()
    plan = plan_unpublish(posts)
    assert "Plan to take down: 3 of 3 rows" in repr(plan)
    for ledger in (kernel, rig.kernel()):
        assert outcomes(ledger.run(plan_unpublish(posts))) == {"succeeded": 3}
    assert rig.effects("post.unpublish") == 3
