"""A report: its content, and the files and tickets that are made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from voxops._support import files
from voxops._support.arguments import file_path
from voxops.errors import PlanError
from voxops.frames.palette import OUTCOME
from voxops.model import OUTCOMES
from voxops.views.excel import write_csv, write_workbook
from voxops.views.pages import draw
from voxops.views.table import Part, Table, in_reading_order, table_of
from voxops.views.tickets import tickets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 50  # of a table
_INK = "#010203"  # placeholder for the page's text colour while a figure is drawn
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")


@dataclass(frozen=True)
class Fact:
    """One number of the summary, its label, and its colour."""

    count: int
    label: str
    colour: str


@dataclass(frozen=True, eq=False)
class Report:
    """A finished report, returned by `report`.

    Attributes
    ----------
    subject : str
        ``triage``, ``run`` or ``deliveries``, which names the template.
    title : str
        The title.
    source : pandas.DataFrame
        What it is about, with the ``attrs`` of its load.
    about : tuple of str
        Where the data come from and when they were read.
    facts : tuple of Fact
        The numbers at the top.
    actions : pandas.DataFrame
        Who must do what, on how many rows, and how.
    frames : mapping of str to pandas.DataFrame
        The data in full. A triage has ``causes``, ``failures`` and, after a run, ``results`` and ``left``: the failures without those
        that succeeded, with a new triage of those that failed again. Deliveries have ``endpoints outages duplicates lost`` and, after a
        run, ``results``. A run of creates or changes has ``plan``, ``results`` and ``left`` (the rows that did not go).
    tz : str
        The time zone of the times shown.
    figures : mapping of str to callable
        What draws each figure, and returns its Axes.
    """

    subject: str
    title: str
    source: pd.DataFrame
    facts: tuple[Fact, ...]
    actions: pd.DataFrame
    frames: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Callable[[], Axes]] = field(default_factory=dict)
    about: tuple[str, ...] = ()
    tz: str = "UTC"

    @property
    def headline(self) -> str:
        """The numbers in words, such as ``7 failed, 6 arrived``."""
        return ", ".join(f"{fact.count:,} {fact.label}" for fact in self.facts if fact.count) or "nothing to report"

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained HTML file with its figures, readable offline, in mail previews and on paper.

        Raises
        ------
        ConfigError
            If `path` is no path or can't be written; the other forms raise it, too.
        """
        return files.export(file_path("path", path), self._drawn("report.html"))

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Write each of `frames` as CSV for a spreadsheet: times in the zone of the report, formulas guarded."""
        place = file_path("folder", folder)
        return [write_csv(frame, place / f"{name}.csv", self.tz) for name, frame in self.frames.items()]

    def to_excel(self, path: str | Path) -> Path:
        """Write `frames` as one Excel workbook, a sheet for each; see ``vx.to_excel``."""
        return write_workbook(self.frames, file_path("path", path), self.tz)

    def tickets(self) -> dict[str, str]:
        """Return the tasks as texts for tickets, mails or a chat: one per account, one per owner, and one for support.

        What the owner of an account must do is in the ticket of the account, the rest in that of the post's owner. The texts are
        plain. Where Markdown is shown, they stand in indented blocks and stay as they are.

        Returns
        -------
        dict of str to str
            Account, then owner -> text, each sorted by name; ``nobody`` for posts without an owner, and last ``support``.

        Raises
        ------
        PlanError
            If the report is not about a triage.
        """
        if self.subject != "triage":
            raise PlanError(f"tickets() are for the report of a triage, vx.report(triaged); this one is {self.title!r}")
        return tickets(
            self.frames.get("left", self.frames["failures"]), f"{self.title}: {' · '.join(self.about)}", self.tz
        )

    def __dir__(self) -> list[str]:
        """The public names."""
        return ["frames", "to_csv", "to_excel", "to_html", *(["tickets"] if self.subject == "triage" else [])]

    def _repr_html_(self) -> str:
        return self._drawn("report_body.html")

    def __repr__(self) -> str:
        return Part(self.title, line=self.headline, table=self._table(self.actions)).text()

    def _table(self, frame: pd.DataFrame) -> Table:
        return table_of(in_reading_order(frame), tz=self.tz, most=_ROWS)

    def _drawn(self, template: str) -> str:
        figures = {name: _svg(figure, f"vx-{name}") for name, figure in self.figures.items()}
        tables = {name: self._table(frame) for name, frame in self.frames.items()}
        context = {"name": "report", "report": self, "actions": self._table(self.actions)}
        return draw(template, **context, tables=tables, figures=figures)


def outcome_facts(results: pd.DataFrame | None, when: str = "") -> list[Fact]:
    """Return how many rows of a run ended in each outcome."""
    ended = [] if results is None else results["outcome"].tolist()
    return [Fact(ended.count(name), f"{name} {when}".strip(), OUTCOME[name].colour) for name in OUTCOMES]


def _svg(figure: Callable[[], Axes], salt: str) -> str:
    """Draw a figure as inline SVG: the same bytes each time, in the page's text colour, with ids that only `salt` has."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    clear = dict.fromkeys(("axes.facecolor", "figure.facecolor"), "none")
    style = {**dict.fromkeys(_INKED, _INK), **clear, "svg.hashsalt": salt, "svg.fonttype": "none"}
    with mpl.rc_context():
        mpl.rcdefaults()  # the report must not depend on the notebook's style
        mpl.rcParams.update(cast("Any", style))
        canvas: Any = figure().figure
        drawn = StringIO()
        canvas.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        plt.close(canvas)
    svg = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", drawn.getvalue(), flags=re.DOTALL)
    return re.sub(r' id="[\w.]+_\d+"', "", svg.replace(_INK, "currentColor"))  # what nothing refers to
