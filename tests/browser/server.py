"""A notebook server in a process of its own, and a Chromium to look at it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

__all__ = ["CHROMIUM", "PATIENCE", "Server"]

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 120_000  # milliseconds that anything may take to appear, on a busy machine
STARTED_WITHIN = 120.0  # seconds
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

expect.set_options(timeout=PATIENCE)  # else five seconds, whatever a page allows


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """A server that is started and ended with the block; subclasses say which, and what they open.

    Parameters
    ----------
    folder : Path
        Where the server writes, its log and all settings included.
    health : str
        Path that answers 200 once the server is there.
    places : iterable of str
        Environment variables that each name a folder of its own below `folder`.
    environment : mapping, optional
        Other environment variables.
    """

    def __init__(self, folder: Path, health: str, *places: str, **environment: str) -> None:
        self._folder = folder
        self._log = folder / "server.log"
        self._health = health
        self._environment = {**os.environ, **{name: str(folder / name.lower()) for name in places}, **environment}

    def command(self) -> list[str]:
        """How the server is started on `_port`."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if not any(self._start() for _ in range(3)):  # another process may have taken the port meanwhile
            raise RuntimeError(f"{type(self).__name__} did not start:\n{self._log.read_text()[-3000:]}")
        self._playwright = sync_playwright().start()
        self._browser = self._launch()
        return self

    def __exit__(self, *error: object) -> None:
        self._browser.close()
        self._playwright.stop()
        self._server.terminate()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(10)

    def _launch(self) -> Browser:
        """Start Chromium."""
        return self._playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

    def _window(self, width: int, height: int, **options: Any) -> BrowserContext:
        """A fresh window; of a new browser where the last one has crashed, so that one crash is not the end of all tests after it."""
        if not self._browser.is_connected():
            self._browser = self._launch()
        return self._browser.new_context(viewport={"width": width, "height": height}, **options)

    def _start(self) -> bool:
        """Start the server, and wait until it answers; False if it has ended instead."""
        self._port = free_port()
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                self.command(), env=self._environment, cwd=self._folder, stdout=log, stderr=log
            )
        end = time.monotonic() + STARTED_WITHIN
        while not self._answers():
            if self._server.poll() is not None:
                return False
            if time.monotonic() > end:
                raise RuntimeError(f"{type(self).__name__} does not answer:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)
        return True

    def _answers(self) -> bool:
        """Whether the server is there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{self._health}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
