"""Random histories of one laptop and of two, under each reading; ``python -m tests.ledger.histories`` draws for as long as it is told to."""

from __future__ import annotations

import os
from unittest import mock

import pytest
from tests.exhaustive.search import Case
from tests.ledger.histories import FEW, ONE, READINGS, cases, judge, search

from voxops.engine import facts

THOROUGH = 10 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 1  # times as many histories in `make proof`


CASES = dict(cases())


@pytest.mark.parametrize("name", CASES)
def test_no_history_acts_twice_or_loses_a_row(name: str) -> None:
    found = search(CASES[name], seed=11, count=2 * THOROUGH)
    assert found is None, found


def test_the_search_can_fail_and_shortens_what_it_finds() -> None:
    """Where the server keeps no keys, only the posts that are there keep a second ledger from creating a row again (rule 13)."""
    case = Case("create", ledgers=2, people=False, reading=READINGS["ignores keys"], at_once=False, fates=FEW)
    with mock.patch.object(facts.presence, "judge", lambda *_: None):
        found = search(case, seed=1, count=60)
        assert found is not None
        history, wrong = found
        assert "row 0 was created twice" in wrong
        assert len(history) <= 6
    assert judge(case, history) == []


# Histories that a search has found.


def test_a_kernel_rests_while_another_one_sends_a_call_again() -> None:
    # It looked a hundred times a second until the lease of the other, which slept, was over.
    history = (
        ("run", 0), ("meet", 0, "500 after"), ("meet", 0, "lost"), ("restart",), ("doze", 0), ("doze", 1), ("wait", 100.0), ("run", 0, "move"),
        ("wait", 320.0), ("wake", 1), ("wait", 100.0),
    )  # fmt: skip
    assert judge(ONE["move"], history) == []


def test_what_waits_for_a_change_in_doubt_is_not_blocked_before_that_was_read_for() -> None:
    # The laptop slept for a night: the withdrawal was blocked by the change's age, and the change released a second later.
    history = (("run", 0), ("meet", 1, "lost"), ("run", 0, "cancel"), ("night",))
    assert judge(Case("update", rows=2, more=("cancel",)), history) == []


def test_a_change_in_doubt_is_not_told_as_done_because_its_name_was_used() -> None:
    # The PATCH never arrived, and somebody had edited the post since: under the same name the next run told that it was moved.
    history = (("run", 0), ("kill", 0), ("restart",), ("write",), ("wait", 320.0), ("run", 0))
    assert judge(Case("move", more=("write", "still")), history) == []


def test_nothing_waits_for_a_day_that_a_wrong_clock_once_showed() -> None:
    # One answer named a time a day ahead; what was made to wait then was looked at a day later, and its run went on until then.
    history = (
        ("run", 0), ("meet", 0, "ok"), ("meet", 0, "ok"), ("wait", 320.0), ("restart",), ("run", 1), ("wait", 320.0), ("run", 0), ("kill", 1),
        ("kill", 0), ("restart",), ("clock", 0, 86_400.0),
    )  # fmt: skip
    assert judge(ONE["redeliver"], history) == []
