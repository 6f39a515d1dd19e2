"""A report as tickets: one Markdown text for each person who must act, and one for support."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from voxops._support import document, safe
from voxops._support.arguments import did_you_mean
from voxops._support.document import Block, Document
from voxops._support.drawing import to_html, to_markdown, to_text
from voxops.errors import PlanError
from voxops.frames.nested import is_missing
from voxops.frames.table import full_text, short_time
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
        return to_text(
            [document.line(self._about()), document.pairs((name, _task(text)) for name, text in self.items())]
        )

    def _about(self) -> str:
        """Return how many tickets there are, and how to get one."""
        example = f"; tickets[{next(iter(self))!r}] is the text of one" if self else ""
        return f"{safe.many(len(self), 'ticket') if self else 'no tickets'}{example}"


def _task(text: str) -> str:
    """Return the sentence of a ticket that says what is needed, without its mark-up."""
    return next((line for line in text.splitlines() if line.startswith("**") or line.endswith(".")), "").strip("*")


def tickets(report: ReportContent, failures: pd.DataFrame, by: str, *, plain: bool) -> Tickets:
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
    texts, written = Tickets(), to_text if plain else to_markdown
    for key, part in failures.iloc[at].groupby(np.array(people, dtype=object), sort=True):
        name = str(key)
        # A person may be called "support", like the ticket for support.
        texts[f"{name} ({by})" if name == SUPPORT else name] = written(_ticket(report, name, part))
    if support.any():
        texts[SUPPORT] = written(_ticket(report, SUPPORT, failures[support]))
    return texts


def _ticket(report: ReportContent, name: str, rows: pd.DataFrame) -> Document:
    """Return one ticket: first the person's own tasks, then the rows for information."""
    mine = rows["verdict"].isin(_THEIRS).fillna(False).astype(bool) | (name == SUPPORT)
    needed = f"{in_words(rows[mine])}: {'for support' if name == SUPPORT else 'to be fixed'}."
    parts = [
        document.heading(f"{report.title}: {safe.plain(name, 80)}", level=1),
        document.line(" · ".join(report.about)),
        document.lead(needed if mine.any() else "Nothing to do: this is for your information."),
        *_by_verdict(rows[mine], report.tz),
    ]
    if mine.any() and not mine.all():
        parts.append(document.heading("For your information: others see to these", level=2))
    return [*parts, *_by_verdict(rows[~mine], report.tz)]


def _by_verdict(rows: pd.DataFrame, tz: str) -> Iterable[Block]:
    """Yield the rows of each verdict and remedy, the most first: a heading, the remedy and a list."""
    counts = rows.groupby(["verdict", "remedy"], dropna=False).size().sort_values(ascending=False, kind="stable")
    for verdict, remedy in counts.index:
        part = rows[(rows["verdict"].fillna("") == _text(verdict)) & (rows["remedy"].fillna("") == _text(remedy))]
        posts = safe.many(part["post_id"].nunique(), "post")
        yield document.heading(f"{_text(verdict) or '–'}: {safe.many(len(part), 'target')} of {posts}", level=2)
        yield document.paragraph(_text(remedy))
        lines = [_line(row, tz) for row in part.head(_ROWS).to_dict("records")]
        if more := len(part) - len(lines):
            lines.append(f"and {more:,} more")
        yield document.listing("", zip(lines, lines, strict=True))


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
