"""Connect, work and close: with a wrong key, address or ledger, in scripts, and where the interpreter ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from tests.virtual import standing_still

import voxops as vx
from voxburst_sandbox import Fault, Sandbox


def test_a_workspace_shows_itself_without_its_key(sandbox, ws, plan, ledger):
    shown = ws._repr_html_()
    for part in ("Alder Coffee", sandbox.url, str(ledger), "rate limit"):
        assert part in shown
    assert sandbox.api_key not in shown
    assert repr(sandbox) == f"<Sandbox {sandbox.url}>"
    assert repr(Sandbox(empty=True)) == "<Sandbox (not started)>"
    assert repr(ws.aio) == f"<Awaitables of {sandbox.url}>"
    ws.name = "<script>alert(1)</script>"
    assert "<script" not in ws._repr_html_()
    assert "ledger.sqlite, no run in it yet<" in ws._repr_html_(), "a typo in the path starts an empty ledger"
    ws.run(plan).wait()
    assert "ledger.sqlite, 1 run in it<" in ws._repr_html_()


@pytest.mark.parametrize(
    ("status", "said"),
    [(200, "VOXBURST_API_URL"), (404, "VOXBURST_API_URL"), (302, "Redirects are not followed"), (502, "a web page")],
)
def test_a_wrong_address_is_said_at_once(sandbox, ledger, status, said):
    sandbox.add_fault(Fault("garbage", path="/v1/auth/me", body="html", status=status, times=None))
    with pytest.raises(vx.errors.ConfigError, match=said):
        vx.connect(sandbox=sandbox, ledger=ledger)


def test_an_identity_that_was_not_shown_is_asked_for_again(sandbox, plan, tmp_path):
    sandbox.set_switches(no_identity=True)
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "other.sqlite") as ws:
        with pytest.raises(vx.errors.LedgerError, match="identity"):
            ws.run(plan)
        assert "nothing can be run" in ws._repr_html_()
        sandbox.set_switches(no_identity=False)
        assert len(ws.run(plan).wait().results())
        assert ws.name == "Alder Coffee"
        assert len(ws.ledger()) == plan.eligible


def script(code: str, logged: str = "") -> str:
    """What a script prints; what it logs on stderr has this in it, and is nothing else."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert logged in done.stderr and bool(logged) == bool(done.stderr)
    return done.stdout


def test_a_script_that_ends_in_a_run_has_its_ledger_until_the_workspace_is_closed():
    code = (
        "from pathlib import Path\nimport voxops as vx\n"
        "ws = vx.connect(sandbox=True)\n"
        "run = ws.run(vx.plan_retry(vx.triage(vx.targets(ws.posts(status='failed')))))\n"
        "place, close = Path(ws._ledger.path), vx.Workspace.close\n"
        "def closed(self):\n"
        "    print(place.exists())\n    close(self)\n    print(place.parent.exists())\n"
        "vx.Workspace.close = closed\n"
    )
    assert script(code) == "True\nFalse\n"


SHEET = (
    "import gc, sys, pandas as pd, voxops as vx\n"
    "from voxburst_sandbox import Fault, Sandbox\n"
    "sb = Sandbox(posts=0, deliveries=0, rate_limit=None).start()\n"
    "sb.add_fault(Fault('delay', method='POST', path='/v1/posts', seconds=0.05, times=None))\n"
    "def plan(ws, count):\n"
    "    account = ws.accounts().query('platform == \"facebook\"')['account_id'].iloc[0]\n"
    "    row = {'accounts': account, 'scheduled_for': '2026-04-01T09:00:00Z'}\n"
    "    sheet = pd.DataFrame([{'row_id': n, 'content': f'text {n}', **row} for n in range(count)])\n"
    "    return vx.plan_create(sheet, key='row_id', campaign='c', one_by_one=True)\n"
)


@pytest.mark.parametrize(
    ("configured", "logged"),
    [("", ""), ("import logging\nlogging.basicConfig()\n", " of 400 rows not settled; connect again: ws.attach('run_")],
)
def test_rule_16_a_run_of_a_workspace_that_nobody_holds_is_ended_with_the_interpreter(ledger, configured, logged):
    code = (
        f"def go():\n    ws = vx.connect(sandbox=sb, ledger={str(ledger)!r})\n"
        "    ws.run(plan(ws, 400))\ngo()\ngc.collect()\n"
    )
    assert script(configured + SHEET + code, logged) == "", "a library prints nothing"


def test_a_run_whose_ledger_has_gone_says_that_it_sends_nothing_more(ws, plan, ledger):
    with standing_still(ws.client):
        run = ws.run(plan)
        ledger.unlink()
    with pytest.raises(vx.errors.LedgerError):
        run.wait(60)
    assert (run.running, run.snapshot.phase) == (False, "stopped")
    assert "ledger" in run.snapshot.note
    assert "sending" not in repr(run).splitlines()[0]


def test_rule_16_an_interrupt_while_a_run_is_shown_pauses_it_and_names_it(ws, plan, acts, monkeypatch):
    def pressed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, standing_still(ws.client), pytest.raises(KeyboardInterrupt) as stop:
        patch.setattr(vx.Run, "show", pressed)
        ws.run(plan)
    run = ws.attach(ws.runs().index[0]).wait()
    assert f"ws.attach('{run.id}').resume()" in str(stop.value)
    assert acts() < plan.cost.acts
    assert set(run.resume().wait().results()["outcome"]) <= {"succeeded", "failed"}
    assert acts() == plan.cost.acts


def test_a_key_that_is_none_is_neither_replaced_nor_repeated(monkeypatch, sandbox):
    """The key of the environment may be that of another workspace."""
    monkeypatch.setenv("VOXBURST_API_KEY", "vb_live_of_production")
    for key in ("", "  ", b"vb_test_of_staging", ["vb_test_x"]):
        with pytest.raises(vx.errors.ConfigError, match="omit it to use VOXBURST_API_KEY") as caught:
            vx.connect(key, url="http://127.0.0.1:9")
        assert "staging" not in str(caught.value)
    for said, error in (({"sandbox": True}, vx.errors.ConfigError), ({"url": sandbox.url}, vx.errors.AuthError)):
        with pytest.raises(error, match="key") as refused:
            vx.connect("vb_live_0123456789abcdefWXYZ", **said)
        assert "01234567" not in str(refused.value)


def test_a_closed_workspace_says_so(ws, plan):
    run = ws.run(plan).wait(60)
    ws.close()
    assert "closed" in repr(ws)
    health = lambda: asyncio.run(ws.client.health())  # noqa: E731
    for call in (ws.posts, ws.runs, ws.ledger, ws.reconcile, lambda: ws.run(plan), run.resume, health):
        with pytest.raises(vx.errors.ConfigError, match="closed"):
            call()


def test_a_path_that_begins_with_a_tilde_is_in_the_home_folder(sandbox, failed, tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    with vx.connect(sandbox=sandbox, ledger="~/ledger.sqlite") as ws:
        ws.archive("~/history").sync("1D")
    vx.report(failed.head(1)).to_html("~/report.html")
    vx.to_excel("~/book.xlsx", failed=failed)
    assert not list(here.iterdir())
    assert {"ledger.sqlite", "report.html", "book.xlsx", "history"} <= {path.name for path in home.iterdir()}
    with pytest.raises(vx.errors.ConfigError, match="unknown home folder"):
        vx.read_campaign("~nobody_of_this_name/plan.csv")
