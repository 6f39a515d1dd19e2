"""What a server says steers no terminal: not in an exception, not in a repr, not from a command (point 6 of the review of leaks)."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxops as vx
from voxops import cli
from voxops._support import eventloop
from voxops.cli import commands
from voxops.client import Answer, AsyncClient
from voxops.client.answer import error_of
from voxops.errors import ApiError

EVIL = "\x1b[2J\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x07\x9b31m\u202etxt.exe\u2066\x00\rover\nnext"


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def harmless(text: str) -> bool:
    """Whether a terminal only shows a text."""
    kinds = {(unicodedata.category(char), unicodedata.bidirectional(char)) for char in text}
    return not any(kind in {"Cc", "Cs"} or direction in BIDI for kind, direction in kinds)


def refused(body: Any, **headers: str) -> ApiError:
    """The error that an answer stands for."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = Answer("GET /v1/posts", 400, named, json.dumps(body).encode())
    error = error_of(answer, url="https://api.example", now=datetime.now(UTC), redact=lambda value: value)
    assert error is not None
    return error


@pytest.mark.parametrize("body", [
    {"error": {"code": EVIL, "message": EVIL}}, {"error": EVIL}, {"message": EVIL}, {"error": EVIL, "message": EVIL},
    [EVIL], EVIL,
])  # fmt: skip
def test_an_exception_is_text(body):
    error = refused(body, x_request_id=EVIL)
    for text in (str(error), repr(error), error.code, error.request_id or "", "".join(error._render_traceback_())):
        assert harmless(text)
        assert "evil.example" not in text, "the address behind the link is gone, the text of the link stays"
    assert "link" in str(error)


@given(code=ANY_TEXT, message=ANY_TEXT)
def test_no_text_of_a_server_steers_a_terminal(code, message):
    error = refused({"error": {"code": code, "message": message}}, x_request_id=message)
    for text in (str(error), error.code, error.request_id or ""):
        assert harmless(text)
        text.encode()


def test_a_workspace_s_name_is_text(sandbox, monkeypatch):
    real = AsyncClient.identity

    async def named(self: AsyncClient) -> dict[str, Any]:
        return {**await real(self), "workspaceName": EVIL}

    monkeypatch.setattr(AsyncClient, "identity", named)
    with vx.connect(sandbox=sandbox) as ws:
        assert harmless(repr(ws)) and harmless(ws._repr_html_().replace("\n", ""))
        assert eventloop.run(ws.client.identity())["workspaceName"] == EVIL, "what the API sent is kept as it is"


def test_what_commands_print_is_text(monkeypatch, capsys):
    def refuse(_: object) -> int:
        raise vx.errors.VoxopsError(f"the API says: {EVIL}")

    monkeypatch.setattr(commands, "run_triage", refuse)
    assert cli.main(["triage", "--sandbox"]) == 1
    commands.say(EVIL)
    commands.print_frame(pd.DataFrame({EVIL: [EVIL]}))
    printed, said = capsys.readouterr()
    assert said.startswith("voxops: the API says: ")
    assert harmless((printed + said).replace("\n", ""))
