"""Whom a sheet names is sent as metadata, and is in no key: two laptops that connect otherwise create each row once."""

from __future__ import annotations

import json

import pytest
from tests.chaos.rig import outcomes, planned

from voxops.acts.create import plan_create
from voxops.acts.table import act_named


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
    assert outcomes(first_table) == outcomes(table) == {"failed": rows}
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
    people = {"owner": "crew.owner", "campaign": "crew.campaign", "tags": "tags"}
    sent = json.loads(act.form([item], people=people).body)["posts"][0]["metadata"]
    bare = json.loads(act.form([item]).body)["posts"][0]["metadata"]
    assert sent == {**bare, "crew": {"owner": "7", "campaign": "Spring  Sale"}}
    assert item.seen["people"] == {"owner": "7", "campaign": "Spring  Sale"}
    (of_call,) = plan_create(sheet.assign(campaign="c  d"), key="row_id", campaign=" C  d").items
    assert (of_call.seen["people"]["campaign"], of_call.campaign) == ("C d", "c d"), "as the call writes it"
