"""Start marimo as an app of its own on this machine, and open it in Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path
from typing import Self

from playwright.sync_api import Page, sync_playwright
from tests.browser.lab import CHROMIUM, FLAGS, PATIENCE, Part, free_port

__all__ = ["Marimo"]


class Marimo:
    """A marimo app that runs, and a browser; a context manager.

    Parameters
    ----------
    folder : Path
        Where the app and all that marimo writes live.
    cells : str
        Code of each cell; what the first one assigns is known to the others.
    """

    def __init__(self, folder: Path, first: str, *cells: str) -> None:
        self._folder, self._log = folder, folder / "marimo.log"
        settings = folder / "xdg_config_home" / "marimo" / "marimo.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text("[display]\ntheme = 'system'\n")
        app = ["import marimo", "app = marimo.App(width='full')", _cell(first, "vx, ws, triaged")]
        app += [_cell(cell, "", "vx, ws, triaged") for cell in cells]
        (folder / "app.py").write_text("\n\n".join(app))

    def __enter__(self) -> Self:
        self._port = free_port()
        places = {
            name: str(self._folder / name.lower()) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
        }
        command = [
            sys.executable, "-m", "marimo", "--quiet", "--yes", "run", str(self._folder / "app.py"), "--headless",
            "--host", "127.0.0.1", "--port", str(self._port), "--no-token", "--no-sandbox", "--no-check",
        ]  # fmt: skip
        with self._log.open("wb") as log:
            environment = {**os.environ, **places, "MARIMO_SKIP_UPDATE_CHECK": "1"}
            self._server = subprocess.Popen(command, env=environment, cwd=self._folder, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"marimo did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
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

    def _answers(self) -> bool:
        """Whether the server is there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def open(self, *, dark: bool = False) -> Page:
        """Open the app in a window of its own, without any other machine."""
        scheme = "dark" if dark else "light"
        context = self._browser.new_context(viewport={"width": 1366, "height": 1500}, color_scheme=scheme)
        here = f"http://127.0.0.1:{self._port}/"
        context.route(lambda url: not url.startswith((here, "data:", "blob:")), lambda route: route.abort())
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(here)
        return page

    def widget(self, page: Page, number: int) -> Part:
        """The nth live widget."""
        return Part(page.locator(".vx").nth(number))


def _cell(code: str, gives: str, takes: str = "") -> str:
    """Return a cell as marimo stores it."""
    return f"@app.cell\ndef _({takes}):\n{textwrap.indent(code, '    ')}\n    return {gives}"
