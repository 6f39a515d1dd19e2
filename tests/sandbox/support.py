"""What the tests of the sandbox share: a plain client, and things to act on."""

from __future__ import annotations

from typing import Any

import httpx

from voxops.sandbox import Sandbox

KEY = {"Idempotency-Key": "b3f1c9c0-1111-4222-8333-444455556666"}


def client(sandbox: Sandbox, key: str = "vb_test_sandbox") -> httpx.Client:
    """A client of the API, which knows nothing of voxops."""
    return httpx.Client(base_url=sandbox.url + "/v1", headers={"Authorization": f"Bearer {key}"}, trust_env=False)


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
