"""The model behind every live display: an anywidget, which runs in JupyterLab, Notebook, VS Code, Colab and marimo.

Loaded only when something is shown, since importing voxops must not load ipywidgets.
"""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from voxops._support import safe

__all__ = ["LiveWidget"]

_FILES = Path(__file__).parent / "live"
_PARTS = ("elements", "document", "selection", "grid", "live")
# One definition of what a spreadsheet would run: the page guards the rows that it copies as a file does.
_GUARD = f"const OPEN = new RegExp({json.dumps(safe.OPEN.pattern.replace(chr(92) + 'A', '^'))}, 'gu');\n"
_MODULE = _GUARD + "\n".join((_FILES / f"{part}.js").read_text(encoding="utf-8") for part in _PARTS)
_STYLE = (_FILES / "widget.css").read_text(encoding="utf-8")
_OF_PAGES = frozenset({"view", "ticks"})


class LiveWidget(anywidget.AnyWidget):
    """The model has all that is shown, so that a reload, a second tab and a new window show the present state.

    Parameters
    ----------
    turn : context manager, optional
        A reentrant lock, taken by each writer.

    Attributes
    ----------
    state : dict
        The state of the display; written by the kernel only.
    table : dict
        The rows in compact columns; written by the kernel only.
    view : dict
        Filters, search, sorting and typed text; written by pages.
    ticks : str
        The ticked rows, as the base64 of one bit a row; ``""`` for none; written by pages.
    """

    _esm = _MODULE
    _css = _STYLE
    state = traitlets.Dict().tag(sync=True)
    table = traitlets.Dict().tag(sync=True)
    view = traitlets.Dict().tag(sync=True)
    ticks = traitlets.Unicode("").tag(sync=True)

    def __init__(self, *, turn: AbstractContextManager[Any] | None = None, **traits: Any) -> None:
        self._turn = turn or threading.RLock()
        super().__init__(**traits)
        self._keep_routes_of_pages()

    def _keep_routes_of_pages(self) -> None:
        """Let each page's messages reach the kernel thread that the page chose, which answers while a cell computes.

        From 7.4 on, ipykernel redirects them to the thread that served the last request when the model last sent something.
        During a run that is the cell's own thread, which is busy, or one that ended with another page. Then no page gets an answer
        (ipython/ipykernel#1557 lets such messages drop). Only models that send requests need the redirection; ours does not.
        """
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = None

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Accept only the traits that pages write: a page can't change what other pages show, nor their code.

        The lock keeps other writers out. At its end traitlets writes all changes once more, as read just before, and would restore
        a plan that another thread had just discarded.
        """
        with self._turn:
            super().set_state({name: value for name, value in sync_data.items() if name in _OF_PAGES})

    def send_state(self, key: Any = None) -> None:
        """Send the present state under the lock, so that no page keeps a value that another thread has just changed."""
        with self._turn:
            super().send_state(key)

    def bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the MIME bundle for a notebook, and the metadata that Colab needs; the static copy has the content."""
        made: Any = self._repr_mimebundle_()
        data, metadata = made if isinstance(made, tuple) else (made, {})
        text = "(the live view needs the kernel that ran it; its last state is below)"
        return {**data, "text/plain": text}, dict(metadata)
