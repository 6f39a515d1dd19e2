"""Reading just before a plan is bound, and again before what was bound long ago is sent: what is read, and what it changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.engine.shown import NOW, Bench, campaign, made_post, redeliver, retry, run_now, state

from voxops.acts.create import CREATE, resolved
from voxops.acts.made import Made, made_of, shown_of_body
from voxops.acts.plan import Plan
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import CREATES_FRESH_FOR, FRESH_FOR, LOOKBACK, LOOKBACK_WAITING, SKEW
from voxops.engine.created import Listed
from voxops.engine.facts import Facts
from voxops.engine.learning import learn
from voxops.engine.preflight import (
    LIKELY,
    SINCE,
    _look_again,
    _verdicts,
    is_stale,
    list_created,
    read_again,
    read_facts,
    renew,
)


class Client:
    """A client that knows the time and some accounts."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.asked: list[str] = []

    def now(self) -> Any:
        return self._bench.now

    async def pages(self, path: str, _: Any) -> AsyncIterator[Any]:
        self.asked.append(path)
        yield SimpleNamespace(records=[{"platform": "twitter", "username": "x", "id": "acc_7"}])


@pytest.fixture
def client(bench: Bench) -> Client:
    return Client(bench)


def facts_of(bench: Bench, client: Any, plan: Plan) -> Facts:
    reader: Any = bench.server
    found: Facts = run_now(read_facts(client, reader, bench.ledger, plan))
    assert found.now == bench.now
    return found


def test_posts_are_looked_for_where_the_frame_saw_most_of_them(bench, client):
    shown = [
        state("failed", post_id=name, status=status)
        for name, status in (("a", "partial"), ("b", "failed"), ("c", "failed"))
    ]
    bench.server.states = {each.post_id: each for each in shown}
    found = facts_of(bench, client, retry(*shown))
    assert found.posts == bench.server.states
    assert (bench.server.read, bench.server.expected) == (["posts a b c"], [["failed", "partial"]])
    assert (found.deliveries, found.accounts, found.listed) == ({}, {}, None)


def test_deliveries_are_read_webhook_by_webhook(bench, client):
    bench.server.sent = {"d": {"success": False}, "e": {"success": True}}
    found = facts_of(bench, client, redeliver("d", "e"))
    assert found.deliveries == bench.server.sent
    assert bench.server.read == ["deliveries w d e"]
    assert found.posts == {}


def test_accounts_are_read_only_where_a_plan_names_some(bench, client):
    assert facts_of(bench, client, campaign("a")).accounts == {}
    assert client.asked == []
    assert dict(facts_of(bench, client, campaign("a", accounts="acc;twitter:@x")).accounts)["twitter:@x"] == "acc_7"
    assert client.asked == ["/v1/accounts"]


def test_rule_13_creates_look_back_a_month_and_later_on_to_what_was_seen_last(bench, client):
    first = made_post(
        {"content": "x", "accountIds": ["o"], "metadata": {"voxopsOp": "a" * 32}}, "post_1", NOW.isoformat()
    )
    bench.server.listed = [first]
    found = facts_of(bench, client, campaign("a"))
    assert found.listed is not None
    assert list(found.listed.posts) == ["post_1"]
    bench.ledger.marks.learn([], latest=NOW.isoformat())
    run_now(list_created(client, bench.server, bench.ledger))
    assert bench.server.since == [NOW - timedelta(seconds=LOOKBACK), NOW - timedelta(seconds=SKEW)]
    assert bench.server.waiting_since == [NOW - timedelta(seconds=LOOKBACK_WAITING), None]
    assert bench.server.on_top == [False, False]


def test_rule_13_an_empty_workspace_is_looked_through_once_and_then_from_there_on(bench, client):
    def read() -> None:
        learn(bench.ledger, run_now(list_created(client, bench.server, bench.ledger)))

    month, waiting = timedelta(seconds=LOOKBACK), timedelta(seconds=LOOKBACK_WAITING)
    first = bench.now
    read()
    bench.at(40 * 86_400)  # a month before now would be after what others have made since the first sight
    read()
    bench.at(0)
    read()
    assert bench.server.since == [first - month] * 3
    assert bench.server.waiting_since == [first - waiting, None, None]
    assert bench.ledger.marks.looked_through == first.timestamp()


def test_rule_13_a_first_sight_in_the_future_is_none(bench, client):
    """A server's or a proxy's clock that was ahead then: what was made before it would never be read."""
    bench.at(86_400)
    learn(bench.ledger, run_now(list_created(client, bench.server, bench.ledger)))
    bench.at(0)
    learn(bench.ledger, run_now(list_created(client, bench.server, bench.ledger)))
    assert bench.server.waiting_since == [
        NOW + timedelta(seconds=86_400 - LOOKBACK_WAITING),
        NOW - timedelta(seconds=LOOKBACK_WAITING),
    ]
    assert bench.ledger.marks.looked_through == NOW.timestamp()


