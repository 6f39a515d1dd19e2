"""Living with it: two senders, stopping, other API keys, forgetting, and where the ledger lives (rules 21 to 25)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes
from tests.engine.steps import (
    HELD,
    HOUR,
    RETRY,
    killed,
    let_go,
    plan_rows,
    post,
    wait_for,
)
from tests.virtual import workspace

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.api.reasons import beginning
from voxops.errors import LedgerError
from voxops.ledger import audit
from voxops.ledger import file as ledger_file


def held_from_the_sixth() -> list[Fault]:
    """Five retries are answered; of the others as many as may be under way at once are held up."""
    return [Fault(action="delay", method="POST", path=RETRY, seconds=HELD, nth=number) for number in range(6, 31)]


def test_rule_21_two_senders_on_one_ledger_do_everything_once(rig):
    world.plant_posts(rig.sandbox, 40)
    one, two = rig.kernel(), rig.kernel()
    plans = [plan_retry(one.triaged()), plan_rows(rig, 200)]
    wanted = set().union(*map(expected, plans))
    works = [(kernel, run, kernel.start(run)) for plan in plans for kernel in (one, two) for run in [kernel.bind(plan)]]
    for _, _, work in works:
        work.result(60)
    assert rig.count(wanted).holds
    assert rig.count(wanted).effects == len(wanted)
    for kernel, run, _ in works:
        assert set(outcomes(kernel.results(run))) == {"succeeded"}
    keys_sent = Counter(entry["key"] for entry in rig.acts())
    assert max(keys_sent.values()) == 1, "nobody repeated the other"


def test_rule_21_a_lease_outlives_its_sender_and_no_longer(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    first, second = rig.kernel(), rig.kernel()
    run = first.bind(plan_retry(first.triaged()))
    killed(rig, first, run, RETRY)
    assert second.ledger.claims.expire() == 0, "the lease still holds"
    rig.sandbox.advance(91)
    assert second.ledger.claims.expire() == 1
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_21_whoever_wakes_late_writes_nothing_over(rig):
    """A sender is suspended with the answer in hand; meanwhile another has settled the operation by reading."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    sleeper, other = rig.kernel(), rig.kernel()
    run = sleeper.bind(plan_retry(sleeper.triaged()))
    answered = sleeper.engine.sender._answered

    async def late(drive: Any, claim: Any, reply: Any) -> None:
        await asyncio.to_thread(lambda: rig.sandbox.advance(200))
        await other._go(run)
        await answered(drive, claim, reply)

    sleeper.engine.sender._answered = late
    sleeper.go(run)
    assert outcomes(sleeper.results(run)) == {"succeeded": 1}
    assert sleeper.ledger.operations.of_run(run, ("settled",))
    assert rig.effects("post.retry") == 1


def test_rule_21_a_batch_is_not_formed_anew_while_another_sends_it(rig):
    """One sender finds a row late and would re-form the batch; the other has it already under way, as it was."""
    kernel, other = rig.kernel(), rig.kernel()
    frame = rig.campaign(4)
    frame.loc[0, "scheduled_for"] = (rig.sandbox.now() + timedelta(minutes=30)).isoformat()
    run = kernel.bind(plan_create(frame, key="row_id"))
    stored = kernel.ledger.operations.of_run(run)[0]
    claim = other.ledger.claims.claim(
        other.ledger.claims.clear(stored),
        owner="o",
        credential="c",
        server_now=other.client.now().timestamp(),
        deadline=HOUR,
    )
    rig.sandbox.advance(HOUR)
    eventloop.run(kernel.client.identity())
    assert eventloop.run(kernel.engine.sender._preparer._drop_past(kernel.ledger.claims.clear(stored))) is None
    assert kernel.ledger.operations.get(stored.id).state == "sent"
    assert len(kernel.ledger.operations.members(claim.operation.id)) == 4
    assert len(kernel.ledger.operations.of_run(run)) == 1


def test_rule_21_readings_age_in_the_servers_time(rig, tmp_path):
    """A day passes at the server, in which a colleague retries the post, while hardly a second passes on this machine."""
    world.plant_posts(rig.sandbox, 4, targets=1)
    rig.sandbox.set_switches(recovery_rate=0.0)  # it fails again, with the same error
    with (
        workspace(rig.sandbox, ledger=tmp_path / "mine") as mine,
        workspace(rig.sandbox, ledger=tmp_path / "theirs") as theirs,
    ):
        plan = plan_retry(vx.triage(vx.targets(mine.posts(status="failed"))))
        bound = eventloop.run(mine._session.engine.bind(plan, None))
        theirs.run(plan).wait()
        assert rig.effects("post.retry") == 4
        rig.sandbox.advance(26 * HOUR)  # the server has forgotten the keys
        run = mine.attach(bound).resume().wait()
        assert rig.effects("post.retry") == 4
        assert run.results()["waiting_for"].str.startswith(beginning("changed_since_loaded")).fillna(False).all()


def test_rule_22_a_paused_run_sends_nothing_more_and_attaching_sends_nothing(rig):
    world.plant_posts(rig.sandbox, 30, targets=1)
    first = rig.kernel()
    plan = plan_retry(first.triaged())
    run = first.bind(plan)
    execution = first.execution(run)
    rig.sandbox.add_fault(*held_from_the_sixth())
    work = eventloop.submit(execution.go())
    wait_for(lambda: len(rig.acts()) >= 10)
    pausing = eventloop.submit(execution.pause())
    let_go(rig)
    pausing.result(30)
    sent = len(rig.acts())
    assert 10 <= sent < 30
    work.result(60)
    assert len(rig.acts()) == sent
    second = rig.kernel()
    eventloop.run(second.execution(run, paused=True).go())
    assert len(rig.acts()) == sent
    assert outcomes(second.results(run)) == {"succeeded": sent, "pending": 30 - sent}
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 30}
    assert rig.count(expected(plan)).holds


