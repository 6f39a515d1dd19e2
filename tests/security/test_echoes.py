"""A server that echoes the API key, in whatever spelling, brings it into nothing that is kept (point 12 of the review of leaks)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.security.raw import answer, serve

from voxops.client import AsyncClient, Reply, Secret
from voxops.errors import ApiError, DecodeError

MARK = "Qz7mXk4RtW9pLs2VbN6yHc3J"
KEY = f"vb_live_{MARK}"
ESCAPES: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "json": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "json, some": lambda text: "".join(f"\\u{ord(char):04X}" if at % 3 else char for at, char in enumerate(text)),
    "percent": lambda text: "".join(f"%{ord(char):02X}" for char in text),
    "html": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(char):x};" for char in text),
    "javascript": lambda text: "".join(f"\\x{ord(char):02x}" for char in text),
}


def pieces(thing: Any) -> list[str]:
    """Every eight characters of the key that a thing shows, however it is spelled."""
    text = thing.decode("latin-1") if isinstance(thing, bytes) else str(thing)
    plain = text.replace("\x00", "")
    spelled = [escape(MARK[at : at + 8]) for escape in ESCAPES.values() for at in range(len(MARK) - 7)]
    return [each for each in spelled if each.lower() in plain.lower()]


def asked(reply: bytes) -> BaseException | Reply:
    """What a client makes of an answer."""

    async def main(url: str) -> Reply:
        async with AsyncClient(KEY, url=url) as client:
            client._retries.backoff = type(client._retries.backoff)(tries=1)
            found = await client.request("GET", "/v1/auth/me")
            _ = found.data
            return found

    with serve(reply) as server:
        try:
            return asyncio.run(main(server.url))
        except (ApiError, DecodeError) as error:
            return error


def shown(outcome: Any) -> list[Any]:
    """All that an outcome keeps."""
    if isinstance(outcome, Reply):
        return [outcome.body, outcome.headers, outcome.data, outcome.request_id]
    return [str(outcome), repr(outcome), *vars(outcome).values()]


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized"])
@pytest.mark.parametrize("kind", ["json", "page"])
def test_no_spelling_of_the_key_is_kept_of_a_body(status, escape, kind):
    word = ESCAPES[escape](KEY)
    error = f'{{"error":{{"code":"UNAUTHORIZED","message":"no key {word}","details":{{"key":"{word}","{word}":1}}}}}}'
    body = (error if kind == "json" else f"<html>{word}</html>").encode()
    if kind == "json" and escape == "javascript":
        body = json.dumps({"error": {"message": word}}).encode()
    for each in shown(asked(answer(body, status))):
        assert pieces(each) == []


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_no_coding_of_the_key_is_kept_of_a_body(coding):
    body = json.dumps({"error": {"code": "UNAUTHORIZED", "message": f"no key {KEY}"}}).encode(coding)
    outcome = asked(answer(body, "401 Unauthorized"))
    assert isinstance(outcome, ApiError)
    for each in shown(outcome):
        assert pieces(each) == []


def test_headers_and_the_name_of_the_request_are_searched():
    for status in ("200 OK", "500 Oops"):
        outcome = asked(
            answer(b"{}", status, X_Request_Id=f"req-{KEY}", X_Echo=ESCAPES["percent"](KEY), Link=f"<{KEY}>")
        )
        for each in shown(outcome):
            assert pieces(each) == []


def test_a_key_that_only_shows_when_decoded_is_searched_for():
    """UTF-16 in which some characters are escaped: no search of the bytes finds it."""
    body = json.dumps({"error": {"message": "KEY", "details": {"KEY": ["KEY"]}}}).replace(
        "KEY", ESCAPES["json, some"](KEY)
    )
    outcome = asked(answer(body.encode("utf-16"), "403 Forbidden"))
    assert isinstance(outcome, ApiError)
    for each in (str(outcome), repr(outcome), outcome.details, outcome.code):
        assert pieces(each) == []


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
        asked(answer(b"{}", f"401 no key {KEY}", X_Echo=KEY, X_Spelled=ESCAPES["percent"](KEY)))
    assert "no key ***" in caplog.text, "the answer itself is logged"
    assert "X-Echo" in caplog.text
    for line in caplog.messages:
        assert pieces(line) == []


def test_a_record_that_can_not_be_written_breaks_no_request(caplog):
    """The library logs between a send and its answer: what was raised there would leave a create of which nobody knows."""
    asked(answer(b"{}"))
    with caplog.at_level(logging.INFO):
        logging.getLogger("httpx").info("%s and %s", *[KEY])
    assert caplog.messages == ["a record that can't be shown"]


@given(st.binary(max_size=300))
def test_what_holds_no_key_stays_as_it_is(data):
    assert Secret(KEY).redact(data) == data


@given(
    st.recursive(
        st.none() | st.integers() | st.text(st.characters(exclude_categories=())),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=8,
    )
)
def test_a_decoded_value_without_the_key_stays_as_it_is(value):
    assert Secret(KEY).redact_json(value) == value


@given(before=st.text(max_size=20), after=st.text(max_size=20), escape=st.sampled_from(sorted(ESCAPES)))
def test_every_occurrence_is_redacted(before, after, escape):
    data = f"{before}{ESCAPES[escape](KEY)}{after}{KEY}".encode()
    assert pieces(Secret(KEY).redact(data)) == []
