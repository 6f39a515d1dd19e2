"""Chaos on a small scale: real processes, kills in flight, faults; and a harness that can fail."""

from __future__ import annotations

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


AT = "2026-03-02T09:%02d:00+00:00"


def request(host: str, minute: int, *, key: str = "k", status: int | None = 500) -> dict[str, object]:
    return {"at": AT % minute, "host": f"{host}:80", "key": key, "status": status}


@pytest.mark.parametrize(("kind", "second", "ledgers", "why"), [
    ("create", request("localhost", 1), 2, None), ("create", request("localhost", 1), 1, "one ledger did it twice"),
    ("create", request("127.0.0.1", 1), 2, "one ledger did it twice"),
    ("create", request("localhost", 2), 2, "the other ledger could have seen it"), ("requeue", request("localhost", 2), 2, None),
    ("requeue", request("localhost", 4), 2, "the other ledger could have seen it"),
])  # fmt: skip
def test_what_happened_twice_is_classed_by_the_servers_record(kind, second, ledgers, why):
    """The first was executed at 9:00; lists are a minute behind."""
    effects = [effect(kind, AT % 0), effect(kind, AT % 9, request=2)]
    assert broken((kind, "a", ""), effects, {1: request("127.0.0.1", 0), 2: second}, ledgers=ledgers) == why


def test_a_retry_whose_key_the_server_knows_is_never_made_twice():
    effects = [effect("requeue", AT % 0), effect("requeue", AT % 1, request=2)]
    for status, why in ((200, "the server knew its key"), (503, None), (None, None)):
        record = {1: request("127.0.0.1", 0, status=status), 2: request("localhost", 1)}
        assert broken(("requeue", "a", ""), effects, record, ledgers=2) == why
        assert broken(("create", "a", ""), effects, record, ledgers=2) is None