def test_rule_22_leaving_the_workspace_stops_sending_settles_and_says_how_to_go_on(rig, tmp_path, capsys):
    world.plant_posts(rig.sandbox, 30, targets=1)
    rig.sandbox.add_fault(*held_from_the_sixth())

    def let_go_on_leaving() -> None:
        wait_for(lambda: run._job.current.control.closed)
        let_go(rig)

    with (
        ThreadPoolExecutor() as beside,
        vx.connect(rig.sandbox.api_key, url=rig.sandbox.url, ledger=tmp_path / "left.sqlite") as ws,
    ):
        plan = vx.plan_retry(vx.triage(vx.targets(ws.posts(status="failed"))))
        run = ws.run(plan)
        wait_for(lambda: len(rig.acts()) >= 10)
        beside.submit(let_go_on_leaving)
    sent = len(rig.acts())
    assert sent < 30
    time.sleep(0.2)
    assert len(rig.acts()) == sent
    assert f"ws.attach('{run.id}')" in capsys.readouterr().out
    with closing(sqlite3.connect(tmp_path / "left.sqlite")) as db, db:
        assert db.execute("SELECT count(*) FROM operations WHERE state = 'sent'").fetchone() == (0,)
    with workspace(rig.sandbox, ledger=tmp_path / "left.sqlite") as ws:
        again = ws.attach(run.id)
        again.wait(30)
        assert len(rig.acts()) == sent
        again.resume().wait(60)
        assert outcomes(again.results()) == {"succeeded": 30}
    assert rig.count(expected(plan)).holds


def test_rule_23_under_another_key_an_unknown_is_never_resent_but_read(rig):
    """Keys belong to an API key: what another one sent is unknown to the server, so a resend would act twice."""
    world.plant_posts(rig.sandbox, 2)
    first = rig.kernel()
    plan = plan_retry(first.triaged())
    run = first.bind(plan)
    rig.sandbox.add_fault(
        *post({"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}, path=RETRY)
    )
    work = first.start(run)
    wait_for(lambda: len(rig.acts()) == 2)
    first.kill(work)
    rig.sandbox.advance(100)
    second = rig.kernel(api_key="vb_test_second")
    second.go(run)
    table = second.results(run)
    assert outcomes(table) == {"succeeded": len(table)}
    assert rig.count(expected(plan)).holds
    again = [datetime.fromisoformat(entry["at"]) for entry in rig.acts() if entry["api_key"] == "vb_test_second"]
    assert all(at - datetime.fromisoformat(rig.acts()[1]["at"]) >= timedelta(minutes=5) for at in again)


def test_rule_23_the_key_is_kept_as_a_salted_fingerprint_only(rig):
    one, two = rig.kernel("one"), rig.kernel("two")
    assert one.ledger.fingerprint("vb_live_x") != two.ledger.fingerprint("vb_live_x")
    assert (
        one.ledger.fingerprint("vb_live_x")
        == one.ledger.fingerprint("vb_live_x")
        != one.ledger.fingerprint("vb_live_y")
    )
    one.run(plan_rows(rig, 2))
    one.close()
    assert rig.sandbox.api_key.encode() not in b"".join(path.read_bytes() for path in rig.folder.glob("one.sqlite*"))


def test_rule_23_without_an_identity_planning_works_and_running_refuses(rig, monkeypatch, tmp_path):
    rig.sandbox.set_switches(no_identity=True)
    world.plant_posts(rig.sandbox, 1)
    with vx.connect(rig.sandbox.api_key, url=rig.sandbox.url) as ws:
        plan = vx.plan_retry(vx.triage(vx.targets(ws.posts(status="failed"))))
        assert plan.eligible == 2
        with pytest.raises(LedgerError, match="identity"):
            ws.run(plan)
    assert rig.acts() == []
    path = ledger_file.default_path("api.voxburst.io", "ws_1")
    assert path.name == "api.voxburst.io-ws_1.sqlite"


def test_rule_24_forgetting_keeps_identity_and_outcome(rig):
    kernel = rig.kernel()
    plan = plan_rows(rig, 3)
    kernel.run(plan)
    dropped = audit.prune(kernel.ledger, datetime.now(UTC) + timedelta(days=400))
    assert dropped == 1
    assert kernel.ledger.query("SELECT count(*) FROM operations WHERE body IS NOT NULL OR reply IS NOT NULL")[0][0] == 0
    rig.sandbox.advance(30 * HOUR)
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": 3}
    assert table["result_id"].notna().all()
    assert set(rig.created().values()) == {1}


def test_rule_25_the_ledger_is_private_and_lives_in_the_data_folder(tmp_path):
    path = tmp_path / "deep" / "l.sqlite"
    ledger_file.open_database(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    import platformdirs

    assert str(ledger_file.default_path("h", "w")).startswith(platformdirs.user_data_dir("voxops", appauthor=False))


def test_rule_25_a_network_file_system_is_warned_of_and_refused_if_its_locks_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_file, "_file_system", lambda path: "nfs4")
    with pytest.warns(UserWarning, match="network file system"):
        db = ledger_file.open_database(tmp_path / "net.sqlite")
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "truncate"
    db.close()
    monkeypatch.setattr(ledger_file, "locks_hold", lambda path: False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(LedgerError, match="ledger="):
            ledger_file.open_database(tmp_path / "other.sqlite")
