"""Frames that other tools made odd: each row is planned or blocked with a reason, or an error says in words what is wrong (rule 5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.acts import support

from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_fix, plan_retry
from voxops.acts.update import plan_update
from voxops.analysis.causes import causes
from voxops.analysis.triage import triage
from voxops.errors import PlanError


def targets(**columns: Any) -> pd.DataFrame:
    return support.targets({}, {"post_id": "post_2"}).assign(error_message="429", **columns)


def posts(**columns: Any) -> pd.DataFrame:
    return support.posts("scheduled", "scheduled", **columns)


PLANNERS: dict[str, tuple[Callable[..., Plan], Callable[..., pd.DataFrame]]] = {
    "retry": (plan_retry, targets), "fix": (plan_fix, lambda **columns: targets(new_content="Shorter.", **columns)),
    "redeliver": (plan_redeliver, lambda **columns: support.deliveries({}, {"delivery_id": "del_2"}).assign(**columns)), "cancel": (plan_cancel, posts),
    "update": (plan_update, lambda **columns: posts(new_content="other words", **columns)),
    "move": (lambda frame: plan_update(frame, by="1D", change="later"), posts),
    "create": (lambda frame: plan_create(frame, key="row_id"), lambda: support.sheet(content=["one", "two"])),
}  # fmt: skip
every_planner = pytest.mark.parametrize(("plan", "make"), PLANNERS.values(), ids=PLANNERS)


@every_planner
def test_columns_of_several_levels_are_said(plan, make):
    frame = make()
    assert plan(frame).eligible == 2
    frame.columns = pd.MultiIndex.from_product([frame.columns, [""]])
    with pytest.raises(PlanError, match="several levels"):
        plan(frame)


GONE: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "index": (lambda frame: frame.set_index(["platform", "status"]), "reset_index()"),
    "merged": (lambda frame: frame.merge(frame[["post_id", "platform", "status"]], on="post_id"), "platform (did you mean 'platform_"),
    "misspelt": (lambda frame: frame.rename(columns={"platform": "Platforms"}), "platform (did you mean 'Platforms'?)"),
    "column": (lambda frame: frame["status"], "targets, not pandas.Series. Use"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "cure"), GONE.values(), ids=GONE)
def test_what_became_of_a_missing_column_is_said(spoil, cure):
    for takes in (plan_retry, triage):
        with pytest.raises(PlanError, match=re.escape(cure)):
            takes(spoil(targets()))


@pytest.mark.parametrize("odd", [["a", "b"], {"a": 1}, float("inf")], ids=repr)
@pytest.mark.parametrize("name", [name for name in PLANNERS if name != "create"])
def test_a_cell_that_holds_several_things_is_said(name, odd):
    plan, make = PLANNERS[name]
    column = {"redeliver": "status_code"}.get(name, "status")
    for place in (column, "delivery_id" if name == "redeliver" else "post_id"):
        with pytest.raises(PlanError, match=rf"row 1: {place} is .*; it must be text or a number"):
            plan(make(**{place: pd.Series([make()[place][0], odd], dtype=object)}))


def test_a_frame_may_be_indexed_by_its_columns():
    """As after ``set_index("post_id", drop=False)``: pandas refuses to group by an ambiguous name."""
    triaged = triage(targets(updated_at=pd.Timestamp("2026-03-02T09:00Z")))
    indexed = triaged.set_index(["post_id", "cause"], drop=False)
    for by in (None, "week"):
        pd.testing.assert_frame_equal(causes(indexed, by=by), causes(triaged, by=by))
    joined = pd.concat([triaged, triaged.assign(updated_at=triaged["updated_at"] - pd.Timedelta("1h"))])
    pd.testing.assert_frame_equal(causes(joined), causes(triaged))
