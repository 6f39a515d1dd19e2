"""A report as tickets: one Markdown text for each person who must act, and one for support."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from voxops._support import document, safe
from voxops._support.arguments import did_you_mean
from voxops._support.drawing import to_html
from voxops.errors import PlanError
from voxops.frames.nested import is_missing
from voxops.frames.table import full_text
from voxops.model import Verdict
from voxops.views._report_sections import PERSONAL, ReportContent
from voxops.views._summary import in_words

__all__ = ["NOBODY", "SUPPORT", "tickets"]

NOBODY, SUPPORT = "nobody", "support"
_ROWS = 50  # rows of one verdict in one ticket
_THEIRS = frozenset({*PERSONAL, Verdict.UPGRADE})


class Tickets(dict[str, str]):
    """Person -> Markdown; as the last line of a notebook cell it shows the texts, ready to be copied."""

    def _repr_html_(self) -> str:
        first, _, said = self._about().partition("; ")
        texts = [document.preformatted(name, text) for name, text in self.items()]
        return to_html([document.heading(first, said), *texts], name="tickets")

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        # The first bold paragraph is the task; the paragraph before it is missing if the frame has no source.
        parts = {name: (each for each in text.split("\n\n") if each.startswith("**")) for name, text in self.items()}
        lines = [f"  {name:<{width}}  {next(bold, '').strip().strip('*')}" for name, bold in parts.items()]
        return safe.printable("\n".join([self._about(), *lines]))

    def _about(self) -> str:
        """Return how many tickets there are, and how to get one."""
        example = f"; tickets[{next(iter(self))!r}] is the Markdown of one" if self else ""
        return f"{safe.many(len(self), 'ticket') if self else 'no tickets'}{example}"


def tickets(report: ReportContent, failures: pd.DataFrame, by: str) -> Tickets:
    """Return person -> Markdown; see `Report.tickets`."""
    if not isinstance(by, str):
        raise PlanError(f"tickets(by=) takes the name of one column, such as 'owner', not {type(by).__name__}")
    if by not in failures.columns:
        advice = "Connect with vx.connect(owner_field='owner') and load the posts again."
        advice = advice if by == "owner" else did_you_mean(str(by), map(str, failures.columns))
        raise PlanError(f"tickets(by={by!r}): the failures have no such column; {advice}")
    support = (failures["verdict"] == Verdict.SUPPORT).fillna(False).astype(bool)
    names = [_names(value) for value in failures[by]]
    # A post with several tags is in the ticket of each.
    at = [row for row, own in enumerate(names) if not support.iloc[row] for _ in own]
    people = [name for row, own in enumerate(names) if not support.iloc[row] for name in own]
    texts = Tickets()
    for key, part in failures.iloc[at].groupby(np.array(people, dtype=object), sort=True):
        name = str(key)
        # A person may be called "support", like the ticket for support.
        texts[f"{name} ({by})" if name == SUPPORT else name] = _ticket(report, name, part)
    if support.any():
        texts[SUPPORT] = _ticket(report, SUPPORT, failures[support])
    return texts


def _ticket(report: ReportContent, name: str, rows: pd.DataFrame) -> str:
    """Return one ticket: first the person's own tasks, then the rows for information."""
    mine = rows["verdict"].isin(_THEIRS).fillna(False).astype(bool) | (name == SUPPORT)
    parts = [
        f"# {safe.markdown(report.title)}: {safe.markdown(name, 80)}",
        safe.markdown(" · ".join(report.about), 400),
    ]
    needed = f"**{in_words(rows[mine])}: {'for support' if name == SUPPORT else 'to be fixed'}.**"
    parts.append(needed if mine.any() else "**Nothing to do: this is for your information.**")
    parts += _by_verdict(rows[mine], "##")
    if mine.any() and not mine.all():
        parts.append("## For your information: others see to these")
    parts += _by_verdict(rows[~mine], "###" if mine.any() else "##")
    return "\n\n".join(part for part in parts if part) + "\n"


def _by_verdict(rows: pd.DataFrame, mark: str) -> Iterable[str]:
    """Yield the rows of each verdict and remedy, the most first: a heading, the remedy and a list."""
    counts = rows.groupby(["verdict", "remedy"], dropna=False).size().sort_values(ascending=False, kind="stable")
    for verdict, remedy in counts.index:
        part = rows[(rows["verdict"].fillna("") == _text(verdict)) & (rows["remedy"].fillna("") == _text(remedy))]
        yield f"{mark} {safe.markdown(_text(verdict) or '–')}: {safe.many(len(part), 'target')} of {safe.many(part['post_id'].nunique(), 'post')}"
        yield safe.markdown(_text(remedy), 400)
        lines = [_line(row) for row in part.head(_ROWS).to_dict("records")]
        if more := len(part) - len(lines):
            lines.append(f"- and {more:,} more")
        yield "\n".join(lines)


def _line(row: dict[Any, Any]) -> str:
    """Return one target: the post, the account, the error, and the beginning of the text."""
    account = row.get("account_name")
    where = " ".join(
        filter(None, [_text(row.get("platform")), _text(row.get("account_id") if is_missing(account) else account)])
    )
    said = ": ".join(filter(None, [_text(row.get("error_code")), _text(row.get("error_message"))]))
    line = f"- {safe.code(row.get('post_id')) or '–'} {safe.markdown(where, 100)}".rstrip()
    if _text(row.get("account_id")):
        line += f" ({safe.code(row['account_id'])})"
    line += f": {safe.markdown(said, 240)}" if said else ""
    content = _text(row.get("content"))
    return f"{line}\n  > {safe.markdown(content, 100)}" if content else line


def _names(value: Any) -> list[str]:
    """Return the names that a row belongs to, each once; ``nobody`` if there is none."""
    several = list(value) if isinstance(value, list | tuple | set) else [value]
    names = [safe.plain(full_text(each, "UTC"), 80) for each in several if not is_missing(each)]
    return list(dict.fromkeys(name for name in names if name)) or [NOBODY]


def _text(value: Any) -> str:
    """Return a text, empty if missing."""
    return "" if is_missing(value) else str(value)
