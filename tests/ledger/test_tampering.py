"""Whether a stored operation is one of ours: every act may make its own calls alone, and each part that is changed shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.engine.shown import STAMP, campaign, fix, redeliver, retry, state

from voxops._support.canonical import canonical
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.operation import Member, Operation, Subject
from voxops.acts.table import ACTS
from voxops.acts.update import plan_update
from voxops.api.matrix import find
from voxops.ledger import Ledger, Stored
from voxops.ledger.tampering import why_tampered

BYTES, KEY, NO_ACT = (
    "its bytes are not what its rows ask for",
    "its key is not that of its parts",
    "it is no act of voxops",
)
SUBJECT = "its call is not about its subject"
CAMPAIGN = pd.DataFrame(
    {"row_id": ["a", "b"], "content": ["a", "b"], "accounts": "twitter:@x", "scheduled_for": "2027-01-01T00:00:00Z"}
)


def planned(action: str) -> Operation:
    """An operation of an act, as it is bound."""
    cancelled = pd.DataFrame({"post_id": ["post_1"], "status": ["draft"], "updated_at": [STAMP]})
    changed = pd.DataFrame({"post_id": ["post_1"], "status": ["scheduled"], "new_content": ["C"]})
    changed["updated_at"] = pd.to_datetime(pd.Series([STAMP]), utc=True).astype("datetime64[us, UTC]")
    plans: dict[str, Any] = {
        "retry": lambda: retry(state("failed", "failed")),
        "fix": lambda: fix(state("failed")),
        "cancel": lambda: plan_cancel(cancelled),
        "create": lambda: plan_create(CAMPAIGN, key="row_id"),
        "create_one": lambda: plan_create(CAMPAIGN, key="row_id", one_by_one=True),
        "redeliver": lambda: redeliver("d"),
        "update": lambda: plan_update(changed),
    }
    plan = plans[action]()
    operation: Operation = plan.operations[0]
    if action in {"create", "create_one"}:
        return plan.act.resolve(operation, {"twitter:@x": "acc_7"})
    return operation


ACTIONS = ("retry", "fix", "cancel", "create", "create_one", "redeliver", "update")
ROWS = {"retry": {5, 10}, "fix": {10}, "cancel": {6}, "create": {11}, "create_one": {1}, "redeliver": {39}, "update": {2}}  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def stored(ledger: Ledger, operation: Operation) -> tuple[Stored, list[Member]]:
    op = ledger.forming.add(operation, baseline=None)
    return ledger.operations.get(op), ledger.operations.members(op)


def test_all_acts_are_tried_here():
    assert set(ACTIONS) == set(ACTS)


@pytest.mark.parametrize("action", ACTIONS)
def test_what_voxops_has_formed_is_its_own(ledger, action):
    assert why_tampered(*stored(ledger, planned(action))) == ""


@pytest.mark.parametrize("action", ACTIONS)
def test_an_act_makes_its_own_calls_alone(ledger, action):
    found, members = stored(ledger, planned(action))
    for other in ACTIONS:
        call = planned(other)
        endpoint = find(call.method, call.path)
        assert endpoint is not None
        said = why_tampered(replace(found, method=call.method, path=call.path), members)
        strange = f"its call is none of an act to {ACTS[action].verb}"
        assert (said == strange) is (endpoint.row not in ROWS[action]), other
    assert (
        why_tampered(replace(found, path="/v1/elsewhere"), members)
        == f"its call is none of an act to {ACTS[action].verb}"
    )
    assert why_tampered(replace(found, action="boost"), members) == NO_ACT
    assert why_tampered(found, []) == NO_ACT
    assert why_tampered(replace(found, key="another"), members) == KEY


@pytest.mark.parametrize("action", ["retry", "fix", "redeliver", "update"])
def test_an_act_is_about_its_subject_and_asks_what_its_rows_ask(ledger, action):
    found, members = stored(ledger, planned(action))
    elsewhere = Subject(found.subject.kind, "other", found.subject.parent)
    other = [replace(each, item=replace(each.item, subject=elsewhere)) for each in members]
    assert why_tampered(found, other) == SUBJECT
    assert why_tampered(replace(found, subject=elsewhere), other) == SUBJECT, "its path says another"
    assert why_tampered(replace(found, body=b'{"content":"mine"}'), members) == BYTES
    if found.body is not None:
        assert why_tampered(replace(found, body=None), members) == BYTES


def test_every_row_must_be_about_the_subject(ledger):
    found, members = stored(ledger, planned("retry"))
    last = replace(members[1], item=replace(members[1].item, subject=Subject("post", "other")))
    assert why_tampered(found, [members[0], last]) == SUBJECT


@pytest.mark.parametrize("action", ["create", "create_one"])
def test_a_create_asks_what_its_rows_ask_but_for_names_that_were_resolved(ledger, action):
    found, members = stored(ledger, planned(action))
    whole = json.loads(found.body or b"")
    body = whole["posts"][0] if action == "create" else whole

    def with_other(**fields: Any) -> Stored:
        posts = (
            {**whole, "posts": [{**body, **fields}, *whole["posts"][1:]]} if action == "create" else {**body, **fields}
        )
        return replace(found, body=canonical(posts))

    assert why_tampered(with_other(accountIds=["acc_9"]), members) == "", (
        "which account a name is, is found when it is bound"
    )
    assert why_tampered(with_other(metadata={}), members) == ""
    assert why_tampered(with_other(content="mine"), members) == BYTES
    assert why_tampered(with_other(scheduledFor="2026-01-01T00:00:00Z"), members) == BYTES
    assert why_tampered(with_other(isDraft=True), members) == BYTES
    assert why_tampered(replace(found, body=b"{}"), members) == BYTES
    assert why_tampered(replace(found, body=None), members) == BYTES


def test_a_batch_has_a_body_for_each_row_in_their_order(ledger):
    found, members = stored(ledger, planned("create"))
    whole = json.loads(found.body or b"")
    for posts in (whole["posts"][:1], [*whole["posts"], whole["posts"][0]], whole["posts"][::-1]):
        assert why_tampered(replace(found, body=canonical({**whole, "posts": posts})), members) == BYTES
    assert why_tampered(found, members[:1]) == BYTES


def test_a_row_that_asks_nothing_is_none_of_ours(ledger):
    found, (member,) = stored(ledger, campaign("a").operations[0])
    assert why_tampered(found, [replace(member, item=replace(member.item, body=None))]) == BYTES
