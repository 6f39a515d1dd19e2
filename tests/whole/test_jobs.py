"""Commands for schedules: runs, resume, digest; JSON on standard output, exit statuses, and a report that goes where a person said."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.security.raw import answer, serve

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops.cli import main
from voxops.client.outgoing import post_json
from voxops.errors import ConfigError


@pytest.fixture
def hook():
    """Somebody's web hook, and the status that it answers."""
    status = ["200 OK"]
    with serve(lambda *_: iter([answer(b"", status[0], Location="/elsewhere")])) as server:
        server.url += "/hooks/secret-part"
        yield server, status


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
    heads, row, zone = capsys.readouterr().out.splitlines()
    assert heads.startswith("run ") and row.split()[0] == run.id, "it can be pasted after voxops resume"
    assert zone == "times in UTC"
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


def digest(url: str, tmp_path: Path) -> list[str]:
    return ["digest", "--url", url, "--ledger", str(tmp_path / "l.sqlite"), "--since-last"]


def test_a_digest_says_once_what_is_new_and_again_what_got_worse(sandbox, url, tmp_path, capsys, hook):
    server, _ = hook
    state = tmp_path / "digest.json"
    words = [*digest(url, tmp_path), "--state", str(state), "--since", "100000D"]
    assert main([*words, "--post", server.url, "--json"]) == 3
    first = said(capsys)
    assert first["attention"] is True
    assert first["since_last"] is None
    assert {one["change"] for one in first["findings"]} == {"new"}
    assert first["weeks"], "a digest may be of centuries"
    assert {"cause", "lost deliveries"} <= {one["kind"] for one in first["findings"]}
    ((head, body),) = server.requests
    assert json.loads(body)["findings"] == first["findings"]
    assert b"content-type: application/json" in head.lower() and b"authorization" not in head.lower()
    assert sandbox.api_key.encode() not in head + body

    assert main([*words, "--post", server.url, "--json"]) == 0
    second = said(capsys)
    assert (second["findings"], second["attention"], second["since_last"]) == ([], False, first["made_at"])
    assert len(server.requests) == 1, "nothing new, nothing posted"

    cause = next(one for one in first["findings"] if one["kind"] == "cause")
    assert cause["ids"][0].split("/")[0] in sandbox.world.posts
    memory = json.loads(state.read_text())
    name = f"cause: {cause['what']}"
    memory["items"][name] = memory["items"][name][1:]
    state.write_text(json.dumps(memory))
    assert main([*words, "--json"]) == 3
    (worse,) = said(capsys)["findings"]
    assert (worse["change"], worse["more"], worse["what"]) == ("worse", 1, cause["what"])

    memory = json.loads(state.read_text())
    memory["items"]["cause: one that is over"] = []
    state.write_text(json.dumps(memory))
    assert main([*words, "--post", server.url, "--json"]) == 0
    assert said(capsys)["gone"] == ["cause: one that is over"]
    assert len(server.requests) == 2, "what is gone is posted, too"


@pytest.mark.parametrize("refused", [500, 302])
def test_what_a_receiver_did_not_take_is_in_the_next_digest(refused, url, tmp_path, capsys, hook):
    server, status = hook
    status[0] = f"{refused} Odd"
    words = [*digest(url, tmp_path), "--post", server.url, "--json"]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert f"127.0.0.1 answered {refused}" in error
    assert "secret-part" not in error
    assert len(server.requests) == 1, "where it is sent on to is not followed"
    status[0] = "204 No Content"
    assert main(words) == 3
    assert said(capsys)["posted"] == 204


def test_an_address_that_would_show_the_report_to_others_is_refused_before_anything_is_read(url, sandbox, capsys):
    before = len(sandbox.requests())
    for address, why in {
        "http://hooks.example/secret-part": "plain http to hooks.example",
        "https://me:secret-part@hooks.example/abc": "user name or password",
        **dict.fromkeys(("ftp://hooks.example", "hooks", "https://hooks.example/a b"), "takes a web address"),
        "https://hooks..example/secret-part": "takes a web address",
        f"https://{'a' * 64}.example/secret-part": "takes a web address",
    }.items():
        assert main(["digest", "--url", url, "--post", address]) == 2
        error = capsys.readouterr().err
        assert why in error
        assert "secret-part" not in error
    assert len(sandbox.requests()) == before


