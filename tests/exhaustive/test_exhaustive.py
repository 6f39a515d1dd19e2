"""The exhaustive search on a small scale: ``python -m tests.exhaustive`` goes deeper, over more readings."""

from __future__ import annotations

import pytest
from tests.exhaustive.model import Reading
from tests.exhaustive.search import Case, as_test, blocked, digest, judged, play, replay, search, universe, verdict


@pytest.mark.parametrize("act", ["create", "retry", "redeliver", "update", "move", "cancel"])
def test_no_short_history_acts_twice_or_loses_a_row(act: str) -> None:
    case = Case(act)
    found = search(case, 3)
    assert found.history is None, as_test(case, found)
    assert found.histories >= found.states > 50, "hardly anything was searched"


@pytest.mark.parametrize("act", ["create", "retry", "redeliver"])
def test_nor_does_a_short_one_of_two_rows_kernels_and_ledgers(act: str) -> None:
    case = Case(act, rows=2, kernels=2, ledgers=2)
    found = search(case, 2)
    assert found.history is None, as_test(case, found)
    assert found.histories >= found.states > 20


def test_equal_events_give_equal_states_and_others_do_not() -> None:
    case = Case("create")
    history = (("run", 0), ("meet", 0, "unanswered"), ("wait", 7.0))
    with universe(case) as make:
        marks = []
        for events in (history, history, (*history[:2], ("wait", 100.0))):
            world = replay(make, case, events)
            marks.append(digest(world))
            world.close()
    assert marks[0] == marks[1] != marks[2]


def test_a_world_that_was_acted_in_twice_is_found_out() -> None:
    case = Case("retry")
    with universe(case) as make:
        world = replay(make, case, (("run", 0), ("meet", 0, "ok")))
        play(world, case, ("wait", 320.0))
        world.server.violations.append("post_0 was queued twice at once")
        assert verdict(world, case) == ["post_0 was queued twice at once"]
        world.close()


# Histories that a search has found.


def test_a_retry_that_waits_for_another_one_is_blocked_after_ten_minutes_and_asks_no_more() -> None:
    # It looked twenty times a second, for ever: the first retry was queued, and never seen to end.
    case = Case("retry", reading=Reading(linger=3600.0))
    with universe(case) as make:
        world = replay(make, case, (("run", 0), ("edit",), ("run", 0)))
        assert verdict(world, case) == []
        assert blocked(world) == {"retry open looks_as_before": 1, "retry blocked subject_unknown": 1}
        world.close()


def test_who_slept_a_minute_between_commit_and_send_decides_again() -> None:
    # Its lease held, and a colleague had created one of its rows from another sheet meanwhile.
    case = Case("create", rows=2, ledgers=2, people=False)
    for sleep in ("doze", "nod"):
        history = (
            (sleep, 0),
            ("run", 0),
            ("wait", 60.0),
            ("other ledger",),
            ("run", 1, "part"),
            ("meet", 0, "ok"),
            ("wake", 0),
        )
        assert judged(case, history) == []


@pytest.mark.parametrize("tries", [1, 2])
def test_who_slept_until_its_lease_was_over_goes_on(tries: int) -> None:
    # The call stayed "in flight" until another process wrote the ledger, and the loop looked a hundred times a second.
    case = Case("retry")
    before = () if tries == 1 else (("run", 0), ("meet", 0, "lost"))
    slept = (("nod", 0), ("run", 0), ("wait", 320.0)) if tries == 1 else (("nod", 0), ("wait", 320.0))
    with universe(case) as make:
        world = replay(make, case, (*before, *slept, ("wake", 0)))
        world.heal()
        assert not world.hangs
        assert world.server.posts["post_0"].status == ["published"]
        world.close()


@pytest.mark.parametrize("act", ["create", "update"])
def test_a_server_that_always_fails_is_left_alone_after_six_tries(act: str) -> None:
    # Five minutes without a sign proved each time that nothing had happened, and the count of tries began anew.
    with universe(Case(act)) as make:
        world = replay(make, Case(act), (("run", 0),))
        sent = 0
        for _ in range(400):
            for flight in list(world.open_flights()):
                sent += 1
                world.meet(flight, "500 before")
            world.advance(30.0)
        assert not world.alive[0].busy
        assert sent == 6
        world.close()


@pytest.mark.parametrize("first", [("meet", 0, "lost"), ("kill", 0), ("wait", 7.0)])
def test_who_waits_for_an_act_in_doubt_is_blocked_only_when_that_was_read_for(first: tuple[object, ...]) -> None:
    # The change was in doubt, a night passed, and the withdrawal was blocked a moment before a reading would have settled the change.
    case = Case("update")
    with universe(case) as make:
        world = replay(make, case, (("run", 0), ("run", 0, "cancel"), first, ("night",)))
        world.heal()
        assert "cancel blocked subject_unknown" not in blocked(world)
        world.close()


def test_a_run_ends_whose_act_a_later_plan_has_abandoned() -> None:
    # It read for the call that was abandoned beside it, for ever.
    case = Case("retry", reading=Reading(linger=600.0))
    with universe(case) as make:
        world = replay(make, case, (("run", 0), ("meet", 0, "lost"), ("night",), ("stuck", 0)))
        assert verdict(world, case) == []
        world.close()


def test_who_loops_reads_for_every_open_call_also_for_one_that_binding_has_looked_at() -> None:
    # A killed run had changed the post, nobody knows whether; its withdrawal waited for that without end, and the post went out.
    case = Case("update", last=True)
    with universe(case) as make:
        world = replay(make, case, (("run", 0), ("meet", 0, "lost"), ("kill", 0), ("another",), ("run", 0, "cancel")))
        assert verdict(world, case) == []
        assert world.server.posts["post_s0"].shown == "cancelled"
        world.close()


@pytest.mark.parametrize("cells", [("", "filtered"), ("filtered", "")])
def test_a_row_that_a_later_plan_asks_otherwise_leaves_with_that_plan_only(cells: tuple[str, str]) -> None:
    # The first run waited for the rate limit, and sent what the second asked as its own act: a fix to the path of a retry, and the reverse.
    case = Case("retry", targets=2)
    with universe(case) as make:
        history = (("hold", 0), *(("run", 0, cell) for cell in cells), ("let go", 0))
        world = replay(make, case, history)
        calls = []
        while flights := world.open_flights():
            calls += [flight.path for flight in flights]
            for flight in list(flights):
                world.meet(flight, "ok")
        assert verdict(world, case) == []
        assert calls == ["/v1/posts/post_0/platforms/pp0/fix"] if cells[1] else ["/v1/posts/post_0/retry"]
        world.close()
