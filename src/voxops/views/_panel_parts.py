"""Pieces that the panels share: who does the work, what is shown beside the controls, a list of rows to tick."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from voxops._core import eventloop
from voxops.errors import VoxopsError
from voxops.views.monitor import Monitor

__all__ = ["Board", "Desk", "Rows", "button", "text"]


class Desk:
    """Does a panel's work on our own loop, one piece after another; callbacks only hand it over.

    Parameters
    ----------
    complain : callable
        Told, in a sentence, of work that failed: nobody else would see it.
    """

    def __init__(self, complain: Callable[[str], object]) -> None:
        self._complain = complain
        self._turn = asyncio.Lock()

    def hand_over(self, work: Callable[[], Awaitable[object]]) -> None:
        """Start some work and return at once."""
        eventloop.submit(self._do(work))

    def at_once(self, work: Callable[[], object]) -> None:
        """Start work in a thread without waiting for what was handed over before: stopping must not wait for a long load."""
        eventloop.submit(self._guarded(lambda: asyncio.to_thread(work)))

    def later(self, work: Callable[[], object]) -> None:
        """Start work that computes, in a thread, so that it holds up neither the kernel nor what is being sent."""
        self.hand_over(lambda: asyncio.to_thread(work))

    async def _do(self, work: Callable[[], Awaitable[object]]) -> None:
        """Wait for the turn, and work."""
        async with self._turn:
            await self._guarded(work)

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Work, and tell of a failure."""
        try:
            await work()
        except VoxopsError as error:
            self._complain(str(error))
        except Exception as error:  # noqa: BLE001  in a callback it would be lost without a word
            self._complain(f"the panel broke down: {type(error).__name__}: {error}")


