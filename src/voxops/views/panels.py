"""Interactive panels: triage and deliveries, each in one cell. Thin views over public functions; `code` prints the same as code.

A panel is two outputs: controls, which need the kernel, and beneath them the state as static HTML, which a saved notebook keeps.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import date
from functools import cached_property
from typing import Any

import pandas as pd

from voxops._core import safe
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.analysis.verdicts import NEEDED, triage
from voxops.errors import PlanError
from voxops.frames import targets
from voxops.frames.columns import need_columns
from voxops.model import IN_FLIGHT_STATUSES
from voxops.views import _panel_html as draw
from voxops.views._act import Act
from voxops.views._choice import Choice, changes_code, days_of, load_code, only_code, option_counts, quoted, rows_code
from voxops.views._panel_parts import Board, Desk, Rows, button, text
from voxops.views.monitor import _later, _publish

__all__ = ["DeliveryPanel", "TriagePanel", "delivery_panel", "triage_panel"]

_TARGET_KEY = ("post_id", "platform", "account_id")
_JUDGED = ("cause", "verdict", "remedy", "retryable")
_MOMENTS = ("updated_at", "published_at", "scheduled_for")
_WINDOWS = (("24 hours", "24h"), ("3 days", "3D"), ("7 days", "7D"), ("30 days", "30D"))


class _Panel(ABC):
    """What both panels are: controls, a board, and someone who does the work."""

    def __init__(self, ws: Any, make: Callable[[], Plan], again: Callable[[pd.DataFrame], Plan]) -> None:
        self._ws = ws
        self._board = Board(self._html, self._text, publish=_publish, later=_later)
        self._desk = Desk(self._complain)
        self._act = Act(ws, self._desk, make, again, self._board.refresh)
        self._code_button = button("Show the code", "code", "The same as code, for a cell of your own")
        self._code_button.on_click(lambda _: self._toggle_code())
        self._code_shown = False

    @property
    def plan(self) -> Plan | None:
        """The plan shown; None before there is one."""
        return self._act.plan

    @property
    def run(self) -> Any:
        """The run shown; None before there is one."""
        return self._act.run

    def _complain(self, why: str) -> None:
        """Show why something could not be done."""
        self._act.complain(why)

    def _toggle_code(self) -> None:
        """Show the code, or hide it."""
        self._code_shown = not self._code_shown
        self._code_button.description = "Hide the code" if self._code_shown else "Show the code"
        self._board.refresh()

    @abstractmethod
    def code(self) -> str:
        """Return the code that gives the same plan with the same keys."""

    @abstractmethod
    def _controls(self) -> Any:
        """Return the widget of the controls."""

    @abstractmethod
    def _parts(self) -> list[str]:
        """Return the pieces of HTML that belong to this panel alone."""

    @abstractmethod
    def _title(self) -> str:
        """Return what the panel is about, in a line."""

    def _loaded(self) -> bool:
        """Whether there is anything to choose from yet."""
        return True

    def _html(self) -> str:
        """Return the board."""
        parts = [*self._parts(), *self._act.html()]
        if self._code_shown and self._loaded():
            parts += [draw.heading("Code", "gives the same plan with the same keys"), draw.code_block(self.code())]
        return draw.board(parts)

    def _text(self) -> str:
        """Return the board as text."""
        return "\n".join([self._title(), *self._act.lines()])

    def _ipython_display_(self) -> None:
        """Show controls and board here."""
        hint = "The controls of this panel need the kernel that ran it; its last state is below."
        fallback = {"text/html": f'<div style="opacity:.6">{hint}</div>', "text/plain": hint}
        _publish({**self._controls()._repr_mimebundle_(), **fallback}, f"{id(self)}-controls", False)
        self._board.show()

    def _repr_html_(self) -> str:
        return self._html()

    def __repr__(self) -> str:
        return self._text()


class TriagePanel(_Panel):
    """Filter failures, plan, run and compare; made by `triage_panel`.

    Attributes
    ----------
    plan : Plan or None
        The plan shown.
    run : Run or None
        The run shown.
    """

    _FACETS: Mapping[str, str] = {
        "cause": "Cause",
        "verdict": "Verdict",
        "platform": "Platform",
        "account_id": "Account",
    }
    _COLUMNS = ("platform", "account_name", "verdict", "error_code", "content", "updated_at")
    _WIDTHS = tuple(f"minmax(0,{share}fr)" for share in (84, 120, 150, 150, 190, 104))

    def __init__(self, ws: Any, frame: pd.DataFrame) -> None:
        import ipywidgets as widgets

        super().__init__(ws, self._make, plan_retry)
        self._given = "..." if "cause" in frame.columns else "vx.triage(...)"
        if "targets" in frame.columns:
            self._given = "vx.triage(vx.targets(...))"
        triaged = frame if "cause" in frame.columns else triage(targets(frame) if "targets" in frame.columns else frame)
        need_columns(
            triaged, (*_TARGET_KEY, "cause", "verdict", "status", "updated_at"), "pass what vx.triage(frame) returns"
        )
        self._attrs, self._triaged = triaged.attrs, triaged
        self._failed = triaged[triaged["cause"].notna()]
        self._keys = pd.Series(
            ["\x1f".join(map(str, key)) for key in self._failed[list(_TARGET_KEY)].itertuples(index=False)],
            index=self._failed.index,
            dtype=object,
        )
        self._shown = self._failed
        named = self._failed.get("account_name", self._failed["account_id"])
        whose = zip(self._failed["account_id"], self._failed["platform"], named, strict=True)
        names = {str(key): safe.plain(f"{platform}: {name}", 40) for key, platform, name in whose}
        self._lists = {
            column: widgets.SelectMultiple(
                options=[
                    (safe.plain(label, 60), value)
                    for label, value in option_counts(self._failed[column], names if column == "account_id" else None)
                ],
                rows=5,
                layout={"width": "100%"},
            )
            for column in self._FACETS
        }
        days = days_of(self._failed["updated_at"])
        self._days = widgets.SelectionRangeSlider(
            options=[(f"{day:%d %b}", day) for day in days] or [("–", date.min)], index=(0, max(0, len(days) - 1)), description="Failed on", style={"description_width": "initial"}, disabled=len(days) < 2,
            layout={"width": "480px"}, continuous_update=False,
        )  # fmt: skip
        self._all_days = (days[0], days[-1]) if days else None
        self._reset = button("All", "filter", "Take all filters off")
        self._rows = Rows(
            draw.row_cells([name.replace("_", " ") for name in self._COLUMNS], self._WIDTHS, [""] * len(self._COLUMNS)),
            self._act.forget,
        )
        for facet in (*self._lists.values(), self._days):
            facet.observe(lambda _: self._desk.later(self._filter), names="value")
        self._reset.on_click(lambda _: self._desk.later(self._take_off))
        self._filter()

    def _choice(self) -> Choice:
        """Return the filters as they stand."""
        values = {column: tuple(facet.value) for column, facet in self._lists.items()}
        days = None if self._days.disabled or self._days.value == self._all_days else self._days.value
        return Choice(values, "updated_at", days)

    def _filter(self) -> None:
        """Show the rows that the filters leave."""
        self._shown = self._failed[self._choice().mask(self._failed)]
        rows = self._shown.reindex(columns=list(self._COLUMNS)).to_dict("records")
        cells = [
            draw.row_cells([_short(row[name]) for name in self._COLUMNS], self._WIDTHS, self._COLUMNS) for row in rows
        ]
        self._rows.fill(self._keys[self._shown.index], cells)
        self._act.forget()

    def _take_off(self) -> None:
        """Take all filters off."""
        for facet in self._lists.values():
            facet.value = ()
        if not self._days.disabled:
            self._days.value = self._all_days

    def _chosen(self) -> pd.DataFrame:
        """Return the rows that are ticked, among those the filters leave."""
        chosen = self._shown[self._keys[self._shown.index].isin(self._rows.chosen)]
        chosen.attrs = dict(self._attrs)
        return chosen

    def _make(self) -> Plan:
        """Plan to retry what is chosen."""
        return plan_retry(self._chosen())

    def code(self) -> str:
        """Return the code that gives the same plan with the same keys, in any kernel.

        Returns
        -------
        str
            Python. Its first lines connect and load the frame as it was loaded, and say again what was changed in it by hand;
            of a frame that was filtered, the rows chosen are named. A frame that was put together by hand can't be loaded: the
            code has ``...`` in its place.
        """
        call = self._load_call()
        if call is None:
            start, chosen = [f"triaged = {self._given}  # the frame that the panel was given"], self._filter_code()
        else:
            start = [f"triaged = vx.triage(vx.targets({call}))", *self._changes]
            chosen = (
                self._filter_code() if self._is_whole else only_code("chosen", "triaged", _TARGET_KEY, self._chosen())
            )
        return "\n".join([*_opening(self._ws), *start, *chosen, *self._act.code("plan_retry", "chosen")]) + "\n"

    def _load_call(self) -> str | None:
        """Return the call that loads the frame again; None if there is none."""
        if not set(NEEDED) <= set(self._triaged.columns):
            return None
        latest = self._failed[[name for name in _MOMENTS if name in self._failed.columns]].max().max()
        return load_code(_said(self._attrs), "posts", latest)

    def _filter_code(self) -> list[str]:
        """Return the lines that choose the same rows as filters and ticks, of a frame that is the same."""
        chosen = self._chosen()
        return [
            'chosen = triaged[triaged["cause"].notna()]',
            *self._choice().code("chosen"),
            *rows_code("chosen", _TARGET_KEY, chosen, self._shown.drop(chosen.index)),
        ]

    @cached_property
    def _changes(self) -> list[str]:
        """The lines that say again what the rules of the table would not: rules of the analyst's own, cells set by hand."""
        given = self._triaged if self._is_whole else self._failed
        columns = [name for name in _JUDGED if name in given.columns]
        derived = triage(given.drop(columns=columns))[columns]
        if "attempt" not in given.columns:
            return changes_code("triaged", _TARGET_KEY, given, derived)
        given, derived = given.assign(attempt=given["attempt"].fillna(1)), derived.assign(attempt=1)
        return ['triaged["attempt"] = 1', *changes_code("triaged", _TARGET_KEY, given, derived)]

    @cached_property
    def _is_whole(self) -> bool:
        """Whether loading it again gives the rows of the frame and no others that failed: pandas keeps attrs in a selection."""
        attrs, rows = self._attrs, self._triaged
        if attrs.get("complete") is not True or attrs.get("rows") != rows["post_id"].nunique():
            return False
        opened = sum(map(sum, json.loads(attrs.get("open_targets") or "{}").values()))
        return bool(opened == rows["status"].isin({"failed", *IN_FLIGHT_STATUSES}).sum())

    def _title(self) -> str:
        """Return what the panel is about."""
        read = self._attrs.get("fetched_at")
        when = f", read {safe.instant(pd.Timestamp(read).to_pydatetime())}" if read else ""
        return f"{len(self._shown):,} of {len(self._failed):,} failed targets shown, {len(self._rows.chosen):,} chosen{when}"

    def _parts(self) -> list[str]:
        """Return facts and causes."""
        return [
            draw.heading("Failures", self._title()),
            draw.triage_facts(self._shown),
            draw.cause_table(self._shown, len(self._failed)),
        ]

    def _controls(self) -> Any:
        """Return filters, rows and buttons."""
        import ipywidgets as widgets

        boxes = [
            widgets.VBox(
                [text(f"<b>{title}</b>"), self._lists[column]],
                layout={
                    "flex": "2 1 150px" if column == "cause" else "1 1 150px",
                    "min_width": "140px",
                    "padding": "0 10px 0 0",
                },
            )
            for column, title in self._FACETS.items()
        ]
        facets = widgets.HBox(boxes, layout={"flex_flow": "row wrap", "width": "100%"})
        when = widgets.HBox(
            [self._days, self._reset, self._code_button], layout={"flex_flow": "row wrap", "align_items": "center"}
        )
        return widgets.VBox(
            [text("<b style='font-size:15px'>Triage</b>"), facets, when, self._rows.root, self._act.root],
            layout={"width": "100%", "max_width": "900px"},
        )


