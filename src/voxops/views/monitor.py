"""The live display of a run: its newest Snapshot, and buttons that start work elsewhere.

This module knows nothing of the engine: it gets Snapshots, and its buttons call the callables passed to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voxops._support import document, safe
from voxops._support.document import Block
from voxops._support.eventloop import by_id, never_copied
from voxops.acts.plan import Plan, plan_document
from voxops.errors import VoxopsError
from voxops.model import WATCH, Outcome, Snapshot
from voxops.views._display import Button, Display, Later, Publish, Shown, Tab
from voxops.views._snapshot import ENDED, MIXED, error_counts, render_html, render_text, snapshot_document

__all__ = ["Monitor", "error_counts", "present", "render_html", "render_text", "run_buttons"]

_ASK_AFTER = 5.0  # seconds between two reads of the errors
_ACCEPTED = "queued"  # why rows wait that the API has accepted
_BUTTONS: Mapping[str, tuple[str, str]] = {
    "pause": ("Pause", "Send nothing more for now; what is in flight settles"),
    "resume": ("Resume", "Go on sending"),
    "cancel": ("Cancel", "Send nothing more; unsent rows stay unsent"),
    "retry": ("Plan a retry of what failed", "Makes a plan and shows it; sends nothing"),
}


@never_copied(lambda monitor: by_id(monitor._last.run_id))
class Monitor:
    """The live display of one run.

    Parameters
    ----------
    snapshot : Snapshot
        The first state.
    on_pause, on_resume, on_cancel, on_retry : callable, optional
        Called by the buttons; must return at once. A button without a callable is not shown. The plan that `on_retry` returns
        is shown beside the run.
    errors : callable, optional
        Returns how many rows failed with each error; called when the number of failures has changed.
    tz : str
        Time zone of the times shown.
    clock, later, publish
        As for `Display`.
    """

    INTERVAL = Display.INTERVAL

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        on_pause: Callable[[], object] | None = None,
        on_resume: Callable[[], object] | None = None,
        on_cancel: Callable[[], object] | None = None,
        on_retry: Callable[[], object] | None = None,
        errors: Callable[[], Mapping[str, int]] | None = None,
        tz: str = "UTC",
        clock: Callable[[], float] = time.monotonic,
        later: Later | None = None,
        publish: Publish | None = None,
    ) -> None:
        self._last, self._tz = snapshot, tz
        self._actions = {"pause": on_pause, "resume": on_resume, "cancel": on_cancel, "retry": on_retry}
        self._ask, self._errors, self._counted = errors, dict[str, int](), 0
        self._tried, self._can_retry = (
            0,
            False,
        )  # failed rows of which it was asked last whether any can be planned again
        self._clock, self._asked = clock, clock()
        self._plan: Sequence[Block] = ()
        self._problem = ""
        self._live = Display(
            self._look, self.__repr__, self._hear, name="monitor", clock=clock, later=later, publish=publish
        )

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""
        return self._last

    def notice(self, snapshot: Snapshot) -> None:
        """Store the newest state; show it at once if it is the end, else half a second after the last update."""
        ends = snapshot.phase in ENDED and self._last.phase not in ENDED
        self._last = snapshot
        self._live.refresh(at_once=ends)

    def show(self) -> None:
        """Display the monitor here; it may be shown in several places."""
        self._live.show()

    def _look(self) -> Shown:
        """Return the state to show."""
        snapshot = self._last
        self._ask_errors(snapshot)
        self._ask_retry(snapshot)
        drawn = snapshot_document(snapshot, self._errors, tz=self._tz)
        run = Tab("run", "Run", drawn, self._buttons())
        tabs = [run, Tab("plan", "Plan of a retry", self._plan)] if self._plan else [run]
        return Shown(
            title="",
            at=safe.as_of(snapshot.updated_at, self._tz),
            present=present(snapshot),
            attach=f"ws.attach({snapshot.run_id!r})" if snapshot.run_id else "",
            stage=tabs[-1].name,
            tabs=tabs,
            problem=self._problem,
        )

    def _ask_errors(self, snapshot: Snapshot) -> None:
        """Read the errors if there are new failures; not often, since that reads the whole run."""
        failed, now = snapshot.count("failed"), self._clock()
        if (
            self._ask is not None
            and snapshot.action in MIXED
            and failed != self._counted
            and (now >= self._asked or snapshot.phase in ENDED)
        ):
            self._errors, self._counted, self._asked = dict(self._ask()), failed, now + _ASK_AFTER

    def _ask_retry(self, snapshot: Snapshot) -> None:
        """Look whether a retry can be planned of anything that failed, once nothing moves, since that reads the whole run."""
        failed, plan = snapshot.count("failed"), self._actions["retry"]
        stands = snapshot.phase in ENDED | {"paused"} or not snapshot.sends
        if plan is not None and failed != self._tried and stands:
            self._tried, self._can_retry = failed, can_plan(plan)

    def _buttons(self) -> list[Button]:
        return run_buttons(self._last, self._actions, retry=self._can_retry)

    def _hear(self, message: Mapping[str, Any]) -> None:
        """Do what a button requests, if it is enabled."""
        name = str(message["do"])
        action = self._actions.get(name)
        if action is None or name not in {button.do for button in self._buttons() if button.enabled}:
            return
        before, self._problem = self._problem, ""
        try:
            result = action()
            if name == "retry":
                self._plan = (
                    plan_document(result)
                    if isinstance(result, Plan)
                    else [document.note("Nothing here can be planned again.")]
                )
        except Exception as error:  # noqa: BLE001  nobody would see it
            self._problem = f"{type(error).__name__}: {error}"
        if name == "retry" or self._problem != before:
            self._live.refresh(at_once=True)

    def _ipython_display_(self) -> None:
        self.show()

    def _display_(self) -> object:
        """Return what marimo shows."""
        self._live.begin()
        return self._live.widget

    def _repr_html_(self) -> str:
        return render_html(self._last, tz=self._tz)

    def __repr__(self) -> str:
        return render_text(self._last, tz=self._tz)


def can_plan(plan: Callable[[], object]) -> bool:
    """Whether what this plans has rows to send; what can't be planned has none."""
    try:
        made = plan()
    except VoxopsError:
        return False
    return isinstance(made, Plan) and made.eligible > 0


