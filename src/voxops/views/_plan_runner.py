"""The second half of every panel: plan the chosen rows, run the plan that was seen, and follow it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from voxops._support import eventloop
from voxops._support.canonical import fingerprint
from voxops._support.drawing import to_text
from voxops.acts.plan import Plan, plan_document
from voxops.model import WENT_THROUGH, Snapshot
from voxops.views._display import Tab
from voxops.views._protocols import RunLike, WorkspaceLike
from voxops.views._row_filter import quoted
from voxops.views._snapshot import ENDED, MIXED, error_counts, render_text, snapshot_document
from voxops.views._tasks import TaskQueue
from voxops.views.monitor import can_plan, run_buttons

__all__ = ["PlanRunner", "plan_fingerprint"]

_CANARIES = 50  # canaries per cause, at the most
_ANOTHER_RUN = (
    "The panel had moved on to another run when you pressed the button, so nothing was done. "
    "Check the run shown now, then press again."
)


def plan_fingerprint(plan: Plan) -> str:
    """Return the identity of a plan: what each of its rows requests, in their order, and nothing else."""
    rows = [[item.identity, item.attempt, item.method, item.path, item.body] for item in plan.items]
    return fingerprint(str(plan.action), rows)


class PlanRunner:
    """Plan, check, give a reason, run; nothing is sent before a page has shown it.

    Parameters
    ----------
    ws : WorkspaceLike
        Where it is run.
    tasks : TaskQueue
        Does the work.
    again : callable
        Returns a plan of the failed rows of a run.
    changed : callable
        Called at each change; with True if it must be shown at once.
    ended : callable
        Called when a run has ended, to reread the rows.
    began : callable
        Called with the reason when a run has begun.
    """

    def __init__(
        self,
        ws: WorkspaceLike,
        tasks: TaskQueue,
        again: Callable[[pd.DataFrame], Plan],
        changed: Callable[[bool], object],
        ended: Callable[[RunLike], object],
        began: Callable[[str], object],
    ) -> None:
        self._ws, self._tasks, self._again, self._changed, self._ended = ws, tasks, again, changed, ended
        self._began = began
        # Taken for a few assignments only and never around a call, since drawing waits for it.
        self._lock = threading.Lock()
        self.plan: Plan | None = None
        self.run: RunLike | None = None
        self.snapshot: Snapshot | None = None
        self.errors: Mapping[str, int] = {}
        self.can_retry = False
        self.source: RunLike | None = None  # the run whose failed rows were planned
        self.form: Mapping[str, Any] = {}
        self.reason = ""
        self.problem = ""
        self._page: object = None
        self._plans = 0
        self._starting: Plan | None = None  # becomes `plan` again if the run can't be started
        self._waits: dict[str, object] = {}  # run id -> token of the task that waits for its end

    def __copy__(self) -> PlanRunner:
        """Return a consistent copy of the present state; other threads change only the original."""
        still = PlanRunner.__new__(PlanRunner)
        with self._lock:
            vars(still).update(vars(self))
        return still

    @property
    def acting(self) -> bool:
        """Whether a run is in progress, so that a new plan would be about rows that are changing."""
        snapshot = self.snapshot
        return self.run is not None and (snapshot is None or snapshot.phase not in ENDED)

    @property
    def stage(self) -> str:
        """The tab to look at."""
        return "run" if self.run is not None else "plan" if self.plan is not None else "rows"

    @property
    def shown_plan(self) -> dict[str, Any] | None:
        """The data of the plan that a page needs to run it."""
        if self.plan is None or self.run is not None:
            return None
        return {
            "fingerprint": plan_fingerprint(self.plan),
            "eligible": self.plan.eligible,
            "page": self._page,
            "number": self._plans,  # tells a waiting page of a new plan that equals the one before
        }

    def forget(self, *, rows: bool = False) -> None:
        """Discard the plan, since the choice changed; when `rows` are replaced, keep a plan of a run's failed rows."""
        with self._lock:
            if rows and self.source is not None:
                return
            self._starting = None
            if self.plan is None or self.run is not None:
                return
            self.plan = None
        self._changed(True)

    def complain(self, why: str) -> None:
        """Show a problem."""
        self.problem = why
        self._changed(True)

    def make(self, make: Callable[[], Plan], form: Mapping[str, Any], page: object = None) -> None:
        """Make a plan and show it."""
        if self.acting:
            return self.complain("A run is in progress. Wait for its end, or cancel it, before you plan anything else.")
        self._fresh(make(), form, page)
        return None

    def _make_again(self, about: object, page: object = None) -> None:
        """Plan the failed rows of the run that the page named, and show the plan."""
        run = self.run
        if run is None or self.acting:
            return self.complain("No run has ended here yet, so nothing was planned.")
        if run.id != about:
            return self.complain(_ANOTHER_RUN)
        self._fresh(self._again(run.failed()), self.form, page, run)
        return None

    def _fresh(self, plan: Plan, form: Mapping[str, Any], page: object, source: RunLike | None = None) -> None:
        """Show a new plan instead of the last run."""
        wanted = form.get("canary")
        canary = min(wanted, _CANARIES) if isinstance(wanted, int) and wanted > 0 else 0
        careful = plan.canary(canary) if canary and plan.eligible else plan
        with self._lock:
            self.plan, self.source = careful, source
            self.form, self._page = {**form, "canary": canary}, page
            self.run = self.snapshot = None
            self._plans += 1
            self.problem = self.reason = ""
        self._changed(True)

    async def _start(self, seen: object, reason: object) -> None:
        """Run the plan if it is the one that was seen."""
        said = reason.strip() if isinstance(reason, str) else ""
        plan = self.plan
        was_seen = plan is not None and seen == plan_fingerprint(plan)
        begun = self._starting if self.run is None else self.plan
        if begun is not None and seen == plan_fingerprint(begun):
            return None  # the button was pressed twice
        with self._lock:
            if not was_seen or self.plan is not plan or self.run is not None:
                why = (
                    "The plan has changed since the page showed it, so nothing was sent. Look at the plan, then run it."
                )
            elif not said:
                why = "A run needs a reason for the audit trail, so nothing was sent. Type one, then run the plan."
            else:
                why = ""
                self.plan, self._starting = None, plan  # a second press finds nothing to run
                self.problem, self.reason = "", said
        if why or plan is None:
            return self.complain(why)
        try:
            run = await self._ws.aio.run(plan, reason=said)
        except BaseException:
            with self._lock:
                self.plan, self._starting = self._starting, None  # None if the choice changed
                self._plans += 1  # so that pages can run it again
            raise
        self.form = {name: value for name, value in self.form.items() if name != "reason"}
        self.take(run, plan)
        self._began(said)
        return None

    def take(self, run: RunLike, plan: Plan | None = None) -> None:
        """Show a run and follow it to its end."""
        with self._lock:
            self.plan, self.run, self.snapshot, self.errors = plan, run, None, {}
            self.can_retry = False
            self._starting, self.problem = None, ""
        run.observe(self)
        eventloop.submit(self._follow(run))

    async def _follow(self, run: RunLike) -> None:
        """Wait for the run, then reread the rows: once, however often the run was resumed."""
        self._waits[run.id] = mine = object()
        try:
            await run
            if self._waits[run.id] is not mine:
                return
            await self._reread(run)
        except Exception as error:  # noqa: BLE001  nobody would see it in a task of our own
            self.problem = f"{type(error).__name__}: {error}"
        self._changed(True)

    async def _reread(self, run: RunLike) -> None:
        """Count the errors of the run and reread the rows; of a run that is no longer shown, only reread the rows."""
        if self.run is run and run.snapshot.action in MIXED:
            errors = error_counts(await self._tasks.in_thread(run.results))
            with self._lock:
                self.errors = errors if self.run is run else self.errors
        if self.run is run and run.snapshot.count("failed"):
            can = await self._tasks.in_thread(lambda: can_plan(lambda: self._again(run.failed())))
            with self._lock:
                self.can_retry = can if self.run is run else self.can_retry
        if run.snapshot.phase not in WENT_THROUGH:
            return
        # In turn, so that no rows are planned while they are replaced.
        await self._tasks.in_turn(lambda: self._tasks.in_thread(lambda: self._ended(run)))

    def notice(self, snapshot: Snapshot) -> None:
        """Store the newest state of the run."""
        with self._lock:
            if self.run is None or snapshot.run_id != self.run.id:
                return
            moved = self.snapshot is None or snapshot.phase != self.snapshot.phase
            self.snapshot = snapshot
        self._changed(moved)

    def hear(self, message: Mapping[str, Any]) -> bool:
        """Handle the message of a button; return whether it was one of these."""
        match message["do"]:
            case "run":
                self._tasks.submit(lambda: self._start(message.get("plan"), message.get("reason")))
            case "retry":
                self._tasks.run_blocking(lambda: self._make_again(message.get("about"), message.get("page")))
            case "pause" | "cancel" as name:
                self._tasks.at_once(lambda: self._steer(name, message.get("about")))
            case "resume":
                self._tasks.run_blocking(lambda: self._steer("resume", message.get("about")))
            case _:
                return False
        return True

    def _steer(self, name: str, about: object) -> None:
        """Pause, resume or cancel the run shown, if it is the one that the page named."""
        run = self.run
        if run is None or run.id != about:
            return self.complain(_ANOTHER_RUN)
        getattr(run, name)()
        if name == "resume":
            eventloop.submit(self._follow(run))
        return None

    def tabs(self) -> list[Tab]:
        """Return the tabs of the plan and the run."""
        parts = []
        if self.plan is not None and self.run is None:
            parts.append(Tab("plan", f"Plan ({self.plan.eligible:,})", plan_document(self.plan)))
        if self.run is not None and self.snapshot is not None:
            shown = snapshot_document(self.snapshot, self.errors, tz=self._ws.settings.tz)
            actions = dict.fromkeys(("pause", "resume", "cancel"), object())
            if self.snapshot.phase in ENDED:
                actions["retry"] = object()
            parts.append(Tab("run", "Run", shown, run_buttons(self.snapshot, actions, retry=self.can_retry)))
        return parts

    def lines(self) -> list[str]:
        """Return plan and run as text."""
        now = copy.copy(self)
        parts = [now.problem] if now.problem else []
        if now.plan is not None and now.run is None:
            parts.append(to_text(plan_document(now.plan)))
        if now.snapshot is not None:
            parts.append(render_text(now.snapshot, tz=self._ws.settings.tz))
        return parts

    def code(self, planner: str, name: str) -> list[str]:
        """Return the lines that plan and run the same."""
        canary = f".canary({self.form['canary']})" if self.form.get("canary") else ""
        lines = [f"plan = vx.{planner}({name}){canary}", "plan"]
        reason = self.reason or str(self.form.get("reason") or "").strip()
        run = f"run = ws.run(plan, reason={quoted(reason or '...')})"
        lines += ["", "# " + run, "# run.wait().results()"]
        if self.source is not None:
            lines += ["", "# then, of the failed rows:", f"# plan = vx.{planner}(run.failed()){canary}"]
        return lines
