"""A page that shows a panel, without a browser: what it reads of the widget's model, the messages it sends, and those that it gets."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from tests.virtual import until

import voxops as vx
from voxops.views._rows import pack


class Page:
    """One page of a panel; all that it does goes through the messages of the Jupyter protocol."""

    def __init__(self, panel: Any, name: str = "page") -> None:
        self.panel, self.name = panel, name
        self.got: list[dict[str, Any]] = []
        self.widget = panel._display_()  # as marimo asks for it
        self.widget.send = lambda content, buffers=None: self.got.append(content)
        self._planned: set[int] = set()

    # What it shows.

    @property
    def state(self) -> dict[str, Any]:
        """What the page shows besides its rows."""
        return self.widget.state

    @property
    def version(self) -> int:
        """The number of the table whose rows it shows."""
        return self.widget.table["version"]

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """The columns of the rows by name."""
        return {column["name"]: column for column in self.widget.table["columns"]}

    def blocks(self, name: str) -> Sequence[dict[str, Any]]:
        """The content of one tab; empty if it is not there."""
        return next((tab["blocks"] for tab in self.state["tabs"] if tab["name"] == name), ())

    def tab(self, name: str) -> str:
        """The same as JSON, for searching."""
        return json.dumps(self.blocks(name), ensure_ascii=False) if self.blocks(name) else ""

    @property
    def facts(self) -> dict[str, str]:
        """The numbers above the rows, by their labels."""
        found = (each["facts"] for each in self.state["facts"] if each["kind"] == "facts")
        return {fact["label"]: fact["value"] for facts in found for fact in facts}

    @property
    def buttons(self) -> list[dict[str, Any]]:
        """All buttons."""
        return [each for part in (self.state, *self.state["tabs"]) for each in part["buttons"]]

    @property
    def picked(self) -> dict[str, str]:
        """What the lists to choose from say."""
        return {each["name"]: each["value"] for each in self.state["selects"]}

    # What it sends.

    def receive(self, method: str, **data: Any) -> None:
        """Let the kernel get a message from the network."""
        self.widget._handle_msg({"content": {"data": {"method": method, **data}}, "buffers": []})

    def update(self, **state: Any) -> None:
        """Say what the model is, as pages do."""
        self.receive("update", state=state, buffer_paths=[])

    def look(self, **view: Any) -> None:
        """Filter, search, sort, or type."""
        self.update(view={**self.widget.view, **view})

    def tick(self, *rows: int) -> None:
        """Tick rows."""
        self.update(ticks=pack(self.flags(*rows)))

    def flags(self, *rows: int) -> np.ndarray:
        """The rows with these numbers."""
        return np.isin(np.arange(self.widget.table["length"]), rows)

    def press(self, do: str, **more: Any) -> None:
        """Press a button, which sends what it is about."""
        about = next((each["about"] for each in self.buttons if each["do"] == do), None)
        self.receive("custom", content={"do": do, "page": self.name, "about": about, "version": self.version, **more})

    def refused(self, words: str, do: str, **more: Any) -> None:
        """Press a button and wait for a complaint with these words."""
        self.press(do, **more)
        until(lambda: words in self.state["problem"])

    def ask(self, key: str, do: str, **more: Any) -> dict[str, Any]:
        """Send a message; return the first answer that has this key."""
        self.got.clear()
        self.press(do, **more)
        until(lambda: any(key in message for message in self.got))
        return next(message for message in self.got if key in message)

    def details(self, row: int) -> list[dict[str, Any]]:
        """Open a row."""
        return self.ask("details", "details", row=row)["details"]

    def press_plan(self, flags: np.ndarray, **more: Any) -> None:
        """Press Plan: the page names the rows, and how they were chosen."""
        sent: dict[str, Any] = {"rows": pack(flags), "view": dict(self.widget.view), "ticks": self.widget.ticks, **more}
        self.press("plan", **sent)

    def plan(self, rows: np.ndarray | None = None, **form: Any) -> vx.Plan:
        """Plan rows, all if none are named, and wait until the page shows that plan."""
        before = len(self.planned)
        self.look(form=form)
        self.press_plan(~self.flags() if rows is None else rows)
        until(lambda: len(self.planned) > before)
        return self.panel.plan

    @property
    def planned(self) -> set[int]:
        """The numbers of all plans that this page has shown."""
        self._planned |= {self.state["plan"]["number"]} if self.state["plan"] else set()
        return self._planned

    def run(self, reason: str = "the platforms are back", *, ended: bool = True) -> None:
        """Press Run for the plan that is shown; wait for its end, and for the rows read anew."""
        version = self.version
        self.press("run", plan=self.state["plan"]["fingerprint"], reason=reason)
        if ended:
            until(lambda: re.search("✓ done|⊘ needs you|■ cancelled", self.tab("run")) and self.version != version)
            self.idle()

    def idle(self) -> None:
        """Wait until the panel has done all that it was asked for."""
        until(lambda: not self.panel._tasks._turn.locked())
