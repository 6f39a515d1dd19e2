"""A server that echoes the API key, in whatever spelling, coding or place, brings it into nothing that is kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.security.leaks import KEY, MARK
from tests.security.raw import answer, asked, serve

import voxops as vx
from voxops.client import Answer, AsyncClient, Secret
from voxops.errors import ApiError, DecodeError

ESCAPES: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "json": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "json, some": lambda text: "".join(f"\\u{ord(char):04X}" if at % 3 else char for at, char in enumerate(text)),
    "percent": lambda text: "".join(f"%{ord(char):02X}" for char in text),
    "html": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(char):x};" for char in text),
    "javascript": lambda text: "".join(f"\\x{ord(char):02x}" for char in text),
}
CODINGS = ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
ERROR = '{"error":{"code":"UNAUTHORIZED","message":"no key KEY","details":{"key":"KEY","KEY":["KEY"]}}}'


def spelled(thing: Any) -> list[str]:
    """Every eight characters of the key that a thing shows, however it is spelled."""
    text = thing.decode("latin-1") if isinstance(thing, bytes) else str(thing)
    plain = text.replace("\x00", "")
    pieces = [escape(MARK[at : at + 8]) for escape in ESCAPES.values() for at in range(len(MARK) - 7)]
    return [each for each in pieces if each.lower() in plain.lower()]


async def read(client: AsyncClient) -> Answer:
    found = await client.request("GET", "/v1/auth/me")
    _ = found.json
    return found


def kept(reply: bytes) -> list[str]:
    """The pieces of the key in all that is kept of an answer."""
    with serve(reply) as server:
        try:
            found = asked(server.url, read, KEY)
            things = [found.body, found.headers, found.json, found.request_id]
        except (ApiError, DecodeError) as error:
            things = [str(error), repr(error), *vars(error).values()]
    return [piece for thing in things for piece in spelled(thing)]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized"])
def test_no_spelling_and_no_coding_of_the_key_is_kept_of_a_body(status, coding):
    for name, escape in ESCAPES.items():
        for body in (ERROR, "<html>KEY</html>", "your key is KEY"):
            word = json.dumps(escape(KEY))[1:-1] if name == "javascript" and body == ERROR else escape(KEY)
            assert kept(answer(body.replace("KEY", word).encode(coding), status)) == [], (name, body)


@pytest.mark.parametrize("escape", ["percent", "html", "html, hexadecimal", "json"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le"])
def test_escapes_behind_escapes_are_found(coding, escape):
    word = ESCAPES[escape](KEY)
    for sign in "&%#\\":
        word = word.replace(sign, f"\\u{ord(sign):04x}") if sign != "\\" or escape == "json" else word
    body = json.dumps({"content": "KEY", "list": [{"KEY": 1}]}).replace("KEY", word)
    assert kept(answer(body.encode(coding))) == []


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
def test_headers_and_the_name_of_the_request_are_searched(status):
    headers = {"X_Request_Id": f"req-{KEY}", "X_Echo": ESCAPES["percent"](KEY), "Link": f"<{KEY}>"}
    assert kept(answer(b"{}", status, **headers)) == []


def test_no_frame_has_it(tmp_path):
    body = json.dumps({"data": [{"id": "post_1", "content": "KEY"}]}).replace("KEY", ESCAPES["json"](KEY))

    def api(head: bytes, _: bytes) -> Any:
        yield answer(b'{"workspaceId": "ws_1"}' if b"/auth/me" in head else body.encode("utf-16"))

    with serve(api) as server, vx.connect(KEY, url=server.url, ledger=tmp_path / "ledger") as ws:
        posts = ws.posts()
    assert posts["content"].tolist() == ["***"]


def test_a_key_with_a_slash_is_found_as_php_writes_it():
    """``\\/`` is what json_encode makes of a slash."""
    key = "vb_live_Qz7m/Xk4RtW9/pLs2VbN6yHc3J"
    body = json.dumps({"content": f"you sent {key} to a/b"}).replace("/", "\\/").encode()
    assert json.loads(Secret(key).redact(body)) == {"content": "you sent *** to a/b"}
    other = json.dumps({"content": "a/b"}).replace("/", "\\/").encode()
    assert Secret(key).redact(other) == other


def test_what_a_server_echoes_reaches_no_log(caplog):
    """The HTTP library logs reason phrases and headers before anybody else sees them."""
    with caplog.at_level(logging.DEBUG):
        kept(answer(b"{}", f"401 no key {KEY}", X_Echo=KEY, X_Spelled=ESCAPES["percent"](KEY)))
    assert "no key ***" in caplog.text, "the answer itself is logged"
    assert "X-Echo" in caplog.text
    assert not [line for line in caplog.messages if spelled(line)]


def test_a_record_that_can_not_be_written_breaks_no_request(caplog):
    """The library logs between a send and its answer: what was raised there would leave a create of which nobody knows."""
    kept(answer(b"{}"))
    with caplog.at_level(logging.INFO):
        logging.getLogger("httpx").info("%s and %s", *[KEY])
    (said,) = caplog.messages
    assert "can't be shown" in said and not spelled(said)


@given(st.binary(max_size=300))
@pytest.mark.parametrize("text", ['{"a": "\\u0026#118; \\u0025 \\u005c", "n": NaN}', '["\\u0026"]' * 2, "\\u0026" * 5])
def test_what_holds_no_key_stays_as_it_is(text, data):
    for each in (data, *(text.encode(coding) for coding in CODINGS)):
        assert Secret(KEY).redact(each) == each


VALUES = st.none() | st.integers() | st.text(st.characters(exclude_categories=()))


@given(st.recursive(VALUES, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8))
def test_a_decoded_value_without_the_key_stays_as_it_is(value):
    assert Secret(KEY).redact_json(value) == value


@example(before="\x00", after="", escape="html")
@given(before=st.text(max_size=20), after=st.text(max_size=20), escape=st.sampled_from(sorted(ESCAPES)))
def test_every_occurrence_is_redacted(before, after, escape):
    data = f"{before}{ESCAPES[escape](KEY)}{after}{KEY}".encode()
    assert spelled(Secret(KEY).redact(data)) == []
