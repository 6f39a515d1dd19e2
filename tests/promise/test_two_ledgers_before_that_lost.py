"""A second or replacement ledger, while both send or before the API shows what the first one sent. Lost:
never, unless two people withdraw the same duplicate within seconds: then possible, and reported.
"""

from __future__ import annotations

import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import HOUR

from voxops.acts.cancel import plan_cancel

ROWS = 3  # in both sheets


def created_twice(rig: Rig) -> tuple[Kernel, str, Kernel, str]:
    """Two laptops with their runs, whose sheets overlap: each sends its whole sheet while lists are a minute behind.

    The second has reported the duplicates; the posts to keep are those of the first.
    """
    rig.sandbox.set_switches(list_lag_seconds=60.0)
    begun = rig.laptops(10, rig.campaign(ROWS), rig.campaign(ROWS + 1))
    for *_, work in begun:
        work.result(60)
    (first, one, _), (second, two, _) = begun
    rig.sandbox.advance(200)
    assert as_requested(rig) == 2 * ROWS
    assert set(second.copies(two)["copy_of"]) == set(first.results(one)["result_id"])
    return first, one, second, two


def as_requested(rig: Rig) -> int:
    """How many live posts show the text and the time of a shared row."""
    texts, at = set(rig.campaign(ROWS)["content"]), round(world.FAR.timestamp() * 1000)
    posts = rig.sandbox.world.posts.values()
    return sum(post.status == "scheduled" and post.content in texts and post.scheduled_for == at for post in posts)


def lose(rig: Rig, post: str, how: str) -> None:
    """Somebody does this to a post in the web page, so that it is not what its row asks for any more."""
    person = rig.sandbox.person
    match how:
        case "rejected":
            rig.sent_back(post)
        case "moved":
            person.edit(post, scheduled_for="2027-03-01T09:01:00+00:00")
        case "mended":
            person.edit(post, content=f"mended {post}")
        case "deleted":
            person.delete(post)
        case "withdrawn":
            person.withdraw(post)


@pytest.mark.parametrize("read", ["fresh", "before"])
@pytest.mark.parametrize("how", ["deleted", "withdrawn", "rejected", "moved", "mended"])
def test_rule_19_no_copy_is_withdrawn_whose_kept_post_is_gone_or_shows_something_else(rig, how, read):
    """Rule 19: a cancel of a duplicate is sent only if a single read of just now shows the kept one live and as requested.

    The copies are read an hour after the kept posts were lost, or the frame was read before; the workspace is busy.
    """
    _, _, second, two = created_twice(rig)
    rig.sandbox.advance(2 * HOUR)
    rig.others_post()
    rig.sandbox.advance(100)
    found = second.copies(two)
    for post in found["copy_of"]:
        lose(rig, post, how)
    rig.sandbox.advance(HOUR)
    frame = second.copies(two) if read == "fresh" else found
    told = outcomes(second.run(plan_cancel(frame)))
    assert (as_requested(rig), rig.effects("post.cancel")) == (ROWS, 0), told
    assert told == ({} if read == "fresh" and how not in {"moved", "mended"} else {"blocked": ROWS})


def test_rule_19_a_laptop_withdraws_no_copies_of_what_another_has_just_undone(rig):
    """Rule 19: single reads show the undo, lists that are 30 s behind do not; ten seconds later the other cancels its copies."""
    first, one, second, two = created_twice(rig)
    rig.sandbox.set_switches(list_lag_seconds=30.0)
    assert outcomes(first.run(first.undo(one))) == {"succeeded": ROWS}
    rig.sandbox.advance(10)
    told = outcomes(second.run(plan_cancel(second.copies(two))))
    assert (as_requested(rig), rig.effects("post.cancel")) == (ROWS, ROWS), told
    assert "succeeded" not in told
