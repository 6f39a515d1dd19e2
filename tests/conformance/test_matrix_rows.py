"""Every law on every row of the matrix, under either reading of the contract; and that each law notices when it is broken."""

from __future__ import annotations

import pytest
from tests.conformance.__main__ import main
from tests.conformance.bench import ROWS, Act, bench
from tests.conformance.cases import CASES, Case
from tests.conformance.laws import LAWS, differences

from voxburst_sandbox import Fault
from voxops.api.matrix import MATRIX
from voxops.client import AsyncClient, client
from voxops.model import Outcome


@pytest.fixture(scope="module")
def opened():
    with bench() as made:
        yield made


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row.row} {row}")
def test_a_row_keeps_its_laws(opened, row):
    assert differences(opened, row) == ""


def test_nothing_happened_twice_in_all_of_it(opened):
    """Runs last: the server's own count; each connect of an account begins anew."""
    assert {double["kind"] for double in opened.sandbox.duplicates()} <= {"account.connect"}


# A client must keep every law, however the contract is read.
@pytest.mark.release
@pytest.mark.parametrize("switches", [
    {"uppercase_status": True, "wrapped_objects": True, "delete_204": True, "pagination": "snake"},
    {"error_shape": "toplevel", "validation_status": 422, "forbidden_code": "FORBIDDEN", "webhook_flag": "active",
    "pagination": "none", "accounts_envelope": "accounts"},
    {"event_shape": "middle", "event_envelope": "sdk", "media_lowercase": False},
    {"event_shape": "oldest", "publish_on_create": False, "string_errors": True, "no_metadata": True},
    {"linger_failed_seconds": 3, "bulk_status": "200", "workspace_keys": True},
], ids=lambda switches: "-".join(switches)[:60])  # fmt: skip
def test_rows_keep_their_laws_under_either_reading(switches):
    with bench(**switches) as made:
        found = {row: differences(made, ROWS[row]) for row in (1, 5, 10, 11, 18, 30, 38, 39)}
    assert not any(found.values()), found


# -- a law that can't fail is none -------------------------------------------------------------------------------------


def switched(**switches):
    return lambda made, _: made.sandbox.set_switches(**switches)


def resends(always):
    return lambda _, patch: patch.setattr(client, "may_resend", lambda *_, **__: always)


def believes(_, patch):
    async def ended(*_):
        return type("Ended", (), {"outcome": Outcome.SUCCEEDED})

    patch.setattr(AsyncClient, "wait", ended)


def numbers(how):
    return lambda made, _: made.sandbox.add_fault(Fault(f"bulk_{how}_index", path="/v1/posts/*"))


# How a server or a client is broken, the rows to try, and the law that notices, in which words.
BREAKS = {
    "a server that ignores keys": (switched(ignore_keys=True), [1, 11], "once", "effects under one key"),
    "a server that ignores bodies": (switched(ignore_keys=True), [4, 8], "other body", "another body"),
    "a server that forgets": (switched(forget_key_on_5xx=True), [1], "ambiguous", "500: 2 effects"),
    "a server without events": (switched(silent_webhooks=True), [1, 4], "events", "none instead of"),
    "a client that repeats": (resends(True), [18, 37], "never again", "sent"),
    "a client that gives up": (resends(False), [1, 39], "ambiguous", "not sent again"),
    "a client that believes a 2xx": (believes, [5, 39], "outcome", "the 2xx counted as the outcome"),
    "items without a number": (numbers("missing"), [11, 12], "items", "numbered"),
    "two items of one number": (numbers("double"), [11], "items", "numbered"),
    "a forged signature": (lambda made, _: setattr(made, "secret", "another"), [1], "events", "wrong signature"),
}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, (_, rows, *_) in BREAKS.items() for row in rows])
def test_a_break_is_noticed_by_its_law(name, row, monkeypatch):
    damage, _, law, words = BREAKS[name]
    with bench() as made:
        damage(made, monkeypatch)
        assert words in "; ".join(LAWS[law](made, ROWS[row], CASES[row]))


def test_the_command_tells_line_by_line_and_by_its_exit_status(monkeypatch, capsys):
    rows = [ROWS[6], ROWS[7]]
    assert main(rows) == 0
    assert capsys.readouterr().out.splitlines() == [
        "6 POST /v1/posts/:id/cancel: ok", "7 POST /v1/posts/:id/clone: ok", "matrix: rows=2 ok=2",
    ]  # fmt: skip
    monkeypatch.setitem(CASES, 7, Case("post.clone", lambda _: Act(("post_of_nobody",))))
    assert main(rows) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert (first, last) == ("6 POST /v1/posts/:id/cancel: ok", "matrix: rows=2 ok=1")
    assert "404 NOT_FOUND" in second, "what is in the way of a law is a difference"
