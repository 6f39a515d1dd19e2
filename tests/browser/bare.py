"""A page that shows a display by itself, in Chromium without JupyterLab: the widget of this process, and a stub of anywidget's model.

As in JupyterLab, a change of the model waits until the kernel has taken the one before, while a message is sent at once.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import deque
from pathlib import Path
from typing import Any, Self

from ipywidgets.widgets.widget import _remove_buffers
from playwright.sync_api import Page, Route, sync_playwright
from tests.browser.lab import Part
from tests.browser.server import CHROMIUM, FLAGS

__all__ = ["Bare", "Screen"]

HERE = "http://localhost/"  # answered by `Bare` itself; a page of this name may use the clipboard
PAGE = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>voxops</title>
<style>body { margin: 8px; }</style><style id="style"></style><div id="place"></div><script type="module">
const listeners = {}, state = {};
let changed = {}, taking = false, dead = false;
const emit = (name, ...said) => [...(listeners[name] ?? [])].forEach((listener) => listener(...said));
function hear(text) {
  const message = JSON.parse(text);
  if (message.method === "custom") return emit("msg:custom", message.content, []);
  message.buffer_paths.forEach((path, at) => {
    const holder = path.slice(0, -1).reduce((inner, key) => inner[key], message.state);
    holder[path.at(-1)] = new DataView(Uint8Array.from(atob(message.buffers[at]), (char) => char.charCodeAt(0)).buffer);
  });
  Object.assign(state, message.state);
  Object.keys(message.state).forEach((name) => emit(`change:${name}`));
}
const tell = async (message) => dead || (await window.kernel(message)).forEach(hear);
const model = {
  get: (name) => state[name],
  set(name, value) { state[name] = changed[name] = value; emit(`change:${name}`); },
  async save_changes() {
    if (taking) return;
    taking = true;
    while (Object.keys(changed).length && !dead) {
      const next = changed;
      changed = {}; // what changes from here on waits for the next turn
      await tell({ method: "update", state: next, buffer_paths: [] });
    }
    taking = false;
  },
  send(content) { tell({ method: "custom", content }); },
  on(name, listener) { (listeners[name] ??= []).push(listener); },
  off(name, listener) { listeners[name] = listeners[name].filter((each) => each !== listener); },
};
window.die = () => { dead = true; emit("comm_live_update"); };
await tell({ method: "open" });
document.querySelector("#style").textContent = state._css;
const module = await import(URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" })));
module.default.render({ model, el: document.querySelector("#place") });
setInterval(() => tell({ method: "poll" }), 20);</script>"""


class Bare:
    """A browser for displays; a context manager. `problems` are errors of pages, and what they asked of other machines."""

    def __enter__(self) -> Self:
        self.problems: list[str] = []
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        return self

    def __exit__(self, *error: object) -> None:
        self._browser.close()
        self._playwright.stop()

    def page(self, width: int = 1366) -> Page:
        """An empty page in a window of its own, without a network."""
        size, clipboard = {"width": width, "height": 768}, ["clipboard-read", "clipboard-write"]
        context = self._browser.new_context(viewport=size, permissions=clipboard)
        context.route("**/*", self._answer)
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        return page

    def open(self, shown: Any, width: int = 1366) -> Screen:
        """Show what has a widget, such as a panel; another screen of it is shown as its second tab."""
        return Screen(self.page(width), shown.kernel if isinstance(shown, Screen) else Kernel(shown._display_()))

    def close(self) -> None:
        """Close all pages."""
        for context in self._browser.contexts:
            context.close()

    def _answer(self, route: Route) -> None:
        if route.request.url == HERE:
            return route.fulfill(body=PAGE, content_type="text/html")
        self.problems.append(route.request.url)
        return route.abort()


def _packed(data: dict[str, Any], buffers: Any) -> str:
    return json.dumps({**data, "buffers": [b64encode(part).decode() for part in buffers or ()]})


class Kernel:
    """The kernel's end of a widget: what the widget sends waits for each page."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.pages: list[deque[str]] = []
        self._speaking: deque[str] | None = None
        widget.comm.publish_msg = self._send

    def _send(self, _: str, data: dict[str, Any], buffers: Any = None, **__: Any) -> None:
        for page in self.pages:
            if page is not self._speaking or data["method"] != "echo_update":  # a page knows what it has changed
                page.append(_packed(data, buffers))

    def hear(self, page: deque[str], message: dict[str, Any]) -> list[str]:
        """Take a page's message; return what the widget has for the page by now."""
        if message["method"] == "open":
            with self.widget._turn:
                page.clear()
                state, paths, buffers = _remove_buffers(self.widget.get_state())
                page.append(_packed({"method": "update", "state": state, "buffer_paths": paths}, buffers))
        elif message["method"] != "poll":
            self._speaking = page
            self.widget._handle_msg({"content": {"data": message}, "buffers": []})
            self._speaking = None
        return [page.popleft() for _ in range(len(page))]


class Screen(Part):
    """One page of a display."""

    def __init__(self, page: Page, kernel: Kernel) -> None:
        super().__init__(page.locator("body"))
        self.page, self.kernel = page, kernel
        mine: deque[str] = deque()
        kernel.pages.append(mine)
        page.expose_binding("kernel", lambda _, message: kernel.hear(mine, message))
        page.goto(HERE)
        page.locator(".vx").wait_for()

    def shot(self, folder: Path, name: str) -> None:
        """Take a picture of the whole page in light and in dark."""
        folder.mkdir(parents=True, exist_ok=True)
        for theme in ("dark", "light"):
            self.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            self.page.screenshot(path=folder / f"{name}-{theme}.png", full_page=True)
