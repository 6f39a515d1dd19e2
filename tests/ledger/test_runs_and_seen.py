"""Runs, their rows, and posts as they were seen: what each verb writes, finds and leaves alone."""

from dataclasses import replace

import pytest
from tests.ledger.filled import NOW, add, row, send, start

from voxops.ledger.records import Seen
from voxops.ledger.seen import LISTS_SETTLE

# -- runs --------------------------------------------------------------------------------------------------------------


def test_rule_09_a_row_is_wanted_by_runs_of_this_kernel_that_send(ledger):
    one, two = add(ledger, row("one"), row("two"))
    start(ledger, "run", [one])
    start(ledger, "other", [one, two])
    ids, runs = [one.id, two.id], ledger.runs
    assert runs.wanted(ids, []) == set(), "other kernels may have bound them"
    assert runs.wanted(ids, ["run"]) == {one.id}
    assert runs.wanted(ids, ["run", "other"]) == {one.id, two.id}
    runs.note("other", paused=True)
    assert runs.wanted(ids, ["run", "other"]) == {one.id}
    assert runs.undone(ids) == set()
    runs.note("run", undone=True, paused=True)
    assert runs.wanted(ids, ["run", "other"]) == set()
    assert runs.undone(ids) == {one.id}, "whoever else wants it"


def test_what_was_accepted_is_not_sent_by_going_on_and_what_is_unknown_may_be(ledger):
    (one,) = add(ledger, row("one"))
    start(ledger, "run", [one])
    send(ledger, [one])
    for state, unsent in (("unknown", True), ("accepted", False), ("limited", True)):
        ledger.query("UPDATE calls SET state = :state", state=state)
        assert ledger.runs.unsent("run") is unsent


# -- posts as they were seen -------------------------------------------------------------------------------------------

T0, T1, T2 = (f"2026-03-0{day}T09:00:00+00:00" for day in (1, 2, 3))
POST = Seen("p", T0, "scheduled", T1, "op", "row", "campaign", "asked", "shown", NOW, "single", NOW)


def seen(ledger, *posts):
    ledger.seen.learn(posts)
    return ledger.seen.of_posts(["p"]).get("p")


@pytest.mark.parametrize(
    ("later", "wins"),
    [
        ({"updated": T2, "began": NOW - 500, "source": "list"}, True),  # its stamp is newer
        ({"updated": T0, "began": NOW + 500}, False),  # a state with an older stamp never replaces a newer one
        ({"updated": T1[:19] + ".500000+00:00", "began": NOW + 1}, True),  # the same second: lists cut times
        ({"source": "list", "began": NOW + LISTS_SETTLE - 0.1}, False),  # lists lag behind single reads
        ({"source": "list", "began": NOW + LISTS_SETTLE}, True),
        ({"source": "list", "updated": None, "began": NOW + 10}, False),
        ({"began": NOW - 1}, False),  # of two readings of one kind the later one
        ({"source": "answer", "began": NOW - 1}, True),
    ],
)
def test_a_state_replaces_an_older_one(ledger, later, wins):
    after = replace(POST, status="cancelled", **later)
    found = seen(ledger, POST, after)
    assert found == (replace(after, updated=after.updated or POST.updated, since=after.began) if wins else POST)


@pytest.mark.parametrize(
    ("later", "there"),
    [
        ({"source": "list", "updated": T2, "began": NOW + 10}, False),  # whatever the stamp, a list may be behind
        ({"source": "list", "updated": T1, "began": NOW + LISTS_SETTLE + 2}, True),
        ({"source": "single", "began": NOW + 2}, True),
        ({"source": "single", "updated": T0, "began": NOW + 2}, False),
    ],
)
def test_what_is_gone_stays_gone_until_it_is_surely_there(ledger, later, there):
    gone = Seen("p", T0, "deleted", T1, began=NOW + 1, source="single", since=NOW + 1)
    found = seen(ledger, POST, gone, replace(POST, **later))
    assert (found.status == "scheduled") is there
    assert (found.row_mark, found.shown) == ("row", "shown"), "its marks are kept"


def test_what_a_reading_leaves_out_is_kept_and_a_status_counts_from_when_it_was_first_seen(ledger):
    bare = Seen("p", "", "scheduled", None, began=NOW + 200, since=NOW + 200)
    assert seen(ledger, POST, bare) == replace(POST, began=NOW + 200, source="list")
    moved = replace(bare, status="published", began=NOW + 300, since=NOW + 300, shown="other")
    assert seen(ledger, moved) == replace(
        POST, status="published", shown="other", began=NOW + 300, since=NOW + 300, source="list"
    )


def test_posts_are_found_by_each_of_their_marks_the_earliest_first(ledger):
    old = replace(POST, post_id="old", created="2026-02-01T00:00:00+00:00", op_mark="op1", shown="s1")
    same = replace(POST, post_id="a", row_mark="row2", op_mark=None)
    hand = Seen("hand", T0, "draft", shown="s1")
    ledger.seen.learn([POST, old, same, hand])
    of_rows = ledger.seen.of_rows
    found = [of_rows(["row"]), of_rows(["row2"], ["op"]), of_rows([], ["none"]), ledger.seen.alike(["s1"])]
    assert [[post.post_id for post in each] for each in found] == [["old", "p"], ["a", "p"], [], ["old", "hand"]]
    assert set(ledger.seen.of_posts(["a", "none"])) == {"a"}
    assert [(post.is_ours, post.is_live) for post in (POST, hand)] == [(True, True), (False, False)]


def test_what_lists_have_shown_never_goes_back(ledger):
    marks = ledger.seen
    assert (marks.listed, marks.lists_show_marks, marks.looked_through) == (None, False, None)
    marks.learn([], latest=T1, shows_marks=True, looked_through=NOW)
    marks.learn([], latest=T0)
    assert (marks.listed, marks.lists_show_marks, marks.looked_through) == (T1, True, NOW)
    marks.learn([], latest=T2)
    assert (marks.listed, marks.lists_show_marks) == (T2, True)
