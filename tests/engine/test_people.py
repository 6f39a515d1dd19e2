"""Whom a sheet names is sent as metadata, and is in no key: two laptops that connect otherwise create each row once."""

from __future__ import annotations

import json

import pytest
from tests.chaos.rig import outcomes, planned

from voxops.acts.act import Wire
from voxops.acts.create import plan_create
from voxops.acts.table import act_named


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("people", [{}, {"owner": "crew.owner", "campaign": "campaign"}])
def test_two_laptops_that_connect_otherwise_create_each_row_once_where_lists_lag(rig, one_by_one, people):
    rig.sandbox.set_switches(list_lag_seconds=30.0)
    sheet = rig.campaign(3).assign(owner="Ada")
    first, second = rig.kernel("first", people={"owner": "owner"}), rig.kernel("second", people=people)
    first.send_first(first.bind(planned(sheet, one_by_one=one_by_one)), calls=3 if one_by_one else 1)
    table = second.run(planned(sheet, one_by_one=one_by_one))
    calls = 3 if one_by_one else 1
    assert [entry["status"] for entry in rig.acts()] == [201] * calls + [409] * calls
    assert len({entry["key"] for entry in rig.acts()}) == calls, "one key for a row, whatever else is sent with it"
    assert outcomes(table) == {"succeeded": 3}
    assert set(table["result_id"]) == set(rig.sandbox.world.posts)
    rig.each_once(3)
    assert {post.metadata["owner"] for post in rig.sandbox.world.posts.values()} == {"Ada"}


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_key_under_which_another_laptop_was_refused_leaves_no_row_pending(rig, rows, one_by_one):
    """The API remembers the refusal under the key, and so answers a conflict; rows of a batch meet it under other keys."""
    medium = next(each.id for each in rig.sandbox.world.media.values() if each.status == "ready")
    sheet = rig.campaign(rows).assign(owner="Ada", media=medium)
    first, second = rig.kernel("first", people={"owner": "owner"}), rig.kernel("second")
    bound = [(kernel, kernel.bind(planned(sheet, one_by_one=one_by_one))) for kernel in (first, second)]
    rig.sandbox.world.media.drop(medium)
    first_table, table = [kernel.go(run) and kernel.results(run) for kernel, run in bound]
    assert outcomes(first_table) == {"failed": rows}
    assert outcomes(table) == {"failed": rows}
    alone = one_by_one or rows == 1
    assert set(table["error_code"]) == {"IDEMPOTENCY_CONFLICT" if alone else "VALIDATION_ERROR"}
    mended = planned(sheet.drop(columns="media").assign(attempt=2), one_by_one=one_by_one)
    assert outcomes(second.run(mended)) == {"succeeded": rows}
    rig.each_once(rows)


def test_a_field_within_another_is_sent_as_an_object_and_is_no_part_of_what_is_requested(rig):
    sheet = rig.campaign(1).assign(owner=float(7), campaign="Spring  Sale")
    plain, named = (plan_create(each, key="row_id", campaign="c") for each in (sheet.drop(columns="owner"), sheet))
    assert named.frame["idempotency_key"].to_list() == plain.frame["idempotency_key"].to_list()
    act, (item,) = act_named("create"), named.items
    wire = Wire(people={"owner": "crew.owner", "campaign": "crew.campaign", "tags": "tags"})
    sent = json.loads(act.form([item], wire=wire).body)["posts"][0]["metadata"]
    bare = json.loads(act.form([item]).body)["posts"][0]["metadata"]
    assert sent == {**bare, "crew": {"owner": "7", "campaign": "Spring  Sale"}}
    assert item.seen["people"] == {"owner": "7", "campaign": "Spring  Sale"}
    (again,) = plan_create(sheet.assign(campaign="c"), key="row_id", campaign="C").items
    assert again.seen["people"]["campaign"] == "C", "as the call writes it"
    (of_call,) = plan_create(sheet.drop(columns="campaign"), key="row_id", campaign=" Spring Sale ").items
    assert of_call.seen["people"]["campaign"] == "Spring Sale"
    assert of_call.campaign == "spring sale"


def test_another_owner_is_no_other_body(rig):
    sheet = rig.campaign(2).assign(owner="Ada")
    kernel = rig.kernel("first", people={"owner": "owner"})
    kernel.run(planned(sheet))
    for other in (sheet.assign(owner="Ben"), sheet.drop(columns="owner")):
        assert outcomes(kernel.run(planned(other))) == {"succeeded": 2}
        assert outcomes(rig.kernel("second", people={"owner": "who"}).run(planned(other))) == {"succeeded": 2}
    assert len(rig.acts()) == 1