def run_buttons(snapshot: Snapshot, actions: Mapping[str, object], *, retry: bool) -> list[Button]:
    """Return the buttons of a run that have actions, enabled if they make sense in this state; `retry` if that can be planned."""
    sensible = {
        "sending": {"pause", "cancel"},
        "watching": {"pause", "cancel"},
        "paused": {"resume", "cancel"},
        "stopped": {"resume"},
    }.get(snapshot.phase, set())
    if not snapshot.sends:
        sensible = {"resume", "cancel"} if snapshot.phase == "watching" else sensible
    elif _is_all_sent(snapshot):
        sensible = set()
    if retry and snapshot.count("failed"):
        sensible = sensible | {"retry"}
    return [
        Button(name, label, title, enabled=name in sensible, plans=name == "retry", about=snapshot.run_id)
        for name, (label, title) in _BUTTONS.items()
        if actions.get(name)
    ]


def _is_all_sent(snapshot: Snapshot) -> bool:
    """Whether the API has accepted all rows, so that nothing is left to pause or cancel; a watch can always be."""
    waits = snapshot.count(Outcome.UNKNOWN) or snapshot.waits.keys() - {_ACCEPTED}
    return snapshot.phase == "watching" and snapshot.action != WATCH and not waits


def present(snapshot: Snapshot) -> str:
    """Return how to see the present state of a run; empty if this is its end."""
    if snapshot.phase in ENDED - {"stopped"} or not snapshot.run_id or snapshot.action == WATCH:
        return ""
    return f"ws.attach({snapshot.run_id!r}) shows the present state."
