"""A server that echoes the API key, in whatever spelling, coding or place, brings it into nothing that is kept."""

from __future__ import annotations

import html
import json
import logging
import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.security.leaks import KEY, pieces
from tests.security.raw import answer, asked, serve

from voxops.client import Secret
from voxops.errors import ApiError, DecodeError

FORMS = {"json": "\\u%04x", "percent": "%%%02X", "html": "&#%d;", "hexadecimal": "&#x%x;", "javascript": "\\x%02x"}
ESCAPES = {
    "as it is": str,
    "some": lambda text: "".join(f"\\u{ord(char):04X}" if at % 3 else char for at, char in enumerate(text)),
    **{name: lambda text, form=form: "".join(form % ord(char) for char in text) for name, form in FORMS.items()},
}
CODINGS = ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
ERROR = '{"error":{"code":"UNAUTHORIZED","message":"no key KEY","details":{"key":"KEY","KEY":["KEY"]}}}'


def plain(text):
    """A text without the escapes of JSON, JavaScript, URLs and HTML, however many lie behind each other."""
    shorter = re.sub(r"\\+(?:(?:u00|x)([0-7][0-9a-fA-F])|/)", lambda found: chr(int(found[1] or "2f", 16)), text)
    shorter = html.unescape(unquote(shorter))
    return text if shorter == text else plain(shorter)


def spelled(thing):
    """Every eight characters of the key that a thing shows, however it is spelled."""
    return pieces(plain(thing.decode("latin-1") if isinstance(thing, bytes) else str(thing)).replace("\x00", ""))


def redacted(body):
    """The pieces of the key in what is kept of a body."""
    return spelled(Secret(KEY).redact(body))


def kept(reply):
    """The pieces of the key in all that is kept of an answer."""
    with serve(reply) as server:
        try:
            found = asked(server.url, lambda client: client.request("GET", "/v1/auth/me"), KEY)
            things = [found.body, found.headers, found.json, found.request_id]
        except (ApiError, DecodeError) as error:
            things = [str(error), repr(error), *vars(error).values()]
    return [piece for thing in things for piece in spelled(thing)]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("escape", ESCAPES)
def test_no_spelling_and_no_coding_of_the_key_is_kept(escape, coding):
    for body in (ERROR, "<html>KEY</html>", "your key is KEY"):
        assert redacted(body.replace("KEY", ESCAPES[escape](KEY)).encode(coding)) == [], body


# Escapes that programs lay over each other; the later ones escape only what they must.
AGAIN = {
    "quoted": lambda text: quote(text, safe=""), "dumped": lambda text: json.dumps(text)[1:-1], "escaped": html.escape,
    "named": lambda text: text.replace("_", "&lowbar;"), "signs": lambda text: re.sub(r"[&%#\\]", lambda sign: f"\\u{ord(sign[0]):04x}", text),
}  # fmt: skip
LAYERS = [
    "percent percent percent", "json dumped", "json json json", "html escaped escaped",
    "html html", "percent html", "html percent", "json percent html", "javascript quoted", "javascript dumped", "hexadecimal quoted escaped", "named", "named quoted",
    "percent" + " quoted" * 40, "html" + " escaped" * 40, "json" + " dumped" * 8, "percent signs", "html signs", "hexadecimal signs", "json signs",
]  # fmt: skip


def layered(names, text):
    """A text under these escapes, the first one innermost."""
    for name in names.split():
        text = (ESCAPES | AGAIN)[name](text)
    return text


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("coding", ["utf-8", "utf-16-le"])
def test_escapes_behind_escapes_are_found(coding, layers):
    word = layered(layers, KEY)
    inner = json.dumps({"sent": word.replace("\\u00", "\x00")}).replace("\\u0000", "\\u00")
    bodies = {"content": word, "list": [{word: 1}]}, {"data": json.dumps({"sent": [word]})}, [word]
    for text in (*map(json.dumps, bodies), inner, f'"{word}"', f"<html>{word}", f"no key {word}"):
        assert redacted(text.encode(coding)) == [], text


def test_what_stands_beside_an_echo_stays():
    """An answer is still JSON, with its quotation marks and its text, once the key is out of it."""
    body = {
        "id": "post_1",
        "content": 'Tom &amp; "Ana" 100%25 \\u0022',
        "note": "é" + layered("percent quoted", KEY),
        "count": 2**70,
    }
    redacted = Secret(KEY).redact(json.dumps(body).encode())
    assert json.loads(redacted) == body | {"note": "é***"}


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "500 Oops"])
def test_body_and_headers_and_the_name_of_the_request_are_searched(status):
    headers = {"X_Request_Id": f"req-{KEY}", "X_Echo": ESCAPES["percent"](KEY), "Link": f"<{KEY}>"}
    for escape in ESCAPES.values():
        assert kept(answer(ERROR.replace("KEY", escape(KEY)).encode(), status, **headers)) == []


def test_a_key_with_a_slash_is_found_as_php_writes_it():
    """``\\/`` is what json_encode makes of a slash."""
    key = "vb_live_Qz7m/Xk4RtW9/pLs2VbN6yHc3J"
    body = json.dumps({"content": f"you sent {key} to a/b"}).replace("/", "\\/").encode()
    assert json.loads(Secret(key).redact(body)) == {"content": "you sent *** to a/b"}


def test_what_a_server_echoes_reaches_no_log(caplog):
    """The HTTP library logs reason phrases and headers before anybody else sees them."""
    with caplog.at_level(logging.DEBUG):
        kept(answer(b"{}", f"401 no key {KEY}", X_Echo=KEY, X_Spelled=ESCAPES["percent"](KEY)))
    assert "no key ***" in caplog.text, "the answer itself is logged"
    assert "X-Echo" in caplog.text
    assert not [line for line in caplog.messages if spelled(line)]


@given(st.binary(max_size=300))
@pytest.mark.parametrize("text", ['{"a": "\\u0026#118; \\u0025 \\u005c", "n": NaN}', '["\\u0026"]' * 2, "\\u0026" * 5])
def test_what_holds_no_key_stays_as_it_is(text, data):
    for each in (data, *(text.encode(coding) for coding in CODINGS)):
        assert Secret(KEY).redact(each) == each


CHAINS = [
    "\\" * 300_000,
    "%" + "25" * 99_999,
    "&" + "amp;" * 99_999,
    "&#" + "9" * 9_999,
    "%26amp%3B" * 9_999,
    "&" + "a" * 99_999,
    "\\x" * 99_999,
]


@pytest.mark.parametrize("text", CHAINS, ids=range(7))
def test_a_long_chain_of_escapes_costs_no_more_than_it_is_long(text):
    """Each would take minutes, were it read again from each of its characters."""
    assert Secret(KEY).redact(text.encode()) == text.encode()


@example(before="\x00", after="", escape="html")
@given(before=st.text(max_size=20), after=st.text(max_size=20), escape=st.sampled_from(sorted(ESCAPES)))
def test_every_occurrence_is_redacted(before, after, escape):
    assert redacted(f"{before}{ESCAPES[escape](KEY)}{after}{KEY}".encode()) == []
