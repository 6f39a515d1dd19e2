"""The base of all panels: rows to choose from, plans that a person has seen, runs to follow; and the same as code."""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from voxops._support import document, safe
from voxops._support.document import Block
from voxops.acts.plan import Plan
from voxops.frames.palette import Look, looks_of_pages
from voxops.views._display import Button, Display, Shown, Tab
from voxops.views._plan_runner import PlanRunner
from voxops.views._protocols import RunLike, WorkspaceLike
from voxops.views._row_filter import quoted
from voxops.views._rows import RowTable
from voxops.views._tasks import TaskQueue
from voxops.views.monitor import present

__all__ = ["Panel", "opening"]

_LOG = logging.getLogger("voxops.views")
ANOTHER_TABLE = "The rows have changed since the page showed them. Nothing was planned: choose again."
_CHOOSING = ("facets", "search", "days", "form")  # parts of a view that decide what is planned


class Panel(ABC):
    """A panel: returned by ``ws.panel``, shown as the last expression of a cell.

    Attributes
    ----------
    plan : Plan or None
        The plan shown.
    run : Run or None
        The run shown.
    frame : pandas.DataFrame
        The rows shown.
    """

    TITLE = ""
    ROWS = "Rows"
    ACTS = True

    def __init__(self, ws: WorkspaceLike) -> None:
        self._ws = ws
        self._rows: RowTable | None = None
        self._chosen = pd.DataFrame()  # the rows that were planned last
        self._planned_lines: Sequence[str] = ()  # the code that chooses them from the rows of that time
        self._shown_at = ws.client.now()
        self._chose: tuple[object, ...] = ()
        self._still: tuple[RowTable | None, Sequence[Block], Sequence[Tab]] | None = None
        self._code_shown = False
        self._code_turned = ""  # the stage at which a person opened the code
        self._busy = ""
        self._tasks = TaskQueue(self._complain)
        self._live = Display(self._look, self.__repr__, self._hear, name="panel")
        self._runner = PlanRunner(ws, self._tasks, self._plan_failed, self._changed, self._ended, self._began)

    @property
    def plan(self) -> Plan | None:
        """The plan shown, or None."""
        return self._runner.plan

    @property
    def frame(self) -> pd.DataFrame:
        """The rows shown, as a copy; empty before they are read."""
        return pd.DataFrame() if self._rows is None else self._rows.frame.copy()

    @property
    def run(self) -> RunLike | None:
        """The run shown, or None."""
        return self._runner.run

    @abstractmethod
    def code(self) -> str:
        """Return the code that gives the same plan with the same keys."""

    def _lines_for(self, chosen: pd.DataFrame | None) -> list[str]:  # noqa: ARG002  a panel that plans nothing has none
        """Return the code that loads and chooses rows (None: all that the filters leave); empty if the panel plans nothing."""
        return []

    def _code_lines(self) -> list[str]:
        """Return the code that chooses the rows of the plan or run shown, as it was when they were planned."""
        runner = self._runner
        if runner.plan is None and runner.run is None:
            return self._lines_for(None)
        if runner.source is not None:
            return [f"chosen = ws.attach({runner.source.id!r}).failed()"]
        lines = list(self._planned_lines) or self._lines_for(self._chosen)
        if runner.run is None:
            return lines
        return [f"# as it was planned; sent since, by run {runner.run.id}: run = ws.attach({runner.run.id!r})", *lines]

    @abstractmethod
    def _plan_of(self, chosen: pd.DataFrame, form: Mapping[str, Any]) -> Plan:
        """Plan the chosen rows."""

    @abstractmethod
    def _plan_failed(self, failed: pd.DataFrame) -> Plan:
        """Plan the failed rows of a run."""

    @abstractmethod
    def _ended(self, run: RunLike) -> None:
        """Update the rows after a run."""

    @abstractmethod
    def _details(self, row: int) -> Sequence[Block | None]:
        """Return all details of one row."""

    @abstractmethod
    def _facts(self) -> Sequence[Block]:
        """Return the blocks above the rows."""

    @abstractmethod
    def _tabs(self) -> Sequence[Tab]:
        """Return the tabs besides rows, plan, run and code."""

    def _say(self) -> str:
        """Return the subject of the panel in one line."""
        count = 0 if self._rows is None else len(self._rows.frame)
        return f"{self.TITLE}: {safe.many(count, 'row')}"

    def _selects(self) -> Sequence[Mapping[str, Any]]:
        """Return the drop-down lists."""
        return ()

    def _buttons(self) -> Sequence[Button]:
        """Return the buttons beside the lists."""
        if not self.ACTS:
            return ()
        return [
            Button(
                "code",
                "Hide the code" if self._code_shown else "Show the code",
                "The same as code, for a cell of your own",
            )
        ]

    def _options(self) -> Sequence[Mapping[str, Any]]:
        """Return the boxes to tick beside the plan."""
        return ()

    def _looks(self) -> Mapping[str, Mapping[str, Look]]:
        """Return colours and glyphs of the values of some columns."""
        return {}

    def _set_rows(self, rows: RowTable, view: dict[str, Any] | None = None) -> None:
        """Show other rows; discard a plan of the old ones."""
        self._runner.forget(rows=True)
        self._runner.problem = ""  # an older problem is solved, or moot
        self._rows = rows
        # New rows clear the ticks; that is no choice of a page.
        self._chose = (*self._chose[:-1], "") if view is None else ()
        self._live.fill(rows.model(), view)

    def _facets(self) -> dict[str, list[str]]:
        """Return the chosen words of each facet."""
        facets, rows = self._live.view.get("facets"), self._rows
        if rows is None or not isinstance(facets, Mapping):
            return {}
        known = {column.name for column in rows.columns if column.facet}
        return {
            name: [*map(str, wanted)]
            for name, wanted in facets.items()
            if name in known and isinstance(wanted, list) and wanted
        }

    def _wanted(self) -> dict[str, list[Any]]:
        """Return the chosen values of each facet as in the frame, without facets that include missing values."""
        rows = self._rows
        raws = {} if rows is None else {name: rows.raw(name, wanted) for name, wanted in self._facets().items()}
        return {name: raw for name, raw in raws.items() if raw is not None}

    def _left(self) -> np.ndarray[Any, Any]:
        """Return which rows match the facets, by their shown text (bool)."""
        assert self._rows is not None
        left = np.ones(len(self._rows.frame), bool)
        for name, wanted in self._facets().items():
            left &= self._rows.fits(name, wanted)
        return left

    def _hear(self, message: Mapping[str, Any]) -> None:
        """Do what a page requests; slow work goes to the task queue."""
        if message["do"] in {"retry", "mend"}:
            # The plan comes from a run or from the row that is open, but a later choice on the page discards it like any other plan.
            self._chose = self._choice_of(message)
        if self._runner.hear(message):
            return
        match message["do"]:
            case "plan":
                known, chose = self._choice_now(), self._choice_of(message)
                self._tasks.run_blocking(lambda: self._plan_rows(message, known, chose))
            case "texts" | "search" | "csv":
                self._tasks.at_once(lambda: self._send_found(message))
            case "details":
                self._tasks.at_once(lambda: self._send_details(message))
            case "changed":
                self._chosen_otherwise()
            case "code":
                self._code_shown = not self._code_shown
                self._code_turned = self._runner.stage if self._code_shown else ""
                self._changed(True)
            case "hello":
                self._live.refresh()
            case _:
                self._heard(message)

    def _heard(self, message: Mapping[str, Any]) -> None:
        """Handle the messages of one kind of panel."""
        _LOG.debug("a page requested %s, which this panel does not know", safe.plain(message["do"], 40))

    def _choice_now(self) -> tuple[object, ...]:
        """Return the parts of the present view that decide what is planned."""
        return self._choice_of({"view": self._live.view, "ticks": self._live.widget.ticks})

    def _choice_of(self, message: Mapping[str, Any]) -> tuple[object, ...]:
        """Return what decides the plan, as sent with a page's message; the present view if the message has none."""
        view = message.get("view")
        if not isinstance(view, Mapping):
            return self._choice_now()
        return (*(view.get(name) for name in _CHOOSING), message.get("ticks"))

    def _chosen_otherwise(self, chose: tuple[object, ...] | None = None) -> None:
        """Discard the plan, since a page chose something else."""
        if not _only_reason(self._choice_now(), self._chose if chose is None else chose):
            self._runner.forget()
            if self._code_shown:  # the code follows the choice
                self._changed(False)

    def _plan_rows(self, message: Mapping[str, Any], known: tuple[object, ...], chose: tuple[object, ...]) -> None:
        """Plan the rows that a page names, by the choice `chose` of that page.

        Front ends delay changes of a model while the kernel works, but not messages, so the page's last choice may arrive later.
        The choice `known` when the message arrived is therefore no newer choice.
        """
        rows = None if self._rows is None else self._rows.rows(message.get("rows"), message.get("version"))
        if rows is None:
            return self._complain(ANOTHER_TABLE)
        self._chose = chose
        form = chose[_CHOOSING.index("form")]
        self._make(rows, form if isinstance(form, Mapping) else {}, message.get("page"))
        if self._choice_now() != known:  # it changed during planning
            self._chosen_otherwise(chose)
        return None

    def _make(
        self, rows: np.ndarray[Any, Any] | None = None, form: Mapping[str, Any] | None = None, page: object = None
    ) -> None:
        """Plan the named rows, or all."""
        assert self._rows is not None
        chosen = self._rows.frame if rows is None else self._rows.frame[rows]
        chosen.attrs = dict(self._rows.frame.attrs)
        said = form or {}

        def planned() -> Plan:
            plan = self._plan_of(chosen, said)
            self._chosen, self._planned_lines = chosen, ()
            return plan

        self._runner.make(planned, said, page)
        if self._chosen is chosen:  # the runner may have refused to plan
            self._planned_lines = self._lines_for(chosen)

    def _send_found(self, message: Mapping[str, Any]) -> None:
        """Send the long texts of rows, or which rows match a search."""
        table = self._rows  # another thread may replace them
        answer = None if table is None else table.answer(message)
        if answer is not None:
            self._live.send(answer)

    def _send_details(self, message: Mapping[str, Any]) -> None:
        """Send all details of one row."""
        table, row = self._rows, message.get("row")
        if table is None or message.get("version") != table.version or not isinstance(row, int):
            return
        if 0 <= row < len(table.frame):
            found = [block for block in self._details(row) if block is not None]
            if self._rows is table:  # else the details may be of another table
                self._live.send({"details": found, "row": row, "page": message.get("page")})

    def _complain(self, why: str) -> None:
        """Show a problem."""
        self._runner.complain(why)

    def _began(self, reason: str) -> None:
        """Clear the reason of the run that began, so that the next run needs its own; keep one typed later."""

        def without(view: Mapping[str, Any]) -> Mapping[str, Any]:
            form = view.get("form")
            if isinstance(form, Mapping) and str(form.get("reason") or "").strip() == reason:
                return {"form": {**form, "reason": ""}}
            return {}

        self._live.look_otherwise(without)

    def _changed(self, at_once: bool) -> None:
        """Refresh the display."""
        self._shown_at = self._ws.client.now()
        self._live.refresh(at_once=at_once)

    def _look(self) -> Shown:
        """Return the state to show."""
        runner = copy.copy(self._runner)
        facts, parts = self._standing()
        tabs = [*parts, *runner.tabs()]
        if self._code_shown and self._rows is not None:
            tabs.append(
                Tab(
                    "code",
                    "Code",
                    [document.heading("Code", "gives the same plan with the same keys"), document.code(self.code())],
                )
            )
        return Shown(
            title=self.TITLE,
            at=safe.as_of(self._shown_at, self._ws.settings.tz),
            present="" if runner.snapshot is None else present(runner.snapshot),
            attach="" if runner.run is None else f"ws.attach({runner.run.id!r})",
            stage="code" if self._code_shown and self._code_turned == runner.stage else runner.stage,
            facts=facts,
            tabs=tabs,
            selects=self._selects(),
            buttons=self._buttons(),
            options=self._options(),
            acts=self.ACTS,
            plan=runner.shown_plan,
            acting=runner.acting,
            busy=self._busy,
            problem=runner.problem,
            looks=looks_of_pages(self._looks()),
        )

    def _standing(self) -> tuple[Sequence[Block], Sequence[Tab]]:
        """Return facts and tabs of the rows, cached until the rows change: a run redraws twice a second."""
        rows, known = self._rows, self._still
        if known is None or known[0] is not rows:  # another thread may have replaced the rows
            known = self._still = rows, self._facts(), [Tab("rows", self.ROWS, self._copied()), *self._tabs()]
        return known[1], known[2]

    def _copied(self) -> Sequence[Block]:
        """Return the rows of the static copy."""
        return [document.line("reading …")] if self._rows is None else self._rows.copy()

    def _ipython_display_(self) -> None:
        self._live.show()

    def _display_(self) -> object:
        """Return what marimo shows."""
        self._live.begin()
        return self._live.widget

    def _repr_html_(self) -> str:
        return self._live.html()

    def __repr__(self) -> str:
        return "\n".join([self._say(), *self._runner.lines()])


def _only_reason(now: tuple[object, ...], before: tuple[object, ...]) -> bool:
    """Whether two choices differ in the reason at most, which a plan does not depend on."""

    def without(view: tuple[object, ...]) -> list[object]:
        typed = [_without_reason(part) if isinstance(part, Mapping) else part for part in view]
        return [part or None for part in typed]

    return without(now) == without(before)


def _without_reason(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filled fields of a form except the reason."""
    return {name: value for name, value in form.items() if name != "reason" and value}


def opening(ws: WorkspaceLike) -> list[str]:
    """Return the first lines of any code: the connection to the same place, without the key."""
    where = "sandbox=True" if ws.sandbox is not None else f"url={quoted(ws.client.url)}"
    # Without these settings the frame may lack columns that the filters use.
    where = ", ".join([where, *(f"{name}={quoted(value)}" for name, value in ws.settings.arguments().items())])
    note = "" if ws.sandbox is not None else "  # the key is taken from VOXBURST_API_KEY"
    return ["import voxops as vx", "", f"ws = vx.connect({where}){note}"]
