"""The sections of a triage report: sentences, numbers, tables and figures, from frames alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from voxops._support import document, safe
from voxops._support.document import Block
from voxops.analysis.causes import causes, names_of
from voxops.analysis.statistics import ranked
from voxops.analysis.triage import message_template
from voxops.api.reasons import kinds
from voxops.frames.palette import VERDICT
from voxops.frames.records import TARGET_KEY
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.table import frame_table, short_time, shown_columns
from voxops.frames.times import shown_zone
from voxops.model import OUTCOMES, Verdict
from voxops.views import plots
from voxops.views._axes import common_causes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from voxops.acts.plan import Plan
    from voxops.views._protocols import RunLike

__all__ = [
    "ACTIONS",
    "ALL_ROWS",
    "OWNERS",
    "PERSONAL",
    "Fact",
    "Figure",
    "ReportContent",
    "Section",
    "about",
    "act_of",
    "actions",
    "evidence",
    "happened",
    "planned",
    "why",
]

ACTIONS = "Who must do what"  # the section that the plain-text summary includes
ALL_ROWS = "report.to_csv(folder) writes all"
# Who acts on a verdict, unless `report(owners=...)` says otherwise.
OWNERS: Mapping[str, str] = {
    Verdict.RETRY: "operations: run the retry plan",
    Verdict.WAIT: "nobody: it resolves by itself",
    Verdict.FIX_CONTENT: "the author of the post",
    Verdict.FIX_MEDIA: "the author of the post",
    Verdict.RECONNECT: "whoever owns the account",
    Verdict.UPGRADE: "the owner of the workspace",
    Verdict.SUPPORT: "operations, with support",
    Verdict.NOTHING: "nobody",
}
# Verdicts that only a person can fix: the report names the owners of the posts.
PERSONAL = frozenset({Verdict.FIX_CONTENT, Verdict.FIX_MEDIA, Verdict.RECONNECT})
_ACCOUNTS = frozenset({Verdict.RECONNECT, Verdict.UPGRADE})
_CAUSES = 25  # most causes in the table
_COLUMNS = 8  # of rows on paper, besides outcome and post
_REMEDIES = 3  # most remedies of one verdict that are written out
_KEYS = list(TARGET_KEY)


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the summary, its label, and its colour."""

    count: int
    label: str
    colour: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, drawn on demand: caption, height in inches, and a function of Axes."""

    caption: str
    height: float
    draw: Callable[[Axes], object]


@dataclass(frozen=True, eq=False, slots=True)
class Section:
    """A part of the report; empty parts are left out."""

    title: str
    text: str = ""
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    figures: tuple[Figure, ...] = ()

    def blocks(self, tz: str) -> list[Block]:
        """Return its sentence and its table."""
        table = frame_table(self.table, list(self.table.columns), tz=tz, wraps=True)
        return [*([document.paragraph(self.text)] if self.text else []), *([table] if len(self.table) else [])]


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The content of a report in any form.

    Attributes
    ----------
    title, headline : str
        The subject, and a summary of a sentence or two.
    about : tuple of str
        Where the data come from and when they were read.
    facts : tuple of Fact
        The numbers at the top.
    sections : tuple of Section
        The rest, in the order of reading.
    tz : str
        The time zone of the times shown.
    """

    title: str
    headline: str
    about: tuple[str, ...]
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    tz: str


def act_of(rows: pd.DataFrame) -> str:
    """Return ``"retry"`` for a retry of targets, ``"run"`` for another act, on whole posts."""
    return "retry" if set(_KEYS) <= {*rows} else "run"


