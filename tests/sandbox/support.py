"""What the tests of the sandbox share: a plain client, and things to act on."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import asdict
from typing import Any

import httpx
import pytest
from tests.virtual import PATIENCE, until

from voxburst_sandbox import Sandbox, Switches
from voxburst_sandbox.switches import FaultBook

KEY = {"Idempotency-Key": "b3f1c9c0-1111-4222-8333-444455556666"}


def client(sandbox: Sandbox, key: str = "vb_test_sandbox") -> httpx.Client:
    """A client of the API, which knows nothing of voxops."""
    return httpx.Client(
        base_url=sandbox.url + "/v1", headers={"Authorization": f"Bearer {key}"}, trust_env=False, verify=False
    )


def again(sandbox: Sandbox, *, empty: bool = False, **changes: Any) -> Sandbox:
    """A sandbox as it was in the beginning, under the default readings but for these."""
    sandbox.set_switches(**{**asdict(Switches()), **changes})
    sandbox.receiver()
    sandbox.reset(empty=empty)
    return sandbox


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


def draft(api: httpx.Client, platform: str = "linkedin", **more: Any) -> dict[str, Any]:
    """A new draft."""
    body = {"content": "A new post", "accountIds": [account(api, platform)], "saveAsDraft": True, **more}
    answer = api.post("/posts", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


class Gate:
    """Where delayed requests wait, instead of seconds that may be too few or too many, until the test lets them go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self.passed = 0
        monkeypatch.setattr(FaultBook, "hold", self._wait)

    async def _wait(self, *_: object) -> None:
        while not self._open.is_set():
            await asyncio.sleep(0.01)
        self.passed += 1

    def open(self) -> None:
        """Let them go on, all that come later at once."""
        self._open.set()


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
