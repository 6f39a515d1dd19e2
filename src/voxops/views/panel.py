"""The panel of a workspace: failures, deliveries or runs are filtered, ticked, planned and run by clicking.

The kernel filters with pandas and keeps filters and ticks, so "all that match" is a fact of the kernel and survives a reload. The page
draws at most a thousand rows and ticks them by id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import pandas as pd
import traitlets
from ipywidgets import HTML, DatePicker, HBox, Layout, SelectMultiple, Text, VBox

from voxops._support import eventloop, safe
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.analysis.statistics import delivery_state
from voxops.analysis.triage import triage
from voxops.frames.checks import need, restored
from voxops.frames.records import TARGET_KEY, latest_targets, targets
from voxops.frames.registry import column_of, is_deliveries, kind_of
from voxops.frames.times import shown_zone
from voxops.views.monitor import Live, Monitor, PlanBox, Plans, awake, in_thread, push
from voxops.views.table import Table, draw, redacted, table_of

if TYPE_CHECKING:
    from voxops.acts.plan import Plan

MOST = 1000  # rows sent to the page
COPIED = 20  # rows of the static copy
_VALUES = 200  # values of a facet, the commonest
_TYPING = 0.15  # seconds that a search waits for the next key


@dataclass(frozen=True)
class Subject:
    """What a panel is about: which columns name, filter and show its rows, and what plans them."""

    name: str
    key: tuple[str, ...]
    time: str
    facets: tuple[str, ...]
    columns: tuple[str, ...]
    plan: Callable[..., Plan] | None = None


FAILURES = Subject(
    "failures", TARGET_KEY, "updated_at",
    ("verdict", "cause", "platform", "account", "owner", "campaign"),
    ("verdict", "cause", "error_message", "content", "account", "owner", "updated_at", "post_id"),
    plan_retry,
)  # fmt: skip
DELIVERIES = Subject(
    "deliveries", ("delivery_id",), "created_at",
    ("outcome", "event_type", "status_code", "receiver"),
    ("outcome", "event_type", "status_code", "error", "response_body", "receiver", "created_at", "delivery_id"),
    plan_redeliver,
)  # fmt: skip
RUNS = Subject(
    "runs", ("run",), "created_at",
    ("action", "state", "who"),
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

    def __init__(self, title: str, values: pd.Series[Any]) -> None:
        texts = values.astype("string").fillna("")
        known = texts.value_counts().index
        self._codes = known[:_VALUES].get_indexer(pd.Index(texts))
        self.values = [safe.plain(value, 60) or "–" for value in known[:_VALUES]]
        self.widget = awake(
            SelectMultiple(
                options=[(value, at) for at, value in enumerate(self.values)],
                description=title,
                rows=min(max(len(self.values), 2), 7),
                layout=Layout(
                    flex_flow="column",
                    flex=f"{max(map(len, self.values), default=1)} 1 150px",
                    width="auto",
                    height="auto",
                ),
            )
        )

    def mask(self) -> np.ndarray[Any, Any]:
        """Return which rows have a chosen value (bool); all if none is chosen."""
        return np.isin(self._codes, self.widget.value) if self.widget.value else np.ones(len(self._codes), bool)

    def count(self, left: np.ndarray[Any, Any]) -> None:
        """Show how many of these rows have each value; a change of `options` would forget what is chosen."""
        counts = np.bincount(self._codes[left] + 1, minlength=len(self.values) + 1)[1:]
        labels = (f"{value} ({count:,})" for value, count in zip(self.values, counts, strict=True))
        self.widget.set_trait("_options_labels", tuple(labels))


class Panel:
    """A panel: returned by ``ws.panel``, shown as the last expression of a cell.

    Attributes
    ----------
    frame : pandas.DataFrame
        The rows that match the filters, as they were passed.
    ticked : pandas.DataFrame
        The ticked rows, also those that the filters hide.
    """

    def __init__(self, workspace: Any, frame: pd.DataFrame | None = None) -> None:
        self._workspace = workspace
        self._subject, self._frame = subject, _ = _read(workspace, frame)
        self._shown, self._tz = _shown(subject, self._frame), shown_zone(self._frame)
        keys = (self._frame[name].astype("string").fillna("") for name in subject.key)
        self._ids = pd.Index(["|".join(key) for key in zip(*keys, strict=True)], dtype=object)
        self._ticked: dict[str, None] = {}
        self._line, self._problem = "", ""
        self._timer = threading.Timer(0, self._filter)
        self._live = Live(self.__repr__)
        kind, wide = kind_of(self._frame), Layout(flex_flow="row wrap")
        self._facets = [
            Facet(column_of(name, self._shown[name], kind).title, self._shown[name])
            for name in subject.facets
            if name in self._shown and self._shown[name].notna().any()
        ]
        for facet in self._facets:
            if subject is DELIVERIES and "failed" in facet.values:  # one comes for them
                facet.widget.value = (facet.values.index("failed"),)
        self._search = awake(Text(description="Search", placeholder="all of these words", layout=Layout(width="320px")))
        self._days = [
            awake(DatePicker(description=text, layout=Layout(width="220px"))) for text in ("From day", "To day")
        ]
        self._filters = [*(facet.widget for facet in self._facets), self._search, *self._days]
        for widget in self._filters:
            widget.observe(lambda change: self._later(_TYPING if change["owner"] is self._search else 0), names="value")
        self._status, self._rows = awake(HTML()), awake(Rows())
        self._rows.on_msg(self._heard)
        works = {
            "all": lambda _: in_thread(lambda: self._plan(self.frame), self._failed),
            "ticked": lambda _: in_thread(lambda: self._plan(self.ticked), self._failed),
            "Untick all": self._untick,
            "Show all rows": self._show_all,
        }
        self.buttons = {name: push(name, work) for name, work in works.items() if subject.plan or name != "all"}
        self.plans = Plans()
        facets, filters, bar = (
            awake(HBox(row, layout=wide))
            for row in ([facet.widget for facet in self._facets], self._filters[-3:], [*self.buttons.values()])
        )
        facets.add_class("vx-facets")
        self.widget = awake(VBox([facets, filters, self._status, self._rows, bar, self.plans.widget]))
        self._live.hold(self)
        self._filter()

    @property
    def frame(self) -> pd.DataFrame:
        """The rows that match the filters."""
        return self._frame[self._left]

    @property
    def ticked(self) -> pd.DataFrame:
        """The ticked rows."""
        return self._frame[self._ids.isin([*self._ticked])]

    # Filters and ticks.

    def _later(self, seconds: float) -> None:
        """Filter soon, beside the kernel; only the newest choice counts."""
        self._timer.cancel()
        self._timer = threading.Timer(seconds, self._filter)
        self._timer.daemon = True
        self._timer.start()

    def _show_all(self, _: object) -> None:
        for widget in self._filters:
            widget.value = () if isinstance(widget, SelectMultiple) else "" if widget is self._search else None

    def _filter(self) -> None:
        """Show the rows that match; each facet counts what the others leave."""
        with self._live.turn:
            masks = [facet.mask() for facet in self._facets]
            others = [self._days_mask(), self._search_mask()]
            self._left = np.logical_and.reduce([*others, *masks])
            for at, facet in enumerate(self._facets):
                facet.count(np.logical_and.reduce([*others, *masks[:at], *masks[at + 1 :]]))
            self._show_rows()

    def _days_mask(self) -> np.ndarray[Any, Any]:
        """Return which rows are within the chosen days, in the displayed zone (bool)."""
        first, last = (
            pd.Timestamp(picker.value or far) for picker, far in zip(self._days, ("1970", "2200"), strict=True)
        )
        days = self._frame[self._subject.time].dt.tz_convert(self._tz).dt.tz_localize(None).dt.normalize()
        return np.asarray(~((days < first) | (days > last)), bool)

    def _search_mask(self) -> np.ndarray[Any, Any]:
        """Return which rows contain all words of the search (bool)."""
        words = self._search.value.lower().split()
        return np.array([all(word in text for word in words) for text in self._texts], bool)

    @cached_property
    def _texts(self) -> list[str]:
        """The texts of each row, in lower case."""
        columns = self._shown.filter(self._subject.columns).astype("string").fillna("")
        return [" ".join(row).lower() for row in columns.itertuples(index=False)]

    def _show_rows(self) -> None:
        """Send the first of the matching rows, sorted by their values."""
        shown, (sorted_by, up) = self._shown, self._rows.sort
        names = [name for name in self._subject.columns if name in shown and shown[name].notna().any()]
        order = np.flatnonzero(self._left)
        if sorted_by in names:
            values = shown[sorted_by].iloc[order].reset_index(drop=True)
            order = order[values.sort_values(ascending=up, kind="stable").index]
        table = table_of(shown.iloc[order[:MOST]], names, tz=self._tz)
        heads = [{"name": name, **head._asdict()} for name, head in zip(names, table.columns, strict=True)]
        with self._rows.hold_sync():
            self._rows.heads = heads
            self._rows.table = {"ids": [*self._ids[order[:MOST]]], "cells": table.rows}
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

    def _untick(self, _: object) -> None:
        with self._live.turn:
            self._ticked.clear()
            self._rows.ticked = []
            self._say()

    def _say(self) -> None:
        """Show how many rows match and are ticked, also on the buttons that plan them."""
        matching, ticked = int(self._left.sum()), len(self._ticked)
        hidden = ticked - int(self._ids[self._left].isin([*self._ticked]).sum())
        parts = (
            f"{matching:,} of {len(self._frame):,} {self._subject.name} match",
            f"the first {MOST:,} are shown" if matching > MOST else "",
            f"{ticked:,} ticked" if ticked else "",
            f"{hidden:,} of the ticked rows do not match" if hidden else "",
            f"times in {self._tz}",
        )
        self._line = " · ".join(filter(None, parts))
        self._status.value = self._html(None)
        verb = "Plan" if self._subject.plan else "Open"
        for name, count, words in (("all", matching, "all {:,} that match"), ("ticked", ticked, "the {:,} ticked")):
            if name in self.buttons:
                self.buttons[name].description, self.buttons[name].disabled = f"{verb} {words.format(count)}", not count
        self._live.ask()

    # Plans and runs.

    def _plan(self, rows: pd.DataFrame) -> None:
        """Plan these rows and show the plan, or open these runs."""
        self._problem = ""
        if self._subject.plan is not None:
            self.plans.show(PlanBox(self._subject.plan(rows), self._workspace, self._live.ask))
        else:
            for run in rows["run"]:
                attached = eventloop.run(self._workspace.aio.attach(run))
                self.plans.show(Monitor(attached, self._workspace, self._live.ask))
        self._say()

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
        return "\n".join([self._line, *map(repr, self.plans.boxes)])


def _read(workspace: Any, frame: pd.DataFrame | None) -> tuple[Subject, pd.DataFrame]:
    """Return what a frame is about, and its rows, each once."""
    if frame is None:
        return RUNS, workspace.runs().reset_index()
    maker = "Use vx.triage(posts), or ws.deliveries(...), or nothing for the runs."
    if isinstance(frame, pd.DataFrame) and is_deliveries(frame):
        needed = ("webhook_id", "url", "success", *DELIVERIES.columns[1:5], *DELIVERIES.columns[6:])
        log = need(restored(frame), needed, "ws.panel() needs deliveries", maker, times=["created_at"])
        return DELIVERIES, log.drop_duplicates("delivery_id", keep="last").reset_index(drop=True)
    frame = restored(need(frame, ["post_id"], "ws.panel() needs a triaged frame", maker))
    rows = frame if "cause" in frame else triage(targets(frame) if "targets" in frame else frame)
    needed = (*TARGET_KEY, "verdict", "cause", "updated_at")
    rows = latest_targets(need(rows, needed, "ws.panel() needs a triaged frame", maker, times=["updated_at"]))
    return FAILURES, rows[rows["cause"].notna()].reset_index(drop=True)


def _shown(subject: Subject, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as they are shown and searched; an account or a receiver has a name of its own."""
    if subject is DELIVERIES:
        shown, states = redacted(frame), delivery_state(frame).replace("in flight", "pending")
        return shown.assign(outcome=states, receiver=shown["url"])
    if subject is FAILURES:
        known = frame.drop_duplicates("account_id").dropna(subset="account_id")
        names = (
            known.get("account_name", known["account_id"]).fillna(known["account_id"]) + " (" + known["platform"] + ")"
        )
        labels = safe.told_apart(dict(zip(known["account_id"], names, strict=True)))
        return frame.assign(account=frame["account_id"].map(labels))
    return frame
