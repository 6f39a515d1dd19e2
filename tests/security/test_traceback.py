"""The API key is in no traceback.

A verbose traceback prints the local variables of every frame. So each exception that the client can be made to raise, over addresses,
paths, ids, queries and bodies, is searched frame by frame, with all that its variables hold, for any eight characters of the key.
"""

from __future__ import annotations

from collections import Counter

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.security.leaks import KEY, MARK, frames, leaks
from tests.security.raw import answer, asked, serve

import voxops as vx
from voxops.client import AsyncClient
from voxops.errors import ConfigError, TransportError, VoxopsError


def checked(work):
    """What a call raises, after it was searched; None if nothing."""
    try:
        work()
    except Exception as error:
        assert leaks(error, Counter()) == []
        return error
    return None


NOBODY = "http://127.0.0.1:9"


HOSTS = [
    "https://api.vox\u200bburst.io", "http://[::1].evil.example",
    "https://[::1].evil.example", "https://api.voxburst.io\u202e", "https://xn--zz--.example",
    "https://" + "a" * 70_000 + ".example", "https://api.voxburst.io/" + "a" * 70_000, "https://\ud83d.example",
    "https://a.example\\@b.example", "https://a.example:99999", "https://ex ample.com", "https://a..example",
    "https://%zz.example", "https://" + "é" * 80 + ".example",
]  # fmt: skip


PATHS = ["/v1/posts/" + "a" * 70_000, "/v1/posts/\ud83d", "/v1/posts/\x00\x1b", "/v1/" + "é" * 30_000]


@pytest.mark.parametrize(
    ("url", "path"), [*((url, "/v1/posts") for url in HOSTS), *((NOBODY, path) for path in PATHS)], ids=range(18)
)
def test_what_the_http_library_refuses_is_refused_by_us_without_the_key(url, path):
    error = checked(lambda: asked(url, lambda client: client.request("POST", path), KEY, 0.5))
    assert isinstance(error, VoxopsError)
    assert len([*frames(error)]) > 2, "the search walks the frames of our own"
    assert "\u200b" not in url or "U+200B" in str(error)


TEXT = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    ["a" * 70_000, "\ud83d", "\u200b", "..", "/", "%", "\r\nX: y"]
)
VALUES = (
    TEXT | st.integers() | st.floats() | st.none() | st.booleans() | st.binary(max_size=4) | st.builds(lambda: 10**5000)
)


@given(host=TEXT, prefix=st.sampled_from(["https://", "http://", "https://127.0.0.1:", "http://[", ""]))
def test_no_address_brings_the_key_out(host, prefix):
    checked(lambda: AsyncClient(KEY, url=prefix + host))


@given(
    method=st.sampled_from(["GET", "POST"]) | TEXT,
    path=TEXT.map(lambda text: f"/v1/posts/{text}") | TEXT,
    query=st.dictionaries(TEXT, VALUES, max_size=2),
    body=VALUES | st.dictionaries(TEXT, st.lists(VALUES, max_size=3), max_size=3),
    key=st.none() | TEXT,
)
def test_no_request_brings_the_key_out(method, path, query, body, key):
    use = lambda client: client.request(method, path, params=query, json=body, idempotency_key=key)  # noqa: E731
    checked(lambda: asked(NOBODY, use, KEY, 0.5))


OTHER = "vb_test_another_key_that_is_shown"
USER = f"user:{MARK}@"
PLACES = [
    KEY, f"https://{USER}api.example", f"https://api.example/?key={MARK}", f"https://api.example#{MARK}", f"https://api\u200b.example/{MARK}",
    f"http://{MARK}.example", f"ftp://{MARK}", f"https://[{MARK}", f" {MARK} {MARK}", f"https:/{MARK}", f"//{USER}api.example", f"\x01{MARK}",
]  # fmt: skip
PROXIES = [
    f"http://{USER}127.0.0.1:9", f"https://{USER}127.0.0.1:9", f"socks5://{USER}127.0.0.1:9", f"ftp://{USER}a.example", f"http://{USER}[a", MARK,
    f"http://{USER}a.example:99999999", f"http://{USER}a\u200b.example", f"socks4://{USER}a.example", f"http://{USER}\x00a",
]  # fmt: skip
AWAY = "https://api.invalid"


@pytest.mark.parametrize("place", PLACES)
def test_a_key_as_an_address_and_a_password_in_it_are_in_no_traceback(place, monkeypatch):
    errors = [checked(lambda call=call: call(OTHER, url=place)) for call in (AsyncClient, vx.connect)]
    monkeypatch.setenv("VOXBURST_API_URL", place)
    errors.append(checked(lambda: vx.connect(OTHER)))
    assert all(isinstance(error, ConfigError) and "url=" in str(error) for error in errors)


@pytest.mark.parametrize(
    ("how", "proxy"), [*(("client", proxy) for proxy in PROXIES), ("connect", PROXIES[0]), ("environment", PROXIES[0])]
)
def test_the_password_of_a_proxy_is_in_no_traceback(how, proxy, monkeypatch):
    given = {} if how == "environment" else {"proxy": proxy}
    if not given:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    ask = lambda: asked(AWAY, AsyncClient.identity, OTHER, 1.0, **given)  # noqa: E731
    connect = lambda: vx.connect(OTHER, url=AWAY, timeout=1, max_wait="1s", **given)  # noqa: E731
    error = checked(ask if how == "client" else connect)
    assert isinstance(error, ConfigError | TransportError) and (given or "HTTPS_PROXY" in str(error))


@pytest.mark.parametrize("wrong", [
    {"timeout": -1}, {"verify": False}, {"ledger": "/dev/null/x"}, {"tz": "Mars"}, {"sandbox": True}, {"api_key": ""},
    {"transport": 1}, {"alone": "no"},
], ids=str)  # fmt: skip
def test_a_setting_that_is_refused_shows_no_other(wrong):
    error = checked(lambda: vx.connect(**({"api_key": OTHER, "url": AWAY, "proxy": PROXIES[0]} | wrong)))
    assert isinstance(error, VoxopsError)


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"no http\r\n\r\n", answer(b"{", "200 OK", Content_Length="50"), answer(b"<html>", "302 Found", Location="https://[bad"),
        answer(b"{}", "401 Unauthorized"), answer(b"[]", "500 Oops"), answer(b"x", Content_Encoding="gzip"), answer(b"{}", "200 OK", Date="x" * 200_000),
    ],
    ids=range(8),
)  # fmt: skip
def test_no_answer_brings_the_key_out(reply):
    with serve(reply) as server:
        error = checked(lambda: asked(server.url, AsyncClient.identity, KEY, 0.5))
    assert isinstance(error, VoxopsError)


def test_the_search_finds_a_key_that_is_there():
    """The search itself would find the header in a library's frame, where the key once was."""
    with pytest.raises(httpx.InvalidURL) as caught:
        httpx.Client().build_request("GET", "https://a\u200b.example", headers={"Authorization": f"Bearer {KEY}"})
    assert leaks(caught.value, Counter()) != []
