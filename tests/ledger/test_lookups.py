"""Every look-up of the ledger finds what it is about, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.ledger.filled import NOW, batch

from voxops.acts.create import CREATE
from voxops.acts.made import Made
from voxops.ledger import Ledger, RunHead, RunRow, Stored

# -- looking up ----------------------------------------------------------------------------------------------------------


def run_of(ledger: Ledger, *chosen: int, run: str = "run") -> None:
    ledger.runs.start(RunHead(run, "create", "", "row_id", 0, 0), reason=None, created=NOW, frame=b"")
    names = [item for op in chosen for item in ledger.query("SELECT identity, attempt FROM items WHERE op = ?", (op,))]
    ledger.runs.add_rows(run, [RunRow(row, name, attempt) for row, (name, attempt) in enumerate(names)])


def test_reasons_with_half_a_surrogate_pair_are_written(ledger):
    ledger.runs.start(RunHead("run", "create", "", "row_id", 0, 0), reason="r\ud83d", created=NOW, frame=b"")
    ledger.runs.add_rows("run", [RunRow(0, "i", None, "same as row r1\ud83d", "cause\ud83d")])
    assert tuple(ledger.query("SELECT held, canary FROM run_rows WHERE run = 'run'")[0]) == (
        "same as row r1?",
        "cause?",
    )
    ledger.forming.withdraw(1, "why\ud83d")
    assert {row[0] for row in ledger.query("SELECT waiting_for FROM members WHERE op = 1")} == {"why?"}


def ids(found: list[Stored]) -> list[int]:
    return [each.id for each in found]


def test_a_run_s_operations_are_found_by_state_and_time_canaries_first(ledger):
    run_of(ledger, 1, 2, 3, 4, 5, 6)
    run_of(ledger, 7, run="other")
    ledger.query("UPDATE operations SET canary = 1 WHERE id = 4")
    of_run = ledger.operations.of_run
    assert ids(of_run("run")) == [4, 1, 2, 3]
    assert ids(of_run("run", ("settled", "planned"))) == [1, 5]
    assert ids(of_run("other")) == [7]
    ledger.query("UPDATE operations SET last_sent = ?, settled = NULL WHERE id = 2", (NOW - 1,))
    ledger.query("UPDATE operations SET last_sent = ?, settled = NULL WHERE id = 3", (NOW,))
    ledger.query("UPDATE operations SET last_sent = ?, settled = ? WHERE id = 5", (NOW - 9, NOW))
    assert ids(of_run("run", ("sent", "unknown", "settled"), since=NOW)) == [3, 5]


def test_operations_are_found_that_something_may_happen_to(ledger):
    operations = ledger.operations
    assert ids(operations.busy()) == [2, 3, 4, 8]
    assert operations.withdrawn([1, 5, 6]) == {6}
    assert operations.withdrawn([1, 5]) == set()
    subject = operations.get(3).subject
    assert ids(operations.open_on(subject)) == [3]
    assert operations.open_on(operations.get(5).subject) == []
    assert operations.open_on(operations.get(6).subject) == []
    assert [ids(operations.open_on(operations.get(op).subject)) for op in (1, 2, 4)] == [[1], [2], [4]]


def test_an_operation_is_unchanged_while_its_state_and_tries_are(ledger):
    stored = ledger.operations.get(3)
    assert ledger.operations.is_unchanged(stored)
    assert not ledger.operations.is_unchanged(replace(stored, tries=2))
    assert not ledger.operations.is_unchanged(replace(stored, state="planned"))


def test_rows_answers_and_names_of_an_operation_are_its_own(ledger):
    operations = ledger.operations
    assert operations.reply(3) == b"reply 3"
    ledger.query("UPDATE operations SET reply = NULL WHERE id = 4")
    assert operations.reply(4) is None
    assert [(each.op, each.position, each.item.label) for each in operations.members(3)] == [
        (3, position, item.label) for position, item in enumerate(batch("r3.0", "r3.1").items)
    ]
    found = operations.members_of([8, 3, 99])
    assert found == {8: operations.members(8), 3: operations.members(3), 99: []}
    ledger.forming.point("alias", 1, 3, 0)
    assert operations.identities(3) == {*(each.item.identity for each in operations.members(3)), "alias"}


def test_the_latest_attempt_at_an_item_that_stands_is_found(ledger):
    operations = ledger.operations
    assert operations.latest("nobody") is None
    for attempt, op, position in ((1, 3, 0), (3, 4, 1), (4, 6, 0), (2, 5, 0)):
        ledger.forming.point("i", attempt, op, position)
    latest = operations.latest("i")
    assert latest == (3, operations.get(4), operations.members(4)[1])


def test_rule_26_creates_are_under_way_that_are_open_or_were_sent_lately(ledger):
    under_way = ledger.creates.under_way
    ledger.query("UPDATE operations SET last_sent = ? WHERE state = 'settled'", (NOW,))
    ledger.query("UPDATE operations SET last_sent = ? WHERE state = 'withdrawn'", (NOW + 9,))
    busy = sorted([1, 7, *ids(ledger.operations.busy())])
    settled = [op for (op,) in ledger.query("SELECT id FROM operations WHERE state = 'settled'")]
    assert settled
    assert ids(under_way(NOW)) == sorted({*busy, *settled})
    assert sorted({*busy} - {*settled}) == ids(under_way(NOW + 1)), "what was settled long ago is known by its post"
    ledger.query("UPDATE operations SET action = 'create_one' WHERE id = 2")
    ledger.query("UPDATE operations SET action = 'cancel' WHERE id = 3")
    assert set(busy) - {*ids(under_way(NOW + 1))} == {3}


def test_rule_29_the_campaigns_of_a_row_s_name_are_those_of_creates(ledger):
    label = ledger.operations.members(1)[0].item.label
    assert ledger.creates.campaigns_of(label) == {""}
    other = ledger.forming.add(batch("z", campaign="spring"), baseline=None)
    ledger.query("UPDATE members SET label = ? WHERE op = ?", (label, other))
    assert ledger.creates.campaigns_of(label) == {"", "spring"}
    ledger.query("UPDATE operations SET action = 'create_one' WHERE id = ?", (other,))
    assert ledger.creates.campaigns_of(label) == {"", "spring"}
    ledger.query("UPDATE operations SET action = 'cancel' WHERE id = ?", (other,))
    assert ledger.creates.campaigns_of(label) == {""}
    assert ledger.creates.campaigns_of("nobody") == set()


# -- marks ---------------------------------------------------------------------------------------------------------------

MADE = Made("p", "2026-03-01T00:00:00+00:00", "scheduled", "op", "row", "campaign", "asked", "shown")


def test_posts_that_were_made_are_remembered_and_what_a_list_leaves_out_is_kept(ledger):
    marks = ledger.marks
    marks.learn([MADE, replace(MADE, post_id="q", op_mark="other", row_mark="other", shown="s2", campaign_mark="c2")])
    assert marks.of_posts(["p", "zzz"]) == {"p": MADE}
    later = "2026-03-02T00:00:00+00:00"
    marks.learn([Made("p", later, "published", "op")])
    assert marks.of_posts(["p"]) == {"p": replace(MADE, created=later, status="published")}
    marks.learn([Made("p", MADE.created, "draft", shown="s9"), Made("r", later, "draft", shown="s9")])
    assert marks.of_posts(["p"]) == {"p": replace(MADE, created=later, status="published")}, "known as a row's"
    marks.learn([Made("r", later, "scheduled", shown="s8")])
    assert marks.of_posts(["r"]) == {"r": Made("r", later, "scheduled", shown="s8")}
    marks.learn([Made("r", later, "scheduled", row_mark="row5")])
    assert marks.of_posts(["r"]) == {"r": Made("r", later, "scheduled", row_mark="row5", shown="s8")}
    marks.forget(["r", "p", "zzz"])
    assert set(marks.of_posts(["r", "p"])) == {"r", "p"}, "what was made for a row is never forgotten"
    marks.learn([Made("s", later, "scheduled", shown="s8"), Made("t", later, "scheduled", shown="s8")])
    marks.forget(["s"])
    assert set(marks.of_posts(["s", "t"])) == {"t"}
    marks.learn([Made("p", later, "published", "op2", "row2", "c3", "asked2", "shown2")])
    assert marks.of_posts(["p"]) == {"p": Made("p", later, "published", "op2", "row2", "c3", "asked2", "shown2")}
    assert set(marks.of_posts(["p", "q"])) == {"p", "q"}


def test_posts_are_found_by_each_of_their_marks_the_earliest_first(ledger):
    marks = ledger.marks
    old = replace(MADE, post_id="old", created="2026-02-01T00:00:00+00:00", op_mark="op3", row_mark=None)
    same = replace(MADE, post_id="a", campaign_mark=None, shown=None, row_mark="row9", op_mark=None)
    marks.learn([MADE, old, same])
    assert [each.post_id for each in marks.of_row("row", [])] == ["p"]
    assert [each.post_id for each in marks.of_row("row", ["op3"])] == ["old", "p"]
    assert [each.post_id for each in marks.of_row("row9", ["op"])] == ["a", "p"], "of one instant by name"
    assert [each.post_id for each in marks.of_row("none", ["none"])] == []
    assert [each.post_id for each in marks.of_rows(["row", "row9"], ["op3", "none"])] == ["old", "a", "p"]
    assert marks.of_rows([], []) == []
    assert marks.in_doubt(["cancelled"]) == [], "each bears a mark"
    hand = Made("hand", MADE.created, "scheduled", shown="s")
    marks.learn([hand, replace(MADE, post_id="gone", status="cancelled", shown=None)])
    assert [each.post_id for each in marks.in_doubt(["cancelled", "draft"])] == ["gone", "hand"]
    assert marks.in_doubt([]) == [hand]
    assert [each.post_id for each in marks.alike("none", "shown")] == ["old", "p"]
    assert [each.post_id for each in marks.alike("asked", "none")] == [
        each.post_id for each in marks.alike("asked", "shown")
    ]
    assert marks.alike("none", "none") == []


def test_the_newest_post_of_a_campaign_is_known(ledger):
    marks = ledger.marks
    assert marks.last_by_others("campaign") is None
    old = replace(MADE, post_id="old", created="2026-02-01T00:00:00+00:00")
    other = replace(MADE, post_id="new", created="2026-04-01T00:00:00+00:00", campaign_mark="c2")
    marks.learn([MADE, old, other])
    assert marks.last_by_others("campaign") == MADE.created
    ledger.query("UPDATE members SET result_id = ? WHERE op = 1", (MADE.post_id,))
    for action, tries, newest in (
        ("create", 1, old.created),
        ("create_one", 1, old.created),
        ("create", 0, MADE.created),
        ("retry", 1, MADE.created),
    ):
        ledger.query("UPDATE operations SET action = ?, tries = ? WHERE id = 1", (action, tries))
        assert marks.last_by_others("campaign") == newest, "what this ledger has sent is no other's"


def test_what_lists_have_shown_never_goes_back(ledger):
    marks = ledger.marks
    assert (marks.listed, marks.show) == (None, False)
    marks.learn([])
    assert (marks.listed, marks.show) == (None, False)
    marks.learn([], latest="2026-03-02T00:00:00+00:00", shown=True)
    assert (marks.listed, marks.show) == ("2026-03-02T00:00:00+00:00", True)
    marks.learn([], latest="2026-03-01T00:00:00+00:00", shown=False)
    assert (marks.listed, marks.show) == ("2026-03-02T00:00:00+00:00", True)
    marks.learn([], latest="2026-03-03T00:00:00+00:00")
    assert marks.listed == "2026-03-03T00:00:00+00:00"


def test_a_body_is_kept_as_it_is(ledger):
    operation = batch("x")
    op = ledger.forming.add(operation, baseline=None)
    assert ledger.operations.get(op).body == operation.body
    assert json.loads(operation.body or b"")["posts"][0]["content"] == "x"
    assert CREATE.bodies(ledger.operations.get(op).body) == CREATE.bodies(operation.body)
