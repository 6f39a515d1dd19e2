"""The panel of a workspace: failures, deliveries or runs are filtered, ticked, planned and run by clicking.

The kernel filters with pandas and keeps filters and ticks, so "all that match" is a fact of the kernel and survives a reload. The page
draws at most a thousand rows and ticks them by id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import pandas as pd
import traitlets
from ipywidgets import HTML, Button, Checkbox, DatePicker, HBox, Layout, SelectMultiple, Text, VBox

from voxops._support import eventloop, safe
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.analysis.statistics import delivery_state
from voxops.analysis.triage import triage
from voxops.errors import PlanError
from voxops.frames.checks import kind_name, need, restored
from voxops.frames.records import TARGET_KEY, latest_targets, targets
from voxops.frames.registry import column_of, is_deliveries, kind_of
from voxops.frames.times import shown_zone
from voxops.views.monitor import Live, Plans, awake, in_thread
from voxops.views.pages import draw
from voxops.views.table import Table, redacted, table_of

if TYPE_CHECKING:
    from voxops.acts.plan import Plan
    from voxops.views._protocols import RunLike

__all__ = ["MOST", "Panel", "Rows"]

MOST = 1000  # rows sent to the page
COPIED = 20  # rows of the static copy
_VALUES = 200  # values of a facet
_TYPING = 0.15  # seconds that a search waits for the next key
_TAKES = (
    "ws.panel() takes a triaged frame, vx.triage(posts), or posts or targets, which it triages; deliveries, "
    "ws.deliveries(...); or nothing, for the runs"
)


@dataclass(frozen=True)
class Subject:
    """What a panel is about: which columns name, filter, search and show its rows, and what plans them."""

    title: str
    plural: str
    key: tuple[str, ...]
    time: str
    facets: tuple[str, ...]
    search: tuple[str, ...]
    columns: tuple[str, ...]
    plan: Callable[..., Plan] | None = None


FAILURES = Subject(
    "failure", "failures", TARGET_KEY, "updated_at",
    ("verdict", "cause", "platform", "account_id", "owner", "campaign"),
    ("content", "cause", "error_message", "post_id"),
    ("last_outcome", "verdict", "cause", "error_message", "content", "account", "owner", "updated_at", "post_id"),
    plan_retry,
)  # fmt: skip
DELIVERIES = Subject(
    "delivery", "deliveries", ("delivery_id",), "created_at",
    ("outcome", "event_type", "status_code", "url"),
    ("receiver", "error", "response_body", "delivery_id"),
    ("last_outcome", "outcome", "event_type", "status_code", "error", "receiver", "created_at", "delivery_id"),
    plan_redeliver,
)  # fmt: skip
RUNS = Subject(
    "run", "runs", ("run",), "created_at",
    ("action", "state", "who"),
    ("run", "reason", "campaign", "note"),
    ("run", "action", "state", "succeeded", "failed", "pending", "unknown", "blocked", "reason", "who", "created_at"),
)  # fmt: skip


class Rows(anywidget.AnyWidget):
    """A table whose rows are ticked by id; only the kernel writes its traits, pages send messages.

    Attributes
    ----------
    heads : list of dict
        ``name title meaning shape`` of each column.
    table : dict
        ``ids``, and ``cells`` with the text, the colour and the hint of each cell of each row.
    ticked : list of str
        The ids of the ticked rows.
    sort : list
        Name of the column by which the kernel has sorted, and whether it is ascending.
    """

    _esm = Path(__file__).with_name("rows.js")
    _css = Path(__file__).with_name("rows.css")
    heads: Any = traitlets.List().tag(sync=True)
    table: Any = traitlets.Dict({"ids": [], "cells": []}).tag(sync=True)
    ticked: Any = traitlets.List().tag(sync=True)
    sort: Any = traitlets.List(["", True]).tag(sync=True)


class Facet:
    """The values of one column, with how many matching rows have each; chosen ones filter."""

    def __init__(self, title: str, values: pd.Series[Any], labels: Mapping[str, str]) -> None:
        codes, known = pd.factorize(values.astype("string").fillna(""))
        order = np.argsort(-np.bincount(codes, minlength=len(known)), kind="stable")
        self._codes = np.argsort(order)[codes] if len(codes) else codes
        self._labels = [safe.plain(labels.get(known[at], known[at]), 60) or "–" for at in order[:_VALUES]]
        rarer = len(known) - len(self._labels)
        said = f"{title}, {len(self._labels)} commonest of {len(known):,}" if rarer > 0 else title
        self.widget = awake(
            SelectMultiple(
                options=[(label, at) for at, label in enumerate(self._labels)],
                description=said,
                rows=min(max(len(self._labels), 2), 7),
                layout=Layout(flex_flow="column", flex="1 1 170px", max_width="280px", width="auto", height="auto"),
            )
        )

    def mask(self) -> np.ndarray[Any, Any]:
        """Return which rows have a chosen value (bool); all if none is chosen."""
        return np.isin(self._codes, self.widget.value) if self.widget.value else np.ones(len(self._codes), bool)

    def choose(self, value: str) -> None:
        """Choose one value, if it is there."""
        self.widget.value = tuple(at for at, label in enumerate(self._labels) if label == value)

    def count(self, left: np.ndarray[Any, Any]) -> None:
        """Show how many of these rows have each value; a change of `options` would forget what is chosen."""
        counts = np.bincount(self._codes[left], minlength=len(self._labels))
        labels = (f"{label} ({counts[at]:,})" for at, label in enumerate(self._labels))
        self.widget.set_trait("_options_labels", tuple(labels))


class Panel:
    """A panel: returned by ``ws.panel``, shown as the last expression of a cell.

    Attributes
    ----------
    plan : Plan or None
        The newest plan that is shown.
    run : Run or None
        The newest run that is shown.
    frame : pandas.DataFrame
        The rows that match the filters, as they were passed.
    ticked : pandas.DataFrame
        The ticked rows, also those that the filters hide.
    """

    def __init__(self, workspace: Any, frame: pd.DataFrame | None = None) -> None:
        self._workspace = workspace
        self._subject, self._frame = _read(workspace, frame)
        self._tz, self._line, self._problem = shown_zone(self._frame), "", ""
        self._ids = _ids(self._frame, self._subject.key)
        self._ticked: dict[str, None] = {}
        self._left = np.ones(len(self._frame), bool)
        self._timer = threading.Timer(0, self._filter)
        self._shown, self._labels = _shown(self._subject, self._frame)
        self._live = Live(self._build, self.__repr__)
        self._filter()

    def _build(self, changed: Callable[[bool], None]) -> Panel:
        """Make the widgets."""
        self._changed, subject, shown = changed, self._subject, self._shown
        kind, wide = kind_of(self._frame), Layout(flex_flow="row wrap")
        self._facets = [
            Facet(column_of(name, shown[name], kind).title.removesuffix(" id"), shown[name], self._labels.get(name, {}))
            for name in subject.facets
            if name in shown and shown[name].notna().any()
        ]
        if subject is DELIVERIES and len(self._frame):
            self._facets[0].choose("failed")  # one comes for them
        self._search = awake(Text(description="Search", placeholder="all of these words", layout=Layout(width="320px")))
        self._days = [
            awake(DatePicker(description=name, layout=Layout(width="220px"))) for name in ("From day", "To day")
        ]
        for widget in self._filters:
            widget.observe(self._chosen, names="value")
        self._status, self._rows = awake(HTML()), awake(Rows())
        self._rows.on_msg(self._heard)
        self._force = awake(Checkbox(description="also rejected, delivered, or under an hour old", indent=False))
        self._force.layout.width = "auto"
        works: Mapping[str, Callable[[], object]] = {
            "all": lambda: in_thread(lambda: self._plan(self._left), self._failed),
            "ticked": lambda: in_thread(lambda: self._plan(self._ids.isin(list(self._ticked))), self._failed),
            "Untick all": self._untick,
            "Show all rows": self._show_all,
        }
        self.buttons = {}
        for name, work in works.items():
            self.buttons[name] = awake(Button(description=name, layout=Layout(width="auto")))
            self.buttons[name].on_click(lambda _, work=work: work())
        actions = [button for name, button in self.buttons.items() if subject.plan or name != "all"]
        actions += [self._force] if subject is DELIVERIES else []
        self.plans = Plans(self._workspace, changed, self._ran)
        facets = awake(HBox([facet.widget for facet in self._facets], layout=wide))
        facets.add_class("vx-facets")
        filters, bar = (awake(HBox(row, layout=wide)) for row in ([self._search, *self._days], actions))
        self.widget = awake(VBox([facets, filters, self._status, self._rows, bar, self.plans.widget]))
        return self

    @property
    def plan(self) -> Plan | None:
        """The newest plan that is shown."""
        return self.plans.boxes[-1].plan if self.plans.boxes else None

    @property
    def run(self) -> RunLike | None:
        """The newest run that is shown."""
        return next((box.run for box in reversed(self.plans.boxes) if box.run), None)

    @property
    def frame(self) -> pd.DataFrame:
        """The rows that match the filters."""
        return self._frame[self._left]

    @property
    def ticked(self) -> pd.DataFrame:
        """The ticked rows."""
        return self._frame[self._ids.isin(list(self._ticked))]

    @property
    def _filters(self) -> list[Any]:
        return [*(facet.widget for facet in self._facets), self._search, *self._days]

    # Filters and ticks.

    def _chosen(self, change: Any) -> None:
        self._later(_TYPING if change["owner"] is self._search else 0)

    def _later(self, seconds: float) -> None:
        """Filter soon, beside the kernel; only the newest choice counts."""
        self._timer.cancel()
        self._timer = threading.Timer(seconds, self._filter)
        self._timer.daemon = True
        self._timer.start()

    def _show_all(self) -> None:
        for widget in self._filters:
            widget.value = () if isinstance(widget, SelectMultiple) else "" if widget is self._search else None

    def _filter(self) -> None:
        """Show the rows that match; each facet counts what the others leave."""
        with self._live.turn:
            masks = [facet.mask() for facet in self._facets]
            others = self._days_mask() & self._search_mask()
            self._left = np.logical_and.reduce([others, *masks])
            for at, facet in enumerate(self._facets):
                facet.count(np.logical_and.reduce([others, *masks[:at], *masks[at + 1 :]]))
            self._show_rows()

    def _days_mask(self) -> np.ndarray[Any, Any]:
        """Return which rows are within the days, of the zone shown (bool)."""
        first, last = (picker.value for picker in self._days)
        if not first and not last:
            return np.ones(len(self._frame), bool)
        days: pd.Series[Any] = (
            self._frame[self._subject.time].dt.tz_convert(self._tz).dt.tz_localize(None).dt.normalize()
        )
        return np.asarray(days.between(pd.Timestamp(first or "1970"), pd.Timestamp(last or "2200")), bool)

    def _search_mask(self) -> np.ndarray[Any, Any]:
        """Return which rows have all words in what is shown of their texts (bool)."""
        words = self._search.value.lower().split()
        return np.array([all(word in text for word in words) for text in self._texts], bool)

    @cached_property
    def _texts(self) -> list[str]:
        """The searched texts of each row as they are shown, in lower case."""
        parts = [self._shown[name].astype("string").fillna("") for name in self._subject.search if name in self._shown]
        return [" ".join(row).lower() for row in zip(*parts, strict=True)]

    def _show_rows(self) -> None:
        """Send the first of the matching rows, sorted by their values."""
        shown, (sorted_by, up) = self._shown, self._rows.sort
        names = [name for name in self._subject.columns if name in shown and shown[name].notna().any()]
        order = np.flatnonzero(self._left)
        if sorted_by in names:
            values = shown[sorted_by].iloc[order].reset_index(drop=True)
            order = order[values.sort_values(ascending=up, kind="stable").index]
        table = table_of(shown.iloc[order[:MOST]], names, tz=self._tz)
        plain = cache(lambda text: safe.plain(text, 400))
        cells = [
            [[plain(cell.text), cell.colour, plain(cell.title) if "…" in cell.text else ""] for cell in row]
            for row in table.rows
        ]
        with self._rows.hold_sync():
            self._rows.heads = [
                {"name": name, **head._asdict()} for name, head in zip(names, table.columns, strict=True)
            ]
            self._rows.table = {"ids": list(self._ids[order[:MOST]]), "cells": cells}
        self._copied = Table(table.columns, table.rows[:COPIED])
        self._say()

    def _heard(self, _: object, message: Mapping[str, Any], __: object) -> None:
        """Tick a row, or sort by a column, as a page asks."""
        with self._live.turn:
            match message:
                case {"tick": str(name), "on": bool(on)} if name in self._ids:
                    self._ticked.pop(name, None)
                    self._ticked |= {name: None} if on else {}
                    self._rows.ticked = list(self._ticked)
                    self._say()
                case {"sort": str(name)}:
                    by, up = self._rows.sort
                    self._rows.sort = [name, by != name or not up]
                    self._later(0)

    def _untick(self) -> None:
        with self._live.turn:
            self._ticked.clear()
            self._rows.ticked = []
            self._say()

    def _say(self) -> None:
        """Say how many rows match and are ticked, also on the buttons that plan them."""
        matching, ticked, buttons = int(self._left.sum()), len(self._ticked), self.buttons
        hidden = ticked - int(self._ids[self._left].isin(list(self._ticked)).sum())
        parts = (
            f"{matching:,} of {safe.many(len(self._frame), self._subject.title, self._subject.plural)} match",
            f"the first {MOST:,} are shown" if matching > MOST else "",
            f"{ticked:,} ticked" if ticked else "",
            f"{hidden:,} of the ticked rows do not match" if hidden else "",
            f"times in {self._tz}",
        )
        self._line = " · ".join(filter(None, parts))
        self._status.value = self._html(None)
        buttons["all"].description = f"Plan all {matching:,} that match"
        buttons["ticked"].description = f"{'Plan' if self._subject.plan else 'Open'} the {ticked:,} ticked"
        buttons["all"].disabled, buttons["ticked"].disabled = not matching, not ticked
        self._changed(False)

    # Plans and runs.

    def _plan(self, rows: np.ndarray[Any, Any]) -> None:
        """Plan these rows and show the plan, or open these runs."""
        self._problem, chosen = "", self._frame[rows]
        if self._subject.plan is None:
            for run in chosen["run"]:
                self.plans.follow(eventloop.run(self._workspace.aio.attach(run)))
        else:
            more = {"force": self._force.value} if self._subject is DELIVERIES else {}
            self.plans.add(self._subject.plan(chosen, **more))
        self._say()

    def _ran(self, run: RunLike) -> None:
        """Show beside the rows what a run has made of them."""
        results = run.results()
        with self._live.turn:
            if {*self._subject.key} <= {*results.columns}:
                new = dict(zip(_ids(results, self._subject.key), results["outcome"], strict=True))
                old = self._shown.get("last_outcome", pd.Series(pd.NA, self._shown.index, dtype="string"))
                self._shown["last_outcome"] = old.where(~self._ids.isin(list(new)), self._ids.map(new))
            self._show_rows()

    def _failed(self, why: str) -> None:
        self._problem = why
        self._say()

    # Display.

    def draw(self) -> str:
        """Return what is shown as HTML; the widgets of the panel itself are up to date."""
        return self._html(self._copied, self.plans.draw())

    def _html(self, table: Table | None, plans: str = "") -> str:
        return draw("panel.html", line=self._line, problem=self._problem, table=table, plans=plans)

    def _ipython_display_(self) -> None:
        self._live.show()

    def _repr_html_(self) -> str:
        return self._live.html()

    def __repr__(self) -> str:
        return "\n".join([self._line, *(repr(box.run or box.plan) for box in self.plans.boxes)])


def _ids(frame: pd.DataFrame, key: Sequence[str]) -> pd.Index[Any]:
    """Return the id of each row, by which it is ticked."""
    parts = (frame[name].astype("string").fillna("") for name in key)
    return pd.Index(["|".join(row) for row in zip(*parts, strict=True)], dtype=object)


def _read(workspace: Any, frame: pd.DataFrame | None) -> tuple[Subject, pd.DataFrame]:
    """Return what a frame is about, and its rows, each once."""
    if frame is None:
        return RUNS, workspace.runs().reset_index()
    if not isinstance(frame, pd.DataFrame):
        raise PlanError(f"{_TAKES}, not {kind_name(frame)}")
    if is_deliveries(frame):
        needed = ("webhook_id", "success", "created_at", *DELIVERIES.facets[1:], *DELIVERIES.search[1:])
        log = need(
            restored(frame), needed, "ws.panel() needs deliveries", "Use ws.deliveries(...).", times=["created_at"]
        )
        return DELIVERIES, log.drop_duplicates("delivery_id", keep="last").reset_index(drop=True)
    if "post_id" not in frame.columns:
        raise PlanError(f"{_TAKES}; this frame has none of their columns: {', '.join(map(str, frame.columns))[:400]}")
    frame = restored(frame)
    rows = frame if "cause" in frame.columns else triage(targets(frame) if "targets" in frame.columns else frame)
    needed = (*TARGET_KEY, "verdict", "cause", "updated_at")
    rows = need(rows, needed, "ws.panel() needs a triaged frame", "Use vx.triage(posts).", times=["updated_at"])
    rows = latest_targets(rows)
    return FAILURES, rows[rows["cause"].notna()].reset_index(drop=True)


def _shown(subject: Subject, frame: pd.DataFrame) -> tuple[pd.DataFrame, Mapping[str, Mapping[str, str]]]:
    """Return the rows as they are shown and searched, and the labels of values that a facet shows otherwise."""
    if subject is DELIVERIES:
        labels = safe.address_labels(frame["url"].dropna().unique())
        shown = redacted(frame, ["error", "response_body"])
        outcomes = delivery_state(frame).replace("in flight", "pending")
        return shown.assign(outcome=outcomes, receiver=frame["url"].map(labels)), {"url": labels}
    if subject is FAILURES:
        each = frame.drop_duplicates("account_id").dropna(subset="account_id")
        names = each.get("account_name", each["account_id"]).fillna(each["account_id"])
        columns = (each["account_id"], names, each["platform"])
        labels = safe.told_apart({key: f"{name} ({place})" for key, name, place in zip(*columns, strict=True)})
        return frame.assign(account=frame["account_id"].map(labels)), {"account_id": labels}
    return frame, {}
