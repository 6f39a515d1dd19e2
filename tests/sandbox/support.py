"""What the tests of the sandbox share: a plain client, and things to act on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import httpx

from voxburst_sandbox import Sandbox, Switches

KEY = {"Idempotency-Key": "b3f1c9c0-1111-4222-8333-444455556666"}


class Api(httpx.Client):
    """A client of the API, which knows nothing of voxops."""

    def __init__(self, sandbox: Sandbox, key: str = "vb_test_sandbox") -> None:
        headers = {"Authorization": f"Bearer {key}"}
        super().__init__(base_url=sandbox.url + "/v1", headers=headers, trust_env=False, verify=False)

    def read(self, path: str, **query: Any) -> Any:
        """What is answered to a GET."""
        return self.get(path, params=query).json()


def again(sandbox: Sandbox, *, empty: bool = False, **changes: Any) -> Sandbox:
    """A sandbox as it was in the beginning, under the default readings but for these."""
    sandbox.set_switches(**{**asdict(Switches()), **changes})
    sandbox.receiver()
    sandbox.reset(empty=empty)
    return sandbox


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status_code, answer.json()["error"]["code"]


def walk(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every record of a list."""
    records = []
    while True:
        page = api.read(path, **query)
        records += page["data"]
        query["cursor"] = page["pagination"]["next_cursor"]
        if query["cursor"] is None:
            return records


def account(api: Api, platform: str) -> str:
    """An active account on a platform."""
    return api.read("/accounts", platform=platform, status="active")["data"][0]["id"]


def fields(api: Api, platform: str = "facebook", **more: Any) -> dict[str, Any]:
    """The body of a new post."""
    return {"content": "A new post", "accountIds": [account(api, platform)], **more}


def create(api: Api, **more: Any) -> dict[str, Any]:
    """A new post."""
    answer = api.post("/posts", json=fields(api, **more))
    assert answer.status_code == 201, answer.text
    return answer.json()


def draft(api: Api, **more: Any) -> dict[str, Any]:
    """A new draft."""
    return create(api, saveAsDraft=True, **more)


def failed_post(sandbox: Sandbox, code: str = "RATE_LIMITED") -> tuple[str, str]:
    """A post that only one of its platforms has refused, for this reason, and which can be retried twice; the target there."""
    for post in sandbox.world.posts.values():
        for target in post.targets:
            others = {other.status for other in post.targets if other is not target}
            if (target.error or {}).get("code") == code and target.retry_count < 2 and others == {"published"}:
                return post.id, target.id
    raise AssertionError(f"the campaign has no lone {code}")


def target(api: Api, post_id: str, target_id: str) -> dict[str, Any]:
    """One platform of a post."""
    (found,) = (each for each in api.read(f"/posts/{post_id}")["platforms"] if each["postPlatformId"] == target_id)
    return found
