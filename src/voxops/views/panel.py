"""The panel of a workspace: failures, deliveries or runs are filtered, ticked, planned and run by clicking.

The kernel filters with pandas and keeps filters and ticks, so "all that match" is a fact of the kernel and survives a reload. The page
draws at most a thousand rows and ticks them by id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from voxops.frames.columns import kind_name, need_columns, need_frame, restored
from voxops.frames.palette import OUTCOME
from voxops.frames.records import TARGET_KEY, latest_targets, targets
from voxops.frames.registry import LOOKS, Column, column_of, is_deliveries, kind_of
from voxops.frames.times import shown_zone
from voxops.views.monitor import Live, Monitor, Plans, awake, in_thread
from voxops.views.pages import draw
from voxops.views.table import redacted, text_of
from voxops.views.view import view

if TYPE_CHECKING:
    from voxops.acts.plan import Plan
    from voxops.views._protocols import RunLike

__all__ = ["MOST", "Panel", "Rows"]

MOST = 1000  # rows sent to the page
COPIED = 20  # rows of the static copy
_VALUES = 200  # values of a facet
_TYPING = 0.15  # seconds that a search waits for the next key
_TEXT = 300  # characters of a cell
_RESULTS = {
    "succeeded": ("delivered", "succeeded"),
    "failed": ("failed", "failed"),
    "in flight": ("in flight", "pending"),
}
_TAKES = (
    "ws.panel() takes a triaged frame, vx.triage(posts), or posts or targets, which it triages; deliveries, "
    "ws.deliveries(...); or nothing, for the runs"
)


@dataclass(frozen=True)
class Subject:
    """What a panel is about: which columns name, filter, search and show its rows, and what plans them."""

    title: str
    key: tuple[str, ...]
    time: str
    facets: tuple[str, ...]
    search: tuple[str, ...]
    columns: tuple[str, ...]
    plan: Callable[..., Plan] | None = None


FAILURES = Subject(
    "failure", TARGET_KEY, "updated_at",
    ("verdict", "cause", "platform", "account_id", "owner", "campaign"),
    ("content", "cause", "error_message", "post_id"),
    ("verdict", "cause", "error_message", "content", "account_id", "owner", "updated_at", "post_id"),
    plan_retry,
)  # fmt: skip
DELIVERIES = Subject(
    "delivery", ("delivery_id",), "created_at",
    ("result", "event_type", "status_code", "url"),
    ("url", "error", "response_body", "delivery_id"),
    ("result", "event_type", "status_code", "error", "url", "created_at", "delivery_id"),
    plan_redeliver,
)  # fmt: skip
RUNS = Subject(
    "run", ("run",), "created_at",
    ("action", "state", "who"),
    ("run", "reason", "campaign", "note"),
    ("run", "action", "state", "succeeded", "failed", "pending", "unknown", "blocked", "reason", "who", "created_at"),
)  # fmt: skip


class Rows(anywidget.AnyWidget):
    """A table whose rows are ticked by id; only the kernel writes its traits, pages send messages.

    Attributes
    ----------
    heads : list of dict
        ``name title meaning shape looks`` of each column.
    table : dict
        ``ids``, and ``cells`` with the texts of each row.
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

    def mask(self) -> np.ndarray[Any, Any] | None:
        """Return which rows have a chosen value (bool); None if none is chosen."""
        return np.isin(self._codes, self.widget.value) if self.widget.value else None

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
        self._tz, self._problem = shown_zone(self._frame), ""
        self._ids = _ids(self._frame, self._subject.key)
        self._ticked: dict[str, None] = {}
        self._left = np.ones(len(self._frame), bool)
        self._timer: threading.Timer | None = None
        self._shown, self._labels = _shown(self._subject, self._frame)
        self._outcomes = pd.Series(pd.NA, self._shown.index, dtype="string")  # of what was run here
        self._live = Live(self._build, self.__repr__)
        self._filter()

    def _build(self, changed: Callable[[bool], None]) -> Panel:
        """Make the widgets."""
        self._changed = changed
        subject, shown = self._subject, self._shown
        names = [name for name in subject.facets if name in shown and shown[name].notna().any()]
        self._facets = [
            Facet(column_of(name, None, kind_of(self._frame)).title, shown[name], self._labels.get(name, {}))
            for name in names
        ]
        self._search = awake(Text(description="Search", placeholder="all of these words", layout=Layout(width="320px")))
        self._days = [
            awake(DatePicker(description=name, layout=Layout(width="220px"))) for name in ("From day", "To day")
        ]
        self._status = awake(HTML())
        self._rows = awake(Rows())
        self._rows.on_msg(self._heard)
        self._all, self._some, self._none, everything = (
            awake(Button(description=label, layout=Layout(width="auto")))
            for label in ("", "", "Untick all", "Show all rows")
        )
        self._force = awake(Checkbox(description="also rejected, delivered, or under an hour old", indent=False))
        self._all.on_click(lambda _: in_thread(lambda: self._plan(self._left), self._failed))
        self._some.on_click(lambda _: in_thread(lambda: self._plan(self._ids.isin(list(self._ticked))), self._failed))
        self._none.on_click(lambda _: self._untick())
        everything.on_click(lambda _: self._show_all())
        for widget in self._filters:
            widget.observe(self._chosen, names="value")
        self._plans = Plans(self._workspace, changed, self._ran)
        self._opened = awake(VBox())
        self._monitors: list[Monitor] = []
        facets = awake(HBox([facet.widget for facet in self._facets], layout=Layout(flex_flow="row wrap")))
        facets.add_class("vx-facets")
        actions = [self._all, self._some, self._none, everything]
        actions[:1] = actions[:1] if subject.plan else []
        actions += [self._force] if subject is DELIVERIES else []
        bars = [
            awake(HBox(each, layout=Layout(flex_flow="row wrap"))) for each in ([self._search, *self._days], actions)
        ]
        self.widget = awake(
            VBox([facets, bars[0], self._status, self._rows, bars[1], self._plans.widget, self._opened])
        )
        return self

    @property
    def plan(self) -> Plan | None:
        """The newest plan that is shown."""
        return self._plans.boxes[-1].plan if self._plans.boxes else None

    @property
    def run(self) -> RunLike | None:
        """The newest run that is shown."""
        runs = [box.monitor.run for box in self._plans.boxes if box.monitor]
        return [*(each.run for each in self._monitors), *runs][-1] if runs or self._monitors else None

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
        if self._timer is not None:
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
            self._left = np.logical_and.reduce([others, *(mask for mask in masks if mask is not None)])
            for facet, mask in zip(self._facets, masks, strict=True):
                rest = [each for each in masks if each is not None and each is not mask]
                facet.count(self._left if mask is None else np.logical_and.reduce([others, *rest]))
            self._show_rows()

    def _days_mask(self) -> np.ndarray[Any, Any]:
        """Return which rows are within the days, of the zone shown (bool)."""
        first, last = (picker.value for picker in self._days)
        mask = np.ones(len(self._frame), bool)
        if first or last:
            times = self._frame[self._subject.time].dt.tz_convert(self._tz).dt.tz_localize(None)
            mask &= times.notna() & (times >= pd.Timestamp(first) if first else True)
            mask &= times < pd.Timestamp(last) + pd.Timedelta(days=1) if last else True
        return mask

    def _search_mask(self) -> np.ndarray[Any, Any]:
        """Return which rows have all words in what is shown of their texts (bool)."""
        words = self._search.value.lower().split()
        if not words:
            return np.ones(len(self._frame), bool)
        return np.array([all(word in text for word in words) for text in self._texts], bool)

    @cached_property
    def _texts(self) -> list[str]:
        """The searched texts of each row as they are shown, in lower case."""
        parts = []
        for name in self._subject.search:
            if name in self._shown:
                labels = self._labels.get(name, {})
                texts = self._shown[name].astype("string").fillna("")
                parts.append([labels.get(text, text) for text in texts])
        return [" ".join(row).lower() for row in zip(*parts, strict=True)]

    def _show_rows(self) -> None:
        """Send the first of the matching rows, sorted by their values."""
        shown = self._shown.assign(outcome=self._outcomes) if self._outcomes.notna().any() else self._shown
        names = [name for name in ("outcome", *self._subject.columns) if name in shown and shown[name].notna().any()]
        kind, (sorted_by, up) = kind_of(self._frame), self._rows.sort
        order = np.flatnonzero(self._left)
        if sorted_by in names:
            values = shown[sorted_by].iloc[order].reset_index(drop=True)
            order = order[values.sort_values(ascending=up, kind="stable").index]
        part = shown.iloc[order[:MOST]]
        columns = [column_of(name, shown[name], kind) for name in names]
        cells = zip(
            *(self._cells(part[name], column) for name, column in zip(names, columns, strict=True)), strict=True
        )
        with self._rows.hold_sync():
            self._rows.heads = [
                {
                    "name": name,
                    "title": column.title,
                    "meaning": column.meaning,
                    "shape": _shape(column),
                    "looks": _looks(column),
                }
                for name, column in zip(names, columns, strict=True)
            ]
            self._rows.table = {"ids": list(self._ids[order[:MOST]]), "cells": [list(row) for row in cells]}
        self._copied = view(part.head(COPIED), columns=names, rows=COPIED, tz=self._tz)._repr_html_() if names else ""
        self._say()

    def _cells(self, values: pd.Series[Any], column: Column) -> list[str]:
        labels = self._labels.get(column.name, {})
        return [safe.plain(labels.get(str(value)) or text_of(value, column, self._tz), _TEXT) for value in values]

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
                    self._rows.sort = [name, not up if by == name else True]
                    self._later(0)

    def _untick(self) -> None:
        with self._live.turn:
            self._ticked.clear()
            self._rows.ticked = []
            self._say()

    def _say(self) -> None:
        """Say how many rows match and are ticked, also on the buttons that plan them."""
        matching, ticked = int(self._left.sum()), len(self._ticked)
        hidden = ticked - int(self._ids[self._left].isin(list(self._ticked)).sum())
        parts = [f"{matching:,} of {_many(len(self._frame), self._subject)} match"]
        parts += [f"the first {MOST:,} are shown"] if matching > MOST else []
        parts += (
            [f"{ticked:,} ticked" + (f", {hidden:,} of them not among those that match" if hidden else "")]
            if ticked
            else []
        )
        self._status.value = draw("panel.html", line=" · ".join(parts), problem=self._problem, table="", plans="")
        self._all.description = f"Plan all {matching:,} that match"
        self._all.disabled = not matching
        verb = "Plan" if self._subject.plan else "Open"
        self._some.description = f"{verb} the {ticked:,} ticked"
        self._some.disabled = self._none.disabled = not ticked
        self._line = " · ".join(parts)
        self._changed(False)

    # Plans and runs.

    def _plan(self, rows: np.ndarray[Any, Any]) -> None:
        """Plan these rows and show the plan, or open these runs."""
        self._problem = ""
        chosen = self._frame[rows]
        if self._subject.plan is None:
            for run in chosen["run"]:
                opened = eventloop.run(self._workspace.aio.attach(run))
                self._monitors = [each for each in self._monitors if each.run.id != run]
                self._monitors.append(Monitor(opened, self._workspace, self._changed))
            self._opened.children = [each.widget for each in self._monitors]
        else:
            more = {"force": self._force.value} if self._subject is DELIVERIES else {}
            self._plans.add(self._subject.plan(chosen, **more))
        self._say()

    def _ran(self, run: RunLike) -> None:
        """Show beside the rows what a run has made of them."""
        results = run.results()
        with self._live.turn:
            if {*self._subject.key} <= {*results.columns}:
                found = pd.Series(results["outcome"].array, _ids(results, self._subject.key))
                found = found[~found.index.duplicated(keep="last")]
                new = pd.Series(found.reindex(self._ids).array, self._outcomes.index)
                self._outcomes = new.fillna(self._outcomes)
            self._show_rows()

    def _failed(self, why: str) -> None:
        self._problem = why
        self._say()

    # Display.

    def draw(self) -> str:
        """Return what is shown as HTML; the widgets are up to date by themselves."""
        plans = self._plans.draw() + "".join(each.draw() for each in self._monitors)
        return draw("panel.html", line=self._line, problem=self._problem, table=self._copied, plans=plans)

    def _ipython_display_(self) -> None:
        self._live.show()

    def _repr_html_(self) -> str:
        return self._live.html()

    def __repr__(self) -> str:
        return "\n".join(
            [self._line, *(repr(each.plan) for each in self._plans.boxes), *(repr(each.run) for each in self._monitors)]
        )


