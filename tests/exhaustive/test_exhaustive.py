"""The exhaustive search on a small scale: `make proof` goes deeper, over more readings."""

from __future__ import annotations

import pytest
from tests.exhaustive.protections import REMOVALS, Removal, counterexample
from tests.exhaustive.search import Case, as_test, digest, play, replay, search, universe, verdict


@pytest.mark.parametrize("act", ["create", "retry", "redeliver"])
def test_no_short_history_acts_twice_or_loses_a_row(act: str) -> None:
    case = Case(act)
    found = search(case, 3)
    assert found.history is None, as_test(case, found)
    assert found.histories >= found.states > 50, "hardly anything was searched"


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: removal.name)
def test_without_a_protection_a_history_is_found(removal: Removal) -> None:
    found = counterexample(removal)
    assert found.history is not None
    assert len(found.history) <= removal.depth
    assert any("twice" in problem for problem in found.problems), found.problems


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
        assert verdict(world) == ["post_0 was queued twice at once"]
        world.close()
