"""The searches on a small scale, and histories that they have found; ``python -m tests.exhaustive`` goes deeper, over more readings."""

from __future__ import annotations

from contextlib import closing, contextmanager

import pytest
from tests.exhaustive.__main__ import FEW, special
from tests.exhaustive.model import READINGS, Case, Reading
from tests.exhaustive.protections import REMOVALS, searched, wrong
from tests.exhaustive.search import blocked, digest, in_words, judged, replay, search, universe, verdict

ACTS = ("create", "retry", "redeliver", "update", "move", "cancel")
TWO = {f"two {act}": Case(act, rows=2, kernels=2, ledgers=2) for act in ("create", "retry", "redeliver")}
# A doubt ends no wait here.
TWO["two create no-metadata"] = Case("create", rows=2, kernels=2, reading=READINGS["no-metadata"])
NAMED = {name: case for name, (case, _) in special().items()}
# They have so many histories that only the proof plays them.
WIDE = {"sync", "sync people", "sync loaded", "sync lag", "sync forget", "two create no-metadata"}


@pytest.mark.parametrize(("case", "depth"), [
    *(pytest.param(Case(act), 3 if act == "create" else 2, id=act) for act in ACTS),
    *(pytest.param(case, 2, id=name) for name, case in (TWO | NAMED).items() if name not in WIDE),
    *(pytest.param(case, 3, id=f"{name}, longer", marks=pytest.mark.release) for name, case in (TWO | NAMED).items()),
    *(pytest.param(Case(act), 3, id=f"{act}, longer", marks=pytest.mark.release) for act in ACTS if act != "create"),
])  # fmt: skip
def test_no_short_history_acts_twice_or_loses_a_row(case, depth):
    found = search(case, depth)
    assert found.wrong == [], case
    assert found.histories >= len(found.seen) > 2, "hardly anything was searched"


def test_the_searches_can_fail():
    """The first protection is that an open row is joined."""
    history, said = searched(REMOVALS[0], removed=True).wrong[0]
    assert in_words(history) == REMOVALS[0].shortest
    assert "row 0 was created twice" in said


ENDLESS = {"what is open is not sent anew"}  # without them a cell goes on for hours
MARKED = [(one, [pytest.mark.release] * (one.name in ENDLESS)) for one in REMOVALS if one.shortest]
GUARDS = [pytest.param(one, marks=marks, id=one.name) for one, marks in MARKED]


@pytest.mark.parametrize("removal", GUARDS)
def test_without_a_protection_its_shortest_history_breaks_the_promise_and_with_it_none_does(removal):
    assert wrong(removal, removed=False) == []
    assert wrong(removal, removed=True) != []


@contextmanager
def after(case, *history):
    """A world in which a history has happened."""
    with universe(case) as make, closing(replay(make, history)) as world:
        yield world


def test_equal_events_give_equal_states_and_others_do_not():
    case, marks = Case("create"), []
    with universe(case) as make:
        for seconds in (7.0, 7.0, 100.0):
            with closing(replay(make, (("run", 0), ("meet", 0, "unanswered"), ("wait", seconds)))) as world:
                marks.append(digest(world))
    assert marks[0] == marks[1] != marks[2]


# Histories that a search has found.

