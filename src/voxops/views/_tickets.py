"""A report as tickets: one plain text for each person who must act, and one for support.

Whatever others wrote stands in blocks that are indented by four blanks. Markdown shows such a block as it is, so nothing in it is a
link, a picture or a mention.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from voxops._support import document, safe
from voxops._support.arguments import did_you_mean
from voxops._support.drawing import to_html, to_text
from voxops.errors import PlanError
from voxops.frames.cells import is_missing
from voxops.frames.table import full_text, short_time
from voxops.model import Verdict
from voxops.views._report_sections import PERSONAL, ReportContent
from voxops.views._summary import in_words

__all__ = ["NOBODY", "SUPPORT", "tickets"]

NOBODY, SUPPORT = "nobody", "support"
_ROWS = 50  # rows of one verdict in one ticket
_WIDTH = 100  # characters of a line; ids and addresses are never broken
_THEIRS = frozenset({*PERSONAL, Verdict.UPGRADE})


class Tickets(dict[str, str]):
    """Person -> text; as the last line of a notebook cell it shows the texts, ready to be copied."""

    def _repr_html_(self) -> str:
        first, _, said = self._about().partition("; ")
        texts = [document.preformatted(name, text) for name, text in self.items()]
        return to_html([document.heading(first, said), *texts], name="tickets")

    def __repr__(self) -> str:
        tasks = ((name, text.partition("\n")[0]) for name, text in self.items())
        return to_text([document.line(self._about()), document.pairs(tasks)])

    def _about(self) -> str:
        """Return how many tickets there are, and how to get one."""
        example = f"; tickets[{next(iter(self))!r}] is the text of one" if self else ""
        return f"{safe.many(len(self), 'ticket') if self else 'no tickets'}{example}"


def tickets(report: ReportContent, failures: pd.DataFrame, by: str) -> Tickets:
    """Return person -> text; see `Report.tickets`."""
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
    """Return one ticket: first what is needed and the person's own tasks, then the rows for information."""
    mine = rows["verdict"].isin(_THEIRS).fillna(False).astype(bool) | (name == SUPPORT)
    needed = f"{in_words(rows[mine])}: {'for support' if name == SUPPORT else 'to be fixed'}."
    parts = [
        needed if mine.any() else "Nothing to do: this is for your information.",
        _as_it_is([f"{report.title}: {name}", " · ".join(report.about)]),
        *_by_verdict(rows[mine], report.tz),
    ]
    if mine.any() and not mine.all():
        parts.append("For your information: others see to these.")
    return "\n\n".join([*parts, *_by_verdict(rows[~mine], report.tz)]) + "\n"


def _by_verdict(rows: pd.DataFrame, tz: str) -> Iterable[str]:
    """Yield the rows of each verdict and remedy, the most first: how many, the remedy, and a line for each."""
    counts = rows.groupby(["verdict", "remedy"], dropna=False).size().sort_values(ascending=False, kind="stable")
    for verdict, remedy in counts.index:
        part = rows[(rows["verdict"].fillna("") == _text(verdict)) & (rows["remedy"].fillna("") == _text(remedy))]
        posts = safe.many(part["post_id"].nunique(), "post")
        yield _as_it_is([f"{_text(verdict) or '–'}: {safe.many(len(part), 'target')} of {posts}", _text(remedy)])
        lines = [_line(row, tz) for row in part.head(_ROWS).to_dict("records")]
        if more := len(part) - len(lines):
            lines.append(f"and {more:,} more")
        yield _as_it_is(lines)


def _as_it_is(lines: Iterable[str]) -> str:
    """Return lines as an indented block."""
    whole = filter(None, (safe.plain(line, 1000) for line in lines))
    return "\n".join(
        fill(
            line,
            _WIDTH,
            initial_indent=" " * 4,
            subsequent_indent=" " * 6,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in whole
    )


def _line(row: dict[Any, Any], tz: str) -> str:
    """Return one target: the post, the account, the error, when, where it is, and the beginning of the text."""
    account = row.get("account_name")
    where = f"{_text(row.get('platform'))} {_text(row.get('account_id') if is_missing(account) else account)}".strip()
    if _text(row.get("account_id")) and not is_missing(account):
        where += f" ({row['account_id']})"
    error = ": ".join(filter(None, [_text(row.get("error_code")), _text(row.get("error_message"))]))
    when = row.get("updated_at")
    said = [
        _text(row.get("post_id")) or "–",
        where,
        safe.clip(error, 240),
        "" if is_missing(when) or when is None else short_time(when, tz),
        f"“{safe.clip(safe.plain(row['content']), 100)}”" if _text(row.get("content")) else "",
        _text(row.get("platform_post_url")),
    ]
    return " · ".join(filter(None, said))


def _names(value: Any) -> list[str]:
    """Return the names that a row belongs to, each once; ``nobody`` if there is none."""
    several = list(value) if isinstance(value, list | tuple | set) else [value]
    names = [safe.plain(full_text(each, "UTC"), 80) for each in several if not is_missing(each)]
    return list(dict.fromkeys(name for name in names if name)) or [NOBODY]


def _text(value: Any) -> str:
    """Return a text, empty if missing."""
    return "" if is_missing(value) else str(value)
