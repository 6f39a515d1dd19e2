"""Commands for schedules: runs and resume; JSON on standard output, and exit statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops.cli import main
from voxops.errors import ConfigError


@pytest.fixture
def url(sandbox, monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    return sandbox.url


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """The one line of JSON that a command printed: plain ASCII, whatever strangers wrote, and without NaN."""
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isascii()
    return json.loads(line, parse_constant=pytest.fail)


def test_runs_and_resume_go_on_where_a_kernel_died(sandbox, url, tmp_path, capsys):
    ledger = tmp_path / "ledger.sqlite"
    sandbox.set_switches(recovery_rate=1.0)
    sandbox.set_speed(30)  # faster, a reading would be too old when a busy machine comes to send, again and again
    for target in (target for post in sandbox.world.posts.values() for target in post.targets):
        target.retry_count = 0
    with vx.connect(sandbox.api_key, url=url, ledger=ledger) as ws:
        rows = vx.triage(vx.targets(ws.posts(status="failed")))
        rows = rows[rows["verdict"] == "retry"].head(12)
        sandbox.add_fault(
            Fault("status", method="POST", path="/v1/posts/*/retry", status=401, code="UNAUTHORIZED", nth=3)
        )
        run = ws.run(vx.plan_retry(rows)).wait(60)
        assert (run.results()["outcome"] == "pending").any()
    sandbox.clear_faults()
    options = ["--url", url, "--ledger", str(ledger), "--json"]
    capsys.readouterr()
    assert main(["runs", *options]) == 0
    (listed,) = said(capsys)
    assert (listed["run"], listed["action"]) == (run.id, "retry")
    assert main(["runs", *options[:-1]]) == 0
    _, heads, row, zone, following = capsys.readouterr().out.splitlines()
    assert heads.startswith("run ") and row.split()[0] == run.id, "it can be pasted after voxops resume"
    assert (zone, following) == ("times in UTC", f"next: voxops resume {run.id}")
    before = len(sandbox.requests(acting=True))
    assert main(["resume", run.id, "--look", *options]) == 3
    assert said(capsys)["pending"] > 0
    assert len(sandbox.requests(acting=True)) == before, "to look is to send nothing"
    assert main(["resume", run.id, *options]) == 0
    answer = said(capsys)
    assert answer["succeeded"] == answer["rows"] == len(rows)
    assert answer["left"] == []
    assert sandbox.duplicates() == []
    assert main(["resume", "run_unknown", *options]) == 2  # trying again later does not help
    assert "no run run_unknown in the ledger of this workspace; voxops runs lists them" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--look"]])
def test_the_timeout_of_resume_is_for_all_of_it(options, sandbox, url, tmp_path, monkeypatch):
    ledger = tmp_path / "ledger.sqlite"
    with vx.connect(sandbox.api_key, url=url, ledger=ledger) as ws:  # its clock stands still, so that nothing ends
        run = ws.run(vx.plan_retry(vx.triage(vx.targets(ws.posts(status="failed"))))).wait(1)
    waited = []
    wait = vx.Run.wait

    def noted(self: vx.Run, timeout: float | None = None) -> vx.Run:
        waited.append(timeout)
        return wait(self, timeout)

    monkeypatch.setattr(vx.Run, "wait", noted)
    assert main(["resume", run.id, "--url", url, "--ledger", str(ledger), "--timeout", "1.5", *options]) == 3
    assert waited == [1.5]


def test_a_proxy_that_can_t_be_used_is_said_without_its_password(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    for proxy in ("socks5://me:word@proxy.example:1080", "ftp://me:word@proxy.example"):
        monkeypatch.setenv("ALL_PROXY", proxy)
        with pytest.raises(ConfigError, match="a proxy that can't be used") as caught:
            vx.connect("vb_test_of_a_test", url="https://api.voxburst.example")
        assert "word" not in str(caught.value)


def test_every_command_prints_json(sandbox, url, tmp_path, capsys):
    ledger = str(tmp_path / "l.sqlite")
    hostile = "\x1b[31mred\u202e"
    for target in failed_targets(sandbox):
        target.error = {"code": "ODD", "message": hostile}
    assert main(["triage", "--url", url, "--json", "--since", "30D"]) == 3
    answer = said(capsys)
    assert hostile in {each["error_message"] for each in answer["failures"]}
    assert {"headline", "causes", "failures"} <= set(answer)
    assert answer["failures"][0]["updated_at"].endswith("+00:00")
    assert main(["deliveries", "--url", url, "--json", "--since", "30D"]) == 3
    assert "lost" in said(capsys)
    assert main(["runs", "--url", url, "--ledger", ledger, "--json"]) == 2, "a mistyped path makes no ledger"
    assert "there is no ledger" in capsys.readouterr().err
    assert not Path(ledger).exists()
    vx.connect(sandbox=sandbox, ledger=ledger).close()
    assert main(["runs", "--url", url, "--ledger", ledger, "--json"]) == 0
    assert said(capsys) == []
    assert main(["archive", "sync", str(tmp_path / "archive"), "--url", url, "--json"]) == 0
    assert said(capsys)["posts"] == 500


def failed_targets(sandbox: Sandbox) -> list[Any]:
    return [target for post in sandbox.world.posts.values() for target in post.targets if target.status == "failed"]
