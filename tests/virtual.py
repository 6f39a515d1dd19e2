"""Workspaces in virtual time, and waiting for what other threads and processes do."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops._support import eventloop
from voxops.client import AsyncClient, SteppedClock
from voxops.connection import open_workspace

PATIENCE = 60.0  # real seconds that something may take that happens soon, on a busy machine


@contextmanager
def workspace(sandbox: Sandbox, *, ledger: Path | None = None) -> Iterator[vx.Workspace]:
    """A workspace of a sandbox that lives in virtual time; its ledger is forgotten where none is named."""
    client = AsyncClient(sandbox.api_key, url=sandbox.url, max_wait=600.0, _clock=SteppedClock(sandbox.advance))
    with tempfile.TemporaryDirectory() as folder:
        with eventloop.run(open_workspace(client, ledger=ledger or Path(folder) / "ledger.sqlite")) as ws:
            yield ws


@contextmanager
def standing_still(client: AsyncClient) -> Iterator[None]:
    """No time passes for a client with a `SteppedClock`: what sleeps goes on sleeping, so that a run gets no further than its canaries.

    What is done to a run in here is done before its end, however long this thread is suspended meanwhile.
    """
    clock = client._clock
    assert isinstance(clock, SteppedClock)
    with clock._turn:
        yield


def until(condition: Callable[[], Any]) -> None:
    """Look again and again at what another thread or process does, until it has come true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


def let_pages_be_small(patch: pytest.MonkeyPatch, records: int) -> None:
    """Let every list be requested in pages of so many records, and the archive reckon with that."""
    pages = AsyncClient.pages

    def small(self: AsyncClient, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
        return pages(self, path, {**(params or {}), "limit": records})

    patch.setattr(AsyncClient, "pages", small)
    patch.setattr("voxops.archive.sync.PAGE_RECORDS", records)
