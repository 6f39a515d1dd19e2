"""A page that the user happens to visit can neither read the sandbox nor act on it, nor use it to reach somebody else."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest

KEY = {"Authorization": "Bearer vb_test_sandbox"}
NAVIGATION = {
    "Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
}  # fmt: skip


@pytest.fixture(scope="module")
def http():
    with httpx.Client(trust_env=False) as opened:
        yield opened


def test_only_the_names_of_this_machine_are_served(sandbox, http):
    here = urlsplit(sandbox.url).port
    ours = [f"127.0.0.1:{here}", f"localhost:{here}", f"LOCALHOST:{here}"]
    others = [
        "evil.example",
        f"evil.example:{here}",
        f"127.0.0.1.evil.example:{here}",
        "127.0.0.1:1",
        "localhost",
        f"[::1]:{here}",
    ]
    for host in ours + others:
        for path in ("/_sandbox/state", "/v1/auth/me"):
            answer = http.get(sandbox.url + path, headers={**KEY, "Host": host})
            assert answer.status_code == (200 if host in ours else 421), host
            assert host in ours or sandbox.workspace_id not in answer.text


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:8888"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {**NAVIGATION, "Sec-Fetch-Dest": "iframe"},
    NAVIGATION,
])  # fmt: skip
def test_a_foreign_page_is_refused(sandbox, http, headers):
    before = sandbox.state()["counts"]["requests"]
    for method, path in (("POST", "/_sandbox/reset"), ("GET", "/_sandbox/state"), ("GET", "/v1/posts")):
        answer = http.request(
            method, sandbox.url + path, headers={**KEY, "Content-Type": "application/json", **headers}, content=b"{}"
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FOREIGN_ORIGIN")
    asked = {**headers, "Access-Control-Request-Method": "POST"}
    answer = http.options(f"{sandbox.url}/_sandbox/reset", headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert sandbox.state()["counts"]["requests"] == before


def test_the_own_page_is_served(sandbox, http):
    here = {"Origin": sandbox.url, "Sec-Fetch-Site": "same-origin"}
    assert http.post(f"{sandbox.url}/_sandbox/advance", headers=here, json={"seconds": 1}).status_code == 200
    assert http.get(f"{sandbox.url}/_sandbox/state", headers={"Sec-Fetch-Site": "none"}).status_code == 200


@pytest.mark.parametrize("path", ["reset", "advance", "faults", "person"])
def test_control_calls_take_json_only(sandbox, http, path):
    now = sandbox.now()
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "text/plain;application/json"):
        headers = {"Content-Type": kind} if kind else {}
        answer = http.post(f"{sandbox.url}/_sandbox/{path}", headers=headers, content=b'{"seconds": 60}')
        assert answer.status_code == 415
    assert sandbox.now() == now


def test_storage_and_receiver_are_guarded_too(sandbox, http):
    for url in (sandbox.storage_url, sandbox.receiver_url):
        assert http.post(url, headers={"Host": "evil.test"}).status_code == 421
        assert http.post(url, headers={"Origin": "https://evil.test"}).status_code == 403
    ours = {"Host": "hooks.aldercoffee.example"}
    assert http.post(sandbox.receiver_url, headers=ours, json={}).status_code in {200, 503}
    assert http.put(sandbox.storage_url, headers=ours).status_code == 421