def test_a_proxy_that_can_t_be_used_is_said_without_its_password(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    post = partial(post_json, "https://hooks.example/secret-part", b"{}")
    for proxy in ("socks5://me:word@proxy.example:1080", "ftp://me:word@proxy.example"):
        monkeypatch.setenv("ALL_PROXY", proxy)
        for take in (post, partial(vx.connect, "vb_test_of_a_test", url="https://api.voxburst.example")):
            with pytest.raises(ConfigError, match="a proxy that can't be used") as caught:
                take()
            assert "word" not in str(caught.value)


def test_a_memory_that_is_none_of_ours_or_would_not_be_used_is_refused(url, tmp_path, capsys):
    state = tmp_path / "state.json"
    for content in ("[]", "nonsense", '{"items": {}, "workspace": "ws_other"}'):
        state.write_text(content)
        assert main([*digest(url, tmp_path), "--state", str(state)]) == 2
        assert "state.json" in capsys.readouterr().err
        assert state.read_text() == content
    assert main(["digest", "--sandbox", "--state", str(tmp_path / "new.json")]) == 2
    assert "add --since-last" in capsys.readouterr().err
    assert not (tmp_path / "new.json").exists()


def test_every_command_prints_json(sandbox, url, tmp_path, capsys):
    ledger = str(tmp_path / "l.sqlite")
    assert main(["matrix", "--json"]) == 0
    assert len(said(capsys)) == 39
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
    assert main(["ledger", ledger, "--json"]) == 0
    assert said(capsys) == []
    assert main(["ledger", ledger, "--prune", "90D", "--json"]) == 0
    assert said(capsys) == {"pruned": 0}
    assert main(["archive", "sync", str(tmp_path / "archive"), "--url", url, "--json"]) == 0
    assert said(capsys)["posts"] == 500


def test_a_digest_that_is_posted_calls_nobody_in_a_chat(sandbox, url, tmp_path, capsys, hook):
    """In a chat such as Slack an untrusted error message could alert a whole channel."""
    server, _ = hook
    for target in failed_targets(sandbox):
        target.error = {"code": "<!CHANNEL>", "message": "see <https://evil.example|your bank> <!channel> @here"}
    assert main([*digest(url, tmp_path), "--since", "30D", "--post", server.url, "--json"]) == 3
    assert "<!CHANNEL>" in said(capsys)["text"], "the terminal shows it as it is"
    ((_, body),) = server.requests
    text = json.loads(body)["text"]
    assert "&lt;!\u2060CHANNEL&gt;" in text
    assert not {"<", ">"} & set(text)
    assert "@here" not in text


def test_a_digest_is_ten_lines_of_what_is_new_whose_it_is_and_what_comes_next(sandbox, url, tmp_path, capsys):
    ledger = str(tmp_path / "a.sqlite")
    with vx.connect(sandbox=sandbox, ledger=ledger, owner_field="owner") as ws:
        ws.run(vx.plan_retry(vx.triage(ws.posts(status=["failed", "partial"]))), reason="ticket 4711").wait()
        mended = vx.triage(ws.posts(status=["failed", "partial"]))
        ws.run(vx.plan_retry(mended), reason="again").wait()
        runs = ws.runs()
    first = runs[runs["reason"] == "ticket 4711"].iloc[0]
    assert first["mended"] > 0
    command = [each for each in digest(url, tmp_path) if each != "--json"]
    assert main([*command, "--since", "30D", "--ledger", ledger]) == 3
    head, columns, *lines = capsys.readouterr().out.splitlines()
    assert "for somebody to look at" in head and columns.split() == ["what", "rows", "whose", "next"]
    assert len([line for line in lines if line.startswith("new ")]) == 10 and lines[-1].startswith("and ")
    left = int(first["failed"] - first["mended"])
    mine = next(line for line in lines if "ticket 4711" in line)
    assert f": {left} failed" in mine and first.name in mine, "rows that a later run has mended don't count"


def test_what_a_digest_says_of_a_blocked_run_shows_its_blocked_rows(sandbox, url, tmp_path, capsys):
    ledger = str(tmp_path / "a.sqlite")
    row = {"row_id": "a", "content": "Open.", "accounts": "threads:@nobody", "scheduled_for": "2099-03-06T09:00Z"}
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        run = ws.run(vx.plan_create(pd.DataFrame([row]), key="row_id", campaign="opening")).wait(60)
        capsys.readouterr()
        assert main([*digest(url, tmp_path), "--ledger", ledger, "--json"]) == 3
        (found,) = (each for each in said(capsys)["findings"] if each["kind"] == "run")
        assert found["next"] == f"ws.attach({run.id!r}).blocked()"
        assert ws.attach(run.id).results("blocked")["row_id"].to_list() == ["a"]


def failed_targets(sandbox: Sandbox) -> list[Any]:
    return [target for post in sandbox.world.posts.values() for target in post.targets if target.status == "failed"]
