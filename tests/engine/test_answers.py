"""What an answer proves: items by index, refusals, pages of proxies, limits, and what stops a run (rules 8, 11 and 12)."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes, planned
from tests.engine.steps import BULK, RETRY, failing

from voxburst_sandbox import Fault
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.client import Answer
from voxops.client.transport import Transport


def test_rule_12_a_refusal_whose_answer_was_lost_is_failed_in_the_end(rig):
    """The sender was killed with a 400 in flight, which the server keeps under the key: every resend gets the same."""
    world.plant_posts(rig.sandbox, 1)
    kernel, frame = rig.kernel(), rig.campaign(1).assign(accounts="acc_unknown", force=True)
    kernel.killed(kernel.bind(plan_create(frame, key="row_id")), BULK)
    assert outcomes(rig.kernel().run(plan_create(frame, key="row_id"))) == {"failed": 1}
    assert len(rig.acts()) <= 3


def test_rule_12_whoever_keeps_a_row_out_with_a_page_has_refused_it_in_the_end(rig):
    rig.sandbox.add_fault(Fault("garbage", "POST", "/v1/posts", body="html", status=406, when="before", times=None))
    table = rig.kernel().run(rig.plan_rows(2, one_by_one=True))
    assert table["error_code"].tolist() == ["HTTP_406"] * 2
    assert len(rig.acts()) == 4, "once each, and once more when it was proved that nothing had come of it"


def test_rule_12_a_key_that_is_refused_stops_the_run_and_fails_nobody(rig):
    world.plant_posts(rig.sandbox, 40, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    refused = {"action": "status", "status": 403, "code": "AUTHORIZATION_ERROR"}
    rig.sandbox.add_fault(*failing(*({**refused, "nth": number} for number in range(5, 60)), path=RETRY))
    run = kernel.bind(plan)
    snapshot = kernel.go(run)
    assert (snapshot.phase, refused["code"] in snapshot.note, snapshot.count("failed")) == ("stopped", True, 0)
    assert len(rig.acts()) < 20
    rig.sandbox.clear_faults()
    kernel.go(run)
    assert rig.count(expected(plan)).holds


def test_rule_12_rows_of_a_batch_refused_as_a_whole_go_one_by_one_and_the_named_one_has_failed(rig):
    rig.sandbox.set_switches(record_bodies=True)
    kernel, refused = rig.kernel(), {"action": "status", "status": 400, "code": "VALIDATION_ERROR", "nth": 1}
    rig.sandbox.add_fault(*failing({**refused, "details": {"index": 3}}, path=BULK))
    table = kernel.run(rig.plan_rows(8))
    assert outcomes(table) == {"succeeded": 7, "failed": 1}
    fourth = json.loads(rig.acts()[0]["sent"])["posts"][3]["content"]
    assert table.loc[table["outcome"] == "failed", "content"].tolist() == [fourth]
    rig.sandbox.add_fault(*failing(refused, {**refused, "status": 422, "code": "", "nth": 2}, path=BULK))
    other = kernel.run(plan_create(rig.campaign(8, start=20), key="row_id"))
    assert outcomes(other) == {"succeeded": 7, "failed": 1}, "one row of its own was refused, too"
    rig.each_once(14)


@pytest.mark.parametrize(("account", "why"), [
    ("acc_expired", "expired"), ("acc_expired", ""), ("twitter:@aldercofee", "did you mean twitter:@aldercoffee?"),
])  # fmt: skip
def test_rule_12_a_row_on_an_expired_account_lets_no_other_wait_ten_seconds(rig, account, why):
    """README's job two: 96 rows, of which one is on such an account, or on none; the API refuses its whole batch, if it gets that far."""
    rig.sandbox.set_switches(bulk_refuses_whole=True)
    kernel, sheet, begun = rig.kernel(), rig.campaign(96), rig.sandbox.world.now()
    usual = rig.sandbox.world.accounts[sheet["accounts"][0]]
    rig.sandbox.world.accounts.save(replace(usual, id="acc_expired", username="expired", status="expired"))
    sheet.loc[40, "accounts"] = account
    table = kernel.run(planned(sheet.assign(force=not why)))
    assert outcomes(table) == {"succeeded": 95, "blocked" if why else "failed": 1}
    assert table["waiting_for"].dropna().str.contains(why, regex=False).all()
    rig.each_once(95)
    assert max(post.created_at for post in rig.sandbox.world.posts.values()) - begun <= 10_000


