"""Plans: pure tables of what would be sent; keys, batches, canaries and costs."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.acts.support import forms, keys_of, sheet, targets

from voxops.acts import plan as plans
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.api.limits import BULK_POSTS
from voxops.errors import PlanError


def campaign(count, start=0):
    names = [f"r{row}" for row in range(start, start + count)]
    return sheet(count, row_id=names, content=names)


def failures(*places):
    """Failed targets of these posts on these platforms, a cause for each platform."""
    return targets(*({"post_id": post, "platform": platform, "cause": f"rate {platform}"} for post, platform in places))


def test_the_frame_tells_the_plan_row_by_row():
    frame = campaign(3).assign(note=["a", "b", "c"])
    frame.loc[1, "content"] = " "
    plan = plan_create(frame, key="row_id")
    assert list(plan.frame.columns) == [*frame.columns, *plans.PLAN_TYPES]
    assert plan.frame["reason_code"].tolist() == ["ready", "content_required", "ready"]
    assert plan.frame["reason"].tolist() == [str(why) for why in plan.why]
    blocked = plan.frame.loc[1, ["act", "batch", "idempotency_key", "request"]]
    assert blocked.isna().all()
    assert (plan.eligible, plan.blocked) == (2, 1)
    pd.testing.assert_frame_equal(plan_create(plan.frame, key="row_id").frame, plan.frame)
    assert "idempotency_key" not in frame.columns, "the input is left alone"


@given(st.permutations(range(60)))
def test_rule_08_the_same_rows_give_the_same_calls_however_the_sheet_is_sorted(order):
    frame = campaign(60)
    plan = plan_create(frame, key="row_id")
    assert forms(plan_create(frame.iloc[order], key="row_id")) == forms(plan)
    assert set(keys_of(plan_create(frame.head(59), key="row_id"))) != set(keys_of(plan)), (
        "a key is over all of its rows"
    )


@given(st.integers(1, 130), st.integers(1, 7))
def test_every_row_is_in_exactly_one_chunk_and_all_but_the_last_are_full(count, canaries):
    plan = plan_create(campaign(count), key="row_id")
    for one in (plan, plan.canary(canaries)):
        chunks = one.chunks()
        rows = sorted(item.row for _, items in chunks for item in items)
        assert rows == list(range(count if one is plan else min(canaries, count)))
        assert [number for number, _ in chunks] == list(range(1, len(chunks) + 1))
        assert all(len(items) == BULK_POSTS for _, items in chunks[:-1])
        assert all(len(items) <= BULK_POSTS for _, items in chunks)


def test_canaries_are_the_first_of_each_cause_in_the_order_of_their_keys():
    frame = failures(*((f"post_{n}", "twitter" if n < 6 else "facebook") for n in range(10)))
    whole, plan = plan_retry(frame), plan_retry(frame).canary(2)
    for _, rows in whole.frame.assign(first=plan.frame["eligible"]).groupby("cause"):
        assert rows["first"].to_list() == rows["idempotency_key"].isin(sorted(rows["idempotency_key"])[:2]).to_list()
    assert plan.eligible == 4
    assert plan.frame["reason_code"].value_counts().to_dict() == {"not_a_canary": 6, "ready": 4}
    assert set(keys_of(plan)) <= set(keys_of(whole)), "the whole plan finds what they have done"
    frame = failures(("post_1", "twitter"), ("post_1", "facebook"), ("post_2", "twitter"), ("post_3", "twitter"))
    posts = plan_retry(frame).canary(1).frame.groupby("post_id")["eligible"]
    assert (posts.min() == posts.max()).all(), "a post goes as a whole"
    with pytest.raises(PlanError, match="whole number, 1 or more"):
        whole.canary(0)


@pytest.mark.parametrize(
    ("attempts", "read"), [([pd.NA, 1.0, 2], [1, 1, 2]), (["1000.0", 1000, None], [1000, 1000, 1])]
)
def test_a_missing_attempt_is_the_first_and_numbers_may_be_texts(attempts, read):
    assert plan_create(campaign(3).assign(attempt=attempts), key="row_id").frame["attempt"].tolist() == read
    assert plan_create(campaign(1).assign(attempt=1001), key="row_id").eligible == 0
    assert plan_create(campaign(0), key="row_id").items == ()


@pytest.mark.parametrize("name", ["request", "batch", "result_id", "act", "campaign"])
def test_a_column_that_plans_or_results_fill_names_no_rows(name):
    frame = campaign(2).rename(columns={"row_id": name})
    with pytest.raises(PlanError, match=f"key='{name}' names a column that plans and results fill themselves"):
        plan_create(frame, key=name)


def test_the_cost_counts_acts_and_the_reads_around_them():
    empty = plan_create(campaign(1).assign(content=""), key="row_id")
    assert (empty.cost.requests, empty.cost.acts) == (0, 0)
    frame = failures(*((f"post_{n}", "twitter") for n in range(300)))
    assert plan_retry(frame).cost.rate == plans.DEFAULT_RATE
    frame.attrs["rate_limit"] = 60
    plan = plan_retry(frame)
    assert (plan.cost.acts, plan.cost.requests > 300) == (300, True)
    assert plan.cost.minutes == round(plan.cost.requests / 60, 1)
    assert f"at least {plan.cost.minutes:g} minutes at 60 a minute" in repr(plan)
