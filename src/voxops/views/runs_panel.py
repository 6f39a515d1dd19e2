"""The runs panel: all runs of a workspace, by whom and why; each can be opened, watched and resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from voxops._support import document, safe
from voxops._support.document import Block
from voxops.acts.plan import Plan
from voxops.errors import PlanError
from voxops.frames.palette import OUTCOME
from voxops.model import OUTCOMES
from voxops.views._display import Button, Tab
from voxops.views._panel_base import Panel, opening
from voxops.views._protocols import RunLike, WorkspaceLike
from voxops.views._rows import RowTable, grid_columns

__all__ = ["RunsPanel"]

_COLUMNS = ("created_at", "action", "state", *OUTCOMES, "withdrawn", "who", "reason")
_HIDDEN = ("run", "campaign")


class RunsPanel(Panel):
    """The runs of a workspace, to be opened, watched and resumed; returned by ``ws.panel()``."""

    TITLE, ROWS, ACTS = "Runs", "Runs", False

    def __init__(self, ws: WorkspaceLike) -> None:
        super().__init__(ws)
        self._looked_at = ""
        self._load()

    def _load(self) -> None:
        """Read the ledger again."""
        self._read = self._ws.client.now()
        runs = self._ws.runs().reset_index()
        columns = grid_columns(runs, _COLUMNS, {}, hidden=_HIDDEN, titles={"created_at": "started"})
        self._set_rows(RowTable(runs, columns))

    def _heard(self, message: Mapping[str, Any]) -> None:
        """Open the run that the page names, or read the list again."""
        if message["do"] == "open":
            self._tasks.submit(lambda: self._attach(message.get("about")))
        elif message["do"] == "reload":
            self._tasks.run_blocking(self._reload)

    def _reload(self) -> None:
        """Read the list again."""
        self._load()
        self._changed(True)

    async def _attach(self, run_id: object) -> None:
        """Attach a run of the list: it is read and watched; only Resume sends unsent rows."""
        assert self._rows is not None
        if not isinstance(run_id, str) or run_id not in set(self._rows.frame["run"]):
            return self._complain("The run is not in the list, so nothing was opened. Load the list again.")
        self._looked_at, self._runner.reason = run_id, ""
        self._runner.take(await self._ws.aio.attach(run_id))
        self._changed(True)
        return None

    def _buttons(self) -> Sequence[Button]:
        opened = f"Open {safe.middle(self._looked_at, 14)}" if self._looked_at else "Open the run"
        return [
            Button(
                "open",
                opened,
                "Watch it here; nothing is sent before Resume is pressed",
                enabled=bool(self._looked_at),
                about=self._looked_at,
            ),
            Button("reload", "Load again", "Read the ledger again"),
        ]

    def _facts(self) -> Sequence[Block]:
        assert self._rows is not None
        runs = self._rows.frame
        totals = [
            (int(runs[name].sum()), name, OUTCOME[name].colour, OUTCOME[name].glyph)
            for name in OUTCOMES
            if name in runs
        ]
        read = safe.instant(self._read, tz=self._ws.settings.tz)
        said = f"{safe.many(len(runs), 'run')}, read {read}; a row in several runs counts once in each"
        return [document.line(said), document.facts(each for each in totals if each[0])]

    def _tabs(self) -> Sequence[Tab]:
        return ()

    def _details(self, row: int) -> Sequence[Block | None]:
        assert self._rows is not None
        found = {str(name): value for name, value in self._rows.frame.iloc[row].items()}
        self._looked_at = str(found["run"])
        self._changed(True)
        counts = [
            document.part(name, OUTCOME[name].colour, int(found.get(name) or 0), OUTCOME[name].glyph)
            for name in OUTCOMES
        ]
        known = {name: found.get(name) for name in ("action", "state", "who", "campaign")}
        known["started"] = (
            safe.instant(found["created_at"].to_pydatetime(), tz=self._ws.settings.tz)
            if pd.notna(found["created_at"])
            else None
        )
        return [
            document.heading("Run", found["run"]),
            document.bar(counts),
            document.preformatted("Reason", "" if pd.isna(found["reason"]) else found["reason"]),
            document.pairs(known.items()),
            document.note(found["note"]) if isinstance(found.get("note"), str) and found["note"] else None,
            document.line(f"ws.attach({found['run']!r}) opens it in a notebook cell."),
        ]

    def _plan_of(self, chosen: pd.DataFrame, form: Mapping[str, Any]) -> Plan:  # noqa: ARG002  as every panel's
        raise PlanError("the list of runs can't be planned: open a run, and plan its failed rows")

    def _plan_failed(self, failed: pd.DataFrame) -> Plan:
        planned = None if self.run is None else self.run.plan
        if planned is None:
            raise PlanError("no run is open here: open one, and plan its failed rows")
        # The same act plans, as in the run's own monitor: another act would use another key for the same request.
        again = planned.act.replan(failed, key=planned.key, campaign=planned.campaign)
        if not isinstance(again, Plan):
            raise PlanError("the failed rows of this run must be planned from the rows that it was planned from")
        return again

    def _ended(self, run: RunLike) -> None:  # noqa: ARG002  every panel learns which run it is
        """Read the list again."""
        self._reload()

    def code(self) -> str:
        """Return code that attaches the open run, else the run whose details are shown, else lists the runs."""
        run_id = self._looked_at if self.run is None else self.run.id
        lines = [f"run = ws.attach({run_id!r})", "run"] if run_id else ["ws.runs()"]
        return "\n".join([*opening(self._ws), *lines]) + "\n"
