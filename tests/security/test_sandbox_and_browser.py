"""A page that the user happens to visit can neither read the sandbox nor act on it, nor use it to reach somebody else."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from voxburst_sandbox import Sandbox

KEY = {"Authorization": "Bearer vb_test_sandbox"}
JSON = {"Content-Type": "application/json"}
NAVIGATION = {
    "Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(posts=5, deliveries=0, rate_limit=None) as running:
        yield running


@pytest.fixture(scope="module")
def http():
    with httpx.Client(trust_env=False) as opened:
        yield opened


def port(url: str) -> int:
    return urlsplit(url).port or 0


FOREIGN_HOSTS = (
    "evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", "localhost", "[::1]:{port}",
)  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", ["/_sandbox/state", "/v1/posts"])
def test_another_name_for_this_machine_is_refused(sandbox, http, host, path):
    headers = {**KEY, "Host": host.format(port=port(sandbox.url))}
    answer = http.get(sandbox.url + path, headers=headers)
    assert answer.status_code == 421
    assert sandbox.workspace_id not in answer.text


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_the_names_of_this_machine_are_served(sandbox, http, name):
    headers = {**KEY, "Host": f"{name}:{port(sandbox.url)}"}
    assert http.get(f"{sandbox.url}/v1/health", headers=headers).status_code == 200
    assert http.get(f"{sandbox.url}/_sandbox/state", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:8888"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {**NAVIGATION, "Sec-Fetch-Dest": "iframe"},
    NAVIGATION,
])  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/_sandbox/reset"), ("GET", "/_sandbox/state"), ("GET", "/v1/posts")]
)
def test_a_foreign_page_is_refused(sandbox, http, headers, method, path):
    before = sandbox.state()["counts"]["requests"]
    answer = http.request(
        method, sandbox.url + path, headers={**KEY, **JSON, **headers}, content=b"{}" if method == "POST" else None
    )
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "FOREIGN_ORIGIN"
    assert sandbox.state()["counts"]["requests"] == before


def test_a_foreign_page_gets_no_leave_to_ask(sandbox, http):
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = http.options(f"{sandbox.url}/_sandbox/reset", headers=asks)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_own_page_is_served(sandbox, http):
    here = {"Origin": sandbox.url, "Sec-Fetch-Site": "same-origin"}
    assert http.post(f"{sandbox.url}/_sandbox/advance", headers=here, json={"seconds": 1}).status_code == 200
    assert http.get(f"{sandbox.url}/_sandbox/state", headers={"Sec-Fetch-Site": "none"}).status_code == 200


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "text/plain;application/json"]
)
@pytest.mark.parametrize("path", ["reset", "advance", "faults", "person"])
def test_control_calls_take_json_only(sandbox, http, kind, path):
    now = sandbox.now()
    headers = {} if kind is None else {"Content-Type": kind}
    answer = http.post(f"{sandbox.url}/_sandbox/{path}", headers=headers, content=b'{"seconds": 60}')
    assert answer.status_code == 415
    assert sandbox.now() == now


def test_storage_and_receiver_are_guarded_too(sandbox, http):
    for url in (sandbox.storage_url, sandbox.receiver_url):
        assert http.post(url, headers={"Host": "evil.test"}).status_code == 421
        assert http.post(url, headers={"Origin": "https://evil.test"}).status_code == 403
    assert http.post(sandbox.receiver_url, headers={"Host": "hooks.aldercoffee.example"}, json={}).status_code in (
        200,
        503,
    )
    assert http.put(sandbox.storage_url, headers={"Host": "hooks.aldercoffee.example"}).status_code == 421


def connect(sandbox: Sandbox, http: httpx.Client, body: dict) -> dict:
    return http.post(f"{sandbox.url}/v1/accounts/connect/threads", headers=KEY, json=body).json()


def test_a_person_is_sent_back_only_to_what_was_registered_or_to_this_machine(sandbox, http):
    state = connect(sandbox, http, {"callbackUrl": "https://app.example/back?tab=2#top"})["state"]
    for back in (
        "https://evil.example/",
        "https://app.example/back",
        "//evil.example",
        "http://127.0.0.1.evil.example/",
        "javascript:alert(1)",
    ):
        answer = http.get(f"{sandbox.url}/_sandbox/oauth/authorize", params={"state": state, "redirect_uri": back})
        assert (answer.status_code, "location" in answer.headers) == (400, False), back
    for back in ("http://localhost:9999/here", "http://127.0.0.1:8888/lab?x=1", "http://[::1]:7/"):
        answer = http.get(f"{sandbox.url}/_sandbox/oauth/authorize", params={"state": state, "redirect_uri": back})
        assert answer.status_code == 307
        assert answer.headers["location"].startswith(back.split("?")[0])


def test_the_registered_address_is_kept_and_joined(sandbox, http):
    url = connect(sandbox, http, {"callbackUrl": "https://app.example/back?tab=2#top"})["authUrl"]
    answer = http.get(url, headers=NAVIGATION)  # the person follows a link on the app's page
    assert answer.status_code == 307
    there = urlsplit(answer.headers["location"])
    assert (there.netloc, there.path, there.fragment) == ("app.example", "/back", "top")
    query = parse_qs(there.query)
    assert query["tab"] == ["2"]
    done = http.post(
        f"{sandbox.url}/v1/accounts/callback/threads",
        headers=KEY,
        json={"code": query["code"][0], "state": query["state"][0]},
    )
    assert done.json()["account"]["status"] == "active"


def test_a_state_that_was_never_issued_leads_nowhere(sandbox, http):
    params = {"state": "st_made_up", "redirect_uri": "http://127.0.0.1:9/"}
    assert http.get(f"{sandbox.url}/_sandbox/oauth/authorize", params=params).status_code == 400


@pytest.mark.parametrize(
    "back", ["javascript:alert(1)", "//evil.example", "ftp://app.example/", "http://[", "http://h:99999/", 7]
)
def test_only_a_web_address_can_be_registered(sandbox, http, back):
    answer = http.post(f"{sandbox.url}/v1/accounts/connect/threads", headers=KEY, json={"callbackUrl": back})
    assert answer.status_code == 400