def actions(failures: pd.DataFrame, owners: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per verdict: who acts, on how much, how, and on which accounts if they are the cause."""
    order = list(VERDICT)
    rows = []
    for verdict, part in failures.groupby(failures["verdict"].astype(object).fillna("–"), sort=False):
        remedies = ranked(part["remedy"])
        more = len(remedies) - _REMEDIES
        rest = [f"And {safe.many(more, 'other remedy', 'other remedies')}: see the causes."] if more > 0 else []
        rows.append(
            {
                "what": verdict,
                "who": _who(str(verdict), part.get("owner"), owners),
                "targets": len(part),
                "posts": part["post_id"].nunique(),
                "how": " ".join([*remedies.index[:_REMEDIES], *rest]),
                "accounts": _names(part)
                if verdict in _ACCOUNTS
                else safe.many(part["account_id"].nunique(), "account"),
            }
        )
    rows.sort(key=lambda row: (-int(row["targets"]), order.index(row["what"]) if row["what"] in order else len(order)))
    return pd.DataFrame(rows)


def _who(verdict: str, people: pd.Series[Any] | None, owners: Mapping[str, str]) -> str:
    """Return who acts: the owners of the posts if only they can, unless the analyst has named somebody else."""
    role = owners.get(verdict, "operations")
    if people is None or verdict not in PERSONAL or role != OWNERS.get(verdict):
        return role
    named, without = safe.plain(names_of(people), 160), int(people.isna().sum())
    if not named:
        return role
    if verdict == Verdict.RECONNECT:
        return f"{role}; the posts are of {named}"
    return f"{named} and {role} ({without})" if without else named


def _names(part: pd.DataFrame, most: int = 6) -> str:
    """Name the accounts, those hit most first."""
    name = part["account_name"].fillna(part["account_id"]) if "account_name" in part else part["account_id"]
    hit = ranked(part["platform"].fillna("–") + " " + name.fillna("–"))
    named = [f"{safe.plain(account, 40)} ({count})" for account, count in hit.head(most).items()]
    return ", ".join(named) + (f" and {len(hit) - most} more" if len(hit) > most else "")


def _as_before(results: pd.DataFrame | None) -> str:
    """Say that the data were read before the run, if there was one."""
    return "" if results is None else f"As it was read before the {act_of(results)}."


def why(failures: pd.DataFrame, owners: Mapping[str, str], results: pd.DataFrame | None) -> Section:
    """Return the causes before a run as figure and table; one cause on several platforms is one row."""
    shared = common_causes(failures)
    table = causes(failures.assign(cause=shared))
    table["platforms"] = [_few(str(names).split(", "), "platform") for names in table["platforms"]]
    people = failures.get("owner")
    owned = (
        {}
        if people is None
        else dict(iter(people.groupby([shared.astype(object), failures["verdict"].astype(object)])))
    )
    keys = zip(table["cause"], table["verdict"], strict=True)
    table["who"] = [_who(str(verdict), owned.get((cause, verdict)), owners) for cause, verdict in keys]
    height = 1.1 + 0.5 * max(min(len(table), 13), 2)
    figure = Figure(
        "Targets that failed or hang, by cause and platform", height, lambda ax: plots.causes_by_platform(failures, ax)
    )
    tz = shown_zone(failures)
    table["seen"] = [
        _span(first, last, tz) for first, last in zip(table["first_seen"], table["last_seen"], strict=True)
    ]
    wanted = ["cause", "count", "posts", "platforms", "verdict", "remedy", "who", "seen"]
    more = len(table) - _CAUSES
    text = f"{_as_before(results)} " if len(table) else ""
    text += f"The {more} rarest causes are left out here: {ALL_ROWS}." if more > 0 else ""
    shown = table[wanted].head(_CAUSES).rename(columns={"count": "targets"})
    return Section("Why it failed", text.strip(), shown, (figure,) if len(table) else ())


def planned(plan: Plan | None, results: pd.DataFrame | None) -> Section:
    """Return what a plan or its run sends and holds back, and why; reasons that differ in a time or an id are one."""
    if plan is None:
        return Section("The retry plan")
    decisions = _decisions(plan, results)
    lines = [
        (decision, rows, reason)
        for decision, part in decisions.groupby("decision", sort=False)
        for reason, rows in kinds(sorted(Counter(part["reason"]).items(), key=lambda each: str(each[0])))
    ]
    counts = pd.DataFrame(lines, columns=["decision", "rows", "reason"])
    counts = counts.sort_values(["decision", "rows", "reason"], ascending=[False, False, True], kind="stable")
    sends = int(decisions["decision"].isin(["sent", "to be sent"]).sum())
    text = f"{sends:,} of {safe.many(len(decisions), 'row')} {'would be' if results is None else 'were'} sent"
    if (cost := getattr(plan, "cost", None)) is not None:
        sent = None if results is None or "tries" not in results else results[results["tries"].fillna(0) > 0]
        acts = cost.acts if sent is None else sent["idempotency_key"].nunique()
        text += f", in {acts:,} acting requests"
    text += ". Nothing has been sent." if results is None else "."
    title = "The retry plan" if act_of(plan.frame) == "retry" else "The plan"
    return Section(title, text, counts)


def _decisions(plan: Plan, results: pd.DataFrame | None) -> pd.DataFrame:
    """Return the decision on each row of a plan, and why; rows that were blocked before their send are not sent."""
    planned, why = plan.frame, getattr(plan, "why", ())
    eligible = planned["eligible"].astype(bool).to_numpy()
    decision = np.where(eligible, "to be sent" if results is None else "sent", "not eligible").astype(object)
    reason = planned["reason"].fillna("").to_numpy(dtype=object, copy=True)
    reason[: len(why)] = why
    if results is not None and "tries" in results and len(results) == eligible.sum():  # the run of this very plan
        never = (results["tries"].fillna(0) == 0).to_numpy(dtype=bool)
        unsent, places = results[never], np.flatnonzero(eligible)[never]
        decision[places] = "not sent"
        reason[places] = unsent["waiting_for"].fillna(unsent["outcome"] + " without it")
    return pd.DataFrame({"decision": decision, "reason": reason})


def happened(
    results: pd.DataFrame | None, run: RunLike | None, before: pd.DataFrame, after: pd.DataFrame | None
) -> Section:
    """Return the outcomes of the retry."""
    if results is None:
        return Section("What the retry did")
    title = f"What the {act_of(results)} did"
    counts = results["outcome"].value_counts()
    text = ", ".join(f"{counts.get(name, 0):,} {name}" for name in OUTCOMES) + f", of {safe.many(len(results), 'row')}."
    note = getattr(getattr(run, "snapshot", None), "note", "")
    left = results[results["outcome"] != "succeeded"]
    reason = left["error_code"].fillna(left["waiting_for"]).fillna("no reason known")
    said = left["error_message"] if "error_message" in left else pd.Series(pd.NA, left.index, dtype=STRING_DTYPE)
    messages = said.fillna("").map(message_template)
    keys = [left["outcome"].astype(object), reason.rename("why"), messages.rename("message")]
    table = left.groupby(keys).size().rename("rows").reset_index()
    table = table.sort_values(["rows", "outcome", "why", "message"], ascending=[False, True, True, True], kind="stable")
    figures = []
    if "platform" in results:  # a row of a campaign goes to several platforms
        height = 1.1 + 0.36 * max(results["platform"].nunique(dropna=False), 2)
        figures.append(Figure("Outcome by platform", height, lambda ax: plots.outcomes_by_platform(results, ax)))
    if after is not None:
        figures.insert(0, Figure("Targets before and after", 1.9, lambda ax: plots.before_after(before, after, ax)))
    return Section(title, f"{text} {safe.plain(note, 300)}".strip(), table, tuple(figures) if len(results) else ())


def evidence(failures: pd.DataFrame, results: pd.DataFrame | None, rows: int) -> Section:
    """Return the failed targets, those of the commonest cause first, with their outcomes."""
    hits = failures["cause"].map(failures["cause"].value_counts())
    shown = failures.assign(_hits=hits).sort_values(["_hits", "cause"], ascending=[False, True], kind="stable")
    if results is not None and set(_KEYS) <= {*shown} & {*results}:
        outcomes = results[[*_KEYS, "outcome"]].drop_duplicates(_KEYS)
        shown = shown.merge(outcomes, on=_KEYS, how="left")
    names = shown_columns(shown, most=_COLUMNS)
    table = shown[[*dict.fromkeys([*(["outcome"] if "outcome" in shown else []), *names, "post_id"])]].head(rows)
    more = len(failures) - len(table)
    text = f"{_as_before(results)} " if len(table) else ""
    text += f"{safe.many(len(table), 'row')}; {more:,} more: {ALL_ROWS}." if more else ""
    return Section("Evidence", text.strip(), table)


def about(triaged: pd.DataFrame, run: RunLike | None, now: datetime | None) -> list[str]:
    """Say where the data come from and when they were read."""
    said, tz = triaged.attrs, shown_zone(triaged)
    about = [f"data from {said['source']}"] if said.get("source") else []
    if fetched := said.get("fetched_at"):
        about.append(f"read {safe.instant(pd.Timestamp(fetched).to_pydatetime(), tz=tz)}")
    about.append(f"times in {tz}")
    filters = {name: value for name, value in (said.get("filters") or {}).items() if value not in (None, [], "")}
    about += [
        f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in filters.items()
    ]
    if said.get("complete") is False:
        about.append("INCOMPLETE: the listing was cut short")
    if run is not None:
        about.append(f"run {run.id}")
    return [*about, f"report made {safe.instant(now, tz=tz)}"] if now else about


def _span(first: Any, last: Any, tz: str) -> str:
    """Return the first and the last time."""
    if pd.isna(first) or pd.isna(last):
        return ""
    begin, end = short_time(first, tz), short_time(last, tz)
    return begin if begin == end else f"{begin} to {end}"


def _few(names: list[str], noun: str) -> str:
    """Name one or two, else give the count."""
    return ", ".join(names) if len(names) < 3 else safe.many(len(names), noun)
