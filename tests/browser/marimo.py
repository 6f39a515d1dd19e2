"""Start marimo as an app of its own on this machine, and open it in Chromium."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from playwright.sync_api import Page
from tests.browser.lab import Part
from tests.browser.server import PATIENCE, Server

__all__ = ["Marimo"]


class Marimo(Server):
    """A marimo app that runs, and a browser; a context manager.

    Parameters
    ----------
    folder : Path
        Where the app and all that marimo writes live.
    cells : str
        Code of each cell; what the first one assigns is known to the others.
    """

    def __init__(self, folder: Path, first: str, *cells: str) -> None:
        places = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
        super().__init__(folder, "/health", *places, MARIMO_SKIP_UPDATE_CHECK="1")
        settings = folder / "xdg_config_home" / "marimo" / "marimo.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text("[display]\ntheme = 'system'\n")
        app = ["import marimo", "app = marimo.App(width='full')", _cell(first, "vx, ws, triaged")]
        app += [_cell(cell, "", "vx, ws, triaged") for cell in cells]
        (folder / "app.py").write_text("\n\n".join(app))

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "marimo", "--quiet", "--yes", "run", str(self._folder / "app.py"), "--headless",
            "--host", "127.0.0.1", "--port", str(self._port), "--no-token", "--no-sandbox", "--no-check",
        ]  # fmt: skip

    def open(self, *, dark: bool = False) -> Page:
        """Open the app in a window of its own, without any other machine."""
        scheme = "dark" if dark else "light"
        context = self._window(1366, 1500, color_scheme=scheme)
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
