"""Which loop patch `allow_nested_loops` picks, and when it refuses; in a real kernel: test_kernel.py."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

import voxops as vx
from voxops._support import eventloop


@pytest.fixture
def install(monkeypatch):
    """Sets which kernel and which packages are installed; what is applied then."""
    monkeypatch.setattr(asyncio, "_nest_patched", False, raising=False)
    monkeypatch.setattr(asyncio, "_nest_asyncio2", False, raising=False)
    spec = importlib.util.find_spec

    def world(kernel: str | None, *packages: str) -> list[str]:
        def version(name: str) -> str:
            if name != "ipykernel" or kernel is None:
                raise PackageNotFoundError(name)
            return kernel

        applied: list[str] = []
        there = lambda name: (name in packages or None) if name.startswith("nest_") else spec(name)  # noqa: E731
        monkeypatch.setattr(eventloop, "version", version)
        monkeypatch.setattr(importlib.util, "find_spec", there)
        for name in packages:
            monkeypatch.setitem(sys.modules, name, SimpleNamespace(apply=partial(applied.append, name)))
        return applied

    return world


BOTH = ("nest_asyncio", "nest_asyncio2")


@pytest.mark.parametrize(("kernel", "packages", "picked"), [
    ("7.4.0", BOTH, "nest_asyncio2"), ("6.31.0", BOTH, "nest_asyncio2"), ("6.31.0", BOTH[:1], "nest_asyncio"),
    ("7.0.1", BOTH[:1], "nest_asyncio"), (None, BOTH[:1], "nest_asyncio"),
    ("7.1.0", BOTH[:1], None), ("7.4.0", BOTH[:1], None), ("8.0.0", BOTH[:1], None), ("6.31.0", (), None),
])  # fmt: skip
def test_what_loses_no_cells_is_picked_and_nothing_else(install, kernel, packages, picked):
    applied = install(kernel, *packages)
    with nullcontext() if picked else pytest.raises(vx.errors.ConfigError, match="install nest_asyncio2"):
        assert vx.allow_nested_loops() == picked
    assert applied == [picked] * bool(picked)


def test_a_patch_that_is_there_already_is_refused(install, monkeypatch):
    install("7.4.0", *BOTH)
    monkeypatch.setattr(asyncio, "_nest_patched", True)
    with pytest.raises(vx.errors.ConfigError, match="restart the kernel"):
        vx.allow_nested_loops()
    monkeypatch.setattr(asyncio, "_nest_asyncio2", True)  # the better one may be applied twice
    assert vx.allow_nested_loops() == "nest_asyncio2"


def test_importing_and_connecting_patch_nothing():
    code = (
        "import asyncio\nbefore = asyncio.run, asyncio.get_event_loop, asyncio.Task\nimport voxops as vx\n"
        "ws = vx.connect(sandbox=True)\nws.posts(limit=1)\nws.close()\n"
        "assert before == (asyncio.run, asyncio.get_event_loop, asyncio.Task)\nassert not hasattr(asyncio, '_nest_patched')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=250)