FOUND = {
    "who slept a minute between commit and send decides again, as a colleague may have created a row": (
        Case("create", rows=2, ledgers=2, people=False),
        (("nod", 0), ("run", 0), ("wait", 60.0), ("other ledger",), ("run", 1, "part"), ("meet", 0, "ok"), ("wake", 0))),
    "a run ends whose act a later plan has abandoned; it read for the abandoned call for ever": (
        Case("retry", reading=Reading(linger=600.0)), (("run", 0), ("meet", 0, "lost"), ("night",), ("stuck", 0))),
    "a kernel rests while another sends a call again; it looked a hundred times a second until that one had ended": (
        Case("move", rows=2, kernels=2, runs=3, more=("move", "write", "still"), fates=FEW),
        (("run", 0), ("meet", 0, "500 after"), ("meet", 0, "lost"), ("restart",), ("doze", 0), ("doze", 1), ("wait", 100.0), ("run", 0, "move"),
         ("wait", 320.0), ("wake", 1), ("wait", 100.0))),
    "what waits for a change in doubt is not blocked before that was read for": (
        Case("update", rows=2, more=("cancel",)), (("run", 0), ("meet", 1, "lost"), ("run", 0, "cancel"), ("night",))),
    "a change in doubt is not told as done because its name was used; the PATCH never arrived, and somebody had edited the post": (
        Case("move", more=("write", "still")), (("run", 0), ("kill", 0), ("restart",), ("write",), ("wait", 320.0), ("run", 0))),
    "nothing waits for a day that a wrong clock once showed": (
        Case("redeliver", rows=2, kernels=2, runs=4, fates=FEW),
        (("run", 0), ("meet", 0, "ok"), ("meet", 0, "ok"), ("wait", 320.0), ("restart",), ("run", 1), ("wait", 320.0), ("run", 0), ("kill", 1),
         ("kill", 0), ("restart",), ("clock", 0, 86_400.0))),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_a_history_that_a_search_has_found_stays_mended(name):
    case, history = FOUND[name]
    assert judged(case, history) == []


def test_a_retry_that_waits_for_another_one_is_blocked_after_ten_minutes_and_asks_no_more():
    """It looked twenty times a second, for ever: the first retry was queued, and never seen to end."""
    with after(Case("retry", reading=Reading(linger=3600.0)), ("run", 0), ("edit",), ("run", 0)) as world:
        assert verdict(world) == []
        assert blocked(world) == {"retry open looks_as_before": 1, "retry blocked subject_unknown": 1}


@pytest.mark.parametrize("before", [(("nod", 0), ("run", 0)), (("run", 0), ("meet", 0, "lost"), ("nod", 0))])
def test_who_slept_since_a_call_was_written_goes_on(before):
    """The call stayed "in flight" until another process wrote the ledger, and the loop looked a hundred times a second."""
    with after(Case("retry"), *before, ("wait", 320.0), ("wake", 0)) as world:
        world.heal()
        assert not world.hangs
        assert world.server.posts["post_0"].status == ["published"]


@pytest.mark.parametrize("act", ["create", "update"])
def test_a_server_that_always_fails_is_left_alone_after_six_tries(act):
    """Five minutes without a sign proved each time that nothing had happened, and the count of tries began anew."""
    with after(Case(act), ("run", 0)) as world:
        sent = 0
        for _ in range(400):
            for flight in world.open_flights():
                sent += 1
                world.meet(flight, "500 before")
            world.advance(30.0)
        assert not world.alive[0].busy
        assert sent == 6


@pytest.mark.parametrize("first", [("meet", 0, "lost"), ("kill", 0), ("wait", 7.0)])
def test_who_waits_for_an_act_in_doubt_is_blocked_only_when_that_was_read_for(first):
    """A night passed, and the withdrawal was blocked a moment before a reading would have settled the change."""
    with after(Case("update"), ("run", 0), ("run", 0, "cancel"), first, ("night",)) as world:
        world.heal()
        assert "cancel blocked subject_unknown" not in blocked(world)


def test_who_loops_reads_for_every_open_call_also_for_one_that_binding_has_looked_at():
    """A killed run had changed the post, nobody knows whether; its withdrawal waited for that without end, and the post went out."""
    past = ("run", 0), ("meet", 0, "lost"), ("kill", 0), ("another",), ("run", 0, "cancel")
    with after(Case("update", last=True), *past) as world:
        assert verdict(world) == []
        assert world.server.posts["post_s0"].shown == "cancelled"


@pytest.mark.parametrize(("cells", "path"), [(("", "filtered"), "platforms/pp0/fix"), (("filtered", ""), "retry")])
def test_a_row_that_a_later_plan_asks_otherwise_leaves_with_that_plan_only(cells, path):
    """The first run waited for the rate limit, and sent what the second asked as its own act: a fix to the path of a retry."""
    case, calls = Case("retry", targets=2), []
    with after(case, ("hold", 0), *(("run", 0, cell) for cell in cells), ("let go", 0)) as world:
        while flights := world.open_flights():
            calls += [flight.path for flight in flights]
            for flight in flights:
                world.meet(flight, "ok")
        assert verdict(world) == []
    assert calls == [f"/v1/posts/post_0/{path}"]
