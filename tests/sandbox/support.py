"""What the tests of the sandbox share: a plain client, and things to act on."""

from __future__ import annotations

import socket
from dataclasses import asdict
from typing import Any

import httpx
from tests.virtual import PATIENCE, until

from voxburst_sandbox import Sandbox, Switches

AUTH = {"Authorization": "Bearer vb_test_sandbox"}
KEY = {"Idempotency-Key": "b3f1c9c0-1111-4222-8333-444455556666"}


def client(sandbox: Sandbox, key: str = "vb_test_sandbox") -> httpx.Client:
    """A client of the API, which knows nothing of voxops."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=sandbox.url + "/v1", headers=headers, trust_env=False, verify=False)


def again(sandbox: Sandbox, *, empty: bool = False, **changes: Any) -> Sandbox:
    """A sandbox as it was in the beginning, under the default readings but for these."""
    sandbox.set_switches(**{**asdict(Switches()), **changes})
    sandbox.receiver()
    sandbox.reset(empty=empty)
    return sandbox


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status_code, answer.json()["error"]["code"]


def walk(api: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    """Every record of a list."""
    records = []
    while True:
        page = api.get(path, params=params).json()
        records += page["data"]
        params["cursor"] = page["pagination"]["next_cursor"]
        if params["cursor"] is None:
            return records


def account(api: httpx.Client, platform: str) -> str:
    """An active account on a platform."""
    return next(a["id"] for a in walk(api, "/accounts", platform=platform) if a["status"] == "active")


def fields(api: httpx.Client, platform: str = "facebook", **more: Any) -> dict[str, Any]:
    """The body of a new post."""
    return {"content": "A new post", "accountIds": [account(api, platform)], **more}


def create(api: httpx.Client, platform: str = "facebook", **more: Any) -> dict[str, Any]:
    """A new post."""
    answer = api.post("/posts", json=fields(api, platform, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()


def draft(api: httpx.Client, platform: str = "facebook", **more: Any) -> dict[str, Any]:
    """A new draft."""
    return create(api, platform, saveAsDraft=True, **more)


def send_and_leave(sandbox: Sandbox, request: httpx.Request) -> None:
    """Send a request and hang up when it has arrived, without an answer."""
    before = len(sandbox.requests())
    lines = [
        f"{request.method} {request.url.raw_path.decode()} HTTP/1.1",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    with socket.create_connection((request.url.host, request.url.port), PATIENCE) as wire:
        wire.sendall("\r\n".join([*lines, "", ""]).encode() + request.read())
        until(lambda: len(sandbox.requests()) > before)
