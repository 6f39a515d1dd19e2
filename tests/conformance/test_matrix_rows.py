"""Every law on every row of the matrix, over a socket; that each law notices when it is broken; and the command."""

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


def opened(**options: Any) -> Iterator[Bench]:
    """A harness of a sandbox of its own, on the client's own loop."""

    async def enter(sandbox: Sandbox) -> Bench:
        return await Bench(sandbox).__aenter__()

    with Sandbox(posts=20, deliveries=20, rate_limit=None, **options) as sandbox:
        bench = eventloop.run(enter(sandbox))
        yield bench
        eventloop.run(bench.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    yield from opened()


@pytest.fixture
def own() -> Iterator[Bench]:
    """A harness that a test may damage."""
    yield from opened()


def some(rows: list[int], *few: int) -> list[Any]:
    """A few rows for each change, and all of them for a release."""
    return [row if row in few else pytest.param(row, marks=pytest.mark.release) for row in rows]


def law(bench: Bench, name: str, row: int) -> str:
    """The differences by one law on one row."""
    return "; ".join(eventloop.run(LAWS[name](bench, ROW[row], CASES[row])))


def tried(bench: Bench, row: int) -> Finding:
    """The result of all laws on one row."""
    return eventloop.run(try_row(bench, ROW[row]))


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row.row} {row}")
def test_a_row_keeps_a_law(bench, row, name):
    assert law(bench, name, row.row) == ""


def test_nothing_happened_twice_in_all_of_it(bench):
    """Runs last: the sandbox's own count of duplicates; the same bulk request under two keys is none."""
    assert [double for double in bench.sandbox.duplicates() if double.get("kind") != "account.connect"] == []


# The same table where the contract is read otherwise: a client must keep every law under either reading.


@pytest.mark.release
@pytest.mark.parametrize("switches", [
    {"uppercase_status": True, "wrapped_objects": True, "delete_204": True, "pagination": "snake"},
    {"error_shape": "toplevel", "validation_status": 422, "forbidden_code": "FORBIDDEN", "webhook_flag": "active",
    "pagination": "none"},
    {"event_shape": "middle", "event_envelope": "sdk", "media_lowercase": False},
    {"event_shape": "oldest", "publish_on_create": False, "string_errors": True, "no_metadata": True},
    {"linger_failed_seconds": 3, "bulk_status": "200", "workspace_keys": True},
], ids=lambda switches: "-".join(switches)[:60])  # fmt: skip
def test_rows_keep_their_laws_under_either_reading(switches):
    for bench in opened(switches=Switches(**switches)):
        found = [tried(bench, row) for row in (1, 5, 10, 11, 18, 30, 38, 39)]
    assert [str(finding) for finding in found if not finding.ok] == []


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
    assert law(own, "ambiguous", 1) == "500 after commit: 2 effects"


@pytest.mark.parametrize("row", [row.row for row in MATRIX if row.resend is Resend.NEVER])
def test_a_client_that_repeats_what_must_not_be_is_noticed(own, row, monkeypatch):
    monkeypatch.setattr(_client, "may_resend", lambda *_, **__: True)
    assert not tried(own, row).ok
    assert "sent" in law(own, "never again", row)


@pytest.mark.parametrize("row", some([1, 2, 5, 11, 13, 17, 24, 39], 1, 39))
def test_a_client_that_gives_up_too_early_is_noticed(own, row, monkeypatch):
    monkeypatch.setattr(_client, "may_resend", lambda *_, **__: False)
    assert "not sent again" in law(own, "ambiguous", row)


def test_a_forged_signature_is_noticed(own):
    own.secret = "another"
    assert "wrong signature" in law(own, "events", 1)


@pytest.mark.parametrize("row", some([row.row for row in MATRIX if row.emits], 1))
def test_an_event_that_does_not_come_is_noticed(own, row):
    own.sandbox.set_switches(silent_webhooks=True)
    assert "none instead of" in law(own, "events", row)


@pytest.mark.parametrize("row", some([row.row for row in MATRIX if row.is_async], 5, 39))
def test_a_2xx_taken_for_an_outcome_is_noticed(own, row, monkeypatch):
    async def done_already(self: Handle, *_: object) -> object:
        return type("Ended", (), {"outcome": "succeeded", "status": "published", "record": {}})

    monkeypatch.setattr(Handle, "__await__", lambda self: done_already(self).__await__())
    assert "the 2xx counted as the outcome" in law(own, "outcome", row)


