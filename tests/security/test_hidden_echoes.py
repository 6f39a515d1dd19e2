"""The key echoed in escapes within UTF-16 and UTF-32, or in escapes of escapes, reaches no body, no value and no frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.security.raw import answer, serve
from tests.security.test_echoes import ESCAPES, KEY, asked, pieces, shown

import voxops as vx
from voxops.client import Secret


@pytest.mark.parametrize("escape", ["json", "json, some", "percent", "html", "html, hexadecimal"])
@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized"])
def test_escapes_are_found_in_every_coding(status: str, coding: str, escape: str) -> None:
    body = json.dumps({"error": {"message": "KEY", "details": {"KEY": ["KEY"]}}}).replace("KEY", ESCAPES[escape](KEY))
    for each in shown(asked(answer(body.encode(coding), status))):
        assert pieces(each) == []


@pytest.mark.parametrize("escape", ["percent", "html", "html, hexadecimal", "json"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le"])
def test_escapes_behind_escapes_are_found(coding: str, escape: str) -> None:
    word = ESCAPES[escape](KEY)
    for sign in "&%#\\":
        word = word.replace(sign, f"\\u{ord(sign):04x}") if sign != "\\" or escape == "json" else word
    body = json.dumps({"content": "KEY", "list": [{"KEY": 1}]}).replace("KEY", word)
    assert "KEY" not in str(json.loads(body))
    for each in shown(asked(answer(body.encode(coding)))):
        assert pieces(each) == []


def test_no_frame_has_it(tmp_path: Path) -> None:
    body = json.dumps({"data": [{"id": "post_1", "content": "KEY"}]}).replace("KEY", ESCAPES["json"](KEY))

    def api(head: bytes, _: bytes) -> Any:
        yield answer(b'{"workspaceId": "ws_1"}' if b"/auth/me" in head else body.encode("utf-16"))

    with serve(api) as server, vx.connect(KEY, url=server.url, ledger=tmp_path / "ledger") as ws:
        posts = ws.posts()
    assert posts["content"].tolist() == ["***"]


@pytest.mark.parametrize("text", ['{"a": "\\u0026#118; \\u0025 \\u005c", "n": NaN}', '["\\u0026"]' * 2, "\\u0026" * 5])
def test_an_answer_without_the_key_stays_as_it_is(text: str) -> None:
    for coding in ("utf-8", "utf-16", "utf-32-be"):
        assert Secret(KEY).redact(text.encode(coding)) == text.encode(coding)
