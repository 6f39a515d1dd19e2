"""Start a JupyterLab of its own, open notebooks in Chromium, run them, click, and take pictures."""

from __future__ import annotations

import json
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import BrowserContext, Locator, Page, expect
from tests.browser.server import PATIENCE, Server

if TYPE_CHECKING:
    from nbformat import NotebookNode

AXE = Path(__file__).parent / "axe" / "axe.min.js"  # of Deque Systems, MPL 2.0; used by tests alone
_TOKEN = secrets.token_hex()  # another process must not take our server for its own
_PLACES = (
    "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR", "XDG_DATA_HOME",
)  # fmt: skip
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are there, too
}
_READY = """() => {
    const context = window.jupyterapp?.shell?.currentWidget?.sessionContext;
    const kernel = context?.session?.kernel;
    return Boolean(context?.isReady && kernel?.connectionStatus === 'connected' && kernel?.status === 'idle');
}"""
# Everything that could be fetched from elsewhere is refused: what we show must not need it.
_HOME = ("127.0.0.1", "localhost", "data:", "blob:", "about:")


class Lab(Server):
    """A JupyterLab server and a browser; a context manager.

    Parameters
    ----------
    folder : Path
        Where notebooks, settings and all else live.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "notebooks"
        self.root.mkdir(parents=True)
        super().__init__(folder, f"/api?token={_TOKEN}", *_PLACES)
        self.fetched_elsewhere: list[str] = []
        self._tabs: BrowserContext | None = None

    def command(self) -> list[str]:
        self._settle_settings()
        return [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self._port}",
            "--ServerApp.port_retries=0", f"--IdentityProvider.token={_TOKEN}", f"--ServerApp.root_dir={self.root}",
            "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
        ]  # fmt: skip

    def _settle_settings(self) -> None:
        settings = self._folder / "jupyterlab_settings_dir"
        for plugin, values in _SETTINGS.items():
            path = settings / f"{plugin}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    def write(self, name: str, *cells: str) -> Path:
        import nbformat

        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.root / name)
        return self.root / name

    def open(
        self, name: str, *, kernel: bool = True, width: int = 1100, height: int = 1500, beside: Notebook | None = None
    ) -> Notebook:
        """Open a notebook in a tab of its own, or as a second one beside another; without a kernel it is only shown."""
        if self._tabs is None or not self._browser.is_connected():  # tabs share what the browser has cached
            self._tabs = self._window(width, height)
        page = self._tabs.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        page.on("request", self._watch)
        if not kernel:  # as if it could not be started: the saved outputs are all there is
            page.route(
                "**/api/sessions**", lambda route: route.abort() if route.request.method == "POST" else route.fallback()
            )
        workspace = "lab/workspaces/second" if beside else "lab"
        page.goto(f"http://127.0.0.1:{self._port}/{workspace}/tree/{name}?token={_TOKEN}&reset")
        book = Notebook(page, self.root / name)
        book.settle(kernel=kernel)
        if not kernel:
            page.locator(".jp-Dialog-button", has_text="Ok").click()
            page.locator(".jp-Dialog-button", has_text="No Kernel").click()
        return book

    def show(self, path: Path, width: int = 1100) -> Page:
        """Open a file of HTML by itself."""
        page = self._window(width, 1400).new_page()
        page.on("request", self._watch)
        page.goto(path.as_uri())
        return page

    def export(self, name: str, width: int = 1100) -> Page:
        """Export a saved notebook to HTML as nbconvert does, and open it; what nbconvert would fetch is not there."""
        from nbconvert import HTMLExporter

        markup, _ = HTMLExporter().from_filename(str(self.root / name))
        path = (self.root / name).with_suffix(".html")
        path.write_text(markup, encoding="utf-8")
        page = self._window(width, 1400).new_page()
        page.route(re.compile("^https?:"), lambda route: route.abort())
        page.goto(path.as_uri())
        return page

    def _watch(self, request: Any) -> None:
        """Note what a page asks of anybody else."""
        if not any(home in request.url for home in (*_HOME, "file:")):
            self.fetched_elsewhere.append(request.url)


def change_theme(page: Page, theme: str) -> None:
    """Switch between Light and Dark, as the settings menu does."""
    page.evaluate(
        "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", f"JupyterLab {theme}"
    )
    page.wait_for_function("light => document.body.dataset.jpThemeLight === String(light)", arg=theme == "Light")
    page.wait_for_timeout(150)


def serious(area: Locator, chosen: str) -> list[str]:
    """Serious faults that axe-core finds in an area: in it, or in what is chosen within it."""
    page = area.page
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    found = area.evaluate(
        """async (area, chosen) => {
            const places = area.matches(chosen) ? [area] : [...area.querySelectorAll(chosen)];
            if (!places.length) throw new Error(`there is no ${chosen}`);
            return (await window.axe.run({include: places}, {resultTypes: ['violations']})).violations;
        }""",
        chosen,
    )
    return [
        f"{one['impact']} {one['id']}: {node['target']} {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


class Notebook:
    """One opened notebook."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.path = page, path

    def settle(self, *, kernel: bool = True) -> None:
        """Wait until the notebook is there and its kernel idle."""
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        if kernel:
            self.page.wait_for_function(_READY)
        # Room for the notebook: the file browser at its side is none of it.
        self.page.evaluate("() => { window.jupyterapp?.shell?.collapseLeft(); }")

    def run_all(self) -> None:
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def run_cell(self, number: int) -> None:
        """Run one cell; return when it is queued."""
        self.page.evaluate(
            """number => {
                const panel = window.jupyterapp.shell.currentWidget;
                panel.content.activeCellIndex = number;
                window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            number,
        )
        prompt = self.page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".jp-InputPrompt")
        expect(prompt).to_have_text(re.compile(r"\[(\*|\d+)\]"), timeout=PATIENCE)

    def overflow(self) -> list[str]:
        """Outputs, and what scrolls by itself within them, that are wider than their place; controls, code and the grid of a panel may be."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll('.jp-OutputArea-output, .jp-OutputArea-output div')]
                .filter(e => e.scrollWidth > e.clientWidth + 2)
                .filter(e => e.matches('.jp-OutputArea-output')
                    || (getComputedStyle(e).overflowX === 'auto' && !e.closest('.jupyter-widgets')))
                .map(e => e.innerText.slice(0, 60))"""
        )

    def finished(self, patience: int = PATIENCE) -> None:
        """Wait until no cell is running or queued, for so many milliseconds at the most."""
        self.page.wait_for_function(
            """() => {
                const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent);
                return prompts.some(text => /\\d/.test(text)) && !prompts.some(text => text.includes('*'));
            }""",
            timeout=patience,
        )

    def errors(self) -> list[str]:
        kinds = ("stderr", "error")
        chosen = ", ".join(f"[data-mime-type='application/vnd.jupyter.{kind}']" for kind in kinds)
        return [text[-800:] for text in self.page.locator(chosen).all_text_contents()]

    def save(self) -> NotebookNode:
        """Save the notebook; return what is in the file."""
        import nbformat

        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return nbformat.read(self.path, as_version=4)

    def reload(self) -> None:
        """Load the page again, as F5 does; the kernel lives on."""
        self.page.reload()
        self.settle()

    def at(self, number: int) -> Part:
        return Part(self.page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".jp-Cell-outputWrapper"))

    def pictures(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for theme in ("Dark", "Light"):
            change_theme(self.page, theme)
            self.page.screenshot(path=folder / f"{name}-{theme.lower()}.png")

    def shut_down(self) -> None:
        """Shut the kernel down; the page stays."""
        self.page.evaluate("() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.shutdown?.()")

    def restart_kernel(self) -> None:
        """Restart the kernel, as the menu does after its question."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.page.wait_for_function(_READY)

    def close(self) -> None:
        """Shut the kernel down, and close the tab."""
        self.shut_down()
        self.page.close()


