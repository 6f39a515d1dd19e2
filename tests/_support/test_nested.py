"""Which loop patch `allow_nested_loops` picks, and when it refuses; in a real kernel: test_kernel.py."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

import voxops as vx
from voxops._support import eventloop


class World:
    """The installed and the applied packages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.applied: list[str] = []
        self._patch = monkeypatch
        monkeypatch.setattr(asyncio, "_nest_patched", False, raising=False)
        monkeypatch.setattr(asyncio, "_nest_asyncio2", False, raising=False)

    def install(self, kernel: str | None, *packages: str) -> None:
        def version(name: str) -> str:
            if name != "ipykernel" or kernel is None:
                raise PackageNotFoundError(name)
            return kernel

        spec = importlib.util.find_spec
        self._patch.setattr(eventloop, "version", version)
        self._patch.setattr(
            importlib.util,
            "find_spec",
            lambda name: (name in packages or None) if name.startswith("nest_") else spec(name),
        )
        for name in packages:
            self._patch.setitem(sys.modules, name, SimpleNamespace(apply=lambda name=name: self.applied.append(name)))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.mark.parametrize(("kernel", "packages", "picked"), [
    ("7.4.0", ("nest_asyncio", "nest_asyncio2"), "nest_asyncio2"),
    ("6.31.0", ("nest_asyncio", "nest_asyncio2"), "nest_asyncio2"), ("6.31.0", ("nest_asyncio",), "nest_asyncio"),
    ("7.0.1", ("nest_asyncio",), "nest_asyncio"), (None, ("nest_asyncio",), "nest_asyncio"),
])  # fmt: skip
def test_what_loses_no_cells_is_picked(world, kernel, packages, picked):
    world.install(kernel, *packages)
    assert vx.allow_nested_loops() == picked
    assert world.applied == [picked]


@pytest.mark.parametrize("kernel", ["7.1.0", "7.4.0", "8.0.0"])
def test_what_loses_cells_is_refused(world, kernel):
    world.install(kernel, "nest_asyncio")
    with pytest.raises(vx.errors.ConfigError, match="install nest_asyncio2"):
        vx.allow_nested_loops()
    assert world.applied == []


def test_what_is_not_installed_is_said(world):
    world.install("6.31.0")
    with pytest.raises(vx.errors.ConfigError, match=r"neither .* is installed; install nest_asyncio2"):
        vx.allow_nested_loops()


def test_a_patch_that_is_there_already_is_refused(world, monkeypatch):
    world.install("7.4.0", "nest_asyncio", "nest_asyncio2")
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
