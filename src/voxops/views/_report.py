"""The class of all reports: one content, written in several forms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, overload

import pandas as pd

from voxops._support import document, files, safe
from voxops._support.arguments import did_you_mean, file_path, new_file, refuse_form, whole_number
from voxops._support.document import Block
from voxops._support.drawing import to_text
from voxops.errors import ConfigError, PlanError
from voxops.views import _report_html, _tables, _tickets, excel
from voxops.views._report_sections import ACTIONS, Figure, ReportContent

__all__ = ["Report", "most_rows", "roles", "shown_in"]

_FACTS = 5  # numbers of the first screen
_Content = TypeVar("_Content", str, pd.DataFrame)
_MEMBERS = {"frames", "tickets", "to_csv", "to_excel", "to_html"}


@dataclass(frozen=True, eq=False)
class Report(ReportContent):
    """A finished report, returned by `report`; a `ReportContent` in any form.

    Attributes
    ----------
    frames : mapping of str to pandas.DataFrame
        The data in full. A triage has ``causes``, ``failures`` and, if given, ``weeks``, ``plan`` and ``results``.
        After a run it also has ``left``: the failures without those that succeeded, with a new triage of those that failed again.
        Deliveries have ``endpoints``, ``hours``, ``outages``, ``duplicates``, ``lost`` and, after a run, ``redelivered``.
        A run of creates or changes has ``plan``, ``results``, ``left`` (the rows that did not go) and ``schedule`` (what goes out when).
    """

    frames: Mapping[str, pd.DataFrame]

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
        page = _report_html.page(self._document(), self.title)
        return page if path is None else _written(_write, page, _place(path, ".html", ".htm"))

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Write each of `frames` as CSV for a spreadsheet: times in the zone of the workspace, formulas guarded."""
        place = refuse_form("folder", file_path("folder", folder))
        return [_written(_tables.write_csv, frame, place / f"{name}.csv") for name, frame in self.frames.items()]

    def to_excel(self, path: str | Path) -> Path:
        """Write `frames` as one Excel workbook, a sheet for each; see ``vx.to_excel``."""
        return excel.write_workbook(self.frames, new_file("path", path, "report.xlsx"))

    def tickets(self, by: str = "owner") -> dict[str, str]:
        """Return the tasks as one text for each person, and one for support, for a ticket, a mail or a chat.

        It is plain text. Where Markdown is shown, what others wrote stands in indented blocks and stays as it is.

        Parameters
        ----------
        by : str
            Column of the failures that names the person, or another subject of a ticket, such as ``campaign`` or ``tags``. A post with
            several tags is in the ticket of each.

        Returns
        -------
        dict of str to str
            Person -> text, sorted by name; ``nobody`` for posts without an owner, and last ``support`` if anything is for
            support. In a notebook it shows the texts themselves.

        Raises
        ------
        PlanError
            If the failures have no such column, or the report is not about a triage.
        """
        failures = self._failures
        if failures is None:
            raise PlanError(f"tickets() are for the report of a triage, vx.report(triaged); this one is {self.title!r}")
        return _tickets.tickets(self, failures, by)

    def _repr_html_(self) -> str:
        return _report_html.fragment(self._document())

    def __repr__(self) -> str:
        tasks = (section for section in self.sections if section.title == ACTIONS)
        blocks = [block for section in tasks for block in section.blocks(self.tz)]
        return to_text([document.heading(self.title, level=1), document.lead(self.headline), *blocks])

    def _document(self) -> list[Block]:
        """Return the first screen (one sentence, the numbers, who must do what, one figure), and the rest, folded."""
        counted = [fact for fact in self.facts if fact.count]
        first: list[Block] = [
            document.heading(self.title, level=1),
            document.line(" · ".join(self.about)),
            document.lead(self.headline),
            document.facts((fact.count, fact.label, fact.colour, "") for fact in counted[:_FACTS]),
        ]
        rest: list[Block] = []
        shown = False  # the figure of the first screen
        for number, section in enumerate(self.sections):
            figures = [
                _figure(figure, f"vx{number}{letter}")
                for letter, figure in zip("abcdefgh", section.figures, strict=False)
            ]
            blocks = section.blocks(self.tz)
            if section.title == ACTIONS:
                first += [document.heading(section.title, level=2), *blocks]
                continue
            if figures and not shown:
                first.append(figures.pop(0))
                shown = True
            if figures or blocks:
                count = safe.many(len(section.table), "row") if len(section.table) else ""
                rest.append(document.fold(section.title, [*blocks[:-1], *figures, *blocks[-1:]], count))
        return [*first, *rest]

    def __dir__(self) -> list[str]:
        return sorted(_MEMBERS - ({"tickets"} if self._failures is None else set()))

    @property
    def _failures(self) -> pd.DataFrame | None:
        """The failures that tickets are about; None in a report that is not about a triage."""
        return self.frames.get("left", self.frames["failures"]) if "failures" in self.frames else None


def _figure(figure: Figure, name: str) -> Block:
    return document.figure(figure.caption, lambda: _report_html.svg(figure, name))


def most_rows(rows: object) -> int:
    """Return the checked argument `rows` of a report."""
    return whole_number(
        rows, ConfigError(f"rows={rows!r} must be a whole number of rows of evidence, 0 for none"), least=0
    )


def roles(owners: object, known: Collection[str]) -> Mapping[str, str]:
    """Return the checked argument `owners` of a report; a name that is not `known` would be ignored silently."""
    if not isinstance(owners, Mapping):
        raise ConfigError(f"owners= takes a mapping such as {{'retry': 'Ada'}}, not {type(owners).__name__}")
    for name in owners:
        if name not in known:
            raise ConfigError(f"owners= names {name!r}; {did_you_mean(str(name), map(str, known))}")
    return owners


def shown_in(frame: pd.DataFrame, tz: str) -> pd.DataFrame:
    """Return a frame whose files show times in this zone; its data stay the same."""
    shown = frame.copy(deep=False)
    shown.attrs = {**frame.attrs, "tz": tz}
    return shown


def _place(path: str | Path, *own: str) -> Path:
    """Return the checked path of a file whose name ends with one of `own`."""
    return refuse_form("path", new_file("path", path, f"report{own[0]}"), *own)


def _write(text: str, path: Path) -> Path:
    """Write a file that only its owner can read, and its folder."""
    files.make_folder(path.parent)
    files.write_file(path, text)
    return path


def _written(write: Callable[[_Content, Path], Path], content: _Content, path: Path) -> Path:
    """Write a file in one of the forms; raise a ConfigError if that fails."""
    try:
        return write(content, path)
    except OSError as error:
        raise files.unwritable(path, error) from error
