"""Live displays of ipywidgets: the monitor of a run, the plan of what failed with its own Run button, and what draws them.

A live display is a box of widgets and, beside it, a static copy for pages without a kernel. The kernel holds all state, so a reload, a
second tab and a reopened notebook show the present. Work that a button starts has a thread of its own: the kernel stays free.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Button, HBox, Layout, Text, VBox

from voxops._support import eventloop, safe
from voxops.model import MOVES, WATCH, Outcome, Snapshot
from voxops.views.table import draw
from voxops.views.view import ENDED, render_html

if TYPE_CHECKING:
    from voxops.acts.plan import Plan


INTERVAL = 0.5  # seconds between two updates, at the least
_ACCEPTED = "queued"  # why rows wait that the API has accepted
_NO_RUN = "(the live display needs the kernel that ran it)"
_BUTTONS: Mapping[str, tuple[str, str]] = {
    "pause": ("Pause", "Send nothing more for now; what is in flight settles"),
    "resume": ("Resume", "Go on sending"),
    "cancel": ("Cancel", "Abandon the rows that were never sent; posts stay"),
    "plan": ("Plan what failed", "Makes a plan and shows it; sends nothing"),
}
_log = logging.getLogger("voxops.views")


class Painter:
    """Draws what has changed, in one thread for all displays of a kernel; `rest` is how it waits between two updates."""

    def __init__(self, rest: Callable[[float], object] = time.sleep) -> None:
        self._rest = rest
        self._due: SimpleQueue[Live] = SimpleQueue()
        self._lock, self._thread = threading.Lock(), threading.Thread()

    def ask(self, live: Live) -> None:
        """Draw this soon."""
        self._due.put(live)
        with self._lock:
            if not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._paint, name="voxops-displays", daemon=True)
                self._thread.start()

    def _paint(self) -> None:
        while True:
            due = {self._due.get()}
            while not self._due.empty():
                due.add(self._due.get())
            for live in due:
                try:
                    live.draw()
                except Exception:  # noqa: BLE001  one display that breaks must not stop the others
                    _log.exception("a display could not be drawn")
            self._rest(INTERVAL)


_painter = Painter()


class Live:
    """A live display of one part, shown in one or several places.

    Parameters
    ----------
    text : callable
        Returns the same as text.
    painter, publish
        For tests; ``publish(bundle, display_id, update)``.
    """

    part: Any  # has a `widget`, and `draw`, which brings it up to date and returns the same as HTML

    def __init__(
        self,
        text: Callable[[], str],
        painter: Painter = _painter,
        publish: Callable[[dict[str, Any], str, bool], None] = eventloop.publish,
    ) -> None:
        self.id, self._text, self._painter, self._publish = f"vx-{uuid.uuid4().hex}", text, painter, publish
        self.turn = threading.RLock()  # a run's thread must not overtake the cell that shows the display
        self._shown = False

    def hold(self, part: Any) -> None:
        """Keep the part, which was created with `ask`."""
        self.part = part
        self.box = awake(VBox([part.widget]))
        for name in (f"{self.id}-live", "tex2jax_ignore", "mathjax_ignore"):
            self.box.add_class(name)

    def ask(self, at_once: bool = False) -> None:
        """Draw it soon, or now, as at the end of a run, after which a kernel may end."""
        if self._shown and at_once:
            self.draw()
        elif self._shown:
            self._painter.ask(self)

    def show(self) -> None:
        """Show it here."""
        with self.turn:
            self._shown = True
            copy = self._copy()
            self._publish({**self.box._repr_mimebundle_(), "text/plain": _NO_RUN}, f"{self.id}-live", False)
            self._publish(copy, self.id, False)

    def draw(self) -> None:
        """Bring the widgets and the copy up to date."""
        with self.turn:
            self._publish(self._copy(), self.id, True)

    def html(self) -> str:
        """Return the copy."""
        return draw("copy.html", id=self.id, parts=self.part.draw())

    def _copy(self) -> dict[str, Any]:
        return {"text/html": self.html(), "text/plain": self._text()}


class Plans:
    """The plans of this display: the newest, and those that were run, with their monitors."""

    def __init__(self) -> None:
        self.boxes: list[PlanBox | Monitor] = []
        self.widget = awake(VBox())

    def show(self, box: PlanBox | Monitor) -> None:
        """Show a plan or a run; an older plan that was not run goes."""
        self.boxes = [*(each for each in self.boxes if each.run), box]
        self.widget.children = [each.widget for each in self.boxes]

    def draw(self) -> str:
        """Bring the widgets up to date; return the same as HTML."""
        return "".join(box.draw() for box in self.boxes)


class PlanBox:
    """One plan with its own Run button, which can run no other; pressed twice, or in two tabs, it runs once."""

    run: Any = None

    def __init__(self, plan: Plan, workspace: Any, changed: Callable[[bool], None]) -> None:
        self.plan, self._plans = plan, Plans()
        self._workspace, self._changed, self._pressed = workspace, changed, threading.Lock()
        self._reason = awake(Text(placeholder="why, for the audit trail", description="Reason"))
        label = f"Run: {plan.act.verb} {safe.many(plan.eligible, 'row')}"
        self._button = push(label, lambda _: in_thread(self._begin, self._failed), button_style="primary")
        self._plan, self._said = awake(HTML(plan._repr_html_())), awake(HTML())
        form = [awake(HBox([self._reason, self._button])), self._said] if workspace and plan.eligible else []
        self.widget = awake(VBox([self._plan, *form]))

    def _begin(self) -> None:
        """Run the plan."""
        if not (reason := self._reason.value.strip()):
            self._failed("A run needs a reason for the audit trail, so nothing was sent. Type one, then run the plan.")
        elif self._pressed.acquire(blocking=False):
            try:
                self.run = eventloop.run(self._workspace.aio.run(self.plan, reason=reason))
            except BaseException:
                self._pressed.release()  # nothing has begun
                raise
            self._plans.show(Monitor(self.run, self._workspace, self._changed))
            self.widget.children = [self._plan, self._plans.widget]
            self._failed("")

    def _failed(self, why: str) -> None:
        self._said.value = why and draw("problem.html", problem=why)
        self._changed(False)

    def draw(self) -> str:
        """Bring the widgets up to date; return the same as HTML."""
        return f"{self._plan.value}{self._said.value}{self._plans.draw()}"


class Monitor:
    """The live display of one run.

    Parameters
    ----------
    run : Run
        What is followed and steered.
    workspace : Workspace or None
        Where a plan of what failed is run.
    changed : callable
        Has the display drawn, immediately with True.
    """

    def __init__(self, run: Any, workspace: Any, changed: Callable[[bool], None]) -> None:
        self.run, self._workspace, self._changed = run, workspace, changed
        self._last, self._problem = run.snapshot, ""
        self.plans, self._html = Plans(), awake(HTML())
        works = {"pause": run.pause, "resume": run.resume, "cancel": run.cancel, "plan": self._plan}
        self.buttons = {
            name: push(label, partial(self._press, works[name]), tooltip=hint, disabled=True)
            for name, (label, hint) in _BUTTONS.items()
        }
        self._row = awake(HBox(list(self.buttons.values())))
        self.widget = awake(VBox([self._html, self._row, self.plans.widget]))
        run.observe(self)

    def notice(self, snapshot: Snapshot) -> None:
        """Take the newest state; the last state is drawn immediately."""
        ends = snapshot.phase in ENDED and self._last.phase not in ENDED
        self._last = snapshot
        self._changed(ends)

    def _press(self, work: Callable[[], object], button: Button) -> None:
        """Do what a button says; a page that shows an older state may press a button that is disabled now."""
        if not button.disabled:
            self._problem = ""
            in_thread(lambda: (work(), self._changed(False)), self._failed)

    def _plan(self) -> None:
        if (plan := self.run.replan()) is None:
            self._failed("Nothing here can be planned again.")
        else:
            self.plans.show(PlanBox(plan, self._workspace, self._changed))

    def _failed(self, why: str) -> None:
        self._problem = why
        self._changed(False)

    def draw(self) -> str:
        """Bring the widgets up to date; return the same as HTML."""
        self._html.value = render_html(self._last, tz=self.run.tz, problem=self._problem)
        sensible = _sensible(self._last)
        for name, button in self.buttons.items():
            button.disabled = name not in sensible
        self._row.layout.display = None if sensible else "none"
        return f"{self._html.value}{self.plans.draw()}"


def _sensible(snapshot: Snapshot) -> set[str]:
    """Return the buttons that make sense in this state."""
    phase, watches, moves = snapshot.phase, snapshot.action == WATCH, snapshot.phase in MOVES and snapshot.sends
    waits = snapshot.count(Outcome.UNKNOWN) or snapshot.waits.keys() - {_ACCEPTED}
    stoppable = moves and (phase == "sending" or watches or waits)  # what the API has accepted is not
    # Attached: watched until it is resumed here.
    idle = phase == "paused" or (phase == "watching" and not snapshot.sends)
    sensible = {
        "pause": stoppable,
        "resume": idle or phase == "stopped",
        "cancel": stoppable or idle,
        "plan": not moves and not watches and snapshot.count(Outcome.FAILED),
    }
    return {name for name, makes_sense in sensible.items() if makes_sense}


def awake(widget: Any) -> Any:
    """Let a widget receive messages of its page while a cell runs; return it.

    From 7.4 on, ipykernel redirects a widget's messages to the thread that served the last request when the widget last sent
    something. During a run that is the cell's own thread, which is busy, or one that has ended (ipython/ipykernel#1557).
    """
    for each in (widget, widget.layout, getattr(widget, "style", None)):
        comm: Any = getattr(each, "comm", None)
        if hasattr(comm, "_reply_subshell_for"):
            comm._reply_subshell_for = None
    return widget


def push(label: str, work: Callable[[Button], object], **more: Any) -> Button:
    """Return a button that does some work."""
    button: Button = awake(Button(description=label, layout=Layout(width="auto"), **more))
    button.on_click(work)
    return button


def in_thread(work: Callable[[], object], failed: Callable[[str], object]) -> None:
    """Do a button's work in a thread; `failed` gets the error, which would otherwise be lost."""

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001
            failed(f"{type(error).__name__}: {error}")

    threading.Thread(target=guarded, name="voxops-button", daemon=True).start()
