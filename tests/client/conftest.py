"""The sandbox of all tests, in this process: a client that a test makes by itself talks to it over a socket.

It is without posts, which take most of a reset, where a file has no use for them (``EMPTY``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.inprocess import InProcess
from tests.sandbox.support import again

from voxburst_sandbox import Sandbox


@pytest.fixture(scope="package")
def _server() -> Iterator[Sandbox]:
    with InProcess(seed=7, speed=0, rate_limit=None, deliveries=600) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_server: Sandbox, request: pytest.FixtureRequest) -> Sandbox:
    return again(_server, empty=getattr(request.module, "EMPTY", False))


@pytest.fixture
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HTTP_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.fixture
def account(sandbox: Sandbox) -> Callable[[str], str]:
    """An active account of a platform."""
    accounts = sandbox.world.accounts.values()
    return lambda platform: next(one.id for one in accounts if (one.platform, one.status) == (platform, "active"))


@pytest.fixture
def fields(account: Callable[[str], str]) -> dict[str, Any]:
    """A post that the API accepts."""
    return {"content": "hello", "account_ids": [account("twitter")]}
