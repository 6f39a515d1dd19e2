"""After a try of which nobody knows: reading first, when it is sent again, and what proves its absence (rules 1, 9, 11 and 17)."""

import pytest
from tests.chaos import world
from tests.chaos.rig import codes, outcomes, planned
from tests.engine.steps import BULK, HOUR, RETRY

from voxburst_sandbox import Fault
from voxops.acts.retry import plan_retry
from voxops.errors import DecodeError


def test_rule_09_a_retry_sent_again_without_proof_says_so(rig):
    rig.sandbox.set_switches(queue_hold_seconds=400.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault("drop", "POST", RETRY, when="after"))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert table["notice"].str.contains("may have gone out twice").all()
    assert rig.effects("post.retry") == 1, "the server knew the key"


def test_rule_11_a_row_of_which_nobody_can_tell_keeps_no_other(rig):
    """No post bears a mark, and a colleague's has the account and time of the first row."""
    rig.sandbox.set_switches(no_metadata=True)
    rig.kernel("theirs").run(planned(rig.campaign(1, start=50)))
    rig.sandbox.advance(200)
    sheet = rig.campaign(4)
    plan = planned(sheet)
    rig.sandbox.add_fault(Fault("status", "POST", BULK, status=402, code="LIMIT_EXCEEDED"))
    for number in range(4):
        table = rig.kernel("mine").run(plan)
        rig.sandbox.advance(HOUR * number)
    assert table["outcome"].tolist() == ["unknown", "succeeded", "succeeded", "succeeded"]
    assert codes(table) == {"unmarked_post"}
    assert [rig.live()[text] for text in sheet["content"]] == [0, 1, 1, 1]
    (doubtful,) = (post.id for post in rig.sandbox.world.posts.values() if post.content not in set(sheet["content"]))
    rig.sandbox.person.delete(doubtful)
    assert outcomes(rig.kernel("mine").run(plan)) == {"succeeded": 4}
    assert [rig.live()[text] for text in sheet["content"]] == [1, 1, 1, 1], "alone, not with the batch that it was in"


def test_rule_11_a_list_that_ends_at_a_full_page_without_a_word_proves_nothing(rig):
    """No pagination object, as where a gateway drops it: a hundred posts are there, and the rows may stand behind them."""
    rig.kernel("lost").run(rig.plan_rows(3))
    rig.sandbox.advance(HOUR)
    rig.others_post()
    rig.sandbox.set_switches(pagination="none")
    with pytest.raises(DecodeError, match="ends at a full page without saying so; whether there is more is not known"):
        rig.kernel("new").run(rig.plan_rows(3))
    assert set(rig.created().values()) == {1}
