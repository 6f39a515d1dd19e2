"""What a server says steers no terminal: not in an exception, not in a repr, not from a command (point 6 of the review of leaks)."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime

import pandas as pd
import pytest

import voxops as vx
from voxops import cli
from voxops.cli import commands
from voxops.client import Answer, AsyncClient
from voxops.client.answer import error_of

EVIL = "\x1b[2J\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x07\x9b31m\u202etxt.exe\u2066\x00\rover\nnext"
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def harmless(text):
    """Whether a terminal only shows a text."""
    kinds = {(unicodedata.category(char), unicodedata.bidirectional(char)) for char in text}
    return not any(kind in {"Cc", "Cs"} or direction in BIDI for kind, direction in kinds)


@pytest.mark.parametrize("body", [
    {"error": {"code": EVIL, "message": EVIL}}, {"error": EVIL}, {"message": EVIL}, {"error": EVIL, "message": EVIL},
    [EVIL], EVIL,
])  # fmt: skip
def test_an_exception_is_text(body):
    answer = Answer("GET /v1/posts", 400, {"x-request-id": EVIL}, json.dumps(body).encode())
    error = error_of(answer, url="https://api.example", now=datetime.now(UTC), redact=lambda value: value)
    for text in (str(error), repr(error), error.code, error.request_id or "", "".join(error._render_traceback_())):
        assert harmless(text)
        assert "evil.example" not in text, "the address behind the link is gone, the text of the link stays"
    assert "link" in str(error)


def test_a_workspace_s_name_is_text(sandbox, monkeypatch):
    identity = AsyncClient.identity

    async def named(client):
        return await identity(client) | {"workspaceName": EVIL}

    monkeypatch.setattr(AsyncClient, "identity", named)
    with vx.connect(sandbox=sandbox) as ws:
        assert harmless(repr(ws)) and harmless(ws._repr_html_().replace("\n", ""))


def test_what_commands_print_is_text(monkeypatch, capsys):
    def refuse(_):
        raise vx.errors.VoxopsError(f"the API says: {EVIL}")

    monkeypatch.setattr(commands, "run_triage", refuse)
    assert cli.main(["triage", "--sandbox"]) == 1
    commands.say(EVIL)
    commands.print_frame(pd.DataFrame({EVIL: [EVIL]}))
    printed, said = capsys.readouterr()
    assert said.startswith("voxops: the API says: ")
    assert harmless((printed + said).replace("\n", ""))
