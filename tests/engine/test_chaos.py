"""Chaos on a small scale: real processes, kills in flight, faults; and a harness that can fail."""

import re

import pytest
from tests.chaos.count import broken, count
from tests.chaos.harness import Config, run


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("ledgers", [1, pytest.param(2, marks=pytest.mark.release)])
def test_nothing_happens_twice_and_nothing_is_lost(ledgers):
    """A run of some seconds; a busy machine may need some minutes. How many of so few kills fall in flight is chance."""
    small = Config(items=120, kills=3, in_flight=0, ledgers=ledgers, speed=20.0, timeout=0.5, pace=0.15)
    report = run(small)
    assert report.holds, f"{report.line}\n" + "\n".join(report.problems)
    assert report.faults > 0
    if ledgers == 1:
        assert re.fullmatch(
            r"chaos: items=120 effects=120 expected=120 at_the_same_moment=0 duplicates=0 lost=0 unreported=0 unknown=0 kills=3 "
            r"in_flight_kills=[0-3] ledgers=1 faults=\d+",
            report.line,
        )


# -- the count can fail ------------------------------------------------------------------------------------------------

WANTED = {("create", "a", ""), ("create", "b", ""), ("requeue", "post_1", "acc_1"), ("resend", "del_1", "")}


def effect(kind, request=1, **more):
    return {"kind": kind, "request": request, **more}


GOOD = [
    effect("post.create", content="a"), effect("post.create", content="b"), effect("target.requeue", post="post_1", target="pp_1"),
    effect("delivery.resend", delivery="del_1"), effect("target.publish", target="pp_1"),
]  # fmt: skip


@pytest.mark.parametrize(("effects", "wrong"), [
    (GOOD, set()), *(([*GOOD, again], {"duplicates"}) for again in (GOOD[0], GOOD[2], GOOD[3])), (GOOD[1:], {"lost"}),
    ([*GOOD, effect("post.create", content="never planned")], {"strays"}),
    ([*GOOD, effect("target.requeue", post="post_1", target="pp_other")], {"strays"}),
])  # fmt: skip
def test_the_count_fails_for_whatever_happened_again_or_unasked_or_never(effects, wrong):
    found = count(WANTED, effects, {"pp_1": "acc_1"})
    assert {kind for kind in ("duplicates", "strays", "lost") if getattr(found, kind)} == wrong
    assert found.holds is not bool(wrong)


def test_what_is_reported_as_unsettled_is_not_lost():
    assert count(WANTED, GOOD[1:], {"pp_1": "acc_1"}, unsettled={("create", "a", "")}).holds


AT = "2026-03-02T09:%02d:00+00:00"


def request(host, minute, status=500):
    return {"at": AT % minute, "host": f"{host}:80", "key": "k", "status": status}


@pytest.mark.parametrize(("kind", "status", "second", "ledgers", "why"), [
    ("create", 500, request("localhost", 1), 2, None), ("create", 500, request("localhost", 1), 1, "one ledger did it twice"),
    ("create", 500, request("127.0.0.1", 1), 2, "one ledger did it twice"), ("create", 200, request("localhost", 1), 2, None),
    ("create", 500, request("localhost", 2), 2, "the other ledger could have seen it"), ("requeue", 500, request("localhost", 2), 2, None),
    ("requeue", 500, request("localhost", 4), 2, "the other ledger could have seen it"), ("requeue", None, request("localhost", 1), 2, None),
    ("requeue", 200, request("localhost", 1), 2, "the server knew its key"),
])  # fmt: skip
def test_what_happened_twice_is_classed_by_the_servers_record(kind, status, second, ledgers, why):
    """The first was executed at 9:00, and answered with this status; lists are a minute behind."""
    effects = [effect(kind, at=AT % 0), effect(kind, request=2)]
    record = {1: request("127.0.0.1", 0, status), 2: second}
    assert broken((kind, "a", ""), effects, record, ledgers=ledgers) == why
