"""Every law on every row of the matrix, over a socket; and that each law notices when it is broken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from voxburst_sandbox import Fault, Sandbox, Switches
from voxops._support import eventloop
from voxops.api.matrix import MATRIX, Resend
from voxops.cli import main
from voxops.client import AsyncClient, Handle, _client
from voxops.conformance.cases import CASES, Bench
from voxops.conformance.laws import LAWS, Finding, check, read_rows, summary, try_row
from voxops.errors import ConfigError, VoxopsError

ROW = {row.row: row for row in MATRIX}


def opened(sandbox: Sandbox) -> Iterator[Bench]:
    """A bench on the client's own loop."""

    async def enter() -> Bench:
        return await Bench(sandbox).__aenter__()

    bench = eventloop.run(enter())
    yield bench
    eventloop.run(bench.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def bench():
    with Sandbox(posts=20, deliveries=20, rate_limit=None) as sandbox:
        yield from opened(sandbox)


@pytest.fixture
def own():
    """A harness that a test may damage."""
    with Sandbox(posts=20, deliveries=20, rate_limit=None) as sandbox:
        yield from opened(sandbox)


def some(rows: list[int], *few: int) -> list[Any]:
    """A few rows for each change, and all of them for a release."""
    return [row if row in few else pytest.param(row, marks=pytest.mark.release) for row in rows]


def law(bench: Bench, name: str, row: int) -> list[str]:
    """Return the differences by one law on one row."""
    return eventloop.run(LAWS[name](bench, ROW[row], CASES[row]))


def test_every_row_has_a_case():
    assert sorted(CASES) == [row.row for row in MATRIX]


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row.row} {row}")
def test_a_row_keeps_a_law(bench, row, name):
    assert law(bench, name, row.row) == []


def test_nothing_happened_twice_in_all_of_it(bench):
    """Runs last: the sandbox's own count of duplicates; the same bulk request under two keys is none."""
    assert [double for double in bench.sandbox.duplicates() if double.get("kind") != "account.connect"] == []


# A law that can't fail is none.


@pytest.mark.parametrize("row", some([row.row for row in MATRIX if row.idempotent], 1, 5))
def test_a_server_that_ignores_keys_is_noticed(own, row):
    own.sandbox.set_switches(ignore_keys=True)
    try:
        found = law(own, "once", row) + law(own, "other body", row)
    except VoxopsError:  # the second of two really different requests was refused for the state that the first has left
        return
    assert found


def test_a_server_that_forgets_what_it_did_is_noticed(own):
    own.sandbox.set_switches(forget_key_on_5xx=True)
    assert law(own, "ambiguous", 1) == ["500 after commit: 2 effects"]


@pytest.mark.parametrize("row", [row.row for row in MATRIX if row.resend is Resend.NEVER])
def test_a_client_that_repeats_what_must_not_be_is_noticed(own, row, monkeypatch):
    monkeypatch.setattr(_client, "may_resend", lambda *_, **__: True)
    assert not eventloop.run(try_row(own, ROW[row])).ok
    assert any("sent" in what for what in law(own, "never again", row))


@pytest.mark.parametrize("row", some([1, 2, 5, 11, 13, 17, 24, 39], 1, 39))
def test_a_client_that_gives_up_too_early_is_noticed(own, row, monkeypatch):
    monkeypatch.setattr(_client, "may_resend", lambda *_, **__: False)
    assert any("not sent again" in what for what in law(own, "ambiguous", row))


def test_a_forged_signature_is_noticed(own):
    own.secret = "another"
    assert "an event with a wrong signature" in law(own, "events", 1)


@pytest.mark.parametrize("row", some([row.row for row in MATRIX if row.emits], 1))
def test_an_event_that_does_not_come_is_noticed(own, row):
    own.sandbox.set_switches(silent_webhooks=True)
    assert any("none instead of" in what for what in law(own, "events", row))


@pytest.mark.parametrize("row", some([row.row for row in MATRIX if row.is_async], 5, 39))
def test_a_2xx_taken_for_an_outcome_is_noticed(own, row, monkeypatch):
    async def done_already(self: Handle, *_: object) -> object:
        return type("Ended", (), {"outcome": "succeeded", "status": "published", "record": {}})

    monkeypatch.setattr(Handle, "__await__", lambda self: done_already(self).__await__())
    assert "the 2xx counted as the outcome" in law(own, "outcome", row)


@pytest.mark.parametrize("row", [11, 12])
def test_items_without_an_index_of_their_own_are_noticed(own, row):
    own.sandbox.add_fault(Fault("garbage", method="POST", path=ROW[row].path, body="json", status=207))
    found = eventloop.run(try_row(own, ROW[row]))
    assert not found.ok
    assert "the outcome of its items is unknown" in str(found)


def test_a_row_that_breaks_down_is_reported_in_its_line(own):
    own.sandbox.add_fault(
        Fault("status", method="POST", path="/v1/posts/*/clone", status=403, code="FORBIDDEN", times=None)
    )
    line = str(eventloop.run(try_row(own, ROW[7])))
    assert line.startswith("7 POST /v1/posts/:id/clone: once: POST /v1/posts/")
    assert "403 FORBIDDEN" in line
    assert "\n" not in line


# The command.


