"""A report: its content, and the files and tickets that are made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

import pandas as pd

from voxops._support import files, safe
from voxops._support.arguments import did_you_mean, file_path, new_file, refuse_form
from voxops.errors import ConfigError, PlanError
from voxops.frames.palette import OUTCOME
from voxops.frames.registry import kind_of
from voxops.frames.times import absolute, shown_zone
from voxops.model import OUTCOMES
from voxops.views.excel import write_csv, write_workbook
from voxops.views.pages import draw
from voxops.views.table import Part, Table, table_of
from voxops.views.tickets import tickets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Fact", "Options", "Report", "outcome_facts", "outcomes", "outcomes_in_words"]

_INK = "#010203"  # placeholder for the page's text colour while a figure is drawn
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")


class Options(NamedTuple):
    """What a caller of `report` may choose, whatever the subject."""

    title: str | None
    now: Any
    tz: str | None
    owners: Mapping[str, str] | None
    rows: int

    def common(self, frame: pd.DataFrame, run: Any, title: str) -> dict[str, Any]:
        """Return what every report of a frame, and of a run, has."""
        tz, known = shown_zone(frame, self.tz), frame.attrs
        times = {"read": known.get("fetched_at"), "report made": self.now and absolute(self.now)}
        filters = {name: value for name, value in (known.get("filters") or {}).items() if value and name != "webhook"}
        about = [
            *([f"data from {known['source']}"] if known.get("source") else []),
            *(f"{name} {safe.instant(pd.Timestamp(at).to_pydatetime(), tz=tz)}" for name, at in times.items() if at),
            f"times in {tz}",
            *(f"{name} {', '.join(value) if isinstance(value, list) else value}" for name, value in filters.items()),
            *(["INCOMPLETE: the listing was cut short"] if known.get("complete") is False else []),
            *([] if run is None else [f"run {run.id}"]),
        ]
        return {"title": safe.plain(self.title or title, 120), "about": tuple(about), "tz": tz, "rows": self.rows}

    def roles(self, usual: Mapping[str, str], others: Collection[str] = ()) -> dict[str, str]:
        """Return who acts on what; `owners` may name only what is known."""
        if not isinstance(self.owners, Mapping | None):
            raise ConfigError(f"owners= takes a mapping such as {{'retry': 'Ada'}}, not {type(self.owners).__name__}")
        for name in self.owners or ():
            if name not in {*usual, *others}:
                raise ConfigError(f"owners= names {name!r}; {did_you_mean(str(name), map(str, usual))}")
        return {**usual, **(self.owners or {})}


@dataclass(frozen=True, slots=True)
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
    title, headline : str
        The title, and a summary of a sentence or two.
    about : tuple of str
        Where the data come from and when they were read.
    facts : tuple of Fact
        The numbers at the top.
    tables : mapping of str to pandas.DataFrame
        What it shows; ``actions`` says who must do what.
    frames : mapping of str to pandas.DataFrame
        The data in full. A triage has ``causes``, ``failures`` and, after a run, ``results`` and ``left``: the failures without those
        that succeeded, with a new triage of those that failed again. Deliveries have ``endpoints``, ``hours``, ``outages``,
        ``duplicates``, ``lost`` and, after a run, ``redelivered``. A run of creates or changes has ``plan``, ``results``, ``left`` (the
        rows that did not go) and ``schedule`` (what goes out when).
    tz : str
        The time zone of the times shown.
    rows : int
        Most rows of a table.
    figures : mapping of str to callable
        What draws each figure, and returns its Axes.
    """

    subject: str
    title: str
    headline: str
    about: tuple[str, ...]
    facts: tuple[Fact, ...]
    tables: Mapping[str, pd.DataFrame]
    frames: Mapping[str, pd.DataFrame]
    tz: str
    rows: int
    figures: Mapping[str, Callable[[], Axes]] = field(default_factory=dict)

    @overload
    def to_html(self, path: None = None) -> str: ...
    @overload
    def to_html(self, path: str | Path) -> Path: ...
    def to_html(self, path: str | Path | None = None) -> str | Path:
        """Write one self-contained HTML file with its figures, readable offline, in mail previews and on paper.

        Without a path, return its text.

        Raises
        ------
        ConfigError
            If `path` is no path, ends like another form, or can't be written; the other forms raise it, too.
        """
        page = self._drawn("report.html")
        if path is None:
            return page
        file = refuse_form("path", new_file("path", path, "report.html"), ".html", ".htm")
        with _writing(file):
            files.write_file(file, page, private=False)
        return file

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Write each of `frames` as CSV for a spreadsheet: times in the zone of the report, formulas guarded."""
        place = refuse_form("folder", file_path("folder", folder))
        with _writing(place / "frames"):
            return [write_csv(frame, place / f"{name}.csv", self.tz) for name, frame in self.frames.items()]

    def to_excel(self, path: str | Path) -> Path:
        """Write `frames` as one Excel workbook, a sheet for each; see ``vx.to_excel``."""
        file = new_file("path", path, "report.xlsx")
        with _writing(file):
            return write_workbook(self.frames, file, self.tz)

    def tickets(self, by: str = "owner") -> dict[str, str]:
        """Return the tasks as texts for tickets, mails or a chat: one per account, one per person, and one for support.

        What the owner of an account must do is in the ticket of the account, the rest in that of the post's owner. The texts are
        plain. Where Markdown is shown, they stand in indented blocks and stay as they are.

        Parameters
        ----------
        by : str
            Column of the failures that names the person, or another subject of a ticket, such as ``campaign`` or ``tags``. A post with
            several tags is in the ticket of each.

        Returns
        -------
        dict of str to str
            Account, then person -> text, each sorted by name; ``nobody`` for posts without an owner, and last ``support``.

        Raises
        ------
        PlanError
            If the failures have no such column, or the report is not about a triage.
        """
        if self.subject != "triage":
            raise PlanError(f"tickets() are for the report of a triage, vx.report(triaged); this one is {self.title!r}")
        failures = self.frames.get("left", self.frames["failures"])
        return tickets(failures, f"{self.title}: {' · '.join(self.about)}", by, self.tz)

    def __dir__(self) -> list[str]:
        """The public names."""
        return ["frames", "to_csv", "to_excel", "to_html", *(["tickets"] if self.subject == "triage" else [])]

    def _repr_html_(self) -> str:
        return self._drawn("report_body.html")

    def __repr__(self) -> str:
        return Part(self.title, line=self.headline, table=self._table("actions")).text()

    def _table(self, name: str) -> Table:
        frame = self.tables[name]
        return table_of(frame, None if kind_of(frame).columns else list(frame), tz=self.tz, most=self.rows)

    def _drawn(self, template: str) -> str:
        figures = {name: _svg(figure, f"vx-{name}") for name, figure in self.figures.items()}
        tables = {name: self._table(name) for name in self.tables}
        return draw(template, name="report", report=self, tables=tables, figures=figures)


def outcomes(results: pd.DataFrame) -> pd.DataFrame:
    """Count the rows of a run by outcome and error."""
    names = ["outcome", "error_code"]
    return results if results.empty else results.value_counts(names, dropna=False).rename("rows").reset_index()


def outcomes_in_words(results: pd.DataFrame) -> str:
    """Return the outcomes of a run, as in ``Tried 28: 19 succeeded, 9 failed``."""
    counts = [f"{fact.count:,} {fact.label}" for fact in outcome_facts(results) if fact.count]
    return f"Tried {len(results):,}: {', '.join(counts)}." if counts else "Nothing was sent."


def outcome_facts(results: pd.DataFrame) -> list[Fact]:
    """Return how many rows of a run ended in each outcome."""
    ended = results["outcome"].tolist() if "outcome" in results else []
    return [Fact(ended.count(name), name, OUTCOME[name].colour) for name in OUTCOMES]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Make the folder of a file, and raise a ConfigError if either can't be written."""
    try:
        files.make_folder(path.parent, private=False)
        yield
    except OSError as error:
        raise files.unwritable(path, error) from error


def _svg(figure: Callable[[], Axes], salt: str) -> str:
    """Draw a figure as inline SVG: the same bytes each time, in the page's text colour, with ids that only `salt` has."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    style: dict[Any, Any] = {
        "svg.hashsalt": salt,
        "svg.fonttype": "none",
        "axes.facecolor": "none",
        "figure.facecolor": "none",
    }
    with mpl.rc_context():
        mpl.rcdefaults()  # the report must not depend on the notebook's style
        mpl.rcParams.update({**cast("Any", dict.fromkeys(_INKED, _INK)), **style})
        canvas: Any = figure().figure
        drawn = StringIO()
        canvas.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        plt.close(canvas)
    svg = drawn.getvalue().replace(_INK, "currentColor")
    svg = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', svg))
    return re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", svg)