class DeliveryPanel(_Panel):
    """Look at webhook deliveries and send failed ones again; made by `delivery_panel`.

    Attributes
    ----------
    plan : Plan or None
        The plan shown.
    run : Run or None
        The run shown.
    """

    _COLUMNS = ("success", "event_type", "status_code", "url", "error", "created_at")
    _WIDTHS = tuple(f"minmax(0,{share}fr)" for share in (104, 126, 50, 230, 160, 104))

    def __init__(self, ws: Any) -> None:
        import ipywidgets as widgets

        super().__init__(ws, self._make, plan_redeliver)
        self._log: pd.DataFrame | None = None
        self._shown = pd.DataFrame()
        self._details = ""
        self._webhook = widgets.Dropdown(
            options=[("all webhooks", "")], description="Webhook", layout={"width": "360px"}
        )
        self._window = widgets.Dropdown(options=_WINDOWS, value="7D", description="Window", layout={"width": "200px"})
        self._event = widgets.Dropdown(options=[("all events", "")], description="Event", layout={"width": "260px"})
        self._which = widgets.ToggleButtons(
            options=["failed", "all"], value="failed", style={"button_width": "70px"}, layout={"width": "auto"}
        )
        self._load_button = button("Load again", "refresh", "Read the delivery history again")
        self._force = widgets.Checkbox(
            value=False, indent=False, description="also delivered and young ones", layout={"width": "auto"}
        )
        self._rows = Rows(
            draw.row_cells(
                ["result", "event", "HTTP", "endpoint", "error", "created"], self._WIDTHS, [""] * len(self._COLUMNS)
            ),
            self._act.forget,
            self._open,
        )
        self._wire()

    def _wire(self) -> None:
        """Let each control hand its work over, and start to load."""
        self._load_button.on_click(lambda _: self._desk.hand_over(self.load))
        for control in (self._webhook, self._window):
            control.observe(lambda _: self._desk.hand_over(self.load), names="value")
        for control in (self._event, self._which):
            control.observe(lambda _: self._desk.later(self._filter), names="value")
        self._force.observe(lambda _: self._act.forget(), names="value")
        self._desk.hand_over(self._begin)

    async def _begin(self) -> None:
        """Read the webhooks, then the deliveries."""
        hooks = await self._ws.aio.webhooks()
        names = [(safe.plain(f"{row['url']}", 60), str(row["webhook_id"])) for row in hooks.to_dict("records")]
        self._webhook.options = [("all webhooks", ""), *names]
        await self.load()

    def _loaded(self) -> bool:
        """Whether the deliveries have been read."""
        return self._log is not None

    async def load(self) -> None:
        """Read the deliveries of the webhook and window chosen."""
        log = await self._ws.aio.deliveries(webhook=self._webhook.value or None, since=self._window.value)
        self._shown, self._details = log.head(0), ""
        self._log = log
        wanted = self._event.value
        options = [
            ("all events", ""),
            *((safe.plain(label, 60), value) for label, value in option_counts(log["event_type"])),
        ]
        self._event.options = options
        self._event.value = wanted if wanted in {value for _, value in options} else ""
        self._filter()

    def _filter(self) -> None:
        """Show the deliveries that the filters leave."""
        if self._log is None:
            return
        log = self._of_event()
        self._shown = log[log["success"].eq(False).fillna(False).astype(bool)] if self._which.value == "failed" else log
        rows = self._shown.reindex(columns=list(self._COLUMNS)).to_dict("records")
        cells = [
            draw.row_cells(
                [
                    _RESULT.get(row["success"], "pending") if name == "success" else _short(row[name])
                    for name in self._COLUMNS
                ],
                self._WIDTHS,
                self._COLUMNS,
            )
            for row in rows
        ]
        self._rows.fill(self._shown["delivery_id"].astype(str), cells)
        self._act.forget()

    def _of_event(self) -> pd.DataFrame:
        """Return the deliveries of the event chosen."""
        assert self._log is not None
        return self._log[Choice({"event_type": (self._event.value,) if self._event.value else ()}).mask(self._log)]

    def _open(self, delivery: str) -> None:
        """Show one delivery in full."""
        row = self._shown[self._shown["delivery_id"] == delivery].iloc[0].to_dict()
        self._details = draw.delivery_details({str(name): value for name, value in row.items()})
        self._board.refresh()

    def _chosen(self) -> pd.DataFrame:
        """Return the deliveries that are ticked."""
        if self._log is None:
            raise PlanError("the deliveries are not loaded yet; wait a moment, or press Load again")
        chosen = self._shown[self._shown["delivery_id"].isin(self._rows.chosen)]
        chosen.attrs = dict(self._log.attrs)
        return chosen

    def _make(self) -> Plan:
        """Plan to send again what is chosen."""
        return plan_redeliver(self._chosen(), force=bool(self._force.value))

    def code(self) -> str:
        """Return the code that gives the same plan with the same keys, in any kernel."""
        chosen = self._chosen()
        latest = chosen["created_at"].max() if len(chosen) else None
        lines = [*_opening(self._ws), f"log = {load_code(_said(chosen.attrs), 'deliveries', latest)}", "chosen = log"]
        if self._event.value:
            lines += Choice({"event_type": (self._event.value,)}).code("chosen")
        if self._which.value == "failed":
            lines.append('chosen = chosen[chosen["success"].eq(False).fillna(False).astype(bool)]')
        lines += rows_code("chosen", ("delivery_id",), chosen, self._shown.drop(chosen.index))
        return (
            "\n".join(
                [*lines, *self._act.code("plan_redeliver", "chosen, force=True" if self._force.value else "chosen")]
            )
            + "\n"
        )

    def _title(self) -> str:
        """Return what the panel is about."""
        if self._log is None:
            return "reading the deliveries …"
        return f"{len(self._of_event()):,} deliveries, {len(self._shown):,} listed, {len(self._rows.chosen):,} chosen"

    def _parts(self) -> list[str]:
        """Return facts, the series and the failures."""
        if self._log is None:
            return [draw.heading("Deliveries", self._title())]
        log = self._of_event()
        span = "hour" if self._window.value in {"24h", "3D"} else "day"
        parts = [
            draw.heading("Deliveries", self._title()),
            draw.delivery_facts(log),
            draw.delivery_series(log, span),
            draw.status_table(log),
        ]
        return [*parts, self._details] if self._details else parts

    def _controls(self) -> Any:
        """Return choices, rows and buttons."""
        import ipywidgets as widgets

        row = {"flex_flow": "row wrap", "align_items": "center"}
        first = widgets.HBox([self._webhook, self._window, self._event], layout=row)
        second = widgets.HBox([self._which, self._force, self._load_button, self._code_button], layout=row)
        return widgets.VBox(
            [text("<b style='font-size:15px'>Webhook deliveries</b>"), first, second, self._rows.root, self._act.root],
            layout={"width": "100%", "max_width": "900px"},
        )


