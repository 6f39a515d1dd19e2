"""The monitor of a run: its whole history wherever it is attached, what others do to it, and what needs a person."""

from __future__ import annotations

from tests.views.steps import let_all_be_retried

import voxops as vx
from voxburst_sandbox import Fault
from voxops.views.view import render_html


def triaged(ws):
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))


def test_an_attached_run_shows_its_whole_history(sandbox, tmp_path):
    ledger = tmp_path / "ledger.sqlite"
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        first = ws.run(vx.plan_retry(triaged(ws)), reason="Monday's failures").wait(60)
    sandbox.advance(3600)
    acts = len(sandbox.requests(acting=True))
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        run, listed = ws.attach(first.id).wait(60), ws.runs().loc[first.id]
        shown, results = run.snapshot, run.results()
        assert shown.acts == acts > 0
        began = f"{listed['created_at']:%Y-%m-%d %H:%M:%S} by {listed['who']}"
        assert f"started {began} · reason: Monday's failures" in repr(run)
        last = results.sort_values("settled_at", kind="stable").iloc[-1]
        assert [shown.recent[0].at, len(shown.recent)] == [last["settled_at"], 8]
        ended = results.set_index("post_id")["outcome"]
        assert all(move.now in set(ended[[move.item]]) for move in shown.recent)
        assert shown.recent == first.snapshot.recent
    assert len(sandbox.requests(acting=True)) == acts


def test_a_run_that_is_only_watched_leaves_its_state_to_who_sends_and_says_once_why_it_stopped(sandbox, tmp_path):
    """The API refuses the key at the second retry, upon which the run stops."""
    let_all_be_retried(sandbox)
    sandbox.set_switches(recovery_rate=1.0)
    sandbox.add_fault(Fault("status", method="POST", path="/v1/posts/*/retry", status=401, code="UNAUTHORIZED", nth=2))
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        run = ws.run(vx.plan_retry(triaged(ws))).wait(60)
        watched = ws.attach(run.id).wait(60)
        assert (watched.snapshot.phase, ws.runs().loc[run.id, "state"]) == ("watching", "stopped")
        for held in (run, watched):
            assert held.results("pending")["waiting_for"].unique().tolist() == [run.snapshot.note]
            assert repr(held).count(run.snapshot.note) == 1
            assert "not sent yet" not in repr(held)


def test_what_is_in_no_ledger_is_not_to_be_attached(sandbox):
    with vx.connect(sandbox=sandbox) as ws:
        watched = ws.watch(ws.posts(status="scheduled").head(2)).wait(60)
        assert watched.snapshot.phase == "stopped"
        assert "ws.attach" not in repr(watched) + render_html(watched.snapshot)
