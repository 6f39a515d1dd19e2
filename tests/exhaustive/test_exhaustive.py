"""The exhaustive search on a small scale: `make proof` goes deeper, over more readings, and without each protection."""

from __future__ import annotations

import pytest
from tests.chaos.model import Reading
from tests.exhaustive import search as search_module
from tests.exhaustive.protections import REMOVALS, counterexample, written
from tests.exhaustive.search import Case, as_test, digest, play, replay, search, universe, verdict


@pytest.mark.parametrize("act", ["create", "retry", "redeliver"])
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


def test_the_table_names_the_protections_and_no_others() -> None:
    names = [line.split(" | ")[0].removeprefix("| ") for line in written() if line.startswith("| ")]
    assert names == ["removed", *(removal.name for removal in REMOVALS)]


def test_a_history_can_be_pasted_as_a_test() -> None:
    removal = next(one for one in REMOVALS if one.name == "reading before a resend")
    pasted = as_test(removal.case, counterexample(removal))
    names = {**vars(search_module), "Reading": Reading}
    exec(compile(pasted, "pasted", "exec"), names)
    names["test_history"]()  # the protection is in place here
    with removal.patch(), pytest.raises(AssertionError):
        names["test_history"]()


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
