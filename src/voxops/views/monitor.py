"""Live displays of ipywidgets: the monitor of a run, the plan of what failed with its own Run button, and what draws them.

A live display is a box of widgets and, beside it, a static copy for pages without a kernel. The kernel holds all state, so a reload, a
second tab and a reopened notebook show the present. Work that a button starts has a thread of its own: the kernel stays free.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ipywidgets import HTML, Button, HBox, Layout, Text, VBox, Widget

from voxops._support import eventloop, safe
from voxops.model import WATCH, WENT_THROUGH, Outcome, Snapshot
from voxops.views.pages import draw
from voxops.views.snapshot import ENDED, render_html

if TYPE_CHECKING:
    from voxops.acts.plan import Plan
    from voxops.views._protocols import RunLike

__all__ = ["Live", "Monitor", "Plans"]

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


class Part(Protocol):
    """What a live display shows."""

    widget: Widget

    def draw(self) -> str:
        """Bring the widgets up to date; return the same as HTML."""


class Painter:
    """Draws what has changed, in one thread for all displays of a kernel; `rest` is how it waits between two updates."""

    def __init__(self, rest: Callable[[float], object] = time.sleep) -> None:
        self._rest = rest
        self._due: set[Live] = set()
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self, live: Live) -> None:
        """Draw this soon."""
        with self._lock:
            self._due.add(live)
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._paint, name="voxops-displays", daemon=True)
                self._thread.start()
        self._wake.set()

    def _paint(self) -> None:
        while True:
            self._wake.wait()
            with self._lock:
                due, self._due = self._due, set()
                self._wake.clear()
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
    make : callable
        Returns the part; gets a callable that has it drawn soon, or at once with True.
    text : callable
        Returns the same as text.
    painter, publish
        For tests; ``publish(bundle, display_id, update)``.
    """

    def __init__(
        self,
        make: Callable[[Callable[[bool], None]], Part],
        text: Callable[[], str],
        painter: Painter = _painter,
        publish: Callable[[dict[str, Any], str, bool], None] | None = None,
    ) -> None:
        self.id, self._text, self._painter = f"vx-{uuid.uuid4().hex}", text, painter
        self._publish = publish or _publish
        self.turn = threading.RLock()  # a run's thread must not overtake the cell that shows the display
        self._shown = False
        self.part = make(self.ask)
        self.box = awake(VBox([self.part.widget]))
        for name in (f"{self.id}-live", "tex2jax_ignore", "mathjax_ignore"):
            self.box.add_class(name)

    def ask(self, at_once: bool = False) -> None:
        """Draw it soon, or now, as at the end of a run, after which a kernel may end."""
        if not self._shown:
            return
        if at_once:
            self.draw()
        else:
            self._painter.ask(self)

    def show(self) -> None:
        """Show it here."""
        with self.turn:
            self._shown = True
            copy = self._copy()
            made: Any = self.box._repr_mimebundle_()
            self._publish({**made, "text/plain": _NO_RUN}, f"{self.id}-live", False)
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
    """The plans that a person has made here: the newest, and those that were run, with their monitors.

    Parameters
    ----------
    workspace : Workspace or None
        Where they run; None if they are only shown.
    changed : callable
        Has the display drawn.
    ended : callable, optional
        Gets each run that has ended.
    """

    def __init__(
        self,
        workspace: Any,
        changed: Callable[[bool], None],
        ended: Callable[[RunLike], object] | None = None,
    ) -> None:
        self._workspace, self._changed, self._ended = workspace, changed, ended
        self.boxes: list[PlanBox | Monitor] = []
        self.widget = awake(VBox())

    def add(self, plan: Plan) -> None:
        """Show a plan; an older one that was not run goes."""
        self._show(PlanBox(plan, self._workspace, self._changed, self._ended))

    def follow(self, run: RunLike) -> None:
        """Show a run that somebody opens."""
        self._show(Monitor(run, self._workspace, self._changed, self._ended))

    def _show(self, box: PlanBox | Monitor) -> None:
        self.boxes = [*(each for each in self.boxes if each.run), box]
        self.widget.children = [each.widget for each in self.boxes]

    def draw(self) -> str:
        """Bring the widgets up to date; return the same as HTML."""
        return "".join(box.draw() for box in self.boxes)


class PlanBox:
    """One plan with its own Run button, which can run no other; pressed twice, or in two tabs, it runs once."""

    def __init__(
        self,
        plan: Plan,
        workspace: Any,
        changed: Callable[[bool], None],
        ended: Callable[[RunLike], object] | None,
    ) -> None:
        self.plan, self.monitor = plan, None
        self._workspace, self._changed, self._ended = workspace, changed, ended
        self._pressed = threading.Lock()
        self._html, self._problem = plan._repr_html_(), ""
        self._reason = awake(Text(placeholder="why, for the audit trail", description="Reason"))
        label = f"Run: {plan.act.verb} {safe.many(plan.eligible, 'row')}"
        self._run = awake(Button(description=label, button_style="primary", layout=Layout(width="auto")))
        self._run.on_click(lambda _: in_thread(self._begin, self._failed))
        self._said = awake(HTML())
        form = [HBox([self._reason, self._run]), self._said] if workspace is not None and plan.eligible else []
        self.widget = awake(VBox([awake(HTML(self._html)), *map(awake, form)]))

    monitor: Monitor | None

    @property
    def run(self) -> RunLike | None:
        """The run of this plan, if it was run."""
        return self.monitor.run if self.monitor else None

    def _begin(self) -> None:
        """Run the plan."""
        reason, workspace = self._reason.value.strip(), self._workspace
        if not reason or workspace is None:
            return self._failed(
                "A run needs a reason for the audit trail, so nothing was sent. Type one, then run the plan."
            )
        if not self._pressed.acquire(blocking=False):
            return None
        try:
            run = eventloop.run(workspace.aio.run(self.plan, reason=reason))
        except BaseException:
            self._pressed.release()  # nothing has begun
            raise
        self.monitor = Monitor(run, workspace, self._changed, self._ended)
        self.widget.children = [self.widget.children[0], self.monitor.widget]
        self._failed("")
        return None

    def _failed(self, why: str) -> None:
        self._problem = why
        self._said.value = why and draw("problem.html", problem=why)
        self._changed(False)

    def draw(self) -> str:
        """Bring the widgets up to date; return the same as HTML."""
        return f"{self._html}{self._said.value}{self.monitor.draw() if self.monitor else ''}"