def test_a_plan_without_rows_reads_no_list(bench, client):
    empty = campaign("a", scheduled_for="soon")
    assert not empty.items
    assert facts_of(bench, client, empty).listed is None
    assert bench.server.since == []


# -- again, before it is sent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "fresh"), [("create", CREATES_FRESH_FOR), ("post", FRESH_FOR)])
def test_rule_01_a_reading_is_fresh_for_a_while_to_the_second(bench, kind, fresh):
    (op,) = bench.bind(campaign("a")) if kind == "create" else bench.bind(retry(state("failed")), state("failed"))
    operation, read = bench.ledger.operations.get(op), NOW.timestamp()
    stale = [is_stale(operation, read + age) for age in (-0.001, 0.0, 0.5, fresh, fresh + 0.001)]
    assert stale == [True, False, False, False, True]


def renewed(bench: Bench, client: Any, *ops: int) -> dict[int, str]:
    held: dict[int, str] = run_now(
        renew(client, bench.server, bench.ledger, bench._commit, [bench.get(op) for op in ops])  # type: ignore[arg-type]
    )
    return held


def test_acts_are_read_again_by_what_they_are_about_and_those_that_changed_are_held(bench, client):
    shown = [state("failed", post_id=name) for name in ("a", "b")]
    one, two = bench.bind(retry(*shown), *shown)
    plan = redeliver("d")
    seen = dict(plan.items[0].seen)
    (three,) = bench.bind(plan, deliveries={"d": seen})
    later = replace(shown[1], updated_at="2026-03-02T09:00:10+00:00")
    single = replace(shown[0], source="single")
    bench.server.states, bench.server.sent = {"a": single, "b": later}, {"d": seen}
    bench.at(100)
    held = renewed(bench, client, one, two, three)
    assert held == {two: str(Reason("changed_since_loaded", fields="updated_at"))}
    assert bench.server.read == ["posts a b", "deliveries w d"]
    assert bench.server.expected == [list(LIKELY)]
    assert [bench.get(op).read for op in (one, two, three)] == [
        bench.now.timestamp(),
        NOW.timestamp(),
        bench.now.timestamp(),
    ]
    assert (bench.get(one).baseline or {})["source"] == "single"
    assert bench.server.since == [], "no list of what was created is read for them"
    assert LIKELY == ("failed", "partial", "scheduled", "draft")


def shown_to(bench: Bench, op: int, position: int, post_id: str = "post_9", **other: Any) -> None:
    """Let the list show a post for a row of a batch."""
    body = CREATE.bodies(bench.get(op).body)[position]
    bench.server.listed = [made_post({**body, **other}, post_id, NOW.isoformat())]


@pytest.mark.parametrize("latest", [None, NOW.isoformat()])
def test_of_a_list_that_was_read_before_the_top_is_enough(bench, client, latest):
    (op,) = bench.bind(campaign("a", "b"))
    bench.ledger.marks.learn([], latest=latest, looked_through=NOW.timestamp())
    bench.at(100)
    assert renewed(bench, client, op) == {}
    assert bench.server.on_top == [True]


def test_creates_that_nobody_made_meanwhile_are_as_they_were_and_read_just_now(bench, client):
    (op,) = bench.bind(campaign("a", "b"))
    bench.at(100)
    assert renewed(bench, client, op) == {}
    assert (bench.state(op), bench.outcomes(op)) == ("planned", ["pending", "pending"])
    assert bench.get(op).read == bench.now.timestamp()
    assert bench.server.read == ["learnt"]
    assert len(bench.server.since) == 1


def test_rule_27_creates_that_are_there_by_now_are_settled_and_the_rest_get_a_batch_of_their_own(bench, client):
    (op,) = bench.bind(campaign("a", "b", "c"))
    bodies = CREATE.bodies(bench.get(op).body)
    shown_to(bench, op, 1)
    bench.at(100)
    assert renewed(bench, client, op) == {}
    assert (bench.state(op), bench.outcomes(op)) == ("settled", ["succeeded"])
    assert bench.ledger.operations.members(op)[0].result_id == "post_9"
    fresh = bench.get(op + 1)
    assert (fresh.state, fresh.shrunk, CREATE.bodies(fresh.body)) == ("planned", True, [bodies[0], bodies[2]])
    assert bench.ledger.marks.listed == NOW.isoformat()


