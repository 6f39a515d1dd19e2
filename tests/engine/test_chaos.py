"""Chaos on a small scale: real processes, kills in flight, faults, jumps of the clock; and a harness that can fail."""

from __future__ import annotations

import re

import pytest
from tests.chaos.count import count
from tests.chaos.harness import READINGS, Config, run


def config(reading: str, seed: int) -> Config:
    """A run of some seconds; a busy machine may need some minutes. How many of so few kills fall in flight is chance."""
    small = {
        "items": 120,
        "kills": 3,
        "in_flight": 0,
        "speed": 40.0,
        "timeout": 0.5,
        "suspended": 1.5,
        "pace": 0.15,
        "seconds": 300.0,
    }
    return Config(seed=seed, reading=reading, **small)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("reading", "seed"), [
    ("default", 1),
    *(pytest.param(name, 4, marks=pytest.mark.release) for name in ("forgets", "ignores", "hour", "bare", "lingers", "strings")),
])  # fmt: skip
def test_nothing_happens_twice_and_nothing_is_lost(reading, seed):
    """The other readings wait most of their time: `make chaos READING=` runs them. There half of the kills must fall in flight."""
    report = run(config(reading, seed))
    assert report.holds, f"{report.line}\n" + "\n".join(report.problems)
    assert report.faults > 0
    if not READINGS[reading].unknown:
        # Where keys are ignored, one that the clock's jump or a busy machine made overlap is none of ours: see `Count`.
        overlapping = len(report.count.overlapping)
        apart = f" overlapping={overlapping}" if overlapping else ""
        assert re.fullmatch(
            rf"chaos: items=120 effects={120 + overlapping} expected=120 duplicates=0 lost=0 unknown=0 kills=3 "
            rf"in_flight_kills=[0-3] senders=2 ledgers=1 faults=\d+{apart} unreported=0",
            report.line,
        )


# -- the count can fail ------------------------------------------------------------------------------------------------

WANTED = {("create", "a", ""), ("create", "b", ""), ("requeue", "post_1", "acc_1"), ("resend", "del_1", "")}


def effect(kind: str, at: str = "1", request: int = 1, **ids: str) -> dict[str, object]:
    return {"kind": kind, "at": at, "request": request, **ids}


GOOD = [
    effect("post.create", content="a"), effect("post.create", content="b"), effect("target.requeue", post="post_1", target="pp_1"),
    effect("delivery.resend", delivery="del_1"), effect("target.publish", target="pp_1"),
]  # fmt: skip


def test_the_count_holds_when_each_thing_happened_once():
    found = count(WANTED, GOOD, {"pp_1": "acc_1"})
    assert found.holds
    assert (found.expected, found.effects) == (4, 4)


@pytest.mark.parametrize(("more", "kind"), [
    (effect("post.create", content="a"), "duplicates"), (effect("target.requeue", post="post_1", target="pp_1"), "duplicates"),
    (effect("delivery.resend", delivery="del_1"), "duplicates"), (effect("post.create", content="never planned"), "strays"),
    (effect("target.requeue", post="post_1", target="pp_other"), "strays"),
])  # fmt: skip
def test_the_count_fails_for_whatever_happened_again_or_unasked(more, kind):
    found = count(WANTED, [*GOOD, more], {"pp_1": "acc_1"})
    assert not found.holds
    assert len(getattr(found, kind)) == 1


def test_the_count_fails_for_whatever_never_happened_unless_it_is_reported_as_unsettled():
    assert count(WANTED, GOOD[1:], {"pp_1": "acc_1"}).lost == [("create", "a", "")]
    assert count(WANTED, GOOD[1:], {"pp_1": "acc_1"}, unsettled={("create", "a", "")}).holds


def test_what_overlaps_under_ignored_keys_is_counted_apart():
    """The second request came before the first had taken effect; one that came after is a duplicate."""
    again = effect("post.create", content="a", at="7", request=2)
    first = effect("post.create", content="a", at="5", request=1)
    early, late = [{"seq": 1, "at": "3"}, {"seq": 2, "at": "4"}], [{"seq": 1, "at": "3"}, {"seq": 2, "at": "6"}]
    assert count(WANTED, [first, again], {}, requests=early).overlapping == [("create", "a", "")]
    assert count(WANTED, [first, again], {}, requests=late).duplicates == [("create", "a", "")]
