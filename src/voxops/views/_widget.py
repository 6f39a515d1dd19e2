"""The model behind every live display: an anywidget, which lives in JupyterLab, Notebook, VS Code, Colab and marimo alike.

Loaded only when something is shown, since importing voxops must not load ipywidgets.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anywidget
import traitlets

__all__ = ["LiveWidget"]

_FILES = Path(__file__).parent / "live"
_PARTS = ("elements", "blocks", "selection", "grid", "live")
_MODULE = "\n".join((_FILES / f"{part}.js").read_text(encoding="utf-8") for part in _PARTS)
_STYLE = (_FILES / "widget.css").read_text(encoding="utf-8")
_OF_PAGES = frozenset({"view", "ticks"})


class LiveWidget(anywidget.AnyWidget):
    """What is shown is part of this model, so that a reload, a second tab and a new window all show the present.

    Parameters
    ----------
    turn : context manager, optional
        Held by whoever writes; can be entered again by the same thread.

    Attributes
    ----------
    state : dict
        What the display says; written here only.
    table : dict
        The rows in compact columns; written here only.
    view : dict
        Filters, search, sorting and what was typed; written by the page.
    ticks : str
        Which rows are ticked, as the base64 of one bit a row; ``""`` for none.
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
        """Let each page's messages go where the page sends them, to a thread of the kernel that answers while a cell computes.

        From 7.4 on, ipykernel sends them instead to the thread whose request was served last when the model last spoke. While a
        run speaks that is the cell's own thread, which is busy, or one that ended with another page: then no page is answered
        any more (ipython/ipykernel#1557 lets such messages drop). Whoever asks through a model needs that; ours only listens.
        """
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = None

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take from a page what pages write, and nothing else: a page can't change what the others show, nor their code.

        Nobody else writes meanwhile: at its end traitlets writes all that has changed once more, as it was read just before, and a
        plan that another thread had just taken away would stand there again.
        """
        with self._turn:
            super().set_state({name: value for name, value in sync_data.items() if name in _OF_PAGES})

    def send_state(self, key: Any = None) -> None:
        """Send what is so now to the pages: none of them is left with what another thread has changed since it was read."""
        with self._turn:
            super().send_state(key)

    def bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a notebook needs to show it, and what Colab must know besides; the static copy beside it says the rest."""
        made: Any = self._repr_mimebundle_()
        data, metadata = made if isinstance(made, tuple) else (made, {})
        text = "(the live view needs the kernel that ran it; its last state stands below)"
        return {**data, "text/plain": text}, dict(metadata)