@pytest.mark.parametrize(("now", "outcome"), [("scheduled", "succeeded"), ("cancelled", "blocked"), (None, "blocked")])
def test_rule_30_what_a_list_shows_to_be_back_is_read_by_itself_before_a_create_goes_out(bench, client, now, outcome):
    """It was approved while the lists were read; or they lag. No other post is read again."""
    (op,) = bench.bind(campaign("a"))
    body, created = CREATE.bodies(bench.get(op).body)[0], (NOW - timedelta(days=1)).isoformat()
    back, other = (
        made_post(body, "post_9", created),
        made_post(body | {"metadata": {}, "content": "b"}, "post_8", created),
    )
    gone = replace(back, status="cancelled")
    bench.ledger.marks.learn(
        [made_of(gone), replace(made_of(gone), post_id="post_8", status="scheduled", op_mark="b", row_mark="b")]
    )
    bench.server.states, bench.server.listed = {"post_9": gone}, [replace(back, metadata=None), other]

    async def read_now(post_id: str) -> PostState | None:
        bench.server.read.append(f"post {post_id}")
        return None if now is None else replace(back, status=now, source="single")

    bench.server.post = read_now
    bench.at(100)
    renewed(bench, client, op)
    assert [line.strip() for line in bench.server.read if line != "posts "] == ["posts post_9", "post post_9", "learnt"]
    assert bench.outcomes(op) == [outcome]
    assert bench.ledger.marks.of_posts(["post_9"])["post_9"].status == (now or "deleted")
    assert not bench.ledger.marks.show, "what a single reading shows says nothing of lists"


def test_before_a_create_goes_out_late_only_posts_are_read_again_that_may_be_live_by_now(bench, client):
    """Its row's own, taken back, and one made by hand that looks like it and is none yet; no deleted one, and no other row's."""
    (op,) = bench.bind(campaign("a"))
    body = CREATE.bodies(bench.get(op).body)[0]
    own = replace(made_of(made_post(body, "own", NOW.isoformat())), status="cancelled")
    hand = replace(own, post_id="hand", status="draft", op_mark=None, row_mark=None, asked=None)
    bench.ledger.marks.learn(
        [
            own,
            hand,
            replace(own, post_id="deleted", status="deleted"),
            replace(hand, post_id="deleted by hand", status="deleted"),
            replace(hand, post_id="of another row", row_mark="b"),
        ]
    )
    approved = replace(made_post(body, "hand", NOW.isoformat(), marked=False), source="single")
    bench.server.states = {"own": made_post(body, "own", NOW.isoformat()), "hand": approved}
    bench.at(100)
    renewed(bench, client, op)
    assert bench.server.read[0] == "posts hand own"
    assert {name: one.status for name, one in bench.ledger.marks.of_posts(["own", "hand"]).items()} == {
        "own": "scheduled",
        "hand": "scheduled",
    }


def test_posts_that_waited_are_looked_for_where_they_may_be_by_now_behind_what_the_others_were(bench):
    """Each list that is asked for in vain is a request."""
    waits = replace(
        made_of(made_post({"content": "a", "accountIds": ["x"], "metadata": {"voxopsOp": "a" * 32}}, "p", ""))
    )
    known = [waits, replace(waits, post_id="q", status="rejected")]
    run_now(read_again(bench.server, known, {}))
    assert bench.server.expected == [
        ["rejected", "publishing", "pending", "published", "cancelled", "failed", "partial"]
    ]


def test_posts_that_are_live_already_are_not_read_again_before_a_create(bench, client):
    (op,) = bench.bind(campaign("a"))
    body = CREATE.bodies(bench.get(op).body)[0]
    hand = replace(made_of(made_post(body, "hand", NOW.isoformat())), op_mark=None, row_mark=None)
    bench.ledger.marks.learn([hand])
    bench.at(100)
    renewed(bench, client, op)
    assert bench.server.read == ["learnt"]


def test_rule_13_a_create_that_must_not_be_made_any_more_is_blocked_and_says_why(bench, client):
    (op,) = bench.bind(campaign("a", "b"))
    marks = CREATE.bodies(bench.get(op).body)[0]["metadata"]
    shown_to(bench, op, 0, content="other words", metadata={**marks, "voxopsAsked": "e" * 32})
    renewed(bench, client, op)
    (member,) = bench.ledger.operations.members(op)
    assert (bench.state(op), str(member.outcome)) == ("settled", "blocked")
    assert member.waiting_for.startswith("already posted as post_9 with other content")
    assert bench.outcomes(op + 1) == ["pending"]


def test_a_batch_that_another_sender_has_taken_is_left_to_it_and_the_next_one_is_not(bench, client):
    (taken,) = bench.bind(campaign("a"))
    (op,) = bench.bind(campaign("b"))
    looked_up = [bench.get(each) for each in (taken, op)]
    bench.doubt(taken)
    body = CREATE.bodies(bench.get(taken).body)[0]
    bench.server.listed = [made_post(body, "post_9", NOW.isoformat())]
    bench.at(100)
    run_now(renew(client, bench.server, bench.ledger, bench._commit, looked_up))
    assert (bench.state(taken), bench.outcomes(taken)) == ("unknown", ["unknown"])
    assert bench.get(op).read == bench.now.timestamp()