class Part:
    """The outputs of one cell: read, click, type, and take pictures there."""

    def __init__(self, area: Locator) -> None:
        self.area = area

    def pictures(self, folder: Path, name: str) -> None:
        for theme in ("Dark", "Light"):
            change_theme(self.area.page, theme)
            self.picture(folder / f"{name}-{theme.lower()}.png")

    def text(self) -> str:
        return self.area.inner_text()

    def wait(self, text: str) -> None:
        expect(self.area).to_contain_text(text, timeout=PATIENCE, use_inner_text=True)

    def button(self, label: str) -> Locator:
        """The button whose label begins so."""
        return self.area.get_by_role("button", name=re.compile(rf"^{re.escape(label)}")).first

    def click(self, label: str) -> None:
        """Press a button as soon as it is enabled."""
        self.button(label).click()

    def facet(self, name: str, value: str) -> None:
        """Choose one value of a facet."""
        box = self.area.get_by_label(name).first
        texts = box.locator("option").all_text_contents()
        box.select_option(index=next(at for at, text in enumerate(texts) if text.startswith(value)))

    def axe(self) -> list[str]:
        """Serious faults that axe-core finds in what is live."""
        return serious(self.area, ".jupyter-widgets")

    def picture(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.area.scroll_into_view_if_needed()
        self.area.screenshot(path=path)
        return path
