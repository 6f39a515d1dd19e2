"""The second half of every panel: see the plan, give a reason, run it, follow it, and compare before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from voxops._core import eventloop
from voxops.acts.plan import Plan, summary
from voxops.model import Snapshot
from voxops.views import _panel_html as draw
from voxops.views._choice import quoted
from voxops.views._panel_parts import Desk, button
from voxops.views._snapshot import ENDED, render_html, render_text

__all__ = ["Act"]


class Act:
    """Plan, reason, canary, run; nothing is sent before a person presses *Run*.

    Parameters
    ----------
    ws : Workspace
        Where it is run.
    desk : Desk
        Who does the work.
    make : callable
        Makes the plan of what is chosen; called in a thread.
    again : callable
        Makes a plan of the failed rows of a run.
    changed : callable
        Told whenever there is something new to show.
    """

    def __init__(
        self,
        ws: Any,
        desk: Desk,
        make: Callable[[], Plan],
        again: Callable[[pd.DataFrame], Plan],
        changed: Callable[[], object],
    ) -> None:
        import ipywidgets as widgets

        self._ws, self._desk, self._make, self._again, self._changed = ws, desk, make, again, changed
        self.plan: Plan | None = None
        self.run: Any = None
        self.snapshot: Snapshot | None = None
        self.verified: pd.DataFrame | None = None
        self.from_failed = False
        self._problem = ""
        self.reason = widgets.Text(
            placeholder="why, for the audit trail",
            description="Reason",
            style={"description_width": "initial"},
            layout={"width": "340px"},
        )
        self.canary = widgets.BoundedIntText(
            value=0,
            min=0,
            max=50,
            description="Canary",
            style={"description_width": "initial"},
            layout={"width": "120px"},
        )
        self.canary.tooltip = "Try so many of each cause first; 0 sends all at once"
        self.plan_button = button("Plan", "list-alt", "Show what would be sent and what not; sends nothing", "info")
        self.run_button = button("Run the plan", "paper-plane", "Send what the plan says", "warning")
        self.pause_button = button("Pause", "pause", "Send nothing more for now; what is in flight settles")
        self.resume_button = button("Resume", "play", "Go on sending")
        self.cancel_button = button("Cancel", "stop", "Send nothing more; unsent rows stay unsent")
        self.again_button = button("Plan a retry of what failed", "refresh", "Makes a plan and shows it; sends nothing")
        self._wire()
        first = widgets.HBox(
            [self.plan_button, self.canary, self.reason, self.run_button],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self._steer = widgets.HBox(
            [self.pause_button, self.resume_button, self.cancel_button, self.again_button],
            layout={"flex_flow": "row wrap"},
        )
        self.root = widgets.VBox([first, self._steer])
        self._allow()

    def _wire(self) -> None:
        """Let each control hand its work over."""
        self.plan_button.on_click(lambda _: self._desk.later(self.make_plan))
        self.run_button.on_click(lambda _: self._desk.hand_over(self._start))
        self.pause_button.on_click(lambda _: self._desk.at_once(self._pause))
        self.resume_button.on_click(lambda _: self._desk.later(self._resume))
        self.cancel_button.on_click(lambda _: self._desk.at_once(self._cancel))
        self.again_button.on_click(lambda _: self._desk.later(self._plan_again))
        self.reason.observe(lambda _: self._said(), names="value")
        self.canary.observe(lambda _: self.forget(), names="value")

    def forget(self) -> None:
        """Something else is chosen: what was planned no longer holds."""
        if self.plan is not None and self.run is None:
            self.plan = None
        self._allow()
        self._changed()

    def _said(self) -> None:
        """A reason was typed: the plan may be run now."""
        self._allow()
        self._changed()

    def complain(self, why: str) -> None:
        """Show why something could not be done."""
        self._problem = why
        self._allow()
        self._changed()

    def make_plan(self) -> None:
        """Make the plan of what is chosen, and show it."""
        self._fresh(self._make(), from_failed=False)

    def _plan_again(self) -> None:
        """Make a plan of what failed, and show it."""
        self._fresh(self._again(self.run.failed()), from_failed=True)

    def _fresh(self, plan: Plan, *, from_failed: bool) -> None:
        """Take a new plan up; the run before it is no longer shown."""
        self.plan = plan.canary(self.canary.value) if self.canary.value and plan.eligible else plan
        self.from_failed = from_failed
        self.run = self.snapshot = self.verified = None
        self._problem = ""
        self._allow()
        self._changed()

    async def _start(self) -> None:
        """Run the plan."""
        plan, reason = self.plan, self.reason.value.strip()
        if plan is None or not reason or self.run is not None:
            return
        self._problem = ""
        self.run_button.disabled = True
        self.run = await self._ws.aio.run(plan, reason=reason)
        self.run.follow(self)
        eventloop.submit(self._follow(self.run))

    async def _follow(self, run: Any) -> None:
        """Wait for the run, then compare before and after."""
        try:
            await run
            if self.run is run and run.snapshot.phase == "done":
                self.verified = await asyncio.to_thread(run.verify)
        except Exception as error:  # noqa: BLE001  in a task of our own it would be lost without a word
            self._problem = f"{type(error).__name__}: {error}"
        self._allow()
        self._changed()

    def notice(self, snapshot: Snapshot) -> None:
        """Take note of the run's newest state."""
        if self.run is None or snapshot.run_id != self.run.id:
            return
        moved = self.snapshot is None or snapshot.phase != self.snapshot.phase
        self.snapshot = snapshot
        if moved:
            self._allow()
        self._changed()

    def _pause(self) -> None:
        """Pause the run."""
        self.run.pause()

    def _resume(self) -> None:
        """Let the run go on, and follow it again."""
        self.run.resume()
        eventloop.submit(self._follow(self.run))

    def _cancel(self) -> None:
        """Give up what was never sent."""
        self.run.cancel()

    def _allow(self) -> None:
        """Enable the controls that make sense now."""
        phase = self.snapshot.phase if self.snapshot is not None else ""
        ready = self.plan is not None and self.plan.eligible > 0 and self.run is None
        self.run_button.disabled = not (ready and self.reason.value.strip())
        self.plan_button.disabled = self.run is not None and phase not in ENDED
        self.pause_button.disabled = phase not in {"sending", "watching"}
        self.resume_button.disabled = phase not in {"paused", "stopped"}
        self.cancel_button.disabled = phase not in {"sending", "watching", "paused"}
        self.again_button.disabled = not (
            phase in ENDED and self.snapshot is not None and self.snapshot.count("failed")
        )
        self._steer.layout.display = "none" if self.run is None else "flex"

    def html(self) -> Sequence[str]:
        """Return what there is to see of it."""
        parts = []
        if self._problem:
            parts.append(draw.notice(self._problem, bad=True))
        if self.plan is not None and self.snapshot is None:
            need = "" if self.reason.value.strip() or not self.plan.eligible else "give a reason to run it"
            parts += [draw.heading("Plan", need), draw.wide(self.plan._repr_html_())]
        if self.snapshot is not None:
            parts += [draw.heading("Run", f"reason: {self.reason.value.strip()}"), render_html(self.snapshot)]
        if self.verified is not None:
            parts += [
                draw.heading("Before and after", "as the server shows it now"),
                draw.verified_table(self.verified),
            ]
        return parts

    def lines(self) -> Sequence[str]:
        """Return the same as text."""
        parts = [self._problem] if self._problem else []
        if self.plan is not None and self.snapshot is None:
            parts.append(summary(self.plan))
        if self.snapshot is not None:
            parts.append(render_text(self.snapshot))
        if self.verified is not None:
            parts.append(self.verified.to_string())
        return parts

    def code(self, planner: str, name: str) -> list[str]:
        """Return the lines that plan and run the same."""
        canary = f".canary({self.canary.value})" if self.canary.value else ""
        lines = [f"plan = vx.{planner}({name}){canary}", "plan"]
        reason = self.reason.value.strip()
        run = f"run = ws.run(plan, reason={quoted(reason or '...')})"
        lines += ["", "# " + run, "# run.wait(); run.verify()"]
        if self.from_failed:
            lines += ["", "# then, of the failed rows:", f"# plan = vx.{planner}(run.failed()){canary}"]
        return lines
