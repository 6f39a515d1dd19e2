"""Planning creates: what a row must have, what is sent for it, and when it is the same row."""

import json
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from tests.acts.support import forms, keys_of, sheet

from voxops.acts.create import CREATE, plan_create, resolved
from voxops.acts.keys import asked_hash
from voxops.errors import PlanError

GOOD = {
    "content": "hello", "accounts": "acc_1", "first_comment": "more", "scheduled_for": "2027-01-01T10:00:00Z",
    "attempt": 2, "tags": "[a]b",
    "media": "[a]b",
}  # fmt: skip
LISTS = ("['a', 'b']", '["a"]', "{'a', 'b'}", "('a',)", "['a' 'b']", "[]", "set()")  # as Python writes them


@pytest.mark.parametrize(("column", "value", "reason"), [
    ("content", None, "content_required"), ("content", "x" * 10_001, "content_too_long"),
    ("accounts", " ; ", "account_required"), ("accounts", "['acc_1']", "account_form"),
    ("first_comment", "x" * 2_201, "comment_too_long"), ("first_comment", np.array(["a", "b"]), "comment_not_text"),
    ("scheduled_for", None, "time_missing"), ("scheduled_for", "2027-01-01T10:00:00", "time_without_offset"),
    ("scheduled_for", "2027-01-01 17.45+01:00", "time_unreadable"), ("scheduled_for", pd.Timestamp("2027-01-01"), "time_without_zone"),
    *((name, text, "list_form") for name in ("tags", "media") for text in LISTS),
    *(("attempt", value, "attempt_form")
      for value in (0, -1, 1.5, True, "x", 10**6 + 1, 1e308, float("inf"), "9" * 5000)),
])  # fmt: skip
def test_an_unfit_row_is_held_and_holds_nobody_else(column, value, reason):
    plan = plan_create(sheet(2).assign(**{column: pd.Series([value, GOOD[column]], dtype=object)}), key="row_id")
    assert plan.frame["reason_code"][0] == reason
    assert plan.frame["eligible"].tolist() == [False, True]


def test_the_key_of_a_row_is_known_once_its_accounts_are():
    named = plan_create(sheet(accounts=["Twitter:@Brand; acc_1; twitter:brand"]), key="row_id")
    assert named.frame["idempotency_key"].isna().all()
    (item,) = named.items
    assert (item.platform, item.named_accounts) == ("twitter", ["twitter:@brand"])
    ids = resolved(item, {"twitter:@brand": "acc_1"})
    assert ids.body["accountIds"] == ["acc_1"], "one that is named twice gets the post once"
    known = plan_create(sheet(accounts="acc_1"), key="row_id")
    twice = plan_create(sheet(accounts="acc_1; acc_1"), key="row_id").items[0]
    assert resolved(twice, {}).body["accountIds"] == ["acc_1"]
    typed = plan_create(sheet(accounts="acc_1", content_type="image"), key="row_id").items[0]
    assert asked_hash(typed.body) == asked_hash(known.items[0].body), "what kind of content it is makes no other row"
    assert ids.requested == known.items[0].requested
    assert known.frame["idempotency_key"].to_list() == keys_of(known)
    other = plan_create(sheet().drop(columns="accounts").assign(account_ids=[["acc_2", "acc_1"]]), key="row_id")
    assert json.loads(forms(other)[0].body)["posts"][0]["accountIds"] == ["acc_1", "acc_2"]


@pytest.mark.parametrize("name", ["2026.10", "007", "TRUE"])
def test_rule_05_a_campaign_that_a_file_has_turned_into_a_number_is_refused(name):
    named = plan_create(sheet(campaign=name), key="row_id")
    text = named.frame.to_csv(index=False)
    with pytest.raises(PlanError, match=r"column 'campaign' holds .* that a file has made of a name"):
        plan_create(pd.read_csv(StringIO(text)), key="row_id")
    assert keys_of(plan_create(pd.read_csv(StringIO(text), dtype="string"), key="row_id")) == keys_of(named)


def test_whom_a_sheet_names_is_sent_as_metadata_and_is_no_part_of_what_is_requested():
    """A field within another is sent as an object."""
    rows = sheet(owner=7.0, campaign="Spring  Sale")
    plain, named = (plan_create(each, key="row_id", campaign="c") for each in (rows.drop(columns="owner"), rows))
    assert keys_of(named) == keys_of(plain)
    (item,) = named.items
    people = {"owner": "crew.owner", "campaign": "crew.campaign", "tags": "tags"}
    calls = [CREATE.form([item], people=fields) for fields in (people, None)]
    sent, bare = (json.loads(call.body)["posts"][0]["metadata"] for call in calls)
    assert sent == {**bare, "crew": {"owner": "7", "campaign": "Spring  Sale"}}
    assert item.seen["people"] == {"owner": "7", "campaign": "Spring  Sale"}
    (of_call,) = plan_create(rows.assign(campaign="c  d"), key="row_id", campaign=" C  d").items
    assert (of_call.seen["people"]["campaign"], of_call.campaign) == ("C d", "c d"), "as the call writes it"


def test_errors_name_column_rows_and_the_way_out():
    with pytest.raises(PlanError, match="must be text"):
        plan_create(sheet(), key="row_id", campaign=3)
    with pytest.raises(PlanError, match=r"missing: scheduled_for\. Use vx\.read_campaign"):
        plan_create(sheet().drop(columns="scheduled_for"), key="row_id")
    with pytest.raises(PlanError, match=r"missing: sheet_row\. key= names the column"):
        plan_create(sheet(), key="sheet_row")
    with pytest.raises(
        PlanError, match=r"2 rows have the key '1', but differ in row_id; .* \(frame\.iloc\[\[0, 1\]\]\)"
    ):
        plan_create(sheet(row_id=["1", 1, "2"]), key="row_id")
    with pytest.raises(PlanError, match=r"the row has no key; .* \(frame\.iloc\[\[0, 2\]\]\)"):
        plan_create(sheet(row_id=[None, "a", " "]), key="row_id")