@pytest.mark.parametrize("rows", [4, 50])
def test_rule_12_a_batch_that_is_always_refused_fails_within_ninety_seconds(rig, rows):
    """Refused together and each by itself: told at once, as the server counts its time."""
    kernel, begun = rig.kernel(), rig.sandbox.now()
    rig.sandbox.add_fault(Fault("status", "POST", BULK, status=400, code="VALIDATION_ERROR", times=60))
    assert outcomes(kernel.run(rig.plan_rows(rows))) == {"failed": rows}
    assert rig.sandbox.now() - begun <= timedelta(seconds=90)
    assert len(rig.acts()) == rows + 1
    assert not rig.created()


BATCH = 50


def test_rule_12_a_429_on_one_of_three_batches_is_pending_and_the_others_do_not_wait_for_its_proof(rig):
    """Rule 12: of a batch it proves nothing, so this one is resent as after any answer; the others go on at Retry-After."""
    rig.sandbox.add_fault(Fault("retry_after", "POST", BULK, seconds=5))
    kernel, sheet, begun = rig.kernel(), rig.campaign(3 * BATCH), rig.sandbox.now()
    run = kernel.bind(planned(sheet))
    work = kernel.start(run)
    with rig.at(10):
        assert rig.effects("post.create") == 2 * BATCH
        left = kernel.results(run).query("outcome != 'succeeded'")
    work.result(60)
    results = kernel.results(run)
    assert rig.created() == dict.fromkeys(sheet["content"], 1)
    assert outcomes(results) == {"succeeded": 3 * BATCH}
    assert results["settled_at"].max() - begun < timedelta(seconds=100)
    sent = [datetime.fromisoformat(entry["at"]) - begun for entry in rig.acts()]
    assert not [after for after in sent if timedelta(0) < after < timedelta(seconds=5)], "nothing is sent in the pause"
    assert (outcomes(left), set(left["reason_code"])) == ({"pending": BATCH}, {"rate_limited"})


NO_LIST = [
    {"data": [], "error": {"code": "UPSTREAM_TIMEOUT", "message": "took too long"}}, {"success": False, "data": [], "message": "one shard is down"},
    {"message": "boom", "stack": []}, {"data": [{"code": "UPSTREAM_TIMEOUT"}]},
]  # fmt: skip


@pytest.fixture
def answers(monkeypatch):
    """Answer calls for which `answer` gives a body with it; they don't reach the server."""

    send_on = Transport.send

    def give(answer, status=200):
        async def send(self, call):
            if (body := answer(call)) is None:
                return await send_on(self, call)
            return Answer(f"{call.method} {call.path}", status, {}, json.dumps(body).encode())

        monkeypatch.setattr(Transport, "send", send)

    return give


@pytest.mark.parametrize("body", NO_LIST)
def test_rule_11_a_list_with_an_error_proves_no_absence(rig, answers, body):
    """The run ends, and says so; nothing is created again."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault("status", "POST", BULK, when="after", status=500))
    answers(lambda call: body if (call.method, call.path) == ("GET", "/v1/posts") and rig.created() else None)
    run = kernel.bind(rig.plan_rows(3))
    assert kernel.go(run).phase in {"stopped", "done"}
    assert outcomes(kernel.results(run)) == {"unknown": 3}
    rig.each_once(3)


@pytest.mark.parametrize("rows", [1, 2])
def test_rule_12_a_4xx_whose_items_can_never_be_read_has_refused_what_is_proved_absent(rig, answers, rows):
    def reject(call):
        posts = json.loads(call.body)["posts"] if call.path.endswith("/bulk") else None
        return posts and {"results": [{"index": index, "status": "rejected"} for index, _ in enumerate(posts)]}

    answers(reject, 422)
    assert outcomes(rig.kernel().run(rig.plan_rows(rows))) == {"failed": rows}
    assert rig.created() == {}