def test_the_last_line_counts():
    findings = [Finding(ROW[1]), Finding(ROW[2], ("x",)), Finding(ROW[3], untried="nothing to read")]
    assert summary(findings) == "matrix: rows=3 ok=1"
    assert [str(finding) for finding in findings] == [
        "1 POST /v1/posts: ok", "2 PATCH /v1/posts/:id: x", "3 DELETE /v1/posts/:id: not looked at: nothing to read",
    ]  # fmt: skip


@pytest.mark.parametrize("url", [
    "https://api.voxburst.io", "http://192.0.2.1:80", "http://localhost.example", "nonsense", "http://[",
    "https://user@127.0.0.1.example/v1",
])  # fmt: skip
def test_writing_elsewhere_is_refused(url):
    with pytest.raises(ConfigError, match="only a sandbox on this machine"):
        check(url, write=True, report=lambda _: pytest.fail("reported a row"))


def test_writing_needs_a_sandbox():
    with Sandbox(posts=0, deliveries=0) as sandbox, pytest.raises(ConfigError, match="no voxops sandbox"):
        check(sandbox.storage_url, write=True)
    with pytest.raises(ConfigError, match="needs --url"):
        check(write=True)


def test_another_server_is_only_read(monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", "vb_test_readonly")
    lines: list[str] = []
    with Sandbox(posts=20, deliveries=200) as sandbox:
        assert check(sandbox.url + "/v1", report=lines.append)
        assert {entry["method"] for entry in sandbox.requests()} == {"GET"}
        assert sandbox.requests(acting=True) == []
    assert lines[-1] == "matrix: rows=39 ok=39"
    assert [line.split()[0] for line in lines[:-1]] == [str(row) for row in range(1, 40)]


def test_reading_needs_a_key(monkeypatch):
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="VOXBURST_API_KEY"):
        check("http://127.0.0.1:1")


def readings(sandbox: Sandbox) -> list[Finding]:
    async def main() -> list[Finding]:
        async with AsyncClient(sandbox.api_key, url=sandbox.url) as client:
            return await read_rows(client)

    return asyncio.run(main())


def test_a_workspace_without_things_is_not_called_well():
    with Sandbox(empty=True) as sandbox:
        found = readings(sandbox)
    posts = [finding for finding in found if finding.row.group == "posts"]
    assert all(finding.untried and not finding.ok for finding in posts)
    assert summary(posts) == "matrix: rows=16 ok=0"


@pytest.mark.parametrize("switches", [
    Switches(pagination="snake"), Switches(pagination="camel"), Switches(webhooks_envelope="webhooks", accounts_envelope="accounts"),
    Switches(uppercase_status=True, media_lowercase=False, webhook_flag="active"), Switches(wrapped_objects=True),
])  # fmt: skip
def test_either_reading_of_the_contract_is_read(switches):
    with Sandbox(posts=20, deliveries=200, switches=switches) as sandbox:
        assert all(finding.ok for finding in readings(sandbox))


def test_what_is_read_wrong_is_reported():
    with Sandbox(posts=20, deliveries=20) as sandbox:
        sandbox.add_fault(Fault("garbage", method="GET", path="/v1/media/*", times=None))
        found = {finding.row.row: finding for finding in readings(sandbox)}
    assert not found[24].ok
    assert "web page" in str(found[24])
    assert found[1].ok


# The same table where the contract is read otherwise: a client must keep every law under either reading.


@pytest.mark.release
@pytest.mark.parametrize("switches", [
    {"uppercase_status": True, "wrapped_objects": True, "delete_204": True, "pagination": "snake"},
    {"error_shape": "toplevel", "validation_status": 422, "forbidden_code": "FORBIDDEN", "webhook_flag": "active", "pagination": "none"},
    {"event_shape": "middle", "event_envelope": "sdk", "media_lowercase": False, "json_bodies": True},
    {"event_shape": "oldest", "publish_on_create": False, "string_errors": True, "no_metadata": True, "retry_returns_post": True},
    {"linger_failed_seconds": 3, "bulk_status": "200", "bulk_camel": True, "strict_retry": True, "workspace_keys": True},
], ids=lambda switches: "-".join(switches)[:60])  # fmt: skip
def test_rows_keep_their_laws_under_either_reading(switches):
    with Sandbox(posts=20, deliveries=20, rate_limit=None, switches=Switches(**switches)) as sandbox:
        for bench in opened(sandbox):
            found = [eventloop.run(try_row(bench, ROW[row])) for row in (1, 5, 10, 11, 18, 30, 38, 39)]
    assert [str(finding) for finding in found if not finding.ok] == []


def test_the_command_tells_line_by_line_and_by_its_exit_status(monkeypatch, capsys):
    monkeypatch.setattr("voxops.conformance.laws.MATRIX", MATRIX[5:7])
    assert main(["matrix", "--check"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "6 POST /v1/posts/:id/cancel: ok", "7 POST /v1/posts/:id/clone: ok", "matrix: rows=2 ok=2",
    ]  # fmt: skip
    with Sandbox(posts=20, deliveries=20) as sandbox:
        assert main(["matrix", "--check", "--url", sandbox.url, "--write"]) == 0
        assert len(sandbox.effects("post.cancel")) >= 2
        assert sandbox.faults() == []
        assert sandbox.switches == Switches(), "what the check has set is put back"
        sandbox.add_fault(Fault("garbage", method="GET", path="/v1/media/**", times=None))
        monkeypatch.undo()
        monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
        assert main(["matrix", "--check", "--url", sandbox.url]) == 3
    assert main(["matrix", "--write"]) == 2
    assert "matrix --check" in capsys.readouterr().err
