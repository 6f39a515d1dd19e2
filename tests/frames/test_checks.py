"""Frames that other tools made odd: each row is planned or blocked with a reason, or an error says in words what is wrong (rule 5)."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from tests.acts import support

from voxops import causes, plan_cancel, plan_create, plan_fix, plan_redeliver, plan_retry, plan_update, triage
from voxops.errors import PlanError


def targets(**columns):
    return support.targets({}, {"post_id": "post_2"}).assign(error_message="429", **columns)


def posts(**columns):
    return support.posts("scheduled", "scheduled", **columns)


PLANNERS = {
    "retry": (plan_retry, targets), "fix": (plan_fix, lambda **columns: targets(new_content="Shorter.", **columns)),
    "redeliver": (plan_redeliver, lambda **columns: support.deliveries({}, {"delivery_id": "del_2"}).assign(**columns)), "cancel": (plan_cancel, posts),
    "update": (plan_update, lambda **columns: posts(new_content="other words", **columns)),
    "move": (lambda frame: plan_update(frame, by="1D", change="later"), posts),
    "create": (lambda frame: plan_create(frame, key="row_id"), lambda: support.sheet(content=["one", "two"])),
}  # fmt: skip


@pytest.mark.parametrize(("plan", "make"), PLANNERS.values(), ids=PLANNERS)
def test_columns_of_several_levels_are_said(plan, make):
    frame = make()
    assert plan(frame).eligible == 2
    frame.columns = pd.MultiIndex.from_product([frame.columns, [""]])
    with pytest.raises(PlanError, match="several levels"):
        plan(frame)


GONE = {
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
        assert_frame_equal(causes(indexed, by=by), causes(triaged, by=by))
    joined = pd.concat([triaged, triaged.assign(updated_at=triaged["updated_at"] - pd.Timedelta("1h"))])
    assert_frame_equal(causes(joined), causes(triaged))