@pytest.mark.parametrize("row", [11, 12])
def test_items_without_an_index_of_their_own_are_noticed(own, row):
    own.sandbox.add_fault(Fault("garbage", method="POST", path=ROW[row].path, body="json", status=207))
    found = tried(own, row)
    assert not found.ok
    assert "the outcome of its items is unknown" in str(found)


def test_a_row_that_breaks_down_is_reported_in_its_line(own):
    own.sandbox.add_fault(Fault("status", path="/v1/posts/*/clone", status=403, code="FORBIDDEN", times=None))
    line = str(tried(own, 7))
    assert line.startswith("7 POST /v1/posts/:id/clone: once: POST /v1/posts/")
    assert "403 FORBIDDEN" in line
    assert "\n" not in line


# The command, and the check that only reads.


@pytest.mark.parametrize("url", [
    "https://api.voxburst.io", "http://192.0.2.1:80", "http://localhost.example", "nonsense", "http://[",
    "https://user@127.0.0.1.example/v1",
])  # fmt: skip
def test_writing_elsewhere_is_refused(url):
    with pytest.raises(ConfigError, match="sandbox on this machine"):
        check(url, write=True, report=lambda _: pytest.fail("reported a row"))


def test_writing_needs_a_sandbox_and_reading_a_key(monkeypatch):
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    with Sandbox(posts=0, deliveries=0) as sandbox, pytest.raises(ConfigError, match="no voxops sandbox"):
        check(sandbox.storage_url, write=True)
    with pytest.raises(ConfigError, match="--url"):
        check(write=True)
    with pytest.raises(ConfigError, match="VOXBURST_API_KEY"):
        check("http://127.0.0.1:1")


def test_another_server_is_only_read(monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", "vb_test_readonly")
    lines: list[str] = []
    with Sandbox(posts=20, deliveries=200) as sandbox:
        assert check(sandbox.url + "/v1", report=lines.append)
        assert {entry["method"] for entry in sandbox.requests()} == {"GET"}
    assert [line.split()[0] for line in lines] == [*map(str, range(1, 40)), "matrix:"]
    assert lines[-1] == "matrix: rows=39 ok=39"


def readings(sandbox: Sandbox) -> dict[int, Finding]:
    async def main() -> list[Finding]:
        async with AsyncClient(sandbox.api_key, url=sandbox.url) as client:
            return await read_rows(client)

    return {finding.row.row: finding for finding in asyncio.run(main())}


@pytest.mark.parametrize("switches", [
    {"pagination": "snake"}, {"pagination": "camel"}, {"webhooks_envelope": "webhooks",
    "accounts_envelope": "accounts"},
    {"uppercase_status": True, "media_lowercase": False, "webhook_flag": "active"}, {"wrapped_objects": True},
])  # fmt: skip
def test_either_reading_of_the_contract_is_read(switches):
    with Sandbox(posts=20, deliveries=200, switches=Switches(**switches)) as sandbox:
        assert all(finding.ok for finding in readings(sandbox).values())


def test_a_workspace_without_things_is_not_called_well():
    with Sandbox(empty=True) as sandbox:
        posts = [finding for finding in readings(sandbox).values() if finding.row.group == "posts"]
    assert all(finding.untried and not finding.ok for finding in posts)
    assert "not looked at" in str(posts[0])
    assert summary(posts) == "matrix: rows=16 ok=0"


def test_the_command_tells_line_by_line_and_by_its_exit_status(monkeypatch, capsys):
    monkeypatch.setattr("voxops.conformance.laws.MATRIX", MATRIX[5:7])
    with Sandbox(posts=20, deliveries=20) as sandbox:
        monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
        for where in ([], ["--url", sandbox.url, "--write"]):
            assert main(["matrix", "--check", *where]) == 0
            assert capsys.readouterr().out.splitlines() == [
                "6 POST /v1/posts/:id/cancel: ok", "7 POST /v1/posts/:id/clone: ok", "matrix: rows=2 ok=2",
            ]  # fmt: skip
        assert len(sandbox.effects("post.cancel")) >= 2
        assert (sandbox.faults(), sandbox.switches) == ([], Switches()), "what the check has set is put back"
        monkeypatch.setattr("voxops.conformance.laws.MATRIX", (ROW[1], ROW[25]))
        sandbox.add_fault(Fault("garbage", method="GET", path="/v1/media/**", times=None))
        assert main(["matrix", "--check", "--url", sandbox.url]) == 3
        first, second, last = capsys.readouterr().out.splitlines()
        assert (first, last) == ("1 POST /v1/posts: ok", "matrix: rows=2 ok=1")
        assert "web page" in second
    assert main(["matrix", "--write"]) == 2
    assert "matrix --check" in capsys.readouterr().err