def _many(count: int, subject: Subject) -> str:
    return safe.many(count, subject.title, "deliveries" if subject is DELIVERIES else "")


def _ids(frame: pd.DataFrame, key: Sequence[str]) -> pd.Index[Any]:
    """Return the id of each row, by which it is ticked."""
    parts = (frame[name].astype("string").fillna("") for name in key)
    return pd.Index(["|".join(row) for row in zip(*parts, strict=True)], dtype=object)


def _shape(column: Column) -> str:
    return "number" if column.right else "text" if column.kind in {"text", "address"} else ""


def _looks(column: Column) -> dict[str, str]:
    """Return word -> colour."""
    if column.name == "result":
        return {word: OUTCOME[outcome].colour for word, outcome in _RESULTS.values()}
    return {word: look.colour for word, look in LOOKS.get(column.look, {}).items()}


def _read(workspace: Any, frame: pd.DataFrame | None) -> tuple[Subject, pd.DataFrame]:
    """Return what a frame is about, and its rows, each once."""
    if frame is None:
        return RUNS, workspace.runs().reset_index()
    if not isinstance(frame, pd.DataFrame):
        raise PlanError(f"{_TAKES}, not {kind_name(frame)}")
    if is_deliveries(frame):
        needed = ("webhook_id", "url", "success", "created_at", *DELIVERIES.search, *DELIVERIES.facets[1:])
        log = need_frame(
            restored(frame), needed, "ws.panel() needs deliveries", "Use ws.deliveries(...).", times=["created_at"]
        )
        return DELIVERIES, log.drop_duplicates("delivery_id", keep="last").reset_index(drop=True)
    if "post_id" not in frame.columns:
        raise PlanError(f"{_TAKES}; this frame has none of their columns: {', '.join(map(str, frame.columns))[:400]}")
    frame = restored(frame)
    rows = frame if "cause" in frame.columns else triage(targets(frame) if "targets" in frame.columns else frame)
    need_columns(rows, (*TARGET_KEY, *FAILURES.columns[:2]), "pass what vx.triage(frame) returns")
    rows = need_frame(
        rows, ["updated_at"], "ws.panel() needs a triaged frame", "Use vx.triage(posts).", times=["updated_at"]
    )
    rows = latest_targets(rows)
    return FAILURES, rows[rows["cause"].notna()].reset_index(drop=True)


def _shown(subject: Subject, frame: pd.DataFrame) -> tuple[pd.DataFrame, Mapping[str, Mapping[str, str]]]:
    """Return the rows as they are shown and searched, and the labels of values that are shown otherwise."""
    if subject is DELIVERIES:
        codes = frame["status_code"].dropna().astype("string").unique()
        labels = {
            "url": safe.address_labels(frame["url"].dropna().unique()),
            "status_code": {code: f"HTTP {code}" for code in codes},
            "result": {state: word for state, (word, _) in _RESULTS.items()},
        }
        return redacted(frame, ["error", "response_body"]).assign(result=delivery_state(frame)), labels
    if subject is FAILURES:
        each = frame.drop_duplicates("account_id").dropna(subset="account_id")
        names = each.get("account_name", each["account_id"]).fillna(each["account_id"])
        said = {
            key: f"{name} ({platform})"
            for key, name, platform in zip(each["account_id"], names, each["platform"], strict=True)
        }
        return frame, {"account_id": safe.told_apart(said)}
    return frame, {}
