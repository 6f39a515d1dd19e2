"""Planning creates: what a row must have, what is sent for it, and when it is the same row."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from tests.acts.support import forms, keys_of

from voxops.acts import keys
from voxops.acts.create import asked_hash, plan_create, resolved
from voxops.api.reasons import Reason
from voxops.errors import PlanError


def rows(**columns) -> pd.DataFrame:
    length = max((len(value) for value in columns.values() if isinstance(value, list)), default=1)
    cells = {
        "row_id": [str(n) for n in range(length)], "content": "hello", "accounts": "acc_1",
        "scheduled_for": "2027-01-01T10:00:00+01:00",
    }  # fmt: skip
    return pd.DataFrame(
        {name: value if isinstance(value, list) else [value] * length for name, value in {**cells, **columns}.items()}
    )


def bodies(plan) -> list[dict]:
    return [post for form in forms(plan) for post in json.loads(form.body)["posts"]]


def test_a_row_becomes_one_post_with_its_mark():
    frame = rows(
        content=["Grüße \u2728"], accounts=["acc_1; acc_2;"], media=["m1;m2"], tags=["a"], first_comment=["more"]
    )
    (body,) = bodies(plan_create(frame, key="row_id", campaign="spring"))
    assert body == {
        "content": "Grüße \u2728",
        "accountIds": ["acc_1", "acc_2"],
        "scheduledFor": "2027-01-01T09:00:00Z",
        "media": ["m1", "m2"],
        "tags": ["a"],
        "firstComment": "more",
        "metadata": {
            "voxopsOp": keys.mark("spring", "0", 1),
            "voxopsRow": keys.row_mark("spring", "0"),
            "voxopsCampaign": keys.campaign_mark("spring"),
            "voxopsAsked": asked_hash(body),
            "voxopsChanges": keys.field_marks(body),
        },
    }
    (bare,) = bodies(plan_create(rows(), key="row_id"))
    assert set(bare) == {"content", "accountIds", "scheduledFor", "metadata"}


def test_a_column_of_times_without_a_zone_is_held_with_what_names_it():
    naive = rows(scheduled_for=pd.to_datetime(["2027-01-01 10:00"]).to_list())
    why = Reason("time_without_zone", value="2027-01-01 10:00:00", zone="Europe/Berlin")
    assert plan_create(naive, key="row_id").why == (why,)
    cured = naive.assign(scheduled_for=naive["scheduled_for"].dt.tz_localize("Europe/Berlin"))
    assert plan_create(cured, key="row_id").eligible == 1


@pytest.mark.parametrize(("column", "value", "reason"), [
    ("content", "", "content_required"), ("content", None, "content_required"), ("content", "x" * 10_001, "content_too_long"),
    ("accounts", "", "account_required"), ("accounts", " ; ", "account_required"), ("first_comment", "x" * 2_201, "comment_too_long"),
    ("scheduled_for", None, "time_missing"), ("scheduled_for", "2027-01-01T10:00:00", "time_without_offset"),
    ("scheduled_for", "tomorrow", "time_unreadable"), ("scheduled_for", "2027-01-01 17.45+01:00", "time_unreadable"),
    ("scheduled_for", pd.Timestamp("2027-01-01"), "time_without_zone"),
])  # fmt: skip
def test_an_unfit_row_is_held_and_holds_nobody_else(column, value, reason):
    good = {"content": "hello", "accounts": "acc_1", "first_comment": "more", "scheduled_for": "2027-01-01T10:00:00Z"}[
        column
    ]
    plan = plan_create(rows(**{column: [value, good]}), key="row_id")
    assert plan.frame["eligible"].tolist() == [False, True]
    assert plan.frame["reason_code"][0] == reason


def test_the_key_of_a_row_is_known_once_its_accounts_are():
    named = plan_create(rows(accounts=["Twitter:@Brand; acc_1; twitter:brand"]), key="row_id")
    assert named.frame["idempotency_key"].isna().all()
    (item,) = named.items
    assert (item.platform, item.named_accounts) == ("twitter", ["twitter:@brand"])
    ids = resolved(item, {"twitter:@brand": "acc_1"})
    assert ids.body["accountIds"] == ["acc_1"], "one that is named twice gets the post once"
    known = plan_create(rows(accounts="acc_1"), key="row_id")
    twice = plan_create(rows(accounts="acc_1; acc_1"), key="row_id").items[0]
    assert resolved(twice, {}).body["accountIds"] == ["acc_1"]
    typed = plan_create(rows(accounts="acc_1", content_type="image"), key="row_id").items[0]
    assert asked_hash(typed.body) == asked_hash(known.items[0].body), "what kind of content it is makes no other row"
    assert ids.requested == known.items[0].requested
    assert known.frame["idempotency_key"].to_list() == keys_of(known)
    other = plan_create(rows().drop(columns="accounts").assign(account_ids=[["acc_2", "acc_1"]]), key="row_id")
    assert bodies(other)[0]["accountIds"] == ["acc_1", "acc_2"]


@pytest.mark.parametrize(
    "name", [" Spring  Sale ’26–27", "spring\u00a0sale '26-27", "SPRING SALE ‘26‑27", "spring sale '26—27"]
)
def test_a_blank_a_capital_or_a_typographic_sign_is_no_other_campaign(name):
    one, other = (plan_create(rows(), key="row_id", campaign=each) for each in (name, "spring sale '26-27"))
    assert keys_of(one) == keys_of(other)
    assert one.items[0].mark == other.items[0].mark
    with pytest.raises(PlanError, match="must be text"):
        plan_create(rows(), key="row_id", campaign=3)


def test_the_mark_names_campaign_row_and_attempt_and_nothing_else():
    one = plan_create(rows(), key="row_id").items[0]
    assert one.mark == plan_create(rows(content="other"), key="row_id").items[0].mark
    assert one.mark != plan_create(rows(attempt=2), key="row_id").items[0].mark
    assert one.mark != plan_create(rows(), key="row_id", campaign="x").items[0].mark
    assert one.requested == plan_create(rows(attempt=2), key="row_id").items[0].requested


def test_one_by_one_each_row_is_a_create_of_its_own():
    plan = plan_create(rows(content=["hello", ""]), key="row_id", one_by_one=True)
    assert (plan.eligible, plan.items[0].path) == (1, "/v1/posts")
    assert {form.path for form in forms(plan)} == {"/v1/posts"}


def test_errors_name_column_rows_and_the_way_out():
    with pytest.raises(PlanError, match=r"no column scheduled_for; use vx\.read_campaign"):
        plan_create(rows().drop(columns="scheduled_for"), key="row_id")
    with pytest.raises(PlanError, match="key='sheet_row' names no column"):
        plan_create(rows(), key="sheet_row")
    with pytest.raises(PlanError, match=r"2 rows have the key '1'; .* \(frame\.iloc\[\[0, 1\]\]\)"):
        plan_create(rows(row_id=["1", 1, "2"]), key="row_id")
    with pytest.raises(PlanError, match=r"the row has no key; .* \(frame\.iloc\[\[0, 2\]\]\)"):
        plan_create(rows(row_id=[None, "a", " "]), key="row_id")