def test_a_row_that_was_put_into_a_batch_by_hand_is_judged_by_nothing(bench):
    (op,) = bench.bind(campaign("a", "b"))
    members, bodies = bench.ledger.operations.members(op), CREATE.bodies(bench.get(op).body)
    assert set(_verdicts(bench.ledger, members, bodies)) == {0, 1}
    assert set(_verdicts(bench.ledger, members, bodies[:1])) == {0}, "the bytes hold no such row, so it is never sent"


def test_rule_26_rows_of_one_batch_that_look_alike_stay_both(bench, client):
    (op,) = bench.bind(campaign("a", "b", content="same", twin=True))
    bench.at(100)
    shown_to(bench, op, 0)
    renewed(bench, client, op)
    assert (bench.state(op), bench.outcomes(op), bench.outcomes(op + 1)) == ("settled", ["succeeded"], ["pending"])


class Asked:
    """A reader that notes what it is asked for; nothing exists."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    async def posts(self, ids: Any, expect: Any) -> dict[str, PostState]:
        self.ids |= set(ids)
        return {}


def asked_for(bench: Bench, plan: Plan, *known: Made) -> set[str]:
    """Posts that are read before a plan is bound, of those that are known."""
    bench.ledger.marks.learn(known)
    reader = Asked()
    run_now(_look_again(cast("Any", reader), bench.ledger, plan, {}, Listed()))
    bench.ledger.query("DELETE FROM made")
    return reader.ids


def test_what_is_remembered_is_read_again_where_it_decides_and_only_there(bench):
    plan = campaign("a")
    item = plan.items[0]
    shown = shown_of_body(resolved(item, {}))
    row = Made("post_1", NOW.isoformat(), "cancelled", item.mark, item.row_mark, shown="s")
    other = replace(row, op_mark="of another", row_mark="of another")
    hand = Made("post_1", NOW.isoformat(), "scheduled", shown=shown)
    for wanted in (
        row, replace(row, status="draft"), replace(row, op_mark=None), replace(row, row_mark=None), hand,
        replace(hand, status="cancelled"), replace(other, shown=shown), replace(other, shown=shown, status="failed"),
    ):  # fmt: skip
        assert asked_for(bench, plan, wanted) == {"post_1"}, wanted
    for idle in (
        replace(row, status="scheduled"), replace(row, status="failed"), replace(row, status="deleted"), other,
        replace(hand, shown="s"), replace(hand, shown="s", status="cancelled"), replace(other, shown=shown, status="published"),
    ):  # fmt: skip
        assert asked_for(bench, plan, idle) == set(), idle


def test_what_waits_no_longer_is_looked_for_where_it_may_have_gone(bench):
    """Not in the list in which it stood, which was read just now."""
    rows = [
        Made(f"post_{number}", NOW.isoformat(), status) for number, status in enumerate(["scheduled", "odd", "failed"])
    ]
    run_now(read_again(bench.server, rows, {}))
    (expected,) = bench.server.expected
    assert sorted(expected) == sorted({"odd", *SINCE})


def test_what_was_listed_just_now_is_read_again_only_where_a_list_brings_it_back(bench):
    row = Made("post_1", NOW.isoformat(), "cancelled", "op", "row")
    there = PostState("post_1", "scheduled")
    for shown in (replace(there, status="cancelled"), replace(there, source="single")):
        reader = Asked()
        assert run_now(read_again(cast("Any", reader), [row], {"post_1": shown, "post_2": there})) == {"post_1": shown}
        assert reader.ids == set()
    bench.server.states = {"post_1": replace(there, source="single")}
    assert run_now(read_again(bench.server, [row], {"post_1": there})) == bench.server.states


def test_a_next_attempt_reads_what_its_row_has_made_and_a_twin_nothing_that_it_looks_like(bench):
    again = campaign("a", attempt=2)
    item = again.items[0]
    row = Made("post_1", NOW.isoformat(), "scheduled", item.mark, item.row_mark)
    assert asked_for(bench, again, row) == {"post_1"}
    assert asked_for(bench, again, replace(row, row_mark=None)) == {"post_1"}
    assert asked_for(bench, again, replace(row, op_mark="x", row_mark="x")) == set()
    assert asked_for(bench, again, replace(row, status="deleted")) == set()
    assert asked_for(bench, campaign("a"), row) == set()
    twin = campaign("a", twin=True)
    hand = Made("post_2", NOW.isoformat(), "scheduled", shown=shown_of_body(resolved(twin.items[0], {})))
    assert asked_for(bench, twin, hand) == set()
    assert asked_for(bench, campaign("a"), hand) == {"post_2"}
