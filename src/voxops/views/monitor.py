"""The live display of a run: one Snapshot as static HTML and text, replaced while it moves, and buttons beside it.

This module knows nothing of the engine: it is told of Snapshots, and its buttons call what they were given.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from voxops._core import safe
from voxops.model import Snapshot
from voxops.views._snapshot import ENDED, render_html, render_text

__all__ = ["Monitor", "render_html", "render_text"]


class Monitor:
    """The live display of one run.

    A display is two outputs of the cell: the last Snapshot as static HTML and text, which is replaced while the run goes
    on, and a row of buttons. They are apart because JupyterLab shows a saved widget as "model not found" even where the
    same output holds HTML too: this way a notebook opened next week still shows the last state. Updates go to every
    output that shows this monitor, also long after its cell has ended and while other cells run. Only tools that run
    notebooks cell by cell (nbclient, nbval) drop what arrives when no cell is running.

    Parameters
    ----------
    snapshot : Snapshot
        The state to begin with; rates are measured from here.
    on_pause, on_resume, on_cancel, on_retry : callable, optional
        What the buttons do: hand work over and return at once. A button without a callable is not shown. What
        `on_retry` returns (a plan) is shown beneath the buttons.
    clock : callable
        Monotonic seconds.
    later : callable, optional
        ``later(seconds, function)`` calls the function once after that time; by default on a thread of its own.
    publish : callable, optional
        ``publish(bundle, display_id, update)`` shows a MIME bundle, or replaces one; by default through IPython.
    """

    INTERVAL = 0.5  # seconds between two updates, at least

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        on_pause: Callable[[], object] | None = None,
        on_resume: Callable[[], object] | None = None,
        on_cancel: Callable[[], object] | None = None,
        on_retry: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], object] | None = None,
        publish: Callable[[dict[str, Any], str, bool], object] | None = None,
    ) -> None:
        self._first = self._last = snapshot
        self._actions = {"pause": on_pause, "resume": on_resume, "cancel": on_cancel, "retry": on_retry}
        self._clock = clock
        self._later = later or _later
        self._publish = publish or _publish
        self._display_id = uuid.uuid4().hex
        self._shown_at: float | None = None
        self._scheduled = False
        self._publishing = threading.Lock()
        self._controls: _Controls | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""
        return self._last

    def notice(self, snapshot: Snapshot) -> None:
        """Take note of the newest state; show it at once if it is the end, else as soon as half a second has passed since the last update."""
        ends = snapshot.phase in ENDED and self._last.phase not in ENDED
        self._last = snapshot
        if self._shown_at is None or (self._scheduled and not ends):
            return
        wait = self._shown_at + self.INTERVAL - self._clock()
        if wait <= 0 or ends:
            self._update()
        else:
            self._scheduled = True
            self._later(wait, self._catch_up)

    def _catch_up(self) -> None:
        """Show what came since the last update, unless it has been shown meanwhile."""
        if self._scheduled:
            self._update()

    def show(self) -> None:
        """Display the monitor here; it may be shown in several places."""
        # The loop that tells of the run is another thread: its update must not overtake the display that it is to replace.
        with self._publishing:
            self._shown_at = self._clock()
            self._publish(self._bundle(), self._display_id, False)
            actions = {name: action for name, action in self._actions.items() if action}
            if not actions or self._over():
                return
            if self._controls is None:
                self._controls = _Controls(actions)
            self._controls.allow(self._usable())
            hint = "The buttons of this monitor need the kernel that ran it."
            fallback = {"text/html": f'<div style="opacity:.6">{hint}</div>', "text/plain": hint}
            self._publish(
                {**self._controls.root._repr_mimebundle_(), **fallback}, f"{self._display_id}-controls", False
            )

    def _update(self) -> None:
        """Replace what is shown by the newest state."""
        with self._publishing:
            self._scheduled = False
            self._shown_at = self._clock()
            self._publish(self._bundle(), self._display_id, True)
            if self._controls is None:
                return
            self._controls.allow(self._usable())
            if self._over():  # a saved notebook then holds no dead buttons
                self._publish({"text/html": "", "text/plain": ""}, f"{self._display_id}-controls", True)

    def _usable(self) -> frozenset[str]:
        """Say which buttons make sense now."""
        return frozenset(name for name in _sensible(self._last) if self._actions[name])

    def _over(self) -> bool:
        """Say whether the run has ended and left no button of use."""
        return self._last.phase in ENDED and not self._usable()

    def _bundle(self) -> dict[str, Any]:
        """Return the newest state as HTML and text."""
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}

    def _ipython_display_(self) -> None:
        self.show()

    def _repr_html_(self) -> str:
        return render_html(self._last, self._first)

    def __repr__(self) -> str:
        return render_text(self._last, self._first)


class _Controls:
    """The row of buttons, and a place for what one of them returned."""

    _BUTTONS: Mapping[str, tuple[str, str, str]] = {
        "pause": ("Pause", "pause", "Send nothing more for now; what is in flight settles"),
        "resume": ("Resume", "play", "Go on sending"),
        "cancel": ("Cancel", "stop", "Send nothing more; unsent rows stay unsent"),
        "retry": ("Plan a retry of what failed", "refresh", "Makes a plan and shows it; sends nothing"),
    }

    def __init__(self, actions: Mapping[str, Callable[[], object]]) -> None:
        import ipywidgets as widgets  # here, as importing voxops must not load it

        self._below = widgets.HTML()
        self._buttons: dict[str, Any] = {}
        for name, action in actions.items():
            label, icon, tooltip = self._BUTTONS[name]
            button = widgets.Button(description=label, icon=icon, tooltip=tooltip)
            button.layout.width = "auto"
            button.on_click(lambda _, name=name, action=action: self._clicked(name, action))
            self._buttons[name] = button
        row = widgets.HBox(list(self._buttons.values()))
        row.layout.flex_flow = "row wrap"
        self.root = widgets.VBox([row, self._below])

    def allow(self, usable: frozenset[str]) -> None:
        """Enable the buttons that make sense now; a button that did not change sends no message."""
        for name, button in self._buttons.items():
            button.disabled = name not in usable

    def _clicked(self, name: str, action: Callable[[], object]) -> None:
        """Hand the work over; show the plan that comes back."""
        result = action()
        if name == "retry" and result is not None:
            draw = getattr(result, "_repr_html_", None)
            self._below.value = draw() if draw else f"<pre>{safe.escape(result, 2000)}</pre>"


def _publish(bundle: dict[str, Any], display_id: str, update: bool) -> None:
    """Show a MIME bundle through IPython, or replace it; a terminal can't replace, so it shows only the first."""
    ipython = sys.modules.get("IPython")  # where it was never imported, there is no one to show anything
    shell = ipython.get_ipython() if ipython else None
    if shell is None or (update and not hasattr(shell, "kernel")):
        return
    shell.display_pub.publish(data=bundle, metadata={}, transient={"display_id": display_id}, update=update)


def _sensible(snapshot: Snapshot) -> Iterator[str]:
    """Yield the buttons that make sense in this state."""
    match snapshot.phase:
        case "sending" | "watching":
            yield from ("pause", "cancel")
        case "paused":
            yield from ("resume", "cancel")
        case "stopped":
            yield "resume"
    if snapshot.count("failed"):
        yield "retry"


def _later(seconds: float, function: Callable[[], None]) -> None:
    """Call a function after some time, on a thread of its own: the loop that runs here may be a kernel's, and a cell that waits blocks it."""
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
