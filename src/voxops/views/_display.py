"""A live display: a widget that shows the present state, and beside it a static copy for pages without a kernel.

The widget hides the copy while it lives. The copy says from which instant it is and how to see the present state, so that nobody
takes an old one for new.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from voxops._support import document, safe
from voxops._support.document import Block
from voxops._support.drawing import draw, to_html

if TYPE_CHECKING:
    from voxops.views._widget import LiveWidget

__all__ = ["Button", "Display", "Later", "Publish", "Shown", "Tab"]

Publish = Callable[..., object]
Later = Callable[[float, Callable[[], None]], object]


@dataclass(frozen=True, slots=True)
class Button:
    """A button: what it does, its label and title, and whether it can be pressed now.

    `plans` if it makes a plan to look at. `about` names its subject, such as a run, and the page sends it back: a page that shows
    an older run must not act on a newer one.
    """

    do: str
    label: str
    title: str
    enabled: bool = True
    plans: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    """One part of a display."""

    name: str
    label: str
    blocks: Sequence[Block] = ()
    buttons: Sequence[Button] = ()


@dataclass(frozen=True)
class Shown:
    """Everything that a display shows at one instant, besides the rows of its table.

    Attributes
    ----------
    title : str
        Its subject.
    at, present : str
        The instant that it shows (server time; ``""`` if unknown), and how to see the present state if this is an old one.
    attach : str
        The call that shows its run again, where the kernel is gone.
    stage : str
        Name of the tab to look at; pages turn to it when it changes.
    facts : sequence of Block
        Above all tabs.
    tabs : sequence of Tab
        The parts.
    selects : sequence of mapping
        Lists to choose from: ``name label options value``.
    buttons : sequence of Button
        Beside the lists.
    options : sequence of mapping
        Boxes to tick beside the plan: ``name label``.
    acts : bool
        Whether it can plan and run.
    plan : mapping or None
        ``fingerprint``, ``eligible`` and the ``page`` that requested it.
    acting : bool
        Whether a run is in progress.
    busy : str
        What is being read while the rows shown are not yet the requested ones.
    problem : str
        What failed, and why.
    looks : mapping
        Column -> value -> colour and glyph.
    """

    title: str
    at: str
    present: str = ""
    attach: str = ""
    stage: str = ""
    facts: Sequence[Block] = ()
    tabs: Sequence[Tab] = ()
    selects: Sequence[Mapping[str, Any]] = ()
    buttons: Sequence[Button] = ()
    options: Sequence[Mapping[str, Any]] = ()
    acts: bool = False
    plan: Mapping[str, Any] | None = None
    acting: bool = False
    busy: str = ""
    problem: str = ""
    looks: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    def parts(self) -> Iterator[tuple[str, Sequence[Block]]]:
        """Yield the content as named parts, for the static copy."""
        said = f"As of {self.at}. {self.present}".strip() if self.at else self.present
        head = [document.heading(self.title, said) if self.title else document.line(said), *self.facts]
        head += [document.line(self.busy)] if self.busy else []
        yield "", [*head, document.note(self.problem, bad=True)] if self.problem else head
        for tab in self.tabs:
            if len(self.tabs) > 1 and tab.blocks and tab.blocks[0]["kind"] != "heading":
                yield "", [document.heading(tab.label)]
            yield tab.name, tab.blocks


class Display:
    """One display, shown in one or several places.

    Parameters
    ----------
    look : callable
        Returns the present state.
    say : callable
        Returns the same as text.
    hear : callable
        Takes a message from a page; must return at once.
    name : str
        Ends the CSS class of the static copy.
    clock, later, publish
        For tests: monotonic seconds; ``later(seconds, function)``; ``publish(bundle, display_id, update)``, with ``metadata=`` if
        there is any.
    """

    INTERVAL = 0.5  # seconds between two updates, at the least

    def __init__(
        self,
        look: Callable[[], Shown],
        say: Callable[[], str],
        hear: Callable[[Mapping[str, Any]], object],
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        later: Later | None = None,
        publish: Publish | None = None,
    ) -> None:
        self._look, self._say, self._hear, self._name = look, say, hear, name
        self._clock, self._later, self._publish = clock, later or _later, publish or _publish
        self.id = uuid.uuid4().hex
        self._shown_at: float | None = None
        self._scheduled = False
        # A run publishes from another thread: its update must not overtake the display that it replaces.
        self._publishing = threading.RLock()
        self._widget: LiveWidget | None = None
        self._table: dict[str, Any] = {}
        self._drawn: dict[str, tuple[Sequence[Block], Markup]] = {}
        self._view: dict[str, Any] = {}

    @property
    def widget(self) -> LiveWidget:
        """The widget, built when it is first shown."""
        # Rows that arrive between building and storing the widget must not get lost.
        with self._publishing:
            if self._widget is None:
                from voxops.views._widget import LiveWidget  # loads ipywidgets, which importing voxops must not

                made = LiveWidget(
                    turn=self._publishing, state=self._state(self._look()), table=self._table, view=self._view
                )
                made.on_msg(self._heard)
                made.observe(
                    lambda change: self._hear({"do": "changed", "what": change["name"]}), names=["view", "ticks"]
                )
                self._widget = made
            return self._widget

    @property
    def view(self) -> Mapping[str, Any]:
        """Filters, search, sorting and typed text."""
        return self._view if self._widget is None else dict(self._widget.view)

    def fill(self, table: dict[str, Any], view: dict[str, Any] | None = None) -> None:
        """Show other rows and the facts about them; clear the ticks."""
        with self._publishing:
            self._table = table
            self._view = self._view if view is None else view
            if self._widget is not None:
                with self._widget.hold_sync():
                    self._widget.ticks = ""
                    self._widget.table = table
                    if view is not None:
                        self._widget.view = view
                    self._widget.state = self._state(self._look())

    def look_otherwise(self, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Change the view in all pages: `change` gets the present one, and no page can write until it returns."""
        with self._publishing:
            view = self.view
            self._view = {**view, **change(view)}
            if self._widget is not None:
                self._widget.view = self._view

    def show(self) -> None:
        """Show the display here."""
        with self._publishing:
            self._shown_at = self._clock()
            shown = self._look()
            if self._widget is not None:
                self._widget.state = self._state(shown)
            bundle, metadata = self.widget.bundle()
            self._publish(bundle, f"{self.id}-live", False, **({"metadata": metadata} if metadata else {}))
            self._publish(self._copy(shown), self.id, False)

    def begin(self) -> None:
        """Keep the widget's state up to date from now on, also where nothing is published, as in marimo."""
        with self._publishing:
            self._shown_at = self._clock()
            self.widget.state = self._state(self._look())

    def refresh(self, *, at_once: bool = False) -> None:
        """Show the newest state: now, or when half a second has passed since the last update."""
        if self._shown_at is None or (self._scheduled and not at_once):
            return
        wait = self._shown_at + self.INTERVAL - self._clock()
        if wait <= 0 or at_once:
            self._update()
        else:
            self._scheduled = True
            self._later(wait, self._catch_up)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message to all pages."""
        if self._widget is not None:
            self._widget.send(dict(message))

    def html(self) -> str:
        """Return the static copy."""
        return to_html(self._draw(self._look()), name=self._name)

    def _draw(self, shown: Shown) -> Markup:
        """Return the static copy. An unchanged part is not drawn again: a run redraws the rest twice a second."""
        parts = []
        for name, said in shown.parts():
            before = self._drawn.get(name)
            drawn = before[1] if before is not None and before[0] is said else draw(said)
            if name:
                self._drawn[name] = said, drawn
            parts.append(drawn)
        return safe.joined(parts)

    def _state(self, shown: Shown) -> dict[str, Any]:
        """Return the state as JSON."""
        # The page draws the rows from the table, not from blocks.
        tabs = [replace(tab, blocks=()) if tab.name == "rows" else tab for tab in shown.tabs]
        return {"id": self.id, **asdict(replace(shown, tabs=tabs))}

    def _copy(self, shown: Shown) -> dict[str, Any]:
        """Return the static copy as HTML and text."""
        markup = to_html(self._draw(shown), name=self._name, classes=f"voxops-copy voxops-copy-{self.id}")
        return {"text/html": str(markup), "text/plain": self._say()}

    def _catch_up(self) -> None:
        """Show what is new since the last update, unless another update has shown it."""
        if self._scheduled:
            self._update()

    def _update(self) -> None:
        """Show the newest state."""
        with self._publishing:
            self._scheduled = False
            self._shown_at = self._clock()
            shown = self._look()
            if self._widget is not None:
                self._widget.state = self._state(shown)
            self._publish(self._copy(shown), self.id, True)

    def _heard(self, _: object, message: Mapping[str, Any], __: object) -> None:
        """Tell the page that the kernel is there, and pass its message on."""
        if isinstance(message, Mapping) and isinstance(message.get("do"), str):
            self.send({"heard": message["do"], "page": message.get("page")})
            if message["do"] == "hello":
                self._send_again(message.get("version"))
            self._hear(message)

    def _send_again(self, version: object) -> None:
        """Send the state again, and the rows unless the page has them: it missed what changed while it loaded."""
        with self._publishing:
            if self._widget is not None:
                same = version == self._table.get("version")
                self._widget.send_state("state" if same else ["ticks", "table", "view", "state"])


def _publish(bundle: dict[str, Any], display_id: str, update: bool, metadata: Mapping[str, Any] | None = None) -> None:
    """Show a MIME bundle through IPython, or replace it; a terminal can't replace, so it shows only the first."""
    ipython = sys.modules.get("IPython")  # nothing can be shown if it was never imported
    shell = ipython.get_ipython() if ipython else None
    if shell is None or (not hasattr(shell, "kernel") and (update or "text/html" not in bundle)):
        return
    transient = {"display_id": display_id}
    shell.display_pub.publish(data=bundle, metadata=dict(metadata or {}), transient=transient, update=update)


def _later(seconds: float, function: Callable[[], None]) -> None:
    """Call a function later, on its own thread: the loop that runs here may be a kernel's, which a waiting cell blocks."""
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