class Monitor:
    """The live display of one run.

    Parameters
    ----------
    run : Run
        What is followed and steered.
    workspace : Workspace or None
        Where a plan of what failed is run.
    changed : callable
        Has the display drawn, at once with True.
    ended : callable, optional
        Gets the run when it has ended.
    """

    def __init__(
        self,
        run: RunLike,
        workspace: Any,
        changed: Callable[[bool], None],
        ended: Callable[[RunLike], object] | None = None,
    ) -> None:
        self.run, self._changed, self._ended = run, changed, ended
        self._last, self._problem = run.snapshot, ""
        self.plans = Plans(workspace, changed, ended)
        self._html = awake(HTML())
        works: Mapping[str, Callable[[], object]] = {
            "pause": run.pause, "resume": run.resume, "cancel": run.cancel, "plan": self._plan,
        }  # fmt: skip
        self.buttons = {}
        for name, (label, hint) in _BUTTONS.items():
            button = awake(Button(description=label, tooltip=hint, disabled=True, layout=Layout(width="auto")))
            button.on_click(lambda pressed, work=works[name]: self._press(pressed, work))
            self.buttons[name] = button
        self._row = awake(HBox(list(self.buttons.values())))
        self.widget = awake(VBox([self._html, self._row, self.plans.widget]))
        run.observe(self)

    @property
    def plan(self) -> Plan | None:
        """The plan of the run."""
        return self.run.plan

    def notice(self, snapshot: Snapshot) -> None:
        """Take the newest state; it is drawn at once if it is the end."""
        ends = snapshot.phase in ENDED and self._last.phase not in ENDED
        self._last = snapshot
        self._changed(ends)
        if ends and self._ended is not None and snapshot.phase in WENT_THROUGH:
            in_thread(lambda: self._ended and self._ended(self.run), self._failed)

    def _press(self, button: Button, work: Callable[[], object]) -> None:
        """Do what a button says; a page that shows an older state may press one that is disabled by now."""
        if not button.disabled:
            self._problem = ""
            in_thread(lambda: (work(), self._changed(False)), self._failed)

    def _plan(self) -> None:
        plan = self.run.replan()
        if plan is None:
            self._failed("Nothing here can be planned again.")
        else:
            self.plans.add(plan)

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
    waits = snapshot.count(Outcome.UNKNOWN) or snapshot.waits.keys() - {_ACCEPTED}
    all_sent = snapshot.phase == "watching" and snapshot.action != WATCH and not waits
    known = {
        "sending": {"pause", "cancel"},
        "watching": {"pause", "cancel"},
        "paused": {"resume", "cancel"},
        "stopped": {"resume"},
    }.get(snapshot.phase, set())
    if not snapshot.sends:  # attached: it is only watched until it is resumed here
        known = {"resume", "cancel"} if snapshot.phase == "watching" else known
    elif all_sent:
        known = set()
    stands = snapshot.phase in ENDED | {"paused"} or not snapshot.sends
    again = stands and snapshot.action != WATCH and snapshot.count(Outcome.FAILED) > 0
    return known | {"plan"} if again else known


def awake(widget: Any) -> Any:
    """Let a widget hear its page while a cell runs; return it.

    From 7.4 on, ipykernel redirects a widget's messages to the thread that served the last request when the widget last sent
    something. During a run that is the cell's own thread, which is busy, or one that has ended (ipython/ipykernel#1557).
    """
    for each in (widget, widget.layout, getattr(widget, "style", None)):
        comm: Any = getattr(each, "comm", None)
        if hasattr(comm, "_reply_subshell_for"):
            comm._reply_subshell_for = None
    return widget


def in_thread(work: Callable[[], object], failed: Callable[[str], object]) -> None:
    """Do a button's work beside the kernel; `failed` gets the error, which nobody would see."""

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001
            failed(f"{type(error).__name__}: {error}")

    threading.Thread(target=guarded, name="voxops-button", daemon=True).start()


def _publish(bundle: dict[str, Any], display_id: str, update: bool) -> None:
    """Show a MIME bundle through IPython, or replace it; a terminal can't replace, so it shows only the first text."""
    ipython = sys.modules.get("IPython")  # nothing can be shown if it was never imported
    shell = ipython.get_ipython() if ipython else None
    if shell is None or (not hasattr(shell, "kernel") and (update or "text/html" not in bundle)):
        return
    shell.display_pub.publish(data=bundle, metadata={}, transient={"display_id": display_id}, update=update)