class Board:
    """The static HTML of a panel, in an output of its own: replaced while things move, kept by a saved notebook.

    Parameters
    ----------
    draw : callable
        Returns the HTML as it is now.
    say : callable
        Returns the same as text.
    publish, later, clock
        As for `Monitor`.
    """

    def __init__(
        self,
        draw: Callable[[], str],
        say: Callable[[], str],
        *,
        publish: Callable[[dict[str, Any], str, bool], object],
        later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._draw, self._say = draw, say
        self._publish, self._later, self._clock = publish, later, clock
        self._id = uuid.uuid4().hex
        self._shown_at: float | None = None
        self._scheduled = False

    def show(self) -> None:
        """Show it here."""
        self._shown_at = self._clock()
        self._publish(self._bundle(), self._id, False)

    def refresh(self) -> None:
        """Replace what is shown, now or as soon as half a second has passed since the last time."""
        if self._shown_at is None or self._scheduled:
            return
        wait = self._shown_at + Monitor.INTERVAL - self._clock()
        if wait > 0:
            self._scheduled = True
            self._later(wait, self._update)
        else:
            self._update()

    def _update(self) -> None:
        """Replace what is shown."""
        self._scheduled = False
        self._shown_at = self._clock()
        self._publish(self._bundle(), self._id, True)

    def _bundle(self) -> dict[str, Any]:
        """Return the present state as HTML and text."""
        return {"text/html": self._draw(), "text/plain": self._say()}


class Rows:
    """A list of rows to tick, a page at a time; its widgets are made once and filled anew.

    Parameters
    ----------
    head : str
        HTML of the head row.
    changed : callable
        Called when a person ticks or unticks.
    opened : callable, optional
        Called with a row's key when a person asks for its details.
    """

    PAGE = 8

    def __init__(self, head: str, changed: Callable[[], object], opened: Callable[[str], object] | None = None) -> None:
        import ipywidgets as widgets

        self._changed, self._opened = changed, opened
        self._keys: list[str] = []
        self._cells: Sequence[str] = ()
        self._left_out: set[str] = set()
        self._page = 0
        self._filling = False
        self._ticks = [
            widgets.Checkbox(indent=False, layout={"width": "24px", "margin": "0"}) for _ in range(self.PAGE)
        ]
        self._lines = [
            widgets.HTML(layout={"flex": "1 1 auto", "min_width": "0", "margin": "0"}) for _ in range(self.PAGE)
        ]
        self._boxes = [self._line(number) for number in range(self.PAGE)]
        self._said = widgets.HTML()
        self._back, self._next = button("", "chevron-left", "Earlier rows"), button("", "chevron-right", "Further rows")
        self._back.on_click(lambda _: self._turn(-1))
        self._next.on_click(lambda _: self._turn(1))
        every, none = button("All", "check-square-o", "Choose every row"), button("None", "square-o", "Choose no row")
        every.on_click(lambda _: self._tick_all(wanted=True))
        none.on_click(lambda _: self._tick_all(wanted=False))
        foot = widgets.HBox([every, none, self._back, self._next, self._said], layout={"align_items": "center"})
        top = widgets.HTML(head, layout={"margin": f"0 {38 if opened else 0}px 0 24px"})
        self.root = widgets.VBox([top, *self._boxes, foot], layout={"width": "100%", "max_width": "900px"})

    def _line(self, number: int) -> Any:
        """Make the widgets of one line."""
        import ipywidgets as widgets

        parts = [self._ticks[number], self._lines[number]]
        self._ticks[number].observe(lambda change: self._ticked(number, bool(change["new"])), names="value")
        if self._opened is not None:
            more = button("", "search", "Show this one in full")
            more.layout.width, more.layout.padding, more.layout.flex = "32px", "0", "0 0 auto"
            more.on_click(lambda _: self._open(number))
            parts.append(more)
        layout = {"display": "none", "align_items": "center", "width": "100%", "overflow": "hidden"}
        return widgets.HBox(parts, layout=layout)

    @property
    def chosen(self) -> list[str]:
        """Keys of the rows that are ticked."""
        return [key for key in self._keys if key not in self._left_out]

    def fill(self, keys: Iterable[str], cells: Sequence[str]) -> None:
        """Show other rows; those unticked before stay unticked."""
        self._keys, self._cells = list(keys), cells
        self._page = min(self._page, max(0, (len(self._keys) - 1) // self.PAGE))
        self._draw()

    def _draw(self) -> None:
        """Fill the lines of the present page."""
        first = self._page * self.PAGE
        self._filling = True
        try:
            for number, (box, tick, line) in enumerate(zip(self._boxes, self._ticks, self._lines, strict=True)):
                row = first + number
                there = row < len(self._keys)
                box.layout.display = "flex" if there else "none"
                if there:
                    line.value = self._cells[row]
                    tick.value = self._keys[row] not in self._left_out
        finally:
            self._filling = False
        last = min(first + self.PAGE, len(self._keys))
        self._back.disabled, self._next.disabled = self._page == 0, last >= len(self._keys)
        span = f"rows {first + 1:,} to {last:,}" if self._keys else "no rows"
        self._said.value = f"&nbsp;{span} of {len(self._keys):,} · <b>{len(self.chosen):,} chosen</b>"

    def _turn(self, step: int) -> None:
        """Show another page."""
        self._page = min(max(0, self._page + step), max(0, (len(self._keys) - 1) // self.PAGE))
        self._draw()

    def _ticked(self, number: int, wanted: bool) -> None:
        """Note that a person ticked a row."""
        row = self._page * self.PAGE + number
        if self._filling or row >= len(self._keys):
            return
        (self._left_out.discard if wanted else self._left_out.add)(self._keys[row])
        self._draw()
        self._changed()

    def _tick_all(self, *, wanted: bool) -> None:
        """Choose all rows that the filters leave, or none of them."""
        (self._left_out.difference_update if wanted else self._left_out.update)(self._keys)
        self._draw()
        self._changed()

    def _open(self, number: int) -> None:
        """Pass on whose details are wanted."""
        row = self._page * self.PAGE + number
        if self._opened is not None and row < len(self._keys):
            self._opened(self._keys[row])


def button(label: str, icon: str, tooltip: str, style: str = "") -> Any:
    """Return a button as wide as its label."""
    import ipywidgets as widgets

    made = widgets.Button(description=label, icon=icon, tooltip=tooltip, button_style=style)
    made.layout.width = "auto"
    return made


def text(markup: str) -> Any:
    """Return a piece of HTML as a widget; what it holds is escaped already."""
    import ipywidgets as widgets

    return widgets.HTML(markup)
