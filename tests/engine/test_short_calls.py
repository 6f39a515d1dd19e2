"""Calls that carry less than their chunk: what the ledger and the readings make `fit` say of them (rules 17 and 27)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.ledger.filled import Clock, add, row, send, start

from voxops.acts.create import CREATE
from voxops.acts.keys import campaign_mark
from voxops.api.reasons import Reason
from voxops.engine.facts import Knowledge, Moment, Readings
from voxops.engine.rules import OTHERS_AT_WORK_FOR, Block, Send, Wait
from voxops.engine.send import Group, fitting
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Seen


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", clock=clock)) as ledger:
        yield ledger


def known(ledger: Ledger, clock: Clock) -> Knowledge:
    """What is known where the list was read just now."""
    readings = Readings(listed=Moment(clock.now, 0.0))
    return Knowledge(
        ledger, readings, lambda: datetime.fromtimestamp(clock.now, UTC), credential="c", retention=86_400.0
    )


def another_creates(ledger: Ledger, at: float) -> None:
    """Another laptop creates a post of the campaign."""
    seen = Seen(
        f"p{at}", datetime.fromtimestamp(at, UTC).isoformat(), "scheduled", campaign_mark=campaign_mark("c"), began=at
    )
    ledger.seen.learn([seen], shows_marks=True)


def test_rule_27_a_short_call_is_given_up_after_a_quarter_of_an_hour_in_which_it_waited_itself(
    ledger: Ledger, clock: Clock
) -> None:
    """A group that waited for canaries, a pause or its turn before has not waited for others."""
    one, two = add(ledger, row("one"), row("two"))
    start(ledger, "run", [one, two])
    group = Group("run", CREATE, 1, [one.id, two.id])
    clock.now += 2 * OTHERS_AT_WORK_FOR
    for passed in range(0, int(OTHERS_AT_WORK_FOR) + 1, 60):
        clock.now += 60 if passed else 0
        another_creates(ledger, clock.now - 10)
        _, said = fitting(known(ledger, clock), group, [one])
        assert isinstance(said, Wait), passed
        assert said.reason == Reason("campaign_busy")
    clock.now += 60
    another_creates(ledger, clock.now - 10)
    assert fitting(known(ledger, clock), group, [one])[1] == Block(Reason("others_at_work"))
    clock.now += 75
    assert fitting(known(ledger, clock), group, [one])[1] == Send()
    another_creates(ledger, clock.now - 10)
    assert isinstance(fitting(known(ledger, clock), group, [one])[1], Wait), "it begins to wait anew"


def test_rule_27_a_half_of_a_refused_batch_is_no_whole_chunk(ledger: Ledger, clock: Clock) -> None:
    rows = add(ledger, *(row(str(number)) for number in range(4)))
    start(ledger, "run", rows)
    call, group = send(ledger, rows), Group("run", CREATE, 1, [one.id for one in rows])
    assert fitting(known(ledger, clock), group, rows)[1] == Send(), "all four are the chunk"
    ledger.calls.end(call, "unknown", now=clock.now, status=400, answered=True)
    ledger.requests.release([one.id for one in rows], most=2)
    rows = list(ledger.requests.get(group.ids).values())
    ledger.runs.became_less([one.id for one in rows], clock.now)
    some, said = fitting(known(ledger, clock), group, rows)
    assert len(some) == 2
    assert said == Wait(Reason("short_call"), clock.now + 135)
    clock.now += 135
    assert fitting(known(ledger, clock), group, rows)[1] == Send()