_RESULT: Mapping[Any, str] = {True: "succeeded", False: "failed"}


def triage_panel(ws: Any, frame: pd.DataFrame) -> TriagePanel:
    """Show a panel to filter failures, plan a retry, run it and compare, in one cell.

    Nothing is sent before a person presses *Run the plan*, which needs a plan and a reason.

    Parameters
    ----------
    ws : Workspace
        Where plans are run.
    frame : pandas.DataFrame
        From ``vx.triage``; posts and targets are triaged here.

    Returns
    -------
    TriagePanel
        ``panel.code()`` is the same as code; ``panel.plan`` and ``panel.run`` are what it shows.

    Raises
    ------
    PlanError
        If columns are missing.
    """
    return TriagePanel(ws, frame)


def delivery_panel(ws: Any) -> DeliveryPanel:
    """Show a panel of the webhook deliveries: success and latency over time, failures, details, and redelivery.

    Parameters
    ----------
    ws : Workspace
        Whose deliveries; they are read in the background.

    Returns
    -------
    DeliveryPanel
        ``panel.code()`` is the same as code; ``panel.plan`` and ``panel.run`` are what it shows.
    """
    return DeliveryPanel(ws)


def _opening(ws: Any) -> list[str]:
    """Return the first lines of any code: how to connect to the same place, without the key."""
    where = "sandbox=True" if ws.sandbox is not None else f"url={quoted(ws.client.url)}"
    note = "" if ws.sandbox is not None else "  # the key is taken from VOXBURST_API_KEY"
    return ["import voxops as vx", "", f"ws = vx.connect({where}){note}"]


def _said(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what a frame says of itself."""
    return {str(name): value for name, value in attrs.items()}


def _short(value: Any) -> Any:
    """Return a time as day and minute, anything else as it is."""
    return f"{value:%d %b %H:%M}" if isinstance(value, pd.Timestamp) else value
