"""Commands for schedules: runs, resume, digest; JSON on standard output, exit statuses, and a report that goes where a person said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops.analysis.digest import concerns
from voxops.analysis.digest import digest as analysis_digest
from voxops.cli import main
from voxops.cli.commands import _in_words
from voxops.client.outgoing import post_json
from voxops.engine import read
from voxops.errors import ConfigError


class Receiver(BaseHTTPRequestHandler):
    """Somebody's web hook: keeps what came and answers as a test asks."""

    got: list[tuple[dict[str, str], bytes]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def hook() -> Iterator[tuple[str, type[Receiver]]]:
    kind = type("Kind", (Receiver,), {"got": []})
    server = HTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hooks/secret-part", kind
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    return sandbox.url


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """The one line of JSON that a command printed."""
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def test_runs_and_resume_go_on_where_a_kernel_died(
    sandbox: Sandbox, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
def test_the_timeout_of_resume_is_for_all_of_it(
    options: list[str], sandbox: Sandbox, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_resume_may_trust_the_lists_where_they_show_no_metadata(
    sandbox: Sandbox, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rule 13: a run that would read hundreds of posts one by one says so; the job that resumes it may choose."""
    monkeypatch.setattr(read.Eyes, "is_much", lambda *_: True)
    sandbox.set_switches(no_listed_metadata=True)
    ledger, options = tmp_path / "ledger.sqlite", ["--url", url, "--ledger", str(tmp_path / "ledger.sqlite"), "--json"]
    with vx.connect(sandbox.api_key, url=url, ledger=ledger) as ws:
        accounts = ws.accounts()
        account = accounts.loc[(accounts["status"] == "active") & (accounts["platform"] == "linkedin"), "account_id"]
        sheet = pd.DataFrame({"row_id": ["a"], "content": ["One of its own"], "accounts": [account.iloc[0]], "scheduled_for": ["2027-03-01T09:00:00Z"]})  # fmt: skip
        run = ws.run(vx.plan_create(sheet, key="row_id", campaign="lists"))
        assert "the lists show no metadata" in run.wait(10).snapshot.note
    before = len(sandbox.requests())
    capsys.readouterr()
    assert main(["resume", run.id, "--trust-lists", "--timeout", "30", *options]) == 0
    assert said(capsys)["succeeded"] == 1
    assert not [each for each in sandbox.requests()[before:] if each["path"].startswith("/v1/posts/post")]
    with pytest.raises(SystemExit):
        main(["resume", run.id, "--trust-lists", "--look", *options])


def digest(url: str, tmp_path: Path) -> list[str]:
    return ["digest", "--url", url, "--ledger", str(tmp_path / "l.sqlite"), "--since-last"]


def test_a_digest_says_once_what_is_new_and_again_what_got_worse(
    sandbox: Sandbox, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], hook: tuple[str, type[Receiver]]
) -> None:
    address, receiver = hook
    state = tmp_path / "digest.json"
    words = [*digest(url, tmp_path), "--state", str(state), "--since", "30D"]
    assert main([*words, "--post", address, "--json"]) == 3
    first = said(capsys)
    assert first["attention"] is True
    assert first["since_last"] is None
    assert {one["change"] for one in first["findings"]} == {"new"}
    assert {"cause", "lost deliveries"} <= {one["kind"] for one in first["findings"]}
    ((headers, body),) = receiver.got
    assert json.loads(body)["findings"] == first["findings"]
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers
    assert sandbox.api_key.encode() not in body
    assert sandbox.api_key not in str(headers)

    assert main([*words, "--post", address, "--json"]) == 0
    second = said(capsys)
    assert (second["findings"], second["attention"], second["since_last"]) == ([], False, first["made_at"])
    assert len(receiver.got) == 1, "nothing new, nothing posted"

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
    assert main([*words, "--post", address, "--json"]) == 0
    assert said(capsys)["gone"] == ["cause: one that is over"]
    assert len(receiver.got) == 2, "what is gone is posted, too"


@pytest.mark.parametrize("status", [500, 302])
def test_what_a_receiver_did_not_take_is_in_the_next_digest(
    status: int, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], hook: tuple[str, type[Receiver]]
) -> None:
    address, receiver = hook
    receiver.status = status
    words = [*digest(url, tmp_path), "--post", address, "--json"]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert f"127.0.0.1 answered {status}" in error
    assert "secret-part" not in error
    assert len(receiver.got) == 1, "where it is sent on to is not followed"
    receiver.status = 204
    assert main(words) == 3
    assert said(capsys)["posted"] == 204


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://hooks.example/abc", "plain http to hooks.example"),
        ("https://me:word@hooks.example/abc", "user name or password"),
        ("ftp://hooks.example", "takes a web address"),
        ("hooks", "takes a web address"),
        ("https://hooks.example/a b", "takes a web address"),
        ("https://hooks..example/secret-part", "takes a web address"),
        (f"https://{'a' * 64}.example/secret-part", "takes a web address"),
    ],
)
def test_an_address_that_would_show_the_report_to_others_is_refused_before_anything_is_read(
    address: str, why: str, url: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(sandbox.requests())
    assert main(["digest", "--url", url, "--post", address]) == 2
    error = capsys.readouterr().err
    assert why in error
    assert "word" not in error or "user name" in error
    assert "secret-part" not in error
    assert len(sandbox.requests()) == before


def test_a_proxy_that_can_t_be_used_is_said_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    for proxy in ("socks5://me:word@proxy.example:1080", "ftp://me:word@proxy.example"):
        for take in (lambda: post_json("https://hooks.example/secret-part", b"{}"), lambda: vx.connect("vb_test_of_a_test", url="https://api.voxburst.example")):  # fmt: skip
            monkeypatch.setenv("ALL_PROXY", proxy)
            with pytest.raises(ConfigError, match="names a proxy that can't be used here") as caught:
                take()
            assert "word" not in str(caught.value)


def test_a_digest_may_be_of_centuries(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*digest(url, tmp_path), "--since", "100000D", "--json"]) == 3
    answer = said(capsys)
    assert answer["weeks"]
    assert answer["findings"]


def test_a_memory_that_is_none_of_ours_or_would_not_be_used_is_refused(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.json"
    for content in ("[]", "nonsense", '{"items": {}, "workspace": "ws_other"}'):
        state.write_text(content)
        assert main([*digest(url, tmp_path), "--state", str(state)]) == 2
        assert "state.json" in capsys.readouterr().err
        assert state.read_text() == content
    assert main(["digest", "--sandbox", "--state", str(tmp_path / "new.json")]) == 2
    assert "add --since-last" in capsys.readouterr().err
    assert not (tmp_path / "new.json").exists()


def test_every_command_prints_json(
    sandbox: Sandbox, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = str(tmp_path / "l.sqlite")
    assert main(["matrix", "--json"]) == 0
    assert len(said(capsys)) == 39
    assert main(["triage", "--url", url, "--json", "--since", "30D"]) == 3
    answer = said(capsys)
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


def test_facts_of_a_line_become_json_and_the_rest_goes_to_the_errors(capsys: pytest.CaptureFixture[str]) -> None:
    from voxops.cli.commands import Facts

    facts = Facts()
    for text in ("on the ", "way: 3 of 4\n", "demo: posts=3 report=a/b.html\nsandbox: url=http://127.0.0.1:1 key=k"):
        facts.write(text)
    facts.write("\n")
    printed = capsys.readouterr()
    assert [json.loads(line) for line in printed.out.splitlines()] == [
        {"command": "demo", "posts": 3, "report": "a/b.html"},
        {"command": "sandbox", "url": "http://127.0.0.1:1", "key": "k"},
    ]
    assert printed.err == "on the way: 3 of 4\n"


def test_json_is_plain_ascii_whatever_strangers_wrote() -> None:
    from voxops.cli.commands import records, written

    frame = pd.DataFrame(
        {
            "text": ["\x1b[31mred\u202e", None],
            "n": pd.array([9007199254740993, None], dtype="Int64"),
            "at": pd.to_datetime(["2026-03-02T09:00:00Z", None]),
            "rate": [float("nan"), 0.5],
        }
    )
    line = written(records(frame))
    assert line.isascii()
    assert "\x1b" not in line
    assert json.loads(line) == [
        {"text": "\x1b[31mred\u202e", "n": 9007199254740993, "at": "2026-03-02T09:00:00+00:00", "rate": None},
        {"text": None, "n": None, "at": None, "rate": 0.5},
    ]


def test_a_digest_that_is_posted_calls_nobody_in_a_chat(
    sandbox: Sandbox, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], hook: tuple[str, type[Receiver]]
) -> None:
    """In a chat such as Slack an untrusted error message could alert a whole channel."""
    address, receiver = hook
    for post in sandbox.world.posts.values():
        for target in post.targets:
            if target.status == "failed":
                message = "see <https://evil.example|your bank> <!channel> @here"
                target.error = {"code": "<!CHANNEL>", "message": message}
    assert main([*digest(url, tmp_path), "--since", "30D", "--post", address, "--json"]) == 3
    assert "<!CHANNEL>" in said(capsys)["text"], "the terminal shows it as it is"
    ((_, body),) = receiver.got
    text = json.loads(body)["text"]
    assert "&lt;!\u2060CHANNEL&gt;" in text
    assert not {"<", ">"} & set(text)
    assert "@here" not in text


def test_the_text_of_a_digest_begins_with_what_cannot_wait_and_says_how_much_it_leaves_out() -> None:
    causes = targets_of_causes(60)
    risk = pd.DataFrame({"account_id": ["acc_1"], "risk": ["expired"], "why": ["w"], "remedy": ["r"], "post_id": ["p"], "scheduled_for": pd.to_datetime(["2026-03-02T10:00Z"])})  # fmt: skip
    found, _ = analysis_digest(concerns(causes, risk=risk), {"items": {f"run: {n}": [] for n in range(55)}})
    assert len(found["findings"]) == 61
    lines = _in_words({"workspace": {"name": "Alder", "id": "w"}, **found}, str).splitlines()
    assert lines[1].startswith("new: at risk acc_1: expired")
    assert lines[2].startswith("new: cause C59 "), "of causes the largest first"
    assert len([line for line in lines if line.startswith("new: ")]) == 50
    assert "and 11 more (cause 11), in the JSON of this digest" in lines
    assert lines[-1] == "and 5 more (gone 5), in the JSON of this digest"


def targets_of_causes(number: int) -> pd.DataFrame:
    """A triaged frame in which cause C<n> has n + 1 targets."""
    rows = [(f"C{cause:02}", f"p{cause}-{target}") for cause in range(number) for target in range(cause + 1)]
    frame = pd.DataFrame(rows, columns=["cause", "post_id"])
    updated = pd.Timestamp("2026-03-02T09:00Z")
    return frame.assign(verdict="support", remedy="look", platform="twitter", account_id="a", updated_at=updated)
